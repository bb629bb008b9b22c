use super::*;
use crate::command::{Effect, ItemsBuf};

#[test]
fn numbers_and_texts_in_order() {
    TestShard::new().check(
        r#"
        RPUSH {t}l 3 10 1 2.5 -1 2 => :6
        SORT {t}l => ["-1", "1", "2", "2.5", "3", "10"]
        SORT {t}l DESC => ["10", "3", "2.5", "2", "1", "-1"]
        SORT {t}l ALPHA => ["-1", "1", "10", "2", "2.5", "3"]
        SORT {t}l alpha desc => ["3", "2.5", "2", "10", "1", "-1"]
        SORT {t}l DESC ASC => ["-1", "1", "2", "2.5", "3", "10"]
        SORT {t}l LIMIT 1 2 => ["1", "2"]
        SORT {t}l LIMIT 0 -1 => ["-1", "1", "2", "2.5", "3", "10"]
        SORT {t}l LIMIT -5 2 => ["-1", "1"]
        SORT {t}l LIMIT 4 100 => ["3", "10"]
        SORT {t}l LIMIT 6 1 => []
        SORT {t}l LIMIT 100 1 => []
        SORT {t}l LIMIT 0 0 => []
        SORT {t}l LIMIT 1 -5 => ["1", "2", "2.5", "3", "10"]
        SORT {t}l LIMIT 9223372036854775807 9223372036854775807 => []
        SORT {t}l LIMIT 2 1 LIMIT 0 1 => ["-1"]
        SORT {t}l LIMIT a 1 => -ERR value is not an integer or out of range
        SORT {t}l LIMIT 1 b => -ERR value is not an integer or out of range
        SORT {t}l LIMIT 1 => -ERR syntax error
        SORT {t}l LIMIT => -ERR syntax error
        SORT {t}l BY => -ERR syntax error
        SORT {t}l GET => -ERR syntax error
        SORT {t}l STORE => -ERR syntax error
        SORT {t}l NOSUCH => -ERR syntax error
        SORT {t}l BY nosort => ["3", "10", "1", "2.5", "-1", "2"]
        SORT {t}l BY nosort DESC => ["2", "-1", "2.5", "1", "10", "3"]
        SORT {t}l BY nosort LIMIT 1 2 => ["10", "1"]
        SORT {t}l BY nosort DESC LIMIT 1 2 => ["-1", "2.5"]
        SORT {t}l BY nosort LIMIT 10 2 => []
        SORT {t}l BY # => ["3", "10", "1", "2.5", "-1", "2"]
        SORT {t}none => []
        SORT {t}none BY {t}w_* GET # => []
        SORT_RO {t}l => ["-1", "1", "2", "2.5", "3", "10"]
        SORT_RO {t}l DESC LIMIT 0 2 => ["10", "3"]
        SORT_RO {t}l STORE {t}d => -ERR syntax error
        SORT_RO {t}none => []
        RPUSH {t}words banana Apple cherry '' apple 10 9 => :7
        SORT {t}words => -ERR One or more scores can't be converted into double
        SORT {t}words ALPHA => ["", "10", "9", "Apple", "apple", "banana", "cherry"]
        SORT {t}words ALPHA DESC => ["cherry", "banana", "apple", "Apple", "9", "10", ""]
        RPUSH {t}n '' 0x10 1e3 inf -inf 5. .5 +7 => :8
        SORT {t}n => ["-inf", "", ".5", "5.", "+7", "0x10", "1e3", "inf"]
        SORT {t}n DESC => ["inf", "1e3", "0x10", "+7", "5.", ".5", "", "-inf"]
        "#,
    );
}

#[test]
fn the_result_replaces_what_is_there() {
    TestShard::new().check(
        r#"
        RPUSH {t}l 3 10 1 2.5 -1 2 => :6
        RPUSH {t}words banana Apple cherry '' apple 10 9 => :7
        SORT {t}words ALPHA STORE {t}d => :7
        LRANGE {t}d 0 -1 => ["", "10", "9", "Apple", "apple", "banana", "cherry"]
        SORT {t}words STORE {t}d => -ERR One or more scores can't be converted into double
        LRANGE {t}d 0 -1 => ["", "10", "9", "Apple", "apple", "banana", "cherry"]
        EXPIRE {t}d 100 => :1
        SORT {t}l STORE {t}d => :6
        TTL {t}d => :-1
        LRANGE {t}d 0 -1 => ["-1", "1", "2", "2.5", "3", "10"]
        SORT {t}none STORE {t}d => :0
        EXISTS {t}d => :0
        SET {t}d string => OK
        SORT {t}l LIMIT 0 3 STORE {t}d => :3
        LRANGE {t}d 0 -1 => ["-1", "1", "2"]
        SORT {t}d DESC STORE {t}d => :3
        LRANGE {t}d 0 -1 => ["2", "1", "-1"]
        SORT {t}l LIMIT 0 0 STORE {t}d => :0
        EXISTS {t}d => :0
        "#,
    );
}

#[test]
fn elements_that_are_no_numbers() {
    TestShard::new().check(
        r#"
        SORT {t}bad => []
        SORT {t}bad LIMIT 0 1 => []
        SORT {t}bad BY nosort => []
        SORT {t}bad STORE {t}d => :0
        DEL {t}bad => :0
        RPUSH {t}bad nan => :1
        SORT {t}bad => -ERR One or more scores can't be converted into double
        DEL {t}bad => :1
        RPUSH {t}bad 1e400 => :1
        SORT {t}bad => -ERR One or more scores can't be converted into double
        DEL {t}bad => :1
        RPUSH {t}bad 1e-400 => :1
        SORT {t}bad => -ERR One or more scores can't be converted into double
        "#,
    );
}

#[test]
fn patterns_name_keys() {
    TestShard::new().check(
        r#"
        RPUSH {t}ids 1 2 3 4 => :4
        MSET {t}w_1 30 {t}w_2 10 {t}w_3 20 {t}o_1 one {t}o_2 two {t}o_4 four => OK
        SORT {t}ids BY {t}w_* => ["4", "2", "3", "1"]
        SORT {t}ids BY {t}w_* DESC => ["1", "3", "2", "4"]
        SORT {t}ids BY {t}w_* LIMIT 1 2 => ["2", "3"]
        SORT {t}ids BY {t}w_* GET {t}o_* => ["four", "two", (nil), "one"]
        SORT {t}ids BY {t}w_* GET # GET {t}o_* GET {t}w_* => ["4", "four", (nil), "2", "two", "10", "3", (nil), "20", "1", "one", "30"]
        SORT {t}ids GET {t}none_* => [(nil), (nil), (nil), (nil)]
        SORT {t}ids GET constant => [(nil), (nil), (nil), (nil)]
        SORT {t}ids GET # => ["1", "2", "3", "4"]
        SORT {t}ids BY nosort GET {t}o_* STORE {t}d => :4
        LRANGE {t}d 0 -1 => ["one", "two", "", "four"]
        SORT {t}ids BY {t}o_* ALPHA => ["3", "4", "1", "2"]
        SORT {t}ids BY {t}o_* ALPHA DESC => ["2", "1", "4", "3"]
        SORT {t}ids BY {t}o_* ALPHA GET # STORE {t}d => :4
        LRANGE {t}d 0 -1 => ["3", "4", "1", "2"]
        SORT {t}ids BY {t}o_* => -ERR One or more scores can't be converted into double
        SORT {t}ids BY {t}ids* => ["1", "2", "3", "4"]
        SORT {t}ids BY {t}w_* BY nosort => ["1", "2", "3", "4"]
        SORT {t}ids BY nosort BY {t}w_* => ["1", "2", "3", "4"]
        SORT {t}ids GET {t}o_*x => [(nil), (nil), (nil), (nil)]
        SORT {t}ids GET {t}* => [(nil), (nil), (nil), (nil)]
        SORT {t}ids GET {t}o_*->f => [(nil), (nil), (nil), (nil)]
        SORT {t}ids GET {t}ids* => [(nil), (nil), (nil), (nil)]
        SET {t}s v => OK
        SORT {t}s => -WRONGTYPE Operation against a key holding the wrong kind of value
        SORT {t}s BY nosort => -WRONGTYPE Operation against a key holding the wrong kind of value
        SORT {t}s STORE {t}d => -WRONGTYPE Operation against a key holding the wrong kind of value
        SORT_RO {t}s => -WRONGTYPE Operation against a key holding the wrong kind of value
        RPUSH {t}ties b a 1 c 1 1 => :6
        SORT {t}ties BY {t}absent_* => ["1", "1", "1", "a", "b", "c"]
        SORT {t}ties BY {t}absent_* DESC => ["c", "b", "a", "1", "1", "1"]
        "#,
    );
}

/// A shard with a set, a sorted set and hashes.
fn with_collections() -> TestShard {
    let mut shard = TestShard::new();
    let items = |list: &[&str]| list.iter().map(|item| item.as_bytes()).collect::<ItemsBuf>();
    let mut scores = ItemsBuf::new();
    for (score, member) in [(1.0, "30"), (2.0, "4"), (3.0, "100")] {
        scores.push_score(score);
        scores.push(member.as_bytes());
    }
    let slot = key_slot(b"{t}");
    for effect in [
        Effect::SetAdd { key: b"{t}set", members: items(&["5", "300", "40"]).items() },
        Effect::Score { key: b"{t}zset", pairs: scores.items() },
        Effect::HashSet { key: b"{t}h4", pairs: items(&["weight", "1", "name", "four"]).items() },
        Effect::HashSet { key: b"{t}h30", pairs: items(&["weight", "9"]).items() },
        Effect::HashSet { key: b"{t}h100", pairs: items(&["weight", "-2", "name", "hundred"]).items() },
    ] {
        shard.tables.apply(slot, Database::MAIN, &effect);
        shard.copy.apply(slot, Database::MAIN, &effect);
    }
    shard
}

#[test]
fn sets_sorted_sets_and_fields_of_hashes() {
    with_collections().check(
        r#"
        SORT {t}set => ["5", "40", "300"]
        SORT {t}set DESC LIMIT 1 2 => ["40", "5"]
        SORT {t}set ALPHA => ["300", "40", "5"]
        SORT {t}set BY nosort STORE {t}d => :3
        LRANGE {t}d 0 -1 => ["300", "40", "5"]
        SORT {t}set BY nosort DESC STORE {t}d => :3
        LRANGE {t}d 0 -1 => ["5", "40", "300"]
        SORT {t}zset => ["4", "30", "100"]
        SORT {t}zset BY nosort => ["30", "4", "100"]
        SORT {t}zset BY nosort DESC => ["100", "4", "30"]
        SORT {t}zset BY nosort LIMIT 1 1 => ["4"]
        SORT {t}zset BY nosort DESC LIMIT 0 2 => ["100", "4"]
        SORT {t}zset BY {t}h*->weight => ["100", "4", "30"]
        SORT {t}zset BY {t}h*->weight GET {t}h*->name GET # => ["hundred", "100", "four", "4", (nil), "30"]
        SORT {t}zset BY {t}h*->none ALPHA GET {t}h*->name STORE {t}d => :3
        LRANGE {t}d 0 -1 => ["", "four", "hundred"]
        SORT {t}zset GET {t}h* => [(nil), (nil), (nil)]
        SORT {t}h4 => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn keys_that_are_due_are_not_found() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        RPUSH {t}l 1 2 => :2
        SET {t}w_1 5 PX 10 => OK
        SET {t}w_2 3 => OK
        SORT {t}l BY {t}w_* => ["2", "1"]
        "#,
    );
    shard.wait(11);
    shard.check(
        r#"
        SORT {t}l BY {t}w_* GET # GET {t}w_* => ["1", (nil), "2", "3"]
        PEXPIRE {t}l 10 => :1
        "#,
    );
    shard.wait(11);
    shard.check(
        r#"
        SORT {t}l => []
        "#,
    );
}

#[test]
fn a_cluster_looks_only_for_keys_of_the_same_slot() {
    let mut shard = TestShard::new();
    shard.is_cluster = true;
    shard.check(
        r#"
        RPUSH {t}l 2 1 => :2
        MSET {t}w_1 b {t}w_2 a => OK
        SORT {t}l BY w_* => -ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.
        SORT {t}l GET w_* => -ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.
        SORT_RO {t}l BY {u}w_* NOSUCH => -ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots.
        SORT {t}l NOSUCH BY w_* => -ERR syntax error
        SORT {t}l BY nosort GET # => ["2", "1"]
        SORT {t}l BY {t}w_* ALPHA GET {t}w_* => ["a", "b"]
        "#,
    );
}

#[test]
fn a_lone_node_looks_for_keys_of_the_same_shard() {
    // Of the three shards, one has the slot of the list, and another that of what the pattern makes of its element.
    let list = key_slot(b"l");
    let shard_of = |slot| ShardId::of_slot(slot, 3);
    let foreign = (0..).find(|i| shard_of(key_slot(format!("w_{i}").as_bytes())) != shard_of(list)).unwrap();
    let own = (0..).find(|i| shard_of(key_slot(format!("w_{i}").as_bytes())) == shard_of(list)).unwrap();
    let mut shard = TestShard::of(shard_of(list), 3);
    shard.run(&format!("RPUSH l {own} {own}"));
    shard.run(&format!("SET w_{own} x"));
    assert_eq!(shard.run("SORT l GET w_*"), r#"["x", "x"]"#);
    shard.run(&format!("RPUSH l {foreign}"));
    assert_eq!(
        shard.run("SORT l GET w_*"),
        "-ERR GET option of SORT denied as keys formed by the pattern belong to several shards of this node; use a hash tag"
    );
    assert!(shard.run("SORT_RO l BY w_* ALPHA").starts_with("-ERR BY option of SORT denied as"));
}
