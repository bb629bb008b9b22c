//! What happened: latencies, errors, violations.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::kinds::Op;
use super::ledger::Violation;

/// Longest latency that is told apart: an hour, in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Lines that are kept of each kind of fault: of each kind, so that a rare one is not crowded out by a common
/// one, and few, so that the report stays one.
const EXAMPLES_PER_KIND_MAX: usize = 3;

/// Counts of some stretch of time.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Latencies of requests that succeeded, in microseconds.
    pub latencies: BTreeMap<Op, Histogram<u64>>,
    /// Reads that found nothing where nothing was promised.
    pub misses: u64,
    /// Failed requests by kind.
    pub errors: BTreeMap<String, u64>,
    /// Violations by kind.
    pub violations: BTreeMap<&'static str, u64>,
    /// The first faults of each kind, one line each.
    pub examples: BTreeMap<String, Vec<String>>,
    /// The most that a request left this process later than intended.
    pub lag_max: Duration,
}

impl Stats {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self {
            latencies: BTreeMap::new(),
            misses: 0,
            errors: BTreeMap::new(),
            violations: BTreeMap::new(),
            examples: BTreeMap::new(),
            lag_max: Duration::ZERO,
        }
    }

    /// A request succeeded.
    pub fn succeeded(&mut self, op: Op, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies.entry(op).or_insert_with(histogram).saturating_record(micros);
    }

    /// A request failed.
    pub fn failed(&mut self, kind: &str, line: impl FnOnce() -> String) {
        match self.errors.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.errors.insert(kind.to_owned(), 1)),
        }
        self.example(kind, line);
    }

    /// A read returned what it may not.
    pub fn violated(&mut self, key: &[u8], violation: Violation) {
        *self.violations.entry(violation.kind()).or_default() += 1;
        self.example(violation.kind(), || format!("VIOLATION {}: {violation}", String::from_utf8_lossy(key)));
    }

    fn example(&mut self, kind: &str, line: impl FnOnce() -> String) {
        match self.examples.get_mut(kind) {
            Some(lines) if lines.len() >= EXAMPLES_PER_KIND_MAX => {}
            Some(lines) => lines.push(line()),
            None => drop(self.examples.insert(kind.to_owned(), vec![line()])),
        }
    }

    /// Adds what happened elsewhere.
    pub fn add(&mut self, other: &Stats) {
        for (op, histogram) in &other.latencies {
            let mine = self.latencies.entry(*op).or_insert_with(self::histogram);
            mine.add(histogram).expect("all histograms have the same bounds");
        }
        self.misses += other.misses;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        for (kind, count) in &other.violations {
            *self.violations.entry(kind).or_default() += count;
        }
        for (kind, lines) in &other.examples {
            let kept = self.examples.entry(kind.clone()).or_default();
            let room = EXAMPLES_PER_KIND_MAX - kept.len();
            kept.extend(lines.iter().take(room).cloned());
        }
        self.lag_max = self.lag_max.max(other.lag_max);
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.latencies.values_mut().for_each(Histogram::reset);
        self.misses = 0;
        self.errors.clear();
        self.violations.clear();
        self.examples.clear();
        self.lag_max = Duration::ZERO;
    }

    /// Requests that succeeded.
    pub fn succeeded_count(&self) -> u64 {
        self.latencies.values().map(Histogram::len).sum()
    }

    /// Requests that failed.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Violations of all kinds.
    pub fn violation_count(&self) -> u64 {
        self.violations.values().sum()
    }

    /// Latencies of all requests together.
    pub fn all(&self) -> Histogram<u64> {
        let mut all = histogram();
        for histogram in self.latencies.values() {
            all.add(histogram).expect("all histograms have the same bounds");
        }
        all
    }
}

/// Three digits: 0.1% of precision.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are constants that the type accepts")
}

/// Where one thread records and the reporter collects.
#[derive(Debug)]
pub struct Recorder(Mutex<Stats>);

impl Recorder {
    /// Nothing recorded.
    pub fn new() -> Self {
        Self(Mutex::new(Stats::new()))
    }

    /// To record something. Held for moments only: the reporter comes once a second.
    pub fn lock(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds what was recorded since the last call to `total`.
    pub fn collect(&self, total: &mut Stats) {
        let mut stats = self.lock();
        total.add(&stats);
        stats.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collecting_adds_up_and_starts_anew() {
        let recorder = Recorder::new();
        let mut total = Stats::new();
        for round in 1..=3 {
            let mut stats = recorder.lock();
            stats.succeeded(Op::Get, Duration::from_micros(100));
            stats.succeeded(Op::Set, Duration::from_micros(900));
            stats.failed("TRYAGAIN", || "a line".into());
            stats.violated(b"k", Violation::Lost { acknowledged: 3 });
            stats.misses += 1;
            drop(stats);
            recorder.collect(&mut total);
            assert_eq!(total.succeeded_count(), 2 * round);
        }
        assert_eq!((total.error_count(), total.violation_count(), total.misses), (3, 3, 3));
        assert_eq!(total.all().max(), 900);
        assert_eq!(total.all().value_at_quantile(0.5), 100);
        assert_eq!(recorder.lock().succeeded_count(), 0);
    }

    #[test]
    fn a_rare_fault_is_not_crowded_out_by_a_common_one() {
        let mut stats = Stats::new();
        for i in 0..1000 {
            stats.failed("common", || i.to_string());
        }
        stats.failed("rare", || "the one".into());
        let mut total = Stats::new();
        total.add(&stats);
        total.add(&stats);
        assert_eq!(total.examples["common"], ["0", "1", "2"]);
        assert_eq!(total.examples["rare"], ["the one", "the one"]);
        assert_eq!(total.error_count(), 2002);
    }

    #[test]
    fn the_longest_latency_is_bounded() {
        let mut stats = Stats::new();
        stats.succeeded(Op::Get, Duration::from_secs(100_000));
        assert!(stats.all().max() >= LATENCY_MAX_US);
    }
}
