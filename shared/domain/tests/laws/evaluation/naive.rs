//! A plain reading of filters, off a list of events.

use super::Event;
use crate::filters::{NOW, TICK};
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    filter::{About, Bounce, By, Deed, Filter, Known, Narrow, Times},
    id::{SourceId, SourceKind},
    time::Period,
};
use std::collections::BTreeSet;

fn is_within(times: &Times, at: i64) -> bool {
    let ago = |period: &Period| period.before(NOW).unwrap().0;
    times.before.is_none_or(|t| at < t.0)
        && times.after.is_none_or(|t| at >= t.0)
        && times.more_than.as_ref().is_none_or(|d| at < ago(d))
        && times.less_than.as_ref().is_none_or(|d| at >= ago(d))
}

/// Kleene's "or" and "and", by their definitions.
fn any_of(answers: &[Option<bool>]) -> Option<bool> {
    if answers.contains(&Some(true)) { Some(true) } else { (!answers.contains(&None)).then_some(false) }
}

fn all_of(answers: &[Option<bool>]) -> Option<bool> {
    if answers.contains(&Some(false)) { Some(false) } else { (!answers.contains(&None)).then_some(true) }
}

fn is_on(want: &Option<Channel>, facet: &Facet) -> bool {
    want.is_none() || *want == facet.channel
}

fn is_named(want: &Option<String>, is: &Option<Box<str>>) -> bool {
    match (want, is) {
        (None, _) => true,
        (Some(want), Some(is)) => **want == **is,
        (Some(_), None) => false,
    }
}

fn counts(by: &By, f: &Facet) -> bool {
    match by {
        By::Any => true,
        By::Machine => f.machine,
        By::Human => !f.machine,
    }
}

/// Whether an event is such a deed.
fn is_done(deed: &Deed, f: &Facet) -> bool {
    match deed {
        Deed::Delivered => f.kind == Kind::Delivered,
        Deed::Dismissed => f.kind == Kind::Dismissed,
        Deed::Replied => f.kind == Kind::Replied,
        Deed::Opened { opens } => f.kind == Kind::Opened && counts(opens, f),
        Deed::Clicked { alias, clicks } => {
            f.kind == Kind::Clicked && counts(clicks, f) && is_named(alias, &f.alias)
        }
        Deed::Bounced { bounce: Bounce::Hard } => f.kind == Kind::HardBounced,
        Deed::Bounced { bounce: Bounce::Soft } => f.kind == Kind::SoftBounced,
        Deed::Bounced { bounce: Bounce::Any } => [Kind::HardBounced, Kind::SoftBounced].contains(&f.kind),
    }
}

fn fits(narrow: &Narrow, f: &Facet) -> bool {
    is_named(&narrow.variant, &f.variant) && is_named(&narrow.step, &f.step) && is_on(&narrow.channel, f)
}

/// What a filter means, read off a list of events. `None`: unknown.
pub(super) fn naive(filter: &Filter, events: &[&Event], known: &Known) -> Option<bool> {
    let reading = Reading { events, known };
    let each = |filters: &[Filter]| -> Vec<Option<bool>> {
        filters.iter().map(|f| naive(f, events, known)).collect()
    };
    match filter {
        Filter::All(filters) => all_of(&each(filters)),
        Filter::Any(filters) => any_of(&each(filters)),
        Filter::Not(filter) => naive(filter, events, known).map(|yes| !yes),
        Filter::Segment(id) => naive(&known.segments[id], events, known),
        Filter::Received { about, narrow } => {
            reading.did(about, None, &|f| f.kind == Kind::Received && fits(narrow, f))
        }
        Filter::LastReceived { about, narrow, times } => {
            reading.did(about, Some(times), &|f| f.kind == Kind::Received && fits(narrow, f))
        }
        Filter::Did { deed, about, narrow, times } => {
            let times = Some(times).filter(|t| **t != Times::default());
            reading.did(about, times, &|f| is_done(deed, f) && fits(narrow, f))
        }
        Filter::Converted { about: About::Source(source), conversion, ever, times } => {
            reading.converted(source, *conversion, *ever, times)
        }
        Filter::Converted { about, times, .. } => {
            let times = Some(times).filter(|t| **t != Times::default());
            reading.did(about, times, &|f| f.kind == Kind::Converted)
        }
        Filter::Entered { source, variation } => reading.entered(source, variation),
        Filter::InControl { source, is } => reading.in_control(source, *is),
        Filter::LastEngaged { about, narrow, opens, clicks, times } => {
            reading.did(about, Some(times), &|f| {
                let is_engaged = match f.kind {
                    Kind::Opened => counts(opens, f),
                    Kind::Clicked => counts(clicks, f),
                    _ => false,
                };
                is_engaged && fits(narrow, f)
            })
        }
        Filter::NeverReceived { channel } => {
            Some(reading.latest(None, Kind::Received, &|f| is_on(channel, f)).is_none())
        }
        Filter::HardBounced { channel } => Some(reading.hard_bounced(*channel)),
        Filter::MarkedSpam => {
            let [marked, not] =
                [Kind::Complained, Kind::NotSpam].map(|kind| reading.latest(None, kind, &|_| true));
            Some(marked.is_some() && not <= marked)
        }
        Filter::Unsubscribed { channel: Some(channel) } => Some(reading.unsubscribed(*channel)),
        Filter::Unsubscribed { channel: None } => {
            Some(Channel::ALL.into_iter().any(|channel| reading.unsubscribed(channel)))
        }
        Filter::LastInControl { times } => {
            let last = reading.latest(None, Kind::Control, &|_| true);
            Some(last.is_some_and(|at| is_within(times, at)))
        }
    }
}

/// One user's events, and what is known besides.
struct Reading<'a> {
    events: &'a [&'a Event],
    known: &'a Known,
}

impl Reading<'_> {
    /// When the latest event of a kind was, of one source or of any.
    fn latest(&self, source: Option<&SourceId>, kind: Kind, fits: &dyn Fn(&Facet) -> bool) -> Option<i64> {
        let of =
            |e: &&&Event| source.is_none_or(|s| e.source == *s) && e.facet.kind == kind && fits(&e.facet);
        self.events.iter().filter(of).map(|e| e.at).max()
    }

    fn is_known(&self, source: &SourceId) -> bool {
        !self.known.unavailable.contains(source)
    }

    fn sources(&self, about: &About) -> Vec<SourceId> {
        match about {
            About::Source(source) => vec![source.clone()],
            About::Tag(tag) => self.known.tags[tag].iter().cloned().collect(),
            About::Any => unreachable!("asked of the users ledger"),
        }
    }

    /// When the latest such event was.
    fn last(&self, source: Option<&SourceId>, is_such: &dyn Fn(&Facet) -> bool) -> Option<i64> {
        let is_read = |e: &Event| source.is_none_or(|s| e.source == *s && e.is_seen(self.known));
        self.events.iter().filter(|e| is_read(e) && is_such(&e.facet)).map(|e| e.at).max()
    }

    /// Whether there is such an event, and where times are given, the latest of all is within them.
    fn did(&self, about: &About, times: Option<&Times>, is_such: &dyn Fn(&Facet) -> bool) -> Option<bool> {
        let is_within = |at: i64| times.is_none_or(|times| is_within(times, at));
        if *about == About::Any {
            return Some(self.last(None, is_such).is_some_and(is_within));
        }
        let sources = self.sources(about);
        let at = sources.iter().filter_map(|s| self.last(Some(s), is_such)).max();
        if sources.iter().all(|s| self.is_known(s)) {
            return Some(at.is_some_and(is_within));
        }
        // What is expired may hold a later one, or none: the answer is known if it is the same for all of these.
        let possible = (at.unwrap_or(-5 * TICK)..20 * TICK).step_by(TICK as usize).map(Some);
        let none = Some(None).filter(|_| at.is_none());
        let answers: BTreeSet<bool> =
            none.into_iter().chain(possible).map(|t| t.is_some_and(is_within)).collect();
        (answers.len() == 1).then(|| answers.contains(&true))
    }

    fn converted(&self, source: &SourceId, conversion: u8, ever: bool, times: &Times) -> Option<bool> {
        self.is_known(source).then(|| {
            let converted = self.latest(Some(source), Kind::Converted, &|f| f.conversion == conversion);
            let received = self.latest(Some(source), Kind::Received, &|_| true);
            let is_control = self.latest(Some(source), Kind::Control, &|_| true).is_some();
            let is_undone = |at: i64| received.is_some_and(|received| received / 1_000 > at / 1_000);
            let asks_the_last = source.kind() == SourceKind::Campaign && !ever;
            converted
                .is_some_and(|at| is_within(times, at) && !is_control && !(asks_the_last && is_undone(at)))
        })
    }

    /// Whether an address is dead: one after the other, each hard bounce is cleared by something later, or is not.
    fn hard_bounced(&self, channel: Option<Channel>) -> bool {
        let lives = |f: &Facet| {
            f.kind == Kind::Delivered || ([Kind::Opened, Kind::Clicked].contains(&f.kind) && !f.machine)
        };
        let dead = |bounce: &&&Event| {
            let on = bounce.facet.channel;
            let clears =
                |e: &&&Event| lives(&e.facet) && (on.is_none() || e.facet.channel == on) && e.at > bounce.at;
            bounce.facet.kind == Kind::HardBounced
                && is_on(&channel, &bounce.facet)
                && !self.events.iter().any(|e| clears(&e))
        };
        self.events.iter().any(|e| dead(&e))
    }

    fn unsubscribed(&self, channel: Channel) -> bool {
        let is_about = |e: &Event| e.facet.channel.is_none_or(|c| c == channel);
        let left = |bye: &Event| {
            let is_back = |e: &Event| e.facet.kind == Kind::Subscribed && is_about(e) && e.at > bye.at;
            bye.facet.kind == Kind::Unsubscribed && is_about(bye) && !self.events.iter().any(|e| is_back(e))
        };
        self.events.iter().any(|e| left(e))
    }

    /// True if there is such an event that can be read; where others cannot, never false.
    fn there_is(&self, source: &SourceId, is_such: &dyn Fn(&Facet) -> bool) -> Option<bool> {
        let found = self.last(Some(source), is_such).is_some();
        (found || self.is_known(source)).then_some(found)
    }

    fn entered(&self, source: &SourceId, variation: &Option<String>) -> Option<bool> {
        let kinds = [Kind::Entered, Kind::Control];
        self.there_is(source, &|f| kinds.contains(&f.kind) && is_named(variation, &f.variant))
    }

    fn in_control(&self, source: &SourceId, is: bool) -> Option<bool> {
        if is {
            return self.there_is(source, &|f| f.kind == Kind::Control);
        }
        self.is_known(source).then(|| {
            let of = |kind| self.latest(Some(source), kind, &|_| true).is_some();
            let was_evaluated = match source.kind() {
                SourceKind::Campaign => of(Kind::Received),
                SourceKind::Canvas => of(Kind::Entered),
            };
            was_evaluated && !of(Kind::Control)
        })
    }
}
