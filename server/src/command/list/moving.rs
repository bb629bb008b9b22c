//! Commands that take elements from one of several lists, or from one list to another.

use std::ops::Range;

use carousel_protocol::resp::Argv;

use super::super::effect::ItemsBuf;
use super::super::error::CommandError;
use super::super::exec::{Exec, Outcome, integer_from, view};
use super::{End, put, range_at, remove, reply_end};
use crate::store::ListRef;

/// `LMOVE source destination LEFT | RIGHT LEFT | RIGHT`
pub(in super::super) fn lmove(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (from, to) = ends_of_move(argv)?;
    move_one(exec, argv, from, to)
}

/// From which end to which LMOVE moves.
pub(in super::super) fn ends_of_move(argv: Argv<'_>) -> Result<(End, End), CommandError> {
    Ok((End::parse(argv.get(3))?, End::parse(argv.get(4))?))
}

/// `RPOPLPUSH source destination`
pub(in super::super) fn rpoplpush(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    move_one(exec, argv, End::Tail, End::Head)
}

/// Moves the element at an end of the list that argument 1 names to an end of the one that argument 2 names, which
/// may be the same.
fn move_one(exec: &mut Exec<'_>, argv: Argv<'_>, from: End, to: End) -> Outcome {
    let (source_at, source) = exec.first_key(argv);
    let Some(list) = exec.find_as::<ListRef<'_>>(source_at, source)? else {
        exec.reply.null();
        return Ok(());
    };
    let source_len = list.len();
    let index = range_at(from, 1, source_len).start;
    let mut moved = ItemsBuf::new();
    moved.push(list.get(index).expect("a list is never empty").as_bytes());

    let (target_at, target) = exec.key_of_any_slot(argv, 2);
    let target_len = exec.find_as::<ListRef<'_>>(target_at, target)?.map_or(0, |list| list.len());
    exec.room.reserve(moved.len_bytes())?;
    if source != target {
        // First there, then gone here: a crash between the records of two slots loses nothing.
        put(exec, target_at, target, to, target_len, &moved);
        remove(exec, source_at, source, index..index + 1, source_len);
    } else if from != to && source_len > 1 {
        remove(exec, source_at, source, index..index + 1, source_len);
        put(exec, target_at, target, to, source_len - 1, &moved);
    }
    moved.items().iter().for_each(|element| exec.reply.bulk(element));
    Ok(())
}

/// `BLPOP key [key ...] timeout`, `BRPOP`: one element of the first of the lists that is there.
pub(in super::super) fn pop_first(exec: &mut Exec<'_>, argv: Argv<'_>, end: End) -> Outcome {
    for index in 1..argv.len() - 1 {
        let (at, key) = exec.key_of_any_slot(argv, index);
        let found: Option<ListRef<'_>> = view(exec.tables.find(at, key, exec.now.unix_ms, exec.effects))?;
        if let Some(list) = found {
            let len = list.len();
            exec.reply.array(2);
            exec.reply.bulk(key);
            reply_end(&mut exec.reply, list, end, 1);
            remove(exec, at, key, range_at(end, 1, len), len);
            return Ok(());
        }
    }
    exec.reply.null_array();
    Ok(())
}

/// `LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT count]`: elements of the first of the lists that is there. For
/// `BLMPOP timeout numkeys ...` the number of keys is one argument further on.
pub(in super::super) fn lmpop(exec: &mut Exec<'_>, argv: Argv<'_>, key_count_at: usize) -> Outcome {
    let LmPop { keys, end, count } = LmPop::parse(argv, key_count_at)?;
    for index in keys {
        let (at, key) = exec.key_of_any_slot(argv, index);
        let found: Option<ListRef<'_>> = view(exec.tables.find(at, key, exec.now.unix_ms, exec.effects))?;
        if let Some(list) = found {
            let len = list.len();
            let taken = count.min(len);
            exec.reply.array(2);
            exec.reply.bulk(key);
            exec.reply.array(taken);
            reply_end(&mut exec.reply, list, end, taken);
            remove(exec, at, key, range_at(end, taken, len), len);
            return Ok(());
        }
    }
    exec.reply.null_array();
    Ok(())
}

/// What LMPOP asks for.
pub(in super::super) struct LmPop {
    /// The indices of the keys.
    keys: Range<usize>,
    end: End,
    count: usize,
}

impl LmPop {
    /// The arguments from the number of keys on.
    pub(in super::super) fn parse(argv: Argv<'_>, key_count_at: usize) -> Result<Self, CommandError> {
        let keys_at = key_count_at + 1;
        let key_count = integer_from(argv.get(key_count_at), 1, "numkeys should be greater than 0")?;
        let end_at = (key_count as usize).saturating_add(keys_at);
        if end_at >= argv.len() {
            return Err(CommandError::Syntax);
        }
        let end = End::parse(argv.get(end_at))?;
        let mut count = None;
        let mut next = end_at + 1;
        while next < argv.len() {
            if count.is_some() || !argv.get(next).eq_ignore_ascii_case(b"COUNT") || next + 1 == argv.len() {
                return Err(CommandError::Syntax);
            }
            count = Some(integer_from(argv.get(next + 1), 1, "count should be greater than 0")? as usize);
            next += 2;
        }
        Ok(Self { keys: keys_at..end_at, end, count: count.unwrap_or(1) })
    }
}
