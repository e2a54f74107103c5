//! Sources: registering, starting, stopping, listing, and who holds whose data.

use crate::{
    Problem, Rekindle, audience::expired_data, audit::changed, holders::check_width, inputs::SourceInput,
    keys::Caller,
};
use http::StatusCode;
use rekindle_domain::{
    Ulid,
    filter::Filter,
    id::{LedgerId, SourceId, SourceKind},
    manifest::{DataState, Manifest, Tier},
    source::{Decision, Holder, Pin, Source, Status, Variant},
    time::Time,
};
use rekindle_store::{
    StoreError,
    catalog::{
        Transaction,
        sources::{ListCursor, SourceQuery, TimelineEntry},
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A source as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SourceView {
    /// `campaign/ID` or `canvas/ID`.
    pub source: SourceId,
    /// What people call it.
    pub name: String,
    /// Whether it sends; not to be confused with the state of its data.
    pub status: Status,
    /// What it is found by.
    pub tags: BTreeSet<String>,
    /// Of campaigns only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variants: Option<Vec<Variant>>,
    /// Of Canvases only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variations: Option<Vec<Variant>>,
    /// Of Canvases only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Variant>>,
    /// Whom it is sent to.
    pub audience: Option<Filter>,
    /// Who is mailed about its data.
    pub notify: Vec<String>,
    /// When it was last started.
    pub started_at: Option<Time>,
    /// When it was stopped, if it is.
    pub stopped_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Time,
    /// Where its data is, and until when.
    pub interaction_data: DataView,
    /// What lost its last holder and goes at the next sweep; only in answers to stopping and editing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now_due: Option<Vec<SourceId>>,
    /// Counts writes: the ETag.
    #[serde(skip)]
    pub version: u64,
}

/// Its data as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DataView {
    /// Whether it can be asked; `expiring`: it is on its way to the archive.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["available", "expiring", "expired", "restoring"])))]
    pub state: &'static str,
    /// When it expires; `None` while the source is active, and of data that is held, pinned without end, expired or not there.
    pub expires_at: Option<Time>,
    /// The active sources that retarget it, and so keep it.
    pub held_by: Vec<Holder>,
    /// The pin that is in force.
    pub pin: Option<Pin>,
    /// When it last expired.
    pub archived_at: Option<Time>,
    /// When it was last restored.
    pub restored_at: Option<Time>,
    /// As of the last rewrite, as are `users` and `counts`; `None` before the first.
    pub last_interaction_at: Option<Time>,
    /// How many users it has; an upper bound unless `exact`.
    pub users: Option<u64>,
    /// How many did what; upper bounds unless `exact`.
    pub counts: Option<BTreeMap<String, u64>>,
    /// Whether these are exact. Audiences always are.
    pub exact: bool,
}

/// A page of a list.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "{T}List"))]
pub struct Listing<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// `draft`, `active` or `stopped`.
    pub status: Option<String>,
    /// `available`, `expiring`, `expired` or `restoring`.
    pub state: Option<String>,
    /// Only what carries this tag.
    pub tag: Option<String>,
    /// Prefix of name or id.
    pub q: Option<String>,
    /// `updated_at` (the default) or `expires_at`.
    pub sort: Option<String>,
    /// Where the page begins.
    pub cursor: Option<ListCursor>,
    /// How many at most.
    pub limit: usize,
}

const EXPIRING: &str = "expiring";

impl ListRequest {
    /// Whether a source is of the status and in the state asked for.
    pub(crate) fn shows(&self, view: &SourceView) -> bool {
        self.state.as_ref().is_none_or(|state| *state == view.interaction_data.state)
            && self.status.as_ref().is_none_or(|status| *status == view.status.as_str())
    }
}

impl Rekindle {
    /// A source as the API shows it.
    pub fn view(&self, source: Source, manifest: &Manifest) -> SourceView {
        // A rewrite that was overtaken by a holder, a start or a restore stays staged until the sweeper looks again.
        let is_expiring = source.decide(&self.settings.retention, self.now()) == Decision::Due
            && manifest.staged_rewrite().is_some_and(|c| c.tier == Tier::Cold);
        let tally = (!manifest.runs.is_empty()).then(|| manifest.tally());
        let data = DataView {
            state: if is_expiring { EXPIRING } else { source.state.as_str() },
            expires_at: source.expires_at(&self.settings.retention),
            held_by: source.holders.iter().cloned().collect(),
            pin: source.pin_in_force(self.now()).cloned(),
            archived_at: source.archived_at,
            restored_at: source.restored_at,
            last_interaction_at: tally.as_ref().and_then(|t| t.last_at),
            users: tally.as_ref().map(|t| t.users),
            counts: tally.map(|t| t.by_kind),
            exact: manifest.runs.len() == 1,
        };
        let (variants, variations, steps) = match source.id.kind() {
            SourceKind::Campaign => (Some(source.variants), None, None),
            SourceKind::Canvas => (None, Some(source.variants), Some(source.steps)),
        };
        SourceView {
            source: source.id,
            name: source.name,
            status: source.status,
            tags: source.tags,
            variants,
            variations,
            steps,
            audience: source.audience,
            notify: source.notify,
            started_at: source.started_at,
            stopped_at: source.stopped_at,
            updated_at: source.updated_at,
            interaction_data: data,
            now_due: None,
            version: source.version,
        }
    }

    /// A source.
    ///
    /// # Errors
    /// 404 if nobody registered it.
    pub async fn get_source(&self, id: &SourceId) -> Result<SourceView, Problem> {
        let source = self.store.catalog.source(id).await?.ok_or_else(|| unknown(id))?;
        let manifest = self.store.catalog.manifest(&LedgerId::Source(id.clone())).await?;
        Ok(self.view(source, &manifest))
    }

    /// Registers a source or replaces what was said of it; `true` if it is new. `if_match`: only if its version is that.
    ///
    /// # Errors
    /// 409 expired data, 412 changed since, 422 what does not fit.
    pub async fn put_source_fields(
        &self,
        id: &SourceId,
        input: &SourceInput,
        if_match: Option<u64>,
        by: &Caller,
    ) -> Result<(SourceView, bool), Problem> {
        let audience = self.check_input(id, input).await?;
        let outcome = until_won!(self.try_put(id, input, audience.as_ref(), if_match, by).await)?;
        let (is_new, now_due) = outcome?;
        let view = self.get_source(id).await?;
        Ok((SourceView { now_due: Some(now_due).filter(|_| !is_new), ..view }, is_new))
    }

    async fn try_put(
        &self,
        id: &SourceId,
        input: &SourceInput,
        audience: Option<&Filter>,
        if_match: Option<u64>,
        by: &Caller,
    ) -> Result<Result<(bool, Vec<SourceId>), Problem>, StoreError> {
        let now = self.now();
        let found = self.store.catalog.source(id).await?;
        if if_match.is_some_and(|version| found.as_ref().map(|s| s.version) != Some(version)) {
            let detail = "the source has changed since; read it again and decide again";
            return Ok(Err(Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)));
        }
        let is_new = found.is_none();
        let before = found.unwrap_or_else(|| Source::draft(id.clone(), now));
        let after = Source {
            name: input.name.clone().unwrap_or_else(|| id.id().to_owned()),
            tags: input.tags.iter().cloned().collect(),
            variants: input.variants.clone(),
            steps: input.steps.clone(),
            audience: audience.cloned(),
            notify: input.notify.clone(),
            updated_at: now,
            ..before.clone()
        };
        let mut transaction = Transaction::new();
        let now_due = match self.move_holders(&mut transaction, &before, &after).await? {
            Ok(now_due) => now_due,
            Err(problem) => return Ok(Err(problem)),
        };
        transaction.move_tags(id, &before.tags, &after.tags);
        self.put_source(&mut transaction, &after)?;
        if is_new {
            self.record_act(&mut transaction, id, "registered", by, None)?;
        } else {
            self.audit(&mut transaction, by, "edited", &id.to_string(), edits(&before, &after))?;
        }
        if transaction.len() > Transaction::MAX {
            let detail = "the audience and the tags of an active source change too much at once; change the tags first, then the audience";
            return Ok(Err(Problem::unprocessable("too_many_changes", detail)));
        }
        self.store.catalog.commit(transaction).await?;
        Ok(Ok((is_new, now_due)))
    }

    /// 422 unless the fields fit; returns the audience's filter.
    async fn check_input(&self, id: &SourceId, input: &SourceInput) -> Result<Option<Filter>, Problem> {
        input.check(id.kind())?;
        let Some(audience) = input.audience.as_ref().filter(|a| !a.is_null()) else {
            return Ok(None);
        };
        let filter = Filter::parse(audience, "audience")?;
        let segments = self.check_filter(&filter, "audience", None, Some(id)).await?;
        check_width(&filter, &segments, Some(id), "audience")?;
        Ok(Some(filter))
    }

    /// Starts a source.
    ///
    /// # Errors
    /// 404; 409 if its own data, or data its audience needs, is expired: nothing changes then.
    pub async fn start_source(&self, id: &SourceId, by: &Caller) -> Result<SourceView, Problem> {
        self.change_status(id, by, "started", |source, now| {
            let started =
                Source { status: Status::Active, started_at: Some(now), stopped_at: None, ..source.clone() };
            Ok((source.status != Status::Active).then_some(started))
        })
        .await
    }

    /// Stops a source, now or as of a time since its start. Stopping again changes nothing.
    ///
    /// # Errors
    /// 404; 409 if it was never started, or was stopped at another time than that; 422 a time that it was not active at.
    pub async fn stop_source(
        &self,
        id: &SourceId,
        at: Option<Time>,
        by: &Caller,
    ) -> Result<SourceView, Problem> {
        self.change_status(id, by, "stopped", |source, now| match (source.status, at) {
            (Status::Draft, _) => {
                let detail = format!("{id} is a draft; only what was started can stop");
                Err(Problem::conflict("not_started", detail))
            }
            (Status::Stopped, Some(at)) if source.stopped_at != Some(at) => {
                let stopped_at = source.stopped_at.unwrap_or_default();
                let detail = format!("{id} was stopped at {stopped_at} already; that does not change");
                Err(Problem::conflict("already_stopped", detail))
            }
            (Status::Stopped, _) => Ok(None),
            (Status::Active, Some(at)) if at > now || source.started_at.is_some_and(|start| at < start) => {
                let start = source.started_at.unwrap_or_default();
                let detail =
                    format!("at must not be before {start}, when {id} was started, nor after now, {now}");
                Err(Problem::unprocessable("invalid_at", detail))
            }
            (Status::Active, at) => {
                let stopped_at = Some(at.unwrap_or(now));
                Ok(Some(Source { status: Status::Stopped, stopped_at, ..source.clone() }))
            }
        })
        .await
    }

    async fn change_status(
        &self,
        id: &SourceId,
        by: &Caller,
        event: &str,
        change: impl Fn(&Source, Time) -> Result<Option<Source>, Problem>,
    ) -> Result<SourceView, Problem> {
        let outcome = until_won!({
            let now = self.now();
            let Some(before) = self.store.catalog.source(id).await? else {
                return Ok(Err(unknown(id)));
            };
            let after = match change(&before, now) {
                Ok(Some(after)) => after,
                Ok(None) => return Ok(Ok(Vec::new())),
                Err(problem) => return Ok(Err(problem)),
            };
            if after.status == Status::Active && before.state != DataState::Available {
                return Ok(Err(expired_data(&BTreeSet::from([id.clone()]))));
            }
            let as_of = after.stopped_at.filter(|at| *at != now).map(|at| format!("as of {at}"));
            let after = Source { updated_at: now, ..after };
            let mut transaction = Transaction::new();
            let now_due = match self.move_holders(&mut transaction, &before, &after).await? {
                Ok(now_due) => now_due,
                Err(problem) => return Ok(Err(problem)),
            };
            self.put_source(&mut transaction, &after)?;
            self.record_act(&mut transaction, id, event, by, as_of)?;
            self.store.catalog.commit(transaction).await?;
            Ok(Ok(now_due))
        })?;
        let now_due = outcome?;
        let view = self.get_source(id).await?;
        Ok(SourceView { now_due: (event == "stopped").then_some(now_due), ..view })
    }

    /// A page of sources.
    ///
    /// # Errors
    /// 400 a sort of what carries a tag, 503.
    pub async fn list(
        &self,
        kind: SourceKind,
        request: &ListRequest,
    ) -> Result<Listing<SourceView>, Problem> {
        if let Some(tag) = &request.tag {
            return self.list_tagged(kind, tag, request).await;
        }
        let is_expiring = request.state.as_deref() == Some(EXPIRING);
        let query = SourceQuery {
            status: request.status.clone(),
            state: if is_expiring { Some("available".to_owned()) } else { request.state.clone() },
            prefix: request.q.clone().filter(|q| !q.is_empty()),
            by_expiry: request.sort.as_deref() == Some("expires_at"),
        };
        let catalog = &self.store.catalog;
        let (ids, next) = catalog.list_sources(kind, &query, request.cursor.clone(), request.limit).await?;
        let sources = catalog.sources(&ids).await?;
        let mut items: Vec<SourceView> = sources.into_iter().map(|(s, m)| self.view(s, &m)).collect();
        // The index lags by a moment, and knows nothing of `expiring`: what is shown is what is.
        items.retain(|view| request.shows(view));
        Ok(Listing { items, next: next.map(|c| encode_cursor(&c)) })
    }

    /// A page of a source's timeline, newest first.
    ///
    /// # Errors
    /// 404.
    pub async fn timeline(
        &self,
        id: &SourceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<TimelineEntry>, Problem> {
        if after.is_some_and(|after| Ulid::from_string(after).is_err()) {
            return Err(Problem::bad_request("invalid_cursor", NOT_OURS));
        }
        self.store.catalog.source(id).await?.ok_or_else(|| unknown(id))?;
        let (entries, more) = self.store.catalog.timeline(id, after, limit).await?;
        let next = entries.last().filter(|_| more).map(|(id, _)| id.clone());
        Ok(Listing { items: entries.into_iter().map(|(_, e)| e).collect(), next })
    }
}

/// The fields that an edit changed, as the API names them.
fn edits(before: &Source, after: &Source) -> Option<String> {
    let variants = match after.id.kind() {
        SourceKind::Campaign => "variants",
        SourceKind::Canvas => "variations",
    };
    changed(&[
        ("name", before.name != after.name),
        ("tags", before.tags != after.tags),
        (variants, before.variants != after.variants),
        ("steps", before.steps != after.steps),
        ("audience", before.audience != after.audience),
        ("notify", before.notify != after.notify),
    ])
}

/// 404.
pub(crate) fn unknown(id: &SourceId) -> Problem {
    Problem::not_found("unknown_source", format!("{id} is not registered"))
}

/// What a cursor is told that is not one.
pub(crate) const NOT_OURS: &str = "cursor is not one of ours; take it from `next`";

/// An opaque cursor.
pub fn encode_cursor(cursor: &impl Serialize) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

/// What [`encode_cursor`] wrote.
///
/// # Errors
/// 400 if it is not that.
pub fn decode_cursor<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Problem> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let cursor = bytes.and_then(|b| serde_json::from_slice(&b).ok());
    cursor.ok_or_else(|| Problem::bad_request("invalid_cursor", NOT_OURS))
}
