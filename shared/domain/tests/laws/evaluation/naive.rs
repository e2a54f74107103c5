//! A plain reading of filters, off a list of events.

use super::Event;
use crate::filters::NOW;
use rekindle_domain::{
    facet::{Channel, Facet, Kind},
    filter::{About, Filter, Known, Narrow, Opens, Times},
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

fn counts(opens: &Opens, f: &Facet) -> bool {
    match opens {
        Opens::Any => true,
        Opens::Machine => f.machine,
        Opens::Human => !f.machine,
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
        Filter::Received { about, narrow } => reading.has(about, Kind::Received, &|f| fits(narrow, f)),
        Filter::Opened { about, narrow, opens } => {
            reading.has(about, Kind::Opened, &|f| fits(narrow, f) && counts(opens, f))
        }
        Filter::Clicked { about, narrow, alias } => {
            reading.has(about, Kind::Clicked, &|f| fits(narrow, f) && is_named(alias, &f.alias))
        }
        Filter::LastReceived { about, narrow, times } => reading.last_received(about, narrow, times),
        Filter::Converted { source } => reading.converted(source),
        Filter::Entered { source, variation } => reading.entered(source, variation),
        Filter::InControl { source, is } => reading.in_control(source, *is),
        Filter::LastEngaged { channel, opens, times } => {
            let opened = reading.latest(None, Kind::Opened, &|f| is_on(channel, f) && counts(opens, f));
            let clicked = reading.latest(None, Kind::Clicked, &|f| is_on(channel, f));
            Some(opened.max(clicked).is_some_and(|at| is_within(times, at)))
        }
        Filter::NeverReceived { channel } => {
            Some(reading.latest(None, Kind::Received, &|f| is_on(channel, f)).is_none())
        }
        Filter::HardBounced => Some(reading.latest(None, Kind::HardBounced, &|_| true).is_some()),
        Filter::MarkedSpam => Some(reading.latest(None, Kind::Complained, &|_| true).is_some()),
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

    /// Whether any of the sources has such an event.
    fn has(&self, about: &About, kind: Kind, fits: &dyn Fn(&Facet) -> bool) -> Option<bool> {
        if *about == About::Any {
            return Some(self.latest(None, kind, fits).is_some());
        }
        let each = |s: &SourceId| self.is_known(s).then(|| self.latest(Some(s), kind, fits).is_some());
        any_of(&self.sources(about).iter().map(each).collect::<Vec<_>>())
    }

    fn last_received(&self, about: &About, narrow: &Narrow, times: &Times) -> Option<bool> {
        let received = |s: Option<&SourceId>| self.latest(s, Kind::Received, &|f| fits(narrow, f));
        if *about == About::Any {
            return Some(received(None).is_some_and(|at| is_within(times, at)));
        }
        let (can, cannot): (Vec<_>, Vec<_>) = self.sources(about).into_iter().partition(|s| self.is_known(s));
        let at = can.iter().filter_map(|s| received(Some(s))).max();
        if cannot.is_empty() {
            return Some(at.is_some_and(|at| is_within(times, at)));
        }
        // What is expired may hold a later receipt, or none: the answer is known if it is the same for all of these.
        let possible = (at.unwrap_or(-5)..20).map(Some).filter(|t| at.is_none() || *t >= at);
        let possible: Vec<Option<i64>> =
            if at.is_none() { [None].into_iter().chain(possible).collect() } else { possible.collect() };
        let answers: BTreeSet<bool> =
            possible.iter().map(|t| t.is_some_and(|t| is_within(times, t))).collect();
        (answers.len() == 1).then(|| answers.contains(&true))
    }

    fn converted(&self, source: &SourceId) -> Option<bool> {
        self.is_known(source).then(|| {
            let converted = self.latest(Some(source), Kind::Converted, &|f| f.conversion == 0);
            let received = self.latest(Some(source), Kind::Received, &|_| true);
            let is_control = self.latest(Some(source), Kind::Control, &|_| true).is_some();
            match (converted, received) {
                _ if is_control => false,
                (Some(converted), Some(received)) if source.kind() == SourceKind::Campaign => {
                    converted >= received
                }
                (converted, _) => converted.is_some(),
            }
        })
    }

    fn entered(&self, source: &SourceId, variation: &Option<String>) -> Option<bool> {
        self.is_known(source).then(|| {
            let of = |kind| self.latest(Some(source), kind, &|f| is_named(variation, &f.variant)).is_some();
            of(Kind::Entered) || of(Kind::Control)
        })
    }

    fn in_control(&self, source: &SourceId, is: bool) -> Option<bool> {
        self.is_known(source).then(|| {
            let of = |kind| self.latest(Some(source), kind, &|_| true).is_some();
            let was_evaluated = match source.kind() {
                SourceKind::Campaign => of(Kind::Received),
                SourceKind::Canvas => of(Kind::Entered),
            };
            if is { of(Kind::Control) } else { was_evaluated && !of(Kind::Control) }
        })
    }
}
