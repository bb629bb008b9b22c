//! INFO.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use carousel_protocol::resp::{Argv, ReplyWriter};

use super::databases::DatabaseKeys;
use super::info_commands::{command_stats, error_stats, latency_stats};
use crate::Now;
use crate::metrics::{CAROUSEL_VERSION, CheckpointKind, NodeView, REDIS_VERSION, Totals, process};
use crate::settings::RuntimeChoice;

/// A part of the text.
struct Section {
    name: &'static str,
    /// Shown without asking.
    default: bool,
    write: fn(&mut Text, &Facts<'_>),
}

const SECTIONS: &[Section] = &[
    Section { name: "Server", default: true, write: server },
    Section { name: "Clients", default: true, write: clients },
    Section { name: "Memory", default: true, write: memory },
    Section { name: "Persistence", default: true, write: persistence },
    Section { name: "Stats", default: true, write: stats },
    Section { name: "Replication", default: true, write: replication },
    Section { name: "CPU", default: true, write: cpu },
    Section { name: "Modules", default: true, write: |_, _| {} },
    Section { name: "Commandstats", default: false, write: command_stats },
    Section { name: "Errorstats", default: true, write: error_stats },
    Section { name: "Latencystats", default: false, write: latency_stats },
    Section { name: "Cluster", default: true, write: |text, _| text.line("cluster_enabled", 1) },
    Section { name: "Keyspace", default: true, write: keyspace },
];

/// What the sections are written from.
pub(super) struct Facts<'a> {
    pub(super) node: &'a NodeView,
    now: Now,
    pub(super) totals: Totals,
    usage: process::ProcessUsage,
    peak_bytes: u64,
}

/// `INFO [section...]`: the sections asked for, in the order of [`SECTIONS`]; unknown ones are left out.
pub(super) fn info(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>, now: Now) {
    let asked: Vec<String> =
        argv.skip(1).iter().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect();
    let is_asked = |section: &Section| {
        let name = section.name.to_ascii_lowercase();
        asked.is_empty() && section.default
            || asked.iter().any(|word| match word.as_str() {
                "all" | "everything" => true,
                "default" => section.default,
                word => word == name,
            })
    };
    let (usage, peak_bytes) = node.usage();
    let facts = Facts { node, now, totals: node.totals(), usage, peak_bytes };
    let mut text = Text(String::with_capacity(4096));
    for section in SECTIONS.iter().filter(|section| is_asked(section)) {
        if !text.0.is_empty() {
            text.0.push_str("\r\n");
        }
        text.0.push_str(&format!("# {}\r\n", section.name));
        (section.write)(&mut text, &facts);
    }
    reply.verbatim("txt", text.0.as_bytes());
}

pub(super) struct Text(String);

impl Text {
    pub(super) fn line(&mut self, name: &str, value: impl Display) {
        write!(self.0, "{name}:{value}\r\n").expect("a string takes all text");
    }

    /// Lines that never change here; Redis has them, and dashboards ask for them.
    fn constants(&mut self, lines: &[(&str, &str)]) {
        lines.iter().for_each(|(name, value)| self.line(name, value));
    }

    /// A number of bytes, also in the form for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.line(name, bytes);
        self.line(&format!("{name}_human"), human(bytes));
    }
}

/// As Redis' `bytesToHuman`.
fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1024.0 && unit < 4 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", ["K", "M", "G", "T", "P"][unit])
}

fn server(text: &mut Text, facts: &Facts<'_>) {
    let (node, process, settings) = (facts.node, &facts.node.process, facts.node.settings());
    let uptime_s = facts.now.unix_ms.saturating_sub(process.started.unix_ms) / 1000;
    let unix_s = facts.now.unix_ms / 1000;
    text.line("redis_version", REDIS_VERSION);
    text.line("carousel_version", CAROUSEL_VERSION);
    text.constants(&[
        ("redis_git_sha1", "00000000"),
        ("redis_git_dirty", "0"),
        ("redis_build_id", "0"),
        ("redis_mode", "cluster"),
    ]);
    text.line("os", process::operating_system());
    text.line("arch_bits", usize::BITS);
    text.constants(&[("monotonic_clock", "POSIX clock_gettime")]);
    let is_epoll = process.runtime == RuntimeChoice::Epoll.name();
    text.line("multiplexing_api", if is_epoll { "epoll" } else { "io_uring" });
    text.line("process_id", process.pid);
    text.constants(&[("process_supervised", "no")]);
    text.line("run_id", &process.run_id);
    text.line("tcp_port", settings.port);
    text.line("server_time_usec", facts.now.unix_ms * 1000);
    text.line("uptime_in_seconds", uptime_s);
    text.line("uptime_in_days", uptime_s / 86_400);
    text.constants(&[("hz", "10"), ("configured_hz", "10")]);
    // 24 bits of seconds, as Redis counts them.
    text.line("lru_clock", unix_s & 0xFF_FFFF);
    text.line("executable", &process.executable);
    text.line(
        "config_file",
        settings.config_file.as_ref().map_or(String::new(), |path| path.display().to_string()),
    );
    text.line("io_threads_active", 0);
    text.line("carousel_runtime", process.runtime);
    text.line("carousel_shards", node.shards.len());
    text.line("carousel_node_id", node.map().me);
    text.line("carousel_peer_port", settings.peer_port());
}

fn clients(text: &mut Text, facts: &Facts<'_>) {
    let map = facts.node.map();
    text.line("connected_clients", facts.node.clients.len());
    text.line(
        "cluster_connections",
        if map.joined() { map.state.members.len() - 1 - map.unreachable.len() } else { 0 },
    );
    text.line("maxclients", facts.node.settings().maxclients);
    text.constants(&[("client_recent_max_input_buffer", "0"), ("client_recent_max_output_buffer", "0")]);
    text.line("blocked_clients", facts.totals.blocked_clients);
    text.constants(&[("tracking_clients", "0"), ("clients_in_timeout_table", "0")]);
}

fn memory(text: &mut Text, facts: &Facts<'_>) {
    let usage = &facts.usage;
    let ratio = |part: u64, of: u64| if of == 0 { 1.0 } else { part as f64 / of as f64 };
    let dataset = facts.totals.used_bytes.min(usage.allocated_bytes);
    text.bytes("used_memory", usage.allocated_bytes);
    text.bytes("used_memory_rss", usage.rss_bytes);
    text.bytes("used_memory_peak", facts.peak_bytes);
    text.line(
        "used_memory_peak_perc",
        format!("{:.2}%", 100.0 * ratio(usage.allocated_bytes, facts.peak_bytes)),
    );
    text.line("used_memory_overhead", usage.allocated_bytes - dataset);
    text.line("used_memory_startup", 0);
    text.line("used_memory_dataset", dataset);
    text.line("used_memory_dataset_perc", format!("{:.2}%", 100.0 * ratio(dataset, usage.allocated_bytes)));
    text.line("allocator_allocated", usage.allocated_bytes);
    text.line("allocator_active", usage.active_bytes);
    text.line("allocator_resident", usage.resident_bytes);
    text.bytes("total_system_memory", process::total_memory_bytes());
    text.constants(&[
        ("used_memory_lua", "0"),
        ("used_memory_lua_human", "0B"),
        ("used_memory_scripts", "0"),
        ("used_memory_scripts_human", "0B"),
        ("used_memory_vm_eval", "0"),
        ("used_memory_scripts_eval", "0"),
        ("number_of_cached_scripts", "0"),
        ("number_of_functions", "0"),
        ("number_of_libraries", "0"),
        ("used_memory_vm_functions", "0"),
        ("used_memory_vm_total", "0"),
        ("used_memory_vm_total_human", "0B"),
        ("used_memory_functions", "0"),
    ]);
    let settings = facts.node.settings();
    text.bytes("maxmemory", settings.maxmemory);
    text.line("maxmemory_policy", settings.maxmemory_policy.name());
    text.line("allocator_frag_ratio", format!("{:.2}", ratio(usage.active_bytes, usage.allocated_bytes)));
    text.line("allocator_frag_bytes", usage.active_bytes.saturating_sub(usage.allocated_bytes));
    text.line("allocator_rss_ratio", format!("{:.2}", ratio(usage.resident_bytes, usage.active_bytes)));
    text.line("allocator_rss_bytes", usage.resident_bytes.saturating_sub(usage.active_bytes));
    text.line("rss_overhead_ratio", format!("{:.2}", ratio(usage.rss_bytes, usage.resident_bytes)));
    text.line("rss_overhead_bytes", usage.rss_bytes.saturating_sub(usage.resident_bytes));
    text.line("mem_fragmentation_ratio", format!("{:.2}", ratio(usage.rss_bytes, usage.allocated_bytes)));
    text.line("mem_fragmentation_bytes", usage.rss_bytes.saturating_sub(usage.allocated_bytes));
    text.constants(&[
        ("mem_not_counted_for_evict", "0"),
        ("mem_replication_backlog", "0"),
        ("mem_total_replication_buffers", "0"),
        ("mem_clients_slaves", "0"),
        ("mem_clients_normal", "0"),
        ("mem_cluster_links", "0"),
        ("mem_aof_buffer", "0"),
        ("mem_allocator", "jemalloc-5.3.0"),
        ("active_defrag_running", "0"),
        ("lazyfreed_objects", "0"),
    ]);
    text.line("lazyfree_pending_objects", facts.totals.freeing);
}

fn persistence(text: &mut Text, facts: &Facts<'_>) {
    let node = facts.node;
    let log_status = if node.log_failed.load(Ordering::Relaxed) { "err" } else { "ok" };
    let loading = node.loading.is_active();
    text.line("loading", u8::from(loading));
    let (totals, persistence) = (node.totals_since_start(), &node.persistence);
    let is_running = |kind| persistence.running() == Some(kind);
    let running_s = |kind| if is_running(kind) { persistence.running_s(facts.now.unix_ms) } else { -1 };
    let status = |kind| if persistence.is_ok(kind) { "ok" } else { "err" };
    let (save, rewrite) = (CheckpointKind::Save, CheckpointKind::Rewrite);
    let is_logged = node.settings().appendonly;
    text.constants(&[("async_loading", "0"), ("current_cow_peak", "0"), ("current_cow_size", "0")]);
    text.line("rdb_changes_since_last_save", persistence.changes_since(totals.changes));
    text.line("rdb_bgsave_in_progress", u8::from(is_running(save)));
    text.line("rdb_last_save_time", persistence.last_unix_s());
    text.line("rdb_last_bgsave_status", status(save));
    text.line("rdb_last_bgsave_time_sec", persistence.seconds(save));
    text.line("rdb_current_bgsave_time_sec", running_s(save));
    text.line("rdb_saves", persistence.count());
    text.constants(&[("rdb_last_cow_size", "0")]);
    text.line("aof_enabled", u8::from(is_logged));
    text.line("aof_rewrite_in_progress", u8::from(is_running(rewrite)));
    text.line("aof_rewrite_scheduled", u8::from(persistence.is_scheduled(rewrite)));
    text.line("aof_last_rewrite_time_sec", persistence.seconds(rewrite));
    text.line("aof_current_rewrite_time_sec", running_s(rewrite));
    text.line("aof_last_bgrewrite_status", status(rewrite));
    text.line("aof_last_write_status", log_status);
    if is_logged {
        text.line("aof_current_size", totals.checkpoint_bytes + totals.log_bytes);
        text.line("aof_base_size", totals.checkpoint_bytes);
        text.constants(&[("aof_pending_rewrite", "0"), ("aof_buffer_length", "0")]);
        text.line("carousel_log_kept_bytes", totals.log_kept_bytes);
    }
    if loading {
        let loading = &node.loading;
        let (total, loaded) = (loading.total_bytes(), loading.loaded_bytes());
        let seconds = (facts.now.unix_ms / 1000).saturating_sub(loading.started_unix_s());
        text.line("loading_start_time", loading.started_unix_s());
        text.line("loading_total_bytes", total);
        text.line("loading_rdb_used_mem", 0);
        text.line("loading_loaded_bytes", loaded);
        text.line("loading_loaded_perc", format!("{:.2}", loading.percent()));
        let left = (seconds * total.saturating_sub(loaded)).checked_div(loaded).unwrap_or(1);
        text.line("loading_eta_seconds", left);
        text.line("carousel_loading_keys", loading.loaded_keys());
    }
}

fn stats(text: &mut Text, facts: &Facts<'_>) {
    let (totals, rates) = (&facts.totals, facts.node.rates());
    let kib = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    text.line("total_connections_received", totals.connections_accepted);
    text.line("total_commands_processed", totals.commands);
    text.line("instantaneous_ops_per_sec", rates.commands.round() as u64);
    text.line("total_net_input_bytes", totals.net_in_bytes);
    text.line("total_net_output_bytes", totals.net_out_bytes);
    text.line("total_net_repl_input_bytes", totals.peer_in_bytes);
    text.line("total_net_repl_output_bytes", totals.peer_out_bytes);
    text.line("instantaneous_input_kbps", kib(rates.net_in_bytes));
    text.line("instantaneous_output_kbps", kib(rates.net_out_bytes));
    text.line("instantaneous_input_repl_kbps", kib(rates.peer_in_bytes));
    text.line("instantaneous_output_repl_kbps", kib(rates.peer_out_bytes));
    text.line("rejected_connections", facts.node.clients_rejected());
    text.constants(&[("sync_full", "0"), ("sync_partial_ok", "0"), ("sync_partial_err", "0")]);
    text.line("expired_keys", totals.expired_keys);
    text.line("evicted_keys", totals.evicted_keys);
    text.constants(&[
        ("expired_stale_perc", "0.00"),
        ("expired_time_cap_reached_count", "0"),
        ("expire_cycle_cpu_milliseconds", "0"),
        ("evicted_clients", "0"),
        ("total_eviction_exceeded_time", "0"),
        ("current_eviction_exceeded_time", "0"),
    ]);
    text.line("keyspace_hits", totals.keyspace_hits);
    text.line("keyspace_misses", totals.keyspace_misses);
    text.constants(&[
        ("pubsub_channels", "0"),
        ("pubsub_patterns", "0"),
        ("pubsubshard_channels", "0"),
        ("latest_fork_usec", "0"),
        ("total_forks", "0"),
        ("migrate_cached_sockets", "0"),
        ("slave_expires_tracked_keys", "0"),
        ("active_defrag_hits", "0"),
        ("active_defrag_misses", "0"),
        ("active_defrag_key_hits", "0"),
        ("active_defrag_key_misses", "0"),
        ("total_active_defrag_time", "0"),
        ("current_active_defrag_time", "0"),
        ("tracking_total_keys", "0"),
        ("tracking_total_items", "0"),
        ("tracking_total_prefixes", "0"),
        ("unexpected_error_replies", "0"),
    ]);
    text.line("total_error_replies", totals.errors);
    text.constants(&[("dump_payload_sanitizations", "0")]);
    text.line("total_reads_processed", totals.reads);
    text.line("total_writes_processed", totals.writes);
    text.constants(&[("io_threaded_reads_processed", "0"), ("io_threaded_writes_processed", "0")]);
    text.line("client_query_buffer_limit_disconnections", totals.clients_cut_for_input);
    text.line("client_output_buffer_limit_disconnections", totals.clients_cut_for_output);
    text.constants(&[
        ("reply_buffer_shrinks", "0"),
        ("reply_buffer_expands", "0"),
        ("acl_access_denied_auth", "0"),
        ("acl_access_denied_cmd", "0"),
        ("acl_access_denied_key", "0"),
        ("acl_access_denied_channel", "0"),
    ]);
    text.line("carousel_transfer_keys", totals.transfer_keys);
    text.line("carousel_transfer_bytes", totals.transfer_bytes);
    let turns = facts.node.shards.iter().enumerate();
    let turns: Vec<_> =
        turns.map(|(shard, of)| format!("shard{shard}={}", of.longest_turn.get() / 1000)).collect();
    text.line("carousel_longest_turn_usec", turns.join(","));
}

/// Every node is a primary of some slots or of none; clients must never take it for a replica.
fn replication(text: &mut Text, facts: &Facts<'_>) {
    text.constants(&[
        ("role", "master"),
        ("connected_slaves", "0"),
        ("master_failover_state", "no-failover"),
    ]);
    text.line("master_replid", &facts.node.process.run_id);
    text.line("master_replid2", "0".repeat(40));
    text.constants(&[
        ("master_repl_offset", "0"),
        ("second_repl_offset", "-1"),
        ("repl_backlog_active", "0"),
        ("repl_backlog_size", "0"),
        ("repl_backlog_first_byte_offset", "0"),
        ("repl_backlog_histlen", "0"),
    ]);
}

fn cpu(text: &mut Text, facts: &Facts<'_>) {
    text.line("used_cpu_sys", format!("{:.6}", facts.usage.cpu_system_s));
    text.line("used_cpu_user", format!("{:.6}", facts.usage.cpu_user_s));
    text.constants(&[("used_cpu_sys_children", "0.000000"), ("used_cpu_user_children", "0.000000")]);
    // There is no one thread that does it all: what all of them took together.
    text.line("used_cpu_sys_main_thread", format!("{:.6}", facts.usage.cpu_system_s));
    text.line("used_cpu_user_main_thread", format!("{:.6}", facts.usage.cpu_user_s));
}

fn keyspace(text: &mut Text, facts: &Facts<'_>) {
    for DatabaseKeys { database, keys, volatile } in &facts.totals.databases {
        text.line(&format!("db{database}"), format!("keys={keys},expires={volatile},avg_ttl=0"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::session::testing::Tester;
    use carousel_protocol::Database;
    use carousel_protocol::command_table::CommandId;

    fn sections(reply: &str) -> Vec<&str> {
        reply.lines().filter_map(|line| line.strip_prefix("# ")).collect()
    }

    #[test]
    fn sections_are_those_asked_for_in_their_order() {
        let mut tester = Tester::new();
        let default = [
            "Server",
            "Clients",
            "Memory",
            "Persistence",
            "Stats",
            "Replication",
            "CPU",
            "Modules",
            "Errorstats",
            "Cluster",
            "Keyspace",
        ];
        assert_eq!(sections(&tester.run("INFO")), default);
        assert_eq!(sections(&tester.run("INFO default")), default);
        assert_eq!(sections(&tester.run("INFO keyspace CPU nonsense")), ["CPU", "Keyspace"]);
        for word in ["all", "Everything"] {
            assert_eq!(sections(&tester.run(&format!("INFO {word}"))).len(), SECTIONS.len());
        }
        assert_eq!(tester.run("INFO nonsense"), "$0\r\n\r\n");
    }

    #[test]
    fn what_clients_act_on_is_there() {
        let mut tester = Tester::new();
        let info = tester.run("INFO everything");
        for line in [
            "redis_version:7.2.4",
            "redis_mode:cluster",
            "process_id:42",
            "tcp_port:6379",
            "uptime_in_seconds:5",
            "connected_clients:1",
            "maxclients:10000",
            "maxmemory_policy:noeviction",
            "loading:0",
            "aof_enabled:1",
            "role:master",
            "connected_slaves:0",
            "cluster_enabled:1",
        ] {
            assert!(info.contains(&format!("\r\n{line}\r\n")), "{line} is not in {info}");
        }
        assert!(info.contains(&format!("\r\ncarousel_version:{CAROUSEL_VERSION}\r\n")));
        assert!(!info.contains("db0:") && !info.contains("cmdstat_"));
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory_rss:")).unwrap();
        assert!(used.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn counters_of_all_shards_are_summed() {
        let mut tester = Tester::new();
        for shard in &tester.node.shards {
            let of = |number, keys| {
                let database = Database::new(number).unwrap();
                DatabaseKeys { database, keys, volatile: 1 }
            };
            shard.set_databases(vec![of(0, 4), of(15, 7)]);
            shard.command(CommandId::MGet);
            shard.command_rejected(CommandId::Set, b"ERR no");
        }
        let info = tester.run("INFO everything");
        for line in [
            "db0:keys=8,expires=2,avg_ttl=0",
            "db15:keys=14,expires=2,avg_ttl=0",
            "cmdstat_mget:calls=2,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0",
            "cmdstat_set:calls=0,usec=0,usec_per_call=0.00,rejected_calls=2,failed_calls=0",
            "total_error_replies:2",
        ] {
            assert!(info.contains(&format!("\r\n{line}\r\n")), "{line} is not in {info}");
        }
    }

    #[test]
    fn text_is_verbatim_in_resp3_and_bytes_are_readable() {
        let mut tester = Tester::new();
        tester.run("HELLO 3");
        assert_eq!(tester.run("INFO keyspace"), "=16\r\ntxt:# Keyspace\r\n\r\n");
        let texts = [0, 1023, 1024, 2_729_032, 25_276_510_208].map(human);
        assert_eq!(texts, ["0B", "1023B", "1.00K", "2.60M", "23.54G"]);
    }
}
