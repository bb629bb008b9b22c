//! The config group's file: log, vote and snapshot in a redb database, written by a thread of its own.
//!
//! A commit waits for the disk, so no tokio thread ever makes one. The thread takes all writes that wait, puts
//! them into one transaction in their order, commits it durably and only then answers. Reading happens once, at
//! the start; from then on [`super::log_store`] keeps what it wrote in memory.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | `u8`, [`FORMAT`] |
//! | `meta` | `vote`, `committed`, `purged` | postcard of the vote, of the log ids |
//! | `meta` | `snapshot-meta`, `snapshot` | postcard of `SnapshotMeta`; bytes of [`super::state_machine::Content`] |
//! | `log` | index | postcard of the entry |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use openraft::storage::LogFlushed;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::message::{decode, encode};
use super::state_machine::Content;
use super::types::{Entry, LogId, SnapshotMeta, TypeConfig, Vote};

/// Version of the layout above.
pub(super) const FORMAT: u8 = 1;
/// The file's name in the config directory.
pub(super) const FILE: &str = "raft.redb";
/// Writes that need not be durable wait this long for one that must be, whose commit they then share.
const LAZY_MAX: Duration = Duration::from_millis(500);

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

/// The config directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made.
    #[error("cannot use {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The database does not open or read.
    #[error("cannot open {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: Box<redb::Error>,
    },
    /// Written by another version.
    #[error("{path} has format {found}, this version reads format {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it says it has.
        found: u8,
    },
    /// A value does not decode.
    #[error("{path} is damaged: {what}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which value.
        what: String,
        /// What the decoder says.
        reason: String,
    },
    /// The Raft library refused to start on what was read.
    #[error("the config group does not start: {0}")]
    Start(String),
}

/// What the file held.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    /// Entries with the bytes that each takes.
    pub(super) entries: Vec<(Entry, usize)>,
    pub(super) snapshot: Option<(SnapshotMeta, Vec<u8>)>,
}

/// Told when a write is durable or has failed.
pub(super) type Done<T> = oneshot::Sender<io::Result<T>>;

/// A write.
pub(super) enum Op {
    /// Saves the vote.
    Vote(Vote, Done<()>),
    /// Appends encoded entries.
    Append(Vec<(u64, Vec<u8>)>, LogFlushed<TypeConfig>),
    /// Removes entries from this index on.
    Truncate(u64, Done<()>),
    /// Removes entries up to this one. Lazy: what it loses on a crash is space.
    Purge(LogId),
    /// Saves how far the log is committed. Lazy: the group tells it again.
    Committed(Option<LogId>),
    /// Replaces the snapshot; answers its bytes.
    Snapshot(SnapshotMeta, SnapshotSource, Done<Arc<Vec<u8>>>),
}

/// Where a snapshot's bytes come from.
pub(super) enum SnapshotSource {
    /// This node's state; encoded by the disk thread.
    Content(Content),
    /// A leader's bytes.
    Received(Vec<u8>),
}

impl Op {
    fn is_lazy(&self) -> bool {
        match self {
            Op::Purge(_) | Op::Committed(_) => true,
            Op::Vote(..) | Op::Append(..) | Op::Truncate(..) | Op::Snapshot(..) => false,
        }
    }
}

/// Handle on the disk thread. Its queue stays short by construction: the Raft library waits for each write but
/// the lazy ones, which come at most once per batch of entries.
#[derive(Clone)]
pub(super) struct Disk {
    ops: Sender<Op>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Disk {
    /// Opens or makes the file in `dir`, reads it, and starts its thread.
    pub(super) async fn open(dir: &Path) -> Result<(Self, Loaded), OpenError> {
        let (ops, queue) = channel();
        let (opened, result) = oneshot::channel();
        let dir = dir.to_owned();
        let thread = std::thread::Builder::new().name("config-disk".into()).spawn(move || {
            let path = dir.join(FILE);
            match open_and_load(&dir, &path) {
                Ok((database, loaded)) => {
                    let snapshot_at = loaded.snapshot.as_ref().and_then(|(meta, _)| meta.last_log_id);
                    if opened.send(Ok(loaded)).is_ok() {
                        run(&database, &path, &queue, snapshot_at);
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        });
        let thread = thread.map_err(|source| OpenError::Directory { path: PathBuf::from(FILE), source })?;
        let loaded = result.await.expect("the disk thread answers before it ends")?;
        Ok((Self { ops, thread: Arc::new(Mutex::new(Some(thread))) }, loaded))
    }

    /// Queues a write. After the thread ended, its answer never comes: the receiver sees a closed channel.
    pub(super) fn send(&self, op: Op) {
        let _ = self.ops.send(op);
    }

    /// Queues a write and waits until it is durable.
    pub(super) async fn write<T>(&self, op: impl FnOnce(Done<T>) -> Op) -> io::Result<T> {
        let (done, result) = oneshot::channel();
        self.send(op(done));
        result.await.unwrap_or_else(|_| Err(io::Error::other("the config disk thread has ended")))
    }

    /// The thread, for the one who waits for its end: it ends, with everything written, once all handles that
    /// can send to it are gone.
    pub(super) fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn open_and_load(dir: &Path, path: &Path) -> Result<(Database, Loaded), OpenError> {
    let directory = |source| OpenError::Directory { path: dir.into(), source };
    std::fs::create_dir_all(dir).map_err(directory)?;
    let database = Database::create(path).map_err(|error| database_error(path, error))?;
    // The file's name must be as durable as the first vote in it.
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(directory)?;
    let loaded = load(&database, path)?;
    Ok((database, loaded))
}

fn database_error(path: &Path, error: impl Into<redb::Error>) -> OpenError {
    OpenError::Database { path: path.into(), source: Box::new(error.into()) }
}

fn load(database: &Database, path: &Path) -> Result<Loaded, OpenError> {
    let database_error = |error: redb::Error| database_error(path, error);
    let damaged = |what: String, reason| OpenError::Damaged { path: path.into(), what, reason };
    (|| {
        let write = database.begin_write()?;
        write.open_table(LOG)?;
        let mut meta = write.open_table(META)?;
        if meta.get("format")?.is_none() {
            meta.insert("format", &[FORMAT][..])?;
        }
        drop(meta);
        Ok(write.commit()?)
    })()
    .map_err(database_error)?;

    let read = database.begin_read().map_err(|error| database_error(error.into()))?;
    let meta = read.open_table(META).map_err(|error| database_error(error.into()))?;
    let bytes = |key: &str| {
        let value = meta.get(key).map_err(|error| database_error(error.into()))?;
        Ok::<_, OpenError>(value.map(|value| value.value().to_vec()))
    };
    let found = bytes("format")?.and_then(|format| format.first().copied()).unwrap_or_default();
    if found != FORMAT {
        return Err(OpenError::Format { path: path.into(), found });
    }
    fn value<T: DeserializeOwned>(bytes: Option<Vec<u8>>) -> Result<Option<T>, String> {
        bytes.map(|bytes| decode(&bytes)).transpose()
    }
    let mut loaded = Loaded {
        vote: value(bytes("vote")?).map_err(|reason| damaged("vote".into(), reason))?,
        committed: value(bytes("committed")?).map_err(|reason| damaged("committed".into(), reason))?,
        purged: value(bytes("purged")?).map_err(|reason| damaged("purged".into(), reason))?,
        entries: Vec::new(),
        snapshot: None,
    };
    let snapshot_meta = value(bytes("snapshot-meta")?).map_err(|why| damaged("snapshot-meta".into(), why))?;
    loaded.snapshot = snapshot_meta.zip(bytes("snapshot")?);
    let log = read.open_table(LOG).map_err(|error| database_error(error.into()))?;
    for row in log.iter().map_err(|error| database_error(error.into()))? {
        let (index, entry) = row.map_err(|error| database_error(error.into()))?;
        let bytes = entry.value();
        let entry =
            decode(bytes).map_err(|reason| damaged(format!("log entry {}", index.value()), reason))?;
        loaded.entries.push((entry, bytes.len()));
    }
    Ok(loaded)
}

/// The thread's life: until every sender is gone.
fn run(database: &Database, path: &Path, queue: &Receiver<Op>, mut snapshot_at: Option<LogId>) {
    let mut lazy: Vec<Op> = Vec::new();
    // A failed commit is final: whether it reached the disk is unknown, so nothing after it may be acknowledged.
    let mut failed: Option<String> = None;
    loop {
        let first = if lazy.is_empty() {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(LAZY_MAX)
        };
        let mut batch = std::mem::take(&mut lazy);
        let mut due = false;
        let mut ended = false;
        match first {
            Ok(op) => batch.push(op),
            Err(RecvTimeoutError::Timeout) => due = true,
            Err(RecvTimeoutError::Disconnected) => (due, ended) = (true, true),
        }
        batch.extend(queue.try_iter());
        if !due && batch.iter().all(Op::is_lazy) {
            lazy = batch;
            continue;
        }
        if !batch.is_empty() {
            let snapshots: Vec<_> = batch.iter_mut().filter_map(encode_snapshot).collect();
            if failed.is_none()
                && let Err(error) = commit(database, &batch, &snapshots, &mut snapshot_at)
            {
                tracing::error!(path = %path.display(), %error, "the config group's file cannot be written: this node's vote and log stop here");
                failed = Some(error.to_string());
            }
            answer(batch, snapshots, failed.as_deref());
        }
        if ended {
            return;
        }
    }
}

/// The bytes of a snapshot to write, taken out of its operation.
fn encode_snapshot(op: &mut Op) -> Option<Arc<Vec<u8>>> {
    let Op::Snapshot(_, source, _) = op else { return None };
    Some(Arc::new(match source {
        SnapshotSource::Content(content) => content.encode(),
        SnapshotSource::Received(bytes) => std::mem::take(bytes),
    }))
}

/// One transaction for all of `batch`, in its order; `snapshots` holds the bytes of its snapshots.
///
/// A snapshot that ends before the one on disk is passed over: it was begun before a leader's newer one was
/// installed, and the log between the two may be purged already.
fn commit(
    database: &Database,
    batch: &[Op],
    snapshots: &[Arc<Vec<u8>>],
    snapshot_at: &mut Option<LogId>,
) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        let mut log = write.open_table(LOG)?;
        let mut snapshots = snapshots.iter();
        for op in batch {
            match op {
                Op::Vote(vote, _) => drop(meta.insert("vote", &encode(vote)[..])?),
                Op::Append(entries, _) => {
                    for (index, bytes) in entries {
                        log.insert(index, &bytes[..])?;
                    }
                }
                Op::Truncate(from, _) => log.retain_in(*from.., |_, _| false)?,
                Op::Purge(upto) => {
                    log.retain_in(..=upto.index, |_, _| false)?;
                    meta.insert("purged", &encode(upto)[..])?;
                }
                Op::Committed(Some(id)) => drop(meta.insert("committed", &encode(id)[..])?),
                Op::Committed(None) => drop(meta.remove("committed")?),
                Op::Snapshot(of, ..) => {
                    let bytes = snapshots.next().expect("one per snapshot");
                    if of.last_log_id >= *snapshot_at {
                        meta.insert("snapshot-meta", &encode(of)[..])?;
                        meta.insert("snapshot", &bytes[..])?;
                        *snapshot_at = of.last_log_id;
                    }
                }
            }
        }
    }
    write.commit()?;
    Ok(())
}

fn answer(batch: Vec<Op>, snapshots: Vec<Arc<Vec<u8>>>, failed: Option<&str>) {
    let result = || failed.map_or(Ok(()), |why| Err(io::Error::other(why.to_owned())));
    let mut snapshots = snapshots.into_iter();
    for op in batch {
        match op {
            Op::Vote(_, done) | Op::Truncate(_, done) => drop(done.send(result())),
            Op::Append(_, done) => done.log_io_completed(result()),
            Op::Snapshot(_, _, done) => {
                let bytes = snapshots.next().expect("one per snapshot");
                let _ = done.send(result().map(|()| bytes));
            }
            Op::Purge(_) | Op::Committed(_) => {}
        }
    }
}
