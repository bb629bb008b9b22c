//! Passing the agreed state, and which members are reachable, to the shards and to INFO and CLUSTER; and beginning
//! this process' part in the cluster when the state names it.

use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::NodeId;
use tokio::sync::Notify;

use super::activate::FoundOnDisk;
use super::register::incarnation_of;
use crate::metrics::{MapView, NodeView};
use crate::raft::ConfigGroup;
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// How often it is looked whether all copies have caught up, after a start that lost some.
const WHOLE_INTERVAL: Duration = Duration::from_secs(1);

/// What publishing needs.
pub(super) struct Publisher {
    pub(super) group: ConfigGroup,
    pub(super) me: NodeId,
    pub(super) process: u64,
    pub(super) shards: Vec<Sender<ToShard>>,
    pub(super) view: Arc<NodeView>,
    /// The process started as a member.
    pub(super) was_member: bool,
    /// Told when a shard's log has failed for good.
    pub(super) log_failed: Arc<Notify>,
}

impl Publisher {
    /// Publishes every new state until the config group stops; then gives back the data directory, to be closed.
    ///
    /// # Errors
    /// One line: the process' part could not begin, so it must stop.
    pub(super) async fn run(self, found: &mut FoundOnDisk) -> Result<(), String> {
        let (mut states, mut reach) = (self.group.state(), self.group.unreachable());
        let mut begun = false;
        let mut noted_whole = false;
        loop {
            let state = states.borrow_and_update().clone();
            let unreachable = Arc::new(reach.borrow_and_update().clone());
            for shard in &self.shards {
                shard.send(ToShard::Unreachable(unreachable.clone()));
            }
            if state.cluster_id.is_some() && state.members.contains_key(&self.me) {
                let incarnation = incarnation_of(&state, self.me, self.process);
                if let Some(incarnation) = incarnation.filter(|_| !begun) {
                    noted_whole = found.begin(&self.shards, incarnation, self.was_member).await?;
                    begun = true;
                }
                // First the shards: a client that sees the new map must not be sent back by an old one.
                for shard in &self.shards {
                    shard.send(ToShard::Map { state: state.clone(), incarnation });
                }
                let unreachable = std::collections::BTreeSet::clone(&unreachable);
                let view = MapView::new(state, self.me, unreachable);
                self.view.map.publish(view.with_registered(incarnation.is_some()));
            }
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return Ok(()) },
                changed = reach.changed() => if changed.is_err() { return Ok(()) },
                () = self.log_failed.notified() => found.note_sync_failure(),
                () = tokio::time::sleep(WHOLE_INTERVAL), if begun && !noted_whole => {
                    if self.view.totals().copies_not_whole == 0 {
                        found.note_whole();
                        noted_whole = true;
                    }
                }
            }
        }
    }
}
