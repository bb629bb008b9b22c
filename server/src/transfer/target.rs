//! Receiving half of a transfer: a fresh copy is built beside the old one, which stays until the swap.

use carousel_protocol::{Epoch, Position, Seq, SlotId};

use crate::command::{EffectIter, SlotKeys};
use crate::persist::record::{RecordHeader, RecordKind};
use crate::replication::EpochHistory;
use crate::shard::Shard;
use crate::shard::slot::{Incoming, LinkId};

impl Shard {
    /// The index of the slot if `link` may build its copy in attachment `attach`; else a refusal is queued.
    fn building_index(&mut self, link: LinkId, slot: SlotId, attach: u64) -> Option<usize> {
        let index = self.attached_index(link, slot).filter(|&index| {
            let replication = self.slots[index].replication.as_ref().expect("attached");
            replication.link.is_some_and(|attached| attached.attach == attach)
        });
        if index.is_none() {
            self.refuse(link, slot);
        }
        index
    }

    pub(crate) fn transfer_began(&mut self, link: LinkId, slot: SlotId, attach: u64) {
        let Some(index) = self.building_index(link, slot, attach) else { return };
        let logged_from = self.log_position();
        self.slots[index].replication_mut().incoming =
            Some(Box::new(Incoming { link, attach, keys: SlotKeys::new(), logged_from }));
        self.log_install(RecordKind::InstallBegin, slot, Position::default(), &attach.to_le_bytes());
    }

    /// `effects` were checked to decode.
    pub(crate) fn transfer_part(&mut self, link: LinkId, slot: SlotId, attach: u64, effects: &[u8]) {
        let Some(index) = self.building_index(link, slot, attach) else { return };
        let Some(incoming) = self.slots[index].replication_mut().incoming.as_mut() else {
            self.refuse(link, slot);
            return;
        };
        for effect in EffectIter::new(effects) {
            let (database, effect) = effect.expect("checked on arrival");
            incoming.keys.apply(database, &effect, self.tables.hasher());
        }
        let payload = [&attach.to_le_bytes()[..], effects].concat();
        self.log_install(RecordKind::InstallPart, slot, Position::default(), &payload);
    }

    pub(crate) fn transfer_done(
        &mut self,
        link: LinkId,
        slot: SlotId,
        attach: u64,
        position: Position,
        history: EpochHistory,
    ) {
        let Some(index) = self.building_index(link, slot, attach) else { return };
        let state = &mut self.slots[index];
        let Some(incoming) = state.replication_mut().incoming.take() else {
            self.refuse(link, slot);
            return;
        };
        let payload = [
            &attach.to_le_bytes()[..],
            &postcard::to_stdvec(&history).expect("a history of numbers always encodes"),
        ]
        .concat();
        state.last_seq = position.seq;
        // The source's table had everything that it had executed, committed or not.
        state.commit = position.seq;
        let replication = state.replication_mut();
        replication.history = history;
        replication.complete = true;
        replication.whole = true;
        replication.pending.clear();
        drop(self.tables.replace(slot, incoming.keys));
        self.walk_slot_anew(index);
        self.log_install(RecordKind::InstallDone, slot, position, &payload);
    }

    fn log_install(&mut self, kind: RecordKind, slot: SlotId, position: Position, payload: &[u8]) {
        let Position { epoch: Epoch(epoch), seq: Seq(seq) } = position;
        self.log_note(RecordHeader { kind, slot, epoch: Epoch(epoch), seq: Seq(seq) }, payload);
    }
}
