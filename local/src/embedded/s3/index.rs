//! The index of all objects: sorted maps in memory, a journal of changes on disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::embedded::EmbeddedError;
use crate::embedded::journal::Journal;

/// Opening rewrites the journal if it has this many lines more than twice the shortest journal that says the same.
const SLACK: usize = 1000;

/// The attributes that a caller may give an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub metadata: HashMap<String, String>,
}

/// The record of a stored object: everything except its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub bucket: String,
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// The ETag, without quotes.
    pub etag: String,
    pub modified: Timestamp,
    /// In base64, by S3's name of the algorithm (`crc64nvme`).
    pub checksums: BTreeMap<String, String>,
    pub attributes: Attributes,
    /// The file's path below `objects/`, with `/` between segments; empty in memory.
    #[serde(default)]
    pub file: String,
}

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    Bucket(String),
    Put(Box<About>),
    Delete { bucket: String, key: String },
}

#[derive(Debug)]
pub(super) struct Object {
    pub about: Arc<About>,
    /// The object's bytes; empty on disk, where `about.file` holds them.
    pub memory: Bytes,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    pub buckets: BTreeMap<String, BTreeMap<String, Object>>,
    /// The objects' files, in lower case, because some file systems do not tell case apart.
    used: HashSet<String>,
    journal: Option<Journal>,
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let (mut journal, changes) = Journal::open(path)?;
        for (i, change) in changes.iter().enumerate() {
            if let Change::Put(about) = change
                && !is_below(&about.file)
            {
                let source = serde::de::Error::custom(format!("{:?} is no path below objects/", about.file));
                return Err(EmbeddedError::Damaged { path: path.to_owned(), line: i + 1, source });
            }
        }
        let lines = changes.len();
        let mut index = Self::default();
        for change in changes {
            index.apply(change, Bytes::new());
        }
        let snapshot = index.snapshot();
        if lines > 2 * snapshot.len() + SLACK {
            journal.rewrite(&snapshot).map_err(EmbeddedError::io("rewrite", path))?;
        }
        index.journal = Some(journal);
        Ok(index)
    }

    /// Makes a change durable, then visible. `memory` is the content of a put object.
    pub(super) fn commit(&mut self, change: Change, memory: Bytes) -> io::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.append(std::slice::from_ref(&change))?;
        }
        self.apply(change, memory);
        Ok(())
    }

    /// As [`Self::commit`], for deletions that are made durable together or not at all.
    pub(super) fn commit_deletions(&mut self, changes: Vec<Change>) -> io::Result<()> {
        if let Some(journal) = &mut self.journal
            && !changes.is_empty()
        {
            journal.append(&changes)?;
        }
        for change in changes {
            self.apply(change, Bytes::new());
        }
        Ok(())
    }

    /// Whether an object uses this file, or one whose path differs only in case.
    pub(super) fn uses(&self, file: &str) -> bool {
        self.used.contains(&file.to_lowercase())
    }

    fn apply(&mut self, change: Change, memory: Bytes) {
        match change {
            Change::Bucket(name) => {
                self.buckets.entry(name).or_default();
            }
            Change::Put(about) => {
                self.remove(&about.bucket, &about.key);
                self.used.insert(about.file.to_lowercase());
                let objects = self.buckets.entry(about.bucket.clone()).or_default();
                objects.insert(about.key.clone(), Object { about: about.into(), memory });
            }
            Change::Delete { bucket, key } => self.remove(&bucket, &key),
        }
    }

    fn remove(&mut self, bucket: &str, key: &str) {
        let objects = self.buckets.get_mut(bucket);
        if let Some(old) = objects.and_then(|objects| objects.remove(key)) {
            self.used.remove(&old.about.file.to_lowercase());
        }
    }

    /// The shortest journal that describes the index.
    fn snapshot(&self) -> Vec<Change> {
        let buckets = self.buckets.keys().cloned().map(Change::Bucket);
        let objects = self.buckets.values().flat_map(BTreeMap::values);
        buckets.chain(objects.map(|object| Change::Put(Box::new(About::clone(&object.about))))).collect()
    }
}

/// Whether a file's path stays below the folder that it is joined to.
fn is_below(file: &str) -> bool {
    !file.is_empty() && Path::new(file).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_files_below_its_folder_only() {
        for file in ["b/1", "b/.other/1", "b/a..b"] {
            assert!(is_below(file), "{file}");
        }
        for file in ["", "/etc/passwd", "../1", "b/../../1", "b/.."] {
            assert!(!is_below(file), "{file}");
        }
    }

    #[test]
    fn a_journal_of_what_is_long_gone_is_shortened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.jsonl");
        let put = |i: u64| {
            let about = About {
                bucket: "b".to_owned(),
                key: "k".to_owned(),
                size: i,
                etag: i.to_string(),
                modified: Timestamp::UNIX_EPOCH,
                checksums: BTreeMap::new(),
                attributes: Attributes::default(),
                file: format!("b/{i}"),
            };
            serde_json::to_string(&Change::Put(Box::new(about))).unwrap()
        };
        let lines: Vec<String> = (0..1100).map(put).collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        for _ in 0..2 {
            let index = Index::open(&path).unwrap();
            assert_eq!(index.buckets["b"]["k"].about.size, 1099);
            assert!(index.uses("B/1099"));
            assert!(!index.uses("b/1098"));
            assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        }
    }
}
