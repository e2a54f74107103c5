//! Items and transactions at the brim: a bound in bytes is refused with a text, and what the lifecycle must do goes on.

use crate::fixture::world::{World, got, local_settings, purge};
use http::Method;
use rekindle_domain::{manifest::MAX_COPIES, time::Period};
use rekindle_local::poller::Consumer::Restorer;
use rekindle_service::Settings;
use serde_json::{Value, json};

/// An id of 128 characters.
fn long(prefix: &str, i: usize) -> String {
    let id = format!("{prefix}{i}-");
    format!("{id}{}", "x".repeat(128 - id.len()))
}

/// A filter of nearly 64 KiB.
fn large() -> Value {
    let alias = "a".repeat(90);
    let clicked: Vec<Value> =
        (0..498).map(|i| json!({ "clicked": { "any": true, "alias": format!("{alias}{i:03}") } })).collect();
    let filter = json!({ "any": clicked });
    assert!((60_000..=65_536).contains(&filter.to_string().len()), "{}", filter.to_string().len());
    filter
}

#[tokio::test(start_paused = true)]
async fn a_source_takes_as_many_holders_as_its_item_and_goes_on_living() {
    let world = World::new(340).await;
    world.ingest_received("target", "u", 5).await;
    let mut filter = got("target");
    for i in 0..8 {
        world.put(&format!("/v1/segments/{}", long("s", i)), json!({ "filter": filter })).await.ok();
        filter = json!({ "segment": long("s", i) });
    }
    let mut holders = Vec::new();
    let refused = loop {
        let id = long("c", holders.len());
        world.put(&format!("/v1/campaigns/{id}"), json!({ "audience": filter })).await.ok();
        let started = world.start(&id).await;
        if !started.status.is_success() {
            break started.problem(409, "too_many_holders");
        }
        holders.push(id);
        assert!(holders.len() < 500, "no bound in bytes");
    };
    assert!(refused["detail"].as_str().unwrap().contains("campaign/target"), "{refused}");
    assert!(holders.len() > 60, "{}", holders.len());
    let held = world.campaign("target").await["interaction_data"]["held_by"].as_array().unwrap().len();
    assert_eq!(held, holders.len());

    // Everything that may be done to the target can still be done.
    let names: Vec<Value> =
        (0..100).map(|i| json!({ "id": long("v", i), "name": "n".repeat(128) })).collect();
    let host = format!("{0}.{0}.example.com", "d".repeat(63));
    let notify: Vec<String> = (0..50).map(|i| format!("{}{i:02}@{host}", "m".repeat(62))).collect();
    let tags: Vec<String> = (0..20).map(|i| long("t", i)).collect();
    let all = json!({ "name": "n".repeat(256), "variants": names, "notify": notify, "tags": tags, "audience": large() });
    world.put("/v1/campaigns/target", all).await.ok();
    world.stop("target").await;
    world.start("target").await.ok();
    world.post("/v1/campaigns/target/pin", json!({ "reason": "r".repeat(500) })).await.ok();
    world.call(Method::DELETE, "/v1/campaigns/target/pin", &Value::Null).await.ok();
    world.stop("target").await;
    for id in &holders {
        world.stop(id).await;
    }
    world.advance("P4M");
    world.settle().await;
    assert_eq!(world.state("target").await, "expired");
    world.restore(&["campaign/target"]).await;
    assert_eq!(world.count(&got("target")).await, 5);
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_a_source_are_bounded_in_bytes() {
    let world = World::new(341).await;
    let fields = |name: &str| {
        let variants =
            |of: &str| (0..100).map(|i| json!({ "id": long(of, i), "name": name })).collect::<Vec<_>>();
        json!({ "audience": large(), "variations": variants("v"), "steps": variants("s") })
    };
    world.put("/v1/canvases/full", fields(&"n".repeat(128))).await.ok();
    world.post("/v1/canvases/full/start", Value::Null).await.ok();
    let before = world.get("/v1/canvases/full").await.ok();
    // Each of these has four bytes.
    let refused = world.put("/v1/canvases/full", fields(&"😀".repeat(128))).await;
    let refused = refused.problem(422, "too_many_bytes");
    assert!(refused["detail"].as_str().unwrap().contains("180224 bytes"), "{refused}");
    assert_eq!(world.get("/v1/canvases/full").await.ok(), before);
    world.put("/v1/canvases/other", fields(&"😀".repeat(128))).await.problem(422, "too_many_bytes");
    world.get("/v1/canvases/other").await.problem(404, "unknown_source");
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_is_too_large_for_one_transaction_says_so() {
    let world = World::new(342).await;
    let named = |of: &str| json!([{ "id": long(of, 0) }]);
    let canvas = format!("/v1/canvases/{}", long("c", 0));
    world.put(&canvas, json!({ "variations": named("v"), "steps": named("s") })).await.ok();
    // The longest condition there is: few of them make a large filter, and a filter's conditions are bounded in number.
    let condition = json!({ "received": {
        "source": format!("canvas/{}", long("c", 0)), "variation": long("v", 0), "step": long("s", 0),
        "channel": "content_card",
    } });
    let filter = json!({ "any": vec![condition; 135] });
    assert!((60_000..=65_536).contains(&filter.to_string().len()), "{}", filter.to_string().len());
    for i in 0..68 {
        world.put(&format!("/v1/segments/{}", long("s", i)), json!({ "filter": filter })).await.ok();
    }
    let of = |range: std::ops::Range<usize>| {
        let segments: Vec<Value> = range.map(|i| json!({ "segment": long("s", i) })).collect();
        json!({ "audience": { "any": segments } })
    };
    world.put("/v1/campaigns/wide", of(0..34)).await.ok();
    world.start("wide").await.ok();
    let before = world.campaign("wide").await;
    let refused = world.put("/v1/campaigns/wide", of(34..68)).await.problem(422, "too_many_changes");
    assert!(refused["detail"].as_str().unwrap().contains("bytes"), "{refused}");
    assert_eq!(world.campaign("wide").await, before, "nothing changed");
    // As the text advises, it goes in steps; and what was started can be stopped.
    for range in [0..20, 20..30, 34..60, 34..68] {
        world.put("/v1/campaigns/wide", of(range)).await.ok();
    }
    world.stop("wide").await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_waits_for_room_among_the_copies() {
    let world = World::new(343).await;
    world.ingest_received("a", "u", 10).await;
    world.stop_and_expire("a").await;
    world.clean_up().await;
    let mut asked = 0;
    let waiting = loop {
        let id = world.request_restore(&["campaign/a"], &[]).await;
        let messages = world.stack.receive(Restorer, 0).await.unwrap();
        world.stack.deliver(Restorer, messages).await.unwrap();
        purge(&world.stack, Restorer).await;
        let item = world.request(&id).await["items"][0].clone();
        if item["state"] == "queued" {
            break id;
        }
        assert_eq!(item["state"], "restoring", "{item}");
        world.post(&format!("/v1/restores/{id}/cancel"), Value::Null).await.ok();
        asked += 1;
        assert!(asked <= MAX_COPIES, "the manifest takes more copies than it may list");
    };
    assert!(asked > MAX_COPIES - 8, "{asked}");
    assert_eq!(world.state("a").await, "expired");
    // Sent again while there is no room it waits on; a while later there is room, and nobody has to ask again.
    world.advance("PT20M");
    world.sweep().await;
    world.drain().await;
    assert_eq!(world.request(&waiting).await["items"][0]["state"], "queued");
    for _ in 0..4 {
        world.advance("PT40M");
        world.sweep().await;
        world.drain().await;
    }
    world.settle().await;
    let request = world.request(&waiting).await;
    assert_eq!(request["items"][0]["state"], "restored", "{request}");
    assert_eq!(request["state"], "completed");
    assert_eq!(world.count(&got("a")).await, 10);
}

/// A segment that 500 sources name takes no more, and what names it can let go of it.
#[tokio::test(start_paused = true)]
async fn a_segment_has_a_bounded_number_of_users() {
    let world = World::new(345).await;
    world.put("/v1/segments/s", json!({ "filter": large() })).await.ok();
    let audience = json!({ "audience": { "segment": "s" } });
    for i in 0..500 {
        world.put(&format!("/v1/campaigns/{}", long("c", i)), audience.clone()).await.ok();
        world.start(&long("c", i)).await.ok();
    }
    let refused = world.put("/v1/campaigns/more", audience.clone()).await.problem(409, "too_many_users");
    assert!(refused["detail"].as_str().unwrap().contains("segment/s"), "{refused}");
    world.put("/v1/segments/s", json!({ "filter": { "hard_bounced": {} } })).await.ok();
    world.stop(&long("c", 0)).await;
    world.put(&format!("/v1/campaigns/{}", long("c", 0)), json!({})).await.ok();
    world.put("/v1/campaigns/more", audience).await.ok();
}

/// A deleted source whose audience names more segments than one transaction takes is gone all the same.
#[tokio::test(start_paused = true)]
async fn a_deleted_source_leaves_segments_of_any_size() {
    let world = World::new(346).await;
    let ids: Vec<String> = (0..44).map(|i| format!("s{i}")).collect();
    for id in &ids {
        world.put(&format!("/v1/segments/{id}"), json!({ "filter": { "hard_bounced": {} } })).await.ok();
    }
    let any: Vec<Value> = ids.iter().map(|id| json!({ "segment": id })).collect();
    world.put("/v1/campaigns/a", json!({ "audience": { "any": any } })).await.ok();
    for id in &ids {
        // Ids of other users, so that each segment has some 170 KB.
        let used_by: Vec<String> = (0..1_200).map(|i| format!("segment/{}", long("x", i))).collect();
        world
            .change_document(&format!("segment#{id}"), "segment", |doc| {
                let all = doc["used_by"].as_array_mut().unwrap();
                all.extend(used_by.into_iter().map(Value::from));
            })
            .await;
    }
    world.call(Method::DELETE, "/v1/campaigns/a", &Value::Null).await.ok();
    for _ in 0..10 {
        world.advance("P1D");
        world.settle().await;
    }
    world.clean_up().await;
    world.put("/v1/campaigns/a", json!({})).await.ok();
    for id in &ids {
        let segment = world.get(&format!("/v1/segments/{id}")).await.ok();
        assert!(!segment["used_by"].as_array().unwrap().contains(&json!("campaign/a")), "{id}");
    }
}

/// An idle source whose segments have grown beyond a transaction says so once, and stops when they are smaller.
#[tokio::test(start_paused = true)]
async fn an_idle_source_that_cannot_be_stopped_says_so_and_is_tried_again() {
    let settings = local_settings(Period::parse("P3M").unwrap());
    let auto_stop_after = Some(Period::parse("P30D").unwrap());
    let world = World::with(347, Settings { auto_stop_after, ..settings }).await;
    let ids: Vec<String> = (0..40).map(|i| format!("s{i}")).collect();
    for id in &ids {
        world.put(&format!("/v1/segments/{id}"), json!({ "filter": { "hard_bounced": {} } })).await.ok();
    }
    let any: Vec<Value> = ids.iter().map(|id| json!({ "segment": id })).collect();
    world.put("/v1/campaigns/a", json!({ "audience": { "any": any } })).await.ok();
    world.start("a").await.ok();
    let others: Vec<Value> = (0..800).map(|i| json!(format!("segment/{}", long("x", i)))).collect();
    let grow = async |by: &[Value]| {
        for id in &ids {
            let change = |doc: &mut Value| {
                let used_by = doc["used_by"].as_array_mut().unwrap();
                used_by.retain(|user| user == "campaign/a");
                used_by.extend(by.iter().cloned());
            };
            world.change_document(&format!("segment#{id}"), "segment", change).await;
        }
    };
    grow(&others).await;
    for _ in 0..35 {
        world.advance("P1D");
        world.settle().await;
    }
    assert_eq!(world.campaign("a").await["status"], "active");
    assert_eq!(world.timeline("a").await, ["registered", "started", "stopping_failed"]);
    grow(&[]).await;
    world.advance("P2D");
    world.settle().await;
    assert_eq!(world.campaign("a").await["status"], "stopped");
}
