//! Commands on hashes.

use carousel_protocol::resp::Argv;
use carousel_protocol::resp::Version;
use carousel_protocol::resp::number::{Decimal, parse_i64};

use super::effect::{Effect, ItemsBuf};
use super::error::CommandError;
use super::exec::{Exec, Outcome, integer, view};
use super::long_double::LongDouble;
use super::pick::{PickCount, at_indices, pick_indices};
use super::scan::{self, ScanOptions, parse_scan_cursor};
use crate::store::{HashRef, Item};

/// `HSET key field value [field value ...]`
pub(super) fn hset(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let added = set_pairs(exec, argv, "HSET")?;
    exec.reply.integer(added as i64);
    Ok(())
}

/// `HMSET key field value [field value ...]`
pub(super) fn hmset(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    set_pairs(exec, argv, "HMSET")?;
    exec.reply.ok();
    Ok(())
}

/// Sets the fields and returns how many are new.
fn set_pairs(exec: &mut Exec<'_>, argv: Argv<'_>, command: &str) -> Result<usize, CommandError> {
    if !argv.len().is_multiple_of(2) {
        return Err(CommandError::WrongArity { command: command.into() });
    }
    let (at, key) = exec.first_key(argv);
    exec.find_as::<HashRef<'_>>(at, key)?;
    let pairs: ItemsBuf = argv.iter().skip(2).collect();
    Ok(exec.change(at, Effect::HashSet { key, pairs: pairs.items() }))
}

/// `HSETNX key field value`
pub(super) fn hsetnx(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (field, hasher) = (argv.get(2), *exec.tables.hasher());
    let held = exec.find_as::<HashRef<'_>>(at, key)?;
    let is_new = held.is_none_or(|hash| hash.get(&hasher, field).is_none());
    if is_new {
        set_one(exec, argv, field, argv.get(3));
    }
    exec.reply.integer(is_new.into());
    Ok(())
}

/// Sets one field of the first key.
fn set_one(exec: &mut Exec<'_>, argv: Argv<'_>, field: &[u8], value: &[u8]) {
    let (at, key) = exec.first_key(argv);
    let pairs = ItemsBuf::from_iter([field, value]);
    exec.change(at, Effect::HashSet { key, pairs: pairs.items() });
}

/// `HGET key field`
pub(super) fn hget(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held: Option<HashRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    match held.and_then(|hash| hash.get(&hasher, argv.get(2))) {
        Some(value) => exec.reply.bulk(value.as_bytes()),
        None => exec.reply.null(),
    }
    Ok(())
}

/// `HMGET key field [field ...]`
pub(super) fn hmget(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held: Option<HashRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    exec.reply.array(argv.len() - 2);
    for field in argv.iter().skip(2) {
        match held.and_then(|hash| hash.get(&hasher, field)) {
            Some(value) => exec.reply.bulk(value.as_bytes()),
            None => exec.reply.null(),
        }
    }
    Ok(())
}

/// What of each field HGETALL, HKEYS and HVALS reply with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Both,
    Field,
    Value,
}

/// `HGETALL key`
pub(super) fn hgetall(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    all(exec, argv, Part::Both)
}

/// `HKEYS key`
pub(super) fn hkeys(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    all(exec, argv, Part::Field)
}

/// `HVALS key`
pub(super) fn hvals(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    all(exec, argv, Part::Value)
}

fn all(exec: &mut Exec<'_>, argv: Argv<'_>, part: Part) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let held: Option<HashRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let len = held.map_or(0, |hash| hash.len());
    if part == Part::Both {
        exec.reply.map(len)
    } else {
        exec.reply.array(len)
    }
    for (field, value) in held.iter().flat_map(HashRef::iter) {
        if part != Part::Value {
            exec.reply.bulk(field.as_bytes());
        }
        if part != Part::Field {
            exec.reply.bulk(value.as_bytes());
        }
    }
    Ok(())
}

/// `HDEL key field [field ...]`
pub(super) fn hdel(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let Some(hash) = exec.find_as::<HashRef<'_>>(at, key)? else {
        exec.reply.integer(0);
        return Ok(());
    };
    let held = argv.iter().skip(2).filter(|field| hash.get(&hasher, field).is_some());
    let fields: ItemsBuf = held.collect();
    let removed = if fields.is_empty() {
        0
    } else {
        exec.change(at, Effect::HashRemove { key, fields: fields.items() })
    };
    exec.reply.integer(removed as i64);
    Ok(())
}

/// `HLEN key`
pub(super) fn hlen(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let len = exec.read_as::<HashRef<'_>>(at, key)?.map_or(0, |hash| hash.len());
    exec.reply.integer(len as i64);
    Ok(())
}

/// `HSTRLEN key field`
pub(super) fn hstrlen(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held = exec.read_as::<HashRef<'_>>(at, key)?;
    let len = held.and_then(|hash| hash.get(&hasher, argv.get(2))).map_or(0, |value| value.len());
    exec.reply.integer(len as i64);
    Ok(())
}

/// `HEXISTS key field`
pub(super) fn hexists(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held = exec.read_as::<HashRef<'_>>(at, key)?;
    let is_there = held.is_some_and(|hash| hash.get(&hasher, argv.get(2)).is_some());
    exec.reply.integer(is_there.into());
    Ok(())
}

/// `HINCRBY key field increment`
pub(super) fn hincrby(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let increment = integer(argv.get(3))?;
    let (at, key) = exec.first_key(argv);
    let (field, hasher) = (argv.get(2), *exec.tables.hasher());
    let held = exec.find_as::<HashRef<'_>>(at, key)?.and_then(|hash| hash.get(&hasher, field));
    let old = match held {
        Some(Item::Integer(value, _)) => value,
        Some(text) => parse_i64(text.as_bytes()).ok_or(CommandError::HashValueNotAnInteger)?,
        None => 0,
    };
    let new = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    set_one(exec, argv, field, &Decimal::new(new));
    exec.reply.integer(new);
    Ok(())
}

/// `HINCRBYFLOAT key field increment`
pub(super) fn hincrbyfloat(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let increment = LongDouble::parse(argv.get(3)).ok_or(CommandError::NotAFloat)?;
    if !increment.is_finite() {
        return Err(CommandError::IncrementNotFinite);
    }
    let (at, key) = exec.first_key(argv);
    let (field, hasher) = (argv.get(2), *exec.tables.hasher());
    let held = exec.find_as::<HashRef<'_>>(at, key)?.and_then(|hash| hash.get(&hasher, field));
    let old = match held {
        Some(text) => LongDouble::parse(text.as_bytes()).ok_or(CommandError::HashValueNotAFloat)?,
        None => LongDouble::ZERO,
    };
    let text = old.add(increment).to_text().ok_or(CommandError::NotFinite)?;
    set_one(exec, argv, field, text.as_bytes());
    exec.reply.bulk(text.as_bytes());
    Ok(())
}

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(super) fn hrandfield(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    if argv.len() == 2 {
        let dice = exec.tables.roll();
        let held: Option<HashRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
        match held {
            Some(hash) => exec.reply.bulk(hash.random(dice).0.as_bytes()),
            None => exec.reply.null(),
        }
        return Ok(());
    }
    let count = PickCount::parse(argv.get(2))?;
    let with_values = match argv.len() {
        3 => false,
        4 if argv.get(3).eq_ignore_ascii_case(b"WITHVALUES") => true,
        _ => return Err(CommandError::Syntax),
    };
    if with_values {
        count.check_pairs()?;
    }
    let mut dice = exec.tables.dice();
    let held: Option<HashRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let Some(hash) = held else {
        exec.reply.array(0);
        return Ok(());
    };
    let replied = count.len_of(hash.len());
    let in_pairs = with_values && exec.reply.version == Version::Resp3;
    exec.reply.array(if with_values && !in_pairs { 2 * replied } else { replied });
    let reply = &mut exec.reply;
    let mut write = |(field, value): (Item<'_>, Item<'_>)| {
        if in_pairs {
            reply.array(2);
        }
        reply.bulk(field.as_bytes());
        if with_values {
            reply.bulk(value.as_bytes());
        }
    };
    match count {
        PickCount::Distinct(count) => {
            let indices = pick_indices(count, hash.len(), &mut dice);
            at_indices(hash.iter(), &indices).for_each(&mut write);
        }
        PickCount::Repeated(count) => (0..count).for_each(|_| write(hash.random(dice.roll()))),
    }
    Ok(())
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn hscan(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let cursor = parse_scan_cursor(argv.get(2)).ok_or(CommandError::Cursor)?;
    let held: Option<HashRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let Some(hash) = held else {
        scan::reply_items(&mut exec.reply, 0, 0);
        return Ok(());
    };
    let options = ScanOptions::of_items(argv)?;
    let (next, mut found) = match hash {
        HashRef::Packed(_) => (0, hash.iter().collect::<Vec<_>>()),
        HashRef::Big(table) => scan::step(table, &hasher, cursor, &options, |entry| {
            (Item::Text(entry.key()), Item::Text(entry.bytes()))
        }),
    };
    found.retain(|(field, _)| options.wants(field.as_bytes()));
    scan::reply_items(&mut exec.reply, next, 2 * found.len());
    for (field, value) in found {
        exec.reply.bulk(field.as_bytes());
        exec.reply.bulk(value.as_bytes());
    }
    Ok(())
}
