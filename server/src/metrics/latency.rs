//! Spikes of latency by what caused them: `LATENCY LATEST` and its like.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Spikes kept per event, as in Redis.
const SPIKES_MAX: usize = 160;

/// A moment at which something took long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spike {
    /// Unix time in seconds.
    pub unix_s: u64,
    /// How long it took; the longest of that second.
    pub ms: u64,
}

/// The spikes of one event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Series {
    /// The last ones, oldest first; never empty.
    pub spikes: VecDeque<Spike>,
    /// The longest since the last reset.
    pub longest_ms: u64,
}

/// All events. Touched only when something took longer than `latency-monitor-threshold`.
#[derive(Default)]
pub struct LatencyMonitor(Mutex<BTreeMap<&'static str, Series>>);

impl LatencyMonitor {
    /// Notes a spike; of those within a second only the longest is kept.
    pub fn note(&self, event: &'static str, unix_s: u64, ms: u64) {
        let mut events = self.lock();
        let series = events.entry(event).or_default();
        series.longest_ms = series.longest_ms.max(ms);
        match series.spikes.back_mut() {
            Some(last) if last.unix_s == unix_s => last.ms = last.ms.max(ms),
            _ => {
                if series.spikes.len() == SPIKES_MAX {
                    series.spikes.pop_front();
                }
                series.spikes.push_back(Spike { unix_s, ms });
            }
        }
    }

    /// All events by name.
    pub fn all(&self) -> BTreeMap<&'static str, Series> {
        self.lock().clone()
    }

    /// Forgets the events for which `which` says so; returns how many.
    pub fn forget(&self, which: impl Fn(&str) -> bool) -> usize {
        let mut events = self.lock();
        let before = events.len();
        events.retain(|event, _| !which(event));
        before - events.len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Series>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_spike_and_the_longest_is_remembered() {
        let monitor = LatencyMonitor::default();
        [(10, 5), (10, 9), (10, 7), (11, 3)]
            .into_iter()
            .for_each(|(unix_s, ms)| monitor.note("command", unix_s, ms));
        let series = &monitor.all()["command"];
        assert_eq!(series.spikes, [Spike { unix_s: 10, ms: 9 }, Spike { unix_s: 11, ms: 3 }]);
        assert_eq!(series.longest_ms, 9);
        (100..400).for_each(|unix_s| monitor.note("command", unix_s, 1));
        let series = &monitor.all()["command"];
        assert_eq!((series.spikes.len(), series.spikes[0].unix_s, series.longest_ms), (160, 240, 9));
        assert_eq!((monitor.forget(|event| event == "other"), monitor.forget(|_| true)), (0, 1));
        assert!(monitor.all().is_empty());
    }
}
