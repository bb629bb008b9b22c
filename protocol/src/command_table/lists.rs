//! The rows of the list commands.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place};

const READ: &[Flags] = &[Flags::READONLY];
const FAST_READ: &[Flags] = &[Flags::READONLY, Flags::FAST];
const WRITE: &[Flags] = &[Flags::WRITE];
const FAST_WRITE: &[Flags] = &[Flags::WRITE, Flags::FAST];
const GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];
const FAST_GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];
const BLOCKING: &[Flags] = &[Flags::WRITE, Flags::NOSCRIPT, Flags::BLOCKING];
const BLOCKING_GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::NOSCRIPT, Flags::BLOCKING];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::LPush, "LPUSH", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("list", "1.0.0", "Prepends one or more elements to a list. Creates the key if it doesn't exist."),
    CommandSpec::new(CommandId::RPush, "RPUSH", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("list", "1.0.0", "Appends one or more elements to a list. Creates the key if it doesn't exist."),
    CommandSpec::new(CommandId::LPushX, "LPUSHX", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("list", "2.2.0", "Prepends one or more elements to a list only when the list exists."),
    CommandSpec::new(CommandId::RPushX, "RPUSHX", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(FAST_GROWING)
        .docs("list", "2.2.0", "Appends an element to a list only when the list exists."),
    CommandSpec::new(CommandId::LPop, "LPOP", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("list", "1.0.0", "Returns the first elements in a list after removing it. Deletes the list if the last element was popped."),
    CommandSpec::new(CommandId::RPop, "RPOP", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(FAST_WRITE)
        .docs("list", "1.0.0", "Returns and removes the last elements of a list. Deletes the list if the last element was popped."),
    CommandSpec::new(CommandId::LLen, "LLEN", Exactly(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("list", "1.0.0", "Returns the length of a list."),
    CommandSpec::new(CommandId::LRange, "LRANGE", Exactly(4), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("list", "1.0.0", "Returns a range of elements from a list."),
    CommandSpec::new(CommandId::LIndex, "LINDEX", Exactly(3), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("list", "1.0.0", "Returns an element from a list by its index."),
    CommandSpec::new(CommandId::LSet, "LSET", Exactly(4), Keys::FIRST, Place::Key)
        .flags(GROWING)
        .docs("list", "1.0.0", "Sets the value of an element in a list by its index."),
    CommandSpec::new(CommandId::LInsert, "LINSERT", Exactly(5), Keys::FIRST, Place::Key)
        .flags(GROWING)
        .docs("list", "2.2.0", "Inserts an element before or after another element in a list."),
    CommandSpec::new(CommandId::LRem, "LREM", Exactly(4), Keys::FIRST, Place::Key)
        .flags(WRITE)
        .docs("list", "1.0.0", "Removes elements from a list. Deletes the list if the last element was removed."),
    CommandSpec::new(CommandId::LTrim, "LTRIM", Exactly(4), Keys::FIRST, Place::Key)
        .flags(WRITE)
        .docs("list", "1.0.0", "Removes elements from both ends a list. Deletes the list if all elements were trimmed."),
    CommandSpec::new(CommandId::LPos, "LPOS", AtLeast(3), Keys::FIRST, Place::Key)
        .flags(READ)
        .docs("list", "6.0.6", "Returns the index of matching elements in a list."),
    CommandSpec::new(CommandId::LMove, "LMOVE", Exactly(5), Keys::FIRST_TWO, Place::Key)
        .flags(GROWING)
        .docs("list", "6.2.0", "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved."),
    CommandSpec::new(CommandId::RPopLPush, "RPOPLPUSH", Exactly(3), Keys::FIRST_TWO, Place::Key)
        .flags(GROWING)
        .docs("list", "1.2.0", "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped."),
    CommandSpec::new(CommandId::LMPop, "LMPOP", AtLeast(4), Keys::counted(1), Place::Key)
        .flags(WRITE)
        .docs("list", "7.0.0", "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped."),
    CommandSpec::new(CommandId::BLPop, "BLPOP", AtLeast(3), Keys::ALL_BUT_LAST, Place::Blocking)
        .flags(BLOCKING)
        .docs("list", "2.0.0", "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped."),
    CommandSpec::new(CommandId::BRPop, "BRPOP", AtLeast(3), Keys::ALL_BUT_LAST, Place::Blocking)
        .flags(BLOCKING)
        .docs("list", "2.0.0", "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped."),
    CommandSpec::new(CommandId::BLMove, "BLMOVE", Exactly(6), Keys::FIRST_TWO, Place::Blocking)
        .flags(BLOCKING_GROWING)
        .docs("list", "6.2.0", "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the list if the last element was moved."),
    CommandSpec::new(CommandId::BRPopLPush, "BRPOPLPUSH", Exactly(4), Keys::FIRST_TWO, Place::Blocking)
        .flags(BLOCKING_GROWING)
        .docs("list", "2.2.0", "Pops an element from a list, pushes it to another list and returns it. Block until an element is available otherwise. Deletes the list if the last element was popped."),
    CommandSpec::new(CommandId::BLMPop, "BLMPOP", AtLeast(5), Keys::counted(2), Place::Blocking)
        .flags(&[Flags::WRITE, Flags::BLOCKING])
        .docs("list", "7.0.0", "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list if the last element was popped."),
];
