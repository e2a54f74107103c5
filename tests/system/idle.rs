//! Idle sources: a person stops them as of a past time, or the sweeper stops them.

use crate::fixture::{
    faults::Fault,
    world::{World, got, local_settings, named, received, sweep_with},
};
use rekindle_domain::{id::SourceId, time::Period};
use rekindle_service::{Budget, Settings};
use serde_json::{Value, json};

/// A world that stops sources after thirty idle days.
async fn world(seed: u64) -> World {
    let period = |text| Period::parse(text).unwrap();
    let auto_stop_after = Some(period("P30D"));
    World::with(seed, Settings { auto_stop_after, ..local_settings(period("P3M")) }).await
}

async fn stop_at(world: &World, at: Value) -> crate::fixture::world::Answer {
    world.post("/v1/campaigns/x/stop", json!({ "at": at })).await
}

#[tokio::test(start_paused = true)]
async fn stopping_takes_a_past_time() {
    let world = World::new(110).await;
    world.advance("P1D");
    world.begin("x").await;
    world.ingest_received("x", "u", 5).await;
    world.advance("P4M");
    for (at, says) in [("1999-12-31T23:59:59Z", "2000-01-01T00:00:00.000Z"), ("2027-05-02T00:00:01Z", "now")]
    {
        let refused = stop_at(&world, at.into()).await.problem(422, "invalid_at");
        assert!(refused["detail"].as_str().unwrap().contains(says), "{refused}");
    }
    assert_eq!(world.campaign("x").await["status"], "active");
    let stopped = stop_at(&world, "2027-01-15T00:00:00Z".into()).await.ok();
    assert_eq!(stopped["stopped_at"], "2027-01-15T00:00:00.000Z");
    // The three months count from the given time and are over already: the data goes at the end of the notice, here at once.
    assert_eq!(stopped["interaction_data"]["expires_at"], "2027-05-02T00:00:00.000Z");
    assert_eq!(named(&stopped["now_due"]), ["campaign/x"]);
    let timeline = world.get("/v1/campaigns/x/timeline?limit=1").await.ok();
    assert_eq!(timeline["items"][0]["at"], "2027-05-02T00:00:00.000Z", "the time of the request");
    assert_eq!(timeline["items"][0]["detail"], "as of 2027-01-15T00:00:00.000Z");
    // The same request again is allowed, one with another time is not.
    assert_eq!(
        stop_at(&world, "2027-01-15T00:00:00Z".into()).await.ok()["updated_at"],
        stopped["updated_at"]
    );
    assert_eq!(stop_at(&world, Value::Null).await.ok()["stopped_at"], stopped["stopped_at"]);
    stop_at(&world, "2027-01-16T00:00:00Z".into()).await.problem(409, "already_stopped");
    assert_eq!(world.sweep().await.expired, 1);
    world.put("/v1/campaigns/draft", json!({})).await.ok();
    let draft = world.post("/v1/campaigns/draft/stop", json!({ "at": "2027-05-02T00:00:00Z" })).await;
    draft.problem(409, "not_started");
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_is_stopped_once_and_its_people_are_told() {
    let world = world(111).await;
    let notified = json!({ "notify": ["me@example.com", "you@example.com"] });
    world.put("/v1/campaigns/idle", notified.clone()).await.ok();
    world.put("/v1/campaigns/draft", notified.clone()).await.ok();
    world.put("/v1/campaigns/busy", notified).await.ok();
    world.start("idle").await.ok();
    world.start("busy").await.ok();
    // `idle` is registered on first sight, and gets nothing more.
    world.ingest(&[received("seen", "u"), received("idle", "u"), received("busy", "u")]).await;
    world.ingest(&[json!({ "user_id": "u", "canvas_id": "seen", "type": "entered" })]).await;
    for day in 0..32 {
        world.advance("P1D");
        world.ingest(&[received("busy", &format!("u{day}"))]).await;
        world.settle().await;
        if day == 28 {
            assert_eq!(world.campaign("idle").await["status"], "active");
        }
    }
    for (path, status) in [
        ("/v1/campaigns/idle", "stopped"),
        ("/v1/campaigns/seen", "stopped"),
        ("/v1/canvases/seen", "stopped"),
        ("/v1/campaigns/busy", "active"),
        ("/v1/campaigns/draft", "draft"),
    ] {
        assert_eq!(world.get(path).await.ok()["status"], status, "{path}");
    }
    let idle = world.campaign("idle").await;
    // The time of retention counts from the stop, of which people are told, so that no data expires without warning.
    assert_eq!(idle["stopped_at"], "2027-02-02T00:00:00.000Z");
    assert_eq!(idle["interaction_data"]["expires_at"], "2027-05-02T00:00:00.000Z");
    let timeline = world.get("/v1/campaigns/idle/timeline?limit=1").await.ok();
    let entry = &timeline["items"][0];
    assert_eq!((&entry["event"], &entry["by"]), (&"stopped".into(), &"sweeper".into()));
    assert_eq!(entry["detail"], "no interactions since 2027-01-01T00:00:00.000Z");
    for address in ["me@example.com", "you@example.com"] {
        let mails = world.mails_to(address);
        assert_eq!(mails.len(), 1, "{address}: once");
        assert!(mails[0].subject.contains("campaign/idle was stopped"), "{}", mails[0].subject);
        assert!(mails[0].text.contains("expires 2027-05-02T00:00:00.000Z"), "{}", mails[0].text);
        assert!(mails[0].text.contains("POST /v1/campaigns/idle/start"), "{}", mails[0].text);
    }
    // After a start it has thirty more days.
    world.start("idle").await.ok();
    world.advance("P29D");
    world.settle().await;
    assert_eq!(world.campaign("idle").await["status"], "active");
    world.advance("P3D");
    world.settle().await;
    assert_eq!(world.campaign("idle").await["status"], "stopped");
    assert_eq!(
        world.mails_to("me@example.com").len(),
        3,
        "also for the second stop of `idle` and the stop of `busy`"
    );
}

/// A source that is stopped for being idle holds nothing any more, like one that a person stops.
#[tokio::test(start_paused = true)]
async fn l6_what_is_stopped_for_being_idle_holds_nothing() {
    let world = world(112).await;
    world.begin("x").await;
    world.ingest_received("x", "u", 5).await;
    world.stop("x").await;
    world.put("/v1/campaigns/vip", json!({ "audience": got("x") })).await.ok();
    world.advance("P2M27D");
    world.start("vip").await.ok();
    world.advance("P20D");
    assert_eq!(world.sweep().await.expired, 0, "held");
    world.advance("P14D");
    world.settle().await;
    let timeline = world.timeline("vip").await;
    assert_eq!(timeline, ["registered", "started", "stopped"]);
    assert_eq!(world.state("x").await, "expired");
}

#[tokio::test(start_paused = true)]
async fn l8_several_sweepers_stop_it_once() {
    for seed in 0..12 {
        let world = world(seed).await;
        world.put("/v1/campaigns/x", json!({ "notify": ["me@example.com"] })).await.ok();
        world.start("x").await.ok();
        world.advance("P40D");
        let [one, other] = [1, 2].map(|i| world.doomed(Fault::Dawdles, seed as usize * 10 + i));
        let (one, other) = tokio::join!(sweep_with(&one.stack), sweep_with(&other.stack));
        assert_eq!(one.failed + other.failed, 0, "{one:?} {other:?}");
        world.settle().await;
        assert_eq!(world.timeline("x").await, ["registered", "started", "stopped"], "seed {seed}");
        assert_eq!(world.mails_to("me@example.com").len(), 1, "seed {seed}");
    }
}

/// Interactions arrive while the sweeper stops an idle source, in any interleaving. Either the source is stopped, or the
/// arrival is noted and the source stays active.
#[tokio::test(start_paused = true)]
async fn l1_interactions_and_a_sweeper_at_once() {
    for seed in 0..12 {
        let world = world(seed).await;
        world.begin("x").await;
        world.advance("P40D");
        let [one, other] = [1, 2].map(|i| world.doomed(Fault::Dawdles, seed as usize * 10 + i));
        let post = http::Request::post("/v1/interactions")
            .body(axum::body::Body::from(json!([received("x", "u")]).to_string()))
            .unwrap();
        let post = tower::ServiceExt::oneshot(other.router.clone(), post);
        let (report, answer) = tokio::join!(sweep_with(&one.stack), post);
        assert_eq!((report.failed, answer.unwrap().status().as_u16()), (0, 200));
        world.settle().await;
        let stops = world.timeline("x").await.iter().filter(|e| *e == "stopped").count();
        assert!(stops <= 1);
        let source: SourceId = "campaign/x".parse().unwrap();
        let source = world.app().store.catalog.source(&source).await.unwrap().unwrap();
        assert_eq!(source.idle_at.is_none(), stops == 1, "seed {seed}");
        assert_eq!(world.count(&got("x")).await, 1);
    }
}

/// The arrival of interactions is noted once a day, however many arrive.
#[tokio::test(start_paused = true)]
async fn notes_of_arrival_are_few() {
    let world = world(113).await;
    world.begin("x").await;
    world.ingest(&[received("x", "u")]).await;
    let version = async || world.get("/v1/campaigns/x").await.headers["etag"].to_str().unwrap().to_owned();
    let before = version().await;
    for hour in 0..23 {
        world.advance("PT1H");
        world.ingest(&[received("x", &format!("u{hour}"))]).await;
    }
    assert_eq!(version().await, before, "no second note within a day");
    let updated_at = world.campaign("x").await["updated_at"].clone();
    world.advance("PT1H");
    world.ingest(&[received("x", "v")]).await;
    assert_ne!(version().await, before);
    assert_eq!(world.campaign("x").await["updated_at"], updated_at, "nobody changed anything");
}

#[tokio::test(start_paused = true)]
async fn it_is_off_unless_it_is_turned_on_and_goes_by_what_is_set_now() {
    let world = World::new(114).await;
    world.begin("x").await;
    world.advance("P10Y");
    world.settle().await;
    assert_eq!(world.campaign("x").await["status"], "active");

    let world = self::world(115).await;
    world.begin("x").await;
    world.advance("P40D");
    let budget = Budget::until(world.clock.now_still().plus(60_000));
    for longer in [Some(Period::parse("P60D").unwrap()), None] {
        let mut app = world.app().clone();
        app.settings.auto_stop_after = longer;
        for _ in 0..2 {
            let report = app.sweep(&budget).await.unwrap();
            assert_eq!((report.items, report.failed), (vec![], 0));
        }
        assert!(world.app().store.catalog.due(app.clock.now(), 10).await.unwrap().is_empty(), "it rests");
    }
    assert_eq!(world.campaign("x").await["status"], "active");
}
