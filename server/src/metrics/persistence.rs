//! What became of checkpoints, for INFO and LASTSAVE.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};

/// What a checkpoint was asked for as: both are the same, but Redis' clients watch them under different names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckpointKind {
    /// SAVE, BGSAVE, or the setting `save`.
    Save,
    /// BGREWRITEAOF, or the growth of the log.
    Rewrite,
}

impl CheckpointKind {
    const ALL: [Self; 2] = [Self::Save, Self::Rewrite];

    fn index(self) -> usize {
        self as usize
    }
}

/// What became of the checkpoints of one kind.
#[derive(Debug)]
struct Outcomes {
    is_ok: AtomicBool,
    seconds: AtomicI64,
    is_scheduled: AtomicBool,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self {
            is_ok: AtomicBool::new(true),
            seconds: AtomicI64::new(-1),
            is_scheduled: AtomicBool::new(false),
        }
    }
}

/// Written by the control thread.
#[derive(Debug, Default)]
pub struct Persistence {
    /// 0 while none is under way, else one more than its kind's index.
    running: AtomicU8,
    started_unix_s: AtomicU64,
    last_unix_s: AtomicU64,
    count: AtomicU64,
    changes_before: AtomicU64,
    outcomes: [Outcomes; 2],
}

impl Persistence {
    /// What the start has read counts as saved.
    pub fn loaded(&self, unix_ms: u64, changes: u64) {
        self.last_unix_s.store(unix_ms / 1000, Ordering::Relaxed);
        self.changes_before.store(changes, Ordering::Relaxed);
    }

    /// One begins.
    pub fn begin(&self, kind: CheckpointKind, unix_ms: u64) {
        self.started_unix_s.store(unix_ms / 1000, Ordering::Relaxed);
        self.outcomes[kind.index()].is_scheduled.store(false, Ordering::Relaxed);
        self.running.store(kind.index() as u8 + 1, Ordering::Relaxed);
    }

    /// It has ended. `changes` is how many there had been when it began.
    pub fn end(&self, is_ok: bool, unix_ms: u64, changes: u64) {
        let Some(kind) = self.running() else { return };
        let outcomes = &self.outcomes[kind.index()];
        outcomes.is_ok.store(is_ok, Ordering::Relaxed);
        outcomes.seconds.store(self.running_s(unix_ms), Ordering::Relaxed);
        if is_ok {
            self.last_unix_s.store(unix_ms / 1000, Ordering::Relaxed);
            self.changes_before.store(changes, Ordering::Relaxed);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        self.running.store(0, Ordering::Relaxed);
    }

    /// One is to begin when the present one has ended.
    pub fn schedule(&self, kind: CheckpointKind) {
        self.outcomes[kind.index()].is_scheduled.store(true, Ordering::Relaxed);
    }

    /// Whether one is to begin.
    pub fn is_scheduled(&self, kind: CheckpointKind) -> bool {
        self.outcomes[kind.index()].is_scheduled.load(Ordering::Relaxed)
    }

    /// The kind of the one under way.
    pub fn running(&self) -> Option<CheckpointKind> {
        let running = self.running.load(Ordering::Relaxed).checked_sub(1)?;
        CheckpointKind::ALL.get(usize::from(running)).copied()
    }

    /// Seconds that the one under way has taken.
    pub fn running_s(&self, unix_ms: u64) -> i64 {
        (unix_ms / 1000).saturating_sub(self.started_unix_s.load(Ordering::Relaxed)) as i64
    }

    /// Whether the last one of that kind succeeded; none is a success.
    pub fn is_ok(&self, kind: CheckpointKind) -> bool {
        self.outcomes[kind.index()].is_ok.load(Ordering::Relaxed)
    }

    /// Seconds that the last one of that kind took; -1 where there was none.
    pub fn seconds(&self, kind: CheckpointKind) -> i64 {
        self.outcomes[kind.index()].seconds.load(Ordering::Relaxed)
    }

    /// When the last one succeeded, in Unix seconds; the start counts as one.
    pub fn last_unix_s(&self) -> u64 {
        self.last_unix_s.load(Ordering::Relaxed)
    }

    /// How many succeeded.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Of so many changes since the start, those that the last one may lack.
    pub fn changes_since(&self, changes: u64) -> u64 {
        changes.saturating_sub(self.changes_before.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_fails_leaves_the_last_one_as_it_was() {
        let persistence = Persistence::default();
        persistence.loaded(1_000, 0);
        persistence.begin(CheckpointKind::Rewrite, 5_000);
        assert_eq!(persistence.running(), Some(CheckpointKind::Rewrite));
        persistence.end(true, 8_000, 7);
        let state = |p: &Persistence| (p.last_unix_s(), p.changes_since(10), p.count());
        assert_eq!(state(&persistence), (8, 3, 1));
        persistence.schedule(CheckpointKind::Save);
        persistence.begin(CheckpointKind::Save, 9_000);
        assert!(!persistence.is_scheduled(CheckpointKind::Save));
        persistence.end(false, 10_000, 10);
        assert_eq!(state(&persistence), (8, 3, 1));
        assert_eq!((persistence.running(), persistence.is_ok(CheckpointKind::Save)), (None, false));
        let rewrite = CheckpointKind::Rewrite;
        assert!(persistence.is_ok(rewrite));
        assert_eq!((persistence.seconds(rewrite), persistence.seconds(CheckpointKind::Save)), (3, 1));
    }
}
