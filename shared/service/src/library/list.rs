//! Lists of sources.

use super::{
    paging::Paging,
    view::{ShownState, SourceView},
};
use crate::{
    app::Rekindle,
    boxed,
    checks::check_tag,
    page::{Listing, decode_cursor},
    problem::Problem,
};
use rekindle_domain::{
    id::{SourceId, SourceKind},
    source::{Source, Status},
    time::Time,
    words::tag_among,
};
use rekindle_store::{
    StoreError,
    catalog::{
        Page,
        listing::{Order, Place},
        sources::{ListCursor, SourceQuery, words},
    },
};

use std::collections::{BTreeMap, BTreeSet};

/// The most words of a query.
const MAX_WORDS: usize = 16;

/// The most sources of a kind that may carry a tag whose list is sorted: all of them are read for each page.
const MAX_SORTED: usize = 5_000;

/// The order of a list of sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// Last update first. The default of a list without a tag.
    UpdatedAt,
    /// Soonest expiry first. Sources whose data does not expire are left out.
    ExpiresAt,
}

impl Sort {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpdatedAt => "updated_at",
            Self::ExpiresAt => "expires_at",
        }
    }
}

/// A question for a page of sources.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Only sources of this status.
    pub status: Option<Status>,
    /// Only sources whose data is in this state.
    pub state: Option<ShownState>,
    /// Only sources that an interaction registered, and nobody has edited since.
    pub is_first_sight: bool,
    /// Only deleted sources, instead of the others.
    pub is_deleted: bool,
    /// Only sources that carry this tag.
    pub tag: Option<String>,
    /// Only sources in whose name or id each word of this text stands, in any case.
    pub q: Option<String>,
    /// The order; by default the last update first or, of the sources that carry a tag, the id.
    pub sort: Option<Sort>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// The most sources of the page.
    pub limit: usize,
}

impl ListRequest {
    /// Whether a source is of the status and in the state asked for, and stands in a list in this order.
    fn shows(&self, view: &SourceView) -> bool {
        self.state.is_none_or(|state| state == view.interaction_data.state)
            && self.status.is_none_or(|status| status == view.status)
            && (!self.is_first_sight || view.first_sight)
            && self.is_deleted == view.deleted_at.is_some()
            && (self.sort != Some(Sort::ExpiresAt) || view.interaction_data.expires_at.is_some())
    }

    fn query(&self) -> Result<SourceQuery, Problem> {
        // Data on its way to the archive is stored as available.
        let stored = |state| if state == ShownState::Expiring { ShownState::Available } else { state };
        let words = words(self.q.as_deref().unwrap_or_default());
        if words.len() > MAX_WORDS {
            let detail = format!("q has at most {MAX_WORDS} words");
            return Err(Problem::bad_request("invalid_query", detail));
        }
        Ok(SourceQuery {
            status: self.status.map(|status| status.as_str().to_owned()),
            state: self.state.map(|state| stored(state).as_str().to_owned()),
            words,
            is_first_sight: self.is_first_sight,
            is_deleted: self.is_deleted,
        })
    }
}

impl Rekindle {
    /// A page of sources of some kinds, in one order.
    ///
    /// Without a tag the index is read until the page is full: some 300 bytes for each source that is passed, whether or
    /// not it fits. With a tag and no sort the tag's ids are read, and the items of a page. With a tag and a sort the items
    /// of all sources of the tag are read for each page.
    ///
    /// # Errors
    /// 400 a cursor that is not ours, or too many words; 422 a text that cannot be a tag, or a tag that too many sources
    /// carry for a sort; 503.
    #[boxed]
    pub async fn list(
        &self,
        kinds: &[SourceKind],
        request: &ListRequest,
    ) -> Result<Listing<SourceView>, Problem> {
        let query = request.query()?;
        let tag = request.tag.as_deref().map(check_tag).transpose()?;
        // A deleted source has its tags, and is not found by them.
        let found_by = tag.as_ref().filter(|_| !request.is_deleted);
        let Listing { items: ids, next } = match (found_by, request.sort) {
            (Some(tag), None) => {
                let after = request.cursor.as_deref().map(decode_cursor).transpose()?;
                Listing::of(self.tagged_by_id(kinds, tag, after, request.limit).await?)
            }
            (tag, sort) => {
                let cursor = request.cursor.as_deref().map(decode_cursor).transpose()?;
                let tagged = match tag {
                    Some(tag) => Some(self.all_tagged(kinds, tag).await?),
                    None => None,
                };
                let order = if sort == Some(Sort::ExpiresAt) { Order::Soonest } else { Order::Newest };
                let page = self.in_order(kinds, &query, order, cursor, tagged.as_deref(), request.limit);
                Listing::of(page.await?)
            }
        };
        let sources = self.store.catalog.sources_or_deleted(&ids).await?;
        // The index lags by a moment, and does not know `expiring`. A source whose item does not fit is left out.
        let fits = |source: &Source| {
            query.names(source) && tag.as_ref().is_none_or(|tag| tag_among(&source.tags, tag).is_some())
        };
        let sources = sources.into_iter().filter(|(source, _)| fits(source));
        let mut items: Vec<SourceView> = sources.map(|(s, m)| self.view(s, &m)).collect();
        items.retain(|view| request.shows(view));
        Ok(Listing { items, next })
    }

    /// The names of sources. One that nobody registered is left out, and a deleted one.
    ///
    /// # Errors
    /// 503.
    #[boxed]
    pub async fn names_of(
        &self,
        sources: &BTreeSet<SourceId>,
    ) -> Result<BTreeMap<SourceId, String>, Problem> {
        let sources: Vec<SourceId> = sources.iter().cloned().collect();
        let found = self.store.catalog.sources_alone(&sources).await?;
        Ok(found.into_iter().map(|source| (source.id, source.name)).collect())
    }

    /// These sources as lists show them, in no particular order. Those that nobody registered, and deleted ones, are left out.
    ///
    /// # Errors
    /// 503.
    #[boxed]
    pub async fn named_sources(&self, ids: &[SourceId]) -> Result<Vec<SourceView>, Problem> {
        let found = self.store.catalog.sources(ids).await?;
        Ok(found.into_iter().map(|(source, manifest)| self.view(source, &manifest)).collect())
    }

    /// A page of the ids of the sources that carry a tag, by id. Unlike other lists it is read with strong consistency, so
    /// that a source tagged a moment ago is not missed. Sources that do not fit are left out after they were read, so that
    /// a page may be short or empty and still have a `next`.
    async fn tagged_by_id(
        &self,
        kinds: &[SourceKind],
        tag: &str,
        after: Option<SourceId>,
        limit: usize,
    ) -> Result<Page<SourceId, SourceId>, Problem> {
        let mut ids = self.store.catalog.tagged(tag).await?;
        ids.retain(|id| kinds.contains(&id.kind()) && after.as_ref().is_none_or(|after| id > after));
        let more = ids.len() > limit;
        ids.truncate(limit);
        Ok(Page::new(ids, more, SourceId::clone))
    }

    /// All sources of some kinds that carry a tag.
    ///
    /// # Errors
    /// 422 a text that cannot be a tag, or more than [`MAX_SORTED`].
    async fn all_tagged(&self, kinds: &[SourceKind], tag: &str) -> Result<Vec<Source>, Problem> {
        let mut ids = self.store.catalog.tagged(tag).await?;
        ids.retain(|id| kinds.contains(&id.kind()));
        if ids.len() > MAX_SORTED {
            let detail = format!(
                "{} sources carry the tag, and at most {MAX_SORTED} are sorted; leave sort out, and they are listed by id",
                ids.len()
            );
            return Err(Problem::unprocessable("tag_too_wide", detail));
        }
        Ok(self.store.catalog.sources_alone(&ids).await?)
    }

    /// A page of the ids of sources in an order; of those in `tagged`, if that is given.
    async fn in_order(
        &self,
        kinds: &[SourceKind],
        query: &SourceQuery,
        order: Order,
        cursor: Option<Paging<Place>>,
        tagged: Option<&[Source]>,
        limit: usize,
    ) -> Result<Page<SourceId, Paging<Place>>, StoreError> {
        let mut paging = cursor.unwrap_or_else(|| Paging::begin(self.now()));
        let mut ids: Vec<SourceId> = Vec::new();
        loop {
            let (by, after) = paging.place(order);
            let after = after.unwrap_or_default();
            let left = limit - ids.len();
            let page = match tagged {
                Some(sources) => self.sorted(sources, query, by, &after, left),
                None => self.store.catalog.list_kinds(kinds, query, by, &after, left).await?,
            };
            let newest = page.items.first().filter(|_| by == Order::Newest).map(|entry| Time(entry.sort));
            // One page names no source twice.
            for entry in page.items {
                if !ids.contains(&entry.source) {
                    ids.push(entry.source);
                }
            }
            match paging.next(page.next, newest) {
                Some(next) if ids.len() < limit => paging = next,
                next => return Ok(Page { items: ids, next }),
            }
        }
    }

    /// A page of these sources, as the index would list them.
    fn sorted(
        &self,
        sources: &[Source],
        query: &SourceQuery,
        order: Order,
        after: &Place,
        limit: usize,
    ) -> Page<ListCursor, Place> {
        let has = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let entry = |source: &Source| {
            let at = match order {
                Order::Soonest | Order::ExpiresBy(_) => source.expires_at(&self.settings.retention)?,
                Order::Newest => source.updated_at,
                Order::UpdatedFrom(since) => Some(source.updated_at).filter(|at| *at >= since)?,
            };
            let fits = has(&query.status, source.status.as_str())
                && has(&query.state, source.state.as_str())
                && (!query.is_first_sight || source.is_first_sight)
                && query.names(source);
            fits.then(|| ListCursor { source: source.id.clone(), sort: at.0 })
        };
        let mut entries: Vec<ListCursor> = sources.iter().filter_map(entry).collect();
        let key = |entry: &ListCursor| (entry.sort, entry.source.clone());
        entries.sort_by_key(key);
        if order == Order::Newest {
            entries.reverse();
        }
        let is_after = |entry: &ListCursor| match after.of(entry.source.kind()) {
            None => true,
            Some(after) if order == Order::Newest => key(entry) < key(after),
            Some(after) => key(entry) > key(after),
        };
        entries.retain(is_after);
        after.page(entries, limit, false)
    }
}
