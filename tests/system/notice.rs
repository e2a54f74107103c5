//! L10: nothing expires unannounced. Whatever makes data due, a mail goes out, and the notice passes in which the act can be
//! undone.

use crate::fixture::world::{World, got, local_settings};
use rekindle_domain::time::{Period, Time};
use rekindle_service::Settings;
use serde_json::{Value, json};

const STACK: &str = "stack@example.com";

/// A world with a notice of a day whose mails go to [`STACK`].
async fn world(seed: u64) -> World {
    let settings = local_settings(Period::parse("P3M").unwrap());
    let (notify, notice_period) = (vec![STACK.to_owned()], Period::of_days(1));
    World::with(seed, Settings { notify, notice_period, ..settings }).await
}

async fn stopped(world: &World, id: &str) {
    world.begin(id).await;
    world.ingest_received(id, "u", 3).await;
    world.stop(id).await;
}

/// The expiry date of a campaign's data.
async fn expires_at(world: &World, id: &str) -> Option<Time> {
    world.campaign(id).await["interaction_data"]["expires_at"].as_str().and_then(Time::parse)
}

/// Checks that `now_due` names campaign `x` alone with a date after the notice, that a mail says the date, and that the data
/// stays until then and not longer.
async fn assert_announced(world: &World, now_due: &Value, what: &str) {
    let now = world.clock.now_still();
    let date = expires_at(world, "x").await.expect("a date");
    assert_eq!(*now_due, json!([{ "source": "campaign/x", "expires_at": date.to_string() }]), "{what}");
    let early = Period::of_days(1).after(now).unwrap();
    assert!(date >= early && date < early.plus(2 * 3_600_000), "{what}: {date}");
    let before = world.mails_to(STACK).len();
    world.settle().await;
    let mails = world.mails_to(STACK);
    assert_eq!(mails.len(), before + 1, "{what}");
    assert_eq!(mails[before].subject, format!("Interaction data of campaign/x expires {date}"), "{what}");
    assert_eq!(expires_at(world, "x").await, Some(date), "{what}: the mail moves no date");
    world.clock.set(date.plus(-1));
    world.settle().await;
    assert_eq!(world.state("x").await, "available", "{what}");
}

/// Lets the date pass that [`assert_announced`] stopped before.
async fn assert_expires(world: &World, what: &str) {
    world.clock.set(expires_at(world, "x").await.expect("a date"));
    assert_eq!(world.state("x").await, "expiring", "{what}: a past date says so");
    world.settle().await;
    assert_eq!(world.state("x").await, "expired", "{what}");
}

/// Makes the acts below possible: `x` is over its time, and kept by an audience, a segment and a pin.
async fn kept(seed: u64) -> World {
    let world = world(seed).await;
    stopped(&world, "x").await;
    world.advance("P3M");
    world
}

#[tokio::test(start_paused = true)]
async fn l10_the_stop_of_the_last_holder_is_announced_and_can_be_undone() {
    let world = world(1).await;
    stopped(&world, "x").await;
    world.put("/v1/campaigns/vip", json!({ "audience": got("x") })).await.ok();
    world.start("vip").await.ok();
    world.advance("P4M");
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 0, "held data is not announced");
    let stopped = world.stop("vip").await;
    assert_announced(&world, &stopped["now_due"], "stop").await;
    // Undone within the notice, and done again: the notice begins anew, and so do the mails.
    world.start("vip").await.ok();
    assert_eq!(expires_at(&world, "x").await, None);
    world.advance("P2D");
    world.settle().await;
    assert_eq!(world.state("x").await, "available");
    let stopped = world.stop("vip").await;
    assert_announced(&world, &stopped["now_due"], "stop again").await;
    assert_expires(&world, "stop").await;
}

#[tokio::test(start_paused = true)]
async fn l10_edits_of_audiences_and_segments_are_announced() {
    for by_segment in [false, true] {
        let world = world(2).await;
        stopped(&world, "x").await;
        stopped(&world, "other").await;
        world.put("/v1/segments/s", json!({ "filter": got("x") })).await.ok();
        let audience = if by_segment { json!({ "segment": "s" }) } else { got("x") };
        world.put("/v1/campaigns/vip", json!({ "audience": audience })).await.ok();
        world.start("vip").await.ok();
        // `other` is kept for itself, so that both edits are about `x` alone.
        world.post("/v1/campaigns/other/pin", json!({ "reason": "an audit" })).await.ok();
        world.advance("P4M");
        world.settle().await;
        let edited = if by_segment {
            world.put("/v1/segments/s", json!({ "filter": got("other") })).await.ok()
        } else {
            world.put("/v1/campaigns/vip", json!({ "audience": got("other") })).await.ok()
        };
        assert_announced(&world, &edited["now_due"], "edit").await;
        assert_expires(&world, "edit").await;
    }
}

#[tokio::test(start_paused = true)]
async fn l10_the_end_of_a_pin_and_a_stop_dated_back_are_announced() {
    let world = kept(3).await;
    world.post("/v1/campaigns/x/pin", json!({ "reason": "an audit" })).await.ok();
    world.advance("P1M");
    world.settle().await;
    let unpinned = world.call(http::Method::DELETE, "/v1/campaigns/x/pin", &Value::Null).await.ok();
    assert_announced(&world, &unpinned["now_due"], "unpin").await;
    assert_expires(&world, "unpin").await;

    let world = self::world(4).await;
    world.begin("x").await;
    world.ingest_received("x", "u", 3).await;
    world.advance("P4M");
    let stopped = world.post("/v1/campaigns/x/stop", json!({ "at": "2027-01-02T00:00:00Z" })).await.ok();
    assert_announced(&world, &stopped["now_due"], "stop dated back").await;
    assert_expires(&world, "stop dated back").await;
}

/// A sweeper that was down for months does not take data by surprise.
#[tokio::test(start_paused = true)]
async fn l10_a_late_sweep_puts_the_date_off() {
    let world = kept(5).await;
    assert_eq!(world.sweep().await.expired, 0);
    world.drain().await;
    let mails = world.mails_to(STACK);
    let date = expires_at(&world, "x").await.unwrap();
    assert_eq!(mails[0].subject, format!("Interaction data of campaign/x expires {date}"));
    assert!(date >= world.clock.now_still().plus(24 * 3_600_000));
    assert_expires(&world, "late").await;
}

/// A second act on a day is told of on that day: the mail of tomorrow would leave less than the notice.
#[tokio::test(start_paused = true)]
async fn l10_urgent_news_does_not_wait_for_tomorrow() {
    let world = world(6).await;
    for id in ["a", "b"] {
        stopped(&world, id).await;
        world.post(&format!("/v1/campaigns/{id}/pin"), json!({ "reason": "an audit" })).await.ok();
    }
    world.advance("P4M");
    for (id, hours) in [("a", "PT1H"), ("b", "PT1M")] {
        world.advance(hours);
        world.call(http::Method::DELETE, &format!("/v1/campaigns/{id}/pin"), &Value::Null).await.ok();
        world.settle().await;
    }
    let mails = world.mails_to(STACK);
    assert_eq!(mails.len(), 2);
    for (mail, id) in mails.iter().zip(["a", "b"]) {
        let date = expires_at(&world, id).await.unwrap();
        assert_eq!(mail.subject, format!("Interaction data of campaign/{id} expires {date}"));
    }
}

/// The data's time is over, and a pin ends within the notice: one mail, and the date that it names.
#[tokio::test(start_paused = true)]
async fn a_pin_that_ends_within_the_notice_is_announced_once() {
    let world = world(9).await;
    stopped(&world, "x").await;
    world.post("/v1/campaigns/x/pin", json!({ "reason": "an audit" })).await.ok();
    world.advance("P4M");
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 0);
    let end = world.clock.now_still().plus(6 * 3_600_000);
    let pin = json!({ "reason": "until tonight", "until": end.to_string() });
    world.post("/v1/campaigns/x/pin", pin).await.ok();
    for _ in 0..20 {
        world.settle().await;
        world.advance("PT15M");
    }
    let date = expires_at(&world, "x").await.unwrap();
    assert!(date >= end.plus(12 * 3_600_000), "a day after the pin was set: {date}");
    let mails = world.mails_to(STACK);
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].subject, format!("Interaction data of campaign/x expires {date}"));
    assert_eq!(world.timeline("x").await.iter().filter(|event| *event == "warned").count(), 1);
    world.clock.set(date.plus(-1));
    world.settle().await;
    assert_eq!(world.state("x").await, "available");
    world.clock.set(date);
    world.settle().await;
    assert_eq!(world.state("x").await, "expired");
}

/// A stop dated back that is only tried shows what the stop itself would: no date in the past.
#[tokio::test(start_paused = true)]
async fn a_stop_that_is_tried_shows_the_notice() {
    let world = world(10).await;
    world.begin("x").await;
    world.ingest_received("x", "u", 3).await;
    world.advance("P6M");
    let body = json!({ "at": "2027-01-15T00:00:00Z" });
    let tried = world.post("/v1/campaigns/x/stop?dry_run=true", body.clone()).await.ok();
    let early = Period::of_days(1).after(world.clock.now_still()).unwrap();
    let done = world.post("/v1/campaigns/x/stop", body).await.ok();
    for shown in [&tried, &done] {
        let data = &shown["interaction_data"];
        assert_eq!(data["state"], "available", "{shown}");
        let date = data["expires_at"].as_str().and_then(Time::parse).unwrap();
        assert!((early.plus(-3_600_000)..early.plus(2 * 3_600_000)).contains(&date), "{shown}");
        assert_eq!(shown["now_due"][0]["expires_at"], data["expires_at"]);
    }
}

/// Two acts let the same data go before the mail went out. **Found by the simulation**: the mail was never sent.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_warned_of_twice_before_the_mail_stands_in_it_once() {
    let world = world(11).await;
    stopped(&world, "x").await;
    let pin = json!({ "reason": "an audit" });
    world.post("/v1/campaigns/x/pin", pin.clone()).await.ok();
    world.advance("P4M");
    for _ in 0..2 {
        world.call(http::Method::DELETE, "/v1/campaigns/x/pin", &Value::Null).await.ok();
        world.sweep().await;
        world.advance("PT3H");
        world.post("/v1/campaigns/x/pin", pin.clone()).await.ok();
    }
    world.call(http::Method::DELETE, "/v1/campaigns/x/pin", &Value::Null).await.ok();
    let date = expires_at(&world, "x").await.unwrap();
    world.settle().await;
    let mails = world.mails_to(STACK);
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].subject, format!("Interaction data of campaign/x expires {date}"));
    assert_eq!(mails[0].text.matches("- campaign/x").count(), 1, "{}", mails[0].text);
    assert_eq!(world.timeline("x").await.iter().filter(|event| *event == "warned").count(), 3);
}
