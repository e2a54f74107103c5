//! The output of a part: blocks of a hot copy, or an object of the archive.

use crate::app::Rekindle;
use rekindle_domain::{
    block::{Packed, Packer},
    rows::{Dictionary, UserRows},
};
use rekindle_store::{Store, StoreError, archive::ArchiveKey, ledger::SlotKey, parquet::PartWriter};

/// The number of packed blocks after which they are written.
const BLOCKS_PER_WRITE: usize = 50;

/// The output of merged rows.
pub(super) enum Sink<'a> {
    Hot(Box<HotSink<'a>>),
    Cold(Box<ColdSink<'a>>),
}

impl Sink<'_> {
    pub(super) fn push(&mut self, user: &UserRows<'_>, dictionary: &Dictionary) -> Result<(), StoreError> {
        match self {
            Self::Hot(sink) => {
                sink.packer.push(user.hash, user.id, user.rows, dictionary.facets(), &mut sink.packed);
                Ok(())
            }
            Self::Cold(sink) => {
                sink.writer.push(user.id, user.rows, dictionary.facets()).map_err(|e| sink.failed(e))
            }
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Hot(sink) if sink.packed.len() >= BLOCKS_PER_WRITE => sink.write().await,
            _ => Ok(()),
        }
    }

    /// Writes the rest, and returns the bytes of the whole part. A part without rows has none: nothing is written.
    pub(super) async fn finish(self, is_empty: bool) -> Result<u64, StoreError> {
        match self {
            _ if is_empty => Ok(0),
            Self::Hot(mut sink) => {
                let packer = std::mem::replace(&mut sink.packer, Packer::new(0, 0));
                packer.finish(&mut sink.packed);
                sink.write().await?;
                Ok(sink.bytes)
            }
            Self::Cold(sink) => {
                let ColdSink { store, key, writer } = *sink;
                let bytes = writer.finish().map_err(|e| StoreError::damaged(key.to_string(), e))?;
                let size = bytes.len() as u64;
                store.archive.put(&key, bytes).await?;
                Ok(size)
            }
        }
    }
}

pub(super) struct HotSink<'a> {
    store: &'a Store,
    key: SlotKey,
    packer: Packer,
    packed: Vec<Packed>,
    bytes: u64,
}

impl<'a> HotSink<'a> {
    pub(super) fn new(app: &'a Rekindle, key: SlotKey, first_hash: u64) -> Self {
        let packer = Packer::new(first_hash, app.settings.sizes.hot_block);
        Self { store: &app.store, key, packer, packed: Vec::new(), bytes: 0 }
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        self.bytes += self.packed.iter().map(|p| p.bytes.len() as u64).sum::<u64>();
        self.store.ledger.write_blocks(self.key, std::mem::take(&mut self.packed)).await
    }
}

pub(super) struct ColdSink<'a> {
    store: &'a Store,
    key: ArchiveKey,
    writer: PartWriter,
}

impl<'a> ColdSink<'a> {
    pub(super) fn new(store: &'a Store, key: ArchiveKey) -> Result<Self, StoreError> {
        let writer = PartWriter::new().map_err(|e| StoreError::damaged(key.to_string(), e))?;
        Ok(Self { store, key, writer })
    }

    fn failed(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::damaged(self.key.to_string(), error)
    }
}
