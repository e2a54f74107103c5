//! Dirty marks: which ledgers the compactor should look at. Items of a key and nothing else, in no index: a write unit each.

use super::{Catalog, Key, Transaction, Write, shard_of};
use crate::{
    dynamo::{Attributes, delete, pages, query_partition, s, text, write_all},
    error::{StoreError, failed},
};
use rekindle_domain::{Ulid, id::LedgerId, time::Time};

/// How many partitions marks are spread over: a constant of the stored format.
const SHARDS: u8 = 8;

/// Says that a ledger may have grown.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mark {
    /// Until when whoever wrote it takes it for granted, and appends more without another.
    pub until: Time,
    /// Which ledger.
    pub ledger: LedgerId,
    /// Who wrote it, so that nobody deletes another's.
    pub worker: Ulid,
}

fn partition(shard: u8) -> String {
    format!("dirty#{shard}")
}

/// Where marks begin that are taken for granted until then: 13 digits last until the year 2286.
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
    /// Marks a ledger with what else happens. The worker must be a new one.
    pub fn add_mark(&mut self, mark: &Mark) {
        self.push(Write::of_attributes(mark.key(), Attributes::new()));
    }
}

impl Catalog {
    /// Marks a ledger; marking it twice is one mark.
    ///
    /// # Errors
    /// [`StoreError`]: it may or may not be marked.
    pub async fn mark(&self, mark: &Mark) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(mark.key().attributes()));
        put.send().await.map_err(failed("PutItem"))?;
        Ok(())
    }

    /// Marks that nobody takes for granted since `before`, the oldest of each partition: up to `limit` and a page more.
    ///
    /// # Errors
    /// What DynamoDB says.
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
    /// [`StoreError`]: some may still be there.
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
