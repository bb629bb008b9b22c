//! ZPOPMIN, ZPOPMAX and ZMPOP.

use carousel_protocol::resp::{Argv, Version};

use super::super::effect::ItemsBuf;
use super::super::error::CommandError;
use super::super::exec::{Exec, Outcome, integer, view};
use super::super::tables::KeyAt;
use crate::store::SortedSetRef;

/// Which end members are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Where the lowest scores are.
    Min,
    /// Where the highest are.
    Max,
}

/// How the members are replied, behind the key that ZMPOP replies first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Members and scores one after the other.
    Flat,
    /// Each member with its score.
    Pairs,
    /// The same as `Flat`, as the rest of an array that has begun.
    Rest,
}

/// `ZPOPMIN key [count]`
pub(in crate::command) fn zpopmin(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    zpop(exec, argv, End::Min)
}

/// `ZPOPMAX key [count]`
pub(in crate::command) fn zpopmax(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    zpop(exec, argv, End::Max)
}

fn zpop(exec: &mut Exec<'_>, argv: Argv<'_>, end: End) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (count, layout) = match argv.len() {
        2 => (1, Layout::Flat),
        3 => {
            let count = integer(argv.get(2)).ok().and_then(|count| usize::try_from(count).ok());
            let layout = if exec.reply.version == Version::Resp3 { Layout::Pairs } else { Layout::Flat };
            (count.ok_or(CommandError::NotPositive)?, layout)
        }
        _ => return Err(CommandError::Syntax),
    };
    if exec.find_as::<SortedSetRef<'_>>(at, key)?.is_none() {
        exec.reply.array(0);
        return Ok(());
    }
    pop(exec, at, key, end, count, layout)
}

/// `BZPOPMIN key [key ...] timeout`: one member of the first of the sorted sets that is there.
pub(in crate::command) fn pop_first_min(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    pop_first(exec, argv, End::Min)
}

/// `BZPOPMAX key [key ...] timeout`
pub(in crate::command) fn pop_first_max(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    pop_first(exec, argv, End::Max)
}

fn pop_first(exec: &mut Exec<'_>, argv: Argv<'_>, end: End) -> Outcome {
    for index in 1..argv.len() - 1 {
        let (at, key) = exec.key_of_any_slot(argv, index);
        if exec.find_as::<SortedSetRef<'_>>(at, key)?.is_some() {
            exec.reply.array(3);
            exec.reply.bulk(key);
            return pop(exec, at, key, end, 1, Layout::Rest);
        }
    }
    exec.reply.null_array();
    Ok(())
}

/// `ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]`. For `BZMPOP timeout numkeys ...` the number of keys is one
/// argument further on.
pub(in crate::command) fn zmpop(exec: &mut Exec<'_>, argv: Argv<'_>, key_count_at: usize) -> Outcome {
    let ZmPop { key_count, end, count } = ZmPop::parse(argv, key_count_at)?;
    for key in argv.iter().skip(key_count_at + 1).take(key_count) {
        let at = exec.at(key);
        if exec.find_as::<SortedSetRef<'_>>(at, key)?.is_some() {
            exec.reply.array(2);
            exec.reply.bulk(key);
            return pop(exec, at, key, end, count, Layout::Pairs);
        }
    }
    exec.reply.null_array();
    Ok(())
}

/// What ZMPOP asks for.
pub(in crate::command) struct ZmPop {
    key_count: usize,
    end: End,
    count: usize,
}

impl ZmPop {
    /// The arguments from the number of keys on.
    pub(in crate::command) fn parse(argv: Argv<'_>, key_count_at: usize) -> Result<Self, CommandError> {
        let positive = |text: &[u8]| usize::try_from(integer(text).ok()?).ok().filter(|&count| count > 0);
        let key_count = positive(argv.get(key_count_at)).ok_or(CommandError::KeyCount)?;
        let end_at = key_count.saturating_add(key_count_at + 1);
        if end_at >= argv.len() {
            return Err(CommandError::Syntax);
        }
        let end = match argv.get(end_at) {
            end if end.eq_ignore_ascii_case(b"MIN") => End::Min,
            end if end.eq_ignore_ascii_case(b"MAX") => End::Max,
            _ => return Err(CommandError::Syntax),
        };
        let count = match argv.len() - end_at - 1 {
            0 => 1,
            options => {
                if options < 2 || !argv.get(end_at + 1).eq_ignore_ascii_case(b"COUNT") {
                    return Err(CommandError::Syntax);
                }
                let count = positive(argv.get(end_at + 2)).ok_or(CommandError::PopCount)?;
                if options > 2 {
                    return Err(CommandError::Syntax);
                }
                count
            }
        };
        Ok(Self { key_count, end, count })
    }
}

/// Takes up to `count` members out of a sorted set, which was seen to be one, and replies with them.
fn pop(exec: &mut Exec<'_>, at: KeyAt, key: &[u8], end: End, count: usize, layout: Layout) -> Outcome {
    let held = view(exec.tables.find(at, key, exec.now.unix_ms, exec.effects))?;
    let set: SortedSetRef<'_> = held.expect("seen to be there");
    let count = count.min(set.len());
    let are_all = count == set.len();
    let walk = match end {
        End::Min => set.iter_from(0),
        End::Max => set.iter_back_from(set.len() - 1),
    };
    match layout {
        Layout::Flat => exec.reply.array(2 * count),
        Layout::Pairs => exec.reply.array(count),
        Layout::Rest => {}
    }
    let mut popped = ItemsBuf::new();
    for (score, member) in walk.take(count) {
        if layout == Layout::Pairs {
            exec.reply.array(2);
        }
        exec.reply.bulk(member.as_bytes());
        exec.reply.double(score);
        if !are_all {
            popped.push(member.as_bytes());
        }
    }
    super::remove(exec, at, key, &popped, are_all)?;
    Ok(())
}
