//! A source's users by channel, variant and step.

use crate::{
    app::Rekindle,
    boxed,
    ledger::{Batch, LedgerView, Merged, Taken},
    problem::{Problem, expired_data},
    retry::read_again,
};
use rekindle_domain::{
    facet::{Facet, Kind},
    id::{LedgerId, SourceId},
    merge::Merge,
    people::People,
    rows::Dictionary,
    time::Time,
};
use rekindle_store::StoreError;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The value that stands for all beyond the first [`MAX_COUNTERS`].
pub const OTHERS: &str = "…";

/// The most values that are counted apart, over all properties and kinds: a sender may give each user a variant of its own.
const MAX_COUNTERS: usize = 1_000;

/// A property by which users are told apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Property {
    /// The channel of the message.
    Channel,
    /// The campaign's variant or the Canvas's variation.
    Variant,
    /// The Canvas's step.
    Step,
}

impl Property {
    fn of(self, facet: &Facet) -> Option<&str> {
        match self {
            Self::Channel => facet.channel.map(|channel| channel.as_str()),
            Self::Variant => facet.variant.as_deref(),
            Self::Step => facet.step.as_deref(),
        }
    }
}

/// A source's users by channel, variant and step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Breakdown {
    /// For each property and each value of it, how many users have which kind of interaction with it.
    pub users: BTreeMap<(Property, String), BTreeMap<Kind, u64>>,
    /// Whether the time ended before all users were read: the counts are of those that were.
    pub is_partial: bool,
}

impl Rekindle {
    /// Counts a source's users by channel, variant and step. Reads all of its data once, as an export does, for as long as
    /// an answer may take.
    ///
    /// # Errors
    /// 404; 409 expired data; 503.
    #[boxed]
    pub async fn breakdown(&self, id: &SourceId) -> Result<Breakdown, Problem> {
        self.known_source(id).await?;
        let until = self.now().plus(self.settings.audience_millis);
        read_again!(async {
            let people = self.people().await?;
            let view = LedgerView::open(&self.store, &LedgerId::Source(id.clone()), None).await?;
            let view = view.ok_or_else(|| expired_data(BTreeSet::from([id.clone()])))?;
            Ok(self.break_down(&view, &people, until).await?)
        })
    }

    async fn break_down(
        &self,
        view: &LedgerView,
        people: &People,
        until: Time,
    ) -> Result<Breakdown, StoreError> {
        let streams = view.streams(&(0..=u64::MAX), people)?;
        let mut facets: Vec<Vec<u32>> = vec![Vec::new(); streams.len()];
        let mut dictionary = Dictionary::default();
        let mut counters = Counters::default();
        let mut merged = Merged::new(streams);
        loop {
            let take = |i: usize, _: &Merge, batch: Batch| {
                let batch = batch.rows()?;
                facets[i] = dictionary.map(&batch.facets);
                Ok(Taken::Feed(batch))
            };
            _ = merged.fill(take).await?;
            counters.learn(dictionary.facets());
            while let Some(group) = merged.next_group() {
                counters.user += 1;
                for (stream, _, user) in group.parts() {
                    user.rows.iter().for_each(|row| counters.count(facets[stream][row.facet as usize]));
                }
            }
            if merged.has_ended() {
                return Ok(counters.finish(false));
            }
            if self.now() >= until {
                return Ok(counters.finish(true));
            }
        }
    }
}

/// One number for each property, value and kind, and the user that was counted last.
#[derive(Default)]
struct Counters {
    user: u64,
    /// Of each facet of the dictionary its counters.
    of_facet: Vec<Vec<usize>>,
    places: HashMap<(Property, String, Kind), usize>,
    /// How many users, and the number of the last one.
    counts: Vec<(u64, u64)>,
}

impl Counters {
    fn learn(&mut self, facets: &[Facet]) {
        for facet in &facets[self.of_facet.len()..] {
            let mut own = Vec::new();
            for property in [Property::Channel, Property::Variant, Property::Step] {
                let Some(value) = property.of(facet) else { continue };
                let mut place = (property, value.to_owned(), facet.kind);
                if self.places.len() >= MAX_COUNTERS && !self.places.contains_key(&place) {
                    OTHERS.clone_into(&mut place.1);
                }
                let next = self.places.len();
                own.push(*self.places.entry(place).or_insert(next));
            }
            self.of_facet.push(own);
            self.counts.resize(self.places.len(), (0, 0));
        }
    }

    fn count(&mut self, facet: u32) {
        for place in &self.of_facet[facet as usize] {
            let (users, last) = &mut self.counts[*place];
            *users += u64::from(*last != self.user);
            *last = self.user;
        }
    }

    fn finish(self, is_partial: bool) -> Breakdown {
        let mut users: BTreeMap<(Property, String), BTreeMap<Kind, u64>> = BTreeMap::new();
        for ((property, value, kind), place) in self.places {
            users.entry((property, value)).or_default().insert(kind, self.counts[place].0);
        }
        Breakdown { users, is_partial }
    }
}
