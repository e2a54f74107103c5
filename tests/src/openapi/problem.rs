//! Problems: the fields that all have, and the fields that each code adds.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The schema of all problems: the common fields, and the fields that only some codes have.
pub fn schema() -> Value {
    let list = |description: &str| json!({ "type": "array", "items": { "type": "string" }, "description": description });
    let count = |description: &str| json!({ "type": "integer", "minimum": 0, "description": description });
    json!({
        "description": "RFC 9457. Beside what all have, some codes carry what is needed to mend it.",
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:rekindle:problem:[a-z_]+$" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "code": { "type": "string", "pattern": "^[a-z_]+$", "description": "Stable, for programs." },
            "detail": { "type": "string", "description": "What is wrong and how to mend it, for people." },
            "path": { "type": "string", "description": "The place in the body, such as filter.all[1].received.channel; `.` is the body." },
            "unknown": list("What is named and not registered, or matches nothing."),
            "nearest": list("The known names that are most like the unknown one, the most alike first."),
            "expired": list("The sources whose interaction data is not available: what to restore."),
            "used_by": list("What uses the segment, or names the source."),
            "scope": { "type": "string", "description": "The scope that it takes." },
            "accepted": count("How many interactions were taken."),
            "rejected_count": count("How many interactions were not taken."),
            "rejected": {
                "type": "array", "items": { "$ref": "#/components/schemas/Rejection" },
                "description": "The first thousand of them, and why.",
            },
        },
    })
}

/// The fields that a code adds.
fn carries(status: u16, code: &str) -> &'static [&'static str] {
    match (status, code) {
        (400, "unknown_field" | "missing_field" | "invalid_field") => &["path"],
        (403, "wrong_scope") => &["scope"],
        (409, "expired_interaction_data") => &["expired"],
        (409, "segment_in_use" | "source_in_use") => &["used_by"],
        (422, "nothing_accepted") => &["accepted", "rejected_count", "rejected"],
        (422, "unknown_source" | "unknown_segment") => &["path", "unknown"],
        (422, "unknown_variant" | "unknown_variation" | "unknown_step") => &["path", "unknown", "nearest"],
        (
            422,
            "invalid_filter" | "segment_cycle" | "segments_too_deep" | "filter_too_large"
            | "audience_too_wide" | "filter_too_wide" | "archive_too_wide",
        ) => &["path"],
        _ => &[],
    }
}

/// A response that is one of these problems.
pub fn response(status: u16, codes: &[&str]) -> Value {
    let mut by_fields: BTreeMap<&[&str], Vec<&str>> = BTreeMap::new();
    for code in codes {
        by_fields.entry(carries(status, code)).or_default().push(code);
    }
    let forms: Vec<Value> = by_fields
        .into_iter()
        .map(|(fields, codes)| {
            let mut form = json!({
                "$ref": "#/components/schemas/Problem",
                "properties": { "code": { "enum": codes } },
            });
            if !fields.is_empty() {
                form["required"] = json!(fields);
            }
            form
        })
        .collect();
    let schema = match <[Value; 1]>::try_from(forms) {
        Ok([form]) => form,
        Err(forms) => json!({ "oneOf": forms }),
    };
    json!({
        "description": format!("{}: {}", http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error"), codes.join(", ")),
        "content": { "application/problem+json": { "schema": schema } },
    })
}

/// The problems that every operation may answer, by the response's name.
const EVERYWHERE: [(&str, u16, &[&str]); 4] = [
    ("Unauthorized", 401, &["unauthorized"]),
    ("Forbidden", 403, &["wrong_scope"]),
    ("Failed", 500, &["internal_error", "stored_data_damaged"]),
    ("Unavailable", 503, &["store_unavailable", "storage_full"]),
];

/// References to the responses that every operation may answer.
pub fn everywhere() -> Map<String, Value> {
    let refer = |name: &str| json!({ "$ref": format!("#/components/responses/{name}") });
    EVERYWHERE.iter().map(|(name, status, _)| (status.to_string(), refer(name))).collect()
}

/// The responses that [`everywhere`] refers to.
pub fn responses() -> Map<String, Value> {
    let mut all: Map<String, Value> = EVERYWHERE
        .iter()
        .map(|(name, status, codes)| ((*name).to_owned(), response(*status, codes)))
        .collect();
    all["Unavailable"]["headers"] = json!({
        "Retry-After": { "description": "In seconds.", "required": true, "schema": { "type": "integer", "minimum": 1 } },
    });
    all
}
