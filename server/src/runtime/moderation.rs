//! When to let input gather before looking at it.
//!
//! Falling asleep and being woken costs a thread as much as one or two requests. A busy shard that is a little faster
//! than its clients pays it for every few requests: each arrives alone, a moment after the loop ran dry. As a
//! network card limits its rate of interrupts, so a loop under load here begins at most one turn per *period*: done with
//! its work early, it naps for the rest of the period and then takes all that came meanwhile.
//!
//! The period is a share of the time that passes between two reads of a connection. So latency grows by no more than
//! that share, a few connections in lockstep with their server are answered at once, and a shard with more to do
//! than time, whose turns outlast any period, never naps.

use std::cell::Cell;
use std::io;
use std::num::NonZeroU64;
use std::time::Duration;

/// How long the load is observed before the period is set anew.
const WINDOW_NS: u64 = 2_000_000;
/// The share of the time between two reads of a connection that a period takes.
const LATENCY_SHARE: u64 = 4;
/// A longer period gains little more.
const PERIOD_NS_MAX: u64 = 120_000;
/// A shorter nap costs about what it saves.
const NAP_NS_MIN: u64 = 10_000;
/// Reads that must be expected in a period, or there is nothing to gather.
const PERIOD_READS_MIN: u64 = 3;
/// With so many reads in a turn the kernel likely had more, as it hands over twenty at a time.
const TURN_READS_FULL: u64 = 16;

const _: () = assert!(NAP_NS_MIN < PERIOD_NS_MAX && PERIOD_NS_MAX < WINDOW_NS);

/// Lets the calling thread sleep for short times: by default the kernel may stretch a sleep by 50 us, about a nap.
///
/// Errors: those of `prctl(2)`.
pub(super) fn prepare_thread() -> io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
}

thread_local! {
    static LOAD: Load = const { Load { window: Cell::new(1), reads: Cell::new(0), active: Cell::new(0) } };
}

/// What the connections of this thread did in the current window.
struct Load {
    window: Cell<u64>,
    reads: Cell<u64>,
    active: Cell<u64>,
}

/// A connection's part in the load of its thread.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// The last window in which it read.
    window: u64,
}

impl Activity {
    /// The connection has read something.
    #[inline]
    pub(super) fn count_read(&mut self) {
        LOAD.with(|load| {
            load.reads.set(load.reads.get() + 1);
            let window = load.window.get();
            if self.window != window {
                self.window = window;
                load.active.set(load.active.get() + 1);
            }
        });
    }
}

/// Decides about naps for the event loop of one thread. All times are monotonic.
#[derive(Debug, Default)]
pub(super) struct Moderation {
    window_start_ns: u64,
    turn_start_ns: u64,
    turn_start_reads: u64,
    period_ns: Option<u64>,
}

impl Moderation {
    /// The loop has looked for input.
    pub(super) fn begin_turn(&mut self, now_ns: u64) {
        self.turn_start_ns = now_ns;
        self.turn_start_reads = LOAD.with(|load| load.reads.get());
    }

    /// How long to sleep before looking for input, if at all. To be asked when no task is ready.
    pub(super) fn nap(&mut self, now_ns: u64) -> Option<Duration> {
        let turn_reads = LOAD.with(|load| load.reads.get()) - self.turn_start_reads;
        if now_ns - self.window_start_ns >= WINDOW_NS {
            self.begin_window(now_ns);
        }
        // A turn without reads ends the load: whatever comes next is not to wait.
        if turn_reads == 0 || turn_reads >= TURN_READS_FULL {
            return None;
        }
        let nap_ns = self.period_ns?.checked_sub(now_ns - self.turn_start_ns)?;
        (nap_ns >= NAP_NS_MIN).then(|| Duration::from_nanos(nap_ns))
    }

    fn begin_window(&mut self, now_ns: u64) {
        LOAD.with(|load| {
            load.window.set(load.window.get() + 1);
            let (reads, active) = (load.reads.take(), load.active.take());
            self.period_ns = period_ns(reads, active, now_ns - self.window_start_ns);
        });
        self.window_start_ns = now_ns;
    }
}

/// The period for a thread on which `active` connections did `reads` reads in `elapsed_ns`.
fn period_ns(reads: u64, active: u64, elapsed_ns: u64) -> Option<u64> {
    // Little's law: so long passes between two reads of a connection, in the mean.
    let between_reads_ns = (active * elapsed_ns).checked_div(reads)?;
    let period_ns = (between_reads_ns / LATENCY_SHARE).min(PERIOD_NS_MAX);
    let period_reads = period_ns * reads / elapsed_ns;
    (period_reads >= PERIOD_READS_MIN).then_some(period_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period_us(reads_per_ms: u64, active: u64) -> Option<u64> {
        period_ns(reads_per_ms * 10, active, 10_000_000).map(|period| period / 1000)
    }

    #[test]
    fn many_busy_connections_are_gathered() {
        assert_eq!(period_us(100, 40), Some(100), "a quarter of 400 us between reads");
        assert_eq!(period_us(100, 50), Some(120));
        assert_eq!(period_us(100, 10_000), Some(120));
    }

    #[test]
    fn few_connections_are_answered_at_once() {
        assert_eq!(period_us(20, 1), None, "one in lockstep");
        assert_eq!(period_us(100, 8), None, "eight in lockstep");
    }

    #[test]
    fn sparse_requests_are_answered_at_once() {
        assert_eq!(period_us(0, 0), None);
        assert_eq!(period_us(5, 50), None, "many connections, each seldom");
    }

    #[test]
    fn a_nap_fills_the_period_of_a_light_turn_only() {
        let mut connections: Vec<Activity> = (0..40).map(|_| Activity::default()).collect();
        let mut moderation = Moderation::default();
        let mut now_ns = 0;
        // Each connection reads every 400 us: a period is 100 us, in which ten read.
        let mut turn = |reads: usize, work_ns: u64| {
            moderation.begin_turn(now_ns);
            connections.rotate_left(reads);
            connections[..reads].iter_mut().for_each(Activity::count_read);
            let nap = moderation.nap(now_ns + work_ns);
            now_ns += 100_000;
            nap
        };
        assert_eq!(turn(10, 40_000), None, "nothing is known yet");
        for _ in 0..WINDOW_NS / 100_000 {
            turn(10, 40_000);
        }
        // Sixty, but for the window's ragged end.
        let nap = turn(10, 40_000).unwrap();
        assert!((55..=60).contains(&nap.as_micros()), "{nap:?}");
        assert_eq!(turn(10, 95_000), None, "hardly any of the period is left");
        assert_eq!(turn(10, 150_000), None, "the turn outlasted the period");
        assert_eq!(turn(20, 40_000), None, "there may be more");
        assert_eq!(turn(0, 1_000), None, "the load has ended");
    }
}
