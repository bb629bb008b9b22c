//! Recovering slots whose primary's process is gone: seal, choose, commit. Done by the config group's leader.
//!
//! Everything is conditional: a coordinator that was too slow, or one that lost its leadership in between, changes
//! nothing, and the next one starts over with a higher epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::{NodeId, SlotId, SlotRun};
use futures::future::join_all;

use super::node_rpc::{NodeReply, NodeRequest, SlotReport, ask, seal_here};
use crate::config::{ClusterState, ConfigCommand, ConfigReply, SlotChange};
use crate::raft::ConfigGroup;
use crate::replication::recovery::{Choice, Report, choose};
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

const PROPOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a member may take to seal; the slots of those who do not answer wait for the next round.
const SEAL_TIMEOUT: Duration = Duration::from_millis(1500);
/// Between rounds that left slots unrecovered, at first and at most.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Watches the agreed state and recovers whenever this node leads the config group and slots are down.
pub(super) async fn recover_slots(group: ConfigGroup, me: NodeId, shards: Vec<Sender<ToShard>>) {
    let (mut states, mut reach) = (group.state(), group.unreachable());
    let mut pause = RETRY_PAUSE;
    loop {
        let state = states.borrow_and_update().clone();
        let down = state.slots.runs().iter().any(|run| run.recovering);
        if down && group.leader() == Some(me) {
            match recover_round(&group, me, &shards).await {
                Ok(0) => pause = (pause * 2).min(RETRY_PAUSE_MAX),
                Ok(slots) => {
                    tracing::info!(slots, "recovered slots of restarted nodes");
                    pause = RETRY_PAUSE;
                    continue;
                }
                Err(error) => tracing::warn!(%error, "a recovery round failed; the next one follows"),
            }
            // Each round costs an epoch and a durable promise on every copy: while nobody comes back they become rare.
            if states.borrow_and_update().members != state.members {
                pause = RETRY_PAUSE;
                continue;
            }
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                changed = reach.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    pause = RETRY_PAUSE;
                }
                () = tokio::time::sleep(pause) => {}
            }
        } else if down {
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        } else if states.changed().await.is_err() {
            return;
        }
    }
}

/// One attempt for all slots that are down; returns how many have a new primary.
async fn recover_round(group: &ConfigGroup, me: NodeId, shards: &[Sender<ToShard>]) -> Result<usize, String> {
    let taken = group.propose(ConfigCommand::TakeEpoch, PROPOSE_TIMEOUT).await.map_err(|e| e.to_string())?;
    let ConfigReply::Epoch(epoch) = taken else { return Err(format!("no epoch was given out: {taken:?}")) };
    // Which slots to seal is read only now. What was seen before may be long past, as while a leader that has just
    // started replays its log, and a seal deposes the primary of a slot that needs no recovery.
    let state: Arc<ClusterState> = group.state().borrow().clone();
    if state.last_epoch < epoch {
        return Err(format!("this node has not applied epoch {epoch} yet, which it took itself"));
    }
    let runs: Vec<&SlotRun> = state.slots.runs().iter().filter(|run| run.recovering).collect();

    let nodes: BTreeSet<NodeId> = runs.iter().flat_map(|run| run.replicas.iter().copied()).collect();
    let seals = nodes.into_iter().map(|node| {
        let slots: Vec<_> =
            runs.iter().filter(|run| run.replicas.contains(&node)).map(|run| (run.first, run.last)).collect();
        async move {
            let request = NodeRequest::Seal { epoch, slots: slots.clone() };
            let sealed = async {
                if node == me {
                    return Ok(NodeReply::Sealed(seal_here(shards, epoch, &slots).await));
                }
                ask(group, node, &request).await
            };
            let reports = match tokio::time::timeout(SEAL_TIMEOUT, sealed).await {
                Ok(Ok(NodeReply::Sealed(reports))) => reports,
                Ok(Ok(NodeReply::Stats(_) | NodeReply::NotUnderstood(_))) => Vec::new(),
                Ok(Err(error)) => {
                    tracing::debug!(%node, %error, "a copy could not be sealed");
                    Vec::new()
                }
                Err(_) => Vec::new(),
            };
            (node, reports)
        }
    });
    let mut reports: BTreeMap<SlotId, Vec<Report>> = BTreeMap::new();
    for (node, sealed) in join_all(seals).await {
        for SlotReport { slot, copy, whole } in sealed {
            reports.entry(slot).or_default().push(Report { node, copy, whole });
        }
    }

    let mut changes: Vec<SlotChange> = Vec::new();
    let (mut waiting, mut lossy) = (0, 0);
    for run in runs {
        for slot in run.slots() {
            let slot_reports = reports.get(&slot).map_or(&[][..], Vec::as_slice);
            match choose(&run.replicas, state.write_quorum, slot_reports) {
                Choice::Wait { .. } => waiting += 1,
                Choice::Successor { node, loss_possible } => {
                    lossy += usize::from(loss_possible);
                    push_change(&mut changes, &state, slot, run, node);
                }
            }
        }
    }
    if waiting > 0 {
        tracing::warn!(slots = waiting, "slots wait for more whole copies: start the nodes that hold them");
    }
    if lossy > 0 {
        tracing::error!(
            slots = lossy,
            "too few whole copies are left: the most advanced one was chosen, acknowledged writes may be lost"
        );
    }
    if changes.is_empty() {
        return Ok(0);
    }
    let command = ConfigCommand::ChangeSlots { changes, epoch: Some(epoch) };
    match group.propose(command, PROPOSE_TIMEOUT).await.map_err(|error| error.to_string())? {
        ConfigReply::Changed(outcomes) => {
            Ok(outcomes.iter().map(|outcome| usize::from(outcome.changed)).sum())
        }
        other => Err(format!("the recovery was not taken: {other:?}")),
    }
}

/// The same set with its new primary first; joined with the change before it where that is the same.
///
/// A member that has registered anew since `state`, so perhaps after its report, may have lost what it reported
/// or promised: the change names the processes, so that it is refused then.
fn push_change(
    changes: &mut Vec<SlotChange>,
    state: &ClusterState,
    slot: SlotId,
    run: &SlotRun,
    primary: NodeId,
) {
    let mut replicas = vec![primary];
    replicas.extend(run.replicas.iter().filter(|node| **node != primary));
    let incarnations = replicas.iter().map(|node| state.members[node].incarnation).collect();
    match changes.last_mut() {
        Some(last)
            if last.last.get() + 1 == slot.get()
                && last.expected_epoch == run.epoch
                && last.replicas == replicas =>
        {
            last.last = slot;
        }
        _ => changes.push(SlotChange {
            first: slot,
            last: slot,
            expected_epoch: run.epoch,
            replicas,
            incarnations,
        }),
    }
}
