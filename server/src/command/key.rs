//! Commands on keys of any type.

use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::Argv;
use carousel_protocol::{Database, key_slot};

use super::access::Tracking;
use super::effect::EffectIter;
use super::effects_of::effects_as;
use super::error::CommandError;
use super::exec::{Exec, Outcome, integer};
use super::expiry::{Base, Unit, any_time};
use super::session::{OBJECT_HELP, help};
use super::string;
use crate::store::{HashRef, ListRef, SetRef, SortedSetRef, Value};

pub(super) fn del(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let mut removed = 0;
    exec.each_key(argv, 1, |exec, at, key, _| {
        if exec.find(at, key).is_some() {
            exec.tables.remove(at, key, exec.effects);
            removed += 1;
        }
    });
    exec.reply.integer(removed);
    Ok(())
}

pub(super) fn exists(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let mut found = 0;
    exec.each_key(argv, 1, |exec, at, key, _| found += i64::from(exec.read(at, key).is_some()));
    exec.reply.integer(found);
    Ok(())
}

pub(super) fn type_of(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let name = exec.read(at, key).map_or("none", |entry| entry.value().type_of().name());
    exec.reply.simple(name);
    Ok(())
}

/// The conditions of EXPIRE. `XX` and one of `GT` and `LT` may come together.
#[derive(Default)]
struct Conditions {
    is_nx: bool,
    is_xx: bool,
    is_gt: bool,
    is_lt: bool,
}

impl Conditions {
    fn parse(argv: Argv<'_>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for index in 3..argv.len() {
            let option = argv.get(index);
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            match () {
                () if is("NX") => conditions.is_nx = true,
                () if is("XX") => conditions.is_xx = true,
                () if is("GT") => conditions.is_gt = true,
                () if is("LT") => conditions.is_lt = true,
                () => {
                    let option = String::from_utf8_lossy(option).into_owned();
                    return Err(CommandError::UnsupportedOption { option });
                }
            }
        }
        if conditions.is_nx && (conditions.is_xx || conditions.is_gt || conditions.is_lt) {
            return Err(CommandError::NxWithOthers);
        }
        if conditions.is_gt && conditions.is_lt {
            return Err(CommandError::GtWithLt);
        }
        Ok(conditions)
    }

    /// Whether `new_ms` may replace the old expiry; none counts as infinitely late. Both are Unix ms.
    fn allow(&self, old_ms: Option<u64>, new_ms: i64) -> bool {
        let is_later = old_ms.is_some_and(|old| i128::from(new_ms) > i128::from(old));
        let is_earlier = old_ms.is_none_or(|old| i128::from(new_ms) < i128::from(old));
        (!self.is_nx || old_ms.is_none())
            && (!self.is_xx || old_ms.is_some())
            && (!self.is_gt || is_later)
            && (!self.is_lt || is_earlier)
    }
}

/// `EXPIRE key s`, `PEXPIRE key ms`, `EXPIREAT key unix-s`, `PEXPIREAT key unix-ms`, then `[NX | XX | GT | LT]`
pub(super) fn expire(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let unit = match spec.id {
        CommandId::Expire | CommandId::ExpireAt => Unit::Seconds,
        _ => Unit::Milliseconds,
    };
    let base = match spec.id {
        CommandId::Expire | CommandId::PExpire => Base::Now,
        _ => Base::Epoch,
    };
    let (at, key) = exec.first_key(argv);
    let conditions = Conditions::parse(argv)?;
    let now_ms = exec.now.unix_ms;
    let new_ms = any_time(spec.name, unit, base, integer(argv.get(2))?, now_ms)?;
    let old_ms = exec.find(at, key).map(|entry| entry.expire_at_ms());
    let is_allowed = old_ms.is_some_and(|old_ms| conditions.allow(old_ms, new_ms));
    if is_allowed {
        match u64::try_from(new_ms) {
            Ok(ms) if ms > now_ms => exec.tables.set_expire(at, key, Some(ms), exec.effects),
            // In the past already.
            _ => {
                exec.tables.remove(at, key, exec.effects);
            }
        }
    }
    exec.reply.integer(is_allowed.into());
    Ok(())
}

/// `TTL`, `PTTL`: what is left; `EXPIRETIME`, `PEXPIRETIME`: when. -1 for a key without expiry, -2 for none.
pub(super) fn ttl(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let now_ms = exec.now.unix_ms;
    let reply = match exec.read(at, key).map(|entry| entry.expire_at_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => {
            let ms = match spec.id {
                CommandId::Ttl | CommandId::PTtl => at_ms.saturating_sub(now_ms),
                _ => at_ms,
            };
            let count = match spec.id {
                CommandId::Ttl | CommandId::ExpireTime => ms.saturating_add(500) / 1000,
                _ => ms,
            };
            i64::try_from(count).unwrap_or(i64::MAX)
        }
    };
    exec.reply.integer(reply);
    Ok(())
}

pub(super) fn persist(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let is_volatile = exec.find(at, key).is_some_and(|entry| entry.is_volatile());
    if is_volatile {
        exec.tables.set_expire(at, key, None, exec.effects);
    }
    exec.reply.integer(is_volatile.into());
    Ok(())
}

/// `COPY source destination [DB number] [REPLACE]`
pub(super) fn copy(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (mut replaces, mut database, mut next) = (false, exec.database, 3);
    while next < argv.len() {
        let is = |name: &str| argv.get(next).eq_ignore_ascii_case(name.as_bytes());
        if is("REPLACE") {
            replaces = true;
        } else if is("DB") && next + 1 < argv.len() {
            next += 1;
            database = exec.database_of(argv.get(next))?;
        } else {
            return Err(CommandError::Syntax);
        }
        next += 1;
    }
    let (source, destination) = (argv.get(1), argv.get(2));
    if source == destination && database == exec.database {
        return Err(CommandError::SameObject);
    }
    let taken = if replaces { Taken::Replace } else { Taken::Refuse };
    let is_done = match put_under(exec, source, (database, destination), taken) {
        Err(CommandError::NoSuchKey) => false,
        done => done?,
    };
    exec.reply.integer(is_done.into());
    Ok(())
}

/// `RENAME key newkey`
pub(super) fn rename(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    move_key(exec, argv, Taken::Replace)?;
    exec.reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`
pub(super) fn renamenx(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let is_done = move_key(exec, argv, Taken::Refuse)?;
    exec.reply.integer(is_done.into());
    Ok(())
}

/// What becomes of a key whose name is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It gives way.
    Replace,
    /// It stays, and nothing is done.
    Refuse,
}

/// Gives a key another name; returns whether it was done.
fn move_key(exec: &mut Exec<'_>, argv: Argv<'_>, taken: Taken) -> Result<bool, CommandError> {
    let (at, source) = exec.first_key(argv);
    let destination = argv.get(2);
    if source == destination {
        exec.find(at, source).ok_or(CommandError::NoSuchKey)?;
        return Ok(taken == Taken::Replace);
    }
    let is_done = put_under(exec, source, (exec.database, destination), taken)?;
    if is_done {
        exec.tables.remove(at, source, exec.effects);
    }
    Ok(is_done)
}

/// `MOVE key database`
pub(super) fn move_to(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let database = exec.database_of(argv.get(2))?;
    if database == exec.database {
        return Err(CommandError::SameObject);
    }
    let is_done = match put_under(exec, key, (database, key), Taken::Refuse) {
        Err(CommandError::NoSuchKey) => false,
        done => done?,
    };
    if is_done {
        exec.tables.remove(at, key, exec.effects);
    }
    exec.reply.integer(is_done.into());
    Ok(())
}

/// Puts a copy of a key under another name, or into another database; returns whether it was done.
fn put_under(
    exec: &mut Exec<'_>,
    source: &[u8],
    (database, destination): (Database, &[u8]),
    taken: Taken,
) -> Result<bool, CommandError> {
    /// Items of a big collection go in pieces of about so many bytes.
    const PIECE_BYTES: usize = 64 * 1024;
    let at = exec.at(source);
    let to = exec.tables.key_at(key_slot(destination), database, destination);
    let mut copied = Vec::new();
    let hasher = *exec.tables.hasher();
    let entry = exec.find(at, source).ok_or(CommandError::NoSuchKey)?;
    effects_as(entry, destination, &hasher, PIECE_BYTES, &mut |effect| effect.encode(&mut copied));
    let is_taken = exec.find(to, destination).is_some();
    if is_taken && taken == Taken::Refuse {
        return Ok(false);
    }
    exec.room.reserve(copied.len())?;
    if is_taken {
        exec.tables.remove(to, destination, exec.effects);
    }
    for effect in EffectIter::new(&copied) {
        let (_, effect) = effect.expect("just encoded");
        exec.change(to, effect);
    }
    Ok(true)
}

/// `OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key`, `OBJECT HELP`
pub(super) fn object(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let subcommand = argv.get(1);
    let is = |name: &str| subcommand.eq_ignore_ascii_case(name.as_bytes());
    if let Some(name) = ["ENCODING", "FREQ", "IDLETIME", "REFCOUNT"].into_iter().find(|name| is(name)) {
        if argv.len() != 3 {
            let command = format!("object|{}", name.to_ascii_lowercase());
            return Err(CommandError::WrongArity { command });
        }
        let key = argv.get(2);
        let at = exec.at(key);
        let Some(entry) = exec.tables.read(at, key, exec.now.unix_ms, exec.effects) else {
            exec.reply.null();
            return Ok(());
        };
        if name == "ENCODING" {
            exec.reply.bulk(encoding(entry.value()).as_bytes());
            return Ok(());
        }
        let (idle_s, frequency) = exec.tables.use_of(at, key).expect("just seen");
        let value = match (name, exec.tables.tracking()) {
            ("FREQ", Tracking::Frequency { .. }) => i64::from(frequency),
            ("FREQ", Tracking::Off | Tracking::Recency) => return Err(CommandError::FrequencyNotTracked),
            ("IDLETIME", Tracking::Recency) => idle_s as i64,
            ("IDLETIME", Tracking::Frequency { .. }) => return Err(CommandError::IdleTimeUnderLfu),
            ("IDLETIME", Tracking::Off) => return Err(CommandError::IdleTimeNotTracked),
            // Nothing is ever shared.
            _ => 1,
        };
        exec.reply.integer(value);
        return Ok(());
    }
    if is("HELP") && argv.len() == 2 {
        help(&mut exec.reply, OBJECT_HELP);
        return Ok(());
    }
    Err(CommandError::unknown_subcommand("OBJECT", subcommand))
}

/// How Redis would hold the value: what `OBJECT ENCODING` says.
pub(super) fn encoding(value: Value<'_>) -> &'static str {
    match value {
        Value::String(text) => string::encoding(text),
        Value::List(ListRef::Packed(_))
        | Value::Hash(HashRef::Packed(_))
        | Value::Set(SetRef::Packed(_))
        | Value::SortedSet(SortedSetRef::Packed(_)) => "listpack",
        Value::List(ListRef::Big(_)) => "quicklist",
        Value::Hash(HashRef::Big(_)) | Value::Set(SetRef::Big(_)) => "hashtable",
        Value::Set(SetRef::Integers(_)) => "intset",
        Value::SortedSet(SortedSetRef::Big(_)) => "skiplist",
    }
}
