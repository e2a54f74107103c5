//! The names that the builder shows: of the sources in the filter, of those that are looked for, of tags and segments.

use super::{draft::Draft, kinds::SEGMENT, kinds::Way};
use rekindle_domain::id::{SourceId, SourceKind};
use rekindle_service::{
    Problem, Rekindle,
    library::{ListRequest, SourceView},
};
use std::collections::{BTreeMap, BTreeSet};

/// How many sources of a kind a search finds.
const FOUND: usize = 8;
/// How many searches one page answers.
const SEARCHES: usize = 3;
/// How many tags and segments the lists offer.
const OFFERED: usize = 200;

#[derive(Default)]
pub(super) struct Known {
    pub(super) sources: BTreeMap<SourceId, SourceView>,
    /// Sources by the words that they were looked for with.
    pub(super) found: BTreeMap<String, Vec<SourceView>>,
    pub(super) tags: Vec<String>,
    /// Ids and names.
    pub(super) segments: Vec<(String, String)>,
}

impl Known {
    /// Reads the names for a draft.
    pub(super) async fn of(app: &Rekindle, draft: &Draft) -> Result<Self, Problem> {
        let (mut ids, mut searches) = (BTreeSet::new(), BTreeSet::new());
        let (mut has_tags, mut has_segments) = (false, false);
        draft.leaves(&mut |leaf| {
            has_segments |= leaf.kind.key == SEGMENT;
            has_tags |= leaf.way() == Some(Way::Tag);
            if leaf.way() == Some(Way::Source) {
                match leaf.text("source").parse::<SourceId>() {
                    Ok(id) => _ = ids.insert(id),
                    Err(_) => searches.extend(Some(leaf.text("q").to_owned()).filter(|q| !q.is_empty())),
                }
            }
        });
        let ids: Vec<SourceId> = ids.into_iter().collect();
        let mut known = Self::default();
        for view in app.named_sources(&ids).await? {
            known.sources.insert(view.source.clone(), view);
        }
        for words in searches.into_iter().take(SEARCHES) {
            let found = search(app, &words).await?;
            known.found.insert(words, found);
        }
        if has_tags {
            let tags = app.list_tags(None, OFFERED).await?;
            known.tags = tags.items.into_iter().map(|tag| tag.tag).collect();
        }
        if has_segments {
            let segments = app.list_segments(None, OFFERED).await?.items.into_iter();
            let id = |segment: &str| segment.trim_start_matches("segment/").to_owned();
            known.segments = segments.map(|segment| (id(&segment.segment), segment.name)).collect();
        }
        Ok(known)
    }
}

/// The sources in whose name or id these words stand, or the one of that very id.
async fn search(app: &Rekindle, words: &str) -> Result<Vec<SourceView>, Problem> {
    if let Ok(id) = words.parse::<SourceId>() {
        return app.named_sources(&[id]).await;
    }
    let request = ListRequest { q: Some(words.to_owned()), limit: FOUND, ..ListRequest::default() };
    Ok(app.list(&[SourceKind::Campaign, SourceKind::Canvas], &request).await?.items)
}
