//! The console from outside: which page a reader gets, with which key, and whether it is safe.

mod pages;
mod sessions;

use crate::fixture::{
    browser::{Browser, LOCAL, Shown, form},
    faults::Fault,
    world::{ADMIN_KEY, World},
};
use axum::Router;
use http::{Method, StatusCode};
use rekindle_domain::key::Scope;
use rekindle_runtime::scopes::{Route, wanted};
use serde_json::json;

/// Makes a key with these scopes. Returns the whole key and its id.
async fn key(world: &World, scopes: &[&str]) -> (String, String) {
    let made = world.post("/v1/keys", json!({ "name": scopes.join(" and "), "scopes": scopes })).await.ok();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

fn console(world: &World) -> Router {
    rekindle_console::router(world.app().clone())
}

/// A way through a route's pattern, to things of that id.
fn filled(route: &str, id: &str) -> String {
    let part = |part: &str| match part {
        "{kind}" => "campaigns".to_owned(),
        pattern if pattern.starts_with('{') => id.to_owned(),
        fixed => fixed.to_owned(),
    };
    route.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// The route of an address, if it has one that takes a session.
fn route_of(method: &Method, address: &str) -> Option<Route> {
    let path: Vec<&str> = address.split(['?', '#']).next().unwrap().split('/').collect();
    let fits = |route: &str| {
        let parts: Vec<&str> = route.split('/').collect();
        parts.len() == path.len()
            && parts.iter().zip(&path).all(|(part, is)| part == is || part.starts_with('{'))
    };
    let mut found: Vec<Route> =
        rekindle_console::routes().into_iter().filter(|(m, route, _)| m == method && fits(route)).collect();
    // The one with the fewest patterns is the one that a router takes.
    found.sort_by_key(|(_, route, _)| route.matches('{').count());
    found.into_iter().next()
}

#[tokio::test(start_paused = true)]
async fn every_page_takes_a_session_with_its_scope() {
    let world = World::new(900).await;
    let mut readers = Vec::new();
    for scope in [Scope::Read, Scope::Manage, Scope::Admin] {
        readers.push((scope, Browser::signed_in(&world, &key(&world, &[scope.as_str()]).await.0).await));
    }
    let mut stranger = Browser::new(console(&world));
    for (method, route, scope) in rekindle_console::routes() {
        let (address, what) = (filled(route, "x"), format!("{method} {route}"));
        let origin = stranger.origin();
        let refused = stranger.send(method.clone(), &address, &[("origin", &origin)], Vec::new()).await;
        if method == Method::GET {
            assert_eq!(refused.status, StatusCode::SEE_OTHER, "{what}");
            let to = refused.header("location").unwrap();
            assert!(to.starts_with("/console/sign-in?to=%2Fconsole"), "{what}: {to}");
        } else {
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{what}");
            assert!(refused.asks_for_a_key(), "{what}");
        }
        for (has, reader) in &mut readers {
            let shown = reader.send(method.clone(), &address, &[("origin", &origin)], Vec::new()).await;
            let what = format!("{what} with {}: {} {}", has.as_str(), shown.status, shown.text);
            if has.allows(scope) {
                assert_ne!(shown.status, StatusCode::FORBIDDEN, "{what}");
                assert!(!shown.asks_for_a_key(), "{what}");
            } else {
                assert_eq!(shown.status, StatusCode::FORBIDDEN, "{what}");
                assert!(shown.is_framed() && shown.text.contains("Your key may not do this"), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_act_is_taken_from_a_page_of_this_host_alone() {
    let world = World::new(901).await;
    world.begin("x").await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let foreign: [&[(&str, &str)]; 7] = [
        &[],
        &[("origin", "null")],
        &[("origin", "http://evil.example")],
        &[("origin", "https://127.0.0.1:7878")],
        &[("origin", "http://127.0.0.1")],
        &[("origin", "http://127.0.0.1:7878.evil.example")],
        &[("origin", "http://127.0.0.1:7878"), ("origin", "http://127.0.0.1:7878")],
    ];
    let own =
        [(Method::POST, "/console/sign-in", Scope::Read), (Method::POST, "/console/sign-out", Scope::Read)];
    for (method, route, _) in [rekindle_console::routes().as_slice(), &own].concat() {
        if method == Method::GET {
            continue;
        }
        for headers in foreign {
            let body = form(&[("act", "stop"), ("key", ADMIN_KEY)]);
            let shown = reader.send(method.clone(), &filled(route, "x"), headers, body).await;
            assert_eq!(shown.status, StatusCode::FORBIDDEN, "{route} {headers:?}");
            assert!(shown.text.contains("was not sent by a page of this console"), "{route} {headers:?}");
            assert_eq!(shown.header("set-cookie"), None, "{route} {headers:?}");
        }
    }
    assert_eq!(world.campaign("x").await["status"], "active");
    let shown = reader.post("/console/campaigns/x/act", &[("act", "stop")]).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    assert_eq!(world.campaign("x").await["status"], "stopped");
}

/// A world with something on every page: an expired campaign, an active one, a restore, a key and a user.
async fn furnished(seed: u64) -> (World, String) {
    let world = World::new(seed).await;
    world.begin("old").await;
    world.ingest_received("old", "u", 3).await;
    world.stop_and_expire("old").await;
    world.begin("new").await;
    world.ingest_received("new", "u", 3).await;
    let restore = world.request_restore(&["campaign/new"], &["you@example.com"]).await;
    (world, restore)
}

#[tokio::test(start_paused = true)]
async fn a_page_shows_no_way_that_its_reader_may_not_go() {
    let (world, restore) = furnished(902).await;
    let mut pages = vec!["/console?kind=canvases".to_owned(), "/console/users?user_id=u0".to_owned()];
    for (_, route, _) in rekindle_console::routes().iter().filter(|(method, ..)| method == Method::GET) {
        pages.extend(["old", "new", &restore].map(|id| filled(route, id)));
    }
    for scope in [Scope::Read, Scope::Manage, Scope::Admin] {
        let mut reader = Browser::signed_in(&world, &key(&world, &[scope.as_str()]).await.0).await;
        let mut acts = 0;
        for page in &pages {
            let shown = reader.get(page).await;
            for (method, to) in shown.ways() {
                let Some((_, _, wanted)) = route_of(&method, &to) else { continue };
                assert!(scope.allows(wanted), "{page} with {} leads to {method} {to}", scope.as_str());
                acts += usize::from(wanted != Scope::Read);
            }
        }
        assert_eq!(acts > 0, scope != Scope::Read, "a reader acts on nothing, the others do");
    }
}

/// What holds of every answer.
#[track_caller]
fn assert_safe(shown: &Shown, what: &str) {
    let policy = shown.header("content-security-policy").unwrap_or_else(|| panic!("{what}: no policy"));
    for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{what}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{what}: {policy}");
    assert_eq!(shown.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert_eq!(shown.header("referrer-policy"), Some("same-origin"), "{what}");
    assert_eq!(shown.header("cross-origin-opener-policy"), Some("same-origin"), "{what}");
    let keeps = shown.header("cache-control").unwrap();
    let is_asset = what.contains("/assets/") && shown.status == StatusCode::OK;
    assert_eq!(keeps, if is_asset { "public, max-age=31536000, immutable" } else { "no-store" }, "{what}");
    if shown.text.starts_with("<!DOCTYPE html>") {
        assert!(
            !shown.text.contains(" style=\"") && !shown.text.contains("<style"),
            "{what}: a style inside"
        );
        for script in shown.text.split("<script").skip(1) {
            assert!(script.starts_with(" src=\"/console/assets/"), "{what}: a script inside");
        }
        assert_eq!(shown.text.matches("<h1").count(), 1, "{what}: one heading of the page");
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_says_where_content_may_come_from() {
    let (world, restore) = furnished(903).await;
    let reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let mut stranger = Browser::new(console(&world));
    let sign_in = stranger.get("/console/sign-in").await;
    let (_, style) = sign_in.text.split_once("href=\"/console/assets/").unwrap();
    let style = format!("/console/assets/{}", style.split('"').next().unwrap());
    let restore = format!("/console/restores/{restore}");
    let addresses = [
        "/",
        "/console",
        "/console/sign-in",
        "/console/campaigns/old",
        &restore,
        "/console/users?user_id=u0",
        "/console/users?user_id=u0&archive=read",
        "/console/users?user_id=u0&cursor=x",
        "/console/keys",
        "/console/audit",
        "/console/nothing",
        "/console/campaigns/nothing",
        "/console/restores/%ff",
        "/console/sign-out",
        &style,
        "/console/assets/x-nothing.css",
    ];
    let origin = reader.origin();
    for address in addresses {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS] {
            for browser in [&reader, &stranger] {
                let what = format!("{method} {address}, signed in: {}", browser.cookie.is_some());
                let headers = [("origin", origin.as_str())];
                let shown = browser.clone().send(method.clone(), address, &headers, Vec::new()).await;
                assert_safe(&shown, &what);
                if !["/", "/console/sign-out"].contains(&address) && !address.contains("/assets/") {
                    assert!(
                        shown.status != StatusCode::OK
                            || browser.cookie.is_some()
                            || address.ends_with("sign-in"),
                        "{what}"
                    );
                }
            }
        }
    }
    // Signing out ended the session.
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    assert_safe(&reader.send(Method::POST, "/console", &[], Vec::new()).await, "a foreign form");
    let head = reader.send(Method::HEAD, "/console", &[], Vec::new()).await;
    assert_eq!((head.status, &*head.text), (StatusCode::OK, ""));
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_is_a_page_that_tries_again() {
    let (world, _) = furnished(904).await;
    let signed_in = Browser::signed_in(&world, ADMIN_KEY).await;
    let throttled = r#"{"__type":"com.amazonaws#ThrottlingException","message":"injected"}"#;
    let faults = [
        ("throttled", Fault::Answers("dynamodb", 400, throttled), 0),
        ("gone", Fault::Dies, 0),
        ("gone after the key was read", Fault::Dies, 1),
    ];
    let pages = [
        "/console",
        "/console/campaigns/old",
        "/console/users?user_id=u0",
        "/console/keys",
        "/console/audit",
    ];
    for (fault, kind, at) in faults {
        for page in pages {
            let app = world.doomed(kind, at).stack.app;
            let mut reader = Browser { router: rekindle_console::router(app), ..signed_in.clone() };
            let what = format!("{page}, {fault}");
            let shown = reader.get(page).await;
            assert_eq!(shown.status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {}", shown.text);
            assert_safe(&shown, &what);
            assert!(shown.text.contains("<h1>Busy, trying again</h1>"), "{what}: {}", shown.text);
            assert_eq!(shown.header("refresh"), Some("5"), "{what}");
            for inner in ["Exception", "injected", "DispatchFailure", "panicked", "src/", "Error("] {
                assert!(!shown.text.contains(inner), "{what}: {}", shown.text);
            }
            // A part of a page stays as it is.
            let part = reader.send(Method::GET, page, &[("hx-request", "true")], Vec::new()).await;
            assert_eq!(
                (part.status, part.header("hx-reswap")),
                (StatusCode::SERVICE_UNAVAILABLE, Some("none")),
                "{what}"
            );
        }
        let app = world.doomed(kind, at).stack.app;
        let mut reader = Browser { router: rekindle_console::router(app), ..signed_in.clone() };
        let shown = reader.post("/console/campaigns/new/act", &[("act", "stop")]).await;
        assert_eq!(
            (shown.status, shown.header("refresh")),
            (StatusCode::SERVICE_UNAVAILABLE, None),
            "{fault}"
        );
        assert!(shown.text.contains("<h1>Busy</h1>"), "{fault}: {}", shown.text);
    }
    let mut stranger = Browser::new(rekindle_console::router(world.doomed(Fault::Dies, 0).stack.app));
    let shown = stranger.post("/console/sign-in", &[("key", ADMIN_KEY)]).await;
    assert_eq!((shown.status, shown.header("set-cookie")), (StatusCode::SERVICE_UNAVAILABLE, None));
}

#[tokio::test(start_paused = true)]
async fn there_is_a_page_for_what_is_not_there() {
    let world = World::new(905).await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let ulid = "01M8J2NG5AX8VMP8XJPFNFDC32";
    let rotate = format!("/console/keys/{ulid}/rotate");
    let restore = format!("/console/restores/{ulid}");
    for address in [
        "/console/nothing",
        "/console/nothing/at/all/here",
        "/console/campaigns/nothing",
        "/console/canvases/nothing",
        "/console/things/x",
        "/console/campaigns/%ff",
        "/console/campaigns/%3Cscript%3E",
        "/console/restores/nothing",
        "/console/restores/%ff",
        &restore,
        "/console/keys/nothing/revoke",
        &rotate,
    ] {
        let shown = reader.get(address).await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{address}: {}", shown.text);
        assert!(shown.is_framed() && shown.text.contains("There is nothing here"), "{address}");
        assert_safe(&shown, address);
    }
    assert_eq!(wanted(&rekindle_console::routes(), &Method::DELETE, "/console"), None);
    let other =
        reader.send(Method::DELETE, "/console", &[("origin", "http://127.0.0.1:7878")], Vec::new()).await;
    assert_eq!((other.status, LOCAL), (StatusCode::NOT_FOUND, "127.0.0.1:7878"));
}
