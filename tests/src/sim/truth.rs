//! The posted interactions and whether each was acknowledged: the plain model with which every ledger is compared.

use crate::fixture::model::Model;
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    id::LedgerId,
    time::Time,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// The auditor's rows: first and last time by user and facet.
pub type Rows = BTreeMap<(String, Facet), (i64, i64)>;

#[derive(Clone, Debug)]
struct Sent {
    event: Value,
    is_acknowledged: bool,
}

/// The times at which one user did one thing.
#[derive(Clone, Debug, Default)]
struct Times {
    acknowledged: Vec<i64>,
    sent: BTreeSet<i64>,
}

/// Everything that was ever posted.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    sent: Vec<Sent>,
    ledgers: BTreeMap<LedgerId, BTreeMap<(String, Facet), Times>>,
}

/// The rows of an interaction: one in its source's ledger, one in the ledger `users`.
fn rows_of(event: &Value) -> [(LedgerId, (String, Facet)); 2] {
    let text = |field: &str| event[field].as_str();
    let kind = match (text("type").unwrap(), text("bounce")) {
        ("bounced", Some("soft")) => Kind::SoftBounced,
        ("bounced", Some("hard")) => Kind::HardBounced,
        (name, _) => Kind::from_name(name).unwrap(),
    };
    let facet = Facet {
        kind,
        channel: text("channel").and_then(Channel::from_name),
        machine: event["machine"].as_bool().unwrap_or(false),
        conversion: event["conversion"].as_u64().unwrap_or(0) as u8,
        variant: text("variant_id").or_else(|| text("variation_id")).map(Box::from),
        step: text("step_id").map(Box::from),
        alias: text("link_alias").map(Box::from),
    };
    let user = text("user_id").unwrap().to_owned();
    let of_users = Facet { variant: None, step: None, conversion: 0, ..facet.clone() };
    let ledger = match text("canvas_id") {
        Some(id) => format!("canvas/{id}"),
        None => format!("campaign/{}", text("campaign_id").unwrap()),
    };
    let ledger = ledger.parse().unwrap();
    [(ledger, (user.clone(), facet)), (LedgerId::Users, (user, of_users))]
}

fn at(event: &Value) -> i64 {
    event["time"].as_i64().unwrap()
}

impl Truth {
    /// Notes that these are being posted: from now on storage may have them.
    pub fn send(&mut self, events: &[Value]) -> Range<usize> {
        let from = self.sent.len();
        for event in events {
            for (ledger, key) in rows_of(event) {
                self.ledgers.entry(ledger).or_default().entry(key).or_default().sent.insert(at(event));
            }
            self.sent.push(Sent { event: event.clone(), is_acknowledged: false });
        }
        from..self.sent.len()
    }

    /// Notes that these were answered with 200: from now on storage must have them, for ever.
    pub fn acknowledge(&mut self, events: Range<usize>) {
        for sent in &mut self.sent[events] {
            sent.is_acknowledged = true;
            for (ledger, key) in rows_of(&sent.event) {
                let times = self.ledgers.entry(ledger).or_default().entry(key).or_default();
                times.acknowledged.push(at(&sent.event));
            }
        }
    }

    /// Everything that was posted so far, as a model that answers filters.
    pub fn model(&self) -> Model {
        let mut model = Model::default();
        model.add(self.sent.iter().map(|s| s.event.clone()));
        model
    }

    /// Whether each interaction is acknowledged by now, in the order of posting.
    pub fn acknowledged(&self) -> Vec<bool> {
        self.sent.iter().map(|s| s.is_acknowledged).collect()
    }

    /// Users all of whose interactions, up to now, were acknowledged in `back_then`. For them an answer is exact.
    pub fn settled(&self, back_then: &[bool]) -> BTreeSet<String> {
        let user = |s: &Sent| s.event["user_id"].as_str().unwrap().to_owned();
        let was_there = |i: usize| back_then.get(i).copied().unwrap_or(false);
        let known: Vec<&Value> =
            self.sent.iter().enumerate().filter(|(i, _)| was_there(*i)).map(|(_, s)| &s.event).collect();
        let mut settled: BTreeSet<String> = self.sent.iter().map(user).collect();
        for (i, sent) in self.sent.iter().enumerate() {
            if !was_there(i) && !known.contains(&&sent.event) {
                settled.remove(&user(sent));
            }
        }
        settled
    }

    pub fn users(&self) -> BTreeSet<String> {
        self.sent.iter().map(|s| s.event["user_id"].as_str().unwrap().to_owned()).collect()
    }

    pub fn len(&self) -> usize {
        self.sent.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// An interaction that was posted before.
    pub fn again(&self, index: usize) -> Value {
        self.sent[index].event.clone()
    }

    /// L1: a ledger has every acknowledged row, and none that was not posted.
    pub fn compare(&self, ledger: &LedgerId, rows: &Rows) -> Result<(), String> {
        let nothing = BTreeMap::new();
        let expected = self.ledgers.get(ledger).unwrap_or(&nothing);
        for ((user, facet), times) in expected {
            let found = rows.get(&(user.clone(), facet.clone()));
            let (Some(first), Some(last)) =
                (times.acknowledged.iter().min(), times.acknowledged.iter().max())
            else {
                continue;
            };
            match found {
                Some((f, l)) if f <= first && l >= last => {}
                other => {
                    let name = facet.kind.as_str();
                    return Err(format!(
                        "L1: {ledger} lost that {user} {name} at {}..{}: it has {other:?}",
                        Time(*first),
                        Time(*last)
                    ));
                }
            }
        }
        for ((user, facet), (first, last)) in rows {
            let times = expected.get(&(user.clone(), facet.clone()));
            if !times.is_some_and(|t| t.sent.contains(first) && t.sent.contains(last)) {
                return Err(format!(
                    "L1: {ledger} has a row of {user} that was not posted: {facet:?} {first} {last}"
                ));
            }
        }
        Ok(())
    }
}
