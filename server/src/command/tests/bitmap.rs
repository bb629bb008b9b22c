use proptest::prelude::*;

use super::*;

#[test]
fn single_bits() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        GETBIT k 7 => :0
        EXISTS k => :0
        SETBIT k 7 1 => :0
        GET k => "\x01"
        SETBIT k 7 0 => :1
        GET k => "\x00"
        SETBIT k 0 1 => :0
        SETBIT k 17 1 => :0
        GET k => "\x80\x00@"
        GETBIT k 0 => :1
        GETBIT k 1 => :0
        GETBIT k 17 => :1
        GETBIT k 24 => :0
        GETBIT k 4294967295 => :0
        GETBIT k 4294967296 => -ERR bit offset is not an integer or out of range
        GETBIT k -1 => -ERR bit offset is not an integer or out of range
        GETBIT k x => -ERR bit offset is not an integer or out of range
        GETBIT k #1 => -ERR bit offset is not an integer or out of range
        SETBIT k 4294967296 1 => -ERR bit offset is not an integer or out of range
        SETBIT k -1 2 => -ERR bit offset is not an integer or out of range
        SETBIT k 0 2 => -ERR bit is not an integer or out of range
        SETBIT k 0 -1 => -ERR bit is not an integer or out of range
        SETBIT k 0 01 => -ERR bit is not an integer or out of range
        SETBIT none 0 x => -ERR bit is not an integer or out of range
        EXISTS none => :0
        SETBIT zero 15 0 => :0
        GET zero => "\x00\x00"
        SETBIT zero 0 0 => :0
        SETBIT zero 16 0 => :0
        STRLEN zero => :3
        SET n 12 => OK
        SETBIT n 6 1 => :0
        GET n => "32"
        INCR n => :33
        "#,
    );
}

#[test]
fn a_set_bit_keeps_the_expiry_and_writes_one_byte() {
    let mut shard = TestShard::new();
    shard.check("SET k vv EX 100 => OK\n SETBIT k 15 1 => :0\n GET k => \"vw\"\n TTL k => :100");
    let size = |shard: &TestShard| shard.effects.groups().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let mut small = 0;
    for len in [10, 100_000] {
        shard.reply(&[b"SET", b"k", &vec![b'x'; len]]);
        shard.check("SETBIT k 0 1 => :0");
        assert_eq!(shard.effect_count(), 1);
        small = if small == 0 { size(&shard) } else { small };
        assert_eq!(size(&shard), small, "whatever the value's length");
    }
    shard.check("SETBIT k 0 1 => :1");
    assert_eq!(shard.effect_count(), 0, "nothing changed");
    shard.check("PEXPIRE k 10 => :1");
    shard.wait(11);
    shard.check("SETBIT k 0 1 => :0\n GET k => \"\\x80\"\n TTL k => :-1");
}

#[test]
fn counts_of_bits() {
    TestShard::new().check(
        r#"
        BITCOUNT none => :0
        BITCOUNT none 0 -1 => :0
        BITCOUNT none 0 => :0
        BITCOUNT none a b c d e => :0
        SET k foobar => OK
        BITCOUNT k => :26
        BITCOUNT k 0 0 => :4
        BITCOUNT k 1 1 => :6
        BITCOUNT k 1 1 byte => :6
        BITCOUNT k 5 30 BIT => :17
        BITCOUNT k 0 -5 => :10
        BITCOUNT k -2 -1 => :7
        BITCOUNT k -1 -2 => :0
        BITCOUNT k -1 -2 nosuch => :0
        BITCOUNT k -1 5 nosuch => -ERR syntax error
        BITCOUNT k 2 1 => :0
        BITCOUNT k 0 -100 => :4
        BITCOUNT k -200 -100 => :4
        BITCOUNT k -100 -200 => :0
        BITCOUNT k 100 200 => :0
        BITCOUNT k 7 9 bit => :1
        BITCOUNT k -1 -1 bit => :0
        BITCOUNT k -9223372036854775808 9223372036854775807 BIT => :26
        BITCOUNT k 0 => -ERR syntax error
        BITCOUNT k 0 1 BIT 2 => -ERR syntax error
        BITCOUNT k x 1 => -ERR value is not an integer or out of range
        BITCOUNT k 0 1.5 => -ERR value is not an integer or out of range
        SET empty '' => OK
        BITCOUNT empty => :0
        BITCOUNT empty 0 -1 => :0
        BITCOUNT empty 0 -1 BIT => :0
        "#,
    );
}

#[test]
fn positions_of_bits() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        BITPOS none 0 => :0
        BITPOS none 1 => :-1
        BITPOS none 0 5 9 => :0
        BITPOS none 1 a b c d e => :-1
        BITPOS none 2 => -ERR The bit argument must be 1 or 0.
        BITPOS none -1 => -ERR The bit argument must be 1 or 0.
        BITPOS none x => -ERR value is not an integer or out of range
        SET empty '' => OK
        BITPOS empty 0 => :-1
        BITPOS empty 1 => :-1
        BITPOS empty 0 0 => :-1
        "#,
    );
    shard.reply(&[b"SET", b"ones", &[0xff; 3]]);
    shard.reply(&[b"SET", b"zeros", &[0; 3]]);
    shard.reply(&[b"SET", b"k", b"\xff\xf0\x00\x0f"]);
    shard.check(
        r#"
        BITPOS ones 0 => :24
        BITPOS ones 0 1 => :24
        BITPOS ones 0 -1 => :24
        BITPOS ones 0 3 => :-1
        BITPOS ones 0 0 -1 => :-1
        BITPOS ones 0 0 -1 BIT => :-1
        BITPOS ones 0 0 100 => :-1
        BITPOS ones 1 2 => :16
        BITPOS zeros 1 => :-1
        BITPOS zeros 1 0 -1 BIT => :-1
        BITPOS zeros 0 2 => :16
        BITPOS k 0 => :12
        BITPOS k 1 => :0
        BITPOS k 1 2 => :28
        BITPOS k 1 2 2 => :-1
        BITPOS k 0 3 => :24
        BITPOS k 0 0 0 => :-1
        BITPOS k 1 12 27 BIT => :-1
        BITPOS k 1 12 28 BIT => :28
        BITPOS k 0 3 11 BIT => :-1
        BITPOS k 0 3 12 bit => :12
        BITPOS k 1 5 5 bit => :5
        BITPOS k 1 -4 -1 BIT => :28
        BITPOS k 1 -1 -100 => :-1
        BITPOS k 1 -100 -200 => :0
        BITPOS k 1 0 x nosuch => -ERR syntax error
        BITPOS k 1 x 0 nosuch => -ERR value is not an integer or out of range
        BITPOS k 1 0 x BIT => -ERR value is not an integer or out of range
        BITPOS k 1 0 1 BIT 2 => -ERR syntax error
        "#,
    );
}

#[test]
fn operations_on_several_values() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        SET a abcdef EX 100 => OK
        SET b ab => OK
        BITOP AND d a b => :6
        GET d => "ab\x00\x00\x00\x00"
        BITOP or d a b => :6
        GET d => "abcdef"
        BITOP XOR d a b => :6
        GET d => "\x00\x00cdef"
        BITOP AND d b a => :6
        GET d => "ab\x00\x00\x00\x00"
        BITOP XOR d b b a => :6
        GET d => "abcdef"
        BITOP NOT d b => :2
        GET d => "\x9e\x9d"
        BITOP OR d a none => :6
        GET d => "abcdef"
        BITOP AND d a none => :6
        GET d => "\x00\x00\x00\x00\x00\x00"
        BITOP OR d a => :6
        SET d x EX 100 => OK
        BITOP OR d a b => :6
        TTL d => :-1
        TTL a => :100
        BITOP OR a a b => :6
        TTL a => :-1
        BITOP OR d none empty => :0
        EXISTS d => :0
        BITOP NOT d none => :0
        BITOP NOT d a b => -ERR BITOP NOT must be called with a single source key.
        BITOP NAND d a b => -ERR syntax error
        "#,
    );
    shard.check("SET d x => OK\n BITOP AND d none => :0");
    assert_eq!(shard.effect_count(), 1, "the destination was there");
    shard.check("BITOP AND d none => :0");
    assert_eq!(shard.effect_count(), 0);
}

#[test]
fn bits_beyond_the_first_words_are_found_and_joined() {
    let mut shard = TestShard::new();
    let mut value = vec![0; 10_000];
    value[9_998] = 0x10;
    shard.reply(&[b"SET", b"k", &value]);
    shard.check("BITPOS k 1 => :79987\n BITPOS k 1 3 => :79987\n BITCOUNT k => :1\n BITOP NOT n k => :10000");
    shard.check("BITPOS n 0 => :79987\n BITCOUNT n => :79999\n BITOP XOR x k n k n n => :10000");
    shard.check(
        "BITOP AND x k n => :10000\n BITCOUNT x => :0\n BITOP OR x k n => :10000\n BITCOUNT x => :80000",
    );
}

/// The bits of a value, first one first.
fn bits_of(value: &[u8]) -> Vec<bool> {
    value.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0)).collect()
}

/// Values whose bytes are often all ones or all zeros.
fn values() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(0), 3 => Just(0xff), 1 => any::<u8>()];
    prop::collection::vec(byte, 0..40)
}

/// The bits in a range with both ends, as the documentation of Redis has it.
fn in_range(len: usize, start: i64, end: i64, unit: &str) -> std::ops::Range<usize> {
    let unit_bits = if unit == "BIT" { 1 } else { 8 };
    let len = (len * 8) as i64 / unit_bits;
    let clamped = |index: i64| if index < 0 { (len + index).max(0) } else { index };
    let first = clamped(start) * unit_bits;
    let after = (clamped(end).min(len - 1) + 1) * unit_bits;
    if first < after { first as usize..after as usize } else { 0..0 }
}

proptest! {
    #[test]
    fn counts_and_positions_are_those_of_a_list_of_bits(
        value in values(),
        (start, end) in (-350i64..350, -350i64..350),
        unit in prop::sample::select(&["BYTE", "BIT"]),
        wanted in any::<bool>(),
    ) {
        let mut shard = TestShard::new();
        shard.reply(&[b"SET", b"k", &value]);
        let bits = bits_of(&value);
        let range = in_range(value.len(), start, end, unit);
        let both_from_end = start < 0 && end < 0 && start > end;
        let ones = if both_from_end { 0 } else { bits[range.clone()].iter().filter(|bit| **bit).count() };
        prop_assert_eq!(shard.run(&format!("BITCOUNT k {start} {end} {unit}")), format!(":{ones}"));
        prop_assert_eq!(shard.run("BITCOUNT k"), format!(":{}", bits.iter().filter(|bit| **bit).count()));
        let digit = u8::from(wanted);
        let found = range.clone().find(|at| bits[*at] == wanted).map_or(-1, |at| at as i64);
        prop_assert_eq!(shard.run(&format!("BITPOS k {digit} {start} {end} {unit}")), format!(":{found}"));
        let open = in_range(value.len(), start, -1, "BYTE");
        let beyond = if wanted || open.is_empty() { -1 } else { bits.len() as i64 };
        let found = open.clone().find(|at| bits[*at] == wanted).map_or(beyond, |at| at as i64);
        prop_assert_eq!(shard.run(&format!("BITPOS k {digit} {start}")), format!(":{found}"));
    }

    #[test]
    fn set_bits_are_those_of_a_list_of_bits(
        value in values(),
        steps in prop::collection::vec((0usize..400, any::<bool>()), 1..10),
    ) {
        let mut shard = TestShard::new();
        shard.reply(&[b"SET", b"k", &value]);
        let mut bits = bits_of(&value);
        for (offset, bit) in steps {
            let old = bits.get(offset).copied().unwrap_or(false);
            bits.resize(bits.len().max((offset / 8 + 1) * 8), false);
            bits[offset] = bit;
            prop_assert_eq!(shard.run(&format!("GETBIT k {offset}")), format!(":{}", u8::from(old)));
            let reply = shard.run(&format!("SETBIT k {offset} {}", u8::from(bit)));
            prop_assert_eq!(reply, format!(":{}", u8::from(old)));
        }
        let Reply::Bulk(value) = shard.reply(&[b"GET", b"k"]) else { panic!("a value") };
        prop_assert_eq!(bits_of(&value), bits);
    }

    #[test]
    fn operations_are_those_on_lists_of_bits(
        sources in prop::collection::vec(values(), 1..5),
        name in prop::sample::select(&["AND", "OR", "XOR", "NOT"]),
    ) {
        let sources = if name == "NOT" { &sources[..1] } else { &sources[..] };
        let mut shard = TestShard::new();
        let keys: Vec<_> = (0..sources.len()).map(|i| format!("k{i}")).collect();
        for (key, value) in keys.iter().zip(sources) {
            shard.reply(&[b"SET", key.as_bytes(), value]);
        }
        let len = sources.iter().map(Vec::len).max().unwrap_or(0);
        let columns = (0..len * 8).map(|at| {
            let mut column = sources.iter().map(|value| bits_of(value).get(at).copied().unwrap_or(false));
            match name {
                "AND" => column.all(|bit| bit),
                "OR" => column.any(|bit| bit),
                "XOR" => column.filter(|bit| *bit).count() % 2 == 1,
                _ => !column.next().unwrap(),
            }
        });
        let expected: Vec<_> = columns.collect();
        let reply = shard.run(&format!("BITOP {name} d {}", keys.join(" ")));
        prop_assert_eq!(reply, format!(":{len}"));
        let found = match shard.reply(&[b"GET", b"d"]) {
            Reply::Bulk(value) => bits_of(&value),
            other => {
                prop_assert_eq!(other, Reply::Null);
                Vec::new()
            }
        };
        prop_assert_eq!(found, expected);
    }
}
