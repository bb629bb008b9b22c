//! Numbers of few bytes where they are small: LEB128, seven bits a byte, the lowest first.

/// Most bytes of a number.
pub const VARINT_BYTES_MAX: usize = 10;

/// Why bytes are no varint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VarintError {
    /// They end within it.
    Truncated,
    /// It is no number of 64 bits.
    TooLong,
}

#[inline]
fn each_byte(mut value: u64, mut put: impl FnMut(u8)) {
    while value >= 0x80 {
        put(value as u8 | 0x80);
        value >>= 7;
    }
    put(value as u8);
}

/// Appends a number.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: u64) {
    each_byte(value, |byte| out.push(byte));
}

/// Writes a number at the beginning of `out`, which must have room for it; returns how many bytes it takes.
#[inline]
pub fn write_varint(out: &mut [u8], value: u64) -> usize {
    let mut bytes = 0;
    each_byte(value, |byte| {
        out[bytes] = byte;
        bytes += 1;
    });
    bytes
}

/// How many bytes a number takes.
#[inline]
pub const fn varint_bytes(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Takes a number from the beginning of `bytes`.
///
/// # Errors
/// There is none; `bytes` may have become shorter.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(VarintError::Truncated)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(VarintError::TooLong);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(VarintError::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_what_is_too_long_or_too_short_is_none() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut written = [0; VARINT_BYTES_MAX];
            assert_eq!(write_varint(&mut written, value), bytes.len());
            assert_eq!((&written[..bytes.len()], varint_bytes(value)), (&bytes[..], bytes.len()));
            let mut rest = &bytes[..];
            assert_eq!((take_varint(&mut rest), rest), (Ok(value), &[][..]));
        }
        assert_eq!(take_varint(&mut &[0xff; 11][..]), Err(VarintError::TooLong));
        assert_eq!(take_varint(&mut &[0x80][..]), Err(VarintError::Truncated));
    }
}
