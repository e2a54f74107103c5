//! The builder loses nothing: a filter that is shown in fields, and read from them, is the same filter.

mod any;
mod browser;
mod reference;

use super::{
    draft::{Draft, Place},
    form::{builder, whys},
    kinds::KINDS,
    known::Known,
    pieces::Shown,
    state::State,
    trouble::Trouble,
};
use crate::pages::forms::Fields;
use any::{act, filter, junk, name, pointers, text};
use browser::round;
use proptest::{collection::vec, prelude::*};
use reference::{documented, keys_of_the_reference};
use rekindle_domain::filter::Filter;
use rekindle_service::Problem;
use serde_json::{Value, json};
use std::collections::BTreeSet;

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
