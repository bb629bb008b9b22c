//! Making a log durable, on a thread of its own, so that no shard ever waits for a disk.
//!
//! The shard publishes how far it has written; the thread syncs when the policy says so and tells how far that
//! reached. A failed sync is final: the kernel may have dropped what it could not write and report success the next
//! time, so the log takes nothing more and nothing further is ever reported as synced.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::segment::LogPosition;
use super::storage::{Storage, StorageFile};
use crate::runtime::background::{self, Share};

/// When a log is synced, as in the `appendfsync` setting. Whatever the policy, a position that was
/// [requested](Progress::request) is synced at once, and a segment is when the next one begins.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncPolicy {
    /// As soon as something was written; what is written during a sync shares the next.
    Always = 0,
    /// Once a second while something is written.
    EverySecond = 1,
    /// When the kernel sees fit.
    No = 2,
}

/// How long `everysec` lets pass between two syncs.
pub const EVERY_SECOND: Duration = Duration::from_secs(1);

/// An fdatasync failed. The log takes no more writes; what it holds beyond the last synced position may be lost.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot make {path} durable: {error}; this is final until the process is restarted")]
pub struct SyncError {
    /// The directory of the log.
    pub path: PathBuf,
    /// What the system said.
    pub error: Arc<io::Error>,
}

/// How far a log is written and synced, without its files: what the shard, the thread and others share.
#[derive(Debug)]
pub struct Progress {
    written: AtomicU64,
    synced: AtomicU64,
    requested: AtomicU64,
    failed: AtomicBool,
    policy: AtomicU8,
    stop: AtomicBool,
    /// The thread waits without a time limit and wants to hear of a write.
    idle: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Progress {
    fn new(position: LogPosition) -> Self {
        Self {
            written: AtomicU64::new(position.0),
            synced: AtomicU64::new(position.0),
            requested: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            policy: AtomicU8::new(SyncPolicy::EverySecond as u8),
            stop: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    /// The end of what was written.
    pub fn written(&self) -> LogPosition {
        LogPosition(self.written.load(Ordering::SeqCst))
    }

    /// The end of what is known to be on stable storage.
    pub fn synced(&self) -> LogPosition {
        LogPosition(self.synced.load(Ordering::SeqCst))
    }

    /// Whether a sync has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The policy in force.
    pub fn policy(&self) -> SyncPolicy {
        match self.policy.load(Ordering::SeqCst) {
            0 => SyncPolicy::Always,
            1 => SyncPolicy::EverySecond,
            _ => SyncPolicy::No,
        }
    }

    /// Changes the policy, from any thread.
    pub fn set_policy(&self, policy: SyncPolicy) {
        self.policy.store(policy as u8, Ordering::SeqCst);
        self.wake();
    }

    /// Asks for a sync up to `position` at once, whatever the policy: for what is promised durably.
    pub fn request(&self, position: LogPosition) {
        self.requested.fetch_max(position.0, Ordering::SeqCst);
        self.wake();
    }

    /// Tells how far the log is written now: one store, and a wake-up only of a thread that waits for it.
    pub(super) fn wrote(&self, end: LogPosition) {
        self.written.store(end.0, Ordering::SeqCst);
        let wake = match self.policy() {
            SyncPolicy::Always => true,
            SyncPolicy::EverySecond => self.idle.load(Ordering::SeqCst),
            SyncPolicy::No => false,
        };
        if wake {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// The files of a log that a sync has to cover.
#[derive(Debug)]
pub(super) struct Unsynced<S: Storage> {
    storage: S,
    dir: PathBuf,
    /// In the order of the log; the last is being written.
    files: Mutex<Vec<Dirty<S::File>>>,
    /// Held during a sync. The system tells of a failure once: of two syncs at a time, of what the same write left, one
    /// would succeed.
    syncing: Mutex<()>,
    pub(super) progress: Arc<Progress>,
}

#[derive(Debug)]
struct Dirty<F> {
    file: Arc<F>,
    number: u64,
    /// Its name in the directory was not synced yet.
    is_new: bool,
}

impl<S: Storage> Unsynced<S> {
    /// For a log all of which is synced up to `position`, and which goes on in `file`.
    pub(super) fn new(
        storage: S,
        dir: PathBuf,
        number: u64,
        file: Arc<S::File>,
        position: LogPosition,
    ) -> Self {
        let files = Mutex::new(vec![Dirty { file, number, is_new: false }]);
        Self { storage, dir, files, syncing: Mutex::default(), progress: Arc::new(Progress::new(position)) }
    }

    /// The log goes on in a new file, written up to `end`. Finished files are synced whatever the policy, so that
    /// the list stays short.
    pub(super) fn begin_file(&self, number: u64, file: Arc<S::File>, end: LogPosition) {
        // The list first: a sync that sees the position must see the file.
        self.files().push(Dirty { file, number, is_new: true });
        self.progress.wrote(end);
        self.progress.wake();
    }

    fn files(&self) -> MutexGuard<'_, Vec<Dirty<S::File>>> {
        self.files.lock().expect("nothing panics while it holds the list of files")
    }

    /// Syncs all that was written before the call, on any thread; returns how far that is. The [`Syncer`] tells of it as of
    /// its own.
    pub(super) fn sync(&self) -> Result<LogPosition, SyncError> {
        let synced = {
            let _syncing = self.syncing.lock().expect("nothing panics during a sync");
            self.sync_alone()
        };
        self.progress.wake();
        synced
    }

    fn sync_alone(&self) -> Result<LogPosition, SyncError> {
        let fail = |error| SyncError { path: self.dir.clone(), error: Arc::new(error) };
        if self.progress.has_failed() {
            return Err(fail(io::Error::other("an earlier sync failed")));
        }
        let target = self.progress.written();
        let covered: Vec<_> = self.files().iter().map(|d| (d.file.clone(), d.number, d.is_new)).collect();
        let synced = covered.iter().try_for_each(|(file, _, _)| file.sync_data()).and_then(|()| {
            if covered.iter().any(|(_, _, is_new)| *is_new) {
                self.storage.sync_dir(&self.dir)?;
            }
            Ok(())
        });
        if let Err(error) = synced {
            self.progress.failed.store(true, Ordering::SeqCst);
            return Err(fail(error));
        }
        let last = covered.last().expect("the file being written").1;
        let mut files = self.files();
        files.retain(|dirty| dirty.number >= last);
        files.iter_mut().filter(|dirty| dirty.number == last).for_each(|dirty| dirty.is_new = false);
        drop(files);
        self.progress.synced.fetch_max(target.0, Ordering::SeqCst);
        Ok(target)
    }

    fn has_finished_files(&self) -> bool {
        self.files().len() > 1
    }
}

/// The thread that syncs one log. Stops when dropped, without a last sync.
#[derive(Debug)]
pub struct Syncer {
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread. `on_sync` is called on it with each position reached, and once, as the last call,
    /// with an error. `interval` is what `everysec` means, [`EVERY_SECOND`] but for tests.
    pub(super) fn start<S: Storage>(
        unsynced: Arc<Unsynced<S>>,
        name: String,
        policy: SyncPolicy,
        interval: Duration,
        on_sync: impl Fn(Result<LogPosition, SyncError>) + Send + 'static,
    ) -> io::Result<Self> {
        let progress = unsynced.progress.clone();
        progress.set_policy(policy);
        let told = progress.synced();
        let thread = background::spawn(name, Share::Equal, move || run(&unsynced, interval, told, &on_sync))?;
        progress.thread.set(thread.thread().clone()).expect("one thread per log");
        progress.wake();
        Ok(Self { progress, thread: Some(thread) })
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::SeqCst);
        self.progress.wake();
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        if panicked {
            tracing::error!("the sync thread of a log panicked");
        }
    }
}

fn run<S: Storage>(
    unsynced: &Unsynced<S>,
    interval: Duration,
    mut told: LogPosition,
    on_sync: &dyn Fn(Result<LogPosition, SyncError>),
) {
    let progress = &*unsynced.progress;
    let mut last_sync: Option<Instant> = None;
    while !progress.stop.load(Ordering::SeqCst) {
        // Set before looking, so that a write either is seen below or sees it and wakes us.
        progress.idle.store(true, Ordering::SeqCst);
        let synced = progress.synced();
        if synced > told {
            // By this thread or by another.
            told = synced;
            on_sync(Ok(synced));
            continue;
        }
        let is_dirty = progress.written() > synced;
        let is_requested = progress.requested.load(Ordering::SeqCst) > synced.0;
        let wait = last_sync.map_or(Duration::ZERO, |at| interval.saturating_sub(at.elapsed()));
        let is_due = match progress.policy() {
            SyncPolicy::Always => true,
            SyncPolicy::EverySecond => wait.is_zero(),
            SyncPolicy::No => false,
        };
        let is_wanted = is_dirty && (is_due || is_requested || unsynced.has_finished_files());
        if is_wanted || progress.has_failed() {
            progress.idle.store(false, Ordering::SeqCst);
            last_sync = Some(Instant::now());
            if let Err(error) = unsynced.sync() {
                return on_sync(Err(error));
            }
        } else if is_dirty && progress.policy() == SyncPolicy::EverySecond {
            // Nothing to hear before it is due but requests, which wake anyway.
            progress.idle.store(false, Ordering::SeqCst);
            thread::park_timeout(wait);
        } else {
            thread::park();
        }
    }
}
