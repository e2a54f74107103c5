//! Sources, their manifests and their timelines.

use super::{Catalog, Index, Key, Page, Transaction, Versioned, Write};
use crate::{
    dynamo::{Attributes, n, s, text, unbuildable},
    error::{StoreError, failed},
};
use aws_sdk_dynamodb::types::KeysAndAttributes;
use rekindle_domain::{
    Ulid,
    id::{LedgerId, SourceId, SourceKind},
    manifest::Manifest,
    source::Source,
    time::{Period, Time},
};
use serde::{Deserialize, Serialize};

/// Something that happened to a source, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimelineEntry {
    /// When.
    pub at: Time,
    /// What: started, stopped, expired, restore_started, restored, restore_failed, quarantined, …
    pub event: String,
    /// By whom: a person's or a function's name.
    pub by: String,
    /// More, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct SourceQuery {
    /// Only of that status, by name.
    pub status: Option<String>,
    /// Only in that state, by name.
    pub state: Option<String>,
    /// Only whose name or id begins so, case folded.
    pub prefix: Option<String>,
    /// Soonest expiry first instead of last update first.
    pub by_expiry: bool,
}

/// Where a listing goes on: the last source before, and its place in the index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListCursor {
    /// The last source of the page before.
    pub source: SourceId,
    /// Its sort key in the index.
    pub sort: i64,
}

fn source_key(source: &SourceId) -> Key {
    Key::new(source, "source")
}

fn manifest_key(ledger: &LedgerId) -> Key {
    Key::new(ledger, "manifest")
}

/// Which record of which source a key names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// A source.
    Source(SourceId),
    /// A manifest.
    Manifest(LedgerId),
    /// A request.
    Request(rekindle_domain::id::RequestId),
    /// A notice.
    Notice(String),
}

impl Key {
    /// What the key names, if it is something the sweeper looks at.
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
    /// Writes a source over what was read; `source.version` is the version that was read.
    pub fn put_source(
        &mut self,
        source: &Source,
        retention: &Period,
        warn_before: &Period,
    ) -> Result<(), StoreError> {
        let index = Index {
            wake_at: source.wake_at(retention, warn_before),
            list: Some((source.id.kind().as_str(), source.updated_at)),
            expires_at: source.expires_at(retention),
            more: vec![
                ("status", source.status.as_str().to_owned()),
                ("state", source.state.as_str().to_owned()),
                ("name_key", source.name.to_lowercase()),
                ("id_key", source.id.id().to_lowercase()),
            ],
        };
        let next = Source { version: source.version + 1, ..source.clone() };
        self.push(Write::new(source_key(&source.id), &next, source.version, index)?);
        Ok(())
    }

    /// Swaps a manifest, if `new` may follow `old`.
    pub fn swap(&mut self, ledger: &LedgerId, old: &Manifest, new: Manifest) -> Result<Manifest, StoreError> {
        let new = new.succeed(old)?;
        let index = Index { wake_at: new.wake_at(), ..Index::default() };
        self.push(Write::new(manifest_key(ledger), &new, old.version, index)?);
        Ok(new)
    }

    /// Adds to a source's timeline.
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
    /// A source.
    pub async fn source(&self, source: &SourceId) -> Result<Option<Source>, StoreError> {
        Ok(self.get(&source_key(source)).await?.map(|v: Versioned<Source>| v.value))
    }

    /// The manifest of a ledger; one that was never swapped is empty.
    pub async fn manifest(&self, ledger: &LedgerId) -> Result<Manifest, StoreError> {
        let found: Option<Versioned<Manifest>> = self.get(&manifest_key(ledger)).await?;
        Ok(found.map(|v| v.value).unwrap_or_default())
    }

    /// Many sources with their manifests, in the order asked for; unknown ones are left out.
    pub async fn sources(&self, sources: &[SourceId]) -> Result<Vec<(Source, Manifest)>, StoreError> {
        let mut keys = Vec::with_capacity(sources.len() * 2);
        for source in sources {
            keys.push(source_key(source).attributes());
            keys.push(manifest_key(&LedgerId::Source(source.clone())).attributes());
        }
        let mut found: std::collections::HashMap<String, (Option<Source>, Manifest)> = Default::default();
        for item in self.get_many(keys).await? {
            let entry = found.entry(text(&item, "pk").unwrap_or_default().to_owned()).or_default();
            match text(&item, "sk") {
                Some("source") => entry.0 = Some(super::document(&item)?.value),
                _ => entry.1 = super::document(&item)?.value,
            }
        }
        let take = |source: &SourceId| match found.remove(&source.to_string()) {
            Some((Some(source), manifest)) => Some((source, manifest)),
            _ => None,
        };
        Ok(sources.iter().filter_map(take).collect())
    }

    pub(super) async fn get_many(&self, keys: Vec<Attributes>) -> Result<Vec<Attributes>, StoreError> {
        let mut out = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(100) {
            let mut left = chunk.to_vec();
            let mut round = 0;
            while !left.is_empty() {
                crate::dynamo::back_off(round).await;
                round += 1;
                if round > 12 {
                    return Err(crate::dynamo::throttled("BatchGetItem"));
                }
                let request = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
                let request = request.map_err(unbuildable)?;
                let answer = self.client.batch_get_item().request_items(&self.table, request).send().await;
                let answer = answer.map_err(failed("BatchGetItem"))?;
                out.extend(answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default());
                left = answer
                    .unprocessed_keys
                    .unwrap_or_default()
                    .remove(&self.table)
                    .map(|k| k.keys)
                    .unwrap_or_default();
            }
        }
        Ok(out)
    }

    /// The ids of a page of sources, and where the next page begins. From an index: a change shows after a moment.
    pub async fn list_sources(
        &self,
        kind: SourceKind,
        query: &SourceQuery,
        after: Option<ListCursor>,
        limit: usize,
    ) -> Result<(Vec<SourceId>, Option<ListCursor>), StoreError> {
        let (index, sort) =
            if query.by_expiry { ("expires", "expires_at") } else { ("updated", "updated_at") };
        let mut conditions = Vec::new();
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .key_condition_expression("#list = :list")
            .expression_attribute_names("#list", "list")
            .expression_attribute_values(":list", s(kind.as_str()))
            .scan_index_forward(query.by_expiry);
        if let Some(status) = &query.status {
            conditions.push("#status = :status");
            request = request.expression_attribute_names("#status", "status");
            request = request.expression_attribute_values(":status", s(status));
        }
        if let Some(state) = &query.state {
            conditions.push("#state = :state");
            request = request.expression_attribute_names("#state", "state");
            request = request.expression_attribute_values(":state", s(state));
        }
        if let Some(prefix) = &query.prefix {
            conditions.push("(begins_with(name_key, :q) OR begins_with(id_key, :q))");
            request = request.expression_attribute_values(":q", s(prefix.to_lowercase()));
        }
        if !conditions.is_empty() {
            request = request.filter_expression(conditions.join(" AND "));
        }
        let mut from = after.map(|cursor| {
            let mut key = source_key(&cursor.source).attributes();
            key.insert("list".to_owned(), s(kind.as_str()));
            key.insert(sort.to_owned(), n(cursor.sort));
            key
        });
        let mut out: Vec<SourceId> = Vec::new();
        loop {
            let page =
                request.clone().set_exclusive_start_key(from).limit((limit - out.len()).max(25) as i32);
            let answer = page.send().await.map_err(failed("Query"))?;
            for item in answer.items() {
                let Some(source) = text(item, "pk").and_then(|pk| pk.parse::<SourceId>().ok()) else {
                    continue;
                };
                out.push(source.clone());
                if out.len() == limit {
                    let at =
                        item.get(sort).and_then(|v| v.as_n().ok()).and_then(|n| n.parse().ok()).unwrap_or(0);
                    return Ok((out, Some(ListCursor { source, sort: at })));
                }
            }
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok((out, None));
            }
        }
    }

    /// A page of a source's timeline, newest first: entries with their ids, and whether there are more.
    pub async fn timeline(
        &self,
        source: &SourceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, TimelineEntry)>, bool), StoreError> {
        let after = after.map(|id| format!("t#{id}"));
        let page = Page { after: after.as_deref(), limit, newest_first: true };
        let (entries, more) = self.query::<TimelineEntry>(&source.to_string(), "t#", page).await?;
        let entries = entries.into_iter().map(|(sk, e)| (sk.trim_start_matches("t#").to_owned(), e.value));
        Ok((entries.collect(), more))
    }
}
