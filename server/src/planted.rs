//! Bugs that tests plant to see whether they are found.
//!
//! Only the feature `planted`, which tests of this package turn on, makes them possible; without it
//! `is_planted` is `false` at compile time and nothing of them is in the program.

/// A bug in a shard. Each leaves out something that the design asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A write to the part of a slot that was sent already does not follow it in a transfer.
    DroppedTail,
    /// What is done to a list while a transfer stands inside it follows as it is, not cut down to what was sent.
    UncutSplice,
    /// A slot that is handed over is served until its new map arrives.
    SkippedFreeze,
    /// A freeze ends without an entry although the hand-over was proposed.
    UnfreezeAfterProposal,
    /// A replica accepts records of an epoch below the one that it promised.
    NoEpochCheck,
    /// A new primary takes everything in its log for committed, and serves at once.
    NoBarrier,
    /// A primary drops its copy when it proposes to hand the slot over.
    DropBeforeCommit,
    /// A replica acknowledges what it has not taken.
    AckCoversRefused,
    /// While a change of the set is proposed, the quorum of the old set alone commits.
    NoJointQuorum,
    /// A write to the part of a slot that a checkpoint has gone over already does not follow it into the checkpoint.
    CheckpointMissesTail,
    /// A checkpoint does not keep the log from where a copy that is being built began.
    CheckpointForgetsBuilding,
    /// A follower's checkpoint has no records that are logged and not applied.
    CheckpointForgetsPending,
    /// The name of a checkpoint is not synced before the log is cut.
    CheckpointNameUnsynced,
}

#[cfg(feature = "planted")]
thread_local! {
    static PRESENT: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in the shards of this thread, or takes it out.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PRESENT.set(bug);
}

/// Is the bug planted in this thread?
#[inline(always)]
pub(crate) fn is_planted(bug: Bug) -> bool {
    #[cfg(feature = "planted")]
    return PRESENT.get() == Some(bug);
    #[cfg(not(feature = "planted"))]
    {
        let _ = bug;
        false
    }
}
