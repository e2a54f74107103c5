//! Expiry, late rows and restore, again and again: runs stay few, and exactly the unreferenced copies are deleted.

use crate::fixture::{
    model::{Model, filters, filters_over_all, mix},
    ports::Dice,
    world::{World, got},
};
use rekindle_domain::manifest::{Life, Tier};
use serde_json::Value;

async fn assert_same(world: &World, model: &Model) {
    for filter in [filters("a", "b", model.middle()), filters_over_all(model.middle())].concat() {
        let (count, _) = model.count(&filter);
        assert_eq!(world.count(&filter).await, count, "{filter}");
    }
}

#[tokio::test(start_paused = true)]
async fn l2_cycles_keep_every_row_and_collect_what_is_unreferenced() {
    let world = World::new(3).await;
    let mut model = Model::default();
    let mut dice = Dice(30);
    for campaign in ["a", "b"] {
        world.begin(campaign).await;
    }
    let post = async |campaign: &str, count: usize, model: &mut Model, dice: &mut Dice| {
        let events = mix(campaign, 900, count, world.clock.now_still(), dice);
        model.add(events.iter().cloned());
        for batch in events.chunks(700) {
            world.ingest(batch).await;
        }
    };
    post("a", 3_000, &mut model, &mut dice).await;
    post("b", 500, &mut model, &mut dice).await;
    world.stop("a").await;
    let mut cold_before = std::collections::BTreeSet::new();
    for cycle in 0..4 {
        world.advance("P3M");
        assert_eq!(world.sweep().await.expired, 1, "cycle {cycle}");
        let retired = world.copies("a", Tier::Hot, Life::Retired).await;
        // In the first cycle the inbox goes straight to the archive.
        assert_eq!(retired.is_empty(), cycle == 0);
        post("a", 100, &mut model, &mut dice).await;
        assert!(world.hot_copies().await.is_superset(&retired), "the retired copies are in their grace");
        world.advance("PT59M");
        world.sweep().await;
        assert!(world.hot_copies().await.is_superset(&retired), "the retired copies are in their grace");
        world.advance("P1D");
        world.settle().await;
        world.clean_up().await;
        assert_eq!(world.inbox_blocks("a").await, 0, "late rows are archived");
        assert!(world.hot_copies().await.is_disjoint(&retired), "the retired copies are past their grace");
        // The archive has the cold copies of before and one more.
        let cold = world.cold_copies("a").await;
        assert!(cold.is_superset(&cold_before), "{cold:?} {cold_before:?}");
        cold_before = cold;
        post("a", 50, &mut model, &mut dice).await;
        world.restore(&["campaign/a"]).await;
        assert_same(&world, &model).await;
        world.clean_up().await;
        assert_same(&world, &model).await;
        world.assert_no_orphans(&["a", "b"]).await;
        assert!(world.manifest("a").await.runs.len() <= 9, "cycle {cycle}");
    }
    let manifest = world.manifest("a").await;
    assert!(manifest.copies.iter().all(|c| c.life == Life::Live));
}

/// Many late sweeps make many small cold runs, which are merged: their objects are deleted, those of the large run stay.
#[tokio::test(start_paused = true)]
async fn l2_many_late_sweeps_merge_the_small_runs() {
    let world = World::new(4).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 500).await;
    world.stop_and_expire("a").await;
    let large = world.cold_copies("a").await;
    let mut most = 0;
    for i in 0..20 {
        world.ingest_received("a", &format!("late{i}-"), 3).await;
        world.advance("P2D");
        world.settle().await;
        world.clean_up().await;
        assert_eq!(world.inbox_blocks("a").await, 0);
        most = most.max(world.manifest("a").await.runs.len());
    }
    assert!((3..=9).contains(&most), "{most} runs");
    let stored = world.cold_copies("a").await;
    assert!(stored.is_superset(&large));
    assert_eq!(stored.len(), world.manifest("a").await.runs.len());
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 560);
    world.assert_no_orphans(&["a"]).await;
}

/// A source that was registered and got no rows never expires, and a draft keeps its interactions.
#[tokio::test(start_paused = true)]
async fn a_source_without_rows_never_expires() {
    let world = World::new(5).await;
    world.begin("empty").await;
    let stopped = world.stop("empty").await;
    assert_eq!(stopped["interaction_data"]["expires_at"], Value::Null);
    world.advance("P12M");
    assert_eq!(world.sweep().await.expired, 0);
    assert_eq!(world.state("empty").await, "available");
    let id = world.request_restore(&["campaign/empty"], &[]).await;
    world.drain().await;
    let request = world.request(&id).await;
    assert_eq!(request["items"][0]["state"], "nothing_to_restore");
    assert_eq!(request["state"], "completed");
    world.put("/v1/campaigns/draft", serde_json::json!({})).await.ok();
    world.ingest_received("draft", "u", 4).await;
    world.advance("P12M");
    assert_eq!(world.sweep().await.expired, 0);
    assert_eq!(world.count(&got("draft")).await, 4);
    assert_eq!(world.campaign("draft").await["status"], "active", "what sends is not a draft");
}
