//! Commands on all keys of a shard, or of a slot.

use carousel_protocol::SlotId;
use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::Argv;
use carousel_protocol::resp::ReplyWriter;

use super::error::CommandError;
use super::exec::{Exec, Outcome, database_number, integer};
use super::glob::{Case, glob_match};
use super::session::subcommand;
use super::tables::is_due;
use crate::store::{EntryRef, ScanPosition};

/// Keys whose time has passed that RANDOMKEY removes at most before it gives one of them back.
const RANDOM_TRIES: usize = 100;

/// Bytes of an effect that clears a slot and database, at most.
const CLEAR_BYTES: usize = 8;

/// The shard's slots that this node serves.
fn owned_slots(exec: &Exec<'_>) -> impl Iterator<Item = SlotId> {
    let owned = exec.owned;
    exec.tables.slots().filter(move |&slot| owned(slot))
}

/// Replies with those keys of the slots that `select` wants, as an array.
fn reply_keys(
    exec: &mut Exec<'_>,
    slots: impl Iterator<Item = SlotId>,
    count_max: usize,
    select: &dyn Fn(EntryRef<'_>) -> bool,
) {
    let mut elements = Vec::new();
    let mut keys = ReplyWriter::new(&mut elements, exec.reply.version);
    let mut count = 0;
    for slot in slots {
        let table = exec.tables.table(slot, exec.database);
        let mut from = Some(ScanPosition::START);
        while let Some(position) = from.filter(|_| count < count_max) {
            from = table.scan(exec.tables.hasher(), position, count_max - count, &mut |entry| {
                if count < count_max && select(entry) {
                    keys.bulk(entry.key());
                    count += 1;
                }
            });
        }
    }
    exec.reply.array(count);
    exec.reply.out.extend_from_slice(&elements);
}

/// `KEYS pattern`
pub(super) fn keys(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let pattern = argv.get(1);
    let slots = owned_slots(exec).collect::<Vec<_>>();
    let now_ms = exec.now.unix_ms;
    reply_keys(exec, slots.into_iter(), usize::MAX, &|entry| {
        let matches = pattern == b"*" || glob_match(pattern, entry.key(), Case::Sensitive);
        matches && !is_due(&entry, now_ms)
    });
    Ok(())
}

/// Counts keys whose time has passed until they are removed, as Redis does.
pub(super) fn dbsize(exec: &mut Exec<'_>) -> Outcome {
    let keys: usize = owned_slots(exec).map(|slot| exec.tables.table(slot, exec.database).len()).sum();
    exec.reply.integer(keys as i64);
    Ok(())
}

/// `FLUSHALL [ASYNC | SYNC]`: all databases; `FLUSHDB [ASYNC | SYNC]`: the selected one.
pub(super) fn flush(spec: &'static CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let is_known =
        |option: &[u8]| option.eq_ignore_ascii_case(b"ASYNC") || option.eq_ignore_ascii_case(b"SYNC");
    if argv.len() > 2 || (argv.len() == 2 && !is_known(argv.get(1))) {
        return Err(CommandError::Syntax);
    }
    let is_flushed = |database| spec.id == CommandId::FlushAll || database == exec.database;
    let slots: Vec<_> = owned_slots(exec).collect();
    let databases_of = |&slot| exec.tables.tables_of(slot).map(move |(database, _)| (slot, database));
    let flushed: Vec<_> = slots.iter().flat_map(databases_of).filter(|at| is_flushed(at.1)).collect();
    exec.room.reserve(flushed.len() * CLEAR_BYTES)?;
    for (slot, database) in flushed {
        exec.tables.clear(slot, database, exec.effects);
    }
    exec.reply.ok();
    Ok(())
}

/// `SWAPDB database database`: on each shard at once; another client may see it done on one shard before the other.
pub(super) fn swapdb(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    if !exec.is_alone {
        return Err(CommandError::SwapInCluster);
    }
    let numbers = [(1, "first"), (2, "second")].map(|(at, which)| {
        database_number(argv.get(at)).map(|_| at).map_err(|_| CommandError::SwapIndex { which })
    });
    let [first, second] = numbers;
    let databases = [exec.database_of(argv.get(first?))?, exec.database_of(argv.get(second?))?];
    if databases[0] != databases[1] {
        for slot in exec.tables.slots() {
            exec.tables.swap(slot, databases, exec.effects);
        }
    }
    exec.reply.ok();
    Ok(())
}

/// One of the shard's keys: a slot is chosen at random, then one of its keys.
pub(super) fn random_key(exec: &mut Exec<'_>) -> Outcome {
    for _ in 0..RANDOM_TRIES {
        let (slot_dice, key_dice) = (exec.tables.roll(), exec.tables.roll());
        let slots = exec.tables.local_slots();
        let start = (slot_dice % slots.len() as u64) as usize;
        let candidates = (0..slots.len()).filter_map(|step| slots.slot_at((start + step) % slots.len()));
        let chosen = candidates
            .filter(|&slot| (exec.owned)(slot))
            .find_map(|slot| Some((slot, exec.tables.table(slot, exec.database).random(key_dice)?)));
        let Some((slot, entry)) = chosen else { break };
        if !is_due(&entry, exec.now.unix_ms) {
            exec.reply.bulk(entry.key());
            return Ok(());
        }
        let key = entry.key().to_vec();
        exec.tables.expire(exec.tables.key_at(slot, exec.database, &key), &key, exec.effects);
    }
    exec.reply.null();
    Ok(())
}

/// `CLUSTER COUNTKEYSINSLOT slot`, `CLUSTER GETKEYSINSLOT slot count`: of a slot that this node does not serve there
/// are no keys to show, whatever copy it holds. As in Valkey 9, those of the selected database.
pub(super) fn cluster(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let Some(sub) = subcommand(CommandId::Cluster.spec(), argv, &mut exec.reply) else { return Ok(()) };
    let slot_of = |number: i64| u16::try_from(number).ok().and_then(SlotId::new);
    match sub.name {
        "COUNTKEYSINSLOT" => {
            let slot = slot_of(integer(argv.get(2))?).ok_or(CommandError::Slot)?;
            let count = if (exec.owned)(slot) { exec.tables.table(slot, exec.database).len() } else { 0 };
            exec.reply.integer(count as i64);
        }
        "GETKEYSINSLOT" => {
            let (slot, count) = (integer(argv.get(2))?, integer(argv.get(3))?);
            let slot = slot_of(slot).ok_or(CommandError::SlotOrCount)?;
            let count = usize::try_from(count).map_err(|_| CommandError::SlotOrCount)?;
            let owned = exec.owned;
            reply_keys(exec, Some(slot).filter(|&slot| owned(slot)).into_iter(), count, &|_| true);
        }
        other => unreachable!("CLUSTER {other} does not run on a shard"),
    }
    Ok(())
}
