//! Removing keys where memory is limited.
//!
//! As Redis does, a victim is the best of a few keys that chance names, and of those that were nearly it before: a small
//! pool of candidates makes some five samples a time about as good as knowing them all.
//!
//! Chance names a table first, by the number of its keys. Those numbers are looked up rarely, see [`Weights`]: what is
//! evicted is far less than what there is.

use carousel_protocol::{Database, SlotId};

use super::effect::EffectSink;
use super::tables::Tables;
use crate::store::EntryRef;

/// Candidates that are remembered.
const POOL_MAX: usize = 16;
/// For how long the numbers of keys are good enough, in milliseconds.
const WEIGHTS_MS: u64 = 100;
/// Draws without a victim after which a step gives up.
const DRAWS_MAX: usize = 64;

/// Which keys are removed where memory is limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EvictionRules {
    /// Which keys may go.
    pub scope: Scope,
    /// Which of them goes first.
    pub order: Order,
    /// Keys that are compared to choose one.
    pub samples: usize,
}

/// Which keys may be evicted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scope {
    /// None.
    #[default]
    Nothing,
    /// Those with an expiry.
    Volatile,
    /// All.
    All,
}

/// Which key is evicted first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Any.
    #[default]
    Random,
    /// The least used, as [`Tracking`](super::Tracking) says.
    Use,
    /// The one that expires first.
    Expiry,
}

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evicted {
    /// Memory is within its limit.
    Enough,
    /// Not yet, but keys were removed, and there may be more.
    Some,
    /// Nothing was found that may go.
    Nothing,
}

/// Bounds of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepBounds {
    /// Keys removed at most.
    pub keys: usize,
    /// Bytes of their names after which a step ends.
    pub name_bytes: usize,
}

/// What is remembered from step to step.
#[derive(Default)]
pub struct Evictor {
    pool: Vec<Candidate>,
    weights: Weights,
}

struct Candidate {
    slot: SlotId,
    database: Database,
    key: Vec<u8>,
    worthlessness: u64,
}

/// How many keys each table has, summed up: chance falls on a table as often as on its keys.
#[derive(Default)]
struct Weights {
    /// Sums up to and with each table.
    sums: Vec<(u64, SlotId, Database)>,
    built_ms: Option<u64>,
    scope: Scope,
}

impl Weights {
    fn build(&mut self, tables: &Tables, scope: Scope, owned: &dyn Fn(SlotId) -> bool, now_ms: u64) {
        self.sums.clear();
        let mut sum = 0;
        for slot in tables.slots().filter(|slot| owned(*slot)) {
            for (database, table) in tables.tables_of(slot) {
                let keys = match scope {
                    Scope::Nothing => 0,
                    Scope::Volatile => table.volatile_len(),
                    Scope::All => table.len(),
                };
                if keys > 0 {
                    sum += keys as u64;
                    self.sums.push((sum, slot, database));
                }
            }
        }
        (self.built_ms, self.scope) = (Some(now_ms), scope);
    }

    fn is_good(&self, scope: Scope, now_ms: u64) -> bool {
        self.scope == scope
            && self.built_ms.is_some_and(|built| (built..built + WEIGHTS_MS).contains(&now_ms))
    }

    fn choose(&self, dice: u64) -> Option<(SlotId, Database)> {
        let total = self.sums.last()?.0;
        let at = self.sums.partition_point(|(sum, ..)| *sum <= dice % total);
        self.sums.get(at).map(|(_, slot, database)| (*slot, *database))
    }
}

impl Evictor {
    /// Removes keys of slots that are `owned` (only a primary evicts: its replicas get the effects), with effects, until
    /// no more than `limit` bytes are used or the bounds are reached.
    pub fn step(
        &mut self,
        tables: &mut Tables,
        effects: &mut EffectSink,
        rules: EvictionRules,
        owned: &dyn Fn(SlotId) -> bool,
        (limit, bounds): (usize, StepBounds),
        now_ms: u64,
    ) -> Evicted {
        let (mut keys, mut name_bytes) = (0, 0);
        if rules.scope == Scope::Nothing {
            return if tables.used_bytes() > limit { Evicted::Nothing } else { Evicted::Enough };
        }
        while tables.used_bytes() > limit {
            if keys >= bounds.keys || name_bytes >= bounds.name_bytes {
                return Evicted::Some;
            }
            let Some(victim) = self.choose(tables, rules, owned, now_ms) else {
                return if keys > 0 { Evicted::Some } else { Evicted::Nothing };
            };
            let at = tables.key_at(victim.slot, victim.database, &victim.key);
            if tables.evict(at, &victim.key, effects) {
                keys += 1;
                name_bytes += victim.key.len();
            }
        }
        Evicted::Enough
    }

    fn choose(
        &mut self,
        tables: &mut Tables,
        rules: EvictionRules,
        owned: &dyn Fn(SlotId) -> bool,
        now_ms: u64,
    ) -> Option<Candidate> {
        if !self.weights.is_good(rules.scope, now_ms) {
            self.weights.build(tables, rules.scope, owned, now_ms);
        }
        let only_volatile = rules.scope == Scope::Volatile;
        for draw in 0..DRAWS_MAX {
            if draw == DRAWS_MAX / 2 {
                self.weights.build(tables, rules.scope, owned, now_ms);
            }
            let (table_dice, key_dice) = (tables.roll(), tables.roll());
            let (slot, database) = self.weights.choose(table_dice)?;
            if !owned(slot) {
                continue;
            }
            let count = if rules.order == Order::Random { 1 } else { rules.samples };
            let (table, mut random) = (tables.table(slot, database), None);
            table.sample(key_dice, count, only_volatile, &mut |entry, stamp| {
                let worthlessness = tables.worthlessness(&entry, stamp, rules.order);
                if rules.order == Order::Random {
                    random = Some(Candidate { slot, database, key: entry.key().to_vec(), worthlessness });
                } else {
                    self.consider(slot, database, &entry, worthlessness);
                }
            });
            let chosen = random.or_else(|| self.best(tables, rules, owned));
            if chosen.is_some() {
                return chosen;
            }
        }
        None
    }

    fn consider(&mut self, slot: SlotId, database: Database, entry: &EntryRef<'_>, worthlessness: u64) {
        let is_full = self.pool.len() == POOL_MAX;
        if is_full && self.pool[0].worthlessness >= worthlessness {
            return;
        }
        let same = |other: &Candidate| other.database == database && other.key == entry.key();
        if let Some(at) = self.pool.iter().position(same) {
            self.pool.remove(at);
        } else if is_full {
            self.pool.remove(0);
        }
        let at = self.pool.partition_point(|other| other.worthlessness <= worthlessness);
        self.pool.insert(at, Candidate { slot, database, key: entry.key().to_vec(), worthlessness });
    }

    /// The best candidate that is still there, and still as good.
    fn best(
        &mut self,
        tables: &Tables,
        rules: EvictionRules,
        owned: &dyn Fn(SlotId) -> bool,
    ) -> Option<Candidate> {
        while let Some(candidate) = self.pool.pop() {
            let at = tables.key_at(candidate.slot, candidate.database, &candidate.key);
            let table = tables.table(candidate.slot, candidate.database);
            let (Some(entry), Some(stamp)) =
                (table.get(at.hash, &candidate.key), table.stamp(at.hash, &candidate.key))
            else {
                continue;
            };
            let now = tables.worthlessness(&entry, stamp, rules.order);
            let may_go = owned(candidate.slot) && (rules.scope == Scope::All || entry.is_volatile());
            if may_go && now >= candidate.worthlessness {
                return Some(candidate);
            }
        }
        None
    }
}
