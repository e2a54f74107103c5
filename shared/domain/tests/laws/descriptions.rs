//! Filters in words: every kind of condition, and that no two of them read the same.

use crate::{filters::filter, support::cases};
use proptest::prelude::*;
use rekindle_domain::filter::{Filter, MAX_DESCRIPTION};
use serde_json::{Value, json};

fn describe(value: &Value) -> String {
    Filter::parse(value, "filter").expect("a filter").describe()
}

/// The text without what stands in parentheses or quotes.
fn bare(text: &str) -> String {
    let (mut depth, mut is_quoted, mut out) = (0, false, String::new());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if is_quoted => _ = chars.next(),
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => out.push(c),
            _ => {}
        }
        assert!(depth >= 0, "{text}");
    }
    assert!(depth == 0 && !is_quoted, "{text}");
    out
}

/// A condition, its words, and the words of its contrary.
type Words = (Value, &'static str, &'static str);

/// Conditions on messages that were received, opened or clicked.
fn messages() -> Vec<Words> {
    let t = "2026-11-22T10:00:00Z";
    vec![
        (json!({"segment": "fans"}), "is in segment fans", "is not in segment fans"),
        (json!({"received": {"source": "campaign/a"}}), "received campaign/a", "did not receive campaign/a"),
        (
            json!({"received": {"source": "canvas/c", "variation": "B", "step": "day-1", "channel": "in_app"}}),
            "received canvas/c (variation B, step day-1, channel in_app)",
            "did not receive canvas/c (variation B, step day-1, channel in_app)",
        ),
        (
            json!({"received": {"tag": "promo", "channel": "email"}}),
            "received any email of a source tagged promo",
            "did not receive any email of a source tagged promo",
        ),
        (
            json!({"last_received": {"any": true, "channel": "email", "more_than": "P30D"}}),
            "last received any email more than 30 days ago",
            "not (last received any email more than 30 days ago)",
        ),
        (
            json!({"last_received": {"source": "campaign/a", "less_than": "P1Y2M", "more_than": "PT90M", "after": t, "before": "2026-12-01T00:00:00.5Z"}}),
            "last received campaign/a at most 1 year, 2 months ago, more than 90 minutes ago, since 2026-11-22T10:00:00Z, before 2026-12-01T00:00:00.500Z",
            "not (last received campaign/a at most 1 year, 2 months ago, more than 90 minutes ago, since 2026-11-22T10:00:00Z, before 2026-12-01T00:00:00.500Z)",
        ),
        (json!({"opened": {"source": "campaign/a"}}), "opened campaign/a", "did not open campaign/a"),
        (
            json!({"opened": {"source": "campaign/a", "variant": "B", "opens": "machine"}}),
            "opened campaign/a (variant B) (machine opens only)",
            "did not open campaign/a (variant B) (machine opens only)",
        ),
        (
            json!({"opened": {"tag": "promo", "opens": "human"}}),
            "opened any message of a source tagged promo (human opens only)",
            "did not open any message of a source tagged promo (human opens only)",
        ),
        (json!({"clicked": {"any": true}}), "clicked any message", "did not click any message"),
        (
            json!({"clicked": {"source": "campaign/a", "alias": "buy \"now\" and here"}}),
            "clicked the link \"buy \\\"now\\\" and here\" in campaign/a",
            "did not click the link \"buy \\\"now\\\" and here\" in campaign/a",
        ),
    ]
}

/// Conditions on what else became of messages, and on what stands until it is taken back.
fn deeds_and_standings() -> Vec<Words> {
    let t = "2026-11-22T10:00:00Z";
    vec![
        (
            json!({"clicked": {"any": true, "clicks": "human", "less_than": "P7D"}}),
            "last clicked any message (human clicks only) at most 7 days ago",
            "not (last clicked any message (human clicks only) at most 7 days ago)",
        ),
        (
            json!({"delivered": {"any": true, "channel": "rcs"}}),
            "was delivered any RCS message",
            "was not delivered any RCS message",
        ),
        (
            json!({"dismissed": {"source": "campaign/a"}}),
            "dismissed campaign/a",
            "did not dismiss campaign/a",
        ),
        (
            json!({"replied": {"tag": "promo", "channel": "line"}}),
            "replied to any LINE message of a source tagged promo",
            "did not reply to any LINE message of a source tagged promo",
        ),
        (
            json!({"bounced": {"source": "campaign/a"}}),
            "has a bounce of campaign/a",
            "has no bounce of campaign/a",
        ),
        (
            json!({"bounced": {"any": true, "bounce": "soft", "after": t}}),
            "last had a soft bounce of any message since 2026-11-22T10:00:00Z",
            "not (last had a soft bounce of any message since 2026-11-22T10:00:00Z)",
        ),
        (
            json!({"converted": {"source": "campaign/a", "ever": true, "conversion": 2}}),
            "converted on campaign/a (conversion 2) at any time",
            "did not convert on campaign/a (conversion 2) at any time",
        ),
        (
            json!({"converted": {"any": true, "before": t}}),
            "last converted on any source before 2026-11-22T10:00:00Z",
            "not (last converted on any source before 2026-11-22T10:00:00Z)",
        ),
        (
            json!({"hard_bounced": {"channel": "push"}}),
            "has a hard-bounced address (channel push)",
            "has no hard-bounced address (channel push)",
        ),
        (
            json!({"unsubscribed": {}}),
            "is unsubscribed from at least one channel",
            "is not unsubscribed from any channel",
        ),
        (
            json!({"unsubscribed": {"channel": "sms"}}),
            "is unsubscribed (channel sms)",
            "is not unsubscribed (channel sms)",
        ),
    ]
}

/// Conditions on conversions and control groups, and over all sources.
fn other_conditions() -> Vec<Words> {
    let t = "2026-11-22T10:00:00Z";
    vec![
        (
            json!({"converted": {"source": "campaign/a"}}),
            "converted on the last message of campaign/a",
            "did not convert on the last message of campaign/a",
        ),
        (
            json!({"converted": {"source": "canvas/c"}}),
            "converted on canvas/c",
            "did not convert on canvas/c",
        ),
        (
            json!({"entered": {"source": "canvas/c", "variation": "A"}}),
            "entered canvas/c (variation A)",
            "did not enter canvas/c (variation A)",
        ),
        (
            json!({"in_control": {"source": "campaign/a"}}),
            "is in the control group of campaign/a",
            "is not in the control group of campaign/a",
        ),
        (
            json!({"in_control": {"source": "campaign/a", "is": false}}),
            "received campaign/a outside of its control group",
            "not (received campaign/a outside of its control group)",
        ),
        (
            json!({"in_control": {"source": "canvas/c", "is": false}}),
            "entered canvas/c outside of its control group",
            "not (entered canvas/c outside of its control group)",
        ),
        (
            json!({"last_engaged": {"less_than": "P1D"}}),
            "last engaged with any message (open or click) at most 1 day ago",
            "not (last engaged with any message (open or click) at most 1 day ago)",
        ),
        (
            json!({"last_engaged": {"channel": "sms", "opens": "human", "before": t}}),
            "last engaged with any SMS (human open or click) before 2026-11-22T10:00:00Z",
            "not (last engaged with any SMS (human open or click) before 2026-11-22T10:00:00Z)",
        ),
        (
            json!({"last_engaged": {"source": "campaign/a", "opens": "human", "clicks": "machine", "before": t}}),
            "last engaged with campaign/a (human open or machine click) before 2026-11-22T10:00:00Z",
            "not (last engaged with campaign/a (human open or machine click) before 2026-11-22T10:00:00Z)",
        ),
        (json!({"never_received": {}}), "never received any message", "not (never received any message)"),
        (
            json!({"never_received": {"channel": "content_card"}}),
            "never received any content card",
            "not (never received any content card)",
        ),
        (json!({"hard_bounced": {}}), "has a hard-bounced address", "has no hard-bounced address"),
        (json!({"marked_spam": {}}), "marked a message as spam", "did not mark any message as spam"),
        (
            json!({"last_in_control": {"after": t}}),
            "was last in any control group since 2026-11-22T10:00:00Z",
            "not (was last in any control group since 2026-11-22T10:00:00Z)",
        ),
    ]
}

#[test]
fn every_condition_has_its_words() {
    for (filter, said, denied) in [messages(), deeds_and_standings(), other_conditions()].concat() {
        assert_eq!(describe(&filter), said);
        assert_eq!(describe(&json!({ "not": filter })), denied);
        assert_eq!(describe(&json!({"all": [{"not": {"not": filter}}]})), said);
        assert_eq!(describe(&json!({"not": {"any": [{"all": [filter]}]}})), denied);
    }
}

#[test]
fn groups_are_joined_and_nested_ones_stand_in_parentheses() {
    let received = |id: &str| json!({"received": {"source": format!("campaign/{id}")}});
    let clicked = json!({"clicked": {"source": "campaign/a"}});
    let (a, b, c) = (received("a"), received("b"), received("c"));
    for (filter, expected) in [
        (json!({"all": [a, {"not": clicked}]}), "received campaign/a and did not click campaign/a"),
        (
            json!({"any": [a, {"any": [b, c]}]}),
            "received campaign/a or received campaign/b or received campaign/c",
        ),
        (
            json!({"all": [{"any": [a, b]}, {"any": [c]}]}),
            "(received campaign/a or received campaign/b) and received campaign/c",
        ),
        (json!({"not": {"any": [a, b]}}), "not (received campaign/a or received campaign/b)"),
        (
            json!({"any": [c, {"not": {"all": [a, {"any": [b, c]}]}}]}),
            "received campaign/c or not (received campaign/a and (received campaign/b or received campaign/c))",
        ),
    ] {
        assert_eq!(describe(&filter), expected);
    }
}

#[test]
fn long_ones_end_at_a_word() {
    let received = |n: usize| json!({"received": {"source": format!("campaign/{n}")}});
    let many = describe(&json!({"all": (0..100).map(received).collect::<Vec<_>>()}));
    assert!(many.chars().count() > MAX_DESCRIPTION - 30 && many.chars().count() <= MAX_DESCRIPTION);
    assert!(many.starts_with("received campaign/0 and received campaign/1 and "));
    let last = many.strip_suffix('…').expect("cut").rsplit(' ').next().unwrap();
    assert!(
        last == "and"
            || last == "received"
            || last.starts_with("campaign/1")
            || last.starts_with("campaign/2")
    );
    let ids = ["v", "s"].map(|c| c.repeat(128));
    let source = format!("canvas/{}", "c".repeat(128));
    let long =
        json!({"clicked": {"source": source, "variation": ids[0], "step": ids[1], "alias": "é".repeat(128)}});
    let one = describe(&json!({"all": [long, {"segment": "a"}]}));
    assert!(one.chars().count() <= MAX_DESCRIPTION && one.starts_with("clicked the link \"éééé"), "{one}");
    assert_eq!(Filter::All(vec![]).describe(), "is anybody");
    assert_eq!(Filter::Any(vec![]).describe(), "is nobody");
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// Whatever the filter is, its description is bounded, and parentheses and quotes in it are paired unless it is cut.
    #[test]
    fn descriptions_are_bounded(filter in filter(5)) {
        let text = filter.describe();
        prop_assert!(!text.is_empty() && text.chars().count() <= MAX_DESCRIPTION);
        prop_assert!(!text.contains("  ") && text.trim() == text);
        if !text.ends_with('…') {
            bare(&text);
        }
    }

    /// Two conditions that differ read differently, denied or not, and none could be taken for a group.
    #[test]
    fn different_conditions_differ(a in filter(1), b in filter(1)) {
        let no = |f: &Filter| Filter::Not(Box::new(f.clone()));
        prop_assert_eq!(a == b, a.describe() == b.describe());
        prop_assert_eq!(a == b, no(&a).describe() == no(&b).describe());
        prop_assert_ne!(a.describe(), no(&b).describe());
        for text in [a.describe(), no(&a).describe()] {
            let bare = bare(&text);
            prop_assert!(!bare.split(' ').any(|word| word == "and" || word == "or"), "{}", text);
        }
    }
}
