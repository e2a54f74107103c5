//! A source with the counts of everything that arrived.

use crate::{
    app::Rekindle, boxed, ledger::inbox_tally, library::SourceView, metrics::count, problem::Problem,
};
use rekindle_domain::id::{LedgerId, SourceId};
use rekindle_store::StoreError;

impl Rekindle {
    /// A source by its id, with the counts of every interaction that arrived. Reads its inbox.
    ///
    /// # Errors
    /// 404 if nobody registered it; 503.
    #[boxed]
    pub async fn get_source(&self, id: &SourceId) -> Result<SourceView, Problem> {
        let source = self.known_source(id).await?;
        let ledger = LedgerId::Source(id.clone());
        let counted = async {
            let people = self.people().await?;
            Ok((inbox_tally(&self.store, &ledger, &people).await?, people.last()))
        };
        // Rows move from the inbox to the manifest's runs, so that none is missed in this order.
        let (inbox, merged) = match counted.await {
            Ok((inbox, merged)) => (Some(inbox), merged),
            Err(error) if StoreError::is_transient(&error) => return Err(error.into()),
            // Everything else about the source can be shown.
            Err(error) => {
                tracing::error!(source.id = %id, error.message = %error, "the inbox of a source could not be counted");
                count!(Damage = 1);
                (None, 0)
            }
        };
        let manifest = self.store.catalog.manifest(&ledger).await?;
        let mut view = self.view_with(source, &manifest, inbox.as_ref());
        // A user whose ids were merged since the last rewrite may be counted under each of them.
        view.interaction_data.exact &= manifest.runs.iter().all(|run| run.folded >= merged);
        Ok(view)
    }
}
