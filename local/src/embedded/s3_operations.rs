//! The operations of S3, between `s3s`'s types and [`super::objects`].

use std::time::SystemTime;

use http::HeaderMap;
use s3s::dto::*;
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::checksum::{self, hex};
use super::index::{About, Attributes};
use super::objects::{Condition, ObjectError};
use super::s3::{Received, Store};
use super::uploads::Completion;

/// S3's largest page of a listing.
const MAX_KEYS: usize = 1000;

#[async_trait::async_trait]
impl s3s::S3 for Store {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = req.input.bucket;
        self.run(move |shared| Ok(shared.objects.create_bucket(&bucket)?))
            .await?;
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.objects.check_bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(
        &self,
        mut req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let blob = req.input.body.take();
        let Received {
            bytes,
            md5,
            checksums,
        } = Received::from(&req, blob).await?;
        let input = req.input;
        let condition = condition(input.if_match, input.if_none_match)?;
        let headers = checksum::headers(&checksums);
        let etag = hex(&md5);
        let about = About {
            bucket: input.bucket,
            key: input.key,
            size: bytes.len() as u64,
            etag: etag.clone(),
            modified: (self.0.now)(),
            checksums,
            attributes: attributes(
                input.content_type,
                input.content_encoding,
                input.storage_class,
                input.metadata,
            ),
            file: String::new(),
        };
        self.run(move |shared| {
            let staged = shared
                .objects
                .stage(vec![bytes])
                .map_err(ObjectError::from)?;
            Ok(shared.objects.put(about, staged, &condition)?)
        })
        .await?;
        let output = PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            ..Default::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let asked = input.range;
        let (about, bytes, range) = self
            .run(move |shared| {
                let pick = |size| match asked {
                    Some(range) => range.check(size).map_err(S3Error::from),
                    None => Ok(0..size),
                };
                shared.objects.read(&input.bucket, &input.key, pick)
            })
            .await?;
        // Checksums are of the whole object, so with a part of it they would not match.
        let whole = asked.is_none();
        let headers = checksum_headers(
            &about,
            if whole {
                input.checksum_mode.as_ref()
            } else {
                None
            },
        );
        let content_range = (!whole).then(|| {
            let last = range.end.saturating_sub(1);
            format!("bytes {}-{last}/{}", range.start, about.size)
        });
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(bytes.len() as u64)),
            content_range,
            body: Some(StreamingBlob::from(Body::from(bytes))),
            e_tag: Some(ETag::Strong(about.etag.clone())),
            last_modified: Some(modified(&about)),
            content_type: about.attributes.content_type.clone(),
            content_encoding: about.attributes.content_encoding.clone(),
            storage_class: about
                .attributes
                .storage_class
                .clone()
                .map(StorageClass::from),
            metadata: Some(about.attributes.metadata.clone()),
            ..Default::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let about = self.0.objects.head(&req.input.bucket, &req.input.key)?;
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(about.size)),
            e_tag: Some(ETag::Strong(about.etag.clone())),
            last_modified: Some(modified(&about)),
            content_type: about.attributes.content_type.clone(),
            content_encoding: about.attributes.content_encoding.clone(),
            storage_class: about
                .attributes
                .storage_class
                .clone()
                .map(StorageClass::from),
            metadata: Some(about.attributes.metadata.clone()),
            ..Default::default()
        };
        let headers = checksum_headers(&about, req.input.checksum_mode.as_ref());
        Ok(S3Response::with_headers(output, headers))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput { bucket, key, .. } = req.input;
        self.run(move |shared| Ok(shared.objects.delete(&bucket, &[key])?))
            .await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let keys: Vec<String> = delete
            .objects
            .into_iter()
            .map(|object| object.key)
            .collect();
        let deleted = keys.iter().cloned().map(|key| DeletedObject {
            key: Some(key),
            ..Default::default()
        });
        let deleted: Vec<_> = deleted.collect();
        self.run(move |shared| Ok(shared.objects.delete(&bucket, &keys)?))
            .await?;
        let quiet = delete.quiet.unwrap_or(false);
        let deleted = (!quiet).then_some(deleted);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted,
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        if input.delimiter.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "the embedded S3 lists without a delimiter only"
            ));
        }
        let limit = input
            .max_keys
            .map_or(MAX_KEYS, |n| usize::try_from(n).unwrap_or(0).min(MAX_KEYS));
        // The token of a page is its last key, which is what the next page starts after.
        let after = input
            .continuation_token
            .as_deref()
            .or(input.start_after.as_deref())
            .unwrap_or("");
        let prefix = input.prefix.as_deref().unwrap_or("");
        let mut found = self
            .0
            .objects
            .list(&input.bucket, prefix, after, limit + 1)?;
        let truncated = found.len() > limit;
        found.truncate(limit);
        let last = found
            .last()
            .filter(|_| truncated)
            .map(|about| about.key.clone());
        let output = ListObjectsV2Output {
            key_count: Some(i32::try_from(found.len()).unwrap_or(i32::MAX)),
            max_keys: Some(i32::try_from(limit).unwrap_or(i32::MAX)),
            is_truncated: Some(truncated),
            next_continuation_token: last,
            contents: Some(found.iter().map(|about| listed(about)).collect()),
            name: Some(input.bucket),
            prefix: input.prefix,
            continuation_token: input.continuation_token,
            start_after: input.start_after,
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = req.input;
        self.0.objects.check_bucket(&input.bucket)?;
        let attributes = attributes(
            input.content_type,
            input.content_encoding,
            input.storage_class,
            input.metadata,
        );
        let id = self
            .0
            .uploads
            .begin(input.bucket.clone(), input.key.clone(), attributes);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let blob = req.input.body.take();
        let Received {
            bytes,
            md5,
            checksums,
        } = Received::from(&req, blob).await?;
        self.0
            .uploads
            .add_part(&req.input.upload_id, req.input.part_number, bytes)?;
        let output = UploadPartOutput {
            e_tag: Some(ETag::Strong(hex(&md5))),
            ..Default::default()
        };
        Ok(S3Response::with_headers(
            output,
            checksum::headers(&checksums),
        ))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let parts = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let completion = Completion {
            upload: input.upload_id,
            parts: parts
                .into_iter()
                .map(|part| {
                    (
                        part.part_number.unwrap_or(0),
                        part.e_tag.map(ETag::into_value).unwrap_or_default(),
                    )
                })
                .collect(),
            crc64nvme: input.checksum_crc64nvme,
            condition: condition(input.if_match, input.if_none_match)?,
            now: (self.0.now)(),
        };
        let completed = self
            .run(move |shared| shared.uploads.complete(&shared.objects, &completion))
            .await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(completed.etag)),
            checksum_crc64nvme: Some(completed.crc64nvme),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.0.uploads.abort(&req.input.upload_id)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

fn condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::None),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Etag(etag.into_value())),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        _ => Err(s3_error!(
            NotImplemented,
            "a put takes If-Match or If-None-Match: *"
        )),
    }
}

fn attributes(
    content_type: Option<String>,
    content_encoding: Option<String>,
    storage_class: Option<StorageClass>,
    metadata: Option<Metadata>,
) -> Attributes {
    Attributes {
        content_type,
        // How the body travelled is not how it is stored.
        content_encoding: content_encoding.filter(|encoding| encoding != "aws-chunked"),
        storage_class: storage_class.map(|class| class.as_str().to_owned()),
        metadata: metadata.unwrap_or_default(),
    }
}

fn checksum_headers(about: &About, mode: Option<&ChecksumMode>) -> HeaderMap {
    match mode {
        Some(mode) if mode.as_str() == ChecksumMode::ENABLED => checksum::headers(&about.checksums),
        _ => HeaderMap::new(),
    }
}

fn listed(about: &About) -> Object {
    let class = about
        .attributes
        .storage_class
        .as_deref()
        .unwrap_or("STANDARD");
    Object {
        key: Some(about.key.clone()),
        size: Some(length(about.size)),
        e_tag: Some(ETag::Strong(about.etag.clone())),
        last_modified: Some(modified(about)),
        storage_class: Some(ObjectStorageClass::from(class.to_owned())),
        ..Default::default()
    }
}

fn modified(about: &About) -> Timestamp {
    Timestamp::from(SystemTime::from(about.modified))
}

/// S3 counts bytes in signed numbers.
fn length(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
