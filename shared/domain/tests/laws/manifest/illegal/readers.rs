//! Swaps after which readers would miss rows, or read some twice.

use super::{
    NOW, archive_run_1, assert_refused, edit, expired, life_of, refused, rewriting, swap, two_hot_runs,
    two_runs,
};
use crate::manifest::{copy_id, four_slots, further, one_slot, rewrite, run_id, tally};
use rekindle_domain::{
    id::RunId,
    manifest::{DataState, Life, MAX_COPIES, MAX_INPUT_RUNS, MAX_RUNS, Manifest, Run, Tier, check},
};

#[test]
fn l5_available_needs_a_live_hot_copy_of_every_run() {
    let m = expired();
    assert_refused(&m, m.available(), "available needs a live Hot copy");
    let m = swap(&m, m.restoring());
    let m =
        swap(&m, m.stage(further(6, run_id(1), Tier::Hot, NOW)).stage(further(7, run_id(2), Tier::Hot, NOW)));
    assert_refused(&m, m.available(), "available needs a live Hot copy");
    let m = swap(&m, m.commit_copy(copy_id(6), 1, NOW).unwrap());
    assert_refused(&m, m.available(), "available needs a live Hot copy of run");
    assert_refused(
        &m,
        m.commit_copy(copy_id(7), 1, NOW).unwrap().available().stage(further(8, run_id(9), Tier::Hot, NOW)),
        "not listed",
    );
    swap(&m, m.commit_copy(copy_id(7), 1, NOW).unwrap().available());
}

#[test]
fn l5_expired_and_restoring_need_a_live_cold_copy_of_every_run() {
    let m = two_runs();
    assert_refused(&m, m.expired(NOW), "expired needs a live Cold copy of run");
    assert_refused(&m, m.restoring(), "restoring needs a live Cold copy of run");
    let m = expired();
    // A hot run joins expired data only with the swap that makes it cold, or available.
    let m = swap(&m, m.stage(rewrite(6, 6, Tier::Hot, &[], 1, NOW)));
    assert_refused(
        &m,
        m.commit_rewrite(copy_id(6), tally(1), 1, NOW).unwrap(),
        "expired needs a live Cold copy",
    );
}

#[test]
fn l5_archiving_one_run_does_not_expire_the_others() {
    let m = two_runs();
    let m = swap(&m, m.stage(rewrite(6, 6, Tier::Cold, &[run_id(1)], 0, NOW)));
    let committed = m.commit_rewrite(copy_id(6), tally(10), 1, NOW).unwrap();
    assert_refused(&m, committed.clone(), "available needs a live Hot copy");
    assert_refused(&m, committed.expired(NOW), "expired needs a live Cold copy");
}

#[test]
fn l5_runs_only_go_when_a_rewrite_takes_their_place() {
    let m = two_runs();
    assert_refused(&m, edit(&m, |m| drop(m.runs.remove(0))), "may only be replaced by a rewrite");
    assert_refused(&m, edit(&m, |m| m.runs.clear()), "may only be replaced by a rewrite");
    // A rewrite of one drops the other as well.
    let m = two_hot_runs();
    let m = archive_run_1(&swap(&m, m.stage(rewrite(6, 6, Tier::Hot, &[run_id(1)], 0, NOW))));
    let committed = m.commit_rewrite(copy_id(6), tally(10), 1, NOW).unwrap();
    assert_refused(
        &m,
        edit(&committed, |m| m.runs.retain(|r| r.id != run_id(2))),
        "may only be replaced by a rewrite",
    );
    // It keeps its input beside the new run.
    let both = edit(&committed, |new| new.runs.push(m.run(run_id(1)).unwrap().clone()));
    refused(&m, both);
    let with_copies = edit(&committed, |new| {
        new.runs.push(m.run(run_id(1)).unwrap().clone());
        *life_of(new, 1) = Life::Live;
        *life_of(new, 3) = Life::Live;
    });
    assert_refused(&m, with_copies, "may only be replaced by a rewrite");
    // It drops its input, and lists nothing in its place.
    assert_refused(&m, edit(&committed, |m| m.runs.retain(|r| r.id != run_id(6))), "is not listed");
    swap(&m, committed);
}

#[test]
fn l5_runs_do_not_change() {
    let m = two_runs();
    let changes: [fn(&mut Run); 5] = [
        |r| r.tally.rows -= 1,
        |r| r.tally.digest.0 ^= 1,
        |r| r.slots = four_slots(),
        |r| r.tally.users += 1,
        |r| r.folded += 1,
    ];
    for change in changes {
        assert_refused(&m, edit(&m, |m| change(&mut m.runs[0])), "may only be replaced by a rewrite");
    }
}

#[test]
fn l5_new_runs_come_with_their_committed_copy() {
    let m = two_runs();
    let run = |id| Run { id: run_id(id), slots: one_slot(), tally: tally(1), folded: 0 };
    refused(&m, edit(&m, |m| m.runs.push(run(6))));
    // Also where a copy of that run is there, but was not committed now.
    let m = rewriting();
    refused(&m, edit(&m, |m| m.runs.push(run(5))));
    let m = rewriting();
    let committed = m.commit_rewrite(copy_id(5), tally(30), 300, NOW).unwrap();
    refused(&m, edit(&committed, |m| m.runs.push(run(6))));
    // Its slots are those it was written in.
    let other = edit(&committed, |m| m.runs.last_mut().unwrap().slots = four_slots());
    assert_refused(&m, other, "slots");
    swap(&m, committed);
}

/// A run that said too much would hide rows under ids that were merged; one that says too little is not what was staged.
#[test]
fn l11_a_run_says_what_its_rewrite_followed() {
    for folded in [0, 7] {
        let m = two_hot_runs();
        let mut copy = rewrite(6, 6, Tier::Hot, &[run_id(1)], 0, NOW);
        copy.inputs.as_mut().unwrap().folded = folded;
        let m = swap(&m, m.stage(copy));
        let committed = m.commit_rewrite(copy_id(6), tally(10), 1, NOW).unwrap();
        assert_eq!(committed.run(run_id(6)).unwrap().folded, folded);
        let of_run = |folded| edit(&committed, |m| m.runs.last_mut().unwrap().folded = folded);
        for invented in [0, 6, 7, 8, u64::MAX].into_iter().filter(|n| *n != folded) {
            assert_refused(&m, of_run(invented), "does not say which merges its rewrite followed");
            // Nor do run and copy invent it together.
            let both = edit(&of_run(invented), |m| {
                m.copies.last_mut().unwrap().inputs.as_mut().unwrap().folded = invented;
            });
            assert_refused(&m, both, "cannot go from");
        }
        let m = swap(&m, committed);
        // A further copy has the run's rows as they are, and leaves what is said of them.
        let m = swap(&m, m.stage(further(7, run_id(6), Tier::Cold, NOW)));
        let copied = m.commit_copy(copy_id(7), 1, NOW).unwrap();
        let more = edit(&copied, |m| m.runs.last_mut().unwrap().folded += 1);
        assert_refused(&m, more, "may only be replaced by a rewrite");
        assert_eq!(swap(&m, copied).run(run_id(6)).unwrap().folded, folded);
    }
}

/// A further copy committed as if it were a rewrite, and the other way round.
#[test]
fn l5_copies_are_committed_as_what_they_were_staged_as() {
    let m = two_runs();
    let m = swap(&m, m.stage(further(6, run_id(2), Tier::Cold, NOW)));
    assert_refused(&m, m.commit_rewrite(copy_id(6), tally(99), 1, NOW).unwrap(), "twice");
    for inputs in [vec![], vec![run_id(1)]] {
        for inbox_blocks in [0, 1] {
            let m = two_hot_runs();
            let m = swap(&m, m.stage(rewrite(6, 6, Tier::Hot, &inputs, inbox_blocks, NOW)));
            refused(&m, m.commit_copy(copy_id(6), 1, NOW).unwrap());
        }
    }
}

/// Neither by themselves nor in the shadow of another run's commit.
#[test]
fn l5_replaced_runs_do_not_come_back() {
    let before = two_hot_runs();
    let replaced = before.run(run_id(2)).unwrap().clone();
    let m = swap(&before, before.stage(further(6, run_id(2), Tier::Hot, NOW)));
    let m = swap(&m, m.stage(rewrite(5, 5, Tier::Hot, &[run_id(2)], 0, NOW)));
    let m = swap(&m, m.commit_rewrite(copy_id(5), tally(20), 1, NOW).unwrap());
    let back = edit(&m.commit_copy(copy_id(6), 1, NOW).unwrap(), |m| m.runs.push(replaced.clone()));
    assert_refused(&m, back, "has no committed copy");
    let m = swap(&m, m.stage(rewrite(7, 7, Tier::Hot, &[run_id(1)], 0, NOW)));
    let committed = m.commit_rewrite(copy_id(7), tally(10), 1, NOW).unwrap();
    let back = edit(&committed.commit_copy(copy_id(6), 1, NOW).unwrap(), |m| m.runs.push(replaced));
    assert_refused(&m, back, "has no committed copy");
}

/// No legal walk leads there; should it ever happen, the commit is refused.
#[test]
fn l5_inputs_that_are_gone_are_noticed_at_the_commit() {
    let m = edit(&rewriting(), |m| m.runs.retain(|r| r.id != run_id(2)));
    let m = edit(&m, |m| m.copies.retain(|c| c.run != run_id(2)));
    let committed = m.commit_rewrite(copy_id(5), tally(30), 300, NOW).unwrap();
    assert_refused(&m, committed, "input run");
}

/// A restore that finishes after the run it was of has been merged away: nothing would ever collect its copy.
#[test]
fn l5_copies_of_replaced_runs_do_not_become_live() {
    let m = two_runs();
    let m = swap(
        &m,
        m.stage(further(6, run_id(2), Tier::Cold, NOW)).stage(rewrite(5, 5, Tier::Hot, &[run_id(2)], 0, NOW)),
    );
    let m = swap(&m, m.commit_rewrite(copy_id(5), tally(20), 1, NOW).unwrap());
    assert_refused(&m, m.commit_copy(copy_id(6), 1, NOW).unwrap(), "is not listed");
    // It can only be given up.
    let m = swap(&m, m.abandon(NOW, |c| c.id == copy_id(6)));
    // And copies of an input that are still live must retire with it.
    let old = two_hot_runs();
    let old = archive_run_1(&swap(&old, old.stage(rewrite(5, 5, Tier::Hot, &[run_id(1)], 0, NOW))));
    let committed = old.commit_rewrite(copy_id(5), tally(10), 1, NOW).unwrap();
    assert_refused(&old, edit(&committed, |m| *life_of(m, 3) = Life::Live), "is not listed");
    assert_eq!(m.copy(copy_id(6)).unwrap().life, Life::Doomed);
}

#[test]
fn l5_swaps_are_of_the_manifest_that_was_read() {
    let old = two_runs();
    for version in [0, old.version, old.version + 2] {
        let new = Manifest { version, ..old.clone() };
        assert!(check(&old, &new).unwrap_err().0.contains("moves the version by one"));
    }
    let new = Manifest { version: old.version + 1, epoch: old.epoch + 1, ..old.clone() };
    assert!(check(&old, &new).unwrap_err().0.contains("keeps the epoch"));
    let new = Manifest { version: old.version + 1, ..old.clone() };
    assert_eq!(check(&old, &new), Ok(()));
    assert_eq!(old.state, DataState::Available);
}

#[test]
fn a_manifest_is_bounded() {
    let mut m = Manifest::default();
    for i in 0..MAX_RUNS as u64 {
        m = swap(&m, m.stage(rewrite(i, i, Tier::Hot, &[], 0, NOW)));
        m = swap(&m, m.commit_rewrite(copy_id(i), tally(1), 1, NOW).unwrap());
    }
    let full = swap(&m, m.stage(rewrite(100, 100, Tier::Hot, &[], 0, NOW)));
    assert_refused(&full, full.commit_rewrite(copy_id(100), tally(1), 1, NOW).unwrap(), "64 runs");
    // Merging makes room.
    let inputs: Vec<RunId> = m.runs.iter().map(|r| r.id).collect();
    let merging = swap(&m, m.stage(rewrite(100, 100, Tier::Hot, &inputs, 0, NOW)));
    assert_eq!(
        swap(&merging, merging.commit_rewrite(copy_id(100), tally(64), 1, NOW).unwrap()).runs.len(),
        1
    );
    // Rewrites that were given up keep their inputs until they are forgotten.
    let mut many = m.clone();
    for i in 0..(MAX_INPUT_RUNS / inputs.len()) as u64 {
        many = swap(&many, many.stage(rewrite(1_000 + i, 1_000 + i, Tier::Cold, &inputs, 0, NOW)));
        many = swap(&many, many.abandon(NOW, |_| true));
    }
    assert_refused(&many, many.stage(rewrite(9_999, 9_999, Tier::Cold, &inputs, 0, NOW)), "4096 input runs");
    for i in MAX_RUNS..MAX_COPIES {
        m = swap(&m, m.stage(further(1_000 + i as u64, run_id(0), Tier::Cold, NOW)));
    }
    assert_refused(&m, m.stage(further(9_999, run_id(0), Tier::Cold, NOW)), "256 copies");
}
