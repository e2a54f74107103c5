//! Recording notices for their recipients, and queueing them.

use crate::app::Rekindle;
use rekindle_domain::{
    notice::{NOTICE_LEASE_MILLIS, Notice, Subject},
    source::Source,
    time::Time,
};
use rekindle_store::{StoreError, catalog::Transaction, queues::NoticeWork};
use std::collections::BTreeMap;

impl Rekindle {
    pub(crate) fn notice_lease(&self) -> Time {
        self.now().plus(self.settings.lease_millis.min(NOTICE_LEASE_MILLIS))
    }

    /// Queues notices that were recorded. If the queue does not take them, the sweeper queues them later.
    pub(crate) async fn announce(&self, notices: &[Notice]) {
        let work: Vec<NoticeWork> = notices.iter().map(|n| NoticeWork { notice: n.id.clone() }).collect();
        if let Err(error) = self.store.queues.send_notices(&work).await {
            tracing::warn!(error.message = %error, "notices were not queued; the sweeper will queue them");
        }
    }

    /// Adds a notice about a source for each of its recipients to a transaction, and no more than it has room for. Nothing may
    /// be added to it after that. The caller announces the notices when they are committed.
    pub(crate) fn add_notices(
        &self,
        transaction: &mut Transaction,
        source: &Source,
        subject: &Subject,
    ) -> Result<Vec<Notice>, StoreError> {
        let id = self.new_id();
        let notice = |(i, to): (usize, String)| {
            Notice::new(format!("{id}-{i}"), to, subject.clone(), self.now(), self.notice_lease())
        };
        let room = Transaction::MAX - transaction.len();
        let notices: Vec<Notice> =
            self.recipients(source).into_iter().take(room).enumerate().map(notice).collect();
        for notice in &notices {
            transaction.add_notice(notice)?;
        }
        Ok(notices)
    }

    /// The addresses of the deployment and of the source. Addresses that differ only in case are one recipient.
    pub(crate) fn recipients(&self, source: &Source) -> Vec<String> {
        let all = self.settings.notify.iter().chain(&source.notify);
        let mut each: BTreeMap<String, &String> = BTreeMap::new();
        for to in all {
            each.entry(to.to_ascii_lowercase()).or_insert(to);
        }
        each.into_values().cloned().collect()
    }
}
