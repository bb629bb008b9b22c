//! Running a command on a shard.

use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, ReplyWriter};
use carousel_protocol::{SlotId, key_slot};

use super::effect::EffectSink;
use super::error::CommandError;
use super::tables::{KeyAt, Tables};
use super::{bitfield, bitmap, key, keyspace, lcs, scan, string};
use crate::Now;
use crate::store::EntryRef;

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
    /// Whether commands on all keys (SCAN, KEYS, DBSIZE, FLUSHALL) see a slot of this shard: whether this node
    /// serves it.
    pub owned: &'a dyn Fn(SlotId) -> bool,
}

/// What a handler returns: it has written its reply, or done nothing at all.
pub(super) type Outcome = Result<(), CommandError>;

impl Exec<'_> {
    /// The first key of a command, argument 1, and where it is.
    #[inline]
    pub(super) fn first_key<'v>(&self, argv: Argv<'v>) -> (KeyAt, &'v [u8]) {
        let key = argv.get(1);
        (self.tables.key_at(self.slot, key), key)
    }

    /// A key of a command by its index, and where it is. It need not share the first one's slot.
    pub(super) fn key_of_any_slot<'v>(&self, argv: Argv<'v>, index: usize) -> (KeyAt, &'v [u8]) {
        let key = argv.get(index);
        (self.tables.key_at(key_slot(key), key), key)
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
        let mut places = [KeyAt { slot: self.slot, hash: 0 }; AHEAD];
        let mut first = 1;
        while first < argv.len() {
            let indices = (first..argv.len()).step_by(step).take(AHEAD);
            let mut count = 0;
            for index in indices.clone() {
                let key = argv.get(index);
                places[count] = self.tables.key_at(key_slot(key), key);
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

    /// As [`Self::read`] for a command on strings.
    ///
    /// # Errors
    /// The key holds something else.
    #[inline]
    pub(super) fn read_string(
        &mut self,
        at: KeyAt,
        key: &[u8],
    ) -> Result<Option<EntryRef<'_>>, CommandError> {
        Ok(self.read(at, key))
    }

    /// As [`Self::find`] for a command on strings.
    ///
    /// # Errors
    /// The key holds something else.
    #[inline]
    pub(super) fn find_string(
        &mut self,
        at: KeyAt,
        key: &[u8],
    ) -> Result<Option<EntryRef<'_>>, CommandError> {
        Ok(self.find(at, key))
    }

    /// Replies with a key's value, or null; returns whether it is there.
    #[inline]
    pub(super) fn reply_value(&mut self, at: KeyAt, key: &[u8]) -> bool {
        match self.tables.read(at, key, self.now.unix_ms, self.effects) {
            Some(entry) => {
                self.reply.bulk(entry.value());
                true
            }
            None => {
                self.reply.null();
                false
            }
        }
    }

    /// Sets a key; see [`Tables::set`].
    #[inline]
    pub(super) fn set(&mut self, at: KeyAt, key: &[u8], value: &[u8], expire_at_ms: Option<u64>) {
        self.tables.set(at, key, value, expire_at_ms, self.effects);
    }
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
    if let Err(error) = dispatch(spec, exec, argv) {
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
        CommandId::Object => key::object(exec, argv),
        CommandId::Scan => scan::scan(exec, argv),
        CommandId::Keys => keyspace::keys(exec, argv),
        CommandId::DbSize => keyspace::dbsize(exec),
        CommandId::FlushAll | CommandId::FlushDb => keyspace::flush(exec, argv),
        CommandId::RandomKey => keyspace::random_key(exec),
        CommandId::Cluster => keyspace::cluster(exec, argv),
        CommandId::Ping
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
        | CommandId::Shutdown
        | CommandId::Carousel => unreachable!("{} does not run on a shard", spec.name),
    }
}

/// An integer argument.
pub(super) fn integer(text: &[u8]) -> Result<i64, CommandError> {
    parse_i64(text).ok_or(CommandError::NotAnInteger)
}
