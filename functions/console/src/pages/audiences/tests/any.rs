//! Any filter, any JSON that is almost one, and any garbage that a form may bring.

use super::super::kinds::KINDS;
use proptest::{collection::vec, option, prelude::*, sample::select};
use rekindle_domain::{facet::Channel, filter::Filter};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec!["A", "cta", "\"&<script>", " edge ", "新春 \u{202e}x", "'", "a\\b", "0"]).prop_map(str::to_owned),
        1 => "\\PC{1,40}",
    ]
}

fn id() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_.:-]{1,12}"
}

fn about() -> impl Strategy<Value = Value> {
    let campaign = (id(), option::of(id()))
        .prop_map(|(id, variant)| json!({ "source": format!("campaign/{id}"), "variant": variant }));
    let canvas = (id(), option::of(id()), option::of(id())).prop_map(|(id, variation, step)| {
        json!({ "source": format!("canvas/{id}"), "variation": variation, "step": step })
    });
    prop_oneof![campaign, canvas, text().prop_map(|tag| json!({ "tag": tag })), Just(json!({ "any": true }))]
}

fn times() -> impl Strategy<Value = Value> {
    let at = || {
        option::of(prop_oneof![
            any::<i32>().prop_map(|n| i64::from(n) * 100_000_000),
            -99_000_000_000_000..250_000_000_000_000i64
        ])
    };
    let period = || {
        let unit = select(vec!["P{}D", "P{}W", "P{}M", "P{}Y", "PT{}H", "PT{}M", "PT{}S", "P1Y{}M3DT1H"]);
        option::of((1u16..400, unit).prop_map(|(n, form)| form.replace("{}", &n.to_string())))
    };
    (at(), at(), period(), period()).prop_map(|(before, after, more_than, less_than)| {
        json!({ "before": before, "after": after, "more_than": more_than, "less_than": less_than })
    })
}

/// Any condition.
fn leaf() -> impl Strategy<Value = Value> {
    let channel = option::of(select(Channel::ALL.map(Channel::as_str).to_vec()));
    let whose = || option::of(select(vec!["any", "human", "machine"]));
    let extras = (
        channel,
        option::of(text()),
        whose(),
        whose(),
        option::of(select(vec!["any", "hard", "soft"])),
        (option::of(any::<u8>()), option::of(any::<bool>()), option::of(any::<bool>())),
    );
    let extras = extras.prop_map(|(channel, alias, opens, clicks, bounce, (conversion, ever, is))| {
        json!({ "channel": channel, "alias": alias, "opens": opens, "clicks": clicks, "bounce": bounce,
                "conversion": conversion, "ever": ever, "is": is })
    });
    let key = select(KINDS.iter().map(|kind| kind.key).collect::<Vec<_>>());
    (key, about(), times(), extras, vec(any::<bool>(), 16), id()).prop_map(
        |(key, about, times, extras, keep, id)| {
            if key == "segment" {
                return json!({ "segment": id });
            }
            let fields = [about, times, extras]
                .into_iter()
                .flat_map(|part| part.as_object().cloned().unwrap_or_default());
            let mut body: BTreeMap<String, Value> = fields.filter(|(_, value)| !value.is_null()).collect();
            let is_filter = |body: &BTreeMap<String, Value>| Filter::parse(&json!({ key: body }), "filter");
            // A field that the kind does not have is taken out, until it is a filter; then some are left out by chance.
            while let Err(wrong) = is_filter(&body) {
                let field = wrong.path.rsplit('.').next().unwrap_or_default().to_owned();
                if body.remove(&field).is_none() {
                    return json!({ "marked_spam": {} });
                }
            }
            let keep = keep.into_iter().chain(std::iter::repeat(true));
            let fewer: BTreeMap<_, _> = body
                .clone()
                .into_iter()
                .zip(keep)
                .filter(|(_, keep)| *keep)
                .map(|(field, _)| field)
                .collect();
            let body = if is_filter(&fewer).is_ok() { fewer } else { body };
            json!({ key: body })
        },
    )
}

pub(super) fn filter() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..5).prop_map(|of| json!({ "all": of })),
            vec(inner.clone(), 1..5).prop_map(|of| json!({ "any": of })),
            inner.prop_map(|filter| json!({ "not": filter })),
        ]
    })
}

pub(super) fn junk() -> impl Strategy<Value = Value> {
    select(vec![
        json!(null),
        json!(7),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
        json!({ "all": [] }),
        json!({ "received": {} }),
        json!({ "opened": { "tag": "" } }),
        json!({ "segment": "" }),
    ])
}

pub(super) fn pointers(value: &Value, at: String) -> Vec<String> {
    let mut out: Vec<String> = match value {
        Value::Object(object) => {
            object.iter().flat_map(|(key, value)| pointers(value, format!("{at}/{key}"))).collect()
        }
        Value::Array(list) => {
            list.iter().enumerate().flat_map(|(i, value)| pointers(value, format!("{at}/{i}"))).collect()
        }
        _ => Vec::new(),
    };
    out.push(at);
    out
}

fn place() -> impl Strategy<Value = String> {
    vec(prop_oneof![9 => 0usize..4, 1 => Just(usize::MAX)], 0..5)
        .prop_map(|place| place.iter().fold("f".to_owned(), |name, i| format!("{name}.{i}")))
}

pub(super) fn name() -> impl Strategy<Value = String> {
    let field = select(vec![
        "kind",
        "join",
        "size",
        "not",
        "of",
        "source",
        "json",
        "more_than",
        "more_than.unit",
        "before",
        "q",
        "conversion",
    ]);
    prop_oneof![
        9 => (place(), field).prop_map(|(place, field)| format!("{place}.{field}")),
        1 => select(vec!["mode", "json", "version", "segment", "f", ".", ""]).prop_map(str::to_owned),
    ]
}

pub(super) fn act() -> impl Strategy<Value = String> {
    let verb = select(vec!["add", "group", "remove", "pick", "change", "json", "choose", "nonsense", ""]);
    (verb, place(), text()).prop_map(|(verb, place, word)| format!("{verb} {place} {word}"))
}
