//! Filters as JSON: what is wrong is said with its place, and what is right is read back as it was.

use crate::support::cases;
use proptest::{prelude::*, sample::select};
use rekindle_domain::{
    facet::Channel,
    filter::{About, Bounce, By, Deed, Filter, MAX_DEPTH, MAX_NODES, Name, Narrow, Times},
    id::{SourceId, SourceKind},
    time::{Period, Time},
};
use serde_json::{Value, json};

/// The sources filters are tried on.
pub const SOURCES: [&str; 3] = ["campaign/a", "campaign/b", "canvas/c"];

/// The tags filters are tried on.
pub const TAGS: [&str; 2] = ["promo", "nobody"];
/// The segments filters are tried on.
pub const SEGMENTS: [&str; 2] = ["vip", "recent"];

fn source() -> impl Strategy<Value = SourceId> {
    select(SOURCES.to_vec()).prop_map(|s| s.parse::<SourceId>().unwrap())
}

fn channel() -> impl Strategy<Value = Option<Channel>> {
    prop::option::of(select(vec![Channel::Email, Channel::Push]))
}

fn name() -> impl Strategy<Value = Option<String>> {
    prop::option::of(select(vec!["A", "B"]).prop_map(str::to_owned))
}

fn by() -> impl Strategy<Value = By> {
    select(vec![By::Any, By::Machine, By::Human])
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        Just(Deed::Delivered),
        by().prop_map(|opens| Deed::Opened { opens }),
        (name(), by()).prop_map(|(alias, clicks)| Deed::Clicked { alias, clicks }),
        select(vec![Deed::Dismissed, Deed::Replied]),
        select(vec![Bounce::Any, Bounce::Hard, Bounce::Soft]).prop_map(|bounce| Deed::Bounced { bounce }),
    ]
}

/// Bounds, or none.
fn times_if_any() -> impl Strategy<Value = Times> {
    prop_oneof![Just(Times::default()), times()]
}

/// Whose messages, and which of them; `any` where the leaf may be about anybody's.
fn about(any: bool) -> impl Strategy<Value = (About, Narrow)> {
    (source(), select(TAGS.to_vec()), 0..if any { 8 } else { 7 }, name(), name(), channel()).prop_map(
        |(source, tag, which, variant, step, channel)| {
            let narrow = Narrow { variant: None, step: None, channel };
            match which {
                0..5 => {
                    let step = step.filter(|_| source.kind() == SourceKind::Canvas);
                    (About::Source(source), Narrow { variant, step, ..narrow })
                }
                5 | 6 => (About::Tag(tag.to_owned()), narrow),
                _ => (About::Any, narrow),
            }
        },
    )
}

/// The milliseconds between two times that events may have: some lie within one second, others do not.
pub const TICK: i64 = 400;

/// The present that filters are evaluated at; events lie just before it, a few after.
pub const NOW: Time = Time(4 * TICK);

/// Bounds around the times that events have.
fn times() -> impl Strategy<Value = Times> {
    let at = || prop::option::of((0i64..6).prop_map(|n| Time(n * TICK)));
    let ago = || {
        prop::option::of(select(vec!["PT0.4S", "PT1.2S", "PT2.4S"]).prop_map(|p| Period::parse(p).unwrap()))
    };
    (at(), at(), ago(), ago()).prop_filter_map("no time", |(before, after, more_than, less_than)| {
        let times = Times { before, after, more_than, less_than };
        // Bounds that exclude each other are legal, and unknown where data is expired, as any; but no trap of ours.
        let ago = |period: &Option<Period>| period.and_then(|p| p.before(NOW));
        let from = times.after.max(ago(&times.less_than));
        let to = [times.before, ago(&times.more_than)].into_iter().flatten().min();
        let is_empty = matches!((from, to), (Some(from), Some(to)) if to <= from);
        (times != Times::default() && !is_empty).then_some(times)
    })
}

fn leaf() -> impl Strategy<Value = Filter> {
    let canvas: SourceId = SOURCES[2].parse().unwrap();
    let of_sources = prop_oneof![
        about(false).prop_map(|(about, narrow)| Filter::Received { about, narrow }),
        (about(true), times()).prop_map(|((about, narrow), times)| Filter::LastReceived {
            about,
            narrow,
            times
        }),
        (deed(), about(true), times_if_any()).prop_map(|(deed, (about, narrow), times)| Filter::Did {
            deed,
            about,
            narrow,
            times
        }),
        (source(), 0u8..2, any::<bool>(), times_if_any()).prop_map(|(source, conversion, ever, times)| {
            Filter::Converted { about: About::Source(source), conversion, ever, times }
        }),
        times_if_any().prop_map(|times| Filter::Converted {
            about: About::Any,
            conversion: 0,
            ever: false,
            times
        }),
        name().prop_map(move |variation| Filter::Entered { source: canvas.clone(), variation }),
        (source(), any::<bool>()).prop_map(|(source, is)| Filter::InControl { source, is }),
    ];
    let of_users = prop_oneof![
        (about(true), by(), by(), times()).prop_map(|((about, narrow), opens, clicks, times)| {
            Filter::LastEngaged { about, narrow, opens, clicks, times }
        }),
        channel().prop_map(|channel| Filter::NeverReceived { channel }),
        channel().prop_map(|channel| Filter::HardBounced { channel }),
        channel().prop_map(|channel| Filter::Unsubscribed { channel }),
        Just(Filter::MarkedSpam),
        times().prop_map(|times| Filter::LastInControl { times }),
    ];
    let segment = select(SEGMENTS.to_vec()).prop_map(|s| Filter::Segment(s.to_owned()));
    prop_oneof![6 => of_sources, 3 => of_users, 1 => segment].boxed()
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

/// A tag in a filter is human text, and is kept as it was written.
#[test]
fn filters_take_human_text_for_tags() {
    for (sent, tag) in
        [("Black Friday 2026", "Black Friday 2026"), (" E\u{301}te\u{301} ", "Été"), ("#新春", "#新春")]
    {
        let filter = Filter::parse(&json!({ "opened": { "tag": sent } }), "filter").unwrap();
        assert_eq!(filter.to_json(), json!({ "opened": { "tag": tag } }));
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn filters_are_written_and_read_back(filter in filter(5)) {
        let written = filter.to_json();
        prop_assert_eq!(&Filter::parse(&written, "filter").unwrap(), &filter);
        let stored = serde_json::to_string(&filter).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Filter>(&stored).unwrap(), &filter);
        prop_assert_eq!(&serde_json::from_str::<Value>(&stored).unwrap(), &written);
        // It names its sources, each once.
        let text = filter.to_json().to_string();
        for source in SOURCES {
            let named = filter.sources().contains(&source.parse::<SourceId>().unwrap());
            prop_assert_eq!(named, text.contains(&format!("\"{source}\"")));
        }
        for tag in TAGS {
            prop_assert_eq!(filter.tags().contains(tag), text.contains(&format!("\"tag\":\"{tag}\"")));
        }
        for id in SEGMENTS {
            prop_assert_eq!(filter.segments().contains(id), text.contains(&format!("\"segment\":\"{id}\"")));
        }
        // Where it names something, that is what stands there.
        filter.names("", &mut |path, name| {
            let pointer = path.replace(['.', '['], "/").replace(']', "");
            let expected = match name {
                Name::Source(source) => source.to_string(),
                Name::Tag(tag) => tag.to_owned(),
                Name::Segment(id) => id.to_owned(),
                Name::Variant(_, name) | Name::Step(_, name) => name.to_owned(),
            };
            assert_eq!(written.pointer(&pointer).and_then(Value::as_str), Some(expected.as_str()), "{path}");
        });
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

/// A wrong filter, the place of its error, and a part of the error's text.
type Wrong = (Value, &'static str, &'static str);

/// Errors of groups, and of what is no filter.
fn wrong_groups() -> Vec<Wrong> {
    let ok = json!({"received": {"source": "campaign/a"}});
    vec![
        (json!(null), "filter", "exactly one key"),
        (json!("received"), "filter", "exactly one key"),
        (json!([ok]), "filter", "exactly one key"),
        (json!({}), "filter", "exactly one key"),
        (json!({"received": {"source": "campaign/a"}, "not": ok}), "filter", "exactly one key"),
        (json!({"segment": "a b"}), "filter.segment", "1 to 128"),
        (json!({"segment": null}), "filter.segment", "string"),
        (json!({"segment": {"id": "vip"}}), "filter.segment", "string"),
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
    ]
}

/// Errors of `received`, most of which the others share.
fn wrong_received() -> Vec<Wrong> {
    let ok = json!({"received": {"source": "campaign/a"}});
    vec![
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
            json!({"received": {"source": "campaign/a", "variant": "x".repeat(300)}}),
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
            "source, tag, variant, variation, step, channel",
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
    ]
}

/// Errors of opens, clicks and times.
fn wrong_engagement() -> Vec<Wrong> {
    vec![
        (
            json!({"opened": {"source": "campaign/a", "opens": "all"}}),
            "filter.opened.opens",
            "machine or human",
        ),
        (json!({"opened": {"source": "campaign/a", "opens": true}}), "filter.opened.opens", "string"),
        (
            json!({"opened": {"source": "campaign/a", "variation": "A"}}),
            "filter.opened.variation",
            "use variant",
        ),
        (json!({"opened": {"source": "canvas/c", "variant": "A"}}), "filter.opened.variant", "use variation"),
        (json!({"opened": {"source": "campaign/a", "step": "s"}}), "filter.opened.step", "no step"),
        (json!({"opened": {"tag": "promo", "variant": "A"}}), "filter.opened.variant", "a source only"),
        (json!({"opened": {"any": true, "variant": "A"}}), "filter.opened.variant", "a source only"),
        (json!({"received": {"any": true}}), "filter.received.source", "missing"),
        (json!({"clicked": {"any": true, "clicks": "bots"}}), "filter.clicked.clicks", "machine or human"),
        (json!({"opened": {"any": true, "clicks": "human"}}), "filter.opened.clicks", "unknown field"),
        (json!({"replied": {"any": true, "before": "soon"}}), "filter.replied.before", "RFC 3339"),
        (json!({"bounced": {"any": true, "bounce": "medium"}}), "filter.bounced.bounce", "hard or soft"),
        (json!({"delivered": {}}), "filter.delivered.source", "missing"),
        (json!({"opened": {"source": "campaign/a", "tag": "promo"}}), "filter.opened.tag", "exclude"),
        (json!({"clicked": {"any": false}}), "filter.clicked.any", "true"),
        (json!({"clicked": {"tag": " "}}), "filter.clicked.tag", "1 to 128"),
        (json!({"clicked": {"tag": "a\nb"}}), "filter.clicked.tag", "control"),
        (json!({"clicked": {"tag": "é".repeat(129)}}), "filter.clicked.tag", "1 to 128"),
        (json!({"last_received": {"source": "campaign/a"}}), "filter.last_received", "needs a time"),
        (
            json!({"last_received": {"any": true, "less_than": "7 days"}}),
            "filter.last_received.less_than",
            "P30D",
        ),
        (
            json!({"last_received": {"any": true, "less_than": "-P7D"}}),
            "filter.last_received.less_than",
            "P30D",
        ),
        (
            json!({"last_received": {"any": true, "more_than": "P0D"}}),
            "filter.last_received.more_than",
            "zero",
        ),
        (json!({"last_received": {"any": true, "more_than": 7}}), "filter.last_received.more_than", "string"),
        (
            json!({"last_received": {"tag": "promo", "before": "soon"}}),
            "filter.last_received.before",
            "RFC 3339",
        ),
        (
            json!({"last_engaged": {"before": "2026-01-01T00:00:00Z", "after": "2026-01-01T00:00:00Z"}}),
            "filter.last_engaged.before",
            "later than after",
        ),
        (
            json!({"last_engaged": {"source": "campaign/a", "tag": "promo", "after": "2026-01-01T00:00:00Z"}}),
            "filter.last_engaged.tag",
            "exclude",
        ),
        (json!({"last_in_control": {}}), "filter.last_in_control", "needs a time"),
    ]
}

/// Errors of the other conditions.
fn wrong_others() -> Vec<Wrong> {
    vec![
        (json!({"hard_bounced": {"channel": "fax"}}), "filter.hard_bounced.channel", "email, push"),
        (json!({"marked_spam": {"channel": "email"}}), "filter.marked_spam.channel", "has none"),
        (json!({"unsubscribed": {"source": "campaign/a"}}), "filter.unsubscribed.source", "unknown field"),
        (json!({"marked_spam": true}), "filter.marked_spam", "object"),
        (json!({"entered": {"source": "campaign/a"}}), "filter.entered.source", "Canvas"),
        (
            json!({"entered": {"source": "canvas/c", "variant": "A"}}),
            "filter.entered.variant",
            "unknown field",
        ),
        (json!({"clicked": {"source": "campaign/a", "alias": ""}}), "filter.clicked.alias", "leave it out"),
        (
            json!({"converted": {"source": "campaign/a", "conversion": 256}}),
            "filter.converted.conversion",
            "0 to 255",
        ),
        (
            json!({"converted": {"any": true, "conversion": 1}}),
            "filter.converted.conversion",
            "a source only",
        ),
        (json!({"converted": {"any": true, "ever": true}}), "filter.converted.ever", "a source only"),
        (json!({"converted": {"source": "campaign/a", "ever": 1}}), "filter.converted.ever", "true or false"),
        (json!({"converted": {"tag": "promo"}}), "filter.converted.source", "missing"),
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
    ]
}

#[test]
fn errors_name_the_exact_place() {
    let cases = [wrong_groups(), wrong_received(), wrong_engagement(), wrong_others()];
    for (value, path, detail) in cases.into_iter().flatten() {
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

/// What was read is shown again, and RFC 3339 has no year before 0: found by a request made from the OpenAPI document.
#[test]
fn times_before_the_year_0_are_that_year() {
    for early in [json!(-377_705_023_200_999_i64), json!("-009999-01-02T01:59:59Z")] {
        let filter = json!({ "last_in_control": { "before": early } });
        let shown = Filter::parse(&filter, "filter").unwrap().to_json();
        assert_eq!(shown, json!({ "last_in_control": { "before": "0000-01-01T00:00:00.000Z" } }));
    }
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
