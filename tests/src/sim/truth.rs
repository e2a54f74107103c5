//! The posted interactions and whether each was acknowledged: the plain model with which every ledger is compared.

use crate::fixture::model::Model;
use rekindle_domain::{
    day::Counts,
    facet::{Channel, Facet, Kind},
    id::LedgerId,
    people::People,
    tally::counted_as,
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

/// A merge of user ids that was asked for.
#[derive(Clone, Debug)]
struct Merge {
    from: String,
    into: String,
    /// The step at which it was answered, and the number that it was told; `None`: it may be stored or not.
    told: Option<(u64, u64)>,
}

/// Everything that was ever posted.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    sent: Vec<Sent>,
    ledgers: BTreeMap<LedgerId, BTreeMap<(String, Facet), Times>>,
    /// By the numbers of their processes; one that was refused is taken out.
    merges: BTreeMap<usize, Merge>,
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

    /// Notes that two ids are about to be merged: from now on storage may say so. Returns the number of the attempt.
    pub fn merge(&mut self, from: &str, into: &str) -> usize {
        let attempt = self.merges.len();
        let merge = Merge { from: from.to_owned(), into: into.to_owned(), told: None };
        self.merges.insert(attempt, merge);
        attempt
    }

    /// How many merges were asked for.
    pub fn merges(&self) -> usize {
        self.merges.len()
    }

    /// Notes that a merge was answered with its number at a step; `None`: it was refused.
    pub fn merged(&mut self, attempt: usize, told: Option<(u64, u64)>) {
        match (self.merges.get_mut(&attempt), told) {
            (Some(merge), Some(_)) => merge.told = told,
            // A pair that names one id is no merge, and the attempt is counted all the same.
            (Some(merge), None) => merge.into.clone_from(&merge.from),
            (None, _) => {}
        }
    }

    /// Everything that was posted so far, as a model that answers filters, with the merges that were answered by a step.
    pub fn model(&self, by_step: u64) -> Model {
        let mut model = Model::default();
        model.add(self.sent.iter().map(|s| s.event.clone()));
        let told = self.merges.values().filter_map(|merge| Some((merge.told?, merge)));
        let mut told: Vec<_> = told.filter(|((step, _), _)| *step <= by_step).collect();
        told.sort_by_key(|((_, number), _)| *number);
        // A merge that two processes asked for has one number.
        told.dedup_by_key(|((_, number), _)| *number);
        told.into_iter().for_each(|(_, merge)| model.merge(&merge.from, &merge.into));
        model
    }

    /// The ids that may belong to other persons than merges that were answered by a step say: other merges came to them, may
    /// come, or may have come.
    fn unsure(&self, by_step: u64) -> BTreeSet<&str> {
        let is_sure = |merge: &Merge| merge.told.is_some_and(|(step, _)| step <= by_step);
        let unsure = self.merges.values().filter(|merge| !is_sure(merge) && merge.from != merge.into);
        let mut ids: BTreeSet<&str> = unsure.flat_map(|merge| [&*merge.from, &*merge.into]).collect();
        loop {
            let before = ids.len();
            let touches = |merge: &&Merge| ids.contains(&*merge.from) || ids.contains(&*merge.into);
            let more: Vec<&Merge> = self.merges.values().filter(touches).collect();
            ids.extend(more.into_iter().flat_map(|merge| [&*merge.from, &*merge.into]));
            if ids.len() == before {
                return ids;
            }
        }
    }

    /// Whether each interaction is acknowledged by now, in the order of posting.
    pub fn acknowledged(&self) -> Vec<bool> {
        self.sent.iter().map(|s| s.is_acknowledged).collect()
    }

    /// Persons all of whose interactions, up to now, were acknowledged in `back_then`, and whose merges were all answered by
    /// `by_step`. For them an answer is exact.
    pub fn settled(&self, back_then: &[bool], by_step: u64, model: &Model) -> BTreeSet<String> {
        let user = |s: &Sent| model.person(s.event["user_id"].as_str().unwrap());
        let was_there = |i: usize| back_then.get(i).copied().unwrap_or(false);
        let known: Vec<&Value> =
            self.sent.iter().enumerate().filter(|(i, _)| was_there(*i)).map(|(_, s)| &s.event).collect();
        let mut settled: BTreeSet<String> = self.sent.iter().map(user).collect();
        for (i, sent) in self.sent.iter().enumerate() {
            if !was_there(i) && !known.contains(&&sent.event) {
                settled.remove(&user(sent));
            }
        }
        for id in self.unsure(by_step) {
            settled.remove(&model.person(id));
        }
        settled
    }

    /// How many interactions of each kind were posted, each as often as it was.
    pub fn posted(&self) -> Counts {
        let mut counts = Counts::new();
        for sent in &self.sent {
            let [_, (_, (_, facet))] = rows_of(&sent.event);
            *counts.entry(counted_as(&facet).to_owned()).or_default() += 1;
        }
        counts
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

    /// The times at which users did things by a ledger, each under the id of its person.
    fn expected(&self, ledger: &LedgerId, people: &People) -> BTreeMap<(String, Facet), Times> {
        let mut expected: BTreeMap<(String, Facet), Times> = BTreeMap::new();
        for ((user, facet), times) in self.ledgers.get(ledger).into_iter().flatten() {
            let all = expected.entry((people.person(user).to_owned(), facet.clone())).or_default();
            all.acknowledged.extend(&times.acknowledged);
            all.sent.extend(&times.sent);
        }
        expected
    }

    /// L11: the merges that were answered are stored.
    pub fn compare_merges(&self, people: &People) -> Result<(), String> {
        for merge in self.merges.values() {
            let Some((_, number)) = merge.told else { continue };
            let stored = people.merges().get(number as usize - 1);
            let is_stored = stored.is_some_and(|s| *s.from == *merge.from);
            if !is_stored || people.person(&merge.into) != people.person(&merge.from) {
                return Err(format!("L11: {merge:?} was answered, and number {number} is {stored:?}"));
            }
        }
        Ok(())
    }

    /// L11: a run that followed merges up to `folded` has every row under an id of the persons as of that merge, or as of a later
    /// one of those that are settled.
    pub fn explains(
        &self,
        ledger: &LedgerId,
        rows: &Rows,
        folded: u64,
        settled: &People,
    ) -> Result<(), String> {
        if folded > settled.last() {
            return Err(format!("L11: a run of {ledger} followed {folded} merges too early"));
        }
        if settled.last() == 0 {
            return Ok(());
        }
        let each: Vec<_> =
            (folded..=settled.last()).map(|n| self.expected(ledger, &settled.until(n))).collect();
        for (key, (first, last)) in rows {
            let posted = |t: &Times| t.sent.contains(first) && t.sent.contains(last);
            if !each.iter().any(|expected| expected.get(key).is_some_and(posted)) {
                return Err(format!(
                    "L11: a run of {ledger} that followed {folded} merges has a row of {}, who did not do that: {:?} {first} {last}",
                    key.0, key.1
                ));
            }
        }
        Ok(())
    }

    /// L1: a ledger has every acknowledged row, and none that was not posted.
    pub fn compare(&self, ledger: &LedgerId, rows: &Rows, people: &People) -> Result<(), String> {
        let expected = self.expected(ledger, people);
        for ((user, facet), times) in &expected {
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
