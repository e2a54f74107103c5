//! Tags: the sources that carry one are found at once, and restored together.

use crate::fixture::{
    faults::Fault,
    world::{World, got},
};
use axum::body::Body;
use http::Request;
use rekindle_domain::id::SourceId;
use rekindle_store::catalog::Transaction;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn tag(world: &World, source: &str, tags: &[&str]) -> Value {
    let answer = world.put(&format!("/v1/{source}"), json!({ "tags": tags })).await.ok();
    answer["tags"].clone()
}

/// The tags with how many sources carry them, in pages of `limit`.
async fn tags(world: &World, limit: usize) -> Vec<(String, u64)> {
    let mut out = vec![];
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/v1/tags?limit={limit}{cursor}")).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        out.extend(
            items.iter().map(|t| (t["tag"].as_str().unwrap().to_owned(), t["sources"].as_u64().unwrap())),
        );
        let Some(next) = page["next"].as_str() else { return out };
        cursor = format!("&cursor={next}");
    }
}

/// The sources of one kind that carry a tag, in pages of `limit`.
async fn tagged(world: &World, kind: &str, query: &str, limit: usize) -> Vec<String> {
    let mut out = vec![];
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/v1/{kind}?tag={query}&limit={limit}{cursor}")).await.ok();
        let items = page["items"].as_array().unwrap();
        out.extend(items.iter().map(|s| s["source"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { return out };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test(start_paused = true)]
async fn sources_are_found_by_what_they_carry_now() {
    let world = World::new(95).await;
    assert_eq!(
        tag(&world, "campaigns/a", &["promo", "a-b", "promo", "a"]).await,
        json!(["a", "a-b", "promo"])
    );
    tag(&world, "campaigns/b", &["promo", "a.b", "ab"]).await;
    tag(&world, "canvases/b", &["promo"]).await;
    let of = |tag: &str, sources| (tag.to_owned(), sources);
    let all = vec![of("a", 1), of("a-b", 1), of("a.b", 1), of("ab", 1), of("promo", 3)];
    for limit in [1, 2, 3, 5, 1_000] {
        assert_eq!(tags(&world, limit).await, all, "pages of {limit}");
    }
    assert_eq!(tagged(&world, "campaigns", "promo", 1).await, ["campaign/a", "campaign/b"]);
    assert_eq!(tagged(&world, "canvases", "promo", 10).await, ["canvas/b"]);
    assert_eq!(tagged(&world, "campaigns", "a", 10).await, ["campaign/a"], "not tags that begin with it");
    assert_eq!(tagged(&world, "campaigns", "nothing", 10).await, Vec::<String>::new());

    // Tags are replaced with the other fields, and the list shows it at once.
    assert_eq!(tag(&world, "campaigns/a", &["new"]).await, json!(["new"]));
    world.put("/v1/canvases/b", json!({ "name": "Without" })).await.ok();
    assert_eq!(tags(&world, 10).await, [of("a.b", 1), of("ab", 1), of("new", 1), of("promo", 1)]);
    assert_eq!(tagged(&world, "campaigns", "promo", 10).await, ["campaign/b"]);
    // Other changes of a source keep its tags.
    world.start("b").await.ok();
    world.ingest_received("b", "u", 3).await;
    world.stop_and_expire("b").await;
    world.restore(&["campaign/b"]).await;
    assert_eq!(world.campaign("b").await["tags"], json!(["a.b", "ab", "promo"]));
}

/// Human text: any script, any case, shown as the first source wrote it, and the same tag for whoever writes it in
/// another case or composes its accents otherwise.
#[tokio::test(start_paused = true)]
async fn tags_are_human_text_and_are_compared_without_case() {
    let world = World::new(94).await;
    let said = ["Black Friday 2026", "Été", "新春", "a#b", "a", " a b ", "A"];
    assert_eq!(
        tag(&world, "campaigns/a", &said).await,
        json!(["Black Friday 2026", "a", "a b", "a#b", "Été", "新春"]),
        "trimmed, each once"
    );
    let other = ["BLACK FRIDAY 2026", "E\u{301}TE\u{301}", "Straße"];
    assert_eq!(tag(&world, "campaigns/b", &other).await, json!(["Black Friday 2026", "Straße", "Été"]));
    // The spelling that stands is kept by its own source, too.
    assert_eq!(
        tag(&world, "campaigns/b", &["black friday 2026", "ÉTÉ"]).await,
        json!(["Black Friday 2026", "Été"])
    );
    let of = |tag: &str, sources| (tag.to_owned(), sources);
    let all =
        vec![of("a", 1), of("a b", 1), of("a#b", 1), of("Black Friday 2026", 2), of("Été", 2), of("新春", 1)];
    for limit in [1, 2, 6, 1_000] {
        assert_eq!(tags(&world, limit).await, all, "pages of {limit}");
    }
    for query in ["Black+Friday+2026", "black%20friday%202026", "%20BLACK%20FRIDAY%202026"] {
        assert_eq!(tagged(&world, "campaigns", query, 1).await, ["campaign/a", "campaign/b"], "{query}");
    }
    assert_eq!(tagged(&world, "campaigns", "a%23B", 10).await, ["campaign/a"]);
    assert_eq!(tagged(&world, "campaigns", "a", 10).await, ["campaign/a"]);

    world.ingest_received("a", "u", 3).await;
    let filter = |tag: &str| json!({ "received": { "tag": tag } });
    for asked in ["Black Friday 2026", "BLACK friday 2026", "été", "e\u{301}te\u{301}", "新春", "A#B"] {
        assert_eq!(world.count(&filter(asked)).await, 3, "{asked}");
    }
    assert_eq!(tagged(&world, "campaigns", "Black+Friday", 10).await, Vec::<String>::new());
    world.start("a").await.ok();
    world.stop_and_expire("a").await;
    let request = world.post("/v1/restores", json!({ "tag": "ÉTÉ " })).await.ok();
    assert_eq!(request["items"].as_array().unwrap().len(), 2);
    world.settle().await;
    assert_eq!(world.state("a").await, "available");
    // A tag that nobody carries any more has no spelling left.
    tag(&world, "campaigns/a", &[]).await;
    tag(&world, "campaigns/b", &[]).await;
    assert_eq!(tags(&world, 10).await, []);
    assert_eq!(tag(&world, "campaigns/b", &["BLACK FRIDAY 2026"]).await, json!(["BLACK FRIDAY 2026"]));
}

/// Earlier code wrote a tag's pair as the tag was spelled.
#[tokio::test(start_paused = true)]
async fn a_tag_with_capital_letters_that_earlier_code_wrote_is_still_found() {
    let world = World::new(93).await;
    tag(&world, "campaigns/a", &["Sale"]).await;
    let key = |sk: &str| {
        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        [("pk".to_owned(), text("tags")), ("sk".to_owned(), text(sk))].into_iter().collect()
    };
    let table = rekindle_local::stack::CATALOG;
    let delete = world.dynamodb.delete_item().table_name(table).set_key(Some(key("sale#campaign/a")));
    delete.send().await.unwrap();
    let put = world.dynamodb.put_item().table_name(table).set_item(Some(key("Sale#campaign/a")));
    put.send().await.unwrap();
    world.ingest_received("a", "u", 3).await;
    assert_eq!(tagged(&world, "campaigns", "Sale", 10).await, ["campaign/a"]);
    assert_eq!(world.count(&json!({ "received": { "tag": "Sale" } })).await, 3);
    assert_eq!(tags(&world, 10).await, [("Sale".to_owned(), 1)]);
    // The next edit of the source writes it anew.
    tag(&world, "campaigns/a", &["sale"]).await;
    assert_eq!(tagged(&world, "campaigns", "sale", 10).await, ["campaign/a"]);
    let pairs = world.keys(table).await.into_iter().filter(|(pk, _)| pk == "tags");
    assert_eq!(pairs.map(|(_, sk)| sk).collect::<Vec<_>>(), ["sale#campaign/a"]);
}

/// Names of variants are human text, and an id that is refused names one that would do.
#[tokio::test(start_paused = true)]
async fn names_of_variants_and_steps_are_human_text() {
    let world = World::new(92).await;
    let name = "é".repeat(128);
    let said = json!({ "variations": [{ "id": "A", "name": " Gru\u{308}n " }], "steps": [{ "id": "s1", "name": name }, { "id": "s2" }] });
    let shown = world.put("/v1/canvases/w", said).await.ok();
    assert_eq!(shown["variations"], json!([{ "id": "A", "name": "Grün" }]));
    assert_eq!(shown["steps"], json!([{ "id": "s1", "name": name }, { "id": "s2", "name": "" }]));
    let again = json!({ "variations": shown["variations"], "steps": shown["steps"] });
    let again = world.put("/v1/canvases/w", again).await.ok();
    assert_eq!((&again["variations"], &again["steps"]), (&shown["variations"], &shown["steps"]));
    let says = |problem: Value, words: &str| {
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    };
    let refused = world.put("/v1/campaigns/Black%20Friday%202026", json!({})).await;
    says(refused.problem(400, "invalid_id"), "`black-friday-2026` would do");
    let refused = world.put("/v1/campaigns/a", json!({ "variants": [{ "id": "Été 1" }] })).await;
    says(refused.problem(422, "invalid_variants"), "`ete-1` would do");
    let mut item = crate::fixture::world::received("a", "u");
    item["campaign_id"] = "Black Friday 2026".into();
    let refused = world.post("/v1/interactions", json!([item])).await.problem(422, "nothing_accepted");
    says(refused["rejected"][0].clone(), "`black-friday-2026` would do");
}

#[tokio::test(start_paused = true)]
async fn lists_by_tag_take_the_other_filters() {
    let world = World::new(96).await;
    for i in 0..12 {
        let id = format!("c{i:02}");
        let name = if i % 2 == 0 { "Spring" } else { "ÄHRE" };
        world.put(&format!("/v1/campaigns/{id}"), json!({ "tags": ["t"], "name": name })).await.ok();
        if i % 3 == 0 {
            world.start(&id).await.ok();
        }
    }
    world.ingest_received("c00", "u", 3).await;
    world.stop_and_expire("c00").await;
    for limit in [1, 5, 12, 100] {
        let names = |ids: &[usize]| ids.iter().map(|i| format!("campaign/c{i:02}")).collect::<Vec<_>>();
        let all: Vec<usize> = (0..12).collect();
        assert_eq!(tagged(&world, "campaigns", "t", limit).await, names(&all));
        assert_eq!(tagged(&world, "campaigns", "t&status=active", limit).await, names(&[3, 6, 9]));
        assert_eq!(tagged(&world, "campaigns", "t&state=expired", limit).await, names(&[0]));
        assert_eq!(tagged(&world, "campaigns", "t&status=draft&q=C1", limit).await, names(&[10, 11]));
        let odd = names(&[1, 3, 5, 7, 9, 11]);
        assert_eq!(tagged(&world, "campaigns", "t&q=%C3%A4h", limit).await, odd, "by folded name");
    }
}

/// A process dies at any of its calls: a source's tags and the lists by tag agree all the same.
#[tokio::test(start_paused = true)]
async fn l8_tags_change_with_their_source_or_not_at_all() {
    for fault in [Fault::Dies, Fault::DiesAfter, Fault::LosesAnswer] {
        for at in 0.. {
            let world = World::new(97).await;
            tag(&world, "campaigns/a", &["old", "both"]).await;
            let process = world.doomed(fault, at);
            let body = Body::from(json!({ "tags": ["both", "new"] }).to_string());
            let request = Request::put("/v1/campaigns/a").body(body).unwrap();
            let answer = tower::ServiceExt::oneshot(process.router.clone(), request).await.unwrap();
            let carried = world.campaign("a").await["tags"].clone();
            let found: Vec<String> = tags(&world, 10).await.into_iter().map(|(tag, _)| tag).collect();
            assert_eq!(carried, json!(found), "{fault:?} at {at}");
            if answer.status().is_success() {
                assert_eq!(found, ["both", "new"], "{fault:?} at {at}");
            }
            if !process.has_struck() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_no_transaction_can_take_is_refused() {
    let world = World::new(98).await;
    for i in 0..90 {
        world.put(&format!("/v1/campaigns/c{i}"), json!({})).await.ok();
    }
    let said = |targets: std::ops::Range<usize>, tags: std::ops::Range<usize>| {
        let named: Vec<Value> = targets.map(|i| got(&format!("c{i}"))).collect();
        let tags: Vec<String> = tags.map(|i| format!("t{i}")).collect();
        json!({ "audience": { "any": named }, "tags": tags })
    };
    world.put("/v1/campaigns/wide", said(0..45, 0..20)).await.ok();
    world.start("wide").await.ok();
    let before = world.campaign("wide").await;
    let refused = world.put("/v1/campaigns/wide", said(45..90, 20..40)).await;
    let refused = refused.problem(422, "too_many_changes");
    assert!(refused["detail"].as_str().unwrap().contains("tags first"), "{refused}");
    assert_eq!(world.campaign("wide").await, before, "nothing changed");
    // As the problem advises, the tags are changed first, and then the audience.
    world.put("/v1/campaigns/wide", said(0..45, 20..40)).await.ok();
    world.put("/v1/campaigns/wide", said(45..90, 20..40)).await.ok();
    assert_eq!(tags(&world, 100).await.len(), 20);
}

/// An expired campaign and an expired Canvas, one that is available, and one without data, all with a tag.
async fn promo() -> World {
    let world = World::new(99).await;
    for id in ["gone", "here", "empty"] {
        tag(&world, &format!("campaigns/{id}"), &["promo"]).await;
        world.start(id).await.ok();
    }
    tag(&world, "canvases/gone", &["promo"]).await;
    world.ingest_received("gone", "u", 20).await;
    let entered = json!({ "user_id": "u", "canvas_id": "gone", "type": "entered" });
    world.ingest(&[entered]).await;
    world.post("/v1/canvases/gone/start", Value::Null).await.ok();
    world.post("/v1/canvases/gone/stop", Value::Null).await.ok();
    world.stop("gone").await;
    world.advance("P2M");
    world.ingest_received("here", "u", 20).await;
    world.stop("here").await;
    world.stop("empty").await;
    world.advance("P1M");
    world.settle().await;
    assert_eq!(world.state("gone").await, "expired");
    world
}

#[tokio::test(start_paused = true)]
async fn a_tag_restores_what_is_expired_and_touches_nothing_else() {
    let world = promo().await;
    let before = world.campaign("here").await;
    let body = json!({ "tag": "promo", "notify": ["me@example.com"] });
    let request = world.post("/v1/restores", body).await.ok();
    assert_eq!(request["tag"], "promo");
    // A source that is tagged later is not part of the request.
    tag(&world, "campaigns/later", &["promo"]).await;
    world.settle().await;
    let request = world.request(request["id"].as_str().unwrap()).await;
    assert_eq!(request["state"], "completed");
    let items: Vec<(&str, &str)> = request["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["source"].as_str().unwrap(), i["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        items,
        [
            ("campaign/empty", "nothing_to_restore"),
            ("campaign/gone", "restored"),
            ("campaign/here", "already_available"),
            ("canvas/gone", "restored"),
        ]
    );
    assert_eq!(request["items"][2]["expires_at"], before["interaction_data"]["expires_at"]);
    assert_eq!(world.campaign("here").await, before, "its retention does not begin anew");
    assert_eq!(world.count(&got("gone")).await, 20);
    let mails = world.mails_to("me@example.com");
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains("for the tag promo"), "{}", mails[0].text);
    // A restore by name begins it anew.
    world.request_restore(&["campaign/here"], &[]).await;
    world.drain().await;
    let renewed = world.campaign("here").await;
    assert_ne!(renewed["interaction_data"]["expires_at"], before["interaction_data"]["expires_at"]);
    assert_eq!(world.get("/v1/restores").await.ok()["items"][1]["tag"], "promo");
}

async fn post_with_key(world: &World, body: Value) -> crate::fixture::world::Answer {
    let request = Request::post("/v1/restores").header("idempotency-key", "k");
    world.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn l8_a_restore_by_tag_is_made_once_though_the_tag_moves() {
    let world = promo().await;
    let first = post_with_key(&world, json!({ "tag": "promo" })).await.ok();
    for id in ["campaigns/gone", "campaigns/here", "campaigns/empty", "canvases/gone"] {
        tag(&world, id, &["other"]).await;
    }
    let again = post_with_key(&world, json!({ "tag": "promo" })).await.ok();
    assert_eq!(again["id"], first["id"]);
    assert_eq!(again["items"].as_array().unwrap().len(), 4);
    post_with_key(&world, json!({ "tag": "other" })).await.problem(409, "idempotency_key_reused");
    let named = json!({ "sources": ["campaign/gone"] });
    post_with_key(&world, named).await.problem(409, "idempotency_key_reused");
}

#[tokio::test(start_paused = true)]
async fn restores_by_tag_that_do_not_fit_are_refused() {
    let world = promo().await;
    let both = json!({ "tag": "promo", "sources": ["campaign/gone"] });
    for (body, status, code) in [
        (both, 422, "sources_or_tag"),
        (json!({}), 400, "missing_field"),
        (json!({ "tag": null }), 400, "missing_field"),
        (json!({ "tag": 7 }), 400, "invalid_field"),
        (json!({ "tag": "a\tb" }), 422, "invalid_tag"),
        (json!({ "tag": "prom" }), 422, "unknown_tag"),
        (json!({ "tag": "promo", "notify": ["me"] }), 422, "invalid_notify"),
    ] {
        world.post("/v1/restores", body).await.problem(status, code);
    }
    // More sources than a request may name. Only the tag's items matter here, so the sources are not registered.
    let wide = BTreeSet::from(["wide".to_owned()]);
    for hundred in 0..11 {
        let mut transaction = Transaction::new();
        for i in 0..if hundred == 10 { 1 } else { 100 } {
            let source: SourceId = format!("campaign/c{}", hundred * 100 + i).parse().unwrap();
            transaction.move_tags(&source, &BTreeSet::new(), &wide);
        }
        world.app().store.catalog.commit(transaction).await.unwrap();
    }
    let refused = world.post("/v1/restores", json!({ "tag": "wide" })).await.problem(422, "tag_too_wide");
    assert!(refused["detail"].as_str().unwrap().starts_with("1001 sources"), "{refused}");
    assert_eq!(world.get("/v1/restores").await.ok()["items"], json!([]));
    assert_eq!(world.state("gone").await, "expired");
}
