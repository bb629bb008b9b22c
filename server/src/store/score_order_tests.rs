use super::*;
use crate::store::NewValue;
use crate::store::entry::Entry;
use crate::store::fitting::array_bytes;
use crate::store::score_level::{GROUP_LEAVES_MAX, LEAF_ENTRIES_MAX};

impl ScoreOrder {
    /// Checks all that must always hold, by counting everything instead of believing the sums.
    pub(in crate::store) fn assert_sound(&self) {
        let groups = &self.groups;
        assert_known(groups);
        for group in &groups.children {
            assert!((1..=GROUP_LEAVES_MAX).contains(&group.children.len()));
            assert_known(group);
            assert!(group.children.iter().all(|leaf| (1..=LEAF_ENTRIES_MAX).contains(&leaf.entries.len())));
        }
        let entries: Vec<_> = self.iter_from(0, Direction::Ascending).collect();
        assert_eq!(entries.len(), groups.len);
        assert!(entries.is_sorted_by(|a, b| a.compare(b.score, b.member()).is_lt()));
        let leaves = || groups.children.iter().flat_map(|group| &group.children);
        let counted = own_bytes(groups)
            + groups.children.iter().map(own_bytes).sum::<usize>()
            + leaves().map(|leaf| array_bytes(&leaf.entries)).sum::<usize>();
        assert_eq!(self.heap_bytes(), counted);
    }

    fn leaf_lens(&self) -> Vec<usize> {
        let leaves = self.groups.children.iter().flat_map(|group| &group.children);
        leaves.map(|leaf| leaf.entries.len()).collect()
    }
}

fn own_bytes<C>(level: &Level<C>) -> usize {
    array_bytes(&level.children) + array_bytes(&level.lens) + array_bytes(&level.firsts)
}

fn assert_known<C: Part>(level: &Level<C>) {
    assert_eq!(level.lens.len(), level.children.len());
    assert_eq!(level.firsts.len(), level.children.len());
    for (at, child) in level.children.iter().enumerate() {
        assert_eq!(level.lens[at] as usize, child.len());
        let first = child.first().expect("not empty");
        assert!(level.firsts[at].compare(first.score, first.member()).is_eq());
    }
    assert_eq!(level.len, level.children.iter().map(C::len).sum::<usize>());
}

/// Entries of those scores with the empty member, and who owns them.
fn entries(scores: impl IntoIterator<Item = usize>) -> (Vec<Entry>, Vec<Ranked>) {
    let (mut owners, mut ranked) = (Vec::new(), Vec::new());
    for score in scores {
        let owner = Entry::new(0, b"", NewValue::String(b"12345678"), None);
        // SAFETY: nothing changes the entry, and the tests keep its owner longer than the order.
        ranked.push(unsafe { Ranked::new(score as f64, owner.as_ref()) });
        owners.push(owner);
    }
    (owners, ranked)
}

#[test]
fn rising_scores_fill_their_leaves_and_groups() {
    const COUNT: usize = 20 * LEAF_ENTRIES_MAX * GROUP_LEAVES_MAX;
    let (_owners, ranked) = entries(0..COUNT);
    let mut order = ScoreOrder::default();
    for entry in ranked {
        order.insert(entry);
        order.assert_sound();
    }
    assert!(order.leaf_lens().iter().all(|&len| len == LEAF_ENTRIES_MAX));
    assert_eq!(order.groups.children.len(), 20);
}

#[test]
fn leaves_are_half_full_at_least_while_an_order_grows_anywhere() {
    const COUNT: usize = 8 * LEAF_ENTRIES_MAX * GROUP_LEAVES_MAX;
    // Falling, and by steps that come to every number once.
    for step in [COUNT - 1, 179] {
        let (_owners, ranked) = entries((1..=COUNT).map(|at| at * step % COUNT));
        let mut order = ScoreOrder::default();
        for entry in ranked {
            order.insert(entry);
        }
        order.assert_sound();
        let lens = order.leaf_lens();
        let sparse = lens.iter().filter(|&&len| len < LEAF_ENTRIES_MAX / 2).count();
        assert!(sparse <= 1, "{sparse} of {}", lens.len());
    }
}

#[test]
fn what_has_become_sparse_joins_its_neighbours() {
    const COUNT: usize = 20 * LEAF_ENTRIES_MAX * GROUP_LEAVES_MAX;
    let (_owners, ranked) = entries(0..COUNT);
    let mut order = ScoreOrder::default();
    for entry in ranked {
        order.insert(entry);
    }
    let full_bytes = order.heap_bytes();
    for score in (0..COUNT).filter(|score| score % 10 != 0) {
        order.remove(score as f64, b"");
        order.assert_sound();
    }
    assert_eq!(order.iter_from(0, Direction::Ascending).count(), COUNT / 10);
    assert!(order.leaf_lens().len() < 20 * GROUP_LEAVES_MAX / 3, "{:?}", order.leaf_lens());
    assert!(order.groups.children.len() < 20 / 2, "{} groups", order.groups.children.len());
    assert!(order.heap_bytes() < full_bytes / 3);
}

#[test]
fn a_score_that_keeps_its_place_within_a_leaf_is_changed_there() {
    let (_owners, ranked) = entries([0, 10, 20, 30]);
    let mut order = ScoreOrder::default();
    ranked.into_iter().for_each(|entry| order.insert(entry));
    assert!(order.rescore_in_place(10.0, b"", 15.0));
    assert!(!order.rescore_in_place(15.0, b"", 20.0), "equal scores are for the members to decide");
    assert!(!order.rescore_in_place(15.0, b"", 25.0));
    assert!(!order.rescore_in_place(0.0, b"", 5.0), "the first is known above");
    assert!(!order.rescore_in_place(30.0, b"", 31.0), "what follows is elsewhere");
    assert_eq!(
        order.iter_from(0, Direction::Ascending).map(Ranked::score).collect::<Vec<_>>(),
        [0.0, 15.0, 20.0, 30.0]
    );
    assert_eq!(order.rank(15.0, b""), 1);
    order.assert_sound();
}
