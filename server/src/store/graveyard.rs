//! What nobody needs any more, taken apart a little at a time.
//!
//! Freeing millions of entries takes a good part of a second, which no turn of an event loop can spare: so a dropped
//! table or list of more than a few entries only goes here, whatever it was dropped for (DEL of a big hash, FLUSHALL, an
//! expiry, a slot that has moved away), and its thread [`sweep`]s once per turn. What waits here counts as freed.
//!
//! A sweep frees a bounded number of *pieces* (an entry, a run of a list, a leaf of a sorted set), however many wait: a
//! share of what waits would be a long step where much does. That alone would let memory grow without bound under
//! whoever makes and drops more than a sweep frees. So while something waits, each piece that is made must be paid for
//! by another one freed: a sweep frees up to [`PAYING`] times as many as long as more were made than freed since the
//! first came here, and where that difference comes to [`LEAD_MAX`], it frees all that is above at once. So what is
//! allocated exceeds what was allocated when something began to wait by that number of pieces at most, and whoever gets
//! there, by making and dropping millions of pieces per turn, has turns of that length without it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::list::List;
use super::score_order::ScoreOrder;
use super::table::Table;

/// What has fewer entries is freed at once.
const FEW_ENTRIES: usize = 16;

/// How many times its budget a sweep frees while more was made than freed.
const PAYING: usize = 4;

/// How many more pieces may have been made than freed since something waits.
const LEAD_MAX: usize = if cfg!(test) { 100_000 } else { 4_000_000 };

/// Bytes of an entry that are as much work to free as another entry.
const PIECE_BYTES: usize = 16 * 1024;

/// Something that is freed in steps.
pub(super) enum Grave {
    /// A slot's keys, or the items of a big hash or set.
    Table(Table),
    /// A big list, or groups of one.
    List(List),
    /// The order of a big sorted set.
    Order(ScoreOrder),
}

impl Grave {
    /// Frees pieces until `budget` is spent, at least one; returns how many. What is left of the budget stays in it.
    fn take_apart(&mut self, budget: &mut usize) -> usize {
        match self {
            Self::Table(table) => table.take_apart(budget),
            Self::List(list) => list.take_apart(budget),
            Self::Order(order) => order.take_apart(budget),
        }
    }

    /// Number of pieces.
    fn pieces(&self) -> usize {
        match self {
            Self::Table(table) => table.len(),
            Self::List(list) => list.pieces(),
            Self::Order(order) => order.pieces(),
        }
    }
}

/// What freeing an entry of so many bytes costs of a budget.
#[inline]
pub(super) fn cost_of(bytes: usize) -> usize {
    1 + bytes / PIECE_BYTES
}

thread_local! {
    /// Pieces that wait.
    static WAITING: Cell<usize> = const { Cell::new(0) };
    /// Pieces that were made, and those that were freed here, since something waits.
    static MADE: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
    static GRAVES: RefCell<VecDeque<Grave>> = const { RefCell::new(VecDeque::new()) };
}

/// Takes what is being dropped and has `len` items, if they are worth it; leaves something small in its place.
#[inline]
pub(super) fn bury<T: Default>(dropped: &mut T, len: usize, grave: fn(T) -> Grave) {
    if len > FEW_ENTRIES {
        bury_large(grave(std::mem::take(dropped)));
    }
}

#[cold]
fn bury_large(grave: Grave) {
    let pieces = grave.pieces();
    let mut grave = Some(grave);
    // Borrowed only while nothing is dropped, see `sweep`.
    let _ = GRAVES.try_with(|graves| {
        graves.borrow_mut().push_back(grave.take().expect("called once"));
        if WAITING.get() == 0 {
            MADE.set(0);
            FREED.set(0);
        }
        WAITING.set(WAITING.get() + pieces);
    });
    // Where the thread is ending already, it goes now.
    if let Some(mut grave) = grave {
        let mut budget = usize::MAX;
        grave.take_apart(&mut budget);
    }
}

/// A piece is made.
#[inline]
pub(super) fn count_made() {
    MADE.set(MADE.get().wrapping_add(1));
}

/// Pieces that this thread has dropped and not freed yet.
pub fn waiting() -> usize {
    WAITING.get()
}

/// Frees about `budget` pieces of what this thread has dropped, or more where as many were made; see the head of the
/// file. Returns whether there is more.
pub fn sweep(budget: usize) -> bool {
    let lead = MADE.get().saturating_sub(FREED.get());
    let paid = budget.saturating_add(lead).min(budget.saturating_mul(PAYING));
    let mut left = paid.max(lead.saturating_sub(LEAD_MAX));
    while left > 0 {
        let Some(mut grave) = GRAVES.with_borrow_mut(VecDeque::pop_front) else { return false };
        // Entries may own tables, which come here too: so the graves are not borrowed meanwhile.
        let gone = grave.take_apart(&mut left);
        FREED.set(FREED.get() + gone);
        WAITING.set(WAITING.get() - gone);
        if grave.pieces() > 0 {
            GRAVES.with_borrow_mut(|graves| graves.push_front(grave));
        }
    }
    GRAVES.with_borrow_mut(|graves| {
        if graves.is_empty() {
            graves.shrink_to(0);
        }
        !graves.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::KeyHasher;

    #[test]
    fn a_dropped_table_is_freed_step_by_step_with_all_that_is_in_it() {
        while sweep(usize::MAX) {}
        let hasher = KeyHasher::new(3);
        let mut table = Table::new();
        let fields: Vec<_> = (0..5000).map(|i| i.to_string().into_bytes()).collect();
        let pairs = || fields.iter().map(|field| (&field[..], &b"value"[..]));
        for key in 0..40u8 {
            table.hash_set(
                &hasher,
                hasher.hash(&[key]),
                &[key],
                pairs().take(if key == 7 { 5000 } else { 1 }),
            );
        }
        assert!(!sweep(1), "nothing was dropped");
        drop(table);
        // 40 keys and 5,000 fields.
        let mut steps = 1;
        while sweep(100) {
            steps += 1;
        }
        assert!((50..=52).contains(&steps), "{steps} steps");
        assert_eq!(waiting(), 0, "what waits is counted");
    }

    /// One big collection of each kind.
    fn big_ones(items: usize) -> Table {
        let hasher = KeyHasher::new(3);
        let mut table = Table::new();
        let names: Vec<_> = (0..items).map(|i| format!("item {i}").into_bytes()).collect();
        let all = || names.iter().map(Vec::as_slice);
        table.hash_set(&hasher, hasher.hash(b"h"), b"h", all().map(|name| (name, name)));
        table.set_add(&hasher, hasher.hash(b"s"), b"s", all());
        table.sorted_set_set(&hasher, hasher.hash(b"z"), b"z", all().map(|name| (1.0, name)));
        table.list_splice(&hasher, hasher.hash(b"l"), b"l", 0, 0, all());
        table
    }

    #[test]
    fn no_sweep_frees_more_than_it_may_however_much_waits() {
        while sweep(usize::MAX) {}
        let mut table = big_ones(30_000);
        let hasher = KeyHasher::new(3);
        for key in [&b"h"[..], b"s", b"z", b"l"] {
            table.remove(hasher.hash(key), key);
        }
        assert!(waiting() > 90_000);
        let mut before = waiting();
        while sweep(500) {
            // A group of a list or of an order goes as one.
            assert!(before - waiting() <= 500 + 256, "{} pieces at once", before - waiting());
            before = waiting();
        }
        assert!(waiting() == 0 && before <= 500 + 256);
    }

    #[test]
    fn long_values_count_for_more() {
        while sweep(usize::MAX) {}
        let hasher = KeyHasher::new(3);
        let mut table = Table::new();
        for i in 0..100u8 {
            table.set(&hasher, hasher.hash(&[i]), &[i], &vec![0; 10 * PIECE_BYTES], None);
        }
        drop(table);
        let before = waiting();
        assert!(sweep(50));
        assert!((4..=5).contains(&(before - waiting())));
        while sweep(usize::MAX) {}
    }

    #[test]
    fn who_makes_and_drops_all_the_time_pays_for_it() {
        const MADE_PER_TURN: usize = 5_000;
        while sweep(usize::MAX) {}
        drop(big_ones(20_000));
        let (began, hasher) = (waiting(), KeyHasher::new(3));
        for turn in 0..200u32 {
            let mut table = Table::new();
            for i in 0..MADE_PER_TURN {
                let key = format!("{turn} {i}").into_bytes();
                table.set(&hasher, hasher.hash(&key), &key, b"", None);
            }
            drop(table);
            // A tenth of what a turn makes.
            sweep(MADE_PER_TURN / 10);
            assert!(waiting() <= began + LEAD_MAX + 2 * MADE_PER_TURN, "turn {turn}: {} wait", waiting());
        }
        assert!(waiting() > LEAD_MAX, "it came to that");
        while sweep(usize::MAX) {}
    }

    #[test]
    fn a_big_value_that_is_removed_or_overwritten_waits_for_its_turn() {
        while sweep(usize::MAX) {}
        let hasher = KeyHasher::new(3);
        let (hash, mut table) = (hasher.hash(b"key"), Table::new());
        let members: Vec<_> = (0..2000).map(|i| format!("member {i}").into_bytes()).collect();
        for round in 0..2 {
            table.set_add(&hasher, hash, b"key", members.iter().map(Vec::as_slice));
            if round == 0 {
                assert!(table.remove(hash, b"key"));
                assert_eq!((table.len(), table.used_bytes()), (0, 0));
            } else {
                table.set(&hasher, hash, b"key", b"text", None);
            }
            assert!(sweep(1), "round {round}");
            while sweep(usize::MAX) {}
        }
    }
}
