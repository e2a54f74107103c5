//! What the shells share: reading HTTP input, the ports of the real world, and the cold start of a Lambda function.

#[cfg(feature = "lambda")]
mod aws;
pub mod http;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod ports;
