//! Small helpers over DynamoDB's attribute values, and the batch loop.

use crate::error::{StoreError, failed};
use aws_sdk_dynamodb::{
    Client,
    primitives::Blob,
    types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::HashMap, time::Duration};

pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// How many batch calls one job has under way at once.
const CONCURRENT_BATCHES: usize = 4;
/// Rounds of `UnprocessedItems` without progress before the caller is told that the table is throttled. The SDK backs off within each.
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

pub(crate) fn number(item: &Attributes, name: &str) -> Option<u64> {
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

/// A request the SDK would not build: a bug of ours.
pub(crate) fn unbuildable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Refused { call: "building a request", reason: error.to_string() }
}

/// Writes all requests, in batches of 25, until none is left unprocessed.
pub(crate) async fn write_all(
    client: &Client,
    table: &str,
    requests: Vec<WriteRequest>,
) -> Result<(), StoreError> {
    let batches: Vec<Vec<WriteRequest>> = requests.chunks(25).map(<[_]>::to_vec).collect();
    stream::iter(batches)
        .map(Ok)
        .try_for_each_concurrent(CONCURRENT_BATCHES, |batch| write_batch(client, table, batch))
        .await
}

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

/// Waits before a further round: nothing at first, then any time up to 50 ms, doubling to 3.2 s (full jitter, as the
/// SDK's own back-off has it), so that who was throttled at once does not come back at once. Unprocessed items are not an
/// error to the SDK: its back-off does not see them.
pub(crate) async fn back_off(round: usize) {
    if round > 0 {
        let most = 25 << round.min(7);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=most))).await;
    }
}

pub(crate) fn throttled(call: &'static str) -> StoreError {
    StoreError::Unavailable { call, reason: "the table is throttled; items were left unprocessed".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::back_off;
    use std::collections::BTreeSet;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn further_rounds_wait_for_longer_and_never_together() {
        // At most; the timer counts whole milliseconds.
        for (round, most) in [(0, 0), (1, 50), (2, 100), (7, 3_200), (12, 3_200)] {
            let mut waits = BTreeSet::new();
            for _ in 0..100 {
                let from = Instant::now();
                back_off(round).await;
                waits.insert(from.elapsed().as_millis());
            }
            // Of a hundred no more than by chance are alike, and they fill the whole range.
            let (least, longest) = (*waits.first().unwrap(), *waits.last().unwrap());
            assert!(longest <= most + 1, "round {round}: {longest} ms");
            assert!(least <= most / 4 && longest >= most / 4 * 3, "round {round}: {least} to {longest} ms");
            assert!(waits.len() as u128 > most.min(60) / 2, "round {round}: {} different waits", waits.len());
        }
    }
}
