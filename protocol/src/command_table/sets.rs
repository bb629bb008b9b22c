//! The rows of the set commands.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place};

const GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];
const FAST_GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];
const FAST_READ: &[Flags] = &[Flags::READONLY, Flags::FAST];
const FAST_WRITE: &[Flags] = &[Flags::WRITE, Flags::FAST];
const READ: &[Flags] = &[Flags::READONLY];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::SAdd, "SADD", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("set", "1.0.0", "Adds one or more members to a set. Creates the key if it doesn't exist."),
    CommandSpec::new(CommandId::SRem, "SREM", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("set", "1.0.0", "Removes one or more members from a set. Deletes the set if the last member was removed."),
    CommandSpec::new(CommandId::SIsMember, "SISMEMBER", Exactly(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("set", "1.0.0", "Determines whether a member belongs to a set."),
    CommandSpec::new(CommandId::SMIsMember, "SMISMEMBER", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("set", "6.2.0", "Determines whether multiple members belong to a set."),
    CommandSpec::new(CommandId::SCard, "SCARD", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("set", "1.0.0", "Returns the number of members in a set."),
    CommandSpec::new(CommandId::SMembers, "SMEMBERS", Exactly(2), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("set", "1.0.0", "Returns all members of a set."),
    CommandSpec::new(CommandId::SPop, "SPOP", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("set", "1.0.0", "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped."),
    CommandSpec::new(CommandId::SRandMember, "SRANDMEMBER", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("set", "1.0.0", "Get one or multiple random members from a set."),
    CommandSpec::new(CommandId::SMove, "SMOVE", Exactly(4), Keys::FIRST_TWO, Place::Key)
        .flags(FAST_WRITE)
        .docs("set", "1.0.0", "Moves a member from one set to another."),
    CommandSpec::new(CommandId::SInter, "SINTER", AtLeast(2), Keys::ALL, Place::Key)
        .flags(READ)
        .docs("set", "1.0.0", "Returns the intersect of multiple sets."),
    CommandSpec::new(CommandId::SInterCard, "SINTERCARD", AtLeast(3), Keys::counted(1), Place::Key)
        .flags(READ)
        .docs("set", "7.0.0", "Returns the number of members of the intersect of multiple sets."),
    CommandSpec::new(CommandId::SInterStore, "SINTERSTORE", AtLeast(3), Keys::ALL, Place::Key)
        .flags(GROWING)
        .docs("set", "1.0.0", "Stores the intersect of multiple sets in a key."),
    CommandSpec::new(CommandId::SUnion, "SUNION", AtLeast(2), Keys::ALL, Place::Key)
        .flags(READ)
        .docs("set", "1.0.0", "Returns the union of multiple sets."),
    CommandSpec::new(CommandId::SUnionStore, "SUNIONSTORE", AtLeast(3), Keys::ALL, Place::Key)
        .flags(GROWING)
        .docs("set", "1.0.0", "Stores the union of multiple sets in a key."),
    CommandSpec::new(CommandId::SDiff, "SDIFF", AtLeast(2), Keys::ALL, Place::Key)
        .flags(READ)
        .docs("set", "1.0.0", "Returns the difference of multiple sets."),
    CommandSpec::new(CommandId::SDiffStore, "SDIFFSTORE", AtLeast(3), Keys::ALL, Place::Key)
        .flags(GROWING)
        .docs("set", "1.0.0", "Stores the difference of multiple sets in a key."),
    CommandSpec::new(CommandId::SScan, "SSCAN", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("set", "2.8.0", "Iterates over members of a set."),
];
