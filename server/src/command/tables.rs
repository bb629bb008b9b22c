//! The slot tables of one shard.

use carousel_protocol::{Database, ShardId, SlotId};

use super::access::{Access, Tracking};
use super::databases::{DatabaseKeys, Databases, SlotKeys, WalkPosition};
use super::effect::{Effect, EffectSink};
use super::evict::Order;
use crate::store::{EntryRef, KeyHasher, Packing, PrefetchDepth, ScanPosition, Stamp, Table};

/// Slots that follow each other stay on one shard in groups of this many; see [`ShardId::of_slot`].
pub(super) const GROUP: usize = 16;
const GROUPS: usize = SlotId::COUNT as usize / GROUP;

/// Where a key is: what every access begins with.
#[derive(Clone, Copy, Debug)]
pub struct KeyAt {
    /// The key's slot, which must be one of this shard.
    pub slot: SlotId,
    /// The database that the key is of.
    pub database: Database,
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
    /// Keys removed because memory was short.
    pub evicted: u64,
}

/// The tables a command may touch: those of one shard.
pub struct Tables {
    slots: LocalSlots,
    hasher: KeyHasher,
    /// Of database 0.
    tables: Vec<Table>,
    others: Databases,
    /// Bytes of all tables' keys, and of the tables' own memory.
    table_bytes: usize,
    access: Access,
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
        let others = Databases::default();
        Self {
            slots,
            tables,
            others,
            table_bytes: 0,
            access: Access::new(hasher.hash(b"access")),
            counters: KeyCounters::default(),
            dice,
            keeps_due: false,
            hasher,
        }
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

    /// A database's table of a slot of this shard.
    #[inline]
    pub fn table(&self, slot: SlotId, database: Database) -> &Table {
        let index = self.slots.index_of(slot);
        if database.is_main() { &self.tables[index] } else { self.others.table(index, database) }
    }

    /// The same to change or remove keys that are there.
    #[inline]
    fn table_mut(&mut self, slot: SlotId, database: Database) -> &mut Table {
        let index = self.slots.index_of(slot);
        if database.is_main() { &mut self.tables[index] } else { self.others.table_mut(index, database) }
    }

    /// The same to put keys into.
    #[inline]
    fn made_table(&mut self, slot: SlotId, database: Database) -> (&mut Table, &KeyHasher) {
        let index = self.slots.index_of(slot);
        let table = if database.is_main() {
            &mut self.tables[index]
        } else {
            self.others.made(index, database, self.slots.len())
        };
        (table, &self.hasher)
    }

    /// The first database from `from` on that has keys of the slot, and its table: how to walk over all of them.
    pub fn table_from(&self, slot: SlotId, from: Database) -> Option<(Database, &Table)> {
        let index = self.slots.index_of(slot);
        if from.is_main() && !self.tables[index].is_empty() {
            return Some((Database::MAIN, &self.tables[index]));
        }
        let database = self.others.next_used(index, if from.is_main() { from.next()? } else { from })?;
        Some((database, self.others.table(index, database)))
    }

    /// Where a walk over the slot's keys goes on behind those of a database; `None` where no keys follow.
    pub fn walk_behind(&self, slot: SlotId, database: Database) -> Option<WalkPosition> {
        let database = database.next()?;
        self.table_from(slot, database)?;
        Some(WalkPosition { database, position: ScanPosition::START })
    }

    /// All databases that have keys of the slot, and their tables.
    pub fn tables_of(&self, slot: SlotId) -> impl Iterator<Item = (Database, &Table)> {
        let mut from = Some(Database::MAIN);
        std::iter::from_fn(move || {
            let (database, table) = self.table_from(slot, from?)?;
            from = database.next();
            Some((database, table))
        })
    }

    /// The hasher that all these tables are sorted by.
    #[inline]
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Puts keys (in tables built with the same hasher) in the place of a slot's, in all databases, and returns the old
    /// ones.
    #[must_use = "dropping large tables takes time"]
    pub fn replace(&mut self, slot: SlotId, keys: SlotKeys) -> SlotKeys {
        let used: Vec<_> = self.tables_of(slot).map(|(database, _)| database).collect();
        let old = used.iter().map(|&database| {
            let table = std::mem::take(self.table_mut(slot, database));
            self.table_bytes -= table.used_bytes();
            (database, table)
        });
        let old = SlotKeys::of_tables(old.collect());
        for (database, table) in keys.into_tables() {
            self.table_bytes += table.used_bytes();
            *self.made_table(slot, database).0 = table;
        }
        old
    }

    /// Number of keys of a slot, in all databases.
    pub fn keys_of(&self, slot: SlotId) -> usize {
        self.tables_of(slot).map(|(_, table)| table.len()).sum()
    }

    /// Number of keys in all tables, walking them.
    pub fn keys_total(&self) -> usize {
        let mut keys: usize = self.tables.iter().map(Table::len).sum();
        self.others.each(|_, _, table| keys += table.len());
        keys
    }

    /// Numbers of keys of the databases that have any in the slots that count, walking all tables; by database.
    pub fn keys_by_database(&self, counts: &dyn Fn(SlotId) -> bool) -> Vec<DatabaseKeys> {
        let mut found: Vec<DatabaseKeys> = Vec::new();
        let mut add = |database, index, table: &Table| {
            if table.is_empty() || !self.slots.slot_at(index).is_some_and(counts) {
                return;
            }
            if found.last().is_none_or(|last| last.database != database) {
                found.push(DatabaseKeys { database, keys: 0, volatile: 0 });
            }
            let last = found.last_mut().expect("there is one");
            last.keys += table.len() as u64;
            last.volatile += table.volatile_len() as u64;
        };
        self.tables.iter().enumerate().for_each(|(index, table)| add(Database::MAIN, index, table));
        self.others.each(add);
        found
    }

    /// Bytes that keys and tables take, exactly as the allocator's size classes have it.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        self.tables.capacity() * size_of::<Table>() + self.others.own_bytes() + self.table_bytes
    }

    /// Of those, the bytes of a slot's keys in all databases.
    pub fn used_bytes_of(&self, slot: SlotId) -> usize {
        self.tables_of(slot).map(|(_, table)| table.used_bytes()).sum()
    }

    /// Changes a table, keeping count of its bytes.
    #[inline]
    fn change_table<R>(
        &mut self,
        slot: SlotId,
        database: Database,
        change: impl FnOnce(&mut Table, &KeyHasher) -> R,
    ) -> R {
        let (table, hasher) = self.made_table(slot, database);
        let before = table.used_bytes();
        let result = change(table, hasher);
        let after = table.used_bytes();
        self.table_bytes = self.table_bytes - before + after;
        result
    }

    /// The same where nothing is inserted.
    #[inline]
    fn change_existing<R>(&mut self, at: KeyAt, change: impl FnOnce(&mut Table) -> R) -> R {
        let table = self.table_mut(at.slot, at.database);
        let before = table.used_bytes();
        let result = change(table);
        let after = table.used_bytes();
        self.table_bytes = self.table_bytes - before + after;
        result
    }

    /// What happened to keys since the start.
    pub fn counters(&self) -> KeyCounters {
        self.counters
    }

    /// Applies an effect that another node or the log names.
    pub fn apply(&mut self, slot: SlotId, database: Database, effect: &Effect<'_>) {
        match *effect {
            Effect::Swap { with } => self.swap_tables(slot, [database, with]),
            ref effect => {
                self.change_table(slot, database, |table, hasher| effect.apply(table, hasher));
            }
        }
    }

    fn swap_tables(&mut self, slot: SlotId, databases: [Database; 2]) {
        let [first, second] = databases.map(|database| std::mem::take(self.table_mut(slot, database)));
        for (database, table) in [(databases[0], second), (databases[1], first)] {
            if !table.is_empty() {
                *self.made_table(slot, database).0 = table;
            }
        }
    }

    /// Where a key of a known slot is.
    #[inline]
    pub fn key_at(&self, slot: SlotId, database: Database, key: &[u8]) -> KeyAt {
        KeyAt { slot, database, hash: self.hasher.hash(key) }
    }

    /// Loads into the caches what the next look-ups of these keys need, all at once instead of one wait after
    /// the other. Worth it for two keys and more, up to some dozens: what a pipelining client has sent.
    #[inline]
    pub fn prefetch(&self, keys: &[KeyAt]) {
        for depth in [PrefetchDepth::Table, PrefetchDepth::Words, PrefetchDepth::Entry] {
            for at in keys {
                self.table(at.slot, at.database).prefetch(at.hash, depth);
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
        let keeps_due = self.keeps_due;
        let (found, counters) = self.look(at, key, now_ms, keeps_due, effects);
        match found {
            Some(_) => counters.hits += 1,
            None => counters.misses += 1,
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
        self.look(at, key, now_ms, false, effects).0
    }

    /// The key's entry unless its time has passed, and the counters.
    #[inline]
    fn look(
        &mut self,
        at: KeyAt,
        key: &[u8],
        now_ms: u64,
        keeps_due: bool,
        effects: &mut EffectSink,
    ) -> (Option<EntryRef<'_>>, &mut KeyCounters) {
        let index = self.slots.index_of(at.slot);
        let table = if at.database.is_main() {
            &mut self.tables[index]
        } else {
            self.others.table_mut(index, at.database)
        };
        let counters = &mut self.counters;
        if table.volatile_len() > 0 && table.get(at.hash, key).is_some_and(|entry| is_due(&entry, now_ms)) {
            if keeps_due {
                return (None, counters);
            }
            let before = table.used_bytes();
            table.remove(at.hash, key);
            self.table_bytes = self.table_bytes - before + table.used_bytes();
            effects.push(at.slot, at.database, Effect::Delete { key });
            counters.expired += 1;
            return (None, counters);
        }
        if !self.access.is_noting() {
            return (table.get(at.hash, key), counters);
        }
        let (before, access) = (table.used_bytes(), &mut self.access);
        let _ = table.get_noting(at.hash, key, |stamp| access.used(stamp));
        self.table_bytes = self.table_bytes - before + table.used_bytes();
        (table.get(at.hash, key), counters)
    }

    /// From now on keys whose time has passed are hidden, or again removed when somebody looks for them. Removing
    /// one needs room in the log, so a node whose disk is full hides them: it can go on answering reads.
    pub fn keep_due(&mut self, keep: bool) {
        self.keeps_due = keep;
    }

    /// Removes a key whose time has passed, with an effect.
    pub fn expire(&mut self, at: KeyAt, key: &[u8], effects: &mut EffectSink) {
        if !self.keeps_due && self.change_existing(at, |table| table.remove(at.hash, key)) {
            effects.push(at.slot, at.database, Effect::Delete { key });
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
        effects.push(at.slot, at.database, Effect::Set { key, value, expire_at_ms });
        let existed = self.change_table(at.slot, at.database, |table, hasher| {
            table.set(hasher, at.hash, key, value, expire_at_ms)
        });
        if self.access.tracking() != Tracking::Off {
            self.note_written(at, key, existed);
        }
        existed
    }

    /// Notes that a key was written that nobody has looked for before.
    #[cold]
    fn note_written(&mut self, at: KeyAt, key: &[u8], existed: bool) {
        let index = self.slots.index_of(at.slot);
        let table = if at.database.is_main() {
            &mut self.tables[index]
        } else {
            self.others.table_mut(index, at.database)
        };
        let (before, access) = (table.used_bytes(), &mut self.access);
        table.get_noting(at.hash, key, |stamp| if existed { access.used(stamp) } else { access.made() });
        self.table_bytes = self.table_bytes - before + table.used_bytes();
    }

    /// Notes that a key was made, if it was.
    #[cold]
    fn note_made(&mut self, at: KeyAt, key: &[u8]) {
        let stamp = self.table(at.slot, at.database).stamp(at.hash, key);
        if stamp == Some(Stamp::UNSET) {
            self.note_written(at, key, false);
        }
    }

    /// Removes a key, with an effect if it was there; returns whether it was.
    pub fn remove(&mut self, at: KeyAt, key: &[u8], effects: &mut EffectSink) -> bool {
        let existed = self.change_existing(at, |table| table.remove(at.hash, key));
        if existed {
            effects.push(at.slot, at.database, Effect::Delete { key });
        }
        existed
    }

    /// Sets or takes away the expiry of a key that is there, with an effect.
    pub fn set_expire(&mut self, at: KeyAt, key: &[u8], expire_at_ms: Option<u64>, effects: &mut EffectSink) {
        if self.change_existing(at, |table| table.set_expire(at.hash, key, expire_at_ms)) {
            effects.push(at.slot, at.database, Effect::Expire { key, expire_at_ms });
        }
    }

    /// Writes into a key's value, with an effect.
    pub fn patch(&mut self, at: KeyAt, key: &[u8], offset: usize, bytes: &[u8], effects: &mut EffectSink) {
        effects.push(at.slot, at.database, Effect::Patch { key, offset: offset as u64, bytes });
        self.change_table(at.slot, at.database, |table, hasher| {
            table.patch(hasher, at.hash, key, offset, bytes);
        });
        if self.access.tracking() != Tracking::Off {
            self.note_made(at, key);
        }
    }

    /// Does to a key of this place what the effect says, and keeps the effect; returns how many fields or members are
    /// new, or gone.
    pub fn change(&mut self, at: KeyAt, effect: &Effect<'_>, effects: &mut EffectSink) -> usize {
        effects.push(at.slot, at.database, *effect);
        let changed =
            self.change_table(at.slot, at.database, |table, hasher| effect.apply_at(table, hasher, at.hash));
        if self.access.tracking() != Tracking::Off
            && let Some(key) = effect.key()
        {
            self.note_made(at, key);
        }
        changed
    }

    /// Removes a key because memory is short, with an effect; returns whether it was there.
    pub fn evict(&mut self, at: KeyAt, key: &[u8], effects: &mut EffectSink) -> bool {
        let existed = self.remove(at, key, effects);
        self.counters.evicted += u64::from(existed);
        existed
    }

    /// What follows happens at that time (Unix ms), and counts as a use of the keys that are looked for, or not.
    #[inline]
    pub fn begin_command(&mut self, now_ms: u64, counts_as_use: bool) {
        (self.access.now_ms, self.access.counts) = (now_ms, counts_as_use);
    }

    /// Changes what is kept of the use of keys. Forgets what was noted where it would mean something else.
    pub fn set_tracking(&mut self, tracking: Tracking, now_ms: u64) {
        if self.access.set_tracking(tracking, now_ms) {
            self.tables.iter_mut().for_each(Table::forget_stamps);
            self.others.each_mut(Table::forget_stamps);
            let mut bytes = self.tables.iter().map(Table::used_bytes).sum();
            self.others.each(|_, _, table| bytes += table.used_bytes());
            self.table_bytes = bytes;
        }
    }

    /// Bytes per key for that, but for what arrays leave free.
    pub(super) fn stamp_bytes(&self) -> usize {
        if self.tracking() == Tracking::Off { 0 } else { size_of::<Stamp>() }
    }

    /// From now on collections are packed up to there.
    pub fn set_packing(&mut self, packing: Packing) {
        self.hasher.set_packing(packing);
    }

    /// What is kept of the use of keys.
    pub fn tracking(&self) -> Tracking {
        self.access.tracking()
    }

    /// Seconds since a key was used, and the counter of its uses, as far as they are kept; `None` where there is no key.
    pub(super) fn use_of(&self, at: KeyAt, key: &[u8]) -> Option<(u64, u8)> {
        let stamp = self.table(at.slot, at.database).stamp(at.hash, key)?;
        Some((self.access.idle_s(stamp), self.access.frequency(stamp)))
    }

    /// How good it is to evict a key: the greater the better.
    pub(super) fn worthlessness(&self, entry: &EntryRef<'_>, stamp: Stamp, order: Order) -> u64 {
        match order {
            Order::Random => 0,
            Order::Use => self.access.worthlessness(stamp),
            Order::Expiry => u64::MAX - entry.expire_at_ms().unwrap_or(u64::MAX),
        }
    }

    /// Removes all keys of a slot and database, with an effect if there were any.
    pub fn clear(&mut self, slot: SlotId, database: Database, effects: &mut EffectSink) {
        if !self.table(slot, database).is_empty() {
            effects.push(slot, database, Effect::Clear);
            let table = std::mem::take(self.table_mut(slot, database));
            self.table_bytes -= table.used_bytes();
        }
    }

    /// Gives the keys of a slot that each of two databases has to the other, with an effect if there were any.
    pub fn swap(&mut self, slot: SlotId, databases: [Database; 2], effects: &mut EffectSink) {
        if databases.iter().any(|&database| !self.table(slot, database).is_empty()) {
            effects.push(slot, databases[0], Effect::Swap { with: databases[1] });
            self.swap_tables(slot, databases);
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
        self.table(at.slot, at.database).get(at.hash, key).filter(|entry| !is_due(entry, now_ms))
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
        let at = tables.key_at(slot, Database::MAIN, b"k");
        tables.set(at, b"k", b"v", Some(100), &mut effects);
        effects.clear();
        assert_eq!(tables.read(at, b"k", 100, &mut effects).unwrap().bytes(), b"v");
        assert!(effects.is_empty());
        tables.keep_due(true);
        assert!(tables.read(at, b"k", 101, &mut effects).is_none(), "it is hidden");
        assert!(effects.is_empty() && tables.table(at.slot, at.database).len() == 1, "and stays");
        tables.keep_due(false);
        assert!(tables.read(at, b"k", 101, &mut effects).is_none());
        assert!(tables.read(at, b"k", 101, &mut effects).is_none());
        let mut deleted = Vec::new();
        Effect::Delete { key: b"k" }.encode(&mut deleted);
        assert_eq!(effects.groups().collect::<Vec<_>>(), [(slot, &deleted[..])], "once");
        assert_eq!(tables.counters(), KeyCounters { hits: 1, misses: 3, expired: 1, evicted: 0 });
        assert_eq!(tables.keys_total(), 0);
    }
}
