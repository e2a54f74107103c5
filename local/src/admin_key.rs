//! The runner's admin key: given, or made on first start and kept with the data.

use rekindle_domain::{
    id::KeyId,
    key::Token,
    time::{Clock, Ids},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What an installed admin key is called.
pub const NAME: &str = "local runner";

/// A key with what the examples for newcomers show of it.
#[derive(Debug)]
pub struct AdminKey {
    /// The key.
    pub token: Token,
    /// What a shell makes the key of.
    pub in_shell: String,
    /// Where it is kept, if it was made just now.
    pub made: Option<PathBuf>,
}

impl AdminKey {
    /// One that somebody gave, or that is forgotten at the end.
    pub fn of(token: Token) -> Self {
        Self { in_shell: token.to_string(), token, made: None }
    }

    /// The one that is kept in `dir/admin-key`, where only its owner may read it; made if there is none.
    ///
    /// # Errors
    /// If what is kept there cannot be read, or is no key.
    pub fn kept(dir: &Path, clock: &dyn Clock, ids: &dyn Ids) -> io::Result<Self> {
        let file = dir.join("admin-key");
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let token = text.trim().parse().map_err(|why| {
                    io::Error::other(format!("{}: {why}; delete it, and another is made", file.display()))
                })?;
                // Shown once is enough: from now on the examples read it where it is kept, whatever directory one is in.
                let in_shell = format!("$(cat '{}')", std::path::absolute(&file)?.display());
                Ok(Self { token, in_shell, made: None })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token = new_token(clock, ids);
                keep(dir, &file, &token)?;
                Ok(Self { made: Some(file), ..Self::of(token) })
            }
            Err(error) => Err(error),
        }
    }
}

/// A token of a new key.
pub fn new_token(clock: &dyn Clock, ids: &dyn Ids) -> Token {
    Token::new(KeyId(ids.new_id(clock.now())), ids)
}

/// Whole or not at all.
fn keep(dir: &Path, file: &Path, token: &Token) -> io::Result<()> {
    let draft = dir.join("admin-key.new");
    // What a start that was killed left may have another mode.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
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
