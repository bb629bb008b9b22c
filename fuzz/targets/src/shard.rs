//! Commands on the tables of one shard, and a copy of them that gets only the effects.

use carousel_protocol::command_table::{CommandSpec, Place, lookup};
use carousel_protocol::resp::{ArgRange, Argv, Reply, ReplyWriter, Version, parse_reply};
use carousel_protocol::{Database, ShardId, SlotId, key_slot};
use carousel_server::Now;
use carousel_server::command::{EffectIter, EffectSink, Exec, LogRoom, Tables, execute};
use carousel_server::store::{KeyHasher, ScanPosition};

const NOW: Now = Now { mono_ns: 0, unix_ms: 1_700_000_000_000 };

pub(super) struct Shard {
    pub(super) tables: Tables,
    copy: Tables,
    effects: EffectSink,
}

/// What a slot holds: databases, keys, their content and their expiry.
pub(super) type Content = Vec<(Database, Vec<u8>, Vec<Vec<u8>>, Option<u64>)>;

impl Shard {
    pub(super) fn new() -> Self {
        let tables = |seed| Tables::new(ShardId(0), 1, KeyHasher::new(seed));
        let mut effects = EffectSink::new();
        effects.set_recording(true);
        Self { tables: tables(1), copy: tables(2), effects }
    }

    /// Runs a command that runs on a shard, and checks that it left one reply and effects that lead to the same.
    pub(super) fn run(&mut self, spec: &'static CommandSpec, args: &[&[u8]]) -> Reply {
        let (mut buf, mut ranges) = (Vec::new(), Vec::new());
        for arg in args {
            let start = buf.len() as u32;
            buf.extend_from_slice(arg);
            ranges.push(ArgRange { start, end: buf.len() as u32 });
        }
        let keys: Vec<_> = spec.keys.indices(args.len(), |index| args[index]).collect();
        let slot = keys.first().map_or(SlotId::new(0).expect("slot 0"), |index| key_slot(args[*index]));
        let mut out = Vec::new();
        self.effects.clear();
        let mut exec = Exec {
            now: NOW,
            tables: &mut self.tables,
            effects: &mut self.effects,
            reply: ReplyWriter::new(&mut out, Version::Resp2),
            slot,
            database: Database::MAIN,
            database_count: 16,
            owned: &|_| true,
            room: LogRoom::new(&|_| Ok(())),
            is_alone: true,
        };
        execute(spec, &mut exec, Argv::new(&buf, &ranges));
        let mut changed = Vec::new();
        for (slot, bytes) in self.effects.groups() {
            for effect in EffectIter::new(bytes) {
                let (database, effect) = effect.expect("effects decode");
                self.copy.apply(slot, database, &effect);
            }
            changed.push(slot);
        }
        for slot in changed {
            assert_eq!(content(&self.tables, slot), content(&self.copy, slot), "after {args:?}");
        }
        let (reply, len) = parse_reply(&out).expect("a reply").expect("all of it");
        assert_eq!(len, out.len(), "one reply to {args:?}");
        reply
    }

    /// As [`Self::run`], by name, where it is a command of a shard with enough arguments.
    pub(super) fn run_by_name(&mut self, args: &[&[u8]]) -> Option<Reply> {
        let spec = lookup(args.first()?)?;
        let argv_place = match spec.subcommands {
            [] => spec.place,
            _ => args.get(1).and_then(|name| spec.subcommand(name)).map_or(spec.place, |sub| sub.place),
        };
        let is_on_shard = matches!(argv_place, Place::Key | Place::AllShards | Place::Slot);
        (is_on_shard && spec.arity_ok(args.len())).then(|| self.run(spec, args))
    }
}

/// What a slot holds, in an order that depends on nothing else.
pub(super) fn content(tables: &Tables, slot: SlotId) -> Content {
    let mut all = Content::new();
    for (database, table) in tables.tables_of(slot) {
        table.scan(tables.hasher(), ScanPosition::START, usize::MAX, &mut |entry| {
            all.push((database, entry.key().to_vec(), entry.value().content(), entry.expire_at_ms()));
        });
    }
    all.sort();
    all
}
