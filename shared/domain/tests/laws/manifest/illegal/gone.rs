//! Swaps of a ledger whose source is deleted for good.

use super::{NOW, assert_refused, clearing, edit, expired, rewriting, swap, two_runs};
use crate::manifest::{copy_id, further, rewrite, run_id, tally};
use rekindle_domain::manifest::{DataState, GRACE_MILLIS, Life, Manifest, Tier};

const STAYS: &str = "a deleted ledger stays deleted";

/// Whatever the ledger was doing, all of it goes, and nothing comes back.
#[test]
fn l2_a_deleted_ledger_only_goes() {
    for m in [Manifest::default(), two_runs(), expired(), rewriting(), clearing()] {
        let gone = swap(&m, m.deleted(NOW));
        assert_eq!(gone.runs.len() + gone.staged_copies().count(), 0);
        assert_eq!((gone.staged_rewrite(), gone.clearing), (None, None));
        assert_eq!(gone.copies.len(), m.copies.len(), "no copy is forgotten before its bytes are deleted");
        assert_refused(&gone, edit(&gone, |m| m.is_deleted = false), STAYS);
        assert_refused(&gone, gone.stage(rewrite(9, 9, Tier::Hot, &[], 1, NOW)), STAYS);
        assert_refused(&gone, gone.stage(further(9, run_id(1), Tier::Hot, NOW)), STAYS);
        assert_refused(&gone, edit(&gone, |next| next.runs.clone_from(&two_runs().runs)), STAYS);
        assert_refused(&gone, gone.restoring(), STAYS);
        // Copies that were live keep their grace, for readers that have the older manifest.
        let early = edit(&gone, |m| m.copies.iter_mut().for_each(|c| c.life = Life::Doomed));
        if gone.copies.iter().any(|c| c.life == Life::Retired) {
            assert_refused(&gone, early, "within its grace");
        }
        let doomed = gone.doom(NOW.plus(GRACE_MILLIS), |_| true);
        let doomed = if doomed == gone { gone } else { swap(&gone, doomed) };
        assert!(doomed.copies.iter().all(|c| c.life == Life::Doomed));
        let copies: Vec<_> = doomed.copies.iter().map(|c| c.id).collect();
        let empty = copies.into_iter().fold(doomed, |m, copy| swap(&m, m.forget(copy)));
        assert_eq!((empty.copies.len(), empty.wake_at()), (0, None));
    }
}

#[test]
fn l2_no_run_goes_without_the_deletion_of_the_ledger() {
    let m = two_runs();
    let kept = edit(&m.deleted(NOW), |next| next.runs.clone_from(&m.runs));
    assert_refused(&m, kept, STAYS);
    assert_refused(&m, edit(&m.deleted(NOW), |next| next.copies[0].life = Life::Live), STAYS);
    assert_refused(&m, edit(&m.deleted(NOW), |next| next.copies.clear()), "only doomed copies are forgotten");
    assert_refused(&m, edit(&m.deleted(NOW), |next| next.state = DataState::Expired), STAYS);
    let restoring = swap(&expired(), expired().restoring());
    assert_refused(&restoring, restoring.deleted(NOW), "while it is restored");
    // A rewrite that was under way cannot commit afterwards.
    let gone = swap(&rewriting(), rewriting().deleted(NOW));
    gone.commit_rewrite(copy_id(5), tally(30), 1, NOW).expect_err("it is doomed");
}
