//! The SDK's side: a connector that passes requests to the account, and the HTTP functions that every service uses.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;

use super::{EmbeddedAws, EmbeddedError};

/// The client whose one connector is the account. It ignores connection settings.
pub(super) fn client(aws: EmbeddedAws) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector(aws));
    http_client_fn(move |_settings, _components| connector.clone())
}

#[derive(Debug)]
struct Connector(EmbeddedAws);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.0.clone();
        HttpConnectorFuture::new(async move {
            // "User" errors are not retried: asking again would bring the same answer.
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let response = aws.answer(request).await.map_err(|error| ConnectorError::user(error.into()))?;
            HttpResponse::try_from(response).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

/// The service named in the credential scope, `<key>/<date>/<region>/<service>/aws4_request`, of the
/// `Authorization` header.
pub(super) fn service_of<B>(request: &Request<B>) -> Result<&str, EmbeddedError> {
    let Some(rest) = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once("Credential="))
        .map(|(_, rest)| rest)
    else {
        return Err(EmbeddedError::Request("it is not signed".to_owned()));
    };
    let scope = rest.split(',').next().unwrap_or(rest);
    scope
        .strip_suffix("/aws4_request")
        .and_then(|scope| scope.rsplit('/').next())
        .ok_or_else(|| EmbeddedError::Request(format!("its credential scope {scope:?} names no service")))
}

/// Reads the whole body. Requests are small enough: DynamoDB's are limited to 16 MB, an uploaded part is in the
/// caller's memory anyway.
pub(super) async fn collect(request: Request<SdkBody>) -> Result<Request<Bytes>, EmbeddedError> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| EmbeddedError::Request(format!("its body could not be read: {error}")))?
        .to_bytes();
    Ok(Request::from_parts(parts, body))
}

/// Turns an engine's answer into the SDK's.
pub(super) async fn into_sdk<B>(response: Response<B>) -> Result<Response<SdkBody>, EmbeddedError>
where
    B: http_body_util::BodyExt<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| EmbeddedError::Request(format!("its answer could not be read: {error}")))?
        .to_bytes();
    Ok(Response::from_parts(parts, SdkBody::from(body)))
}

/// An answer in the AWS JSON 1.0 protocol.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response<SdkBody> {
    let mut response = Response::new(SdkBody::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(authorization: &str) -> Request<()> {
        let mut request = Request::new(());
        if let Ok(value) = HeaderValue::from_str(authorization) {
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        request
    }

    #[test]
    fn the_service_is_read_from_the_credential_scope() {
        let v4 = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(service_of(&signed(v4)).unwrap(), "dynamodb");
        let v4a =
            "AWS4-ECDSA-P256-SHA256 Credential=key/20260101/s3/aws4_request, SignedHeaders=host, Signature=0";
        assert_eq!(service_of(&signed(v4a)).unwrap(), "s3");
    }

    #[test]
    fn an_unsigned_request_is_refused_with_a_reason() {
        let error = service_of(&Request::new(())).unwrap_err();
        assert_eq!(error.to_string(), "the embedded AWS cannot answer this request: it is not signed");
    }
}
