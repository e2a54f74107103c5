//! Requests to restore: joining one that runs, cancelling, and what needs no restoring.

use crate::fixture::world::{World, got};
use http::{Request, StatusCode};
use rekindle_local::poller::Consumer::Restorer;
use serde_json::{Value, json};

async fn expired(campaigns: &[&str]) -> World {
    let world = World::new(8).await;
    for campaign in campaigns {
        world.begin(campaign).await;
        world.ingest_received(campaign, "u", 60).await;
        world.stop(campaign).await;
    }
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired as usize, campaigns.len());
    world
}

/// Delivers the next `count` messages of restore work.
async fn deliver(world: &World, count: usize) {
    for _ in 0..count {
        let messages = world.stack.receive(Restorer, 0).await.unwrap();
        assert_eq!(messages.len(), 1);
        let done = world.stack.deliver(Restorer, messages).await;
        assert_eq!(done.unwrap(), 1);
    }
}

async fn item(world: &World, id: &str, nth: usize) -> Value {
    world.request(id).await["items"][nth].clone()
}

async fn cancel(world: &World, id: &str) -> crate::fixture::world::Answer {
    let path = format!("/v1/restores/{id}/cancel");
    world.post(&path, Value::Null).await
}

#[tokio::test(start_paused = true)]
async fn two_requests_join_one_restore() {
    let world = expired(&["a"]).await;
    let one = world.request_restore(&["campaign/a"], &["one@example.com", "both@example.com"]).await;
    let other = world.request_restore(&["campaign/a"], &["other@example.com", "both@example.com"]).await;
    assert_ne!(one, other);
    world.drain().await;
    for id in [&one, &other] {
        assert_eq!(item(&world, id, 0).await["state"], "restored");
    }
    assert_eq!(world.count(&got("a")).await, 60);
    let events = world.timeline("a").await;
    let started = events.iter().filter(|e| *e == "restore_started").count();
    assert_eq!(started, 1, "{events:?}");
    assert_eq!(world.mails_to("one@example.com").len(), 1);
    assert_eq!(world.mails_to("other@example.com").len(), 1);
    assert_eq!(world.mails_to("both@example.com").len(), 2, "one a request");
}

#[tokio::test(start_paused = true)]
async fn cancelling_one_of_two_leaves_the_other() {
    let world = expired(&["a"]).await;
    let one = world.request_restore(&["campaign/a"], &["one@example.com"]).await;
    deliver(&world, 1).await;
    let other = world.request_restore(&["campaign/a"], &["other@example.com"]).await;
    // The part's message is before that of the second request: hold it back.
    let part = world.stack.receive(Restorer, 0).await.unwrap();
    deliver(&world, 1).await;
    assert_eq!(item(&world, &other, 0).await["state"], "restoring");
    let cancelled = cancel(&world, &one).await.ok();
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(cancelled["items"][0]["state"], "cancelled");
    assert_eq!(world.state("a").await, "restoring");
    // Again is the same; what has ended otherwise is not cancelled.
    assert_eq!(cancel(&world, &one).await.ok()["state"], "cancelled");
    world.stack.deliver(Restorer, part).await.unwrap();
    world.drain().await;
    assert_eq!(item(&world, &other, 0).await["state"], "restored");
    cancel(&world, &other).await.problem(409, "restore_has_ended");
    assert_eq!(world.mails_to("one@example.com").len(), 0);
    assert_eq!(world.mails_to("other@example.com").len(), 1);
    assert_eq!(world.count(&got("a")).await, 60);
}

#[tokio::test(start_paused = true)]
async fn cancelling_everybody_leaves_the_data_expired_as_before() {
    let world = expired(&["a", "b"]).await;
    let archive = world.archive().await;
    let one = world.request_restore(&["campaign/a", "campaign/b"], &["one@example.com"]).await;
    deliver(&world, 1).await;
    let parts = world.stack.receive(Restorer, 0).await.unwrap();
    let other = world.request_restore(&["campaign/a"], &[]).await;
    let rest = world.stack.receive(Restorer, 0).await.unwrap();
    deliver(&world, 1).await;
    for id in [&one, &other] {
        assert_eq!(cancel(&world, id).await.ok()["state"], "cancelled");
    }
    for campaign in ["a", "b"] {
        assert_eq!(world.state(campaign).await, "expired");
        let events = world.timeline(campaign).await;
        assert_eq!(events.last().unwrap(), "restore_cancelled");
    }
    // The parts' messages are still about: they bring nothing back.
    for messages in [parts, rest] {
        world.stack.deliver(Restorer, messages).await.unwrap();
    }
    world.settle().await;
    world.clean_up().await;
    world.clean_up().await;
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(world.archive().await, archive);
    assert!(world.hot_copies().await.is_empty());
    assert_eq!(world.outbox().len(), 0);
    world.restore(&["campaign/a", "campaign/b"]).await;
    assert_eq!(world.count(&json!({ "all": [got("a"), got("b")] })).await, 60);
}

/// Before its message was even taken.
#[tokio::test(start_paused = true)]
async fn a_queued_request_can_be_cancelled() {
    let world = expired(&["a"]).await;
    let id = world.request_restore(&["campaign/a"], &["me@example.com"]).await;
    let cancelled = cancel(&world, &id).await.ok();
    assert_eq!(cancelled["state"], "cancelled");
    world.settle().await;
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(world.outbox().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn available_data_has_its_clock_restarted() {
    let world = World::new(9).await;
    world.begin("a").await;
    world.begin("sending").await;
    world.ingest_received("a", "u", 5).await;
    world.ingest_received("sending", "u", 5).await;
    let stopped = world.stop("a").await;
    assert_eq!(stopped["interaction_data"]["expires_at"], "2027-04-01T00:00:00.000Z");
    world.advance("P2M");
    let id = world.request_restore(&["campaign/a", "campaign/sending"], &["me@example.com"]).await;
    world.drain().await;
    let request = world.request(&id).await;
    assert_eq!(request["state"], "completed");
    assert_eq!(request["items"][0]["state"], "already_available");
    assert_eq!(request["items"][0]["expires_at"], "2027-06-01T00:00:00.000Z");
    assert_eq!(request["items"][1]["expires_at"], Value::Null, "it is active");
    assert_eq!(world.mails_to("me@example.com").len(), 1);
    world.clock.set(rekindle_domain::time::Time::parse("2027-05-31T23:59:59Z").unwrap());
    assert_eq!(world.sweep().await.expired, 0);
    world.advance("PT1S");
    assert_eq!(world.sweep().await.expired, 1);
}

/// Due, and half archived: a restore asked for now keeps it available.
#[tokio::test(start_paused = true)]
async fn l6_a_restore_asked_for_while_data_is_expiring_keeps_it() {
    let world = World::new(10).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 70).await;
    world.stop("a").await;
    world.advance("P3M");
    let budget = rekindle_service::Budget::until(world.clock.now_still());
    let id = "campaign/a".parse().unwrap();
    world.app().expire_step(&id, &budget).await.unwrap();
    assert_eq!(world.state("a").await, "expiring");
    let expiring = world.get("/v1/campaigns?state=expiring").await.ok();
    assert_eq!(expiring["items"][0]["source"], "campaign/a");
    assert_eq!(world.count(&got("a")).await, 70);
    let id = world.request_restore(&["campaign/a"], &[]).await;
    world.drain().await;
    assert_eq!(item(&world, &id, 0).await["state"], "already_available");
    world.settle().await;
    assert_eq!(world.state("a").await, "available");
    world.clean_up().await;
    assert_eq!(world.state("a").await, "available");
    assert_eq!(world.count(&got("a")).await, 70);
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 1);
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 70);
}

#[tokio::test(start_paused = true)]
async fn requests_that_do_not_fit_are_refused_and_leave_nothing() {
    let world = expired(&["a"]).await;
    let many: Vec<String> = (0..1_001).map(|i| format!("campaign/c{i}")).collect();
    let bad = [
        (json!({ "sources": [] }), 422, "invalid_sources"),
        (json!({ "sources": many }), 422, "invalid_sources"),
        (json!({ "sources": ["campaign/a", "campaign/nobody"] }), 422, "unknown_source"),
        (json!({ "sources": ["canvas/a"] }), 422, "unknown_source"),
        (json!({ "sources": ["a"] }), 422, "invalid_source"),
        (json!({ "sources": ["campaign/a b"] }), 422, "invalid_source"),
        (json!({ "sources": ["campaign/a"], "notify": ["me"] }), 422, "invalid_notify"),
        (json!({ "sources": ["campaign/a"], "notify": ["a@b.c\r\nBcc: x@y.z"] }), 422, "invalid_notify"),
        (json!({ "sources": "campaign/a" }), 400, "invalid_field"),
        (json!({ "sources": [7] }), 400, "invalid_field"),
        (json!({ "notify": [] }), 400, "missing_field"),
        (json!({ "sources": ["campaign/a"], "nofity": [] }), 400, "unknown_field"),
    ];
    for (body, status, code) in bad {
        let problem = world.post("/v1/restores", body).await.problem(status, code);
        if code == "unknown_source" {
            assert_eq!(problem["unknown"].as_array().unwrap().len(), 1, "{problem}");
        }
    }
    world.settle().await;
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(world.get("/v1/restores").await.ok()["items"], json!([]));
}

async fn post_with_key(world: &World, key: &str, body: &Value) -> crate::fixture::world::Answer {
    let request = Request::post("/v1/restores").header("idempotency-key", key);
    world.send(request.body(body.to_string().into()).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_makes_one_request_for_a_day() {
    let world = expired(&["a", "b"]).await;
    let body = json!({ "sources": ["campaign/a"], "notify": ["me@example.com"] });
    let first = post_with_key(&world, "k1", &body).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    let id = first.body["id"].clone();
    let (one, other) = tokio::join!(post_with_key(&world, "k1", &body), post_with_key(&world, "k1", &body));
    for again in [one, other] {
        assert_eq!((again.status, &again.body["id"]), (StatusCode::ACCEPTED, &id));
    }
    let different = json!({ "sources": ["campaign/b"] });
    let reused = post_with_key(&world, "k1", &different).await;
    reused.problem(409, "idempotency_key_reused");
    world.drain().await;
    world.advance("PT23H59M");
    let late = post_with_key(&world, "k1", &body).await.ok();
    assert_eq!(late["id"], id);
    assert_eq!(late["state"], "completed");
    assert_eq!(world.outbox().len(), 1);
    // After a day the key is free, for anybody.
    world.advance("PT2M");
    let fresh = post_with_key(&world, "k1", &different).await.ok();
    assert_ne!(fresh["id"], id);
    world.drain().await;
    assert_eq!(world.state("b").await, "available");
    for bad in ["", "two words", &"x".repeat(256)] {
        let refused = post_with_key(&world, bad, &body).await;
        refused.problem(422, "invalid_idempotency_key");
    }
    // Two at once under a new key are one.
    let (one, other) = tokio::join!(post_with_key(&world, "k2", &body), post_with_key(&world, "k2", &body));
    assert_eq!(one.ok()["id"], other.ok()["id"]);
}

/// A request of many sources in all states, in pages, each ending as it should; and the list of requests.
#[tokio::test(start_paused = true)]
async fn a_request_of_many_sources_ends_each_as_it_should() {
    let names: Vec<String> = (0..120).map(|i| format!("c{i:03}")).collect();
    let world = World::new(11).await;
    for (i, name) in names.iter().enumerate() {
        world.begin(name).await;
        if i % 3 > 0 {
            world.ingest_received(name, "u", 3).await;
        }
        if i % 3 > 1 {
            world.stop(name).await;
        }
    }
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 40);
    let sources: Vec<String> = names.iter().map(|n| format!("campaign/{n}")).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let id = world.request_restore(&sources, &["me@example.com"]).await;
    world.settle().await;
    let request = world.request(&id).await;
    assert_eq!(request["state"], "completed");
    let items = request["items"].as_array().unwrap();
    assert_eq!(items.len(), 120);
    for (i, item) in items.iter().enumerate() {
        assert_eq!(item["source"], sources[i]);
        let expected = ["nothing_to_restore", "already_available", "restored"][i % 3];
        assert_eq!(item["state"], expected, "{item}");
    }
    assert_eq!(world.mails_to("me@example.com").len(), 1);
    for _ in 0..4 {
        world.advance("PT1S");
        world.request_restore(&["campaign/c000"], &[]).await;
    }
    world.settle().await;
    let mut seen = Vec::new();
    let mut path = "/v1/restores?limit=2".to_owned();
    loop {
        let page = world.get(&path).await.ok();
        seen.extend(page["items"].as_array().unwrap().iter().map(|r| r["created_at"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/restores?limit=2&cursor={next}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| a >= b), "newest first: {seen:?}");
}
