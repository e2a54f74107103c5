//! The layer that asks each request for a key, and for the scope that its route takes.
//!
//! The layer stands before all routes of a function, in Lambda and locally. Each function owns the table of its routes. A
//! route that is not in the table answers 404, even if the router has it: a route without a scope cannot be called.

use crate::{
    http::{method_not_allowed, unknown_route},
    problem::HttpProblem,
};
use axum::{
    Router,
    extract::{FromRequestParts, MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use rekindle_domain::key::{AccessKey, Scope, Token};
use rekindle_service::{Caller, Problem, Rekindle, access::Refusal};
use std::{convert::Infallible, sync::Arc};

/// A route with the scope that it takes: method, path as the router has it, scope.
pub type Route = (Method, &'static str, Scope);

/// Finds the token in a request's headers. The error says what is wrong with it, for the log.
pub type Present = fn(&HeaderMap) -> Result<Token, &'static str>;

/// The parts of the layer.
#[derive(Clone)]
struct Guard {
    routes: Arc<[Route]>,
    present: Present,
    app: Rekindle,
}

/// Puts the layer before all routes of a router, and before its answers for unknown routes. Routes that are added
/// afterwards do not have the layer.
pub fn guarded(router: Router, routes: &[Route], present: Present, app: Rekindle) -> Router {
    router.layer(from_fn_with_state(Guard { routes: routes.into(), present, app }, guard))
}

async fn guard(
    State(Guard { routes, present, app }): State<Guard>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    // For the log: the pattern of the route, since a path may hold somebody's data.
    let route = path.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let verified = match present(request.headers()) {
        Ok(token) => match app.verify(&token).await {
            Ok(verified) => verified.map_err(|refusal| match refusal {
                Refusal::UnknownKey => ("its key is not of this deployment", None),
                Refusal::WrongSecret => ("its secret is not the key's", None),
                Refusal::Revoked(id) => ("its key was revoked", Some(id.to_string())),
            }),
            Err(error) => return HttpProblem::from(Problem::from(error)).into_response(),
        },
        Err(why) => Err((why, None)),
    };
    let key = match verified {
        Ok(key) => key,
        Err((why, key)) => {
            tracing::warn!(http.request.method = %method, http.route = route, key.id = key, error.message = why, "a request was refused");
            return HttpProblem::unauthorized().into_response();
        }
    };
    let Some(scope) = wanted(&routes, &method, &route) else {
        return absent(&routes, &request, &route);
    };
    if !key.allows(scope) {
        let why = format!("its key lacks the scope {}", scope.as_str());
        tracing::warn!(http.request.method = %method, http.route = route, key.id = %key.id, error.message = why, "a request was refused");
        return wrong_scope(&key, scope).into_response();
    }
    request.extensions_mut().insert(Caller::of(key.id));
    next.run(request).await
}

/// The token of the header `Authorization: Bearer TOKEN`.
///
/// # Errors
/// The fault, for the log.
pub fn bearer(headers: &HeaderMap) -> Result<Token, &'static str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let first = all.next().ok_or("it shows no key")?;
    if all.next().is_some() {
        return Err("it has several Authorization headers");
    }
    let malformed = "its Authorization is not Bearer and a key";
    let (scheme, token) = first.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed);
    }
    token.trim().parse().map_err(|_| malformed)
}

/// The scope that a route takes. HEAD takes the scope of GET.
pub fn wanted(routes: &[Route], method: &Method, route: &str) -> Option<Scope> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let found = routes.iter().find(|(m, path, _)| m == method && *path == route);
    found.map(|(_, _, scope)| *scope)
}

/// The answer for a route that is not in the table: 404, or 405 with the methods that its path takes.
fn absent(routes: &[Route], request: &Request, route: &str) -> Response {
    let allowed: Vec<&str> =
        routes.iter().filter(|(_, path, _)| *path == route).map(|(method, _, _)| method.as_str()).collect();
    if allowed.is_empty() {
        return unknown_route(request.method(), request.uri()).into_response();
    }
    let problem = method_not_allowed(request.method(), request.uri());
    ([(header::ALLOW, allowed.join(","))], problem).into_response()
}

fn wrong_scope(key: &AccessKey, wanted: Scope) -> HttpProblem {
    let has: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let wanted = wanted.as_str();
    let detail = format!("this takes a key with the scope {wanted}; this key has {}", has.join(", "));
    HttpProblem::new(StatusCode::FORBIDDEN, "wrong_scope", detail).with("scope", wanted)
}

/// The caller of a handler. Without the layer the caller has no key.
pub struct By(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().copied().unwrap_or_default()))
    }
}
