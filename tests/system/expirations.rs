//! The list of expirations: sources that will expire, and sources that are kept although their time is over.

use crate::fixture::world::{World, got};
use serde_json::{Value, json};

/// All entries, in pages of `limit`.
async fn list(world: &World, query: &str, limit: usize) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    let mut path = format!("/v1/expirations?limit={limit}{query}");
    loop {
        let page = world.get(&path).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{path}");
        out.extend(items.iter().cloned());
        let Some(next) = page["next"].as_str() else { return out };
        path = format!("/v1/expirations?limit={limit}&cursor={next}");
    }
}

fn sources(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|e| e["source"].as_str().unwrap().strip_prefix("campaign/").unwrap()).collect()
}

/// Campaigns `s0` to `s5`, stopped a day apart from 1 January on. `held` and `held2` are retargeted, `none` has no data,
/// `sends` was not stopped.
async fn world() -> World {
    let world = World::new(31).await;
    for campaign in ["sends", "held", "held2", "s0", "s1", "s2", "s3", "s4", "s5", "none"] {
        world
            .put(&format!("/v1/campaigns/{campaign}"), json!({ "name": campaign.to_uppercase() }))
            .await
            .ok();
        world.start(campaign).await.ok();
        if campaign != "none" {
            world.ingest_received(campaign, "u", 2).await;
        }
    }
    let audience = json!({ "audience": { "any": [got("held"), got("held2")] } });
    world.put("/v1/campaigns/vip", audience).await.ok();
    world.start("vip").await.ok();
    for campaign in ["held", "none", "s0", "s1", "s2", "s3", "held2", "s4", "s5"] {
        world.stop(campaign).await;
        world.advance("P1D");
    }
    world
}

#[tokio::test(start_paused = true)]
async fn what_expires_comes_soonest_first_and_then_what_is_kept() {
    let world = world().await;
    assert_eq!(list(&world, "", 100).await, Vec::<Value>::new(), "nothing within thirty days");
    let all = list(&world, "&until=2027-12-31T00:00:00Z", 100).await;
    assert_eq!(sources(&all), ["s0", "s1", "s2", "s3", "s4", "s5", "held2", "held"]);
    let first = json!({
        "source": "campaign/s0", "name": "S0", "expires_at": "2027-04-03T00:00:00.000Z",
        "due_at": "2027-04-03T00:00:00.000Z", "held_by": [], "pin": null, "users": null,
    });
    assert_eq!(all[0], first);
    let held = json!({
        "source": "campaign/held", "name": "HELD", "expires_at": null, "due_at": "2027-04-01T00:00:00.000Z",
        "held_by": [{ "source": "campaign/vip", "via": [] }], "pin": null, "users": null,
    });
    assert_eq!(all[7], held);
    for limit in [1, 2, 3, 7, 8] {
        let paged = list(&world, "&until=2027-12-31T00:00:00Z", limit).await;
        assert_eq!(paged, all, "in pages of {limit}");
    }
    // `until` is inclusive, and takes milliseconds too.
    let until = list(&world, "&until=2027-04-05T00:00:00Z", 2).await;
    assert_eq!(sources(&until), ["s0", "s1", "s2", "held"]);
    assert_eq!(list(&world, "&until=1806883200000", 100).await, until);

    // Without `until` the list covers a month. Expired sources are not in it, held ones are.
    world.advance("P2M10D");
    assert_eq!(sources(&list(&world, "", 100).await), ["s0", "s1", "s2", "s3", "s4", "s5", "held2", "held"]);
    world.advance("P16D");
    world.settle().await;
    let left = list(&world, "", 100).await;
    assert_eq!(sources(&left), ["s3", "s4", "s5", "held2", "held"]);
    world.stop("vip").await;
    let left = list(&world, "", 100).await;
    assert_eq!(sources(&left), ["held", "s3", "held2", "s4", "s5"], "nothing holds them any more");
    // After a restore a source has another date.
    world.restore(&["campaign/s0"]).await;
    let far = list(&world, "&until=2028-01-01T00:00:00Z", 3).await;
    assert_eq!(far.last().unwrap()["source"], "campaign/s0");
    assert_eq!(far.last().unwrap()["users"], 2);
}

#[tokio::test(start_paused = true)]
async fn questions_out_of_shape_are_refused() {
    let world = world().await;
    for path in ["?until=soon", "?until=99999999999999999", "?from=1", "?limit=0", "?until=2027-01-01"] {
        world.get(&format!("/v1/expirations{path}")).await.problem(400, "invalid_query");
    }
    world.get("/v1/expirations?cursor=x").await.problem(400, "invalid_cursor");
    let page = world.get("/v1/expirations?limit=1&until=2027-12-31T00:00:00Z").await.ok();
    let next = page["next"].as_str().unwrap();
    let same = format!("/v1/expirations?limit=1&until=2027-12-31T00:00:00Z&cursor={next}");
    assert_eq!(world.get(&same).await.ok()["items"][0]["source"], "campaign/s1");
    let other = format!("/v1/expirations?limit=1&until=2027-12-30T00:00:00Z&cursor={next}");
    world.get(&other).await.problem(400, "invalid_cursor");
}
