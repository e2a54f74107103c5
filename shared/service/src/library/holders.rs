//! Holders (L6): an active source holds the data of every source that its audience names, itself or through segments. Each
//! change of a source's status or audience, and each edit of a segment, moves the holders in the same transaction.
//!
//! A segment's item lists the active sources that expand to it. Every transaction is conditional on each segment that it
//! followed, and a change of a source also writes those segments, so that a concurrent edit of one of them fails. So an
//! edit of a segment knows every active source that it affects, and of two changes that cross one loses and decides
//! again.

use super::{
    filters::{Segments, closure, filters_of, segment_gone, segments_of, too_wide, width},
    room::check_holders,
    view::NowDue,
};
use crate::{
    app::Rekindle,
    problem::{Fact, Problem, Remedy, expired_data},
    retry::Stop,
};
use rekindle_domain::{
    breaks::{self, Break},
    id::SourceId,
    manifest::DataState,
    segment::{Closure, MAX_CLOSURE, MAX_REFERRERS, Referrer, Segment},
    source::{Holder, Source},
};
use rekindle_store::catalog::Transaction;
use std::collections::{BTreeMap, BTreeSet};

/// The items that a change moves, before they are written.
struct Moves {
    /// The segments as they were read.
    read: Segments,
    /// The segments as they are to be written.
    segments: Segments,
    /// The segments whose filters the change relies on. They must not change meanwhile.
    relied_on: BTreeSet<String>,
    /// For each target, the holders to remove and the holders to add.
    targets: BTreeMap<SourceId, (BTreeSet<Holder>, BTreeSet<Holder>)>,
}

impl Moves {
    fn new(read: Segments) -> Self {
        let segments = read.clone();
        Self { read, segments, relied_on: BTreeSet::new(), targets: BTreeMap::new() }
    }

    /// Notes the segments and targets that a source expanded to before the change (`old`) and expands to after it (`new`).
    fn active(&mut self, source: &SourceId, old: &Closure, new: &Closure) {
        for id in old.segments.union(&new.segments) {
            self.relied_on.insert(id.clone());
            if let Some(segment) = self.segments.get_mut(id) {
                if new.segments.contains(id) {
                    segment.active.insert(source.clone());
                } else {
                    segment.active.remove(source);
                }
            }
        }
        let holder = |via: &Vec<String>| Holder { source: source.clone(), via: via.clone() };
        // A source does not hold its own data: its status decides about that.
        for target in old.targets.keys().chain(new.targets.keys()).filter(|t| *t != source) {
            let (before, after) = (old.targets.get(target).map(holder), new.targets.get(target).map(holder));
            if before != after {
                let (go, come) = self.targets.entry(target.clone()).or_default();
                go.extend(before);
                come.extend(after);
            }
        }
    }

    /// Notes the segments that a source or a segment names directly. The status of a source does not matter here.
    fn direct(&mut self, user: &Referrer, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        for id in old.symmetric_difference(new) {
            if let Some(segment) = self.segments.get_mut(id) {
                if new.contains(id) {
                    segment.used_by.insert(user.clone());
                } else {
                    segment.used_by.remove(user);
                }
            }
        }
    }
}

/// The refusal of a change that would hold the data of a deleted source.
fn gone_target(target: &SourceId) -> Problem {
    let detail = format!("{target}, which the audience names, was deleted");
    let problem = Problem::unprocessable("unknown_source", detail).at("audience");
    let problem = problem.with(Fact::Unknown(vec![Referrer::Source(target.clone())]));
    Problem { remedy: Some(Remedy::Undelete(target.clone())), ..problem }
}

impl Rekindle {
    /// Adds the moves of holders that follow from a change of a source to its transaction: the source becomes a holder of
    /// each target that it newly retargets, and is removed from the others. Each target is written conditionally, so that
    /// no sweep can expire it in between. Returns the targets that lost their last holder and are due. Refuses a change
    /// whose new targets include expired data.
    pub(crate) async fn move_holders(
        &self,
        transaction: &mut Transaction,
        before: &Source,
        after: &Source,
    ) -> Result<Vec<NowDue>, Stop> {
        let (old, new) = (segments_of(before), segments_of(after));
        let mut moves = Moves::new(self.follow(old.union(&new).cloned().collect()).await?);
        if let Some(gone) = new.iter().find(|id| !moves.read.contains_key(*id)) {
            return Err(segment_gone("audience", gone).into());
        }
        let filters = filters_of(&moves.read);
        let comes_to = closure(after, &filters);
        let width = width(&comes_to, Some(&after.id));
        if width > MAX_CLOSURE {
            return Err(too_wide("audience", &after.id.to_string(), width).into());
        }
        moves.active(&after.id, &closure(before, &filters), &comes_to);
        moves.direct(&Referrer::Source(after.id.clone()), &old, &new);
        self.write_moves(transaction, moves, None).await
    }

    /// Adds the moves of holders that follow from an edit of a segment, for every active source that expands to it.
    pub(super) async fn move_segment(
        &self,
        transaction: &mut Transaction,
        before: Option<&Segment>,
        after: &Segment,
    ) -> Result<Vec<NowDue>, Stop> {
        let old = before.map(|b| b.filter.segments()).unwrap_or_default();
        let new = after.filter.segments();
        let ids: Vec<SourceId> = after.active.iter().cloned().collect();
        let users = self.store.catalog.sources(&ids).await?;
        let mut roots: BTreeSet<String> = old.union(&new).cloned().collect();
        roots.extend(users.iter().flat_map(|(source, _)| segments_of(source)));
        roots.remove(&after.id);
        let mut read = self.follow(roots).await?;
        let below: BTreeSet<String> = new.iter().filter(|id| **id != after.id).cloned().collect();
        if let Some(gone) = below.iter().find(|id| !read.contains_key(*id)) {
            return Err(segment_gone("filter", gone).into());
        }
        let (mut filters_before, mut filters_after) = (filters_of(&read), filters_of(&read));
        filters_before.extend(before.map(|b| (b.id.clone(), b.filter.clone())));
        filters_after.insert(after.id.clone(), after.filter.clone());
        self.check_above(after, &filters_after).await?;
        read.remove(&after.id);
        let mut moves = Moves::new(read);
        for (user, _) in &users {
            let comes_to = closure(user, &filters_after);
            let width = width(&comes_to, Some(&user.id));
            if width > MAX_CLOSURE {
                return Err(too_wide("filter", &user.id.to_string(), width).into());
            }
            moves.active(&user.id, &closure(user, &filters_before), &comes_to);
        }
        moves.direct(&Referrer::Segment(after.id.clone()), &old, &new);
        // Also where no source is active: of two edits that together would make a cycle, one relies on the segment that the
        // other writes.
        moves.relied_on.extend(Closure::of(&after.filter, &filters_after).segments);
        moves.relied_on.remove(&after.id);
        self.write_moves(transaction, moves, Some(&after.id)).await
    }

    /// Adds the moves to the transaction. Segments that the change relies on must still be as they were read. `except` is a
    /// segment that the caller writes itself.
    async fn write_moves(
        &self,
        transaction: &mut Transaction,
        moves: Moves,
        except: Option<&str>,
    ) -> Result<Vec<NowDue>, Stop> {
        for (id, segment) in &moves.segments {
            if except == Some(id) {
                continue;
            }
            // A change of a source writes every segment that it expands to, even an equal one: an edit of that segment that
            // has read the source meanwhile must fail.
            let is_relied_on = moves.relied_on.contains(id);
            if segment != &moves.read[id] || (is_relied_on && except.is_none()) {
                if segment.used_by.len() > MAX_REFERRERS || segment.active.len() > MAX_REFERRERS {
                    let detail =
                        format!("segment/{id} is used by {MAX_REFERRERS} sources and segments already");
                    return Err(Problem::conflict("too_many_users", detail).into());
                }
                transaction.put_segment(segment)?;
            } else if is_relied_on && !breaks::is(Break::EditsSegmentsUnchecked) {
                transaction.check_segment(segment);
            }
        }
        let (mut expired, mut now_due) = (BTreeSet::new(), Vec::new());
        for (target, (go, come)) in &moves.targets {
            let Some(mut source) = self.store.catalog.source(target).await? else {
                if come.is_empty() {
                    continue;
                }
                return Err(gone_target(target).into());
            };
            let was_held = !source.holders.is_empty();
            // A holder that only changes its path through segments needs no available data.
            let is_new = come.iter().any(|c| !go.iter().any(|g| g.source == c.source));
            source.holders.retain(|holder| !go.contains(holder));
            source.holders.extend(come.iter().cloned());
            if is_new && source.state != DataState::Available {
                expired.insert(target.clone());
            }
            if !come.is_empty() {
                check_holders(&source)?;
            }
            let is_let_go = was_held && source.holders.is_empty();
            if is_let_go {
                now_due.extend(self.now_due(&source));
            }
            self.put_source(transaction, &source)?;
        }
        if !expired.is_empty() {
            return Err(expired_data(expired).into());
        }
        // The caller adds the source or the segment itself, and entries in the timeline and in the audit trail.
        if transaction.len() + 3 > Transaction::MAX {
            let detail = format!(
                "this would change the holders of {} sources, and {} segments, in one transaction, which takes {} writes; use fewer segments, or stop some of the sources that use the segment",
                moves.targets.len(),
                moves.segments.len(),
                Transaction::MAX
            );
            return Err(Problem::unprocessable("too_many_targets", detail).into());
        }
        Ok(now_due)
    }
}
