//! A source as the API shows it.

use crate::{
    app::Rekindle,
    problem::{Problem, ProblemKind, Remedy},
};
use rekindle_domain::{
    deletion::Deletion,
    filter::Filter,
    id::{LedgerId, SourceId, SourceKind},
    manifest::{DataState, Manifest},
    source::{Holder, Pin, Source, Status, Variant},
    tally::Tally,
    time::Time,
};
use serde::Serialize;
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
    /// Whether an interaction registered it, and nobody has edited it since.
    pub first_sight: bool,
    /// Of a deleted source: when it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
    /// Of a deleted source: when it cannot be brought back any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_at: Option<Time>,
    /// Where its data is, and until when.
    pub interaction_data: DataView,
    /// The sources whose data nothing keeps any more through this act, although its time is over; only in answers to acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now_due: Option<Vec<NowDue>>,
    /// Counts writes: the ETag.
    #[serde(skip)]
    pub version: u64,
}

/// A source whose data an act made due.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NowDue {
    /// The source.
    pub source: SourceId,
    /// When its data expires: at the end of the notice, in which the act can be undone.
    pub expires_at: Time,
}

/// Its data as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DataView {
    /// Whether it can be asked; `expiring`: it is on its way to the archive.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("enum" = ["available", "expiring", "expired", "restoring"])))]
    pub state: ShownState,
    /// When it expires; `None` while the source is active, and of data that is held, pinned without end, expired or not there.
    pub expires_at: Option<Time>,
    /// The active sources that retarget it, and so keep it.
    pub held_by: Vec<Holder>,
    /// The pin that is in force.
    pub pin: Option<Pin>,
    /// Whether an interaction ever arrived. The counts below may not know yet.
    #[serde(skip)]
    pub is_there: bool,
    /// When it last expired.
    pub archived_at: Option<Time>,
    /// When it was last restored.
    pub restored_at: Option<Time>,
    /// The time of the latest interaction. This, `users` and `counts` are of every interaction that arrived in the answer to
    /// `GET` of one source, and of the last rewrite elsewhere; `None` where there is none.
    pub last_interaction_at: Option<Time>,
    /// How many users it has; an upper bound unless `exact`.
    pub users: Option<u64>,
    /// How many did what; upper bounds unless `exact`.
    pub counts: Option<BTreeMap<String, u64>>,
    /// Whether these are known to be exact. Audiences always are.
    pub exact: bool,
}

/// The state of a source's data as the API shows it: the stored state, or `expiring` once the expiry date is past.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownState {
    /// Questions can read the data.
    Available,
    /// Its expiry date is past: it is on its way to the archive. Questions can still read the data.
    Expiring,
    /// The data is in the archive.
    Expired,
    /// A restore is under way.
    Restoring,
}

impl ShownState {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Restoring => "restoring",
        }
    }
}

impl From<DataState> for ShownState {
    fn from(state: DataState) -> Self {
        match state {
            DataState::Available => Self::Available,
            DataState::Expired => Self::Expired,
            DataState::Restoring => Self::Restoring,
        }
    }
}

impl Rekindle {
    /// Makes the view of a source and its manifest, as of the last rewrite of its data.
    pub(crate) fn view(&self, source: Source, manifest: &Manifest) -> SourceView {
        self.view_with(source, manifest, None)
    }

    /// Makes the view of a source, its manifest, and the tally of its inbox if that was read.
    pub(crate) fn view_with(&self, source: Source, manifest: &Manifest, inbox: Option<&Tally>) -> SourceView {
        let expires_at = source.expires_at(&self.settings.retention);
        let is_expiring = expires_at.is_some_and(|at| at <= self.now());
        let mut tally = (!manifest.runs.is_empty()).then(|| manifest.tally());
        let waiting = inbox.filter(|inbox| inbox.rows > 0);
        if let Some(waiting) = waiting {
            tally.get_or_insert_default().add(waiting);
        }
        let data = DataView {
            state: if is_expiring { ShownState::Expiring } else { source.state.into() },
            expires_at,
            held_by: source.holders.iter().cloned().collect(),
            pin: source.pin_in_force(self.now()).cloned(),
            is_there: source.has_data,
            archived_at: source.archived_at,
            restored_at: source.restored_at,
            last_interaction_at: tally.as_ref().and_then(|t| t.last_at),
            users: tally.as_ref().map(|t| t.users),
            counts: tally.map(|t| t.by_kind),
            exact: inbox.is_some() && manifest.runs.len() + usize::from(waiting.is_some()) == 1,
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
            first_sight: source.is_first_sight,
            deleted_at: source.deletion.as_ref().map(|deletion| deletion.at),
            final_at: source.deletion.as_ref().map(|deletion| deletion.final_at()),
            interaction_data: data,
            now_due: None,
            version: source.version,
        }
    }

    /// The entry of a source that was just written, if nothing keeps its data although the time is over.
    pub(super) fn now_due(&self, source: &Source) -> Option<NowDue> {
        let source = self.noticed(source);
        let retention = &self.settings.retention;
        let expires_at = source.expires_at(retention).filter(|_| source.is_let_go(retention, self.now()))?;
        Some(NowDue { source: source.id, expires_at })
    }

    /// A source by its id.
    ///
    /// # Errors
    /// 404 if nobody registered it, or it is deleted; 503.
    pub(crate) async fn known_source(&self, id: &SourceId) -> Result<Source, Problem> {
        let found = self.store.catalog.source_or_deleted(id).await?.ok_or_else(|| unknown_source(id))?;
        match &found.deletion {
            None => Ok(found),
            Some(deletion) => Err(deleted_source(ProblemKind::NotFound, "unknown_source", id, deletion)),
        }
    }

    /// A source by its id, with counts as of the last rewrite.
    ///
    /// # Errors
    /// 404 if nobody registered it.
    pub(crate) async fn shown(&self, id: &SourceId) -> Result<SourceView, Problem> {
        let source = self.known_source(id).await?;
        let manifest = self.store.catalog.manifest(&LedgerId::Source(id.clone())).await?;
        Ok(self.view(source, &manifest))
    }
}

/// The problem that a source is deleted, with the way back while there is one.
pub(super) fn deleted_source(
    kind: ProblemKind,
    code: &'static str,
    id: &SourceId,
    deletion: &Deletion,
) -> Problem {
    let remedy = (!deletion.is_final).then(|| Remedy::Undelete(id.clone()));
    Problem { remedy, ..Problem::new(kind, code, format!("{id} was deleted at {}", deletion.at)) }
}

/// The 404 for a source that nobody registered.
pub(super) fn unknown_source(id: &SourceId) -> Problem {
    Problem::not_found("unknown_source", format!("{id} is not registered"))
}
