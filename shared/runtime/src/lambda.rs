//! The cold start of a Lambda function.

use crate::{
    aws::sdk_config,
    ports::{RandomIds, SystemClock},
};
use lambda_runtime::Error;
use rekindle_service::{Rekindle, config::Config};
use rekindle_store::Store;
use std::sync::Arc;
use tracing_subscriber::filter::LevelFilter;

/// Logs as JSON, reads the configuration, builds the clients.
///
/// # Errors
/// A configuration that is not complete, by name: the function refuses to start.
pub async fn cold_start() -> Result<Rekindle, Error> {
    #[allow(clippy::disallowed_methods, reason = "the environment is read here, once")]
    let lookup = |name: &str| std::env::var(name).ok();
    let level = lookup("LOG_LEVEL").and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt().json().flatten_event(true).with_max_level(level).without_time().init();
    let config = Config::from_lookup(lookup)?;
    let store = Store::new(&sdk_config(lookup)?, &config.names);
    Ok(Rekindle::new(store, Arc::new(SystemClock), Arc::new(RandomIds), config.settings))
}
