//! Proposing the changes that shards have prepared: many in one entry of the config group's log.

use std::collections::VecDeque;
use std::time::Duration;

use carousel_protocol::{Epoch, ShardId, SlotId};

use crate::config::{ConfigCommand, ConfigReply, SlotChange};
use crate::raft::ConfigGroup;
use crate::shard::ReadyChange;
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// Slots in one entry: few enough that the freeze of each stays short.
const SLOTS_PER_ENTRY: usize = 512;
/// One attempt; the next follows at once, for a change that was proposed ends only by an outcome.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between attempts that failed at once.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Proposes what shards send, until they are gone. While an entry is on its way the next one fills up.
pub(super) async fn propose_changes(
    group: ConfigGroup,
    mut ready: tokio::sync::mpsc::UnboundedReceiver<Vec<ReadyChange>>,
    shards: Vec<Sender<ToShard>>,
) {
    let mut queue = VecDeque::new();
    while let Some(changes) = ready.recv().await {
        queue.extend(changes);
        while !queue.is_empty() {
            while let Ok(changes) = ready.try_recv() {
                queue.extend(changes);
            }
            let entry: Vec<_> = queue.drain(..queue.len().min(SLOTS_PER_ENTRY)).collect();
            propose_entry(&group, join(entry), &shards).await;
        }
    }
}

async fn propose_entry(group: &ConfigGroup, changes: Vec<SlotChange>, shards: &[Sender<ToShard>]) {
    let command = ConfigCommand::ChangeSlots { changes: changes.clone(), epoch: None };
    loop {
        match group.propose(command.clone(), PROPOSE_TIMEOUT).await {
            Ok(ConfigReply::Changed(outcomes)) => {
                for (change, outcome) in changes.iter().zip(outcomes) {
                    if outcome.refused > 0 {
                        refuse(change, shards);
                    }
                }
                return;
            }
            Ok(other) => {
                // Judged and not done, whatever the reason: nothing else of it is on its way.
                tracing::error!(?other, "the config group did not take a change of slots");
                changes.iter().for_each(|change| refuse(change, shards));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "proposing a change of slots again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

fn refuse(change: &SlotChange, shards: &[Sender<ToShard>]) {
    for slot in (change.first.get()..=change.last.get()).filter_map(SlotId::new) {
        let shard = ShardId::of_slot(slot, shards.len() as u16);
        shards[shard.index()].send(ToShard::ChangeRefused { slot, epoch: change.expected_epoch });
    }
}

/// Neighbouring slots with the same change become one.
fn join(mut ready: Vec<ReadyChange>) -> Vec<SlotChange> {
    ready.sort_by_key(|change| change.slot);
    let mut joined: Vec<SlotChange> = Vec::new();
    for ReadyChange { slot, epoch, replicas, incarnations } in ready {
        match joined.last_mut() {
            Some(last)
                if last.last.get() + 1 == slot.get() && same(last, epoch, &replicas, &incarnations) =>
            {
                last.last = slot;
            }
            _ => joined.push(SlotChange {
                first: slot,
                last: slot,
                expected_epoch: epoch,
                replicas,
                incarnations,
            }),
        }
    }
    joined
}

fn same(
    change: &SlotChange,
    epoch: Epoch,
    replicas: &[carousel_protocol::NodeId],
    incarnations: &[carousel_protocol::Incarnation],
) -> bool {
    change.expected_epoch == epoch && change.replicas == replicas && change.incarnations == incarnations
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_protocol::{Incarnation, NodeId};

    #[test]
    fn only_neighbours_with_the_same_change_share_a_row() {
        let change = |slot: u16, epoch: u64| ReadyChange {
            slot: SlotId::new(slot).unwrap(),
            epoch: Epoch(epoch),
            replicas: vec![NodeId([1; 20])],
            incarnations: vec![Incarnation(1)],
        };
        let rows = join(vec![change(7, 1), change(5, 1), change(6, 1), change(9, 1), change(8, 2)]);
        let spans: Vec<_> = rows.iter().map(|row| (row.first.get(), row.last.get())).collect();
        assert_eq!(spans, [(5, 7), (8, 8), (9, 9)]);
    }
}
