//! How long the turns of this thread's event loop take.
//!
//! A turn is what the thread does between two looks for I/O: nobody is served meanwhile but those whose request it does.
//! It begins with the first piece of work that looks at the clock, as every piece does anyway, and ends where the
//! runtime looks for I/O: so measuring costs one more look at the clock per turn, and none for a turn without work.

use std::cell::Cell;
use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
enum Turn {
    /// The runtime does not say when one ends, as glommio does not: nothing is measured.
    Unmeasured,
    /// No work since the last look for I/O.
    Over,
    /// There was work, from then on.
    Since(Instant),
}

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::Unmeasured) };
    static LONGEST: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Work begins, or goes on, at `now`.
#[inline]
pub fn work_at(now: Instant) {
    if let Turn::Over = TURN.get() {
        TURN.set(Turn::Since(now));
    }
}

/// This thread's runtime will say when a turn ends.
pub(super) fn measure() {
    TURN.set(Turn::Over);
}

/// The runtime looks for I/O. (tokio tells only before it waits, and at a yield.)
#[inline]
pub(super) fn ended() {
    if let Turn::Since(began) = TURN.get() {
        TURN.set(Turn::Over);
        let took = began.elapsed();
        if took > LONGEST.get() {
            LONGEST.set(took);
        }
    }
}

/// The longest turn of this thread since the last call.
pub fn take_longest() -> Duration {
    LONGEST.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_turn_is_told_once() {
        let ago =
            |ms| Instant::now().checked_sub(Duration::from_millis(ms)).expect("the machine runs for longer");
        work_at(ago(900));
        ended();
        assert_eq!(take_longest(), Duration::ZERO, "not measured yet");
        measure();
        for ms in [30, 700, 20] {
            work_at(ago(ms));
            work_at(Instant::now());
            ended();
        }
        ended();
        assert!(take_longest() >= Duration::from_millis(700));
        assert_eq!(take_longest(), Duration::ZERO);
    }
}
