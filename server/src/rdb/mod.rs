//! Values as Redis writes them: the payloads of DUMP and RESTORE, which are those of its RDB files.
//!
//! ```text
//! kind u8 | value | version u16 LE | CRC-64 of all before (u64 LE)
//! ```
//!
//! [`load`] takes every encoding of a string, list, hash, set or sorted set that Redis has written since version 1 of the
//! format up to 11 (Redis 7.2), and trusts none of it: lengths are compared with what is there before anything is made of
//! them, so that a payload takes no more memory than its own bytes can stand for. [`save`] writes version 10, that of
//! Redis 7.0, in the encodings that every version knows.

mod listpack;
mod load;
mod lzf;
mod read;
mod save;
#[cfg(test)]
mod tests;
mod ziplist;

pub use load::{LoadError, Part, load};
pub use save::save;

use crc_fast::CrcAlgorithm;

/// The latest version of the format that [`load`] takes: that of Redis 7.2.
pub const VERSION_MAX: u16 = 11;

/// The version that [`save`] writes: that of Redis 7.0.
pub const VERSION: u16 = 10;

/// Version and checksum.
const FOOTER_BYTES: usize = 10;

/// What a payload's first byte says: the type and how it is written.
mod kind {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    /// Scores as text.
    pub(super) const SORTED_SET_TEXT: u8 = 3;
    pub(super) const HASH: u8 = 4;
    /// Scores as doubles.
    pub(super) const SORTED_SET: u8 = 5;
    pub(super) const HASH_ZIPMAP: u8 = 9;
    pub(super) const LIST_ZIPLIST: u8 = 10;
    pub(super) const SET_INTEGERS: u8 = 11;
    pub(super) const SORTED_SET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    /// Ziplists.
    pub(super) const QUICKLIST: u8 = 14;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const SORTED_SET_LISTPACK: u8 = 17;
    /// Listpacks and long elements.
    pub(super) const QUICKLIST_2: u8 = 18;
    pub(super) const SET_LISTPACK: u8 = 20;
}

/// The checksum of a payload.
fn checksum(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}
