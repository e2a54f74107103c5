//! Making sure that each source of a batch is registered, and marked as having data, before rows of it are stored.

use crate::{app::Rekindle, retry::until_won, settings::UnknownSources};
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{id::SourceId, manifest::DataState, source::Source};
use rekindle_store::{StoreError, catalog::Transaction};
use std::collections::BTreeSet;

/// The number of sources that are written at once.
pub(super) const CONCURRENT_SOURCES: usize = 8;

impl Rekindle {
    /// Makes sure that each source is registered and marked as having data, before rows of it are stored. Returns the
    /// sources that are unknown and whose interactions are to be rejected.
    pub(super) async fn prepare_sources(
        &self,
        sources: &[SourceId],
    ) -> Result<BTreeSet<SourceId>, StoreError> {
        let now = self.now();
        let new: Vec<SourceId> = sources.iter().filter(|s| !self.known.is_known(s, now)).cloned().collect();
        let prepared: Vec<Option<SourceId>> = stream::iter(new)
            .map(|source| async move {
                let is_known = until_won!(self.prepare_source(&source))?;
                Ok::<_, StoreError>((!is_known).then_some(source))
            })
            .buffer_unordered(CONCURRENT_SOURCES)
            .try_collect()
            .await?;
        Ok(prepared.into_iter().flatten().collect())
    }

    /// Prepares one source. Returns `false` if it is unknown and to be rejected.
    async fn prepare_source(&self, id: &SourceId) -> Result<bool, StoreError> {
        let now = self.now();
        let changed = match self.store.catalog.source(id).await? {
            None if self.settings.unknown_sources == UnknownSources::Reject => return Ok(false),
            None => Some(Source::seen(id.clone(), now)),
            Some(source) => {
                let is_late = source.state != DataState::Available && source.late_since.is_none();
                let late_since = if is_late { Some(now) } else { source.late_since };
                let is_noted = source.is_to_be_noted(self.settings.auto_stop_after.as_ref(), now);
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
