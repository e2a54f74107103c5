//! A merge of streams of rows: the loop that reads a batch whenever the merge needs one.

use super::{copy::Batch, view::Stream};
use rekindle_domain::{
    merge::{Group, Merge},
    rows::Rows,
};
use rekindle_store::StoreError;
use std::ops::ControlFlow;

/// Several streams in ledger order, merged into users. Memory holds a batch of each stream.
pub(crate) struct Merged {
    streams: Vec<Stream>,
    merge: Merge,
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

impl Merged {
    /// A merge of these streams.
    pub(crate) fn new(streams: Vec<Stream>) -> Self {
        let merge = Merge::new(streams.len());
        Self { streams, merge }
    }

    /// Reads batches until the next groups are certain. Asks `take` about each batch, with the number of its stream. Breaks
    /// if `take` ended the merge with [`Taken::Stop`].
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] if a batch does not decode.
    pub(crate) async fn fill(
        &mut self,
        mut take: impl FnMut(usize, &Merge, Batch) -> Result<Taken, StoreError>,
    ) -> Result<ControlFlow<()>, StoreError> {
        while let Some(i) = self.merge.needs() {
            let Some(batch) = self.streams[i].next_batch().await? else {
                self.merge.finish(i);
                continue;
            };
            match take(i, &self.merge, batch)? {
                Taken::Feed(rows) => self.merge.feed(i, rows),
                Taken::Done => {}
                Taken::Stop => return Ok(ControlFlow::Break(())),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The next user with the rows of each stream. `None`: fill again, unless the merge [`Merged::has_ended`].
    pub(crate) fn next_group(&mut self) -> Option<Group<'_>> {
        self.merge.next_group()
    }

    /// Whether every stream has ended. Asked once every group was taken, before anything else ends the answer: a cursor to
    /// the last group would lead back behind batches that [`Taken::Done`] handled.
    pub(crate) fn has_ended(&self) -> bool {
        self.merge.needs().is_none()
    }
}
