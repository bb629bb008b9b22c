//! What the Raft library is told about our types.

use std::collections::VecDeque;
use std::io::Cursor;

use carousel_protocol::NodeId;
use openraft::BasicNode;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigCommand, ConfigReply, MemberSpec};

openraft::declare_raft_types!(
    /// The config group's types.
    pub TypeConfig:
        D = Proposal,
        R = ConfigReply,
        NodeId = NodeId,
        Node = BasicNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
);

/// An entry of the config group's log.
pub(super) type Entry = openraft::Entry<TypeConfig>;
/// Term and index of an entry.
pub(super) type LogId = openraft::LogId<NodeId>;
/// A vote.
pub(super) type Vote = openraft::Vote<NodeId>;
/// What a snapshot stands for.
pub(super) type SnapshotMeta = openraft::SnapshotMeta<NodeId, BasicNode>;
/// Voters and learners.
pub(super) type Membership = openraft::StoredMembership<NodeId, BasicNode>;
/// A failed disk.
pub(super) type StorageError = openraft::StorageError<NodeId>;
/// The library's handle.
pub(super) type Raft = openraft::Raft<TypeConfig>;
/// The library's view of itself.
pub(super) type Metrics = openraft::RaftMetrics<NodeId, BasicNode>;

/// A command and who proposed it, so that a proposal that was sent twice is applied once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proposal {
    /// Names it.
    pub id: ProposalId,
    /// What to do.
    pub command: ConfigCommand,
}

/// Names a proposal for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProposalId {
    /// The proposing node.
    pub node: NodeId,
    /// A random number that its process drew when it started.
    pub process: u64,
    /// Counts the proposals of that process.
    pub number: u64,
}

/// Replies to the last proposals, for those that come again. A proposer gives up long before so many others
/// have been applied.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Replies(VecDeque<(ProposalId, ConfigReply)>);

impl Replies {
    const KEPT: usize = 256;

    /// The reply that `id` got already.
    pub(super) fn get(&self, id: ProposalId) -> Option<&ConfigReply> {
        self.0.iter().rev().find(|(seen, _)| *seen == id).map(|(_, reply)| reply)
    }

    /// Remembers a reply, and forgets the oldest.
    pub(super) fn put(&mut self, id: ProposalId, reply: ConfigReply) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((id, reply));
    }
}

/// `host:port` of a member's peer port.
pub(super) fn peer_address(spec: &MemberSpec) -> String {
    if spec.host.contains(':') {
        format!("[{}]:{}", spec.host, spec.peer_port)
    } else {
        format!("{}:{}", spec.host, spec.peer_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_replies_are_kept() {
        let id = |number| ProposalId { node: NodeId([1; 20]), process: 2, number };
        let mut replies = Replies::default();
        for number in 0..Replies::KEPT as u64 + 1 {
            replies.put(id(number), ConfigReply::Refused(number.to_string()));
        }
        assert_eq!(replies.get(id(0)), None);
        assert_eq!(replies.get(id(1)), Some(&ConfigReply::Refused("1".into())));
        assert_eq!(replies.get(ProposalId { process: 3, ..id(1) }), None);
    }
}
