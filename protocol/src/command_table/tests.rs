//! The table agrees with itself, and with Redis where that matters to clients.

use super::*;
use crate::resp::{Limits, RequestParser};

#[test]
fn every_command_is_found_by_its_name_in_any_case() {
    for (i, spec) in all().iter().enumerate() {
        let mixed: String = spec
            .name
            .chars()
            .enumerate()
            .map(|(i, c)| if i % 2 == 0 { c.to_ascii_lowercase() } else { c })
            .collect();
        for name in [spec.name, &spec.name.to_lowercase(), &mixed] {
            assert_eq!(lookup(name.as_bytes()).map(|found| found.id), Some(spec.id), "{name}");
        }
        assert_eq!((spec.id.index(), spec.id.spec().name), (i, spec.name));
    }
}

#[test]
fn names_that_are_nearly_a_command_are_not_found() {
    for spec in all() {
        let name = spec.name.as_bytes();
        for at in 0..name.len() {
            for flip in [0x01, 0x02, 0x40, 0x80] {
                let mut other = name.to_vec();
                other[at] ^= flip;
                let known = all().iter().any(|spec| spec.name.as_bytes().eq_ignore_ascii_case(&other));
                assert_eq!(lookup(&other).is_some(), known, "{:?}", other.escape_ascii().to_string());
            }
        }
        assert!(lookup(&[name, b"\0"].concat()).is_none());
        assert!(lookup(&[b" ", name].concat()).is_none());
    }
    for name in [b"".as_slice(), b"NOSUCHCOMMAND", b"g\xC5t", &[b'a'; 1000]] {
        assert!(lookup(name).is_none());
    }
}

#[test]
fn rows_are_complete_and_consistent() {
    let groups = [
        "string",
        "list",
        "bitmap",
        "generic",
        "connection",
        "transactions",
        "server",
        "cluster",
        "hash",
        "set",
        "sorted-set",
    ];
    for spec in all() {
        let name = spec.name;
        assert!(
            groups.contains(&spec.group) && !spec.since.is_empty() && spec.summary.ends_with('.'),
            "{name}"
        );
        assert_eq!(name, name.to_uppercase());
        assert!(!spec.flags.contains(Flags::WRITE | Flags::READONLY), "{name}");
        // Who executes on a key's shard has a key, in the shortest request already or in its subcommand.
        if matches!(spec.place, Place::Key | Place::Blocking) {
            let shortest = spec.arity.signed().unsigned_abs() as usize + spec.subcommands.len().min(1);
            assert!(spec.keys.indices(shortest, |_| b"1").next().is_some(), "{name}");
        } else if spec.id != CommandId::Watch {
            assert_eq!(spec.keys, Keys::NONE, "{name}");
        }
        // Only what can have answers from several shards says how they become one.
        assert!(spec.merge == Merge::None || spec.keys.last < 0 || spec.place == Place::AllShards, "{name}");
        assert!(spec.place != Place::AllShards || spec.merge != Merge::None, "{name}");
        for sub in spec.subcommands {
            assert!(!sub.since.is_empty() && sub.summary.ends_with('.'), "{name} {}", sub.name);
            assert!(!sub.arity.fits(1) && sub.name == sub.name.to_uppercase(), "{name} {}", sub.name);
            assert_eq!(
                spec.subcommand(sub.name.to_lowercase().as_bytes()).map(|sub| sub.name),
                Some(sub.name)
            );
        }
    }
}

#[test]
fn keys_are_where_the_command_has_them() {
    let spec = |name: &str| lookup(name.as_bytes()).unwrap();
    let keys = |name: &str, argc| spec(name).keys.indices(argc, |_| b"2").collect::<Vec<_>>();
    assert_eq!(keys("GET", 2), [1]);
    assert_eq!(keys("SET", 7), [1]);
    assert_eq!(keys("DEL", 4), [1, 2, 3]);
    assert_eq!(keys("MSET", 7), [1, 3, 5]);
    // The value of the last key is missing: the handler says so, but the key's shard is known.
    assert_eq!(keys("MSET", 4), [1, 3]);
    assert_eq!(keys("LCS", 5), [1, 2]);
    assert_eq!(keys("BITOP", 6), [2, 3, 4, 5]);
    assert_eq!(keys("OBJECT", 3), [2]);
    let counted =
        |keys: Keys, argc, count: &'static str| keys.indices(argc, |_| count.as_bytes()).collect::<Vec<_>>();
    assert_eq!(counted(Keys::counted(1), 5, "2"), [2, 3]);
    assert_eq!(counted(Keys::counted(1), 5, "3"), [2, 3, 4]);
    assert!(counted(Keys::counted(1), 5, "4").is_empty());
    assert!(counted(Keys::counted(1), 5, "9223372036854775807").is_empty());
    assert_eq!(counted(Keys::FIRST_AND_COUNTED, 6, "2"), [1, 3, 4]);
    assert_eq!(counted(Keys::FIRST_AND_COUNTED, 6, "-2"), [1]);
    let sorted = |request: &str| {
        let args: Vec<_> = request.split(' ').map(str::as_bytes).collect();
        spec("SORT").keys.indices(args.len(), |index| args[index]).collect::<Vec<_>>()
    };
    assert_eq!(sorted("SORT k STORE to"), [1, 3]);
    assert_eq!(sorted("SORT k LIMIT STORE 1 GET STORE ALPHA"), [1]);
    // What stands behind STORE is a key, whatever it is called.
    assert_eq!(sorted("SORT k STORE LIMIT STORE to"), [1, 5]);
    assert_eq!(sorted("SORT k STORE store ALPHA"), [1, 3]);
    assert!(counted(Keys::counted(1), 5, "x").is_empty());
    let sort = |line: &str| {
        let args: Vec<_> = line.split(' ').collect();
        spec("SORT").keys.indices(args.len(), |index| args[index].as_bytes()).collect::<Vec<_>>()
    };
    assert_eq!(sort("sort list"), [1]);
    assert_eq!(sort("sort list store to desc"), [1, 3]);
    assert_eq!(sort("sort list LIMIT 0 STORE GET Store by store STORE to Store last"), [1, 12]);
    assert_eq!(sort("sort list BY x STORE"), [1]);
    assert!(keys("OBJECT", 2).is_empty());
    assert!(keys("PING", 2).is_empty());
    assert!(keys("DEL", 1).is_empty());
    assert!(keys("GET", 0).is_empty());
}

#[test]
fn arity_counts_the_name() {
    let ok = |name: &str, argc| lookup(name.as_bytes()).unwrap().arity_ok(argc);
    assert!(ok("GET", 2) && !ok("GET", 1) && !ok("GET", 3));
    assert!(ok("SET", 3) && ok("SET", 9) && !ok("SET", 2));
    assert!(ok("MSET", 3) && ok("MSET", 5) && !ok("MSET", 4) && !ok("MSETNX", 6));
    assert_eq!(Arity::Exactly(2).signed(), 2);
    assert_eq!(Arity::AtLeast(3).signed(), -3);
}

#[test]
fn a_subcommand_may_execute_elsewhere_than_its_command() {
    let place = |line: &[u8]| {
        let (mut parser, mut args) = (RequestParser::new(Limits::default()), Vec::new());
        parser.parse(line, &mut args).unwrap();
        let argv = parser.argv(line, &args);
        lookup(argv.get(0)).unwrap().place_for(argv)
    };
    assert_eq!(place(b"cluster slots\n"), Place::Connection);
    assert_eq!(place(b"cluster countkeysinslot 1\n"), Place::Slot);
    assert_eq!(place(b"cluster nosuch\n"), Place::Connection);
    assert_eq!(place(b"object encoding k\n"), Place::Key);
    assert_eq!(place(b"object help\n"), Place::Connection);
    assert_eq!(place(b"get k\n"), Place::Key);
    assert_eq!(place(b"carousel status\n"), Place::Control);
}

#[test]
fn while_a_node_loads_its_control_can_only_be_told_to_stop() {
    let mut names = Vec::new();
    for spec in all() {
        let own = (spec.name, spec.place, spec.flags);
        let subcommands = spec.subcommands.iter().map(|sub| (sub.name, sub.place, sub.flags));
        names.extend(std::iter::once(own).chain(subcommands).filter_map(|(name, place, flags)| {
            (place == Place::Control && flags.contains(Flags::LOADING)).then_some(name)
        }));
    }
    assert_eq!(names, ["SHUTDOWN"]);
}

#[test]
fn flags_and_categories_are_those_that_redis_shows() {
    let facts = |name: &str| {
        let spec = lookup(name.as_bytes()).unwrap();
        (spec.flags.names().collect::<Vec<_>>(), spec.acl_categories().collect::<Vec<_>>())
    };
    assert_eq!(facts("GET"), (vec!["readonly", "fast"], vec!["@read", "@fast", "@string"]));
    assert_eq!(facts("SET"), (vec!["write", "denyoom"], vec!["@write", "@slow", "@string"]));
    assert_eq!(facts("RPUSH"), (vec!["write", "denyoom", "fast"], vec!["@write", "@fast", "@list"]));
    assert_eq!(
        facts("SORT"),
        (vec!["write", "denyoom"], vec!["@write", "@dangerous", "@slow", "@set", "@sortedset", "@list"])
    );
    assert_eq!(facts("BITFIELD"), (vec!["write", "denyoom"], vec!["@write", "@slow", "@bitmap"]));
    assert_eq!(facts("KEYS"), (vec!["readonly"], vec!["@read", "@dangerous", "@slow", "@keyspace"]));
    assert_eq!(facts("DBSIZE"), (vec!["readonly", "fast"], vec!["@read", "@fast", "@keyspace"]));
    assert_eq!(facts("ASKING"), (vec!["fast"], vec!["@fast", "@connection"]));
    assert_eq!(facts("CONFIG"), (Vec::new(), vec!["@slow"]));
    assert_eq!(facts("PING"), (vec!["fast"], vec!["@fast", "@connection"]));
    assert_eq!(
        facts("SHUTDOWN"),
        (
            vec!["admin", "noscript", "loading", "stale", "no_multi", "allow_busy"],
            vec!["@admin", "@dangerous", "@slow"]
        )
    );
    assert_eq!(format!("{:?}", Flags::WRITE | Flags::FAST), r#"{"write", "fast"}"#);
}
