//! Decides whether one manifest may follow another, from the two alone. It knows nothing of how the second was computed.

use super::{
    Copy, DataState, GRACE_MILLIS, Illegal, Life, MAX_COPIES, MAX_INBOX_KEYS, MAX_INPUT_RUNS, MAX_RUNS,
    Manifest, Tier, illegal,
};
use crate::{
    breaks::{self, Break},
    id::RunId,
};
use std::collections::BTreeSet;

/// Whether `new` may follow `old`. Every swap passes through here.
///
/// # Errors
/// [`Illegal`] names the rule that is broken.
pub fn check(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    if new.version != old.version + 1 || new.epoch != old.epoch {
        return illegal("a swap moves the version by one and keeps the epoch");
    }
    if new.runs.len() > MAX_RUNS || new.copies.len() > MAX_COPIES {
        return illegal(format!("a manifest lists at most {MAX_RUNS} runs and {MAX_COPIES} copies"));
    }
    let inputs = new.copies.iter().filter_map(|copy| copy.inputs.as_ref());
    if inputs.map(|inputs| inputs.runs.len()).sum::<usize>() > MAX_INPUT_RUNS {
        return illegal(format!(
            "the copies of a manifest have at most {MAX_INPUT_RUNS} input runs together"
        ));
    }
    check_ids(new)?;
    if old.is_deleted || new.is_deleted {
        return check_deleted(old, new);
    }
    check_state(new)?;
    check_lives(old, new)?;
    check_runs(old, new)?;
    check_restoring(old, new)?;
    check_retired(old, new)?;
    check_rewrite(old, new)?;
    check_quarantine(old, new)
}

/// A deleted ledger stays deleted. It lists no run, and copies that only go; these have their grace, as all copies do.
fn check_deleted(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let is_going = |c: &Copy| matches!(c.life, Life::Retired | Life::Doomed);
    let is_empty = new.runs.is_empty() && new.clearing.is_none() && new.quarantine.is_none();
    if !new.is_deleted || new.state != old.state || !is_empty || !new.copies.iter().all(is_going) {
        return illegal("a deleted ledger stays deleted, and lists nothing but copies that go");
    }
    if old.state == DataState::Restoring {
        return illegal("a ledger is not deleted while it is restored");
    }
    check_lives(old, new)
}

/// Whether the swap makes a staged copy live that satisfies `which`.
fn commits(old: &Manifest, new: &Manifest, which: impl Fn(&Copy) -> bool) -> bool {
    let was_staged = |c: &Copy| old.copy(c.id).is_some_and(|b| b.life == Life::Staged);
    new.copies.iter().any(|c| c.life == Life::Live && was_staged(c) && which(c))
}

/// Suspect runs and inboxes stay in quarantine until they are read whole and verified: as the input of a rewrite, or for a
/// further copy of the run.
fn check_quarantine(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let Some(before) = &old.quarantine else { return Ok(()) };
    if old.clearing.is_some() && new.clearing.is_none() {
        return illegal("inbox blocks are not cleared in quarantine");
    }
    let after = new.quarantine.as_ref();
    let reads = |c: &Copy, run: &RunId| c.inputs.as_ref().map_or(c.run == *run, |i| i.runs.contains(run));
    for run in before.runs.iter().filter(|r| !after.is_some_and(|a| a.runs.contains(r))) {
        if !commits(old, new, |c| reads(c, run)) {
            return illegal(format!("run {run} is in quarantine until it is read whole"));
        }
    }
    let reads_inbox = |c: &Copy| c.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0);
    if before.inbox && !after.is_some_and(|a| a.inbox) && !commits(old, new, reads_inbox) {
        return illegal("the inbox is in quarantine until it is read whole");
    }
    match old.copies.iter().find(|c| new.copy(c.id).is_none() && c.was_live()) {
        Some(copy) => illegal(format!("copy {} is not deleted in quarantine", copy.id)),
        None => Ok(()),
    }
}

fn check_ids(new: &Manifest) -> Result<(), Illegal> {
    let (mut runs, mut copies) = (BTreeSet::new(), BTreeSet::new());
    if let Some(run) = new.runs.iter().find(|r| !runs.insert(r.id)) {
        return illegal(format!("run {} is listed twice", run.id));
    }
    match new.copies.iter().find(|c| !copies.insert(c.id)) {
        Some(copy) => illegal(format!("copy {} is listed twice", copy.id)),
        None => Ok(()),
    }
}

fn check_state(new: &Manifest) -> Result<(), Illegal> {
    let needed = if new.state == DataState::Available { Tier::Hot } else { Tier::Cold };
    match new.runs_without(needed).next() {
        Some(run) => {
            illegal(format!("{} needs a live {needed:?} copy of run {}", new.state.as_str(), run.id))
        }
        None => Ok(()),
    }
}

fn check_lives(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    for copy in &new.copies {
        let Some(before) = old.copy(copy.id) else {
            if copy.life != Life::Staged {
                return illegal(format!("copy {} must be staged before it is {:?}", copy.id, copy.life));
            }
            continue;
        };
        let unchanged = (before.run, before.tier, before.slots, &before.inputs)
            == (copy.run, copy.tier, copy.slots, &copy.inputs);
        let forward = before.life == copy.life
            || matches!(
                (before.life, copy.life),
                (Life::Staged, Life::Live | Life::Doomed)
                    | (Life::Live, Life::Retired)
                    | (Life::Retired, Life::Doomed)
            );
        if !unchanged || !forward {
            return illegal(format!("copy {} cannot go from {:?} to {:?}", copy.id, before.life, copy.life));
        }
        if (before.life, copy.life) == (Life::Retired, Life::Doomed) {
            check_doomed(old.quarantine.is_some(), new, before, copy)?;
        }
    }
    match old.copies.iter().find(|c| new.copy(c.id).is_none() && c.life != Life::Doomed) {
        Some(copy) => {
            illegal(format!("copy {} is {:?}, and only doomed copies are forgotten", copy.id, copy.life))
        }
        None => Ok(()),
    }
}

fn check_doomed(is_quarantined: bool, new: &Manifest, before: &Copy, copy: &Copy) -> Result<(), Illegal> {
    let why = if new.quarantine.is_some() || is_quarantined {
        "in quarantine"
    } else if new.clearing == Some(copy.id) {
        "while its inbox blocks are still to be cleared"
    } else if copy.since < before.since.plus(GRACE_MILLIS) {
        "within its grace"
    } else {
        return Ok(());
    };
    illegal(format!("retired copy {} cannot be doomed {why}", copy.id))
}

/// The copy that this swap commits, if it is of a rewrite.
fn committed<'a>(old: &Manifest, new: &'a Manifest) -> Option<&'a Copy> {
    new.copies.iter().find(|c| {
        c.life == Life::Live && c.inputs.is_some() && old.copy(c.id).is_some_and(|b| b.life == Life::Staged)
    })
}

fn check_runs(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let commit = committed(old, new);
    let replaced: &[RunId] = commit.and_then(|c| c.inputs.as_ref()).map_or(&[], |i| &i.runs);
    for run in &old.runs {
        match new.run(run.id) {
            Some(same) if same == run && !replaced.contains(&run.id) => {}
            None if replaced.contains(&run.id) => {}
            _ => {
                return illegal(format!("run {} may only be replaced by a rewrite of it", run.id));
            }
        }
    }
    for run in new.runs.iter().filter(|r| old.run(r.id).is_none()) {
        let Some(inputs) = commit.filter(|c| c.run == run.id).and_then(|c| c.inputs.as_ref()) else {
            return illegal(format!("run {} has no committed copy", run.id));
        };
        if run.folded != inputs.folded {
            return illegal(format!("run {} does not say which merges its rewrite followed", run.id));
        }
    }
    if let Some(run) = replaced.iter().find(|r| old.run(**r).is_none()) {
        return illegal(format!("input run {run} is not listed"));
    }
    // This rule also makes a commit list its run: a live copy of an unlisted run would never be read, nor deleted.
    let is_of_a_run = |c: &Copy| new.run(c.run).is_some_and(|r| r.slots == c.slots);
    match new.copies.iter().find(|c| c.life == Life::Live && !is_of_a_run(c)) {
        Some(copy) => {
            illegal(format!("run {} of live copy {} is not listed, or in other slots", copy.run, copy.id))
        }
        None => Ok(()),
    }
}

/// A restore makes a hot copy of each run that is listed when it begins. A run that came later would have none, and the
/// data could never become available.
fn check_restoring(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let runs = |m: &Manifest| m.runs.iter().map(|r| r.id).collect::<BTreeSet<_>>();
    if old.state == DataState::Restoring && runs(old) != runs(new) {
        return illegal("the runs of a ledger do not change while it is restored");
    }
    Ok(())
}

fn check_retired(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    for copy in old.copies.iter().filter(|c| c.life == Life::Live) {
        let is_live = new.copy(copy.id).is_some_and(|c| c.life == Life::Live);
        let other = new.copies.iter().any(|c| c.run == copy.run && c.life == Life::Live);
        if !is_live && !other && new.run(copy.run).is_some() {
            return illegal(format!("copy {} is the last of run {}", copy.id, copy.run));
        }
    }
    Ok(())
}

/// Whether a hot rewrite would merge a run that lies in the archive already.
fn takes_archived(old: &Manifest, copy: &Copy) -> bool {
    let inputs = copy.inputs.iter().flat_map(|i| &i.runs);
    let is_archived = |run: &RunId| old.live(*run, Tier::Cold).is_some();
    copy.tier == Tier::Hot
        && inputs.copied().any(|run| is_archived(&run))
        && !breaks::is(Break::MergesArchivedWithOthers)
}

fn check_rewrite(old: &Manifest, new: &Manifest) -> Result<(), Illegal> {
    let staged =
        |m: &Manifest| m.copies.iter().filter(|c| c.life == Life::Staged && c.inputs.is_some()).count();
    if staged(new) > 1 {
        return illegal("a ledger has one rewrite at a time");
    }
    for copy in new.copies.iter().filter(|c| old.copy(c.id).is_none()) {
        match &copy.inputs {
            Some(inputs) => {
                let is_new = old.run(copy.run).is_none() && old.copies.iter().all(|c| c.run != copy.run);
                if !is_new || inputs.runs.iter().any(|r| old.run(*r).is_none()) {
                    return illegal(format!(
                        "copy {}: a rewrite makes a new run out of listed ones",
                        copy.id
                    ));
                }
                if takes_archived(old, copy) {
                    return illegal(format!(
                        "copy {}: a hot rewrite takes no run that has a cold copy, which would be lost",
                        copy.id
                    ));
                }
                if inputs.inbox_blocks > 0 && old.clearing.or(new.clearing).is_some() {
                    return illegal("the inbox blocks of the rewrite before must be cleared first");
                }
                if inputs.inbox_blocks as usize > MAX_INBOX_KEYS {
                    return illegal(format!("a rewrite takes at most {MAX_INBOX_KEYS} inbox blocks"));
                }
            }
            None if old.run(copy.run).is_none_or(|r| r.slots != copy.slots) => {
                return illegal(format!("copy {}: run {} is not listed", copy.id, copy.run));
            }
            None => {}
        }
    }
    let expected =
        committed(old, new).filter(|c| c.inputs.as_ref().is_some_and(|i| i.inbox_blocks > 0)).map(|c| c.id);
    match (old.clearing, new.clearing) {
        (None, now) if now == expected => Ok(()),
        (Some(before), now) if expected.is_none() && (now.is_none() || now == Some(before)) => Ok(()),
        _ => illegal(
            "inbox blocks are cleared after the commit of the rewrite that took them, and before the next",
        ),
    }
}
