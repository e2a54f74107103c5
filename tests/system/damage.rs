//! Missing or wrong stored bytes lead to an error that names them, never to a shorter answer, and nothing is deleted.

use crate::fixture::world::{World, got, received};
use rekindle_domain::manifest::{Life, Tier};
use serde_json::json;
use std::collections::BTreeMap;

type Archive = BTreeMap<String, Vec<u8>>;

/// A damage to the object of an archive part.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Deleted,
    Empty,
    Garbage,
    CutShort,
    OneBit,
    AnotherPart,
}

/// A campaign `a` that has expired for the second time and whose hot copy is still in its grace, and another campaign, `b`.
/// Returns the world, the archive and the key of the part of `a`.
async fn expired(seed: u64) -> (World, Archive, String) {
    let world = World::new(seed).await;
    for (campaign, count) in [("a", 400), ("b", 100)] {
        world.begin(campaign).await;
        world.ingest_received(campaign, "u", count).await;
        world.stop(campaign).await;
    }
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 2);
    world.restore(&["campaign/a", "campaign/b"]).await;
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 2);
    let archive = world.archive().await;
    let of_a = archive.keys().filter(|k| k.starts_with("archive/campaign/a/"));
    let key = of_a.cloned().collect::<Vec<_>>().concat();
    assert!(archive.contains_key(&key), "one part: {key}");
    (world, archive, key)
}

async fn damage(world: &World, damage: Damage, key: &str, archive: &Archive) {
    let mut bytes = archive[key].clone();
    match damage {
        Damage::Deleted => return world.delete_object(key).await,
        Damage::Empty => bytes.clear(),
        Damage::Garbage => bytes.fill(b'x'),
        Damage::CutShort => bytes.truncate(bytes.len() / 2),
        // A byte within the user ids, in the first half of the file.
        Damage::OneBit => bytes[200] ^= 4,
        Damage::AnotherPart => {
            let other = archive.keys().find(|k| k.starts_with("archive/campaign/b/"));
            bytes.clone_from(&archive[other.unwrap()]);
        }
    }
    world.put_object(key, bytes).await;
}

#[tokio::test(start_paused = true)]
async fn l4_a_damaged_part_fails_the_restore_and_every_copy_is_kept() {
    use Damage::{AnotherPart, CutShort, Deleted, Empty, Garbage, OneBit};
    for kind in [Deleted, Empty, Garbage, CutShort, OneBit, AnotherPart] {
        let (world, archive, key) = expired(kind as u64).await;
        let hot = world.copies("a", Tier::Hot, Life::Retired).await;
        assert_eq!(hot.len(), 1);
        damage(&world, kind, &key, &archive).await;
        let damaged = world.archive().await;

        let to = ["me@example.com"];
        let id = world.request_restore(&["campaign/a", "campaign/b"], &to).await;
        world.settle().await;
        let request = world.request(&id).await;
        assert_eq!(request["state"], "partly_failed", "{kind:?} {request}");
        let item = &request["items"][0];
        assert_eq!(item["state"], "failed", "{kind:?} {request}");
        let error = item["error"].as_str().unwrap();
        assert!(error.contains(&key), "{kind:?}: {error} should name {key}");
        assert_eq!(request["items"][1]["state"], "restored", "{kind:?} {request}");
        assert_eq!(world.state("a").await, "expired", "{kind:?}");
        let mails = world.mails_to("me@example.com");
        assert_eq!(mails.len(), 1, "{kind:?} {mails:?}");
        assert!(mails[0].text.contains(error), "{kind:?} {mails:?}");
        assert!(mails[0].text.contains("campaign/a: failed"), "{mails:?}");
        let refused = world.try_count(&got("a"), "refuse").await;
        refused.problem(409, "expired_interaction_data");

        // Days later everything of the ledger is still there, the other objects and the retired hot copy.
        assert!(world.manifest("a").await.quarantine.is_some());
        for _ in 0..5 {
            world.advance("P1D");
            world.settle().await;
        }
        assert_eq!(world.archive().await, damaged, "{kind:?}");
        assert!(hot.is_subset(&world.hot_copies().await), "{kind:?}");
        assert_eq!(world.outbox().len(), 1);

        world.put_object(&key, archive[&key].clone()).await;
        world.restore(&["campaign/a"]).await;
        assert_eq!(world.count(&got("a")).await, 400, "{kind:?}");
        assert!(world.manifest("a").await.quarantine.is_none());
        world.clean_up().await;
        world.clean_up().await;
        assert_eq!(world.hot_copies().await.len(), 2, "{kind:?}");
        world.assert_no_orphans(&["a", "b"]).await;
    }
}

/// Each part verifies, but together they differ from the run: only the commit can notice, and it must fail the restore.
#[tokio::test(start_paused = true)]
async fn l4_l9_a_restore_that_does_not_add_up_fails_and_is_told() {
    let (world, archive, _) = expired(40).await;
    world.clean_up().await;
    world
        .change_document("campaign/a", "manifest", |manifest| {
            let digest = manifest.pointer_mut("/runs/0/tally/digest").unwrap();
            *digest = json!("00000000000000000000000000000001");
        })
        .await;
    let id = world.request_restore(&["campaign/a"], &["me@example.com"]).await;
    world.settle().await;
    let request = world.request(&id).await;
    assert_eq!(request["state"], "failed", "{request}");
    let error = request["items"][0]["error"].as_str().unwrap();
    assert!(error.contains("was not read whole"), "{error}");
    assert_eq!(world.state("a").await, "expired");
    assert!(world.manifest("a").await.quarantine.is_some());
    assert_eq!(world.mails_to("me@example.com").len(), 1);
    assert_eq!(world.archive().await, archive);
}

/// Archiving late rows does not read the copy that failed to verify, so it must not end the quarantine.
#[tokio::test(start_paused = true)]
async fn l4_late_rows_do_not_end_a_quarantine() {
    let (world, archive, key) = expired(20).await;
    let hot = world.copies("a", Tier::Hot, Life::Retired).await;
    damage(&world, Damage::Garbage, &key, &archive).await;
    let id = world.request_restore(&["campaign/a"], &[]).await;
    world.drain().await;
    assert_eq!(world.request(&id).await["state"], "failed");

    for day in 0..5 {
        world.ingest(&[received("a", &format!("late{day}"))]).await;
        world.advance("P1D");
        world.settle().await;
        assert!(world.manifest("a").await.quarantine.is_some(), "day {day}");
        // The retired hot copy is the only whole one.
        assert!(hot.is_subset(&world.hot_copies().await), "day {day}");
    }
    world.put_object(&key, archive[&key].clone()).await;
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 405);
    assert!(world.manifest("a").await.quarantine.is_none());
    // Then the ledger goes on as any other: the copies that the quarantine kept are deleted.
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 1);
    for _ in 0..4 {
        world.advance("P1D");
        world.settle().await;
    }
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert!(world.copies("a", Tier::Hot, Life::Retired).await.is_empty());
    world.assert_no_orphans(&["a", "b"]).await;
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 405);
}

/// A block of a hot copy is gone: reading and archiving are refused, and a mail is sent.
#[tokio::test(start_paused = true)]
async fn l5_a_missing_block_is_an_error_and_never_a_shorter_answer() {
    let (world, archive, _) = expired(30).await;
    let fields = json!({ "notify": ["owner@example.com"] });
    world.put("/v1/campaigns/a", fields).await.ok();
    world.restore(&["campaign/a"]).await;
    world.clean_up().await;
    world.ingest_received("a", "late", 3).await;
    assert_eq!(world.count(&got("a")).await, 403);
    let blocks = world.ledger_items_of("b#").await;
    assert_eq!(blocks.len(), 1);
    world.delete_ledger_item(&blocks[0]).await;

    let damaged = |answer: crate::fixture::world::Answer| {
        answer.problem(500, "stored_data_damaged");
    };
    damaged(world.try_count(&got("a"), "refuse").await);
    damaged(world.try_count(&got("a"), "exclude").await);
    let body = json!({ "filter": got("a"), "user_id": "u1" });
    damaged(world.post("/v1/audiences/match", body).await);
    // In a profile the damage hides no other source.
    let profile = world.get("/v1/users?user_id=u1").await.ok();
    let campaigns = profile["campaigns_received"].as_array().unwrap().iter();
    let told: Vec<_> = campaigns.map(|c| (c["source"].clone(), c["interaction_data"].clone())).collect();
    assert_eq!(told.len(), 2, "{profile}");
    for expected in [("campaign/a", "damaged"), ("campaign/b", "expired")] {
        assert!(told.contains(&(expected.0.into(), expected.1.into())), "{profile}");
    }

    // The run has a cold copy already. Only the late rows need archiving, and this works.
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 1);
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 403);
    assert!(world.archive().await.len() > archive.len());
}

/// The same without a cold copy: the remaining rows must not be taken for all rows.
#[tokio::test(start_paused = true)]
async fn l4_a_block_that_is_missing_when_its_run_is_archived_stops_the_expiry() {
    let world = World::new(31).await;
    let fields = json!({ "notify": ["owner@example.com", "other@example.com"] });
    world.put("/v1/campaigns/a", fields).await.ok();
    world.start("a").await.ok();
    // More blocks than one rewrite takes, so that a hot run is made first.
    for i in 0..2_001 {
        world.ingest(&[received("a", &format!("u{i}"))]).await;
    }
    world.stop("a").await;
    world.advance("P2M");
    world.advance("P28D");
    world.settle().await;
    assert_eq!(world.outbox().len(), 2, "a warning to each owner");
    world.advance("P4D");
    // The budget ends after the hot run is committed.
    let budget = rekindle_service::Budget::until(world.clock.now_still().plus(1));
    let id = "campaign/a".parse().unwrap();
    while world.manifest("a").await.runs.is_empty() {
        world.app().expire_step(&id, &budget).await.unwrap();
    }
    assert_eq!(world.state("a").await, "expiring");
    let blocks = world.ledger_items_of("b#").await;
    let inbox = world.ledger_items_of("i#campaign/a").await;
    world.delete_ledger_item(&blocks[0]).await;

    assert_eq!(world.sweep().await.expired, 0);
    assert_eq!(world.state("a").await, "expiring");
    assert!(world.manifest("a").await.quarantine.is_some());
    world.settle().await;
    assert_eq!(world.outbox().len(), 4, "one more mail to each owner");
    for mail in &world.outbox()[2..] {
        assert!(mail.subject.contains("campaign/a needs attention"), "{mail:?}");
    }
    // The sweeper tries again after a day, not before.
    world.advance("PT23H");
    world.settle().await;
    assert_eq!(world.outbox().len(), 4);
    // More rows arrive than one rewrite takes, so the second try folds a part of them first.
    for i in 0..2_002 {
        // Of before the stop: a message after it would put the expiry off.
        let mut late = received("a", &format!("more{i}"));
        late["time"] = "2026-12-31T12:00:00Z".into();
        world.ingest(&[late]).await;
    }
    let kept = world.ledger_items_of("i#campaign/a").await;
    assert!(kept.len() >= 2_002 && inbox.len() < kept.len());
    world.put_ledger_item(blocks[0].clone()).await;
    world.advance("PT2H");
    assert_eq!(world.sweep().await.expired, 1);
    assert!(world.manifest("a").await.quarantine.is_none());
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 4_003);
}

/// The ledger of all users is damaged: the profile says so, and shows the sources all the same.
#[tokio::test(start_paused = true)]
async fn l5_a_damaged_ledger_of_all_users_hides_no_source_of_a_profile() {
    let world = World::new(50).await;
    world.ingest(&[received("a", "u1"), received("b", "u1")]).await;
    let whole = world.get("/v1/users?user_id=u1&limit=1").await.ok();
    assert_eq!((&whole["interaction_data"], &whole["known"]), (&json!("available"), &json!(true)), "{whole}");
    for mut block in world.ledger_items_of("i#users").await {
        for (name, value) in &mut block {
            if name != "sk" && value.is_b() {
                *value = aws_sdk_dynamodb::types::AttributeValue::B(vec![7; 40].into());
            }
        }
        world.put_ledger_item(block).await;
    }
    let page = world.get("/v1/users?user_id=u1&limit=1").await.ok();
    assert_eq!(page["interaction_data"], "damaged", "{page}");
    assert!(page.get("known").is_none() && page.get("last_received").is_none(), "{page}");
    assert_eq!(page["campaigns_received"], whole["campaigns_received"], "{page}");
    let next = format!("/v1/users?user_id=u1&limit=1&cursor={}", page["next"].as_str().unwrap());
    let page = world.get(&next).await.ok();
    assert_eq!(
        (page["campaigns_received"].as_array().unwrap().len(), page.get("interaction_data")),
        (1, None)
    );
}
