//! What every thread of a node may know of the node: settings, counters, the cluster's map and the clients.
//!
//! One [`NodeView`] is shared by all threads. Its owners publish into it; nothing on the data path waits for it.

pub mod clients;
mod histogram;
mod latency;
mod loading;
mod map_view;
mod monitors;
mod pause;
mod persistence;
pub mod process;
mod published;
mod rates;
mod shard;
mod slowlog;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use clients::{Client, ClientAddr, ClientHandle, ClientNames, ClientRegistry, Unblock};
pub use histogram::{Histogram, Times};
pub use latency::{LatencyMonitor, Series, Spike};
pub use loading::Loading;
pub use map_view::{MapView, PrimaryRange};
pub use monitors::{Feed, MonitorHandle, Monitors};
pub use pause::{Pause, PauseKind};
pub use persistence::{CheckpointKind, Persistence};
pub use published::{Cached, Published};
pub use rates::Rates;
pub use shard::{CommandTotals, Counter, Greatest, ShardMetrics, Totals};
pub use slowlog::{SlowEntry, SlowLog, revealed, shown_args};

use carousel_protocol::ShardId;
use carousel_protocol::command_table::{self, CommandId};

use crate::Now;
use crate::settings::Settings;
use rates::RateMeter;

/// The version of Redis whose behaviour clients may count on.
pub const REDIS_VERSION: &str = "7.2.4";

/// Carousel's own version.
pub const CAROUSEL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct ProcessIdentity {
    /// 40 random hex digits, new at each start.
    pub run_id: String,
    /// Process id.
    pub pid: u32,
    /// The runtime of the shards: `uring` or `epoll`.
    pub runtime: &'static str,
    /// When it started.
    pub started: Now,
    /// Path of the program; empty where unknown.
    pub executable: String,
}

/// Where `CONFIG RESETSTAT` found the counters.
#[derive(Default)]
struct Baseline {
    totals: Totals,
    /// By command.
    times: Vec<Times>,
    clients_rejected: u64,
}

/// What every thread may know of the node.
pub struct NodeView {
    /// The settings in force. `CONFIG SET` publishes here; shards keep a [`Cached`] copy.
    pub settings: Published<Settings>,
    /// The cluster. The control thread publishes here.
    pub map: Published<MapView>,
    /// One per shard, each written by its shard's thread alone.
    pub shards: Box<[Arc<ShardMetrics>]>,
    /// The connected clients.
    pub clients: Arc<ClientRegistry>,
    /// This process.
    pub process: ProcessIdentity,
    /// What `CLIENT PAUSE` holds back.
    pub pause: Pause,
    /// Who watches what is executed.
    pub monitors: Arc<Monitors>,
    /// Commands that took long.
    pub slowlog: SlowLog,
    /// Spikes of latency.
    pub latency: LatencyMonitor,
    /// Switched off by `DEBUG SET-ACTIVE-EXPIRE 0`: keys whose time has come stay until somebody asks for them.
    pub expires_actively: AtomicBool,
    /// A log could not be written or synced: writes are refused.
    pub log_failed: AtomicBool,
    /// How far the start has come.
    pub loading: Loading,
    /// What became of checkpoints.
    pub persistence: Persistence,
    /// Totals at the last `CONFIG RESETSTAT`.
    baseline: Mutex<Baseline>,
    clients_rejected: AtomicU64,
    rates: Mutex<RateMeter>,
    peak_bytes: AtomicU64,
    beside_keys: Mutex<BesideKeys>,
    beside_keys_bytes: AtomicU64,
}

/// The last samples of what the process uses beside its keys.
#[derive(Default)]
struct BesideKeys {
    samples: VecDeque<u64>,
}

impl BesideKeys {
    /// Samples that are kept.
    const SAMPLES: usize = 32;

    /// Takes a sample; returns the least of the last ones. The least, because what has been deleted and is freed bit by
    /// bit counts neither as keys nor as free: keys that are there must not make room for it.
    fn sample(&mut self, bytes: u64) -> u64 {
        if self.samples.len() == Self::SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(bytes);
        self.samples.iter().copied().min().unwrap_or(0)
    }
}

impl NodeView {
    /// The view of a node of `shard_count` shards that starts.
    pub fn new(settings: Settings, map: MapView, shard_count: u16, process: ProcessIdentity) -> Self {
        Self {
            settings: Published::new(settings),
            map: Published::new(map),
            shards: (0..shard_count).map(|_| Arc::default()).collect(),
            clients: Arc::default(),
            process,
            pause: Pause::default(),
            monitors: Arc::default(),
            slowlog: SlowLog::default(),
            latency: LatencyMonitor::default(),
            expires_actively: AtomicBool::new(true),
            log_failed: AtomicBool::new(false),
            loading: Loading::default(),
            persistence: Persistence::default(),
            baseline: Mutex::default(),
            clients_rejected: AtomicU64::new(0),
            rates: Mutex::default(),
            peak_bytes: AtomicU64::new(0),
            beside_keys: Mutex::default(),
            beside_keys_bytes: AtomicU64::new(0),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load()
    }

    /// The cluster as it is now.
    pub fn map(&self) -> Arc<MapView> {
        self.map.load()
    }

    /// The connected clients.
    pub fn clients(&self) -> &Arc<ClientRegistry> {
        &self.clients
    }

    /// What shard `id` counts. Panics where there is no such shard.
    pub fn shard_metrics(&self, id: ShardId) -> Arc<ShardMetrics> {
        self.shards[id.index()].clone()
    }

    /// Counts a client that was turned away before any shard knew it.
    pub fn reject_client(&self) {
        self.clients_rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Clients turned away since the last reset.
    pub fn clients_rejected(&self) -> u64 {
        self.clients_rejected.load(Ordering::Relaxed) - self.baseline().clients_rejected
    }

    /// Sums over the shards since the last reset.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.shards).since(&self.baseline().totals)
    }

    /// How long a command's calls took since the last reset, over all shards.
    pub fn times(&self, id: CommandId) -> Times {
        let sum = self.times_ever(id);
        self.baseline().times.get(id.index()).map_or_else(|| sum.clone(), |before| sum.since(before))
    }

    fn times_ever(&self, id: CommandId) -> Times {
        let mut sum = Times::default();
        self.shards.iter().for_each(|shard| sum.add(&shard.times(id)));
        sum
    }

    /// Sums over the shards since the start, whatever was reset.
    pub fn totals_since_start(&self) -> Totals {
        Totals::of(&self.shards)
    }

    /// Starts the totals over, as `CONFIG RESETSTAT` does. The shards' own counters go on.
    pub fn reset_totals(&self) {
        self.shards.iter().for_each(|shard| shard.longest_turn.reset());
        *self.baseline() = Baseline {
            totals: Totals::of(&self.shards),
            times: command_table::all().iter().map(|spec| self.times_ever(spec.id)).collect(),
            clients_rejected: self.clients_rejected.load(Ordering::Relaxed),
        };
    }

    fn baseline(&self) -> MutexGuard<'_, Baseline> {
        self.baseline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a sample for [`Self::rates`] and the peak of memory. Call it every 100 ms or so.
    pub fn sample(&self, now: Now) {
        let totals = Totals::of(&self.shards);
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).sample(now, &totals);
        if self.settings().maxmemory > 0 {
            let allocated = self.usage().0.allocated_bytes;
            let mut beside_keys = self.beside_keys.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = beside_keys.sample(allocated.saturating_sub(totals.used_bytes));
            self.beside_keys_bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes that the process uses beside keys and their tables, while `maxmemory` is set: the least of the last seconds.
    pub fn memory_beside_keys(&self) -> u64 {
        self.beside_keys_bytes.load(Ordering::Relaxed)
    }

    /// Requests and bytes per second over the last samples.
    pub fn rates(&self) -> Rates {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).rates()
    }

    /// Asks for the process' memory and processor time, and the most memory seen so far.
    pub fn usage(&self) -> (process::ProcessUsage, u64) {
        let usage = process::usage();
        let peak =
            self.peak_bytes.fetch_max(usage.allocated_bytes, Ordering::Relaxed).max(usage.allocated_bytes);
        (usage, peak)
    }

    /// Rewrites the configuration file with the settings in force.
    pub fn rewrite_settings(&self) -> Result<(), crate::settings::RewriteError> {
        crate::settings::rewrite_file(&self.settings.load())
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A node to try commands on.

    use super::*;

    /// A lone node that started at Unix time 1,000,000 ms.
    pub(crate) fn node() -> NodeView {
        let process = ProcessIdentity {
            run_id: "ab".repeat(20),
            pid: 42,
            runtime: "epoll",
            started: Now { mono_ns: 0, unix_ms: 1_000_000 },
            executable: "/usr/bin/carousel-server".into(),
        };
        NodeView::new(Settings::default(), MapView::lone(carousel_protocol::NodeId([7; 20])), 2, process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_protocol::command_table::CommandId;

    #[test]
    fn a_reset_starts_totals_over_and_keeps_gauges() {
        let node = testing::node();
        node.shards[1].command(CommandId::Get);
        node.shards[1].took(CommandId::Get, 10, 1, true);
        node.shards[1].keys.set(5);
        node.reject_client();
        node.reset_totals();
        node.reject_client();
        node.shards[0].command(CommandId::Get);
        node.shards[0].took(CommandId::Get, 10, 1, true);
        assert_eq!(node.times(CommandId::Get).total(), 1);
        assert_eq!((node.totals().commands, node.totals().keys, node.clients_rejected()), (1, 5, 1));
    }

    #[test]
    fn rates_follow_the_samples() {
        let node = testing::node();
        for tick in 0..=20u64 {
            node.sample(Now { mono_ns: tick * 100_000_000, unix_ms: 0 });
            node.shards[0].commands.add(10);
            node.shards[0].net_in_bytes.add(1024);
        }
        let rates = node.rates();
        assert_eq!((rates.commands, rates.net_in_bytes, rates.net_out_bytes), (100.0, 10240.0, 0.0));
    }
}
