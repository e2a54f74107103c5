//! Tags: what carries them, now.

use crate::{
    Problem, Rekindle,
    sources::{ListRequest, Listing, SourceView, decode_cursor, encode_cursor},
};
use rekindle_domain::{
    id::{MAX_ID, SourceKind, clip, is_valid_id},
    source::Source,
};
use rekindle_store::catalog::sources::ListCursor;
use serde::Serialize;

/// A tag as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TagView {
    /// The tag.
    pub tag: String,
    /// How many campaigns and Canvases carry it.
    pub sources: u64,
}

/// Whether something may be a tag.
///
/// # Errors
/// 422.
pub(crate) fn check_tag(tag: &str) -> Result<(), Problem> {
    if is_valid_id(tag) {
        return Ok(());
    }
    let detail =
        format!("a tag is 1 to {MAX_ID} characters of A-Z a-z 0-9 _ . : -; `{}` cannot be one", clip(tag));
    Err(Problem::unprocessable("invalid_tag", detail))
}

impl Rekindle {
    /// A page of the tags that something carries, by tag.
    ///
    /// # Errors
    /// 400 a cursor that is not ours.
    pub async fn list_tags(&self, cursor: Option<&str>, limit: usize) -> Result<Listing<TagView>, Problem> {
        let after: Option<String> = cursor.map(decode_cursor).transpose()?;
        let (tags, more) = self.store.catalog.tags(after.as_deref(), limit).await?;
        let next = tags.last().filter(|_| more).map(|last| encode_cursor(&last.tag));
        let items = tags.into_iter().map(|t| TagView { tag: t.tag, sources: t.sources }).collect();
        Ok(Listing { items, next })
    }

    /// A page of what carries a tag, by id: unlike other lists from what is stored, so that nothing tagged a moment ago
    /// is missed. Of each page's sources those are shown that fit, so that one may be short or empty and yet have a next.
    pub(crate) async fn list_tagged(
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
