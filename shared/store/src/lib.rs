//! Where Rekindle keeps things: the only crate beside the shells that names an AWS SDK.
//!
//! | module | what | where |
//! |---|---|---|
//! | [`catalog`] | sources, manifests, parts, requests, notices, timelines, keys, the audit trail | DynamoDB, small and transactional |
//! | [`ledger`] | inbox blocks and hot copies | DynamoDB, binary |
//! | [`archive`] | cold copies | S3, Parquet |
//! | [`queues`] | work and mails to do | SQS |
//! | [`mail`] | mails | SES |

pub mod archive;
pub mod catalog;
mod dynamo;
pub mod error;
pub mod ledger;
pub mod mail;
pub mod parquet;
pub mod queues;

pub use error::StoreError;

/// What the stack's resources are called.
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
    /// The address mails come from.
    pub sender: String,
}

/// All stores of one deployment. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    /// Small, transactional records.
    pub catalog: catalog::Catalog,
    /// Inbox and hot copies.
    pub ledger: ledger::Ledger,
    /// Cold copies.
    pub archive: archive::Archive,
    /// Work to do.
    pub queues: queues::Queues,
    /// Mails.
    pub mail: mail::Mail,
}

impl Store {
    /// Clients from one SDK configuration, whatever answers them.
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
