//! What commands do to keys, as data: the payload of log records and of replication.
//!
//! An effect is absolute: it names values and times, not differences to what was there, nothing random and no
//! relative expiry. Applying the effects of a slot in order to an empty table gives the table again. (Applying one
//! twice is applying it once, but for a list's: their places are counted from its head as it is.)

mod codec;
mod interest;
mod items;
mod sink;
#[cfg(test)]
mod tests;

pub use codec::{EffectError, EffectIter};
pub use interest::{Interest, KeyPlace, Trip};
pub use items::{Items, ItemsBuf, ItemsIter, encode_score};
pub use sink::{EffectSink, EffectsBuf, join_payloads};

use carousel_protocol::Database;

use crate::store::{KeyHasher, NewValue, Table};

/// One change to a slot's keys of one database, which is said apart. Borrows from the request, or from the encoded form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect<'a> {
    /// The key has this value and this expiry now.
    Set {
        /// The key.
        key: &'a [u8],
        /// All of its value.
        value: &'a [u8],
        /// Unix time in milliseconds; `None` is no expiry.
        expire_at_ms: Option<u64>,
    },
    /// The key is gone.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// The key, if it is there, has this expiry now.
    Expire {
        /// The key.
        key: &'a [u8],
        /// Unix time in milliseconds; `None` is no expiry.
        expire_at_ms: Option<u64>,
    },
    /// Part of the key's value was overwritten or appended; zeros fill a gap, and the expiry stays.
    Patch {
        /// The key; a missing one begins as an empty value.
        key: &'a [u8],
        /// Where in the value, in bytes.
        offset: u64,
        /// What is there now.
        bytes: &'a [u8],
    },
    /// All keys of the slot and database are gone.
    Clear,
    /// The key holds this small collection and has this expiry now.
    Store {
        /// The key.
        key: &'a [u8],
        /// A packed collection, whole.
        packed: &'a [u8],
        /// Unix time in milliseconds; `None` is no expiry.
        expire_at_ms: Option<u64>,
    },
    /// Fields of the key's hash have these values now; the expiry stays.
    HashSet {
        /// The key; a missing one begins as an empty hash.
        key: &'a [u8],
        /// Field, value, ...
        pairs: Items<'a>,
    },
    /// Fields of the key's hash are gone, and with the last one the key.
    HashRemove {
        /// The key.
        key: &'a [u8],
        /// The fields.
        fields: Items<'a>,
    },
    /// The key's set has these members now; the expiry stays.
    SetAdd {
        /// The key; a missing one begins as an empty set.
        key: &'a [u8],
        /// The members.
        members: Items<'a>,
    },
    /// Members of the key's set are gone, and with the last one the key.
    SetRemove {
        /// The key.
        key: &'a [u8],
        /// The members.
        members: Items<'a>,
    },
    /// Members of the key's sorted set have these scores now; the expiry stays.
    Score {
        /// The key; a missing one begins as an empty sorted set.
        key: &'a [u8],
        /// Score (8 bytes, f64 LE, not NaN), member, ...
        pairs: Items<'a>,
    },
    /// Members of the key's sorted set are gone, and with the last one the key.
    Unscore {
        /// The key.
        key: &'a [u8],
        /// The members.
        members: Items<'a>,
    },
    /// Elements of the key's list were replaced, inserted or removed, and with the last one the key; the expiry stays.
    Splice {
        /// The key; a missing one begins as an empty list.
        key: &'a [u8],
        /// Where, counted from the list's head.
        index: u64,
        /// How many elements from there on are gone.
        removed: u64,
        /// What is there now.
        elements: Items<'a>,
    },
    /// The slot's keys of this database and those of another have changed places. Saying it twice says nothing. Whoever
    /// walks the slot's keys in order while they change must begin again, for what it has passed is ahead of it now.
    Swap {
        /// The other.
        with: Database,
    },
}

impl<'a> Effect<'a> {
    /// The key it changes; `None` where it is all of the database.
    pub fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Set { key, .. }
            | Self::Delete { key }
            | Self::Expire { key, .. }
            | Self::Patch { key, .. }
            | Self::Store { key, .. }
            | Self::HashSet { key, .. }
            | Self::HashRemove { key, .. }
            | Self::SetAdd { key, .. }
            | Self::SetRemove { key, .. }
            | Self::Score { key, .. }
            | Self::Unscore { key, .. }
            | Self::Splice { key, .. } => Some(key),
            Self::Clear | Self::Swap { .. } => None,
        }
    }

    /// Does it to the table of its slot and database; returns how many fields or members are new, or gone.
    ///
    /// # Panics
    /// Where a patch would make a value of 4 GiB or more: [`EffectIter`] yields no such effect. For [`Self::Swap`], which
    /// is about two tables.
    pub(super) fn apply(&self, table: &mut Table, hasher: &KeyHasher) -> usize {
        self.apply_at(table, hasher, self.key().map_or(0, |key| hasher.hash(key)))
    }

    /// As [`Self::apply`], the key's hash being known.
    pub(super) fn apply_at(&self, table: &mut Table, hasher: &KeyHasher, hash: u64) -> usize {
        match *self {
            Self::Set { key, value, expire_at_ms } => {
                table.set(hasher, hash, key, value, expire_at_ms);
                0
            }
            Self::Delete { key } => table.remove(hash, key).into(),
            Self::Expire { key, expire_at_ms } => {
                table.set_expire(hash, key, expire_at_ms);
                0
            }
            Self::Patch { key, offset, bytes } => {
                let offset = usize::try_from(offset).expect("an offset into memory");
                table.patch(hasher, hash, key, offset, bytes);
                0
            }
            Self::Clear => {
                *table = Table::new();
                0
            }
            Self::Store { key, packed, expire_at_ms } => {
                table.set_value(hasher, hash, key, NewValue::Packed(packed), expire_at_ms);
                0
            }
            Self::HashSet { key, pairs } => table.hash_set(hasher, hash, key, pairs.pairs()),
            Self::HashRemove { key, fields } => table.hash_remove(hasher, hash, key, fields.iter()),
            Self::SetAdd { key, members } => table.set_add(hasher, hash, key, members.iter()),
            Self::SetRemove { key, members } => table.set_remove(hasher, hash, key, members.iter()),
            Self::Score { key, pairs } => {
                let scored = pairs.pairs().map(|(score, member)| {
                    (f64::from_le_bytes(score.try_into().expect("a score has 8 bytes")), member)
                });
                table.sorted_set_set(hasher, hash, key, scored)
            }
            Self::Unscore { key, members } => table.sorted_set_remove(hasher, hash, key, members.iter()),
            Self::Splice { key, index, removed, elements } => {
                let [index, removed] =
                    [index, removed].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
                table.list_splice(hasher, hash, key, index, removed, elements.iter());
                0
            }
            Self::Swap { .. } => unreachable!("two tables change places where they are kept"),
        }
    }
}
