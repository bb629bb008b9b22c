//! The slot tables of one shard.

use carousel_protocol::{ShardId, SlotId};

use super::effect::{Effect, EffectSink};
use crate::store::{EntryRef, KeyHasher, PrefetchDepth, Table};

/// Slots that follow each other stay on one shard in groups of this many; see [`ShardId::of_slot`].
const GROUP: usize = 16;
const GROUPS: usize = SlotId::COUNT as usize / GROUP;

/// Where a key is: what every access begins with.
#[derive(Clone, Copy, Debug)]
pub struct KeyAt {
    /// The key's slot, which must be one of this shard.
    pub slot: SlotId,
    /// The key's hash by the shard's hasher.
    pub hash: u64,
}

/// Which slots a shard has, numbered from 0 in ascending order.
#[derive(Clone, Copy, Debug)]
pub struct LocalSlots {
    shard: ShardId,
    shard_count: u16,
    /// `2^32 / shard_count`, rounded up: division by multiplication, exact for every group number.
    reciprocal: u64,
}

impl LocalSlots {
    /// The slots of `shard`, one of `shard_count`, of which there are 1 to 1024.
    pub fn new(shard: ShardId, shard_count: u16) -> Self {
        assert!((1..=GROUPS as u16).contains(&shard_count), "1 to {GROUPS} shards share the slots");
        assert!(shard.0 < shard_count, "shards are numbered from 0");
        Self { shard, shard_count, reciprocal: (1u64 << 32).div_ceil(u64::from(shard_count)) }
    }

    /// The shard that has them.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// How many shards there are on the node.
    pub fn shard_count(&self) -> u16 {
        self.shard_count
    }

    /// How many.
    pub fn len(&self) -> usize {
        (GROUPS - self.shard.index()).div_ceil(usize::from(self.shard_count)) * GROUP
    }

    /// Never true: every shard has slots.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The number of a slot that is the shard's.
    #[inline]
    pub fn index_of(&self, slot: SlotId) -> usize {
        debug_assert_eq!(ShardId::of_slot(slot, self.shard_count), self.shard, "slot {slot}");
        let group = (slot.index() / GROUP) as u64;
        ((group * self.reciprocal) >> 32) as usize * GROUP + slot.index() % GROUP
    }

    /// The slot of that number, or `None` where there are not that many.
    pub fn slot_at(&self, index: usize) -> Option<SlotId> {
        let group = index / GROUP * usize::from(self.shard_count) + self.shard.index();
        SlotId::new(u16::try_from(group * GROUP + index % GROUP).ok()?)
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = SlotId> + use<> {
        let slots = *self;
        (0..slots.len()).filter_map(move |index| slots.slot_at(index))
    }
}

/// What happened to keys, for INFO. Counts since the shard's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounters {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their time had passed.
    pub expired: u64,
}

/// The tables a command may touch: those of one shard.
pub struct Tables {
    slots: LocalSlots,
    hasher: KeyHasher,
    tables: Vec<Table>,
    counters: KeyCounters,
    dice: Dice,
    /// See [`Self::keep_due`].
    keeps_due: bool,
}

impl Tables {
    /// Empty tables for all slots of a shard; `hasher` is the shard's for as long as the tables live.
    pub fn new(shard: ShardId, shard_count: u16, hasher: KeyHasher) -> Self {
        let slots = LocalSlots::new(shard, shard_count);
        let tables = std::iter::repeat_with(Table::new).take(slots.len()).collect();
        let dice = Dice::new(hasher.hash(b"dice"));
        Self { slots, hasher, tables, counters: KeyCounters::default(), dice, keeps_due: false }
    }

    /// The shard's slots and their numbers.
    pub fn local_slots(&self) -> LocalSlots {
        self.slots
    }

    /// The number of a slot of this shard among them.
    #[inline]
    pub fn local_index(&self, slot: SlotId) -> usize {
        self.slots.index_of(slot)
    }

    /// All slots of this shard, ascending.
    pub fn slots(&self) -> impl Iterator<Item = SlotId> + use<> {
        self.slots.iter()
    }

    /// The table of a slot of this shard.
    #[inline]
    pub fn table(&self, slot: SlotId) -> &Table {
        &self.tables[self.slots.index_of(slot)]
    }

    /// The table of a slot of this shard.
    #[inline]
    pub fn table_mut(&mut self, slot: SlotId) -> &mut Table {
        &mut self.tables[self.slots.index_of(slot)]
    }

    /// The hasher that all these tables are sorted by.
    #[inline]
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Puts a table (built with the same hasher) in the place of a slot's and returns the old one.
    #[must_use = "dropping a large table takes time"]
    pub fn replace(&mut self, slot: SlotId, table: Table) -> Table {
        std::mem::replace(self.table_mut(slot), table)
    }

    /// Number of keys in all tables, walking them.
    pub fn keys_total(&self) -> usize {
        self.tables.iter().map(Table::len).sum()
    }

    /// Number of keys with an expiry in all tables, walking them.
    pub fn volatile_total(&self) -> usize {
        self.tables.iter().map(Table::volatile_len).sum()
    }

    /// Bytes that keys and tables take, walking the tables.
    pub fn used_bytes(&self) -> usize {
        self.tables.capacity() * size_of::<Table>() + self.tables.iter().map(Table::used_bytes).sum::<usize>()
    }

    /// What happened to keys since the start.
    pub fn counters(&self) -> KeyCounters {
        self.counters
    }

    /// Applies an effect that another node or the log names.
    pub fn apply(&mut self, slot: SlotId, effect: &Effect<'_>) {
        let index = self.slots.index_of(slot);
        effect.apply(&mut self.tables[index], &self.hasher);
    }

    /// Where a key of a known slot is.
    #[inline]
    pub fn key_at(&self, slot: SlotId, key: &[u8]) -> KeyAt {
        KeyAt { slot, hash: self.hasher.hash(key) }
    }

    /// Loads into the caches what the next look-ups of these keys need, all at once instead of one wait after
    /// the other. Worth it for two keys and more, up to some dozens: what a pipelining client has sent.
    #[inline]
    pub fn prefetch(&self, keys: &[KeyAt]) {
        for depth in [PrefetchDepth::Table, PrefetchDepth::Words, PrefetchDepth::Entry] {
            for at in keys {
                self.tables[self.slots.index_of(at.slot)].prefetch(at.hash, depth);
            }
        }
    }

    /// Looks for a key on behalf of a command that reads it; counts a hit or a miss.
    ///
    /// A key whose time has passed (`now_ms`: Unix ms) is removed, with an effect, and not found.
    #[inline]
    pub fn read(
        &mut self,
        at: KeyAt,
        key: &[u8],
        now_ms: u64,
        effects: &mut EffectSink,
    ) -> Option<EntryRef<'_>> {
        let table = &mut self.tables[self.slots.index_of(at.slot)];
        let found = find(table, &mut self.counters, at, key, now_ms, self.keeps_due, effects);
        match found {
            Some(_) => self.counters.hits += 1,
            None => self.counters.misses += 1,
        }
        found
    }

    /// As [`Self::read`] for a command that will write: counts neither hit nor miss, and has taken room in the log,
    /// so a key whose time has passed is removed whatever [`Self::keep_due`] says.
    #[inline]
    pub fn find(
        &mut self,
        at: KeyAt,
        key: &[u8],
        now_ms: u64,
        effects: &mut EffectSink,
    ) -> Option<EntryRef<'_>> {
        let table = &mut self.tables[self.slots.index_of(at.slot)];
        find(table, &mut self.counters, at, key, now_ms, false, effects)
    }

    /// From now on keys whose time has passed are hidden, or again removed when somebody looks for them. Removing
    /// one needs room in the log, so a node whose disk is full hides them: it can go on answering reads.
    pub fn keep_due(&mut self, keep: bool) {
        self.keeps_due = keep;
    }

    /// Removes a key whose time has passed, with an effect.
    pub fn expire(&mut self, at: KeyAt, key: &[u8], effects: &mut EffectSink) {
        if !self.keeps_due && self.table_mut(at.slot).remove(at.hash, key) {
            effects.push(at.slot, Effect::Delete { key });
            self.counters.expired += 1;
        }
    }

    /// Sets a key, with an effect; returns whether it was there (due or not).
    #[inline]
    pub fn set(
        &mut self,
        at: KeyAt,
        key: &[u8],
        value: &[u8],
        expire_at_ms: Option<u64>,
        effects: &mut EffectSink,
    ) -> bool {
        effects.push(at.slot, Effect::Set { key, value, expire_at_ms });
        let table = &mut self.tables[self.slots.index_of(at.slot)];
        table.set(&self.hasher, at.hash, key, value, expire_at_ms)
    }

    /// Removes a key, with an effect if it was there; returns whether it was.
    pub fn remove(&mut self, at: KeyAt, key: &[u8], effects: &mut EffectSink) -> bool {
        let existed = self.table_mut(at.slot).remove(at.hash, key);
        if existed {
            effects.push(at.slot, Effect::Delete { key });
        }
        existed
    }

    /// Sets or takes away the expiry of a key that is there, with an effect.
    pub fn set_expire(&mut self, at: KeyAt, key: &[u8], expire_at_ms: Option<u64>, effects: &mut EffectSink) {
        if self.table_mut(at.slot).set_expire(at.hash, key, expire_at_ms) {
            effects.push(at.slot, Effect::Expire { key, expire_at_ms });
        }
    }

    /// Writes into a key's value, with an effect.
    pub fn patch(&mut self, at: KeyAt, key: &[u8], offset: usize, bytes: &[u8], effects: &mut EffectSink) {
        effects.push(at.slot, Effect::Patch { key, offset: offset as u64, bytes });
        let table = &mut self.tables[self.slots.index_of(at.slot)];
        table.patch(&self.hasher, at.hash, key, offset, bytes);
    }

    /// Does to a key of this place what the effect says, and keeps the effect; returns how many fields or members are
    /// new, or gone.
    pub fn change(&mut self, at: KeyAt, effect: &Effect<'_>, effects: &mut EffectSink) -> usize {
        effects.push(at.slot, *effect);
        let table = &mut self.tables[self.slots.index_of(at.slot)];
        effect.apply_at(table, &self.hasher, at.hash)
    }

    /// Removes all keys of a slot, with an effect if there were any.
    pub fn clear(&mut self, slot: SlotId, effects: &mut EffectSink) {
        if !self.table(slot).is_empty() {
            effects.push(slot, Effect::Clear);
            *self.table_mut(slot) = Table::new();
        }
    }

    /// The next of a sequence of numbers that is fixed by the hasher's seed and looks random.
    pub fn roll(&mut self) -> u64 {
        self.dice.roll()
    }

    /// Dice of one's own, which fall differently each time.
    pub fn dice(&mut self) -> Dice {
        Dice::new(self.roll())
    }

    /// The entry of a key, unless its time has passed; changes nothing.
    #[inline]
    pub fn peek(&self, at: KeyAt, key: &[u8], now_ms: u64) -> Option<EntryRef<'_>> {
        self.table(at.slot).get(at.hash, key).filter(|entry| !is_due(entry, now_ms))
    }
}

/// Numbers that look random: SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Whether an entry's time has passed at `now_ms` (Unix ms). It is there until the end of its last
/// millisecond, as in Redis.
#[inline]
pub(super) fn is_due(entry: &EntryRef<'_>, now_ms: u64) -> bool {
    entry.expire_at_ms().is_some_and(|at| at < now_ms)
}

#[inline]
fn find<'t>(
    table: &'t mut Table,
    counters: &mut KeyCounters,
    at: KeyAt,
    key: &[u8],
    now_ms: u64,
    keeps_due: bool,
    effects: &mut EffectSink,
) -> Option<EntryRef<'t>> {
    if table.volatile_len() > 0 && table.get(at.hash, key).is_some_and(|entry| is_due(&entry, now_ms)) {
        if keeps_due {
            return None;
        }
        table.remove(at.hash, key);
        effects.push(at.slot, Effect::Delete { key });
        counters.expired += 1;
        return None;
    }
    table.get(at.hash, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_place_on_one_shard() {
        for shard_count in [1, 2, 3, 5, 7, 16, 63, 64, 1000, 1024] {
            let mut seen = vec![false; SlotId::COUNT.into()];
            for shard in 0..shard_count {
                let slots = LocalSlots::new(ShardId(shard), shard_count);
                for (index, slot) in slots.iter().enumerate() {
                    assert_eq!(ShardId::of_slot(slot, shard_count), ShardId(shard));
                    assert_eq!(slots.index_of(slot), index);
                    assert!(!std::mem::replace(&mut seen[slot.index()], true));
                }
                assert_eq!(slots.iter().count(), slots.len());
                assert_eq!(slots.slot_at(slots.len()), None);
            }
            assert!(seen.iter().all(|&seen| seen), "{shard_count} shards");
        }
    }

    #[test]
    fn a_key_is_there_up_to_and_including_its_last_millisecond() {
        let slot = SlotId::new(7).unwrap();
        let mut tables = Tables::new(ShardId(0), 1, KeyHasher::new(1));
        let mut effects = EffectSink::new();
        effects.set_recording(true);
        let at = tables.key_at(slot, b"k");
        tables.set(at, b"k", b"v", Some(100), &mut effects);
        effects.clear();
        assert_eq!(tables.read(at, b"k", 100, &mut effects).unwrap().bytes(), b"v");
        assert!(effects.is_empty());
        tables.keep_due(true);
        assert!(tables.read(at, b"k", 101, &mut effects).is_none(), "it is hidden");
        assert!(effects.is_empty() && tables.table(at.slot).len() == 1, "and stays");
        tables.keep_due(false);
        assert!(tables.read(at, b"k", 101, &mut effects).is_none());
        assert!(tables.read(at, b"k", 101, &mut effects).is_none());
        let mut deleted = Vec::new();
        Effect::Delete { key: b"k" }.encode(&mut deleted);
        assert_eq!(effects.groups().collect::<Vec<_>>(), [(slot, &deleted[..])], "once");
        assert_eq!(tables.counters(), KeyCounters { hits: 1, misses: 3, expired: 1 });
        assert_eq!(tables.keys_total(), 0);
    }
}
