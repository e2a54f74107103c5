//! Warnings: some time before a source's data expires, its recipients are mailed, once for each expiry date. No data expires
//! without (L10), whatever made it due: the date is put off until the notice period after the warning. A recipient gets one
//! such mail a day, the daily notice; a further one only where the mail of the next day would leave less than the notice period.
//!
//! The sweeper wakes at [`Source::warn_at`]. One transaction marks the source as warned of its expiry date and adds it to
//! the daily notice of each recipient, so that a source is in exactly one notice of each recipient, even after a crash.
//! The list of sources is part of the notice, since a transaction has no room for a separate item for each recipient and
//! source. The list is bounded, and further sources are only counted. A notice is open until a notifier claims it; later
//! sources of that day go into the next day's notice.
//!
//! The warning is recorded, not delivered, before the data may expire: where SES takes no mail for longer than the notice
//! period, the data expires all the same, and the log has an error for each mail that was given up.

use crate::{app::Rekindle, retry::until_won};
use rekindle_domain::{
    id::SourceId,
    notice::{Expiring, Notice, daily_notice_id, next_day},
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
            let warned = source.warned(&settings.retention, &settings.notice_period, now);
            let Some(source) = warned.filter(|_| is_time) else { return Ok(false) };
            let Some(expires_at) = source.warned_for else { return Ok(false) };
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
            self.put_source(&mut transaction, &source)?;
            self.store.catalog.commit(transaction).await?;
            Ok(true)
        })
    }

    /// Adds a source to the recipient's first daily notice, from today's on, that no notifier has claimed; and that goes out
    /// soon enough to leave the notice period.
    async fn add_to_daily_notice(
        &self,
        transaction: &mut Transaction,
        to: &str,
        entry: Expiring,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let notice_period = &self.settings.notice_period;
        let is_urgent = notice_period.after(next_day(now)).is_none_or(|end| entry.expires_at < end);
        let (mut day, mut further) = (now, 0);
        loop {
            let id = daily_notice_id(day, to, further);
            let Some(found) = self.store.catalog.notice(&id).await? else {
                return transaction.put_notice(&Notice::daily(id, day, to, entry, now), 0);
            };
            match found.value.with_expiring(entry.clone()) {
                Some(next) => return transaction.put_notice(&next, found.version),
                None if is_urgent => further += 1,
                // No notice is sent before its day, so that tomorrow's is open at the latest.
                None => day = next_day(day),
            }
        }
    }
}
