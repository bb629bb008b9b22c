//! Limits that several modules share, related to each other at compile time.
//!
//! A limit that only one module knows stays in that module.

use std::time::Duration;

use carousel_protocol::SlotId;

/// Arguments of one request, the command's name included. Source: Redis' `PROTO_MAX` multibulk length.
pub const REQUEST_ARGS_MAX: usize = 1024 * 1024;

/// Bytes of one argument unless `proto-max-bulk-len` says otherwise, as in Redis.
pub const BULK_BYTES_DEFAULT: u64 = 512 * 1024 * 1024;

/// The least that `proto-max-bulk-len` may say, as in Redis.
pub const BULK_BYTES_MIN: u64 = 1024 * 1024;

/// The most that `proto-max-bulk-len` may say: positions in a request, and the length of a record, are 32 bits wide.
pub const BULK_BYTES_MAX: u64 = 1024 * 1024 * 1024;

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

/// Least free space that a connection offers a read.
pub const READ_BYTES_MIN: usize = 16 * 1024;

/// Most free space that a connection makes at once for a request that announces more.
pub const READ_BYTES_MAX: usize = 1024 * 1024;

/// A connection's buffers of at most so many bytes are kept for its next batch; greater ones are given back.
pub const CONNECTION_BUFFER_BYTES_KEPT: usize = 64 * 1024;

/// Bytes of replies after which a batch ends, so that the client reads before more is made for it.
pub const BATCH_REPLY_BYTES_MAX: usize = 1024 * 1024;

/// How often a shard looks after what no event announces: expiry, time-outs, metrics.
pub const TICK: Duration = Duration::from_millis(20);

/// Keys that active expiry removes before it lets requests pass.
pub const EXPIRE_KEYS_PER_STEP: usize = 200;

/// What a record may add to an argument that it carries: its header and the lengths before key and value.
pub const RECORD_OVERHEAD_BYTES: usize = 64;

/// Nodes that may hold one slot.
pub const REPLICAS_MAX: usize = 8;

/// Bytes of one message between shards of two nodes; a record goes in one.
pub const PEER_FRAME_BYTES_MAX: usize = BULK_BYTES_MAX as usize + 64 * 1024 * 1024;

/// Bytes that may wait to be written to one link between shards of two nodes; the link ends where more would.
pub const PEER_OUT_BYTES_MAX: usize = PEER_FRAME_BYTES_MAX + 64 * 1024 * 1024;

/// Bytes that a link reads at a time.
pub const PEER_READ_BYTES: usize = 64 * 1024;

/// Bytes of the newest records that a shard keeps in memory, so that replicas catch up without a transfer.
pub const TAIL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Slot changes that a shard works on at a time; the others queue.
pub const CHANGES_ACTIVE_MAX: usize = 64;

/// Keys that a transfer visits before it looks at the bytes that it has.
pub const TRANSFER_CHUNK_KEYS: usize = 64;

/// Bytes after which a transfer's chunk is sent; a chunk is longer by at most [`TRANSFER_CHUNK_KEYS`] entries.
pub const TRANSFER_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of transfers that a shard makes in one turn of its loop, so that requests wait for few milliseconds.
pub const TRANSFER_TURN_BYTES: usize = 512 * 1024;

/// Bytes of transfers on their way to one shard of another node and not acknowledged.
pub const TRANSFER_WINDOW_BYTES: usize = 4 * 1024 * 1024;

const _: () =
    assert!(READ_BYTES_MIN <= CONNECTION_BUFFER_BYTES_KEPT && CONNECTION_BUFFER_BYTES_KEPT <= READ_BYTES_MAX);
const _: () = assert!(
    PEER_FRAME_BYTES_MAX >= BULK_BYTES_MAX as usize + INLINE_BYTES_MAX + RECORD_OVERHEAD_BYTES,
    "a record with the longest value fits a message"
);
const _: () = assert!(PEER_FRAME_BYTES_MAX < u32::MAX as usize, "its length is a u32");
const _: () = assert!(PEER_OUT_BYTES_MAX >= PEER_FRAME_BYTES_MAX, "the longest message can be queued");
const _: () =
    assert!(TRANSFER_CHUNK_BYTES <= TRANSFER_TURN_BYTES && TRANSFER_TURN_BYTES <= TRANSFER_WINDOW_BYTES);
