//! Sessions: a browser that signed in with a key presents one instead of the key.
//!
//! A session names its key and its end, and bears a seal over both, made with the stored hash of the key's secret. Nobody
//! outside the store has that hash. So a session is stored nowhere, shows no secret, and ends with its key: when the key is
//! revoked, or gets another secret.

use crate::{
    id::KeyId,
    key::AccessKey,
    time::{DAY_MILLIS, Time},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq;

/// How long a session lasts, in milliseconds.
pub const SESSION_MILLIS: i64 = DAY_MILLIS / 2;

/// What a browser presents: `rs_KEY_UNTIL_SEAL`.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The key that it was made with.
    pub key: KeyId,
    /// When it ends.
    pub until: Time,
    seal: [u8; 32],
}

fn message(key: KeyId, until: Time) -> String {
    format!("session of {key} until {}", until.0)
}

impl AccessKey {
    /// A session of this key that begins now.
    pub fn session(&self, now: Time) -> Session {
        let until = now.plus(SESSION_MILLIS);
        Session { key: self.id, until, seal: self.hash.seal(&message(self.id, until)) }
    }

    /// Whether a session is this key's, and has not ended; a session under the secret before lasts as long as that does.
    pub fn has_session(&self, session: &Session, now: Time) -> bool {
        let old = self.old.as_ref().filter(|old| now < old.until).map(|old| &old.hash);
        let message = message(session.key, session.until);
        let is_sealed = std::iter::once(&self.hash)
            .chain(old)
            .any(|hash| hash.seal(&message).ct_eq(&session.seal).into());
        is_sealed && session.key == self.id && now < session.until && self.is_living()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.key)
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rs_{}_{}_{}", self.key, self.until.0, URL_SAFE_NO_PAD.encode(self.seal))
    }
}

/// The error for a text that is not a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a session")]
pub struct NoSession;

impl FromStr for Session {
    type Err = NoSession;

    /// Reads the one spelling that a session has; any other text is refused.
    fn from_str(text: &str) -> Result<Self, NoSession> {
        let read = || {
            let mut parts = text.strip_prefix("rs_")?.splitn(3, '_');
            let (key, until, seal) = (parts.next()?, parts.next()?, parts.next()?);
            let seal = URL_SAFE_NO_PAD.decode(seal).ok()?.try_into().ok()?;
            let session = Self { key: key.parse().ok()?, until: Time(until.parse().ok()?), seal };
            (session.to_string() == text).then_some(session)
        };
        read().ok_or(NoSession)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ulid, key::OldSecret, key::Token, time::Ids};
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

    #[test]
    fn a_session_opens_its_key_until_its_end() {
        let key = key(1, 1);
        let session = key.session(Time(5));
        assert_eq!(session.until, Time(5 + SESSION_MILLIS));
        assert!(key.has_session(&session, Time(5)) && key.has_session(&session, Time(4 + SESSION_MILLIS)));
        assert!(!key.has_session(&session, session.until));
        assert!(!AccessKey { revoked_at: Some(Time(6)), ..key }.has_session(&session, Time(7)));
    }

    #[test]
    fn a_session_of_another_key_or_secret_or_end_opens_nothing() {
        let session = key(1, 1).session(Time(0));
        assert!(!key(2, 1).has_session(&session, Time(1)));
        assert!(!key(1, 2).has_session(&session, Time(1)));
        let longer = Session { until: Time(session.until.0 + 1), ..session.clone() };
        assert!(!key(1, 1).has_session(&longer, Time(1)));
        // Under the secret before, it lasts as long as that.
        let old = Some(OldSecret { hash: key(1, 1).hash, until: Time(10) });
        let rotated = AccessKey { old, ..key(1, 2) };
        assert!(rotated.has_session(&session, Time(9)) && !rotated.has_session(&session, Time(10)));
    }

    #[test]
    fn a_session_round_trips_in_one_spelling_only() {
        let session = key(1, 1).session(Time(0));
        let text = session.to_string();
        assert_eq!(text.parse(), Ok(session.clone()));
        for bad in
            ["", "rs_", &text[1..], &format!("{text}x"), &text.replace("_4", "_+4"), &format!("{}=", text)]
        {
            assert_eq!(bad.parse::<Session>(), Err(NoSession), "{bad}");
        }
        assert!(!format!("{session:?}").contains(&text[text.len() - 20..]));
    }
}
