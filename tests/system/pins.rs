//! Pins: pinned data does not expire, and a pin does not move the date of the expiry.

use crate::fixture::{
    faults::Fault,
    world::{World, got, sweep_with},
};
use axum::body::Body;
use http::{Method, Request};
use rekindle_service::Budget;
use serde_json::{Value, json};

/// A stopped campaign `x` with data, due on 1 April 2027.
async fn world(seed: u64) -> World {
    let world = World::new(seed).await;
    world.begin("x").await;
    world.ingest_received("x", "u", 20).await;
    world.stop("x").await;
    world
}

async fn data(world: &World) -> Value {
    world.campaign("x").await["interaction_data"].clone()
}

async fn pin(world: &World, until: Value) -> crate::fixture::world::Answer {
    world.post("/v1/campaigns/x/pin", json!({ "until": until, "reason": "an audit" })).await
}

async fn unpin(world: &World) -> Value {
    world.call(Method::DELETE, "/v1/campaigns/x/pin", &Value::Null).await.ok()
}

#[tokio::test(start_paused = true)]
async fn l6_a_pin_keeps_data_until_it_is_taken_away_and_gives_no_fresh_months() {
    let world = world(100).await;
    assert_eq!(data(&world).await["expires_at"], "2027-04-01T00:00:00.000Z");
    let pinned = pin(&world, Value::Null).await.ok()["interaction_data"].clone();
    let by = "key/00000000000000000000000ADM";
    let shown = json!({ "by": by, "at": "2027-01-01T00:00:00.000Z", "until": null, "reason": "an audit" });
    assert_eq!((&pinned["pin"], &pinned["expires_at"]), (&shown, &Value::Null));
    world.advance("P2Y");
    world.settle().await;
    assert_eq!(data(&world).await["state"], "available");
    assert_eq!(world.count(&got("x")).await, 20);

    let unpinned = unpin(&world).await["interaction_data"].clone();
    // Its time is over: it goes at the end of the notice, here at once.
    let now = world.clock.now_still().to_string();
    assert_eq!((&unpinned["pin"], &unpinned["expires_at"]), (&Value::Null, &now.into()));
    assert_eq!(
        unpin(&world).await["interaction_data"],
        unpinned,
        "unpinning again is allowed and changes nothing"
    );
    assert_eq!(world.sweep().await.expired, 1, "no new three months begin");
    assert_eq!(
        world.timeline("x").await,
        ["registered", "started", "stopped", "pinned", "unpinned", "expired"]
    );
}

#[tokio::test(start_paused = true)]
async fn l9_data_goes_when_its_pin_ends_or_when_it_is_due_whichever_is_later() {
    for (until, goes) in [
        ("2027-02-01T00:00:00.000Z", "2027-04-01T00:00:00.000Z"),
        ("2027-09-01T00:00:00.000Z", "2027-09-01T00:00:00.000Z"),
    ] {
        let world = world(101).await;
        let pinned = pin(&world, until.into()).await.ok()["interaction_data"].clone();
        assert_eq!((&pinned["expires_at"], &pinned["pin"]["until"]), (&goes.into(), &until.into()));
        world.clock.set(
            goes.parse::<jiff::Timestamp>()
                .map(|t| rekindle_domain::time::Time(t.as_millisecond() - 1))
                .unwrap(),
        );
        assert_eq!(world.sweep().await.expired, 0, "until {until}");
        let is_over = until < goes;
        assert_eq!(data(&world).await["pin"].is_null(), is_over, "the pin is shown while it is in force");
        world.advance("PT0.001S");
        // No request is made: the sweeper finds the source by itself.
        assert_eq!(world.sweep().await.expired, 1, "until {until}");
    }
}

#[tokio::test(start_paused = true)]
async fn pins_are_replaced_and_need_data_that_is_available() {
    let world = world(102).await;
    pin(&world, "2027-02-01T00:00:00Z".into()).await.ok();
    let replaced = pin(&world, "2028-01-01T00:00:00Z".into()).await.ok();
    assert_eq!(replaced["interaction_data"]["expires_at"], "2028-01-01T00:00:00.000Z");
    unpin(&world).await;
    // A pin that is set while the source is active keeps the data after the stop.
    world.start("x").await.ok();
    pin(&world, Value::Null).await.ok();
    world.stop("x").await;
    world.advance("P1Y");
    assert_eq!(world.sweep().await.expired, 0);
    unpin(&world).await;
    assert_eq!(world.sweep().await.expired, 1);
    let refused = pin(&world, Value::Null).await.problem(409, "expired_interaction_data");
    assert_eq!(refused["expired"], json!(["campaign/x"]));
    world.request_restore(&["campaign/x"], &[]).await;
    world.drain().await;
    pin(&world, Value::Null).await.ok();
    let unknown = world.post("/v1/campaigns/nobody/pin", json!({ "reason": "x" })).await;
    unknown.problem(404, "unknown_source");

    world.put("/v1/canvases/x", json!({})).await.ok();
    let canvas = world.post("/v1/canvases/x/pin", json!({ "reason": "a Canvas's" })).await.ok();
    assert_eq!(canvas["interaction_data"]["pin"]["reason"], "a Canvas's");
    assert_eq!(data(&world).await["pin"]["reason"], "an audit", "another source's");
    let canvas = world.call(Method::DELETE, "/v1/canvases/x/pin", &Value::Null).await.ok();
    assert_eq!(canvas["interaction_data"]["pin"], Value::Null);
}

/// At every moment of an expiry, a request pins the data. Either it is refused and the data expires, or it is granted and the
/// data stays.
#[tokio::test(start_paused = true)]
async fn l6_no_interleaving_expires_what_is_pinned() {
    let (mut granted, mut refused) = (0, 0);
    for millis in 0.. {
        let world = world(103).await;
        world.advance("P3M");
        // Each reading of the clock takes a millisecond, so the budget ends somewhere within the work.
        let budget = Budget::until(world.clock.now_still().plus(millis));
        world.clock.tick_by(1);
        let report = world.app().sweep(&budget).await.unwrap();
        world.clock.tick_by(0);
        let answer = pin(&world, Value::Null).await;
        let what = format!("after {millis} ms: {report:?}");
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
            if refused > 2 {
                break;
            }
        }
    }
    assert!(granted >= 4, "only {granted} pins were granted");
}

/// The same with the pin and the sweeper at once, interleaved call by call.
#[tokio::test(start_paused = true)]
async fn l6_a_pin_and_a_sweeper_at_once() {
    let (mut kept, mut gone) = (0, 0);
    for seed in 0..40 {
        let world = world(seed).await;
        world.advance("P3M");
        let sweeper = world.doomed(Fault::Dawdles, seed as usize * 10 + 1);
        let person = world.doomed(Fault::Dawdles, seed as usize * 10 + 2);
        let pin = async {
            // In later rounds the pin waits longer, so that the expiry has come further.
            for _ in 0..seed * seed * 4 {
                tokio::task::yield_now().await;
            }
            let body = Body::from(json!({ "reason": "an audit" }).to_string());
            let request = Request::post("/v1/campaigns/x/pin").body(body).unwrap();
            tower::ServiceExt::oneshot(person.router.clone(), request).await.unwrap().status().is_success()
        };
        let (report, is_pinned) = tokio::join!(sweep_with(&sweeper.stack), pin);
        assert_eq!(report.failed, 0, "seed {seed}: {report:?}");
        world.settle().await;
        let state = if is_pinned { "available" } else { "expired" };
        assert_eq!(world.state("x").await, state, "seed {seed}: {report:?}");
        *if is_pinned { &mut kept } else { &mut gone } += 1;
    }
    assert!(kept > 3 && gone > 3, "{kept} kept, {gone} gone");
}
