//! The manifest's transitions: the whole life of a ledger, random walks, and each illegal swap.

mod illegal;
mod walk;

use rekindle_domain::{
    Ulid,
    id::{CopyId, RunId},
    manifest::{Copy, DataState, GRACE_MILLIS, Inputs, Life, Manifest, Tier},
    slot::{ROWS_PER_SLOT, SlotBits, SlotSize},
    tally::Tally,
    time::Time,
};

pub fn copy_id(n: u64) -> CopyId {
    CopyId(Ulid(u128::from(n)))
}

pub fn run_id(n: u64) -> RunId {
    RunId(Ulid(u128::from(n) << 64))
}

pub fn tally(rows: u64) -> Tally {
    Tally { users: rows, rows, ..Tally::default() }
}

/// One slot.
pub fn one_slot() -> SlotBits {
    SlotSize::default().bits_for(1, 1)
}

/// Several slots.
pub fn four_slots() -> SlotBits {
    SlotSize::default().bits_for(ROWS_PER_SLOT * 4, 1)
}

/// A rewrite of `runs` and of that many inbox blocks into run `run`.
pub fn rewrite(copy: u64, run: u64, tier: Tier, runs: &[RunId], inbox_blocks: u32, now: Time) -> Copy {
    let inputs = Some(Inputs { runs: runs.to_vec(), inbox_blocks, folded: 0 });
    Copy {
        id: copy_id(copy),
        run: run_id(run),
        tier,
        slots: one_slot(),
        life: Life::Staged,
        since: now,
        inputs,
        bytes: 0,
    }
}

/// A further copy of a run.
pub fn further(copy: u64, run: RunId, tier: Tier, now: Time) -> Copy {
    Copy {
        id: copy_id(copy),
        run,
        tier,
        slots: one_slot(),
        life: Life::Staged,
        since: now,
        inputs: None,
        bytes: 0,
    }
}

/// A ledger goes all the way: compacted, expired, a late click, restored, expired again for nothing.
#[test]
fn l1_a_whole_life_is_legal() {
    let now = Time(0);
    let step = |old: &Manifest, new: Manifest| new.succeed(old).unwrap();
    let m = Manifest::default();
    let m = step(&m, m.stage(rewrite(1, 1, Tier::Hot, &[], 3, now)));
    let m = step(&m, m.commit_rewrite(copy_id(1), tally(5), 100, now).unwrap());
    assert_eq!((m.clearing, m.runs.len(), m.tally().rows), (Some(copy_id(1)), 1, 5));
    let m = step(&m, m.cleared(copy_id(1)));
    // Archived: one cold run takes the place of the hot one, in one swap.
    let m = step(&m, m.stage(rewrite(2, 2, Tier::Cold, &[run_id(1)], 0, now)));
    let m = step(&m, m.commit_rewrite(copy_id(2), tally(5), 90, now).unwrap().expired(now));
    assert_eq!((m.state, m.copy(copy_id(1)).unwrap().life), (DataState::Expired, Life::Retired));
    // A late click becomes a further cold run.
    let m = step(&m, m.stage(rewrite(3, 3, Tier::Cold, &[], 1, now)));
    let m = step(&m, m.commit_rewrite(copy_id(3), tally(1), 10, now).unwrap());
    let m = step(&m, m.cleared(copy_id(3)));
    assert_eq!((m.runs.len(), m.tally().rows), (2, 6));
    // Restored: a further copy of each, then available at once.
    let m = step(&m, m.restoring());
    let m =
        step(&m, m.stage(further(4, run_id(2), Tier::Hot, now)).stage(further(5, run_id(3), Tier::Hot, now)));
    let m = step(&m, m.commit_copy(copy_id(4), 100, now).unwrap());
    let m = step(&m, m.commit_copy(copy_id(5), 100, now).unwrap().available());
    assert_eq!(m.runs_without(Tier::Hot).count() + m.runs_without(Tier::Cold).count(), 0);
    // Nothing new came: expiring again writes nothing.
    let before = m.copies.len();
    let m = step(&m, m.expired(now));
    assert_eq!(m.copies.len(), before);
    assert_eq!(m.runs_without(Tier::Cold).count(), 0);
    let later = now.plus(GRACE_MILLIS);
    let m = step(&m, m.doom(later, |_| false));
    let doomed: Vec<CopyId> = m.copies.iter().filter(|c| c.life == Life::Doomed).map(|c| c.id).collect();
    assert_eq!(doomed, [copy_id(1), copy_id(4), copy_id(5)]);
}
