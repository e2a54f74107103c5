//! Swaps after which something would be deleted that is still needed.

use super::{
    NOW, assert_refused, clearing, copy_mut, edit, expired, life_of, refused, rewriting, swap, two_hot_runs,
    two_runs,
};
use crate::manifest::{copy_id, four_slots, further, rewrite, run_id, tally};
use rekindle_domain::manifest::{Copy, GRACE_MILLIS, Inputs, Life, MAX_INBOX_KEYS, Tier};

/// Merged into a run that lies hot only, it would lose its cold copy: a restored ledger that got few rows could no longer
/// expire by dropping its hot copies.
#[test]
fn l2_a_hot_rewrite_takes_no_archived_run() {
    let m = two_runs();
    for runs in [&[run_id(1)][..], &[run_id(1), run_id(2)], &[run_id(2), run_id(1)]] {
        assert_refused(
            &m,
            m.stage(rewrite(5, 5, Tier::Hot, runs, 0, NOW)),
            "takes no run that has a cold copy",
        );
        swap(&m, m.stage(rewrite(5, 5, Tier::Cold, runs, 0, NOW)));
    }
    swap(&m, m.stage(rewrite(5, 5, Tier::Hot, &[run_id(2)], 0, NOW)));
}

#[test]
fn l2_only_doomed_copies_are_forgotten() {
    let m = rewriting();
    for copy in [1, 3, 5] {
        let why = refused(&m, edit(&m, |m| m.copies.retain(|c| c.id != copy_id(copy))));
        assert!(
            why.contains("only doomed copies are forgotten") || copy == 1 && why.contains("available needs"),
            "{why}"
        );
        // The function meant for it does not even try.
        assert_eq!(m.forget(copy_id(copy)).copies, m.copies);
    }
    let m = expired();
    let retired = m.copies.iter().find(|c| c.life == Life::Retired).unwrap().id;
    assert_refused(
        &m,
        edit(&m, |m| m.copies.retain(|c| c.id != retired)),
        "only doomed copies are forgotten",
    );
    let m = swap(&m, m.doom(NOW.plus(GRACE_MILLIS), |_| false));
    assert!(swap(&m, m.forget(retired)).copy(retired).is_none());
}

#[test]
fn l2_lives_only_go_forward() {
    use Life::{Doomed, Live, Retired, Staged};
    let m = rewriting();
    // By hand, copy 1 in each life; from there to each other.
    for (from, legal) in [
        (Staged, vec![Staged, Doomed]),
        (Live, vec![Live, Retired]),
        (Retired, vec![Retired, Doomed]),
        (Doomed, vec![Doomed]),
    ] {
        // Cold copy 3 keeps run 1 alive; hot copy 6 keeps it available.
        let base = edit(&m, |m| {
            m.copies.push(Copy { life: Live, ..further(6, run_id(1), Tier::Hot, NOW) });
            *life_of(m, 3) = Live;
            m.copies.push(Copy { life: from, ..further(7, run_id(1), Tier::Hot, NOW) });
        });
        for to in [Staged, Live, Retired, Doomed] {
            let next = edit(&base, |m| {
                *life_of(m, 7) = to;
                m.copies.last_mut().unwrap().since = NOW.plus(GRACE_MILLIS);
            });
            let legal = legal.contains(&to) || (from, to) == (Staged, Live);
            match next.succeed(&base) {
                Ok(_) => assert!(legal, "{from:?} to {to:?} passed"),
                Err(e) => assert!(!legal && e.0.contains("cannot go from"), "{from:?} to {to:?}: {e}"),
            }
        }
    }
}

#[test]
fn l2_retired_copies_are_readable_for_the_grace() {
    let m = expired();
    let early = NOW.plus(GRACE_MILLIS - 1);
    assert_eq!(m.doom(early, |_| true), m);
    let by_hand = edit(&m, |m| {
        let copy = m.copies.iter_mut().find(|c| c.life == Life::Retired).unwrap();
        (copy.life, copy.since) = (Life::Doomed, early);
    });
    assert_refused(&m, by_hand, "grace");
}

#[test]
fn l2_inputs_are_fixed_when_staged() {
    let m = rewriting();
    let changes: [fn(&mut Copy); 8] = [
        |c| c.inputs = None,
        |c| c.inputs = Some(Inputs::default()),
        |c| c.inputs.as_mut().unwrap().runs.truncate(1),
        |c| c.inputs.as_mut().unwrap().inbox_blocks += 1,
        |c| c.inputs.as_mut().unwrap().folded += 1,
        |c| c.run = run_id(9),
        |c| c.tier = Tier::Cold,
        |c| c.slots = four_slots(),
    ];
    for change in changes {
        assert_refused(&m, edit(&m, |m| change(copy_mut(m, 5))), "copy");
        // Nor in the swap that commits it.
        let committed = m.commit_rewrite(copy_id(5), tally(30), 300, NOW).unwrap();
        refused(&m, edit(&committed, |m| change(copy_mut(m, 5))));
    }
}

#[test]
fn l2_a_live_copy_stays_what_it_is() {
    let m = two_runs();
    let changes: [fn(&mut Copy); 4] = [
        |c| c.run = run_id(2),
        |c| c.tier = Tier::Cold,
        |c| c.slots = four_slots(),
        |c| c.inputs = Some(Inputs::default()),
    ];
    for change in changes {
        refused(&m, edit(&m, |m| change(&mut m.copies[0])));
    }
}

#[test]
fn l2_a_ledger_has_one_rewrite_at_a_time() {
    let m = rewriting();
    assert_refused(&m, m.stage(rewrite(6, 6, Tier::Hot, &[], 0, NOW)), "one rewrite at a time");
    let m = two_runs();
    let two = m.stage(rewrite(6, 6, Tier::Hot, &[run_id(1)], 0, NOW)).stage(rewrite(
        7,
        7,
        Tier::Hot,
        &[run_id(2)],
        0,
        NOW,
    ));
    assert_refused(&m, two, "one rewrite at a time");
}

#[test]
fn l2_inputs_are_listed_runs() {
    let m = two_runs();
    assert_refused(&m, m.stage(rewrite(6, 6, Tier::Hot, &[run_id(9)], 0, NOW)), "out of listed ones");
    assert_refused(
        &m,
        m.stage(rewrite(6, 6, Tier::Hot, &[run_id(1), run_id(9)], 0, NOW)),
        "out of listed ones",
    );
    assert_refused(&m, m.stage(further(6, run_id(9), Tier::Cold, NOW)), "is not listed");
    let other_slots = Copy { slots: four_slots(), ..further(6, run_id(1), Tier::Cold, NOW) };
    assert_refused(&m, m.stage(other_slots), "is not listed");
}

#[test]
fn l9_runs_do_not_change_while_they_are_restored() {
    let m = expired();
    let m = swap(&m, m.stage(rewrite(6, 6, Tier::Cold, &[run_id(1)], 1, NOW)));
    let m = swap(&m, m.restoring().stage(further(7, run_id(2), Tier::Hot, NOW)));
    // Late rows that were being archived when the restore began.
    let late = m.commit_rewrite(copy_id(6), tally(11), 100, NOW).unwrap();
    assert_refused(&m, late, "while it is restored");
    swap(&m, m.abandon(NOW, |c| c.inputs.is_some()));
}

#[test]
fn l2_a_rewrite_takes_at_most_2_000_inbox_blocks() {
    let m = two_runs();
    assert_eq!(MAX_INBOX_KEYS, 2_000);
    swap(&m, m.stage(rewrite(6, 6, Tier::Hot, &[], MAX_INBOX_KEYS as u32, NOW)));
    assert_refused(
        &m,
        m.stage(rewrite(6, 6, Tier::Hot, &[], MAX_INBOX_KEYS as u32 + 1, NOW)),
        "2000 inbox blocks",
    );
}

#[test]
fn l2_ids_are_never_reused() {
    let m = two_runs();
    // The id of a copy, whatever life that is in.
    assert_refused(&m, m.stage(rewrite(1, 6, Tier::Hot, &[], 0, NOW)), "copy");
    assert_refused(&m, m.stage(further(3, run_id(1), Tier::Cold, NOW)), "copy");
    let staged = swap(&m, m.stage(further(6, run_id(2), Tier::Cold, NOW)));
    assert_refused(&staged, staged.stage(further(6, run_id(2), Tier::Cold, NOW)), "twice");
    // The id of a run that is listed, and of one that is replaced but whose copies are still there.
    assert_refused(&m, m.stage(rewrite(6, 1, Tier::Hot, &[], 0, NOW)), "a new run");
    let m = swap(&clearing(), clearing().cleared(copy_id(5)));
    assert!(m.run(run_id(1)).is_none() && m.copy(copy_id(1)).is_some());
    assert_refused(&m, m.stage(rewrite(6, 1, Tier::Hot, &[], 0, NOW)), "a new run");
    // A run stands in the list once.
    assert_refused(&m, edit(&m, |m| m.runs.push(m.runs[0].clone())), "twice");
}

#[test]
fn l2_only_the_blocks_of_the_committed_rewrite_are_cleared() {
    let m = rewriting();
    // Nothing to clear before the commit, nor another's.
    assert_refused(&m, edit(&m, |m| m.clearing = Some(copy_id(5))), "after the commit");
    assert_refused(&m, edit(&m, |m| m.clearing = Some(copy_id(1))), "after the commit");
    let committed = m.commit_rewrite(copy_id(5), tally(30), 300, NOW).unwrap();
    assert_refused(&m, edit(&committed, |m| m.clearing = None), "after the commit");
    assert_refused(&m, edit(&committed, |m| m.clearing = Some(copy_id(1))), "after the commit");
    let m = clearing();
    assert_refused(&m, edit(&m, |m| m.clearing = Some(copy_id(1))), "after the commit");
    assert_eq!(m.cleared(copy_id(1)), m);
    // A rewrite that took no block leaves nothing to clear.
    let m = two_hot_runs();
    let m = swap(&m, m.stage(rewrite(6, 6, Tier::Hot, &[run_id(1)], 0, NOW)));
    let committed = m.commit_rewrite(copy_id(6), tally(10), 100, NOW).unwrap();
    assert_refused(&m, edit(&committed, |m| m.clearing = Some(copy_id(6))), "after the commit");
}

#[test]
fn l2_no_rewrite_takes_inbox_blocks_that_are_being_cleared() {
    let m = clearing();
    assert_refused(&m, m.stage(rewrite(6, 6, Tier::Hot, &[], 1, NOW)), "must be cleared first");
    assert_refused(
        &m,
        m.cleared(copy_id(5)).stage(rewrite(6, 6, Tier::Hot, &[], 1, NOW)),
        "must be cleared first",
    );
    // Nor in the very swap that commits the rewrite before.
    let m = rewriting();
    let committed = m.commit_rewrite(copy_id(5), tally(30), 300, NOW).unwrap();
    assert_refused(&m, committed.stage(rewrite(6, 6, Tier::Hot, &[], 1, NOW)), "must be cleared first");
    // Runs only, or once it is cleared: fine.
    let m = clearing();
    swap(&m, m.stage(rewrite(6, 6, Tier::Hot, &[run_id(5)], 0, NOW)));
    let m = swap(&m, m.cleared(copy_id(5)));
    swap(&m, m.stage(rewrite(6, 6, Tier::Hot, &[], 1, NOW)));
}

/// What is to be cleared is recorded with the copy: it must not be deleted before.
#[test]
fn l9_what_is_being_cleared_is_not_forgotten() {
    let m = clearing();
    let m = swap(&m, m.stage(rewrite(6, 6, Tier::Hot, &[run_id(5)], 0, NOW)));
    let m = swap(&m, m.commit_rewrite(copy_id(6), tally(30), 300, NOW).unwrap());
    assert_eq!((m.clearing, m.copy(copy_id(5)).unwrap().life), (Some(copy_id(5)), Life::Retired));
    let later = NOW.plus(2 * GRACE_MILLIS);
    assert_eq!(m.doom(later, |_| true).copy(copy_id(5)).unwrap().life, Life::Retired);
    let by_hand = edit(&m, |m| {
        let copy = m.copies.iter_mut().find(|c| c.id == copy_id(5)).unwrap();
        (copy.life, copy.since) = (Life::Doomed, later);
    });
    assert_refused(&m, by_hand, "cleared");
    assert!(m.wake_at().unwrap() <= NOW);
    let m = swap(&m, m.cleared(copy_id(5)));
    assert_eq!(m.doom(later, |_| true).copy(copy_id(5)).unwrap().life, Life::Doomed);
}
