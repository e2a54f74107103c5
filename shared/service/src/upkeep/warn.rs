//! Warnings: some time before a source's data expires, its recipients are mailed, once for each expiry date. A recipient
//! gets at most one such mail a day, the daily notice.
//!
//! The sweeper wakes at [`Source::warn_at`]. One transaction marks the source as warned of its expiry date and adds it to
//! the daily notice of each recipient, so that a source is in exactly one notice of each recipient, even after a crash.
//! The list of sources is part of the notice, since a transaction has no room for a separate item for each recipient and
//! source. The list is bounded, and further sources are only counted. A notice is open until a notifier claims it; later
//! sources of that day go into the next day's notice. A mail arrives on the same day as the next one only if SES did not
//! take it for hours.
//!
//! A warning never delays an expiry. A source that became due at once, because its last holder went, gets no warning.

use crate::{app::Rekindle, retry::until_won};
use rekindle_domain::{
    id::SourceId,
    notice::{Expiring, Notice, daily_notice_id, next_day},
    source::Source,
};
use rekindle_store::{StoreError, catalog::Transaction};

impl Rekindle {
    /// Warns of a source's expiry, if it is time to. Returns whether the source was marked as warned.
    pub(super) async fn warn(&self, id: &SourceId) -> Result<bool, StoreError> {
        let settings = &self.settings;
        until_won!(async {
            let now = self.now();
            let Some(source) = self.store.catalog.source(id).await? else { return Ok(false) };
            let is_time =
                source.warn_at(&settings.retention, &settings.warn_before).is_some_and(|at| at <= now);
            let ahead = source.expires_at(&settings.retention).filter(|at| is_time && now < *at);
            let Some(expires_at) = ahead else { return Ok(false) };
            let mut transaction = Transaction::new();
            let to = self.recipients(&source);
            for recipient in &to {
                let entry = Expiring { source: id.clone(), expires_at };
                self.add_to_daily_notice(&mut transaction, recipient, entry).await?;
            }
            if !to.is_empty() {
                let detail = format!("expires {expires_at}; {} addresses", to.len());
                self.record(&mut transaction, id, "warned", "sweeper", Some(detail))?;
            }
            self.put_source(&mut transaction, &Source { warned_for: Some(expires_at), ..source })?;
            self.store.catalog.commit(transaction).await?;
            Ok(true)
        })
    }

    /// Adds a source to the recipient's first daily notice, from today's on, that no notifier has claimed.
    async fn add_to_daily_notice(
        &self,
        transaction: &mut Transaction,
        to: &str,
        entry: Expiring,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut day = now;
        loop {
            let Some(found) = self.store.catalog.notice(&daily_notice_id(day, to)).await? else {
                return transaction.put_notice(&Notice::daily(day, to, entry, now), 0);
            };
            match found.value.with_expiring(entry.clone()) {
                Some(next) => return transaction.put_notice(&next, found.version),
                // No notice is sent before its day, so that tomorrow's is open at the latest.
                None => day = next_day(day),
            }
        }
    }
}
