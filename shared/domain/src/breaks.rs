//! Rules that can be broken on purpose, to see that the proof notices. Only with the feature `breaks`, which nothing but
//! the tests asks for; without it [`is`] is always false and compiles to nothing.

/// A rule that is broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Break {
    /// A part counts as done, and a copy as whole, without having been compared (L4).
    VerifiesNothing,
    /// A commit does not ask whether the sums of the parts are those of the run (L4).
    IgnoresFailedSums,
    /// A rewrite deletes its inbox blocks before it commits (L2).
    ClearsBeforeTheCommit,
    /// Clearing deletes whatever is in the inbox, not just what the rewrite took (L2).
    ClearsTheWholeInbox,
    /// A resumed rewrite lists its inbox anew instead of taking what was written down (L2).
    ListsInputsAnew,
    /// A swap that was lost is written again as it was, over what is there now (L6).
    ReappliesLostSwaps,
    /// Readers read the manifest before the inbox (L3).
    ReadsTheManifestFirst,
    /// Every worker of a part writes under attempt 1.
    SharesAttempts,
    /// A block that is missing is read as one without rows (L5).
    ReadsGapsAsEmpty,
    /// The sweeper does not queue the lapsed parts of a restore again (L9).
    NobodyRedrives,
    /// The last transaction of a restore does not ask whether each part is done (L5).
    CommitsHalfRestores,
    /// A notice is sent without being claimed first (L8).
    SendsUnclaimed,
    /// An expiry commits although a source holds the data by then (L6).
    ExpiresTheHeld,
    /// A change of holders does not check that the segments it followed are unchanged (L6).
    EditsSegmentsUnchecked,
    /// A compaction merges a run that has a cold copy with one that has none, and no check stops it.
    MergesArchivedWithOthers,
    /// The compactor deletes dirty marks before it acts on them.
    LosesDirtyMarks,
    /// Nobody is warned, and data expires at its time all the same (L10).
    ExpiresUnannounced,
    /// A process that knows merges of user ids does not ask whether there are more (L11).
    TrustsOldPeople,
    /// A worker of a rewrite follows the merges of now, not those that the rewrite wrote down (L11).
    FoldsTheLatest,
    /// A rewrite leaves out the rows of merged ids, counts them, and does not bring them to their persons (L11).
    DropsMergedUsers,
}

impl Break {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::VerifiesNothing,
        Self::IgnoresFailedSums,
        Self::ClearsBeforeTheCommit,
        Self::ClearsTheWholeInbox,
        Self::ListsInputsAnew,
        Self::ReappliesLostSwaps,
        Self::ReadsTheManifestFirst,
        Self::SharesAttempts,
        Self::ReadsGapsAsEmpty,
        Self::NobodyRedrives,
        Self::CommitsHalfRestores,
        Self::SendsUnclaimed,
        Self::ExpiresTheHeld,
        Self::EditsSegmentsUnchecked,
        Self::MergesArchivedWithOthers,
        Self::LosesDirtyMarks,
        Self::ExpiresUnannounced,
        Self::TrustsOldPeople,
        Self::FoldsTheLatest,
        Self::DropsMergedUsers,
    ];
}

#[cfg(feature = "breaks")]
thread_local! {
    static BROKEN: std::cell::Cell<Option<Break>> = const { std::cell::Cell::new(None) };
}

/// Breaks one rule, or none, for everything that runs on this thread.
#[cfg(feature = "breaks")]
pub fn set(what: Option<Break>) {
    BROKEN.set(what);
}

/// Whether that rule is broken.
#[cfg(feature = "breaks")]
pub fn is(what: Break) -> bool {
    BROKEN.get() == Some(what)
}

/// Whether that rule is broken: never.
#[cfg(not(feature = "breaks"))]
pub const fn is(_: Break) -> bool {
    false
}
