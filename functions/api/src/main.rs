//! Cold start of the api function.

use lambda_http::{Error, run};
use rekindle_runtime::lambda::cold_start;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let app = cold_start().await?;
    run(rekindle_api::router(app)).await
}
