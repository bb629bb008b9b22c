//! The commands as data: everything about a command that is not its execution.
//!
//! One row per command, in the file of its group. From these rows come the arity check,
//! the keys and with them the slot and shard, whether a write needs a quorum, and the replies of `COMMAND`.
//! The facts are those of Redis 7.2 where the command exists there.

mod bitmaps;
mod flags;
mod generic;
mod hashes;
mod lists;
mod lookup;
mod operators;
mod server;
mod sets;
mod sorted_sets;
mod strings;
#[cfg(test)]
mod tests;
mod transactions;

use std::iter::{Chain, StepBy};
use std::ops::Range;

use crate::resp::Argv;
use crate::resp::number::parse_i64;
pub use flags::Flags;
pub use lookup::lookup;

/// How many arguments a command takes, its name included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// No more and no fewer.
    Exactly(u8),
    /// So many or more.
    AtLeast(u8),
}

impl Arity {
    /// Whether a request of `argc` arguments, the name included, fits.
    #[inline]
    pub const fn fits(self, argc: usize) -> bool {
        match self {
            Self::Exactly(count) => argc == count as usize,
            Self::AtLeast(count) => argc >= count as usize,
        }
    }

    /// As `COMMAND` shows it: negative for "or more".
    pub const fn signed(self) -> i64 {
        match self {
            Self::Exactly(count) => count as i64,
            Self::AtLeast(count) => -(count as i64),
        }
    }
}

/// Which arguments are keys: every `step`th one from `first` to `last`, and as many as another argument counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keys {
    /// Index of the first key in the arguments, the command name being 0; 0 where there are no keys.
    pub first: i8,
    /// Index of the last one; negative counts from the end, -1 being the last argument.
    pub last: i8,
    /// Distance of two keys.
    pub step: u8,
    /// Index of an argument that says how many keys follow it, as in `ZUNION 2 a b`; 0 where there is none. If the first
    /// of those is [`Self::first`], there are no others.
    pub count_at: u8,
    /// Index of the first option, where one of them, `STORE`, has a key behind it, as in `SORT list ALPHA STORE sorted`;
    /// 0 where there is none.
    pub options_at: u8,
}

impl Keys {
    /// Whether what follows each key is there as well: `MSET key value key` lacks a value.
    const fn groups_are_whole(self, argc: usize) -> bool {
        (argc - self.first as usize).is_multiple_of(self.step as usize)
    }

    /// No keys.
    pub const NONE: Self = Self { first: 0, last: 0, step: 0, count_at: 0, options_at: 0 };
    /// The first argument after the name.
    pub const FIRST: Self = Self { first: 1, last: 1, step: 1, count_at: 0, options_at: 0 };
    /// The second argument after the name, as in `OBJECT ENCODING key`.
    pub const SECOND: Self = Self { first: 2, last: 2, step: 1, count_at: 0, options_at: 0 };
    /// All arguments after the name but the first: `BITOP AND destination key`.
    pub const ALL_FROM_SECOND: Self = Self { first: 2, last: -1, step: 1, count_at: 0, options_at: 0 };
    /// All arguments after the name.
    pub const ALL: Self = Self { first: 1, last: -1, step: 1, count_at: 0, options_at: 0 };
    /// Every other argument: `MSET key value key value`.
    pub const PAIRS: Self = Self { first: 1, last: -1, step: 2, count_at: 0, options_at: 0 };
    /// All arguments after the name but the last: `BLPOP key key timeout`.
    pub const ALL_BUT_LAST: Self = Self { first: 1, last: -2, step: 1, count_at: 0, options_at: 0 };
    /// The first two arguments after the name: `LMOVE source destination`.
    pub const FIRST_TWO: Self = Self { first: 1, last: 2, step: 1, count_at: 0, options_at: 0 };
    /// A destination, then a count and so many keys: `ZUNIONSTORE destination 2 a b`.
    pub const FIRST_AND_COUNTED: Self = Self { first: 1, last: 1, step: 1, count_at: 2, options_at: 0 };

    /// The first argument after the name, and the key that the option `STORE` names.
    pub const FIRST_AND_STORED: Self = Self { first: 1, last: 1, step: 1, count_at: 0, options_at: 2 };

    /// As many as the argument of that index says, which stands before them.
    pub const fn counted(count_at: u8) -> Self {
        Self { first: count_at as i8 + 1, last: count_at as i8 + 1, step: 1, count_at, options_at: 0 }
    }

    /// Whether every key is counted by an argument.
    pub const fn are_all_counted(self) -> bool {
        self.count_at > 0 && self.first == self.count_at as i8 + 1
    }

    /// Whether there is exactly one in every request.
    #[inline]
    pub const fn is_one(self) -> bool {
        self.first == self.last && !self.are_movable()
    }

    /// Whether it takes a look into the arguments to know all keys.
    pub const fn are_movable(self) -> bool {
        self.count_at > 0 || self.options_at > 0
    }

    /// The indices of the keys in a request of `argc` arguments, of which `argument` gives those that tell.
    #[inline]
    pub fn indices<'a>(
        self,
        argc: usize,
        argument: impl Fn(usize) -> &'a [u8],
    ) -> Chain<StepBy<Range<usize>>, Range<usize>> {
        let count_at = usize::from(self.count_at);
        let counted = if count_at > 0 && count_at < argc {
            let count = parse_i64(argument(count_at)).and_then(|count| usize::try_from(count).ok());
            // A count of more than there are is a mistake, which the handler finds: nothing there is known to be a key.
            let count = count.filter(|count| *count < argc - count_at).unwrap_or(0);
            count_at + 1..count_at + 1 + count
        } else if self.options_at > 0 {
            stored_key(self.options_at.into(), argc, argument).map_or(0..0, |index| index..index + 1)
        } else {
            0..0
        };
        let of_place = if self.are_all_counted() { Self::NONE } else { self };
        of_place.indices_of_place(argc).chain(counted)
    }

    #[inline]
    fn indices_of_place(self, argc: usize) -> StepBy<Range<usize>> {
        let last = if self.last < 0 { argc as isize + self.last as isize } else { self.last as isize };
        let end = if self.first > 0 { (last + 1).clamp(0, argc as isize) as usize } else { 0 };
        (self.first.max(0) as usize..end).step_by(self.step.max(1) as usize)
    }
}

/// The index of the key behind the last `STORE` among the options of SORT, some of which have arguments of their own.
fn stored_key<'a>(options_at: usize, argc: usize, argument: impl Fn(usize) -> &'a [u8]) -> Option<usize> {
    const ARGUMENTS: [(&[u8], usize); 4] = [(b"LIMIT", 2), (b"GET", 1), (b"BY", 1), (b"STORE", 1)];
    let mut found = None;
    let mut at = options_at;
    while at < argc {
        let option = argument(at);
        if option.eq_ignore_ascii_case(b"STORE") && at + 1 < argc {
            found = Some(at + 1);
        }
        let taken = ARGUMENTS.iter().find(|(name, _)| option.eq_ignore_ascii_case(name));
        at += 1 + taken.map_or(0, |(_, arguments)| *arguments);
    }
    found
}

/// Where a command executes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On the connection's own thread: it needs only the connection and the node's published facts.
    Connection,
    /// On the shard that owns its key or keys.
    Key,
    /// On the shard named by a slot argument or a SCAN cursor.
    Slot,
    /// On every shard; the answers are merged.
    AllShards,
    /// On the node's control thread, which answers later.
    Control,
    /// On the shard that owns its keys, as soon as one of them has what it asks for.
    Blocking,
    /// In the connection's loop: it is about the requests before and after it.
    Transaction,
}

/// How the answers of several shards become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merge {
    /// There is only ever one: keys on several shards are refused.
    None,
    /// The sum of integers (DEL, EXISTS, DBSIZE).
    Sum,
    /// `+OK` when all said so (MSET, FLUSHALL).
    Ok,
    /// An array with one element per key, in the order of the keys (MGET).
    PerKey,
    /// The arrays' elements, one after the other (KEYS).
    Concat,
    /// Any one that is not null, or null (RANDOMKEY).
    Any,
}

macro_rules! command_ids {
    ($($name:ident)*) => {
        /// Names a command, for `match` and as an index: the position of its row in [`all`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "each is documented by the summary of its row")]
        pub enum CommandId { $($name),* }

        /// How many commands there are.
        pub const COMMAND_COUNT: usize = [$(CommandId::$name),*].len();
    };
}

command_ids! {
    Get Set MGet MSet MSetNx SetNx SetEx PSetEx GetSet GetDel GetEx SetRange GetRange Substr Append StrLen
    Incr Decr IncrBy DecrBy IncrByFloat Lcs
    LPush RPush LPushX RPushX LPop RPop LLen LRange LIndex LSet LInsert LRem LTrim LPos LMove RPopLPush LMPop
    BLPop BRPop BLMove BRPopLPush BLMPop
    SetBit GetBit BitCount BitPos BitOp BitField BitFieldRo
    Del Unlink Exists Type Expire PExpire ExpireAt PExpireAt Ttl PTtl ExpireTime PExpireTime Persist
    Scan Keys DbSize FlushAll FlushDb Touch RandomKey Object Memory
    Sort SortRo
    Copy Rename RenameNx Dump Restore Move SwapDb
    HSet HSetNx HMSet HGet HMGet HGetAll HDel HLen HStrLen HExists HKeys HVals HIncrBy HIncrByFloat HRandField HScan
    SAdd SRem SIsMember SMIsMember SCard SMembers SPop SRandMember SMove SInter SInterCard SInterStore SUnion SUnionStore SDiff SDiffStore SScan
    ZAdd ZRem ZScore ZMScore ZIncrBy ZCard ZCount ZLexCount ZRange ZRangeStore ZRangeByScore ZRevRangeByScore ZRangeByLex ZRevRangeByLex ZRevRange ZRank
    ZRevRank ZRemRangeByRank ZRemRangeByScore ZRemRangeByLex ZPopMin ZPopMax ZMPop ZRandMember ZScan
    ZUnion ZInter ZDiff ZUnionStore ZInterStore ZDiffStore ZInterCard
    BZPopMin BZPopMax BZMPop
    Multi Exec Discard Watch Unwatch
    Ping Echo Quit Reset Hello Auth Select Client Command Config Info Time
    ReadOnly ReadWrite Asking Cluster Save BgSave BgRewriteAof LastSave Shutdown Carousel
    Monitor SlowLog Latency Debug LolWut Role ReplicaOf SlaveOf Failover Wait WaitAof Acl
}

impl CommandId {
    /// The command's position in [`all`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The command's row.
    #[inline]
    pub fn spec(self) -> &'static CommandSpec {
        &TABLE[self as usize]
    }
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Names it in code.
    pub id: CommandId,
    /// Names it in requests, in upper case.
    pub name: &'static str,
    /// Arguments it takes.
    pub arity: Arity,
    /// Which of them are keys.
    pub keys: Keys,
    /// What it does and when it is allowed.
    pub flags: Flags,
    /// Where it executes; see [`Self::place_for`].
    pub place: Place,
    /// How several shards' answers become one.
    pub merge: Merge,
    /// Its chapter in the documentation: `string`, `generic`, ...
    pub group: &'static str,
    /// The version of Redis that had it first; of Carousel for its own.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its subcommands; empty where the second argument is none.
    pub subcommands: &'static [SubcommandSpec],
}

impl CommandSpec {
    /// Whether a request of `argc` arguments, the name included, has enough, not too many, and a value for each key.
    #[inline]
    pub const fn arity_ok(&self, argc: usize) -> bool {
        self.arity.fits(argc) && (self.keys.step < 2 || self.keys.groups_are_whole(argc))
    }

    /// The indices of the keys in a request.
    #[inline]
    pub fn key_indices(&self, argv: Argv<'_>) -> Chain<StepBy<Range<usize>>, Range<usize>> {
        self.keys.indices(argv.len(), |index| argv.get(index))
    }

    /// The subcommand of that name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static SubcommandSpec> {
        self.subcommands.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Where this request executes: where its subcommand says, if it has a known one.
    #[inline]
    pub fn place_for(&self, argv: Argv<'_>) -> Place {
        if self.subcommands.is_empty() || argv.len() < 2 {
            return self.place;
        }
        self.subcommand(argv.get(1)).map_or(self.place, |sub| sub.place)
    }

    /// What this request does and when it is allowed: as its subcommand says, if it has a known one.
    #[inline]
    pub fn flags_for(&self, argv: Argv<'_>) -> Flags {
        if self.subcommands.is_empty() || argv.len() < 2 {
            return self.flags;
        }
        self.subcommand(argv.get(1)).map_or(self.flags, |sub| sub.flags)
    }

    /// The categories that `COMMAND` and ACLs show, such as `@read`.
    pub fn acl_categories(&self) -> impl Iterator<Item = &'static str> {
        let others: &[_] = match self.id {
            CommandId::Sort | CommandId::SortRo => &["@set", "@sortedset", "@list"],
            _ => &[],
        };
        self.flags.acl_categories().chain(self.subject()).chain(others.iter().copied())
    }

    /// The category of what it is about, as opposed to what it does.
    fn subject(&self) -> Option<&'static str> {
        match (self.id, self.group) {
            // Containers leave it to their subcommands, as in Redis.
            _ if self.is_container() => None,
            (CommandId::DbSize | CommandId::FlushAll | CommandId::FlushDb | CommandId::SwapDb, _) => {
                Some("@keyspace")
            }
            (CommandId::Command | CommandId::ReadOnly, _) => Some("@connection"),
            (CommandId::ReadWrite | CommandId::Asking, _) => Some("@connection"),
            (CommandId::Sort | CommandId::SortRo, _) => None,
            (_, "string") => Some("@string"),
            (_, "list") => Some("@list"),
            (_, "hash") => Some("@hash"),
            (_, "set") => Some("@set"),
            (_, "sorted-set") => Some("@sortedset"),
            (_, "bitmap") => Some("@bitmap"),
            (_, "generic") => Some("@keyspace"),
            (_, "transactions") => Some("@transaction"),
            (_, "connection") => Some("@connection"),
            _ => None,
        }
    }

    /// Whether it does nothing without a subcommand.
    pub const fn is_container(&self) -> bool {
        !self.subcommands.is_empty() && !self.arity.fits(1)
    }

    const fn new(id: CommandId, name: &'static str, arity: Arity, keys: Keys, place: Place) -> Self {
        Self {
            id,
            name,
            arity,
            keys,
            flags: Flags::NONE,
            place,
            merge: Merge::None,
            group: "",
            since: "",
            summary: "",
            subcommands: &[],
        }
    }

    const fn flags(mut self, flags: &[Flags]) -> Self {
        self.flags = Flags::all_of(flags);
        self
    }

    const fn merge(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }

    const fn docs(mut self, group: &'static str, since: &'static str, summary: &'static str) -> Self {
        (self.group, self.since, self.summary) = (group, since, summary);
        self
    }

    const fn subcommands(mut self, subcommands: &'static [SubcommandSpec]) -> Self {
        self.subcommands = subcommands;
        self
    }
}

/// One subcommand, such as `CLIENT SETNAME`.
#[derive(Clone, Copy, Debug)]
pub struct SubcommandSpec {
    /// Its own name, in upper case.
    pub name: &'static str,
    /// Arguments it takes, both names included.
    pub arity: Arity,
    /// Which of them are keys, counted from the command's name.
    pub keys: Keys,
    /// What it does and when it is allowed.
    pub flags: Flags,
    /// Where it executes.
    pub place: Place,
    /// The version of Redis that had it first; of Carousel for its own.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
}

impl SubcommandSpec {
    const fn new(name: &'static str, arity: Arity, place: Place) -> Self {
        Self { name, arity, keys: Keys::NONE, flags: Flags::NONE, place, since: "", summary: "" }
    }

    const fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    const fn flags(mut self, flags: &[Flags]) -> Self {
        self.flags = Flags::all_of(flags);
        self
    }

    const fn docs(mut self, since: &'static str, summary: &'static str) -> Self {
        (self.since, self.summary) = (since, summary);
        self
    }
}

/// All commands, in the order of [`CommandId`].
pub fn all() -> &'static [CommandSpec] {
    &TABLE
}

static TABLE: [CommandSpec; COMMAND_COUNT] = table();

/// The rows of all files; that they are in the order of [`CommandId`] is checked when this is compiled.
const fn table() -> [CommandSpec; COMMAND_COUNT] {
    let files = [
        strings::ROWS,
        lists::ROWS,
        bitmaps::ROWS,
        generic::ROWS,
        hashes::ROWS,
        sets::ROWS,
        sorted_sets::ROWS,
        transactions::ROWS,
        server::ROWS,
        operators::ROWS,
    ];
    let mut table = [strings::ROWS[0]; COMMAND_COUNT];
    let (mut file, mut count) = (0, 0);
    while file < files.len() {
        let mut row = 0;
        while row < files[file].len() {
            assert!(files[file][row].id as usize == count, "rows are in the order of CommandId");
            table[count] = files[file][row];
            row += 1;
            count += 1;
        }
        file += 1;
    }
    assert!(count == COMMAND_COUNT, "every CommandId has a row");
    table
}
