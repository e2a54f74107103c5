//! Tags: which sources carry which.
//!
//! An item a pair, all in one partition: read strongly consistently, so that a source tagged a moment ago is not missed,
//! and in the order of tags, so that they can be listed. `#` is in no tag.

use super::{Catalog, Key, Transaction};
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

/// A tag that something carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: String,
    /// How many sources carry it.
    pub sources: u64,
}

impl Transaction {
    /// Moves a source from the tags that it carried to those it carries now; goes with the source's own write.
    pub fn move_tags(&mut self, source: &SourceId, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        for tag in before.symmetric_difference(after) {
            self.set_presence(key(tag, source), after.contains(tag));
        }
    }
}

impl Catalog {
    /// The sources that carry the tag now, by kind and id.
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

    /// Up to `limit` of the tags after `after` that something carries, in their order, and whether there are more.
    pub async fn tags(&self, after: Option<&str>, limit: usize) -> Result<(Vec<Tagged>, bool), StoreError> {
        // `$` is the character after `#`, and stands before every character of a tag: all sources of the tag are passed.
        let from = after.map(|tag| Key::new(PARTITION, format!("{tag}$")).attributes());
        let query = query_partition(&self.client, &self.table, PARTITION).set_exclusive_start_key(from);
        let mut pages = pages(query);
        let mut out: Vec<Tagged> = Vec::new();
        while let Some(items) = pages.next().await? {
            for (tag, _) in items.iter().filter_map(pair) {
                let is_full = out.len() == limit;
                match out.last_mut().filter(|last| last.tag == tag) {
                    Some(last) => last.sources += 1,
                    None if is_full => return Ok((out, true)),
                    None => out.push(Tagged { tag: tag.to_owned(), sources: 1 }),
                }
            }
        }
        Ok((out, false))
    }
}
