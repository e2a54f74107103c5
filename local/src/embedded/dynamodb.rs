//! DynamoDB: the AWS JSON 1.0 protocol in front of `dynoxide`'s [`Database`].
//!
//! `dynoxide` has a server of its own whose dispatch is private; this is that dispatch for the operations Rekindle
//! uses. It does not handle bodies that are nested past the JSON parser's limit, and does not copy the exact wording of
//! type errors: no SDK sends such requests.
//!
//! **Durability.** `dynoxide` sets WAL mode and leaves SQLite's `synchronous` at its default, FULL: a commit is
//! synced before it returns. `BatchWriteItem` commits item by item and a transaction as a whole. `CreateTable` commits a
//! table's description before its parts; [`Making`] makes the creation all or nothing.
//!
//! **Not imitated.** It never throttles, never leaves anything unprocessed and never reads stale, and time-to-live is
//! recorded but nothing deletes. One mutex guards the database, so calls take turns.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use dynoxide::actions::create_table::{CreateTableRequest, CreateTableResponse};
use dynoxide::actions::delete_table::DeleteTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::{Database, DynoxideError};
use http::{Request, Response, StatusCode};
use rekindle_store::STORAGE_FULL;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::journal::sync_parent;
use super::worker::Worker;
use super::{EmbeddedError, http as wire};
use crate::private;

const TARGET_PREFIX: &str = "DynamoDB_20120810.";
/// A part of SQLite's text for its result code `SQLITE_FULL`, which `dynoxide` passes on as text.
const SQLITE_FULL: &str = "disk is full";

pub(super) struct DynamoDb {
    database: Database,
    worker: Worker,
    making: Option<Arc<Making>>,
}

/// The file that names the table which is being made. A process that is killed meanwhile leaves this file, and may leave a
/// table without some of its indexes. No caller was told that the table exists.
struct Making(Mutex<PathBuf>);

impl Making {
    /// Removes a table whose creation was cut off. One that has rows is whole, since no row is written before the caller
    /// was told that the table exists: then only the file is out of date.
    fn open(path: PathBuf, database: &Database) -> Result<Self, EmbeddedError> {
        match fs::read_to_string(&path) {
            Ok(name) => {
                if has_rows(database, &name).map_err(EmbeddedError::Database)? {
                    tracing::warn!(file.path = %path.display(), table.name = name, "the file says that a table is being made, but the table has rows; the table stays and the file goes");
                } else {
                    remove_table(database, &name).map_err(EmbeddedError::Database)?;
                }
                done(&path).map_err(EmbeddedError::io("remove", &path))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(EmbeddedError::io("read", &path)(error)),
        }
        Ok(Self(Mutex::new(path)))
    }

    /// Makes a table, whole or not at all.
    fn make(
        &self,
        database: &Database,
        input: CreateTableRequest,
    ) -> Result<CreateTableResponse, DynoxideError> {
        let failed = |error: io::Error| DynoxideError::InternalServerError(error.to_string());
        let path = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = input.table_name.clone();
        if database.describe_table(DescribeTableRequest { table_name: name.clone() }).is_ok() {
            return database.create_table(input);
        }
        begun(&path, &name).map_err(failed)?;
        let made = database.create_table(input);
        if made.is_err() && !has_rows(database, &name)? {
            remove_table(database, &name)?;
        }
        done(&path).map_err(failed)?;
        made
    }
}

fn begun(path: &Path, name: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = private::create(&draft)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_parent(path)
}

fn done(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_parent(path)
}

/// Whether a table has a row. One whose parts were never made has none.
fn has_rows(database: &Database, name: &str) -> Result<bool, DynoxideError> {
    let one = ScanRequest { table_name: name.to_owned(), limit: Some(1), ..Default::default() };
    match database.scan(one) {
        Ok(found) => Ok(found.count > 0),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) if error.to_string().contains("no such table") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether there is no such table: nobody made it, or nobody could, since it has no valid name.
fn is_absent(error: &DynoxideError) -> bool {
    matches!(error, DynoxideError::ResourceNotFoundException(_) | DynoxideError::ValidationException(_))
}

fn remove_table(database: &Database, name: &str) -> Result<(), DynoxideError> {
    match database.delete_table(DeleteTableRequest { table_name: name.to_owned() }) {
        Err(error) if is_absent(&error) => Ok(()),
        other => other.map(drop),
    }
}

impl DynamoDb {
    pub(super) fn in_memory() -> Result<Self, EmbeddedError> {
        let database = Database::memory().map_err(EmbeddedError::Database)?;
        Ok(Self { database, worker: Worker::Inline, making: None })
    }

    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let name = path.to_str().ok_or_else(|| {
            EmbeddedError::io("open", path)(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "SQLite needs a path in UTF-8",
            ))
        })?;
        // SQLite would make the file readable for everybody. It gives its other files the rights that this one has.
        let made = private::options().write(true).create(true).truncate(false).open(path);
        made.map_err(EmbeddedError::io("create", path))?;
        let database = Database::new(name).map_err(EmbeddedError::Database)?;
        let making = Making::open(path.with_extension("creating"), &database)?;
        Ok(Self { database, worker: Worker::BlockingThread, making: Some(Arc::new(making)) })
    }

    pub(super) async fn answer(&self, request: Request<Bytes>) -> Result<Response<SdkBody>, EmbeddedError> {
        let target = request.headers().get("x-amz-target");
        let operation = target
            .and_then(|target| target.to_str().ok())
            .and_then(|target| target.strip_prefix(TARGET_PREFIX))
            .unwrap_or_default()
            .to_owned();
        let body = request.into_body();
        let (database, making) = (self.database.clone(), self.making.clone());
        self.worker.run(move || respond(&database, making.as_deref(), &operation, &body)).await
    }
}

fn respond(database: &Database, making: Option<&Making>, operation: &str, body: &[u8]) -> Response<SdkBody> {
    let answer = str::from_utf8(body)
        .map_err(|error| DynoxideError::SerializationException(error.to_string()))
        .and_then(|body| dispatch(database, making, operation, body));
    match answer {
        Ok(Some(body)) => wire::json(StatusCode::OK, body),
        Ok(None) => wire::json(StatusCode::BAD_REQUEST, unknown(operation)),
        Err(error) if error.to_string().contains(SQLITE_FULL) => {
            wire::json(StatusCode::INSUFFICIENT_STORAGE, full())
        }
        Err(error) => {
            let status =
                StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            wire::json(status, error.to_json().into_bytes())
        }
    }
}

/// The error for a full disk. The SDK does not repeat a call with this status.
fn full() -> Vec<u8> {
    serde_json::json!({ "__type": STORAGE_FULL, "message": "the disk is full" }).to_string().into_bytes()
}

fn unknown(operation: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "__type": "com.amazon.coral.service#UnknownOperationException",
        "message": format!("the embedded DynamoDB has no operation {operation:?}"),
    });
    body.to_string().into_bytes()
}

/// The answer's body, or `None` for an operation that this engine does not have.
fn dispatch(
    db: &Database,
    making: Option<&Making>,
    operation: &str,
    body: &str,
) -> Result<Option<Vec<u8>>, DynoxideError> {
    match operation {
        "CreateTable" => call(body, |input| match making {
            Some(making) => making.make(db, input),
            None => db.create_table(input),
        }),
        "DescribeTable" => call(body, |input| db.describe_table(input)),
        "ListTables" => call(body, |input| db.list_tables(input)),
        "UpdateTimeToLive" => call(body, |input| db.update_time_to_live(input)),
        "PutItem" => call(body, |input| db.put_item(input)),
        "GetItem" => call(body, |input| db.get_item(input)),
        "DeleteItem" => call(body, |input| db.delete_item(input)),
        "UpdateItem" => call(body, |input| db.update_item(input)),
        "BatchGetItem" => call(body, |input| db.batch_get_item(input)),
        "BatchWriteItem" => call(body, |input| db.batch_write_item(input)),
        "Query" => call(body, |input| db.query(input)),
        "Scan" => call(body, |input| db.scan(input)),
        "TransactWriteItems" => call(body, |input| db.transact_write_items(input)),
        "TransactGetItems" => call(body, |input| db.transact_get_items(input)),
        _ => Ok(None),
    }
}

fn call<I, O, F>(body: &str, operation: F) -> Result<Option<Vec<u8>>, DynoxideError>
where
    I: DeserializeOwned,
    O: Serialize,
    F: FnOnce(I) -> Result<O, DynoxideError>,
{
    let input = serde_json::from_str(body).map_err(|error| refusal(&error.to_string()))?;
    let output = operation(input)?;
    serde_json::to_vec(&output)
        .map(Some)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The DynamoDB error for a body that could not be read. `dynoxide`'s types check values as they read them and name the
/// error's class by a prefix, which must not reach the caller; serde appends the place in the body.
fn refusal(message: &str) -> DynoxideError {
    type Class = fn(String) -> DynoxideError;
    const CLASSES: [(&str, Class); 5] = [
        ("SERIALIZATION_AS_READ:", DynoxideError::SerializationException),
        ("SERIALIZATION:", DynoxideError::SerializationException),
        ("VALIDATION_AS_READ:", DynoxideError::ValidationException),
        ("VALIDATION_REQUEST:", DynoxideError::ValidationException),
        ("VALIDATION:", DynoxideError::ValidationException),
    ];
    let bare = message.rsplit_once(" at line ").map_or(message, |(bare, _)| bare);
    for (prefix, class) in CLASSES {
        if let Some(bare) = bare.strip_prefix(prefix) {
            return class(bare.to_owned());
        }
    }
    let validation = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"];
    if validation.iter().any(|sign| bare.contains(sign)) {
        DynoxideError::ValidationException(bare.to_owned())
    } else {
        DynoxideError::SerializationException(bare.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_is_not_here_is_named() {
        let db = Database::memory().unwrap();
        let response = respond(&db, None, "DeleteTable", b"{}");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body = str::from_utf8(response.body().bytes().unwrap()).unwrap().to_owned();
        assert!(body.contains("UnknownOperationException"), "{body}");
        assert!(body.contains("DeleteTable"), "{body}");
    }

    #[test]
    fn the_class_prefixes_of_the_engine_do_not_reach_the_caller() {
        let error = refusal("VALIDATION:an empty set at line 1 column 7");
        assert_eq!(error.to_string(), "an empty set");
        assert!(error.error_type().ends_with("#ValidationException"));
        let error = refusal("invalid type: integer `1`, expected a string at line 1 column 7");
        assert!(error.error_type().ends_with("#SerializationException"));
    }
}
