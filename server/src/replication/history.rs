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
pub struct EpochHistory {
    starts: Vec<(Epoch, Seq)>,
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
}
