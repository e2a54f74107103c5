//! How much a restore would bring back, before anybody asks for it.

use super::{
    progress::{NOMINAL_USERS_PER_SECOND, seconds_for},
    requests::RestoreInput,
};
use crate::{app::Rekindle, boxed, problem::Problem};
use rekindle_domain::{
    id::SourceId,
    manifest::{DataState, Manifest, Run, Tier},
    source::Source,
};
use serde::Serialize;

/// How much a restore of some sources would bring back. Nothing is changed by asking.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// The number of sources whose data would come back.
    pub sources: u32,
    /// The users that would come back: an upper bound, summed over the sources.
    pub users: u64,
    /// The bytes of the archive that would be read.
    pub bytes: u64,
    /// The parts that would be restored. Several are restored at a time.
    pub parts: u64,
    /// About how many seconds that takes.
    pub seconds: u64,
    /// The same for each source, by source.
    pub items: Vec<EstimateItem>,
}

/// How much a restore of one source would bring back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EstimateItem {
    /// The source.
    pub source: SourceId,
    /// The state of its data, and so what a restore does.
    pub state: EstimateState,
    /// The users that would come back: an upper bound.
    pub users: u64,
    /// The bytes of the archive that would be read.
    pub bytes: u64,
    /// The parts that would be restored.
    pub parts: u64,
    /// About how many seconds that takes, if nothing else is restored at the time.
    pub seconds: u64,
}

/// The state of a source's data, before a restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EstimateState {
    /// A restore brings it back.
    Expired,
    /// A restore is under way: a request would join it. The figures are of the whole restore.
    Restoring,
    /// The data is available: there is nothing to bring back.
    Available,
    /// There never was any data.
    Empty,
}

impl Rekindle {
    /// How much a restore of these sources would bring back. Takes the body of a restore request.
    ///
    /// # Errors
    /// 400 and 422 what does not fit, as a restore request is answered; 503.
    #[boxed]
    pub async fn estimate_restore(&self, input: &RestoreInput) -> Result<Estimate, Problem> {
        let sources: Vec<SourceId> = self.check_restore(input).await?.into_iter().collect();
        let found = self.store.catalog.sources(&sources).await?;
        let mut items: Vec<EstimateItem> =
            found.iter().map(|(source, manifest)| item(source, manifest)).collect();
        items.sort_by(|a, b| a.source.cmp(&b.source));
        let sum = |of: fn(&EstimateItem) -> u64| items.iter().map(of).sum::<u64>();
        let (users, bytes, parts) = (sum(|i| i.users), sum(|i| i.bytes), sum(|i| i.parts));
        let sources = items.iter().filter(|i| i.parts > 0).count() as u32;
        let seconds = seconds_for(users, NOMINAL_USERS_PER_SECOND);
        Ok(Estimate { sources, users, bytes, parts, seconds, items })
    }
}

fn item(source: &Source, manifest: &Manifest) -> EstimateItem {
    let state = match source.state {
        DataState::Expired => EstimateState::Expired,
        DataState::Restoring => EstimateState::Restoring,
        DataState::Available if source.has_data => EstimateState::Available,
        DataState::Available => EstimateState::Empty,
    };
    let is_away = matches!(state, EstimateState::Expired | EstimateState::Restoring);
    let away: Vec<&Run> = manifest.runs_without(Tier::Hot).filter(|_| is_away).collect();
    let archived = |run: &&Run| manifest.live(run.id, Tier::Cold).map_or(0, |copy| copy.bytes);
    let users = away.iter().map(|run| run.tally.users).sum();
    EstimateItem {
        source: source.id.clone(),
        state,
        users,
        bytes: away.iter().map(archived).sum(),
        parts: away.iter().map(|run| u64::from(run.slots.count())).sum(),
        seconds: seconds_for(users, NOMINAL_USERS_PER_SECOND),
    }
}
