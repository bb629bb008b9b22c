//! The levels of a [`ScoreOrder`](super::score_order::ScoreOrder): leaves of entries, and what is above them.

use super::fitting::{append_fitting, array_bytes, fit_if_sparse, insert_fitting, split_off_fitting};
use super::score_order::Ranked;

/// Most entries of a leaf: 2 KiB. Tests have tiny ones, to come by all shapes with few entries.
pub(super) const LEAF_ENTRIES_MAX: usize = if cfg!(test) { 8 } else { 128 };

/// Most leaves of a group.
pub(super) const GROUP_LEAVES_MAX: usize = if cfg!(test) { 8 } else { 256 };

/// A leaf, or a level above: part of the sequence.
pub(super) trait Part: Default {
    /// Most children that it may have.
    const SIZE_MAX: usize;

    /// Most children of a level of such parts.
    const SIBLINGS_MAX: usize;

    /// Number of children, which for a leaf are entries.
    fn size(&self) -> usize;

    /// Number of entries.
    fn len(&self) -> usize;

    /// The first entry.
    fn first(&self) -> Option<Ranked>;

    /// Bytes taken from the allocator, those of all children included.
    fn heap_bytes(&self) -> usize;

    fn partition_point(&self, pred: &impl Fn(&Ranked) -> bool) -> usize;

    /// Inserts an entry. Where that makes too many children, returns the later ones, which go right behind this.
    /// `is_last`: whether nothing follows this, so that what is appended is likely to be followed by more.
    fn insert(&mut self, entry: Ranked, is_last: bool) -> Option<Self>;

    /// Takes an entry out, which may leave this empty.
    fn remove(&mut self, score: f64, member: &[u8]);

    fn rescore_in_place(&mut self, old: f64, member: &[u8], new: f64) -> bool;

    /// Takes over the children of the part right behind.
    fn append(&mut self, next: Self);

    /// Whether it should join a neighbour, if together they stay well below the size that splits.
    fn is_small(&self) -> bool {
        self.size() < Self::SIZE_MAX / 4
    }
}

#[derive(Default)]
pub(super) struct Leaf {
    pub(super) entries: Vec<Ranked>,
}

impl Part for Leaf {
    const SIZE_MAX: usize = LEAF_ENTRIES_MAX;
    const SIBLINGS_MAX: usize = GROUP_LEAVES_MAX;

    fn size(&self) -> usize {
        self.entries.len()
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn first(&self) -> Option<Ranked> {
        self.entries.first().copied()
    }

    fn heap_bytes(&self) -> usize {
        array_bytes(&self.entries)
    }

    #[inline]
    fn partition_point(&self, pred: &impl Fn(&Ranked) -> bool) -> usize {
        self.entries.partition_point(pred)
    }

    fn insert(&mut self, entry: Ranked, is_last: bool) -> Option<Self> {
        let at = self.entries.partition_point(|other| other.compare(entry.score(), entry.member()).is_lt());
        let is_appended = is_last && at == self.entries.len();
        insert_fitting(&mut self.entries, at, entry);
        if self.entries.len() <= Self::SIZE_MAX {
            return None;
        }
        let keep = if is_appended { at } else { self.entries.len() / 2 };
        Some(Self { entries: split_off_fitting(&mut self.entries, keep) })
    }

    fn remove(&mut self, score: f64, member: &[u8]) {
        let at = self.find(score, member);
        self.entries.remove(at);
        fit_if_sparse(&mut self.entries);
    }

    fn rescore_in_place(&mut self, old: f64, member: &[u8], new: f64) -> bool {
        // The first entry stands in the levels above, and what is behind the last is in another leaf.
        let at = self.find(old, member);
        let stays = at > 0
            && at + 1 < self.entries.len()
            && self.entries[at - 1].compare(new, member).is_lt()
            && self.entries[at + 1].compare(new, member).is_gt();
        if stays {
            self.entries[at].set_score(new);
        }
        stays
    }

    fn append(&mut self, next: Self) {
        append_fitting(&mut self.entries, next.entries);
    }
}

impl Leaf {
    fn find(&self, score: f64, member: &[u8]) -> usize {
        let found = self.entries.binary_search_by(|entry| entry.compare(score, member));
        found.expect("a member is where its score says")
    }
}

/// Parts in order, none of them empty. What is known of each is kept beside them: see the head of the file.
pub(super) struct Level<C> {
    pub(super) children: Vec<C>,
    /// Number of entries of each child.
    pub(super) lens: Vec<u32>,
    /// The first entry of each child.
    pub(super) firsts: Vec<Ranked>,
    pub(super) len: usize,
    children_bytes: usize,
}

impl<C> Default for Level<C> {
    fn default() -> Self {
        Self { children: Vec::new(), lens: Vec::new(), firsts: Vec::new(), len: 0, children_bytes: 0 }
    }
}

impl<C: Part> Part for Level<C> {
    const SIZE_MAX: usize = C::SIBLINGS_MAX;
    const SIBLINGS_MAX: usize = usize::MAX;

    fn size(&self) -> usize {
        self.children.len()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn first(&self) -> Option<Ranked> {
        self.firsts.first().copied()
    }

    fn heap_bytes(&self) -> usize {
        let arrays = [array_bytes(&self.children), array_bytes(&self.lens), array_bytes(&self.firsts)];
        self.children_bytes + arrays.iter().sum::<usize>()
    }

    #[inline]
    fn partition_point(&self, pred: &impl Fn(&Ranked) -> bool) -> usize {
        let at = self.last_child_where(pred);
        match self.children.get(at) {
            Some(child) => sum(&self.lens[..at]) + child.partition_point(pred),
            None => 0,
        }
    }

    fn insert(&mut self, entry: Ranked, is_last: bool) -> Option<Self> {
        if self.children.is_empty() {
            let mut child = C::default();
            assert!(child.insert(entry, true).is_none(), "one entry is not too many");
            self.insert_child(0, child);
            return None;
        }
        let at =
            self.last_child_where(&|other: &Ranked| other.compare(entry.score(), entry.member()).is_lt());
        let is_last = is_last && at + 1 == self.children.len();
        let overflow = self.change(at, |child| child.insert(entry, is_last))?;
        self.insert_child(at + 1, overflow);
        if self.children.len() <= Self::SIZE_MAX {
            return None;
        }
        let keep = if is_last { at + 1 } else { self.children.len() / 2 };
        Some(self.split_off(keep))
    }

    fn remove(&mut self, score: f64, member: &[u8]) {
        let at = self.child_with(score, member);
        self.change(at, |child| child.remove(score, member));
        if self.children[at].len() == 0 {
            self.remove_child(at);
            return;
        }
        if !self.children[at].is_small() {
            return;
        }
        // With the next or, where those two are too many, with the one before.
        for left in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            if let [child, next, ..] = &self.children[left..]
                && child.size() + next.size() <= C::SIZE_MAX / 4 * 3
            {
                let next = self.remove_child(left + 1);
                self.change(left, |child| child.append(next));
                return;
            }
        }
    }

    fn rescore_in_place(&mut self, old: f64, member: &[u8], new: f64) -> bool {
        let at = self.child_with(old, member);
        self.children[at].rescore_in_place(old, member, new)
    }

    fn append(&mut self, next: Self) {
        append_fitting(&mut self.children, next.children);
        append_fitting(&mut self.lens, next.lens);
        append_fitting(&mut self.firsts, next.firsts);
        self.len += next.len;
        self.children_bytes += next.children_bytes;
    }
}

impl<C: Part> Level<C> {
    /// The last child for whose first entry `pred` holds, which must hold for no later one; the first child where
    /// there is none.
    #[inline]
    fn last_child_where(&self, pred: &impl Fn(&Ranked) -> bool) -> usize {
        self.firsts.partition_point(pred).saturating_sub(1)
    }

    /// The child that holds the member of that score, which is there.
    fn child_with(&self, score: f64, member: &[u8]) -> usize {
        self.last_child_where(&|entry: &Ranked| entry.compare(score, member).is_le())
    }

    /// The child with the entry of that rank, and its rank there; the end of the last child where it is too high.
    pub(super) fn child_at(&self, rank: usize) -> (usize, usize) {
        let mut rest = rank;
        for (at, &len) in self.lens.iter().enumerate() {
            if rest < len as usize {
                return (at, rest);
            }
            rest -= len as usize;
        }
        let last = self.lens.last().copied().unwrap_or(0);
        (self.lens.len().saturating_sub(1), last as usize)
    }

    /// Changes a child, and what is known of it here.
    fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut C) -> R) -> R {
        let child = &mut self.children[at];
        self.children_bytes -= child.heap_bytes();
        self.len -= child.len();
        let result = change(child);
        self.children_bytes += child.heap_bytes();
        self.len += child.len();
        self.lens[at] = entries_of(child);
        if let Some(first) = child.first() {
            self.firsts[at] = first;
        }
        result
    }

    fn insert_child(&mut self, at: usize, child: C) {
        self.children_bytes += child.heap_bytes();
        self.len += child.len();
        insert_fitting(&mut self.lens, at, entries_of(&child));
        insert_fitting(&mut self.firsts, at, child.first().expect("a child is not empty"));
        insert_fitting(&mut self.children, at, child);
    }

    fn remove_child(&mut self, at: usize) -> C {
        let child = self.children.remove(at);
        self.children_bytes -= child.heap_bytes();
        self.len -= child.len();
        self.lens.remove(at);
        self.firsts.remove(at);
        fit_if_sparse(&mut self.children);
        fit_if_sparse(&mut self.lens);
        fit_if_sparse(&mut self.firsts);
        child
    }

    /// The children from a number on.
    fn split_off(&mut self, at: usize) -> Self {
        let children = split_off_fitting(&mut self.children, at);
        let lens = split_off_fitting(&mut self.lens, at);
        let firsts = split_off_fitting(&mut self.firsts, at);
        let len = sum(&lens);
        let children_bytes = children.iter().map(C::heap_bytes).sum();
        self.len -= len;
        self.children_bytes -= children_bytes;
        Self { children, lens, firsts, len, children_bytes }
    }
}

fn sum(lens: &[u32]) -> usize {
    lens.iter().map(|&len| len as usize).sum()
}

fn entries_of<C: Part>(child: &C) -> u32 {
    u32::try_from(child.len()).expect("a leaf and a group are bounded")
}
