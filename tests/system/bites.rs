//! Inboxes that are too large for one rewrite, and ledgers of several slots.

use crate::fixture::world::{World, got, received};
use rekindle_domain::manifest::Tier;
use rekindle_local::poller::Consumer::Restorer;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// 2,100 tiny batches: the inbox has more blocks than a rewrite may take.
async fn with_large_inbox(seed: u64) -> World {
    let world = World::new(seed).await;
    world.begin("a").await;
    for i in 0..2_100 {
        let user = format!("u{}", i % 1_600);
        world.ingest(&[received("a", &user)]).await;
    }
    world.stop("a").await;
    world.advance("P3M");
    assert_eq!(world.inbox_blocks("a").await, 2_100);
    world
}

#[tokio::test(start_paused = true)]
async fn l1_an_inbox_larger_than_a_bite_is_archived_whole() {
    let world = with_large_inbox(50).await;
    let members = world.members(&got("a"), 50_000).await;
    assert_eq!(members.len(), 1_600);
    assert_eq!(world.sweep().await.expired, 1);
    assert_eq!(world.inbox_blocks("a").await, 0);
    world.clean_up().await;
    assert!(world.hot_copies().await.is_empty(), "the bite's hot run is gone");
    assert_eq!(world.manifest("a").await.runs.len(), 1);
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 1_600);
    assert_eq!(world.members(&got("a"), 50_000).await, members);
    world.assert_no_orphans(&["a"]).await;
}

/// Every sweep has so little time that it ends in the middle of the work; together they finish it.
#[tokio::test(start_paused = true)]
async fn l9_many_short_sweeps_do_what_one_long_one_does() {
    let world = with_large_inbox(51).await;
    let mut sweeps = 0;
    while world.state("a").await != "expired" {
        let budget = rekindle_service::Budget::until(world.clock.now_still().plus(8));
        world.clock.tick_by(1);
        world.app().sweep(&budget).await.unwrap();
        world.clock.tick_by(0);
        // The answer is whole at every moment.
        assert_eq!(world.count_excluding(&json!({ "not": got("a") })).await.0, 0);
        world.let_visibility_pass().await;
        sweeps += 1;
        assert!(sweeps < 200, "the sweeps make no progress");
    }
    assert!(sweeps > 3, "{sweeps} sweeps");
    world.settle().await;
    world.clean_up().await;
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 1_600);
}

/// 280,000 users: several slots, so several parts, messages and workers.
async fn with_many_slots(seed: u64) -> (World, u32) {
    let world = World::new(seed).await;
    world.begin("a").await;
    for batch in 0..4 {
        let items: Vec<String> = (0..70_000)
            .map(|i| {
                format!(r#"{{"user_id":"user-{}","campaign_id":"a","type":"control"}}"#, batch * 70_000 + i)
            })
            .collect();
        let body = zstd::encode_all(items.join("\n").as_bytes(), 1).unwrap();
        let request = http::Request::post("/v1/interactions")
            .header("content-type", "application/x-ndjson")
            .header("content-encoding", "zstd");
        let request = request.body(axum::body::Body::from(body)).unwrap();
        assert_eq!(world.send(request).await.ok()["accepted"], 70_000);
    }
    world.stop_and_expire("a").await;
    let slots = world.manifest("a").await.runs[0].slots.count();
    assert!(slots >= 3, "{slots} slots");
    (world, slots)
}

fn control() -> Value {
    json!({ "in_control": { "source": "campaign/a" } })
}

#[tokio::test(start_paused = true)]
async fn l4_the_parts_of_a_restore_come_in_any_order() {
    let (world, slots) = with_many_slots(52).await;
    let id = world.request_restore(&["campaign/a"], &["me@example.com"]).await;
    let begin = world.stack.receive(Restorer, 0).await.unwrap();
    world.stack.deliver(Restorer, begin).await.unwrap();
    let mut parts = Vec::new();
    for _ in 0..slots {
        parts.push(world.stack.receive(Restorer, 0).await.unwrap());
    }
    let bodies: BTreeSet<&str> = parts.iter().map(|m| m[0].body().unwrap()).collect();
    assert_eq!(bodies.len() as u32, slots, "one message a part");
    let mut before = 0;
    // The last part comes first, and each message is delivered twice at once.
    for (nth, messages) in parts.iter().rev().enumerate() {
        assert_eq!(world.state("a").await, "restoring", "part {nth}");
        world.advance("PT2S");
        let deliver = || world.stack.deliver(Restorer, messages.clone());
        let (one, other) = tokio::join!(deliver(), deliver());
        assert_eq!(one.unwrap() + other.unwrap(), 2);
        let request = world.request(&id).await;
        let done = request["items"][0]["users_done"].as_u64().unwrap();
        assert!(done > before, "{request}");
        before = done;
        if nth + 1 < parts.len() {
            assert_eq!(request["state"], "running");
            let eta = request["eta_seconds"].as_u64().unwrap();
            assert!((1..=2 * u64::from(slots)).contains(&eta), "{request}");
        }
    }
    assert_eq!(before, 280_000);
    assert_eq!(world.state("a").await, "available");
    world.settle().await;
    assert_eq!(world.count(&control()).await, 280_000);
    assert_eq!(world.outbox().len(), 1);
}

/// One part of several is damaged: the restore fails as a whole, and its error names that part.
#[tokio::test(start_paused = true)]
async fn l4_one_damaged_part_of_many_is_named() {
    let (world, slots) = with_many_slots(53).await;
    let archive = world.archive().await;
    assert_eq!(archive.len() as u32, slots);
    let (key, bytes) = archive.iter().nth(1).unwrap();
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    world.put_object(key, damaged).await;
    let id = world.request_restore(&["campaign/a"], &[]).await;
    world.settle().await;
    let item = world.request(&id).await["items"][0].clone();
    assert_eq!(item["state"], "failed");
    let error = item["error"].as_str().unwrap();
    assert!(error.contains(key.as_str()), "{error} should name {key}");
    assert_eq!(world.state("a").await, "expired");
    world.clean_up().await;
    assert!(world.copies("a", Tier::Cold, rekindle_domain::manifest::Life::Live).await.len() == 1);
    world.put_object(key, bytes.clone()).await;
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&control()).await, 280_000);
    world.clean_up().await;
    world.clean_up().await;
    world.assert_no_orphans(&["a"]).await;
}
