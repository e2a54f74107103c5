//! The records that a change writes in its transaction: the source's item with its wake time, an entry of its timeline,
//! and an entry of the audit trail.

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

/// The caller of a use case: the key that it presented, if any. The simulation calls without a key, because it runs the
/// handlers without the layer that demands one. A call without a key writes no audit entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    key: Option<KeyId>,
}

impl Caller {
    /// The caller that presented this key.
    pub const fn of(key: KeyId) -> Self {
        Self { key: Some(key) }
    }

    /// The key as `key/ID`; `None` for a call without a key.
    pub(crate) fn key(&self) -> Option<String> {
        self.key.map(|id| format!("key/{id}"))
    }

    /// The caller's name in timelines: `key/ID`, or `api` for a call without a key.
    pub(crate) fn name(&self) -> String {
        self.key().unwrap_or_else(|| "api".to_owned())
    }
}

/// The names of the fields that an edit changed, between commas; `None` if it changed none.
pub(crate) fn changed(fields: &[(&str, bool)]) -> Option<String> {
    let names: Vec<&str> = fields.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

impl Rekindle {
    /// Adds an audit entry to the transaction that makes the change. A call without a key adds none.
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

    /// Adds an entry of the source's timeline to the transaction that makes the change.
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

    /// Adds an entry of the timeline and one of the audit trail, for a change that a caller asked for.
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

    /// The source as it is written now: with the notice that begins where nothing keeps its data any more.
    pub(crate) fn noticed(&self, source: &Source) -> Source {
        source.clone().with_notice(&self.settings.retention, &self.settings.notice_period, self.now())
    }

    pub(crate) fn put_source(
        &self,
        transaction: &mut Transaction,
        source: &Source,
    ) -> Result<(), StoreError> {
        let source = self.noticed(source);
        let source = Source { idle_at: source.idle_at(self.settings.auto_stop_after.as_ref()), ..source };
        transaction.put_source(&source, &self.settings.retention, &self.settings.warn_before)
    }
}
