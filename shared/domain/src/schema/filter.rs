//! Filters, as `filter::parse` reads them.

use super::{CampaignSource, CanvasSource, GivenPeriod, GivenTime, Id, LinkAlias, Words};
use crate::{
    facet::Channel,
    filter::{Filter, MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_SOURCES},
    id::SourceId,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

impl JsonSchema for Channel {
    fn schema_name() -> Cow<'static, str> {
        "Channel".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Self::ALL.map(Self::as_str) })
    }
}

impl JsonSchema for Filter {
    fn schema_name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut g = Leaves(generator);
        let filter = g.of::<Self>();
        let list = json!({ "type": "array", "items": filter, "minItems": 1 });
        let segment = g.of::<Id>();
        let (canvas, source) = (g.of::<CanvasSource>(), g.of::<SourceId>());
        let (channel, variation, times) = (g.given("channel"), g.given("variation"), g.times());
        let mut forms = vec![
            form("all", "Every one holds.", list.clone()),
            form("any", "At least one holds.", list),
            form("not", "It does not hold, over everybody ever seen.", filter),
            form("segment", "The segment's filter holds.", segment),
            form("received", "Received a message.", g.about(false, &[])),
            form(
                "last_received",
                "Received the latest message within the times; who received none is within none.",
                timed(&g.about(true, &times)),
            ),
            form(
                "converted",
                "Did the conversion; of a campaign, if they did not receive it again in a later second, unless `ever`. With times, the latest time is within them.",
                g.converted(&source, &times),
            ),
            form(
                "entered",
                "Entered the Canvas, or is in its control group.",
                leaf(&[("source", canvas.clone()), variation], &["source"]),
            ),
            form(
                "in_control",
                "Is in the control group; with `is` false: received the campaign, or entered the Canvas, outside of it.",
                leaf(
                    &[("source", source), ("is", json!({ "type": "boolean", "default": true }))],
                    &["source"],
                ),
            ),
            form(
                "last_engaged",
                "Opened or clicked, the latest within the times; any message of any source unless given.",
                timed(&g.engaged(&times)),
            ),
            form(
                "never_received",
                "Was seen, and never received any message.",
                leaf(std::slice::from_ref(&channel), &[]),
            ),
            form(
                "hard_bounced",
                "An address does not exist: bounced hard, and since then neither delivered to nor opened or clicked by a person on the channel.",
                leaf(std::slice::from_ref(&channel), &[]),
            ),
            form("marked_spam", "Complained, and did not take it back since.", leaf(&[], &[])),
            form(
                "unsubscribed",
                "Unsubscribed from the channel, or from at least one, and did not subscribe again since.",
                leaf(&[channel], &[]),
            ),
            form(
                "last_in_control",
                "Was in any control group, the latest within the times.",
                timed(&[leaf(&times, &[])]),
            ),
        ];
        for (key, description, own) in DEEDS {
            let own = own.iter().map(|field| g.given(field));
            let fields: Vec<Field> = own.chain(times.clone()).collect();
            forms.push(form(key, description, g.about(true, &fields)));
        }
        json_schema!({ "description": description(), "oneOf": forms })
    }
}

fn description() -> String {
    format!(
        "A condition on a user: an object with exactly one key. It nests at most {MAX_DEPTH} deep and has at most {MAX_NODES} conditions, {MAX_SOURCES} named sources and {MAX_BYTES} bytes. Segments stand at most 8 deep in each other; written out, a filter has at most 5,000 conditions."
    )
}

type Field = (&'static str, Value);

/// The filters about a deed, and the fields that only each of them has. With times, the latest time is within them.
const DEEDS: [(&str, &str, &[&str]); 6] = [
    ("delivered", "A message reached the user. With times, the latest time is within them.", &[]),
    ("opened", "Opened a message. With times, the latest time is within them.", &["opens"]),
    (
        "clicked",
        "Clicked a link in a message. With times, the latest time is within them.",
        &["alias", "clicks"],
    ),
    ("dismissed", "Put a message away unopened. With times, the latest time is within them.", &[]),
    ("replied", "Answered a message. With times, the latest time is within them.", &[]),
    ("bounced", "A message bounced. With times, the latest time is within them.", &["bounce"]),
];

struct Leaves<'a>(&'a mut SchemaGenerator);

impl Leaves<'_> {
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().to_value()
    }

    /// A field that may be left out, or null.
    fn given(&mut self, name: &'static str) -> Field {
        let schema = match name {
            "opens" | "clicks" => {
                return (name, json!({ "enum": ["any", "machine", "human", null], "default": "any" }));
            }
            "bounce" => return (name, json!({ "enum": ["any", "hard", "soft", null], "default": "any" })),
            "channel" => self.of::<Channel>(),
            "alias" => self.of::<LinkAlias>(),
            "before" | "after" => self.of::<GivenTime>(),
            "more_than" | "less_than" => self.of::<GivenPeriod>(),
            _ => self.of::<Id>(),
        };
        (name, json!({ "anyOf": [schema, { "type": "null" }] }))
    }

    fn times(&mut self) -> Vec<Field> {
        ["before", "after", "more_than", "less_than"].map(|name| self.given(name)).to_vec()
    }

    /// One form for each way to name the sources.
    fn about(&mut self, any: bool, more: &[Field]) -> Vec<Value> {
        let (campaign, canvas) = (self.of::<CampaignSource>(), self.of::<CanvasSource>());
        let channel = self.given("channel");
        let with = |first: Field, narrow: Vec<Field>| {
            let name = first.0;
            leaf(&[&[first], narrow.as_slice(), std::slice::from_ref(&channel), more].concat(), &[name])
        };
        let of_campaign = vec![self.given("variant")];
        let of_canvas = vec![self.given("variation"), self.given("step")];
        let mut forms = vec![
            with(("source", campaign), of_campaign),
            with(("source", canvas), of_canvas),
            with(("tag", self.of::<Words>()), Vec::new()),
        ];
        if any {
            forms.push(with(("any", json!({ "const": true })), Vec::new()));
        }
        forms
    }

    fn engaged(&mut self, times: &[Field]) -> Vec<Value> {
        let fields = [&[self.given("opens"), self.given("clicks")], times].concat();
        let mut forms = self.about(true, &fields);
        // Without any of the ways to name sources, it is about any.
        let narrow = ["variant", "variation", "step"].map(|name| (name, json!({ "type": "null" })));
        forms.push(leaf(&[&[self.given("channel")], narrow.as_slice(), fields.as_slice()].concat(), &[]));
        forms
    }

    fn converted(&mut self, source: &Value, times: &[Field]) -> Vec<Value> {
        let number = json!({ "type": ["integer", "null"], "minimum": 0, "maximum": 255, "default": 0 });
        let ever = json!({ "type": "boolean", "default": false });
        let of_source = [("source", source.clone()), ("conversion", number), ("ever", ever)];
        let any = ("any", json!({ "const": true }));
        vec![leaf(&[&of_source, times].concat(), &["source"]), leaf(&[&[any], times].concat(), &["any"])]
    }
}

/// An object with exactly one key.
fn form(key: &str, description: &str, value: impl Into<Form>) -> Value {
    let value = match value.into() {
        Form::One(value) => value,
        Form::Ways(ways) => json!({ "oneOf": ways }),
    };
    let mut form = leaf(&[], &[key]);
    form["properties"] = json!({ key: value });
    form["description"] = description.into();
    form
}

/// The value of a key: one shape, or one of several.
enum Form {
    One(Value),
    Ways(Vec<Value>),
}

impl From<Value> for Form {
    fn from(value: Value) -> Self {
        Self::One(value)
    }
}

impl From<Vec<Value>> for Form {
    fn from(ways: Vec<Value>) -> Self {
        Self::Ways(ways)
    }
}

fn leaf(fields: &[Field], required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let mut leaf = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        leaf["required"] = json!(required);
    }
    leaf
}

/// Each of these forms with at least one of the times.
fn timed(forms: &[Value]) -> Vec<Value> {
    let times = [
        ("before", json!({ "type": ["string", "integer"] })),
        ("after", json!({ "type": ["string", "integer"] })),
        ("more_than", json!({ "type": "string" })),
        ("less_than", json!({ "type": "string" })),
    ];
    let one_of_them: Vec<Value> = times
        .into_iter()
        .map(|(name, schema)| json!({ "required": [name], "properties": { name: schema } }))
        .collect();
    forms
        .iter()
        .map(|form| {
            let mut form = form.clone();
            form["anyOf"] = one_of_them.clone().into();
            form
        })
        .collect()
}
