use std::collections::BTreeSet;

use super::*;

#[test]
fn members_are_added_found_and_removed() {
    TestShard::new().check(
        r#"
        SADD s 3 1 2 1 => :3
        SADD s 3 1 => :0
        OBJECT ENCODING s => "intset"
        SMEMBERS s => ["1", "2", "3"]
        SADD s x => :1
        OBJECT ENCODING s => "listpack"
        SCARD s => :4
        SISMEMBER s x => :1
        SISMEMBER s y => :0
        SISMEMBER none y => :0
        SMISMEMBER s y 2 x => [:0, :1, :1]
        SMISMEMBER none y => [:0]
        SREM s 1 1 y => :1
        SREM none a => :0
        SSCAN s 0 => ["0", ["2", "3", "x"]]
        SSCAN s 0 MATCH ? COUNT 1 => ["0", ["2", "3", "x"]]
        SREM s 2 3 x => :3
        EXISTS s => :0
        SADD big aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa => :1
        OBJECT ENCODING big => "hashtable"
        TYPE big => set
        GET big => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn sets_are_combined() {
    TestShard::new().check(
        r#"
        SADD {s}a 1 2 3 4 => :4
        SADD {s}b 3 4 5 => :3
        SADD {s}c 4 x => :2
        SET {s}text v => OK
        SINTER {s}a {s}b => ["3", "4"]
        SINTER {s}a {s}b {s}c => ["4"]
        SINTER {s}a {s}none => []
        SINTER {s}none {s}text => -WRONGTYPE Operation against a key holding the wrong kind of value
        SUNION {s}b {s}c => ["3", "4", "5", "x"]
        SUNION {s}none => []
        SDIFF {s}a {s}b {s}none => ["1", "2"]
        SDIFF {s}none {s}a => []
        SINTERCARD 2 {s}a {s}b => :2
        SINTERCARD 2 {s}a {s}b LIMIT 1 => :1
        SINTERCARD 2 {s}a {s}b LIMIT 0 => :2
        SINTERCARD 0 {s}a => -ERR numkeys should be greater than 0
        SINTERCARD x {s}a => -ERR numkeys should be greater than 0
        SINTERCARD 3 {s}a {s}b => -ERR Number of keys can't be greater than number of args
        SINTERCARD 1 {s}a LIMIT -1 => -ERR LIMIT can't be negative
        SINTERCARD 1 {s}a LIMIT => -ERR syntax error
        SINTERCARD 1 {s}a {s}b => -ERR syntax error
        SINTERSTORE {s}to {s}a {s}b => :2
        SMEMBERS {s}to => ["3", "4"]
        EXPIRE {s}to 100 => :1
        SUNIONSTORE {s}to {s}to {s}c => :3
        TTL {s}to => :-1
        SMEMBERS {s}to => ["3", "4", "x"]
        SDIFFSTORE {s}to {s}none => :0
        EXISTS {s}to => :0
        SUNIONSTORE {s}text {s}a => :4
        TYPE {s}text => set
        "#,
    );
}

#[test]
fn members_move() {
    TestShard::new().check(
        r#"
        SADD {s}a 1 2 => :2
        SADD {s}b 2 => :1
        SET {s}text v => OK
        SMOVE {s}a {s}b 1 => :1
        SMOVE {s}a {s}b 2 => :1
        EXISTS {s}a => :0
        SMEMBERS {s}b => ["1", "2"]
        SMOVE {s}a {s}b 2 => :0
        SMOVE {s}b {s}b 2 => :1
        SMOVE {s}b {s}new 9 => :0
        EXISTS {s}new => :0
        SMOVE {s}b {s}text 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        SMOVE {s}none {s}text 1 => :0
        "#,
    );
}

#[test]
fn random_members_are_members_and_popped_ones_are_gone() {
    let mut shard = TestShard::new();
    let members: Vec<String> = (0..1000).map(|i| format!("member:{i}")).collect();
    members.iter().for_each(|member| assert_eq!(shard.run(&format!("SADD s {member}")), ":1"));
    let names = |reply: Reply| match reply {
        Reply::Array(items) => items.iter().map(|item| item.as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let mut left: BTreeSet<_> = members.into_iter().collect();
    assert!(left.contains(shard.reply(&[b"SRANDMEMBER", b"s"]).as_str().unwrap()));
    let distinct: BTreeSet<_> = names(shard.reply(&[b"SRANDMEMBER", b"s", b"300"])).into_iter().collect();
    assert!(distinct.len() == 300 && distinct.is_subset(&left));
    assert_eq!(names(shard.reply(&[b"SRANDMEMBER", b"s", b"-2000"])).len(), 2000);
    assert!(left.remove(shard.reply(&[b"SPOP", b"s"]).as_str().unwrap()));
    for member in names(shard.reply(&[b"SPOP", b"s", b"400"])) {
        assert!(left.remove(&member), "each was there once");
    }
    let rest: BTreeSet<_> = names(shard.reply(&[b"SMEMBERS", b"s"])).into_iter().collect();
    assert_eq!(rest, left);
    assert_eq!(names(shard.reply(&[b"SPOP", b"s", b"5000"])).len(), 599);
    shard.check(
        r#"
        EXISTS s => :0
        SPOP s => (nil)
        SPOP s 3 => []
        SPOP s -1 => -ERR value is out of range, must be positive
        SPOP s x => -ERR value is out of range, must be positive
        SRANDMEMBER s => (nil)
        SRANDMEMBER s 2 => []
        SRANDMEMBER s 2 3 => -ERR syntax error
        SPOP s 2 3 => -ERR syntax error
        "#,
    );
}
