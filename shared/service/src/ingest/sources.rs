//! Making sure that each source of a batch is registered, and marked as having data, before rows of it are stored.

use crate::{
    app::Rekindle,
    retry::until_won,
    settings::{Settings, UnknownSources},
};
use futures::{StreamExt, TryStreamExt, stream};
use rekindle_domain::{arrival::Arrival, id::SourceId, source::Source};
use rekindle_store::{StoreError, catalog::Transaction};
use std::collections::BTreeSet;

/// The number of sources that are written at once.
pub(super) const CONCURRENT_SOURCES: usize = 8;

impl Rekindle {
    /// Makes sure that each source is registered and marked as having data, before rows of it are stored. Returns the
    /// sources that are unknown and whose interactions are to be rejected.
    pub(super) async fn prepare_sources(
        &self,
        sources: &[(SourceId, Arrival)],
    ) -> Result<BTreeSet<SourceId>, StoreError> {
        let now = self.now();
        let new: Vec<_> = sources.iter().filter(|(s, _)| !self.known.is_known(s, now)).cloned().collect();
        let prepared: Vec<Option<SourceId>> = stream::iter(new)
            .map(|(source, arrival)| async move {
                let is_known = until_won!(self.prepare_source(&source, arrival))?;
                Ok::<_, StoreError>((!is_known).then_some(source))
            })
            .buffer_unordered(CONCURRENT_SOURCES)
            .try_collect()
            .await?;
        Ok(prepared.into_iter().flatten().collect())
    }

    /// Prepares one source. Returns `false` if it is unknown and to be rejected.
    async fn prepare_source(&self, id: &SourceId, arrival: Arrival) -> Result<bool, StoreError> {
        let now = self.now();
        let found = self.store.catalog.source(id).await?;
        if found.is_none() && self.settings.unknown_sources == UnknownSources::Reject {
            return Ok(false);
        }
        let changed = match &found {
            None => Some(Source::seen(id.clone(), arrival.first_at, now)),
            Some(source) => {
                let Settings { retention, auto_stop_after, .. } = &self.settings;
                source.after_arrival(arrival, retention, auto_stop_after.as_ref(), now)
            }
        };
        if let Some(source) = changed {
            let mut transaction = Transaction::new();
            self.put_source(&mut transaction, &source)?;
            let event = match found.map(|source| source.status) {
                None => Some(("registered", "on first sight")),
                Some(before) if before != source.status => Some(("started", "an interaction arrived")),
                Some(_) => None,
            };
            if let Some((event, detail)) = event {
                self.record(&mut transaction, id, event, "ingest", Some(detail.to_owned()))?;
            }
            self.store.catalog.commit(transaction).await?;
        }
        self.known.remember(id, now);
        Ok(true)
    }
}
