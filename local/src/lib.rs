//! The local runner: the handlers that run in Lambda, and an embedded AWS, in one process.
//!
//! | module | stands for |
//! |---|---|
//! | [`embedded`] | AWS: DynamoDB, S3, SQS, SES |
//! | [`stack`] | CloudFormation: tables, bucket, queues, and the application over them |
//! | [`admin_key`] | the operator, who makes the first key |
//! | [`clock`] | time, which can be moved ahead |
//! | [`listen`] | API Gateway's sockets: connections, time limits, the end |
//! | `private` | access rights on files and folders |
//! | [`poller`] | Lambda's SQS event source |
//! | [`server`] | API Gateway, EventBridge's schedule, and the `/_local` endpoints |
//! | `pages` | – : the console's pages that only the runner has |
//! | [`sign_in`] | whoever hands a newcomer the console, signed in |
//! | [`sample`] | the senders and the marketers of eight months, for a newcomer to look around |
//! | [`demo`] | a newcomer's first minute at a terminal |

pub mod admin_key;
pub mod clock;
pub mod demo;
pub mod embedded;
pub mod listen;
mod pages;
pub mod poller;
mod private;
pub mod sample;
pub mod server;
pub mod sign_in;
pub mod stack;
