//! Sending mails: one for each notice, to one recipient. A notice is claimed, sent and recorded as sent. If its claim
//! lapses first, the mail is sent again.

use crate::{app::Rekindle, boxed, metrics::count, problem::Spell, report::SweepOutcome, retry::until_won};
use rekindle_domain::{
    bounds::shared_reason,
    breaks::{self, Break},
    id::SourceId,
    notice::{MAX_NOTICE_ATTEMPTS, Notice, Subject},
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, Versioned},
    queues::NoticeWork,
};
use std::collections::BTreeSet;

/// Half the time that a mail waits after its first failure, in milliseconds. The time doubles with each failure, so that
/// ten tries take some 17 hours.
const FIRST_PAUSE_MILLIS: i64 = 60_000;

/// The most sources whose timelines say that a mail was given up: a transaction writes them together with the notice.
const MAX_ENTRIES: usize = 90;

impl Rekindle {
    /// Sends a notice, unless it was sent already or another worker is sending it. `spell` says in the mail what its reader
    /// can do.
    ///
    /// # Errors
    /// [`StoreError`]: the mail was not sent, and is tried again.
    #[boxed]
    pub async fn send_notice(&self, id: &str, spell: Spell) -> Result<(), StoreError> {
        let Some(Versioned { value: notice, version }) = self.store.catalog.notice(id).await? else {
            tracing::warn!(notice.id = id, "a message names a notice that does not exist");
            return Ok(());
        };
        if !notice.is_free(self.now()) {
            return Ok(());
        }
        let claimed = Notice { attempts: notice.attempts + 1, lease_until: self.notice_lease(), ..notice };
        let put = if breaks::is(Break::SendsUnclaimed) {
            Ok(version)
        } else {
            self.store.catalog.put_notice(&claimed, version).await
        };
        let version = match put {
            Err(StoreError::Conflict) => return Ok(()),
            other => other?,
        };
        let letter = self.compose(&claimed, spell).await;
        // The letter took so long that somebody else may be sending it by now. The try counts all the same.
        let has_lapsed = self.now() >= claimed.lease_until;
        let sent = match letter {
            Ok(_) if has_lapsed => {
                let reason = "the claim lapsed before the mail was sent".to_owned();
                Err(StoreError::Unavailable { call: "SendEmail", reason })
            }
            Ok(letter) => self.store.mail.send(&letter).await,
            Err(error) => Err(error),
        };
        let now = self.now();
        match sent {
            Ok(()) => {
                let sent = Notice { sent_at: Some(now), ..claimed };
                self.store.catalog.put_notice(&sent, version).await.map(drop)
            }
            Err(error) if claimed.attempts >= MAX_NOTICE_ATTEMPTS => {
                let failed = Notice { failed: Some(error.to_string()), ..claimed };
                self.store.catalog.put_notice(&failed, version).await?;
                tracing::error!(notice.id = id, error.message = %error, notice.attempts = failed.attempts, "a mail was given up");
                count!(MailsGivenUp = 1);
                Ok(())
            }
            // The notice is free already.
            Err(error) if has_lapsed => Err(error),
            Err(error) => {
                // Trouble with mail lasts for hours, so that the next try waits. The sweeper queues the mail again after
                // the pause.
                let pause = FIRST_PAUSE_MILLIS << claimed.attempts.min(9);
                let later = Notice { lease_until: now.plus(pause), ..claimed };
                self.store.catalog.put_notice(&later, version).await?;
                Err(error)
            }
        }
    }

    /// Says in the timelines of its sources that a mail was given up: a person who looks at one sees that nobody was told.
    async fn tell_given_up(&self, notice: &Notice, version: u64) -> Result<(), StoreError> {
        let mut transaction = Transaction::new();
        transaction.put_notice(&Notice { is_told: true, ..notice.clone() }, version)?;
        let detail = format!("to {}: {}", notice.to, notice.failed.as_deref().unwrap_or_default());
        let detail = shared_reason(&detail, 1);
        match self.sources_of(notice).await {
            Ok(sources) => {
                for source in sources {
                    self.record(&mut transaction, &source, "mail_failed", "sweeper", Some(detail.clone()))?;
                }
            }
            Err(error) if error.is_transient() => return Err(error),
            // It may have been given up for this very reason.
            Err(error) => {
                tracing::error!(notice.id = notice.id, error.message = %error, "the sources of a mail could not be read");
            }
        }
        self.store.catalog.commit(transaction).await
    }

    /// The sources that a mail is about, as far as a transaction takes them; of one that is deleted by now no timeline is kept.
    async fn sources_of(&self, notice: &Notice) -> Result<Vec<SourceId>, StoreError> {
        let named: BTreeSet<SourceId> = match &notice.subject {
            Subject::Restore { request } => {
                let items = self.store.catalog.items(*request, None, MAX_ENTRIES).await?.items;
                items.into_iter().map(|item| item.value.source).collect()
            }
            subject => subject.sources().into_iter().take(MAX_ENTRIES).cloned().collect(),
        };
        let named: Vec<SourceId> = named.into_iter().collect();
        Ok(self.store.catalog.sources_alone(&named).await?.into_iter().map(|source| source.id).collect())
    }

    /// Queues a notice again if it should have been sent by now; tells of one that was given up.
    pub(crate) async fn resume_notice(&self, id: &str) -> Result<Option<SweepOutcome>, StoreError> {
        until_won!(async {
            let Some(Versioned { value: notice, version }) = self.store.catalog.notice(id).await? else {
                return Ok(None);
            };
            if notice.wake_at().is_none_or(|at| at > self.now()) {
                return Ok(None);
            }
            if notice.failed.is_some() {
                self.tell_given_up(&notice, version).await?;
                return Ok(Some(SweepOutcome::MailGivenUp));
            }
            // The notice is free: it was never tried, or its claim lapsed. If this message is lost too, a later sweep
            // queues the notice again.
            self.store.queues.send_notices(&[NoticeWork { notice: id.to_owned() }]).await?;
            let attempts = notice.attempts;
            if attempts == 0 {
                let again = Notice { lease_until: self.notice_lease(), ..notice };
                self.store.catalog.put_notice(&again, version).await?;
            }
            Ok(Some(SweepOutcome::MailQueued))
        })
    }
}
