use std::collections::BTreeMap;

use super::*;
use crate::command::{parse_scan_cursor, scan_cursor_shard};

/// Calls SCAN until its cursor is 0, on the shard that each cursor names; counts how often each key came.
/// `between` runs before each call with the number of calls so far.
fn scan_all(
    shards: &mut [TestShard],
    options: &[&[u8]],
    mut between: impl FnMut(usize, &mut [TestShard]),
) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    let mut cursor = 0;
    for call in 0.. {
        between(call, shards);
        let shard = scan_cursor_shard(cursor, shards.len() as u16);
        let text = cursor.to_string();
        let args = [&[b"SCAN", text.as_bytes()][..], options].concat();
        let Reply::Array(reply) = shards[shard.index()].reply(&args) else { panic!("an array") };
        let Reply::Array(keys) = &reply[1] else { panic!("an array") };
        for key in keys {
            *seen.entry(key.as_str().unwrap().to_string()).or_default() += 1;
        }
        cursor = parse_scan_cursor(reply[0].as_str().unwrap().as_bytes()).unwrap();
        assert!(cursor < 1 << 53, "survives a double");
        if cursor == 0 {
            return seen;
        }
    }
    unreachable!("the loop returns")
}

fn node(shard_count: u16) -> Vec<TestShard> {
    (0..shard_count).map(|shard| TestShard::of(ShardId(shard), shard_count)).collect()
}

fn run(shards: &mut [TestShard], args: &[&[u8]]) {
    let shard = ShardId::of_slot(key_slot(args[1]), shards.len() as u16);
    shards[shard.index()].run_bytes(args);
}

#[test]
fn a_scan_over_all_shards_returns_every_key_once() {
    for shard_count in [1, 3] {
        let mut shards = node(shard_count);
        let keys: Vec<_> = (0..300).map(|i| format!("key:{i}")).collect();
        keys.iter().for_each(|key| run(&mut shards, &[b"SET", key.as_bytes(), b"v"]));
        for count in ["1", "7", "1000"] {
            let seen = scan_all(&mut shards, &[b"COUNT", count.as_bytes()], |_, _| {});
            assert_eq!(seen.len(), keys.len());
            assert!(seen.values().all(|&times| times == 1));
        }
        assert_eq!(scan_all(&mut shards, &[b"MATCH", b"*5"], |_, _| {}).len(), 30);
        assert_eq!(scan_all(&mut shards, &[b"match", b"*", b"TYPE", b"String"], |_, _| {}).len(), 300);
        assert_eq!(scan_all(&mut shards, &[b"TYPE", b"hash"], |_, _| {}).len(), 0);
    }
}

#[test]
fn keys_that_stay_are_returned_while_one_slot_grows_and_shrinks() {
    let mut shards = node(2);
    let key = |i: usize| format!("{{tag}}{i}");
    (0..100).for_each(|i| run(&mut shards, &[b"SET", key(i).as_bytes(), b"v"]));
    let seen = scan_all(&mut shards, &[b"COUNT", b"5"], |call, shards| match call {
        0..10 => (0..150).for_each(|i| run(shards, &[b"SET", key(1000 + call * 150 + i).as_bytes(), b"v"])),
        10..20 => (0..150).for_each(|i| run(shards, &[b"DEL", key(1000 + (call - 10) * 150 + i).as_bytes()])),
        _ => {}
    });
    for i in 0..100 {
        assert_eq!(seen.get(&key(i)), Some(&1), "{i}");
    }
}

#[test]
fn scans_leave_out_what_is_due_or_not_owned() {
    let mut shards = node(1);
    shards[0].check("MSET foo 1 bar 2 => OK\n SET due v PX 1 => OK");
    shards[0].wait(2);
    shards[0].owned = |slot| slot != key_slot(b"foo");
    assert_eq!(scan_all(&mut shards, &[], |_, _| {}).into_keys().collect::<Vec<_>>(), ["bar"]);
}

#[test]
fn scans_refuse_what_redis_refuses_and_end_at_made_up_cursors() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        SCAN x => -ERR invalid cursor
        SCAN 18446744073709551616 => -ERR invalid cursor
        SCAN -1 => ["0", []]
        SCAN 18446744073709551615 => ["0", []]
        SCAN '' => ["0", []]
        SCAN 0 COUNT 0 => -ERR syntax error
        SCAN 0 COUNT x => -ERR value is not an integer or out of range
        SCAN 0 COUNT => -ERR syntax error
        SCAN 0 WHAT x => -ERR syntax error
        "#,
    );
    assert_eq!(scan_cursor_shard(u64::MAX, 5), ShardId(4));
    assert_eq!(scan_cursor_shard(0, 5), ShardId(0));
}
