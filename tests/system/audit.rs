//! The audit trail: every act, with its key and its object.

use crate::fixture::world::{ADMIN_KEY, World, got};
use http::Method;
use serde_json::{Value, json};

/// The whole trail in pages of `limit`, oldest first.
async fn trail(world: &World, query: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/audit?limit={limit}{query}{cursor}")).await.ok();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{page}");
        all.extend(items.iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    all.reverse();
    all
}

/// Each entry as text: the act and its object.
fn acts(trail: &[Value]) -> Vec<String> {
    let act = |e: &Value| format!("{} {}", e["event"].as_str().unwrap(), e["on"].as_str().unwrap());
    trail.iter().map(act).collect()
}

fn admin() -> String {
    format!("key/{}", &ADMIN_KEY[3..29])
}

/// Does everything that leaves an entry. Returns the ids of a cancelled restore, of one that ends, and of a key.
async fn act(world: &World) -> [String; 3] {
    let delete = async |path: &str| world.call(Method::DELETE, path, &Value::Null).await;
    world.put("/v1/campaigns/a", json!({})).await.ok();
    world.put("/v1/campaigns/a", json!({ "tags": ["promo"] })).await.ok();
    world.put("/v1/segments/s", json!({ "filter": got("a") })).await.ok();
    world.put("/v1/segments/s", json!({ "filter": got("a"), "name": "S" })).await.ok();
    world.start("a").await.ok();
    world.ingest_received("a", "u", 3).await;
    world.post("/v1/campaigns/a/pin", json!({ "reason": "an audit" })).await.ok();
    delete("/v1/campaigns/a/pin").await.ok();
    world.stop("a").await;
    world.advance("P3M");
    world.sweep().await;
    let first = world.post("/v1/restores", json!({ "tag": "promo" })).await.ok();
    let first = first["id"].as_str().unwrap().to_owned();
    world.post(&format!("/v1/restores/{first}/cancel"), Value::Null).await.ok();
    let second = world.request_restore(&["campaign/a"], &[]).await;
    world.drain().await;
    delete("/v1/segments/s").await.ok();
    let key = world.post("/v1/keys", json!({ "name": "CI", "scopes": ["read", "ingest"] })).await.ok();
    let key = key["id"].as_str().unwrap().to_owned();
    world.post(&format!("/v1/keys/{key}/rotate"), json!({ "grace": "PT1H" })).await.ok();
    delete(&format!("/v1/keys/{key}")).await.ok();
    [first, second, key]
}

#[tokio::test(start_paused = true)]
async fn every_act_leaves_an_entry_and_nothing_else_does() {
    let world = World::new(220).await;
    let delete = async |path: &str| world.call(Method::DELETE, path, &Value::Null).await;
    let [first, second, key] = act(&world).await;
    let all = trail(&world, "", 100).await;
    let expected = [
        "registered campaign/a",
        "edited campaign/a",
        "registered segment/s",
        "edited segment/s",
        "started campaign/a",
        "pinned campaign/a",
        "unpinned campaign/a",
        "stopped campaign/a",
        &format!("requested restore/{first}"),
        &format!("cancelled restore/{first}"),
        &format!("requested restore/{second}"),
        "deleted segment/s",
        &format!("created key/{key}"),
        &format!("rotated key/{key}"),
        &format!("revoked key/{key}"),
    ];
    assert_eq!(acts(&all), expected);
    assert!(all.iter().all(|e| e["by"] == admin().as_str()), "{all:?}");
    let details: Vec<&Value> = all.iter().map(|e| &e["detail"]).filter(|d| !d.is_null()).collect();
    assert_eq!(
        details,
        [
            "tags",
            "name",
            "an audit",
            "tag promo: campaign/a",
            "campaign/a",
            "CI: ingest, read",
            "the old secret goes on until 2027-04-01T01:00:00.000Z",
            "CI",
        ]
    );
    assert_eq!(world.request(&second).await["requested_by"], admin().as_str());

    // Requests that change nothing, are refused or only read leave no entry.
    world.stop("a").await;
    delete("/v1/campaigns/a/pin").await.ok();
    delete(&format!("/v1/keys/{key}")).await.ok();
    world.post(&format!("/v1/restores/{second}/cancel"), Value::Null).await.problem(409, "restore_has_ended");
    world.put("/v1/campaigns/b", json!({ "audience": got("nowhere") })).await.problem(422, "unknown_source");
    world.count(&got("a")).await;
    world.sweep().await;
    assert_eq!(trail(&world, "", 100).await, all);
}

#[tokio::test(start_paused = true)]
async fn the_trail_is_paged_newest_first_through_the_months() {
    let world = World::new(221).await;
    let mut expected = Vec::new();
    for month in 0..5 {
        for n in 0..3 {
            let id = format!("m{month}n{n}");
            world.put(&format!("/v1/campaigns/{id}"), json!({})).await.ok();
            expected.push(format!("registered campaign/{id}"));
            world.advance("PT1S");
        }
        world.advance("P2M");
    }
    for limit in [1, 2, 3, 4, 7, 100] {
        assert_eq!(acts(&trail(&world, "", limit).await), expected, "{limit}");
    }
    // Old entries take several pages: an empty page may have a `next` too.
    world.advance("P9Y");
    let page = world.get("/v1/audit").await.ok();
    assert_eq!((page["items"].as_array().unwrap().len(), page["next"].is_string()), (0, true));
    assert_eq!(acts(&trail(&world, "", 4).await), expected);
    for bad in ["x", "01", "01MB78QN0000000078SEDFNHVU"] {
        world.get(&format!("/v1/audit?cursor={bad}")).await.problem(400, "invalid_cursor");
    }
    world.get("/v1/audit?source=campaign/a").await.problem(400, "invalid_query");
    // A cursor of a time to come is before every entry.
    let page = world.get("/v1/audit?cursor=7ZZZZZZZZZZZZZZZZZZZZZZZZZ").await.ok();
    assert_eq!(page, world.get("/v1/audit").await.ok());
}

#[tokio::test(start_paused = true)]
async fn the_trail_of_one_thing_and_of_one_key() {
    let world = World::new(222).await;
    world.begin("a").await;
    let made = world.post("/v1/keys", json!({ "name": "ops", "scopes": ["manage"] })).await.ok();
    let world = World { key: Some(made["key"].as_str().unwrap().to_owned()), ..world };
    world.begin("b").await;
    world.stop("a").await;
    world.get("/v1/audit").await.problem(403, "wrong_scope");
    let world = World { key: Some(ADMIN_KEY.to_owned()), ..world };
    let ops = format!("key/{}", made["id"].as_str().unwrap());
    for limit in [1, 2, 100] {
        let of_a = trail(&world, "&on=campaign/a", limit).await;
        assert_eq!(acts(&of_a), ["registered campaign/a", "started campaign/a", "stopped campaign/a"]);
        assert_eq!((&of_a[1]["by"], &of_a[2]["by"]), (&admin().into(), &ops.as_str().into()));
        let by_ops = trail(&world, &format!("&by={ops}"), limit).await;
        assert_eq!(acts(&by_ops), ["registered campaign/b", "started campaign/b", "stopped campaign/a"]);
        let both = trail(&world, &format!("&by={ops}&on=campaign/a"), limit).await;
        assert_eq!(acts(&both), ["stopped campaign/a"]);
    }
    let timeline = world.get("/v1/campaigns/a/timeline").await.ok();
    assert_eq!(timeline["items"][0]["by"], ops.as_str(), "the timeline names the key, too");
}
