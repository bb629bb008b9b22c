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

/// For requests that one shard sends to another: they were within the client's limits.
pub const BETWEEN_SHARDS: carousel_protocol::resp::Limits = carousel_protocol::resp::Limits {
    args_max: REQUEST_ARGS_MAX,
    bulk_bytes_max: BULK_BYTES_MAX as usize,
    inline_bytes_max: INLINE_BYTES_MAX,
};

/// Bytes of one inline request, as in Redis.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Shards of one node. Every shard owns at least one group of [`SLOTS_PER_GROUP`] slots.
pub const SHARDS_MAX: u16 = 1024;

/// Neighbouring slots that always share a shard; see [`carousel_protocol::ShardId::of_slot`].
pub const SLOTS_PER_GROUP: u16 = 16;

/// Files that include each other at most so deep.
pub const INCLUDE_DEPTH_MAX: u8 = 8;

const _: () = assert!(SHARDS_MAX <= SlotId::COUNT / SLOTS_PER_GROUP, "every shard owns slots");
const _: () = assert!(BULK_BYTES_MIN <= BULK_BYTES_DEFAULT && BULK_BYTES_DEFAULT <= BULK_BYTES_MAX);
const _: () = assert!(BULK_BYTES_MAX < u32::MAX as u64, "an argument's end is a u32");
const _: () = assert!((INLINE_BYTES_MAX as u64) < BULK_BYTES_MIN, "an inline request is the smaller form");

/// Nodes in a slot's set.
pub const REPLICAS_MAX: usize = 16;

/// Bytes of records that a shard keeps in memory to bring followers into step without a transfer.
pub const TAIL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Keys looked at per step of a transfer.
pub const TRANSFER_CHUNK_KEYS: usize = 256;

/// Bytes of effects after which a chunk of a transfer ends, with the key that brings it there.
pub const TRANSFER_CHUNK_BYTES: usize = 32 * 1024;

/// Bytes of effects in one message of a transfer: with the transfer's number they are a record.
pub const TRANSFER_PART_BYTES_MAX: usize =
    crate::persist::RECORD_BYTES_MAX - crate::persist::record::record_bytes(size_of::<u64>());

/// Bytes of transfers that a shard sends in one turn: it bounds how long a turn takes.
pub const TRANSFER_TURN_BYTES: usize = 256 * 1024;

/// Bytes of transfers on their way to one shard.
pub const TRANSFER_WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// Slots of a shard whose set is being changed at a time.
pub const CHANGES_ACTIVE_MAX: usize = 64;

/// What bounds a shard's part in a cluster. Tests make the bounds small, to meet all of them with little data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardLimits {
    /// See [`TAIL_BYTES_MAX`].
    pub tail_bytes: usize,
    /// See [`TRANSFER_CHUNK_KEYS`].
    pub chunk_keys: usize,
    /// See [`TRANSFER_CHUNK_BYTES`].
    pub chunk_bytes: usize,
    /// See [`TRANSFER_TURN_BYTES`].
    pub turn_bytes: usize,
    /// See [`TRANSFER_WINDOW_BYTES`].
    pub window_bytes: usize,
    /// See [`CHANGES_ACTIVE_MAX`].
    pub changes_active: usize,
}

impl Default for ShardLimits {
    fn default() -> Self {
        Self {
            tail_bytes: TAIL_BYTES_MAX,
            chunk_keys: TRANSFER_CHUNK_KEYS,
            chunk_bytes: TRANSFER_CHUNK_BYTES,
            turn_bytes: TRANSFER_TURN_BYTES,
            window_bytes: TRANSFER_WINDOW_BYTES,
            changes_active: CHANGES_ACTIVE_MAX,
        }
    }
}

/// Bytes of the longest frame between shards: one record, which may carry the longest key and value.
pub const PEER_FRAME_BYTES_MAX: usize = 7 << 29;

/// Bytes that may wait for a shard that takes none, before its link is given up.
pub const PEER_OUT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes read at once from a link between shards.
pub const PEER_READ_BYTES: usize = 64 * 1024;

/// Least room for reading from a client.
pub const READ_BYTES_MIN: usize = 16 * 1024;

/// Most room made at once for reading from a client, unless as much has arrived already.
pub const READ_BYTES_MAX: usize = 256 * 1024;

/// Buffers of a connection that have grown above this are given back.
pub const CONNECTION_BUFFER_BYTES_KEPT: usize = 64 * 1024;

/// Requests of one batch that other shards are asked at first, and at most: what bounds replies whose length is not known
/// before they come.
pub const ASKED_MIN: usize = 8;
/// See [`ASKED_MIN`].
pub const ASKED_MAX: usize = 4096;

/// A batch ends when its replies take so much.
pub const BATCH_REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that a record needs in the log above the arguments that it comes from.
pub const RECORD_OVERHEAD_BYTES: usize = 64;

/// Bytes of all arguments of one request that writes: whatever it does with them, one record must hold it.
pub const WRITE_ARGUMENTS_BYTES_MAX: usize =
    crate::persist::RECORD_BYTES_MAX - (REQUEST_ARGS_MAX + 1) * RECORD_OVERHEAD_BYTES;

/// How often deadlines, expiry and metrics are looked after.
pub const TICK: Duration = Duration::from_millis(50);

/// Keys removed in one step because memory is short.
pub const EVICT_KEYS_PER_STEP: usize = 128;

/// Keys compared to find one that goes.
pub const EVICT_SAMPLES_MAX: usize = 64;

/// Bytes of the log that are taken for such a step.
pub const EVICT_LOG_BYTES: usize = 256 * 1024;

const _: () = assert!(EVICT_KEYS_PER_STEP * RECORD_OVERHEAD_BYTES <= EVICT_LOG_BYTES / 2, "a step fits");

/// Keys looked at in one step of active expiry.
pub const EXPIRE_KEYS_PER_STEP: usize = 500;

/// Pieces of what was dropped that are freed in one turn, or up to four times as many while as many are made.
pub const FREED_PIECES_PER_STEP: usize = 1000;

/// Bytes of the log that are kept ready for the removal of keys whose time has come. Where the disk has no room for them,
/// such keys are only hidden.
pub const EXPIRE_LOG_BYTES: usize = 256 * 1024;

const _: () = assert!(PEER_FRAME_BYTES_MAX > crate::persist::RECORD_BYTES_MAX, "a record fits a frame");
const _: () =
    assert!(WRITE_ARGUMENTS_BYTES_MAX as u64 > 2 * BULK_BYTES_MAX, "whatever the settings allow, a SET fits");
const _: () = assert!(PEER_FRAME_BYTES_MAX < u32::MAX as usize, "a frame's length is a u32");
const _: () = assert!(
    TRANSFER_PART_BYTES_MAX as u64
        > TRANSFER_CHUNK_BYTES as u64 + 2 * BULK_BYTES_MAX + RECORD_OVERHEAD_BYTES as u64,
    "a chunk may be one key too long"
);
const _: () =
    assert!(TRANSFER_CHUNK_BYTES <= TRANSFER_TURN_BYTES && TRANSFER_TURN_BYTES <= TRANSFER_WINDOW_BYTES);

/// Bytes of the commands of one transaction: what one connection may make the server remember with MULTI.
pub const TRANSACTION_BYTES_MAX: usize = 1 << 30;

/// Bytes of a big collection's copy that travel in one effect, from shard to shard of a node.
pub const COPY_PIECE_BYTES: usize = 64 * 1024;
