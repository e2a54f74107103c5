//! The layer that keeps foreign web pages away from a server on this machine's loopback interface.

use crate::problem::HttpProblem;
use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, header, uri::Authority};

/// Refuses requests that a foreign web page could send: any with a foreign `Host` (DNS rebinding), and those of methods that
/// change something with a foreign `Origin`.
pub async fn refuse_foreigners(request: Request, next: Next) -> Response {
    let Some((name, value)) = foreign(request.method(), request.headers()) else {
        return next.run(request).await;
    };
    let detail = format!("the local runner answers requests from its own machine only; {name} was `{value}`");
    HttpProblem::new(StatusCode::FORBIDDEN, "foreign_request", detail).into_response()
}

/// The header that gives a foreign request away, and its value.
fn foreign<'a>(method: &Method, headers: &'a HeaderMap) -> Option<(&'static str, &'a str)> {
    let host = only(headers, header::HOST).unwrap_or_default();
    if !is_loopback(host) {
        return Some(("Host", host));
    }
    let origin = only(headers, header::ORIGIN).filter(|_| !method.is_safe())?;
    (origin.strip_prefix("http://") != Some(host)).then_some(("Origin", origin))
}

/// The text of a header. Of a header that stands twice nobody can say which one a client meant.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    Some(if all.next().is_some() { "given twice" } else { first.to_str().unwrap_or("unreadable") })
}

/// Whether a host is a name of this machine's loopback interface, with or without a port, and nothing else.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
    let is_no_more = format!("{}{port}", authority.host()) == host;
    is_no_more
        && ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| name.eq_ignore_ascii_case(authority.host()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_foreign_host_and_a_foreign_origin_of_a_change_are_found() {
        let table = [
            (Method::POST, "127.0.0.1:7878", None, None),
            (Method::POST, "localhost", Some("http://localhost"), None),
            (Method::DELETE, "[::1]:7878", Some("http://[::1]:7878"), None),
            (Method::GET, "localhost:7878", Some("http://evil.example"), None),
            (Method::POST, "localhost:7878", Some("http://evil.example"), Some("Origin")),
            (Method::POST, "localhost:7878", Some("http://localhost:80"), Some("Origin")),
            (Method::POST, "localhost:7878", Some("https://localhost:7878"), Some("Origin")),
            (Method::POST, "localhost:7878", Some("null"), Some("Origin")),
            (Method::GET, "evil.example:7878", None, Some("Host")),
            (Method::GET, "localhost.evil.example", None, Some("Host")),
            (Method::GET, "", None, Some("Host")),
            (Method::GET, "LOCALHOST:7878", None, None),
            (Method::GET, "localhost:7920@evil.example", None, Some("Host")),
            (Method::GET, "evil.example@localhost:7878", None, Some("Host")),
            (Method::GET, "[::1].evil.example", None, Some("Host")),
            (Method::GET, "[::1]:7878.evil.example", None, Some("Host")),
            (Method::GET, "localhost:evil.example", None, Some("Host")),
            (Method::GET, "localhost:99999", None, Some("Host")),
            (Method::GET, "localhost:", None, Some("Host")),
            (Method::GET, "localhost/evil.example", None, Some("Host")),
            (Method::GET, "localhost, evil.example", None, Some("Host")),
            (Method::POST, "localhost:1", Some("http://localhost:1@evil.example"), Some("Origin")),
            (Method::POST, "localhost:1", Some("http://localhost:1.evil.example"), Some("Origin")),
            (Method::POST, "localhost:1", Some("http://localhost:1/"), Some("Origin")),
            (Method::POST, "localhost:1", Some("http://localhost:1, http://evil.example"), Some("Origin")),
        ];
        for (method, host, origin, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            let found = foreign(&method, &headers).map(|(name, _)| name);
            assert_eq!(found, expected, "{method} {host} {origin:?}");
        }
    }

    #[test]
    fn a_header_that_stands_twice_is_foreign() {
        for (twice, name) in [(header::HOST, "Host"), (header::ORIGIN, "Origin")] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost"));
            headers.insert(header::ORIGIN, HeaderValue::from_static("http://localhost"));
            assert_eq!(foreign(&Method::POST, &headers), None);
            let again = headers[&twice].clone();
            headers.append(twice, again);
            assert_eq!(foreign(&Method::POST, &headers), Some((name, "given twice")));
        }
    }
}
