//! What each shard counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use carousel_protocol::command_table::{COMMAND_COUNT, CommandId};

use super::histogram::{Histogram, Times};
use crate::command::DatabaseKeys;

/// Words that errors begin with, of which each shard tells at most so many apart; as in Redis.
const ERROR_PREFIXES_MAX: usize = 128;

/// A number that one thread writes and any thread reads. Writing costs a load and a store, no locked instruction.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only its one writer may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Takes `n` away. Only its one writer may call it.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(n), Ordering::Relaxed);
    }

    /// Stores `n`. Only its one writer may call it.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number, perhaps a moment old.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The greatest of what its one writer notes; any thread may read it and start it over.
#[derive(Default)]
pub struct Greatest(AtomicU64);

impl Greatest {
    /// Notes a number.
    pub fn note(&self, n: u64) {
        self.0.fetch_max(n, Ordering::Relaxed);
    }

    /// The greatest so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Starts over.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

macro_rules! metrics {
    (gauges { $($(#[$gauge_doc:meta])* $gauge:ident),* $(,)? } totals { $($(#[$total_doc:meta])* $total:ident),* $(,)? }) => {
        /// What one shard counts; written by its thread alone, on cache lines of its own.
        #[derive(Default)]
        #[repr(align(128))]
        pub struct ShardMetrics {
            $($(#[$gauge_doc])* pub $gauge: Counter,)*
            $($(#[$total_doc])* pub $total: Counter,)*
            /// Nanoseconds of the longest turn of its event loop.
            pub longest_turn: Greatest,
            commands_by_id: ByCommand,
            databases: Mutex<Vec<DatabaseKeys>>,
            error_prefixes: Mutex<BTreeMap<String, u64>>,
        }

        /// Sums of the shards' metrics, perhaps a moment old.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub struct Totals {
            $($(#[$gauge_doc])* pub $gauge: u64,)*
            $($(#[$total_doc])* pub $total: u64,)*
            /// Per command, in the order of [`CommandId`].
            pub by_command: Vec<CommandTotals>,
            /// The keys that clients see, by database; without those that have none.
            pub databases: Vec<DatabaseKeys>,
            /// Error replies by their first word.
            pub error_prefixes: BTreeMap<String, u64>,
        }

        impl Totals {
            /// Sums over `shards`.
            pub fn of(shards: &[Arc<ShardMetrics>]) -> Self {
                Self {
                    $($gauge: shards.iter().map(|shard| shard.$gauge.get()).sum(),)*
                    $($total: shards.iter().map(|shard| shard.$total.get()).sum(),)*
                    by_command: (0..COMMAND_COUNT).map(|i| CommandTotals::of(shards, i)).collect(),
                    databases: databases_of(shards),
                    error_prefixes: error_prefixes(shards),
                }
            }

            /// What was added to the totals since `earlier`; gauges are as they are.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                let before = |i: usize| earlier.by_command.get(i).copied().unwrap_or_default();
                Self {
                    $($gauge: self.$gauge,)*
                    $($total: self.$total.wrapping_sub(earlier.$total),)*
                    by_command: self.by_command.iter().enumerate().map(|(i, now)| now.since(before(i))).collect(),
                    databases: self.databases.clone(),
                    error_prefixes: self
                        .error_prefixes
                        .iter()
                        .map(|(word, now)| (word.clone(), now - earlier.error_prefixes.get(word).unwrap_or(&0)))
                        .filter(|(_, count)| *count > 0)
                        .collect(),
                }
            }
        }
    };
}

metrics! {
    gauges {
        /// Keys of all copies that it holds.
        keys,
        /// Copies that lack something which the node has acknowledged, as far as known.
        copies_not_whole,
        /// Keys in the slots that it leads: what clients see.
        keys_led,
        /// Bytes of memory of all copies that it holds.
        used_bytes,
        /// Pieces of memory that were dropped and wait to be freed.
        freeing,
        /// Bytes of the log that the last checkpoint does not stand for.
        log_bytes,
        /// Bytes of the last checkpoint.
        checkpoint_bytes,
        /// Bytes of the log's files that hold records.
        log_kept_bytes,
        /// Changes to keys since the start.
        changes,
        /// Clients connected.
        connections,
        /// Clients whose request waits for something.
        blocked_clients,
        /// Keys sent in transfers since the rebalance in progress began.
        plan_keys,
        /// Bytes sent in transfers since the rebalance in progress began.
        plan_bytes,
    }
    totals {
        /// Clients accepted.
        connections_accepted,
        /// Requests executed.
        commands,
        /// Error replies.
        errors,
        /// Keys that were removed because their time had come.
        expired_keys,
        /// Keys that were removed because memory was short.
        evicted_keys,
        /// Reads that found their key.
        keyspace_hits,
        /// Reads that did not.
        keyspace_misses,
        /// Bytes read from clients.
        net_in_bytes,
        /// Bytes written to clients.
        net_out_bytes,
        /// Bytes read from other nodes.
        peer_in_bytes,
        /// Bytes written to other nodes.
        peer_out_bytes,
        /// Reads of clients' sockets.
        reads,
        /// Writes to clients' sockets.
        writes,
        /// Clients that were cut off for replies that they did not read.
        clients_cut_for_output,
        /// Clients that were cut off for a request that was too long.
        clients_cut_for_input,
        /// Rounds of the work that is done from time to time: a shard that stands still makes none.
        ticks,
        /// Keys sent in transfers of slots.
        transfer_keys,
        /// Bytes sent in transfers of slots.
        transfer_bytes,
    }
}

struct ByCommand {
    calls: [Counter; COMMAND_COUNT],
    failed: [Counter; COMMAND_COUNT],
    rejected: [Counter; COMMAND_COUNT],
    nanos: [Counter; COMMAND_COUNT],
    /// Made when the command is first timed.
    times: [OnceLock<Box<Histogram>>; COMMAND_COUNT],
}

impl Default for ByCommand {
    fn default() -> Self {
        let counters = || std::array::from_fn(|_| Counter::default());
        Self {
            calls: counters(),
            failed: counters(),
            rejected: counters(),
            nanos: counters(),
            times: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

fn error_prefixes(shards: &[Arc<ShardMetrics>]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for shard in shards {
        for (word, count) in shard.error_prefixes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *sums.entry(word.clone()).or_default() += count;
        }
    }
    sums
}

impl ShardMetrics {
    /// Counts one executed request, in the total and for its command.
    #[inline]
    pub fn command(&self, id: CommandId) {
        self.commands.add(1);
        self.commands_by_id.calls[id.index()].add(1);
    }

    /// Takes back [`Self::command`]: the request has to wait, and is counted when it is executed.
    pub fn command_parked(&self, id: CommandId) {
        self.commands.sub(1);
        self.commands_by_id.calls[id.index()].sub(1);
    }

    /// Stores the numbers of keys that clients see, by database.
    pub fn set_databases(&self, databases: Vec<DatabaseKeys>) {
        *self.databases.lock().unwrap_or_else(PoisonError::into_inner) = databases;
    }

    /// Counts a failure where what an executed request has answered is an error.
    #[inline]
    pub fn command_answered(&self, id: CommandId, reply: &[u8]) {
        if reply.first() == Some(&b'-') {
            self.command_failed(id, reply);
        }
    }

    /// Counts a request that executed and answered with this error.
    #[cold]
    pub fn command_failed(&self, id: CommandId, error: &[u8]) {
        self.error(error);
        self.commands_by_id.failed[id.index()].add(1);
    }

    /// Counts a request that was refused with this error before it executed.
    #[cold]
    pub fn command_rejected(&self, id: CommandId, error: &[u8]) {
        self.error(error);
        self.commands_by_id.rejected[id.index()].add(1);
    }

    /// Counts an error reply, given with or without the `-` of the protocol.
    #[cold]
    pub fn error(&self, error: &[u8]) {
        self.errors.add(1);
        let text = error.strip_prefix(b"-").unwrap_or(error);
        let word = text.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        let word = String::from_utf8_lossy(&word[..word.len().min(32)]);
        let mut prefixes = self.error_prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = prefixes.get_mut(&*word) {
            *count += 1;
        } else if prefixes.len() < ERROR_PREFIXES_MAX {
            prefixes.insert(word.into_owned(), 1);
        }
    }

    /// Notes how long each of so many requests of a command took, in all and, where that is wanted, for its distribution.
    #[inline]
    pub fn took(&self, id: CommandId, ns: u64, count: u64, distribution: bool) {
        self.commands_by_id.nanos[id.index()].add(ns * count);
        if distribution {
            self.commands_by_id.times[id.index()].get_or_init(Box::default).record(ns, count);
        }
    }

    /// Time in all that a command's calls took, in ns.
    pub fn nanos(&self, id: CommandId) -> u64 {
        self.commands_by_id.nanos[id.index()].get()
    }

    /// How long a command's calls took.
    pub fn times(&self, id: CommandId) -> Times {
        self.commands_by_id.times[id.index()].get().map_or_else(Times::default, |times| times.counts())
    }
}

/// Sums over shards, by database.
fn databases_of(shards: &[Arc<ShardMetrics>]) -> Vec<DatabaseKeys> {
    let mut sums = BTreeMap::new();
    for shard in shards {
        for one in shard.databases.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let sum = sums.entry(one.database).or_insert(DatabaseKeys { keys: 0, volatile: 0, ..*one });
            (sum.keys, sum.volatile) = (sum.keys + one.keys, sum.volatile + one.volatile);
        }
    }
    sums.into_values().collect()
}

/// What is counted per command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CommandTotals {
    /// Requests executed.
    pub calls: u64,
    /// Those that answered with an error.
    pub failed: u64,
    /// Requests refused before they executed.
    pub rejected: u64,
    /// Time that their execution took, in ns.
    pub nanos: u64,
}

impl CommandTotals {
    fn of(shards: &[Arc<ShardMetrics>], i: usize) -> Self {
        let sum = |of: fn(&ByCommand) -> &[Counter; COMMAND_COUNT]| {
            shards.iter().map(|shard| of(&shard.commands_by_id)[i].get()).sum()
        };
        Self {
            calls: sum(|c| &c.calls),
            failed: sum(|c| &c.failed),
            rejected: sum(|c| &c.rejected),
            nanos: sum(|c| &c.nanos),
        }
    }

    fn since(&self, earlier: Self) -> Self {
        Self {
            calls: self.calls.wrapping_sub(earlier.calls),
            failed: self.failed.wrapping_sub(earlier.failed),
            rejected: self.rejected.wrapping_sub(earlier.rejected),
            nanos: self.nanos.wrapping_sub(earlier.nanos),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_over_shards_and_start_over_at_a_reset() {
        let shards: [Arc<ShardMetrics>; 2] = Default::default();
        shards[0].command(CommandId::Get);
        shards[1].command(CommandId::Get);
        shards[1].command_failed(CommandId::Set, b"-WRONGTYPE Operation\r\n");
        shards[0].command_rejected(CommandId::Set, b"ERR wrong number of arguments");
        shards[0].error(b"-ERR unknown command\r\n");
        shards[0].took(CommandId::Get, 1500, 1, true);
        shards[1].took(CommandId::Get, 500, 1, false);
        shards[0].keys.set(3);
        let before = Totals::of(&shards);
        assert_eq!((before.commands, before.errors, before.keys), (2, 3, 3));
        let get = before.by_command[CommandId::Get.index()];
        assert_eq!((get.calls, get.nanos, shards[0].times(CommandId::Get).total()), (2, 2000, 1));
        let prefixes: Vec<_> =
            before.error_prefixes.iter().map(|(word, count)| (word.as_str(), *count)).collect();
        assert_eq!(prefixes, [("ERR", 2), ("WRONGTYPE", 1)]);
        shards[0].command(CommandId::Get);
        shards[0].error(b"OOM command not allowed");
        shards[0].keys.sub(1);
        let since = Totals::of(&shards).since(&before);
        assert_eq!((since.commands, since.errors, since.keys), (1, 1, 2));
        assert_eq!(since.error_prefixes.into_iter().collect::<Vec<_>>(), [("OOM".to_string(), 1)]);
        assert_eq!(since.by_command[CommandId::Get.index()].calls, 1);
        assert_eq!(Totals::of(&shards).since(&Totals::default()), Totals::of(&shards));
    }

    #[test]
    fn made_up_errors_do_not_fill_the_memory() {
        let shard = ShardMetrics::default();
        (0..1000).for_each(|i| shard.error(format!("-{i:0>1000}").as_bytes()));
        let totals = Totals::of(&[Arc::new(shard)]);
        assert_eq!(totals.errors, 1000);
        assert!(totals.error_prefixes.len() <= ERROR_PREFIXES_MAX);
        assert!(totals.error_prefixes.keys().all(|word| word.len() <= 32));
    }

    #[test]
    fn shards_do_not_share_cache_lines() {
        assert_eq!(align_of::<ShardMetrics>() % 128, 0);
        assert_eq!(size_of::<ShardMetrics>() % 128, 0);
    }
}
