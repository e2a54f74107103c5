//! Explains to the sender why an interaction could not be read.

use super::{
    Refusal,
    wire::{TYPES, Wire},
};
use crate::{facet::Channel, id::clip, time::Time};
use serde::Deserialize;
use serde_json::Value;

/// The longest text that is diagnosed, in bytes. Of a longer one only the length is told.
const MAX_DIAGNOSED: usize = 16 << 10;

/// The fields of an interaction; those that are required come first.
const FIELDS: [&str; 13] = [
    "user_id",
    "type",
    "campaign_id",
    "canvas_id",
    "channel",
    "variant_id",
    "variation_id",
    "step_id",
    "link_alias",
    "bounce",
    "machine",
    "conversion",
    "time",
];

/// The code and the detail for a text that could not be read as an interaction.
pub(super) fn diagnose(text: &str) -> Refusal {
    if text.len() > MAX_DIAGNOSED {
        let detail = format!(
            "the interaction cannot be read, and with {} bytes it is too long to say why, for which {MAX_DIAGNOSED} is the most; send a JSON object of the documented fields",
            text.len()
        );
        return ("invalid_item".into(), detail);
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(e) => return ("invalid_json".into(), format!("not JSON: {e}")),
    };
    let Value::Object(fields) = &value else {
        return ("invalid_item".into(), "an interaction is a JSON object".to_owned());
    };
    if let Some(unknown) = fields.keys().find(|k| !FIELDS.contains(&k.as_str())) {
        let known = FIELDS.join(", ");
        return (
            "unknown_field".into(),
            format!("unknown field `{}`; the fields are {known}", clip(unknown)),
        );
    }
    if let Some(missing) = FIELDS[..2].iter().find(|f| !fields.contains_key(**f)) {
        return ("missing_field".into(), format!("{missing} is missing"));
    }
    for field in FIELDS {
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
            return (format!("invalid_{field}").into(), format!("{field} must be {}", shape(field)));
        }
    }
    let why = match serde_json::from_str::<Wire<'_>>(text) {
        // The error names the field.
        Err(e) if e.to_string().starts_with("duplicate") => format!("the interaction has a field twice: {e}"),
        _ => "the interaction has a field of a wrong shape".to_owned(),
    };
    ("invalid_item".into(), why)
}

/// What a field must be. Times have sentences of their own.
fn shape(field: &str) -> String {
    match field {
        "type" => format!("a string, one of {TYPES}"),
        "channel" => format!("a string, one of {}", Channel::names()),
        "bounce" => "a string, hard or soft".to_owned(),
        "machine" => "true or false".to_owned(),
        "conversion" => "a whole number from 0 to 255".to_owned(),
        _ => "a string".to_owned(),
    }
}
