//! Values that prove what they are: each carries its key, who wrote it, its version and a checksum.
//!
//! ```text
//! 0     2  magic "CV"
//! 2     2  length of the key, little endian
//! 4     8  run: names the process that wrote, little endian
//! 12    4  version: counts the run's writes of this key from 1, little endian
//! 16    k  the key
//! 16+k  p  padding, pseudo-random by run and version, so that values do not compress to nothing
//! end-4 4  CRC-32C of everything before, little endian
//! ```

use std::convert::Infallible;

use crc_fast::CrcAlgorithm;

const MAGIC: &[u8; 2] = b"CV";
const HEADER_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// Who wrote a value, and which of its writes of that key it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The writing process.
    pub run: u64,
    /// From 1.
    pub version: u32,
}

/// What is wrong with a value's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    /// The bytes are not those of any value ever written.
    #[error("corrupt value")]
    Corrupt,
    /// A sound value, but of another key.
    #[error("value of another key")]
    Foreign,
}

/// The least size of a value of a key of that length.
pub const fn bytes_min(key_bytes: usize) -> usize {
    HEADER_BYTES + key_bytes + CRC_BYTES
}

/// Appends the value of `key` with `stamp` to `out`, `size` bytes in all, at least [`bytes_min`].
pub fn append(out: &mut Vec<u8>, key: &[u8], stamp: Stamp, size: usize) {
    assert!(size >= bytes_min(key.len()), "the options were checked");
    let start = out.len();
    out.reserve(size);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(key.len() as u16).to_le_bytes());
    out.extend_from_slice(&stamp.run.to_le_bytes());
    out.extend_from_slice(&stamp.version.to_le_bytes());
    out.extend_from_slice(key);
    let mut dice = Dice::new(stamp.run ^ u64::from(stamp.version));
    append_padding(out, &mut dice, size - bytes_min(key.len()));
    out.extend_from_slice(&checksum(&out[start..]).to_le_bytes());
}

/// Appends that many pseudo-random bytes.
pub fn append_padding(out: &mut Vec<u8>, dice: &mut Dice, bytes: usize) {
    let end = out.len() + bytes;
    while out.len() < end {
        let padding = dice.next().to_le_bytes();
        let wanted = (end - out.len()).min(padding.len());
        out.extend_from_slice(&padding[..wanted]);
    }
}

/// Reads what `key` holds.
pub fn decode(value: &[u8], key: &[u8]) -> Result<Stamp, ValueFault> {
    let (body, crc) = value.split_last_chunk::<CRC_BYTES>().ok_or(ValueFault::Corrupt)?;
    if body.len() < HEADER_BYTES || !body.starts_with(MAGIC) || checksum(body) != u32::from_le_bytes(*crc) {
        return Err(ValueFault::Corrupt);
    }
    let field = |range: std::ops::Range<usize>| &body[range];
    let key_bytes = u16::from_le_bytes(field(2..4).try_into().expect("two bytes")) as usize;
    if body.get(HEADER_BYTES..HEADER_BYTES + key_bytes) != Some(key) {
        return Err(ValueFault::Foreign);
    }
    Ok(Stamp {
        run: u64::from_le_bytes(field(4..12).try_into().expect("eight bytes")),
        version: u32::from_le_bytes(field(12..16).try_into().expect("four bytes")),
    })
}

fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// SplitMix64: small, fast, the same for the same seed. Source: Steele, Lea and Flood, 2014.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0. (Lemire's multiplication; its bias is below 2^-32 here.)
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64 / (1u64 << 53) as f64) < probability
    }
}

impl rand_core::TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for piece in out.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { run: 0x0123_4567_89ab_cdef, version: 77 };

    fn value(key: &[u8], size: usize) -> Vec<u8> {
        // What stands before it is not its own.
        let mut out = b"old".to_vec();
        append(&mut out, key, STAMP, size);
        out.split_off(3)
    }

    #[test]
    fn a_value_of_any_size_is_read_back() {
        for size in [bytes_min(5), bytes_min(5) + 1, 100, 101, 4096] {
            let value = value(b"key:1", size);
            assert_eq!(value.len(), size);
            assert_eq!(decode(&value, b"key:1"), Ok(STAMP));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sound = value(b"key:1", 60);
        for bit in 0..sound.len() * 8 {
            let mut broken = sound.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&broken, b"key:1"), Err(ValueFault::Corrupt), "bit {bit}");
        }
        for len in 0..sound.len() {
            assert_eq!(decode(&sound[..len], b"key:1"), Err(ValueFault::Corrupt), "cut at {len}");
        }
    }

    #[test]
    fn the_value_of_another_key_is_foreign() {
        let value = value(b"key:1", 60);
        for key in [&b"key:2"[..], b"key:", b"key:11", b""] {
            assert_eq!(decode(&value, key), Err(ValueFault::Foreign));
        }
    }

    #[test]
    fn dice_stay_below_their_bound_and_are_fair_enough() {
        let mut dice = Dice::new(1);
        let mut seen = [0u32; 7];
        (0..70_000).for_each(|_| seen[dice.below(7) as usize] += 1);
        assert!(seen.iter().all(|&n| (9_500..10_500).contains(&n)), "{seen:?}");
        let hits = (0..100_000).filter(|_| dice.chance(0.8)).count();
        assert!((79_000..81_000).contains(&hits), "{hits}");
        assert!(!dice.chance(0.0) && dice.chance(1.0));
    }
}
