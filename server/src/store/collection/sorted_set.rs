//! Sorted sets.

use std::iter::Rev;
use std::vec;

use super::super::KeyHasher;
use super::super::entry::Entry;
use super::super::packed::{Item, Packed, PackedIter, item_bytes_max, put_item, put_score};
use super::super::sorted_set::{SortedSet, SortedSetIter};
use super::super::table::Table;
use super::{Big, Type, Value, items, splice_items};

/// A sorted set as it is read.
#[derive(Clone, Copy)]
pub enum SortedSetRef<'a> {
    /// Members and scores in turn, in order.
    Packed(Packed<'a>),
    /// Both ways to them.
    Big(&'a SortedSet),
}

impl<'a> SortedSetRef<'a> {
    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(items) => items.len() / 2,
            Self::Big(set) => set.len(),
        }
    }

    /// Never true of a key's value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member's score.
    pub fn score(&self, hasher: &KeyHasher, member: &[u8]) -> Option<f64> {
        match self {
            Self::Packed(items) => Some(items.get(items.find_text(member, 2)?.index + 1)?.as_score()),
            Self::Big(set) => set.score(hasher, member),
        }
    }

    /// How many members come before this one.
    pub fn rank(&self, hasher: &KeyHasher, member: &[u8]) -> Option<usize> {
        match self {
            Self::Packed(items) => items.find_text(member, 2).map(|place| place.index / 2),
            Self::Big(set) => set.rank(hasher, member),
        }
    }

    /// How many members, counted from the first, `holds` is true of; it must be false of all behind one of which it is
    /// false.
    pub fn partition_point(&self, holds: impl Fn(f64, &[u8]) -> bool) -> usize {
        match self {
            Self::Packed(_) => {
                self.iter_from(0).take_while(|(score, member)| holds(*score, member.as_bytes())).count()
            }
            Self::Big(set) => set.partition_point(holds),
        }
    }

    /// As [`Self::partition_point`] by the score alone, which does not touch the members' memory.
    pub fn partition_point_by_score(&self, holds: impl Fn(f64) -> bool) -> usize {
        match self {
            Self::Packed(_) => self.partition_point(|score, _| holds(score)),
            Self::Big(set) => set.partition_point_by_score(holds),
        }
    }

    /// Scores and members in order, from a rank on; none where it is too high.
    pub fn iter_from(&self, rank: usize) -> SortedSetRefIter<'a> {
        match self {
            Self::Packed(items) => SortedSetRefIter::Packed(items.iter_from(2 * rank.min(self.len()))),
            Self::Big(set) => SortedSetRefIter::Big(set.iter_from(rank)),
        }
    }

    /// Scores and members in reverse order, from a rank on; all of them where it is too high.
    pub fn iter_back_from(&self, rank: usize) -> SortedSetRefIter<'a> {
        match self {
            Self::Packed(_) => {
                let pairs: Vec<_> = self.iter_from(0).take(rank.saturating_add(1)).collect();
                SortedSetRefIter::Reversed(pairs.into_iter().rev())
            }
            Self::Big(set) => SortedSetRefIter::Big(set.iter_back_from(rank)),
        }
    }
}

/// See [`SortedSetRef::iter_from`].
pub enum SortedSetRefIter<'a> {
    /// Of a packed sorted set.
    Packed(PackedIter<'a>),
    /// Of a packed one backwards, which runs of items cannot be walked.
    Reversed(Rev<vec::IntoIter<(f64, Item<'a>)>>),
    /// Of a big one.
    Big(SortedSetIter<'a>),
}

impl<'a> Iterator for SortedSetRefIter<'a> {
    type Item = (f64, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(items) => {
                let member = items.next()?;
                Some((items.next()?.as_score(), member))
            }
            Self::Reversed(pairs) => pairs.next(),
            Self::Big(members) => members.next().map(|(score, member)| (score, Item::Text(member))),
        }
    }
}

impl Table {
    /// Gives members of the key's sorted set these scores (not NaN); returns how many are new. A missing key, or one of
    /// another type, begins as an empty sorted set.
    pub fn sorted_set_set<'v>(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        members: impl Iterator<Item = (f64, &'v [u8])>,
    ) -> usize {
        self.ensure(hasher, hash, key, Type::SortedSet);
        let change = |entry: &mut Entry| {
            let mut added = 0;
            for (score, member) in members {
                added += usize::from(set(entry, hasher, member, score));
            }
            added
        };
        self.change_collection(hash, key, change).expect("it is there")
    }

    /// Removes members of the key's sorted set; returns how many there were.
    pub fn sorted_set_remove<'v>(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        members: impl Iterator<Item = &'v [u8]>,
    ) -> usize {
        let change = |entry: &mut Entry| members.filter(|member| remove(entry, hasher, member)).count();
        self.change_collection(hash, key, change).unwrap_or(0)
    }
}

/// Sets a member's score; returns whether it is new.
fn set(entry: &mut Entry, hasher: &KeyHasher, member: &[u8], score: f64) -> bool {
    if let Some(Big::SortedSet(big)) = entry.big_mut() {
        return big.set(hasher, member, score);
    }
    let found = items(entry.as_ref().bytes()).find_text(member, 2);
    if let Some(place) = &found {
        remove_pair(entry, place.index);
    }
    let packed = items(entry.as_ref().bytes());
    let packing = hasher.packing();
    if member.len() > packing.sorted_set_item_bytes || packed.len() / 2 >= packing.sorted_set_members {
        let mut big = SortedSet::new();
        for (score, member) in SortedSetRef::Packed(packed).iter_from(0) {
            big.set(hasher, member.as_bytes(), score);
        }
        big.set(hasher, member, score);
        entry.set_big(Box::new(Big::SortedSet(big)));
        return found.is_none();
    }
    let is_before = |other: f64, name: &[u8]| other < score || (other == score && name < member);
    let rank = SortedSetRef::Packed(packed).partition_point(is_before);
    let mut new = Vec::with_capacity(item_bytes_max(member.len()) + 9);
    put_item(&mut new, member);
    put_score(&mut new, score);
    let (at, len) = (packed.offset_of(2 * rank), packed.len() + 2);
    splice_items(entry, at..at, &new, len);
    found.is_none()
}

/// Removes a member; returns whether it was there.
fn remove(entry: &mut Entry, hasher: &KeyHasher, member: &[u8]) -> bool {
    let Value::SortedSet(set) = entry.as_ref().value() else { return false };
    match set {
        SortedSetRef::Packed(packed) => {
            let found = packed.find_text(member, 2);
            if let Some(place) = &found {
                remove_pair(entry, place.index);
            }
            found.is_some()
        }
        SortedSetRef::Big(_) => match entry.big_mut() {
            Some(Big::SortedSet(set)) => set.remove(hasher, member),
            _ => unreachable!("seen above"),
        },
    }
}

fn remove_pair(entry: &mut Entry, index: usize) {
    let packed = items(entry.as_ref().bytes());
    let (range, len) = (packed.range_of(index, 2), packed.len() - 2);
    splice_items(entry, range, &[], len);
}
