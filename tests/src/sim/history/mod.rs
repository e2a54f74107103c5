//! One history: processes that ingest, ask, sweep, restore and send mails, interleaved call by call as the seed decides, with
//! faults and deaths. An auditor checks the stored state after every call that matters.

use super::{
    audit::{self, Auditor, Deleted, Violation},
    gate::{Call, Gate, Process, Verdict},
    rest,
    snapshot::{Catalog, Snapshot},
    truth::Truth,
};
use crate::fixture::{
    model::Model,
    ports::Dice,
    world::{Answer, World, local_settings, router_of},
};
use aws_sdk_sqs::types::Message;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use lambda_runtime::LambdaEvent;
use rekindle_domain::{
    Ulid,
    breaks::{self, Break},
    compact::Tiering,
    id::{CopyId, SourceId},
    manifest::DataState,
    slot::SlotSize,
    source::Status,
    time::{Clock, Period, Time},
};
use rekindle_local::{
    poller::{Consumer, context},
    stack::{ARCHIVE, LEDGER, Stack},
};
use rekindle_service::{Rekindle, Settings, Sizes};
use rekindle_store::Store;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::AbortHandle;
use tower::ServiceExt;

mod answers;
mod choices;
mod end;
mod faults;

/// A fault that a test puts into the software on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// One of the software's rules is broken.
    Rule(Break),
    /// An invocation reads the clock once, and uses that time to its end.
    OneNow,
}

impl Fault {
    /// All faults.
    pub fn all() -> Vec<Self> {
        Break::ALL.map(Self::Rule).into_iter().chain([Self::OneNow]).collect()
    }
}

/// A clock that was read once.
struct Stopped(Time);

impl Clock for Stopped {
    fn now(&self) -> Time {
        self.0
    }
}

/// A campaign and a Canvas.
const SOURCES: [&str; 2] = ["campaign/a", "canvas/b"];
/// The most calls that a process makes between reading the clock for a swap and the swap.
const CALLS_FOR_A_DECISION: usize = 12;
/// How many processes are at work at once.
const AT_ONCE: usize = 3;

/// How a process ended.
enum Ended {
    Answered(StatusCode, Value),
    Worked(Result<(), String>),
}

/// The work of a process.
enum Work {
    Ingest(Range<usize>),
    Ask { filter: Value, exclude: bool, question: Question, acknowledged: Vec<bool> },
    Start(&'static str),
    Stop(&'static str),
    Put,
    Merge(usize),
    Restore,
    Cancel,
    Sweep,
    Compact,
    Deliver(Consumer),
}

impl Work {
    /// How long it may run before it is killed: a quarter of an hour, Lambda's limit; for HTTP requests half a minute, the
    /// gateway's limit.
    const fn life_millis(&self) -> i64 {
        match self {
            Self::Sweep | Self::Compact | Self::Deliver(_) => 15 * 60 * 1000,
            _ => 30 * 1000,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Question {
    Count,
    Members,
    Match,
}

struct Running {
    work: Work,
    since_step: u64,
    since: Time,
    faults: u32,
    /// When its last calls were let through.
    released: VecDeque<Time>,
    abort: AbortHandle,
}

/// The counts of one history.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// How many calls to AWS were interleaved.
    pub calls: u64,
    /// How many of them met a fault.
    pub faults: u64,
    /// How often the auditor checked the state.
    pub audits: u64,
    /// How many processes were killed.
    pub kills: u64,
    /// How many expiries and restores there were.
    pub moves: u64,
    /// A hash of every call in its order, with its verdict. Equal histories have equal fingerprints.
    pub fingerprint: u64,
}

/// A history that is being played.
pub struct History {
    world: World,
    gate: Gate,
    store: Store,
    dice: Dice,
    fault: Option<Fault>,
    truth: Truth,
    auditor: Auditor,
    running: BTreeMap<u64, Running>,
    ended: Arc<Mutex<Vec<(u64, Ended)>>>,
    ingesters: [Rekindle; 2],
    /// Asks questions. It lives long, so that it remembers what it read.
    asker: Rekindle,
    /// The known status of each source; `None` while a process changes it.
    statuses: BTreeMap<&'static str, Option<Status>>,
    /// Sources whose status is not known any more: a change's answer was lost, or two changes ran at once.
    unsure: BTreeSet<&'static str>,
    /// Whether there may be something in the queues.
    has_messages: bool,
    /// Batches that were taken off a queue and not yet handed over.
    in_hand: VecDeque<(Consumer, Vec<Message>)>,
    /// The batch that was last given to a notifier.
    notices: Vec<Message>,
    /// The ids of all restores that were asked for.
    requests: Vec<String>,
    next: u64,
    step: u64,
    fault_percent: u64,
    /// The chance, in percent, that the next call is taken from the same process. At 0 all processes take turns, at 90 some
    /// stand still for long.
    sticks_percent: u64,
    last: u64,
    leans: bool,
    rots: bool,
    damages: bool,
    mail_slack: usize,
    report: Report,
    trace: Option<String>,
}

/// The path of a source in the API, followed by `more`.
fn path(source: &str, more: &str) -> String {
    match source.split_once('/') {
        Some(("canvas", id)) => format!("/v1/canvases/{id}{more}"),
        _ => format!("/v1/campaigns/{}{more}", source.trim_start_matches("campaign/")),
    }
}

/// Sizes so small that a dozen users fill several slots, blocks, bites and runs.
pub fn sizes(hot_block: usize) -> Sizes {
    Sizes {
        slot: SlotSize { rows: 6, bytes: 1 << 20 },
        inbox_keys: 6,
        inbox_bytes: 1 << 20,
        hot_runs: 3,
        cold_runs: 3,
        hot_block,
        tiering: Tiering { inbox_blocks: 3, inbox_bytes: 1 << 20, fanout: 2, smallest: 4 },
    }
}

/// From this seed on, histories favour the moments at which rules matter: a question or an edit often starts just before a
/// commit.
pub const LEANING: u64 = 1 << 32;

/// Plays the history of a seed, on a runtime of its own with paused time.
///
/// # Errors
/// The violation that the auditor found; with `trace`, also the steps before it.
pub fn play(seed: u64, fault: Option<Fault>, trace: bool) -> Result<Report, Violation> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    breaks::set(match fault {
        Some(Fault::Rule(what)) => Some(what),
        _ => None,
    });
    // The SDK draws its jitter from this thread's generator.
    fastrand::seed(seed);
    let outcome = runtime.block_on(async {
        let mut history = History::new(seed, fault, trace).await;
        let outcome = history.run().await;
        let trace = history.trace.take().unwrap_or_default();
        if outcome.is_ok() && !trace.is_empty() {
            println!("{trace}");
        }
        outcome.map_err(|violation| format!("{violation}{trace}"))
    });
    breaks::set(None);
    outcome.map_err(|violation| format!("seed {seed}: {violation}"))
}

impl History {
    async fn new(seed: u64, fault: Option<Fault>, trace: bool) -> Self {
        let settings = local_settings(Period::parse("P3M").expect("a period"));
        let notice_period = if seed.is_multiple_of(2) { settings.notice_period } else { Period::of_days(1) };
        let notify = vec!["stack@example.com".to_owned()];
        let settings = Settings { sizes: sizes(110), notice_period, notify, ..settings };
        let world = World::keyless(seed, settings).await;
        let gate = Gate::default();
        let retries = world.aws.sdk_config().retry_config().expect("retries").clone();
        // Retries without a delay always come in the same order.
        let retries = retries.with_initial_backoff(Duration::ZERO).with_max_backoff(Duration::ZERO);
        let client = gate.client(&world.aws.http_client());
        let config = world.aws.sdk_config().into_builder().http_client(client).retry_config(retries).build();
        let store = world.store_over(&config);
        let mut dice = Dice(seed.wrapping_mul(0x0123_4567_89ab_cdef));
        let app =
            || Rekindle::new(store.clone(), world.clock.clone(), world.ids.clone(), world.settings.clone());
        let (ingesters, asker) = ([app(), app()], app());
        let fault_percent = [0, 2, 6, 15][dice.below(4) as usize];
        let sticks_percent = [0, 50, 90][dice.below(3) as usize];
        let sticks_percent = if seed >= LEANING { 80 } else { sticks_percent };
        let (rots, damages) = (dice.chance(20), dice.chance(15));
        Self {
            gate,
            store,
            dice,
            fault,
            truth: Truth::default(),
            auditor: Auditor::default(),
            running: BTreeMap::new(),
            ended: Arc::default(),
            ingesters,
            asker,
            statuses: SOURCES.into_iter().map(|c| (c, Some(Status::Active))).collect(),
            has_messages: false,
            in_hand: VecDeque::new(),
            notices: Vec::new(),
            requests: Vec::new(),
            unsure: BTreeSet::new(),
            next: 0,
            step: 0,
            fault_percent,
            sticks_percent,
            last: 0,
            leans: seed >= LEANING,
            rots,
            damages,
            mail_slack: 0,
            report: Report::default(),
            trace: trace.then(String::new),
            world,
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let now = self.world.clock.now_still();
        if let Some(trace) = &mut self.trace {
            let _ = write!(trace, "\n  {:4} {now} {}", self.step, what());
        }
    }

    async fn run(&mut self) -> Result<Report, Violation> {
        self.begin().await;
        self.look(Time(0)).await?;
        let mut left = 8 + self.dice.below(14);
        while left > 0 || !self.running.is_empty() {
            self.step += 1;
            self.come_to_rest().await;
            self.take_outcomes()?;
            let waiting = self.gate.count();
            let may_begin = left > 0 && self.running.len() < AT_ONCE;
            if may_begin && (waiting == 0 || self.dice.chance(12)) {
                left -= 1;
                self.begin_something().await?;
            } else if self.gate.late() > 0 && self.dice.chance(10) {
                self.land_something().await?;
            } else if self.fault_percent > 0 && !self.running.is_empty() && self.dice.below(1000) < 4 {
                self.kill_somebody();
            } else if !self.running.is_empty() && self.dice.chance(3) {
                let millis = [1_000, 7_000, 25_000, 120_000][self.dice.below(4) as usize];
                self.pass_time(millis).await?;
            } else if waiting > 0 {
                self.release_something(waiting).await?;
            }
        }
        self.finish().await?;
        Ok(self.report)
    }

    /// Two sources with some interactions; the first may have stopped, expired, and come back before this begins.
    async fn begin(&mut self) {
        for source in SOURCES {
            self.world.put(&path(source, ""), json!({ "tags": ["promo"] })).await.ok();
            self.world.post(&path(source, "/start"), Value::Null).await.ok();
        }
        for segment in ["s", "t"] {
            let body = json!({ "filter": { "hard_bounced": {} } });
            self.world.put(&format!("/v1/segments/{segment}"), body).await.ok();
        }
        if self.leans && self.dice.chance(50) {
            // The Canvas' audience expands to the campaign through one of two segments.
            let filter = json!({ "filter": { "opened": { "source": SOURCES[0] } } });
            self.world.put("/v1/segments/s", filter).await.ok();
            let audience = json!({ "any": [{ "segment": "s" }, { "segment": "t" }] });
            let body = json!({ "audience": audience, "tags": ["promo"] });
            self.world.put(&path(SOURCES[1], ""), body).await.ok();
        }
        for _ in 0..1 + self.dice.below(3) {
            let events = self.events();
            let sent = self.truth.send(&events);
            self.world.ingest(&events).await;
            self.truth.acknowledge(sent);
        }
        let past = self.dice.below(5);
        if past > 0 {
            self.world.stop("a").await;
            self.statuses.insert(SOURCES[0], Some(Status::Stopped));
            self.world.advance("P3M");
        }
        if past > 1 {
            self.world.sweep().await;
        }
        if past > 2 && self.world.state("a").await == "expired" {
            self.world.restore(&["campaign/a"]).await;
            self.world.advance(if past > 3 { "P3M" } else { "P1D" });
        }
    }

    /// Waits until every process waits at the gate: tokio's paused time moves on only when no task can run.
    async fn come_to_rest(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn look(&mut self, decided: Time) -> Result<Snapshot, Violation> {
        self.report.audits += 1;
        let snapshot = self.auditor.look(&self.world, &self.truth, self.step, decided).await?;
        for (source, status) in &self.statuses {
            let id: SourceId = source.parse()?;
            let found = snapshot.catalog.sources.get(&id).map(|s| s.doc.status);
            if status.is_some() && found != *status {
                return Err(format!("L6: {id} is {found:?}, but a caller was told that it is {status:?}"));
            }
        }
        Ok(snapshot)
    }
}
