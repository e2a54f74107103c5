//! Referrers of a source's data: the sources and segments whose filters could not be answered if it expired, whether or
//! not they hold it.

use super::filters::{Segments, filters_of};
use crate::app::Rekindle;
use rekindle_domain::{
    filter::Filter,
    id::SourceId,
    segment::{Closure, Filters, Referrer},
    source::Source,
    time::Time,
    words::tag_among,
};
use rekindle_store::{
    StoreError,
    catalog::listing::{Order, Place},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// All of a list, in an order in which those that change meanwhile move to the end, and so are not missed.
const ALL: Order = Order::UpdatedFrom(Time(0));

/// The number of sources or segments that are read together.
const PAGE: usize = 500;

/// A source or a segment whose filter asks another source's data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Reference {
    /// The campaign, Canvas or segment whose filter it is.
    pub by: Referrer,
    /// The status of a campaign or Canvas; `None` for a segment.
    pub status: Option<&'static str>,
    /// The segments through which the filter names the source; empty if it names it directly.
    pub via: Vec<String>,
    /// The tag by which the filter asks the source, if it does not name it. A tag holds no data.
    pub tag: Option<String>,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map(str::to_owned);
        let via = (!self.via.is_empty()).then(|| format!("through {}", self.via.join(" and ")));
        let tag = self.tag.as_ref().map(|tag| format!("by tag {tag}"));
        let notes: Vec<String> = [status, via, tag].into_iter().flatten().collect();
        match notes.is_empty() {
            true => self.by.fmt(f),
            false => write!(f, "{} ({})", self.by, notes.join(", ")),
        }
    }
}

/// The references to each of some sources.
type References = BTreeMap<SourceId, BTreeSet<Reference>>;

impl Rekindle {
    /// The references to each of these sources, deleted or not; a source without any is left out. Deleted sources refer to
    /// nothing. Reads every source and segment, some 100
    /// bytes to a few kilobytes each: it serves mails, once a day for each recipient, and is too slow for requests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn referrers(&self, sources: &BTreeSet<SourceId>) -> Result<References, StoreError> {
        let asked: Vec<SourceId> = sources.iter().cloned().collect();
        let asked = self.store.catalog.sources_or_deleted(&asked).await?;
        let asked: Vec<Source> = asked.into_iter().map(|(source, _)| source).collect();
        let segments = self.all_segments().await?;
        let mut out = Asked { of: &asked, filters: filters_of(&segments), found: References::new() };
        for segment in segments.values() {
            out.look(&Referrer::Segment(segment.id.clone()), None, &segment.filter);
        }
        let mut place = Place::default();
        loop {
            let entries = self.store.catalog.list_both(ALL, &place, PAGE).await?;
            entries.iter().for_each(|entry| place.pass(entry));
            let is_last = entries.len() < PAGE;
            let ids: Vec<SourceId> = entries.into_iter().map(|entry| entry.source).collect();
            for source in self.store.catalog.sources_alone(&ids).await? {
                if let Some(audience) = &source.audience {
                    out.look(&Referrer::Source(source.id.clone()), Some(source.status.as_str()), audience);
                }
            }
            if is_last {
                return Ok(out.found);
            }
        }
    }

    async fn all_segments(&self) -> Result<Segments, StoreError> {
        let mut out = Segments::new();
        let mut after = None;
        loop {
            let page = self.store.catalog.list_segments(ALL, after, PAGE).await?;
            let segments = self.store.catalog.segments(page.items.iter().map(|(id, _)| id)).await?;
            out.extend(segments.into_iter().map(|segment| (segment.id.clone(), segment)));
            after = page.next;
            if after.is_none() {
                return Ok(out);
            }
        }
    }
}

/// A search for the references to some sources.
struct Asked<'a> {
    of: &'a [Source],
    filters: Filters,
    found: References,
}

impl Asked<'_> {
    /// Notes the sources that a filter asks: by name, through segments, or by tag.
    fn look(&mut self, by: &Referrer, status: Option<&'static str>, filter: &Filter) {
        let closure = Closure::of(filter, &self.filters);
        let below = closure.segments.iter().filter_map(|id| self.filters.get(id));
        let tags: BTreeSet<String> = std::iter::once(filter).chain(below).flat_map(Filter::tags).collect();
        // A source that asks its own data is no referrer: it keeps its data while it is active, as every source does.
        for source in self.of.iter().filter(|s| *by != Referrer::Source(s.id.clone())) {
            let referrer = Reference { by: by.clone(), status, via: Vec::new(), tag: None };
            let named =
                closure.targets.get(&source.id).map(|via| Reference { via: via.clone(), ..referrer.clone() });
            let tagged = source.tags.iter().find(|tag| tag_among(&tags, tag).is_some());
            let referrer = named.or_else(|| Some(Reference { tag: Some(tagged?.clone()), ..referrer }));
            if let Some(referrer) = referrer {
                self.found.entry(source.id.clone()).or_default().insert(referrer);
            }
        }
    }
}
