use super::*;

#[test]
fn get_and_set() {
    TestShard::new().check(
        r#"
        GET k => (nil)
        SET k v => OK
        GET k => "v"
        SET k '' => OK
        GET k => ""
        SET k v2 nx => (nil)
        SET k v2 xx => OK
        SET other v XX => (nil)
        SET other v NX => OK
        SET k v3 GET => "v2"
        SET new v GET => (nil)
        GET new => "v"
        SET new w NX GET => "v"
        GET new => "v"
        SET newer w NX GET => (nil)
        GET newer => "w"
        SET absent w XX GET => (nil)
        GET absent => (nil)
        SET k v NX NX => (nil)
        SET k v NX XX => -ERR syntax error
        SET k v XX NX => -ERR syntax error
        SET k v what => -ERR syntax error
        SET k v PERSIST => -ERR syntax error
        GET k => "v3"
        "#,
    );
}

#[test]
fn set_with_an_expiry() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        SET k v EX 100 => OK
        TTL k => :100
        SET k v PX 100500 => OK
        PTTL k => :100500
        SET k w KEEPTTL => OK
        PTTL k => :100500
        SET k w => OK
        PTTL k => :-1
        SET k v EXAT 4000000000 => OK
        PEXPIRETIME k => :4000000000000
        SET k v pxat 4000000000001 => OK
        PEXPIRETIME k => :4000000000001
        SET k x XX GET KEEPTTL => "v"
        PEXPIRETIME k => :4000000000001
        SET k v EX 5 EX 10 => OK
        TTL k => :10
        SET k v KEEPTTL KEEPTTL => OK
        TTL k => :10
        SET none v KEEPTTL => OK
        TTL none => :-1
        SET k v EX 1 PX 1 => -ERR syntax error
        SET k v EX 1 KEEPTTL => -ERR syntax error
        SET k v KEEPTTL EX 1 => -ERR syntax error
        SET k v EXAT 1 PXAT 1 => -ERR syntax error
        SET k v EX => -ERR syntax error
        SET k v EX x => -ERR value is not an integer or out of range
        SET k v EX 0 => -ERR invalid expire time in 'set' command
        SET k v PX -5 => -ERR invalid expire time in 'set' command
        SET k v EXAT 0 => -ERR invalid expire time in 'set' command
        SET k v EX 9223372036854775 => -ERR invalid expire time in 'set' command
        SET k v EX 9223372036854776 => -ERR invalid expire time in 'set' command
        SET k v PX 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET k v PXAT 9223372036854775807 => OK
        SET k v EX 10 => OK
        SET k x EX 0 GET => -ERR invalid expire time in 'set' command
        GET k => "v"
        SET k v EXAT 1 => OK
        GET k => (nil)
        "#,
    );
    shard.check("SET k v PX 100 => OK");
    shard.wait(100);
    shard.check("SET k w NX => (nil)");
    shard.wait(1);
    shard.check("SET k w XX => (nil)");
    assert_eq!(shard.effect_count(), 1, "the key was removed on the way");
    shard.check("SET k w KEEPTTL => OK\n TTL k => :-1");
}

#[test]
fn setnx_setex_psetex_and_getset() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        SETNX k v => :1
        SETNX k w => :0
        GET k => "v"
        SETEX k 10 w => OK
        TTL k => :10
        PSETEX k 1500 x => OK
        PTTL k => :1500
        SETEX k 0 w => -ERR invalid expire time in 'setex' command
        SETEX k x w => -ERR value is not an integer or out of range
        PSETEX k -1 w => -ERR invalid expire time in 'psetex' command
        SETEX k 9223372036854775807 w => -ERR invalid expire time in 'setex' command
        GETSET k y => "x"
        TTL k => :-1
        GETSET none y => (nil)
        GET none => "y"
        "#,
    );
    shard.check("PSETEX e 10 v => OK");
    shard.wait(11);
    shard.check("SETNX e w => :1");
}

#[test]
fn getdel_and_getex() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        GETDEL k => (nil)
        SET k v => OK
        GETDEL k => "v"
        EXISTS k => :0
        GETEX k EX 0 => (nil)
        GETEX k EX x => (nil)
        GETEX k EX => -ERR syntax error
        SET k v => OK
        GETEX k => "v"
        TTL k => :-1
        GETEX k EX 100 => "v"
        TTL k => :100
        GETEX k => "v"
        TTL k => :100
        GETEX k PERSIST => "v"
        TTL k => :-1
        GETEX k PX 1234567 => "v"
        PTTL k => :1234567
        GETEX k EXAT 4000000000 => "v"
        EXPIRETIME k => :4000000000
        GETEX k PXAT 4000000000500 => "v"
        PEXPIRETIME k => :4000000000500
        GETEX k KEEPTTL => -ERR syntax error
        GETEX k GET => -ERR syntax error
        GETEX k NX => -ERR syntax error
        GETEX k PERSIST EX 1 => -ERR syntax error
        GETEX k EX 1 PERSIST => -ERR syntax error
        GETEX k EX 0 => -ERR invalid expire time in 'getex' command
        GETEX k EX x => -ERR value is not an integer or out of range
        PEXPIRETIME k => :4000000000500
        GETEX k EXAT 1 => "v"
        EXISTS k => :0
        "#,
    );
    shard.check("SET k v => OK\n GETEX k PERSIST => \"v\"");
    assert_eq!(shard.effect_count(), 0, "nothing changed");
}

#[test]
fn mget_mset_and_msetnx_over_several_slots() {
    TestShard::new().check(
        r#"
        MSET a 1 b 2 c 3 a 4 => OK
        MGET a b none c a => ["4", "2", (nil), "3", "4"]
        MSETNX d 1 e 2 => :1
        MSETNX f 1 a 2 => :0
        MGET d e f a => ["1", "2", (nil), "4"]
        "#,
    );
}

#[test]
fn more_keys_than_are_loaded_at_once() {
    let mut shard = TestShard::new();
    let keys: Vec<_> = (0..100).map(|i| format!("key:{i}")).collect();
    for count in [1, 15, 16, 17, 31, 32, 33, 100] {
        let keys = &keys[..count];
        let bytes = || keys.iter().map(String::as_bytes);
        let mset: Vec<_> = [&b"MSET"[..]].into_iter().chain(bytes().flat_map(|key| [key, key])).collect();
        assert_eq!(show(&shard.reply(&mset)), "OK");
        let with = |name| [name].into_iter().chain(bytes()).collect::<Vec<&[u8]>>();
        let values = bytes().map(|key| Reply::Bulk(key.to_vec())).collect();
        assert_eq!(shard.reply(&with(b"MGET")), Reply::Array(values));
        assert_eq!(shard.reply(&with(b"EXISTS")), Reply::Integer(count as i64));
        assert_eq!(shard.reply(&with(b"DEL")), Reply::Integer(count as i64));
        assert_eq!(shard.tables.keys_total(), 0);
    }
}

#[test]
fn append_strlen_and_ranges() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        STRLEN k => :0
        APPEND k Hello => :5
        APPEND k World => :10
        APPEND k '' => :10
        GET k => "HelloWorld"
        STRLEN k => :10
        APPEND empty '' => :0
        EXISTS empty => :1
        SETRANGE k 5 - => :10
        GET k => "Hello-orld"
        SETRANGE k 12 end => :15
        GET k => "Hello-orld\x00\x00end"
        SETRANGE new 3 x => :4
        GET new => "\x00\x00\x00x"
        SETRANGE new 9 '' => :4
        SETRANGE none 9 '' => :0
        EXISTS none => :0
        SETRANGE k -1 x => -ERR offset is out of range
        SETRANGE k x x => -ERR value is not an integer or out of range
        SETRANGE k 536870911 xx => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE none 9223372036854775807 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE none 536870912 '' => :0
        SET s ThisIsAString => OK
        GETRANGE s 0 3 => "This"
        GETRANGE s -3 -1 => "ing"
        GETRANGE s 0 -1 => "ThisIsAString"
        GETRANGE s 10 100 => "ing"
        GETRANGE s 13 20 => ""
        GETRANGE s 5 2 => ""
        GETRANGE s -1 -5 => ""
        GETRANGE s -100 2 => "Thi"
        GETRANGE s -100 -100 => "T"
        GETRANGE s 0 -100 => "T"
        GETRANGE s 2 -100 => ""
        GETRANGE s -9223372036854775808 9223372036854775807 => "ThisIsAString"
        GETRANGE s x 1 => -ERR value is not an integer or out of range
        GETRANGE none 0 -1 => ""
        SUBSTR s 4 5 => "Is"
        "#,
    );
    shard.check(
        "SET k v EX 100 => OK\n APPEND k w => :2\n TTL k => :100\n SETRANGE k 0 x => :2\n TTL k => :100",
    );
}

#[test]
fn integers() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        INCR n => :1
        INCRBY n 41 => :42
        DECR n => :41
        DECRBY n 50 => :-9
        GET n => "-9"
        DECRBY n -9 => :0
        SET n 9223372036854775807 => OK
        INCR n => -ERR increment or decrement would overflow
        DECRBY n -1 => -ERR increment or decrement would overflow
        DECRBY n -9223372036854775808 => -ERR decrement would overflow
        INCRBY n -9223372036854775808 => :-1
        SET n -9223372036854775808 => OK
        DECR n => -ERR increment or decrement would overflow
        INCRBY n 1 => :-9223372036854775807
        INCRBY n 1.5 => -ERR value is not an integer or out of range
        INCRBY n 9223372036854775808 => -ERR value is not an integer or out of range
        DECRBY n x => -ERR value is not an integer or out of range
        SET s x => OK
        INCR s => -ERR value is not an integer or out of range
        SET s 007 => OK
        INCR s => -ERR value is not an integer or out of range
        SET s '' => OK
        INCR s => -ERR value is not an integer or out of range
        SET t 5 EX 100 => OK
        INCR t => :6
        TTL t => :100
        "#,
    );
    for padded in [" 1", "1 ", "+1", "-0"] {
        shard.reply(&[b"SET", b"s", padded.as_bytes()]);
        assert_eq!(shard.run("INCR s"), "-ERR value is not an integer or out of range");
    }
}

#[test]
fn floating_point_numbers() {
    TestShard::new().check(
        r#"
        INCRBYFLOAT f 10.50 => "10.5"
        INCRBYFLOAT f 0.1 => "10.6"
        INCRBYFLOAT f -5 => "5.6"
        GET f => "5.6"
        SET f 5.0e3 EX 100 => OK
        INCRBYFLOAT f 2.0e2 => "5200"
        TTL f => :100
        SET f 3.0e3 => OK
        INCRBYFLOAT f 0 => "3000"
        INCRBYFLOAT f inf => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT f nan => -ERR value is not a valid float
        INCRBYFLOAT f x => -ERR value is not a valid float
        GET f => "3000"
        SET f x => OK
        INCRBYFLOAT f 1 => -ERR value is not a valid float
        SET f '' => OK
        INCRBYFLOAT f 1 => -ERR value is not a valid float
        "#,
    );
}

#[test]
fn values_of_any_bytes_and_sizes_come_back() {
    let mut shard = TestShard::new();
    for len in [0, 1, 255, 256, 70_000] {
        let value: Vec<u8> = (0..len).map(|i| (i % 256) as u8).collect();
        shard.reply(&[b"SET", b"\r\n\0\xff", &value]);
        assert_eq!(shard.reply(&[b"GET", b"\r\n\0\xff"]), Reply::Bulk(value));
    }
}
