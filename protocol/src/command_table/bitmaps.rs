//! The rows of the commands on the bits of strings.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place};

const READ: &[Flags] = &[Flags::READONLY];
const FAST_READ: &[Flags] = &[Flags::READONLY, Flags::FAST];
const GROWING: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::SetBit, "SETBIT", Exactly(4), Keys::FIRST, Place::Key).flags(GROWING).docs(
        "bitmap",
        "2.2.0",
        "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
    ),
    CommandSpec::new(CommandId::GetBit, "GETBIT", Exactly(3), Keys::FIRST, Place::Key).flags(FAST_READ).docs(
        "bitmap",
        "2.2.0",
        "Returns a bit value by offset.",
    ),
    CommandSpec::new(CommandId::BitCount, "BITCOUNT", AtLeast(2), Keys::FIRST, Place::Key).flags(READ).docs(
        "bitmap",
        "2.6.0",
        "Counts the number of set bits (population counting) in a string.",
    ),
    CommandSpec::new(CommandId::BitPos, "BITPOS", AtLeast(3), Keys::FIRST, Place::Key).flags(READ).docs(
        "bitmap",
        "2.8.7",
        "Finds the first set (1) or clear (0) bit in a string.",
    ),
    CommandSpec::new(CommandId::BitOp, "BITOP", AtLeast(4), Keys::ALL_FROM_SECOND, Place::Key)
        .flags(GROWING)
        .docs("bitmap", "2.6.0", "Performs bitwise operations on multiple strings, and stores the result."),
    CommandSpec::new(CommandId::BitField, "BITFIELD", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(GROWING)
        .docs("bitmap", "3.2.0", "Performs arbitrary bitfield integer operations on strings."),
    CommandSpec::new(CommandId::BitFieldRo, "BITFIELD_RO", AtLeast(2), Keys::FIRST, Place::Key)
        .flags(FAST_READ)
        .docs("bitmap", "6.0.0", "Performs arbitrary read-only bitfield integer operations on strings."),
];
