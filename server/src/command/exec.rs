//! Running a command on a shard.

use std::ops::Range;

use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, ReplyWriter};
use carousel_protocol::{Database, SlotId, key_slot};

use super::effect::{Effect, EffectSink};
use super::error::CommandError;
use super::list::{self, End, Missing};
use super::tables::{KeyAt, Tables};
use super::{
    bitfield, bitmap, blocking, debug, dump, hash, key, keyspace, lcs, memory, scan, set, sort, sorted_set,
    string,
};
use crate::store::{EntryRef, View};
use crate::{Now, limits};

/// All that a command may touch.
pub struct Exec<'a> {
    /// The time that the command happens at.
    pub now: Now,
    /// The shard's keys.
    pub tables: &'a mut Tables,
    /// Takes what the command changes.
    pub effects: &'a mut EffectSink,
    /// Takes the reply.
    pub reply: ReplyWriter<'a>,
    /// The slot of the first key, or the slot that the command names.
    pub slot: SlotId,
    /// The database that the connection has selected.
    pub database: Database,
    /// How many databases there are.
    pub database_count: u16,
    /// Whether commands on all keys (SCAN, KEYS, DBSIZE, FLUSHALL) see a slot of this shard: whether this node
    /// serves it.
    pub owned: &'a dyn Fn(SlotId) -> bool,
    /// Takes room in the log.
    pub room: LogRoom<'a>,
    /// Whether the node is in no cluster, so that a command may look at keys that it does not name (SORT's patterns).
    pub is_alone: bool,
}

/// What a handler returns: it has written its reply, or changed nothing. (What it has written of a reply until then is
/// taken back.)
pub(super) type Outcome = Result<(), CommandError>;

impl Exec<'_> {
    /// The first key of a command, argument 1, and where it is.
    #[inline]
    pub(super) fn first_key<'v>(&self, argv: Argv<'v>) -> (KeyAt, &'v [u8]) {
        let key = argv.get(1);
        (self.tables.key_at(self.slot, self.database, key), key)
    }

    /// Where a key is, in the selected database.
    pub(super) fn at(&self, key: &[u8]) -> KeyAt {
        self.tables.key_at(key_slot(key), self.database, key)
    }

    /// The database that an argument names.
    ///
    /// # Errors
    /// It is no number, or none that there is.
    pub(super) fn database_of(&self, text: &[u8]) -> Result<Database, CommandError> {
        database_of(text, self.database_count)
    }

    /// A key of a command by its index, and where it is. It need not share the first one's slot.
    pub(super) fn key_of_any_slot<'v>(&self, argv: Argv<'v>, index: usize) -> (KeyAt, &'v [u8]) {
        let key = argv.get(index);
        (self.at(key), key)
    }

    /// Calls `run` with each key of a command, its place and its index: every `step`th argument from the first on.
    ///
    /// The keys need not share a slot. What they need is loaded together, some keys ahead.
    pub(super) fn each_key<'v>(
        &mut self,
        argv: Argv<'v>,
        step: usize,
        mut run: impl FnMut(&mut Self, KeyAt, &'v [u8], usize),
    ) {
        const AHEAD: usize = 16;
        let mut places = [KeyAt { slot: self.slot, database: self.database, hash: 0 }; AHEAD];
        let mut first = 1;
        while first < argv.len() {
            let indices = (first..argv.len()).step_by(step).take(AHEAD);
            let mut count = 0;
            for index in indices.clone() {
                let key = argv.get(index);
                places[count] = self.at(key);
                count += 1;
            }
            if count > 1 {
                self.tables.prefetch(&places[..count]);
            }
            for (place, index) in places[..count].iter().zip(indices) {
                run(self, *place, argv.get(index), index);
            }
            first += count * step;
        }
    }

    /// The entry of a key to read; see [`Tables::read`].
    #[inline]
    pub(super) fn read(&mut self, at: KeyAt, key: &[u8]) -> Option<EntryRef<'_>> {
        self.tables.read(at, key, self.now.unix_ms, self.effects)
    }

    /// The entry of a key to write; see [`Tables::find`].
    #[inline]
    pub(super) fn find(&mut self, at: KeyAt, key: &[u8]) -> Option<EntryRef<'_>> {
        self.tables.find(at, key, self.now.unix_ms, self.effects)
    }

    /// The value of a key to read, as a kind of value; see [`Tables::read`].
    ///
    /// # Errors
    /// The key holds something else.
    #[inline]
    pub(super) fn read_as<'t, V: View<'t>>(
        &'t mut self,
        at: KeyAt,
        key: &[u8],
    ) -> Result<Option<V>, CommandError> {
        view(self.tables.read(at, key, self.now.unix_ms, self.effects))
    }

    /// The value of a key to write, as a kind of value; see [`Tables::find`].
    ///
    /// # Errors
    /// The key holds something else.
    #[inline]
    pub(super) fn find_as<'t, V: View<'t>>(
        &'t mut self,
        at: KeyAt,
        key: &[u8],
    ) -> Result<Option<V>, CommandError> {
        view(self.tables.find(at, key, self.now.unix_ms, self.effects))
    }

    /// As [`Self::find`] for a command on strings that wants the entry and not only its value.
    ///
    /// # Errors
    /// The key holds something else.
    #[inline]
    pub(super) fn find_string(
        &mut self,
        at: KeyAt,
        key: &[u8],
    ) -> Result<Option<EntryRef<'_>>, CommandError> {
        match self.tables.find(at, key, self.now.unix_ms, self.effects) {
            Some(entry) if entry.string().is_none() => Err(CommandError::WrongType),
            entry => Ok(entry),
        }
    }

    /// Replies with a key's string, or null; returns whether it is there.
    ///
    /// # Errors
    /// The key holds something else; then nothing was written.
    #[inline]
    pub(super) fn reply_value(&mut self, at: KeyAt, key: &[u8]) -> Result<bool, CommandError> {
        match self.tables.read(at, key, self.now.unix_ms, self.effects) {
            Some(entry) => {
                self.reply.bulk(entry.string().ok_or(CommandError::WrongType)?);
                Ok(true)
            }
            None => {
                self.reply.null();
                Ok(false)
            }
        }
    }

    /// Changes a key's collection; see [`Tables::change`].
    pub(super) fn change(&mut self, at: KeyAt, effect: Effect<'_>) -> usize {
        self.tables.change(at, &effect, self.effects)
    }

    /// Sets a key; see [`Tables::set`].
    #[inline]
    pub(super) fn set(&mut self, at: KeyAt, key: &[u8], value: &[u8], expire_at_ms: Option<u64>) {
        self.tables.set(at, key, value, expire_at_ms, self.effects);
    }
}

/// The value of an entry as a kind of value.
///
/// # Errors
/// It is of another kind.
#[inline]
pub(super) fn view<'t, V: View<'t>>(entry: Option<EntryRef<'t>>) -> Result<Option<V>, CommandError> {
    entry.map(|entry| V::of(entry.value()).ok_or(CommandError::WrongType)).transpose()
}

/// Runs a command whose place is a key, a slot or all shards, and writes exactly one reply.
///
/// The arity has been checked, and all its keys are of this shard (on a lone node they may be of several
/// slots). A key whose time has passed is removed on the way, with an effect, also by a command that reads.
///
/// # Panics
/// For a command that does not run on a shard.
#[inline]
pub fn execute(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) {
    let start = exec.reply.out.len();
    if let Err(error) = dispatch(spec, exec, argv) {
        exec.reply.out.truncate(start);
        exec.reply.error(&error.to_string());
    }
}

#[inline]
fn dispatch(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    match spec.id {
        CommandId::Get => string::get(exec, argv),
        CommandId::Set => string::set(exec, argv),
        CommandId::MGet => string::mget(exec, argv),
        CommandId::MSet => string::mset(exec, argv),
        CommandId::MSetNx => string::msetnx(exec, argv),
        CommandId::SetNx => string::setnx(exec, argv),
        CommandId::SetEx => string::setex(exec, argv),
        CommandId::PSetEx => string::psetex(exec, argv),
        CommandId::GetSet => string::getset(exec, argv),
        CommandId::GetDel => string::getdel(exec, argv),
        CommandId::GetEx => string::getex(exec, argv),
        CommandId::SetRange => string::setrange(exec, argv),
        CommandId::GetRange | CommandId::Substr => string::getrange(exec, argv),
        CommandId::Append => string::append(exec, argv),
        CommandId::StrLen => string::strlen(exec, argv),
        CommandId::Incr => string::incr(exec, argv),
        CommandId::Decr => string::decr(exec, argv),
        CommandId::IncrBy => string::incrby(exec, argv),
        CommandId::DecrBy => string::decrby(exec, argv),
        CommandId::IncrByFloat => string::incrbyfloat(exec, argv),
        _ => dispatch_others(spec, exec, argv),
    }
}

/// All commands but those on strings: apart, so that the code around those stays small.
#[inline(never)]
fn dispatch_others(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    match spec.id {
        CommandId::Lcs => lcs::lcs(exec, argv),
        CommandId::SetBit => bitmap::setbit(exec, argv),
        CommandId::GetBit => bitmap::getbit(exec, argv),
        CommandId::BitCount => bitmap::bitcount(exec, argv),
        CommandId::BitPos => bitmap::bitpos(exec, argv),
        CommandId::BitOp => bitmap::bitop(exec, argv),
        CommandId::BitField => bitfield::bitfield(exec, argv),
        CommandId::BitFieldRo => bitfield::bitfield_ro(exec, argv),
        CommandId::Del | CommandId::Unlink => key::del(exec, argv),
        CommandId::Exists | CommandId::Touch => key::exists(exec, argv),
        CommandId::Type => key::type_of(exec, argv),
        CommandId::Expire | CommandId::PExpire | CommandId::ExpireAt | CommandId::PExpireAt => {
            key::expire(spec, exec, argv)
        }
        CommandId::Ttl | CommandId::PTtl | CommandId::ExpireTime | CommandId::PExpireTime => {
            key::ttl(spec, exec, argv)
        }
        CommandId::Persist => key::persist(exec, argv),
        CommandId::Memory => memory::usage(exec, argv),
        CommandId::Object => key::object(exec, argv),
        CommandId::Debug => debug::object(exec, argv),
        CommandId::Copy => key::copy(exec, argv),
        CommandId::Rename => key::rename(exec, argv),
        CommandId::Move => key::move_to(exec, argv),
        CommandId::SwapDb => keyspace::swapdb(exec, argv),
        CommandId::RenameNx => key::renamenx(exec, argv),
        CommandId::Dump => dump::dump(exec, argv),
        CommandId::Restore => dump::restore(exec, argv),
        CommandId::Scan => scan::scan(exec, argv),
        CommandId::Keys => keyspace::keys(exec, argv),
        CommandId::DbSize => keyspace::dbsize(exec),
        CommandId::FlushAll | CommandId::FlushDb => keyspace::flush(spec, exec, argv),
        CommandId::RandomKey => keyspace::random_key(exec),
        CommandId::Cluster => keyspace::cluster(exec, argv),
        CommandId::LPush => list::push(exec, argv, End::Head, Missing::Created),
        CommandId::RPush => list::push(exec, argv, End::Tail, Missing::Created),
        CommandId::LPushX => list::push(exec, argv, End::Head, Missing::Left),
        CommandId::RPushX => list::push(exec, argv, End::Tail, Missing::Left),
        CommandId::LPop => list::pop(spec, exec, argv, End::Head),
        CommandId::RPop => list::pop(spec, exec, argv, End::Tail),
        CommandId::LLen => list::llen(exec, argv),
        CommandId::LRange => list::lrange(exec, argv),
        CommandId::LIndex => list::lindex(exec, argv),
        CommandId::LSet => list::lset(exec, argv),
        CommandId::LInsert => list::linsert(exec, argv),
        CommandId::LRem => list::lrem(exec, argv),
        CommandId::LTrim => list::ltrim(exec, argv),
        CommandId::LPos => list::lpos(exec, argv),
        CommandId::LMove => list::lmove(exec, argv),
        CommandId::RPopLPush => list::rpoplpush(exec, argv),
        CommandId::BLPop
        | CommandId::BRPop
        | CommandId::BLMove
        | CommandId::BRPopLPush
        | CommandId::BLMPop
        | CommandId::BZPopMin
        | CommandId::BZPopMax
        | CommandId::BZMPop => blocking::execute(spec, exec, argv),
        CommandId::LMPop => list::lmpop(exec, argv, 1),
        CommandId::Sort | CommandId::SortRo => sort::sort(spec, exec, argv),
        CommandId::HSet => hash::hset(exec, argv),
        CommandId::HSetNx => hash::hsetnx(exec, argv),
        CommandId::HMSet => hash::hmset(exec, argv),
        CommandId::HGet => hash::hget(exec, argv),
        CommandId::HMGet => hash::hmget(exec, argv),
        CommandId::HGetAll => hash::hgetall(exec, argv),
        CommandId::HDel => hash::hdel(exec, argv),
        CommandId::HLen => hash::hlen(exec, argv),
        CommandId::HStrLen => hash::hstrlen(exec, argv),
        CommandId::HExists => hash::hexists(exec, argv),
        CommandId::HKeys => hash::hkeys(exec, argv),
        CommandId::HVals => hash::hvals(exec, argv),
        CommandId::HIncrBy => hash::hincrby(exec, argv),
        CommandId::HIncrByFloat => hash::hincrbyfloat(exec, argv),
        CommandId::HRandField => hash::hrandfield(exec, argv),
        CommandId::HScan => hash::hscan(exec, argv),
        CommandId::SAdd => set::sadd(exec, argv),
        CommandId::SRem => set::srem(exec, argv),
        CommandId::SIsMember => set::sismember(exec, argv),
        CommandId::SMIsMember => set::smismember(exec, argv),
        CommandId::SCard => set::scard(exec, argv),
        CommandId::SMembers => set::smembers(exec, argv),
        CommandId::SPop => set::spop(exec, argv),
        CommandId::SRandMember => set::srandmember(exec, argv),
        CommandId::SMove => set::smove(exec, argv),
        CommandId::SInter => set::sinter(exec, argv),
        CommandId::SInterCard => set::sintercard(exec, argv),
        CommandId::SInterStore => set::sinterstore(exec, argv),
        CommandId::SUnion => set::sunion(exec, argv),
        CommandId::SUnionStore => set::sunionstore(exec, argv),
        CommandId::SDiff => set::sdiff(exec, argv),
        CommandId::SDiffStore => set::sdiffstore(exec, argv),
        CommandId::SScan => set::sscan(exec, argv),
        CommandId::ZAdd => sorted_set::zadd(exec, argv),
        CommandId::ZRem => sorted_set::zrem(exec, argv),
        CommandId::ZScore => sorted_set::zscore(exec, argv),
        CommandId::ZMScore => sorted_set::zmscore(exec, argv),
        CommandId::ZIncrBy => sorted_set::zincrby(exec, argv),
        CommandId::ZCard => sorted_set::zcard(exec, argv),
        CommandId::ZCount => sorted_set::zcount(exec, argv),
        CommandId::ZLexCount => sorted_set::zlexcount(exec, argv),
        CommandId::ZRange => sorted_set::zrange(exec, argv),
        CommandId::ZRangeStore => sorted_set::zrangestore(exec, argv),
        CommandId::ZRangeByScore => sorted_set::zrangebyscore(exec, argv),
        CommandId::ZRevRangeByScore => sorted_set::zrevrangebyscore(exec, argv),
        CommandId::ZRangeByLex => sorted_set::zrangebylex(exec, argv),
        CommandId::ZRevRangeByLex => sorted_set::zrevrangebylex(exec, argv),
        CommandId::ZRevRange => sorted_set::zrevrange(exec, argv),
        CommandId::ZRank => sorted_set::zrank(exec, argv),
        CommandId::ZRevRank => sorted_set::zrevrank(exec, argv),
        CommandId::ZRemRangeByRank => sorted_set::zremrangebyrank(exec, argv),
        CommandId::ZRemRangeByScore => sorted_set::zremrangebyscore(exec, argv),
        CommandId::ZRemRangeByLex => sorted_set::zremrangebylex(exec, argv),
        CommandId::ZPopMin => sorted_set::zpopmin(exec, argv),
        CommandId::ZPopMax => sorted_set::zpopmax(exec, argv),
        CommandId::ZMPop => sorted_set::zmpop(exec, argv, 1),
        CommandId::ZRandMember => sorted_set::zrandmember(exec, argv),
        CommandId::ZScan => sorted_set::zscan(exec, argv),
        CommandId::ZUnion => sorted_set::zunion(exec, argv),
        CommandId::ZInter => sorted_set::zinter(exec, argv),
        CommandId::ZDiff => sorted_set::zdiff(exec, argv),
        CommandId::ZUnionStore => sorted_set::zunionstore(exec, argv),
        CommandId::ZInterStore => sorted_set::zinterstore(exec, argv),
        CommandId::ZDiffStore => sorted_set::zdiffstore(exec, argv),
        CommandId::ZInterCard => sorted_set::zintercard(exec, argv),
        CommandId::Multi
        | CommandId::Exec
        | CommandId::Discard
        | CommandId::Watch
        | CommandId::Unwatch
        | CommandId::Ping
        | CommandId::Echo
        | CommandId::Quit
        | CommandId::Reset
        | CommandId::Hello
        | CommandId::Auth
        | CommandId::Select
        | CommandId::Client
        | CommandId::Command
        | CommandId::Config
        | CommandId::Info
        | CommandId::Time
        | CommandId::ReadOnly
        | CommandId::ReadWrite
        | CommandId::Asking
        | CommandId::Save
        | CommandId::BgSave
        | CommandId::BgRewriteAof
        | CommandId::LastSave
        | CommandId::Shutdown
        | CommandId::Carousel
        | CommandId::Monitor
        | CommandId::SlowLog
        | CommandId::Latency
        | CommandId::LolWut
        | CommandId::Role
        | CommandId::ReplicaOf
        | CommandId::SlaveOf
        | CommandId::Failover
        | CommandId::Wait
        | CommandId::WaitAof
        | CommandId::Acl => unreachable!("{} does not run on a shard", spec.name),
        CommandId::Get
        | CommandId::Set
        | CommandId::MGet
        | CommandId::MSet
        | CommandId::MSetNx
        | CommandId::SetNx
        | CommandId::SetEx
        | CommandId::PSetEx
        | CommandId::GetSet
        | CommandId::GetDel
        | CommandId::GetEx
        | CommandId::SetRange
        | CommandId::GetRange
        | CommandId::Substr
        | CommandId::Append
        | CommandId::StrLen
        | CommandId::Incr
        | CommandId::Decr
        | CommandId::IncrBy
        | CommandId::DecrBy
        | CommandId::IncrByFloat => unreachable!("dispatched before"),
    }
}

/// An integer argument of at least `min`; `words` is what Redis says of any other.
pub(super) fn integer_from(text: &[u8], min: i64, words: &'static str) -> Result<i64, CommandError> {
    parse_i64(text).filter(|value| *value >= min).ok_or(CommandError::Argument(words))
}

/// The indices from `start` to `end`, both included, of what has so many elements; negative ones count from its end.
pub(super) fn index_range(start: i64, end: i64, len: usize) -> Range<usize> {
    let len = i64::try_from(len).expect("a collection fits memory");
    let absolute = |index: i64| if index < 0 { len + index } else { index };
    let (start, end) = (absolute(start).max(0), absolute(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// An integer argument whose sign means a direction, so that it can be negated.
pub(super) fn signed_count(text: &[u8]) -> Result<i64, CommandError> {
    let count = integer(text)?;
    if count == i64::MIN { Err(CommandError::CountRange) } else { Ok(count) }
}

/// Room in the log for what a command changes.
#[derive(Clone, Copy)]
pub struct LogRoom<'a>(&'a dyn Fn(usize) -> Result<(), &'static str>);

impl<'a> LogRoom<'a> {
    /// Room that `reserve` takes: so many bytes on top of what the command's arguments need, or the text of the error
    /// reply.
    pub fn new(reserve: &'a dyn Fn(usize) -> Result<(), &'static str>) -> Self {
        Self(reserve)
    }

    /// Takes room for so many bytes of effects that the arguments do not account for: for values that are copied, or items
    /// that the command itself names. To be called before anything is changed.
    ///
    /// # Errors
    /// There is no room, or no record would hold them.
    pub(super) fn reserve(self, bytes: usize) -> Result<(), CommandError> {
        let max = limits::WRITE_ARGUMENTS_BYTES_MAX;
        if bytes > max {
            return Err(CommandError::ResultTooLong { max });
        }
        (self.0)(bytes).map_err(|text| CommandError::NoRoom { text })
    }
}

/// The number of a database, in Redis' 32 bits.
///
/// # Errors
/// It is no such number.
pub(super) fn database_number(text: &[u8]) -> Result<i32, CommandError> {
    i32::try_from(integer(text)?).map_err(|_| CommandError::IntegerRange)
}

/// The database that an argument names, of so many.
///
/// # Errors
/// It is no number, or none that there is.
pub(super) fn database_of(text: &[u8], count: u16) -> Result<Database, CommandError> {
    let number = u16::try_from(database_number(text)?).ok().filter(|number| *number < count);
    number.and_then(Database::new).ok_or(CommandError::Database)
}

/// An integer argument.
pub(super) fn integer(text: &[u8]) -> Result<i64, CommandError> {
    parse_i64(text).ok_or(CommandError::NotAnInteger)
}
