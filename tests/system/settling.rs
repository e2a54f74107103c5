//! The requests that wait for one restore are told how it ended, whatever their number and the size of their source's item.

use crate::fixture::{
    faults::Fault,
    world::{World, got, large, local_settings, long, try_sweep},
};
use aws_sdk_dynamodb::types::AttributeValue;
use rekindle_domain::{
    bounds::{MAX_FIELDS_BYTES, MAX_HOLDERS_BYTES, stored_bytes},
    id::RequestId,
    restore::Request,
    source::{Holder, MAX_WAITING, Source},
    time::{Ids, Period},
};
use rekindle_local::{poller::Consumer::Restorer, stack::CATALOG};
use rekindle_service::Settings;
use rekindle_store::catalog::Transaction;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A campaign `a` with 30 users, whose data is expired and whose archive is lost. Returns the key and the bytes of its only
/// object.
async fn lost(world: &World) -> (String, Vec<u8>) {
    world.begin("a").await;
    world.ingest_received("a", "u", 30).await;
    world.stop_and_expire("a").await;
    lose_archive(world).await
}

/// Deletes the only object of the archive, and returns it.
async fn lose_archive(world: &World) -> (String, Vec<u8>) {
    let archive = world.archive().await;
    assert_eq!(archive.len(), 1);
    let (key, bytes) = archive.into_iter().next().unwrap();
    world.delete_object(&key).await;
    (key, bytes)
}

async fn stored(world: &World, id: &str) -> Source {
    world.app().store.catalog.source(&id.parse().unwrap()).await.unwrap().unwrap()
}

/// Delivers the next message of restore work.
async fn deliver(world: &World) {
    let messages = world.stack.receive(Restorer, 0).await.unwrap();
    assert_eq!(world.stack.deliver(Restorer, messages).await.unwrap(), 1);
}

/// Delivers the next message of restore work to a process that dies right after its call `at`.
async fn deliver_to_dying(world: &World, at: usize) {
    let dying = world.doomed(Fault::DiesAfter, at);
    let messages = world.stack.receive(Restorer, 0).await.unwrap();
    assert_eq!(messages.len(), 1);
    dying.stack.deliver(Restorer, messages).await.unwrap();
    assert!(dying.has_struck());
}

/// The call with which a worker that finds its part of the archive lost ends the restore. After it each request is told.
async fn failing_call() -> usize {
    for at in 0..20 {
        let world = World::new(360).await;
        lost(&world).await;
        world.request_restore(&["campaign/a"], &[]).await;
        deliver(&world).await;
        deliver_to_dying(&world, at).await;
        if world.state("a").await == "expired" {
            return at;
        }
    }
    panic!("the restore does not fail");
}

/// A restore fails, and its worker dies before it tells anybody. The next restore starts once all were told.
#[tokio::test(start_paused = true)]
async fn l8_no_restore_starts_before_the_requests_of_the_one_before_are_told() {
    let world = World::new(361).await;
    let (key, bytes) = lost(&world).await;
    let to: Vec<String> = (0..20).map(|i| format!("p{i}@example.com")).collect();
    let mut asked = Vec::new();
    for address in &to {
        asked.push(world.request_restore(&["campaign/a"], &[address]).await);
    }
    for _ in &asked {
        deliver(&world).await;
    }
    assert_eq!(stored(&world, "campaign/a").await.waiting.len(), asked.len());
    deliver_to_dying(&world, failing_call().await).await;
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(stored(&world, "campaign/a").await.settling.len(), asked.len());

    world.put_object(&key, bytes).await;
    let next = world.request_restore(&["campaign/a"], &[]).await;
    deliver(&world).await;
    let restoring = stored(&world, "campaign/a").await;
    let waiting: Vec<String> = restoring.waiting.iter().map(ToString::to_string).collect();
    assert_eq!(waiting, std::slice::from_ref(&next));
    assert_eq!(restoring.settling, [], "all were told before");
    for id in &asked {
        let request = world.request(id).await;
        assert_eq!(request["state"], "failed", "{request}");
        assert!(request["items"][0]["error"].as_str().unwrap().contains(&key), "{request}");
    }
    world.settle().await;
    assert_eq!(world.request(&next).await["state"], "completed");
    for address in &to {
        assert_eq!(world.mails_to(address).len(), 1, "{address}");
    }
    assert_eq!(world.count(&got("a")).await, 30);
}

/// One of several waiting requests is lost, and another cannot be read: the others are told all the same, and the next restore
/// starts.
#[tokio::test(start_paused = true)]
async fn l9_a_lost_request_keeps_no_other_one_waiting() {
    let world = World::new(362).await;
    let (key, bytes) = lost(&world).await;
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(world.request_restore(&["campaign/a"], &[]).await);
    }
    for _ in &asked {
        deliver(&world).await;
    }
    deliver_to_dying(&world, failing_call().await).await;
    assert_eq!(stored(&world, "campaign/a").await.settling.len(), asked.len());
    let attribute = |text: &str| AttributeValue::S(text.to_owned());
    let delete = world.dynamodb.delete_item().table_name(CATALOG).key("sk", attribute("request"));
    delete.key("pk", attribute(&format!("restore#{}", asked[1]))).send().await.unwrap();
    world
        .change_document(&format!("restore#{}", asked[2]), "request", |request| *request = json!("garbled"))
        .await;

    world.put_object(&key, bytes).await;
    let next = world.request_restore(&["campaign/a"], &[]).await;
    deliver(&world).await;
    let restoring = stored(&world, "campaign/a").await;
    assert_eq!((restoring.settling.len(), restoring.waiting.len()), (0, 1));
    for told in [&asked[0], &asked[3]] {
        assert_eq!(world.request(told).await["state"], "failed");
    }
    world.drain().await;
    assert_eq!(world.request(&next).await["state"], "completed");
    assert_eq!(world.count(&got("a")).await, 30);
}

/// So many different addresses of 254 characters.
fn addresses(count: usize, of: &str) -> Vec<String> {
    let host = format!("{0}.{0}.{1}.example.com", "d".repeat(63), "e".repeat(49));
    (0..count).map(|i| format!("{of}{i:02}{}@{host}", "m".repeat(61 - of.len()))).collect()
}

/// Registers a Canvas with as many bytes of fields as it may have.
async fn register_full(world: &World, id: &str) {
    let named = |of: &str, name: &dyn Fn(usize) -> String| -> Vec<Value> {
        (0..100).map(|i| json!({ "id": long(of, i), "name": name(i) })).collect()
    };
    let put = async |bytes: usize| {
        let step = |i: usize| "😀".repeat(30) + &"n".repeat(bytes / 100 + usize::from(i < bytes % 100));
        let fields = json!({
            "name": "n".repeat(256),
            "tags": (0..20).map(|i| long("t", i)).collect::<Vec<_>>(),
            "variations": named("v", &|_| "😀".repeat(128)),
            "steps": named("s", &step),
            "notify": addresses(50, "n"),
            "audience": large(),
        });
        world.put(&format!("/v1/canvases/{id}"), fields).await
    };
    put(0).await.ok();
    let Source { name, tags, variants, steps, audience, notify, .. } =
        stored(world, &format!("canvas/{id}")).await;
    let rest = MAX_FIELDS_BYTES - stored_bytes(&(name, tags, variants, steps, audience, notify));
    put(rest + 1).await.problem(422, "too_many_bytes");
    put(rest).await.ok();
}

/// As many holders as fit a source's item. Each comes by a chain of eight segments.
fn full_holders() -> BTreeSet<Holder> {
    let mut holders = BTreeSet::new();
    for i in 0.. {
        let source = format!("campaign/{}", long("h", i)).parse().unwrap();
        let via = (0..8).map(|i| long("s", i)).collect();
        holders.insert(Holder { source, via });
        if stored_bytes(&holders) > MAX_HOLDERS_BYTES {
            holders.pop_last();
            break;
        }
    }
    holders
}

/// Lets further requests wait for the restore of a source, until so many do as may. Each tells another address. They are as
/// if they had joined, and are written at once, since joining one by one takes long.
async fn let_all_wait(world: &World, source: &mut Source) -> Vec<RequestId> {
    let catalog = &world.app().store.catalog;
    let first = *source.waiting.first().unwrap();
    let request = catalog.request(first).await.unwrap().unwrap();
    let item = catalog.item(first, &source.id).await.unwrap().unwrap().value;
    let more: Vec<RequestId> =
        (1..MAX_WAITING).map(|_| RequestId(world.ids.new_id(world.clock.now_still()))).collect();
    for (chunk, ids) in more.chunks(50).enumerate() {
        let mut transaction = Transaction::new();
        for (i, id) in ids.iter().enumerate() {
            let notify = vec![format!("p{}@example.com", 50 * chunk + i + 1)];
            transaction.put_request(&Request { id: *id, version: 0, notify, ..request.clone() }).unwrap();
            transaction.put_item(*id, &item, 0).unwrap();
        }
        catalog.commit(transaction).await.unwrap();
    }
    source.waiting.extend(&more);
    std::iter::once(first).chain(more).collect()
}

/// All that a source's item may hold is in it when its restore fails: the fields of people, holders (more than the lifecycle
/// brings about, since held data does not expire), and requests that are to be told a long reason.
#[tokio::test(start_paused = true)]
async fn l8_a_restore_that_fails_with_a_full_item_tells_everybody_and_loses_nothing() {
    let settings = local_settings(Period::parse("P3M").unwrap());
    let world = World::with(362, Settings { notify: addresses(40, "d"), ..settings }).await;
    let canvas = long("full", 0);
    let id = format!("canvas/{canvas}");
    register_full(&world, &canvas).await;
    let entered = |i: usize| json!({ "user_id": format!("u{i}"), "canvas_id": canvas, "type": "entered" });
    world.ingest(&(0..30).map(entered).collect::<Vec<_>>()).await;
    world.post(&format!("/v1/canvases/{canvas}/stop"), Value::Null).await.ok();
    world.advance("P3M");
    world.settle().await;
    assert_eq!(world.outbox().len(), 90, "all its people were warned");
    let (key, bytes) = lose_archive(&world).await;
    world.request_restore(&[&id], &["p0@example.com"]).await;
    deliver(&world).await;

    let mut full = stored(&world, &id).await;
    let asked = let_all_wait(&world, &mut full).await;
    full.holders = full_holders();
    let mut transaction = Transaction::new();
    transaction.put_source(&full, &world.settings.retention, &world.settings.warn_before).unwrap();
    world.app().store.catalog.commit(transaction).await.unwrap();
    deliver_to_dying(&world, failing_call().await).await;
    let failed = stored(&world, &id).await;
    assert_eq!((failed.state.as_str(), failed.settling.len()), ("expired", MAX_WAITING));
    assert!(stored_bytes(&failed) > 370_000, "{}", stored_bytes(&failed));
    // A sweep tells some of them, and dies. With shorter fields the others are told faster.
    let _ = try_sweep(&world.doomed(Fault::DiesAfter, 100).stack).await;
    let part = stored(&world, &id).await;
    assert!((400..MAX_WAITING).contains(&part.settling.len()), "{}", part.settling.len());
    assert!(part.holders == full.holders && part.steps == full.steps && part.audience == full.audience);
    world.put(&format!("/v1/canvases/{canvas}"), json!({ "notify": addresses(50, "n") })).await.ok();
    world.settle().await;

    for (i, request) in asked.iter().enumerate() {
        let request = world.request(&request.to_string()).await;
        assert_eq!(request["state"], "failed", "{request}");
        let error = request["items"][0]["error"].as_str().unwrap();
        assert!(error.starts_with("archive part archive/canvas/full0-") && error.ends_with('…'), "{error}");
        assert_eq!(world.mails_to(&format!("p{i}@example.com")).len(), 1, "{i}");
    }
    assert_eq!(world.outbox().len(), 90 + MAX_WAITING + 90, "and all its people heard of the trouble");
    let rested = stored(&world, &id).await;
    assert!(rested.settling.is_empty() && rested.waiting.is_empty() && rested.holders == full.holders);
    world.put_object(&key, bytes).await;
    world.restore(&[&id]).await;
    assert_eq!(world.count(&json!({ "entered": { "source": id } })).await, 30);
}
