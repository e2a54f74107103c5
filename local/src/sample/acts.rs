//! What people do in the sample besides registering, starting and stopping: segments, audiences, pins, restores; and a damage
//! to the archive.

use serde_json::{Value, json};

/// Something that happens on a day of the sample, counted back from its end.
pub(super) struct Act {
    pub(super) day: i64,
    pub(super) what: Do,
}

pub(super) enum Do {
    /// Somebody saves a segment: id, name, filter.
    Segment(&'static str, &'static str, Value),
    /// Somebody pins a source: for so many days or, with `None`, without end.
    Pin(&'static str, Option<i64>, &'static str),
    /// A source is restored; its mail goes to that address.
    Restore(&'static str, &'static str),
    /// The disk garbles the archive of a source.
    Damage(&'static str),
}

/// All acts, the earliest first.
pub(super) fn acts() -> Vec<Act> {
    let human = |period: &str| json!({ "last_engaged": { "opens": "human", "clicks": "human", "less_than": period } });
    let clicked = |source: &str| json!({ "clicked": { "source": source, "clicks": "human" } });
    let segment = |day, id, name, filter| Act { day, what: Do::Segment(id, name, filter) };
    vec![
        segment(240, "engaged", "Engaged in the last 30 days", human("P30D")),
        segment(100, "promo-clickers", "Clicked in a promotion", json!({ "clicked": { "tag": "promo" } })),
        segment(
            95,
            "no-mail",
            "Mail does not reach them",
            json!({ "any": [
            { "hard_bounced": { "channel": "email" } }, { "unsubscribed": { "channel": "email" } }, { "marked_spam": {} },
        ] }),
        ),
        segment(80, "linen-lovers", "Linen lovers", clicked("campaign/linen")),
        segment(
            70,
            "tasters",
            "Came to a tasting",
            json!({ "any": [
            clicked("campaign/tasting-evening"), { "converted": { "source": "campaign/tasting-evening", "ever": true } },
        ] }),
        ),
        segment(
            69,
            "hosts",
            "Might host a tasting",
            json!({ "all": [{ "segment": "tasters" }, { "not": { "segment": "no-mail" } }] }),
        ),
        Act {
            day: 60,
            what: Do::Pin(
                "campaign/price-change",
                None,
                "Legal keeps it until the claims about the old prices are settled",
            ),
        },
        Act { day: 21, what: Do::Restore("campaign/points-statement", "jonas@example.com") },
        Act {
            day: 18,
            what: Do::Pin(
                "campaign/holiday-hours",
                Some(58),
                "The report on the holidays is still to be written",
            ),
        },
        segment(15, "quiet", "Quiet for 60 days", json!({ "not": human("P60D") })),
        Act { day: 13, what: Do::Damage("campaign/catalogue-12") },
        Act { day: 12, what: Do::Restore("campaign/catalogue-12", "print@example.com") },
    ]
}

/// The sources whose restore is asked for at the end, and not waited for.
pub(super) const LAST_RESTORE: [&str; 2] = ["campaign/app-5", "campaign/order-survey"];

/// The condition on the users that a source is sent to.
pub(super) fn audience(source: &str) -> Option<Value> {
    let segment = |id: &str| json!({ "segment": id });
    Some(match source {
        "campaign/linen-again" => json!({ "all": [segment("linen-lovers"), { "not": segment("no-mail") }] }),
        "canvas/host-a-tasting" => segment("hosts"),
        "canvas/win-back" => json!({ "all": [
            { "entered": { "source": "canvas/spring-journey" } },
            { "not": { "clicked": { "source": "canvas/spring-journey" } } },
        ] }),
        "campaign/weekly-letter" => segment("engaged"),
        "campaign/wool-preview" => segment("linen-lovers"),
        // The data of Kite 2 is expired, so that this draft cannot be started before a restore.
        "campaign/kite-3" => json!({ "all": [
            { "clicked": { "source": "campaign/kite-2" } }, { "not": { "converted": { "source": "campaign/kite-2" } } },
        ] }),
        "canvas/second-order" => json!({ "entered": { "source": "canvas/welcome" } }),
        _ => return None,
    })
}
