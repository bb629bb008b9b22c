//! Commands on the bits of strings.
//!
//! Bits are numbered as Redis numbers them: bit 0 is the highest of the first byte. A value has no bits set beyond its
//! end.

use std::ops::Range;

use carousel_protocol::resp::Argv;
use carousel_protocol::resp::number::parse_i64;

use super::error::CommandError;
use super::exec::{Exec, Outcome, integer};
use crate::store::VALUE_BYTES_MAX;

/// Bits of the longest value.
pub(super) const VALUE_BITS_MAX: usize = VALUE_BYTES_MAX * 8;
const _: () = assert!(VALUE_BITS_MAX as u64 == 1 << 32, "bit offsets have 32 bits, as in Redis");

/// The offset of a bit that a value can have.
pub(super) fn bit_offset(text: &[u8]) -> Result<usize, CommandError> {
    parse_i64(text)
        .and_then(|offset| usize::try_from(offset).ok())
        .filter(|offset| *offset < VALUE_BITS_MAX)
        .ok_or(CommandError::BitOffset)
}

/// The byte that has a bit, and the bit's place in it.
fn place_of(offset: usize) -> (usize, u8) {
    (offset / 8, 0x80 >> (offset % 8))
}

/// `SETBIT key offset 0|1`: replies with the bit that was there.
pub(super) fn setbit(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (byte, bit) = place_of(bit_offset(argv.get(2))?);
    let sets = match argv.get(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(CommandError::Bit),
    };
    let old = exec.find_as::<&[u8]>(at, key)?.and_then(|value| value.get(byte).copied());
    let was_set = old.is_some_and(|old| old & bit != 0);
    // A bit beyond the end makes the value longer, also a clear one.
    if old.is_none() || was_set != sets {
        let others = old.unwrap_or(0) & !bit;
        let new = if sets { others | bit } else { others };
        exec.tables.patch(at, key, byte, &[new], exec.effects);
    }
    exec.reply.integer(was_set.into());
    Ok(())
}

pub(super) fn getbit(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let (byte, bit) = place_of(bit_offset(argv.get(2))?);
    let found = exec.read_as::<&[u8]>(at, key)?.and_then(|value| value.get(byte).copied());
    exec.reply.integer(found.is_some_and(|found| found & bit != 0).into());
    Ok(())
}

/// What the ends of a range count.
#[derive(Clone, Copy)]
enum RangeUnit {
    Byte,
    Bit,
}

impl RangeUnit {
    fn parse(text: &[u8]) -> Result<Self, CommandError> {
        match () {
            () if text.eq_ignore_ascii_case(b"BYTE") => Ok(Self::Byte),
            () if text.eq_ignore_ascii_case(b"BIT") => Ok(Self::Bit),
            () => Err(CommandError::Syntax),
        }
    }

    /// The bits from `start` to `end`, both inclusive and in this unit; negative ones count from the value's end.
    fn bits_of(self, value: &[u8], start: i64, end: i64) -> Range<usize> {
        let bits = match self {
            Self::Byte => 8,
            Self::Bit => 1,
        };
        let len = (value.len() * 8 / bits) as i64;
        let from_end = |index: i64| if index < 0 { (index + len).max(0) } else { index };
        let (start, end) = (from_end(start), from_end(end).min(len - 1));
        if start > end { 0..0 } else { start as usize * bits..(end as usize + 1) * bits }
    }
}

/// `BITCOUNT key [start end [BYTE | BIT]]`
pub(super) fn bitcount(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    // As in Redis 7.2, a missing key hides impossible arguments.
    let count = match exec.read_as::<&[u8]>(at, key)? {
        Some(value) => count_ones(value, bits_to_count(value, argv)?),
        None => 0,
    };
    exec.reply.integer(count as i64);
    Ok(())
}

fn bits_to_count(value: &[u8], argv: Argv<'_>) -> Result<Range<usize>, CommandError> {
    match argv.len() {
        2 => Ok(0..value.len() * 8),
        4 | 5 => {
            let (start, end) = (integer(argv.get(2))?, integer(argv.get(3))?);
            // So in Redis, before it looks at the unit; BITPOS clamps both to the first byte instead.
            if start < 0 && end < 0 && start > end {
                return Ok(0..0);
            }
            let unit = if argv.len() == 5 { RangeUnit::parse(argv.get(4))? } else { RangeUnit::Byte };
            Ok(unit.bits_of(value, start, end))
        }
        _ => Err(CommandError::Syntax),
    }
}

fn count_ones(value: &[u8], bits: Range<usize>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let (first, last) = (bits.start / 8, (bits.end - 1) / 8);
    let (words, rest) = value[first..=last].as_chunks();
    let in_words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    let in_rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    // What the first and the last byte have outside of the range.
    let before = u32::from(value[first]) >> (8 - bits.start % 8);
    let after = u32::from(value[last]) & (0xFF >> ((bits.end - 1) % 8 + 1));
    in_words + u64::from(in_rest) - u64::from(before.count_ones() + after.count_ones())
}

/// `BITPOS key 0|1 [start [end [BYTE | BIT]]]`
pub(super) fn bitpos(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let wanted = match integer(argv.get(2))? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::BitArgument),
    };
    let position = match exec.read_as::<&[u8]>(at, key)? {
        Some(value) => position_in(value, wanted, argv)?,
        // Zeros without an end, whatever the range; this too hides impossible arguments.
        None => (!wanted).then_some(0),
    };
    exec.reply.integer(position.map_or(-1, |position| position as i64));
    Ok(())
}

fn position_in(value: &[u8], wanted: bool, argv: Argv<'_>) -> Result<Option<usize>, CommandError> {
    let bits = match argv.len() {
        3 => 0..value.len() * 8,
        4..=6 => {
            let start = integer(argv.get(3))?;
            let unit = if argv.len() == 6 { RangeUnit::parse(argv.get(5))? } else { RangeUnit::Byte };
            let end = if argv.len() >= 5 { integer(argv.get(4))? } else { -1 };
            unit.bits_of(value, start, end)
        }
        _ => return Err(CommandError::Syntax),
    };
    if bits.is_empty() {
        return Ok(None);
    }
    let found = find_bit(value, wanted, bits);
    // Zeros are imagined after a value whose end the client did not name.
    let is_open = !wanted && argv.len() < 5;
    Ok(found.or_else(|| is_open.then_some(value.len() * 8)))
}

/// The first bit of the (not empty) range that is set, or clear, as `wanted`.
fn find_bit(value: &[u8], wanted: bool, bits: Range<usize>) -> Option<usize> {
    let first = bits.start / 8;
    let value = &value[..bits.end.div_ceil(8)];
    // Looked at through this, the wanted bits are ones.
    let flip = if wanted { 0 } else { u64::MAX };
    let head = (value[first] ^ flip as u8) & (0xFF >> (bits.start % 8));
    let found = if head != 0 {
        Some(first * 8 + head.leading_zeros() as usize)
    } else {
        find_one(&value[first + 1..], flip).map(|position| (first + 1) * 8 + position)
    };
    found.filter(|position| bits.contains(position))
}

/// The first bit that is set in bytes of which `flip` inverts all bits or none.
fn find_one(bytes: &[u8], flip: u64) -> Option<usize> {
    let (words, rest) = bytes.as_chunks();
    let in_words = words.iter().enumerate().find_map(|(n, word)| {
        let word = u64::from_be_bytes(*word) ^ flip;
        (word != 0).then(|| n * 64 + word.leading_zeros() as usize)
    });
    in_words.or_else(|| {
        rest.iter().enumerate().find_map(|(n, byte)| {
            let byte = byte ^ flip as u8;
            (byte != 0).then(|| (words.len() * 8 + n) * 8 + byte.leading_zeros() as usize)
        })
    })
}

/// An operation on the bits of several values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(name: &[u8]) -> Result<Self, CommandError> {
        match () {
            () if name.eq_ignore_ascii_case(b"AND") => Ok(Self::And),
            () if name.eq_ignore_ascii_case(b"OR") => Ok(Self::Or),
            () if name.eq_ignore_ascii_case(b"XOR") => Ok(Self::Xor),
            () if name.eq_ignore_ascii_case(b"NOT") => Ok(Self::Not),
            () => Err(CommandError::Syntax),
        }
    }

    /// Joins another source to what came of those before; the shorter of both counts as filled up with zeros.
    fn join(self, result: &mut Vec<u8>, source: &[u8]) {
        if result.len() < source.len() {
            result.resize(source.len(), 0);
        }
        let (common, rest) = result.split_at_mut(source.len());
        // Loops as plain as these become vector instructions.
        let pairs = common.iter_mut().zip(source);
        match self {
            Self::And => {
                pairs.for_each(|(byte, other)| *byte &= other);
                rest.fill(0);
            }
            Self::Or => pairs.for_each(|(byte, other)| *byte |= other),
            Self::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
            Self::Not => unreachable!("NOT has one source"),
        }
    }
}

/// `BITOP AND|OR|XOR|NOT destination key [key ...]`: replies with the length of the result. An empty one is no value.
pub(super) fn bitop(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    const FIRST_SOURCE: usize = 3;
    let operation = Operation::parse(argv.get(1))?;
    if operation == Operation::Not && argv.len() != FIRST_SOURCE + 1 {
        return Err(CommandError::BitOpNot);
    }
    let mut result = Vec::new();
    for index in FIRST_SOURCE..argv.len() {
        let (at, key) = exec.key_of_any_slot(argv, index);
        let source = exec.read_as::<&[u8]>(at, key)?.unwrap_or_default();
        if index == FIRST_SOURCE {
            result.extend_from_slice(source);
        } else {
            operation.join(&mut result, source);
        }
    }
    if operation == Operation::Not {
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let (at, key) = exec.key_of_any_slot(argv, 2);
    if result.is_empty() {
        exec.tables.remove(at, key, exec.effects);
    } else {
        exec.room.reserve(result.len())?;
        exec.set(at, key, &result, None);
    }
    exec.reply.integer(result.len() as i64);
    Ok(())
}
