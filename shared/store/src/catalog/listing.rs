//! Sources of both kinds in one order, and sources without their manifests.

use super::{Catalog, Key, sources::ListCursor};
use crate::{
    dynamo::{n, s, text},
    error::{StoreError, failed},
};
use rekindle_domain::{
    id::{SourceId, SourceKind},
    source::Source,
    time::Time,
};
use serde::{Deserialize, Serialize};

/// In which order, by which index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Last update first.
    Newest,
    /// Soonest expiry first, up to that time.
    ExpiresBy(Time),
}

/// Where a listing of both kinds goes on: after these.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign: Option<ListCursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canvas: Option<ListCursor>,
}

impl Place {
    /// The place after this entry, which stands after this place.
    pub fn pass(&mut self, entry: &ListCursor) {
        match entry.source.kind() {
            SourceKind::Campaign => self.campaign = Some(entry.clone()),
            SourceKind::Canvas => self.canvas = Some(entry.clone()),
        }
    }
}

impl Catalog {
    /// Campaigns and Canvases from a place on, in one order: `limit` of them, or fewer where that is all. From an index: a
    /// change shows after a moment, and one in between two pages may show twice or, where it moves to the front, not at
    /// all.
    pub async fn list_both(
        &self,
        order: Order,
        place: &Place,
        limit: usize,
    ) -> Result<Vec<ListCursor>, StoreError> {
        let mut out = self.entries(order, SourceKind::Campaign, place.campaign.as_ref(), limit).await?;
        out.extend(self.entries(order, SourceKind::Canvas, place.canvas.as_ref(), limit).await?);
        match order {
            Order::Newest => out.sort_by_key(|entry| std::cmp::Reverse(entry.sort)),
            Order::ExpiresBy(_) => out.sort_by_key(|entry| entry.sort),
        }
        out.truncate(limit);
        Ok(out)
    }

    async fn entries(
        &self,
        order: Order,
        kind: SourceKind,
        after: Option<&ListCursor>,
        limit: usize,
    ) -> Result<Vec<ListCursor>, StoreError> {
        let request = self.client.query().table_name(&self.table);
        let request = request.expression_attribute_names("#list", "list");
        let request = request.expression_attribute_values(":list", s(kind.as_str()));
        let (request, sort) = match order {
            Order::Newest => {
                let request = request.index_name("updated").scan_index_forward(false);
                (request.key_condition_expression("#list = :list"), "updated_at")
            }
            Order::ExpiresBy(until) => {
                let request = request.index_name("expires").expression_attribute_values(":until", n(until.0));
                (request.key_condition_expression("#list = :list AND expires_at <= :until"), "expires_at")
            }
        };
        let mut from = after.map(|after| {
            let mut key = Key::new(&after.source, "source").attributes();
            key.insert("list".to_owned(), s(kind.as_str()));
            key.insert(sort.to_owned(), n(after.sort));
            key
        });
        let mut out = Vec::new();
        loop {
            let page = request.clone().limit((limit - out.len()) as i32).set_exclusive_start_key(from);
            let answer = page.send().await.map_err(failed("Query"))?;
            for item in answer.items() {
                let source = text(item, "pk").and_then(|pk| pk.parse().ok());
                let at = item.get(sort).and_then(|v| v.as_n().ok()).and_then(|n| n.parse().ok());
                out.extend(source.zip(at).map(|(source, sort)| ListCursor { source, sort }));
            }
            from = answer.last_evaluated_key;
            if from.is_none() || out.len() >= limit {
                return Ok(out);
            }
        }
    }

    /// Many sources without their manifests, in any order; unknown ones are left out.
    pub async fn sources_alone(&self, sources: &[SourceId]) -> Result<Vec<Source>, StoreError> {
        let keys = sources.iter().map(|source| Key::new(source, "source").attributes()).collect();
        let found = self.get_many(keys).await?;
        found.iter().map(|item| Ok(super::document(item)?.value)).collect()
    }
}
