//! Warnings: some time before data expires, those who care about it are told, once a source and expiry date, and at most
//! in one mail a day each.
//!
//! The sweeper, woken by [`Source::warn_at`], marks the source as warned of that date and adds it to the digest of each
//! recipient, all in one transaction: a source stands in exactly one digest of each recipient, whatever crashes. The list
//! is part of the notice, since a transaction could not take an item a recipient and source beside it; it is bounded, and
//! further sources are counted. A digest is open until a notifier claims it; what comes later that day goes into the next
//! day's. Only a mail that SES would not take for hours can arrive on the same day as the next one.
//!
//! What is due expires: a warning never delays that, and what became due without one (its last holder went) gets none.

use crate::{app::Rekindle, retry::until_won};
use rekindle_domain::{
    id::SourceId,
    notice::{Expiring, Notice, daily_notice_id, next_day},
    source::Source,
};
use rekindle_store::{StoreError, catalog::Transaction};

impl Rekindle {
    /// Warns of the source's expiry date if that is to be done; whether it was.
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
                self.add_to_digest(&mut transaction, recipient, entry).await?;
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

    /// Adds a source to the first digest of the recipient, from today's on, that nobody has begun to send.
    async fn add_to_digest(
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
                // Nobody sends a digest before its day, so that tomorrow's is open at the latest.
                None => day = next_day(day),
            }
        }
    }
}
