//! Acts on one source or on many. Before an act on many, a page says what it will do.

use super::{
    OrRefused, Refused, Viewer,
    forms::Fields,
    sources::{bytes, hidden},
};
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
use rekindle_domain::id::SourceId;
use rekindle_domain::key::Scope::Manage;
use rekindle_runtime::scopes::Route;
use rekindle_service::{
    Problem, Rekindle,
    library::{PinInput, each_once},
    restore::{Estimate, RestoreInput},
};

pub(super) const ROUTES: &[Route] = &[
    (Method::POST, "/console/sources/review", Manage),
    (Method::POST, "/console/sources/act", Manage),
    (Method::POST, "/console/{kind}/{id}/act", Manage),
];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new()
        .route("/console/sources/review", post(review))
        .route("/console/sources/act", post(act))
        .route("/console/{kind}/{id}/act", post(act_on))
}

/// What can be done to sources.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Restore,
    Start,
    Stop,
    Pin,
    Unpin,
}

impl Act {
    const ALL: [Self; 5] = [Self::Restore, Self::Start, Self::Stop, Self::Pin, Self::Unpin];

    const fn name(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
        }
    }

    /// The words on its button.
    const fn title(self) -> &'static str {
        match self {
            Self::Restore => "Restore interaction data",
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Pin => "Pin",
            Self::Unpin => "Unpin",
        }
    }

    fn of(fields: &Fields) -> Result<Self, Problem> {
        let named = Self::ALL.into_iter().find(|act| fields.get("act") == Some(act.name()));
        named.ok_or_else(|| {
            Problem::bad_request("unknown_act", "the form does not say what to do; press one of its buttons")
        })
    }
}

fn addresses(fields: &Fields) -> Vec<String> {
    let text = fields.get("notify").unwrap_or_default();
    text.split([',', ' ', ';']).filter(|address| !address.is_empty()).map(str::to_owned).collect()
}

fn restore_input(sources: &[SourceId], notify: Vec<String>) -> RestoreInput {
    let sources = Some(sources.iter().map(ToString::to_string).collect());
    RestoreInput { sources, tag: None, notify }
}

/// The page that says what an act on the ticked sources will do.
async fn review(State(app): State<Rekindle>, viewer: Viewer, body: Body) -> Result<Markup, Refused> {
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    let act = Act::of(&fields).or_refused(&viewer)?;
    let sources = fields.sources().and_then(each_once).or_refused(&viewer)?;
    let what = match act {
        Act::Restore => {
            let estimate =
                app.estimate_restore(&restore_input(&sources, Vec::new())).await.or_refused(&viewer)?;
            estimated(&estimate)
        }
        _ => html! { p { (act.title()) " " (count(sources.len() as u64, "source", "sources")) ":" } },
    };
    let content = html! {
        section .card {
            h1 { (act.title()) }
            (what)
            ul { @for source in &sources { li { a href=(words::address(source)) { (source.id()) } } } }
            form method="post" action="/console/sources/act" {
                (hidden(&sources))
                @match act {
                    Act::Restore => {
                        label for="notify" { "Mail these addresses when it is done" }
                        input #notify name="notify" type="text" inputmode="email" placeholder="you@example.com, a colleague@example.com";
                    }
                    Act::Pin => {
                        label for="reason" { "Why the data is to be kept" }
                        input #reason name="reason" required maxlength="500";
                    }
                    _ => {}
                }
                p {
                    button .primary name="act" value=(act.name()) { (act.title()) }
                    " " a .button href="/console" { "Back to the list" }
                }
            }
        }
    };
    Ok(Page::new(act.title(), Some(&viewer)).within("/console").around(&content))
}

fn estimated(estimate: &Estimate) -> Markup {
    html! {
        @if estimate.sources == 0 {
            p { "The interaction data of all of these is available. There is nothing to bring back." }
        } @else {
            p {
                "This brings back the interaction data of "
                strong { (count(u64::from(estimate.sources), "source", "sources")) }
                ": up to " (count(estimate.users, "user", "users")) ", " (bytes(estimate.bytes))
                " of the archive, in about " (duration(estimate.seconds)) "."
            }
        }
    }
}

/// A time that something takes, for people.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..=59 => "less than a minute".to_owned(),
        60..=3599 => count(seconds.div_ceil(60), "minute", "minutes"),
        _ => count(seconds.div_ceil(3600), "hour", "hours"),
    }
}

/// Does an act on the ticked sources, one after the other, and says what became of each.
async fn act(State(app): State<Rekindle>, viewer: Viewer, body: Body) -> Result<Response, Refused> {
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    let act = Act::of(&fields).or_refused(&viewer)?;
    let sources = fields.sources().and_then(each_once).or_refused(&viewer)?;
    if act == Act::Restore {
        return restore(&app, &viewer, &sources, addresses(&fields)).await;
    }
    let mut outcomes = Vec::new();
    for source in sources {
        let outcome = one(&app, &viewer, act, &source, &fields).await;
        outcomes.push((source, outcome));
    }
    if outcomes.iter().all(|(_, outcome)| outcome.is_ok()) {
        return Ok(Redirect::to("/console").into_response());
    }
    let content = html! {
        section .card {
            h1 { (act.title()) ": not all was done" }
            ul {
                @for (source, outcome) in &outcomes {
                    li {
                        a href=(words::address(source)) { (source.id()) } ": "
                        @match outcome {
                            Ok(()) => { "done" }
                            Err(problem) => { span role="alert" { (sentence(&problem.detail)) } }
                        }
                    }
                }
            }
            p { a .button href="/console" { "Back to the list" } }
        }
    };
    Ok(Page::new(act.title(), Some(&viewer)).around(&content).into_response())
}

async fn restore(
    app: &Rekindle,
    viewer: &Viewer,
    sources: &[SourceId],
    notify: Vec<String>,
) -> Result<Response, Refused> {
    let input = restore_input(sources, notify);
    let request = app.request_restore(&input, None, &viewer.caller).await.or_refused(viewer)?;
    Ok(Redirect::to(&format!("/console/restores/{}", request.id)).into_response())
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
        Act::Pin | Act::Restore => {
            let reason = fields.get("reason").unwrap_or_default().to_owned();
            app.pin_source(source, &PinInput { until: None, reason }, by).await?
        }
    };
    Ok(())
}

/// Does an act on the source of a page, and leads back to it.
async fn act_on(
    State(app): State<Rekindle>,
    viewer: Viewer,
    Path((kind, id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Refused> {
    let source = super::source::named(&kind, &id).or_refused(&viewer)?;
    let fields = Fields::of_body(body).await.or_refused(&viewer)?;
    let act = Act::of(&fields).or_refused(&viewer)?;
    if act == Act::Restore {
        return restore(&app, &viewer, &[source], addresses(&fields)).await;
    }
    one(&app, &viewer, act, &source, &fields).await.or_refused(&viewer)?;
    Ok(Redirect::to(&words::address(&source)).into_response())
}
