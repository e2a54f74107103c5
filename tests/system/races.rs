//! Concurrent processes, interleaved call by call in ways that follow from a seed.

use crate::fixture::{
    faults::{Fault, Process},
    world::{World, got, received, sweep_with},
};
use axum::body::Body;
use http::Request;
use rekindle_domain::key::{MAX_KEYS, Scope};
use rekindle_local::poller::Consumer;
use rekindle_service::{Caller, access::KeyInput};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A process whose calls take turns with those of others.
fn slow(world: &World, seed: usize) -> Process {
    world.doomed(Fault::Dawdles, seed)
}

async fn post(process: &Process, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::post(path).body(body).unwrap();
    let answer = tower::ServiceExt::oneshot(process.router.clone(), request).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn l1_two_sweepers_at_once_expire_each_source_once() {
    for seed in 0..6 {
        let world = World::new(seed).await;
        let names: Vec<String> = (0..12).map(|i| format!("c{i}")).collect();
        for (i, name) in names.iter().enumerate() {
            world.begin(name).await;
            world.ingest_received(name, "u", 10 + i).await;
            world.ingest_received(name, "v", 10).await;
            world.stop(name).await;
        }
        world.advance("P3M");
        let [one, other, third] = [1, 2, 3].map(|i| slow(&world, seed as usize * 10 + i));
        let (one, other, third) =
            tokio::join!(sweep_with(&one.stack), sweep_with(&other.stack), sweep_with(&third.stack));
        let expired = one.expired + other.expired + third.expired;
        let failed = one.failed + other.failed + third.failed;
        assert_eq!(failed, 0, "{one:?} {other:?}");
        assert!(expired <= 12, "{one:?} {other:?}");
        // Work that a sweeper skipped because of another's lease is done later.
        world.settle().await;
        for name in &names {
            let events = world.timeline(name).await;
            assert_eq!(events.iter().filter(|e| *e == "expired").count(), 1, "{name} {events:?}");
            assert_eq!(world.state(name).await, "expired");
        }
        world.clean_up().await;
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        world.assert_no_orphans(&all).await;
        let sources: Vec<String> = names.iter().map(|n| format!("campaign/{n}")).collect();
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        world.restore(&sources).await;
        for (i, name) in names.iter().enumerate() {
            assert_eq!(world.count(&got(name)).await, 20 + i as u64, "{name}");
        }
    }
}

/// Interactions arrive and questions are asked while the data expires and comes back: acknowledged interactions are found, and
/// an answer is whole or a refusal.
#[tokio::test(start_paused = true)]
async fn l3_readers_and_writers_during_expiry_and_restore() {
    for seed in 0..24 {
        let world = World::new(seed).await;
        world.begin("a").await;
        world.ingest_received("a", "u", 100).await;
        world.stop("a").await;
        if seed % 2 == 1 {
            world.advance("P3M");
            world.sweep().await;
            world.restore(&["campaign/a"]).await;
            world.ingest_received("a", "u", 100).await;
        }
        world.advance("P3M");
        let seed = seed as usize * 100;
        let mut posted = 0;
        let mut least = 100;
        for phase in 0..2 {
            let worker = slow(&world, seed + phase);
            let writer = slow(&world, seed + 10 + phase);
            let reader = slow(&world, seed + 20 + phase);
            let work = async {
                if phase == 0 {
                    sweep_with(&worker.stack).await;
                } else {
                    worker.stack.drain().await.unwrap();
                }
            };
            let first = posted;
            let write = async {
                for i in first..first + 6 {
                    let batch = json!([received("a", &format!("late{i}"))]);
                    let (status, answer) = post(&writer, "/v1/interactions", batch).await;
                    assert_eq!(status, 200, "{answer}");
                }
            };
            let read = async {
                let mut last = least;
                for i in 0..8 {
                    let body = json!({ "filter": got("a") });
                    let (status, answer) = post(&reader, "/v1/audiences/count", body).await;
                    if status == 409 {
                        assert_eq!(answer["code"], "expired_interaction_data", "{answer}");
                        continue;
                    }
                    assert_eq!(status, 200, "seed {seed} read {i}: {answer}");
                    let count = answer["count"].as_u64().unwrap();
                    assert!(count >= last, "seed {seed} read {i}: {count} after {last}");
                    last = count;
                }
                last
            };
            if phase == 1 {
                world.request_restore(&["campaign/a"], &[]).await;
            }
            let ((), (), last) = tokio::join!(work, write, read);
            posted += 6;
            least = last;
            world.settle().await;
        }
        assert_eq!(world.state("a").await, "available");
        assert_eq!(world.count(&got("a")).await, 112, "seed {seed}");
        world.clean_up().await;
        world.assert_no_orphans(&["a"]).await;
        assert_eq!(world.count(&got("a")).await, 112, "seed {seed}");
    }
}

/// Two workers have the same messages, while the sweeper runs and a person cancels the request.
#[tokio::test(start_paused = true)]
async fn l8_workers_sweeper_and_cancellation_at_once() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..24 {
        let world = World::new(seed).await;
        world.begin("a").await;
        world.ingest_received("a", "u", 50).await;
        world.stop_and_expire("a").await;
        let id = world.request_restore(&["campaign/a"], &["me@example.com"]).await;
        let begin = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
        let seed = seed as usize * 10;
        let [one, other, sweeper, person] = [1, 2, 3, 4].map(|i| slow(&world, seed + i));
        world.let_visibility_pass().await;
        let work = async |process: &Process| {
            let stack = &process.stack;
            stack.deliver(Consumer::Restorer, begin.clone()).await.unwrap();
            stack.drain().await.unwrap();
        };
        let path = format!("/v1/restores/{id}/cancel");
        let cancel = async {
            for _ in 0..seed {
                tokio::task::yield_now().await;
            }
            post(&person, &path, Value::Null).await
        };
        let ((), (), _, (status, answer)) =
            tokio::join!(work(&one), work(&other), sweep_with(&sweeper.stack), cancel);
        world.settle().await;
        let request = world.request(&id).await;
        let item = request["items"][0]["state"].as_str().unwrap().to_owned();
        let (state, mails) = (world.state("a").await, world.outbox().len());
        let what = format!("seed {seed}: {status} {answer}, then {request}, {state}, {mails} mails");
        match item.as_str() {
            "cancelled" => assert_eq!((&*state, mails), ("expired", 0), "{what}"),
            "restored" => {
                assert_eq!(state, "available", "{what}");
                assert_eq!(mails, usize::from(status == 409), "{what}");
            }
            _ => panic!("{what}"),
        }
        outcomes.insert(item);
        if state == "expired" {
            world.restore(&["campaign/a"]).await;
        }
        assert_eq!(world.count(&got("a")).await, 50, "{what}");
    }
    assert_eq!(outcomes.len(), 2, "both ways: {outcomes:?}");
}

/// A holder starts while sweepers run: either the start is granted or the data expires, never both.
#[tokio::test(start_paused = true)]
async fn l6_a_start_and_sweeps_at_once() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..32 {
        let world = World::new(seed).await;
        world.begin("x").await;
        world.ingest_received("x", "u", 20).await;
        world.stop("x").await;
        world.put("/v1/campaigns/vip", json!({ "audience": got("x") })).await.ok();
        world.advance("P3M");
        let seed = seed as usize * 10;
        let [person, sweeper] = [1, 2].map(|i| slow(&world, seed + i));
        let start = async {
            for _ in 0..seed * 8 {
                tokio::task::yield_now().await;
            }
            post(&person, "/v1/campaigns/vip/start", Value::Null).await
        };
        let ((status, answer), report) = tokio::join!(start, sweep_with(&sweeper.stack));
        let is_expired = world.state("x").await == "expired";
        assert_eq!(report.expired == 1, is_expired, "{report:?}");
        assert_eq!(status, if is_expired { 409 } else { 200 }, "{answer}");
        let held = world.campaign("x").await["interaction_data"]["held_by"] != json!([]);
        assert_eq!(held, !is_expired);
        outcomes.insert(is_expired);
    }
    assert_eq!(outcomes.len(), 2, "both ways: {outcomes:?}");
}

/// Many senders at once post the first interactions of a source.
#[tokio::test(start_paused = true)]
async fn l1_many_senders_register_a_source_at_once() {
    let world = World::new(19).await;
    let senders = [0, 1, 2, 3, 4, 5].map(|i| slow(&world, i));
    let send = async |i: usize| {
        let batch = ["new", "newer"].map(|campaign| received(campaign, &format!("u{i}")));
        let (status, answer) = post(&senders[i], "/v1/interactions", json!(batch)).await;
        assert_eq!(status, 200, "{answer}");
    };
    tokio::join!(send(0), send(1), send(2), send(3), send(4), send(5));
    for campaign in ["new", "newer"] {
        assert_eq!(world.count(&got(campaign)).await, 6);
        assert_eq!(world.timeline(campaign).await, ["registered"]);
    }
}

/// Of two keys that are made at once, in any order of the calls, only one is made if there is room for one.
#[tokio::test(start_paused = true)]
async fn the_bound_on_keys_holds_when_two_are_made_at_once() {
    let world = World::new(216).await;
    let input = KeyInput { name: "x".to_owned(), scopes: [Scope::Read].into() };
    let caller = Caller::default();
    // The world has a key already.
    for _ in 2..MAX_KEYS {
        world.app().create_key(&input, &caller).await.unwrap();
    }
    for seed in 0..24 {
        let (a, b) = (slow(&world, seed), slow(&world, 99));
        let outcomes =
            tokio::join!(a.stack.app.create_key(&input, &caller), b.stack.app.create_key(&input, &caller));
        let (made, problem) = match outcomes {
            (Ok(made), Err(problem)) | (Err(problem), Ok(made)) => (made, problem),
            both => panic!("seed {seed}: {both:?}"),
        };
        assert_eq!(problem.code, "too_many_keys");
        world.app().revoke_key(made.id, &caller).await.unwrap();
    }
}
