//! Messages that cannot be handled go to the dead-letter queue and delay no other message; and work that keeps failing ends.

use crate::fixture::{
    faults::Fault,
    world::{World, got},
};
use rekindle_domain::{
    notice::{Expiring, Notice, Subject},
    restore::Item,
};
use rekindle_local::{poller::Consumer, stack::CATALOG};
use serde_json::{Value, json};

async fn expired(seed: u64) -> World {
    let world = World::new(seed).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 30).await;
    world.stop_and_expire("a").await;
    world
}

async fn send(world: &World, queue: &str, body: &str) {
    let send = world.stack.sqs.send_message().queue_url(queue);
    send.message_body(body).send().await.unwrap();
}

/// The bodies in the dead-letter queue, in no order.
async fn dead(world: &World, queue: &str) -> Vec<String> {
    let receive = world.stack.sqs.receive_message().queue_url(queue);
    let receive = receive.max_number_of_messages(10).visibility_timeout(0);
    let messages = receive.send().await.unwrap().messages.unwrap_or_default();
    let mut bodies: Vec<String> = messages.into_iter().map(|m| m.body.unwrap()).collect();
    bodies.sort();
    bodies
}

#[tokio::test(start_paused = true)]
async fn poison_goes_to_the_dead_letters_and_holds_nobody_up() {
    let world = expired(13).await;
    let poison = [
        "",
        "not JSON",
        "{}",
        r#"{"work":"dance"}"#,
        r#"{"work":"part","source":"nothing","copy":"x","slot":0}"#,
    ];
    let (restores, notices) = (world.stack.restores.clone(), world.stack.notices.clone());
    for body in &poison[1..] {
        send(&world, &restores.url, body).await;
        send(&world, &notices.url, body).await;
    }
    let id = world.request_restore(&["campaign/a"], &["me@example.com"]).await;
    // The messages behind the bad ones are done at once.
    world.drain().await;
    assert_eq!(world.request(&id).await["state"], "completed");
    assert_eq!(world.mails_to("me@example.com").len(), 1);
    for round in 1..5 {
        assert!(dead(&world, &restores.dead_letters).await.is_empty(), "round {round}");
        world.let_visibility_pass().await;
        assert_eq!(world.drain().await, 0, "no bad message can be handled");
    }
    world.let_visibility_pass().await;
    world.drain().await;
    let mut expected: Vec<&str> = poison[1..].to_vec();
    expected.sort_unstable();
    assert_eq!(dead(&world, &restores.dead_letters).await, expected);
    assert_eq!(dead(&world, &notices.dead_letters).await, expected);
    world.let_visibility_pass().await;
    assert_eq!(world.drain().await, 0);
    assert_eq!(world.count(&got("a")).await, 30);
}

/// A message about something that does not exist is deleted: there is nothing to do.
#[tokio::test(start_paused = true)]
async fn messages_about_what_is_not_there_are_taken_off() {
    let world = expired(14).await;
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let restores = [
        json!({ "work": "begin", "request": id }),
        json!({ "work": "begin", "request": id, "after": "campaign/zzz" }),
        json!({ "work": "part", "source": "campaign/a", "copy": id, "slot": 0 }),
        json!({ "work": "part", "source": "campaign/nobody", "copy": id, "slot": 4_000_000 }),
    ];
    for body in &restores {
        send(&world, &world.stack.restores.url, &body.to_string()).await;
    }
    send(&world, &world.stack.notices.url, r#"{"notice":"nothing"}"#).await;
    assert_eq!(world.drain().await, 5);
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(world.outbox().len(), 0);
}

/// A batch of mails has one bad message: it alone is reported as failed, and the other mails are not sent again.
#[tokio::test(start_paused = true)]
async fn l8_one_bad_notice_does_not_repeat_its_neighbours() {
    let world = expired(15).await;
    let to: Vec<String> = (0..7).map(|i| format!("p{i}@example.com")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    world.request_restore(&["campaign/a"], &to).await;
    send(&world, &world.stack.notices.url, r#"{"notice":7}"#).await;
    while world.state("a").await != "available" {
        let messages = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
        world.stack.deliver(Consumer::Restorer, messages).await.unwrap();
    }
    let batch = world.stack.receive(Consumer::Notifier, 0).await.unwrap();
    assert_eq!(batch.len(), 8);
    let done = world.stack.deliver(Consumer::Notifier, batch).await;
    assert_eq!(done.unwrap(), 7, "all but one");
    assert_eq!(world.outbox().len(), 7);
    world.let_visibility_pass().await;
    let again = world.stack.receive(Consumer::Notifier, 0).await.unwrap();
    let bodies: Vec<&str> = again.iter().map(|m| m.body().unwrap()).collect();
    assert_eq!(bodies, [r#"{"notice":7}"#]);
    world.settle().await;
    assert_eq!(world.outbox().len(), 7);
}

/// The archive does not answer: after a bounded number of tries the restore fails, a mail reports it, and the data is expired
/// as before. This is no damage, so nothing is in quarantine.
#[tokio::test(start_paused = true)]
async fn l9_a_part_that_keeps_failing_fails_the_restore() {
    let world = expired(16).await;
    let id = world.request_restore(&["campaign/a"], &["me@example.com"]).await;
    let lame = world.doomed(Fault::Lacks("s3"), 0);
    for _ in 0..200 {
        if world.request(&id).await["state"] == "failed" {
            break;
        }
        lame.stack.drain().await.unwrap();
        world.let_visibility_pass().await;
        crate::fixture::world::sweep_with(&lame.stack).await;
    }
    let request = world.request(&id).await;
    assert_eq!(request["state"], "failed", "{request}");
    let error = request["items"][0]["error"].as_str().unwrap();
    assert!(error.contains("failed too often"), "{error}");
    assert_eq!(world.state("a").await, "expired");
    assert!(world.manifest("a").await.quarantine.is_none());
    world.settle().await;
    let mails = world.mails_to("me@example.com");
    assert_eq!(mails.len(), 1);
    assert!(mails[0].subject.contains("failed"), "{mails:?}");
    world.restore(&["campaign/a"]).await;
    assert_eq!(world.count(&got("a")).await, 30);
}

/// SES does not answer for a while: every notice is sent once SES answers again.
#[tokio::test(start_paused = true)]
async fn l8_mails_wait_for_the_mail_service() {
    let world = expired(17).await;
    world.request_restore(&["campaign/a"], &["me@example.com"]).await;
    let lame = world.doomed(Fault::Lacks("ses"), 0);
    for _ in 0..4 {
        lame.stack.drain().await.unwrap();
        world.let_visibility_pass().await;
    }
    assert_eq!(world.outbox().len(), 0);
    assert_eq!(world.state("a").await, "available");
    world.settle().await;
    assert_eq!(world.mails_to("me@example.com").len(), 1);
}

/// SES's answers for an unverified recipient or sender, and for a used-up daily quota.
const REJECTED: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>MessageRejected</Code>\
                        <Message>Email address is not verified.</Message></Error></ErrorResponse>";
const OVER_QUOTA: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>\
                          <Message>Daily message quota exceeded.</Message></Error></ErrorResponse>";

/// SES's daily quota is used up: each mail is sent once, when SES takes mails again.
#[tokio::test(start_paused = true)]
async fn l8_mails_wait_for_the_quota() {
    let world = expired(19).await;
    world.request_restore(&["campaign/a"], &["me@example.com", "you@example.com"]).await;
    let lame = world.doomed(Fault::Answers("ses", 400, OVER_QUOTA), 0);
    for _ in 0..4 {
        lame.stack.drain().await.unwrap();
        world.let_visibility_pass().await;
    }
    assert_eq!(world.state("a").await, "available");
    assert_eq!(world.outbox().len(), 0);
    // By now the tries are hours apart.
    for _ in 0..4 {
        world.advance("PT6H");
        world.settle().await;
    }
    for to in ["me@example.com", "you@example.com"] {
        assert_eq!(world.mails_to(to).len(), 1, "{to}");
    }
}

/// SES rejects a mail each time: the mail is given up after ten tries, and neither the data nor the queue waits for it.
#[tokio::test(start_paused = true)]
async fn a_mail_that_is_always_rejected_is_given_up() {
    let world = expired(20).await;
    world.request_restore(&["campaign/a"], &["me@example.com"]).await;
    let lame = world.doomed(Fault::Answers("ses", 400, REJECTED), 0);
    for _ in 0..40 {
        lame.stack.drain().await.unwrap();
        world.let_visibility_pass().await;
        world.advance("PT1H");
        crate::fixture::world::sweep_with(&lame.stack).await;
    }
    assert_eq!(world.state("a").await, "available");
    let keys = world.keys(CATALOG).await;
    let ids: Vec<&str> = keys.iter().filter_map(|(pk, _)| pk.strip_prefix("notice#")).collect();
    let [id] = ids[..] else { panic!("one mail, not {ids:?}") };
    let store = world.store_over(&world.aws.sdk_config());
    let notice = store.catalog.notice(id).await.unwrap().unwrap().value;
    assert_eq!(notice.attempts, 10);
    assert!(notice.failed.unwrap().contains("not verified"));
    let page = world.get("/v1/campaigns/a/timeline").await.ok();
    let entry = &page["items"][0];
    assert_eq!((&entry["event"], &entry["by"]), (&"mail_failed".into(), &"sweeper".into()), "{page}");
    let detail = entry["detail"].as_str().unwrap();
    assert!(detail.starts_with("to me@example.com: ") && detail.contains("not verified"), "{detail}");
    // The mail is not sent later either, when SES takes mails again.
    for _ in 0..4 {
        world.advance("P1D");
        world.settle().await;
    }
    assert_eq!(world.outbox().len(), 0);
    assert_eq!(world.count(&got("a")).await, 30);
}

/// A daily mail that was given up stands in the timeline of each source that it lists, however often it lists it, and of none
/// that is gone.
#[tokio::test(start_paused = true)]
async fn a_mail_that_was_given_up_is_in_the_timelines_of_its_sources() {
    let world = expired(23).await;
    world.begin("b").await;
    let now = world.clock.now_still();
    let listed = |campaign: &str| Expiring {
        source: format!("campaign/{campaign}").parse().unwrap(),
        expires_at: now,
    };
    let notice = Notice::daily("expiring-x".to_owned(), now, "me@example.com", listed("a"), now);
    let sources = ["a", "b", "a", "gone"].map(listed).to_vec();
    let subject = Subject::Expiring { sources, more: 3 };
    let failed = Notice { subject, attempts: 10, failed: Some("not verified".to_owned()), ..notice };
    world.app().store.catalog.put_notice(&failed, 0).await.unwrap();
    for _ in 0..2 {
        world.settle().await;
        for campaign in ["a", "b"] {
            let events = world.timeline(campaign).await;
            assert_eq!(events.iter().filter(|event| *event == "mail_failed").count(), 1, "{events:?}");
        }
    }
    let (subject, notice) =
        (&failed.subject, world.app().store.catalog.notice("expiring-x").await.unwrap().unwrap().value);
    assert!(
        notice.is_told
            && notice.subject == *subject
            && world.outbox().iter().all(|mail| mail.to != ["me@example.com"])
    );
}

/// A write of a request's items that arrives late puts none back that has ended.
#[tokio::test(start_paused = true)]
async fn l8_items_that_are_written_again_stay_as_they_ended() {
    let world = expired(22).await;
    let request = world.request_restore(&["campaign/a"], &[]).await;
    world.drain().await;
    let (catalog, id) = (&world.app().store.catalog, request.parse().unwrap());
    let items = catalog.items(id, None, 10).await.unwrap().items;
    assert!(items.iter().all(|item| item.value.state.is_final()) && items.len() == 1);
    catalog.add_items(id, &[Item::queued("campaign/a".parse().unwrap())]).await.unwrap();
    assert_eq!(catalog.items(id, None, 10).await.unwrap().items, items);
    assert_eq!(world.request(&request).await["state"], "completed");
}

/// SQS takes a batch but refuses one entry: the request is accepted all the same, is queued again, and is done once.
#[tokio::test(start_paused = true)]
async fn l9_what_a_queue_refuses_is_queued_again() {
    const REFUSED: &str = r#"{"Successful":[],"Failed":[{"Id":"0","SenderFault":false,"Code":"InternalError","Message":"try again"}]}"#;
    let world = expired(21).await;
    let lame = world.doomed(Fault::Answers("sqs", 200, REFUSED), 0);
    let question = json!({ "sources": ["campaign/a"], "notify": ["me@example.com"] });
    let request =
        http::Request::post("/v1/restores").body(axum::body::Body::from(question.to_string())).unwrap();
    let answer = tower::ServiceExt::oneshot(lame.router.clone(), request).await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(world.drain().await, 0, "nothing was queued");
    world.advance("PT1H");
    world.settle().await;
    assert_eq!(world.state("a").await, "available");
    assert_eq!(world.mails_to("me@example.com").len(), 1);
    assert_eq!(world.count(&got("a")).await, 30);
}

/// The store does not answer: the answer is 503 with `Retry-After`, and the next try succeeds.
#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_a_503() {
    let world = expired(18).await;
    let lame = world.doomed(Fault::Lacks("dynamodb"), 0);
    for (method, path, body) in [
        ("POST", "/v1/interactions", json!([crate::fixture::world::received("a", "u1")])),
        ("GET", "/v1/health", Value::Null),
        ("GET", "/v1/campaigns", Value::Null),
        ("GET", "/v1/campaigns/a", Value::Null),
        ("PUT", "/v1/campaigns/a", json!({})),
        ("POST", "/v1/audiences/count", json!({ "filter": got("a") })),
        ("POST", "/v1/restores", json!({ "sources": ["campaign/a"] })),
    ] {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(axum::body::Body::from(body.to_string())).unwrap();
        let answer = tower::ServiceExt::oneshot(lame.router.clone(), request).await.unwrap();
        assert_eq!(answer.status(), 503, "{method} {path}");
        assert_eq!(answer.headers()["retry-after"], "1", "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
}

/// The local runner's disk is full: the answer says so, and no call is repeated meanwhile.
#[tokio::test(start_paused = true)]
async fn a_full_disk_is_said_to_be_full() {
    let world = World::new(19).await;
    let begun = tokio::time::Instant::now();
    let full = Fault::Answers("dynamodb", 507, r#"{"__type":"StorageFull","message":"the disk is full"}"#);
    let full = world.doomed(full, 0);
    for (method, path, body) in [
        ("POST", "/v1/interactions", json!([crate::fixture::world::received("a", "u1")])),
        ("PUT", "/v1/campaigns/a", json!({})),
    ] {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(axum::body::Body::from(body.to_string())).unwrap();
        let answer = tower::ServiceExt::oneshot(full.router.clone(), request).await.unwrap();
        assert_eq!(answer.status(), 503, "{method} {path}");
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "storage_full", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("the disk is full"), "{problem}");
    }
    assert_eq!(begun.elapsed(), std::time::Duration::ZERO);
}
