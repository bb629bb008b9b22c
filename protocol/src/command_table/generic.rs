//! The rows of the commands on keys of any type, and on all keys.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Merge, Place, SubcommandSpec};

const READ: &[Flags] = &[Flags::READONLY];
const FAST_READ: &[Flags] = &[Flags::READONLY, Flags::FAST];
const DANGEROUS_READ: &[Flags] = &[Flags::READONLY, Flags::DANGEROUS];
const WRITE: &[Flags] = &[Flags::WRITE];
const FAST_WRITE: &[Flags] = &[Flags::WRITE, Flags::FAST];
const DANGEROUS_WRITE: &[Flags] = &[Flags::WRITE, Flags::DANGEROUS];
const DANGEROUS_FAST_WRITE: &[Flags] = &[Flags::WRITE, Flags::FAST, Flags::DANGEROUS];
const DANGEROUS_GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::DANGEROUS];
const ALWAYS: &[Flags] = &[Flags::LOADING, Flags::STALE];
const GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::Del, "DEL", AtLeast(2), Keys::ALL, Place::Key)
        .flags(WRITE)
        .merge(Merge::Sum)
        .docs("generic", "1.0.0", "Deletes one or more keys."),
    CommandSpec::new(CommandId::Unlink, "UNLINK", AtLeast(2), Keys::ALL, Place::Key)
        .flags(FAST_WRITE)
        .merge(Merge::Sum)
        .docs("generic", "4.0.0", "Asynchronously deletes one or more keys."),
    CommandSpec::new(CommandId::Exists, "EXISTS", AtLeast(2), Keys::ALL, Place::Key)
        .flags(FAST_READ)
        .merge(Merge::Sum)
        .docs("generic", "1.0.0", "Determines whether one or more keys exist."),
    CommandSpec::new(CommandId::Type, "TYPE", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("generic", "1.0.0", "Determines the type of value stored at a key."),
    CommandSpec::new(CommandId::Expire, "EXPIRE", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("generic", "1.0.0", "Sets the expiration time of a key in seconds."),
    CommandSpec::new(CommandId::PExpire, "PEXPIRE", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("generic", "2.6.0", "Sets the expiration time of a key in milliseconds."),
    CommandSpec::new(CommandId::ExpireAt, "EXPIREAT", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("generic", "1.2.0", "Sets the expiration time of a key to a Unix timestamp."),
    CommandSpec::new(CommandId::PExpireAt, "PEXPIREAT", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("generic", "2.6.0", "Sets the expiration time of a key to a Unix milliseconds timestamp."),
    CommandSpec::new(CommandId::Ttl, "TTL", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("generic", "1.0.0", "Returns the expiration time in seconds of a key."),
    CommandSpec::new(CommandId::PTtl, "PTTL", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("generic", "2.6.0", "Returns the expiration time in milliseconds of a key."),
    CommandSpec::new(CommandId::ExpireTime, "EXPIRETIME", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("generic", "7.0.0", "Returns the expiration time of a key as a Unix timestamp."),
    CommandSpec::new(CommandId::PExpireTime, "PEXPIRETIME", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("generic", "7.0.0", "Returns the expiration time of a key as a Unix milliseconds timestamp."),
    CommandSpec::new(CommandId::Persist, "PERSIST", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("generic", "2.2.0", "Removes the expiration time of a key."),
    CommandSpec::new(CommandId::Scan, "SCAN", AtLeast(2), Keys::NONE, Place::Slot)
        .flags(READ)
        .docs("generic", "2.8.0", "Iterates over the key names in the database."),
    CommandSpec::new(CommandId::Keys, "KEYS", Exactly(2), Keys::NONE, Place::AllShards)
        .flags(DANGEROUS_READ)
        .merge(Merge::Concat)
        .docs("generic", "1.0.0", "Returns all key names that match a pattern."),
    CommandSpec::new(CommandId::DbSize, "DBSIZE", Exactly(1), Keys::NONE, Place::AllShards)
        .flags(FAST_READ)
        .merge(Merge::Sum)
        .docs("server", "1.0.0", "Returns the number of keys in the database."),
    CommandSpec::new(CommandId::FlushAll, "FLUSHALL", AtLeast(1), Keys::NONE, Place::AllShards)
        .flags(DANGEROUS_WRITE)
        .merge(Merge::Ok)
        .docs("server", "1.0.0", "Removes all keys from all databases."),
    CommandSpec::new(CommandId::FlushDb, "FLUSHDB", AtLeast(1), Keys::NONE, Place::AllShards)
        .flags(DANGEROUS_WRITE)
        .merge(Merge::Ok)
        .docs("server", "1.0.0", "Remove all keys from the current database."),
    CommandSpec::new(CommandId::Touch, "TOUCH", AtLeast(2), Keys::ALL, Place::Key)
        .flags(FAST_READ)
        .merge(Merge::Sum)
        .docs("generic", "3.2.1", "Returns the number of existing keys out of those specified after updating the time they were last accessed."),
    CommandSpec::new(CommandId::RandomKey, "RANDOMKEY", Exactly(1), Keys::NONE, Place::AllShards)
        .flags(READ)
        .merge(Merge::Any)
        .docs("generic", "1.0.0", "Returns a random key name from the database."),
    CommandSpec::new(CommandId::Object, "OBJECT", AtLeast(2), Keys::SECOND, Place::Key)
        .subcommands(OBJECT)
        .docs("generic", "2.2.3", "A container for object introspection commands."),
    CommandSpec::new(CommandId::Memory, "MEMORY", AtLeast(2), Keys::SECOND, Place::Key)
        .subcommands(MEMORY)
        .docs("server", "4.0.0", "A container for memory diagnostics commands."),
    CommandSpec::new(CommandId::Sort, "SORT", AtLeast(2), Keys::FIRST_AND_STORED, Place::Key)
        .flags(DANGEROUS_GROWING)
        .docs("generic", "1.0.0", "Sorts the elements in a list, a set, or a sorted set, optionally storing the result."),
    CommandSpec::new(CommandId::SortRo, "SORT_RO", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(DANGEROUS_READ)
        .docs("generic", "7.0.0", "Returns the sorted elements of a list, a set, or a sorted set."),
    CommandSpec::new(CommandId::Copy, "COPY", AtLeast(3), Keys::FIRST_TWO, Place::Key)
            .flags(GROWING)
            .docs("generic", "6.2.0", "Copies the value of a key to a new key."),
        CommandSpec::new(CommandId::Rename, "RENAME", Exactly(3), Keys::FIRST_TWO, Place::Key)
            .flags(WRITE)
            .docs("generic", "1.0.0", "Renames a key and overwrites the destination."),
        CommandSpec::new(CommandId::RenameNx, "RENAMENX", Exactly(3), Keys::FIRST_TWO, Place::Key)
            .flags(FAST_WRITE)
            .docs("generic", "1.0.0", "Renames a key only when the target key name doesn't exist."),
    CommandSpec::new(CommandId::Dump, "DUMP", Exactly(2), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("generic", "2.6.0", "Returns a serialized representation of the value stored at a key."),
    CommandSpec::new(CommandId::Restore, "RESTORE", AtLeast(4), Keys::FIRST, Place::Key)
        .flags(DANGEROUS_GROWING)
        .docs("generic", "2.6.0", "Creates a key from the serialized representation of a value."),
        CommandSpec::new(CommandId::Move, "MOVE", Exactly(3), Keys::FIRST, Place::Key)
            .flags(FAST_WRITE)
            .docs("generic", "1.0.0", "Moves a key to another database."),
        CommandSpec::new(CommandId::SwapDb, "SWAPDB", Exactly(3), Keys::NONE, Place::AllShards)
            .flags(DANGEROUS_FAST_WRITE)
            .merge(Merge::Ok)
            .docs("server", "4.0.0", "Swaps two Redis databases."),
    ];

const OBJECT: &[SubcommandSpec] = &[
    SubcommandSpec::new("ENCODING", Exactly(3), Place::Key)
        .keys(Keys::SECOND)
        .flags(READ)
        .docs("2.2.3", "Returns the internal encoding of a value."),
    SubcommandSpec::new("FREQ", Exactly(3), Place::Key)
        .keys(Keys::SECOND)
        .flags(READ)
        .docs("4.0.0", "Returns the logarithmic access frequency counter of a value."),
    SubcommandSpec::new("IDLETIME", Exactly(3), Place::Key)
        .keys(Keys::SECOND)
        .flags(READ)
        .docs("2.2.3", "Returns the time since the last access to a value."),
    SubcommandSpec::new("REFCOUNT", Exactly(3), Place::Key)
        .keys(Keys::SECOND)
        .flags(READ)
        .docs("2.2.3", "Returns the reference count of a value of a key."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("6.2.0", "Returns helpful text about the different subcommands."),
];

const MEMORY: &[SubcommandSpec] = &[
    SubcommandSpec::new("USAGE", AtLeast(3), Place::Key)
        .keys(Keys::SECOND)
        .flags(READ)
        .docs("4.0.0", "Estimates the memory usage of a key."),
    SubcommandSpec::new("DOCTOR", Exactly(2), Place::Connection)
        .docs("4.0.0", "Outputs a memory problems report."),
    SubcommandSpec::new("MALLOC-STATS", Exactly(2), Place::Connection)
        .docs("4.0.0", "Returns the allocator statistics."),
    SubcommandSpec::new("PURGE", Exactly(2), Place::Connection)
        .docs("4.0.0", "Asks the allocator to release memory."),
    SubcommandSpec::new("STATS", Exactly(2), Place::Connection)
        .docs("4.0.0", "Returns details about memory usage."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("4.0.0", "Returns helpful text about the different subcommands."),
];
