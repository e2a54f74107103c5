//! Tests the simulation itself: histories pass and replay, and every rule that is broken on purpose is noticed. The command
//! `simulate` plays many more histories; see `simulate --help`.

use rekindle_domain::breaks::Break;
use rekindle_tests::sim::history::{Fault, LEANING, play};

/// A broken rule must be noticed within this many histories.
const SEEDS: u64 = 3_000;

#[test]
fn l1_to_l11_hold_in_random_histories() {
    for seed in (1_000_000..1_000_100).chain(LEANING..LEANING + 100) {
        play(seed, None, false).unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[test]
fn a_history_follows_from_its_seed() {
    for seed in 0..12 {
        assert_eq!(play(seed, None, false).unwrap(), play(seed, None, false).unwrap(), "seed {seed}");
    }
}

fn is_noticed(fault: Fault) {
    let mut seeds = (0..SEEDS / 2).flat_map(|n| [n, LEANING + n]);
    let noticed = seeds.find(|seed| play(*seed, Some(fault), false).is_err());
    assert!(noticed.is_some(), "{fault:?} is not noticed in {SEEDS} histories");
}

macro_rules! broken {
    ($($name:ident: $fault:expr;)*) => {
        $(
            #[test]
            fn $name() {
                is_noticed($fault);
            }
        )*

        #[test]
        fn every_rule_that_can_be_broken_has_a_test() {
            assert_eq!(Fault::all(), [$($fault),*]);
        }
    };
}

broken! {
    l4_noticed_is_a_copy_that_nobody_verified: Fault::Rule(Break::VerifiesNothing);
    l4_noticed_is_a_commit_that_ignores_a_failed_sum: Fault::Rule(Break::IgnoresFailedSums);
    l2_noticed_is_an_inbox_cleared_before_the_commit: Fault::Rule(Break::ClearsBeforeTheCommit);
    l2_noticed_is_an_inbox_cleared_of_more_than_was_taken: Fault::Rule(Break::ClearsTheWholeInbox);
    l2_noticed_are_inputs_listed_anew: Fault::Rule(Break::ListsInputsAnew);
    l6_noticed_is_a_lost_swap_written_again: Fault::Rule(Break::ReappliesLostSwaps);
    l3_noticed_is_a_manifest_read_before_the_inbox: Fault::Rule(Break::ReadsTheManifestFirst);
    l4_noticed_are_two_workers_under_one_attempt: Fault::Rule(Break::SharesAttempts);
    l5_noticed_is_a_gap_read_as_empty: Fault::Rule(Break::ReadsGapsAsEmpty);
    l9_noticed_is_a_lapsed_part_that_nobody_drives_on: Fault::Rule(Break::NobodyRedrives);
    l5_noticed_is_a_restore_committed_half: Fault::Rule(Break::CommitsHalfRestores);
    l8_noticed_is_a_mail_that_nobody_claimed: Fault::Rule(Break::SendsUnclaimed);
    l6_noticed_is_an_expiry_of_what_is_held: Fault::Rule(Break::ExpiresTheHeld);
    l6_noticed_are_segments_that_nobody_checked: Fault::Rule(Break::EditsSegmentsUnchecked);
    l2_noticed_is_an_archived_run_merged_with_others: Fault::Rule(Break::MergesArchivedWithOthers);
    l9_noticed_is_a_lost_dirty_mark: Fault::Rule(Break::LosesDirtyMarks);
    l10_noticed_is_an_expiry_that_nobody_announced: Fault::Rule(Break::ExpiresUnannounced);
    l11_noticed_is_a_process_that_knows_old_merges_alone: Fault::Rule(Break::TrustsOldPeople);
    l11_noticed_is_a_rewrite_that_follows_the_merges_of_now: Fault::Rule(Break::FoldsTheLatest);
    l11_noticed_are_rows_of_merged_users_left_out: Fault::Rule(Break::DropsMergedUsers);
    l2_noticed_is_one_time_for_a_whole_invocation: Fault::OneNow;
}
