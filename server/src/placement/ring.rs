//! The ring: the order of the nodes around the slot space.
//!
//! Each node has a token, a hash of its id, and the nodes lie on the ring in the order of their tokens. Where exactly
//! a node's arc begins and ends is not the hash's to say (that would make unequal arcs) but the planner's, which keeps
//! the order. So a slot's order of preference is: its primary, then the nodes that follow on the ring.

use carousel_protocol::{NodeId, SlotId};

/// Index of a node in the planner's list, which is sorted by id.
pub(super) type NodeIndex = u16;

/// After so many slots the replicas of a primary swap their places, so that the slots of a primary that fails do
/// not all fall to the same successor. Long, because each swap cuts a run.
const SUCCESSOR_SPAN_SLOTS: u16 = 1024;

/// Where a node lies on the ring: FNV-1a of its id, mixed as in splitmix64 so that ids that differ in a bit lie apart.
pub(super) fn token(id: NodeId) -> u64 {
    let hash = id.0.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// The order of all nodes around the slot space.
pub(super) struct Ring {
    /// Nodes by token.
    order: Vec<NodeIndex>,
    /// Per node its place in `order`.
    place: Vec<usize>,
}

impl Ring {
    /// The ring of these nodes, given by index.
    pub(super) fn new(ids: &[NodeId]) -> Self {
        let mut order: Vec<NodeIndex> = (0..ids.len() as NodeIndex).collect();
        order.sort_by_key(|&node| (token(ids[node as usize]), node));
        let mut place = vec![0; ids.len()];
        for (at, &node) in order.iter().enumerate() {
            place[node as usize] = at;
        }
        Self { order, place }
    }

    /// The nodes by token.
    pub(super) fn order(&self) -> &[NodeIndex] {
        &self.order
    }

    /// The nodes of `rest` in the order in which they should succeed `primary` at `slot`.
    ///
    /// Depends on these nodes' tokens alone, so that other nodes may come and go without a change of order.
    pub(super) fn successors(&self, slot: SlotId, primary: NodeIndex, rest: &[NodeIndex]) -> Vec<NodeIndex> {
        let nodes = self.order.len();
        let from = self.place[primary as usize];
        let mut sorted = rest.to_vec();
        sorted.sort_by_key(|&node| (self.place[node as usize] + nodes - from) % nodes);
        if !sorted.is_empty() {
            let turn = (slot.get() / SUCCESSOR_SPAN_SLOTS) as usize % sorted.len();
            sorted.rotate_left(turn);
        }
        sorted
    }

    /// First slot after `slot` at which [`Self::successors`] may answer otherwise; may be [`SlotId::COUNT`].
    pub(super) fn next_turn(slot: u16) -> u16 {
        (slot / SUCCESSOR_SPAN_SLOTS + 1) * SUCCESSOR_SPAN_SLOTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u8) -> Vec<NodeId> {
        (1..=count).map(|n| NodeId([n; 20])).collect()
    }

    #[test]
    fn a_newcomer_does_not_change_the_order_of_the_others() {
        let (few, more) = (ids(5), ids(6));
        let (old, new) = (Ring::new(&few), Ring::new(&more));
        for slot in [0, 1024, 5000].map(|s| SlotId::new(s).unwrap()) {
            for primary in 0..5 {
                let rest: Vec<_> = (0..5).filter(|&node| node != primary).collect();
                assert_eq!(old.successors(slot, primary, &rest), new.successors(slot, primary, &rest));
            }
        }
    }

    #[test]
    fn every_replica_is_first_to_succeed_somewhere() {
        let ring = Ring::new(&ids(3));
        let first = |slot| ring.successors(SlotId::new(slot).unwrap(), 0, &[1, 2])[0];
        assert_ne!(first(0), first(Ring::next_turn(0)));
    }
}
