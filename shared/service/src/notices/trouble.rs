//! Ending work that failed for good, and telling people about it.

use crate::{app::Rekindle, failure::Failure, metrics::count, retry::until_won};
use rekindle_domain::{
    id::LedgerId,
    manifest::{Copy, Life, Manifest},
    notice::{Notice, Subject},
    source::Source,
};
use rekindle_store::{StoreError, catalog::Transaction};

impl Rekindle {
    /// Ends the work on a copy, and writes a notice for each recipient, in one transaction. If something is damaged, the
    /// transaction also puts the ledger into quarantine. Nothing is deleted. `end` adds the changes of the source, if the
    /// ledger has one, and returns the manifest without the work; if it returns `None`, nothing changes.
    ///
    /// Nothing changes either unless the copy is still staged: so exactly one of several workers ends the work, once, and a
    /// late worker does not end a later copy.
    ///
    /// # Errors
    /// [`StoreError`]: nothing has changed.
    pub(crate) async fn give_up(
        &self,
        ledger: &LedgerId,
        copy: &Copy,
        failure: &Failure,
        end: impl Fn(&mut Transaction, Option<&Source>, &Manifest) -> Result<Option<Manifest>, StoreError>,
    ) -> Result<(), StoreError> {
        let notices = until_won!(async {
            let source = match ledger {
                LedgerId::Users => None,
                LedgerId::Source(id) => self.store.catalog.source(id).await?,
            };
            let manifest = self.store.catalog.manifest(ledger).await?;
            if manifest.copy(copy.id).is_none_or(|c| c.life != Life::Staged) {
                return Ok(None);
            }
            let mut transaction = Transaction::new();
            let Some(mut next) = end(&mut transaction, source.as_ref(), &manifest)? else { return Ok(None) };
            if failure.is_damaged {
                next = next.quarantined(&failure.reason, copy, self.now());
            }
            transaction.swap(ledger, &manifest, next)?;
            let notices =
                source.map(|source| self.trouble_notices(&source, copy, failure)).unwrap_or_default();
            for notice in &notices {
                transaction.add_notice(notice)?;
            }
            self.store.catalog.commit(transaction).await?;
            Ok(Some(notices))
        })?;
        if let Some(notices) = notices {
            tracing::error!(ledger.id = %ledger, copy.id = %copy.id, error.message = failure.reason, "work on a copy was given up; the data stays where it is");
            count!(WorkGivenUp = 1, Damage = u8::from(failure.is_damaged));
            self.announce(&notices).await;
        }
        Ok(())
    }

    /// A notice for each address of the source and of the deployment.
    fn trouble_notices(&self, source: &Source, copy: &Copy, failure: &Failure) -> Vec<Notice> {
        let subject = Subject::Trouble { source: source.id.clone(), reason: failure.reason.clone() };
        let notice = |(i, to): (usize, String)| {
            Notice::new(format!("{}-{i}", copy.id), to, subject.clone(), self.now(), self.notice_lease())
        };
        self.recipients(source).into_iter().enumerate().map(notice).collect()
    }
}
