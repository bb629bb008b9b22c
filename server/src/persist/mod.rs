//! What a node keeps on disk: records, logs, and the directory they are in.
//!
//! - [`record`]: the codec of records, also used on the links between shards (pure)
//! - [`segment`]: the layout of a log's files (pure)
//! - [`log`]: appending to a log; [`sync`]: making it durable; [`recover`]: reading it at start
//! - [`transactions`]: which transactions a restart finds complete (pure)
//! - [`checkpoint`]: the file that lets a log be cut
//! - [`index`]: where each slot's records are in a full segment
//! - [`data_dir`]: versions, lock, generations of logs; [`run`]: what a restart may claim
//! - [`storage`]: the file operations all this is made of, on disk and, for tests, in memory
//!
//! The order of a start: [`DataDir::open`]; for each log [`ShardLog::open`] or, where the number of shards changed,
//! [`ShardLog::read`] and a [`Rewrite`]; register with the config
//! group; [`wholeness`]; [`append_start`] to every log and sync; [`DataDir::begin_run`]; serve. The order of a stop: [`Log::close`] with
//! [`append_clean_stop`] for every log, then [`DataDir::end_run`].

pub mod checkpoint;
pub mod data_dir;
mod facts;
pub mod index;
pub mod log;
pub mod record;
pub mod recover;
pub mod run;
mod scan;
pub mod segment;
pub mod storage;
pub mod sync;
pub mod transactions;

#[cfg(test)]
mod tests;

pub use checkpoint::{CheckpointEnd, CheckpointHeader, CheckpointWriter};
pub use data_dir::RegistrationNote;
pub use data_dir::{DataDir, DataDirError, Layout, Rewrite, ShardLog};
pub use index::{IndexJob, SlotTail, TailReader};
pub use log::{AppendError, CloseError, Cut, Log, LogOptions, LogSync};
pub use record::{
    DecodedRecord, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, RecordError, RecordHeader, RecordKind,
    append_record, append_record_with, decode_record, record_bytes,
};
pub use recover::{
    LastEnd, LogMarks, LogReport, RecordSink, RecoverError, TornEnd, append_clean_stop, append_start,
};
pub use run::{NotWhole, RunRecord, RunState, wholeness};
pub use segment::{LogIdentity, LogPosition};
pub use storage::disk::DiskStorage;
pub use sync::{Progress, SyncError, SyncPolicy, Syncer};
