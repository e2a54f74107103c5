//! The filters of the reference.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Filters of every form that the reference describes, by the key in its table.
pub(super) fn documented() -> Vec<(&'static str, Value)> {
    let narrow = [
        json!({ "source": "campaign/spring-sale" }),
        json!({ "source": "campaign/spring-sale", "variant": "B", "channel": "email" }),
        json!({ "source": "canvas/welcome", "variation": "A", "step": "s1", "channel": "in_app" }),
        json!({ "tag": "Black Friday 2026", "channel": "push" }),
    ];
    let any = json!({ "any": true, "channel": "sms" });
    let times = [
        json!({ "before": "2026-11-22T10:00:00Z", "after": "2026-11-01T00:00:00.123Z" }),
        json!({ "before": "2026-11-22T10:00:07+01:00" }),
        json!({ "more_than": "P30D" }),
        json!({ "less_than": "P3M", "more_than": "PT12H" }),
        json!({ "more_than": "P1Y2M3DT4H5M6S", "less_than": "P2W" }),
    ];
    let merged = |parts: &[&Value]| -> Value {
        let fields = parts.iter().flat_map(|part| part.as_object().expect("an object").clone());
        Value::Object(fields.collect())
    };
    let mut all: Vec<(&str, Value)> = Vec::new();
    let mut put = |key: &'static str, body: Value| all.push((key, json!({ key: body })));
    for about in &narrow {
        put("received", about.clone());
    }
    let extras: [(&str, &[Value]); 9] = [
        ("last_received", &[json!({})]),
        ("delivered", &[json!({})]),
        ("opened", &[json!({}), json!({ "opens": "human" }), json!({ "opens": "machine" })]),
        ("clicked", &[json!({}), json!({ "alias": "cta & <more>", "clicks": "human" })]),
        ("dismissed", &[json!({})]),
        ("replied", &[json!({})]),
        ("bounced", &[json!({}), json!({ "bounce": "hard" }), json!({ "bounce": "soft" })]),
        ("last_engaged", &[json!({}), json!({ "opens": "human", "clicks": "human" })]),
        ("last_engaged", &[json!({ "opens": "machine" })]),
    ];
    for (key, extras) in extras {
        for extra in extras {
            for about in narrow.iter().chain([&any]) {
                times.iter().for_each(|times| put(key, merged(&[about, extra, times])));
                if !key.starts_with("last_") {
                    put(key, merged(&[about, extra]));
                }
            }
        }
    }
    put("last_engaged", times[0].clone());
    put("converted", json!({ "source": "campaign/a" }));
    put(
        "converted",
        json!({ "source": "canvas/c", "conversion": 255, "ever": true, "after": "2026-11-22T10:00:00Z" }),
    );
    put("converted", json!({ "any": true, "less_than": "P1D" }));
    put("entered", json!({ "source": "canvas/c" }));
    put("entered", json!({ "source": "canvas/c", "variation": "A" }));
    put("in_control", json!({ "source": "campaign/a" }));
    put("in_control", json!({ "source": "canvas/c", "is": false }));
    for key in ["never_received", "hard_bounced", "unsubscribed"] {
        put(key, json!({}));
        put(key, json!({ "channel": "whatsapp" }));
    }
    put("marked_spam", json!({}));
    put("last_in_control", times[2].clone());
    put("segment", json!("vip"));
    let leaf = json!({ "received": narrow[1] });
    put("not", leaf.clone());
    put("all", json!([leaf.clone(), { "not": { "any": [leaf.clone(), { "segment": "vip" }] } }]));
    put("any", json!([{ "all": [leaf.clone()] }, { "not": { "all": [leaf] } }]));
    all
}

/// The keys of the table of filters in the reference.
pub(super) fn keys_of_the_reference() -> BTreeSet<String> {
    let text = include_str!("../../../../../../docs/api.md");
    let filters = text.split_once("\n## Filters\n").expect("the chapter").1;
    let filters = filters.split_once("\n## ").expect("the next chapter").0;
    let first_cells = filters.lines().filter_map(|line| line.strip_prefix("| `{\"")?.split(" | ").next());
    let keys = first_cells.flat_map(|cell| cell.split("`{\"").flat_map(|part| part.split("`, `{\"")));
    keys.filter_map(|part| Some(part.split_once('"')?.0.to_owned())).collect()
}
