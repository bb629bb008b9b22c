//! The map being planned: pieces of the slot space, what every node has of it, and how a piece changes hands.

use std::cmp::Reverse;

use super::quota::Quotas;
use super::ring::NodeIndex;

/// Stands in a set for a replica that is missing and must be found. Counts as a node with a quota of nothing, so
/// that filling a gap is a move like any other.
pub(super) const VACANT: NodeIndex = NodeIndex::MAX;

/// A replica set. The order of the replicas other than the primary means nothing here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Set {
    pub(super) primary: NodeIndex,
    /// The other replicas, sorted, with one [`VACANT`] per gap.
    pub(super) rest: Vec<NodeIndex>,
}

impl Set {
    pub(super) fn new(primary: NodeIndex, mut rest: Vec<NodeIndex>) -> Self {
        rest.sort_unstable();
        Self { primary, rest }
    }

    pub(super) fn members(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        std::iter::once(self.primary).chain(self.rest.iter().copied()).filter(|&node| node != VACANT)
    }

    pub(super) fn has(&self, node: NodeIndex) -> bool {
        self.members().any(|member| member == node)
    }

    /// With `to` in the place of `from`, once.
    pub(super) fn swapped(&self, from: NodeIndex, to: NodeIndex) -> Self {
        if self.primary == from {
            return Self::new(to, self.rest.clone());
        }
        let mut rest = self.rest.clone();
        let at = rest.iter().position(|&node| node == from).expect("what is replaced is there");
        rest[at] = to;
        Self::new(self.primary, rest)
    }

    /// With the replica `to` leading, and the primary as a replica.
    pub(super) fn led_by(&self, to: NodeIndex) -> Self {
        Self { primary: to, ..self.swapped(to, self.primary) }
    }
}

/// Neighbouring slots with the same past and the same future.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) first: u16,
    pub(super) len: u16,
    /// Who holds it before the plan; nobody where the cluster is new.
    pub(super) origin: Option<Set>,
    /// Who holds it after the plan, as far as it has come.
    pub(super) set: Set,
}

impl Piece {
    /// Does the plan's source have a copy on `node`?
    pub(super) fn came_from(&self, node: NodeIndex) -> bool {
        self.origin.as_ref().is_some_and(|set| set.has(node))
    }
}

/// A set that a piece may get.
pub(super) struct Offer {
    /// Offers of a lower class come first, whatever the runs look like.
    pub(super) class: u8,
    /// Number of slots that may move so.
    pub(super) slots: u32,
    pub(super) set: Set,
}

/// What is best about a [`Choice`], smallest first: its class, how many runs it adds, its length, whether it cuts a
/// group of 16 slots (which all go to one shard), its first slot.
type Rank = (u8, i32, Reverse<u16>, bool, u16);

/// An [`Offer`] for certain slots.
struct Choice {
    piece: usize,
    first: u16,
    len: u16,
    set: Set,
}

/// Pieces that cover the slot space, in order, and the accounts kept of them.
pub(super) struct Board {
    pieces: Vec<Piece>,
    leads: Vec<u32>,
    holds: Vec<u32>,
    vacant: u32,
    zones: Vec<usize>,
    pub(super) quotas: Quotas,
}

impl Board {
    /// A board of these pieces. `zones` has each node's zone.
    pub(super) fn new(pieces: Vec<Piece>, zones: Vec<usize>, quotas: Quotas) -> Self {
        let nodes = zones.len();
        let mut board =
            Self { pieces, leads: vec![0; nodes], holds: vec![0; nodes], vacant: 0, zones, quotas };
        for at in 0..board.pieces.len() {
            let piece = board.pieces[at].clone();
            board.count(&piece.set, piece.len, true);
        }
        board
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(super) fn leads(&self) -> &[u32] {
        &self.leads
    }

    pub(super) fn holds(&self) -> &[u32] {
        &self.holds
    }

    pub(super) fn vacant(&self) -> u32 {
        self.vacant
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        0..self.zones.len() as NodeIndex
    }

    /// Slots that `node` leads beyond its quota; negative where it lacks some.
    pub(super) fn lead_surplus(&self, node: NodeIndex) -> i64 {
        i64::from(self.leads[node as usize]) - i64::from(self.quotas.leads[node as usize])
    }

    /// Slots that `node` holds beyond its quota; negative where it lacks some.
    pub(super) fn hold_surplus(&self, node: NodeIndex) -> i64 {
        if node == VACANT {
            return i64::from(self.vacant);
        }
        i64::from(self.holds[node as usize]) - i64::from(self.quotas.holds[node as usize])
    }

    /// May `to` take the place of `from` in `set`?
    pub(super) fn may_swap(&self, set: &Set, from: NodeIndex, to: NodeIndex) -> bool {
        let zone = self.zones[to as usize];
        let there = set.members().filter(|&node| node != from && self.zones[node as usize] == zone).count();
        !set.has(to) && there < self.quotas.zone_limit
    }

    /// Makes the best of the moves that `offers` names for each piece; returns how many slots moved, 0 where there is
    /// none. Best is: the lowest class, then what leaves the fewest runs, then the longest.
    pub(super) fn make_best_move(&mut self, offers: impl Fn(&Board, &Piece, &mut dyn FnMut(Offer))) -> u16 {
        self.choose(offers).map_or(0, |choice| self.make(choice))
    }

    /// How many slots [`Self::make_best_move`] would move.
    pub(super) fn best_move(&self, offers: impl Fn(&Board, &Piece, &mut dyn FnMut(Offer))) -> u16 {
        self.choose(offers).map_or(0, |choice| choice.len)
    }

    fn choose(&self, offers: impl Fn(&Board, &Piece, &mut dyn FnMut(Offer))) -> Option<Choice> {
        let mut best: Option<(Rank, Choice)> = None;
        for (at, piece) in self.pieces.iter().enumerate() {
            offers(self, piece, &mut |offer| {
                let (rank, choice) = self.best_part(at, offer);
                if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                    best = Some((rank, choice));
                }
            });
        }
        best.map(|(_, choice)| choice)
    }

    /// Where on a piece an offer is best taken up: all of it, or else its head or its tail.
    fn best_part(&self, at: usize, offer: Offer) -> (Rank, Choice) {
        let piece = &self.pieces[at];
        let before = at.checked_sub(1).map(|at| &self.pieces[at].set);
        let after = self.pieces.get(at + 1).map(|piece| &piece.set);
        let here = Some(&piece.set);
        let len = offer.slots.min(u32::from(piece.len)) as u16;
        let cuts = |left: Option<&Set>, right: Option<&Set>| {
            edge(left, Some(&offer.set)) + edge(Some(&offer.set), right)
                - edge(left, here)
                - edge(here, right)
        };
        let (runs, cut_inside_group, first) = if len == piece.len {
            (cuts(before, after), false, piece.first)
        } else {
            let tail = piece.first + piece.len - len;
            let head_rank = (cuts(before, here), !(piece.first + len).is_multiple_of(16), piece.first);
            head_rank.min((cuts(here, after), !tail.is_multiple_of(16), tail))
        };
        let rank = (offer.class, runs, Reverse(len), cut_inside_group, first);
        (rank, Choice { piece: at, first, len, set: offer.set })
    }

    fn make(&mut self, choice: Choice) -> u16 {
        let old = self.pieces[choice.piece].clone();
        self.count(&old.set, choice.len, false);
        self.count(&choice.set, choice.len, true);
        let head = choice.first - old.first;
        let tail = old.len - head - choice.len;
        let mut parts = Vec::with_capacity(3);
        if head > 0 {
            parts.push(Piece { len: head, ..old.clone() });
        }
        parts.push(Piece {
            first: choice.first,
            len: choice.len,
            origin: old.origin.clone(),
            set: choice.set,
        });
        if tail > 0 {
            parts.push(Piece { first: choice.first + choice.len, len: tail, ..old });
        }
        let end = choice.piece + parts.len();
        self.pieces.splice(choice.piece..=choice.piece, parts);
        for at in (choice.piece.max(1)..=end.min(self.pieces.len() - 1)).rev() {
            let joins = {
                let (left, right) = (&self.pieces[at - 1], &self.pieces[at]);
                left.set == right.set && left.origin == right.origin
            };
            if joins {
                self.pieces[at - 1].len += self.pieces[at].len;
                self.pieces.remove(at);
            }
        }
        choice.len
    }

    fn count(&mut self, set: &Set, len: u16, add: bool) {
        let len = u32::from(len);
        let book = |account: &mut u32| if add { *account += len } else { *account -= len };
        book(&mut self.leads[set.primary as usize]);
        for node in set.members() {
            book(&mut self.holds[node as usize]);
        }
        set.rest.iter().filter(|&&node| node == VACANT).for_each(|_| book(&mut self.vacant));
    }
}

/// What an edge between two sets costs. One between primaries counts double: clients see those.
fn edge(left: Option<&Set>, right: Option<&Set>) -> i32 {
    match (left, right) {
        (Some(left), Some(right)) => i32::from(left != right) + i32::from(left.primary != right.primary),
        (None, _) | (_, None) => 0,
    }
}
