//! The primary's side of a slot: offers, followers, acks, the commit position.

use carousel_protocol::{Epoch, Incarnation, NodeId, Position, Seq, SlotId};

use super::message::encode_record;
use super::{Frames, ToPrimary, ToReplica, quorum};
use crate::planted::{Bug, is_planted};
use crate::shard::slot::{Change, Follower, FollowerState, Lead, PeerIndex, Serve};
use crate::shard::{InFlight, Shard};

impl Shard {
    /// The link to a remote shard is up: positions begin anew, so nothing is in step on it.
    pub fn link_up(&mut self, peer: PeerIndex) {
        self.detach_all(peer);
        self.peers[peer].up = true;
        for slot in self.tables.slots() {
            self.offer(slot, peer);
        }
    }

    /// The link to a remote shard has gone.
    pub fn link_down(&mut self, peer: PeerIndex) {
        self.detach_all(peer);
    }

    fn detach_all(&mut self, peer: PeerIndex) {
        let link = &mut self.peers[peer];
        link.up = false;
        link.out.clear();
        link.frames = Frames::default();
        link.sent = 0;
        link.in_flight.clear();
        link.transfer_bytes = 0;
        link.transfers.clear();
        for index in 0..self.slots.len() {
            let Some(replication) = self.slots[index].replication.as_mut() else { continue };
            let Some(follower) = replication.follower_mut(peer) else { continue };
            follower.state = FollowerState::Detached;
            self.follower_changed(index);
        }
    }

    /// Asks a follower where its copy stands, if it has none of the slot's records on their way.
    pub(crate) fn offer(&mut self, slot: SlotId, peer: PeerIndex) {
        let index = self.index(slot);
        if !self.peers[peer].up {
            return;
        }
        let Some(lead) = self.slots[index].lead_mut() else { return };
        let (epoch, begun) = (lead.epoch, !matches!(lead.change, Change::Queued { .. }));
        let Some(follower) = lead.followers.iter_mut().find(|follower| follower.peer == peer) else { return };
        // A newcomer waits until its change has its turn.
        if follower.state != FollowerState::Detached || !(follower.member || begun) {
            return;
        }
        self.last_attach += 1;
        follower.attach = self.last_attach;
        follower.state = FollowerState::Offered;
        follower.acked = Seq(0);
        ToReplica::Offer { slot, epoch, attach: follower.attach }.encode(&mut self.peers[peer].out);
    }

    /// Bytes from a remote shard that follows.
    ///
    /// # Errors
    /// The bytes make no sense; close the link.
    pub fn from_replica(
        &mut self,
        peer: PeerIndex,
        bytes: bytes::Bytes,
    ) -> Result<(), super::message::MessageError> {
        self.peers[peer].frames.push(bytes);
        while let Some(message) = self.peers[peer].frames.next_to_primary()? {
            match message {
                ToPrimary::Standing { slot, attach, incarnation, copy } => {
                    self.follower_stands(peer, slot, attach, incarnation, copy)
                }
                ToPrimary::Refuse { slot, attach, promised } => {
                    self.follower_refused(peer, slot, attach, promised)
                }
                ToPrimary::Ack { count } => self.follower_acked(peer, count),
            }
        }
        Ok(())
    }

    fn follower_stands(
        &mut self,
        peer: PeerIndex,
        slot: SlotId,
        attach: u64,
        incarnation: Incarnation,
        copy: Option<Position>,
    ) {
        let Some(index) = self.own_index(slot) else { return };
        self.freeze_log();
        let state = &mut self.slots[index];
        let last_seq = state.last_seq;
        let Some(replication) = state.replication.as_mut() else { return };
        let Some(lead) = replication.lead.as_mut() else { return };
        let effect_seq = lead.effect_seq;
        let Some(follower) = lead.followers.iter_mut().find(|f| f.peer == peer) else { return };
        if follower.attach != attach || follower.state != FollowerState::Offered {
            return;
        }
        follower.incarnation = incarnation;
        let Some(position) = copy.filter(|position| replication.history.contains(*position, last_seq)) else {
            follower.state = FollowerState::WaitsForTransfer;
            self.queue_transfer(slot, peer, attach);
            return;
        };
        let reachable = replication.tail.front().is_some_and(|kept| kept.seq <= position.seq.next());
        if position.seq == last_seq || reachable {
            follower.state = FollowerState::InStep;
            follower.acked = position.seq;
            let link = &mut self.peers[peer];
            for kept in replication.tail.iter().filter(|kept| kept.seq > position.seq) {
                encode_record(&mut link.out, &kept.record);
                link.sent += 1;
                link.in_flight.push_back(InFlight {
                    count: link.sent,
                    slot,
                    attach,
                    seq: Some(kept.seq),
                    transfer_bytes: 0,
                });
            }
        } else if position.seq >= effect_seq {
            follower.state = FollowerState::InStep;
            follower.acked = position.seq;
            let position = Position { epoch: replication.history.last_epoch(), seq: last_seq };
            let history = replication.history.clone();
            let link = &mut self.peers[peer];
            ToReplica::SetPosition { slot, position, history }.encode(&mut link.out);
            link.sent += 1;
            link.in_flight.push_back(InFlight {
                count: link.sent,
                slot,
                attach,
                seq: Some(last_seq),
                transfer_bytes: 0,
            });
        } else {
            follower.state = FollowerState::WaitsForTransfer;
            self.queue_transfer(slot, peer, attach);
            return;
        }
        self.turn.commits.push(index);
        self.follower_changed(index);
    }

    fn follower_refused(&mut self, peer: PeerIndex, slot: SlotId, attach: u64, promised: Epoch) {
        let Some(index) = self.own_index(slot) else { return };
        let Some(replication) = self.slots[index].replication.as_mut() else { return };
        let Some(epoch) = replication.lead.as_ref().map(|lead| lead.epoch) else { return };
        let Some(follower) = replication.follower_mut(peer) else { return };
        // Attachment zero is whatever there is: the replica knows of none.
        if (attach != 0 && follower.attach != attach) || follower.state == FollowerState::Detached {
            return;
        }
        follower.state = FollowerState::Detached;
        if promised > epoch {
            // Somebody seals the slot for a successor, or the map is late here: what this node executes from
            // now on could be lost.
            self.depose(index);
        }
        self.follower_changed(index);
        if promised <= epoch {
            self.offer(slot, peer);
        }
    }

    fn follower_acked(&mut self, peer: PeerIndex, count: u64) {
        while self.peers[peer].in_flight.front().is_some_and(|sent| sent.count <= count) {
            let sent = self.peers[peer].in_flight.pop_front().expect("has a front");
            self.peers[peer].transfer_bytes -= sent.transfer_bytes;
            let Some(seq) = sent.seq else {
                self.turn.more |= !self.peers[peer].transfers.is_empty();
                continue;
            };
            let index = self.index(sent.slot);
            let Some(replication) = self.slots[index].replication.as_mut() else { continue };
            let Some(follower) = replication.follower_mut(peer) else { continue };
            // An ack of an earlier attachment says nothing about this one's records.
            if follower.attach == sent.attach && follower.state == FollowerState::InStep {
                follower.acked = follower.acked.max(seq);
                self.recompute_commit(index);
                self.advance_change(index);
            }
        }
    }

    /// W for a set of `members` nodes.
    pub(crate) fn write_quorum_of(&self, members: usize) -> usize {
        quorum::effective(self.cluster().map_or(1, |state| state.write_quorum), members)
    }

    /// The last seq that W nodes of `set` hold.
    pub(crate) fn quorum_seq(&self, lead: &Lead, set: &[NodeId]) -> Seq {
        let acked = |node: NodeId| {
            lead.followers
                .iter()
                .find(|follower| follower.node == node && follower.state == FollowerState::InStep)
                .map_or(Seq(0), |follower| follower.acked)
        };
        let mut held = [Seq(0); crate::limits::REPLICAS_MAX];
        assert!(set.len() <= held.len(), "a set is bounded");
        for (held, &node) in held.iter_mut().zip(set) {
            *held = if node == self.options.me { lead.own_seq } else { acked(node) };
        }
        quorum::committed(&mut held[..set.len()], self.write_quorum_of(set.len()))
    }

    /// Advances the slot's commit position to what its quorum holds.
    pub(crate) fn recompute_commit(&mut self, index: usize) {
        let Some(lead) = self.slots[index].lead() else { return };
        let mut commit = self.quorum_seq(lead, &lead.set);
        // While a change of the set is on its way to the config group nobody knows which set counts: both do.
        if let Change::Closing { target } | Change::Proposed { target } = &lead.change
            && !is_planted(Bug::NoJointQuorum)
        {
            commit = commit.min(self.quorum_seq(lead, target));
        }
        let barrier = lead.barrier;
        let slot = &mut self.slots[index];
        if commit <= slot.commit {
            return;
        }
        slot.commit = commit;
        self.turn.commits.push(index);
        self.turn.news = true;
        if self.serve[index] == Serve::Waiting && commit >= barrier {
            self.serve[index] = Serve::Leading;
            self.turn.more |= !self.changes_queued.is_empty();
            self.refresh_serve(index);
        }
        self.advance_change(index);
    }

    /// A follower came into step or left it.
    pub(crate) fn follower_changed(&mut self, index: usize) {
        self.refresh_serve(index);
        self.recompute_commit(index);
        self.advance_change(index);
    }

    /// Reads only while fewer than W copies are in step: a write would only be held until it fails.
    pub(crate) fn refresh_serve(&mut self, index: usize) {
        let Some(lead) = self.slots[index].lead() else { return };
        let in_step = |f: &&Follower| f.member && f.state == FollowerState::InStep;
        let copies = 1 + lead.followers.iter().filter(in_step).count();
        let enough = copies >= self.write_quorum_of(lead.set.len());
        let serve = match (self.serve[index], enough) {
            (Serve::Leading, false) => Serve::LeadingReadOnly,
            (Serve::LeadingReadOnly, true) => Serve::Leading,
            (same, _) => same,
        };
        if serve != self.serve[index] {
            self.serve[index] = serve;
            self.turn.news = true;
        }
    }

    /// The index of a slot that belongs to this shard; a peer's word for one that does not is ignored.
    pub(crate) fn own_index(&self, slot: SlotId) -> Option<usize> {
        let owner = carousel_protocol::ShardId::of_slot(slot, self.options.shard_count);
        (owner == self.options.id).then(|| self.index(slot))
    }
}
