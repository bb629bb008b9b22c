//! Epoch history of a copy: at which seq each epoch began.
//!
//! A replica's last position alone does not tell whether its records are the primary's: a deposed primary may
//! have written the same seqs in an older epoch. With the history the question is exact: a position is on the
//! history if its epoch began at or before it and the next epoch began after it. (The same idea as Kafka's
//! leader-epoch cache, KIP-101.)

use carousel_protocol::{Epoch, Position, Seq};
use serde::{Deserialize, Serialize};

/// Older epochs than this many are forgotten; a copy that old is transferred anew.
const EPOCHS_MAX: usize = 8;

/// The latest epochs of a copy with the seq at which each began, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Starts")]
pub struct EpochHistory {
    starts: Vec<(Epoch, Seq)>,
}

/// A history as it arrives: whatever another node, or a file, says.
#[derive(Deserialize)]
struct Starts {
    starts: Vec<(Epoch, Seq)>,
}

/// Numbers that are the history of no copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an epoch history must grow, from epoch 1 and seq 1, and have at most {EPOCHS_MAX} epochs")]
pub struct HistoryError;

impl TryFrom<Starts> for EpochHistory {
    type Error = HistoryError;

    fn try_from(Starts { starts }: Starts) -> Result<Self, HistoryError> {
        let grows = starts.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        let begins_well = starts.first().is_none_or(|first| first.0 > Epoch(0) && first.1 > Seq(0));
        if starts.len() > EPOCHS_MAX || !grows || !begins_well {
            return Err(HistoryError);
        }
        Ok(Self { starts })
    }
}

impl EpochHistory {
    /// `epoch` begins with the record at `first`. Epochs only grow.
    pub fn begin(&mut self, epoch: Epoch, first: Seq) {
        assert!(self.starts.last().is_none_or(|last| last.0 < epoch && last.1 <= first), "epochs only grow");
        if self.starts.len() == EPOCHS_MAX {
            self.starts.remove(0);
        }
        self.starts.push((epoch, first));
    }

    /// Epoch of the last record; zero where there is none.
    pub fn last_epoch(&self) -> Epoch {
        self.starts.last().map_or(Epoch(0), |last| last.0)
    }

    /// Can a copy with this history stand at `position`?
    pub fn leads_to(&self, position: Position) -> bool {
        self.last_epoch() == position.epoch
            && self.starts.last().is_none_or(|last| last.1 <= position.seq)
            && position.seq.0 < u64::MAX // there is a next record
    }

    /// Is `position` a prefix of the copy with this history that ends at `last_seq`?
    pub fn contains(&self, position: Position, last_seq: Seq) -> bool {
        if position == Position::default() {
            // Nothing at all is a prefix of everything.
            return true;
        }
        let Some(i) = self.starts.iter().position(|start| start.0 == position.epoch) else { return false };
        let end = self.starts.get(i + 1).map_or(last_seq, |next| Seq(next.1.0 - 1));
        self.starts[i].1 <= position.seq && position.seq <= end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, seq: u64) -> Position {
        Position { epoch: Epoch(epoch), seq: Seq(seq) }
    }

    #[test]
    fn a_deposed_primarys_extra_records_are_off_the_history() {
        let mut history = EpochHistory::default();
        history.begin(Epoch(3), Seq(1));
        history.begin(Epoch(7), Seq(11));
        assert!(history.contains(at(3, 10), Seq(20)));
        assert!(!history.contains(at(3, 11), Seq(20)), "epoch 7 wrote seq 11");
        assert!(history.contains(at(7, 20), Seq(20)));
        assert!(!history.contains(at(7, 21), Seq(20)), "beyond the end");
        assert!(!history.contains(at(5, 10), Seq(20)), "an epoch that never was");
        assert!(history.contains(at(0, 0), Seq(20)));
    }

    #[test]
    fn only_the_latest_epochs_are_known() {
        let mut history = EpochHistory::default();
        for epoch in 1..=20 {
            history.begin(Epoch(epoch), Seq(epoch * 10));
        }
        assert!(!history.contains(at(1, 10), Seq(500)));
        assert!(history.contains(at(20, 200), Seq(500)));
    }

    #[test]
    fn only_numbers_that_grow_decode_as_a_history() {
        let mut history = EpochHistory::default();
        history.begin(Epoch(3), Seq(1));
        history.begin(Epoch(7), Seq(1));
        let bytes = postcard::to_stdvec(&history).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(history.clone()));
        assert!(history.leads_to(at(7, 1)) && history.leads_to(at(7, 9)));
        assert!(
            !history.leads_to(at(7, 0)) && !history.leads_to(at(3, 9)) && !history.leads_to(at(7, u64::MAX))
        );
        let nine = (1..=9).map(|i| (i, i)).collect();
        for starts in [
            vec![(3, 5), (3, 6)],
            vec![(3, 5), (2, 6)],
            vec![(3, 5), (4, 4)],
            vec![(3, 0)],
            vec![(0, 1)],
            nine,
        ] {
            let starts: Vec<_> = starts.into_iter().map(|(epoch, seq)| (Epoch(epoch), Seq(seq))).collect();
            let bytes = postcard::to_stdvec(&EpochHistory { starts }).unwrap();
            assert!(postcard::from_bytes::<EpochHistory>(&bytes).is_err());
        }
    }
}
