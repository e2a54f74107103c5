//! Cold start of the api function.

use lambda_http::{Error, run};
use rekindle_runtime::lambda::{cold_start, warm_up};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let app = cold_start().await?;
    warm_up(&app).await;
    run(rekindle_api::router(app)).await
}
