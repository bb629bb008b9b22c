//! How fast a rebalance goes and when it will be done. Pure: times are arguments.

use std::collections::VecDeque;
use std::time::Duration;

use carousel_protocol::admin::{Plan, Progress};

use crate::human;

/// Rates are over this much of the past: long enough to be calm, short enough to show a stall.
const WINDOW: Duration = Duration::from_secs(10);

/// Before this much time no estimate is honest.
const ESTIMATE_AFTER: Duration = Duration::from_secs(1);

/// Share of the work that changing the slots' sets is, next to sending their keys. Only for the estimate.
const SLOT_SHARE: f64 = 0.1;

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    at: Duration,
    slots: u32,
    keys: u64,
    bytes: u64,
}

/// What the observations so far amount to.
#[derive(Debug, Clone)]
pub struct Meter {
    slots_total: u32,
    keys_total: u64,
    last: Sample,
    window: VecDeque<Sample>,
}

/// Changes per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Slots that got their final set.
    pub slots: f64,
    /// Keys sent.
    pub keys: f64,
    /// Bytes sent.
    pub bytes: f64,
}

impl Meter {
    /// A rebalance by `plan` that begins now, at time zero.
    pub fn new(plan: &Plan) -> Self {
        Self {
            slots_total: plan.slots,
            keys_total: plan.keys,
            last: Sample::default(),
            window: VecDeque::from([Sample::default()]),
        }
    }

    /// A rebalance that has come so far at time `at`, when watching it begins; how many keys it will send is not known.
    pub fn joining(at: Duration, progress: &Progress) -> Self {
        let sample =
            Sample { at, slots: progress.slots_done, keys: progress.keys_sent, bytes: progress.bytes_sent };
        Self {
            slots_total: progress.slots_total,
            keys_total: 0,
            last: sample,
            window: VecDeque::from([sample]),
        }
    }

    /// At time `at` (since the start) a node reported `progress`. Another node may lag behind the one asked
    /// before: nothing ever runs backwards.
    pub fn observe(&mut self, at: Duration, progress: &Progress) {
        self.slots_total = self.slots_total.max(progress.slots_total);
        let sample = Sample {
            at,
            slots: self.last.slots.max(progress.slots_done),
            keys: self.last.keys.max(progress.keys_sent),
            bytes: self.last.bytes.max(progress.bytes_sent),
        };
        self.last = sample;
        self.window.push_back(sample);
        // One sample at or before the window's start stays, so that the window is always full.
        while self.window.get(1).is_some_and(|second| at.saturating_sub(second.at) >= WINDOW) {
            self.window.pop_front();
        }
    }

    /// The rebalance is done. Where the last report came before the end, at least the keys of the plan were
    /// sent, and bytes in the same proportion: bytes sent are not the bytes of memory that a plan counts.
    pub fn finish(&mut self, at: Duration) {
        let keys = self.last.keys.max(self.keys_total);
        let bytes = match self.last.keys {
            0 => self.last.bytes,
            seen => (u128::from(self.last.bytes) * u128::from(keys) / u128::from(seen)) as u64,
        };
        self.last = Sample { at, slots: self.slots_total, keys, bytes };
    }

    /// Slots done and slots in all.
    pub fn slots(&self) -> (u32, u32) {
        (self.last.slots, self.slots_total)
    }

    /// Over the last ten seconds.
    pub fn rates(&self) -> Rates {
        let Some(first) = self.window.front() else { return Rates::default() };
        rates(*first, self.last)
    }

    /// Done so far, 0 to 1.
    pub fn fraction(&self) -> f64 {
        self.fraction_of(&self.last)
    }

    fn fraction_of(&self, sample: &Sample) -> f64 {
        let share =
            |done: u64, total: u64| if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
        let slots = share(u64::from(sample.slots), u64::from(self.slots_total));
        if self.keys_total == 0 {
            return slots;
        }
        // A slot that is done has all its keys sent, also if fewer keys were there than foreseen.
        let keys = share(sample.keys, self.keys_total).max(slots);
        SLOT_SHARE * slots + (1.0 - SLOT_SHARE) * keys
    }

    /// Time left at the present rate; `None` while nothing moves or too little is known.
    pub fn time_left(&self) -> Option<Duration> {
        let first = self.window.front()?;
        let span = self.last.at.saturating_sub(first.at);
        let gained = self.fraction() - self.fraction_of(first);
        if self.last.at < ESTIMATE_AFTER || span.is_zero() || gained <= 0.0 {
            return None;
        }
        let seconds = (1.0 - self.fraction()) / gained * span.as_secs_f64();
        // An estimate of years says nothing.
        (seconds < 86_400.0 * 7.0).then(|| Duration::from_secs_f64(seconds.max(0.0)))
    }

    /// One line: slots, keys, bytes, rates, time left.
    pub fn line(&self) -> String {
        let rates = self.rates();
        let mut line = format!(
            "{} of {} slots, {} keys, {} sent; {} keys/s, {}/s",
            human::count(u64::from(self.last.slots)),
            human::count(u64::from(self.slots_total)),
            of_total(self.last.keys, self.keys_total),
            human::bytes(self.last.bytes),
            human::count(rates.keys.round() as u64),
            human::bytes(rates.bytes.round() as u64),
        );
        if let Some(left) = self.time_left() {
            line += &format!(", {} left", human::duration(left));
        }
        line
    }

    /// The line at the end: what was moved, how long it took, how fast that was.
    pub fn summary(&self) -> String {
        let rates = rates(Sample::default(), self.last);
        format!(
            "{}, {}, {} in {}: {} keys/s, {}/s",
            human::plural(u64::from(self.last.slots), "slot"),
            human::plural(self.last.keys, "key"),
            human::bytes(self.last.bytes),
            human::duration(self.last.at),
            human::count(rates.keys.round() as u64),
            human::bytes(rates.bytes.round() as u64),
        )
    }
}

fn of_total(done: u64, total: u64) -> String {
    // More than foreseen: clients write meanwhile. Or nothing was foreseen, as the plan was not seen.
    if done <= total && total > 0 {
        format!("{} of {}", human::count(done), human::count(total))
    } else {
        human::count(done)
    }
}

fn rates(from: Sample, to: Sample) -> Rates {
    let seconds = to.at.saturating_sub(from.at).as_secs_f64();
    if seconds <= 0.0 {
        return Rates::default();
    }
    Rates {
        slots: f64::from(to.slots - from.slots) / seconds,
        keys: (to.keys - from.keys) as f64 / seconds,
        bytes: (to.bytes - from.bytes) as f64 / seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(slots: u32, keys: u64, bytes: u64) -> Plan {
        Plan { id: Some(1), slots, primaries_moved: slots, copies: slots, keys, bytes, nodes: vec![] }
    }

    fn report(slots_done: u32, keys_sent: u64, bytes_sent: u64) -> Progress {
        Progress { plan: 1, slots_total: 1000, slots_done, keys_sent, bytes_sent }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn half_way_at_a_steady_rate_leaves_as_long_again() {
        let mut meter = Meter::new(&plan(1000, 10_000, 1_000_000));
        for t in 1..=5 {
            meter.observe(s(t), &report(100 * t as u32, 1000 * t, 100_000 * t));
        }
        assert_eq!(meter.rates(), Rates { slots: 100.0, keys: 1000.0, bytes: 100_000.0 });
        assert!((meter.fraction() - 0.5).abs() < 1e-9);
        assert!((meter.time_left().unwrap().as_secs_f64() - 5.0).abs() < 0.01);
        assert_eq!(
            meter.line(),
            "500 of 1,000 slots, 5,000 of 10,000 keys, 488.3 KiB sent; 1,000 keys/s, 97.7 KiB/s, 5.0 s left"
        );
    }

    #[test]
    fn keys_count_before_the_first_slot_is_done() {
        let mut meter = Meter::new(&plan(1000, 10_000, 0));
        meter.observe(s(2), &report(0, 5000, 0));
        assert!((meter.fraction() - 0.45).abs() < 1e-9);
        assert!(meter.time_left().is_some());
    }

    #[test]
    fn without_keys_the_slots_are_the_work() {
        let mut meter = Meter::new(&plan(1000, 0, 0));
        meter.observe(s(2), &report(250, 0, 0));
        assert!((meter.fraction() - 0.25).abs() < 1e-9);
        assert_eq!(meter.time_left(), Some(s(6)));
    }

    #[test]
    fn a_stall_shows_no_false_hope_and_old_speed_is_forgotten() {
        let mut meter = Meter::new(&plan(1000, 0, 0));
        meter.observe(s(1), &report(500, 0, 0));
        for t in 2..=20 {
            meter.observe(s(t), &report(500, 0, 0));
        }
        assert_eq!(meter.rates().slots, 0.0);
        assert_eq!(meter.time_left(), None);
    }

    #[test]
    fn what_was_done_before_the_watching_began_makes_no_speed() {
        let mut meter = Meter::joining(s(0), &report(500, 5_000, 50_000));
        meter.observe(s(2), &report(600, 6_000, 60_000));
        assert_eq!(meter.rates(), Rates { slots: 50.0, keys: 500.0, bytes: 5_000.0 });
        assert_eq!(meter.time_left(), Some(s(8)));
        let line = meter.line();
        assert!(line.starts_with("600 of 1,000 slots, 6,000 keys, 58.6 KiB sent; 500 keys/s"), "{line}");
    }

    #[test]
    fn a_member_that_lags_turns_nothing_back() {
        let mut meter = Meter::new(&plan(1000, 10, 0));
        meter.observe(s(1), &report(500, 5, 50));
        meter.observe(s(2), &report(400, 4, 40));
        assert_eq!(meter.slots(), (500, 1000));
        assert!(meter.rates().keys >= 0.0);
    }

    #[test]
    fn nothing_is_estimated_in_the_first_moments() {
        let mut meter = Meter::new(&plan(1000, 0, 0));
        assert_eq!(meter.time_left(), None);
        meter.observe(Duration::from_millis(300), &report(1, 0, 0));
        assert_eq!(meter.time_left(), None);
    }

    #[test]
    fn the_summary_is_over_the_whole_time_and_counts_bytes_that_were_sent() {
        // The plan's bytes are memory: more than what goes over the wire.
        let mut meter = Meter::new(&plan(1000, 10_000, 1 << 30));
        meter.observe(s(1), &report(900, 8_000, 800 << 10));
        meter.finish(s(4));
        assert_eq!(
            meter.summary(),
            "1,000 slots, 10,000 keys, 1000.0 KiB in 4.0 s: 2,500 keys/s, 250.0 KiB/s"
        );
    }

    #[test]
    fn keys_written_meanwhile_make_the_sum_larger_than_the_plan() {
        let mut meter = Meter::new(&plan(1000, 10_000, 0));
        meter.observe(s(1), &report(900, 12_000, 5_000));
        meter.finish(s(4));
        assert_eq!(meter.summary(), "1,000 slots, 12,000 keys, 4.9 KiB in 4.0 s: 3,000 keys/s, 1.2 KiB/s");
    }
}
