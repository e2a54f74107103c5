//! Texts that cannot be read.

use crate::ingest::{NOW, collect};
use rekindle_domain::interaction::Collector;

/// A text that was cut within a character, or comes in another encoding, costs no click and no neighbour, in both layouts.
#[test]
fn a_text_that_cannot_be_read_costs_at_most_its_own_interaction() {
    let item = |user: &str, alias: &str| {
        format!(r#"{{"user_id":"{user}","campaign_id":"c","type":"clicked","channel":"email","link_alias":"{alias}"}}"#)
            .replace("BAD", "\u{1}\u{2}")
    };
    let items = [
        item("a", "x"),
        item("b", r"Sale \ud83d"),
        item("c", "BAD"),
        item("dBAD", "x"),
        item(r"e\udE00", "x"),
    ];
    // Two bytes that are no UTF-8.
    let latin = |text: String| -> Vec<u8> {
        text.bytes()
            .map(|b| match b {
                1 => 0xc9,
                2 => 0xe9,
                b => b,
            })
            .collect()
    };
    let mut lines = Collector::new(NOW);
    lines.add_ndjson(&latin(items.join("\n"))).unwrap();
    for collected in [collect(&latin(format!("[{}]", items.join(",")))), lines.finish()] {
        let refused: Vec<_> = collected.rejected.iter().map(|r| (r.index, r.code.as_ref())).collect();
        assert_eq!(refused, [(3, "invalid_user_id"), (4, "invalid_user_id")]);
        assert_eq!((collected.accepted, collected.aliases_shortened), (3, 2));
        let rows = &collected.ledgers[1].1;
        let mut aliases: Vec<&str> = rows.facets.iter().filter_map(|f| f.alias.as_deref()).collect();
        aliases.sort_unstable();
        assert_eq!(aliases, ["Sale \u{fffd}", "x", "\u{fffd}\u{fffd}"]);
    }
}
