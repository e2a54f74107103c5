//! The OpenAPI document of the two HTTP functions, made from the types that they read and write.
//!
//! `functions/api/openapi.json` is the stored document and must equal [`text`]. A route that is added stands in
//! `sources`, `segments`, `questions` or `keys`; the types that it takes and answers derive `JsonSchema` behind the feature `schema` of
//! their crate. The system test `openapi` compares all three with each other: routers, template and document.

mod keys;
mod operation;
mod problem;
mod questions;
mod segments;
mod sources;

use operation::Operation;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The document as the file must hold it.
pub fn text() -> String {
    format!("{:#}\n", sorted(document()))
}

/// The document.
pub fn document() -> Value {
    let mut api = Api::new();
    sources::operations(&mut api);
    segments::operations(&mut api);
    questions::operations(&mut api);
    keys::operations(&mut api);
    api.finish()
}

/// The schema of a problem in a body: the document's own.
struct Problem;

impl JsonSchema for Problem {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ProblemReference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": "#/components/schemas/Problem" })
    }
}

/// A document that is being put together.
struct Api {
    inputs: SchemaGenerator,
    outputs: SchemaGenerator,
    paths: Map<String, Value>,
}

const SCHEMAS: &str = "/components/schemas";

impl Api {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|s| {
                s.definitions_path = SCHEMAS.into();
                s.meta_schema = None;
            })
        };
        let (inputs, outputs) = (settings().for_deserialize(), settings().for_serialize());
        Self { inputs: inputs.into(), outputs: outputs.into(), paths: Map::new() }
    }

    /// The schema of a type that clients send.
    fn input<T: JsonSchema>(&mut self) -> Value {
        self.inputs.subschema_for::<T>().to_value()
    }

    /// The schema of a type that the functions answer.
    fn output<T: JsonSchema>(&mut self) -> Value {
        self.outputs.subschema_for::<T>().to_value()
    }

    fn add(&mut self, operation: Operation) {
        let path = self.paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        let method = operation.method.to_lowercase();
        path[method] = operation.finish();
    }

    /// Joins both kinds of schema into the document. A type's schema may differ between reading and writing, such as in fields
    /// that a client may leave out. Then the schema for reading gets a name of its own.
    fn finish(mut self) -> Value {
        let mut schemas = self.outputs.take_definitions(true);
        let inputs = self.inputs.take_definitions(true);
        schemas.insert("Problem".to_owned(), problem::schema());
        let differ: Vec<String> = inputs
            .iter()
            .filter(|(name, s)| schemas.get(*name).is_some_and(|o| o != *s))
            .map(|(n, _)| n.clone())
            .collect();
        let mut paths = Value::Object(self.paths);
        for path in paths.as_object_mut().into_iter().flat_map(|paths| paths.values_mut()) {
            for operation in path.as_object_mut().into_iter().flat_map(|path| path.values_mut()) {
                for of in ["requestBody", "parameters"] {
                    operation.get_mut(of).into_iter().for_each(|v| rename(v, &differ));
                }
            }
        }
        for (name, mut schema) in inputs {
            rename(&mut schema, &differ);
            let name = if differ.contains(&name) { format!("{name}Input") } else { name };
            schemas.insert(name, schema);
        }
        let mut document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Rekindle",
                "version": env!("CARGO_PKG_VERSION"),
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
                "description": INTRODUCTION,
            },
            "servers": [{ "url": "/" }],
            "tags": TAGS.map(|(name, description)| json!({ "name": name, "description": description })),
            "paths": paths,
            "components": {
                "schemas": schemas,
                "responses": problem::responses(),
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "rk_ID_SECRET",
                        "description": "A key: rk_, an id of 26 characters, _ and a secret of 43. Each operation names the scope that its key must have. `ingest` stands alone; `admin` takes in `manage`, and `manage` takes in `read`.",
                    },
                },
            },
        });
        plain(&mut document);
        document
    }
}

const INTRODUCTION: &str = "Campaign interaction data that expires, and comes back. Bodies and answers are JSON in UTF-8 unless said otherwise; a body has at most 1 MiB (interactions more). Fields and query parameters that are not known are refused. Whole numbers are written without a fraction: 1, not 1.0. Errors are application/problem+json with a stable `code`, what is wrong, where, and how to mend it; after a 503, sending the same again is safe. Lengths in schemas are in characters, and where a description says bytes, the bound is in bytes.";

const TAGS: [(&str, &str); 9] = [
    ("Interactions", "Interactions of people with messages."),
    ("Campaigns", "Sources that send one message in variants."),
    ("Canvases", "Sources that send messages step by step."),
    ("Segments", "Filters with a name."),
    ("Audiences", "Who, and how many, by a filter."),
    ("Users", "One user over all campaigns and Canvases."),
    ("Retention", "What expires when."),
    ("Restores", "Bringing expired data back."),
    ("Operations", "Keys, the audit trail, and this document."),
];

/// Makes references to the schemas of these names refer to the schema for reading.
fn rename(value: &mut Value, names: &[String]) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(to)
                        if key == "$ref" && names.iter().any(|n| to.ends_with(&format!("/{n}"))) =>
                    {
                        to.push_str("Input");
                    }
                    value => rename(value, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}

/// Turns descriptions that come from doc comments into text for people: without line ends, links into the code and Rust.
fn plain(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "description" => {
                        *text = text
                            .replace('\n', " ")
                            .replace("[`", "`")
                            .replace("`]", "`")
                            .replace("`None`", "null");
                    }
                    value => plain(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

/// The value with the keys of its objects in order, whether or not `serde_json` keeps them in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            fields.into_iter().collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect::<Vec<_>>().into(),
        other => other,
    }
}
