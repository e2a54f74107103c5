//! Keys: which requests they open, and for how long.

use crate::fixture::{
    faults::Fault,
    log::Log,
    world::{ADMIN_KEY, Answer, World},
};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::{Router, body::Body, routing::get};
use http::{HeaderValue, Method, Request, StatusCode, header};
use rekindle_domain::{
    id::KeyId,
    key::{MAX_KEYS, Scope},
    time::Ids,
};
use rekindle_local::{
    clock::LocalClock,
    server::{Local, function_routes, functions},
    stack::CATALOG,
};
use rekindle_runtime::scopes::{self, guarded};
use rekindle_service::{
    Caller,
    access::{KeyInput, RotateInput},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

const SCOPES: [Scope; 4] = [Scope::Ingest, Scope::Read, Scope::Manage, Scope::Admin];

/// Makes a key with these scopes. Returns the whole key and its id.
async fn make(world: &World, scopes: &[&str]) -> (String, String) {
    let made = world.post("/v1/keys", json!({ "name": scopes.join(" and "), "scopes": scopes })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let text = |field: &str| made.body[field].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

async fn ask(router: &Router, method: &Method, path: &str, headers: &[(&str, HeaderValue)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(header::HeaderName::try_from(*name).unwrap(), value.clone());
    }
    let response = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Answer { status: parts.status, headers: parts.headers, body }
}

fn bearer(key: &str) -> [(&'static str, HeaderValue); 1] {
    [("authorization", HeaderValue::try_from(format!("Bearer {key}")).unwrap())]
}

/// The status of `GET /v1/tags` with a key.
async fn opens(router: &Router, key: &str) -> u16 {
    ask(router, &Method::GET, "/v1/tags", &bearer(key)).await.status.as_u16()
}

/// Another process over the world's account.
fn another(world: &World) -> Router {
    functions(&world.doomed(Fault::Dies, usize::MAX).stack.app)
}

#[track_caller]
fn assert_refused(answer: Answer, what: &str) -> Value {
    assert_eq!(answer.status, 401, "{what}: {}", answer.body);
    assert_eq!(answer.headers["www-authenticate"], "Bearer", "{what}");
    answer.problem(401, "unauthorized")
}

#[tokio::test(start_paused = true)]
async fn every_route_takes_a_key_with_its_scope() {
    let world = World::new(200).await;
    let mut keys = Vec::new();
    for scope in SCOPES {
        keys.push((scope, make(&world, &[scope.as_str()]).await.0));
    }
    let alone = [rekindle_ingest::router(world.app().clone()), rekindle_api::router(world.app().clone())];
    for (method, path, wanted) in &function_routes() {
        let path = &path.replace("{id}", "x");
        for router in alone.iter().chain([&world.router]) {
            assert_refused(ask(router, method, path, &[]).await, path);
        }
        for (has, key) in &keys {
            let what = format!("{method} {path} with {}", has.as_str());
            let answer = ask(&world.router, method, path, &bearer(key)).await;
            if has.allows(*wanted) {
                let code = answer.body["code"].as_str().unwrap_or_default();
                let barred = ["unauthorized", "wrong_scope", "unknown_route", "method_not_allowed"];
                assert!(!barred.contains(&code), "{what}: {}", answer.body);
            } else {
                assert_eq!(answer.problem(403, "wrong_scope")["scope"], wanted.as_str(), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_that_nobody_gave_a_scope_is_not_there() {
    let world = World::new(201).await;
    let app = world.app().clone();
    let routes = rekindle_api::routes(app.clone())
        .route("/v1/secrets", get(async || "all of them"))
        .route("/v1/tags/{id}", get(async || "all of them"))
        .fallback(async || "all of them");
    let router = guarded(routes, rekindle_api::ROUTES, scopes::bearer, app);
    for path in ["/v1/secrets", "/v1/tags/x", "/v1/elsewhere", "/v1/tags/", "//v1/tags", "/"] {
        assert_refused(ask(&router, &Method::GET, path, &[]).await, path);
        ask(&router, &Method::GET, path, &bearer(ADMIN_KEY)).await.problem(404, "unknown_route");
    }
    assert_refused(ask(&router, &Method::POST, "/v1/segments/x", &[]).await, "another method");
    let other = ask(&router, &Method::POST, "/v1/segments/x", &bearer(ADMIN_KEY)).await;
    assert_eq!(other.headers["allow"], "GET,PUT,PATCH,DELETE");
    other.problem(405, "method_not_allowed");
    let head = ask(&router, &Method::HEAD, "/v1/tags", &bearer(ADMIN_KEY)).await;
    assert_eq!(head.status, 200, "HEAD needs the scope of GET");
    assert_eq!(ask(&router, &Method::HEAD, "/v1/tags", &[]).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_with_a_key_the_answer_is_the_same() {
    let world = World::new(202).await;
    let elsewhere = World::new(203).await;
    let (foreign, _) = make(&elsewhere, &["admin"]).await;
    let (revoked, id) = make(&world, &["admin"]).await;
    world.call(Method::DELETE, &format!("/v1/keys/{id}"), &Value::Null).await.ok();
    let (right, _) = make(&world, &["read"]).await;
    let value = |text: &str| vec![HeaderValue::try_from(text).unwrap()];
    let is_token = |key: &str| value(&format!("Bearer {key}"));
    let cases: Vec<(&str, Vec<HeaderValue>)> = vec![
        ("none", vec![]),
        ("empty", value("")),
        ("a space", value(" ")),
        ("no token", value("Bearer")),
        ("an empty token", value("Bearer ")),
        ("Basic", value("Basic dXNlcjpwYXNz")),
        ("a key under Basic", value(&format!("Basic {right}"))),
        ("a key alone", value(&right)),
        ("10 KB", is_token(&"x".repeat(10_000))),
        ("a key and 10 KB", is_token(&format!("{right}{}", "x".repeat(10_000)))),
        ("not UTF-8", vec![HeaderValue::from_bytes(b"Bearer rk_\xff\xfe").unwrap()]),
        ("two keys in one", is_token(&format!("{right}, {right}"))),
        ("the key twice", vec![is_token(&right)[0].clone(), is_token(&right)[0].clone()]),
        ("a key and Basic", vec![is_token(&right)[0].clone(), value("Basic x")[0].clone()]),
        ("lower case", is_token(&right.to_lowercase())),
        ("cut off", is_token(&right[..right.len() - 1])),
        ("another secret", is_token(&format!("{}{}", &right[..30], "A".repeat(43)))),
        ("no id", is_token(&format!("rk__{}", "A".repeat(43)))),
        ("an invalid id", is_token(&format!("rk_{}_{}", "U".repeat(26), "A".repeat(43)))),
        ("a key of another deployment", is_token(&foreign)),
        ("revoked", is_token(&revoked)),
    ];
    let mut bodies = Vec::new();
    for (what, values) in cases {
        let headers: Vec<_> = values.into_iter().map(|value| ("authorization", value)).collect();
        for path in ["/v1/tags", "/v1/elsewhere"] {
            let answer = ask(&world.router, &Method::GET, path, &headers).await;
            let more = answer.headers.keys().filter(|name| *name != header::CONTENT_LENGTH).count();
            assert_eq!(more, 2, "{what}: {:?}", answer.headers);
            bodies.push(assert_refused(answer, what));
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let headers = [("authorization", HeaderValue::try_from(format!("{scheme} {right}")).unwrap())];
        assert_eq!(ask(&world.router, &Method::GET, "/v1/tags", &headers).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_ends_at_once_here_and_within_five_seconds_everywhere() {
    let world = World::new(204).await;
    let other = another(&world);
    let (key, id) = make(&world, &["read"]).await;
    assert_eq!((opens(&world.router, &key).await, opens(&other, &key).await), (200, 200));
    world.advance("PT1S");
    for _ in 0..2 {
        let path = format!("/v1/keys/{id}");
        assert_eq!(world.call(Method::DELETE, &path, &Value::Null).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(opens(&world.router, &key).await, 401);
    world.advance("PT3.999S");
    assert_eq!(opens(&other, &key).await, 200, "the process remembers the key");
    world.advance("PT0.001S");
    assert_eq!(opens(&other, &key).await, 401, "five seconds after the key was read");
    let rotate = world.post(&format!("/v1/keys/{id}/rotate"), Value::Null).await;
    rotate.problem(409, "key_revoked");
    let listed = world.get("/v1/keys").await.ok();
    let one = listed["items"].as_array().unwrap().iter().find(|k| k["id"] == id.as_str()).unwrap();
    assert_eq!(one["revoked_at"], "2027-01-01T00:00:01.000Z");
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_opens_with_its_new_secret_at_once() {
    let world = World::new(205).await;
    let other = another(&world);
    let (old, id) = make(&world, &["read"]).await;
    assert_eq!(opens(&other, &old).await, 200);
    let path = format!("/v1/keys/{id}/rotate");
    let rotated = world.post(&path, Value::Null).await.ok();
    let new = rotated["key"].as_str().unwrap().to_owned();
    assert_eq!((&rotated["id"], &rotated["old_secret_until"]), (&id.as_str().into(), &Value::Null));
    assert_eq!(rotated["rotated_at"], "2027-01-01T00:00:00.000Z");
    assert_eq!((opens(&other, &new).await, opens(&world.router, &new).await), (200, 200));
    assert_eq!((opens(&other, &old).await, opens(&world.router, &old).await), (401, 401));

    // With a grace, senders can change to the new secret one by one.
    let rotated = world.post(&path, json!({ "grace": "PT1H" })).await.ok();
    let newest = rotated["key"].as_str().unwrap().to_owned();
    assert_eq!(rotated["old_secret_until"], "2027-01-01T01:00:00.000Z");
    for router in [&world.router, &other] {
        assert_eq!((opens(router, &new).await, opens(router, &newest).await), (200, 200));
        assert_eq!(opens(router, &old).await, 401, "the secret before");
    }
    world.advance("PT59M59S");
    assert_eq!(opens(&other, &new).await, 200);
    world.advance("PT1S");
    assert_eq!(
        (opens(&other, &new).await, opens(&other, &newest).await),
        (401, 200),
        "the grace ends to the second"
    );
    for (grace, code) in [("PT0S", "invalid_grace"), ("P8D", "invalid_grace"), ("soon", "invalid_grace")] {
        world.post(&path, json!({ "grace": grace })).await.problem(422, code);
    }
    world.post("/v1/keys/x/rotate", Value::Null).await.problem(404, "unknown_key");
}

#[tokio::test(start_paused = true)]
async fn nobody_locks_themselves_out() {
    let world = World::new(206).await;
    let own = format!("/v1/keys/{}", &ADMIN_KEY[3..29]);
    make(&world, &["manage"]).await;
    world.call(Method::DELETE, &own, &Value::Null).await.problem(409, "last_admin_key");
    let (next, id) = make(&world, &["admin"]).await;
    world.call(Method::DELETE, &own, &Value::Null).await.ok();
    let world = World { key: Some(next), ..world };
    let last = world.call(Method::DELETE, &format!("/v1/keys/{id}"), &Value::Null).await;
    last.problem(409, "last_admin_key");
}

/// Two admin keys revoke each other at once: in any order of the calls, one key stays.
#[tokio::test(start_paused = true)]
async fn two_admins_do_not_revoke_each_other() {
    for seed in 0..24 {
        let world = World::new(seed).await;
        let (_, id) = make(&world, &["admin"]).await;
        let (one, two): (KeyId, KeyId) = (ADMIN_KEY[3..29].parse().unwrap(), id.parse().unwrap());
        let (a, b) = (world.doomed(Fault::Dawdles, seed as usize), world.doomed(Fault::Dawdles, 99));
        let (by_one, by_two) = (Caller::of(one), Caller::of(two));
        let (first, second) =
            tokio::join!(a.stack.app.revoke_key(two, &by_one), b.stack.app.revoke_key(one, &by_two));
        assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1, "{first:?} {second:?}");
        let problem = first.and(second).unwrap_err();
        assert_eq!(problem.code, "last_admin_key");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_bounded_and_their_fields_are_checked() {
    let world = World::new(207).await;
    for (body, status, code) in [
        (json!({ "scopes": ["read"] }), 400, "missing_field"),
        (json!({ "name": "x" }), 400, "missing_field"),
        (json!({ "name": "x", "scopes": ["all"] }), 400, "invalid_field"),
        (json!({ "name": "x", "scopes": "read" }), 400, "invalid_field"),
        (json!({ "name": "x", "scopes": ["read"], "id": "x" }), 400, "unknown_field"),
        (json!({ "name": "x", "scopes": [] }), 422, "invalid_scopes"),
        (json!({ "name": "", "scopes": ["read"] }), 422, "invalid_name"),
        (json!({ "name": "x".repeat(257), "scopes": ["read"] }), 422, "invalid_name"),
    ] {
        world.post("/v1/keys", body).await.problem(status, code);
    }
    let mut made = Vec::new();
    for _ in 1..MAX_KEYS {
        made.push(make(&world, &["read"]).await.1);
    }
    let body = json!({ "name": "x", "scopes": ["read"] });
    world.post("/v1/keys", body).await.problem(409, "too_many_keys");
    world.call(Method::DELETE, &format!("/v1/keys/{}", made[0]), &Value::Null).await.ok();
    made.push(make(&world, &["ingest", "read"]).await.1);
    // The pages list all keys in the order in which they were made, without secrets.
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/keys?limit=30{cursor}")).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 30 && items.iter().all(|key| key.get("key").is_none()), "{page}");
        listed.extend(items.iter().map(|key| key["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(listed[1..], made);
    world.get("/v1/keys?cursor=x").await.problem(400, "invalid_cursor");
}

#[tokio::test(start_paused = true)]
async fn one_key_may_have_several_scopes() {
    let world = World::new(208).await;
    let (key, _) = make(&world, &["ingest", "read"]).await;
    let world = World { key: Some(key), ..world };
    world.ingest_received("a", "u", 3).await;
    assert_eq!(world.campaign("a").await["source"], "campaign/a");
    world.start("a").await.problem(403, "wrong_scope");
}

/// Every call in turn breaks, or loses its answer, and is made again: the act is done once, and the answered secrets are valid.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_changes_no_key_twice() {
    for (fault, at) in
        [Fault::LosesAnswer, Fault::Breaks].into_iter().flat_map(|f| (0..10).map(move |at| (f, at)))
    {
        let world = World::new(213).await;
        let (old, id) = make(&world, &["read", "admin"]).await;
        let doomed = world.doomed(fault, at);
        let app = &doomed.stack.app;
        let (id, by) = (id.parse().unwrap(), Caller::of(ADMIN_KEY[3..29].parse().unwrap()));
        let grace = RotateInput { grace: Some("PT1H".to_owned()) };
        let rotated = app.rotate_key(id, &grace, None, &by).await.unwrap().key.unwrap();
        let input = KeyInput { name: "another".to_owned(), scopes: BTreeSet::from([Scope::Read]) };
        let made = app.create_key(&input, &by).await.unwrap().key.unwrap();
        for key in [&old, &rotated, &made] {
            assert_eq!(opens(&world.router, key).await, 200, "{fault:?} at {at}");
        }
        app.revoke_key(id, &by).await.unwrap();
        let trail = world.get("/v1/audit").await.ok();
        let events: Vec<&Value> = trail["items"].as_array().unwrap().iter().map(|e| &e["event"]).collect();
        assert_eq!(events, ["revoked", "created", "rotated", "created"], "{fault:?} at {at}");
        assert_eq!(world.get("/v1/keys").await.ok()["items"].as_array().unwrap().len(), 3);
        assert_eq!(doomed.has_struck(), at < 8, "{at}");
    }
}

/// If the store does not answer, a key can be neither accepted nor refused.
#[tokio::test(start_paused = true)]
async fn an_outage_is_not_a_wrong_key() {
    let world = World::new(209).await;
    let lame = functions(&world.doomed(Fault::Lacks("dynamodb"), 0).stack.app);
    let answer = ask(&lame, &Method::GET, "/v1/tags", &bearer(ADMIN_KEY)).await;
    assert_eq!(answer.headers["retry-after"], "1");
    answer.problem(503, "store_unavailable");
    assert_refused(
        ask(&lame, &Method::GET, "/v1/tags", &bearer("x")).await,
        "an invalid key is refused without the store",
    );
}

#[tokio::test(start_paused = true)]
async fn secrets_are_neither_stored_nor_logged() {
    let log = Log::listen();
    let world = World::new(210).await;
    let (first, id) = make(&world, &["read"]).await;
    let rotated = world.post(&format!("/v1/keys/{id}/rotate"), json!({ "grace": "P1D" })).await.ok();
    let second = rotated["key"].as_str().unwrap();
    let guess = format!("{}{}", &first[..30], "E".repeat(43));
    let garbled = format!("{first}.");
    for key in [&first, second, &guess, &garbled] {
        opens(&world.router, key).await;
        ask(&world.router, &Method::GET, "/v1/keys", &bearer(key)).await;
    }
    world.call(Method::DELETE, &format!("/v1/keys/{id}"), &Value::Null).await.ok();
    assert_eq!(opens(&world.router, second).await, 401);

    let stored = world.dynamodb.scan().table_name(CATALOG).send().await.unwrap();
    let stored = format!("{:?}", stored.items());
    let logged = log.text();
    for key in [&first, second, &guess] {
        let secret = &key[30..];
        assert!(!stored.contains(secret), "{stored}");
        assert!(!logged.contains(secret), "{logged}");
    }
    let ours: Vec<&str> = logged.lines().filter(|line| line.contains("a request was refused")).collect();
    let of = |what: &str| ours.iter().filter(|line| line.contains(what)).count();
    assert_eq!((of("its secret is not the key's"), of("not Bearer and a key")), (2, 2), "{ours:#?}");
    assert_eq!((of("its key lacks the scope admin"), of("its key was revoked")), (2, 1), "{ours:#?}");
    assert_eq!(ours.len(), 7, "once each: {ours:#?}");
    assert_eq!(of(&id), 3, "the key's id where it was verified");
}

#[tokio::test(start_paused = true)]
async fn the_local_runner_asks_for_keys_and_its_own_routes_do_not() {
    let world = World::new(214).await;
    let clock = Arc::new(LocalClock::in_memory());
    let router = Local::new(world.stack.clone(), world.aws.clone(), clock).router();
    let host = ("host", HeaderValue::from_static("127.0.0.1"));
    for (path, open) in [("/_local/clock", true), ("/_local/x", false), ("/v1/tags", false), ("/x", false)] {
        let answer = ask(&router, &Method::GET, path, std::slice::from_ref(&host)).await;
        if open { drop(answer.ok()) } else { drop(assert_refused(answer, path)) }
    }
    // The console asks for a session, and leads to where it is made.
    for (path, to) in [("/", "/console"), ("/console", "/console/sign-in?to=%2Fconsole")] {
        let answer = ask(&router, &Method::GET, path, std::slice::from_ref(&host)).await;
        assert_eq!((answer.status.as_u16(), answer.headers["location"].to_str().unwrap()), (303, to));
    }
    let with = [host, bearer(ADMIN_KEY)[0].clone()];
    ask(&router, &Method::GET, "/v1/tags", &with).await.ok();
    ask(&router, &Method::GET, "/_local/x", &with).await.problem(404, "unknown_route");
    ask(&router, &Method::PUT, "/_local/clock", &with).await.problem(405, "method_not_allowed");
}

#[tokio::test(start_paused = true)]
async fn an_installed_key_opens_again_whatever_became_of_it() {
    let world = World::new(211).await;
    let (other, _) = make(&world, &["admin"]).await;
    let id = &ADMIN_KEY[3..29];
    world.call(Method::DELETE, &format!("/v1/keys/{id}"), &Value::Null).await.ok();
    assert_eq!(opens(&world.router, ADMIN_KEY).await, 401);
    world.app().install_key(&ADMIN_KEY.parse().unwrap(), "local runner").await.unwrap();
    assert_eq!(opens(&world.router, ADMIN_KEY).await, 200);
    let world = World { key: Some(other), ..world };
    world.post(&format!("/v1/keys/{id}/rotate"), Value::Null).await.ok();
    world.app().install_key(&ADMIN_KEY.parse().unwrap(), "local runner").await.unwrap();
    assert_eq!(opens(&world.router, ADMIN_KEY).await, 200);
    assert_ne!(world.ids.new_secret(), world.ids.new_secret());
}

/// Runs the script that makes a deployment's first key. Its `aws` is a stub that passes the item to this test. Needs sh and
/// openssl.
#[tokio::test(start_paused = true)]
async fn the_key_that_the_script_makes_opens() {
    let world = World::new(212).await;
    let dir = tempfile::tempdir().unwrap();
    let fake = dir.path().join("aws");
    let seen = dir.path().join("seen");
    let text = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >>'{}'\n[ \"$1\" = dynamodb ] || echo a-table\n",
        seen.display()
    );
    std::fs::write(&fake, text).unwrap();
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/admin-key");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", dir.path().display());
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(script).args(arguments).env("PATH", &path).output();
        output.expect("sh")
    };
    let made = run(&["rekindle"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = String::from_utf8(made.stdout).unwrap().trim_end().to_owned();
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(!seen.contains(&key[30..]), "the secret is not passed to `aws`: {seen}");
    let arguments: Vec<&str> = seen.lines().collect();
    let after = |name: &str| arguments[arguments.iter().position(|a| *a == name).unwrap() + 1];
    assert_eq!((after("--stack-name"), after("--table-name")), ("rekindle", "a-table"));
    let item: Value = serde_json::from_str(after("--item")).unwrap();
    let mut put = world.dynamodb.put_item().table_name(CATALOG);
    put = put.condition_expression(after("--condition-expression"));
    for (name, value) in item.as_object().unwrap() {
        let value = match value["N"].as_str() {
            Some(number) => AttributeValue::N(number.to_owned()),
            None => AttributeValue::S(value["S"].as_str().unwrap().to_owned()),
        };
        put = put.item(name, value);
    }
    put.send().await.unwrap();
    let world = World { key: Some(key.clone()), ..world };
    make(&world, &["read"]).await;
    world.ingest_received("a", "u", 1).await;
    // The key can be rotated as any other.
    world.post(&format!("/v1/keys/{}/rotate", &key[3..29]), Value::Null).await.ok();
    assert_eq!(opens(&world.router, &key).await, 401);
    for wrong in [&[][..], &["-h"], &["--table"], &["a", "b"]] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
