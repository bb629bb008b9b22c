//! Reading a log at start, and deciding what to do where it stops making sense.
//!
//! What follows the last readable record is one of three things: space that was never written; a write that was torn
//! when the process or the power went, which nobody was told of and which is cut off with a warning; or damage to good
//! data, which stops the start, because cutting there would silently lose writes that were acknowledged.
//! [`super::segment`] tells how these are told apart.

use std::io;
use std::path::{Path, PathBuf};

use carousel_protocol::{Epoch, Incarnation, NodeId, Seq, SlotId};

use super::checkpoint::{FoundCheckpoint, checkpoint_end, read_checkpoint, remove_rubbish};
use super::index::lacks_index;
use super::log::{Log, LogOptions};
use super::record::{RecordHeader, RecordKind, append_record};
use super::scan::{LogVisitor, Scan, find_segments};
use super::segment::{LogIdentity, LogPosition, segment_name};
use super::storage::Storage;
use super::transactions::Void;

/// How the last process that wrote to a log may have ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastEnd {
    /// The kernel it ran under still runs: everything it wrote is there.
    SameBoot,
    /// The machine was restarted since, or that cannot be known: what was not synced may be missing in any order.
    OtherBoot,
}

/// The marks of starts and clean stops in a log, for the decision whether it is [whole](super::run::wholeness).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogMarks {
    /// The incarnation of the last `Start`.
    pub started: Option<Incarnation>,
    /// The incarnation of the `CleanStop` at the very end.
    pub stopped_cleanly: Option<Incarnation>,
}

impl LogMarks {
    /// What all of these logs agree on: the lowest start, and the clean stop if it is the same in all.
    pub fn agreed(logs: impl IntoIterator<Item = LogMarks>) -> LogMarks {
        let both = |a: LogMarks, b: LogMarks| LogMarks {
            started: a.started.min(b.started),
            stopped_cleanly: a.stopped_cleanly.filter(|_| a.stopped_cleanly == b.stopped_cleanly),
        };
        logs.into_iter().reduce(both).unwrap_or_default()
    }

    /// The records that say so, for a log that takes the place of the marked ones.
    pub(super) fn to_records(self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(incarnation) = self.started {
            append_start(&mut out, incarnation);
        }
        if let Some(incarnation) = self.stopped_cleanly {
            append_clean_stop(&mut out, incarnation);
        }
        out
    }
}

/// Appends the record that a process writes to each of its logs before it acknowledges anything.
pub fn append_start(out: &mut Vec<u8>, incarnation: Incarnation) {
    append_record(out, &mark(RecordKind::Start, incarnation), &[]);
}

/// Appends the record that ends a log at a clean stop: see [`Log::close`].
pub fn append_clean_stop(out: &mut Vec<u8>, incarnation: Incarnation) {
    append_record(out, &mark(RecordKind::CleanStop, incarnation), &[]);
}

fn mark(kind: RecordKind, incarnation: Incarnation) -> RecordHeader {
    RecordHeader { kind, slot: const { SlotId::new(0).unwrap() }, epoch: Epoch(incarnation.0), seq: Seq(0) }
}

/// What was found in a log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogReport {
    /// Records handed to the sink.
    pub records: u64,
    /// Bytes read: of the checkpoint, and of the log from where that says.
    pub bytes: u64,
    /// Of those, the checkpoint's.
    pub checkpoint_bytes: u64,
    /// And the log's.
    pub log_bytes: u64,
    /// Starts and clean stops.
    pub marks: LogMarks,
    /// What was cut off, if anything.
    pub torn: Option<TornEnd>,
}

/// A torn end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TornEnd {
    /// The file whose end was torn.
    pub file: PathBuf,
    /// The bytes of it that are good.
    pub offset: u64,
}

/// Why a log cannot be used as it is. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Good data was damaged: not what a crash leaves.
    #[error(
        "{file} is damaged at byte {offset}, in data that was written completely. Check the disk, then restore the \
         data directory from a backup, or, where other nodes hold replicas, move its logs away but keep VERSION, node-id \
         and config/: the node is filled again. To give up \
         what was written from there on: remove the .log files after it, then `truncate -s {offset} {file}`"
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where reading stopped.
        offset: u64,
    },
    /// A checkpoint was damaged.
    #[error(
        "{file} is damaged at byte {offset}: a checkpoint, without which the log behind it is of no use. Check the disk, then \
         restore the data directory from a backup, or, where other nodes hold replicas, move its logs away but keep VERSION, \
         node-id and config/: the node is filled again"
    )]
    DamagedCheckpoint {
        /// The file.
        file: PathBuf,
        /// Where reading stopped.
        offset: u64,
    },
    /// The log ends before the position that its checkpoint is of.
    #[error(
        "{file} ends at byte {offset}, before what {checkpoint} was made from, and was complete when that was made. Check the \
         disk, then restore the data directory from a backup, or, where other nodes hold replicas, move its logs away but keep \
         VERSION, node-id and config/: the node is filled again"
    )]
    ShorterThanCheckpoint {
        /// The last file of the log.
        file: PathBuf,
        /// Where reading stopped.
        offset: u64,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// The log does not begin, or does not go on, where it should.
    #[error(
        "{file} is missing or does not begin as a log does. Restore the data directory from a backup, or, where other \
         nodes hold replicas, move its logs away but keep VERSION, node-id and config/: the node is filled again"
    )]
    NoBeginning {
        /// The file.
        file: PathBuf,
    },
    /// The file is of another log.
    #[error(
        "{file} is part of another log, of shard {shard} of node {node}, and was copied here: put the right file back"
    )]
    Foreign {
        /// The file.
        file: PathBuf,
        /// The node in its header.
        node: NodeId,
        /// The shard in its header.
        shard: u16,
    },
    /// Written by a version that knows more.
    #[error("{file} at byte {offset}: {reason}. It was written by another version: start that one")]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is not supported.
        reason: String,
    },
    /// An intact record whose content was refused by the sink.
    #[error(
        "{file} at byte {offset}: intact record with impossible content: {reason}. This is a bug; keep the file"
    )]
    Content {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// Why it was refused.
        reason: String,
    },
    /// The system failed.
    #[error("cannot read the log in {dir}: {error}")]
    Io {
        /// The directory of the log.
        dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Where records go, also those that turn out to be followed by damage: all but the marks and the ends of writes, in the order of the log. An error is a content that
/// cannot be, and stops the reading.
pub type RecordSink<'a> = dyn FnMut(RecordHeader, &[u8]) -> Result<(), String> + 'a;

/// Gives `visit` the records of the log in `dir` from where its checkpoint says, with their positions, and changes nothing.
pub fn survey_log<S: Storage>(
    storage: &S,
    dir: &Path,
    identity: LogIdentity,
    last_end: LastEnd,
    visit: &mut LogVisitor<'_>,
) -> Result<(), RecoverError> {
    let checkpoint = checkpoint_end(storage, dir)?.map(|found| found.reach);
    Scan::run(storage, dir, identity, last_end, checkpoint.as_ref(), visit).map(|_| ())
}

/// Reads the checkpoint and the log in `dir`, but for what is `void`, and changes nothing.
pub fn read_log<S: Storage>(
    storage: &S,
    dir: &Path,
    identity: LogIdentity,
    last_end: LastEnd,
    voids: &[Void],
    sink: &mut RecordSink<'_>,
) -> Result<LogReport, RecoverError> {
    read(storage, dir, identity, last_end, voids, sink).map(|(_, scan)| scan.report)
}

fn read<S: Storage>(
    storage: &S,
    dir: &Path,
    identity: LogIdentity,
    last_end: LastEnd,
    voids: &[Void],
    sink: &mut RecordSink<'_>,
) -> Result<(Option<FoundCheckpoint>, Scan), RecoverError> {
    let checkpoint = read_checkpoint(storage, dir, identity, sink)?;
    let mut passed = 0;
    let mut visit = |position, header: RecordHeader, payload: &[u8]| {
        let is_lacking = checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.lacks(&header, position));
        let is_void = || voids.iter().any(|void| void.has(position.0, header.slot));
        if !is_lacking || header.kind != RecordKind::Promise && is_void() {
            passed += 1;
            return Ok(());
        }
        sink(header, payload)
    };
    let mut scan = Scan::run(
        storage,
        dir,
        identity,
        last_end,
        checkpoint.as_ref().map(|checkpoint| &checkpoint.reach),
        &mut visit,
    )?;
    scan.report.records -= passed;
    scan.report.log_bytes = scan.report.bytes;
    if let Some(checkpoint) = &checkpoint {
        scan.report.records += checkpoint.reach.end.extent.records;
        scan.report.bytes += checkpoint.bytes;
        scan.report.checkpoint_bytes = checkpoint.bytes;
    }
    Ok((checkpoint, scan))
}

/// About how many bytes of the log in `dir`, with its checkpoint, are to be read: all of its files but what was never written of the last.
pub fn log_bytes<S: Storage>(storage: &S, dir: &Path) -> Result<u64, RecoverError> {
    const PAGE: usize = 4096;
    let io_error = |error| RecoverError::Io { dir: dir.to_owned(), error };
    let mut bytes = 0;
    let checkpoint = checkpoint_end(storage, dir)?;
    let first = checkpoint.as_ref().map_or(1, |checkpoint| checkpoint.reach.end.segment);
    let files = find_segments(storage, dir, first)?;
    bytes += checkpoint.map_or(0, |checkpoint| checkpoint.bytes);
    for number in files.first..=files.last {
        let segment = storage.map(&dir.join(segment_name(number))).map_err(io_error)?;
        // Found by halving: what a value of many zeros leads astray is only what an operator is told.
        let pages = segment.len().div_ceil(PAGE);
        let (mut from, mut to) = (0, pages);
        while from < to {
            let middle = (from + to) / 2;
            let page = &segment[middle * PAGE..segment.len().min((middle + 1) * PAGE)];
            if page.iter().any(|byte| *byte != 0) { from = middle + 1 } else { to = middle }
        }
        bytes += (from * PAGE).min(segment.len()) as u64;
    }
    Ok(bytes)
}

/// Reads the log in `dir`, repairs its end, makes it durable and opens it for appending.
///
/// Warns, and says so in the report, where it cuts a torn end.
pub fn open_log<S: Storage>(
    storage: S,
    dir: &Path,
    identity: LogIdentity,
    options: LogOptions,
    last_end: LastEnd,
    voids: &[Void],
    sink: &mut RecordSink<'_>,
) -> Result<(Log<S>, LogReport), RecoverError> {
    let (checkpoint, scan) = read(&storage, dir, identity, last_end, voids, sink)?;
    if let Some(torn) = &scan.report.torn {
        tracing::warn!(
            file = %torn.file.display(),
            offset = torn.offset,
            "cut the end of a log: what was written last was not complete when the process or the machine stopped"
        );
    }
    let io_error = |error| RecoverError::Io { dir: dir.to_owned(), error };
    let number = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.reach.header.number);
    remove_rubbish(&storage, dir, number).map_err(io_error)?;
    let (segment, sealed) = scan.repair(&storage, dir, options).map_err(io_error)?;
    let unindexed = sealed.iter().map(|segment| segment.number);
    let unindexed = unindexed.filter(|number| lacks_index(&storage, dir, *number, scan.salt)).collect();
    let mut log = Log::from_parts(storage, dir, identity, options, scan.salt, segment, sealed);
    log.set_checkpoint(number);
    let known = checkpoint.as_ref().map_or(LogPosition(0), |checkpoint| checkpoint.reach.end.tails_from);
    let passed = voids.iter().map(|void| LogPosition(void.to).min(log.position())).max();
    log.set_tails_from(known.max(passed.unwrap_or_default()));
    log.set_unindexed(unindexed);
    Ok((log, scan.report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_agree_on_the_lowest_start_and_only_on_a_common_clean_stop() {
        let marks = |started: Option<u64>, stopped: Option<u64>| LogMarks {
            started: started.map(Incarnation),
            stopped_cleanly: stopped.map(Incarnation),
        };
        assert_eq!(LogMarks::agreed([]), marks(None, None));
        assert_eq!(LogMarks::agreed([marks(Some(4), Some(4)); 3]), marks(Some(4), Some(4)));
        assert_eq!(LogMarks::agreed([marks(Some(4), None), marks(Some(5), Some(5))]), marks(Some(4), None));
        assert_eq!(LogMarks::agreed([marks(Some(4), Some(4)), marks(None, None)]), marks(None, None));
    }
}
