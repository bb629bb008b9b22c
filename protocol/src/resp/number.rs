//! Integers as decimal text, both ways, as fast as it goes: they are on the path of every request.

/// Most bytes that [`write_i64`] appends: `-9223372036854775808`.
pub const I64_TEXT_BYTES_MAX: usize = 20;

/// The integer that `text` is, or `None`.
///
/// As strict as Redis' `string2ll`: no spaces, no `+`, no leading zeros, no `-0`, nothing beyond `i64`.
/// That makes text and number one to one: a string that parses can be stored as its number.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (&first, rest) = digits.split_first()?;
    if first == b'0' {
        return (rest.is_empty() && !negative).then_some(0);
    }
    if digits.len() > 19 {
        return None;
    }
    // 19 digits are less than 10^19, which a u64 holds: only the digits themselves need checking here.
    let mut magnitude = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends `value` as decimal text.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Appends `value` as decimal text.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(b'0' + value as u8);
        return;
    }
    let mut text = [0; I64_TEXT_BYTES_MAX];
    let start = fill_from_end(&mut text, value);
    out.extend_from_slice(&text[start..]);
}

/// An integer's decimal text, held in place.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    text: [u8; I64_TEXT_BYTES_MAX],
    start: u8,
}

impl Decimal {
    /// The text of `value`.
    #[inline]
    pub fn new(value: i64) -> Self {
        let mut text = [0; I64_TEXT_BYTES_MAX];
        let mut start = fill_from_end(&mut text, value.unsigned_abs());
        if value < 0 {
            start -= 1;
            text[start] = b'-';
        }
        Self { text, start: start as u8 }
    }
}

impl std::ops::Deref for Decimal {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.text[usize::from(self.start)..]
    }
}

/// Writes `value` right-aligned into `text`; returns where it begins.
fn fill_from_end(text: &mut [u8; I64_TEXT_BYTES_MAX], mut value: u64) -> usize {
    let mut at = text.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        text[at] = b'0' + value as u8;
    }
    at
}

/// Appends `kind`, `length` and CR LF: the head of a bulk string, an array and so on.
#[inline]
pub(super) fn write_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    // One append for the common sizes: separate ones would each check the capacity.
    if length < 10 {
        out.extend_from_slice(&[kind, b'0' + length as u8, b'\r', b'\n']);
    } else if length < 100 {
        let pair = length * 2;
        out.extend_from_slice(&[kind, PAIRS[pair], PAIRS[pair + 1], b'\r', b'\n']);
    } else {
        out.push(kind);
        write_u64(out, length as u64);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        write_i64(&mut out, value);
        out
    }

    #[test]
    fn integers_are_written_as_the_standard_library_writes_them() {
        let mut value = 1i64;
        for _ in 0..64 {
            for near in [value.wrapping_sub(1), value, value.wrapping_add(1), value.wrapping_neg()] {
                assert_eq!(text(near), near.to_string().into_bytes());
                assert_eq!(parse_i64(&text(near)), Some(near));
            }
            value = value.wrapping_mul(2).max(1).wrapping_add(value % 10);
        }
        for exponent in 0..19 {
            let power = 10i64.pow(exponent);
            for near in [power - 1, power, power + 1] {
                assert_eq!(text(near), near.to_string().into_bytes());
            }
        }
        assert_eq!(text(i64::MIN), b"-9223372036854775808");
        assert_eq!(text(i64::MAX), b"9223372036854775807");
        let mut out = Vec::new();
        write_u64(&mut out, u64::MAX);
        assert_eq!(out, b"18446744073709551615");
    }

    #[test]
    fn only_the_one_canonical_text_of_an_integer_is_one() {
        for bad in [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "-01",
            "00",
            "1a",
            "a",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "18446744073709551616",
            "--1",
        ] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_i64(b"0"), Some(0));
    }

    #[test]
    fn heads_of_every_size_are_right() {
        for length in [0, 9, 10, 42, 99, 100, 12345, 536_870_912] {
            let mut out = Vec::new();
            write_head(&mut out, b'$', length);
            assert_eq!(out, format!("${length}\r\n").into_bytes());
        }
    }
}
