//! Pages of lists, and the opaque cursors that lead from one to the next.

use crate::problem::Problem;
use rekindle_store::catalog::Page;
use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "{T}List"))]
pub struct Listing<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Where the next page begins.
    pub next: Option<String>,
}

impl<T> Listing<T> {
    /// A page with the place where the next one begins as an opaque cursor.
    pub(crate) fn of(page: Page<T, impl Serialize>) -> Self {
        Self { items: page.items, next: page.next.as_ref().map(encode_cursor) }
    }
}

/// The answer to a cursor that [`encode_cursor`] did not write.
pub(crate) const NOT_OURS: &str = "cursor is not one of ours; take it from `next`";

/// Encodes a place in a list as an opaque cursor.
pub fn encode_cursor(cursor: &impl Serialize) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

/// Decodes a cursor that [`encode_cursor`] wrote.
///
/// # Errors
/// 400 if the text is no such cursor.
pub(crate) fn decode_cursor<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Problem> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let cursor = bytes.and_then(|b| serde_json::from_slice(&b).ok());
    cursor.ok_or_else(|| Problem::bad_request("invalid_cursor", NOT_OURS))
}
