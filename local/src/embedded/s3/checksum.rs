//! The checksums that S3 takes with an upload and gives back.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::crypto::{Checksum, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::{S3Result, s3_error};

/// S3's names of the algorithms, as they end the header `x-amz-checksum-…`.
const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// Checks what the caller says about the bytes, in headers or in trailers, and returns it by algorithm, with the
/// CRC-64/NVME in any case: S3 keeps one of every object too.
///
/// # Errors
/// `BadDigest`, naming what was said and what is so.
pub(super) fn check(
    bytes: &[u8],
    headers: &HeaderMap,
    trailers: Option<&HeaderMap>,
) -> S3Result<BTreeMap<String, String>> {
    let mut checked = BTreeMap::new();
    for algorithm in ALGORITHMS {
        let name = header_name(algorithm);
        let said = trailers.and_then(|trailers| trailers.get(&name)).or_else(|| headers.get(&name));
        if said.is_none() && algorithm != "crc64nvme" {
            continue;
        }
        let found = compute(algorithm, bytes);
        if let Some(said) = said
            && said.as_bytes() != found.as_bytes()
        {
            return Err(s3_error!(BadDigest, "{algorithm} is {found}, not {said:?} as the request says"));
        }
        checked.insert(algorithm.to_owned(), found);
    }
    Ok(checked)
}

/// The headers that say the checksums.
pub(super) fn headers(checksums: &BTreeMap<String, String>) -> HeaderMap {
    checksums
        .iter()
        .filter_map(|(algorithm, value)| Some((header_name(algorithm), HeaderValue::from_str(value).ok()?)))
        .collect()
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header_name(algorithm: &str) -> HeaderName {
    // The names are constants; an index damaged by hand at most loses a header.
    HeaderName::try_from(format!("x-amz-checksum-{algorithm}"))
        .unwrap_or(HeaderName::from_static("x-amz-checksum-unknown"))
}

fn compute(algorithm: &str, bytes: &[u8]) -> String {
    match algorithm {
        "crc32" => base64(&Crc32::checksum(bytes)),
        "crc32c" => base64(&Crc32c::checksum(bytes)),
        "sha1" => base64(&Sha1::checksum(bytes)),
        "sha256" => base64(&Sha256::checksum(bytes)),
        _ => base64(&Crc64Nvme::checksum(bytes)),
    }
}
