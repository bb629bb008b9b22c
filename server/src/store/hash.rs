//! Hashes of keys and positions in their order.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_micro_inline};

use super::packing::Packing;

/// Hashes keys under a secret seed, so that nobody outside can choose keys that collide.
///
/// All tables of a shard share one; hashes never leave the process.
#[derive(Clone, Copy, Debug)]
pub struct KeyHasher {
    secrets: RapidSecrets,
    /// Up to where collections are packed: what else all tables of a shard share.
    packing: Packing,
}

impl KeyHasher {
    /// A hasher of that seed. The seed is drawn at random by the process, or fixed by a simulation.
    pub fn new(seed: u64) -> Self {
        Self { secrets: RapidSecrets::seed(seed), packing: Packing::default() }
    }

    /// Up to where collections are packed.
    #[inline]
    pub fn packing(&self) -> &Packing {
        &self.packing
    }

    /// From now on collections are packed up to there; those that there are stay as they are until they change.
    pub fn set_packing(&mut self, packing: Packing) {
        self.packing = packing;
    }

    /// The key's hash; every bit is as good as any other.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        rapidhash_v3_micro_inline::<true, true>(key, &self.secrets)
    }
}

/// A position in a table's hash order: a prefix of 48 bits. Keys lie before it or at and after it, whatever
/// the table's size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ScanPosition(u64);

impl ScanPosition {
    /// Bits of a position.
    pub const BITS: u32 = 48;

    /// Low bits that are zero in every position that a scan returns.
    pub const SPARE_BITS: u32 = 9;

    /// Before all keys.
    pub const START: Self = Self(0);

    /// The position of that prefix, or `None` where it has more than [`Self::BITS`] bits.
    pub const fn new(prefix: u64) -> Option<Self> {
        if prefix >> Self::BITS == 0 { Some(Self(prefix)) } else { None }
    }

    /// The position of a key with that hash.
    pub const fn of_hash(hash: u64) -> Self {
        Self(hash >> (64 - Self::BITS))
    }

    /// The prefix.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The lowest hash at this position.
    pub(super) const fn first_hash(self) -> u64 {
        self.0 << (64 - Self::BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_key_and_seed_only() {
        let (a, b) = (KeyHasher::new(1), KeyHasher::new(2));
        assert_eq!(a.hash(b"key"), KeyHasher::new(1).hash(b"key"));
        assert_ne!(a.hash(b"key"), a.hash(b"kez"));
        assert_ne!(a.hash(b"key"), b.hash(b"key"));
        assert_ne!(a.hash(b""), b.hash(b""));
    }

    #[test]
    fn positions_have_48_bits() {
        assert_eq!(ScanPosition::new(1 << 48), None);
        assert_eq!(ScanPosition::new((1 << 48) - 1), Some(ScanPosition::of_hash(u64::MAX)));
        assert_eq!(ScanPosition::of_hash(0xffff), ScanPosition::START);
    }
}
