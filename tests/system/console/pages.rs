//! The pages of users, keys and the audit trail; and hostile names on every page.

use super::{assert_safe, furnished, key};
use crate::fixture::{
    browser::{Browser, Shown, escaped},
    world::{ADMIN_KEY, World},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

fn query(user: &str, more: &str) -> String {
    let user = form_urlencoded::Serializer::new(String::new()).append_pair("user_id", user).finish();
    format!("/console/users?{user}{more}")
}

/// The part of a page between two texts.
#[track_caller]
fn between<'a>(shown: &'a Shown, from: &str, to: &str) -> &'a str {
    let rest = shown.text.split_once(from).unwrap_or_else(|| panic!("no {from}: {}", shown.text)).1;
    rest.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}: {rest}")).0
}

const OLD: &str = "href=\"/console/campaigns/old\"";
const NEW: &str = "href=\"/console/campaigns/new\"";

#[tokio::test(start_paused = true)]
async fn a_user_has_what_is_known_and_what_is_unknown_until_restored() {
    let (world, _) = furnished(920).await;
    let click = json!({ "user_id": "u0", "campaign_id": "new", "type": "clicked", "channel": "email", "link_alias": "header" });
    world.advance("P1D");
    world.ingest(&[click, json!({ "user_id": "u0", "type": "unsubscribed", "channel": "sms" })]).await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let shown = reader.get(&query("u0", "")).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    assert!(shown.text.contains("Unsubscribed from SMS"), "{}", shown.text);
    let unknown = between(&shown, "Unknown until restored", "</section>");
    assert!(unknown.contains(OLD) && !unknown.contains(NEW) && unknown.contains("value=\"campaign/old\""));
    let known = between(&shown, "What this user received and did", "</main>");
    assert!(known.contains(NEW) && !known.contains(OLD));
    // The last one comes first.
    let (click, receipt) = (known.find("Clicked").unwrap(), known.find("Received").unwrap());
    assert!(
        click < receipt && known.contains("link <bdi>header</bdi>") && known.contains("Email"),
        "{known}"
    );
    // The archive is read, and nothing is restored.
    let archive = reader.get(&query("u0", "&archive=read")).await;
    assert!(!archive.text.contains("Unknown until restored"), "{}", archive.text);
    let known = between(&archive, "What this user received and did", "</main>");
    assert!(known.contains(OLD) && known.contains("From the archive") && known.contains(NEW), "{known}");
    assert_eq!(world.state("old").await, "expired");
    // A user whom the archive does not know is not in it; one whom nobody knows is in nothing.
    world.ingest_received("new", "late", 1).await;
    let late = reader.get(&query("late0", "&archive=read")).await;
    assert!(late.text.contains(NEW) && !late.text.contains(OLD), "{}", late.text);
    // The button leads to the page that says how much a restore brings back.
    let review =
        reader.post("/console/sources/review", &[("source", "campaign/old"), ("act", "restore")]).await;
    assert_eq!(review.status, StatusCode::OK, "{}", review.text);
    world.restore(&["campaign/old"]).await;
    let shown = reader.get(&query("u0", "")).await;
    assert!(shown.text.contains(OLD) && !shown.text.contains("Unknown until restored"), "{}", shown.text);
}

#[tokio::test(start_paused = true)]
async fn a_user_id_is_taken_as_it_is_typed() {
    let (world, _) = furnished(921).await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let shown = reader.get(&query(" U0 ", "")).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    assert!(
        shown.text.contains("Nobody has this id") && !shown.text.contains("Unknown until"),
        "{}",
        shown.text
    );
    for other in [query("U0", ""), query("u0", "")] {
        assert!(shown.ways().contains(&(Method::GET, other)), "{:?}", shown.ways());
    }
    world.post("/v1/users/merge", json!({ "from": "u0", "into": "ann" })).await.ok();
    world.post("/v1/users/merge", json!({ "from": "u1", "into": "ann" })).await.ok();
    let shown = reader.get(&query("u0", "")).await;
    assert!(shown.text.contains("<h1 dir=\"auto\">ann</h1>"), "{}", shown.text);
    let says = between(&shown, "You looked up", "What this user received");
    assert!(
        says.contains(">u0</bdi>") && says.contains(">u1</bdi>") && says.contains(">ann</bdi>"),
        "{says}"
    );
    // Refusals are pages, too.
    let long = reader.get(&query(&"x".repeat(513), "")).await;
    assert_eq!(long.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(long.is_framed() && long.text.contains("1 to 512 bytes"), "{}", long.text);
    let lost = reader.get(&query("u0", "&cursor=nonsense")).await;
    assert_eq!((lost.status, lost.is_framed()), (StatusCode::BAD_REQUEST, true));
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_user_says_how_far_it_looked() {
    let world = World::new(922).await;
    for i in 0..101 {
        world.ingest_received(&format!("c{i}"), "u", 1).await;
        world.advance("PT1S");
    }
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let first = reader.get(&query("u0", "")).await;
    assert_eq!(first.text.matches("class=\"card seen\"").count(), 100, "{}", first.text);
    let ways = first.ways();
    let (_, next) = ways.iter().find(|(_, to)| to.contains("cursor=")).expect("a next page");
    let second = reader.get(next).await;
    assert_eq!(second.text.matches("class=\"card seen\"").count(), 1, "{}", second.text);
    assert!(second.text.contains("all campaigns and Canvases were looked at"), "{}", second.text);
    assert!(!second.text.contains("Over all campaigns"), "that is on the first page");
    assert!(second.ways().contains(&(Method::GET, query("u0", ""))));
}

/// The secret that a page shows.
#[track_caller]
fn secret(shown: &Shown) -> String {
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert!(!shown.address.contains("rk_"), "{}", shown.address);
    let secret = between(shown, "id=\"secret\">", "</code>");
    assert!(secret.starts_with("rk_") && secret.len() == 73, "{secret}");
    secret.to_owned()
}

/// The status of a request to the API with that key.
async fn api(world: &World, key: &str) -> u16 {
    let world_key = format!("Bearer {key}");
    let request = http::Request::builder().uri("/v1/tags").header("authorization", world_key);
    world.send_as_is(request.body(axum::body::Body::empty()).unwrap()).await.status.as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_made_renewed_and_revoked_and_its_secret_is_shown_once() {
    let world = World::new(923).await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    for (fields, says) in [
        (&[("name", "Reporting")][..], "Tick at least one thing"),
        (&[("scope", "read")], "Name must be 1 to 256 bytes"),
    ] {
        let refused = reader.post("/console/keys", fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text.contains(says), "{}", refused.text);
        let (name, value) = fields[0];
        let kept =
            if name == "name" { format!("value=\"{value}\"") } else { format!("value=\"{value}\" checked") };
        assert!(refused.text.contains(&kept), "what was typed stays: {}", refused.text);
    }
    let made = reader.post("/console/keys", &[("name", "Reporting"), ("scope", "read")]).await;
    let first = secret(&made);
    assert_eq!(api(&world, &first).await, 200);
    let id = first[3..29].to_owned();
    let list = reader.get("/console/keys").await;
    assert!(list.text.contains("Reporting") && !list.text.contains(&first[30..]), "{}", list.text);
    // A double click makes one rotation: the first secret goes on for its time.
    let rotate = format!("/console/keys/{id}/rotate");
    let asks = reader.get(&rotate).await;
    let since = asks.hidden().into_iter().find(|(name, _)| name == "since").unwrap().1;
    let fields = [("grace", "PT1H"), ("since", &*since)];
    let lost = secret(&reader.post(&rotate, &fields).await);
    let second = secret(&reader.post(&rotate, &fields).await);
    world.advance("PT6S");
    let status = [api(&world, &first).await, api(&world, &lost).await, api(&world, &second).await];
    assert_eq!(status, [200, 401, 200]);
    world.advance("PT1H");
    assert_eq!([api(&world, &first).await, api(&world, &second).await], [401, 200]);
    let revoke = format!("/console/keys/{id}/revoke");
    let asks = reader.get(&revoke).await;
    assert!(
        asks.text.contains("signed out") && !asks.text.contains("post interactions with it"),
        "{}",
        asks.text
    );
    assert_eq!(api(&world, &second).await, 200, "to look at the page revokes nothing");
    let list = reader.post(&revoke, &[]).await;
    assert_eq!((list.status, &*list.address), (StatusCode::OK, "/console/keys"));
    assert!(list.text.contains("Revoked on"), "{}", list.text);
    assert_eq!(api(&world, &second).await, 401);
    for gone in [&rotate, &revoke] {
        let shown = reader.get(gone).await;
        assert_eq!((shown.status, shown.is_framed()), (StatusCode::CONFLICT, true), "{}", shown.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_readers_own_key_is_renewed_within_the_session_and_the_last_one_stays() {
    let world = World::new(924).await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let id = &ADMIN_KEY[3..29];
    let last = reader.post(&format!("/console/keys/{id}/revoke"), &[]).await;
    assert_eq!(last.status, StatusCode::CONFLICT);
    assert!(last.text.contains("the last key with the scope admin"), "{}", last.text);
    let renewed = reader.post(&format!("/console/keys/{id}/rotate"), &[("grace", "none")]).await;
    assert_eq!(api(&world, &secret(&renewed)).await, 200);
    assert_eq!(api(&world, ADMIN_KEY).await, 401);
    assert_eq!(reader.get("/console/keys").await.address, "/console/keys", "the session goes on");
}

#[tokio::test(start_paused = true)]
async fn the_audit_trail_says_who_did_what_to_which_thing() {
    let world = World::new(925).await;
    let (other, id) = key(&world, &["manage"]).await;
    world.begin("spring").await;
    let mut manager = Browser::signed_in(&world, &other).await;
    manager.post("/console/campaigns/spring/act", &[("act", "stop")]).await;
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let all = reader.get("/console/audit").await;
    let places: Vec<_> =
        ["Stopped", "Started", "Registered", "Created"].map(|event| all.text.find(event).unwrap()).into();
    assert!(places.is_sorted(), "newest first: {}", all.text);
    assert!(all.ways().contains(&(Method::GET, "/console/campaigns/spring".to_owned())));
    let by = reader.get(&format!("/console/audit?by=key%2F{id}")).await;
    assert!(by.text.contains("Stopped") && !by.text.contains("Started"), "{}", by.text);
    let on = reader.get(&format!("/console/audit?on=key%2F{id}&by=")).await;
    assert!(on.text.contains("Created") && !on.text.contains("Stopped"), "{}", on.text);
    let none = reader.get("/console/audit?on=campaign%2Fother").await;
    assert!(none.text.contains("Nothing matches"), "{}", none.text);
    for i in 0..100 {
        world.post("/v1/campaigns/spring/pin", json!({ "reason": format!("r{i}") })).await.ok();
    }
    let first = reader.get("/console/audit").await;
    let next = first.ways().into_iter().find(|(_, to)| to.contains("cursor=")).expect("a next page").1;
    let second = reader.get(&next).await;
    assert!(second.text.contains("Started") && !first.text.contains("Started"), "{}", second.text);
}

#[tokio::test(start_paused = true)]
async fn hostile_names_are_text_on_every_page() {
    let world = World::new(926).await;
    let script = "</title><script>alert('x')</script>\"'><img src=x onerror=alert(1)>";
    let rtl = "\u{202e}moc.elpmaxe\u{2066} שלום";
    let long = format!("🎉{}", "w".repeat(252));
    let ids = [
        script.to_owned(),
        rtl.to_owned(),
        format!("{script}{}", "i".repeat(512 - script.len())),
        "💥".repeat(128),
    ];
    for (i, name) in [script, rtl, &long].iter().enumerate() {
        let body = json!({ "name": name, "tags": [name.chars().take(100).collect::<String>()] });
        world.put(&format!("/v1/campaigns/c{i}"), body).await.ok();
        world.start(&format!("c{i}")).await.ok();
        world.post("/v1/keys", json!({ "name": name, "scopes": ["read"] })).await.ok();
    }
    let clicks = ids.iter().map(|id| json!({ "user_id": id, "campaign_id": "c0", "type": "clicked", "channel": "email", "link_alias": script }));
    world.ingest(&clicks.collect::<Vec<Value>>()).await;
    world.ingest_received("c1", "u", 1).await;
    world.post("/v1/users/merge", json!({ "from": "x", "into": ids[0] })).await.ok();
    world.stop_and_expire("c1").await;
    world.post("/v1/campaigns/c0/pin", json!({ "reason": script })).await.ok();
    let restore = format!("/console/restores/{}", world.request_restore(&["campaign/c1"], &[]).await);
    let mut reader = Browser::signed_in(&world, ADMIN_KEY).await;
    let mut pages = vec!["/console".to_owned(), "/console?q=%3Cscript%3E&tag=%22%3E%3Cscript%3E".to_owned()];
    pages.extend((0..3).map(|i| format!("/console/campaigns/c{i}")));
    pages.extend([
        restore,
        "/console/restores".to_owned(),
        "/console/keys".to_owned(),
        "/console/audit".to_owned(),
    ]);
    pages.push(query("x", ""));
    pages.extend(ids.iter().flat_map(|id| [query(id, ""), query(id, "&archive=read")]));
    pages.push(format!(
        "/console/audit?{}",
        query(script, "&on=%3Cscript%3E&by=%3Cscript%3E").split_once('?').unwrap().1
    ));
    for page in &pages {
        let shown = reader.get(page).await;
        assert_eq!(shown.status, StatusCode::OK, "{page}: {}", shown.text);
        assert_safe(&shown, page);
        for raw in ["<script>", "<img src=x", "\"'>"] {
            assert!(!shown.text.contains(raw), "{page}: {}", shown.text);
        }
    }
    for (page, name) in
        [("/console", script), ("/console/keys", rtl), ("/console/keys", &long), ("/console/audit", script)]
    {
        assert!(reader.get(page).await.text.contains(&escaped(name)), "{page}");
    }
    for id in &ids {
        let shown = reader.get(&query(id, "")).await;
        assert!(shown.text.contains(&format!("<h1 dir=\"auto\">{}</h1>", escaped(id))), "{}", shown.text);
    }
    assert_reviews_are_safe(reader, script).await;
}

/// The pages that say what an act will do show hostile names and reasons as text.
async fn assert_reviews_are_safe(mut reader: Browser, script: &str) {
    for act in ["restore", "stop", "pin", "unpin"] {
        let fields = [("act", act), ("source", "campaign/c0"), ("source", "campaign/c1"), ("reason", script)];
        let shown = reader.post("/console/sources/review", &fields).await;
        assert_eq!(shown.status, StatusCode::OK, "{act}: {}", shown.text);
        assert_safe(&shown, act);
        assert!(
            !shown.text.contains("<script>") && !shown.text.contains("<img src=x"),
            "{act}: {}",
            shown.text
        );
    }
    let wrong = reader
        .post("/console/sources/review", &[("act", "stop"), ("source", "<script>alert(1)</script>")])
        .await;
    assert!(wrong.status.is_client_error() && !wrong.text.contains("<script>"), "{}", wrong.text);
}
