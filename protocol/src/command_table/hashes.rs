//! The rows of the hash commands.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place};

const FAST_GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];
const FAST_READ: &[Flags] = &[Flags::READONLY, Flags::FAST];
const FAST_WRITE: &[Flags] = &[Flags::WRITE, Flags::FAST];
const READ: &[Flags] = &[Flags::READONLY];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::HSet, "HSET", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("hash", "2.0.0", "Creates or modifies the value of a field in a hash."),
    CommandSpec::new(CommandId::HSetNx, "HSETNX", Exactly(4), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("hash", "2.0.0", "Sets the value of a field in a hash only when the field doesn't exist."),
    CommandSpec::new(CommandId::HMSet, "HMSET", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("hash", "2.0.0", "Sets the values of multiple fields."),
    CommandSpec::new(CommandId::HGet, "HGET", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("hash", "2.0.0", "Returns the value of a field in a hash."),
    CommandSpec::new(CommandId::HMGet, "HMGET", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("hash", "2.0.0", "Returns the values of all fields in a hash."),
    CommandSpec::new(CommandId::HGetAll, "HGETALL", Exactly(2), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("hash", "2.0.0", "Returns all fields and values in a hash."),
    CommandSpec::new(CommandId::HDel, "HDEL", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("hash", "2.0.0", "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain."),
    CommandSpec::new(CommandId::HLen, "HLEN", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("hash", "2.0.0", "Returns the number of fields in a hash."),
    CommandSpec::new(CommandId::HStrLen, "HSTRLEN", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("hash", "3.2.0", "Returns the length of the value of a field."),
    CommandSpec::new(CommandId::HExists, "HEXISTS", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("hash", "2.0.0", "Determines whether a field exists in a hash."),
    CommandSpec::new(CommandId::HKeys, "HKEYS", Exactly(2), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("hash", "2.0.0", "Returns all fields in a hash."),
    CommandSpec::new(CommandId::HVals, "HVALS", Exactly(2), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("hash", "2.0.0", "Returns all values in a hash."),
    CommandSpec::new(CommandId::HIncrBy, "HINCRBY", Exactly(4), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("hash", "2.0.0", "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist."),
    CommandSpec::new(CommandId::HIncrByFloat, "HINCRBYFLOAT", Exactly(4), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("hash", "2.6.0", "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist."),
    CommandSpec::new(CommandId::HRandField, "HRANDFIELD", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("hash", "6.2.0", "Returns one or more random fields from a hash."),
    CommandSpec::new(CommandId::HScan, "HSCAN", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("hash", "2.8.0", "Iterates over fields and values of a hash."),
];
