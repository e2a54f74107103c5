//! Where Rekindle keeps things: besides the shells, the only crate that names an AWS SDK.
//!
//! | module | content | kept in |
//! |---|---|---|
//! | [`catalog`] | sources, manifests, parts, requests, notices, timelines, keys, the audit trail | DynamoDB, small and transactional |
//! | [`ledger`] | inbox blocks and hot copies | DynamoDB, binary |
//! | [`archive`] | cold copies | S3, Parquet |
//! | [`queues`] | restore work and mails that are still to be done | SQS |
//! | [`mail`] | mails | SES |

pub mod archive;
pub mod catalog;
mod dynamo;
pub mod error;
pub mod ledger;
pub mod mail;
pub mod parquet;
pub mod queues;

/// Makes an `async fn` return its future in a box. A plain `async fn` is compiled by each crate that awaits it, together with
/// all that it awaits; a boxed one is compiled once, in this crate. The functions that call AWS are boxed.
pub(crate) use async_recursion::async_recursion as boxed;

pub use error::{STORAGE_FULL, StoreError};

/// The names of the stack's resources.
#[derive(Clone, Debug)]
pub struct Names {
    /// The catalog table.
    pub catalog: String,
    /// The ledger table.
    pub ledger: String,
    /// The archive bucket.
    pub archive: String,
    /// The URL of the queue of restore work.
    pub restores: String,
    /// The URL of the queue of notices.
    pub notices: String,
    /// The address that mails are sent from.
    pub sender: String,
}

/// All stores of one deployment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// Small, transactional records.
    pub catalog: catalog::Catalog,
    /// Inboxes and hot copies.
    pub ledger: ledger::Ledger,
    /// Cold copies.
    pub archive: archive::Archive,
    /// Restore work and mails that are still to be done.
    pub queues: queues::Queues,
    /// The service that sends mails.
    pub mail: mail::Mail,
}

impl Store {
    /// Makes the clients from one SDK configuration. Its endpoint may be AWS or an emulator.
    pub fn new(config: &aws_types::SdkConfig, names: &Names) -> Self {
        let dynamodb = aws_sdk_dynamodb::Client::new(config);
        let s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(config.endpoint_url().is_some())
            .build();
        Self {
            catalog: catalog::Catalog::new(dynamodb.clone(), &names.catalog),
            ledger: ledger::Ledger::new(dynamodb, &names.ledger),
            archive: archive::Archive::new(aws_sdk_s3::Client::from_conf(s3), &names.archive),
            queues: queues::Queues::new(aws_sdk_sqs::Client::new(config), &names.restores, &names.notices),
            mail: mail::Mail::new(aws_sdk_ses::Client::new(config), &names.sender),
        }
    }
}
