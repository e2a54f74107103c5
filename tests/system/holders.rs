//! Holders: retargeted data does not expire, and expired data cannot be retargeted.

use crate::fixture::world::{World, got, named};
use rekindle_service::Budget;
use serde_json::{Value, json};

/// Stopped campaigns with data, and a draft `vip` that retargets the first.
async fn world_with(campaigns: &[&str]) -> World {
    let world = World::new(12).await;
    for campaign in campaigns {
        world.begin(campaign).await;
        world.ingest_received(campaign, "u", 20).await;
        world.stop(campaign).await;
    }
    let audience = json!({ "audience": { "all": [got(campaigns[0]), { "never_received": {} }] } });
    world.put("/v1/campaigns/vip", audience).await.ok();
    world
}

async fn data(world: &World, campaign: &str) -> Value {
    world.campaign(campaign).await["interaction_data"].clone()
}

#[tokio::test(start_paused = true)]
async fn l6_an_active_holder_keeps_data_and_the_last_one_lets_it_go() {
    let world = world_with(&["x"]).await;
    let free = data(&world, "x").await;
    assert_eq!(free["expires_at"], "2027-04-01T00:00:00.000Z");
    world.start("vip").await.ok();
    let also = json!({ "audience": { "not": got("x") } });
    world.put("/v1/campaigns/also", also).await.ok();
    world.start("also").await.ok();
    let held = data(&world, "x").await;
    assert_eq!(held["expires_at"], Value::Null);
    let by = json!([
        { "source": "campaign/also", "via": [] }, { "source": "campaign/vip", "via": [] }
    ]);
    assert_eq!(held["held_by"], by);
    world.advance("P12M");
    assert_eq!(world.sweep().await.expired, 0);
    assert_eq!(world.state("x").await, "available");

    let stopped = world.stop("vip").await;
    assert_eq!(stopped["now_due"], json!([]), "another holder is left");
    assert_eq!(world.sweep().await.expired, 0);
    // When the last holder stops, no new three months begin.
    let stopped = world.stop("also").await;
    assert_eq!(named(&stopped["now_due"]), ["campaign/x"]);
    let due = data(&world, "x").await;
    assert_eq!(due["held_by"], json!([]));
    assert_eq!(
        due["expires_at"],
        world.clock.now_still().to_string(),
        "at the end of the notice, here at once"
    );
    assert_eq!(world.sweep().await.expired, 1);
    assert_eq!(world.state("x").await, "expired");
}

#[tokio::test(start_paused = true)]
async fn l6_editing_an_active_audience_moves_the_hold() {
    let world = world_with(&["x", "y"]).await;
    world.start("vip").await.ok();
    world.advance("P4M");
    assert_eq!(world.sweep().await.expired, 1, "y");
    assert_eq!(world.state("x").await, "available");
    // An audience cannot change to expired data: the edit is refused and changes nothing.
    let before = world.campaign("vip").await;
    let to_y = json!({ "audience": got("y") });
    let refused = world.put("/v1/campaigns/vip", to_y.clone()).await;
    let refused = refused.problem(409, "expired_interaction_data");
    assert_eq!(refused["expired"], json!(["campaign/y"]));
    assert_eq!(world.campaign("vip").await, before);
    assert_eq!(data(&world, "x").await["held_by"][0]["source"], "campaign/vip");
    world.restore(&["campaign/y"]).await;
    let moved = world.put("/v1/campaigns/vip", to_y).await.ok();
    assert_eq!(named(&moved["now_due"]), ["campaign/x"]);
    assert_eq!(data(&world, "y").await["held_by"][0]["source"], "campaign/vip");
    world.advance("P4M");
    assert_eq!(world.sweep().await.expired, 1, "x");
    assert_eq!(world.state("y").await, "available");
    // A source that names itself holds nothing.
    let itself = json!({ "audience": { "not": got("vip") } });
    world.put("/v1/campaigns/vip", itself).await.ok();
    assert_eq!(data(&world, "vip").await["held_by"], json!([]));
    assert_eq!(data(&world, "y").await["held_by"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn l6_starting_needs_what_is_expired_and_nothing_changes() {
    let world = world_with(&["x", "y"]).await;
    let both = json!({ "audience": { "any": [got("x"), got("y")] } });
    world.put("/v1/campaigns/vip", both).await.ok();
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 2);
    let before = world.campaign("vip").await;
    let refused = world.start("vip").await;
    let refused = refused.problem(409, "expired_interaction_data");
    assert_eq!(refused["expired"], json!(["campaign/x", "campaign/y"]));
    assert_eq!(world.campaign("vip").await, before);
    assert_eq!(data(&world, "x").await["held_by"], json!([]));
    assert_eq!(world.timeline("vip").await, ["registered", "edited"]);
    // A source whose own data is expired or being restored does not start either.
    let own = world.start("x").await;
    let own = own.problem(409, "expired_interaction_data");
    assert_eq!(own["expired"], json!(["campaign/x"]));
    assert_eq!(world.campaign("x").await["status"], "stopped");
    world.restore(&["campaign/x"]).await;
    let refused = world.start("vip").await;
    let refused = refused.problem(409, "expired_interaction_data");
    assert_eq!(refused["expired"], json!(["campaign/y"]));
    world.restore(&["campaign/y"]).await;
    assert_eq!(world.start("vip").await.ok()["status"], "active");
    assert_eq!(world.start("vip").await.ok()["status"], "active", "starting again is allowed");
    world.advance("P12M");
    assert_eq!(world.sweep().await.expired, 0);
    // Starting clears `stopped_at`, stopping sets it anew.
    assert_eq!(world.start("x").await.ok()["stopped_at"], Value::Null);
    let stopped = world.stop("x").await;
    assert_eq!(stopped["stopped_at"], "2028-04-01T00:00:00.000Z");
    let unknown = world.post("/v1/campaigns/nobody/start", Value::Null).await;
    unknown.problem(404, "unknown_source");
    world.put("/v1/campaigns/draft", json!({})).await.ok();
    let draft = world.post("/v1/campaigns/draft/stop", Value::Null).await;
    draft.problem(409, "not_started");
}

/// The way in which somebody begins to need data while it is being expired.
#[derive(Clone, Copy, Debug)]
enum Keep {
    HolderStarts,
    SourceStarts,
    AudienceEdited,
}

/// At every moment of an expiry, a request begins to need the data. Either the request is refused and the data expires, or it
/// is granted and the data stays.
#[tokio::test(start_paused = true)]
async fn l6_no_interleaving_expires_what_is_held() {
    for keep in [Keep::HolderStarts, Keep::SourceStarts, Keep::AudienceEdited] {
        let (mut granted, mut refused) = (0, 0);
        for millis in 0.. {
            let world = world_with(&["x"]).await;
            let idle = json!({ "audience": null });
            world.put("/v1/campaigns/idle", idle).await.ok();
            world.start("idle").await.ok();
            world.advance("P3M");
            // Each reading of the clock takes a millisecond, so the budget ends somewhere within the work.
            let budget = Budget::until(world.clock.now_still().plus(millis));
            world.clock.tick_by(1);
            let report = world.app().sweep(&budget).await.unwrap();
            world.clock.tick_by(0);
            let answer = match keep {
                Keep::HolderStarts => world.start("vip").await,
                Keep::SourceStarts => world.start("x").await,
                Keep::AudienceEdited => {
                    let audience = json!({ "audience": got("x") });
                    world.put("/v1/campaigns/idle", audience).await
                }
            };
            let what = format!("{keep:?} after {millis} ms: {report:?}");
            if answer.status.is_success() {
                granted += 1;
                assert_eq!(report.expired, 0, "{what}");
                world.advance("PT1H");
                world.settle().await;
                world.clean_up().await;
                world.clean_up().await;
                assert_eq!(world.state("x").await, "available", "{what}");
                assert_eq!(world.count(&got("x")).await, 20, "{what}");
                world.assert_no_orphans(&["x"]).await;
                assert!(world.archive().await.is_empty(), "{what}");
            } else {
                refused += 1;
                answer.problem(409, "expired_interaction_data");
                assert_eq!(world.state("x").await, "expired", "{what}");
                assert_eq!(data(&world, "x").await["held_by"], json!([]), "{what}");
                if refused > 2 {
                    break;
                }
            }
        }
        assert!(granted >= 4, "{keep:?}: only {granted} requests were granted");
    }
}
