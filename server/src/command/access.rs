//! How keys are used: what eviction and `OBJECT` know of it.
//!
//! Redis' numbers, in the 24 bits of a [`Stamp`]: for the policies `*-lru` the second of the last use, for `*-lfu` the
//! minute of the last use (16 bits) and a counter (8 bits) that grows with the logarithm of the uses and shrinks with time.
//! Other policies keep nothing.

use super::tables::Dice;
use crate::store::Stamp;

/// The counter of a new key, which so has some time to be used.
const FREQUENCY_NEW: u8 = 5;
const SECONDS_MASK: u64 = 0xff_ffff;
const MINUTES_MASK: u64 = 0xffff;

/// What is kept of each key's use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tracking {
    /// Nothing.
    #[default]
    Off,
    /// When it was last used.
    Recency,
    /// How often it is used.
    Frequency {
        /// The greater, the more uses it takes for the counter to grow: the setting `lfu-log-factor`.
        log_factor: u32,
        /// Minutes without use after which the counter shrinks by one, 0 for never: the setting `lfu-decay-time`.
        decay_minutes: u32,
    },
}

/// Notes uses of keys, as they happen.
#[derive(Debug)]
pub(super) struct Access {
    tracking: Tracking,
    /// When keeping began, Unix ms: all that is known of a key without a stamp is that it was not used since.
    began_ms: u64,
    /// The time of the present command, Unix ms.
    pub(super) now_ms: u64,
    /// Whether the present command counts as a use of the keys that it looks at.
    pub(super) counts: bool,
    dice: Dice,
}

impl Access {
    pub(super) fn new(seed: u64) -> Self {
        Self { tracking: Tracking::Off, began_ms: 0, now_ms: 0, counts: true, dice: Dice::new(seed) }
    }

    /// Whether uses are to be noted now.
    #[inline]
    pub(super) fn is_noting(&self) -> bool {
        self.tracking != Tracking::Off && self.counts
    }

    pub(super) fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// Changes what is kept; returns whether what was noted before means nothing any more.
    pub(super) fn set_tracking(&mut self, tracking: Tracking, now_ms: u64) -> bool {
        let differs = std::mem::discriminant(&tracking) != std::mem::discriminant(&self.tracking);
        self.tracking = tracking;
        if differs {
            self.began_ms = now_ms;
        }
        differs
    }

    /// A key is used.
    pub(super) fn used(&mut self, stamp: Stamp) -> Stamp {
        match self.tracking {
            Tracking::Off => stamp,
            Tracking::Recency => self.second(self.now_ms),
            Tracking::Frequency { log_factor, .. } => {
                let counter = self.frequency(stamp);
                let above = u64::from(counter.saturating_sub(FREQUENCY_NEW));
                let grows =
                    counter < u8::MAX && self.dice.roll().is_multiple_of(above * u64::from(log_factor) + 1);
                self.counted(counter + u8::from(grows))
            }
        }
    }

    /// A key has been made, or one that nothing is known of is written.
    pub(super) fn made(&self) -> Stamp {
        match self.tracking {
            Tracking::Off => Stamp::UNSET,
            Tracking::Recency => self.second(self.now_ms),
            Tracking::Frequency { .. } => self.counted(FREQUENCY_NEW),
        }
    }

    fn second(&self, ms: u64) -> Stamp {
        Stamp::new((((ms / 1000) & SECONDS_MASK) as u32).max(1))
    }

    fn counted(&self, counter: u8) -> Stamp {
        let minute = ((self.now_ms / 60_000) & MINUTES_MASK) as u32;
        Stamp::new(minute << 8 | u32::from(counter))
    }

    /// Seconds since a key was used, if that is kept.
    pub(super) fn idle_s(&self, stamp: Stamp) -> u64 {
        let last = if stamp == Stamp::UNSET { self.second(self.began_ms) } else { stamp };
        (self.now_ms / 1000).wrapping_sub(u64::from(last.get())) & SECONDS_MASK
    }

    /// The counter of a key's uses as it is now, if that is kept.
    pub(super) fn frequency(&self, stamp: Stamp) -> u8 {
        let Tracking::Frequency { decay_minutes, .. } = self.tracking else { return 0 };
        let (minute, counter) = if stamp == Stamp::UNSET {
            ((self.began_ms / 60_000) & MINUTES_MASK, FREQUENCY_NEW)
        } else {
            (u64::from(stamp.get() >> 8), stamp.get() as u8)
        };
        let minutes = (self.now_ms / 60_000).wrapping_sub(minute) & MINUTES_MASK;
        let lost = minutes.checked_div(u64::from(decay_minutes)).unwrap_or(0);
        counter.saturating_sub(u8::try_from(lost).unwrap_or(u8::MAX))
    }

    /// How good it is to remove a key of this use: the greater the better.
    pub(super) fn worthlessness(&self, stamp: Stamp) -> u64 {
        match self.tracking {
            Tracking::Off => 0,
            Tracking::Recency => self.idle_s(stamp),
            Tracking::Frequency { .. } => u64::from(u8::MAX - self.frequency(stamp)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn access(tracking: Tracking, now_ms: u64) -> Access {
        let mut access = Access::new(3);
        access.now_ms = now_ms;
        access.set_tracking(tracking, now_ms);
        access
    }

    #[test]
    fn idleness_counts_seconds_since_the_last_use_or_since_keeping_began() {
        let mut access = access(Tracking::Recency, 1_700_000_000_000);
        let used = access.used(Stamp::UNSET);
        access.now_ms += 90_500;
        assert_eq!((access.idle_s(used), access.idle_s(Stamp::UNSET)), (90, 90));
        let again = access.used(used);
        assert_eq!(access.idle_s(again), 0);
        assert!(access.worthlessness(used) > access.worthlessness(again));
        // The number of seconds has passed its 24 bits.
        access.now_ms = (SECONDS_MASK + 10) * 1000;
        let before = Stamp::new(SECONDS_MASK as u32 - 1);
        assert_eq!(access.idle_s(before), 11);
    }

    #[test]
    fn the_counter_grows_with_the_logarithm_of_uses_and_shrinks_with_time() {
        let mut access = access(Tracking::Frequency { log_factor: 10, decay_minutes: 1 }, 5 * MINUTE);
        let mut stamp = access.made();
        assert_eq!(access.frequency(stamp), 5);
        let mut after = |uses: u32| {
            (0..uses).for_each(|_| stamp = access.used(stamp));
            access.frequency(stamp)
        };
        // redis.conf: 100 uses make 10, 1000 make 18 or so, 100,000 make 142, with this factor.
        let counters = [after(100), after(900), after(99_000)];
        assert!((7..=14).contains(&counters[0]) && (14..=25).contains(&counters[1]), "{counters:?}");
        assert!((110..=175).contains(&counters[2]), "{counters:?}");
        access.now_ms += 7 * MINUTE;
        assert_eq!(access.frequency(stamp), counters[2] - 7);
        access.now_ms += 600 * MINUTE;
        assert_eq!(access.frequency(stamp), 0);
        let never = Tracking::Frequency { log_factor: 10, decay_minutes: 0 };
        assert!(!access.set_tracking(never, 0), "what is noted goes on to mean the same");
        assert_eq!(access.frequency(stamp), counters[2]);
        assert!(access.set_tracking(Tracking::Recency, 0));
    }
}
