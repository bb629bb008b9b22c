//! The numbers of INCRBYFLOAT: x86's 80-bit floating point, which is what Redis computes with (`long double`).
//!
//! With 64 bits of mantissa, 10.5 + 0.1 printed with 17 decimals is 10.6; with a double's 53 bits it is not.
//! Clients compare such texts, so the numbers are computed as Redis does: parsed exactly and rounded to nearest,
//! added exactly and rounded to nearest (ties to even), printed as by `printf("%.17Lf")` without trailing
//! zeros. Nothing here needs to be fast.

use std::cmp::Ordering;

/// Bits of the mantissa.
const PRECISION: u32 = 64;
/// Values from `2^EXPONENT_MAX` on are infinite.
const EXPONENT_MAX: i32 = 16_384;
/// Half of the smallest number that is not zero is `2^EXPONENT_MIN`: anything up to it is zero.
const EXPONENT_MIN: i32 = -16_446;
/// Redis reads no longer texts as numbers.
const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;
/// Decimals that are printed, before trailing zeros are cut.
const DECIMALS: usize = 17;

/// An 80-bit floating point number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum LongDouble {
    /// `mantissa * 2^exponent`, negated where `negative`; the mantissa is zero or has its top bit set.
    Finite { negative: bool, mantissa: u64, exponent: i32 },
    /// Beyond what can be counted.
    Infinite { negative: bool },
    /// The sum of both infinities.
    NotANumber,
}

impl LongDouble {
    pub(super) const ZERO: Self = Self::Finite { negative: false, mantissa: 0, exponent: 0 };

    /// The number that `text` is, as `strtold` reads it (decimal, hexadecimal, infinity); `None` where it is none,
    /// or so large or so small that only infinity or zero would be left of it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite { negative });
        }
        let value = match digits {
            [b'0', b'x' | b'X', rest @ ..] => parse_hexadecimal(rest, negative),
            _ => parse_decimal(digits, negative),
        }?;
        matches!(value, Self::Finite { .. }).then_some(value)
    }

    /// Whether it is a number, and not infinite.
    pub(super) fn is_finite(self) -> bool {
        matches!(self, Self::Finite { .. })
    }

    /// The nearest double.
    pub(super) fn to_f64(self) -> f64 {
        let (is_negative, magnitude) = match self {
            Self::Finite { negative, mantissa, exponent } => {
                // In steps that a power of two is exact for; what is left of a tiny number may be rounded twice.
                let (first, second) = (exponent / 2, exponent - exponent / 2);
                (negative, mantissa as f64 * 2f64.powi(first) * 2f64.powi(second))
            }
            Self::Infinite { negative } => (negative, f64::INFINITY),
            Self::NotANumber => return f64::NAN,
        };
        if is_negative { -magnitude } else { magnitude }
    }

    /// The sum, rounded to nearest.
    pub(super) fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotANumber, _) | (_, Self::NotANumber) => Self::NotANumber,
            (Self::Infinite { negative: a }, Self::Infinite { negative: b }) if a != b => Self::NotANumber,
            (Self::Infinite { .. }, _) => self,
            (_, Self::Infinite { .. }) => other,
            (
                Self::Finite { negative: a, mantissa: m, exponent: e },
                Self::Finite { negative: b, mantissa: n, exponent: f },
            ) => add_finite((a, m, e), (b, n, f)),
        }
    }

    /// Decimal text without an exponent, at most 17 decimals and no trailing zeros; `None` where it is not
    /// finite.
    pub(super) fn to_text(self) -> Option<String> {
        let Self::Finite { negative, mantissa, exponent } = self else { return None };
        let (mut whole, fraction) = if exponent >= 0 {
            let mut digits = BigUint::from(mantissa);
            digits.shift_left(exponent as u32);
            (digits.into_decimal(), 0)
        } else {
            // mantissa * 10^17 fits 121 bits.
            let scale = 10u128.pow(DECIMALS as u32);
            let rounded = shift_right_to_nearest(u128::from(mantissa) * scale, exponent.unsigned_abs());
            ((rounded / scale).to_string(), rounded % scale)
        };
        if fraction != 0 {
            let decimals = format!("{fraction:0DECIMALS$}");
            whole.push('.');
            whole.push_str(decimals.trim_end_matches('0'));
        }
        let is_zero = whole == "0";
        Some(if negative && !is_zero { format!("-{whole}") } else { whole })
    }

    /// `mantissa * 2^exponent` (more, if `sticky`, by less than one unit of the mantissa), rounded to nearest.
    fn round(negative: bool, mantissa: u128, exponent: i32, sticky: bool) -> Self {
        if mantissa == 0 {
            return Self::Finite { negative, mantissa: 0, exponent: 0 };
        }
        let bits = 128 - mantissa.leading_zeros();
        let (mut rounded, mut shifted) = (mantissa, exponent);
        if bits > PRECISION {
            let drop = bits - PRECISION;
            // The sticky part counts as a lowest bit: there are at least two below, or it is not set.
            assert!(!sticky || drop >= 2, "a sticky part lies far below the mantissa");
            rounded = shift_right_to_nearest(mantissa | u128::from(sticky), drop);
            shifted += drop as i32;
        } else {
            assert!(!sticky, "a sticky part lies far below the mantissa");
            rounded <<= PRECISION - bits;
            shifted -= (PRECISION - bits) as i32;
        }
        if rounded >> PRECISION != 0 {
            rounded >>= 1;
            shifted += 1;
        }
        if shifted + PRECISION as i32 > EXPONENT_MAX {
            return Self::Infinite { negative };
        }
        Self::Finite { negative, mantissa: rounded as u64, exponent: shifted }
    }
}

type Parts = (bool, u64, i32);

fn add_finite(a: Parts, b: Parts) -> LongDouble {
    if a.1 == 0 || b.1 == 0 {
        let (negative, mantissa, exponent) = if b.1 == 0 { a } else { b };
        let negative = if a.1 == 0 && b.1 == 0 { a.0 && b.0 } else { negative };
        return LongDouble::Finite { negative, mantissa, exponent };
    }
    // Both mantissas are normalised, so the greater exponent is the greater number.
    let ((negative, m, e), (other, n, f)) = if (a.2, a.1) >= (b.2, b.1) { (a, b) } else { (b, a) };
    const GUARD: u32 = 62;
    let large = u128::from(m) << GUARD;
    let distance = (e - f) as u32;
    let exact = u128::from(n) << GUARD;
    let (small, lost) = if distance < 128 {
        (exact >> distance, distance > 0 && exact << (128 - distance) != 0)
    } else {
        (0, true)
    };
    let exponent = e - GUARD as i32;
    if negative == other {
        return LongDouble::round(negative, large + small, exponent, lost);
    }
    // With something lost the true difference is a little below: one less, and a little more than that.
    let difference = large - small - u128::from(lost);
    LongDouble::round(negative && difference != 0, difference, exponent, lost)
}

/// `value / 2^shift`, rounded to nearest, ties to even.
fn shift_right_to_nearest(value: u128, shift: u32) -> u128 {
    match shift {
        0 => value,
        1..128 => {
            let kept = value >> shift;
            let lost = value << (128 - shift);
            let half = 1 << 127;
            kept + u128::from(lost > half || (lost == half && kept & 1 == 1))
        }
        // All that is shifted by so much has fewer than 127 bits: less than a half is left.
        _ => 0,
    }
}

/// Digits with at most one point, then an exponent after `marker`; yields the digits without the point, how many
/// of them are behind it, and the exponent.
fn split_number(text: &[u8], marker: u8, is_digit: fn(&u8) -> bool) -> Option<(Vec<u8>, i64, i64)> {
    let mantissa_end = text.iter().position(|b| b.eq_ignore_ascii_case(&marker)).unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at(mantissa_end);
    let mut parts = mantissa.splitn(2, |&b| b == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.iter().all(is_digit) {
        return None;
    }
    let exponent = match exponent {
        [] => 0,
        [_, rest @ ..] => {
            let (sign, digits) = match rest {
                [b'-', digits @ ..] => (-1, digits),
                [b'+', digits @ ..] => (1, digits),
                digits => (1, digits),
            };
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            // Beyond a million nothing depends on the exponent's exact value.
            sign * digits.iter().fold(0, |n, b| (n * 10 + i64::from(b - b'0')).min(1_000_000))
        }
    };
    Some((digits, fraction.len() as i64, exponent))
}

fn parse_decimal(text: &[u8], negative: bool) -> Option<LongDouble> {
    let (digits, decimals, exponent) = split_number(text, b'e', u8::is_ascii_digit)?;
    let mut numerator = BigUint::default();
    digits.iter().for_each(|digit| numerator.multiply_add(10, u32::from(digit - b'0')));
    if numerator.is_zero() {
        return Some(LongDouble::Finite { negative, mantissa: 0, exponent: 0 });
    }
    let power = exponent - decimals;
    if power.unsigned_abs() > 2 * TEXT_BYTES_MAX as u64 {
        return None;
    }
    if power >= 0 {
        (0..power).for_each(|_| numerator.multiply_add(10, 0));
        return ratio(negative, numerator, BigUint::from(1), 0);
    }
    let mut denominator = BigUint::from(1);
    (0..-power).for_each(|_| denominator.multiply_add(10, 0));
    ratio(negative, numerator, denominator, 0)
}

fn parse_hexadecimal(text: &[u8], negative: bool) -> Option<LongDouble> {
    let (digits, decimals, exponent) = split_number(text, b'p', u8::is_ascii_hexdigit)?;
    let mut numerator = BigUint::default();
    for &digit in &digits {
        numerator.multiply_add(16, (digit as char).to_digit(16)?);
    }
    if numerator.is_zero() {
        return Some(LongDouble::Finite { negative, mantissa: 0, exponent: 0 });
    }
    ratio(negative, numerator, BigUint::from(1), exponent - 4 * decimals)
}

/// `numerator / denominator * 2^exponent`, neither being zero, rounded to nearest; `None` where it is too small
/// to be told from zero.
fn ratio(
    negative: bool,
    mut numerator: BigUint,
    mut denominator: BigUint,
    exponent: i64,
) -> Option<LongDouble> {
    // Scaled so that the quotient is at least 1 and below 4, then divided bit by bit: 66 bits of it and whether
    // anything is left round to 64 correctly.
    let scale = i64::from(numerator.bits()) - i64::from(denominator.bits());
    if scale > 0 {
        denominator.shift_left(scale as u32);
    } else {
        numerator.shift_left(-scale as u32);
    }
    let mut exponent = exponent + scale;
    if numerator.compare(&denominator) == Ordering::Less {
        numerator.shift_left(1);
        exponent -= 1;
    }
    if exponent < i64::from(EXPONENT_MIN) {
        return None;
    }
    if exponent > i64::from(EXPONENT_MAX) {
        return Some(LongDouble::Infinite { negative });
    }
    const BITS: u32 = PRECISION + 3;
    let mut quotient = 0u128;
    for _ in 0..BITS {
        quotient <<= 1;
        if numerator.compare(&denominator) != Ordering::Less {
            numerator.subtract(&denominator);
            quotient |= 1;
        }
        numerator.shift_left(1);
    }
    Some(LongDouble::round(negative, quotient, exponent as i32 - (BITS as i32 - 1), !numerator.is_zero()))
}

/// A natural number of any size, in digits of 32 bits, the lowest first, none of them a leading zero.
#[derive(Clone, Default)]
struct BigUint {
    digits: Vec<u32>,
}

impl From<u64> for BigUint {
    fn from(value: u64) -> Self {
        let mut number = Self { digits: vec![value as u32, (value >> 32) as u32] };
        number.trim();
        number
    }
}

impl BigUint {
    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn bits(&self) -> u32 {
        let top = self.digits.last().map_or(32, |digit| digit.leading_zeros());
        if self.is_zero() { 0 } else { self.digits.len() as u32 * 32 - top }
    }

    fn trim(&mut self) {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for digit in &mut self.digits {
            let product = u64::from(*digit) * u64::from(factor) + carry;
            (*digit, carry) = (product as u32, product >> 32);
        }
        if carry > 0 {
            self.digits.push(carry as u32);
        }
    }

    fn shift_left(&mut self, bits: u32) {
        let (words, bits) = (bits as usize / 32, bits % 32);
        if bits > 0 {
            self.multiply_add(1 << bits, 0);
        }
        if !self.is_zero() {
            self.digits.splice(0..0, std::iter::repeat_n(0, words));
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let lengths = self.digits.len().cmp(&other.digits.len());
        lengths.then_with(|| self.digits.iter().rev().cmp(other.digits.iter().rev()))
    }

    /// Takes away a number that is not greater.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (i, digit) in self.digits.iter_mut().enumerate() {
            let (less, first) = digit.overflowing_sub(other.digits.get(i).copied().unwrap_or(0));
            let (less, second) = less.overflowing_sub(u32::from(borrow));
            (*digit, borrow) = (less, first || second);
        }
        assert!(!borrow, "the number taken away is not greater");
        self.trim();
    }

    fn into_decimal(mut self) -> String {
        const BASE: u64 = 1_000_000_000;
        let mut groups = Vec::new();
        while !self.is_zero() {
            let mut rest = 0;
            for digit in self.digits.iter_mut().rev() {
                let value = rest << 32 | u64::from(*digit);
                (*digit, rest) = ((value / BASE) as u32, value % BASE);
            }
            self.trim();
            groups.push(rest);
        }
        let Some(top) = groups.pop() else { return "0".into() };
        groups.iter().rev().fold(top.to_string(), |text, group| text + &format!("{group:09}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        LongDouble::parse(a.as_bytes())?.add(LongDouble::parse(b.as_bytes())?).to_text()
    }

    #[test]
    fn sums_have_the_texts_that_redis_gives_them() {
        // From redis-server 7.0 on x86-64: SET k a, INCRBYFLOAT k b.
        let cases = include_str!("long_double_cases.txt");
        let mut count = 0;
        for line in cases.lines() {
            let [a, b, expected] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let expected = (expected != "error").then(|| expected.to_string());
            assert_eq!(sum(a, b), expected, "{a} + {b}");
            count += 1;
        }
        assert!(count > 500);
    }

    #[test]
    fn texts_that_are_no_numbers_are_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "+",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "0x",
            "0xg",
            "1.2.3",
            "nan",
            "-nan",
            "infinit",
            "1e5000",
            "1e-5000",
            "1\0",
            "--1",
            "0x1p",
            "1e99999999999999999999",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LongDouble::parse("1".repeat(5120).as_bytes()), None);
    }

    #[test]
    fn infinities_are_numbers_until_they_are_printed() {
        let [plus, minus] = ["inf", "-Infinity"].map(|text| LongDouble::parse(text.as_bytes()).unwrap());
        assert_eq!(plus.add(LongDouble::ZERO), plus);
        assert_eq!(plus.add(minus), LongDouble::NotANumber);
        assert_eq!((plus.to_text(), plus.add(minus).to_text()), (None, None));
        assert_eq!(sum("1e4932", "1.1e4932"), None, "beyond the largest number");
    }
}
