//! A lone shard for tests, and requests of it.

use carousel_protocol::resp::Version;
use carousel_protocol::{Database, NodeId, ShardId};

use super::encoded::Encoded;
use super::{Refusal, Shard, ShardOptions};
use crate::Now;

/// A moment after the epoch, at which nothing has waited yet.
pub(crate) const NOW: Now = Now { mono_ns: 0, unix_ms: 1_000 };

/// The only shard of a node that nobody has told of a cluster.
pub(crate) fn lone_shard() -> Shard {
    shard_of(NodeId::default())
}

/// The only shard of the node `me`.
pub(crate) fn shard_of(me: NodeId) -> Shard {
    Shard::new(ShardOptions {
        id: ShardId(0),
        shard_count: 1,
        me,
        hash_seed: 1,
        databases: 16,
        packing: Default::default(),
        log: true,
        limits: Default::default(),
    })
}

/// A log that takes everything.
pub(crate) fn room(_: usize) -> Result<(), &'static str> {
    Ok(())
}

/// The request of these words.
pub(crate) fn request(line: &str) -> Encoded {
    Encoded::command(Database::MAIN, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

/// Executes the request of these words; returns its reply with a bar for each end of a line.
pub(crate) fn try_run(shard: &mut Shard, line: &str) -> Result<String, Refusal> {
    let mut out = Vec::new();
    request(line).execute(shard, NOW, Version::Resp2, &mut out, &room)?;
    Ok(String::from_utf8(out).expect("replies of these tests are text").replace("\r\n", "|"))
}

/// As [`try_run`], of a request that is not refused.
pub(crate) fn run(shard: &mut Shard, line: &str) -> String {
    try_run(shard, line).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"))
}
