//! The compactor folds inboxes and merges runs, and no answer changes by it.

use crate::fixture::{
    faults::Fault,
    peek::ledger_of,
    world::{World, got, local_settings, received, try_compact, try_sweep},
};
use rekindle_domain::{
    compact::Tiering,
    id::LedgerId,
    manifest::{Life, Tier},
    slot::SlotSize,
    time::Period,
};
use rekindle_local::poller::Consumer;
use rekindle_service::{Settings, Sizes};
use serde_json::{Value, json};

/// Sizes so small that a few batches are many, and that a run has several slots.
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
    // The same batches again: equal rows merge.
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

/// A source shows what arrived a moment ago; a list shows the last rewrite, and does not say that it is all.
#[tokio::test(start_paused = true)]
async fn a_source_counts_what_waits_in_its_inbox() {
    let world = world(14).await;
    let data = async || world.campaign("a").await["interaction_data"].clone();
    let last = |data: &Value| data["last_interaction_at"].as_str().unwrap_or_default().to_owned();
    let counted =
        |data: &Value| (data["users"].clone(), data["counts"]["received"].clone(), data["exact"].clone());
    assert_eq!(counted(&data().await), (Value::Null, Value::Null, false.into()));

    batches(&world, "u", 3).await;
    batches(&world, "u", 1).await;
    let now = data().await;
    assert_eq!(counted(&now), (6.into(), 6.into(), true.into()), "users that came twice are one");
    let listed = world.get("/v1/campaigns").await.ok()["items"][0]["interaction_data"].clone();
    assert_eq!(counted(&listed), (Value::Null, Value::Null, false.into()));

    assert!(world.compact_in_time().await >= 1);
    assert_eq!((counted(&data().await), last(&data().await)), (counted(&now), last(&now)));
    world.advance("P1D");
    batches(&world, "u", 1).await;
    batches(&world, "v", 1).await;
    let later = data().await;
    assert_eq!(counted(&later), (10.into(), 10.into(), false.into()), "of the run and of the inbox: a bound");
    assert!(last(&later) > last(&now), "{later}");
    let listed = world.get("/v1/campaigns").await.ok()["items"][0]["interaction_data"].clone();
    assert_eq!((counted(&listed), last(&listed)), ((6.into(), 6.into(), false.into()), last(&now)));
}

/// The cursor of a page is a place in the order of users and does not depend on where rows are stored.
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
        // The same users again, so that the compactor has work and the copies that were read retire.
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

/// A few batches need one mark in ten minutes; many batches need one a minute.
#[tokio::test(start_paused = true)]
async fn l1_marks_are_few_and_come_of_age() {
    let world = world(4).await;
    batches(&world, "u", 3).await;
    assert_eq!(world.marks().await.len(), 2, "one for the campaign, one for `users`");
    world.advance("PT9M");
    batches(&world, "v", 1).await;
    assert_eq!(world.marks().await.len(), 2, "the marks are still there");
    // The compactor leaves the marks alone as long as ingest may still append under them.
    world.advance("PT1M30S");
    assert_eq!(world.compact().await.rewrites, 0);
    assert_eq!(world.marks().await.len(), 2);
    world.advance("PT1M");
    assert_eq!(world.compact().await.rewrites, 2);
    assert_eq!(world.marks().await.len(), 0);
    // An inbox that is too small to fold needs no mark: the next append marks it again.
    batches(&world, "w", 1).await;
    assert_eq!(world.marks().await.len(), 2);
    assert_eq!(world.compact_in_time().await, 0);
    assert_eq!(world.marks().await.len(), 0);
    assert_eq!(world.inbox_blocks("a").await, 1);
    // A hundred batches in a minute leave the first mark, and a second one for a busy worker.
    batches(&world, "x", 100).await;
    assert_eq!(world.marks().await.len(), 4);
    world.advance("PT2M1S");
    assert!(world.compact().await.rewrites >= 2, "the second mark is old enough after two minutes");
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
    // After the restore the compactor folds the late rows, though nothing was appended since.
    world.compact_in_time().await;
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert_eq!(world.count(&got("a")).await, 24);
    // The archived run is not merged.
    let manifest = world.manifest("a").await;
    assert_eq!(manifest.runs_without(Tier::Cold).count(), 1);
    assert_eq!(manifest.runs.len(), 2);
}

/// An archived run is never merged with one that is not archived, so that it need not be uploaded again.
#[tokio::test(start_paused = true)]
async fn l2_what_lies_in_the_archive_is_not_uploaded_again() {
    let world = world(6).await;
    batches(&world, "u", 30).await;
    world.compact_in_time().await;
    world.stop_and_expire("a").await;
    let first = world.archive().await;
    world.restore(&["campaign/a"]).await;
    // Without new rows the expiry only drops the hot copies.
    world.advance("PT12M");
    world.compact().await;
    world.advance("P3M");
    world.sweep().await;
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(world.archive().await, first);
    // A few rows come, in many batches that are compacted: only these rows are uploaded.
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
        "the first run's objects do not change"
    );
    assert_eq!(world.manifest("a").await.runs.len(), 2);
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 78);
    world.compact_in_time().await;
    world.advance("P3M");
    world.sweep().await;
    assert_eq!(world.archive().await, second, "without new rows nothing is uploaded");
}

/// A half-done compaction is finished by the sweeper if the data is due, else by the next compaction. If the source was
/// started and stopped meanwhile, the sweeper leaves the compaction alone.
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
            assert!(doomed.has_struck(), "the compactor never stages a copy");
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

/// While the sweeper archives a ledger, the compactor does not touch it, and the marks stay.
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
    // The source is started in time: the sweeper's staged copy is given up after its grace, and the compactor takes over.
    world.start("a").await.ok();
    world.advance("PT61M");
    world.sweep().await;
    world.compact().await;
    assert_eq!(world.inbox_blocks("a").await, 0);
    assert_eq!(world.count(&got("a")).await, 18);
    assert!(world.marks().await.is_empty());
}

/// Wherever the compactor dies, a ledger that still needs it keeps its mark, and the next invocation does the work.
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

/// Wherever ingest dies, every ledger that it appended to is marked.
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

/// A block of a run that is to be merged is gone: nothing is deleted, and one mail is sent. After the block is put back, the
/// next try, a day later, ends the quarantine.
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
    assert_eq!(world.mails_to("owner@example.com").len(), 1, "one mail is sent");
    world.put_ledger_item(items[0].clone()).await;
    world.advance("P1D");
    world.compact_in_time().await;
    world.compact_in_time().await;
    assert_eq!(world.manifest("a").await.quarantine, None);
    assert_eq!(world.count(&got("a")).await, 26);
    assert!(!world.is_behind(&ledger_of("a")).await);
    assert!(world.marks().await.is_empty());
}
