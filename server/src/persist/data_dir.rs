//! The data directory: what is where, who may use it, and which logs are the current ones.
//!
//! Logs live in generations. A rewrite, also one for another number of shards, fills the directory of the next
//! generation beside the current one; then the file `layout`, replaced in one step, names it. So there is one
//! moment at which the new logs become the logs, and a process that dies at any other leaves nothing but rubbish, which
//! the next start removes. `docs/disk.md` describes every byte.

use std::io;
use std::path::{Path, PathBuf};

use carousel_protocol::{Incarnation, NodeId, ShardId};

use super::facts::Facts;
use super::log::{Log, LogOptions};
use super::record::RecordKind;
use super::recover::{
    LastEnd, LogMarks, LogReport, RecordSink, RecoverError, log_bytes, open_log, read_log, survey_log,
};
use super::run::{RunRecord, RunState};
use super::segment::LogIdentity;
use super::storage::{Storage, replace_file};
use super::sync::SyncError;
use super::transactions::{LogNotes, Note, Void};

/// The version of the directory's layout that this build writes, and the only one it reads.
pub const DATA_DIR_VERSION: u32 = 1;

const LOCK_FILE: &str = "carousel.lock";
const VERSION_FILE: &str = "VERSION";
const NODE_ID_FILE: &str = "node-id";
const LAYOUT_FILE: &str = "layout";
const RUN_FILE: &str = "run";
const REGISTRATION_FILE: &str = "registration";
const CONFIG_DIR: &str = "config";
const GENERATION_PREFIX: &str = "log-";

/// Why a data directory cannot be used. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The path is something else.
    #[error("data directory {path}: it is not a directory; give another with --dir")]
    NotADirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Another process holds the lock.
    #[error("data directory {path} is in use{by}; stop that server or give another directory with --dir", by = by(.pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who has it, if that is known.
        pid: Option<u32>,
    },
    /// Written by another version.
    #[error(
        "data directory {path} has format {found}, and this version reads format {DATA_DIR_VERSION}; start the version \
         that wrote it, or give another directory with --dir"
    )]
    Version {
        /// The directory.
        path: PathBuf,
        /// What its file `VERSION` says.
        found: String,
    },
    /// A file without which nothing else can be trusted is not as it was written.
    #[error(
        "data directory {path}: the file {file} is missing or damaged; restore it from a backup, or give an empty \
             directory with --dir"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// The file's name in it.
        file: &'static str,
    },
    /// The system failed.
    #[error("data directory {path}: {error}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A log of the new generation could not be made durable.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// A log of the new generation could not be written.
    #[error(transparent)]
    Append(#[from] super::log::AppendError),
}

impl DataDirError {
    /// There was no room on the disk.
    pub fn is_for_want_of_space(&self) -> bool {
        let is_full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::Io { error, .. } => is_full(error),
            Self::Sync(error) => is_full(&error.error),
            Self::Append(error) => matches!(error, super::log::AppendError::NoSpace { .. }),
            Self::NotADirectory { .. } | Self::InUse { .. } | Self::Version { .. } | Self::Damaged { .. } => {
                false
            }
        }
    }
}

fn by(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

/// Which logs are the current ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Grows with each rewrite. Zero: there are no logs, and never were.
    pub generation: u64,
    /// How many logs there are: the number of shards of the process that wrote them.
    pub shards: u16,
}

impl Layout {
    const NONE: Self = Self { generation: 0, shards: 0 };

    fn encode(self) -> String {
        Facts::default().with("generation", self.generation).with("shards", self.shards).encode()
    }

    fn decode(content: &[u8]) -> Option<Self> {
        let facts = Facts::decode(content)?;
        Some(Self { generation: facts.parse("generation")?, shards: facts.parse("shards")? })
    }
}

/// A data directory that this process has locked.
#[derive(Debug)]
pub struct DataDir<S: Storage> {
    storage: S,
    path: PathBuf,
    _lock: S::Lock,
    options: LogOptions,
    node: NodeId,
    layout: Layout,
    previous: Option<RunRecord>,
    /// The last incarnation that a process on this directory has tried to get; zero if none did.
    registration: Incarnation,
    last_end: LastEnd,
    boot_id: Option<String>,
    run: Option<RunRecord>,
}

impl<S: Storage> DataDir<S> {
    /// Locks the directory, creates what is missing in a new one, and removes what a rewrite left that was not finished.
    pub fn open(storage: S, path: &Path, options: LogOptions) -> Result<Self, DataDirError> {
        let io_error = |error| DataDirError::Io { path: path.to_owned(), error };
        let damaged = |file| DataDirError::Damaged { path: path.to_owned(), file };
        storage.create_dir(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                DataDirError::NotADirectory { path: path.to_owned() }
            }
            _ => io_error(error),
        })?;
        let lock_path = path.join(LOCK_FILE);
        let Some(lock) = storage.lock(&lock_path).map_err(io_error)? else {
            let pid = read(&storage, &lock_path).ok().flatten();
            let pid = pid.and_then(|content| String::from_utf8_lossy(&content).trim().parse().ok());
            return Err(DataDirError::InUse { path: path.to_owned(), pid });
        };
        // The version comes first, so that whatever else is there was written by a version that is known.
        check_version(&storage, path)?;

        let node = match read(&storage, &path.join(NODE_ID_FILE)).map_err(io_error)? {
            Some(content) => {
                Facts::decode(&content).and_then(|facts| facts.parse("node")).ok_or(damaged(NODE_ID_FILE))?
            }
            None => {
                let mut bytes = [0; 20];
                storage.random(&mut bytes).map_err(io_error)?;
                let content = Facts::default().with("node", NodeId(bytes)).encode();
                replace_file(&storage, &path.join(NODE_ID_FILE), content.as_bytes()).map_err(io_error)?;
                NodeId(bytes)
            }
        };
        let layout = match read(&storage, &path.join(LAYOUT_FILE)).map_err(io_error)? {
            Some(content) => Layout::decode(&content).ok_or(damaged(LAYOUT_FILE))?,
            None => Layout::NONE,
        };
        let run = read(&storage, &path.join(RUN_FILE)).map_err(io_error)?;
        // Without it nothing is claimed of the copies, which is safe, so that this alone stops no start.
        let previous = run.and_then(|content| RunRecord::decode(&content));
        // As is this: the group knows better.
        let registration = read(&storage, &path.join(REGISTRATION_FILE)).map_err(io_error)?;
        let registration = registration.and_then(|content| Facts::decode(&content)?.parse("incarnation"));
        let registration = Incarnation(registration.unwrap_or(0));
        let boot_id = storage.boot_id();
        let last_end =
            previous.as_ref().map_or(LastEnd::OtherBoot, |previous| previous.last_end(boot_id.as_deref()));
        let path = path.to_owned();
        let dir = Self {
            storage,
            path,
            _lock: lock,
            options,
            node,
            layout,
            previous,
            registration,
            last_end,
            boot_id,
            run: None,
        };
        dir.remove_other_generations().map_err(|error| dir.io_error(error))?;
        Ok(dir)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who this node is: drawn at random when the directory was created.
    pub fn node_id(&self) -> NodeId {
        self.node
    }

    /// Where the config group keeps its state.
    pub fn config_dir(&self) -> PathBuf {
        self.path.join(CONFIG_DIR)
    }

    /// Which logs there are. Where `shards` is not the number of shards of this process, all are to be read and then
    /// [rewritten](Self::begin_rewrite). Where there are none yet, a rewrite of nothing makes them.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The run before this one; for [`wholeness`](super::run::wholeness).
    pub fn previous_run(&self) -> Option<&RunRecord> {
        self.previous.as_ref()
    }

    /// The last incarnation that a process on this directory had tried to get before this one; zero if none did. For
    /// [`wholeness`](super::run::wholeness).
    pub fn last_registration(&self) -> Incarnation {
        self.registration
    }

    /// To note what this process tries to get.
    pub fn registration_note(&self) -> RegistrationNote<S> {
        RegistrationNote { storage: self.storage.clone(), path: self.path.join(REGISTRATION_FILE) }
    }

    /// How that one may have ended.
    pub fn last_end(&self) -> LastEnd {
        self.last_end
    }

    /// The log of one shard, to be read or opened on any thread.
    pub fn shard_log(&self, shard: ShardId) -> ShardLog<S> {
        assert!(shard.0 < self.layout.shards, "shard {shard} of {}", self.layout.shards);
        ShardLog {
            storage: self.storage.clone(),
            dir: self.shard_dir(self.layout.generation, shard),
            identity: LogIdentity { node: self.node, shard },
            options: self.options,
            last_end: self.last_end,
        }
    }

    /// Begins new logs for `shards` shards beside the current ones, if there are any.
    ///
    /// `marks` are what the current logs [agree on](LogMarks::agreed): the new ones will say the same.
    pub fn begin_rewrite(&self, shards: u16, marks: LogMarks) -> Result<Rewrite<S>, DataDirError> {
        assert!(shards > 0, "a node has shards");
        let layout = Layout { generation: self.layout.generation + 1, shards };
        self.begin_generation(layout, marks).map_err(|error| self.io_error(error))
    }

    /// Removes what a rewrite that failed has left, so that the current logs go on.
    ///
    /// # Errors
    /// What cannot be removed; or the rewrite has taken effect, as far as the disk knows, and the next start is to find out.
    pub fn abandon_rewrite(&self) -> Result<(), DataDirError> {
        let content =
            read(&self.storage, &self.path.join(LAYOUT_FILE)).map_err(|error| self.io_error(error))?;
        if content.and_then(|content| Layout::decode(&content)) != Some(self.layout) {
            return Err(DataDirError::Damaged { path: self.path.clone(), file: LAYOUT_FILE });
        }
        self.remove_other_generations().map_err(|error| self.io_error(error))
    }

    /// Records that this process runs, as the next start will find it. Durable when it returns.
    ///
    /// Call it after the start was appended to every log and these were synced, and before anything is
    /// acknowledged. `is_whole` is what [`wholeness`](super::run::wholeness) found.
    pub fn begin_run(
        &mut self,
        incarnation: Incarnation,
        is_logged: bool,
        is_whole: bool,
    ) -> Result<(), DataDirError> {
        let boot_id = self.boot_id.clone();
        self.write_run(RunRecord { incarnation, boot_id, is_logged, is_whole, state: RunState::Running })
    }

    /// Records that all copies have caught up, so that they hold all that the node acknowledged. Until then the
    /// restart of a start that was not whole is not whole either.
    pub fn note_whole(&mut self) -> Result<(), DataDirError> {
        self.change_run(|run| run.is_whole = true)
    }

    /// Records that a sync failed, so that no later start believes what is on this disk to be complete. Best
    /// effort: the disk is failing.
    pub fn note_sync_failure(&mut self) -> Result<(), DataDirError> {
        // Before this run begins, the record of the one before is what the next start will go by.
        let Some(run) = self.run.clone().or_else(|| self.previous.clone()) else { return Ok(()) };
        self.write_run(RunRecord { state: RunState::SyncFailed, ..run })
    }

    /// Records a clean stop, after every log was [closed](Log::close) with the mark of it. A process that has not begun
    /// its run leaves the record of the one before.
    pub fn end_run(&mut self) -> Result<(), DataDirError> {
        if self.run.is_none() {
            return Ok(());
        }
        self.change_run(|run| {
            if run.state == RunState::Running {
                run.state = RunState::Stopped;
            }
        })
    }

    fn change_run(&mut self, change: impl FnOnce(&mut RunRecord)) -> Result<(), DataDirError> {
        let mut run = self.run.clone().expect("the run was begun");
        change(&mut run);
        self.write_run(run)
    }

    fn write_run(&mut self, run: RunRecord) -> Result<(), DataDirError> {
        replace_file(&self.storage, &self.path.join(RUN_FILE), run.encode().as_bytes())
            .map_err(|error| self.io_error(error))?;
        self.run = Some(run);
        Ok(())
    }

    fn begin_generation(&self, layout: Layout, marks: LogMarks) -> io::Result<Rewrite<S>> {
        let dir = self.generation_dir(layout.generation);
        // One that was begun before by this process and failed.
        if self.storage.list(&dir).is_ok() {
            self.storage.remove_dir(&dir)?;
        }
        self.storage.create_dir(&dir)?;
        let logs = (0..layout.shards).map(ShardId).map(|shard| {
            let identity = LogIdentity { node: self.node, shard };
            let shard_dir = self.shard_dir(layout.generation, shard);
            Log::create(self.storage.clone(), &shard_dir, identity, self.options)
        });
        Ok(Rewrite { logs: logs.collect::<io::Result<_>>()?, layout, marks })
    }

    fn remove_other_generations(&self) -> io::Result<()> {
        let mut names = self.storage.list(&self.path)?;
        names.retain(|name| {
            let generation =
                name.strip_prefix(GENERATION_PREFIX).and_then(|digits| digits.parse::<u64>().ok());
            generation.is_some_and(|generation| generation != self.layout.generation)
        });
        if !names.is_empty() {
            // A process that died may have left a layout that is not durable yet: what it replaced must not go first.
            self.storage.sync_dir(&self.path)?;
        }
        names.iter().try_for_each(|name| self.storage.remove_dir(&self.path.join(name)))
    }

    fn generation_dir(&self, generation: u64) -> PathBuf {
        self.path.join(format!("{GENERATION_PREFIX}{generation:010}"))
    }

    fn shard_dir(&self, generation: u64, shard: ShardId) -> PathBuf {
        self.generation_dir(generation).join(format!("shard-{:03}", shard.0))
    }

    fn io_error(&self, error: io::Error) -> DataDirError {
        DataDirError::Io { path: self.path.clone(), error }
    }
}

/// The incarnation that a process is about to ask the config group for: on disk before it asks. What runs on another
/// copy of the directory notes it there, so that this one is known to be older.
#[derive(Clone, Debug)]
pub struct RegistrationNote<S: Storage> {
    storage: S,
    path: PathBuf,
}

impl<S: Storage> RegistrationNote<S> {
    /// Durable when it returns.
    pub fn write(&self, incarnation: Incarnation) -> Result<(), DataDirError> {
        let content = Facts::default().with("incarnation", incarnation).encode();
        replace_file(&self.storage, &self.path, content.as_bytes()).map_err(|error| {
            let path = self.path.parent().expect("a file in a directory").to_owned();
            DataDirError::Io { path, error }
        })
    }
}

/// One shard's log on disk, not yet open.
#[derive(Clone, Debug)]
pub struct ShardLog<S: Storage> {
    storage: S,
    dir: PathBuf,
    identity: LogIdentity,
    options: LogOptions,
    last_end: LastEnd,
}

impl<S: Storage> ShardLog<S> {
    /// About how many bytes there are to be read.
    pub fn bytes(&self) -> Result<u64, RecoverError> {
        log_bytes(&self.storage, &self.dir)
    }

    /// Hands its records to `sink` and opens it for appending: see [`open_log`].
    pub fn open(
        self,
        voids: &[Void],
        sink: &mut RecordSink<'_>,
    ) -> Result<(Log<S>, LogReport), RecoverError> {
        open_log(self.storage, &self.dir, self.identity, self.options, self.last_end, voids, sink)
    }

    /// Hands its records to `sink` and changes nothing: see [`read_log`].
    pub fn read(&self, voids: &[Void], sink: &mut RecordSink<'_>) -> Result<LogReport, RecoverError> {
        read_log(&self.storage, &self.dir, self.identity, self.last_end, voids, sink)
    }

    /// What it says of transactions, which must be known of all logs before any is applied. Changes nothing.
    pub fn notes(&self) -> Result<LogNotes, RecoverError> {
        let mut notes = LogNotes::default();
        survey_log(
            &self.storage,
            &self.dir,
            self.identity,
            self.last_end,
            &mut |position, header, payload| {
                if matches!(header.kind, RecordKind::Begin | RecordKind::Commit | RecordKind::Settled) {
                    let note = Note::decode(payload).ok_or("a note of a transaction that is none")?;
                    notes.push(self.identity.shard, position.0, note);
                }
                Ok(())
            },
        )?;
        Ok(notes)
    }
}

/// Logs that are to take the place of the current ones. Dropped without [`Rewrite::commit`], they come to nothing.
#[derive(Debug)]
pub struct Rewrite<S: Storage> {
    /// The new logs, by shard. May be filled on any threads, and must be all back for the commit.
    pub logs: Vec<Log<S>>,
    layout: Layout,
    marks: LogMarks,
}

impl<S: Storage> Rewrite<S> {
    /// Makes the new logs durable, makes them the current ones in one step, and removes those before. Returns them, by
    /// shard. After an error the current logs are the current logs.
    pub fn commit(self, dir: &mut DataDir<S>) -> Result<Vec<Log<S>>, DataDirError> {
        let Self { mut logs, layout, marks } = self;
        let shards: Vec<_> = logs.iter().map(|log| log.identity().shard).collect();
        assert!(shards.iter().copied().eq((0..layout.shards).map(ShardId)), "all logs, in order: {shards:?}");
        for log in &mut logs {
            // Last, for nothing may follow the mark of a clean stop.
            log.append(&marks.to_records())?;
            log.sync()?;
        }
        let switch = || {
            dir.storage.sync_dir(&dir.generation_dir(layout.generation))?;
            dir.storage.sync_dir(&dir.path)?;
            replace_file(&dir.storage, &dir.path.join(LAYOUT_FILE), layout.encode().as_bytes())
        };
        switch().map_err(|error| dir.io_error(error))?;
        dir.layout = layout;
        if let Err(error) = dir.remove_other_generations() {
            tracing::warn!(%error, path = %dir.path.display(), "cannot remove rewritten logs; the next start will");
        }
        Ok(logs)
    }
}

fn check_version<S: Storage>(storage: &S, path: &Path) -> Result<(), DataDirError> {
    let io_error = |error| DataDirError::Io { path: path.to_owned(), error };
    let version = path.join(VERSION_FILE);
    let expected = format!("carousel {DATA_DIR_VERSION}\n");
    match read(storage, &version).map_err(io_error)? {
        Some(content) if content == expected.as_bytes() => Ok(()),
        Some(content) => {
            let text = String::from_utf8_lossy(&content);
            let known =
                text.strip_prefix("carousel ").and_then(|number| number.trim_end().parse::<u32>().ok());
            match known {
                Some(number) => {
                    Err(DataDirError::Version { path: path.to_owned(), found: number.to_string() })
                }
                None => Err(DataDirError::Damaged { path: path.to_owned(), file: VERSION_FILE }),
            }
        }
        None => {
            // Other people's files are none of our business, but ours without a version are.
            let names = storage.list(path).map_err(io_error)?;
            let is_used = names.iter().any(|name| {
                [NODE_ID_FILE, LAYOUT_FILE, RUN_FILE, CONFIG_DIR].contains(&&**name)
                    || name.starts_with(GENERATION_PREFIX)
            });
            if is_used {
                return Err(DataDirError::Damaged { path: path.to_owned(), file: VERSION_FILE });
            }
            if let Some(parent) = path.parent() {
                // A name of one part has the empty path for a parent.
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                storage.sync_dir(parent).map_err(io_error)?;
            }
            replace_file(storage, &version, expected.as_bytes()).map_err(io_error)
        }
    }
}

/// The content of a file, or `None` where there is none.
fn read<S: Storage>(storage: &S, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match storage.map(path) {
        Ok(content) => Ok(Some(content.to_vec())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
