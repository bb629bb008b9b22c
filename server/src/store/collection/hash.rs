//! Hashes.

use super::super::entry::Entry;
use super::super::packed::{Item, Packed, PackedIter, item_bytes_max, put_item};
use super::super::table::{Table, TableIter};
use super::super::{KeyHasher, Value};
use super::{Big, Type, items, splice_items};

/// A hash as it is read.
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// Fields and values in turn.
    Packed(Packed<'a>),
    /// Values by field.
    Big(&'a Table),
}

impl<'a> HashRef<'a> {
    /// Number of fields.
    pub fn len(&self) -> usize {
        match self {
            Self::Packed(items) => items.len() / 2,
            Self::Big(table) => table.len(),
        }
    }

    /// Never true of a key's value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The field's value.
    pub fn get(&self, hasher: &KeyHasher, field: &[u8]) -> Option<Item<'a>> {
        match self {
            Self::Packed(items) => {
                let place = items.find_text(field, 2)?;
                items.iter_from(place.index + 1).next()
            }
            Self::Big(table) => table.get(hasher.hash(field), field).map(|entry| Item::Text(entry.bytes())),
        }
    }

    /// Fields and values: in the order in which they came, or of a big hash in the order of the fields' hashes.
    pub fn iter(&self) -> HashIter<'a> {
        match self {
            Self::Packed(items) => HashIter::Packed(items.iter()),
            Self::Big(table) => HashIter::Big(table.iter()),
        }
    }

    /// The field that the dice choose, and its value.
    pub fn random(&self, dice: u64) -> (Item<'a>, Item<'a>) {
        match self {
            Self::Packed(items) => {
                let mut from = items.iter_from(dice as usize % self.len() * 2);
                let mut next = || from.next().expect("a field and its value");
                (next(), next())
            }
            Self::Big(table) => {
                let entry = table.random(dice).expect("a key's hash has fields");
                (Item::Text(entry.key()), Item::Text(entry.bytes()))
            }
        }
    }
}

/// See [`HashRef::iter`].
pub enum HashIter<'a> {
    /// Of a packed hash.
    Packed(PackedIter<'a>),
    /// Of a big one.
    Big(TableIter<'a>),
}

impl<'a> Iterator for HashIter<'a> {
    type Item = (Item<'a>, Item<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(items) => Some((items.next()?, items.next()?)),
            Self::Big(entries) => {
                entries.next().map(|entry| (Item::Text(entry.key()), Item::Text(entry.bytes())))
            }
        }
    }
}

impl Table {
    /// Sets fields of the key's hash; returns how many are new. A missing key, or one of another type, begins as an
    /// empty hash.
    pub fn hash_set<'v>(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        pairs: impl Iterator<Item = (&'v [u8], &'v [u8])>,
    ) -> usize {
        self.ensure(hasher, hash, key, Type::Hash);
        let change = |entry: &mut Entry| {
            let mut added = 0;
            for (field, value) in pairs {
                added += usize::from(set(entry, hasher, field, value));
            }
            added
        };
        self.change_collection(hash, key, change).expect("it is there")
    }

    /// Removes fields of the key's hash; returns how many there were.
    pub fn hash_remove<'v>(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        fields: impl Iterator<Item = &'v [u8]>,
    ) -> usize {
        let change = |entry: &mut Entry| fields.filter(|field| remove(entry, hasher, field)).count();
        self.change_collection(hash, key, change).unwrap_or(0)
    }
}

/// Sets a field; returns whether it is new.
fn set(entry: &mut Entry, hasher: &KeyHasher, field: &[u8], value: &[u8]) -> bool {
    if let Some(Big::Hash(table)) = entry.big_mut() {
        return !table.set(hasher, hasher.hash(field), field, value, None);
    }
    let packed = items(entry.as_ref().bytes());
    let found = packed.find_text(field, 2);
    let fits = field.len().max(value.len()) <= hasher.packing().hash_item_bytes
        && (found.is_some() || packed.len() / 2 < hasher.packing().hash_fields);
    if !fits {
        grow(entry, hasher);
        return set(entry, hasher, field, value);
    }
    let mut new = Vec::with_capacity(item_bytes_max(field.len()) + item_bytes_max(value.len()));
    let (range, len) = match &found {
        Some(place) => (packed.range_of(place.index + 1, 1), packed.len()),
        None => {
            put_item(&mut new, field);
            (packed.bytes().len()..packed.bytes().len(), packed.len() + 2)
        }
    };
    put_item(&mut new, value);
    splice_items(entry, range, &new, len);
    found.is_none()
}

/// Removes a field; returns whether it was there.
fn remove(entry: &mut Entry, hasher: &KeyHasher, field: &[u8]) -> bool {
    match entry.as_ref().value() {
        Value::Hash(HashRef::Packed(packed)) => {
            let Some(place) = packed.find_text(field, 2) else { return false };
            let (range, len) = (packed.range_of(place.index, 2), packed.len() - 2);
            splice_items(entry, range, &[], len);
            true
        }
        Value::Hash(HashRef::Big(_)) => match entry.big_mut() {
            Some(Big::Hash(table)) => table.remove(hasher.hash(field), field),
            _ => unreachable!("seen above"),
        },
        _ => false,
    }
}

/// Makes a packed hash a big one.
fn grow(entry: &mut Entry, hasher: &KeyHasher) {
    let mut table = Table::new();
    let mut from = items(entry.as_ref().bytes()).iter();
    while let (Some(field), Some(value)) = (from.next(), from.next()) {
        let field = field.as_bytes();
        table.set(hasher, hasher.hash(field), field, value.as_bytes(), None);
    }
    entry.set_big(Box::new(Big::Hash(table)));
}
