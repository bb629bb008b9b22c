//! Registering this process, and passing the agreed state on to the shards.
//!
//! (Publishing is in [`super::publish`].) Until the state names this very process the node leads and
//! acknowledges nothing: its map may be old.

use std::time::Duration;

use carousel_protocol::{Incarnation, NodeId};

use crate::config::{ClusterState, ConfigCommand, ConfigReply, MemberSpec};
use crate::raft::ConfigGroup;

const PROPOSE_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// This process' incarnation, if `state` has it registered.
pub(super) fn incarnation_of(state: &ClusterState, me: NodeId, process: u64) -> Option<Incarnation> {
    state.members.get(&me).filter(|member| member.spec.process == process).map(|member| member.incarnation)
}

/// Registers a restarted process with the config group; retried until it is done. Nothing to do on a node
/// that is no member, or whose joining has named this process already.
pub(super) async fn register(group: ConfigGroup, me: NodeId, now: MemberSpec) {
    let mut states = group.state();
    loop {
        let state = states.borrow_and_update().clone();
        if let Some(member) = state.members.get(&me) {
            if member.spec.process == now.process {
                return;
            }
            // The cluster knows the node by the address that it was joined with.
            let host = if now.host.is_empty() { member.spec.host.clone() } else { now.host.clone() };
            let spec = MemberSpec { host, ..now.clone() };
            match group.propose(ConfigCommand::Register(spec), PROPOSE_TIMEOUT).await {
                Ok(ConfigReply::Registered(incarnation)) => {
                    tracing::info!(%incarnation, "registered with the config group");
                    return;
                }
                Ok(other) => tracing::error!(?other, "the config group did not register this process"),
                Err(error) => tracing::warn!(%error, "no config group to register with yet"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        } else if states.changed().await.is_err() {
            return;
        }
    }
}
