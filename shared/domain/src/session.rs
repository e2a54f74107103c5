//! Sessions of the console: a browser presents one instead of a key. It has a secret of its own, of which the store has the hash,
//! as it has of a key's: whoever reads the store can make neither.
//!
//! A session ends with its time, when it is signed out, when its key is revoked, and when its key has another secret than the
//! one that it was made with.

use crate::{
    Ulid,
    id::KeyId,
    key::{AccessKey, SecretHash, Token},
    time::{DAY_MILLIS, Ids, Time},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How long a session lasts, in milliseconds.
pub const SESSION_MILLIS: i64 = DAY_MILLIS / 2;

/// What a browser presents: `rs_ID_SECRET`, spelled as a key is but for its beginning.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(Token);

impl SessionToken {
    /// A new one.
    pub fn new(now: Time, ids: &dyn Ids) -> Self {
        Self(Token::new(KeyId(ids.new_id(now)), ids))
    }

    /// The id of its session.
    pub const fn id(&self) -> Ulid {
        self.0.id.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken({})", self.id())
    }
}

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_string().replacen("rk_", "rs_", 1))
    }
}

/// The error for a text that is not a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a session")]
pub struct NoSession;

impl FromStr for SessionToken {
    type Err = NoSession;

    /// Reads the one spelling that a session has; any other text is refused.
    fn from_str(text: &str) -> Result<Self, NoSession> {
        let rest = text.strip_prefix("rs_").ok_or(NoSession)?;
        format!("rk_{rest}").parse().map(Self).map_err(|_| NoSession)
    }
}

/// A session, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The key that it was made with.
    pub key: KeyId,
    /// The hash of the key's secret at that time.
    pub under: SecretHash,
    /// The hash of its own secret.
    pub hash: SecretHash,
    /// When it ends.
    pub until: Time,
}

impl AccessKey {
    /// The session that a token opens from now on.
    pub fn session(&self, token: &SessionToken, now: Time) -> Session {
        let until = now.plus(SESSION_MILLIS);
        Session { key: self.id, under: self.hash.clone(), hash: token.0.hash(), until }
    }

    /// Whether a token opens a session of this key. A session under the secret before lasts as long as that does.
    pub fn has_session(&self, session: &Session, token: &SessionToken, now: Time) -> bool {
        let is_own = session.key == self.id && bool::from(session.hash.is(&token.0.hash()));
        is_own && now < session.until && self.has_secret(&session.under, now) && self.is_living()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::OldSecret;
    use std::collections::BTreeSet;

    struct Counted(u8);

    impl Ids for Counted {
        fn new_id(&self, _: Time) -> Ulid {
            Ulid::from_parts(7, u128::from(self.0))
        }
        fn new_secret(&self) -> [u8; 32] {
            [self.0; 32]
        }
    }

    fn key(id: u8, secret: u8) -> AccessKey {
        let token = Token::new(KeyId(Counted(id).new_id(Time(0))), &Counted(secret));
        AccessKey::new(&token, "k".to_owned(), BTreeSet::new(), Time(0), "me".to_owned())
    }

    fn token(secret: u8) -> SessionToken {
        SessionToken::new(Time(0), &Counted(secret))
    }

    #[test]
    fn a_session_opens_its_key_until_its_end() {
        let key = key(1, 1);
        let session = key.session(&token(9), Time(5));
        assert_eq!(session.until, Time(5 + SESSION_MILLIS));
        let opens = |at| key.has_session(&session, &token(9), at);
        assert!(opens(Time(5)) && opens(Time(4 + SESSION_MILLIS)) && !opens(session.until));
        assert!(!key.has_session(&session, &token(8), Time(5)), "another secret");
        let revoked = AccessKey { revoked_at: Some(Time(6)), ..key.clone() };
        assert!(!revoked.has_session(&session, &token(9), Time(7)));
    }

    #[test]
    fn a_session_of_another_key_or_under_another_secret_opens_nothing() {
        let session = key(1, 1).session(&token(9), Time(0));
        assert!(!key(2, 1).has_session(&session, &token(9), Time(1)));
        assert!(!key(1, 2).has_session(&session, &token(9), Time(1)));
        // Under the secret before, it lasts as long as that.
        let old = Some(OldSecret { hash: key(1, 1).hash, until: Time(10) });
        let rotated = AccessKey { old, ..key(1, 2) };
        let opens = |at| rotated.has_session(&session, &token(9), at);
        assert!(opens(Time(9)) && !opens(Time(10)));
    }

    #[test]
    fn a_session_round_trips_in_one_spelling_only() {
        let session = token(1);
        let text = session.to_string();
        assert_eq!(text.parse(), Ok(session.clone()));
        for bad in
            ["", "rs_", &text[1..], &format!("{text}x"), &format!("{text}="), &text.replace("rs_", "rk_")]
        {
            assert_eq!(bad.parse::<SessionToken>(), Err(NoSession), "{bad}");
        }
        assert!(!format!("{session:?}").contains(&text[text.len() - 20..]));
    }
}
