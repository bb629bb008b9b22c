//! A Carousel node.
//!
//! The pure modules (`store`, `command`, `replication`, `transfer`, `placement`, `config`, and `shard` without
//! its drivers) are state machines that name no runtime, socket, file, clock or source of randomness; the rest
//! drives them. `docs/architecture.md` shows how a request travels.

pub mod boot;
pub mod command;
pub mod config;
pub mod conn;
pub mod control;
pub mod descriptors;
pub mod limits;
pub mod load;
pub mod metrics;
pub mod peer;
pub mod persist;
pub mod placement;
pub mod planted;
pub mod raft;
pub mod rdb;
pub mod replication;
pub mod runtime;
pub mod settings;
pub mod shard;
pub mod store;
pub mod transfer;
pub mod varint;

/// The time, read once by a driver and handed to pure code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds since an arbitrary start.
    pub mono_ns: u64,
    /// Unix time in milliseconds; what expiry is judged by.
    pub unix_ms: u64,
}
