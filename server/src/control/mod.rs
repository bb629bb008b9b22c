//! The node's control thread: a tokio loop beside the shards, off the data path.
//!
//! It accepts clients and hands them to the shards, takes part in the config group, registers the process,
//! publishes the agreed state, proposes the changes that the shards have prepared, answers operators, and on the config
//! group's leader recovers the slots of restarted nodes.

pub mod accept;
mod activate;
mod admin;
mod changes;
mod checkpoint;
pub mod door;
mod loading;
mod node_rpc;
mod probe;
mod publish;
mod recover;
mod register;
mod request;
mod run;
pub mod service_manager;

pub use activate::FoundOnDisk;
pub use node_rpc::{NodeReply, NodeRequest};
pub use probe::Probe;
pub use request::{ControlRequest, SaveRequest, ToControl};
pub use run::{ControlSeat, run_control};
