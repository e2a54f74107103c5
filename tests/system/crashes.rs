//! A process dies before or right after any one AWS call, or loses one answer. Ordinary sweeps and deliveries finish its work,
//! and nothing that was acknowledged is missing.

use crate::fixture::{
    faults::{Fault, Process},
    world::{World, got, purge, received, router_of, try_sweep},
};
use axum::body::Body;
use http::Request;
use rekindle_local::poller::Consumer;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const FAULTS: [Fault; 3] = [Fault::Dies, Fault::DiesAfter, Fault::LosesAnswer];
/// Enough sweeps for every lease to lapse and every bound to be reached: some twenty minutes.
const ROUNDS: usize = 40;

/// Runs `story` with every kind of fault at every call that the story makes.
async fn at_every_call<F: Future<Output = bool>>(least: usize, story: impl Fn(Fault, usize) -> F) {
    at_every_call_of(&FAULTS, least, story).await;
}

async fn at_every_call_of<F: Future<Output = bool>>(
    faults: &[Fault],
    least: usize,
    story: impl Fn(Fault, usize) -> F,
) {
    for &fault in faults {
        let mut at = 0;
        while story(fault, at).await {
            at += 1;
        }
        assert!(at >= least, "{fault:?}: only {at} calls");
    }
}

/// Lets time pass and the schedule run until `is_done`; panics if that takes too long (L9).
async fn recover(world: &World, what: &str, is_done: impl AsyncFn() -> bool) {
    for _ in 0..ROUNDS {
        if is_done().await {
            return;
        }
        world.let_visibility_pass().await;
        world.sweep().await;
        world.drain().await;
    }
    panic!("{what}: it does not end");
}

/// Delivers a queue's messages to a handler that may die. Messages that are not done come again.
async fn deliver_all(world: &World, doomed: &Process, consumer: Consumer) {
    while !doomed.has_struck() {
        let messages = world.stack.receive(consumer, 0).await.unwrap();
        if messages.is_empty() {
            return;
        }
        doomed.stack.deliver(consumer, messages).await.unwrap();
    }
}

fn everybody() -> Value {
    json!({ "any": [{ "never_received": {} }, { "not": { "never_received": {} } }] })
}

async fn assert_in_universe(world: &World, campaign: &str) {
    let universe: BTreeSet<String> = world.members(&everybody(), 50_000).await.into_iter().collect();
    for user in world.members(&got(campaign), 50_000).await {
        assert!(universe.contains(&user), "{user} is not in the ledger `users`");
    }
}

#[tokio::test(start_paused = true)]
async fn l1_ingest_dies_at_any_call() {
    at_every_call(6, async |fault, at| {
        let world = World::new(at as u64).await;
        world.begin("old").await;
        world.ingest_received("old", "before", 3).await;
        world.stop_and_expire("old").await;
        world.begin("there").await;
        let doomed = world.doomed(fault, at);
        let batch: Vec<Value> =
            (0..300).flat_map(|i| ["there", "new", "old"].map(|c| received(c, &format!("u{i}")))).collect();
        let body = Body::from(Value::from(batch.clone()).to_string());
        let request = Request::post("/v1/interactions").body(body).unwrap();
        let response = tower::ServiceExt::oneshot(doomed.router.clone(), request).await.unwrap();
        let is_acknowledged = response.status() == 200;
        let what = format!("{fault:?} at {at}");
        if !is_acknowledged {
            assert_eq!(response.status(), 503, "{what}");
            assert!(response.headers().contains_key("retry-after"), "{what}");
        }
        for campaign in ["there", "new"] {
            if world.get(&format!("/v1/campaigns/{campaign}")).await.status == 404 {
                assert!(!is_acknowledged, "{what}");
                continue;
            }
            let count = world.count(&got(campaign)).await;
            assert!(count == 300 || !is_acknowledged, "{what}: {count}");
            assert_in_universe(&world, campaign).await;
        }
        // Sending the same again is always safe. Afterwards everything is there, late rows too.
        world.ingest(&batch).await;
        for campaign in ["there", "new"] {
            assert_eq!(world.count(&got(campaign)).await, 300, "{what}");
        }
        world.restore(&["campaign/old"]).await;
        assert_eq!(world.count(&got("old")).await, 303, "{what}");
        assert_eq!(world.count(&everybody()).await, 303, "{what}");
        doomed.has_struck()
    })
    .await;
}

/// A campaign with rows in a restored run (hot and cold) for each cycle, and in an inbox.
async fn with_history(seed: u64, cycles: usize) -> World {
    let world = World::new(seed).await;
    world.begin("a").await;
    world.ingest_received("a", "first", 120).await;
    world.stop("a").await;
    for cycle in 0..cycles {
        world.advance("P3M");
        world.sweep().await;
        assert_eq!(world.state("a").await, "expired");
        world.ingest_received("a", &format!("late{cycle}-"), 10).await;
        world.restore(&["campaign/a"]).await;
    }
    world.advance("P3M");
    world
}

async fn assert_whole(world: &World, expected: u64, what: &str) {
    assert_eq!(world.count(&got("a")).await, expected, "{what}");
    let members: BTreeSet<String> = world.members(&got("a"), 77).await.into_iter().collect();
    assert_eq!(members.len() as u64, expected, "{what}");
    assert!(members.contains("first7"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn l9_an_expiry_dies_at_any_call() {
    for cycles in [0, 1] {
        at_every_call(25, async |fault, at| {
            let world = with_history(at as u64, cycles).await;
            let what = format!("{fault:?} at {at} after {cycles} cycles");
            let doomed = world.doomed(fault, at);
            let _ = try_sweep(&doomed.stack).await;
            // Whatever happened, no answer ever shows half of the data.
            let filter = got("a");
            let answer = world.try_count(&filter, "exclude").await.ok();
            let expected = 120 + 10 * cycles as u64;
            let is_expired = answer["expired"] == json!(["campaign/a"]);
            let certain = if is_expired { 0 } else { expected };
            assert_eq!(answer["count"], certain, "{what}: {answer}");

            recover(&world, &what, async || world.state("a").await == "expired").await;
            world.clean_up().await;
            world.assert_no_orphans(&["a"]).await;
            world.restore(&["campaign/a"]).await;
            assert_whole(&world, expected, &what).await;
            let events = world.timeline("a").await;
            let expired = events.iter().filter(|e| *e == "expired").count();
            assert_eq!(expired, cycles + 1, "{what}: {events:?}");
            doomed.has_struck()
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn l9_a_restore_dies_at_any_call() {
    // The queue's messages are lost with the process, or come again.
    for (is_queue_lost, faults) in [(false, &FAULTS[..]), (true, &FAULTS[..1])] {
        at_every_call_of(faults, 30, async |fault, at| {
            let world = with_history(at as u64, 1).await;
            world.sweep().await;
            assert_eq!(world.state("a").await, "expired");
            world.ingest_received("a", "later", 5).await;
            let what = format!("{fault:?} at {at}, queue lost: {is_queue_lost}");
            let doomed = world.doomed(fault, at);
            let ask = async |router: &axum::Router| {
                let body = json!({ "sources": ["campaign/a"], "notify": ["x@example.com", "y@example.com"] });
                let request = Request::post("/v1/restores").header("idempotency-key", "once");
                let request = request.body(Body::from(body.to_string())).unwrap();
                let answer = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
                let status = answer.status();
                let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
                (status, serde_json::from_slice::<Value>(&body).unwrap())
            };
            let (status, answer) = ask(&doomed.router).await;
            assert!(status == 202 || status == 503, "{what}: {status} {answer}");
            deliver_all(&world, &doomed, Consumer::Restorer).await;
            if is_queue_lost {
                purge(&world.stack, Consumer::Restorer).await;
                purge(&world.stack, Consumer::Notifier).await;
            }
            let answer = world.try_count(&got("a"), "exclude").await.ok();
            let is_back = answer["expired"] == json!([]);
            // What arrived after the expiry is certain all the while.
            let certain = if is_back { 135 } else { 5 };
            assert_eq!(answer["count"], certain, "{what}: {answer}");

            // A client without an answer asks again with the same idempotency key.
            let (status, request) = ask(&router_of(world.app())).await;
            assert_eq!(status, 202, "{what}: {request}");
            let id = request["id"].as_str().unwrap().to_owned();
            recover(&world, &what, async || {
                world.request(&id).await["state"] == "completed" && world.outbox().len() >= 2
            })
            .await;
            let request = world.request(&id).await;
            assert_eq!(request["items"][0]["state"], "restored", "{what}: {request}");
            world.clean_up().await;
            for address in ["x@example.com", "y@example.com"] {
                assert_eq!(world.mails_to(address).len(), 1, "{what}");
            }
            let events = world.timeline("a").await;
            let restored = events.iter().filter(|e| *e == "restored").count();
            assert_eq!(restored, 2, "{what}: {events:?}");
            assert_whole(&world, 135, &what).await;
            world.assert_no_orphans(&["a"]).await;
            doomed.has_struck()
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn l8_a_notice_dies_at_any_call() {
    let twice = std::cell::Cell::new(0);
    at_every_call(8, async |fault, at| {
        let world = World::new(at as u64).await;
        world.begin("a").await;
        world.ingest_received("a", "u", 5).await;
        world.stop_and_expire("a").await;
        let to = ["x@example.com", "y@example.com"];
        world.request_restore(&["campaign/a"], &to).await;
        let healthy = world.doomed(Fault::Dies, usize::MAX);
        deliver_all(&world, &healthy, Consumer::Restorer).await;
        assert_eq!(world.state("a").await, "available");
        assert_eq!(world.outbox().len(), 0);

        let what = format!("{fault:?} at {at}");
        let doomed = world.doomed(fault, at);
        deliver_all(&world, &doomed, Consumer::Notifier).await;
        let mails = || to.map(|address| world.mails_to(address).len());
        recover(&world, &what, async || !mails().contains(&0)).await;
        world.clean_up().await;
        assert!(mails().iter().all(|n| *n <= 2) && mails().iter().sum::<usize>() <= 3, "{what}");
        twice.set(twice.get() + usize::from(mails() != [1, 1]));
        doomed.has_struck()
    })
    .await;
    // Each of two mails may go out twice in one case only: SES took it and this was not recorded, or SES's answer was lost.
    assert!(twice.get() <= 2 * FAULTS.len(), "{} mails went out twice", twice.get());
}

/// Every message is lost: the sweeper queues the work again that is unfinished in the catalog.
#[tokio::test(start_paused = true)]
async fn l9_the_sweeper_alone_drives_on_what_the_queues_lost() {
    let world = with_history(3, 0).await;
    world.sweep().await;
    let id = world.request_restore(&["campaign/a"], &["x@example.com"]).await;
    purge(&world.stack, Consumer::Restorer).await;
    assert_eq!(world.drain().await, 0);
    assert_eq!(world.request(&id).await["state"], "queued");
    world.let_visibility_pass().await;
    world.sweep().await;
    // The request is begun. Then the messages of its parts are lost, and then the mail's.
    let begin = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
    world.stack.deliver(Consumer::Restorer, begin).await.unwrap();
    assert_eq!(world.state("a").await, "restoring");
    purge(&world.stack, Consumer::Restorer).await;
    world.let_visibility_pass().await;
    world.sweep().await;
    let parts = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
    assert_eq!(parts.len(), 1);
    world.stack.deliver(Consumer::Restorer, parts).await.unwrap();
    assert_eq!(world.request(&id).await["state"], "completed");
    purge(&world.stack, Consumer::Notifier).await;
    assert_eq!(world.drain().await, 0);
    assert_eq!(world.outbox().len(), 0);
    world.let_visibility_pass().await;
    world.sweep().await;
    world.drain().await;
    assert_eq!(world.mails_to("x@example.com").len(), 1);
    world.settle().await;
    assert_eq!(world.outbox().len(), 1);
}
