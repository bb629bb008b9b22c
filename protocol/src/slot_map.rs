//! The slot map: which nodes hold which slots, as few runs.

use serde::{Deserialize, Serialize};

use crate::{Epoch, NodeId, SlotId};

/// Neighbouring slots that share their replica set, epoch and state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotRun {
    /// First slot of the run.
    pub first: SlotId,
    /// Last slot of the run, inclusive.
    pub last: SlotId,
    /// The nodes that hold the run; the first is the primary.
    pub replicas: Vec<NodeId>,
    /// Epoch that the last change of the set gave.
    pub epoch: Epoch,
    /// The primary's process has gone and no recovery has committed its successor yet: nobody serves the run.
    pub recovering: bool,
}

impl SlotRun {
    /// The node that orders writes.
    pub fn primary(&self) -> NodeId {
        self.replicas[0]
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        (self.last.get() - self.first.get()) as usize + 1
    }

    /// Never true: a run has a slot.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The slots in order.
    pub fn slots(&self) -> impl Iterator<Item = SlotId> + use<> {
        (self.first.get()..=self.last.get()).filter_map(SlotId::new)
    }

    fn joins(&self, next: &SlotRun) -> bool {
        self.last.get() + 1 == next.first.get()
            && self.replicas == next.replicas
            && self.epoch == next.epoch
            && self.recovering == next.recovering
    }
}

/// All slots as sorted runs that do not overlap. Empty before a cluster is created, else complete.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SlotMap {
    runs: Vec<SlotRun>,
}

impl SlotMap {
    /// A map of these runs, which must be sorted, not overlap, and have replicas.
    pub fn new(runs: Vec<SlotRun>) -> Self {
        for run in &runs {
            assert!(run.first <= run.last && !run.replicas.is_empty(), "a run has a slot and a primary");
        }
        assert!(runs.windows(2).all(|w| w[0].last < w[1].first), "runs are sorted and apart");
        let mut map = Self { runs };
        map.join();
        map
    }

    /// The runs, sorted by slot.
    pub fn runs(&self) -> &[SlotRun] {
        &self.runs
    }

    /// Before a cluster is created no slot is placed.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The run that holds `slot`.
    pub fn run_of(&self, slot: SlotId) -> Option<&SlotRun> {
        let i = self.runs.partition_point(|run| run.last < slot);
        self.runs.get(i).filter(|run| run.first <= slot)
    }

    /// Replaces what `change.first..=change.last` had, splitting runs at the edges and joining equal
    /// neighbours.
    pub fn set(&mut self, change: SlotRun) {
        assert!(change.first <= change.last && !change.replicas.is_empty(), "a run has a slot and a primary");
        let mut runs = Vec::with_capacity(self.runs.len() + 2);
        for run in self.runs.drain(..) {
            if run.last < change.first || run.first > change.last {
                runs.push(run);
                continue;
            }
            if run.first < change.first {
                let last = SlotId::new(change.first.get() - 1).expect("below a slot is a slot");
                runs.push(SlotRun { last, ..run.clone() });
            }
            if run.last > change.last {
                let first = SlotId::new(change.last.get() + 1).expect("a later slot exists");
                runs.push(SlotRun { first, ..run });
            }
        }
        runs.push(change);
        runs.sort_by_key(|run| run.first);
        self.runs = runs;
        self.join();
    }

    fn join(&mut self) {
        let mut joined: Vec<SlotRun> = Vec::with_capacity(self.runs.len());
        for run in self.runs.drain(..) {
            match joined.last_mut() {
                Some(last) if last.joins(&run) => last.last = run.last,
                _ => joined.push(run),
            }
        }
        self.runs = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId([n; 20])
    }

    fn run(first: u16, last: u16, primary: u8) -> SlotRun {
        SlotRun {
            first: SlotId::new(first).unwrap(),
            last: SlotId::new(last).unwrap(),
            replicas: vec![node(primary)],
            epoch: Epoch(1),
            recovering: false,
        }
    }

    #[test]
    fn a_change_in_the_middle_splits_and_its_undoing_joins() {
        let mut map = SlotMap::new(vec![run(0, 99, 1), run(100, 16383, 2)]);
        map.set(run(50, 149, 3));
        assert_eq!(map.runs(), [run(0, 49, 1), run(50, 149, 3), run(150, 16383, 2)]);
        map.set(run(50, 99, 1));
        map.set(run(100, 149, 2));
        assert_eq!(map.runs(), [run(0, 99, 1), run(100, 16383, 2)]);
        assert_eq!(map.run_of(SlotId::new(100).unwrap()).unwrap().primary(), node(2));
    }

    #[test]
    fn equal_neighbours_are_one_run_from_the_start() {
        assert_eq!(SlotMap::new(vec![run(0, 9, 1), run(10, 20, 1)]).runs(), [run(0, 20, 1)]);
    }
}
