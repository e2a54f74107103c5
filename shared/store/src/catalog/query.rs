//! Reads: of one document, of a partition, of a list, and of what is due.

use super::{Catalog, Key, WAKE_SHARDS};
use crate::{
    dynamo::{Attributes, n, number, s, text},
    error::{StoreError, failed},
};
use rekindle_domain::time::Time;
use serde::de::DeserializeOwned;

/// A document with the version its next write is conditional on.
#[derive(Clone, PartialEq, Debug)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// Its version.
    pub version: u64,
}

impl Catalog {
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<Option<Versioned<T>>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let answer = request.consistent_read(true).send().await.map_err(failed("GetItem"))?;
        answer.item.map(|item| document(&item)).transpose()
    }

    /// The documents of a partition whose sort key begins with `prefix`, after `after`: up to `limit` with their sort
    /// keys, and whether there are more.
    pub(super) async fn query<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        page: Page<'_>,
    ) -> Result<(Vec<(String, Versioned<T>)>, bool), StoreError> {
        let mut out = Vec::new();
        let mut from = page.after.map(|sk| Key::new(pk, sk).attributes());
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                .expression_attribute_values(":pk", s(pk))
                .expression_attribute_values(":sk", s(prefix))
                .consistent_read(true)
                .scan_index_forward(!page.newest_first)
                .limit((page.limit - out.len()).min(10_000) as i32)
                .set_exclusive_start_key(from);
            let answer = request.send().await.map_err(failed("Query"))?;
            for item in answer.items() {
                out.push((text(item, "sk").unwrap_or_default().to_owned(), document(item)?));
            }
            from = answer.last_evaluated_key;
            if from.is_none() || out.len() >= page.limit {
                return Ok((out, from.is_some()));
            }
        }
    }

    /// The keys of a page of what stands in a list of the `updated` index, with their times, newest first, and whether there
    /// are more; `after` is the last one of the page before. A change shows after a moment.
    pub(super) async fn newest(
        &self,
        list: &str,
        after: Option<(Key, Time)>,
        limit: usize,
    ) -> Result<(Vec<(Key, Time)>, bool), StoreError> {
        let from = after.map(|(key, at)| {
            let mut from = key.attributes();
            from.insert("list".to_owned(), s(list));
            from.insert("updated_at".to_owned(), n(at.0));
            from
        });
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("updated")
            .key_condition_expression("#list = :list")
            .expression_attribute_names("#list", "list")
            .expression_attribute_values(":list", s(list))
            .scan_index_forward(false)
            .limit(limit as i32)
            .set_exclusive_start_key(from);
        let answer = request.send().await.map_err(failed("Query"))?;
        let place = |item: &Attributes| {
            let at = i64::try_from(number(item, "updated_at")?).ok()?;
            Some((Key::new(text(item, "pk")?, text(item, "sk")?), Time(at)))
        };
        Ok((answer.items().iter().filter_map(place).collect(), answer.last_evaluated_key.is_some()))
    }

    /// What the sweeper must look at by `now`: up to `limit` keys, longest due first.
    pub async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        let mut out: Vec<(u64, Key)> = Vec::new();
        for shard in 0..WAKE_SHARDS {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("wake")
                .key_condition_expression("wake = :shard AND wake_at <= :now")
                .expression_attribute_values(":shard", s(shard.to_string()))
                .expression_attribute_values(":now", n(now.0))
                .limit(limit as i32);
            let answer = request.send().await.map_err(failed("Query"))?;
            for item in answer.items() {
                if let (Some(pk), Some(sk)) = (text(item, "pk"), text(item, "sk")) {
                    out.push((number(item, "wake_at").unwrap_or(0), Key::new(pk, sk)));
                }
            }
        }
        out.sort_by_key(|(at, _)| *at);
        out.truncate(limit);
        Ok(out.into_iter().map(|(_, key)| key).collect())
    }
}

/// Which page of a partition.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) after: Option<&'a str>,
    pub(super) limit: usize,
    pub(super) newest_first: bool,
}

impl Page<'_> {
    pub(super) const ALL: Self = Self { after: None, limit: usize::MAX, newest_first: false };
}

pub(super) fn document<T: DeserializeOwned>(item: &Attributes) -> Result<Versioned<T>, StoreError> {
    let what =
        || format!("catalog item {} {}", text(item, "pk").unwrap_or("?"), text(item, "sk").unwrap_or("?"));
    let value = serde_json::from_str(text(item, "doc").unwrap_or_default());
    let value = value.map_err(|e| StoreError::damaged(what(), e))?;
    let version = number(item, "v").ok_or_else(|| StoreError::damaged(what(), "it has no version"))?;
    Ok(Versioned { value, version })
}
