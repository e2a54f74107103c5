//! The acceptance test: interactions arrive, are queryable at once, expire, and come back the same.

use crate::fixture::{
    model::{Model, filters, filters_over_all, mix},
    ports::Dice,
    world::World,
};
use axum::body::Body;
use http::Request;
use rekindle_domain::time::Time;
use serde_json::{Value, json};
use std::io::Write;

/// Posts a batch in one of five ways.
async fn post(world: &World, way: usize, batch: &[Value]) -> Value {
    let list = || Value::from(batch.to_vec()).to_string().into_bytes();
    let lines = || {
        let lines: Vec<String> = batch.iter().map(Value::to_string).collect();
        lines.join("\n").into_bytes()
    };
    let gzipped = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let (content_type, encoding, body) = match way % 5 {
        0 => {
            let body = json!({ "interactions": batch }).to_string();
            ("application/json", "identity", body.into_bytes())
        }
        1 => ("application/json; charset=utf-8", "identity", list()),
        2 => ("application/x-ndjson", "identity", lines()),
        3 => ("application/json", "gzip", gzipped(&list())),
        _ => {
            let body = zstd::encode_all(&lines()[..], 3).unwrap();
            ("application/x-ndjson", "zstd", body)
        }
    };
    let request = Request::post("/v1/interactions")
        .header("content-type", content_type)
        .header("content-encoding", encoding)
        .body(Body::from(body))
        .unwrap();
    let answer = world.send(request).await.ok();
    assert_eq!(answer["accepted"], batch.len(), "{answer}");
    answer
}

/// 20,000 interactions of two campaigns in batches of many forms, a twentieth of them sent twice.
async fn post_all(world: &World, model: &mut Model) {
    let now = world.clock.now_still();
    let mut dice = Dice(7);
    let mut events = mix("spring", 4_000, 16_000, now, &mut dice);
    events.extend(mix("other", 3_000, 4_000, now, &mut dice));
    // Shuffled, as many senders would post them.
    for i in (1..events.len()).rev() {
        events.swap(i, dice.below(i as u64 + 1) as usize);
    }
    model.add(events.iter().cloned());
    let mut batches: Vec<Vec<Value>> = events.chunks(1_777).map(<[Value]>::to_vec).collect();
    let again: Vec<Value> = events.iter().step_by(20).cloned().collect();
    batches.push(again.clone());
    batches.push([&again[..], &again[..]].concat());
    batches.push(batches[3].clone());
    for (way, batch) in batches.iter().enumerate() {
        post(world, way, batch).await;
    }
}

/// Every filter's count and members, and some matches, equal the model's.
async fn assert_same(world: &World, model: &Model) {
    let middle = model.middle();
    let all = [filters("spring", "other", middle), filters_over_all(middle)].concat();
    for (i, filter) in all.iter().enumerate() {
        let expected = model.members(filter);
        assert!(!expected.is_empty(), "the filter {filter} matches nobody");
        assert_eq!(world.count(filter).await, expected.len() as u64, "{filter}");
        let members = world.members(filter, 50_000).await;
        assert_eq!(members.len(), expected.len(), "{filter}");
        let set: std::collections::BTreeSet<String> = members.iter().cloned().collect();
        assert_eq!(set, expected, "{filter}");
        if i % 4 == 0 {
            assert_eq!(world.members(filter, 613).await, members, "{filter}");
        }
        for user in model.users().step_by(701 + i).chain(["nobody"]) {
            let answer = world.matches(filter, user, "refuse").await;
            assert_eq!(answer, model.answer(filter, user), "{filter} {user}");
        }
    }
}

/// While `spring` is expired, questions are refused and name it; with `exclude` they count the right users as unknown.
async fn assert_expired(world: &World, model: &mut Model) {
    model.expired.insert("campaign/spring".to_owned());
    for filter in filters("spring", "other", model.middle()) {
        let refused = world.try_count(&filter, "refuse").await;
        let refused = refused.problem(409, "expired_interaction_data");
        assert_eq!(refused["expired"], json!(["campaign/spring"]));
        let answer = world.try_count(&filter, "exclude").await.ok();
        let (count, unknown) = model.count(&filter);
        assert_eq!(answer["count"], count, "{filter}");
        assert_eq!(answer["unknown"], unknown, "{filter}");
        assert_eq!(answer["expired"], json!(["campaign/spring"]));
        for user in model.users().step_by(997) {
            let answer = world.matches(&filter, user, "exclude").await;
            assert_eq!(answer, model.answer(&filter, user), "{filter} {user}");
        }
    }
    for path in ["count", "members"] {
        let body = json!({ "filter": { "received": { "source": "campaign/spring" } } });
        let refused = world.post(&format!("/v1/audiences/{path}"), body).await;
        refused.problem(409, "expired_interaction_data");
    }
    model.expired.clear();
}

#[tokio::test(start_paused = true)]
async fn l1_what_was_posted_is_found_again_through_expiry_and_restore() {
    let world = World::new(1).await;
    let campaign = json!({
        "name": "Spring sale", "notify": ["owner@example.com"],
        "variants": [{ "id": "A", "name": "Red" }, { "id": "B" }],
    });
    let registered = world.put("/v1/campaigns/spring", campaign).await;
    assert_eq!(registered.status, 201);
    assert_eq!(registered.body["status"], "draft");
    assert_eq!(world.start("spring").await.ok()["status"], "active");
    world.advance("PT1H");
    let mut model = Model::default();
    post_all(&world, &mut model).await;
    assert_same(&world, &model).await;

    world.advance("P1D");
    let stopped = world.stop("spring").await;
    assert_eq!(stopped["status"], "stopped");
    let expires_at = stopped["interaction_data"]["expires_at"].as_str().unwrap();
    assert_eq!(expires_at, "2027-04-02T01:00:00.000Z");
    let expires_at = Time::parse(expires_at).unwrap();

    world.clock.set(expires_at.plus(-1_000));
    assert_eq!(world.sweep().await.expired, 0);
    assert_eq!(world.state("spring").await, "available");
    assert_same(&world, &model).await;

    world.clock.set(expires_at);
    assert_eq!(world.sweep().await.expired, 1);
    let shown = world.campaign("spring").await;
    assert_eq!(shown["interaction_data"]["state"], "expired");
    assert_eq!(shown["interaction_data"]["expires_at"], Value::Null);
    assert_eq!(shown["interaction_data"]["archived_at"], "2027-04-02T01:00:00.000Z");
    assert_expired(&world, &mut model).await;
    let archived = world.archive().await;
    assert!(!archived.is_empty());

    restore_with_two_addresses(&world, &model).await;
    assert_same(&world, &model).await;

    // Without new rows, a second expiry uploads nothing, and the same data comes back.
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 1);
    assert_eq!(world.state("spring").await, "expired");
    assert_expired(&world, &mut model).await;
    world.advance("P2D");
    world.settle().await;
    assert_eq!(world.archive().await, archived);
    world.restore(&["campaign/spring"]).await;
    assert_same(&world, &model).await;
    assert_eq!(world.archive().await, archived);
    let expected = [
        "registered",
        "started",
        "stopped",
        "warned",
        "expired",
        "restore_started",
        "restored",
        "warned",
        "expired",
        "restore_started",
        "restored",
    ];
    assert_eq!(world.timeline("spring").await, expected);
    let told = world.mails_to("owner@example.com");
    assert_eq!(told.len(), 2, "a mail announces each expiry: {told:?}");
    assert_eq!(world.outbox().len(), 4);
}

/// Requests a restore, watches its progress, and checks its end.
async fn restore_with_two_addresses(world: &World, model: &Model) {
    let to = ["a@example.com", "b@example.com", "a@example.com"];
    let id = world.request_restore(&["campaign/spring"], &to).await;
    let request = world.request(&id).await;
    assert_eq!(request["state"], "queued");
    assert_eq!(request["items"][0]["state"], "queued");
    world.advance("PT1S");
    // The first message begins the request. The messages of its parts follow.
    let consumer = rekindle_local::poller::Consumer::Restorer;
    let messages = world.stack.receive(consumer, 0).await.unwrap();
    world.stack.deliver(consumer, messages).await.unwrap();
    let request = world.request(&id).await;
    assert_eq!(request["state"], "running");
    assert_eq!(request["items"][0]["state"], "restoring");
    assert_eq!(world.state("spring").await, "restoring");
    assert!(request["eta_seconds"].as_u64().unwrap() >= 1, "{request}");
    let of_spring = json!({ "any": [
        { "received": { "source": "campaign/spring" } }, { "in_control": { "source": "campaign/spring" } },
        { "converted": { "source": "campaign/spring" } },
    ] });
    let total = request["items"][0]["users_total"].as_u64().unwrap();
    assert!(total >= model.members(&of_spring).len() as u64);
    let refused = world.try_count(&of_spring, "refuse").await;
    refused.problem(409, "expired_interaction_data");

    world.drain().await;
    let request = world.request(&id).await;
    assert_eq!(request["state"], "completed");
    assert_eq!(request["items"][0]["state"], "restored");
    assert_eq!(request["items"][0]["users_done"], total);
    assert_eq!(request["items"][0]["expires_at"], "2027-07-02T01:00:01.000Z");
    assert_eq!(request["eta_seconds"], Value::Null);
    let shown = world.campaign("spring").await;
    assert_eq!(shown["status"], "stopped");
    assert_eq!(shown["interaction_data"]["state"], "available");
    assert_eq!(shown["interaction_data"]["expires_at"], "2027-07-02T01:00:01.000Z");
    world.settle().await;
    for address in ["a@example.com", "b@example.com"] {
        let mails = world.mails_to(address);
        assert_eq!(mails.len(), 1, "{mails:?}");
        assert!(mails[0].subject.contains("campaign/spring (Spring sale) is restored"), "{mails:?}");
        assert!(mails[0].text.contains("- campaign/spring (Spring sale): restored"), "{mails:?}");
    }
    // A third mail told the owner, a week before, that the data would expire.
    assert_eq!(world.outbox().len(), 3);
}
