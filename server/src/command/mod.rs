//! The commands: each a function from tables and arguments to a reply and effects.
//!
//! A handler never sees a connection, a clock or the log. [`execute`] runs the commands whose place is a shard;
//! facts about a command (arity, keys, flags, place) are rows of `carousel_protocol::command_table`.

mod access;
mod alone;
mod bitfield;
mod bitmap;
mod blocking;
mod client;
mod cluster;
mod connection;
mod databases;
mod debug;
mod double;
mod dump;
mod effect;
mod effects_of;
mod error;
mod evict;
mod exec;
mod expire;
mod expiry;
mod glob;
mod hash;
mod info;
mod info_commands;
mod introspect;
mod key;
mod keyspace;
mod latency;
mod lcs;
mod list;
mod long_double;
mod memory;
mod monitor;
mod pick;
mod scan;
mod server;
pub mod session;
mod set;
mod slowlog;
mod sort;
mod sorted_set;
mod string;
mod tables;

pub use access::Tracking;
pub use alone::{WaitAof, wait_aof_reply};
pub use blocking::{awaited_keys, block_timeout_ms, has_awaited, reply_nothing};
pub use databases::{DatabaseKeys, SlotKeys, WalkPosition};
pub use debug::debug_refusal;
pub use effect::{
    Effect, EffectError, EffectIter, EffectSink, EffectsBuf, Interest, Items, ItemsBuf, ItemsIter, KeyPlace,
    Trip, join_payloads,
};
pub use effects_of::{
    ITEM_COST, ItemPosition, ItemsGiven, effects_as, expiry_effect, next_items, whole_effect,
};
pub use error::CommandError;
pub use evict::{Evicted, EvictionRules, Evictor, Order, Scope, StepBounds};
pub use exec::{Exec, LogRoom, execute};
pub use expire::ExpireCycle;
pub use glob::{Case, glob_match};
pub use monitor::monitor_line;
pub use scan::{parse_scan_cursor, scan_cursor_shard};
pub use sort::{looked_up_keys, looks_up_keys};
pub use tables::{KeyAt, KeyCounters, LocalSlots, Tables};

#[cfg(test)]
mod tests;
