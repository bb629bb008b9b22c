//! What must hold, looked at after every event that may break it, and at rest.

use std::collections::BTreeMap;

use carousel_protocol::{Database, Epoch, NodeId, Seq, SlotId};
use carousel_server::shard::Shard;
use carousel_server::shard::slot::{Change, FollowerState, Role, Serve};

use super::events::{At, Life};
use super::scenario::{Logging, Scenario};
use super::world::World;

/// What was seen so far.
pub struct Checks {
    /// Who served a slot in an epoch.
    primaries: BTreeMap<(SlotId, Epoch), (usize, Life)>,
    /// The set that an epoch gave a slot.
    sets: BTreeMap<(SlotId, Epoch), Vec<NodeId>>,
    /// Per simulated slot, who serves it now.
    serving: Vec<Option<(usize, Life)>>,
    /// Per simulated slot, the highest seq that a primary knew to be committed.
    committed: Vec<Seq>,
    /// Per simulated slot and node, the reign seen last, by process and number, with its commit position.
    reigns: BTreeMap<(usize, usize), (Life, u32, Seq)>,
    /// A machine lost its power in this run.
    pub power_lost: bool,
    /// How much happened.
    pub counts: Counts,
}

/// What happened in a run, how often: one in which nothing does finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Requests that were answered.
    pub requests: u64,
    /// Those of them that wrote.
    pub writes: u64,
    /// Processes that died, with their machines or without.
    pub crashes: u64,
    /// Machines that lost their power.
    pub power_losses: u64,
    /// Checkpoints that counted.
    pub checkpoints: u64,
    /// Directions between two nodes that nothing passed for a while.
    pub partitions: u64,
    /// Changes of a slot's set by an agreed entry, other than recoveries.
    pub moves: u64,
    /// Those of them that gave the slot another primary.
    pub hand_overs: u64,
    /// Slots that were given a primary after the process of theirs had ended.
    pub recoveries: u64,
}

impl Checks {
    /// Nothing was seen.
    pub fn new(scenario: &Scenario) -> Self {
        let slots = scenario.slots.len();
        Self {
            primaries: BTreeMap::new(),
            sets: BTreeMap::new(),
            serving: vec![None; slots],
            committed: vec![Seq(0); slots],
            reigns: BTreeMap::new(),
            power_lost: false,
            counts: Counts::default(),
        }
    }
}

type Content = BTreeMap<(Database, Vec<u8>), (Vec<Vec<u8>>, Option<u64>)>;

impl World {
    /// A shard's slots: at most one primary per epoch and at a time, commit positions that only grow, and no primary
    /// without what was committed.
    pub fn check_seat(&mut self, at: At) {
        let Some(process) = self.nodes[at.node].process.as_ref().filter(|process| process.life == at.life)
        else {
            return;
        };
        let (node, life) = (at.node, at.life);
        let core = &process.seats[at.seat].core;
        if core.cluster().is_none() {
            return;
        }
        for (place, &slot) in self.scenario.slots.iter().enumerate() {
            if carousel_protocol::ShardId::of_slot(slot, process.shards) != core.id() {
                continue;
            }
            let state = core.slot(slot);
            let serves = is_serving(core.serve(slot));
            if serves {
                let epoch = state.lead().expect("whoever serves leads").epoch;
                let of_epoch = *self.checks.primaries.entry((slot, epoch)).or_insert((node, life));
                assert_eq!(of_epoch, (node, life), "slot {slot} has two primaries in epoch {epoch}");
                if let Some((other, other_life)) =
                    self.checks.serving[place].filter(|other| *other != (node, life))
                    && !self.scenario.phantoms
                {
                    let other_serves = self.serves(other, other_life, slot);
                    assert!(!other_serves, "slot {slot} is served by n{other} and n{node} at once");
                }
                self.checks.serving[place] = Some((node, life));
            }
            if let Some(lead) = state.lead() {
                let number = state.replication.as_ref().expect("it leads").reign;
                let reign = self.checks.reigns.entry((place, node)).or_insert((0, 0, Seq(0)));
                if (reign.0, reign.1) != (life, number) {
                    let committed = self.checks.committed[place];
                    // A process that was superseded while it stood still may begin by an old map. Nobody follows it.
                    let agreed = self.group.latest().slots.run_of(slot).expect("every slot is placed").epoch;
                    let too_late = self.scenario.phantoms && lead.epoch < agreed;
                    assert!(
                        too_late || lead.barrier > committed,
                        "n{node} leads slot {slot} in epoch {} from {} on, but {committed} was committed",
                        lead.epoch,
                        lead.barrier
                    );
                    *reign = (life, number, Seq(0));
                }
                assert!(state.commit >= reign.2, "slot {slot}: the commit position of n{node} goes back");
                reign.2 = state.commit;
                assert!(state.commit <= state.last_seq, "slot {slot}: more is committed than there is");
                if state.commit >= lead.barrier {
                    let committed = &mut self.checks.committed[place];
                    *committed = (*committed).max(state.commit);
                }
            }
        }
    }

    fn serves(&self, node: usize, life: Life, slot: SlotId) -> bool {
        self.nodes[node].process.as_ref().is_some_and(|process| process.life == life)
            && self.seat_of(node, slot).is_some_and(|seat| {
                let process = self.nodes[node].process.as_ref().expect("alive");
                is_serving(process.seats[seat].core.serve(slot))
            })
    }

    /// The agreed map: an epoch gives a slot one set for ever.
    pub fn check_map(&mut self) {
        let state = self.group.latest();
        for &slot in &self.scenario.slots {
            let run = state.slots.run_of(slot).expect("every slot is placed");
            let set = self.checks.sets.entry((slot, run.epoch)).or_insert_with(|| run.replicas.clone());
            assert_eq!(*set, run.replicas, "slot {slot} has two sets in epoch {}", run.epoch);
            assert!(run.epoch <= state.last_epoch, "epochs come from one counter");
        }
    }

    /// A loss may be announced only where something can have been lost.
    pub fn check_loss(&self) {
        let can_lose = self.checks.power_lost || self.scenario.logging == Logging::Off;
        assert!(can_lose, "a loss is announced, but every log has everything");
    }

    /// Is everything served, in step and done with?
    pub fn at_rest(&self) -> Result<(), String> {
        let state = self.group.latest();
        let version = self.group.latest_version();
        if let Some(plan) = &state.plan {
            let left = plan.targets.runs();
            let all: Vec<_> = left.iter().map(|run| self.describe(run.first)).collect();
            return Err(format!("plan {} is not done: {}", plan.id, all.join("")));
        }
        for (node, machine) in self.nodes.iter().enumerate() {
            let Some(process) = &machine.process else { return Err(format!("n{node} is not up")) };
            if process.seats.iter().any(|seat| seat.map != version) {
                return Err(format!("n{node} does not have the latest map"));
            }
            if (0..process.seats.len()).any(|seat| process.incarnation_of(seat).is_none()) {
                return Err(format!("n{node} is not registered"));
            }
        }
        for &slot in &self.scenario.slots {
            let run = state.slots.run_of(slot).expect("every slot is placed");
            if run.recovering {
                return Err(format!("slot {slot} is not recovered: {}", self.describe(slot)));
            }
            let primary = self.core_of(run.primary(), slot);
            let leader = primary.slot(slot);
            let Some(lead) = leader.lead() else { return Err(format!("slot {slot}: nobody leads")) };
            if primary.serve(slot) != Serve::Leading || lead.epoch != run.epoch || lead.change != Change::None
            {
                return Err(self.describe(slot));
            }
            if leader.commit != leader.last_seq {
                return Err(self.describe(slot));
            }
            if lead.followers.iter().any(|follower| follower.state != FollowerState::InStep) {
                return Err(self.describe(slot));
            }
            for &member in &run.replicas[1..] {
                let copy = self.core_of(member, slot).slot(slot);
                let Some(replication) = copy.replication.as_ref() else {
                    return Err(self.describe(slot));
                };
                if replication.role != Role::Replica
                    || !replication.whole
                    || (copy.last_seq, copy.commit) != (leader.last_seq, leader.last_seq)
                {
                    return Err(self.describe(slot));
                }
            }
        }
        let busy = (0..self.clients.len()).find(|client| !self.clients[*client].is_done());
        busy.map_or(Ok(()), |client| Err(format!("client {client} still has something to do")))
    }

    /// A slot as everybody sees it.
    fn describe(&self, slot: SlotId) -> String {
        let state = self.group.latest();
        let run = state.slots.run_of(slot).expect("every slot is placed");
        let target = state.plan.as_ref().and_then(|plan| plan.targets.run_of(slot)).map(|run| &run.replicas);
        let mut text = format!(
            "\n  slot {slot}: {:?} in epoch {}, recovering {}, planned {target:?}",
            run.replicas, run.epoch, run.recovering
        );
        for (node, machine) in self.nodes.iter().enumerate() {
            if machine.process.is_none() {
                continue;
            }
            let core = self.core_of(machine.id, slot);
            let state = core.slot(slot);
            let Some(replication) = state.replication.as_ref() else { continue };
            text += &format!(
                "\n    n{node}: {:?} {:?} {}/{} promised {} history {:?} complete {} whole {} link {:?} map {:?}",
                replication.role,
                core.serve(slot),
                state.commit,
                state.last_seq,
                replication.promised,
                replication.history,
                replication.complete,
                replication.whole,
                replication.link,
                replication.map
            );
            if let Some(lead) = &replication.lead {
                text += &format!("\n        {lead:?}");
            }
        }
        text
    }

    fn core_of(&self, id: NodeId, slot: SlotId) -> &Shard {
        let node = self.node_of(id).expect("simulated slots are on simulated nodes");
        let seat = self.seat_of(node, slot).expect("alive");
        &self.nodes[node].process.as_ref().expect("alive").seats[seat].core
    }

    /// At rest: all copies are the same, nobody else has one, and everything that clients know is there.
    pub fn check_content(&self) {
        let state = self.group.latest();
        for &slot in &self.scenario.slots {
            let run = state.slots.run_of(slot).expect("every slot is placed");
            let content = content_of(self.core_of(run.primary(), slot), slot);
            for (node, machine) in self.nodes.iter().enumerate() {
                let core = self.core_of(machine.id, slot);
                if run.replicas.contains(&machine.id) {
                    let copy = content_of(core, slot);
                    let differing = content.iter().filter(|(key, held)| copy.get(*key) != Some(held));
                    let missing = copy.iter().filter(|(key, _)| !content.contains_key(*key));
                    let keys: Vec<_> =
                        differing.chain(missing).map(|((_, key), _)| String::from_utf8_lossy(key)).collect();
                    assert!(keys.is_empty(), "slot {slot}: {keys:?} of n{node} differ from the primary's");
                } else {
                    let replication = core.slot(slot).replication.as_ref();
                    assert!(
                        core.tables.keys_of(slot) == 0 && replication.is_none_or(|r| !r.complete),
                        "slot {slot}: n{node} is no member and has a copy"
                    );
                    assert_eq!(core.serve(slot), Serve::Elsewhere, "slot {slot}: n{node} is no member");
                }
            }
        }
        let window = self.window(self.now);
        for cell in self.cells.iter().filter(|cell| !cell.retired) {
            let run = state.slots.run_of(cell.slot).expect("every slot is placed");
            let content = content_of(self.core_of(run.primary(), cell.slot), cell.slot);
            for key in 0..2 {
                let value =
                    content.get(&(cell.database, cell.keys[key].clone())).map(|(value, _)| &value[0][..]);
                cell.compare(key, value, window).unwrap_or_else(|why| panic!("{why}"));
            }
        }
        for counter in self.counters.iter().filter(|counter| !counter.retired) {
            let run = state.slots.run_of(counter.slot).expect("every slot is placed");
            let content = content_of(self.core_of(run.primary(), counter.slot), counter.slot);
            let value = content.get(&(counter.database, counter.key.clone())).map(|(value, _)| &value[..]);
            counter.compare(value).unwrap_or_else(|why| panic!("{why}"));
        }
    }
}

impl Checks {
    /// A loss was announced: what was committed may be gone.
    pub fn forget_commits(&mut self, slots: &[SlotId], simulated: &[SlotId]) {
        for (place, slot) in simulated.iter().enumerate() {
            if slots.contains(slot) {
                self.committed[place] = Seq(0);
            }
        }
    }
}

fn is_serving(serve: Serve) -> bool {
    matches!(serve, Serve::Leading | Serve::LeadingReadOnly)
}

fn content_of(core: &Shard, slot: SlotId) -> Content {
    let mut content = Content::new();
    for (database, table) in core.tables.tables_of(slot) {
        for entry in table.iter() {
            let value = (entry.value().content(), entry.expire_at_ms());
            content.insert((database, entry.key().to_vec()), value);
        }
    }
    content
}
