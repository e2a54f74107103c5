//! Every kind of fault at every AWS call of every kind of work. Afterwards the ordinary functions recover, and the auditor
//! checks everything.

use crate::fixture::{
    faults::{Fault, Process},
    world::{World, local_settings, try_compact, try_sweep},
};
use axum::body::Body;
use http::Request;
use rekindle_domain::{
    slot::SlotSize,
    time::{Period, Time},
};
use rekindle_local::poller::Consumer;
use rekindle_service::{Settings, Sizes};
use rekindle_tests::sim::{audit::Auditor, history::sizes, rest, truth::Truth};
use serde_json::{Value, json};

const FAULTS: [Fault; 6] =
    [Fault::Breaks, Fault::LosesAnswer, Fault::Busy, Fault::Throttles, Fault::Dies, Fault::DiesAfter];

/// The work that meets a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    /// A batch for an available campaign, for an unknown one and for an expired one.
    Ingest,
    /// An inbox that is too large for one rewrite is folded into hot runs bite by bite; these are merged, and all is archived.
    Rewrite,
    /// An inbox and a restored run are archived, and merged users are put together.
    Expire,
    /// Late rows of an expired campaign are archived.
    Late,
    /// Inboxes are folded and runs merged, of a campaign with an archived run and of `users`; merged users are put together.
    Compact,
    /// Copies past their grace are deleted.
    Purge,
    /// A restore is asked for, begun, and done part by part.
    Restore,
    /// The mails of a restore go out.
    Notice,
    /// Two user ids are merged, and the client asks again.
    Merge,
}

struct Story {
    world: World,
    truth: Truth,
}

impl Story {
    async fn ingest(&mut self, campaign: &str, prefix: &str, users: usize) {
        let events = events(campaign, prefix, users, self.world.clock.now_still());
        let sent = self.truth.send(&events);
        self.world.ingest(&events).await;
        self.truth.acknowledge(sent);
    }

    /// Merges users, a chain among them, long enough ago that rewrites follow.
    async fn merge(&mut self, pairs: &[(&str, &str)]) {
        for (from, into) in pairs {
            let attempt = self.truth.merge(from, into);
            let made = self.world.post("/v1/users/merge", json!({ "from": from, "into": into })).await.ok();
            self.truth.merged(attempt, Some((0, made["number"].as_u64().unwrap())));
        }
        self.world.advance("PT25H");
    }

    async fn expire(&self) {
        self.world.advance("P3M");
        self.world.sweep().await;
        assert_eq!(self.world.state("a").await, "expired");
    }

    /// A world with everything done up to the work.
    async fn new(work: Work, seed: u64) -> Self {
        // Each copy has several parts, and the calls are still few enough to try every one.
        let sizes = Sizes { slot: SlotSize { rows: 12, bytes: 1 << 20 }, ..sizes(400) };
        let settings = Settings { sizes, ..local_settings(Period::parse("P3M").unwrap()) };
        let mut story = Self { world: World::keyless(seed, settings).await, truth: Truth::default() };
        story.world.begin("a").await;
        for batch in 0..if work == Work::Rewrite { 15 } else { 2 } {
            story.ingest("a", &format!("first{batch}-"), if work == Work::Rewrite { 2 } else { 9 }).await;
        }
        story.world.stop("a").await;
        if work == Work::Rewrite {
            story.world.advance("P3M");
            return story;
        }
        story.expire().await;
        match work {
            Work::Ingest => story.world.begin("there").await,
            Work::Late => {
                story.ingest("a", "late", 5).await;
                story.world.advance("PT25H");
            }
            Work::Expire => {
                story.world.restore(&["campaign/a"]).await;
                story.ingest("a", "more", 5).await;
                story.merge(&[("first0-0", "first1-1"), ("more2", "new")]).await;
                story.world.advance("P3M");
            }
            Work::Compact => {
                story.world.restore(&["campaign/a"]).await;
                for batch in 0..2 {
                    for block in 0..3 {
                        story.ingest("a", &format!("more{batch}{block}-"), 3).await;
                    }
                    story.world.advance("PT12M");
                    if batch == 0 {
                        story.world.compact().await;
                        let pairs = [("more00-0", "more01-1"), ("more01-1", "first0-2"), ("more10-1", "new")];
                        story.merge(&pairs).await;
                    }
                }
            }
            Work::Purge => {
                story.world.restore(&["campaign/a"]).await;
                story.expire().await;
                story.world.advance("PT61M");
                story.world.sweep().await;
                story.world.advance("PT61M");
            }
            Work::Notice => {
                story.ask(&story.world.router.clone()).await;
                let healthy = story.world.doomed(Fault::Dies, usize::MAX);
                story.deliver(&healthy, Consumer::Restorer).await;
                assert_eq!(story.world.state("a").await, "available");
            }
            Work::Rewrite | Work::Restore | Work::Merge => {}
        }
        story
    }

    async fn post(router: &axum::Router, path: &str, body: &Value) -> u16 {
        let request =
            Request::post(path).header("idempotency-key", "once").body(Body::from(body.to_string()));
        let answer = tower::ServiceExt::oneshot(router.clone(), request.unwrap()).await.unwrap();
        answer.status().as_u16()
    }

    /// Asks for the restore, always with the same idempotency key.
    async fn ask(&self, router: &axum::Router) -> u16 {
        let body = json!({ "sources": ["campaign/a"], "notify": ["x@example.com", "y@example.com"] });
        Self::post(router, "/v1/restores", &body).await
    }

    async fn deliver(&self, process: &Process, consumer: Consumer) {
        loop {
            let messages = self.world.stack.receive(consumer, 0).await.unwrap();
            if messages.is_empty() {
                return;
            }
            process.stack.deliver(consumer, messages).await.unwrap();
        }
    }

    async fn act(&mut self, work: Work, process: &Process) {
        match work {
            Work::Ingest => {
                let now = self.world.clock.now_still();
                let batch: Vec<Value> =
                    ["there", "new", "a"].iter().flat_map(|c| events(c, "then", 5, now)).collect();
                let sent = self.truth.send(&batch);
                match Self::post(&process.router, "/v1/interactions", &batch.into()).await {
                    200 => self.truth.acknowledge(sent),
                    status => assert_eq!(status, 503),
                }
            }
            Work::Rewrite | Work::Expire | Work::Late | Work::Purge => _ = try_sweep(&process.stack).await,
            Work::Compact => _ = try_compact(&process.stack).await,
            Work::Restore => {
                let status = self.ask(&process.router).await;
                assert!(status == 202 || status == 503, "{status}");
                self.deliver(process, Consumer::Restorer).await;
                // A client without an answer asks again.
                assert_eq!(self.ask(&self.world.router).await, 202);
            }
            Work::Notice => self.deliver(process, Consumer::Notifier).await,
            Work::Merge => {
                let pair = json!({ "from": "first0-1", "into": "first1-2" });
                let attempt = self.truth.merge("first0-1", "first1-2");
                let status = Self::post(&process.router, "/v1/users/merge", &pair).await;
                assert!(status == 200 || status == 503, "{status}");
                assert_eq!(Self::post(&self.world.router, "/v1/users/merge", &pair).await, 200);
                self.truth.merged(attempt, Some((0, 1)));
            }
        }
    }

    /// Checks L1 to L9 once everything is at rest.
    async fn audit(&self, what: &str) {
        let ok = |outcome: Result<(), String>| outcome.unwrap_or_else(|why| panic!("{what}: {why}"));
        ok(rest::settle(&self.world).await);
        let mut auditor = Auditor::default();
        let looked = auditor.look(&self.world, &self.truth, 0, Time(0)).await;
        let snapshot = looked.unwrap_or_else(|why| panic!("{what}: {why}"));
        ok(rest::check(&self.world, &snapshot, &auditor));
        let mails = self.world.outbox().len();
        let recorded = snapshot.catalog.notices.len();
        // A mail may go out twice in one case only: SES took it and this was not recorded, or SES's answer was lost.
        assert!(
            (recorded..=recorded + 1).contains(&mails),
            "L8: {what}: {mails} mails for {recorded} notices"
        );
    }
}

fn events(campaign: &str, prefix: &str, users: usize, now: Time) -> Vec<Value> {
    let event = |i: usize| {
        let kind = if i.is_multiple_of(3) { "clicked" } else { "received" };
        let user = format!("{prefix}{i}");
        json!({ "user_id": user, "campaign_id": campaign, "type": kind, "channel": "email", "time": now.0 - i as i64 })
    };
    (0..users).map(event).collect()
}

/// Runs the work with every fault at every call that it makes.
async fn at_every_call(work: Work, least: usize) {
    for fault in FAULTS {
        let mut at = 0;
        loop {
            let mut story = Story::new(work, at as u64).await;
            let process = story.world.doomed(fault, at);
            story.act(work, &process).await;
            story.audit(&format!("{work:?}, {fault:?} at call {at}")).await;
            if !process.has_struck() {
                break;
            }
            at += 1;
        }
        assert!(at >= least, "{work:?}, {fault:?}: only {at} calls");
    }
}

macro_rules! every_call_of {
    ($($name:ident: $work:ident, $least:expr;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            at_every_call(Work::$work, $least).await;
        }
    )*};
}

every_call_of! {
    l1_to_l9_at_every_call_of_ingest: Ingest, 8;
    l1_to_l9_at_every_call_of_a_rewrite: Rewrite, 60;
    l1_to_l9_at_every_call_of_an_expiry: Expire, 20;
    l1_to_l9_at_every_call_of_archiving_late_rows: Late, 20;
    l1_to_l9_at_every_call_of_a_compaction: Compact, 40;
    l1_to_l9_at_every_call_of_a_purge: Purge, 15;
    l1_to_l9_at_every_call_of_a_restore: Restore, 30;
    l1_to_l9_at_every_call_of_a_notice: Notice, 8;
    l11_at_every_call_of_a_merge_of_users: Merge, 3;
}
