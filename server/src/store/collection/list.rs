//! Lists.

use super::super::KeyHasher;
use super::super::entry::Entry;
use super::super::list::{List, ListBackIter, ListIter};
use super::super::packed::{Item, Packed, PackedBackIter, PackedIter, put_item};
use super::super::packing::Packing;
use super::super::table::Table;
use super::{Big, Type, Value, splice_items};

/// A list as it is read.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    /// Its elements.
    Packed(Packed<'a>),
    /// Its elements in runs.
    Big(&'a List),
}

impl<'a> ListRef<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(items) => items.len(),
            Self::Big(list) => list.len(),
        }
    }

    /// Never true of a key's value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element of that index.
    pub fn get(&self, index: usize) -> Option<Item<'a>> {
        match self {
            Self::Packed(items) => items.get(index),
            Self::Big(list) => list.get(index),
        }
    }

    /// The elements from an index on, which may be the end.
    pub fn iter_from(&self, index: usize) -> ListRefIter<'a> {
        match self {
            Self::Packed(items) => ListRefIter::Packed(items.iter_from(index)),
            Self::Big(list) => ListRefIter::Big(list.iter_from(index)),
        }
    }

    /// The elements from an index on backwards, down to the first.
    ///
    /// # Panics
    /// For an index that is not below the length.
    pub fn iter_back_from(&self, index: usize) -> ListRefBackIter<'a> {
        match self {
            Self::Packed(items) => ListRefBackIter::Packed(items.iter_back_from(index)),
            Self::Big(list) => ListRefBackIter::Big(list.iter_back_from(index)),
        }
    }
}

/// See [`ListRef::iter_from`].
pub enum ListRefIter<'a> {
    /// Of a packed list.
    Packed(PackedIter<'a>),
    /// Of a big one.
    Big(ListIter<'a>),
}

impl<'a> Iterator for ListRefIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Packed(items) => items.next(),
            Self::Big(items) => items.next(),
        }
    }
}

/// See [`ListRef::iter_back_from`].
pub enum ListRefBackIter<'a> {
    /// Of a packed list.
    Packed(PackedBackIter<'a>),
    /// Of a big one.
    Big(ListBackIter<'a>),
}

impl<'a> Iterator for ListRefBackIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Packed(items) => items.next(),
            Self::Big(items) => items.next(),
        }
    }
}

impl Table {
    /// Puts elements in the place of `removed` ones of the key's list from `index` on. A missing key, or one of
    /// another type, begins as an empty list; what lies beyond the list's end is its end.
    pub fn list_splice<'v>(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        index: usize,
        removed: usize,
        elements: impl Iterator<Item = &'v [u8]> + Clone,
    ) {
        self.ensure(hasher, hash, key, Type::List);
        let change = |entry: &mut Entry| splice(entry, hasher.packing(), index, removed, elements);
        self.change_collection(hash, key, change).expect("it is there");
    }
}

fn splice<'v>(
    entry: &mut Entry,
    packing: &Packing,
    index: usize,
    removed: usize,
    elements: impl Iterator<Item = &'v [u8]> + Clone,
) {
    let Value::List(list) = entry.as_ref().value() else { unreachable!("the key was made a list") };
    let index = index.min(list.len());
    let removed = removed.min(list.len() - index);
    match list {
        ListRef::Packed(packed) => {
            let (mut new, mut added) = (Vec::new(), 0);
            for element in elements.clone() {
                put_item(&mut new, element);
                added += 1;
            }
            let range = packed.range_of(index, removed);
            let len = packed.len() - removed + added;
            let bytes = packed.bytes().len() - range.len() + new.len();
            if bytes <= packing.list_bytes && len <= packing.list_elements {
                splice_items(entry, range, &new, len);
            } else {
                let list = List::from_packed(packed);
                entry.set_big(Box::new(Big::List(list)));
                splice(entry, packing, index, removed, elements);
            }
        }
        ListRef::Big(_) => match entry.big_mut() {
            Some(Big::List(list)) => list.splice(index, removed, elements),
            _ => unreachable!("seen above"),
        },
    }
}
