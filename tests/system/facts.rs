//! Facts about users: dead addresses and subscriptions by channel, machines apart from people, conversions that a later
//! message undoes or does not, and times of the latest interaction.

use crate::fixture::world::World;
use serde_json::{Value, json};

fn event(user: &str, campaign: &str, kind: &str, time: &str, more: Value) -> Value {
    let time = format!("2027-01-{time}Z");
    let mut event = json!({ "user_id": user, "campaign_id": campaign, "type": kind, "time": time });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

/// A world in February 2027, with these interactions.
async fn world(seed: u64, events: &[Value]) -> World {
    let world = World::new(seed).await;
    world.advance("P40D");
    world.ingest(events).await;
    world
}

async fn are(world: &World, filter: Value, expected: &[&str]) {
    let mut members = world.members(&filter, 1_000).await;
    members.sort();
    assert_eq!(members, expected, "{filter}");
    assert_eq!(world.count(&filter).await, expected.len() as u64, "{filter}");
    for user in expected {
        assert_eq!(world.matches(&filter, user, "refuse").await, "yes", "{filter}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bounce_is_a_fact_of_its_channel_until_something_arrives_there() {
    let on = |channel: &str| json!({ "channel": channel });
    let hard = |channel: &str| json!({ "channel": channel, "bounce": "hard" });
    let world = world(
        170,
        &[
            event("push", "a", "bounced", "05T10:00:00", hard("push")),
            event("push", "a", "delivered", "06T10:00:00", on("email")),
            event("back", "a", "bounced", "05T10:00:00", hard("email")),
            event("back", "b", "delivered", "06T10:00:00", on("email")),
            event("opens", "a", "bounced", "05T10:00:00", hard("email")),
            event("opens", "a", "opened", "06T10:00:00", on("email")),
            event("robot", "a", "bounced", "05T10:00:00", hard("email")),
            event("robot", "a", "clicked", "06T10:00:00", json!({ "channel": "email", "machine": true })),
            event("tie", "a", "bounced", "05T10:00:00", hard("email")),
            event("tie", "a", "delivered", "05T10:00:00", on("email")),
            event("full", "a", "bounced", "05T10:00:00", json!({ "channel": "email", "bounce": "soft" })),
        ],
    )
    .await;
    are(&world, json!({ "hard_bounced": {} }), &["push", "robot", "tie"]).await;
    are(&world, json!({ "hard_bounced": { "channel": "push" } }), &["push"]).await;
    are(&world, json!({ "hard_bounced": { "channel": "email" } }), &["robot", "tie"]).await;
    are(&world, json!({ "bounced": { "source": "campaign/a", "bounce": "soft" } }), &["full"]).await;
    are(&world, json!({ "bounced": { "any": true, "channel": "push" } }), &["push"]).await;
    are(&world, json!({ "delivered": { "source": "campaign/b" } }), &["back"]).await;
    for (user, bounced) in [("back", Value::Null), ("tie", json!("2027-01-05T10:00:00.000Z"))] {
        let profile = world.get(&format!("/v1/users?user_id={user}")).await.ok();
        assert_eq!(profile["hard_bounced"], bounced, "{user}");
    }
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_by_channel_and_spam_can_be_taken_back() {
    let on = |channel: &str| json!({ "channel": channel });
    let world = world(
        171,
        &[
            event("all", "a", "unsubscribed", "05T10:00:00", json!({})),
            event("mail", "a", "unsubscribed", "05T10:00:00", on("email")),
            event("back", "a", "unsubscribed", "05T10:00:00", on("line")),
            event("back", "b", "subscribed", "06T10:00:00", json!({})),
            event("sms", "a", "unsubscribed", "05T10:00:00", json!({})),
            event("sms", "a", "subscribed", "06T10:00:00", on("sms")),
            event("spam", "a", "complained", "05T10:00:00", json!({})),
            event("ham", "a", "complained", "05T10:00:00", json!({})),
            event("ham", "a", "not_spam", "06T10:00:00", json!({})),
        ],
    )
    .await;
    are(&world, json!({ "unsubscribed": {} }), &["all", "mail", "sms"]).await;
    are(&world, json!({ "unsubscribed": { "channel": "email" } }), &["all", "mail", "sms"]).await;
    are(&world, json!({ "unsubscribed": { "channel": "sms" } }), &["all"]).await;
    are(&world, json!({ "unsubscribed": { "channel": "line" } }), &["all", "sms"]).await;
    are(&world, json!({ "marked_spam": {} }), &["spam"]).await;
    let profile = world.get("/v1/users?user_id=mail").await.ok();
    assert_eq!(profile["unsubscribed"], json!(["email"]));
    let profile = world.get("/v1/users?user_id=ham").await.ok();
    assert_eq!((&profile["marked_spam"], &profile["unsubscribed"]), (&Value::Null, &json!([])));
}

#[tokio::test(start_paused = true)]
async fn clicks_by_machines_count_apart_everywhere() {
    let click =
        |machine: Option<bool>| json!({ "channel": "email", "link_alias": "cta", "machine": machine });
    let world = world(
        172,
        &[
            event("person", "a", "clicked", "05T10:00:00", click(None)),
            event("robot", "a", "clicked", "05T10:00:00", click(Some(true))),
            event("both", "a", "clicked", "05T10:00:00", click(Some(true))),
            event("both", "a", "clicked", "05T11:00:00", click(Some(false))),
        ],
    )
    .await;
    let clicked = |clicks: &str| json!({ "clicked": { "source": "campaign/a", "clicks": clicks } });
    are(&world, clicked("any"), &["both", "person", "robot"]).await;
    are(&world, clicked("human"), &["both", "person"]).await;
    are(&world, clicked("machine"), &["both", "robot"]).await;
    let engaged = |more: Value| {
        let mut body = json!({ "after": "2027-01-01T00:00:00Z", "clicks": "human" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "last_engaged": body })
    };
    are(&world, engaged(json!({})), &["both", "person"]).await;
    are(&world, engaged(json!({ "source": "campaign/a", "before": "2027-01-05T10:30:00Z" })), &["person"])
        .await;
    let profile = world.get("/v1/users?user_id=both").await.ok();
    let seen = &profile["campaigns_received"][0];
    assert_eq!(seen["last_clicked"], "2027-01-05T11:00:00.000Z");
    assert_eq!(seen["last_machine_clicked"], "2027-01-05T10:00:00.000Z");
    world.stop_and_expire("a").await;
    let counts = &world.campaign("a").await["interaction_data"]["counts"];
    assert_eq!(*counts, json!({ "clicked": 2, "machine_clicked": 2 }));
}

#[tokio::test(start_paused = true)]
async fn a_later_message_undoes_a_conversion_unless_ever_is_asked() {
    let mail = || json!({ "channel": "email" });
    let world = world(
        173,
        &[
            event("bought", "a", "received", "05T10:00:00", mail()),
            event("bought", "a", "converted", "05T11:00:00", json!({})),
            event("again", "a", "converted", "05T11:00:00", json!({})),
            event("again", "a", "received", "05T11:00:01", mail()),
            event("tie", "a", "converted", "05T11:00:00.100", json!({})),
            event("tie", "a", "received", "05T11:00:00.900", mail()),
            event("second", "a", "converted", "05T11:00:00", json!({ "conversion": 1 })),
            event("control", "a", "control", "05T11:00:00", json!({})),
            event("control", "a", "converted", "05T11:00:00", json!({})),
        ],
    )
    .await;
    let converted = |more: Value| {
        let mut body = json!({ "source": "campaign/a" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "converted": body })
    };
    are(&world, converted(json!({})), &["bought", "tie"]).await;
    are(&world, converted(json!({ "ever": true })), &["again", "bought", "tie"]).await;
    are(&world, converted(json!({ "conversion": 1 })), &["second"]).await;
    are(&world, converted(json!({ "before": "2027-01-05T11:00:00.050Z" })), &["bought"]).await;
    let any = ["again", "bought", "control", "second", "tie"];
    are(&world, json!({ "converted": { "any": true } }), &any).await;
    for (user, is) in [("again", false), ("tie", true)] {
        let profile = world.get(&format!("/v1/users?user_id={user}")).await.ok();
        assert_eq!(profile["campaigns_received"][0]["converted"], is, "{user}: as the filter says");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bounce_that_does_not_say_whether_it_is_hard_is_refused() {
    let world = World::new(174).await;
    let bounced = event("u", "a", "bounced", "05T10:00:00", json!({ "channel": "email" }));
    let refused = world.post("/v1/interactions", json!([bounced])).await.problem(422, "nothing_accepted");
    assert_eq!(refused["rejected"][0]["code"], "missing_bounce");
    let detail = refused["rejected"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("hard") && detail.contains("soft"), "{detail}");
}

/// A preference centre knows of no campaign. Its opt-outs are in every question about people, and register nothing.
#[tokio::test(start_paused = true)]
async fn people_opt_out_without_a_campaign() {
    let world =
        world(175, &[event("u", "a", "received", "05T10:00:00", json!({ "channel": "email" }))]).await;
    let alone =
        |kind: &str, time: &str| json!({ "user_id": "u", "type": kind, "channel": "email", "time": time });
    world.ingest(&[alone("unsubscribed", "2027-01-06T00:00:00Z")]).await;
    world.ingest(&[json!({ "user_id": "new", "type": "complained" })]).await;
    are(&world, json!({ "unsubscribed": { "channel": "email" } }), &["u"]).await;
    are(&world, json!({ "marked_spam": {} }), &["new"]).await;
    are(&world, json!({ "never_received": {} }), &["new"]).await;
    world.ingest(&[alone("subscribed", "2027-01-07T00:00:00Z")]).await;
    are(&world, json!({ "unsubscribed": {} }), &[]).await;
    let listed = world.get("/v1/campaigns").await.ok();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let profile = world.get("/v1/users?user_id=new").await.ok();
    assert_eq!((&profile["known"], &profile["campaigns_received"]), (&true.into(), &json!([])));
}
