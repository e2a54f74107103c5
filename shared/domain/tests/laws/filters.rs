//! Filters as JSON: what is wrong is said with its place, and what is right is read back as it was.

use crate::support::cases;
use proptest::{prelude::*, sample::select};
use rekindle_domain::{
    facet::Channel,
    filter::{Filter, MAX_DEPTH, MAX_NODES, Opens},
    id::SourceId,
};
use serde_json::{Value, json};

/// The sources filters are tried on.
pub const SOURCES: [&str; 3] = ["campaign/a", "campaign/b", "canvas/c"];

fn leaf() -> impl Strategy<Value = Filter> {
    let source = || select(SOURCES.to_vec()).prop_map(|s| s.parse::<SourceId>().unwrap());
    let channel = || prop::option::of(select(vec![Channel::Email, Channel::Push]));
    let name = || prop::option::of(select(vec!["A", "B"]).prop_map(str::to_owned));
    prop_oneof![
        (source(), name(), channel()).prop_map(|(source, variant, channel)| Filter::Received {
            source,
            variant,
            channel
        }),
        (source(), channel(), select(vec![Opens::Any, Opens::Machine, Opens::Human]))
            .prop_map(|(source, channel, opens)| Filter::Opened { source, channel, opens }),
        (source(), channel(), name()).prop_map(|(source, channel, alias)| Filter::Clicked {
            source,
            channel,
            alias
        }),
        source().prop_map(|source| Filter::Converted { source }),
        (source(), any::<bool>()).prop_map(|(source, is)| Filter::InControl { source, is }),
        channel().prop_map(|channel| Filter::NeverReceived { channel }),
    ]
}

/// Any filter that nests at most `depth` deep.
pub fn filter(depth: u32) -> BoxedStrategy<Filter> {
    if depth <= 1 {
        return leaf().boxed();
    }
    let inner = || filter(depth - 1);
    prop_oneof![
        2 => leaf(),
        2 => prop::collection::vec(inner(), 1..4).prop_map(Filter::All),
        2 => prop::collection::vec(inner(), 1..4).prop_map(Filter::Any),
        2 => inner().prop_map(|f| Filter::Not(Box::new(f))),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn filters_are_written_and_read_back(filter in filter(5)) {
        let written = filter.to_json();
        prop_assert_eq!(&Filter::parse(&written, "filter").unwrap(), &filter);
        let stored = serde_json::to_string(&filter).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Filter>(&stored).unwrap(), &filter);
        prop_assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), written);
        // It names its sources, each once.
        let text = filter.to_json().to_string();
        for source in SOURCES {
            let named = filter.sources().contains(&source.parse::<SourceId>().unwrap());
            prop_assert_eq!(named, text.contains(&format!("\"{source}\"")));
        }
    }

    /// Whatever JSON it is given, the parser says yes, or where it is wrong.
    #[test]
    fn anything_is_a_filter_or_wrong_somewhere(filter in filter(4), at in any::<prop::sample::Index>(), with in junk()) {
        let mut value = filter.to_json();
        let places = pointers(&value, String::new());
        *value.pointer_mut(&places[at.index(places.len())]).unwrap() = with;
        if let Err(e) = Filter::parse(&value, "filter") {
            prop_assert!(e.path.starts_with("filter"), "{e}");
            prop_assert!(!e.detail.is_empty() && e.to_string().len() < 1_000, "{e}");
        }
    }
}

fn junk() -> impl Strategy<Value = Value> {
    select(vec![
        json!(null),
        json!(1),
        json!(""),
        json!("x".repeat(5_000)),
        json!([]),
        json!({}),
        json!([{"all": []}]),
        json!({"é".repeat(5_000): 1}),
        json!({"source": "campaign/a", "x".repeat(5_000): 1}),
        json!({"not": {"not": {}}}),
    ])
}

/// A JSON pointer to every place within a value.
fn pointers(value: &Value, at: String) -> Vec<String> {
    let mut out = match value {
        Value::Object(o) => o.iter().flat_map(|(k, v)| pointers(v, format!("{at}/{k}"))).collect(),
        Value::Array(a) => a.iter().enumerate().flat_map(|(i, v)| pointers(v, format!("{at}/{i}"))).collect(),
        _ => vec![],
    };
    out.push(at);
    out
}

#[test]
fn errors_name_the_exact_place() {
    let ok = json!({"received": {"source": "campaign/a"}});
    let long = "x".repeat(300);
    let cases = [
        (json!(null), "filter", "exactly one key"),
        (json!("received"), "filter", "exactly one key"),
        (json!([ok]), "filter", "exactly one key"),
        (json!({}), "filter", "exactly one key"),
        (json!({"received": {"source": "campaign/a"}, "not": ok}), "filter", "exactly one key"),
        (json!({"segment": "vip"}), "filter.segment", "unknown filter"),
        (json!({"has_received": {}}), "filter.has_received", "unknown filter"),
        (json!({"": {}}), "filter.", "unknown filter"),
        (json!({"all": {}}), "filter.all", "array"),
        (json!({"any": null}), "filter.any", "array"),
        (json!({"all": []}), "filter.all", "empty"),
        (json!({"any": []}), "filter.any", "empty"),
        (json!({"not": []}), "filter.not", "exactly one key"),
        (json!({"not": null}), "filter.not", "exactly one key"),
        (json!({"all": [ok, 5]}), "filter.all[1]", "exactly one key"),
        (
            json!({"all": [ok, {"any": [ok, ok, {"not": {"any": []}}]}]}),
            "filter.all[1].any[2].not.any",
            "empty",
        ),
        (json!({"received": "campaign/a"}), "filter.received", "object"),
        (json!({"received": null}), "filter.received", "object"),
        (json!({"received": {}}), "filter.received.source", "missing"),
        (json!({"received": {"source": null}}), "filter.received.source", "missing"),
        (json!({"received": {"source": 5}}), "filter.received.source", "string"),
        (json!({"received": {"source": "a"}}), "filter.received.source", "campaign/ID"),
        (json!({"received": {"source": "campaign/"}}), "filter.received.source", "1 to 128"),
        (json!({"received": {"source": "campaign/a b"}}), "filter.received.source", "1 to 128"),
        (json!({"received": {"source": "segment/a"}}), "filter.received.source", "not a source"),
        (json!({"received": {"source": "campaign/a", "variant": ""}}), "filter.received.variant", "1 to 128"),
        (
            json!({"received": {"source": "campaign/a", "variant": "é"}}),
            "filter.received.variant",
            "1 to 128",
        ),
        (
            json!({"received": {"source": "campaign/a", "variant": long}}),
            "filter.received.variant",
            "1 to 128",
        ),
        (
            json!({"received": {"source": "campaign/a", "variant": ["A"]}}),
            "filter.received.variant",
            "string",
        ),
        (
            json!({"received": {"source": "campaign/a", "alias": "x"}}),
            "filter.received.alias",
            "source, variant, channel",
        ),
        (
            json!({"all": [ok, {"received": {"source": "campaign/a", "channel": "fax"}}]}),
            "filter.all[1].received.channel",
            "email, push",
        ),
        (
            json!({"received": {"source": "campaign/a", "channel": "Email"}}),
            "filter.received.channel",
            "email, push",
        ),
        (
            json!({"opened": {"source": "campaign/a", "opens": "all"}}),
            "filter.opened.opens",
            "machine or human",
        ),
        (json!({"opened": {"source": "campaign/a", "opens": true}}), "filter.opened.opens", "string"),
        (
            json!({"opened": {"source": "campaign/a", "variant": "A"}}),
            "filter.opened.variant",
            "unknown field",
        ),
        (json!({"clicked": {"source": "campaign/a", "alias": ""}}), "filter.clicked.alias", "256 bytes"),
        (json!({"clicked": {"source": "campaign/a", "alias": "a\u{0}"}}), "filter.clicked.alias", "control"),
        (json!({"clicked": {"source": "campaign/a", "alias": long}}), "filter.clicked.alias", "256 bytes"),
        (
            json!({"converted": {"source": "campaign/a", "conversion": 1}}),
            "filter.converted.conversion",
            "unknown field",
        ),
        (
            json!({"in_control": {"source": "campaign/a", "is": null}}),
            "filter.in_control.is",
            "true or false",
        ),
        (
            json!({"in_control": {"source": "campaign/a", "is": "yes"}}),
            "filter.in_control.is",
            "true or false",
        ),
        (json!({"in_control": {"is": true}}), "filter.in_control.source", "missing"),
        (
            json!({"never_received": {"source": "campaign/a"}}),
            "filter.never_received.source",
            "unknown field",
        ),
        (json!({"not": {"never_received": {"channel": 1}}}), "filter.not.never_received.channel", "string"),
    ];
    for (value, path, detail) in cases {
        let e = Filter::parse(&value, "filter").expect_err(&value.to_string());
        assert_eq!(e.path, path, "{value}");
        assert!(e.detail.contains(detail), "{value}: {e}");
        assert_eq!(e.to_string(), format!("{path}: {}", e.detail));
        // Wherever the filter stands, the path starts there.
        assert_eq!(
            Filter::parse(&value, "audience").unwrap_err().path,
            path.replacen("filter", "audience", 1)
        );
    }
}

#[test]
fn what_may_be_left_out_may_be_null() {
    let parse = |value: Value| Filter::parse(&value, "filter").unwrap();
    assert_eq!(
        parse(json!({"received": {"source": "campaign/a", "variant": null, "channel": null}})),
        parse(json!({"received": {"source": "campaign/a"}}))
    );
    assert_eq!(
        parse(json!({"opened": {"source": "campaign/a", "opens": null}})),
        parse(json!({"opened": {"source": "campaign/a", "opens": "any"}}))
    );
    assert_eq!(
        parse(json!({"in_control": {"source": "campaign/a"}})),
        parse(json!({"in_control": {"source": "campaign/a", "is": true}}))
    );
}

fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({"never_received": {}}), |inner, _| json!({ "not": inner }))
}

#[test]
fn depth_and_size_are_bounded() {
    assert!(Filter::parse(&nested(MAX_DEPTH), "filter").is_ok());
    for depth in [MAX_DEPTH + 1, 100] {
        let e = Filter::parse(&nested(depth), "filter").unwrap_err();
        assert_eq!(e.path, format!("filter{}", ".not".repeat(MAX_DEPTH)));
        assert!(e.detail.contains("deep"), "{e}");
    }
    let list = |n: usize| json!({"any": vec![nested(1); n]});
    assert!(Filter::parse(&list(MAX_NODES - 1), "filter").is_ok());
    let e = Filter::parse(&list(MAX_NODES), "filter").unwrap_err();
    assert_eq!(e.path, format!("filter.any[{}]", MAX_NODES - 1));
    assert!(e.detail.contains("500"), "{e}");
    // Small lists add up, too.
    let e = Filter::parse(&json!({"all": vec![list(49); 11]}), "filter").unwrap_err();
    assert_eq!(e.path, "filter.all[9].any[48]");
}
