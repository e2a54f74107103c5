//! Segments: references between them, the data that is held through them, and the effects of an edit.

use crate::fixture::world::{Answer, World, got, named, received};
use http::Method;
use rekindle_service::{
    Budget, Caller, ProblemKind,
    library::{Edit, Said, SegmentInput},
};
use serde_json::{Value, json};

async fn segment(world: &World, id: &str, filter: Value) -> Answer {
    world.put(&format!("/v1/segments/{id}"), json!({ "filter": filter })).await
}

fn of(segment: &str) -> Value {
    json!({ "segment": segment })
}

/// Stopped campaigns, each with twenty users of its own. They expire after three months.
async fn world_with(campaigns: &[&str]) -> World {
    let world = World::new(31).await;
    for campaign in campaigns {
        world.begin(campaign).await;
        world.ingest_received(campaign, campaign, 20).await;
        world.stop(campaign).await;
    }
    world
}

async fn held_by(world: &World, campaign: &str) -> Value {
    world.campaign(campaign).await["interaction_data"]["held_by"].clone()
}

#[tokio::test(start_paused = true)]
async fn segments_are_made_shown_listed_and_deleted() {
    let world = world_with(&["x", "y"]).await;
    let made = segment(&world, "vip", got("x")).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.body["segment"], "segment/vip");
    assert_eq!(made.body["name"], "vip");
    assert_eq!(made.body["filter"], got("x"));
    assert_eq!(world.count(&of("vip")).await, 20);
    world.advance("PT1M");
    let named = json!({ "name": "Very important", "filter": { "any": [got("x"), got("y")] } });
    let edited = world.put("/v1/segments/vip", named).await;
    assert_eq!(edited.status, 200);
    assert_eq!(edited.body["now_due"], json!([]));
    assert_eq!(world.count(&of("vip")).await, 40);
    assert_eq!(world.count(&json!({ "all": [of("vip"), { "not": got("x") }] })).await, 20);

    world.advance("PT1M");
    segment(&world, "outer", json!({ "not": of("vip") })).await.ok();
    let seen = world.get("/v1/segments/vip").await.ok();
    assert_eq!(seen["name"], "Very important");
    assert_eq!(seen["used_by"], json!(["segment/outer"]));
    let draft = json!({ "audience": of("vip") });
    world.put("/v1/campaigns/draft", draft).await.ok();
    let refused = world.call(Method::DELETE, "/v1/segments/vip", &Value::Null).await;
    let refused = refused.problem(409, "segment_in_use");
    assert_eq!(refused["used_by"], json!(["campaign/draft", "segment/outer"]));

    // What changed in the millisecond of the first page may stand on the last one, too.
    world.advance("PT1H");
    let mut listed = Vec::new();
    let mut path = "/v1/segments?limit=1".to_owned();
    loop {
        let page = world.get(&path).await.ok();
        listed.extend(page["items"].as_array().unwrap().iter().map(|s| s["segment"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/segments?limit=1&cursor={next}");
    }
    assert_eq!(json!(listed), json!(["segment/outer", "segment/vip"]));

    let gone = world.call(Method::DELETE, "/v1/segments/outer", &Value::Null).await;
    assert_eq!((gone.status.as_u16(), gone.body), (204, json!("")));
    world.put("/v1/campaigns/draft", json!({})).await.ok();
    assert_eq!(world.get("/v1/segments/vip").await.ok()["used_by"], json!([]));
    assert_eq!(world.call(Method::DELETE, "/v1/segments/vip", &Value::Null).await.status, 204);
    world.get("/v1/segments/vip").await.problem(404, "unknown_segment");
    let unknown = world.try_count(&of("vip"), "refuse").await.problem(422, "unknown_segment");
    assert_eq!((&unknown["path"], &unknown["unknown"]), (&json!("filter.segment"), &json!(["segment/vip"])));
    world.call(Method::DELETE, "/v1/segments/vip", &Value::Null).await.problem(404, "unknown_segment");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_with_its_place() {
    let world = world_with(&["x"]).await;
    let nested = json!({ "any": [got("x"), { "all": [{ "not": got("nobody") }] }] });
    let unknown = segment(&world, "a", nested.clone()).await.problem(422, "unknown_source");
    assert_eq!(unknown["path"], "filter.any[1].all[0].not.received.source");
    assert_eq!(unknown["unknown"], json!(["campaign/nobody"]));
    let unknown = world.put("/v1/campaigns/c", json!({ "audience": nested })).await;
    assert_eq!(unknown.problem(422, "unknown_source")["path"], "audience.any[1].all[0].not.received.source");
    let unknown = segment(&world, "a", json!({ "not": of("b") })).await.problem(422, "unknown_segment");
    assert_eq!(unknown["path"], "filter.not.segment");
    world.put("/v1/segments/a", json!({})).await.problem(400, "missing_field");
    world.put("/v1/segments/a%20b", json!({ "filter": got("x") })).await.problem(400, "invalid_id");
    let nameless = json!({ "name": "", "filter": got("x") });
    world.put("/v1/segments/a", nameless).await.problem(422, "invalid_name");

    // The problem names the cycle, however long it is.
    let itself = segment(&world, "a", of("a")).await.problem(422, "segment_cycle");
    assert!(itself["detail"].as_str().unwrap().contains("segment/a → segment/a"), "{itself}");
    segment(&world, "a", got("x")).await.ok();
    segment(&world, "b", of("a")).await.ok();
    segment(&world, "c", json!({ "not": of("b") })).await.ok();
    let cycle = segment(&world, "a", json!({ "any": [got("x"), of("c")] })).await;
    let cycle = cycle.problem(422, "segment_cycle");
    assert!(
        cycle["detail"].as_str().unwrap().contains("segment/a → segment/c → segment/b → segment/a"),
        "{cycle}"
    );
    assert_eq!(world.get("/v1/segments/a").await.ok()["filter"], got("x"));

    // Too deep a chain is refused as well, whether the segment is added at its top or at its bottom.
    segment(&world, "d0", got("x")).await.ok();
    for i in 1..8 {
        segment(&world, &format!("d{i}"), of(&format!("d{}", i - 1))).await.ok();
    }
    segment(&world, "d8", of("d7")).await.problem(422, "segments_too_deep");
    assert_eq!(world.count(&of("d7")).await, 20);
    segment(&world, "d0", of("a")).await.problem(422, "segments_too_deep");
    assert_eq!(world.count(&of("d7")).await, 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_wide_is_refused_when_it_is_saved() {
    let world = World::new(5).await;
    let many: Vec<Value> = (0..46).map(|i| received(&format!("c{i}"), "u")).collect();
    world.ingest(&many).await;
    let any = |n: usize| json!({ "any": (0..n).map(|i| got(&format!("c{i}"))).collect::<Vec<_>>() });
    segment(&world, "wide", any(45)).await.ok();
    segment(&world, "wider", any(46)).await.problem(422, "audience_too_wide");
    let with_segment = json!({ "audience": of("wide") });
    let refused = world.put("/v1/campaigns/z", with_segment).await.problem(422, "audience_too_wide");
    assert_eq!(refused["path"], "audience");
    segment(&world, "wide", any(44)).await.ok();
    world.put("/v1/campaigns/z", json!({ "audience": of("wide") })).await.ok();
    world.start("z").await.ok();
    // After an edit, every active source that uses the segment must still be within the bound.
    let refused = segment(&world, "wide", any(45)).await.problem(422, "audience_too_wide");
    assert!(refused["detail"].as_str().unwrap().contains("campaign/z"), "{refused}");
    // A question may be wider, because it holds nothing.
    assert_eq!(world.count(&any(46)).await, 1);
    // Too many conditions through segments are refused as well, before they are evaluated.
    segment(&world, "s0", json!({ "any": vec![got("c0"); 400] })).await.ok();
    segment(&world, "s1", json!({ "any": vec![of("s0"); 12] })).await.ok();
    segment(&world, "s2", json!({ "any": vec![of("s1"); 12] })).await.problem(422, "filter_too_large");
}

#[tokio::test(start_paused = true)]
async fn l6_an_active_source_holds_through_segments() {
    let world = world_with(&["x", "y"]).await;
    segment(&world, "inner", got("x")).await.ok();
    segment(&world, "outer", json!({ "any": [of("inner"), got("y")] })).await.ok();
    world.put("/v1/campaigns/vip", json!({ "audience": { "not": of("outer") } })).await.ok();
    assert_eq!(held_by(&world, "x").await, json!([]), "drafts hold nothing");
    world.start("vip").await.ok();
    let through = json!([{ "source": "campaign/vip", "via": ["segment/outer", "segment/inner"] }]);
    assert_eq!(held_by(&world, "x").await, through);
    assert_eq!(held_by(&world, "y").await, json!([{ "source": "campaign/vip", "via": ["segment/outer"] }]));
    assert_eq!(world.get("/v1/segments/inner").await.ok()["active"], json!(["campaign/vip"]));
    world.advance("P12M");
    assert_eq!(world.sweep().await.expired, 0);

    // An edit of the inner segment changes the held sources; the answer lists those that lost their last holder and are due.
    let edited = segment(&world, "inner", json!({ "never_received": {} })).await.ok();
    assert_eq!(named(&edited["now_due"]), ["campaign/x"]);
    assert_eq!(held_by(&world, "x").await, json!([]));
    assert_eq!(world.sweep().await.expired, 1);
    // The segment cannot go back to the expired source: the edit is refused and changes nothing.
    let before = world.get("/v1/segments/inner").await.ok();
    let refused = segment(&world, "inner", got("x")).await.problem(409, "expired_interaction_data");
    assert_eq!(refused["expired"], json!(["campaign/x"]));
    assert_eq!(world.get("/v1/segments/inner").await.ok(), before);
    world.restore(&["campaign/x"]).await;
    segment(&world, "inner", got("x")).await.ok();
    assert_eq!(held_by(&world, "x").await, through);

    // The audience names the source directly now, so the shorter chain replaces the longer one.
    let both = json!({ "audience": { "any": [of("outer"), got("x")] } });
    world.put("/v1/campaigns/vip", both).await.ok();
    assert_eq!(held_by(&world, "x").await, json!([{ "source": "campaign/vip", "via": [] }]));
    // One of two references goes: the other still holds the source.
    let edited = segment(&world, "inner", json!({ "hard_bounced": {} })).await.ok();
    assert_eq!(edited["now_due"], json!([]));
    assert_eq!(held_by(&world, "x").await, json!([{ "source": "campaign/vip", "via": [] }]));
    world.advance("P12M");
    let stopped = world.stop("vip").await;
    assert_eq!(named(&stopped["now_due"]), ["campaign/x", "campaign/y"]);
    assert_eq!(world.get("/v1/segments/outer").await.ok()["active"], json!([]));
    assert_eq!(world.sweep().await.expired, 2);
    // Starting again needs the data that the segments expand to.
    let refused = world.start("vip").await.problem(409, "expired_interaction_data");
    assert_eq!(refused["expired"], json!(["campaign/x", "campaign/y"]));
}

/// At every moment of an expiry, an edit makes a segment name the data. Either the edit is refused and the data expires, or it
/// is granted and the data stays.
#[tokio::test(start_paused = true)]
async fn l6_no_interleaving_expires_what_a_segment_begins_to_name() {
    let (mut granted, mut refused) = (0, 0);
    for millis in 0.. {
        let world = world_with(&["x"]).await;
        segment(&world, "inner", json!({ "hard_bounced": {} })).await.ok();
        segment(&world, "outer", of("inner")).await.ok();
        world.put("/v1/campaigns/vip", json!({ "audience": of("outer") })).await.ok();
        world.start("vip").await.ok();
        world.advance("P3M");
        let budget = Budget::until(world.clock.now_still().plus(millis));
        world.clock.tick_by(1);
        let report = world.app().sweep(&budget).await.unwrap();
        world.clock.tick_by(0);
        let answer = segment(&world, "inner", got("x")).await;
        if answer.status.is_success() {
            granted += 1;
            assert_eq!(report.expired, 0, "after {millis} ms: {report:?}");
            world.advance("PT1H");
            world.settle().await;
            assert_eq!(world.state("x").await, "available", "after {millis} ms");
        } else {
            refused += 1;
            answer.problem(409, "expired_interaction_data");
            assert_eq!(world.state("x").await, "expired", "after {millis} ms");
            if refused > 2 {
                break;
            }
        }
    }
    assert!(granted >= 4, "only {granted} edits were granted");
}

#[tokio::test(start_paused = true)]
async fn the_archive_answers_without_a_restore_what_the_restore_then_answers_too() {
    let world = world_with(&["x", "y"]).await;
    world.ingest(&[received("x", "both"), received("y", "both")]).await;
    world.advance("P3M");
    assert_eq!(world.sweep().await.expired, 2);
    // The archive's answers contain late rows as well; other questions about expired data do not.
    world.ingest(&[received("x", "late")]).await;
    let questions = [
        got("x"),
        json!({ "all": [got("x"), { "not": got("y") }] }),
        json!({ "not": { "any": [got("x"), got("y")] } }),
        json!({ "last_received": { "source": "campaign/x", "more_than": "P1M" } }),
    ];
    let mut answers = Vec::new();
    for filter in &questions {
        world.try_count(filter, "refuse").await.problem(409, "expired_interaction_data");
        let answer = world.try_count(filter, "archive").await.ok();
        assert_eq!((&answer["unknown"], &answer["expired"]), (&json!(0), &json!([])), "{answer}");
        let body = json!({ "filter": filter, "expired": "archive", "limit": 50_000 });
        let members = world.post("/v1/audiences/members", body).await.ok();
        assert_eq!(members["items"].as_array().unwrap().len() as u64, answer["count"]);
        answers.push((answer["count"].clone(), members["items"].clone()));
    }
    let counts: Vec<&Value> = answers.iter().map(|(count, _)| count).collect();
    assert_eq!(counts, [&json!(22), &json!(21), &json!(0), &json!(21)]);
    for (user, is) in [("both", "yes"), ("x3", "yes"), ("y3", "no"), ("late", "yes"), ("nobody", "no")] {
        assert_eq!(world.matches(&got("x"), user, "archive").await, is, "{user}");
    }
    assert_eq!(world.state("x").await, "expired", "nothing was restored");
    world.restore(&["campaign/x", "campaign/y"]).await;
    for (filter, (count, members)) in questions.iter().zip(&answers) {
        assert_eq!(json!(world.count(filter).await), *count);
        assert_eq!(json!(world.members(filter, 50_000).await), *members);
        // When all data is available, the archive gives the same answer.
        assert_eq!(world.try_count(filter, "archive").await.ok()["count"], *count);
    }
}

/// Two people make a segment of one id: the later one does not replace the first one's.
#[tokio::test(start_paused = true)]
async fn a_segment_that_is_to_be_new_replaces_none() {
    let world = world_with(&["x", "y"]).await;
    let make = async |filter: Value| {
        let whole = json!({ "filter": filter });
        let said = Said::All(serde_json::from_value::<SegmentInput>(whole).unwrap());
        let how = Edit { is_new: true, ..Edit::default() };
        world.app().edit_segment("vip", &said, how, &Caller::default()).await
    };
    let (made, is_new) = make(got("x")).await.unwrap();
    assert!(is_new && made.version > 0);
    let problem = make(got("y")).await.unwrap_err();
    assert_eq!((problem.kind, problem.code), (ProblemKind::PreconditionFailed, "precondition_failed"));
    assert!(problem.detail.contains("exists already"), "{}", problem.detail);
    assert_eq!(world.get("/v1/segments/vip").await.ok()["filter"], got("x"));
}
