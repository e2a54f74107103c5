//! Interactions: what goes in comes out, and bad ones never hurt good ones.

use crate::support::{Model, UserModel, assert_well_formed, cases, joined, merged, model, sort_by_id};
use proptest::{collection::vec, prelude::*, sample::select};
use rekindle_domain::{
    block::{decode, encode_inbox},
    facet::{Channel, Facet, Kind},
    id::{LedgerId, SourceId, SourceKind},
    interaction::{Collected, Collector},
    rows::Rows,
    time::Time,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The present, in these tests.
pub const NOW: Time = Time(1_763_000_000_000);

/// Collects a JSON body.
pub fn collect(body: &[u8]) -> Collected {
    let mut collector = Collector::new(NOW);
    collector.add_json(body).unwrap();
    collector.finish()
}

/// An interaction that is fine; tests add to it and take from it.
pub fn good() -> Map<String, Value> {
    let Value::Object(item) =
        json!({"user_id": "u1", "campaign_id": "c1", "type": "received", "channel": "email"})
    else {
        unreachable!()
    };
    item
}

/// An interaction, as a sender means it.
#[derive(Clone, Debug)]
struct Sent {
    user: String,
    source: SourceId,
    facet: Facet,
    time: Option<i64>,
    /// Of the ways to write it.
    style: u8,
}

fn needs_channel(kind: Kind) -> bool {
    use Kind::{Clicked, Delivered, Dismissed, Opened, Received, Replied};
    [Received, Delivered, Opened, Clicked, Dismissed, Replied].contains(&kind)
}

fn sent() -> impl Strategy<Value = Sent> {
    let user = prop_oneof![
        4 => (0u8..12).prop_map(|n| format!("user-{n}")),
        1 => select(vec!["é@example.com", "a \"quoted\" \\ user", "日本", "u", "0f8fad5b-d9cb-469f-a165-70867728950e"]).prop_map(str::to_owned),
    ];
    let variant = || select(vec![None, None, Some("A"), Some("b.2:x_y-z")]);
    let alias = select(vec![None, Some("cta"), Some("Größe / €"), Some("\"")]);
    let what = (
        select(Kind::ALL.to_vec()),
        select(Channel::ALL.to_vec()),
        any::<bool>(),
        0u8..3,
        variant(),
        variant(),
        alias,
    );
    let time = prop::option::of(NOW.0 - 1_000_000..NOW.0 + 86_400_000);
    // One id is a campaign's and a Canvas's.
    let source = select(vec!["campaign/c1", "campaign/c2", "campaign/spring-sale", "canvas/c1", "canvas/w"]);
    let source = source.prop_map(|s| s.parse::<SourceId>().unwrap());
    (user, source, what, time, 0u8..4).prop_map(
        |(user, source, (kind, channel, flag, conversion, variant, step, alias), time, style)| Sent {
            user,
            facet: Facet {
                kind: match source.kind() {
                    SourceKind::Campaign if kind == Kind::Entered => Kind::Control,
                    _ => kind,
                },
                channel: (flag || needs_channel(kind)).then_some(channel),
                machine: flag && matches!(kind, Kind::Opened | Kind::Clicked),
                conversion: if kind == Kind::Converted { conversion } else { 0 },
                variant: variant.map(Into::into),
                step: step.filter(|_| source.kind() == SourceKind::Canvas).map(Into::into),
                alias: alias.filter(|_| kind == Kind::Clicked).map(Into::into),
            },
            source,
            time,
            style,
        },
    )
}

impl Sent {
    fn to_json(&self) -> Value {
        let (kind, bounce) = match self.facet.kind {
            Kind::HardBounced => ("bounced", Some("hard")),
            Kind::SoftBounced => ("bounced", Some("soft")),
            kind => (kind.as_str(), None),
        };
        let mut item = Map::new();
        // Fields in two orders, optional ones as null or left out, times as text or as a number.
        if self.style.is_multiple_of(2) {
            item.insert("type".into(), kind.into());
        }
        item.insert("user_id".into(), self.user.as_str().into());
        let [source, other, variant, other_variant] = match self.source.kind() {
            SourceKind::Campaign => ["campaign_id", "canvas_id", "variant_id", "variation_id"],
            SourceKind::Canvas => ["canvas_id", "campaign_id", "variation_id", "variant_id"],
        };
        item.insert(source.into(), self.source.id().into());
        item.insert("type".into(), kind.into());
        let mut put = |field: &str, value: Option<Value>| {
            if value.is_some() || self.style == 3 {
                item.insert(field.into(), value.unwrap_or(Value::Null));
            }
        };
        put("channel", self.facet.channel.map(|c| c.as_str().into()));
        put(other, None);
        put(variant, self.facet.variant.as_deref().map(Into::into));
        put(other_variant, None);
        put("step_id", self.facet.step.as_deref().map(Into::into));
        put("link_alias", self.facet.alias.as_deref().map(Into::into));
        put("bounce", bounce.map(Into::into));
        put("machine", self.facet.machine.then_some(true.into()));
        put("conversion", (self.facet.conversion > 0).then(|| self.facet.conversion.into()));
        put("time", self.time.map(|t| if self.style > 1 { Time(t).to_string().into() } else { t.into() }));
        Value::Object(item)
    }
}

/// What must be stored of the interactions, by ledger.
fn expected(sent: &[&Sent]) -> BTreeMap<LedgerId, Model> {
    let mut out: BTreeMap<LedgerId, Vec<Model>> = BTreeMap::new();
    for s in sent {
        let at = s.time.unwrap_or(NOW.0);
        let row = |facet: Facet| vec![(s.user.clone().into_bytes(), UserModel::from([(facet, (at, at))]))];
        out.entry(LedgerId::Source(s.source.clone())).or_default().push(row(s.facet.clone()));
        out.entry(LedgerId::Users).or_default().push(row(s.facet.for_users()));
    }
    let in_order = |models| {
        let mut model = merged(models);
        sort_by_id(&mut model);
        model
    };
    out.into_iter().map(|(ledger, models)| (ledger, in_order(models))).collect()
}

/// What was collected, by ledger; asserts the order of ledgers and users, and that inbox blocks hold it.
fn stored(ledgers: &[(LedgerId, Rows)]) -> BTreeMap<LedgerId, Model> {
    assert_eq!(ledgers.iter().position(|(l, _)| *l == LedgerId::Users), (!ledgers.is_empty()).then_some(0));
    let of = |rows: &Rows| {
        assert_well_formed(rows);
        let read = joined(encode_inbox(rows, 2_000).iter().map(|(b, _)| model(&decode(b).unwrap().rows)));
        assert_eq!(read, model(rows));
        read
    };
    let out: BTreeMap<LedgerId, Model> = ledgers.iter().map(|(l, rows)| (l.clone(), of(rows))).collect();
    assert_eq!(out.len(), ledgers.len());
    out
}

/// Bad items, one per code, to be strewn among good ones.
fn bad() -> impl Strategy<Value = (&'static str, &'static str)> {
    select(vec![
        ("5", "invalid_item"),
        ("{}", "missing_field"),
        (r#"{"user_id":"","campaign_id":"c1","type":"received","channel":"email"}"#, "invalid_user_id"),
        (r#"{"user_id":"user-1","campaign_id":"c1","type":"recieved","channel":"email"}"#, "invalid_type"),
        (
            r#"{"user_id":"user-1","campaign_id":"c 1","type":"received","channel":"email"}"#,
            "invalid_campaign_id",
        ),
        (
            r#"{"user_id":"user-1","campaign_id":"c1","type":"received","channel":"email","time":1e400}"#,
            "invalid_json",
        ),
        (r#"{"user_id":"user-1","user_id":"user-2","campaign_id":"c1","type":"control"}"#, "invalid_item"),
        (r#"{"user_id":"user-1","campaign_id":"c1","canvas_id":"c1","type":"control"}"#, "two_sources"),
        (r#"{"user_id":"user-1","canvas_id":"c1","variant_id":"A","type":"entered"}"#, "field_not_allowed"),
    ])
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn l1_what_goes_in_comes_out_and_good_neighbours_survive(
        items in vec(prop_oneof![4 => sent().prop_map(Ok), 1 => bad().prop_map(Err)], 0..40),
        form in 0u8..4,
    ) {
        let texts: Vec<String> = items.iter().map(|i| match i {
            Ok(sent) => sent.to_json().to_string(),
            Err((text, _)) => (*text).to_owned(),
        }).collect();
        let mut collector = Collector::new(NOW);
        match form {
            0 => collector.add_json(format!("[{}]", texts.join(",")).as_bytes()).unwrap(),
            1 => collector.add_json(format!(" \n{{ \"interactions\" : [ {} ] }}\n", texts.join(" ,\n")).as_bytes()).unwrap(),
            2 => collector.add_ndjson(texts.join("\n").as_bytes()).unwrap(),
            _ => collector.add_ndjson(format!("\n\r\n{}\r\n\n", texts.join(" \r\n \n")).as_bytes()).unwrap(),
        }
        let good: Vec<&Sent> = items.iter().filter_map(|i| i.as_ref().ok()).collect();
        let named: BTreeSet<&SourceId> = good.iter().map(|s| &s.source).collect();
        prop_assert_eq!(collector.sources().map(|(source, _)| source).collect::<BTreeSet<_>>(), named);
        let collected = collector.finish();
        prop_assert_eq!(collected.accepted, good.len());
        prop_assert_eq!(stored(&collected.ledgers), expected(&good));
        let rejected: Vec<(usize, &str)> = collected.rejected.iter().map(|r| (r.index, r.code.as_ref())).collect();
        let bad: Vec<(usize, &str)> = items.iter().enumerate()
            .filter_map(|(i, item)| item.as_ref().err().map(|(_, code)| (i, *code)))
            .collect();
        prop_assert_eq!(rejected, bad);
    }

    /// Sources that are refused take their interactions along, from `users` too, and no others.
    #[test]
    fn refused_sources_leave_nothing_behind(
        items in vec(sent(), 1..40),
        refused in select(vec!["campaign/c1", "campaign/c2", "canvas/c1", "canvas/other"]),
    ) {
        let body = Value::Array(items.iter().map(Sent::to_json).collect()).to_string();
        let mut collector = Collector::new(NOW);
        collector.add_json(body.as_bytes()).unwrap();
        let source: SourceId = refused.parse().unwrap();
        collector.refuse_sources(&BTreeSet::from([source.clone()]), "unknown_source", |s| format!("{s} is not registered"));
        prop_assert!(!collector.sources().any(|(s, _)| *s == source));
        let collected = collector.finish();
        let kept: Vec<&Sent> = items.iter().filter(|s| s.source != source).collect();
        prop_assert_eq!(collected.accepted, kept.len());
        prop_assert_eq!(stored(&collected.ledgers), expected(&kept));
        let indices: Vec<usize> = collected.rejected.iter().map(|r| r.index).collect();
        let gone: Vec<usize> = (0..items.len()).filter(|i| items[*i].source == source).collect();
        prop_assert_eq!(indices, gone);
        let says_why = |r: &rekindle_domain::interaction::Rejection| r.code == "unknown_source" && r.detail.contains(&source.to_string());
        prop_assert!(collected.rejected.iter().all(says_why));
    }

    /// The same interactions in another order, or twice over, are the same rows.
    #[test]
    fn l1_order_and_repetition_change_nothing(items in vec(sent(), 0..30)) {
        let body = |items: &[&Sent]| Value::Array(items.iter().map(|s| s.to_json()).collect()).to_string();
        let all: Vec<&Sent> = items.iter().collect();
        let once = stored(&collect(body(&all).as_bytes()).ledgers);
        let again: Vec<&Sent> = items.iter().rev().chain(&items).collect();
        prop_assert_eq!(stored(&collect(body(&again).as_bytes()).ledgers), once);
    }

    /// Whatever bytes arrive: an answer, and what is refused is told within bounds.
    #[test]
    fn any_bytes_are_answered(body in vec(any::<u8>(), 0..300), json in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,60}") {
        for body in [&body[..], json.as_bytes(), format!("[{json}]").as_bytes()] {
            let _ = Collector::new(NOW).add_json(body);
            let mut collector = Collector::new(NOW);
            collector.add_ndjson(body).unwrap();
            prop_assert!(collector.finish().rejected.iter().all(|r| r.detail.len() < 600));
        }
    }
}

/// Times without `time`, and the fields that narrow nothing, fall back as the contract says.
#[test]
fn defaults_are_as_documented() {
    let of = |item: Value| {
        let collected = collect(json!([item]).to_string().as_bytes());
        assert_eq!(collected.rejected, vec![]);
        model(&collected.ledgers[1].1)[0].1.first_key_value().map(|(f, t)| (f.clone(), *t)).unwrap()
    };
    let at = (NOW.0, NOW.0);
    let entered = json!({"user_id": "u", "canvas_id": "c", "type": "entered", "campaign_id": null});
    assert_eq!(of(entered), (Facet::of(Kind::Entered), at));
    let converted = json!({"user_id": "u", "campaign_id": "c", "type": "converted", "conversion": 255});
    assert_eq!(of(converted), (Facet { conversion: 255, ..Facet::of(Kind::Converted) }, at));
    // A click is a person's unless it says that a machine did it.
    let clicked = json!({"user_id": "u", "campaign_id": "c", "type": "clicked", "channel": "rcs"});
    let click = Facet { channel: Some(Channel::Rcs), ..Facet::of(Kind::Clicked) };
    assert_eq!(of(clicked.clone()), (click.clone(), at));
    let mut by_machine = clicked;
    by_machine["machine"] = true.into();
    assert_eq!(of(by_machine), (Facet { machine: true, ..click }, at));
    for (name, kind) in
        [("unsubscribed", Kind::Unsubscribed), ("subscribed", Kind::Subscribed), ("not_spam", Kind::NotSpam)]
    {
        let item = json!({"user_id": "u", "campaign_id": "c", "type": name});
        assert_eq!(of(item), (Facet::of(kind), at));
    }
    let mut zoned = good();
    zoned.insert("time".into(), "2025-11-13T03:13:20+01:00".into());
    let received = Facet { channel: Some(Channel::Email), ..Facet::of(Kind::Received) };
    assert_eq!(of(zoned.into()), (received, (1_762_999_999_000 + 1_000, 1_763_000_000_000)));
}

/// `users` keeps what holds over all sources: one row for all variants, steps and conversions, one a channel and alias.
#[test]
fn users_keep_what_holds_over_all_sources() {
    let text = |t: &str| Some(t.into());
    let full = Facet {
        kind: Kind::Converted,
        channel: Some(Channel::Sms),
        machine: true,
        conversion: 7,
        variant: text("A"),
        step: text("s1"),
        alias: text("cta"),
    };
    let kept = Facet { variant: None, step: None, conversion: 0, ..full.clone() };
    assert_eq!(full.for_users(), kept);
    let mut items = vec![];
    for (campaign, conversion, variant) in [("c1", 0, "A"), ("c1", 1, "B"), ("c2", 255, "A")] {
        items.push(json!({"user_id": "u", "campaign_id": campaign, "type": "converted",
            "conversion": conversion, "variant_id": variant}));
    }
    let collected = collect(Value::Array(items).to_string().as_bytes());
    let rows: Vec<usize> = collected.ledgers.iter().map(|(_, rows)| rows.row_count()).collect();
    assert_eq!(rows, [1, 2, 1]);
    assert_eq!(collected.ledgers[0].1.facets, [Facet::of(Kind::Converted)]);
}

/// An interaction about a person alone is in the ledger of all users as one of a campaign would be, and in no other.
#[test]
fn what_is_about_a_person_needs_no_campaign() {
    for (kind, more) in [
        ("bounced", json!({ "bounce": "hard", "channel": "email" })),
        ("complained", json!({})),
        ("not_spam", json!({ "campaign_id": null, "canvas_id": "" })),
        ("unsubscribed", json!({ "channel": "sms" })),
        ("subscribed", json!({})),
    ] {
        let mut alone = json!({ "user_id": "u", "type": kind, "time": NOW.0 });
        alone.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut of_campaign = alone.clone();
        of_campaign["campaign_id"] = "c".into();
        let [alone, of_campaign] =
            [alone, of_campaign].map(|item| collect(json!([item]).to_string().as_bytes()));
        assert_eq!((alone.accepted, alone.rejected.len()), (1, 0), "{kind}");
        let ledgers: Vec<&LedgerId> = alone.ledgers.iter().map(|(ledger, _)| ledger).collect();
        assert_eq!(ledgers, [&LedgerId::Users]);
        assert_eq!(model(&alone.ledgers[0].1), model(&of_campaign.ledgers[0].1), "{kind}");
    }
}
