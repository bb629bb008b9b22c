//! Commands on sets.

use carousel_protocol::resp::Argv;

use super::effect::{Effect, ItemsBuf};
use super::error::CommandError;
use super::exec::{Exec, Outcome, integer, view};
use super::pick::{PickCount, at_indices, pick_indices};
use super::scan::{self, ScanOptions, parse_scan_cursor};
use super::tables::KeyAt;
use crate::store::{Item, KeyHasher, SetRef, Table};

/// `SADD key member [member ...]`
pub(super) fn sadd(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held = exec.find_as::<SetRef<'_>>(at, key)?;
    let is_new = |member: &&[u8]| held.is_none_or(|set| !set.contains(&hasher, member));
    let members: ItemsBuf = argv.iter().skip(2).filter(is_new).collect();
    let added = if members.is_empty() {
        0
    } else {
        exec.change(at, Effect::SetAdd { key, members: members.items() })
    };
    exec.reply.integer(added as i64);
    Ok(())
}

/// `SREM key member [member ...]`
pub(super) fn srem(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held = exec.find_as::<SetRef<'_>>(at, key)?;
    let is_there = |member: &&[u8]| held.is_some_and(|set| set.contains(&hasher, member));
    let members: ItemsBuf = argv.iter().skip(2).filter(is_there).collect();
    let removed = remove(exec, at, key, &members);
    exec.reply.integer(removed as i64);
    Ok(())
}

/// Removes members that are there, if any.
fn remove(exec: &mut Exec<'_>, at: KeyAt, key: &[u8], members: &ItemsBuf) -> usize {
    if members.is_empty() { 0 } else { exec.change(at, Effect::SetRemove { key, members: members.items() }) }
}

/// `SISMEMBER key member`
pub(super) fn sismember(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held = exec.read_as::<SetRef<'_>>(at, key)?;
    let is_member = held.is_some_and(|set| set.contains(&hasher, argv.get(2)));
    exec.reply.integer(is_member.into());
    Ok(())
}

/// `SMISMEMBER key member [member ...]`
pub(super) fn smismember(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held: Option<SetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    exec.reply.array(argv.len() - 2);
    for member in argv.iter().skip(2) {
        exec.reply.integer(held.is_some_and(|set| set.contains(&hasher, member)).into());
    }
    Ok(())
}

/// `SCARD key`
pub(super) fn scard(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let len = exec.read_as::<SetRef<'_>>(at, key)?.map_or(0, |set| set.len());
    exec.reply.integer(len as i64);
    Ok(())
}

/// `SMEMBERS key`
pub(super) fn smembers(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let held: Option<SetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    exec.reply.set(held.map_or(0, |set| set.len()));
    held.iter().flat_map(SetRef::iter).for_each(|member| exec.reply.bulk(member.as_bytes()));
    Ok(())
}

/// `SRANDMEMBER key [count]`
pub(super) fn srandmember(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let count = match argv.len() {
        2 => None,
        3 => Some(PickCount::parse(argv.get(2))?),
        _ => return Err(CommandError::Syntax),
    };
    let mut dice = exec.tables.dice();
    let held: Option<SetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    match (count, held) {
        (None, None) => exec.reply.null(),
        (None, Some(set)) => exec.reply.bulk(set.random(dice.roll()).as_bytes()),
        (Some(_), None) => exec.reply.array(0),
        (Some(count), Some(set)) => {
            exec.reply.array(count.len_of(set.len()));
            match count {
                PickCount::Distinct(count) => {
                    let indices = pick_indices(count, set.len(), &mut dice);
                    at_indices(set.iter(), &indices).for_each(|member| exec.reply.bulk(member.as_bytes()));
                }
                PickCount::Repeated(count) => {
                    (0..count).for_each(|_| exec.reply.bulk(set.random(dice.roll()).as_bytes()));
                }
            }
        }
    }
    Ok(())
}

/// `SPOP key [count]`
pub(super) fn spop(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let count = match argv.len() {
        2 => None,
        3 => {
            let count = integer(argv.get(2)).map_err(|_| CommandError::NotPositive)?;
            Some(usize::try_from(count).map_err(|_| CommandError::NotPositive)?)
        }
        _ => return Err(CommandError::Syntax),
    };
    let mut dice = exec.tables.dice();
    let held: Option<SetRef<'_>> = view(exec.tables.find(at, key, exec.now.unix_ms, exec.effects))?;
    let mut popped = ItemsBuf::new();
    match (count, held) {
        (None, None) => exec.reply.null(),
        (None, Some(set)) => {
            let member = set.random(dice.roll());
            exec.reply.bulk(member.as_bytes());
            popped.push(member.as_bytes());
            exec.room.reserve(popped.len_bytes())?;
        }
        (Some(_), None) => exec.reply.set(0),
        (Some(count), Some(set)) => {
            let indices = pick_indices(count, set.len(), &mut dice);
            at_indices(set.iter(), &indices).for_each(|member| popped.push(member.as_bytes()));
            let is_all = indices.len() == set.len();
            if !is_all {
                exec.room.reserve(popped.len_bytes())?;
            }
            exec.reply.set(indices.len());
            popped.items().iter().for_each(|member| exec.reply.bulk(member));
            if is_all {
                exec.tables.remove(at, key, exec.effects);
                return Ok(());
            }
        }
    }
    remove(exec, at, key, &popped);
    Ok(())
}

/// `SMOVE source destination member`
pub(super) fn smove(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, source) = exec.first_key(argv);
    let (to, destination) = exec.key_of_any_slot(argv, 2);
    let member = argv.get(3);
    let hasher = *exec.tables.hasher();
    let Some(set) = exec.find_as::<SetRef<'_>>(at, source)? else {
        exec.reply.integer(0);
        return Ok(());
    };
    let is_there = set.contains(&hasher, member);
    let has_already =
        exec.find_as::<SetRef<'_>>(to, destination)?.is_some_and(|set| set.contains(&hasher, member));
    if is_there && source != destination {
        let members = ItemsBuf::from_iter([member]);
        // First there, then gone here: a crash between the records of two slots loses nothing.
        if !has_already {
            exec.change(to, Effect::SetAdd { key: destination, members: members.items() });
        }
        remove(exec, at, source, &members);
    }
    exec.reply.integer(is_there.into());
    Ok(())
}

/// What SINTER, SUNION and SDIFF do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

/// `SINTER key [key ...]`
pub(super) fn sinter(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_combined(exec, argv, Operation::Intersection)
}

/// `SUNION key [key ...]`
pub(super) fn sunion(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_combined(exec, argv, Operation::Union)
}

/// `SDIFF key [key ...]`
pub(super) fn sdiff(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_combined(exec, argv, Operation::Difference)
}

/// `SINTERSTORE destination key [key ...]`
pub(super) fn sinterstore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    store_combined(exec, argv, Operation::Intersection)
}

/// `SUNIONSTORE destination key [key ...]`
pub(super) fn sunionstore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    store_combined(exec, argv, Operation::Union)
}

/// `SDIFFSTORE destination key [key ...]`
pub(super) fn sdiffstore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    store_combined(exec, argv, Operation::Difference)
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(super) fn sintercard(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let count =
        integer(argv.get(1)).ok().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(CommandError::KeyCount)?;
    if count > argv.len() - 2 {
        return Err(CommandError::TooFewKeys);
    }
    let mut limit = 0;
    let mut next = 2 + count;
    while next < argv.len() {
        if !argv.get(next).eq_ignore_ascii_case(b"LIMIT") || next + 1 == argv.len() {
            return Err(CommandError::Syntax);
        }
        let text = integer(argv.get(next + 1)).map_err(|_| CommandError::NegativeLimit)?;
        limit = usize::try_from(text).map_err(|_| CommandError::NegativeLimit)?;
        next += 2;
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let sets = sets(exec, argv.iter().skip(2).take(count))?;
    let hasher = *exec.tables.hasher();
    let mut len = 0;
    combine(exec, &sets, &hasher, Operation::Intersection, &mut |_| {
        len += 1;
        len < limit
    });
    exec.reply.integer(len as i64);
    Ok(())
}

/// A set's place and key.
type Place<'v> = (KeyAt, &'v [u8]);

/// The places of sets, each seen to be a set or missing.
fn sets<'v>(
    exec: &mut Exec<'_>,
    keys: impl Iterator<Item = &'v [u8]>,
) -> Result<Vec<Place<'v>>, CommandError> {
    let mut places = Vec::new();
    for key in keys {
        let at = exec.at(key);
        exec.read_as::<SetRef<'_>>(at, key)?;
        places.push((at, key));
    }
    Ok(places)
}

/// Gives `take` the members of what comes out, each once, until it returns false.
fn combine(
    exec: &Exec<'_>,
    places: &[Place<'_>],
    hasher: &KeyHasher,
    operation: Operation,
    take: &mut dyn FnMut(Item<'_>) -> bool,
) {
    let now_ms = exec.now.unix_ms;
    let held =
        |(at, key): &Place<'_>| view::<SetRef<'_>>(exec.tables.peek(*at, key, now_ms)).expect("seen before");
    let mut sets: Vec<Option<SetRef<'_>>> = places.iter().map(held).collect();
    match operation {
        Operation::Intersection => {
            // The fewer members to look for, the better.
            sets.sort_by_key(|set| set.map_or(0, |set| set.len()));
            let Some((Some(first), others)) = sets.split_first() else { return };
            let is_in = |set: &Option<SetRef<'_>>, member: &Item<'_>| {
                set.is_some_and(|set| set.contains(hasher, member.as_bytes()))
            };
            let mut common = first.iter().filter(|member| others.iter().all(|set| is_in(set, member)));
            while let Some(member) = common.next()
                && take(member)
            {}
        }
        Operation::Union => {
            let mut seen = Table::new();
            for member in sets.into_iter().flatten().flat_map(|set| set.iter()) {
                let hash = hasher.hash(member.as_bytes());
                let is_seen = seen.set(hasher, hash, member.as_bytes(), b"", None);
                if !is_seen && !take(member) {
                    return;
                }
            }
        }
        Operation::Difference => {
            let Some((Some(first), others)) = sets.split_first() else { return };
            let is_in_none = |member: &Item<'_>| {
                !others.iter().flatten().any(|set| set.contains(hasher, member.as_bytes()))
            };
            let mut left = first.iter().filter(is_in_none);
            while let Some(member) = left.next()
                && take(member)
            {}
        }
    }
}

/// The members that come out of the sets of those keys, and how many they are.
fn combined<'v>(
    exec: &mut Exec<'_>,
    keys: impl Iterator<Item = &'v [u8]>,
    operation: Operation,
) -> Result<(ItemsBuf, usize), CommandError> {
    let sets = sets(exec, keys)?;
    let hasher = *exec.tables.hasher();
    let (mut members, mut len) = (ItemsBuf::new(), 0);
    combine(exec, &sets, &hasher, operation, &mut |member| {
        members.push(member.as_bytes());
        len += 1;
        true
    });
    Ok((members, len))
}

fn reply_combined(exec: &mut Exec<'_>, argv: Argv<'_>, operation: Operation) -> Outcome {
    let (members, len) = combined(exec, argv.iter().skip(1), operation)?;
    exec.reply.set(len);
    members.items().iter().for_each(|member| exec.reply.bulk(member));
    Ok(())
}

fn store_combined(exec: &mut Exec<'_>, argv: Argv<'_>, operation: Operation) -> Outcome {
    let (at, destination) = exec.first_key(argv);
    let (members, len) = combined(exec, argv.iter().skip(2), operation)?;
    exec.room.reserve(members.len_bytes())?;
    if exec.find(at, destination).is_some() {
        exec.tables.remove(at, destination, exec.effects);
    }
    if !members.is_empty() {
        exec.change(at, Effect::SetAdd { key: destination, members: members.items() });
    }
    exec.reply.integer(len as i64);
    Ok(())
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn sscan(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let cursor = parse_scan_cursor(argv.get(2)).ok_or(CommandError::Cursor)?;
    let held: Option<SetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let Some(set) = held else {
        scan::reply_items(&mut exec.reply, 0, 0);
        return Ok(());
    };
    let options = ScanOptions::of_items(argv)?;
    let (next, mut found) = match set {
        SetRef::Integers(_) | SetRef::Packed(_) => (0, set.iter().collect::<Vec<_>>()),
        SetRef::Big(table) => scan::step(table, &hasher, cursor, &options, |entry| Item::Text(entry.key())),
    };
    found.retain(|member| options.wants(member.as_bytes()));
    scan::reply_items(&mut exec.reply, next, found.len());
    found.iter().for_each(|member| exec.reply.bulk(member.as_bytes()));
    Ok(())
}
