//! Merged user ids are one person in every answer, wherever the rows lie and whenever they arrived (L11).

use crate::fixture::{
    model::{Model, filters, filters_over_all, mix},
    peek::ledger_of,
    ports::Dice,
    world::{World, got, local_settings, received},
};
use rekindle_domain::{id::LedgerId, manifest::DataState, slot::SlotSize, time::Period};
use rekindle_service::{Settings, Sizes};
use rekindle_tests::sim::history::sizes;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A world whose blocks and slots are so small that few users fill many.
async fn world(seed: u64) -> World {
    let settings = local_settings(Period::parse("P3M").unwrap());
    let world = World::with(seed, Settings { sizes: Sizes { ..sizes(400) }, ..settings }).await;
    for campaign in ["a", "b"] {
        world.begin(campaign).await;
    }
    world.advance("P7D");
    world
}

async fn merge(world: &World, from: &str, into: &str) -> Value {
    world.post("/v1/users/merge", json!({ "from": from, "into": into })).await.ok()
}

/// Merges in the world and in the model.
async fn merge_both(world: &World, model: &mut Model, pairs: &[(&str, &str)]) {
    for (from, into) in pairs {
        let made = merge(world, from, into).await;
        model.merge(from, into);
        assert_eq!(made["user_id"], model.person(from), "{made}");
    }
}

/// Posts a mix of interactions with both campaigns, in small batches.
async fn post(world: &World, model: &mut Model, count: usize, dice: &mut Dice) {
    for campaign in ["a", "b"] {
        let events = mix(campaign, 40, count, world.clock.now_still(), dice);
        for batch in events.chunks(29) {
            world.ingest(batch).await;
        }
        model.add(events);
    }
}

async fn page(world: &World, filter: &Value, expired: &str, limit: usize, cursor: &Value) -> Value {
    let body = json!({ "filter": filter, "expired": expired, "limit": limit, "cursor": cursor });
    world.post("/v1/audiences/members", body).await.ok()
}

fn texts(items: &Value) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Every count, every page of members, and the answer for each id that was merged are the model's.
async fn assert_answers(world: &World, model: &Model, expired: &str) {
    let middle = model.middle();
    let all = [filters("a", "b", middle), filters("b", "a", middle), filters_over_all(middle)].concat();
    for (i, (filter, limit)) in all.iter().zip([2, 3, 5, 11].into_iter().cycle()).enumerate() {
        let answer = world.try_count(filter, expired).await.ok();
        let (count, unknown) = model.count(filter);
        assert_eq!((&answer["count"], &answer["unknown"]), (&count.into(), &unknown.into()), "{filter}");
        let (mut members, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let page = page(world, filter, expired, limit, &cursor).await;
            members.extend(texts(&page["items"]));
            cursor = page["next"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(members.len() as u64, count, "each person stands there once: {filter}");
        assert_eq!(members.into_iter().collect::<BTreeSet<_>>(), model.members(filter), "{filter}");
        let ids = model.merged().chain(model.users().step_by(9));
        for id in ids.skip(i % 4).step_by(4) {
            let answer = world.matches(filter, id, expired).await;
            assert_eq!(answer, model.answer(filter, id), "{filter} {id}");
        }
    }
}

/// The users of a page of an export, each once, and the path of the next page.
async fn export_page(world: &World, path: &str) -> (Vec<String>, Option<String>) {
    let answer = world.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let lines = answer.body.as_str().unwrap().lines().filter(|line| !line.starts_with("user_id,"));
    let mut users: Vec<String> = lines.map(|line| line.split(',').next().unwrap().to_owned()).collect();
    users.dedup();
    let link = answer.headers.get("link").map(|link| link.to_str().unwrap());
    (users, link.map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned()))
}

/// Lets a day pass, and rows arrive, so that the compactor moves the rows of so many merges.
async fn fold(world: &World, merges: u64) {
    world.advance("P1D");
    for round in 0..4 {
        world.ingest_received("a", &format!("r{round}-"), 1).await;
    }
    assert!(world.compact_in_time().await > 0);
    assert!(folded(world, &ledger_of("a")).await.contains(&merges));
}

/// Which merges the runs of a ledger followed.
async fn folded(world: &World, ledger: &LedgerId) -> Vec<u64> {
    world.manifest_of(ledger).await.runs.iter().map(|run| run.folded).collect()
}

#[tokio::test(start_paused = true)]
async fn l11_merged_users_are_one_wherever_their_rows_lie() {
    let world = world(61).await;
    let (mut model, mut dice) = (Model::default(), Dice(61));
    post(&world, &mut model, 150, &mut dice).await;
    // In the inbox: two that are known, a chain in both orders, a rename, and an id that comes later.
    let pairs = [
        ("user-1", "user-2"),
        ("user-3", "user-4"),
        ("user-4", "user-5"),
        ("user-8", "user-9"),
        ("user-6", "user-8"),
        ("user-10", "new-id"),
        ("later", "user-11"),
    ];
    merge_both(&world, &mut model, &pairs).await;
    assert_answers(&world, &model, "refuse").await;

    // In runs that were made before a day had passed: nothing is folded.
    assert!(world.compact_in_time().await >= 3);
    assert_eq!(folded(&world, &ledger_of("a")).await, [0]);
    assert_answers(&world, &model, "refuse").await;

    // Late rows under the old ids, and further merges of persons that were merged already.
    world.ingest(&[received("a", "later"), received("b", "user-1"), received("a", "user-3")]).await;
    let late = [received("a", "later"), received("b", "user-1"), received("a", "user-3")];
    let now = world.clock.now_still();
    model.add(late.map(|mut event| {
        event["time"] = now.to_string().into();
        event
    }));
    assert_answers(&world, &model, "refuse").await;
    world.advance("P1D");
    merge_both(&world, &mut model, &[("user-5", "user-9"), ("user-12", "user-2")]).await;
    post(&world, &mut model, 100, &mut dice).await;
    assert_answers(&world, &model, "refuse").await;

    // Folded up to the merges of a day ago; the two later ones are pending.
    assert!(world.compact_in_time().await >= 3);
    assert_eq!(folded(&world, &ledger_of("a")).await.last(), Some(&7));
    assert_eq!(folded(&world, &LedgerId::Users).await.last(), Some(&7));
    assert_answers(&world, &model, "refuse").await;
    world.advance("P1D");
    post(&world, &mut model, 100, &mut dice).await;
    assert!(world.compact_in_time().await >= 3);
    assert!(folded(&world, &ledger_of("a")).await.contains(&9));
    assert_answers(&world, &model, "refuse").await;
    for campaign in ["a", "b"] {
        let (users, next) = export_page(&world, &format!("/v1/campaigns/{campaign}/interactions.csv")).await;
        assert_eq!(next, None);
        let known = model.members(&json!({ "any": [got(campaign), { "not": got(campaign) }] }));
        assert!(users.iter().all(|user| known.contains(user)), "{users:?}");
        assert_eq!(users.iter().collect::<BTreeSet<_>>().len(), users.len(), "each person is exported once");
    }
}

#[tokio::test(start_paused = true)]
async fn l11_merged_users_are_one_in_the_archive_and_after_a_restore() {
    let world = world(62).await;
    let (mut model, mut dice) = (Model::default(), Dice(62));
    post(&world, &mut model, 200, &mut dice).await;
    merge_both(&world, &mut model, &[("user-1", "user-2"), ("user-4", "user-5")]).await;
    world.stop_and_expire("a").await;
    assert_eq!(folded(&world, &ledger_of("a")).await, [2], "archiving folds");
    // Merged after the data was archived: no rewrite will fold these there.
    merge_both(&world, &mut model, &[("user-2", "user-6"), ("user-8", "user-9"), ("user-11", "fresh")]).await;
    assert_answers(&world, &model, "archive").await;
    model.expired.insert("campaign/a".to_owned());
    assert_answers(&world, &model, "exclude").await;
    model.expired.clear();

    // A late row under an old id makes the person certain.
    world.ingest(&[received("a", "user-8")]).await;
    let mut event = received("a", "user-8");
    event["time"] = world.clock.now_still().to_string().into();
    model.add([event]);
    for id in ["user-8", "user-9"] {
        assert_eq!(world.matches(&got("a"), id, "exclude").await, "yes");
    }
    assert_answers(&world, &model, "archive").await;
    world.advance("P2D");
    world.settle().await;
    assert_eq!(
        folded(&world, &ledger_of("a")).await,
        [2, 5],
        "the late rows are folded as they go to the archive"
    );
    assert_answers(&world, &model, "archive").await;

    world.restore(&["campaign/a"]).await;
    assert_eq!(world.manifest("a").await.state, DataState::Available);
    assert_answers(&world, &model, "refuse").await;
    world.clean_up().await;
    assert_answers(&world, &model, "refuse").await;
}

/// Merges that are refused, made before, or made in bulk; none hurts another.
#[tokio::test(start_paused = true)]
async fn merges_are_judged_one_after_the_other() {
    let world = world(63).await;
    let first = merge(&world, "x", "y").await;
    assert_eq!((&first["number"], &first["user_id"]), (&1.into(), &"y".into()), "{first}");
    world.advance("PT1M");
    assert_eq!(merge(&world, "x", "y").await, first, "sent again, it is answered as it was");
    let refused = async |from: &str, into: &str, status, code: &str| {
        world.post("/v1/users/merge", json!({ "from": from, "into": into })).await.problem(status, code)
    };
    refused("x", "x", 422, "same_user").await;
    refused("y", "x", 409, "merge_cycle").await;
    assert!(
        refused("x", "z", 409, "already_merged").await["detail"].as_str().unwrap().contains("belongs to y")
    );
    assert_eq!(refused("", "z", 422, "invalid_user_id").await["path"], "from");
    assert_eq!(refused("z", " ", 422, "invalid_user_id").await["path"], "into");
    refused("z", &"é".repeat(257), 422, "invalid_user_id").await;

    let pairs = [("y", "z"), ("z", "x"), ("x", "z"), ("", "z"), ("w", "x")];
    let pairs = pairs.map(|(from, into)| json!({ "from": from, "into": into }));
    let answer = world.post("/v1/users/merges", json!({ "merges": pairs })).await.ok();
    let items = answer["items"].as_array().unwrap();
    let statuses: Vec<u64> = items.iter().map(|item| item["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 409, 200, 422, 200], "{answer}");
    assert_eq!(items[1]["problem"]["code"], "merge_cycle");
    assert_eq!(items[2]["merge"]["number"], 1, "x is one person with z, by its merge into y");
    assert_eq!((&items[4]["merge"]["into"], &items[4]["merge"]["user_id"]), (&"x".into(), &"z".into()));
    for merges in [vec![], vec![pairs[0].clone(); 51]] {
        world.post("/v1/users/merges", json!({ "merges": merges })).await.problem(422, "invalid_merges");
    }

    for (merges, place) in [(json!(["y"]), "merges[0]"), (json!([[]]), "merges[0]")] {
        let refused = world.post("/v1/users/merges", json!({ "merges": merges })).await;
        let refused = refused.problem(400, "invalid_field");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.starts_with(place) && detail.ends_with("expected an object"), "{detail}");
    }

    let list = world.get("/v1/users/merges?limit=2").await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert_eq!(list["items"][0]["user_id"], "z", "as of now");
    let next = list["next"].as_str().unwrap();
    let rest = world.get(&format!("/v1/users/merges?limit=2&cursor={next}")).await.ok();
    assert_eq!(
        world.get("/v1/users/merges?after=2").await.ok(),
        rest,
        "a follower goes on after the last that it knows"
    );
    for (after, count) in [("3", 0), ("18446744073709551615", 0), ("0", 3)] {
        let list = world.get(&format!("/v1/users/merges?after={after}")).await.ok();
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{list}");
    }
    world.get("/v1/users/merges?after=-1").await.problem(400, "invalid_query");
    assert_eq!((&rest["items"][0]["from"], &rest["next"]), (&"w".into(), &Value::Null));
    let profile = world.get("/v1/users?user_id=w").await.ok();
    assert_eq!((&profile["user_id"], &profile["merged"]), (&"z".into(), &json!(["x", "y", "w"])));
    let trail = world.get("/v1/audit?on=users").await.ok();
    let details: Vec<&str> =
        trail["items"].as_array().unwrap().iter().map(|e| e["detail"].as_str().unwrap()).collect();
    assert_eq!(details, ["merges 2 to 3", "merges 1 to 1"], "the trail has numbers, and no ids");
}

#[tokio::test(start_paused = true)]
async fn a_person_has_a_hundred_ids_at_most_and_each_is_found() {
    let world = world(64).await;
    let ids: Vec<String> = (0..99).map(|i| format!("{i:0>512}")).collect();
    for id in ids.iter().step_by(13) {
        world.ingest(&[received("a", id)]).await;
    }
    for some in ids.chunks(50) {
        let merges: Vec<Value> = some.iter().map(|id| json!({ "from": id, "into": "p" })).collect();
        let answer = world.post("/v1/users/merges", json!({ "merges": merges })).await.ok();
        assert!(answer["items"].as_array().unwrap().iter().all(|item| item["status"] == 200), "{answer}");
    }
    let one_more = json!({ "from": "q", "into": ids[0] });
    world.post("/v1/users/merge", one_more).await.problem(409, "too_many_ids");
    assert_eq!(world.members(&got("a"), 5).await, ["p"]);
    for id in [&ids[98], "p"] {
        assert_eq!(world.matches(&got("a"), id, "refuse").await, "yes");
    }
    let profile = world.get("/v1/users?user_id=p").await.ok();
    assert_eq!(profile["merged"].as_array().unwrap().len(), 99);
}

/// Of two merges at once that would close a circle, one is refused.
#[tokio::test(start_paused = true)]
async fn two_merges_at_once_are_judged_one_after_the_other() {
    for seed in 65..75 {
        let world = world(seed).await;
        let ask = |from: &'static str, into: &'static str| {
            world.post("/v1/users/merge", json!({ "from": from, "into": into }))
        };
        let (one, other) = tokio::join!(ask("x", "y"), ask("y", "x"));
        let statuses = BTreeSet::from([one.status.as_u16(), other.status.as_u16()]);
        assert_eq!(statuses, BTreeSet::from([200, 409]), "{} {}", one.body, other.body);
        let merges = world.get("/v1/users/merges").await.ok();
        assert_eq!(merges["items"].as_array().unwrap().len(), 1);
    }
}

/// A walk shows each person once: its pages are as of the first one.
#[tokio::test(start_paused = true)]
async fn l11_a_walk_shows_each_person_once_while_users_are_merged() {
    let world = world(76).await;
    world.ingest_received("a", "u", 12).await;
    let everybody = world.members(&got("a"), 100).await;
    let first = page(&world, &got("a"), "refuse", 4, &Value::Null).await;
    // One that was shown and one that is ahead, in both directions; and two that are ahead.
    for (from, into) in [(0, 8), (9, 1), (10, 11)] {
        merge(&world, &everybody[from], &everybody[into]).await;
    }
    let second = page(&world, &got("a"), "refuse", 4, &first["next"]).await;
    let third = page(&world, &got("a"), "refuse", 4, &second["next"]).await;
    let pages = [&first, &second, &third].map(|page| texts(&page["items"]));
    assert_eq!(pages.concat(), everybody, "as of the first page");
    assert_eq!(world.members(&got("a"), 4).await.len(), 9);

    // Once the rows were moved, pages from before cannot go on where a merge split them.
    fold(&world, 3).await;
    let body = json!({ "filter": got("a"), "limit": 4, "cursor": first["next"] });
    world.post("/v1/audiences/members", body).await.problem(400, "invalid_cursor");
    let again = world.members(&got("a"), 3).await;
    assert_eq!(again.len(), 13);
    assert_eq!(again.iter().collect::<BTreeSet<_>>().len(), 13);
}

/// A walk goes on after rows were moved, unless a merge split it.
#[tokio::test(start_paused = true)]
async fn l11_a_walk_goes_on_after_a_rewrite_that_moved_rows() {
    let world = world(78).await;
    world.ingest_received("a", "u", 12).await;
    let everybody = world.members(&got("a"), 100).await;
    let first = page(&world, &got("a"), "refuse", 4, &Value::Null).await;
    // Both behind, and both ahead.
    merge(&world, &everybody[0], &everybody[3]).await;
    merge(&world, &everybody[9], &everybody[6]).await;
    fold(&world, 2).await;
    let rest = page(&world, &got("a"), "refuse", 100, &first["next"]).await;
    let rest: Vec<String> = texts(&rest["items"]).into_iter().filter(|user| user.starts_with('u')).collect();
    let ahead = everybody[4..].iter().filter(|user| **user != everybody[9]);
    assert_eq!(rest.iter().collect::<Vec<_>>(), ahead.collect::<Vec<_>>());
}

/// Counts and exports are walks, too: their pages are as of the first.
#[tokio::test(start_paused = true)]
async fn l11_pages_of_counts_and_exports_are_as_of_the_first() {
    // Several blocks in a slot: a count can end behind each but the last.
    let sizes = Sizes { slot: SlotSize { rows: 1_000, bytes: 1 << 20 }, ..sizes(400) };
    let settings = Settings { sizes, audience_millis: 0, ..local_settings(Period::parse("P3M").unwrap()) };
    let world = World::with(79, settings).await;
    world.begin("a").await;
    for round in 0..4 {
        world.ingest_received("a", &format!("u{round}-"), 100).await;
    }
    world.compact_in_time().await;
    let everybody = world.members(&got("a"), 1_000).await;
    let body = |cursor: &Value| json!({ "filter": got("a"), "cursor": cursor });
    let mut count = world.post("/v1/audiences/count", body(&Value::Null)).await.ok();
    let path = "/v1/campaigns/a/interactions.csv";
    let (mut users, mut next) = export_page(&world, path).await;
    assert!(
        users.len() < 400 && count["next"].is_string(),
        "the first pages are not the last: {} {count}",
        users.len()
    );
    for user in 0..40 {
        merge(&world, &everybody[user], &everybody[399 - user]).await;
    }
    let mut total = count["count"].as_u64().unwrap();
    while !count["next"].is_null() {
        count = world.post("/v1/audiences/count", body(&count["next"])).await.ok();
        total += count["count"].as_u64().unwrap();
    }
    assert_eq!(total, 400);
    while let Some(path) = next {
        let (more, further) = export_page(&world, &path).await;
        users.extend(more);
        next = further;
    }
    assert_eq!(users, everybody, "as of the first page");
    assert_eq!(world.members(&got("a"), 1_000).await.len(), 360);
}

/// More merges are pending than a reader holds rows of at once: it reads the copy again, and shows each person once.
#[tokio::test(start_paused = true)]
async fn l11_more_merges_than_are_in_memory_at_once() {
    // Each person stands there by moved rows alone.
    const PAIRS: usize = 16_384 + 700;
    let world = World::with(80, local_settings(Period::parse("P3M").unwrap())).await;
    world.begin("a").await;
    world.ingest_received("a", "from", PAIRS).await;
    world.stop_and_expire("a").await;
    world.restore(&["campaign/a"]).await;
    let pairs: Vec<Value> =
        (0..PAIRS).map(|i| json!({ "from": format!("from{i}"), "into": format!("into{i}") })).collect();
    for merges in pairs.chunks(50) {
        let answer = world.post("/v1/users/merges", json!({ "merges": merges })).await.ok();
        assert!(answer["items"].as_array().unwrap().iter().all(|item| item["status"] == 200), "{answer}");
    }
    assert_eq!(folded(&world, &ledger_of("a")).await, [0], "all are pending");
    assert_eq!(world.count(&got("a")).await, PAIRS as u64);
    let members = world.members(&got("a"), 5_000).await;
    assert!(members.iter().all(|user| user.starts_with("into")));
    assert_eq!(members.iter().collect::<BTreeSet<_>>().len(), PAIRS);
    assert_eq!(members.len(), PAIRS);
}

/// A source's counts are a bound while a merge waits for a rewrite, and exact afterwards.
#[tokio::test(start_paused = true)]
async fn counts_are_a_bound_until_a_merge_is_folded() {
    let world = world(77).await;
    for round in 0..4 {
        world.ingest_received("a", &format!("r{round}-"), 2).await;
    }
    let data = async || {
        let data = world.campaign("a").await["interaction_data"].clone();
        (data["users"].clone(), data["exact"].clone())
    };
    merge(&world, "r0-0", "r0-1").await;
    assert_eq!(data().await, (7.into(), true.into()), "the inbox is read, and shows persons");
    assert!(world.compact_in_time().await > 0);
    assert_eq!(data().await, (8.into(), false.into()));
    world.advance("P1D");
    for round in 0..4 {
        world.ingest_received("a", &format!("r{round}-"), 2).await;
    }
    assert!(world.compact_in_time().await > 0);
    assert_eq!(data().await, (7.into(), true.into()));
}
