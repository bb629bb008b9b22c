//! Passing the agreed state, and which members are reachable, to the shards and to INFO and CLUSTER.

use std::sync::Arc;

use carousel_protocol::NodeId;

use super::register::incarnation_of;
use crate::metrics::NodeView;
use crate::raft::ConfigGroup;
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// Publishes every new state until the config group stops.
pub(super) async fn publish(
    group: ConfigGroup,
    me: NodeId,
    process: u64,
    shards: Vec<Sender<ToShard>>,
    view: Arc<NodeView>,
) {
    let (mut states, mut reach) = (group.state(), group.unreachable());
    let mut known = Arc::default();
    loop {
        let state = states.borrow_and_update().clone();
        let unreachable = reach.borrow_and_update().clone();
        if unreachable != known {
            for shard in &shards {
                shard.send(ToShard::Unreachable(unreachable.clone()));
            }
            known = unreachable.clone();
        }
        if state.cluster_id.is_some() && state.members.contains_key(&me) {
            let incarnation = incarnation_of(&state, me, process);
            // First the shards: a client that sees the new map must not be sent back by an old one.
            for shard in &shards {
                shard.send(ToShard::Map { state: state.clone(), incarnation });
            }
            view.set_map(state, unreachable);
        }
        let changed = tokio::select! {
            changed = states.changed() => changed.is_ok(),
            changed = reach.changed() => changed.is_ok(),
        };
        if !changed {
            return;
        }
    }
}
