//! Commands by chance.

use carousel_protocol::command_table::{CommandSpec, lookup};
use carousel_protocol::resp::{ArgRange, Argv, Version};
use carousel_protocol::{Database, SlotId, key_slot};
use carousel_server::shard::Request;

use crate::random::Rng;

/// Keys have few tags, so that slots hold several, and few names, so that commands meet.
const TAGS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const NAMES: u64 = 5;

/// The slots of all keys.
pub fn slots() -> Vec<SlotId> {
    TAGS.iter().map(|tag| slot_of(tag)).collect()
}

fn slot_of(tag: &str) -> SlotId {
    key_slot(format!("{{{tag}}}").as_bytes())
}

/// A request, as a connection has it.
pub struct Command {
    pub spec: &'static CommandSpec,
    pub buffer: Vec<u8>,
    pub ranges: Vec<ArgRange>,
    /// `None`: it is about all keys.
    pub key: Option<Vec<u8>>,
    pub database: Database,
}

impl Command {
    /// Its words.
    pub fn argv(&self) -> Argv<'_> {
        Argv::new(&self.buffer, &self.ranges)
    }

    /// As a connection hands it to the shard.
    pub fn request(&self) -> Request<'_> {
        Request {
            spec: self.spec,
            slot: self.key.as_ref().map_or(const { SlotId::new(0).unwrap() }, |key| key_slot(key)),
            argv: self.argv(),
            database: self.database,
            version: Version::Resp2,
            counts_as_use: true,
        }
    }
}

/// Some command at some time.
pub fn command(rng: &mut Rng, unix_ms: u64) -> Command {
    let database =
        rng.pick(&[Database::MAIN, Database::MAIN, Database::MAIN.next().expect("there are several")]);
    match rng.below(200) {
        0 => return build(&["FLUSHALL".into()], None, database),
        1 => return build(&["SWAPDB".into(), "0".into(), "1".into()], None, database),
        _ => {}
    }
    let tag = rng.pick(&TAGS);
    keyed(rng, unix_ms, tag, database)
}

/// Some command on a key of that slot.
pub fn command_on(rng: &mut Rng, unix_ms: u64, slot: SlotId) -> Command {
    let tag = TAGS.iter().position(|tag| slot_of(tag) == slot).expect("one of the slots");
    keyed(rng, unix_ms, TAGS[tag], Database::MAIN)
}

fn keyed(rng: &mut Rng, unix_ms: u64, tag: &str, database: Database) -> Command {
    let number = rng.below(NAMES);
    let mut item = || match rng.below(12) {
        // Long enough for a big collection.
        0 => "x".repeat(70 + rng.index(10)),
        n => format!("i{}", n % 6),
    };
    let (one, two, three) = (item(), item(), item());
    let count = rng.below(4).to_string();
    let due = (unix_ms + rng.below(400)).to_string();
    // A name is of a type, mostly, so that commands rarely meet the wrong one.
    let (kind, words): (&str, Vec<&str>) = match rng.below(22) {
        0 | 1 => ("s", vec!["SET", &one]),
        2 => ("s", vec!["APPEND", &one]),
        3 => ("s", vec!["SETRANGE", &count, &two]),
        4 => ("s", vec!["SET", &one, "PXAT", &due]),
        5 => ("l", vec!["RPUSH", &one, &two]),
        6 => ("l", vec!["LPUSH", &one, &two, &three]),
        7 => ("l", vec!["LPOP", &count]),
        8 => ("l", vec!["RPOP"]),
        9 => ("l", vec!["LREM", "0", &one]),
        10 => ("l", vec!["LINSERT", "BEFORE", &one, &two]),
        11 => ("l", vec!["LTRIM", "1", "-1"]),
        12 | 13 => ("h", vec!["HSET", &one, &two]),
        14 => ("h", vec!["HDEL", &one]),
        15 => ("t", vec!["SADD", &one, &two]),
        16 => ("t", vec!["SREM", &one]),
        17 => ("z", vec!["ZADD", &count, &one]),
        18 => ("z", vec!["ZREM", &one]),
        19 => ("l", vec!["PEXPIREAT", &due]),
        20 => ("h", vec!["PERSIST"]),
        _ => ("l", vec!["DEL"]),
    };
    let key = format!("{{{tag}}}{kind}{number}");
    let mut argv = vec![words[0].to_owned(), key.clone()];
    argv.extend(words[1..].iter().map(|word| (*word).to_owned()));
    build(&argv, Some(key.into_bytes()), database)
}

fn build(argv: &[String], key: Option<Vec<u8>>, database: Database) -> Command {
    let (mut buffer, mut ranges) = (Vec::new(), Vec::new());
    for arg in argv {
        let start = buffer.len() as u32;
        buffer.extend_from_slice(arg.as_bytes());
        ranges.push(ArgRange { start, end: buffer.len() as u32 });
    }
    Command { spec: lookup(argv[0].as_bytes()).expect("a known command"), buffer, ranges, key, database }
}
