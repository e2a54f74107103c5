//! Keys: they identify callers, and their scopes bound what a caller may do.
//!
//! The HTTP layer asks [`Rekindle::verify`] about every request. A process remembers a verified key for 5 seconds: a busy
//! caller costs one read in that time, and a revoked key works for no longer than that. A refusal is never remembered, so
//! that a new secret works at once.

use crate::{
    app::Rekindle,
    boxed,
    checks::{check_idempotency_key, check_name},
    journal::Caller,
    page::{Listing, decode_cursor},
    problem::Problem,
    retry::{until_answered, until_won},
};
use rekindle_domain::{
    id::KeyId,
    key::{AccessKey, MAX_KEYS, Scope, Token},
    session::SessionToken,
    time::{Period, Time},
};
use rekindle_store::{StoreError, catalog::Transaction};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The longest time for which an old secret may go on working.
const MAX_GRACE: &str = "P7D";

/// The reason why a token is refused: for the log, never for the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No key of this deployment has that id.
    UnknownKey,
    /// The key exists, and its secret is another.
    WrongSecret,
    /// The key was revoked. Its secret is right.
    Revoked(KeyId),
}

/// A key that somebody wants.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// What people call it.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Name"))]
    pub name: String,
    /// What it is to do.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Scope>", length(min = 1)))]
    pub scopes: BTreeSet<Scope>,
}

/// How a secret is to be replaced.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateInput {
    /// How long the old one goes on; not at all, if left out.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<rekindle_domain::schema::GivenPeriod>"))]
    pub grace: Option<String>,
}

/// A key as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[allow(missing_docs, reason = "the fields are the API's; see `AccessKey`")]
pub struct KeyView {
    pub id: KeyId,
    pub name: String,
    pub scopes: BTreeSet<Scope>,
    pub created_at: Time,
    pub created_by: String,
    pub rotated_at: Option<Time>,
    /// Until when the secret before goes on.
    pub old_secret_until: Option<Time>,
    pub revoked_at: Option<Time>,
    /// The whole of it, secret and all: only in the answer that made the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl KeyView {
    fn of(key: AccessKey, now: Time) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            created_at: key.created_at,
            created_by: key.created_by,
            rotated_at: key.rotated_at,
            old_secret_until: key.old.map(|old| old.until).filter(|until| now < *until),
            revoked_at: key.revoked_at,
            key: None,
        }
    }
}

fn unknown(id: KeyId) -> Problem {
    Problem::not_found("unknown_key", format!("there is no key {id}"))
}

impl Rekindle {
    /// Returns the token's key, or the reason for a refusal. While this process remembers a key, it does not see changes
    /// that other processes make to it.
    ///
    /// # Errors
    /// The inner error: the token is refused. The outer error: the store does not answer, so that the token was not
    /// checked.
    #[boxed]
    pub async fn verify(&self, token: &Token) -> Result<Result<AccessKey, Refusal>, StoreError> {
        // Before the read, since the key that is read may be out of date from here on.
        let now = self.now();
        let presented = token.hash();
        if let Some(key) = self.keys.get(token.id, now).filter(|key| key.has_secret(&presented, now)) {
            return Ok(Ok(key));
        }
        let Some(key) = self.store.catalog.access_key(token.id).await? else {
            return Ok(Err(Refusal::UnknownKey));
        };
        if !key.has_secret(&presented, now) {
            return Ok(Err(Refusal::WrongSecret));
        }
        if !key.is_living() {
            return Ok(Err(Refusal::Revoked(key.id)));
        }
        self.keys.put(now, &key);
        Ok(Ok(key))
    }

    /// Returns the key whose session a token opens, or the reason for a refusal. While this process remembers a key, it does not
    /// see changes that other processes make to it.
    ///
    /// # Errors
    /// The inner error: the session is refused. The outer error: the store does not answer, so that the session was not
    /// checked.
    #[boxed]
    pub async fn verify_session(
        &self,
        token: &SessionToken,
    ) -> Result<Result<AccessKey, Refusal>, StoreError> {
        let now = self.now();
        let Some(session) = self.store.catalog.session(token.id()).await? else {
            return Ok(Err(Refusal::UnknownKey));
        };
        if let Some(key) = self.keys.get(session.key, now).filter(|key| key.has_session(&session, token, now))
        {
            return Ok(Ok(key));
        }
        let Some(key) = self.store.catalog.access_key(session.key).await? else {
            return Ok(Err(Refusal::UnknownKey));
        };
        if !key.is_living() {
            return Ok(Err(Refusal::Revoked(key.id)));
        }
        if !key.has_session(&session, token, now) {
            return Ok(Err(Refusal::WrongSecret));
        }
        self.keys.put(now, &key);
        Ok(Ok(key))
    }

    /// Opens a session of a key that was verified.
    ///
    /// # Errors
    /// The store does not answer.
    #[boxed]
    pub async fn open_session(&self, key: &AccessKey) -> Result<SessionToken, StoreError> {
        let opens = SessionToken::new(self.now(), &*self.ids);
        let mut transaction = Transaction::new();
        transaction.put_session(opens.id(), &key.session(&opens, self.now()))?;
        self.store.catalog.commit(transaction).await?;
        Ok(opens)
    }

    /// Ends a session. One that has ended already is no error.
    ///
    /// # Errors
    /// The store does not answer.
    #[boxed]
    pub async fn end_session(&self, token: &SessionToken) -> Result<(), StoreError> {
        if self.verify_session(token).await?.is_err() {
            return Ok(());
        }
        let mut transaction = Transaction::new();
        transaction.delete_session(token.id());
        match self.store.catalog.commit(transaction).await {
            Err(StoreError::Conflict) => Ok(()),
            ended => ended,
        }
    }

    /// The names of callers such as `key/ID`, as timelines and the audit trail have them; those that are no keys are left out.
    ///
    /// # Errors
    /// 503.
    #[boxed]
    pub async fn caller_names(
        &self,
        callers: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>, Problem> {
        let mut names = BTreeMap::new();
        for caller in callers {
            let Some(Ok(id)) = caller.strip_prefix("key/").map(str::parse) else { continue };
            if let Some(key) = self.store.catalog.access_key(id).await? {
                names.insert(caller.clone(), key.name.clone());
            }
        }
        Ok(names)
    }

    /// Makes a key. Its secret is in this answer and nowhere else.
    ///
    /// # Errors
    /// 409 too many keys; 422 an invalid name, or no scope.
    #[boxed]
    pub async fn create_key(&self, input: &KeyInput, by: &Caller) -> Result<KeyView, Problem> {
        check_name(&input.name)?;
        if input.scopes.is_empty() {
            let detail = "scopes must name one or more of ingest, read, manage, admin";
            return Err(Problem::unprocessable("invalid_scopes", detail));
        }
        let token = Token::new(KeyId(self.new_id()), &*self.ids);
        until_answered!(async {
            // Read before the keys: a key that another call makes after they were read changes it, and this call loses.
            let made = self.store.catalog.keys_made().await?;
            if self.living_keys().await?.len() >= MAX_KEYS {
                let detail = format!("{MAX_KEYS} keys are in use already; revoke one first");
                return Err(Problem::conflict("too_many_keys", detail).into());
            }
            let now = self.now();
            let key = AccessKey::new(&token, input.name.clone(), input.scopes.clone(), now, by.name());
            let mut transaction = Transaction::new();
            transaction.put_key(&key)?;
            transaction.put_keys_made(&made)?;
            let scopes = input.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
            let detail = Some(format!("{}: {scopes}", key.name));
            self.audit(&mut transaction, by, "created", &on(key.id), detail)?;
            self.store.catalog.commit(transaction).await?;
            Ok(KeyView { key: Some(token.to_string()), ..KeyView::of(key, now) })
        })
    }

    /// A page of keys, revoked ones included, by id and so by age.
    ///
    /// # Errors
    /// 400 a cursor that is not ours.
    #[boxed]
    pub async fn list_keys(&self, cursor: Option<&str>, limit: usize) -> Result<Listing<KeyView>, Problem> {
        let after: Option<KeyId> = cursor.map(decode_cursor).transpose()?;
        let page = self.store.catalog.access_keys(after, limit).await?;
        let now = self.now();
        Ok(Listing::of(page.map(|key| KeyView::of(key, now))))
    }

    /// A key, whether or not it was revoked.
    ///
    /// # Errors
    /// 404.
    #[boxed]
    pub async fn get_key(&self, id: KeyId) -> Result<KeyView, Problem> {
        let key = self.store.catalog.access_key(id).await?.ok_or_else(|| unknown(id))?;
        Ok(KeyView::of(key, self.now()))
    }

    /// Gives a key another secret, which is in this answer and nowhere else. A rotation that is sent again under the same
    /// idempotency key takes the place of the first.
    ///
    /// # Errors
    /// 404; 409 the key was revoked; 422 an invalid grace or idempotency key.
    #[boxed]
    pub async fn rotate_key(
        &self,
        id: KeyId,
        input: &RotateInput,
        idempotency_key: Option<&str>,
        by: &Caller,
    ) -> Result<KeyView, Problem> {
        idempotency_key.map_or(Ok(()), check_idempotency_key)?;
        let grace = input.grace.as_deref().map(|text| self.grace(text)).transpose()?;
        let token = Token::new(id, &*self.ids);
        let outcome = until_answered!(async {
            let now = self.now();
            let Some(key) = self.store.catalog.access_key(id).await? else {
                return Err(unknown(id).into());
            };
            if !key.is_living() {
                let detail = format!("key {id} was revoked, and stays so; make a new one");
                return Err(Problem::conflict("key_revoked", detail).into());
            }
            let until = grace.and_then(|grace| grace.after(now));
            let key = key.rotated(token.hash(), until, idempotency_key, now);
            let mut transaction = Transaction::new();
            transaction.put_key(&key)?;
            let until = key.old.as_ref().map(|old| old.until);
            let detail = until.map(|until| format!("the old secret goes on until {until}"));
            self.audit(&mut transaction, by, "rotated", &on(id), detail)?;
            self.store.catalog.commit(transaction).await?;
            Ok(KeyView { key: Some(token.to_string()), ..KeyView::of(key, now) })
        });
        self.keys.forget(id);
        outcome
    }

    fn grace(&self, text: &str) -> Result<Period, Problem> {
        let invalid = |why: String| Problem::unprocessable("invalid_grace", format!("grace: {why}"));
        let grace = Period::parse(text).map_err(invalid)?;
        let ends = |period: &Period| period.after(self.now());
        let most = Period::parse(MAX_GRACE).ok().as_ref().and_then(ends);
        if ends(&grace).is_some_and(|at| Some(at) <= most) {
            return Ok(grace);
        }
        Err(invalid(format!("an old secret goes on for {MAX_GRACE} at most")))
    }

    /// Revokes a key. Revoking it again changes nothing. The key stops working at once in this process, and within 5
    /// seconds in all others.
    ///
    /// # Errors
    /// 404; 409 the key is the last with the scope admin.
    #[boxed]
    pub async fn revoke_key(&self, id: KeyId, by: &Caller) -> Result<(), Problem> {
        let outcome = until_answered!(async {
            let Some(key) = self.store.catalog.access_key(id).await? else {
                return Err(unknown(id).into());
            };
            if !key.is_living() {
                return Ok(());
            }
            let mut transaction = Transaction::new();
            if key.allows(Scope::Admin) {
                let living = self.living_keys().await?;
                let Some(other) = living.iter().find(|other| other.id != id && other.allows(Scope::Admin))
                else {
                    let detail = "this is the last key with the scope admin; make another one first";
                    return Err(Problem::conflict("last_admin_key", detail).into());
                };
                // The other key must still be as it was read: of two admin keys that revoke each other, one call loses.
                transaction.check_key(other);
            }
            transaction.put_key(&AccessKey { revoked_at: Some(self.now()), old: None, ..key.clone() })?;
            self.audit(&mut transaction, by, "revoked", &on(id), Some(key.name))?;
            self.store.catalog.commit(transaction).await?;
            Ok(())
        });
        self.keys.forget(id);
        outcome
    }

    async fn living_keys(&self) -> Result<Vec<AccessKey>, StoreError> {
        let mut keys = self.store.catalog.access_keys(None, usize::MAX).await?.items;
        keys.retain(AccessKey::is_living);
        Ok(keys)
    }

    /// Gives a token the scopes ingest and admin, even if its key was revoked before. The local runner calls this for the
    /// person who starts it and so owns its data; no function of a deployment does.
    ///
    /// # Errors
    /// If the store does not answer.
    #[boxed]
    pub async fn install_key(&self, token: &Token, name: &str) -> Result<(), StoreError> {
        until_won!(async {
            let now = self.now();
            let scopes = BTreeSet::from([Scope::Ingest, Scope::Admin]);
            let fresh = AccessKey::new(token, name.to_owned(), scopes, now, name.to_owned());
            let is_as_wanted = |key: &AccessKey| {
                key.is_living() && key.scopes == fresh.scopes && key.has_secret(&fresh.hash, now)
            };
            match self.store.catalog.access_key(token.id).await? {
                Some(key) if is_as_wanted(&key) => Ok(()),
                found => {
                    let version = found.map_or(0, |key| key.version);
                    let mut transaction = Transaction::new();
                    transaction.put_key(&AccessKey { version, ..fresh.clone() })?;
                    self.store.catalog.commit(transaction).await
                }
            }
        })
    }
}

fn on(id: KeyId) -> String {
    format!("key/{id}")
}
