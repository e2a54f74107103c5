//! Who refers to a source's data: what would lose an answer if it expired, whether or not it holds it.

use crate::Rekindle;
use rekindle_domain::{filter::Filter, id::SourceId, source::Source};
use rekindle_store::{
    StoreError,
    catalog::listing::{Order, Place},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// How many sources are looked at together.
const PAGE: usize = 500;

/// Something whose filter asks a source's data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Referrer {
    /// A campaign or Canvas.
    pub by: SourceId,
    /// How it is called in a mail: whether it sends.
    pub status: &'static str,
}

impl fmt::Display for Referrer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.by, self.status)
    }
}

impl Rekindle {
    /// Who refers to each of these sources, those that nobody refers to left out. Reads every source there is, some 100
    /// bytes to a few kilobytes each: for mails, once a recipient and day, and not for requests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn referrers(
        &self,
        sources: &BTreeSet<SourceId>,
    ) -> Result<BTreeMap<SourceId, BTreeSet<Referrer>>, StoreError> {
        let mut out: BTreeMap<SourceId, BTreeSet<Referrer>> = BTreeMap::new();
        let mut place = Place::default();
        loop {
            let entries = self.store.catalog.list_both(Order::Newest, &place, PAGE).await?;
            entries.iter().for_each(|entry| place.pass(entry));
            let is_last = entries.len() < PAGE;
            let ids: Vec<SourceId> = entries.into_iter().map(|entry| entry.source).collect();
            for source in self.store.catalog.sources_alone(&ids).await? {
                for named in named_by(&source).intersection(sources) {
                    let referrer = Referrer { by: source.source.clone(), status: source.status.as_str() };
                    out.entry(named.clone()).or_default().insert(referrer);
                }
            }
            if is_last {
                return Ok(out);
            }
        }
    }
}

/// The sources that a source's audience asks, but itself: by name. (Through segments, and by tag: to be added here.)
fn named_by(source: &Source) -> BTreeSet<SourceId> {
    let mut named = source.audience.as_ref().map(Filter::sources).unwrap_or_default();
    named.remove(&source.source);
    named
}
