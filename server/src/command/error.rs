//! What commands refuse to do, in Redis' words.

/// Why a command was not executed. Its text is the error reply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// The key holds a value of another type than the command is for.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
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
    /// How long to block.
    #[error("ERR timeout is not a float or out of range")]
    TimeoutNotAFloat,
    /// How long to block.
    #[error("ERR timeout is negative")]
    NegativeTimeout,
    /// How long to block.
    #[error("ERR timeout is out of range")]
    TimeoutRange,
    /// What HINCRBY would count with.
    #[error("ERR hash value is not an integer")]
    HashValueNotAnInteger,
    /// What HINCRBYFLOAT would count with.
    #[error("ERR hash value is not a float")]
    HashValueNotAFloat,
    /// An increment that no sum can be made with.
    #[error("ERR value is NaN or Infinity")]
    IncrementNotFinite,
    /// The log has no room for what the command would change.
    #[error("{text}")]
    NoRoom {
        /// Of the reply.
        text: &'static str,
    },
    /// A count that cannot be negated.
    #[error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")]
    CountRange,
    /// A count beyond what a count may be.
    #[error("ERR value is out of range")]
    OutOfRange,
    /// A negative count.
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    /// The number of keys of SINTERCARD and its like.
    #[error("ERR numkeys should be greater than 0")]
    KeyCount,
    /// More keys announced than given.
    #[error("ERR Number of keys can't be greater than number of args")]
    TooFewKeys,
    /// ZADD with both.
    #[error("ERR XX and NX options at the same time are not compatible")]
    NxWithXx,
    /// ZADD with two of them.
    #[error("ERR GT, LT, and/or NX options at the same time are not compatible")]
    GtLtNx,
    /// ZADD INCR of several members.
    #[error("ERR INCR option supports a single increment-element pair")]
    IncrementPairs,
    /// The sum of infinities of both signs.
    #[error("ERR resulting score is not a number (NaN)")]
    ScoreNotANumber,
    /// The ends of a range of scores.
    #[error("ERR min or max is not a float")]
    ScoreRange,
    /// The ends of a range of members.
    #[error("ERR min or max not valid string range item")]
    LexRange,
    /// ZRANGE of ranks with LIMIT.
    #[error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")]
    LimitOfRanks,
    /// ZRANGE of members with their scores.
    #[error("ERR syntax error, WITHSCORES not supported in combination with BYLEX")]
    ScoresOfLex,
    /// ZMPOP of no members.
    #[error("ERR count should be greater than 0")]
    PopCount,
    /// The weight of a key of ZUNION and its like.
    #[error("ERR weight value is not a float")]
    Weight,
    /// ZUNION and its like of no keys.
    #[error("ERR at least 1 input key is needed for '{command}' command")]
    NoInputKey {
        /// The command's name.
        command: &'static str,
    },
    /// SINTERCARD's.
    #[error("ERR LIMIT can't be negative")]
    NegativeLimit,
    /// The source of RENAME, or the list of LSET.
    #[error("ERR no such key")]
    NoSuchKey,
    /// RESTORE of a key that is there.
    #[error("BUSYKEY Target key name already exists.")]
    BusyKey,
    /// DUMP of what no RESTORE could take.
    #[error("ERR the payload would have more than {max} bytes")]
    PayloadTooLong {
        /// The most.
        max: usize,
    },
    /// A database that there is not.
    #[error("ERR DB index is out of range")]
    Database,
    /// A number of a database that has no 32 bits.
    #[error("ERR value is out of range, value must between -2147483648 and 2147483647")]
    IntegerRange,
    /// An argument of SWAPDB that is no number.
    #[error("ERR invalid {which} DB index")]
    SwapIndex {
        /// Which argument.
        which: &'static str,
    },
    /// SWAPDB where other nodes hold a part of either database.
    #[error("ERR SWAPDB is not allowed in cluster mode")]
    SwapInCluster,
    /// OBJECT FREQ where nobody counts.
    #[error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
         between policies at runtime LRU and LFU data will take some time to adjust."
    )]
    FrequencyNotTracked,
    /// OBJECT IDLETIME where uses are counted instead.
    #[error(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies \
         at runtime LRU and LFU data will take some time to adjust."
    )]
    IdleTimeUnderLfu,
    /// OBJECT IDLETIME where nothing is kept.
    #[error(
        "ERR An LRU maxmemory policy is not selected, idle time not tracked. It takes memory for each key: set \
         maxmemory-policy to allkeys-lru or volatile-lru, with or without maxmemory."
    )]
    IdleTimeNotTracked,
    /// COPY onto itself.
    #[error("ERR source and destination objects are the same")]
    SameObject,
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
    /// An index beyond either end.
    #[error("ERR index out of range")]
    Index,
    /// An integer argument for which Redis has words of its own.
    #[error("ERR {0}")]
    Argument(&'static str),
    /// Something to sort that is no number.
    #[error("ERR One or more scores can't be converted into double")]
    Score,
    /// A change to a collection that no record could hold.
    #[error("ERR the result of this command is too long for one record: at most {max} bytes")]
    ResultTooLong {
        /// The most.
        max: usize,
    },
    /// SORT that would look for keys that other nodes may have.
    #[error(
        "ERR {option} option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots."
    )]
    SortBeyondSlot {
        /// `BY` or `GET`.
        option: &'static str,
    },
    /// SORT that would look for a key that another shard has.
    #[error(
        "ERR {option} option of SORT denied as keys formed by the pattern belong to several shards of this node; use a hash tag"
    )]
    SortBeyondShard {
        /// `BY` or `GET`.
        option: &'static str,
    },
}

impl CommandError {
    /// For a subcommand that the command does not have.
    pub fn unknown_subcommand(command: &'static str, subcommand: &[u8]) -> Self {
        let shown = &subcommand[..subcommand.len().min(128)];
        Self::UnknownSubcommand { command, subcommand: String::from_utf8_lossy(shown).into_owned() }
    }
}
