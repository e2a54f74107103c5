//! Code that the functions and the local runner share.
//!
//! | module | purpose |
//! |---|---|
//! | [`http`] | reads and checks HTTP input |
//! | [`problem`] | turns a problem into an HTTP answer, and spells routes in texts |
//! | [`scopes`] | asks each request for a key with the scope of its route |
//! | [`foreign`] | keeps foreign web pages away from the local runner |
//! | `gateway` | takes HTTP requests from API Gateway |
//! | `events` | reads batches of messages, and the time that an invocation has |
//! | [`ports`] | the machine's clock and random numbers |
//! | `lambda`, `metrics` | the cold start of a Lambda function, and its metrics |

#[cfg(feature = "lambda")]
mod aws;
#[cfg(feature = "events")]
pub mod events;
pub mod foreign;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod http;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "lambda")]
pub mod metrics;
pub mod patch;
pub mod ports;
pub mod problem;
pub mod scopes;
