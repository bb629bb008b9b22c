//! The members of a sorted set in order of their scores: a counted sequence.
//!
//! Entries lie in bounded leaves, leaves in bounded groups, and the groups in one array. Beside its children a level
//! keeps, in arrays of their own, how many entries each child has and the first entry of each. So finding a place
//! reads a few cache lines on each of three levels and never a child that it does not enter; a rank is two sums over
//! an array and an index. At 20 million members there are some 1,000 groups.
//!
//! No change moves more than a leaf, a group's arrays or the array of groups. A leaf that is full splits in halves,
//! but what is appended behind all others begins a new leaf: rising scores fill their leaves. Small neighbours join.

use std::cmp::Ordering;
use std::slice;

use super::EntryRef;
use super::entry::KeyHandle;
use super::score_level::{Leaf, Level, Part};

/// A member and its score.
#[derive(Clone, Copy)]
pub(super) struct Ranked {
    score: f64,
    member: KeyHandle,
}

const _: () = assert!(size_of::<Ranked>() == 16, "four to a cache line");

impl Ranked {
    /// The member that is the key of `entry`.
    ///
    /// # Safety
    /// Until this and all its copies are gone, the entry is not removed, its value keeps its length and it gets no
    /// expiry.
    pub(super) unsafe fn new(score: f64, entry: EntryRef<'_>) -> Self {
        assert!(!score.is_nan(), "a score is a number");
        Self { score, member: KeyHandle::new(entry) }
    }

    #[inline]
    pub(super) fn score(&self) -> f64 {
        self.score
    }

    #[inline]
    pub(super) fn member(&self) -> &[u8] {
        // SAFETY: promised to `new` for as long as this is there.
        unsafe { self.member.key() }
    }

    /// Gives it another score, which is a number.
    pub(super) fn set_score(&mut self, score: f64) {
        self.score = score;
    }

    /// How it compares to a member of that score. -0 and 0 are the same score.
    #[inline]
    pub(super) fn compare(&self, score: f64, member: &[u8]) -> Ordering {
        let by_score = self.score.partial_cmp(&score).expect("a score is a number");
        by_score.then_with(|| self.member().cmp(member))
    }
}

/// Members in order of their scores, those of equal score in order of their bytes.
#[derive(Default)]
pub(super) struct ScoreOrder {
    groups: Level<Level<Leaf>>,
}

impl ScoreOrder {
    /// Bytes taken from the allocator.
    pub(super) fn heap_bytes(&self) -> usize {
        self.groups.heap_bytes()
    }

    /// Number of leaves.
    pub(super) fn pieces(&self) -> usize {
        self.groups.children.iter().map(|group| group.children.len()).sum()
    }

    /// Frees groups until a budget of leaves is spent, at least one; returns how many leaves. The order is of no other use
    /// any more, and has none when all are gone.
    pub(super) fn take_apart(&mut self, budget: &mut usize) -> usize {
        let mut freed = 0;
        while let Some(group) = self.groups.children.pop() {
            freed += group.children.len();
            *budget = budget.saturating_sub(group.children.len());
            if *budget == 0 {
                break;
            }
        }
        freed
    }

    /// Number of leading entries for which `pred` holds; it must hold for no later one.
    #[inline]
    pub(super) fn partition_point(&self, pred: impl Fn(&Ranked) -> bool) -> usize {
        self.groups.partition_point(&pred)
    }

    /// Number of entries before the member of that score.
    pub(super) fn rank(&self, score: f64, member: &[u8]) -> usize {
        self.partition_point(|entry| entry.compare(score, member).is_lt())
    }

    /// Inserts a member, which is not there, where it belongs.
    pub(super) fn insert(&mut self, entry: Ranked) {
        let overflow = self.groups.insert(entry, true);
        assert!(overflow.is_none(), "the array of groups has no limit");
    }

    /// Takes the member of that score out, which is there.
    pub(super) fn remove(&mut self, score: f64, member: &[u8]) {
        self.groups.remove(score, member);
    }

    /// Gives a member another score, if it is seen at once that it keeps its place.
    pub(super) fn rescore_in_place(&mut self, old: f64, member: &[u8], new: f64) -> bool {
        assert!(!new.is_nan(), "a score is a number");
        self.groups.rescore_in_place(old, member, new)
    }

    /// The entries from a rank on. For one that is too high none are ascending, and all descending.
    pub(super) fn iter_from(&self, rank: usize, direction: Direction) -> RankedIter<'_> {
        let (group_at, rest) = self.groups.child_at(rank);
        let groups = &self.groups.children[..];
        let Some(group) = groups.get(group_at) else { return RankedIter::default() };
        let (leaf_at, rest) = group.child_at(rest);
        let leaves = &group.children[..];
        let entries = &leaves[leaf_at].entries[..];
        match direction {
            Direction::Ascending => RankedIter {
                direction,
                entries: entries[rest..].iter(),
                leaves: leaves[leaf_at + 1..].iter(),
                groups: groups[group_at + 1..].iter(),
            },
            Direction::Descending => RankedIter {
                direction,
                entries: entries[..entries.len().min(rest + 1)].iter(),
                leaves: leaves[..leaf_at].iter(),
                groups: groups[..group_at].iter(),
            },
        }
    }
}

/// Which way to walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Direction {
    /// From low scores to high ones.
    #[default]
    Ascending,
    /// From high scores to low ones.
    Descending,
}

/// See [`ScoreOrder::iter_from`].
#[derive(Default)]
pub(super) struct RankedIter<'a> {
    direction: Direction,
    /// What is left of the current leaf, of the current group, and of all.
    entries: slice::Iter<'a, Ranked>,
    leaves: slice::Iter<'a, Leaf>,
    groups: slice::Iter<'a, Level<Leaf>>,
}

impl<'a> Iterator for RankedIter<'a> {
    type Item = &'a Ranked;

    #[inline]
    fn next(&mut self) -> Option<&'a Ranked> {
        let direction = self.direction;
        loop {
            if let Some(entry) = step(&mut self.entries, direction) {
                return Some(entry);
            }
            match step(&mut self.leaves, direction) {
                Some(leaf) => self.entries = leaf.entries.iter(),
                None => self.leaves = step(&mut self.groups, direction)?.children.iter(),
            }
        }
    }
}

#[inline]
fn step<'a, T>(iter: &mut slice::Iter<'a, T>, direction: Direction) -> Option<&'a T> {
    match direction {
        Direction::Ascending => iter.next(),
        Direction::Descending => iter.next_back(),
    }
}

#[cfg(test)]
#[path = "score_order_tests.rs"]
mod tests;
