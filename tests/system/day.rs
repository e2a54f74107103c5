//! The work of a marketing team, over HTTP alone, compared with numbers that were computed by hand.

use crate::fixture::world::{World, named};
use serde_json::{Value, json};

/// All interactions as (user, source, type, more, time). The team asks about them on 10 January.
fn events() -> Vec<Value> {
    let mut out = Vec::new();
    let mut push = |user: u32, source: &str, kind: &str, time: &str, more: Value| {
        let (field, id) = match source {
            "welcome" => ("canvas_id", source),
            _ => ("campaign_id", source),
        };
        let mut event = json!({
            "user_id": format!("u{user}"), field: id, "type": kind, "time": format!("2027-01-{time}Z")
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        out.push(event);
    };
    // Spring, a mail in two variants: ten users receive it, the eleventh is in control.
    for user in 1..=10 {
        let variant = if user % 2 == 1 { "A" } else { "B" };
        push(user, "spring", "received", "02T09:00:00", json!({ "channel": "email", "variant_id": variant }));
    }
    push(11, "spring", "control", "02T09:00:00", json!({}));
    for user in [1, 2, 3] {
        push(user, "spring", "opened", "02T10:00:00", json!({ "channel": "email" }));
    }
    for user in [3, 4, 5] {
        push(user, "spring", "opened", "02T09:01:00", json!({ "channel": "email", "machine": true }));
    }
    push(1, "spring", "clicked", "02T10:05:00", json!({ "channel": "email", "link_alias": "cta" }));
    push(2, "spring", "clicked", "02T10:06:00", json!({ "channel": "email", "link_alias": "footer" }));
    push(1, "spring", "converted", "02T11:00:00", json!({}));
    // Three conversions that do not count: one that is not primary, one before the last message, one of the control group.
    push(2, "spring", "converted", "02T11:00:00", json!({ "conversion": 1 }));
    push(6, "spring", "converted", "02T11:00:00", json!({}));
    push(6, "spring", "received", "03T09:00:00", json!({ "channel": "email", "variant_id": "B" }));
    push(11, "spring", "converted", "02T11:00:00", json!({}));
    // Summer, a push message: five users receive it. One of three bounces is hard, and one user complains.
    for user in 8..=12 {
        push(user, "summer", "received", "05T09:00:00", json!({ "channel": "push" }));
    }
    for user in [8, 9] {
        push(user, "summer", "opened", "05T09:30:00", json!({ "channel": "push" }));
    }
    push(13, "summer", "bounced", "05T09:00:00", json!({ "channel": "email", "bounce": "hard" }));
    push(12, "summer", "bounced", "05T09:00:00", json!({ "channel": "email", "bounce": "soft" }));
    push(14, "summer", "complained", "05T09:00:00", json!({ "channel": "email" }));
    // Welcome, a Canvas in two variations: three users enter, one more is in control.
    for (user, variation) in [(1, "V1"), (15, "V1"), (16, "V2")] {
        push(user, "welcome", "entered", "06T09:00:00", json!({ "variation_id": variation }));
    }
    push(17, "welcome", "control", "06T09:00:00", json!({ "variation_id": "V2" }));
    for user in [1, 15] {
        let step = json!({ "channel": "email", "step_id": "s1", "variation_id": "V1" });
        push(user, "welcome", "received", "06T10:00:00", step);
    }
    // A conversion of a Canvas counts at any time.
    push(15, "welcome", "converted", "06T09:30:00", json!({}));
    let second = json!({ "channel": "push", "step_id": "s2", "variation_id": "V1" });
    push(15, "welcome", "received", "07T10:00:00", second);
    out
}

/// Filters, and how many users match while all data is available.
fn questions() -> Vec<(Value, u64)> {
    let (spring, summer, welcome) = ("campaign/spring", "campaign/summer", "canvas/welcome");
    vec![
        (json!({ "received": { "source": spring } }), 10),
        (json!({ "received": { "source": spring, "variant": "A" } }), 5),
        (json!({ "received": { "source": spring, "channel": "push" } }), 0),
        (json!({ "received": { "source": welcome } }), 2),
        (json!({ "received": { "source": welcome, "step": "s2" } }), 1),
        (json!({ "received": { "source": welcome, "step": "s1", "variation": "V1" } }), 2),
        // A negation is over all users ever seen, which are seventeen.
        (json!({ "not": { "received": { "source": spring } } }), 7),
        (json!({ "all": [{ "received": { "source": spring } }, { "received": { "source": summer } }] }), 3),
        // Machines open mails too.
        (json!({ "opened": { "source": spring } }), 5),
        (json!({ "opened": { "source": spring, "opens": "human" } }), 3),
        (json!({ "opened": { "source": spring, "opens": "machine" } }), 3),
        (json!({ "clicked": { "source": spring } }), 2),
        (json!({ "clicked": { "source": spring, "alias": "cta" } }), 1),
        (json!({ "clicked": { "any": true, "alias": "footer" } }), 1),
        // Only a primary conversion counts, on the last message, and never in control.
        (json!({ "converted": { "source": spring } }), 1),
        (json!({ "converted": { "source": welcome } }), 1),
        (json!({ "in_control": { "source": spring } }), 1),
        (json!({ "in_control": { "source": spring, "is": false } }), 10),
        // A Canvas is evaluated for users who entered it, and its control group has entered.
        (json!({ "in_control": { "source": welcome } }), 1),
        (json!({ "in_control": { "source": welcome, "is": false } }), 3),
        (json!({ "entered": { "source": welcome } }), 4),
        (json!({ "entered": { "source": welcome, "variation": "V1" } }), 2),
        (json!({ "not": { "entered": { "source": welcome, "variation": "V1" } } }), 15),
        (json!({ "last_received": { "source": spring, "after": "2027-01-03T09:00:00Z" } }), 1),
        (json!({ "last_received": { "source": spring, "before": "2027-01-03T09:00:00Z" } }), 9),
        (json!({ "last_received": { "source": summer, "more_than": "P4D" } }), 5),
        (json!({ "last_received": { "source": welcome, "step": "s1", "less_than": "P4D" } }), 2),
        // A user who never received it matches no bound.
        (json!({ "not": { "last_received": { "source": spring, "more_than": "P1D" } } }), 7),
        (json!({ "received": { "tag": "promo" } }), 12),
        (json!({ "opened": { "tag": "promo" } }), 7),
        (json!({ "clicked": { "tag": "promo", "channel": "email" } }), 2),
        (json!({ "last_received": { "tag": "promo", "less_than": "P6D" } }), 5),
        (json!({ "last_received": { "tag": "promo", "more_than": "P6D" } }), 7),
        (json!({ "last_received": { "any": true, "less_than": "P3DT14H" } }), 2),
        (
            json!({ "last_received": { "any": true, "channel": "email", "before": "2027-01-06T00:00:00Z" } }),
            9,
        ),
        (json!({ "last_engaged": { "after": "2027-01-05T00:00:00Z" } }), 2),
        (json!({ "last_engaged": { "less_than": "P1M" } }), 7),
        (json!({ "last_engaged": { "less_than": "P1M", "opens": "human" } }), 5),
        (json!({ "never_received": {} }), 4),
        (json!({ "never_received": { "channel": "email" } }), 6),
        (json!({ "hard_bounced": {} }), 1),
        (json!({ "marked_spam": {} }), 1),
        (json!({ "last_in_control": { "less_than": "P1M" } }), 2),
        (json!({ "segment": "fans" }), 2),
        (json!({ "all": [{ "segment": "fans" }, { "not": { "entered": { "source": welcome } } }] }), 1),
    ]
}

async fn canvas(world: &World, what: &str) -> Value {
    world.post(&format!("/v1/canvases/welcome/{what}"), Value::Null).await.ok()
}

/// Whether what the filter says does not move with the time of the question.
fn is_fixed(filter: &Value) -> bool {
    !filter.to_string().contains("_than")
}

/// Two campaigns, a segment and a Canvas, all started.
async fn set_up(world: &World) {
    let tagged = |name: &str| json!({ "name": name, "tags": ["promo"], "notify": ["team@example.com"] });
    world.put("/v1/campaigns/spring", tagged("Spring sale")).await.ok();
    world.put("/v1/campaigns/summer", tagged("Summer sale")).await.ok();
    let fans = json!({ "name": "Fans of spring", "filter": { "clicked": { "source": "campaign/spring" } } });
    world.put("/v1/segments/fans", fans).await.ok();
    let welcome = json!({
        "variations": [{ "id": "V1" }, { "id": "V2" }],
        "steps": [{ "id": "s1", "name": "Hello" }, { "id": "s2" }],
        "audience": { "any": [{ "segment": "fans" }, { "received": { "tag": "promo" } }] },
    });
    world.put("/v1/canvases/welcome", welcome).await.ok();
    for campaign in ["spring", "summer"] {
        world.start(campaign).await.ok();
    }
    canvas(world, "start").await;
}

/// A week before the expiry a mail announces it, and names the sources that refer to the data.
async fn warned(world: &World) {
    world.advance("P2M24D");
    world.settle().await;
    let mails = world.mails_to("team@example.com");
    assert_eq!(mails.len(), 1, "{mails:?}");
    for said in ["campaign/summer", "2027-04-10", "canvas/welcome"] {
        assert!(mails[0].text.contains(said), "{said}: {}", mails[0].text);
    }
    assert!(!mails[0].text.contains("campaign/spring"), "{}", mails[0].text);
    let due = world.get("/v1/expirations?until=2027-04-11T00:00:00Z").await.ok();
    assert!(due.to_string().contains("campaign/summer"), "{due}");
}

/// A restore by tag brings both back, and a mail reports it. Then every answer is as before.
async fn restored(world: &World) {
    let body = json!({ "tag": "promo", "notify": ["team@example.com"] });
    let request = world.post("/v1/restores", body).await;
    assert_eq!(request.status, 202, "{}", request.body);
    world.settle().await;
    let request = world.request(request.body["id"].as_str().unwrap()).await;
    assert_eq!(request["state"], "completed", "{request}");
    let restored: Vec<&Value> = request["items"].as_array().unwrap().iter().map(|i| &i["state"]).collect();
    assert_eq!(restored, ["restored", "restored"], "{request}");
    for (filter, count) in questions().into_iter().filter(|(f, _)| is_fixed(f)) {
        assert_eq!(world.count(&filter).await, count, "{filter}");
    }
    let subjects: Vec<String> =
        world.mails_to("team@example.com").into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    let spring = world.campaign("spring").await["interaction_data"].clone();
    assert!(
        spring["expires_at"].as_str().unwrap().starts_with("2027-07-10"),
        "three months from now: {spring}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_day_of_a_marketing_team() {
    let world = World::new(2027).await;
    set_up(&world).await;

    // 10 January: all interactions come in twice, the second time in reverse order.
    world.advance("P9D");
    let mut happened = events();
    world.ingest(&happened).await;
    happened.reverse();
    world.ingest(&happened).await;
    for (filter, count) in questions() {
        assert_eq!(world.count(&filter).await, count, "{filter}");
        assert_eq!(world.members(&filter, 3).await.len() as u64, count, "{filter}");
    }
    assert_eq!(world.matches(&json!({ "segment": "fans" }), "u1", "refuse").await, "yes");
    assert_eq!(world.matches(&json!({ "segment": "fans" }), "u3", "refuse").await, "no");

    // Both campaigns stop. The Canvas stays active: through its segment it holds spring; its tag holds nothing.
    world.stop("spring").await;
    world.stop("summer").await;
    let spring = world.campaign("spring").await["interaction_data"].clone();
    let held_by = json!([{ "source": "canvas/welcome", "via": ["segment/fans"] }]);
    assert_eq!((&spring["held_by"], &spring["expires_at"]), (&held_by, &Value::Null));
    let summer = world.campaign("summer").await["interaction_data"].clone();
    assert_eq!((&summer["held_by"], &summer["expires_at"]), (&json!([]), &json!("2027-04-10T00:00:00.000Z")));

    warned(&world).await;

    // The data expires. Answers about it are unknown, never no.
    world.advance("P7D");
    world.settle().await;
    assert_eq!(
        (world.state("spring").await, world.state("summer").await),
        ("available".into(), "expired".into())
    );
    let received = json!({ "received": { "tag": "promo" } });
    world.try_count(&received, "refuse").await.problem(409, "expired_interaction_data");
    assert_eq!(world.count_excluding(&received).await, (10, 7));
    assert_eq!(world.count_excluding(&json!({ "not": received })).await, (0, 7));
    assert_eq!(world.count_excluding(&json!({ "received": { "source": "campaign/summer" } })).await, (0, 17));
    let lately = json!({ "last_received": { "tag": "promo", "after": "2027-01-03T00:00:00Z" } });
    assert_eq!(world.count_excluding(&lately).await, (1, 16), "a known receipt can only be raised");
    // A Canvas that needs it by name cannot start; one that needs it by tag can.
    let by_name = json!({ "audience": { "received": { "source": "campaign/summer" } } });
    world.put("/v1/canvases/again", by_name).await.ok();
    let refused = world.post("/v1/canvases/again/start", Value::Null).await;
    let refused = refused.problem(409, "expired_interaction_data");
    assert_eq!(refused["expired"], json!(["campaign/summer"]));

    // The Canvas, the last holder, stops: spring's three months are over already.
    let stopped = canvas(&world, "stop").await;
    assert_eq!(named(&stopped["now_due"]), ["campaign/spring"]);
    world.settle().await;
    assert_eq!(world.state("spring").await, "expired");

    // The archive answers every question without a restore.
    for (filter, count) in questions().into_iter().filter(|(f, _)| is_fixed(f)) {
        let answer = world.try_count(&filter, "archive").await.ok();
        assert_eq!((&answer["count"], &answer["unknown"]), (&json!(count), &json!(0)), "{filter}");
    }
    assert_eq!(world.state("spring").await, "expired");

    restored(&world).await;
}
