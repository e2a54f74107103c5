//! Cold start of the console function.

use lambda_http::Error;
use rekindle_runtime::{
    gateway,
    lambda::{cold_start, warm_up},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let app = cold_start().await?;
    warm_up(&app).await;
    gateway::serve(rekindle_console::router(app)).await
}
