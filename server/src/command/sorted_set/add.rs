//! ZADD and ZINCRBY.

use std::collections::BTreeMap;

use carousel_protocol::resp::Argv;

use super::super::effect::{Effect, ItemsBuf};
use super::super::error::CommandError;
use super::super::exec::{Exec, Outcome};
use super::number::parse_score;
use crate::store::SortedSetRef;

/// The options of ZADD. `XX` and one of `GT` and `LT` may come together.
#[derive(Default)]
struct Options {
    is_nx: bool,
    is_xx: bool,
    is_gt: bool,
    is_lt: bool,
    counts_changed: bool,
    increments: bool,
}

impl Options {
    /// The options from argument 2 on, and the index of the first score.
    fn parse(argv: Argv<'_>, increments: bool) -> Result<(Self, usize), CommandError> {
        let mut options = Self { increments, ..Self::default() };
        let mut next = 2;
        while next < argv.len() {
            let is = |name: &str| argv.get(next).eq_ignore_ascii_case(name.as_bytes());
            match () {
                () if is("NX") => options.is_nx = true,
                () if is("XX") => options.is_xx = true,
                () if is("GT") => options.is_gt = true,
                () if is("LT") => options.is_lt = true,
                () if is("CH") => options.counts_changed = true,
                () if is("INCR") => options.increments = true,
                () => break,
            }
            next += 1;
        }
        let rest = argv.len() - next;
        if rest == 0 || !rest.is_multiple_of(2) {
            return Err(CommandError::Syntax);
        }
        if options.is_nx && options.is_xx {
            return Err(CommandError::NxWithXx);
        }
        if usize::from(options.is_nx) + usize::from(options.is_gt) + usize::from(options.is_lt) > 1 {
            return Err(CommandError::GtLtNx);
        }
        if options.increments && rest > 2 {
            return Err(CommandError::IncrementPairs);
        }
        Ok((options, next))
    }

    /// The score that a member gets that had `old`; `None` where it stays as it is.
    fn score(&self, old: Option<f64>, given: f64) -> Result<Option<f64>, CommandError> {
        let Some(old) = old else { return Ok((!self.is_xx).then_some(given)) };
        if self.is_nx {
            return Ok(None);
        }
        let score = if self.increments { old + given } else { given };
        if score.is_nan() {
            return Err(CommandError::ScoreNotANumber);
        }
        let is_refused = (self.is_gt && score <= old) || (self.is_lt && score >= old);
        Ok((!is_refused).then_some(score))
    }
}

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]`
pub(in crate::command) fn zadd(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    add(exec, argv, false)
}

/// `ZINCRBY key increment member`
pub(in crate::command) fn zincrby(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    add(exec, argv, true)
}

fn add(exec: &mut Exec<'_>, argv: Argv<'_>, increments: bool) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (options, first) = Options::parse(argv, increments)?;
    let score = |index: usize| parse_score(argv.get(index)).ok_or(CommandError::NotAFloat);
    let scores = (first..argv.len()).step_by(2).map(score).collect::<Result<Vec<_>, _>>()?;
    let hasher = *exec.tables.hasher();
    let held = exec.find_as::<SortedSetRef<'_>>(at, key)?;

    let (mut added, mut changed) = (0, 0);
    let mut pairs = ItemsBuf::new();
    // What this command has done to members that it may name again.
    let mut done = BTreeMap::new();
    let mut last = None;
    for (pair, &given) in scores.iter().enumerate() {
        let member = argv.get(first + 2 * pair + 1);
        let old = done.get(member).copied().or_else(|| held?.score(&hasher, member));
        last = options.score(old, given)?;
        let Some(score) = last.filter(|score| old != Some(*score)) else { continue };
        match old {
            None => added += 1,
            Some(_) => changed += 1,
        }
        pairs.push_score(score);
        pairs.push(member);
        if scores.len() > 1 {
            done.insert(member, score);
        }
    }
    if !pairs.is_empty() {
        exec.change(at, Effect::Score { key, pairs: pairs.items() });
    }
    match last {
        Some(score) if options.increments => exec.reply.double(score),
        None if options.increments => exec.reply.null(),
        _ => exec.reply.integer(if options.counts_changed { added + changed } else { added }),
    }
    Ok(())
}
