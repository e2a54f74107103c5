//! Between `s3s`'s types and ours.

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use s3s::dto::*;
use s3s::{Body, S3Result, s3_error};

use super::checksum;
use super::index::{About, Attributes};
use super::objects::Condition;

/// # Errors
/// `NotImplemented` for any other condition.
pub(super) fn condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::None),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Etag(etag.into_value())),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        _ => Err(s3_error!(NotImplemented, "a put takes If-Match or If-None-Match: *")),
    }
}

pub(super) fn attributes(
    content_type: Option<String>,
    content_encoding: Option<String>,
    storage_class: Option<StorageClass>,
    metadata: Option<Metadata>,
) -> Attributes {
    Attributes {
        content_type,
        // `aws-chunked` is an encoding of the transfer, not of the object.
        content_encoding: content_encoding.filter(|encoding| encoding != "aws-chunked"),
        storage_class: storage_class.map(|class| class.as_str().to_owned()),
        metadata: metadata.unwrap_or_default(),
    }
}

/// The object's checksums, if asked for.
pub(super) fn checksum_headers(about: &About, mode: Option<&ChecksumMode>) -> HeaderMap {
    match mode {
        Some(mode) if mode.as_str() == ChecksumMode::ENABLED => checksum::headers(&about.checksums),
        _ => HeaderMap::new(),
    }
}

pub(super) fn head(about: &About) -> HeadObjectOutput {
    let attributes = about.attributes.clone();
    HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(length(about.size)),
        e_tag: Some(ETag::Strong(about.etag.clone())),
        last_modified: Some(modified(about)),
        content_type: attributes.content_type,
        content_encoding: attributes.content_encoding,
        storage_class: attributes.storage_class.map(StorageClass::from),
        metadata: Some(attributes.metadata),
        ..Default::default()
    }
}

/// The answer to Get with these bytes; `range` is their place in the object, if a range was asked for.
pub(super) fn got(about: &About, bytes: Bytes, range: Option<Range<u64>>) -> GetObjectOutput {
    let head = head(about);
    let content_range = range.map(|range| {
        let last = range.end.saturating_sub(1);
        format!("bytes {}-{last}/{}", range.start, about.size)
    });
    GetObjectOutput {
        accept_ranges: head.accept_ranges,
        content_length: Some(length(bytes.len() as u64)),
        content_range,
        body: Some(StreamingBlob::from(Body::from(bytes))),
        e_tag: head.e_tag,
        last_modified: head.last_modified,
        content_type: head.content_type,
        content_encoding: head.content_encoding,
        storage_class: head.storage_class,
        metadata: head.metadata,
        ..Default::default()
    }
}

/// An object's entry in a listing.
pub(super) fn listed(about: &About) -> Object {
    let class = about.attributes.storage_class.as_deref().unwrap_or("STANDARD");
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

/// A size as the signed number that S3's API uses.
fn length(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
