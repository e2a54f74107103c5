//! Campaigns and Canvases: registering, editing, starting and stopping them.

use super::{
    bodies::SourceInput,
    edits::{Edit, Said},
    filters::check_width,
    names::UnknownNames,
    room::{check_fields, check_room},
    view::{NowDue, SourceView, deleted_source, unknown_source},
};
use crate::{
    app::Rekindle,
    boxed,
    journal::{Caller, changed},
    page::{Listing, NOT_OURS},
    problem::{Problem, ProblemKind, expired_data},
    retry::{Stop, until_answered},
};
use rekindle_domain::{
    Ulid,
    filter::Filter,
    id::{LedgerId, SourceId, SourceKind},
    interaction::EARLIEST,
    manifest::{DataState, Manifest},
    source::{Source, Status},
    time::Time,
    words,
};
use rekindle_store::{
    StoreError,
    catalog::{Transaction, sources::TimelineEntry},
};
use std::collections::BTreeSet;

impl Rekindle {
    /// Registers a source, replaces its fields or changes some of them. Returns `true` if it is new.
    ///
    /// # Errors
    /// 404 a source that nobody registered is to change; 409 the audience needs expired data; 412 the source has another
    /// version; 422 an invalid field.
    #[boxed]
    pub async fn edit_source(
        &self,
        id: &SourceId,
        said: &Said<SourceInput, SourceView>,
        how: Edit,
        by: &Caller,
    ) -> Result<(SourceView, bool), Problem> {
        let (after, is_new, now_due) = until_answered!(self.try_edit(id, said, how, by))?;
        let view = self.answer(after, how.is_dry_run).await?;
        Ok((SourceView { now_due: Some(now_due).filter(|_| !is_new), ..view }, is_new))
    }

    async fn try_edit(
        &self,
        id: &SourceId,
        said: &Said<SourceInput, SourceView>,
        how: Edit,
        by: &Caller,
    ) -> Result<(Source, bool, Vec<NowDue>), Stop> {
        let now = self.now();
        let found = self.store.catalog.source_or_deleted(id).await?;
        if let Some(deletion) = found.as_ref().and_then(|found| found.deletion.as_ref()) {
            return Err(deleted_source(ProblemKind::Conflict, "source_deleted", id, deletion).into());
        }
        how.check(&id.to_string(), found.as_ref().map(|s| s.version))?;
        let shown = found.clone().map(|source| self.view(source, &Manifest::default()));
        let input = said.whole(shown, || unknown_source(id))?;
        let audience = self.check_input(id, found.as_ref(), &input).await?;
        let is_new = found.is_none();
        let before = found.unwrap_or_else(|| Source::draft(id.clone(), now));
        let starts = is_new && input.status == Some(Status::Active);
        let base = if starts { before.started(now) } else { before.clone() };
        let holds_later = base.holds_later && audience == before.audience;
        let after = Source {
            name: input.name.unwrap_or_else(|| id.id().to_owned()),
            tags: self.spelled(&before.tags, &input.tags).await?,
            variants: input.variants,
            steps: input.steps,
            audience,
            notify: input.notify,
            holds_later,
            is_first_sight: false,
            updated_at: now,
            ..base
        };
        check_fields(&after)?;
        let mut transaction = Transaction::new();
        let now_due = self.move_holders(&mut transaction, &before, &after).await?;
        transaction.move_tags(id, &before.tags, &after.tags);
        self.put_source(&mut transaction, &after)?;
        if is_new {
            self.record_act(&mut transaction, id, "registered", by, None)?;
        } else {
            let edits = edits(&before, &after);
            self.audit(&mut transaction, by, "edited", &id.to_string(), edits.clone())?;
            if edits.is_some() {
                self.record(&mut transaction, id, "edited", &by.name(), edits)?;
            }
        }
        if starts {
            self.record_act(&mut transaction, id, "started", by, None)?;
        }
        if transaction.len() > Transaction::MAX {
            let detail = "the audience and the tags of an active source change too much at once; change the tags first, then the audience";
            return Err(Problem::unprocessable("too_many_changes", detail).into());
        }
        let holds_more = after.status == Status::Active && (starts || after.audience != before.audience);
        check_room(&transaction, holds_more)?;
        if !how.is_dry_run {
            self.store.catalog.commit(transaction).await?;
        }
        Ok((after, is_new, now_due))
    }

    /// The answer to an edit: the source as it is now or, after a dry run, as it would be.
    async fn answer(&self, after: Source, is_dry_run: bool) -> Result<SourceView, Problem> {
        if !is_dry_run {
            return self.shown(&after.id).await;
        }
        let manifest = self.store.catalog.manifest(&LedgerId::Source(after.id.clone())).await?;
        Ok(self.view(self.noticed(&after), &manifest))
    }

    /// The distinct ones of these tags, each spelled as the source that carried it first spells it.
    async fn spelled(
        &self,
        before: &BTreeSet<String>,
        tags: &[String],
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut out = BTreeSet::new();
        for tag in words::distinct_tags(tags) {
            let known = match words::tag_among(before, tag) {
                Some(known) => Some(known.clone()),
                None => self.store.catalog.spelling(tag).await?,
            };
            out.insert(known.unwrap_or_else(|| tag.clone()));
        }
        Ok(out)
    }

    /// 422 unless the fields fit; returns the audience's filter.
    async fn check_input(
        &self,
        id: &SourceId,
        found: Option<&Source>,
        input: &SourceInput,
    ) -> Result<Option<Filter>, Problem> {
        input.check(id, found)?;
        let Some(audience) = input.audience.as_ref().filter(|a| !a.is_null()) else {
            return Ok(None);
        };
        let filter = Filter::parse(audience, "audience")?;
        let unknown_names = if found.is_some_and(|found| found.audience.as_ref() == Some(&filter)) {
            // Its names were let in before, and a tag may have lost its sources since.
            UnknownNames::Allow
        } else {
            input.unknown_names
        };
        let own = Source {
            tags: input.tags.iter().cloned().collect(),
            variants: input.variants.clone(),
            steps: input.steps.clone(),
            ..Source::draft(id.clone(), self.now())
        };
        let segments = self.check_filter(&filter, "audience", None, Some(&own), unknown_names).await?;
        check_width(&filter, &segments, Some(id), "audience")?;
        Ok(Some(filter))
    }

    /// Starts a source.
    ///
    /// # Errors
    /// 404; 409 if its own data, or data that its audience needs, is expired: then nothing changes.
    #[boxed]
    pub async fn start_source(&self, id: &SourceId, by: &Caller) -> Result<SourceView, Problem> {
        self.change_status(id, by, "started", false, |source, now| {
            let is_new = source.status != Status::Active;
            let started_at = source.started_at.filter(|_| !is_new).unwrap_or(now);
            Ok((is_new || source.holds_later).then(|| source.started(started_at)))
        })
        .await
    }

    /// Stops a source, now or as of an earlier time. Stopping again changes nothing. A dry run answers the same and writes
    /// nothing.
    ///
    /// # Errors
    /// 404; 409 if it is a draft without data, or was stopped at another time; 422 a time that is not past.
    #[boxed]
    pub async fn stop_source(
        &self,
        id: &SourceId,
        at: Option<Time>,
        is_dry_run: bool,
        by: &Caller,
    ) -> Result<SourceView, Problem> {
        self.change_status(id, by, "stopped", is_dry_run, |source, now| match (source.status, at) {
            (Status::Draft, _) if !source.has_data => {
                let detail = format!("{id} is a draft; only a source that was started can be stopped");
                Err(Problem::conflict("not_started", detail))
            }
            (Status::Stopped, Some(at)) if source.stopped_at != Some(at) => {
                let stopped_at = source.stopped_at.unwrap_or_default();
                let detail = format!("{id} was stopped at {stopped_at} already; that does not change");
                Err(Problem::conflict("already_stopped", detail))
            }
            (Status::Stopped, _) => Ok(None),
            (_, Some(at)) if at > now || at < EARLIEST => {
                let detail = format!("at must be between {EARLIEST} and now, {now}");
                Err(Problem::unprocessable("invalid_at", detail))
            }
            (_, at) => Ok(Some(source.stopped(at.unwrap_or(now), false))),
        })
        .await
    }

    async fn change_status(
        &self,
        id: &SourceId,
        by: &Caller,
        event: &str,
        is_dry_run: bool,
        change: impl Fn(&Source, Time) -> Result<Option<Source>, Problem>,
    ) -> Result<SourceView, Problem> {
        let (after, now_due) = until_answered!(async {
            let now = self.now();
            let before = self.known_source(id).await?;
            let Some(after) = change(&before, now)? else { return Ok((before, Vec::new())) };
            if after.status == Status::Active && before.state != DataState::Available {
                return Err(expired_data(BTreeSet::from([id.clone()])).into());
            }
            let as_of = after.stopped_at.filter(|at| *at != now).map(|at| format!("as of {at}"));
            let after = Source { updated_at: now, ..after };
            let mut transaction = Transaction::new();
            let mut now_due = self.move_holders(&mut transaction, &before, &after).await?;
            now_due.extend(self.now_due(&after));
            self.put_source(&mut transaction, &after)?;
            self.record_act(&mut transaction, id, event, by, as_of)?;
            check_room(&transaction, after.status == Status::Active)?;
            if !is_dry_run {
                self.store.catalog.commit(transaction).await?;
            }
            Ok((after, now_due))
        })?;
        let view = self.answer(after, is_dry_run).await?;
        Ok(SourceView { now_due: (event == "stopped").then_some(now_due), ..view })
    }

    /// A page of a source's timeline, newest first.
    ///
    /// # Errors
    /// 404.
    #[boxed]
    pub async fn timeline(
        &self,
        id: &SourceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<TimelineEntry>, Problem> {
        if after.is_some_and(|after| Ulid::from_string(after).is_err()) {
            return Err(Problem::bad_request("invalid_cursor", NOT_OURS));
        }
        self.known_source(id).await?;
        let page = self.store.catalog.timeline(id, after, limit).await?;
        // The cursor is the id itself.
        Ok(Listing { items: page.items, next: page.next })
    }
}

/// The fields that an edit changed, as the API names them.
fn edits(before: &Source, after: &Source) -> Option<String> {
    let variants = match after.id.kind() {
        SourceKind::Campaign => "variants",
        SourceKind::Canvas => "variations",
    };
    changed(&[
        ("name", before.name != after.name),
        ("tags", before.tags != after.tags),
        (variants, before.variants != after.variants),
        ("steps", before.steps != after.steps),
        ("audience", before.audience != after.audience),
        ("notify", before.notify != after.notify),
    ])
}
