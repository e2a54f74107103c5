//! The operations of S3.

use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::checksum::{self, hex};
use super::index::About;
use super::objects::ObjectError;
use super::shapes::{attributes, checksum_headers, condition, got, head, listed};
use super::uploads::Completion;
use super::{Arrived, Store};

/// S3's largest page of a listing.
const MAX_KEYS: usize = 1000;

#[async_trait::async_trait]
impl S3 for Store {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = req.input.bucket;
        self.run(move |shared| Ok(shared.objects.create_bucket(&bucket)?)).await?;
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket = req.input.bucket;
        self.run(move |shared| Ok(shared.objects.check_bucket(&bucket)?)).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let body = req.input.body.take();
        let arrived = Arrived::read(&mut req, body).await?;
        let input = req.input;
        let condition = condition(input.if_match, input.if_none_match)?;
        let attributes =
            attributes(input.content_type, input.content_encoding, input.storage_class, input.metadata);
        let put = self.run(move |shared| {
            let checked = arrived.check()?;
            let about = About {
                bucket: input.bucket,
                key: input.key,
                size: checked.bytes.len() as u64,
                etag: hex(&checked.md5),
                modified: (shared.now)(),
                checksums: checked.checksums,
                attributes,
                file: String::new(),
            };
            let said = (about.etag.clone(), checksum::headers(&about.checksums));
            let staged = shared.objects.stage(vec![checked.bytes]).map_err(ObjectError::from)?;
            shared.objects.put(about, staged, &condition)?;
            Ok(said)
        });
        let (etag, headers) = put.await?;
        let output = PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() };
        Ok(S3Response::with_headers(output, headers))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range: asked, checksum_mode, .. } = req.input;
        let read = self.run(move |shared| {
            let pick = |size| match asked {
                Some(range) => range.check(size).map_err(S3Error::from),
                None => Ok(0..size),
            };
            shared.objects.read(&bucket, &key, pick)
        });
        let (about, bytes, range) = read.await?;
        // The checksums are of the whole object and would not match a range of it.
        let mode = checksum_mode.filter(|_| asked.is_none());
        let headers = checksum_headers(&about, mode.as_ref());
        let output = got(&about, bytes, asked.map(|_| range));
        Ok(S3Response::with_headers(output, headers))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let HeadObjectInput { bucket, key, checksum_mode, .. } = req.input;
        let about = self.run(move |shared| Ok(shared.objects.head(&bucket, &key)?)).await?;
        let headers = checksum_headers(&about, checksum_mode.as_ref());
        Ok(S3Response::with_headers(head(&about), headers))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput { bucket, key, .. } = req.input;
        self.run(move |shared| Ok(shared.objects.delete(&bucket, &[key])?)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let keys: Vec<String> = delete.objects.into_iter().map(|object| object.key).collect();
        let deleted =
            keys.iter().map(|key| DeletedObject { key: Some(key.clone()), ..Default::default() }).collect();
        self.run(move |shared| Ok(shared.objects.delete(&bucket, &keys)?)).await?;
        let quiet = delete.quiet.unwrap_or(false);
        let deleted = if quiet { None } else { Some(deleted) };
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented, "the embedded S3 lists without a delimiter only"));
        }
        let limit = input.max_keys.map_or(MAX_KEYS, |n| usize::try_from(n).unwrap_or(0).min(MAX_KEYS));
        let bucket = input.bucket.clone();
        let prefix = input.prefix.clone().unwrap_or_default();
        // The token of a page is its last key; the next page starts after it.
        let after =
            input.continuation_token.clone().or_else(|| input.start_after.clone()).unwrap_or_default();
        let list = self.run(move |shared| Ok(shared.objects.list(&bucket, &prefix, &after, limit + 1)?));
        let mut found = list.await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|about| about.key.clone());
        let output = ListObjectsV2Output {
            key_count: i32::try_from(found.len()).ok(),
            max_keys: i32::try_from(limit).ok(),
            is_truncated: Some(next.is_some()),
            next_continuation_token: next,
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
        let attributes =
            attributes(input.content_type, input.content_encoding, input.storage_class, input.metadata);
        let mut output = CreateMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            ..Default::default()
        };
        let begin = self.run(move |shared| {
            shared.objects.check_bucket(&input.bucket)?;
            Ok(shared.uploads.begin(input.bucket, input.key, attributes))
        });
        output.upload_id = Some(begin.await?);
        Ok(S3Response::new(output))
    }

    async fn upload_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let body = req.input.body.take();
        let arrived = Arrived::read(&mut req, body).await?;
        let UploadPartInput { upload_id, part_number, .. } = req.input;
        let add = self.run(move |shared| {
            let checked = arrived.check()?;
            shared.uploads.add_part(&upload_id, part_number, checked.bytes)?;
            Ok((hex(&checked.md5), checksum::headers(&checked.checksums)))
        });
        let (etag, headers) = add.await?;
        let output = UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() };
        Ok(S3Response::with_headers(output, headers))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let completion = Completion {
            upload: input.upload_id,
            parts: parts
                .into_iter()
                .map(|part| {
                    let etag = part.e_tag.map(ETag::into_value);
                    (part.part_number.unwrap_or(0), etag.unwrap_or_default())
                })
                .collect(),
            crc64nvme: input.checksum_crc64nvme,
            condition: condition(input.if_match, input.if_none_match)?,
            now: (self.0.now)(),
        };
        let complete = self.run(move |shared| shared.uploads.complete(&shared.objects, &completion));
        let completed = complete.await?;
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
        let id = req.input.upload_id;
        self.run(move |shared| shared.uploads.abort(&id)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
