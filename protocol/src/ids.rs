//! Newtypes for everything that is counted or named, checked at birth.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A hash slot, 0..16384: `crc16-XMODEM(hash tag or whole key) mod 16384`, as in Redis Cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct SlotId(u16);

impl SlotId {
    /// How many slots there are.
    pub const COUNT: u16 = 16_384;

    /// The slot of that number, or `None` where it is not below [`Self::COUNT`].
    pub const fn new(raw: u16) -> Option<Self> {
        if raw < Self::COUNT { Some(Self(raw)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All slots in order.
    pub fn all() -> impl DoubleEndedIterator<Item = SlotId> + ExactSizeIterator {
        (0..Self::COUNT).map(SlotId)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The slot of a key.
///
/// Only the part between the first `{` and the next `}` counts where that part is not empty, so that
/// keys with the same *hash tag* share a slot. Source: the Redis Cluster specification, "Hash tags".
pub fn key_slot(key: &[u8]) -> SlotId {
    SlotId(crc16::State::<crc16::XMODEM>::calculate(hash_tag(key)) % SlotId::COUNT)
}

fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&b| b == b'}') {
        Some(0) | None => key,
        Some(close) => &rest[..close],
    }
}

/// The number of a database, which `SELECT` chooses: part of a key's identity, but not of its slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Database(u16);

impl Database {
    /// How many there can be; the setting `databases` says how many there are.
    pub const COUNT_MAX: u16 = 16_384;

    /// The database that a connection begins in.
    pub const MAIN: Self = Self(0);

    /// The database of that number, or `None` where it is not below [`Self::COUNT_MAX`].
    pub const fn new(raw: u16) -> Option<Self> {
        if raw < Self::COUNT_MAX { Some(Self(raw)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether it is the one that a connection begins in.
    #[inline]
    pub const fn is_main(self) -> bool {
        self.0 == 0
    }

    /// The one after it, or `None` after the last that there can be.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A core of a node. Slots go to shards by [`ShardId::of_slot`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard that owns `slot` on a node of `shard_count` shards: `(slot / 16) % shard_count`,
    /// so that every long arc of the ring spreads evenly over the cores.
    pub fn of_slot(slot: SlotId, shard_count: u16) -> Self {
        Self((slot.get() / 16) % shard_count)
    }

    /// The number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a node for ever: 20 random bytes, written as 40 hex digits as in Redis Cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 20]);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not 40 hex digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a node id is 40 hex digits")]
pub struct NodeIdError;

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        if text.len() != 40 || !text.is_ascii() {
            return Err(NodeIdError);
        }
        let mut bytes = [0; 20];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| NodeIdError)?;
        }
        Ok(Self(bytes))
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// Per slot: grows at each change of primary or replica set. Given out by the config group, never
    /// twice. Zero is a lone node's.
    Epoch
}
counter! {
    /// Per slot: grows by one at each record, across epochs.
    Seq
}
counter! {
    /// Per node: grows at each start of its process. Given out by the config group; zero is none yet.
    Incarnation
}

/// Where a copy of a slot stands: the epoch and seq of its last record. Orders copies: epoch first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// Epoch of the last record.
    pub epoch: Epoch,
    /// Seq of the last record.
    pub seq: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_slots_are_those_of_redis_cluster() {
        for (key, slot) in [("foo", 12182), ("123456789", 12739), ("", 0), ("{user1000}.following", 3443)] {
            assert_eq!(key_slot(key.as_bytes()).get(), slot, "{key}");
        }
        assert_eq!(
            key_slot(b"foo{}{bar}"),
            SlotId::new(crc16::State::<crc16::XMODEM>::calculate(b"foo{}{bar}") % 16384).unwrap()
        );
        assert_eq!(key_slot(b"foo{{bar}}zap"), key_slot(b"{bar"));
        assert_eq!(key_slot(b"foo{bar}{zap}"), key_slot(b"bar"));
    }

    #[test]
    fn node_id_survives_its_text() {
        let id = NodeId(std::array::from_fn(|i| i as u8 * 13));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("zz".parse::<NodeId>(), Err(NodeIdError));
    }
}
