//! The effects of a command on their way into records.

use carousel_protocol::{Database, SlotId};

use super::codec::put_database;
use super::{Effect, Interest};

/// Makes one payload of several on the same slot, in their order: each begins with database 0.
pub fn join_payloads(payloads: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(payloads.iter().map(|payload| payload.len() + 2).sum());
    for payload in payloads {
        if !joined.is_empty() {
            put_database(&mut joined, None, Database::MAIN);
        }
        joined.extend_from_slice(payload);
    }
    joined
}

/// Effects on one slot, encoded: a payload, or a part of one that can stand alone.
#[derive(Default)]
pub struct EffectsBuf {
    bytes: Vec<u8>,
    database: Database,
}

impl EffectsBuf {
    /// Adds an effect on `database`.
    pub fn push(&mut self, database: Database, effect: &Effect<'_>) {
        put_database(&mut self.bytes, Some(self.database), database);
        self.database = database;
        effect.encode(&mut self.bytes);
    }

    /// Bytes so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes what was added, and begins anew.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).bytes
    }
}

/// Effects of one command, encoded, grouped by slot in the order they came.
///
/// A command that changes keys of several slots alternately (a lone node allows it) makes several groups for a
/// slot. While nothing records effects, pushing one costs a branch.
#[derive(Default)]
pub struct EffectSink {
    is_recording: bool,
    /// Pushed effects are of use to somebody.
    is_active: bool,
    interest: Interest,
    /// Effects pushed since the start, kept or not.
    pushed: u64,
    bytes: Vec<u8>,
    groups: Vec<Group>,
}

struct Group {
    slot: SlotId,
    /// Where it ends in the sink's bytes.
    end: usize,
    /// What its last effect is about.
    database: Database,
}

impl EffectSink {
    /// A sink that does not record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether pushed effects are kept: where a log or a replica wants them.
    pub fn set_recording(&mut self, is_recording: bool) {
        self.is_recording = is_recording;
        self.is_active = is_recording || !self.interest.is_empty();
    }

    /// Whose changes are waited for.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Changes whose changes are waited for.
    pub fn change_interest<T>(&mut self, change: impl FnOnce(&mut Interest) -> T) -> T {
        let result = change(&mut self.interest);
        self.is_active = self.is_recording || !self.interest.is_empty();
        result
    }

    /// How many effects there were since the start, recorded or not.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Whether nothing was kept since the last [`Self::clear`].
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether all that was kept is one group.
    #[inline]
    pub fn is_one_group(&self) -> bool {
        self.groups.len() == 1
    }

    /// Whether pushed effects are kept for a log or a replica.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.is_recording
    }

    /// Bytes of what was kept.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The groups: a slot and its effects, encoded; read them with [`EffectIter`](super::EffectIter).
    pub fn groups(&self) -> impl Iterator<Item = (SlotId, &[u8])> {
        let mut start = 0;
        self.groups.iter().map(move |&Group { slot, end, .. }| {
            let bytes = &self.bytes[start..end];
            start = end;
            (slot, bytes)
        })
    }

    /// Forgets what was kept; the memory stays for the next command, unless it was a huge one.
    #[inline]
    pub fn clear(&mut self) {
        const KEEP_BYTES: usize = 1 << 20;
        self.bytes.clear();
        self.groups.clear();
        if self.bytes.capacity() > KEEP_BYTES {
            self.bytes.shrink_to(KEEP_BYTES);
        }
    }

    /// Keeps an effect on keys of `slot` and `database`, if recording, and tells those who wait for it.
    #[inline]
    pub fn push(&mut self, slot: SlotId, database: Database, effect: Effect<'_>) {
        self.pushed += 1;
        if !self.is_active {
            return;
        }
        if !self.interest.is_empty() {
            self.interest.tell(slot, database, &effect);
        }
        if !self.is_recording {
            return;
        }
        if self.groups.last().is_none_or(|last| last.slot != slot) {
            self.groups.push(Group { slot, end: 0, database: Database::MAIN });
        }
        let group = self.groups.last_mut().expect("there is one");
        put_database(&mut self.bytes, Some(group.database), database);
        effect.encode(&mut self.bytes);
        (group.end, group.database) = (self.bytes.len(), database);
    }
}
