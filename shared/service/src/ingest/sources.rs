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

/// The sources of a batch whose interactions are rejected.
#[derive(Default)]
pub(super) struct Refused {
    /// Nobody registered these.
    pub(super) unknown: BTreeSet<SourceId>,
    /// These are deleted, and their data is going.
    pub(super) going: BTreeSet<SourceId>,
}

/// Whether rows of a source may be stored.
enum Standing {
    Ready,
    Unknown,
    Going,
}

impl Rekindle {
    /// Makes sure that each source is registered and marked as having data, before rows of it are stored. Returns the
    /// sources whose interactions are to be rejected.
    pub(super) async fn prepare_sources(
        &self,
        sources: &[(SourceId, Arrival)],
    ) -> Result<Refused, StoreError> {
        let now = self.now();
        let new: Vec<_> = sources.iter().filter(|(s, _)| !self.known.is_known(s, now)).cloned().collect();
        let prepared: Vec<(SourceId, Standing)> = stream::iter(new)
            .map(|(source, arrival)| async move {
                let standing = until_won!(self.prepare_source(&source, arrival))?;
                Ok::<_, StoreError>((source, standing))
            })
            .buffer_unordered(CONCURRENT_SOURCES)
            .try_collect()
            .await?;
        let mut refused = Refused::default();
        for (source, standing) in prepared {
            match standing {
                Standing::Ready => false,
                Standing::Unknown => refused.unknown.insert(source),
                Standing::Going => refused.going.insert(source),
            };
        }
        Ok(refused)
    }

    /// Prepares one source.
    async fn prepare_source(&self, id: &SourceId, arrival: Arrival) -> Result<Standing, StoreError> {
        let now = self.now();
        let found = self.store.catalog.source_or_deleted(id).await?;
        let deletion = found.as_ref().and_then(|found| found.deletion.as_ref());
        if deletion.is_some_and(|deletion| deletion.is_final) {
            return Ok(Standing::Going);
        }
        let is_deleted = deletion.is_some();
        if (found.is_none() || is_deleted) && self.settings.unknown_sources == UnknownSources::Reject {
            return Ok(Standing::Unknown);
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
        // A deleted source is looked at each time, so that nothing is appended to one whose data is going.
        if !is_deleted {
            self.known.remember(id, now);
        }
        Ok(Standing::Ready)
    }
}
