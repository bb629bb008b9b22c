//! Clients that are to wait: `CLIENT PAUSE`.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a pause holds back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PauseKind {
    /// Commands that may change data.
    Writes,
    /// All commands.
    All,
}

/// The pause in force, if any. One word, so that every shard reads it without a lock.
#[derive(Default)]
pub struct Pause(AtomicU64);

/// The lowest bit says that it holds back everything; the others are Unix time in milliseconds.
const ALL: u64 = 1;

impl Pause {
    /// Begins a pause. One in force is never made shorter or weaker, as in Redis.
    pub fn begin(&self, now_ms: u64, until_ms: u64, kind: PauseKind) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (until, all) = match self.read(word, now_ms) {
                Some((until, before)) => (until.max(until_ms), before.max(kind) == PauseKind::All),
                None => (until_ms, kind == PauseKind::All),
            };
            Some(until << 1 | u64::from(all))
        });
    }

    /// Ends it at once.
    pub fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// What is held back now.
    #[inline]
    pub fn kind(&self, now_ms: u64) -> Option<PauseKind> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            word => self.read(word, now_ms).map(|(_, kind)| kind),
        }
    }

    fn read(&self, word: u64, now_ms: u64) -> Option<(u64, PauseKind)> {
        let kind = if word & ALL == 0 { PauseKind::Writes } else { PauseKind::All };
        (word >> 1 > now_ms).then_some((word >> 1, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_shortened_or_weakened_by_another() {
        let pause = Pause::default();
        assert_eq!(pause.kind(0), None);
        pause.begin(100, 200, PauseKind::All);
        pause.begin(110, 150, PauseKind::Writes);
        assert_eq!((pause.kind(199), pause.kind(200)), (Some(PauseKind::All), None));
        // The one before is over, and no longer counts.
        pause.begin(300, 400, PauseKind::Writes);
        assert_eq!(pause.kind(399), Some(PauseKind::Writes));
        pause.end();
        assert_eq!(pause.kind(300), None);
    }
}
