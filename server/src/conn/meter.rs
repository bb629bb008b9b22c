//! How long requests take.
//!
//! Two looks at a clock would cost more than a GET. So requests that are over at once are timed together: those of a
//! window, or those between two that are timed for themselves, share the time evenly. While somebody asks for less than
//! [`TOGETHER_MICROS_MIN`] with `slowlog-log-slower-than`, each is timed for itself.

use carousel_protocol::command_table::{CommandId, CommandSpec, Flags};

use crate::metrics::ShardMetrics;
use crate::settings::Settings;

/// A threshold below this has every request timed for itself.
const TOGETHER_MICROS_MIN: u64 = 1000;

/// Kinds of commands that are timed together at most.
const RUNS_MAX: usize = 8;

/// What of a shard's settings says how requests are timed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct TimingSettings {
    /// `slowlog-log-slower-than`, in µs; `None` for never.
    pub(crate) slow_micros: Option<u64>,
    /// `slowlog-max-len`.
    pub(crate) slow_entries: usize,
    /// `latency-monitor-threshold`, in ms; `None` for never.
    pub(crate) spike_ms: Option<u64>,
    /// `latency-tracking`.
    pub(crate) distribution: bool,
}

impl TimingSettings {
    /// As the settings have it.
    pub(crate) fn of(settings: &Settings) -> Self {
        let threshold_ms = settings.latency_monitor_threshold_ms;
        Self {
            slow_micros: u64::try_from(settings.slowlog_log_slower_than).ok(),
            slow_entries: settings.slowlog_max_len as usize,
            spike_ms: (threshold_ms > 0).then_some(threshold_ms),
            distribution: settings.latency_tracking,
        }
    }

    /// May it share its time with others?
    pub(super) fn is_together(self, spec: &CommandSpec) -> bool {
        is_quick(spec) && self.slow_micros.is_none_or(|micros| micros >= TOGETHER_MICROS_MIN)
    }

    /// Did it take so long that it is to be noted?
    pub(super) fn is_long(self, micros: u64) -> bool {
        self.slow_micros.is_some_and(|least| micros >= least)
            || self.spike_ms.is_some_and(|least| micros / 1000 >= least)
    }
}

/// Commands that are over at once, whatever they are asked.
fn is_quick(spec: &CommandSpec) -> bool {
    spec.keys.is_one()
        && (spec.flags.contains(Flags::FAST)
            || matches!(spec.id, CommandId::Set | CommandId::SetEx | CommandId::PSetEx))
}

/// Requests of one command that are timed together.
#[derive(Clone, Copy)]
struct Run {
    id: CommandId,
    count: u32,
}

/// The requests that are timed next.
pub(super) struct Meter {
    pub(super) settings: TimingSettings,
    /// When the last ones ended, on the shard's clock.
    since_ns: u64,
    /// The first of them in the window.
    from: usize,
    runs: [Run; RUNS_MAX],
    /// Of [`Self::runs`].
    used: usize,
    /// The command of the last run, which the next request joins if it is the same.
    joined: u16,
}

/// No command: the next request begins a run.
const NOTHING: u16 = u16::MAX;
/// A request that is no command.
const UNKNOWN: u16 = u16::MAX - 1;

impl Default for Meter {
    fn default() -> Self {
        let runs = [Run { id: CommandId::Ping, count: 0 }; RUNS_MAX];
        Self { settings: TimingSettings::default(), since_ns: 0, from: 0, runs, used: 0, joined: NOTHING }
    }
}

impl Meter {
    /// A batch begins.
    #[inline]
    pub(super) fn begin(&mut self, now_ns: u64, settings: TimingSettings) {
        (self.settings, self.since_ns, self.used, self.joined) = (settings, now_ns, 0, NOTHING);
    }

    /// A window begins.
    #[inline]
    pub(super) fn next_window(&mut self) {
        self.from = 0;
    }

    /// The next request is executed; true where it joins those before it. Otherwise these are to be timed, and then
    /// [`Self::start`] called.
    #[inline]
    pub(super) fn joins(&mut self, spec: Option<&'static CommandSpec>) -> bool {
        let id = spec.map_or(UNKNOWN, |spec| spec.id as u16);
        if id == self.joined {
            self.runs[self.used - 1].count += 1;
            return true;
        }
        self.joins_as_another(spec)
    }

    fn joins_as_another(&mut self, spec: Option<&'static CommandSpec>) -> bool {
        // What is no command takes a part of the others' time.
        let Some(spec) = spec else { return true };
        if self.used == RUNS_MAX || !self.settings.is_together(spec) {
            return false;
        }
        self.push(spec.id);
        self.joined = spec.id as u16;
        true
    }

    /// A request begins after those before it have been timed; returns whether it is to be timed for itself.
    pub(super) fn start(&mut self, spec: &'static CommandSpec) -> bool {
        let is_together = self.settings.is_together(spec);
        self.push(spec.id);
        self.joined = if is_together { spec.id as u16 } else { NOTHING };
        !is_together
    }

    fn push(&mut self, id: CommandId) {
        self.runs[self.used] = Run { id, count: 1 };
        self.used += 1;
    }

    /// The last request is executed elsewhere, or not yet.
    #[inline]
    pub(super) fn is_not_here(&mut self) {
        if let Some(last) = self.used.checked_sub(1) {
            self.runs[last].count = self.runs[last].count.saturating_sub(1);
        }
    }

    /// Is there anything to be timed?
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The requests before `end` of the window have been executed by now: notes how long they took. Returns the first
    /// of them that is in the window, and the time in ns, where that is to be noted elsewhere too.
    pub(super) fn stop(&mut self, end: usize, now_ns: u64, metrics: &ShardMetrics) -> Option<(usize, u64)> {
        let spent_ns = now_ns.saturating_sub(std::mem::replace(&mut self.since_ns, now_ns));
        let runs = &self.runs[..std::mem::take(&mut self.used)];
        let from = std::mem::replace(&mut self.from, end);
        self.joined = NOTHING;
        let total: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
        let share_ns = spent_ns.checked_div(total)?;
        for run in runs.iter().filter(|run| run.count > 0) {
            metrics.took(run.id, share_ns, run.count.into(), self.settings.distribution);
        }
        self.settings.is_long(spent_ns / 1000).then_some((from, spent_ns))
    }
}

#[cfg(test)]
mod tests {
    use carousel_protocol::command_table::lookup;

    use super::*;

    fn settings(slow_micros: u64) -> TimingSettings {
        TimingSettings { slow_micros: Some(slow_micros), slow_entries: 1, spike_ms: None, distribution: true }
    }

    #[test]
    fn quick_commands_share_their_time_and_others_have_their_own() {
        let (mut meter, metrics) = (Meter::default(), ShardMetrics::default());
        let [get, set, keys] = [b"GET".as_slice(), b"SET", b"KEYS"].map(lookup);
        meter.begin(1000, settings(10_000));
        meter.next_window();
        for spec in [get, get, None, set, get] {
            assert!(meter.joins(spec));
        }
        // Another shard executes the last one.
        meter.is_not_here();
        assert!(!meter.joins(keys));
        assert_eq!(meter.stop(5, 4000, &metrics), None);
        assert!(meter.is_empty() && meter.start(keys.unwrap()));
        assert_eq!(meter.stop(6, 20_004_000, &metrics), Some((5, 20_000_000)));
        let total = |id| (metrics.times(id).total(), metrics.nanos(id));
        assert_eq!(total(CommandId::Get), (2, 2000));
        assert_eq!(total(CommandId::Set), (1, 1000));
        assert_eq!(total(CommandId::Keys), (1, 20_000_000));
    }

    #[test]
    fn a_low_threshold_has_each_timed_for_itself() {
        let (mut meter, metrics) = (Meter::default(), ShardMetrics::default());
        let get = lookup(b"GET");
        meter.begin(0, settings(0));
        for n in 0..3 {
            assert!(!meter.joins(get));
            assert!(meter.start(get.unwrap()));
            assert_eq!(meter.stop(n + 1, 100 * (n as u64 + 1), &metrics), Some((n, 100)));
        }
        assert_eq!(metrics.times(CommandId::Get).total(), 3);
    }

    #[test]
    fn nothing_is_noted_of_what_was_executed_elsewhere() {
        let (mut meter, metrics) = (Meter::default(), ShardMetrics::default());
        meter.begin(0, settings(1000));
        assert!(meter.joins(lookup(b"GET")));
        meter.is_not_here();
        assert_eq!(meter.stop(1, 9_000_000, &metrics), None);
        assert_eq!(metrics.times(CommandId::Get).total(), 0);
        // More kinds than there is room for.
        let names = ["GET", "SET", "INCR", "DECR", "STRLEN", "HGET", "HSET", "SADD", "ZADD"];
        let joined = names.iter().filter(|name| meter.joins(lookup(name.as_bytes()))).count();
        assert_eq!(joined, RUNS_MAX);
    }
}
