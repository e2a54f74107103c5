//! HTTP input, checked at the edge: bodies, queries and headers; and the answers for unknown routes.

use crate::problem::HttpProblem;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{FromRequestParts, Path},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts};
use rekindle_domain::interaction::without_bom;
use rekindle_service::{Problem, ProblemKind};
use serde::{Serialize, de::DeserializeOwned};
use std::{borrow::Cow, collections::BTreeMap, convert::Infallible};

/// The most bytes of a body. Batches of interactions have a bound of their own.
pub const MAX_BODY: usize = 1 << 20;
/// The most entries of a page.
pub const MAX_PAGE: usize = 1_000;
/// The most entries of a page if the query names no limit.
pub const DEFAULT_PAGE: usize = 100;

/// Reads a body of at most `most` bytes.
///
/// # Errors
/// 413 a larger body, 400 a body that breaks off.
pub async fn read_body(body: Body, most: usize) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, most).await.map_err(|error| {
        let source: &dyn std::error::Error = &error;
        let is_limit =
            std::iter::successors(Some(source), |e| e.source()).any(|e| e.to_string().contains("limit"));
        if is_limit {
            let detail = format!("the body has more than {most} bytes");
            Problem::new(ProblemKind::PayloadTooLarge, "body_too_large", detail)
        } else {
            Problem::bad_request("incomplete_body", "the body broke off")
        }
    })
}

/// Reads a JSON body. An unknown field is an error.
///
/// # Errors
/// 400 with the place in the body, 413 a body of more than [`MAX_BODY`] bytes.
pub async fn json_body<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    parse_json(&read_body(body, MAX_BODY).await?)
}

/// Reads JSON. An unknown field is an error.
///
/// # Errors
/// 400 with the place in the JSON.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = without_bom(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if !inner.is_data() {
            return Problem::bad_request("invalid_json", format!("the body is not JSON: {inner}"));
        }
        // The path says where, in the body's own terms.
        let text = inner.to_string();
        let position = format!(" at line {} column {}", inner.line(), inner.column());
        let text = text.strip_suffix(&position).unwrap_or(&text);
        // Serde names our type, which says nothing to a caller.
        let text = text
            .split_once("expected struct ")
            .map_or_else(|| text.to_owned(), |(before, _)| format!("{before}expected an object"));
        let code = if text.starts_with("unknown field") {
            "unknown_field"
        } else if text.starts_with("missing field") {
            "missing_field"
        } else {
            "invalid_field"
        };
        let place = if path == "." { "the body".to_owned() } else { path.clone() };
        Problem::bad_request(code, format!("{place}: {text}")).at(path)
    })?;
    reader
        .end()
        .map_err(|e| Problem::bad_request("invalid_json", format!("the body goes on after the JSON: {e}")))?;
    // Serde also accepts an array of the fields' values. The API does not.
    if bytes.trim_ascii_start().starts_with(b"[") {
        let problem = Problem::bad_request("invalid_field", "the body: must be a JSON object");
        return Err(problem.at("."));
    }
    Ok(value)
}

/// The parameter of a path. A parameter that is not UTF-8 is read as the empty text, which is not a valid id.
pub struct PathId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let found = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(found.map(|Path(id)| id).unwrap_or_default()))
    }
}

/// Accepts an empty body, or `{}`.
///
/// # Errors
/// 400 any other body.
pub async fn empty_body(body: Body) -> Result<(), Problem> {
    #[derive(Default, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    optional_json_body::<Nothing>(body).await.map(drop)
}

/// Reads a JSON body that may be left out.
///
/// # Errors
/// As [`json_body`].
pub async fn optional_json_body<T: DeserializeOwned + Default>(body: Body) -> Result<T, Problem> {
    let bytes = read_body(body, MAX_BODY).await?;
    if without_bom(&bytes).trim_ascii().is_empty() { Ok(T::default()) } else { parse_json(&bytes) }
}

/// The parameters in which `+` is a blank, as in the queries of forms: those that take text that people type. In all
/// others `+` is itself, so that an offset of a time or a mail address can be written as it is.
const TYPED: [&str; 2] = ["q", "tag"];

/// The parameters of a query. Each is known and stands once.
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads the query of a URI that takes the parameters in `known`.
    ///
    /// # Errors
    /// 400 a parameter that is unknown or stands twice.
    pub fn parse(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let invalid = |detail: String| Problem::bad_request("invalid_query", detail);
        let pairs = uri.query().unwrap_or_default().split('&').map(|pair| {
            let is_typed = pair.split_once('=').is_some_and(|(name, _)| TYPED.contains(&name));
            if is_typed { Cow::Borrowed(pair) } else { Cow::Owned(pair.replace('+', "%2B")) }
        });
        let mut found = BTreeMap::new();
        let parsed = pairs.flat_map(|pair| form_urlencoded::parse(pair.as_bytes()).into_owned().next());
        for (name, value) in parsed {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(invalid(format!("unknown parameter `{name}`; known: {known}")));
            }
            if found.insert(name.clone(), value).is_some() {
                return Err(invalid(format!("`{name}` stands twice")));
            }
        }
        Ok(Self(found))
    }

    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that is the name of one of these values.
    ///
    /// # Errors
    /// 400 any other word.
    pub fn one_of<T: Copy>(
        &self,
        name: &str,
        values: &[T],
        as_str: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, Problem> {
        let Some(word) = self.get(name) else {
            return Ok(None);
        };
        let found = values.iter().copied().find(|value| as_str(*value) == word);
        found.map(Some).ok_or_else(|| {
            let words: Vec<&str> = values.iter().map(|value| as_str(*value)).collect();
            let detail = format!("{name} must be one of {}", words.join(", "));
            Problem::bad_request("invalid_query", detail)
        })
    }

    /// A parameter that is `true` or `false`; left out, false.
    ///
    /// # Errors
    /// 400 any other word.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        let found = self.one_of(name, &[true, false], |is| if is { "true" } else { "false" })?;
        Ok(found.unwrap_or(false))
    }

    /// The parameter `limit`, or [`DEFAULT_PAGE`].
    ///
    /// # Errors
    /// 400 a limit that is not 1 to [`MAX_PAGE`].
    pub fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.get("limit") else {
            return Ok(DEFAULT_PAGE);
        };
        let limit = text.parse().ok().filter(|n| (1..=MAX_PAGE).contains(n));
        limit.ok_or_else(|| Problem::bad_request("invalid_query", format!("limit must be 1 to {MAX_PAGE}")))
    }
}

/// The text of a header, or `None` if the request does not have it.
///
/// # Errors
/// 400 a header that stands twice, or is not visible ASCII. It is not treated as absent, so that no condition of a caller is
/// ignored.
pub fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let invalid = |why: &str| Problem::bad_request("invalid_header", format!("{name} {why}"));
    let mut all = headers.get_all(name).iter();
    let text = all.next().map(|value| value.to_str()).transpose();
    match all.next() {
        Some(_) => Err(invalid("stands twice; send it once")),
        None => text.map_err(|_| invalid("must be visible ASCII characters")),
    }
}

/// The media type of the body in lower case, without its parameters; `None` if the request names none.
///
/// # Errors
/// As [`header_text`].
pub fn media_type(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let text = header_text(headers, header::CONTENT_TYPE.as_str())?;
    let kind = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(text.map(kind).filter(|kind| !kind.is_empty()))
}

/// An answer in JSON with that status, which no cache keeps.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(value)).into_response()
}

/// An answer in JSON about one thing, with its version as the `ETag`. A thing of version 0 does not exist yet, and has no
/// `ETag`.
pub fn versioned(status: StatusCode, value: &impl Serialize, version: u64) -> Response {
    let mut response = json(status, value);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\""))
        && version > 0
    {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// 404: no function has the route.
pub fn unknown_route(method: &Method, uri: &Uri) -> HttpProblem {
    HttpProblem::new(StatusCode::NOT_FOUND, "unknown_route", format!("there is no {method} {}", uri.path()))
}

/// 405: the path does not take the method.
pub fn method_not_allowed(method: &Method, uri: &Uri) -> HttpProblem {
    let detail = format!("{} does not take {method}", uri.path());
    HttpProblem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// Makes a router answer unknown routes and methods with problems.
pub fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(async |method: Method, uri: Uri| unknown_route(&method, &uri))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| method_not_allowed(&method, &uri))
}
