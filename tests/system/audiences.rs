//! Answers about audiences are the same however the data is stored and however an answer is cut into pages.

use crate::fixture::{
    model::mix,
    ports::Dice,
    world::{World, got, local_settings},
};
use rekindle_domain::{slot::SlotSize, time::Period};
use rekindle_service::{Settings, Sizes};
use rekindle_tests::sim::history::sizes;
use serde_json::{Value, json};

/// Counts from a cursor to the end. Returns the count and the number of answers.
async fn count(world: &World, filter: &Value, mut cursor: Value) -> (u64, usize) {
    let (mut sum, mut answers) = (0, 0);
    loop {
        let question = json!({ "filter": filter, "cursor": cursor });
        let answer = world.post("/v1/audiences/count", question).await.ok();
        sum += answer["count"].as_u64().unwrap();
        answers += 1;
        cursor = answer["next"].clone();
        if cursor.is_null() {
            return (sum, answers);
        }
    }
}

/// Filters that count whole blocks where they can, and some that never do.
fn filters() -> Vec<Value> {
    let of = |what: &str, more: Value| {
        let mut body = json!({ "source": "campaign/a" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ what: body })
    };
    let not = |filter: Value| json!({ "not": filter });
    let all = |filters: &[Value]| json!({ "all": filters });
    vec![
        got("a"),
        all(&[got("a"), not(of("clicked", json!({})))]),
        all(&[of("opened", json!({ "opens": "machine" })), not(of("opened", json!({ "opens": "human" })))]),
        json!({ "any": [of("received", json!({ "variant": "A" })), of("clicked", json!({ "alias": "cta" }))] }),
        of("in_control", json!({ "is": false })),
        of("converted", json!({})),
        of("last_received", json!({ "after": "2020-01-01T00:00:00Z" })),
        not(got("a")),
        all(&[got("a"), not(got("b"))]),
    ]
}

/// Whenever the time is up, a count goes on where it ended: it counts nobody twice and misses nobody, also where whole blocks
/// were counted without a look at their users.
#[tokio::test(start_paused = true)]
async fn pages_of_a_count_add_up_whenever_the_time_is_up() {
    let normal = local_settings(Period::parse("P3M").unwrap());
    let slot = SlotSize { rows: 100, ..sizes(60).slot };
    let mut most = 0;
    for audience_millis in (0..60).step_by(3) {
        let settings = Settings { sizes: Sizes { slot, ..sizes(60) }, audience_millis, ..normal.clone() };
        let world = World::with(62, settings).await;
        world.begin("a").await;
        world.ingest_received("a", "u", 400).await;
        world.stop_and_expire("a").await;
        world.restore(&["campaign/a"]).await;
        // A few users lie in the inbox, in front of blocks that no other stream has users in.
        world.ingest_received("a", "late", 2).await;
        world.clock.tick_by(1);
        let (counted, answers) = count(&world, &got("a"), Value::Null).await;
        world.clock.tick_by(0);
        assert_eq!(counted, 402, "after {audience_millis} ms, in {answers} answers");
        most = most.max(answers);
    }
    assert!(most > 5, "{most} answers");
}

/// Each filter's count equals its number of members, in one answer or in many: with a single run, with an inbox over all of
/// its hashes, with several runs.
#[tokio::test(start_paused = true)]
async fn counts_agree_with_members_however_the_data_lies_and_answers_are_cut() {
    let normal = local_settings(Period::parse("P3M").unwrap());
    // Several users in a block, several blocks in a slot, several slots.
    let slot = SlotSize { rows: 100, ..sizes(400).slot };
    let hurried = Settings { sizes: Sizes { slot, ..sizes(400) }, audience_millis: 0, ..normal.clone() };
    for (settings, is_hurried) in [(normal, false), (hurried, true)] {
        let world = World::with(61, settings).await;
        world.advance("P10D");
        world.begin("a").await;
        let mut dice = Dice(7);
        world.ingest_received("b", "u", 30).await;
        world.ingest(&mix("a", 60, 300, world.clock.now_still(), &mut dice)).await;
        let mut most = 0;
        for round in 0..4 {
            match round {
                1 => {
                    world.stop_and_expire("a").await;
                    world.restore(&["campaign/a"]).await;
                }
                2 => world.ingest(&mix("a", 8, 12, world.clock.now_still(), &mut dice)).await,
                3 => world.ingest(&mix("a", 90, 200, world.clock.now_still(), &mut dice)).await,
                _ => {}
            }
            for filter in filters() {
                let members = world.members(&filter, 1_000).await.len() as u64;
                let (counted, answers) = count(&world, &filter, Value::Null).await;
                assert_eq!(counted, members, "round {round}, hurried {is_hurried}: {filter}");
                assert!(answers == 1 || is_hurried, "{answers} answers");
                most = most.max(answers);
            }
        }
        assert!(most > 5 || !is_hurried, "{most} answers");
    }
}

/// A count takes the cursor of a page of members, and counts the rest.
#[tokio::test(start_paused = true)]
async fn a_count_goes_on_after_any_user() {
    let slot = SlotSize { rows: 100, ..sizes(400).slot };
    let settings =
        Settings { sizes: Sizes { slot, ..sizes(400) }, ..local_settings(Period::parse("P3M").unwrap()) };
    let world = World::with(62, settings).await;
    world.begin("a").await;
    world.ingest(&mix("a", 150, 600, world.clock.now_still(), &mut Dice(8))).await;
    world.stop_and_expire("a").await;
    world.restore(&["campaign/a"]).await;
    let all = world.members(&got("a"), 1_000).await.len() as u64;
    assert!(all > 100, "{all} members");
    let (mut cursor, mut left) = (Value::Null, all);
    loop {
        assert_eq!(count(&world, &got("a"), cursor.clone()).await.0, left);
        let question = json!({ "filter": got("a"), "limit": 1, "cursor": cursor });
        let page = world.post("/v1/audiences/members", question).await.ok();
        cursor = page["next"].clone();
        left = left.saturating_sub(1);
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(left, 0);
}
