//! Building a shard from its log at the start.

use carousel_protocol::{Epoch, Seq, SlotId};

use super::Shard;
use super::slot::{Incoming, LinkId, Role, Serve};
use crate::command::{EffectError, EffectIter, SlotKeys};
use crate::persist::record::{LogPosition, RecordHeader, RecordKind};
use crate::transfer::Walk;

/// No link has this number: it marks a copy that the log is building.
const FROM_LOG: LinkId = LinkId(u64::MAX);

/// A record that is sound by its checksum makes no sense: written by a bug or a newer version.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Its effects do not decode.
    #[error("record of slot {slot} at seq {seq}: {source}")]
    Effects {
        /// The record's slot.
        slot: SlotId,
        /// The record's seq.
        seq: Seq,
        /// Why.
        source: EffectError,
    },
    /// Its payload is not what its kind has.
    #[error("record of slot {slot} at seq {seq}: malformed {kind:?} payload")]
    Payload {
        /// The record's slot.
        slot: SlotId,
        /// The record's seq.
        seq: Seq,
        /// Its kind.
        kind: RecordKind,
    },
}

impl Shard {
    /// Applies a record of the log.
    ///
    /// # Errors
    /// The record makes no sense; the start must stop.
    pub fn replay(&mut self, header: RecordHeader, payload: &[u8]) -> Result<(), ReplayError> {
        let RecordHeader { kind, slot, epoch, seq } = header;
        let malformed = || ReplayError::Payload { slot, seq, kind };
        if kind == RecordKind::Promise {
            return self.replay_promise(epoch, payload).ok_or_else(malformed);
        }
        let Some(index) = self.own_index(slot) else { return Ok(()) };
        match kind {
            RecordKind::Effects => {
                self.replay_effects(slot, seq, payload, false)?;
                self.replay_position(index, epoch, seq);
            }
            RecordKind::Barrier => self.replay_position(index, epoch, seq),
            RecordKind::Promise => unreachable!("handled above: it is about many slots"),
            RecordKind::Drop => {
                self.drop_copy(slot);
                self.turn.log.clear(); // it is in the log already
            }
            RecordKind::InstallBegin => {
                let attach = payload.try_into().map(u64::from_le_bytes).map_err(|_| malformed())?;
                let logged_from = LogPosition(0);
                self.slots[index].replication_mut().incoming =
                    Some(Box::new(Incoming { link: FROM_LOG, attach, keys: SlotKeys::new(), logged_from }));
            }
            RecordKind::InstallPart => {
                let (attach, effects) = payload.split_first_chunk().ok_or_else(malformed)?;
                let attach = u64::from_le_bytes(*attach);
                let replication = self.slots[index].replication_mut();
                if replication.incoming.as_ref().is_some_and(|incoming| incoming.attach == attach) {
                    self.replay_effects(slot, seq, effects, true)?;
                }
            }
            RecordKind::InstallDone => {
                let (attach, history) = payload.split_first_chunk().ok_or_else(malformed)?;
                let attach = u64::from_le_bytes(*attach);
                let history = postcard::from_bytes(history).map_err(|_| malformed())?;
                let replication = self.slots[index].replication_mut();
                if let Some(incoming) = replication.incoming.take_if(|incoming| incoming.attach == attach) {
                    replication.history = history;
                    drop(self.tables.replace(slot, incoming.keys));
                    self.replay_copy(index, seq);
                }
            }
            RecordKind::SetPosition => {
                let history = postcard::from_bytes(payload).map_err(|_| malformed())?;
                self.slots[index].replication_mut().history = history;
                self.replay_copy(index, seq);
            }
            RecordKind::CheckpointSlot => {
                let state = &mut self.slots[index];
                let is_complete = match state.replication.as_mut() {
                    Some(replication) => {
                        replication.incoming = None;
                        replication.complete
                    }
                    None => false,
                };
                if !is_complete {
                    state.last_seq = seq;
                    state.commit = seq;
                }
            }
            RecordKind::Start | RecordKind::CleanStop | RecordKind::WriteEnd | RecordKind::CheckpointEnd => {}
            // What they say was decided before anything was replayed.
            RecordKind::Begin | RecordKind::Commit | RecordKind::Settled => {}
        }
        Ok(())
    }

    fn replay_promise(&mut self, epoch: Epoch, payload: &[u8]) -> Option<()> {
        for bytes in payload.chunks(2) {
            let sealed = SlotId::new(u16::from_le_bytes(bytes.try_into().ok()?))?;
            if let Some(index) = self.own_index(sealed) {
                let replication = self.slots[index].replication_mut();
                replication.promised = replication.promised.max(epoch);
            }
        }
        Some(())
    }

    /// [`Self::begin`] was called.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// The process begins. `whole`: what the log had is everything that the node ever acknowledged, so every copy
    /// in it is whole.
    pub fn begin(&mut self, whole: bool) {
        self.begun = Some(whole);
        for slot in &mut self.slots {
            if let Some(replication) = slot.replication.as_mut() {
                replication.whole = whole && replication.complete;
            }
        }
    }

    /// The log had copies that a cluster's epochs order: this node is, or was, a member.
    pub fn holds_cluster_copies(&self) -> bool {
        self.slots.iter().any(|slot| {
            slot.replication.as_ref().is_some_and(|replication| replication.history.last_epoch() > Epoch(0))
        })
    }

    /// Copies that lack something which the node has acknowledged, as far as known.
    pub fn copies_not_whole(&self) -> usize {
        if self.begun == Some(false) && !self.active() {
            return self.slots.len(); // which of them count is not known before the map is
        }
        let replications = self.slots.iter().filter_map(|slot| slot.replication.as_ref());
        replications.filter(|replication| replication.role != Role::Outside && !replication.whole).count()
    }

    /// The shard's whole state as records: what a log must have to give it back.
    pub fn dump(&self, write: &mut dyn FnMut(RecordHeader, &[u8])) {
        for slot in self.tables.slots() {
            let state = self.slot(slot);
            let Some(replication) = state.replication.as_ref() else {
                self.dump_keys(slot, &mut |effects| {
                    let kind = RecordKind::Effects;
                    write(RecordHeader { kind, slot, epoch: Epoch(0), seq: state.last_seq }, effects);
                });
                continue;
            };
            let header = |kind, epoch, seq| RecordHeader { kind, slot, epoch, seq };
            if replication.promised > Epoch(0) {
                write(header(RecordKind::Promise, replication.promised, Seq(0)), &slot.get().to_le_bytes());
            }
            let Some(standing) = replication.standing(state.last_seq) else { continue };
            let attach = 0u64.to_le_bytes();
            write(header(RecordKind::InstallBegin, Epoch(0), Seq(0)), &attach);
            self.dump_keys(slot, &mut |effects| {
                write(header(RecordKind::InstallPart, Epoch(0), Seq(0)), &[&attach[..], effects].concat());
            });
            let history =
                postcard::to_stdvec(&replication.history).expect("a history of numbers always encodes");
            let done = header(RecordKind::InstallDone, standing.epoch, standing.seq);
            write(done, &[&attach[..], &history].concat());
        }
    }

    fn dump_keys(&self, slot: SlotId, write: &mut dyn FnMut(&[u8])) {
        let mut walk = Walk::new();
        while !walk.is_done() {
            let chunk = walk.step(&self.tables, slot, self.options.limits);
            chunk.parts.iter().for_each(|effects| write(effects));
        }
    }

    /// The log has ended: what it was still building is not a copy.
    pub fn replay_done(&mut self) {
        for slot in &mut self.slots {
            if let Some(replication) = slot.replication.as_mut() {
                replication.incoming = None;
            }
        }
        self.turn.log.clear();
    }

    fn replay_effects(
        &mut self,
        slot: SlotId,
        seq: Seq,
        effects: &[u8],
        staged: bool,
    ) -> Result<(), ReplayError> {
        let index = self.index(slot);
        let incoming = self.slots[index].replication.as_mut().and_then(|r| r.incoming.as_mut());
        let mut incoming = incoming.filter(|_| staged);
        for effect in EffectIter::new(effects) {
            let (database, effect) = effect.map_err(|source| ReplayError::Effects { slot, seq, source })?;
            match incoming.as_mut() {
                Some(incoming) => incoming.keys.apply(database, &effect, self.tables.hasher()),
                None => self.tables.apply(slot, database, &effect),
            }
        }
        Ok(())
    }

    fn replay_position(&mut self, index: usize, epoch: Epoch, seq: Seq) {
        if epoch > Epoch(0) {
            let replication = self.slots[index].replication_mut();
            if epoch > replication.history.last_epoch() {
                replication.history.begin(epoch, seq);
            }
            self.replay_copy(index, seq);
        } else {
            self.slots[index].last_seq = seq;
            self.slots[index].commit = seq;
        }
    }

    fn replay_copy(&mut self, index: usize, seq: Seq) {
        let slot = &mut self.slots[index];
        slot.last_seq = seq;
        slot.commit = seq;
        let replication = slot.replication_mut();
        replication.complete = true;
        // A member's copy is not a lone node's to serve, whatever became of the node's memory of its cluster.
        self.serve[index] = Serve::Elsewhere;
    }
}
