//! A walk through a slot's keys that writers do not wait for.
//!
//! It gives the keys in steps, database by database in the order of their hashes, as effects that make them. Between steps the table
//! changes, and [`Walk::follow`] says which effects of those changes must be given as well: those on what was given
//! before. What is still ahead will be given as it is then. So whoever applies everything in the order in which it was
//! given has, at each moment, exactly the part of the slot that the walk has gone over, and in the end all of it.
//! Nothing is copied in advance, and nobody remembers what has changed.
//!
//! A big collection is gone over item by item, over many steps, and the same rule holds within it:
//!
//! - A hash's fields, and the members of a set or of a sorted set, are walked in the order of their hashes. Whether an
//!   item was given is seen by its name, so an effect is cut down to the items that were.
//! - A list is walked from its head: the first `given` elements are there already. A splice among those is passed on,
//!   one behind them is not, and of one that lies across, what concerns the given ones is: the elements that it brings
//!   are given with it. `given` then counts what is there now.
//! - The expiry is given at the end, so whatever becomes of it before does not matter.
//! - When the key is replaced or deleted, that is passed on, and it is no key in the walk's hands any more. An effect
//!   that fits none of this makes the key begin anew: it is deleted at the other side and will be given again. So does
//!   the whole walk where two databases are exchanged.

use carousel_protocol::{Database, SlotId};

use crate::command::{
    Effect, EffectIter, EffectsBuf, ITEM_COST, ItemPosition, ItemsBuf, Tables, WalkPosition, expiry_effect,
    next_items, whole_effect,
};
use crate::limits::ShardLimits;
use crate::planted::{Bug, is_planted};
use crate::store::{EntryRef, KeyHasher, ScanPosition, Value};

/// See the module. A walk is of one slot, and must be told of all changes to its keys.
#[derive(PartialEq, Eq, Debug)]
pub struct Walk {
    /// Keys before it have been given, but for those in `inside`. `None`: all keys.
    next: Option<WalkPosition>,
    /// The last database of which anything may have been given.
    reached: Database,
    /// Big collections before `next` that have not been given whole.
    inside: Vec<Inside>,
}

/// What a step of a walk gives.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Encoded effects, to be applied in this order. Each part fits a record.
    pub parts: Vec<Vec<u8>>,
    /// Number of keys that begin in it.
    pub keys: u64,
    /// What the step has cost, in bytes and their like; see [`ITEM_COST`].
    pub cost: usize,
}

/// A big collection that a walk stands in.
#[derive(PartialEq, Eq, Debug)]
struct Inside {
    database: Database,
    key: Box<[u8]>,
    /// `None`: nothing of it has been given.
    given: Option<Given>,
}

/// How much of a collection has been given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Given {
    /// What is before it.
    before: ItemPosition,
    /// Of a list: its length. A splice says how many elements it removes at most.
    list_len: usize,
}

impl Walk {
    /// Before all keys.
    pub fn new() -> Self {
        Self { next: Some(WalkPosition::START), reached: Database::MAIN, inside: Vec::new() }
    }

    /// Everything has been given.
    pub fn is_done(&self) -> bool {
        self.next.is_none() && self.inside.is_empty()
    }

    /// Gives the next keys of the slot, or items of a big collection: about `chunk_bytes` of them. Of strings and small
    /// collections one more than wanted, or all that share a position, may come.
    pub fn step(&mut self, tables: &Tables, slot: SlotId, limits: ShardLimits) -> Chunk {
        let mut parts =
            Parts { chunk: Chunk::default(), part: EffectsBuf::default(), limit: limits.chunk_bytes };
        while parts.chunk.cost < limits.chunk_bytes {
            if let Some(inside) = self.inside.last_mut() {
                if inside.step(tables, slot, &mut parts) {
                    self.inside.pop();
                }
                continue;
            }
            let Some(from) = self.next else { break };
            let Some((database, table)) = tables.table_from(slot, from.database) else {
                self.next = None;
                break;
            };
            self.reached = self.reached.max(database);
            let mut visit = |entry: EntryRef<'_>| {
                parts.chunk.keys += 1;
                match whole_effect(entry, entry.key()) {
                    Some(effect) => {
                        parts.put(database, &effect);
                        parts.chunk.cost < limits.chunk_bytes
                    }
                    None => {
                        self.inside.push(Inside { database, key: entry.key().into(), given: None });
                        false
                    }
                }
            };
            let next =
                table.scan_while(tables.hasher(), from.within(database), limits.chunk_keys, &mut visit);
            self.next = match next {
                Some(position) => Some(WalkPosition { database, position }),
                None => tables.walk_behind(slot, database),
            };
        }
        parts.end()
    }

    /// The slot's keys were changed by these effects, one record's (encoded): returns those that must be applied behind
    /// what was given so far, encoded.
    ///
    /// # Panics
    /// For bytes that are no effects.
    pub fn follow(&mut self, effects: &[u8], hasher: &KeyHasher) -> Vec<u8> {
        let mut passed = EffectsBuf::default();
        for effect in EffectIter::new(effects) {
            let (database, effect) = effect.expect("own effects decode");
            self.follow_one(database, &effect, hasher, &mut passed);
        }
        passed.take()
    }

    fn follow_one(
        &mut self,
        database: Database,
        effect: &Effect<'_>,
        hasher: &KeyHasher,
        passed: &mut EffectsBuf,
    ) {
        if let Effect::Swap { .. } = effect {
            // What was given of the two databases is not the same part of both.
            let mut given = Some(Database::MAIN);
            while let Some(database) = given.filter(|database| *database <= self.reached) {
                passed.push(database, &Effect::Clear);
                given = database.next();
            }
            *self = Self::new();
            return;
        }
        let Some(key) = effect.key() else {
            self.inside.retain(|inside| inside.database != database);
            return passed.push(database, effect);
        };
        if self.next.is_some_and(|next| WalkPosition::of_hash(database, hasher.hash(key)) >= next) {
            return;
        }
        self.reached = self.reached.max(database);
        let is_it = |inside: &Inside| inside.database == database && *inside.key == *key;
        match self.inside.iter().position(is_it) {
            Some(at) => {
                if self.inside[at].follow(effect, hasher, passed) {
                    self.inside.swap_remove(at);
                }
            }
            None => passed.push(database, effect),
        }
    }
}

impl Default for Walk {
    fn default() -> Self {
        Self::new()
    }
}

impl Inside {
    /// Gives the next items. Returns whether that was all of the key.
    fn step(&mut self, tables: &Tables, slot: SlotId, parts: &mut Parts) -> bool {
        let (hasher, database) = (tables.hasher(), self.database);
        let Some(entry) = tables.table(slot, database).get(hasher.hash(&self.key), &self.key) else {
            return true; // its last item was removed, at both sides
        };
        if self.given.is_some_and(|given| given.list_len != list_len(entry)) {
            self.begin_anew(|effect| _ = parts.encode(database, effect));
        }
        let Some(from) = self.given.map(|given| given.before).or(ItemPosition::start_of(entry.value()))
        else {
            // Nothing was given of it, and by now it is a small one.
            parts.put(database, &whole_effect(entry, &self.key).expect("it is not big"));
            return true;
        };
        let budget = parts.limit.saturating_sub(parts.chunk.cost).max(1);
        let given = next_items(entry.value(), &self.key, hasher, from, budget, &mut |effect| {
            parts.encode(database, &effect);
        });
        let Some(given) = given else {
            // It is not what it was, though no effect said so.
            self.begin_anew(|effect| _ = parts.encode(database, effect));
            return false;
        };
        parts.chunk.cost += given.cost;
        match given.next {
            Some(before) => {
                self.given = Some(Given { before, list_len: list_len(entry) });
                false
            }
            None => {
                if let Some(expire) = expiry_effect(entry, &self.key) {
                    parts.encode(database, &expire);
                }
                true
            }
        }
    }

    /// An effect on the key: appends what of it concerns the items that were given. Returns whether the key is no longer
    /// one that was given in part.
    fn follow(&mut self, effect: &Effect<'_>, hasher: &KeyHasher, passed: &mut EffectsBuf) -> bool {
        let database = self.database;
        match effect {
            Effect::Set { .. } | Effect::Store { .. } | Effect::Delete { .. } => {
                passed.push(database, effect);
                return true;
            }
            // The expiry comes at the end.
            Effect::Expire { .. } => return false,
            Effect::Patch { .. }
            | Effect::Clear
            | Effect::Swap { .. }
            | Effect::HashSet { .. }
            | Effect::HashRemove { .. }
            | Effect::SetAdd { .. }
            | Effect::SetRemove { .. }
            | Effect::Score { .. }
            | Effect::Unscore { .. }
            | Effect::Splice { .. } => {}
        }
        let Some(given) = &mut self.given else { return false };
        let key = &self.key[..];
        match (given.before, *effect) {
            (ItemPosition::Hash(before), Effect::HashSet { pairs, .. }) => {
                let pairs = of_pairs(pairs.pairs().filter(|(field, _)| is_before(before, field, hasher)));
                if !pairs.is_empty() {
                    passed.push(database, &Effect::HashSet { key, pairs: pairs.items() });
                }
            }
            (ItemPosition::Hash(before), Effect::HashRemove { fields, .. }) => {
                let fields: ItemsBuf =
                    fields.iter().filter(|field| is_before(before, field, hasher)).collect();
                if !fields.is_empty() {
                    passed.push(database, &Effect::HashRemove { key, fields: fields.items() });
                }
            }
            (ItemPosition::Set(before), Effect::SetAdd { members, .. }) => {
                let members: ItemsBuf =
                    members.iter().filter(|member| is_before(before, member, hasher)).collect();
                if !members.is_empty() {
                    passed.push(database, &Effect::SetAdd { key, members: members.items() });
                }
            }
            (ItemPosition::Set(before), Effect::SetRemove { members, .. }) => {
                let members: ItemsBuf =
                    members.iter().filter(|member| is_before(before, member, hasher)).collect();
                if !members.is_empty() {
                    passed.push(database, &Effect::SetRemove { key, members: members.items() });
                }
            }
            (ItemPosition::SortedSet(before), Effect::Score { pairs, .. }) => {
                let pairs = of_pairs(pairs.pairs().filter(|(_, member)| is_before(before, member, hasher)));
                if !pairs.is_empty() {
                    passed.push(database, &Effect::Score { key, pairs: pairs.items() });
                }
            }
            (ItemPosition::SortedSet(before), Effect::Unscore { members, .. }) => {
                let members: ItemsBuf =
                    members.iter().filter(|member| is_before(before, member, hasher)).collect();
                if !members.is_empty() {
                    passed.push(database, &Effect::Unscore { key, members: members.items() });
                }
            }
            (ItemPosition::List(before), Effect::Splice { index, removed, elements, .. }) => {
                let added = elements.iter().count();
                let index = usize::try_from(index).unwrap_or(usize::MAX).min(given.list_len);
                let removed = usize::try_from(removed).unwrap_or(usize::MAX).min(given.list_len - index);
                given.list_len = given.list_len - removed + added;
                if is_planted(Bug::UncutSplice) {
                    passed.push(database, effect);
                } else if index < before {
                    let removed = removed.min(before - index);
                    passed.push(
                        database,
                        &Effect::Splice { key, index: index as u64, removed: removed as u64, elements },
                    );
                    given.before = ItemPosition::List(before - removed + added);
                }
                // The key goes with its last element, and what comes then is another one.
                return given.list_len == 0;
            }
            (
                ItemPosition::Hash(_)
                | ItemPosition::Set(_)
                | ItemPosition::SortedSet(_)
                | ItemPosition::List(_),
                _,
            ) => {
                self.begin_anew(|effect| passed.push(database, effect));
            }
        }
        false
    }

    fn begin_anew(&mut self, pass: impl FnOnce(&Effect<'_>)) {
        pass(&Effect::Delete { key: &self.key });
        self.given = None;
    }
}

fn is_before(position: ScanPosition, item: &[u8], hasher: &KeyHasher) -> bool {
    ScanPosition::of_hash(hasher.hash(item)) < position
}

fn of_pairs<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> ItemsBuf {
    let mut items = ItemsBuf::new();
    for (first, second) in pairs {
        items.push(first);
        items.push(second);
    }
    items
}

fn list_len(entry: EntryRef<'_>) -> usize {
    match entry.value() {
        Value::List(list) => list.len(),
        Value::String(_) | Value::Hash(_) | Value::Set(_) | Value::SortedSet(_) => 0,
    }
}

/// Effects on their way into the parts of a chunk.
struct Parts {
    chunk: Chunk,
    part: EffectsBuf,
    /// A part that has so many bytes is full.
    limit: usize,
}

impl Parts {
    /// Appends the effect that makes a key.
    fn put(&mut self, database: Database, effect: &Effect<'_>) {
        let len = self.encode(database, effect);
        self.chunk.cost += len + ITEM_COST;
    }

    /// Appends an effect; returns its bytes.
    fn encode(&mut self, database: Database, effect: &Effect<'_>) -> usize {
        let before = self.part.len_bytes();
        self.part.push(database, effect);
        let len = self.part.len_bytes() - before;
        if self.part.len_bytes() >= self.limit {
            self.chunk.parts.push(self.part.take());
        }
        len
    }

    fn end(mut self) -> Chunk {
        if self.part.len_bytes() > 0 {
            self.chunk.parts.push(self.part.take());
        }
        self.chunk
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
