//! (shard)

pub mod mailbox;
