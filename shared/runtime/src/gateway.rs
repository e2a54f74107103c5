//! Requests as API Gateway passes them to a Lambda function.

use axum::Router;
use http::{HeaderMap, StatusCode, Uri, header};
use lambda_http::{Adapter, Error, LambdaEvent, Service, request::LambdaRequest, service_fn};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use crate::problem::HttpProblem;

/// Answers the requests of API Gateway with these routes, until Lambda ends the process.
///
/// # Errors
/// That Lambda's interface does not answer.
pub async fn serve(router: Router) -> Result<(), Error> {
    let routes = Adapter::from(router);
    lambda_http::lambda_runtime::run(service_fn(move |event: LambdaEvent<LambdaRequest>| {
        let mut routes = routes.clone();
        async move {
            match refusal(&event.payload) {
                Some(answer) => Ok(Answer::Refused(answer)),
                None => routes.call(event).await.map(Answer::OfRoute),
            }
        }
    }))
    .await
}

/// An answer in API Gateway's form.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer<R> {
    /// Of [`refusal`].
    Refused(Value),
    /// Of a route.
    OfRoute(R),
}

/// The answer to a request whose URL `lambda_http` could not build, over which it would panic. A client chooses the host.
fn refusal(request: &LambdaRequest) -> Option<Value> {
    let LambdaRequest::ApiGatewayV2(request) = request else {
        return None;
    };
    let host = host(&request.headers).or(request.request_context.domain_name.as_deref());
    let (path, query) = (request.raw_path.as_deref(), request.raw_query_string.as_deref());
    if is_url(&request.headers, host, path.unwrap_or("/"), query.unwrap_or_default()) {
        return None;
    }
    let problem =
        HttpProblem::new(StatusCode::BAD_REQUEST, "invalid_header", "Host must be the name of a host");
    Some(json!({
        "statusCode": problem.status.as_u16(),
        "headers": { "content-type": "application/problem+json" },
        "body": problem.to_json().to_string(),
        "isBase64Encoded": false,
    }))
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|host| host.to_str().ok())
}

/// Whether these parts make a URL, put together as `lambda_http` does it, and one of the same path: a host may not bring a
/// path of its own.
fn is_url(headers: &HeaderMap, host: Option<&str>, path: &str, query: &str) -> bool {
    let scheme = headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok()).unwrap_or("https");
    let Ok(plain) = Url::parse(&format!("http://localhost{path}")) else {
        return false;
    };
    let url = match host {
        None => Ok(plain.clone()),
        Some(host) => Url::parse(&format!("{scheme}://{host}{path}")),
    };
    url.is_ok_and(|url| url.path() == plain.path() && format!("{url}?{query}").parse::<Uri>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request as API Gateway passes it, with this `Host`.
    fn request(host: &Value) -> LambdaRequest {
        let event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/v1/health",
            "rawQueryString": "",
            "headers": { "host": host, "x-forwarded-proto": "https" },
            "requestContext": {
                "accountId": "1", "apiId": "a", "domainName": "a.execute-api.eu-west-1.amazonaws.com", "stage": "$default",
                "requestId": "r", "routeKey": "$default", "time": "22/Nov/2026:10:00:00 +0000", "timeEpoch": 0,
                "http": { "method": "GET", "path": "/v1/health", "protocol": "HTTP/1.1", "sourceIp": "::1", "userAgent": "" },
            },
            "isBase64Encoded": false,
        });
        serde_json::from_value(event).unwrap()
    }

    /// Each host is given to `lambda_http` itself, too: it panics over none that is not refused.
    #[test]
    fn a_host_that_is_none_is_refused_before_anything_panics() {
        let good =
            ["api.example.com", "localhost:3000", "[::1]:80", "user@host", "xn--bcher-kva.example", "a_b.c"];
        let bad = [
            "",
            " ",
            ":",
            "a b",
            "a<b",
            "[::1",
            "1.2.3.999",
            "host:port",
            "host:99999",
            "%zz",
            "xn--a",
            "a|b",
        ];
        std::panic::set_hook(Box::new(|_| {}));
        for host in good.iter().chain(&bad) {
            let answer = refusal(&request(&json!(host)));
            let built = std::panic::catch_unwind(|| lambda_http::Request::from(request(&json!(host))));
            assert!(answer.is_some() || built.is_ok(), "{host:?} panics");
            assert_eq!(answer.is_some(), bad.contains(host), "{host:?}: {answer:?}");
            if let Some(answer) = answer {
                assert_eq!(answer["statusCode"], 400);
                assert!(answer["body"].as_str().unwrap().contains("invalid_header"), "{answer}");
            }
        }
        let _ = std::panic::take_hook();
    }
}
