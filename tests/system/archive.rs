//! Writes archives for foreign readers: the whole system writes them, and the test puts them on disk next to the posted
//! interactions.
//!
//! `.ci/archives` runs this and then reads them with pyarrow and with DuckDB; see `tests/outside/archive/check.py`.

use crate::fixture::{ports::Dice, world::World};
use rekindle_domain::time::Time;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const CHANNELS: [&str; 10] =
    ["email", "push", "sms", "whatsapp", "webhook", "in_app", "content_card", "banner", "line", "rcs"];
const POSTED_AT: i64 = 1_790_000_000_000;

/// All posted interactions, by campaign, in order.
#[derive(Default)]
struct Posted(BTreeMap<String, Vec<Value>>);

impl Posted {
    async fn post(&mut self, world: &World, items: Vec<Value>) {
        for batch in items.chunks(20_000) {
            world.ingest(batch).await;
        }
        for item in items {
            let campaign = item["campaign_id"].as_str().unwrap().to_owned();
            self.0.entry(campaign).or_default().push(item);
        }
    }
}

fn item(campaign: &str, user: &str, kind: &str, at: i64, more: Value) -> Value {
    // A time may be written in two ways.
    let time = if at % 2 == 0 { json!(at) } else { json!(Time(at).to_string()) };
    let mut item = json!({ "campaign_id": campaign, "user_id": user, "type": kind, "time": time });
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

/// User ids of every shape.
fn odd_users() -> Vec<String> {
    let mut users: Vec<String> = [
        "u",
        "é@example.com",
        "e\u{301}@example.com",
        "日本語",
        "🙂🙃",
        "a \"quoted\" \\ user",
        "NULL",
        "\u{a0}u\u{a0}",
        "0",
        "00",
    ]
    .map(str::to_owned)
    .to_vec();
    users.push("x".repeat(512));
    users.push("ß".repeat(256));
    // Two ids with the same hash.
    users.extend(["u6f99c844441237c3", "ue9d077ddf4b65ec6"].map(str::to_owned));
    users
}

/// Interactions with every type and field, for every odd user.
fn every_kind(campaign: &str) -> Vec<Value> {
    let mut out = vec![];
    for (n, user) in odd_users().iter().enumerate() {
        let mut add = |kind: &str, more: Value| {
            // Most are posted twice, the later one first, so that their row has two times.
            let at = POSTED_AT + (n * 7 + out.len()) as i64 * 1_001;
            out.push(item(campaign, user, kind, at, more.clone()));
            if out.len() % 3 != 0 {
                out.push(item(campaign, user, kind, at - 86_400_001, more));
            }
        };
        for channel in CHANNELS {
            add("received", json!({ "channel": channel, "variant_id": "A" }));
            add("opened", json!({ "channel": channel, "machine": true }));
            add("opened", json!({ "channel": channel, "variant_id": "b.2:x_y-z" }));
            for alias in [Some("cta"), Some("Größe / €"), Some("\""), None] {
                add("clicked", json!({ "channel": channel, "link_alias": alias }));
            }
            add("clicked", json!({ "channel": channel, "link_alias": "cta", "machine": true }));
            for kind in ["delivered", "dismissed", "replied", "unsubscribed", "subscribed"] {
                add(kind, json!({ "channel": channel }));
            }
        }
        add("received", json!({ "channel": "email" }));
        for conversion in [0, 1, 255] {
            add("converted", json!({ "conversion": conversion }));
        }
        add("converted", json!({ "channel": "sms", "variant_id": "A" }));
        add("control", json!({}));
        add("bounced", json!({ "bounce": "hard" }));
        add("bounced", json!({ "bounce": "soft", "channel": "email" }));
        add("complained", json!({ "channel": "email" }));
        for kind in ["not_spam", "unsubscribed", "subscribed"] {
            add(kind, json!({}));
        }
    }
    out
}

/// Many users with ids that pack well, each with a few interactions.
fn many(campaign: &str, users: u64, dice: &mut Dice, id: impl Fn(u64, &mut Dice) -> String) -> Vec<Value> {
    let mut out = vec![];
    for n in 0..users {
        let user = id(n, dice);
        let at = POSTED_AT + dice.below(60_000) as i64;
        out.push(item(campaign, &user, "received", at, json!({ "channel": "email", "variant_id": "A" })));
        if dice.below(2) == 0 {
            let machine = dice.below(4) == 0;
            out.push(item(
                campaign,
                &user,
                "opened",
                at + 7,
                json!({ "channel": "email", "machine": machine }),
            ));
        }
    }
    out
}

#[tokio::test(start_paused = true)]
#[ignore = "writes archives for .ci/archives to read"]
async fn archives_for_others_to_read() {
    #[allow(clippy::disallowed_methods, reason = "the folder to write to is this test's argument")]
    let folder = PathBuf::from(std::env::var("REKINDLE_ARCHIVES").expect("REKINDLE_ARCHIVES names a folder"));
    let world = World::new(60).await;
    let mut posted = Posted::default();
    let mut dice = Dice(60);
    posted.post(&world, every_kind("every-kind")).await;
    posted.post(&world, many("numbers", 3_000, &mut dice, |n, _| format!("user-{}", n * n))).await;
    posted.post(&world, many("padded", 500, &mut dice, |n, _| format!("{n:09}"))).await;
    // More rows than a slot holds.
    let uuid = |_, dice: &mut Dice| {
        let hex = format!("{:016x}{:016x}", dice.below(u64::MAX), dice.below(u64::MAX));
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    };
    posted.post(&world, many("uuids", 95_000, &mut dice, uuid)).await;
    let campaigns: Vec<String> = posted.0.keys().cloned().collect();
    for campaign in &campaigns {
        world.stop(campaign).await;
    }
    world.advance("P3M");
    world.settle().await;
    // Late rows of known and new users become runs of their own.
    for round in 0..2 {
        for campaign in &campaigns {
            let known = posted.0[campaign][round]["user_id"].as_str().unwrap().to_owned();
            let email = || json!({ "channel": "email", "variant_id": "A" });
            let late = vec![
                item(campaign, &known, "received", POSTED_AT - 1_000, email()),
                item(campaign, &known, "received", POSTED_AT + 90_000 + round as i64, email()),
                item(campaign, &format!("late-{round}"), "clicked", POSTED_AT, json!({ "channel": "push" })),
            ];
            posted.post(&world, late).await;
        }
        world.advance("P2D");
        world.settle().await;
    }
    let objects = world.archive().await;
    for campaign in &campaigns {
        assert_eq!(world.state(campaign).await, "expired");
        assert_eq!(world.inbox_blocks(campaign).await, 0, "{campaign}");
        assert_eq!(world.cold_copies(campaign).await.len(), 3, "{campaign}");
    }
    let slots = objects.keys().filter(|key| key.starts_with("archive/campaign/uuids/")).count();
    assert_eq!(slots, 4, "two slots, and two late runs");
    for (key, bytes) in objects {
        write(&folder.join(key), &bytes);
    }
    for (campaign, items) in posted.0 {
        let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
        write(&folder.join(format!("posted/{campaign}.ndjson")), lines.as_bytes());
    }
}

fn write(file: &Path, bytes: &[u8]) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}
