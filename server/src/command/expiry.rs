//! Times to expire at, as commands write them.

use super::error::CommandError;
use super::exec::integer;

/// In what a time is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// From when a time is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Base {
    /// From the time of the command.
    Now,
    /// Unix time.
    Epoch,
}

/// What SET and GETEX do about the expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum ExpiryOption<'a> {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Persist,
    /// `EX`, `PX`, `EXAT`, `PXAT` and their argument.
    At(Unit, Base, &'a [u8]),
}

impl<'a> ExpiryOption<'a> {
    /// Takes one more option, which may only repeat what was said before (the last one counts).
    pub(super) fn join(self, option: Self) -> Result<Self, CommandError> {
        let agrees = match (self, option) {
            (Self::Unsaid, _) => true,
            (Self::At(unit, base, _), Self::At(other_unit, other_base, _)) => {
                (unit, base) == (other_unit, other_base)
            }
            (said, option) => said == option,
        };
        if agrees { Ok(option) } else { Err(CommandError::Syntax) }
    }

    /// The kind of an option that takes a time.
    pub(super) fn timed(option: &[u8]) -> Option<(Unit, Base)> {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("EX") => Some((Unit::Seconds, Base::Now)),
            () if is("PX") => Some((Unit::Milliseconds, Base::Now)),
            () if is("EXAT") => Some((Unit::Seconds, Base::Epoch)),
            () if is("PXAT") => Some((Unit::Milliseconds, Base::Epoch)),
            () => None,
        }
    }
}

/// A time that must be positive, in Unix ms: what SET, SETEX and GETEX take.
pub(super) fn positive_time(
    command: &'static str,
    unit: Unit,
    base: Base,
    text: &[u8],
    now_ms: u64,
) -> Result<u64, CommandError> {
    let count = integer(text)?;
    if count <= 0 {
        return Err(CommandError::ExpireTime { command });
    }
    let at = any_time(command, unit, base, count, now_ms)?;
    Ok(at.unsigned_abs())
}

/// A time that may be negative, in Unix ms: what EXPIRE and its kin take. Checks only that it fits 64 bits.
pub(super) fn any_time(
    command: &'static str,
    unit: Unit,
    base: Base,
    count: i64,
    now_ms: u64,
) -> Result<i64, CommandError> {
    let error = CommandError::ExpireTime { command };
    let ms = match unit {
        Unit::Seconds => count.checked_mul(1000),
        Unit::Milliseconds => Some(count),
    };
    let base_ms = match base {
        Base::Now => i64::try_from(now_ms).expect("the clock shows less than 292 million years"),
        Base::Epoch => 0,
    };
    ms.and_then(|ms| ms.checked_add(base_ms)).ok_or(error)
}
