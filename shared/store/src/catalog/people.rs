//! Merges of user ids. All stand in one partition, in the order of their numbers.

use super::{Catalog, Index, Key, Transaction, Versioned, Window, Write};
use crate::error::StoreError;
use rekindle_domain::people::MergedUser;

const PARTITION: &str = "people";

fn key(number: u64) -> Key {
    Key::new(PARTITION, format!("m#{number:09}"))
}

fn made_key() -> Key {
    Key::new(PARTITION, "made")
}

impl Transaction {
    /// Adds a merge, whose number nobody has used yet.
    pub fn add_merge(&mut self, merge: &MergedUser) -> Result<(), StoreError> {
        self.push(Write::new(key(merge.number), merge, 0, Index::default())?);
        Ok(())
    }

    /// Counts further merges over the count that was read: of two calls that merge at once, one decides again.
    pub fn put_merges_made(&mut self, made: &Versioned<u64>, more: usize) -> Result<(), StoreError> {
        self.push(Write::new(made_key(), &(made.value + more as u64), made.version, Index::default())?);
        Ok(())
    }
}

impl Catalog {
    /// How many merges were made, with the version of that count.
    pub async fn merges_made(&self) -> Result<Versioned<u64>, StoreError> {
        Ok(self.get(&made_key()).await?.unwrap_or(Versioned { value: 0, version: 0 }))
    }

    /// The merges after the one of that number, in order, up to `last`, which was counted. Further ones may be on the way: a query
    /// may see some items of a transaction and not others, and a read of one item sees all of it or nothing. So a merge that
    /// the query lacks is read by itself.
    pub async fn merges(&self, after: u64, last: u64) -> Result<Vec<MergedUser>, StoreError> {
        let from = (after > 0).then(|| key(after).sk);
        let window = Window { after: from.as_deref(), ..Window::ALL };
        let (found, _) = self.query::<MergedUser>(PARTITION, "m#", window).await?;
        let mut found = found.into_iter().map(|(_, merge)| merge.value).peekable();
        let mut merges = Vec::new();
        for number in after + 1..=last {
            match found.next_if(|merge| merge.number == number) {
                Some(merge) => merges.push(merge),
                None => merges.extend(self.get::<MergedUser>(&key(number)).await?.map(|merge| merge.value)),
            }
        }
        Ok(merges)
    }
}
