//! Signing in and out, and sessions that end.

use super::{assert_safe, console, key};
use crate::fixture::{
    browser::{Browser, Shown, form},
    log::Log,
    world::{ADMIN_KEY, World},
};
use http::{Method, StatusCode};
use rekindle_domain::session::SESSION_MILLIS;
use serde_json::{Value, json};

/// Whether a reader's session opens the list.
async fn opens(reader: &mut Browser) -> bool {
    let shown = reader.send(Method::GET, "/console", &[], Vec::new()).await;
    assert!(shown.status == StatusCode::OK || shown.status == StatusCode::SEE_OTHER, "{}", shown.text);
    shown.status == StatusCode::OK
}

/// The fields of a sign-in page, with a key.
fn with_key(page: &Shown, key: &str) -> Vec<(String, String)> {
    let mut fields = page.hidden();
    fields.push(("key".to_owned(), key.to_owned()));
    fields
}

async fn send(reader: &mut Browser, address: &str, fields: &[(String, String)]) -> Shown {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    reader.post(address, &fields).await
}

#[tokio::test(start_paused = true)]
async fn the_cookie_is_for_this_host_and_no_script() {
    let world = World::new(910).await;
    for (host, name, secure) in
        [("127.0.0.1:7878", "rekindle", false), ("rekindle.example", "__Host-rekindle", true)]
    {
        let mut reader = Browser { host, ..Browser::new(console(&world)) };
        let shown = reader
            .submit("/console/sign-in", &[("key", ADMIN_KEY), ("to", "/console/users?user_id=a")])
            .await;
        assert_eq!(shown.header("location"), Some("/console/users?user_id=a"));
        let cookie = shown.header("set-cookie").unwrap();
        let (pair, rest) = cookie.split_once("; ").unwrap();
        let (is, value) = pair.split_once('=').unwrap();
        assert_eq!(is, name);
        assert!(value.starts_with("rs_") && !ADMIN_KEY.contains(&value[value.len() - 20..]), "{value}");
        let secure = if secure { "; Secure" } else { "" };
        let seconds = SESSION_MILLIS / 1000;
        assert_eq!(rest, format!("Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"));
        assert!(opens(&mut reader).await, "{host}");
        // Over TLS, a cookie that a neighbour under the same domain could set is none.
        let plain = pair.replace("__Host-", "");
        assert_eq!(opens(&mut Browser { cookie: Some(plain), ..reader.clone() }).await, secure.is_empty());
        let out = reader.submit("/console/sign-out", &[]).await;
        assert_eq!(out.header("location"), Some("/console/sign-in"));
        assert_eq!(
            out.header("set-cookie").unwrap(),
            format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{secure}")
        );
        assert!(!opens(&mut reader).await);
        // The cookie of a session that was signed out opens nothing, wherever it was kept.
        assert!(!opens(&mut Browser { cookie: Some(pair.to_owned()), ..reader.clone() }).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_time_its_key_and_its_secret() {
    let world = World::new(911).await;
    let (whole, id) = key(&world, &["read"]).await;
    let mut reader = Browser::signed_in(&world, &whole).await;
    assert!(opens(&mut reader).await);
    world.advance("PT12H");
    assert!(!opens(&mut reader).await, "its time is over");
    let mut reader = Browser::signed_in(&world, &whole).await;
    let kept = world.post(&format!("/v1/keys/{id}/rotate"), json!({ "grace": "PT1H" })).await.ok();
    assert!(opens(&mut reader).await, "the old secret goes on");
    world.advance("PT1H");
    assert!(!opens(&mut reader).await, "the old secret has ended");
    let mut reader = Browser::signed_in(&world, kept["key"].as_str().unwrap()).await;
    let other = world.post(&format!("/v1/keys/{id}/rotate"), Value::Null).await.ok();
    assert!(!opens(&mut reader).await, "the secret is another");
    let mut reader = Browser::signed_in(&world, other["key"].as_str().unwrap()).await;
    assert!(opens(&mut reader).await);
    world.call(Method::DELETE, &format!("/v1/keys/{id}"), &Value::Null).await;
    assert!(!opens(&mut reader).await, "the key was revoked");
    // A session has an id and a secret of its own: another in its place opens nothing, and no key does.
    let cookie = Browser::signed_in(&world, ADMIN_KEY).await.cookie.unwrap();
    let end = if cookie.ends_with('A') { "E" } else { "A" };
    let secret = format!("{}{end}", &cookie[..cookie.len() - 1]);
    let rest = cookie.strip_prefix("rekindle=rs_").and_then(|rest| rest.split_once('_')).unwrap().1;
    let other = format!("rekindle=rs_{id}_{rest}");
    assert_eq!(other.len(), cookie.len(), "{cookie}");
    let of_key = format!("rekindle={ADMIN_KEY}");
    for forged in
        [secret, other, of_key, "rekindle=".to_owned(), "rekindle=rs_x".to_owned(), format!("x{cookie}")]
    {
        assert!(!opens(&mut Browser { cookie: Some(forged.clone()), ..reader.clone() }).await, "{forged}");
    }
    assert!(opens(&mut Browser { cookie: Some(format!("a=b; {cookie}; c=d")), ..reader }).await);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_opens_nothing_here_is_told_so() {
    let world = World::new(912).await;
    let (revoked, id) = key(&world, &["read"]).await;
    world.call(Method::DELETE, &format!("/v1/keys/{id}"), &Value::Null).await;
    let sender = key(&world, &["ingest"]).await.0;
    let log = Log::listen();
    let wrong = format!("{}{}", &ADMIN_KEY[..30], "B".repeat(42) + "A");
    let cut = &ADMIN_KEY[..60];
    for (typed, says) in [
        ("", "This is not a key"),
        ("hello", "This is not a key"),
        (cut, "This is not a key"),
        (&*wrong, "not one of this Rekindle"),
        (&*revoked, "was revoked"),
        (&*sender, "only posts interactions"),
    ] {
        let mut reader = Browser::new(console(&world));
        let shown = reader.post("/console/sign-in", &[("key", typed), ("to", "/console/restores")]).await;
        assert_eq!((shown.status, shown.header("set-cookie")), (StatusCode::FORBIDDEN, None), "{typed}");
        assert!(shown.asks_for_a_key() && shown.text.contains(says), "{typed}: {}", shown.text);
        assert!(typed.len() < 5 || !shown.text.contains(typed), "a key is not shown again");
        assert_safe(&shown, typed);
        // Where the reader wanted to go is not forgotten.
        let shown = send(&mut reader, "/console/sign-in", &with_key(&shown, ADMIN_KEY)).await;
        assert_eq!((shown.status, &*shown.address), (StatusCode::OK, "/console/restores"));
        let (_, seal) = reader.cookie.as_ref().unwrap().split_at(60);
        for secret in [&typed[typed.len().min(30)..], seal] {
            assert!(secret.is_empty() || !log.text().contains(secret), "{typed} is in the log");
        }
    }
    assert_eq!(log.text().matches("a sign-in was refused").count(), 6);
    for to in [
        "//evil.example",
        "https://evil.example/console",
        "/\\evil.example",
        "/console/\u{1}",
        "/v1/keys",
        "",
    ] {
        let mut reader = Browser::new(console(&world));
        let shown =
            reader.submit("/console/sign-in", &[("key", &format!("  {ADMIN_KEY}\n")), ("to", to)]).await;
        assert_eq!(shown.header("location"), Some("/console"), "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_on_another_site_opens_once_more_and_not_in_circles() {
    let world = World::new(913).await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let mut without = Browser { cookie: None, ..reader.clone() };
    let cross = [("sec-fetch-site", "cross-site")];
    let first = without.send(Method::GET, "/console/restores?a=b%20c", &cross, Vec::new()).await;
    assert_eq!(first.status, StatusCode::OK);
    let (pause, address) = first.header("refresh").unwrap().split_once("; url=").unwrap();
    assert_eq!((pause, address), ("0", "/console/sign-in?to=%2Fconsole%2Frestores%3Fa%3Db%2520c"));
    assert_safe(&first, "the page in between");
    // That one bears the cookie, and leads on.
    let shown = reader.get(address).await;
    assert_eq!((shown.status, &*shown.address), (StatusCode::OK, "/console/restores?a=b%20c"));
    // Without a session it asks for a key, whatever site it came from.
    for headers in [&[][..], &cross] {
        let shown = without.send(Method::GET, address, headers, Vec::new()).await;
        assert!(shown.asks_for_a_key() && shown.header("refresh").is_none());
    }
    // A reader whose session ended is asked at once.
    world.advance("PT12H");
    let shown = reader.send(Method::GET, "/console", &cross, Vec::new()).await;
    assert_eq!(shown.status, StatusCode::SEE_OTHER);
}

#[tokio::test(start_paused = true)]
async fn a_form_that_came_after_its_session_is_sent_after_all() {
    let world = World::new(914).await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let name = "Ann's \"key\" <b> & ü 🎉";
    let fields = [
        ("name", name),
        ("scope", "read"),
        ("scope", "manage"),
        ("secret", "s3cret"),
        ("key", "k3y"),
        ("empty", ""),
    ];
    world.advance("PT12H");
    let asked = reader.post("/console/keys", &fields).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    assert!(asked.asks_for_a_key() && asked.text.contains("Your session has ended"), "{}", asked.text);
    assert!(!asked.text.contains("s3cret") && !asked.text.contains("k3y"), "{}", asked.text);
    assert_safe(&asked, "asked");
    // A wrong key loses nothing.
    let again = send(&mut reader, "/console/sign-in", &with_key(&asked, "oops")).await;
    assert_eq!((again.status, again.hidden()), (StatusCode::FORBIDDEN, asked.hidden()));
    let shown = send(&mut reader, "/console/sign-in", &with_key(&again, ADMIN_KEY)).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    assert!(shown.is_framed() && shown.text.contains("You are signed in again"), "{}", shown.text);
    assert_safe(&shown, "signed in again");
    let kept = [("name", name), ("scope", "read"), ("scope", "manage"), ("empty", "")];
    let kept = kept.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(shown.hidden(), kept);
    assert!(shown.ways().contains(&(Method::POST, "/console/keys".to_owned())), "{:?}", shown.ways());
    let keys =
        |list: Value| list["items"].as_array().unwrap().iter().filter(|key| key["name"] == name).count();
    assert_eq!(keys(world.get("/v1/keys").await.ok()), 0, "nothing was done yet");
    let made = send(&mut reader, "/console/keys", &shown.hidden()).await;
    assert!(made.text.contains("The key is made"), "{}", made.text);
    assert_eq!(keys(world.get("/v1/keys").await.ok()), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_but_the_form_of_an_act_is_kept() {
    let world = World::new(915).await;
    let mut reader = Browser::new(console(&world));
    let long = "x".repeat(64 << 10);
    let large = reader.post("/console/sources/act", &[("reason", &long)]).await;
    assert_eq!(large.status, StatusCode::UNAUTHORIZED);
    assert!(large.asks_for_a_key() && large.text.contains("nothing was done"), "{}", large.text);
    assert!(large.hidden().iter().all(|(name, _)| name != "kept"));
    let nowhere = reader.post("/console/nothing", &[("a", "b")]).await;
    assert!(nowhere.hidden().iter().all(|(name, _)| name != "kept"));
    // Nor does the sign-in page take one for another address from elsewhere.
    for to in ["/console/sign-out", "/console", "//evil.example/act", "/v1/restores"] {
        let shown =
            reader.submit("/console/sign-in", &[("key", ADMIN_KEY), ("to", to), ("kept", "a=b")]).await;
        assert_eq!(shown.status, StatusCode::SEE_OTHER, "{to}");
        assert!(shown.header("location").unwrap().starts_with("/console"), "{to}");
    }
    // A foreign site's form is refused before anything of it is kept.
    let headers = [("origin", "http://evil.example")];
    let mut without = Browser::new(console(&world));
    let foreign = without.send(Method::POST, "/console/sources/act", &headers, form(&[("a", "b")])).await;
    assert_eq!((foreign.status, foreign.asks_for_a_key()), (StatusCode::FORBIDDEN, false));
    // A script that asks for a part puts a line into the page, and leaves the rest as it is.
    let part = without.send(Method::GET, "/console/restores", &[("hx-request", "true")], Vec::new()).await;
    assert_eq!((part.status, part.header("hx-retarget")), (StatusCode::UNAUTHORIZED, Some("#signed-out")));
    assert!(part.text.contains(" id=\"signed-out\""), "{}", part.text);
}
