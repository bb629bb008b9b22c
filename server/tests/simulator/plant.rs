//! Bugs that are planted to see whether the checks find them.

use carousel_server::limits::ShardLimits;
use carousel_server::planted::Bug;

use super::scenario::{Fault, Logging, MS, Scenario};

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
    /// Reads do not wait for what they saw to be committed.
    ReadsAreNotHeld,
}

impl Plant {
    /// Makes a scenario one in which the bug can matter: three copies of which two commit, busy clients on few keys,
    /// and those faults that the missing rule is there for.
    pub fn shape(self, scenario: &mut Scenario) {
        use Fault::*;
        if self == Self::Nothing {
            return;
        }
        scenario.replicas = 3;
        scenario.write_quorum = 2;
        scenario.nodes = 3;
        scenario.logging = Logging::EverySecond;
        scenario.phantoms = false;
        scenario.resharding = false;
        scenario.think_ns = 8 * MS;
        scenario.hot_slots.truncate(3);
        scenario.down_ns = (5 * MS, 60 * MS);
        let faults: &[(Fault, u64)] = match self {
            Self::Nothing => unreachable!("returned above"),
            Self::Core(Bug::DroppedTail | Bug::UncutSplice) => {
                // Slots are sent item by item, so that writes come in between.
                scenario.limits = ShardLimits {
                    tail_bytes: 0,
                    chunk_keys: 1,
                    chunk_bytes: 1,
                    turn_bytes: 1,
                    window_bytes: 1,
                    changes_active: 4,
                };
                &[(Plan, 20), (Kill, 4), (ResetLink, 5), (AddNode, 2)]
            }
            Self::Core(Bug::SkippedFreeze | Bug::UnfreezeAfterProposal) => {
                &[(Plan, 20), (Kill, 3), (ResetLink, 5), (AddNode, 2), (Pause, 2)]
            }
            Self::Core(Bug::DropBeforeCommit) => {
                scenario.proposals_lost = 2;
                &[(Plan, 20), (Kill, 20), (ResetLink, 5), (AddNode, 2)]
            }
            // A quorum that is none shows only when the copies that have a record are gone.
            Self::Core(Bug::NoJointQuorum) => {
                scenario.logging = Logging::Off;
                scenario.proposals_lost = 3;
                scenario.nodes = 5;
                scenario.fault_ns = 150 * MS;
                &[(MoveUnderFire, 1)]
            }
            Self::ReadsAreNotHeld => {
                scenario.logging = Logging::Off;
                scenario.peeks = 80;
                scenario.fault_ns = 250 * MS;
                &[(Kill, 5), (Isolate, 20)]
            }
            // Only with a primary that is superseded and alive.
            Self::Core(Bug::NoEpochCheck | Bug::AckCoversRefused) => {
                scenario.phantoms = true;
                &[(Plan, 3), (PhantomRegistration, 10), (Partition, 6), (CutFromGroup, 8), (Pause, 3)]
            }
            Self::AckBeforeWrite => {
                scenario.write_quorum = 1;
                &[(KillInTurn, 10)]
            }
            Self::Core(Bug::CheckpointMissesTail | Bug::CheckpointForgetsBuilding) => {
                scenario.limits = ShardLimits { chunk_keys: 1, chunk_bytes: 1, ..scenario.limits };
                scenario.limits.turn_bytes = 1;
                scenario.limits.window_bytes = 1;
                &[(Plan, 10), (Kill, 20), (AddNode, 2)]
            }
            Self::Core(Bug::CheckpointForgetsPending) => &[(Kill, 20), (Isolate, 5)],
            Self::Core(Bug::CheckpointNameUnsynced) => {
                unreachable!("storage is not simulated here")
            }
            Self::RestartReusesEpoch => &[(Kill, 10)],
            Self::Core(Bug::NoBarrier) | Self::RecoveryWithoutQuorum => {
                &[(Kill, 10), (KillInTurn, 10), (Isolate, 20)]
            }
        };
        scenario.faults = faults.to_vec();
    }
}
