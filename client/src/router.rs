//! Which node serves a slot, as far as this client knows.
//!
//! Pure. The knowledge may be old: a wrong guess costs one redirection, which corrects the slot at once; the
//! client then fetches the whole map again.

use carousel_protocol::SlotId;

use crate::{Address, SlotRange};

const UNKNOWN: u16 = u16::MAX;

/// Nodes that one map may name; redirections beyond are not remembered, so that a mad server cannot fill memory.
const NODES_MAX: usize = 16_384;

/// The slot map of one client.
#[derive(Debug, Clone)]
pub struct Router {
    nodes: Vec<Address>,
    /// Index into `nodes` per slot, or [`UNKNOWN`].
    slots: Vec<u16>,
    single: bool,
}

impl Router {
    /// Knows nodes to ask but no slot yet.
    pub fn new(seeds: Vec<Address>) -> Self {
        assert!(!seeds.is_empty(), "a router needs a node to ask");
        let mut nodes: Vec<Address> = Vec::with_capacity(seeds.len());
        for seed in seeds {
            if !nodes.contains(&seed) {
                nodes.push(seed);
            }
        }
        Self { nodes, slots: vec![UNKNOWN; SlotId::COUNT as usize], single: false }
    }

    /// A server that knows no cluster: all slots are its own.
    pub fn set_single(&mut self, address: Address) {
        self.nodes = vec![address];
        self.slots.fill(0);
        self.single = true;
    }

    /// All slots are with one server that knows no cluster.
    pub fn is_single(&self) -> bool {
        self.single
    }

    /// Replaces the map by what a node told. Slots that no range covers become unknown.
    pub fn learn(&mut self, ranges: &[SlotRange]) {
        self.nodes.clear();
        self.slots.fill(UNKNOWN);
        for range in ranges {
            let Some(node) = self.intern(&range.primary) else { continue };
            self.slots[range.first.index()..=range.last.index()].fill(node);
        }
        self.single = false;
    }

    /// A node said that `slot` is at `to`: believed at once.
    pub fn moved(&mut self, slot: SlotId, to: &Address) {
        if let Some(node) = self.intern(to) {
            self.slots[slot.index()] = node;
        }
        self.single = false;
    }

    /// The node to ask: the one known to serve `slot`; without a slot, or where nobody is known to serve it,
    /// any node (`dice` chooses), which will redirect. `None` only where no node is known at all.
    pub fn route(&self, slot: Option<SlotId>, dice: u64) -> Option<&Address> {
        if let Some(slot) = slot {
            let node = self.slots[slot.index()];
            if node != UNKNOWN {
                return Some(&self.nodes[node as usize]);
            }
        }
        if self.nodes.is_empty() {
            return None;
        }
        Some(&self.nodes[(dice % self.nodes.len() as u64) as usize])
    }

    /// All nodes known.
    pub fn nodes(&self) -> &[Address] {
        &self.nodes
    }

    fn intern(&mut self, address: &Address) -> Option<u16> {
        if let Some(found) = self.nodes.iter().position(|node| node == address) {
            return Some(found as u16);
        }
        if self.nodes.len() >= NODES_MAX {
            return None;
        }
        self.nodes.push(address.clone());
        Some((self.nodes.len() - 1) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Address {
        Address::new("h", port).unwrap()
    }

    fn slot(raw: u16) -> SlotId {
        SlotId::new(raw).unwrap()
    }

    fn range(first: u16, last: u16, port: u16) -> SlotRange {
        SlotRange { first: slot(first), last: slot(last), primary: address(port) }
    }

    #[test]
    fn each_slot_goes_to_the_node_that_was_told() {
        let mut router = Router::new(vec![address(1)]);
        router.learn(&[range(0, 99, 1), range(100, 16383, 2)]);
        assert_eq!(router.route(Some(slot(99)), 7), Some(&address(1)));
        assert_eq!(router.route(Some(slot(100)), 7), Some(&address(2)));
    }

    #[test]
    fn moved_corrects_one_slot() {
        let mut router = Router::new(vec![address(1)]);
        router.learn(&[range(0, 16383, 1)]);
        router.moved(slot(5), &address(9));
        assert_eq!(router.route(Some(slot(5)), 0), Some(&address(9)));
        assert_eq!(router.route(Some(slot(6)), 0), Some(&address(1)));
        router.learn(&[range(0, 16383, 2)]);
        assert_eq!(router.route(Some(slot(5)), 0), Some(&address(2)));
        assert_eq!(router.nodes(), [address(2)]);
    }

    #[test]
    fn a_slot_that_nobody_serves_is_asked_for_at_any_node() {
        let mut router = Router::new(vec![address(1), address(2), address(1)]);
        assert_eq!(router.nodes().len(), 2);
        assert_eq!(router.route(Some(slot(5)), 0), Some(&address(1)));
        assert_eq!(router.route(Some(slot(5)), 1), Some(&address(2)));
        router.learn(&[range(0, 4, 3), range(6, 16383, 4)]);
        assert_eq!(router.route(Some(slot(5)), 1), Some(&address(4)));
        assert_eq!(router.route(None, 2), Some(&address(3)));
        router.learn(&[]);
        assert_eq!(router.route(Some(slot(5)), 1), None);
    }

    #[test]
    fn a_single_server_has_all_slots_until_it_redirects() {
        let mut router = Router::new(vec![address(1)]);
        router.set_single(address(1));
        assert!(router.is_single());
        assert_eq!(router.route(Some(slot(16383)), 3), Some(&address(1)));
        router.moved(slot(3), &address(2));
        assert!(!router.is_single());
    }
}
