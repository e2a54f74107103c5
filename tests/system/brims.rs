//! Items and transactions at the brim: a bound in bytes is refused with a text, and what the lifecycle must do goes on.

use crate::fixture::world::{World, got, large, local_settings, long, purge};
use http::Method;
use rekindle_domain::{manifest::MAX_COPIES, time::Period};
use rekindle_local::poller::Consumer::Restorer;
use rekindle_service::Settings;
use rekindle_store::queues::RestoreWork;
use serde_json::{Value, json};

/// Makes `count` segments of a few bytes, `s0` and so on. Returns their ids and a filter that names them all.
async fn segments(world: &World, count: usize) -> (Vec<String>, Value) {
    let ids: Vec<String> = (0..count).map(|i| format!("s{i}")).collect();
    for id in &ids {
        world.put(&format!("/v1/segments/{id}"), json!({ "filter": { "hard_bounced": {} } })).await.ok();
    }
    let any: Vec<Value> = ids.iter().map(|id| json!({ "segment": id })).collect();
    (ids, json!({ "any": any }))
}

/// Gives each of these segments so many active users besides its own, of 281 bytes each. Further calls replace them.
async fn grow(world: &World, ids: &[String], users: usize) {
    let others: Vec<Value> = (0..users).map(|i| format!("campaign/{}", long("x", i)).into()).collect();
    for id in ids {
        let change = |doc: &mut Value| {
            for list in ["used_by", "active"] {
                let list = doc[list].as_array_mut().unwrap();
                list.retain(|user| !user.as_str().unwrap().starts_with("campaign/x"));
                list.extend(others.iter().cloned());
            }
        };
        world.change_document(&format!("segment#{id}"), "segment", change).await;
    }
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
    // Nor does a segment that an active source uses bring it another.
    let (edge, user) = (format!("/v1/segments/{}", long("e", 0)), long("e", 0));
    world.put(&edge, json!({ "filter": { "hard_bounced": {} } })).await.ok();
    let audience = json!({ "audience": { "segment": long("e", 0) } });
    world.put(&format!("/v1/campaigns/{user}"), audience).await.ok();
    world.start(&user).await.ok();
    let before = world.get(&edge).await.ok();
    let again = world.put(&edge, json!({ "filter": { "segment": long("s", 6) } })).await;
    assert_eq!(again.problem(409, "too_many_holders")["detail"], refused["detail"]);
    assert_eq!(world.get(&edge).await.ok(), before, "nothing changed");

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

/// A campaign `a` with 10 users, whose data is expired and whose manifest has no room: restores were asked for and cancelled.
/// Returns the world and the id of the request that waits.
async fn without_room(seed: u64) -> (World, String) {
    let world = World::new(seed).await;
    world.ingest_received("a", "u", 10).await;
    world.stop_and_expire("a").await;
    world.clean_up().await;
    let mut asked = 0;
    let waiting = loop {
        let id = world.request_restore(&["campaign/a"], &["me@example.com"]).await;
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
    (world, waiting)
}

#[tokio::test(start_paused = true)]
async fn a_restore_waits_for_room_among_the_copies() {
    let (world, waiting) = without_room(343).await;
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

/// Nobody sweeps, so that there is no room for a day.
#[tokio::test(start_paused = true)]
async fn l9_a_restore_that_finds_no_room_for_a_day_fails_and_says_so() {
    let (world, waiting) = without_room(344).await;
    let begin = RestoreWork::Begin { request: waiting.parse().unwrap(), after: None };
    let look = async || {
        world.app().store.queues.send_restores(std::slice::from_ref(&begin)).await.unwrap();
        world.drain().await;
        world.request(&waiting).await
    };
    world.advance("PT23H59M");
    assert_eq!(look().await["items"][0]["state"], "queued");
    world.advance("PT1M");
    let failed = look().await;
    assert_eq!((&failed["state"], &failed["items"][0]["state"]), (&json!("failed"), &json!("failed")));
    let error = failed["items"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("for a day there was no room for another copy of its data"), "{error}");
    assert_eq!(world.state("a").await, "expired");
    let mails = world.mails_to("me@example.com");
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains(error), "{}", mails[0].text);
    // As the text says: nothing is lost, and a later restore succeeds.
    world.clean_up().await;
    world.restore(&["campaign/a"]).await;
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
    let (ids, audience) = segments(&world, 44).await;
    world.put("/v1/campaigns/a", json!({ "audience": audience })).await.ok();
    // Each has some 110 KB.
    grow(&world, &ids, 400).await;
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
    let (ids, audience) = segments(&world, 40).await;
    world.put("/v1/campaigns/a", json!({ "audience": audience })).await.ok();
    world.start("a").await.ok();
    grow(&world, &ids, 400).await;
    for _ in 0..35 {
        world.advance("P1D");
        world.settle().await;
    }
    assert_eq!(world.campaign("a").await["status"], "active");
    assert_eq!(world.timeline("a").await, ["registered", "started", "stopping_failed"]);
    grow(&world, &ids, 0).await;
    world.advance("P2D");
    world.settle().await;
    assert_eq!(world.campaign("a").await["status"], "stopped");
}

/// 40 segments with 300 users each are more than a start takes, and no more than a stop takes; with 250 a start takes them.
#[tokio::test(start_paused = true)]
async fn a_start_that_is_too_large_for_one_transaction_says_so() {
    let world = World::new(348).await;
    let (ids, audience) = segments(&world, 40).await;
    world.put("/v1/campaigns/a", json!({ "audience": audience })).await.ok();
    grow(&world, &ids, 300).await;
    let before = world.campaign("a").await;
    let refused = world.start("a").await.problem(422, "too_many_changes");
    assert!(refused["detail"].as_str().unwrap().contains("3200000 is the most"), "{refused}");
    assert_eq!(world.campaign("a").await, before, "nothing changed");
    let is_used_actively = async || {
        let s0 = world.get("/v1/segments/s0").await.ok();
        s0["active"].as_array().unwrap().contains(&json!("campaign/a"))
    };
    assert!(!is_used_actively().await);
    grow(&world, &ids, 250).await;
    world.start("a").await.ok();
    assert!(is_used_actively().await);
    // One that has grown since then changes no audience, but has a new name, and stops.
    grow(&world, &ids, 300).await;
    let patch = async |body: Value| world.call(Method::PATCH, "/v1/campaigns/a", &body).await;
    patch(json!({ "audience": { "any": [{ "segment": "s0" }] } })).await.problem(422, "too_many_changes");
    patch(json!({ "name": "A" })).await.ok();
    world.stop("a").await;
    assert!(!is_used_actively().await);
}

#[tokio::test(start_paused = true)]
async fn a_segment_is_edited_and_deleted_within_one_transaction() {
    let world = World::new(349).await;
    let (ids, filter) = segments(&world, 40).await;
    world.put("/v1/segments/top", json!({ "filter": { "hard_bounced": {} } })).await.ok();
    world.put("/v1/campaigns/a", json!({ "audience": { "segment": "top" } })).await.ok();
    world.start("a").await.ok();
    grow(&world, &ids, 300).await;
    let before = world.get("/v1/segments/top").await.ok();
    let refused = world.put("/v1/segments/top", json!({ "filter": filter })).await;
    let refused = refused.problem(422, "too_many_changes");
    assert!(refused["detail"].as_str().unwrap().contains("3200000 is the most"), "{refused}");
    assert_eq!(world.get("/v1/segments/top").await.ok(), before, "nothing changed");
    grow(&world, &ids, 250).await;
    world.put("/v1/segments/top", json!({ "filter": filter })).await.ok();
    let s0 = world.get("/v1/segments/s0").await.ok();
    assert!(s0["active"].as_array().unwrap().contains(&json!("campaign/a")));
    assert!(s0["used_by"].as_array().unwrap().contains(&json!("segment/top")));

    world.stop("a").await;
    world.put("/v1/campaigns/a", json!({})).await.ok();
    grow(&world, &ids, 400).await;
    let delete = async || world.call(Method::DELETE, "/v1/segments/top", &Value::Null).await;
    let refused = delete().await.problem(422, "too_many_changes");
    assert!(refused["detail"].as_str().unwrap().contains("4000000 is the most"), "{refused}");
    world.get("/v1/segments/top").await.ok();
    grow(&world, &ids, 300).await;
    assert!(delete().await.status.is_success());
    grow(&world, &ids, 0).await;
    assert_eq!(world.get("/v1/segments/s0").await.ok()["used_by"], json!([]));
}

/// A draft that sends is made a holder once its segments fit a transaction that leaves room for its stop.
#[tokio::test(start_paused = true)]
async fn a_source_that_sends_and_cannot_be_made_a_holder_says_so_and_is_tried_again() {
    let world = World::new(350).await;
    world.begin("target").await;
    world.ingest_received("target", "u", 3).await;
    world.stop("target").await;
    let (ids, filter) = segments(&world, 40).await;
    let audience = json!({ "any": [got("target"), filter] });
    world.put("/v1/campaigns/a", json!({ "audience": audience })).await.ok();
    grow(&world, &ids, 300).await;
    world.ingest_received("a", "u", 1).await;
    let held_by = async || world.campaign("target").await["interaction_data"]["held_by"].clone();
    for _ in 0..3 {
        world.settle().await;
        world.advance("P1D");
    }
    assert_eq!(world.timeline("a").await, ["registered", "started", "holding_failed"]);
    assert_eq!(held_by().await, json!([]));
    grow(&world, &ids, 250).await;
    world.settle().await;
    assert_eq!(held_by().await, json!([{ "source": "campaign/a", "via": [] }]));
    assert_eq!(world.timeline("a").await, ["registered", "started", "holding_failed"]);
    world.stop("a").await;
    assert_eq!(held_by().await, json!([]));
}

/// An edit of a segment relies on all segments of the sources that use it.
#[tokio::test(start_paused = true)]
async fn an_edit_of_a_segment_reaches_a_bounded_number_of_items() {
    let world = World::new(351).await;
    let (ids, _) = segments(&world, 99).await;
    world.put("/v1/segments/top", json!({ "filter": { "hard_bounced": {} } })).await.ok();
    for (i, own) in ids.chunks(33).enumerate() {
        let any = own.iter().map(String::as_str).chain(["top"]);
        let any: Vec<Value> = any.map(|id| json!({ "segment": id })).collect();
        let audience = json!({ "audience": { "any": any } });
        world.put(&format!("/v1/campaigns/c{i}"), audience).await.ok();
        world.start(&format!("c{i}")).await.ok();
    }
    let before = world.get("/v1/segments/top").await.ok();
    let edit = async || {
        let filter = json!({ "hard_bounced": { "channel": "push" } });
        world.put("/v1/segments/top", json!({ "filter": filter })).await
    };
    let refused = edit().await.problem(422, "too_many_targets");
    assert!(refused["detail"].as_str().unwrap().contains("99 segments"), "{refused}");
    assert_eq!(world.get("/v1/segments/top").await.ok(), before, "nothing changed");
    // As the text advises.
    world.stop("c2").await;
    edit().await.ok();
}

#[tokio::test(start_paused = true)]
async fn a_source_has_a_bounded_number_of_holders() {
    let world = World::new(352).await;
    world.begin("target").await;
    for i in 0..=500 {
        world.put(&format!("/v1/campaigns/c{i}"), json!({ "audience": got("target") })).await.ok();
        if i < 500 {
            world.start(&format!("c{i}")).await.ok();
        }
    }
    let refused = world.start("c500").await.problem(409, "too_many_holders");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("500 active sources may retarget campaign/target"), "{refused}");
    assert_eq!(world.campaign("c500").await["status"], "draft");
    world.stop("c0").await;
    world.start("c500").await.ok();
}
