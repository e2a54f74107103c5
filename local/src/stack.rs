//! The stack: the resources that `template.yaml` describes, in an embedded AWS, and the application over them.

use crate::embedded::EmbeddedAws;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_types::SdkConfig;
use rekindle_domain::time::{Clock, Ids, Period};
use rekindle_service::{Rekindle, Settings};
use rekindle_store::{Names, Store};
use std::sync::Arc;

/// How long a message is invisible while a handler has it, in seconds of real time.
const VISIBILITY_SECONDS: u32 = 30;
/// A message that was delivered this many times and is not done goes to the dead-letter queue.
const MAX_RECEIVES: u32 = 5;
/// How long a worker holds a part. Shorter than the visibility, so that no worker holds a redelivered part any more.
const LEASE_MILLIS: i64 = 20_000;

/// The resource that could not be set up and the reason, as text for people.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up {what}: {reason}")]
pub struct StackError {
    what: &'static str,
    reason: String,
}

fn failed<E: std::error::Error>(what: &'static str) -> impl FnOnce(E) -> StackError {
    move |error| StackError { what, reason: aws_sdk_sqs::error::DisplayErrorContext(&error).to_string() }
}

/// A queue with its dead-letter queue, by URL.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The queue's URL.
    pub url: String,
    /// The URL of its dead-letter queue, which gets the messages that no delivery could handle.
    pub dead_letters: String,
}

/// The application with its resources.
#[derive(Clone)]
pub struct Stack {
    /// The use cases.
    pub app: Rekindle,
    /// The SQS client of the poller, which stands for Lambda's event source.
    pub sqs: aws_sdk_sqs::Client,
    /// The queue of restore work.
    pub restores: Queue,
    /// The queue of notices.
    pub notices: Queue,
}

/// The settings of a local stack.
pub fn local_settings(retention: Period) -> Settings {
    Settings { lease_millis: LEASE_MILLIS, ..Settings::with_retention(retention) }
}

impl Stack {
    /// Makes the resources that do not exist yet, and builds the application.
    ///
    /// # Errors
    /// [`StackError`], naming the resource.
    pub async fn create(
        aws: &EmbeddedAws,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: Settings,
    ) -> Result<Self, StackError> {
        let config = aws.sdk_config();
        let stack = Self::over(&config, clock, ids, settings).await?;
        refuse_orphans(&config).await?;
        Ok(stack)
    }

    /// As [`Self::create`], over any SDK configuration, such as one whose client is wrapped.
    ///
    /// # Errors
    /// [`StackError`], naming the resource.
    pub async fn over(
        config: &SdkConfig,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: Settings,
    ) -> Result<Self, StackError> {
        create_tables(&aws_sdk_dynamodb::Client::new(config)).await?;
        create_bucket(config).await?;
        let sqs = aws_sdk_sqs::Client::new(config);
        let restores = create_queue(&sqs, "rekindle-restores").await?;
        let notices = create_queue(&sqs, "rekindle-notices").await?;
        let names = Names {
            catalog: CATALOG.to_owned(),
            ledger: LEDGER.to_owned(),
            archive: ARCHIVE.to_owned(),
            restores: restores.url.clone(),
            notices: notices.url.clone(),
            sender: "rekindle@localhost.localdomain".to_owned(),
        };
        let app = Rekindle::new(Store::new(config, &names), clock, ids, settings);
        Ok(Self { app, sqs, restores, notices })
    }
}

/// The catalog table's name.
pub const CATALOG: &str = "rekindle-catalog";
/// The ledger table's name.
pub const LEDGER: &str = "rekindle-ledger";
/// The archive bucket's name.
pub const ARCHIVE: &str = "rekindle-archive";

fn attribute(name: &str, kind: ScalarAttributeType) -> Option<AttributeDefinition> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().ok()
}

fn key(name: &str, kind: KeyType) -> Option<KeySchemaElement> {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().ok()
}

fn keys(hash: &str, range: &str) -> Option<Vec<KeySchemaElement>> {
    [key(hash, KeyType::Hash), key(range, KeyType::Range)].into_iter().collect()
}

fn index(name: &str, hash: &str, range: &str, more: &[&str]) -> Option<GlobalSecondaryIndex> {
    let projection = match more {
        [] => Projection::builder().projection_type(ProjectionType::KeysOnly),
        more => Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(more.iter().map(|m| (*m).to_owned()).collect())),
    };
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(keys(hash, range))
        .projection(projection.build())
        .build()
        .ok()
}

async fn create_tables(client: &aws_sdk_dynamodb::Client) -> Result<(), StackError> {
    use ScalarAttributeType::{B, N, S};
    const SHOWN: [&str; 5] = ["status", "state", "name_key", "id_key", "first_sight"];
    let catalog_attributes = [
        ("pk", S),
        ("sk", S),
        ("wake", S),
        ("wake_at", N),
        ("list", S),
        ("updated_at", N),
        ("expires_at", N),
    ];
    let indexes = [
        index("wake", "wake", "wake_at", &[]),
        index("updated", "list", "updated_at", &SHOWN),
        index("expires", "list", "expires_at", &SHOWN),
    ];
    create_table(client, CATALOG, &catalog_attributes, indexes.into_iter().collect()).await?;
    create_table(client, LEDGER, &[("pk", S), ("sk", B)], None).await
}

async fn create_table(
    client: &aws_sdk_dynamodb::Client,
    name: &'static str,
    attributes: &[(&str, ScalarAttributeType)],
    indexes: Option<Vec<GlobalSecondaryIndex>>,
) -> Result<(), StackError> {
    let attributes = attributes.iter().map(|(name, kind)| attribute(name, kind.clone())).collect();
    let created = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(attributes)
        .set_key_schema(keys("pk", "sk"))
        .set_global_secondary_indexes(indexes)
        .send()
        .await;
    match created {
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => Ok(()),
        other => other.map(drop).map_err(failed(name)),
    }
}

async fn create_bucket(config: &SdkConfig) -> Result<(), StackError> {
    match archive(config).create_bucket().bucket(ARCHIVE).send().await {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_bucket_already_owned_by_you() || e.is_bucket_already_exists()) =>
        {
            Ok(())
        }
        other => other.map(drop).map_err(failed(ARCHIVE)),
    }
}

/// Refuses an archive without its catalog: nothing in it could be found, and what arrives from now on would be taken for
/// everything there ever was.
async fn refuse_orphans(config: &SdkConfig) -> Result<(), StackError> {
    let catalog = aws_sdk_dynamodb::Client::new(config).scan().table_name(CATALOG).limit(1).send().await;
    if !catalog.map_err(failed(CATALOG))?.items().is_empty() {
        return Ok(());
    }
    let archive = archive(config).list_objects_v2().bucket(ARCHIVE).max_keys(1).send().await;
    if archive.map_err(failed(ARCHIVE))?.contents().is_empty() {
        return Ok(());
    }
    let reason =
        "it is empty, though the archive has objects. Put a copy of dynamodb.sqlite back, or choose another \
                  directory with --data. The archive's Parquet files can be read without it"
            .to_owned();
    Err(StackError { what: CATALOG, reason })
}

/// A client of the archive's bucket.
pub(crate) fn archive(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(true).build())
}

async fn create_queue(client: &aws_sdk_sqs::Client, name: &'static str) -> Result<Queue, StackError> {
    let made = |answer: aws_sdk_sqs::operation::create_queue::CreateQueueOutput| {
        answer.queue_url.ok_or_else(|| StackError { what: name, reason: "the queue has no URL".to_owned() })
    };
    let dead_letters = client.create_queue().queue_name(format!("{name}-dead-letters")).send().await;
    let dead_letters = made(dead_letters.map_err(failed(name))?)?;
    let attributes = client.get_queue_attributes().queue_url(&dead_letters);
    let attributes =
        attributes.attribute_names(QueueAttributeName::QueueArn).send().await.map_err(failed(name))?;
    let arn = attributes
        .attributes()
        .and_then(|a| a.get(&QueueAttributeName::QueueArn))
        .cloned()
        .unwrap_or_default();
    let redrive = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{MAX_RECEIVES}}}"#);
    let created = client
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY_SECONDS.to_string())
        .attributes(QueueAttributeName::RedrivePolicy, redrive)
        .send()
        .await;
    Ok(Queue { url: made(created.map_err(failed(name))?)?, dead_letters })
}
