//! A shard's log as its driver uses it: turns go in, and come out when they are durable enough.

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::Bytes;
use carousel_protocol::Incarnation;
use futures::channel::oneshot;

use super::checkpoint::CheckpointExtent;
use crate::persist::{
    AppendError, CheckpointEnd, CheckpointHeader, CloseError, Cut, DiskStorage, Log, LogPosition, LogReport,
    LogSync, SyncError, SyncPolicy, Syncer, append_clean_stop, append_start,
};
use crate::runtime::background::{self, Share};

/// Bytes that may wait for room on a full disk; above that the shard gives up its log.
const BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;

const MISCONF_FULL: &str = "MISCONF Errors writing to the log: no space left on the disk. Writes are refused until there \
                            is room again; nothing was changed.";
const MISCONF_FAILED: &str = "MISCONF The log of this shard failed, see the server's log. Writes are refused until the \
                              node is restarted; nothing was changed.";

/// See the module.
pub struct Journal {
    log: Log<DiskStorage>,
    /// Dropped before the log: it syncs the log's files.
    _syncer: Syncer,
    /// Turns that are not durable enough yet, each with the position that must be synced first.
    waiting: VecDeque<(LogPosition, u64)>,
    /// Who wants to know when a position is synced, whatever `appendfsync` says.
    askers: Vec<(LogPosition, oneshot::Sender<()>)>,
    /// What found no room, in order.
    backlog: Vec<u8>,
    /// The log's directory, once it has failed: nothing is acknowledged any more, whatever is written later.
    failed: Option<PathBuf>,
    /// Where the last checkpoint goes on, and its size.
    replay_from: LogPosition,
    checkpoint_bytes: u64,
}

impl Journal {
    /// A journal on an open log, in which `read` was found. `on_sync` is called on the sync thread whenever a position is durable, and once if
    /// syncing fails for good.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(
        log: Log<DiskStorage>,
        read: &LogReport,
        policy: SyncPolicy,
        on_sync: impl Fn(Result<LogPosition, SyncError>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let syncer = log.start_syncer(policy, on_sync)?;
        let replay_from = LogPosition(log.position().0.saturating_sub(read.log_bytes));
        Ok(Self {
            log,
            _syncer: syncer,
            waiting: VecDeque::new(),
            askers: Vec::new(),
            backlog: Vec::new(),
            failed: None,
            replay_from,
            checkpoint_bytes: read.checkpoint_bytes,
        })
    }

    /// Where in the log the next record will be, also of those that find no room just now.
    pub fn next_position(&self) -> LogPosition {
        LogPosition(self.log.position().0 + self.backlog.len() as u64)
    }

    /// Begins a checkpoint: returns its header, and what it takes to write it.
    pub fn begin_checkpoint(&mut self, started: Option<Incarnation>) -> (CheckpointHeader, PathBuf) {
        (self.log.begin_checkpoint(started), self.log.dir().to_owned())
    }

    /// To sync the log from another thread.
    pub fn log_sync(&self) -> LogSync<DiskStorage> {
        self.log.syncer()
    }

    /// Is everything up to there written? An error says why it will not be.
    pub fn has_written(&self, position: LogPosition) -> Result<bool, &'static str> {
        if self.failed.is_some() {
            return Err("the log has failed");
        }
        if !self.backlog.is_empty() {
            return Err("there is no room for the log");
        }
        Ok(self.log.position() >= position)
    }

    /// The end of a checkpoint with that extent.
    pub fn end_checkpoint(&self, extent: CheckpointExtent) -> CheckpointEnd {
        self.log.end_checkpoint(extent)
    }

    /// A checkpoint counts from now on: what of the log may be removed.
    pub fn cut(&mut self, checkpoint: CheckpointEnd, bytes: u64, retention: u64) -> Cut<DiskStorage> {
        self.replay_from = checkpoint.extent.replay_from;
        self.checkpoint_bytes = bytes;
        self.log.cut(checkpoint, retention)
    }

    /// Bytes of the log that the last checkpoint does not stand for.
    pub fn bytes_to_replay(&self) -> u64 {
        self.log.position().0 - self.replay_from.0
    }

    /// Bytes of the log that were not cut.
    pub fn kept_bytes(&self) -> u64 {
        self.log.kept_bytes()
    }

    /// Bytes of the last checkpoint.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_bytes
    }

    /// Writes a turn's records. Returns whether the turn has to wait for [`Self::synced`]; if not it is durable
    /// enough now. With `promise` it waits for fdatasync whatever `appendfsync` says.
    ///
    /// # Errors
    /// The log has failed for good, or found no room for too much: this shard must acknowledge nothing more.
    pub fn append(&mut self, records: &[Bytes], turn: u64, promise: bool) -> Result<bool, AppendError> {
        self.check()?;
        if self.backlog.is_empty() {
            match records {
                [] => {}
                [one] => self.write(one)?,
                several => self.write(&several.concat())?,
            }
        } else {
            records.iter().for_each(|record| self.backlog.extend_from_slice(record));
            self.retry()?;
        }
        let earlier = self.waiting.back().map(|waiting| waiting.0);
        let until = if !self.backlog.is_empty() {
            Some(LogPosition(u64::MAX))
        } else if self.is_to_be_synced(records, promise) {
            let end = self.log.position();
            self.log.progress().request(end);
            Some(end)
        } else {
            earlier // never before the turns before it
        };
        match until {
            Some(position) => self.waiting.push_back((position, turn)),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// (A promise may add nothing to a log that is synced to its end already, and then no sync would ever come.)
    fn is_to_be_synced(&self, records: &[Bytes], promise: bool) -> bool {
        let progress = self.log.progress();
        let wanted = promise || (progress.policy() == SyncPolicy::Always && !records.is_empty());
        wanted && self.log.position() > progress.synced()
    }

    fn write(&mut self, records: &[u8]) -> Result<(), AppendError> {
        match self.log.append(records) {
            Ok(_) => {
                self.index_segment();
                Ok(())
            }
            Err(AppendError::NoSpace { path }) => {
                if self.backlog.is_empty() {
                    tracing::error!(path = %path.display(), "no space left for the log: writes are refused until there is");
                    self.backlog.extend_from_slice(records);
                }
                if self.backlog.len() > BACKLOG_BYTES_MAX {
                    self.failed = Some(path.clone());
                    return Err(AppendError::Failed { path });
                }
                Ok(())
            }
            Err(error) => {
                let (AppendError::NoSpace { path }
                | AppendError::Write { path, .. }
                | AppendError::Failed { path }) = &error;
                self.failed = Some(path.clone());
                Err(error)
            }
        }
    }

    /// Has another thread write the index of a segment that is full. Once per segment; without one it is read instead.
    fn index_segment(&mut self) {
        let Some(job) = self.log.index_job() else { return };
        let thread = background::spawn("log-index".into(), Share::GivesWay, move || {
            if let Err(error) = job.run() {
                tracing::warn!(%error, "the index of a segment of the log cannot be written");
            }
        });
        if let Err(error) = thread {
            tracing::warn!(%error, "the index of a segment of the log cannot be written");
        }
    }

    /// Tries again to write what found no room.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn retry(&mut self) -> Result<(), AppendError> {
        self.check()?;
        if self.backlog.is_empty() {
            return Ok(());
        }
        let backlog = std::mem::take(&mut self.backlog);
        self.write(&backlog)?;
        if !self.backlog.is_empty() {
            return Ok(());
        }
        tracing::info!("there is space for the log again");
        let end = self.log.position();
        self.log.progress().request(end);
        for waiting in &mut self.waiting {
            waiting.0 = waiting.0.min(end);
        }
        Ok(())
    }

    /// The log is durable up to `position`: returns the last turn that may go, if any.
    pub fn synced(&mut self, position: LogPosition) -> Option<u64> {
        for (_, asker) in self.askers.extract_if(.., |asker| asker.0 <= position) {
            let _ = asker.send(());
        }
        let mut last = None;
        while let Some((_, turn)) = self.waiting.pop_front_if(|waiting| waiting.0 <= position) {
            last = Some(turn);
        }
        last
    }

    /// Syncs what is written, and says so when that is done. Whoever asks while the log has failed is never told.
    pub fn sync_soon(&mut self, reply: oneshot::Sender<()>) {
        let (end, progress) = (self.log.position(), self.log.progress());
        if self.failed.is_some() || !self.backlog.is_empty() {
            return;
        }
        if progress.synced() >= end {
            let _ = reply.send(());
            return;
        }
        progress.request(end);
        self.askers.push((end, reply));
    }

    /// May something be executed that writes up to `bytes` in this turn? Its room is reserved then.
    ///
    /// # Errors
    /// The text of an error reply.
    #[inline]
    pub fn admit(&mut self, bytes: usize) -> Result<(), &'static str> {
        if self.failed.is_some() {
            return Err(MISCONF_FAILED);
        }
        if !self.backlog.is_empty() {
            return Err(MISCONF_FULL);
        }
        match self.log.reserve(bytes) {
            Ok(()) => Ok(()),
            Err(AppendError::NoSpace { .. }) => Err(MISCONF_FULL),
            Err(AppendError::Write { .. } | AppendError::Failed { .. }) => Err(MISCONF_FAILED),
        }
    }

    /// Nothing more is acknowledged by this shard.
    pub fn fail(&mut self, error: &SyncError) {
        self.failed = Some(error.path.clone());
        self.askers.clear();
    }

    fn check(&self) -> Result<(), AppendError> {
        match &self.failed {
            Some(path) => Err(AppendError::Failed { path: path.clone() }),
            None => Ok(()),
        }
    }

    /// Changes when the log is synced.
    pub fn set_policy(&mut self, policy: SyncPolicy) {
        if self.log.progress().policy() != policy {
            self.log.progress().set_policy(policy);
        }
    }

    /// Notes that this process begins as `incarnation`, durably.
    ///
    /// # Errors
    /// One line for the operator.
    pub fn begin(&mut self, incarnation: Incarnation) -> Result<(), String> {
        let mut record = Vec::new();
        append_start(&mut record, incarnation);
        self.log.append(&record).map_err(|error| error.to_string())?;
        self.log.sync().map(|_| ()).map_err(|error| error.to_string())
    }

    /// Writes the last records and the mark of a clean stop, durably.
    ///
    /// # Errors
    /// The log is not clean: the next start finds a torn end. So it is, and nothing is written, where the log had failed:
    /// what it did not take is missing before what it would take now.
    pub fn close(self, records: &[Bytes], incarnation: Incarnation) -> Result<(), CloseError> {
        self.check()?;
        let Self { log, _syncer: syncer, backlog, .. } = self;
        drop(syncer);
        let mut last = backlog;
        records.iter().for_each(|record| last.extend_from_slice(record));
        append_clean_stop(&mut last, incarnation);
        log.close(&last)
    }
}
