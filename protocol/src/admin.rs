//! What `cluster-admin` and the nodes tell each other: the JSON replies of the `CAROUSEL` command.
//!
//! | request | reply |
//! |---|---|
//! | `CAROUSEL CREATE host:port...` | [`Created`] |
//! | `CAROUSEL ADDNODE host:port` | [`Added`] |
//! | `CAROUSEL REBALANCE` / `CAROUSEL REBALANCE DRYRUN` | [`Plan`] |
//! | `CAROUSEL STATUS` | [`Status`] |
//!
//! Each reply is one bulk string of JSON; a refusal is a RESP error with one line that says what to do.

use serde::{Deserialize, Serialize};

/// A cluster came to be.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Created {
    /// Names the cluster for ever, 40 hex digits.
    pub cluster_id: String,
    /// Its nodes, in the order given.
    pub nodes: Vec<NodeStatus>,
    /// Copies of each slot (N).
    pub replicas: u8,
    /// Copies that must hold a write before it is acknowledged (W).
    pub write_quorum: u8,
    /// What the operator should know, one line each: for example that two nodes do not survive the loss of one.
    pub notes: Vec<String>,
}

/// A node joined; it leads no slot until a rebalance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Added {
    /// The new member.
    pub node: NodeStatus,
    /// As in [`Created::notes`].
    pub notes: Vec<String>,
}

/// What a rebalance does, or would do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Names the plan; `None` where there is nothing to do, or for a dry run.
    pub id: Option<u64>,
    /// Slots whose primary or replica set changes.
    pub slots: u32,
    /// Slots whose primary changes.
    pub primaries_moved: u32,
    /// Copies of slots that are transferred to a node that has none.
    pub copies: u32,
    /// Keys that those copies hold now, as far as known.
    pub keys: u64,
    /// Bytes of memory that those copies hold now, as far as known.
    pub bytes: u64,
    /// Before and after, per node.
    pub nodes: Vec<PlanNode>,
}

/// One node's share before and after a plan.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PlanNode {
    /// Node id, 40 hex digits.
    pub id: String,
    /// Client address, `host:port`.
    pub address: String,
    /// Slots led now.
    pub primaries_before: u32,
    /// Slots led when done.
    pub primaries_after: u32,
    /// Slots held now, the led ones included.
    pub slots_before: u32,
    /// Slots held when done.
    pub slots_after: u32,
}

/// A cluster as one of its nodes sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// `None` on a node that has not joined a cluster.
    pub cluster_id: Option<String>,
    /// The node that answers.
    pub answered_by: String,
    /// Log index of the config group that the answer reflects; grows with every change.
    pub config_version: u64,
    /// The config group's leader, if known.
    pub config_leader: Option<String>,
    /// N.
    pub replicas: u8,
    /// W.
    pub write_quorum: u8,
    /// All members, by address.
    pub nodes: Vec<NodeStatus>,
    /// Slots that somebody serves now.
    pub slots_served: u32,
    /// Slots that nobody serves, with the reason, as few ranges.
    pub slots_down: Vec<DownRange>,
    /// The rebalance in progress, if any.
    pub rebalance: Option<Progress>,
    /// As in [`Created::notes`].
    pub notes: Vec<String>,
}

/// Slots that nobody serves.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DownRange {
    /// First slot.
    pub first: u16,
    /// Last slot, inclusive.
    pub last: u16,
    /// Why, and what brings it back.
    pub reason: String,
}

/// A member.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Node id, 40 hex digits.
    pub id: String,
    /// Client address, `host:port`.
    pub address: String,
    /// Votes in the config group.
    pub voter: bool,
    /// The answering node reaches it.
    pub reachable: bool,
    /// Number of shards (cores).
    pub shards: u16,
    /// Placement weight.
    pub weight: u32,
    /// Starts of its process that the config group knows.
    pub incarnation: u64,
    /// Slots that it leads.
    pub primaries: u32,
    /// Slots that it holds, the led ones included.
    pub slots: u32,
    /// Keys in the slots that it leads, as of its last report.
    pub keys: u64,
    /// Bytes of keys and values in all slots that it holds, as of its last report.
    pub bytes: u64,
}

/// How far a rebalance has come.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// As in [`Plan::id`].
    pub plan: u64,
    /// Slots whose set changes with this plan.
    pub slots_total: u32,
    /// Of those, how many have their final set.
    pub slots_done: u32,
    /// Keys sent in transfers since the plan began.
    pub keys_sent: u64,
    /// Bytes sent in transfers since the plan began.
    pub bytes_sent: u64,
}
