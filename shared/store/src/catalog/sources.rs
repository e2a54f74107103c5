//! Sources, their manifests and their timelines.

use super::{
    Catalog, Index, Key, Page, Transaction, Versioned, Window, Write,
    query::{Entry, Order, document, entry},
};
use crate::{
    dynamo::{delete, pages, query_partition, s, text, write_all},
    error::StoreError,
};
use rekindle_domain::{
    Ulid,
    id::{LedgerId, SourceId, SourceKind},
    manifest::Manifest,
    source::Source,
    time::{Period, Time},
    words::folded,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Something that happened to a source, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimelineEntry {
    /// When.
    pub at: Time,
    /// The event: registered, edited, started, stopped, pinned, unpinned, warned, expired, restore_started, restored,
    /// restore_cancelled, restore_failed, clock_restarted, holding_failed, stopping_failed, sent_after_stop, archiving_failed,
    /// compaction_failed, mail_failed, deleted or undeleted.
    pub event: String,
    /// By whom: a person's or a function's name.
    pub by: String,
    /// More, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The sources that a listing shows, and their order.
#[derive(Clone, Debug, Default)]
pub struct SourceQuery {
    /// Only sources with the status of this name.
    pub status: Option<String>,
    /// Only sources in the state of this name.
    pub state: Option<String>,
    /// Only sources in whose name or id each of these words stands; see [`words`].
    pub words: Vec<String>,
    /// Only sources that an interaction registered, and nobody has edited since.
    pub is_first_sight: bool,
    /// Only deleted sources, instead of the others.
    pub is_deleted: bool,
}

/// The words of a text that somebody looks for.
pub fn words(text: &str) -> Vec<String> {
    folded(text).split_whitespace().map(str::to_owned).collect()
}

impl SourceQuery {
    /// Whether each of the words stands in the name or the id of the source.
    pub fn names(&self, source: &Source) -> bool {
        let (name, id) = (folded(&source.name), folded(source.id.id()));
        self.words.iter().all(|word| name.contains(word.as_str()) || id.contains(word.as_str()))
    }
}

/// The place where the next page of a listing begins: after this source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListCursor {
    /// The last source of the page before.
    pub source: SourceId,
    /// Its sort key in the index, in milliseconds since 1970: when it was updated, or when it expires.
    pub sort: i64,
}

impl ListCursor {
    /// The cursor of an entry, if that is a source.
    pub(super) fn of((key, at): Entry) -> Option<Self> {
        Some(Self { source: key.pk.parse().ok()?, sort: at.0 })
    }

    /// The entry of a cursor.
    pub(super) fn entry(&self) -> Entry {
        (source_key(&self.source), Time(self.sort))
    }
}

pub(super) fn source_key(source: &SourceId) -> Key {
    Key::new(source, "source")
}

/// The list of the sources of a kind; deleted ones stand in a list of their own.
fn list_of(kind: SourceKind, is_deleted: bool) -> &'static str {
    match kind {
        SourceKind::Campaign if is_deleted => "deleted campaign",
        SourceKind::Canvas if is_deleted => "deleted canvas",
        kind => kind.as_str(),
    }
}

fn manifest_key(ledger: &LedgerId) -> Key {
    Key::new(ledger, "manifest")
}

/// The item that a key names, if the sweeper looks at items of its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// The source with this id.
    Source(SourceId),
    /// The manifest of this ledger.
    Manifest(LedgerId),
    /// The restore request with this id.
    Request(rekindle_domain::id::RequestId),
    /// The notice with this id.
    Notice(String),
}

impl Key {
    /// The item that the key names; `None` for an item that the sweeper never looks at.
    pub fn parse(&self) -> Option<Named> {
        match self.sk.as_str() {
            "source" => self.pk.parse().ok().map(Named::Source),
            "manifest" => self.pk.parse().ok().map(Named::Manifest),
            "request" => self.pk.strip_prefix("restore#")?.parse().ok().map(Named::Request),
            "notice" => self.pk.strip_prefix("notice#").map(|id| Named::Notice(id.to_owned())),
            _ => None,
        }
    }
}

impl Transaction {
    /// Writes a source over the version that was read, which is `source.version`.
    pub fn put_source(
        &mut self,
        source: &Source,
        retention: &Period,
        warn_before: &Period,
    ) -> Result<(), StoreError> {
        let mut more = vec![
            ("status", source.status.as_str().to_owned()),
            ("state", source.state.as_str().to_owned()),
            ("name_key", folded(&source.name)),
            ("id_key", folded(source.id.id())),
        ];
        if source.is_first_sight {
            more.push(("first_sight", "true".to_owned()));
        }
        let index = Index {
            wake_at: source.wake_at(retention, warn_before),
            list: Some((list_of(source.id.kind(), source.deletion.is_some()), source.updated_at)),
            expires_at: source.expires_at(retention),
            more,
        };
        let next = Source { version: source.version + 1, ..source.clone() };
        self.push(Write::new(source_key(&source.id), &next, source.version, index)?);
        Ok(())
    }

    /// Writes the manifest `new` over `old`, which was read. Returns it with its new version.
    ///
    /// # Errors
    /// Also [`StoreError::Illegal`], where the rules of manifests do not let `new` follow `old`.
    pub fn swap(&mut self, ledger: &LedgerId, old: &Manifest, new: Manifest) -> Result<Manifest, StoreError> {
        let new = new.succeed(old)?;
        let index = Index { wake_at: new.wake_at(), ..Index::default() };
        self.push(Write::new(manifest_key(ledger), &new, old.version, index)?);
        Ok(new)
    }

    /// Deletes a source and its manifest, as they were read.
    pub fn delete_source(&mut self, source: &Source, manifest: &Manifest) {
        self.delete(source_key(&source.id), source.version);
        self.delete(manifest_key(&LedgerId::Source(source.id.clone())), manifest.version);
    }

    /// Adds an entry to a source's timeline. The id must be new; its time orders the timeline.
    pub fn add_timeline(
        &mut self,
        source: &SourceId,
        id: Ulid,
        entry: &TimelineEntry,
    ) -> Result<(), StoreError> {
        self.push(Write::new(Key::new(source, format!("t#{id}")), entry, 0, Index::default())?);
        Ok(())
    }
}

impl Catalog {
    /// A source, if it exists and is not deleted.
    pub async fn source(&self, source: &SourceId) -> Result<Option<Source>, StoreError> {
        Ok(self.source_or_deleted(source).await?.filter(|source| source.deletion.is_none()))
    }

    /// A source, if it exists, even a deleted one.
    pub async fn source_or_deleted(&self, source: &SourceId) -> Result<Option<Source>, StoreError> {
        Ok(self.get(&source_key(source)).await?.map(|v: Versioned<Source>| v.value))
    }

    /// The manifest of a ledger; an empty one before the first swap.
    pub async fn manifest(&self, ledger: &LedgerId) -> Result<Manifest, StoreError> {
        let found: Option<Versioned<Manifest>> = self.get(&manifest_key(ledger)).await?;
        Ok(found.map(|v| v.value).unwrap_or_default())
    }

    /// These sources with their manifests, in the order of `sources`; an id without a source, or with a deleted one, is left
    /// out. No id may be given twice.
    pub async fn sources(&self, sources: &[SourceId]) -> Result<Vec<(Source, Manifest)>, StoreError> {
        let mut found = self.sources_or_deleted(sources).await?;
        found.retain(|(source, _)| source.deletion.is_none());
        Ok(found)
    }

    /// These sources with their manifests, as [`Catalog::sources`], with the deleted ones.
    pub async fn sources_or_deleted(
        &self,
        sources: &[SourceId],
    ) -> Result<Vec<(Source, Manifest)>, StoreError> {
        let mut keys = Vec::with_capacity(sources.len() * 2);
        for source in sources {
            keys.push(source_key(source));
            keys.push(manifest_key(&LedgerId::Source(source.clone())));
        }
        let mut found: HashMap<String, (Option<Source>, Manifest)> = HashMap::new();
        for item in self.get_items(&keys).await? {
            let entry = found.entry(text(&item, "pk").unwrap_or_default().to_owned()).or_default();
            match text(&item, "sk") {
                Some("source") => entry.0 = Some(document(&item)?.value),
                _ => entry.1 = document(&item)?.value,
            }
        }
        let take = |source: &SourceId| match found.remove(&source.to_string()) {
            Some((Some(source), manifest)) => Some((source, manifest)),
            _ => None,
        };
        Ok(sources.iter().filter_map(take).collect())
    }

    /// Up to `limit` sources of a kind, in an order. The page after a full one may be empty. Comes from an index: a
    /// change shows after a moment. Reads every entry of the index until the page is full: some 300 bytes each.
    pub async fn list_sources(
        &self,
        kind: SourceKind,
        query: &SourceQuery,
        order: Order,
        after: Option<ListCursor>,
        limit: usize,
    ) -> Result<Page<ListCursor, ListCursor>, StoreError> {
        let after = after.map(|cursor| cursor.entry());
        let mut request = self.list_query(list_of(kind, query.is_deleted), order, after);
        let mut conditions = Vec::new();
        if let Some(status) = &query.status {
            conditions.push("#status = :status".to_owned());
            request = request.expression_attribute_names("#status", "status");
            request = request.expression_attribute_values(":status", s(status));
        }
        if let Some(state) = &query.state {
            conditions.push("#state = :state".to_owned());
            request = request.expression_attribute_names("#state", "state");
            request = request.expression_attribute_values(":state", s(state));
        }
        if query.is_first_sight {
            conditions.push("attribute_exists(first_sight)".to_owned());
        }
        for (i, word) in query.words.iter().enumerate() {
            conditions.push(format!("(contains(name_key, :q{i}) OR contains(id_key, :q{i}))"));
            request = request.expression_attribute_values(format!(":q{i}"), s(word));
        }
        if !conditions.is_empty() {
            request = request.filter_expression(conditions.join(" AND "));
        }
        let mut pages = pages(request);
        let mut out: Vec<ListCursor> = Vec::new();
        // DynamoDB counts items before the filter. Where few fit, each call looks at twice as many as the one before.
        let mut look = limit.max(25);
        while let Some(items) = pages.next_of(look).await? {
            for entry in items.iter().filter_map(|item| ListCursor::of(entry(item, order)?)) {
                out.push(entry.clone());
                if out.len() == limit {
                    return Ok(Page { items: out, next: Some(entry) });
                }
            }
            if !conditions.is_empty() {
                look = look.saturating_mul(2);
            }
        }
        Ok(Page { items: out, next: None })
    }

    /// Deletes the entries of a source's timeline that were made before a time.
    ///
    /// # Errors
    /// After any error some entries may be left.
    pub async fn delete_timeline(&self, source: &SourceId, before: Time) -> Result<(), StoreError> {
        let end = Ulid::from_parts(before.0.unsigned_abs(), 0);
        let query = query_partition(&self.client, &self.table, source.to_string())
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":from", s("t#"))
            .expression_attribute_values(":to", s(format!("t#{end}")))
            .projection_expression("pk, sk");
        let mut pages = pages(query);
        while let Some(items) = pages.next().await? {
            let requests: Result<Vec<_>, _> = items.into_iter().map(delete).collect();
            write_all(&self.client, &self.table, requests?).await?;
        }
        Ok(())
    }

    /// Up to `limit` entries of a source's timeline, newest first. A place is the id of an entry.
    pub async fn timeline(
        &self,
        source: &SourceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<TimelineEntry, String>, StoreError> {
        let after = after.map(|id| format!("t#{id}"));
        let window = Window { after: after.as_deref(), limit, newest_first: true };
        let (entries, more) = self.query::<TimelineEntry>(&source.to_string(), "t#", window).await?;
        let id = |(sk, _): &(String, _)| sk.trim_start_matches("t#").to_owned();
        Ok(Page::new(entries, more, id).map(|(_, entry)| entry.value))
    }
}
