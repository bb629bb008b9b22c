//! Waking at the right microsecond.
//!
//! The runtime's own timers round up to a millisecond, which would show in every latency that is measured from
//! the intended time. A timerfd wakes the same event loop without rounding.

use std::io;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A precise timer of one task.
#[derive(Debug)]
pub struct Pacer {
    timer: AsyncFd<OwnedFd>,
}

impl Pacer {
    /// A timer in the present runtime.
    ///
    /// # Errors
    /// Where the system gives no further descriptor.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: `OwnedFd` returns the same open descriptor from `as_raw_fd` for as long as it lives, and it
        // lives inside the `AsyncFd`, which gives out no mutable access to it here.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self { timer })
    }

    /// Waits that long; not at all for zero.
    ///
    /// # Errors
    /// Not in practice: the descriptor is valid and the time is in range.
    pub async fn sleep(&self, duration: Duration) -> io::Result<()> {
        if duration.is_zero() {
            return Ok(());
        }
        let value = Timespec {
            tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(duration.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut expirations)?)) {
                Ok(result) => return result.map(|_| ()),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn it_never_wakes_early_and_does_not_round_up_to_a_millisecond() {
        let pacer = Pacer::new().unwrap();
        let wanted = Duration::from_micros(50);
        let mut least = Duration::MAX;
        // A busy machine may delay most wakes; a timer that rounds delays each.
        for _ in 0..500 {
            let started = Instant::now();
            pacer.sleep(wanted).await.unwrap();
            let took = started.elapsed();
            assert!(took >= wanted, "{took:?} of {wanted:?}");
            least = least.min(took);
        }
        assert!(least < Duration::from_micros(900), "{least:?}");
    }

    #[tokio::test]
    async fn zero_does_not_wait_and_the_timer_can_be_used_again() {
        let pacer = Pacer::new().unwrap();
        pacer.sleep(Duration::ZERO).await.unwrap();
        pacer.sleep(Duration::from_micros(1)).await.unwrap();
        pacer.sleep(Duration::from_micros(1)).await.unwrap();
    }
}
