//! Canvases live as campaigns do, but have variations and steps.

use crate::fixture::world::{World, local_settings, received};
use axum::body::Body;
use http::{Request, StatusCode, header};
use rekindle_domain::time::Period;
use rekindle_service::{Settings, UnknownSources};
use serde_json::{Value, json};

/// An interaction with a step of a Canvas.
fn of_step(canvas: &str, user: &str, kind: &str, step: &str) -> Value {
    json!({ "user_id": user, "canvas_id": canvas, "type": kind, "channel": "push", "step_id": step,
        "variation_id": "V1" })
}

fn entered(canvas: &str, user: &str) -> Value {
    json!({ "user_id": user, "canvas_id": canvas, "type": "entered", "variation_id": "V1" })
}

fn got_canvas(canvas: &str) -> Value {
    json!({ "received": { "source": format!("canvas/{canvas}") } })
}

#[tokio::test(start_paused = true)]
async fn canvases_are_registered_shown_and_listed_by_their_own_fields() {
    let world = World::new(90).await;
    let said = json!({
        "name": "Welcome", "tags": ["promo"], "notify": ["me@example.com"],
        "variations": [{ "id": "V1", "name": "Short" }, { "id": "V2" }],
        "steps": [{ "id": "s1", "name": "Hello" }],
    });
    let new = world.put("/v1/canvases/welcome", said.clone()).await;
    assert_eq!(new.status, StatusCode::CREATED);
    let shown = new.body;
    assert_eq!(shown["source"], "canvas/welcome");
    assert_eq!(shown["status"], "draft");
    assert_eq!(shown["variations"], json!([{ "id": "V1", "name": "Short" }, { "id": "V2", "name": "" }]));
    assert_eq!(shown["steps"], said["steps"]);
    assert_eq!(shown.get("variants"), None, "only campaigns have it");
    world.put("/v1/campaigns/welcome", json!({ "variants": [{ "id": "A" }] })).await.ok();
    let campaign = world.campaign("welcome").await;
    assert_eq!((campaign.get("variations"), campaign.get("steps")), (None, None), "only Canvases have them");
    assert_eq!(campaign["variants"], json!([{ "id": "A", "name": "" }]));

    let list = world.get("/v1/canvases").await.ok();
    assert_eq!(list["items"], json!([world.get("/v1/canvases/welcome").await.ok()]));
    assert_eq!(world.get("/v1/campaigns").await.ok()["items"], json!([campaign]));

    // A write with `If-Match` is conditional.
    let put = |if_match: &str| {
        let request = Request::put("/v1/canvases/welcome").header(header::IF_MATCH, if_match);
        request.body(Body::from(json!({ "name": "Hello" }).to_string())).unwrap()
    };
    world.send(put("\"7\"")).await.problem(412, "precondition_failed");
    let found = world.get("/v1/canvases/welcome").await;
    let tag = found.headers[header::ETAG].to_str().unwrap().to_owned();
    let replaced = world.send(put(&tag)).await.ok();
    assert_eq!(
        (&replaced["name"], &replaced["steps"], &replaced["tags"]),
        (&"Hello".into(), &json!([]), &json!([]))
    );
    world.send(put(&tag)).await.problem(412, "precondition_failed");

    world.post("/v1/canvases/welcome/stop", Value::Null).await.problem(409, "not_started");
    assert_eq!(world.post("/v1/canvases/welcome/start", Value::Null).await.ok()["status"], "active");
    assert_eq!(world.post("/v1/canvases/welcome/stop", Value::Null).await.ok()["status"], "stopped");
    let timeline = world.get("/v1/canvases/welcome/timeline").await.ok();
    let events: Vec<&str> =
        timeline["items"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["stopped", "started", "edited", "registered"]);
    assert_eq!(
        world.timeline("welcome").await,
        ["registered"],
        "a campaign of the same id is another source"
    );
}

#[tokio::test(start_paused = true)]
async fn l1_interactions_of_a_canvas_arrive_expire_and_come_back() {
    let world = World::new(91).await;
    // A campaign and a Canvas share an id; neither was registered.
    let users: Vec<String> = (0..30).map(|i| format!("u{i}")).collect();
    let mut items = vec![];
    for user in &users {
        items.push(entered("w", user));
        items.push(of_step("w", user, "received", "s1"));
        items.push(of_step("w", user, "received", "s2"));
        items.push(of_step("w", user, "opened", "s1"));
    }
    items.push(json!({ "user_id": "c", "canvas_id": "w", "type": "control", "variation_id": "V1" }));
    items.push(received("w", "other"));
    world.ingest(&items).await;
    let canvas = world.get("/v1/canvases/w").await.ok();
    assert_eq!((&canvas["status"], &canvas["variations"]), (&"active".into(), &json!([])));
    assert_eq!(world.count(&got_canvas("w")).await, 30);
    assert_eq!(world.count(&crate::fixture::world::got("w")).await, 1);
    assert_eq!(world.matches(&got_canvas("w"), "other", "refuse").await, "no");

    world.post("/v1/canvases/w/stop", Value::Null).await.ok();
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 1);
    let expired = world.get("/v1/canvases/w").await.ok();
    let data = &expired["interaction_data"];
    assert_eq!((&data["state"], &data["users"]), (&"expired".into(), &json!(31)));
    let counts = json!({ "entered": 30, "received": 30, "opened": 30, "control": 1 });
    assert_eq!(data["counts"], counts, "users by type, however many steps they received");
    world.try_count(&got_canvas("w"), "refuse").await.problem(409, "expired_interaction_data");
    assert_eq!(world.state("w").await, "available", "the campaign of that id is not touched");
    let refused = world.post("/v1/canvases/w/start", Value::Null).await;
    assert_eq!(refused.problem(409, "expired_interaction_data")["expired"], json!(["canvas/w"]));
    world.clean_up().await;
    // Late interactions are kept, too.
    world.ingest(&[of_step("w", "late", "received", "s1")]).await;
    world.restore(&["canvas/w"]).await;
    assert_eq!(world.count(&got_canvas("w")).await, 31);
    let canvas = world.get("/v1/canvases/w").await.ok();
    assert_eq!(canvas["interaction_data"]["expires_at"], "2027-07-01T03:03:00.000Z");
}

/// The rejection of one interaction, over HTTP.
async fn rejected(world: &World, item: Value) -> (String, String) {
    let answer = world.post("/v1/interactions", json!([item])).await.problem(422, "nothing_accepted");
    let rejection = &answer["rejected"][0];
    assert_eq!(rejection["index"], 0);
    let text = |field: &str| rejection[field].as_str().unwrap().to_owned();
    (text("code"), text("detail"))
}

#[tokio::test(start_paused = true)]
async fn what_fits_no_kind_of_source_is_told_how_to_mend_it() {
    let world = World::new(92).await;
    let with = |mut item: Value, field: &str, value: &str| {
        item[field] = value.into();
        item
    };
    for (item, code, says) in [
        (with(received("c", "u"), "canvas_id", "w"), "two_sources", "one interaction for the campaign"),
        (json!({ "user_id": "u", "type": "control" }), "missing_field", "campaign_id or canvas_id"),
        (with(received("c", "u"), "step_id", "s1"), "field_not_allowed", "campaigns have no steps"),
        (with(received("c", "u"), "variation_id", "V1"), "field_not_allowed", "variant_id"),
        (with(entered("w", "u"), "variant_id", "A"), "field_not_allowed", "variation_id"),
        (json!({ "user_id": "u", "campaign_id": "c", "type": "entered" }), "invalid_type", "canvas_id"),
        (with(entered("w", "u"), "canvas_id", "a b"), "invalid_canvas_id", "`a b`"),
    ] {
        let (found, detail) = rejected(&world, item.clone()).await;
        assert_eq!(found, code, "{item} {detail}");
        assert!(detail.contains(says), "{item} {detail}");
    }
    world.get("/v1/canvases/w").await.problem(404, "unknown_source");
    let period = Period::parse("P3M").unwrap();
    let strict = Settings { unknown_sources: UnknownSources::Reject, ..local_settings(period) };
    let world = World::with(93, strict).await;
    let (code, detail) = rejected(&world, entered("w", "u")).await;
    assert_eq!((code.as_str(), detail.contains("PUT /v1/canvases/w")), ("unknown_source", true), "{detail}");
}
