//! Sending half of a transfer.

use bytes::Bytes;
use carousel_protocol::{Position, SlotId};

use crate::command::{EffectsBuf, Tables, WalkPosition, effects_of};
use crate::limits::ShardLimits;
use crate::replication::ToReplica;
use crate::shard::slot::{FollowerState, PeerIndex};
use crate::shard::{InFlight, Shard};
use crate::store::EntryRef;

/// Some neighbouring keys of a slot, as effects that set them.
pub(crate) struct Chunk {
    /// Encoded effects. Each part fits a record: it ends with the first key, or item of a big collection, that brings it
    /// to `chunk_bytes`.
    pub(crate) parts: Vec<Vec<u8>>,
    /// Number of keys.
    pub(crate) keys: u64,
    /// Where the next chunk begins.
    pub(crate) next: Option<WalkPosition>,
}

/// Cuts the chunk that begins at `from`. It ends with the first key, or the last of the keys that share a position
/// with it, that brings it to `chunk_bytes`: so however long values are, about one more than wanted is copied.
pub(crate) fn cut_chunk(tables: &Tables, slot: SlotId, from: WalkPosition, limits: ShardLimits) -> Chunk {
    let mut chunk = Chunk { parts: Vec::new(), keys: 0, next: Some(from) };
    let mut part = EffectsBuf::default();
    while let Some(from) = chunk.next
        && chunk.parts.is_empty()
    {
        let Some((database, table)) = tables.table_from(slot, from.database) else {
            chunk.next = None;
            break;
        };
        let mut visit = |entry: EntryRef<'_>| {
            chunk.keys += 1;
            effects_of(entry, limits.chunk_bytes, |effect| {
                part.push(database, &effect);
                if part.len_bytes() >= limits.chunk_bytes {
                    chunk.parts.push(part.take());
                }
            });
            chunk.parts.is_empty()
        };
        let next = table.scan_while(tables.hasher(), from.within(database), limits.chunk_keys, &mut visit);
        chunk.next = match next {
            Some(position) => Some(WalkPosition { database, position }),
            None => tables.walk_behind(slot, database),
        };
    }
    if part.len_bytes() > 0 {
        chunk.parts.push(part.take());
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
                follower.state = FollowerState::Filling(WalkPosition::START);
                self.send_acknowledged(peer, slot, attach, 0, &ToReplica::TransferBegin { slot, attach });
                WalkPosition::START
            }
            FollowerState::Detached | FollowerState::Offered | FollowerState::InStep => return (true, 0),
        };
        let chunk = cut_chunk(&self.tables, slot, from, self.options.limits);
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
    use carousel_protocol::{Database, ShardId};

    use super::*;
    use crate::command::{EffectIter, EffectSink};
    use crate::store::KeyHasher;

    #[test]
    fn no_part_of_a_chunk_is_longer_than_one_key_more_than_wanted() {
        let mut tables = Tables::new(ShardId(0), 1, KeyHasher::new(5));
        let (slot, mut effects) = (SlotId::new(7).unwrap(), EffectSink::new());
        let value = |i: u32| vec![b'x'; if i.is_multiple_of(3) { 3000 } else { 10 }];
        for i in 0..20_000u32 {
            let key = i.to_string();
            let database = Database::new((i % 4) as u16 * 5).unwrap();
            let at = tables.key_at(slot, database, key.as_bytes());
            tables.set(at, key.as_bytes(), &value(i), None, &mut effects);
        }
        let limits = ShardLimits { chunk_bytes: 1000, ..ShardLimits::default() };
        let (mut next, mut seen, mut shared) = (Some(WalkPosition::START), Vec::new(), 0);
        while let Some(from) = next {
            let chunk = cut_chunk(&tables, slot, from, limits);
            let before = seen.len();
            for part in &chunk.parts {
                assert!(part.len() < 1000 + 3000 + 50, "{} bytes", part.len());
                for effect in EffectIter::new(part) {
                    let (database, effect) = effect.unwrap();
                    let key = std::str::from_utf8(effect.key().unwrap()).unwrap();
                    let i = key.parse::<u32>().unwrap();
                    assert_eq!(u32::from(database.get()), i % 4 * 5);
                    seen.push(i);
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
