//! The tags that sources carry.

use crate::{
    app::Rekindle,
    boxed,
    page::{Listing, decode_cursor},
    problem::Problem,
};
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

impl Rekindle {
    /// A page of the tags that at least one source carries, by tag.
    ///
    /// # Errors
    /// 400 a cursor that is not ours.
    #[boxed]
    pub async fn list_tags(&self, cursor: Option<&str>, limit: usize) -> Result<Listing<TagView>, Problem> {
        let after: Option<String> = cursor.map(decode_cursor).transpose()?;
        let page = self.store.catalog.tags(after.as_deref(), limit).await?;
        Ok(Listing::of(page.map(|t| TagView { tag: t.tag, sources: t.sources })))
    }
}
