//! Ziplists, zipmaps and intsets: how Redis wrote small collections before version 7, and sets of integers still.
//!
//! ```text
//! ziplist  bytes u32 LE | offset of the last entry u32 LE | entries u16 LE (65535: nobody counted) | entries | 0xff
//!   entry  length of the entry before: u8 below 254, or 254 and u32 LE; head; data
//!   head   00llllll, 01llllll l, 0x80 l (u32 BE) a string; 0xc0 0xd0 0xe0 0xf0 0xfe an integer of 2, 4, 8, 3, 1 bytes (LE);
//!          0xf1..=0xfd the integer 0 to 12
//! zipmap   pairs u8 (254 or more: nobody counted) | pairs | 0xff
//!   pair   length, field, length, number of unused bytes u8, value, unused bytes; a length is u8 below 254, or 254 and u32 LE
//! intset   bytes of each u32 LE: 2, 4 or 8 | integers u32 LE | integers LE, ascending
//! ```

use carousel_protocol::resp::number::Decimal;

use super::LoadError;
use super::read::{Reader, Text};

const END: u8 = 0xff;
/// The count of entries where there are too many, or nobody counted.
const UNCOUNTED: u16 = u16::MAX;
/// The pairs of a zipmap that nobody counted.
const UNCOUNTED_PAIRS: u8 = 254;
/// Four bytes of length follow.
const LONG: u8 = 254;
const ZIPLIST_HEADER_BYTES: usize = 10;

/// Gives `put` the entries of a ziplist; returns how many there were.
pub(super) fn each<'a>(
    bytes: &'a [u8],
    put: &mut dyn FnMut(Text<'a>) -> Result<(), LoadError>,
) -> Result<usize, LoadError> {
    let mut from = Reader::new(bytes);
    let total = u32::from_le_bytes(from.array()?);
    let last_at = u32::from_le_bytes(from.array()?);
    let announced = u16::from_le_bytes(from.array()?);
    if usize::try_from(total) != Ok(bytes.len()) {
        return Err(LoadError::Format);
    }
    let (mut count, mut at, mut before) = (0, ZIPLIST_HEADER_BYTES, 0);
    loop {
        let first = from.byte()?;
        if first == END {
            break;
        }
        let (said, head_bytes) = match first {
            LONG => (u32::from_le_bytes(from.array()?), 5),
            short => (short.into(), 1),
        };
        let (text, len) = entry(&mut from)?;
        if usize::try_from(said) != Ok(before) {
            return Err(LoadError::Format);
        }
        before = head_bytes + len;
        at += before;
        put(text)?;
        count += 1;
    }
    let is_counted = announced == UNCOUNTED || usize::from(announced) == count;
    let is_last = usize::try_from(last_at) == Ok(at - before);
    if from.is_at_end() && is_counted && is_last { Ok(count) } else { Err(LoadError::Format) }
}

/// An entry behind the length of the one before, and its own.
fn entry<'a>(from: &mut Reader<'a>) -> Result<(Text<'a>, usize), LoadError> {
    let integer = |value: i64| Text::Integer(Decimal::new(value));
    let head = from.byte()?;
    Ok(match head {
        0x00..=0x3f => (Text::Plain(from.take(head.into())?), 1 + usize::from(head)),
        0x40..=0x7f => {
            let len = usize::from(head & 0x3f) << 8 | usize::from(from.byte()?);
            (Text::Plain(from.take(len)?), 2 + len)
        }
        0x80 => {
            let len = usize::try_from(u32::from_be_bytes(from.array()?)).map_err(|_| LoadError::Format)?;
            (Text::Plain(from.take(len)?), 5 + len)
        }
        0xc0 => (integer(i16::from_le_bytes(from.array()?).into()), 3),
        0xd0 => (integer(i32::from_le_bytes(from.array()?).into()), 5),
        0xe0 => (integer(i64::from_le_bytes(from.array()?)), 9),
        0xf0 => {
            let [low, middle, high] = from.array()?;
            (integer((i32::from_le_bytes([0, low, middle, high]) >> 8).into()), 4)
        }
        0xfe => (integer(i8::from_le_bytes(from.array()?).into()), 2),
        0xf1..=0xfd => (integer(i64::from(head) - 0xf1), 1),
        _ => return Err(LoadError::Format),
    })
}

/// Gives `put` the fields and values of a zipmap.
pub(super) fn each_pair<'a>(
    bytes: &'a [u8],
    put: &mut dyn FnMut(&'a [u8], &'a [u8]) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let mut from = Reader::new(bytes);
    let announced = from.byte()?;
    let mut count = 0u64;
    loop {
        let first = from.byte()?;
        if first == END {
            break;
        }
        let len = zipmap_len(first, &mut from)?;
        let field = from.take(len)?;
        let first = from.byte()?;
        let len = zipmap_len(first, &mut from)?;
        let unused = from.byte()?;
        let value = from.take(len)?;
        from.take(unused.into())?;
        put(field, value)?;
        count += 1;
    }
    let is_counted = announced >= UNCOUNTED_PAIRS || u64::from(announced) == count;
    if from.is_at_end() && is_counted { Ok(()) } else { Err(LoadError::Format) }
}

fn zipmap_len(first: u8, from: &mut Reader<'_>) -> Result<usize, LoadError> {
    match first {
        LONG => usize::try_from(u32::from_le_bytes(from.array()?)).map_err(|_| LoadError::Format),
        END => Err(LoadError::Format),
        short => Ok(short.into()),
    }
}

/// Gives `put` the integers of an intset, each greater than the one before.
pub(super) fn each_integer(
    bytes: &[u8],
    put: &mut dyn FnMut(i64) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let mut from = Reader::new(bytes);
    let width = u32::from_le_bytes(from.array()?);
    let count = u32::from_le_bytes(from.array()?);
    let mut before = None;
    for _ in 0..count {
        let integer = match width {
            2 => i16::from_le_bytes(from.array()?).into(),
            4 => i32::from_le_bytes(from.array()?).into(),
            8 => i64::from_le_bytes(from.array()?),
            _ => return Err(LoadError::Format),
        };
        if before.replace(integer).is_some_and(|before| before >= integer) {
            return Err(LoadError::Format);
        }
        put(integer)?;
    }
    if from.is_at_end() { Ok(()) } else { Err(LoadError::Format) }
}
