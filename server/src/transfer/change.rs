//! Changing a slot's set while clients go on: fill the newcomers, close, propose.
//!
//! The primary drives the changes of its own slots towards the plan in the config group, so they survive the
//! death of anybody: whoever leads a slot next finds its target in the plan. Steps: `Queued` until there is
//! room; `Filling` until every newcomer is in step; `Closing`: if the slot changes hands it is frozen (requests are
//! parked here, those that wait too long get ASK, and the newcomer parks what reaches it), else every ack needs the
//! quorums of both sets; when the last record is held by both quorums, `Proposed`: from here on only a committed entry
//! ends it.

use carousel_protocol::{Epoch, Incarnation, NodeId, SlotId};

use crate::command::SlotKeys;
use crate::config::ClusterState;
use crate::planted::{Bug, is_planted};
use crate::replication::ToReplica;
use crate::shard::slot::{Change, FollowerState, Lead, Serve};
use crate::shard::{ReadyChange, Shard, Standing};

impl Shard {
    /// Queues the changes that the plan wants of slots led here, and ends those that it wants no more.
    pub(crate) fn adopt_plan(&mut self, state: &ClusterState) {
        if let Some(plan) = state.plan.as_ref().filter(|plan| plan.id != self.counters.plan) {
            self.counters.plan = plan.id;
            self.counters.plan_keys_sent = 0;
            self.counters.plan_bytes_sent = 0;
        }
        for slot in self.tables.slots() {
            let index = self.index(slot);
            let Some(lead) = self.slots[index].lead_mut() else { continue };
            let target =
                state.plan.as_ref().and_then(|plan| plan.targets.run_of(slot)).map(|run| &run.replicas);
            match (&lead.change, target) {
                (Change::None, Some(target)) if *target != lead.set => {
                    lead.change = Change::Queued { target: target.clone() };
                    self.changes_queued.push_back(slot);
                    self.turn.more = true;
                }
                // A change that is not proposed yet follows the plan; a proposed one ends by its entry alone.
                (
                    Change::Queued { target: old }
                    | Change::Filling { target: old }
                    | Change::Closing { target: old },
                    new,
                ) if new != Some(old) => {
                    self.reopen(index);
                    self.end_change(index);
                    self.set_followers(slot);
                    if let Some(target) = new {
                        let lead = self.slots[index].lead_mut().expect("leads");
                        lead.change = Change::Queued { target: target.clone() };
                        self.changes_queued.push_back(slot);
                        self.turn.more = true;
                    }
                }
                _ => {}
            }
        }
    }

    /// Begins queued changes while there is room.
    pub(crate) fn begin_changes(&mut self) {
        for _ in 0..self.changes_queued.len() {
            if self.changes_active >= self.options.limits.changes_active {
                return;
            }
            let slot = self.changes_queued.pop_front().expect("counted");
            let index = self.index(slot);
            let serve = self.serve[index];
            let Some(lead) = self.slots[index].lead_mut() else { continue };
            let Change::Queued { target } = &lead.change else { continue };
            if serve == Serve::Waiting {
                // Its barrier is not committed; `recompute_commit` asks for another look when it is.
                self.changes_queued.push_back(slot);
                continue;
            }
            lead.change = Change::Filling { target: target.clone() };
            self.changes_active += 1;
            self.set_followers(slot);
        }
    }

    /// Does the next step of the slot's change, if it has one that can be done.
    pub(crate) fn advance_change(&mut self, index: usize) {
        let slot = self.slot_at(index);
        let me = self.options.me;
        let serve = self.serve[index];
        let last_seq = self.slots[index].last_seq;
        let commit = self.slots[index].commit;
        let Some(lead) = self.slots[index].lead_mut() else { return };
        let in_step = |lead: &Lead, target: &[NodeId]| {
            target.iter().filter(|node| **node != me).all(|node| {
                lead.followers
                    .iter()
                    .any(|f| f.node == *node && f.state == FollowerState::InStep && f.acked.0 > 0)
            })
        };
        match &lead.change {
            Change::Proposed { target }
                if is_planted(Bug::UnfreezeAfterProposal) && !in_step(lead, target) =>
            {
                lead.change = Change::Closing { target: target.clone() };
                self.reopen(index);
            }
            Change::None | Change::Queued { .. } | Change::Proposed { .. } => {}
            Change::Filling { target } => {
                if !matches!(serve, Serve::Leading | Serve::LeadingReadOnly) || !in_step(lead, target) {
                    return;
                }
                let target = target.clone();
                let epoch = lead.epoch;
                let hands_over = target[0] != me;
                let to = lead.followers.iter().find(|f| f.node == target[0]).map(|f| f.peer);
                lead.change = Change::Closing { target };
                if hands_over && !is_planted(Bug::SkippedFreeze) {
                    let peer = to.expect("in step");
                    ToReplica::Freeze { slot, epoch }.encode(&mut self.peers[peer].out);
                    self.serve[index] = Serve::Frozen;
                    self.turn.news = true;
                }
                self.advance_change(index);
            }
            Change::Closing { .. }
                if !matches!(self.standing, Standing::Member { incarnation: Some(_), .. }) => {}
            Change::Closing { target } => {
                if !in_step(lead, target) {
                    // A newcomer was lost before anything was proposed: serve on, fill it again.
                    self.reopen(index);
                    return;
                }
                let (epoch, replicas) = (lead.epoch, target.clone());
                let lead = self.slots[index].lead().expect("leads");
                let incarnations = self.incarnations_of(lead, &replicas);
                let ready = ReadyChange { slot, epoch, replicas, incarnations };
                // A successor must hold everything itself, not only its quorum. A primary that stays has the rest.
                let successor_has_all = ready.replicas[0] == me
                    || commit == last_seq
                        && lead.followers.iter().any(|f| f.node == ready.replicas[0] && f.acked == last_seq);
                let lead = self.slots[index].lead().expect("leads");
                // What the old set alone committed must be safe with the new one too.
                if successor_has_all && self.quorum_seq(lead, &ready.replicas) >= commit {
                    let lead = self.slots[index].lead_mut().expect("leads");
                    lead.change = Change::Proposed { target: ready.replicas.clone() };
                    let leaves = !ready.replicas.contains(&me);
                    self.turn.changes.push(ready);
                    if leaves && is_planted(Bug::DropBeforeCommit) {
                        drop(self.tables.replace(slot, SlotKeys::new()));
                    }
                }
            }
        }
    }

    /// The processes that hold what this change counts on: those that the copies were brought into step with, whatever
    /// newer ones the map may name by now.
    fn incarnations_of(&self, lead: &Lead, nodes: &[NodeId]) -> Vec<Incarnation> {
        let Standing::Member { incarnation: Some(own), .. } = self.standing else {
            unreachable!("only a registered member leads")
        };
        let of = |node: &NodeId| lead.followers.iter().find(|follower| follower.node == *node);
        nodes.iter().map(|node| of(node).map_or(own, |follower| follower.incarnation)).collect()
    }

    /// The config group has refused the change that was prepared in `epoch`, and nothing that is still on its way
    /// can carry it out: go on as before, and prepare it anew.
    pub fn change_refused(&mut self, slot: SlotId, epoch: Epoch) {
        let index = self.index(slot);
        let Some(lead) = self.slots[index].lead_mut() else { return };
        if lead.epoch != epoch {
            return;
        }
        if let Change::Proposed { target } = &lead.change {
            lead.change = Change::Closing { target: target.clone() };
            self.reopen(index);
            self.offer_to_successors(index);
            self.set_followers(slot);
            if self.serve[index] == Serve::Deposed {
                self.depose(index);
            }
        }
    }

    /// A follower whose process was superseded holds nothing that counts: the new one is asked where it stands.
    fn offer_to_successors(&mut self, index: usize) {
        let Standing::Member { state, .. } = &self.standing else { return };
        let state = state.clone();
        let Some(lead) = self.slots[index].lead_mut() else { return };
        for follower in &mut lead.followers {
            let now = state.members.get(&follower.node).map(|member| member.incarnation);
            if now > Some(follower.incarnation) {
                follower.state = FollowerState::Detached;
            }
        }
    }

    /// Stops serving: somebody was promised a higher epoch. Who leads is for the config group to say, so the present
    /// set is proposed again, for a fresh epoch above all promises. If a recovery is on its way, whichever entry comes
    /// first counts; if its coordinator has died or come too late, the slot goes on as it was.
    pub(crate) fn depose(&mut self, index: usize) {
        self.reopen(index);
        self.serve[index] = Serve::Deposed;
        self.turn.news = true;
        let lead = self.slots[index].lead().expect("only a primary is deposed");
        if matches!(lead.change, Change::Proposed { .. }) {
            return; // its outcome brings a new epoch, or `change_refused` comes here again
        }
        self.end_change(index);
        let slot = self.slot_at(index);
        let lead = self.slots[index].lead_mut().expect("leads");
        let (epoch, replicas) = (lead.epoch, lead.set.clone());
        lead.change = Change::Proposed { target: replicas.clone() };
        self.changes_active += 1;
        // The set does not change, so it need not be asked what it holds.
        self.turn.changes.push(ReadyChange { slot, epoch, replicas, incarnations: Vec::new() });
    }

    /// Takes back a freeze that nobody has been told of in the config group.
    fn reopen(&mut self, index: usize) {
        let slot = self.slot_at(index);
        let Some(lead) = self.slots[index].lead_mut() else { return };
        let Change::Closing { target } = &lead.change else { return };
        let (target, epoch) = (target.clone(), lead.epoch);
        let to = lead.followers.iter().find(|f| f.node == target[0]).map(|f| f.peer);
        lead.change = Change::Filling { target };
        if self.serve[index] == Serve::Frozen {
            self.serve[index] = Serve::Leading;
            self.turn.news = true;
            if let Some(peer) = to.filter(|peer| self.peers[*peer].up) {
                ToReplica::Unfreeze { slot, epoch }.encode(&mut self.peers[peer].out);
            }
            self.refresh_serve(index);
        }
    }

    /// The change is over, one way or the other.
    pub(crate) fn end_change(&mut self, index: usize) {
        let Some(lead) = self.slots[index].lead_mut() else { return };
        let active = !matches!(lead.change, Change::None | Change::Queued { .. });
        lead.change = Change::None;
        if active {
            self.changes_active -= 1;
            self.turn.more |= !self.changes_queued.is_empty();
        }
    }
}
