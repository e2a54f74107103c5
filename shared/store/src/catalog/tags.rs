//! Tags: the pairs of tag and source.
//!
//! Each pair is an item, and all stand in one partition. Reads are strongly consistent, so that they find a source
//! that was tagged a moment ago. The sort key is `TAG#SOURCE`, with the tag in the form that tags are compared by, so
//! that tags can be listed; the attribute `tag` has the tag as its source spells it. The characters of a tag that stand
//! before or at `$` are written as `$` and a digit, in their order: so `#` ends the tag, and shorter tags come first.
//!
//! Earlier code took ids for tags, and wrote a tag as it was spelled, without the attribute. Such a pair differs only
//! where it has capital letters. It is found by the same spelling, and leaves with the next edit of its source.

use super::{Catalog, Key, Page, Transaction};
use crate::{
    dynamo::{Attributes, pages, query_partition, s, text},
    error::StoreError,
};
use rekindle_domain::{id::SourceId, words::folded};
use std::collections::BTreeSet;

const PARTITION: &str = "tags";

/// The characters that would end a tag in a sort key, or stand before its end, in their order.
const ESCAPED: [char; 5] = [' ', '!', '"', '#', '$'];

/// The tag's part of a sort key.
fn sorted(tag: &str) -> String {
    let mut out = String::with_capacity(tag.len());
    for c in folded(tag).chars() {
        match ESCAPED.iter().position(|escaped| *escaped == c) {
            Some(n) => out.push_str(&format!("${n}")),
            None => out.push(c),
        }
    }
    out
}

fn key(sorted: &str, source: &SourceId) -> Key {
    Key::new(PARTITION, format!("{sorted}#{source}"))
}

/// The tag's part of the sort key that earlier code wrote, where that is another one.
fn earlier(tag: &str) -> Option<&str> {
    let is_id = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
    (is_id && tag.bytes().any(|b| b.is_ascii_uppercase())).then_some(tag)
}

/// The tag's part of the sort key, the tag as it is spelled, and the source.
fn pair(item: &Attributes) -> Option<(&str, &str, SourceId)> {
    let (sorted, source) = text(item, "sk")?.split_once('#')?;
    Some((sorted, text(item, "tag").unwrap_or(sorted), source.parse().ok()?))
}

/// A tag that at least one source carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tagged {
    /// The tag, as the first of its sources spells it.
    pub tag: String,
    /// The number of sources that carry it.
    pub sources: u64,
    /// Its part of the sort key.
    sorted: String,
}

impl Transaction {
    /// Moves a source from the tags that it carried to the tags that it carries now. The same transaction must write
    /// the source.
    pub fn move_tags(&mut self, source: &SourceId, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let sorted_all =
            |tags: &BTreeSet<String>| tags.iter().map(|tag| sorted(tag)).collect::<BTreeSet<_>>();
        let gone = &sorted_all(before) - &sorted_all(after);
        let earlier_ones = before.iter().filter_map(|tag| earlier(tag));
        for gone in gone.iter().map(String::as_str).chain(earlier_ones) {
            self.set_presence(key(gone, source), None);
        }
        // A tag with capital letters may have a pair of the earlier form only.
        for tag in after.iter().filter(|tag| !before.contains(*tag) || earlier(tag).is_some()) {
            let content = Attributes::from([("tag".to_owned(), s(tag))]);
            self.set_presence(key(&sorted(tag), source), Some(content));
        }
    }
}

impl Catalog {
    /// All sources that carry the tag, by kind and id.
    pub async fn tagged(&self, tag: &str) -> Result<Vec<SourceId>, StoreError> {
        let mut out = BTreeSet::new();
        for sorted in [Some(sorted(tag).as_str()), earlier(tag)].into_iter().flatten() {
            let mut pages = pages(self.pairs_of(sorted));
            while let Some(items) = pages.next().await? {
                out.extend(items.iter().filter_map(pair).map(|(.., source)| source));
            }
        }
        Ok(out.into_iter().collect())
    }

    /// The tag as the first of its sources spells it; `None` if no source carries it.
    pub async fn spelling(&self, tag: &str) -> Result<Option<String>, StoreError> {
        let first = pages(self.pairs_of(&sorted(tag))).next_of(1).await?.unwrap_or_default();
        Ok(first.first().and_then(pair).map(|(_, spelled, _)| spelled.to_owned()))
    }

    fn pairs_of(&self, sorted: &str) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        query_partition(&self.client, &self.table, PARTITION)
            .key_condition_expression("pk = :pk AND begins_with(sk, :tag)")
            .expression_attribute_values(":tag", s(format!("{sorted}#")))
    }

    /// Up to `limit` tags after the place `after`, in alphabetical order. Reads every pair of these tags to count their
    /// sources.
    pub async fn tags(&self, after: Option<&str>, limit: usize) -> Result<Page<Tagged, String>, StoreError> {
        // `$` is the character after `#`, and a longer tag that begins with this one has more behind it: all pairs of
        // the tag are passed, and no others.
        let from = after.map(|sorted| Key::new(PARTITION, format!("{sorted}$")).attributes());
        let query = query_partition(&self.client, &self.table, PARTITION).set_exclusive_start_key(from);
        let mut pages = pages(query);
        let mut out: Vec<Tagged> = Vec::new();
        while let Some(items) = pages.next().await? {
            for (sorted, tag, _) in items.iter().filter_map(pair) {
                let is_full = out.len() == limit;
                match out.last_mut().filter(|last| last.sorted == sorted) {
                    Some(last) => last.sources += 1,
                    None if is_full => return Ok(Page::new(out, true, |last| last.sorted.clone())),
                    None => out.push(Tagged { tag: tag.to_owned(), sources: 1, sorted: sorted.to_owned() }),
                }
            }
        }
        Ok(Page { items: out, next: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of sort keys is that of the tags, whatever characters they have, and each tag's pairs stand together.
    #[test]
    fn any_tag_sorts_and_groups_right() {
        let tags = [
            "a",
            "a ",
            "a !",
            "a b",
            "a!",
            "a\"",
            "a#",
            "a#campaign/x",
            "a$",
            "a%",
            "a-b",
            "a.b",
            "ab",
            "été",
            "新春",
        ];
        let source: SourceId = "campaign/x".parse().unwrap();
        let keys: Vec<String> = tags.iter().map(|tag| key(&sorted(tag), &source).sk).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        for (i, tag) in tags.iter().enumerate() {
            let prefix = format!("{}#", sorted(tag));
            let found: Vec<usize> = (0..keys.len()).filter(|k| keys[*k].starts_with(&prefix)).collect();
            assert_eq!(found, [i], "{tag}");
            // The place after a tag is before every other tag that follows.
            let after = format!("{}$", sorted(tag));
            assert!(keys.iter().enumerate().all(|(k, key)| (*key > after) == (k > i)), "{tag}");
        }
        // Tags that were ids are where they were.
        for tag in ["promo", "2026:spring", "a-b.c_d"] {
            assert_eq!((sorted(tag).as_str(), earlier(tag)), (tag, None));
        }
        assert_eq!((sorted("Sale").as_str(), earlier("Sale")), ("sale", Some("Sale")));
        assert_eq!(earlier("Black Friday"), None);
    }
}
