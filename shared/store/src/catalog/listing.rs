//! Sources of both kinds in one order, and sources without their manifests.

pub use super::query::Order;

use super::{
    Catalog, Key, Page,
    sources::{ListCursor, SourceQuery, source_key},
};
use crate::error::StoreError;
use rekindle_domain::{
    id::{SourceId, SourceKind},
    source::Source,
};
use serde::{Deserialize, Serialize};

/// The place where the next page of a listing of both kinds begins: after one source of each kind.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign: Option<ListCursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canvas: Option<ListCursor>,
}

impl Place {
    /// Moves the place behind an entry that the listing showed after it.
    pub fn pass(&mut self, entry: &ListCursor) {
        match entry.source.kind() {
            SourceKind::Campaign => self.campaign = Some(entry.clone()),
            SourceKind::Canvas => self.canvas = Some(entry.clone()),
        }
    }
}

impl Place {
    /// The source of a kind after which the listing goes on.
    pub const fn of(&self, kind: SourceKind) -> Option<&ListCursor> {
        match kind {
            SourceKind::Campaign => self.campaign.as_ref(),
            SourceKind::Canvas => self.canvas.as_ref(),
        }
    }

    /// A page of at most `limit` of these entries, which stand after this place; `has_more` if others follow them.
    pub fn page(&self, entries: Vec<ListCursor>, limit: usize, has_more: bool) -> Page<ListCursor, Self> {
        let mut items = entries;
        let has_more = has_more || items.len() > limit;
        items.truncate(limit);
        let mut next = self.clone();
        items.iter().for_each(|entry| next.pass(entry));
        Page { items, next: Some(next).filter(|_| has_more) }
    }
}

/// Puts entries of several kinds, each in an order, into that order.
fn merge(entries: &mut [ListCursor], order: Order) {
    match order {
        Order::Newest => entries.sort_by_key(|entry| std::cmp::Reverse(entry.sort)),
        Order::Soonest | Order::ExpiresBy(_) | Order::UpdatedFrom(_) => {
            entries.sort_by_key(|entry| entry.sort)
        }
    }
}

impl Catalog {
    /// Up to `limit` sources of some kinds after a place, in one order. The page after a full one may be empty. Reads as
    /// [`Catalog::list_sources`] does, once for each kind.
    pub async fn list_kinds(
        &self,
        kinds: &[SourceKind],
        query: &SourceQuery,
        order: Order,
        place: &Place,
        limit: usize,
    ) -> Result<Page<ListCursor, Place>, StoreError> {
        let (mut entries, mut has_more) = (Vec::new(), false);
        for kind in kinds {
            let page = self.list_sources(*kind, query, order, place.of(*kind).cloned(), limit).await?;
            entries.extend(page.items);
            has_more |= page.next.is_some();
        }
        merge(&mut entries, order);
        Ok(place.page(entries, limit, has_more))
    }

    /// Up to `limit` Campaigns and Canvases after a place, in one order; fewer only at the end. Comes from an index:
    /// a change shows after a moment. A source that changes between two pages may show twice or, where it moves to
    /// the front, not at all.
    pub async fn list_both(
        &self,
        order: Order,
        place: &Place,
        limit: usize,
    ) -> Result<Vec<ListCursor>, StoreError> {
        let mut out =
            self.entries(order, SourceKind::Campaign, place.of(SourceKind::Campaign), limit).await?;
        out.extend(self.entries(order, SourceKind::Canvas, place.of(SourceKind::Canvas), limit).await?);
        merge(&mut out, order);
        out.truncate(limit);
        Ok(out)
    }

    async fn entries(
        &self,
        order: Order,
        kind: SourceKind,
        after: Option<&ListCursor>,
        limit: usize,
    ) -> Result<Vec<ListCursor>, StoreError> {
        let after = after.map(ListCursor::entry);
        let (entries, _) = self.list(kind.as_str(), order, after, limit).await?;
        Ok(entries.into_iter().filter_map(ListCursor::of).collect())
    }

    /// These sources without their manifests, in any order; an id without a source, or with a deleted one, is left out. No
    /// id may be given twice.
    pub async fn sources_alone(&self, sources: &[SourceId]) -> Result<Vec<Source>, StoreError> {
        let keys: Vec<Key> = sources.iter().map(source_key).collect();
        let mut found: Vec<Source> = self.get_many(&keys).await?;
        found.retain(|source| source.deletion.is_none());
        Ok(found)
    }
}
