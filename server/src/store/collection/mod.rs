//! Values that are not strings: lists, hashes, sets and sorted sets.
//!
//! A small collection lies whole in its key's entry, as a *packed* value:
//!
//! ```text
//! kind u8 | number of items u16 LE | items (see `packed`)
//!   1 list           the elements, in order
//!   2 hash           field, value, field, value, ... in the order in which the fields came
//!   3 set            the members, in the order in which they came
//!   4 sorted set     member, score, member, score, ... in the order of scores, then of members
//!   5 integers       a set of integers, ascending: bytes of each (u8: 2, 4 or 8), then they (LE)
//! ```
//!
//! One that outgrows the limits below becomes a [`Big`], to which the entry holds the address: a [`Table`] of fields or
//! members, a [`List`], a [`SortedSet`]. It stays one until it is deleted. A collection that loses its last item
//! goes, with its key.

mod hash;
mod integers;
mod list;
mod set;
mod sorted_set;

use std::ops::Range;

pub use hash::HashRef;
pub use integers::Integers;
pub use list::{ListRef, ListRefBackIter, ListRefIter};
pub use set::SetRef;
pub use sorted_set::SortedSetRef;

use super::entry::Entry;
use super::list::List;
use super::packed::{Item, Packed};
use super::size_class::class_bytes;
use super::sorted_set::SortedSet;
use super::table::Table;

const LIST: u8 = 1;
const HASH: u8 = 2;
const SET: u8 = 3;
const SORTED_SET: u8 = 4;
const INTEGERS: u8 = 5;

const HEADER_BYTES: usize = 3;

/// What a key can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Bytes.
    String,
    /// Elements in an order of their own.
    List,
    /// Fields with values.
    Hash,
    /// Distinct members.
    Set,
    /// Distinct members in the order of their scores.
    SortedSet,
}

impl Type {
    /// As `TYPE` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Hash => "hash",
            Self::Set => "set",
            Self::SortedSet => "zset",
        }
    }
}

/// A value as it is read.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// Bytes.
    String(&'a [u8]),
    /// See [`ListRef`].
    List(ListRef<'a>),
    /// See [`HashRef`].
    Hash(HashRef<'a>),
    /// See [`SetRef`].
    Set(SetRef<'a>),
    /// See [`SortedSetRef`].
    SortedSet(SortedSetRef<'a>),
}

impl<'a> Value<'a> {
    /// The packed value in `bytes`.
    ///
    /// # Panics
    /// Where they are none: [`check_packed`] tells.
    #[inline]
    pub fn packed(bytes: &'a [u8]) -> Self {
        match bytes[0] {
            LIST => Self::List(ListRef::Packed(items(bytes))),
            HASH => Self::Hash(HashRef::Packed(items(bytes))),
            SET => Self::Set(SetRef::Packed(items(bytes))),
            SORTED_SET => Self::SortedSet(SortedSetRef::Packed(items(bytes))),
            INTEGERS => Self::Set(SetRef::Integers(Integers::new(&bytes[HEADER_BYTES..]))),
            kind => panic!("no packed value is of kind {kind}"),
        }
    }

    /// Whether it is a collection without items, which no key may hold for long.
    pub(super) fn is_empty_collection(&self) -> bool {
        match self {
            Self::String(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Hash(hash) => hash.is_empty(),
            Self::Set(set) => set.is_empty(),
            Self::SortedSet(set) => set.is_empty(),
        }
    }

    /// All that it holds, in an order that does not depend on how it lies in memory: equal for equal values.
    pub fn content(&self) -> Vec<Vec<u8>> {
        let (mut content, in_order) = match self {
            Self::String(text) => (vec![text.to_vec()], true),
            Self::List(list) => {
                (list.iter_from(0).map(|element| element.as_bytes().to_vec()).collect(), true)
            }
            Self::Hash(hash) => {
                let pair = |(field, value): (Item<'_>, Item<'_>)| {
                    let len = (field.len() as u32).to_be_bytes();
                    [&len[..], field.as_bytes(), value.as_bytes()].concat()
                };
                (hash.iter().map(pair).collect(), false)
            }
            Self::Set(set) => (set.iter().map(|member| member.as_bytes().to_vec()).collect(), false),
            Self::SortedSet(set) => {
                let pair =
                    |(score, member): (f64, Item<'_>)| [&score.to_be_bytes(), member.as_bytes()].concat();
                (set.iter_from(0).map(pair).collect(), true)
            }
        };
        if !in_order {
            content.sort_unstable();
        }
        content
    }

    /// What kind of value it is.
    pub fn type_of(&self) -> Type {
        match self {
            Self::String(_) => Type::String,
            Self::List(_) => Type::List,
            Self::Hash(_) => Type::Hash,
            Self::Set(_) => Type::Set,
            Self::SortedSet(_) => Type::SortedSet,
        }
    }
}

/// A kind of value, as [`super::EntryRef::value`] gives it.
pub trait View<'a>: Sized {
    /// The value, if it is of this kind.
    fn of(value: Value<'a>) -> Option<Self>;
}

macro_rules! views {
    ($($variant:ident $view:ty;)*) => {$(
        impl<'a> View<'a> for $view {
            #[inline]
            fn of(value: Value<'a>) -> Option<Self> {
                match value {
                    Value::$variant(view) => Some(view),
                    _ => None,
                }
            }
        }
    )*};
}

views! {
    String &'a [u8];
    List ListRef<'a>;
    Hash HashRef<'a>;
    Set SetRef<'a>;
    SortedSet SortedSetRef<'a>;
}

/// A collection that has outgrown its entry.
pub enum Big {
    /// Elements.
    List(List),
    /// Values by field.
    Hash(Table),
    /// Members, each with an empty value.
    Set(Table),
    /// Members and scores.
    SortedSet(SortedSet),
}

impl Big {
    /// Its bytes from the allocator.
    pub(super) fn heap_bytes(&self) -> usize {
        class_bytes(size_of::<Self>())
            + match self {
                Self::List(list) => list.used_bytes(),
                Self::Hash(table) | Self::Set(table) => table.used_bytes(),
                Self::SortedSet(set) => set.used_bytes(),
            }
    }

    /// The value as it is read.
    pub(super) fn view(&self) -> Value<'_> {
        match self {
            Self::List(list) => Value::List(ListRef::Big(list)),
            Self::Hash(table) => Value::Hash(HashRef::Big(table)),
            Self::Set(table) => Value::Set(SetRef::Big(table)),
            Self::SortedSet(set) => Value::SortedSet(SortedSetRef::Big(set)),
        }
    }
}

/// Whether `bytes` are a packed value: of a known kind, with at least one item, each whole.
///
/// That a hash's fields differ, or members are in order, is not looked at: a value that breaks that is wrong, but does
/// no harm.
pub fn check_packed(bytes: &[u8]) -> bool {
    let Some((&[kind, low, high], rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return false };
    let len = usize::from(u16::from_le_bytes([low, high]));
    match kind {
        LIST | SET | HASH | SORTED_SET => {
            let in_pairs = matches!(kind, HASH | SORTED_SET);
            let fits = |(at, item): (usize, Item<'_>)| {
                if kind == SORTED_SET && at % 2 == 1 { item.is_score() } else { !item.is_double() }
            };
            len > 0
                && (!in_pairs || len.is_multiple_of(2))
                && Packed::check(rest, len)
                && Packed::new(rest, len).iter().enumerate().all(fits)
        }
        INTEGERS => Integers::check(rest, len),
        _ => false,
    }
}

/// An empty packed collection of that type, which its first item is put into.
///
/// # Panics
/// For strings.
pub(super) fn empty_packed(kind: Type) -> [u8; HEADER_BYTES] {
    let kind = match kind {
        Type::List => LIST,
        Type::Hash => HASH,
        Type::Set => SET,
        Type::SortedSet => SORTED_SET,
        Type::String => panic!("a string is no collection"),
    };
    [kind, 0, 0]
}

/// The items of a packed value.
#[inline]
fn items(bytes: &[u8]) -> Packed<'_> {
    let len = u16::from_le_bytes([bytes[1], bytes[2]]);
    Packed::new(&bytes[HEADER_BYTES..], len.into())
}

/// A packed value of these items, encoded.
fn new_packed(kind: u8, items: &[u8], len: usize) -> Vec<u8> {
    let len = u16::try_from(len).expect("the limits of packed values fit 16 bits").to_le_bytes();
    [&[kind, len[0], len[1]], items].concat()
}

/// Puts `new` in the place of a range of an entry's packed items, which become `len`.
fn splice_items(entry: &mut Entry, range: Range<usize>, new: &[u8], len: usize) {
    entry.splice(range.start + HEADER_BYTES..range.end + HEADER_BYTES, new);
    let len = u16::try_from(len).expect("the limits of packed values fit 16 bits");
    entry.value_mut()[1..HEADER_BYTES].copy_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests;
