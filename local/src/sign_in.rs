//! The link that the runner prints: whoever opens it first is signed in to the console, with the runner's admin key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rekindle_domain::{key::Token, time::Ids};
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// A link that signs its reader in once.
#[derive(Clone, Debug)]
pub struct SignInLink {
    key: Token,
    /// The word in the address; `None` once somebody used it.
    word: Arc<Mutex<Option<String>>>,
}

impl SignInLink {
    /// A new link that signs its reader in with a key.
    pub fn new(key: Token, ids: &dyn Ids) -> Self {
        let word = URL_SAFE_NO_PAD.encode(ids.new_secret());
        Self { key, word: Arc::new(Mutex::new(Some(word))) }
    }

    /// The path of its address; `None` once it was used.
    pub fn path(&self) -> Option<String> {
        let word = self.word.lock().unwrap_or_else(PoisonError::into_inner);
        word.as_ref().map(|word| format!("/_local/sign-in/{word}"))
    }

    /// The key, if the word is the link's and nobody used it before.
    pub fn use_up(&self, word: &str) -> Option<Token> {
        let mut kept = self.word.lock().unwrap_or_else(PoisonError::into_inner);
        let is_right = kept.as_ref().is_some_and(|kept| kept.as_bytes().ct_eq(word.as_bytes()).into());
        is_right.then(|| kept.take()).flatten().map(|_| self.key.clone())
    }
}
