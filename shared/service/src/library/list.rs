//! Lists of sources.

use super::view::{ShownState, SourceView};
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
    words::tag_among,
};
use rekindle_store::catalog::{
    Page,
    sources::{ListCursor, SourceQuery},
};

/// The order of a list of sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// Last update first. The default.
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
    /// Only sources that carry this tag.
    pub tag: Option<String>,
    /// Only sources whose name or id begins with this, in any case.
    pub q: Option<String>,
    /// The order. A list of sources that carry a tag is by id and takes none.
    pub sort: Option<Sort>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// The most sources of the page.
    pub limit: usize,
}

impl ListRequest {
    /// Whether a source is of the status and in the state asked for.
    pub(crate) fn shows(&self, view: &SourceView) -> bool {
        self.state.is_none_or(|state| state == view.interaction_data.state)
            && self.status.is_none_or(|status| status == view.status)
    }
}

impl Rekindle {
    /// A page of sources.
    ///
    /// # Errors
    /// 400 a cursor that is not ours, or a sort together with a tag; 422 a text that cannot be a tag; 503.
    #[boxed]
    pub async fn list(
        &self,
        kind: SourceKind,
        request: &ListRequest,
    ) -> Result<Listing<SourceView>, Problem> {
        let cursor: Option<ListCursor> = request.cursor.as_deref().map(decode_cursor).transpose()?;
        if let Some(tag) = &request.tag {
            return self.list_tagged(kind, tag, cursor, request).await;
        }
        // Data on its way to the archive is stored as available.
        let stored = |state| if state == ShownState::Expiring { ShownState::Available } else { state };
        let query = SourceQuery {
            status: request.status.map(|status| status.as_str().to_owned()),
            state: request.state.map(|state| stored(state).as_str().to_owned()),
            prefix: request.q.clone().filter(|q| !q.is_empty()),
            by_expiry: request.sort == Some(Sort::ExpiresAt),
        };
        let catalog = &self.store.catalog;
        let Page { items: ids, next } = catalog.list_sources(kind, &query, cursor, request.limit).await?;
        let sources = catalog.sources(&ids).await?;
        let mut items: Vec<SourceView> = sources.into_iter().map(|(s, m)| self.view(s, &m)).collect();
        // The index lags by a moment, and does not know `expiring`. A source whose item does not fit is left out.
        items.retain(|view| request.shows(view));
        Ok(Listing::of(Page { items, next }))
    }

    /// A page of the sources that carry a tag, by id. Unlike other lists it is read with strong consistency, so that a
    /// source tagged a moment ago is not missed. Sources that do not fit are left out after they were read, so that a
    /// page may be short or empty and still have a `next`.
    async fn list_tagged(
        &self,
        kind: SourceKind,
        tag: &str,
        cursor: Option<ListCursor>,
        request: &ListRequest,
    ) -> Result<Listing<SourceView>, Problem> {
        let tag = &check_tag(tag)?;
        if request.sort.is_some() {
            let detail = "sources that carry a tag are listed by id; leave sort out";
            return Err(Problem::bad_request("invalid_query", detail));
        }
        let after = cursor.as_ref().map(|c| &c.source);
        let mut ids = self.store.catalog.tagged(tag).await?;
        ids.retain(|id| id.kind() == kind && after.is_none_or(|after| id > after));
        let more = ids.len() > request.limit;
        ids.truncate(request.limit);
        let place = |last: &SourceId| ListCursor { source: last.clone(), sort: 0 };
        let Page { items: ids, next } = Page::new(ids, more, place);
        let q = request.q.as_deref().unwrap_or_default().to_lowercase();
        let is_named =
            |s: &Source| s.name.to_lowercase().starts_with(&q) || s.id.id().to_lowercase().starts_with(&q);
        let sources = self.store.catalog.sources(&ids).await?;
        let sources = sources.into_iter().filter(|(s, _)| tag_among(&s.tags, tag).is_some() && is_named(s));
        let mut items: Vec<SourceView> = sources.map(|(s, m)| self.view(s, &m)).collect();
        items.retain(|view| request.shows(view));
        Ok(Listing::of(Page { items, next }))
    }
}
