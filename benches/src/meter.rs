//! DynamoDB's charges: an `HttpClient` around another one. It asks for `ConsumedCapacity` in every call and adds up the
//! answers, without changes to production code.
//!
//! It can also pass the calls to another runtime, so that the embedded AWS runs on threads of its own.

use crate::deployment::stopwatch;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use rekindle_local::stack::{CATALOG, LEDGER};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// The part of storage that a call reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// The catalog table, with its indexes.
    Catalog,
    /// The inbox of `users`.
    UsersInbox,
    /// The inbox of a campaign.
    CampaignInbox,
    /// Blocks of hot copies.
    Blocks,
    /// A table of the bench itself.
    Other,
}

/// The ledger that a call belongs to: the last one that a call named. Work on several ledgers at once cannot be told apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Whose {
    /// A campaign's.
    #[default]
    Campaign,
    /// `users`.
    Users,
}

/// Whether a call reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    /// Read units.
    Read,
    /// Write units.
    Write,
}

/// Capacity units, by what they were spent on.
#[derive(Clone, Default, Debug)]
pub struct Units(BTreeMap<(Way, Place, Whose), f64>);

impl Units {
    /// All units of reading or of writing.
    pub fn all(&self, way: Way) -> f64 {
        self.0.iter().filter(|((w, ..), _)| *w == way).map(|(_, units)| units).sum()
    }

    /// The units of one place.
    pub fn of(&self, way: Way, place: Place) -> f64 {
        self.0.iter().filter(|((w, p, _), _)| (*w, *p) == (way, place)).map(|(_, units)| units).sum()
    }

    /// The units of one place that were spent on one ledger.
    pub fn of_ledger(&self, way: Way, place: Place, whose: Whose) -> f64 {
        self.0.get(&(way, place, whose)).copied().unwrap_or(0.0)
    }

    /// Adds other units to these.
    pub fn add_all(&mut self, others: &Self) {
        for ((way, place, whose), units) in &others.0 {
            self.add(*way, *place, *whose, *units);
        }
    }

    fn add(&mut self, way: Way, place: Place, whose: Whose, units: f64) {
        *self.0.entry((way, place, whose)).or_default() += units;
    }
}

/// Adds up the units of all calls.
#[derive(Default, Debug)]
pub struct Meter(Mutex<(Units, Whose)>, Mutex<Waits>);

/// The calls of AWS, and the time in which at least one was under way.
#[derive(Clone, Copy, Default, Debug)]
pub struct Waits {
    /// How many there were.
    pub calls: u32,
    /// The time.
    pub time: Duration,
    under_way: u32,
    since: Option<Instant>,
}

impl Meter {
    /// The units that were spent since the last call of this function.
    pub fn take(&self) -> Units {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// The calls since the last call of this function. None is under way.
    pub fn take_waits(&self) -> Waits {
        std::mem::take(&mut *self.waits())
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_call(&self) {
        let mut waits = self.waits();
        waits.calls += 1;
        waits.under_way += 1;
        waits.since = waits.since.or_else(|| Some(stopwatch()));
    }

    fn end_call(&self) {
        let mut waits = self.waits();
        waits.under_way = waits.under_way.saturating_sub(1);
        if waits.under_way == 0 {
            let waited = waits.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            waits.time += waited;
        }
    }

    /// The ledger of a call: the one that it names, else that of the call before.
    fn whose(&self, named: Option<Whose>) -> Whose {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.1 = named.unwrap_or(guard.1);
        guard.1
    }

    fn add(&self, way: Way, place: Place, whose: Whose, units: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.add(way, place, whose, units);
    }
}

/// A client that meters the answers of `inner`. With a `home`, `inner` runs on that runtime, and bodies are copied in between,
/// so that each side allocates its own.
pub fn metered(inner: SharedHttpClient, meter: Arc<Meter>, home: Option<Handle>) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        let connector = inner.http_connector(settings, components);
        SharedHttpConnector::new(Metered { inner: connector, meter: meter.clone(), home: home.clone() })
    })
}

#[derive(Debug)]
struct Metered {
    inner: SharedHttpConnector,
    meter: Arc<Meter>,
    home: Option<Handle>,
}

impl HttpConnector for Metered {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (inner, meter, home) = (self.inner.clone(), self.meter.clone(), self.home.clone());
        let charged = charged(&mut request).map(|(way, place, named)| (way, place, meter.whose(named)));
        HttpConnectorFuture::new(async move {
            meter.begin_call();
            let answer = match home {
                None => inner.call(request).await,
                Some(home) => call_at(&home, inner, request).await.map(copied),
            };
            meter.end_call();
            let answer = answer?;
            if let Some((way, bytes)) = charged.zip(answer.body().bytes()) {
                let ((way, place, whose), bytes) = (way, bytes);
                for (table, units) in consumed(bytes) {
                    meter.add(way, place_of(&table, place), whose, units);
                }
            }
            Ok(answer)
        })
    }
}

/// Runs the call on another runtime.
async fn call_at(
    home: &Handle,
    inner: SharedHttpConnector,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let answer = home.spawn(async move { inner.call(request).await });
    answer.await.map_err(|error| ConnectorError::other(error.into(), None))?
}

/// The answer with a copy of its body, allocated by this thread.
fn copied(answer: HttpResponse) -> HttpResponse {
    answer.map(|body| match body.bytes() {
        Some(bytes) => SdkBody::from(bytes.to_vec()),
        None => body,
    })
}

const TARGET_PREFIX: &str = "DynamoDB_20120810.";
const QUESTION: &[u8] = br#"{"ReturnConsumedCapacity":"TOTAL","#;

/// Adds the request for the cost to a call of DynamoDB that has one. Returns whether the call reads or writes and, for the
/// ledger table, the place and the ledger that it names.
fn charged(request: &mut HttpRequest) -> Option<(Way, Place, Option<Whose>)> {
    let operation = request.headers().get("x-amz-target")?.strip_prefix(TARGET_PREFIX)?;
    let way = match operation {
        "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => Way::Read,
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => Way::Write,
        _ => return None,
    };
    let body = request.body().bytes()?;
    let (place, named) = (in_ledger(body), named(body));
    let body = [QUESTION, body.strip_prefix(b"{")?].concat();
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    Some((way, place, named))
}

/// The place of the partition keys in a request to the ledger table. All keys of one request are of one kind.
fn in_ledger(body: &[u8]) -> Place {
    let body = std::str::from_utf8(body).unwrap_or_default();
    let says = |key: &str| body.contains(key);
    if says(r#"{"S":"i#users#"#) {
        Place::UsersInbox
    } else if says(r#"{"S":"i#"#) {
        Place::CampaignInbox
    } else {
        Place::Blocks
    }
}

/// The ledger that the keys in a request name, as a partition or in a dirty mark; `None` if they name none.
fn named(body: &[u8]) -> Option<Whose> {
    let body = std::str::from_utf8(body).unwrap_or_default();
    let says = |keys: &[&str]| keys.iter().any(|key| body.contains(key));
    if says(&[r#"{"S":"users"}"#, "#users#"]) {
        Some(Whose::Users)
    } else if says(&[r#"{"S":"campaign/"#, "#campaign/"]) {
        Some(Whose::Campaign)
    } else {
        None
    }
}

fn place_of(table: &str, in_ledger: Place) -> Place {
    match table {
        CATALOG => Place::Catalog,
        LEDGER => in_ledger,
        _ => Place::Other,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Consumed {
    table_name: String,
    capacity_units: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Consumed),
    More(Vec<Consumed>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    consumed_capacity: Option<OneOrMore>,
}

/// The units that an answer reports, by table. An error's answer reports none. Of errors only failed conditions are charged,
/// and the measured work has none.
fn consumed(answer: &[u8]) -> Vec<(String, f64)> {
    let answer = serde_json::from_slice::<Answer>(answer).ok();
    let list = match answer.and_then(|a| a.consumed_capacity) {
        None => Vec::new(),
        Some(OneOrMore::One(one)) => vec![one],
        Some(OneOrMore::More(list)) => list,
    };
    list.into_iter().map(|c| (c.table_name, c.capacity_units)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_one_table_and_of_several_are_read() {
        let one = br#"{"Items":[],"ConsumedCapacity":{"TableName":"t","CapacityUnits":0.5}}"#;
        assert_eq!(consumed(one), [("t".to_owned(), 0.5)]);
        let several = br#"{"ConsumedCapacity":[{"TableName":"t","CapacityUnits":3.0}]}"#;
        assert_eq!(consumed(several), [("t".to_owned(), 3.0)]);
        assert_eq!(consumed(b"{}"), []);
    }

    #[test]
    fn requests_are_told_apart_by_their_keys() {
        assert_eq!(in_ledger(br#"{"pk":{"S":"i#users#3"}}"#), Place::UsersInbox);
        assert_eq!(in_ledger(br#"{"pk":{"S":"i#campaign/c#3"}}"#), Place::CampaignInbox);
        assert_eq!(in_ledger(br#"{"pk":{"S":"b#X#1#0"}}"#), Place::Blocks);
        assert_eq!(named(br#"{"pk":{"S":"users"},"sk":{"S":"manifest"}}"#), Some(Whose::Users));
        assert_eq!(named(br#"{"pk":{"S":"dirty#1"},"sk":{"S":"1#campaign/c#W"}}"#), Some(Whose::Campaign));
        assert_eq!(named(br#"{"pk":{"S":"b#X#1#0"}}"#), None);
    }
}
