//! What a turn of the event loop leaves to be sent and logged.
//!
//! Order, kept by the driver: records go to the replicas, then one `write()` to the log, then (at once, or after
//! fdatasync under `appendfsync always`) [`Shard::durable`], then what waits for durability: acks to primaries
//! and replies to clients.

use std::collections::VecDeque;

use bytes::Bytes;
use carousel_protocol::{Epoch, Incarnation, NodeId, Seq, ShardId, SlotId};

use super::slot::{FollowerState, LinkId, PeerIndex, Role, Serve, Slot};
use super::{InFlight, Reservation, Shard, Standing};
use crate::Now;
use crate::persist::record::{LogPosition, RecordHeader, RecordKind, append_record};
use crate::planted::{Bug, is_planted};
use crate::replication::message::encode_record;
use crate::replication::{ToPrimary, ToReplica};

/// Records of a turn that are less than this part of its buffer are copied out of it, to be kept.
const TAIL_COPIED_BELOW: usize = 4;
/// Memory that a turn leaves to the next one.
const KEPT_BYTES: usize = 1 << 20;

/// Records made, or received, since the last turn ended.
#[derive(Default)]
pub struct Turn {
    /// Number of the present turn.
    pub(crate) number: u64,
    /// The last turn whose records are durable.
    pub(crate) durable: u64,
    /// Records of this turn, in order.
    pub(crate) log: Vec<u8>,
    /// Where in the shard's log the records of this turn begin.
    pub(crate) log_begins: LogPosition,
    /// Those made here as primary: slot index, seq, and place in `log`.
    pub(crate) made: Vec<(usize, Seq, usize, usize)>,
    /// Made in turns that are not durable yet.
    pub(crate) unsure: VecDeque<(u64, Vec<(usize, Seq)>)>,
    /// Parts of `log` already frozen.
    pub(crate) frozen: Vec<Bytes>,
    pub(crate) frozen_made: Vec<(usize, Seq)>,
    /// Remote shards to dial.
    pub(crate) dial: Vec<(PeerIndex, NodeId, ShardId)>,
    /// Slots whose change may be proposed.
    pub(crate) changes: Vec<ReadyChange>,
    /// Slots that began to be served, or not, or whose commit moved: whoever waits should look again.
    pub(crate) news: bool,
    /// Commit positions to tell followers of.
    pub(crate) commits: Vec<usize>,
    /// Transfers could go on at once.
    pub(crate) more: bool,
    /// The log takes no records any more.
    pub(crate) log_lost: bool,
}

/// A change of a slot's set that may be proposed: its primary has done everything that must come before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadyChange {
    /// The slot.
    pub slot: SlotId,
    /// The epoch that it was prepared in.
    pub epoch: Epoch,
    /// The new set, primary first.
    pub replicas: Vec<NodeId>,
    /// Their processes, parallel to `replicas`; empty where the set stays as it is.
    pub incarnations: Vec<Incarnation>,
}

/// What a turn leaves to its driver, in the order in which it must happen.
#[derive(Default)]
pub struct TurnOutput {
    /// The turn's number, for [`Shard::durable`].
    pub turn: u64,
    /// Remote shards to dial from now on.
    pub dial: Vec<(PeerIndex, NodeId, ShardId)>,
    /// Bytes for remote shards that follow: first.
    pub to_replicas: Vec<(PeerIndex, Vec<u8>)>,
    /// Bytes for the log: second.
    pub log: Vec<Bytes>,
    /// Bytes for remote primaries: only when the log's are durable.
    pub to_primaries: Vec<(LinkId, Vec<u8>)>,
    /// Changes to propose to the config group.
    pub changes: Vec<ReadyChange>,
    /// There is more to do without any event: call again soon.
    pub more: bool,
}

impl Turn {
    /// Nothing was logged in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.log.is_empty() && self.frozen.is_empty() && self.made.is_empty() && self.frozen_made.is_empty()
    }
}

impl Shard {
    /// Something is to be sent, logged, or told to those who wait: the turn should be ended.
    pub fn has_output(&self) -> bool {
        let turn = &self.turn;
        !turn.log.is_empty()
            || !turn.frozen.is_empty()
            || !turn.dial.is_empty()
            || !turn.changes.is_empty()
            || !turn.commits.is_empty()
            || turn.more
            || turn.news
            || self.peers.iter().any(|peer| !peer.out.is_empty())
            || self.links.values().any(|link| !link.out.is_empty() || link.acked < link.received)
    }

    /// Bytes of records that wait for the end of the turn.
    pub fn turn_log_bytes(&self) -> usize {
        self.turn.log.len()
            + self.turn.frozen.iter().map(Bytes::len).sum::<usize>()
            + self.effects.len_bytes()
    }

    /// Has anything happened, since the last call, that a waiting request should look at?
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.turn.news)
    }

    /// Makes a record of a slot that is led here, logs it and sends it to the followers in step.
    pub(crate) fn make_record(&mut self, slot: SlotId, kind: RecordKind, payload: &[u8]) {
        let index = self.index(slot);
        let state = &mut self.slots[index];
        state.last_seq = state.last_seq.next();
        let seq = state.last_seq;
        let epoch = state.lead().map_or(Epoch(0), |lead| lead.epoch);
        let start = self.turn.log.len();
        append_record(&mut self.turn.log, &RecordHeader { kind, slot, epoch, seq }, payload);
        let end = self.turn.log.len();
        self.turn.made.push((index, seq, start, end));
        if kind == RecordKind::Effects {
            self.follow_checkpoint(index, payload);
        }
        let Some(lead) = self.slots[index].lead_mut() else { return };
        if kind == RecordKind::Effects {
            lead.effect_seq = seq;
        }
        let mut parts = Vec::new();
        for follower in &mut lead.followers {
            match &mut follower.state {
                FollowerState::InStep => {
                    let peer = &mut self.peers[follower.peer];
                    encode_record(&mut peer.out, &self.turn.log[start..end]);
                    peer.sent += 1;
                    peer.in_flight.push_back(InFlight {
                        count: peer.sent,
                        slot,
                        attach: follower.attach,
                        seq: Some(seq),
                        transfer_bytes: 0,
                    });
                }
                FollowerState::Filling(walk) => {
                    let passed = walk.follow(payload, self.tables.hasher());
                    if !passed.is_empty() && !is_planted(Bug::DroppedTail) {
                        parts.push((follower.peer, follower.attach, passed));
                    }
                }
                FollowerState::Detached | FollowerState::Offered | FollowerState::WaitsForTransfer => {}
            }
        }
        for (peer, attach, passed) in parts {
            self.send_part(slot, peer, attach, passed.into());
        }
    }

    /// Logs what is not a record of the slot's history: a promise, a drop, a transfer.
    pub(crate) fn log_note(&mut self, header: RecordHeader, payload: &[u8]) {
        append_record(&mut self.turn.log, &header, payload);
    }

    /// Makes the records of the turn so far available as tails.
    pub(crate) fn freeze_log(&mut self) {
        if self.turn.log.is_empty() {
            return;
        }
        let in_cluster = matches!(self.standing, Standing::Member { .. });
        let buffer_bytes = self.turn.log.capacity();
        let log = Bytes::from(std::mem::take(&mut self.turn.log));
        let mut made = std::mem::take(&mut self.turn.made);
        // A slice keeps all of the buffer, where the records of others are too, and only the slices are counted.
        let made_bytes: usize = made.iter().map(|(_, _, start, end)| end - start).sum();
        let copies = made_bytes < buffer_bytes / TAIL_COPIED_BELOW;
        for (index, seq, start, end) in made.drain(..) {
            if in_cluster && self.slots[index].lead().is_some() {
                let record =
                    if copies { Bytes::copy_from_slice(&log[start..end]) } else { log.slice(start..end) };
                self.keep_tail(index, seq, record);
            }
            self.turn.frozen_made.push((index, seq));
        }
        self.turn.frozen.push(log);
        self.turn.made = made;
    }

    /// Takes back the memory of a turn's records, when they are written, unless tails keep part of it.
    pub fn recycle(&mut self, log: Vec<Bytes>) {
        let Some(Ok(mut buffer)) = log.into_iter().next().map(Bytes::try_into_mut) else { return };
        if self.turn.log.capacity() == 0 && buffer.capacity() <= KEPT_BYTES {
            buffer.clear();
            self.turn.log = buffer.into();
        }
    }

    /// Ends the turn: what it leaves to be done.
    pub fn end_turn(&mut self, now: Now) -> TurnOutput {
        self.turn.more = false;
        self.pump_transfers();
        self.begin_changes();
        self.release_reservation(now);
        self.freeze_log();
        self.tell_commits();
        let to_primaries = self
            .links
            .iter_mut()
            .filter_map(|(&id, link)| {
                if link.acked < link.received {
                    link.acked = link.received;
                    ToPrimary::Ack { count: link.acked }.encode(&mut link.out);
                }
                (!link.out.is_empty()).then(|| (id, std::mem::take(&mut link.out)))
            })
            .collect();
        let turn = self.turn.number;
        self.turn.number += 1;
        let made = std::mem::take(&mut self.turn.frozen_made);
        if !self.turn.log_lost {
            self.turn.unsure.push_back((turn, made));
        }
        let log = std::mem::take(&mut self.turn.frozen);
        TurnOutput {
            turn,
            dial: std::mem::take(&mut self.turn.dial),
            to_replicas: self.take_sends(),
            log: if self.options.log { log } else { Vec::new() },
            to_primaries,
            changes: std::mem::take(&mut self.turn.changes),
            more: self.turn.more,
        }
    }

    /// Bytes for remote shards that follow.
    pub fn take_sends(&mut self) -> Vec<(PeerIndex, Vec<u8>)> {
        self.tell_commits();
        let peers = self.peers.iter_mut().enumerate();
        peers
            .filter(|(_, peer)| !peer.out.is_empty())
            .map(|(i, peer)| (i, std::mem::take(&mut peer.out)))
            .collect()
    }

    /// The log holds everything of the turns up to `turn` as firmly as `appendfsync` says.
    pub fn durable(&mut self, turn: u64) {
        while self.turn.unsure.front().is_some_and(|unsure| unsure.0 <= turn) {
            let (_, mut made) = self.turn.unsure.pop_front().expect("has a front");
            for (index, seq) in made.drain(..) {
                if let Some(lead) = self.slots[index].lead_mut() {
                    lead.own_seq = lead.own_seq.max(seq);
                    self.recompute_commit(index);
                    self.advance_change(index);
                } else if self.slots[index].replication.is_none() {
                    self.slots[index].commit = self.slots[index].commit.max(seq);
                }
            }
            if self.turn.frozen_made.capacity() == 0
                && made.capacity() * size_of::<(usize, Seq)>() <= KEPT_BYTES
            {
                self.turn.frozen_made = made;
            }
        }
        self.turn.durable = self.turn.durable.max(turn + 1);
        self.turn.news = true;
    }

    /// The log has failed for good: nothing is acknowledged any more, and nothing expires. Returns false where that was
    /// known. Slots that are led here serve what other nodes confirm, until they are moved or the process ends.
    pub fn lose_log(&mut self) -> bool {
        self.turn.unsure.clear();
        !std::mem::replace(&mut self.turn.log_lost, true)
    }

    /// See [`Self::lose_log`].
    pub fn has_lost_log(&self) -> bool {
        self.turn.log_lost
    }

    fn tell_commits(&mut self) {
        for index in std::mem::take(&mut self.turn.commits) {
            let slot = self.slot_at(index);
            let seq = self.slots[index].commit;
            let Some(lead) = self.slots[index].lead() else { continue };
            if seq < lead.barrier {
                continue; // what an earlier primary committed is not known yet
            }
            let epoch = lead.epoch;
            for follower in lead.followers.iter().filter(|f| f.state == FollowerState::InStep) {
                ToReplica::Commit { slot, epoch, seq }.encode(&mut self.peers[follower.peer].out);
            }
        }
    }

    fn release_reservation(&mut self, now: Now) {
        if let Standing::Reserved { until_ns, .. } = self.standing
            && now.mono_ns >= until_ns
        {
            self.set_lone();
        }
    }

    /// Keeps the node's keys away from clients until it has joined a cluster, or `until_ns` (monotonic) has
    /// passed. A shard that holds keys cannot be reserved, nor one that is reserved by another `token`.
    pub fn reserve(&mut self, until_ns: u64, token: u64) -> Reservation {
        match self.standing {
            Standing::Member { .. } => return Reservation::Member,
            Standing::Reserved { token: other, .. } if other != token => return Reservation::Taken,
            Standing::Lone if self.tables.keys_total() > 0 => return Reservation::HoldsKeys,
            Standing::Lone | Standing::Reserved { .. } => {}
        }
        self.standing = Standing::Reserved { until_ns, token };
        self.serve.fill(Serve::Elsewhere);
        Reservation::Made
    }

    /// Lets clients in again where `token` has reserved the shard; elsewhere it changes nothing.
    pub fn release(&mut self, token: u64) {
        if matches!(self.standing, Standing::Reserved { token: own, .. } if own == token) {
            self.set_lone();
        }
    }

    /// Clients are kept out by [`Self::reserve`].
    pub fn is_reserved(&self) -> bool {
        matches!(self.standing, Standing::Reserved { .. })
    }

    fn set_lone(&mut self) {
        self.standing = Standing::Lone;
        let outside = |slot: &Slot| slot.replication.as_ref().is_none_or(|r| r.role == Role::Outside);
        assert!(self.slots.iter().all(outside), "a lone node is in no set");
        self.serve.fill(Serve::Leading);
        self.turn.news = true;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use carousel_protocol::SlotRun;

    use super::*;
    use crate::config::{ClusterState, ConfigCommand, ConfigReply, MemberSpec, apply};
    use crate::shard::slot::Serve;
    use crate::shard::testing::shard_of;

    const NOW: Now = Now { mono_ns: 0, unix_ms: 0 };

    fn state_of_one(me: NodeId) -> Arc<ClusterState> {
        let all = SlotRun {
            first: SlotId::new(0).unwrap(),
            last: SlotId::new(SlotId::COUNT - 1).unwrap(),
            replicas: vec![me],
            epoch: Epoch(0),
            recovering: false,
        };
        let spec = MemberSpec {
            id: me,
            host: "127.0.0.1".into(),
            port: 7000,
            peer_port: 17000,
            shards: 1,
            weight: 1,
            zone: String::new(),
            process: 1,
        };
        let create = ConfigCommand::Create {
            cluster_id: NodeId([9; 20]),
            members: vec![spec],
            slots: vec![all],
            replicas: 1,
            write_quorum: 1,
        };
        let mut state = ClusterState::default();
        assert_eq!(apply(&mut state, &create), ConfigReply::Done);
        Arc::new(state)
    }

    /// The only shard of the only node of a cluster: it leads every slot.
    fn leading_shard() -> Shard {
        let me = NodeId([1; 20]);
        let mut shard = shard_of(me);
        shard.apply_map(state_of_one(me), Some(Incarnation(1)));
        let turn = shard.end_turn(NOW).turn;
        shard.durable(turn);
        assert!(shard.serve.iter().all(|serve| *serve == Serve::Leading));
        while shard.has_output() {
            let turn = shard.end_turn(NOW).turn;
            shard.durable(turn);
            shard.take_news();
        }
        shard
    }

    #[test]
    fn a_map_that_changes_who_serves_ends_the_turn_although_nothing_is_logged() {
        let mut shard = leading_shard();
        shard.apply_map(state_of_one(NodeId([1; 20])), None);
        assert!(shard.serve.iter().all(|serve| *serve == Serve::Deposed));
        assert!(shard.has_output(), "parked requests are to look again");
        assert!(shard.take_news());
        assert!(!shard.has_output());
    }

    #[test]
    fn a_tail_keeps_no_buffer_that_is_full_of_other_records() {
        let mut shard = leading_shard();
        let slot = SlotId::new(7).unwrap();
        for (other_bytes, is_slice) in [(1 << 20, false), (0, true)] {
            shard.turn.log = Vec::with_capacity(other_bytes + 1200);
            shard.turn.log.resize(other_bytes, 0);
            shard.make_record(slot, RecordKind::Effects, &[0; 1000]);
            shard.freeze_log();
            let buffer = shard.turn.frozen.pop().unwrap();
            let tail = &shard.slots[7].replication.as_ref().unwrap().tail;
            let record = &tail.back().unwrap().record;
            assert_eq!(record[..], buffer[other_bytes..]);
            assert_eq!(buffer.as_ptr_range().contains(&record.as_ptr()), is_slice);
        }
    }

    #[test]
    fn a_shard_that_lost_its_log_counts_its_own_copy_for_nothing_new() {
        let mut shard = leading_shard();
        assert!(shard.lose_log());
        assert!(!shard.lose_log(), "it is known");
        let slot = SlotId::new(7).unwrap();
        let commit = shard.slot(slot).commit;
        for _ in 0..5 {
            shard.make_record(slot, RecordKind::Effects, &[]);
            shard.end_turn(NOW);
        }
        assert!(shard.turn.unsure.is_empty(), "nothing waits for what cannot come");
        shard.durable(shard.turn.number);
        assert_eq!(shard.slot(slot).commit, commit);
    }
}
