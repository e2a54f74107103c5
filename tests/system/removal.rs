//! Deleting campaigns and Canvases: hidden at once, undone for a week, then gone.

use crate::fixture::{
    faults::Fault,
    world::{World, got, local_settings, received, sweep_with, try_sweep},
};
use http::Method;
use rekindle_domain::time::Period;
use rekindle_local::stack::{CATALOG, LEDGER};
use rekindle_service::{Settings, UnknownSources};
use serde_json::{Value, json};

const ME: &str = "me@example.com";

async fn delete(world: &World, path: &str) -> crate::fixture::world::Answer {
    world.call(Method::DELETE, path, &Value::Null).await
}

async fn undelete(world: &World, path: &str) -> crate::fixture::world::Answer {
    world.post(&format!("{path}/undelete"), Value::Null).await
}

async fn listed(world: &World, query: &str) -> Vec<String> {
    let page = world.get(&format!("/v1/campaigns{query}")).await.ok();
    page["items"].as_array().unwrap().iter().map(|s| s["source"].as_str().unwrap().to_owned()).collect()
}

/// Every key of both tables and of the archive in which a campaign stands.
async fn traces(world: &World, campaign: &str) -> Vec<String> {
    let name = format!("campaign/{campaign}");
    let mut out = Vec::new();
    for table in [CATALOG, LEDGER] {
        out.extend(world.keys(table).await.into_iter().map(|(pk, sk)| format!("{pk} {sk}")));
    }
    out.extend(world.archive().await.into_keys());
    // Requests keep their items, as the audit trail keeps its entries.
    out.retain(|key| key.contains(&name) && !key.starts_with("restore#"));
    out
}

/// A campaign with interactions in the archive, in a restored hot copy and in its inbox.
async fn with_everything(world: &World) {
    world.put("/v1/campaigns/a", json!({ "tags": ["promo"], "notify": [ME] })).await.ok();
    world.start("a").await.ok();
    world.ingest_received("a", "u", 5).await;
    world.stop_and_expire("a").await;
    world.restore(&["campaign/a"]).await;
    world.ingest(&[received("a", "late")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_campaign_is_hidden_and_comes_back_as_it_was() {
    let world = World::new(1).await;
    with_everything(&world).await;
    let before = world.campaign("a").await;
    let deleted = delete(&world, "/v1/campaigns/a").await.ok();
    assert_eq!(deleted["source"], "campaign/a");
    let (at, until) = (&deleted["deleted_at"], &deleted["final_at"]);
    assert!(at.is_string() && until.is_string(), "{deleted}");
    let again = delete(&world, "/v1/campaigns/a").await.ok();
    assert_eq!((&again["deleted_at"], &again["final_at"]), (at, until), "sent again it is the same");

    let hidden = world.get("/v1/campaigns/a").await.problem(404, "unknown_source");
    assert!(hidden["detail"].as_str().unwrap().contains("POST /v1/campaigns/a/undelete"), "{hidden}");
    for path in ["/v1/campaigns/a/timeline", "/v1/campaigns/a/interactions.csv"] {
        world.get(path).await.problem(404, "unknown_source");
    }
    world.start("a").await.problem(404, "unknown_source");
    world.post("/v1/campaigns/a/pin", json!({ "reason": "x" })).await.problem(404, "unknown_source");
    world.put("/v1/campaigns/a", json!({})).await.problem(409, "source_deleted");
    world.post("/v1/restores", json!({ "sources": ["campaign/a"] })).await.problem(422, "unknown_source");
    world.try_count(&got("a"), "refuse").await.problem(422, "unknown_source");
    let promo = json!({ "received": { "tag": "promo" } });
    world.try_count(&promo, "refuse").await.problem(422, "unknown_tag");
    assert_eq!(listed(&world, "").await, Vec::<String>::new());
    assert_eq!(listed(&world, "?sort=expires_at").await, Vec::<String>::new());
    assert_eq!(listed(&world, "?deleted=true").await, ["campaign/a"]);
    assert_eq!(listed(&world, "?deleted=true&tag=promo").await, ["campaign/a"]);
    assert_eq!(listed(&world, "?deleted=true&tag=other").await, Vec::<String>::new());
    let profile = world.get("/v1/users?user_id=u1").await.ok();
    assert_eq!((&profile["known"], &profile["campaigns_received"]), (&true.into(), &json!([])));
    assert_eq!(world.get("/v1/expirations?until=2029-01-01T00:00:00Z").await.ok()["items"], json!([]));

    // Its people learn of it, once, and how to undo it.
    world.settle().await;
    world.settle().await;
    let mails: Vec<_> =
        world.mails_to(ME).into_iter().filter(|m| m.subject == "campaign/a was deleted").collect();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains("POST /v1/campaigns/a/undelete"), "{}", mails[0].text);

    world.advance("P6D");
    world.settle().await;
    let back = undelete(&world, "/v1/campaigns/a").await.ok();
    assert_eq!(back["now_due"], json!([]), "its retention is not over");
    let after = world.campaign("a").await;
    for field in ["name", "status", "tags", "notify", "stopped_at", "interaction_data"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(world.count(&promo).await, 6);
    assert_eq!(listed(&world, "").await, ["campaign/a"]);
    assert_eq!(listed(&world, "?deleted=true").await, Vec::<String>::new());
    let timeline = world.timeline("a").await;
    assert_eq!(timeline[timeline.len() - 2..], ["deleted", "undeleted"]);
    assert_eq!(undelete(&world, "/v1/campaigns/a").await.ok()["status"], "stopped", "nothing changes");
    world.advance("P10D");
    world.settle().await;
    assert_eq!(world.count(&promo).await, 6);
}

/// A week after the deletion every copy, the inbox, the timeline and the source go. The id is free then.
#[tokio::test(start_paused = true)]
async fn a_week_later_nothing_is_left() {
    for expired in [false, true] {
        let world = World::new(2).await;
        with_everything(&world).await;
        let other = json!({ "audience": { "segment": "s" } });
        world.put("/v1/segments/s", json!({ "filter": { "hard_bounced": {} } })).await.ok();
        world.call(Method::PATCH, "/v1/campaigns/a", &other).await.ok();
        if expired {
            world.advance("P3M");
            world.settle().await;
            world.ingest(&[received("a", "later")]).await;
        }
        delete(&world, "/v1/campaigns/a").await.ok();
        world.settle().await;
        world.advance("P6DT23H59M");
        world.settle().await;
        assert!(!world.manifest("a").await.is_deleted);
        world.advance("PT2M");
        world.settle().await;
        assert!(!world.manifest("a").await.is_deleted, "a second look comes two minutes later");
        world.advance("PT2M");
        world.settle().await;
        assert!(world.manifest("a").await.is_deleted);
        // From here on nothing brings it back, and nothing is taken that would be lost.
        undelete(&world, "/v1/campaigns/a").await.problem(409, "source_is_going");
        let refused = world.post("/v1/interactions", json!([received("a", "v")])).await;
        let refused = refused.problem(422, "nothing_accepted");
        assert_eq!(refused["rejected"][0]["code"], "deleted_source");
        for _ in 0..5 {
            world.clean_up().await;
            world.compact().await;
        }
        assert_eq!(traces(&world, "a").await, Vec::<String>::new(), "expired: {expired}");
        world.get("/v1/campaigns/a").await.problem(404, "unknown_source");
        undelete(&world, "/v1/campaigns/a").await.problem(404, "unknown_source");
        assert_eq!(world.get("/v1/segments/s").await.ok()["used_by"], json!([]));
        // All that `users` knows of its people stays.
        assert_eq!(world.get("/v1/users?user_id=u1").await.ok()["known"], true);
        world.ingest(&[received("a", "new")]).await;
        assert_eq!(world.members(&got("a"), 10).await, ["new"]);
        assert_eq!(world.timeline("a").await, ["registered"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_use_is_not_deleted_and_the_answer_says_by_whom() {
    let world = World::new(3).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 2).await;
    world.put("/v1/campaigns/draft", json!({ "audience": got("a") })).await.ok();
    world.put("/v1/segments/s", json!({ "filter": got("a") })).await.ok();
    world.put("/v1/canvases/x", json!({ "audience": { "segment": "s" } })).await.ok();
    let active = delete(&world, "/v1/campaigns/a").await.problem(409, "source_is_active");
    assert!(active["detail"].as_str().unwrap().contains("POST /v1/campaigns/a/stop"), "{active}");
    world.stop("a").await;
    let used = delete(&world, "/v1/campaigns/a").await.problem(409, "source_in_use");
    assert_eq!(used["used_by"], json!(["campaign/draft", "canvas/x", "segment/s"]));
    for (path, body) in [("campaigns/draft", json!({})), ("canvases/x", json!({}))] {
        world.put(&format!("/v1/{path}"), body).await.ok();
    }
    delete(&world, "/v1/segments/s").await.ok();
    world.post("/v1/campaigns/a/pin", json!({ "reason": "an audit" })).await.ok();
    delete(&world, "/v1/campaigns/a").await.problem(409, "source_is_pinned");
    delete(&world, "/v1/campaigns/a/pin").await.ok();
    let tried = delete(&world, "/v1/campaigns/a?dry_run=true").await.ok();
    assert!(tried["deleted_at"].is_string());
    assert_eq!(world.campaign("a").await["status"], "stopped", "a dry run changes nothing");
    let old =
        http::Request::delete("/v1/campaigns/a").header("if-match", "\"1\"").body(axum::body::Body::empty());
    world.send(old.unwrap()).await.problem(412, "precondition_failed");
    delete(&world, "/v1/campaigns/a").await.ok();
    delete(&world, "/v1/campaigns/nobody").await.problem(404, "unknown_source");
}

/// A segment that was stored at the moment of the deletion names the campaign. It is not gone while it is named.
#[tokio::test(start_paused = true)]
async fn what_is_named_at_the_end_of_the_week_stays_until_it_is_not() {
    let world = World::new(9).await;
    world.put("/v1/campaigns/a", json!({})).await.ok();
    world.put("/v1/segments/s", json!({ "filter": { "hard_bounced": {} } })).await.ok();
    delete(&world, "/v1/campaigns/a").await.ok();
    world.change_document("segment#s", "segment", |segment| segment["filter"] = got("a")).await;
    for _ in 0..10 {
        world.advance("P1D");
        world.settle().await;
    }
    undelete(&world, "/v1/campaigns/a").await.ok();
    delete(&world, "/v1/campaigns/a").await.problem(409, "source_in_use");
    world.put("/v1/segments/s", json!({ "filter": { "hard_bounced": {} } })).await.ok();
    delete(&world, "/v1/campaigns/a").await.ok();
    for _ in 0..10 {
        world.advance("P1D");
        world.settle().await;
    }
    assert_eq!(traces(&world, "a").await, Vec::<String>::new());
}

/// A restore that was asked for and has not begun when its source is deleted fails, and says why.
#[tokio::test(start_paused = true)]
async fn a_restore_of_what_was_deleted_meanwhile_fails_with_the_reason() {
    let world = World::new(4).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 2).await;
    world.stop_and_expire("a").await;
    let id = world.request_restore(&["campaign/a"], &[ME]).await;
    delete(&world, "/v1/campaigns/a").await.ok();
    world.settle().await;
    let request = world.request(&id).await;
    assert_eq!((&request["state"], &request["items"][0]["state"]), (&"failed".into(), &"failed".into()));
    assert_eq!(request["items"][0]["error"], "campaign/a was deleted");
    // While a restore is under way, the source is not deleted.
    undelete(&world, "/v1/campaigns/a").await.ok();
    world.request_restore(&["campaign/a"], &[]).await;
    let messages = world.stack.receive(rekindle_local::poller::Consumer::Restorer, 0).await.unwrap();
    world.stack.deliver(rekindle_local::poller::Consumer::Restorer, messages).await.unwrap();
    assert_eq!(world.state("a").await, "restoring");
    delete(&world, "/v1/campaigns/a").await.problem(409, "source_is_restoring");
}

#[tokio::test(start_paused = true)]
async fn a_message_after_the_deletion_brings_a_campaign_back() {
    let world = World::new(5).await;
    // A draft, and a campaign that a person stopped.
    world.put("/v1/campaigns/draft", json!({ "tags": ["promo"], "notify": [ME] })).await.ok();
    world.put("/v1/campaigns/a", json!({ "notify": [ME] })).await.ok();
    world.start("a").await.ok();
    world.ingest_received("a", "u", 2).await;
    world.stop("a").await;
    for id in ["draft", "a"] {
        delete(&world, &format!("/v1/campaigns/{id}")).await.ok();
    }
    world.advance("P1D");
    // Clicks on old messages are kept with the source, and say nothing.
    let click = json!({ "user_id": "u1", "campaign_id": "a", "type": "clicked", "channel": "email" });
    world.ingest(&[click]).await;
    world.settle().await;
    world.get("/v1/campaigns/a").await.problem(404, "unknown_source");
    world.ingest(&[received("a", "v"), received("draft", "v")]).await;
    world.settle().await;
    let (draft, a) = (world.campaign("draft").await, world.campaign("a").await);
    assert_eq!((&draft["status"], &a["status"]), (&"active".into(), &"stopped".into()));
    assert_eq!((world.count(&got("a")).await, world.count(&got("draft")).await), (3, 1));
    let clicked = json!({ "clicked": { "source": "campaign/a" } });
    assert_eq!(world.count(&clicked).await, 1);
    assert_eq!(world.count(&json!({ "received": { "tag": "promo" } })).await, 1);
    for id in ["draft", "a"] {
        assert!(world.timeline(id).await.contains(&"undeleted".to_owned()));
        let subject = format!("campaign/{id} was brought back: it sends");
        assert_eq!(world.mails_to(ME).iter().filter(|mail| mail.subject == subject).count(), 1);
    }

    // Where nobody may register by sending, a deleted campaign is as unknown as any other.
    let settings =
        Settings { unknown_sources: UnknownSources::Reject, ..local_settings(Period::parse("P3M").unwrap()) };
    let strict = World::with(6, settings).await;
    strict.put("/v1/campaigns/draft", json!({})).await.ok();
    delete(&strict, "/v1/campaigns/draft").await.ok();
    let refused = strict.post("/v1/interactions", json!([received("draft", "v")])).await;
    assert_eq!(refused.problem(422, "nothing_accepted")["rejected"][0]["code"], "unknown_source");
}

/// Typing errors of senders are found by a filter of the list, and deleted together.
#[tokio::test(start_paused = true)]
async fn what_was_registered_by_mistake_is_found_and_deleted_together() {
    let world = World::new(7).await;
    world.begin("spring").await;
    world.ingest(&[received("spirng", "u"), received("spring", "u"), received("Spring", "u")]).await;
    world.put("/v1/campaigns/Spring", json!({ "name": "Another" })).await.ok();
    assert_eq!(listed(&world, "?first_sight=true").await, ["campaign/spirng"]);
    assert_eq!(world.campaign("spirng").await["first_sight"], true);
    world.put("/v1/campaigns/x", json!({ "audience": got("spirng") })).await.ok();
    world.stop("spirng").await;
    let act = async |verb: &str, sources: Value| {
        let answer = world.post(&format!("/v1/sources/{verb}"), json!({ "sources": sources })).await.ok();
        let items = answer["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| {
                (item["status"].as_u64().unwrap(), item["problem"]["code"].as_str().unwrap_or("").to_owned())
            })
            .collect::<Vec<_>>()
    };
    let of = |status: u64, code: &str| (status, code.to_owned());
    // In this order the second still names the first; in the other it goes first.
    let wrong = json!(["campaign/spirng", "campaign/spring", "campaign/nobody"]);
    assert_eq!(
        act("delete?dry_run=true", wrong).await,
        [of(409, "source_in_use"), of(409, "source_is_active"), of(404, "unknown_source")]
    );
    let right = json!(["campaign/x", "campaign/spirng"]);
    assert_eq!(act("delete", right.clone()).await, [of(200, ""), of(200, "")]);
    assert_eq!(listed(&world, "?deleted=true&q=sp").await, ["campaign/spirng"]);
    assert_eq!(act("undelete", right).await, [of(200, ""), of(200, "")]);
    assert_eq!(listed(&world, "?first_sight=true").await, ["campaign/spirng"]);
}

/// A source whose audience names a deleted one holds nothing silently: starting it is refused until that is back.
#[tokio::test(start_paused = true)]
async fn l6_what_names_a_deleted_campaign_does_not_start() {
    let world = World::new(10).await;
    world.put("/v1/campaigns/a", json!({})).await.ok();
    world.put("/v1/campaigns/x", json!({ "audience": got("a") })).await.ok();
    let both = json!({ "sources": ["campaign/x", "campaign/a"] });
    world.post("/v1/sources/delete", both).await.ok();
    undelete(&world, "/v1/campaigns/x").await.ok();
    let refused = world.start("x").await.problem(422, "unknown_source");
    assert_eq!(refused["unknown"], json!(["campaign/a"]));
    assert!(refused["detail"].as_str().unwrap().contains("POST /v1/campaigns/a/undelete"), "{refused}");
    undelete(&world, "/v1/campaigns/a").await.ok();
    world.start("x").await.ok();
    assert_eq!(world.campaign("a").await["interaction_data"]["held_by"][0]["source"], "campaign/x");
}

/// Two slow sweepers finish a deletion while somebody sends until the id is free: nothing of the new source is deleted.
#[tokio::test(start_paused = true)]
async fn l1_two_sweepers_spare_a_new_source_of_the_same_id() {
    for seed in 0..40 {
        let world = World::keyless(seed, local_settings(Period::parse("P3M").unwrap())).await;
        with_everything(&world).await;
        delete(&world, "/v1/campaigns/a").await.ok();
        world.settle().await;
        for pause in ["P7D", "PT3M", "PT61M", "PT61M", "PT61M"] {
            world.sweep().await;
            world.advance(pause);
        }
        let [one, other, sender] = [1, 2, 3].map(|i| world.doomed(Fault::Dawdles, seed as usize * 10 + i));
        let send = async {
            let body = json!([received("a", "new")]).to_string();
            for _ in 0..1_000 {
                let request =
                    http::Request::post("/v1/interactions").body(axum::body::Body::from(body.clone()));
                let answer =
                    tower::ServiceExt::oneshot(sender.router.clone(), request.unwrap()).await.unwrap();
                if answer.status().is_success() {
                    return;
                }
            }
            panic!("the id does not get free");
        };
        tokio::join!(sweep_with(&one.stack), sweep_with(&other.stack), send);
        for _ in 0..3 {
            world.clean_up().await;
        }
        assert_eq!(world.members(&got("a"), 10).await, ["new"], "seed {seed}");
        assert_eq!(world.timeline("a").await, ["registered"], "seed {seed}");
    }
}

/// Two sweepers at the end of the week are one look: the deletion is not final before a second one, two minutes later.
#[tokio::test(start_paused = true)]
async fn l2_two_sweepers_at_once_are_one_look() {
    for seed in 0..10 {
        let world = World::new(50 + seed).await;
        with_everything(&world).await;
        delete(&world, "/v1/campaigns/a").await.ok();
        world.settle().await;
        world.advance("P7D");
        let [one, other] = [1, 2].map(|i| world.doomed(Fault::Dawdles, seed as usize * 10 + i));
        tokio::join!(sweep_with(&one.stack), sweep_with(&other.stack));
        world.sweep().await;
        assert!(!world.manifest("a").await.is_deleted, "seed {seed}");
        world.advance("PT3M");
        world.sweep().await;
        assert!(world.manifest("a").await.is_deleted, "seed {seed}");
    }
}

/// A fault at every call of the sweeps that delete a source for good. Ordinary sweeps finish.
#[tokio::test(start_paused = true)]
async fn l9_at_every_call_of_a_deletion() {
    // The first look, the sweep that makes the deletion final, one that dooms copies, one that deletes them, and the last one.
    let pauses = ["P7D", "PT3M", "PT61M", "PT61M", "PT61M"];
    for fault in [Fault::LosesAnswer, Fault::Dies] {
        for sweeps in 1..=pauses.len() {
            let mut at = 0;
            loop {
                let world =
                    World::keyless(8 + at as u64, local_settings(Period::parse("P3M").unwrap())).await;
                with_everything(&world).await;
                world.begin("b").await;
                world.ingest_received("b", "u", 3).await;
                delete(&world, "/v1/campaigns/a").await.ok();
                world.settle().await;
                for pause in &pauses[..sweeps - 1] {
                    world.advance(pause);
                    world.sweep().await;
                }
                world.advance(pauses[sweeps - 1]);
                let process = world.doomed(fault, at);
                _ = try_sweep(&process.stack).await;
                for _ in 0..5 {
                    world.clean_up().await;
                    world.compact().await;
                }
                let what = format!("{fault:?} at call {at} of sweep {sweeps}");
                assert_eq!(traces(&world, "a").await, Vec::<String>::new(), "{what}");
                assert_eq!(world.count(&got("b")).await, 3, "{what}");
                world.assert_no_orphans(&["a", "b"]).await;
                if !process.has_struck() {
                    break;
                }
                at += 1;
            }
            assert!(at > 2, "{fault:?}: only {at} calls");
        }
    }
}
