//! Sets.

use carousel_protocol::resp::number::parse_i64;

use super::super::KeyHasher;
use super::super::entry::{Entry, NewValue};
use super::super::packed::{Item, Packed, PackedIter, item_bytes_max, put_item};
use super::super::table::{Table, TableIter};
use super::integers::{self, Integers};
use super::{Big, HEADER_BYTES, INTEGERS, SET, Type, Value, new_packed, splice_items};

/// A set as it is read.
#[derive(Clone, Copy)]
pub enum SetRef<'a> {
    /// Integers only.
    Integers(Integers<'a>),
    /// Members.
    Packed(Packed<'a>),
    /// Members, each with an empty value.
    Big(&'a Table),
}

impl<'a> SetRef<'a> {
    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(integers) => integers.len(),
            Self::Packed(items) => items.len(),
            Self::Big(table) => table.len(),
        }
    }

    /// Never true of a key's value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has the member.
    pub fn contains(&self, hasher: &KeyHasher, member: &[u8]) -> bool {
        match self {
            Self::Integers(integers) => parse_i64(member).is_some_and(|value| integers.find(value).is_ok()),
            Self::Packed(items) => items.find_text(member, 1).is_some(),
            Self::Big(table) => table.get(hasher.hash(member), member).is_some(),
        }
    }

    /// The members: integers ascending, few others in the order in which they came, those of a big set in the order of
    /// their hashes.
    pub fn iter(&self) -> SetIter<'a> {
        match self {
            Self::Integers(integers) => SetIter::Integers(*integers, 0),
            Self::Packed(items) => SetIter::Packed(items.iter()),
            Self::Big(table) => SetIter::Big(table.iter()),
        }
    }

    /// The member that the dice choose.
    pub fn random(&self, dice: u64) -> Item<'a> {
        match self {
            Self::Integers(integers) => integers.item(dice as usize % integers.len()),
            Self::Packed(items) => items.get(dice as usize % items.len()).expect("within the set"),
            Self::Big(table) => Item::Text(table.random(dice).expect("a key's set has members").key()),
        }
    }
}

/// See [`SetRef::iter`].
pub enum SetIter<'a> {
    /// Of a set of integers, from an index on.
    Integers(Integers<'a>, usize),
    /// Of a packed set.
    Packed(PackedIter<'a>),
    /// Of a big one.
    Big(TableIter<'a>),
}

impl<'a> Iterator for SetIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Integers(integers, at) => {
                let item = (*at < integers.len()).then(|| integers.item(*at));
                *at += 1;
                item
            }
            Self::Packed(items) => items.next(),
            Self::Big(entries) => entries.next().map(|entry| Item::Text(entry.key())),
        }
    }
}

impl Table {
    /// Adds members to the key's set; returns how many are new. A missing key, or one of another type, begins as an
    /// empty set.
    pub fn set_add<'v>(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        members: impl Iterator<Item = &'v [u8]>,
    ) -> usize {
        self.ensure(hasher, hash, key, Type::Set);
        let change = |entry: &mut Entry| members.filter(|member| add(entry, hasher, member)).count();
        self.change_collection(hash, key, change).expect("it is there")
    }

    /// Removes members of the key's set; returns how many there were.
    pub fn set_remove<'v>(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        members: impl Iterator<Item = &'v [u8]>,
    ) -> usize {
        let change = |entry: &mut Entry| members.filter(|member| remove(entry, hasher, member)).count();
        self.change_collection(hash, key, change).unwrap_or(0)
    }
}

/// Adds a member; returns whether it is new.
fn add(entry: &mut Entry, hasher: &KeyHasher, member: &[u8]) -> bool {
    let Value::Set(set) = entry.as_ref().value() else { unreachable!("the key was made a set") };
    match set {
        SetRef::Integers(integers) => match parse_i64(member) {
            Some(value) => add_integer(entry, hasher, value),
            None => {
                let packing = hasher.packing();
                let fits = member.len() <= packing.set_item_bytes && integers.len() < packing.set_members;
                if fits {
                    spell_out(entry)
                } else {
                    grow(entry, hasher)
                }
                add(entry, hasher, member)
            }
        },
        SetRef::Packed(packed) => {
            if packed.is_empty()
                && let Some(value) = parse_i64(member)
            {
                begin_integers(entry, value);
                return true;
            }
            if packed.find_text(member, 1).is_some() {
                return false;
            }
            if member.len() > hasher.packing().set_item_bytes || packed.len() >= hasher.packing().set_members
            {
                grow(entry, hasher);
                return add(entry, hasher, member);
            }
            let mut new = Vec::with_capacity(item_bytes_max(member.len()));
            put_item(&mut new, member);
            let (end, len) = (packed.bytes().len(), packed.len() + 1);
            splice_items(entry, end..end, &new, len);
            true
        }
        SetRef::Big(_) => match entry.big_mut() {
            Some(Big::Set(table)) => {
                let hash = hasher.hash(member);
                let is_new = table.get(hash, member).is_none();
                if is_new {
                    table.set(hasher, hash, member, &[], None);
                }
                is_new
            }
            _ => unreachable!("seen above"),
        },
    }
}

fn begin_integers(entry: &mut Entry, value: i64) {
    let width = integers::width_of(value);
    let mut bytes = vec![width as u8];
    integers::put(&mut bytes, value, width);
    let expire_at_ms = entry.as_ref().expire_at_ms();
    entry.set(NewValue::Packed(&new_packed(INTEGERS, &bytes, 1)), expire_at_ms);
}

fn add_integer(entry: &mut Entry, hasher: &KeyHasher, value: i64) -> bool {
    let Value::Set(SetRef::Integers(integers)) = entry.as_ref().value() else {
        unreachable!("called for integers")
    };
    let Err(at) = integers.find(value) else { return false };
    let len = integers.len() + 1;
    if len > hasher.packing().set_integers {
        grow(entry, hasher);
        return add(entry, hasher, &carousel_protocol::resp::number::Decimal::new(value));
    }
    let width = integers.width().max(integers::width_of(value));
    if width == integers.width() {
        let mut new = Vec::with_capacity(width);
        integers::put(&mut new, value, width);
        let start = 1 + at * width;
        splice_items(entry, start..start, &new, len);
    } else {
        let mut bytes = vec![width as u8];
        let (before, after) = ((0..at), (at..integers.len()));
        before.for_each(|index| integers::put(&mut bytes, integers.at(index), width));
        integers::put(&mut bytes, value, width);
        after.for_each(|index| integers::put(&mut bytes, integers.at(index), width));
        let old_len = entry.as_ref().bytes().len() - HEADER_BYTES;
        splice_items(entry, 0..old_len, &bytes, len);
    }
    true
}

/// Makes a set of integers one of items.
fn spell_out(entry: &mut Entry) {
    let Value::Set(set) = entry.as_ref().value() else { unreachable!("called for a set") };
    let mut new = Vec::new();
    set.iter().for_each(|item| put_item(&mut new, item.as_bytes()));
    let (new, expire_at_ms) = (new_packed(SET, &new, set.len()), entry.as_ref().expire_at_ms());
    entry.set(NewValue::Packed(&new), expire_at_ms);
}

/// Makes a small set a big one.
fn grow(entry: &mut Entry, hasher: &KeyHasher) {
    let Value::Set(set) = entry.as_ref().value() else { unreachable!("called for a set") };
    let mut table = Table::new();
    for item in set.iter() {
        let member = item.as_bytes();
        table.set(hasher, hasher.hash(member), member, &[], None);
    }
    entry.set_big(Box::new(Big::Set(table)));
}

/// Removes a member; returns whether it was there.
fn remove(entry: &mut Entry, hasher: &KeyHasher, member: &[u8]) -> bool {
    let Value::Set(set) = entry.as_ref().value() else { return false };
    match set {
        SetRef::Integers(integers) => {
            let Some(Ok(at)) = parse_i64(member).map(|value| integers.find(value)) else { return false };
            let (width, len) = (integers.width(), integers.len() - 1);
            splice_items(entry, 1 + at * width..1 + (at + 1) * width, &[], len);
            true
        }
        SetRef::Packed(packed) => {
            let Some(place) = packed.find_text(member, 1) else { return false };
            splice_items(entry, place.bytes, &[], packed.len() - 1);
            true
        }
        SetRef::Big(_) => match entry.big_mut() {
            Some(Big::Set(table)) => table.remove(hasher.hash(member), member),
            _ => unreachable!("seen above"),
        },
    }
}
