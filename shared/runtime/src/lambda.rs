//! The cold start of a Lambda function.

use crate::{
    aws::sdk_config,
    metrics::{Embedded, NoMetrics},
    ports::{RandomIds, SystemClock},
};
use lambda_runtime::Error;
use rekindle_service::{Rekindle, config::Config};
use rekindle_store::Store;
use std::{io::Write, sync::Arc, time::Duration};
use tokio::time::timeout;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, LevelFilter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// How long a cold start may wait for the catalog.
const WARM_UP: Duration = Duration::from_secs(1);

/// Reads the configuration, starts the log and the metrics, and builds the clients.
///
/// # Errors
/// A variable that is missing or malformed, by name. The function does not start.
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
        // If standard output fails, no other place is left to report that.
        write: |line: String| _ = writeln!(std::io::stdout(), "{line}"),
    };
    tracing_subscriber::registry().with(log.with_filter(level.and(NoMetrics))).with(metrics).init();
    let store = Store::new(&sdk_config(lookup)?, &config.names);
    Ok(Rekindle::new(store, Arc::new(SystemClock), Arc::new(RandomIds), config.settings))
}

/// Opens the connection to the catalog while Lambda still starts the function, so that the first request does not wait for
/// it. Functions that answer HTTP call this. A catalog that does not answer is logged, and the function starts all the same.
pub async fn warm_up(app: &Rekindle) {
    match timeout(WARM_UP, app.warm_up()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error.message = %error, "the catalog does not answer yet"),
        Err(_) => tracing::warn!("the catalog does not answer yet"),
    }
}
