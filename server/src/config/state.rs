//! Types of the cluster's agreed state and of the commands that change it.

use std::collections::BTreeMap;

use carousel_protocol::{Epoch, Incarnation, NodeId, SlotId, SlotMap, SlotRun};
use serde::{Deserialize, Serialize};

/// What the config group agrees on. Equal on every node that applied the same commands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClusterState {
    /// Names the cluster; `None` before [`ConfigCommand::Create`].
    pub cluster_id: Option<NodeId>,
    /// Number of commands applied; grows with every one, also with refused ones.
    pub version: u64,
    /// N: nodes that should hold each slot.
    pub replicas: u8,
    /// W: copies, the primary's included, that commit a record. Effective per slot: `min(W, size of its set)`.
    pub write_quorum: u8,
    /// All members by id.
    pub members: BTreeMap<NodeId, Member>,
    /// Who holds what.
    pub slots: SlotMap,
    /// The last epoch given out; the next is one higher. Never goes back.
    pub last_epoch: Epoch,
    /// The rebalance in progress.
    pub plan: Option<PlanState>,
}

/// What a node says of itself when it joins and whenever its process starts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberSpec {
    /// Its id.
    pub id: NodeId,
    /// Host that clients and peers use.
    pub host: String,
    /// Client port.
    pub port: u16,
    /// Peer port.
    pub peer_port: u16,
    /// Number of shards.
    pub shards: u16,
    /// Placement weight; the number of shards unless set.
    pub weight: u32,
    /// Failure zone; replicas of a slot go to distinct zones while zones suffice. Empty: none.
    pub zone: String,
    /// A random number that its process drew at start: how a process knows its own registration.
    pub process: u64,
}

/// A member as agreed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// What it said last.
    pub spec: MemberSpec,
    /// Grows by one at each registration of a new process.
    pub incarnation: Incarnation,
}

/// The replica sets that a rebalance is moving to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanState {
    /// The epoch counter's value when the plan was stored, so unique.
    pub id: u64,
    /// Slots whose set changes, in total.
    pub slots_total: u32,
    /// What is left: runs whose current set differs from the target. Targets carry no epoch of their own
    /// (`epoch` 0, `recovering` false). A slot leaves as soon as its set equals its target.
    pub targets: SlotMap,
}

/// A conditional change of neighbouring slots that all have `expected_epoch` now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotChange {
    /// First slot.
    pub first: SlotId,
    /// Last slot, inclusive.
    pub last: SlotId,
    /// Epoch (and so set) for which the change was prepared; judged per slot.
    pub expected_epoch: Epoch,
    /// The new set, primary first.
    pub replicas: Vec<NodeId>,
    /// The processes that the proposer knows to hold the slots: parallel to `replicas`. A node that has restarted
    /// since may have lost what it held, so the change is refused. Empty where the set stays as it is and
    /// its primary only asks for a fresh epoch.
    pub incarnations: Vec<Incarnation>,
}

/// An entry of the config group's log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConfigCommand {
    /// Makes the cluster. Refused if there is one. Runs come without epochs; all get epoch 1.
    Create {
        /// Its name.
        cluster_id: NodeId,
        /// Its first members; each starts with incarnation 1.
        members: Vec<MemberSpec>,
        /// Complete placement of all slots.
        slots: Vec<SlotRun>,
        /// N.
        replicas: u8,
        /// W.
        write_quorum: u8,
    },
    /// Adds a member with incarnation 1 and no slot; replies [`ConfigReply::Registered`]. Refused if its id or address is
    /// taken.
    AddMember(MemberSpec),
    /// A member's process started: a `process` number not seen last gets the next incarnation, the spec is
    /// replaced, and every run that the member leads becomes `recovering`. The same `process` again changes
    /// nothing (the proposal may be retried). Refused for strangers, and where the member is not at the `expected`
    /// incarnation: so what a process that died had sent does not supersede the one that was started after it.
    Register {
        /// What the process says of itself.
        spec: MemberSpec,
        /// The member's incarnation before it.
        expected: Incarnation,
    },
    /// Gives out one fresh epoch, to seal slots with before a recovery. Replies [`ConfigReply::Epoch`].
    TakeEpoch,
    /// Changes slots: those still at their expected epoch get the new set, and `recovering` ends; the others stay.
    /// With `epoch` (taken before, for a recovery) all get that one; it must be higher than the expected one and
    /// not above `last_epoch`. Without, one fresh epoch serves the whole entry, and slots that are `recovering` stay:
    /// their primary, which prepared the change, is gone. Replies [`ConfigReply::Changed`].
    ChangeSlots {
        /// What to change.
        changes: Vec<SlotChange>,
        /// Epoch taken before, or `None` for a fresh one.
        epoch: Option<Epoch>,
    },
    /// Stores a plan. Refused while another is in progress, or when `expected_version` is not the version before
    /// this command (the plan was computed from a state that is gone). Targets equal to the present set are left out;
    /// with none left the plan ends at once.
    SetPlan {
        /// Version that the plan was computed from.
        expected_version: u64,
        /// Target sets; epochs are ignored.
        targets: Vec<SlotRun>,
    },
}

/// What applying a command answers to its proposer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConfigReply {
    /// Done.
    Done,
    /// The incarnation that a registration has.
    Registered(Incarnation),
    /// The epoch given out.
    Epoch(Epoch),
    /// Per change of the command, what became of it.
    Changed(Vec<ChangeOutcome>),
    /// The plan's id; `None` where nothing had to move.
    Planned(Option<u64>),
    /// Not done, and why: one line for an operator.
    Refused(String),
}

/// What became of one [`SlotChange`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeOutcome {
    /// Slots that changed.
    pub changed: u16,
    /// Slots that were at another epoch, or recovering, and stayed: the map says what became of them.
    pub stale: u16,
    /// Slots that were as expected and stayed because a node of the new set has restarted. Nothing that is still on
    /// its way can change them, so their primary may go on as before.
    pub refused: u16,
}
