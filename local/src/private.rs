//! Folders and files that only their owner may read: the data names people.

use std::{
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

/// Makes the data folder and its parents, as far as they are not there. One that others may read is closed to them, if it has
/// nothing but the data, whose database is the file `database`. One that cannot be closed is named in the log.
pub(crate) fn open_dir(path: &Path, database: &str) -> io::Result<()> {
    create_dir_all(path)?;
    let is_open = |path: &Path| Ok::<_, io::Error>(fs::metadata(path)?.permissions().mode() & 0o077 != 0);
    if !is_open(path)? {
        return Ok(());
    }
    let is_ours = path.join(database).exists() || fs::read_dir(path)?.next().is_none();
    let is_closed =
        is_ours && fs::set_permissions(path, Permissions::from_mode(0o700)).is_ok() && !is_open(path)?;
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
