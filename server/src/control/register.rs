//! Registering this process, and passing the agreed state on to the shards.
//!
//! (Publishing is in [`super::publish`].) Until the state names this very process the node leads and
//! acknowledges nothing: its map may be old.

use std::time::Duration;

use carousel_protocol::{Incarnation, NodeId};

use crate::config::{ClusterState, ConfigCommand, ConfigReply, MemberSpec};
use crate::persist::{DiskStorage, RegistrationNote};
use crate::raft::ConfigGroup;

const PROPOSE_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Pause between tries of a process that is refused: most often only an operator can change that.
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(5);

/// This process' incarnation, if `state` has it registered.
pub(super) fn incarnation_of(state: &ClusterState, me: NodeId, process: u64) -> Option<Incarnation> {
    state.members.get(&me).filter(|member| member.spec.process == process).map(|member| member.incarnation)
}

/// Keeps this process registered with the config group, until the group stops. Nothing to do on a node that is no
/// member, or whose joining has named this process already.
///
/// Each try is first noted on disk, so that a later start knows its directory from an older copy of it.
pub(super) async fn register(
    group: ConfigGroup,
    me: NodeId,
    now: MemberSpec,
    note: RegistrationNote<DiskStorage>,
) {
    let mut states = group.state();
    let mut problem = String::new();
    let mut pause = RETRY_PAUSE;
    loop {
        let state = states.borrow_and_update().clone();
        let Some(member) = state.members.get(&me).filter(|member| member.spec.process != now.process) else {
            if states.changed().await.is_err() {
                return;
            }
            continue;
        };
        // The cluster knows the node by the address that it was joined with.
        let host = if now.host.is_empty() { member.spec.host.clone() } else { now.host.clone() };
        let spec = MemberSpec { host, ..now.clone() };
        let expected = member.incarnation;
        let reply = match note.write(expected.next()) {
            Ok(()) => group.propose(ConfigCommand::Register { spec, expected }, PROPOSE_TIMEOUT).await,
            Err(error) => {
                say_once(
                    &mut problem,
                    format!("this node cannot note its start on disk, and waits: {error}"),
                );
                tokio::time::sleep(REFUSED_PAUSE_MAX).await;
                continue;
            }
        };
        pause = match reply {
            Ok(ConfigReply::Registered(incarnation)) => {
                tracing::info!(%incarnation, "registered with the config group");
                problem.clear();
                RETRY_PAUSE
            }
            Ok(ConfigReply::Refused(why)) => {
                let advice =
                    "start it with its old --port and --peer-port, or stop the node that has them now";
                say_once(&mut problem, format!("this node cannot register: {why}. If that lasts, {advice}"));
                (pause * 2).min(REFUSED_PAUSE_MAX)
            }
            Ok(other) => {
                say_once(&mut problem, format!("the config group answered a registration with {other:?}"));
                REFUSED_PAUSE_MAX
            }
            Err(error) => {
                say_once(&mut problem, format!("no config group to register with yet: {error}"));
                RETRY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Tells the operator, and again only when there is something new to say.
fn say_once(said: &mut String, what: String) {
    if *said != what {
        tracing::error!("{what}");
        *said = what;
    }
}
