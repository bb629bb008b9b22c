//! The coordinator of recoveries, as `control::recover` does it: any number of them at once, dying at any point.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use carousel_protocol::{Epoch, SlotId, SlotRun};
use carousel_server::config::{ClusterState, ConfigCommand, SlotChange};
use carousel_server::replication::recovery::{Choice, Report, choose};

use super::events::{Event, Life};
use super::plant::Plant;
use super::scenario::MS;
use super::world::World;

const SEAL_TIMEOUT: u64 = 120 * MS;

/// One attempt.
pub struct Round {
    /// Where it is coordinated.
    pub node: usize,
    /// By which process.
    pub life: Life,
    state: Arc<ClusterState>,
    runs: Vec<SlotRun>,
    epoch: Epoch,
    missing: BTreeSet<usize>,
    reports: BTreeMap<SlotId, Vec<Report>>,
    decided: bool,
}

impl World {
    /// A node looks whether it leads the config group and slots are down.
    pub fn lead(&mut self, node: usize, life: Life) {
        let leads = self.nodes[node].believes_to_lead;
        let slots = self.slots();
        let Some(process) = self.process(node, life) else { return };
        let (view, busy) = (process.view, process.coordinates.is_some());
        let pause = self.rng.between(10 * MS, 40 * MS);
        self.after(pause, Event::Lead { node, life });
        if !leads || busy {
            return;
        }
        let state = self.group.state(view);
        // One run per slot: the others are not simulated.
        let runs: Vec<_> = slots
            .into_iter()
            .filter_map(|slot| {
                let run = state.slots.run_of(slot)?;
                run.recovering.then(|| SlotRun { first: slot, last: slot, ..run.clone() })
            })
            .collect();
        if runs.is_empty() {
            return;
        }
        let id = self.new_id();
        self.say(format_args!("n{node} begins recovery {id} of {} slots", runs.len()));
        self.rounds.insert(
            id,
            Round {
                node,
                life,
                state,
                runs,
                epoch: Epoch(0),
                missing: BTreeSet::new(),
                reports: BTreeMap::new(),
                decided: false,
            },
        );
        self.process(node, life).expect("alive").coordinates = Some(id);
        self.propose_epoch(node, life, id);
    }

    /// The epoch is there: asks all members to seal.
    pub fn seal_all(&mut self, id: u64, epoch: Epoch) {
        let Some(round) = self.rounds.get_mut(&id) else { return };
        round.epoch = epoch;
        let from = round.node;
        let mut slots: BTreeMap<usize, Vec<SlotId>> = BTreeMap::new();
        for run in round.runs.clone() {
            for member in &run.replicas {
                let node = self.node_of(*member).expect("simulated slots are on simulated nodes");
                slots.entry(node).or_default().push(run.first);
            }
        }
        self.rounds.get_mut(&id).expect("looked at").missing = slots.keys().copied().collect();
        for (node, slots) in slots {
            // A peer's call fails at once where nothing passes; it may also be lost.
            if self.blocked[from][node] || !self.healed && self.rng.one_in(30) {
                continue;
            }
            let delay = self.delay();
            self.after(delay, Event::SealAsked { round: id, node, epoch, slots });
        }
        self.after(SEAL_TIMEOUT, Event::SealOver { round: id });
    }

    /// A member's answer leaves.
    pub fn answer_seal(&mut self, id: u64, node: usize, reports: Vec<(SlotId, Report)>) {
        let Some(round) = self.rounds.get(&id) else { return };
        if self.blocked[node][round.node] || !self.healed && self.rng.one_in(30) {
            return;
        }
        let delay = self.delay();
        self.after(delay, Event::SealAnswered { round: id, node, reports });
    }

    /// A member's answer arrives.
    pub fn seal_answered(&mut self, id: u64, node: usize, reports: Vec<(SlotId, Report)>) {
        let Some(round) = self.rounds.get_mut(&id).filter(|round| !round.decided) else { return };
        round.missing.remove(&node);
        for (slot, report) in reports {
            round.reports.entry(slot).or_default().push(report);
        }
        if round.missing.is_empty() {
            self.decide(id);
        }
    }

    /// Nobody else will answer.
    pub fn seal_over(&mut self, id: u64) {
        if self.rounds.get(&id).is_some_and(|round| !round.decided) {
            self.decide(id);
        }
    }

    fn decide(&mut self, id: u64) {
        let plant = self.plant;
        let round = self.rounds.get_mut(&id).expect("looked at");
        round.decided = true;
        let (mut changes, mut lossy) = (Vec::new(), Vec::new());
        for run in &round.runs {
            let reports = round.reports.get(&run.first).cloned().unwrap_or_default();
            let quorum = match plant {
                // Planted: any one copy will do.
                Plant::RecoveryWithoutQuorum => 16,
                _ => round.state.write_quorum,
            };
            let Choice::Successor { node, loss_possible } = choose(&run.replicas, quorum, &reports) else {
                continue;
            };
            if loss_possible {
                lossy.push(run.first);
            }
            let mut replicas = vec![node];
            replicas.extend(run.replicas.iter().filter(|member| **member != node));
            let incarnations =
                replicas.iter().map(|member| round.state.members[member].incarnation).collect();
            changes.push(SlotChange {
                first: run.first,
                last: run.last,
                expected_epoch: run.epoch,
                replicas,
                incarnations,
            });
        }
        let epoch = round.epoch;
        if changes.is_empty() {
            self.end_round(id);
        } else {
            self.propose_recovery(id, lossy, ConfigCommand::ChangeSlots { changes, epoch: Some(epoch) });
        }
    }

    /// The attempt is over.
    pub fn end_round(&mut self, id: u64) {
        let Some(round) = self.rounds.remove(&id) else { return };
        if let Some(process) = self.process(round.node, round.life) {
            process.coordinates = None;
        }
    }
}
