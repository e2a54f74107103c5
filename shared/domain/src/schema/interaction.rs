//! Interactions, as `interaction` reads them.

use super::{GivenTime, Id, LinkAlias, UserId};
use crate::{facet::Channel, id::SourceKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// One interaction as it stands in a request.
pub struct Interaction;

/// The types of interactions, whether they need a channel, and the fields that only they have.
const TYPES: [(&[&str], bool, &[&str]); 6] = [
    (&["received", "delivered", "dismissed", "replied"], true, &[]),
    (&["opened"], true, &["machine"]),
    (&["clicked"], true, &["machine", "link_alias"]),
    (&["converted"], false, &["conversion"]),
    (&["bounced"], false, &["bounce"]),
    (&["control", "complained", "not_spam", "unsubscribed", "subscribed"], false, &[]),
];

impl JsonSchema for Interaction {
    fn schema_name() -> Cow<'static, str> {
        "Interaction".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut of = |kind: SourceKind| -> Vec<Value> {
            let mut forms: Vec<Value> = TYPES
                .iter()
                .map(|(types, channel, own)| form(generator, Some(kind), types, *channel, own))
                .collect();
            if kind == SourceKind::Canvas {
                forms.push(form(generator, Some(kind), &["entered"], false, &[]));
            }
            forms
        };
        let mut forms = [of(SourceKind::Campaign), of(SourceKind::Canvas)].concat();
        let personal = ["complained", "not_spam", "unsubscribed", "subscribed"];
        forms.push(form(generator, None, &personal, false, &[]));
        forms.push(form(generator, None, &["bounced"], false, &["bounce"]));
        json_schema!({
            "description": "What a user did with a message of a campaign, or of a Canvas; or what is known of the user apart from any. Where `time` is left out it is the moment of arrival, so that senders who may send again had better give it; it is from the year 2000 to 24 hours ahead.",
            "oneOf": forms,
        })
    }
}

fn form(
    generator: &mut SchemaGenerator,
    kind: Option<SourceKind>,
    types: &[&str],
    needs_channel: bool,
    own: &[&str],
) -> Value {
    let nullable = |schema: Schema| json!({ "anyOf": [schema, { "type": "null" }] });
    // A text that may be left out may also be empty.
    let optional = |schema: Schema| json!({ "anyOf": [schema, { "enum": [null, ""] }] });
    let mut fields = Map::new();
    let mut put = |name: &str, schema: Value| _ = fields.insert(name.to_owned(), schema);
    let id = generator.subschema_for::<Id>();
    put("user_id", generator.subschema_for::<UserId>().to_value());
    put("type", json!({ "enum": types }));
    let source = kind.map(|kind| format!("{}_id", kind.as_str()));
    if let Some(source) = &source {
        put(source, id.clone().to_value());
    }
    // Templates send null or the empty text where they have nothing.
    let absent = json!({ "enum": [null, ""] });
    match kind {
        Some(SourceKind::Campaign) => {
            put("canvas_id", absent);
            put("variant_id", optional(id));
        }
        Some(SourceKind::Canvas) => {
            put("campaign_id", absent);
            put("variation_id", optional(id.clone()));
            put("step_id", optional(id));
        }
        None => {
            for field in ["campaign_id", "canvas_id", "variant_id", "variation_id", "step_id"] {
                put(field, absent.clone());
            }
        }
    }
    put("time", nullable(generator.subschema_for::<GivenTime>()));
    let channel = generator.subschema_for::<Channel>();
    put("channel", if needs_channel { channel.to_value() } else { optional(channel) });
    for field in own {
        match *field {
            "link_alias" => put("link_alias", optional(generator.subschema_for::<LinkAlias>())),
            "machine" => {
                let description = "Whether a machine did it, such as a mail program that loads images ahead, or a scanner that follows links.";
                put(
                    "machine",
                    json!({ "type": ["boolean", "null"], "default": false, "description": description }),
                );
            }
            "conversion" => {
                let description = "Which conversion; 0 is the primary one.";
                let range = json!({ "type": ["integer", "null"], "minimum": 0, "maximum": 255, "default": 0, "description": description });
                put("conversion", range);
            }
            _ => put("bounce", json!({ "enum": ["hard", "soft"] })),
        }
    }
    let mut required = vec!["user_id", "type"];
    required.extend(source.as_deref());
    required.extend(needs_channel.then_some("channel"));
    required.extend(own.contains(&"bounce").then_some("bounce"));
    json!({ "type": "object", "properties": fields, "required": required, "additionalProperties": false })
}
