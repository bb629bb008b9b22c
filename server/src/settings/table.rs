//! The settings as rows of data, and reading and writing a value by its row.

use carousel_protocol::Database;

use super::{
    AppendFsync, CrossSlot, DebugCommand, EvictionPolicy, LogLevel, Percentiles, RuntimeChoice, Settings,
    listen_address,
};
use crate::limits::{BULK_BYTES_MAX, BULK_BYTES_MIN, SHARDS_MAX};
use crate::store::Packing;

/// What is said of a number that is none, in Redis' words.
pub(super) const NOT_AN_INTEGER: &str = "argument couldn't be parsed into an integer";
/// What is said of a number of bytes that is none, in Redis' words.
pub(super) const NOT_MEMORY: &str = "argument must be a memory value";

/// One setting.
pub struct SettingSpec {
    /// Its name as a directive, lower case.
    pub name: &'static str,
    /// Value unless set, as written in a file.
    pub default: &'static str,
    /// Unit of the value; empty where it has none.
    pub unit: &'static str,
    /// What values it takes and where they live.
    pub kind: Kind,
    /// `CONFIG SET` may change it.
    pub mutable: bool,
    /// One or two sentences for an operator.
    pub doc: &'static str,
}

/// What values a setting takes, and how to reach them in [`Settings`].
pub enum Kind {
    /// A whole number.
    Integer {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Reads it.
        get: fn(&Settings) -> u64,
        /// Stores one within the bounds.
        set: fn(&mut Settings, u64),
    },
    /// A whole number, perhaps negative.
    Signed {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
        /// Reads it.
        get: fn(&Settings) -> i64,
        /// Stores one within the bounds.
        set: fn(&mut Settings, i64),
    },
    /// A number of bytes, which may be written with `k`, `kb`, `m`, `mb`, `g` or `gb`.
    Memory {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Reads it.
        get: fn(&Settings) -> u64,
        /// Stores one within the bounds.
        set: fn(&mut Settings, u64),
    },
    /// `yes` or `no`.
    YesNo {
        /// Reads it.
        get: fn(&Settings) -> bool,
        /// Stores it.
        set: fn(&mut Settings, bool),
    },
    /// One of some words.
    Choice {
        /// The words.
        names: &'static [&'static str],
        /// Reads the index of the word.
        get: fn(&Settings) -> usize,
        /// Stores the word of that index.
        set: fn(&mut Settings, usize),
    },
    /// Any text.
    Text {
        /// Reads it.
        get: fn(&Settings) -> String,
        /// Checks and stores it.
        set: fn(&mut Settings, &str) -> Result<(), String>,
    },
    /// Several words with a form of their own.
    Composite {
        /// Their form.
        form: &'static str,
        /// Reads them.
        get: fn(&Settings) -> String,
        /// Checks and stores them.
        set: fn(&mut Settings, &str) -> Result<(), String>,
    },
    /// One or more words.
    Words {
        /// Reads them.
        get: fn(&Settings) -> &[String],
        /// Checks and stores them.
        set: fn(&mut Settings, Vec<String>) -> Result<(), String>,
    },
}

macro_rules! integer {
    ($field:ident, $min:expr, $max:expr) => {
        Kind::Integer {
            min: $min as u64,
            max: $max as u64,
            get: |settings| settings.$field as u64,
            set: |settings, value| settings.$field = value as _,
        }
    };
}

macro_rules! packing {
    ($kind:ident $field:ident, $max:expr) => {
        Kind::$kind {
            min: 0,
            max: $max as u64,
            get: |settings| settings.packing.$field as u64,
            set: |settings, value| settings.packing.$field = value as usize,
        }
    };
}

macro_rules! yes_no {
    ($field:ident) => {
        Kind::YesNo { get: |settings| settings.$field, set: |settings, value| settings.$field = value }
    };
}

macro_rules! choice {
    ($field:ident, $type:ident) => {
        Kind::Choice {
            names: $type::NAMES,
            get: |settings| settings.$field as usize,
            set: |settings, index| settings.$field = $type::ALL[index],
        }
    };
}

macro_rules! text {
    ($field:ident, $check:expr) => {
        Kind::Text {
            get: |settings| settings.$field.clone(),
            set: |settings, value| {
                $check(value)?;
                settings.$field = value.into();
                Ok(())
            },
        }
    };
}

/// Every setting, in the order of `docs/settings.md`.
pub const TABLE: &[SettingSpec] = &[
    SettingSpec {
        name: "port",
        default: "6379",
        unit: "",
        kind: integer!(port, 1, u16::MAX),
        mutable: false,
        doc: "TCP port for clients.",
    },
    SettingSpec {
        name: "bind",
        default: "127.0.0.1 -::1",
        unit: "",
        kind: Kind::Words {
            get: |settings| &settings.bind,
            set: |settings, words| {
                if words.is_empty() {
                    return Err("at least one address is needed".into());
                }
                words.iter().try_for_each(|word| listen_address(word).map(drop))?;
                settings.bind = words;
                Ok(())
            },
        },
        mutable: false,
        doc: "Addresses to listen on, for clients and for other nodes. `*` and `::*` are all addresses of IPv4 and IPv6; \
              one with `-` before it may be missing on the machine. A cluster over several machines needs more than the default.",
    },
    SettingSpec {
        name: "protected-mode",
        default: "yes",
        unit: "",
        kind: yes_no!(protected_mode),
        mutable: true,
        doc: "While no password is set, accept clients from this machine only.",
    },
    SettingSpec {
        name: "unixsocket",
        default: "",
        unit: "",
        kind: text!(unixsocket, any),
        mutable: false,
        doc: "Path of a Unix socket for clients on this machine, besides TCP. Empty: none.",
    },
    SettingSpec {
        name: "unixsocketperm",
        default: "0",
        unit: "",
        kind: Kind::Composite {
            form: "octal permissions, such as 770",
            get: |settings| format!("{:o}", settings.unixsocketperm),
            set: |settings, text| {
                let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
                settings.unixsocketperm = mode.ok_or("argument must be octal permissions, such as 770")?;
                Ok(())
            },
        },
        mutable: false,
        doc: "Permissions of `unixsocket`. 0 is what the process' umask leaves.",
    },
    SettingSpec {
        name: "dir",
        default: "./carousel-data",
        unit: "",
        kind: Kind::Text {
            get: |settings| settings.dir.display().to_string(),
            set: |settings, value| {
                not_empty(value)?;
                settings.dir = value.into();
                Ok(())
            },
        },
        mutable: false,
        doc: "Data directory: log, the node's id, the config group's state. Made where it is missing; one process at a time.",
    },
    SettingSpec {
        name: "shards",
        default: "0",
        unit: "threads",
        kind: integer!(shards, 0, SHARDS_MAX),
        mutable: false,
        doc: "Shards, each one thread that owns its slots. 0 is one per core that the process may use.",
    },
    SettingSpec {
        name: "pin",
        default: "yes",
        unit: "",
        kind: yes_no!(pin),
        mutable: false,
        doc: "Pin each shard's thread to a core of its own. Say no where several nodes share a machine.",
    },
    SettingSpec {
        name: "runtime",
        default: "auto",
        unit: "",
        kind: choice!(runtime, RuntimeChoice),
        mutable: false,
        doc: "How shards wait for the kernel. `auto` is io_uring where it works, else epoll; the log says which and why. `glommio` is \
              there in a program built with `--features glommio`.",
    },
    SettingSpec {
        name: "appendonly",
        default: "yes",
        unit: "",
        kind: yes_no!(appendonly),
        mutable: false,
        doc: "Write a log of all changes, from which a restart recovers. Without it a restart finds the last checkpoint, if one was \
              taken (see `save`), or is empty.",
    },
    SettingSpec {
        name: "appendfsync",
        default: "everysec",
        unit: "",
        kind: choice!(appendfsync, AppendFsync),
        mutable: true,
        doc: "When the log is synced: before each acknowledgement, once a second, or when the kernel likes. \
              The end of the process alone loses nothing under any of them; a power loss does under the last two.",
    },
    SettingSpec {
        name: "cross-slot",
        default: "auto",
        unit: "",
        kind: choice!(cross_slot, CrossSlot),
        mutable: true,
        doc: "Commands and transactions on keys of several slots: `auto` allows them while the cluster has one node, \
              `strict` refuses them as a larger one does.",
    },
    SettingSpec {
        name: "save",
        default: "",
        unit: "s changes",
        kind: Kind::Words {
            get: |settings| &settings.save,
            set: |settings, words| {
                save_points(&words).ok_or("Invalid save parameters")?;
                settings.save = words;
                Ok(())
            },
        },
        mutable: true,
        doc: "Take a checkpoint when so many seconds have passed since the last and there were so many changes: pairs of numbers, \
              as in `save 3600 1 300 100`. With a log none is needed at set times; without one (`appendonly no`) this is what a \
              restart finds. Lines of a file add up, and an empty value takes all away.",
    },
    SettingSpec {
        name: "auto-aof-rewrite-percentage",
        default: "100",
        unit: "%",
        kind: integer!(auto_checkpoint_percentage, 0, i32::MAX),
        mutable: true,
        doc: "Take a checkpoint, behind which the log is cut, when the log since the last one is so much of that one's size. 0: \
              only when one is asked for.",
    },
    SettingSpec {
        name: "auto-aof-rewrite-min-size",
        default: "64mb",
        unit: "bytes",
        kind: Kind::Memory {
            min: 0,
            max: i64::MAX as u64,
            get: |settings| settings.auto_checkpoint_min_bytes,
            set: |settings, value| settings.auto_checkpoint_min_bytes = value,
        },
        mutable: true,
        doc: "But not before checkpoint and log have so many bytes together, over all shards.",
    },
    SettingSpec {
        name: "log-retention",
        default: "256mb",
        unit: "bytes",
        kind: Kind::Memory {
            min: 0,
            max: i64::MAX as u64,
            get: |settings| settings.log_retention_bytes,
            set: |settings, value| settings.log_retention_bytes = value,
        },
        mutable: true,
        doc: "So much of each shard's log is kept when a checkpoint cuts it, so that the last records of a slot can be read.",
    },
    SettingSpec {
        name: "requirepass",
        default: "",
        unit: "",
        kind: text!(requirepass, any),
        mutable: true,
        doc: "Password of the user `default`. Empty: clients need none. All nodes of a cluster should have the same.",
    },
    SettingSpec {
        name: "maxclients",
        default: "10000",
        unit: "clients",
        kind: integer!(maxclients, 1, u32::MAX),
        mutable: true,
        doc: "Clients connected at a time; further ones get an error.",
    },
    SettingSpec {
        name: "timeout",
        default: "0",
        unit: "s",
        kind: integer!(timeout_s, 0, i32::MAX),
        mutable: true,
        doc: "Disconnect a client that was idle so long. 0 is never.",
    },
    SettingSpec {
        name: "tcp-keepalive",
        default: "300",
        unit: "s",
        kind: integer!(tcp_keepalive_s, 0, i32::MAX),
        mutable: true,
        doc: "Time between TCP keepalive probes on new connections. 0 is none.",
    },
    SettingSpec {
        name: "tcp-backlog",
        default: "511",
        unit: "connections",
        kind: integer!(tcp_backlog, 1, i32::MAX),
        mutable: false,
        doc: "Connections that may wait to be accepted.",
    },
    SettingSpec {
        name: "databases",
        default: "16",
        unit: "",
        kind: integer!(databases, 1, Database::COUNT_MAX),
        mutable: false,
        doc: "Number of databases, which SELECT counts from 0. All nodes of a cluster should have the same. A start that finds \
              keys of a database beyond it is refused.",
    },
    SettingSpec {
        name: "maxmemory",
        default: "0",
        unit: "bytes",
        kind: Kind::Memory {
            min: 0,
            max: i64::MAX as u64,
            get: |settings| settings.maxmemory,
            set: |settings, value| settings.maxmemory = value,
        },
        mutable: true,
        doc: "Memory that the process may use, keys and everything else. Above it `maxmemory-policy` decides. The shards share it. 0 is no limit.",
    },
    SettingSpec {
        name: "maxmemory-policy",
        default: "noeviction",
        unit: "",
        kind: choice!(maxmemory_policy, EvictionPolicy),
        mutable: true,
        doc: "Which keys go where memory is short. `*-lru` and `*-lfu` need to know how keys are used: 3 to 4 bytes per key, also while `maxmemory` is 0.",
    },
    SettingSpec {
        name: "maxmemory-samples",
        default: "5",
        unit: "keys",
        kind: integer!(maxmemory_samples, 1, i32::MAX),
        mutable: true,
        doc: "Keys that are compared to find one that goes. More choose better and take longer; more than 64 are 64.",
    },
    SettingSpec {
        name: "maxmemory-eviction-tenacity",
        default: "10",
        unit: "",
        kind: integer!(maxmemory_eviction_tenacity, 0, 100),
        mutable: true,
        doc: "Has no effect: a command evicts 128 keys at most, and the rest follows between commands.",
    },
    SettingSpec {
        name: "lfu-log-factor",
        default: "10",
        unit: "",
        kind: integer!(lfu_log_factor, 0, i32::MAX),
        mutable: true,
        doc: "How slowly the counters of uses grow under `*-lfu`. 0 is with each use.",
    },
    SettingSpec {
        name: "lfu-decay-time",
        default: "1",
        unit: "min",
        kind: integer!(lfu_decay_time_min, 0, i32::MAX),
        mutable: true,
        doc: "Time without use after which a counter of uses shrinks by one under `*-lfu`. 0 is never.",
    },
    SettingSpec {
        name: "hash-max-listpack-entries",
        default: "512",
        unit: "fields",
        kind: packing!(Integer hash_fields, Packing::ITEMS_MAX / 2),
        mutable: true,
        doc: "Fields of a hash that is packed: smaller, and slower the longer it is. A hash that gets more becomes a table, and stays one. Also `hash-max-ziplist-entries`.",
    },
    SettingSpec {
        name: "hash-max-listpack-value",
        default: "64",
        unit: "bytes",
        kind: packing!(Memory hash_item_bytes, Packing::ITEM_BYTES_MAX),
        mutable: true,
        doc: "Longest field or value of a hash that is packed. Also `hash-max-ziplist-value`.",
    },
    SettingSpec {
        name: "list-max-listpack-size",
        default: "-2",
        unit: "",
        kind: Kind::Text {
            get: |settings| settings.list_max_listpack_size.to_string(),
            set: |settings, value| {
                let size = parse_integer(value).ok_or(NOT_AN_INTEGER)?;
                let size = i64::try_from(size).ok().filter(|size| (-5..=65_535).contains(size) && *size != 0);
                settings.list_max_listpack_size =
                    size.ok_or("argument must be between -5 and -1, or between 1 and 65535")?;
                Ok(())
            },
        },
        mutable: true,
        doc: "Largest list that is packed in one piece: -1 to -5 are 4, 8, 16, 32 and 64 KiB, a positive number is elements (of 8 KiB together at most). A longer one is a sequence of pieces of up to 8 KiB, whatever is set. Also `list-max-ziplist-size`.",
    },
    SettingSpec {
        name: "set-max-intset-entries",
        default: "512",
        unit: "members",
        kind: packing!(Integer set_integers, Packing::ITEMS_MAX),
        mutable: true,
        doc: "Members of a set of integers that is packed.",
    },
    SettingSpec {
        name: "set-max-listpack-entries",
        default: "128",
        unit: "members",
        kind: packing!(Integer set_members, Packing::ITEMS_MAX),
        mutable: true,
        doc: "Members of another set that is packed.",
    },
    SettingSpec {
        name: "set-max-listpack-value",
        default: "64",
        unit: "bytes",
        kind: packing!(Memory set_item_bytes, Packing::ITEM_BYTES_MAX),
        mutable: true,
        doc: "Longest member of a set that is packed.",
    },
    SettingSpec {
        name: "zset-max-listpack-entries",
        default: "128",
        unit: "members",
        kind: packing!(Integer sorted_set_members, Packing::ITEMS_MAX / 2),
        mutable: true,
        doc: "Members of a sorted set that is packed. Also `zset-max-ziplist-entries`.",
    },
    SettingSpec {
        name: "zset-max-listpack-value",
        default: "64",
        unit: "bytes",
        kind: packing!(Memory sorted_set_item_bytes, Packing::ITEM_BYTES_MAX),
        mutable: true,
        doc: "Longest member of a sorted set that is packed. Also `zset-max-ziplist-value`.",
    },
    SettingSpec {
        name: "loglevel",
        default: "notice",
        unit: "",
        kind: choice!(loglevel, LogLevel),
        mutable: true,
        doc: "Least level that is logged.",
    },
    SettingSpec {
        name: "logfile",
        default: "",
        unit: "",
        kind: text!(logfile, any),
        mutable: false,
        doc: "File that the log lines go to. Empty: standard output.",
    },
    SettingSpec {
        name: "handover-timeout",
        default: "250",
        unit: "ms",
        kind: integer!(handover_timeout_ms, 1, 60_000),
        mutable: true,
        doc: "How long a request for a slot that is being handed over is parked, on the old primary (then ASK or TRYAGAIN) \
              and on the new one (then TRYAGAIN).",
    },
    SettingSpec {
        name: "write-timeout",
        default: "5000",
        unit: "ms",
        kind: integer!(write_timeout_ms, 1, 600_000),
        mutable: true,
        doc: "How long a write waits for its quorum before it gets NOQUORUM: its outcome is then unknown.",
    },
    SettingSpec {
        name: "cluster-announce-ip",
        default: "",
        unit: "",
        kind: text!(cluster_announce_ip, ipv4_or_empty),
        mutable: false,
        doc: "IPv4 address that clients and other nodes are told to connect to. Empty: the \
              address that it was named by in `create` or `add-node`.",
    },
    SettingSpec {
        name: "cluster-announce-port",
        default: "0",
        unit: "",
        kind: integer!(cluster_announce_port, 0, u16::MAX),
        mutable: false,
        doc: "Client port that others are told. 0 is `port`.",
    },
    SettingSpec {
        name: "peer-port",
        default: "0",
        unit: "",
        kind: integer!(peer_port, 0, u16::MAX),
        mutable: false,
        doc: "TCP port for other nodes. 0 is `port` + 10000.",
    },
    SettingSpec {
        name: "zone",
        default: "",
        unit: "",
        kind: text!(zone, no_space),
        mutable: false,
        doc: "Failure zone, such as a rack. Copies of a slot go to distinct zones while there are enough.",
    },
    SettingSpec {
        name: "weight",
        default: "0",
        unit: "",
        kind: integer!(weight, 0, 1_000_000),
        mutable: false,
        doc: "Share of the slots that the node gets, relative to other nodes. 0 is its number of shards.",
    },
    SettingSpec {
        name: "proto-max-bulk-len",
        default: "512mb",
        unit: "bytes",
        kind: Kind::Memory {
            min: BULK_BYTES_MIN,
            max: BULK_BYTES_MAX,
            get: |settings| settings.proto_max_bulk_len,
            set: |settings, value| settings.proto_max_bulk_len = value,
        },
        mutable: true,
        doc: "Longest argument of a request, and so the longest value.",
    },
    SettingSpec {
        name: "client-query-buffer-limit",
        default: "1gb",
        unit: "bytes",
        kind: Kind::Memory {
            min: BULK_BYTES_MIN,
            max: i64::MAX as u64,
            get: |settings| settings.client_query_buffer_limit,
            set: |settings, value| settings.client_query_buffer_limit = value,
        },
        mutable: true,
        doc: "Requests of a client that are read and not executed yet; whoever sends more is disconnected.",
    },
    SettingSpec {
        name: "client-output-buffer-limit",
        default: "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        unit: "",
        kind: Kind::Composite {
            form: "class hard-bytes soft-bytes soft-seconds ...",
            get: |settings| settings.client_output_buffer_limit.to_string(),
            set: |settings, text| settings.client_output_buffer_limit.change(text),
        },
        mutable: true,
        doc: "Replies that a client of a class lets wait: one that has more than the hard limit, or more than the soft limit \
              for so many seconds, is disconnected. 0 is no limit. Only the class `normal` means something here. Whatever is set, \
              a client that does not read its replies is not read from either.",
    },
    SettingSpec {
        name: "slowlog-log-slower-than",
        default: "10000",
        unit: "µs",
        kind: Kind::Signed {
            min: -1,
            max: i64::MAX,
            get: |settings| settings.slowlog_log_slower_than,
            set: |settings, value| settings.slowlog_log_slower_than = value,
        },
        mutable: true,
        doc: "Commands that execute for at least so long are in SLOWLOG; 0 is all, -1 none. From 1000 on, the simplest commands of a \
              pipeline are timed together, and the longest request stands for all of them.",
    },
    SettingSpec {
        name: "slowlog-max-len",
        default: "128",
        unit: "entries",
        kind: integer!(slowlog_max_len, 0, i64::MAX),
        mutable: true,
        doc: "Entries that SLOWLOG keeps.",
    },
    SettingSpec {
        name: "latency-monitor-threshold",
        default: "0",
        unit: "ms",
        kind: integer!(latency_monitor_threshold_ms, 0, i64::MAX),
        mutable: true,
        doc: "What takes at least so long is shown by LATENCY; 0 is nothing.",
    },
    SettingSpec {
        name: "latency-tracking",
        default: "yes",
        unit: "",
        kind: yes_no!(latency_tracking),
        mutable: true,
        doc: "Keep for each command how its times are distributed: for INFO latencystats and LATENCY HISTOGRAM.",
    },
    SettingSpec {
        name: "latency-tracking-info-percentiles",
        default: "50 99 99.9",
        unit: "%",
        kind: Kind::Composite {
            form: "percentages",
            get: |settings| settings.latency_percentiles.to_string(),
            set: |settings, text| {
                settings.latency_percentiles = Percentiles::parse(text)?;
                Ok(())
            },
        },
        mutable: true,
        doc: "Percentiles that INFO latencystats shows.",
    },
    SettingSpec {
        name: "enable-debug-command",
        default: "no",
        unit: "",
        kind: choice!(enable_debug_command, DebugCommand),
        mutable: false,
        doc: "Who may use DEBUG: nobody, everybody, or clients on this machine.",
    },
];

/// Names that settings had in older versions of Redis, and the present ones.
pub const OLD_NAMES: &[(&str, &str)] = &[
    ("hash-max-ziplist-entries", "hash-max-listpack-entries"),
    ("hash-max-ziplist-value", "hash-max-listpack-value"),
    ("list-max-ziplist-size", "list-max-listpack-size"),
    ("zset-max-ziplist-entries", "zset-max-listpack-entries"),
    ("zset-max-ziplist-value", "zset-max-listpack-value"),
];

/// The pairs of seconds and changes that `save` names, or `None` where it names none.
pub(super) fn save_points(words: &[String]) -> Option<Vec<(u64, u64)>> {
    let numbers: Vec<u64> = words.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    let are_right = rest.is_empty() && pairs.iter().all(|[seconds, _]| *seconds > 0);
    are_right.then(|| pairs.iter().map(|[seconds, changes]| (*seconds, *changes)).collect())
}

/// The row of that name, or of that old name, in any case.
pub fn find(name: &str) -> Option<&'static SettingSpec> {
    let is_old = |(old, _): &&(&str, &str)| old.eq_ignore_ascii_case(name);
    let name = OLD_NAMES.iter().find(is_old).map_or(name, |(_, present)| present);
    TABLE.iter().find(|spec| spec.name.eq_ignore_ascii_case(name))
}

impl SettingSpec {
    /// The value in force, as `CONFIG GET` shows it.
    pub fn get(&self, settings: &Settings) -> String {
        match &self.kind {
            Kind::Integer { get, .. } | Kind::Memory { get, .. } => get(settings).to_string(),
            Kind::Signed { get, .. } => get(settings).to_string(),
            Kind::Composite { get, .. } => get(settings),
            Kind::YesNo { get, .. } => if get(settings) { "yes" } else { "no" }.into(),
            Kind::Choice { names, get, .. } => names[get(settings)].into(),
            Kind::Text { get, .. } => get(settings),
            Kind::Words { get, .. } => get(settings).join(" "),
        }
    }

    /// Stores a value given as text; the error says what is wrong with it, in Redis' words where Redis has them.
    pub fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        match &self.kind {
            Kind::Integer { min, max, set, .. } => {
                let value = parse_integer(text).ok_or(NOT_AN_INTEGER)?;
                set(settings, within(value, *min, *max)?);
            }
            Kind::Signed { min, max, set, .. } => {
                let value = parse_integer(text).ok_or(NOT_AN_INTEGER)?;
                let bounds = i128::from(*min)..=i128::from(*max);
                if !bounds.contains(&value) {
                    return Err(format!("argument must be between {min} and {max} inclusive"));
                }
                set(settings, value as i64);
            }
            Kind::Composite { set, .. } => set(settings, text)?,
            Kind::Memory { min, max, set, .. } => {
                let value = parse_memory(text).ok_or(NOT_MEMORY)?;
                set(settings, within(i128::from(value), *min, *max)?);
            }
            Kind::YesNo { set, .. } => match () {
                () if text.eq_ignore_ascii_case("yes") => set(settings, true),
                () if text.eq_ignore_ascii_case("no") => set(settings, false),
                () => return Err("argument must be 'yes' or 'no'".into()),
            },
            Kind::Choice { names, set, .. } => {
                let index =
                    names.iter().position(|name| name.eq_ignore_ascii_case(text)).ok_or_else(|| {
                        format!("argument(s) must be one of the following: {}", names.join(", "))
                    })?;
                set(settings, index);
            }
            Kind::Text { set, .. } => set(settings, text)?,
            Kind::Words { set, .. } => {
                set(settings, text.split_ascii_whitespace().map(String::from).collect())?
            }
        }
        Ok(())
    }

    /// The values it takes, in words.
    pub fn values(&self) -> String {
        match &self.kind {
            Kind::Integer { min, max, .. } if min == max => min.to_string(),
            Kind::Integer { min, max, .. } if *max >= i64::MAX as u64 => format!("{min} or more"),
            Kind::Signed { min, max: i64::MAX, .. } => format!("{min} or more"),
            Kind::Memory { min, max, .. } if *max >= i64::MAX as u64 => format!("{} or more", memory(*min)),
            Kind::Integer { min, max, .. } => format!("{min}-{max}"),
            Kind::Signed { min, max, .. } => format!("{min} to {max}"),
            Kind::Composite { form, .. } => (*form).into(),
            Kind::Memory { min, max, .. } => format!("{}-{}", memory(*min), memory(*max)),
            Kind::YesNo { .. } => "yes, no".into(),
            Kind::Choice { names, .. } => names.join(", "),
            Kind::Text { .. } => "text".into(),
            Kind::Words { .. } => "words".into(),
        }
    }
}

/// The table as Markdown: the text of `docs/settings.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Settings\n\n\
         `carousel-server [FILE] [--setting value]...`: settings come from a file in redis.conf syntax, then from\n\
         arguments, which win. `CONFIG GET` shows them; `CONFIG SET` changes those marked *live* at run time, and\n\
         `CONFIG REWRITE` writes them back to the file. What does not parse, or is unknown, stops the start with one\n\
         line that says so. Settings of Redis that have no meaning here are accepted with one warning; those whose\n\
         silent absence would be a danger (TLS, ACL files, renamed commands, `replicaof`) are refused.\n\n\
         | setting | default | unit | values | live | meaning |\n|---|---|---|---|---|---|\n",
    );
    for spec in TABLE {
        let default = if spec.default.is_empty() { "(empty)".into() } else { format!("`{}`", spec.default) };
        let live = if spec.mutable { "yes" } else { "" };
        let row = [&format!("`{}`", spec.name), &default, spec.unit, &spec.values(), live, spec.doc];
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    out
}

fn within(value: i128, min: u64, max: u64) -> Result<u64, String> {
    u64::try_from(value)
        .ok()
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| format!("argument must be between {min} and {max} inclusive"))
}

/// A decimal number as Redis reads one: no sign but `-`, no spaces, no leading zeros; within 64 bits.
fn parse_integer(text: &str) -> Option<i128> {
    let value: i64 = text.parse().ok()?;
    (value.to_string() == text).then_some(i128::from(value))
}

/// A number of bytes with Redis' units: `k` is 1000, `kb` 1024, and so on.
pub(super) fn parse_memory(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// As [`parse_memory`] reads it, in the greatest unit that leaves no rest.
fn memory(bytes: u64) -> String {
    let units = [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    match units.iter().find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", bytes / size),
        None => bytes.to_string(),
    }
}

fn any(_: &str) -> Result<(), String> {
    Ok(())
}

fn not_empty(value: &str) -> Result<(), String> {
    if value.is_empty() { Err("argument must not be empty".into()) } else { Ok(()) }
}

fn ipv4_or_empty(value: &str) -> Result<(), String> {
    if value.is_empty() || value.parse::<std::net::Ipv4Addr>().is_ok() {
        Ok(())
    } else {
        Err(format!("'{value}' is not an IPv4 address"))
    }
}

fn no_space(value: &str) -> Result<(), String> {
    match value.chars().find(|c| c.is_whitespace() || c.is_control()) {
        Some(_) => Err("argument must not contain spaces".into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_survives_its_text() {
        let settings = Settings::default();
        for spec in TABLE {
            let mut copy = settings.clone();
            spec.set(&mut copy, &spec.get(&settings)).unwrap();
            assert_eq!(copy, settings, "{}", spec.name);
        }
    }

    #[test]
    fn every_number_holds_its_whole_range() {
        for spec in TABLE {
            let Kind::Integer { min, max, get, set } = &spec.kind else { continue };
            for bound in [*min, *max] {
                let mut settings = Settings::default();
                set(&mut settings, bound);
                assert_eq!(get(&settings), bound, "{}", spec.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_lower_case() {
        for (i, spec) in TABLE.iter().enumerate() {
            assert_eq!(spec.name, spec.name.to_ascii_lowercase());
            assert!(TABLE[..i].iter().all(|other| other.name != spec.name), "{}", spec.name);
        }
        assert!(find("PORT").is_some() && find("nonsense").is_none());
    }

    #[test]
    fn bad_values_are_refused_in_the_words_of_redis() {
        for (name, text, error) in [
            ("maxclients", "abc", "argument couldn't be parsed into an integer"),
            ("maxclients", "1.5", "argument couldn't be parsed into an integer"),
            ("maxclients", "99999999999999999999", "argument couldn't be parsed into an integer"),
            ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
            ("timeout", "-1", "argument must be between 0 and 2147483647 inclusive"),
            ("appendonly", "maybe", "argument must be 'yes' or 'no'"),
            ("appendfsync", "x", "argument(s) must be one of the following: everysec, always, no"),
            ("proto-max-bulk-len", "12zz", "argument must be a memory value"),
            ("proto-max-bulk-len", "1kb", "argument must be between 1048576 and 1073741824 inclusive"),
            ("bind", "1.2.3.4.5", "'1.2.3.4.5' is not an IP address"),
            ("bind", "", "at least one address is needed"),
            ("zone", "a b", "argument must not contain spaces"),
            ("dir", "", "argument must not be empty"),
            ("cluster-announce-ip", "kv.example", "'kv.example' is not an IPv4 address"),
            ("cluster-announce-ip", "::1", "'::1' is not an IPv4 address"),
        ] {
            let mut settings = Settings::default();
            assert_eq!(find(name).unwrap().set(&mut settings, text), Err(error.into()), "{name} {text}");
            assert_eq!(settings, Settings::default(), "a refused value changes nothing");
        }
    }

    #[test]
    fn memory_values_take_units() {
        for (text, value) in
            [("7", Some(7)), ("1k", Some(1000)), ("2KB", Some(2048)), ("3m", Some(3_000_000))]
        {
            assert_eq!(parse_memory(text), value, "{text}");
        }
        for bytes in [0, 1023, 1 << 10, (1 << 20) + 1, 3 << 20, 1 << 30] {
            assert_eq!(parse_memory(&memory(bytes)), Some(bytes));
        }
        assert_eq!(memory(64 << 20), "64mb");
        assert_eq!(parse_memory("1gb"), Some(1 << 30));
        assert_eq!(parse_memory("99999999999gb"), None);
        assert_eq!(parse_memory("-1"), None);
        assert_eq!(parse_memory("mb"), None);
    }

    #[test]
    fn the_page_of_settings_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), markdown(), "run the test with UPDATE_DOCS=1 set");
    }
}
