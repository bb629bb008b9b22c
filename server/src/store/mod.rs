//! The keys of a slot in memory.
//!
//! A [`Table`] is an array of 8-byte words sorted by key hash. A word is the address of the key's one
//! allocation with 16 bits of its hash and the mark of an expiry packed into the address bits that are always
//! zero. Three things follow from the order:
//!
//! - A look-up starts where a key of that hash should be (hashes are uniform), and is a few words off on
//!   average, all on one or two cache lines; it follows an address only where the 16 bits agree.
//! - The array needs no empty places and no power-of-two size, so the table costs 8 to 10 bytes per key. With
//!   a 2-byte header on small entries, a key costs some 20 bytes above its own.
//! - Walking in order of the hash is walking the array, and a position in that order (a [`ScanPosition`])
//!   stays good whatever the table grows or shrinks to in between: SCAN, expiry, transfers and snapshots all
//!   step through a slot that way.
//!
//! Insertion moves half the array, so arrays are bounded: above [`SEGMENT_ENTRIES_MAX`] entries a table is a
//! directory of segments by the hash's top bits (extendible hashing), which split one at a time. No single
//! operation on a table touches more than one segment's entries.
//!
//! At random keys most of a look-up's time is three waits for memory: table, array, entry. Where several keys are
//! known in advance (a pipelining client), [`Table::prefetch`] overlaps the waits of all.
//!
//! A value is a string's bytes, a small collection's, or the address of a big collection: see [`Value`].
//!
//! Where a shard wants to know how keys are used, a segment has a [`Stamp`] for each of its words, in an array of its own.
//!
//! Nothing here knows what "expired" means: an expiry is stored, found and reported; judging is the caller's.

mod collection;
mod directory;
mod entry;
mod fitting;
mod graveyard;
mod hash;
mod list;
mod packed;
mod packing;
mod prefetch;
mod score_level;
mod score_order;
mod segment;
mod size_class;
mod sorted_set;
mod stamp;
mod table;

pub use collection::{
    Big, HashRef, Integers, ListRef, ListRefBackIter, ListRefIter, SetRef, SortedSetRef, Type, Value, View,
    check_packed,
};
pub use entry::{EntryRef, NewValue};
pub use graveyard::{sweep, waiting};
pub use hash::{KeyHasher, ScanPosition};
pub use list::{List, ListBackIter, ListIter};
pub use packed::{Item, Packed, PackedBackIter, PackedIter, Place, item_bytes_max, put_item, put_score};
pub use packing::Packing;
pub(crate) use prefetch::prefetch;
pub use segment::SEGMENT_ENTRIES_MAX;
pub use sorted_set::{SortedSet, SortedSetIter};
pub use stamp::Stamp;
pub use table::{PrefetchDepth, Table, TableIter};

/// Most bytes of a value: Redis' `proto-max-bulk-len`, 512 MiB.
pub const VALUE_BYTES_MAX: usize = 512 << 20;
