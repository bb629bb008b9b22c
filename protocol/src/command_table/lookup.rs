//! From a name to its row, a few nanoseconds per request.
//!
//! A name is packed into three words, folded to upper case eight bytes at a time, and looked for in an open
//! hash table that is built when this is compiled. Comparing names is comparing three words.

use super::{COMMAND_COUNT, CommandSpec, TABLE, table};

/// Longest name of a command in bytes.
const NAME_BYTES_MAX: usize = 24;
/// Four places per command keep the chains short; a power of two.
const PLACES: usize = (4 * COMMAND_COUNT).next_power_of_two();
/// A place that holds no command.
const FREE: u16 = u16::MAX;

/// The command of that name, in any case; `None` for an unknown one. Does not allocate.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static CommandSpec> {
    let packed = pack(name)?;
    let mut place = packed.place();
    loop {
        let index = INDEX.places[place];
        if index == FREE {
            return None;
        }
        if INDEX.names[index as usize].equals(&packed) {
            return Some(&TABLE[index as usize]);
        }
        place = (place + 1) % PLACES;
    }
}

/// A name in upper case: its bytes in two or three words, which may overlap, and its length.
#[derive(Clone, Copy)]
struct Packed {
    words: [u64; 3],
    len: u64,
}

impl Packed {
    /// Where the search begins.
    #[inline(always)]
    const fn place(&self) -> usize {
        let mixed = self.words[0] ^ self.words[1].rotate_left(23) ^ self.words[2].rotate_left(41) ^ self.len;
        // Multiplicative hashing: the product's top bits depend on all bits. The constant, which has to be odd, is one
        // that leaves every chain short.
        (mixed.wrapping_mul(0x52E7_1CF8_28A4_FBD7) >> (u64::BITS - PLACES.trailing_zeros())) as usize
    }

    #[inline(always)]
    const fn equals(&self, other: &Self) -> bool {
        let differ = (self.words[0] ^ other.words[0])
            | (self.words[1] ^ other.words[1])
            | (self.words[2] ^ other.words[2])
            | (self.len ^ other.len);
        differ == 0
    }
}

/// Packs a name; `None` for the empty one and for those longer than any command's.
///
/// Given the length the words determine every byte: reading a short name as two overlapping halves avoids a
/// loop over its bytes.
#[inline(always)]
const fn pack(name: &[u8]) -> Option<Packed> {
    let len = name.len();
    let words = match len {
        1..=3 => {
            let (first, middle, last) = (name[0] as u64, name[len / 2] as u64, name[len - 1] as u64);
            [first | middle << 8 | last << 16, 0, 0]
        }
        4..=7 => match (name.first_chunk(), name.last_chunk()) {
            (Some(head), Some(tail)) => {
                [u32::from_le_bytes(*head) as u64 | (u32::from_le_bytes(*tail) as u64) << 32, 0, 0]
            }
            _ => unreachable!(),
        },
        8..=NAME_BYTES_MAX => match (name.first_chunk(), name.last_chunk()) {
            (Some(head), Some(tail)) => {
                let middle = if len > 16 { word_at(name, 8) } else { 0 };
                [u64::from_le_bytes(*head), middle, u64::from_le_bytes(*tail)]
            }
            _ => unreachable!(),
        },
        _ => return None,
    };
    Some(Packed { words: [upper(words[0]), upper(words[1]), upper(words[2])], len: len as u64 })
}

const fn word_at(name: &[u8], start: usize) -> u64 {
    match name.split_at(start).1.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => unreachable!(),
    }
}

/// Turns the ASCII lower-case letters among eight bytes to upper case.
#[inline(always)]
const fn upper(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // In each byte's seven low bits adding cannot carry into the next byte; bit 7 tells what was reached.
    let low = word & (0x7F * EACH);
    let from_a = low + (0x80 - b'a' as u64) * EACH;
    let beyond_z = low + (0x7F - b'z' as u64) * EACH;
    let is_lower = from_a & !beyond_z & !word & (0x80 * EACH);
    // 0x80 >> 2 is the bit that tells the cases apart.
    word ^ (is_lower >> 2)
}

struct Index {
    /// Row numbers, or [`FREE`], by hash; collisions go to the next place.
    places: [u16; PLACES],
    names: [Packed; COMMAND_COUNT],
}

static INDEX: Index = build();

const fn build() -> Index {
    let table = table();
    let mut places = [FREE; PLACES];
    let mut names = [Packed { words: [0; 3], len: 0 }; COMMAND_COUNT];
    let mut row = 0;
    while row < COMMAND_COUNT {
        let Some(packed) = pack(table[row].name.as_bytes()) else {
            panic!("a name is longer than the index can hold")
        };
        names[row] = packed;
        let mut place = packed.place();
        while places[place] != FREE {
            assert!(!names[places[place] as usize].equals(&packed), "two rows have the same name");
            place = (place + 1) % PLACES;
        }
        places[place] = row as u16;
        row += 1;
    }
    Index { places, names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_folds_exactly_the_lower_case_letters() {
        for byte in 0..=255u8 {
            for lane in 0..8 {
                let mut bytes = [b'a', 0xFF, 0, b'{', b'`', b'z', b'@', 0x80];
                bytes[lane] = byte;
                let expected = u64::from_le_bytes(bytes.map(|byte| byte.to_ascii_uppercase()));
                assert_eq!(upper(u64::from_le_bytes(bytes)), expected, "{bytes:?}");
            }
        }
    }

    #[test]
    fn packing_tells_any_two_names_apart() {
        // Each byte of each length matters: changing it changes the words.
        for len in 1..=NAME_BYTES_MAX {
            let name: Vec<u8> = (0..len as u8).map(|i| b'A' + i).collect();
            let packed = pack(&name).unwrap();
            for at in 0..len {
                let mut other = name.clone();
                other[at] = b'_';
                assert!(!pack(&other).unwrap().equals(&packed), "byte {at} of {len}");
            }
            assert!(len == 1 || !pack(&name[1..]).unwrap().equals(&packed));
        }
        assert!(pack(b"").is_none());
        assert!(pack(&[b'A'; NAME_BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn chains_of_the_index_are_short() {
        let longest = INDEX.places.split(|&place| place == FREE).map(<[u16]>::len).max();
        assert!(longest <= Some(6), "{longest:?}: choose another constant");
        for hot in ["GET", "SET", "DEL", "INCR", "MGET", "PING"] {
            let home = INDEX.places[pack(hot.as_bytes()).unwrap().place()];
            assert_eq!(TABLE[home as usize].name, hot, "a hot command is found at once");
        }
    }
}
