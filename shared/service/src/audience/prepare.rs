//! Making a question ready: the filter is followed and compiled, and each of its ledgers is opened.

use crate::{
    app::Rekindle,
    ledger::LedgerView,
    library::{UnknownNames, filters_of},
    page::decode_cursor,
    people::people_of_page,
    problem::{Problem, expired_data},
};
use futures::{StreamExt, TryStreamExt, future::try_join, stream};
use rekindle_domain::{
    filter::{Filter, Known, Program},
    id::{LedgerId, SourceId},
    manifest::DataState,
    people::{People, UserId},
    rows::fingerprint,
    segment::Segment,
    time::Time,
};
use rekindle_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What to do where a filter needs data that is not available.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IfExpired {
    /// Refuse, and say what to restore.
    #[default]
    Refuse,
    /// Answer what is certain.
    Exclude,
    /// Read the archive: nothing is unknown, nothing is restored, and it takes longer.
    Archive,
}

/// The number of ledgers that are opened at once.
const CONCURRENT_LEDGERS: usize = 4;

/// The most sources that a question may expand to, with those of its segments and tags: each is a ledger to read.
const MAX_READ: usize = 500;

/// The most conditions that a question may ask of each user, with its segments and tags written out.
const MAX_WIDTH: usize = 20_000;

/// The most copies in the archive that a question may read at once: each is some megabytes in memory.
const MAX_ARCHIVED: usize = 150;

/// A place in the answer to a question: after this user, for the same question, as of the same time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct QuestionCursor {
    pub(super) now: Time,
    /// The fingerprint of the filter.
    pub(super) question: u64,
    /// The fingerprint of the segments that the filter names, directly or through others.
    pub(super) segments: u64,
    /// The fingerprint of the sources that carry the tags which the filter and its segments name.
    pub(super) tags: u64,
    /// The last merge of user ids that the page before knew.
    #[serde(default)]
    pub(super) merged: u64,
    pub(super) hash: u64,
    pub(super) id: String,
}

/// The parts of a request that a question is made of.
pub(super) struct Asked<'a> {
    pub(super) filter: &'a Value,
    pub(super) if_expired: IfExpired,
    pub(super) unknown_names: UnknownNames,
}

/// A question made ready: the program, a view of each of its ledgers, whose id is whose, and the sources whose data is not
/// available.
pub(super) struct Prepared {
    pub(super) program: Program,
    pub(super) views: Vec<LedgerView>,
    pub(super) people: People,
    pub(super) unavailable: BTreeSet<SourceId>,
}

/// The views of the sources whose data may be read, and the sources whose data is not available.
#[derive(Default)]
struct Opened {
    views: HashMap<LedgerId, LedgerView>,
    unavailable: BTreeSet<SourceId>,
    /// Those of them of which late rows can be read.
    late: BTreeSet<SourceId>,
}

fn too_wide(code: &'static str, detail: String) -> Problem {
    Problem::unprocessable(code, detail).at("filter")
}

impl Rekindle {
    /// Makes a question ready. With `only` it is about the person of this user id, and fewer records are read.
    ///
    /// # Errors
    /// 400 a cursor of another question; 409 expired data; 422 an invalid filter; 503.
    pub(super) async fn prepare(
        &self,
        asked: &Asked<'_>,
        cursor: Option<&str>,
        only: Option<&str>,
    ) -> Result<(Prepared, QuestionCursor), Problem> {
        let Asked { filter, if_expired, unknown_names } = *asked;
        let parsed = Filter::parse(filter, "filter")?;
        let question = fingerprint(filter.to_string().as_bytes()) ^ if_expired as u64;
        // The first page's names were let in. If a tag lost its sources since, the cursor is refused below.
        let unknown_names = if cursor.is_some() { UnknownNames::Allow } else { unknown_names };
        let cursor = cursor.map(|text| place_in(question, text)).transpose()?;
        // The people before any ledger: a rewrite moves rows only by merges that were made long before.
        let people = async { Ok(self.people().await?) };
        let segments = self.check_filter(&parsed, "filter", None, None, unknown_names);
        let (people, segments) = try_join(people, segments).await?;
        let only = only.map(|user_id| people.ids(user_id));
        let only = only.as_deref();
        let all: Vec<&Filter> =
            std::iter::once(&parsed).chain(segments.values().map(|s| &s.filter)).collect();
        let (sources, tags) = self.scope(&all).await?;
        let mut from = self.start(cursor, question, &segments, &tags, &people)?;
        let Opened { mut views, unavailable, late } = self.open_sources(sources, if_expired, only).await?;
        if if_expired == IfExpired::Refuse && !unavailable.is_empty() {
            return Err(expired_data(unavailable));
        }
        let segments = filters_of(&segments);
        let known = Known { now: from.now, unavailable: unavailable.clone(), late, tags, segments };
        if known.width(&parsed) > MAX_WIDTH {
            let detail = format!(
                "filter: with its segments and tags written out it has more than {MAX_WIDTH} conditions on each user; name fewer tags, segments or sources"
            );
            return Err(too_wide("filter_too_wide", detail));
        }
        let program = Program::compile(&parsed, &known);
        let mut ready = Vec::with_capacity(program.ledgers().len());
        for ledger in program.ledgers() {
            let view = match views.remove(ledger) {
                Some(view) => Some(view),
                None => LedgerView::open(&self.store, ledger, only).await?,
            };
            ready.push(view.ok_or_else(|| StoreError::missing(format!("the data of {ledger}")))?);
        }
        let archived = ready.iter().map(LedgerView::archived).sum::<usize>();
        if archived > MAX_ARCHIVED && only.is_none() {
            let detail = format!(
                "filter: its data lies in {archived} pieces of the archive, and {MAX_ARCHIVED} is the most to be read at once; restore some of it, or narrow the filter"
            );
            return Err(too_wide("archive_too_wide", detail));
        }
        let folded = ready.iter().map(LedgerView::folded).max().unwrap_or(0);
        let people = people_of_page(people, from.merged, (from.hash, from.id.as_bytes()), folded)?;
        from.merged = people.last();
        Ok((Prepared { program, views: ready, people, unavailable }, from))
    }

    /// The sources that the filters ask, by name or by a tag that the sources carry now; and the sources of each tag.
    async fn scope(
        &self,
        filters: &[&Filter],
    ) -> Result<(BTreeSet<SourceId>, BTreeMap<String, BTreeSet<SourceId>>), Problem> {
        let mut sources: BTreeSet<SourceId> = filters.iter().flat_map(|f| f.sources()).collect();
        let mut tags = BTreeMap::new();
        for tag in filters.iter().flat_map(|f| f.tags()).collect::<BTreeSet<_>>() {
            let tagged: BTreeSet<SourceId> = self.store.catalog.tagged(&tag).await?.into_iter().collect();
            sources.extend(tagged.iter().cloned());
            tags.insert(tag, tagged);
        }
        if sources.len() > MAX_READ {
            let detail = format!(
                "filter: with its segments and tags it is about {} sources, and {MAX_READ} is the most; narrow it",
                sources.len()
            );
            return Err(too_wide("filter_too_wide", detail));
        }
        Ok((sources, tags))
    }

    /// Opens the ledger of each source whose data may be read. Of expired data that is to be excluded, the rows that arrived
    /// since are read all the same: they are few, and certain.
    async fn open_sources(
        &self,
        sources: BTreeSet<SourceId>,
        if_expired: IfExpired,
        only: Option<&[UserId]>,
    ) -> Result<Opened, StoreError> {
        let open = |source: SourceId| async move {
            let ledger = LedgerId::Source(source.clone());
            let view = if if_expired == IfExpired::Archive {
                Some(LedgerView::open_archived(&self.store, &ledger, only).await?)
            } else if self.store.catalog.manifest(&ledger).await?.state == DataState::Available {
                // This read spares the inbox if the data is not available. `open` reads the manifest again, after the
                // inbox.
                LedgerView::open(&self.store, &ledger, only).await?
            } else {
                None
            };
            let late = match &view {
                None if if_expired == IfExpired::Exclude => self.open_late(&source, only).await?,
                _ => None,
            };
            Ok::<_, StoreError>((source, view, late))
        };
        let found: Vec<_> =
            stream::iter(sources).map(open).buffered(CONCURRENT_LEDGERS).try_collect().await?;
        let mut opened = Opened::default();
        let mut archived = 0;
        for (source, view, late) in found {
            if view.is_none() {
                opened.unavailable.insert(source.clone());
            }
            // What is too much to read at once stays unknown.
            let late = late.filter(|late| archived + late.archived() <= MAX_ARCHIVED);
            if let Some(late) = &late {
                archived += late.archived();
                opened.late.insert(source.clone());
            }
            opened.views.extend(view.or(late).map(|view| (LedgerId::Source(source), view)));
        }
        Ok(opened)
    }

    async fn open_late(
        &self,
        id: &SourceId,
        only: Option<&[UserId]>,
    ) -> Result<Option<LedgerView>, StoreError> {
        let archived_at = self.store.catalog.source(id).await?.and_then(|source| source.archived_at);
        let Some(archived_at) = archived_at else { return Ok(None) };
        LedgerView::open_late(&self.store, &LedgerId::Source(id.clone()), archived_at, only).await
    }

    /// The place where the answer goes on.
    ///
    /// # Errors
    /// 400 if a segment or the sources of a tag changed since the first page: the pages would be of two audiences.
    fn start(
        &self,
        cursor: Option<QuestionCursor>,
        question: u64,
        segments: &BTreeMap<String, Segment>,
        tags: &BTreeMap<String, BTreeSet<SourceId>>,
        people: &People,
    ) -> Result<QuestionCursor, Problem> {
        let filters: Vec<(&String, &Filter)> = segments.iter().map(|(id, s)| (id, &s.filter)).collect();
        let (segments, tags) = (fingerprint_of(&filters), fingerprint_of(tags));
        let Some(cursor) = cursor else {
            return Ok(QuestionCursor {
                now: self.now(),
                question,
                segments,
                tags,
                merged: people.last(),
                hash: 0,
                id: String::new(),
            });
        };
        let changed = if cursor.segments != segments {
            "a segment that the filter names"
        } else if cursor.tags != tags {
            "the set of sources that carry a tag of the filter"
        } else {
            return Ok(cursor);
        };
        let detail = format!("{changed} changed since the first page; ask again without a cursor");
        Err(Problem::bad_request("invalid_cursor", detail))
    }
}

fn fingerprint_of(value: &impl Serialize) -> u64 {
    fingerprint(&serde_json::to_vec(value).unwrap_or_default())
}

/// The cursor of a question.
///
/// # Errors
/// 400 a cursor that is not ours, or is of another question.
fn place_in(question: u64, cursor: &str) -> Result<QuestionCursor, Problem> {
    let cursor: QuestionCursor = decode_cursor(cursor)?;
    if cursor.question != question {
        let detail = "cursor belongs to another filter; send the same filter with it";
        return Err(Problem::bad_request("invalid_cursor", detail));
    }
    Ok(cursor)
}
