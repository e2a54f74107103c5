//! Streams of rows, merged: the loop that feeds a merge as it needs rows.

use super::{copy::Batch, view::Stream};
use rekindle_domain::{
    merge::{Group, Merge},
    rows::Rows,
};
use rekindle_store::StoreError;

/// Several streams of one order, merged into users. Memory holds a batch of each stream.
pub(crate) struct Merged {
    streams: Vec<Stream>,
    merge: Merge,
    is_filled: bool,
    has_groups: bool,
}

/// An answer about a batch that arrived.
pub(crate) enum Taken {
    /// Merge these rows.
    Feed(Rows),
    /// The batch is dealt with: go on with the stream's next.
    Done,
    /// The batch is dealt with, and nothing more is wanted.
    Stop,
}

/// How far a merge is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filled {
    /// There may be groups: take them all, then fill again.
    Groups,
    /// Every stream has ended, and every group was taken.
    Ended,
    /// A batch's taker said so.
    Stopped,
}

impl Merged {
    /// A merge of these streams.
    pub(crate) fn new(streams: Vec<Stream>) -> Self {
        let merge = Merge::new(streams.len());
        Self { streams, merge, is_filled: false, has_groups: false }
    }

    /// Reads on until the next groups are certain. `take` is asked about each batch, with the number of its stream.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] where a batch does not decode.
    pub(crate) async fn fill(
        &mut self,
        mut take: impl FnMut(usize, &Merge, Batch) -> Result<Taken, StoreError>,
    ) -> Result<Filled, StoreError> {
        if self.is_filled && !self.has_groups && self.merge.needs().is_none() {
            return Ok(Filled::Ended);
        }
        (self.is_filled, self.has_groups) = (true, false);
        while let Some(i) = self.merge.needs() {
            let Some(batch) = self.streams[i].next_batch().await? else {
                self.merge.finish(i);
                continue;
            };
            match take(i, &self.merge, batch)? {
                Taken::Feed(rows) => self.merge.feed(i, rows),
                Taken::Done => {}
                Taken::Stop => return Ok(Filled::Stopped),
            }
        }
        Ok(Filled::Groups)
    }

    /// The next user with the rows of each stream.
    pub(crate) fn next_group(&mut self) -> Option<Group<'_>> {
        let group = self.merge.next_group();
        self.has_groups |= group.is_some();
        group
    }
}
