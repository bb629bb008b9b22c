//! Some neighbouring runs of a list.

use std::collections::VecDeque;

use super::run::Run;
use crate::store::size_class::class_bytes;

/// Most runs of a group. Bounds what inserting a run moves, and makes the groups of even a huge list few.
pub(super) const GROUP_RUNS_MAX: usize = 128;

/// Runs with the sums over them.
#[derive(Default)]
pub(super) struct Group {
    runs: VecDeque<Run>,
    len: usize,
    runs_bytes: usize,
}

impl Group {
    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn runs(&self) -> &VecDeque<Run> {
        &self.runs
    }

    /// Bytes taken from the allocator, for the runs and what is in them.
    pub(super) fn heap_bytes(&self) -> usize {
        self.runs_bytes + deque_bytes(&self.runs)
    }

    /// Changes a run and keeps the sums right.
    pub(super) fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Run) -> R) -> R {
        let run = &mut self.runs[at];
        self.len -= run.len();
        self.runs_bytes -= run.heap_bytes();
        let result = change(run);
        self.len += run.len();
        self.runs_bytes += run.heap_bytes();
        result
    }

    pub(super) fn insert(&mut self, at: usize, run: Run) {
        self.len += run.len();
        self.runs_bytes += run.heap_bytes();
        self.runs.insert(at, run);
    }

    pub(super) fn push(&mut self, run: Run) {
        self.insert(self.runs.len(), run);
    }

    /// Takes a run out.
    pub(super) fn take(&mut self, at: usize) -> Run {
        let run = self.runs.remove(at).expect("a run of the group");
        self.len -= run.len();
        self.runs_bytes -= run.heap_bytes();
        shrink(&mut self.runs);
        run
    }

    /// Takes the runs from an index on out.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let mut tail = Self::default();
        self.runs.drain(at..).for_each(|run| tail.push(run));
        self.len -= tail.len;
        self.runs_bytes -= tail.runs_bytes;
        shrink(&mut self.runs);
        tail
    }

    /// Appends another group's runs.
    pub(super) fn append(&mut self, other: Self) {
        other.runs.into_iter().for_each(|run| self.push(run));
    }
}

/// Bytes that the elements' array takes from the allocator.
pub(super) fn deque_bytes<T>(deque: &VecDeque<T>) -> usize {
    match deque.capacity() * size_of::<T>() {
        0 => 0,
        bytes => class_bytes(bytes),
    }
}

/// Gives room back where three quarters of it are not used.
pub(super) fn shrink<T>(deque: &mut VecDeque<T>) {
    const KEEP: usize = 8;
    if deque.capacity() > KEEP && deque.len() <= deque.capacity() / 4 {
        deque.shrink_to((2 * deque.len()).max(KEEP));
    }
}
