//! The AWS SDK's configuration in a Lambda function.

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};
use rekindle_service::config::ConfigError;
use std::time::Duration;

/// How long a connection to AWS may take, as the SDK's own loader has it.
const CONNECT: Duration = Duration::from_millis(3_100);
/// How long one attempt waits for the beginning of an answer, what it sends included: some megabytes to S3 at most. The
/// SDK's own loader would wait for ever. Three attempts of one call fit into the 29 seconds that ingest and api have.
const ANSWER: Duration = Duration::from_secs(5);

/// The region and the role's credentials, which Lambda puts into the environment. The SDK's own loader would also know of
/// profiles, containers and single sign-on: a tenth of a function's size, and nothing that Lambda has.
///
/// # Errors
/// A variable that is missing, by name.
pub fn sdk_config(lookup: impl Fn(&str) -> Option<String>) -> Result<SdkConfig, ConfigError> {
    let required = |name: &str| {
        lookup(name).filter(|v| !v.is_empty()).ok_or_else(|| ConfigError(vec![format!("{name} is not set")]))
    };
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        lookup("AWS_SESSION_TOKEN"),
        None,
        "Lambda",
    );
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build())
        .http_client(http);
    builder.set_endpoint_url(lookup("AWS_ENDPOINT_URL"));
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lambda_sets_is_needed_and_read() {
        let lookup = |missing: &'static str| {
            move |name: &str| (name != missing && name.starts_with("AWS_")).then(|| name.to_lowercase())
        };
        let config = sdk_config(lookup("")).unwrap();
        assert_eq!(config.region(), Some(&Region::new("aws_region")));
        assert_eq!(config.endpoint_url(), Some("aws_endpoint_url"));
        assert_eq!(sdk_config(lookup("AWS_ENDPOINT_URL")).unwrap().endpoint_url(), None);
        let timeouts = config.timeout_config().unwrap();
        assert_eq!((timeouts.connect_timeout(), timeouts.read_timeout()), (Some(CONNECT), Some(ANSWER)));
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            assert_eq!(sdk_config(lookup(name)).unwrap_err().0, [format!("{name} is not set")]);
        }
    }
}
