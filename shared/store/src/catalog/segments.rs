//! Segments.

use super::{Catalog, Index, Key, Transaction, Versioned, Write, query::Order};
use crate::error::StoreError;
use rekindle_domain::{segment::Segment, time::Time};

/// The list that segments stand in.
const LIST: &str = "segment";

fn key(id: &str) -> Key {
    Key::new(format!("segment#{id}"), "segment")
}

impl Transaction {
    /// Writes a segment over what was read; `segment.version` is the version that was read.
    pub fn put_segment(&mut self, segment: &Segment) -> Result<(), StoreError> {
        let index = Index { list: Some((LIST, segment.updated_at)), ..Index::default() };
        let next = Segment { version: segment.version + 1, ..segment.clone() };
        self.push(Write::new(key(&segment.id), &next, segment.version, index)?);
        Ok(())
    }

    /// Deletes a segment, if it is as it was read.
    pub fn delete_segment(&mut self, segment: &Segment) {
        self.delete(key(&segment.id), segment.version);
    }

    /// Nothing happens unless the segment is as it was read.
    pub fn check_segment(&mut self, segment: &Segment) {
        self.check(key(&segment.id), segment.version);
    }
}

impl Catalog {
    /// A segment.
    pub async fn segment(&self, id: &str) -> Result<Option<Segment>, StoreError> {
        Ok(self.get(&key(id)).await?.map(|v: Versioned<Segment>| v.value))
    }

    /// Those of these segments that exist.
    pub async fn segments(&self, ids: impl IntoIterator<Item = &String>) -> Result<Vec<Segment>, StoreError> {
        let keys: Vec<Key> = ids.into_iter().map(|id| key(id)).collect();
        self.get_many(&keys).await
    }

    /// The ids of a page of segments with their times, last changed first; `after` is the last one of the page before. From
    /// an index: a change shows after a moment.
    pub async fn list_segments(
        &self,
        after: Option<(String, Time)>,
        limit: usize,
    ) -> Result<(Vec<(String, Time)>, bool), StoreError> {
        let after = after.map(|(id, at)| (key(&id), at));
        let (places, more) = self.list(LIST, Order::Newest, after, limit).await?;
        let id = |(key, at): (Key, Time)| Some((key.pk.strip_prefix("segment#")?.to_owned(), at));
        Ok((places.into_iter().filter_map(id).collect(), more))
    }
}
