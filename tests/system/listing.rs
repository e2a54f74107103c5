//! Lists of sources: pages, filters, sort orders, timelines.

use crate::fixture::{
    faults::Fault,
    world::{World, but_counts},
};
use axum::body::Body;
use http::Request;
use rekindle_local::poller::Consumer;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MANY: usize = 250;

/// 250 campaigns. Every fifth is a draft. Of the others every second was stopped, at different times, and every third of these
/// has no data. Those that were stopped first are expired.
async fn world() -> World {
    let world = World::new(60).await;
    for i in 0..MANY {
        let id = format!("c{i:03}");
        let name = if i % 2 == 0 { format!("Spring {i:03}") } else { format!("ÄHRE {i:03}") };
        world.put(&format!("/v1/campaigns/{id}"), json!({ "name": name })).await.ok();
        world.advance("PT1M");
        if i % 5 > 0 {
            world.start(&id).await.ok();
        }
        if i % 3 > 0 {
            world.ingest_received(&id, "u", 1).await;
        }
    }
    for i in (0..MANY).filter(|i| i % 5 > 0 && i % 2 == 0) {
        world.stop(&format!("c{i:03}")).await;
        world.advance("PT12H");
    }
    // The first and the last stop are fifty days apart.
    world.advance("P2M");
    world.settle().await;
    world
}

/// All entries, in pages of `limit`; checks that none comes twice.
async fn list(world: &World, query: &str, limit: usize) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/campaigns?limit={limit}{query}{cursor}");
        let page = world.get(&path).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{path}");
        out.extend(items.iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        assert!(!items.is_empty() || query.contains("state="), "{path}: an empty page has a `next`");
        cursor = format!("&cursor={next}");
    }
    let names: BTreeSet<&str> = out.iter().map(|c| c["source"].as_str().unwrap()).collect();
    assert_eq!(names.len(), out.len(), "{query}: nothing twice");
    out
}

#[tokio::test(start_paused = true)]
async fn lists_are_paged_filtered_and_sorted() {
    let world = world().await;
    let all = list(&world, "", 1_000).await;
    assert_eq!(all.len(), MANY);
    for limit in [1, 17, 50, 249, 250] {
        assert_eq!(list(&world, "", limit).await, all, "pages of {limit}");
    }
    assert!(all.is_sorted_by(|a, b| a["updated_at"].as_str() >= b["updated_at"].as_str()));
    for entry in all.iter().step_by(41) {
        let path = format!("/v1/{}", entry["source"].as_str().unwrap().replace("campaign/", "campaigns/"));
        let own = world.get(&path).await.ok();
        assert_eq!(
            but_counts(own),
            but_counts(entry.clone()),
            "the list's entry equals the source's own answer"
        );
    }
    let data = |entry: &Value, field: &str| entry["interaction_data"][field].clone();
    let expired = all.iter().filter(|e| data(e, "state") == "expired").count();
    assert!((5..60).contains(&expired), "{expired} are expired");
    for (query, keep) in [
        ("&status=draft", &(|e: &Value| e["status"] == "draft") as &dyn Fn(&Value) -> bool),
        ("&status=active", &|e| e["status"] == "active"),
        ("&status=stopped", &|e| e["status"] == "stopped"),
        ("&state=expired", &|e| data(e, "state") == "expired"),
        ("&state=available", &|e| data(e, "state") == "available"),
        ("&state=restoring", &|e| data(e, "state") == "restoring"),
        ("&state=expiring", &|e| data(e, "state") == "expiring"),
        ("&status=stopped&state=available", &|e| e["status"] == "stopped" && data(e, "state") == "available"),
        ("&q=spring", &|e| e["name"].as_str().unwrap().starts_with("Spring")),
        ("&q=SPRING%201", &|e| {
            let name = e["name"].as_str().unwrap();
            name.starts_with("Spring") && name.contains('1')
        }),
        ("&q=%C3%A4hre", &|e| e["name"].as_str().unwrap().starts_with("ÄHRE")),
        ("&q=C01", &|e| e["source"].as_str().unwrap().starts_with("campaign/c01")),
        ("&q=pring", &|e| e["name"].as_str().unwrap().starts_with("Spring")),
        ("&q=pri%20C01", &|e| {
            e["name"].as_str().unwrap().starts_with("Spring")
                && e["source"].as_str().unwrap().contains("/c01")
        }),
        ("&q=01%20ring", &|e| {
            e["name"].as_str().unwrap().starts_with("Spring") && e["name"].as_str().unwrap().contains("01")
        }),
        ("&q=a%CC%88hre", &|e| e["name"].as_str().unwrap().starts_with("ÄHRE")),
        ("&q=sprung", &|_| false),
        ("&q=", &|_| true),
        ("&q=spring&status=draft", &|e| {
            e["status"] == "draft" && e["name"].as_str().unwrap().starts_with("Spring")
        }),
    ] {
        let expected: Vec<Value> = all.iter().filter(|e| keep(e)).cloned().collect();
        for limit in [7, 1_000] {
            assert_eq!(list(&world, query, limit).await, expected, "{query} in pages of {limit}");
        }
    }
    let soonest = list(&world, "&sort=expires_at", 13).await;
    let expected = all.iter().filter(|e| data(e, "expires_at") != Value::Null).count();
    assert!(expected > 20, "{expected} will expire");
    assert_eq!(soonest.len(), expected, "sources that never expire are not listed");
    let at = |e: &Value| data(e, "expires_at").as_str().unwrap().to_owned();
    assert!(soonest.is_sorted_by(|a, b| at(a) <= at(b)), "soonest first");
    let of_stopped = list(&world, "&sort=expires_at&status=active", 5).await;
    assert_eq!(of_stopped, Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn timelines_say_what_happened_and_when() {
    let world = World::new(61).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 3).await;
    let mut expected = vec!["registered", "started"];
    for _ in 0..4 {
        world.advance("PT1H");
        world.stop("a").await;
        world.advance("P3M");
        world.settle().await;
        world.restore(&["campaign/a"]).await;
        world.start("a").await.ok();
        expected.extend(["stopped", "expired", "restore_started", "restored", "started"]);
    }
    assert_eq!(world.timeline("a").await, expected);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/v1/campaigns/a/timeline?limit=5{cursor}")).await.ok();
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let events: Vec<&str> = seen.iter().rev().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events, expected);
    assert!(seen.is_sorted_by(|a, b| a["at"].as_str() >= b["at"].as_str()), "newest first");
    let by = |event: &str| seen.iter().find(|e| e["event"] == event).unwrap()["by"].clone();
    assert_eq!(
        (by("stopped"), by("expired"), by("restored")),
        ("key/00000000000000000000000ADM".into(), "sweeper".into(), "restorer".into())
    );
}

/// The progress of many sources is read together, not source by source.
#[tokio::test(start_paused = true)]
async fn a_restore_of_many_sources_is_shown_with_few_calls() {
    let world = World::new(85).await;
    let names: Vec<String> = (0..30).map(|i| format!("c{i}")).collect();
    for name in &names {
        world.begin(name).await;
        world.ingest_received(name, "u", 3).await;
        world.stop(name).await;
    }
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 30);
    let sources: Vec<String> = names.iter().map(|name| format!("campaign/{name}")).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let id = world.request_restore(&sources, &[]).await;
    // The first message begins all items, and puts their parts into the queue.
    let begin = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
    world.stack.deliver(Consumer::Restorer, begin).await.unwrap();
    let part = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
    world.stack.deliver(Consumer::Restorer, part).await.unwrap();
    let shown = world.request(&id).await;
    let items = shown["items"].as_array().unwrap();
    let of = |state: &str| items.iter().filter(|item| item["state"] == state).count();
    assert!(of("restoring") >= 25, "{shown}");

    let process = world.doomed(Fault::Breaks, 12);
    let request = Request::get(format!("/v1/restores/{id}")).body(Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(process.router.clone(), request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!process.has_struck(), "it takes more than 12 calls");
    world.settle().await;
    assert_eq!(world.request(&id).await["state"], "completed");
}
