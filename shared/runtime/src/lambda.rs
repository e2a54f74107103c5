//! The cold start of a Lambda function.

use crate::{
    aws::sdk_config,
    metrics::{Embedded, NoMetrics},
    ports::{RandomIds, SystemClock},
};
use lambda_runtime::Error;
use rekindle_service::{Rekindle, config::Config};
use rekindle_store::Store;
use std::{io::Write, sync::Arc};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, LevelFilter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Reads the configuration, logs as JSON, counts, builds the clients.
///
/// # Errors
/// A configuration that is not complete, by name: the function refuses to start.
pub async fn cold_start() -> Result<Rekindle, Error> {
    #[allow(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let lookup = |name: &str| std::env::var(name).ok();
    let config = Config::from_lookup(lookup)?;
    let level = lookup("LOG_LEVEL").and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let log =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).without_time();
    let metrics = Embedded {
        namespace: config.metrics_namespace,
        clock: Arc::new(SystemClock),
        // There is nowhere to say that standard output is gone.
        write: |line: String| _ = writeln!(std::io::stdout(), "{line}"),
    };
    tracing_subscriber::registry().with(log.with_filter(level.and(NoMetrics))).with(metrics).init();
    let store = Store::new(&sdk_config(lookup)?, &config.names);
    Ok(Rekindle::new(store, Arc::new(SystemClock), Arc::new(RandomIds), config.settings))
}
