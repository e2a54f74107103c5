//! Reads: by key, by partition, by list, and by wake time.

use super::{Catalog, Key, WAKE_SHARDS};
use crate::{
    boxed,
    dynamo::{self, Attributes, n, number, pages, query_partition, s, text},
    error::{StoreError, failed},
};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use rekindle_domain::time::Time;
use serde::de::DeserializeOwned;

/// A document with its version: the next write of it is conditional on that version.
#[derive(Clone, PartialEq, Debug)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// Its version, from 1 on; 0 stands for a document that does not exist yet.
    pub version: u64,
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T, C> {
    /// The entries, in the order of the list.
    pub items: Vec<T>,
    /// The place where the next page begins: after the last entry of this one. `None`: the list ends here.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// A page of these entries. `place` tells the place of the last one, and is asked only if the list goes on.
    pub fn new(items: Vec<T>, has_more: bool, place: impl FnOnce(&T) -> C) -> Self {
        let next = items.last().filter(|_| has_more).map(place);
        Self { items, next }
    }

    /// The same page with each entry put another way.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U, C> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

/// The documents of a partition that a query asks for.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    /// Only those after this sort key, in the order of the query.
    pub(super) after: Option<&'a str>,
    /// At most so many.
    pub(super) limit: usize,
    /// In descending order of sort keys instead of ascending.
    pub(super) newest_first: bool,
}

impl Window<'_> {
    pub(super) const ALL: Self = Self { after: None, limit: usize::MAX, newest_first: false };
}

/// The order of a listing, and with it the index that is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Last update first.
    Newest,
    /// Soonest expiry first.
    Soonest,
    /// Soonest expiry first, up to and including this time.
    ExpiresBy(Time),
    /// The items that were updated at this time or later, the last update last: an item that is updated while the list is
    /// paged moves to its end, where a later page finds it.
    UpdatedFrom(Time),
}

impl Order {
    /// The attribute that the index is sorted by.
    pub(super) const fn sort_key(self) -> &'static str {
        match self {
            Self::Newest | Self::UpdatedFrom(_) => "updated_at",
            Self::Soonest | Self::ExpiresBy(_) => "expires_at",
        }
    }
}

/// An entry of a list: the key of an item, and the time that the list is ordered by.
pub(super) type Entry = (Key, Time);

impl Catalog {
    /// A document, if it exists.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<Option<Versioned<T>>, StoreError> {
        self.get_item(key).await?.map(|item| document(&item)).transpose()
    }

    /// An item, if it exists.
    #[boxed]
    pub(super) async fn get_item(&self, key: &Key) -> Result<Option<Attributes>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        Ok(request.consistent_read(true).send().await.map_err(failed("GetItem"))?.item)
    }

    /// The items with these keys, in any order; a key without an item is left out.
    pub(super) async fn get_items(&self, keys: &[Key]) -> Result<Vec<Attributes>, StoreError> {
        dynamo::get_all(&self.client, &self.table, keys.iter().map(Key::attributes).collect()).await
    }

    /// The documents with these keys, in any order; a key without a document is left out.
    pub(super) async fn get_many<T: DeserializeOwned>(&self, keys: &[Key]) -> Result<Vec<T>, StoreError> {
        let items = self.get_items(keys).await?;
        items.iter().map(|item| Ok(document(item)?.value)).collect()
    }

    /// The documents of a partition whose sort key begins with `prefix`, with their sort keys, and whether there are
    /// more.
    pub(super) async fn query<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        window: Window<'_>,
    ) -> Result<(Vec<(String, Versioned<T>)>, bool), StoreError> {
        let query = query_partition(&self.client, &self.table, pk)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":sk", s(prefix))
            .scan_index_forward(!window.newest_first)
            .set_exclusive_start_key(window.after.map(|sk| Key::new(pk, sk).attributes()));
        let mut pages = pages(query);
        let mut out = Vec::new();
        while let Some(items) = pages.next_of(window.limit - out.len()).await? {
            for item in &items {
                out.push((text(item, "sk").unwrap_or_default().to_owned(), document(item)?));
            }
            if out.len() >= window.limit {
                break;
            }
        }
        Ok((out, pages.has_more()))
    }

    /// Up to `limit` entries of a list after the entry `after`, and whether there are more. From an index: a change
    /// shows after a moment.
    pub(super) async fn list(
        &self,
        list: &str,
        order: Order,
        after: Option<Entry>,
        limit: usize,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let mut pages = pages(self.list_query(list, order, after));
        let mut out = Vec::new();
        while let Some(items) = pages.next_of(limit - out.len()).await? {
            out.extend(items.iter().filter_map(|item| entry(item, order)));
            if out.len() >= limit {
                break;
            }
        }
        Ok((out, pages.has_more()))
    }

    /// The query of a list, from the entry after `after` on.
    pub(super) fn list_query(&self, list: &str, order: Order, after: Option<Entry>) -> QueryFluentBuilder {
        let from = after.map(|(key, at)| {
            let mut from = key.attributes();
            from.insert("list".to_owned(), s(list));
            from.insert(order.sort_key().to_owned(), n(at.0));
            from
        });
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#list = :list")
            .expression_attribute_names("#list", "list")
            .expression_attribute_values(":list", s(list))
            .set_exclusive_start_key(from);
        match order {
            Order::Newest => query.index_name("updated").scan_index_forward(false),
            Order::Soonest => query.index_name("expires"),
            Order::UpdatedFrom(since) => query
                .index_name("updated")
                .key_condition_expression("#list = :list AND updated_at >= :since")
                .expression_attribute_values(":since", n(since.0)),
            Order::ExpiresBy(until) => query
                .index_name("expires")
                .key_condition_expression("#list = :list AND expires_at <= :until")
                .expression_attribute_values(":until", n(until.0)),
        }
    }

    /// The keys of up to `limit` items whose wake time is `now` or earlier, the earliest first.
    pub async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        let mut out: Vec<(u64, Key)> = Vec::new();
        for shard in 0..WAKE_SHARDS {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("wake")
                .key_condition_expression("wake = :shard AND wake_at <= :now")
                .expression_attribute_values(":shard", s(shard.to_string()))
                .expression_attribute_values(":now", n(now.0));
            for item in pages(query).next_of(limit).await?.unwrap_or_default() {
                if let (Some(pk), Some(sk)) = (text(&item, "pk"), text(&item, "sk")) {
                    out.push((number(&item, "wake_at").unwrap_or(0), Key::new(pk, sk)));
                }
            }
        }
        out.sort_by_key(|(at, _)| *at);
        out.truncate(limit);
        Ok(out.into_iter().map(|(_, key)| key).collect())
    }
}

/// The entry of a list that an item of its index stands for.
pub(super) fn entry(item: &Attributes, order: Order) -> Option<Entry> {
    let at = Time(number(item, order.sort_key())?);
    Some((Key::new(text(item, "pk")?, text(item, "sk")?), at))
}

/// The document of an item.
///
/// # Errors
/// [`StoreError::Damaged`] where it does not decode.
pub(super) fn document<T: DeserializeOwned>(item: &Attributes) -> Result<Versioned<T>, StoreError> {
    let what =
        || format!("catalog item {} {}", text(item, "pk").unwrap_or("?"), text(item, "sk").unwrap_or("?"));
    let value = serde_json::from_str(text(item, "doc").unwrap_or_default());
    let value = value.map_err(|e| StoreError::damaged(what(), e))?;
    let version = number(item, "v").ok_or_else(|| StoreError::damaged(what(), "it has no version"))?;
    Ok(Versioned { value, version })
}
