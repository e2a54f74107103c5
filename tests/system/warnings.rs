//! The mails before an expiry: their recipients and their time, and that each is sent once.

use crate::fixture::{
    faults::Fault,
    world::{BEGIN, World, got, local_settings, purge, try_sweep},
};
use rekindle_domain::time::{Period, Time};
use rekindle_local::{embedded::Mail, poller::Consumer};
use rekindle_service::Settings;
use serde_json::json;

const STACK: &str = "stack@example.com";
const FAULTS: [Fault; 4] = [Fault::LosesAnswer, Fault::Throttles, Fault::Dies, Fault::DiesAfter];

/// A world whose mails also go to [`STACK`].
async fn world(seed: u64, retention: &str) -> World {
    let settings = local_settings(Period::parse(retention).unwrap());
    World::with(seed, Settings { notify: vec![STACK.to_owned()], ..settings }).await
}

/// A stopped campaign with data.
async fn stopped(world: &World, id: &str, notify: &[&str]) {
    world.put(&format!("/v1/campaigns/{id}"), json!({ "notify": notify })).await.ok();
    world.start(id).await.ok();
    world.ingest_received(id, "u", 3).await;
    world.stop(id).await;
}

fn days_later(days: i64) -> Time {
    Time::parse(BEGIN).unwrap().plus(days * 24 * 3_600_000)
}

/// Whether a mail lists a source.
fn lists(mail: &Mail, source: &str) -> bool {
    mail.text.contains(&format!("- {source}:")) || mail.text.contains(&format!("- {source} ("))
}

async fn warnings_in_timeline(world: &World, id: &str) -> usize {
    world.timeline(id).await.iter().filter(|e| *e == "warned").count()
}

#[tokio::test(start_paused = true)]
async fn l8_what_expires_on_one_day_is_one_mail_a_recipient_a_week_before() {
    let world = world(1, "P3M").await;
    world.advance("PT10H");
    stopped(&world, "a", &["owner@example.com", "STACK@example.com"]).await;
    world.advance("PT5H");
    stopped(&world, "b", &[]).await;
    world.advance("P1D");
    stopped(&world, "later", &[]).await;
    let vip = json!({ "name": "VIPs & <friends>", "audience": { "not": got("a") } });
    world.put("/v1/campaigns/vip", vip).await.ok();

    // The data expires on 1 April; the mail goes out on 25 March, and not before.
    world.clock.set(days_later(83).plus(-1));
    world.settle().await;
    assert_eq!(world.outbox().len(), 0);
    world.clock.set(days_later(83));
    world.settle().await;
    let to_stack = world.mails_to(STACK);
    let [mail] = &to_stack[..] else { panic!("{to_stack:?}") };
    assert_eq!(mail.subject, "Interaction data of 2 sources is going to expire");
    let of_a = "- campaign/a: expires 2027-04-01T10:00:00.000Z; referred to by campaign/vip (draft)";
    let of_b = "- campaign/b: expires 2027-04-01T15:00:00.000Z; nothing refers to it";
    assert!(mail.text.contains(of_a) && mail.text.contains(of_b), "{}", mail.text);
    assert!(mail.html.contains(of_a) && mail.html.starts_with("<!doctype html>"), "{}", mail.html);
    assert!(!lists(mail, "campaign/later"), "{}", mail.text);
    let to_owner = world.mails_to("owner@example.com");
    let [mail] = &to_owner[..] else { panic!("{to_owner:?}") };
    assert_eq!(mail.subject, "Interaction data of campaign/a expires 2027-04-01T10:00:00.000Z");
    assert!(lists(mail, "campaign/a") && !lists(mail, "campaign/b"), "{}", mail.text);
    assert_eq!(world.outbox().len(), 2, "addresses that differ in case are one recipient");

    // The next day's mail has the next day's source only, so nobody is told twice.
    world.clock.set(days_later(84));
    world.settle().await;
    let to_stack = world.mails_to(STACK);
    assert_eq!(to_stack.len(), 2);
    assert!(lists(&to_stack[1], "campaign/later") && !lists(&to_stack[1], "campaign/a"));
    world.clock.set(days_later(89));
    world.settle().await;
    assert_eq!(world.outbox().len(), 3);
    for campaign in ["a", "b", "later"] {
        assert_eq!(warnings_in_timeline(&world, campaign).await, 1, "{campaign}");
    }

    // The data expires at its time.
    world.clock.set(days_later(90).plus(10 * 3_600_000));
    assert_eq!(world.sweep().await.expired, 1);
    assert_eq!(world.state("a").await, "expired");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_starts_anew_is_a_date_to_be_told_of() {
    let world = world(2, "P3M").await;
    stopped(&world, "a", &[]).await;
    world.clock.set(days_later(83));
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 1);
    // The data is held and released again: its date has not changed, so there is no second mail.
    world.put("/v1/campaigns/vip", json!({ "audience": got("a") })).await.ok();
    world.start("vip").await.ok();
    world.settle().await;
    world.stop("vip").await;
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 1);
    // The source is started and stopped: its date is a new one, which a second mail announces.
    world.start("a").await.ok();
    world.stop("a").await;
    world.advance("P2M20D");
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 1, "the second mail is too early");
    world.advance("P6D");
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 2);
    // A restore sets a new date as well.
    world.advance("P20D");
    world.settle().await;
    assert_eq!(world.state("a").await, "expired");
    world.restore(&["campaign/a"]).await;
    world.advance("P2M26D");
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 3);
    assert_eq!(warnings_in_timeline(&world, "a").await, 3);
}

#[tokio::test(start_paused = true)]
async fn l8_who_has_a_mail_today_gets_the_next_one_tomorrow() {
    // The retention is shorter than the warning's week, so the mail goes out at the stop.
    let world = world(3, "P3D").await;
    world.advance("PT1H");
    stopped(&world, "a", &[]).await;
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 1);
    world.advance("PT1H");
    stopped(&world, "b", &["owner@example.com"]).await;
    world.settle().await;
    world.advance("PT1H");
    stopped(&world, "c", &[]).await;
    world.settle().await;
    assert_eq!(world.mails_to(STACK).len(), 1, "no second mail on the same day");
    assert_eq!(world.mails_to("owner@example.com").len(), 1, "this address had no mail today");
    world.clock.set(days_later(1));
    stopped(&world, "d", &[]).await;
    world.settle().await;
    let mails = world.mails_to(STACK);
    assert_eq!(mails.len(), 2);
    let listed = ["a", "b", "c", "d"].map(|c| lists(&mails[1], &format!("campaign/{c}")));
    assert_eq!(listed, [false, true, true, true], "{}", mails[1].text);
}

#[tokio::test(start_paused = true)]
async fn a_mail_says_what_is_so_when_it_is_sent() {
    let world = world(5, "P3M").await;
    for campaign in ["started", "held", "due"] {
        stopped(&world, campaign, &[]).await;
    }
    world.clock.set(days_later(83));
    world.sweep().await;
    world.start("started").await.ok();
    world.put("/v1/campaigns/vip", json!({ "audience": got("held") })).await.ok();
    world.start("vip").await.ok();
    world.drain().await;
    let mails = world.mails_to(STACK);
    let [mail] = &mails[..] else { panic!("{mails:?}") };
    for line in [
        "- campaign/due: expires 2027-04-01T00:00:00.000Z; nothing refers to it",
        "- campaign/held: was to expire 2027-04-01T00:00:00.000Z, but is kept; referred to by campaign/vip (active)",
        "- campaign/started: was to expire 2027-04-01T00:00:00.000Z, but was started; nothing refers to it",
    ] {
        assert!(mail.text.contains(line), "{}", mail.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_lists_a_hundred_and_counts_the_rest() {
    let world = world(6, "P3M").await;
    for i in 0..103 {
        stopped(&world, &format!("c{i:03}"), &[]).await;
    }
    world.clock.set(days_later(83));
    world.settle().await;
    let mails = world.mails_to(STACK);
    let [mail] = &mails[..] else { panic!("{} mails", mails.len()) };
    assert_eq!(mail.subject, "Interaction data of 103 sources is going to expire");
    assert_eq!(mail.text.matches("- campaign/").count(), 100);
    assert!(mail.text.contains("… and 3 more than the 100 listed; GET /v1/expirations lists them all."));
}

/// A source without recipients causes no mail, and the sweeper does not look at it again and again.
#[tokio::test(start_paused = true)]
async fn l9_without_recipients_nothing_waits() {
    let world = World::new(7).await;
    stopped(&world, "a", &[]).await;
    world.clock.set(days_later(83));
    world.sweep().await;
    assert_eq!(world.sweep().await.items, []);
    assert_eq!(warnings_in_timeline(&world, "a").await, 0);
    assert_eq!(world.outbox().len(), 0);
}

/// Each recipient's mails list each source once; at most `may_repeat` mails came twice.
fn assert_told_once(world: &World, what: &str, may_repeat: usize) {
    let mut repeated = 0;
    for (to, sources) in [(STACK, &["a", "b"][..]), ("owner@example.com", &["a"])] {
        let mut mails = world.mails_to(to);
        let sent = mails.len();
        mails.dedup_by(|a, b| a.text == b.text);
        repeated += sent - mails.len();
        for source in sources {
            let listing = mails.iter().filter(|m| lists(m, &format!("campaign/{source}"))).count();
            assert_eq!(listing, 1, "{what}: {source} to {to}: {mails:?}");
        }
        assert_eq!(mails.len(), 1, "{what}: {mails:?}");
    }
    assert!(repeated <= may_repeat, "{what}: {repeated} mails came twice");
}

/// L8: whatever breaks while the sweeper warns, each recipient gets one mail, which lists each source once.
#[tokio::test(start_paused = true)]
async fn l8_a_sweep_that_warns_dies_at_any_call() {
    for fault in FAULTS {
        for at in 0.. {
            let world = world(at as u64, "P3M").await;
            stopped(&world, "a", &["owner@example.com"]).await;
            stopped(&world, "b", &[]).await;
            world.clock.set(days_later(83));
            let doomed = world.doomed(fault, at);
            let _ = try_sweep(&doomed.stack).await;
            // In every second round the queue loses its messages.
            if at % 2 == 0 {
                purge(&world.stack, Consumer::Notifier).await;
            }
            world.settle().await;
            world.advance("PT10M");
            world.settle().await;
            let what = format!("{fault:?} at {at}");
            assert_told_once(&world, &what, 0);
            for campaign in ["a", "b"] {
                assert_eq!(warnings_in_timeline(&world, campaign).await, 1, "{what}");
            }
            world.advance("P2D");
            world.settle().await;
            assert_told_once(&world, &what, 0);
            if !doomed.has_struck() {
                assert!(at >= 15, "{fault:?}: only {at} calls");
                break;
            }
        }
    }
}

/// As every mail, a digest may go out twice in one case only: SES took it, and this was not recorded.
#[tokio::test(start_paused = true)]
async fn l8_a_digest_dies_at_any_call_and_comes_again() {
    for fault in FAULTS {
        for at in 0.. {
            let world = world(at as u64, "P3M").await;
            stopped(&world, "a", &["owner@example.com"]).await;
            stopped(&world, "b", &[]).await;
            world.clock.set(days_later(83));
            world.sweep().await;
            let doomed = world.doomed(fault, at);
            let messages = world.stack.receive(Consumer::Notifier, 0).await.unwrap();
            assert_eq!(messages.len(), 2);
            doomed.stack.deliver(Consumer::Notifier, messages.clone()).await.unwrap();
            // Every message comes a second time.
            world.stack.deliver(Consumer::Notifier, messages).await.unwrap();
            world.settle().await;
            world.advance("PT10M");
            world.settle().await;
            assert_told_once(&world, &format!("{fault:?} at {at}"), 1);
            if !doomed.has_struck() {
                assert!(at >= 12, "{fault:?}: only {at} calls");
                break;
            }
        }
    }
}

/// Several sweepers run at once, interleaved call by call.
#[tokio::test(start_paused = true)]
async fn l8_sweepers_that_warn_at_once_tell_once() {
    for seed in 0..40 {
        let world = world(seed, "P3M").await;
        stopped(&world, "a", &["owner@example.com"]).await;
        stopped(&world, "b", &[]).await;
        world.clock.set(days_later(83));
        let (one, other) = (
            world.doomed(Fault::Dawdles, seed as usize),
            world.doomed(Fault::Dawdles, 1_000 + seed as usize),
        );
        let swept = tokio::join!(try_sweep(&one.stack), try_sweep(&other.stack));
        swept.0.unwrap();
        swept.1.unwrap();
        world.settle().await;
        world.advance("P2D");
        world.settle().await;
        let told: Vec<Mail> = world.mails_to(STACK);
        for campaign in ["a", "b"] {
            let listing = told.iter().filter(|m| lists(m, &format!("campaign/{campaign}"))).count();
            assert_eq!(listing, 1, "seed {seed}: {told:?}");
            assert_eq!(warnings_in_timeline(&world, campaign).await, 1, "seed {seed}");
        }
    }
}
