//! S3: the protocol by `s3s`, the operations in [`operations`], the storage by [`Objects`].
//!
//! The ready-made storage, `s3s-fs`, is not used. With it a refused checksum leaves the object written, a crash
//! during an overwrite can lose the object, writes are not synced, storage classes are refused and keys that are no
//! valid path fail. The few operations that an archive needs are less code than working around these.
//!
//! Checksums (header or `aws-chunked` trailer) and `Content-MD5` are checked before anything is stored, and
//! returned to `ChecksumMode: ENABLED`. Signatures are checked too, against the credentials of
//! [`super::EmbeddedAws::sdk_config`], as `s3s` undoes `aws-chunked` for signed requests only.
//!
//! **Not imitated.** Versions, tags, ACLs, copies, list delimiters; Head and Get conditions; composite checksums
//! (an object uploaded in parts has a CRC-64/NVME of the whole). Every object is held in memory whole while it is
//! written or read.

mod checksum;
mod files;
mod index;
mod objects;
mod operations;
mod shapes;
mod uploads;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::crypto::{Checksum, Md5};
use s3s::dto::StreamingBlob;
use s3s::host::{S3Host, VirtualHost};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Result, s3_error};

use super::worker::Worker;
use super::{ACCESS_KEY, EmbeddedError, Now, SECRET_KEY, http as wire, is_full};
use checksum::base64;
use objects::{ObjectError, Objects};
use rekindle_store::STORAGE_FULL;
use uploads::Uploads;

pub(super) struct S3 {
    service: S3Service,
}

impl S3 {
    pub(super) fn in_memory(now: Now) -> Self {
        Self::new(Objects::in_memory(), Worker::Inline, now)
    }

    pub(super) fn open(dir: &Path, now: Now) -> Result<Self, EmbeddedError> {
        Ok(Self::new(Objects::open(dir)?, Worker::BlockingThread, now))
    }

    fn new(objects: Objects, worker: Worker, now: Now) -> Self {
        let mut config = S3Config::default();
        // The SDK may sign with the time of a test's clock, so no signature is too old.
        config.presigned_url_max_skew_time_secs = u32::MAX;
        let store = Store(Arc::new(Shared { objects, uploads: Uploads::default(), worker, now }));
        let mut builder = S3ServiceBuilder::new(store);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_host(AwsHost);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self { service: builder.build() }
    }

    pub(super) async fn answer(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<Response<SdkBody>, EmbeddedError> {
        // The signature covers the host header, which an HTTP library would add when it sends the request.
        if let Some(host) = request.uri().host().and_then(|host| HeaderValue::from_str(host).ok()) {
            request.headers_mut().insert(header::HOST, host);
        }
        let head = request.method() == Method::HEAD;
        let answer = self.service.call(request.map(Body::from)).await;
        let answer = answer.map_err(|error| EmbeddedError::Request(format!("S3 failed: {error:?}")))?;
        // `s3s` relies on the HTTP library to drop the body of an answer to HEAD.
        wire::into_sdk(if head { answer.map(|_| Body::empty()) } else { answer }).await
    }
}

/// Finds the bucket: in a host `<bucket>.s3.<region>.amazonaws.com`, else in the path.
struct AwsHost;

impl S3Host for AwsHost {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let bucket = host
            .strip_suffix(".amazonaws.com")
            .and_then(|rest| rest.rsplit_once(".s3"))
            .map(|(bucket, _region)| bucket);
        let virtual_host = VirtualHost::new(host);
        Ok(match bucket {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

struct Store(Arc<Shared>);

struct Shared {
    objects: Objects,
    uploads: Uploads,
    worker: Worker,
    now: Now,
}

impl Store {
    /// Runs `work` on a thread that may wait for the disk.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let shared = Arc::clone(&self.0);
        let run = self.0.worker.run(move || work(&shared)).await;
        run.map_err(|error| s3_error!(error, InternalError))?
    }
}

impl From<ObjectError> for S3Error {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::NoSuchBucket => s3_error!(error, NoSuchBucket),
            ObjectError::NoSuchKey => s3_error!(error, NoSuchKey),
            ObjectError::Precondition => s3_error!(error, PreconditionFailed),
            ObjectError::Io(why) if is_full(&why) => {
                tracing::error!(error.message = %why, "the disk is full");
                let mut error = S3Error::with_source(S3ErrorCode::Custom(STORAGE_FULL.into()), Box::new(why));
                error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
                error
            }
            ObjectError::Io(_) => {
                tracing::error!(error.message = %error, "the embedded S3 cannot use its files");
                s3_error!(error, InternalError)
            }
        }
    }
}

/// A body that has arrived whole, with the checksums that its sender gave.
struct Arrived {
    bytes: Bytes,
    headers: HeaderMap,
    trailers: Option<HeaderMap>,
}

/// A body whose checksums were verified.
struct Checked {
    bytes: Bytes,
    md5: [u8; 16],
    checksums: BTreeMap<String, String>,
}

impl Arrived {
    /// Reads the body, which the caller took out of the request, and takes the request's headers.
    async fn read<T: Send>(req: &mut S3Request<T>, body: Option<StreamingBlob>) -> S3Result<Self> {
        let bytes = match body {
            Some(body) => Body::from(body)
                .collect()
                .await
                .map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?
                .to_bytes(),
            None => Bytes::new(),
        };
        // The trailers arrive after the body, so they are read last.
        let trailers = req.trailing_headers.as_ref();
        Ok(Self {
            bytes,
            headers: std::mem::take(&mut req.headers),
            trailers: trailers.and_then(|trailers| trailers.take()),
        })
    }

    /// Verifies the checksums in headers and trailers. Takes a second for some hundred megabytes.
    fn check(self) -> S3Result<Checked> {
        let checksums = checksum::check(&self.bytes, &self.headers, self.trailers.as_ref())?;
        let md5 = Md5::checksum(&self.bytes);
        if let Some(said) = self.headers.get("content-md5")
            && said.as_bytes() != base64(&md5).as_bytes()
        {
            let found = base64(&md5);
            return Err(s3_error!(BadDigest, "Content-MD5 is {found}, not {said:?}"));
        }
        Ok(Checked { bytes: self.bytes, md5, checksums })
    }
}
