use super::*;

#[test]
fn del_exists_touch_and_type() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        MSET a 1 b 2 c 3 => OK
        EXISTS a b none a => :3
        TOUCH a none => :1
        TYPE a => string
        TYPE none => none
        DEL a none a => :1
        UNLINK b c => :2
        DBSIZE => :0
        "#,
    );
    shard.check("SET e v PX 10 => OK");
    shard.wait(11);
    shard.check("DBSIZE => :1\n EXISTS e => :0\n DBSIZE => :0\n SET e v PX 10 => OK");
    shard.wait(11);
    shard.check("DEL e => :0\n TYPE e => none");
}

#[test]
fn expire_and_its_kin() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        TTL k => :-2
        PTTL k => :-2
        EXPIRETIME k => :-2
        PEXPIRETIME k => :-2
        EXPIRE k 10 => :0
        PERSIST k => :0
        SET k v => OK
        TTL k => :-1
        PTTL k => :-1
        EXPIRETIME k => :-1
        PEXPIRETIME k => :-1
        PERSIST k => :0
        EXPIRE k 10 => :1
        TTL k => :10
        PTTL k => :10000
        PEXPIRE k 10499 => :1
        TTL k => :10
        PEXPIRE k 10500 => :1
        TTL k => :11
        EXPIREAT k 4000000000 => :1
        EXPIRETIME k => :4000000000
        PEXPIREAT k 4000000000500 => :1
        EXPIRETIME k => :4000000001
        PEXPIRETIME k => :4000000000500
        PERSIST k => :1
        TTL k => :-1
        EXPIRE k x => -ERR value is not an integer or out of range
        EXPIRE k 9223372036854775807 => -ERR invalid expire time in 'expire' command
        EXPIRE k -9223372036854775808 => -ERR invalid expire time in 'expire' command
        PEXPIRE k 9223372036854775807 => -ERR invalid expire time in 'pexpire' command
        EXPIREAT k 9223372036854775 => :1
        PEXPIREAT k 9223372036854775807 => :1
        PEXPIRETIME k => :9223372036854775807
        GET k => "v"
        EXPIRE k 0 => :1
        EXISTS k => :0
        SET k v => OK
        PEXPIRE k -1 => :1
        EXISTS k => :0
        SET k v => OK
        EXPIREAT k 1 => :1
        EXISTS k => :0
        SET k v => OK
        PEXPIREAT k -5 => :1
        EXISTS k => :0
        "#,
    );
    shard.check("SET k v => OK\n PEXPIRE k 100 => :1");
    shard.wait(100);
    shard.check("PTTL k => :0\n GET k => \"v\"");
    shard.wait(1);
    shard.check("GET k => (nil)\n PTTL k => :-2");
    assert_eq!(shard.tables.keys_total(), 0);
}

#[test]
fn conditions_of_expire() {
    TestShard::new().check(
        r#"
        SET k v => OK
        EXPIRE k 100 XX => :0
        EXPIRE k 100 GT => :0
        EXPIRE k 100 xx gt => :0
        EXPIRE k 100 NX => :1
        EXPIRE k 200 NX => :0
        TTL k => :100
        EXPIRE k 50 GT => :0
        EXPIRE k 200 GT => :1
        TTL k => :200
        EXPIRE k 300 LT => :0
        EXPIRE k 100 LT => :1
        TTL k => :100
        EXPIRE k 150 XX LT => :0
        EXPIRE k 150 XX GT => :1
        TTL k => :150
        PERSIST k => :1
        EXPIRE k 100 XX LT => :0
        EXPIRE k 100 LT => :1
        EXPIRE k 100 LT LT => :0
        PEXPIREAT k 4000000000000 => :1
        PEXPIREAT k 4000000000000 GT => :0
        PEXPIREAT k 4000000000000 LT => :0
        EXPIRE k -1 GT => :0
        EXISTS k => :1
        EXPIRE k -1 LT => :1
        EXISTS k => :0
        EXPIRE k 1 NX XX => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 1 NX GT => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 1 LT NX => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 1 GT LT => -ERR GT and LT options at the same time are not compatible
        EXPIRE k 1 WHAT => -ERR Unsupported option WHAT
        EXPIRE k x NX XX => -ERR NX and XX, GT or LT options at the same time are not compatible
        "#,
    );
}

#[test]
fn object_encoding() {
    let long = "x".repeat(45);
    let mut shard = TestShard::new();
    shard.check(&format!(
        r#"
        OBJECT ENCODING none => (nil)
        SET k 12345 => OK
        OBJECT ENCODING k => "int"
        SET k -9223372036854775808 => OK
        OBJECT ENCODING k => "int"
        SET k 9223372036854775808 => OK
        OBJECT ENCODING k => "embstr"
        SET k 01 => OK
        OBJECT encoding k => "embstr"
        SET k {short} => OK
        OBJECT ENCODING k => "embstr"
        SET k {long} => OK
        OBJECT ENCODING k => "raw"
        OBJECT WHAT k => -ERR unknown subcommand 'WHAT'. Try OBJECT HELP.
        OBJECT ENCODING => -ERR wrong number of arguments for 'object|encoding' command
        "#,
        short = &long[..44],
    ));
    let Reply::Array(help) = shard.reply(&[b"OBJECT", b"HELP"]) else { panic!("lines") };
    assert_eq!(help[0].as_str(), Some("OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
}

#[test]
fn effects_name_times_not_differences() {
    use crate::command::Effect;
    let mut shard = TestShard::new();
    let mut effects = |line: &str| {
        shard.run(line);
        let effects = shard.effects.groups().flat_map(|(_, bytes)| EffectIter::new(bytes));
        effects.map(|effect| format!("{:?}", effect.unwrap().1)).collect::<Vec<_>>()
    };
    let at = |expire_at_ms| Some(START_MS + expire_at_ms);
    let show = |effect: Effect<'_>| vec![format!("{effect:?}")];
    let set = |value, expire_at_ms| show(Effect::Set { key: b"k", value, expire_at_ms });
    assert_eq!(effects("SET k 5 EX 7"), set(b"5", at(7000)));
    assert_eq!(effects("INCRBY k 3"), set(b"8", at(7000)));
    assert_eq!(effects("INCRBYFLOAT k 0.5"), set(b"8.5", at(7000)));
    assert_eq!(effects("EXPIRE k 9"), show(Effect::Expire { key: b"k", expire_at_ms: at(9000) }));
    assert_eq!(effects("APPEND k 1"), show(Effect::Patch { key: b"k", offset: 3, bytes: b"1" }));
    assert_eq!(effects("GETEX k PERSIST"), show(Effect::Expire { key: b"k", expire_at_ms: None }));
    assert_eq!(effects("EXPIRE k -1"), show(Effect::Delete { key: b"k" }));
    for no_change in
        ["GET k", "SETRANGE k 5 ''", "EXPIRE k 1", "PERSIST k", "SET k v XX", "DEL k", "FLUSHALL"]
    {
        assert_eq!(effects(no_change), Vec::<String>::new(), "{no_change}");
    }
}

#[test]
fn keys_of_all_types_are_copied_and_renamed() {
    let mut shard = TestShard::new();
    for i in 0..3000 {
        shard.run(&format!("SADD {{k}}big member:{i}"));
    }
    shard.check(
        r#"
        SET {k}text v EX 100 => OK
        HSET {k}hash f v => :1
        COPY {k}text {k}copy => :1
        TTL {k}copy => :100
        GET {k}copy => "v"
        COPY {k}hash {k}copy => :0
        COPY {k}hash {k}copy REPLACE => :1
        TTL {k}copy => :-1
        HGETALL {k}copy => ["f", "v"]
        COPY {k}none {k}copy => :0
        COPY {k}hash {k}hash => -ERR source and destination objects are the same
        COPY {k}hash {k}copy WHAT => -ERR syntax error
        EXPIRE {k}big 100 => :1
        RENAME {k}big {k}copy => OK
        EXISTS {k}big => :0
        SCARD {k}copy => :3000
        TTL {k}copy => :100
        RENAME {k}none {k}copy => -ERR no such key
        RENAME {k}copy {k}copy => OK
        RENAMENX {k}copy {k}hash => :0
        RENAMENX {k}copy {k}copy => :0
        RENAMENX {k}copy {k}new => :1
        SCARD {k}new => :3000
        RENAMENX {k}none {k}copy => -ERR no such key
        "#,
    );
}

#[test]
fn what_finds_no_room_in_the_log_changes_nothing() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        SET {k}text value => OK
        SADD {k}set 1 2 3 => :3
        RPUSH {k}list a b c b => :4
        ZADD {k}zset 1 a 2 b 3 c => :3
        "#,
    );
    shard.is_log_full = true;
    for command in [
        "COPY {k}text {k}to",
        "RENAME {k}list {k}zset",
        "SPOP {k}set",
        "SPOP {k}set 2",
        "SUNIONSTORE {k}list {k}set",
        "LMOVE {k}list {k}list LEFT RIGHT",
        "RPOPLPUSH {k}list {k}to",
        "LREM {k}list 0 b",
        "SORT {k}list ALPHA STORE {k}text",
        "ZPOPMIN {k}zset",
        "ZMPOP 1 {k}zset MAX COUNT 2",
        "ZREMRANGEBYRANK {k}zset 0 1",
        "ZRANGESTORE {k}text {k}zset 0 -1",
        "ZUNIONSTORE {k}text 1 {k}zset",
        "BITOP NOT {k}set {k}text",
        "BITFIELD {k}text SET u8 0 1",
    ] {
        assert_eq!(shard.run(command), "-MISCONF full", "{command}");
        assert_eq!(shard.effect_count(), 0, "{command}");
    }
    shard.check(
        r#"
        LPOP {k}list => "a"
        LRANGE {k}list 0 -1 => ["b", "c", "b"]
        SCARD {k}set => :3
        ZCARD {k}zset => :3
        GET {k}text => "value"
        EXISTS {k}to => :0
        "#,
    );
}

#[test]
fn a_key_that_a_full_disk_hides_is_gone_for_who_writes_it() {
    let mut shard = TestShard::new();
    shard.run("SADD s old");
    shard.run("PEXPIRE s 100");
    shard.wait(101);
    shard.tables.keep_due(true);
    shard.check(
        r#"
        SCARD s => :0
        SADD s new => :1
        SMEMBERS s => ["new"]
        TTL s => :-1
        "#,
    );
}
