//! Sending half of a transfer.

use bytes::Bytes;
use carousel_protocol::{Position, SlotId};

use crate::replication::ToReplica;
use crate::shard::slot::{FollowerState, PeerIndex};
use crate::shard::{InFlight, Shard};

impl Shard {
    /// Queues a transfer of the slot to a follower. Copies that count for W go before newcomers of a move.
    pub(crate) fn queue_transfer(&mut self, slot: SlotId, peer: PeerIndex, attach: u64) {
        let index = self.index(slot);
        let member = self.slots[index].replication_mut().follower_mut(peer).is_some_and(|f| f.member);
        let queue = &mut self.peers[peer].transfers;
        if member && !queue.is_empty() {
            queue.insert(1, (slot, attach)); // the first is under way
        } else {
            queue.push_back((slot, attach));
        }
        self.turn.more = true;
    }

    /// Goes on with transfers, as far as windows and the turn's budget allow.
    pub(crate) fn pump_transfers(&mut self) {
        let limits = self.options.limits;
        let mut budget = limits.turn_bytes;
        for peer in 0..self.peers.len() {
            while let Some(&(slot, attach)) = self.peers[peer].transfers.front() {
                if self.peers[peer].transfer_bytes >= limits.window_bytes {
                    break; // an ack goes on
                }
                if budget == 0 {
                    self.turn.more = true;
                    return;
                }
                let (ended, bytes) = self.pump_one(slot, peer, attach);
                budget = budget.saturating_sub(bytes);
                if ended {
                    self.peers[peer].transfers.pop_front();
                }
            }
        }
    }

    /// Sends one chunk; returns whether the transfer has ended, and what that cost of the turn's budget.
    fn pump_one(&mut self, slot: SlotId, peer: PeerIndex, attach: u64) -> (bool, usize) {
        let index = self.index(slot);
        let Some(follower) = self.slots[index].replication_mut().follower_mut(peer) else { return (true, 0) };
        if follower.attach != attach {
            return (true, 0);
        }
        if follower.state == FollowerState::WaitsForTransfer {
            follower.state = FollowerState::Filling(Box::default());
            self.send_acknowledged(peer, slot, attach, 0, &ToReplica::TransferBegin { slot, attach });
        }
        let follower = self.slots[index].replication_mut().follower_mut(peer).expect("seen above");
        let FollowerState::Filling(walk) = &mut follower.state else { return (true, 0) };
        let chunk = walk.step(&self.tables, slot, self.options.limits);
        let is_done = walk.is_done();
        if is_done {
            follower.state = FollowerState::InStep;
        }
        let bytes = chunk.parts.iter().map(Vec::len).sum::<usize>() as u64;
        self.counters.keys_sent += chunk.keys;
        self.counters.bytes_sent += bytes;
        self.counters.plan_keys_sent += chunk.keys;
        self.counters.plan_bytes_sent += bytes;
        for effects in chunk.parts {
            self.send_part(slot, peer, attach, effects.into());
        }
        let last_seq = self.slots[index].last_seq;
        let replication = self.slots[index].replication_mut();
        if is_done {
            let position = Position { epoch: replication.history.last_epoch(), seq: last_seq };
            let history = replication.history.clone();
            let done = ToReplica::TransferDone { slot, attach, position, history };
            self.send_acknowledged(peer, slot, attach, 0, &done);
            self.peers[peer].in_flight.back_mut().expect("just sent").seq = Some(last_seq);
            self.turn.commits.push(index);
            self.follower_changed(index);
        }
        (is_done, chunk.cost.max(64))
    }

    /// Sends effects for the fresh copy.
    pub(crate) fn send_part(&mut self, slot: SlotId, peer: PeerIndex, attach: u64, effects: Bytes) {
        let bytes = effects.len();
        self.send_acknowledged(peer, slot, attach, bytes, &ToReplica::TransferPart { slot, attach, effects });
    }

    fn send_acknowledged(
        &mut self,
        peer: PeerIndex,
        slot: SlotId,
        attach: u64,
        transfer_bytes: usize,
        message: &ToReplica,
    ) {
        let link = &mut self.peers[peer];
        message.encode(&mut link.out);
        link.sent += 1;
        link.transfer_bytes += transfer_bytes;
        link.in_flight.push_back(InFlight { count: link.sent, slot, attach, seq: None, transfer_bytes });
    }
}
