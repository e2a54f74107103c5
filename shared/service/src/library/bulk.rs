//! The bodies and answers of acts on many sources.

use super::{pins::PinInput, view::SourceView};
use crate::problem::Problem;
use rekindle_domain::{id::SourceId, time::Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most sources of one act.
pub const MAX_BULK: usize = 100;

/// The sources that are to be started, or to lose their pins.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BulkInput {
    /// Which.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_BULK)))]
    pub sources: Vec<SourceId>,
}

/// The sources that are to be stopped.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BulkStopInput {
    /// Which.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_BULK)))]
    pub sources: Vec<SourceId>,
    /// The time of the stop, from the year 2000 to now; now, if left out. A time before a start moves that, too.
    #[serde(default)]
    pub at: Option<Time>,
}

/// The sources that are to be pinned.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BulkPinInput {
    /// Which.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_BULK)))]
    pub sources: Vec<SourceId>,
    /// Until when; left out, until it is taken away.
    #[serde(default)]
    pub until: Option<Time>,
    /// What for.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Reason"))]
    pub reason: String,
}

impl BulkPinInput {
    /// The pin of each source.
    pub fn pin(&self) -> PinInput {
        PinInput { until: self.until, reason: self.reason.clone() }
    }
}

/// The outcomes, in the order in which the sources were named.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BulkAnswer<P> {
    /// One for each source.
    pub items: Vec<BulkItem<P>>,
}

/// The outcome of the act on one of the sources. It has either a view or a problem.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BulkItem<P> {
    /// Which.
    pub source: SourceId,
    /// The status that the act on this source alone would answer.
    pub status: u16,
    /// The source after the act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<SourceView>,
    /// Why the act was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<P>,
}

/// The sources in the order in which they are named, each once.
///
/// # Errors
/// 422 unless there are 1 to [`MAX_BULK`].
pub fn each_once(sources: Vec<SourceId>) -> Result<Vec<SourceId>, Problem> {
    if !(1..=MAX_BULK).contains(&sources.len()) {
        let detail = format!("sources must have 1 to {MAX_BULK} entries; this has {}", sources.len());
        return Err(Problem::unprocessable("invalid_sources", detail).at("sources"));
    }
    let mut seen = BTreeSet::new();
    Ok(sources.into_iter().filter(|source| seen.insert(source.clone())).collect())
}
