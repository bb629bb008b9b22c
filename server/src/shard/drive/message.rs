//! What other threads tell a shard.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::{Epoch, Incarnation, NodeId, Position, ShardId, SlotId};
use futures::channel::oneshot;

use super::checkpoint::CheckpointRequest;
use crate::config::ClusterState;
use crate::conn::errand::Errand;
use crate::control::accept::ClientPlace;
use crate::load::OpenLog;
use crate::metrics::ClientAddr;
use crate::peer::hello::ShardLinkHello;
use crate::persist::{LogPosition, SyncError};
use crate::shard::{Reservation, Shard};

/// A message from another thread.
pub enum ToShard {
    /// What was on disk has been read: the shard goes on as this one.
    Loaded {
        /// The state machine.
        core: Box<Shard>,
        /// The log to append to, under `appendonly yes`, and what was found in it.
        log: Option<Box<OpenLog>>,
        /// Gets the outcome.
        reply: oneshot::Sender<std::io::Result<()>>,
    },
    /// Take a checkpoint. At most one at a time.
    Checkpoint(CheckpointRequest),
    /// Clients are served from now on, no more told that the node is loading.
    Open,
    /// A client was accepted.
    Client {
        /// Its socket, TCP or Unix.
        stream: std::net::TcpStream,
        /// Where it comes from.
        addr: ClientAddr,
        /// What it has connected to.
        laddr: ClientAddr,
        /// Its place among the `maxclients`.
        place: ClientPlace,
    },
    /// Another node's shard has dialled this one.
    Link {
        /// What it said.
        hello: ShardLinkHello,
        /// Its socket.
        stream: std::net::TcpStream,
    },
    /// The agreed state has changed.
    Map {
        /// The state.
        state: Arc<ClusterState>,
        /// This process' registration, once there is one.
        incarnation: Option<Incarnation>,
    },
    /// Members that the node does not reach.
    Unreachable(Arc<BTreeSet<NodeId>>),
    /// Requests of another shard's connection.
    Errand(Box<Errand>),
    /// An errand of this shard's that comes back, with the replies.
    Return {
        /// The shard that was asked.
        shard: ShardId,
        /// What comes back.
        errand: Box<Errand>,
    },
    /// Something to do.
    Work(super::transactions::Work),
    /// Promise an epoch and report; see [`Shard::seal`](crate::shard::Shard::seal).
    Seal {
        /// The epoch.
        epoch: Epoch,
        /// Slots; those of other shards are passed over.
        slots: Arc<Vec<SlotId>>,
        /// Gets the reports when the promise is durable.
        reply: oneshot::Sender<SealReports>,
    },
    /// See [`Shard::change_refused`](crate::shard::Shard::change_refused).
    ChangeRefused {
        /// The slot.
        slot: SlotId,
        /// The epoch that the change was prepared in.
        epoch: Epoch,
    },
    /// See [`Shard::reserve`](crate::shard::Shard::reserve).
    Reserve {
        /// For how long.
        duration: Duration,
        /// Whose reservation it is.
        token: u64,
        /// Gets what came of it.
        reply: oneshot::Sender<Reservation>,
    },
    /// See [`Shard::release`](crate::shard::Shard::release).
    Release {
        /// Whose reservation it was.
        token: u64,
        /// Told when it is done.
        reply: oneshot::Sender<()>,
    },
    /// The log is durable up to here, or never will be.
    Synced(Result<LogPosition, SyncError>),
    /// The process begins as this incarnation: note it in the log, durably, before anything is acknowledged.
    Begin {
        /// Its number.
        incarnation: Incarnation,
        /// What the log had is everything that the node ever acknowledged.
        whole: bool,
        /// Gets the outcome.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Sync what is written; told when that is done, dropped where there is no log or it has failed.
    Sync(oneshot::Sender<()>),
    /// Do nothing for so long.
    StandStill(Duration),
    /// Finish what is written and stop. Replies whether the log was closed cleanly.
    Stop(oneshot::Sender<bool>),
}

/// Per slot, where the copy stands, and whether it is whole.
pub type SealReports = Vec<(SlotId, Option<Position>, bool)>;
