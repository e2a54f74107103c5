//! A rotation of a key that is sent again; and headers that stand twice.

use crate::fixture::{
    faults::Fault,
    world::{Answer, World},
};
use axum::body::Body;
use http::{Request, header};
use rekindle_local::server::functions;
use serde_json::{Value, json};
use tower::ServiceExt;

/// The status of a request with this key.
async fn opens(world: &World, key: &str) -> u16 {
    let request = Request::get("/v1/health").header(header::AUTHORIZATION, format!("Bearer {key}"));
    // A process of its own: it remembers no key.
    let app = world.doomed(Fault::Dies, usize::MAX).stack.app;
    functions(&app).oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
}

async fn rotate(world: &World, id: &str, name: Option<&str>, body: Value) -> Answer {
    let mut request = Request::post(format!("/v1/keys/{id}/rotate"));
    if let Some(name) = name {
        request = request.header("idempotency-key", name);
    }
    world.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn make(world: &World) -> (String, String) {
    let made = world.post("/v1/keys", json!({ "name": "CI", "scopes": ["read"] })).await.ok();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

fn secret(answer: &Value) -> String {
    answer["key"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_rotation_sent_again_keeps_the_grace_of_the_secret_in_use() {
    let world = World::new(310).await;
    let (id, used) = make(&world).await;
    let grace = json!({ "grace": "PT1H" });
    let lost = rotate(&world, &id, Some("monday"), grace.clone()).await.ok();
    world.advance("PT1M");
    let again = rotate(&world, &id, Some("monday"), grace.clone()).await.ok();
    assert_ne!(secret(&lost), secret(&again));
    for field in ["old_secret_until", "rotated_at"] {
        assert_eq!(again[field], lost[field], "{field} is that of the first time");
    }
    assert_eq!(opens(&world, &used).await, 200, "the callers go on");
    assert_eq!(opens(&world, &secret(&again)).await, 200);
    assert_eq!(opens(&world, &secret(&lost)).await, 401, "the secret of the lost answer has ended");
    world.advance("PT1H");
    assert_eq!((opens(&world, &used).await, opens(&world, &secret(&again)).await), (401, 200));

    // Under another name, under none, or a day later it is a further rotation.
    let mut last = secret(&again);
    for (name, later) in
        [(Some("tuesday"), "PT1M"), (None, "PT1M"), (None, "PT1M"), (Some("x"), "PT1M"), (Some("x"), "P1D")]
    {
        world.advance(later);
        let next = rotate(&world, &id, name, grace.clone()).await.ok();
        assert_eq!(opens(&world, &last).await, 200, "{name:?}: the secret before goes on");
        last = secret(&next);
    }
    // Without a grace the first time, nothing goes on the second time either.
    let first = rotate(&world, &id, Some("now"), json!({})).await.ok();
    let second = rotate(&world, &id, Some("now"), grace).await.ok();
    assert_eq!((&first["old_secret_until"], &second["old_secret_until"]), (&Value::Null, &Value::Null));
    assert_eq!((opens(&world, &last).await, opens(&world, &secret(&first)).await), (401, 401));
    assert_eq!(opens(&world, &secret(&second)).await, 200);
    for name in ["", "a b"] {
        rotate(&world, &id, Some(name), json!({})).await.problem(422, "invalid_idempotency_key");
    }
}

/// A process dies at any of its calls, or loses an answer. The same rotation, sent again, always leaves the secret that is in
/// use with its grace.
#[tokio::test(start_paused = true)]
async fn l8_a_rotation_whose_answer_is_lost_may_be_sent_again() {
    for fault in [Fault::Dies, Fault::DiesAfter, Fault::LosesAnswer] {
        for at in 0.. {
            let world = World::new(311).await;
            let (id, used) = make(&world).await;
            let process = world.doomed(fault, at);
            let request = Request::post(format!("/v1/keys/{id}/rotate")).header("idempotency-key", "monday");
            let request = request.body(Body::from(json!({ "grace": "PT1H" }).to_string())).unwrap();
            process.router.clone().oneshot(request).await.unwrap();
            let answer = rotate(&world, &id, Some("monday"), json!({ "grace": "PT1H" })).await.ok();
            assert_eq!(answer["old_secret_until"], "2027-01-01T01:00:00.000Z", "{fault:?} at {at}");
            assert_eq!(opens(&world, &used).await, 200, "{fault:?} at {at}");
            assert_eq!(opens(&world, &secret(&answer)).await, 200, "{fault:?} at {at}");
            if !process.has_struck() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_stands_twice_is_refused() {
    let world = World::new(312).await;
    let (id, _) = make(&world).await;
    world.put("/v1/campaigns/a", json!({})).await.ok();
    world.put("/v1/segments/s", json!({ "filter": { "hard_bounced": {} } })).await.ok();
    let rotate = format!("/v1/keys/{id}/rotate");
    for (method, path, name, values, body) in [
        ("PUT", "/v1/campaigns/a", "if-match", ["\"1\"", "\"1\""], json!({})),
        ("PUT", "/v1/campaigns/a", "if-match", ["\"1\"", "\"9\""], json!({})),
        ("PATCH", "/v1/campaigns/a", "if-match", ["\"1\"", "\"9\""], json!({})),
        ("PATCH", "/v1/segments/s", "if-match", ["\"1\"", "\"9\""], json!({})),
        ("DELETE", "/v1/segments/s", "if-match", ["\"1\"", "\"9\""], Value::Null),
        ("PATCH", "/v1/campaigns/a", "content-type", ["application/json", "text/plain"], json!({})),
        ("POST", "/v1/restores", "idempotency-key", ["a", "b"], json!({ "sources": ["campaign/a"] })),
        ("POST", rotate.as_str(), "idempotency-key", ["a", "b"], json!({})),
        ("POST", "/v1/interactions", "content-encoding", ["gzip", "gzip"], json!([])),
        ("POST", "/v1/interactions", "content-type", ["application/json", "text/plain"], json!([])),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(name, values[0]).header(name, values[1]);
        let answer = world.send(request.body(Body::from(body.to_string())).unwrap()).await;
        let refused = answer.problem(400, "invalid_header");
        assert!(refused["detail"].as_str().unwrap().starts_with(name), "{method} {path}: {refused}");
    }
    assert_eq!(world.campaign("a").await["name"], "a");
    world.get("/v1/segments/s").await.ok();
}
