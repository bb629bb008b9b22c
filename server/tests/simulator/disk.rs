//! What a node keeps when its process or its machine dies.

use carousel_protocol::{NodeId, ShardId};
use carousel_server::limits::ShardLimits;
use carousel_server::persist::record::{append_record, decode_record};
use carousel_server::shard::{Shard, ShardOptions};

/// The log of a shard.
#[derive(Clone, Default)]
pub struct LogFile {
    /// What `write` took.
    pub bytes: Vec<u8>,
    /// How much of it an fdatasync has covered.
    pub synced: usize,
}

impl LogFile {
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
            let mut at = 0;
            while at < log.bytes.len() {
                let (header, payload, size) =
                    decode_record(&log.bytes[at..]).expect("a log is sound").expect("its end was cut");
                for shard in &mut shards {
                    shard.replay(header, payload).expect("records make sense");
                }
                at += size;
            }
        }
        shards.iter_mut().for_each(Shard::replay_done);
        if rewrite || self.shards != shard_count {
            self.logs = shards
                .iter()
                .map(|shard| {
                    let mut bytes = Vec::new();
                    shard.dump(&mut |header, payload| append_record(&mut bytes, &header, payload));
                    LogFile { synced: bytes.len(), bytes }
                })
                .collect();
            self.shards = shard_count;
        }
        shards
    }
}
