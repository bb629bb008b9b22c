//! Unions, intersections and differences of sorted sets, and of sets, in which every member's score is 1.

use std::collections::BTreeMap;

use carousel_protocol::resp::Argv;

use super::super::effect::ItemsBuf;
use super::super::error::CommandError;
use super::super::exec::{Exec, Outcome, integer};
use super::super::tables::KeyAt;
use super::WithScores;
use super::number::parse_score;
use crate::store::{Item, KeyHasher, SetRef, SortedSetRef, Value};

/// What comes out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores of a member that several sets have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, score: f64, other: f64) -> f64 {
        match self {
            // Of infinities of both signs as well: 0, as in Redis.
            Self::Sum => number_or_zero(score + other),
            // What is not a number compares as false.
            Self::Min if other < score => other,
            Self::Max if other > score => other,
            Self::Min | Self::Max => score,
        }
    }
}

fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// Where a command's reply goes, which decides on the options that it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Reply,
    Store,
    Count,
}

/// `ZUNION numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]`
pub(in crate::command) fn zunion(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_combined(exec, argv, "zunion", Operation::Union)
}

/// `ZINTER numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]`
pub(in crate::command) fn zinter(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_combined(exec, argv, "zinter", Operation::Intersection)
}

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`
pub(in crate::command) fn zdiff(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    reply_combined(exec, argv, "zdiff", Operation::Difference)
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE <SUM | MIN | MAX>]`
pub(in crate::command) fn zunionstore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    store_combined(exec, argv, "zunionstore", Operation::Union)
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE <SUM | MIN | MAX>]`
pub(in crate::command) fn zinterstore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    store_combined(exec, argv, "zinterstore", Operation::Intersection)
}

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub(in crate::command) fn zdiffstore(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    store_combined(exec, argv, "zdiffstore", Operation::Difference)
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(in crate::command) fn zintercard(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let query = Query::parse(exec, argv, 1, "zintercard", Operation::Intersection, Output::Count)?;
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let hasher = *exec.tables.hasher();
    let mut count = 0;
    intersect(&query.sources(exec), &hasher, query.aggregate, &mut |_, _| {
        count += 1;
        count < limit
    });
    exec.reply.integer(count as i64);
    Ok(())
}

fn reply_combined(
    exec: &mut Exec<'_>,
    argv: Argv<'_>,
    command: &'static str,
    operation: Operation,
) -> Outcome {
    let query = Query::parse(exec, argv, 1, command, operation, Output::Reply)?;
    let combined = query.combine(exec);
    query.with_scores.head(&mut exec.reply, combined.len());
    for (score, member) in &combined {
        query.with_scores.member(&mut exec.reply, *score, member);
    }
    Ok(())
}

fn store_combined(
    exec: &mut Exec<'_>,
    argv: Argv<'_>,
    command: &'static str,
    operation: Operation,
) -> Outcome {
    let (at, destination) = exec.first_key(argv);
    let query = Query::parse(exec, argv, 2, command, operation, Output::Store)?;
    let combined = query.combine(exec);
    let mut pairs = ItemsBuf::new();
    for (score, member) in &combined {
        pairs.push_score(*score);
        pairs.push(member);
    }
    super::store(exec, at, destination, &pairs)?;
    exec.reply.integer(combined.len() as i64);
    Ok(())
}

/// What a command of this file is told.
struct Query<'a> {
    operation: Operation,
    /// The inputs, seen to be sets, sorted sets or missing, and what their scores are multiplied by.
    inputs: Vec<(KeyAt, &'a [u8], f64)>,
    aggregate: Aggregate,
    with_scores: WithScores,
    /// 0: none.
    limit: usize,
}

impl<'a> Query<'a> {
    /// Reads the arguments from the number of keys on, and looks at the keys.
    fn parse(
        exec: &mut Exec<'_>,
        argv: Argv<'a>,
        count_at: usize,
        command: &'static str,
        operation: Operation,
        output: Output,
    ) -> Result<Self, CommandError> {
        let count = integer(argv.get(count_at))?;
        let count = usize::try_from(count).ok().filter(|&count| count > 0);
        let count = count.ok_or(CommandError::NoInputKey { command })?;
        let mut rest = argv.iter().skip(count_at + 1);
        if count > rest.len() {
            return Err(CommandError::Syntax);
        }
        let mut inputs = Vec::with_capacity(count);
        for key in rest.by_ref().take(count) {
            let at = exec.at(key);
            if let Some(entry) = exec.read(at, key) {
                Source::of(entry.value(), 1.0).ok_or(CommandError::WrongType)?;
            }
            inputs.push((at, key, 1.0));
        }
        let mut query =
            Self { operation, inputs, aggregate: Aggregate::Sum, with_scores: WithScores::No, limit: 0 };
        query.parse_options(rest, output)?;
        Ok(query)
    }

    fn parse_options(
        &mut self,
        mut rest: impl ExactSizeIterator<Item = &'a [u8]>,
        output: Output,
    ) -> Result<(), CommandError> {
        let has_scores = self.operation != Operation::Difference && output != Output::Count;
        while let Some(option) = rest.next() {
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            if is("WEIGHTS") && has_scores && rest.len() >= self.inputs.len() {
                for ((_, _, weight), text) in self.inputs.iter_mut().zip(&mut rest) {
                    *weight = parse_score(text).ok_or(CommandError::Weight)?;
                }
            } else if is("WITHSCORES") && output == Output::Reply {
                self.with_scores = WithScores::Yes;
            } else if is("AGGREGATE") && has_scores {
                let aggregate = rest.next().ok_or(CommandError::Syntax)?;
                let is = |name: &str| aggregate.eq_ignore_ascii_case(name.as_bytes());
                self.aggregate = match () {
                    () if is("SUM") => Aggregate::Sum,
                    () if is("MIN") => Aggregate::Min,
                    () if is("MAX") => Aggregate::Max,
                    () => return Err(CommandError::Syntax),
                };
            } else if is("LIMIT") && output == Output::Count {
                let limit = integer(rest.next().ok_or(CommandError::Syntax)?).ok();
                let limit = limit.and_then(|limit| usize::try_from(limit).ok());
                self.limit = limit.ok_or(CommandError::NegativeLimit)?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(())
    }

    /// The inputs that are there, as they are read; those with the fewest members first, as in Redis, which decides on
    /// the order in which scores are added. The first input of a difference stays the first.
    fn sources<'t>(&self, exec: &'t Exec<'_>) -> Vec<Source<'t>> {
        let mut sources: Vec<_> = self
            .inputs
            .iter()
            .map(|&(at, key, weight)| match exec.tables.peek(at, key, exec.now.unix_ms) {
                Some(entry) => Source::of(entry.value(), weight).expect("seen before"),
                None => Source::NONE,
            })
            .collect();
        if self.operation != Operation::Difference {
            sources.sort_by_key(Source::len);
        }
        sources
    }

    /// Scores and members that come out, in order.
    fn combine(&self, exec: &Exec<'_>) -> Vec<(f64, Vec<u8>)> {
        let (sources, hasher) = (self.sources(exec), exec.tables.hasher());
        let mut combined = Vec::new();
        match self.operation {
            Operation::Union => {
                let mut union = BTreeMap::new();
                for source in &sources {
                    source.for_each(&mut |score, member| {
                        let score = number_or_zero(score);
                        if let Some(held) = union.get_mut(member.as_bytes()) {
                            *held = self.aggregate.of(*held, score);
                        } else {
                            union.insert(member.as_bytes().to_vec(), score);
                        }
                        true
                    });
                }
                combined.extend(union.into_iter().map(|(member, score)| (score, member)));
            }
            Operation::Intersection => intersect(&sources, hasher, self.aggregate, &mut |score, member| {
                combined.push((score, member.as_bytes().to_vec()));
                true
            }),
            Operation::Difference => {
                let [first, others @ ..] = &sources[..] else { unreachable!("there is at least one key") };
                first.for_each(&mut |score, member| {
                    if others.iter().all(|other| other.score(hasher, member.as_bytes()).is_none()) {
                        combined.push((score, member.as_bytes().to_vec()));
                    }
                    true
                });
            }
        }
        combined.sort_unstable_by(|(score, member), (other, than)| {
            score.partial_cmp(other).expect("a score is a number").then_with(|| member.cmp(than))
        });
        combined
    }
}

/// Gives `take` the members that all sources have, and their scores, until it returns false.
fn intersect(
    sources: &[Source<'_>],
    hasher: &KeyHasher,
    aggregate: Aggregate,
    take: &mut dyn FnMut(f64, Item<'_>) -> bool,
) {
    let [first, others @ ..] = sources else { unreachable!("there is at least one key") };
    first.for_each(&mut |score, member| {
        let common = others.iter().try_fold(number_or_zero(score), |score, other| {
            Some(aggregate.of(score, other.score(hasher, member.as_bytes())?))
        });
        common.is_none_or(|score| take(score, member))
    });
}

/// An input.
#[derive(Clone, Copy)]
struct Source<'t> {
    /// `None` for a key that is missing.
    members: Option<Members<'t>>,
    weight: f64,
}

#[derive(Clone, Copy)]
enum Members<'t> {
    Set(SetRef<'t>),
    SortedSet(SortedSetRef<'t>),
}

impl<'t> Source<'t> {
    const NONE: Self = Self { members: None, weight: 1.0 };

    /// A value, if it is a set or a sorted set.
    fn of(value: Value<'t>, weight: f64) -> Option<Self> {
        let members = match value {
            Value::Set(set) => Members::Set(set),
            Value::SortedSet(set) => Members::SortedSet(set),
            Value::String(_) | Value::List(_) | Value::Hash(_) => return None,
        };
        Some(Self { members: Some(members), weight })
    }

    fn len(&self) -> usize {
        match self.members {
            None => 0,
            Some(Members::Set(set)) => set.len(),
            Some(Members::SortedSet(set)) => set.len(),
        }
    }

    /// The member's score, multiplied by the weight: not a number where that is 0 and the score infinite.
    fn score(&self, hasher: &KeyHasher, member: &[u8]) -> Option<f64> {
        let score = match self.members? {
            Members::Set(set) => set.contains(hasher, member).then_some(1.0)?,
            Members::SortedSet(set) => set.score(hasher, member)?,
        };
        Some(self.weight * score)
    }

    /// Gives `take` all members and their scores, multiplied by the weight, until it returns false.
    fn for_each(&self, take: &mut dyn FnMut(f64, Item<'t>) -> bool) {
        match self.members {
            None => {}
            Some(Members::Set(set)) => {
                let mut members = set.iter();
                while members.next().is_some_and(|member| take(self.weight, member)) {}
            }
            Some(Members::SortedSet(set)) => {
                let mut members = set.iter_from(0);
                while members.next().is_some_and(|(score, member)| take(self.weight * score, member)) {}
            }
        }
    }
}
