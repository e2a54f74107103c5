//! Restore requests, their items, and the idempotency keys of requests.

use super::{Catalog, Index, Key, Page, Transaction, Versioned, Window, Write, query::Order};
use crate::error::StoreError;
use rekindle_domain::{
    id::{RequestId, SourceId},
    restore::{Item, Request},
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The record of a restore request that came with an idempotency key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Idempotency {
    /// A digest of the body that the request came with.
    pub body: String,
    /// The restore request that was made.
    pub request: RequestId,
    /// When it was made.
    pub created_at: Time,
}

/// The list that requests stand in.
const LIST: &str = "restore";

fn partition(request: RequestId) -> String {
    format!("restore#{request}")
}

fn request_key(request: RequestId) -> Key {
    Key::new(partition(request), "request")
}

fn item_key(request: RequestId, source: &SourceId) -> Key {
    Key::new(partition(request), format!("i#{source}"))
}

fn idempotency_key(key: &str) -> Key {
    Key::new(format!("idem#{key}"), "idem")
}

impl Transaction {
    /// Writes a request over the version that was read, which is `request.version`.
    pub fn put_request(&mut self, request: &Request) -> Result<(), StoreError> {
        let index =
            Index { wake_at: request.look_at, list: Some((LIST, request.created_at)), ..Index::default() };
        let next = Request { version: request.version + 1, ..request.clone() };
        self.push(Write::new(request_key(request.id), &next, request.version, index)?);
        Ok(())
    }

    /// Writes an item of a request over the version that was read.
    pub fn put_item(&mut self, request: RequestId, item: &Item, version: u64) -> Result<(), StoreError> {
        self.push(Write::new(item_key(request, &item.source), item, version, Index::default())?);
        Ok(())
    }

    /// Writes the record of an idempotency key over the version that was read. DynamoDB deletes it after `until`.
    pub fn put_idempotency(
        &mut self,
        key: &str,
        record: &Idempotency,
        version: u64,
        until: Time,
    ) -> Result<(), StoreError> {
        let mut write = Write::new(idempotency_key(key), record, version, Index::default())?;
        write.expires_after = Some(until);
        self.push(write);
        Ok(())
    }
}

impl Catalog {
    /// A request, if it exists.
    pub async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        Ok(self.get(&request_key(id)).await?.map(|v: Versioned<Request>| v.value))
    }

    /// These requests, in the order of `ids`; an id without a request is left out. No id may be given twice.
    pub async fn requests(&self, ids: &[RequestId]) -> Result<Vec<Request>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(|id| request_key(*id)).collect();
        let found: Vec<Request> = self.get_many(&keys).await?;
        let mut found: HashMap<_, _> = found.into_iter().map(|request| (request.id, request)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// Writes the items of a request that does not exist yet, each on the condition that it is not there: a write that arrives
    /// late, after it was sent again, must not put back an item that has ended by then. After an error some may be written.
    pub async fn add_items(&self, request: RequestId, items: &[Item]) -> Result<(), StoreError> {
        for some in items.chunks(Transaction::MAX) {
            let mut transaction = Transaction::new();
            some.iter().try_for_each(|item| transaction.put_item(request, item, 0))?;
            match self.commit(transaction).await {
                // The id is new, so that only this call writes these items: it did, and its answer was lost.
                Err(StoreError::Conflict) => {
                    let keys: Vec<Key> = some.iter().map(|item| item_key(request, &item.source)).collect();
                    if self.get_items(&keys).await?.len() < keys.len() {
                        return Err(StoreError::Conflict);
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// An item of a request, if it exists.
    pub async fn item(
        &self,
        request: RequestId,
        source: &SourceId,
    ) -> Result<Option<Versioned<Item>>, StoreError> {
        self.get(&item_key(request, source)).await
    }

    /// Up to `limit` items of a request after the item of `after`, by source.
    pub async fn items(
        &self,
        request: RequestId,
        after: Option<&SourceId>,
        limit: usize,
    ) -> Result<Page<Versioned<Item>, SourceId>, StoreError> {
        let after = after.map(|source| format!("i#{source}"));
        let window = Window { after: after.as_deref(), limit, newest_first: false };
        let (items, more) = self.query::<Item>(&partition(request), "i#", window).await?;
        Ok(Page::new(items, more, |(_, last)| last.value.source.clone()).map(|(_, item)| item))
    }

    /// The record of an idempotency key, if there is one. It may outlive its time by some days.
    pub async fn idempotency(&self, key: &str) -> Result<Option<Versioned<Idempotency>>, StoreError> {
        self.get(&idempotency_key(key)).await
    }

    /// The ids of up to `limit` requests, newest first. A place is the id of a request with the time when it was made.
    /// Comes from an index: a change shows after a moment.
    pub async fn list_requests(
        &self,
        after: Option<(RequestId, Time)>,
        limit: usize,
    ) -> Result<Page<RequestId, (RequestId, Time)>, StoreError> {
        let after = after.map(|(id, at)| (request_key(id), at));
        let (places, more) = self.list(LIST, Order::Newest, after, limit).await?;
        let id = |(key, at): (Key, Time)| Some((key.pk.strip_prefix("restore#")?.parse().ok()?, at));
        Ok(Page::new(places.into_iter().filter_map(id).collect(), more, |last| *last).map(|(id, _)| id))
    }
}
