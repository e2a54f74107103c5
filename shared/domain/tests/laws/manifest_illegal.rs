//! Illegal swaps, one by one, each refused with the rule it breaks.

use crate::manifest::{copy_id, four_slots, further, one_slot, rewrite, run_id, tally};
use rekindle_domain::{
    id::RunId,
    manifest::{
        Copy, DataState, GRACE_MILLIS, Inputs, Life, MAX_COPIES, MAX_INBOX_KEYS, MAX_RUNS, Manifest, Run,
        Tier, check,
    },
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

// What may be deleted.

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
    let changes: [fn(&mut Copy); 7] = [
        |c| c.inputs = None,
        |c| c.inputs = Some(Inputs::default()),
        |c| c.inputs.as_mut().unwrap().runs.truncate(1),
        |c| c.inputs.as_mut().unwrap().inbox_blocks += 1,
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

// What may be relied on.

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

// What readers see.

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
    let changes: [fn(&mut Run); 4] = [
        |r| r.tally.rows -= 1,
        |r| r.tally.digest.0 ^= 1,
        |r| r.slots = four_slots(),
        |r| r.tally.users += 1,
    ];
    for change in changes {
        assert_refused(&m, edit(&m, |m| change(&mut m.runs[0])), "may only be replaced by a rewrite");
    }
}

#[test]
fn l5_new_runs_come_with_their_committed_copy() {
    let m = two_runs();
    let run = |id| Run { id: run_id(id), slots: one_slot(), tally: tally(1) };
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
    for i in MAX_RUNS..MAX_COPIES {
        m = swap(&m, m.stage(further(1_000 + i as u64, run_id(0), Tier::Cold, NOW)));
    }
    assert_refused(&m, m.stage(further(9_999, run_id(0), Tier::Cold, NOW)), "256 copies");
}
