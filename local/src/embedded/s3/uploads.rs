//! Multipart uploads under way. They and their parts are in memory; a restart forgets them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use s3s::crypto::{Checksum, Crc64Nvme, Md5};
use s3s::{S3Error, S3Result, s3_error};

use super::checksum::{base64, hex};
use super::index::{About, Attributes};
use super::objects::{Condition, ObjectError, Objects};

/// S3's least size of every part but the last.
const MIN_PART: usize = 5 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Uploads {
    open: Mutex<HashMap<String, Upload>>,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    attributes: Attributes,
    /// By part number.
    parts: BTreeMap<i32, Bytes>,
    /// The answer to its completion. It is kept because the SDK repeats a completion whose answer was lost.
    done: Option<Completed>,
}

/// The object that an upload became.
#[derive(Debug, Clone)]
pub(super) struct Completed {
    pub etag: String,
    /// Checksum of the whole object, in base64.
    pub crc64nvme: String,
}

/// A request to complete an upload.
#[derive(Debug)]
pub(super) struct Completion {
    pub upload: String,
    /// Part numbers and the parts' ETags, in the order of the object.
    pub parts: Vec<(i32, String)>,
    /// Checksum of the whole object, in base64, if the caller knows it.
    pub crc64nvme: Option<String>,
    pub condition: Condition,
    pub now: Timestamp,
}

impl Uploads {
    pub(super) fn begin(&self, bucket: String, key: String, attributes: Attributes) -> String {
        let id = ulid::Ulid::generate().to_string();
        let upload = Upload { bucket, key, attributes, parts: BTreeMap::new(), done: None };
        self.lock().insert(id.clone(), upload);
        id
    }

    /// Adds or replaces a part.
    pub(super) fn add_part(&self, id: &str, number: i32, bytes: Bytes) -> S3Result<()> {
        let mut open = self.lock();
        let upload = open.get_mut(id).filter(|upload| upload.done.is_none()).ok_or_else(no_such_upload)?;
        upload.parts.insert(number, bytes);
        Ok(())
    }

    pub(super) fn abort(&self, id: &str) -> S3Result<()> {
        self.lock().remove(id).map(drop).ok_or_else(no_such_upload)
    }

    /// Makes the parts an object. An upload whose completion is refused stays open.
    pub(super) fn complete(&self, objects: &Objects, ask: &Completion) -> S3Result<Completed> {
        let mut open = self.lock();
        let upload = open.get_mut(&ask.upload).ok_or_else(no_such_upload)?;
        if let Some(done) = &upload.done {
            return Ok(done.clone());
        }
        let parts = upload.pick(&ask.parts)?;
        let (mut crc, mut md5s, mut size) = (Crc64Nvme::new(), Md5::new(), 0);
        for part in &parts {
            crc.update(part);
            md5s.update(&Md5::checksum(part));
            size += part.len() as u64;
        }
        let completed = Completed {
            etag: format!("{}-{}", hex(&md5s.finalize()), parts.len()),
            crc64nvme: base64(&crc.finalize()),
        };
        if ask.crc64nvme.as_ref().is_some_and(|asked| *asked != completed.crc64nvme) {
            return Err(s3_error!(BadDigest, "the object's crc64nvme is {}", completed.crc64nvme));
        }
        let about = About {
            bucket: upload.bucket.clone(),
            key: upload.key.clone(),
            size,
            etag: completed.etag.clone(),
            modified: ask.now,
            checksums: BTreeMap::from([("crc64nvme".to_owned(), completed.crc64nvme.clone())]),
            attributes: upload.attributes.clone(),
            file: String::new(),
        };
        let staged = objects.stage(parts).map_err(ObjectError::from)?;
        objects.put(about, staged, &ask.condition)?;
        upload.parts.clear();
        upload.done = Some(completed.clone());
        Ok(completed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    /// The parts that were asked for, if they were uploaded, are in order and are large enough.
    fn pick(&self, asked: &[(i32, String)]) -> S3Result<Vec<Bytes>> {
        if asked.is_empty() {
            return Err(s3_error!(MalformedXML, "an object needs a part"));
        }
        if !asked.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let mut picked = Vec::with_capacity(asked.len());
        for (i, (number, etag)) in asked.iter().enumerate() {
            let part = self.parts.get(number).filter(|part| hex(&Md5::checksum(part)) == *etag);
            let part =
                part.ok_or_else(|| s3_error!(InvalidPart, "part {number} is not what was uploaded"))?;
            if part.len() < MIN_PART && i + 1 < asked.len() {
                return Err(s3_error!(EntityTooSmall, "part {number} is smaller than {MIN_PART} bytes"));
            }
            picked.push(part.clone());
        }
        Ok(picked)
    }
}

fn no_such_upload() -> S3Error {
    s3_error!(NoSuchUpload)
}
