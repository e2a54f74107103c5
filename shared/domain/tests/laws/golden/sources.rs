//! Sources as they are stored.

use super::{AT, REQUEST};
use rekindle_domain::{
    deletion::Deletion,
    filter::Filter,
    manifest::DataState,
    source::{Holder, Pin, RestoreOutcome, Settlement, Source, Status, Variant},
};
use serde_json::json;
use std::collections::BTreeSet;

pub(super) fn source() -> Source {
    let audience = json!({"all": [
        {"received": {"source": "campaign/a", "variant": "A", "channel": "email"}},
        {"not": {"any": [
            {"opened": {"source": "canvas/b", "opens": "human"}},
            {"clicked": {"source": "campaign/a", "alias": "cta"}},
            {"converted": {"source": "campaign/a"}},
            {"in_control": {"source": "campaign/a", "is": false}},
            {"never_received": {"channel": "in_app"}},
        ]}},
    ]});
    let holder = |source: &str, via: &[&str]| Holder {
        source: source.parse().unwrap(),
        via: via.iter().map(|v| (*v).to_owned()).collect(),
    };
    let settlement = |outcome| Settlement { request: REQUEST, outcome };
    Source {
        id: "campaign/spring-sale".parse().unwrap(),
        version: 7,
        name: "Spring sale 🌱".to_owned(),
        variants: vec![Variant { id: "A".to_owned(), name: "Green".to_owned() }],
        steps: vec![],
        tags: BTreeSet::new(),
        audience: Some(Filter::parse(&audience, "audience").unwrap()),
        notify: vec!["me@example.com".to_owned()],
        status: Status::Stopped,
        created_at: AT,
        updated_at: AT.plus(1),
        started_at: Some(AT.plus(2)),
        stopped_at: Some(AT.plus(3)),
        state: DataState::Expired,
        restored_at: Some(AT.plus(4)),
        archived_at: Some(AT.plus(5)),
        archived_rows: None,
        has_data: true,
        late_since: Some(AT.plus(6)),
        holders: BTreeSet::from([holder("canvas/welcome", &[]), holder("campaign/x", &["vip", "new"])]),
        pin: None,
        last_seen_at: None,
        idle_at: None,
        waiting: BTreeSet::from([REQUEST]),
        settling: vec![
            settlement(RestoreOutcome::Restored { expires_at: Some(AT.plus(7)), late_interactions: 0 }),
            settlement(RestoreOutcome::Failed { error: "slot 3 did not verify".to_owned() }),
        ],
        redrives: 3,
        retry_at: Some(AT.plus(8)),
        warned_for: None,
        keep_until: None,
        stopped_as_idle: false,
        sent_after_stop: None,
        tell_of_sending: false,
        holds_later: false,
        is_first_sight: false,
        deletion: None,
    }
}

/// One that an interaction registered, and that was deleted.
pub(super) fn deleted_source() -> Source {
    let by = "key/00000000000000000000000KEY".to_owned();
    let sent_at = Some(AT.plus(10));
    let deletion = Deletion {
        at: AT.plus(9),
        by,
        is_to_tell: true,
        sent_at,
        unnamed_at: Some(AT.plus(11)),
        is_final: true,
    };
    Source { is_first_sight: true, archived_rows: Some(7), deletion: Some(deletion), ..source() }
}

/// One with what came later: a Canvas, with tags and a pin.
pub(super) fn canvas() -> Source {
    let named = |id: &str, name: &str| Variant { id: id.to_owned(), name: name.to_owned() };
    Source {
        id: "canvas/welcome".parse().unwrap(),
        variants: vec![named("V1", "Short")],
        steps: vec![named("s1", "Hello"), named("s2", "")],
        tags: BTreeSet::from(["promo".to_owned(), "2026:spring".to_owned()]),
        audience: None,
        pin: Some(Pin {
            by: "api".to_owned(),
            at: AT.plus(9),
            until: Some(AT.plus(10)),
            reason: "the audit of 2027".to_owned(),
        }),
        last_seen_at: Some(AT.plus(11)),
        idle_at: Some(AT.plus(12)),
        ..source()
    }
}

pub(super) fn warned_source() -> Source {
    Source { warned_for: Some(AT.plus(9)), ..source() }
}
