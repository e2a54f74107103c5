//! Mails: one a notice, one recipient each. Claimed, sent, recorded; a lapsed claim is sent again.

use crate::Rekindle;
use crate::metrics::count;
use rekindle_domain::{
    breaks::{self, Break},
    id::RequestId,
    restore::{Item, ItemState, MAX_NOTICE_ATTEMPTS, NOTICE_LEASE_MILLIS, Notice, Request, Subject},
    time::Time,
};
use rekindle_store::{StoreError, catalog::Versioned, mail::Letter, queues::NoticeWork};
use std::fmt::Write;

/// How long a mail waits after its first failure, halved; it doubles with each: ten tries take some 17 hours.
const RETRY_MILLIS: i64 = 60_000;
/// How many sources a mail lists.
const LISTED: usize = 100;

impl Rekindle {
    pub(crate) fn notice_lease(&self) -> Time {
        self.now().plus(self.settings.lease_millis.min(NOTICE_LEASE_MILLIS))
    }

    /// Queues notices that were recorded. If the queue does not take them the sweeper queues them again.
    pub(crate) async fn announce(&self, notices: &[Notice]) {
        let work: Vec<NoticeWork> = notices.iter().map(|n| NoticeWork { notice: n.id.clone() }).collect();
        if let Err(error) = self.store.queues.send_notices(&work).await {
            tracing::warn!(error.message = %error, "notices were not queued; the sweeper will");
        }
    }

    /// Sends a notice unless it was sent, or is being sent by somebody else.
    ///
    /// # Errors
    /// [`StoreError`]: not sent, and to be tried again.
    pub async fn send_notice(&self, id: &str) -> Result<(), StoreError> {
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
        let letter = self.compose(&claimed).await;
        let sent = match letter {
            Ok(_) if self.now() >= claimed.lease_until => {
                // That took so long that somebody else may be sending it by now. It counts as a try.
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
                tracing::error!(notice.id = id, error.message = %error, notice.attempts = claimed.attempts, "a mail was given up");
                count!(MailsGivenUp = 1);
                let failed = Notice { failed: Some(error.to_string()), ..claimed };
                self.store.catalog.put_notice(&failed, version).await.map(drop)
            }
            Err(error) => {
                // Not at once: trouble with mail lasts for hours. The sweeper queues it again when its time has come.
                let pause = RETRY_MILLIS << claimed.attempts.min(9);
                let later = Notice { lease_until: now.plus(pause), ..claimed };
                self.store.catalog.put_notice(&later, version).await?;
                Err(error)
            }
        }
    }

    /// Queues a notice again that should have been sent by now.
    pub(crate) async fn redrive_notice(&self, id: &str) -> Result<Option<String>, StoreError> {
        until_won!({
            let Some(Versioned { value: notice, version }) = self.store.catalog.notice(id).await? else {
                return Ok(None);
            };
            if notice.wake_at().is_none_or(|at| at > self.now()) {
                return Ok(None);
            }
            // Not tried, or tried and lapsed: either way free, and looked at again if this message is lost too.
            self.store.queues.send_notices(&[NoticeWork { notice: id.to_owned() }]).await?;
            let attempts = notice.attempts;
            if attempts == 0 {
                let again = Notice { lease_until: self.notice_lease(), ..notice };
                self.store.catalog.put_notice(&again, version).await?;
            }
            Ok(Some("mail queued again".to_owned()))
        })
    }

    async fn compose(&self, notice: &Notice) -> Result<Letter, StoreError> {
        let (subject, lines) = match &notice.subject {
            Subject::Restore { request } => self.restore_lines(*request).await?,
            Subject::Expiring { sources, more } => self.expiring_lines(sources, *more).await?,
            Subject::Trouble { source, reason } => (
                format!("Interaction data of {source} needs attention"),
                vec![
                    format!(
                        "Rewriting the interaction data of {source} did not verify, or failed too often: {reason}."
                    ),
                    "Nothing was deleted: every copy that was ever verified is kept. Moving data to long-term storage, or merging it, is tried again in a day; a restore when somebody asks for it."
                        .to_owned(),
                ],
            ),
            Subject::Stopped { source, idle_since, expires_at } => {
                let until = expires_at.map_or_else(
                    || "It has no interaction data that could expire.".to_owned(),
                    |at| format!("Its interaction data expires {at} unless it is used."),
                );
                let start = format!("POST /v1/{}/{}/start", source.kind().plural(), source.id());
                (
                    format!("{source} was stopped: nothing happens to it any more"),
                    vec![
                        format!("No interactions of {source} have arrived since {idle_since}, so it was stopped."),
                        until,
                        format!("If it still sends, start it again: {start}"),
                    ],
                )
            }
        };
        let text = lines.join("\n") + "\n";
        let paragraphs = lines.iter().fold(String::new(), |mut html, line| {
            let _ = write!(html, "<p>{}</p>", escape(line));
            html
        });
        let html = format!("<!doctype html><html><body>{paragraphs}</body></html>");
        Ok(Letter { to: notice.to.clone(), subject, text, html })
    }

    async fn restore_lines(&self, id: RequestId) -> Result<(String, Vec<String>), StoreError> {
        let request = self.store.catalog.request(id).await?;
        let request = request.ok_or_else(|| StoreError::missing(format!("restore request {id}")))?;
        let (items, _) = self.store.catalog.items(id, None, usize::MAX).await?;
        let items: Vec<Item> = items.into_iter().map(|i| i.value).collect();
        Ok((restore_subject(&request, &items), restore_lines(&request, &items)))
    }
}

fn restore_subject(request: &Request, items: &[Item]) -> String {
    let what = match items {
        [one] => one.source.to_string(),
        many => format!("{} sources", many.len()),
    };
    match request.failed {
        0 => format!("Interaction data of {what} is restored"),
        failed if failed == request.items => {
            format!("Restoring the interaction data of {what} failed")
        }
        failed => format!("Interaction data of {what}: {failed} could not be restored"),
    }
}

fn restore_lines(request: &Request, items: &[Item]) -> Vec<String> {
    let of_tag =
        request.tag.as_ref().map(|tag| format!(" of what carried the tag {tag}")).unwrap_or_default();
    let mut lines = vec![format!("Restore request {}{of_tag}, made {}:", request.id, request.created_at)];
    // What failed comes first: it is what somebody must do something about.
    let (failed, fine): (Vec<_>, Vec<_>) = items.iter().partition(|i| i.state == ItemState::Failed);
    lines.extend(failed.into_iter().chain(fine).take(LISTED).map(item_line));
    if items.len() > LISTED {
        lines.push(format!(
            "… and {} more; GET /v1/restores/{} lists them all.",
            items.len() - LISTED,
            request.id
        ));
    }
    lines
}

fn item_line(item: &Item) -> String {
    let until = match item.expires_at {
        Some(at) => format!("; it expires again {at} unless it is used"),
        None => String::new(),
    };
    let what = match item.state {
        ItemState::Restored => format!("restored, {} users{until}", item.users_total),
        ItemState::AlreadyAvailable => format!("was available already{until}"),
        ItemState::NothingToRestore => "has no interaction data to restore".to_owned(),
        ItemState::Cancelled => "cancelled".to_owned(),
        ItemState::Queued | ItemState::Restoring => "still under way".to_owned(),
        ItemState::Failed => format!(
            "failed: {}. Nothing was lost: the data is in long-term storage as before",
            item.error.as_deref().unwrap_or("for an unknown reason")
        ),
    };
    format!("- {}: {what}", item.source)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
