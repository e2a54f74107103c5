//! Blocks whose users are counted at once, by what they have done and no more.

use super::{event, nothing_expired};
use crate::support::{Model, cases, pack, rows_of, sort_by_hash};
use proptest::{collection::vec, prelude::*, sample::select};
use rekindle_domain::{
    block::{Cover, Position, Sealed, encode},
    facet::{Channel, Facet, Kind},
    filter::{About, By, Deed, Filter, Narrow, Program, Tallied, Times, Truth},
    id::{SourceId, SourceKind},
};
use serde_json::json;
use std::collections::BTreeMap;

/// Filters that ask nothing but what users have done with one source, of whom received it.
fn about_one(source: &'static str) -> impl Strategy<Value = Filter> {
    let source: SourceId = source.parse().unwrap();
    let is_canvas = source.kind() == SourceKind::Canvas;
    let name = || select(vec![None, Some("A".to_owned()), Some("B".to_owned())]);
    let channel = select(vec![None, Some(Channel::Email), Some(Channel::Push)]);
    let about = About::Source(source.clone());
    let what = (0u8..6, name(), name(), channel, select(vec![By::Any, By::Machine, By::Human]));
    let of_source = source.clone();
    let leaf = what.prop_map(move |(which, variant, other, channel, by)| {
        let step = other.clone().filter(|_| is_canvas);
        let narrow = Narrow { variant: variant.clone(), step, channel };
        let (about, source) = (about.clone(), of_source.clone());
        match which {
            0 => Filter::Received { about, narrow },
            1 => Filter::Did { deed: Deed::Opened { opens: by }, about, narrow, times: Times::default() },
            2 => {
                let deed = Deed::Clicked { alias: other, clicks: by };
                Filter::Did { deed, about, narrow, times: Times::default() }
            }
            3 if is_canvas => {
                Filter::Converted { about, conversion: 0, ever: by == By::Any, times: Times::default() }
            }
            3 | 4 if is_canvas => Filter::Entered { source, variation: variant },
            3..5 => Filter::InControl { source, is: variant.is_some() },
            // Nobody knows it: unknown.
            _ => Filter::Segment("gone".to_owned()),
        }
    });
    let nested = leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Filter::All),
            vec(inner.clone(), 1..4).prop_map(Filter::Any),
            inner.prop_map(|f| Filter::Not(Box::new(f))),
        ]
    });
    let received = Filter::Received { about: About::Source(source), narrow: Narrow::default() };
    nested.prop_map(move |filter| Filter::All(vec![received.clone(), filter]))
}

/// What many users did with one source.
fn many_users() -> impl Strategy<Value = Model> {
    // No more facets than a block has that is counted whole.
    (vec(event(), 1..100), vec((0u32..300, any::<prop::sample::Index>()), 1..700)).prop_map(|(what, who)| {
        let mut users: BTreeMap<Vec<u8>, crate::support::UserModel> = BTreeMap::new();
        for (user, event) in who {
            let event = &what[event.index(what.len())];
            let rows = users.entry(format!("u{user}").into_bytes()).or_default();
            rows.entry(event.facet.clone()).or_insert((event.at, event.at));
        }
        let mut users: Model = users.into_iter().collect();
        sort_by_hash(&mut users);
        users
    })
}

proptest! {
    #![proptest_config(cases(500))]

    /// Whole blocks are counted as their users are, one by one.
    #[test]
    fn blocks_are_counted_as_their_users_are(
        filter in prop_oneof![about_one("campaign/a"), about_one("canvas/c")],
        users in many_users(),
        limit in 4_096usize..20_000,
    ) {
        let program = Program::compile(&filter, &nothing_expired());
        let rows = rows_of(&users);
        let atoms = program.facet_atoms(0, &rows.facets);
        let mut facts = program.blank();
        let mut expected = Tallied::default();
        for user in rows.iter() {
            facts.reset();
            facts.learn(user.rows, &atoms);
            match program.answer(&facts) {
                Truth::Yes => expected.yes += 1,
                Truth::Unknown => expected.unknown += 1,
                Truth::No => {}
            }
        }
        // A filter with too many atoms has none.
        if let Some(mut presence) = program.presence() {
            let mut found = Tallied::default();
            for block in pack(0, limit, &rows) {
                let of_block = presence.count(&Sealed::open(block.bytes).unwrap()).unwrap().unwrap();
                found.yes += of_block.yes;
                found.unknown += of_block.unknown;
            }
            prop_assert_eq!(found, expected);
        }
    }
}

/// Which filters can be answered by what users have done and no more, and which cannot.
#[test]
fn times_and_other_sources_need_more_than_what_was_done() {
    let has_presence = |filter: serde_json::Value| {
        let filter = Filter::parse(&filter, "filter").unwrap();
        Program::compile(&filter, &nothing_expired()).presence().is_some()
    };
    let received = |source: &str| json!({ "received": { "source": source } });
    let not = |filter: serde_json::Value| json!({ "not": filter });
    let all = |filters: &[serde_json::Value]| json!({ "all": filters });
    let clicked = json!({ "clicked": { "source": "campaign/a", "alias": "cta" } });
    assert!(has_presence(received("campaign/a")));
    assert!(has_presence(all(&[received("campaign/a"), not(clicked.clone())])));
    assert!(has_presence(json!({ "converted": { "source": "canvas/c" } })));
    assert!(has_presence(json!({ "converted": { "source": "campaign/a", "ever": true } })));
    assert!(has_presence(json!({ "delivered": { "any": true } })));
    // A later delivery clears a bounce.
    assert!(!has_presence(json!({ "hard_bounced": {} })));
    // Over everybody, of whom another ledger knows.
    assert!(!has_presence(not(clicked)));
    assert!(!has_presence(all(&[received("campaign/a"), received("campaign/b")])));
    // A campaign's conversion counts on the last message.
    assert!(!has_presence(json!({ "converted": { "source": "campaign/a" } })));
    assert!(!has_presence(json!({ "last_received": { "source": "campaign/a", "less_than": "P1D" } })));
}

/// A user of more rows than a byte can count, and a block of more facets: read in full.
#[test]
fn what_columns_of_bytes_cannot_say_is_read_in_full() {
    let filter = Filter::parse(&json!({ "clicked": { "source": "campaign/a" } }), "filter").unwrap();
    let program = Program::compile(&filter, &nothing_expired());
    let block = |users: usize, each: usize| {
        let facet = |n: usize| Facet { alias: Some(n.to_string().into()), ..Facet::of(Kind::Clicked) };
        let rows = |user: usize| (user * each..(user + 1) * each).map(|n| (facet(n), (1, 1))).collect();
        let mut users: Model = (0..users).map(|u| (u.to_string().into_bytes(), rows(u))).collect();
        sort_by_hash(&mut users);
        let rows = rows_of(&users);
        let cover = Cover { start: Position::at(0), next: None };
        Sealed::open(encode(&rows, 0..rows.len(), Some(cover))).unwrap()
    };
    let mut presence = program.presence().unwrap();
    let mut count = |block: &Sealed<Vec<u8>>| presence.count(block).unwrap().map(|found| found.yes);
    assert_eq!(count(&block(2, 100)), Some(2));
    assert_eq!(count(&block(1, 300)), None);
    assert_eq!(count(&block(300, 1)), None);
    // And the one before does not show in the next.
    assert_eq!(count(&block(3, 50)), Some(3));
}
