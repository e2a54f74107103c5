//! The runner's admin key: given, or made on first start and kept with the data.

use crate::private;
use rekindle_domain::{
    id::KeyId,
    key::Token,
    time::{Clock, Ids},
};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The name under which an admin key is stored.
pub const NAME: &str = "local runner";

/// An admin key, and the way the printed examples write it.
#[derive(Debug)]
pub struct AdminKey {
    /// The key.
    pub token: Token,
    /// The text that a shell expands to the key: the key itself, or a command that reads its file.
    pub in_shell: String,
    /// The file that keeps the key, if the key was made just now.
    pub made: Option<PathBuf>,
}

impl AdminKey {
    /// A key that was given on the command line, or one that lasts as long as the process.
    pub fn of(token: Token) -> Self {
        Self { in_shell: token.to_string(), token, made: None }
    }

    /// Reads the key in `dir/admin-key`, a file that only its owner may read. Makes the key if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds no key.
    pub fn kept(dir: &Path, clock: &dyn Clock, ids: &dyn Ids) -> io::Result<Self> {
        let file = dir.join("admin-key");
        if !file.try_exists()? {
            let token = new_token(clock, ids);
            keep(dir, &file, &token)?;
            return Ok(Self { made: Some(file), ..Self::of(token) });
        }
        Self::read(&file)
            .map_err(|error| io::Error::other(format!("{error}; delete it, and another is made")))
    }

    /// Reads the key in a file.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no key; with the file's name.
    pub fn read(file: &Path) -> io::Result<Self> {
        let failed = |why: String| io::Error::other(format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        if private::is_open_to_others(file)? {
            tracing::warn!(file.path = %file.display(), "others than its owner may read the file of the admin key");
        }
        let token = text.trim().parse().map_err(|why| failed(format!("{why}")))?;
        // The key is shown once at most, when it is made. The examples read its file, by an absolute path, so that they work
        // in any directory.
        let in_shell = format!("$(cat '{}')", std::path::absolute(file)?.display());
        Ok(Self { token, in_shell, made: None })
    }
}

/// Makes the token of a new key.
pub fn new_token(clock: &dyn Clock, ids: &dyn Ids) -> Token {
    Token::new(KeyId(ids.new_id(clock.now())), ids)
}

/// Writes the key's file, whole or not at all.
fn keep(dir: &Path, file: &Path, token: &Token) -> io::Result<()> {
    let draft = dir.join("admin-key.new");
    // A start that was killed may have left a draft with another mode.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = private::options().write(true).create_new(true).open(&draft)?;
    writeln!(out, "{token}")?;
    out.sync_all()?;
    std::fs::rename(&draft, file)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rekindle_runtime::ports::{RandomIds, SystemClock};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = AdminKey::kept(dir.path(), &SystemClock, &RandomIds).unwrap();
        let file = first.made.unwrap();
        assert_eq!(first.in_shell, first.token.to_string());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = AdminKey::kept(dir.path(), &SystemClock, &RandomIds).unwrap();
        assert_eq!((again.token == first.token, again.made), (true, None));
        assert!(!again.in_shell.contains("rk_"), "it is shown once");
        std::fs::write(&file, "rk_").unwrap();
        let error = AdminKey::kept(dir.path(), &SystemClock, &RandomIds).unwrap_err().to_string();
        assert!(error.contains("admin-key: a key is written rk_ID_SECRET"), "{error}");
    }
}
