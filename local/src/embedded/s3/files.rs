//! Paths, directories and reads for the object store.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use crate::embedded::journal::sync_parent;
use crate::private;

/// The longest path segment that is taken from a key, in bytes. File systems refuse more than 255.
const MAX_SEGMENT: usize = 200;

/// `<bucket>/<key>` if every segment is a valid file name on every system.
pub(super) fn plain_path(bucket: &str, key: &str) -> Option<String> {
    let decent = |segment: &str| {
        !segment.is_empty()
            && segment.len() <= MAX_SEGMENT
            && !segment.starts_with('.')
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:=-".contains(&b))
    };
    key.split('/').all(decent).then(|| format!("{bucket}/{key}"))
}

/// Creates a directory and its parents as `create_dir_all` does, and syncs every new name.
pub(super) fn create_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dirs(parent)?;
    }
    match private::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(path),
    }
}

pub(super) fn read_range(mut file: File, range: &Range<u64>) -> io::Result<Bytes> {
    let len = range.end.saturating_sub(range.start);
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    file.seek(SeekFrom::Start(range.start))?;
    file.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == len {
        Ok(bytes.into())
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "an object's file became shorter while it was read"))
    }
}
