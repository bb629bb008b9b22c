//! How a slot's copies stay alike: the streams from a primary to its replicas, what a replica accepts,
//! and how a successor is chosen. `docs/replication.md` tells the protocol; `shard` drives it.

pub mod history;
pub mod message;
pub mod primary;
pub mod quorum;
pub mod recovery;
pub mod replica;

pub use history::EpochHistory;
pub use message::{Frames, ToPrimary, ToReplica};
