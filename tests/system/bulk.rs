//! The same act on many sources.

use crate::fixture::world::{World, got};
use serde_json::{Value, json};

/// The statuses of the items, and what is wrong with those that failed.
fn outcomes(answer: &Value) -> Vec<(String, u64, String)> {
    let item = |item: &Value| {
        let status = item["status"].as_u64().unwrap();
        assert_eq!(item["view"].is_object(), status == 200, "{item}");
        assert_eq!(item["problem"].is_object(), status != 200, "{item}");
        if status == 200 {
            assert_eq!(item["view"]["source"], item["source"]);
        } else {
            assert_eq!(item["problem"]["status"], status);
        }
        let code = item["problem"]["code"].as_str().unwrap_or_default();
        (item["source"].as_str().unwrap().to_owned(), status, code.to_owned())
    };
    answer["items"].as_array().unwrap().iter().map(item).collect()
}

fn of(source: &str, status: u64, code: &str) -> (String, u64, String) {
    (source.to_owned(), status, code.to_owned())
}

#[tokio::test(start_paused = true)]
async fn one_item_that_fails_hurts_no_other() {
    let world = World::new(330).await;
    for id in ["a", "b"] {
        world.ingest_received(id, "u", 3).await;
    }
    world.put("/v1/campaigns/draft", json!({})).await.ok();
    world.put("/v1/canvases/flow", json!({ "audience": got("a") })).await.ok();
    let call = async |act: &str, body: Value| world.post(&format!("/v1/sources/{act}"), body).await;

    let named = json!(["canvas/flow", "campaign/nobody", "campaign/draft", "campaign/a", "canvas/flow"]);
    let started = call("start", json!({ "sources": named })).await.ok();
    let expected = [
        of("canvas/flow", 200, ""),
        of("campaign/nobody", 404, "unknown_source"),
        of("campaign/draft", 200, ""),
        of("campaign/a", 200, ""),
    ];
    assert_eq!(outcomes(&started), expected);
    assert_eq!(started["items"][0]["view"]["status"], "active");

    let pin = json!({ "sources": ["campaign/a", "canvas/gone", "campaign/b"], "reason": "an audit" });
    let pinned = call("pin", pin).await.ok();
    let expected =
        [of("campaign/a", 200, ""), of("canvas/gone", 404, "unknown_source"), of("campaign/b", 200, "")];
    assert_eq!(outcomes(&pinned), expected);
    assert_eq!(world.campaign("b").await["interaction_data"]["pin"]["reason"], "an audit");

    let all = json!({ "sources": ["campaign/a", "campaign/b", "campaign/nobody", "canvas/flow"] });
    let before = world.campaign("a").await;
    let tried = call("stop?dry_run=true", all.clone()).await.ok();
    assert_eq!(world.campaign("a").await, before, "a dry run changes nothing");
    let stopped = call("stop", all.clone()).await.ok();
    assert_eq!(outcomes(&stopped), outcomes(&tried));
    assert_eq!(world.campaign("a").await["status"], "stopped");
    assert_eq!(outcomes(&call("stop", all).await.ok()), outcomes(&tried), "sent again it is the same");

    let unpinned = call("unpin", json!({ "sources": ["campaign/b", "campaign/a"] })).await.ok();
    assert_eq!(outcomes(&unpinned), [of("campaign/b", 200, ""), of("campaign/a", 200, "")]);
    world.advance("P3M");
    world.settle().await;
    let refused = call("start", json!({ "sources": ["campaign/a", "campaign/draft"] })).await.ok();
    let expected = [of("campaign/a", 409, "expired_interaction_data"), of("campaign/draft", 200, "")];
    assert_eq!(outcomes(&refused), expected);
    assert_eq!(refused["items"][0]["problem"]["expired"], json!(["campaign/a"]));
    let at = json!({ "sources": ["campaign/draft", "campaign/a"], "at": "1999-12-31T00:00:00Z" });
    let at = call("stop", at).await.ok();
    assert_eq!(
        outcomes(&at),
        [of("campaign/draft", 422, "invalid_at"), of("campaign/a", 409, "already_stopped")]
    );
}

#[tokio::test(start_paused = true)]
async fn an_act_on_many_is_bounded_and_takes_the_scope_of_the_act() {
    let world = World::new(331).await;
    let many = |count: usize| (0..count).map(|i| json!(format!("campaign/c{i}"))).collect::<Vec<_>>();
    for act in ["start", "stop", "pin", "unpin"] {
        let path = format!("/v1/sources/{act}");
        let body = |sources: Vec<Value>| match act {
            "pin" => json!({ "sources": sources, "reason": "x" }),
            _ => json!({ "sources": sources }),
        };
        for count in [0, 101] {
            world.post(&path, body(many(count))).await.problem(422, "invalid_sources");
        }
        let full = world.post(&path, body(many(100))).await.ok();
        assert_eq!(
            outcomes(&full),
            (0..100).map(|i| of(&format!("campaign/c{i}"), 404, "unknown_source")).collect::<Vec<_>>()
        );
        world.post(&path, body(vec!["x".into()])).await.problem(400, "invalid_field");
        world
            .post(&path, json!({ "reason": "x" }))
            .await
            .problem(400, if act == "pin" { "missing_field" } else { "unknown_field" });
    }
    let key = world.post("/v1/keys", json!({ "name": "r", "scopes": ["read"] })).await.ok();
    let reader = World { key: key["key"].as_str().map(str::to_owned), ..world };
    for act in ["start", "stop", "pin", "unpin"] {
        let body = json!({ "sources": ["campaign/a"], "reason": "x" });
        reader.post(&format!("/v1/sources/{act}"), body).await.problem(403, "wrong_scope");
    }
}
