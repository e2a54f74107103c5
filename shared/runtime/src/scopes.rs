//! Who may call what: every route with the scope that it takes, in one place, and the layer that sees to it.
//!
//! The layer stands before all routes of both functions, in Lambda and locally. What is not in the table is not there,
//! whatever a router would answer: a route that nobody gave a scope cannot be called.

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
use std::convert::Infallible;

use Scope::{Admin, Ingest, Manage, Read};

/// Every route.
pub const ROUTES: &[(Method, &str, Scope)] = &[
    (Method::POST, "/v1/interactions", Ingest),
    (Method::GET, "/v1/campaigns", Read),
    (Method::GET, "/v1/campaigns/{id}", Read),
    (Method::PUT, "/v1/campaigns/{id}", Manage),
    (Method::POST, "/v1/campaigns/{id}/start", Manage),
    (Method::POST, "/v1/campaigns/{id}/stop", Manage),
    (Method::POST, "/v1/campaigns/{id}/pin", Manage),
    (Method::DELETE, "/v1/campaigns/{id}/pin", Manage),
    (Method::GET, "/v1/campaigns/{id}/timeline", Read),
    (Method::GET, "/v1/campaigns/{id}/interactions.csv", Read),
    (Method::GET, "/v1/canvases", Read),
    (Method::GET, "/v1/canvases/{id}", Read),
    (Method::PUT, "/v1/canvases/{id}", Manage),
    (Method::POST, "/v1/canvases/{id}/start", Manage),
    (Method::POST, "/v1/canvases/{id}/stop", Manage),
    (Method::POST, "/v1/canvases/{id}/pin", Manage),
    (Method::DELETE, "/v1/canvases/{id}/pin", Manage),
    (Method::GET, "/v1/canvases/{id}/timeline", Read),
    (Method::GET, "/v1/canvases/{id}/interactions.csv", Read),
    (Method::GET, "/v1/tags", Read),
    (Method::GET, "/v1/segments", Read),
    (Method::GET, "/v1/segments/{id}", Read),
    (Method::PUT, "/v1/segments/{id}", Manage),
    (Method::DELETE, "/v1/segments/{id}", Manage),
    // They change nothing; a filter is only too long for a query.
    (Method::POST, "/v1/audiences/count", Read),
    (Method::POST, "/v1/audiences/members", Read),
    (Method::POST, "/v1/audiences/match", Read),
    (Method::GET, "/v1/users", Read),
    (Method::GET, "/v1/expirations", Read),
    (Method::GET, "/v1/health", Read),
    (Method::GET, "/v1/restores", Read),
    (Method::POST, "/v1/restores", Manage),
    (Method::GET, "/v1/restores/{id}", Read),
    (Method::POST, "/v1/restores/{id}/cancel", Manage),
    (Method::GET, "/v1/keys", Admin),
    (Method::POST, "/v1/keys", Admin),
    (Method::POST, "/v1/keys/{id}/rotate", Admin),
    (Method::DELETE, "/v1/keys/{id}", Admin),
    (Method::GET, "/v1/audit", Admin),
    (Method::GET, "/openapi.json", Read),
];

/// Puts the layer before all of a router's routes, and before its answers for what is not there. Routes that are added
/// afterwards do not have it.
pub fn guarded(router: Router, app: Rekindle) -> Router {
    router.layer(from_fn_with_state(app, guard))
}

async fn guard(
    State(app): State<Rekindle>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    // The pattern of the route, which holds nobody's data.
    let route = path.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let verified = match token(request.headers()) {
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
    let Some(scope) = wanted(&method, &route) else {
        return absent(&request, &route);
    };
    if !key.allows(scope) {
        let why = format!("its key lacks the scope {}", scope.as_str());
        tracing::warn!(http.request.method = %method, http.route = route, key.id = %key.id, error.message = why, "a request was refused");
        return wrong_scope(&key, scope).into_response();
    }
    request.extensions_mut().insert(Caller::of(key.id));
    next.run(request).await
}

/// The token of a request. An error: what is wrong, for the log.
fn token(headers: &HeaderMap) -> Result<Token, &'static str> {
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

/// The scope that a route takes. HEAD is GET without the body.
fn wanted(method: &Method, route: &str) -> Option<Scope> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let found = ROUTES.iter().find(|(m, path, _)| m == method && *path == route);
    found.map(|(_, _, scope)| *scope)
}

/// The answer for what is not in the table.
fn absent(request: &Request, route: &str) -> Response {
    let allowed: Vec<&str> =
        ROUTES.iter().filter(|(_, path, _)| *path == route).map(|(method, _, _)| method.as_str()).collect();
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

/// Who calls a handler; nobody where the layer is not there.
pub struct By(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().copied().unwrap_or_default()))
    }
}
