//! Filters in plain English, for mails, timelines, the audit trail and the console.
//!
//! A description follows "a user who": `received campaign/spring-sale (variant B) and did not click
//! campaign/spring-sale`. Outside of parentheses and quotes a condition contains no "and" and no "or", so that these
//! always join conditions; a group within a group stands in parentheses.

use super::{About, Bounce, By, Deed, Filter, Narrow, Times};
use crate::{
    facet::Channel,
    id::{SourceId, SourceKind, clip},
};

/// The most characters a description has. One that would have more ends with "…" behind a whole word.
pub const MAX_DESCRIPTION: usize = 500;

impl Filter {
    /// The filter in plain English, to follow "a user who". At most [`MAX_DESCRIPTION`] characters.
    pub fn describe(&self) -> String {
        let text = words(self, None);
        if text.chars().nth(MAX_DESCRIPTION).is_none() {
            return text;
        }
        let most = text.char_indices().nth(MAX_DESCRIPTION - 1).map_or(text.len(), |(at, _)| at);
        let (kept, rest) = text.split_at(most);
        let kept =
            if rest.starts_with(' ') { kept } else { kept.rsplit_once(' ').map_or(kept, |(words, _)| words) };
        format!("{}…", kept.trim_end_matches(['(', ',', ' ']))
    }
}

/// The words of a filter that stands in a group with that joiner, or alone.
fn words(filter: &Filter, within: Option<&str>) -> String {
    match filter {
        Filter::All(filters) => group(filters, " and ", "is anybody", within),
        Filter::Any(filters) => group(filters, " or ", "is nobody", within),
        Filter::Not(filter) => match filter.as_ref() {
            Filter::Not(filter) => words(filter, within),
            Filter::All(filters) | Filter::Any(filters) if filters.len() == 1 => {
                words(&Filter::Not(Box::new(filters[0].clone())), within)
            }
            Filter::All(_) | Filter::Any(_) => format!("not ({})", words(filter, None)),
            leaf => denied(leaf),
        },
        leaf => said(leaf),
    }
}

fn group(filters: &[Filter], joiner: &str, empty: &str, within: Option<&str>) -> String {
    match filters {
        [] => empty.to_owned(),
        [one] => words(one, within),
        many => {
            let joined = many.iter().map(|f| words(f, Some(joiner))).collect::<Vec<_>>().join(joiner);
            if within.is_none_or(|outer| outer == joiner) { joined } else { format!("({joined})") }
        }
    }
}

/// A condition that holds.
fn said(leaf: &Filter) -> String {
    match leaf {
        Filter::Segment(id) => format!("is in segment {id}"),
        Filter::Received { about, narrow } => format!("received {}", messages(about, narrow)),
        Filter::LastReceived { about, narrow, times } => {
            format!("last received {}{}", messages(about, narrow), when(times))
        }
        Filter::Did { deed, about, narrow, times } => {
            let Verbs { said, last, .. } = verbs(deed);
            let verb = if times.is_empty() { said } else { last };
            format!("{verb} {}{}", done(deed, about, narrow), when(times))
        }
        Filter::Converted { about, conversion, ever, times } => {
            let verb = if times.is_empty() { "converted" } else { "last converted" };
            format!("{verb} on {}{}", converted(about, *conversion, *ever), when(times))
        }
        Filter::Entered { source, variation } => format!("entered {}", entered(source, variation)),
        Filter::InControl { source, is: true } => format!("is in the control group of {source}"),
        Filter::InControl { source, is: false } => match source.kind() {
            SourceKind::Campaign => format!("received {source} outside of its control group"),
            SourceKind::Canvas => format!("entered {source} outside of its control group"),
        },
        Filter::LastEngaged { about, narrow, opens, clicks, times } => {
            let by = |by: &By| match by {
                By::Any => "",
                By::Machine => "machine ",
                By::Human => "human ",
            };
            let ways = format!("({}open or {}click)", by(opens), by(clicks));
            format!("last engaged with {} {ways}{}", messages(about, narrow), when(times))
        }
        Filter::NeverReceived { channel } => format!("never received any {}", message(*channel)),
        Filter::HardBounced { channel } => format!("has a hard-bounced address{}", on(*channel)),
        Filter::MarkedSpam => "marked a message as spam".to_owned(),
        Filter::Unsubscribed { channel: None } => "is unsubscribed from at least one channel".to_owned(),
        Filter::Unsubscribed { channel } => format!("is unsubscribed{}", on(*channel)),
        Filter::LastInControl { times } => format!("was last in any control group{}", when(times)),
        Filter::All(_) | Filter::Any(_) | Filter::Not(_) => words(leaf, None),
    }
}

/// A condition that does not hold.
fn denied(leaf: &Filter) -> String {
    match leaf {
        Filter::Segment(id) => format!("is not in segment {id}"),
        Filter::Received { about, narrow } => format!("did not receive {}", messages(about, narrow)),
        Filter::Did { deed, about, narrow, times } if times.is_empty() => {
            format!("{} {}", verbs(deed).denied, done(deed, about, narrow))
        }
        Filter::Converted { about, conversion, ever, times } if times.is_empty() => {
            format!("did not convert on {}", converted(about, *conversion, *ever))
        }
        Filter::Entered { source, variation } => format!("did not enter {}", entered(source, variation)),
        Filter::InControl { source, is: true } => format!("is not in the control group of {source}"),
        Filter::HardBounced { channel } => format!("has no hard-bounced address{}", on(*channel)),
        Filter::MarkedSpam => "did not mark any message as spam".to_owned(),
        Filter::Unsubscribed { channel: None } => "is not unsubscribed from any channel".to_owned(),
        Filter::Unsubscribed { channel } => format!("is not unsubscribed{}", on(*channel)),
        // Where a plain "did not" could be taken for a denial of one half.
        other => format!("not ({})", said(other)),
    }
}

/// The messages that a condition is about.
fn messages(about: &About, narrow: &Narrow) -> String {
    match about {
        About::Source(source) => format!("{source}{}", details(source, narrow)),
        About::Tag(tag) => format!("any {} of a source tagged {tag}", message(narrow.channel)),
        About::Any => format!("any {}", message(narrow.channel)),
    }
}

fn details(source: &SourceId, narrow: &Narrow) -> String {
    let variant = if source.kind() == SourceKind::Canvas { "variation" } else { "variant" };
    let channel = narrow.channel.map(|channel| channel.as_str().to_owned());
    in_parentheses([(variant, &narrow.variant), ("step", &narrow.step), ("channel", &channel)])
}

fn entered(source: &SourceId, variation: &Option<String>) -> String {
    format!("{source}{}", in_parentheses([("variation", variation)]))
}

fn in_parentheses<const N: usize>(fields: [(&str, &Option<String>); N]) -> String {
    let given = fields.iter().filter_map(|(name, value)| value.as_ref().map(|v| format!("{name} {v}")));
    let given = given.collect::<Vec<_>>().join(", ");
    if given.is_empty() { given } else { format!(" ({given})") }
}

/// The verbs of a deed: that it was done, that it was last done at some time, that it was not done.
struct Verbs {
    said: &'static str,
    last: &'static str,
    denied: &'static str,
}

const fn verbs(deed: &Deed) -> Verbs {
    let (said, last, denied) = match deed {
        Deed::Delivered => ("was delivered", "was last delivered", "was not delivered"),
        Deed::Opened { .. } => ("opened", "last opened", "did not open"),
        Deed::Clicked { .. } => ("clicked", "last clicked", "did not click"),
        Deed::Dismissed => ("dismissed", "last dismissed", "did not dismiss"),
        Deed::Replied => ("replied to", "last replied to", "did not reply to"),
        Deed::Bounced { bounce: Bounce::Any } => {
            ("has a bounce of", "last had a bounce of", "has no bounce of")
        }
        Deed::Bounced { bounce: Bounce::Hard } => {
            ("has a hard bounce of", "last had a hard bounce of", "has no hard bounce of")
        }
        Deed::Bounced { bounce: Bounce::Soft } => {
            ("has a soft bounce of", "last had a soft bounce of", "has no soft bounce of")
        }
    };
    Verbs { said, last, denied }
}

/// The messages that a deed is about, and which of its ways count.
fn done(deed: &Deed, about: &About, narrow: &Narrow) -> String {
    let messages = messages(about, narrow);
    match deed {
        Deed::Opened { opens } => format!("{messages}{}", only(*opens, "opens")),
        Deed::Clicked { alias, clicks } => {
            format!("{}{messages}{}", link(alias.as_deref()), only(*clicks, "clicks"))
        }
        Deed::Delivered | Deed::Dismissed | Deed::Replied | Deed::Bounced { .. } => messages,
    }
}

fn converted(about: &About, conversion: u8, ever: bool) -> String {
    let Some(source) = about.source() else {
        return "any source".to_owned();
    };
    let number = if conversion == 0 { String::new() } else { format!(" (conversion {conversion})") };
    match source.kind() {
        SourceKind::Campaign if !ever => format!("the last message of {source}{number}"),
        _ if ever => format!("{source}{number} at any time"),
        _ => format!("{source}{number}"),
    }
}

fn on(channel: Option<Channel>) -> String {
    channel.map(|channel| format!(" (channel {})", channel.as_str())).unwrap_or_default()
}

/// An alias may hold any text: quoted, so that it cannot be taken for words of the description.
fn link(alias: Option<&str>) -> String {
    alias.map(|alias| format!("the link {:?} in ", clip(alias))).unwrap_or_default()
}

fn only(by: By, what: &str) -> String {
    match by {
        By::Any => String::new(),
        By::Machine => format!(" (machine {what} only)"),
        By::Human => format!(" (human {what} only)"),
    }
}

const fn message(channel: Option<Channel>) -> &'static str {
    match channel {
        None => "message",
        Some(Channel::Email) => "email",
        Some(Channel::Push) => "push message",
        Some(Channel::Sms) => "SMS",
        Some(Channel::Whatsapp) => "WhatsApp message",
        Some(Channel::Webhook) => "webhook message",
        Some(Channel::InApp) => "in-app message",
        Some(Channel::ContentCard) => "content card",
        Some(Channel::Banner) => "banner",
        Some(Channel::Line) => "LINE message",
        Some(Channel::Rcs) => "RCS message",
    }
}

/// Bounds on a time; all of them hold.
fn when(times: &Times) -> String {
    let at = |name: &str, at: crate::time::Time| format!("{name} {}", at.to_string().replace(".000Z", "Z"));
    let bounds = [
        times.less_than.map(|period| format!("at most {} ago", period.in_words())),
        times.more_than.map(|period| format!("more than {} ago", period.in_words())),
        times.after.map(|after| at("since", after)),
        times.before.map(|before| at("before", before)),
    ];
    let bounds = bounds.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if bounds.is_empty() { bounds } else { format!(" {bounds}") }
}
