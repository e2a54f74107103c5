//! Swaps that rely on copies which are not verified, or let go of those which are.

use super::{NOW, assert_refused, edit, expired, life_of, refused, rewriting, swap, two_hot_runs, two_runs};
use crate::manifest::{copy_id, further, rewrite, run_id, tally};
use rekindle_domain::manifest::{Copy, GRACE_MILLIS, Life, Manifest, Tier};

#[test]
fn l4_nothing_is_live_that_was_not_staged() {
    let m = two_runs();
    for life in [Life::Live, Life::Retired, Life::Doomed] {
        let copy = Copy { life, ..further(6, run_id(1), Tier::Hot, NOW) };
        assert_refused(&m, m.stage(copy), "must be staged before");
        let copy = Copy { life, ..rewrite(6, 6, Tier::Hot, &[], 0, NOW) };
        assert_refused(&m, m.stage(copy), "must be staged before");
    }
    assert!(m.commit_copy(copy_id(6), 1, NOW).is_err());
    assert!(m.commit_rewrite(copy_id(6), tally(1), 1, NOW).is_err());
}

#[test]
fn l4_a_swept_writer_cannot_commit() {
    let m = rewriting();
    let m = swap(&m, m.doom(NOW.plus(GRACE_MILLIS), |_| true));
    assert_eq!(m.copy(copy_id(5)).unwrap().life, Life::Doomed);
    assert!(m.commit_rewrite(copy_id(5), tally(30), 300, NOW).unwrap_err().0.contains("no longer staged"));
    let m = two_runs();
    let m = swap(&m, m.stage(further(6, run_id(2), Tier::Cold, NOW)));
    let m = swap(&m, m.abandon(NOW, |c| c.tier == Tier::Cold));
    assert!(m.commit_copy(copy_id(6), 1, NOW).unwrap_err().0.contains("no longer staged"));
    // Nor by hand, nor once it is forgotten.
    assert_refused(&m, edit(&m, |m| *life_of(m, 6) = Life::Live), "cannot go from Doomed to Live");
    let m = swap(&m, m.forget(copy_id(6)));
    assert!(m.commit_copy(copy_id(6), 1, NOW).is_err());
}

#[test]
fn l4_copies_that_make_progress_or_are_young_are_not_doomed() {
    let m = rewriting();
    let late = NOW.plus(GRACE_MILLIS);
    assert_eq!(m.doom(late, |_| false), m);
    assert_eq!(m.doom(late.plus(-1), |_| true), m);
    let renewed = swap(&m, m.renew(late, |_| true));
    assert_eq!(renewed.doom(late, |_| true), renewed);
    assert_eq!(renewed.wake_at(), Some(late.plus(GRACE_MILLIS)));
}

#[test]
fn l4_the_last_live_copy_is_never_retired() {
    // Run 2 has one copy; run 1 has two, of which either may go while the state does not need it.
    let m = two_runs();
    refused(&m, edit(&m, |m| *life_of(m, 2) = Life::Retired));
    swap(&m, edit(&m, |m| *life_of(m, 3) = Life::Retired));
    let m = expired();
    refused(&m, edit(&m, |m| *life_of(m, 4) = Life::Retired));
    // Both copies of a run at once.
    let m = two_runs();
    refused(
        &m,
        edit(&m, |m| {
            *life_of(m, 1) = Life::Retired;
            *life_of(m, 3) = Life::Retired;
        }),
    );
}

#[test]
fn l4_a_staged_copy_does_not_stand_in_for_a_live_one() {
    let m = two_runs();
    let m = swap(&m, m.stage(further(6, run_id(2), Tier::Cold, NOW)));
    refused(&m, m.expired(NOW));
    let m = swap(&m, m.commit_copy(copy_id(6), 1, NOW).unwrap());
    swap(&m, m.expired(NOW));
}

#[test]
fn l4_nothing_is_doomed_in_quarantine() {
    let m = expired();
    let m = swap(&m, m.stage(further(6, run_id(2), Tier::Hot, NOW)));
    let suspect = m.copy(copy_id(6)).unwrap().clone();
    let m = swap(&m, m.quarantined("slot 3 of run 2 has 7 rows of 8", &suspect, NOW).abandon(NOW, |_| true));
    assert_eq!(m.wake_at(), Some(NOW.plus(GRACE_MILLIS)));
    // What was never verified may go.
    let m = swap(&m, m.forget(copy_id(6)));
    assert_eq!(m.wake_at(), None);
    let later = NOW.plus(2 * GRACE_MILLIS);
    let doomed =
        |m: &Manifest| m.doom(later, |_| true).copies.iter().filter(|c| c.life == Life::Doomed).count();
    assert_eq!(doomed(&m), 0);
    let by_hand = edit(&m, |m| {
        let copy = m.copies.iter_mut().find(|c| c.life == Life::Retired).unwrap();
        (copy.life, copy.since) = (Life::Doomed, later);
    });
    assert_refused(&m, by_hand, "quarantine");
    // Nor by the very swap that ends it; only from then on.
    let m = swap(&m, m.stage(further(7, run_id(2), Tier::Cold, later)));
    let ended = m.commit_copy(copy_id(7), 1, later).unwrap();
    assert_refused(&m, ended.doom(later, |_| true), "quarantine");
    let m = swap(&m, ended);
    assert_eq!((m.quarantine.as_ref(), doomed(&m)), (None, 2));
}

/// Both runs and the inbox are suspect; each until it is read whole.
#[test]
fn l4_what_is_suspect_stays_so_until_it_is_read() {
    let m = rewriting();
    let suspect = m.staged_rewrite().unwrap().clone();
    let m = swap(&m, m.quarantined("the digests differ", &suspect, NOW).abandon(NOW, |_| true));
    let quarantine = m.quarantine.clone().unwrap();
    assert_eq!((quarantine.runs, quarantine.inbox), (vec![run_id(1), run_id(2)], true));
    let suspects = |m: &Manifest| m.quarantine.as_ref().map(|q| (q.runs.clone(), q.inbox));
    // Nobody just ends it, in whole or in part.
    assert_refused(&m, edit(&m, |m| m.quarantine = None), "in quarantine until it is read whole");
    for run in [1, 2] {
        let less = edit(&m, |m| m.quarantine.as_mut().unwrap().runs.retain(|r| *r != run_id(run)));
        assert_refused(&m, less, "in quarantine until it is read whole");
    }
    let less = edit(&m, |m| m.quarantine.as_mut().unwrap().inbox = false);
    assert_refused(&m, less, "inbox is in quarantine until it is read whole");
    // A further copy of run 1 shows that run 1 is whole, and says nothing of run 2.
    let m = swap(&m, m.stage(further(6, run_id(1), Tier::Cold, NOW)));
    let committed = m.commit_copy(copy_id(6), 1, NOW).unwrap();
    assert_refused(&m, edit(&committed, |m| m.quarantine = None), "run");
    let m = swap(&m, committed);
    assert_eq!(suspects(&m), Some((vec![run_id(2)], true)));
    // A rewrite that takes run 2 only says nothing of the inbox.
    let runs_only = swap(&m, m.stage(rewrite(7, 7, Tier::Hot, &[run_id(2)], 0, NOW)));
    let runs_only = swap(&runs_only, runs_only.commit_rewrite(copy_id(7), tally(20), 1, NOW).unwrap());
    assert_eq!(suspects(&runs_only), Some((vec![], true)));
    assert_refused(&runs_only, edit(&runs_only, |m| m.quarantine = None), "inbox is in quarantine");
    let staged = swap(&runs_only, runs_only.stage(further(8, run_id(1), Tier::Cold, NOW)));
    let committed = staged.commit_copy(copy_id(8), 1, NOW).unwrap();
    assert_eq!(suspects(&committed), Some((vec![], true)));
    assert_refused(&staged, edit(&committed, |m| m.quarantine = None), "inbox is in quarantine");
    let m = swap(&m, m.stage(rewrite(7, 7, Tier::Hot, &[run_id(2)], 2, NOW)));
    let m = swap(&m, m.commit_rewrite(copy_id(7), tally(20), 1, NOW).unwrap());
    assert_eq!((suspects(&m), m.clearing), (None, Some(copy_id(7))));
}

/// What another worker finds meanwhile adds to it.
#[test]
fn l4_suspicions_add_up() {
    let m = two_hot_runs();
    let m = swap(&m, m.stage(further(6, run_id(1), Tier::Hot, NOW)));
    let m = swap(&m, m.quarantined("run 1", &m.copy(copy_id(6)).unwrap().clone(), NOW));
    let m = swap(&m, m.stage(rewrite(7, 7, Tier::Hot, &[run_id(1), run_id(2)], 1, NOW)));
    let m = swap(&m, m.quarantined("all", &m.copy(copy_id(7)).unwrap().clone(), NOW));
    let mut quarantine = m.quarantine.unwrap();
    quarantine.runs.sort();
    assert_eq!((quarantine.runs, quarantine.inbox), (vec![run_id(1), run_id(2)], true));
}

#[test]
fn l4_quarantine_keeps_inbox_blocks_and_verified_copies() {
    // Blocks to clear, and a copy that was doomed before.
    let m = expired();
    let m = swap(&m, m.doom(NOW.plus(GRACE_MILLIS), |_| false));
    let doomed = m.copies.iter().find(|c| c.life == Life::Doomed).unwrap().id;
    let m = swap(&m, m.stage(rewrite(6, 6, Tier::Cold, &[], 1, NOW)));
    let m = swap(&m, m.commit_rewrite(copy_id(6), tally(1), 1, NOW).unwrap());
    let m = swap(&m, m.stage(further(7, run_id(1), Tier::Hot, NOW)));
    let suspect = m.copy(copy_id(7)).unwrap().clone();
    let m = swap(&m, m.quarantined("run 1", &suspect, NOW));
    assert_refused(&m, m.cleared(copy_id(6)), "quarantine");
    assert_refused(&m, m.forget(doomed), "not deleted in quarantine");
    let m = swap(&m, m.commit_copy(copy_id(7), 1, NOW).unwrap());
    assert_eq!(m.quarantine, None);
    let m = swap(&m, m.cleared(copy_id(6)));
    swap(&m, m.forget(doomed));
}

/// Damage in a run that was merged away meanwhile, after it was read whole: nothing is suspect, and above all nothing
/// that is never read again.
#[test]
fn l9_a_replaced_run_is_not_suspect() {
    let m = two_runs();
    let m = swap(&m, m.stage(further(6, run_id(2), Tier::Cold, NOW)));
    let suspect = m.copy(copy_id(6)).unwrap().clone();
    let m = swap(&m, m.stage(rewrite(5, 5, Tier::Hot, &[run_id(2)], 0, NOW)));
    let m = swap(&m, m.commit_rewrite(copy_id(5), tally(20), 1, NOW).unwrap());
    let m = swap(&m, m.quarantined("a slot of run 2", &suspect, NOW));
    assert_eq!(m.quarantine, None);
}
