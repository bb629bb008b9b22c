//! Who should hold which slots.
//!
//! The ring (`ring`) gives the nodes an order; quotas (`quota`) say how many slots each node leads and holds, by weight;
//! the planner ([`plan`]) changes the present map into one that meets the quotas exactly, by moving only from nodes that have too
//! much to nodes that have too little. A pure hash ring cannot do this: even with endless virtual nodes, 16384 slots on
//! 12 nodes reach a maximum of 1.044 times the mean on average.
//!
//! Everything here is a function of its arguments: the same members and the same map give the same plan on every
//! machine, in whichever order the members are listed.
//!
//! Three rules shape the result, in this order:
//!
//! 1. *Safety*: replicas of a slot are on distinct nodes, and in distinct zones while zones suffice.
//! 2. *Least movement*: no copy is made that the quotas and rule 1 do not ask for. A slot whose primary moves goes to
//!    a node that holds a copy already, or else the old primary stays as a replica.
//! 3. *Few long runs*: clients read the map, and a long run spreads evenly over the shards of its nodes
//!    (`shard = (slot / 16) % shards`).

mod board;
mod chain;
mod planner;
mod quota;
mod ring;
#[cfg(test)]
mod tests;

use carousel_protocol::{NodeId, SlotRun};

pub use planner::{initial_placement, plan};

/// What placement needs to know of a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlacementMember {
    /// Its id, which also gives its place on the ring.
    pub id: NodeId,
    /// Its share of slots relative to the others; 0 takes every slot away from it.
    pub weight: u32,
    /// Failure zone. Empty: the node is a zone of its own.
    pub zone: String,
}

/// The way from one map to a balanced one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The new replica sets of the slots that change, sorted; `epoch` is 0 and `recovering` false. Empty where nothing
    /// needs to move.
    pub targets: Vec<SlotRun>,
    /// Slots whose primary or replica set changes.
    pub slots: u32,
    /// Slots whose primary changes.
    pub primaries_moved: u32,
    /// Copies of slots to be made on nodes that have none.
    pub copies: u32,
    /// Every node that is a member or holds a slot, by id.
    pub nodes: Vec<NodeShare>,
}

/// Number of slots of one node before and after a [`Plan`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeShare {
    /// The node.
    pub id: NodeId,
    /// Slots that it leads now.
    pub primaries_before: u32,
    /// Slots that it leads when the plan is done.
    pub primaries_after: u32,
    /// Slots that it holds now, the led ones included.
    pub slots_before: u32,
    /// Slots that it holds when the plan is done, the led ones included.
    pub slots_after: u32,
}
