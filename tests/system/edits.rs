//! Edits: patches, answers that are put back, conditions, and dry runs.

use crate::fixture::world::{Answer, World, but_counts, got, named};
use axum::body::Body;
use http::{Method, Request, header};
use rekindle_local::stack::CATALOG;
use serde_json::{Value, json};

async fn patch(world: &World, path: &str, body: Value) -> Answer {
    world.call(Method::PATCH, path, &body).await
}

async fn with_headers(
    world: &World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Body::from(body.to_string())).unwrap()).await
}

/// A stopped campaign `old` with data, three months after its stop, which an active campaign retargets directly and a Canvas
/// through a segment.
async fn held() -> World {
    let world = World::new(301).await;
    world.ingest_received("old", "u", 5).await;
    world.put("/v1/segments/fans", json!({ "filter": got("old"), "name": "Fans" })).await.ok();
    world
        .put(
            "/v1/campaigns/new",
            json!({
                "name": "Neu", "tags": ["a", "b"], "variants": [{ "id": "A", "name": "one" }],
                "audience": got("old"), "notify": ["me@example.com"],
            }),
        )
        .await
        .ok();
    let canvas =
        json!({ "audience": { "segment": "fans" }, "steps": [{ "id": "s" }], "variations": [{ "id": "v" }] });
    world.put("/v1/canvases/flow", canvas).await.ok();
    world.start("new").await.ok();
    world.post("/v1/canvases/flow/start", Value::Null).await.ok();
    world.stop("old").await;
    world.advance("P4M");
    world.settle().await;
    assert_eq!(world.state("old").await, "available", "it is held");
    world
}

const THINGS: [&str; 4] =
    ["/v1/campaigns/new", "/v1/campaigns/old", "/v1/canvases/flow", "/v1/segments/fans"];

/// The thing without the fields that every edit sets.
fn but_marks(mut thing: Value) -> Value {
    for field in ["updated_at", "first_sight"] {
        thing.as_object_mut().unwrap().remove(field);
    }
    thing
}

async fn shown(world: &World, path: &str) -> Value {
    but_marks(world.get(path).await.ok())
}

#[tokio::test(start_paused = true)]
async fn what_get_answers_may_be_put_back() {
    let world = held().await;
    for path in THINGS {
        let got = world.get(path).await;
        let tag = got.headers[header::ETAG].to_str().unwrap().to_owned();
        let before = shown(&world, path).await;
        let answer = with_headers(&world, "PUT", path, &[("if-match", &tag)], got.ok()).await;
        assert_ne!(answer.headers[header::ETAG], tag);
        // The answer to an edit can be put back as well.
        let answer = answer.ok();
        assert_eq!(answer["now_due"], json!([]), "{path}");
        world.put(path, answer).await.ok();
        assert_eq!(shown(&world, path).await, before, "{path}: nothing is lost");
    }
    assert_eq!(world.timeline("new").await, ["registered", "started"]);
}

#[tokio::test(start_paused = true)]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let world = held().await;
    for path in THINGS {
        let mut expected = shown(&world, path).await;
        let patched = but_marks(patch(&world, path, json!({ "name": "Ümlaut" })).await.ok());
        expected["name"] = "Ümlaut".into();
        expected["now_due"] = json!([]);
        assert_eq!(but_counts(patched), but_counts(expected), "{path}");
        assert_eq!(
            patch(&world, path, json!({ "name": null })).await.ok()["name"],
            path.rsplit('/').next().unwrap()
        );
        let empty = patch(&world, path, json!({})).await.ok();
        assert_eq!(empty["name"], path.rsplit('/').next().unwrap(), "an empty patch changes nothing");
    }
    // Lists are replaced, objects are merged.
    let new = patch(&world, "/v1/campaigns/new", json!({ "tags": ["c"], "notify": null })).await.ok();
    assert_eq!((&new["tags"], &new["notify"]), (&json!(["c"]), &json!([])));
    assert_eq!(new["variants"], json!([{ "id": "A", "name": "one" }]));
    let narrowed = json!({ "audience": { "received": { "channel": "email" } } });
    let narrowed = patch(&world, "/v1/campaigns/new", narrowed).await.ok();
    assert_eq!(narrowed["audience"], json!({ "received": { "source": "campaign/old", "channel": "email" } }));
    let other = json!({ "audience": { "received": null, "opened": { "source": "campaign/old" } } });
    let other = patch(&world, "/v1/campaigns/new", other).await.ok();
    assert_eq!(other["audience"], json!({ "opened": { "source": "campaign/old" } }));
    let none = patch(&world, "/v1/campaigns/new", json!({ "audience": null })).await.ok();
    assert_eq!(none["audience"], Value::Null);
    let steps = patch(&world, "/v1/canvases/flow", json!({ "steps": [{ "id": "t" }] })).await.ok();
    assert_eq!((&steps["steps"][0]["id"], &steps["variations"][0]["id"]), (&json!("t"), &json!("v")));
}

#[tokio::test(start_paused = true)]
async fn a_patch_is_checked_as_a_put_is() {
    let world = held().await;
    for path in ["/v1/campaigns/nobody", "/v1/canvases/old"] {
        patch(&world, path, json!({})).await.problem(404, "unknown_source");
    }
    patch(&world, "/v1/segments/nobody", json!({})).await.problem(404, "unknown_segment");
    for (path, body, status, code) in [
        ("/v1/campaigns/new", json!([]), 400, "invalid_field"),
        ("/v1/campaigns/new", json!("x"), 400, "invalid_field"),
        ("/v1/campaigns/new", json!({ "nonsense": 1 }), 400, "unknown_field"),
        ("/v1/campaigns/new", json!({ "steps": [] }), 400, "unknown_field"),
        ("/v1/campaigns/new", json!({ "tags": 7 }), 400, "invalid_field"),
        ("/v1/campaigns/new", json!({ "tags": ["a\nb"] }), 422, "invalid_tags"),
        ("/v1/campaigns/new", json!({ "audience": { "opened": {} } }), 422, "invalid_filter"),
        (
            "/v1/campaigns/new",
            json!({ "audience": { "received": { "source": "campaign/x" } } }),
            422,
            "unknown_source",
        ),
        ("/v1/campaigns/new", json!({ "source": "campaign/old" }), 422, "invalid_source"),
        ("/v1/canvases/flow", json!({ "source": "campaign/flow" }), 422, "invalid_source"),
        ("/v1/campaigns/new", json!({ "status": "stopped" }), 422, "invalid_status"),
        ("/v1/campaigns/old", json!({ "status": "active" }), 422, "invalid_status"),
        ("/v1/segments/fans", json!({ "segment": "segment/others" }), 422, "invalid_segment"),
        ("/v1/segments/fans", json!({ "filter": null }), 400, "missing_field"),
        (
            "/v1/segments/fans",
            json!({ "filter": { "received": null, "segment": "fans" } }),
            422,
            "segment_cycle",
        ),
    ] {
        let before = shown(&world, path).await;
        let refused = patch(&world, path, body.clone()).await.problem(status, code);
        if code == "invalid_status" {
            let detail = refused["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("POST {path}/start and {path}/stop")), "{detail}");
        }
        if code != "missing_field" && body.is_object() {
            // What a patch is refused for, a whole body with the same field is refused for.
            let mut whole = before.clone();
            if let (Value::Object(whole), Value::Object(fields)) = (&mut whole, body.clone())
                && !["audience", "filter"].iter().any(|field| fields.contains_key(*field))
            {
                whole.extend(fields);
                world.put(path, Value::Object(whole.clone())).await.problem(status, code);
            }
        }
        assert_eq!(shown(&world, path).await, before, "{path} {body}");
    }
    let text = [("content-type", "application/json-patch+json")];
    with_headers(&world, "PATCH", "/v1/campaigns/new", &text, json!({}))
        .await
        .problem(415, "unsupported_media_type");
    for kind in ["application/merge-patch+json", "Application/JSON; charset=utf-8"] {
        with_headers(&world, "PATCH", "/v1/segments/fans", &[("content-type", kind)], json!({})).await.ok();
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_what_changed_since_is_refused() {
    let world = held().await;
    for path in THINGS {
        let old = world.get(path).await.headers[header::ETAG].to_str().unwrap().to_owned();
        let whole = patch(&world, path, json!({ "name": "x" })).await.ok();
        for (method, body) in [("PUT", &whole), ("PATCH", &json!({ "name": "y" }))] {
            for query in ["", "?dry_run=true"] {
                let path = format!("{path}{query}");
                let answer = with_headers(&world, method, &path, &[("if-match", &old)], body.clone()).await;
                answer.problem(412, "precondition_failed");
            }
        }
        let now = world.get(path).await.headers[header::ETAG].to_str().unwrap().to_owned();
        let answer = with_headers(&world, "PATCH", path, &[("if-match", &now)], json!({ "name": "y" })).await;
        let after = answer.headers[header::ETAG].clone();
        assert_eq!(answer.ok()["name"], "y");
        assert_eq!(world.get(path).await.headers[header::ETAG], after);
    }
    world.put("/v1/segments/free", json!({ "filter": got("old") })).await.ok();
    let refused =
        with_headers(&world, "DELETE", "/v1/segments/free", &[("if-match", "\"7\"")], Value::Null).await;
    refused.problem(412, "precondition_failed");
    with_headers(&world, "PATCH", "/v1/segments/free", &[("if-match", "seven")], json!({}))
        .await
        .problem(400, "invalid_if_match");
}

#[tokio::test(start_paused = true)]
async fn a_new_source_may_be_active_at_once() {
    let world = held().await;
    let canvas = json!({ "status": "active", "audience": got("old"), "tags": ["t"] });
    let made = world.put("/v1/canvases/fresh", canvas.clone()).await.ok();
    assert_eq!((&made["status"], &made["started_at"].is_string()), (&json!("active"), &true));
    let holders = world.campaign("old").await["interaction_data"]["held_by"].clone();
    assert!(
        holders.as_array().unwrap().contains(&json!({ "source": "canvas/fresh", "via": [] })),
        "{holders}"
    );
    let timeline = world.get("/v1/canvases/fresh/timeline").await.ok();
    let events: Vec<&Value> = timeline["items"].as_array().unwrap().iter().map(|e| &e["event"]).collect();
    assert_eq!(events.len(), 2, "{timeline}");
    world.put("/v1/canvases/fresh", canvas).await.ok();
    let draft = world.put("/v1/canvases/later", json!({ "status": "draft" })).await.ok();
    assert_eq!(draft["status"], "draft");
    world.put("/v1/canvases/never", json!({ "status": "stopped" })).await.problem(422, "invalid_status");
    world.get("/v1/canvases/never").await.problem(404, "unknown_source");
    // It holds data only if the data is there.
    for path in ["/v1/campaigns/new", "/v1/canvases/fresh", "/v1/canvases/flow"] {
        world.post(&format!("{path}/stop"), Value::Null).await.ok();
    }
    world.settle().await;
    assert_eq!(world.state("old").await, "expired");
    let late = json!({ "status": "active", "audience": got("old") });
    world.put("/v1/campaigns/late", late).await.problem(409, "expired_interaction_data");
    world.get("/v1/campaigns/late").await.problem(404, "unknown_source");
}

/// The whole catalog, as stored.
async fn catalog(world: &World) -> Vec<String> {
    let page = world.dynamodb.scan().table_name(CATALOG).send().await.unwrap();
    let mut items: Vec<String> =
        page.items().iter().map(|i| format!("{:?}", i.get("doc").or(i.get("sk")))).collect();
    items.sort();
    items
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_answers_as_the_edit_would_and_writes_nothing() {
    let world = held().await;
    world.put("/v1/segments/free", json!({ "filter": got("old") })).await.ok();
    let cases = [
        ("PATCH", "/v1/campaigns/new", json!({ "audience": null })),
        ("PUT", "/v1/campaigns/new", json!({})),
        ("POST", "/v1/campaigns/new/stop", json!({})),
        ("POST", "/v1/canvases/flow/stop", Value::Null),
        ("PATCH", "/v1/segments/fans", json!({ "filter": { "received": null, "never_received": {} } })),
        ("PUT", "/v1/campaigns/other", json!({ "status": "active", "audience": got("old"), "tags": ["q"] })),
        ("PUT", "/v1/segments/other", json!({ "filter": { "segment": "free" } })),
        ("DELETE", "/v1/segments/free", Value::Null),
        ("DELETE", "/v1/segments/fans", Value::Null),
        ("DELETE", "/v1/segments/nobody", Value::Null),
        ("POST", "/v1/campaigns/old/stop", json!({ "at": "2027-01-01T00:00:00Z" })),
        ("PUT", "/v1/campaigns/other", json!({ "audience": got("nobody") })),
    ];
    let call =
        async |method: &str, path: &str, body: &Value| world.call(method.parse().unwrap(), path, body).await;
    let mut let_go = 0;
    for (method, path, body) in cases {
        let present = world.get(path.trim_end_matches("/stop")).await;
        let before = catalog(&world).await;
        let tried = call(method, &format!("{path}?dry_run=true"), &body).await;
        assert!(catalog(&world).await == before, "{method} {path}: a dry run wrote something");
        if tried.status.is_success() && method != "DELETE" {
            let tags = (tried.headers.get(header::ETAG), present.headers.get(header::ETAG));
            assert_eq!(tags.0, tags.1, "{method} {path}: the ETag is the present one");
        }
        call(method, &format!("{path}?dry_run=yes"), &body).await.problem(400, "invalid_query");
        let done = call(method, path, &body).await;
        assert_eq!(tried.status, done.status, "{method} {path}");
        assert_eq!(tried.body, done.body, "{method} {path}");
        let names_old = |due: &Vec<Value>| due.iter().any(|entry| entry["source"] == "campaign/old");
        let_go += usize::from(done.body["now_due"].as_array().is_some_and(names_old));
        if method != "DELETE" && done.status.is_success() && path.contains("other") {
            continue;
        }
        // The next edit begins where this one did.
        if done.status.is_success() {
            world.put("/v1/segments/fans", json!({ "filter": got("old") })).await.ok();
            world.put("/v1/campaigns/new", json!({ "audience": got("old") })).await.ok();
            world.start("new").await.ok();
            world.post("/v1/canvases/flow/start", Value::Null).await.ok();
        }
    }
    assert_eq!(let_go, 0, "another source holds it each time");
    world.post("/v1/canvases/flow/stop", Value::Null).await.ok();
    world.post("/v1/campaigns/other/stop", Value::Null).await.ok();
    for (method, path, body) in [
        ("PATCH", "/v1/campaigns/new", json!({ "audience": null })),
        ("POST", "/v1/campaigns/new/stop", Value::Null),
    ] {
        let tried = call(method, &format!("{path}?dry_run=true"), &body).await.ok();
        assert_eq!(named(&tried["now_due"]), ["campaign/old"], "{method} {path} names what it would let go");
    }
    assert_eq!(world.state("old").await, "available");
    // A dry run takes the scope of the act.
    let reader = world.post("/v1/keys", json!({ "name": "r", "scopes": ["read"] })).await.ok();
    let reader = World { key: reader["key"].as_str().map(str::to_owned), ..world };
    let refused = patch(&reader, "/v1/campaigns/new?dry_run=true", json!({})).await;
    refused.problem(403, "wrong_scope");
}
