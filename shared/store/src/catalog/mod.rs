//! The catalog table: everything small and transactional.
//!
//! Each item is a JSON document `doc` with a version `v`; every write is conditional on the version that was read.
//! What the three indexes need stands beside it:
//!
//! | index | partition | sort | for |
//! |---|---|---|---|
//! | `wake` | `wake`: a shard, `0` to `7` | `wake_at` | what the sweeper must look at |
//! | `updated` | `list`: `campaign`, `canvas`, `restore`, `segment` | `updated_at` | listings |
//! | `expires` | `list` | `expires_at` | listings by expiry |
//!
//! | module | item | partition key | sort key |
//! |---|---|---|---|
//! | [`sources`] | source; manifest; timeline entry | `campaign/ID` (manifest of `users`: `users`) | `source`; `manifest`; `t#ID` |
//! | [`parts`] | part; inputs of a rewrite | `copy#COPY` | `p#SLOT`; `inputs` |
//! | [`requests`] | request; its items; idempotency | `restore#ID`; `idem#HASH` | `request`; `i#SOURCE`; `idem` |
//! | [`notices`] | notice | `notice#ID` | `notice` |
//! | [`segments`] | segment | `segment#ID` | `segment` |
//! | [`tags`] | that a source carries a tag, which is no document | `tags` | `TAG#SOURCE` |
//! | [`dirty`] | dirty mark, no document | `dirty#SHARD`, `0` to `7` | `UNTIL#LEDGER#WORKER` |
//! | [`keys`] | key | `keys` | `k#ID` |
//! | [`audit`] | who did what | `audit#YEAR-MONTH` | `a#ID` |

pub mod audit;
pub mod dirty;
pub mod keys;
pub mod listing;
pub mod notices;
pub mod parts;
pub mod requests;
pub mod segments;
pub mod sources;
pub mod tags;

use crate::{
    dynamo::{Attributes, n, number, s, text, unbuildable},
    error::{StoreError, failed},
};
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem},
};
use rekindle_domain::time::Time;
use serde::{Serialize, de::DeserializeOwned};

/// How many partitions the `wake` index is spread over: a constant of the stored format.
const WAKE_SHARDS: u8 = 8;

/// The catalog table.
#[derive(Clone, Debug)]
pub struct Catalog {
    client: Client,
    table: String,
}

/// The key of a catalog item.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    fn new(pk: impl ToString, sk: impl ToString) -> Self {
        Self { pk: pk.to_string(), sk: sk.to_string() }
    }

    fn attributes(&self) -> Attributes {
        Attributes::from([("pk".to_owned(), s(&self.pk)), ("sk".to_owned(), s(&self.sk))])
    }

    fn wake_shard(&self) -> String {
        shard_of(&self.pk, WAKE_SHARDS).to_string()
    }
}

/// One of `shards`, by a hash of a name.
fn shard_of(name: &str, shards: u8) -> u8 {
    let sum = name.bytes().fold(0u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b)));
    (sum % u32::from(shards)) as u8
}

/// What the indexes need of an item.
#[derive(Default, Debug)]
pub(crate) struct Index {
    wake_at: Option<Time>,
    list: Option<(&'static str, Time)>,
    expires_at: Option<Time>,
    more: Vec<(&'static str, String)>,
}

/// One conditional write of an item.
pub(crate) struct Write {
    key: Key,
    content: Attributes,
    old_version: u64,
    index: Index,
    expires_after: Option<Time>,
}

impl Write {
    /// Replaces what has `old_version`; 0 means that nothing may be there.
    pub(crate) fn new<T: Serialize>(
        key: Key,
        value: &T,
        old_version: u64,
        index: Index,
    ) -> Result<Self, StoreError> {
        let doc = serde_json::to_string(value).map_err(unbuildable)?;
        let content = Attributes::from([("doc".to_owned(), s(doc))]);
        Ok(Self { key, content, old_version, index, expires_after: None })
    }

    /// Makes an item that is no document.
    pub(crate) fn of_attributes(key: Key, content: Attributes) -> Self {
        Self { key, content, old_version: 0, index: Index::default(), expires_after: None }
    }

    fn item(&self) -> Attributes {
        let mut item = self.key.attributes();
        item.extend(self.content.clone());
        let mut put = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
        put("v", n(self.old_version + 1));
        if let Some(wake_at) = self.index.wake_at {
            put("wake", s(self.key.wake_shard()));
            put("wake_at", n(wake_at.0));
        }
        if let Some((list, updated_at)) = self.index.list {
            put("list", s(list));
            put("updated_at", n(updated_at.0));
        }
        if let Some(expires_at) = self.index.expires_at {
            put("expires_at", n(expires_at.0));
        }
        for (name, value) in &self.index.more {
            put(name, s(value));
        }
        if let Some(at) = self.expires_after {
            put("ttl", n(at.0 / 1000));
        }
        item
    }

    const fn condition(&self) -> &'static str {
        if self.old_version == 0 { "attribute_not_exists(pk)" } else { "v = :v" }
    }
}

/// A document with the version its next write is conditional on.
#[derive(Clone, PartialEq, Debug)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// Its version.
    pub version: u64,
}

/// Something a transaction does with one item, if that has the version that was read.
pub(crate) enum Action {
    Put(Write),
    Delete {
        key: Key,
        version: u64,
    },
    Check {
        key: Key,
        version: u64,
    },
    /// An item that says all it says by being there: made or deleted whatever was there before. It always goes with the
    /// conditional write of the document that it follows from.
    Mark {
        key: Key,
        is_there: bool,
    },
}

/// Writes that happen together or not at all; at most [`Transaction::MAX`].
#[derive(Default)]
pub struct Transaction {
    actions: Vec<Action>,
}

impl Transaction {
    /// No writes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most actions a transaction may have, by DynamoDB.
    pub const MAX: usize = 100;

    /// How many actions it has.
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    pub(crate) fn push(&mut self, write: Write) {
        self.actions.push(Action::Put(write));
    }

    pub(crate) fn delete(&mut self, key: Key, version: u64) {
        self.actions.push(Action::Delete { key, version });
    }

    pub(crate) fn check(&mut self, key: Key, version: u64) {
        self.actions.push(Action::Check { key, version });
    }

    pub(crate) fn mark(&mut self, key: Key, is_there: bool) {
        self.actions.push(Action::Mark { key, is_there });
    }
}

impl Catalog {
    pub(crate) fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned() }
    }

    /// Writes all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if any document is not as it was read: read again and decide again.
    pub async fn commit(&self, mut transaction: Transaction) -> Result<(), StoreError> {
        match transaction.actions.pop() {
            None => return Ok(()),
            // Alone, a conditional put does it at half a transaction's price.
            Some(Action::Put(write)) if transaction.is_empty() => return self.put(write).await,
            Some(action) => transaction.actions.push(action),
        }
        let actions = transaction.actions.into_iter().map(|action| self.action(action));
        let actions: Vec<TransactWriteItem> = actions.collect::<Result<_, _>>()?;
        let request = self.client.transact_write_items().set_transact_items(Some(actions));
        request.send().await.map_err(failed("TransactWriteItems"))?;
        Ok(())
    }

    fn action(&self, action: Action) -> Result<TransactWriteItem, StoreError> {
        let item = TransactWriteItem::builder();
        let item = match action {
            Action::Put(write) => {
                let mut put = Put::builder()
                    .table_name(&self.table)
                    .condition_expression(write.condition())
                    .set_item(Some(write.item()));
                if write.old_version > 0 {
                    put = put.expression_attribute_values(":v", n(write.old_version));
                }
                item.put(put.build().map_err(unbuildable)?)
            }
            Action::Delete { key, version } => {
                let delete = Delete::builder().table_name(&self.table).set_key(Some(key.attributes()));
                let delete =
                    delete.condition_expression("v = :v").expression_attribute_values(":v", n(version));
                item.delete(delete.build().map_err(unbuildable)?)
            }
            Action::Check { key, version } => {
                let check = ConditionCheck::builder().table_name(&self.table).set_key(Some(key.attributes()));
                let check =
                    check.condition_expression("v = :v").expression_attribute_values(":v", n(version));
                item.condition_check(check.build().map_err(unbuildable)?)
            }
            Action::Mark { key, is_there: true } => {
                let put = Put::builder().table_name(&self.table).set_item(Some(key.attributes()));
                item.put(put.build().map_err(unbuildable)?)
            }
            Action::Mark { key, is_there: false } => {
                let delete = Delete::builder().table_name(&self.table).set_key(Some(key.attributes()));
                item.delete(delete.build().map_err(unbuildable)?)
            }
        };
        Ok(item.build())
    }

    async fn put(&self, write: Write) -> Result<(), StoreError> {
        let mut request = self
            .client
            .put_item()
            .table_name(&self.table)
            .condition_expression(write.condition())
            .set_item(Some(write.item()));
        if write.old_version > 0 {
            request = request.expression_attribute_values(":v", n(write.old_version));
        }
        request.send().await.map_err(failed("PutItem"))?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<Versioned<T>>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let answer = request.consistent_read(true).send().await.map_err(failed("GetItem"))?;
        answer.item.map(|item| document(&item)).transpose()
    }

    /// The documents of a partition whose sort key begins with `prefix`, after `after`: up to `limit` with their sort
    /// keys, and whether there are more.
    async fn query<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        page: Page<'_>,
    ) -> Result<(Vec<(String, Versioned<T>)>, bool), StoreError> {
        let mut out = Vec::new();
        let mut from = page.after.map(|sk| Key::new(pk, sk).attributes());
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                .expression_attribute_values(":pk", s(pk))
                .expression_attribute_values(":sk", s(prefix))
                .consistent_read(true)
                .scan_index_forward(!page.newest_first)
                .limit((page.limit - out.len()).min(10_000) as i32)
                .set_exclusive_start_key(from);
            let answer = request.send().await.map_err(failed("Query"))?;
            for item in answer.items() {
                out.push((text(item, "sk").unwrap_or_default().to_owned(), document(item)?));
            }
            from = answer.last_evaluated_key;
            if from.is_none() || out.len() >= page.limit {
                return Ok((out, from.is_some()));
            }
        }
    }

    /// The keys of a page of what stands in a list of the `updated` index, with their times, newest first, and whether there
    /// are more; `after` is the last one of the page before. A change shows after a moment.
    async fn newest(
        &self,
        list: &str,
        after: Option<(Key, Time)>,
        limit: usize,
    ) -> Result<(Vec<(Key, Time)>, bool), StoreError> {
        let from = after.map(|(key, at)| {
            let mut from = key.attributes();
            from.insert("list".to_owned(), s(list));
            from.insert("updated_at".to_owned(), n(at.0));
            from
        });
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("updated")
            .key_condition_expression("#list = :list")
            .expression_attribute_names("#list", "list")
            .expression_attribute_values(":list", s(list))
            .scan_index_forward(false)
            .limit(limit as i32)
            .set_exclusive_start_key(from);
        let answer = request.send().await.map_err(failed("Query"))?;
        let place = |item: &Attributes| {
            let at = i64::try_from(number(item, "updated_at")?).ok()?;
            Some((Key::new(text(item, "pk")?, text(item, "sk")?), Time(at)))
        };
        Ok((answer.items().iter().filter_map(place).collect(), answer.last_evaluated_key.is_some()))
    }

    /// What the sweeper must look at by `now`: up to `limit` keys, longest due first.
    pub async fn due(&self, now: Time, limit: usize) -> Result<Vec<Key>, StoreError> {
        let mut out: Vec<(u64, Key)> = Vec::new();
        for shard in 0..WAKE_SHARDS {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("wake")
                .key_condition_expression("wake = :shard AND wake_at <= :now")
                .expression_attribute_values(":shard", s(shard.to_string()))
                .expression_attribute_values(":now", n(now.0))
                .limit(limit as i32);
            let answer = request.send().await.map_err(failed("Query"))?;
            for item in answer.items() {
                if let (Some(pk), Some(sk)) = (text(item, "pk"), text(item, "sk")) {
                    out.push((number(item, "wake_at").unwrap_or(0), Key::new(pk, sk)));
                }
            }
        }
        out.sort_by_key(|(at, _)| *at);
        out.truncate(limit);
        Ok(out.into_iter().map(|(_, key)| key).collect())
    }
}

/// Which page of a partition.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    after: Option<&'a str>,
    limit: usize,
    newest_first: bool,
}

impl Page<'_> {
    const ALL: Self = Self { after: None, limit: usize::MAX, newest_first: false };
}

fn document<T: DeserializeOwned>(item: &Attributes) -> Result<Versioned<T>, StoreError> {
    let what =
        || format!("catalog item {} {}", text(item, "pk").unwrap_or("?"), text(item, "sk").unwrap_or("?"));
    let value = serde_json::from_str(text(item, "doc").unwrap_or_default());
    let value = value.map_err(|e| StoreError::damaged(what(), e))?;
    let version = number(item, "v").ok_or_else(|| StoreError::damaged(what(), "it has no version"))?;
    Ok(Versioned { value, version })
}
