//! Explains to the sender why an interaction could not be read.

use super::Refusal;
use crate::{id::clip, time::Time};
use serde::Deserialize;
use serde_json::Value;

/// The longest text that is diagnosed, in bytes: more than any interaction has, even with every character escaped.
const MAX_DIAGNOSED: usize = 16 << 10;

/// The code and the detail for a text that could not be read as an interaction.
pub(super) fn diagnose(text: &[u8]) -> Refusal {
    if text.len() > MAX_DIAGNOSED {
        let detail =
            format!("{} bytes are too many for an interaction; it has at most {MAX_DIAGNOSED}", text.len());
        return ("invalid_item".into(), detail);
    }
    let value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(e) => return ("invalid_json".into(), format!("not JSON: {e}")),
    };
    let Value::Object(fields) = &value else {
        return ("invalid_item".into(), "an interaction is a JSON object".to_owned());
    };
    // Times have sentences of their own.
    const FIELDS: [(&str, &str); 13] = [
        ("user_id", "a string"),
        ("type", "a string"),
        ("campaign_id", "a string"),
        ("canvas_id", "a string"),
        ("channel", "a string"),
        ("variant_id", "a string"),
        ("variation_id", "a string"),
        ("step_id", "a string"),
        ("link_alias", "a string"),
        ("bounce", "a string"),
        ("machine", "true or false"),
        ("conversion", "a whole number from 0 to 255"),
        ("time", "a time"),
    ];
    if let Some(unknown) = fields.keys().find(|k| !FIELDS.iter().any(|(f, _)| f == k)) {
        let known = FIELDS.map(|(f, _)| f).join(", ");
        return (
            "unknown_field".into(),
            format!("unknown field `{}`; the fields are {known}", clip(unknown)),
        );
    }
    if let Some((missing, _)) = FIELDS[..2].iter().find(|(f, _)| !fields.contains_key(*f)) {
        return ("missing_field".into(), format!("{missing} is missing"));
    }
    for (field, what) in FIELDS {
        let fits = match (field, fields.get(field)) {
            (_, None) => true,
            ("machine", Some(v)) => v.is_boolean() || v.is_null(),
            ("conversion", Some(v)) => v.is_null() || v.as_u64().is_some_and(|n| n < 256),
            ("time", Some(v)) => match Option::<Time>::deserialize(v) {
                Ok(_) => true,
                Err(why) => return ("invalid_time".into(), format!("time: {why}")),
            },
            ("user_id" | "type", Some(v)) => v.is_string(),
            (_, Some(v)) => v.is_string() || v.is_null(),
        };
        if !fits {
            return (format!("invalid_{field}").into(), format!("{field} must be {what}"));
        }
    }
    ("invalid_item".into(), "the interaction has a field twice, or a field of a wrong shape".to_owned())
}
