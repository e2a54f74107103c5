//! JSON merge patches (RFC 7396).

use crate::{
    http::{json_body, media_type, parse_json},
    problem::HttpProblem,
};
use axum::body::Body;
use http::{HeaderMap, StatusCode};
use rekindle_service::{Problem, library::Said};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// A patch of an object: the body of a `PATCH`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct MergePatch(Map<String, Value>);

impl MergePatch {
    /// Merges the patch into a thing as it is shown, and reads the result as the body of a `PUT`.
    ///
    /// # Errors
    /// 400 where the result is not such a body, with the place in it.
    pub fn apply<T: DeserializeOwned>(&self, shown: &impl Serialize) -> Result<T, Problem> {
        let mut whole = serde_json::to_value(shown).unwrap_or_default();
        merge(&mut whole, &self.0);
        parse_json(whole.to_string().as_bytes())
    }
}

/// The media types of a patch.
const KNOWN: [&str; 2] = ["application/merge-patch+json", "application/json"];

/// Reads the body of a `PATCH`: a change of a thing that is shown as `View`. `T` is the body of a `PUT` of that thing.
///
/// # Errors
/// 400 a body that is no JSON object, 413 a body that is too large, 415 another kind of patch.
pub async fn patch_body<T, Input, View>(
    headers: &HeaderMap,
    body: Body,
) -> Result<Said<Input, View>, HttpProblem>
where
    T: DeserializeOwned + Into<Input> + 'static,
    View: Serialize,
{
    if let Some(other) = media_type(headers)?.filter(|found| !KNOWN.contains(&found.as_str())) {
        let detail = format!("a patch is {}, and this one is {other}", KNOWN.join(" or "));
        return Err(HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let patch: MergePatch = json_body(body).await?;
    Ok(Said::Change(Box::new(move |shown: &View| patch.apply::<T>(shown).map(Into::into))))
}

/// Merges the fields of a patch into a value, which becomes an object unless it is one. A field that is null is taken away.
fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => _ = fields.remove(name),
            Value::Object(patch) => merge(fields.entry(name).or_insert(Value::Null), patch),
            other => _ = fields.insert(name.clone(), other.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The examples of the RFC, appendix A, whose patch is an object.
    #[test]
    fn patches_merge_as_the_rfc_says() {
        for (before, patch, after) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (
                json!({ "a": { "b": "c" } }),
                json!({ "a": { "b": "d", "c": null } }),
                json!({ "a": { "b": "d" } }),
            ),
            (json!({ "a": [{ "b": "c" }] }), json!({ "a": [1] }), json!({ "a": [1] })),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!([1, 2]), json!({ "a": "b", "c": null }), json!({ "a": "b" })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
        ] {
            let mut found = before.clone();
            merge(&mut found, patch.as_object().unwrap());
            assert_eq!(found, after, "{before} with {patch}");
        }
    }
}
