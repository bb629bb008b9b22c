//! Choosing a slot's next primary from what its copies report after a seal.
//!
//! A seal makes each copy promise to refuse lower epochs and say where it stands. N - W + 1 whole copies meet
//! every write quorum of the past, so the highest position among them has every acknowledged record.

use carousel_protocol::{NodeId, Position};

use super::quorum::seal_reports;

/// What one member of a slot's set answered to the seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Who reports.
    pub node: NodeId,
    /// Where its complete copy stands; `None` without one.
    pub copy: Option<Position>,
    /// The copy has everything that the node ever acknowledged.
    pub whole: bool,
}

/// What the reports allow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// This node leads next. `loss_possible`: too few copies were whole, though every member answered.
    Successor {
        /// The copy that is ahead of all others, or first among equals in the set's order.
        node: NodeId,
        /// Writes of up to the last second may be gone.
        loss_possible: bool,
    },
    /// Too few whole copies answered.
    Wait {
        /// Whole copies that answered.
        whole: usize,
        /// Whole copies needed.
        needed: usize,
    },
}

/// Chooses for a slot held by `set` (in order) with quorum W of `write_quorum`.
///
/// Reports of nodes outside the set do not count. The choice never depends on the order of `reports`.
pub fn choose(set: &[NodeId], write_quorum: u8, reports: &[Report]) -> Choice {
    let reports: Vec<_> = set.iter().filter_map(|node| reports.iter().find(|r| r.node == *node)).collect();
    let whole = reports.iter().filter(|report| report.whole).count();
    let needed = seal_reports(set.len(), write_quorum);
    let enough = whole >= needed;
    if !enough && reports.len() < set.len() {
        return Choice::Wait { whole, needed };
    }
    // A prefix counts for nothing while whole copies suffice; if not even all members do, the highest prefix is all there is.
    let mut best: Option<&Report> = None;
    for report in reports.iter().filter(|report| !enough || report.whole) {
        if best.is_none_or(|best| report.copy > best.copy) {
            best = Some(report);
        }
    }
    let node = best.expect("a set has at least one member").node;
    Choice::Successor { node, loss_possible: !enough }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_protocol::{Epoch, Seq};

    fn node(n: u8) -> NodeId {
        NodeId([n; 20])
    }

    fn report(n: u8, epoch: u64, seq: u64, whole: bool) -> Report {
        Report { node: node(n), copy: Some(Position { epoch: Epoch(epoch), seq: Seq(seq) }), whole }
    }

    fn successor(n: u8, loss_possible: bool) -> Choice {
        Choice::Successor { node: node(n), loss_possible }
    }

    #[test]
    fn the_highest_epoch_wins_over_the_longer_log() {
        let set = [node(1), node(2), node(3)];
        let reports = [report(1, 4, 900, true), report(2, 5, 10, true)];
        assert_eq!(choose(&set, 2, &reports), successor(2, false));
    }

    #[test]
    fn among_equals_the_sets_order_decides() {
        let set = [node(3), node(1), node(2)];
        let reports = [report(1, 5, 10, true), report(2, 5, 10, true), report(3, 5, 10, true)];
        assert_eq!(choose(&set, 2, &reports), successor(3, false));
    }

    #[test]
    fn a_prefix_counts_for_no_seal_while_others_may_be_whole() {
        let set = [node(1), node(2), node(3)];
        let reports = [report(1, 5, 99, false), report(2, 5, 10, true)];
        assert_eq!(choose(&set, 2, &reports), Choice::Wait { whole: 1, needed: 2 });
        let reports = [report(1, 5, 99, false), report(2, 5, 10, true), report(3, 5, 9, true)];
        assert_eq!(choose(&set, 2, &reports), successor(2, false), "the prefix is ahead only in appearance");
    }

    #[test]
    fn when_all_answered_and_none_is_whole_the_highest_prefix_is_chosen_and_said_to_be_lossy() {
        let set = [node(1), node(2)];
        assert_eq!(choose(&set, 2, &[report(1, 5, 8, false), report(2, 5, 9, false)]), successor(2, true));
        assert_eq!(choose(&set, 1, &[report(1, 5, 8, true)]), Choice::Wait { whole: 1, needed: 2 });
    }

    #[test]
    fn strangers_do_not_count() {
        assert_eq!(
            choose(&[node(1), node(2)], 2, &[report(9, 9, 9, true)]),
            Choice::Wait { whole: 0, needed: 1 }
        );
    }
}
