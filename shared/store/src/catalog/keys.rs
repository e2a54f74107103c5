//! Keys: all in one partition, since whoever changes one must know how many there are, and which of them are admins'.

use super::{Catalog, Index, Key, Transaction, Versioned, Window, Write};
use crate::error::StoreError;
use rekindle_domain::{
    id::KeyId,
    key::{AccessKey, REVOKED_MILLIS},
};

const PARTITION: &str = "keys";

fn key(id: KeyId) -> Key {
    Key::new(PARTITION, format!("k#{id}"))
}

impl Transaction {
    /// Writes a key over what was read; `key.version` is the version that was read. One that was revoked goes by itself.
    pub fn put_key(&mut self, access: &AccessKey) -> Result<(), StoreError> {
        let next = AccessKey { version: access.version + 1, ..access.clone() };
        let mut write = Write::new(key(access.id), &next, access.version, Index::default())?;
        write.expires_after = access.revoked_at.map(|at| at.plus(REVOKED_MILLIS));
        self.push(write);
        Ok(())
    }

    /// Nothing happens unless the key is as it was read.
    pub fn check_key(&mut self, access: &AccessKey) {
        self.check(key(access.id), access.version);
    }
}

impl Catalog {
    /// A key, as it is at this moment.
    pub async fn access_key(&self, id: KeyId) -> Result<Option<AccessKey>, StoreError> {
        Ok(self.get(&key(id)).await?.map(|v: Versioned<AccessKey>| v.value))
    }

    /// Up to `limit` keys after `after`, by id, and whether there are more.
    pub async fn access_keys(
        &self,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<(Vec<AccessKey>, bool), StoreError> {
        let after = after.map(|id| key(id).sk);
        let window = Window { after: after.as_deref(), limit, newest_first: false };
        let (keys, more) = self.query(PARTITION, "k#", window).await?;
        Ok((keys.into_iter().map(|(_, key)| key.value).collect(), more))
    }
}
