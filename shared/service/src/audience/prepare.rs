//! Making a question ready: the filter is followed and compiled, and each of its ledgers is opened.

use super::questions::IfExpired;
use crate::{
    app::Rekindle,
    ledger::LedgerView,
    library::filters_of,
    page::decode_cursor,
    problem::{Problem, expired_data},
};
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{
    filter::{Filter, Known, Program},
    id::{LedgerId, SourceId},
    manifest::DataState,
    rows::user_hash,
    time::Time,
};
use rekindle_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many ledgers are opened at once.
const CONCURRENT_LEDGERS: usize = 4;

/// The most sources a question may come to, those of its segments and those that carry its tags included: each is a
/// ledger to read.
const MAX_READ: usize = 500;

/// The most a question may ask of each user, its segments and tags written out.
const MAX_WIDTH: usize = 20_000;

/// The most copies in the archive that a question may read at once: each is some megabytes in memory.
const MAX_ARCHIVED: usize = 150;

/// Where an answer goes on: after that user, of the same question, as of the same time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct QuestionCursor {
    pub(super) now: Time,
    pub(super) question: u64,
    pub(super) hash: u64,
    pub(super) id: String,
}

/// A question made ready: the program, and what is seen of each of its ledgers.
pub(super) struct Prepared {
    pub(super) program: Program,
    pub(super) views: Vec<LedgerView>,
    pub(super) unavailable: BTreeSet<SourceId>,
}

impl Rekindle {
    pub(super) async fn prepare(
        &self,
        filter: &Value,
        if_expired: IfExpired,
        cursor: Option<&str>,
        only: Option<u64>,
    ) -> Result<(Prepared, QuestionCursor), Problem> {
        let parsed = Filter::parse(filter, "filter")?;
        let question = user_hash(filter.to_string().as_bytes()) ^ if_expired as u64;
        let from = self.start(cursor, question)?;
        let segments = self.check_filter(&parsed, "filter", None, None).await?;
        let all: Vec<&Filter> =
            std::iter::once(&parsed).chain(segments.values().map(|s| &s.filter)).collect();
        let mut sources: BTreeSet<SourceId> = all.iter().flat_map(|f| f.sources()).collect();
        let mut tags = BTreeMap::new();
        for tag in all.iter().flat_map(|f| f.tags()).collect::<BTreeSet<_>>() {
            let tagged: BTreeSet<SourceId> = self.store.catalog.tagged(&tag).await?.into_iter().collect();
            sources.extend(tagged.iter().cloned());
            tags.insert(tag, tagged);
        }
        if sources.len() > MAX_READ {
            let detail = format!(
                "filter: with its segments and tags it is about {} sources, and {MAX_READ} is the most; narrow it",
                sources.len()
            );
            return Err(Problem::unprocessable("filter_too_wide", detail).at("filter"));
        }
        let mut seen: HashMap<LedgerId, LedgerView> = HashMap::new();
        let mut unavailable = BTreeSet::new();
        let open = |source: SourceId| async move {
            let ledger = LedgerId::Source(source);
            let view = if if_expired == IfExpired::Archive {
                Some(LedgerView::open_archived(&self.store, &ledger, only).await?)
            } else if self.store.catalog.manifest(&ledger).await?.state == DataState::Available {
                // A look that is cheap where the data is not available; here the manifest is read after the inbox.
                LedgerView::open(&self.store, &ledger, only).await?
            } else {
                None
            };
            Ok::<_, StoreError>((ledger, view))
        };
        let opened: Vec<_> =
            stream::iter(sources).map(open).buffered(CONCURRENT_LEDGERS).try_collect().await?;
        for (ledger, view) in opened {
            match (view, ledger) {
                (Some(view), ledger) => _ = seen.insert(ledger, view),
                (None, LedgerId::Source(source)) => _ = unavailable.insert(source),
                (None, LedgerId::Users) => {}
            }
        }
        if if_expired == IfExpired::Refuse && !unavailable.is_empty() {
            return Err(expired_data(unavailable));
        }
        let known =
            Known { now: from.now, unavailable: unavailable.clone(), tags, segments: filters_of(&segments) };
        if known.width(&parsed) > MAX_WIDTH {
            let detail = format!(
                "filter: with its segments and tags written out it asks more than {MAX_WIDTH} things of each user; narrow it"
            );
            return Err(Problem::unprocessable("filter_too_wide", detail).at("filter"));
        }
        let program = Program::compile(&parsed, &known);
        let mut views = Vec::with_capacity(program.ledgers().len());
        for ledger in program.ledgers() {
            let view = match seen.remove(ledger) {
                Some(view) => Some(view),
                None => LedgerView::open(&self.store, ledger, only).await?,
            };
            views.push(view.ok_or_else(|| StoreError::missing(format!("the data of {ledger}")))?);
        }
        let archived = views.iter().map(LedgerView::archived).sum::<usize>();
        if archived > MAX_ARCHIVED && only.is_none() {
            let detail = format!(
                "filter: its data lies in {archived} pieces of the archive, and {MAX_ARCHIVED} is the most to be read at once; restore some of it, or narrow the filter"
            );
            return Err(Problem::unprocessable("archive_too_wide", detail).at("filter"));
        }
        Ok((Prepared { program, views, unavailable }, from))
    }

    fn start(&self, cursor: Option<&str>, question: u64) -> Result<QuestionCursor, Problem> {
        match cursor {
            Some(text) => {
                let cursor: QuestionCursor = decode_cursor(text)?;
                if cursor.question != question {
                    let detail = "cursor belongs to another filter; send the same filter with it";
                    return Err(Problem::bad_request("invalid_cursor", detail));
                }
                Ok(cursor)
            }
            None => Ok(QuestionCursor { now: self.now(), question, hash: 0, id: String::new() }),
        }
    }
}
