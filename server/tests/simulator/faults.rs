//! What goes wrong, and what operators do.

use carousel_protocol::{NodeId, SlotId, SlotRun};
use carousel_server::config::ConfigCommand;

use super::events::Event;
use super::node::CrashPoint;
use super::scenario::{Fault, Logging, MS};
use super::world::World;

/// A step of a move at which a node may die.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveStep {
    /// Its entry is on its way to the config group.
    Proposed,
    /// Its entry was applied, and nobody has heard of that.
    Applied,
}

/// A node that is to die when a slot's move has come to a step.
#[derive(Clone, Copy, Debug)]
pub struct Ambush {
    slot: SlotId,
    step: MoveStep,
    node: usize,
}

impl World {
    /// Causes the next fault, and plans the one after it.
    pub fn fault(&mut self) {
        if self.healed {
            return;
        }
        let total: u64 = self.scenario.faults.iter().map(|(_, weight)| weight).sum();
        let mut dice = self.rng.below(total);
        let mut faults = self.scenario.faults.iter();
        let fault = loop {
            let (fault, weight) = faults.next().expect("weights add up");
            match dice.checked_sub(*weight) {
                Some(left) => dice = left,
                None => break *fault,
            }
        };
        self.cause(fault);
        let mean = self.scenario.fault_ns;
        let next = self.rng.between(mean / 4, mean * 7 / 4);
        self.after(next, Event::Fault);
    }

    fn cause(&mut self, fault: Fault) {
        let node = self.rng.index(self.nodes.len());
        match fault {
            Fault::Kill => self.kill(node, false),
            Fault::KillInTurn if self.scenario.logging == Logging::Off => self.kill(node, false),
            Fault::KillInTurn => {
                let point = self.rng.pick(&[
                    CrashPoint::BeforeWrite,
                    CrashPoint::InWrite,
                    CrashPoint::AfterWrite,
                    CrashPoint::BeforePropose,
                ]);
                if self.nodes[node].process.is_some() {
                    self.nodes[node].crash_in_turn = Some(point);
                }
            }
            Fault::KillAll => (0..self.nodes.len()).for_each(|node| self.kill(node, false)),
            Fault::PowerLoss => self.lose_power(node),
            Fault::PowerLossAll => (0..self.nodes.len()).for_each(|node| self.lose_power(node)),
            Fault::ResetLink => {
                let ids: Vec<_> = self.conns.keys().copied().collect();
                if !ids.is_empty() {
                    let id = self.rng.pick(&ids);
                    self.reset(id);
                }
            }
            Fault::Partition => self.partition(node),
            Fault::Isolate => {
                for other in (0..self.nodes.len()).filter(|other| *other != node) {
                    self.cut(node, other);
                    self.cut(other, node);
                }
                if self.rng.one_in(3) {
                    let soon = self.rng.between(MS, 60 * MS);
                    self.after(soon, Event::Kill { node });
                }
            }
            Fault::CutFromGroup => {
                self.say(format_args!("n{node} is cut from the group"));
                self.nodes[node].reaches_group = false;
                let lasts = self.rng.between(20 * MS, 900 * MS);
                self.after(lasts, Event::Rejoin { node });
            }
            Fault::Pause => {
                let lasts = self.rng.between(5 * MS, 500 * MS);
                self.say(format_args!("n{node} stands still for {} ms", lasts / MS));
                // A pause is never made longer: what it put off would be put off twice, and lose its order.
                if self.nodes[node].paused_until < self.now {
                    self.nodes[node].paused_until = (self.now + lasts) | 1;
                }
            }
            Fault::Plan => {
                let slots = self.rng.between(1, 8) as usize;
                self.plan_moves(slots, false);
            }
            Fault::MoveUnderFire => self.move_under_fire(),
            Fault::AddNode => {
                if self.nodes.len() < self.scenario.nodes_max {
                    let node = self.add_node();
                    self.start(node);
                    let command = ConfigCommand::AddMember(self.spec(node));
                    self.operate(command);
                }
            }
            Fault::ChangeLeader => {
                let second = self.rng.index(self.nodes.len());
                let two = self.rng.one_in(3);
                for (index, machine) in self.nodes.iter_mut().enumerate() {
                    machine.believes_to_lead = index == node || two && index == second;
                }
            }
            Fault::PhantomRegistration => {
                if self.nodes[node].process.is_some() {
                    let mut spec = self.spec(node);
                    spec.process = self.rng.next();
                    let state = self.group.latest();
                    let expected = state.members.get(&spec.id).map_or(Default::default(), |m| m.incarnation);
                    self.operate(ConfigCommand::Register { spec, expected });
                }
            }
        }
    }

    fn lose_power(&mut self, node: usize) {
        self.checks.power_lost = true;
        self.kill(node, true);
    }

    fn partition(&mut self, from: usize) {
        let to = self.rng.index(self.nodes.len());
        if from == to {
            return;
        }
        let both = !self.rng.one_in(3);
        for (from, to) in [(from, to), (to, from)].into_iter().take(1 + usize::from(both)) {
            self.cut(from, to);
        }
        if self.rng.one_in(2) {
            let ids: Vec<_> = self.conns.keys().copied().collect();
            for id in ids {
                if self.rng.one_in(3) {
                    self.reset(id);
                }
            }
        }
    }

    /// A partition begins, one way.
    pub fn cut(&mut self, from: usize, to: usize) {
        if self.healed {
            return;
        }
        self.say(format_args!("nothing passes from n{from} to n{to}"));
        self.blocked[from][to] = true;
        self.checks.counts.partitions += 1;
        let lasts = self.rng.between(10 * MS, 700 * MS);
        self.after(lasts, Event::Join { from, to });
    }

    /// A partition ends.
    pub fn join(&mut self, from: usize, to: usize) {
        if std::mem::take(&mut self.blocked[from][to]) {
            self.say(format_args!("bytes pass from n{from} to n{to} again"));
            self.release_stalled(from, to);
        }
    }

    /// A node reaches the config group again.
    pub fn rejoin(&mut self, node: usize) {
        self.nodes[node].reaches_group = true;
        let version = self.group.latest_version();
        let delay = self.delay();
        self.after(delay, Event::Learn { node, version });
    }

    /// An operator wants some slots elsewhere: handed over, their replicas swapped, their sets grown or shrunk.
    fn plan_moves(&mut self, slots_max: usize, hot: bool) -> Vec<SlotRun> {
        let state = self.group.latest();
        if state.plan.is_some() {
            return Vec::new();
        }
        let members: Vec<_> =
            self.nodes.iter().map(|node| node.id).filter(|id| state.members.contains_key(id)).collect();
        let mut slots = self.scenario.hot_slots.clone();
        if !hot && self.rng.one_in(2) {
            slots = self.slots();
        }
        self.rng.shuffle(&mut slots);
        slots.truncate(slots_max);
        slots.sort();
        let targets: Vec<_> = slots
            .into_iter()
            .map(|slot| {
                let run = state.slots.run_of(slot).expect("every slot is placed");
                SlotRun {
                    first: slot,
                    last: slot,
                    replicas: self.other_set(&run.replicas, &members),
                    ..run.clone()
                }
            })
            .collect();
        self.operate(ConfigCommand::SetPlan { expected_version: state.version, targets: targets.clone() });
        targets
    }

    /// A slot moves while links between its old primary and other nodes are slow or cut, and the primary, or
    /// another, dies at some step of it.
    fn move_under_fire(&mut self) {
        let targets = self.plan_moves(1, true);
        let Some(target) = targets.first() else { return };
        let state = self.group.latest();
        let primary = state.slots.run_of(target.first).expect("every slot is placed").primary();
        let primary = self.node_of(primary).expect("simulated slots are on simulated nodes");
        for other in &target.replicas {
            let other = self.node_of(*other).expect("simulated slots are on simulated nodes");
            if other != primary && self.rng.one_in(2) {
                let soon = self.rng.between(0, 20 * MS);
                self.after(soon, Event::Cut { from: primary, to: other });
            }
        }
        let node = if self.rng.one_in(3) { self.rng.index(self.nodes.len()) } else { primary };
        match self.rng.below(4) {
            0 => {}
            1 => {
                let soon = self.rng.between(0, 60 * MS);
                self.after(soon, Event::Kill { node });
            }
            2 => self.ambush = Some(Ambush { slot: target.first, step: MoveStep::Proposed, node }),
            _ => self.ambush = Some(Ambush { slot: target.first, step: MoveStep::Applied, node }),
        }
    }

    /// A move has come to a step: if a node is to die there, it does.
    pub fn move_reached(&mut self, slot: SlotId, step: MoveStep) {
        let waits = |ambush: &mut Ambush| (ambush.slot, ambush.step) == (slot, step);
        if let Some(Ambush { node, .. }) = self.ambush.take_if(waits) {
            let soon = self.rng.between(0, 6 * MS);
            self.after(soon, Event::Kill { node });
        }
    }

    fn other_set(&mut self, set: &[NodeId], members: &[NodeId]) -> Vec<NodeId> {
        let mut set = set.to_vec();
        let others: Vec<_> = members.iter().filter(|id| !set.contains(id)).copied().collect();
        match self.rng.below(6) {
            // Another primary among the same nodes.
            0 => {
                let first = self.rng.index(set.len());
                set.swap(0, first);
            }
            // The same primary with other nodes.
            1 if !others.is_empty() => {
                set.truncate(1);
                set.extend(others.into_iter().take(usize::from(self.scenario.replicas) - 1));
            }
            // Another node in the place of one.
            2 if !others.is_empty() => {
                let at = self.rng.index(set.len());
                set[at] = self.rng.pick(&others);
            }
            3 if !others.is_empty() => {
                let other = self.rng.pick(&others);
                let at = self.rng.index(set.len() + 1);
                set.insert(at, other);
            }
            4 if set.len() > 1 => drop(set.remove(self.rng.index(set.len()))),
            _ => {
                let mut all = members.to_vec();
                self.rng.shuffle(&mut all);
                let size = self.rng.between(1, usize::from(self.scenario.replicas).min(all.len()) as u64);
                all.truncate(size as usize);
                set = all;
            }
        }
        set
    }

    /// Nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.say(format_args!("healed"));
        self.healed = true;
        for from in 0..self.nodes.len() {
            self.nodes[from].crash_in_turn = None;
            self.nodes[from].believes_to_lead = from == 0;
            self.rejoin(from);
            for to in 0..self.nodes.len() {
                self.join(from, to);
            }
        }
    }
}
