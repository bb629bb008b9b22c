//! A shard's log: records appended in order, in preallocated segments.
//!
//! An append is one write call and leaves the log either with all of it or as it was. Space is [reserved](Log::reserve)
//! before a command executes, so that a full disk refuses commands instead of losing what they did: segments are
//! allocated in full when they are made, and the next one is made as soon as the present one may not suffice.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::Incarnation;
use rustix::io::Errno;

use super::checkpoint::{CheckpointEnd, CheckpointHeader};
use super::index::{IndexJob, IndexNotes, TailReader, index_name};
use super::record::write_end_record;
use super::segment::{
    LogIdentity, LogPosition, SEGMENT_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, WRITE_END_BYTES,
    segment_name,
};
use super::storage::{Storage, StorageFile};
use super::sync::{EVERY_SECOND, Progress, SyncError, SyncPolicy, Syncer, Unsynced};
use crate::shard::checkpoint::CheckpointExtent;

/// How a log is laid out on disk. The default is what servers use; tests take smaller segments.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// The length of a segment.
    pub segment_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES }
    }
}

/// Why the log did not take something. In each case it holds what it held before.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// No room for another segment. Goes away when there is.
    #[error("no space left for the log in {path}: free some, or move the data directory to a larger disk")]
    NoSpace {
        /// The directory of the log.
        path: PathBuf,
    },
    /// Another failure to write or to make a segment. May go away.
    #[error("cannot write to the log in {path}: {error}")]
    Write {
        /// The directory of the log.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A sync failed, or a failed write could not be undone. Final.
    #[error(
        "the log in {path} failed and takes nothing more: see the server's log, check the disk and restart"
    )]
    Failed {
        /// The directory of the log.
        path: PathBuf,
    },
}

/// One shard's log, open for appending.
#[derive(Debug)]
pub struct Log<S: Storage> {
    storage: S,
    dir: PathBuf,
    identity: LogIdentity,
    options: LogOptions,
    salt: u64,
    current: Segment<S::File>,
    /// The next segment, allocated and empty.
    spare: Option<Segment<S::File>>,
    /// Those before the current one that were not cut, in order.
    sealed: VecDeque<SealedSegment>,
    /// Of those, the ones that have no index yet, with what is known for it.
    unindexed: Vec<(u64, Option<IndexNotes>)>,
    /// For the index of the current segment; `None` where an earlier process began it.
    notes: Option<IndexNotes>,
    /// The number of the last checkpoint that was begun.
    checkpoint: u64,
    /// Before this there are records that a start has passed over.
    tails_from: LogPosition,
    unsynced: Arc<Unsynced<S>>,
    is_broken: bool,
}

#[derive(Debug)]
pub(super) struct Segment<F> {
    pub(super) file: Arc<F>,
    pub(super) number: u64,
    pub(super) base: LogPosition,
    /// Where the next byte goes; 0 in a segment that has no header yet.
    pub(super) offset: u64,
    pub(super) capacity: u64,
}

/// A segment that is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SealedSegment {
    pub(super) number: u64,
    pub(super) base: LogPosition,
}

/// Segments that a published checkpoint, and what is kept beside it, have no use for.
#[derive(Clone, Debug)]
pub struct Cut<S: Storage> {
    storage: S,
    dir: PathBuf,
    segments: Vec<u64>,
}

impl<S: Storage> Cut<S> {
    /// Removes them, the oldest first, so that what a crash leaves has no gaps; returns how many. Blocks.
    pub fn run(self) -> io::Result<usize> {
        for number in &self.segments {
            match self.storage.remove_file(&self.dir.join(index_name(*number))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.storage.remove_file(&self.dir.join(segment_name(*number)))?;
        }
        Ok(self.segments.len())
    }
}

/// Syncs a log from another thread than the one that writes it.
#[derive(Clone, Debug)]
pub struct LogSync<S: Storage>(Arc<Unsynced<S>>);

impl<S: Storage> LogSync<S> {
    /// Syncs everything written before the call; returns how far that is. Blocks.
    pub fn sync(&self) -> Result<LogPosition, SyncError> {
        self.0.sync()
    }
}

impl<F> Segment<F> {
    fn end(&self) -> LogPosition {
        LogPosition(self.base.0 + self.offset - SEGMENT_HEADER_BYTES as u64)
    }
}

impl<S: Storage> Log<S> {
    /// Creates an empty log in `dir`, which is created too. Durable when it returns, but for the name of `dir` itself.
    pub fn create(storage: S, dir: &Path, identity: LogIdentity, options: LogOptions) -> io::Result<Self> {
        storage.create_dir(dir)?;
        let mut salt = [0; 8];
        storage.random(&mut salt)?;
        let salt = u64::from_le_bytes(salt);
        let file = storage.create_file(&dir.join(segment_name(1)))?;
        file.preallocate(options.segment_bytes)?;
        let header = SegmentHeader { identity, number: 1, base: LogPosition(0), salt };
        super::storage::write_all_at(&file, &header.encode(), 0)?;
        file.sync_data()?;
        storage.sync_dir(dir)?;
        let segment = Segment {
            file: Arc::new(file),
            number: 1,
            base: LogPosition(0),
            offset: SEGMENT_HEADER_BYTES as u64,
            capacity: options.segment_bytes,
        };
        let mut log = Self::from_parts(storage, dir, identity, options, salt, segment, VecDeque::new());
        log.notes = Some(IndexNotes::default());
        Ok(log)
    }

    /// A log that is read, repaired and synced already.
    pub(super) fn from_parts(
        storage: S,
        dir: &Path,
        identity: LogIdentity,
        options: LogOptions,
        salt: u64,
        current: Segment<S::File>,
        sealed: VecDeque<SealedSegment>,
    ) -> Self {
        let unsynced = Arc::new(Unsynced::new(
            storage.clone(),
            dir.to_owned(),
            current.number,
            current.file.clone(),
            current.end(),
        ));
        let dir = dir.to_owned();
        Self {
            storage,
            dir,
            identity,
            options,
            salt,
            current,
            spare: None,
            sealed,
            unindexed: Vec::new(),
            notes: None,
            checkpoint: 0,
            tails_from: LogPosition(0),
            unsynced,
            is_broken: false,
        }
    }

    /// Whose log it is.
    pub fn identity(&self) -> LogIdentity {
        self.identity
    }

    /// The end of what was written: also the number of bytes of records in the log.
    pub fn position(&self) -> LogPosition {
        self.current.end()
    }

    /// How far it is written and synced, to be shared with other threads.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.unsynced.progress
    }

    /// Starts the thread that syncs this log from now on: see [`Syncer`]. At most one per log.
    ///
    /// `on_sync` is called on that thread with each position reached, and once, as the last call, with an error.
    pub fn start_syncer(
        &self,
        policy: SyncPolicy,
        on_sync: impl Fn(Result<LogPosition, SyncError>) + Send + 'static,
    ) -> io::Result<Syncer> {
        self.start_syncer_every(EVERY_SECOND, policy, on_sync)
    }

    pub(super) fn start_syncer_every(
        &self,
        interval: Duration,
        policy: SyncPolicy,
        on_sync: impl Fn(Result<LogPosition, SyncError>) + Send + 'static,
    ) -> io::Result<Syncer> {
        let name = format!("sync-{}", self.identity.shard);
        Syncer::start(self.unsynced.clone(), name, policy, interval, on_sync)
    }

    /// Syncs everything written so far, on this thread. For starts and stops; a serving shard has a [`Syncer`].
    pub fn sync(&self) -> Result<LogPosition, SyncError> {
        self.unsynced.sync()
    }

    /// Makes sure that the next append finds room if it is of at most `bytes` bytes. To be called before the commands
    /// execute whose records it will hold. One comparison, but for once per segment.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), AppendError> {
        self.check()?;
        let needed = (bytes + WRITE_END_BYTES) as u64;
        if self.current.offset + needed <= self.current.capacity {
            return Ok(());
        }
        self.prepare_spare(needed)
    }

    /// Appends `records`, which must be whole records, with one write call; returns the new end of the log.
    ///
    /// After an error the log holds what it held before: nothing of `records` will be found in it.
    pub fn append(&mut self, records: &[u8]) -> Result<LogPosition, AppendError> {
        self.check()?;
        let write_end = write_end_record(self.salt, self.unsynced.progress.synced().0);
        let needed = (records.len() + write_end.len()) as u64;
        if self.current.offset + needed <= self.current.capacity {
            let (file, offset) = (self.current.file.clone(), self.current.offset);
            self.write(&file, offset, &mut [IoSlice::new(records), IoSlice::new(&write_end)])?;
            if let Some(notes) = &mut self.notes {
                notes.note_all(records, offset as usize);
            }
            self.current.offset += needed;
            self.unsynced.progress.wrote(self.current.end());
            return Ok(self.current.end());
        }
        self.prepare_spare(needed)?;
        let mut next = self.spare.take().expect("just prepared");
        let header = SegmentHeader {
            identity: self.identity,
            number: next.number,
            base: self.current.end(),
            salt: self.salt,
        };
        let header = header.encode();
        let parts = &mut [IoSlice::new(&header), IoSlice::new(records), IoSlice::new(&write_end)];
        if let Err(error) = self.write(&next.file, 0, parts) {
            self.spare = Some(next);
            return Err(error);
        }
        self.sealed.push_back(SealedSegment { number: self.current.number, base: self.current.base });
        let mut notes = IndexNotes::default();
        notes.note_all(records, SEGMENT_HEADER_BYTES);
        self.unindexed.push((self.current.number, self.notes.replace(notes)));
        next.base = self.current.end();
        next.offset = SEGMENT_HEADER_BYTES as u64 + needed;
        self.current = next;
        self.unsynced.begin_file(self.current.number, self.current.file.clone(), self.current.end());
        Ok(self.current.end())
    }

    /// The last checkpoint that there is; the next has the next number.
    pub(super) fn set_checkpoint(&mut self, number: u64) {
        self.checkpoint = number;
    }

    /// Before this there are records that do not count: no slot's tail goes back so far.
    pub(super) fn set_tails_from(&mut self, position: LogPosition) {
        self.tails_from = position;
    }

    /// The end of a checkpoint with that extent.
    pub fn end_checkpoint(&self, extent: CheckpointExtent) -> CheckpointEnd {
        CheckpointEnd { extent, segment: self.segment_of(extent.replay_from), tails_from: self.tails_from }
    }

    /// A full segment that has no index yet; to be given one on another thread.
    pub fn index_job(&mut self) -> Option<IndexJob<S>> {
        let (number, notes) = self.unindexed.pop()?;
        let (storage, dir) = (self.storage.clone(), self.dir.clone());
        Some(IndexJob { storage, dir, number, salt: self.salt, notes })
    }

    /// These full segments have no index.
    pub(super) fn set_unindexed(&mut self, numbers: Vec<u64>) {
        self.unindexed = numbers.into_iter().map(|number| (number, None)).collect();
    }

    /// To read the last records of a slot, on any thread, from the segments that are full.
    pub fn tail_reader(&self) -> TailReader<S> {
        TailReader {
            storage: self.storage.clone(),
            dir: self.dir.clone(),
            salt: self.salt,
            from: self.tails_from,
            segments: self.sealed.iter().map(|segment| segment.number).collect(),
        }
    }

    /// To sync it from another thread.
    pub fn syncer(&self) -> LogSync<S> {
        LogSync(self.unsynced.clone())
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The files that it is made of.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// The header of its next checkpoint. `started` is the incarnation of the last `Start` in the log.
    pub fn begin_checkpoint(&mut self, started: Option<Incarnation>) -> CheckpointHeader {
        self.checkpoint += 1;
        CheckpointHeader { identity: self.identity, number: self.checkpoint, salt: self.salt, started }
    }

    /// The number of the segment that has the byte at `position`, or will have it.
    fn segment_of(&self, position: LogPosition) -> u64 {
        let sealed = self.sealed.iter().rev().find(|segment| segment.base <= position);
        let is_current = position >= self.current.base;
        sealed.filter(|_| !is_current).map_or(self.current.number, |segment| segment.number)
    }

    /// Bytes of records from the oldest that was not cut on.
    pub fn kept_bytes(&self) -> u64 {
        let oldest = self.sealed.front().map_or(self.current.base, |segment| segment.base);
        self.position().0 - oldest.0
    }

    /// Gives up the segments before the one from which a published checkpoint goes on, but for the last `retention` bytes
    /// of the log. Their files are there until the cut is run.
    pub fn cut(&mut self, checkpoint: CheckpointEnd, retention: u64) -> Cut<S> {
        let keep_from = LogPosition(self.position().0.saturating_sub(retention));
        let mut files = Vec::new();
        while let Some(oldest) = self.sealed.front() {
            let end = self.sealed.get(1).map_or(self.current.base, |next| next.base);
            // (The one that is named may end exactly where the checkpoint goes on.)
            if end > keep_from || oldest.number >= checkpoint.segment {
                break;
            }
            files.push(oldest.number);
            self.sealed.pop_front();
        }
        Cut { storage: self.storage.clone(), dir: self.dir.clone(), segments: files }
    }

    /// Appends `records`, typically the mark of a clean stop, and returns once the whole log is durable and says so
    /// itself, so that the next start can tell any damage to it from a torn end.
    pub fn close(mut self, records: &[u8]) -> Result<(), CloseError> {
        self.append(records)?;
        self.sync()?;
        self.append(&[])?;
        self.sync()?;
        if let Some(spare) = self.spare.take() {
            // Worth 64 MiB to whoever looks at a stopped node's disk, but no reason to fail.
            let _ = self.storage.remove_file(&self.dir.join(segment_name(spare.number)));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), AppendError> {
        if self.is_broken || self.unsynced.progress.has_failed() {
            return Err(AppendError::Failed { path: self.dir.clone() });
        }
        Ok(())
    }

    /// Makes a next segment with room for `needed` bytes, unless there is one.
    fn prepare_spare(&mut self, needed: u64) -> Result<(), AppendError> {
        let wanted = self.options.segment_bytes.max(SEGMENT_HEADER_BYTES as u64 + needed);
        if self.spare.as_ref().is_some_and(|spare| spare.capacity >= SEGMENT_HEADER_BYTES as u64 + needed) {
            return Ok(());
        }
        if let Some(spare) = &mut self.spare {
            // In place, so that what it was reserved for has its room also if this fails.
            return match spare.file.preallocate(wanted) {
                Ok(()) => {
                    spare.capacity = wanted;
                    Ok(())
                }
                Err(error) => Err(self.explain(error)),
            };
        }
        let number = self.current.number + 1;
        let path = self.dir.join(segment_name(number));
        let made = self.storage.create_file(&path).and_then(|file| {
            file.preallocate(wanted)?;
            Ok(file)
        });
        match made {
            Ok(file) => {
                let (base, file) = (LogPosition::default(), Arc::new(file));
                self.spare = Some(Segment { file, number, base, offset: 0, capacity: wanted });
                Ok(())
            }
            Err(error) => {
                // Whatever space it took would be missed by others. An empty file is harmless if this fails too.
                let _ = self.storage.remove_file(&path);
                Err(self.explain(error))
            }
        }
    }

    /// Writes all parts at `offset`, or leaves zeros there.
    fn write(&mut self, file: &S::File, offset: u64, parts: &mut [IoSlice<'_>]) -> Result<(), AppendError> {
        let mut rest = parts;
        let mut written = 0;
        // A regular file takes all at once, but beyond 2 GiB, or where it runs full.
        while rest.iter().any(|part| !part.is_empty()) {
            let error = match file.write_at(rest, offset + written) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written += count as u64;
                    IoSlice::advance_slices(&mut rest, count);
                    continue;
                }
                Err(error) => error,
            };
            let error = self.explain(error);
            // For want of space nothing beyond `written` was written, and writing zeros there may be impossible too.
            // After another error nobody knows.
            let unknown = match &error {
                AppendError::NoSpace { .. } => 0,
                _ => rest.iter().map(|part| part.len() as u64).sum(),
            };
            if let Err(undo_error) = file.zero(offset, written + unknown) {
                tracing::error!(%error, %undo_error, "cannot undo a failed write to the log");
                self.is_broken = true;
            }
            return Err(error);
        }
        Ok(())
    }

    fn explain(&self, error: io::Error) -> AppendError {
        let path = self.dir.clone();
        if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
            // No descriptor for the next segment: nothing was written, and descriptors come back like room does.
            tracing::error!(%error, path = %path.display(), "cannot open the next segment of the log");
            return AppendError::NoSpace { path };
        }
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero => {
                AppendError::NoSpace { path }
            }
            _ => AppendError::Write { path, error },
        }
    }
}

/// Why a log could not be closed cleanly.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The last records were not taken.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Or not made durable.
    #[error(transparent)]
    Sync(#[from] SyncError),
}
