//! Keys. All stand in one partition, since a change of one needs the number of all keys and of the admins' keys.

use super::{Catalog, Index, Key, Page, Transaction, Versioned, Window, Write};
use crate::error::StoreError;
use rekindle_domain::{
    id::KeyId,
    key::{AccessKey, REVOKED_MILLIS},
};

const PARTITION: &str = "keys";

fn key(id: KeyId) -> Key {
    Key::new(PARTITION, format!("k#{id}"))
}

fn made_key() -> Key {
    Key::new(PARTITION, "made")
}

impl Transaction {
    /// Writes a key over the version that was read, which is `access.version`. DynamoDB deletes a revoked key
    /// [`REVOKED_MILLIS`] after it was revoked.
    pub fn put_key(&mut self, access: &AccessKey) -> Result<(), StoreError> {
        let next = AccessKey { version: access.version + 1, ..access.clone() };
        let mut write = Write::new(key(access.id), &next, access.version, Index::default())?;
        write.expires_after = access.revoked_at.map(|at| at.plus(REVOKED_MILLIS));
        self.push(write);
        Ok(())
    }

    /// Counts one more key over the count that was read, so that of two keys that are made at once one is made first.
    pub fn put_keys_made(&mut self, made: &Versioned<u64>) -> Result<(), StoreError> {
        self.push(Write::new(made_key(), &(made.value + 1), made.version, Index::default())?);
        Ok(())
    }

    /// Lets the transaction fail unless the key still has the version that was read.
    pub fn check_key(&mut self, access: &AccessKey) {
        self.check(key(access.id), access.version);
    }
}

impl Catalog {
    /// A key, if it exists.
    pub async fn access_key(&self, id: KeyId) -> Result<Option<AccessKey>, StoreError> {
        Ok(self.get(&key(id)).await?.map(|v: Versioned<AccessKey>| v.value))
    }

    /// How many keys the API ever made, with the version of that count.
    pub async fn keys_made(&self) -> Result<Versioned<u64>, StoreError> {
        Ok(self.get(&made_key()).await?.unwrap_or(Versioned { value: 0, version: 0 }))
    }

    /// Up to `limit` keys after the key `after`, by id.
    pub async fn access_keys(
        &self,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Page<AccessKey, KeyId>, StoreError> {
        let after = after.map(|id| key(id).sk);
        let window = Window { after: after.as_deref(), limit, newest_first: false };
        let (keys, more) = self.query::<AccessKey>(PARTITION, "k#", window).await?;
        Ok(Page::new(keys, more, |(_, last)| last.value.id).map(|(_, key)| key.value))
    }
}
