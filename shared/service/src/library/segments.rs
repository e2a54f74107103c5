//! Segments: named filters.

use super::{filters::check_width, names::UnknownNames};
use crate::{
    app::Rekindle,
    checks::check_name,
    journal::{Caller, changed},
    page::{Listing, NOT_OURS, decode_cursor},
    problem::{Fact, Problem},
    retry::until_answered,
};
use rekindle_domain::{
    filter::Filter,
    id::{SourceId, is_valid_id},
    segment::{Referrer, Segment},
    time::Time,
};
use rekindle_store::catalog::{Page, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a person says of a segment. Replaces what was said before.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SegmentInput {
    /// What people call it; its id if left out.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Name>"))]
    pub name: Option<String>,
    /// Who is in it.
    #[cfg_attr(feature = "schema", schemars(with = "Filter"))]
    pub filter: Value,
    /// What to do about tags that no source carries, and variants, variations and steps that their source does not declare.
    #[serde(default)]
    pub unknown_names: UnknownNames,
}

/// A segment as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SegmentView {
    /// `segment/ID`.
    pub segment: String,
    /// What people call it.
    pub name: String,
    /// Who is in it.
    pub filter: Filter,
    /// When it was made.
    pub created_at: Time,
    /// When a person last changed it.
    pub updated_at: Time,
    /// The sources and segments that name it.
    pub used_by: Vec<Referrer>,
    /// The active sources that come to it, and so hold what it names.
    pub active: Vec<SourceId>,
    /// What lost its last holder and goes at the next sweep; only in answers to editing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now_due: Option<Vec<SourceId>>,
}

impl From<Segment> for SegmentView {
    fn from(segment: Segment) -> Self {
        Self {
            segment: format!("segment/{}", segment.id),
            name: segment.name,
            filter: segment.filter,
            created_at: segment.created_at,
            updated_at: segment.updated_at,
            used_by: segment.used_by.into_iter().collect(),
            active: segment.active.into_iter().collect(),
            now_due: None,
        }
    }
}

fn on(id: &str) -> String {
    format!("segment/{id}")
}

fn unknown(id: &str) -> Problem {
    Problem::not_found("unknown_segment", format!("segment/{id} is not registered"))
}

impl Rekindle {
    /// Makes a segment, or replaces its name and filter. Returns `true` if it is new. The holders of the data that it names
    /// move in the same transaction.
    ///
    /// # Errors
    /// 409 data that an active source then needs is expired; 422 an invalid name or filter.
    pub async fn put_segment(
        &self,
        id: &str,
        input: &SegmentInput,
        by: &Caller,
    ) -> Result<(SegmentView, bool), Problem> {
        let name = input.name.clone().unwrap_or_else(|| id.to_owned());
        check_name(&name)?;
        let filter = Filter::parse(&input.filter, "filter")?;
        let stored = self.store.catalog.segment(id).await?;
        let unknown_names = if stored.is_some_and(|stored| stored.filter == filter) {
            // Its names were let in before, and a tag may have lost its sources since.
            UnknownNames::Allow
        } else {
            input.unknown_names
        };
        let segments = self.check_filter(&filter, "filter", Some(id), None, unknown_names).await?;
        check_width(&filter, &segments, None, "filter")?;
        let (is_new, now_due, segment) = until_answered!(async {
            let now = self.now();
            let before = self.store.catalog.segment(id).await?;
            let base = before.clone().unwrap_or_else(|| Segment::new(id, filter.clone(), now));
            let after = Segment { name: name.clone(), filter: filter.clone(), updated_at: now, ..base };
            let mut transaction = Transaction::new();
            let now_due = self.move_segment(&mut transaction, before.as_ref(), &after).await?;
            transaction.put_segment(&after)?;
            let (event, detail) = match &before {
                None => ("registered", None),
                Some(before) => {
                    let fields =
                        [("name", before.name != after.name), ("filter", before.filter != after.filter)];
                    ("edited", changed(&fields))
                }
            };
            self.audit(&mut transaction, by, event, &on(id), detail)?;
            self.store.catalog.commit(transaction).await?;
            Ok((before.is_none(), now_due, after))
        })?;
        let now_due = Some(now_due).filter(|_| !is_new);
        Ok((SegmentView { now_due, ..segment.into() }, is_new))
    }

    /// A segment by its id.
    ///
    /// # Errors
    /// 404.
    pub async fn get_segment(&self, id: &str) -> Result<SegmentView, Problem> {
        let segment = self.store.catalog.segment(id).await?;
        segment.map(SegmentView::from).ok_or_else(|| unknown(id))
    }

    /// A page of segments, last changed first.
    ///
    /// # Errors
    /// 400 a cursor that is not ours.
    pub async fn list_segments(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<SegmentView>, Problem> {
        let after: Option<(String, Time)> = cursor.map(decode_cursor).transpose()?;
        if after.as_ref().is_some_and(|(id, _)| !is_valid_id(id)) {
            return Err(Problem::bad_request("invalid_cursor", NOT_OURS));
        }
        let Page { items: ids, next } = self.store.catalog.list_segments(after, limit).await?;
        let mut found: BTreeMap<String, Segment> = BTreeMap::new();
        for segment in self.store.catalog.segments(&ids).await? {
            found.insert(segment.id.clone(), segment);
        }
        let items: Vec<Segment> = ids.iter().filter_map(|id| found.remove(id)).collect();
        Ok(Listing::of(Page { items, next }.map(SegmentView::from)))
    }

    /// Deletes a segment that nothing uses.
    ///
    /// # Errors
    /// 404; 409 with the sources and segments that use it.
    pub async fn delete_segment(&self, id: &str, by: &Caller) -> Result<(), Problem> {
        until_answered!(async {
            let Some(segment) = self.store.catalog.segment(id).await? else {
                return Err(unknown(id).into());
            };
            if !segment.used_by.is_empty() {
                let users: Vec<Referrer> = segment.used_by.into_iter().collect();
                let names: Vec<String> = users.iter().map(ToString::to_string).collect();
                let detail = format!("segment/{id} is used by {}; change these first", names.join(", "));
                return Err(Problem::conflict("segment_in_use", detail).with(Fact::UsedBy(users)).into());
            }
            let mut transaction = Transaction::new();
            for mut below in self.store.catalog.segments(&segment.filter.segments()).await? {
                below.used_by.remove(&Referrer::Segment(id.to_owned()));
                transaction.put_segment(&below)?;
            }
            transaction.delete_segment(&segment);
            self.audit(&mut transaction, by, "deleted", &on(id), None)?;
            self.store.catalog.commit(transaction).await?;
            Ok(())
        })
    }
}
