//! What config groups ask each other over the peer port, in postcard.

use carousel_protocol::NodeId;
use openraft::error::InstallSnapshotError;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::types::{Proposal, TypeConfig};
use crate::config::ConfigReply;

/// A call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Are you there?
    Ping,
    /// A message of the Raft protocol.
    Raft {
        /// The sender's cluster, once it knows one: a node of another cluster refuses.
        cluster: Option<NodeId>,
        /// The message.
        message: RaftMessage,
    },
    /// Apply this; only the leader can.
    Propose(Proposal),
    /// For the node, not for its config group.
    Node(Vec<u8>),
}

/// The Raft protocol's calls.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum RaftMessage {
    /// Entries, or a heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    /// A candidate asks for a vote.
    Vote(VoteRequest<NodeId>),
    /// A piece of a snapshot.
    Snapshot(InstallSnapshotRequest<TypeConfig>),
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// To [`Request::Ping`].
    Pong,
    /// To [`RaftMessage::Append`].
    Append(AppendEntriesResponse<NodeId>),
    /// To [`RaftMessage::Vote`].
    Vote(VoteResponse<NodeId>),
    /// To [`RaftMessage::Snapshot`].
    Snapshot(InstallSnapshotResponse<NodeId>),
    /// To [`RaftMessage::Snapshot`]: not the piece expected, start over.
    SnapshotMismatch(InstallSnapshotError),
    /// To [`Request::Propose`]: applied, as the entry of that index.
    Proposed {
        /// What it answered.
        reply: ConfigReply,
        /// Index of its entry.
        index: u64,
    },
    /// To [`Request::Propose`]: another node leads, if any.
    NotLeader(Option<NodeId>),
    /// To [`Request::Node`].
    Node(Vec<u8>),
    /// Not done, and why.
    Failed(String),
}

/// Bytes of a call or answer.
pub(super) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages have no part that cannot be encoded")
}

/// The call or answer in `bytes`, all of them.
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}
