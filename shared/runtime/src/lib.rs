//! What the shells share: reading HTTP input, who may call what, the ports of the real world, and the cold start of a Lambda function.

#[cfg(feature = "lambda")]
mod aws;
#[cfg(feature = "events")]
pub mod events;
pub mod foreign;
pub mod http;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "lambda")]
pub mod metrics;
pub mod ports;
pub mod problem;
pub mod scopes;
