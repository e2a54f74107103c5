//! A merge of streams of rows: the loop that reads a batch whenever the merge needs one.

use super::{copy::Batch, view::Stream};
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{
    merge::{Group, Merge},
    rows::Rows,
};
use rekindle_store::StoreError;
use std::ops::ControlFlow;

/// How many streams are begun at once.
const CONCURRENT_STREAMS: usize = 16;

/// Several streams in ledger order, merged into users. Memory holds a batch of each stream.
pub(crate) struct Merged {
    streams: Vec<Stream>,
    /// The first batch of each stream, once they were read; none: they are taken.
    first: Option<Vec<Option<Batch>>>,
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
        Self { streams, first: None, merge }
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
        let first = match &mut self.first {
            Some(first) => first,
            // The merge cannot begin before it has them all.
            None => {
                let batches = stream::iter(&mut self.streams).map(Stream::next_batch);
                self.first.insert(batches.buffered(CONCURRENT_STREAMS).try_collect().await?)
            }
        };
        while let Some(i) = self.merge.needs() {
            let batch = match first.get_mut(i).and_then(Option::take) {
                None => self.streams[i].next_batch().await?,
                batch => batch,
            };
            let Some(batch) = batch else {
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
