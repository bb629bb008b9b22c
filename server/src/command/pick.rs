//! Choosing items of a collection at random: HRANDFIELD, SRANDMEMBER, SPOP, ZRANDMEMBER.

use std::collections::BTreeSet;

use super::error::CommandError;
use super::exec::integer;
use super::tables::Dice;

/// Most items that may be wanted with repetition. Nothing else bounds such a reply, which is made in one turn: this one is
/// at least half a gigabyte already. (Redis makes longer ones, until memory ends.)
const REPEATED_MAX: usize = 100_000_000;

/// How many items are wanted, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PickCount {
    /// So many different ones, or all.
    Distinct(usize),
    /// So many, each chosen without regard to the others.
    Repeated(usize),
}

impl PickCount {
    /// A count of which the sign says how.
    ///
    /// # Errors
    /// It is no integer, or beyond what Redis takes.
    pub(super) fn parse(text: &[u8]) -> Result<Self, CommandError> {
        let count = integer(text)?;
        let size = usize::try_from(count.unsigned_abs()).map_err(|_| CommandError::OutOfRange)?;
        match count {
            0.. => Ok(Self::Distinct(size)),
            i64::MIN => Err(CommandError::CountRange),
            _ if size > REPEATED_MAX => Err(CommandError::OutOfRange),
            _ => Ok(Self::Repeated(size)),
        }
    }

    /// Whether twice as many are still a count, as the reply has two elements for each.
    ///
    /// # Errors
    /// They are not.
    pub(super) fn check_pairs(self) -> Result<(), CommandError> {
        let (Self::Distinct(count) | Self::Repeated(count)) = self;
        if count > i64::MAX as usize / 2 { Err(CommandError::OutOfRange) } else { Ok(()) }
    }

    /// How many items that gives of a collection of `len`.
    pub(super) fn len_of(self, len: usize) -> usize {
        match self {
            Self::Distinct(count) => count.min(len),
            Self::Repeated(count) => count,
        }
    }
}

/// `count` different numbers below `len`, or all of them, ascending; every such choice is equally likely.
pub(super) fn pick_indices(count: usize, len: usize, dice: &mut Dice) -> Vec<usize> {
    if count >= len {
        return (0..len).collect();
    }
    // Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", 1987).
    let mut chosen = BTreeSet::new();
    for last in len - count..len {
        let index = (dice.roll() % (last as u64 + 1)) as usize;
        chosen.insert(if chosen.contains(&index) { last } else { index });
    }
    chosen.into_iter().collect()
}

/// The items at those indices, which ascend.
pub(super) fn at_indices<I: Iterator>(mut items: I, indices: &[usize]) -> impl Iterator<Item = I::Item> {
    let mut next = 0;
    indices.iter().map_while(move |&index| {
        let item = items.nth(index - next);
        next = index + 1;
        item
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_chosen_about_as_often() {
        let mut dice = Dice::new(3);
        let mut seen = [0; 10];
        for _ in 0..3000 {
            let indices = pick_indices(3, 10, &mut dice);
            assert!(indices.len() == 3 && indices.is_sorted_by(|a, b| a < b));
            indices.iter().for_each(|&index| seen[index] += 1);
        }
        assert!(seen.iter().all(|times| (700..1100).contains(times)), "{seen:?}");
        assert_eq!(pick_indices(12, 4, &mut dice), [0, 1, 2, 3]);
        assert_eq!(at_indices("abcdef".chars(), &[0, 2, 5]).collect::<String>(), "acf");
    }
}
