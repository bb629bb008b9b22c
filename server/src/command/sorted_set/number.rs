//! Scores, and ranges of scores and members, as commands write them.

use super::super::double::{read_c_double, read_double};
use super::super::error::CommandError;

/// The score that `text` is, as Redis reads it (`string2d`): decimal, hexadecimal or infinite.
pub(super) fn parse_score(text: &[u8]) -> Option<f64> {
    let (value, is_exact) = read_double(text)?;
    // Beyond what a double can be, or so small that nothing is left of it.
    if is_exact { Some(value) } else { None }
}

/// As the bounds of ranges are read: what is beyond a double's range is fine.
fn parse_bound(text: &[u8]) -> Option<f64> {
    read_c_double(text).map(|(value, _)| value)
}

/// From one score to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScoreRange {
    min: f64,
    max: f64,
    is_min_excluded: bool,
    is_max_excluded: bool,
}

impl ScoreRange {
    /// `1.5`, `(1.5`, `-inf` and the like.
    pub(super) fn parse(min: &[u8], max: &[u8]) -> Result<Self, CommandError> {
        let bound = |text: &[u8]| {
            let (text, is_excluded) = match text {
                [b'(', rest @ ..] => (rest, true),
                _ => (text, false),
            };
            parse_bound(text).map(|bound| (bound, is_excluded)).ok_or(CommandError::ScoreRange)
        };
        let ((min, is_min_excluded), (max, is_max_excluded)) = (bound(min)?, bound(max)?);
        Ok(Self { min, max, is_min_excluded, is_max_excluded })
    }

    /// Whether the range begins only after that score.
    pub(super) fn begins_after(&self, score: f64) -> bool {
        score < self.min || (self.is_min_excluded && score == self.min)
    }

    /// Whether the range goes on to that score, or beyond.
    pub(super) fn reaches(&self, score: f64) -> bool {
        score < self.max || (!self.is_max_excluded && score == self.max)
    }
}

/// One end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LexBound<'a> {
    /// `-`
    First,
    /// `+`
    Last,
    /// `[member`
    Included(&'a [u8]),
    /// `(member`
    Excluded(&'a [u8]),
}

impl<'a> LexBound<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, CommandError> {
        match text {
            // As Redis, which sees a C string.
            [b'-'] | [b'-', 0, ..] => Ok(Self::First),
            [b'+'] | [b'+', 0, ..] => Ok(Self::Last),
            [b'[', member @ ..] => Ok(Self::Included(member)),
            [b'(', member @ ..] => Ok(Self::Excluded(member)),
            _ => Err(CommandError::LexRange),
        }
    }
}

/// From one member to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LexRange<'a> {
    min: LexBound<'a>,
    max: LexBound<'a>,
}

impl<'a> LexRange<'a> {
    /// `-`, `+`, `[member` or `(member`.
    pub(super) fn parse(min: &'a [u8], max: &'a [u8]) -> Result<Self, CommandError> {
        Ok(Self { min: LexBound::parse(min)?, max: LexBound::parse(max)? })
    }

    /// Whether the range begins only after that member.
    pub(super) fn begins_after(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::First => false,
            LexBound::Last => true,
            LexBound::Included(min) => member < min,
            LexBound::Excluded(min) => member <= min,
        }
    }

    /// Whether the range goes on to that member, or beyond.
    pub(super) fn reaches(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::First => false,
            LexBound::Last => true,
            LexBound::Included(max) => member <= max,
            LexBound::Excluded(max) => member < max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_as_redis_reads_them() {
        let read = |text: &str| parse_score(text.as_bytes());
        for (text, value) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-1.5e3", -1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x10", 16.0),
            ("-0X1.8p-1", -0.75),
            ("0e999", 0.0),
            ("1e-310", 1e-310),
            ("inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        assert!(read("-0").unwrap().is_sign_negative());
        let bad = [
            "", "nan", "-nan", "nan(1)", "1e400", "-1e400", "1e-400", "0x1p5000", " 1", "1 ", "(1", "1e",
            "0x",
        ];
        for text in bad.into_iter().chain(["1_0", ".", "e5", "0x1p", "\u{661}", "1\0", "infinit"]) {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(parse_score(b"1\xff"), None);
    }

    #[test]
    fn bounds_of_ranges_may_be_more() {
        let bound = |text: &str| parse_bound(text.as_bytes());
        let infinite = Some(f64::INFINITY);
        assert_eq!(
            [bound(""), bound(" 2"), bound("1e400"), bound("2\0x")],
            [Some(0.0), Some(2.0), infinite, Some(2.0)]
        );
        assert_eq!([bound("1e-400"), bound("\t\r-1")], [Some(0.0), Some(-1.0)]);
        assert_eq!([bound("2 "), bound(" "), bound("nan"), bound("((1")], [None; 4]);
    }
}
