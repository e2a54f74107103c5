//! Errors as RFC 9457 problems: what is wrong, where, and how to mend it.

use crate::metrics::count;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use rekindle_domain::{filter::FilterError, id::SourceId};
use rekindle_store::StoreError;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The code of an answer that is not given because stored data did not verify.
pub(crate) const DAMAGED: &str = "stored_data_damaged";

/// An answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
    /// What the caller needs to mend it.
    pub more: Map<String, Value>,
}

impl Problem {
    /// A problem of that status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), more: Map::new() }
    }

    /// 400: the request is out of shape.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: the same whatever is wrong with the key, so that nobody learns how near a guess was.
    pub fn unauthorized() -> Self {
        let detail = "this takes a key that is in use: Authorization: Bearer rk_ID_SECRET";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 409: not in the state things are in.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422: well formed, but it does not fit.
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// Adds what the caller needs.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The problem as JSON.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "type": format!("urn:rekindle:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.more.clone());
        }
        body
    }
}

impl From<StoreError> for Problem {
    /// Logged here, once: this is where a store's error ends.
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict | StoreError::Unavailable { .. } => {
                tracing::warn!(error.message = %error, "a store did not do as asked");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store_unavailable",
                    "the store did not answer in time; sending the same request again is safe",
                )
            }
            StoreError::Refused { .. } | StoreError::Illegal(_) => {
                tracing::error!(error.message = %error, "a request to a store was not legal");
                let detail = "this cannot be done; nothing was changed. The log says why";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
            }
            StoreError::Damaged { .. } => {
                tracing::error!(error.message = %error, "stored data did not verify");
                count!(Damage = 1);
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    DAMAGED,
                    format!("stored data did not verify, so that no answer is given: {error}"),
                )
            }
        }
    }
}

impl From<FilterError> for Problem {
    fn from(error: FilterError) -> Self {
        Self::unprocessable("invalid_filter", error.to_string()).with("path", error.path)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

/// 409, with what to restore.
pub(crate) fn expired_data(sources: &BTreeSet<SourceId>) -> Problem {
    let list: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let detail = format!(
        "the interaction data of {} is not available; restore it with POST /v1/restores {{\"sources\":[…]}}",
        list.join(", ")
    );
    Problem::conflict("expired_interaction_data", detail).with("expired", list)
}
