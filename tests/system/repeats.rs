//! Every message may come more than once, and two workers may have the same one: no visible effect repeats.

use crate::fixture::{
    faults::Fault,
    world::{World, got},
};
use rekindle_domain::notice::MAX_NOTICE_ATTEMPTS;
use rekindle_local::poller::Consumer;
use serde_json::Value;

async fn expired(seed: u64) -> World {
    let world = World::new(seed).await;
    world.begin("a").await;
    world.ingest_received("a", "u", 200).await;
    world.stop_and_expire("a").await;
    world
}

async fn assert_once(world: &World, id: &str) {
    let request = world.request(id).await;
    assert_eq!(request["state"], "completed", "{request}");
    assert_eq!(world.count(&got("a")).await, 200);
    let events = world.timeline("a").await;
    let expected = ["registered", "started", "stopped", "expired", "restore_started", "restored"];
    assert_eq!(events, expected);
    for address in ["x@example.com", "y@example.com"] {
        assert_eq!(world.mails_to(address).len(), 1, "{address}");
    }
    assert_eq!(world.outbox().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn l8_a_message_that_comes_again_and_again_does_nothing_more() {
    let world = expired(6).await;
    let to = ["x@example.com", "y@example.com"];
    let id = world.request_restore(&["campaign/a"], &to).await;
    let mut seen = Vec::new();
    loop {
        let mut any = false;
        for consumer in [Consumer::Restorer, Consumer::Notifier] {
            let messages = world.stack.receive(consumer, 0).await.unwrap();
            if !messages.is_empty() {
                any = true;
                // Each batch is delivered twice at once, then once more.
                let (stack, again) = (&world.stack, messages.clone());
                let (one, other) =
                    tokio::join!(stack.deliver(consumer, messages.clone()), stack.deliver(consumer, again));
                one.unwrap();
                other.unwrap();
                stack.deliver(consumer, messages.clone()).await.unwrap();
                seen.push((consumer, messages));
            }
        }
        if !any {
            break;
        }
    }
    assert!(seen.len() >= 3, "begin, part, notices");
    assert_once(&world, &id).await;
    // All messages come once more, in order and backwards, at once and weeks later.
    for period in ["PT1S", "PT1H", "P20D"] {
        world.advance(period);
        for (consumer, messages) in seen.iter().chain(seen.iter().rev()) {
            world.stack.deliver(*consumer, messages.clone()).await.unwrap();
        }
        world.settle().await;
        assert_once(&world, &id).await;
    }
    // An old message begins nothing, even after the data has expired again.
    world.advance("P3M");
    world.settle().await;
    assert_eq!(world.state("a").await, "expired");
    for (consumer, messages) in &seen {
        world.stack.deliver(*consumer, messages.clone()).await.unwrap();
    }
    assert_eq!(world.state("a").await, "expired");
    assert_eq!(world.outbox().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn l8_a_lapsed_claim_is_sent_again_and_a_held_one_is_not() {
    let world = expired(7).await;
    world.request_restore(&["campaign/a"], &["x@example.com"]).await;
    while world.state("a").await != "available" {
        let messages = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
        world.stack.deliver(Consumer::Restorer, messages).await.unwrap();
    }
    // The notifier reads the notice, claims it, and dies.
    let doomed = world.doomed(Fault::DiesAfter, 1);
    let messages = world.stack.receive(Consumer::Notifier, 0).await.unwrap();
    let done = doomed.stack.deliver(Consumer::Notifier, messages.clone()).await;
    assert_eq!(done.unwrap(), 0);
    assert!(doomed.has_struck());
    // While its claim holds, no other notifier sends.
    let deliver = async || {
        let again = messages.clone();
        world.stack.deliver(Consumer::Notifier, again).await.unwrap()
    };
    assert_eq!(deliver().await, 1);
    assert_eq!(world.outbox().len(), 0);
    world.advance("PT19S");
    world.sweep().await;
    deliver().await;
    assert_eq!(world.outbox().len(), 0);
    world.advance("PT2S");
    world.sweep().await;
    world.drain().await;
    assert_eq!(world.mails_to("x@example.com").len(), 1);
    deliver().await;
    world.settle().await;
    assert_eq!(world.outbox().len(), 1);
}

/// Runs the same sweep twice, and posts the same interactions many times.
#[tokio::test(start_paused = true)]
async fn l8_sweeping_twice_and_posting_twice_changes_nothing() {
    let world = expired(8).await;
    for _ in 0..3 {
        assert_eq!(world.sweep().await.expired, 0);
    }
    assert_eq!(world.timeline("a").await.last().unwrap(), "expired");
    world.restore(&["campaign/a"]).await;
    for _ in 0..5 {
        world.ingest_received("a", "u", 200).await;
    }
    assert_eq!(world.count(&got("a")).await, 200);
    let again = world.stop("a").await;
    assert_eq!(again["now_due"], Value::Array(vec![]));
    let events = world.timeline("a").await;
    assert_eq!(events.iter().filter(|e| *e == "stopped").count(), 1);
}

/// A call takes so long that the claim on a mail has lapsed before the mail goes out. Another notifier may be sending it, so it
/// is not sent.
#[tokio::test(start_paused = true)]
async fn l8_a_claim_that_lapsed_sends_nothing() {
    let world = expired(9).await;
    world.request_restore(&["campaign/a"], &["x@example.com"]).await;
    loop {
        let work = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
        if work.is_empty() {
            break;
        }
        world.stack.deliver(Consumer::Restorer, work).await.unwrap();
    }
    assert_eq!(world.state("a").await, "available");
    let mails = world.stack.receive(Consumer::Notifier, 0).await.unwrap();
    assert_eq!(mails.len(), 1);
    world.clock.tick_by(25_000);
    assert_eq!(world.stack.deliver(Consumer::Notifier, mails).await.unwrap(), 0);
    assert_eq!(world.outbox().len(), 0);
    world.clock.tick_by(0);
    world.settle().await;
    assert_eq!(world.mails_to("x@example.com").len(), 1);
}

/// Each try takes longer than its claim lasts. Ten tries end that, as they end any other trouble with a mail (L9).
#[tokio::test(start_paused = true)]
async fn l9_a_mail_whose_claim_always_lapses_is_given_up() {
    let world = expired(10).await;
    world.request_restore(&["campaign/a"], &["x@example.com"]).await;
    while world.state("a").await != "available" {
        let work = world.stack.receive(Consumer::Restorer, 0).await.unwrap();
        world.stack.deliver(Consumer::Restorer, work).await.unwrap();
    }
    for _ in 0..MAX_NOTICE_ATTEMPTS + 2 {
        let mails = world.stack.receive(Consumer::Notifier, 0).await.unwrap();
        world.clock.tick_by(25_000);
        world.stack.deliver(Consumer::Notifier, mails).await.unwrap();
        world.clock.tick_by(0);
        world.let_visibility_pass().await;
        world.advance("PT10M");
        world.sweep().await;
    }
    // With quick calls again, nothing is tried any more.
    world.settle().await;
    assert_eq!(world.outbox().len(), 0);
}
