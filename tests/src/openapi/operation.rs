//! Builds one operation; and the parts that many operations share.

use super::problem;
use serde_json::{Map, Value, json};

/// A method of a path.
pub struct Operation {
    pub method: &'static str,
    pub path: String,
    fields: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
}

impl Operation {
    /// An operation; `scope` is the scope that its key must have.
    pub fn new(method: &'static str, path: &str, id: &str, tag: &str, scope: &str, summary: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("operationId".to_owned(), id.into());
        fields.insert("tags".to_owned(), json!([tag]));
        fields.insert("summary".to_owned(), summary.into());
        fields.insert("security".to_owned(), json!([{ "key": [scope] }]));
        let responses = problem::everywhere();
        Self { method, path: path.to_owned(), fields, parameters: Vec::new(), responses }
    }

    pub fn says(mut self, description: &str) -> Self {
        self.fields.insert("description".to_owned(), description.into());
        self
    }

    pub fn with(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Takes a body in JSON.
    pub fn takes(self, schema: Value, example: &Value) -> Self {
        let json = json!({ "schema": schema, "example": example });
        self.takes_any(true, &json!({ "application/json": json }))
    }

    /// Takes a JSON merge patch of a body.
    pub fn patches(self, example: &Value) -> Self {
        let patch = json!({ "schema": { "type": "object" }, "example": example });
        let content = json!({ "application/merge-patch+json": patch, "application/json": patch });
        self.takes_any(true, &content)
    }

    /// Takes a body in JSON that may be left out.
    pub fn may_take(self, schema: Value, example: &Value) -> Self {
        let json = json!({ "schema": schema, "example": example });
        self.takes_any(false, &json!({ "application/json": json }))
    }

    pub fn takes_any(mut self, required: bool, content: &Value) -> Self {
        self.fields.insert("requestBody".to_owned(), json!({ "required": required, "content": content }));
        self
    }

    /// Adds an answer in JSON.
    pub fn answers(self, status: u16, description: &str, schema: Value) -> Self {
        let content = json!({ "application/json": { "schema": schema } });
        self.responds(status, json!({ "description": description, "content": content }))
    }

    pub fn responds(mut self, status: u16, response: Value) -> Self {
        self.responses.insert(status.to_string(), response);
        self
    }

    /// Adds a header to an answer.
    pub fn heads(mut self, status: u16, name: &str, header: Value) -> Self {
        if let Some(response) = self.responses.get_mut(&status.to_string()) {
            response["headers"][name] = header;
        }
        self
    }

    /// Adds the problems of a status, by their codes.
    pub fn refuses(self, status: u16, codes: &[&str]) -> Self {
        self.responds(status, problem::response(status, codes))
    }

    pub fn finish(self) -> Value {
        let mut fields = self.fields;
        if !self.parameters.is_empty() {
            fields.insert("parameters".to_owned(), self.parameters.into());
        }
        fields.insert("responses".to_owned(), self.responses.into());
        fields.into()
    }
}

/// A query parameter.
pub fn query(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// A query parameter whose value is one of a few words.
pub fn word(name: &str, description: &str, words: &[&str]) -> Value {
    query(name, description, json!({ "type": "string", "enum": words }))
}

/// The query parameter `cursor`: where a list continues.
pub fn cursor() -> Value {
    let description = "The `next` of the page before; left out, the first page.";
    query("cursor", description, json!({ "type": "string", "minLength": 1 }))
}

/// The query parameter `limit`: how many entries a page has.
pub fn limit() -> Value {
    let (default, most) = (rekindle_runtime::http::DEFAULT_PAGE, rekindle_runtime::http::MAX_PAGE);
    let schema = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": default });
    query(
        "limit",
        "How many entries at most. A page may be short, or empty, and still have a `next`.",
        schema,
    )
}

/// The path parameter `id`.
pub fn named(description: &str, schema: Value, example: &str) -> Value {
    json!({
        "name": "id", "in": "path", "required": true,
        "description": description, "schema": schema, "example": example,
    })
}

/// A request header.
pub fn header(name: &str, description: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "header", "description": description, "schema": schema })
}

/// The header `Idempotency-Key`.
pub fn idempotency_key(description: &str) -> Value {
    let schema = json!({ "type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": 255, "example": "monday-1" });
    header("Idempotency-Key", description, schema)
}

/// The header `If-Match`.
pub fn if_match() -> Value {
    header(
        "If-Match",
        "The ETag of an earlier answer: only if nothing has changed since.",
        json!({ "type": "string", "pattern": "^\"?[0-9]{1,19}\"?$", "example": "\"1\"" }),
    )
}

/// A query parameter that is true or false; false unless given.
pub fn flag(name: &str, description: &str) -> Value {
    query(name, description, json!({ "type": "boolean", "default": false }))
}

/// The query parameter `dry_run`.
pub fn dry_run() -> Value {
    flag("dry_run", "Answer as if it were done, and change nothing.")
}

/// The problem codes of the conditions of an edit.
pub const EDIT: [&str; 4] = ["invalid_id", "invalid_header", "invalid_if_match", "invalid_query"];
/// The problem codes of a body in JSON.
pub const BODY: [&str; 5] =
    ["invalid_json", "unknown_field", "missing_field", "invalid_field", "incomplete_body"];
/// The problem codes of an operation that takes no fields in its body.
pub const NO_BODY: [&str; 4] = ["invalid_json", "unknown_field", "invalid_field", "incomplete_body"];
/// The problem codes of a list's query.
pub const LIST: [&str; 2] = ["invalid_query", "invalid_cursor"];
/// The problem codes of a filter.
pub const FILTER: [&str; 9] = [
    "invalid_filter",
    "unknown_source",
    "unknown_segment",
    "unknown_tag",
    "unknown_variant",
    "unknown_variation",
    "unknown_step",
    "segments_too_deep",
    "filter_too_large",
];
