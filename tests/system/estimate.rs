//! Restores are estimated before they are asked for.

use crate::fixture::world::World;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_restore_is_estimated_before_it_is_asked_for() {
    let world = World::new(60).await;
    for (campaign, count) in [("away", 300), ("here", 20)] {
        world.begin(campaign).await;
        world.ingest_received(campaign, "u", count).await;
    }
    world.put("/v1/campaigns/away", json!({ "tags": ["spring"] })).await.ok();
    world.put("/v1/campaigns/new", json!({ "tags": ["spring"] })).await.ok();
    world.stop_and_expire("away").await;
    let body = json!({ "sources": ["campaign/away", "campaign/here", "campaign/new"] });
    let before = world.archive().await;
    let estimate = world.post("/v1/restores/estimate", body.clone()).await.ok();
    let bytes: usize = before.values().map(Vec::len).sum();
    let away = json!({ "source": "campaign/away", "state": "expired", "users": 300, "bytes": bytes, "parts": 1, "seconds": 1 });
    let nothing = |source: &str, state: &str| json!({ "source": source, "state": state, "users": 0, "bytes": 0, "parts": 0, "seconds": 0 });
    assert_eq!(
        estimate,
        json!({
            "sources": 1, "users": 300, "bytes": bytes, "parts": 1, "seconds": 1,
            "items": [away, nothing("campaign/here", "available"), nothing("campaign/new", "empty")],
        })
    );
    // By tag, and nothing has changed.
    let by_tag = world.post("/v1/restores/estimate", json!({ "tag": "spring" })).await.ok();
    assert_eq!((&by_tag["sources"], &by_tag["users"]), (&json!(1), &json!(300)));
    assert_eq!(world.state("away").await, "expired");
    assert_eq!(world.get("/v1/restores").await.ok()["items"], json!([]));

    // It says beforehand what the restore then says.
    let id = world.request_restore(&["campaign/away"], &[]).await;
    world.settle().await;
    assert_eq!(world.request(&id).await["items"][0]["users_total"], 300);
    let again = world.post("/v1/restores/estimate", body).await.ok();
    assert_eq!(again["items"][0], nothing("campaign/away", "available"));

    world.post("/v1/restores/estimate", json!({})).await.problem(400, "missing_field");
    world.post("/v1/restores/estimate", json!({ "tag": "none" })).await.problem(422, "unknown_tag");
    let unknown = json!({ "sources": ["campaign/typo"] });
    world.post("/v1/restores/estimate", unknown).await.problem(422, "unknown_source");
}
