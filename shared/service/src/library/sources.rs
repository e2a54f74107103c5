//! Campaigns and Canvases: registering, editing, starting and stopping them.

use super::{
    bodies::SourceInput,
    filters::check_width,
    names::UnknownNames,
    view::{SourceView, unknown_source},
};
use crate::{
    app::Rekindle,
    journal::{Caller, changed},
    page::{Listing, NOT_OURS},
    problem::{Problem, ProblemKind, expired_data},
    retry::{Stop, until_answered},
};
use rekindle_domain::{
    Ulid,
    filter::Filter,
    id::{SourceId, SourceKind},
    manifest::DataState,
    source::{Source, Status},
    time::Time,
};
use rekindle_store::catalog::{Transaction, sources::TimelineEntry};
use std::collections::BTreeSet;

impl Rekindle {
    /// Registers a source, or replaces its fields. Returns `true` if it is new. With `if_match`, only if the source has
    /// this version.
    ///
    /// # Errors
    /// 409 the audience needs expired data; 412 the source has another version; 422 an invalid field.
    pub async fn edit_source(
        &self,
        id: &SourceId,
        input: &SourceInput,
        if_match: Option<u64>,
        by: &Caller,
    ) -> Result<(SourceView, bool), Problem> {
        let audience = self.check_input(id, input).await?;
        let (is_new, now_due) = until_answered!(self.try_put(id, input, audience.as_ref(), if_match, by))?;
        let view = self.get_source(id).await?;
        Ok((SourceView { now_due: Some(now_due).filter(|_| !is_new), ..view }, is_new))
    }

    async fn try_put(
        &self,
        id: &SourceId,
        input: &SourceInput,
        audience: Option<&Filter>,
        if_match: Option<u64>,
        by: &Caller,
    ) -> Result<(bool, Vec<SourceId>), Stop> {
        let now = self.now();
        let found = self.store.catalog.source(id).await?;
        if if_match.is_some_and(|version| found.as_ref().map(|s| s.version) != Some(version)) {
            let detail = "the source has changed since; read it again and decide again";
            return Err(Problem::new(ProblemKind::PreconditionFailed, "precondition_failed", detail).into());
        }
        let is_new = found.is_none();
        let before = found.unwrap_or_else(|| Source::draft(id.clone(), now));
        let after = Source {
            name: input.name.clone().unwrap_or_else(|| id.id().to_owned()),
            tags: input.tags.iter().cloned().collect(),
            variants: input.variants.clone(),
            steps: input.steps.clone(),
            audience: audience.cloned(),
            notify: input.notify.clone(),
            updated_at: now,
            ..before.clone()
        };
        let mut transaction = Transaction::new();
        let now_due = self.move_holders(&mut transaction, &before, &after).await?;
        transaction.move_tags(id, &before.tags, &after.tags);
        self.put_source(&mut transaction, &after)?;
        if is_new {
            self.record_act(&mut transaction, id, "registered", by, None)?;
        } else {
            self.audit(&mut transaction, by, "edited", &id.to_string(), edits(&before, &after))?;
        }
        if transaction.len() > Transaction::MAX {
            let detail = "the audience and the tags of an active source change too much at once; change the tags first, then the audience";
            return Err(Problem::unprocessable("too_many_changes", detail).into());
        }
        self.store.catalog.commit(transaction).await?;
        Ok((is_new, now_due))
    }

    /// 422 unless the fields fit; returns the audience's filter.
    async fn check_input(&self, id: &SourceId, input: &SourceInput) -> Result<Option<Filter>, Problem> {
        input.check(id.kind())?;
        let Some(audience) = input.audience.as_ref().filter(|a| !a.is_null()) else {
            return Ok(None);
        };
        let filter = Filter::parse(audience, "audience")?;
        let stored = self.store.catalog.source(id).await?;
        let unknown_names = if stored.is_some_and(|stored| stored.audience.as_ref() == Some(&filter)) {
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
    pub async fn start_source(&self, id: &SourceId, by: &Caller) -> Result<SourceView, Problem> {
        self.change_status(id, by, "started", |source, now| {
            let started =
                Source { status: Status::Active, started_at: Some(now), stopped_at: None, ..source.clone() };
            Ok((source.status != Status::Active).then_some(started))
        })
        .await
    }

    /// Stops a source, now or as of a time since its start. Stopping again changes nothing.
    ///
    /// # Errors
    /// 404; 409 if it was never started, or was stopped at another time; 422 a time at which it was not active.
    pub async fn stop_source(
        &self,
        id: &SourceId,
        at: Option<Time>,
        by: &Caller,
    ) -> Result<SourceView, Problem> {
        self.change_status(id, by, "stopped", |source, now| match (source.status, at) {
            (Status::Draft, _) => {
                let detail = format!("{id} is a draft; only a source that was started can be stopped");
                Err(Problem::conflict("not_started", detail))
            }
            (Status::Stopped, Some(at)) if source.stopped_at != Some(at) => {
                let stopped_at = source.stopped_at.unwrap_or_default();
                let detail = format!("{id} was stopped at {stopped_at} already; that does not change");
                Err(Problem::conflict("already_stopped", detail))
            }
            (Status::Stopped, _) => Ok(None),
            (Status::Active, Some(at)) if at > now || source.started_at.is_some_and(|start| at < start) => {
                let start = source.started_at.unwrap_or_default();
                let detail =
                    format!("at must not be before {start}, when {id} was started, nor after now, {now}");
                Err(Problem::unprocessable("invalid_at", detail))
            }
            (Status::Active, at) => {
                let stopped_at = Some(at.unwrap_or(now));
                Ok(Some(Source { status: Status::Stopped, stopped_at, ..source.clone() }))
            }
        })
        .await
    }

    async fn change_status(
        &self,
        id: &SourceId,
        by: &Caller,
        event: &str,
        change: impl Fn(&Source, Time) -> Result<Option<Source>, Problem>,
    ) -> Result<SourceView, Problem> {
        let now_due = until_answered!(async {
            let now = self.now();
            let Some(before) = self.store.catalog.source(id).await? else {
                return Err(unknown_source(id).into());
            };
            let Some(after) = change(&before, now)? else { return Ok(Vec::new()) };
            if after.status == Status::Active && before.state != DataState::Available {
                return Err(expired_data(BTreeSet::from([id.clone()])).into());
            }
            let as_of = after.stopped_at.filter(|at| *at != now).map(|at| format!("as of {at}"));
            let after = Source { updated_at: now, ..after };
            let mut transaction = Transaction::new();
            let now_due = self.move_holders(&mut transaction, &before, &after).await?;
            self.put_source(&mut transaction, &after)?;
            self.record_act(&mut transaction, id, event, by, as_of)?;
            self.store.catalog.commit(transaction).await?;
            Ok(now_due)
        })?;
        let view = self.get_source(id).await?;
        Ok(SourceView { now_due: (event == "stopped").then_some(now_due), ..view })
    }

    /// A page of a source's timeline, newest first.
    ///
    /// # Errors
    /// 404.
    pub async fn timeline(
        &self,
        id: &SourceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<TimelineEntry>, Problem> {
        if after.is_some_and(|after| Ulid::from_string(after).is_err()) {
            return Err(Problem::bad_request("invalid_cursor", NOT_OURS));
        }
        self.store.catalog.source(id).await?.ok_or_else(|| unknown_source(id))?;
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
