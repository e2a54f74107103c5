//! Dirty marks: they tell the compactor which ledgers to look at. A mark is an item of a key without content and
//! stands in no index, so that it costs one write unit.

use super::{Catalog, Key, Transaction, Write, shard_of};
use crate::{
    boxed,
    dynamo::{Attributes, delete, pages, query_partition, s, text, write_all},
    error::{StoreError, failed},
};
use rekindle_domain::{Ulid, id::LedgerId, time::Time};

/// Marks are spread over this many partitions: a constant of the stored format.
const SHARDS: u8 = 8;

/// A mark: its ledger may have grown.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mark {
    /// Until this time the worker appends to the ledger without writing another mark.
    pub until: Time,
    /// The ledger.
    pub ledger: LedgerId,
    /// The worker that wrote it; it is a part of the key, so that workers do not delete each other's marks.
    pub worker: Ulid,
}

fn partition(shard: u8) -> String {
    format!("dirty#{shard}")
}

/// The sort keys of marks until this time begin with this text. Its 13 digits suffice until the year 2286.
fn sort_prefix(until: Time) -> String {
    format!("{:013}", until.0.max(0))
}

impl Mark {
    fn key(&self) -> Key {
        let shard = shard_of(&self.ledger.to_string(), SHARDS);
        Key::new(partition(shard), format!("{}#{}#{}", sort_prefix(self.until), self.ledger, self.worker))
    }

    fn parse(sort_key: &str) -> Option<Self> {
        let (until, rest) = sort_key.split_once('#')?;
        let (ledger, worker) = rest.rsplit_once('#')?;
        Some(Self {
            until: Time(until.parse().ok()?),
            ledger: ledger.parse().ok()?,
            worker: Ulid::from_string(worker).ok()?,
        })
    }
}

impl Transaction {
    /// Writes a mark with the transaction. No mark of the same time, ledger and worker may exist.
    pub fn add_mark(&mut self, mark: &Mark) {
        self.push(Write::of_attributes(mark.key(), Attributes::new()));
    }
}

impl Catalog {
    /// Writes a mark; writing it twice makes one mark.
    ///
    /// # Errors
    /// After any error the mark may exist or not.
    #[boxed]
    pub async fn mark(&self, mark: &Mark) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(mark.key().attributes()));
        put.send().await.map_err(failed("PutItem"))?;
        Ok(())
    }

    /// Marks whose time is earlier than `before`, the oldest of each partition: about `limit` of them, and up to a
    /// page more of each partition. They come in the order of their times.
    pub async fn marks(&self, before: Time, limit: usize) -> Result<Vec<Mark>, StoreError> {
        let mut out = Vec::new();
        for shard in 0..SHARDS {
            let query = query_partition(&self.client, &self.table, partition(shard))
                .key_condition_expression("pk = :pk AND sk < :before")
                .expression_attribute_values(":before", s(sort_prefix(before)));
            let mut pages = pages(query);
            let mut of_shard = 0;
            while let Some(items) = pages.next().await? {
                of_shard += items.len();
                out.extend(items.iter().filter_map(|item| Mark::parse(text(item, "sk")?)));
                if of_shard >= limit / usize::from(SHARDS) {
                    break;
                }
            }
        }
        out.sort_by_key(|mark: &Mark| mark.until);
        Ok(out)
    }

    /// Deletes exactly these marks.
    ///
    /// # Errors
    /// After any error some may be left.
    pub async fn delete_marks(&self, marks: &[Mark]) -> Result<(), StoreError> {
        let requests = marks.iter().map(|mark| delete(mark.key().attributes()));
        write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_marks_round_trip() {
        for ledger in ["users", "campaign/a_b.c:d-e", "canvas/welcome"] {
            let ledger = ledger.parse().unwrap();
            let mark = Mark { until: Time(1_763_000_000_000), ledger, worker: Ulid::from_bytes([7; 16]) };
            let key = mark.key();
            assert!(key.sk < sort_prefix(mark.until.plus(1)) && key.sk > sort_prefix(mark.until));
            assert_eq!(Mark::parse(&key.sk), Some(mark));
        }
    }
}
