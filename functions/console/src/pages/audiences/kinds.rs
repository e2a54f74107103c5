//! The conditions that the builder offers, in the words of its lists, each with the fields that it has. The names are those of
//! filters in the API.

/// The messages that a condition may be about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// One campaign or Canvas.
    Source,
    /// Every source that carries a tag.
    Tag,
    /// Any message of any source.
    Any,
}

impl Way {
    /// The name in forms.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Tag => "tag",
            Self::Any => "any",
        }
    }

    /// The words of the list.
    pub(super) const fn says(self) -> &'static str {
        match self {
            Self::Source => "One campaign or Canvas",
            Self::Tag => "Everything with a tag",
            Self::Any => "Any message",
        }
    }
}

/// A field of a condition, or a few that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// A campaign's variant or a Canvas's variation.
    Variant,
    Step,
    Channel,
    Alias,
    Opens,
    Clicks,
    Bounce,
    Conversion,
    Ever,
    Is,
    /// Bounds on the time.
    Times,
}

/// A kind of condition.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Kind {
    /// Its key in a filter.
    pub(super) key: &'static str,
    /// The words that follow "users who".
    pub(super) says: &'static str,
    /// The part of the list in which it stands.
    pub(super) group: &'static str,
    pub(super) ways: &'static [Way],
    pub(super) parts: &'static [Part],
    /// A note on its meaning, where that is easily mistaken.
    pub(super) mind: &'static str,
}

/// The key of the condition that names a segment.
pub(super) const SEGMENT: &str = "segment";

const MESSAGES: &str = "Messages";
const GOALS: &str = "Goals and journeys";
const PEOPLE: &str = "The person";

const SOURCE: &[Way] = &[Way::Source];
const KNOWN: &[Way] = &[Way::Source, Way::Tag];
const ALL: &[Way] = &[Way::Source, Way::Tag, Way::Any];
const NONE: &[Way] = &[];

const fn kind(
    group: &'static str,
    key: &'static str,
    says: &'static str,
    ways: &'static [Way],
    parts: &'static [Part],
    mind: &'static str,
) -> Kind {
    Kind { key, says, group, ways, parts, mind }
}

use Part::{Alias, Bounce, Channel, Clicks, Conversion, Ever, Is, Opens, Step, Times, Variant};

/// Every kind, in the order of the list.
pub(super) const KINDS: [Kind; 18] = [
    kind(MESSAGES, "received", "received a message", KNOWN, &[Variant, Step, Channel], ""),
    kind(
        MESSAGES,
        "last_received",
        "received the latest message at a time",
        ALL,
        &[Variant, Step, Channel, Times],
        "Users who never received one are not among them.",
    ),
    kind(MESSAGES, "delivered", "were reached by a message", ALL, &[Variant, Step, Channel, Times], ""),
    kind(
        MESSAGES,
        "opened",
        "opened a message",
        ALL,
        &[Variant, Step, Channel, Opens, Times],
        "Mail programs open mails by themselves, and others load no images: a click may come without an open.",
    ),
    kind(
        MESSAGES,
        "clicked",
        "clicked a link",
        ALL,
        &[Variant, Step, Channel, Alias, Clicks, Times],
        "Scanners click, too; choose clicks by people to leave them out.",
    ),
    kind(MESSAGES, "dismissed", "put a message away", ALL, &[Variant, Step, Channel, Times], ""),
    kind(MESSAGES, "replied", "answered a message", ALL, &[Variant, Step, Channel, Times], ""),
    kind(
        MESSAGES,
        "bounced",
        "had a message bounce",
        ALL,
        &[Variant, Step, Channel, Bounce, Times],
        "Whether an address is dead now, \u{201c}have a dead address\u{201d} says.",
    ),
    kind(
        GOALS,
        "converted",
        "converted",
        &[Way::Source, Way::Any],
        &[Conversion, Ever, Times],
        "The next message of a campaign undoes a conversion, unless you count those at any time. The control group never counts.",
    ),
    kind(GOALS, "entered", "entered a Canvas", SOURCE, &[Variant], "Its control group has entered it, too."),
    kind(GOALS, "in_control", "are in the control group, or outside of it", SOURCE, &[Is], ""),
    kind(
        PEOPLE,
        "last_engaged",
        "last opened or clicked at a time",
        ALL,
        &[Variant, Step, Channel, Opens, Clicks, Times],
        "Machines count unless you choose people.",
    ),
    kind(PEOPLE, "last_in_control", "were last in any control group at a time", NONE, &[Times], ""),
    kind(PEOPLE, "never_received", "never received anything", NONE, &[Channel], ""),
    kind(
        PEOPLE,
        "hard_bounced",
        "have a dead address",
        NONE,
        &[Channel],
        "A later delivery, open or click by a person shows that the address works again.",
    ),
    kind(PEOPLE, "marked_spam", "marked a message as spam", NONE, &[], "Unless they took that back."),
    kind(
        PEOPLE,
        "unsubscribed",
        "are unsubscribed",
        NONE,
        &[Channel],
        "Without a channel: from at least one.",
    ),
    kind(PEOPLE, SEGMENT, "are in a segment", NONE, &[], ""),
];

/// The kind of that key.
pub(super) fn of_key(key: &str) -> Option<&'static Kind> {
    static ALL: [Kind; 18] = KINDS;
    ALL.iter().find(|kind| kind.key == key)
}
