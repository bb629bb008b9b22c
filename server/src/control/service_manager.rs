//! What a service manager is told: systemd's `Type=notify`, and whatever else sets `NOTIFY_SOCKET`.
//!
//! Without that variable nothing is sent. A message that cannot be sent is a warning: the node serves its clients whether or not
//! somebody supervises it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::metrics::{NodeView, ShardMetrics};

/// The node is about to do something that takes long; `status` says what.
pub fn tell_status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The node serves clients.
pub fn tell_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The node was asked to stop.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("closing the logs")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told: see NOTIFY_SOCKET");
    }
}

/// Tells the service manager that the node is alive, where it asks for that (`WatchdogSec=`), for as long as every shard is.
#[derive(Debug)]
pub struct Watchdog {
    /// Half of the time after which the service manager gives up; none where it does not watch.
    interval: Option<Duration>,
    told: Instant,
    /// How often each shard had ticked then.
    ticks: Vec<u64>,
}

impl Watchdog {
    /// As the environment says.
    pub fn from_environment() -> Self {
        Self::new(sd_notify::watchdog_enabled().map(|patience| patience / 2))
    }

    fn new(interval: Option<Duration>) -> Self {
        Self { interval, told: Instant::now(), ticks: Vec::new() }
    }

    /// Tells it if it is time, and if all shards have gone on since it was told last.
    pub fn check(&mut self, view: &NodeView) {
        if self.is_due(Instant::now(), &view.shards) {
            tell(&[NotifyState::Watchdog]);
        }
    }

    fn is_due(&mut self, now: Instant, shards: &[Arc<ShardMetrics>]) -> bool {
        let Some(interval) = self.interval else { return false };
        if now.duration_since(self.told) < interval {
            return false;
        }
        let ticks: Vec<u64> = shards.iter().map(|shard| shard.ticks.get()).collect();
        if ticks.iter().zip(&self.ticks).any(|(now, then)| now == then) {
            return false;
        }
        (self.told, self.ticks) = (now, ticks);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_only_while_every_shard_goes_on() {
        let second = Duration::from_secs(1);
        let mut watchdog = Watchdog::new(Some(second));
        let start = watchdog.told;
        let shards = [Arc::new(ShardMetrics::default()), Arc::new(ShardMetrics::default())];
        let mut due = |at: u32| watchdog.is_due(start + second * at / 2, &shards);
        assert!(!due(1), "too early");
        assert!(due(2), "the first time nothing is known of the shards");
        shards[0].ticks.add(1);
        assert!(!due(6), "the second shard stands still");
        shards[1].ticks.add(1);
        assert!(due(7));
        assert!(!due(8), "too early again");
    }

    #[test]
    fn nobody_is_told_who_does_not_watch() {
        let mut watchdog = Watchdog::new(None);
        assert!(!watchdog.is_due(watchdog.told + Duration::from_secs(3600), &[]));
    }
}
