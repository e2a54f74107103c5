//! The auditor: looks at everything stored, and says which invariant does not hold.

use super::{
    snapshot::{Catalog, Snapshot, Stored},
    truth::{Rows, Truth},
};
use crate::fixture::world::World;
use rekindle_domain::{filter::Filter, id::{CopyId, LedgerId, RunId, SourceId}, manifest::{DataState, Life, Manifest, Tier}, notice::Subject, segment::{Closure, Filters, Referrer}, source::{Holder, Pin, Source, Status}, time::Time};
use rekindle_service::Settings;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What does not hold: an invariant's number, and how.
pub type Violation = String;

pub(super) fn violated<T>(what: impl Into<Violation>) -> Result<T, Violation> {
    Err(what.into())
}

/// Remembers what it saw last, and what the history did to storage behind Rekindle's back.
#[derive(Debug, Default)]
pub struct Auditor {
    lives: HashMap<CopyId, (Life, Time)>,
    /// The state of each source's data, from which step on.
    states: BTreeMap<SourceId, Vec<(u64, DataState)>>,
    /// The archive's objects as last read; they never change under their names.
    objects: BTreeMap<String, Vec<u8>>,
    /// Each ledger's state and the runs that had a live cold copy, as last seen.
    archived: BTreeMap<LedgerId, (DataState, BTreeSet<RunId>)>,
    /// Whether nothing was written or deleted there since.
    knows_the_archive: bool,
    /// Copies that lost something after they were verified.
    pub damaged: BTreeSet<CopyId>,
    /// Inbox blocks that committed rewrites took.
    taken: BTreeSet<Vec<u8>>,
    /// Whether something was lost while it was written: there may be a quarantine.
    pub has_rotted: bool,
}

impl Auditor {
    /// Looks at everything, at a step of the history. Whatever was swapped since the last look was decided no earlier
    /// than at `decided`.
    pub async fn look(
        &mut self,
        world: &World,
        truth: &Truth,
        step: u64,
        decided: Time,
    ) -> Result<Snapshot, Violation> {
        let snapshot = Snapshot::take(world, &self.objects, !self.knows_the_archive).await;
        self.objects.clone_from(&snapshot.objects);
        self.knows_the_archive = true;
        let settings = &world.settings;
        self.times(&snapshot, decided)?;
        let closures = closures(&snapshot.catalog);
        segments(&snapshot.catalog, &closures)?;
        for (id, stored) in &snapshot.catalog.sources {
            source(&snapshot, stored, settings, &closures)?;
            let seen = self.states.entry(id.clone()).or_default();
            if seen.last().is_none_or(|(_, state)| *state != stored.doc.state) {
                seen.push((step, stored.doc.state));
            }
        }
        for (ledger, stored) in &snapshot.catalog.manifests {
            self.manifest(ledger, stored)?;
            self.archived(ledger, &stored.doc)?;
        }
        let clearing = snapshot.catalog.manifests.values().filter_map(|m| m.doc.clearing);
        let taken = clearing.filter_map(|copy| snapshot.catalog.inputs.get(&copy)).flatten();
        self.taken.extend(taken.map(|key| key.id.0.to_bytes().to_vec()));
        requests(&snapshot)?;
        warnings(&snapshot)?;
        self.rows(&snapshot, truth)?;
        Ok(snapshot)
    }

    /// L2: whether what a call is about to delete may be deleted, by what the catalog says right now.
    pub fn deletion(&self, catalog: &Catalog, deleted: &Deleted) -> Result<(), Violation> {
        for copy in &deleted.copies {
            let found = catalog.manifests.values().find_map(|m| m.doc.copy(*copy));
            if let Some(copy) = found.filter(|c| c.life != Life::Doomed) {
                return violated(format!("L2: bytes of {:?} copy {} are deleted", copy.life, copy.id));
            }
        }
        match deleted.inbox.iter().find(|(_, key)| !self.taken.contains(key)) {
            Some((ledger, _)) => {
                violated(format!("L2: an inbox block of {ledger} is deleted that no committed rewrite took"))
            }
            None => Ok(()),
        }
    }

    /// Something is written to the archive or deleted there; where it is one object, it is read anew.
    pub fn archive_changes(&mut self, object: Option<&str>) {
        self.knows_the_archive = false;
        if let Some(object) = object {
            self.objects.remove(object);
        }
    }

    /// The states a source's data was in from that step on.
    pub fn states_since(&self, source: &SourceId, step: u64) -> BTreeSet<&'static str> {
        let seen = self.states.get(source).map_or(&[][..], Vec::as_slice);
        let last_before = seen.iter().rposition(|(at, _)| *at <= step).unwrap_or(0);
        seen[last_before.min(seen.len())..].iter().map(|(_, state)| state.as_str()).collect()
    }

    /// L2: what a swap writes is as of that swap. A grace that is counted from an earlier moment is none.
    fn times(&mut self, snapshot: &Snapshot, decided: Time) -> Result<(), Violation> {
        for (ledger, stored) in &snapshot.catalog.manifests {
            for copy in &stored.doc.copies {
                let now = (copy.life, copy.since);
                let before = self.lives.insert(copy.id, now);
                if before != Some(now) && copy.since < decided {
                    return violated(format!(
                        "L2: copy {} of {ledger} says that it is {:?} since {}, which was decided after {decided}",
                        copy.id, copy.life, copy.since
                    ));
                }
            }
        }
        Ok(())
    }

    /// What lies in the archive is not merged away from there while it is available: it would be uploaded again.
    fn archived(&mut self, ledger: &LedgerId, manifest: &Manifest) -> Result<(), Violation> {
        let runs = manifest.runs.iter().map(|r| r.id).filter(|r| manifest.live(*r, Tier::Cold).is_some());
        let now = (manifest.state, runs.collect());
        let before = self.archived.insert(ledger.clone(), now);
        let Some((DataState::Available, before)) = before.filter(|_| manifest.state == DataState::Available)
        else {
            return Ok(());
        };
        match before.iter().find(|run| manifest.run(**run).is_none()) {
            Some(run) => violated(format!("L2: archived run {run} of {ledger} was merged with others")),
            None => Ok(()),
        }
    }

    fn manifest(&self, ledger: &LedgerId, stored: &Stored<Manifest>) -> Result<(), Violation> {
        let manifest = &stored.doc;
        if stored.wake_at != manifest.wake_at().map(|at| at.0) {
            return violated(format!("L9: the manifest of {ledger} is not looked at when it must be"));
        }
        if manifest.quarantine.is_some() && !self.has_rotted && self.damaged.is_empty() {
            return violated(format!("L4: {ledger} is in quarantine for nothing: {:?}", manifest.quarantine));
        }
        Ok(())
    }

    /// L1 and L4: every copy that may be read is whole and is its run, and all rows together are what was posted.
    fn rows(&self, snapshot: &Snapshot, truth: &Truth) -> Result<(), Violation> {
        let mut ledgers: BTreeSet<LedgerId> = snapshot.inbox.keys().cloned().collect();
        ledgers.extend(snapshot.catalog.manifests.keys().cloned());
        ledgers.extend(snapshot.catalog.sources.keys().cloned().map(LedgerId::Source));
        ledgers.insert(LedgerId::Users);
        let mut everybody: BTreeSet<String> = BTreeSet::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for ledger in ledgers {
            let mut rows = snapshot.inbox(&ledger)?;
            if let Some(manifest) = snapshot.catalog.manifests.get(&ledger) {
                self.runs(snapshot, &ledger, &manifest.doc, &mut rows)?;
            }
            truth.compare(&ledger, &rows)?;
            let users = rows.into_keys().map(|(user, _)| user);
            if ledger == LedgerId::Users { everybody.extend(users) } else { seen.extend(users) }
        }
        match seen.difference(&everybody).next() {
            Some(user) => violated(format!("L1: {user} is known to a source and not in the universe")),
            None => Ok(()),
        }
    }

    fn runs(
        &self,
        snapshot: &Snapshot,
        ledger: &LedgerId,
        manifest: &Manifest,
        rows: &mut Rows,
    ) -> Result<(), Violation> {
        for run in &manifest.runs {
            let live = manifest.copies.iter().filter(|c| c.run == run.id && c.life == Life::Live);
            let mut is_there = false;
            for copy in live {
                match snapshot.copy(ledger, copy) {
                    Ok((found, tally)) if tally.same_rows(&run.tally) => {
                        if !snapshot.recorded(copy).same_rows(&run.tally) {
                            return violated(format!(
                                "L4: the parts of live copy {} of {ledger} do not add up to its run",
                                copy.id
                            ));
                        }
                        is_there = true;
                        for (key, times) in found {
                            let all = rows.entry(key).or_insert(times);
                            *all = (all.0.min(times.0), all.1.max(times.1));
                        }
                    }
                    _ if self.damaged.contains(&copy.id) => {}
                    Ok(_) => {
                        return violated(format!("L4: live copy {} of {ledger} is not its run", copy.id));
                    }
                    Err(why) => return violated(format!("L4: {why}")),
                }
            }
            if !is_there {
                return violated(format!("L1: run {} of {ledger} has no whole copy left", run.id));
            }
        }
        Ok(())
    }
}

/// What each active source's audience comes to.
fn closures(catalog: &Catalog) -> BTreeMap<SourceId, Closure> {
    let filters: Filters = catalog.segments.iter().map(|(id, s)| (id.clone(), s.filter.clone())).collect();
    let active = catalog.sources.values().map(|s| &s.doc).filter(|s| s.status == Status::Active);
    let closure = |s: &Source| Some((s.id.clone(), Closure::of(s.audience.as_ref()?, &filters)));
    active.filter_map(closure).collect()
}

/// L6: a segment knows who uses it, and who is active and comes to it.
fn segments(catalog: &Catalog, closures: &BTreeMap<SourceId, Closure>) -> Result<(), Violation> {
    for (id, segment) in &catalog.segments {
        let comes_to = closures.iter().filter(|(_, closure)| closure.segments.contains(id));
        let active: BTreeSet<SourceId> = comes_to.map(|(source, _)| source.clone()).collect();
        let names = |filter: &Filter| filter.segments().contains(id);
        let sources = catalog.sources.values().map(|s| &s.doc);
        let sources = sources.filter(|s| s.audience.as_ref().is_some_and(names));
        let users = sources.map(|s| Referrer::Source(s.id.clone()));
        let others = catalog.segments.values().filter(|s| names(&s.filter));
        let users: BTreeSet<Referrer> = users.chain(others.map(|s| Referrer::Segment(s.id.clone()))).collect();
        if (&active, &users) != (&segment.active, &segment.used_by) {
            return violated(format!(
                "L6: segment {id} is used by {users:?}, of them active {active:?}, and says {:?}, {:?}",
                segment.used_by, segment.active
            ));
        }
    }
    Ok(())
}

fn source(
    snapshot: &Snapshot,
    stored: &Stored<Source>,
    settings: &Settings,
    closures: &BTreeMap<SourceId, Closure>,
) -> Result<(), Violation> {
    let source = &stored.doc;
    let id = &source.id;
    let manifest = snapshot.catalog.manifests.get(&LedgerId::Source(id.clone())).map(|m| m.doc.state);
    if manifest.unwrap_or_default() != source.state {
        return violated(format!("L5: {id} is {:?} and its manifest {manifest:?}", source.state));
    }
    if stored.wake_at != source.wake_at(&settings.retention, &settings.warn_before).map(|at| at.0) {
        return violated(format!("L9: {id} is not looked at when it must be"));
    }
    if source.state == DataState::Restoring && (stored.wake_at.is_none() || source.waiting.is_empty()) {
        return violated(format!("L9: the restore of {id} has nobody who looks at it, or nobody who waits"));
    }
    // L6: who is active holds what it comes to, and nobody else does.
    let holders = &source.holders;
    let needed: BTreeSet<Holder> = closures
        .iter()
        .filter(|(other, _)| *other != id)
        .filter_map(|(other, closure)| {
            let via = closure.targets.get(id)?.clone();
            Some(Holder { source: other.clone(), via })
        })
        .collect();
    if needed != *holders {
        return violated(format!("L6: {id} is retargeted by {needed:?} and held by {holders:?}"));
    }
    let is_kept = |pin: &Pin| pin.until.is_none_or(|until| Some(until) > source.archived_at);
    if source.state != DataState::Available && source.pin.as_ref().is_some_and(is_kept) {
        return violated(format!("L6: {id} is {:?} and pinned: {:?}", source.state, source.pin));
    }
    let tagged = snapshot.catalog.tags.iter().filter(|(_, tagged)| tagged == id);
    if !tagged.map(|(tag, _)| tag).eq(&source.tags) {
        return violated(format!("L1: {id} carries {:?}, and is not found by exactly these", source.tags));
    }
    if source.state != DataState::Available && !(holders.is_empty() && source.status == Status::Stopped) {
        return violated(format!("L6: {id} is {:?}, {:?}, held by {holders:?}", source.state, source.status));
    }
    // L8: each expiry and each restore stands in the timeline once.
    let timeline = snapshot.catalog.timelines.get(&id.to_string());
    let count = |event: &str| timeline.into_iter().flatten().filter(|e| e.event == event).count();
    let away = usize::from(source.state != DataState::Available);
    if count("expired") != count("restored") + away {
        let (expired, restored) = (count("expired"), count("restored"));
        return violated(format!(
            "L8: {id}, {:?}: expired {expired} times, restored {restored}",
            source.state
        ));
    }
    Ok(())
}

/// L8: a request's countdown is what its items say. L9: what is not done has a time at which it is looked at.
fn requests(snapshot: &Snapshot) -> Result<(), Violation> {
    for (id, stored) in &snapshot.catalog.requests {
        let request = &stored.doc;
        let items = snapshot.catalog.items.get(id).map_or(&[][..], Vec::as_slice);
        let open = items.iter().filter(|i| !i.state.is_final()).count();
        if request.remaining as usize != open {
            return violated(format!(
                "L8: request {id} counts {} open items, and has {open}",
                request.remaining
            ));
        }
        if request.remaining > 0 && !request.begun && stored.wake_at.is_none() {
            return violated(format!("L9: request {id} is not begun and nobody looks at it"));
        }
    }
    for notice in &snapshot.catalog.notices {
        if notice.wake_at != notice.doc.wake_at().map(|at| at.0) {
            return violated(format!("L9: notice {} is not looked at when it must be", notice.doc.id));
        }
    }
    Ok(())
}

/// L8: nobody is told twice that a source expires at that time, and nobody gets two digests of a day.
fn warnings(snapshot: &Snapshot) -> Result<(), Violation> {
    let mut told = BTreeSet::new();
    for notice in snapshot.catalog.notices.iter().map(|n| &n.doc) {
        let Subject::Expiring { sources, .. } = &notice.subject else { continue };
        for entry in sources {
            if !told.insert((&notice.to, &entry.source, entry.expires_at)) {
                return violated(format!("L8: {} is told twice of {entry:?}", notice.to));
            }
        }
    }
    for (id, timeline) in &snapshot.catalog.timelines {
        let mut dates = BTreeSet::new();
        let warned = timeline.iter().filter(|e| e.event == "warned");
        if let Some(twice) = warned.map(|e| &e.detail).find(|detail| !dates.insert(*detail)) {
            return violated(format!("L8: {id} is warned of twice: {twice:?}"));
        }
    }
    Ok(())
}

/// What a call deletes.
#[derive(Debug, Default)]
pub struct Deleted {
    pub copies: BTreeSet<CopyId>,
    pub inbox: Vec<(LedgerId, Vec<u8>)>,
}

/// Hot copies one may damage without losing anything: their rows lie in the archive, too.
pub fn expendable(snapshot: &Snapshot) -> Vec<CopyId> {
    let mut out = Vec::new();
    for stored in snapshot.catalog.manifests.values() {
        let manifest = &stored.doc;
        for run in &manifest.runs {
            if let (Some(hot), Some(_)) =
                (manifest.live(run.id, Tier::Hot), manifest.live(run.id, Tier::Cold))
            {
                out.push(hot.id);
            }
        }
    }
    out
}
