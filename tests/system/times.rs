//! Times over HTTP: every place that takes one reads it by the same rule and refuses it with the same sentence.

use crate::fixture::world::{World, got, received};
use serde_json::{Value, json};

const SECONDS: &str = "`1800000000` looks like epoch seconds; send milliseconds, 1800000000000, or RFC 3339";
const DATE: &str =
    "`2026-11-22` is a date without a time; write 2026-11-22T00:00:00Z for midnight at its beginning, in UTC";

#[tokio::test(start_paused = true)]
async fn a_time_in_seconds_or_a_bare_date_is_refused_by_one_sentence_in_every_place() {
    let world = World::new(61).await;
    world.begin("a").await;
    for (sent, sentence) in
        [(json!(1_800_000_000), SECONDS), (json!("1800000000"), SECONDS), (json!("2026-11-22"), DATE)]
    {
        let says =
            |problem: Value| assert!(problem["detail"].as_str().unwrap().ends_with(sentence), "{problem}");
        let mut item = received("a", "u");
        item["time"] = sent.clone();
        let refused = world.post("/v1/interactions", json!([item])).await.problem(422, "nothing_accepted");
        assert_eq!(refused["rejected"][0]["code"], "invalid_time");
        says(refused["rejected"][0].clone());
        let stop = world.post("/v1/campaigns/a/stop", json!({ "at": sent })).await;
        says(stop.problem(400, "invalid_field"));
        let pin = world.post("/v1/campaigns/a/pin", json!({ "reason": "an audit", "until": sent })).await;
        says(pin.problem(400, "invalid_field"));
        let filter = json!({ "last_received": { "source": "campaign/a", "after": sent } });
        says(world.try_count(&filter, "refuse").await.problem(422, "invalid_filter"));
        let segment = world.put("/v1/segments/s", json!({ "filter": filter })).await;
        says(segment.problem(422, "invalid_filter"));
        let audience = world.put("/v1/campaigns/b", json!({ "audience": filter })).await;
        says(audience.problem(422, "invalid_filter"));
        let until = sent.as_str().map_or_else(|| sent.to_string(), str::to_owned);
        says(world.get(&format!("/v1/expirations?until={until}")).await.problem(400, "invalid_query"));
    }
    assert_eq!(world.campaign("a").await["status"], "active");
}

/// What a sender of milliseconds as text, or of a clock with picoseconds, means is taken as it is meant.
#[tokio::test(start_paused = true)]
async fn milliseconds_as_text_and_long_fractions_are_read() {
    let world = World::new(62).await;
    for (user, time) in [("text", "1798761600000"), ("long", "2027-01-01T00:00:00.000000000001Z")] {
        let mut item = received("a", user);
        item["time"] = time.into();
        world.ingest(&[item]).await;
    }
    assert_eq!(world.count(&got("a")).await, 2);
    let at = |before: &str| json!({ "last_received": { "source": "campaign/a", "before": before } });
    assert_eq!(world.count(&at("1798761600000")).await, 0);
    assert_eq!(world.count(&at("1798761600001")).await, 2);
    let pinned = json!({ "reason": "an audit", "until": "1798761600001" });
    let shown = world.post("/v1/campaigns/a/pin", pinned).await.ok();
    assert_eq!(shown["interaction_data"]["pin"]["until"], "2027-01-01T00:00:00.001Z");
}
