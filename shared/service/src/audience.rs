//! Audiences: how many, who, and is this user in. One streamed merge over the ledgers a filter names.

use crate::{
    Problem, Rekindle,
    holders::filters as filters_of,
    read::{Batch, LedgerView, Stream},
    sources::{decode_cursor, encode_cursor},
};
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{
    filter::{FacetAtoms, Filter, Known, Presence, Program, Tallied, Truth},
    id::{LedgerId, SourceId},
    interaction::check_user_id,
    manifest::DataState,
    merge::Merge,
    rows::{UserRows, user_hash},
    time::Time,
};
use rekindle_store::{StoreError, ledger::Piece};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::ControlFlow,
};

/// A copy that goes away while it is read fails the read: then everything is read anew, once, from the manifest on.
macro_rules! retried {
    ($read:expr) => {{
        let mut is_retry = false;
        loop {
            let outcome: Result<_, $crate::Problem> = async { $read }.await;
            match outcome {
                Err(problem) if problem.code == $crate::problem::DAMAGED && !is_retry => is_retry = true,
                other => break other,
            }
        }
    }};
}
pub(crate) use retried;

/// The most members one page has.
pub const MAX_MEMBERS: usize = 50_000;
/// The most bytes of user ids one page has.
const MAX_MEMBER_BYTES: usize = 5 << 20;
const DEFAULT_MEMBERS: usize = 1_000;
/// How many ledgers are opened at once.
const CONCURRENT_LEDGERS: usize = 4;

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

/// The most sources a question may come to, those of its segments and those that carry its tags included: each is a
/// ledger to read.
const MAX_READ: usize = 500;
/// The most a question may ask of each user, its segments and tags written out.
const MAX_WIDTH: usize = 20_000;
/// The most copies in the archive that a question may read at once: each is some megabytes in memory.
const MAX_ARCHIVED: usize = 150;

/// A question about an audience.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CountRequest {
    /// The filter.
    #[cfg_attr(feature = "schema", schemars(with = "Filter"))]
    pub filter: Value,
    /// What to do about expired data.
    #[serde(default)]
    pub expired: IfExpired,
    /// Where a partial answer goes on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A question for a page of members.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MembersRequest {
    /// The filter.
    #[cfg_attr(feature = "schema", schemars(with = "Filter"))]
    pub filter: Value,
    /// What to do about expired data.
    #[serde(default)]
    pub expired: IfExpired,
    /// How many at most.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_MEMBERS), extend("default" = DEFAULT_MEMBERS)))]
    pub limit: Option<usize>,
    /// Where the page begins.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A question about one user.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MatchRequest {
    /// The filter.
    #[cfg_attr(feature = "schema", schemars(with = "Filter"))]
    pub filter: Value,
    /// What to do about expired data.
    #[serde(default)]
    pub expired: IfExpired,
    /// The user.
    #[cfg_attr(feature = "schema", schemars(with = "rekindle_domain::schema::UserId"))]
    pub user_id: String,
}

/// How many match.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Count {
    /// Users who certainly match.
    pub count: u64,
    /// Users of whom it cannot be said while data is expired.
    pub unknown: u64,
    /// The sources whose data is not available.
    pub expired: Vec<SourceId>,
    /// Where to go on if the time ended first; the counts are of what was looked at.
    pub next: Option<String>,
}

/// A page of members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Members {
    /// User ids, by user hash, then id.
    pub items: Vec<String>,
    /// The sources whose data is not available.
    pub expired: Vec<SourceId>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// Whether a user matches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Match {
    /// `yes`, `no` or `unknown`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["yes", "no", "unknown"])))]
    #[serde(rename = "match")]
    pub answer: &'static str,
    /// The sources whose data is not available.
    pub expired: Vec<SourceId>,
}

/// Where an answer goes on: after that user, of the same question, as of the same time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Cursor {
    now: Time,
    question: u64,
    hash: u64,
    id: String,
}

/// A question made ready: the program, and what is seen of each of its ledgers.
struct Prepared {
    program: Program,
    views: Vec<LedgerView>,
    unavailable: BTreeSet<SourceId>,
}

impl Rekindle {
    /// How many users match.
    ///
    /// # Errors
    /// 400 malformed, 409 expired data, 422 invalid filter, 503.
    pub async fn count(&self, request: &CountRequest) -> Result<Count, Problem> {
        retried!({
            let (prepared, from) =
                self.prepare(&request.filter, request.expired, request.cursor.as_deref(), None).await?;
            let mut counting = Counting { presence: prepared.program.presence(), found: Tallied::default() };
            let next = self.walk(&prepared, from, &mut counting).await?;
            let Tallied { yes: count, unknown } = counting.found;
            Ok(Count { count, unknown, expired: prepared.unavailable.into_iter().collect(), next })
        })
    }

    /// A page of those who match.
    ///
    /// # Errors
    /// As [`Rekindle::count`].
    pub async fn members(&self, request: &MembersRequest) -> Result<Members, Problem> {
        let limit = request.limit.unwrap_or(DEFAULT_MEMBERS);
        if !(1..=MAX_MEMBERS).contains(&limit) {
            return Err(Problem::unprocessable("invalid_limit", format!("limit must be 1 to {MAX_MEMBERS}")));
        }
        retried!({
            let (prepared, from) =
                self.prepare(&request.filter, request.expired, request.cursor.as_deref(), None).await?;
            let mut paging = Paging { limit, items: Vec::new(), bytes: 0 };
            let next = self.walk(&prepared, from, &mut paging).await?;
            Ok(Members { items: paging.items, expired: prepared.unavailable.into_iter().collect(), next })
        })
    }

    /// Whether one user matches. Reads the inboxes, and a block of each run.
    ///
    /// # Errors
    /// As [`Rekindle::count`].
    pub async fn matches(&self, request: &MatchRequest) -> Result<Match, Problem> {
        let id = &request.user_id;
        check_user_id(id).map_err(|d| Problem::unprocessable("invalid_user_id", format!("user_id {d}")))?;
        let hash = user_hash(id.as_bytes());
        retried!({
            let (Prepared { program, views, unavailable }, _) =
                self.prepare(&request.filter, request.expired, None, Some(hash)).await?;
            let mut facts = program.blank();
            let mut is_known = false;
            for (ledger, view) in views.iter().enumerate() {
                for batch in view.look_up(hash).await? {
                    let atoms = program.facet_atoms(ledger, &batch.facets);
                    for user in batch.iter().filter(|u| u.id == id.as_bytes()) {
                        is_known = true;
                        facts.learn(user.rows, &atoms);
                    }
                }
            }
            // "Has not" is over users ever seen: one that no ledger knows is in no audience.
            let answer = match program.answer(&facts) {
                _ if !is_known => "no",
                Truth::Yes => "yes",
                Truth::No => "no",
                Truth::Unknown => "unknown",
            };
            Ok(Match { answer, expired: unavailable.into_iter().collect() })
        })
    }

    async fn prepare(
        &self,
        filter: &Value,
        if_expired: IfExpired,
        cursor: Option<&str>,
        only: Option<u64>,
    ) -> Result<(Prepared, Cursor), Problem> {
        let parsed = Filter::parse(filter, "filter")?;
        let question = user_hash(filter.to_string().as_bytes()) ^ if_expired as u64;
        let from = self.start(cursor, question)?;
        let segments = self.check_filter(&parsed, "filter", None, None).await?;
        let filters: Vec<&Filter> =
            std::iter::once(&parsed).chain(segments.values().map(|s| &s.filter)).collect();
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
            return Err(Problem::unprocessable("filter_too_wide", detail).with("path", "filter"));
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
            return Err(expired_data(&unavailable));
        }
        let known =
            Known { now: from.now, unavailable: unavailable.clone(), tags, segments: filters_of(&segments) };
        if known.width(&parsed) > MAX_WIDTH {
            let detail = format!(
                "filter: with its segments and tags written out it asks more than {MAX_WIDTH} things of each user; narrow it"
            );
            return Err(Problem::unprocessable("filter_too_wide", detail).with("path", "filter"));
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
            return Err(Problem::unprocessable("archive_too_wide", detail).with("path", "filter"));
        }
        Ok((Prepared { program, views, unavailable }, from))
    }

    fn start(&self, cursor: Option<&str>, question: u64) -> Result<Cursor, Problem> {
        match cursor {
            Some(text) => {
                let cursor: Cursor = decode_cursor(text)?;
                if cursor.question != question {
                    let detail = "cursor belongs to another filter; send the same filter with it";
                    return Err(Problem::bad_request("invalid_cursor", detail));
                }
                Ok(cursor)
            }
            None => Ok(Cursor { now: self.now(), question, hash: 0, id: String::new() }),
        }
    }

    /// Shows every user from the cursor on until it is enough, the time is up or all were asked; returns where to go on.
    async fn walk(
        &self,
        prepared: &Prepared,
        from: Cursor,
        visitor: &mut impl Visitor,
    ) -> Result<Option<String>, StoreError> {
        let until = self.now().plus(self.settings.audience_millis);
        let program = &prepared.program;
        let hashes = from.hash..=u64::MAX;
        let mut streams: Vec<(usize, Stream)> = Vec::new();
        for (ledger, view) in prepared.views.iter().enumerate() {
            streams.extend(view.streams(&hashes).into_iter().map(|s| (ledger, s)));
        }
        let mut atoms = vec![FacetAtoms::default(); streams.len()];
        let mut merge = Merge::new(streams.len());
        let mut facts = program.blank();
        let mut last: Option<(u64, Vec<u8>)> = None;
        loop {
            while let Some(i) = merge.needs() {
                let (ledger, stream) = &mut streams[i];
                let Some(batch) = stream.next_batch().await? else {
                    merge.finish(i);
                    continue;
                };
                if let Batch::Piece(piece) = &batch {
                    let hashes = piece.hashes();
                    let is_all_new = from.id.is_empty() || from.hash < *hashes.start();
                    if is_all_new && merge.is_alone_to(i, *hashes.end()) && visitor.piece(piece)? {
                        let after = hashes.end().checked_add(1);
                        if let Some(hash) = after.filter(|_| self.now() >= until) {
                            return Ok(Some(self.go_on(&from, hash, b"")));
                        }
                        continue;
                    }
                }
                let rows = batch.rows()?;
                atoms[i] = program.facet_atoms(*ledger, &rows.facets);
                merge.feed(i, rows);
            }
            let mut ended = true;
            while let Some(group) = merge.next_group() {
                ended = false;
                let user = group.user();
                if (user.hash, user.id) <= (from.hash, from.id.as_bytes()) {
                    continue;
                }
                facts.reset();
                group.parts().for_each(|(stream, _, user)| facts.learn(user.rows, &atoms[stream]));
                if visitor.user(&user, program.answer(&facts)).is_break() {
                    return Ok(Some(self.go_on(&from, user.hash, user.id)));
                }
                match &mut last {
                    Some((hash, id)) => {
                        *hash = user.hash;
                        id.clear();
                        id.extend_from_slice(user.id);
                    }
                    None => last = Some((user.hash, user.id.to_vec())),
                }
            }
            if ended && merge.needs().is_none() {
                return Ok(None);
            }
            if let Some((hash, id)) = &last
                && self.now() >= until
            {
                return Ok(Some(self.go_on(&from, *hash, id)));
            }
        }
    }

    fn go_on(&self, from: &Cursor, hash: u64, id: &[u8]) -> String {
        encode_cursor(&Cursor { hash, id: String::from_utf8_lossy(id).into_owned(), ..from.clone() })
    }

    /// Those of these sources that nobody registered.
    pub(crate) async fn unknown_sources(
        &self,
        named: &BTreeSet<SourceId>,
    ) -> Result<BTreeSet<SourceId>, StoreError> {
        let ids: Vec<SourceId> = named.iter().cloned().collect();
        let found = self.store.catalog.sources(&ids).await?;
        let known: BTreeSet<SourceId> = found.into_iter().map(|(source, _)| source.id).collect();
        Ok(named.difference(&known).cloned().collect())
    }
}

/// Is shown the users of an audience, in ledger order.
trait Visitor {
    /// A user, and whether it is in. Breaks where that was enough.
    fn user(&mut self, user: &UserRows<'_>, answer: Truth) -> ControlFlow<()>;

    /// Users of whom there is nothing but this; `false` to be shown them one by one.
    fn piece(&mut self, _: &Piece) -> Result<bool, StoreError> {
        Ok(false)
    }
}

struct Counting<'a> {
    /// Counts whole blocks, if the question allows it.
    presence: Option<Presence<'a>>,
    found: Tallied,
}

impl Visitor for Counting<'_> {
    fn user(&mut self, _: &UserRows<'_>, answer: Truth) -> ControlFlow<()> {
        self.found.yes += u64::from(answer == Truth::Yes);
        self.found.unknown += u64::from(answer == Truth::Unknown);
        ControlFlow::Continue(())
    }

    fn piece(&mut self, piece: &Piece) -> Result<bool, StoreError> {
        let (Some(presence), Some(block)) = (&mut self.presence, piece.block()) else {
            return Ok(false);
        };
        let found = presence.count(block).map_err(|e| piece.damaged(e))?;
        self.found.yes += found.map_or(0, |f| f.yes);
        self.found.unknown += found.map_or(0, |f| f.unknown);
        Ok(found.is_some())
    }
}

struct Paging {
    limit: usize,
    items: Vec<String>,
    bytes: usize,
}

impl Visitor for Paging {
    fn user(&mut self, user: &UserRows<'_>, answer: Truth) -> ControlFlow<()> {
        if answer == Truth::Yes {
            let escaped = user.id.iter().filter(|b| matches!(b, b'"' | b'\\')).count();
            self.bytes += user.id.len() + escaped + 3;
            self.items.push(String::from_utf8_lossy(user.id).into_owned());
        }
        let is_full = self.items.len() >= self.limit || self.bytes >= MAX_MEMBER_BYTES;
        if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// 409, with what to restore.
pub(crate) fn expired_data(sources: &BTreeSet<SourceId>) -> Problem {
    let list: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let detail = format!(
        "the interaction data of {} is not available; restore it with POST /v1/restores {{\"sources\":[…]}}",
        list.join(", ")
    );
    Problem::conflict("expired_interaction_data", detail).with("expired", list)
}
