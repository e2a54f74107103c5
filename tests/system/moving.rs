//! Lists whose entries move while they are paged; tags with every filter and order; cursors of questions that changed.

use crate::fixture::world::{World, got};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn name_of(entry: &Value) -> String {
    entry["source"].as_str().or(entry["segment"].as_str()).unwrap().to_owned()
}

/// All entries of a list in pages of `limit`. `between` is called with the names of each page but the last.
async fn paged(
    world: &World,
    path: &str,
    limit: usize,
    mut between: impl AsyncFnMut(&[String]),
) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let sep = if path.contains('?') { '&' } else { '?' };
        let page = world.get(&format!("{path}{sep}limit={limit}{cursor}")).await.ok();
        let names: Vec<String> = page["items"].as_array().unwrap().iter().map(name_of).collect();
        assert!(names.len() <= limit);
        all.extend(names.iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        between(&names).await;
        cursor = format!("&cursor={next}");
    }
}

/// Twelve campaigns with a tag, as many without, all stopped at different times, and twelve segments.
async fn world() -> World {
    let world = World::new(320).await;
    for i in 0..24 {
        let tags = if i % 2 == 0 { vec!["t"] } else { vec![] };
        let name = format!("Spring {i:02}");
        world.put(&format!("/v1/campaigns/c{i:02}"), json!({ "tags": tags, "name": name })).await.ok();
        world.start(&format!("c{i:02}")).await.ok();
        world.ingest_received(&format!("c{i:02}"), "u", 1).await;
        world.put(&format!("/v1/segments/s{i:02}"), json!({ "filter": { "hard_bounced": {} } })).await.ok();
        world.advance("PT1H");
        world.stop(&format!("c{i:02}")).await;
    }
    world.advance("PT1H");
    world
}

#[tokio::test(start_paused = true)]
async fn what_is_edited_while_a_list_is_paged_is_on_some_page() {
    for (path, thing, count) in [
        ("/v1/campaigns", "campaigns/c", 24),
        ("/v1/campaigns?q=spring&status=stopped", "campaigns/c", 24),
        ("/v1/campaigns?sort=expires_at", "campaigns/c", 24),
        ("/v1/campaigns?tag=t", "campaigns/c", 12),
        ("/v1/campaigns?tag=t&sort=updated_at", "campaigns/c", 12),
        ("/v1/campaigns?tag=t&sort=expires_at", "campaigns/c", 12),
        ("/v1/segments", "segments/s", 24),
    ] {
        for limit in [1, 5, 7] {
            let world = world().await;
            let quiet = paged(&world, path, limit, async |_: &[String]| {}).await;
            let all: BTreeSet<String> = quiet.iter().cloned().collect();
            assert_eq!((quiet.len(), all.len()), (count, count), "{path}: nothing twice if nothing changes");
            // After each page one that no page has shown moves to the front, and so do two that were shown.
            let (mut seen, mut round) = (BTreeSet::new(), 0);
            let found = paged(&world, path, limit, async |names: &[String]| {
                seen.extend(names.iter().cloned());
                round += 1;
                if round > 30 {
                    return;
                }
                world.advance("PT0.001S");
                let unseen = all.difference(&seen).last();
                for name in unseen.into_iter().chain(seen.iter().take(2)) {
                    let id = &name[name.len() - 2..];
                    let path = format!("/v1/{thing}{id}");
                    let body = json!({ "name": format!("Spring {round}") });
                    world.call(http::Method::PATCH, &path, &body).await.ok();
                }
            })
            .await;
            let found: BTreeSet<String> = found.into_iter().collect();
            assert_eq!(found, all, "{path} in pages of {limit}");
        }
    }
}

/// A source that moves from the end of the list to its passed front, by its date and not by its name.
#[tokio::test(start_paused = true)]
async fn what_expires_sooner_while_the_list_is_paged_is_on_some_page() {
    for query in ["", "&tag=t"] {
        let world = world().await;
        let pin = json!({ "reason": "x", "until": "2028-01-01T00:00:00Z" });
        world.post("/v1/campaigns/c00/pin", pin).await.ok();
        world.advance("PT1H");
        let path = format!("/v1/campaigns?sort=expires_at{query}");
        let mut is_first = true;
        let found = paged(&world, &path, 5, async |names: &[String]| {
            if std::mem::take(&mut is_first) {
                assert!(!names.iter().any(|name| name.ends_with("c00")), "{names:?}");
                world.call(http::Method::DELETE, "/v1/campaigns/c00/pin", &Value::Null).await.ok();
            }
        })
        .await;
        assert!(found.iter().any(|name| name.ends_with("c00")), "{query}: {found:?}");
    }
}

/// A list's query.
#[derive(Clone, Copy)]
struct Asked {
    tag: &'static str,
    status: &'static str,
    state: &'static str,
    q: &'static str,
    sort: &'static str,
}

impl Asked {
    /// Every query of these values; an empty one is left out of the query.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for tag in ["", "t"] {
            for status in ["", "active", "stopped", "draft"] {
                for state in ["", "available", "expired", "restoring", "expiring"] {
                    for q in ["", "prin", "1%20spring"] {
                        for sort in ["", "updated_at", "expires_at"] {
                            all.push(Self { tag, status, state, q, sort });
                        }
                    }
                }
            }
        }
        all
    }

    fn path(&self) -> String {
        let Self { tag, status, state, q, sort } = *self;
        let named = [("tag", tag), ("status", status), ("state", state), ("q", q), ("sort", sort)];
        let given = named.iter().filter(|(_, value)| !value.is_empty());
        let given: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();
        format!("/v1/campaigns?{}", given.join("&"))
    }

    fn shows(&self, entry: &Value) -> bool {
        let is = |asked: &str, found: &Value| asked.is_empty() || found == asked;
        is(self.status, &entry["status"])
            && is(self.state, &entry["interaction_data"]["state"])
            && (self.tag.is_empty() || entry["tags"] == json!(["t"]))
            && (self.q != "1%20spring" || name_of(entry).contains('1'))
            && (self.sort != "expires_at" || expires_at(entry).is_some())
    }
}

fn expires_at(entry: &Value) -> Option<&str> {
    entry["interaction_data"]["expires_at"].as_str()
}

#[tokio::test(start_paused = true)]
async fn every_filter_goes_with_every_order_and_with_a_tag() {
    let world = world().await;
    for i in [0, 3, 6, 9] {
        world.start(&format!("c{i:02}")).await.ok();
        world.advance("PT1M");
    }
    // Half of those that are stopped are due by then.
    world.advance("P89DT11H");
    world.settle().await;
    world.advance("PT1H");
    let all = world.get("/v1/campaigns").await.ok()["items"].as_array().unwrap().clone();
    assert_eq!(all.len(), 24);
    let mut sizes = BTreeSet::new();
    for asked in Asked::all() {
        let mut expected: Vec<&Value> = all.iter().filter(|entry| asked.shows(entry)).collect();
        match asked.sort {
            "expires_at" => expected.sort_by_key(|entry| expires_at(entry)),
            "" if !asked.tag.is_empty() => expected.sort_by_key(|entry| name_of(entry)),
            _ => {}
        }
        let expected: Vec<String> = expected.into_iter().map(name_of).collect();
        let path = asked.path();
        let found = paged(&world, &path, 5, async |_: &[String]| {}).await;
        assert_eq!(sorted(&found), sorted(&expected), "{path}");
        // Sources that expired in one sweep have changed at the same time, and stand in any order.
        if asked.state != "expired" && (asked.sort == "expires_at" || asked.state == "available") {
            assert_eq!(found, expected, "{path}");
        }
        sizes.insert(expected.len());
    }
    assert!(sizes.len() > 6, "{sizes:?}");
    let words = vec!["a"; 17].join("%20");
    world.get(&format!("/v1/campaigns?q={words}")).await.problem(400, "invalid_query");
}

fn sorted(names: &[String]) -> Vec<&String> {
    let mut names: Vec<&String> = names.iter().collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_cursor_over_a_segment_or_a_tag_that_changed_says_so() {
    let world = World::new(321).await;
    world.ingest_received("a", "u", 20).await;
    world.ingest_received("b", "v", 20).await;
    world.put("/v1/campaigns/a", json!({ "tags": ["t"] })).await.ok();
    world.put("/v1/segments/inner", json!({ "filter": got("a") })).await.ok();
    world.put("/v1/segments/outer", json!({ "filter": { "segment": "inner" } })).await.ok();
    let filter = json!({ "any": [{ "segment": "outer" }, { "received": { "tag": "t" } }] });
    let ask = async |cursor: &Value| {
        let body = json!({ "filter": filter, "limit": 5, "cursor": cursor });
        world.post("/v1/audiences/members", body).await
    };
    let first = ask(&Value::Null).await.ok()["next"].clone();
    // Other edits, and uses of the segment, leave the cursor as good as it was.
    world.put("/v1/segments/outer", json!({ "filter": { "segment": "inner" }, "name": "Outer" })).await.ok();
    world
        .put("/v1/campaigns/c", json!({ "status": "active", "audience": { "segment": "outer" } }))
        .await
        .ok();
    world.put("/v1/campaigns/a", json!({ "tags": ["t", "other"] })).await.ok();
    assert_eq!(ask(&first).await.ok()["items"].as_array().unwrap().len(), 5);

    world.put("/v1/segments/inner", json!({ "filter": got("b") })).await.ok();
    let refused = ask(&first).await.problem(400, "invalid_cursor");
    assert!(refused["detail"].as_str().unwrap().contains("segment"), "{refused}");
    let second = ask(&Value::Null).await.ok()["next"].clone();
    for tags in [json!(["t"]), json!([])] {
        let second = ask(&Value::Null).await.ok()["next"].clone();
        world.put("/v1/campaigns/b", json!({ "tags": tags })).await.ok();
        let refused = ask(&second).await.problem(400, "invalid_cursor");
        assert!(refused["detail"].as_str().unwrap().contains("tag"), "{refused}");
    }
    // As it was before, the cursor of before goes on.
    ask(&second).await.ok();
}
