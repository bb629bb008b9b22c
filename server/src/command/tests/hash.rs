use super::*;

#[test]
fn fields_are_set_read_and_removed() {
    TestShard::new().check(
        r#"
        HSET h a 1 b two => :2
        HSET h a 3 c '' c x => :1
        HSET h a 1 b => -ERR wrong number of arguments for 'hset' command
        HMSET h d 4 => OK
        HMSET h d 4 e => -ERR wrong number of arguments for 'hmset' command
        HSETNX h a 9 => :0
        HSETNX h f 6 => :1
        HGETALL h => ["a", "3", "b", "two", "c", "x", "d", "4", "f", "6"]
        HKEYS h => ["a", "b", "c", "d", "f"]
        HVALS h => ["3", "two", "x", "4", "6"]
        HGET h b => "two"
        HGET h none => (nil)
        HGET none a => (nil)
        HMGET h b none a => ["two", (nil), "3"]
        HMGET none a b => [(nil), (nil)]
        HLEN h => :5
        HSTRLEN h b => :3
        HSTRLEN h none => :0
        HEXISTS h a => :1
        HEXISTS h none => :0
        HDEL h a a none => :1
        HDEL none a => :0
        HDEL h b c d f => :4
        EXISTS h => :0
        HGETALL h => []
        TYPE h => none
        "#,
    );
}

#[test]
fn numbers_in_fields_are_counted() {
    TestShard::new().check(
        r#"
        HINCRBY h n 5 => :5
        HINCRBY h n -7 => :-2
        HINCRBY h n x => -ERR value is not an integer or out of range
        HSET h t text => :1
        HINCRBY h t 1 => -ERR hash value is not an integer
        HSET h n 9223372036854775807 => :0
        HINCRBY h n 1 => -ERR increment or decrement would overflow
        HGET h n => "9223372036854775807"
        HINCRBYFLOAT h f 10.5 => "10.5"
        HINCRBYFLOAT h f 0.1 => "10.6"
        HINCRBYFLOAT h t 1 => -ERR hash value is not a float
        HINCRBYFLOAT h f x => -ERR value is not a valid float
        HINCRBYFLOAT h f inf => -ERR value is NaN or Infinity
        "#,
    );
}

#[test]
fn other_types_are_refused_and_overwritten_only_by_set() {
    TestShard::new().check(
        r#"
        HSET h a 1 => :1
        GET h => -WRONGTYPE Operation against a key holding the wrong kind of value
        SET h v GET => -WRONGTYPE Operation against a key holding the wrong kind of value
        APPEND h v => -WRONGTYPE Operation against a key holding the wrong kind of value
        INCR h => -WRONGTYPE Operation against a key holding the wrong kind of value
        GETDEL h => -WRONGTYPE Operation against a key holding the wrong kind of value
        SADD h m => -WRONGTYPE Operation against a key holding the wrong kind of value
        MGET h => [(nil)]
        SETNX h v => :0
        TYPE h => hash
        EXPIRE h 100 => :1
        HSET h b 2 => :1
        TTL h => :100
        SET h v => OK
        HGET h a => -WRONGTYPE Operation against a key holding the wrong kind of value
        HSET h a 1 => -WRONGTYPE Operation against a key holding the wrong kind of value
        HSCAN h 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
        TYPE h => string
        "#,
    );
}

#[test]
fn nothing_is_recorded_where_nothing_changes() {
    let mut shard = TestShard::new();
    shard.run("HSET h a 1");
    shard.run("SADD s a 1");
    for command in
        ["HDEL h none", "HSETNX h a 2", "SADD s a 1", "SREM s none", "HGETALL h", "SMOVE s s a", "SPOP s 0"]
    {
        shard.run(command);
        assert_eq!(shard.effect_count(), 0, "{command}");
    }
}

#[test]
fn a_big_hash_is_scanned_whole_and_picked_from() {
    let mut shard = TestShard::new();
    for i in 0..2000 {
        shard.run(&format!("HSET h field:{i} {i}"));
    }
    assert_eq!(shard.run("OBJECT ENCODING h"), "\"hashtable\"");
    let (mut cursor, mut seen) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let Reply::Array(reply) = shard.reply(&[b"HSCAN", b"h", cursor.as_bytes(), b"COUNT", b"100"]) else {
            panic!("an array")
        };
        cursor = reply[0].as_str().unwrap().to_owned();
        for pair in reply[1].as_array().unwrap().chunks(2) {
            assert_eq!(format!("field:{}", pair[1].as_str().unwrap()), pair[0].as_str().unwrap());
            assert!(seen.insert(pair[0].as_str().unwrap().to_owned()), "each once");
        }
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen.len(), 2000);
    let picked = |reply: Reply| match reply {
        Reply::Array(items) => items.iter().map(|item| item.as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let distinct = picked(shard.reply(&[b"HRANDFIELD", b"h", b"50"]));
    assert_eq!(distinct.iter().collect::<std::collections::BTreeSet<_>>().len(), 50);
    assert_eq!(picked(shard.reply(&[b"HRANDFIELD", b"h", b"-3000", b"WITHVALUES"])).len(), 6000);
    assert_eq!(picked(shard.reply(&[b"HRANDFIELD", b"h", b"5000"])).len(), 2000);
    shard.check(
        r#"
        HRANDFIELD none => (nil)
        HRANDFIELD none 3 => []
        HRANDFIELD h 3 WHAT => -ERR syntax error
        HRANDFIELD h 3 WITHVALUES 1 => -ERR syntax error
        HRANDFIELD h x => -ERR value is not an integer or out of range
        HRANDFIELD h -9223372036854775808 => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        HRANDFIELD h 9223372036854775807 WITHVALUES => -ERR value is out of range
        HSCAN h x => -ERR invalid cursor
        HSCAN none 0 WHAT => ["0", []]
        HSCAN h 0 WHAT => -ERR syntax error
        HSCAN h 0 TYPE hash => -ERR syntax error
        HSCAN h 0 COUNT 0 => -ERR syntax error
        DEL h => :1
        HSET h field:1 1 other 2 => :2
        HSCAN h 0 MATCH f* => ["0", ["field:1", "1"]]
        "#,
    );
}
