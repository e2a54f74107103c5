//! A file of JSON lines that grows by synced appends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EmbeddedError;
use crate::private;

/// A file of JSON lines. Once [`Journal::append`] has returned, its lines survive a crash of the process or the machine.
/// A line that a crash tore is cut off when the file is opened again.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines: where the next line goes, and where a failed append is cut back to.
    len: u64,
}

impl Journal {
    /// Opens or creates the file and reads its lines, oldest first.
    ///
    /// # Errors
    /// [`EmbeddedError::Damaged`] when a whole line is not a `T`. Only a last line without its newline is
    /// taken for torn.
    pub(super) fn open<T: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<T>), EmbeddedError> {
        let existed = path.exists();
        let mut file = private::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(EmbeddedError::io("open", path))?;
        if !existed {
            sync_parent(path).map_err(EmbeddedError::io("create", path))?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(EmbeddedError::io("read", path))?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        if whole < bytes.len() {
            tracing::warn!(file.path = %path.display(), file.cut_bytes = bytes.len() - whole, "cutting a line that a crash tore");
        }
        let mut lines = Vec::new();
        let split = bytes[..whole].split_inclusive(|b| *b == b'\n');
        for (i, line) in split.enumerate() {
            let line = serde_json::from_slice(line).map_err(|source| EmbeddedError::Damaged {
                path: path.to_owned(),
                line: i + 1,
                source,
            })?;
            lines.push(line);
        }
        let mut journal = Self { path: path.to_owned(), file, len: whole as u64 };
        journal.cut().map_err(EmbeddedError::io("cut", path))?;
        Ok((journal, lines))
    }

    /// Adds the lines, all in one write and one sync. When it fails, none of them is there.
    pub(super) fn append<T: Serialize>(&mut self, lines: &[T]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // A full disk may have taken half a line. The next append must not continue it.
            self.cut()?;
            return Err(error);
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Replaces everything by `lines`: writes and syncs a new file next to the old one, then renames it over the old one.
    pub(super) fn rewrite<T: Serialize>(&mut self, lines: &[T]) -> io::Result<()> {
        let path = self.path.with_extension("new");
        let mut new = Self { file: private::create(&path)?, path, len: 0 };
        new.append(lines)?;
        std::fs::rename(&new.path, &self.path)?;
        sync_parent(&self.path)?;
        self.file = new.file;
        self.len = new.len;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.seek(SeekFrom::Start(self.len))?;
        Ok(())
    }
}

/// Makes the file's name durable by syncing its directory; syncing the file makes only its content durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_and_the_next_append_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j.jsonl");
        std::fs::write(&path, "1\n2\n{\"to").unwrap();
        let (mut journal, lines) = Journal::open::<u32>(&path).unwrap();
        assert_eq!(lines, [1, 2]);
        journal.append(&[3, 4]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n3\n4\n");
    }

    #[test]
    fn a_damaged_whole_line_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j.jsonl");
        std::fs::write(&path, "1\noops\n3\n").unwrap();
        let error = Journal::open::<u32>(&path).unwrap_err();
        assert!(error.to_string().starts_with("line 2 of "), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\noops\n3\n");
    }

    #[test]
    fn a_rewritten_journal_goes_on_growing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j.jsonl");
        let (mut journal, _) = Journal::open::<u32>(&path).unwrap();
        journal.append(&[1, 2, 3]).unwrap();
        journal.rewrite(&[3]).unwrap();
        journal.append(&[4]).unwrap();
        drop(journal);
        let (_, lines) = Journal::open::<u32>(&path).unwrap();
        assert_eq!(lines, [3, 4]);
    }
}
