//! Segments: saved filters.

use super::{Catalog, Index, Key, Page, Transaction, Versioned, Write, query::Order};
use crate::error::StoreError;
use rekindle_domain::{segment::Segment, time::Time};

/// The list that segments stand in.
const LIST: &str = "segment";

fn key(id: &str) -> Key {
    Key::new(format!("segment#{id}"), "segment")
}

impl Transaction {
    /// Writes a segment over the version that was read, which is `segment.version`.
    pub fn put_segment(&mut self, segment: &Segment) -> Result<(), StoreError> {
        let index = Index { list: Some((LIST, segment.updated_at)), ..Index::default() };
        let next = Segment { version: segment.version + 1, ..segment.clone() };
        self.push(Write::new(key(&segment.id), &next, segment.version, index)?);
        Ok(())
    }

    /// Deletes a segment if it still has the version that was read.
    pub fn delete_segment(&mut self, segment: &Segment) {
        self.delete(key(&segment.id), segment.version);
    }

    /// Lets the transaction fail unless the segment still has the version that was read.
    pub fn check_segment(&mut self, segment: &Segment) {
        self.check(key(&segment.id), segment.version);
    }
}

impl Catalog {
    /// A segment, if it exists.
    pub async fn segment(&self, id: &str) -> Result<Option<Segment>, StoreError> {
        Ok(self.get(&key(id)).await?.map(|v: Versioned<Segment>| v.value))
    }

    /// These segments, in any order; an id without a segment is left out. No id may be given twice.
    pub async fn segments(&self, ids: impl IntoIterator<Item = &String>) -> Result<Vec<Segment>, StoreError> {
        let keys: Vec<Key> = ids.into_iter().map(|id| key(id)).collect();
        self.get_many(&keys).await
    }

    /// Up to `limit` segments, each with the time of its last change, in an order by that time. A place is such an entry.
    /// Comes from an index: a change shows after a moment.
    pub async fn list_segments(
        &self,
        order: Order,
        after: Option<(String, Time)>,
        limit: usize,
    ) -> Result<Page<(String, Time), (String, Time)>, StoreError> {
        let after = after.map(|(id, at)| (key(&id), at));
        let (places, more) = self.list(LIST, order, after, limit).await?;
        let id = |(key, at): (Key, Time)| Some((key.pk.strip_prefix("segment#")?.to_owned(), at));
        Ok(Page::new(places.into_iter().filter_map(id).collect(), more, Clone::clone))
    }
}
