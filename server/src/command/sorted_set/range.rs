//! Commands on ranges: of ranks, of scores, or of members where all scores are equal.

use std::ops::Range;

use carousel_protocol::resp::Argv;

use super::super::effect::ItemsBuf;
use super::super::error::CommandError;
use super::super::exec::{Exec, Outcome, index_range, integer, view};
use super::WithScores;
use super::number::{LexRange, ScoreRange};
use crate::store::{Item, SortedSetRef};

/// Which way a range is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// By what a range is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range as it is given.
#[derive(Clone, Copy)]
enum Span<'a> {
    /// Both ends inclusive and counted in the order of the walk; negative ones count from its end.
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

impl<'a> Span<'a> {
    fn parse(by: By, start: &'a [u8], end: &'a [u8], order: Order) -> Result<Self, CommandError> {
        let (min, max) = if order == Order::Ascending { (start, end) } else { (end, start) };
        Ok(match by {
            By::Rank => Self::Ranks(integer(start)?, integer(end)?),
            By::Score => Self::Scores(ScoreRange::parse(min, max)?),
            By::Lex => Self::Members(LexRange::parse(min, max)?),
        })
    }

    /// The members in the range, counted in the order of the walk.
    fn of(&self, set: SortedSetRef<'_>, order: Order) -> Range<usize> {
        let len = set.len();
        let (start, end) = match self {
            Self::Ranks(start, end) => return index_range(*start, *end, len),
            Self::Scores(range) => (
                set.partition_point_by_score(|score| range.begins_after(score)),
                set.partition_point_by_score(|score| range.reaches(score)),
            ),
            Self::Members(range) => (
                set.partition_point(|_, member| range.begins_after(member)),
                set.partition_point(|_, member| range.reaches(member)),
            ),
        };
        match order {
            _ if start >= end => 0..0,
            Order::Ascending => start..end,
            Order::Descending => len - end..len - start,
        }
    }
}

/// The members of a range that [`Span::of`] gave.
fn walk<'t>(
    set: SortedSetRef<'t>,
    range: Range<usize>,
    order: Order,
) -> impl Iterator<Item = (f64, Item<'t>)> + use<'t> {
    let from = match order {
        Order::Ascending => set.iter_from(range.start),
        // An empty range may begin where nothing is.
        Order::Descending => set.iter_back_from((set.len() - 1).saturating_sub(range.start)),
    };
    from.take(range.len())
}

/// Everything that the ZRANGE family is told behind the key.
struct RangeQuery<'a> {
    span: Span<'a>,
    order: Order,
    offset: i64,
    /// Negative: all.
    limit: i64,
    with_scores: WithScores,
}

/// What a command's name says of its range; `None` is for its options to say.
#[derive(Clone, Copy)]
struct Given {
    by: Option<By>,
    order: Option<Order>,
}

impl<'a> RangeQuery<'a> {
    /// Reads the range, of which the first end is argument `start`, and the options behind it. `is_store`: no reply of
    /// members is asked for.
    fn parse(argv: Argv<'a>, start: usize, given: Given, is_store: bool) -> Result<Self, CommandError> {
        let Given { mut by, mut order } = given;
        let (mut offset, mut limit) = (0, -1);
        let mut with_scores = WithScores::No;
        let mut next = start + 2;
        while next < argv.len() {
            let is = |name: &str| argv.get(next).eq_ignore_ascii_case(name.as_bytes());
            match () {
                () if is("WITHSCORES") && !is_store => with_scores = WithScores::Yes,
                () if is("LIMIT") && next + 2 < argv.len() => {
                    offset = integer(argv.get(next + 1))?;
                    limit = integer(argv.get(next + 2))?;
                    next += 2;
                }
                () if is("REV") && order.is_none() => order = Some(Order::Descending),
                () if is("BYLEX") && by.is_none() => by = Some(By::Lex),
                () if is("BYSCORE") && by.is_none() => by = Some(By::Score),
                () => return Err(CommandError::Syntax),
            }
            next += 1;
        }
        let by = by.unwrap_or(By::Rank);
        let order = order.unwrap_or(Order::Ascending);
        if limit != -1 && by == By::Rank {
            return Err(CommandError::LimitOfRanks);
        }
        if with_scores == WithScores::Yes && by == By::Lex {
            return Err(CommandError::ScoresOfLex);
        }
        if by == By::Rank {
            // `LIMIT 5 -1`, which passes as none.
            offset = 0;
        }
        let span = Span::parse(by, argv.get(start), argv.get(start + 1), order)?;
        Ok(Self { span, order, offset, limit, with_scores })
    }

    /// The members asked for, counted in the order of the walk.
    fn of(&self, set: SortedSetRef<'_>) -> Range<usize> {
        let range = self.span.of(set, self.order);
        // As in Redis, a negative offset is beyond the end.
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(range.len());
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let start = range.start + offset;
        start..start + limit.min(range.len() - offset)
    }
}

/// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(in crate::command) fn zrange(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_range(exec, argv, Given { by: None, order: None })
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub(in crate::command) fn zrevrange(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_range(exec, argv, Given { by: Some(By::Rank), order: Some(Order::Descending) })
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub(in crate::command) fn zrangebyscore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_range(exec, argv, Given { by: Some(By::Score), order: Some(Order::Ascending) })
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub(in crate::command) fn zrevrangebyscore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_range(exec, argv, Given { by: Some(By::Score), order: Some(Order::Descending) })
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub(in crate::command) fn zrangebylex(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_range(exec, argv, Given { by: Some(By::Lex), order: Some(Order::Ascending) })
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub(in crate::command) fn zrevrangebylex(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_range(exec, argv, Given { by: Some(By::Lex), order: Some(Order::Descending) })
}

fn reply_range(exec: &mut Exec<'_>, argv: Argv<'_>, given: Given) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let query = RangeQuery::parse(argv, 2, given, false)?;
    let held: Option<SortedSetRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let Some(set) = held else {
        exec.reply.array(0);
        return Ok(());
    };
    let range = query.of(set);
    query.with_scores.head(&mut exec.reply, range.len());
    for (score, member) in walk(set, range, query.order) {
        query.with_scores.member(&mut exec.reply, score, member.as_bytes());
    }
    Ok(())
}

/// `ZRANGESTORE destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]`
pub(in crate::command) fn zrangestore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, destination) = exec.first_key(argv);
    let (source_at, source) = exec.key_of_any_slot(argv, 2);
    let query = RangeQuery::parse(argv, 3, Given { by: None, order: None }, true)?;
    let mut pairs = ItemsBuf::new();
    let mut len = 0;
    if let Some(set) = exec.read_as::<SortedSetRef<'_>>(source_at, source)? {
        for (score, member) in walk(set, query.of(set), query.order) {
            pairs.push_score(score);
            pairs.push(member.as_bytes());
            len += 1;
        }
    }
    super::store(exec, at, destination, &pairs)?;
    exec.reply.integer(len);
    Ok(())
}

/// `ZCOUNT key min max`
pub(in crate::command) fn zcount(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    count(exec, argv, By::Score)
}

/// `ZLEXCOUNT key min max`
pub(in crate::command) fn zlexcount(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    count(exec, argv, By::Lex)
}

fn count(exec: &mut Exec<'_>, argv: Argv<'_>, by: By) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let span = Span::parse(by, argv.get(2), argv.get(3), Order::Ascending)?;
    let held = exec.read_as::<SortedSetRef<'_>>(at, key)?;
    let count = held.map_or(0, |set| span.of(set, Order::Ascending).len());
    exec.reply.integer(count as i64);
    Ok(())
}

/// `ZREMRANGEBYRANK key start stop`
pub(in crate::command) fn zremrangebyrank(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    remove_range(exec, argv, By::Rank)
}

/// `ZREMRANGEBYSCORE key min max`
pub(in crate::command) fn zremrangebyscore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    remove_range(exec, argv, By::Score)
}

/// `ZREMRANGEBYLEX key min max`
pub(in crate::command) fn zremrangebylex(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    remove_range(exec, argv, By::Lex)
}

fn remove_range(exec: &mut Exec<'_>, argv: Argv<'_>, by: By) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let span = Span::parse(by, argv.get(2), argv.get(3), Order::Ascending)?;
    let Some(set) = exec.find_as::<SortedSetRef<'_>>(at, key)? else {
        exec.reply.integer(0);
        return Ok(());
    };
    let range = span.of(set, Order::Ascending);
    let (removed, are_all) = (range.len(), range.len() == set.len());
    let mut members = ItemsBuf::new();
    if !are_all {
        walk(set, range, Order::Ascending).for_each(|(_, member)| members.push(member.as_bytes()));
    }
    super::remove(exec, at, key, &members, are_all)?;
    exec.reply.integer(removed as i64);
    Ok(())
}
