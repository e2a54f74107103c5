//! Names of things: sources, ledgers, runs, copies.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use ulid::Ulid;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The kind of a source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SourceKind {
    /// A campaign: one message in variants.
    Campaign,
    /// A Canvas: a journey of steps in variations.
    Canvas,
}

impl SourceKind {
    /// `campaign` or `canvas`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Campaign => "campaign",
            Self::Canvas => "canvas",
        }
    }

    /// The plural in paths: `campaigns` or `canvases`.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Campaign => "campaigns",
            Self::Canvas => "canvases",
        }
    }
}

/// A campaign or a Canvas, written `campaign/ID` or `canvas/ID`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceId {
    kind: SourceKind,
    id: Box<str>,
}

/// The longest id that people choose (of a source, segment, variant, step or tag), in bytes.
pub const MAX_ID: usize = 128;
/// The rule of [`is_valid_id`] for people, to be put behind "is" or "must be".
pub const ID_RULE: &str = "1 to 128 characters of A-Z a-z 0-9 _ . : -, and neither . nor .. alone";

/// Whether `id` keeps to [`ID_RULE`] and so can be the id of a new thing. Programs that read URLs lose the ids `.` and
/// `..`.
pub fn is_valid_id(id: &str) -> bool {
    is_spelled_like_id(id) && !matches!(id, "." | "..")
}

/// Whether `id` has the characters and the length of an id: what is stored, and what names a stored thing, may be `.`
/// or `..`, which were ids once.
pub(crate) fn is_spelled_like_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b))
}

impl SourceId {
    /// A source by kind and id; `None` if the id breaks [`ID_RULE`].
    pub fn new(kind: SourceKind, id: &str) -> Option<Self> {
        is_valid_id(id).then(|| Self { kind, id: id.into() })
    }

    /// Campaign or Canvas.
    pub const fn kind(&self) -> SourceKind {
        self.kind
    }

    /// The id without its kind.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.id)
    }
}

impl FromStr for SourceId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, id) = text.split_once('/').unwrap_or((text, ""));
        let kind = match kind {
            "campaign" => SourceKind::Campaign,
            "canvas" => SourceKind::Canvas,
            _ => {
                return Err(format!("`{}` is not a source; write campaign/ID or canvas/ID", clip(text)));
            }
        };
        if !is_spelled_like_id(id) {
            return Err(format!("the id of `{}`: {}", clip(text), id_refusal(id)));
        }
        Ok(Self { kind, id: id.into() })
    }
}

/// At most 64 characters of `text`, for error messages; of a text of several words, whole ones.
pub fn clip(text: &str) -> String {
    clip_to(text, 64)
}

/// At most `most` characters of `text`, for error messages; of a text of several words, whole ones.
pub fn clip_to(text: &str, most: usize) -> String {
    let Some((end, next)) = text.char_indices().nth(most) else {
        return text.to_owned();
    };
    let cut = &text[..end];
    let words =
        if next.is_whitespace() { Some(cut) } else { cut.rsplit_once(char::is_whitespace).map(|(w, _)| w) };
    let words = words.map(str::trim_end).filter(|words| !words.is_empty());
    format!("{}…", words.unwrap_or(cut))
}

/// The ledger of a source, or `users`, which keeps facts about every user and never expires.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LedgerId {
    /// Facts per user, over all sources; the universe for "has not".
    Users,
    /// The interactions of one source.
    Source(SourceId),
}

impl LedgerId {
    /// How many shards the ledger's inbox has: a constant of the stored format.
    pub const fn inbox_shards(&self) -> u8 {
        match self {
            Self::Users => 16,
            Self::Source(_) => 4,
        }
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users => f.write_str("users"),
            Self::Source(source) => source.fmt(f),
        }
    }
}

impl FromStr for LedgerId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "users" { Ok(Self::Users) } else { text.parse().map(Self::Source) }
    }
}

macro_rules! text_serde {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

macro_rules! ulid_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub Ulid);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Ulid::from_string(text).map(Self).map_err(|_| format!("`{}` is not an id of Rekindle's", clip(text)))
            }
        }
    )*};
}

ulid_id! {
    /// A run: an immutable set of rows. Never reused.
    RunId;
    /// A copy of a run in one tier. Never reused.
    CopyId;
    /// One block in an inbox.
    InboxId;
    /// One request to restore.
    RequestId;
    /// A key that callers present.
    KeyId;
}
text_serde!(SourceId, LedgerId, RunId, CopyId, InboxId, RequestId, KeyId);

/// Says that `id` cannot be an id, by which rule, and which id like it would do, if there is one.
pub fn id_refusal(id: &str) -> String {
    let would_do = suggested_id(id).map(|id| format!("; `{id}` would do")).unwrap_or_default();
    format!("`{}` must be {ID_RULE}{would_do}", clip(id))
}

/// An id made of text: in small letters, without accents, and with a `-` in place of all that no id has.
fn suggested_id(text: &str) -> Option<String> {
    let mut id = String::new();
    for c in text.nfd().filter(|c| !is_combining_mark(*c)).take(2 * MAX_ID) {
        if c.is_ascii_alphanumeric() || "_.:".contains(c) {
            id.push(c.to_ascii_lowercase());
        } else if !id.ends_with('-') {
            id.push('-');
        }
    }
    let id = id.trim_matches('-');
    (is_valid_id(id) && id.contains(|c: char| c.is_ascii_alphanumeric())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_refused_names_one_that_would_do() {
        for (text, id) in [
            ("Black Friday 2026", Some("black-friday-2026")),
            ("Été à la plage!", Some("ete-a-la-plage")),
            ("campaign/Spring", Some("campaign-spring")),
            ("  a  ", Some("a")),
            ("新春 2027", Some("2027")),
            ("新春", None),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(suggested_id(text).as_deref(), id, "{text}");
            assert!(id.is_none_or(is_valid_id));
        }
        assert_eq!(suggested_id(&"x".repeat(MAX_ID + 1)), None);
        assert_eq!(id_refusal("A b"), format!("`A b` must be {ID_RULE}; `a-b` would do"));
    }

    #[test]
    fn sources_round_trip_and_bad_ones_say_what_is_wrong() {
        let source: SourceId = "campaign/spring-sale".parse().unwrap();
        assert_eq!(source.to_string(), "campaign/spring-sale");
        for bad in ["", "campaign", "campaign/", "mail/x", "campaign/a b", "campaign/a/b", "canvas/é"] {
            assert!(bad.parse::<SourceId>().is_err(), "{bad}");
        }
        assert!(ID_RULE.starts_with(&format!("1 to {MAX_ID} characters")));
        // URLs lose these two; what was stored under them is still read.
        for lost in [".", ".."] {
            assert_eq!(SourceId::new(SourceKind::Campaign, lost), None);
            assert_eq!(format!("campaign/{lost}").parse::<SourceId>().unwrap().id(), lost);
        }
        assert!(SourceId::new(SourceKind::Canvas, "...").is_some());
        for (length, is_valid) in [(0, false), (1, true), (MAX_ID, true), (MAX_ID + 1, false)] {
            assert_eq!(SourceId::new(SourceKind::Campaign, &"x".repeat(length)).is_some(), is_valid);
        }
    }

    #[test]
    fn a_text_that_is_cut_ends_at_the_end_of_a_word() {
        let cut = |text: &str| clip_to(text, 10);
        assert_eq!(cut("ten of it!"), "ten of it!");
        assert_eq!(cut("one two three"), "one two…");
        assert_eq!(cut("one twothr ee"), "one twothr…");
        assert_eq!(cut("abcdefghijklm"), "abcdefghij…");
        assert_eq!(cut(" bcdefghijklm"), " bcdefghij…");
        assert_eq!(clip(&"é".repeat(65)), format!("{}…", "é".repeat(64)));
    }
}
