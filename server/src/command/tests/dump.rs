//! DUMP and RESTORE. How values are written is tested with `rdb`.

use super::{START_MS, TestShard, show};
use carousel_protocol::resp::Reply;

fn dump(shard: &mut TestShard, key: &str) -> Vec<u8> {
    match shard.reply(&[b"DUMP", key.as_bytes()]) {
        Reply::Bulk(payload) => payload.to_vec(),
        other => panic!("DUMP {key}: {other:?}"),
    }
}

fn restore(shard: &mut TestShard, key: &str, ttl: &str, payload: &[u8], options: &str) -> String {
    let mut args = vec![&b"RESTORE"[..], key.as_bytes(), ttl.as_bytes(), payload];
    args.extend(options.split_whitespace().map(str::as_bytes));
    show(&shard.reply(&args))
}

/// A payload of that type and value.
fn sealed(value: &[u8]) -> Vec<u8> {
    let mut payload = [value, &10u16.to_le_bytes()].concat();
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Redis, &payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}

#[test]
fn values_of_all_types_and_sizes_are_restored() {
    let mut shard = TestShard::new();
    shard.run("SET text value");
    shard.run("SET number -70000");
    shard.run("SADD integers 1 -5 70000");
    for size in [3, 3000] {
        let items = |item: &dyn Fn(usize) -> String| (0..size).map(item).collect::<Vec<_>>().join(" ");
        shard.run(&format!("RPUSH list{size} {}", items(&|i| format!("element:{i}"))));
        shard.run(&format!("HSET hash{size} {}", items(&|i| format!("field:{i} {i}"))));
        shard.run(&format!("SADD set{size} {}", items(&|i| format!("member:{i}"))));
        let score = |i: usize| [-1.5, 0.0, 2.25e300][i % 3] * i as f64;
        shard.run(&format!("ZADD zset{size} {}", items(&|i| format!("{} {i}", score(i)))));
    }
    shard.run("ZADD zset3 inf high -inf low");
    let keys = [
        "text", "number", "integers", "list3", "hash3", "set3", "zset3", "list3000", "hash3000", "set3000",
        "zset3000",
    ];
    for key in keys {
        let payload = dump(&mut shard, key);
        assert_eq!(restore(&mut shard, "copy", "0", &payload, ""), "OK");
        let content = |key: &str| {
            let at = shard.tables.key_at(
                carousel_protocol::key_slot(key.as_bytes()),
                carousel_protocol::Database::MAIN,
                key.as_bytes(),
            );
            let entry = shard.tables.peek(at, key.as_bytes(), START_MS).expect("it is there");
            (entry.value().type_of(), entry.value().content())
        };
        assert_eq!(content(key), content("copy"), "{key}");
        for command in ["OBJECT ENCODING", "TYPE"] {
            assert_eq!(
                shard.run(&format!("{command} {key}")),
                shard.run(&format!("{command} copy")),
                "{key}"
            );
        }
        assert_eq!(dump(&mut shard, "copy").len(), payload.len());
        shard.run("DEL copy");
    }
}

#[test]
fn a_key_that_is_there_is_replaced_only_where_that_is_said() {
    let mut shard = TestShard::new();
    shard.run("SET k old EX 100");
    shard.run("SET other new");
    let payload = dump(&mut shard, "other");
    assert_eq!(restore(&mut shard, "k", "0", &payload, ""), "-BUSYKEY Target key name already exists.");
    assert_eq!(restore(&mut shard, "k", "0", b"broken", ""), "-BUSYKEY Target key name already exists.");
    assert_eq!(
        restore(&mut shard, "k", "0", b"broken", "REPLACE"),
        "-ERR DUMP payload version or checksum are wrong"
    );
    shard.check(r#"GET k => "old""#);
    assert_eq!(restore(&mut shard, "k", "0", &payload, "replace"), "OK");
    shard.check(
        r#"
        GET k => "new"
        TTL k => :-1
        DUMP none => (nil)
        "#,
    );
}

#[test]
fn a_restored_key_has_the_expiry_that_is_said() {
    let mut shard = TestShard::new();
    shard.run("SADD s a b c");
    let payload = dump(&mut shard, "s");
    assert_eq!(restore(&mut shard, "k", "5000", &payload, ""), "OK");
    assert_eq!(shard.run("PTTL k"), ":5000");
    let later = (START_MS + 7000).to_string();
    assert_eq!(restore(&mut shard, "k", &later, &payload, "REPLACE ABSTTL"), "OK");
    assert_eq!(shard.run("PTTL k"), ":7000");
    // What has expired is not restored, but what it replaces is gone.
    assert_eq!(restore(&mut shard, "k", "1", &payload, "REPLACE ABSTTL"), "OK");
    assert_eq!(shard.run("EXISTS k"), ":0");
    assert_eq!(restore(&mut shard, "k", "1", &payload, "ABSTTL"), "OK");
    assert_eq!((shard.run("EXISTS k"), shard.effect_count()), (":0".into(), 0));
    assert_eq!(
        restore(&mut shard, "k", "9223372036854775807", &payload, ""),
        "-ERR invalid expire time in 'restore' command"
    );
}

#[test]
fn options_are_checked_as_redis_checks_them() {
    let mut shard = TestShard::new();
    shard.run("SET s v");
    let payload = dump(&mut shard, "s");
    for (ttl, options, expected) in [
        ("-1", "", "-ERR Invalid TTL value, must be >= 0"),
        ("x", "", "-ERR value is not an integer or out of range"),
        ("0", "WHAT", "-ERR syntax error"),
        ("0", "IDLETIME", "-ERR syntax error"),
        ("0", "IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0"),
        ("0", "IDLETIME x", "-ERR value is not an integer or out of range"),
        ("0", "FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
        ("0", "FREQ -1", "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
        ("0", "FREQ 1 IDLETIME 1", "-ERR syntax error"),
        ("0", "IDLETIME 1 FREQ 1", "-ERR syntax error"),
        ("0", "IDLETIME 1 IDLETIME 2 REPLACE", "OK"),
        ("0", "FREQ 255 REPLACE ABSTTL", "OK"),
    ] {
        assert_eq!(restore(&mut shard, "k", ttl, &payload, options), expected, "{ttl} {options}");
    }
}

#[test]
fn items_that_come_twice_are_refused_and_nothing_is_changed() {
    let mut shard = TestShard::new();
    shard.run("SET k old");
    let bad = [
        ("a set", vec![2, 2, 1, b'a', 1, b'a']),
        ("a set's integer and the same as text", vec![2, 2, 0xc0, 5, 1, b'5']),
        ("a hash", vec![4, 2, 1, b'f', 1, b'a', 1, b'f', 1, b'b']),
        ("a sorted set", [&[5, 2, 1, b'a'][..], &[0; 8], &[1, b'a'], &1f64.to_le_bytes()].concat()),
    ];
    for (what, value) in bad {
        assert_eq!(
            restore(&mut shard, "k", "0", &sealed(&value), "REPLACE"),
            "-ERR Bad data format",
            "{what}"
        );
        assert_eq!((shard.effect_count(), shard.run("GET k")), (0, "\"old\"".into()), "{what}");
    }
    let twice = sealed(&[1, 2, 1, b'a', 1, b'a']);
    assert_eq!(restore(&mut shard, "k", "0", &twice, "REPLACE"), "OK", "a list may");
    assert_eq!(restore(&mut shard, "big", "0", &big_set_with(0), ""), "-ERR Bad data format");
    assert_eq!(restore(&mut shard, "big", "0", &big_set_with(9_999), ""), "OK");
    assert_eq!(shard.run("SCARD big"), ":2001");
}

/// A set of the integers below 2,000, and one more.
fn big_set_with(last: u32) -> Vec<u8> {
    let members = (0..2_000u32).chain([last]);
    let mut value = vec![2, 0x80];
    value.extend_from_slice(&2_001u32.to_be_bytes());
    members.for_each(|member| {
        value.push(0xc2);
        value.extend_from_slice(&member.to_le_bytes());
    });
    sealed(&value)
}

#[test]
fn a_restored_sorted_set_is_in_order_whatever_the_payload_says() {
    let mut shard = TestShard::new();
    let pairs = [(b'c', 3f64), (b'b', -0.0), (b'a', 0.0), (b'z', f64::NEG_INFINITY)];
    let mut value = vec![5, 4];
    for (member, score) in pairs {
        value.extend_from_slice(&[1, member]);
        value.extend_from_slice(&score.to_le_bytes());
    }
    assert_eq!(restore(&mut shard, "k", "0", &sealed(&value), ""), "OK");
    shard.check(r#"ZRANGE k 0 -1 WITHSCORES => ["z", "-inf", "a", "0", "b", "0", "c", "3"]"#);
}

#[test]
fn a_value_that_the_log_has_no_room_for_is_not_restored() {
    let mut shard = TestShard::new();
    shard.run("SET k old");
    shard.run("SET other new");
    let payload = dump(&mut shard, "other");
    shard.is_log_full = true;
    assert_eq!(restore(&mut shard, "k", "0", &payload, "REPLACE"), "-MISCONF full");
    assert_eq!((shard.effect_count(), shard.run("GET k")), (0, "\"old\"".into()));
}
