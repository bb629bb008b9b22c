//! The config group's log and vote, as the Raft library wants them.
//!
//! All entries that are not purged yet stay in memory: they are few, since a snapshot follows every
//! `snapshot_every` of them, and replication then never reads the disk.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, RaftLogId, RaftLogReader, StorageIOError};

use super::disk::{Disk, Loaded, Op};
use super::message::encode;
use super::types::{Entry, LogId, StorageError, TypeConfig, Vote};

/// Bytes of entries that one append may carry, at least one entry always.
const APPEND_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The log. Clones are handles on the same one.
#[derive(Clone)]
pub(super) struct LogStore {
    disk: Disk,
    log: Arc<Mutex<Log>>,
}

struct Log {
    /// Entries by index, with their encoded length.
    entries: BTreeMap<u64, (Entry, usize)>,
    purged: Option<LogId>,
    committed: Option<LogId>,
    vote: Option<Vote>,
}

impl LogStore {
    /// The log that was read from `disk`.
    pub(super) fn new(disk: Disk, loaded: &mut Loaded) -> Self {
        let entries = std::mem::take(&mut loaded.entries);
        let log = Log {
            entries: entries.into_iter().map(|(entry, bytes)| (entry.log_id.index, (entry, bytes))).collect(),
            purged: loaded.purged,
            committed: loaded.committed,
            vote: loaded.vote,
        };
        Self { disk, log: Arc::new(Mutex::new(log)) }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.log().entries.range(range).map(|(_, (entry, _))| entry.clone()).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        let mut bytes_total = 0;
        let log = self.log();
        let fitting = log.entries.range(start..end).take_while(|(_, (_, bytes))| {
            let fits = bytes_total == 0 || bytes_total + bytes <= APPEND_BYTES_MAX;
            bytes_total += bytes;
            fits
        });
        Ok(fitting.map(|(_, (entry, _))| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let log = self.log();
        let last = log.entries.last_key_value().map(|(_, (entry, _))| *entry.get_log_id());
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last.or(log.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.disk.write(|done| Op::Vote(vote, done)).await.map_err(|e| StorageIOError::write_vote(&e))?;
        self.log().vote = Some(vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.log().vote)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.log().committed = committed;
        self.disk.send(Op::Committed(committed));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        // After a crash this may be older than what was known, and never beyond the log: the lazy write is queued
        // behind the entries that it names.
        Ok(self.log().committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut encoded = Vec::new();
        {
            let mut log = self.log();
            for entry in entries {
                let bytes = encode(&entry);
                let index = entry.log_id.index;
                log.entries.insert(index, (entry, bytes.len()));
                encoded.push((index, bytes));
            }
        }
        self.disk.send(Op::Append(encoded, flushed));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        self.log().entries.split_off(&from.index);
        let written = self.disk.write(|done| Op::Truncate(from.index, done)).await;
        Ok(written.map_err(|e| StorageIOError::write_logs(&e))?)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        {
            let mut log = self.log();
            log.entries = log.entries.split_off(&(upto.index + 1));
            log.purged = Some(upto);
        }
        self.disk.send(Op::Purge(upto));
        Ok(())
    }
}
