use super::*;

#[test]
fn scores_are_set_under_conditions() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        ZADD z 1 a 2 b => :2
        ZADD z 1 a 3 b 3 c => :1
        ZADD z CH 1 a 4 b 4 d => :2
        ZADD z NX 9 a 5 e => :1
        ZADD z XX CH 9 a 9 f => :1
        ZADD z GT CH 8 a 10 b => :1
        ZADD z LT CH 8 a 11 b => :1
        ZADD z LT 1 new => :1
        ZADD z XX GT CH 20 a 1 never => :1
        ZADD z 1 t 2 t 3 t => :1
        ZADD z CH 1 u 2 u 2 u => :2
        ZADD z CH NX 1 v 2 v => :1
        ZADD z INCR 1.5 a => "21.5"
        ZADD z NX INCR 1 a => (nil)
        ZADD z XX INCR 1 none => (nil)
        ZADD z GT INCR -1 a => (nil)
        ZADD z INCR 0 a => "21.5"
        ZINCRBY z -1.5 a => "20"
        ZADD z inf a => :0
        ZINCRBY z -inf a => -ERR resulting score is not a number (NaN)
        ZADD none XX 1 a => :0
        ZADD none XX INCR 1 a => (nil)
        ZADD none 1 a nan b => -ERR value is not a valid float
        EXISTS none => :0
        ZADD z NX XX 1 a => -ERR XX and NX options at the same time are not compatible
        ZADD z GT LT 1 a => -ERR GT, LT, and/or NX options at the same time are not compatible
        ZADD z NX GT 1 a => -ERR GT, LT, and/or NX options at the same time are not compatible
        ZADD z INCR 1 a 2 b => -ERR INCR option supports a single increment-element pair
        ZADD z NX XX 1 => -ERR syntax error
        ZADD z 1 a 2 => -ERR syntax error
        ZINCRBY z nx a => -ERR syntax error
        ZMSCORE z a none b => ["inf", (nil), "10"]
        ZMSCORE none a => [(nil)]
        ZREM z a a none => :1
        ZSCORE z a => (nil)
        ZCARD z => :8
        "#,
    );
    shard.check("SET s v => OK");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for command in
        ["ZADD s 1 a", "ZSCORE s a", "ZPOPMIN s", "ZRANGE s 0 1", "ZUNION 1 s", "ZSCAN s 0", "ZCOUNT s 1 2"]
    {
        assert_eq!(shard.run(command), wrong);
    }
}

#[test]
fn nothing_is_recorded_where_nothing_changes() {
    let mut shard = TestShard::new();
    shard.check("ZADD z 1 a 2 b => :2\n SADD set m => :1");
    for command in [
        "ZADD z 1 a",
        "ZADD z NX 5 a",
        "ZADD z XX 5 none",
        "ZADD z GT 0 a",
        "ZADD z INCR 0 a",
        "ZADD new XX 1 a",
        "ZREM z none",
        "ZREMRANGEBYSCORE z 5 6",
        "ZREMRANGEBYRANK none 0 -1",
        "ZPOPMIN z 0",
        "ZMPOP 1 none MIN",
        "ZUNIONSTORE none2 1 none",
        "ZRANGESTORE none2 z 5 6",
    ] {
        shard.run(command);
        assert_eq!(shard.effect_count(), 0, "{command}");
    }
    shard.check("ZADD z 5 a 6 b 7 c => :1");
    assert_eq!(shard.effect_count(), 1, "all pairs in one");
    shard.check("ZADD z 0 x -0 y => :2\n ZSCORE z y => \"0\"\n ZADD z -0 x => :0");
    assert_eq!(shard.effect_count(), 0);
}

/// Fills `z` with a member for each score from 0 on, in this way.
fn filled(large: bool) -> TestShard {
    let mut shard = TestShard::new();
    if large {
        let long = "m".repeat(65);
        shard.run(&format!("ZADD z 5 {long}"));
        shard.check("ZADD z 0 a 1 b 2 c 3 d 4 e => :5");
        shard.check(&format!("ZREM z {long} => :1\n OBJECT ENCODING z => \"skiplist\""));
    } else {
        shard.check("ZADD z 0 a 1 b 2 c 3 d 4 e => :5\n OBJECT ENCODING z => \"listpack\"");
    }
    shard
}

#[test]
fn ranges_are_the_same_of_small_and_large_sets() {
    for large in [false, true] {
        let mut shard = filled(large);
        shard.check(
            r#"
            ZRANGE z 1 2 => ["b", "c"]
            ZRANGE z 1 2 REV WITHSCORES => ["d", "3", "c", "2"]
            ZRANGE z -100 -4 => ["a", "b"]
            ZRANGE z 3 1 => []
            ZRANGE z 0 -1 LIMIT 7 -1 => ["a", "b", "c", "d", "e"]
            ZRANGE z (1 3 BYSCORE => ["c", "d"]
            ZRANGE z 3 (1 BYSCORE REV => ["d", "c"]
            ZRANGE z -inf inf BYSCORE LIMIT 1 2 => ["b", "c"]
            ZRANGE z inf -inf BYSCORE REV LIMIT 1 2 => ["d", "c"]
            ZRANGE z -inf inf BYSCORE LIMIT -1 2 => []
            ZRANGE z -inf inf BYSCORE LIMIT 3 -5 => ["d", "e"]
            ZRANGE z 0 1 LIMIT 0 1 => -ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
            ZRANGE z - + BYLEX WITHSCORES => -ERR syntax error, WITHSCORES not supported in combination with BYLEX
            ZRANGE z 0 1 BYSCORE BYLEX => -ERR syntax error
            ZRANGE z a 1 BYSCORE => -ERR min or max is not a float
            ZRANGE z a 1 BYLEX => -ERR min or max not valid string range item
            ZRANGE z a 1 => -ERR value is not an integer or out of range
            ZRANGE z 0 1 BYSCORE LIMIT 1 => -ERR syntax error
            ZREVRANGE z 0 0 => ["e"]
            ZREVRANGE z 0 0 REV => -ERR syntax error
            ZRANGEBYSCORE z 3 9 => ["d", "e"]
            ZREVRANGEBYSCORE z 1 '' WITHSCORES => ["b", "1", "a", "0"]
            ZCOUNT z (0 (4 => :3
            ZCOUNT z 3 1 => :0
            ZRANK z c => :2
            ZREVRANK z e => :0
            ZRANK z none => (nil)
            ZRANK z b WITHSCORE => [:1, "1"]
            ZREVRANK z b WITHSCORE => [:3, "1"]
            ZRANK z none WITHSCORE => (nil)
            ZRANK z b NOSUCH => -ERR syntax error
            ZRANK z b WITHSCORE x => -ERR syntax error
            ZRANGESTORE s z 1 2 REV => :2
            ZRANGE s 0 -1 WITHSCORES => ["c", "2", "d", "3"]
            ZRANGESTORE s z 5 9 BYSCORE => :0
            EXISTS s => :0
            ZREMRANGEBYRANK z -1 -1 => :1
            ZREMRANGEBYSCORE z (0 1 => :1
            ZADD z 7 c 7 d 7 a => :0
            ZRANGE z (a + BYLEX => ["c", "d"]
            ZRANGEBYLEX z - [c => ["a", "c"]
            ZREVRANGEBYLEX z + - LIMIT 1 1 => ["c"]
            ZLEXCOUNT z (a (d => :1
            ZREMRANGEBYLEX z [c (d => :1
            ZPOPMAX z => ["d", "7"]
            ZPOPMIN z 5 => ["a", "7"]
            EXISTS z => :0
            "#,
        );
    }
}

#[test]
fn members_are_popped_from_either_end() {
    for large in [false, true] {
        let mut shard = filled(large);
        shard.check(
            r#"
            ZPOPMIN z => ["a", "0"]
            ZPOPMAX z 2 => ["e", "4", "d", "3"]
            ZPOPMIN z 0 => []
            ZPOPMIN none => []
            ZPOPMIN z -1 => -ERR value is out of range, must be positive
            ZPOPMIN z x => -ERR value is out of range, must be positive
            ZPOPMIN z 1 1 => -ERR syntax error
            ZMPOP 2 none z MAX => ["z", [["c", "2"]]]
            ZMPOP 2 none z MIN COUNT 5 => ["z", [["b", "1"]]]
            ZMPOP 2 none z MIN => (nil)
            ZMPOP 0 z MIN => -ERR numkeys should be greater than 0
            ZMPOP 1 z MIN COUNT 0 => -ERR count should be greater than 0
            ZMPOP 1 z MIN COUNT 1 COUNT 1 => -ERR syntax error
            ZMPOP 5 z MIN => -ERR syntax error
            EXISTS z => :0
            "#,
        );
    }
}

#[test]
fn sorted_sets_and_sets_are_combined() {
    let mut shard = TestShard::new();
    shard.check(
        r#"
        ZADD a 1 a 2 b 3 c => :3
        ZADD b 10 b 20 c 30 d => :3
        SADD s b c x => :3
        ZUNION 2 a b WITHSCORES => ["a", "1", "b", "12", "c", "23", "d", "30"]
        ZUNION 2 a s WEIGHTS 2 0.5 WITHSCORES => ["x", "0.5", "a", "2", "b", "4.5", "c", "6.5"]
        ZUNION 2 a b AGGREGATE MIN WITHSCORES => ["a", "1", "b", "2", "c", "3", "d", "30"]
        ZINTER 3 a b s AGGREGATE MAX WITHSCORES => ["b", "10", "c", "20"]
        ZINTER 2 a none => []
        ZDIFF 2 a s => ["a"]
        ZDIFF 2 s a WITHSCORES => ["x", "1"]
        ZDIFF 1 a AGGREGATE SUM => -ERR syntax error
        ZINTERCARD 2 a b => :2
        ZINTERCARD 2 a b LIMIT 1 => :1
        ZINTERCARD 2 a b LIMIT -1 => -ERR LIMIT can't be negative
        ZUNION 0 a => -ERR at least 1 input key is needed for 'zunion' command
        ZINTERCARD x a => -ERR value is not an integer or out of range
        ZUNION 3 a b => -ERR syntax error
        ZUNION 1 a WEIGHTS x => -ERR weight value is not a float
        ZUNION 2 a b WEIGHTS 1 => -ERR syntax error
        ZUNIONSTORE a 2 a s WITHSCORES => -ERR syntax error
        ZUNIONSTORE a 2 a s => :4
        ZRANGE a 0 -1 WITHSCORES => ["a", "1", "x", "1", "b", "3", "c", "4"]
        ZINTERSTORE s 2 a b => :2
        TYPE s => zset
        ZDIFFSTORE s 2 a a => :0
        EXISTS s => :0
        ZADD i inf m => :1
        ZADD j -inf m => :1
        ZINTER 2 i j WITHSCORES => ["m", "0"]
        ZUNION 1 i WEIGHTS 0 WITHSCORES => ["m", "0"]
        "#,
    );
}

#[test]
fn a_large_set_is_scanned_whole_and_any_member_may_be_chosen() {
    let mut shard = TestShard::new();
    for member in 0..300 {
        shard.check(&format!("ZADD z {} m{member} => :1", member / 3));
    }
    let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
    loop {
        let Reply::Array(reply) = shard.reply(&[b"ZSCAN", b"z", cursor.as_bytes(), b"COUNT", b"50"]) else {
            panic!()
        };
        let [Reply::Bulk(next), Reply::Array(pairs)] = &reply[..] else { panic!() };
        for pair in pairs.chunks(2) {
            let [Reply::Bulk(member), Reply::Bulk(score)] = pair else { panic!() };
            let number: u32 = String::from_utf8_lossy(&member[1..]).parse().unwrap();
            assert_eq!(score, (number / 3).to_string().as_bytes());
            seen.push(number);
        }
        cursor = String::from_utf8_lossy(next).into_owned();
        if cursor == "0" {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, (0..300).collect::<Vec<_>>());

    let picked = |shard: &mut TestShard, line: &str| match shard
        .reply(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    {
        Reply::Array(items) => items.iter().map(show).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    for count in [3, 100, 300, 400] {
        let mut members = picked(&mut shard, &format!("ZRANDMEMBER z {count}"));
        assert_eq!(members.len(), count.min(300));
        members.sort();
        members.dedup();
        assert_eq!(members.len(), count.min(300), "each once");
    }
    assert_eq!(picked(&mut shard, "ZRANDMEMBER z -1000").len(), 1000);
    assert_eq!(picked(&mut shard, "ZRANDMEMBER z -10 WITHSCORES").len(), 20);
    shard.check(
        "ZRANDMEMBER none => (nil)\n ZRANDMEMBER none -5 => []\n ZRANDMEMBER z 1 x => -ERR syntax error",
    );
    assert!(shard.run("ZRANDMEMBER z").starts_with("\"m"));
}
