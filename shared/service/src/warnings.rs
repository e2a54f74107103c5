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

use crate::{Rekindle, referrers::Referrer, sources::SourceView};
use rekindle_domain::{
    digest::{Expiring, MAX_LISTED, digest_id, next_day},
    id::SourceId,
    manifest::DataState,
    restore::Notice,
    source::{Source, Status},
};
use rekindle_store::{StoreError, catalog::Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// How many of those who refer to a source a mail names.
const NAMED_REFERRERS: usize = 10;

impl Rekindle {
    /// Warns of the source's expiry date if that is to be done; whether it was.
    pub(crate) async fn warn(&self, id: &SourceId) -> Result<bool, StoreError> {
        let settings = &self.settings;
        until_won!({
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

    /// The stack's addresses and the source's, each once, however it is written.
    pub(crate) fn recipients(&self, source: &Source) -> Vec<String> {
        let all = self.settings.notify.iter().chain(&source.notify);
        let mut each: BTreeMap<String, &String> = BTreeMap::new();
        for to in all {
            each.entry(to.to_ascii_lowercase()).or_insert(to);
        }
        each.into_values().cloned().collect()
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
            let Some(found) = self.store.catalog.notice(&digest_id(day, to)).await? else {
                return transaction.put_notice(&Notice::digest(day, to, entry, now), 0);
            };
            match found.value.with_expiring(entry.clone()) {
                Some(next) => return transaction.put_notice(&next, found.version),
                // Nobody sends a digest before its day, so that tomorrow's is open at the latest.
                None => day = next_day(day),
            }
        }
    }

    /// Subject and lines of a digest, as things are now: since a source was added it may have been kept after all.
    pub(crate) async fn expiring_lines(
        &self,
        listed: &[Expiring],
        more: u32,
    ) -> Result<(String, Vec<String>), StoreError> {
        let ids: Vec<SourceId> = listed.iter().map(|e| e.source.clone()).collect();
        let found = self.store.catalog.sources(&ids).await?.into_iter();
        let views: BTreeMap<SourceId, SourceView> =
            found.map(|(source, manifest)| (source.id.clone(), self.view(source, &manifest))).collect();
        let referrers = self.referrers(&ids.into_iter().collect()).await?;
        let mut sorted: Vec<&Expiring> = listed.iter().collect();
        sorted.sort_by_key(|e| (e.expires_at, &e.source));
        let mut lines = vec!["The interaction data of these stopped sources is going to expire:".to_owned()];
        for entry in &sorted {
            let refer = referrers.get(&entry.source);
            lines.push(expiring_line(entry, views.get(&entry.source), refer));
        }
        if more > 0 {
            lines.push(format!(
                "… and {more} more than the {MAX_LISTED} listed; GET /v1/expirations lists them all."
            ));
        }
        lines.push(
            "Expired data cannot be asked until it is restored; it is never deleted. It is kept while its source or an active source that retargets it by name, directly or through a segment, is active; a tag keeps nothing."
                .to_owned(),
        );
        let subject = match (sorted.as_slice(), more) {
            ([one], 0) => format!("Interaction data of {} expires {}", one.source, one.expires_at),
            _ => format!(
                "Interaction data of {} sources is going to expire",
                listed.len() as u64 + u64::from(more)
            ),
        };
        Ok((subject, lines))
    }
}

fn expiring_line(
    entry: &Expiring,
    view: Option<&SourceView>,
    referrers: Option<&BTreeSet<Referrer>>,
) -> String {
    let name = match view {
        Some(view) if view.name != entry.source.id() => format!("{} ({})", entry.source, view.name),
        _ => entry.source.to_string(),
    };
    let users = match view.and_then(|v| v.interaction_data.users) {
        Some(users) => format!(", {users} users"),
        None => String::new(),
    };
    let what = match view {
        Some(view) => standing(entry, view),
        None => "is gone".to_owned(),
    };
    let Some(referrers) = referrers.filter(|r| !r.is_empty()) else {
        return format!("- {name}: {what}{users}; nothing refers to it");
    };
    let mut named: Vec<String> = referrers.iter().take(NAMED_REFERRERS).map(ToString::to_string).collect();
    if referrers.len() > NAMED_REFERRERS {
        named.push(format!("{} more", referrers.len() - NAMED_REFERRERS));
    }
    format!("- {name}: {what}{users}; referred to by {}", named.join(", "))
}

/// What became of a source that was to expire.
fn standing(entry: &Expiring, view: &SourceView) -> String {
    let data = &view.interaction_data;
    match data.expires_at {
        Some(at) if at == entry.expires_at => format!("expires {at}"),
        Some(at) => format!("was to expire {}, and now {at}", entry.expires_at),
        None if data.state != DataState::Available.as_str() => format!("is {} by now", data.state),
        None if view.status != Status::Stopped => {
            format!("was to expire {}, but was started", entry.expires_at)
        }
        None => format!("was to expire {}, but is kept", entry.expires_at),
    }
}
