//! Illegal swaps, one by one, each refused with the rule it breaks.

mod deletion;
mod gone;
mod quarantine;
mod readers;

use super::{copy_id, further, rewrite, run_id, tally};
use rekindle_domain::{
    manifest::{Copy, Life, Manifest, Tier},
    time::Time,
};

const NOW: Time = Time(1_763_000_000_000);

fn swap(old: &Manifest, new: Manifest) -> Manifest {
    new.succeed(old).unwrap()
}

/// The rule by which a swap is refused.
fn refused(old: &Manifest, new: Manifest) -> String {
    new.succeed(old).expect_err("an illegal swap passed").0
}

fn assert_refused(old: &Manifest, new: Manifest, rule: &str) {
    let why = refused(old, new);
    assert!(why.contains(rule), "refused, but because: {why}");
}

fn edit(m: &Manifest, how: impl FnOnce(&mut Manifest)) -> Manifest {
    let mut next = m.clone();
    how(&mut next);
    next
}

fn copy_mut(m: &mut Manifest, copy: u64) -> &mut Copy {
    m.copies.iter_mut().find(|c| c.id == copy_id(copy)).unwrap()
}

fn life_of(m: &mut Manifest, copy: u64) -> &mut Life {
    &mut copy_mut(m, copy).life
}

/// Two runs with hot copies 1 and 2.
fn two_hot_runs() -> Manifest {
    let m = Manifest::default();
    let m = swap(&m, m.stage(rewrite(1, 1, Tier::Hot, &[], 1, NOW)));
    let m = swap(&m, m.commit_rewrite(copy_id(1), tally(10), 100, NOW).unwrap());
    let m = swap(&m, m.cleared(copy_id(1)));
    let m = swap(&m, m.stage(rewrite(2, 2, Tier::Hot, &[], 1, NOW)));
    let m = swap(&m, m.commit_rewrite(copy_id(2), tally(20), 200, NOW).unwrap());
    swap(&m, m.cleared(copy_id(2)))
}

/// Gives run 1 cold copy 3.
fn archive_run_1(m: &Manifest) -> Manifest {
    let m = swap(m, m.stage(further(3, run_id(1), Tier::Cold, NOW)));
    swap(&m, m.commit_copy(copy_id(3), 90, NOW).unwrap())
}

/// Two runs. Run 1: hot copy 1 and cold copy 3. Run 2: hot copy 2 only.
fn two_runs() -> Manifest {
    archive_run_1(&two_hot_runs())
}

/// As before, but run 2 has cold copy 4 and the data is expired.
fn expired() -> Manifest {
    let m = two_runs();
    let m = swap(&m, m.stage(further(4, run_id(2), Tier::Cold, NOW)));
    swap(&m, m.commit_copy(copy_id(4), 90, NOW).unwrap().expired(NOW))
}

/// As `two_runs`, with rewrite 5 of both into run 5 and of two inbox blocks staged; before run 1 had its cold copy.
fn rewriting() -> Manifest {
    let m = two_hot_runs();
    archive_run_1(&swap(&m, m.stage(rewrite(5, 5, Tier::Hot, &[run_id(1), run_id(2)], 2, NOW))))
}

/// As `rewriting`, committed, with its inbox blocks still to be cleared.
fn clearing() -> Manifest {
    let m = rewriting();
    swap(&m, m.commit_rewrite(copy_id(5), tally(30), 300, NOW).unwrap())
}
