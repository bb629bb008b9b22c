//! The commands: each a function from tables and arguments to a reply and effects.
//!
//! A handler never sees a connection, a clock or the log. [`execute`] runs the commands whose place is a shard;
//! facts about a command (arity, keys, flags, place) are rows of `carousel_protocol::command_table`.

mod bitfield;
mod bitmap;
mod client;
mod cluster;
mod connection;
mod effect;
mod error;
mod exec;
mod expire;
mod expiry;
mod glob;
mod info;
mod introspect;
mod key;
mod keyspace;
mod lcs;
mod long_double;
mod scan;
mod server;
pub mod session;
mod string;
mod tables;

pub use effect::{Effect, EffectError, EffectIter, EffectSink};
pub use error::CommandError;
pub use exec::{Exec, execute};
pub use expire::ExpireCycle;
pub use glob::{Case, glob_match};
pub use scan::{parse_scan_cursor, scan_cursor_shard};
pub use tables::{KeyAt, KeyCounters, LocalSlots, Tables};

#[cfg(test)]
mod tests;
