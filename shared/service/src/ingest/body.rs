//! The body of an ingest request: its compression, its layout, and the bounds of its size.

use crate::problem::{Problem, ProblemKind};
use flate2::read::MultiGzDecoder;
use std::{borrow::Cow, io::Read};

/// The most bytes of a request as it is sent.
pub const MAX_ENCODED: usize = 4 << 20;

/// The most bytes of a request after decompression.
const MAX_DECODED: usize = 32 << 20;

/// The compression of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// No compression.
    Identity,
    /// gzip, of one or several members.
    Gzip,
    /// Zstandard, with a window of at most 8 MiB.
    Zstd,
}

/// The layout of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// One JSON document.
    Json,
    /// A JSON document on each line.
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
        // One byte more than allowed shows that the body is too large, without decompressing the rest.
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
            // The zstd specification asks decoders to support windows of 8 MiB, so that senders keep within them.
            decoder
                .window_log_max(23)
                .map_err(|e| Problem::bad_request("invalid_encoding", e.to_string()))?;
            read(&mut decoder, "zstd")
        }
    }
}
