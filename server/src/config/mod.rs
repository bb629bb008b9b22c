//! The cluster's agreed state: members, slot map, quorums and the plan, as a pure state machine.
//!
//! The config group (Raft) orders [`ConfigCommand`]s; every node applies the same commands in the same order to
//! its [`ClusterState`] and so holds the whole slot map. Nothing here knows Raft.

mod apply;
mod state;

pub use apply::apply;
pub use state::{
    ChangeOutcome, ClusterState, ConfigCommand, ConfigReply, Member, MemberSpec, PlanState, SlotChange,
};
