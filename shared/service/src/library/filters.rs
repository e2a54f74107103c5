//! Following a filter through segments, and the bounds of a filter that is stored.

use super::names::UnknownNames;
use crate::{
    app::Rekindle,
    problem::{Fact, Problem},
    retry::Stop,
};
use rekindle_domain::{
    filter::{Filter, Name},
    id::SourceId,
    segment::{Closure, Filters, MAX_CLOSURE, Referrer, Segment, Tangle, untangle},
    source::{Source, Status},
};
use rekindle_store::StoreError;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Following stops with an error beyond this many segments. No stored filter reaches it: saving checks a lower bound.
const MAX_FOLLOWED: usize = 1_000;

/// Segments by id.
pub(super) type Segments = BTreeMap<String, Segment>;

pub(crate) fn filters_of(segments: &Segments) -> Filters {
    segments.iter().map(|(id, segment)| (id.clone(), segment.filter.clone())).collect()
}

/// Everything that a source's audience names, itself or through segments; nothing while the source is not active, or is yet
/// to be made a holder.
pub(super) fn closure(source: &Source, filters: &Filters) -> Closure {
    let holds = source.status == Status::Active && !source.holds_later;
    let audience = source.audience.as_ref().filter(|_| holds);
    audience.map_or_else(Closure::default, |filter| Closure::of(filter, filters))
}

pub(super) fn segments_of(source: &Source) -> BTreeSet<String> {
    source.audience.as_ref().map(Filter::segments).unwrap_or_default()
}

impl Rekindle {
    /// These segments and all segments that they name, directly or through others. Segments that do not exist are left out.
    pub(super) async fn follow(&self, roots: BTreeSet<String>) -> Result<Segments, StoreError> {
        let mut found = Segments::new();
        let mut wanted = roots;
        while !wanted.is_empty() {
            if found.len() + wanted.len() > MAX_FOLLOWED {
                let reason = format!("it expands to more than {MAX_FOLLOWED} segments");
                return Err(StoreError::Refused { call: "following a filter's segments", reason });
            }
            let read = self.store.catalog.segments(&wanted).await?;
            wanted = read.iter().flat_map(|segment| segment.filter.segments()).collect();
            found.extend(read.into_iter().map(|segment| (segment.id.clone(), segment)));
            wanted.retain(|id| !found.contains_key(id));
        }
        Ok(found)
    }

    /// Refuses a filter that names an unknown source or segment, or whose segments form a cycle or exceed the bounds.
    /// `path` is the filter's place in the request. `segment` is the segment that the filter belongs to, if any; `own` is
    /// the source whose audience it is, if any, as it will be. Names of tags, variants, variations and steps that match
    /// nothing are refused unless the request allows them. Returns the segments that the filter expands to.
    pub(crate) async fn check_filter(
        &self,
        filter: &Filter,
        path: &str,
        segment: Option<&str>,
        own: Option<&Source>,
        unknown_names: UnknownNames,
    ) -> Result<Segments, Problem> {
        let named = filter.sources();
        let ids: Vec<SourceId> = named.iter().cloned().collect();
        let found = self.store.catalog.sources(&ids).await?.into_iter().map(|(source, _)| source);
        let mut sources: HashMap<SourceId, Source> = found.map(|s| (s.id.clone(), s)).collect();
        // A source may name itself before it is registered.
        sources.extend(own.map(|own| (own.id.clone(), own.clone())));
        let unknown: BTreeSet<SourceId> = named.into_iter().filter(|id| !sources.contains_key(id)).collect();
        let segments = self.follow(filter.segments()).await?;
        let mut missing: Option<Problem> = None;
        filter.names(path, &mut |path, name| {
            let problem = match name {
                Name::Source(source) if unknown.contains(source) => {
                    let detail =
                        format!("{path}: {source} is not registered; correct the name, or register it first");
                    let all = unknown.iter().cloned().map(Referrer::Source).collect();
                    Problem::unprocessable("unknown_source", detail).at(path).with(Fact::Unknown(all))
                }
                Name::Segment(id) if !segments.contains_key(id) && segment != Some(id) => {
                    let detail =
                        format!("{path}: segment/{id} is not registered; correct the name, or make it first");
                    let all = vec![Referrer::Segment(id.to_owned())];
                    Problem::unprocessable("unknown_segment", detail).at(path).with(Fact::Unknown(all))
                }
                _ => return,
            };
            missing.get_or_insert(problem);
        });
        if let Some(problem) = missing {
            return Err(problem);
        }
        if unknown_names == UnknownNames::Refuse {
            self.check_names(filter, path, &sources).await?;
        }
        let chain: Vec<String> = segment.map(str::to_owned).into_iter().collect();
        let mut filters = filters_of(&segments);
        filters.extend(segment.map(|id| (id.to_owned(), filter.clone())));
        untangle(filter, &filters, &chain).map_err(|tangle| tangled(&tangle, path))?;
        Ok(segments)
    }

    /// Refuses a change of a segment's filter that makes a cycle, or exceeds the bounds, in a segment that names it
    /// directly or through others.
    pub(super) async fn check_above(&self, segment: &Segment, below: &Filters) -> Result<(), Stop> {
        let mut filters = below.clone();
        let mut seen: BTreeSet<String> = BTreeSet::from([segment.id.clone()]);
        let mut level: BTreeSet<Referrer> = segment.used_by.clone();
        loop {
            let wanted: Vec<String> = level
                .into_iter()
                .filter_map(|user| match user {
                    Referrer::Segment(id) => seen.insert(id.clone()).then_some(id),
                    Referrer::Source(_) => None,
                })
                .collect();
            if wanted.is_empty() || seen.len() > MAX_FOLLOWED {
                return Ok(());
            }
            let read = self.store.catalog.segments(&wanted).await?;
            level = read.iter().flat_map(|s| s.used_by.clone()).collect();
            for above in read {
                filters.entry(above.id.clone()).or_insert(above.filter);
                let filter = &filters[&above.id];
                // A segment above may also name segments that were not read so far.
                let others: BTreeSet<String> =
                    filter.segments().into_iter().filter(|id| !filters.contains_key(id)).collect();
                let others = self.follow(others).await?;
                filters.extend(others.into_iter().map(|(id, s)| (id, s.filter)));
                if let Err(tangle) = untangle(&filters[&above.id], &filters, std::slice::from_ref(&above.id))
                {
                    return Err(tangled(&tangle, "filter").into());
                }
            }
        }
    }
}

/// Refuses a filter that expands to more items than one transaction takes. `own` is the source whose audience it is.
pub(super) fn check_width(
    filter: &Filter,
    segments: &Segments,
    own: Option<&SourceId>,
    path: &str,
) -> Result<(), Problem> {
    let width = width(&Closure::of(filter, &filters_of(segments)), own);
    if width > MAX_CLOSURE { Err(too_wide(path, "this one", width)) } else { Ok(()) }
}

/// The number of items that a source or a segment writes besides its own when it becomes active. A source is not a target
/// of itself: its own item is written anyway.
pub(super) fn width(closure: &Closure, own: Option<&SourceId>) -> usize {
    closure.segments.len() + closure.targets.keys().filter(|target| own != Some(target)).count()
}

pub(super) fn segment_gone(path: &str, id: &str) -> Problem {
    let detail = format!("{path}: segment/{id} is not registered; correct the name, or make it first");
    let all = vec![Referrer::Segment(id.to_owned())];
    Problem::unprocessable("unknown_segment", detail).at(path).with(Fact::Unknown(all))
}

fn tangled(tangle: &Tangle, path: &str) -> Problem {
    let code = match tangle {
        Tangle::Cycle(_) => "segment_cycle",
        Tangle::TooDeep(_) => "segments_too_deep",
        Tangle::TooLarge(_) => "filter_too_large",
    };
    Problem::unprocessable(code, format!("{path}: {tangle}")).at(path)
}

pub(super) fn too_wide(path: &str, whose: &str, width: usize) -> Problem {
    let detail = format!(
        "{path}: an audience, or the filter of a segment, reaches at most {MAX_CLOSURE} sources and segments; {whose} would reach {width}; name fewer, or find sources by tag, which are not counted"
    );
    Problem::unprocessable("audience_too_wide", detail).at(path)
}

impl Rekindle {
    /// The sources among these that nobody registered.
    pub(crate) async fn unknown_sources(
        &self,
        named: &BTreeSet<SourceId>,
    ) -> Result<BTreeSet<SourceId>, StoreError> {
        let ids: Vec<SourceId> = named.iter().cloned().collect();
        let found = self.store.catalog.sources(&ids).await?;
        let known: BTreeSet<SourceId> = found.into_iter().map(|(source, _)| source.id).collect();
        Ok(named.difference(&known).cloned().collect())
    }
}
