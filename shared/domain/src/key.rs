//! Keys: the tokens that callers present, written `rk_ID_SECRET`, and what each allows. Only the SHA-256 of a secret is
//! stored.

use crate::{
    id::KeyId,
    time::{Ids, Time},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt, str::FromStr};
use subtle::{Choice, ConstantTimeEq};

/// How long a token is: `rk_`, an id of 26 characters, `_`, and 256 bits as base64url.
pub const TOKEN_BYTES: usize = 3 + 26 + 1 + 43;
/// How long the name of a rotation is remembered, in milliseconds.
pub const ROTATION_MILLIS: i64 = crate::time::DAY_MILLIS;
/// The most keys that are in use.
pub const MAX_KEYS: usize = 100;
/// How long a key that was revoked is still listed, in milliseconds: 400 days, so that last year's trail can be read.
pub const REVOKED_MILLIS: i64 = 400 * crate::time::DAY_MILLIS;

/// The purpose of a key. `ingest` includes no other scope, and no other includes it; `manage` includes `read`, and `admin`
/// includes `manage`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Scope {
    /// Post interactions, and nothing else.
    Ingest,
    /// Look at things, and ask about audiences.
    Read,
    /// Change sources, segments and restores.
    Manage,
    /// Make and revoke keys, and read the audit trail.
    Admin,
}

impl Scope {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Manage => "manage",
            Self::Admin => "admin",
        }
    }

    /// Whether a key with this scope may do what needs the scope `wanted`.
    pub fn allows(self, wanted: Self) -> bool {
        match (self, wanted) {
            (Self::Ingest, wanted) => wanted == Self::Ingest,
            (_, Self::Ingest) => false,
            (had, wanted) => had >= wanted,
        }
    }
}

/// The SHA-256 of a secret, as hexadecimal digits where it is stored. Compared in constant time only.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretHash(String);

impl SecretHash {
    fn of(secret: &str) -> Self {
        use fmt::Write;
        Self(Sha256::digest(secret).iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    pub(crate) fn is(&self, other: &Self) -> Choice {
        self.0.as_bytes().ct_eq(other.0.as_bytes())
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

/// The token that a caller presents. `Debug` leaves the secret out; [`fmt::Display`] writes it whole, for the person who
/// gets the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The id of its key.
    pub id: KeyId,
    secret: String,
}

impl Token {
    /// A token of that key with a new secret.
    pub fn new(id: KeyId, ids: &dyn Ids) -> Self {
        Self { id, secret: URL_SAFE_NO_PAD.encode(ids.new_secret()) }
    }

    /// The hash that is stored of its secret.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rk_{}_{}", self.id, self.secret)
    }
}

/// The error for a text that is not a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key is written rk_ID_SECRET, with an id of 26 and a secret of 43 characters")]
pub struct NoToken;

impl FromStr for Token {
    type Err = NoToken;

    /// Reads the one spelling that a token has; any other text is refused.
    fn from_str(text: &str) -> Result<Self, NoToken> {
        let read = || {
            if text.len() != TOKEN_BYTES {
                return None;
            }
            let (id, secret) = text.strip_prefix("rk_")?.split_once('_')?;
            let is_secret = URL_SAFE_NO_PAD.decode(secret).is_ok_and(|bytes| bytes.len() == 32);
            let token = Self { id: id.parse().ok()?, secret: secret.to_owned() };
            (is_secret && token.to_string() == text).then_some(token)
        };
        read().ok_or(NoToken)
    }
}

/// A key, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKey {
    /// Its public half.
    pub id: KeyId,
    /// Counts writes; the condition of each.
    pub version: u64,
    /// The name for people.
    pub name: String,
    /// The scopes that it has.
    pub scopes: BTreeSet<Scope>,
    /// The hash of its secret.
    pub hash: SecretHash,
    /// The secret before this one, while it is still accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<OldSecret>,
    /// When it was made.
    pub created_at: Time,
    /// The key that made it, as `key/ID`, or the program that did where there was no key yet.
    pub created_by: String,
    /// When it last got a new secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// The name that the caller gave the last rotation, if any. The rotation may be repeated under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<String>,
    /// When it was revoked; `None` unless it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

/// A secret that was replaced.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OldSecret {
    /// The hash of that secret.
    pub hash: SecretHash,
    /// Until when it is accepted.
    pub until: Time,
}

impl AccessKey {
    /// A new key.
    pub fn new(token: &Token, name: String, scopes: BTreeSet<Scope>, now: Time, by: String) -> Self {
        Self {
            id: token.id,
            version: 0,
            name,
            scopes,
            hash: token.hash(),
            old: None,
            created_at: now,
            created_by: by,
            rotated_at: None,
            rotation: None,
            revoked_at: None,
        }
    }

    /// The key with another secret. The one that it has goes on until `until`, if that is given.
    ///
    /// A rotation under the `name` of the last one, within [`ROTATION_MILLIS`] of it, takes its place: the caller had no
    /// answer, so that nobody has the secret that the last one made. The secret from before goes on as the last one said.
    pub fn rotated(&self, hash: SecretHash, until: Option<Time>, name: Option<&str>, now: Time) -> Self {
        let last = self.rotated_at.filter(|at| {
            name.is_some() && self.rotation.as_deref() == name && now < at.plus(ROTATION_MILLIS)
        });
        let old = match last {
            Some(_) => self.old.clone(),
            None => until.map(|until| OldSecret { hash: self.hash.clone(), until }),
        };
        let (rotated_at, rotation) = (last.or(Some(now)), name.map(str::to_owned));
        Self { hash, old, rotated_at, rotation, ..self.clone() }
    }

    /// Whether the hash is the one of its secret at that time, whether or not the key was revoked. Takes the same time
    /// whatever is wrong with the hash.
    pub fn has_secret(&self, presented: &SecretHash, now: Time) -> bool {
        let is_old = self
            .old
            .as_ref()
            .map_or(Choice::from(0), |old| Choice::from(u8::from(now < old.until)) & old.hash.is(presented));
        (self.hash.is(presented) | is_old).into()
    }

    /// Whether it has not been revoked.
    pub const fn is_living(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// Whether one of its scopes allows what needs `wanted`. A revoked key may still answer yes: see [`Self::is_living`].
    pub fn allows(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.allows(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ulid;

    struct Fixed;

    impl Ids for Fixed {
        fn new_id(&self, _: Time) -> Ulid {
            Ulid::from_parts(7, 10)
        }
        fn new_secret(&self) -> [u8; 32] {
            [0xfb; 32]
        }
    }

    fn token() -> Token {
        Token::new(KeyId(Fixed.new_id(Time(0))), &Fixed)
    }

    #[test]
    fn a_token_round_trips_in_one_spelling_only() {
        let text = token().to_string();
        assert_eq!(text.len(), TOKEN_BYTES);
        assert_eq!(text.parse(), Ok(token()));
        let last_bits = format!("{}_", &text[..TOKEN_BYTES - 1]);
        for bad in
            ["", "rk_", &text[1..], &format!("{text}x"), &text.to_lowercase(), &last_bits, &"é".repeat(40)]
        {
            assert_eq!(bad.parse::<Token>(), Err(NoToken), "{bad}");
        }
        assert!(!format!("{:?}", token()).contains("-_"));
    }

    #[test]
    fn the_hash_is_of_the_secret_as_it_is_written() {
        // `printf %s -_v7-_v7… | openssl dgst -sha256`, as scripts/admin-key does it.
        assert_eq!(token().secret, "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s");
        assert_eq!(token().hash().0, "d11835ca7edbd11d612c89ccda97f8054dde4f78485ff5b589336e8bd9e35315");
    }

    #[test]
    fn what_the_script_writes_is_read() {
        let first = r#"{"id":"01M88W25109EGSMK4MY3BG38T3","version":1,"name":"admin key","scopes":["ingest","admin"],"hash":"00","created_at":"2026-11-25T08:09:56.000Z","created_by":"scripts/admin-key"}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<AccessKey>(first).unwrap()).unwrap(), first);
    }

    #[test]
    fn ingest_stands_alone_and_the_others_take_in_those_before() {
        use Scope::{Admin, Ingest, Manage, Read};
        let of = |had: Scope| [Ingest, Read, Manage, Admin].map(|wanted| had.allows(wanted));
        assert_eq!(of(Ingest), [true, false, false, false]);
        assert_eq!(of(Read), [false, true, false, false]);
        assert_eq!(of(Manage), [false, true, true, false]);
        assert_eq!(of(Admin), [false, true, true, true]);
    }

    #[test]
    fn an_old_secret_opens_until_its_time() {
        let (first, second) = (token(), Token { secret: "x".repeat(43), ..token() });
        let mut key = AccessKey::new(&second, "k".to_owned(), BTreeSet::new(), Time(0), "me".to_owned());
        assert!(key.has_secret(&second.hash(), Time(0)) && !key.has_secret(&first.hash(), Time(0)));
        key.old = Some(OldSecret { hash: first.hash(), until: Time(10) });
        assert!(key.has_secret(&first.hash(), Time(9)) && !key.has_secret(&first.hash(), Time(10)));
        assert!(key.has_secret(&second.hash(), Time(10)));
    }
}
