//! Errors as values: the kind of failure, a stable code, a text for people, and a way out. This crate knows no HTTP: the
//! edge that answers makes a status, a body and the spelling of routes from a problem.

use crate::metrics::count;
use rekindle_domain::{
    filter::FilterError,
    id::{RequestId, SourceId},
    interaction::Rejection,
    segment::Referrer,
};
use rekindle_store::StoreError;
use serde::Serialize;
use std::collections::BTreeSet;

/// The code of the answer when stored data did not verify.
pub(crate) const DAMAGED: &str = "stored_data_damaged";

/// The reason why a call was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The kind of failure.
    pub kind: ProblemKind,
    /// The failure's name for programs. It never changes.
    pub code: &'static str,
    /// The failure in words, without the remedy.
    pub detail: String,
    /// A step that lets the same call succeed, if there is one. The edge puts it into words.
    pub remedy: Option<Remedy>,
    /// Further facts for programs, each of a kind at most once.
    pub facts: Vec<Fact>,
}

/// The kinds of failure. Each tells the caller whether to change the request, to change something else first, or to try
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The request is malformed.
    BadRequest,
    /// The thing does not exist.
    NotFound,
    /// The state of the thing does not allow the call.
    Conflict,
    /// The thing changed since the caller read it.
    PreconditionFailed,
    /// The body is too large.
    PayloadTooLarge,
    /// The request is well formed, and a value in it is not allowed.
    Unprocessable,
    /// A store did not answer in time. The same call may be sent again.
    Unavailable,
    /// A defect, or stored data that did not verify. Trying again does not help.
    Internal,
}

/// A step that the reader of a text can take next. The edge that shows the text spells it: HTTP as a route, a page as a
/// button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Restore these sources, then call again.
    Restore(BTreeSet<SourceId>),
    /// Restore this source, and pin it when it is available.
    RestoreThenPin(SourceId),
    /// Register this source, then send its interactions again.
    Register(SourceId),
    /// Start this source again.
    Start(SourceId),
    /// Start or stop this source: an edit does not change its status.
    StartOrStop(SourceId),
    /// Stop this source, then delete it.
    StopThenDelete(SourceId),
    /// Take the pin of this source away, then delete it.
    UnpinThenDelete(SourceId),
    /// Bring this deleted source back.
    Undelete(SourceId),
    /// Look at this restore request, which lists what the text leaves out.
    ShowRestore(RequestId),
    /// Look at the expirations, which list what the text leaves out.
    ListExpirations,
}

/// Puts a remedy into words, as a clause that follows a comma or a semicolon. Texts that are finished in this crate take
/// one from the edge that sends them: mails, and the rejections of a batch.
pub type Spell = fn(&Remedy) -> String;

/// A fact about a problem. Serialized, each is an object of one field, which the edge adds to its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The place in the request, such as `audience.all[0]`.
    Path(String),
    /// The sources or segments that the request names and nobody registered.
    Unknown(Vec<Referrer>),
    /// The tags, variants, variations or steps that the request names and that are not known.
    #[serde(rename = "unknown")]
    UnknownNames(Vec<String>),
    /// The names that are known and most like the one that is not, most like first.
    Nearest(Vec<String>),
    /// The sources and segments that use the segment.
    UsedBy(Vec<Referrer>),
    /// The number of interactions of a batch that were taken.
    Accepted(usize),
    /// The number of interactions of a batch that were not taken.
    RejectedCount(usize),
    /// The interactions that were not taken, as far as an answer lists them.
    Rejected(Vec<Rejection>),
}

impl Problem {
    /// A problem of that kind and code.
    pub fn new(kind: ProblemKind, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), remedy: None, facts: Vec::new() }
    }

    /// The request is malformed.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadRequest, code, detail)
    }

    /// The thing does not exist.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, code, detail)
    }

    /// The state of the thing does not allow the call.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Conflict, code, detail)
    }

    /// The request is well formed, and a value in it is not allowed.
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unprocessable, code, detail)
    }

    /// The local runner's disk is full.
    pub fn full() -> Self {
        let detail = "the disk is full, so that nothing can be written; free some space. Then sending the same request again \
                      is safe";
        Self::new(ProblemKind::Unavailable, "storage_full", detail)
    }

    /// Adds a fact.
    pub fn with(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// Adds the place in the request.
    pub fn at(self, path: impl Into<String>) -> Self {
        self.with(Fact::Path(path.into()))
    }
}

impl From<StoreError> for Problem {
    /// The error is logged here and nowhere else, because it ends here.
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict | StoreError::Unavailable { .. } => {
                tracing::warn!(error.message = %error, "a call to a store failed and may be tried again");
                Self::new(
                    ProblemKind::Unavailable,
                    "store_unavailable",
                    "the store did not answer in time; sending the same request again is safe",
                )
            }
            StoreError::Full { .. } => {
                tracing::error!(error.message = %error, "a call to a store failed");
                Self::full()
            }
            StoreError::Refused { .. } | StoreError::Illegal(_) => {
                tracing::error!(error.message = %error, "a request to a store was not legal");
                let detail = "this cannot be done; nothing was changed. The log says why";
                Self::new(ProblemKind::Internal, "internal_error", detail)
            }
            StoreError::Damaged { .. } => {
                tracing::error!(error.message = %error, "stored data did not verify");
                count!(Damage = 1);
                Self::new(
                    ProblemKind::Internal,
                    DAMAGED,
                    format!("stored data did not verify, so that no answer is given: {error}"),
                )
            }
        }
    }
}

impl From<FilterError> for Problem {
    fn from(error: FilterError) -> Self {
        Self::unprocessable("invalid_filter", error.to_string()).at(error.path)
    }
}

/// The conflict that the interaction data of these sources is not available. The remedy names them.
pub(crate) fn expired_data(sources: BTreeSet<SourceId>) -> Problem {
    let list: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let detail = format!("the interaction data of {} is not available", list.join(", "));
    let problem = Problem::conflict("expired_interaction_data", detail);
    Problem { remedy: Some(Remedy::Restore(sources)), ..problem }
}
