//! Audiences: the builder of filters with its answers, the members of an audience, and the segments that keep filters.

mod answer;
mod condition;
mod draft;
mod editor;
mod fields;
mod form;
mod kinds;
mod known;
mod matching;
mod members;
mod pieces;
mod segments;
mod spelling;
mod state;
#[cfg(test)]
mod tests;
mod trouble;

use super::{OrRefused, Refused, Viewer, forms::Fields};
use crate::html;
use axum::{
    Router,
    body::Body,
    extract,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use editor::Asked;
use http::{HeaderMap, HeaderValue, Method, Uri};
use maud::Markup;
use rekindle_domain::key::Scope::{Manage, Read};
use rekindle_runtime::scopes::Route;
use rekindle_service::{Problem, Rekindle};
use state::State;

pub(super) const ROUTES: &[Route] = &[
    (Method::GET, pieces::ADDRESS, Read),
    (Method::POST, pieces::ADDRESS, Read),
    (Method::POST, members::PAGES, Read),
    (Method::POST, members::FILES, Read),
    (Method::GET, "/console/segments", Read),
    (Method::POST, "/console/segments", Manage),
    (Method::GET, "/console/segments/{id}", Read),
    (Method::POST, "/console/segments/{id}", Manage),
    (Method::POST, "/console/segments/{id}/delete", Manage),
];

pub(super) fn routes() -> Router<Rekindle> {
    Router::new()
        .route(pieces::ADDRESS, get(open).post(build))
        .route(members::PAGES, post(members::list))
        .route(members::FILES, post(members::file))
        .route("/console/segments", get(segments::list).post(segments::make))
        .route("/console/segments/{id}", get(segments::show).post(segments::save))
        .route("/console/segments/{id}/delete", post(segments::delete))
}

/// Opens the builder, with the filter that the address has.
async fn open(
    extract::State(app): extract::State<Rekindle>,
    viewer: Viewer,
    uri: Uri,
) -> Result<Markup, Refused> {
    let state = State::of_query(&Fields::of(uri.query().unwrap_or_default().as_bytes()));
    editor::page(&app, &viewer, &state, None, &Asked::default()).await.or_refused(&viewer)
}

/// Does what a button of the builder says, and shows the builder again. A script that cannot have it is told so beside the form,
/// which stays.
async fn build(
    extract::State(app): extract::State<Rekindle>,
    viewer: Viewer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let by_script = headers.contains_key("hx-request");
    match built(&app, &viewer, by_script, body).await {
        Err(problem) if by_script => {
            let to = [("hx-retarget", "#answer"), ("hx-reselect", "#answer"), ("hx-reswap", "outerHTML")];
            Ok((html::status(&problem), to, answer::failed(&problem)).into_response())
        }
        other => other.or_refused(&viewer),
    }
}

async fn built(app: &Rekindle, viewer: &Viewer, by_script: bool, body: Body) -> Result<Response, Problem> {
    let form = Fields::of_body(body).await?;
    let mut state = State::of_form(&form);
    let act = form.get("act").unwrap_or_default();
    state.act(act);
    let mut asked = Asked::by(app, &state, &form, by_script).await;
    let mut response = if by_script && matches!(act, "count" | "further") {
        editor::part(viewer, &state, &asked).into_response()
    } else {
        let segment = segments::edited(app, &mut state, &mut asked).await?;
        editor::page(app, viewer, &state, segment.as_ref(), &asked).await?.into_response()
    };
    // The address opens the same filter again: after a sign-in, or for somebody else.
    let is_worth_it = by_script && state.subject.is_none() && !state.is_new();
    let address = state.address().filter(|_| is_worth_it);
    if let Some(address) = address.and_then(|address| HeaderValue::try_from(address).ok()) {
        response.headers_mut().insert("hx-replace-url", address);
    }
    Ok(response)
}
