//! Commands that wait for elements, as they are while there are some: their waiting is the connection's.
//!
//! Where there are none they answer nil, which inside MULTI is what the client gets, and elsewhere makes it wait.

use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::Argv;

use super::double::read_c_double;
use super::error::CommandError;
use super::exec::{Exec, Outcome};
use super::list::{self, End};
use super::sorted_set;
use super::tables::{KeyAt, Tables};
use crate::store::{ListRef, SortedSetRef, Type, View};

/// How long a blocking command may wait, in milliseconds; `None` is for ever.
///
/// # Errors
/// It says no such time, or the arguments before it are wrong.
pub fn block_timeout_ms(spec: &CommandSpec, argv: Argv<'_>) -> Result<Option<u64>, CommandError> {
    // Where a request has several faults, the one is named that Redis names.
    let at = match spec.id {
        CommandId::BLMPop => list::LmPop::parse(argv, 2).map(|_| 1)?,
        CommandId::BZMPop => sorted_set::ZmPop::parse(argv, 2).map(|_| 1)?,
        CommandId::BLMove => list::ends_of_move(argv).map(|_| argv.len() - 1)?,
        _ => argv.len() - 1,
    };
    let text = argv.get(at);
    let read = read_c_double(text).filter(|_| !text.is_empty() && !text[0].is_ascii_whitespace());
    let (seconds, is_in_range) = read.ok_or(CommandError::TimeoutNotAFloat)?;
    if !is_in_range || seconds.is_nan() {
        return Err(CommandError::TimeoutNotAFloat);
    }
    if seconds < 0.0 {
        return Err(CommandError::NegativeTimeout);
    }
    let ms = (seconds * 1000.0).ceil();
    if ms > i64::MAX as f64 / 2.0 {
        return Err(CommandError::TimeoutRange);
    }
    Ok((ms > 0.0).then_some(ms as u64))
}

/// The type of the values that a blocking command waits for, and how many of its first keys it waits on: all of them, but
/// for the destination of a move.
fn awaited(spec: &CommandSpec) -> (Type, usize) {
    match spec.id {
        CommandId::BLMove | CommandId::BRPopLPush => (Type::List, 1),
        CommandId::BLPop | CommandId::BRPop | CommandId::BLMPop => (Type::List, usize::MAX),
        _ => (Type::SortedSet, usize::MAX),
    }
}

/// The indices of the keys that a blocking command waits on.
pub fn awaited_keys(spec: &'static CommandSpec, argv: Argv<'_>) -> impl Iterator<Item = usize> {
    spec.key_indices(argv).take(awaited(spec).1)
}

/// Whether a key, at that place, has what the command waits for.
pub fn has_awaited(spec: &CommandSpec, tables: &Tables, at: KeyAt, key: &[u8], now_ms: u64) -> bool {
    let value = tables.peek(at, key, now_ms).map(|entry| entry.value());
    value.is_some_and(|value| match awaited(spec).0 {
        Type::List => ListRef::of(value).is_some(),
        _ => SortedSetRef::of(value).is_some(),
    })
}

/// The nil of a blocking command that has found nothing.
pub fn reply_nothing(spec: &CommandSpec, reply: &mut carousel_protocol::resp::ReplyWriter<'_>) {
    match spec.id {
        CommandId::BLMove | CommandId::BRPopLPush => reply.null(),
        _ => reply.null_array(),
    }
}

/// Any of the blocking commands.
pub(super) fn execute(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    block_timeout_ms(spec, argv)?;
    match spec.id {
        CommandId::BLPop => list::pop_first(exec, argv, End::Head),
        CommandId::BRPop => list::pop_first(exec, argv, End::Tail),
        CommandId::BLMove => list::lmove(exec, argv),
        CommandId::BRPopLPush => list::rpoplpush(exec, argv),
        CommandId::BLMPop => list::lmpop(exec, argv, 2),
        CommandId::BZPopMin => sorted_set::pop_first_min(exec, argv),
        CommandId::BZPopMax => sorted_set::pop_first_max(exec, argv),
        CommandId::BZMPop => sorted_set::zmpop(exec, argv, 2),
        other => unreachable!("{other:?} does not block"),
    }
}

#[cfg(test)]
mod tests {
    use carousel_protocol::command_table::lookup;
    use carousel_protocol::resp::ArgRange;

    use super::*;

    fn timeout(text: &str) -> Result<Option<u64>, String> {
        let buffer = format!("k{text}");
        let range = |start: usize, end: usize| ArgRange { start: start as u32, end: end as u32 };
        let ranges = [range(0, 1), range(0, 1), range(1, buffer.len())];
        let argv = Argv::new(buffer.as_bytes(), &ranges);
        block_timeout_ms(lookup(b"BLPOP").unwrap(), argv).map_err(|error| error.to_string())
    }

    #[test]
    fn timeouts_are_seconds_with_fractions() {
        let cases = [("0", None), ("0.0", None), ("1", Some(1000)), ("0.0001", Some(1)), ("1.5", Some(1500))];
        for (text, expected) in cases {
            assert_eq!(timeout(text), Ok(expected), "{text}");
        }
        for text in ["", " 1", "x", "1x", "nan"] {
            assert_eq!(timeout(text), Err("ERR timeout is not a float or out of range".into()), "{text}");
        }
        assert_eq!(timeout("-1"), Err("ERR timeout is negative".into()));
        assert_eq!(timeout("1e300"), Err("ERR timeout is out of range".into()));
    }
}
