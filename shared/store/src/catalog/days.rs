//! Days in numbers. All stand in one partition, in order: one write of an item at a time, and a few hundred bytes a day.

use super::{Catalog, Index, Key, Transaction, Window, Write};
use crate::error::StoreError;
use rekindle_domain::{day::Day, time::Time};

const PARTITION: &str = "days";

fn key(day: Time) -> Key {
    let written = day.to_string();
    Key::new(PARTITION, format!("d#{}", written.get(..10).unwrap_or_default()))
}

impl Transaction {
    /// Writes a day over the version that was read, which is `day.version`.
    pub fn put_day(&mut self, day: &Day) -> Result<(), StoreError> {
        let next = Day { version: day.version + 1, ..day.clone() };
        self.push(Write::new(key(day.day), &next, day.version, Index::default())?);
        Ok(())
    }
}

impl Catalog {
    /// Up to `limit` days of which something is known, the latest first.
    pub async fn days(&self, limit: usize) -> Result<Vec<Day>, StoreError> {
        let window = Window { after: None, limit, newest_first: true };
        let (days, _) = self.query::<Day>(PARTITION, "d#", window).await?;
        Ok(days.into_iter().map(|(_, day)| day.value).collect())
    }
}
