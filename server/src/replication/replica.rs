//! The replica's side of a slot: what it accepts, when it applies.
//!
//! A record is logged and acknowledged on arrival and applied when the primary says that it is committed, so
//! that a record which never reached its quorum can be forgotten without having been seen.

use bytes::Bytes;
use carousel_protocol::{Epoch, NodeId, Position, Seq, SlotId};

use super::message::MessageError;
use super::{EpochHistory, Frames, ToPrimary, ToReplica};
use crate::command::EffectIter;
use crate::limits::TRANSFER_PART_BYTES_MAX;
use crate::persist::record::{RecordHeader, RecordKind, decode_record};
use crate::planted::{Bug, is_planted};
use crate::shard::slot::{Attachment, LinkId, Role, Serve};
use crate::shard::{Inbound, Shard, Standing};

impl Shard {
    /// A remote primary has dialled in. Returns false before this process is registered: close the link then.
    pub fn inbound_up(&mut self, link: LinkId, from: NodeId) -> bool {
        if !self.active() {
            return false;
        }
        let inbound = Inbound { from, frames: Frames::default(), received: 0, acked: 0, out: Vec::new() };
        let before = self.links.insert(link, inbound);
        assert!(before.is_none(), "a link's number is used once");
        true
    }

    /// A remote primary's link has gone: nothing is in step on it any more, and what it was building is dropped.
    pub fn inbound_down(&mut self, link: LinkId) {
        self.links.remove(&link);
        for index in 0..self.slots.len() {
            let Some(replication) = self.slots[index].replication.as_mut() else { continue };
            if replication.link.is_some_and(|attached| attached.link == link) {
                replication.link = None;
                self.stop_waiting_for_handover(index);
            }
            let replication = self.slots[index].replication_mut();
            replication.incoming.take_if(|incoming| incoming.link == link);
            replication.offer.take_if(|offer| offer.link == link);
        }
    }

    /// Bytes from a remote primary.
    ///
    /// # Errors
    /// The bytes make no sense; close the link.
    pub fn from_primary(&mut self, link: LinkId, bytes: Bytes) -> Result<(), MessageError> {
        let Some(inbound) = self.links.get_mut(&link) else { return Ok(()) };
        inbound.frames.push(bytes);
        loop {
            let inbound = self.links.get_mut(&link).expect("links end only by inbound_down");
            let Some(message) = inbound.frames.next_to_replica()? else { return Ok(()) };
            if message.acknowledged() {
                inbound.received += 1;
            }
            self.handle_to_replica(link, message)?;
        }
    }

    fn handle_to_replica(&mut self, link: LinkId, message: ToReplica) -> Result<(), MessageError> {
        match message {
            ToReplica::Offer { slot, epoch, attach } => self.offered(link, slot, epoch, attach),
            ToReplica::Record(record) => {
                let Ok(Some((header, payload, total))) = decode_record(&record) else {
                    return Err(MessageError::Malformed(2));
                };
                if total != record.len() || !well_formed(header.kind, payload) {
                    return Err(MessageError::Malformed(2));
                }
                self.record_arrived(link, header, record.clone());
            }
            ToReplica::Commit { slot, epoch, seq } => {
                if let Some(index) = self.attached_index(link, slot)
                    && self.slots[index].replication_mut().history.last_epoch() == epoch
                {
                    self.apply_up_to(index, seq);
                    // All that any client was ever told is at or below a serving primary's commit position.
                    let caught_up = self.slots[index].last_seq >= seq;
                    self.slots[index].replication_mut().whole |= caught_up;
                }
            }
            ToReplica::SetPosition { slot, position, history } => {
                if let Some(index) = self.attached_index(link, slot) {
                    self.set_position(index, slot, position, history);
                } else {
                    self.refuse(link, slot);
                }
            }
            ToReplica::TransferBegin { slot, attach } => self.transfer_began(link, slot, attach),
            ToReplica::TransferPart { slot, attach, effects } => {
                let fits = effects.len() <= TRANSFER_PART_BYTES_MAX;
                if !fits || !EffectIter::new(&effects).all(|effect| effect.is_ok()) {
                    return Err(MessageError::Malformed(6));
                }
                self.transfer_part(link, slot, attach, &effects);
            }
            ToReplica::TransferDone { slot, attach, position, history } => {
                self.transfer_done(link, slot, attach, position, history);
            }
            ToReplica::Freeze { slot, .. } => {
                if let Some(index) = self.attached_index(link, slot)
                    && self.serve[index] == Serve::Elsewhere
                {
                    self.serve[index] = Serve::Waiting;
                }
            }
            ToReplica::Unfreeze { slot, .. } => {
                if let Some(index) = self.attached_index(link, slot) {
                    self.stop_waiting_for_handover(index);
                }
            }
        }
        Ok(())
    }

    fn offered(&mut self, link: LinkId, slot: SlotId, epoch: Epoch, attach: u64) {
        let Some(index) = self.own_index(slot) else { return };
        let replication = self.slots[index].replication_mut();
        let known = replication.promised.max(replication.map.0).max(replication.history.last_epoch());
        if epoch < known && !is_planted(Bug::NoEpochCheck) {
            self.answer(link, &ToPrimary::Refuse { slot, attach, promised: known });
            return;
        }
        replication.offer = Some(Attachment { link, attach, epoch });
        self.answer_offer(index);
    }

    /// Answers the slot's offer, if there is one and the map is far enough: one from its successor finds a primary
    /// that does not know yet that it is none any more.
    pub(crate) fn answer_offer(&mut self, index: usize) {
        let slot = self.slot_at(index);
        let Standing::Member { incarnation: Some(incarnation), .. } = self.standing else { return };
        let last_seq = self.slots[index].last_seq;
        let replication = self.slots[index].replication_mut();
        if replication.role == Role::Primary {
            return;
        }
        let Some(offer) = replication.offer.take() else { return };
        if offer.epoch < replication.promised.max(replication.map.0) && !is_planted(Bug::NoEpochCheck) {
            // It is too old by now; a fresh one will say so, or be refused.
            let promised = replication.promised.max(replication.map.0);
            self.answer(offer.link, &ToPrimary::Refuse { slot, attach: offer.attach, promised });
            return;
        }
        replication.link = Some(offer);
        replication.followed = replication.followed.max(offer.epoch);
        replication.incoming = None;
        let copy = replication.standing(last_seq);
        self.answer(offer.link, &ToPrimary::Standing { slot, attach: offer.attach, incarnation, copy });
    }

    /// The slot is not in step on this link; said before any ack of what has arrived for it.
    pub(crate) fn refuse(&mut self, link: LinkId, slot: SlotId) {
        let Some(index) = self.own_index(slot).filter(|_| !is_planted(Bug::AckCoversRefused)) else { return };
        let replication = self.slots[index].replication_mut();
        let attach = match replication.link {
            Some(attached) if attached.link == link => attached.attach,
            _ => 0,
        };
        let refusal =
            ToPrimary::Refuse { slot, attach, promised: replication.promised.max(replication.map.0) };
        self.answer(link, &refusal);
    }

    /// Ends the attachment that the slot follows, if it does; what was being built with it is dropped.
    pub(crate) fn detach(&mut self, index: usize) {
        let slot = self.slot_at(index);
        if let Some(attached) = self.slots[index].replication_mut().link {
            self.refuse(attached.link, slot);
            let replication = self.slots[index].replication_mut();
            replication.link = None;
            replication.incoming = None;
        }
    }

    fn answer(&mut self, link: LinkId, message: &ToPrimary) {
        if let Some(inbound) = self.links.get_mut(&link) {
            message.encode(&mut inbound.out);
        }
    }

    /// The slot's index if this link is the one whose records are accepted.
    pub(crate) fn attached_index(&mut self, link: LinkId, slot: SlotId) -> Option<usize> {
        let index = self.own_index(slot)?;
        let replication = self.slots[index].replication.as_ref()?;
        replication.link.is_some_and(|attached| attached.link == link).then_some(index)
    }

    fn record_arrived(&mut self, link: LinkId, header: RecordHeader, record: Bytes) {
        let Some(index) = self.attached_index(link, header.slot) else {
            self.refuse(link, header.slot);
            return;
        };
        let last_seq = self.slots[index].last_seq;
        let replication = self.slots[index].replication_mut();
        let epoch = replication.history.last_epoch();
        let begins = header.kind == RecordKind::Barrier && header.epoch > epoch;
        let attached = replication.link.as_mut().expect("attached");
        attached.epoch = attached.epoch.max(header.epoch);
        replication.followed = replication.followed.max(header.epoch);
        let fits = replication.complete
            && header.seq == last_seq.next()
            && (attached.epoch >= replication.promised || is_planted(Bug::NoEpochCheck))
            && (header.epoch == epoch || begins);
        if !fits {
            self.refuse(link, header.slot);
            let replication = self.slots[index].replication_mut();
            replication.link = None;
            return;
        }
        if begins {
            replication.history.begin(header.epoch, header.seq);
        }
        replication.pending.push_back((header.seq, record.clone()));
        self.slots[index].last_seq = header.seq;
        self.turn.log.extend_from_slice(&record);
    }

    /// Applies what is pending up to `seq`.
    pub(crate) fn apply_up_to(&mut self, index: usize, seq: Seq) {
        let slot = self.slot_at(index);
        while let Some((next, record)) =
            self.slots[index].replication_mut().pending.pop_front_if(|p| p.0 <= seq)
        {
            let (header, payload, _) = decode_record(&record).ok().flatten().expect("checked on arrival");
            if header.kind == RecordKind::Effects {
                self.apply_effects(slot, payload);
            }
            self.slots[index].commit = next;
        }
    }

    /// Applies effects that were checked to decode.
    pub(crate) fn apply_effects(&mut self, slot: SlotId, payload: &[u8]) {
        for effect in EffectIter::new(payload) {
            let (database, effect) = effect.expect("checked on arrival");
            self.tables.apply(slot, database, &effect);
        }
        self.follow_checkpoint(self.index(slot), payload);
    }

    fn set_position(&mut self, index: usize, slot: SlotId, position: Position, history: EpochHistory) {
        self.apply_up_to(index, Seq(u64::MAX));
        let state = &mut self.slots[index];
        state.last_seq = position.seq;
        state.commit = position.seq;
        state.replication_mut().history = history;
        state.replication_mut().whole = true;
        let payload = postcard::to_stdvec(&state.replication_mut().history).expect("numbers encode");
        let header =
            RecordHeader { kind: RecordKind::SetPosition, slot, epoch: position.epoch, seq: position.seq };
        self.log_note(header, &payload);
    }

    /// The primary's promise to hand the slot over is void: its requests go back where the map says.
    pub(crate) fn stop_waiting_for_handover(&mut self, index: usize) {
        if self.serve[index] == Serve::Waiting && self.slots[index].lead().is_none() {
            self.serve[index] = Serve::Elsewhere;
            self.turn.news = true;
        }
    }

    /// Promises to refuse every epoch below `epoch` for these slots, and says where their copies stand. The
    /// answer may leave only when the present turn is durable. Says nothing before [`Shard::begin`]: a copy that may
    /// turn out to be whole would be taken for a prefix, and a loss announced that there is none of.
    pub fn seal(&mut self, epoch: Epoch, slots: &[SlotId]) -> Vec<(SlotId, Option<Position>, bool)> {
        let Some(begun_whole) = self.begun else { return Vec::new() };
        let mine: Vec<_> = slots.iter().copied().filter(|slot| self.own_index(*slot).is_some()).collect();
        let mut reports = Vec::with_capacity(mine.len());
        let mut payload = Vec::with_capacity(2 * mine.len());
        for &slot in &mine {
            let index = self.index(slot);
            let last_seq = self.slots[index].last_seq;
            let replication = self.slots[index].replication_mut();
            if replication.promised > epoch {
                continue; // a later coordinator was here: no report for this one
            }
            replication.promised = epoch;
            payload.extend_from_slice(&slot.get().to_le_bytes());
            let copy = replication.standing(last_seq);
            // Without a copy, a node that has everything it acknowledged has acknowledged nothing.
            let whole = if copy.is_some() { replication.whole } else { begun_whole };
            reports.push((slot, copy, whole));
            if replication.lead.as_ref().is_some_and(|lead| lead.epoch < epoch) {
                self.depose(index);
            }
            self.detach(index);
        }
        if let Some(&first) = mine.first() {
            let header = RecordHeader { kind: RecordKind::Promise, slot: first, epoch, seq: Seq(0) };
            self.log_note(header, &payload);
        }
        reports
    }
}

fn well_formed(kind: RecordKind, payload: &[u8]) -> bool {
    match kind {
        RecordKind::Effects => EffectIter::new(payload).all(|effect| effect.is_ok()),
        RecordKind::Barrier => true,
        RecordKind::Promise
        | RecordKind::Drop
        | RecordKind::InstallBegin
        | RecordKind::InstallPart
        | RecordKind::InstallDone
        | RecordKind::Start
        | RecordKind::CleanStop
        | RecordKind::WriteEnd
        | RecordKind::SetPosition
        | RecordKind::Begin
        | RecordKind::Commit
        | RecordKind::Settled
        | RecordKind::CheckpointSlot
        | RecordKind::CheckpointEnd => false,
    }
}
