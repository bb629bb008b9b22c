//! Active expiry: finding keys whose time has passed although nobody asks for them.

use carousel_protocol::SlotId;

use super::databases::WalkPosition;
use super::effect::EffectSink;
use super::tables::Tables;

/// Most tables that one step looks into, so that a step over tables without any expiry ends soon.
const TABLES_PER_STEP: usize = 512;

/// Bytes of names of removed keys after which a step ends: they go into one record for each slot.
const KEY_BYTES_PER_STEP: usize = 1024 * 1024;

/// Walks round and round over a shard's tables, a bounded step at a time.
///
/// How often to step is the driver's choice; a step that removed about as much as its budget means that the
/// next should come soon.
#[derive(Clone, Copy, Debug)]
pub struct ExpireCycle {
    local_index: usize,
    position: WalkPosition,
}

impl Default for ExpireCycle {
    fn default() -> Self {
        Self { local_index: 0, position: WalkPosition::START }
    }
}

impl ExpireCycle {
    /// A cycle that begins with the first slot.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at about `budget` keys of slots that are `owned` (only a primary expires: its replicas get the
    /// effects) and removes those due at `now_ms` (Unix ms), with effects. Returns how many.
    pub fn step(
        &mut self,
        tables: &mut Tables,
        effects: &mut EffectSink,
        owned: &dyn Fn(SlotId) -> bool,
        now_ms: u64,
        budget: usize,
    ) -> usize {
        let slots = tables.local_slots();
        let mut looked_at = 0;
        let mut due = Vec::new();
        let (mut removed, mut removed_bytes) = (0, 0);
        for _ in 0..TABLES_PER_STEP.min(slots.len()) {
            let slot = slots.slot_at(self.local_index).expect("the index is kept below the number of slots");
            let mut next = None;
            if let Some((database, table)) = tables.table_from(slot, self.position.database)
                && owned(slot)
            {
                let mut position = None;
                if table.volatile_len() > 0 {
                    let room = budget.saturating_sub(looked_at);
                    let from = self.position.within(database);
                    position = table.expire_step(tables.hasher(), from, now_ms, room, &mut |entry| {
                        due.push(entry.key().to_vec());
                        removed_bytes += entry.key().len();
                        removed_bytes < KEY_BYTES_PER_STEP
                    });
                    looked_at += table.len().min(room);
                }
                next = match position {
                    Some(position) => Some(WalkPosition { database, position }),
                    None => tables.walk_behind(slot, database),
                };
                removed += due.len();
                for key in due.drain(..) {
                    let at = tables.key_at(slot, database, &key);
                    tables.expire(at, &key, effects);
                }
            }
            match next {
                Some(position) => self.position = position,
                None => {
                    self.position = WalkPosition::START;
                    self.local_index = (self.local_index + 1) % slots.len();
                }
            }
            if looked_at >= budget || removed_bytes >= KEY_BYTES_PER_STEP {
                break;
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use carousel_protocol::{Database, ShardId};

    use super::*;
    use crate::store::KeyHasher;

    #[test]
    fn a_cycle_removes_what_is_due_in_owned_slots_in_bounded_steps() {
        let mut tables = Tables::new(ShardId(0), 1, KeyHasher::new(3));
        let mut effects = EffectSink::new();
        for i in 0..6000u16 {
            // One slot with many keys, one that is not owned, and the rest with one key each.
            let slot = SlotId::new([5, 6, i][usize::from(i % 3)]).unwrap();
            let key = i.to_string();
            let at = tables.key_at(slot, Database::MAIN, key.as_bytes());
            let expire_at_ms = [Some(10), Some(10), Some(10), None, Some(30), Some(10)][usize::from(i % 6)];
            tables.set(at, key.as_bytes(), b"", expire_at_ms, &mut effects);
        }
        effects.set_recording(true);
        let mut cycle = ExpireCycle::new();
        let (mut removed, mut steps) = (0, 0);
        while steps < 200 {
            let before = tables.keys_total();
            let step = cycle.step(&mut tables, &mut effects, &|slot| slot.get() != 6, 20, 100);
            assert_eq!(before - tables.keys_total(), step);
            assert!(step <= 110, "{step} keys in a step of 100");
            (removed, steps) = (removed + step, steps + 1);
        }
        assert_eq!(removed, 1000 + 2000, "half of slot 5 and all of the others");
        assert_eq!(tables.table(SlotId::new(6).unwrap(), Database::MAIN).len(), 2000);
        assert_eq!(tables.counters().expired, 3000);
        let effects: usize =
            effects.groups().map(|(_, bytes)| super::super::EffectIter::new(bytes).count()).sum();
        assert_eq!(effects, 3000);
    }

    #[test]
    fn a_step_over_keys_with_long_names_ends_early() {
        let mut tables = Tables::new(ShardId(0), 1, KeyHasher::new(3));
        let mut effects = EffectSink::new();
        let slot = SlotId::new(5).unwrap();
        for i in 0..40u8 {
            let key = vec![i; KEY_BYTES_PER_STEP / 4];
            let at = tables.key_at(slot, Database::MAIN, &key);
            tables.set(at, &key, b"", Some(10), &mut effects);
        }
        let mut cycle = ExpireCycle::new();
        let first = cycle.step(&mut tables, &mut effects, &|_| true, 20, 1000);
        assert!((4..8).contains(&first), "{first} keys");
        while tables.keys_total() > 0 {
            cycle.step(&mut tables, &mut effects, &|_| true, 20, 1000);
        }
        assert_eq!(tables.counters().expired, 40);
    }
}
