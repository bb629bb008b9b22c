//! A shard's state as records, walked while writers go on: what a checkpoint holds.
//!
//! Slot after slot is walked as a transfer walks one: in chunks, and what changes in the part that was given already is
//! given as well. So when a slot's walk ends, what was given is the slot exactly as it is then, and the checkpoint says
//! which *position* of the log that is. A start applies the checkpoint and, of each slot's records in the log, those from
//! that position on. Nothing is copied, no slot waits for another, and most slots are walked in a single step.
//!
//! What is not in the tables:
//!
//! - Records that a follower has logged and not applied are given behind the table, as they are.
//! - A copy that is being built beside the old one is not given: the log is kept from where its building began, and those
//!   records are replayed from there.
//! - A transaction that holds the slot may yet come to nothing. So nothing counts before all of them have ended; see
//!   [`Stage`](super::drive::Stage).
//! - A copy that is replaced or dropped while its slot is walked makes that slot begin anew.

use bytes::Bytes;
use carousel_protocol::{Epoch, Seq, SlotId};

use super::{Shard, Standing};
use crate::persist::record::{LogPosition, RecordHeader, RecordKind, append_record, append_record_with};
use crate::planted::{Bug, is_planted};
use crate::transfer::Walk;

/// Slots without keys that one step passes over at most.
const SLOTS_PER_STEP: usize = 64;
/// Bytes that a step leaves to be fetched together with the next one's.
const CHUNK_BYTES_MIN: usize = 64 * 1024;

/// A checkpoint under way.
pub struct CheckpointWalk {
    /// Index of the slot to be walked next, or being walked.
    next: usize,
    /// The slot that is being walked.
    slot: Option<SlotWalk>,
    /// Records that were not fetched yet.
    out: Vec<u8>,
    extent: CheckpointExtent,
}

struct SlotWalk {
    index: usize,
    walk: Walk,
    /// What is given is a staged copy, which is installed in the end: the slot is replicated.
    is_staged: bool,
}

/// What of the log belongs to a checkpoint, and how much is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CheckpointExtent {
    /// The log is replayed from here: nothing before it is needed.
    pub replay_from: LogPosition,
    /// Every slot is in the checkpoint as it was here, or before.
    pub end: LogPosition,
    /// Records.
    pub records: u64,
    /// Keys.
    pub keys: u64,
}

/// What a step of a checkpoint leaves.
pub enum CheckpointStep {
    /// Records to be written, perhaps none; go on.
    More(Vec<u8>),
    /// The last records to be written. All slots have been walked.
    Last(Vec<u8>, CheckpointExtent),
}

/// Of one slot in one checkpoint: from where on its records in the log are to be replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotStart {
    /// From here on all of them.
    pub all: LogPosition,
    /// From here on those that build a copy beside the old one, if one was being built.
    pub building: Option<LogPosition>,
}

impl SlotStart {
    /// The payload of a [`RecordKind::CheckpointSlot`].
    pub fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.all.0.to_le_bytes());
        bytes[8..].copy_from_slice(&self.building.map_or(u64::MAX, |position| position.0).to_le_bytes());
        bytes
    }

    /// Reads the payload of a [`RecordKind::CheckpointSlot`], or `None` where it is none.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (all, building) = payload.split_first_chunk()?;
        let building = u64::from_le_bytes(building.try_into().ok()?);
        Some(Self {
            all: LogPosition(u64::from_le_bytes(*all)),
            building: (building != u64::MAX).then_some(LogPosition(building)),
        })
    }

    /// Is a record of that kind, at that position, not in the checkpoint?
    pub fn admits(self, kind: RecordKind, position: LogPosition) -> bool {
        let builds = matches!(kind, RecordKind::InstallBegin | RecordKind::InstallPart);
        position >= self.all
            || builds && self.building.is_some_and(|from| position >= from)
            // Promises of many slots are one record, and no promise is ever taken back.
            || kind == RecordKind::Promise
            // What they say of transactions is not about one slot.
            || matches!(kind, RecordKind::Begin | RecordKind::Commit | RecordKind::Settled)
    }
}

impl Shard {
    /// The log's end is here, but for what the present turn has made: to be told at the start and after each append.
    pub fn set_log_position(&mut self, position: LogPosition) {
        self.turn.log_begins = position;
    }

    /// Changes to keys by requests since the start, and by expiry.
    pub fn changes(&self) -> u64 {
        self.effects.pushed()
    }

    /// Where in the log the next record will be.
    pub fn log_position(&self) -> LogPosition {
        if !self.options.log {
            return LogPosition(0);
        }
        LogPosition(self.turn.log_begins.0 + self.turn_log_bytes() as u64)
    }

    /// Begins a checkpoint. One that was under way is given up.
    pub fn begin_checkpoint(&mut self) {
        let position = self.log_position();
        // Without a log nothing else may be recording what writers do.
        self.effects.set_recording(true);
        self.checkpoint = Some(Box::new(CheckpointWalk {
            next: 0,
            slot: None,
            out: Vec::new(),
            extent: CheckpointExtent { replay_from: position, end: position, records: 0, keys: 0 },
        }));
    }

    /// Gives up the checkpoint under way, if there is one.
    pub fn end_checkpoint(&mut self) {
        self.checkpoint = None;
        let in_cluster = matches!(self.standing, Standing::Member { .. });
        self.effects.set_recording(self.options.log || in_cluster);
    }

    /// Bytes of the checkpoint under way that were not fetched: they grow with what writers do.
    pub fn checkpoint_bytes(&self) -> usize {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.out.len())
    }

    /// Goes on with the checkpoint by about a chunk of a transfer.
    ///
    /// # Panics
    /// If none is under way.
    pub fn step_checkpoint(&mut self) -> CheckpointStep {
        let mut checkpoint = self.checkpoint.take().expect("a checkpoint was begun");
        let limits = self.options.limits;
        let before = checkpoint.out.len();
        let mut keys = 0;
        for _ in 0..SLOTS_PER_STEP {
            let Some(mut slot) = checkpoint.slot.take() else {
                if checkpoint.next == self.slots.len() {
                    let extent = checkpoint.extent;
                    let last = std::mem::take(&mut checkpoint.out);
                    self.end_checkpoint();
                    return CheckpointStep::Last(last, extent);
                }
                checkpoint.slot = self.begin_slot(checkpoint.next, &mut checkpoint);
                if checkpoint.slot.is_none() {
                    checkpoint.next += 1;
                }
                continue;
            };
            let id = self.slot_at(slot.index);
            if slot.is_staged != self.slots[slot.index].replication.is_some() {
                // It has come into a cluster since.
                checkpoint.give(RecordKind::Drop, id, Epoch(0), Seq(0), &[]);
                continue;
            }
            let chunk = slot.walk.step(&self.tables, id, limits);
            keys += chunk.keys;
            checkpoint.extent.keys += chunk.keys;
            for part in chunk.parts {
                checkpoint.give_effects(id, slot.is_staged, self.slots[slot.index].last_seq, &part);
            }
            if slot.walk.is_done() {
                self.end_slot(&slot, &mut checkpoint);
                checkpoint.next += 1;
            } else {
                checkpoint.slot = Some(slot);
            }
            if keys >= limits.chunk_keys as u64 || checkpoint.out.len() - before >= limits.chunk_bytes {
                break;
            }
        }
        let out = &mut checkpoint.out;
        let chunk = if out.len() >= CHUNK_BYTES_MIN { std::mem::take(out) } else { Vec::new() };
        self.checkpoint = Some(checkpoint);
        CheckpointStep::More(chunk)
    }

    /// `None` for a slot to which nothing ever happened.
    fn begin_slot(&self, index: usize, checkpoint: &mut CheckpointWalk) -> Option<SlotWalk> {
        let (state, slot) = (&self.slots[index], self.slot_at(index));
        let is_staged = state.replication.is_some();
        if !is_staged && state.last_seq == Seq(0) && self.tables.keys_of(slot) == 0 {
            return None;
        }
        if is_staged {
            checkpoint.give(RecordKind::InstallBegin, slot, Epoch(0), Seq(0), &STAGED);
        }
        Some(SlotWalk { index, walk: Walk::new(), is_staged })
    }

    /// All of the slot's table has been given.
    fn end_slot(&self, walk: &SlotWalk, checkpoint: &mut CheckpointWalk) {
        let (state, slot) = (&self.slots[walk.index], self.slot_at(walk.index));
        let mut start = SlotStart { all: self.log_position(), building: None };
        let mut epoch = Epoch(0);
        if let Some(replication) = state.replication.as_ref() {
            assert!(walk.is_staged, "a slot that becomes replicated is walked anew");
            if replication.promised > Epoch(0) {
                let payload = slot.get().to_le_bytes();
                checkpoint.give(RecordKind::Promise, slot, replication.promised, Seq(0), &payload);
            }
            // The table has what is applied, and what is only logged follows.
            let applied = replication.pending.front().map_or(state.last_seq, |(seq, _)| Seq(seq.0 - 1));
            if let Some(standing) = replication.standing(applied) {
                let history =
                    postcard::to_stdvec(&replication.history).expect("a history of numbers always encodes");
                epoch = standing.epoch;
                let payload = [&STAGED[..], &history].concat();
                checkpoint.give(RecordKind::InstallDone, slot, standing.epoch, standing.seq, &payload);
                let pending =
                    replication.pending.iter().filter(|_| !is_planted(Bug::CheckpointForgetsPending));
                for (_, record) in pending {
                    checkpoint.give_record(record);
                }
            }
            let incoming = replication.incoming.as_ref();
            let incoming = incoming.filter(|_| !is_planted(Bug::CheckpointForgetsBuilding));
            start.building = incoming.map(|incoming| incoming.logged_from);
        }
        let from = start.building.unwrap_or(start.all).min(start.all);
        let extent = &mut checkpoint.extent;
        extent.replay_from = extent.replay_from.min(from);
        extent.end = extent.end.max(start.all);
        checkpoint.give(RecordKind::CheckpointSlot, slot, epoch, state.last_seq, &start.encode());
    }

    /// The slot's table was changed by these effects: the checkpoint, if it walks the slot, gets those that it must have.
    #[inline]
    pub(crate) fn follow_checkpoint(&mut self, index: usize, effects: &[u8]) {
        if self.checkpoint.is_some() {
            self.follow_checkpoint_slowly(index, effects);
        }
    }

    #[cold]
    fn follow_checkpoint_slowly(&mut self, index: usize, effects: &[u8]) {
        let (id, last_seq) = (self.slot_at(index), self.slots[index].last_seq);
        let Some(checkpoint) = self.checkpoint.as_mut() else { return };
        let Some(slot) = checkpoint.slot.as_mut().filter(|slot| slot.index == index) else { return };
        let passed = slot.walk.follow(effects, self.tables.hasher());
        if !passed.is_empty() && !is_planted(Bug::CheckpointMissesTail) {
            let is_staged = slot.is_staged;
            checkpoint.give_effects(id, is_staged, last_seq, &passed);
        }
    }

    /// The slot's copy is another one now: if it is being walked, that begins anew.
    pub(crate) fn walk_slot_anew(&mut self, index: usize) {
        let slot = self.slot_at(index);
        let Some(checkpoint) = self.checkpoint.as_mut() else { return };
        if checkpoint.slot.take_if(|walk| walk.index == index).is_some() {
            checkpoint.give(RecordKind::Drop, slot, Epoch(0), Seq(0), &[]);
        }
    }
}

/// Marks the staged copies of a checkpoint: attachments of links are numbered from 1.
const STAGED: [u8; 8] = [0; 8];

impl CheckpointWalk {
    fn give(&mut self, kind: RecordKind, slot: SlotId, epoch: Epoch, seq: Seq, payload: &[u8]) {
        self.extent.records += 1;
        append_record(&mut self.out, &RecordHeader { kind, slot, epoch, seq }, payload);
    }

    fn give_effects(&mut self, slot: SlotId, is_staged: bool, seq: Seq, effects: &[u8]) {
        if is_staged {
            self.extent.records += 1;
            let header = RecordHeader { kind: RecordKind::InstallPart, slot, epoch: Epoch(0), seq: Seq(0) };
            append_record_with(&mut self.out, &header, |out| {
                out.extend_from_slice(&STAGED);
                out.extend_from_slice(effects);
            });
        } else {
            self.give(RecordKind::Effects, slot, Epoch(0), seq, effects);
        }
    }

    fn give_record(&mut self, record: &Bytes) {
        self.extent.records += 1;
        self.out.extend_from_slice(record);
    }
}
