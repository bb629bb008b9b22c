use super::*;

#[test]
fn pushing_and_reading() {
    TestShard::new().check(
        r#"
        LPUSH k a => :1
        LPUSH k b c d => :4
        RPUSH k x '' 1 -5 007 => :9
        LRANGE k 0 -1 => ["d", "c", "b", "a", "x", "", "1", "-5", "007"]
        LLEN k => :9
        LLEN none => :0
        TYPE k => list
        LPUSHX k first => :10
        RPUSHX k last again => :12
        LPUSHX none a => :0
        RPUSHX none a b => :0
        EXISTS none => :0
        LRANGE k 0 -1 => ["first", "d", "c", "b", "a", "x", "", "1", "-5", "007", "last", "again"]
        LRANGE k 2 4 => ["c", "b", "a"]
        LRANGE k -3 -1 => ["007", "last", "again"]
        LRANGE k -100 100 => ["first", "d", "c", "b", "a", "x", "", "1", "-5", "007", "last", "again"]
        LRANGE k 5 2 => []
        LRANGE k 100 200 => []
        LRANGE k -2 -100 => []
        LRANGE none 0 -1 => []
        LRANGE k -9223372036854775808 9223372036854775807 => ["first", "d", "c", "b", "a", "x", "", "1", "-5", "007", "last", "again"]
        LRANGE k 9223372036854775807 -9223372036854775808 => []
        "#,
    );
}

#[test]
fn single_elements() {
    TestShard::new().check(
        r#"
        RPUSH k first d c b a x '' 1 -5 007 last again => :12
        LINDEX k 0 => "first"
        LINDEX k -1 => "again"
        LINDEX k 3 => "b"
        LINDEX k 100 => (nil)
        LINDEX k -100 => (nil)
        LINDEX k -9223372036854775808 => (nil)
        LINDEX none 0 => (nil)
        LINDEX none abc => (nil)
        LINDEX k abc => -ERR value is not an integer or out of range
        LINDEX k 1.5 => -ERR value is not an integer or out of range
        LSET k 0 new => OK
        LSET k 5 12345678901 => OK
        LSET k 100 x => -ERR index out of range
        LSET k -100 x => -ERR index out of range
        LSET k abc x => -ERR value is not an integer or out of range
        LSET none 0 x => -ERR no such key
        LSET none abc x => -ERR no such key
        LRANGE k 0 -1 => ["new", "d", "c", "b", "a", "12345678901", "", "1", "-5", "007", "last", "again"]
        LINSERT k BEFORE c inserted => :13
        LINSERT k after c inserted2 => :14
        LINSERT k BEFORE absent x => :-1
        LINSERT k MIDDLE c x => -ERR syntax error
        LINSERT none BEFORE a b => :0
        LINSERT k BEFORE 1 int => :15
        LINSERT k AFTER 12345678901 int => :16
        LRANGE k 0 -1 => ["new", "d", "inserted", "c", "inserted2", "b", "a", "12345678901", "int", "", "int", "1", "-5", "007", "last", "again"]
        "#,
    );
}

#[test]
fn popping() {
    TestShard::new().check(
        r#"
        RPUSH k c x b a 12345678901 int '' int 1 => :9
        LPOP k => "c"
        RPOP k => "1"
        LPOP k 2 => ["x", "b"]
        RPOP k 3 => ["int", "", "int"]
        LPOP k 0 => []
        RPOP k 0 => []
        LPOP k -1 => -ERR value is out of range, must be positive
        LPOP k abc => -ERR value is out of range, must be positive
        RPOP k 9223372036854775808 => -ERR value is out of range, must be positive
        LPOP none => (nil)
        RPOP none => (nil)
        LPOP none 5 => (nil)
        RPOP none 0 => (nil)
        LPOP none -1 => -ERR value is out of range, must be positive
        LPOP k 1 2 => -ERR wrong number of arguments for 'lpop' command
        RPOP k 1 2 => -ERR wrong number of arguments for 'rpop' command
        LRANGE k 0 -1 => ["a", "12345678901"]
        RPOP k 1000 => ["12345678901", "a"]
        EXISTS k => :0
        "#,
    );
}

#[test]
fn trimming() {
    TestShard::new().check(
        r#"
        RPUSH k a b c d e f g => :7
        LTRIM k 1 -2 => OK
        LRANGE k 0 -1 => ["b", "c", "d", "e", "f"]
        LTRIM k -3 100 => OK
        LRANGE k 0 -1 => ["d", "e", "f"]
        LTRIM k 0 0 => OK
        LRANGE k 0 -1 => ["d"]
        LTRIM k 5 10 => OK
        EXISTS k => :0
        LTRIM none 0 1 => OK
        LTRIM none a b => -ERR value is not an integer or out of range
        RPUSH k a => :1
        LTRIM k 2 1 => OK
        EXISTS k => :0
        "#,
    );
}

#[test]
fn removing_by_value() {
    TestShard::new().check(
        r#"
        RPUSH k a b a c a b a => :7
        EXPIRE k 100 => :1
        RPUSH k a => :8
        LREM k 2 a => :2
        LRANGE k 0 -1 => ["b", "c", "a", "b", "a", "a"]
        LREM k -2 a => :2
        LRANGE k 0 -1 => ["b", "c", "a", "b"]
        LREM k 0 absent => :0
        LREM k 0 b => :2
        LRANGE k 0 -1 => ["c", "a"]
        TTL k => :100
        LREM none 1 a => :0
        LREM none x a => -ERR value is not an integer or out of range
        LREM k abc a => -ERR value is not an integer or out of range
        LREM k -9223372036854775807 a => :1
        LREM k 9223372036854775807 c => :1
        EXISTS k => :0
        RPUSH k 1 01 1 -1 1.0 => :5
        LREM k 0 1 => :2
        LRANGE k 0 -1 => ["01", "-1", "1.0"]
        RPUSH r 1 2 1 1 3 1 => :6
        LREM r 3 1 => :3
        LRANGE r 0 -1 => ["2", "3", "1"]
        "#,
    );
}

#[test]
fn lists_and_strings_are_told_apart() {
    TestShard::new().check(
        r#"
        SET s v => OK
        LPUSH s a => -WRONGTYPE Operation against a key holding the wrong kind of value
        RPUSHX s a => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPOP s => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPOP s 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LLEN s => -WRONGTYPE Operation against a key holding the wrong kind of value
        LRANGE s 0 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LRANGE s a b => -ERR value is not an integer or out of range
        LINDEX s 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LINDEX s abc => -WRONGTYPE Operation against a key holding the wrong kind of value
        LSET s 0 a => -WRONGTYPE Operation against a key holding the wrong kind of value
        LINSERT s BEFORE a b => -WRONGTYPE Operation against a key holding the wrong kind of value
        LINSERT s x a b => -ERR syntax error
        LREM s 0 a => -WRONGTYPE Operation against a key holding the wrong kind of value
        LTRIM s 0 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPOS s a => -WRONGTYPE Operation against a key holding the wrong kind of value
        GET s => "v"
        RPUSH k a => :1
        GET k => -WRONGTYPE Operation against a key holding the wrong kind of value
        INCR k => -WRONGTYPE Operation against a key holding the wrong kind of value
        APPEND k x => -WRONGTYPE Operation against a key holding the wrong kind of value
        SETRANGE k 0 x => -WRONGTYPE Operation against a key holding the wrong kind of value
        GETRANGE k 0 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        STRLEN k => -WRONGTYPE Operation against a key holding the wrong kind of value
        MGET k s => [(nil), "v"]
        SETNX k v => :0
        GETSET k v => -WRONGTYPE Operation against a key holding the wrong kind of value
        SET k v GET => -WRONGTYPE Operation against a key holding the wrong kind of value
        GETDEL k => -WRONGTYPE Operation against a key holding the wrong kind of value
        SET k v => OK
        GET k => "v"
        "#,
    );
}

#[test]
fn places_of_elements() {
    TestShard::new().check(
        r#"
        RPUSH k a b c 1 2 3 c c => :8
        LPOS k c => :2
        LPOS k absent => (nil)
        LPOS none c => (nil)
        LPOS k 3 => :5
        LPOS k 03 => (nil)
        LPOS k c RANK 2 => :6
        LPOS k c RANK -1 => :7
        LPOS k c RANK -3 => :2
        LPOS k c RANK 4 => (nil)
        LPOS k c RANK 0 => -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
        LPOS k c RANK abc => -ERR value is not an integer or out of range
        LPOS k c RANK -9223372036854775807 => (nil)
        LPOS k c COUNT 0 => [:2, :6, :7]
        LPOS k c COUNT 2 => [:2, :6]
        LPOS k c COUNT 1 => [:2]
        LPOS k c COUNT 100 => [:2, :6, :7]
        LPOS k c COUNT 2 RANK -1 => [:7, :6]
        LPOS k c RANK 2 COUNT 0 => [:6, :7]
        LPOS k c COUNT -1 => -ERR COUNT can't be negative
        LPOS k c COUNT abc => -ERR COUNT can't be negative
        LPOS k absent COUNT 0 => []
        LPOS none c COUNT 0 => []
        LPOS none c COUNT 1 RANK 0 => -ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
        LPOS k c MAXLEN 2 => (nil)
        LPOS k c MAXLEN 3 => :2
        LPOS k c MAXLEN 0 => :2
        LPOS k c COUNT 0 MAXLEN 7 => [:2, :6]
        LPOS k c COUNT 0 MAXLEN 1 RANK -1 => [:7]
        LPOS k c MAXLEN -1 => -ERR MAXLEN can't be negative
        LPOS k c RANK => -ERR syntax error
        LPOS k c COUNT => -ERR syntax error
        LPOS k c NOSUCH => -ERR syntax error
        LPOS k c NOSUCH 1 => -ERR syntax error
        LPOS k c rank 2 rank 1 => :2
        LPOS k c RANK -1 MAXLEN 1 COUNT 5 => [:7]
        "#,
    );
}

#[test]
fn moving_between_lists() {
    TestShard::new().check(
        r#"
        RPUSH {t}a 1 2 3 4 => :4
        LMOVE {t}a {t}b LEFT RIGHT => "1"
        LMOVE {t}a {t}b right left => "4"
        LRANGE {t}b 0 -1 => ["4", "1"]
        LMOVE {t}a {t}a LEFT RIGHT => "2"
        LRANGE {t}a 0 -1 => ["3", "2"]
        LMOVE {t}a {t}a LEFT LEFT => "3"
        LMOVE {t}a {t}a RIGHT RIGHT => "2"
        LRANGE {t}a 0 -1 => ["3", "2"]
        RPOPLPUSH {t}a {t}b => "2"
        RPOPLPUSH {t}a {t}b => "3"
        EXISTS {t}a => :0
        LRANGE {t}b 0 -1 => ["3", "2", "4", "1"]
        RPOPLPUSH {t}a {t}b => (nil)
        LMOVE {t}a {t}b LEFT LEFT => (nil)
        LMOVE {t}a {t}b MIDDLE LEFT => -ERR syntax error
        LMOVE {t}a {t}b LEFT MIDDLE => -ERR syntax error
        RPUSH {t}one x => :1
        EXPIRE {t}one 100 => :1
        LMOVE {t}one {t}one LEFT RIGHT => "x"
        RPOPLPUSH {t}one {t}one => "x"
        TTL {t}one => :100
        SET {t}s v => OK
        LMOVE {t}b {t}s LEFT LEFT => -WRONGTYPE Operation against a key holding the wrong kind of value
        LMOVE {t}s {t}b LEFT LEFT => -WRONGTYPE Operation against a key holding the wrong kind of value
        RPOPLPUSH {t}b {t}s => -WRONGTYPE Operation against a key holding the wrong kind of value
        RPOPLPUSH {t}s {t}b => -WRONGTYPE Operation against a key holding the wrong kind of value
        LMOVE {t}none {t}s LEFT LEFT => (nil)
        LRANGE {t}b 0 -1 => ["3", "2", "4", "1"]
        EXPIRE {t}b 100 => :1
        RPUSH {t}c moved => :1
        LMOVE {t}c {t}b LEFT LEFT => "moved"
        TTL {t}b => :100
        "#,
    );
}

#[test]
fn popping_from_the_first_list_there_is() {
    TestShard::new().check(
        r#"
        RPUSH {t}b moved 3 2 4 1 => :5
        SET {t}s v => OK
        LMPOP 1 {t}b LEFT => ["{t}b", ["moved"]]
        LMPOP 2 {t}none {t}b RIGHT COUNT 2 => ["{t}b", ["1", "4"]]
        LMPOP 2 {t}none {t}b left count 100 => ["{t}b", ["3", "2"]]
        LMPOP 2 {t}none {t}b LEFT => (nil)
        LMPOP 1 {t}none RIGHT COUNT 5 => (nil)
        RPUSH {t}b 1 2 3 => :3
        LMPOP 0 {t}b LEFT => -ERR numkeys should be greater than 0
        LMPOP -1 {t}b LEFT => -ERR numkeys should be greater than 0
        LMPOP abc {t}b LEFT => -ERR numkeys should be greater than 0
        LMPOP 9223372036854775807 {t}b LEFT => -ERR syntax error
        LMPOP 3 {t}b LEFT => -ERR syntax error
        LMPOP 1 {t}b MIDDLE => -ERR syntax error
        LMPOP 1 {t}b {t}b LEFT => -ERR syntax error
        LMPOP 1 {t}b LEFT COUNT => -ERR syntax error
        LMPOP 1 {t}b LEFT COUNT 0 => -ERR count should be greater than 0
        LMPOP 1 {t}b LEFT COUNT -1 => -ERR count should be greater than 0
        LMPOP 1 {t}b LEFT COUNT abc => -ERR count should be greater than 0
        LMPOP 1 {t}b LEFT COUNT 0 COUNT 1 => -ERR count should be greater than 0
        LMPOP 1 {t}b LEFT COUNT 1 COUNT 1 => -ERR syntax error
        LMPOP 1 {t}b LEFT NOSUCH 1 => -ERR syntax error
        LMPOP 1 {t}b LEFT COUNT 1 NOSUCH => -ERR syntax error
        LMPOP 2 {t}s {t}b LEFT => -WRONGTYPE Operation against a key holding the wrong kind of value
        LMPOP 2 {t}b {t}s LEFT => ["{t}b", ["1"]]
        LMPOP 2 {t}b {t}s LEFT COUNT 2 => ["{t}b", ["2", "3"]]
        EXISTS {t}b => :0
        "#,
    );
}

#[test]
fn integers_at_their_least_are_out_of_range() {
    // Redis 7.0 still negates them.
    TestShard::new().check(
        r#"
        RPUSH k a => :1
        LREM k -9223372036854775808 a => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        LPOS k a RANK -9223372036854775808 => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        "#,
    );
}

/// Numbers that follow no pattern.
fn dice(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn a_list_of_any_length_does_what_a_deque_does() {
    let mut shard = TestShard::new();
    let mut model = std::collections::VecDeque::<String>::new();
    let mut state = 1;
    for step in 0..600 {
        let (a, b) = (dice(&mut state), dice(&mut state));
        // At first it grows beyond a packed list; then all kinds of changes come, and at last it shrinks to nothing.
        let kind = if step < 100 {
            a % 2
        } else if step < 450 {
            a % 8
        } else {
            2 + a % 2
        };
        let element = match b % 3 {
            0 => format!("{}", b % 1000),
            1 => format!("element-{}", b % 50),
            _ => "x".repeat(b % 400),
        };
        let len = model.len();
        match kind {
            0 | 1 => {
                let elements = vec![if element.is_empty() { "''" } else { &element }; 1 + a % 20];
                let command = ["LPUSH", "RPUSH"][kind];
                for _ in &elements {
                    if kind == 0 {
                        model.push_front(element.clone())
                    } else {
                        model.push_back(element.clone())
                    }
                }
                shard.run(&format!("{command} k {}", elements.join(" ")));
            }
            2 | 3 => {
                let count = if step < 450 { a % 5 } else { a % 40 };
                let popped: Vec<_> = (0..count.min(len))
                    .map(|_| if kind == 2 { model.pop_front() } else { model.pop_back() })
                    .map(|element| format!("\"{}\"", element.unwrap()))
                    .collect();
                let reply = shard.run(&format!("{} k {count}", ["LPOP", "RPOP"][kind - 2]));
                let expected = if len == 0 { "(nil)".into() } else { format!("[{}]", popped.join(", ")) };
                assert_eq!(reply, expected);
            }
            4 if len > 0 && !element.is_empty() => {
                shard.run(&format!("LSET k {} {element}", a % len));
                model[a % len] = element;
            }
            5 if len > 0 && !element.is_empty() => {
                let pivot = model[a % len].clone();
                if !pivot.is_empty() {
                    let at = model.iter().position(|element| *element == pivot).unwrap();
                    shard.run(&format!("LINSERT k AFTER {pivot} {element}"));
                    model.insert(at + 1, element);
                }
            }
            6 if len > 0 => {
                let value = model[a % len].clone();
                if !value.is_empty() {
                    let mut places: Vec<_> = (0..len).filter(|i| model[*i] == value).collect();
                    let count = (b % 5) as i64 - 2;
                    if count < 0 {
                        places.reverse();
                    }
                    places.truncate(if count == 0 { len } else { count.unsigned_abs() as usize });
                    assert_eq!(shard.run(&format!("LREM k {count} {value}")), format!(":{}", places.len()));
                    places.sort_unstable();
                    places.iter().rev().for_each(|place| drop(model.remove(*place)));
                }
            }
            7 if len > 20 => {
                shard.run(&format!("LTRIM k {} -{}", a % 3, 1 + b % 3));
                model.truncate(len - b % 3);
                model.drain(..a % 3);
            }
            _ => {}
        }
        let all: Vec<_> = model.iter().map(|element| format!("\"{element}\"")).collect();
        assert_eq!(shard.run("LLEN k"), format!(":{}", model.len()));
        assert_eq!(shard.run("LRANGE k 0 -1"), format!("[{}]", all.join(", ")));
        if let Some(middle) = all.get(all.len() / 2) {
            assert_eq!(&shard.run(&format!("LINDEX k {}", all.len() / 2)), middle);
        }
    }
}

#[test]
fn what_changes_nothing_has_no_effect() {
    let mut shard = TestShard::new();
    shard.run("RPUSH {t}k a b");
    shard.run("RPUSH {t}one a");
    for line in [
        "LPOP {t}k 0",
        "LREM {t}k 0 absent",
        "LTRIM {t}k 0 -1",
        "LINSERT {t}k BEFORE absent x",
        "LPUSHX {t}none x",
        "LMOVE {t}k {t}k LEFT LEFT",
        "LMOVE {t}one {t}one LEFT RIGHT",
        "RPOPLPUSH {t}none {t}k",
        "LMPOP 1 {t}none LEFT",
        "LSET {t}k 5 x",
    ] {
        shard.run(line);
        assert_eq!(shard.effect_count(), 0, "{line}");
    }
    shard.run("RPUSH {t}many a b b b a b a");
    assert_eq!(shard.run("LREM {t}many 0 b"), ":4");
    assert_eq!(shard.effect_count(), 2, "neighbours go together");
}
