//! Lists of sources.

use super::view::{EXPIRING, SourceView};
use crate::{
    app::Rekindle,
    checks::check_tag,
    page::{Listing, encode_cursor},
    problem::Problem,
};
use rekindle_domain::{id::SourceKind, source::Source};
use rekindle_store::catalog::sources::{ListCursor, SourceQuery};

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// `draft`, `active` or `stopped`.
    pub status: Option<String>,
    /// `available`, `expiring`, `expired` or `restoring`.
    pub state: Option<String>,
    /// Only what carries this tag.
    pub tag: Option<String>,
    /// Prefix of name or id.
    pub q: Option<String>,
    /// `updated_at` (the default) or `expires_at`.
    pub sort: Option<String>,
    /// Where the page begins.
    pub cursor: Option<ListCursor>,
    /// How many at most.
    pub limit: usize,
}

impl ListRequest {
    /// Whether a source is of the status and in the state asked for.
    pub(crate) fn shows(&self, view: &SourceView) -> bool {
        self.state.as_ref().is_none_or(|state| *state == view.interaction_data.state)
            && self.status.as_ref().is_none_or(|status| *status == view.status.as_str())
    }
}

impl Rekindle {
    /// A page of sources.
    ///
    /// # Errors
    /// 400 a sort of what carries a tag, 503.
    pub async fn list(
        &self,
        kind: SourceKind,
        request: &ListRequest,
    ) -> Result<Listing<SourceView>, Problem> {
        if let Some(tag) = &request.tag {
            return self.list_tagged(kind, tag, request).await;
        }
        let is_expiring = request.state.as_deref() == Some(EXPIRING);
        let query = SourceQuery {
            status: request.status.clone(),
            state: if is_expiring { Some("available".to_owned()) } else { request.state.clone() },
            prefix: request.q.clone().filter(|q| !q.is_empty()),
            by_expiry: request.sort.as_deref() == Some("expires_at"),
        };
        let catalog = &self.store.catalog;
        let (ids, next) = catalog.list_sources(kind, &query, request.cursor.clone(), request.limit).await?;
        let sources = catalog.sources(&ids).await?;
        let mut items: Vec<SourceView> = sources.into_iter().map(|(s, m)| self.view(s, &m)).collect();
        // The index lags by a moment, and knows nothing of `expiring`: what is shown is what is.
        items.retain(|view| request.shows(view));
        Ok(Listing { items, next: next.map(|c| encode_cursor(&c)) })
    }

    /// A page of what carries a tag, by id: unlike other lists from what is stored, so that nothing tagged a moment ago
    /// is missed. Of each page's sources those are shown that fit, so that one may be short or empty and yet have a next.
    async fn list_tagged(
        &self,
        kind: SourceKind,
        tag: &str,
        request: &ListRequest,
    ) -> Result<Listing<SourceView>, Problem> {
        check_tag(tag)?;
        if request.sort.is_some() {
            let detail = "what carries a tag is listed by id; leave sort out";
            return Err(Problem::bad_request("invalid_query", detail));
        }
        let after = request.cursor.as_ref().map(|c| &c.source);
        let mut ids = self.store.catalog.tagged(tag).await?;
        ids.retain(|id| id.kind() == kind && after.is_none_or(|after| id > after));
        let more = ids.len() > request.limit;
        ids.truncate(request.limit);
        let next = ids.last().filter(|_| more);
        let next = next.map(|last| encode_cursor(&ListCursor { source: last.clone(), sort: 0 }));
        let q = request.q.as_deref().unwrap_or_default().to_lowercase();
        let is_named =
            |s: &Source| s.name.to_lowercase().starts_with(&q) || s.id.id().to_lowercase().starts_with(&q);
        let sources = self.store.catalog.sources(&ids).await?;
        let sources = sources.into_iter().filter(|(s, _)| s.tags.contains(tag) && is_named(s));
        let mut items: Vec<SourceView> = sources.map(|(s, m)| self.view(s, &m)).collect();
        items.retain(|view| request.shows(view));
        Ok(Listing { items, next })
    }
}
