//! Taking a batch of interactions in: check it, pack it, append it. Accepted interactions are durable.

use super::{
    body::{Encoding, Layout, decompress, too_large},
    sources::CONCURRENT_SOURCES,
};
use crate::{
    app::Rekindle,
    boxed,
    journal::Caller,
    metrics::count,
    problem::{Fact, Problem, Remedy, Spell},
};
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{
    arrival::Arrival,
    block::encode_inbox,
    day::Counts,
    id::{InboxId, LedgerId, SourceId},
    interaction::{BatchError, Collected, Collector, Rejection},
};
use rekindle_store::{
    StoreError,
    ledger::{INBOX_BLOCK_BYTES, NewBlock},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The most rejections that an answer lists.
const LISTED_REJECTIONS: usize = 1_000;

/// The answer to a batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Accepted {
    /// How many are durable.
    pub accepted: usize,
    /// How many of these have a link alias that is stored in another form.
    pub aliases_shortened: usize,
    /// How many were not taken.
    pub rejected_count: usize,
    /// The first thousand of them, and why.
    pub rejected: Vec<Rejection>,
}

impl Rekindle {
    /// Takes a batch of interactions in. When this returns `Ok`, everything accepted is durable. `spell` says in a rejection
    /// how to register its source; `by` is named in the log where interactions are refused.
    ///
    /// # Errors
    /// 400 a malformed batch; 413 too large; 422 no acceptable interaction, with the rejections; 503 the store did not
    /// answer. Sending the same batch again is always safe.
    #[boxed]
    pub async fn ingest(
        &self,
        body: &[u8],
        encoding: Encoding,
        layout: Layout,
        spell: Spell,
        by: &Caller,
    ) -> Result<Accepted, Problem> {
        let body = decompress(body, encoding)?;
        let mut collector = Collector::new(self.now());
        match layout {
            Layout::Json => collector.add_json(&body),
            Layout::NdJson => collector.add_ndjson(&body),
        }
        .map_err(|e| match e {
            BatchError::Malformed { code, detail } => Problem::bad_request(code, detail),
            BatchError::TooMany(detail) => too_large(detail),
        })?;
        let sources: Vec<(SourceId, Arrival)> =
            collector.sources().map(|(source, arrival)| (source.clone(), arrival)).collect();
        let refused = self.prepare_sources(&sources).await?;
        collector.refuse_sources(&refused.unknown, "unknown_source", |source| {
            format!("{source} is not registered; {}", spell(&Remedy::Register(source.clone())))
        });
        collector.refuse_sources(&refused.going, "deleted_source", |source| {
            format!("{source} was deleted, and its data is going for some hours; send this again after that")
        });
        let Collected { ledgers, accepted, by_kind, aliases_shortened, rejected } = collector.finish();
        log_rejected(&rejected, by);
        if accepted == 0 {
            let detail = if rejected.is_empty() {
                "the batch is empty; send at least one interaction"
            } else {
                "all interactions were refused; rejected says why"
            };
            let listed = rejected.iter().take(LISTED_REJECTIONS).cloned().collect();
            count!(InteractionsAccepted = 0, InteractionsRejected = rejected.len());
            return Err(Problem::unprocessable("nothing_accepted", detail)
                .with(Fact::Accepted(0))
                .with(Fact::RejectedCount(rejected.len()))
                .with(Fact::Rejected(listed)));
        }
        self.append(ledgers, &by_kind).await?;
        let rejected_count = rejected.len();
        count!(InteractionsAccepted = accepted, InteractionsRejected = rejected_count);
        if aliases_shortened > 0 {
            count!(AliasesShortened = aliases_shortened);
        }
        let listed = rejected.into_iter().take(LISTED_REJECTIONS).collect();
        Ok(Accepted { accepted, aliases_shortened, rejected_count, rejected: listed })
    }

    /// Appends rows to the `users` ledger first and to the sources' ledgers after it, so that `users` never lacks a user
    /// that a source knows. Every ledger is marked before its append, so that the compactor looks at it even if this
    /// process dies right after the append. The first block of `users` says how many interactions arrive, by kind: some 20 bytes
    /// of an item that is written anyway.
    async fn append(
        &self,
        ledgers: Vec<(LedgerId, rekindle_domain::rows::Rows)>,
        by_kind: &Counts,
    ) -> Result<(), StoreError> {
        // The random part of one id picks the shard of each ledger, so that concurrent batches spread over the shards.
        let random = self.new_id().random();
        let encode = |(ledger, rows): (LedgerId, rekindle_domain::rows::Rows)| {
            let blocks = encode_inbox(&rows, INBOX_BLOCK_BYTES).into_iter();
            let new =
                |(bytes, rows)| NewBlock { id: InboxId(self.new_id()), bytes, rows, arrived: Counts::new() };
            let mut blocks: Vec<NewBlock> = blocks.map(new).collect();
            if let (LedgerId::Users, Some(first)) = (&ledger, blocks.first_mut()) {
                first.arrived.clone_from(by_kind);
            }
            (ledger, blocks)
        };
        let ledgers: Vec<_> = ledgers.into_iter().map(encode).collect();
        let marks = ledgers.iter().map(|(ledger, blocks)| {
            let bytes = blocks.iter().map(|block| block.bytes.len() as u64).sum();
            Ok(self.mark(ledger, blocks.len(), bytes))
        });
        let marks: Vec<_> = marks.collect();
        stream::iter(marks).try_for_each_concurrent(CONCURRENT_SOURCES, |mark| mark).await?;
        let append = |(ledger, blocks): (LedgerId, Vec<_>)| async move {
            let shard = (random % u128::from(ledger.inbox_shards())) as u8;
            self.store.ledger.append(&ledger, shard, blocks).await
        };
        let (users, sources): (Vec<_>, Vec<_>) =
            ledgers.into_iter().partition(|(l, _)| *l == LedgerId::Users);
        for users in users {
            append(users).await?;
        }
        stream::iter(sources).map(Ok).try_for_each_concurrent(CONCURRENT_SOURCES, append).await
    }
}

/// Writes one line for a request some of whose interactions were refused: how many, by code. Senders that look at the status
/// alone do not notice.
fn log_rejected(rejected: &[Rejection], by: &Caller) {
    if rejected.is_empty() {
        return;
    }
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for rejection in rejected {
        *codes.entry(&rejection.code).or_default() += 1;
    }
    let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{code}: {count}")).collect();
    let (key, codes) = (by.key(), codes.join(", "));
    tracing::warn!(
        key.id = key,
        rejected.count = rejected.len(),
        rejected.codes = codes,
        "interactions were refused"
    );
}
