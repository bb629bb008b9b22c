use super::*;

fn sorted(reply: Reply) -> Vec<String> {
    let Reply::Array(items) = reply else { panic!("an array, not {reply:?}") };
    let mut items: Vec<_> = items.iter().map(|item| item.as_str().expect("text").to_string()).collect();
    items.sort();
    items
}

/// Slot 12182 is foo's.
fn all_but_foo(slot: SlotId) -> bool {
    slot != key_slot(b"foo")
}

#[test]
fn keys_and_dbsize_see_owned_slots_only() {
    let mut shard = TestShard::new();
    shard.check("MSET foo 1 foe 2 bar 3 {foo}x 4 => OK\n DBSIZE => :4");
    assert_eq!(sorted(shard.reply(&[b"KEYS", b"*"])), ["bar", "foe", "foo", "{foo}x"]);
    assert_eq!(sorted(shard.reply(&[b"KEYS", b"fo?"])), ["foe", "foo"]);
    assert_eq!(sorted(shard.reply(&[b"KEYS", b"none"])), [""; 0]);
    shard.owned = all_but_foo;
    assert_eq!(sorted(shard.reply(&[b"KEYS", b"fo?"])), ["foe"]);
    shard.check("DBSIZE => :2\n SET foe v PX 1 => OK");
    shard.wait(2);
    assert_eq!(sorted(shard.reply(&[b"KEYS", b"*"])), ["bar"]);
}

#[test]
fn flushing_clears_owned_slots_with_one_effect_each() {
    let mut shard = TestShard::new();
    shard.check("MSET foo 1 bar 2 {bar}x 3 baz 4 => OK");
    shard.owned = all_but_foo;
    shard.check("FLUSHALL => OK");
    assert_eq!(shard.effect_count(), 2, "bar's slot and baz's");
    shard.check("EXISTS foo bar baz => :1");
    shard.owned = |_| true;
    shard.check(
        "FLUSHDB async => OK
        DBSIZE => :0
        FLUSHALL SYNC => OK
        FLUSHALL what => -ERR syntax error
        FLUSHALL SYNC ASYNC => -ERR syntax error",
    );
}

#[test]
fn random_keys_are_owned_and_not_due() {
    let mut shard = TestShard::new();
    shard.check("RANDOMKEY => (nil)\n MSET foo 1 a 2 b 3 => OK\n SET due v PX 1 => OK");
    shard.wait(2);
    shard.owned = all_but_foo;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        seen.insert(shard.run("RANDOMKEY"));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["\"a\"", "\"b\""]);
    shard.check("DEL a b => :2\n RANDOMKEY => (nil)");
}

#[test]
fn keys_of_a_slot() {
    let mut shard = TestShard::new();
    shard.check("MSET foo 1 {foo}x 2 bar 3 => OK");
    shard.check(
        "CLUSTER COUNTKEYSINSLOT 12182 => :2
        CLUSTER COUNTKEYSINSLOT 5 => :0
        CLUSTER COUNTKEYSINSLOT 16384 => -ERR Invalid slot
        CLUSTER COUNTKEYSINSLOT -1 => -ERR Invalid slot
        CLUSTER COUNTKEYSINSLOT x => -ERR value is not an integer or out of range
        CLUSTER GETKEYSINSLOT 12182 0 => []
        CLUSTER GETKEYSINSLOT 16384 1 => -ERR Invalid slot or number of keys
        CLUSTER GETKEYSINSLOT 1 -1 => -ERR Invalid slot or number of keys
        CLUSTER COUNTKEYSINSLOT => -ERR wrong number of arguments for 'cluster|countkeysinslot' command",
    );
    assert_eq!(sorted(shard.reply(&[b"CLUSTER", b"GETKEYSINSLOT", b"12182", b"9"])), ["foo", "{foo}x"]);
    assert_eq!(sorted(shard.reply(&[b"CLUSTER", b"GETKEYSINSLOT", b"12182", b"1"])).len(), 1);
    shard.owned = all_but_foo;
    shard.check("CLUSTER COUNTKEYSINSLOT 12182 => :0\n CLUSTER GETKEYSINSLOT 12182 9 => []");
}
