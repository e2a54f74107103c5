//! The archive bucket: cold copies, an object a part.
//!
//! Objects are written once under a name that is never used again, with a CRC64-NVME checksum that S3 verifies.
//!
//! Every call may answer [`StoreError::Unavailable`] or [`StoreError::Refused`].

use crate::{
    boxed,
    error::{StoreError, failed},
};
use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumMode, Delete, ObjectIdentifier},
};
use bytes::Bytes;
use rekindle_domain::id::{CopyId, LedgerId};

/// The archive bucket.
#[derive(Clone, Debug)]
pub struct Archive {
    client: Client,
    bucket: String,
}

/// Names one part of a cold copy: `archive/LEDGER/COPY/SLOT/ATTEMPT.parquet`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveKey {
    /// The ledger that the rows belong to.
    pub ledger: LedgerId,
    /// The copy.
    pub copy: CopyId,
    /// The slot.
    pub slot: u32,
    /// The attempt at writing the slot.
    pub attempt: u32,
}

impl std::fmt::Display for ArchiveKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:05}/{:05}.parquet", prefix(&self.ledger, self.copy), self.slot, self.attempt)
    }
}

fn prefix(ledger: &LedgerId, copy: CopyId) -> String {
    format!("archive/{ledger}/{copy}/")
}

impl Archive {
    pub(crate) fn new(client: Client, bucket: &str) -> Self {
        Self { client, bucket: bucket.to_owned() }
    }

    /// Writes a part.
    #[boxed]
    pub async fn put(&self, key: &ArchiveKey, bytes: Vec<u8>) -> Result<(), StoreError> {
        let put = self.client.put_object().bucket(&self.bucket).key(key.to_string());
        put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .content_type("application/vnd.apache.parquet")
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(failed("PutObject"))?;
        Ok(())
    }

    /// Reads a whole part; parts are small.
    ///
    /// # Errors
    /// Also [`StoreError::Damaged`], where the part is missing or its checksum does not match.
    #[boxed]
    pub async fn get(&self, key: &ArchiveKey) -> Result<Bytes, StoreError> {
        let get = self.client.get_object().bucket(&self.bucket).key(key.to_string());
        let answer = get.checksum_mode(ChecksumMode::Enabled).send().await.map_err(|e| {
            if e.as_service_error().is_some_and(|e| e.is_no_such_key()) {
                return StoreError::missing(format!("archive part {key}"));
            }
            failed("GetObject")(e)
        })?;
        match answer.body.collect().await {
            Ok(body) => Ok(body.into_bytes()),
            Err(e) if format!("{e:?}").contains("ChecksumMismatch") => {
                Err(StoreError::damaged(format!("archive part {key}"), "its checksum does not match"))
            }
            Err(e) => Err(StoreError::Unavailable { call: "GetObject", reason: e.to_string() }),
        }
    }

    /// Deletes every object of a copy; after an error some may be left.
    #[boxed]
    pub async fn delete_copy(&self, ledger: &LedgerId, copy: CopyId) -> Result<(), StoreError> {
        loop {
            let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix(ledger, copy));
            let page = list.send().await.map_err(failed("ListObjectsV2"))?;
            let objects: Vec<ObjectIdentifier> = page
                .contents()
                .iter()
                .filter_map(|o| ObjectIdentifier::builder().key(o.key()?).build().ok())
                .collect();
            if objects.is_empty() {
                return Ok(());
            }
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
            let delete = delete.map_err(crate::dynamo::unbuildable)?;
            let request = self.client.delete_objects().bucket(&self.bucket).delete(delete);
            let answer = request.send().await.map_err(failed("DeleteObjects"))?;
            if let Some(error) = answer.errors().first() {
                let reason = error.message().unwrap_or("some objects were not deleted").to_owned();
                return Err(StoreError::Unavailable { call: "DeleteObjects", reason });
            }
        }
    }
}
