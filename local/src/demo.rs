//! A newcomer's first minute: a campaign's interactions arrive, expire, and come back.
//!
//! Everything goes through the same HTTP routes that a sender and a marketer use.

use crate::{
    admin_key,
    clock::LocalClock,
    embedded::EmbeddedAws,
    listen,
    server::Local,
    stack::{Stack, local_settings},
};
use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use indicatif::{ProgressBar, ProgressStyle};
use rekindle_domain::time::{Clock, Period, Time};
use rekindle_runtime::ports::RandomIds;
use serde_json::{Value, json};
use std::{error::Error, fmt::Write, sync::Arc, time::Duration};
use tower::ServiceExt;

type Outcome<T> = Result<T, Box<dyn Error>>;

const CAMPAIGN: &str = "campaign/spring-sale";
const MARKETER: &str = "marketer@example.com";
/// How many interactions a request carries.
const BATCH: usize = 10_000;
/// How often the demo asks for progress.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the demo with that many users.
///
/// # Errors
/// The first request that failed, or an answer that differs after the restore.
pub async fn run(users: u32) -> Outcome<()> {
    let demo = Demo::start().await?;
    let sent = demo.send(users).await?;
    let before = demo.ask("The interactions are queryable at once:").await?;
    demo.expire().await?;
    demo.refused().await?;
    demo.restore().await?;
    let after = demo.ask("The same questions again:").await?;
    print!("\n{}", table(sent, &before, &after));
    if before.iter().zip(&after).all(|(b, a)| b.count == a.count) {
        println!("\nEvery number is the same. Start your own with `cargo run`.");
        Ok(())
    } else {
        Err("the numbers differ after the restore".into())
    }
}

struct Demo {
    router: Router,
    /// The `Authorization` header that every request carries.
    authorization: String,
    clock: Arc<LocalClock>,
}

struct Answer {
    question: &'static str,
    count: u64,
    millis: i64,
}

impl Demo {
    async fn start() -> Outcome<Self> {
        let clock = Arc::new(LocalClock::in_memory());
        let stamp = clock.clone();
        let now = move || jiff::Timestamp::from_millisecond(stamp.now().0).unwrap_or_default();
        let aws = EmbeddedAws::in_memory(Arc::new(now))?;
        let settings = local_settings(Period::parse("P3M")?);
        let stack = Stack::create(&aws, clock.clone(), Arc::new(RandomIds), settings).await?;
        let key = admin_key::new_token(&*clock, &RandomIds);
        stack.app.install_key(&key, admin_key::NAME).await?;
        let local = Local::new(stack, aws, clock.clone());
        let router = local.router();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("Rekindle runs in memory at http://{} while this lasts.\n", listener.local_addr()?);
        tokio::spawn(listen::serve(listener, router.clone(), local.limits, std::future::pending()));
        tokio::spawn(async move { local.run_in_background().await });
        Ok(Self { router, authorization: format!("Bearer {key}"), clock })
    }

    fn since(&self, begun: Time) -> String {
        format!("{:.1} s", (self.clock.now().0 - begun.0) as f64 / 1000.0)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Outcome<(StatusCode, Value)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))?;
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        Ok((status, serde_json::from_slice(&bytes)?))
    }

    async fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        let (status, answer) =
            self.call(Method::POST, path, "application/json", body.to_string().into()).await?;
        if status.is_success() { Ok(answer) } else { Err(format!("POST {path}: {answer}").into()) }
    }

    async fn get(&self, path: &str) -> Outcome<Value> {
        Ok(self.call(Method::GET, path, "application/json", Vec::new()).await?.1)
    }

    /// Posts the users' interactions; returns how many.
    async fn send(&self, users: u32) -> Outcome<u64> {
        let total: u64 = (0..users).map(|u| interactions(u).count() as u64).sum();
        println!("1. {users} users receive a campaign; some open, click and convert:");
        let bar = bar(total, "{bar:40} {human_pos}/{human_len} interactions, {per_sec}");
        let begun = self.clock.now();
        let (mut body, mut pending) = (String::new(), 0);
        for user in 0..users {
            for interaction in interactions(user) {
                write_line(&mut body, user, interaction, self.clock.now().0)?;
                pending += 1;
            }
            if pending >= BATCH || user + 1 == users {
                let lines = std::mem::take(&mut body).into_bytes();
                let path = "/v1/interactions";
                let (status, answer) = self.call(Method::POST, path, "application/x-ndjson", lines).await?;
                if status != StatusCode::OK || answer["accepted"] != pending {
                    return Err(format!("POST {path}: {answer}").into());
                }
                bar.inc(pending as u64);
                pending = 0;
            }
        }
        bar.finish_and_clear();
        println!("   {total} interactions are durable, after {}", self.since(begun));
        Ok(total)
    }

    async fn ask(&self, headline: &str) -> Outcome<Vec<Answer>> {
        println!("\n{headline}");
        let mut answers = Vec::new();
        for (question, filter) in questions() {
            let asked = self.clock.now();
            let answer = self.post("/v1/audiences/count", &json!({ "filter": filter })).await?;
            let count = answer["count"].as_u64().ok_or("no count")?;
            let millis = self.clock.now().0 - asked.0;
            println!("   {question:38} {count:>9}   {millis:>5} ms");
            answers.push(Answer { question, count, millis });
        }
        Ok(answers)
    }

    async fn expire(&self) -> Outcome<()> {
        println!(
            "\n2. The campaign stops, and three months pass. The sweeper moves its data to cold storage:"
        );
        self.post(&format!("/v1/campaigns/{}/stop", &CAMPAIGN[9..]), &json!({})).await?;
        self.post("/_local/clock", &json!({ "advance": "P3M" })).await?;
        let spinner =
            ProgressBar::new_spinner().with_style(ProgressStyle::with_template("   {spinner} {elapsed}")?);
        spinner.enable_steady_tick(LOOK_EVERY);
        let begun = self.clock.now();
        loop {
            self.post("/_local/sweep", &json!({})).await?;
            let campaign = self.get(&format!("/v1/campaigns/{}", &CAMPAIGN[9..])).await?;
            let data = &campaign["interaction_data"];
            if data["state"] == "expired" {
                spinner.finish_and_clear();
                println!("   {} users lie in Parquet on S3, after {}", data["users"], self.since(begun));
                return Ok(());
            }
        }
    }

    async fn refused(&self) -> Outcome<()> {
        println!("\n3. A filter on it is refused, since \"unknown\" must never pass for \"no\":");
        let (_, filter) = &questions()[0];
        let body = json!({ "filter": filter }).to_string().into_bytes();
        let (status, answer) =
            self.call(Method::POST, "/v1/audiences/count", "application/json", body).await?;
        if status != StatusCode::CONFLICT {
            return Err(format!("expected a refusal, got {status}: {answer}").into());
        }
        println!("   {} {}", status.as_u16(), answer["detail"].as_str().unwrap_or_default());
        Ok(())
    }

    async fn restore(&self) -> Outcome<()> {
        println!("\n4. Somebody restores it:");
        let body = json!({ "sources": [CAMPAIGN], "notify": [MARKETER] });
        let request = self.post("/v1/restores", &body).await?;
        let path = format!("/v1/restores/{}", request["id"].as_str().unwrap_or_default());
        let bar = bar(0, "{bar:40} {human_pos}/{human_len} users, {msg}");
        let begun = self.clock.now();
        loop {
            let request = self.get(&path).await?;
            let item = &request["items"][0];
            bar.set_length(item["users_total"].as_u64().unwrap_or(0));
            bar.set_position(item["users_done"].as_u64().unwrap_or(0));
            bar.set_message(
                request["eta_seconds"].as_u64().map_or("done".to_owned(), |s| format!("{s} s left")),
            );
            match request["state"].as_str() {
                Some("completed") => break,
                Some("queued" | "running") => tokio::time::sleep(LOOK_EVERY).await,
                _ => return Err(format!("the restore did not succeed: {request}").into()),
            }
        }
        bar.finish_and_clear();
        println!("   {} users are back, after {}", bar.position(), self.since(begun));
        println!("\n5. A mail arrives:");
        loop {
            let outbox = self.get("/_local/outbox").await?;
            if let Some(mail) = outbox["items"].as_array().and_then(|mails| mails.first()) {
                println!("   To: {}", mail["to"].as_str().unwrap_or_default());
                println!("   Subject: {}", mail["subject"].as_str().unwrap_or_default());
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A bar for the terminal.
pub fn bar(length: u64, template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(&format!("   {template}")).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// The questions that the demo asks before the expiry and after the restore.
fn questions() -> [(&'static str, Value); 6] {
    let of = |more: Value| {
        let mut body = json!({ "source": CAMPAIGN });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    };
    let received = json!({ "received": of(json!({})) });
    let clicked = json!({ "clicked": of(json!({})) });
    [
        ("received it", received.clone()),
        ("received variant B", json!({ "received": of(json!({ "variant": "B" })) })),
        ("opened it themselves", json!({ "opened": of(json!({ "opens": "human" })) })),
        ("clicked the link `cta`", json!({ "clicked": of(json!({ "alias": "cta" })) })),
        ("converted", json!({ "converted": of(json!({})) })),
        ("received it and did not click", json!({ "all": [received, { "not": clicked }] })),
    ]
}

/// The interactions of a user, drawn from a random number that is the same in every run.
fn interactions(user: u32) -> impl Iterator<Item = &'static str> {
    let dice = mix(u64::from(user)) % 100;
    let opened = (dice < 22).then_some(r#""type":"opened","channel":"email""#);
    let machine = (dice > 92).then_some(r#""type":"opened","channel":"email","machine":true"#);
    let clicked = (dice < 5).then_some(r#""type":"clicked","channel":"email","link_alias":"cta""#);
    let converted = (dice < 1).then_some(r#""type":"converted""#);
    let received = if user.is_multiple_of(2) {
        r#""type":"received","channel":"email","variant_id":"A""#
    } else {
        r#""type":"received","channel":"email","variant_id":"B""#
    };
    [Some(received), opened, machine, clicked, converted].into_iter().flatten()
}

fn write_line(out: &mut String, user: u32, interaction: &str, now: i64) -> std::fmt::Result {
    let (a, b) = (mix(u64::from(user) << 1 | 1 << 63), mix(u64::from(user) << 1 | 1));
    let at = now - (b % 60_000) as i64;
    writeln!(
        out,
        r#"{{"user_id":"{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}","campaign_id":"{}",{interaction},"time":{at}}}"#,
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48 & 0x3fff),
        b & 0xffff_ffff_ffff,
        &CAMPAIGN[9..],
    )
}

/// `SplitMix64`'s finalizer: it looks random and is the same in every run.
pub(crate) const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn table(sent: u64, before: &[Answer], after: &[Answer]) -> String {
    let mut out = format!("{sent} interactions{:26} before          after the restore\n", "");
    for (b, a) in before.iter().zip(after) {
        let same = if a.count == b.count { "=" } else { "DIFFERS" };
        let _ = writeln!(
            out,
            "   {:38} {:>9} {:>5} ms   {:>9} {:>5} ms  {same}",
            b.question, b.count, b.millis, a.count, a.millis
        );
    }
    out
}
