//! What commands refuse to do, in Redis' words.

/// Why a command was not executed. Its text is the error reply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// Options that do not exist, exclude each other or lack their value.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument, or the value to count with.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// An argument, or the value to count with.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// Not in the future where it must be, or beyond what a time can be.
    #[error("ERR invalid expire time in '{}' command", .command.to_ascii_lowercase())]
    ExpireTime {
        /// The command's name.
        command: &'static str,
    },
    /// Arity that depends on more than the count, such as pairs.
    #[error("ERR wrong number of arguments for '{}' command", .command.to_ascii_lowercase())]
    WrongArity {
        /// The command's name, or `command|subcommand`.
        command: String,
    },
    /// The sum has more than 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// The decrement cannot be negated.
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    /// The sum is too large for a floating point number.
    #[error("ERR increment would produce NaN or Infinity")]
    NotFinite,
    /// A negative offset.
    #[error("ERR offset is out of range")]
    Offset,
    /// A value longer than a value may be.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    TooLong,
    /// Not the offset of a bit that a value can have.
    #[error("ERR bit offset is not an integer or out of range")]
    BitOffset,
    /// SETBIT to something else than 0 or 1.
    #[error("ERR bit is not an integer or out of range")]
    Bit,
    /// BITPOS of something else than 0 or 1.
    #[error("ERR The bit argument must be 1 or 0.")]
    BitArgument,
    /// BITOP NOT of several keys.
    #[error("ERR BITOP NOT must be called with a single source key.")]
    BitOpNot,
    /// A type of BITFIELD that does not exist.
    #[error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
    )]
    BitFieldType,
    /// A way of BITFIELD to overflow that does not exist.
    #[error("ERR Invalid OVERFLOW type specified")]
    OverflowType,
    /// A BITFIELD_RO that would write.
    #[error("ERR BITFIELD_RO only supports the GET subcommand")]
    BitFieldReadOnly,
    /// LCS of what are not strings.
    #[error("ERR The specified keys must contain string values")]
    LcsNotStrings,
    /// LCS with two answers at once.
    #[error("ERR If you want both the length and indexes, please just use IDX.")]
    LcsLenAndIdx,
    /// LCS of strings whose lengths, multiplied, are too much.
    #[error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]
    LcsTooLarge,
    /// Not a cursor that SCAN gave.
    #[error("ERR invalid cursor")]
    Cursor,
    /// An option of EXPIRE that does not exist.
    #[error("ERR Unsupported option {option}")]
    UnsupportedOption {
        /// As the client wrote it.
        option: String,
    },
    /// EXPIRE with NX and another condition.
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    NxWithOthers,
    /// EXPIRE with both.
    #[error("ERR GT and LT options at the same time are not compatible")]
    GtWithLt,
    /// A subcommand that does not exist.
    #[error("ERR unknown subcommand '{subcommand}'. Try {command} HELP.")]
    UnknownSubcommand {
        /// The command's name.
        command: &'static str,
        /// As the client wrote it, cut to 128 bytes.
        subcommand: String,
    },
    /// A number that is no slot's.
    #[error("ERR Invalid slot")]
    Slot,
    /// A number that is no slot's, or a negative count.
    #[error("ERR Invalid slot or number of keys")]
    SlotOrCount,
}

impl CommandError {
    /// For a subcommand that the command does not have.
    pub fn unknown_subcommand(command: &'static str, subcommand: &[u8]) -> Self {
        let shown = &subcommand[..subcommand.len().min(128)];
        Self::UnknownSubcommand { command, subcommand: String::from_utf8_lossy(shown).into_owned() }
    }
}
