//! What can happen.

use bytes::Bytes;
use carousel_protocol::{Epoch, NodeId, ShardId, SlotId};
use carousel_server::config::{ConfigCommand, ConfigReply};
use carousel_server::replication::recovery::Report;
use carousel_server::shard::slot::PeerIndex;

use super::links::{ConnId, Side};

/// Names a process: a restarted one has another number.
pub type Life = u64;

/// A shard of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct At {
    /// Index of the node.
    pub node: usize,
    /// The process.
    pub life: Life,
    /// Index of the shard among those simulated.
    pub seat: usize,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// The turn of a shard's event loop ends.
    Turn(At),
    /// An fdatasync of a shard's log ends.
    Synced(At),
    /// Expiry and deadlines.
    Tick(At),
    /// `everysec` asks for an fdatasync.
    SyncTick(At),
    /// A held or parked request may be overdue.
    Deadline(At),
    /// A shard dials another.
    Dial { at: At, peer: PeerIndex, to: NodeId, shard: ShardId },
    /// A hello arrives.
    Open(ConnId),
    /// Bytes arrive at that side of a connection.
    Bytes { conn: ConnId, to: Side, bytes: Bytes },
    /// A partition does not hold bytes back any more.
    Unstall { conn: ConnId, to: Side },
    /// A side of a connection learns that it has ended.
    Closed { conn: ConnId, at: Side },

    /// A command is applied by the config group.
    Apply { proposal: u64, command: ConfigCommand },
    /// Its proposer gets the outcome.
    Answer { proposal: u64, reply: ConfigReply },
    /// Its proposer has waited long enough.
    GiveUp { proposal: u64 },
    /// A node's control thread learns of the state with that version.
    Learn { node: usize, version: u64 },
    /// A shard gets the state with that version from its control thread.
    Map { at: At, version: u64, registered: bool },
    /// A process looks whether it has to register.
    Register { node: usize, life: Life },
    /// A change of slots that failed is proposed again.
    ProposeAgain { node: usize, life: Life },

    /// A node looks whether it leads the config group and slots are down.
    Lead { node: usize, life: Life },
    /// A member is asked to seal.
    SealAsked { round: u64, node: usize, epoch: Epoch, slots: Vec<SlotId> },
    /// It answers.
    SealAnswered { round: u64, node: usize, reports: Vec<(SlotId, Report)> },
    /// The coordinator waits no longer.
    SealOver { round: u64 },

    /// A client begins its next request.
    Issue { client: usize },
    /// A request arrives at a node.
    Request { client: usize, attempt: u64, node: usize },
    /// A reply arrives.
    Reply { client: usize, attempt: u64, reply: Vec<u8> },
    /// The connection that a request was sent on is gone; `executed`: perhaps.
    Broken { client: usize, attempt: u64, executed: bool },
    /// A request is sent again after a redirect or a pause.
    Resend { client: usize, attempt: u64, node: Option<usize> },
    /// A client waits no longer.
    OutOfTime { client: usize, attempt: u64 },

    /// The next fault.
    Fault,
    /// A process dies.
    Kill { node: usize },
    /// A crashed node starts again.
    Restart { node: usize },
    /// A partition begins.
    Cut { from: usize, to: usize },
    /// A partition ends.
    Join { from: usize, to: usize },
    /// A node reaches the config group again.
    Rejoin { node: usize },
    /// Looks whether the world has come to rest.
    CheckRest,
}
