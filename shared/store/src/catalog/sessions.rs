//! Sessions of the console. DynamoDB deletes one some time after its end.

use super::{Catalog, Index, Key, Transaction, Versioned, Write};
use crate::error::StoreError;
use rekindle_domain::{Ulid, session::Session};

fn key(id: Ulid) -> Key {
    Key::new(format!("session#{id}"), "session")
}

impl Transaction {
    /// Writes a session that is new.
    pub fn put_session(&mut self, id: Ulid, session: &Session) -> Result<(), StoreError> {
        let mut write = Write::new(key(id), session, 0, Index::default())?;
        write.expires_after = Some(session.until);
        self.push(write);
        Ok(())
    }

    /// Deletes a session, which never changes.
    pub fn delete_session(&mut self, id: Ulid) {
        self.delete(key(id), 1);
    }
}

impl Catalog {
    /// A session, if it exists.
    pub async fn session(&self, id: Ulid) -> Result<Option<Session>, StoreError> {
        Ok(self.get(&key(id)).await?.map(|v: Versioned<Session>| v.value))
    }
}
