//! The bytes behind S3: buckets of objects, in memory or in a directory.
//!
//! In a directory, an object is a plain file (`objects/<bucket>/<key>` whenever the key makes a decent path, so that
//! DuckDB or pandas read the archive where it lies) and a line in `index.jsonl`, which holds everything else about
//! it. The line is the commit point. To put, the bytes are written under a temporary name and synced, renamed to a
//! path that no indexed object uses, and then the line is appended and synced. A crash before the line leaves a file
//! that nothing refers to, which the next put of its key replaces; a crash after it leaves the object. An overwritten
//! or deleted object's file goes last. So a put is there whole or not at all, also when it overwrites.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tempfile::NamedTempFile;

use super::files::{create_dirs, plain_path, read_range};
use super::index::{About, Change, Index, Object};
use crate::embedded::EmbeddedError;
use crate::embedded::journal::sync_parent;
use crate::private;

/// Bytes that are not an object yet. Dropping this discards them.
#[derive(Debug)]
pub(super) enum Staged {
    Memory(Bytes),
    File(NamedTempFile),
}

/// The condition that must hold when a put commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    Absent,
    Present,
    Etag(String),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ObjectError {
    #[error("there is no such bucket")]
    NoSuchBucket,
    #[error("there is no such object")]
    NoSuchKey,
    #[error("the condition does not hold")]
    Precondition,
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug)]
pub(super) struct Objects {
    root: Option<PathBuf>,
    index: Mutex<Index>,
}

impl Objects {
    pub(super) fn in_memory() -> Self {
        Self { root: None, index: Mutex::default() }
    }

    pub(super) fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        let temporary = dir.join("tmp");
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(EmbeddedError::io("empty", &temporary))?;
        }
        private::create_dir_all(&temporary).map_err(EmbeddedError::io("create", &temporary))?;
        let index = Mutex::new(Index::open(&dir.join("index.jsonl"))?);
        Ok(Self { root: Some(dir.to_owned()), index })
    }

    /// Creates the bucket unless it is there.
    pub(super) fn create_bucket(&self, bucket: &str) -> Result<(), ObjectError> {
        let mut index = self.lock();
        if !index.buckets.contains_key(bucket) {
            index.commit(Change::Bucket(bucket.to_owned()), Bytes::new())?;
        }
        Ok(())
    }

    /// # Errors
    /// [`ObjectError::NoSuchBucket`].
    pub(super) fn check_bucket(&self, bucket: &str) -> Result<(), ObjectError> {
        let index = self.lock();
        index.buckets.get(bucket).map(drop).ok_or(ObjectError::NoSuchBucket)
    }

    /// Stages bytes for a later [`Self::put`]. The content is the `parts` in order.
    pub(super) fn stage(&self, parts: Vec<Bytes>) -> io::Result<Staged> {
        let Some(root) = &self.root else {
            return Ok(Staged::Memory(match <[Bytes; 1]>::try_from(parts) {
                Ok([whole]) => whole,
                Err(parts) => parts.concat().into(),
            }));
        };
        let mut file = NamedTempFile::new_in(root.join("tmp"))?;
        for part in parts {
            file.write_all(&part)?;
        }
        file.as_file().sync_all()?;
        Ok(Staged::File(file))
    }

    /// Makes staged bytes an object; it replaces an older one of the same key. Fills in `about.file`.
    pub(super) fn put(
        &self,
        mut about: About,
        staged: Staged,
        condition: &Condition,
    ) -> Result<(), ObjectError> {
        let mut index = self.lock();
        let objects = index.buckets.get(&about.bucket).ok_or(ObjectError::NoSuchBucket)?;
        let old = objects.get(&about.key).map(|object| Arc::clone(&object.about));
        match (condition, &old) {
            (Condition::None, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => {}
            (Condition::Etag(etag), Some(old)) if old.etag == *etag => {}
            (Condition::Etag(_), None) => return Err(ObjectError::NoSuchKey),
            _ => return Err(ObjectError::Precondition),
        }
        let memory = match staged {
            Staged::Memory(bytes) => bytes,
            Staged::File(file) => {
                about.file = self.place(&index, &about, file)?;
                Bytes::new()
            }
        };
        index.commit(Change::Put(Box::new(about)), memory)?;
        if let Some(old) = old {
            self.remove_file(&old);
        }
        Ok(())
    }

    /// Renames the file to an unused path below `objects/`, and returns the path.
    fn place(&self, index: &Index, about: &About, mut file: NamedTempFile) -> io::Result<String> {
        let plain = plain_path(&about.bucket, &about.key).filter(|path| !index.uses(path));
        if let Some(plain) = plain {
            match self.rename(file, &plain) {
                Ok(()) => return Ok(plain),
                // An object `a` may stand in the way of `a/b`.
                Err((_, back)) => file = back,
            }
        }
        let other = format!("{}/.other/{}", about.bucket, ulid::Ulid::generate());
        self.rename(file, &other).map_err(|(error, _)| error)?;
        Ok(other)
    }

    fn rename(&self, file: NamedTempFile, to: &str) -> Result<(), (io::Error, NamedTempFile)> {
        let path = self.path(to);
        if let Some(parent) = path.parent()
            && let Err(error) = create_dirs(parent)
        {
            return Err((error, file));
        }
        if let Err(failed) = file.persist(&path) {
            return Err((failed.error, failed.file));
        }
        // The object's line in the index must not be more durable than its file's name.
        if let Err(error) = sync_parent(&path) {
            tracing::warn!(error.message = %error, file.path = %path.display(), "a directory could not be synced");
        }
        Ok(())
    }

    /// The record of an object.
    pub(super) fn head(&self, bucket: &str, key: &str) -> Result<Arc<About>, ObjectError> {
        find(&self.lock(), bucket, key).map(|object| Arc::clone(&object.about))
    }

    /// The bytes that `range` picks, given the object's size. Concurrent writes are seen whole or not at all.
    pub(super) fn read<E: From<ObjectError>>(
        &self,
        bucket: &str,
        key: &str,
        range: impl FnOnce(u64) -> Result<Range<u64>, E>,
    ) -> Result<(Arc<About>, Bytes, Range<u64>), E> {
        let index = self.lock();
        let object = find(&index, bucket, key)?;
        let about = Arc::clone(&object.about);
        if self.root.is_none() {
            let range = range(about.size)?;
            let (start, end) = (range.start as usize, range.end as usize);
            let bytes = object.memory.slice(start..end);
            return Ok((about, bytes, range));
        }
        // The file is opened under the lock. Once open it stays readable, even if a later put removes its name.
        let file = self.open_file(&about)?;
        drop(index);
        // The size is the file's own: one that was cut short is read as it is, so that its checksum does not match, and a
        // damaged index cannot ask for more memory than the disk holds.
        let size = file.metadata().map_err(ObjectError::Io)?.len();
        let range = range(size)?;
        let bytes = read_range(file, &range).map_err(ObjectError::Io)?;
        Ok((about, bytes, range))
    }

    /// Opens the file of an object.
    ///
    /// # Errors
    /// [`ObjectError::NoSuchKey`] if the file is gone: asking again brings nothing back.
    fn open_file(&self, about: &About) -> Result<File, ObjectError> {
        let path = self.path(&about.file);
        File::open(&path).map_err(|error| {
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                return ObjectError::Io(error);
            }
            tracing::error!(file.path = %path.display(), "the file of an object is missing");
            ObjectError::NoSuchKey
        })
    }

    /// Removes the objects, all or none. Keys without an object are ignored.
    pub(super) fn delete(&self, bucket: &str, keys: &[String]) -> Result<(), ObjectError> {
        let mut index = self.lock();
        let objects = index.buckets.get(bucket).ok_or(ObjectError::NoSuchBucket)?;
        let gone: Vec<Arc<About>> =
            keys.iter().filter_map(|key| objects.get(key)).map(|object| Arc::clone(&object.about)).collect();
        let changes =
            gone.iter().map(|about| Change::Delete { bucket: about.bucket.clone(), key: about.key.clone() });
        index.commit_deletions(changes.collect())?;
        for about in gone {
            self.remove_file(&about);
        }
        Ok(())
    }

    /// At most `limit` objects whose keys have the prefix and are greater than `after`, in the order of keys.
    pub(super) fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Arc<About>>, ObjectError> {
        let index = self.lock();
        let objects = index.buckets.get(bucket).ok_or(ObjectError::NoSuchBucket)?;
        Ok(objects
            .range::<str, _>((Bound::Included(prefix.max(after)), Bound::Unbounded))
            .filter(|(key, _)| after.is_empty() || key.as_str() > after)
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(_, object)| Arc::clone(&object.about))
            .collect())
    }

    /// Removes a file that nothing refers to any more. A file that cannot be removed only costs its space.
    fn remove_file(&self, about: &About) {
        if self.root.is_none() {
            return;
        }
        let path = self.path(&about.file);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(error.message = %error, file.path = %path.display(), "the file of a deleted object stays behind");
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        let root = self.root.as_deref().unwrap_or(Path::new(""));
        root.join("objects").join(file)
    }

    /// Takes the lock even when a panic poisoned it: no change of the index panics halfway.
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<'a>(index: &'a Index, bucket: &str, key: &str) -> Result<&'a Object, ObjectError> {
    let objects = index.buckets.get(bucket).ok_or(ObjectError::NoSuchBucket)?;
    objects.get(key).ok_or(ObjectError::NoSuchKey)
}
