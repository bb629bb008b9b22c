//! What this process wrote and what of it was acknowledged, so that each value read can be judged.
//!
//! Two writes of one key at the same time could be executed in either order, and then nobody could say which
//! of them a read must see. So a key has at most one write on its way; [`Ledger::begin_write`] says no to a
//! second. A read is judged against what was acknowledged *before it was sent*.
//!
//! A write whose outcome is unknown may still be executed later, after newer ones (its bytes may wait in a
//! socket of a node that is slow). Its version is remembered and never counts as stale.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::value::{self, Stamp, ValueFault};

/// A state is `busy` (1 bit), the last version issued (31 bits), the last version acknowledged (32 bits).
const BUSY: u64 = 1 << 63;
const ISSUED_SHIFT: u32 = 32;
const VERSION_MAX: u32 = (1 << 31) - 1;

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteEnd {
    /// Acknowledged.
    Acknowledged,
    /// It did not happen.
    Refused,
    /// It may or may not have happened, or may still happen.
    Unknown,
}

/// A value that should not be there, or one that should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// See [`ValueFault`].
    #[error("{0}")]
    Value(#[from] ValueFault),
    /// Older than what was acknowledged before the read was sent.
    #[error("stale value: version {read} although {acknowledged} was acknowledged")]
    Stale {
        /// Version read; 0 where an earlier run wrote it.
        read: u32,
        /// Version acknowledged.
        acknowledged: u32,
    },
    /// A version that this process has not written yet.
    #[error("impossible value: version {read} although only {issued} were written")]
    Impossible {
        /// Version read.
        read: u32,
        /// Last version written.
        issued: u32,
    },
    /// No value although one was acknowledged.
    #[error("lost key: version {acknowledged} was acknowledged")]
    Lost {
        /// Version acknowledged; 0 where an earlier run must have written the key.
        acknowledged: u32,
    },
}

impl Violation {
    /// To count by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Value(ValueFault::Corrupt) => "corrupt",
            Self::Value(ValueFault::Foreign) => "foreign",
            Self::Stale { .. } => "stale",
            Self::Impossible { .. } => "impossible",
            Self::Lost { .. } => "lost",
        }
    }
}

/// What a read met that is no violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// A value that may be there.
    Value,
    /// No value, and none was acknowledged by this process.
    Miss,
}

/// The versions of all keys.
#[derive(Debug)]
pub struct Ledger {
    run: u64,
    keys: Vec<AtomicU64>,
    /// Versions of unknown outcome per key.
    unknown: Mutex<HashMap<u32, Vec<u32>>>,
}

impl Ledger {
    /// A ledger of `keys` keys of which this process, named by `run`, wrote none yet.
    pub fn new(run: u64, keys: u32) -> Self {
        Self { run, keys: (0..keys).map(|_| AtomicU64::new(0)).collect(), unknown: Mutex::default() }
    }

    /// Names this process in the values it writes.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// How many keys.
    pub fn len(&self) -> u32 {
        self.keys.len() as u32
    }

    /// The stamp of a new write of this key, or `None` while one is on its way (or the key's versions are used up).
    pub fn begin_write(&self, key: u32) -> Option<Stamp> {
        let state = &self.keys[key as usize];
        let now = state.load(Ordering::Acquire);
        let version = issued(now) + 1;
        if now & BUSY != 0 || version > VERSION_MAX {
            return None;
        }
        let next = BUSY | u64::from(version) << ISSUED_SHIFT | u64::from(acknowledged(now));
        let won = state.compare_exchange(now, next, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        won.then_some(Stamp { run: self.run, version })
    }

    /// The write that [`Self::begin_write`] began has ended.
    pub fn end_write(&self, key: u32, stamp: Stamp, end: WriteEnd) {
        let state = &self.keys[key as usize];
        let now = state.load(Ordering::Acquire);
        assert!(now & BUSY != 0 && issued(now) == stamp.version, "one write of a key at a time");
        if end == WriteEnd::Unknown {
            self.lock_unknown().entry(key).or_default().push(stamp.version);
        }
        let acknowledged = if end == WriteEnd::Acknowledged { stamp.version } else { acknowledged(now) };
        // Nobody else changes a busy state. Released after the unknown version is on record, so that who
        // sees a later version finds that one too.
        state.store(u64::from(stamp.version) << ISSUED_SHIFT | u64::from(acknowledged), Ordering::Release);
    }

    /// The last version acknowledged; to be asked before a read is sent. 0 is none.
    pub fn floor(&self, key: u32) -> u32 {
        acknowledged(self.keys[key as usize].load(Ordering::Acquire))
    }

    /// Judges what a read of key number `key`, called `name`, returned, `floor` being [`Self::floor`] before it.
    ///
    /// # Errors
    /// The violation.
    pub fn judge(&self, key: u32, name: &[u8], floor: u32, read: Option<&[u8]>) -> Result<Sound, Violation> {
        let Some(bytes) = read else {
            return if floor == 0 { Ok(Sound::Miss) } else { Err(Violation::Lost { acknowledged: floor }) };
        };
        let stamp = value::decode(bytes, name)?;
        if stamp.run != self.run {
            // Another run's value is right only until this one's first acknowledgement.
            return if floor == 0 {
                Ok(Sound::Value)
            } else {
                Err(Violation::Stale { read: 0, acknowledged: floor })
            };
        }
        let issued = issued(self.keys[key as usize].load(Ordering::Acquire));
        if stamp.version > issued || stamp.version == 0 {
            return Err(Violation::Impossible { read: stamp.version, issued });
        }
        if stamp.version < floor && !self.is_unknown(key, stamp.version) {
            return Err(Violation::Stale { read: stamp.version, acknowledged: floor });
        }
        Ok(Sound::Value)
    }

    fn is_unknown(&self, key: u32, version: u32) -> bool {
        self.lock_unknown().get(&key).is_some_and(|versions| versions.contains(&version))
    }

    fn lock_unknown(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Vec<u32>>> {
        self.unknown.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn issued(state: u64) -> u32 {
    (state >> ISSUED_SHIFT) as u32 & VERSION_MAX
}

fn acknowledged(state: u64) -> u32 {
    state as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u64 = 42;
    const KEY: &[u8] = b"key:1";

    fn bytes(run: u64, version: u32) -> Vec<u8> {
        let mut out = Vec::new();
        value::append(&mut out, KEY, Stamp { run, version }, 64);
        out
    }

    fn write(ledger: &Ledger, end: WriteEnd) -> u32 {
        let stamp = ledger.begin_write(1).unwrap();
        ledger.end_write(1, stamp, end);
        stamp.version
    }

    fn judge(ledger: &Ledger, floor: u32, read: Option<&[u8]>) -> Result<Sound, Violation> {
        ledger.judge(1, KEY, floor, read)
    }

    #[test]
    fn one_write_of_a_key_at_a_time() {
        let ledger = Ledger::new(RUN, 2);
        let stamp = ledger.begin_write(1).unwrap();
        assert_eq!(stamp, Stamp { run: RUN, version: 1 });
        assert_eq!(ledger.begin_write(1), None);
        assert!(ledger.begin_write(0).is_some());
        ledger.end_write(1, stamp, WriteEnd::Acknowledged);
        assert_eq!(ledger.begin_write(1).unwrap().version, 2);
    }

    #[test]
    fn what_was_acknowledged_before_the_read_must_be_seen() {
        let ledger = Ledger::new(RUN, 2);
        assert_eq!(judge(&ledger, ledger.floor(1), None), Ok(Sound::Miss));
        write(&ledger, WriteEnd::Acknowledged);
        let floor = ledger.floor(1);
        write(&ledger, WriteEnd::Acknowledged);
        assert_eq!(
            judge(&ledger, floor, Some(&bytes(RUN, 1))),
            Ok(Sound::Value),
            "acknowledged during the read"
        );
        assert_eq!(judge(&ledger, floor, Some(&bytes(RUN, 2))), Ok(Sound::Value));
        let floor = ledger.floor(1);
        assert_eq!(
            judge(&ledger, floor, Some(&bytes(RUN, 1))),
            Err(Violation::Stale { read: 1, acknowledged: 2 })
        );
        assert_eq!(judge(&ledger, floor, None), Err(Violation::Lost { acknowledged: 2 }));
        assert_eq!(
            judge(&ledger, floor, Some(&bytes(RUN, 3))),
            Err(Violation::Impossible { read: 3, issued: 2 })
        );
    }

    #[test]
    fn a_write_on_its_way_may_be_seen_and_need_not() {
        let ledger = Ledger::new(RUN, 2);
        write(&ledger, WriteEnd::Acknowledged);
        let stamp = ledger.begin_write(1).unwrap();
        let floor = ledger.floor(1);
        assert_eq!(judge(&ledger, floor, Some(&bytes(RUN, 1))), Ok(Sound::Value));
        assert_eq!(judge(&ledger, floor, Some(&bytes(RUN, 2))), Ok(Sound::Value));
        ledger.end_write(1, stamp, WriteEnd::Refused);
        assert_eq!(ledger.floor(1), 1, "a refused write raises nothing");
    }

    #[test]
    fn a_write_of_unknown_outcome_may_show_up_at_any_later_time() {
        let ledger = Ledger::new(RUN, 2);
        write(&ledger, WriteEnd::Acknowledged);
        let unknown = write(&ledger, WriteEnd::Unknown);
        let acknowledged = write(&ledger, WriteEnd::Acknowledged);
        let floor = ledger.floor(1);
        assert_eq!(floor, acknowledged);
        assert_eq!(judge(&ledger, floor, Some(&bytes(RUN, unknown))), Ok(Sound::Value));
        assert!(matches!(judge(&ledger, floor, Some(&bytes(RUN, 1))), Err(Violation::Stale { .. })));
    }

    #[test]
    fn the_value_of_an_earlier_run_is_right_until_this_one_wrote() {
        let ledger = Ledger::new(RUN, 2);
        assert_eq!(judge(&ledger, 0, Some(&bytes(RUN - 1, 9))), Ok(Sound::Value));
        write(&ledger, WriteEnd::Acknowledged);
        assert_eq!(
            judge(&ledger, ledger.floor(1), Some(&bytes(RUN - 1, 9))),
            Err(Violation::Stale { read: 0, acknowledged: 1 })
        );
    }

    #[test]
    fn corrupt_and_foreign_values_are_told_apart() {
        let ledger = Ledger::new(RUN, 2);
        assert_eq!(judge(&ledger, 0, Some(b"junk")).unwrap_err().kind(), "corrupt");
        assert_eq!(ledger.judge(1, b"key:2", 0, Some(&bytes(RUN, 1))).unwrap_err().kind(), "foreign");
    }
}
