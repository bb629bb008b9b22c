//! Moves that take more than one step: A has too much, C too little, and only B can help.
//!
//! The successive-shortest-path method for the transport problem, with the nodes as vertices and the pieces of the map
//! as the capacity between them: moves made before without foresight are taken back where a chain gains by it.

use super::board::{Board, Offer, Piece, Set, VACANT};
use super::ring::NodeIndex;

/// What is being balanced.
#[derive(Clone, Copy)]
pub(super) enum Duty {
    /// Who leads; sets stay.
    Lead,
    /// Who holds without leading.
    Hold,
}

impl Duty {
    fn surplus(self, board: &Board, node: NodeIndex) -> i64 {
        match self {
            Duty::Lead => board.lead_surplus(node),
            Duty::Hold => board.hold_surplus(node),
        }
    }

    /// The nodes whose duty at this piece could pass to another.
    fn givers(self, piece: &Piece) -> impl Iterator<Item = NodeIndex> + '_ {
        let (lead, hold) = match self {
            Duty::Lead => (Some(piece.set.primary), None),
            Duty::Hold => (None, Some(&piece.set.rest)),
        };
        lead.into_iter().chain(hold.into_iter().flatten().copied())
    }

    /// The set after the duty passed from one node to the other, and one more than the copies which that adds.
    pub(super) fn pass(
        self,
        board: &Board,
        piece: &Piece,
        from: NodeIndex,
        to: NodeIndex,
    ) -> Option<(u8, Set)> {
        match self {
            Duty::Lead => piece.set.rest.contains(&to).then(|| (1, piece.set.led_by(to))),
            Duty::Hold => board.may_swap(&piece.set, from, to).then(|| {
                // Going back to where a copy is makes one copy less, moving one already planned makes none.
                let copies =
                    1 + u8::from(!piece.came_from(to)) - u8::from(from != VACANT && !piece.came_from(from));
                (copies, piece.set.swapped(from, to))
            }),
        }
    }
}

/// Moves a duty from a node with too much through others to one with too little, along the chain that costs the least
/// copies, or round a ring of nodes where that undoes copies already planned. False where there is neither.
pub(super) fn pass_along_chain(board: &mut Board, duty: Duty) -> bool {
    let costs = step_costs(board, duty);
    let Some(steps) = cheapest_chain(board, duty, &costs) else { return false };
    let offers = |(from, to): (NodeIndex, NodeIndex), slots: u32| {
        move |board: &Board, piece: &Piece, offer: &mut dyn FnMut(Offer)| {
            if duty.givers(piece).any(|giver| giver == from)
                && let Some((class, set)) = duty.pass(board, piece, from, to)
            {
                offer(Offer { class, slots, set });
            }
        }
    };
    let ends = duty.surplus(board, steps[steps.len() - 1].0).min(-duty.surplus(board, steps[0].1));
    let most = if steps[0].1 == steps[steps.len() - 1].0 { u32::MAX } else { ends as u32 };
    let slots = steps.iter().map(|&step| u32::from(board.best_move(offers(step, most)))).min().unwrap_or(0);
    for &step in &steps {
        board.make_best_move(offers(step, slots));
    }
    slots > 0
}

/// What the cheapest way to pass a duty from one node (row; the last is the gaps) to another costs.
fn step_costs(board: &Board, duty: Duty) -> Vec<Vec<Option<u8>>> {
    let count = board.nodes().count();
    let mut costs = vec![vec![None; count]; count + 1];
    for piece in board.pieces() {
        for from in duty.givers(piece) {
            for to in board.nodes().filter(|&to| to != from) {
                if let Some((cost, _)) = duty.pass(board, piece, from, to) {
                    let known: &mut Option<u8> = &mut costs[usize::from(from).min(count)][usize::from(to)];
                    *known = Some(known.map_or(cost, |known| known.min(cost)));
                }
            }
        }
    }
    costs
}

/// The cheapest chain from a node with a surplus to one that lacks, or a ring of nodes that saves copies; its steps
/// `(from, to)`, the last first. Bellman and Ford's method.
fn cheapest_chain(
    board: &Board,
    duty: Duty,
    costs: &[Vec<Option<u8>>],
) -> Option<Vec<(NodeIndex, NodeIndex)>> {
    let count = costs.len() - 1;
    let name = |at: usize| if at == count { VACANT } else { at as NodeIndex };
    // A step's class is its copies plus one. Among chains of as many copies the shortest.
    let length = |class: u8| (i64::from(class) - 1) * (2 * count as i64) + 1;
    let is_source = |at: usize| match duty {
        Duty::Lead => at < count && duty.surplus(board, name(at)) > 0,
        Duty::Hold => true,
    };
    // For holders every node is a start, as saving rings may lie anywhere; only a surplus starts at no cost.
    let far = i64::from(u32::MAX);
    let mut reached: Vec<Option<(i64, Option<usize>)>> = (0..=count)
        .map(|at| is_source(at).then(|| (if duty.surplus(board, name(at)) > 0 { 0 } else { far }, None)))
        .collect();
    for round in 0..=count + 1 {
        let mut changed = None;
        for at in 0..=count {
            let Some((so_far, _)) = reached[at] else { continue };
            for to in 0..count {
                let Some(class) = costs[at][to] else { continue };
                let total = so_far + length(class);
                if reached[to].is_none_or(|(known, _)| total < known) {
                    reached[to] = Some((total, Some(at)));
                    changed = Some(to);
                }
            }
        }
        let Some(changed) = changed else { break };
        if round == count + 1 {
            return Some(ring_behind(&reached, changed, count, &name));
        }
    }
    let sink = (0..count)
        .filter(|&at| duty.surplus(board, name(at)) < 0)
        .filter_map(|at| reached[at].filter(|&(cost, _)| cost < far / 2).map(|(cost, _)| (cost, at)))
        .min()?
        .1;
    let mut steps = Vec::new();
    let mut to = sink;
    while let Some((_, Some(from))) = reached[to] {
        steps.push((name(from), name(to)));
        to = from;
    }
    Some(steps)
}

/// The ring that a search which still finds shorter ways after as many rounds as there are nodes has run into.
fn ring_behind(
    reached: &[Option<(i64, Option<usize>)>],
    from: usize,
    count: usize,
    name: &impl Fn(usize) -> NodeIndex,
) -> Vec<(NodeIndex, NodeIndex)> {
    let before = |at: usize| reached[at].and_then(|(_, from)| from).expect("a ring has no beginning");
    let mut start = from;
    for _ in 0..=count {
        start = before(start);
    }
    let mut steps = Vec::new();
    let mut to = start;
    loop {
        steps.push((name(before(to)), name(to)));
        to = before(to);
        if to == start {
            return steps;
        }
    }
}
