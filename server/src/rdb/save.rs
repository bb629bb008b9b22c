//! From a value to a payload.
//!
//! Collections are written as their items one after the other, which every version of Redis reads, and makes small
//! collections small again. Nothing is compressed: Redis reads both.

use carousel_protocol::resp::number::parse_i64;

use super::{FOOTER_BYTES, VERSION, checksum, kind};
use crate::store::{Item, Value};

/// Appends the payload of a value; returns whether it took no more than `bytes_max`. If it did, `out` is left as it was.
pub fn save(value: Value<'_>, out: &mut Vec<u8>, bytes_max: usize) -> bool {
    let start = out.len();
    let end = start.saturating_add(bytes_max.saturating_sub(FOOTER_BYTES));
    if put_value(value, out, end).is_none() {
        out.truncate(start);
        return false;
    }
    out.extend_from_slice(&VERSION.to_le_bytes());
    let sum = checksum(&out[start..]);
    out.extend_from_slice(&sum.to_le_bytes());
    true
}

/// `None` where it would reach beyond `end`.
fn put_value(value: Value<'_>, out: &mut Vec<u8>, end: usize) -> Option<()> {
    match value {
        Value::String(text) => {
            out.push(kind::STRING);
            put_string(out, text, end)?;
        }
        Value::List(list) => {
            put_head(out, kind::LIST, list.len());
            for element in list.iter_from(0) {
                put_item(out, element, end)?;
            }
        }
        Value::Set(set) => {
            put_head(out, kind::SET, set.len());
            for member in set.iter() {
                put_item(out, member, end)?;
            }
        }
        Value::Hash(hash) => {
            put_head(out, kind::HASH, hash.len());
            for (field, value) in hash.iter() {
                put_item(out, field, end)?;
                put_item(out, value, end)?;
            }
        }
        Value::SortedSet(set) => {
            put_head(out, kind::SORTED_SET, set.len());
            for (score, member) in set.iter_from(0) {
                put_item(out, member, end)?;
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
    }
    (out.len() <= end).then_some(())
}

fn put_head(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.push(kind);
    put_len(out, len);
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&(len as u16 | 0x4000).to_be_bytes()),
        _ => match u32::try_from(len) {
            Ok(len) => {
                out.push(0x80);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        },
    }
}

fn put_item(out: &mut Vec<u8>, item: Item<'_>, end: usize) -> Option<()> {
    put_string(out, item.as_bytes(), end)
}

/// A string; an integer of up to 4 bytes as one.
fn put_string(out: &mut Vec<u8>, text: &[u8], end: usize) -> Option<()> {
    /// No text of more bytes is such an integer.
    const INTEGER_TEXT_BYTES_MAX: usize = 11;
    let integer = if text.len() <= INTEGER_TEXT_BYTES_MAX { parse_i64(text) } else { None };
    match integer.and_then(|value| i32::try_from(value).ok()) {
        Some(value) if i8::try_from(value).is_ok() => out.extend_from_slice(&[0xc0, value as u8]),
        Some(value) if i16::try_from(value).is_ok() => {
            out.push(0xc1);
            out.extend_from_slice(&(value as i16).to_le_bytes());
        }
        Some(value) => {
            out.push(0xc2);
            out.extend_from_slice(&value.to_le_bytes());
        }
        None if out.len().saturating_add(text.len()) > end => return None,
        None => {
            put_len(out, text.len());
            out.extend_from_slice(text);
        }
    }
    (out.len() <= end).then_some(())
}
