//! The checksums that a caller sends with an upload, and that S3 checks, keeps and returns.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::crypto::{Checksum, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::{S3Result, s3_error};

/// S3's names of the algorithms: the endings of the header name `x-amz-checksum-…`.
const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// Checks the checksums that the caller sent, in headers or in trailers, and returns them by algorithm. The result always
/// has a CRC-64/NVME, because S3 keeps one of every object.
///
/// # Errors
/// `BadDigest`, with the checksum that was sent and the one that was computed.
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

/// The headers that carry the checksums.
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
    // The names are constants. A name that an index edited by hand made invalid costs that one header.
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
