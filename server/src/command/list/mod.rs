//! Commands on lists.

mod moving;
mod search;

use std::ops::Range;

use carousel_protocol::command_table::CommandSpec;
use carousel_protocol::resp::{Argv, ReplyWriter};
pub(super) use moving::{LmPop, ends_of_move, lmove, lmpop, pop_first, rpoplpush};
pub(super) use search::{linsert, lpos, lrem};

use super::effect::{Effect, ItemsBuf};
use super::error::CommandError;
use super::exec::{Exec, Outcome, index_range, integer, integer_from, view};
use super::tables::KeyAt;
use crate::store::ListRef;

/// The side of a list that a command works on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `LEFT`
    Head,
    /// `RIGHT`
    Tail,
}

impl End {
    fn parse(text: &[u8]) -> Result<Self, CommandError> {
        match () {
            () if text.eq_ignore_ascii_case(b"LEFT") => Ok(Self::Head),
            () if text.eq_ignore_ascii_case(b"RIGHT") => Ok(Self::Tail),
            () => Err(CommandError::Syntax),
        }
    }
}

/// What becomes of a push to a key that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It begins as an empty list.
    Created,
    /// Nothing.
    Left,
}

/// `LPUSH`, `RPUSH`, `LPUSHX`, `RPUSHX`: `key element [element ...]`
pub(super) fn push(exec: &mut Exec<'_>, argv: Argv<'_>, end: End, missing: Missing) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let old_len = exec.find_as::<ListRef<'_>>(at, key)?.map(|list| list.len());
    if old_len.is_none() && missing == Missing::Left {
        exec.reply.integer(0);
        return Ok(());
    }
    let (old_len, count) = (old_len.unwrap_or(0), argv.len() - 2);
    let elements: ItemsBuf = match end {
        // One after the other, so the last one becomes the first.
        End::Head => (2..argv.len()).rev().map(|index| argv.get(index)).collect(),
        End::Tail => argv.skip(2).iter().collect(),
    };
    put(exec, at, key, end, old_len, &elements);
    exec.reply.integer((old_len + count) as i64);
    Ok(())
}

/// Puts elements at the end of a key's list, which has so many.
fn put(exec: &mut Exec<'_>, at: KeyAt, key: &[u8], end: End, len: usize, elements: &ItemsBuf) {
    let index = match end {
        End::Head => 0,
        End::Tail => len as u64,
    };
    exec.change(at, Effect::Splice { key, index, removed: 0, elements: elements.items() });
}

/// Removes a range of a key's list, which has so many elements: with all of them the key.
fn remove(exec: &mut Exec<'_>, at: KeyAt, key: &[u8], range: Range<usize>, len: usize) {
    if range.is_empty() {
        return;
    }
    if range.len() == len {
        exec.tables.remove(at, key, exec.effects);
        return;
    }
    let (index, removed) = (range.start as u64, range.len() as u64);
    exec.change(at, Effect::Splice { key, index, removed, elements: ItemsBuf::new().items() });
}

/// The places of `count` elements at an end of a list of that length.
fn range_at(end: End, count: usize, len: usize) -> Range<usize> {
    match end {
        End::Head => 0..count,
        End::Tail => len - count..len,
    }
}

/// Writes `count` elements of an end, the outermost first.
fn reply_end(reply: &mut ReplyWriter<'_>, list: ListRef<'_>, end: End, count: usize) {
    match end {
        End::Head => list.iter_from(0).take(count).for_each(|element| reply.bulk(element.as_bytes())),
        End::Tail if count == 1 => {
            let last = list.get(list.len() - 1).expect("a list is never empty");
            reply.bulk(last.as_bytes());
        }
        End::Tail => {
            let elements = list.iter_back_from(list.len() - 1).take(count);
            elements.for_each(|element| reply.bulk(element.as_bytes()));
        }
    }
}

/// `LPOP key [count]`, `RPOP key [count]`
pub(super) fn pop(spec: &CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>, end: End) -> Outcome {
    const WORDS: &str = "value is out of range, must be positive";
    let (at, key) = exec.first_key(argv);
    let count = match argv.len() {
        2 => None,
        3 => Some(integer_from(argv.get(2), 0, WORDS)? as usize),
        _ => return Err(CommandError::WrongArity { command: spec.name.into() }),
    };
    let found: Option<ListRef<'_>> = view(exec.tables.find(at, key, exec.now.unix_ms, exec.effects))?;
    let Some(list) = found else {
        match count {
            None => exec.reply.null(),
            Some(_) => exec.reply.null_array(),
        }
        return Ok(());
    };
    let len = list.len();
    let taken = count.unwrap_or(1).min(len);
    if count.is_some() {
        exec.reply.array(taken);
    }
    reply_end(&mut exec.reply, list, end, taken);
    remove(exec, at, key, range_at(end, taken, len), len);
    Ok(())
}

pub(super) fn llen(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let len = exec.read_as::<ListRef<'_>>(at, key)?.map_or(0, |list| list.len());
    exec.reply.integer(len as i64);
    Ok(())
}

/// `LRANGE key start stop`
pub(super) fn lrange(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (start, stop) = (integer(argv.get(2))?, integer(argv.get(3))?);
    let found: Option<ListRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let Some(list) = found else {
        exec.reply.array(0);
        return Ok(());
    };
    let range = index_range(start, stop, list.len());
    exec.reply.array(range.len());
    let elements = list.iter_from(range.start).take(range.len());
    elements.for_each(|element| exec.reply.bulk(element.as_bytes()));
    Ok(())
}

/// `LINDEX key index`; a missing key hides an impossible index.
pub(super) fn lindex(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let found: Option<ListRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let element = match found {
        Some(list) => place(integer(argv.get(2))?, list.len()).and_then(|index| list.get(index)),
        None => None,
    };
    match element {
        Some(element) => exec.reply.bulk(element.as_bytes()),
        None => exec.reply.null(),
    }
    Ok(())
}

/// The place that an index means, which counts from the tail where it is negative.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { len as i64 + index } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

/// `LSET key index element`
pub(super) fn lset(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let len = exec.find_as::<ListRef<'_>>(at, key)?.map(|list| list.len()).ok_or(CommandError::NoSuchKey)?;
    let index = place(integer(argv.get(2))?, len).ok_or(CommandError::Index)? as u64;
    let element: ItemsBuf = [argv.get(3)].into_iter().collect();
    exec.change(at, Effect::Splice { key, index, removed: 1, elements: element.items() });
    exec.reply.ok();
    Ok(())
}

/// `LTRIM key start stop`
pub(super) fn ltrim(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (start, stop) = (integer(argv.get(2))?, integer(argv.get(3))?);
    if let Some(len) = exec.find_as::<ListRef<'_>>(at, key)?.map(|list| list.len()) {
        let kept = index_range(start, stop, len);
        if kept.is_empty() {
            remove(exec, at, key, 0..len, len);
        } else {
            remove(exec, at, key, kept.end..len, len);
            remove(exec, at, key, 0..kept.start, kept.end);
        }
    }
    exec.reply.ok();
    Ok(())
}
