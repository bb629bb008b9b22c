//! Limits that several modules share, related to each other at compile time.
//!
//! A limit that only one module knows stays in that module.

use carousel_protocol::SlotId;

/// Arguments of one request, the command's name included. Source: Redis' `PROTO_MAX` multibulk length.
pub const REQUEST_ARGS_MAX: usize = 1024 * 1024;

/// Bytes of one argument unless `proto-max-bulk-len` says otherwise, as in Redis.
pub const BULK_BYTES_DEFAULT: u64 = 512 * 1024 * 1024;

/// The least that `proto-max-bulk-len` may say, as in Redis.
pub const BULK_BYTES_MIN: u64 = 1024 * 1024;

/// The most that `proto-max-bulk-len` may say: positions in a request are 32 bits wide.
pub const BULK_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Bytes of one inline request, as in Redis.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Shards of one node. Every shard owns at least one group of [`SLOTS_PER_GROUP`] slots.
pub const SHARDS_MAX: u16 = 1024;

/// Neighbouring slots that always share a shard; see [`carousel_protocol::ShardId::of_slot`].
pub const SLOTS_PER_GROUP: u16 = 16;

/// What is added to the client port to get the peer port, as Redis does for its cluster bus.
pub const PEER_PORT_OFFSET: u16 = 10_000;

/// Files that include each other at most so deep.
pub const INCLUDE_DEPTH_MAX: u8 = 8;

const _: () = assert!(SHARDS_MAX <= SlotId::COUNT / SLOTS_PER_GROUP, "every shard owns slots");
const _: () = assert!(BULK_BYTES_MIN <= BULK_BYTES_DEFAULT && BULK_BYTES_DEFAULT <= BULK_BYTES_MAX);
const _: () = assert!(BULK_BYTES_MAX < u32::MAX as u64, "an argument's end is a u32");
const _: () = assert!((INLINE_BYTES_MAX as u64) < BULK_BYTES_MIN, "an inline request is the smaller form");
