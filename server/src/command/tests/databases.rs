use super::*;
use crate::command::{Effect, ExpireCycle, SlotKeys};

fn numbers(shard: &TestShard) -> Vec<(u16, u64, u64)> {
    let counted = shard.tables.keys_by_database(&|_| true);
    counted
        .iter()
        .map(|DatabaseKeys { database, keys, volatile }| (database.get(), *keys, *volatile))
        .collect()
}

#[test]
fn a_key_of_one_database_is_nobody_elses() {
    let mut shard = TestShard::new();
    shard.check("SET k zero => OK\n SET only0 1 => OK");
    shard.select(9);
    shard.check(
        "GET k => (nil)
        SET k nine => OK
        RPUSH l a b => :2
        EXPIRE l 100 => :1
        DBSIZE => :2
        EXISTS k only0 => :1
        DEL only0 => :0",
    );
    shard.select(0);
    shard.check("GET k => \"zero\"\n DBSIZE => :2\n EXISTS l => :0");
    assert_eq!(numbers(&shard), [(0, 2, 0), (9, 2, 1)]);
    shard.select(9);
    shard.check("DEL k l => :2\n DBSIZE => :0");
    assert_eq!(numbers(&shard), [(0, 2, 0)]);
}

#[test]
fn commands_on_all_keys_see_the_selected_database() {
    let mut shard = TestShard::new();
    shard.check("MSET foo 1 bar 2 => OK");
    shard.select(3);
    shard.check(
        "RANDOMKEY => (nil)
        KEYS * => []
        SET foo 3 => OK
        KEYS * => [\"foo\"]
        RANDOMKEY => \"foo\"
        SCAN 0 COUNT 100000 => [\"0\", [\"foo\"]]
        CLUSTER COUNTKEYSINSLOT 12182 => :1
        CLUSTER GETKEYSINSLOT 12182 9 => [\"foo\"]
        CLUSTER COUNTKEYSINSLOT 5061 => :0",
    );
    shard.check("FLUSHDB => OK\n DBSIZE => :0");
    shard.select(0);
    shard.check("DBSIZE => :2\n CLUSTER COUNTKEYSINSLOT 5061 => :1");
    shard.select(3);
    shard.check("SET foo 3 => OK\n FLUSHALL => OK");
    assert_eq!(shard.effect_count(), 3, "two slots of one database and one of another");
    assert_eq!(numbers(&shard), []);
}

#[test]
fn keys_move_and_are_copied_between_databases() {
    let mut shard = TestShard::new();
    shard.check(
        "MOVE none 1 => :0
        SET k v PX 5000 => OK
        MOVE k 0 => -ERR source and destination objects are the same
        MOVE k 16 => -ERR DB index is out of range
        MOVE k -1 => -ERR DB index is out of range
        MOVE k x => -ERR value is not an integer or out of range
        MOVE k 99999999999 => -ERR value is out of range, value must between -2147483648 and 2147483647
        MOVE k 1 => :1
        EXISTS k => :0
        SET k other => OK
        MOVE k 1 => :0
        GET k => \"other\"
        COPY k k DB 1 => :0
        COPY k k DB 0 => -ERR source and destination objects are the same
        COPY k k DB 16 => -ERR DB index is out of range
        COPY k k DB x => -ERR value is not an integer or out of range
        COPY k k2 DB 2 => :1
        COPY k k2 DB 3 DB 4 => :1",
    );
    shard.select(1);
    shard.check("GET k => \"v\"\n PTTL k => :5000");
    shard.wait(5001);
    shard.select(0);
    shard.check("MOVE k 1 => :1");
    shard.select(1);
    shard.check("GET k => \"other\"\n PTTL k => :-1\n COPY k k DB 0 REPLACE => :1");
    assert_eq!(numbers(&shard), [(0, 1, 0), (1, 1, 0), (2, 1, 0), (4, 1, 0)]);
    // A big collection goes in several pieces, all of them into the other database.
    let members: Vec<_> = (0..3000).map(|i| format!("member{i}")).collect();
    let args: Vec<_> =
        [&b"SADD"[..], b"big"].into_iter().chain(members.iter().map(|m| m.as_bytes())).collect();
    shard.run_bytes(&args);
    shard.check("MOVE big 5 => :1\n EXISTS big => :0");
    shard.select(5);
    shard.check("SCARD big => :3000");
}

#[test]
fn two_databases_change_places() {
    let mut shard = TestShard::new();
    shard.check("MSET a 0 b 0 => OK");
    shard.select(7);
    shard.check("MSET b 7 c 7 => OK\n SWAPDB 0 7 => OK\n MGET a b c => [\"0\", \"0\", (nil)]");
    shard.select(0);
    shard.check(
        "MGET a b c => [(nil), \"7\", \"7\"]
        SWAPDB 0 0 => OK
        SWAPDB 7 3 => OK
        SWAPDB x 1 => -ERR invalid first DB index
        SWAPDB 99999999999 y => -ERR invalid first DB index
        SWAPDB 1 y => -ERR invalid second DB index
        SWAPDB 16 1 => -ERR DB index is out of range
        SWAPDB 1 -1 => -ERR DB index is out of range
        DBSIZE => :2",
    );
    assert_eq!(numbers(&shard), [(0, 2, 0), (3, 2, 0)]);
    shard.is_cluster = true;
    shard.check("SWAPDB 0 3 => -ERR SWAPDB is not allowed in cluster mode");
}

#[test]
fn keys_of_all_databases_expire() {
    let mut shard = TestShard::new();
    for number in [0, 1, 15] {
        shard.select(number);
        for i in 0..200 {
            shard.run(&format!("SET {{tag}}{i} v PX {}", if i < 150 { 5 } else { 50_000 }));
        }
    }
    shard.wait(10);
    shard.effects.clear();
    let mut cycle = ExpireCycle::new();
    let mut removed = 0;
    for _ in 0..400 {
        removed += cycle.step(&mut shard.tables, &mut shard.effects, &|_| true, shard.now_ms, 40);
    }
    assert_eq!(removed, 450);
    assert_eq!(numbers(&shard), [(0, 50, 50), (1, 50, 50), (15, 50, 50)]);
    for (slot, bytes) in shard.effects.groups() {
        for effect in EffectIter::new(bytes) {
            let (database, effect) = effect.unwrap();
            shard.copy.apply(slot, database, &effect);
        }
    }
    shard.check("GET {tag}0 => (nil)\n GET {tag}199 => \"v\"");
}

#[test]
fn a_slot_is_replaced_in_all_databases() {
    let mut shard = TestShard::new();
    let slot = key_slot(b"foo");
    for number in [0, 2, 4] {
        shard.select(number);
        shard.check("MSET foo 1 bar 2 => OK");
    }
    let mut keys = SlotKeys::new();
    let [two, nine] = [2, 9].map(|number| Database::new(number).unwrap());
    for database in [two, nine] {
        let effect = Effect::Set { key: b"foo", value: b"new", expire_at_ms: None };
        keys.apply(database, &effect, shard.tables.hasher());
    }
    drop(shard.tables.replace(slot, keys));
    let of_slot = |tables: &Tables| {
        let of = |(database, table): (Database, &Table)| (database.get(), table.len());
        tables.tables_of(slot).map(of).collect::<Vec<_>>()
    };
    assert_eq!(of_slot(&shard.tables), [(2, 1), (9, 1)]);
    assert_eq!((shard.tables.keys_of(slot), shard.tables.keys_of(key_slot(b"bar"))), (2, 3));
    assert_eq!(shard.tables.keys_total(), 5);
}

#[test]
fn a_database_costs_memory_only_where_it_has_had_keys() {
    let mut shard = TestShard::new();
    let before = shard.tables.used_bytes();
    shard.select(15);
    shard.check("GET k => (nil)\n DEL k => :0\n EXPIRE k 5 => :0\n PERSIST k => :0");
    assert_eq!(shard.tables.used_bytes(), before);
    shard.check("SET k v => OK");
    let used = shard.tables.used_bytes() - before;
    assert!((8_000..12_000).contains(&used), "{used} bytes");
}
