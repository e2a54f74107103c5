//! A source that sends is active, whoever started it, and messages after a stop keep its data.

use crate::fixture::world::{World, got, local_settings, received};
use rekindle_domain::time::{Period, Time};
use rekindle_service::Settings;
use serde_json::{Value, json};

const ME: &str = "me@example.com";

async fn world(seed: u64) -> World {
    let settings = local_settings(Period::parse("P3M").unwrap());
    let (notice_period, auto_stop_after) = (Period::of_days(1), Some(Period::parse("P30D").unwrap()));
    World::with(seed, Settings { notice_period, auto_stop_after, ..settings }).await
}

fn at(interaction: Value, time: &str) -> Value {
    let mut interaction = interaction;
    interaction["time"] = time.into();
    interaction
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_active_from_its_first_interaction_on() {
    let world = world(1).await;
    world.begin("target").await;
    world.ingest_received("target", "u", 3).await;
    world.stop("target").await;
    world.put("/v1/campaigns/x", json!({ "audience": got("target"), "notify": [ME] })).await.ok();
    world.ingest(&[at(received("x", "u1"), "2026-12-30T00:00:00Z")]).await;
    let x = world.campaign("x").await;
    assert_eq!((&x["status"], &x["started_at"]), (&"active".into(), &"2026-12-30T00:00:00.000Z".into()));
    assert_eq!(world.timeline("x").await, ["registered", "started"]);
    // The next sweep makes it a holder of the data that it retargets.
    world.settle().await;
    let target = world.campaign("target").await;
    assert_eq!(target["interaction_data"]["held_by"], json!([{ "source": "campaign/x", "via": [] }]));
    // It can be stopped, is listed, and expires.
    world.stop("x").await;
    let listed = world.get("/v1/expirations?until=2027-06-01T00:00:00Z").await.ok();
    let listed: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|e| e["source"].as_str().unwrap()).collect();
    assert_eq!(listed, ["campaign/target", "campaign/x"]);
    world.advance("P2M28D");
    world.settle().await;
    world.advance("P5D");
    world.settle().await;
    assert_eq!(world.state("x").await, "expired");
    // A draft without interactions is still a draft.
    world.put("/v1/campaigns/draft", json!({})).await.ok();
    world.post("/v1/campaigns/draft/stop", Value::Null).await.problem(409, "not_started");
}

/// Registers the draft `campaign/x`, whose audience names `campaign/target`, of which the data is expired.
async fn register_over_expired_data(world: &World) {
    world.begin("target").await;
    world.ingest_received("target", "u", 3).await;
    world.stop("target").await;
    world.put("/v1/campaigns/x", json!({ "audience": got("target") })).await.ok();
    world.advance("P2M28D");
    world.settle().await;
    world.advance("P5D");
    world.settle().await;
    assert_eq!(world.state("target").await, "expired");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_held_is_said_once_and_held_when_it_is_back() {
    let world = world(2).await;
    register_over_expired_data(&world).await;
    world.ingest(&[received("x", "u1")]).await;
    for _ in 0..3 {
        world.settle().await;
        world.advance("P1D");
    }
    assert_eq!(world.timeline("x").await, ["registered", "started", "holding_failed"]);
    world.restore(&["campaign/target"]).await;
    world.advance("P1D");
    world.settle().await;
    let target = world.campaign("target").await;
    assert_eq!(target["interaction_data"]["held_by"], json!([{ "source": "campaign/x", "via": [] }]));
    world.stop("x").await;
    assert_eq!(world.campaign("target").await["interaction_data"]["held_by"], json!([]));
}

/// A source whose audience names expired data can be renamed, and stops by itself like any other.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_held_keeps_nobody_from_the_rest_of_its_life() {
    let world = world(7).await;
    register_over_expired_data(&world).await;
    world.ingest(&[received("x", "u1")]).await;
    world.settle().await;
    assert_eq!(world.timeline("x").await, ["registered", "started", "holding_failed"]);
    let patch = async |body: Value| world.call(http::Method::PATCH, "/v1/campaigns/x", &body).await;
    patch(json!({ "name": "X", "notify": [ME] })).await.ok();
    let other = json!({ "audience": { "received": { "channel": "push" } } });
    patch(other).await.problem(409, "expired_interaction_data");
    world.advance("P32D");
    world.settle().await;
    assert_eq!(world.campaign("x").await["status"], "stopped");
    let mut days = 0;
    while world.state("x").await != "expired" {
        world.advance("P1D");
        world.settle().await;
        days += 1;
        assert!(days < 100, "its data expires");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stopped_by_itself_starts_by_itself() {
    let world = world(3).await;
    world.begin("x").await;
    world.ingest_received("x", "u", 3).await;
    world.advance("P40D");
    world.settle().await;
    assert_eq!(world.campaign("x").await["status"], "stopped");
    // An open of an old message says nothing; a new message does.
    world
        .ingest(&[json!({ "user_id": "u1", "campaign_id": "x", "type": "opened", "channel": "email" })])
        .await;
    assert_eq!(world.campaign("x").await["status"], "stopped");
    world.advance("P1D");
    world.ingest_received("x", "v", 1).await;
    let x = world.campaign("x").await;
    assert_eq!((&x["status"], &x["stopped_at"]), (&"active".into(), &Value::Null));
    assert_eq!(world.timeline("x").await, ["registered", "started", "stopped", "started"]);
}

#[tokio::test(start_paused = true)]
async fn messages_after_a_stop_keep_the_data_and_people_are_told_once() {
    let world = world(4).await;
    world.put("/v1/campaigns/x", json!({ "notify": [ME] })).await.ok();
    world.start("x").await.ok();
    world.ingest_received("x", "u", 3).await;
    world.stop("x").await;
    let mut last = world.clock.now_still();
    for month in 0..4 {
        world.advance("P1M");
        world.ingest_received("x", &format!("m{month}"), 1).await;
        last = world.clock.now_still();
        world.settle().await;
    }
    assert_eq!(
        (&world.campaign("x").await["status"], &*world.state("x").await),
        (&"stopped".into(), "available")
    );
    let due = Period::parse("P3M").unwrap().after(last).unwrap();
    assert_eq!(world.campaign("x").await["interaction_data"]["expires_at"], due.to_string());
    let mails = world.mails_to(ME);
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].subject, "campaign/x is stopped, and still sends");
    assert!(mails[0].text.contains("POST /v1/campaigns/x/start"), "{}", mails[0].text);
    assert_eq!(world.timeline("x").await.iter().filter(|e| *e == "sent_after_stop").count(), 1);
    world.clock.set(due.plus(-7 * 24 * 3_600_000));
    world.settle().await;
    world.clock.set(due);
    world.settle().await;
    assert_eq!(world.state("x").await, "expired");
}

/// A history of last year, imported today, is stopped as of its last message.
#[tokio::test(start_paused = true)]
async fn an_imported_history_has_its_own_times() {
    let world = world(5).await;
    world
        .ingest(&[
            at(received("x", "u1"), "2026-03-01T10:00:00Z"),
            at(received("x", "u2"), "2026-03-20T10:00:00Z"),
        ])
        .await;
    assert_eq!(world.campaign("x").await["started_at"], "2026-03-01T10:00:00.000Z");
    let stop = json!({ "at": "2026-03-20T10:00:00Z" });
    let stopped = world.post("/v1/campaigns/x/stop", stop).await.ok();
    let date = Time::parse(stopped["interaction_data"]["expires_at"].as_str().unwrap()).unwrap();
    assert!(date > world.clock.now_still());
    assert_eq!(stopped["now_due"], json!([{ "source": "campaign/x", "expires_at": date.to_string() }]));
    world.settle().await;
    assert_eq!(world.state("x").await, "available");
    world.clock.set(date);
    world.settle().await;
    assert_eq!(world.state("x").await, "expired");
    // A later part of the import, as late as it comes, changes nothing about the stop.
    world.ingest(&[at(received("x", "u3"), "2026-03-10T10:00:00Z")]).await;
    assert_eq!(world.campaign("x").await["stopped_at"], "2026-03-20T10:00:00.000Z");
    // A registered campaign that was started today may be stopped as of then, too; but not in the future.
    world.begin("y").await;
    world.ingest(&[at(received("y", "u1"), "2026-03-01T10:00:00Z")]).await;
    let y = world.post("/v1/campaigns/y/stop", json!({ "at": "2026-03-05T00:00:00Z" })).await.ok();
    assert_eq!(
        (&y["started_at"], &y["stopped_at"]),
        (&"2026-03-05T00:00:00.000Z".into(), &"2026-03-05T00:00:00.000Z".into())
    );
}
