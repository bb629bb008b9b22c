//! The state machine's step: one command applied to the agreed state.
//!
//! Every node applies the same commands in the same order, so nothing here may depend on anything but the state
//! and the command. A command is judged as a whole before the state is touched: a refused one changes nothing but
//! [`ClusterState::version`]. Only the expected epoch of a [`SlotChange`] is judged later, slot by slot.

use std::collections::{BTreeMap, BTreeSet};

use carousel_protocol::{Epoch, Incarnation, NodeId, SlotId, SlotMap, SlotRun};

use super::{
    ChangeOutcome, ClusterState, ConfigCommand, ConfigReply, Member, MemberSpec, PlanState, SlotChange,
};
use crate::limits::{REPLICAS_MAX, SHARDS_MAX};

/// Applies one command and says what became of it.
///
/// Cannot fail: a command that does not fit the state is [`ConfigReply::Refused`] and leaves everything but
/// `version` as it was.
pub fn apply(state: &mut ClusterState, command: &ConfigCommand) -> ConfigReply {
    let version_before = state.version;
    state.version += 1;
    let applied = match command {
        ConfigCommand::Create { cluster_id, members, slots, replicas, write_quorum } => {
            create(state, *cluster_id, members, slots, *replicas, *write_quorum)
        }
        ConfigCommand::AddMember(spec) => add_member(state, spec),
        ConfigCommand::Register { spec, expected } => register(state, spec, *expected),
        ConfigCommand::TakeEpoch => take_epoch(state),
        ConfigCommand::ChangeSlots { changes, epoch } => change_slots(state, changes, *epoch),
        ConfigCommand::SetPlan { expected_version, targets } => {
            set_plan(state, version_before, *expected_version, targets)
        }
    };
    applied.unwrap_or_else(ConfigReply::Refused)
}

/// `Err` is the line of a [`ConfigReply::Refused`].
type Applied = Result<ConfigReply, String>;

fn create(
    state: &mut ClusterState,
    cluster_id: NodeId,
    members: &[MemberSpec],
    slots: &[SlotRun],
    replicas: u8,
    write_quorum: u8,
) -> Applied {
    if let Some(existing) = state.cluster_id {
        return Err(format!("cluster {existing} exists already"));
    }
    if members.is_empty() {
        return Err("a cluster needs at least one node".into());
    }
    if write_quorum == 0 || write_quorum > replicas {
        return Err(format!(
            "write quorum {write_quorum} does not fit {replicas} replicas: 1 <= W <= N must hold"
        ));
    }
    for (i, spec) in members.iter().enumerate() {
        check_shards(spec)?;
        if let Some(other) = members[..i].iter().find(|other| clash(other, spec)) {
            return Err(taken(spec, other));
        }
    }
    let ids: BTreeSet<NodeId> = members.iter().map(|spec| spec.id).collect();
    check_runs(slots, |id| ids.contains(&id))?;
    let mut next = 0;
    for run in slots {
        if run.first.get() != next {
            return Err(format!("slots {next}..{} are not placed", run.first));
        }
        next = run.last.get() + 1;
    }
    if next != SlotId::COUNT {
        return Err(format!("slots {next}..{} are not placed", SlotId::COUNT));
    }

    let first = Epoch(1).max(state.last_epoch.next());
    state.cluster_id = Some(cluster_id);
    state.replicas = replicas;
    state.write_quorum = write_quorum;
    state.members = members
        .iter()
        .map(|spec| (spec.id, Member { spec: spec.clone(), incarnation: Incarnation(1) }))
        .collect();
    state.slots = SlotMap::new(
        slots.iter().map(|run| SlotRun { epoch: first, recovering: false, ..run.clone() }).collect(),
    );
    state.last_epoch = first;
    Ok(ConfigReply::Done)
}

fn add_member(state: &mut ClusterState, spec: &MemberSpec) -> Applied {
    check_created(state)?;
    check_shards(spec)?;
    if let Some(other) = state.members.values().find(|other| clash(&other.spec, spec)) {
        return Err(taken(spec, &other.spec));
    }
    let incarnation = Incarnation(1);
    state.members.insert(spec.id, Member { spec: spec.clone(), incarnation });
    Ok(ConfigReply::Registered(incarnation))
}

fn register(state: &mut ClusterState, spec: &MemberSpec, expected: Incarnation) -> Applied {
    check_created(state)?;
    check_shards(spec)?;
    if let Some(other) = state.members.values().find(|o| o.spec.id != spec.id && clash(&o.spec, spec)) {
        return Err(taken(spec, &other.spec));
    }
    let Some(member) = state.members.get_mut(&spec.id) else {
        return Err(format!("node {} is not a member of this cluster", spec.id));
    };
    if member.spec.process == spec.process {
        return Ok(ConfigReply::Registered(member.incarnation));
    }
    if member.incarnation != expected {
        return Err(format!(
            "node {} is at incarnation {} by now, not at {expected}",
            spec.id, member.incarnation
        ));
    }
    member.incarnation = member.incarnation.next();
    member.spec = spec.clone();
    let incarnation = member.incarnation;
    let runs = state.slots.runs().iter().cloned().map(|mut run| {
        run.recovering |= run.primary() == spec.id;
        run
    });
    state.slots = SlotMap::new(runs.collect());
    Ok(ConfigReply::Registered(incarnation))
}

fn take_epoch(state: &mut ClusterState) -> Applied {
    check_created(state)?;
    Ok(ConfigReply::Epoch(fresh_epoch(state)))
}

fn change_slots(state: &mut ClusterState, changes: &[SlotChange], epoch: Option<Epoch>) -> Applied {
    check_created(state)?;
    for change in changes {
        check_range(change.first, change.last)?;
        check_set(&change.replicas, |id| state.members.contains_key(&id))
            .map_err(|why| format!("slots {}-{}: {why}", change.first, change.last))?;
        if let Some(epoch) = epoch
            && (epoch <= change.expected_epoch || epoch > state.last_epoch)
        {
            return Err(format!(
                "epoch {epoch} does not fit slots {}-{}: it must be above {} and at most {}",
                change.first, change.last, change.expected_epoch, state.last_epoch
            ));
        }
    }

    let mut slots = BySlot::new(&state.slots);
    // A fresh epoch is only given out below when a slot took it.
    let epoch_new = epoch.unwrap_or(state.last_epoch.next());
    let mut changed_total = 0;
    let outcomes = changes
        .iter()
        .map(|change| {
            let run = SlotRun {
                first: change.first,
                last: change.last,
                replicas: change.replicas.clone(),
                epoch: epoch_new,
                recovering: false,
            };
            let fits =
                |old: &SlotRun| old.epoch == change.expected_epoch && (epoch.is_some() || !old.recovering);
            let count = change.last.get() - change.first.get() + 1;
            if restarted(&state.members, change) {
                let refused = (change.first.get()..=change.last.get())
                    .filter_map(SlotId::new)
                    .filter(|slot| state.slots.run_of(*slot).is_some_and(fits))
                    .count() as u16;
                return ChangeOutcome { changed: 0, stale: count - refused, refused };
            }
            let changed = slots.replace(run, fits);
            changed_total += u32::from(changed);
            ChangeOutcome { changed, stale: count - changed, refused: 0 }
        })
        .collect();
    if changed_total > 0 {
        state.slots = slots.into_map();
        state.last_epoch = state.last_epoch.max(epoch_new);
        shrink_plan(state);
    }
    Ok(ConfigReply::Changed(outcomes))
}

/// Has a node of the new set started anew since the change was prepared?
fn restarted(members: &BTreeMap<NodeId, Member>, change: &SlotChange) -> bool {
    let now = |node: &NodeId| members.get(node).map(|member| member.incarnation);
    change.replicas.iter().zip(&change.incarnations).any(|(node, then)| now(node) != Some(*then))
}

fn set_plan(state: &mut ClusterState, version: u64, expected_version: u64, targets: &[SlotRun]) -> Applied {
    check_created(state)?;
    if let Some(plan) = &state.plan {
        return Err(format!("rebalance {} is in progress", plan.id));
    }
    if version != expected_version {
        return Err(format!(
            "the cluster has changed since the plan was made (version {version}, the plan is of {expected_version}): plan again"
        ));
    }
    check_runs(targets, |id| state.members.contains_key(&id))?;
    let targets = targets.iter().map(|run| SlotRun { epoch: Epoch(0), recovering: false, ..run.clone() });
    let targets = outstanding(&state.slots, &SlotMap::new(targets.collect()));
    if targets.is_empty() {
        return Ok(ConfigReply::Planned(None));
    }
    // The number comes from the epoch counter and uses it up, so no later plan can have the same.
    let id = fresh_epoch(state).0;
    let slots_total = targets.runs().iter().map(|run| run.len() as u32).sum();
    state.plan = Some(PlanState { id, slots_total, targets });
    Ok(ConfigReply::Planned(Some(id)))
}

fn fresh_epoch(state: &mut ClusterState) -> Epoch {
    state.last_epoch = state.last_epoch.next();
    state.last_epoch
}

/// Drops reached targets, and the plan with its last one.
fn shrink_plan(state: &mut ClusterState) {
    let Some(plan) = &mut state.plan else { return };
    plan.targets = outstanding(&state.slots, &plan.targets);
    if plan.targets.is_empty() {
        state.plan = None;
    }
}

/// The part of `targets` whose set is not the present one.
fn outstanding(present: &SlotMap, targets: &SlotMap) -> SlotMap {
    let mut left = BySlot::new(targets);
    for run in present.runs() {
        left.remove(run.first, run.last, |target| target.replicas == run.replicas);
    }
    left.into_map()
}

/// A slot map spread out to one entry per slot: an entry of the config log may change thousands of runs, and
/// changing them one after the other in a sorted list would cost their square.
struct BySlot {
    runs: Vec<SlotRun>,
    /// Index into `runs`, or [`Self::NONE`].
    run_of: Vec<u32>,
}

impl BySlot {
    const NONE: u32 = u32::MAX;

    fn new(map: &SlotMap) -> Self {
        let mut run_of = vec![Self::NONE; SlotId::COUNT as usize];
        for (i, run) in map.runs().iter().enumerate() {
            run_of[run.first.index()..=run.last.index()].fill(i as u32);
        }
        Self { runs: map.runs().to_vec(), run_of }
    }

    /// Gives the slots of `new` whose present run passes `fits` to `new`; returns how many.
    fn replace(&mut self, new: SlotRun, fits: impl Fn(&SlotRun) -> bool) -> u16 {
        let index = self.runs.len() as u32;
        let changed = self.put(new.first, new.last, index, fits);
        self.runs.push(new);
        changed
    }

    /// Takes out the slots of `first..=last` whose present run passes `fits`.
    fn remove(&mut self, first: SlotId, last: SlotId, fits: impl Fn(&SlotRun) -> bool) {
        self.put(first, last, Self::NONE, fits);
    }

    fn put(&mut self, first: SlotId, last: SlotId, index: u32, fits: impl Fn(&SlotRun) -> bool) -> u16 {
        let mut changed = 0;
        for of in &mut self.run_of[first.index()..=last.index()] {
            if *of != Self::NONE && fits(&self.runs[*of as usize]) {
                *of = index;
                changed += 1;
            }
        }
        changed
    }

    fn into_map(self) -> SlotMap {
        let slot = |i: usize| SlotId::new(i as u16).expect("run_of has an entry per slot");
        let mut runs = Vec::new();
        let mut start = 0;
        for same in self.run_of.chunk_by(|a, b| a == b) {
            let end = start + same.len();
            if same[0] != Self::NONE {
                let run = &self.runs[same[0] as usize];
                runs.push(SlotRun { first: slot(start), last: slot(end - 1), ..run.clone() });
            }
            start = end;
        }
        SlotMap::new(runs)
    }
}

fn check_created(state: &ClusterState) -> Result<(), String> {
    state.cluster_id.map(|_| ()).ok_or_else(|| "there is no cluster yet: create one first".into())
}

/// A slot's shard on a node is found by division.
fn check_shards(spec: &MemberSpec) -> Result<(), String> {
    if !(1..=SHARDS_MAX).contains(&spec.shards) {
        return Err(format!(
            "node {} at {}:{} has {} shards; there must be 1 to {SHARDS_MAX}",
            spec.id, spec.host, spec.port, spec.shards
        ));
    }
    Ok(())
}

fn check_range(first: SlotId, last: SlotId) -> Result<(), String> {
    // Ids arrive decoded, and a decoder does not check their range.
    if first > last || last.get() >= SlotId::COUNT {
        return Err(format!("slots {first}-{last} are no range of slots"));
    }
    Ok(())
}

fn check_set(replicas: &[NodeId], is_member: impl Fn(NodeId) -> bool) -> Result<(), String> {
    if replicas.is_empty() {
        return Err("a replica set needs a primary".into());
    }
    if replicas.len() > REPLICAS_MAX {
        return Err(format!(
            "{} nodes in a replica set; at most {REPLICAS_MAX} are possible",
            replicas.len()
        ));
    }
    for (i, id) in replicas.iter().enumerate() {
        if !is_member(*id) {
            return Err(format!("node {id} is not a member of this cluster"));
        }
        if replicas[..i].contains(id) {
            return Err(format!("node {id} is in the replica set twice"));
        }
    }
    Ok(())
}

/// Sorted, apart, and every set good.
fn check_runs(runs: &[SlotRun], is_member: impl Fn(NodeId) -> bool) -> Result<(), String> {
    for (i, run) in runs.iter().enumerate() {
        check_range(run.first, run.last)?;
        check_set(&run.replicas, &is_member)
            .map_err(|why| format!("slots {}-{}: {why}", run.first, run.last))?;
        if i > 0 && runs[i - 1].last >= run.first {
            return Err(format!("slots {}-{} are out of order or placed twice", run.first, run.last));
        }
    }
    Ok(())
}

/// Two nodes cannot share an id, nor a port of a host.
fn clash(a: &MemberSpec, b: &MemberSpec) -> bool {
    let ports = [a.port, a.peer_port];
    a.id == b.id || (a.host == b.host && (ports.contains(&b.port) || ports.contains(&b.peer_port)))
}

fn taken(spec: &MemberSpec, by: &MemberSpec) -> String {
    if spec.id == by.id {
        return format!("node {} at {}:{} is a member already", by.id, by.host, by.port);
    }
    format!(
        "the address {}:{} (peers: {}) is that of node {} (peers: {})",
        spec.host, spec.port, spec.peer_port, by.id, by.peer_port
    )
}

#[cfg(test)]
mod tests;
