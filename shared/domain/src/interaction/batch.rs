//! The JSON body of a request, taken apart into the texts of its interactions.

use super::{BatchError, MAX_ITEMS};
use crate::id::clip_to;
use serde::{Deserialize, de};
use serde_json::value::RawValue;
use std::fmt;

/// The items of a batch as text. Reading ends with an error at the first item that is too many.
struct Items<'a>(Vec<&'a RawValue>);

/// Marks the error of a batch with too many items among serde's other errors.
const TOO_MANY: &str = "too many interactions";

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> de::Visitor<'de> for V {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array of interactions")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX_ITEMS {
                        return Err(de::Error::custom(TOO_MANY));
                    }
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        d.deserialize_seq(V)
    }
}

/// The object form of a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    interactions: Items<'a>,
}

/// The interactions of a JSON body, `{"interactions":[…]}` or a bare array, each as text.
///
/// # Errors
/// [`BatchError`] if the body is neither, or has too many of them.
pub(super) fn items_of(body: &str) -> Result<Vec<&RawValue>, BatchError> {
    let malformed = |e: serde_json::Error| {
        // Looked for at the start only: further on the error may repeat text of the sender.
        if e.to_string().starts_with(TOO_MANY) {
            return too_many();
        }
        let code = if e.is_data() { "invalid_batch" } else { "invalid_json" };
        // The error may repeat text of the sender, of any length.
        let what = clip_to(&e.to_string(), 120);
        let detail =
            format!("{what}; send {{\"interactions\":[…]}}, an array, or NDJSON as application/x-ndjson");
        BatchError::Malformed { code, detail }
    };
    let is_array = body.trim_ascii_start().starts_with('[');
    let items = if is_array {
        serde_json::from_str::<Items<'_>>(body)
    } else {
        serde_json::from_str::<Envelope<'_>>(body).map(|envelope| envelope.interactions)
    };
    Ok(items.map_err(malformed)?.0)
}

/// The text without the mark that some programs put before UTF-8.
pub fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// The error of a request with more than [`MAX_ITEMS`] interactions.
pub(super) fn too_many() -> BatchError {
    BatchError::TooMany(format!("a request holds at most {MAX_ITEMS} interactions; send several requests"))
}
