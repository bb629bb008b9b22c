//! What a node keeps when its process or its machine dies.

use std::collections::BTreeMap;

use carousel_protocol::{NodeId, ShardId, SlotId};
use carousel_server::limits::ShardLimits;
use carousel_server::persist::record::{LogPosition, RecordHeader, RecordKind, append_record, decode_record};
use carousel_server::shard::checkpoint::{CheckpointExtent, SlotStart};
use carousel_server::shard::{Shard, ShardOptions};

/// The log of a shard.
#[derive(Clone, Default)]
pub struct LogFile {
    /// What `write` took.
    pub bytes: Vec<u8>,
    /// How much of it an fdatasync has covered.
    pub synced: usize,
    /// The last checkpoint that counts. What is before it in `bytes` is never looked at again.
    pub checkpoint: Option<Checkpoint>,
}

/// A checkpoint of a shard.
#[derive(Clone)]
pub struct Checkpoint {
    /// Its records.
    pub bytes: Vec<u8>,
    /// What of the log belongs to it.
    pub extent: CheckpointExtent,
}

impl LogFile {
    /// The position of what is written next.
    pub fn end(&self) -> LogPosition {
        LogPosition(self.bytes.len() as u64)
    }

    /// Hands what it has to the shards, each of which takes what is its own.
    fn replay(&self, shards: &mut [Shard]) {
        let mut starts: BTreeMap<SlotId, SlotStart> = BTreeMap::new();
        let mut begin = 0;
        if let Some(checkpoint) = &self.checkpoint {
            begin = checkpoint.extent.replay_from.0 as usize;
            each_record(&checkpoint.bytes, 0, |_, header, payload| {
                if header.kind == RecordKind::CheckpointSlot {
                    starts.insert(header.slot, SlotStart::decode(payload).expect("a checkpoint is sound"));
                }
                shards
                    .iter_mut()
                    .for_each(|shard| shard.replay(header, payload).expect("records make sense"));
            });
        }
        each_record(&self.bytes, begin, |at, header, payload| {
            let start = starts.get(&header.slot).copied().unwrap_or_default();
            if start.admits(header.kind, LogPosition(at as u64)) {
                shards
                    .iter_mut()
                    .for_each(|shard| shard.replay(header, payload).expect("records make sense"));
            }
        });
    }

    /// Forgets what is beyond `len`, and the record that this cuts.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        let mut whole = 0;
        while let Ok(Some((_, _, size))) = decode_record(&self.bytes[whole..]) {
            whole += size;
        }
        self.bytes.truncate(whole);
        self.synced = self.synced.min(whole);
    }
}

/// What a node keeps.
#[derive(Clone, Default)]
pub struct Disk {
    /// Per simulated shard of the last process, its log.
    pub logs: Vec<LogFile>,
    /// Number of shards of the last process.
    pub shards: u16,
    /// All copies of the last process had caught up.
    pub is_whole: bool,
    /// The version of the cluster's state that the config group's store would give back.
    pub version: u64,
}

impl Disk {
    /// Builds the shards of a new process from the logs, which are written anew if there are now other shards, or
    /// if `rewrite` says so.
    #[expect(clippy::too_many_arguments, reason = "what a start is given, each once")]
    pub fn load(
        &mut self,
        me: NodeId,
        seats: &[ShardId],
        shard_count: u16,
        hash_seed: u64,
        logged: bool,
        rewrite: bool,
        limits: ShardLimits,
    ) -> Vec<Shard> {
        let options = |id| ShardOptions {
            id,
            shard_count,
            me,
            hash_seed,
            databases: 16,
            packing: Default::default(),
            log: logged,
            limits,
        };
        let mut shards: Vec<_> = seats.iter().map(|id| Shard::new(options(*id))).collect();
        if !logged {
            self.logs = vec![LogFile::default(); seats.len()];
            self.shards = shard_count;
            return shards;
        }
        for log in &self.logs {
            log.replay(&mut shards);
        }
        shards.iter_mut().for_each(Shard::replay_done);
        if rewrite || self.shards != shard_count {
            self.logs = shards
                .iter()
                .map(|shard| {
                    let mut bytes = Vec::new();
                    shard.dump(&mut |header, payload| append_record(&mut bytes, &header, payload));
                    LogFile { synced: bytes.len(), bytes, checkpoint: None }
                })
                .collect();
            self.shards = shard_count;
        }
        for (shard, log) in shards.iter_mut().zip(&self.logs) {
            shard.set_log_position(log.end());
        }
        shards
    }
}

fn each_record(bytes: &[u8], from: usize, mut visit: impl FnMut(usize, RecordHeader, &[u8])) {
    let mut at = from;
    while at < bytes.len() {
        let (header, payload, size) =
            decode_record(&bytes[at..]).expect("it is sound").expect("its end was cut");
        visit(at, header, payload);
        at += size;
    }
}
