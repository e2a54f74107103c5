//! Names in filters that match nothing: refused wherever a filter is asked or stored, with the names that are like them,
//! unless the request allows them.

use crate::fixture::world::World;
use serde_json::{Value, json};

/// A world with a campaign of two variants and a Canvas of two variations and two steps, each with a tag, and a campaign
/// that declares nothing.
async fn world(seed: u64) -> World {
    let world = World::new(seed).await;
    let variants = json!([{ "id": "blue" }, { "id": "green" }]);
    world.put("/v1/campaigns/a", json!({ "tags": ["promo"], "variants": variants })).await.ok();
    let canvas = json!({
        "tags": ["welcome"], "variations": [{ "id": "V1" }, { "id": "V2" }], "steps": [{ "id": "day-1" }, { "id": "day-2" }],
    });
    world.put("/v1/canvases/c", canvas).await.ok();
    world.ingest_received("plain", "u", 3).await;
    world
}

/// A filter with a wrong name, the code, the place of the name in the filter, the name, and the one most like it.
fn mistyped() -> Vec<(Value, &'static str, &'static str, &'static str, &'static str)> {
    let blue = json!({ "received": { "source": "campaign/a", "variant": "bleu" } });
    vec![
        (
            json!({ "not": { "received": { "tag": "pormo" } } }),
            "unknown_tag",
            "not.received.tag",
            "pormo",
            "promo",
        ),
        (json!({ "all": [blue] }), "unknown_variant", "all[0].received.variant", "bleu", "blue"),
        (
            json!({ "entered": { "source": "canvas/c", "variation": "V9" } }),
            "unknown_variation",
            "entered.variation",
            "V9",
            "V1",
        ),
        (
            json!({ "clicked": { "source": "canvas/c", "variation": "V3" } }),
            "unknown_variation",
            "clicked.variation",
            "V3",
            "V1",
        ),
        (
            json!({ "last_engaged": { "source": "canvas/c", "step": "day1", "less_than": "P1D" } }),
            "unknown_step",
            "last_engaged.step",
            "day1",
            "day-1",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_name_that_matches_nothing_is_refused_wherever_a_filter_is_asked_or_stored() {
    let world = world(180).await;
    for (filter, code, place, name, nearest) in mistyped() {
        let question = |more: Value| {
            let mut body = json!({ "filter": filter });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let mut refusals = vec![
            (world.post("/v1/audiences/count", question(json!({}))).await, "filter"),
            (world.post("/v1/audiences/members", question(json!({ "limit": 5 }))).await, "filter"),
            (world.post("/v1/audiences/match", question(json!({ "user_id": "u0" }))).await, "filter"),
            (world.put("/v1/segments/s", question(json!({}))).await, "filter"),
            (world.put("/v1/campaigns/b", json!({ "audience": filter })).await, "audience"),
            (world.put("/v1/canvases/b", json!({ "audience": filter })).await, "audience"),
        ];
        for (answer, root) in refusals.drain(..) {
            let refused = answer.problem(422, code);
            assert_eq!(refused["path"], format!("{root}.{place}"));
            assert_eq!(refused["unknown"], json!([name]));
            assert_eq!(refused["nearest"][0], nearest, "{refused}");
            let detail = refused["detail"].as_str().unwrap();
            assert!(detail.contains(nearest) && detail.contains("\"unknown_names\":\"allow\""), "{detail}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_allow_them_and_what_is_stored_may_be_put_again() {
    let world = world(181).await;
    for (filter, ..) in mistyped() {
        let allowed = |field: &str| json!({ field: filter, "unknown_names": "allow" });
        let count = world.post("/v1/audiences/count", allowed("filter")).await.ok();
        // `not` is over everybody.
        assert_eq!(count["count"], if filter.get("not").is_some() { 3 } else { 0 }, "{filter}");
        world.put("/v1/segments/s", allowed("filter")).await.ok();
        world.put("/v1/campaigns/b", allowed("audience")).await.ok();
        // What stands there already is taken as it is, and is asked as it is.
        let renamed = world.put("/v1/segments/s", json!({ "name": "S", "filter": filter })).await.ok();
        assert_eq!(renamed["name"], "S");
        world.put("/v1/campaigns/b", json!({ "name": "B", "audience": filter })).await.ok();
        world.count(&json!({ "segment": "s" })).await;
    }
    let odd = json!({ "filter": { "hard_bounced": {} }, "unknown_names": "maybe" });
    world.post("/v1/audiences/count", odd).await.problem(400, "invalid_field");
}

#[tokio::test(start_paused = true)]
async fn declared_names_carried_tags_aliases_and_sources_that_declare_nothing_are_taken() {
    let world = world(182).await;
    for filter in [
        json!({ "received": { "source": "campaign/a", "variant": "green" } }),
        json!({ "received": { "source": "canvas/c", "variation": "V2", "step": "day-2" } }),
        json!({ "received": { "tag": "welcome" } }),
        json!({ "received": { "source": "campaign/plain", "variant": "anything" } }),
        json!({ "clicked": { "source": "campaign/a", "alias": "nobody-clicked-it" } }),
    ] {
        assert_eq!(world.count(&filter).await, 0, "{filter}");
    }
    // A source's own audience may name what the same request declares and tags.
    let audience = json!({ "any": [
        { "received": { "source": "campaign/new", "variant": "A" } },
        { "received": { "tag": "fresh" } },
    ] });
    let body = json!({ "tags": ["fresh"], "variants": [{ "id": "A" }], "audience": audience });
    world.put("/v1/campaigns/new", body).await.ok();
    let body = json!({ "tags": ["fresh"], "variants": [{ "id": "B" }], "audience": { "not": audience } });
    world.put("/v1/campaigns/new", body).await.problem(422, "unknown_variant");
    // Between two pages the tag loses its last source: the cursor is refused for that.
    let page = json!({ "filter": { "not": { "received": { "tag": "welcome" } } }, "limit": 1 });
    let first = world.post("/v1/audiences/members", page.clone()).await.ok();
    world.put("/v1/canvases/c", json!({})).await.ok();
    let mut second = page.clone();
    second["cursor"] = first["next"].clone();
    let refused = world.post("/v1/audiences/members", second).await.problem(400, "invalid_cursor");
    assert!(refused["detail"].as_str().unwrap().contains("carry a tag"), "{refused}");
    world.post("/v1/audiences/members", page).await.problem(422, "unknown_tag");
}
