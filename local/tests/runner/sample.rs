//! Sample data: it has every state, it is made once, and a system with data refuses it. And the page of the mails.

use super::{Program, client::KEY, folder::filled};
use axum::{Router, body::Body};
use http::{Method, Request, Response, StatusCode, header};
use rekindle_domain::{
    key::{Scope, Token},
    time::{Clock, DAY_MILLIS, Period, Time},
};
use rekindle_local::{
    clock::LocalClock,
    embedded::EmbeddedAws,
    server::Local,
    stack::{Stack, local_settings},
};
use rekindle_runtime::ports::{RandomIds, SystemClock};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, sync::Arc};
use tower::ServiceExt;

const SAMPLE: &str = "/console/local/sample";

/// A runner in memory whose queues and schedules nobody works at.
struct Runner {
    local: Local,
    router: Router,
}

impl Runner {
    async fn start() -> Self {
        let clock = Arc::new(LocalClock::in_memory());
        let stamp = clock.clone();
        let now = move || jiff::Timestamp::from_millisecond(stamp.now().0).unwrap();
        let aws = EmbeddedAws::in_memory(Arc::new(now)).unwrap();
        let settings = local_settings(Period::parse("P3M").unwrap());
        let stack = Stack::create(&aws, clock.clone(), Arc::new(RandomIds), settings).await.unwrap();
        stack.app.install_key(&KEY.parse().unwrap(), "a test").await.unwrap();
        let local = Local::new(stack, aws, clock);
        Self { router: local.router(), local }
    }

    async fn call(&self, request: http::request::Builder, body: Body) -> Response<Body> {
        let request = request.header(header::HOST, "127.0.0.1").body(body).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The answer of the API.
    async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        let request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {KEY}"));
        let request = request.header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answer = self.call(request, body).await;
        let status = answer.status();
        let answer: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    async fn get(&self, path: &str) -> Value {
        self.api(Method::GET, path, Value::Null).await
    }

    async fn count(&self, filter: Value) -> u64 {
        let answer =
            self.api(Method::POST, "/v1/audiences/count", json!({ "filter": filter, "expired": "exclude" }));
        answer.await["count"].as_u64().unwrap()
    }

    /// The cookie of a session with a key.
    async fn cookie(&self, key: &Token) -> String {
        let app = &self.local.stack.app;
        let Ok(key) = app.verify(key).await.unwrap() else { panic!("the key opens nothing") };
        format!("rekindle={}", app.open_session(&key).await.unwrap())
    }

    /// A page of the console, or an act in it.
    async fn console(&self, method: Method, path: &str, cookie: &str) -> Response<Body> {
        let request = Request::builder().method(method).uri(path).header(header::COOKIE, cookie);
        self.call(request.header(header::ORIGIN, "http://127.0.0.1"), Body::empty()).await
    }

    async fn page(&self, path: &str, cookie: &str) -> String {
        let answer = self.console(Method::GET, path, cookie).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        text(answer).await
    }
}

async fn text(answer: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn time_of(value: &Value) -> Option<Time> {
    Time::parse(value.as_str()?)
}

/// All sources as lists show them, each with the answer about it alone, which has its counts.
async fn all(runner: &Runner) -> Vec<Value> {
    let mut found = Vec::new();
    for kind in ["campaigns", "canvases"] {
        let page = runner.get(&format!("/v1/{kind}?limit=1000")).await;
        assert_eq!(page["next"], Value::Null);
        for item in page["items"].as_array().unwrap() {
            let id = item["source"].as_str().unwrap().split_once('/').unwrap().1;
            found.push(runner.get(&format!("/v1/{kind}/{id}")).await);
        }
    }
    found
}

fn is(source: &Value, status: &str, state: &str) -> bool {
    source["status"] == status && source["interaction_data"]["state"] == state
}

fn has_states(runner: &Runner, sources: &[Value]) {
    let now = runner.local.clock.now();
    let any =
        |what: &str, holds: &dyn Fn(&Value) -> bool| assert!(sources.iter().any(holds), "none is {what}");
    let promo = |source: &&Value| source["tags"].as_array().unwrap().contains(&json!("promo"));
    assert!(sources.iter().filter(promo).filter(|s| is(s, "stopped", "expired")).count() >= 12);
    assert!((35..60).contains(&sources.len()), "some forty: {}", sources.len());
    any("a draft", &|s| s["status"] == "draft" && s["interaction_data"]["counts"].is_null());
    any("active", &|s| is(s, "active", "available"));
    any("stopped", &|s| is(s, "stopped", "available"));
    any("being restored", &|s| is(s, "stopped", "restoring"));
    any("restored", &|s| is(s, "stopped", "available") && s["interaction_data"]["restored_at"].is_string());
    any("pinned", &|s| {
        s["interaction_data"]["pin"]["reason"].as_str().is_some_and(|reason| reason.len() > 10)
    });
    let held = |s: &Value, via: bool| {
        let holders = s["interaction_data"]["held_by"].as_array().unwrap();
        holders.iter().any(|holder| holder["via"].as_array().unwrap().is_empty() != via)
    };
    any("held through a segment", &|s| s["status"] == "stopped" && held(s, true));
    any("held directly", &|s| s["status"] == "stopped" && held(s, false));
    any("a Canvas with steps", &|s| s["steps"].as_array().is_some_and(|steps| steps.len() > 1));
    any("a campaign with variants", &|s| s["variants"].as_array().is_some_and(|variants| variants.len() > 2));
    for source in sources {
        for at in ["started_at", "stopped_at", "updated_at"] {
            assert!(time_of(&source[at]).is_none_or(|at| at <= now), "{at}: {source}");
        }
        // The whole of it lies around the present.
        let expires = time_of(&source["interaction_data"]["expires_at"]);
        assert!(expires.is_none_or(|at| at > now && at < now.plus(100 * DAY_MILLIS)), "{source}");
    }
    assert!((now.0 - SystemClock.now().0).abs() < 10_000, "the clock stands at the present");
}

/// The sources that expire within days, of which a mail has told.
async fn is_warned(runner: &Runner, sources: &[Value]) -> bool {
    let soon = runner.local.clock.now().plus(8 * DAY_MILLIS);
    let expires = |s: &&Value| time_of(&s["interaction_data"]["expires_at"]).is_some_and(|at| at < soon);
    let mails = runner.get("/_local/outbox").await;
    let mails = mails["items"].as_array().unwrap();
    sources.iter().filter(expires).any(|source| {
        let id = source["source"].as_str().unwrap();
        let tells = |mail: &Value| {
            mail["subject"].as_str().unwrap().starts_with(&format!("Interaction data of {id} expires"))
        };
        mails.iter().any(tells)
    })
}

/// A campaign whose archive did not verify: its restore failed, people were told, and its data is as expired as before.
async fn is_damaged(runner: &Runner, sources: &[Value]) -> bool {
    let mails = runner.get("/_local/outbox").await;
    let mails = mails["items"].as_array().unwrap();
    for source in sources.iter().filter(|source| is(source, "stopped", "expired")) {
        let Some(id) = source["source"].as_str().unwrap().strip_prefix("campaign/") else { continue };
        let timeline = runner.get(&format!("/v1/campaigns/{id}/timeline")).await;
        let failed =
            timeline["items"].as_array().unwrap().iter().any(|entry| entry["event"] == "restore_failed");
        let subject = format!("Interaction data of campaign/{id} needs attention");
        if failed && mails.iter().any(|mail| mail["subject"] == *subject) {
            return true;
        }
    }
    false
}

/// From a click in the console of an empty system to a list with everything, and no further.
#[tokio::test(flavor = "multi_thread")]
async fn the_sample_has_every_state_and_is_made_once() {
    let runner = Runner::start().await;
    let cookie = runner.cookie(&KEY.parse().unwrap()).await;
    let list = runner.page("/console", &cookie).await;
    assert!(list.contains(&format!(r#"method="post" action="{SAMPLE}""#)), "{list}");
    assert!(runner.page(SAMPLE, &cookie).await.contains("Load sample data"));
    let answer = runner.console(Method::POST, SAMPLE, &cookie).await;
    assert_eq!(
        (answer.status(), &answer.headers()["location"]),
        (StatusCode::SEE_OTHER, &SAMPLE.parse().unwrap())
    );
    let end = loop {
        let answer = runner.console(Method::GET, SAMPLE, &cookie).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        let page = text(answer).await;
        // Without a script the browser loads it again; with one, the script does.
        for part in [r#"<meta http-equiv="refresh""#, r#"hx-trigger="every"#, "<progress max=\"245\""] {
            assert!(page.contains(part), "{part}: {page}");
        }
    };
    assert_eq!(
        (end.status(), &end.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/console".parse().unwrap())
    );

    let sources = all(&runner).await;
    has_states(&runner, &sources);
    assert!(is_warned(&runner, &sources).await && is_damaged(&runner, &sources).await);
    let counts = sources.iter().filter_map(|source| source["interaction_data"]["counts"].as_object());
    let total: u64 = counts.clone().flat_map(|counts| counts.values()).filter_map(Value::as_u64).sum();
    assert!(total > 250_000, "{total}");
    let kinds: BTreeSet<&str> = counts.flat_map(|counts| counts.keys()).map(String::as_str).collect();
    for kind in
        ["received", "delivered", "opened", "clicked", "converted", "entered", "hard_bounced", "complained"]
    {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    for channel in ["email", "push", "sms", "whatsapp", "in_app"] {
        assert!(
            runner.count(json!({ "delivered": { "any": true, "channel": channel } })).await
                + runner.count(json!({ "opened": { "any": true, "channel": channel } })).await
                > 0,
            "{channel}"
        );
    }
    assert!(runner.count(json!({ "clicked": { "tag": "newsletter", "alias": "hero" } })).await > 0);

    // A second time nothing happens.
    let answer = runner.console(Method::POST, SAMPLE, &cookie).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let page = text(answer).await;
    assert!(page.contains("There is data already"), "{page}");
    assert!(!runner.page("/console", &cookie).await.contains("Load sample data"));
    assert_eq!(all(&runner).await.len(), sources.len());
}

/// Whoever may not administer is offered nothing, and refused.
#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_loads_sample_data() {
    let runner = Runner::start().await;
    let made = runner
        .api(Method::POST, "/v1/keys", json!({ "name": "a marketer", "scopes": [Scope::Manage] }))
        .await;
    let marketer = runner.cookie(&made["key"].as_str().unwrap().parse().unwrap()).await;
    assert!(!runner.page("/console", &marketer).await.contains("Load sample data"));
    for method in [Method::GET, Method::POST] {
        assert!(runner.console(method, SAMPLE, &marketer).await.status().is_client_error());
    }
    let admin = runner.cookie(&KEY.parse().unwrap()).await;
    // Nor is a form of another site taken, or one without a session.
    let foreign = Request::builder().method(Method::POST).uri(SAMPLE).header(header::COOKIE, &admin);
    assert!(runner.call(foreign, Body::empty()).await.status().is_client_error());
    let unknown = runner.console(Method::POST, SAMPLE, "").await;
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
    assert!(text(unknown).await.contains("name=\"key\""), "it asks for a key");
    assert!(all(&runner).await.is_empty());
    assert!(runner.page("/console", &admin).await.contains("Load sample data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_mails_shows_hostile_text_as_text() {
    let runner = Runner::start().await;
    let cookie = runner.cookie(&KEY.parse().unwrap()).await;
    assert!(runner.page("/console/local/outbox", &cookie).await.contains("No mail yet"));
    let name = "<script>alert(1)</script>\u{202e}&amp; \"🎁";
    let campaign = json!({ "name": name, "status": "active" });
    runner.api(Method::PUT, "/v1/campaigns/c", campaign).await;
    let one = json!([{ "user_id": "u", "campaign_id": "c", "type": "received", "channel": "email" }]);
    runner.api(Method::POST, "/v1/interactions", one).await;
    for n in 0..51 {
        let to = format!("me{n}@example.com");
        runner.api(Method::POST, "/v1/restores", json!({ "sources": ["campaign/c"], "notify": [to] })).await;
    }
    runner.local.stack.drain().await.unwrap();
    let page = runner.page("/console/local/outbox", &cookie).await;
    let shown = "&lt;script&gt;alert(1)&lt;/script&gt;\u{202e}&amp;amp; &quot;🎁";
    assert!(page.contains(shown) && !page.contains("<script>alert"), "{page}");
    // The newest come first, the others on a further page.
    let place = |page: &str, n: usize| page.find(&format!(">me{n}@example.com<"));
    let (_, rest) = page.split_once("?before=").unwrap();
    let earlier = format!("/console/local/outbox?before={}", rest.split_once('"').unwrap().0);
    let earlier = runner.page(&earlier, &cookie).await;
    for n in 0..51 {
        assert!(place(&page, n).is_some() != place(&earlier, n).is_some(), "me{n}");
    }
    assert_eq!((page.matches("<article").count(), earlier.matches("<article").count()), (50, 1));
}

#[test]
fn a_folder_with_data_takes_no_sample_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let arguments = ["--key", KEY, "--data", folder.path().to_str().unwrap(), "--sample"];
    let said = Program::log_of(&arguments);
    assert!(said.contains("there is data already") && said.contains("nothing was loaded"), "{said}");
    let (_program, client) = Program::begin(&arguments);
    let (_, list) = client.get("/v1/campaigns").unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    let (_, list) = client.get("/v1/canvases").unwrap();
    assert_eq!(list["items"], json!([]));
}

#[test]
fn the_sample_goes_with_its_retention_alone() {
    for option in ["--retention", "--auto-stop-after"] {
        let said = Program::log_of(&["--memory", "--key", KEY, "--sample", option, "P1M"]);
        assert!(said.contains("leave out --retention and --auto-stop-after"), "{said}");
    }
}

#[test]
fn a_folder_that_holds_a_part_of_the_sample_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["--key", KEY, "--data", data.to_str().unwrap(), "--sample"];
    let program = Program::spawn(&arguments);
    // The clock is rewound: it names where it comes home to.
    while !fs::read_to_string(data.join("clock")).is_ok_and(|text| text.contains(' ')) {}
    drop(program);
    for arguments in [&arguments[..], &arguments[..4]] {
        let said = Program::refused(arguments);
        assert!(said.contains("the folder holds a part of it"), "{said}");
        assert!(said.contains("delete the folder to begin anew"), "{said}");
    }
}
