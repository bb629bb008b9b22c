//! The rows of the string commands.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Merge, Place};

const READ: &[Flags] = &[Flags::READONLY];
const FAST_READ: &[Flags] = &[Flags::READONLY, Flags::FAST];
const FAST_WRITE: &[Flags] = &[Flags::WRITE, Flags::FAST];
const GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];
const FAST_GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::Get, "GET", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("string", "1.0.0", "Returns the string value of a key."),
    CommandSpec::new(CommandId::Set, "SET", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(GROWING)
        .docs("string", "1.0.0", "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist."),
    CommandSpec::new(CommandId::MGet, "MGET", AtLeast(2), Keys::ALL, Place::Key)
        .flags(FAST_READ)
        .merge(Merge::PerKey)
        .docs("string", "1.0.0", "Atomically returns the string values of one or more keys."),
    CommandSpec::new(CommandId::MSet, "MSET", AtLeast(3), Keys::PAIRS, Place::Key)
        .flags(GROWING)
        .merge(Merge::Ok)
        .docs("string", "1.0.1", "Atomically creates or modifies the string values of one or more keys."),
    CommandSpec::new(CommandId::MSetNx, "MSETNX", AtLeast(3), Keys::PAIRS, Place::Key)
        .flags(GROWING)
        .docs("string", "1.0.1", "Atomically modifies the string values of one or more keys only when all keys don't exist."),
    CommandSpec::new(CommandId::SetNx, "SETNX", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("string", "1.0.0", "Set the string value of a key only when the key doesn't exist."),
    CommandSpec::new(CommandId::SetEx, "SETEX", Exactly(4), Keys::FIRST, Place::Key)
        .flags(GROWING)
        .docs("string", "2.0.0", "Sets the string value and expiration time of a key. Creates the key if it doesn't exist."),
    CommandSpec::new(CommandId::PSetEx, "PSETEX", Exactly(4), Keys::FIRST, Place::Key)
        .flags(GROWING)
        .docs("string", "2.6.0", "Sets both string value and expiration time in milliseconds of a key. The key is created if it doesn't exist."),
    CommandSpec::new(CommandId::GetSet, "GETSET", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("string", "1.0.0", "Returns the previous string value of a key after setting it to a new value."),
    CommandSpec::new(CommandId::GetDel, "GETDEL", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("string", "6.2.0", "Returns the string value of a key after deleting the key."),
    CommandSpec::new(CommandId::GetEx, "GETEX", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("string", "6.2.0", "Returns the string value of a key after setting its expiration time."),
    CommandSpec::new(CommandId::SetRange, "SETRANGE", Exactly(4), Keys::FIRST, Place::Key)
        .flags(GROWING)
        .docs("string", "2.2.0", "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist."),
    CommandSpec::new(CommandId::GetRange, "GETRANGE", Exactly(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("string", "2.4.0", "Returns a substring of the string stored at a key."),
    CommandSpec::new(CommandId::Substr, "SUBSTR", Exactly(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("string", "1.0.0", "Returns a substring from a string value."),
    CommandSpec::new(CommandId::Append, "APPEND", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("string", "2.0.0", "Appends a string to the value of a key. Creates the key if it doesn't exist."),
    CommandSpec::new(CommandId::StrLen, "STRLEN", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("string", "2.2.0", "Returns the length of a string value."),
    CommandSpec::new(CommandId::Incr, "INCR", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("string", "1.0.0", "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist."),
    CommandSpec::new(CommandId::Decr, "DECR", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("string", "1.0.0", "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist."),
    CommandSpec::new(CommandId::IncrBy, "INCRBY", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("string", "1.0.0", "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist."),
    CommandSpec::new(CommandId::DecrBy, "DECRBY", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("string", "1.0.0", "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist."),
    CommandSpec::new(CommandId::IncrByFloat, "INCRBYFLOAT", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("string", "2.6.0", "Increment the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist."),
    CommandSpec::new(CommandId::Lcs, "LCS", AtLeast(3), Keys::FIRST_TWO, Place::Key)
        .flags(READ)
        .docs("string", "7.0.0", "Finds the longest common substring."),
];
