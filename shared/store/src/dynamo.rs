//! DynamoDB: helpers over attribute values, the loops over batches, and the pages of a query.

use crate::{
    boxed,
    error::{StoreError, failed},
};
use aws_sdk_dynamodb::{
    Client,
    operation::query::builders::QueryFluentBuilder,
    primitives::Blob,
    types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::HashMap, str::FromStr, time::Duration};

pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// How many batch calls one job has under way at once.
const CONCURRENT_BATCHES: usize = 4;
/// How many items one `BatchWriteItem` may write, by DynamoDB.
const WRITE_BATCH: usize = 25;
/// How many keys one `BatchGetItem` may name, by DynamoDB.
const GET_BATCH: usize = 100;
/// How many items one page of a query may be limited to, so that the number fits into the request.
const MAX_PAGE: usize = 10_000;
/// A batch that makes no progress for this many rounds in succession fails: the table is throttled. The SDK backs off
/// within each round.
const MAX_ROUNDS: usize = 12;

pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn b(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

pub(crate) fn text<'a>(item: &'a Attributes, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(crate) fn number<N: FromStr>(item: &Attributes, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(crate) fn binary<'a>(item: &'a Attributes, name: &str) -> Option<&'a [u8]> {
    item.get(name)?.as_b().ok().map(AsRef::as_ref)
}

/// The item's bytes, moved out.
pub(crate) fn take_binary(item: &mut Attributes, name: &str) -> Option<Vec<u8>> {
    match item.remove(name)? {
        AttributeValue::B(blob) => Some(blob.into_inner()),
        _ => None,
    }
}

pub(crate) fn put(item: Attributes) -> Result<WriteRequest, StoreError> {
    let put = PutRequest::builder().set_item(Some(item)).build();
    Ok(WriteRequest::builder().put_request(put.map_err(unbuildable)?).build())
}

pub(crate) fn delete(key: Attributes) -> Result<WriteRequest, StoreError> {
    let delete = DeleteRequest::builder().set_key(Some(key)).build();
    Ok(WriteRequest::builder().delete_request(delete.map_err(unbuildable)?).build())
}

/// The error for a request that the SDK does not build: a bug of this crate.
pub(crate) fn unbuildable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Refused { call: "building a request", reason: error.to_string() }
}

/// Writes all requests, in batches, until none is left unprocessed.
pub(crate) async fn write_all(
    client: &Client,
    table: &str,
    requests: Vec<WriteRequest>,
) -> Result<(), StoreError> {
    let batches: Vec<Vec<WriteRequest>> = requests.chunks(WRITE_BATCH).map(<[_]>::to_vec).collect();
    stream::iter(batches)
        .map(Ok)
        .try_for_each_concurrent(CONCURRENT_BATCHES, |batch| write_batch(client, table, batch))
        .await
}

#[boxed]
async fn write_batch(client: &Client, table: &str, mut batch: Vec<WriteRequest>) -> Result<(), StoreError> {
    let mut round = 0;
    while round < MAX_ROUNDS {
        back_off(round).await;
        let before = batch.len();
        let answer = client
            .batch_write_item()
            .request_items(table, batch)
            .send()
            .await
            .map_err(failed("BatchWriteItem"))?;
        batch = answer.unprocessed_items.unwrap_or_default().remove(table).unwrap_or_default();
        if batch.is_empty() {
            return Ok(());
        }
        // Only rounds without progress count.
        round = if batch.len() < before { 1 } else { round + 1 };
    }
    Err(throttled("BatchWriteItem"))
}

/// Reads the items with these keys, strongly consistent, in any order. A key without an item is left out; no key may be
/// named twice.
pub(crate) async fn get_all(
    client: &Client,
    table: &str,
    keys: Vec<Attributes>,
) -> Result<Vec<Attributes>, StoreError> {
    let mut out = Vec::with_capacity(keys.len());
    for batch in keys.chunks(GET_BATCH) {
        out.extend(get_batch(client, table, batch.to_vec()).await?);
    }
    Ok(out)
}

#[boxed]
async fn get_batch(
    client: &Client,
    table: &str,
    mut keys: Vec<Attributes>,
) -> Result<Vec<Attributes>, StoreError> {
    let mut out = Vec::with_capacity(keys.len());
    let mut round = 0;
    while round < MAX_ROUNDS {
        back_off(round).await;
        let before = keys.len();
        let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let request = client.batch_get_item().request_items(table, request.map_err(unbuildable)?);
        let answer = request.send().await.map_err(failed("BatchGetItem"))?;
        out.extend(answer.responses.unwrap_or_default().remove(table).unwrap_or_default());
        let left = answer.unprocessed_keys.unwrap_or_default().remove(table);
        keys = left.map(|left| left.keys).unwrap_or_default();
        if keys.is_empty() {
            return Ok(out);
        }
        // One answer holds 16 MB at most, so that an answer with items and unread keys is progress: only rounds without any
        // count. The next round waits a little all the same, since a throttled table answers like this, too.
        round = if keys.len() < before { 1 } else { round + 1 };
    }
    Err(throttled("BatchGetItem"))
}

/// A strongly consistent query of a partition. The caller may replace its key condition by a narrower one.
pub(crate) fn query_partition(
    client: &Client,
    table: &str,
    partition: impl Into<String>,
) -> QueryFluentBuilder {
    client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", s(partition))
        .consistent_read(true)
}

/// The pages of a query. Each takes one call, which is made when the page is asked for.
pub(crate) struct Pages {
    query: QueryFluentBuilder,
    is_done: bool,
}

/// The pages of this query, from its start key on.
pub(crate) const fn pages(query: QueryFluentBuilder) -> Pages {
    Pages { query, is_done: false }
}

impl Pages {
    /// The items of the next page; `None` after the last page. After an error the same page can be asked for again.
    #[boxed]
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Attributes>>, StoreError> {
        if self.is_done {
            return Ok(None);
        }
        let answer = self.query.clone().send().await.map_err(failed("Query"))?;
        self.is_done = answer.last_evaluated_key.is_none();
        self.query = self.query.clone().set_exclusive_start_key(answer.last_evaluated_key);
        Ok(Some(answer.items.unwrap_or_default()))
    }

    /// The next page, of at most `limit` items that DynamoDB reads; a filter may leave fewer of them.
    pub(crate) async fn next_of(&mut self, limit: usize) -> Result<Option<Vec<Attributes>>, StoreError> {
        self.query = self.query.clone().limit(limit.min(MAX_PAGE) as i32);
        self.next().await
    }

    /// Whether another page may follow.
    pub(crate) const fn has_more(&self) -> bool {
        !self.is_done
    }
}

/// Waits before a round: not before the first one, then a random time of at most 50 ms, and twice as much each round
/// up to 3.2 s. The random time (full jitter, as in the SDK's own back-off) keeps callers that were throttled
/// together from coming back together. The SDK does not count unprocessed items as an error and does not back off for
/// them.
async fn back_off(round: usize) {
    if round > 0 {
        let most = 25 << round.min(7);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=most))).await;
    }
}

fn throttled(call: &'static str) -> StoreError {
    StoreError::Unavailable { call, reason: "the table is throttled; items were left unprocessed".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::back_off;
    use std::collections::BTreeSet;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn further_rounds_wait_for_longer_and_never_together() {
        // Upper bounds in milliseconds; the timer counts whole ones.
        for (round, most) in [(0, 0), (1, 50), (2, 100), (7, 3_200), (12, 3_200)] {
            let mut waits = BTreeSet::new();
            for _ in 0..100 {
                let from = Instant::now();
                back_off(round).await;
                waits.insert(from.elapsed().as_millis());
            }
            // A hundred waits differ, but for chance, and they fill the whole range.
            let (least, longest) = (*waits.first().unwrap(), *waits.last().unwrap());
            assert!(longest <= most + 1, "round {round}: {longest} ms");
            assert!(least <= most / 4 && longest >= most / 4 * 3, "round {round}: {least} to {longest} ms");
            assert!(waits.len() as u128 > most.min(60) / 2, "round {round}: {} different waits", waits.len());
        }
    }
}
