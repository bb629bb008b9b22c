//! Sending half of a transfer.

use bytes::Bytes;
use carousel_protocol::{Position, SlotId};

use crate::command::effects_of;
use crate::limits::ShardLimits;
use crate::replication::ToReplica;
use crate::shard::slot::{FollowerState, PeerIndex};
use crate::shard::{InFlight, Shard};
use crate::store::{KeyHasher, ScanPosition, Table};

/// Some neighbouring keys of a table, as effects that set them.
pub(crate) struct Chunk {
    /// Encoded effects. Each part fits a record: it ends with the first key, or item of a big collection, that brings it
    /// to `chunk_bytes`.
    pub(crate) parts: Vec<Vec<u8>>,
    /// Number of keys.
    pub(crate) keys: u64,
    /// Where the next chunk begins.
    pub(crate) next: Option<ScanPosition>,
}

/// Cuts the chunk that begins at `from`. It ends with the first key, or the last of the keys that share a position
/// with it, that brings it to `chunk_bytes`: so however long values are, about one more than wanted is copied.
pub(crate) fn cut_chunk(table: &Table, hasher: &KeyHasher, from: ScanPosition, limits: ShardLimits) -> Chunk {
    let mut chunk = Chunk { parts: Vec::new(), keys: 0, next: Some(from) };
    let mut part = Vec::new();
    while let Some(position) = chunk.next
        && chunk.parts.is_empty()
    {
        chunk.next = table.scan_while(hasher, position, limits.chunk_keys, &mut |entry| {
            chunk.keys += 1;
            effects_of(entry, limits.chunk_bytes, |effect| {
                effect.encode(&mut part);
                if part.len() >= limits.chunk_bytes {
                    chunk.parts.push(std::mem::take(&mut part));
                }
            });
            chunk.parts.is_empty()
        });
    }
    if !part.is_empty() {
        chunk.parts.push(part);
    }
    chunk
}

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
        let chunk = cut_chunk(self.tables.table(slot), self.tables.hasher(), from, self.options.limits);
        let bytes = chunk.parts.iter().map(Vec::len).sum::<usize>();
        self.counters.keys_sent += chunk.keys;
        self.counters.bytes_sent += bytes as u64;
        self.counters.plan_keys_sent += chunk.keys;
        self.counters.plan_bytes_sent += bytes as u64;
        for effects in chunk.parts {
            self.send_part(slot, peer, attach, effects.into());
        }
        let next = chunk.next;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::EffectIter;

    #[test]
    fn no_part_of_a_chunk_is_longer_than_one_key_more_than_wanted() {
        let hasher = KeyHasher::new(5);
        let mut table = Table::new();
        let value = |i: u32| vec![b'x'; if i.is_multiple_of(3) { 3000 } else { 10 }];
        for i in 0..20_000u32 {
            let key = i.to_string();
            table.set(&hasher, hasher.hash(key.as_bytes()), key.as_bytes(), &value(i), None);
        }
        let limits = ShardLimits { chunk_bytes: 1000, ..ShardLimits::default() };
        let (mut next, mut seen, mut shared) = (Some(ScanPosition::START), Vec::new(), 0);
        while let Some(from) = next {
            let chunk = cut_chunk(&table, &hasher, from, limits);
            let before = seen.len();
            for part in &chunk.parts {
                assert!(part.len() < 1000 + 3000 + 50, "{} bytes", part.len());
                for effect in EffectIter::new(part) {
                    let key = std::str::from_utf8(effect.unwrap().key().unwrap()).unwrap();
                    seen.push(key.parse::<u32>().unwrap());
                }
            }
            assert_eq!(chunk.keys, (seen.len() - before) as u64);
            shared += usize::from(chunk.parts.len() > 1);
            next = chunk.next;
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20_000).collect::<Vec<_>>(), "every key once");
        assert!(shared > 0, "some long keys share a position");
    }
}
