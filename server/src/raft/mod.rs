//! The config group: the Raft library driven over the peer ports, its log on disk, its state published.
//!
//! [`ConfigGroup`] is all that the rest sees. A node's part in the group runs on the control thread; only commits
//! to disk have a thread of their own (`disk`). Elections are ours (`election`), and so is who votes (`voters`); what
//! may be voted for, and the order of entries, is the library's.
//!
//! The pieces: `types` and `message` name what the library and the wire carry, `log_store` and `state_machine` are its
//! storage, `network` and `service` the two ends of its messages, `propose` brings commands to the leader, `reach`
//! watches the other members.

mod disk;
mod election;
mod group;
mod log_store;
mod message;
mod network;
mod propose;
mod reach;
mod service;
mod state_machine;
mod types;
mod voters;

pub use disk::OpenError;
pub use group::{ConfigGroup, CreateError, GroupOptions, NodeHandler, PeerCallError, PeerTarget};
pub use propose::{COMMAND_BYTES_MAX, ProposeError};
pub use types::{Proposal, ProposalId, TypeConfig};
pub use voters::voter_target;

#[cfg(test)]
mod tests;
