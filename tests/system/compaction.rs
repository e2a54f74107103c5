//! The compactor: inboxes are folded, runs merged, and nobody who asks can tell.

use crate::fixture::{
    faults::Fault,
    peek::ledger_of,
    world::{World, got, received, try_compact, try_sweep},
};
use rekindle_domain::{
    compact::Tiering,
    id::LedgerId,
    manifest::{Life, Tier},
    slot::SlotSize,
    time::Period,
};
use rekindle_local::{poller::Consumer, stack::local_settings};
use rekindle_service::{Settings, Sizes};
use serde_json::{Value, json};

/// Small enough for a few batches to be many, and for a run to have several slots.
fn settings() -> Settings {
    let tiering = Tiering { inbox_blocks: 4, inbox_bytes: 64 << 10, fanout: 3, smallest: 4 };
    let slot = SlotSize { rows: 32, bytes: 1 << 20 };
    let sizes = Sizes { tiering, slot, ..Sizes::default() };
    Settings { sizes, ..local_settings(Period::parse("P3M").unwrap()) }
}

async fn world(seed: u64) -> World {
    let world = World::with(seed, settings()).await;
    world.begin("a").await;
    world
}

/// Batches of two users each, `PREFIX0-0` and so on.
async fn batches(world: &World, prefix: &str, count: usize) {
    for i in 0..count {
        world.ingest_received("a", &format!("{prefix}{i}-"), 2).await;
    }
}

fn everybody() -> Value {
    json!({ "any": [{ "never_received": {} }, { "not": { "never_received": {} } }] })
}

#[tokio::test(start_paused = true)]
async fn l1_compaction_changes_no_answer() {
    let world = world(1).await;
    batches(&world, "u", 11).await;
    // Duplicates, too: rows merge.
    batches(&world, "u", 3).await;
    world.begin("b").await;
    world.ingest_received("b", "u1-", 3).await;
    let filters = [
        got("a"),
        json!({ "not": got("a") }),
        everybody(),
        json!({ "all": [got("a"), { "not": got("b") }] }),
    ];
    let mut before = Vec::new();
    for filter in &filters {
        before.push((world.count(filter).await, world.members(filter, 5).await));
    }
    assert!(world.compact_in_time().await >= 2, "campaign and users");
    assert_eq!(world.inbox_blocks("a").await, 0);
    let manifest = world.manifest("a").await;
    assert_eq!((manifest.runs.len(), manifest.tally().rows), (1, 22), "duplicates are merged");
    assert!(manifest.runs[0].slots.count() >= 1 && manifest.clearing.is_none());
    for (filter, before) in filters.iter().zip(&before) {
        let now = (world.count(filter).await, world.members(filter, 5).await);
        assert_eq!(&now, before, "{filter}");
    }
    assert_eq!(world.matches(&got("a"), "u3-1", "refuse").await, "yes");
    assert_eq!(world.matches(&got("b"), "u3-1", "refuse").await, "no");
    let shown = world.campaign("a").await;
    assert_eq!(shown["interaction_data"]["counts"]["received"], 22, "{shown}");
    assert_eq!(shown["interaction_data"]["exact"], true, "{shown}");
    world.clean_up().await;
    world.assert_no_unlisted_copy(&["a", "b"]).await;
}

/// The cursor of a page is a place in the order of users, whatever lies where.
#[tokio::test(start_paused = true)]
async fn l3_pages_are_stable_while_rows_move() {
    let world = world(2).await;
    batches(&world, "u", 10).await;
    let filter = got("a");
    let whole = world.members(&filter, 1_000).await;
    assert_eq!(whole.len(), 20);
    let (mut paged, mut cursor, mut rewrites) = (Vec::new(), Value::Null, 0);
    loop {
        let body = json!({ "filter": filter, "limit": 3, "cursor": cursor });
        let page = world.post("/v1/audiences/members", body).await.ok();
        paged.extend(page["items"].as_array().unwrap().iter().map(|u| u.as_str().unwrap().to_owned()));
        cursor = page["next"].clone();
        if cursor.is_null() {
            break;
        }
        // The same users again, so that there is something to fold, and the copies read so far retire.
        batches(&world, "u", 4).await;
        rewrites += world.compact_in_time().await;
    }
    assert_eq!(paged, whole);
    assert!(rewrites >= 7, "{rewrites}");
}

#[tokio::test(start_paused = true)]
async fn l1_many_batches_leave_few_runs_and_a_small_inbox() {
    let world = world(3).await;
    let mut most = 0;
    for round in 0..40 {
        batches(&world, &format!("r{round}-"), 4).await;
        world.compact_in_time().await;
        world.sweep().await;
        assert!(world.inbox_blocks("a").await < 4);
        most = most.max(world.manifest("a").await.runs.len());
    }
    // 320 rows in tiers of 12, 36, 108 and 324: at most two runs each.
    assert!((3..=8).contains(&most), "{most} runs");
    assert_eq!(world.count(&got("a")).await, 320);
    assert!(world.manifest_of(&LedgerId::Users).await.runs.len() <= 8);
    assert_eq!(world.count(&everybody()).await, 320);
    world.clean_up().await;
    let manifest = world.manifest("a").await;
    assert!(manifest.copies.iter().all(|c| c.life == Life::Live), "{manifest:?}");
    assert!(world.marks().await.is_empty(), "{:?}", world.marks().await);
}

/// Little that arrives seldom needs one mark in ten minutes; much, one a minute.
#[tokio::test(start_paused = true)]
async fn l1_marks_are_few_and_come_of_age() {
    let world = world(4).await;
    batches(&world, "u", 3).await;
    assert_eq!(world.marks().await.len(), 2, "one of the campaign, one of users");
    world.advance("PT9M");
    batches(&world, "v", 1).await;
    assert_eq!(world.marks().await.len(), 2, "they still stand");
    // The compactor leaves them alone as long as ingest may still append under them.
    world.advance("PT1M30S");
    assert_eq!(world.compact().await.rewrites, 0);
    assert_eq!(world.marks().await.len(), 2);
    world.advance("PT1M");
    assert_eq!(world.compact().await.rewrites, 2);
    assert_eq!(world.marks().await.len(), 0);
    // An inbox that is not worth it needs no mark: the next append marks again.
    batches(&world, "w", 1).await;
    assert_eq!(world.marks().await.len(), 2);
    assert_eq!(world.compact_in_time().await, 0);
    assert_eq!(world.marks().await.len(), 0);
    assert_eq!(world.inbox_blocks("a").await, 1);
    // Of a hundred batches in a minute: the first mark, and one that says that there is much.
    batches(&world, "x", 100).await;
    assert_eq!(world.marks().await.len(), 4);
    world.advance("PT2M1S");
    assert!(world.compact().await.rewrites >= 2, "the second is of age after two minutes");
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert_eq!(world.marks().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn l1_expired_and_restoring_data_is_left_to_the_sweeper() {
    let world = world(5).await;
    batches(&world, "u", 5).await;
    world.stop_and_expire("a").await;
    world.compact_in_time().await;
    let before = world.manifest("a").await;
    batches(&world, "late", 6).await;
    world.compact_in_time().await;
    assert_eq!(world.manifest("a").await.version, before.version, "nothing was swapped");
    assert_eq!(world.inbox_blocks("a").await, 6);
    let id = world.request_restore(&["campaign/a"], &[]).await;
    let begin = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
    world.stack.deliver(Consumer::Restorer, begin).await.unwrap();
    assert_eq!(world.state("a").await, "restoring");
    batches(&world, "later", 1).await;
    world.compact_in_time().await;
    assert_eq!(world.inbox_blocks("a").await, 7);
    world.drain().await;
    assert_eq!(world.request(&id).await["state"], "completed");
    // Restored, the late rows are the compactor's, though nobody has appended since.
    world.compact_in_time().await;
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert_eq!(world.count(&got("a")).await, 24);
    // The archived run stays by itself.
    let manifest = world.manifest("a").await;
    assert_eq!(manifest.runs_without(Tier::Cold).count(), 1);
    assert_eq!(manifest.runs.len(), 2);
}

/// What was archived is never merged with what was not, so that it need not be uploaded again.
#[tokio::test(start_paused = true)]
async fn l2_what_lies_in_the_archive_is_not_uploaded_again() {
    let world = world(6).await;
    batches(&world, "u", 30).await;
    world.compact_in_time().await;
    world.stop_and_expire("a").await;
    let first = world.archive().await;
    world.restore(&["campaign/a"]).await;
    // Nothing new came: it only drops its hot copies.
    world.advance("PT12M");
    world.compact().await;
    world.advance("P3M");
    world.sweep().await;
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(world.archive().await, first);
    // Little came, in many batches that were compacted: only that is uploaded.
    world.restore(&["campaign/a"]).await;
    batches(&world, "few", 9).await;
    assert!(world.compact_in_time().await >= 1);
    world.advance("P3M");
    world.sweep().await;
    assert_eq!(world.state("a").await, "expired");
    world.clean_up().await;
    let second = world.archive().await;
    assert!(
        first.iter().all(|(key, bytes)| second.get(key) == Some(bytes)),
        "the first run stays as it lies"
    );
    assert_eq!(world.manifest("a").await.runs.len(), 2);
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 78);
    world.compact_in_time().await;
    world.advance("P3M");
    world.sweep().await;
    assert_eq!(world.archive().await, second, "again, nothing new came");
}

/// A compaction that somebody left half-done is finished by whoever needs the ledger next: the sweeper, where the data
/// is due, or the next compaction; started and stopped, the sweeper leaves it alone.
#[tokio::test(start_paused = true)]
async fn l9_a_compaction_left_half_done_is_finished() {
    for is_due in [true, false] {
        let mut at = 0;
        let staged = loop {
            let world = world(at as u64).await;
            batches(&world, "u", 9).await;
            if is_due {
                world.stop("a").await;
                world.advance("P3M");
            } else {
                world.advance("PT12M");
            }
            let doomed = world.doomed(Fault::Dies, at);
            let _ = try_compact(&doomed.stack).await;
            if world.manifest("a").await.staged_rewrite().is_some() {
                break world;
            }
            assert!(doomed.has_struck(), "it never stages");
            at += 1;
        };
        let copy = staged.manifest("a").await.staged_rewrite().unwrap().clone();
        assert_eq!(copy.tier, Tier::Hot);
        staged.let_visibility_pass().await;
        staged.sweep().await;
        if is_due {
            staged.settle().await;
            assert_eq!(staged.state("a").await, "expired");
            assert_eq!(staged.manifest("a").await.runs.len(), 1);
            staged.restore(&["campaign/a"]).await;
        } else {
            assert_eq!(staged.manifest("a").await.staged_rewrite(), Some(&copy), "the sweeper leaves it");
            staged.compact().await;
            assert_eq!(staged.manifest("a").await.live(copy.run, Tier::Hot).map(|c| c.id), Some(copy.id));
            assert_eq!(staged.inbox_blocks("a").await, 0);
        }
        assert_eq!(staged.count(&got("a")).await, 18);
    }
}

/// While the sweeper archives, the compactor keeps away, and its marks stay.
#[tokio::test(start_paused = true)]
async fn l9_the_compactor_leaves_an_expiry_alone() {
    let mut at = 0;
    let world = loop {
        let world = world(at as u64).await;
        batches(&world, "u", 9).await;
        world.stop("a").await;
        world.advance("P3M");
        let doomed = world.doomed(Fault::Dies, at);
        let _ = try_sweep(&doomed.stack).await;
        if world.manifest("a").await.staged_rewrite().is_some() {
            break world;
        }
        assert!(doomed.has_struck());
        at += 1;
    };
    let before = world.manifest("a").await;
    world.compact().await;
    assert_eq!(world.manifest("a").await, before);
    assert!(world.marks().await.iter().any(|mark| mark.ledger == ledger_of("a")));
    // Started in time: what the sweeper left is doomed after its grace, and the compactor takes over.
    world.start("a").await.ok();
    world.advance("PT61M");
    world.sweep().await;
    world.compact().await;
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert_eq!(world.count(&got("a")).await, 18);
    assert!(world.marks().await.is_empty());
}

/// Wherever the compactor dies: a ledger that is not as it should be is still marked, and the next one does it.
#[tokio::test(start_paused = true)]
async fn l1_no_mark_is_lost_where_the_compactor_dies() {
    for fault in [Fault::Dies, Fault::DiesAfter, Fault::LosesAnswer] {
        for at in 0.. {
            let world = world(at as u64).await;
            for round in 0..3 {
                batches(&world, &format!("r{round}-"), 4).await;
                world.compact_in_time().await;
            }
            batches(&world, "last", 5).await;
            world.advance("PT12M");
            let doomed = world.doomed(fault, at);
            let _ = try_compact(&doomed.stack).await;
            let what = format!("{fault:?} at {at}");
            for ledger in [LedgerId::Users, ledger_of("a")] {
                let is_marked = world.marks().await.iter().any(|mark| mark.ledger == ledger);
                assert!(is_marked || !world.is_behind(&ledger).await, "{what}: {ledger}");
            }
            assert_eq!(world.count(&got("a")).await, 34, "{what}");
            world.let_visibility_pass().await;
            world.compact_in_time().await;
            world.compact_in_time().await;
            for ledger in [LedgerId::Users, ledger_of("a")] {
                assert!(!world.is_behind(&ledger).await, "{what}: {ledger}");
            }
            assert!(world.marks().await.is_empty(), "{what}");
            assert_eq!(world.count(&got("a")).await, 34, "{what}");
            assert_eq!(world.count(&everybody()).await, 34, "{what}");
            world.clean_up().await;
            world.assert_no_unlisted_copy(&["a"]).await;
            if !doomed.has_struck() {
                assert!(at >= 40, "{what}: too few calls");
                break;
            }
        }
    }
}

/// Wherever ingest dies: what it appended is marked.
#[tokio::test(start_paused = true)]
async fn l1_no_mark_is_lost_where_ingest_dies() {
    for fault in [Fault::Dies, Fault::DiesAfter, Fault::LosesAnswer] {
        for at in 0.. {
            let world = world(at as u64).await;
            batches(&world, "u", 3).await;
            world.compact_in_time().await;
            assert!(world.marks().await.is_empty());
            let doomed = world.doomed(fault, at);
            let body = axum::body::Body::from(json!([received("a", "x"), received("a", "y")]).to_string());
            let request = http::Request::post("/v1/interactions").body(body).unwrap();
            let _ = tower::ServiceExt::oneshot(doomed.router.clone(), request).await.unwrap();
            let what = format!("{fault:?} at {at}");
            for ledger in [LedgerId::Users, ledger_of("a")] {
                let is_marked = world.marks().await.iter().any(|mark| mark.ledger == ledger);
                assert!(is_marked || !world.is_behind(&ledger).await, "{what}: {ledger}");
            }
            if !doomed.has_struck() {
                assert!(at >= 4, "{what}: too few calls");
                break;
            }
        }
    }
}

/// A block of a run that is to be merged is gone: nothing is deleted, people are told once, and a day later, mended, the
/// ledger leaves quarantine.
#[tokio::test(start_paused = true)]
async fn l4_what_does_not_verify_is_quarantined_and_tried_again_in_a_day() {
    let world = world(7).await;
    world.put("/v1/campaigns/a", json!({ "notify": ["owner@example.com"] })).await.ok();
    for round in 0..2 {
        batches(&world, &format!("r{round}-"), 4).await;
        world.compact_in_time().await;
    }
    let manifest = world.manifest("a").await;
    assert_eq!(manifest.runs.len(), 2);
    let hot = manifest.live(manifest.runs[0].id, Tier::Hot).unwrap().id;
    let items = world.ledger_items_of(&format!("b#{hot}#")).await;
    world.delete_ledger_item(&items[0]).await;
    batches(&world, "r2-", 4).await;
    world.advance("PT12M");
    world.compact().await;
    world.drain().await;
    let after = world.manifest("a").await;
    assert!(after.quarantine.is_some());
    assert_eq!(after.runs, manifest.runs);
    assert_eq!(world.inbox_blocks("a").await, 4, "nothing is deleted");
    assert_eq!(world.mails_to("owner@example.com").len(), 1);
    for _ in 0..3 {
        batches(&world, "more", 1).await;
        world.compact_in_time().await;
        world.drain().await;
    }
    assert_eq!(world.mails_to("owner@example.com").len(), 1, "and told once");
    world.put_ledger_item(items[0].clone()).await;
    world.advance("P1D");
    world.compact_in_time().await;
    world.compact_in_time().await;
    assert_eq!(world.manifest("a").await.quarantine, None);
    assert_eq!(world.count(&got("a")).await, 26);
    assert!(!world.is_behind(&ledger_of("a")).await);
    assert!(world.marks().await.is_empty());
}
