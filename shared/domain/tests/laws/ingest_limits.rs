//! Interactions that are refused, each with its code, and the limits of a request.

use crate::{
    ingest::{NOW, collect, good},
    support::{joined, model},
};
use rekindle_domain::{
    block::{decode, encode_inbox},
    filter::Filter,
    interaction::{
        BatchError, Collector, EARLIEST, MAX_AHEAD_MILLIS, MAX_ALIAS, MAX_ITEMS, MAX_SOURCES, stored_alias,
    },
    rows::user_hash,
    time::Time,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// An interaction of another type, with more fields.
fn item(kind: &str, more: Value) -> String {
    let mut item = good();
    item.insert("type".into(), kind.into());
    let Value::Object(more) = more else { unreachable!() };
    item.extend(more);
    Value::Object(item).to_string()
}

/// The same of a Canvas.
fn canvas(kind: &str, more: Value) -> String {
    let Value::Object(more) = more else { unreachable!() };
    let mut all = Map::from_iter([("campaign_id".into(), Value::Null), ("canvas_id".into(), "w".into())]);
    all.extend(more);
    item(kind, Value::Object(all))
}

fn without(field: &str) -> String {
    let mut item = good();
    item.remove(field);
    Value::Object(item).to_string()
}

/// The code of an error, an interaction that has it, and a part of the error's text.
type Bad = (&'static str, String, &'static str);

/// Bad items, fields and user ids.
fn bad_items() -> Vec<Bad> {
    let received = |more| item("received", more);
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    vec![
        // Not an object.
        ("invalid_item", "null".into(), "object"),
        ("invalid_item", "[]".into(), "object"),
        ("invalid_item", "\"received\"".into(), "object"),
        ("invalid_item", r#"["u1","c1","received","email"]"#.into(), "object"),
        // Fields that lack, or that nobody knows.
        ("missing_field", "{}".into(), "user_id"),
        ("missing_field", without("user_id"), "user_id"),
        ("missing_field", without("campaign_id"), "campaign_id"),
        ("missing_field", without("type"), "type"),
        ("missing_field", received(json!({"campaign_id": null})), "campaign_id or canvas_id"),
        ("unknown_field", received(json!({"segment_id": "c"})), "`segment_id`"),
        ("unknown_field", received(json!({"Channel": "email"})), "`Channel`"),
        ("unknown_field", received(json!({"x".repeat(10_000): 1})), "xxx"),
        // Beyond what any interaction needs, nobody looks for what is wrong.
        ("invalid_item", received(json!({"x".repeat(1_000_000): 1})), "1000076 bytes"),
        ("unknown_field", format!(r#"{{"a":{deep},"user_id":"u"}}"#).replace(&deep, "[[]]"), "`a`"),
        // User ids.
        ("invalid_user_id", received(json!({"user_id": ""})), "1 to 512"),
        ("invalid_user_id", received(json!({"user_id": " "})), "blanks alone"),
        ("invalid_user_id", received(json!({"user_id": "\u{a0}\u{3000} "})), "blanks alone"),
        ("invalid_user_id", received(json!({"user_id": null})), "string"),
        ("invalid_user_id", received(json!({"user_id": 17})), "string"),
        ("invalid_user_id", received(json!({"user_id": ["u1"]})), "string"),
        ("invalid_user_id", received(json!({"user_id": "x".repeat(513)})), "513 bytes"),
        ("invalid_user_id", received(json!({"user_id": "é".repeat(257)})), "514 bytes"),
        ("invalid_user_id", received(json!({"user_id": "x".repeat(1_000_000)})), "1000000 bytes"),
        ("invalid_user_id", received(json!({"user_id": "a\u{0}b"})), "control"),
        ("invalid_user_id", received(json!({"user_id": "a\nb"})), "control"),
        ("invalid_user_id", received(json!({"user_id": "a\u{85}b"})), "control"),
    ]
}

/// Bad campaigns and Canvases, with their variants, variations and steps.
fn bad_sources() -> Vec<Bad> {
    let received = |more| item("received", more);
    vec![
        // Campaigns and variants.
        ("missing_field", received(json!({"campaign_id": ""})), "campaign_id or canvas_id"),
        (
            "field_not_allowed",
            json!({"user_id": "u", "type": "unsubscribed", "variant_id": "A"}).to_string(),
            "variant_id goes with campaign_id",
        ),
        (
            "field_not_allowed",
            json!({"user_id": "u", "type": "complained", "step_id": "s"}).to_string(),
            "step_id goes with canvas_id",
        ),
        ("missing_field", received(json!({"campaign_id": "", "canvas_id": ""})), "campaign_id or canvas_id"),
        ("invalid_campaign_id", received(json!({"campaign_id": "."})), "neither . nor .."),
        ("invalid_campaign_id", received(json!({"campaign_id": ".."})), "neither . nor .."),
        ("invalid_variant_id", received(json!({"variant_id": ".."})), "neither . nor .."),
        ("invalid_campaign_id", received(json!({"campaign_id": "a/b"})), "`a/b`"),
        ("invalid_campaign_id", received(json!({"campaign_id": "x".repeat(129)})), "1 to 128"),
        ("invalid_campaign_id", received(json!({"campaign_id": false})), "string"),
        ("invalid_variant_id", received(json!({"variant_id": "A B"})), "`A B`"),
        ("invalid_variant_id", received(json!({"variant_id": "x".repeat(1_000_000)})), "1 to 128"),
        ("invalid_variant_id", received(json!({"variant_id": 1})), "string"),
        // Canvases have variations and steps, campaigns have variants, and nothing is both.
        ("two_sources", received(json!({"canvas_id": "c"})), "exclude each other"),
        ("invalid_canvas_id", canvas("received", json!({"canvas_id": "a b"})), "`a b`"),
        ("invalid_canvas_id", canvas("received", json!({"canvas_id": 5})), "string"),
        ("invalid_variation_id", canvas("received", json!({"variation_id": " "})), "1 to 128"),
        ("invalid_step_id", canvas("received", json!({"step_id": "s 1"})), "`s 1`"),
        ("invalid_step_id", canvas("received", json!({"step_id": {}})), "string"),
        ("field_not_allowed", canvas("received", json!({"variant_id": "A"})), "called variation_id"),
        ("field_not_allowed", received(json!({"variation_id": "V1"})), "called variant_id"),
        ("field_not_allowed", received(json!({"step_id": "s1"})), "campaigns have no steps"),
        ("invalid_type", item("entered", json!({})), "canvas_id only"),
        ("field_not_allowed", canvas("entered", json!({"link_alias": "cta"})), "link_alias"),
    ]
}

/// Bad types, and bad fields of a type.
fn bad_types() -> Vec<Bad> {
    let received = |more| item("received", more);
    vec![
        // Types and what goes with them.
        ("invalid_type", item("Received", json!({})), "`Received`"),
        ("invalid_type", item("", json!({})), "one of"),
        ("invalid_type", item("entered", json!({})), "`entered`"),
        ("invalid_type", item(&"x".repeat(1_000_000), json!({})), "one of"),
        ("invalid_type", received(json!({"type": 1})), "type must be a string, one of received, delivered"),
        ("invalid_channel", received(json!({"channel": "mail"})), "`mail`"),
        ("invalid_channel", received(json!({"channel": {}})), "channel must be a string, one of email, push"),
        ("missing_channel", received(json!({"channel": ""})), "one of email, push"),
        ("missing_channel", without("channel"), "received"),
        ("missing_channel", item("opened", json!({"channel": null})), "opened"),
        ("missing_channel", item("clicked", json!({"channel": null})), "clicked"),
        ("missing_channel", item("delivered", json!({"channel": null})), "delivered"),
        ("missing_channel", item("dismissed", json!({"channel": null})), "dismissed"),
        ("missing_channel", item("replied", json!({"channel": null})), "replied"),
        ("invalid_link_alias", item("clicked", json!({"link_alias": 1})), "string"),
        ("invalid_bounce", item("bounced", json!({"bounce": "medium"})), "`medium`"),
        ("invalid_bounce", item("bounced", json!({"bounce": 1})), "bounce must be a string, hard or soft"),
        ("missing_bounce", item("bounced", json!({"bounce": null})), "hard where the address does not exist"),
        ("missing_bounce", item("bounced", json!({"bounce": ""})), "hard where the address does not exist"),
        ("invalid_machine", item("opened", json!({"machine": "true"})), "true or false"),
        ("invalid_conversion", item("converted", json!({"conversion": 256})), "255"),
        ("invalid_conversion", item("converted", json!({"conversion": -1})), "255"),
        ("invalid_conversion", item("converted", json!({"conversion": 1.0})), "255"),
        ("field_not_allowed", received(json!({"link_alias": "cta"})), "link_alias"),
        ("field_not_allowed", item("replied", json!({"machine": false})), "machine"),
        ("field_not_allowed", received(json!({"machine": true})), "opened or clicked"),
        ("field_not_allowed", item("opened", json!({"conversion": 0})), "conversion"),
        ("field_not_allowed", received(json!({"bounce": "hard"})), "bounce"),
    ]
}

/// Bad times, and bad JSON.
fn bad_times_and_json() -> Vec<Bad> {
    let received = |more| item("received", more);
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    vec![
        // Times.
        ("invalid_time", received(json!({"time": ""})), "RFC 3339"),
        ("invalid_time", received(json!({"time": "2026-11-22"})), "write 2026-11-22T00:00:00Z"),
        ("invalid_time", received(json!({"time": "2026-02-30T00:00:00Z"})), "RFC 3339"),
        ("invalid_time", received(json!({"time": "2026-11-22T10:00:00"})), "write 2026-11-22T10:00:00Z"),
        ("invalid_time", received(json!({"time": true})), "RFC 3339"),
        ("invalid_time", received(json!({"time": 1.5e12})), "send 1500000000000, or RFC 3339"),
        ("invalid_time", received(json!({"time": u64::MAX})), "RFC 3339"),
        ("invalid_time", received(json!({"time": "1999-12-31T23:59:59.999Z"})), "24 h"),
        ("invalid_time", received(json!({"time": EARLIEST.0 - 1})), "24 h"),
        ("invalid_time", received(json!({"time": i64::MIN})), "RFC 3339"),
        ("invalid_time", received(json!({"time": i64::MAX})), "RFC 3339"),
        // Seconds since 1970 in place of milliseconds: the most likely mistake.
        (
            "invalid_time",
            received(json!({"time": NOW.0 / 1_000})),
            "send milliseconds, 1763000000000, or RFC",
        ),
        ("invalid_time", received(json!({"time": (NOW.0 / 1_000).to_string()})), "looks like epoch seconds"),
        ("invalid_time", received(json!({"time": NOW.0 + MAX_AHEAD_MILLIS + 1})), "24 h"),
        // JSON that is none, or that nobody should send.
        ("invalid_json", r#"{"user_id":"u1","time":1e400}"#.into(), "number out of range"),
        ("missing_field", r#"{"user_id":"\ud800"}"#.into(), "type is missing"),
        ("invalid_user_id", good_with("user_id", r"a\ud800b"), "cut texts between characters"),
        ("invalid_campaign_id", good_with("campaign_id", r"a\udc00"), "campaign_id"),
        ("invalid_json", format!(r#"{{"user_id":{deep}}}"#), "recursion"),
        ("invalid_json", deep.clone(), "recursion"),
        ("invalid_item", good_with_twice("channel"), "twice: duplicate field `channel`"),
        ("invalid_item", good_with_twice("user_id"), "twice: duplicate field `user_id`"),
    ]
}

/// Every bad item beside a good one, in an array and as NDJSON.
#[test]
fn bad_interactions_are_refused_by_code() {
    let table = [bad_items(), bad_sources(), bad_types(), bad_times_and_json()];
    let good = Value::Object(good()).to_string();
    for (code, bad, detail) in table.into_iter().flatten() {
        let shown: String = bad.chars().take(120).collect();
        let array = collect(format!("[{good},{bad},{good}]").as_bytes());
        let mut lines = Collector::new(NOW);
        lines.add_ndjson(format!("{good}\n{bad}\n{good}").as_bytes()).unwrap();
        for collected in [array, lines.finish()] {
            assert_eq!(collected.accepted, 2, "{shown}");
            assert_eq!(collected.rejected.len(), 1, "{shown}");
            let rejection = &collected.rejected[0];
            assert_eq!(
                (rejection.index, rejection.code.as_ref()),
                (1, code),
                "{shown}: {}",
                rejection.detail
            );
            assert!(rejection.detail.contains(detail), "{shown}: {}", rejection.detail);
            assert!(rejection.detail.len() < 600, "{shown}: a detail of {} bytes", rejection.detail.len());
        }
    }
}

/// A good interaction in whose JSON a field has this text.
fn good_with(field: &str, text: &str) -> String {
    let mut item = good();
    item.insert(field.into(), "HERE".into());
    Value::Object(item).to_string().replace("HERE", text)
}

fn good_with_twice(field: &str) -> String {
    let item = good();
    let text = Value::Object(item.clone()).to_string();
    format!(
        "{},{}}}",
        text.strip_suffix('}').unwrap(),
        json!({ field: item[field] }).to_string().trim_matches(['{', '}'])
    )
}

/// What no JSON array can carry: only its own line is lost.
#[test]
fn lines_that_are_no_json_hurt_no_other_line() {
    let good = Value::Object(good()).to_string();
    let bad: [(&str, &[u8]); 5] = [
        ("invalid_json", b"{"),
        ("invalid_json", b"\xff\xfe"),
        ("missing_field", b"{\"user_id\":\"\xc3\x28\"}"),
        ("invalid_json", b"{\"user_id\":\"a\0b\"}"),
        ("invalid_json", b"\0"),
    ];
    for (code, bad) in bad {
        let mut collector = Collector::new(NOW);
        collector.add_ndjson(&[good.as_bytes(), b"\n", bad, b"\n", good.as_bytes()].concat()).unwrap();
        let collected = collector.finish();
        let rejected: Vec<_> = collected.rejected.iter().map(|r| (r.index, r.code.as_ref())).collect();
        assert_eq!((collected.accepted, rejected), (2, vec![(1, code)]), "{bad:?}");
    }
}

/// Delivery streams write documents without anything in between, and programs of some systems a mark before UTF-8.
#[test]
fn documents_one_after_the_other_are_taken_one_by_one() {
    let user = |n: usize| {
        Value::Object(Map::from_iter(
            [good(), Map::from_iter([("user_id".into(), format!("u{n}").into())])].into_iter().flatten(),
        ))
        .to_string()
    };
    let lines = |body: &[u8]| {
        let mut collector = Collector::new(NOW);
        collector.add_ndjson(body).unwrap();
        let collected = collector.finish();
        let rejected: Vec<_> =
            collected.rejected.iter().map(|r| (r.index, r.code.clone().into_owned())).collect();
        (collected.accepted, rejected)
    };
    let three = [user(0), user(1), user(2)];
    let bom = "\u{feff}";
    for body in [
        three.concat(),
        three.join(" "),
        three.join("\r"),
        format!("{bom}{}", three.concat()),
        format!("{bom}{}", three.join("\n")),
        // Files with marks, put one behind the other.
        format!("{bom}{}\n{bom}{}\n{bom}\n", three[..2].concat(), three[2]),
    ] {
        assert_eq!(lines(body.as_bytes()), (3, vec![]), "{body}");
    }
    // Each document is an item; where a place is no JSON, the rest of the line is one.
    let bad =
        [user(0), "{}".into(), user(1), "5".into(), " ".into(), user(2), "{\"user_id\":{}".into()].concat();
    let expected = vec![(1, "missing_field".into()), (3, "invalid_item".into()), (5, "invalid_json".into())];
    assert_eq!(lines(bad.as_bytes()), (3, expected));
    let cut = [
        &user(0).into_bytes()[..],
        b"{\"user_id\":\"\xff\"}",
        &user(1).into_bytes(),
        b"\n",
        &user(2).into_bytes(),
    ];
    assert_eq!(lines(&cut.concat()), (3, vec![(1, "missing_field".into())]));
    // A mark before JSON of the other layout, too.
    assert_eq!(collect(format!("{bom}[{}]", three.join(",")).as_bytes()).accepted, 3);
    // Documents of one line are bounded as lines are.
    let error = Collector::new(NOW).add_ndjson("{}".repeat(MAX_ITEMS + 1).as_bytes());
    assert!(matches!(error, Err(BatchError::TooMany(_))), "{error:?}");
}

fn batch_error(body: &[u8]) -> (&'static str, String) {
    match Collector::new(NOW).add_json(body) {
        Err(BatchError::Malformed { code, detail }) => (code, detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bodies_out_of_shape_are_refused_as_a_whole() {
    let long = "x".repeat(1_000_000);
    let deep = "[".repeat(1_000_000);
    let table: [(&str, &[u8]); 19] = [
        ("invalid_json", b""),
        ("invalid_json", b"   "),
        ("invalid_json", b"["),
        ("invalid_json", b"[{}"),
        ("invalid_json", b"[{}] x"),
        ("invalid_json", b"{\"interactions\":[}"),
        ("invalid_json", b"\xff"),
        ("invalid_json", b"[{\"user_id\":\"\0\"}]"),
        ("invalid_json", deep.as_bytes()),
        ("invalid_batch", b"5"),
        ("invalid_batch", b"null"),
        ("invalid_batch", b"{}"),
        ("invalid_batch", b"{\"interactions\":{}}"),
        ("invalid_batch", b"{\"interactions\":[],\"interactions\":[]}"),
        ("invalid_batch", b"{\"events\":[]}"),
        // What the sender writes cannot pass for another error.
        ("invalid_batch", b"{\"too many interactions\":[]}"),
        ("invalid_batch", b"{\"interactions\":\"too many interactions\"}"),
        ("invalid_batch", &format!("\"{long}\"").into_bytes()),
        ("invalid_batch", &format!("{{\"{long}\":[]}}").into_bytes()),
    ];
    for (expected, body) in table {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        let (code, detail) = batch_error(body);
        assert_eq!(code, expected, "{shown}: {}", &detail[..detail.len().min(300)]);
        assert!(detail.len() < 1_000, "{shown}: a detail of {} bytes", detail.len());
        // No more than the sender's own text is cut within a word.
        let (said, _) = detail.rsplit_once("; send").unwrap();
        assert!(!said.contains('…') || shown.contains("xxx"), "{detail}");
    }
}

#[test]
fn nothing_is_nothing() {
    for collected in [collect(b"[]"), collect(b"{\"interactions\":[]}")] {
        assert_eq!((collected.accepted, collected.ledgers.len(), collected.rejected.len()), (0, 0, 0));
    }
}

/// The longest and the earliest that are still fine.
#[test]
fn limits_are_inclusive() {
    let fine = [
        item("received", json!({"user_id": "x".repeat(512)})),
        item("received", json!({"user_id": "é".repeat(256)})),
        item("received", json!({"user_id": "🙂".repeat(128)})),
        item("received", json!({"campaign_id": "x".repeat(128), "variant_id": "A-Z_a.z:0".repeat(14)})),
        item("clicked", json!({"link_alias": "x".repeat(256)})),
        item("clicked", json!({"link_alias": "é".repeat(128)})),
        item("received", json!({"time": EARLIEST.0})),
        item("received", json!({"time": "2000-01-01T00:00:00Z"})),
        item("received", json!({"time": NOW.0 + MAX_AHEAD_MILLIS})),
        item("converted", json!({"conversion": 255, "channel": null})),
        canvas("entered", json!({"canvas_id": "x".repeat(128), "variation_id": "y".repeat(128)})),
        canvas("control", json!({"step_id": "A-Z_a.z:0".repeat(14), "channel": null})),
    ];
    let collected = collect(format!("[{}]", fine.join(",")).as_bytes());
    assert_eq!(collected.rejected, vec![]);
    assert_eq!(collected.accepted, fine.len());
    assert_eq!(EARLIEST, Time::parse("2000-01-01T00:00:00Z").unwrap());
}

#[test]
fn a_request_holds_at_most_100_000_items() {
    let array = |n: usize, item: &str| format!("[{}]", vec![item; n].join(","));
    let good = Value::Object(good()).to_string();
    let collected = collect(array(MAX_ITEMS, &good).as_bytes());
    assert_eq!((MAX_ITEMS, collected.accepted), (100_000, 100_000));
    // All of them are one row.
    assert!(collected.ledgers.iter().all(|(_, rows)| rows.row_count() == 1));
    // Bad ones count.
    assert_eq!(collect(array(MAX_ITEMS, "0").as_bytes()).rejected.len(), MAX_ITEMS);
    for item in [&good[..], "0"] {
        let error = Collector::new(NOW).add_json(array(MAX_ITEMS + 1, item).as_bytes());
        assert!(matches!(error, Err(BatchError::TooMany(ref why)) if why.contains("100000")), "{error:?}");
        let error = Collector::new(NOW).add_ndjson(format!("{item}\n").repeat(MAX_ITEMS + 1).as_bytes());
        assert!(matches!(error, Err(BatchError::TooMany(_))), "{error:?}");
    }
    // Blank lines do not.
    assert_eq!(Collector::new(NOW).add_ndjson("\n".repeat(MAX_ITEMS + 1).as_bytes()), Ok(()));
}

#[test]
fn a_request_names_at_most_1_000_sources() {
    let of = |n: usize| -> Vec<String> {
        (0..n).map(|i| item("received", json!({"campaign_id": format!("c{i}")}))).collect()
    };
    let collected = collect(format!("[{}]", of(MAX_SOURCES).join(",")).as_bytes());
    assert_eq!((MAX_SOURCES, collected.accepted, collected.ledgers.len()), (1_000, 1_000, 1_001));
    // A Canvas of a campaign's id is another source.
    let mut other = of(MAX_SOURCES);
    other.push(canvas("received", json!({"canvas_id": "c1"})));
    let error = Collector::new(NOW).add_json(format!("[{}]", other.join(",")).as_bytes());
    assert!(matches!(error, Err(BatchError::TooMany(_))), "{error:?}");
    // A campaign that is out of shape, or that came before, is none more.
    let mut more = of(MAX_SOURCES);
    more.push(item("received", json!({"campaign_id": "c 1"})));
    more.push(item("received", json!({"campaign_id": "c1"})));
    assert_eq!(collect(format!("[{}]", more.join(",")).as_bytes()).accepted, 1_001);
    let error = Collector::new(NOW).add_json(format!("[{}]", of(MAX_SOURCES + 1).join(",")).as_bytes());
    assert!(matches!(error, Err(BatchError::TooMany(ref why)) if why.contains("1000")), "{error:?}");
}

/// Clicks of one user on many links, each twice.
fn clicks(user: &str, campaign: &str, aliases: std::ops::Range<usize>) -> Vec<Value> {
    let click = |alias: String| {
        let mut item: Map<String, Value> = good();
        item.insert("user_id".into(), user.into());
        item.insert("campaign_id".into(), campaign.into());
        item.insert("type".into(), "clicked".into());
        item.insert("link_alias".into(), alias.into());
        Value::Object(item)
    };
    aliases.flat_map(|i| [click(format!("link-{i}")), click(format!("link-{i}"))]).collect()
}

/// A request takes what two requests would take: ten thousand links of one user are all stored, in blocks that hold them.
#[test]
fn one_user_may_have_any_number_of_facets() {
    let mut items = clicks("u1", "c1", 0..10_000);
    items.extend(clicks("u2", "c2", 0..1));
    let collected = collect(Value::Array(items).to_string().as_bytes());
    assert_eq!((collected.accepted, collected.rejected.len()), (20_002, 0));
    for (ledger, rows) in &collected.ledgers {
        let blocks = encode_inbox(rows, 4_096);
        assert!(blocks.iter().all(|(block, _)| block.len() <= 4_096));
        let read = joined(blocks.iter().map(|(block, _)| model(&decode(block).unwrap().rows)));
        assert_eq!(read, model(rows), "{ledger}");
    }
    assert_eq!(collected.ledgers.iter().map(|(_, rows)| rows.row_count()).sum::<usize>(), 2 * 10_001);
}

fn alias_of(alias: &str) -> (String, usize) {
    let collected = collect(format!("[{}]", item("clicked", json!({ "link_alias": alias }))).as_bytes());
    assert_eq!(collected.rejected, vec![]);
    let stored = collected.ledgers.iter().map(|(_, rows)| rows.facets[0].alias.clone().unwrap());
    let stored: Vec<_> = stored.collect();
    assert_eq!(stored[0], stored[1], "`users` and the campaign store one alias");
    (stored[0].to_string(), collected.aliases_shortened)
}

#[test]
fn an_alias_that_is_too_long_costs_no_click_and_its_filter_finds_it() {
    let (x, e) = ("x".repeat(257), "é".repeat(200));
    for (alias, stored) in [
        (&x[..256], x[..256].to_owned()),
        // The golden values: stored aliases are compared for ever.
        (&x, format!("{}~{}", &x[..239], hash(&x))),
        (&e, format!("{}~{}", &e[..238], hash(&e))),
        ("a\tb", format!("a b~{}", hash("a\tb"))),
        ("\u{85}", format!(" ~{}", hash("\u{85}"))),
    ] {
        let is_shortened = alias != stored;
        assert_eq!(alias_of(alias), (stored.clone(), usize::from(is_shortened)), "{alias:?}");
        assert!(stored.len() <= MAX_ALIAS);
        // A stored alias is its own stored form, so that an export can be posted again.
        assert_eq!(alias_of(&stored), (stored.clone(), 0));
        for asked in [alias, &stored] {
            let filter = json!({ "clicked": { "any": true, "alias": asked } });
            let shown = serde_json::to_value(Filter::parse(&filter, "filter").unwrap()).unwrap();
            assert_eq!(shown["clicked"]["alias"], *stored);
        }
    }
    assert_eq!(stored_alias("a\tb"), "a b~e724b9ccbf86258c");
    // Two aliases with one beginning stay two.
    assert_ne!(alias_of(&format!("{x}1")).0, alias_of(&format!("{x}2")).0);
    // Those of a refused source do not count.
    let mut collector = Collector::new(NOW);
    collector.add_json(format!("[{}]", item("clicked", json!({ "link_alias": x }))).as_bytes()).unwrap();
    let source = collector.sources().next().unwrap().0.clone();
    collector.refuse_sources(&BTreeSet::from([source]), "unknown_source", |_| String::new());
    assert_eq!(collector.finish().aliases_shortened, 0);
}

fn hash(alias: &str) -> String {
    format!("{:016x}", user_hash(alias.as_bytes()))
}
