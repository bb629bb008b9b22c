//! Decompression of LZF, in which Redis writes strings of more than 20 bytes.
//!
//! ```text
//! 000lllll                     the l + 1 bytes that follow
//! lllooooo oooooooo            l + 2 bytes (l from 1 to 6) from o + 1 bytes back
//! 111ooooo llllllll oooooooo   l + 9 bytes from o + 1 bytes back
//! ```

/// The most bytes that one byte of input stands for: three make 264.
const INFLATION_MAX: usize = 88;

/// What `packed` stands for, which must be exactly `len` bytes; `None` where it is not.
///
/// Takes no memory before it is clear that so many bytes can be meant.
pub(super) fn inflate(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > packed.len().saturating_mul(INFLATION_MAX) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = packed;
    let mut next = |count: usize| {
        let (taken, behind) = rest.split_at_checked(count)?;
        rest = behind;
        Some(taken)
    };
    while let Some(&[control]) = next(1) {
        if control < 0x20 {
            let literal = next(usize::from(control) + 1)?;
            if out.len() + literal.len() > len {
                return None;
            }
            out.extend_from_slice(literal);
            continue;
        }
        let mut count = usize::from(control >> 5);
        if count == 7 {
            count += usize::from(next(1)?[0]);
        }
        count += 2;
        let back = (usize::from(control & 0x1f) << 8 | usize::from(next(1)?[0])) + 1;
        let start = out.len().checked_sub(back)?;
        if out.len() + count > len {
            return None;
        }
        if back >= count {
            out.extend_from_within(start..start + count);
        } else {
            // The copy reads what it has written: a repeated pattern.
            for at in start..start + count {
                out.push(out[at]);
            }
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_copies_and_repetitions_are_inflated() {
        assert_eq!(inflate(&[2, b'a', b'b', b'c'], 3).unwrap(), b"abc");
        assert_eq!(inflate(&[2, b'a', b'b', b'c', 0x20, 2], 6).unwrap(), b"abcabc");
        assert_eq!(inflate(&[0, b'x', 0xe0, 255, 0], 1 + 264).unwrap(), [b'x'; 265]);
        assert_eq!(inflate(&[1, b'a', b'b', 0x60, 1], 7).unwrap(), b"ababababab"[..7]);
        assert_eq!(inflate(&[], 0).unwrap(), b"");
    }

    #[test]
    fn what_does_not_come_out_even_is_refused() {
        assert_eq!(inflate(&[2, b'a', b'b'], 3), None, "the literal is cut");
        assert_eq!(inflate(&[2, b'a', b'b', b'c'], 2), None, "too long");
        assert_eq!(inflate(&[2, b'a', b'b', b'c'], 4), None, "too short");
        assert_eq!(inflate(&[0, b'a', 0x20, 1], 4), None, "from before the beginning");
        assert_eq!(inflate(&[0, b'a', 0xe0], 4), None, "a copy is cut");
        assert_eq!(inflate(&[0, b'a', 0x20], 4), None, "a copy is cut");
        assert_eq!(inflate(&[0, b'x', 0xe0, 255, 0], 264), None);
        assert_eq!(inflate(&[0], usize::MAX), None, "nothing is as long");
    }
}
