//! The text of every mail.

use crate::{
    app::Rekindle,
    library::{Reference, ShownState, SourceView},
    problem::{Remedy, Spell},
};
use rekindle_domain::{
    id::{RequestId, SourceId},
    notice::{Expiring, MAX_LISTED, Notice, Subject},
    restore::{Item, ItemState, Request},
    source::Status,
    time::Time,
};
use rekindle_store::{StoreError, mail::Letter};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// The most sources that a mail about a restore lists.
const LISTED: usize = 100;

impl Rekindle {
    pub(super) async fn compose(&self, notice: &Notice, spell: Spell) -> Result<Letter, StoreError> {
        let (subject, lines) = match &notice.subject {
            Subject::Restore { request } => self.restore_lines(*request, spell).await?,
            Subject::Expiring { sources, more } => self.expiring_lines(sources, *more, spell).await?,
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
            Subject::Sending { source, message_at } => self.sending_lines(source, *message_at, spell).await?,
            Subject::Deleted { source, by, final_at } => (
                format!("{source} was deleted"),
                vec![
                    format!("{by} deleted {source}. Until {final_at} it can be brought back with all its interaction data; then the data goes for good."),
                    format!("To keep it: {}.", spell(&Remedy::Undelete(source.clone()))),
                ],
            ),
            Subject::Undeleted { source, message_at } => (
                format!("{source} was brought back: it sends"),
                vec![
                    format!("{source} was deleted, and a message of it went out at {message_at}. So it was brought back with all its interaction data."),
                    "If it is to go, stop what sends it first, and then delete it again.".to_owned(),
                ],
            ),
            Subject::Stopped { source, idle_since, expires_at } => {
                let until = expires_at.map_or_else(
                    || "It has no interaction data that could expire.".to_owned(),
                    |at| format!("Its interaction data expires {at} unless something keeps it."),
                );
                (
                    format!("{source} was stopped: its interactions have ceased"),
                    vec![
                        format!("No interactions of {source} have arrived since {idle_since}, so it was stopped."),
                        until,
                        format!("If it still sends, {}", spell(&Remedy::Start(source.clone()))),
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

    async fn sending_lines(
        &self,
        id: &SourceId,
        message_at: Time,
        spell: Spell,
    ) -> Result<(String, Vec<String>), StoreError> {
        let source = self.store.catalog.source(id).await?;
        let expires_at = source.as_ref().and_then(|source| source.expires_at(&self.settings.retention));
        let stopped_at = source.and_then(|source| source.stopped_at);
        let stop = stopped_at.map_or_else(String::new, |at| format!("{id} was stopped as of {at}. "));
        let mut lines = vec![format!("{stop}A message of {id} went out at {message_at}.")];
        if let Some(at) = expires_at {
            lines.push(format!("Its interaction data expires {at}, and later if more messages follow."));
        }
        lines.push(format!("If it is to send, {}", spell(&Remedy::Start(id.clone()))));
        Ok((format!("{id} is stopped, and still sends"), lines))
    }

    async fn restore_lines(&self, id: RequestId, spell: Spell) -> Result<(String, Vec<String>), StoreError> {
        let request = self.store.catalog.request(id).await?;
        let request = request.ok_or_else(|| StoreError::missing(format!("restore request {id}")))?;
        let items = self.store.catalog.items(id, None, usize::MAX).await?.items;
        let mut items: Vec<Item> = items.into_iter().map(|i| i.value).collect();
        // Failed items come first: somebody must act on them.
        items.sort_by_key(|item| item.state != ItemState::Failed);
        let listed: Vec<SourceId> = items.iter().take(LISTED).map(|item| item.source.clone()).collect();
        let found = self.store.catalog.sources_alone(&listed).await?.into_iter();
        let names: BTreeMap<SourceId, String> = found.map(|source| (source.id, source.name)).collect();
        let lines = restore_lines(&request, &items, &names, spell);
        Ok((restore_subject(&request, &items, &names), lines))
    }
}

/// A source with the name that people gave it.
fn named(id: &SourceId, name: Option<&String>) -> String {
    match name {
        Some(name) if name != id.id() => format!("{id} ({name})"),
        _ => id.to_string(),
    }
}

fn restore_subject(request: &Request, items: &[Item], names: &BTreeMap<SourceId, String>) -> String {
    let what = match items {
        [one] => named(&one.source, names.get(&one.source)),
        many => format!("{} sources", many.len()),
    };
    let is_restored = |item: &Item| item.state == ItemState::Restored;
    match request.failed {
        0 if !items.iter().any(is_restored) => {
            format!("Interaction data of {what}: nothing had to be restored")
        }
        0 => format!("Interaction data of {what} is restored"),
        failed if failed == request.items => {
            format!("Restoring the interaction data of {what} failed")
        }
        failed => format!("Interaction data of {what}: {failed} could not be restored"),
    }
}

fn restore_lines(
    request: &Request,
    items: &[Item],
    names: &BTreeMap<SourceId, String>,
    spell: Spell,
) -> Vec<String> {
    let of_tag = request.tag.as_ref().map(|tag| format!(", for the tag {tag}")).unwrap_or_default();
    let mut lines = vec![format!("Restore request {}{of_tag}, made {}:", request.id, request.created_at)];
    lines.extend(items.iter().take(LISTED).map(|item| item_line(item, names.get(&item.source))));
    if items.len() > LISTED {
        lines.push(format!(
            "… and {} more; {}.",
            items.len() - LISTED,
            spell(&Remedy::ShowRestore(request.id))
        ));
    }
    lines
}

fn item_line(item: &Item, name: Option<&String>) -> String {
    let until = match item.expires_at {
        Some(at) => format!("; it expires again {at} unless something keeps it"),
        None => String::new(),
    };
    let what = match item.state {
        ItemState::Restored => {
            let late = match item.late_interactions {
                0 => String::new(),
                1 => ", with 1 interaction that arrived after it had expired".to_owned(),
                late => format!(", with about {late} interactions that arrived after it had expired"),
            };
            format!("restored, {} users{late}{until}", item.users_total)
        }
        ItemState::AlreadyAvailable => format!("was available already{until}"),
        ItemState::NothingToRestore => "has no interaction data to restore".to_owned(),
        ItemState::Cancelled => "cancelled".to_owned(),
        ItemState::Queued | ItemState::Restoring => "still under way".to_owned(),
        ItemState::Failed => format!(
            "failed: {}. Nothing was lost: the data is where it was",
            item.error.as_deref().unwrap_or("for an unknown reason")
        ),
    };
    format!("- {}: {what}", named(&item.source, name))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The most referrers of a source that a mail names.
const NAMED_REFERRERS: usize = 10;

impl Rekindle {
    /// The subject and the lines of a daily notice, from the sources' present state: a source may have been kept since it
    /// was added to the notice.
    async fn expiring_lines(
        &self,
        listed: &[Expiring],
        more: u32,
        spell: Spell,
    ) -> Result<(String, Vec<String>), StoreError> {
        // A source that was warned of twice before the mail went out stands in the list twice: the last date holds.
        let latest: BTreeMap<&SourceId, &Expiring> = listed.iter().map(|e| (&e.source, e)).collect();
        let ids: Vec<SourceId> = latest.keys().map(|id| (*id).clone()).collect();
        let found = self.store.catalog.sources(&ids).await?.into_iter();
        let views: BTreeMap<SourceId, SourceView> =
            found.map(|(source, manifest)| (source.id.clone(), self.view(source, &manifest))).collect();
        let referrers = self.referrers(&ids.into_iter().collect()).await?;
        let mut sorted: Vec<&Expiring> = latest.into_values().collect();
        sorted.sort_by_key(|e| (e.expires_at, &e.source));
        let mut lines = vec!["The interaction data of these stopped sources is going to expire:".to_owned()];
        for entry in &sorted {
            let refer = referrers.get(&entry.source);
            lines.push(expiring_line(entry, views.get(&entry.source), refer));
        }
        if more > 0 {
            lines.push(format!(
                "… and {more} more than the {MAX_LISTED} listed; {}.",
                spell(&Remedy::ListExpirations)
            ));
        }
        lines.push(
            "Expired data lies in the archive until its source is deleted. A question about it is refused until it is restored, unless the question asks to read the archive. Data does not expire while its source is active or pinned, or while an active source retargets it by name, directly or through segments. A tag keeps nothing."
                .to_owned(),
        );
        let subject = match (sorted.as_slice(), more) {
            ([one], 0) => format!("Interaction data of {} expires {}", one.source, one.expires_at),
            _ => format!(
                "Interaction data of {} sources is going to expire",
                sorted.len() as u64 + u64::from(more)
            ),
        };
        Ok((subject, lines))
    }
}

fn expiring_line(
    entry: &Expiring,
    view: Option<&SourceView>,
    referrers: Option<&BTreeSet<Reference>>,
) -> String {
    let name = named(&entry.source, view.map(|view| &view.name));
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

/// The present state of a source that was to expire, in words.
fn standing(entry: &Expiring, view: &SourceView) -> String {
    let data = &view.interaction_data;
    match data.expires_at {
        Some(at) if at == entry.expires_at => format!("expires {at}"),
        Some(at) => format!("was to expire {}, and now {at}", entry.expires_at),
        None if data.state != ShownState::Available => format!("is {} by now", data.state.as_str()),
        None if view.status != Status::Stopped => {
            format!("was to expire {}, but was started", entry.expires_at)
        }
        None => format!("was to expire {}, but is kept", entry.expires_at),
    }
}
