//! What is stored today can be read for ever: one file per format and version, read to the value expected and
//! written again byte by byte.
//!
//! A format that must change gets a new version and a new file beside the old one, whose reading stays tested. To
//! write the files anew while a version is not released yet:
//! `cargo test -p rekindle-domain --test laws -- --ignored rewrite_golden_files`.

mod days;
mod notices;
mod sources;

use self::days::{arrived_manifest, day};
use self::notices::{
    deleted_notice, expiring_notice, notice, sending_notice, stopped_notice, trouble_notice, undeleted_notice,
};
use self::sources::{canvas, deleted_source, source, warned_source};
use crate::support::{Model, UserModel, model, rows_of, sort_by_hash, sort_by_id};
use rekindle_domain::{
    Ulid,
    block::{Block, Cover, Position, decode, encode},
    day::Arrivals,
    facet::{Channel, Facet, Kind},
    id::{CopyId, RequestId, RunId},
    key::{AccessKey, OldSecret, Scope, Token},
    manifest::{Copy, DataState, Inputs, Life, Manifest, Quarantine, Run, Tier},
    part::{Consumed, Part, PartDone},
    people::MergedUser,
    restore::{Item, ItemState, Request},
    rows::user_hash,
    slot::{ROWS_PER_SLOT, SlotBits, SlotSize},
    source::Source,
    tally::{Tallier, Tally},
    time::Time,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{collections::BTreeSet, fmt::Debug, fs, path::PathBuf};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// One of each sort of facet there is.
fn facets() -> UserModel {
    let email = Some(Channel::Email);
    let text = |t: &str| Some(t.into());
    let facets = [
        Facet { channel: email, variant: text("A"), ..Facet::of(Kind::Received) },
        Facet { channel: email, machine: true, ..Facet::of(Kind::Opened) },
        Facet { channel: Some(Channel::Push), step: text("step-1"), ..Facet::of(Kind::Opened) },
        Facet { channel: email, alias: text("Größe"), ..Facet::of(Kind::Clicked) },
        Facet { conversion: 7, ..Facet::of(Kind::Converted) },
        Facet::of(Kind::Entered),
        Facet::of(Kind::Control),
        Facet::of(Kind::HardBounced),
        Facet::of(Kind::SoftBounced),
        Facet { channel: Some(Channel::Banner), ..Facet::of(Kind::Complained) },
    ];
    let times = |i: i64| (1_763_000_000_000 + i * 7_919, 1_763_000_000_000 + i * 10_007);
    facets.into_iter().zip(0..).map(|(facet, i)| (facet, times(i))).collect()
}

/// One of each sort of facet that came after the first version of the format.
fn later_facets() -> UserModel {
    let on = |channel: Channel, kind: Kind| Facet { channel: Some(channel), ..Facet::of(kind) };
    let facets = [
        Facet { machine: true, alias: Some("cta".into()), ..on(Channel::Line, Kind::Clicked) },
        on(Channel::Rcs, Kind::Delivered),
        on(Channel::Line, Kind::Dismissed),
        on(Channel::Sms, Kind::Replied),
        on(Channel::Email, Kind::Unsubscribed),
        Facet::of(Kind::Subscribed),
        Facet::of(Kind::NotSpam),
    ];
    let times = |i: i64| (1_796_000_000_000 + i * 7_919, 1_796_000_000_000 + i * 10_007);
    facets.into_iter().zip(0..).map(|(facet, i)| (facet, times(i))).collect()
}

/// Users of whom the first has every one of these facets, and the others one each.
fn users_with(all: &UserModel, id: impl Fn(u64) -> String) -> Model {
    let some = |i: u64| match i {
        0 => all.clone(),
        _ => all.clone().into_iter().skip(i as usize % all.len()).take(1).collect(),
    };
    (0..12).map(|i| (id(i).into_bytes(), some(i))).collect()
}

fn users(id: impl Fn(u64) -> String) -> Model {
    users_with(&facets(), id)
}

fn mails() -> Model {
    users(|i| format!("someone.{i}@example.com"))
}

fn uuids() -> Model {
    users(|i| format!("0f8fad5b-d9cb-469f-a165-{:012x}", i.wrapping_mul(0x9e37_79b9) & 0xffff_ffff_ffff))
}

fn numbered() -> Model {
    users(|i| format!("user-{}", i * i * 7_919))
}

fn padded() -> Model {
    users(|i| format!("user-{:07}", i * i * 7_919))
}

fn cover() -> Cover {
    Cover {
        start: Position::at(0x0123_4567_89ab_cdef),
        next: Some(Position { hash: 0xfedc_ba98_7654_3210, ordinal: 300 }),
    }
}

/// The blocks: name, users in their order, cover.
fn blocks() -> Vec<(&'static str, Model, Option<Cover>)> {
    let mut blocks = vec![
        ("inbox-block-v1.bin", mails(), None),
        ("inbox-block-v1-uuids.bin", uuids(), None),
        ("inbox-block-v1-numbered.bin", numbered(), None),
        ("inbox-block-v1-later.bin", users_with(&later_facets(), |i| format!("user-{i}")), None),
        ("run-block-v1.bin", padded(), Some(cover())),
        ("run-block-v1-last.bin", mails(), Some(Cover { next: None, ..cover() })),
    ];
    for (_, users, cover) in &mut blocks {
        if cover.is_some() {
            sort_by_hash(users);
        } else {
            sort_by_id(users);
        }
    }
    blocks
}

fn block_bytes(users: &Model, cover: Option<Cover>) -> Vec<u8> {
    let rows = rows_of(users);
    encode(&rows, 0..rows.len(), cover)
}

fn run(n: u128) -> RunId {
    RunId(Ulid(n << 80 | 0xabc))
}

fn copy(n: u128) -> CopyId {
    CopyId(Ulid(n << 80 | 0xdef))
}

const REQUEST: RequestId = RequestId(Ulid(0x0199_0000_0000 << 80 | 42));
const AT: Time = Time(1_763_000_000_123);

/// The tally of real rows, so that digests cannot change either.
fn tally() -> Tally {
    let rows = rows_of(&mails());
    let mut tallier = Tallier::default();
    tallier.use_facets(&rows.facets);
    rows.iter().for_each(|u| tallier.add(&u));
    tallier.tally()
}

fn manifest() -> Manifest {
    let slots = SlotSize::default().bits_for(ROWS_PER_SLOT * 3, 0);
    let plain = Copy {
        id: copy(1),
        run: run(1),
        tier: Tier::Hot,
        slots,
        life: Life::Live,
        since: AT,
        inputs: None,
        bytes: 123_456,
    };
    let rewrite = Copy {
        id: copy(3),
        run: run(3),
        life: Life::Staged,
        inputs: Some(Inputs { runs: vec![run(1), run(2)], inbox_blocks: 17, folded: 0 }),
        bytes: 0,
        ..plain.clone()
    };
    let life = |n, life, tier| Copy { id: copy(n), life, tier, ..plain.clone() };
    Manifest {
        version: 42,
        epoch: 1,
        state: DataState::Restoring,
        runs: vec![Run { id: run(1), slots, tally: tally(), folded: 0 }],
        copies: vec![
            plain.clone(),
            life(2, Life::Live, Tier::Cold),
            rewrite,
            life(4, Life::Retired, Tier::Hot),
            life(5, Life::Doomed, Tier::Cold),
        ],
        clearing: Some(copy(1)),
        quarantine: Some(Quarantine {
            reason: "slot 3 of run X has 7 rows of 8".to_owned(),
            since: AT,
            runs: vec![run(1)],
            inbox: true,
        }),
        is_deleted: false,
        arrived: Arrivals::default(),
    }
}

/// One with a run under the ids of persons, and a rewrite that follows later merges.
fn folded_manifest() -> Manifest {
    let mut manifest = manifest();
    manifest.runs[0].folded = 7;
    manifest.copies[2].inputs.as_mut().unwrap().folded = 12;
    manifest
}

fn merged_user() -> MergedUser {
    let by = "key/00000000000000000000000KEY".to_owned();
    MergedUser { number: 7, from: "Größe-1".into(), into: "user-1".into(), at: AT, by }
}

/// The manifest of a source that is deleted for good.
fn deleted_manifest() -> Manifest {
    Manifest { state: DataState::Available, ..manifest() }.deleted(AT.plus(1))
}

fn tag_request() -> Request {
    Request { tag: Some("promo".to_owned()), ..request() }
}

fn part() -> Part {
    Part {
        attempt: 3,
        lease_until: AT,
        claimed_by: "worker-1".to_owned(),
        done: Some(PartDone {
            attempt: 2,
            tally: tally(),
            bytes: 4_567,
            consumed: vec![Consumed { run: run(1), rows: 8, digest: tally().digest }],
            inbox_rows: 9,
        }),
    }
}

fn request() -> Request {
    Request {
        id: REQUEST,
        version: 5,
        created_at: AT,
        completed_at: Some(AT.plus(60_000)),
        requested_by: Some("key/rk_1".to_owned()),
        tag: None,
        notify: vec!["me@example.com".to_owned()],
        items: 4,
        remaining: 0,
        failed: 1,
        cancelled: 2,
        begun: true,
        is_cancelled: true,
        look_at: Some(AT.plus(1)),
    }
}

fn item() -> Item {
    Item {
        source: "canvas/welcome".parse().unwrap(),
        state: ItemState::AlreadyAvailable,
        users_total: 1_234,
        late_interactions: 0,
        expires_at: Some(AT),
        error: Some("nothing to say".to_owned()),
    }
}

/// Rotated, and revoked within the grace.
fn access_key() -> AccessKey {
    let id = "01M88W25109EGSMK4MY3BG38T3";
    let token = |c: &str| format!("rk_{id}_{}", c.repeat(43)).parse::<Token>().unwrap();
    let scopes = BTreeSet::from([Scope::Ingest, Scope::Read]);
    let by = "key/01M88W2510TGYS3TYJDRP2NF95".to_owned();
    AccessKey {
        version: 3,
        old: Some(OldSecret { hash: token("E").hash(), until: AT.plus(3) }),
        rotated_at: Some(AT.plus(1)),
        revoked_at: Some(AT.plus(2)),
        ..AccessKey::new(&token("A"), "mailer".to_owned(), scopes, AT, by)
    }
}

fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    (serde_json::to_string_pretty(value).unwrap() + "\n").into_bytes()
}

/// Every golden file with what today's code writes.
fn written() -> Vec<(&'static str, Vec<u8>)> {
    let mut files: Vec<(&str, Vec<u8>)> =
        blocks().into_iter().map(|(name, users, cover)| (name, block_bytes(&users, cover))).collect();
    files.extend([
        ("manifest-v1.json", json_bytes(&manifest())),
        ("source-v1.json", json_bytes(&source())),
        ("source-v1-canvas.json", json_bytes(&canvas())),
        ("source-v1-warned.json", json_bytes(&warned_source())),
        ("source-v1-deleted.json", json_bytes(&deleted_source())),
        ("manifest-v1-deleted.json", json_bytes(&deleted_manifest())),
        ("manifest-v1-folded.json", json_bytes(&folded_manifest())),
        ("manifest-v1-arrived.json", json_bytes(&arrived_manifest())),
        ("day-v1.json", json_bytes(&day())),
        ("merged-user-v1.json", json_bytes(&merged_user())),
        ("part-v1.json", json_bytes(&part())),
        ("request-v1.json", json_bytes(&request())),
        ("request-v1-tag.json", json_bytes(&tag_request())),
        ("item-v1.json", json_bytes(&item())),
        ("notice-v1.json", json_bytes(&notice())),
        ("notice-v1-trouble.json", json_bytes(&trouble_notice())),
        ("notice-v1-stopped.json", json_bytes(&stopped_notice())),
        ("notice-v1-sending.json", json_bytes(&sending_notice())),
        ("notice-v1-deleted.json", json_bytes(&deleted_notice())),
        ("notice-v1-undeleted.json", json_bytes(&undeleted_notice())),
        ("notice-v1-expiring.json", json_bytes(&expiring_notice())),
        ("key-v1.json", json_bytes(&access_key())),
    ]);
    files
}

#[test]
#[ignore = "writes the golden files"]
fn rewrite_golden_files() {
    for (name, bytes) in written() {
        fs::write(file(name), bytes).unwrap();
    }
}

fn stored(name: &str) -> Vec<u8> {
    fs::read(file(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn blocks_of_every_version_are_read() {
    for (name, users, cover) in blocks() {
        let Block { rows, cover: read } = decode(&stored(name)).unwrap();
        assert_eq!(model(&rows), users, "{name}");
        assert_eq!(read, cover, "{name}");
    }
}

fn assert_read<T: DeserializeOwned + PartialEq + Debug>(name: &str, expected: &T) {
    let text = stored(name);
    assert_eq!(&serde_json::from_slice::<T>(&text).unwrap(), expected, "{name}");
}

#[test]
fn items_of_every_version_are_read() {
    assert_read("manifest-v1.json", &manifest());
    assert_read("source-v1.json", &source());
    assert_read("source-v1-warned.json", &warned_source());
    assert_read("source-v1-deleted.json", &deleted_source());
    assert_read("manifest-v1-deleted.json", &deleted_manifest());
    assert_read("manifest-v1-folded.json", &folded_manifest());
    assert_read("manifest-v1-arrived.json", &arrived_manifest());
    assert_read("day-v1.json", &day());
    assert_read("merged-user-v1.json", &merged_user());
    assert_read("part-v1.json", &part());
    assert_read("request-v1.json", &request());
    assert_read("item-v1.json", &item());
    assert_read("notice-v1.json", &notice());
    assert_read("notice-v1-trouble.json", &trouble_notice());
    assert_read("source-v1-canvas.json", &canvas());
    assert_read("request-v1-tag.json", &tag_request());
    assert_read("notice-v1-stopped.json", &stopped_notice());
    assert_read("notice-v1-expiring.json", &expiring_notice());
    assert_read("notice-v1-sending.json", &sending_notice());
    assert_read("notice-v1-deleted.json", &deleted_notice());
    assert_read("notice-v1-undeleted.json", &undeleted_notice());
    // Keys are not compared by `==`, as their hashes are not.
    let key: AccessKey = serde_json::from_slice(&stored("key-v1.json")).unwrap();
    assert_eq!(json_bytes(&key), json_bytes(&access_key()));
}

/// The encodings are deterministic, and today's are those of the files. Of the compressed ones this holds for one
/// version of zstd: another may pack better, and then reading alone must go on.
#[test]
fn today_writes_the_same_bytes() {
    let mut names = BTreeSet::new();
    for (name, bytes) in written() {
        assert!(names.insert(name.to_owned()), "{name} is written twice");
        let stored = stored(name);
        if bytes != stored {
            let show = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            panic!("{name}\nstored: {}\nnow:    {}", show(&stored), show(&bytes));
        }
    }
    let on_disk: BTreeSet<String> =
        fs::read_dir(file("")).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(on_disk, names, "a file is never deleted; its reading stays tested");
}

/// Hashes and keys are part of the format, though no file shows them.
#[test]
fn hashes_and_keys_stay_what_they_are() {
    // XXH3-64 of nothing, as its authors publish it, and of two ids.
    assert_eq!(user_hash(b""), 0x2d06_8005_38d3_94c2);
    assert_eq!(user_hash(b"user-1"), 0x7c76_15c1_1438_e5c9);
    assert_eq!(user_hash("é".as_bytes()), 0xf794_0a00_6cf1_0cb3);
    let mut facet = vec![];
    facets().keys().nth(3).unwrap().encode(&mut facet);
    assert_eq!(facet, b"\x03\x01\x00\x00\x00\x00\x08Gr\xc3\xb6\xc3\x9fe");
    let key = cover().next.unwrap().to_key();
    assert_eq!(key, [0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0, 0, 1, 44]);
    let slots = SlotSize::default().bits_for(ROWS_PER_SLOT * 3, 0);
    assert_eq!((slots.count(), slots.slot_of(0x7fff << 48)), (4, 1));
}

/// Items of before a field was there are read as if it had its default.
#[test]
fn fields_that_came_later_may_lack() {
    let read = |text: serde_json::Value| serde_json::from_value::<Manifest>(text).unwrap();
    let least = json!({"version": 0, "state": "available", "runs": [], "copies": []});
    assert_eq!(read(least), Manifest::default());
    // As runs and rewrites say nothing of merges in manifests from before there were any.
    let mut folded = serde_json::from_slice::<serde_json::Value>(&stored("manifest-v1-folded.json")).unwrap();
    for (place, number) in [("/runs/0", 7), ("/copies/2/inputs", 12)] {
        let place = folded.pointer_mut(place).unwrap().as_object_mut().unwrap();
        assert_eq!(place.remove("folded"), Some(json!(number)));
    }
    assert_eq!(read(folded), manifest());
    let part = json!({"attempt": 1, "lease_until": "2026-11-22T10:00:00.000Z"});
    let part = serde_json::from_value::<Part>(part).unwrap();
    assert_eq!((part.attempt, part.claimed_by, part.done), (1, String::new(), None));
    let draft = Source::draft("campaign/a".parse().unwrap(), AT);
    let mut least = serde_json::to_value(&draft).unwrap();
    let needed = ["source", "version", "name", "status", "created_at", "updated_at", "state"];
    least.as_object_mut().unwrap().retain(|field, _| needed.contains(&field.as_str()));
    assert_eq!(serde_json::from_value::<Source>(least).unwrap(), draft);
}

/// What no version wrote is an error, and never a panic later.
#[test]
fn l5_items_out_of_shape_are_errors() {
    for bits in [13, 64, 65, 255] {
        let read = serde_json::from_value::<SlotBits>(json!(bits));
        assert!(read.is_err(), "{bits} bits");
    }
    for bits in 0..=12 {
        let read = serde_json::from_value::<SlotBits>(json!(bits)).unwrap();
        assert_eq!((read.count(), json!(read)), (1 << bits, json!(bits)));
    }
    assert!(serde_json::from_value::<Tally>(json!({"users": 1, "rows": 1, "digest": "xyz"})).is_err());
    assert!(serde_json::from_value::<RunId>(json!("campaign/a")).is_err());
    assert!(serde_json::from_value::<Life>(json!("lively")).is_err());
    assert!(serde_json::from_value::<Time>(json!("yesterday")).is_err());
}
