//! Commands on keys of several shards that no shard can execute alone.
//!
//! Those that take an element from one key and perhaps give it to another are made of commands on one key each. All others
//! are executed here, on copies of all their keys, and what they change is carried out where the keys are. The slots of
//! all keys are locked meanwhile, so nobody can tell.

use carousel_protocol::command_table::{CommandId, CommandSpec, Merge};
use carousel_protocol::resp::{Argv, Reply, ReplyWriter, Version, parse_reply};
use carousel_protocol::{Database, ShardId, key_slot};

use super::coordinate::{Coordinator, reply_of};
use super::scatter;
use crate::command::{
    EffectIter, EffectSink, EffectsBuf, Exec, LogRoom, Tables, effects_as, execute as execute_command,
    looked_up_keys, looks_up_keys,
};
use crate::limits;
use crate::shard::drive::Stopped;
use crate::shard::encoded::Encoded;
use crate::store::KeyHasher;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// Whether a command looks at keys that it does not name.
pub(super) fn looks_everywhere(spec: &CommandSpec, argv: Argv<'_>) -> bool {
    matches!(spec.id, CommandId::Sort | CommandId::SortRo) && looks_up_keys(spec, argv)
}

/// Executes a command whose keys are on several shards; returns its reply.
pub(super) async fn execute(c: &mut Coordinator, command: &Encoded) -> Result<Vec<u8>, Stopped> {
    let args = command.with_argv(|argv| argv.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    match command.spec.id {
        CommandId::SMove => move_member(c, command.database, &args).await,
        CommandId::RPopLPush | CommandId::BRPopLPush => {
            move_element(c, command.database, &args, b"RIGHT", b"LEFT").await
        }
        CommandId::LMove | CommandId::BLMove if is_end(&args[3]) && is_end(&args[4]) => {
            move_element(c, command.database, &args, &args[3], &args[4]).await
        }
        CommandId::MSetNx => set_if_none_exists(c, command).await,
        CommandId::BLPop
        | CommandId::BRPop
        | CommandId::BZPopMin
        | CommandId::BZPopMax
        | CommandId::LMPop
        | CommandId::ZMPop
        | CommandId::BLMPop
        | CommandId::BZMPop => first_of(c, command, &args).await,
        _ => on_copies(c, command, &args).await,
    }
}

fn is_end(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"LEFT") || text.eq_ignore_ascii_case(b"RIGHT")
}

impl Coordinator {
    /// Executes a command on one key and reads its reply.
    async fn ask(&mut self, database: Database, key: &[u8], args: &[&[u8]]) -> Result<Reply, Stopped> {
        let shard = self.handle.owner(key_slot(key));
        let reply = self.run(shard, Encoded::command(database, args)).await?;
        let parsed = parse_reply(&reply).ok().flatten().expect("shards answer whole replies");
        Ok(parsed.0)
    }

    /// What `TYPE` says of a key.
    async fn type_of(&mut self, database: Database, key: &[u8]) -> Result<Vec<u8>, Stopped> {
        match self.ask(database, key, &[b"TYPE", key]).await? {
            Reply::Simple(name) => Ok(name.into_bytes()),
            other => unreachable!("TYPE answers a name, not {other:?}"),
        }
    }
}

/// The reply of a command that did not do what it always does: there was no room for it, or the like.
fn other_reply(version: Version, reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Error(text) => reply_of(version, |out| out.error(&text)),
        other => unreachable!("a checked command on one key answered {other:?}"),
    }
}

/// `SMOVE source destination member`
async fn move_member(c: &mut Coordinator, db: Database, args: &[Vec<u8>]) -> Result<Vec<u8>, Stopped> {
    let (version, source, target, member) = (c.version, &args[1], &args[2], &args[3]);
    let (source_type, target_type) = (c.type_of(db, source).await?, c.type_of(db, target).await?);
    if source_type == b"none" {
        return Ok(reply_of(version, |out| out.integer(0)));
    }
    if source_type != b"set" || !matches!(target_type.as_slice(), b"set" | b"none") {
        return Ok(reply_of(version, |out| out.error(WRONG_TYPE)));
    }
    if c.ask(db, source, &[b"SISMEMBER", source, member]).await? == Reply::Integer(0) {
        return Ok(reply_of(version, |out| out.integer(0)));
    }
    // First there, then gone here: whatever refuses the first has changed nothing.
    match c.ask(db, target, &[b"SADD", target, member]).await? {
        Reply::Integer(_) => {}
        other => return Ok(other_reply(version, other)),
    }
    match c.ask(db, source, &[b"SREM", source, member]).await? {
        Reply::Integer(_) => Ok(reply_of(version, |out| out.integer(1))),
        other => Ok(other_reply(version, other)),
    }
}

/// `LMOVE source destination from to`, and its like.
async fn move_element(
    c: &mut Coordinator,
    db: Database,
    args: &[Vec<u8>],
    from: &[u8],
    to: &[u8],
) -> Result<Vec<u8>, Stopped> {
    let (version, source, target) = (c.version, &args[1], &args[2]);
    let (source_type, target_type) = (c.type_of(db, source).await?, c.type_of(db, target).await?);
    match (source_type.as_slice(), target_type.as_slice()) {
        (b"none", _) => return Ok(reply_of(version, |out| out.null())),
        (b"list", b"list" | b"none") => {}
        _ => return Ok(reply_of(version, |out| out.error(WRONG_TYPE))),
    }
    let is_left = |end: &[u8]| end.eq_ignore_ascii_case(b"LEFT");
    let index: &[u8] = if is_left(from) { b"0" } else { b"-1" };
    let element = match c.ask(db, source, &[b"LINDEX", source, index]).await? {
        Reply::Bulk(element) => element,
        other => unreachable!("a list is never empty, and yet {other:?}"),
    };
    let push: &[u8] = if is_left(to) { b"LPUSH" } else { b"RPUSH" };
    match c.ask(db, target, &[push, target, &element]).await? {
        Reply::Integer(_) => {}
        other => return Ok(other_reply(version, other)),
    }
    let pop: &[u8] = if is_left(from) { b"LPOP" } else { b"RPOP" };
    match c.ask(db, source, &[pop, source]).await? {
        Reply::Bulk(element) => Ok(reply_of(version, |out| out.bulk(&element))),
        other => Ok(other_reply(version, other)),
    }
}

/// `MSETNX key value [key value ...]`
async fn set_if_none_exists(c: &mut Coordinator, command: &Encoded) -> Result<Vec<u8>, Stopped> {
    let (version, db) = (c.version, command.database);
    let count = c.handle.shard_count;
    let (shares, keys) = command.with_argv(|argv| {
        let keys = command.spec.key_indices(argv).map(|index| argv.get(index).to_vec());
        let keys: Vec<_> = keys.collect();
        let set: Vec<_> = std::iter::once(&b"MSET"[..]).chain(argv.iter().skip(1)).collect();
        let set = Encoded::command(db, &set);
        (set.with_argv(|argv| scatter::split(set.spec, db, argv, count)), keys)
    });
    for key in &keys {
        if c.ask(db, key, &[b"EXISTS", key]).await? != Reply::Integer(0) {
            return Ok(reply_of(version, |out| out.integer(0)));
        }
    }
    let mut replies = Vec::new();
    for share in shares {
        replies.push((c.run(share.shard, share.request).await?, share.keys));
    }
    let merged = scatter::merge(Merge::Ok, version, &replies);
    Ok(if merged.first() == Some(&b'-') { merged } else { reply_of(version, |out| out.integer(1)) })
}

/// Commands that do something to the first of their keys that has elements.
async fn first_of(c: &mut Coordinator, command: &Encoded, args: &[Vec<u8>]) -> Result<Vec<u8>, Stopped> {
    let spec = command.spec;
    let indices = command.with_argv(|argv| spec.key_indices(argv).collect::<Vec<_>>());
    let mut last = Vec::new();
    for &index in &indices {
        let mut with_one: Vec<&[u8]> = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            match () {
                () if spec.keys.count_at > 0 && at == usize::from(spec.keys.count_at) => with_one.push(b"1"),
                () if at != index && indices.contains(&at) => {}
                () => with_one.push(arg),
            }
        }
        let shard = c.handle.owner(key_slot(&args[index]));
        last = c.run(shard, Encoded::new(spec, command.database, &with_one)).await?;
        if last != reply_of(c.version, |out| out.null_array()) {
            return Ok(last);
        }
    }
    Ok(last)
}

/// Executes a command on copies of its keys and carries out what it changes.
async fn on_copies(c: &mut Coordinator, command: &Encoded, args: &[Vec<u8>]) -> Result<Vec<u8>, Stopped> {
    let spec: &'static CommandSpec = command.spec;
    let keys = command.with_argv(|argv| spec.key_indices(argv).map(|i| args[i].clone()).collect::<Vec<_>>());
    let now = c.handle.now();
    // They lie as on a node with one shard, which may have all slots.
    let hasher = KeyHasher::new(c.handle.core.borrow().tables.hasher().hash(b"copies"));
    let mut tables = Tables::new(ShardId(0), 1, hasher);
    copy_keys(c, &keys, &mut tables).await?;
    if command.with_argv(|argv| looks_everywhere(spec, argv)) {
        let more =
            command.with_argv(|argv| looked_up_keys(spec, command.database, argv, &tables, now.unix_ms));
        let more: Vec<_> = more.into_iter().filter(|key| !keys.contains(key)).collect();
        copy_keys(c, &more, &mut tables).await?;
    }
    let (mut out, mut effects) = (Vec::new(), EffectSink::new());
    effects.set_recording(true);
    command.with_argv(|argv| {
        let mut exec = Exec {
            now,
            tables: &mut tables,
            effects: &mut effects,
            reply: ReplyWriter::new(&mut out, c.version),
            slot: key_slot(&keys[0]),
            database: command.database,
            database_count: c.handle.core.borrow().options.databases,
            owned: &|_| true,
            // What it writes is known when it has run; the logs are asked then.
            room: LogRoom::new(&|_| Ok(())),
            is_alone: true,
        };
        execute_command(spec, &mut exec, argv);
    });
    if effects.len_bytes() > limits::WRITE_ARGUMENTS_BYTES_MAX {
        let text = "ERR what this command would write is too long for the log";
        return Ok(reply_of(c.version, |out| out.error(text)));
    }
    let groups = effects.groups().map(|(slot, payload)| (slot, payload.to_vec()));
    let by_shard = scatter::by_shard(&c.handle, groups, |(slot, _)| *slot);
    for (&shard, groups) in &by_shard {
        let bytes =
            groups.iter().map(|(_, payload)| payload.len() + limits::RECORD_OVERHEAD_BYTES).sum::<usize>();
        let taken = c.act(shard, move |handle, core| handle.log_room(core.turn_log_bytes() + bytes)).await?;
        if let Err(text) = taken {
            return Ok(reply_of(c.version, |out| out.error(text)));
        }
    }
    for (shard, groups) in by_shard {
        c.act(shard, move |_, core| groups.iter().for_each(|(slot, payload)| core.change(*slot, payload)))
            .await?;
    }
    Ok(out)
}

/// Copies keys from their shards.
async fn copy_keys(c: &mut Coordinator, keys: &[Vec<u8>], tables: &mut Tables) -> Result<(), Stopped> {
    for (shard, keys) in scatter::by_shard(&c.handle, keys.iter().cloned(), |key| key_slot(key)) {
        let copied = c.act(shard, move |handle, core| {
            let now_ms = handle.now().unix_ms;
            let copies = keys.iter().map(|key| {
                let (slot, mut payload) = (key_slot(key), EffectsBuf::default());
                // In each database: COPY has two.
                for (database, _) in core.tables.tables_of(slot) {
                    if let Some(entry) =
                        core.tables.peek(core.tables.key_at(slot, database, key), key, now_ms)
                    {
                        effects_as(
                            entry,
                            key,
                            core.tables.hasher(),
                            limits::COPY_PIECE_BYTES,
                            &mut |effect| {
                                payload.push(database, &effect);
                            },
                        );
                    }
                }
                (slot, payload.take())
            });
            copies.collect::<Vec<_>>()
        });
        for (slot, payload) in copied.await? {
            for effect in EffectIter::new(&payload) {
                let (database, effect) = effect.expect("own effects decode");
                tables.apply(slot, database, &effect);
            }
        }
    }
    Ok(())
}
