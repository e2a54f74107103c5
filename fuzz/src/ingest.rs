//! Checks the ingest parser: accepted interactions equal those in the request, rejected ones are invalid, and the request's
//! length bounds the memory.

use crate::heap::peak_of;
use rekindle_domain::{
    block::{decode, encode_inbox},
    facet::{Channel, Facet, Kind},
    id::{LedgerId, SourceId, SourceKind},
    interaction::{BatchError, Collected, Collector, stored_alias, without_bom},
    rows::Rows,
    time::Time,
};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// The time of the request.
const NOW: Time = Time(1_800_000_000_000);
const DAY: i64 = 86_400_000;
const YEAR_2000: i64 = 946_684_800_000;
/// The most memory that a request may take: a fixed part, which covers the rejection of an item of 16 KiB, and a part for each
/// byte. Items of two bytes take most: each is a rejection, with its place, its code and a sentence.
const fn most_memory(len: usize) -> usize {
    (2 << 20) + 256 * len
}

/// Tries `data` as a JSON body and as NDJSON.
pub fn check(data: &[u8]) {
    let (json, peak) = peak_of(|| collect(|c| c.add_json(data)));
    assert!(peak <= most_memory(data.len()), "{} bytes of JSON took {peak}", data.len());
    // Where a body is not UTF-8, U+FFFD stands.
    let body = String::from_utf8_lossy(without_bom(data));
    let is_mended = matches!(body, Cow::Owned(_));
    match (json, items(&body)) {
        (Ok(collected), Some(items)) => is_the_truth(&collected, &items, is_mended),
        (Err(BatchError::Malformed { detail, .. }), None) => assert!(detail.len() < 600, "{detail}"),
        (result, items) => panic!("{:?}, though the items are {items:?}", result.map(|c| c.rejected)),
    }
    let (lines, peak) = peak_of(|| collect(|c| c.add_ndjson(data)));
    assert!(peak <= most_memory(data.len()), "{} bytes of NDJSON took {peak}", data.len());
    let items = body.split('\n').filter(|l| !l.trim_ascii().is_empty());
    let items: Vec<&str> = items.flat_map(documents).collect();
    is_the_truth(&lines.expect("NDJSON has no outer form that could be invalid"), &items, is_mended);
}

fn collect(add: impl FnOnce(&mut Collector) -> Result<(), BatchError>) -> Result<Collected, BatchError> {
    let mut collector = Collector::new(NOW);
    add(&mut collector)?;
    Ok(collector.finish())
}

/// The documents of a line of NDJSON; from a place on that is not JSON, the rest of the line is one.
fn documents(line: &str) -> Vec<&str> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let mut stream = serde_json::Deserializer::from_str(line).into_iter::<&RawValue>();
    let mut out = Vec::new();
    let mut end = 0;
    while let Some(document) = stream.next() {
        match document {
            Ok(document) => out.push(document.get()),
            Err(_) => {
                out.push(&line[end..]);
                break;
            }
        }
        end = stream.byte_offset();
    }
    out
}

/// The items of a JSON body; `None` if the body is no batch.
fn items(body: &str) -> Option<Vec<&str>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Envelope<'a> {
        #[serde(borrow)]
        interactions: Vec<&'a RawValue>,
    }
    let items: Vec<&RawValue> = match body.trim_ascii_start().chars().next()? {
        '[' => serde_json::from_str(body).ok()?,
        '{' => serde_json::from_str::<Envelope<'_>>(body).ok()?.interactions,
        _ => return None,
    };
    Some(items.into_iter().map(RawValue::get).collect())
}

/// The stored rows of a ledger: the first and the last time, by user and facet.
type Stored = BTreeMap<Vec<u8>, BTreeMap<Facet, (i64, i64)>>;

fn is_the_truth(collected: &Collected, items: &[&str], is_mended: bool) {
    let readings: Vec<Reading> = items.iter().map(|item| Reading::of(item, is_mended)).collect();
    let rejected: Vec<usize> = collected.rejected.iter().map(|r| r.index).collect();
    assert!(rejected.is_sorted_by(|a, b| a < b), "{rejected:?}");
    let mut expected: BTreeMap<LedgerId, Stored> = BTreeMap::new();
    let mut refused = collected.rejected.iter().peekable();
    for (index, reading) in readings.iter().enumerate() {
        let refusal = refused.next_if(|r| r.index == index);
        match (refusal, reading) {
            (None, Reading::Fine(fine)) => fine.store(&mut expected),
            (Some(refusal), Reading::Fine(_)) => panic!("{refusal:?}: {}", items[index]),
            (Some(refusal), wrong) => {
                assert!(refusal.detail.len() < 600, "{}", refusal.detail);
                let says_twice = refusal.detail.starts_with("the interaction has a field twice");
                assert!(!says_twice || matches!(wrong, Reading::Twice), "{refusal:?}");
            }
            (None, wrong) => panic!("accepted, though {wrong:?}: {}", items[index]),
        }
    }
    assert_eq!(refused.next(), None, "a rejection without an item");
    assert_eq!(collected.accepted + rejected.len(), items.len());
    let stored: BTreeMap<LedgerId, Stored> =
        collected.ledgers.iter().map(|(ledger, rows)| (ledger.clone(), stored(rows))).collect();
    assert_eq!(stored.len(), collected.ledgers.len(), "a ledger is listed twice");
    assert_eq!(stored, expected);
    assert!(collected.ledgers.first().is_none_or(|(first, _)| *first == LedgerId::Users));
}

/// The rows that are read back from inbox blocks of these rows.
fn stored(rows: &Rows) -> Stored {
    let mut out = Stored::new();
    for (block, count) in encode_inbox(rows, 2_000) {
        let rows = decode(&block).expect("a block that was just encoded").rows;
        assert_eq!(rows.row_count() as u64, count);
        for user in rows.iter() {
            let known = out.entry(user.id.to_vec()).or_default();
            for row in user.rows {
                let facet = rows.facets[row.facet as usize].clone();
                assert_eq!(known.insert(facet, (row.first_at, row.last_at)), None, "a row is listed twice");
            }
        }
    }
    out
}

/// An item, read by the documentation's rules.
#[derive(Debug)]
enum Reading {
    Fine(Fine),
    /// The item has a field twice.
    Twice,
    Wrong,
}

#[derive(Debug)]
struct Fine {
    user: String,
    /// `None` for one about the user alone.
    source: Option<SourceId>,
    facet: Facet,
    at: i64,
}

impl Fine {
    fn store(&self, ledgers: &mut BTreeMap<LedgerId, Stored>) {
        let everywhere = Facet { variant: None, step: None, conversion: 0, ..self.facet.clone() };
        let source = self.source.clone().map(|source| (LedgerId::Source(source), self.facet.clone()));
        for (ledger, facet) in std::iter::once((LedgerId::Users, everywhere)).chain(source) {
            let user = ledgers.entry(ledger).or_default().entry(self.user.clone().into_bytes()).or_default();
            let times = user.entry(facet).or_insert((self.at, self.at));
            *times = (times.0.min(self.at), times.1.max(self.at));
        }
    }
}

/// The fields of an object in their order, with repetitions.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> de::Visitor<'de> for V {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = vec![];
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        d.deserialize_map(V)
    }
}

impl Reading {
    fn of(text: &str, is_mended: bool) -> Self {
        let (fields, is_mended) = match serde_json::from_str(text) {
            Ok(Fields(fields)) => (fields, is_mended),
            Err(_) => match serde_json::from_str(&without_halves(text)) {
                Ok(Fields(fields)) => (fields, true),
                Err(_) => return Self::Wrong,
            },
        };
        let count = fields.len();
        let fields: BTreeMap<String, Value> = fields.into_iter().collect();
        if fields.len() < count {
            return Self::Twice;
        }
        // A user id that could not be read is nobody's.
        let fine = fine(&fields).filter(|fine| !is_mended || !fine.user.contains('\u{fffd}'));
        fine.map_or(Self::Wrong, Self::Fine)
    }
}

/// The JSON text with U+FFFD for each escaped half of a surrogate pair that has no other half.
fn without_halves(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match halves(rest) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push('\u{fffd}');
                rest = &rest[6..];
                continue;
            }
            _ if c == '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

/// The escaped UTF-16 units with which a text begins, if it does, and if another one follows.
fn halves(text: &str) -> (Option<u32>, Option<u32>) {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        digits.chars().try_fold(0, |unit, c| Some(unit * 16 + c.to_digit(16)?))
    };
    (unit(text), text.get(6..).and_then(unit))
}

/// The fields that an interaction may have.
const KNOWN: [&str; 13] = [
    "user_id",
    "campaign_id",
    "canvas_id",
    "type",
    "channel",
    "variant_id",
    "variation_id",
    "step_id",
    "link_alias",
    "bounce",
    "machine",
    "conversion",
    "time",
];

/// The types that may name neither a campaign nor a Canvas.
const PERSONAL: [&str; 5] = ["bounced", "complained", "not_spam", "unsubscribed", "subscribed"];

/// The kind of an interaction, and whether it needs a channel. `None`: something is wrong with it.
fn kind_of(name: &str, bounce: Option<&str>, of: Option<SourceKind>) -> Option<(Kind, bool)> {
    Some(match name {
        "received" => (Kind::Received, true),
        "opened" => (Kind::Opened, true),
        "clicked" => (Kind::Clicked, true),
        "converted" => (Kind::Converted, false),
        "entered" if of == Some(SourceKind::Canvas) => (Kind::Entered, false),
        "control" => (Kind::Control, false),
        "complained" => (Kind::Complained, false),
        "not_spam" => (Kind::NotSpam, false),
        "delivered" => (Kind::Delivered, true),
        "dismissed" => (Kind::Dismissed, true),
        "replied" => (Kind::Replied, true),
        "unsubscribed" => (Kind::Unsubscribed, false),
        "subscribed" => (Kind::Subscribed, false),
        "bounced" => match bounce {
            Some("hard") => (Kind::HardBounced, false),
            Some("soft") => (Kind::SoftBounced, false),
            _ => return None,
        },
        _ => return None,
    })
}

/// The source of an interaction. The outer `None`: it is invalid; the inner one: it is about the user alone.
fn source_of(
    named: (Option<&str>, Option<&str>),
    kind: &str,
    of_campaign: Option<&str>,
    of_canvas: Option<&str>,
) -> Option<Option<SourceId>> {
    Some(match named {
        (Some(id), None) if of_canvas.is_none() => Some(SourceId::new(SourceKind::Campaign, id)?),
        (None, Some(id)) if of_campaign.is_none() => Some(SourceId::new(SourceKind::Canvas, id)?),
        (None, None) if of_campaign.or(of_canvas).is_none() && PERSONAL.contains(&kind) => None,
        _ => return None,
    })
}

/// The interaction of these fields; `None` if it is invalid.
fn fine(fields: &BTreeMap<String, Value>) -> Option<Fine> {
    if fields.keys().any(|field| !KNOWN.contains(&field.as_str())) {
        return None;
    }
    let present = |field: &str| fields.get(field).filter(|v| !v.is_null());
    // The outer `None` means that the field is not a text; the inner one, that it is missing.
    // The empty text leaves an optional field out.
    let text = |field: &str| {
        present(field)
            .map_or(Some(None), |v| v.as_str().map(|text| Some(text).filter(|text| !text.is_empty())))
    };
    let [user, kind] = ["user_id", "type"].map(|f| text(f).flatten());
    let (user, kind) = (user?, kind?);
    let [channel, alias, bounce] = ["channel", "link_alias", "bounce"].map(text);
    let (channel, alias, bounce) = (channel?, alias?, bounce?);
    let [variant, variation, step] = ["variant_id", "variation_id", "step_id"].map(text);
    let (variant, variation, step) = (variant?, variation?, step?);
    let source = source_of((text("campaign_id")?, text("canvas_id")?), kind, variant, variation.or(step))?;
    let variant = variant.or(variation);
    let machine = present("machine").map_or(Some(None), |v| v.as_bool().map(Some))?;
    let conversion = match present("conversion") {
        None => None,
        Some(n) => Some(u8::try_from(n.as_u64()?).ok()?),
    };
    let at = match present("time") {
        None => NOW.0,
        Some(Value::String(text)) => text.parse::<Time>().ok()?.0,
        Some(n) => n.as_i64()?,
    };
    let printable =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.chars().all(|c| !c.is_control());
    let is_id = |id: &str| {
        printable(id, 128)
            && !matches!(id, "." | "..")
            && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-'))
    };
    let (kind, needs_channel) = kind_of(kind, bounce, source.as_ref().map(SourceId::kind))?;
    let channel = match channel {
        None if needs_channel => return None,
        None => None,
        Some(name) => Some(Channel::ALL.into_iter().find(|c| c.as_str() == name)?),
    };
    let fits = printable(user, 512)
        && !user.trim().is_empty()
        && source.as_ref().is_none_or(|source| is_id(source.id()))
        && variant.is_none_or(is_id)
        && step.is_none_or(is_id)
        && (alias.is_none() || kind == Kind::Clicked)
        && (machine.is_none() || matches!(kind, Kind::Opened | Kind::Clicked))
        && (conversion.is_none() || kind == Kind::Converted)
        && (bounce.is_none() || matches!(kind, Kind::HardBounced | Kind::SoftBounced))
        && (YEAR_2000..=NOW.0 + DAY).contains(&at);
    fits.then(|| Fine {
        user: user.to_owned(),
        source,
        facet: Facet {
            kind,
            channel,
            machine: machine.unwrap_or(false),
            conversion: conversion.unwrap_or(0),
            variant: variant.map(Into::into),
            step: step.map(Into::into),
            alias: alias.map(|alias| stored_alias(alias).into()),
        },
        at,
    })
}
