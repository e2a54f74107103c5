//! Parts of copies, and the inputs of rewrites.

use super::{Catalog, Index, Key, Transaction, Versioned, Window, Write, query::document};
use crate::{
    dynamo::{Attributes, b, binary, delete, n, number, s, text, unbuildable, write_all},
    error::StoreError,
    ledger::InboxKey,
};
use rekindle_domain::{
    Ulid,
    day::Arrivals,
    id::{CopyId, InboxId},
    part::Part,
};
use std::collections::HashMap;

/// The parts of a copy of so many slots are read by their keys; those of a larger one by a query, which costs less.
const FEW_SLOTS: u32 = 64;

fn partition(copy: CopyId) -> String {
    format!("copy#{copy}")
}

fn part_key(copy: CopyId, slot: u32) -> Key {
    Key::new(partition(copy), format!("p#{slot:05}"))
}

fn inputs_key(copy: CopyId) -> Key {
    Key::new(partition(copy), "inputs")
}

/// The inbox blocks that a rewrite takes: it merges exactly these, and after its commit exactly these are deleted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InboxInputs {
    /// Their keys.
    pub keys: Vec<InboxKey>,
    /// The number of rows in all of them.
    pub rows: u64,
    /// The interactions that arrived with them.
    pub arrived: Arrivals,
}

impl Transaction {
    /// Records the inbox blocks that a rewrite takes. The same transaction must stage the copy: the records of a copy
    /// that no manifest lists would never be deleted.
    pub fn add_inputs(&mut self, copy: CopyId, inputs: &InboxInputs) -> Result<(), StoreError> {
        let keys = inputs.keys.iter().flat_map(|k| [&[k.shard][..], &k.id.0.to_bytes()].concat());
        let keys = b(keys.collect::<Vec<u8>>());
        let mut content = Attributes::from([("keys".to_owned(), keys), ("n".to_owned(), n(inputs.rows))]);
        if inputs.arrived != Arrivals::default() {
            content.insert("k".to_owned(), s(serde_json::to_string(&inputs.arrived).map_err(unbuildable)?));
        }
        self.push(Write::of_attributes(inputs_key(copy), content));
        Ok(())
    }
}

impl Catalog {
    /// A part; before the first claim a new one with version 0.
    pub async fn part(&self, copy: CopyId, slot: u32) -> Result<Versioned<Part>, StoreError> {
        let found = self.get(&part_key(copy, slot)).await?;
        Ok(found.unwrap_or(Versioned { value: Part::default(), version: 0 }))
    }

    /// Writes a part over the version that was read; returns the new version.
    pub async fn put_part(
        &self,
        copy: CopyId,
        slot: u32,
        part: &Part,
        version: u64,
    ) -> Result<u64, StoreError> {
        self.put(Write::new(part_key(copy, slot), part, version, Index::default())?).await?;
        Ok(version + 1)
    }

    /// All parts of a copy that were ever claimed, with their slots.
    pub async fn parts(&self, copy: CopyId) -> Result<Vec<(u32, Part)>, StoreError> {
        let (parts, _) = self.query::<Part>(&partition(copy), "p#", Window::ALL).await?;
        let slot = |sk: &str| sk.trim_start_matches("p#").parse().ok();
        Ok(parts.into_iter().filter_map(|(sk, part)| Some((slot(&sk)?, part.value))).collect())
    }

    /// The parts of several copies that were ever claimed, in any order. Each copy comes with its number of slots: the parts
    /// of small copies are read together.
    pub async fn parts_of(&self, copies: &[(CopyId, u32)]) -> Result<Vec<(CopyId, Part)>, StoreError> {
        let (small, large): (Vec<_>, Vec<_>) = copies.iter().partition(|(_, slots)| *slots <= FEW_SLOTS);
        let keys = small.iter().flat_map(|(copy, slots)| (0..*slots).map(|slot| part_key(*copy, slot)));
        let keys: Vec<Key> = keys.collect();
        let copy_of: HashMap<String, CopyId> =
            small.iter().map(|(copy, _)| (partition(*copy), *copy)).collect();
        let mut out = Vec::new();
        for item in self.get_items(&keys).await? {
            if let Some(copy) = text(&item, "pk").and_then(|pk| copy_of.get(pk)) {
                out.push((*copy, document(&item)?.value));
            }
        }
        for (copy, _) in large {
            out.extend(self.parts(copy).await?.into_iter().map(|(_, part)| (copy, part)));
        }
        Ok(out)
    }

    /// The inbox blocks that a rewrite takes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] also where they are not recorded.
    pub async fn inputs(&self, copy: CopyId) -> Result<InboxInputs, StoreError> {
        let what = || format!("the inputs of copy {copy}");
        let item = self.get_item(&inputs_key(copy)).await?.ok_or_else(|| StoreError::missing(what()))?;
        let parse = || {
            let (keys, rest) = binary(&item, "keys")?.as_chunks::<17>();
            let key = |k: &[u8; 17]| {
                let id: [u8; 16] = k[1..].try_into().ok()?;
                Some(InboxKey { shard: k[0], id: InboxId(Ulid::from_bytes(id)) })
            };
            let keys = keys.iter().map(key).collect::<Option<_>>()?;
            let arrived = text(&item, "k").and_then(|counts| serde_json::from_str(counts).ok());
            let arrived = arrived.unwrap_or_default();
            rest.is_empty().then_some(InboxInputs { keys, rows: number(&item, "n")?, arrived })
        };
        parse().ok_or_else(|| StoreError::damaged(what(), "they are out of shape"))
    }

    /// Deletes the records of a copy: the parts of these slots and the inputs. After an error some may be left.
    pub async fn delete_copy_records(&self, copy: CopyId, slots: &[u32]) -> Result<(), StoreError> {
        let keys = slots.iter().map(|slot| part_key(copy, *slot)).chain([inputs_key(copy)]);
        let requests = keys.map(|key| delete(key.attributes()));
        write_all(&self.client, &self.table, requests.collect::<Result<_, _>>()?).await
    }
}
