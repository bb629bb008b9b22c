//! Commands on sorted sets.

mod add;
mod combine;
mod number;
mod pop;
mod range;
mod scores;

pub(super) use add::{zadd, zincrby};
pub(super) use combine::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
pub(super) use pop::{ZmPop, pop_first_max, pop_first_min, zmpop, zpopmax, zpopmin};
pub(super) use range::{
    zcount, zlexcount, zrange, zrangebylex, zrangebyscore, zrangestore, zremrangebylex, zremrangebyrank,
    zremrangebyscore, zrevrange, zrevrangebylex, zrevrangebyscore,
};
pub(super) use scores::{zcard, zmscore, zrandmember, zrank, zrem, zrevrank, zscan, zscore};

use carousel_protocol::resp::{ReplyWriter, Version};

use super::effect::{Effect, ItemsBuf};
use super::exec::{Exec, Outcome};
use super::tables::KeyAt;

/// Replies of members, with or without their scores: in RESP3 as pairs, in RESP2 one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WithScores {
    No,
    Yes,
}

impl WithScores {
    /// The head of a reply of `len` members.
    fn head(self, reply: &mut ReplyWriter<'_>, len: usize) {
        let is_flat = self == Self::Yes && reply.version == Version::Resp2;
        reply.array(if is_flat { 2 * len } else { len });
    }

    /// One member of such a reply.
    fn member(self, reply: &mut ReplyWriter<'_>, score: f64, member: &[u8]) {
        if self == Self::Yes && reply.version == Version::Resp3 {
            reply.array(2);
        }
        reply.bulk(member);
        if self == Self::Yes {
            reply.double(score);
        }
    }
}

/// Removes members that are there, if any, and the key where they are all that it has.
fn remove(exec: &mut Exec<'_>, at: KeyAt, key: &[u8], members: &ItemsBuf, are_all: bool) -> Outcome {
    if are_all {
        exec.tables.remove(at, key, exec.effects);
    } else if !members.is_empty() {
        exec.room.reserve(members.len_bytes())?;
        exec.change(at, Effect::Unscore { key, members: members.items() });
    }
    Ok(())
}

/// Puts a sorted set of these pairs of score and member, or none, in the place of whatever the key holds.
fn store(exec: &mut Exec<'_>, at: KeyAt, key: &[u8], pairs: &ItemsBuf) -> Outcome {
    exec.room.reserve(pairs.len_bytes())?;
    if exec.find(at, key).is_some() {
        exec.tables.remove(at, key, exec.effects);
    }
    if !pairs.is_empty() {
        exec.change(at, Effect::Score { key, pairs: pairs.items() });
    }
    Ok(())
}
