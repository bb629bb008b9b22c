//! From the present map to one that meets the quotas.
//!
//! Primaries come first: each slot that changes its primary goes, in this order, to a node that holds a copy; to one
//! that lacks copies anyway, in the place of a replica that has too many; or to one that takes the old primary's place.
//! Then the other replicas move from nodes with too many to nodes with too few. Where no slot can move directly, a
//! chain of moves through other nodes is found, the one with the fewest copies first.

use std::collections::BTreeMap;

use carousel_protocol::{Epoch, NodeId, SlotId, SlotMap, SlotRun};

use super::board::{Board, Offer, Piece, Set, VACANT};
use super::chain::{Duty, pass_along_chain};
use super::quota::{Claim, Quotas, quotas};
use super::ring::{NodeIndex, Ring};
use super::{NodeShare, PlacementMember, Plan};

/// A plan is as good as it gets after so many chains; most need none, and a large one a few hundred.
const CHAINS_MAX: usize = 10_000;

/// The nodes that a plan knows: members and whoever holds a slot, sorted by id.
struct Nodes {
    ids: Vec<NodeId>,
    weights: Vec<u32>,
    /// Zones by number; a node without a zone has its own.
    zones: Vec<usize>,
    zone_count: usize,
}

impl Nodes {
    fn new(members: &[PlacementMember], map: &SlotMap) -> Self {
        let mut known: BTreeMap<NodeId, (u32, &str)> =
            map.runs().iter().flat_map(|run| &run.replicas).map(|&id| (id, (0, ""))).collect();
        for member in members {
            known.insert(member.id, (member.weight, &member.zone));
        }
        let mut named = BTreeMap::new();
        let mut zone_count = 0;
        let mut fresh = || {
            zone_count += 1;
            zone_count - 1
        };
        let zones = known
            .values()
            .map(
                |&(_, zone)| {
                    if zone.is_empty() { fresh() } else { *named.entry(zone).or_insert_with(&mut fresh) }
                },
            )
            .collect();
        Self {
            ids: known.keys().copied().collect(),
            weights: known.values().map(|&(weight, _)| weight).collect(),
            zones,
            zone_count,
        }
    }

    fn index(&self, id: NodeId) -> NodeIndex {
        self.ids.binary_search(&id).expect("every holder of a slot is known") as NodeIndex
    }

    fn quotas(&self, leads: &[u32], holds: &[u32], replicas: u8) -> Option<Quotas> {
        let claims: Vec<Claim> = (0..self.ids.len())
            .map(|at| Claim {
                weight: self.weights[at],
                zone: self.zones[at],
                leads: leads[at],
                holds: holds[at],
            })
            .collect();
        quotas(&claims, self.zone_count, replicas)
    }

    /// Nodes with a weight in the order of the ring, zones taking turns so that a slot's successors are elsewhere.
    fn ring_order(&self, ring: &Ring) -> Vec<NodeIndex> {
        let mut order: Vec<NodeIndex> =
            ring.order().iter().copied().filter(|&node| self.weights[node as usize] > 0).collect();
        let mut sizes = vec![0_usize; self.zone_count];
        let ranks: BTreeMap<NodeIndex, usize> = order
            .iter()
            .map(|&node| {
                let size = &mut sizes[self.zones[node as usize]];
                *size += 1;
                (node, *size - 1)
            })
            .collect();
        // Node `rank` of `size` in its zone lies at (rank + 1/2) / size of the way round; a common denominator
        // keeps this in whole numbers. A stable sort keeps the ring's order among equals.
        order.sort_by(|a, b| {
            let at = |node: &NodeIndex| (2 * ranks[node] + 1, sizes[self.zones[*node as usize]]);
            let ((a_num, a_den), (b_num, b_den)) = (at(a), at(b));
            (a_num * b_den).cmp(&(b_num * a_den))
        });
        order
    }
}

/// The placement of a new cluster: one arc per node in the order of the ring, its replicas on the nodes that follow.
///
/// Sorted runs that cover every slot, with `epoch` 0 and `recovering` false; empty where no member has a weight. With
/// fewer members than `replicas`, every slot is on all of them. A node with twice the weight leads twice as many slots.
pub fn initial_placement(members: &[PlacementMember], replicas: u8) -> Vec<SlotRun> {
    let nodes = Nodes::new(members, &SlotMap::default());
    let ring = Ring::new(&nodes.ids);
    let none = vec![0; nodes.ids.len()];
    let Some(quotas) = nodes.quotas(&none, &none, replicas) else { return Vec::new() };

    let order = nodes.ring_order(&ring);
    let mut pieces = Vec::with_capacity(order.len());
    let mut first = 0;
    for (at, &primary) in order.iter().enumerate() {
        let len = quotas.leads[primary as usize] as u16;
        if len == 0 {
            continue;
        }
        let mut in_zone = vec![0; nodes.zone_count];
        let mut set: Vec<NodeIndex> = (0..order.len())
            .map(|step| order[(at + step) % order.len()])
            .filter(|&node| {
                let there: &mut usize = &mut in_zone[nodes.zones[node as usize]];
                *there += 1;
                *there <= quotas.zone_limit
            })
            .take(quotas.replicas)
            .collect();
        set.resize(quotas.replicas, VACANT);
        pieces.push(Piece { first, len, origin: None, set: Set::new(primary, set.split_off(1)) });
        first += len;
    }
    let mut board = Board::new(pieces, nodes.zones.clone(), quotas);
    if !is_close(&board) {
        balance_leads(&mut board);
        balance_holds(&mut board);
    }
    runs(&board, &nodes, &ring)
}

/// What has to move so that every node leads and holds what its weight asks for.
///
/// `current` is the map as it will be when all moves under way are done. Nodes that hold slots without being members,
/// and members of weight 0, lose everything; with no weight anywhere the plan is empty. A map in which everybody is
/// within 1% of his quotas, and every set is complete and spread over zones, is left alone. Replica sets get as many
/// nodes as `replicas` says, or all where there are fewer.
pub fn plan(current: &SlotMap, members: &[PlacementMember], replicas: u8) -> Plan {
    let nodes = Nodes::new(members, current);
    let ring = Ring::new(&nodes.ids);
    let sets: Vec<(u16, u16, Set)> = current
        .runs()
        .iter()
        .map(|run| {
            let mut set: Vec<NodeIndex> = run.replicas.iter().map(|&id| nodes.index(id)).collect();
            let rest = set.split_off(1);
            (run.first.get(), run.len() as u16, Set::new(set[0], rest))
        })
        .collect();
    let (mut leads, mut holds) = (vec![0; nodes.ids.len()], vec![0; nodes.ids.len()]);
    for (_, len, set) in &sets {
        leads[set.primary as usize] += u32::from(*len);
        set.members().for_each(|node| holds[node as usize] += u32::from(*len));
    }

    let mut plan = Plan::default();
    let (mut leads_after, mut holds_after) = (leads.clone(), holds.clone());
    if let Some(quotas) = nodes.quotas(&leads, &holds, replicas).filter(|_| !sets.is_empty()) {
        let pieces = sets
            .into_iter()
            .map(|(first, len, origin)| {
                let set = repaired(&origin, &quotas, &nodes.zones, &holds);
                Piece { first, len, origin: Some(origin), set }
            })
            .collect();
        let mut board = Board::new(pieces, nodes.zones.clone(), quotas);
        if !is_close(&board) {
            balance_leads(&mut board);
            balance_holds(&mut board);
        }
        plan.targets = runs(&board, &nodes, &ring);
        for piece in board.pieces() {
            let Some(origin) = piece.origin.as_ref().filter(|origin| **origin != piece.set) else { continue };
            let len = u32::from(piece.len);
            plan.slots += len;
            plan.primaries_moved += if origin.primary == piece.set.primary { 0 } else { len };
            plan.copies += len * piece.set.members().filter(|&node| !origin.has(node)).count() as u32;
        }
        leads_after.copy_from_slice(board.leads());
        holds_after.copy_from_slice(board.holds());
    }
    plan.nodes = (0..nodes.ids.len())
        .map(|at| NodeShare {
            id: nodes.ids[at],
            primaries_before: leads[at],
            primaries_after: leads_after[at],
            slots_before: holds[at],
            slots_after: holds_after[at],
        })
        .collect();
    plan
}

/// The set with gaps for what it lacks or has in a zone too often, and without replicas beyond the number wanted. Those
/// go that most exceed their quotas; never the primary.
fn repaired(set: &Set, quotas: &Quotas, zones: &[usize], holds: &[u32]) -> Set {
    let surplus = |node: NodeIndex| i64::from(holds[node as usize]) - i64::from(quotas.holds[node as usize]);
    let mut rest = set.rest.clone();
    rest.sort_by_key(|&node| (surplus(node), node));
    rest.truncate(quotas.replicas - 1);
    let mut kept = vec![set.primary];
    for node in rest {
        let zone = zones[node as usize];
        if kept.iter().filter(|&&other| zones[other as usize] == zone).count() < quotas.zone_limit {
            kept.push(node);
        }
    }
    kept.resize(quotas.replicas, VACANT);
    Set::new(set.primary, kept.split_off(1))
}

/// Is there nothing worth moving? True where every set is complete and everybody within 1% of his quotas.
fn is_close(board: &Board) -> bool {
    let close = |has: &[u32], quota: &[u32]| {
        has.iter().zip(quota).all(|(&has, &quota)| has.abs_diff(quota) <= quota.div_ceil(100))
    };
    board.vacant() == 0
        && close(board.leads(), &board.quotas.leads)
        && close(board.holds(), &board.quotas.holds)
}

fn balance_leads(board: &mut Board) {
    let mut chains = 0;
    loop {
        let moved = board.make_best_move(|board, piece, offer| {
            let from = piece.set.primary;
            let surplus = board.lead_surplus(from);
            for to in board.nodes().filter(|&to| surplus > 0 && board.lead_surplus(to) < 0) {
                let slots = surplus.min(-board.lead_surplus(to));
                if piece.set.has(to) {
                    offer(Offer { class: 0, slots: slots as u32, set: piece.set.led_by(to) });
                    continue;
                }
                let slots = slots.min(-board.hold_surplus(to));
                for &out in piece.set.rest.iter().chain([&from]) {
                    let slots = slots.min(board.hold_surplus(out));
                    if slots > 0 && board.may_swap(&piece.set, out, to) {
                        let class = if out == VACANT {
                            1
                        } else if out != from {
                            2
                        } else {
                            3
                        };
                        offer(Offer { class, slots: slots as u32, set: newly_led(&piece.set, out, to) });
                    }
                }
            }
        });
        if moved == 0 {
            chains += 1;
            if chains > CHAINS_MAX || !(pass_along_chain(board, Duty::Lead) || force_lead(board)) {
                return;
            }
        }
    }
}

/// With `to`, which holds nothing of it, leading, and without `out`.
fn newly_led(set: &Set, out: NodeIndex, to: NodeIndex) -> Set {
    let with = set.swapped(out, to);
    if with.primary == to { with } else { with.led_by(to) }
}

/// Gives a slot to a node that should lead more although it should not hold more: it drops another slot afterwards.
fn force_lead(board: &mut Board) -> bool {
    board.make_best_move(|board, piece, offer| {
        let from = piece.set.primary;
        for to in board.nodes().filter(|&to| board.lead_surplus(from) > 0 && board.lead_surplus(to) < 0) {
            for &out in piece.set.rest.iter().chain([&from]) {
                if board.may_swap(&piece.set, out, to) {
                    let class = u8::from(board.hold_surplus(out) <= 0) * 2 + u8::from(out == from);
                    offer(Offer { class, slots: 1, set: newly_led(&piece.set, out, to) });
                }
            }
        }
    }) > 0
}

fn balance_holds(board: &mut Board) {
    let mut chains = 0;
    loop {
        let moved = board.make_best_move(|board, piece, offer| {
            for &from in &piece.set.rest {
                let surplus = board.hold_surplus(from);
                for to in board.nodes().filter(|&to| surplus > 0 && board.hold_surplus(to) < 0) {
                    if let Some((class, set)) = Duty::Hold.pass(board, piece, from, to) {
                        let slots = surplus.min(-board.hold_surplus(to)) as u32;
                        offer(Offer { class, slots, set });
                    }
                }
            }
        });
        if moved == 0 {
            chains += 1;
            if chains > CHAINS_MAX || !pass_along_chain(board, Duty::Hold) {
                return;
            }
        }
    }
}

/// The pieces that differ from their origin, as runs that carry no epoch.
fn runs(board: &Board, nodes: &Nodes, ring: &Ring) -> Vec<SlotRun> {
    let mut runs = Vec::new();
    for piece in board.pieces().iter().filter(|piece| piece.origin.as_ref() != Some(&piece.set)) {
        let rest: Vec<NodeIndex> = piece.set.rest.iter().copied().filter(|&node| node != VACANT).collect();
        let end = piece.first + piece.len;
        let mut at = piece.first;
        while at < end {
            let next = Ring::next_turn(at).min(end);
            let (first, last) = (SlotId::new(at), SlotId::new(next - 1));
            let (Some(first), Some(last)) = (first, last) else {
                unreachable!("pieces lie in the slot space")
            };
            let successors = ring.successors(first, piece.set.primary, &rest);
            let replicas = std::iter::once(piece.set.primary)
                .chain(successors)
                .map(|node| nodes.ids[node as usize])
                .collect();
            runs.push(SlotRun { first, last, replicas, epoch: Epoch(0), recovering: false });
            at = next;
        }
    }
    SlotMap::new(runs).runs().to_vec()
}
