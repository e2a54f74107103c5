//! Everything that is stored at one moment, read without the store's code, which could hide something.

use super::truth::Rows;
use crate::fixture::world::World;
use aws_sdk_dynamodb::types::AttributeValue;
use rekindle_domain::{
    Ulid,
    block::{CoverCheck, Position, Sealed, decode},
    day::Day,
    id::{CopyId, InboxId, LedgerId, SourceId},
    manifest::{Copy, Manifest, Tier},
    notice::Notice,
    part::Part,
    people::MergedUser,
    restore::{Item, Request},
    rows,
    segment::Segment,
    source::Source,
    tally::{Tallier, Tally},
};
use rekindle_local::stack::{ARCHIVE, CATALOG, LEDGER};
use rekindle_store::{catalog::sources::TimelineEntry, ledger::InboxKey, parquet::PartReader};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap};

type Attributes = HashMap<String, AttributeValue>;

/// Encoded blocks by their sort keys.
type Blocks = BTreeMap<Vec<u8>, Vec<u8>>;

/// A document and the attributes of its item that an index uses.
#[derive(Debug)]
pub struct Stored<T> {
    pub doc: T,
    pub wake_at: Option<i64>,
}

/// The catalog, parsed.
#[derive(Debug, Default)]
pub struct Catalog {
    pub sources: BTreeMap<SourceId, Stored<Source>>,
    pub manifests: BTreeMap<LedgerId, Stored<Manifest>>,
    pub parts: BTreeMap<CopyId, BTreeMap<u32, Part>>,
    pub inputs: BTreeMap<CopyId, Vec<InboxKey>>,
    pub requests: BTreeMap<String, Stored<Request>>,
    pub items: BTreeMap<String, Vec<Item>>,
    pub notices: Vec<Stored<Notice>>,
    pub timelines: BTreeMap<String, Vec<TimelineEntry>>,
    pub segments: BTreeMap<String, Segment>,
    /// Merges of user ids by their numbers.
    pub merges: BTreeMap<u64, MergedUser>,
    /// How many merges were made.
    pub merges_made: u64,
    /// How many dirty marks there are.
    pub marks: usize,
    /// The days in numbers.
    pub days: Vec<Day>,
    /// Tags with the sources that carry them.
    pub tags: BTreeSet<(String, SourceId)>,
}

/// The catalog, the ledger table and the archive.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub catalog: Catalog,
    /// Encoded inbox blocks by ledger.
    pub inbox: BTreeMap<LedgerId, Vec<(InboxKey, Vec<u8>)>>,
    /// Encoded blocks of hot copies by (copy, attempt, slot), in order.
    pub blocks: BTreeMap<(CopyId, u32, u32), Blocks>,
    /// Objects of the archive.
    pub objects: BTreeMap<String, Vec<u8>>,
}

async fn scan(world: &World, table: &str) -> Vec<Attributes> {
    let mut out = Vec::new();
    let mut from = None;
    loop {
        let scan = world.dynamodb.scan().table_name(table).consistent_read(true);
        let page = scan.set_exclusive_start_key(from).send().await.expect("a scan");
        from = page.last_evaluated_key;
        out.extend(page.items.unwrap_or_default());
        if from.is_none() {
            return out;
        }
    }
}

fn text<'a>(item: &'a Attributes, name: &str) -> &'a str {
    item.get(name).and_then(|v| v.as_s().ok()).map_or("", String::as_str)
}

fn bytes(item: &Attributes, name: &str) -> Vec<u8> {
    item.get(name).and_then(|v| v.as_b().ok()).map(|b| b.as_ref().to_vec()).unwrap_or_default()
}

fn doc<T: DeserializeOwned>(item: &Attributes) -> T {
    serde_json::from_str(text(item, "doc")).expect("a document")
}

fn stored<T: DeserializeOwned>(item: &Attributes) -> Stored<T> {
    let wake_at = item.get("wake_at").and_then(|v| v.as_n().ok()).and_then(|n| n.parse().ok());
    Stored { doc: doc(item), wake_at }
}

fn inbox_key(shard: u8, id: &[u8]) -> InboxKey {
    InboxKey { shard, id: InboxId(Ulid::from_bytes(id.try_into().expect("16 bytes"))) }
}

impl Catalog {
    /// Reads the whole catalog table.
    pub async fn read(world: &World) -> Self {
        let mut out = Self::default();
        for item in scan(world, CATALOG).await {
            out.take(&item);
        }
        out
    }

    /// The next wake time, in milliseconds, and what it belongs to.
    pub fn next_wake(&self) -> Option<(i64, String)> {
        let sources = self.sources.iter().filter_map(|(id, s)| Some((s.wake_at?, id.to_string())));
        let manifests =
            self.manifests.iter().filter_map(|(id, m)| Some((m.wake_at?, format!("the manifest of {id}"))));
        let requests = self.requests.iter().filter_map(|(id, r)| Some((r.wake_at?, format!("request {id}"))));
        let notices = self.notices.iter().filter_map(|n| Some((n.wake_at?, format!("notice {}", n.doc.id))));
        sources.chain(manifests).chain(requests).chain(notices).min()
    }

    fn take(&mut self, item: &Attributes) {
        let (pk, sk) = (text(item, "pk"), text(item, "sk"));
        if let Some(copy) = pk.strip_prefix("copy#") {
            let copy: CopyId = copy.parse().expect("a copy");
            match sk.strip_prefix("p#") {
                Some(slot) => {
                    let slot = slot.parse().expect("a slot");
                    self.parts.entry(copy).or_default().insert(slot, doc(item));
                }
                None => {
                    let keys = bytes(item, "keys");
                    let keys = keys.chunks(17).map(|k| inbox_key(k[0], &k[1..])).collect();
                    self.inputs.insert(copy, keys);
                }
            }
        } else if let Some(request) = pk.strip_prefix("restore#") {
            if sk == "request" {
                self.requests.insert(request.to_owned(), stored(item));
            } else {
                self.items.entry(request.to_owned()).or_default().push(doc(item));
            }
        } else if sk == "notice" {
            self.notices.push(stored(item));
        } else if let Some(segment) = pk.strip_prefix("segment#") {
            self.segments.insert(segment.to_owned(), doc(item));
        } else if pk == "people" {
            match sk.strip_prefix("m#") {
                Some(number) => _ = self.merges.insert(number.parse().expect("a number"), doc(item)),
                None => self.merges_made = doc(item),
            }
        } else if pk == "days" {
            self.days.push(doc(item));
        } else if pk.starts_with("dirty#") {
            self.marks += 1;
        } else if pk == "tags" {
            let (tag, source) = sk.split_once('#').expect("a tag and a source");
            self.tags.insert((tag.to_owned(), source.parse().expect("a source")));
        } else if sk == "source" {
            self.sources.insert(pk.parse().expect("a source"), stored(item));
        } else if sk == "manifest" {
            self.manifests.insert(pk.parse().expect("a ledger"), stored(item));
        } else if sk.starts_with("t#") {
            self.timelines.entry(pk.to_owned()).or_default().push(doc(item));
        }
    }
}

impl Snapshot {
    /// Reads everything; of the archive only the objects that are not in `known`.
    pub async fn take(world: &World, known: &BTreeMap<String, Vec<u8>>, has_changed: bool) -> Self {
        let mut out = Self { catalog: Catalog::read(world).await, ..Self::default() };
        for item in scan(world, LEDGER).await {
            out.take_block(&item);
        }
        if !has_changed {
            out.objects.clone_from(known);
            return out;
        }
        let list = world.s3.list_objects_v2().bucket(ARCHIVE).send().await.expect("a list");
        for object in list.contents() {
            let key = object.key().unwrap_or_default().to_owned();
            let object = match known.get(&key) {
                Some(bytes) => bytes.clone(),
                None => world.object(&key).await,
            };
            out.objects.insert(key, object);
        }
        out
    }

    fn take_block(&mut self, item: &Attributes) {
        let (pk, sk) = (text(item, "pk"), bytes(item, "sk"));
        let names: Vec<&str> = pk.split('#').collect();
        match names[..] {
            ["i", ledger, shard] => {
                let key = inbox_key(shard.parse().expect("a shard"), &sk);
                let ledger = ledger.parse().expect("a ledger");
                self.inbox.entry(ledger).or_default().push((key, bytes(item, "d")));
            }
            ["b", copy, attempt, slot] => {
                let n = |text: &str| text.parse().expect("a number");
                let slot = (copy.parse().expect("a copy"), n(attempt), n(slot));
                self.blocks.entry(slot).or_default().insert(sk, bytes(item, "d"));
            }
            _ => panic!("the ledger table has an item under {pk}"),
        }
    }

    /// The rows of one slot of a copy, of the attempt that its record names.
    fn slot(
        &self,
        ledger: &LedgerId,
        copy: &Copy,
        slot: u32,
        attempt: u32,
    ) -> Result<Vec<rows::Rows>, String> {
        let what = || format!("slot {slot} of {:?} copy {} of {ledger}", copy.tier, copy.id);
        let mut out = Vec::new();
        if copy.tier == Tier::Cold {
            let key = format!("archive/{ledger}/{}/{slot:05}/{attempt:05}.parquet", copy.id);
            let object = self.objects.get(&key).ok_or_else(|| format!("{} is missing", what()))?;
            let mut reader =
                PartReader::new(object.clone().into()).map_err(|e| format!("{}: {e}", what()))?;
            while let Some(rows) = reader.next_rows().map_err(|e| format!("{}: {e}", what()))? {
                out.push(rows);
            }
            return Ok(out);
        }
        let blocks =
            self.blocks.get(&(copy.id, attempt, slot)).ok_or_else(|| format!("{} is missing", what()))?;
        let mut check = CoverCheck::from(Position::at(*copy.slots.hashes(slot).start()));
        for bytes in blocks.values() {
            let damaged = |e| format!("{}: {e}", what());
            let block = Sealed::open(&bytes[..]).map_err(damaged)?;
            if let Some(blocks) = check.take(block).map_err(|()| format!("{} has a gap", what()))? {
                out.push(Sealed::gather(&blocks).map_err(damaged)?);
            }
        }
        if check.is_complete() { Ok(out) } else { Err(format!("{} breaks off", what())) }
    }

    /// All rows of a copy with their tally; an error if the copy is not whole.
    pub fn copy(&self, ledger: &LedgerId, copy: &Copy) -> Result<(Rows, Tally), String> {
        let nothing = BTreeMap::new();
        let parts = self.catalog.parts.get(&copy.id).unwrap_or(&nothing);
        let (mut out, mut tallier) = (Rows::new(), Tallier::default());
        for slot in 0..copy.slots.count() {
            let done = parts.get(&slot).and_then(|p| p.done.as_ref());
            let done = done.ok_or_else(|| format!("slot {slot} of live copy {} has no record", copy.id))?;
            if done.tally.rows == 0 {
                continue;
            }
            for batch in self.slot(ledger, copy, slot, done.attempt)? {
                tallier.use_facets(&batch.facets);
                batch.iter().for_each(|user| tallier.add(&user));
                add(&mut out, &batch);
            }
        }
        Ok((out, tallier.tally()))
    }

    /// The sum of the tallies in the records of a copy's parts.
    pub fn recorded(&self, copy: &Copy) -> Tally {
        let parts = self.catalog.parts.get(&copy.id).into_iter().flat_map(BTreeMap::values);
        Tally::sum(parts.filter_map(|part| part.done.as_ref()).map(|done| &done.tally))
    }

    /// All rows in the inbox of a ledger.
    pub fn inbox(&self, ledger: &LedgerId) -> Result<Rows, String> {
        let mut out = Rows::new();
        for (_, bytes) in self.inbox.get(ledger).into_iter().flatten() {
            add(&mut out, &decode(bytes).map_err(|e| format!("an inbox block of {ledger}: {e}"))?.rows);
        }
        Ok(out)
    }
}

/// Adds a batch of rows to the auditor's rows.
pub fn add(out: &mut Rows, batch: &rows::Rows) {
    for user in batch.iter() {
        let id = String::from_utf8_lossy(user.id).into_owned();
        for row in user.rows {
            let key = (id.clone(), batch.facets[row.facet as usize].clone());
            let times = out.entry(key).or_insert((row.first_at, row.last_at));
            *times = (times.0.min(row.first_at), times.1.max(row.last_at));
        }
    }
}
