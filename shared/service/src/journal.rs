//! What is written with every act: the source's item with its wake time, its timeline, and the audit trail.

use crate::app::Rekindle;
use rekindle_domain::{
    id::{KeyId, SourceId},
    source::Source,
    time::Time,
};
use rekindle_store::{
    StoreError,
    catalog::{
        Transaction,
        audit::{AuditEntry, time_of},
        sources::TimelineEntry,
    },
};

/// Who is calling: a key; or nobody, where the handlers stand alone without the layer that asks for one, as they do in the
/// simulation. Nobody leaves no trail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    key: Option<KeyId>,
}

impl Caller {
    /// Who showed that key.
    pub const fn of(key: KeyId) -> Self {
        Self { key: Some(key) }
    }

    /// `key/ID`, if there is one.
    pub(crate) fn key(&self) -> Option<String> {
        self.key.map(|id| format!("key/{id}"))
    }

    /// As timelines name them.
    pub(crate) fn name(&self) -> String {
        self.key().unwrap_or_else(|| "api".to_owned())
    }
}

/// What an edit changed, of these fields; `None` if nothing.
pub(crate) fn changed(fields: &[(&str, bool)]) -> Option<String> {
    let names: Vec<&str> = fields.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

impl Rekindle {
    /// Adds who does something to the transaction that does it.
    pub(crate) fn audit(
        &self,
        transaction: &mut Transaction,
        by: &Caller,
        event: &str,
        on: &str,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        let Some(by) = by.key() else {
            return Ok(());
        };
        let id = self.new_id();
        let entry = AuditEntry { at: time_of(id), by, event: event.to_owned(), on: on.to_owned(), detail };
        transaction.add_audit(id, &entry)
    }

    /// Adds what happened to the transaction that makes it happen.
    pub(crate) fn record(
        &self,
        transaction: &mut Transaction,
        source: &SourceId,
        event: &str,
        by: &str,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        let entry = TimelineEntry { at: self.now(), event: event.to_owned(), by: by.to_owned(), detail };
        transaction.add_timeline(source, self.new_id(), &entry)
    }

    /// The same of what a caller did, which goes into the audit trail, too.
    pub(crate) fn record_act(
        &self,
        transaction: &mut Transaction,
        source: &SourceId,
        event: &str,
        by: &Caller,
        detail: Option<String>,
    ) -> Result<(), StoreError> {
        self.audit(transaction, by, event, &source.to_string(), detail.clone())?;
        self.record(transaction, source, event, &by.name(), detail)
    }

    pub(crate) fn wake_at(&self, source: &Source) -> Option<Time> {
        source.wake_at(&self.settings.retention, &self.settings.warn_before)
    }

    pub(crate) fn put_source(
        &self,
        transaction: &mut Transaction,
        source: &Source,
    ) -> Result<(), StoreError> {
        let source =
            Source { idle_at: source.idle_at(self.settings.auto_stop_after.as_ref()), ..source.clone() };
        transaction.put_source(&source, &self.settings.retention, &self.settings.warn_before)
    }
}
