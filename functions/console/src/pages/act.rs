//! Acts on one campaign or Canvas, or on many.

use super::{OrRefused, Refused, Viewer, forms::Fields, review, sources};
use crate::{
    html::{Page, count, sentence},
    words,
};
use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use http::Method;
use maud::{Markup, html};
use rekindle_domain::{id::SourceId, key::Scope::Manage, time::Time};
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Problem, Rekindle, Remedy,
    library::{Edit, MAX_BULK, PinInput},
    restore::RestoreInput,
};
use std::collections::BTreeSet;

pub(super) const ROUTES: &[Route] =
    &[(Method::POST, ACT, Manage), (Method::POST, "/console/{kind}/{id}/act", Manage)];

/// The address to which a reviewed act on many is sent.
pub(super) const ACT: &str = "/console/sources/act";

pub(super) fn routes() -> Router<Rekindle> {
    Router::new().route(ACT, post(on_many)).route("/console/{kind}/{id}/act", post(on_one))
}

/// What can be done to sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Restore,
    Start,
    Stop,
    Pin,
    Unpin,
    Delete,
    Undelete,
}

impl Act {
    const ALL: [Self; 7] =
        [Self::Restore, Self::Start, Self::Stop, Self::Pin, Self::Unpin, Self::Delete, Self::Undelete];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
        }
    }

    /// The words on its button.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Restore => "Restore interaction data",
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Pin => "Pin",
            Self::Unpin => "Unpin",
            Self::Delete => "Delete",
            Self::Undelete => "Bring back",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }

    /// The act that a form names.
    pub(super) fn of(fields: &Fields) -> Result<Self, Problem> {
        let unknown = || {
            Problem::bad_request("unknown_act", "the form does not say what to do; press one of its buttons")
        };
        fields.get("act").and_then(Self::named).ok_or_else(unknown)
    }
}

/// The restore that a form asks for.
pub(super) fn restore_input(sources: &[SourceId], fields: &Fields) -> RestoreInput {
    let addresses = fields.get("notify").unwrap_or_default().split([',', ' ', ';', '\n', '\r']);
    RestoreInput {
        sources: Some(sources.iter().map(ToString::to_string).collect()),
        tag: None,
        notify: addresses.filter(|address| !address.is_empty()).map(str::to_owned).collect(),
    }
}

/// A time that something takes, for people.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..=59 => "less than a minute".to_owned(),
        60..=3599 => format!("about {}", count(seconds.div_ceil(60), "minute", "minutes")),
        _ => format!("about {}", count(seconds.div_ceil(3600), "hour", "hours")),
    }
}

/// Does an act on sources, as a page listed them. Those beyond the first [`MAX_BULK`] wait for a further press.
async fn on_many(State(app): State<Rekindle>, viewer: Viewer, body: Body) -> Result<Response, Refused> {
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    let act = Act::of(&fields).or_refused(&viewer)?;
    let sources = fields.sources().or_refused(&viewer)?;
    if act == Act::Restore {
        return restore(&app, &viewer, &sources, &fields).await;
    }
    let (now, later) = sources.split_at(sources.len().min(MAX_BULK));
    let mut refused = Vec::new();
    for source in now {
        if let Err(problem) = one(&app, &viewer, act, source, &fields).await {
            refused.push((source, problem));
        }
    }
    if refused.is_empty() && later.is_empty() {
        let of = now.len().to_string();
        let query = review::list_of(&fields).with(&[("done", Some(act.name())), ("of", Some(&of))]);
        return Ok(Redirect::to(&format!("{}?{query}", sources::LIST)).into_response());
    }
    let done = now.len() - refused.len();
    let content = html! {
        section .card {
            h1 { (act.title()) ": " (done) " of " (words::things(sources.len() as u64)) " done" }
            @if !refused.is_empty() {
                p { "These were left as they are:" }
                ul role="alert" {
                    @for (source, problem) in &refused {
                        li { a href=(words::address(source)) { (source.id()) } ": " (sentence(&problem.detail)) }
                    }
                }
            }
            @if !later.is_empty() {
                form method="post" action=(ACT) {
                    (review::carried(&fields))
                    (sources::hidden(later))
                    p { button .primary name="act" value=(act.name()) { "Go on with the other " (later.len()) } }
                }
            }
            p { a .button href=(sources::LIST) { "Back to the list" } }
        }
    };
    Ok(Page::new(act.title(), Some(&viewer)).within(sources::LIST).around(&content).into_response())
}

/// Asks for a restore, and leads to its page. `then` names a source that waits for it.
async fn restore(
    app: &Rekindle,
    viewer: &Viewer,
    sources: &[SourceId],
    fields: &Fields,
) -> Result<Response, Refused> {
    let input = restore_input(sources, fields);
    let request = app.request_restore(&input, fields.get("once"), &viewer.caller).await.or_refused(viewer)?;
    let then = Fields::default().with(&[("then", fields.get("then"))]);
    let query = if then.is_empty() { then } else { format!("?{then}") };
    Ok(Redirect::to(&format!("/console/restores/{}{query}", request.id)).into_response())
}

async fn one(
    app: &Rekindle,
    viewer: &Viewer,
    act: Act,
    source: &SourceId,
    fields: &Fields,
) -> Result<(), Problem> {
    let by = &viewer.caller;
    match act {
        Act::Start => app.start_source(source, by).await?,
        Act::Stop => app.stop_source(source, None, false, by).await?,
        Act::Unpin => app.unpin_source(source, by).await?,
        Act::Delete => app.delete_source(source, Edit::default(), by).await?,
        Act::Undelete => app.undelete_source(source, by).await?,
        Act::Pin | Act::Restore => {
            let reason = fields.get("reason").unwrap_or_default().to_owned();
            app.pin_source(source, &PinInput { until: day(fields)?, reason }, by).await?
        }
    };
    Ok(())
}

/// The day until which a pin lasts, if the form names one.
fn day(fields: &Fields) -> Result<Option<Time>, Problem> {
    let Some(day) = fields.get("until") else { return Ok(None) };
    let invalid =
        || Problem::unprocessable("invalid_until", format!("{day} is no day; write it as 2027-05-31"));
    Time::parse(&format!("{day}T00:00:00Z")).map(Some).ok_or_else(invalid)
}

/// Does an act on the source of a page, and leads back to it.
async fn on_one(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path((kind, id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Refused> {
    let source = super::source::named(&kind, &id).or_refused(&viewer)?;
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    let act = Act::of(&fields).or_refused(&viewer)?;
    if act == Act::Restore {
        return restore(&app, &viewer, &[source], &fields).await;
    }
    match one(&app, &viewer, act, &source, &fields).await {
        Ok(()) if act == Act::Delete => Ok(Redirect::to("/console?status=deleted").into_response()),
        Ok(()) => Ok(Redirect::to(&words::address(&source)).into_response()),
        Err(problem) => match &problem.remedy {
            Some(Remedy::Restore(first)) if act == Act::Start => {
                Ok(restore_first(&app, &viewer, &source, first, &problem).into_response())
            }
            _ => Err(Refused::of(&problem, &viewer)),
        },
    }
}

/// The page that says which data must be back before a source can start, with the way to it.
fn restore_first(
    app: &Rekindle,
    viewer: &Viewer,
    source: &SourceId,
    first: &BTreeSet<SourceId>,
    problem: &Problem,
) -> Markup {
    let first: Vec<SourceId> = first.iter().cloned().collect();
    let content = html! {
        section .card {
            h1 { (source.id()) " cannot start yet" }
            p role="alert" { (sentence(&problem.detail)) }
            p { "Its audience cannot be told without the interaction data of:" }
            ul { @for one in &first { li { a href=(words::address(one)) { (one.id()) } } } }
            form method="post" action=(ACT) {
                (sources::hidden(&first))
                input type="hidden" name="then" value=(source);
                (review::mail(app))
                p {
                    button .primary name="act" value="restore" { "Restore, then start " (source.id()) }
                    " " a .button href=(words::address(source)) { "Back" }
                }
                p .hint { "The next page shows the progress, and starts " (source.id()) " when the data is back, for as long as it is open." }
            }
        }
    };
    Page::new("Restore first", Some(viewer)).within(sources::LIST).around(&content)
}
