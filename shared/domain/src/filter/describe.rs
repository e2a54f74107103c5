//! Filters in plain English, for mails, timelines, the audit trail and the console.
//!
//! A description follows "a user who": `received campaign/spring-sale (variant B) and did not click
//! campaign/spring-sale`. Outside of parentheses and quotes a condition contains no "and" and no "or", so that these
//! always join conditions; a group within a group stands in parentheses.

use super::{About, Filter, Narrow, Opens, Times};
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
        Filter::Opened { about, narrow, opens } => {
            format!("opened {}{}", messages(about, narrow), kind_of_opens(*opens))
        }
        Filter::Clicked { about, narrow, alias } => {
            format!("clicked {}{}", link(alias.as_deref()), messages(about, narrow))
        }
        Filter::Converted { source } => format!("converted on {}", conversion(source)),
        Filter::Entered { source, variation } => format!("entered {}", entered(source, variation)),
        Filter::InControl { source, is: true } => format!("is in the control group of {source}"),
        Filter::InControl { source, is: false } => match source.kind() {
            SourceKind::Campaign => format!("received {source} outside of its control group"),
            SourceKind::Canvas => format!("entered {source} outside of its control group"),
        },
        Filter::LastEngaged { channel, opens, times } => {
            let ways = match opens {
                Opens::Any => " (open or click)",
                Opens::Machine => " (machine open or click)",
                Opens::Human => " (human open or click)",
            };
            format!("last engaged with any {}{ways}{}", message(*channel), when(times))
        }
        Filter::NeverReceived { channel } => format!("never received any {}", message(*channel)),
        Filter::HardBounced => "has a hard-bounced address".to_owned(),
        Filter::MarkedSpam => "marked a message as spam".to_owned(),
        Filter::LastInControl { times } => format!("was last in any control group{}", when(times)),
        Filter::All(_) | Filter::Any(_) | Filter::Not(_) => words(leaf, None),
    }
}

/// A condition that does not hold.
fn denied(leaf: &Filter) -> String {
    match leaf {
        Filter::Segment(id) => format!("is not in segment {id}"),
        Filter::Received { about, narrow } => format!("did not receive {}", messages(about, narrow)),
        Filter::Opened { about, narrow, opens } => {
            format!("did not open {}{}", messages(about, narrow), kind_of_opens(*opens))
        }
        Filter::Clicked { about, narrow, alias } => {
            format!("did not click {}{}", link(alias.as_deref()), messages(about, narrow))
        }
        Filter::Converted { source } => format!("did not convert on {}", conversion(source)),
        Filter::Entered { source, variation } => format!("did not enter {}", entered(source, variation)),
        Filter::InControl { source, is: true } => format!("is not in the control group of {source}"),
        Filter::HardBounced => "has no hard-bounced address".to_owned(),
        Filter::MarkedSpam => "did not mark any message as spam".to_owned(),
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

fn conversion(source: &SourceId) -> String {
    match source.kind() {
        SourceKind::Campaign => format!("the last message of {source}"),
        SourceKind::Canvas => source.to_string(),
    }
}

/// An alias may hold any text: quoted, so that it cannot be taken for words of the description.
fn link(alias: Option<&str>) -> String {
    alias.map(|alias| format!("the link {:?} in ", clip(alias))).unwrap_or_default()
}

const fn kind_of_opens(opens: Opens) -> &'static str {
    match opens {
        Opens::Any => "",
        Opens::Machine => " (machine opens only)",
        Opens::Human => " (human opens only)",
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
