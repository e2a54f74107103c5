//! A merge of streams of rows: the loop that reads a batch whenever the merge needs one.

use super::{copy::Batch, view::Stream};
use rekindle_domain::{
    merge::{Group, Merge},
    rows::Rows,
};
use rekindle_store::StoreError;

/// Several streams in ledger order, merged into users. Memory holds a batch of each stream.
pub(crate) struct Merged {
    streams: Vec<Stream>,
    merge: Merge,
    is_filled: bool,
    has_groups: bool,
}

/// The answer of `take` about a batch.
pub(crate) enum Taken {
    /// Merge these rows.
    Feed(Rows),
    /// Do not merge the batch: it was handled whole. Go on with the stream's next batch.
    Done,
    /// Do not merge the batch: it was handled whole. End the merge.
    Stop,
}

/// The state of a merge after a fill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filled {
    /// Groups may be ready: take them all, then fill again.
    Groups,
    /// Every stream has ended, and every group was taken.
    Ended,
    /// `take` ended the merge with [`Taken::Stop`].
    Stopped,
}

impl Merged {
    /// A merge of these streams.
    pub(crate) fn new(streams: Vec<Stream>) -> Self {
        let merge = Merge::new(streams.len());
        Self { streams, merge, is_filled: false, has_groups: false }
    }

    /// Reads batches until the next groups are certain. Asks `take` about each batch, with the number of its stream.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] if a batch does not decode.
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
