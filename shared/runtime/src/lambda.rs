//! The cold start of a Lambda function.

use crate::{
    metrics::{Embedded, NoMetrics},
    ports::{RandomIds, SystemClock},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::Error;
use rekindle_service::{Rekindle, config::Config};
use rekindle_store::Store;
use std::{io::Write, sync::Arc};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterExt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Reads the configuration, logs as JSON, counts, builds the clients.
///
/// # Errors
/// A configuration that is not complete, by name: the function refuses to start.
pub async fn cold_start() -> Result<Rekindle, Error> {
    #[allow(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let config = Config::from_lookup(|name| std::env::var(name).ok())?;
    let filter = EnvFilter::try_from_env("LOG_LEVEL").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt::layer().json().flatten_event(true).without_time();
    let metrics = Embedded {
        namespace: config.metrics_namespace,
        clock: Arc::new(SystemClock),
        // There is nowhere to say that standard output is gone.
        write: |line: String| _ = writeln!(std::io::stdout(), "{line}"),
    };
    tracing_subscriber::registry().with(log.with_filter(filter.and(NoMetrics))).with(metrics).init();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(http).load().await;
    let store = Store::new(&sdk, &config.names);
    Ok(Rekindle::new(store, Arc::new(SystemClock), Arc::new(RandomIds), config.settings))
}
