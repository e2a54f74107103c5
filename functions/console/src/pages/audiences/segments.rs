//! Segments: the list, the page of one, and the acts on them.

use super::{
    super::{OrRefused, Refused, Viewer, forms::Fields},
    draft::Draft,
    editor::{Asked, address, page, sections, users},
    pieces::ADDRESS,
    state::{State, Subject},
};
use crate::html::{self, Page, count, time};
use axum::{
    body::Body,
    extract::{Path, State as From},
    response::{IntoResponse, Redirect, Response},
};
use http::Uri;
use maud::{Markup, html};
use rekindle_domain::id::{id_refusal, is_valid_id};
use rekindle_service::{
    Fact, Problem, ProblemKind, Rekindle,
    library::{Edit, Said, SegmentInput, SegmentView, Shown},
};

/// How many segments a page shows.
const PAGE: usize = 50;

pub(super) async fn list(From(app): From<Rekindle>, viewer: Viewer, uri: Uri) -> Result<Markup, Refused> {
    let query = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let found = app.list_segments(query.get("cursor"), PAGE).await.or_refused(&viewer)?;
    let next = found
        .next
        .as_deref()
        .map(|next| format!("/console/segments?{}", query.with(&[("cursor", Some(next))])));
    let content = html! {
        (sections(true))
        h1 { "Segments" }
        @if query.get("deleted").is_some() { p .saved role="status" { "The segment was deleted." } }
        @if found.items.is_empty() && next.is_none() {
            div .card .empty {
                p { "There are no segments yet. A segment is a filter with a name, which audiences can use." }
                @if viewer.may_manage() { p { a .button href=(ADDRESS) { "Build one" } } }
            }
        } @else {
            @if viewer.may_manage() { p { a .button href=(ADDRESS) { "Build a segment" } } }
            div .card .scroll {
                table .wide {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "A user who" } th scope="col" { "Used by" } th scope="col" { "Changed" } } }
                    tbody { @for segment in &found.items { (row(segment)) } }
                }
            }
            @if let Some(next) = next { p { a .button href=(next) rel="next" { "Further ones" } } }
        }
    };
    Ok(Page::new("Segments", Some(&viewer)).within(ADDRESS).around(&content))
}

fn row(segment: &SegmentView) -> Markup {
    let id = segment.segment.trim_start_matches("segment/");
    html! {
        tr {
            td .name {
                a href=(address(segment)) dir="auto" { (segment.name) }
                @if segment.name != id { div .id { (id) } }
            }
            td .says dir="auto" { (segment.filter.describe()) }
            td {
                @if segment.used_by.is_empty() { "–" }
                @else if segment.used_by.len() > 3 { (count(segment.used_by.len() as u64, "source or segment", "sources and segments")) }
                @else { (users(&segment.used_by)) }
            }
            td { (time(segment.updated_at)) }
        }
    }
}

/// The segment of an address.
///
/// # Errors
/// 404; 503.
async fn stored(app: &Rekindle, id: &str) -> Result<SegmentView, Problem> {
    if !is_valid_id(id) {
        return Err(Problem::not_found("unknown_segment", "there is no such segment"));
    }
    app.get_segment(id).await
}

/// The page of a segment, with its filter in the builder.
pub(super) async fn show(
    From(app): From<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Markup, Refused> {
    let query = Fields::of(uri.query().unwrap_or_default().as_bytes());
    let segment = stored(&app, &id).await.or_refused(&viewer)?;
    let asked = Asked { is_saved: query.get("saved").is_some(), ..Asked::default() };
    page(&app, &viewer, &of(&id, &segment), Some(&segment), &asked).await.or_refused(&viewer)
}

fn of(id: &str, segment: &SegmentView) -> State {
    State {
        draft: Draft::of(&segment.filter.to_json()),
        name: segment.name.clone(),
        subject: Some(Subject { id: id.to_owned(), version: segment.version }),
        ..State::default()
    }
}

async fn saved(
    app: &Rekindle,
    viewer: &Viewer,
    id: &str,
    state: &State,
    how: Edit,
) -> Result<SegmentView, Problem> {
    let input = SegmentInput {
        name: Some(state.name.clone()).filter(|name| !name.is_empty()),
        filter: state.value()?,
        unknown_names: state.unknown_names(),
        segment: None,
        created_at: Shown,
        updated_at: Shown,
        used_by: Shown,
        active: Shown,
        now_due: Shown,
    };
    Ok(app.edit_segment(id, &Said::All(input), how, &viewer.caller).await?.0)
}

/// Makes a segment of the filter that was built. One of that id is never replaced.
pub(super) async fn make(From(app): From<Rekindle>, viewer: Viewer, body: Body) -> Result<Response, Refused> {
    let form = Fields::of_body(body).await.or_refused(&viewer)?;
    let state = State { subject: None, ..State::of_form(&form) };
    let id = state.new_id.as_str();
    let outcome = if is_valid_id(id) {
        saved(&app, &viewer, id, &state, Edit { is_new: true, ..Edit::default() }).await
    } else {
        // A name makes a good suggestion where the id was left empty.
        let wanted = if id.is_empty() { &state.name } else { id };
        Err(Problem::bad_request("invalid_id", format!("the id {}", id_refusal(wanted))))
    };
    match outcome {
        Ok(_) => Ok(Redirect::to(&format!("/console/segments/{id}?saved=yes")).into_response()),
        Err(problem) => {
            let asked = Asked { unsaved: Some(problem), ..Asked::default() };
            Ok(page(&app, &viewer, &state, None, &asked).await.or_refused(&viewer)?.into_response())
        }
    }
}

/// Saves a segment over the version that the reader saw. If somebody changed or deleted it since, the form comes back as it was
/// sent, and says so.
pub(super) async fn save(
    From(app): From<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Refused> {
    let form = Fields::of_body(body).await.or_refused(&viewer)?;
    let mut state = State::of_form(&form);
    let seen = state.subject.as_ref().map_or(0, |subject| subject.version);
    // The reader saw what changed, and wants their own in its place.
    let version = form.get("over").and_then(|version| version.parse().ok()).unwrap_or(seen);
    state.subject = Some(Subject { id: id.clone(), version });
    let how = Edit { if_match: Some(version), ..Edit::default() };
    let mut asked = Asked::default();
    let segment = match saved(&app, &viewer, &id, &state, how).await {
        Ok(segment) if segment.now_due.as_ref().is_none_or(Vec::is_empty) => {
            return Ok(Redirect::to(&format!("/console/segments/{id}?saved=yes")).into_response());
        }
        Ok(segment) => {
            state = of(&id, &segment);
            asked.is_saved = true;
            asked.now_due = segment.now_due.clone().unwrap_or_default();
            Some(segment)
        }
        Err(problem) => {
            // That somebody changed it is told with what changed.
            asked.unsaved = Some(problem).filter(|p| p.kind != ProblemKind::PreconditionFailed);
            edited(&app, &mut state, &mut asked).await.or_refused(&viewer)?
        }
    };
    let content = page(&app, &viewer, &state, segment.as_ref(), &asked).await.or_refused(&viewer)?;
    Ok(content.into_response())
}

/// The segment that the form edits, as it is stored, if it edits one. If somebody deleted it since, the form is one of a new
/// segment, and says so.
///
/// # Errors
/// 503.
pub(super) async fn edited(
    app: &Rekindle,
    state: &mut State,
    asked: &mut Asked,
) -> Result<Option<SegmentView>, Problem> {
    let Some(subject) = &state.subject else { return Ok(None) };
    match stored(app, &subject.id).await {
        Ok(segment) => Ok(Some(segment)),
        Err(problem) if problem.kind == ProblemKind::NotFound => {
            let detail =
                "somebody deleted this segment; your filter still stands here, and can be saved as a new one";
            asked.unsaved = Some(Problem::not_found("unknown_segment", detail));
            state.new_id.clone_from(&subject.id);
            state.subject = None;
            Ok(None)
        }
        Err(problem) => Err(problem),
    }
}

/// Deletes a segment. One that is in use stays, and the page says who uses it.
pub(super) async fn delete(
    From(app): From<Rekindle>,
    viewer: Viewer,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Refused> {
    let form = Fields::of_body(body).await.or_refused(&viewer)?;
    stored(&app, &id).await.or_refused(&viewer)?;
    let version = form.get("version").and_then(|version| version.parse().ok());
    let how = Edit { if_match: version, ..Edit::default() };
    let problem = match app.delete_segment(&id, how, &viewer.caller).await {
        Ok(()) => return Ok(Redirect::to("/console/segments?deleted=yes").into_response()),
        Err(problem) => problem,
    };
    let used_by = problem.facts.iter().find_map(|fact| match fact {
        Fact::UsedBy(users) => Some(users),
        _ => None,
    });
    let is_changed = problem.kind == ProblemKind::PreconditionFailed;
    if used_by.is_none() && !is_changed {
        return Err(Refused::of(&problem, &viewer));
    }
    let content = html! {
        section .card .narrow {
            h1 { "The segment was not deleted" }
            @if is_changed { p role="alert" { "Somebody changed it after you had opened it. Look at it again." } }
            @if let Some(used_by) = used_by {
                p role="alert" { "It is in use. Change these first:" }
                (users(used_by))
            }
            p { a .button href=(format!("/console/segments/{id}")) { "Back to the segment" } }
        }
    };
    let status = html::status(&problem);
    Ok((status, Page::new("Not deleted", Some(&viewer)).within(ADDRESS).around(&content)).into_response())
}
