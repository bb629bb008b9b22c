//! The rows of the sorted set commands.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place};

const GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];
const FAST_GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];
const FAST_READ: &[Flags] = &[Flags::READONLY, Flags::FAST];
const FAST_WRITE: &[Flags] = &[Flags::WRITE, Flags::FAST];
const READ: &[Flags] = &[Flags::READONLY];
const WRITE: &[Flags] = &[Flags::WRITE];
const BLOCKING_FAST: &[Flags] = &[Flags::WRITE, Flags::NOSCRIPT, Flags::FAST, Flags::BLOCKING];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::ZAdd, "ZADD", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("sorted-set", "1.2.0", "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist."),
    CommandSpec::new(CommandId::ZRem, "ZREM", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("sorted-set", "1.2.0", "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed."),
    CommandSpec::new(CommandId::ZScore, "ZSCORE", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("sorted-set", "1.2.0", "Returns the score of a member in a sorted set."),
    CommandSpec::new(CommandId::ZMScore, "ZMSCORE", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("sorted-set", "6.2.0", "Returns the score of one or more members in a sorted set."),
    CommandSpec::new(CommandId::ZIncrBy, "ZINCRBY", Exactly(4), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("sorted-set", "1.2.0", "Increments the score of a member in a sorted set."),
    CommandSpec::new(CommandId::ZCard, "ZCARD", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("sorted-set", "1.2.0", "Returns the number of members in a sorted set."),
    CommandSpec::new(CommandId::ZCount, "ZCOUNT", Exactly(4), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("sorted-set", "2.0.0", "Returns the count of members in a sorted set that have scores within a range."),
    CommandSpec::new(CommandId::ZLexCount, "ZLEXCOUNT", Exactly(4), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("sorted-set", "2.8.9", "Returns the number of members in a sorted set within a lexicographical range."),
    CommandSpec::new(CommandId::ZRange, "ZRANGE", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("sorted-set", "1.2.0", "Returns members in a sorted set within a range of indexes."),
    CommandSpec::new(CommandId::ZRangeStore, "ZRANGESTORE", AtLeast(5), Keys::FIRST_TWO, Place::Key)
        .flags(GROWING)
        .docs("sorted-set", "6.2.0", "Stores a range of members from sorted set in a key."),
    CommandSpec::new(CommandId::ZRangeByScore, "ZRANGEBYSCORE", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("sorted-set", "1.0.5", "Returns members in a sorted set within a range of scores."),
    CommandSpec::new(CommandId::ZRevRangeByScore, "ZREVRANGEBYSCORE", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("sorted-set", "2.2.0", "Returns members in a sorted set within a range of scores in reverse order."),
    CommandSpec::new(CommandId::ZRangeByLex, "ZRANGEBYLEX", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("sorted-set", "2.8.9", "Returns members in a sorted set within a lexicographical range."),
    CommandSpec::new(CommandId::ZRevRangeByLex, "ZREVRANGEBYLEX", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("sorted-set", "2.8.9", "Returns members in a sorted set within a lexicographical range in reverse order."),
    CommandSpec::new(CommandId::ZRevRange, "ZREVRANGE", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("sorted-set", "1.2.0", "Returns members in a sorted set within a range of indexes in reverse order."),
    CommandSpec::new(CommandId::ZRank, "ZRANK", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("sorted-set", "2.0.0", "Returns the index of a member in a sorted set ordered by ascending scores."),
    CommandSpec::new(CommandId::ZRevRank, "ZREVRANK", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("sorted-set", "2.0.0", "Returns the index of a member in a sorted set ordered by descending scores."),
    CommandSpec::new(CommandId::ZRemRangeByRank, "ZREMRANGEBYRANK", Exactly(4), Keys::FIRST, Place::Key)
        .flags(WRITE)
        .docs("sorted-set", "2.0.0", "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed."),
    CommandSpec::new(CommandId::ZRemRangeByScore, "ZREMRANGEBYSCORE", Exactly(4), Keys::FIRST, Place::Key)
        .flags(WRITE)
        .docs("sorted-set", "1.2.0", "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed."),
    CommandSpec::new(CommandId::ZRemRangeByLex, "ZREMRANGEBYLEX", Exactly(4), Keys::FIRST, Place::Key)
        .flags(WRITE)
        .docs("sorted-set", "2.8.9", "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed."),
    CommandSpec::new(CommandId::ZPopMin, "ZPOPMIN", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("sorted-set", "5.0.0", "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped."),
    CommandSpec::new(CommandId::ZPopMax, "ZPOPMAX", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("sorted-set", "5.0.0", "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped."),
    CommandSpec::new(CommandId::ZMPop, "ZMPOP", AtLeast(4), Keys::counted(1), Place::Key)
        .flags(WRITE)
        .docs("sorted-set", "7.0.0", "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last member was popped."),
    CommandSpec::new(CommandId::ZRandMember, "ZRANDMEMBER", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("sorted-set", "6.2.0", "Returns one or more random members from a sorted set."),
    CommandSpec::new(CommandId::ZScan, "ZSCAN", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("sorted-set", "2.8.0", "Iterates over members and scores of a sorted set."),
    CommandSpec::new(CommandId::ZUnion, "ZUNION", AtLeast(3), Keys::counted(1), Place::Key)
        .flags(READ)
        .docs("sorted-set", "6.2.0", "Returns the union of multiple sorted sets."),
    CommandSpec::new(CommandId::ZInter, "ZINTER", AtLeast(3), Keys::counted(1), Place::Key)
        .flags(READ)
        .docs("sorted-set", "6.2.0", "Returns the intersect of multiple sorted sets."),
    CommandSpec::new(CommandId::ZDiff, "ZDIFF", AtLeast(3), Keys::counted(1), Place::Key)
        .flags(READ)
        .docs("sorted-set", "6.2.0", "Returns the difference between multiple sorted sets."),
    CommandSpec::new(CommandId::ZUnionStore, "ZUNIONSTORE", AtLeast(4), Keys::FIRST_AND_COUNTED, Place::Key)
        .flags(GROWING)
        .docs("sorted-set", "2.0.0", "Stores the union of multiple sorted sets in a key."),
    CommandSpec::new(CommandId::ZInterStore, "ZINTERSTORE", AtLeast(4), Keys::FIRST_AND_COUNTED, Place::Key)
        .flags(GROWING)
        .docs("sorted-set", "2.0.0", "Stores the intersect of multiple sorted sets in a key."),
    CommandSpec::new(CommandId::ZDiffStore, "ZDIFFSTORE", AtLeast(4), Keys::FIRST_AND_COUNTED, Place::Key)
        .flags(GROWING)
        .docs("sorted-set", "6.2.0", "Stores the difference of multiple sorted sets in a key."),
    CommandSpec::new(CommandId::ZInterCard, "ZINTERCARD", AtLeast(3), Keys::counted(1), Place::Key)
        .flags(READ)
        .docs("sorted-set", "7.0.0", "Returns the number of members of the intersect of multiple sorted sets."),
    CommandSpec::new(CommandId::BZPopMin, "BZPOPMIN", AtLeast(3), Keys::ALL_BUT_LAST, Place::Blocking)
        .flags(BLOCKING_FAST)
        .docs("sorted-set", "5.0.0", "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped."),
    CommandSpec::new(CommandId::BZPopMax, "BZPOPMAX", AtLeast(3), Keys::ALL_BUT_LAST, Place::Blocking)
        .flags(BLOCKING_FAST)
        .docs("sorted-set", "5.0.0", "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member available otherwise.  Deletes the sorted set if the last element was popped."),
    CommandSpec::new(CommandId::BZMPop, "BZMPOP", AtLeast(5), Keys::counted(2), Place::Blocking)
        .flags(&[Flags::WRITE, Flags::BLOCKING])
        .docs("sorted-set", "7.0.0", "Removes and returns a member by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped."),
];
