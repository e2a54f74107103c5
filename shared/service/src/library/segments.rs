//! Segments: named filters.

use super::{
    edits::{Edit, Said, Shown},
    filters::check_width,
    names::UnknownNames,
    paging::Paging,
    room::check_room,
    view::NowDue,
};
use crate::{
    app::Rekindle,
    boxed,
    checks::check_name,
    journal::{Caller, changed},
    page::{Listing, NOT_OURS, decode_cursor},
    problem::{Fact, Problem},
    retry::{Stop, until_answered},
};
use rekindle_domain::{
    filter::Filter,
    id::{SourceId, clip, is_valid_id},
    segment::{Referrer, Segment},
    time::Time,
};
use rekindle_store::catalog::{Page, Transaction, listing::Order};
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
    /// The segment itself, as `GET` shows it.
    #[serde(default)]
    pub segment: Option<String>,
    /// Shown, and ignored here.
    #[serde(default)]
    pub created_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub updated_at: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub used_by: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub active: Shown,
    /// Shown, and ignored here.
    #[serde(default)]
    pub now_due: Shown,
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
    /// The sources whose data nothing keeps any more through this act, although its time is over; only in answers to acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now_due: Option<Vec<NowDue>>,
    /// Counts writes: the ETag.
    #[serde(skip)]
    pub version: u64,
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
            version: segment.version,
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
    /// Makes a segment, replaces its name and filter or changes some of its fields. Returns `true` if it is new. The holders
    /// of the data that it names move in the same transaction.
    ///
    /// # Errors
    /// 404 a segment that nobody made is to change; 409 data that an active source then needs is expired; 412 the segment has
    /// another version; 422 an invalid name or filter.
    #[boxed]
    pub async fn edit_segment(
        &self,
        id: &str,
        said: &Said<SegmentInput, SegmentView>,
        how: Edit,
        by: &Caller,
    ) -> Result<(SegmentView, bool), Problem> {
        let (is_new, now_due, segment) = until_answered!(self.try_edit_segment(id, said, how, by))?;
        let version = segment.version + u64::from(!how.is_dry_run);
        let now_due = Some(now_due).filter(|_| !is_new);
        Ok((SegmentView { now_due, version, ..segment.into() }, is_new))
    }

    async fn try_edit_segment(
        &self,
        id: &str,
        said: &Said<SegmentInput, SegmentView>,
        how: Edit,
        by: &Caller,
    ) -> Result<(bool, Vec<NowDue>, Segment), Stop> {
        let now = self.now();
        let before = self.store.catalog.segment(id).await?;
        how.check(&on(id), before.as_ref().map(|segment| segment.version))?;
        let input = said.whole(before.clone().map(SegmentView::from), || unknown(id))?;
        let (name, filter) = self.check_segment_input(id, before.as_ref(), input).await?;
        let base = before.clone().unwrap_or_else(|| Segment::new(id, filter.clone(), now));
        let after = Segment { name, filter, updated_at: now, ..base };
        let mut transaction = Transaction::new();
        let now_due = self.move_segment(&mut transaction, before.as_ref(), &after).await?;
        transaction.put_segment(&after)?;
        let (event, detail) = match &before {
            None => ("registered", None),
            Some(before) => {
                let fields = [("name", before.name != after.name), ("filter", before.filter != after.filter)];
                ("edited", changed(&fields))
            }
        };
        self.audit(&mut transaction, by, event, &on(id), detail)?;
        check_room(&transaction, true)?;
        if !how.is_dry_run {
            self.store.catalog.commit(transaction).await?;
        }
        Ok((before.is_none(), now_due, after))
    }

    /// 422 unless the fields fit the segment; returns its name and its filter.
    async fn check_segment_input(
        &self,
        id: &str,
        before: Option<&Segment>,
        input: SegmentInput,
    ) -> Result<(String, Filter), Problem> {
        if let Some(other) = input.segment.filter(|other| *other != on(id)) {
            let detail =
                format!("segment is {}, and this is segment/{id}; a segment keeps its id", clip(&other));
            return Err(Problem::unprocessable("invalid_segment", detail).at("segment"));
        }
        let name = input.name.unwrap_or_else(|| id.to_owned());
        check_name(&name)?;
        let filter = Filter::parse(&input.filter, "filter")?;
        let unknown_names = if before.is_some_and(|before| before.filter == filter) {
            // Its names were let in before, and a tag may have lost its sources since.
            UnknownNames::Allow
        } else {
            input.unknown_names
        };
        let segments = self.check_filter(&filter, "filter", Some(id), None, unknown_names).await?;
        check_width(&filter, &segments, None, "filter")?;
        Ok((name, filter))
    }

    /// A segment by its id.
    ///
    /// # Errors
    /// 404.
    #[boxed]
    pub async fn get_segment(&self, id: &str) -> Result<SegmentView, Problem> {
        let segment = self.store.catalog.segment(id).await?;
        segment.map(SegmentView::from).ok_or_else(|| unknown(id))
    }

    /// A page of segments, last changed first.
    ///
    /// # Errors
    /// 400 a cursor that is not ours.
    #[boxed]
    pub async fn list_segments(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Listing<SegmentView>, Problem> {
        let cursor: Option<Paging<(String, Time)>> = cursor.map(decode_cursor).transpose()?;
        let mut paging = cursor.unwrap_or_else(|| Paging::begin(self.now()));
        let mut ids: Vec<String> = Vec::new();
        let next = loop {
            let (order, after) = paging.place(Order::Newest);
            if after.as_ref().is_some_and(|(id, _)| !is_valid_id(id)) {
                return Err(Problem::bad_request("invalid_cursor", NOT_OURS));
            }
            let page = self.store.catalog.list_segments(order, after, limit - ids.len()).await?;
            let newest = page.items.first().map(|(_, at)| *at);
            // One page names no segment twice.
            for (id, _) in page.items {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            match paging.next(page.next, newest) {
                Some(next) if ids.len() < limit => paging = next,
                next => break next,
            }
        };
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
    /// 404; 409 with the sources and segments that use it; 412 the segment has another version.
    #[boxed]
    pub async fn delete_segment(&self, id: &str, how: Edit, by: &Caller) -> Result<(), Problem> {
        until_answered!(async {
            let Some(segment) = self.store.catalog.segment(id).await? else {
                return Err(unknown(id).into());
            };
            how.check(&on(id), Some(segment.version))?;
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
            check_room(&transaction, false)?;
            if !how.is_dry_run {
                self.store.catalog.commit(transaction).await?;
            }
            Ok(())
        })
    }
}
