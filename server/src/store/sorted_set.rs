//! A sorted set too large to be packed: each member's score by member, and the members by score.

use super::graveyard::{Grave, bury};
use super::score_order::{Direction, Ranked, RankedIter, ScoreOrder};
use super::{KeyHasher, Table};

const SCORE_BYTES: usize = size_of::<f64>();

/// Members with scores, found by member and by rank. A member takes its [`Table`] entry and 16 bytes in the order.
///
/// Ranks count from the lowest score, members of equal score being ordered by their bytes. -0 and 0 are the same
/// score. Every operation must be given the same [`KeyHasher`].
#[derive(Default)]
pub struct SortedSet {
    /// Each score in 8 bytes, little-endian. No entry ever has an expiry or a value of another length, and one is
    /// removed here only after it has left the order: that is what `order` relies on.
    members: Table,
    order: ScoreOrder,
}

impl Drop for SortedSet {
    fn drop(&mut self) {
        // The members see to themselves. What points to them goes before they do, or is not looked at any more.
        let len = self.len();
        bury(&mut self.order, len, Grave::Order);
    }
}

impl SortedSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Bytes that the set takes from the allocator, exactly as size classes have it; without its own struct.
    pub fn used_bytes(&self) -> usize {
        self.members.used_bytes() + self.order.heap_bytes()
    }

    /// The members in order of their hashes, for scans; a value is read by [`Self::score_of_value`].
    pub fn members(&self) -> &Table {
        &self.members
    }

    /// The score that the value of an entry of [`Self::members`] is.
    ///
    /// # Panics
    /// For a value from elsewhere.
    pub fn score_of_value(value: &[u8]) -> f64 {
        f64::from_le_bytes(value.try_into().expect("a score has 8 bytes"))
    }

    /// The member's score.
    pub fn score(&self, hasher: &KeyHasher, member: &[u8]) -> Option<f64> {
        let entry = self.members.get(hasher.hash(member), member)?;
        Some(Self::score_of_value(entry.bytes()))
    }

    /// Gives a member that score, whether or not it was there; returns whether it was not.
    ///
    /// # Panics
    /// For a score that is not a number.
    pub fn set(&mut self, hasher: &KeyHasher, member: &[u8], score: f64) -> bool {
        assert!(!score.is_nan(), "a score is a number");
        let hash = hasher.hash(member);
        let old = self.members.get(hash, member).map(|entry| Self::score_of_value(entry.bytes()));
        if old == Some(score) {
            return false;
        }
        let is_kept = old.is_some_and(|old| self.order.rescore_in_place(old, member, score));
        if let Some(old) = old
            && !is_kept
        {
            self.order.remove(old, member);
        }
        let value: [u8; SCORE_BYTES] = score.to_le_bytes();
        self.members.set(hasher, hash, member, &value, None);
        if !is_kept {
            let entry = self.members.get(hash, member).expect("it was just set");
            // SAFETY: the entry belongs to `self.members`, which nobody else can change. Here its value keeps its 8
            // bytes, it gets no expiry, and it is removed only after it has left the order. Where the set is
            // dropped, the order does not look at its entries.
            self.order.insert(unsafe { Ranked::new(score, entry) });
        }
        old.is_none()
    }

    /// Removes a member; returns whether it was there.
    pub fn remove(&mut self, hasher: &KeyHasher, member: &[u8]) -> bool {
        let hash = hasher.hash(member);
        let Some(entry) = self.members.get(hash, member) else { return false };
        // First from the order, which compares members to find it.
        self.order.remove(Self::score_of_value(entry.bytes()), member);
        self.members.remove(hash, member)
    }

    /// Number of members before this one, if it is there.
    pub fn rank(&self, hasher: &KeyHasher, member: &[u8]) -> Option<usize> {
        let score = self.score(hasher, member)?;
        Some(self.order.rank(score, member))
    }

    /// Number of leading members for which `pred` holds; it must hold for no later one.
    #[inline]
    pub fn partition_point(&self, pred: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.order.partition_point(|entry| pred(entry.score(), entry.member()))
    }

    /// As [`Self::partition_point`] by the score alone: does not touch the members' memory.
    #[inline]
    pub fn partition_point_by_score(&self, pred: impl Fn(f64) -> bool) -> usize {
        self.order.partition_point(|entry| pred(entry.score()))
    }

    /// Scores and members from a rank on, ascending; none where it is too high.
    pub fn iter_from(&self, rank: usize) -> SortedSetIter<'_> {
        SortedSetIter(self.order.iter_from(rank, Direction::Ascending))
    }

    /// Scores and members from a rank on, descending; all of them where it is too high.
    pub fn iter_back_from(&self, rank: usize) -> SortedSetIter<'_> {
        SortedSetIter(self.order.iter_from(rank, Direction::Descending))
    }
}

/// Walks a sorted set in either direction.
pub struct SortedSetIter<'a>(RankedIter<'a>);

impl<'a> Iterator for SortedSetIter<'a> {
    type Item = (f64, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|entry| (entry.score(), entry.member()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<Vec<u8>, f64>;

    fn hasher() -> KeyHasher {
        KeyHasher::new(0x5eed)
    }

    fn name(member: usize) -> Vec<u8> {
        format!("member:{member}").into_bytes()
    }

    fn in_order(model: &Model) -> Vec<(f64, Vec<u8>)> {
        let mut all: Vec<_> = model.iter().map(|(member, &score)| (score, member.clone())).collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all
    }

    fn owned<'a>(members: impl Iterator<Item = (f64, &'a [u8])>) -> Vec<(f64, Vec<u8>)> {
        members.map(|(score, member)| (score, member.to_vec())).collect()
    }

    fn assert_agrees(set: &SortedSet, model: &Model) {
        let hasher = hasher();
        let expected = in_order(model);
        set.order.assert_sound();
        assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(owned(set.iter_from(0)), expected);
        for (rank, (score, member)) in expected.iter().enumerate() {
            assert_eq!(set.score(&hasher, member).map(f64::to_bits), Some(score.to_bits()));
            assert_eq!(set.rank(&hasher, member), Some(rank));
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Set { member: usize, score: f64 },
        Remove { member: usize },
        SetMany { first: usize, count: usize, step: f64 },
        RemoveMany { first: usize, count: usize },
    }

    fn score() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-5i32..5).prop_map(f64::from),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            any::<f64>().prop_filter("a number", |score| !score.is_nan()),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        let member = || 0..400usize;
        let count = || 0..400usize;
        prop_oneof![
            3 => (member(), score()).prop_map(|(member, score)| Op::Set { member, score }),
            2 => member().prop_map(|member| Op::Remove { member }),
            2 => (member(), count(), score()).prop_map(|(first, count, step)| Op::SetMany { first, count, step }),
            2 => (member(), count()).prop_map(|(first, count)| Op::RemoveMany { first, count }),
        ]
    }

    fn apply(set: &mut SortedSet, model: &mut Model, op: Op) {
        let hasher = hasher();
        match op {
            Op::Set { member, score } => {
                let member = name(member);
                let is_new = set.set(&hasher, &member, score);
                assert_eq!(is_new, !model.contains_key(&member));
                if model.get(&member) != Some(&score) {
                    model.insert(member, score);
                }
            }
            Op::Remove { member } => {
                let member = name(member);
                assert_eq!(set.remove(&hasher, &member), model.remove(&member).is_some());
            }
            Op::SetMany { first, count, step } => {
                for at in 0..count {
                    // Where the sum of infinities is no number, 0.
                    let score = (step * at as f64).max(f64::MIN);
                    apply(set, model, Op::Set { member: first + at, score });
                }
            }
            Op::RemoveMany { first, count } => {
                for member in first..first + count {
                    apply(set, model, Op::Remove { member });
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_sorted_set_does_what_a_sorted_list_does(
            ops in prop::collection::vec(op(), 1..30),
            bound in score(),
            rank in 0..900usize,
        ) {
            let (mut set, mut model) = (SortedSet::new(), Model::new());
            for op in ops {
                apply(&mut set, &mut model, op);
                set.order.assert_sound();
            }
            assert_agrees(&set, &model);

            let expected = in_order(&model);
            prop_assert_eq!(
                set.partition_point_by_score(|score| score < bound),
                expected.partition_point(|(score, _)| *score < bound)
            );
            let pivot = name(rank);
            prop_assert_eq!(
                set.partition_point(|score, member| (score, member) <= (bound, &pivot[..])),
                expected.partition_point(|(score, member)| (*score, member) <= (bound, &pivot))
            );
            prop_assert_eq!(owned(set.iter_from(rank)), expected.get(rank..).unwrap_or(&[]));
            let mut back = expected[..expected.len().min(rank + 1)].to_vec();
            back.reverse();
            prop_assert_eq!(owned(set.iter_back_from(rank)), back);
        }
    }

    #[test]
    fn thousands_of_members_come_and_go_in_any_order() {
        let (mut set, mut model) = (SortedSet::new(), Model::new());
        let mut dice = 1u64;
        for round in 0..30_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let member = (dice >> 33) as usize % 8000;
            let is_growing = round / 10_000 != 1;
            match dice >> 60 {
                0..4 if is_growing => apply(&mut set, &mut model, Op::Remove { member }),
                4.. if !is_growing => apply(&mut set, &mut model, Op::Remove { member }),
                _ => {
                    apply(&mut set, &mut model, Op::Set { member, score: (dice >> 20 & 0xfff) as f64 / 4.0 })
                }
            }
        }
        assert!(model.len() > 1000);
        assert_agrees(&set, &model);
        let members: Vec<_> = model.keys().cloned().collect();
        for member in members {
            assert!(set.remove(&hasher(), &member));
        }
        assert_eq!(set.used_bytes(), 0, "an empty set has no memory");
        assert!(set.iter_from(0).next().is_none() && set.iter_back_from(0).next().is_none());
    }

    #[test]
    fn a_score_that_is_the_same_number_stays_as_it_is() {
        let (mut set, hasher) = (SortedSet::new(), hasher());
        assert!(set.set(&hasher, b"zero", -0.0));
        assert!(!set.set(&hasher, b"zero", 0.0));
        assert!(set.score(&hasher, b"zero").unwrap().is_sign_negative());
        assert_eq!(set.score(&hasher, b"none"), None);
        assert_eq!(set.rank(&hasher, b"none"), None);
        assert!(!set.remove(&hasher, b"none"));
        let mut seen = Vec::new();
        set.members().scan(&hasher, crate::store::ScanPosition::START, 10, &mut |entry| {
            seen.push((entry.key().to_vec(), SortedSet::score_of_value(entry.bytes())));
        });
        assert_eq!(seen, [(b"zero".to_vec(), 0.0)]);
    }
}
