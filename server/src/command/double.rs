//! Doubles as clients write them.

use super::long_double::LongDouble;

/// As C's `strtod` reads a number: white space may come first, a zero byte ends it, and no text at all is 0. Otherwise as
/// [`read_double`].
pub(super) fn read_c_double(text: &[u8]) -> Option<(f64, bool)> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or(text);
    if text.is_empty() {
        return Some((0.0, true));
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    read_double(&text[start..])
}

/// The number that all of `text` is, which is not NaN, and whether it is within a double's range.
pub(super) fn read_double(text: &[u8]) -> Option<(f64, bool)> {
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if let [b'0', b'x' | b'X', ..] = unsigned {
        let value = LongDouble::parse(text)?.to_f64();
        return Some((value, value.is_finite()));
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let digits = unsigned.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next().unwrap_or(unsigned);
    let is_exact = if value.is_infinite() {
        unsigned[0].is_ascii_alphabetic()
    } else {
        value != 0.0 || !digits.iter().any(|digit| matches!(digit, b'1'..=b'9'))
    };
    (!value.is_nan()).then_some((value, is_exact))
}
