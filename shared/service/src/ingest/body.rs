//! The body of an ingest request: its compression, its layout, and the bounds of its size.

use crate::problem::{Problem, ProblemKind};
use flate2::read::MultiGzDecoder;
use std::{borrow::Cow, io::Read};

/// The most bytes a request may have as sent.
pub const MAX_ENCODED: usize = 4 << 20;

/// The most bytes a request may have after decompression.
const MAX_DECODED: usize = 32 << 20;

/// How a body is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// How a body is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// One JSON document.
    Json,
    /// A JSON document a line.
    NdJson,
}

pub(super) fn too_large(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::PayloadTooLarge, "batch_too_large", detail)
}

/// Undoes the compression, within bounds.
pub(super) fn decompress(body: &[u8], encoding: Encoding) -> Result<Cow<'_, [u8]>, Problem> {
    if body.len() > MAX_ENCODED {
        return Err(too_large(format!("a request has at most {MAX_ENCODED} bytes as sent; send several")));
    }
    let read = |reader: &mut dyn Read, name: &str| {
        let mut out = Vec::new();
        reader.take(MAX_DECODED as u64 + 1).read_to_end(&mut out).map_err(|e| {
            Problem::bad_request("invalid_encoding", format!("the body is not valid {name}: {e}"))
        })?;
        if out.len() > MAX_DECODED {
            return Err(too_large(format!(
                "a request has at most {MAX_DECODED} bytes decompressed; send several"
            )));
        }
        Ok(Cow::Owned(out))
    };
    match encoding {
        Encoding::Identity => Ok(Cow::Borrowed(body)),
        Encoding::Gzip => read(&mut MultiGzDecoder::new(body), "gzip"),
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(body);
            let mut decoder = decoder.map_err(|e| Problem::bad_request("invalid_encoding", e.to_string()))?;
            // 8 MiB is what the zstd specification asks decoders to support, so senders keep within it.
            decoder
                .window_log_max(23)
                .map_err(|e| Problem::bad_request("invalid_encoding", e.to_string()))?;
            read(&mut decoder, "zstd")
        }
    }
}
