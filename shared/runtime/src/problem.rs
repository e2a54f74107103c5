//! Problems as HTTP answers them: a status, headers, and a body of `application/problem+json` (RFC 9457).
//!
//! The use cases return [`Problem`], which knows no HTTP. A handler returns [`HttpProblem`], and `?` turns one into the
//! other.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use rekindle_domain::id::SourceId;
use rekindle_service::{Problem, ProblemKind, Remedy};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A problem as an HTTP answer.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProblem {
    /// The status.
    pub status: StatusCode,
    /// The failure's name for programs. It never changes.
    pub code: &'static str,
    /// The failure in words, with its remedy.
    pub detail: String,
    /// Further fields of the body.
    pub more: Map<String, Value>,
}

impl HttpProblem {
    /// An answer of that status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), more: Map::new() }
    }

    /// 401. The answer is the same for every fault of a key, so that it tells nobody how near a guess was.
    pub fn unauthorized() -> Self {
        let detail = "this takes a key that is in use: Authorization: Bearer rk_ID_SECRET";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// Adds a field to the body.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The body.
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

impl Serialize for HttpProblem {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(s)
    }
}

impl From<Problem> for HttpProblem {
    fn from(problem: Problem) -> Self {
        let mut answer = Self::new(status(problem.kind), problem.code, problem.detail);
        for fact in &problem.facts {
            if let Ok(Value::Object(field)) = serde_json::to_value(fact) {
                answer.more.extend(field);
            }
        }
        match problem.remedy {
            None => answer,
            Some(remedy) => answer.with_remedy(&remedy),
        }
    }
}

impl HttpProblem {
    /// Adds the remedy to the text, and the sources that it names to the body.
    fn with_remedy(mut self, remedy: &Remedy) -> Self {
        self.detail = format!("{}; {}", self.detail, spelled(remedy));
        let expired: Vec<String> = match remedy {
            Remedy::Restore(sources) => sources.iter().map(ToString::to_string).collect(),
            Remedy::RestoreThenPin(source) => vec![source.to_string()],
            Remedy::Register(_)
            | Remedy::Start(_)
            | Remedy::StartOrStop(_)
            | Remedy::StopThenDelete(_)
            | Remedy::UnpinThenDelete(_)
            | Remedy::Undelete(_)
            | Remedy::ShowRestore(_)
            | Remedy::ListExpirations => {
                return self;
            }
        };
        self.with("expired", expired)
    }
}

impl IntoResponse for HttpProblem {
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

const fn status(kind: ProblemKind) -> StatusCode {
    match kind {
        ProblemKind::BadRequest => StatusCode::BAD_REQUEST,
        ProblemKind::NotFound => StatusCode::NOT_FOUND,
        ProblemKind::Conflict => StatusCode::CONFLICT,
        ProblemKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ProblemKind::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        ProblemKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The remedy as a clause that follows a comma or a semicolon, with the route to call. Answers of the API and mails use it.
pub fn spelled(remedy: &Remedy) -> String {
    match remedy {
        Remedy::Restore(_) => r#"restore it with POST /v1/restores {"sources":[…]}"#.to_owned(),
        Remedy::RestoreThenPin(_) => "restore it first, then pin it".to_owned(),
        Remedy::Register(source) => format!("PUT {} first", path(source)),
        Remedy::Start(source) => format!("start it again: POST {}/start", path(source)),
        Remedy::StartOrStop(source) => format!("POST {0}/start and {0}/stop change that", path(source)),
        Remedy::StopThenDelete(source) => format!("stop it first: POST {}/stop", path(source)),
        Remedy::UnpinThenDelete(source) => format!("take the pin away first: DELETE {}/pin", path(source)),
        Remedy::Undelete(source) => format!("POST {}/undelete brings it back", path(source)),
        Remedy::ShowRestore(request) => format!("GET /v1/restores/{request} lists them all"),
        Remedy::ListExpirations => "GET /v1/expirations lists them all".to_owned(),
    }
}

/// The path of a source, such as `/v1/campaigns/spring-sale`.
fn path(source: &SourceId) -> String {
    format!("/v1/{}/{}", source.kind().plural(), source.id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekindle_domain::{id::RequestId, interaction::Rejection, segment::Referrer};
    use rekindle_service::Fact;
    use std::collections::BTreeSet;

    fn source(text: &str) -> SourceId {
        text.parse().unwrap()
    }

    /// The status, the headers that only some answers have, and the body.
    fn answered(problem: HttpProblem) -> (u16, Option<String>, Option<String>, Value) {
        let body = problem.to_json();
        let response = problem.into_response();
        let header = |name| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(header(header::CONTENT_TYPE).unwrap(), "application/problem+json");
        let (again, login) = (header(header::RETRY_AFTER), header(header::WWW_AUTHENTICATE));
        (response.status().as_u16(), again, login, body)
    }

    #[test]
    fn each_kind_has_its_status_title_and_headers() {
        let table = [
            (ProblemKind::BadRequest, 400, "Bad Request"),
            (ProblemKind::NotFound, 404, "Not Found"),
            (ProblemKind::Conflict, 409, "Conflict"),
            (ProblemKind::PreconditionFailed, 412, "Precondition Failed"),
            (ProblemKind::PayloadTooLarge, 413, "Payload Too Large"),
            (ProblemKind::Unprocessable, 422, "Unprocessable Entity"),
            (ProblemKind::Unavailable, 503, "Service Unavailable"),
            (ProblemKind::Internal, 500, "Internal Server Error"),
        ];
        for (kind, status, title) in table {
            let retry = (kind == ProblemKind::Unavailable).then(|| "1".to_owned());
            let body = json!({
                "type": "urn:rekindle:problem:some_code",
                "title": title,
                "status": status,
                "code": "some_code",
                "detail": "in words",
            });
            let answer = answered(Problem::new(kind, "some_code", "in words").into());
            assert_eq!(answer, (status, retry, None, body));
        }
        let (status, again, login, body) = answered(HttpProblem::unauthorized());
        assert_eq!((status, again, login.as_deref()), (401, None, Some("Bearer")));
        assert_eq!((&body["code"], &body["title"]), (&json!("unauthorized"), &json!("Unauthorized")));
    }

    #[test]
    fn facts_are_fields_and_a_remedy_ends_the_text() {
        let two = BTreeSet::from([source("canvas/b"), source("campaign/a")]);
        let of = |remedy: Option<Remedy>, facts: Vec<Fact>| Problem {
            remedy,
            facts,
            ..Problem::conflict("some_code", "in words")
        };
        let rejection = Rejection { index: 7, code: "odd".into(), detail: "it is odd".to_owned() };
        let users = || vec![Referrer::Segment("s".to_owned()), Referrer::Source(source("campaign/a"))];
        let table = [
            (
                of(Some(Remedy::Restore(two)), vec![]),
                json!({
                    "detail": r#"in words; restore it with POST /v1/restores {"sources":[…]}"#,
                    "expired": ["campaign/a", "canvas/b"],
                }),
            ),
            (
                of(Some(Remedy::RestoreThenPin(source("campaign/a"))), vec![]),
                json!({ "detail": "in words; restore it first, then pin it", "expired": ["campaign/a"] }),
            ),
            (
                of(None, vec![Fact::Path("audience.all[0]".to_owned()), Fact::Unknown(users())]),
                json!({ "path": "audience.all[0]", "unknown": ["segment/s", "campaign/a"] }),
            ),
            (
                of(None, vec![Fact::UnknownNames(vec!["pormo".into()]), Fact::Nearest(vec!["promo".into()])]),
                json!({ "unknown": ["pormo"], "nearest": ["promo"] }),
            ),
            (of(None, vec![Fact::UsedBy(users())]), json!({ "used_by": ["segment/s", "campaign/a"] })),
            (
                of(None, vec![Fact::Accepted(0), Fact::RejectedCount(1), Fact::Rejected(vec![rejection])]),
                json!({
                    "accepted": 0,
                    "rejected_count": 1,
                    "rejected": [{ "index": 7, "code": "odd", "detail": "it is odd" }],
                }),
            ),
        ];
        for (problem, fields) in table {
            let mut expected = json!({
                "type": "urn:rekindle:problem:some_code",
                "title": "Conflict",
                "status": 409,
                "code": "some_code",
                "detail": "in words",
            });
            expected.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            assert_eq!(answered(problem.into()), (409, None, None, expected));
        }
    }

    #[test]
    fn each_remedy_is_a_clause_with_its_route() {
        let request: RequestId = "00000000000000000000000REQ".parse().unwrap();
        let table = [
            (Remedy::Register(source("canvas/b")), "PUT /v1/canvases/b first"),
            (Remedy::Start(source("campaign/a")), "start it again: POST /v1/campaigns/a/start"),
            (
                Remedy::StartOrStop(source("canvas/b")),
                "POST /v1/canvases/b/start and /v1/canvases/b/stop change that",
            ),
            (Remedy::ShowRestore(request), "GET /v1/restores/00000000000000000000000REQ lists them all"),
            (Remedy::ListExpirations, "GET /v1/expirations lists them all"),
        ];
        for (remedy, text) in table {
            assert_eq!(spelled(&remedy), text);
        }
    }
}
