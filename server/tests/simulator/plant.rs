//! Bugs that are planted to see whether the checks find them.

use carousel_server::planted::Bug;

use super::scenario::{Fault, Logging, Scenario};

/// A bug, in the code under test or in what drives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// None.
    Nothing,
    /// In the shard.
    Core(Bug),
    /// Replies and acks leave before the log was written.
    AckBeforeWrite,
    /// A restarted process passes itself off as its predecessor.
    RestartReusesEpoch,
    /// A recovery takes the first copy that answers.
    RecoveryWithoutQuorum,
    /// A recovery takes the longest log, whatever its epoch.
    LongestLogWins,
    /// Reads do not wait for what they saw to be committed.
    ReadsAreNotHeld,
}

impl Plant {
    /// Makes a scenario one in which the bug can matter.
    pub fn shape(self, scenario: &mut Scenario) {
        use Fault::*;
        if self == Self::Nothing {
            return;
        }
        scenario.replicas = 3;
        scenario.write_quorum = 2;
        scenario.nodes = 3;
        scenario.logging = Logging::EverySecond;
        scenario.think_ns /= 3;
        scenario.faults = match self {
            Self::Nothing => unreachable!("returned above"),
            Self::Core(Bug::DroppedTail | Bug::SkippedFreeze | Bug::UnfreezeAfterProposal) => {
                vec![(Plan, 20), (Kill, 3), (ResetLink, 5), (AddNode, 2), (Pause, 2)]
            }
            Self::Core(Bug::NoJointQuorum | Bug::DropBeforeCommit) => {
                vec![(Plan, 20), (Kill, 8), (ResetLink, 5), (Partition, 5), (AddNode, 2)]
            }
            Self::Core(Bug::NoEpochCheck) => {
                scenario.phantoms = true;
                vec![(Plan, 3), (PhantomRegistration, 10), (Partition, 6), (CutFromGroup, 8), (Pause, 3)]
            }
            Self::AckBeforeWrite => vec![(KillInTurn, 10)],
            Self::ReadsAreNotHeld => vec![(Kill, 10), (KillAll, 2), (Partition, 10), (Pause, 5)],
            Self::Core(_) | Self::RestartReusesEpoch | Self::RecoveryWithoutQuorum | Self::LongestLogWins => {
                vec![(Plan, 5), (Kill, 8), (KillInTurn, 8), (KillAll, 2), (ResetLink, 8), (Partition, 4)]
            }
        };
        if self != Self::Core(Bug::NoEpochCheck) {
            scenario.phantoms = false;
        }
    }
}
