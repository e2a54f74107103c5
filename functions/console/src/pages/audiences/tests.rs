//! The builder loses nothing: a filter that is shown in fields, and read from them, is the same filter.

use super::{
    super::forms::Fields,
    draft::{Draft, Place},
    form::{builder, whys},
    kinds::KINDS,
    known::Known,
    pieces::Shown,
    state::State,
    trouble::Trouble,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use rekindle_domain::{facet::Channel, filter::Filter};
use rekindle_service::Problem;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The fields that a browser sends of a page with this state, and nothing but them: read from the page itself.
fn sent(state: &State) -> Vec<(String, String)> {
    let shown = Shown { state, known: &Known::default(), trouble: None };
    fields_of(&builder(&shown).into_string())
}

/// The successful controls of a page, as a browser finds them.
fn fields_of(page: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut select = None::<(String, Option<String>)>;
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        let element = tag.split([' ', '>']).next().unwrap_or_default();
        let attribute = |name: &str| {
            let value = tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
            Some(unescaped(value))
        };
        match element {
            "input" => {
                let is_off = attribute("type").as_deref() == Some("checkbox") && !tag.contains(" checked");
                fields.extend(
                    attribute("name").filter(|_| !is_off).zip(attribute("value").or(Some(String::new()))),
                );
            }
            "textarea" => fields.extend(attribute("name").map(|name| (name, unescaped(text)))),
            "select" => select = Some((attribute("name").expect("a list has a name"), None)),
            "option" => {
                let value = attribute("value").expect("an entry has a value");
                match &mut select {
                    Some((_, chosen)) if chosen.is_none() || tag.ends_with(" selected") => {
                        *chosen = Some(value)
                    }
                    _ => {}
                }
            }
            "/select" => {
                let (name, chosen) = select.take().expect("a list begins before it ends");
                fields.push((name, chosen.expect("a list has entries")));
            }
            _ => {}
        }
    }
    fields
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The state after the form was sent as it is.
fn round(state: &State) -> State {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in sent(state) {
        query.append_pair(&name, &value);
    }
    State::of_form(&Fields::of(query.finish().as_bytes()))
}

fn of(filter: &Filter) -> State {
    State { draft: Draft::of(&filter.to_json()), ..State::default() }
}

/// How many parts of a draft are shown as JSON.
fn unshown(draft: &Draft) -> usize {
    match draft {
        Draft::Group { of, .. } => of.iter().map(unshown).sum(),
        Draft::Leaf(_) => 0,
        Draft::Json(_) => 1,
    }
}

/// Filters of every form that the reference describes, by the key in its table.
fn documented() -> Vec<(&'static str, Value)> {
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
fn keys_of_the_reference() -> BTreeSet<String> {
    let text = include_str!("../../../../../docs/api.md");
    let filters = text.split_once("\n## Filters\n").expect("the chapter").1;
    let filters = filters.split_once("\n## ").expect("the next chapter").0;
    let first_cells = filters.lines().filter_map(|line| line.strip_prefix("| `{\"")?.split(" | ").next());
    let keys = first_cells.flat_map(|cell| cell.split("`{\"").flat_map(|part| part.split("`, `{\"")));
    keys.filter_map(|part| Some(part.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn each_filter_of_the_reference_is_shown_in_fields_and_read_back() {
    let (documented, of_reference) = (documented(), keys_of_the_reference());
    let tried: BTreeSet<String> = documented.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(tried, of_reference, "the filters that are tried, and those of the reference");
    for (_, value) in documented {
        let filter = Filter::parse(&value, "filter").unwrap_or_else(|why| panic!("{value}: {why}"));
        let state = of(&filter);
        assert_eq!(unshown(&state.draft), 0, "{value} is shown as JSON");
        let read = round(&state);
        assert_eq!(read, state, "{value}");
        assert_eq!(read.filter().expect("a filter"), filter, "{value}");
    }
    // The list offers no kind that was not tried.
    assert!(KINDS.iter().all(|kind| of_reference.contains(kind.key)));
}

/// What no field can show is shown as JSON, and stays.
#[test]
fn a_filter_that_no_field_shows_is_kept_as_json() {
    for value in [
        json!({ "not": { "not": { "marked_spam": {} } } }),
        json!({ "clicked": { "source": "campaign/a", "alias": " cta " } }),
        json!({ "all": [{ "marked_spam": {} }, { "not": { "not": { "any": [{ "marked_spam": {} }] } } }] }),
    ] {
        let filter = Filter::parse(&value, "filter").expect("a filter");
        let state = of(&filter);
        assert_eq!(unshown(&state.draft), 1, "{value}");
        assert_eq!(round(&state).filter().expect("a filter"), filter, "{value}");
    }
}

/// The whole filter as JSON and back, by the buttons.
#[test]
fn the_switch_between_fields_and_json_loses_nothing() {
    for (_, value) in documented() {
        let filter = Filter::parse(&value, "filter").expect("a filter");
        let mut state = of(&filter);
        state.act("json");
        let mut state = round(&state);
        assert_eq!(state.filter().expect("a filter"), filter);
        state.act("choose");
        assert_eq!((state.json.as_ref(), &state.draft), (None, &of(&filter).draft));
    }
    // A text that is no JSON stays as it is.
    let mut state = State::of_text("{\"all\": [");
    state.act("choose");
    assert_eq!(state.json.as_deref(), Some("{\"all\": ["));
    state.act("json");
    assert_eq!(state.json.as_deref(), Some("{\"all\": ["));
}

/// Each button of the builder, on the way to a filter.
#[test]
fn a_filter_is_built_by_buttons() {
    let mut state = State::default();
    state.act("pick f.0 campaign/spring-sale");
    state.act("add f");
    assert_eq!(state.focus.as_deref(), Some("f-1-kind"));
    state.act("group f");
    assert_eq!(state.focus.as_deref(), Some("f-2-join"));
    state.act("pick f.2.0 canvas/welcome");
    state.act("remove f.1");
    state.act("add f.1");
    state.act("pick f.1.1 campaign/b");
    state.act("change f.1.1");
    state.act("pick f.1.1 campaign/c");
    let received = |source: &str| json!({ "received": { "source": source } });
    let group = json!({ "any": [received("canvas/welcome"), received("campaign/c")] });
    let built = json!({ "all": [received("campaign/spring-sale"), group] });
    assert_eq!(round(&state).filter().expect("a filter").to_json(), built);
    state.act("remove f");
    assert_eq!(state.draft.value(), json!({ "all": [] }));
    // A lone condition becomes a group when another one comes to it.
    let mut alone = State::of_text("{\"marked_spam\":{}}");
    alone.act("add f");
    assert_eq!(alone.draft.value(), json!({ "all": [{ "marked_spam": {} }, { "received": {} }] }));
}

/// The address that a source's page leads to.
#[test]
fn an_address_opens_the_builder_with_a_filter() {
    let opened = |query: &str| State::of_query(&Fields::of(query.as_bytes()));
    let received = opened("received=campaign/spring-sale").filter().expect("a filter");
    assert_eq!(received.to_json(), json!({ "all": [{ "received": { "source": "campaign/spring-sale" } }] }));
    let segment = opened("segment=vip").filter().expect("a filter");
    assert_eq!(segment.to_json(), json!({ "all": [{ "segment": "vip" }] }));
    let state = opened("filter=%7B%22marked_spam%22%3A%7B%7D%7D&archive=yes");
    assert_eq!((state.draft.value(), state.is_archive), (json!({ "marked_spam": {} }), true));
    let again = state.address().expect("a short filter");
    assert_eq!(opened(again.split_once('?').expect("a query").1), state);
    assert_eq!(opened("filter=%7B").json.as_deref(), Some("{"));
    assert_eq!(
        opened("received=nonsense").draft.value(),
        json!({ "all": [{ "received": { "source": "nonsense" } }] })
    );
}

/// The reason of a refusal stands beside its condition.
#[test]
fn trouble_finds_its_condition() {
    let of = |value: Value| {
        let state = State { draft: Draft::of(&value), ..State::default() };
        let problem: Problem = state.filter().expect_err("a gap");
        Trouble::of(&problem, Some(&state.draft))
    };
    let whole = json!({ "marked_spam": {} });
    for (value, place, text) in [
        (json!({ "all": [whole, { "received": {} }] }), vec![1], "Choose a campaign or Canvas."),
        (
            json!({ "not": { "any": [whole, { "not": { "opened": { "tag": "" } } }] } }),
            vec![1],
            "Write a tag.",
        ),
        (json!({ "all": [{ "any": [] }] }), vec![0], "Add a condition to this group, or remove it."),
        (json!({ "last_in_control": {} }), vec![], "Say when: give at least one time."),
        (json!({ "all": [whole, { "segment": "" }] }), vec![1], "Choose a segment."),
    ] {
        let trouble = of(value.clone());
        assert_eq!(
            (trouble.place, trouble.text.as_str(), trouble.is_gap),
            (Some(place), text, true),
            "{value}"
        );
    }
    let wrong = of(json!({ "all": [whole, { "received": { "source": "campaign/a b" } }] }));
    assert_eq!((wrong.place, wrong.is_gap), (Some(vec![1]), false));
    assert!(wrong.text.starts_with("The id of"), "{}", wrong.text);
}

fn text() -> impl Strategy<Value = String> {
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

fn filter() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..5).prop_map(|of| json!({ "all": of })),
            vec(inner.clone(), 1..5).prop_map(|of| json!({ "any": of })),
            inner.prop_map(|filter| json!({ "not": filter })),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_filter_is_the_same_after_the_form(value in filter()) {
        let filter = Filter::parse(&value, "filter").expect("a filter");
        let state = of(&filter);
        let read = round(&state);
        prop_assert_eq!(read.filter().expect("a filter"), filter);
        prop_assert_eq!(&round(&read), &read);
    }

    /// JSON that is no filter yet, or never, stays what it is, too.
    #[test]
    fn any_draft_is_the_same_after_the_form(value in filter(), at in any::<prop::sample::Index>(), with in junk()) {
        let mut value = value;
        let places = pointers(&value, String::new());
        *value.pointer_mut(&places[at.index(places.len())]).expect("a place") = with;
        let state = State { draft: Draft::of(&value), ..State::default() };
        prop_assert_eq!(state.draft.value(), value.clone());
        prop_assert_eq!(round(&state).draft.value(), value);
    }

    /// Whatever is sent, there is an answer: a draft that can be shown, sent again, and judged.
    #[test]
    fn garbage_never_panics(fields in vec((name(), text()), 0..60), acts in vec(act(), 0..6)) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &fields {
            query.append_pair(name, value);
        }
        let mut state = State::of_form(&Fields::of(query.finish().as_bytes()));
        for act in acts {
            state.act(&act);
            let problem = state.filter().err();
            let trouble = problem.map(|problem| Trouble::of(&problem, Some(&state.draft)));
            let shown = Shown { state: &state, known: &Known::default(), trouble: trouble.as_ref() };
            let page = builder(&shown).into_string();
            prop_assert!(page.starts_with("<div id=\"builder\">"));
            state = round(&state);
        }
        _ = whys(&state.draft, &mut Place::new(), None);
    }
}

fn junk() -> impl Strategy<Value = Value> {
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

fn pointers(value: &Value, at: String) -> Vec<String> {
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

fn name() -> impl Strategy<Value = String> {
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

fn act() -> impl Strategy<Value = String> {
    let verb = select(vec!["add", "group", "remove", "pick", "change", "json", "choose", "nonsense", ""]);
    (verb, place(), text()).prop_map(|(verb, place, word)| format!("{verb} {place} {word}"))
}
