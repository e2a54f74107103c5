//! The auditor: reads everything that is stored, and names the invariant that does not hold.

use super::{
    days,
    snapshot::{Catalog, Snapshot, Stored},
    truth::{Rows, Truth},
};
use crate::fixture::world::World;
use rekindle_domain::{
    filter::Filter,
    id::{CopyId, LedgerId, RunId, SourceId},
    manifest::{DataState, Life, Manifest, Tier},
    notice::Subject,
    people::{People, SETTLING_MILLIS},
    segment::{Closure, Filters, Referrer},
    source::{Holder, Pin, Source, Status},
    time::Time,
};
use rekindle_service::Settings;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The number of a violated invariant, and how it is violated.
pub type Violation = String;

pub(super) fn violated<T>(what: impl Into<Violation>) -> Result<T, Violation> {
    Err(what.into())
}

/// Remembers the last snapshot, and the damage that the history did to storage behind Rekindle's back.
#[derive(Debug, Default)]
pub struct Auditor {
    lives: HashMap<CopyId, (Life, Time)>,
    /// The states of each source's data, each with the step at which it began.
    states: BTreeMap<SourceId, Vec<(u64, DataState)>>,
    /// The archive's objects as last read. An object never changes under its key.
    objects: BTreeMap<String, Vec<u8>>,
    /// Each ledger's state and the runs that had a live cold copy, as last seen.
    archived: BTreeMap<LedgerId, (DataState, BTreeSet<RunId>)>,
    /// Whether nothing was written to the archive or deleted there since `objects` was read.
    knows_the_archive: bool,
    /// Copies that lost something after they were verified.
    pub damaged: BTreeSet<CopyId>,
    /// Inbox blocks that committed rewrites have merged.
    taken: BTreeSet<Vec<u8>>,
    /// Whether the history damaged data while it was written. Then a ledger may be in quarantine.
    pub has_rotted: bool,
}

impl Auditor {
    /// Checks everything, at a step of the history. Every manifest swapped since the last check was decided no earlier than at
    /// `decided`.
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
        days::check(&snapshot.catalog, truth)?;
        let people = people(&snapshot.catalog)?;
        truth.compare_merges(&people)?;
        let settled = people.until(people.settled(world.clock.now_still().plus(-SETTLING_MILLIS)));
        self.rows(&snapshot, truth, (&people, &settled))?;
        Ok(snapshot)
    }

    /// L2: whether a call may delete these items, by the catalog's present state.
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

    /// Notes that a call writes to the archive or deletes there. If it writes one object, only that object is read again.
    pub fn archive_changes(&mut self, object: Option<&str>) {
        self.knows_the_archive = false;
        if let Some(object) = object {
            self.objects.remove(object);
        }
    }

    /// The states that a source's data has had since a step.
    pub fn states_since(&self, source: &SourceId, step: u64) -> BTreeSet<&'static str> {
        let seen = self.states.get(source).map_or(&[][..], Vec::as_slice);
        let last_before = seen.iter().rposition(|(at, _)| *at <= step).unwrap_or(0);
        seen[last_before.min(seen.len())..].iter().map(|(_, state)| state.as_str()).collect()
    }

    /// L2: a swap stamps a copy with the time of the swap. A grace that is counted from an earlier time is too short.
    fn times(&mut self, snapshot: &Snapshot, decided: Time) -> Result<(), Violation> {
        for (ledger, stored) in &snapshot.catalog.manifests {
            for copy in &stored.doc.copies {
                let now = (copy.life, copy.since);
                let before = self.lives.insert(copy.id, now);
                if before != Some(now) && copy.since < decided {
                    return violated(format!(
                        "L2: copy {} of {ledger} says that it is {:?} since {}, but this was decided after {decided}",
                        copy.id, copy.life, copy.since
                    ));
                }
            }
        }
        Ok(())
    }

    /// While a ledger is available, no run in its archive is merged: the merged run would have to be uploaded again.
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
            return violated(format!("L9: the manifest of {ledger} and its index differ in the wake time"));
        }
        if manifest.quarantine.is_some() && !self.has_rotted && self.damaged.is_empty() {
            return violated(format!(
                "L4: {ledger} is in quarantine without damage: {:?}",
                manifest.quarantine
            ));
        }
        Ok(())
    }

    /// L1 and L4: every copy that may be read is whole and equals its run, and all rows together equal the posted ones.
    fn rows(
        &self,
        snapshot: &Snapshot,
        truth: &Truth,
        (people, settled): (&People, &People),
    ) -> Result<(), Violation> {
        let mut ledgers: BTreeSet<LedgerId> = snapshot.inbox.keys().cloned().collect();
        ledgers.extend(snapshot.catalog.manifests.keys().cloned());
        ledgers.extend(snapshot.catalog.sources.keys().cloned().map(LedgerId::Source));
        ledgers.insert(LedgerId::Users);
        let mut everybody: BTreeSet<String> = BTreeSet::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for ledger in ledgers {
            let mut rows = snapshot.inbox(&ledger)?;
            if let Some(manifest) = snapshot.catalog.manifests.get(&ledger) {
                self.runs(snapshot, (truth, settled), &ledger, &manifest.doc, &mut rows)?;
            }
            let rows = by_person(rows, people);
            truth.compare(&ledger, &rows, people)?;
            let users = rows.into_keys().map(|(user, _)| user);
            if ledger == LedgerId::Users { everybody.extend(users) } else { seen.extend(users) }
        }
        match seen.difference(&everybody).next() {
            Some(user) => violated(format!("L1: {user} is known to a source and not in the ledger `users`")),
            None => Ok(()),
        }
    }

    fn runs(
        &self,
        snapshot: &Snapshot,
        (truth, settled): (&Truth, &People),
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
                        truth.explains(ledger, &found, run.folded, settled)?;
                        for (key, times) in found {
                            let all = rows.entry(key).or_insert(times);
                            *all = (all.0.min(times.0), all.1.max(times.1));
                        }
                    }
                    _ if self.damaged.contains(&copy.id) => {}
                    Ok(_) => {
                        return violated(format!(
                            "L4: live copy {} of {ledger} differs from its run",
                            copy.id
                        ));
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

/// L11: the merges of user ids have no gap and lead in no circle.
fn people(catalog: &Catalog) -> Result<People, Violation> {
    let merges: Vec<_> = catalog.merges.values().cloned().collect();
    if merges.len() as u64 != catalog.merges_made {
        return violated(format!("L11: {} merges are counted: {merges:?}", catalog.merges_made));
    }
    let mut into = BTreeMap::new();
    for merge in &merges {
        let mut id = &*merge.into;
        while let Some(next) = into.get(id) {
            id = *next;
        }
        if id == &*merge.from || into.insert(&*merge.from, &*merge.into).is_some() {
            return violated(format!(
                "L11: {merge:?} closes a circle, or merges an id a second time: {merges:?}"
            ));
        }
    }
    People::of(merges.clone()).map_err(|gap| format!("L11: {gap}: {merges:?}"))
}

/// The rows of a ledger, each under the id of its person.
fn by_person(rows: Rows, people: &People) -> Rows {
    if people.last() == 0 {
        return rows;
    }
    let mut out = Rows::new();
    for ((user, facet), times) in rows {
        let all = out.entry((people.person(&user).to_owned(), facet)).or_insert(times);
        *all = (all.0.min(times.0), all.1.max(times.1));
    }
    out
}

/// The closure of each active source's audience.
fn closures(catalog: &Catalog) -> BTreeMap<SourceId, Closure> {
    let filters: Filters = catalog.segments.iter().map(|(id, s)| (id.clone(), s.filter.clone())).collect();
    let active =
        catalog.sources.values().map(|s| &s.doc).filter(|s| s.status == Status::Active && !s.holds_later);
    let closure = |s: &Source| Some((s.id.clone(), Closure::of(s.audience.as_ref()?, &filters)));
    active.filter_map(closure).collect()
}

/// L6: a segment's document lists the sources and segments that use it, and the active sources whose audience expands to it.
fn segments(catalog: &Catalog, closures: &BTreeMap<SourceId, Closure>) -> Result<(), Violation> {
    for (id, segment) in &catalog.segments {
        let comes_to = closures.iter().filter(|(_, closure)| closure.segments.contains(id));
        let active: BTreeSet<SourceId> = comes_to.map(|(source, _)| source.clone()).collect();
        let names = |filter: &Filter| filter.segments().contains(id);
        let sources = catalog.sources.values().map(|s| &s.doc);
        let sources = sources.filter(|s| s.audience.as_ref().is_some_and(names));
        let users = sources.map(|s| Referrer::Source(s.id.clone()));
        let others = catalog.segments.values().filter(|s| names(&s.filter));
        let users: BTreeSet<Referrer> =
            users.chain(others.map(|s| Referrer::Segment(s.id.clone()))).collect();
        if (&active, &users) != (&segment.active, &segment.used_by) {
            return violated(format!(
                "L6: segment {id} is used by {users:?} and by active {active:?}, but lists {:?} and {:?}",
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
        return violated(format!("L5: {id} is {:?}, but its manifest is {manifest:?}", source.state));
    }
    if stored.wake_at != source.wake_at(&settings.retention, &settings.warn_before).map(|at| at.0) {
        return violated(format!("L9: {id} and its index differ in the wake time"));
    }
    if source.state == DataState::Restoring && (stored.wake_at.is_none() || source.waiting.is_empty()) {
        return violated(format!("L9: {id} is restoring without a wake time or without a waiting request"));
    }
    announced(snapshot, source, settings)?;
    // L6: the holders are exactly the active sources whose audience expands to this source.
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
        return violated(format!("L6: {id} is retargeted by {needed:?}, but held by {holders:?}"));
    }
    let is_kept = |pin: &Pin| pin.until.is_none_or(|until| Some(until) > source.archived_at);
    if source.state != DataState::Available && source.pin.as_ref().is_some_and(is_kept) {
        return violated(format!("L6: {id} is {:?}, but pinned: {:?}", source.state, source.pin));
    }
    let tagged = snapshot.catalog.tags.iter().filter(|(_, tagged)| tagged == id);
    if !tagged.map(|(tag, _)| tag).eq(&source.tags) {
        return violated(format!(
            "L1: {id} carries the tags {:?}, but the index of tags lists others",
            source.tags
        ));
    }
    if source.state != DataState::Available && !(holders.is_empty() && source.status == Status::Stopped) {
        return violated(format!("L6: {id} is {:?}, {:?}, held by {holders:?}", source.state, source.status));
    }
    // L8: each expiry and each restore is in the timeline once.
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

/// L8: a request's countdown equals its number of open items. L9: every unfinished request and notice has a wake time.
fn requests(snapshot: &Snapshot) -> Result<(), Violation> {
    for (id, stored) in &snapshot.catalog.requests {
        let request = &stored.doc;
        let items = snapshot.catalog.items.get(id).map_or(&[][..], Vec::as_slice);
        let open = items.iter().filter(|i| !i.state.is_final()).count();
        if request.remaining as usize != open {
            return violated(format!(
                "L8: request {id} counts {} open items, but has {open}",
                request.remaining
            ));
        }
        if request.remaining > 0 && !request.begun && stored.wake_at.is_none() {
            return violated(format!("L9: request {id} is not begun and has no wake time"));
        }
    }
    for notice in &snapshot.catalog.notices {
        if notice.wake_at != notice.doc.wake_at().map(|at| at.0) {
            return violated(format!("L9: notice {} and its index differ in the wake time", notice.doc.id));
        }
    }
    Ok(())
}

/// L10: expired data expired at a date of which people were warned at least the notice before.
fn announced(snapshot: &Snapshot, source: &Source, settings: &Settings) -> Result<(), Violation> {
    let (DataState::Expired, Some(at)) = (source.state, source.archived_at) else { return Ok(()) };
    let Some(date) = source.warned_for.filter(|date| *date <= at) else {
        return violated(format!(
            "L10: {} expired at {at}, but was warned of {:?}",
            source.id, source.warned_for
        ));
    };
    let detail = format!("expires {date};");
    let in_time = |warned: Time| settings.notice_period.after(warned).is_some_and(|end| end <= at);
    let timeline = snapshot.catalog.timelines.get(&source.id.to_string()).into_iter().flatten();
    let mut warnings = timeline.filter(|e| e.event == "warned" && in_time(e.at));
    let is_told = |to: &String| {
        snapshot.catalog.notices.iter().map(|n| &n.doc).filter(|n| n.to == *to).any(|n| match &n.subject {
            Subject::Expiring { sources, more } => {
                *more > 0 || sources.iter().any(|e| e.source == source.id && e.expires_at == date)
            }
            _ => false,
        })
    };
    let is_recorded = warnings.any(|e| e.detail.as_ref().is_some_and(|d| d.starts_with(&detail)));
    let is_announced = is_recorded && settings.notify.iter().all(is_told);
    if !settings.notify.is_empty() && !is_announced {
        return violated(format!(
            "L10: {} expired at {at} without a mail that said {date} in time",
            source.id
        ));
    }
    Ok(())
}

/// L8: no address is told twice that a source expires at a time, and no source is warned of twice for the same time.
fn warnings(snapshot: &Snapshot) -> Result<(), Violation> {
    let mut told = BTreeSet::new();
    for notice in snapshot.catalog.notices.iter().map(|n| &n.doc) {
        let Subject::Expiring { sources, .. } = &notice.subject else { continue };
        for entry in sources {
            if !told.insert((&notice.to, &entry.source, entry.expires_at)) {
                return violated(format!("L8: {} is told of {entry:?} twice", notice.to));
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

/// The copies and inbox blocks that a call deletes.
#[derive(Debug, Default)]
pub struct Deleted {
    pub copies: BTreeSet<CopyId>,
    pub inbox: Vec<(LedgerId, Vec<u8>)>,
}

/// Hot copies that may be damaged without a loss, because the archive has their rows too.
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
