use proptest::prelude::*;

use super::*;

const BAD_TYPE: &str =
    "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";

#[test]
fn fields_are_got_set_and_incremented() {
    TestShard::new().check(
        r#"
        BITFIELD k => []
        BITFIELD k OVERFLOW SAT => []
        BITFIELD k GET u8 0 GET i64 100 => [:0, :0]
        EXISTS k => :0
        BITFIELD k SET u8 0 97 get u8 0 incrby u8 0 1 => [:0, :97, :98]
        GET k => "b"
        BITFIELD k SET u8 #2 99 GET u8 #0 GET u8 #1 GET u8 #2 GET u8 16 => [:0, :98, :0, :99, :99]
        GET k => "b\x00c"
        BITFIELD k GET u4 2 GET i4 1 GET u1 1 GET i1 1 => [:8, :-4, :1, :-1]
        BITFIELD k SET i13 5 -1 GET i13 5 GET u13 5 => [:2049, :-1, :8191]
        GET k => "g\xff\xe3"
        BITFIELD k GET i64 16 GET u63 23 => [:-2089670227099910144, :4611686018427387904]
        BITFIELD_RO k GET u8 0 GET u8 #2 => [:103, :227]
        BITFIELD_RO k OVERFLOW FAIL => []
        BITFIELD_RO none GET u8 0 => [:0]
        BITFIELD_RO k GET u8 0 SET u8 0 1 => -ERR BITFIELD_RO only supports the GET subcommand
        BITFIELD_RO k SET u8 0 x => -ERR value is not an integer or out of range
        "#,
    );
}

#[test]
fn arguments_of_bitfield_are_checked_before_anything_is_done() {
    let mut shard = TestShard::new();
    for bits in
        ["u64", "i65", "u0", "i0", "i-1", "u", "i", "8", "''", "I8", "i08", "i8x", "i99999999999999999999"]
    {
        assert_eq!(shard.run(&format!("BITFIELD k SET u8 0 1 GET {bits} 0")), BAD_TYPE);
    }
    shard.check(
        r#"
        BITFIELD k SET u8 0 1 GET => -ERR syntax error
        BITFIELD k GET u8 => -ERR syntax error
        BITFIELD k SET u8 0 => -ERR syntax error
        BITFIELD k INCRBY u8 0 => -ERR syntax error
        BITFIELD k OVERFLOW => -ERR syntax error
        BITFIELD k DECRBY u8 0 1 => -ERR syntax error
        BITFIELD k OVERFLOW NONE SET u8 0 1 => -ERR Invalid OVERFLOW type specified
        BITFIELD k SET u8 0 x => -ERR value is not an integer or out of range
        BITFIELD k SET u8 0 9223372036854775808 => -ERR value is not an integer or out of range
        BITFIELD k SET u8 -1 1 => -ERR bit offset is not an integer or out of range
        BITFIELD k SET u8 # 1 => -ERR bit offset is not an integer or out of range
        BITFIELD k SET u8 #-1 1 => -ERR bit offset is not an integer or out of range
        BITFIELD k SET u8 ##1 1 => -ERR bit offset is not an integer or out of range
        BITFIELD k SET u8 4294967296 1 => -ERR bit offset is not an integer or out of range
        BITFIELD k SET u8 #536870912 1 => -ERR bit offset is not an integer or out of range
        BITFIELD k GET i64 #9223372036854775807 => -ERR bit offset is not an integer or out of range
        BITFIELD k GET u8 4294967295 => [:0]
        BITFIELD k SET u8 4294967289 1 => -ERR bit offset is not an integer or out of range
        EXISTS k => :0
        "#,
    );
}

#[test]
fn overflow_wraps_saturates_or_fails() {
    TestShard::new().check(
        r#"
        BITFIELD k SET u8 0 255 => [:0]
        BITFIELD k INCRBY u8 0 1 => [:0]
        BITFIELD k INCRBY u8 0 -1 => [:255]
        BITFIELD k OVERFLOW SAT INCRBY u8 0 10 INCRBY u8 0 -256 OVERFLOW WRAP INCRBY u8 0 -2 => [:255, :0, :254]
        BITFIELD k OVERFLOW FAIL INCRBY u8 0 2 GET u8 0 INCRBY u8 0 1 => [(nil), :254, :255]
        BITFIELD k OVERFLOW SAT SET u8 0 -1 GET u8 0 => [:255, :255]
        BITFIELD k SET u8 0 -2 GET u8 0 => [:255, :254]
        BITFIELD k OVERFLOW FAIL SET u8 0 -1 SET u8 0 256 GET u8 0 => [(nil), (nil), :254]
        BITFIELD k OVERFLOW SAT SET i8 0 1000 GET i8 0 SET i8 0 -1000 GET i8 0 => [:-2, :127, :127, :-128]
        BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0 => [:-128, :-128]
        BITFIELD k INCRBY i8 0 -1 INCRBY i8 0 1 => [:127, :-128]
        BITFIELD k SET i64 0 9223372036854775807 => [:-9223372036854775808]
        BITFIELD k OVERFLOW FAIL INCRBY i64 0 1 => [(nil)]
        BITFIELD k OVERFLOW SAT INCRBY i64 0 1 => [:9223372036854775807]
        BITFIELD k INCRBY i64 0 1 => [:-9223372036854775808]
        BITFIELD k OVERFLOW SAT INCRBY i64 0 -9223372036854775808 => [:-9223372036854775808]
        BITFIELD k INCRBY i64 0 -9223372036854775808 => [:0]
        BITFIELD k OVERFLOW SAT INCRBY u63 1 9223372036854775807 INCRBY u63 1 1 => [:9223372036854775807, :9223372036854775807]
        BITFIELD k OVERFLOW SAT INCRBY u63 1 -9223372036854775808 => [:0]
        "#,
    );
}

#[test]
fn a_value_has_room_for_all_that_was_to_be_written() {
    let mut shard = TestShard::new();
    shard.check("BITFIELD k OVERFLOW FAIL INCRBY u2 100 100 => [(nil)]\n STRLEN k => :13");
    shard.check("BITFIELD k SET u8 100 0 => [:0]\n STRLEN k => :14\n BITFIELD k SET u8 100 0 => [:0]");
    assert_eq!(shard.effect_count(), 0, "nothing changed");
    shard.check("BITFIELD new SET u8 3 7 => [:0]");
    assert_eq!(shard.effect_count(), 1);
    shard.check("SET t v EX 100 => OK\n BITFIELD t SET u8 32 1 => [:0]\n STRLEN t => :5\n TTL t => :100");
}

/// An operation of the model.
#[derive(Clone, Debug)]
struct Step {
    action: &'static str,
    is_signed: bool,
    bits: usize,
    offset: usize,
    value: i64,
    overflow: &'static str,
}

fn steps() -> impl Strategy<Value = Step> {
    let value = prop_oneof![-300i64..300, any::<i64>(), (i64::MIN..i64::MIN + 3), (i64::MAX - 3..i64::MAX),];
    (
        prop::sample::select(&["GET", "SET", "INCRBY"][..]),
        any::<bool>(),
        1usize..=64,
        0usize..150,
        value,
        prop::sample::select(&["WRAP", "SAT", "FAIL"][..]),
    )
        .prop_map(|(action, is_signed, bits, offset, value, overflow)| {
            let bits = if is_signed { bits } else { bits.min(63) };
            Step { action, is_signed, bits, offset, value, overflow }
        })
}

impl Step {
    fn line(&self) -> String {
        let Self { action, bits, offset, value, overflow, .. } = self;
        let sign = if self.is_signed { 'i' } else { 'u' };
        match *action {
            "GET" => format!("GET {sign}{bits} {offset}"),
            _ => format!("OVERFLOW {overflow} {action} {sign}{bits} {offset} {value}"),
        }
    }

    /// What it does to a list of bits, one bit at a time.
    fn run(&self, bits: &mut Vec<bool>) -> String {
        let places = self.offset..self.offset + self.bits;
        let modulus = 1i128 << self.bits;
        let digits = places.clone().map(|at| bits.get(at).copied().unwrap_or(false));
        let raw = digits.fold(0i128, |sum, bit| sum * 2 + i128::from(bit));
        let min = if self.is_signed { -modulus / 2 } else { 0 };
        let max = min + modulus - 1;
        let wrap = |value: i128| (value - min).rem_euclid(modulus) + min;
        let old = wrap(raw);
        if self.action == "GET" {
            return format!(":{old}");
        }
        bits.resize(bits.len().max(places.end.div_ceil(8) * 8), false);
        let wanted = match self.action {
            "INCRBY" => old + i128::from(self.value),
            _ if self.is_signed => i128::from(self.value),
            _ => i128::from(self.value as u64),
        };
        let new = match self.overflow {
            "WRAP" => wrap(wanted),
            "SAT" => wanted.clamp(min, max),
            _ if wanted < min || wanted > max => return "(nil)".into(),
            _ => wanted,
        };
        for (n, at) in places.rev().enumerate() {
            bits[at] = new >> n & 1 == 1;
        }
        format!(":{}", if self.action == "SET" { old } else { new })
    }
}

proptest! {
    #[test]
    fn fields_are_those_of_a_list_of_bits(
        start in prop::collection::vec(any::<u8>(), 0..20),
        commands in prop::collection::vec(prop::collection::vec(steps(), 1..4), 1..6),
    ) {
        let mut shard = TestShard::new();
        shard.reply(&[b"SET", b"k", &start]);
        let mut bits: Vec<_> =
            start.iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1 == 1)).collect();
        for steps in commands {
            let lines: Vec<_> = steps.iter().map(Step::line).collect();
            let replies: Vec<_> = steps.iter().map(|step| step.run(&mut bits)).collect();
            let line = format!("BITFIELD k {}", lines.join(" "));
            prop_assert_eq!(shard.run(&line), format!("[{}]", replies.join(", ")), "{}", line);
        }
        let bytes: Vec<u8> =
            bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect();
        prop_assert_eq!(shard.reply(&[b"GET", b"k"]), Reply::Bulk(bytes));
    }
}
