//! The state machine's step.
use super::{ClusterState, ConfigCommand, ConfigReply};

/// Applies one command.
pub fn apply(state: &mut ClusterState, _command: &ConfigCommand) -> ConfigReply {
    state.version += 1;
    ConfigReply::Done
}
