//! Deleting campaigns and Canvases, and bringing them back.

use super::{
    edits::Edit,
    filters::segments_of,
    view::{SourceView, unknown_source},
};
use crate::{
    app::Rekindle,
    boxed,
    journal::Caller,
    problem::{Fact, Problem, Remedy},
    retry::until_answered,
    settings::Settings,
};
use rekindle_domain::{
    arrival::Arrival,
    id::{LedgerId, SourceId},
    removal::Undeletable,
    segment::Referrer,
    source::Source,
};
use rekindle_store::{StoreError, catalog::Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// The most users of a source that a refusal names in its text.
const NAMED_USERS: usize = 10;

/// The most users of a source that a refusal lists.
const LISTED_USERS: usize = 1_000;

/// The outcomes of an act on some sources, in their order.
pub type Outcomes = Vec<(SourceId, Result<SourceView, Problem>)>;

impl Rekindle {
    /// Deletes sources, one after the other. Deleting again changes nothing. Reads every source and segment once, to see what
    /// refers to these.
    ///
    /// # Errors
    /// 503. Of each source: 404; 409 if it is active or pinned, is being restored, or if another source or a segment that was
    /// not deleted before it names it; 412.
    #[boxed]
    pub async fn delete_sources(
        &self,
        sources: Vec<SourceId>,
        how: Edit,
        by: &Caller,
    ) -> Result<Outcomes, Problem> {
        let users = self.users_of(&sources).await?;
        let mut deleted: BTreeSet<Referrer> = BTreeSet::new();
        let mut outcomes = Outcomes::new();
        for id in sources {
            let users = users.get(&id).map(|users| users.difference(&deleted).cloned().collect());
            let outcome = self.delete_unused(&id, users.unwrap_or_default(), how, by).await;
            if outcome.is_ok() {
                deleted.insert(Referrer::Source(id.clone()));
            }
            outcomes.push((id, outcome));
        }
        Ok(outcomes)
    }

    /// Deletes one source: see [`Self::delete_sources`].
    ///
    /// # Errors
    /// As there, of each source.
    #[boxed]
    pub async fn delete_source(&self, id: &SourceId, how: Edit, by: &Caller) -> Result<SourceView, Problem> {
        let mut users = self.users_of(std::slice::from_ref(id)).await?;
        self.delete_unused(id, users.remove(id).unwrap_or_default(), how, by).await
    }

    /// The sources that are not deleted, and the segments, that name each of these sources. A tag names nothing.
    async fn users_of(
        &self,
        sources: &[SourceId],
    ) -> Result<BTreeMap<SourceId, BTreeSet<Referrer>>, StoreError> {
        let mut users: BTreeMap<SourceId, BTreeSet<Referrer>> = BTreeMap::new();
        for (id, referrers) in self.referrers(&sources.iter().cloned().collect()).await? {
            let named = referrers.into_iter().filter(|referrer| referrer.tag.is_none());
            users.insert(id, named.map(|referrer| referrer.by).collect());
        }
        Ok(users)
    }

    async fn delete_unused(
        &self,
        id: &SourceId,
        mut users: BTreeSet<Referrer>,
        how: Edit,
        by: &Caller,
    ) -> Result<SourceView, Problem> {
        let deleted = until_answered!(async {
            let Some(before) = self.store.catalog.source_or_deleted(id).await? else {
                return Err(unknown_source(id).into());
            };
            how.check(&id.to_string(), Some(before.version))?;
            if before.deletion.is_some() {
                return Ok(before);
            }
            let after = before.deleted(by.name(), self.now()).map_err(|why| undeletable(id, why))?;
            // Holders are read with the source, and referrers were read before.
            let holders = before.holders.iter().map(|holder| Referrer::Source(holder.source.clone()));
            users.extend(holders);
            if !users.is_empty() {
                return Err(in_use(id, &users).into());
            }
            let mut transaction = Transaction::new();
            transaction.move_tags(id, &before.tags, &BTreeSet::new());
            self.put_source(&mut transaction, &after)?;
            self.record_act(&mut transaction, id, "deleted", by, None)?;
            if how.is_dry_run {
                return Ok(after);
            }
            self.store.catalog.commit(transaction).await?;
            Ok(Source { version: after.version + 1, ..after })
        })?;
        let manifest = self.store.catalog.manifest(&LedgerId::Source(id.clone())).await?;
        Ok(self.view(deleted, &manifest))
    }

    /// Brings a deleted source back, as it was. Where it is not deleted, nothing changes. The answer says whether its data is
    /// due.
    ///
    /// # Errors
    /// 404; 409 if its data is going already.
    #[boxed]
    pub async fn undelete_source(&self, id: &SourceId, by: &Caller) -> Result<SourceView, Problem> {
        let now_due = until_answered!(async {
            let Some(before) = self.store.catalog.source_or_deleted(id).await? else {
                return Err(unknown_source(id).into());
            };
            match &before.deletion {
                None => return Ok(None),
                Some(deletion) if deletion.is_final => {
                    let detail = format!(
                        "{id} was deleted at {}, and since {} its interaction data has been going for good",
                        deletion.at,
                        deletion.final_at()
                    );
                    return Err(Problem::conflict("source_is_going", detail).into());
                }
                Some(_) => {}
            }
            let mut transaction = Transaction::new();
            let after = self.bring_back(&mut transaction, &before)?;
            self.record_act(&mut transaction, id, "undeleted", by, None)?;
            self.store.catalog.commit(transaction).await?;
            Ok(self.now_due(&after))
        })?;
        let now_due = Some(now_due.into_iter().collect());
        Ok(SourceView { now_due, ..self.shown(id).await? })
    }

    /// Whether a source that is not deleted, or a segment, names this source. Reads all of them.
    pub(crate) async fn is_named(&self, id: &SourceId) -> Result<bool, StoreError> {
        Ok(self.users_of(std::slice::from_ref(id)).await?.values().any(|users| !users.is_empty()))
    }

    /// Makes the segments that a source's audience names forget it, one by one: together they may be more than a transaction
    /// takes. Each is written with the source, which may be a new one of the same id by now. Returns the source as it is
    /// then.
    pub(crate) async fn leave_segments(&self, mut source: Source) -> Result<Source, StoreError> {
        for mut segment in self.store.catalog.segments(&segments_of(&source)).await? {
            if segment.used_by.remove(&Referrer::Source(source.id.clone())) {
                let mut transaction = Transaction::new();
                transaction.put_segment(&segment)?;
                self.put_source(&mut transaction, &source)?;
                self.store.catalog.commit(transaction).await?;
                source.version += 1;
            }
        }
        Ok(source)
    }

    /// Adds to a transaction that a deleted source comes back. If a message was sent meanwhile, the source is as if the message
    /// had arrived now.
    pub(crate) fn bring_back(
        &self,
        transaction: &mut Transaction,
        before: &Source,
    ) -> Result<Source, StoreError> {
        let now = self.now();
        let mut after = before.undeleted(now);
        if let Some(sent_at) = before.deletion.as_ref().and_then(|deletion| deletion.sent_at) {
            let arrival = Arrival { first_at: sent_at, last_message_at: Some(sent_at) };
            let Settings { retention, auto_stop_after, .. } = &self.settings;
            let sending = after.after_arrival(arrival, retention, auto_stop_after.as_ref(), now);
            after = sending.unwrap_or(after);
        }
        transaction.move_tags(&before.id, &BTreeSet::new(), &before.tags);
        self.put_source(transaction, &after)?;
        Ok(after)
    }
}

fn in_use(id: &SourceId, users: &BTreeSet<Referrer>) -> Problem {
    let mut names: Vec<String> = users.iter().take(NAMED_USERS).map(ToString::to_string).collect();
    if users.len() > NAMED_USERS {
        names.push(format!("{} more", users.len() - NAMED_USERS));
    }
    let detail = format!("{id} is named by {}; change these first", names.join(", "));
    let users = users.iter().take(LISTED_USERS).cloned().collect();
    Problem::conflict("source_in_use", detail).with(Fact::UsedBy(users))
}

fn undeletable(id: &SourceId, why: Undeletable) -> Problem {
    match why {
        Undeletable::Active => {
            let problem = Problem::conflict("source_is_active", format!("{id} is active"));
            Problem { remedy: Some(Remedy::StopThenDelete(id.clone())), ..problem }
        }
        Undeletable::Restoring => {
            let detail = format!("the interaction data of {id} is being restored; delete it after that");
            Problem::conflict("source_is_restoring", detail)
        }
        Undeletable::Pinned => {
            let problem = Problem::conflict("source_is_pinned", format!("a pin keeps the data of {id}"));
            Problem { remedy: Some(Remedy::UnpinThenDelete(id.clone())), ..problem }
        }
    }
}
