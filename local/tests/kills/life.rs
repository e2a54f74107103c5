//! One life of the program, from its start to its kill, and the requests that it gets meanwhile.

use super::{
    client::{Client, KEY},
    model::{CAMPAIGNS, Dice, Model, campaign, did, user},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// How often a condition is checked before the clock is moved ahead again.
const LOOKS: u32 = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// How many times the clock is moved ahead before a condition counts as never met.
const ROUNDS: usize = 100;

/// The counts over all lives.
#[derive(Default)]
pub struct Tally {
    /// Kills before it listened.
    pub unborn: u64,
    /// Kills while a request was under way.
    pub amid: u64,
    /// How many requests were answered, by kind of request.
    pub answered: BTreeMap<&'static str, u64>,
    /// Mails that went to an address once more.
    pub repeated: u64,
    /// How many mails had been sent at each kill.
    pub at_kills: Vec<usize>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.amid += other.amid;
        for (what, n) in other.answered {
            *self.answered.entry(what).or_default() += n;
        }
    }
}

/// The number of mails in the outbox of a program that is dead. A line without its end is no mail.
pub fn mails_in(folder: &Path) -> usize {
    let outbox = std::fs::read(folder.join("data/outbox.jsonl")).unwrap_or_default();
    outbox.iter().filter(|byte| **byte == b'\n').count()
}

/// The running program.
pub struct Life {
    child: Child,
    log: PathBuf,
    client: Client,
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail = log.len().saturating_sub(8_000);
            println!("its log ends:\n{}", String::from_utf8_lossy(&log.as_bytes()[tail..]));
        }
    }
}

/// The body of a successful answer.
fn ok(answer: (u16, Value)) -> Value {
    let (status, body) = answer;
    assert!((200..300).contains(&status), "{status} {body}");
    body
}

impl Life {
    /// Starts the program, which may not listen yet.
    pub fn spawn(folder: &Path) -> Self {
        let log = folder.join("log");
        let err: File = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_rekindle"))
            .args(["--port", "0", "--key", KEY, "--data"])
            .arg(folder.join("data"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(err)
            .spawn()
            .unwrap();
        Self { child, log, client: Client(([127, 0, 0, 1], 0).into()) }
    }

    /// Starts the program, and reads the address that it listens on.
    pub fn begin(folder: &Path) -> Self {
        let mut life = Self::spawn(folder);
        let mut out = BufReader::new(life.child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let port = line.split("http://127.0.0.1:").nth(1).and_then(|l| l.split(',').next()?.parse().ok());
        let port: u16 = port.unwrap_or_else(|| panic!("it does not start; it says {line:?}"));
        life.client = Client(([127, 0, 0, 1], port).into());
        // Nobody reads any further, but the pipe must stay open as long as the program writes.
        life.child.stdout = Some(out.into_inner());
        life
    }

    /// Kills the program after `delay`. Returns whether it listened by then, if nobody has read its first line before.
    pub fn kill_after(mut self, delay: Duration) -> bool {
        thread::sleep(delay);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        said.contains("http://127.0.0.1:")
    }

    /// Posts, reads, and moves data about, all at once, until the program is killed.
    pub fn live_and_die(mut self, model: &Mutex<Model>, delay: Duration, seed: u64) -> Tally {
        let dying = AtomicBool::new(false);
        let under_way = AtomicUsize::new(0);
        let answered = Mutex::new(BTreeMap::new());
        let client = self.client;
        let mut amid = 0;
        let until_killed = |turn: &dyn Fn(&mut Dice) -> io::Result<&'static str>, seed: u64| {
            let mut dice = Dice(seed);
            loop {
                under_way.fetch_add(1, SeqCst);
                let done = turn(&mut dice);
                under_way.fetch_sub(1, SeqCst);
                match done {
                    Ok(what) => *answered.lock().unwrap().entry(what).or_default() += 1,
                    Err(_) if dying.load(SeqCst) => return,
                    Err(error) => panic!("no answer, though the program is alive: {error}"),
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| until_killed(&|dice| post(client, model, dice), seed));
            scope.spawn(|| until_killed(&|dice| operate(client, model, dice), !seed));
            scope.spawn(|| until_killed(&|dice| ask(client, model, dice), seed.rotate_left(32)));
            thread::sleep(delay);
            dying.store(true, SeqCst);
            amid = u64::from(under_way.load(SeqCst) > 0);
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        });
        Tally { amid, answered: answered.into_inner().unwrap(), ..Tally::default() }
    }

    fn get(&self, path: &str) -> Value {
        ok(self.client.get(path).unwrap())
    }

    fn post(&self, path: &str, body: Value) -> Value {
        ok(self.client.post(path, &body).unwrap())
    }

    /// Every mail of earlier lives is still there. A mail is sent again only if it was the last one at a kill: the kill fell
    /// between sending it and recording that.
    pub fn look_at_mails(&self, model: &Mutex<Model>, tally: &mut Tally) {
        let outbox = self.get("/_local/outbox");
        let mails: Vec<String> = outbox["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["to"].as_str().unwrap().to_owned())
            .collect();
        let mut model = model.lock().unwrap();
        let known = model.mails.len().min(mails.len());
        assert_eq!(mails[..known], model.mails, "mails that were sent are gone");
        for (i, to) in mails.iter().enumerate().skip(known) {
            assert!(model.asked.contains(to), "a mail to {to}, which no request names");
            if let Some(before) = mails[..i].iter().rposition(|sent| sent == to) {
                let was_last = tally.at_kills.contains(&(before + 1));
                assert!(
                    was_last,
                    "mail {before} to {to} came again, as mail {i}; at kills there were {:?}",
                    tally.at_kills
                );
                tally.repeated += 1;
            }
        }
        model.mails = mails;
    }

    /// Checks every interaction of a campaign's users.
    pub fn audit(&self, model: &Mutex<Model>, campaign: u64) {
        for clicked in [false, true] {
            audit(self.client, model, campaign, clicked).unwrap();
        }
    }

    fn state(&self, n: u64) -> String {
        match self.client.get(&format!("/v1/campaigns/{}", campaign(n))).unwrap() {
            (404, _) => "unknown".to_owned(),
            answer => ok(answer)["interaction_data"]["state"].as_str().unwrap().to_owned(),
        }
    }

    /// Moves the clock ahead and sweeps until `left` returns nothing; panics if that never happens.
    fn until(&self, what: &str, advance: &str, left: impl Fn() -> Vec<String>) {
        for _ in 0..ROUNDS {
            self.post("/_local/sweep", Value::Null);
            for _ in 0..LOOKS {
                if left().is_empty() {
                    return;
                }
                thread::sleep(BETWEEN_LOOKS);
            }
            self.post("/_local/clock", json!({ "advance": advance }));
        }
        for n in 0..CAMPAIGNS {
            let path = format!("/v1/campaigns/{}", campaign(n));
            println!("{}\n  {}", self.get(&path), self.get(&format!("{path}/timeline?limit=1000")));
        }
        println!("{}", self.get("/v1/restores"));
        panic!("{what}: it does not come to rest: {:?}", left());
    }

    /// All restores under way, including those whose acknowledgement was lost.
    fn running(&self) -> Vec<String> {
        let mut all = vec![];
        let mut path = "/v1/restores".to_owned();
        loop {
            let page = self.get(&path);
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/restores?cursor={next}");
        }
        all.retain(|request: &Value| request["state"] == "queued" || request["state"] == "running");
        all.iter().map(|request| format!("restore {} is {}", request["id"], request["state"])).collect()
    }

    /// Every restore ends, an acknowledged one also sends its mail, and no data stays between two states.
    pub fn come_to_rest(&self, model: &Mutex<Model>) {
        // A kill leaves leases of 20 seconds behind.
        self.until("the end", "PT21S", || {
            let restores = model.lock().unwrap().restores.clone();
            let mut left: Vec<String> = (0..CAMPAIGNS)
                .map(|n| format!("c{n} is {}", self.state(n)))
                .filter(|state| state.ends_with("ing"))
                .collect();
            let outbox = self.get("/_local/outbox");
            let mails: BTreeSet<&str> =
                outbox["items"].as_array().unwrap().iter().map(|m| m["to"].as_str().unwrap()).collect();
            for (address, id) in restores.iter().filter(|(address, _)| !mails.contains(address.as_str())) {
                left.push(format!("no mail to {address}: {}", self.get(&format!("/v1/restores/{id}"))));
            }
            left.extend(self.running());
            left
        });
        for id in model.lock().unwrap().restores.values() {
            let request = self.get(&format!("/v1/restores/{id}"));
            // A restore may fail if the clock was moved by more than a day while it ran.
            let state = request["state"].as_str().unwrap();
            assert!(["completed", "partly_failed", "failed"].contains(&state), "{request}");
        }
    }

    /// Expires and restores everything once more without a kill: all data goes, is unknown, and comes back.
    pub fn expire_and_restore_all(&self, model: &Mutex<Model>) {
        let of_each: Vec<_> = (0..CAMPAIGNS)
            .map(|campaign| super::model::Interaction { campaign, user: 0, clicked: false })
            .collect();
        send(self.client, model, &of_each).unwrap();
        for n in (0..CAMPAIGNS).filter(|n| self.state(*n) == "available") {
            self.post(&format!("/v1/campaigns/{}/stop", campaign(n)), Value::Null);
        }
        let not = |wanted: &'static str| {
            move || {
                let states = (0..CAMPAIGNS).map(|n| (n, self.state(n)));
                states.filter(|(_, s)| s != wanted).map(|(n, s)| format!("c{n} is {s}")).collect()
            }
        };
        self.post("/_local/clock", json!({ "advance": "P3M" }));
        self.until("expiry", "PT21S", not("expired"));
        for n in 0..CAMPAIGNS {
            let filter = did(n, false);
            let (status, body) =
                self.client.post("/v1/audiences/count", &json!({ "filter": filter })).unwrap();
            assert_eq!((status, &body["code"]), (409, &json!("expired_interaction_data")), "{body}");
            let who = json!({ "filter": filter, "user_id": user(0), "expired": "exclude" });
            // Certain where it arrived after the expiry.
            let answer = self.post("/v1/audiences/match", who);
            assert!(answer["match"] == "unknown" || answer["match"] == "yes", "{answer}");
        }
        // Late interactions: they are accepted, and come back with the rest.
        send(self.client, model, &of_each).unwrap();
        let sources: Vec<String> = (0..CAMPAIGNS).map(|n| format!("campaign/{}", campaign(n))).collect();
        restore(self.client, model, &sources, "all@example.com").unwrap();
        self.until("restoring", "PT21S", not("available"));
        self.come_to_rest(model);
        let id = model.lock().unwrap().restores["all@example.com"].clone();
        let request = self.get(&format!("/v1/restores/{id}"));
        assert_eq!(request["state"], "completed", "{request}");
    }

    /// Checks what must hold over all lives.
    pub fn end(self, model: &Mutex<Model>, tally: &Tally, kills: u64) {
        let model = model.lock().unwrap();
        let Tally { unborn, amid, answered, repeated, .. } = tally;
        println!(
            "{kills} kills, {unborn} before it listened, {amid} amid a request; answered: {answered:?}; {} mails, {repeated} twice",
            model.mails.len()
        );
        for to in model.restores.keys() {
            assert!(model.mails.contains(to), "no mail to {to}");
        }
        assert!(*amid >= (kills - unborn) / 2, "too few kills hit a request: {amid} of {kills}");
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Posts a batch.
fn post(client: Client, model: &Mutex<Model>, dice: &mut Dice) -> io::Result<&'static str> {
    let batch = model.lock().unwrap().draw(dice);
    let sent = send(client, model, &batch);
    if sent.is_err() {
        model.lock().unwrap().unknown = batch;
    }
    sent.map(|()| "ingest")
}

fn send(client: Client, model: &Mutex<Model>, batch: &[super::model::Interaction]) -> io::Result<()> {
    model.lock().unwrap().sent(batch);
    let body = batch.iter().map(|one| one.to_json()).collect::<Vec<_>>();
    let answer = ok(client.post("/v1/interactions", &body.into())?);
    assert_eq!(answer["accepted"], batch.len(), "{answer}");
    model.lock().unwrap().acknowledged(batch);
    Ok(())
}

fn restore(client: Client, model: &Mutex<Model>, sources: &[String], to: &str) -> io::Result<()> {
    model.lock().unwrap().asked.insert(to.to_owned());
    let answer = ok(client.post("/v1/restores", &json!({ "sources": sources, "notify": [to] }))?);
    model.lock().unwrap().restores.insert(to.to_owned(), answer["id"].as_str().unwrap().to_owned());
    Ok(())
}

/// Stops or starts a campaign, asks for it back, moves the clock, or sweeps.
fn operate(client: Client, model: &Mutex<Model>, dice: &mut Dice) -> io::Result<&'static str> {
    let name = campaign(dice.below(CAMPAIGNS));
    let path = format!("/v1/campaigns/{name}");
    let (what, answer) = match dice.below(12) {
        0..3 => ("stop", client.post(&format!("{path}/stop"), &Value::Null)?),
        3 => ("start", client.post(&format!("{path}/start"), &Value::Null)?),
        4..7 => {
            let period = dice.pick(&["P3M", "P3M", "P1D", "PT61M", "PT21S", "PT21S"]).unwrap();
            ("clock", client.post("/_local/clock", &json!({ "advance": period }))?)
        }
        7..10 => ("sweep", client.post("/_local/sweep", &Value::Null)?),
        _ => {
            if client.get(&path)?.0 == 404 {
                return Ok("nothing yet");
            }
            let to = format!("r{}@example.com", model.lock().unwrap().asked.len());
            restore(client, model, &[format!("campaign/{name}")], &to)?;
            return Ok("restore");
        }
    };
    // The campaign does not exist yet, or its data is expired.
    let (status, body) = answer;
    assert!(matches!(status, 200 | 404 | 409), "{what} {name}: {status} {body}");
    Ok(what)
}

/// Asks one of the questions while everything else goes on.
fn ask(client: Client, model: &Mutex<Model>, dice: &mut Dice) -> io::Result<&'static str> {
    let (n, clicked) = (dice.below(CAMPAIGNS), dice.below(2) == 0);
    if dice.below(4) == 0 {
        audit(client, model, n, clicked)?;
        return Ok("audit");
    }
    let certain: Vec<u64> = model.lock().unwrap().who(n, clicked).certain.into_iter().collect();
    if let Some(one) = dice.pick(&certain) {
        let who = json!({ "filter": did(n, clicked), "user_id": user(*one), "expired": "exclude" });
        let answer = ok(client.post("/v1/audiences/match", &who)?);
        assert!(answer["match"] == "yes" || answer["match"] == "unknown", "c{n}, {}: {answer}", user(*one));
    }
    Ok("match")
}

/// Checks the users who did something and those who did not. The answer has every user acknowledged before the request and
/// none that was not sent by its end. If the data is expired, its `count` and `unknown` together
/// cover every acknowledged user.
fn audit(client: Client, model: &Mutex<Model>, n: u64, clicked: bool) -> io::Result<()> {
    let (certain, everybody) = {
        let model = model.lock().unwrap();
        (model.who(n, clicked).certain, model.everybody().certain)
    };
    let filter = did(n, clicked);
    let Some(members) = members(client, &filter)? else {
        let count = json!({ "filter": filter, "expired": "exclude" });
        let answer = ok(client.post("/v1/audiences/count", &count)?);
        // The data may have come back in between.
        let told = answer["count"].as_u64().unwrap() + answer["unknown"].as_u64().unwrap();
        assert!(told >= certain.len() as u64, "c{n}: {answer}, though {} are certain", certain.len());
        return Ok(());
    };
    let not = client.post("/v1/audiences/count", &json!({ "filter": { "not": filter } }))?;
    let (possible, at_most) = {
        let model = model.lock().unwrap();
        (model.who(n, clicked).possible, model.everybody().possible)
    };
    let told: BTreeSet<&String> = members.iter().collect();
    assert_eq!(told.len(), members.len(), "c{n}: a user is listed twice");
    let lost: Vec<String> = certain.iter().map(|u| user(*u)).filter(|u| !told.contains(u)).collect();
    assert!(lost.is_empty(), "c{n}, clicked {clicked}: lost {} of {}: {lost:?}", lost.len(), certain.len());
    let sent: BTreeSet<String> = possible.iter().map(|u| user(*u)).collect();
    let made_up: Vec<&&String> = told.iter().filter(|u| !sent.contains(**u)).collect();
    assert!(made_up.is_empty(), "c{n}, clicked {clicked}: nobody sent {made_up:?}");
    if matches!(not.0, 409 | 422) {
        return Ok(());
    }
    let count = ok(not)["count"].as_u64().unwrap();
    let range = everybody.difference(&possible).count() as u64..=at_most.difference(&certain).count() as u64;
    assert!(range.contains(&count), "c{n}: {count} did not, expected {range:?}");
    Ok(())
}

/// All members, page by page; `None` if the request was refused because the data is expired.
fn members(client: Client, filter: &Value) -> io::Result<Option<Vec<String>>> {
    let mut all = vec![];
    let mut cursor = Value::Null;
    loop {
        let body = json!({ "filter": filter, "limit": 2_000, "cursor": cursor });
        let (status, page) = client.post("/v1/audiences/members", &body)?;
        if status == 409 && page["code"] == "expired_interaction_data" {
            return Ok(None);
        }
        // Nothing was posted to the campaign yet.
        if status == 422 && page["code"] == "unknown_source" {
            return Ok(Some(all));
        }
        let page = ok((status, page));
        all.extend(page["items"].as_array().unwrap().iter().map(|u| u.as_str().unwrap().to_owned()));
        cursor = page["next"].clone();
        if cursor.is_null() {
            return Ok(Some(all));
        }
    }
}
