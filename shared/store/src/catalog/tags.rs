//! Tags: the pairs of tag and source.
//!
//! Each pair is an item, and all stand in one partition. Reads are strongly consistent, so that they find a source
//! that was tagged a moment ago. Items are sorted by tag, so that tags can be listed. No tag contains `#`.

use super::{Catalog, Key, Page, Transaction};
use crate::{
    dynamo::{Attributes, pages, query_partition, s, text},
    error::StoreError,
};
use rekindle_domain::id::SourceId;
use std::collections::BTreeSet;

const PARTITION: &str = "tags";

fn key(tag: &str, source: &SourceId) -> Key {
    Key::new(PARTITION, format!("{tag}#{source}"))
}

fn pair(item: &Attributes) -> Option<(&str, SourceId)> {
    let (tag, source) = text(item, "sk")?.split_once('#')?;
    Some((tag, source.parse().ok()?))
}

/// A tag that at least one source carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: String,
    /// The number of sources that carry it.
    pub sources: u64,
}

impl Transaction {
    /// Moves a source from the tags that it carried to the tags that it carries now. The same transaction must write
    /// the source.
    pub fn move_tags(&mut self, source: &SourceId, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        for tag in before.symmetric_difference(after) {
            self.set_presence(key(tag, source), after.contains(tag));
        }
    }
}

impl Catalog {
    /// All sources that carry the tag, by kind and id.
    pub async fn tagged(&self, tag: &str) -> Result<Vec<SourceId>, StoreError> {
        let query = query_partition(&self.client, &self.table, PARTITION)
            .key_condition_expression("pk = :pk AND begins_with(sk, :tag)")
            .expression_attribute_values(":tag", s(format!("{tag}#")));
        let mut pages = pages(query);
        let mut out = Vec::new();
        while let Some(items) = pages.next().await? {
            out.extend(items.iter().filter_map(pair).map(|(_, source)| source));
        }
        Ok(out)
    }

    /// Up to `limit` tags after the tag `after`, in alphabetical order. Reads every pair of these tags to count their
    /// sources.
    pub async fn tags(&self, after: Option<&str>, limit: usize) -> Result<Page<Tagged, String>, StoreError> {
        // `$` is the character after `#`, and stands before every character of a tag: all sources of the tag are
        // passed.
        let from = after.map(|tag| Key::new(PARTITION, format!("{tag}$")).attributes());
        let query = query_partition(&self.client, &self.table, PARTITION).set_exclusive_start_key(from);
        let mut pages = pages(query);
        let mut out: Vec<Tagged> = Vec::new();
        while let Some(items) = pages.next().await? {
            for (tag, _) in items.iter().filter_map(pair) {
                let is_full = out.len() == limit;
                match out.last_mut().filter(|last| last.tag == tag) {
                    Some(last) => last.sources += 1,
                    None if is_full => return Ok(Page::new(out, true, |last| last.tag.clone())),
                    None => out.push(Tagged { tag: tag.to_owned(), sources: 1 }),
                }
            }
        }
        Ok(Page { items: out, next: None })
    }
}
