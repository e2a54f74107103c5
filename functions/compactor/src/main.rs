//! Cold start of the compactor function.

use lambda_runtime::{Error, run, service_fn};
use rekindle_runtime::lambda::cold_start;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let app = cold_start().await?;
    run(service_fn(async |event| rekindle_compactor::handle(&app, event).await)).await
}
