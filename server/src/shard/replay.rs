//! Building a shard from its log at the start.

use carousel_protocol::{Epoch, Seq, SlotId};

use super::Shard;
use super::slot::{Incoming, LinkId};
use crate::command::{EffectError, EffectIter};
use crate::persist::record::{RecordHeader, RecordKind};
use crate::store::SlotTable;

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
        let Some(index) = self.own_index(slot) else { return Ok(()) };
        match kind {
            RecordKind::Effects => {
                self.replay_effects(slot, seq, payload, false)?;
                self.replay_position(index, epoch, seq);
            }
            RecordKind::Barrier => self.replay_position(index, epoch, seq),
            RecordKind::Promise => {
                for bytes in payload.chunks(2) {
                    let raw = bytes.try_into().map(u16::from_le_bytes).map_err(|_| malformed())?;
                    let sealed = SlotId::new(raw).ok_or_else(malformed)?;
                    if let Some(index) = self.own_index(sealed) {
                        let replication = self.slots[index].replication_mut();
                        replication.promised = replication.promised.max(epoch);
                    }
                }
            }
            RecordKind::Drop => {
                self.drop_copy(slot);
                self.turn.log.clear(); // it is in the log already
            }
            RecordKind::InstallBegin => {
                let attach = payload.try_into().map(u64::from_le_bytes).map_err(|_| malformed())?;
                self.slots[index].replication_mut().incoming =
                    Some(Box::new(Incoming { link: FROM_LOG, attach, table: SlotTable::new() }));
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
                    self.tables.replace(slot, incoming.table);
                    self.replay_copy(index, seq);
                }
            }
            RecordKind::SetPosition => {
                let history = postcard::from_bytes(payload).map_err(|_| malformed())?;
                self.slots[index].replication_mut().history = history;
                self.replay_copy(index, seq);
            }
            RecordKind::Start | RecordKind::CleanStop | RecordKind::WriteEnd => {}
        }
        Ok(())
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

    fn replay_effects(&mut self, slot: SlotId, seq: Seq, effects: &[u8], staged: bool) -> Result<(), ReplayError> {
        let index = self.index(slot);
        let incoming = self.slots[index].replication.as_mut().and_then(|r| r.incoming.as_mut());
        let mut incoming = incoming.filter(|_| staged);
        for effect in EffectIter::new(effects) {
            let effect = effect.map_err(|source| ReplayError::Effects { slot, seq, source })?;
            match incoming.as_mut() {
                Some(incoming) => effect.apply(&mut incoming.table, self.tables.hasher()),
                None => self.tables.apply(slot, &effect),
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
        let whole = self.options.whole;
        let slot = &mut self.slots[index];
        slot.last_seq = seq;
        slot.commit = seq;
        let replication = slot.replication_mut();
        replication.complete = true;
        replication.whole = whole;
    }
}
