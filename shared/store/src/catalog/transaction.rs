//! Writes: each conditional on the version that was read, and several together or not at all.

use super::{Catalog, Key};
use crate::{
    boxed,
    dynamo::{Attributes, n, s, unbuildable},
    error::{StoreError, failed},
};
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use rekindle_domain::time::Time;
use serde::Serialize;

/// The attributes that put an item into the indexes.
#[derive(Default, Debug)]
pub(super) struct Index {
    /// When the sweeper must look at the item.
    pub(super) wake_at: Option<Time>,
    /// The list that the item stands in, and when it was updated.
    pub(super) list: Option<(&'static str, Time)>,
    /// When its data expires.
    pub(super) expires_at: Option<Time>,
    /// Further attributes, which a listing filters by.
    pub(super) more: Vec<(&'static str, String)>,
}

/// The bytes of a shard of the `wake` index.
const WAKE_BYTES: usize = 1;

/// One conditional write of an item.
pub(super) struct Write {
    key: Key,
    content: Attributes,
    old_version: u64,
    index: Index,
    pub(super) expires_after: Option<Time>,
}

impl Write {
    /// Writes a document over `old_version`; 0 means that the item must not exist yet.
    pub(super) fn new<T: Serialize>(
        key: Key,
        value: &T,
        old_version: u64,
        index: Index,
    ) -> Result<Self, StoreError> {
        let doc = serde_json::to_string(value).map_err(unbuildable)?;
        let content = Attributes::from([("doc".to_owned(), s(doc))]);
        Ok(Self { key, content, old_version, index, expires_after: None })
    }

    /// Makes a new item that is no document.
    pub(super) fn of_attributes(key: Key, content: Attributes) -> Self {
        Self { key, content, old_version: 0, index: Index::default(), expires_after: None }
    }

    pub(super) fn item(&self) -> Attributes {
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

    /// The bytes of the item, by DynamoDB's count, and not less.
    fn bytes(&self) -> usize {
        let more: usize = self.index.more.iter().map(|(name, text)| name.len() + text.len()).sum();
        let index = self.index.list.map_or(0, |(list, _)| list.len());
        // The names of all attributes that an item may have, and their numbers: `v`, three times and `ttl`.
        let names = "pk,sk,v,wake,wake_at,list,updated_at,expires_at,ttl".len() + WAKE_BYTES + 5 * NUMBER;
        self.key.bytes() + bytes_of(&self.content) + more + index + names
    }

    const fn condition(&self) -> &'static str {
        if self.old_version == 0 { "attribute_not_exists(pk)" } else { "v = :v" }
    }
}

/// The most bytes that a number takes.
const NUMBER: usize = 21;

/// The bytes of attributes, by DynamoDB's count: of names and values. A number is counted with the most that it takes.
fn bytes_of(attributes: &Attributes) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        _ => NUMBER,
    };
    attributes.iter().map(|(name, of)| name.len() + value(of)).sum()
}

/// An action of a transaction on one item. All but [`Action::Presence`] need the version that was read.
pub(super) enum Action {
    Put(Write),
    Delete {
        key: Key,
        version: u64,
    },
    Check {
        key: Key,
        version: u64,
    },
    /// Makes an item with this content, or deletes it, whatever was there before. Every transaction with this action
    /// also has the conditional write of the document that the item follows from.
    Presence {
        key: Key,
        content: Option<Attributes>,
    },
}

/// Up to [`Transaction::MAX`] writes that happen together or not at all. [`Catalog::commit`] writes them.
#[derive(Default)]
pub struct Transaction {
    actions: Vec<Action>,
    bytes: usize,
}

impl Transaction {
    /// A transaction without actions.
    pub fn new() -> Self {
        Self::default()
    }

    /// The greatest number of actions in a transaction, by DynamoDB.
    pub const MAX: usize = 100;

    /// The most bytes of the items in a transaction. DynamoDB takes 4 MB.
    pub const MAX_BYTES: usize = 4_000_000;

    /// The bytes of its items, by DynamoDB's count, and not less.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of its actions.
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// Whether it has no actions.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    pub(super) fn push(&mut self, write: Write) {
        self.bytes += write.bytes();
        self.actions.push(Action::Put(write));
    }

    pub(super) fn delete(&mut self, key: Key, version: u64) {
        self.bytes += key.bytes();
        self.actions.push(Action::Delete { key, version });
    }

    pub(super) fn check(&mut self, key: Key, version: u64) {
        self.bytes += key.bytes();
        self.actions.push(Action::Check { key, version });
    }

    pub(super) fn set_presence(&mut self, key: Key, content: Option<Attributes>) {
        self.bytes += key.bytes() + content.as_ref().map_or(0, bytes_of);
        self.actions.push(Action::Presence { key, content });
    }
}

impl Catalog {
    /// Writes everything in a transaction, or nothing of it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where any item has another version than was read: read again and decide again.
    /// [`StoreError::Unavailable`]: the transaction may have been written.
    #[boxed]
    pub async fn commit(&self, mut transaction: Transaction) -> Result<(), StoreError> {
        match transaction.actions.pop() {
            None => return Ok(()),
            // A conditional put of one item costs half as much as a transaction of one item.
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
            Action::Presence { key, content: Some(content) } => {
                let mut attributes = key.attributes();
                attributes.extend(content);
                let put = Put::builder().table_name(&self.table).set_item(Some(attributes));
                item.put(put.build().map_err(unbuildable)?)
            }
            Action::Presence { key, content: None } => {
                let delete = Delete::builder().table_name(&self.table).set_key(Some(key.attributes()));
                item.delete(delete.build().map_err(unbuildable)?)
            }
        };
        Ok(item.build())
    }

    #[boxed]
    pub(super) async fn put(&self, write: Write) -> Result<(), StoreError> {
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
}
