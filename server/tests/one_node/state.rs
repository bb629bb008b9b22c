//! What a shard holds, in a form that does not depend on how.

use std::collections::BTreeMap;

use carousel_protocol::{Database, ShardId, SlotId};
use carousel_server::shard::Shard;
use carousel_server::store::{EntryRef, Value};

/// A slot's keys of all databases, and what each holds.
pub type SlotState = BTreeMap<(Database, Vec<u8>), String>;

/// What the shard holds, by slot: of those that commands have keys of, and all others are empty.
pub fn states_of(shard: &Shard) -> BTreeMap<SlotId, SlotState> {
    let mut slots = crate::commands::slots();
    slots.retain(|slot| ShardId::of_slot(*slot, shard.tables.local_slots().shard_count()) == shard.id());
    let state = |slot| {
        let mut state = SlotState::new();
        for (database, table) in shard.tables.tables_of(slot) {
            for entry in table.iter() {
                state.insert((database, entry.key().to_vec()), content(entry));
            }
        }
        state
    };
    slots.into_iter().map(|slot| (slot, state(slot))).collect()
}

fn content(entry: EntryRef<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let value = match entry.value() {
        Value::String(bytes) => format!("{:?}", text(bytes)),
        Value::List(list) => {
            format!("{:?}", list.iter_from(0).map(|item| text(item.as_bytes())).collect::<Vec<_>>())
        }
        Value::Hash(hash) => {
            let fields = hash.iter().map(|(field, value)| (text(field.as_bytes()), text(value.as_bytes())));
            format!("{:?}", fields.collect::<BTreeMap<_, _>>())
        }
        Value::Set(set) => {
            let mut members: Vec<_> = set.iter().map(|member| text(member.as_bytes())).collect();
            members.sort();
            format!("set {members:?}")
        }
        Value::SortedSet(set) => {
            let members = set.iter_from(0).map(|(score, member)| (score, text(member.as_bytes())));
            format!("{:?}", members.collect::<Vec<_>>())
        }
    };
    format!("{value} until {:?}", entry.expire_at_ms())
}
