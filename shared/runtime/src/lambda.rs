//! The cold start of a Lambda function.

use crate::ports::{RandomIds, SystemClock};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::Error;
use rekindle_service::{Rekindle, config::Config};
use rekindle_store::Store;
use std::sync::Arc;

/// Logs as JSON, reads the configuration, builds the clients.
///
/// # Errors
/// A configuration that is not complete, by name: the function refuses to start.
pub async fn cold_start() -> Result<Rekindle, Error> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("LOG_LEVEL").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).without_time().init();
    #[allow(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let config = Config::from_lookup(|name| std::env::var(name).ok())?;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(http).load().await;
    let store = Store::new(&sdk, &config.names);
    Ok(Rekindle::new(store, Arc::new(SystemClock), Arc::new(RandomIds), config.settings))
}
