//! Listpacks: how Redis 7 writes small collections. Source: `listpack.md` and `listpack.c` of Redis.
//!
//! ```text
//! bytes u32 LE | entries u16 LE (65535: nobody counted) | entries | 0xff
//! entry: head, data, length of both in 1 to 5 bytes of 7 bits, to be read backwards
//! head: 0ddddddd an integer; 10llllll, 1110llll l, 0xf0 l (u32 LE) a string; 110ddddd d an integer of 13 bits,
//!       0xf1 0xf2 0xf3 0xf4 one of 2, 3, 4, 8 bytes (LE)
//! ```

use carousel_protocol::resp::number::Decimal;

use super::LoadError;
use super::read::{Reader, Text};

const END: u8 = 0xff;
/// The count of entries where there are too many, or nobody counted.
const UNCOUNTED: u16 = u16::MAX;

/// Gives `put` the entries of a listpack; returns how many there were.
pub(super) fn each<'a>(
    bytes: &'a [u8],
    put: &mut dyn FnMut(Text<'a>) -> Result<(), LoadError>,
) -> Result<usize, LoadError> {
    let mut from = Reader::new(bytes);
    let total = u32::from_le_bytes(from.array()?);
    let announced = u16::from_le_bytes(from.array()?);
    if usize::try_from(total) != Ok(bytes.len()) {
        return Err(LoadError::Format);
    }
    let mut count = 0;
    loop {
        let head = from.byte()?;
        if head == END {
            break;
        }
        let (text, len) = entry(head, &mut from)?;
        check_backwards(len, &mut from)?;
        put(text)?;
        count += 1;
    }
    let is_counted = announced == UNCOUNTED || usize::from(announced) == count;
    if from.is_at_end() && is_counted { Ok(count) } else { Err(LoadError::Format) }
}

/// An entry behind its first byte, and the length of both.
fn entry<'a>(head: u8, from: &mut Reader<'a>) -> Result<(Text<'a>, usize), LoadError> {
    let integer = |value: i64| Text::Integer(Decimal::new(value));
    Ok(match head {
        0x00..=0x7f => (integer(head.into()), 1),
        0x80..=0xbf => {
            let len = usize::from(head & 0x3f);
            (Text::Plain(from.take(len)?), 1 + len)
        }
        0xc0..=0xdf => {
            let bits = i16::from(head & 0x1f) << 8 | i16::from(from.byte()?);
            // 13 bits of two's complement.
            (integer((bits << 3 >> 3).into()), 2)
        }
        0xe0..=0xef => {
            let len = usize::from(head & 0x0f) << 8 | usize::from(from.byte()?);
            (Text::Plain(from.take(len)?), 2 + len)
        }
        0xf0 => {
            let len = usize::try_from(u32::from_le_bytes(from.array()?)).map_err(|_| LoadError::Format)?;
            (Text::Plain(from.take(len)?), 5 + len)
        }
        0xf1 => (integer(i16::from_le_bytes(from.array()?).into()), 3),
        0xf2 => {
            let [low, middle, high] = from.array()?;
            (integer((i32::from_le_bytes([0, low, middle, high]) >> 8).into()), 4)
        }
        0xf3 => (integer(i32::from_le_bytes(from.array()?).into()), 5),
        0xf4 => (integer(i64::from_le_bytes(from.array()?)), 9),
        _ => return Err(LoadError::Format),
    })
}

/// The length of an entry as it stands behind it.
fn check_backwards(len: usize, from: &mut Reader<'_>) -> Result<(), LoadError> {
    /// Redis takes one byte more than it must for the last length of each size but the first.
    const BELOW: [usize; 4] = [128, 16_383, 2_097_151, 268_435_455];
    let bytes = 1 + BELOW.iter().take_while(|below| len >= **below).count();
    for at in 0..bytes {
        let bits = (len >> (7 * (bytes - 1 - at))) as u8 & 0x7f;
        let mark = if at == 0 { 0 } else { 0x80 };
        if from.byte()? != bits | mark {
            return Err(LoadError::Format);
        }
    }
    Ok(())
}
