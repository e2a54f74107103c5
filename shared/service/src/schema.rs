//! JSON Schemas of texts that the API takes, for the OpenAPI document.

use crate::checks::{MAX_NAME, MAX_REASON};
use rekindle_domain::schema::NO_CONTROL;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// The schema of a name.
pub struct Name;

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "1 to 256 bytes of UTF-8 without control characters.",
            "type": "string",
            "pattern": NO_CONTROL,
            "minLength": 1,
            "maxLength": MAX_NAME,
            "examples": ["Spring sale"],
        })
    }
}

/// The schema of a pin's reason.
pub struct Reason;

impl JsonSchema for Reason {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Reason".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": NO_CONTROL, "minLength": 1, "maxLength": MAX_REASON })
    }
}

/// The schema of a mail address.
pub struct MailAddress;

impl JsonSchema for MailAddress {
    fn schema_name() -> Cow<'static, str> {
        "MailAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A mail address, plain, in ASCII: only the mail itself can tell whether it is one.",
            "type": "string",
            "pattern": r"^[!#-'*+/0-9=?A-Z^_`a-z{|}~-]+(\.[!#-'*+/0-9=?A-Z^_`a-z{|}~-]+)*@([0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?\.)+[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?$",
            "maxLength": 254,
            "examples": ["me@example.com"],
        })
    }
}

/// The schema of a merge within a list. Each is judged by itself, so that the list takes any two texts.
pub struct MergePair;

impl JsonSchema for MergePair {
    fn schema_name() -> Cow<'static, str> {
        "MergePair".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A merge that is asked for. One that is refused has a problem in its item of the answer.",
            "type": "object",
            "required": ["from", "into"],
            "additionalProperties": false,
            "properties": {
                "from": { "description": "The id that names no person of its own any more.", "type": "string" },
                "into": { "description": "The id of the person that it belongs to from now on.", "type": "string" },
            },
        })
    }
}
