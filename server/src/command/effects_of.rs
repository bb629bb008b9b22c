//! A key as the effects that make it: for copies on other nodes, logs that are written anew, and copies under another
//! name.

use super::effect::{Effect, Items, ItemsBuf, encode_score};
use crate::store::{
    EntryRef, HashRef, KeyHasher, ListRef, ScanPosition, SetRef, SortedSet, SortedSetRef, Table, Value,
};

/// Where a walk through the items of a big collection stands. What is before it has been given, and stays before it
/// whatever becomes of the other items; how a list's position follows its changes is in `transfer::walk`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemPosition {
    /// Of a hash: fields in the order of their hashes.
    Hash(ScanPosition),
    /// Of a set: members in the order of their hashes.
    Set(ScanPosition),
    /// Of a sorted set: members in the order of their hashes.
    SortedSet(ScanPosition),
    /// Of a list: so many elements are before it.
    List(usize),
}

impl ItemPosition {
    /// Before all items of the value; `None` where that is one effect as a whole: see [`whole_effect`].
    pub fn start_of(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Hash(HashRef::Big(_)) => Some(Self::Hash(ScanPosition::START)),
            Value::Set(SetRef::Big(_)) => Some(Self::Set(ScanPosition::START)),
            Value::SortedSet(SortedSetRef::Big(_)) => Some(Self::SortedSet(ScanPosition::START)),
            Value::List(ListRef::Big(_)) => Some(Self::List(0)),
            Value::String(_)
            | Value::Hash(HashRef::Packed(_))
            | Value::Set(SetRef::Packed(_) | SetRef::Integers(_))
            | Value::SortedSet(SortedSetRef::Packed(_))
            | Value::List(ListRef::Packed(_)) => None,
        }
    }
}

/// The one effect that makes a key of a string or of a small collection; `None` for a big one.
pub fn whole_effect<'a>(entry: EntryRef<'a>, key: &'a [u8]) -> Option<Effect<'a>> {
    let expire_at_ms = entry.expire_at_ms();
    match (ItemPosition::start_of(entry.value()), entry.string()) {
        (Some(_), _) => None,
        (None, Some(value)) => Some(Effect::Set { key, value, expire_at_ms }),
        (None, None) => Some(Effect::Store { key, packed: entry.bytes(), expire_at_ms }),
    }
}

/// Gives `write` the effects that make this key under that name, where there is none of it: one, but for a big
/// collection, whose items come in several of about `piece_bytes` each, followed by its expiry.
pub fn effects_as(
    entry: EntryRef<'_>,
    key: &[u8],
    hasher: &KeyHasher,
    piece_bytes: usize,
    write: &mut dyn FnMut(Effect<'_>),
) {
    if let Some(effect) = whole_effect(entry, key) {
        return write(effect);
    }
    let mut next = ItemPosition::start_of(entry.value());
    while let Some(from) = next {
        next =
            next_items(entry.value(), key, hasher, from, piece_bytes, write).expect("of its own type").next;
    }
    if let Some(expire) = expiry_effect(entry, key) {
        write(expire);
    }
}

/// What an item costs beside its bytes, as a budget counts: finding it takes about as long as copying so many bytes.
pub const ITEM_COST: usize = 64;

/// The effect that follows the items of a big collection, if it has an expiry.
pub fn expiry_effect<'a>(entry: EntryRef<'_>, key: &'a [u8]) -> Option<Effect<'a>> {
    let expire_at_ms = entry.expire_at_ms();
    expire_at_ms.is_some().then_some(Effect::Expire { key, expire_at_ms })
}

/// What [`next_items`] gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItemsGiven {
    /// Their bytes, and [`ITEM_COST`] for each.
    pub cost: usize,
    /// Where the next ones begin; `None` at the end.
    pub next: Option<ItemPosition>,
}

/// Gives `write` the next items of a collection as effects on `key`: those from `from` on until they cost `budget`, at
/// least one if there is any. `None` where the value is not of the position's type, or a list shorter than that.
///
/// Each effect names the key and has about `budget` bytes of items too, or as many as the key is long: so however long
/// that is, all effects together take at most about twice the value's bytes.
pub fn next_items(
    value: Value<'_>,
    key: &[u8],
    hasher: &KeyHasher,
    from: ItemPosition,
    budget: usize,
    write: &mut dyn FnMut(Effect<'_>),
) -> Option<ItemsGiven> {
    let budget = budget.max(key.len());
    let is_ahead = |from: ScanPosition, item: &[u8]| ScanPosition::of_hash(hasher.hash(item)) >= from;
    match (from, value) {
        (ItemPosition::Hash(from), Value::Hash(hash)) => {
            let mut pieces = Pieces::new(budget, |pairs, _| write(Effect::HashSet { key, pairs }));
            let next = if let HashRef::Big(table) = hash {
                scan(table, hasher, from, budget, |entry| pieces.put(entry.key(), Some(entry.bytes())))
            } else {
                let ahead = hash.iter().filter(|(field, _)| is_ahead(from, field.as_bytes()));
                ahead.for_each(|(field, value)| _ = pieces.put(field.as_bytes(), Some(value.as_bytes())));
                None
            };
            Some(pieces.end(next.map(ItemPosition::Hash)))
        }
        (ItemPosition::Set(from), Value::Set(set)) => {
            let mut pieces = Pieces::new(budget, |members, _| write(Effect::SetAdd { key, members }));
            let next = if let SetRef::Big(table) = set {
                scan(table, hasher, from, budget, |entry| pieces.put(entry.key(), None))
            } else {
                let ahead = set.iter().filter(|member| is_ahead(from, member.as_bytes()));
                ahead.for_each(|member| _ = pieces.put(member.as_bytes(), None));
                None
            };
            Some(pieces.end(next.map(ItemPosition::Set)))
        }
        (ItemPosition::SortedSet(from), Value::SortedSet(set)) => {
            let mut pieces = Pieces::new(budget, |pairs, _| write(Effect::Score { key, pairs }));
            let next = if let SortedSetRef::Big(set) = set {
                scan(set.members(), hasher, from, budget, |entry| {
                    let score = SortedSet::score_of_value(entry.bytes());
                    pieces.put(&encode_score(score), Some(entry.key()))
                })
            } else {
                let ahead = set.iter_from(0).filter(|(_, member)| is_ahead(from, member.as_bytes()));
                ahead.for_each(|(score, member)| {
                    pieces.put(&encode_score(score), Some(member.as_bytes()));
                });
                None
            };
            Some(pieces.end(next.map(ItemPosition::SortedSet)))
        }
        (ItemPosition::List(from), Value::List(list)) if from <= list.len() => {
            let mut pieces = Pieces::new(budget, |elements, before| {
                write(Effect::Splice { key, index: (from + before) as u64, removed: 0, elements });
            });
            for element in list.iter_from(from) {
                if pieces.put(element.as_bytes(), None) >= budget {
                    break;
                }
            }
            let end = from + pieces.count;
            Some(pieces.end((end < list.len()).then_some(ItemPosition::List(end))))
        }
        (
            ItemPosition::Hash(_) | ItemPosition::Set(_) | ItemPosition::SortedSet(_) | ItemPosition::List(_),
            _,
        ) => None,
    }
}

/// Visits the items of a table from a position on until `visit` says that the budget is spent.
fn scan(
    table: &Table,
    hasher: &KeyHasher,
    from: ScanPosition,
    budget: usize,
    mut visit: impl FnMut(EntryRef<'_>) -> usize,
) -> Option<ScanPosition> {
    table.scan_while(hasher, from, usize::MAX, &mut |entry| visit(entry) < budget)
}

/// Items on their way into effects.
struct Pieces<W: FnMut(Items<'_>, usize)> {
    write: W,
    piece_bytes: usize,
    piece: ItemsBuf,
    /// Items in pieces that are written, and all.
    written: usize,
    count: usize,
    cost: usize,
}

impl<W: FnMut(Items<'_>, usize)> Pieces<W> {
    /// `write` is given the items of a piece and how many items there were in the pieces before.
    fn new(piece_bytes: usize, write: W) -> Self {
        Self { write, piece_bytes, piece: ItemsBuf::new(), written: 0, count: 0, cost: 0 }
    }

    /// Adds an item, or a pair; returns what all so far have cost.
    fn put(&mut self, first: &[u8], second: Option<&[u8]>) -> usize {
        let len = first.len() + second.map_or(0, <[u8]>::len);
        if !self.piece.is_empty() && self.piece.len_bytes() + len > self.piece_bytes {
            self.write();
        }
        self.piece.push(first);
        if let Some(second) = second {
            self.piece.push(second);
        }
        self.count += 1;
        self.cost += len + ITEM_COST;
        self.cost
    }

    fn write(&mut self) {
        if !self.piece.is_empty() {
            (self.write)(self.piece.items(), self.written);
            self.piece.clear();
            self.written = self.count;
        }
    }

    fn end(mut self, next: Option<ItemPosition>) -> ItemsGiven {
        self.write();
        ItemsGiven { cost: self.cost, next }
    }
}
