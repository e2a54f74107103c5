//! Today's code reads a stored deployment of an earlier version: every item of its tables and every object of its bucket.
//! `shared/domain/tests/golden` tests each format by itself; this test reads them together.
//!
//! When a format changes, a further golden deployment is added, and the old ones stay tested. To write one while its version
//! is not released yet: `cargo test --workspace --test system -- --ignored rewrite_the_golden_deployment`.

use crate::fixture::{
    faults::Fault,
    world::{BEGIN, World, got, received, try_sweep},
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use axum::body::Body;
use http::{Method, Request};
use rekindle_domain::{
    manifest::{Life, Tier},
    rows::Rows,
    tally::{Tallier, Tally},
    time::Time,
};
use rekindle_local::stack::{CATALOG, LEDGER};
use rekindle_store::parquet::{ArchiveError, PartReader};
use serde_json::{Map, Value, json};
use std::{cell::Cell, collections::HashMap, fs, path::PathBuf};

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/deployment-v1.json")
}

/// The questions that the deployment answered when it was stored, and must answer equally now.
fn questions() -> Vec<(Method, &'static str, Value)> {
    let mut out = vec![
        (Method::GET, "/v1/campaigns?sort=updated_at", Value::Null),
        (Method::GET, "/v1/restores", Value::Null),
    ];
    for path in [
        "/v1/campaigns/spring",
        "/v1/campaigns/back",
        "/v1/campaigns/half",
        "/v1/campaigns/now",
        "/v1/campaigns/spring/timeline",
        "/v1/campaigns/back/timeline",
        "/v1/campaigns/half/timeline",
        "/v1/campaigns/now/timeline",
    ] {
        out.push((Method::GET, path, Value::Null));
    }
    let clicked = json!({ "clicked": { "source": "campaign/now", "alias": "Größe" } });
    for filter in [got("back"), got("now"), got("half"), clicked, json!({ "not": got("back") })] {
        out.push((Method::POST, "/v1/audiences/members", json!({ "filter": filter })));
        out.push((Method::POST, "/v1/audiences/count", json!({ "filter": filter })));
    }
    for user in ["user-1", "nobody", "late"] {
        let filter = json!({ "all": [got("spring"), { "not": got("back") }] });
        let who = json!({ "filter": filter, "user_id": user, "expired": "exclude" });
        out.push((Method::POST, "/v1/audiences/match", who));
    }
    out.push((Method::POST, "/v1/audiences/count", json!({ "filter": got("spring") })));
    out
}

async fn answers(world: &World) -> Vec<Value> {
    let mut out = vec![];
    for (method, path, body) in questions() {
        let answer = world.call(method, path, &body).await;
        out.push(
            json!({ "path": path, "asked": body, "status": answer.status.as_u16(), "answer": answer.body }),
        );
    }
    out
}

async fn ask_for_back(world: &World) -> Value {
    let request = Request::post("/v1/restores")
        .header("content-type", "application/json")
        .header("idempotency-key", "once");
    let body = json!({ "sources": ["campaign/back"], "notify": ["me@example.com", "you@example.com"] });
    world.send(request.body(Body::from(body.to_string())).unwrap()).await.ok()
}

/// Four campaigns: one expired, with a late row; one restored; one in the middle of a rewrite; one active.
async fn history() -> World {
    let world = World::new(71).await;
    let spring = json!({ "name": "Spring 🌱", "variants": [{ "id": "A", "name": "Green" }], "notify": ["owner@example.com"] });
    world.put("/v1/campaigns/spring", spring).await.ok();
    world.start("spring").await.ok();
    for campaign in ["spring", "back"] {
        world.ingest_received(campaign, "user-", 9).await;
        world.ingest_received(campaign, "0f8fad5b-d9cb-469f-a165-70867728950", 3).await;
        world.stop_and_expire(campaign).await;
    }
    ask_for_back(&world).await;
    world.drain().await;
    world.ingest(&[received("spring", "late")]).await;
    let audience = json!({ "audience": got("back") });
    world.put("/v1/campaigns/now", audience).await.ok();
    world.start("now").await.ok();
    world.ingest_received("now", "someone@example.com", 4).await;
    let at = |kind: &str, more: Value| {
        let mut item = received("now", "é");
        item["type"] = kind.into();
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        item
    };
    let all = [
        at("opened", json!({ "machine": true })),
        at("clicked", json!({ "link_alias": "Größe", "variant_id": "A" })),
        at("converted", json!({ "conversion": 7 })),
        at("control", json!({})),
        at("bounced", json!({ "bounce": "soft" })),
        at("complained", json!({})),
    ];
    world.ingest(&all).await;
    world.ingest_received("half", "user-", 5).await;
    world.stop("half").await;
    world.advance("P3M");
    // In each round the sweep dies one call later, until one has staged a copy and not yet listed it.
    for at in 0.. {
        let doomed = world.doomed(Fault::DiesAfter, at);
        let _ = try_sweep(&doomed.stack).await;
        if !world.copies("half", Tier::Cold, Life::Staged).await.is_empty() {
            break;
        }
        assert!(doomed.has_struck(), "the sweep never staged a copy");
    }
    world
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn to_json(item: &HashMap<String, AttributeValue>) -> Value {
    let attribute = |value: &AttributeValue| match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": hex(bytes.as_ref()) }),
        other => panic!("an attribute of a type that nothing stored has: {other:?}"),
    };
    let sorted: std::collections::BTreeMap<_, _> =
        item.iter().map(|(k, v)| (k.clone(), attribute(v))).collect();
    json!(sorted)
}

fn from_json(item: &Map<String, Value>) -> HashMap<String, AttributeValue> {
    let attribute = |value: &Value| {
        let (kind, text) = value.as_object().unwrap().iter().next().unwrap();
        let text = text.as_str().unwrap();
        match kind.as_str() {
            "S" => AttributeValue::S(text.to_owned()),
            "N" => AttributeValue::N(text.to_owned()),
            _ => AttributeValue::B(Blob::new(unhex(text))),
        }
    };
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

async fn table(world: &World, name: &str) -> Vec<Value> {
    let mut out = vec![];
    let mut pages = world.dynamodb.scan().table_name(name).into_paginator().send();
    while let Some(page) = pages.next().await {
        out.extend(page.unwrap().items().iter().map(to_json));
    }
    out.sort_by_key(Value::to_string);
    out
}

#[tokio::test(start_paused = true)]
#[ignore = "writes the golden deployment"]
async fn rewrite_the_golden_deployment() {
    let world = history().await;
    let archive = world.archive().await;
    let archive: Map<String, Value> =
        archive.iter().map(|(key, bytes)| (key.clone(), hex(bytes).into())).collect();
    let golden = json!({
        "now": world.clock.now_still(),
        CATALOG: table(&world, CATALOG).await,
        LEDGER: table(&world, LEDGER).await,
        "archive": archive,
        "answers": answers(&world).await,
    });
    fs::create_dir_all(file().parent().unwrap()).unwrap();
    fs::write(file(), serde_json::to_string_pretty(&golden).unwrap() + "\n").unwrap();
}

fn golden() -> Value {
    serde_json::from_slice(&fs::read(file()).unwrap()).unwrap()
}

/// A deployment that begins with the golden one's items and objects.
async fn stored_then(golden: &Value) -> World {
    // A seed whose ids differ from the stored ones.
    let world = World::new(72).await;
    world.clock.set(Time::parse(golden["now"].as_str().unwrap()).unwrap());
    for name in [CATALOG, LEDGER] {
        for item in golden[name].as_array().unwrap() {
            let item = from_json(item.as_object().unwrap());
            world.dynamodb.put_item().table_name(name).set_item(Some(item)).send().await.unwrap();
        }
    }
    for (key, bytes) in golden["archive"].as_object().unwrap() {
        world.put_object(key, unhex(bytes.as_str().unwrap())).await;
    }
    world
}

/// Checks that the golden deployment has an item or object of every sort.
fn assert_has_everything(golden: &Value) {
    let keys = |table: &str| -> Vec<String> {
        let items = golden[table].as_array().unwrap().iter();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        items.map(|i| format!("{} {}", text(&i["pk"]["S"]), text(&i["sk"]["S"]))).collect()
    };
    let catalog = keys(CATALOG);
    let sorts = [
        ("campaign/", " source"),
        ("campaign/", " manifest"),
        ("campaign/", " t#"),
        ("copy#", " p#"),
        ("copy#", " inputs"),
        ("restore#", " request"),
        ("restore#", " i#"),
        ("idem#", " idem"),
        ("notice#", " notice"),
    ];
    for (pk, sk) in sorts {
        assert!(catalog.iter().any(|key| key.starts_with(pk) && key.contains(sk)), "no {pk}…{sk}");
    }
    let unknown: Vec<&String> = catalog
        .iter()
        .filter(|key| !sorts.iter().any(|(pk, sk)| key.starts_with(pk) && key.contains(sk)))
        .collect();
    assert_eq!(unknown, Vec::<&String>::new(), "this test does not know these sorts of items");
    let ledger = keys(LEDGER);
    for pk in ["i#campaign/", "i#users", "b#"] {
        assert!(ledger.iter().any(|key| key.starts_with(pk)), "no {pk}…");
    }
    assert!(!golden["archive"].as_object().unwrap().is_empty());
}

/// The counts of a source's view. Newer versions count what waits in the inbox, too; audiences count exactly.
const COUNTS: [&str; 4] = ["last_interaction_at", "users", "counts", "exact"];

/// Whether an answer has every value of the old answer in the same place; newer versions may add fields.
fn still_says(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => then.iter().all(|(field, then)| {
            COUNTS.contains(&&**field) || now.get(field).is_some_and(|now| still_says(now, then))
        }),
        (Value::Array(now), Value::Array(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(now, then)| still_says(now, then))
        }
        _ => now == then,
    }
}

#[tokio::test(start_paused = true)]
async fn l1_what_was_stored_once_answers_as_it_did_and_goes_on() {
    let golden = golden();
    assert_has_everything(&golden);
    assert!(golden["now"].as_str().unwrap() > BEGIN);
    let world = stored_then(&golden).await;
    let then = golden["answers"].as_array().unwrap();
    let now = answers(&world).await;
    assert_eq!(now.len(), then.len());
    for (now, then) in now.iter().zip(then) {
        assert!(still_says(now, then), "now:  {now}\nthen: {then}");
    }
    // The rewrite that was under way continues with its fixed inputs.
    world.settle().await;
    assert_eq!(world.state("half").await, "expired");
    world.restore(&["campaign/spring", "campaign/half"]).await;
    let count = world.count(&got("spring")).await;
    assert_eq!((count, world.count(&got("half")).await), (13, 5));
    assert_eq!(world.matches(&got("spring"), "late", "refuse").await, "yes");
    assert_eq!(world.mails_to("me@example.com").len() + world.mails_to("you@example.com").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn l8_an_idempotency_key_that_was_stored_once_is_still_known() {
    let golden = golden();
    let world = stored_then(&golden).await;
    let stored = golden[CATALOG].as_array().unwrap().iter();
    let is_request =
        |i: &&Value| i["sk"]["S"] == "request" && i["doc"]["S"].as_str().unwrap().contains("me@example.com");
    let request = stored.clone().find(is_request).unwrap()["pk"]["S"].as_str().unwrap();
    // The key has lapsed after a day, so a request would not use it. The test reads the item directly.
    let key = stored.clone().find(|i| i["sk"]["S"] == "idem").unwrap()["pk"]["S"].as_str().unwrap();
    let catalog = &world.app().store.catalog;
    let known = catalog.idempotency(key.strip_prefix("idem#").unwrap()).await.unwrap().unwrap();
    assert_eq!(format!("restore#{}", known.value.request), request);
}

fn parts(golden: &Value) -> Vec<Vec<u8>> {
    golden["archive"].as_object().unwrap().values().map(|bytes| unhex(bytes.as_str().unwrap())).collect()
}

fn read(bytes: Vec<u8>) -> Result<Vec<Rows>, ArchiveError> {
    let mut reader = PartReader::new(bytes.into())?;
    let mut out = vec![];
    while let Some(rows) = reader.next_rows()? {
        out.push(rows);
    }
    Ok(out)
}

fn tally(batches: &[Rows]) -> Tally {
    let mut tallier = Tallier::default();
    for rows in batches {
        tallier.use_facets(&rows.facets);
        rows.iter().for_each(|user| tallier.add(&user));
    }
    tallier.tally()
}

thread_local! {
    /// Whether the panics of this thread are not printed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Parquet has no checksum of its own. Reading a part with a changed byte fails, or finds the written rows, or finds other rows,
/// whose count or digest differs.
#[test]
fn l4_l5_a_damaged_part_is_an_error_or_the_truth_or_told_by_its_digest() {
    // The reader turns its panics into errors; their messages are not printed here.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !IS_QUIET.get() {
            hook(panic);
        }
    }));
    IS_QUIET.set(true);
    let [mut failed, mut same, mut told] = [0, 0, 0];
    let mut wrong = vec![];
    for (part, good) in parts(&golden()).into_iter().enumerate() {
        let truth = read(good.clone()).unwrap();
        let expected = tally(&truth);
        let mut tried = |bytes: Vec<u8>, what: String| match read(bytes) {
            Err(_) => failed += 1,
            Ok(rows) if rows == truth => same += 1,
            Ok(rows) if tally(&rows) != expected => told += 1,
            Ok(_) => wrong.push(format!("part {part}, {what}")),
        };
        for at in 0..good.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                tried(bytes, format!("byte {at} ^ {flip}"));
            }
            tried(good[..at].to_vec(), format!("cut at {at}"));
        }
    }
    IS_QUIET.set(false);
    println!("{failed} errors, {same} harmless, {told} told by the digest");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(failed > 0 && told > 0);
}
