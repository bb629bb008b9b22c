//! The config group, as one log that everybody hears of late, and what control threads ask of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use carousel_protocol::{NodeId, SlotId, SlotRun};
use carousel_server::config::{ClusterState, ConfigCommand, ConfigReply, MemberSpec, SlotChange, apply};
use carousel_server::shard::ReadyChange;

use super::events::{At, Event, Life};
use super::faults::MoveStep;
use super::scenario::{Logging, MS, US};
use super::world::World;

/// Holds the slots that are not simulated, and never fails.
pub const ELSEWHERE: NodeId = NodeId([0xee; 20]);

const GIVE_UP: u64 = 120 * MS;

/// What a proposal is for.
#[derive(Clone, Debug)]
enum Purpose {
    /// A process registers.
    Register,
    /// A primary's changes.
    Changes,
    /// A recovery's epoch.
    Epoch { round: u64 },
    /// The end of a recovery; slots for which a loss was announced.
    Recovery { round: u64, lossy: Vec<SlotId> },
    /// An operator's command: nobody waits for it.
    Operator,
}

struct Proposal {
    node: usize,
    life: Life,
    purpose: Purpose,
    /// The proposer has stopped waiting.
    over: bool,
}

/// See the module.
pub struct Group {
    states: Vec<Arc<ClusterState>>,
    proposals: BTreeMap<u64, Proposal>,
}

impl Default for Group {
    fn default() -> Self {
        Self { states: vec![Arc::default()], proposals: BTreeMap::new() }
    }
}

impl Group {
    /// The state after that many commands.
    pub fn state(&self, version: u64) -> Arc<ClusterState> {
        self.states[version as usize].clone()
    }

    /// The state now.
    pub fn latest(&self) -> Arc<ClusterState> {
        self.states.last().expect("there is always one").clone()
    }

    /// Number of commands applied.
    pub fn latest_version(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn apply(&mut self, command: &ConfigCommand) -> ConfigReply {
        let mut state = ClusterState::clone(&self.latest());
        let reply = apply(&mut state, command);
        self.states.push(Arc::new(state));
        reply
    }
}

impl World {
    /// What a node says of itself.
    pub fn spec(&self, node: usize) -> MemberSpec {
        let process = self.nodes[node].process.as_ref().expect("alive");
        MemberSpec {
            id: self.nodes[node].id,
            host: "10.0.0.1".into(),
            port: 7000 + node as u16,
            peer_port: 17000 + node as u16,
            shards: process.shards,
            weight: 1,
            zone: String::new(),
            process: process.number,
        }
    }

    /// Makes the cluster: every simulated slot on random nodes.
    pub fn create_cluster(&mut self) {
        let mut members: Vec<_> = (0..self.nodes.len()).map(|node| self.spec(node)).collect();
        members.push(MemberSpec {
            id: ELSEWHERE,
            host: "10.9.9.9".into(),
            port: 9999,
            peer_port: 19999,
            shards: 1,
            weight: 0,
            zone: String::new(),
            process: 0,
        });
        let replicas = self.scenario.replicas;
        let mut slots = Vec::new();
        let mut next = 0;
        for slot in self.slots() {
            if slot.get() > next {
                slots.push(elsewhere(next, slot.get() - 1));
            }
            next = slot.get() + 1;
            let mut set: Vec<_> = self.nodes.iter().map(|node| node.id).collect();
            self.rng.shuffle(&mut set);
            set.truncate(replicas.into());
            slots.push(run_of(slot, set));
        }
        slots.push(elsewhere(next, SlotId::COUNT - 1));
        let command = ConfigCommand::Create {
            cluster_id: NodeId([0xcc; 20]),
            members,
            slots,
            replicas,
            write_quorum: self.scenario.write_quorum,
        };
        let reply = self.group.apply(&command);
        assert_eq!(reply, ConfigReply::Done);
        self.tell_nodes();
    }

    /// Proposes a command; it may be lost, or applied twice, or its answer be lost.
    fn propose(&mut self, node: usize, life: Life, purpose: Purpose, command: ConfigCommand) {
        let id = self.new_id();
        let calm = self.healed;
        let reaches = self.nodes[node].reaches_group;
        let lost = !reaches || !calm && self.rng.one_in(self.scenario.proposals_lost);
        if !lost {
            let delay = self.delay();
            self.after(delay, Event::Apply { proposal: id, command: command.clone() });
            if !calm && self.rng.one_in(30) {
                let late = self.rng.between(MS, 600 * MS);
                self.after(late, Event::Apply { proposal: id, command });
            }
        }
        self.after(GIVE_UP, Event::GiveUp { proposal: id });
        self.group.proposals.insert(id, Proposal { node, life, purpose, over: false });
    }

    /// An operator's command, by way of some node.
    pub fn operate(&mut self, command: ConfigCommand) {
        let id = self.new_id();
        let delay = self.delay();
        self.group
            .proposals
            .insert(id, Proposal { node: 0, life: 0, purpose: Purpose::Operator, over: true });
        self.after(delay, Event::Apply { proposal: id, command });
    }

    /// Applies a command.
    pub fn apply(&mut self, id: u64, command: &ConfigCommand) {
        let before = self.group.latest();
        let reply = self.group.apply(command);
        self.say(format_args!(
            "group {}: {} -> {}",
            self.group.latest_version(),
            show(command),
            show_reply(&reply)
        ));
        self.trace.fold(&[self.group.latest_version(), self.group.latest().last_epoch.0]);
        let proposal = &self.group.proposals[&id];
        let node = proposal.node;
        if let (Purpose::Recovery { lossy, .. }, ConfigCommand::ChangeSlots { changes, .. }) =
            (&proposal.purpose, command)
        {
            let lossy: Vec<_> = lossy
                .iter()
                .filter(|slot| {
                    let expected = changes.iter().find(|c| (c.first..=c.last).contains(slot));
                    let was = before.slots.run_of(**slot).expect("every slot is placed");
                    expected.is_some_and(|change| change.expected_epoch == was.epoch)
                })
                .copied()
                .collect();
            self.lose(&lossy);
        }
        if let (ConfigCommand::ChangeSlots { changes, epoch }, ConfigReply::Changed(outcomes)) =
            (command, &reply)
        {
            for (change, _) in changes.iter().zip(outcomes).filter(|(_, outcome)| outcome.changed > 0) {
                let set_before = &before.slots.run_of(change.first).expect("every slot is placed").replicas;
                let counts = &mut self.checks.counts;
                if epoch.is_some() {
                    counts.recoveries += 1;
                } else {
                    counts.moves += u64::from(*set_before != change.replicas);
                    counts.hand_overs += u64::from(set_before[0] != change.replicas[0]);
                    self.move_reached(change.first, MoveStep::Applied);
                }
            }
        }
        self.check_map();
        if self.nodes.get(node).is_some_and(|node| node.reaches_group)
            && (self.healed || !self.rng.one_in(20))
        {
            let delay = self.delay();
            self.after(delay, Event::Answer { proposal: id, reply });
        }
        self.tell_nodes();
    }

    /// Every node will learn of the state that is now the latest, if it reaches the group.
    pub fn tell_nodes(&mut self) {
        let version = self.group.latest_version();
        for node in 0..self.nodes.len() {
            let delay = match self.rng.below(20) {
                0 if !self.healed => self.rng.between(20 * MS, 300 * MS),
                _ => self.rng.between(100 * US, 4 * MS),
            };
            self.after(delay, Event::Learn { node, version });
        }
    }

    /// A node's control thread learns of a state, and passes it on to its shards.
    pub fn learn(&mut self, node: usize, version: u64) {
        let state = self.group.state(version);
        let id = self.nodes[node].id;
        let is_whole = self.nodes[node].disk.is_whole && self.scenario.logging != Logging::Off;
        let reaches = self.nodes[node].reaches_group;
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        if !reaches || version < process.view {
            return;
        }
        process.view = version;
        let Some(member) = state.members.get(&id) else { return };
        let registered = member.spec.process == process.number;
        let (life, seats, begun) = (process.life, process.seats.len(), process.begun);
        if registered && !begun {
            self.begin(node, is_whole);
        }
        for seat in 0..seats {
            let delay = self.rng.between(US, 200 * US);
            self.after(delay, Event::Map { at: At { node, life, seat }, version, registered });
        }
    }

    /// A shard gets a state.
    pub fn map(&mut self, at: At, version: u64, registered: bool) {
        let state = self.group.state(version);
        let id = self.nodes[at.node].id;
        let Some(seat) = self.seat(at.node, at.life, at.seat) else { return };
        if version < seat.map || !state.members.contains_key(&id) {
            return;
        }
        seat.map = version;
        let incarnation = registered.then(|| state.members[&id].incarnation);
        seat.core.apply_map(state, incarnation);
        if seat.core.has_output() {
            self.touch(at);
        }
        self.check_seat(at);
    }

    /// A process looks whether the group knows it.
    pub fn register(&mut self, node: usize, life: Life) {
        let reaches = self.nodes[node].reaches_group;
        let id = self.nodes[node].id;
        let Some(process) = self.process(node, life) else { return };
        let (view, number, registering) = (process.view, process.number, process.registering);
        let state = self.group.state(view);
        let superseded = state.members.get(&id).filter(|member| member.spec.process != number);
        let expected = superseded.map(|member| member.incarnation);
        if let Some(expected) = expected.filter(|_| !registering && reaches) {
            let command = ConfigCommand::Register { spec: self.spec(node), expected };
            self.process(node, life).expect("alive").registering = true;
            self.propose(node, life, Purpose::Register, command);
        }
        self.after(40 * MS, Event::Register { node, life });
    }

    /// Takes over changes that a shard has prepared; they are proposed one entry after the other, as in
    /// `control::changes`.
    pub fn propose_changes(&mut self, node: usize, life: Life, ready: Vec<ReadyChange>) {
        let Some(process) = self.process(node, life) else { return };
        process.changes.extend(ready);
        if process.proposing.is_some() || process.changes.is_empty() {
            return;
        }
        let change = |ready: ReadyChange| SlotChange {
            first: ready.slot,
            last: ready.slot,
            expected_epoch: ready.epoch,
            replicas: ready.replicas,
            incarnations: ready.incarnations,
        };
        process.proposing = Some(process.changes.drain(..).map(change).collect());
        self.propose_entry(node, life);
    }

    /// Proposes the present entry, for the first time or again.
    pub fn propose_entry(&mut self, node: usize, life: Life) {
        let Some(process) = self.process(node, life) else { return };
        let Some(changes) = process.proposing.clone() else { return };
        for change in &changes {
            self.move_reached(change.first, MoveStep::Proposed);
        }
        let command = ConfigCommand::ChangeSlots { changes, epoch: None };
        self.propose(node, life, Purpose::Changes, command);
    }

    /// Takes an epoch for a recovery.
    pub fn propose_epoch(&mut self, node: usize, life: Life, round: u64) {
        self.propose(node, life, Purpose::Epoch { round }, ConfigCommand::TakeEpoch);
    }

    /// Ends a recovery.
    pub fn propose_recovery(&mut self, round: u64, lossy: Vec<SlotId>, command: ConfigCommand) {
        let (node, life) = (self.rounds[&round].node, self.rounds[&round].life);
        self.propose(node, life, Purpose::Recovery { round, lossy }, command);
    }

    /// A proposer gets its answer.
    pub fn answer(&mut self, id: u64, reply: ConfigReply) {
        let Some(proposal) = self.group.proposals.get_mut(&id) else { return };
        if std::mem::replace(&mut proposal.over, true) {
            return;
        }
        let (node, life, purpose) = (proposal.node, proposal.life, proposal.purpose.clone());
        if self.process(node, life).is_none() {
            return;
        }
        match purpose {
            Purpose::Register => self.process(node, life).expect("alive").registering = false,
            Purpose::Changes => self.changes_answered(node, life, &reply),
            Purpose::Epoch { round } => match reply {
                ConfigReply::Epoch(epoch) => self.seal_all(round, epoch),
                other => panic!("no epoch was given out: {other:?}"),
            },
            Purpose::Recovery { round, .. } => self.end_round(round),
            Purpose::Operator => {}
        }
    }

    fn changes_answered(&mut self, node: usize, life: Life, reply: &ConfigReply) {
        let changes = self.process(node, life).expect("alive").proposing.take().expect("proposed");
        let refused = |i: usize| match reply {
            ConfigReply::Changed(outcomes) => outcomes[i].refused > 0,
            _ => true,
        };
        for change in changes.iter().enumerate().filter(|(i, _)| refused(*i)).map(|(_, change)| change) {
            let seat = self.seat_of(node, change.first).expect("its own slot");
            self.say(format_args!("n{node}: change of slot {} is refused", change.first));
            self.live_seat(node, seat).core.change_refused(change.first, change.expected_epoch);
            self.touch(At { node, life, seat });
        }
        self.propose_changes(node, life, Vec::new());
    }

    /// A proposer has waited long enough: the outcome is unknown.
    pub fn give_up(&mut self, id: u64) {
        let Some(proposal) = self.group.proposals.get_mut(&id) else { return };
        if std::mem::replace(&mut proposal.over, true) {
            return;
        }
        let (node, life, purpose) = (proposal.node, proposal.life, proposal.purpose.clone());
        if self.process(node, life).is_none() {
            return;
        }
        match purpose {
            Purpose::Register => self.process(node, life).expect("alive").registering = false,
            Purpose::Changes => {
                let pause = self.rng.between(MS, 20 * MS);
                self.after(pause, Event::ProposeAgain { node, life });
            }
            Purpose::Epoch { round } | Purpose::Recovery { round, .. } => self.end_round(round),
            Purpose::Operator => {}
        }
    }
}

fn run_of(slot: SlotId, replicas: Vec<NodeId>) -> SlotRun {
    SlotRun { first: slot, last: slot, replicas, epoch: Default::default(), recovering: false }
}

fn elsewhere(first: u16, last: u16) -> SlotRun {
    let slot = |raw| SlotId::new(raw).expect("below the slot count");
    SlotRun {
        first: slot(first),
        last: slot(last),
        replicas: vec![ELSEWHERE],
        epoch: Default::default(),
        recovering: false,
    }
}

fn names(set: &[NodeId]) -> String {
    let names: Vec<_> = set.iter().map(|id| format!("n{}", i32::from(id.0[0]) - 1)).collect();
    names.join(",")
}

fn show(command: &ConfigCommand) -> String {
    match command {
        ConfigCommand::ChangeSlots { changes, epoch } => {
            let changes: Vec<_> = changes
                .iter()
                .map(|c| format!("{}-{}@{} to {}", c.first, c.last, c.expected_epoch, names(&c.replicas)))
                .collect();
            format!("change {} epoch {epoch:?}", changes.join("; "))
        }
        ConfigCommand::Register { spec, expected } => {
            format!("register {} as {:x} after {expected}", names(&[spec.id]), spec.process)
        }
        ConfigCommand::AddMember(spec) => format!("add {}", names(&[spec.id])),
        ConfigCommand::SetPlan { targets, .. } => {
            let targets: Vec<_> =
                targets.iter().map(|run| format!("{} to {}", run.first, names(&run.replicas))).collect();
            format!("plan {}", targets.join("; "))
        }
        other => format!("{other:?}"),
    }
}

fn show_reply(reply: &ConfigReply) -> String {
    match reply {
        ConfigReply::Changed(outcomes) => {
            let outcomes: Vec<_> =
                outcomes.iter().map(|o| format!("{}/{}/{}", o.changed, o.stale, o.refused)).collect();
            format!("changed/stale/refused {}", outcomes.join(" "))
        }
        other => format!("{other:?}"),
    }
}
