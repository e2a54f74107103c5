//! Folders and files that only their owner may read: the data names people.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Makes a folder, if it is not there. Its parent must exist.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Makes a folder and its parents, as far as they are not there.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether the runner makes a file or a folder of this name in its data folder.
fn is_ours(name: &OsStr) -> bool {
    let ours = ["admin-key", "admin-key.new", "clock", "clock.new", "lock", "outbox.jsonl", "s3"];
    name.to_str().is_some_and(|name| ours.contains(&name) || name.starts_with("dynamodb."))
}

/// Makes the data folder and its parents, as far as they are not there. One that others may read is closed to them, if it has
/// nothing but the data. One that stays open is named in the log.
pub(crate) fn open_dir(path: &Path) -> io::Result<()> {
    create_dir_all(path)?;
    let is_open = |path: &Path| Ok::<_, io::Error>(fs::metadata(path)?.permissions().mode() & 0o077 != 0);
    if !is_open(path)? {
        return Ok(());
    }
    let mut has_other = false;
    for entry in fs::read_dir(path)? {
        has_other |= !is_ours(&entry?.file_name());
    }
    let is_closed =
        !has_other && fs::set_permissions(path, Permissions::from_mode(0o700)).is_ok() && !is_open(path)?;
    if is_closed {
        tracing::warn!(folder.path = %path.display(), "others could read the data folder; now only its owner can");
    } else {
        tracing::warn!(folder.path = %path.display(), "others may read the data folder");
    }
    Ok(())
}

/// Whether others than its owner may read a file.
pub(crate) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o044 != 0)
}

/// Options for a file; if they make one, only its owner may read it.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes a file, or empties the one that is there.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    options().write(true).create(true).truncate(true).open(path)
}
