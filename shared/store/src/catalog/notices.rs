//! Notices: each is one mail to one recipient.

use super::{Catalog, Index, Key, Transaction, Versioned, Write};
use crate::error::StoreError;
use rekindle_domain::notice::Notice;

fn key(id: &str) -> Key {
    Key::new(format!("notice#{id}"), "notice")
}

fn write(notice: &Notice, version: u64) -> Result<Write, StoreError> {
    Write::new(key(&notice.id), notice, version, Index { wake_at: notice.wake_at(), ..Index::default() })
}

impl Transaction {
    /// Writes a new notice; no notice may have its id.
    pub fn add_notice(&mut self, notice: &Notice) -> Result<(), StoreError> {
        self.put_notice(notice, 0)
    }

    /// Writes a notice over the version that was read; 0 means that it must not exist yet.
    pub fn put_notice(&mut self, notice: &Notice, version: u64) -> Result<(), StoreError> {
        self.push(write(notice, version)?);
        Ok(())
    }
}

impl Catalog {
    /// A notice, if it exists.
    pub async fn notice(&self, id: &str) -> Result<Option<Versioned<Notice>>, StoreError> {
        self.get(&key(id)).await
    }

    /// Writes a notice over the version that was read; returns the new version.
    pub async fn put_notice(&self, notice: &Notice, version: u64) -> Result<u64, StoreError> {
        self.put(write(notice, version)?).await?;
        Ok(version + 1)
    }
}
