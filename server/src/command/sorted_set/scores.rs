//! Commands on members that are named: their scores and ranks; and on all or any of them.

use carousel_protocol::resp::Argv;

use super::super::effect::{Effect, ItemsBuf};
use super::super::error::CommandError;
use super::super::exec::{Exec, Outcome, view};
use super::super::pick::{PickCount, at_indices, pick_indices};
use super::super::scan::{self, ScanOptions, parse_scan_cursor};
use super::WithScores;
use crate::store::{Item, SortedSet, SortedSetRef};
use carousel_protocol::resp::double_text;

/// `ZREM key member [member ...]`
pub(in crate::command) fn zrem(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held = exec.find_as::<SortedSetRef<'_>>(at, key)?;
    let is_there = |member: &&[u8]| held.is_some_and(|set| set.score(&hasher, member).is_some());
    let members: ItemsBuf = argv.iter().skip(2).filter(is_there).collect();
    let removed = match members.is_empty() {
        true => 0,
        false => exec.change(at, Effect::Unscore { key, members: members.items() }),
    };
    exec.reply.integer(removed as i64);
    Ok(())
}

/// `ZSCORE key member`
pub(in crate::command) fn zscore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held = exec.read_as::<SortedSetRef<'_>>(at, key)?;
    match held.and_then(|set| set.score(&hasher, argv.get(2))) {
        Some(score) => exec.reply.double(score),
        None => exec.reply.null(),
    }
    Ok(())
}

/// `ZMSCORE key member [member ...]`
pub(in crate::command) fn zmscore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let held: Option<SortedSetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    exec.reply.array(argv.len() - 2);
    for member in argv.iter().skip(2) {
        match held.and_then(|set| set.score(&hasher, member)) {
            Some(score) => exec.reply.double(score),
            None => exec.reply.null(),
        }
    }
    Ok(())
}

/// `ZCARD key`
pub(in crate::command) fn zcard(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let len = exec.read_as::<SortedSetRef<'_>>(at, key)?.map_or(0, |set| set.len());
    exec.reply.integer(len as i64);
    Ok(())
}

/// `ZRANK key member [WITHSCORE]`
pub(in crate::command) fn zrank(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    rank(exec, argv, |rank, _| rank)
}

/// `ZREVRANK key member [WITHSCORE]`
pub(in crate::command) fn zrevrank(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    rank(exec, argv, |rank, len| len - 1 - rank)
}

fn rank(exec: &mut Exec<'_>, argv: Argv<'_>, shown: impl FnOnce(usize, usize) -> usize) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let member = argv.get(2);
    let with_score = match argv.len() {
        3 => false,
        4 if argv.get(3).eq_ignore_ascii_case(b"WITHSCORE") => true,
        _ => return Err(CommandError::Syntax),
    };
    let hasher = *exec.tables.hasher();
    let held = exec.read_as::<SortedSetRef<'_>>(at, key)?;
    let found = held.and_then(|set| {
        let rank = shown(set.rank(&hasher, member)?, set.len());
        Some((rank as i64, set.score(&hasher, member)?))
    });
    match found {
        Some((rank, score)) if with_score => {
            exec.reply.array(2);
            exec.reply.integer(rank);
            exec.reply.double(score);
        }
        Some((rank, _)) => exec.reply.integer(rank),
        None if with_score => exec.reply.null_array(),
        None => exec.reply.null(),
    }
    Ok(())
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(in crate::command) fn zrandmember(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let mut dice = exec.tables.dice();
    let mut any_of = |set: SortedSetRef<'_>| (dice.roll() % set.len() as u64) as usize;
    if argv.len() == 2 {
        let held: Option<SortedSetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
        match held.and_then(|set| set.iter_from(any_of(set)).next()) {
            Some((_, member)) => exec.reply.bulk(member.as_bytes()),
            None => exec.reply.null(),
        }
        return Ok(());
    }
    let count = PickCount::parse(argv.get(2))?;
    let with_scores = match argv.len() {
        3 => WithScores::No,
        4 if argv.get(3).eq_ignore_ascii_case(b"WITHSCORES") => WithScores::Yes,
        _ => return Err(CommandError::Syntax),
    };
    if with_scores == WithScores::Yes {
        count.check_pairs()?;
    }
    let held: Option<SortedSetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let Some(set) = held else {
        exec.reply.array(0);
        return Ok(());
    };
    let reply = &mut exec.reply;
    with_scores.head(reply, count.len_of(set.len()));
    let mut write = |(score, member): (f64, Item<'_>)| with_scores.member(reply, score, member.as_bytes());
    match count {
        PickCount::Repeated(count) => {
            (0..count).filter_map(|_| set.iter_from(any_of(set)).next()).for_each(&mut write);
        }
        PickCount::Distinct(count) => {
            /// Finding a rank takes about as long as so many steps.
            const STEPS: usize = 64;
            let indices = pick_indices(count, set.len(), &mut dice);
            if indices.len() < set.len() / STEPS {
                indices.iter().filter_map(|&index| set.iter_from(index).next()).for_each(&mut write);
            } else {
                at_indices(set.iter_from(0), &indices).for_each(&mut write);
            }
        }
    }
    Ok(())
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`
pub(in crate::command) fn zscan(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let hasher = *exec.tables.hasher();
    let cursor = parse_scan_cursor(argv.get(2)).ok_or(CommandError::Cursor)?;
    let held: Option<SortedSetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let Some(set) = held else {
        scan::reply_items(&mut exec.reply, 0, 0);
        return Ok(());
    };
    let options = ScanOptions::of_items(argv)?;
    let (next, mut found) = match set {
        SortedSetRef::Packed(_) => (0, set.iter_from(0).collect::<Vec<_>>()),
        SortedSetRef::Big(big) => scan::step(big.members(), &hasher, cursor, &options, |entry| {
            (SortedSet::score_of_value(entry.bytes()), Item::Text(entry.key()))
        }),
    };
    found.retain(|(_, member)| options.wants(member.as_bytes()));
    scan::reply_items(&mut exec.reply, next, 2 * found.len());
    for (score, member) in found {
        exec.reply.bulk(member.as_bytes());
        // Text in RESP3 as well.
        exec.reply.bulk(double_text(score).as_bytes());
    }
    Ok(())
}
