//! What a shard does from time to time: expiry, deadlines, and publishing what it counts.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::ShardHandle;
use crate::command::{Evicted, EvictionRules};
use crate::runtime::{Runtime, turns};
use crate::shard::memory::{MemoryRules, limit_of_shard};
use crate::{limits, store};

impl ShardHandle {
    /// Publishes what is counted by the state machine.
    pub(super) fn publish_metrics(&self) {
        let core = self.core.borrow();
        let keys = core.key_counts();
        let counted = core.tables.counters();
        self.metrics.ticks.add(1);
        self.metrics.keys.set(keys.held);
        self.metrics.keys_led.set(keys.led);
        self.metrics.set_databases(core.keys_by_database());
        self.metrics.keyspace_hits.set(counted.hits);
        self.metrics.keyspace_misses.set(counted.misses);
        self.metrics.copies_not_whole.set(core.copies_not_whole() as u64);
        self.metrics.plan_keys.set(core.counters.plan_keys_sent);
        self.metrics.plan_bytes.set(core.counters.plan_bytes_sent);
        self.metrics.used_bytes.set(core.tables.used_bytes() as u64);
        self.metrics.expired_keys.set(counted.expired);
        self.metrics.evicted_keys.set(counted.evicted);
        self.metrics.transfer_keys.set(core.counters.keys_sent);
        self.metrics.transfer_bytes.set(core.counters.bytes_sent);
        self.metrics.freeing.set(store::waiting() as u64);
        self.metrics.longest_turn.note(turns::take_longest().as_nanos() as u64);
        self.metrics.changes.set(core.changes());
        if let Some(log) = self.log.borrow().as_ref() {
            self.metrics.log_bytes.set(log.bytes_to_replay());
            self.metrics.log_kept_bytes.set(log.kept_bytes());
            self.metrics.checkpoint_bytes.set(log.checkpoint_bytes());
        }
    }
}

impl ShardHandle {
    /// Tells the shard how much memory it may use now, which depends on the other shards, and how it makes room.
    pub(super) fn refresh_memory_rules(&self) {
        let settings = self.node.settings();
        let (scope, order) = settings.maxmemory_policy.scope_and_order();
        let samples = (settings.maxmemory_samples as usize).min(limits::EVICT_SAMPLES_MAX);
        let limit_bytes = (settings.maxmemory > 0).then(|| {
            let limit = settings.maxmemory.saturating_sub(self.node.memory_beside_keys()) as usize;
            let others = self.node.shards.iter().enumerate().filter(|(shard, _)| *shard != self.id.index());
            let used: Vec<_> = others.map(|(_, metrics)| metrics.used_bytes.get() as usize).collect();
            limit_of_shard(limit, &used)
        });
        let eviction = EvictionRules { scope, order, samples };
        let rules =
            MemoryRules { limit_bytes, eviction, tracking: settings.tracking(), packing: settings.packing() };
        self.core.borrow_mut().set_memory(self.now(), rules);
    }
}

/// Ticks until the shard stops.
pub(super) async fn tick_loop<R: Runtime>(handle: Rc<ShardHandle>) {
    while handle.ticks_open.get() {
        R::sleep(limits::TICK).await;
        handle.set_wall_clock();
        let now = handle.now();
        let log_bytes = handle.core.borrow().turn_log_bytes() + limits::EXPIRE_LOG_BYTES;
        // While writes are paused, nothing changes by itself either.
        let full = handle.log_room(log_bytes).is_err() || handle.node.pause.kind(now.unix_ms).is_some();
        handle.core.borrow_mut().set_log_full(full);
        let mut more = !full && handle.node.expires_actively.load(Ordering::Relaxed);
        while more {
            more = handle.core.borrow_mut().expire(now, limits::EXPIRE_KEYS_PER_STEP);
            handle.end_batch();
            R::yield_now().await;
        }
        handle.refresh_settings();
        handle.refresh_memory_rules();
        let mut more = !full;
        while more {
            more = handle.core.borrow_mut().evict(now) == Evicted::Some;
            handle.end_batch();
            R::yield_now().await;
        }
        handle.close_idle_clients(now);
        handle.close_slow_readers(now);
        handle.retry_log();
        handle.complete_doubtful();
        handle.publish_metrics();
        if handle.core.borrow().is_reserved() {
            // A turn ends a reservation whose time has passed, and no client makes one here until then.
            handle.touch();
        }
        handle.wake_waiting();
        handle.end_batch();
    }
}

/// Frees what the shard has dropped, until it stops. Apart from the ticks, which must go on however much is dropped.
pub(super) async fn free_loop<R: Runtime>(handle: Rc<ShardHandle>) {
    while handle.ticks_open.get() {
        R::sleep(limits::TICK).await;
        handle.now();
        while handle.ticks_open.get() && store::sweep(limits::FREED_PIECES_PER_STEP) {
            R::yield_now().await;
            handle.now();
        }
    }
}
