//! Cold start of the ingest function.

use lambda_http::{Error, run};
use rekindle_runtime::lambda::cold_start;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let app = cold_start().await?;
    run(rekindle_ingest::router(app)).await
}
