//! What the shells share: reading HTTP input, who may call what, the ports of the real world, and the cold start of a Lambda function.

pub mod http;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod ports;
pub mod scopes;
