//! Taking interactions in: check, pack, append. What is accepted is durable.

use crate::{Problem, Rekindle, UnknownSources, metrics::count};
use flate2::read::MultiGzDecoder;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use rekindle_domain::{
    block::encode_inbox,
    id::{InboxId, LedgerId, SourceId},
    interaction::{BatchError, Collected, Collector, Rejection},
    manifest::DataState,
    source::Source,
    time::Time,
};
use rekindle_store::{StoreError, catalog::Transaction, ledger::INBOX_BLOCK_BYTES};
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    io::Read,
    sync::Mutex,
};

/// The most bytes a request may have as sent.
pub const MAX_ENCODED: usize = 4 << 20;
/// The most bytes a request may have after decompression.
pub const MAX_DECODED: usize = 32 << 20;
/// How many rejections an answer lists.
const LISTED_REJECTIONS: usize = 1_000;
/// How long what is known of a source is believed. Far less than the day after which late rows are looked for anyway.
pub(crate) const KNOWN_FOR_MILLIS: i64 = 60_000;
/// How many sources are remembered.
const KNOWN_SOURCES: usize = 10_000;
/// How many sources are written at once.
const CONCURRENT_SOURCES: usize = 8;

/// Sources that need nothing done before rows are appended, and since when that is known.
#[derive(Default)]
pub struct KnownSources(Mutex<HashMap<SourceId, Time>>);

impl KnownSources {
    fn is_known(&self, source: &SourceId, now: Time) -> bool {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(source).is_some_and(|at| (at.0..at.0 + KNOWN_FOR_MILLIS).contains(&now.0))
    }

    fn remember(&self, source: &SourceId, now: Time) {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= KNOWN_SOURCES {
            known.clear();
        }
        known.insert(source.clone(), now);
    }
}

/// How a body is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// How a body is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// One JSON document.
    Json,
    /// A JSON document a line.
    NdJson,
}

/// The answer to a batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Accepted {
    /// How many are durable.
    pub accepted: usize,
    /// How many were not taken.
    pub rejected_count: usize,
    /// The first thousand of them, and why.
    pub rejected: Vec<Rejection>,
}

fn too_large(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", detail)
}

/// Undoes the compression, within bounds.
fn decompress(body: &[u8], encoding: Encoding) -> Result<Cow<'_, [u8]>, Problem> {
    if body.len() > MAX_ENCODED {
        return Err(too_large(format!("a request has at most {MAX_ENCODED} bytes as sent; send several")));
    }
    let read = |reader: &mut dyn Read, name: &str| {
        let mut out = Vec::new();
        reader.take(MAX_DECODED as u64 + 1).read_to_end(&mut out).map_err(|e| {
            Problem::bad_request("invalid_encoding", format!("the body is not valid {name}: {e}"))
        })?;
        if out.len() > MAX_DECODED {
            return Err(too_large(format!(
                "a request has at most {MAX_DECODED} bytes decompressed; send several"
            )));
        }
        Ok(Cow::Owned(out))
    };
    match encoding {
        Encoding::Identity => Ok(Cow::Borrowed(body)),
        Encoding::Gzip => read(&mut MultiGzDecoder::new(body), "gzip"),
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(body);
            let mut decoder = decoder.map_err(|e| Problem::bad_request("invalid_encoding", e.to_string()))?;
            // 8 MiB is what the zstd specification asks decoders to support, so senders keep within it.
            decoder
                .window_log_max(23)
                .map_err(|e| Problem::bad_request("invalid_encoding", e.to_string()))?;
            read(&mut decoder, "zstd")
        }
    }
}

impl Rekindle {
    /// Takes a batch of interactions in. When this returns `Ok`, everything accepted is durable.
    ///
    /// # Errors
    /// 400 malformed, 413 too large, 422 nothing acceptable (with the rejections), 503 store unavailable: sending the
    /// same batch again is always safe.
    pub async fn ingest(&self, body: &[u8], encoding: Encoding, layout: Layout) -> Result<Accepted, Problem> {
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
        let sources: Vec<SourceId> = collector.sources().cloned().collect();
        let unknown = self.prepare_sources(&sources).await?;
        if !unknown.is_empty() {
            collector.refuse_sources(&unknown, "unknown_source", |source| {
                format!(
                    "{source} is not registered; PUT /v1/{}/{} first",
                    source.kind().plural(),
                    source.id()
                )
            });
        }
        let Collected { ledgers, accepted, rejected } = collector.finish();
        if accepted == 0 {
            let detail =
                if rejected.is_empty() { "the batch is empty" } else { "no interaction was acceptable" };
            let listed: Vec<_> = rejected.iter().take(LISTED_REJECTIONS).collect();
            count!(InteractionsAccepted = 0, InteractionsRejected = rejected.len());
            return Err(Problem::unprocessable("nothing_accepted", detail)
                .with("accepted", 0)
                .with("rejected_count", rejected.len())
                .with("rejected", serde_json::to_value(listed).unwrap_or_default()));
        }
        self.append(ledgers).await?;
        let rejected_count = rejected.len();
        count!(InteractionsAccepted = accepted, InteractionsRejected = rejected_count);
        let listed = rejected.into_iter().take(LISTED_REJECTIONS).collect();
        Ok(Accepted { accepted, rejected_count, rejected: listed })
    }

    /// `users` first, so that the universe is never short of somebody that a source knows; then the sources. All are
    /// marked before, so that the compactor looks at them even if this process dies right after an append.
    async fn append(&self, ledgers: Vec<(LedgerId, rekindle_domain::rows::Rows)>) -> Result<(), StoreError> {
        let random = self.new_id().random();
        let encode = |(ledger, rows): (LedgerId, rekindle_domain::rows::Rows)| {
            let blocks = encode_inbox(&rows, INBOX_BLOCK_BYTES).into_iter();
            (ledger, blocks.map(|(block, rows)| (InboxId(self.new_id()), block, rows)).collect::<Vec<_>>())
        };
        let ledgers: Vec<_> = ledgers.into_iter().map(encode).collect();
        let marks = ledgers.iter().map(|(ledger, blocks)| {
            let bytes = blocks.iter().map(|(_, block, _)| block.len() as u64).sum();
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

    /// Makes sure that each source is registered and marked as having data, before rows of it are stored. Returns those
    /// that are unknown and to be rejected.
    async fn prepare_sources(&self, sources: &[SourceId]) -> Result<BTreeSet<SourceId>, StoreError> {
        let now = self.now();
        let new: Vec<SourceId> = sources.iter().filter(|s| !self.known.is_known(s, now)).cloned().collect();
        let prepared: Vec<Option<SourceId>> = stream::iter(new)
            .map(|source| async move {
                let is_known = until_won!(self.prepare_source(&source).await)?;
                Ok::<_, StoreError>((!is_known).then_some(source))
            })
            .buffer_unordered(CONCURRENT_SOURCES)
            .try_collect()
            .await?;
        Ok(prepared.into_iter().flatten().collect())
    }

    /// Whether the source is, or now is, registered. An unknown one is read before it is put.
    async fn prepare_source(&self, id: &SourceId) -> Result<bool, StoreError> {
        let now = self.now();
        let changed = match self.store.catalog.source(id).await? {
            None if self.settings.unknown_sources == UnknownSources::Reject => return Ok(false),
            None => Some(Source::seen(id.clone(), now)),
            Some(source) => {
                let is_late = source.state != DataState::Available && source.late_since.is_none();
                let late_since = if is_late { Some(now) } else { source.late_since };
                let is_noted = self.is_to_be_noted(&source, now);
                let last_seen_at = if is_noted { Some(now) } else { source.last_seen_at };
                let seen = Source { has_data: true, late_since, last_seen_at, ..source.clone() };
                (is_late || is_noted || !source.has_data).then_some(seen)
            }
        };
        if let Some(source) = changed {
            let mut transaction = Transaction::new();
            self.put_source(&mut transaction, &source)?;
            if source.version == 0 {
                self.record(&mut transaction, id, "registered", "ingest", Some("on first sight".to_owned()))?;
            }
            self.store.catalog.commit(transaction).await?;
        }
        self.known.remember(id, now);
        Ok(true)
    }
}
