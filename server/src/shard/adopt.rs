//! Adopting a slot map: which slots this shard leads, follows, or drops from now on.

use std::sync::Arc;

use carousel_protocol::{Epoch, Incarnation, NodeId, Seq, SlotId, SlotRun};

use super::slot::{Change, Follower, FollowerState, Lead, Role, Serve};
use super::{Shard, Standing};
use crate::command::SlotKeys;
use crate::config::ClusterState;
use crate::persist::record::{RecordHeader, RecordKind};
use crate::planted::{Bug, is_planted};
use crate::replication::EpochHistory;

impl Shard {
    /// Takes over the agreed state. `incarnation` is this process' own registration, once the state has it.
    ///
    /// Maps may be skipped but never go back.
    pub fn apply_map(&mut self, state: Arc<ClusterState>, incarnation: Option<Incarnation>) {
        match &self.standing {
            Standing::Lone | Standing::Reserved { .. } => self.leave_lone_life(),
            Standing::Member { state: old, .. } if old.version > state.version => return,
            Standing::Member { .. } => {}
        }
        let moved = self.has_resharded(&state);
        self.standing = Standing::Member { state: state.clone(), incarnation };
        self.turn.news = true;
        if incarnation.is_none() {
            self.stop_leading();
            return;
        }
        let mut runs = state.slots.runs().iter().peekable();
        for slot in self.tables.slots() {
            while runs.peek().is_some_and(|run| run.last < slot) {
                runs.next();
            }
            let Some(run) = runs.peek().filter(|run| run.first <= slot) else { continue };
            let index = self.index(slot);
            if self.slots[index].replication_mut().map != (run.epoch, run.recovering) {
                self.adopt(slot, run);
            }
            self.answer_offer(index);
        }
        if moved {
            // Copies are on other shards of their nodes now.
            self.tables.slots().for_each(|slot| self.set_followers(slot));
        }
        self.adopt_plan(&state);
    }

    /// Has a member another number of shards than before?
    fn has_resharded(&self, state: &ClusterState) -> bool {
        let Some(before) = self.cluster() else { return false };
        let shards = |state: &ClusterState, id| state.members.get(id).map(|member| member.spec.shards);
        before.members.keys().any(|id| shards(state, id) != shards(before, id))
    }

    /// The agreed state does not name this process (any more): whoever it names may lead before this one hears of it.
    fn stop_leading(&mut self) {
        for (slot, serve) in self.slots.iter().zip(&mut self.serve) {
            if slot.lead().is_some() {
                *serve = Serve::Deposed;
            }
        }
    }

    fn leave_lone_life(&mut self) {
        self.effects.set_recording(true);
        for slot in self.tables.slots() {
            // Seqs of a life without a cluster compare with nobody's. (A restarted member's copies, just read from
            // its log, have epochs.)
            let had = self.slot(slot).replication.as_ref();
            if self.slot(slot).last_seq > Seq(0) && had.is_none_or(|had| had.history.last_epoch() == Epoch(0))
            {
                let keys = self.tables.keys_of(slot);
                if keys > 0 {
                    tracing::error!(%slot, keys, "keys written while the node was joining are dropped");
                }
                self.drop_copy(slot);
            }
            let index = self.index(slot);
            self.serve[index] = Serve::Elsewhere;
        }
    }

    fn adopt(&mut self, slot: SlotId, run: &SlotRun) {
        let index = self.index(slot);
        let me = self.options.me;
        let attached = self.slots[index].replication_mut().link;
        let from = attached.and_then(|attached| self.links.get(&attached.link)).map(|inbound| inbound.from);
        if from != Some(run.primary()) {
            // A primary that stays may take a moment longer to adopt this map: its records are as good as ever.
            if attached.is_some_and(|attached| attached.epoch < run.epoch) {
                self.detach(index);
            }
            let replication = self.slots[index].replication_mut();
            replication.promised = replication.promised.max(run.epoch);
        }
        let replication = self.slots[index].replication_mut();
        let before = replication.role;
        replication.map = (run.epoch, run.recovering);
        let role = match run.replicas.iter().position(|node| *node == me) {
            Some(0) if !run.recovering => Role::Primary,
            Some(_) => Role::Replica,
            None => Role::Outside,
        };
        replication.role = role;
        if before == Role::Primary && role != Role::Primary {
            self.end_reign(index);
        }
        match role {
            Role::Primary if before == Role::Primary => self.continue_reign(slot, run),
            Role::Primary => self.begin_reign(slot, run),
            Role::Replica => self.stop_waiting_for_handover(index),
            Role::Outside => {
                self.stop_waiting_for_handover(index);
                // The entry is committed and the new set's quorum holds the slot: that is when a copy may go. The
                // newcomer of a later move keeps what it is being filled with, also if its link is down just now:
                // its primary may have proposed the move already, counting on it.
                if self.slots[index].replication_mut().followed < run.epoch {
                    self.detach(index);
                    self.drop_copy(slot);
                }
            }
        }
    }

    fn begin_reign(&mut self, slot: SlotId, run: &SlotRun) {
        let index = self.index(slot);
        // Recovery chose this copy with everything in its log.
        self.apply_up_to(index, Seq(u64::MAX));
        let state = &mut self.slots[index];
        let effect_seq = state.last_seq;
        state.commit = state.last_seq;
        self.serve[index] = Serve::Waiting;
        let barrier = state.last_seq.next();
        let replication = state.replication_mut();
        replication.link = None;
        replication.incoming = None;
        replication.complete = true;
        replication.whole = true;
        replication.history.begin(run.epoch, barrier);
        replication.lead = Some(Lead {
            epoch: run.epoch,
            barrier,
            effect_seq,
            own_seq: Seq(0),
            set: run.replicas.clone(),
            followers: Vec::new(),
            change: Change::None,
        });
        self.make_record(slot, RecordKind::Barrier, &[]);
        if is_planted(Bug::NoBarrier) {
            self.serve[index] = Serve::Leading;
            self.slots[index].commit = barrier;
        }
        self.set_followers(slot);
    }

    /// The set changed under a primary that stays: the quorums of both sets acked since the entry was proposed,
    /// so service goes on; the barrier only tells the copies of the new epoch.
    fn continue_reign(&mut self, slot: SlotId, run: &SlotRun) {
        let index = self.index(slot);
        self.end_change(index);
        let first = self.slots[index].last_seq.next();
        let replication = self.slots[index].replication_mut();
        replication.history.begin(run.epoch, first);
        let lead = replication.lead.as_mut().expect("a primary leads");
        lead.epoch = run.epoch;
        lead.set = run.replicas.clone();
        // First the followers: a copy that is not followed any more must not hear of the epoch that it is dropped in.
        self.set_followers(slot);
        self.make_record(slot, RecordKind::Barrier, &[]);
        if matches!(self.serve[index], Serve::Frozen | Serve::Deposed) {
            // One that was deposed before it ever served still has its barrier to commit.
            let state = &self.slots[index];
            let begun = state.commit >= state.lead().expect("leads").barrier;
            self.serve[index] = if begun { Serve::Leading } else { Serve::Waiting };
            self.turn.news = true;
        }
        self.refresh_serve(index);
        self.recompute_commit(index);
    }

    fn end_reign(&mut self, index: usize) {
        self.end_change(index);
        self.clear_tail(index);
        let slot = &mut self.slots[index];
        self.serve[index] = Serve::Elsewhere;
        // The table has everything that was executed here, committed or not.
        slot.commit = slot.last_seq;
        let replication = slot.replication_mut();
        replication.lead = None;
        replication.reign += 1;
        self.turn.news = true;
    }

    /// Makes the followers those of the set and of the change under way, keeping those in step.
    pub(crate) fn set_followers(&mut self, slot: SlotId) {
        let index = self.index(slot);
        let me = self.options.me;
        let Some(lead) = self.slots[index].lead() else { return };
        let set = lead.set.clone();
        let mut nodes: Vec<NodeId> = set.clone();
        if let Change::Filling { target } | Change::Closing { target } | Change::Proposed { target } =
            &lead.change
        {
            nodes.extend(target.iter().filter(|node| !set.contains(node)));
        }
        nodes.retain(|node| *node != me);
        let with_peers: Vec<_> =
            nodes.into_iter().filter_map(|node| self.peer(node, slot).map(|peer| (node, peer))).collect();
        let lead = self.slots[index].lead_mut().expect("leads");
        lead.followers.retain(|follower| with_peers.contains(&(follower.node, follower.peer)));
        for (node, peer) in &with_peers {
            let member = set.contains(node);
            match lead.followers.iter_mut().find(|follower| follower.peer == *peer) {
                Some(follower) => follower.member = member,
                None => lead.followers.push(Follower {
                    peer: *peer,
                    node: *node,
                    member,
                    attach: 0,
                    incarnation: Incarnation(0),
                    state: FollowerState::Detached,
                    acked: Seq(0),
                }),
            }
        }
        for (_, peer) in with_peers {
            self.offer(slot, peer);
        }
        self.follower_changed(index);
    }

    /// Forgets the slot's keys and records, in memory and in the log.
    pub(crate) fn drop_copy(&mut self, slot: SlotId) {
        let index = self.index(slot);
        self.clear_tail(index);
        let state = &mut self.slots[index];
        let had = state.last_seq > Seq(0) || state.replication_mut().complete;
        state.last_seq = Seq(0);
        state.commit = Seq(0);
        let replication = state.replication_mut();
        replication.history = EpochHistory::default();
        replication.complete = false;
        replication.whole = false;
        replication.link = None;
        replication.pending.clear();
        replication.incoming = None;
        drop(self.tables.replace(slot, SlotKeys::new()));
        self.walk_slot_anew(index);
        if had {
            let header = RecordHeader { kind: RecordKind::Drop, slot, epoch: Epoch(0), seq: Seq(0) };
            self.log_note(header, &[]);
        }
    }
}
