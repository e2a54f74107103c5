//! The embedded AWS, as the real SDK clients see it.

mod embedded {
    pub mod dynamodb;
    pub mod persistence;
    pub mod rates;
    pub mod s3;
    pub mod ses;
    pub mod sqs;
}

use std::sync::Arc;

use jiff::Timestamp;
use rekindle_local::embedded::{EmbeddedAws, Now};

/// A clock that stands still.
fn now() -> Now {
    Arc::new(|| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24))
}

fn aws() -> EmbeddedAws {
    EmbeddedAws::in_memory(now()).unwrap()
}

#[tokio::test]
async fn a_service_that_is_not_here_is_named_and_not_retried() {
    let aws = aws();
    let request = http::Request::builder()
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/kms/aws4_request, Signature=0",
        )
        .body(aws_smithy_types::body::SdkBody::empty())
        .unwrap();
    let error = aws.answer(request).await.unwrap_err();
    assert!(error.to_string().contains("no service \"kms\""), "{error}");
}

/// The wrapper loses the answer to the first call that it passes on. The SDK repeats the call, so a conditional write is
/// refused because of its own first attempt.
#[tokio::test(start_paused = true)]
async fn a_client_of_the_same_kind_can_wrap_this_one_and_lose_an_answer() {
    use aws_sdk_dynamodb::error::ProvideErrorMetadata;
    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    struct Losing(SharedHttpConnector, Arc<AtomicUsize>);
    impl HttpConnector for Losing {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let answer = self.0.call(request);
            let nth = self.1.fetch_add(1, Ordering::Relaxed);
            HttpConnectorFuture::new(async move {
                let answer = answer.await?;
                match nth {
                    0 => Err(ConnectorError::io("the answer is lost".into())),
                    _ => Ok(answer),
                }
            })
        }
    }

    let aws = aws();
    embedded::dynamodb::create_table(&aws_sdk_dynamodb::Client::new(&aws.sdk_config())).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let (inner, counter) = (aws.http_client(), calls.clone());
    let outer = http_client_fn(move |settings, components| {
        let connector = inner.http_connector(settings, components);
        SharedHttpConnector::new(Losing(connector, counter.clone()))
    });
    let config = aws.sdk_config().into_builder().http_client(outer).build();
    let put = aws_sdk_dynamodb::Client::new(&config).put_item().table_name(embedded::dynamodb::TABLE);
    let put = put.item("pk", embedded::dynamodb::s("a")).item("sk", embedded::dynamodb::b(1));
    let error = put.condition_expression("attribute_not_exists(pk)").send().await.unwrap_err();
    assert_eq!(error.code(), Some("ConditionalCheckFailedException"));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}
