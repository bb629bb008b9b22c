//! What nobody needs any more, taken apart a little at a time.
//!
//! Freeing millions of entries takes a good part of a second, which no turn of an event loop can spare: so a dropped
//! table or list of more than a few entries only goes here, whatever it was dropped for (DEL of a big hash, FLUSHALL, an
//! expiry, a slot that has moved away), and its thread [`sweep`]s when it has time. What waits here counts as freed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::list::List;
use super::score_order::ScoreOrder;
use super::table::Table;

/// What has fewer entries is freed at once.
const FEW_ENTRIES: usize = 16;

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
    /// Frees about `budget` entries, in pieces of some hundreds; returns how many.
    fn take_apart(&mut self, budget: usize) -> usize {
        match self {
            Self::Table(table) => table.take_apart(budget),
            Self::List(list) => list.take_apart(budget),
            Self::Order(order) => order.take_apart(budget),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Table(table) => table.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Order(order) => order.is_empty(),
        }
    }
}

thread_local! {
    /// Entries that wait.
    static WAITING: Cell<usize> = const { Cell::new(0) };
    static GRAVES: RefCell<VecDeque<Grave>> = const { RefCell::new(VecDeque::new()) };
}

/// Takes what is being dropped and has `len` entries, if they are worth it; leaves something small in its place.
#[inline]
pub(super) fn bury<T: Default>(dropped: &mut T, len: usize, grave: fn(T) -> Grave) {
    if len > FEW_ENTRIES {
        bury_large(grave(std::mem::take(dropped)), len);
    }
}

#[cold]
fn bury_large(grave: Grave, len: usize) {
    let mut grave = Some(grave);
    // Borrowed only while nothing is dropped, see `sweep`.
    let _ = GRAVES.try_with(|graves| {
        graves.borrow_mut().push_back(grave.take().expect("called once"));
        WAITING.set(WAITING.get() + len);
    });
    // Where the thread is ending already, it goes now.
    if let Some(mut grave) = grave {
        grave.take_apart(usize::MAX);
    }
}

/// Frees about `budget` entries of what this thread has dropped, or more where much waits: whoever drops a lot all the
/// time pays for it, and what waits stays bounded. Returns whether there is more.
pub fn sweep(budget: usize) -> bool {
    /// The part of all that waits which goes at least.
    const PART: usize = 16;
    let budget = budget.max(WAITING.get() / PART);
    let mut freed = 0;
    while freed < budget {
        let Some(mut grave) = GRAVES.with_borrow_mut(VecDeque::pop_front) else { return false };
        // Entries may own tables, which come here too: so the graves are not borrowed meanwhile.
        let gone = grave.take_apart(budget - freed);
        freed += gone;
        WAITING.set(WAITING.get() - gone);
        if !grave.is_empty() {
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
        // 40 keys and 5,000 fields, a segment of at most 512 at a time.
        let mut steps = 1;
        while sweep(100) {
            steps += 1;
        }
        assert!((9..=52).contains(&steps), "{steps} steps");
        assert_eq!(WAITING.get(), 0, "what waits is counted");
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
