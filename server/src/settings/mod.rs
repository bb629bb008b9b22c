//! What an operator may set: typed values, read from arguments and files in redis.conf syntax.
//!
//! [`table::TABLE`] is the one description of every setting; parsing, `CONFIG GET`, `CONFIG SET`, `CONFIG REWRITE`,
//! `--help` and `docs/settings.md` all follow it. Settings of Redis that Carousel does not have are in
//! [`foreign`], so that a stock redis.conf starts a node.

pub mod foreign;
mod load;
mod output_limits;
mod percentiles;
mod rewrite;
pub mod table;
mod words;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use carousel_protocol::PEER_PORT_OFFSET;

use crate::command::{Order, Scope, Tracking};
use crate::store::Packing;

pub use load::{Invocation, Loaded, SettingsError, help, invoke, version};
pub use output_limits::{OutputLimit, OutputLimits};
pub use percentiles::Percentiles;
pub use rewrite::{RewriteError, rewrite_file};
pub use table::{Kind, SettingSpec, TABLE, markdown};
pub use words::{quote_word, split_words};

/// All values in force. Cheap enough to clone for each `CONFIG SET`; readers share it behind an `Arc`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Client port.
    pub port: u16,
    /// Addresses to listen on, as written; see [`Self::listen_on`].
    pub bind: Vec<String>,
    /// Refuse clients from elsewhere while no password is set and no address was chosen.
    pub protected_mode: bool,
    /// Path of a Unix socket for clients, absolute once loaded; empty for none.
    pub unixsocket: String,
    /// Its permissions; 0 for those that the process gives to new files.
    pub unixsocketperm: u32,
    /// Data directory; absolute once loaded.
    pub dir: PathBuf,
    /// Number of shards; 0 stands for one per core.
    pub shards: u16,
    /// Pin each shard's thread to a core.
    pub pin: bool,
    /// Runtime of the shards.
    pub runtime: RuntimeChoice,
    /// Keep a log on disk.
    pub appendonly: bool,
    /// When the log is synced.
    pub appendfsync: AppendFsync,
    /// What becomes of commands on keys of several slots.
    pub cross_slot: CrossSlot,
    /// When checkpoints are taken for their own sake, as written; see [`Self::save_points`].
    pub save: Vec<String>,
    /// Growth of the log, of 100 of the last checkpoint, that asks for another; 0 for never.
    pub auto_checkpoint_percentage: u32,
    /// Bytes of checkpoint and log below which none is.
    pub auto_checkpoint_min_bytes: u64,
    /// Bytes of each log that outlive a checkpoint.
    pub log_retention_bytes: u64,
    /// Password of the default user; empty for none.
    pub requirepass: String,
    /// Clients at a time.
    pub maxclients: u32,
    /// Seconds after which an idle client is disconnected; 0 for never.
    pub timeout_s: u32,
    /// Seconds between TCP keepalive probes; 0 for none.
    pub tcp_keepalive_s: u32,
    /// Backlog of the listening sockets.
    pub tcp_backlog: u32,
    /// Number of databases.
    pub databases: u16,
    /// Bytes of memory that the process may use; 0 for any.
    pub maxmemory: u64,
    /// Which keys go where memory is short.
    pub maxmemory_policy: EvictionPolicy,
    /// Keys compared to find one that goes.
    pub maxmemory_samples: u32,
    /// How hard Redis tries to evict.
    pub maxmemory_eviction_tenacity: u32,
    /// How slowly the counters of uses grow.
    pub lfu_log_factor: u32,
    /// Minutes after which the counters of uses shrink; 0 for never.
    pub lfu_decay_time_min: u32,
    /// Up to where collections but lists are packed; see [`Self::packing`].
    pub packing: Packing,
    /// Up to where lists are: so many elements or, if negative, 4 to 64 KiB.
    pub list_max_listpack_size: i64,
    /// Least level that is logged.
    pub loglevel: LogLevel,
    /// Log file; empty for standard output.
    pub logfile: String,
    /// Milliseconds that a request for a slot that is being handed over is parked, on its old and on its new primary.
    pub handover_timeout_ms: u64,
    /// Milliseconds that a write waits for its quorum.
    pub write_timeout_ms: u64,
    /// IPv4 address that the node tells others; empty to find out.
    pub cluster_announce_ip: String,
    /// Client port that the node tells others; 0 for `port`.
    pub cluster_announce_port: u16,
    /// Port for other nodes; 0 for the client port + 10000. See [`Self::peer_port`].
    pub peer_port: u16,
    /// Failure zone; empty for none.
    pub zone: String,
    /// Placement weight; 0 for the number of shards.
    pub weight: u32,
    /// Bytes of the longest argument.
    pub proto_max_bulk_len: u64,
    /// Microseconds from which on a command is in the slow log; negative for never.
    pub slowlog_log_slower_than: i64,
    /// Entries of the slow log.
    pub slowlog_max_len: u64,
    /// Milliseconds from which on something is a spike of latency; 0 for never.
    pub latency_monitor_threshold_ms: u64,
    /// Keep the distribution of the times of commands.
    pub latency_tracking: bool,
    /// Percentiles that `INFO latencystats` shows.
    pub latency_percentiles: Percentiles,
    /// Bytes of a client's requests that are not executed yet.
    pub client_query_buffer_limit: u64,
    /// Bytes of replies that clients may let wait.
    pub client_output_buffer_limit: OutputLimits,
    /// Who may use `DEBUG`.
    pub enable_debug_command: DebugCommand,
    /// Redis' settings that have no effect here, where they were given: what `CONFIG GET` shows.
    pub foreign: BTreeMap<&'static str, String>,
    /// The file that was read, if any; what `CONFIG REWRITE` rewrites.
    pub config_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            port: 0,
            bind: Vec::new(),
            protected_mode: false,
            unixsocket: String::new(),
            unixsocketperm: 0,
            dir: PathBuf::new(),
            shards: 0,
            pin: false,
            runtime: RuntimeChoice::Auto,
            appendonly: false,
            appendfsync: AppendFsync::No,
            cross_slot: CrossSlot::Auto,
            save: Vec::new(),
            auto_checkpoint_percentage: 0,
            auto_checkpoint_min_bytes: 0,
            log_retention_bytes: 0,
            requirepass: String::new(),
            maxclients: 0,
            timeout_s: 0,
            tcp_keepalive_s: 0,
            tcp_backlog: 0,
            databases: 0,
            maxmemory: 0,
            maxmemory_policy: EvictionPolicy::NoEviction,
            maxmemory_samples: 0,
            maxmemory_eviction_tenacity: 0,
            lfu_log_factor: 0,
            lfu_decay_time_min: 0,
            packing: Packing::default(),
            list_max_listpack_size: 0,
            loglevel: LogLevel::Notice,
            logfile: String::new(),
            handover_timeout_ms: 0,
            write_timeout_ms: 0,
            cluster_announce_ip: String::new(),
            cluster_announce_port: 0,
            peer_port: 0,
            zone: String::new(),
            weight: 0,
            proto_max_bulk_len: 0,
            slowlog_log_slower_than: 0,
            slowlog_max_len: 0,
            latency_monitor_threshold_ms: 0,
            latency_tracking: false,
            latency_percentiles: Percentiles::default(),
            client_query_buffer_limit: 0,
            enable_debug_command: DebugCommand::No,
            client_output_buffer_limit: OutputLimits::default(),
            foreign: BTreeMap::new(),
            config_file: None,
        };
        for spec in TABLE {
            spec.set(&mut settings, spec.default).expect("every default of the table is valid");
        }
        settings
    }
}

/// An address to listen on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenAddress {
    /// The address; unspecified for all.
    pub ip: IpAddr,
    /// Written with a leading `-`: not an error where the machine does not have it.
    pub optional: bool,
}

/// What a client is told whom protected mode turns away; a whole RESP error line follows from it.
pub const DENIED: &str = "DENIED Carousel is running in protected mode: no password is set, so only connections from \
the loopback interface are accepted. To connect from other computers, set a password with the requirepass setting, or \
set protected-mode to no where the network is trusted.";

impl Settings {
    /// After so many seconds with so many changes since the last checkpoint, there is to be another.
    pub fn save_points(&self) -> Vec<(u64, u64)> {
        table::save_points(&self.save).expect("checked when it was set")
    }

    /// The addresses that `bind` names.
    pub fn listen_on(&self) -> Vec<ListenAddress> {
        self.bind.iter().map(|text| listen_address(text).expect("checked when it was set")).collect()
    }

    /// Port that other nodes connect to.
    pub fn peer_port(&self) -> u16 {
        match self.peer_port {
            0 => self.port.saturating_add(PEER_PORT_OFFSET),
            port => port,
        }
    }

    /// Client port that clients and nodes are told.
    pub fn announced_port(&self) -> u16 {
        match self.cluster_announce_port {
            0 => self.port,
            port => port,
        }
    }

    /// Host by which clients find this node: `cluster-announce-ip`, or else the first address that `bind` names besides
    /// wildcards and those that the machine may not have. `None` where only a connection can tell.
    pub fn announced_host(&self) -> Option<String> {
        if !self.cluster_announce_ip.is_empty() {
            return Some(self.cluster_announce_ip.clone());
        }
        let listen = self.listen_on();
        let certain = listen.iter().find(|address| !address.optional && !address.ip.is_unspecified());
        certain.map(|address| address.ip.to_string())
    }

    /// Must a client from `ip` be turned away with [`DENIED`]?
    pub fn denies(&self, ip: IpAddr) -> bool {
        self.protected_mode && self.requirepass.is_empty() && !ip.to_canonical().is_loopback()
    }

    /// The password that a client must give, if any.
    pub fn password(&self) -> Option<&str> {
        (!self.requirepass.is_empty()).then_some(self.requirepass.as_str())
    }

    /// Up to where collections are packed.
    pub fn packing(&self) -> Packing {
        self.packing.with_list_size(self.list_max_listpack_size)
    }

    /// What the policy needs to know of the use of keys.
    pub fn tracking(&self) -> Tracking {
        match self.maxmemory_policy {
            EvictionPolicy::AllKeysLru | EvictionPolicy::VolatileLru => Tracking::Recency,
            EvictionPolicy::AllKeysLfu | EvictionPolicy::VolatileLfu => Tracking::Frequency {
                log_factor: self.lfu_log_factor,
                decay_minutes: self.lfu_decay_time_min,
            },
            EvictionPolicy::NoEviction
            | EvictionPolicy::AllKeysRandom
            | EvictionPolicy::VolatileRandom
            | EvictionPolicy::VolatileTtl => Tracking::Off,
        }
    }

    /// Problems between settings that are each fine alone.
    fn check(&self) -> Result<(), String> {
        if self.peer_port == 0 && self.port.checked_add(PEER_PORT_OFFSET).is_none() {
            return Err(format!("port {} + {PEER_PORT_OFFSET} is no port: set peer-port", self.port));
        }
        if self.peer_port() == self.port {
            return Err(format!("peer-port {} is the client port too: choose another", self.port));
        }
        Ok(())
    }
}

/// Reads one word of `bind`: an address, `localhost`, or `*` / `::*` for all of a family; `-` before it makes it
/// optional.
fn listen_address(text: &str) -> Result<ListenAddress, String> {
    let (optional, name) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let ip = match name {
        "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => name.parse().map_err(|_| format!("'{name}' is not an IP address"))?,
    };
    Ok(ListenAddress { ip, optional })
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$item_doc])* $item),+ }

        impl $name {
            /// All values, in the order of [`Self::NAMES`].
            pub const ALL: &'static [Self] = &[$(Self::$item),+];
            /// How they are written.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// How it is written.
            pub fn name(self) -> &'static str {
                match self { $(Self::$item => $text),+ }
            }
        }
    };
}

choice! {
    /// Which runtime drives the shards.
    RuntimeChoice {
        /// io_uring where the kernel allows it, else epoll.
        Auto = "auto",
        /// io_uring; the start fails without it.
        Uring = "uring",
        /// epoll.
        Epoll = "epoll",
        /// glommio, on io_uring, in a program that was built with it.
        Glommio = "glommio",
    }
}

choice! {
    /// When the log is synced to disk.
    AppendFsync {
        /// Once a second: a power loss loses at most that.
        EverySec = "everysec",
        /// Before a write is acknowledged.
        Always = "always",
        /// When the kernel likes.
        No = "no",
    }
}

choice! {
    /// What becomes of commands and transactions on keys of several slots.
    CrossSlot {
        /// They are executed while the cluster has one node.
        Auto = "auto",
        /// They are refused.
        Strict = "strict",
    }
}

choice! {
    /// Who may use `DEBUG`.
    DebugCommand {
        /// Nobody.
        No = "no",
        /// Everybody who may do anything.
        Yes = "yes",
        /// Who is connected from this machine.
        Local = "local",
    }
}

choice! {
    /// Which keys go where memory is short.
    EvictionPolicy {
        /// Of those with an expiry, those that were not used for the longest time.
        VolatileLru = "volatile-lru",
        /// Of those with an expiry, those that are used least often.
        VolatileLfu = "volatile-lfu",
        /// Any of those with an expiry.
        VolatileRandom = "volatile-random",
        /// Those that expire first.
        VolatileTtl = "volatile-ttl",
        /// Those that were not used for the longest time.
        AllKeysLru = "allkeys-lru",
        /// Those that are used least often.
        AllKeysLfu = "allkeys-lfu",
        /// Any.
        AllKeysRandom = "allkeys-random",
        /// None: writes that need memory are refused.
        NoEviction = "noeviction",
    }
}

impl EvictionPolicy {
    /// Which keys may go, and which of them first.
    pub fn scope_and_order(self) -> (Scope, Order) {
        match self {
            Self::NoEviction => (Scope::Nothing, Order::Random),
            Self::AllKeysLru | Self::AllKeysLfu => (Scope::All, Order::Use),
            Self::AllKeysRandom => (Scope::All, Order::Random),
            Self::VolatileLru | Self::VolatileLfu => (Scope::Volatile, Order::Use),
            Self::VolatileRandom => (Scope::Volatile, Order::Random),
            Self::VolatileTtl => (Scope::Volatile, Order::Expiry),
        }
    }
}

choice! {
    /// Least level that is logged, in Redis' words.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// A lot, for development.
        Verbose = "verbose",
        /// What an operator wants to know.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
        /// Nothing.
        Nothing = "nothing",
    }
}

impl LogLevel {
    /// The same in `tracing`'s words: what its filter takes.
    pub fn tracing_filter(self) -> &'static str {
        match self {
            Self::Debug => "trace",
            Self::Verbose => "debug",
            Self::Notice => "info",
            Self::Warning => "warn",
            Self::Nothing => "off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_takes_addresses_wildcards_and_optional_ones() {
        let settings = Settings {
            bind: ["*", "-::*", "localhost", "-10.0.0.1"].map(String::from).to_vec(),
            ..Settings::default()
        };
        let listen = settings.listen_on();
        assert_eq!(listen[0], ListenAddress { ip: "0.0.0.0".parse().unwrap(), optional: false });
        assert_eq!(listen[1], ListenAddress { ip: "::".parse().unwrap(), optional: true });
        assert_eq!(listen[2], ListenAddress { ip: "127.0.0.1".parse().unwrap(), optional: false });
        assert_eq!(listen[3], ListenAddress { ip: "10.0.0.1".parse().unwrap(), optional: true });
        assert_eq!(settings.announced_host().as_deref(), Some("127.0.0.1"));
        assert!(listen_address("nowhere.example").is_err());
    }

    #[test]
    fn announced_host_prefers_what_was_set() {
        let mut settings = Settings::default();
        assert_eq!(settings.announced_host().as_deref(), Some("127.0.0.1"));
        settings.bind = ["*", "-10.0.0.1"].map(String::from).to_vec();
        assert_eq!(settings.announced_host(), None);
        settings.cluster_announce_ip = "10.1.2.3".into();
        assert_eq!(settings.announced_host().as_deref(), Some("10.1.2.3"));
    }

    #[test]
    fn protected_mode_denies_strangers_until_there_is_a_password() {
        let mut settings = Settings::default();
        let (near, far) = ("::ffff:127.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap());
        assert!(settings.denies(far) && !settings.denies(near));
        settings.requirepass = "secret".into();
        assert!(!settings.denies(far));
        settings.requirepass.clear();
        settings.protected_mode = false;
        assert!(!settings.denies(far));
    }

    #[test]
    fn peer_port_follows_the_port_and_must_differ() {
        let mut settings = Settings { port: 7000, ..Settings::default() };
        assert_eq!((settings.peer_port(), settings.check()), (17000, Ok(())));
        settings.port = 60_000;
        assert!(settings.check().unwrap_err().contains("set peer-port"));
        settings.peer_port = 60_000;
        assert!(settings.check().unwrap_err().contains("choose another"));
        settings.peer_port = 60_001;
        assert_eq!(settings.check(), Ok(()));
    }
}
