//! A user's profile over all campaigns, compared with the posted interactions.

use crate::fixture::world::{World, local_settings, received};
use rekindle_domain::time::Period;
use rekindle_service::{Settings, Sizes};
use rekindle_tests::sim::history::sizes;
use serde_json::{Value, json};

fn event(user: &str, campaign: &str, kind: &str, day: u32, more: Value) -> Value {
    let time = format!("2027-01-{day:02}T00:00:00.000Z");
    let mut event = json!({ "user_id": user, "campaign_id": campaign, "type": kind, "time": time });
    if ["received", "opened", "clicked", "delivered"].contains(&kind) {
        event["channel"] = "email".into();
    }
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn on(day: u32) -> String {
    format!("2027-01-{day:02}T00:00:00.000Z")
}

/// All pages of a profile: the overall fields of the first page, and the campaigns in order.
async fn profile(world: &World, user: &str, limit: usize) -> (Value, Vec<Value>) {
    let first = format!("/v1/users?user_id={user}&limit={limit}");
    let mut page = world.get(&first).await.ok();
    let overall = page.clone();
    let mut campaigns = Vec::new();
    loop {
        assert_eq!(page["canvases_received"], json!([]));
        let items = page["campaigns_received"].as_array().unwrap();
        assert!(items.len() <= limit);
        campaigns.extend(items.iter().cloned());
        let Some(next) = page["next"].as_str() else { return (overall, campaigns) };
        page = world.get(&format!("{first}&cursor={next}")).await.ok();
        assert!(page.get("known").is_none(), "only the first page has the overall fields");
    }
}

async fn world() -> World {
    let settings = local_settings(Period::parse("P3M").unwrap());
    // The rows fill several blocks and slots.
    let world = World::with(41, Settings { sizes: Sizes { ..sizes(400) }, ..settings }).await;
    world.advance("P20D");
    for campaign in ["mail", "control", "old", "bought", "empty", "strange"] {
        world
            .put(&format!("/v1/campaigns/{campaign}"), json!({ "name": campaign.to_uppercase() }))
            .await
            .ok();
        world.advance("PT1S");
    }
    for campaign in ["mail", "control", "old", "bought"] {
        world.start(campaign).await.ok();
        world.ingest_received(campaign, "other", 30).await;
        world.advance("PT1S");
    }
    world.ingest_received("strange", "other", 30).await;
    world
        .ingest(&[
            event("ann", "mail", "received", 2, json!({ "variant_id": "A" })),
            event("ann", "mail", "received", 5, json!({ "variant_id": "B", "channel": "push" })),
            event("ann", "mail", "received", 4, json!({ "variant_id": "A" })),
            event("ann", "mail", "opened", 6, json!({})),
            event("ann", "mail", "opened", 9, json!({ "machine": true })),
            event("ann", "mail", "clicked", 7, json!({ "link_alias": "cta" })),
            event("ann", "mail", "clicked", 6, json!({ "link_alias": "cta", "machine": true })),
            event("ann", "mail", "converted", 8, json!({ "conversion": 1 })),
            event("ann", "control", "control", 3, json!({})),
            event("ann", "control", "converted", 4, json!({})),
            event("ann", "old", "received", 1, json!({})),
            event("ann", "old", "bounced", 10, json!({ "bounce": "hard" })),
            event("ann", "bought", "received", 3, json!({})),
            event("ann", "bought", "converted", 4, json!({})),
            event("bob", "bought", "received", 5, json!({})),
            event("bob", "bought", "converted", 4, json!({})),
            event("bob", "mail", "complained", 11, json!({})),
        ])
        .await;
    world
}

fn nothing(campaign: &str) -> Value {
    json!({
        "source": format!("campaign/{campaign}"), "name": campaign.to_uppercase(), "interaction_data": "available",
        "first_received": null, "last_received": null, "last_engaged": null, "last_opened": null,
        "last_machine_opened": null, "last_clicked": null, "last_machine_clicked": null, "in_control": false, "converted": false,
        "last_converted": null,
    })
}

fn with(mut entry: Value, fields: Value) -> Value {
    entry.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    entry
}

#[tokio::test(start_paused = true)]
async fn a_profile_says_what_was_received_and_done() {
    let world = world().await;
    let mail = with(
        nothing("mail"),
        json!({
            "first_received": on(2), "last_received": on(5), "variant": "B", "last_engaged": on(9),
            "last_opened": on(6), "last_machine_opened": on(9), "last_clicked": on(7),
            "last_machine_clicked": on(6),
        }),
    );
    let control = with(nothing("control"), json!({ "in_control": true, "last_converted": on(4) }));
    let old = with(nothing("old"), json!({ "first_received": on(1), "last_received": on(1) }));
    let bought = with(
        nothing("bought"),
        json!({ "first_received": on(3), "last_received": on(3), "converted": true, "last_converted": on(4) }),
    );
    // Sources are sorted by last update. Sources that have no data or do not know the user are not listed.
    let ann = [bought.clone(), old, control, mail];
    let overall = json!({
        "user_id": "ann", "known": true, "last_received": on(5), "last_engaged": on(9), "hard_bounced": on(10),
        "marked_spam": null, "unsubscribed": [],
    });
    for limit in [1, 2, 3, 5, 6, 100] {
        let (first, campaigns) = profile(&world, "ann", limit).await;
        assert_eq!(campaigns, ann, "pages of {limit}");
        for (field, value) in overall.as_object().unwrap() {
            assert_eq!(first[field], *value, "{field}");
        }
    }
    let (first, campaigns) = profile(&world, "bob", 100).await;
    assert_eq!((&first["marked_spam"], &first["hard_bounced"]), (&json!(on(11)), &Value::Null));
    let unconverted = json!({ "first_received": on(5), "last_received": on(5), "converted": false });
    assert_eq!(campaigns, [with(bought, unconverted), nothing("mail")], "converted before the last receipt");

    // A user who was never seen.
    let (first, campaigns) = profile(&world, "nobody", 100).await;
    assert_eq!((&first["known"], campaigns.len()), (&json!(false), 0));
    let (first, _) = profile(&world, "m%C3%BCller%2C%20a", 100).await;
    assert_eq!((&first["user_id"], &first["known"]), (&json!("müller, a"), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn l7_expired_data_is_listed_as_unknown_whoever_asks_and_comes_back() {
    let world = world().await;
    let before = profile(&world, "ann", 100).await.1;
    world.stop("mail").await;
    world.advance("P3M");
    world.sweep().await;
    assert_eq!(world.state("mail").await, "expired");
    // A late click on expired data is not shown; one on available data is found in the inbox and in the run alike.
    world.ingest(&[event("ann", "mail", "clicked", 8, json!({}))]).await;
    for user in ["ann", "bob", "nobody"] {
        let (first, campaigns) = profile(&world, user, 2).await;
        let expired = json!({ "source": "campaign/mail", "name": "MAIL", "interaction_data": "expired" });
        assert_eq!(campaigns[0], expired, "{user}");
        assert_eq!(campaigns.iter().filter(|c| c["interaction_data"] == "expired").count(), 1);
        assert_eq!(first["known"], json!(user != "nobody"));
    }
    world.restore(&["campaign/mail"]).await;
    world.ingest(&[event("ann", "mail", "received", 1, json!({ "variant_id": "C" }))]).await;
    let after = profile(&world, "ann", 100).await.1;
    let mail = after.iter().find(|c| c["source"] == "campaign/mail").unwrap();
    let expected = json!({ "last_clicked": on(8), "first_received": on(1) });
    assert_eq!(*mail, with(before.last().unwrap().clone(), expected), "from the inbox and the run together");
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_when_its_time_is_up_and_goes_on() {
    let world = world().await;
    let all = profile(&world, "ann", 100).await.1;
    // Every reading of the clock takes longer than a page may, so a page has one source.
    world.clock.tick_by(30_000);
    let page = world.get("/v1/users?user_id=ann").await.ok();
    let found = page["campaigns_received"].as_array().unwrap().len();
    assert!(found <= 1 && page["next"].is_string(), "{page}");
    assert_eq!(profile(&world, "ann", 100).await.1, all);
}

#[tokio::test(start_paused = true)]
async fn questions_out_of_shape_are_refused() {
    let world = World::new(42).await;
    assert_eq!(world.get("/v1/health").await.ok()["status"], "ok");
    world.get("/v1/users").await.problem(400, "invalid_query");
    world.get("/v1/users?user_id=a&user=b").await.problem(400, "invalid_query");
    world.get("/v1/users?user_id=a&limit=1001").await.problem(400, "invalid_query");
    world.get("/v1/users?user_id=").await.problem(422, "invalid_user_id");
    world.get("/v1/users?user_id=a%0Ab").await.problem(422, "invalid_user_id");
    world.get(&format!("/v1/users?user_id={}", "x".repeat(513))).await.problem(422, "invalid_user_id");
    world.get("/v1/users?user_id=a&cursor=zzz").await.problem(400, "invalid_cursor");
    world.ingest(&[received("a", "u")]).await;
    assert_eq!(profile(&world, "u", 1).await.1.len(), 1);
}
