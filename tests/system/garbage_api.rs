//! Invalid requests to the rest of the API: routes, queries, bodies, filters, cursors.

use crate::fixture::world::{ADMIN_KEY, World, got, received};
use axum::body::Body;
use http::{Method, Request};
use rekindle_local::{clock::LocalClock, server::Local};
use serde_json::{Value, json};
use std::sync::Arc;

const LONG: usize = 5_000;

async fn world() -> World {
    let world = World::new(43).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 40).await;
    world
}

/// A place in a list of sources, after a source that cannot be.
fn nowhere() -> Value {
    let after = json!({ "source": "nowhere", "sort": 1 });
    json!({ "since": "2027-01-01T00:00:00.000Z", "at_end": false, "after": after })
}

#[tokio::test(start_paused = true)]
async fn routes_and_queries_that_are_not_there_are_problems() {
    let world = world().await;
    let long = "x".repeat(LONG);
    let cursor = |value: Value| rekindle_service::encode_cursor(&value);
    let no_cursor = cursor(json!({ "source": "campaign/a" }));
    let elsewhere = cursor(nowhere());
    let table: Vec<(&str, String, u16, &str)> = vec![
        ("GET", "/".into(), 404, "unknown_route"),
        ("GET", "/v1".into(), 404, "unknown_route"),
        ("GET", "/v1/segments?limit=0".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns/".into(), 404, "unknown_route"),
        ("GET", "/v1/campaigns/a/pin".into(), 405, "method_not_allowed"),
        ("DELETE", "/v1/campaigns/nobody/pin".into(), 404, "unknown_source"),
        ("GET", "/v1/canvases/a".into(), 404, "unknown_source"),
        ("GET", "/v1/canvases/a%20b".into(), 400, "invalid_id"),
        ("DELETE", "/v1/canvases/%FF/pin".into(), 400, "invalid_id"),
        ("GET", "/v1/canvases?variant=A".into(), 400, "invalid_query"),
        ("POST", "/v1/tags".into(), 405, "method_not_allowed"),
        ("GET", "/v1/tags?q=a".into(), 400, "invalid_query"),
        ("GET", "/v1/tags?cursor=AAAA".into(), 400, "invalid_cursor"),
        ("GET", "/v1/campaigns?tag=a%0Ab".into(), 422, "invalid_tag"),
        ("GET", "/v1/campaigns?tag=+".into(), 422, "invalid_tag"),
        ("GET", "/v1/campaigns?tag=".into(), 422, "invalid_tag"),
        ("GET", "/v1/interactions".into(), 405, "method_not_allowed"),
        ("DELETE", "/v1/campaigns".into(), 405, "method_not_allowed"),
        ("PATCH", "/v1/campaigns".into(), 405, "method_not_allowed"),
        ("GET", "/v1/campaigns/a/start".into(), 405, "method_not_allowed"),
        ("GET", "/v1/audiences/count".into(), 405, "method_not_allowed"),
        ("GET", "/v1/campaigns/nobody".into(), 404, "unknown_source"),
        ("GET", "/v1/campaigns/nobody/timeline".into(), 404, "unknown_source"),
        ("GET", "/v1/campaigns/%2E%2E".into(), 400, "invalid_id"),
        ("GET", "/v1/campaigns/a%2Fb".into(), 400, "invalid_id"),
        ("GET", "/v1/campaigns/%C3%A9".into(), 400, "invalid_id"),
        ("GET", "/v1/campaigns/%FF%FE".into(), 400, "invalid_id"),
        ("POST", "/v1/campaigns/%FF/start".into(), 400, "invalid_id"),
        ("GET", format!("/v1/campaigns/{}", "a".repeat(129)), 400, "invalid_id"),
        ("GET", "/v1/restores/zzz".into(), 404, "unknown_restore"),
        ("GET", "/v1/restores/%FF".into(), 404, "unknown_restore"),
        ("GET", "/v1/restores/01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), 404, "unknown_restore"),
        ("POST", "/v1/restores/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel".into(), 404, "unknown_restore"),
        ("GET", "/v1/campaigns?limt=1".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?limit=0".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?limit=1001".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?limit=-1".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?limit=ten".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?limit=1&limit=2".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?status=Stopped".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?state=gone".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?sort=name".into(), 400, "invalid_query"),
        ("GET", "/v1/campaigns?cursor=".into(), 400, "invalid_cursor"),
        ("GET", "/v1/campaigns?cursor=%21".into(), 400, "invalid_cursor"),
        ("GET", "/v1/campaigns?cursor=AAAA".into(), 400, "invalid_cursor"),
        ("GET", format!("/v1/campaigns?cursor={no_cursor}"), 400, "invalid_cursor"),
        ("GET", format!("/v1/campaigns?cursor={elsewhere}"), 400, "invalid_cursor"),
        ("GET", format!("/v1/campaigns?cursor={long}"), 400, "invalid_cursor"),
        ("GET", "/v1/campaigns/a/timeline?cursor=what".into(), 400, "invalid_cursor"),
        ("GET", format!("/v1/campaigns/a/timeline?cursor={long}"), 400, "invalid_cursor"),
        ("GET", "/v1/campaigns/a/timeline?until=1".into(), 400, "invalid_query"),
        ("GET", "/v1/restores?cursor=AAAA".into(), 400, "invalid_cursor"),
        ("GET", "/v1/restores?limit=x".into(), 400, "invalid_query"),
    ];
    for (method, path, status, code) in table {
        println!("{method} {}", path.chars().take(80).collect::<String>());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        world.call(method, &path, &Value::Null).await.problem(status, code);
    }
    for path in [format!("q={long}"), "q=%00%FF".into(), "q=".into(), "q=%25_'%22".into()] {
        world.get(&format!("/v1/campaigns?{path}")).await.ok();
    }
}

/// A route, a body that does not fit it, and the answer: its status, its code, and its path if it has one.
type Bad = (&'static str, Value, u16, &'static str, Option<&'static str>);

/// Campaigns and Canvases.
fn bad_sources() -> Vec<Bad> {
    let variants: Vec<Value> = (0..101).map(|i| json!({ "id": i.to_string() })).collect();
    let named: Vec<Value> = (0..46).map(|i| got(&format!("c{i}"))).collect();
    let tags: Vec<String> = (0..21).map(|i| i.to_string()).collect();
    let campaign = "PUT /v1/campaigns/b";
    let canvas = "PUT /v1/canvases/b";
    vec![
        (campaign, json!([]), 400, "invalid_field", None),
        (campaign, json!({ "nam": "x" }), 400, "unknown_field", Some("nam")),
        (campaign, json!({ "name": 7 }), 400, "invalid_field", Some("name")),
        (
            campaign,
            json!({ "variants": [{ "id": "A" }, { "id": 1 }] }),
            400,
            "invalid_field",
            Some("variants[1].id"),
        ),
        (campaign, json!({ "variants": [{ "name": "A" }] }), 400, "missing_field", Some("variants[0]")),
        (
            campaign,
            json!({ "variants": [{ "id": "A", "weight": 1 }] }),
            400,
            "unknown_field",
            Some("variants[0].weight"),
        ),
        (campaign, json!({ "variations": [] }), 400, "unknown_field", Some("variations")),
        (campaign, json!({ "steps": [] }), 400, "unknown_field", Some("steps")),
        (canvas, json!({ "variants": [] }), 400, "unknown_field", Some("variants")),
        (canvas, json!({ "steps": [{ "id": 1 }] }), 400, "invalid_field", Some("steps[0].id")),
        (canvas, json!({ "steps": [{ "id": "a b" }] }), 422, "invalid_steps", None),
        (canvas, json!({ "variations": [{ "id": "A" }, { "id": "A" }] }), 422, "invalid_variations", None),
        (campaign, json!({ "tags": [7] }), 400, "invalid_field", Some("tags[0]")),
        (campaign, json!({ "tags": ["a\tb"] }), 422, "invalid_tags", None),
        (campaign, json!({ "tags": [" "] }), 422, "invalid_tags", None),
        (campaign, json!({ "tags": ["x".repeat(129)] }), 422, "invalid_tags", None),
        (campaign, json!({ "tags": tags }), 422, "invalid_tags", None),
        (campaign, json!({ "name": "" }), 422, "invalid_name", None),
        (campaign, json!({ "name": "x".repeat(257) }), 422, "invalid_name", None),
        (campaign, json!({ "name": "a\u{7}" }), 422, "invalid_name", None),
        (campaign, json!({ "variants": variants }), 422, "invalid_variants", None),
        (campaign, json!({ "variants": [{ "id": "A" }, { "id": "A" }] }), 422, "invalid_variants", None),
        (campaign, json!({ "variants": [{ "id": "A B" }] }), 422, "invalid_variants", None),
        (campaign, json!({ "variants": [{ "id": ".." }] }), 422, "invalid_variants", None),
        (campaign, json!({ "variants": [{ "id": "A", "name": "a\nb" }] }), 422, "invalid_variants", None),
        (
            campaign,
            json!({ "variants": [{ "id": "A", "name": "é".repeat(129) }] }),
            422,
            "invalid_variants",
            None,
        ),
        (campaign, json!({ "notify": ["a@b"] }), 422, "invalid_notify", None),
        (campaign, json!({ "notify": vec!["a@b.c"; 51] }), 422, "invalid_notify", None),
        (
            campaign,
            json!({ "audience": got("nobody") }),
            422,
            "unknown_source",
            Some("audience.received.source"),
        ),
        (campaign, json!({ "audience": {} }), 422, "invalid_filter", Some("audience")),
        (
            campaign,
            json!({ "audience": { "any": named } }),
            422,
            "unknown_source",
            Some("audience.any[0].received.source"),
        ),
    ]
}

/// Pins, stops, starts and restores.
fn bad_acts() -> Vec<Bad> {
    let [pin, stop] = ["POST /v1/campaigns/a/pin", "POST /v1/campaigns/a/stop"];
    vec![
        (pin, json!({}), 400, "missing_field", None),
        (pin, json!({ "reason": "x", "end": null }), 400, "unknown_field", Some("end")),
        (pin, json!({ "reason": "" }), 422, "invalid_reason", None),
        (pin, json!({ "reason": "a\nb" }), 422, "invalid_reason", None),
        (pin, json!({ "reason": "x".repeat(501) }), 422, "invalid_reason", None),
        (pin, json!({ "reason": "x", "until": "tomorrow" }), 400, "invalid_field", Some("until")),
        (pin, json!({ "reason": "x", "until": "2026-12-31T23:59:59Z" }), 422, "invalid_until", None),
        (pin, json!({ "reason": "x", "until": "2027-01-01T00:00:00Z" }), 422, "invalid_until", None),
        (stop, json!({ "at": "tomorrow" }), 400, "invalid_field", Some("at")),
        (stop, json!({ "at": "1999-12-31T23:59:59Z" }), 422, "invalid_at", None),
        (stop, json!({ "at": "2027-01-01T00:00:00.001Z" }), 422, "invalid_at", None),
        ("POST /v1/campaigns/a/stop", json!({ "force": true }), 400, "unknown_field", Some("force")),
        ("POST /v1/campaigns/a/start", json!(7), 400, "invalid_field", None),
        ("POST /v1/restores", json!({}), 400, "missing_field", Some(".")),
    ]
}

/// Questions.
fn bad_questions() -> Vec<Bad> {
    let deep = (0..17).fold(got("a"), |filter, _| json!({ "not": filter }));
    let wide = json!({ "any": vec![got("a"); 500] });
    let count = "POST /v1/audiences/count";
    let members = "POST /v1/audiences/members";
    let matches = "POST /v1/audiences/match";
    vec![
        (count, Value::Null, 400, "invalid_json", None),
        (count, json!({}), 400, "missing_field", None),
        (count, json!({ "filter": got("a"), "expird": "exclude" }), 400, "unknown_field", Some("expird")),
        (count, json!({ "filter": got("a"), "expired": "restore" }), 400, "invalid_field", Some("expired")),
        (count, json!({ "filter": [] }), 422, "invalid_filter", Some("filter")),
        (count, json!({ "filter": { "all": [] } }), 422, "invalid_filter", Some("filter.all")),
        (count, json!({ "filter": { "not": [] } }), 422, "invalid_filter", Some("filter.not")),
        (
            count,
            json!({ "filter": { "all": [got("a")], "any": [got("a")] } }),
            422,
            "invalid_filter",
            Some("filter"),
        ),
        (count, json!({ "filter": got("nobody") }), 422, "unknown_source", Some("filter.received.source")),
        (count, json!({ "filter": deep }), 422, "invalid_filter", None),
        (count, json!({ "filter": wide }), 422, "invalid_filter", None),
        (count, json!({ "filter": got("a"), "cursor": "x" }), 400, "invalid_cursor", None),
        (count, json!({ "filter": got("a"), "limit": 10 }), 400, "unknown_field", Some("limit")),
        (members, json!({ "filter": got("a"), "limit": 0 }), 422, "invalid_limit", None),
        (members, json!({ "filter": got("a"), "limit": 50_001 }), 422, "invalid_limit", None),
        (members, json!({ "filter": got("a"), "limit": -1 }), 400, "invalid_field", Some("limit")),
        (members, json!({ "filter": got("a"), "limit": 1.5 }), 400, "invalid_field", Some("limit")),
        (members, json!({ "filter": got("a"), "cursor": 7 }), 400, "invalid_field", Some("cursor")),
        (matches, json!({ "filter": got("a") }), 400, "missing_field", None),
        (matches, json!({ "filter": got("a"), "user_id": "" }), 422, "invalid_user_id", None),
        (matches, json!({ "filter": got("a"), "user_id": "x".repeat(513) }), 422, "invalid_user_id", None),
        (matches, json!({ "filter": got("a"), "user_id": null }), 400, "invalid_field", Some("user_id")),
    ]
}

/// Conditions within a filter.
fn bad_conditions() -> Vec<Bad> {
    let count = "POST /v1/audiences/count";
    let leaf = |leaf: Value| json!({ "filter": { "all": [got("a"), leaf] } });
    vec![
        (count, leaf(json!({ "receved": {} })), 422, "invalid_filter", Some("filter.all[1].receved")),
        (
            count,
            leaf(json!({ "received": {} })),
            422,
            "invalid_filter",
            Some("filter.all[1].received.source"),
        ),
        (
            count,
            leaf(json!({ "received": { "source": "a" } })),
            422,
            "invalid_filter",
            Some("filter.all[1].received.source"),
        ),
        (
            count,
            leaf(json!({ "received": { "source": "campaign/a", "chanel": "sms" } })),
            422,
            "invalid_filter",
            Some("filter.all[1].received.chanel"),
        ),
        (
            count,
            leaf(json!({ "opened": { "source": "campaign/a", "opens": "bots" } })),
            422,
            "invalid_filter",
            Some("filter.all[1].opened.opens"),
        ),
        (
            count,
            leaf(json!({ "clicked": { "source": "campaign/a", "alias": "" } })),
            422,
            "invalid_filter",
            Some("filter.all[1].clicked.alias"),
        ),
        (
            count,
            leaf(json!({ "in_control": { "source": "campaign/a", "is": 1 } })),
            422,
            "invalid_filter",
            Some("filter.all[1].in_control.is"),
        ),
        (
            count,
            leaf(json!({ "never_received": { "channel": "fax" } })),
            422,
            "invalid_filter",
            Some("filter.all[1].never_received.channel"),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_fit_say_where() {
    let world = world().await;
    let all = [bad_sources(), bad_acts(), bad_questions(), bad_conditions()];
    for (route, body, status, code, at) in all.concat() {
        let shown: String = body.to_string().chars().take(120).collect();
        println!("{route} {shown}");
        let (method, path) = route.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let problem = world.call(method, path, &body).await.problem(status, code);
        if let Some(at) = at {
            assert_eq!(problem["path"], at, "{problem}");
        }
        assert!(problem.to_string().len() < 5_000, "{problem}");
    }
    for (path, bytes, status, code) in [
        ("/v1/restores", vec![b' '; (1 << 20) + 1], 413, "body_too_large"),
        ("/v1/restores", b"{\"sources\":[\"\xff\"]}".to_vec(), 400, "invalid_json"),
        ("/v1/audiences/count", b"{\"filter\":1} 2".to_vec(), 400, "invalid_json"),
        ("/v1/audiences/count", "[".repeat(200_000).into_bytes(), 400, "invalid_json"),
    ] {
        let request = Request::post(path).body(Body::from(bytes)).unwrap();
        world.send(request).await.problem(status, code);
    }
    let campaigns = world.get("/v1/campaigns").await.ok();
    assert_eq!(campaigns["items"].as_array().unwrap().len(), 1, "nothing was registered");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_belongs_to_its_filter() {
    let world = world().await;
    world.ingest(&[received("b", "u1")]).await;
    let page = |filter: Value, cursor: Value, expired: &str| {
        let body = json!({ "filter": filter, "limit": 10, "cursor": cursor, "expired": expired });
        world.post("/v1/audiences/members", body)
    };
    let first = page(got("a"), Value::Null, "refuse").await.ok();
    let cursor = first["next"].clone();
    assert!(cursor.is_string());
    let next = page(got("a"), cursor.clone(), "refuse").await.ok();
    assert_eq!(next["items"].as_array().unwrap().len(), 10);
    assert_ne!(next["items"], first["items"]);
    page(got("b"), cursor.clone(), "refuse").await.problem(400, "invalid_cursor");
    page(json!({ "not": got("a") }), cursor.clone(), "refuse").await.problem(400, "invalid_cursor");
    page(got("a"), cursor, "exclude").await.problem(400, "invalid_cursor");
}

#[tokio::test(start_paused = true)]
async fn if_match_guards_against_lost_updates() {
    let world = world().await;
    let shown = world.get("/v1/campaigns/a").await;
    let tag = shown.headers["etag"].to_str().unwrap().to_owned();
    let put = |tag: &str, name: &str| {
        let request = Request::put("/v1/campaigns/a").header("if-match", tag);
        world.send(request.body(Body::from(json!({ "name": name }).to_string())).unwrap())
    };
    let renamed = put(&tag, "First").await;
    assert_eq!(renamed.status, 200);
    let next = renamed.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(next, tag);
    put(&tag, "Second").await.problem(412, "precondition_failed");
    put("yesterday", "Second").await.problem(400, "invalid_if_match");
    assert_eq!(world.campaign("a").await["name"], "First");
    assert_eq!(put(&next, "Second").await.ok()["name"], "Second");
    let request = Request::put("/v1/campaigns/new").header("if-match", "\"1\"");
    let absent = world.send(request.body(Body::from("{}")).unwrap()).await;
    absent.problem(412, "precondition_failed");
}

/// The local runner answers requests from its own machine only.
#[tokio::test(start_paused = true)]
async fn the_local_runner_refuses_foreigners() {
    let world = world().await;
    let clock = Arc::new(LocalClock::in_memory());
    let local = Local::new(world.stack.clone(), world.aws.clone(), clock);
    let ask = async |method: &str, host: Option<&str>, origin: Option<&str>| {
        let mut request = Request::builder().method(method).uri("/v1/campaigns/a");
        request = request.header("authorization", format!("Bearer {ADMIN_KEY}"));
        for (name, value) in [("host", host), ("origin", origin)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(Body::from("{}")).unwrap();
        let answer = tower::ServiceExt::oneshot(local.router(), request).await.unwrap();
        answer.status().as_u16()
    };
    for host in ["127.0.0.1", "localhost:7070", "[::1]:7070"] {
        assert_eq!(ask("GET", Some(host), None).await, 200, "{host}");
    }
    for host in ["example.com", "localhost.example.com", "127.0.0.1.nip.io:7070", "", "[::2]"] {
        assert_eq!(ask("GET", Some(host), None).await, 403, "{host}");
    }
    assert_eq!(ask("GET", None, None).await, 403);
    let host = Some("127.0.0.1:7070");
    assert_eq!(ask("PUT", host, Some("http://127.0.0.1:7070")).await, 200);
    for origin in ["http://example.com", "http://127.0.0.1:7071", "https://127.0.0.1:7070", "null"] {
        assert_eq!(ask("PUT", host, Some(origin)).await, 403, "{origin}");
        assert_eq!(ask("GET", host, Some(origin)).await, 200, "{origin}");
    }
}
