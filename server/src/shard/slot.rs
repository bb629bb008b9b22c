//! What a shard knows of one slot besides its keys.

use std::collections::VecDeque;

use bytes::Bytes;
use carousel_protocol::{Epoch, Incarnation, NodeId, Position, Seq};

use crate::command::SlotKeys;
use crate::persist::record::LogPosition;
use crate::replication::EpochHistory;
use crate::transfer::Walk;

/// Index of a remote shard in `Shard::peers`: one that holds copies of slots led here.
pub type PeerIndex = usize;

/// A link that a remote primary dialled to this shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// May this shard execute commands on the slot?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Serve {
    /// Yes.
    Leading,
    /// Reads only: fewer than W copies are in step.
    LeadingReadOnly,
    /// Soon, if all goes well: a barrier or a hand-over is under way. Requests are parked.
    Waiting,
    /// No more: the slot is being handed over. Requests are parked, then get ASK.
    Frozen,
    /// No more: somebody was promised a higher epoch. Requests are parked until the map says by whom.
    Deposed,
    /// Only for the transaction that holds it; everybody else waits.
    Locked,
    /// No: the slot map says who does.
    Elsewhere,
}

/// A slot's state; the keys are in `Tables` under the same index.
pub struct Slot {
    /// Last record made here as primary, or logged here as replica.
    pub last_seq: Seq,
    /// As primary: everything up to here is on W copies. As replica: everything up to here is applied.
    pub commit: Seq,
    /// Only in a cluster.
    pub replication: Option<Box<Replication>>,
}

/// This node's part in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// Not in the set; may still be the newcomer of a move.
    #[default]
    Outside,
    /// Holds a copy.
    Replica,
    /// Orders the writes.
    Primary,
}

/// A slot's state in a cluster.
#[derive(Default)]
pub struct Replication {
    /// This node's part, as of the map applied last.
    pub role: Role,
    /// Epoch and recovery state of the map's run applied last.
    pub map: (Epoch, bool),
    /// No record, offer or seal below this epoch is accepted any more.
    pub promised: Epoch,
    /// Epochs of this copy.
    pub history: EpochHistory,
    /// The copy is complete: not one that is still to be transferred for the first time.
    pub complete: bool,
    /// The copy has everything that this node ever acknowledged; a start that lost some is whole again only
    /// when it has caught up with a primary.
    pub whole: bool,
    /// Grows whenever this node stops leading; a reply held in an earlier reign is lost, not released.
    pub reign: u32,
    /// State that only a primary has.
    pub lead: Option<Lead>,
    /// Last records in memory, to bring a follower into step without a transfer.
    pub tail: VecDeque<TailRecord>,
    /// The link and attachment whose records are accepted.
    pub link: Option<Attachment>,
    /// What a primary asks, as long as it cannot be answered.
    pub offer: Option<Attachment>,
    /// The latest epoch in which a primary made this copy follow it.
    pub followed: Epoch,
    /// Logged here but not known to be committed.
    pub pending: VecDeque<(Seq, Bytes)>,
    /// A fresh copy under construction, beside the old one.
    pub incoming: Option<Box<Incoming>>,
}

impl Replication {
    /// Where the complete copy stands, given its last seq.
    pub fn standing(&self, last_seq: Seq) -> Option<Position> {
        self.complete.then(|| Position { epoch: self.history.last_epoch(), seq: last_seq })
    }

    /// The follower on `peer`, if the slot is led here and has one.
    pub fn follower_mut(&mut self, peer: PeerIndex) -> Option<&mut Follower> {
        self.lead.as_mut()?.followers.iter_mut().find(|follower| follower.peer == peer)
    }
}

/// A primary's stream of a slot that its copy follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// The link that it comes on.
    pub link: LinkId,
    /// The number that the primary gave it.
    pub attach: u64,
    /// The latest epoch in which the sender is known to lead. Its records may be older: they are what it caught the
    /// copy up with.
    pub epoch: Epoch,
}

/// What a primary keeps of a slot.
#[derive(Debug)]
pub struct Lead {
    /// Epoch of this reign.
    pub epoch: Epoch,
    /// Nothing is served before this record is committed.
    pub barrier: Seq,
    /// Last record that changed a key: a copy that has it lacks at most positions.
    pub effect_seq: Seq,
    /// Last record that the own log holds as firmly as `appendfsync` says.
    pub own_seq: Seq,
    /// Nodes of the set, this one first.
    pub set: Vec<NodeId>,
    /// All other nodes of the set, and the newcomers of a move.
    pub followers: Vec<Follower>,
    /// The change of the set under way.
    pub change: Change,
}

/// A change of a slot's set, seen from its primary.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Change {
    /// None.
    #[default]
    None,
    /// Planned, not begun: waits for its turn.
    Queued {
        /// The new set, primary first.
        target: Vec<NodeId>,
    },
    /// Newcomers are being filled.
    Filling {
        /// The new set, primary first.
        target: Vec<NodeId>,
    },
    /// Requests are stopped, or acked by both quorums; the last records are on their way.
    Closing {
        /// The new set, primary first.
        target: Vec<NodeId>,
    },
    /// The entry is with the config group: only its outcome ends this.
    Proposed {
        /// The new set, primary first.
        target: Vec<NodeId>,
    },
}

impl Change {
    /// The new set.
    pub fn target(&self) -> Option<&[NodeId]> {
        match self {
            Self::None => None,
            Self::Queued { target }
            | Self::Filling { target }
            | Self::Closing { target }
            | Self::Proposed { target } => Some(target),
        }
    }
}

/// A copy on another node, seen from the primary.
#[derive(Debug)]
pub struct Follower {
    /// The shard that holds it.
    pub peer: PeerIndex,
    /// Its node.
    pub node: NodeId,
    /// Counts for W: in the set.
    pub member: bool,
    /// Names the latest offer.
    pub attach: u64,
    /// The process that answered it.
    pub incarnation: Incarnation,
    /// How far it has come.
    pub state: FollowerState,
    /// Last seq that it holds, as acknowledged on the present attachment.
    pub acked: Seq,
}

/// How far a follower has come.
#[derive(PartialEq, Eq, Debug)]
pub enum FollowerState {
    /// No link, or refused.
    Detached,
    /// Asked where its copy stands.
    Offered,
    /// Waits for its turn to be filled.
    WaitsForTransfer,
    /// Being filled; what the walk has gone over has been sent.
    Filling(Box<Walk>),
    /// Gets every record.
    InStep,
}

/// A record kept for catching up.
#[derive(Clone, Debug)]
pub struct TailRecord {
    /// Its seq.
    pub seq: Seq,
    /// Its bytes.
    pub record: Bytes,
}

/// A copy under construction.
pub struct Incoming {
    /// Who builds it.
    pub link: LinkId,
    /// In which attachment.
    pub attach: u64,
    /// What has arrived.
    pub keys: SlotKeys,
    /// Where the log's records of it begin.
    pub logged_from: LogPosition,
}

impl Slot {
    /// A lone node's slot: all are its own.
    pub fn lone() -> Self {
        Self { last_seq: Seq(0), commit: Seq(0), replication: None }
    }

    /// The replication state, made on first use.
    pub fn replication_mut(&mut self) -> &mut Replication {
        self.replication.get_or_insert_default()
    }

    /// The state of a slot that is led here.
    pub fn lead(&self) -> Option<&Lead> {
        self.replication.as_ref()?.lead.as_ref()
    }

    /// The state of a slot that is led here.
    pub fn lead_mut(&mut self) -> Option<&mut Lead> {
        self.replication.as_mut()?.lead.as_mut()
    }
}
