//! BITFIELD and BITFIELD_RO: integers of any width at any bit of a string.

use carousel_protocol::resp::Argv;
use carousel_protocol::resp::number::parse_i64;

use super::bitmap::{VALUE_BITS_MAX, bit_offset};
use super::error::CommandError;
use super::exec::{Exec, Outcome, integer};
use super::tables::KeyAt;
use crate::limits;

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP|SAT|FAIL] SET type offset value | INCRBY type offset increment] ...`
pub(super) fn bitfield(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let operations = Operation::parse_all(argv)?;
    run(exec, argv, &operations)
}

/// `BITFIELD_RO key [GET type offset] ...`
pub(super) fn bitfield_ro(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let operations = Operation::parse_all(argv)?;
    if operations.iter().any(Operation::writes) {
        return Err(CommandError::BitFieldReadOnly);
    }
    run(exec, argv, &operations)
}

/// Replies with what each operation found or made.
fn run(exec: &mut Exec<'_>, argv: Argv<'_>, operations: &[Operation]) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let written_bytes =
        operations.iter().filter(|operation| operation.writes()).map(Operation::end_byte).max();
    // Each write is an effect of its own, with the key.
    let writes = operations.iter().filter(|operation| operation.writes()).count();
    exec.room.reserve(writes * (key.len() + limits::RECORD_OVERHEAD_BYTES))?;
    // Also the check of the key's type, before there is any reply.
    match written_bytes {
        Some(_) => exec.find_as::<&[u8]>(at, key)?,
        None => exec.read_as::<&[u8]>(at, key)?,
    };
    exec.reply.array(operations.len());
    for operation in operations {
        match operation.run(exec, at, key) {
            Some(value) => exec.reply.integer(value),
            None => exec.reply.null(),
        }
    }
    // As in Redis, the value has room for all that was to be written, also for what then was zero or failed.
    if let Some(bytes) = written_bytes
        && exec.tables.peek(at, key, exec.now.unix_ms).is_none_or(|entry| entry.bytes().len() < bytes)
    {
        exec.tables.patch(at, key, bytes - 1, &[0], exec.effects);
    }
    Ok(())
}

/// How an integer is kept in bits: `u1` to `u63`, or `i1` to `i64` in two's complement.
#[derive(Clone, Copy, Debug)]
struct FieldType {
    is_signed: bool,
    /// 1 to 64.
    bits: u32,
}

impl FieldType {
    fn parse(text: &[u8]) -> Result<Self, CommandError> {
        let (is_signed, bits, bits_max) = match text {
            [b'i', bits @ ..] => (true, bits, 64),
            // Unsigned integers of 64 bits would not fit the integers of replies.
            [b'u', bits @ ..] => (false, bits, 63),
            _ => return Err(CommandError::BitFieldType),
        };
        let bits = parse_i64(bits).and_then(|bits| u32::try_from(bits).ok());
        match bits {
            Some(bits) if (1..=bits_max).contains(&bits) => Ok(Self { is_signed, bits }),
            Some(_) | None => Err(CommandError::BitFieldType),
        }
    }

    /// The integer that these bits, the lowest ones of `raw`, are.
    fn value(self, raw: u64) -> i64 {
        let spare = 64 - self.bits;
        if self.is_signed { (raw << spare) as i64 >> spare } else { raw as i64 }
    }

    /// The smallest and the largest integer.
    fn limits(self) -> (i128, i128) {
        if self.is_signed {
            let half = 1i128 << (self.bits - 1);
            (-half, half - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        }
    }

    /// The bits of `wanted`, or of what `overflow` puts in its place; `None` where that is nothing.
    fn fit(self, wanted: i128, overflow: Overflow) -> Option<u64> {
        let (min, max) = self.limits();
        let kept = match overflow {
            Overflow::Wrap => wanted,
            Overflow::Saturate => wanted.clamp(min, max),
            Overflow::Fail if (min..=max).contains(&wanted) => wanted,
            Overflow::Fail => return None,
        };
        Some(kept as u64 & (u64::MAX >> (64 - self.bits)))
    }
}

/// What to do with an integer that is too small or too large for its type.
#[derive(Clone, Copy, Debug)]
enum Overflow {
    /// Keep its lowest bits.
    Wrap,
    /// Take the nearest that fits. (Redis takes the largest for a SET far below the smallest: its sum overflows.)
    Saturate,
    /// Write nothing and reply null.
    Fail,
}

impl Overflow {
    fn parse(name: &[u8]) -> Result<Self, CommandError> {
        match () {
            () if name.eq_ignore_ascii_case(b"WRAP") => Ok(Self::Wrap),
            () if name.eq_ignore_ascii_case(b"SAT") => Ok(Self::Saturate),
            () if name.eq_ignore_ascii_case(b"FAIL") => Ok(Self::Fail),
            () => Err(CommandError::OverflowType),
        }
    }
}

/// What is done to a field.
#[derive(Clone, Copy, Debug)]
enum Action {
    Get,
    /// Replies with the old value.
    Set(i64, Overflow),
    /// Replies with the new value.
    IncrBy(i64, Overflow),
}

/// One of a command's operations.
#[derive(Clone, Copy, Debug)]
struct Operation {
    field: FieldType,
    /// Of the field's first bit.
    offset: usize,
    action: Action,
}

impl Operation {
    fn parse_all(argv: Argv<'_>) -> Result<Vec<Self>, CommandError> {
        let mut operations = Vec::new();
        let mut overflow = Overflow::Wrap;
        let mut at = 2;
        while at < argv.len() {
            let left = argv.len() - at - 1;
            let is = |name: &str| argv.get(at).eq_ignore_ascii_case(name.as_bytes());
            let args = match () {
                () if is("OVERFLOW") && left >= 1 => {
                    overflow = Overflow::parse(argv.get(at + 1))?;
                    at += 2;
                    continue;
                }
                () if is("GET") && left >= 2 => 2,
                () if (is("SET") || is("INCRBY")) && left >= 3 => 3,
                () => return Err(CommandError::Syntax),
            };
            let field = FieldType::parse(argv.get(at + 1))?;
            let offset = field_offset(argv.get(at + 2), field)?;
            let action = match () {
                () if is("GET") => Action::Get,
                () if is("SET") => Action::Set(integer(argv.get(at + 3))?, overflow),
                () => Action::IncrBy(integer(argv.get(at + 3))?, overflow),
            };
            let operation = Self { field, offset, action };
            // Redis lets the last field of the longest value make that some bytes longer.
            if operation.writes() && operation.end_byte() * 8 > VALUE_BITS_MAX {
                return Err(CommandError::BitOffset);
            }
            operations.push(operation);
            at += 1 + args;
        }
        Ok(operations)
    }

    fn writes(&self) -> bool {
        match self.action {
            Action::Get => false,
            Action::Set(..) | Action::IncrBy(..) => true,
        }
    }

    /// How long a value that has all of the field is, in bytes.
    fn end_byte(&self) -> usize {
        (self.offset + self.field.bits as usize).div_ceil(8)
    }

    /// Does it; returns what to reply, or `None` where the field would overflow and must not.
    fn run(&self, exec: &mut Exec<'_>, at: KeyAt, key: &[u8]) -> Option<i64> {
        let first_byte = self.offset / 8;
        let value = exec.tables.peek(at, key, exec.now.unix_ms).map_or(&[][..], |entry| entry.bytes());
        let window = Window::of(value.get(first_byte..).unwrap_or_default());
        let shift = (self.offset % 8) as u32;
        let old = window.get(shift, self.field.bits);
        let (new, replies_old) = match self.action {
            Action::Get => (old, true),
            // As in Redis, a negative number is beyond the largest unsigned one, not below zero.
            Action::Set(value, overflow) if !self.field.is_signed => {
                (self.field.fit(i128::from(value as u64), overflow)?, true)
            }
            Action::Set(value, overflow) => (self.field.fit(i128::from(value), overflow)?, true),
            Action::IncrBy(increment, overflow) => {
                let sum = i128::from(self.field.value(old)) + i128::from(increment);
                (self.field.fit(sum, overflow)?, false)
            }
        };
        if new != old {
            let bytes = window.with(shift, self.field.bits, new).0.to_be_bytes();
            let written = &bytes[..self.end_byte() - first_byte];
            exec.tables.patch(at, key, first_byte, written, exec.effects);
        }
        Some(self.field.value(if replies_old { old } else { new }))
    }
}

/// An offset in bits, or `#n` for the place of field `n` where all have this type.
fn field_offset(text: &[u8], field: FieldType) -> Result<usize, CommandError> {
    match text {
        [b'#', index @ ..] => bit_offset(index)?
            .checked_mul(field.bits as usize)
            .filter(|offset| *offset < VALUE_BITS_MAX)
            .ok_or(CommandError::BitOffset),
        _ => bit_offset(text),
    }
}

/// Sixteen bytes as one number, the first byte on top; nine hold any field that begins in the first one.
#[derive(Clone, Copy)]
struct Window(u128);

impl Window {
    /// The first bytes of `bytes`, with zeros after their end.
    fn of(bytes: &[u8]) -> Self {
        let mut window = [0; 16];
        let len = bytes.len().min(window.len());
        window[..len].copy_from_slice(&bytes[..len]);
        Self(u128::from_be_bytes(window))
    }

    /// The 1 to 64 bits after the first `shift`, which are fewer than 8.
    fn get(self, shift: u32, bits: u32) -> u64 {
        ((self.0 << shift) >> (u128::BITS - bits)) as u64
    }

    /// The window with those bits replaced by the lowest of `raw`, which has no others.
    fn with(self, shift: u32, bits: u32, raw: u64) -> Self {
        let to_place = |bits_on_right: u128| (bits_on_right << (u128::BITS - bits)) >> shift;
        let mask = to_place(u128::from(u64::MAX >> (u64::BITS - bits)));
        Self((self.0 & !mask) | to_place(raw.into()))
    }
}
