//! MEMORY.

use carousel_protocol::command_table::CommandSpec;
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::error::CommandError;
use super::exec::{Exec, Outcome, integer};
use super::session::{help, subcommand};
use super::tables::Tables;
use crate::metrics::{NodeView, process};
use crate::store::EntryRef;

/// `MEMORY USAGE key [SAMPLES count]`: exact, whatever the number of samples.
pub(super) fn usage(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    if !argv.get(1).eq_ignore_ascii_case(b"USAGE") {
        return Err(CommandError::unknown_subcommand("MEMORY", argv.get(1)));
    }
    if argv.len() < 3 {
        return Err(CommandError::WrongArity { command: "memory|usage".into() });
    }
    for at in (3..argv.len()).step_by(2) {
        if !argv.get(at).eq_ignore_ascii_case(b"SAMPLES") || at + 1 == argv.len() {
            return Err(CommandError::Syntax);
        }
        if integer(argv.get(at + 1))? < 0 {
            return Err(CommandError::Syntax);
        }
    }
    let key = argv.get(2);
    let at = exec.at(key);
    match exec.tables.peek(at, key, exec.now.unix_ms) {
        Some(entry) => exec.reply.integer(bytes_of(&entry, exec.tables) as i64),
        None => exec.reply.null(),
    }
    Ok(())
}

fn bytes_of(entry: &EntryRef<'_>, tables: &Tables) -> usize {
    entry.used_bytes() + tables.stamp_bytes()
}

/// `MEMORY DOCTOR | HELP | MALLOC-STATS | PURGE | STATS`: what needs no shard.
pub(super) fn memory(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    node: &NodeView,
    reply: &mut ReplyWriter<'_>,
) {
    let Some(sub) = subcommand(spec, argv, reply) else { return };
    match sub.name {
        "DOCTOR" => reply.verbatim("txt", doctor(node).as_bytes()),
        "MALLOC-STATS" => reply.verbatim("txt", process::allocator_report().as_bytes()),
        "PURGE" => match process::purge() {
            true => reply.ok(),
            false => reply.error("ERR Error purging dirty pages"),
        },
        "STATS" => stats(node, reply),
        "HELP" => help(reply, HELP),
        other => unreachable!("MEMORY {other} runs on a shard"),
    }
}

enum Fact {
    Bytes(u64),
    Ratio(f64),
}

fn stats(node: &NodeView, reply: &mut ReplyWriter<'_>) {
    let (usage, peak) = node.usage();
    let totals = node.totals();
    let dataset = totals.used_bytes.min(usage.allocated_bytes);
    let ratio = |part: u64, of: u64| if of == 0 { 1.0 } else { part as f64 / of as f64 };
    let facts = [
        ("peak.allocated", Fact::Bytes(peak)),
        ("total.allocated", Fact::Bytes(usage.allocated_bytes)),
        ("startup.allocated", Fact::Bytes(0)),
        ("replication.backlog", Fact::Bytes(0)),
        ("clients.slaves", Fact::Bytes(0)),
        ("clients.normal", Fact::Bytes(0)),
        ("cluster.links", Fact::Bytes(0)),
        ("aof.buffer", Fact::Bytes(0)),
        ("lua.caches", Fact::Bytes(0)),
        ("functions.caches", Fact::Bytes(0)),
        ("overhead.total", Fact::Bytes(usage.allocated_bytes - dataset)),
        ("keys.count", Fact::Bytes(totals.keys)),
        ("keys.bytes-per-key", Fact::Bytes(dataset.checked_div(totals.keys).unwrap_or(0))),
        ("dataset.bytes", Fact::Bytes(dataset)),
        ("dataset.percentage", Fact::Ratio(100.0 * ratio(dataset, usage.allocated_bytes))),
        ("peak.percentage", Fact::Ratio(100.0 * ratio(usage.allocated_bytes, peak))),
        ("allocator.allocated", Fact::Bytes(usage.allocated_bytes)),
        ("allocator.active", Fact::Bytes(usage.active_bytes)),
        ("allocator.resident", Fact::Bytes(usage.resident_bytes)),
        ("allocator-fragmentation.ratio", Fact::Ratio(ratio(usage.active_bytes, usage.allocated_bytes))),
        (
            "allocator-fragmentation.bytes",
            Fact::Bytes(usage.active_bytes.saturating_sub(usage.allocated_bytes)),
        ),
        ("allocator-rss.ratio", Fact::Ratio(ratio(usage.resident_bytes, usage.active_bytes))),
        ("allocator-rss.bytes", Fact::Bytes(usage.resident_bytes.saturating_sub(usage.active_bytes))),
        ("rss-overhead.ratio", Fact::Ratio(ratio(usage.rss_bytes, usage.resident_bytes))),
        ("rss-overhead.bytes", Fact::Bytes(usage.rss_bytes.saturating_sub(usage.resident_bytes))),
        ("fragmentation", Fact::Ratio(ratio(usage.rss_bytes, usage.allocated_bytes))),
        ("fragmentation.bytes", Fact::Bytes(usage.rss_bytes.saturating_sub(usage.allocated_bytes))),
    ];
    reply.map(facts.len());
    for (name, fact) in facts {
        reply.bulk(name.as_bytes());
        match fact {
            Fact::Bytes(bytes) => reply.integer(bytes as i64),
            Fact::Ratio(ratio) => reply.double(ratio),
        }
    }
}

/// What an operator might want to look after.
fn doctor(node: &NodeView) -> String {
    /// Below it there is nothing worth a word.
    const LITTLE_BYTES: u64 = 5 << 20;
    let (usage, peak) = node.usage();
    let settings = node.settings();
    let keys_bytes = node.totals().used_bytes;
    if keys_bytes < LITTLE_BYTES {
        return "The keys take less than 5 MiB: there is nothing to say about so little.\n".into();
    }
    let mut advice = String::new();
    if peak > usage.allocated_bytes / 2 * 3 {
        advice.push_str(
            "* Peak: some time ago half as much again was in use as now. The allocator may keep pages of it, and fragmentation \
             figures look worse than they are. MEMORY PURGE gives them back.\n",
        );
    }
    if usage.active_bytes > usage.allocated_bytes / 10 * 14 {
        advice.push_str(
            "* Fragmentation: the allocator's pages are filled to less than 70 %. That goes away as keys come, or with a \
             restart.\n",
        );
    }
    if settings.maxmemory == 0 && usage.rss_bytes > process::total_memory_bytes() / 10 * 8 {
        advice.push_str(
            "* No limit: the process has most of the machine's memory, and maxmemory is not set.\n",
        );
    }
    if settings.maxmemory > 0 && usage.allocated_bytes > settings.maxmemory {
        advice.push_str("* Full: more memory is in use than maxmemory allows.\n");
    }
    if node.memory_beside_keys() > keys_bytes {
        advice.push_str(
            "* Overhead: buffers of clients, of the log and of replication take more memory than the keys. CLIENT LIST tells \
             which clients.\n",
        );
    }
    if advice.is_empty() { "Nothing is wrong with the memory of this node.\n".into() } else { advice }
}

const HELP: &str = "\
MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
DOCTOR
    Return memory problems reports.
MALLOC-STATS
    Return internal statistics report from the memory allocator.
PURGE
    Attempt to purge dirty pages for reclamation by the allocator.
STATS
    Return information about the memory usage of the server.
USAGE <key> [SAMPLES <count>]
    Return memory in bytes used by <key> and its value. Nested values are
    all counted, whatever <count> says.
HELP
    Print this help.";
