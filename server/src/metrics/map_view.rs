//! The cluster as this node sees it, and the replies that follow from it alone.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use carousel_protocol::resp::Version;
use carousel_protocol::{Epoch, NodeId, SlotId, SlotRun};

use crate::config::{ClusterState, Member};

/// A state of the cluster, this node in it, and whom it does not reach. Never changes: a new one is published.
pub struct MapView {
    /// The agreed state.
    pub state: Arc<ClusterState>,
    /// This node.
    pub me: NodeId,
    /// Members that this node does not reach now.
    pub unreachable: BTreeSet<NodeId>,
    /// The state names this very process. Before, the node leads nothing, whatever the state says.
    pub registered: bool,
    rendered: Rendered,
}

/// Replies made once per view: they are long in a big cluster, and every client asks for them after a change.
#[derive(Default)]
pub(crate) struct Rendered {
    slots: [OnceLock<Vec<u8>>; 2],
    shards: [OnceLock<Vec<u8>>; 2],
    pub(crate) nodes: OnceLock<String>,
}

impl Rendered {
    /// `CLUSTER SLOTS`, per protocol version.
    pub(crate) fn slots(&self, version: Version) -> &OnceLock<Vec<u8>> {
        &self.slots[index(version)]
    }

    /// `CLUSTER SHARDS`, per protocol version.
    pub(crate) fn shards(&self, version: Version) -> &OnceLock<Vec<u8>> {
        &self.shards[index(version)]
    }
}

fn index(version: Version) -> usize {
    match version {
        Version::Resp2 => 0,
        Version::Resp3 => 1,
    }
}

/// Neighbouring slots of one primary, as clients see them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrimaryRange {
    /// First slot.
    pub first: SlotId,
    /// Last slot, inclusive.
    pub last: SlotId,
    /// The node that orders their writes.
    pub primary: NodeId,
}

impl MapView {
    /// The view of node `me`, whose process is registered.
    pub fn new(state: Arc<ClusterState>, me: NodeId, unreachable: BTreeSet<NodeId>) -> Self {
        Self { state, me, unreachable, registered: true, rendered: Rendered::default() }
    }

    /// The view of a node whose process may not be registered yet.
    pub fn with_registered(self, registered: bool) -> Self {
        Self { registered, ..self }
    }

    /// Does nobody serve the run for now, although its primary is not known to have lost its copy?
    pub fn is_suspect(&self, run: &SlotRun) -> bool {
        let primary = run.primary();
        !run.recovering && (self.unreachable.contains(&primary) || (primary == self.me && !self.registered))
    }

    /// The view of a node that belongs to no cluster: all slots are its own.
    pub fn lone(me: NodeId) -> Self {
        Self::new(Arc::default(), me, BTreeSet::new())
    }

    /// Is this node a member of a cluster? A node that is just being added may know the cluster's state for a moment
    /// before that state knows the node; until then it is a lone node.
    pub fn joined(&self) -> bool {
        self.state.cluster_id.is_some() && self.state.members.contains_key(&self.me)
    }

    /// The member of that id.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.state.members.get(&id)
    }

    /// The run that holds `slot`; `None` on a lone node, which holds everything.
    pub fn run_of(&self, slot: SlotId) -> Option<&SlotRun> {
        if self.joined() { self.state.slots.run_of(slot) } else { None }
    }

    /// Runs of neighbouring slots with the same primary, whatever their replicas and epochs: what clients see.
    pub fn primary_ranges(&self) -> Vec<PrimaryRange> {
        let mut ranges: Vec<PrimaryRange> = Vec::new();
        for run in self.state.slots.runs() {
            match ranges.last_mut() {
                Some(range) if range.primary == run.primary() && range.last.get() + 1 == run.first.get() => {
                    range.last = run.last;
                }
                _ => ranges.push(PrimaryRange { first: run.first, last: run.last, primary: run.primary() }),
            }
        }
        ranges
    }

    /// The highest epoch among the slots that `node` leads; zero for none.
    pub fn epoch_of(&self, node: NodeId) -> Epoch {
        let led = self.state.slots.runs().iter().filter(|run| run.primary() == node);
        led.map(|run| run.epoch).max().unwrap_or_default()
    }

    pub(crate) fn rendered(&self) -> &Rendered {
        &self.rendered
    }
}
