//! An AWS account inside the process: DynamoDB, S3, SQS and SES, answered without a socket.
//!
//! The AWS SDK takes any `HttpClient`. [`EmbeddedAws::http_client`] is one that hands each request to an engine in
//! this process, chosen by the service name in the request's SigV4 credential scope. The SDK clients are the same as in
//! production, with their serializers, retries and checksums; only the answers come from elsewhere.
//!
//! | service | engine | kept in a data directory |
//! |---|---|---|
//! | DynamoDB | `dynoxide` (SQLite) | `dynamodb.sqlite` |
//! | S3 | protocol by `s3s`, storage of our own | `s3/` |
//! | SQS | `rustack-sqs` | nothing: queues and their messages are in memory |
//! | SES | `rustack-ses`, plus an outbox of our own | `outbox.jsonl` |
//!
//! In memory every engine works on the calling task, so that a single-threaded test repeats exactly from its seed. In a
//! data directory the work waits for the disk and runs on blocking threads (see `worker.rs`).
//!
//! Faults, counts and latency are not built in: a test wraps the `SharedHttpClient` in one that adds them.

mod dynamodb;
mod http;
mod journal;
mod s3;
mod ses;
mod sqs;
mod worker;

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;

pub use ses::Mail;

use crate::private;
use dynamodb::DynamoDb;
use s3::S3;
use ses::Ses;
use sqs::Sqs;

/// The clock of an account. It stamps sent mails and stored objects. (DynamoDB and SQS keep to the system's clock
/// and to tokio's: table creation times, visibility timeouts.)
pub type Now = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// The account's only region.
pub const REGION: &str = "us-east-1";
const ACCESS_KEY: &str = "embedded";
const SECRET_KEY: &str = "not-a-secret";

/// One embedded AWS account. Clones are handles on the same account.
///
/// SQS queues run as tasks on the tokio runtime that created them, so an account lives and dies with one runtime.
#[derive(Clone)]
pub struct EmbeddedAws {
    account: Arc<Account>,
}

struct Account {
    dynamodb: DynamoDb,
    s3: S3,
    sqs: Sqs,
    ses: Ses,
    /// The data directory.
    dir: Option<PathBuf>,
    /// The lock on the data directory. Declared last, so that it is released after everything that it guards.
    _lock: Option<Lock>,
}

/// Why the embedded AWS could not be opened, or could not answer at all. Errors that AWS itself would answer
/// (a failed condition, a missing key) are not here: the SDK sees them as it would see AWS's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// A file system call failed. The operation was not answered and changed nothing.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The verb of the failed call, as in "cannot *open* ...".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The data directory belongs to a running process.
    #[error("{} is in use by another process: stop that one, or choose another data directory", .0.display())]
    InUse(PathBuf),
    /// A whole line of a journal does not parse. The program does not repair it by guessing.
    #[error("line {line} of {} is damaged: {source}", path.display())]
    Damaged {
        /// The journal's file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// The DynamoDB engine refused its file.
    #[error(
        "cannot use dynamodb.sqlite in the data directory ({0}): choose another directory, or put a copy of it back"
    )]
    Database(#[source] dynoxide::DynoxideError),
    /// A request that no engine here can answer; the message says why.
    #[error("the embedded AWS cannot answer this request: {0}")]
    Request(String),
    /// The tokio runtime is going away.
    #[error("the embedded AWS is shutting down")]
    Stopped,
}

impl EmbeddedError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl EmbeddedAws {
    /// A new, empty account with all its state in memory. The state is gone when the last handle is dropped.
    ///
    /// # Errors
    /// When SQLite cannot start.
    pub fn in_memory(now: Now) -> Result<Self, EmbeddedError> {
        Ok(Self::from(Account {
            dynamodb: DynamoDb::in_memory()?,
            s3: S3::in_memory(now.clone()),
            sqs: Sqs::new(),
            ses: Ses::in_memory(now),
            dir: None,
            _lock: None,
        }))
    }

    /// The account kept below `dir`, which is created if need be: `dynamodb.sqlite`, `s3/`, `outbox.jsonl`, `lock`, and
    /// `dynamodb.creating` while a table is made. A change is on disk before it is answered, so a kill -9 at any moment
    /// loses nothing that was acknowledged. SQS queues and unfinished multipart uploads are in memory only and are gone after a
    /// restart.
    ///
    /// # Errors
    /// [`EmbeddedError::InUse`] while another handle (of this process or another) holds the directory;
    /// [`EmbeddedError::Damaged`] or [`EmbeddedError::Database`] when the files cannot be read.
    pub fn open(dir: &Path, now: Now) -> Result<Self, EmbeddedError> {
        private::open_dir(dir).map_err(EmbeddedError::io("create", dir))?;
        let lock = lock(dir)?;
        Ok(Self::from(Account {
            dynamodb: DynamoDb::open(&dir.join("dynamodb.sqlite"))?,
            s3: S3::open(&dir.join("s3"), now.clone())?,
            sqs: Sqs::new(),
            ses: Ses::open(&dir.join("outbox.jsonl"), now)?,
            dir: Some(dir.to_owned()),
            _lock: Some(lock),
        }))
    }

    /// The `HttpClient` that makes an SDK client talk to this account. It holds the account open.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        http::client(self.clone())
    }

    /// An SDK configuration that is ready for `Client::new`: this account's client, region [`REGION`], fixed
    /// credentials (S3 checks the signature, so a copy of this configuration must keep them), standard retries, no
    /// stalled-stream protection. Sleeping between retries is tokio's, by the clients' `rt-tokio` feature.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "embedded");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::standard())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(self.http_client())
            .build()
    }

    /// The mails sent so far, oldest first.
    #[must_use]
    pub fn outbox(&self) -> Vec<Mail> {
        self.account.ses.outbox()
    }

    /// Whether the disk takes no further megabyte. Writes one, and removes it.
    ///
    /// # Errors
    /// [`EmbeddedError::Stopped`] when the runtime shuts down.
    pub async fn is_full(&self) -> Result<bool, EmbeddedError> {
        let Some(dir) = self.account.dir.clone() else { return Ok(false) };
        let write = move || {
            let mut file = tempfile::tempfile_in(dir)?;
            file.write_all(&[0; 1 << 20])?;
            file.sync_all()
        };
        let written = worker::Worker::BlockingThread.run(write).await?;
        Ok(written.is_err_and(|error| is_full(&error)))
    }

    /// Answers one signed AWS request. The client of [`Self::http_client`] does nothing else.
    ///
    /// # Errors
    /// [`EmbeddedError::Request`] when the request is not signed, or names a service that the account does not
    /// have. A service's own errors are HTTP answers of that service.
    pub async fn answer(
        &self,
        request: ::http::Request<SdkBody>,
    ) -> Result<::http::Response<SdkBody>, EmbeddedError> {
        let service = http::service_of(&request)?.to_owned();
        let request = http::collect(request).await?;
        match service.as_str() {
            "dynamodb" => self.account.dynamodb.answer(request).await,
            "s3" => self.account.s3.answer(request).await,
            "sqs" => self.account.sqs.answer(request).await,
            "ses" => self.account.ses.answer(request).await,
            other => Err(EmbeddedError::Request(format!(
                "it has no service {other:?}, only dynamodb, s3, sqs and ses"
            ))),
        }
    }
}

impl From<Account> for EmbeddedAws {
    fn from(account: Account) -> Self {
        Self { account: Arc::new(account) }
    }
}

impl std::fmt::Debug for EmbeddedAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedAws").finish_non_exhaustive()
    }
}

/// Whether this is the error of a disk, or of its user's share of it, that is full.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Locks the directory for this account alone. SQLite could share its file, but the object index and the outbox are read
/// once and then kept in memory. The kernel holds the lock, so a killed process leaves none behind.
fn lock(dir: &Path) -> Result<Lock, EmbeddedError> {
    let path = dir.join("lock");
    let file = private::create(&path).map_err(EmbeddedError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(EmbeddedError::io("lock", &path)(source)),
    }
}

/// A locked file, unlocked when dropped. Closing the file would not be enough: a child process that is just being started
/// holds copies of all our descriptors until it runs its own program, and the kernel keeps a lock until the last copy is
/// closed.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // If this fails, the kernel unlocks the file when the last copy is closed.
        let _ = self.0.unlock();
    }
}
