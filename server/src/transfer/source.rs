//! Sending half of a transfer.

use bytes::Bytes;
use carousel_protocol::{Position, SlotId};

use crate::command::Effect;
use crate::replication::ToReplica;
use crate::shard::slot::{FollowerState, PeerIndex};
use crate::shard::{InFlight, Shard};
use crate::store::ScanPosition;

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

    /// Sends one chunk; returns whether the transfer has ended, and the bytes sent.
    fn pump_one(&mut self, slot: SlotId, peer: PeerIndex, attach: u64) -> (bool, usize) {
        let index = self.index(slot);
        let Some(follower) = self.slots[index].replication_mut().follower_mut(peer) else { return (true, 0) };
        if follower.attach != attach {
            return (true, 0);
        }
        let from = match follower.state {
            FollowerState::Filling(position) => position,
            FollowerState::WaitsForTransfer => {
                follower.state = FollowerState::Filling(ScanPosition::START);
                self.send_acknowledged(peer, slot, attach, 0, &ToReplica::TransferBegin { slot, attach });
                ScanPosition::START
            }
            FollowerState::Detached | FollowerState::Offered | FollowerState::InStep => return (true, 0),
        };
        let mut effects = Vec::new();
        let mut keys = 0;
        let limits = self.options.limits;
        let table = self.tables.table(slot);
        let mut next = Some(from);
        while let Some(position) = next {
            next = table.scan(self.tables.hasher(), position, limits.chunk_keys, &mut |entry| {
                keys += 1;
                let (key, value, expire_at_ms) = (entry.key(), entry.value(), entry.expire_at_ms());
                Effect::Set { key, value, expire_at_ms }.encode(&mut effects);
            });
            if effects.len() >= limits.chunk_bytes {
                break;
            }
        }
        let bytes = effects.len();
        self.counters.keys_sent += keys;
        self.counters.bytes_sent += bytes as u64;
        self.counters.plan_keys_sent += keys;
        self.counters.plan_bytes_sent += bytes as u64;
        if bytes > 0 {
            self.send_part(slot, peer, attach, effects.into());
        }
        let state = match next {
            Some(position) => FollowerState::Filling(position),
            None => FollowerState::InStep,
        };
        let last_seq = self.slots[index].last_seq;
        let replication = self.slots[index].replication_mut();
        replication.follower_mut(peer).expect("checked above").state = state;
        if next.is_none() {
            let position = Position { epoch: replication.history.last_epoch(), seq: last_seq };
            let history = replication.history.clone();
            let done = ToReplica::TransferDone { slot, attach, position, history };
            self.send_acknowledged(peer, slot, attach, 0, &done);
            self.peers[peer].in_flight.back_mut().expect("just sent").seq = Some(last_seq);
            self.turn.commits.push(index);
            self.follower_changed(index);
        }
        (next.is_none(), bytes.max(64))
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
