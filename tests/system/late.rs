//! Late interactions are kept while the data is expired, are what is certain of it, and are there after the restore.

use crate::fixture::{
    ports::Dice,
    world::{World, got, received},
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use rekindle_domain::time::Ids;
use serde_json::{Value, json};

fn clicked(campaign: &str, user: &str) -> Value {
    json!({ "user_id": user, "campaign_id": campaign, "type": "clicked", "channel": "email", "link_alias": "cta" })
}

fn clicks() -> Value {
    json!({ "clicked": { "source": "campaign/a", "alias": "cta" } })
}

async fn expired() -> World {
    let world = World::new(2).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 50).await;
    world.stop_and_expire("a").await;
    world
}

/// Ten known users click late; five more users are seen for the first time.
async fn click_late(world: &World) {
    let late: Vec<Value> = (40..50)
        .map(|i| clicked("a", &format!("u{i}")))
        .chain((0..5).map(|i| clicked("a", &format!("new{i}"))))
        .collect();
    world.ingest(&late).await;
}

/// Late clicks are certain, in the inbox and in the archive. Nothing else is known of anybody.
async fn assert_only_late(world: &World) {
    assert_eq!(world.state("a").await, "expired");
    let refused = world.try_count(&clicks(), "refuse").await;
    refused.problem(409, "expired_interaction_data");
    let not_clicks = json!({ "not": clicks() });
    for (filter, counts, [u1, u45, new3]) in [
        (clicks(), (15, 40), ["unknown", "yes", "yes"]),
        (not_clicks, (0, 40), ["unknown", "no", "no"]),
        (got("a"), (0, 55), ["unknown"; 3]),
        (json!({ "not": got("a") }), (0, 55), ["unknown"; 3]),
    ] {
        assert_eq!(world.count_excluding(&filter).await, counts, "{filter}");
        for (user, expected) in [("u1", u1), ("u45", u45), ("new3", new3)] {
            let answer = world.matches(&filter, user, "exclude").await;
            assert_eq!(answer, expected, "{filter} {user}");
        }
        // A user who was never seen is in no audience.
        assert_eq!(world.matches(&filter, "nobody", "exclude").await, "no");
    }
    let either = json!({ "any": [{ "not": { "never_received": {} } }, clicks()] });
    assert_eq!(world.count_excluding(&either).await, (55, 0));
}

async fn assert_there(world: &World) {
    assert_eq!(world.count(&clicks()).await, 15);
    assert_eq!(world.count(&got("a")).await, 50);
    assert_eq!(world.count(&json!({ "all": [clicks(), got("a")] })).await, 10);
    assert_eq!(world.count(&json!({ "not": got("a") })).await, 5);
    assert_eq!(world.matches(&clicks(), "new3", "refuse").await, "yes");
}

#[tokio::test(start_paused = true)]
async fn l7_late_interactions_are_certain_and_there_after_the_restore() {
    let world = expired().await;
    world.advance("P5D");
    world.settle().await;
    click_late(&world).await;
    assert!(world.inbox_blocks("a").await > 0);
    assert_only_late(&world).await;
    let restored = world.restore(&["campaign/a"]).await;
    assert_eq!(restored["items"][0]["late_interactions"], 15);
    assert_there(&world).await;
}

#[tokio::test(start_paused = true)]
async fn l1_late_interactions_are_archived_after_a_day_and_there_after_the_restore() {
    let world = expired().await;
    world.advance("P5D");
    world.settle().await;
    let before = world.archive().await;
    click_late(&world).await;
    world.advance("PT23H59M");
    world.settle().await;
    assert!(world.inbox_blocks("a").await > 0, "not within a day");
    world.advance("PT2M");
    world.settle().await;
    assert_eq!(world.inbox_blocks("a").await, 0, "archived after a day");
    let after = world.archive().await;
    assert_eq!(after.len(), before.len() + 1, "the late rows are a further cold run");
    assert!(before.iter().all(|(key, bytes)| after.get(key) == Some(bytes)));
    assert_only_late(&world).await;
    // The same again, long after the sweeper has stopped to look at the source.
    world.advance("P30D");
    world.settle().await;
    world.ingest(&[clicked("a", "u45")]).await;
    world.advance("P2D");
    world.settle().await;
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert_only_late(&world).await;
    let id = world.request_restore(&["campaign/a"], &["me@example.com"]).await;
    world.settle().await;
    // The archived clicks, and the one that came after those.
    assert_eq!(world.request(&id).await["items"][0]["late_interactions"], 16);
    let mails = world.mails_to("me@example.com");
    let said = "with about 16 interactions that arrived after it had expired";
    assert!(mails.last().unwrap().text.contains(said), "{}", mails.last().unwrap().text);
    assert_there(&world).await;
    world.clean_up().await;
    assert_there(&world).await;
    world.assert_no_orphans(&["a"]).await;
}

/// Rows arrive while the restore runs, and between its steps.
#[tokio::test(start_paused = true)]
async fn l1_interactions_during_a_restore_are_there_after_it() {
    use rekindle_local::poller::Consumer::Restorer;
    let world = expired().await;
    world.ingest(&[clicked("a", "queued")]).await;
    world.request_restore(&["campaign/a"], &[]).await;
    for user in ["begun", "part"] {
        world.ingest(&[clicked("a", user)]).await;
        let messages = world.stack.receive(Restorer, 0).await.unwrap();
        assert!(!messages.is_empty());
        world.stack.deliver(Restorer, messages).await.unwrap();
    }
    assert_eq!(world.state("a").await, "available");
    assert_eq!(world.count(&clicks()).await, 3);
    world.advance("P3M");
    world.sweep().await;
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&clicks()).await, 3);
    assert_eq!(world.count(&got("a")).await, 50);
}

/// A cancelled restore leaves the late rows, and the sweeper archives them.
#[tokio::test(start_paused = true)]
async fn l9_late_rows_are_archived_after_a_cancelled_restore() {
    let world = expired().await;
    world.advance("P5D");
    world.settle().await;
    // This process remembers the source as expired and marked. The mark goes, but the process still relies on it.
    world.ingest(&[clicked("a", "first")]).await;
    world.advance("P1D");
    world.settle().await;
    let id = world.request_restore(&["campaign/a"], &[]).await;
    let restorer = rekindle_local::poller::Consumer::Restorer;
    let begin = world.stack.receive(restorer, 0).await.unwrap();
    world.stack.deliver(restorer, begin).await.unwrap();
    world.ingest(&[clicked("a", "second")]).await;
    let path = format!("/v1/restores/{id}/cancel");
    world.post(&path, Value::Null).await.ok();
    assert_eq!(world.state("a").await, "expired");
    world.ingest(&[clicked("a", "third")]).await;
    for _ in 0..3 {
        world.advance("P1D");
        world.settle().await;
    }
    assert_eq!(world.inbox_blocks("a").await, 0);
    world.ingest(&[received("a", "fourth")]).await;
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&clicks()).await, 3);
    assert_eq!(world.count(&got("a")).await, 51);
}

/// A question reads up to 999 inbox blocks of late rows; with more, nothing of them is certain until they are archived.
#[tokio::test(start_paused = true)]
async fn l7_many_late_blocks_are_unknown_until_they_are_archived() {
    let world = expired().await;
    world.advance("P5D");
    world.settle().await;
    click_late(&world).await;
    // The same block over and over, as from a sender that gets no answer.
    let block = world.ledger_items_of("i#campaign/a#").await.pop().unwrap();
    let again = async || {
        let id = world.ids.new_id(world.clock.now_still()).to_bytes();
        let mut block = block.clone();
        block.insert("sk".to_owned(), AttributeValue::B(Blob::new(id)));
        world.put_ledger_item(block).await;
    };
    for _ in world.inbox_blocks("a").await..999 {
        again().await;
    }
    assert_eq!(world.inbox_blocks("a").await, 999);
    assert_only_late(&world).await;
    again().await;
    assert_eq!(world.count_excluding(&clicks()).await, (0, 55));
    assert_eq!(world.matches(&clicks(), "u45", "exclude").await, "unknown");
    world.advance("P1D");
    world.settle().await;
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert_only_late(&world).await;
    world.restore(&["campaign/a"]).await;
    assert_there(&world).await;
}

/// A question reads late rows of up to 4 MiB, of the inbox and of each archived copy.
#[tokio::test(start_paused = true)]
async fn l7_late_rows_of_many_bytes_are_unknown() {
    let world = expired().await;
    world.advance("P5D");
    world.settle().await;
    let mut dice = Dice(7);
    let mut receive_late = async || {
        // Ids of 128 hexadecimal digits, which nothing compresses much.
        let mut id = || (0..8).map(|_| format!("{:016x}", dice.roll())).collect::<String>();
        let items: Vec<String> = (0..28_000).map(|_| received("a", &id()).to_string()).collect();
        let body = zstd::encode_all(items.join("\n").as_bytes(), 1).unwrap();
        let request = http::Request::post("/v1/interactions").header("content-type", "application/x-ndjson");
        let request = request.header("content-encoding", "zstd").body(body.into()).unwrap();
        assert_eq!(world.send(request).await.ok()["accepted"], 28_000);
    };
    receive_late().await;
    assert_eq!(world.count_excluding(&got("a")).await, (28_000, 50));
    receive_late().await;
    receive_late().await;
    assert_eq!(world.count_excluding(&got("a")).await, (0, 84_050));
    world.advance("P1D");
    world.settle().await;
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert_eq!(world.count_excluding(&got("a")).await, (0, 84_050), "in the archive, too");
    // Few rows that come after those are certain.
    world.ingest_received("a", "u", 3).await;
    assert_eq!(world.count_excluding(&got("a")).await, (3, 84_047));
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 84_050);
}
