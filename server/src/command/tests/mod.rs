//! Tests of commands: a shard without a node runs scripts of `command => reply`.
//!
//! The replies in the scripts are those of redis-server, but for what a doc comment says.

mod bitfield;
mod bitmap;
mod databases;
mod dump;
mod encodings;
mod hash;
mod key;
mod keyspace;
mod lcs;
mod list;
mod scan;
mod set;
mod sort;
mod sorted_set;
mod string;

use std::cell::Cell;

use carousel_protocol::command_table::{Keys, lookup};
use carousel_protocol::resp::{ArgRange, Argv, Reply, ReplyWriter, Version, parse_reply};
use carousel_protocol::{Database, ShardId, SlotId, key_slot};

use super::{DatabaseKeys, EffectIter, EffectSink, Exec, LogRoom, Tables, execute};
use crate::store::{KeyHasher, ScanPosition, Table};
use crate::{Now, limits};

/// A shard that runs commands, and a copy of it that only gets the effects.
struct TestShard {
    tables: Tables,
    now_ms: u64,
    /// The database that the client has selected.
    database: Database,
    owned: fn(SlotId) -> bool,
    /// Whether there are other nodes.
    is_cluster: bool,
    /// The log takes no more than what the arguments are.
    is_log_full: bool,
    /// Effects of the last command.
    effects: EffectSink,
    copy: Tables,
}

const START_MS: u64 = 1_700_000_000_000;

impl TestShard {
    fn new() -> Self {
        Self::of(ShardId(0), 1)
    }

    fn of(shard: ShardId, shard_count: u16) -> Self {
        let mut effects = EffectSink::new();
        effects.set_recording(true);
        Self {
            tables: Tables::new(shard, shard_count, KeyHasher::new(11)),
            now_ms: START_MS,
            database: Database::MAIN,
            owned: |_| true,
            is_cluster: false,
            is_log_full: false,
            effects,
            // Its own seed: a copy's tables are sorted differently.
            copy: Tables::new(shard, shard_count, KeyHasher::new(22)),
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// Runs a command; afterwards the copy must be the same, with nothing but the effects.
    fn run_bytes(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let spec = lookup(args[0]).expect("a command");
        assert!(spec.arity_ok(args.len()), "{args:?}");
        let (mut buf, mut ranges) = (Vec::new(), Vec::new());
        for arg in args {
            let start = buf.len() as u32;
            buf.extend_from_slice(arg);
            ranges.push(ArgRange { start, end: buf.len() as u32 });
        }
        let mut out = Vec::new();
        self.effects.clear();
        let slot = match spec.keys.indices(args.len(), |index| args[index]).next() {
            Some(index) => key_slot(args[index]),
            None => self.tables.slots().next().expect("a shard has slots"),
        };
        let reserved = Cell::new(0);
        let room = |bytes| {
            reserved.set(bytes);
            if self.is_log_full { Err("MISCONF full") } else { Ok(()) }
        };
        let mut exec = Exec {
            now: Now { mono_ns: 0, unix_ms: self.now_ms },
            tables: &mut self.tables,
            effects: &mut self.effects,
            reply: ReplyWriter::new(&mut out, Version::Resp2),
            slot,
            database: self.database,
            database_count: 16,
            owned: &self.owned,
            room: LogRoom::new(&room),
            is_alone: !self.is_cluster,
        };
        execute(spec, &mut exec, Argv::new(&buf, &ranges));
        // What the shard reserves for the arguments, see `Shard::take_room`, and what the command did.
        let room = buf.len() + (args.len() + 1) * limits::RECORD_OVERHEAD_BYTES + reserved.get();
        let written: usize = self.effects.groups().map(|(_, bytes)| bytes.len()).sum();
        let is_of_all = spec.keys == Keys::NONE;
        assert!(written <= room || is_of_all, "{args:?} wrote {written} bytes where {room} were reserved");
        for (slot, bytes) in self.effects.groups() {
            for effect in EffectIter::new(bytes) {
                let (database, effect) = effect.expect("effects decode");
                self.copy.apply(slot, database, &effect);
            }
        }
        let counts = self.tables.keys_by_database(&|_| true);
        assert_eq!(counts, self.copy.keys_by_database(&|_| true), "{args:?}");
        for DatabaseKeys { database, .. } in counts {
            for slot in self.tables.slots() {
                let (table, copy) = (self.tables.table(slot, database), self.copy.table(slot, database));
                assert_eq!(table.len(), copy.len(), "{args:?}");
                if !table.is_empty() {
                    assert_eq!(contents(table, &self.tables), contents(copy, &self.copy), "{args:?}");
                }
            }
        }
        out
    }

    /// As a connection does.
    fn select(&mut self, number: u16) {
        self.database = Database::new(number).expect("one that there can be");
    }

    /// The reply, its simple parts as text: `OK`, `-ERR ..`, `(nil)`, `:1`, `[a, b]`.
    fn run(&mut self, line: &str) -> String {
        let args: Vec<_> =
            line.split(' ').map(|arg| if arg == "''" { b"" } else { arg.as_bytes() }).collect();
        show(&self.reply(&args))
    }

    fn reply(&mut self, args: &[&[u8]]) -> Reply {
        let out = self.run_bytes(args);
        let (reply, len) = parse_reply(&out).expect("a reply").expect("all of it");
        assert_eq!(len, out.len(), "one reply");
        reply
    }

    /// Runs commands and compares their replies, both as `command => reply`.
    fn check(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (command, expected) = line.split_once(" => ").expect("command => reply");
            assert_eq!(self.run(command), expected, "{command}");
        }
    }

    /// How many effects the last command had.
    fn effect_count(&self) -> usize {
        self.effects.groups().map(|(_, bytes)| EffectIter::new(bytes).count()).sum()
    }
}

fn show(reply: &Reply) -> String {
    match reply {
        Reply::Simple(text) => String::from_utf8_lossy(text.as_ref()).into_owned(),
        Reply::Error(text) => format!("-{}", String::from_utf8_lossy(text.as_ref())),
        Reply::Integer(value) => format!(":{value}"),
        Reply::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Reply::Null => "(nil)".into(),
        Reply::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        other => panic!("unexpected {other:?}"),
    }
}

type Contents = Vec<(Vec<u8>, Vec<Vec<u8>>, Option<u64>)>;

fn contents(table: &Table, tables: &Tables) -> Contents {
    let mut all = Contents::new();
    table.scan(tables.hasher(), ScanPosition::START, usize::MAX, &mut |entry| {
        all.push((entry.key().to_vec(), entry.value().content(), entry.expire_at_ms()));
    });
    all.sort();
    all
}
