//! The file of a checkpoint: a shard's state as records, beside its log.
//!
//! It is written under a name that no start looks at, synced, renamed, and its directory synced: only then does it count,
//! and only then is anything cut that it replaces. It consists of
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `CAROUCKP` |
//! | 8 | 4 | version, [`CHECKPOINT_VERSION`] |
//! | 12 | 2 | shard |
//! | 14 | 2 | zero |
//! | 16 | 20 | node id |
//! | 36 | 8 | number of the checkpoint, from 1, also its file name |
//! | 44 | 8 | salt of the log that it belongs to |
//! | 52 | 8 | the last `Start` in that log, plus one; 0 where there is none |
//! | 60 | 4 | CRC-32C of the 60 bytes before |
//! | 64 | | records, one directly after the other |
//!
//! The last record is a `CheckpointEnd`, and nothing follows it; its payload are the fields of [`CheckpointEnd`], 8 bytes
//! each. What is not so was damaged after it was written, and stops a start.

use std::io;
use std::path::{Path, PathBuf};

use carousel_protocol::{Epoch, Incarnation, NodeId, Seq, ShardId, SlotId};

use super::record::{RecordHeader, RecordKind, append_record, decode_record, record_bytes, u32_at, u64_at};
use super::recover::{RecordSink, RecoverError};
use super::segment::{LogIdentity, LogPosition, ScanStop, scan_records};
use super::storage::{Storage, StorageFile, write_all_at};
use crate::planted::{Bug, is_planted};
use crate::shard::checkpoint::{CheckpointExtent, SlotStart};

/// The version of the file's layout that this build writes, and the only one it reads.
pub const CHECKPOINT_VERSION: u32 = 1;
/// Bytes before the first record.
pub const CHECKPOINT_HEADER_BYTES: usize = 64;
/// So much is written between two syncs, so that the kernel never has much of it to write at once, which would hold up
/// the log.
const SYNC_BYTES: u64 = 8 << 20;

const MAGIC: &[u8; 8] = b"CAROUCKP";
/// The payload of the last record.
const CHECKPOINT_END_BYTES: usize = 48;

/// The beginning of a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckpointHeader {
    /// Whose it is.
    pub identity: LogIdentity,
    /// Grows with each.
    pub number: u64,
    /// Of the log that it belongs to.
    pub salt: u64,
    /// The incarnation of the last `Start` in that log.
    pub started: Option<Incarnation>,
}

/// What the last record of a checkpoint says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckpointEnd {
    /// What of the log belongs to it.
    pub extent: CheckpointExtent,
    /// The segment that has [`CheckpointExtent::replay_from`].
    pub segment: u64,
    /// No slot's tail is read from before this: there are records that do not count, and what says so is not read any more.
    pub tails_from: LogPosition,
}

impl CheckpointHeader {
    fn encode(&self) -> [u8; CHECKPOINT_HEADER_BYTES] {
        let mut bytes = [0; CHECKPOINT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&CHECKPOINT_VERSION.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.identity.shard.0.to_le_bytes());
        bytes[16..36].copy_from_slice(&self.identity.node.0);
        bytes[36..44].copy_from_slice(&self.number.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.salt.to_le_bytes());
        let started = self.started.map_or(0, |incarnation| incarnation.0 + 1);
        bytes[52..60].copy_from_slice(&started.to_le_bytes());
        let crc = crc_fast::crc32_iscsi(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header, or, where it is intact and of another version, that version. `None`: it is damaged.
    fn decode(file: &[u8]) -> Option<Result<Self, u32>> {
        let bytes = file.get(..CHECKPOINT_HEADER_BYTES)?;
        if bytes[..8] != *MAGIC || u32_at(bytes, 60) != crc_fast::crc32_iscsi(&bytes[..60]) {
            return None;
        }
        let version = u32_at(bytes, 8);
        if version != CHECKPOINT_VERSION {
            return Some(Err(version));
        }
        Some(Ok(Self {
            identity: LogIdentity {
                shard: ShardId(u16::from_le_bytes([bytes[12], bytes[13]])),
                node: NodeId(bytes[16..36].try_into().expect("20 bytes")),
            },
            number: u64_at(bytes, 36),
            salt: u64_at(bytes, 44),
            started: u64_at(bytes, 52).checked_sub(1).map(Incarnation),
        }))
    }
}

impl CheckpointEnd {
    fn encode(&self) -> [u8; CHECKPOINT_END_BYTES] {
        let CheckpointExtent { replay_from, end, records, keys } = self.extent;
        let mut bytes = [0; CHECKPOINT_END_BYTES];
        for (field, value) in
            bytes.chunks_mut(8).zip([replay_from.0, self.segment, end.0, records, keys, self.tails_from.0])
        {
            field.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        if payload.len() != CHECKPOINT_END_BYTES {
            return None;
        }
        let field = |n: usize| u64_at(payload, n * 8);
        let (replay_from, end) = (LogPosition(field(0)), LogPosition(field(2)));
        let extent = CheckpointExtent { replay_from, end, records: field(3), keys: field(4) };
        Some(Self { extent, segment: field(1), tails_from: LogPosition(field(5)) })
    }
}

fn checkpoint_name(number: u64) -> PathBuf {
    format!("{number:010}.checkpoint").into()
}

fn checkpoint_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".checkpoint")?.parse().ok()?;
    (checkpoint_name(number).to_str() == Some(name)).then_some(number)
}

/// The numbers of the checkpoints in a log's directory, ascending.
fn checkpoints<S: Storage>(storage: &S, dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<_> = storage.list(dir)?.iter().filter_map(|name| checkpoint_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A checkpoint that is being written. Blocks: for threads that have nothing else to do.
///
/// Dropped before [`Self::publish`], it comes to nothing; [`Self::abandon`] also gives its space back at once.
#[derive(Debug)]
pub struct CheckpointWriter<S: Storage> {
    storage: S,
    dir: PathBuf,
    number: u64,
    file: S::File,
    bytes: u64,
    synced: u64,
    keep_free: u64,
}

impl<S: Storage> CheckpointWriter<S> {
    /// Begins the checkpoint `header` in the directory of its log. It fails before it leaves less than `keep_free` bytes of
    /// the disk to others: what the log then does not find, clients' writes are refused for.
    pub fn create(storage: S, dir: &Path, header: CheckpointHeader, keep_free: u64) -> io::Result<Self> {
        let file = storage.create_file(&temporary(dir, header.number))?;
        let (dir, number) = (dir.to_owned(), header.number);
        let mut writer = Self { storage, dir, number, file, bytes: 0, synced: 0, keep_free };
        if let Err(error) = writer.write(&header.encode()) {
            writer.abandon();
            return Err(error);
        }
        Ok(writer)
    }

    /// Appends records.
    pub fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let needed = self.keep_free.saturating_add(records.len() as u64);
        if self.keep_free > 0 && self.storage.room(&self.dir)? < needed {
            let text =
                format!("less than {} MiB would be left on the disk, for the log", self.keep_free >> 20);
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        write_all_at(&self.file, records, self.bytes)?;
        self.bytes += records.len() as u64;
        if self.bytes - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.bytes;
        }
        Ok(())
    }

    /// Appends the end, and makes all of it durable. (Before it is published, the log has to be, too, up to where the
    /// checkpoint ends: else a power loss could leave a shorter log, and what is then written in place of what it has lost
    /// would be passed over as being in the checkpoint.)
    pub fn finish(&mut self, end: CheckpointEnd) -> io::Result<()> {
        let mut record = Vec::new();
        let header = RecordHeader {
            kind: RecordKind::CheckpointEnd,
            slot: const { SlotId::new(0).unwrap() },
            epoch: Epoch(0),
            seq: Seq(self.number),
        };
        append_record(&mut record, &header, &end.encode());
        self.write(&record)?;
        self.file.sync_data()
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the finished checkpoint the one that the next start reads, durably, and removes those before it. Then the log
    /// before it may go. (An error does not mean that it does not count.)
    pub fn publish(self) -> io::Result<()> {
        let path = self.dir.join(checkpoint_name(self.number));
        self.storage.rename(&temporary(&self.dir, self.number), &path)?;
        if !is_planted(Bug::CheckpointNameUnsynced) {
            self.storage.sync_dir(&self.dir)?;
        }
        for number in checkpoints(&self.storage, &self.dir)? {
            if number < self.number {
                self.storage.remove_file(&self.dir.join(checkpoint_name(number)))?;
            }
        }
        Ok(())
    }

    /// Gives its space back.
    pub fn abandon(self) {
        let _ = self.storage.remove_file(&temporary(&self.dir, self.number));
    }
}

fn temporary(dir: &Path, number: u64) -> PathBuf {
    super::storage::temporary(&dir.join(checkpoint_name(number)))
}

/// Removes what checkpoints that came to nothing, or were replaced, have left.
pub(super) fn remove_rubbish<S: Storage>(storage: &S, dir: &Path, current: u64) -> io::Result<()> {
    for name in storage.list(dir)? {
        let is_temporary = name.ends_with(".tmp");
        if is_temporary || checkpoint_number(&name).is_some_and(|number| number < current) {
            storage.remove_file(&dir.join(name))?;
        }
    }
    Ok(())
}

/// What a checkpoint says of its log.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    pub(super) header: CheckpointHeader,
    pub(super) end: CheckpointEnd,
    pub(super) file: PathBuf,
}

/// A checkpoint of which only the beginning and the end were read.
pub(super) struct CheckpointFound {
    pub(super) reach: Reach,
    pub(super) bytes: u64,
}

/// The number, the file and the content of the last checkpoint in `dir`.
fn last_checkpoint<S: Storage>(
    storage: &S,
    dir: &Path,
) -> Result<Option<(u64, PathBuf, S::Map)>, RecoverError> {
    let io_error = |error| RecoverError::Io { dir: dir.to_owned(), error };
    let numbers = match checkpoints(storage, dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        numbers => numbers.map_err(io_error)?,
    };
    let Some(&number) = numbers.last() else { return Ok(None) };
    let file = dir.join(checkpoint_name(number));
    let content = storage.map(&file).map_err(io_error)?;
    Ok(Some((number, file, content)))
}

/// The last checkpoint in `dir`, without a look at what is between its beginning and its end. `None` also where these are
/// not intact: who reads it all says so.
pub(super) fn checkpoint_end<S: Storage>(
    storage: &S,
    dir: &Path,
) -> Result<Option<CheckpointFound>, RecoverError> {
    let Some((_, file, content)) = last_checkpoint(storage, dir)? else { return Ok(None) };
    let last = content.len().checked_sub(record_bytes(CHECKPOINT_END_BYTES));
    let Some(Ok(Some((_, payload, _)))) = last.map(|last| decode_record(&content[last..])) else {
        return Ok(None);
    };
    let (Some(Ok(header)), Some(end)) = (CheckpointHeader::decode(&content), CheckpointEnd::decode(payload))
    else {
        return Ok(None);
    };
    Ok(Some(CheckpointFound { reach: Reach { header, end, file }, bytes: content.len() as u64 }))
}

/// A checkpoint as it was found.
#[derive(Clone, Debug)]
pub(super) struct FoundCheckpoint {
    pub(super) reach: Reach,
    pub(super) bytes: u64,
    starts: SlotStarts,
}

impl FoundCheckpoint {
    /// Is a record that the log has at that position missing in the checkpoint?
    pub(super) fn lacks(&self, header: &RecordHeader, position: LogPosition) -> bool {
        self.starts.of(header.slot).admits(header.kind, position)
    }
}

/// By slot, from where on the log goes on.
#[derive(Clone, Debug, Default)]
struct SlotStarts(Vec<SlotStart>);

impl SlotStarts {
    fn set(&mut self, slot: SlotId, start: SlotStart) {
        self.0.resize(SlotId::COUNT.into(), SlotStart::default());
        self.0[slot.index()] = start;
    }

    fn of(&self, slot: SlotId) -> SlotStart {
        self.0.get(slot.index()).copied().unwrap_or_default()
    }
}

/// Hands the records of the last checkpoint in `dir`, if there is one, to the sink.
pub(super) fn read_checkpoint<S: Storage>(
    storage: &S,
    dir: &Path,
    identity: LogIdentity,
    sink: &mut RecordSink<'_>,
) -> Result<Option<FoundCheckpoint>, RecoverError> {
    let Some((number, file, content)) = last_checkpoint(storage, dir)? else { return Ok(None) };
    let unsupported = |offset, reason| RecoverError::Unsupported { file: file.clone(), offset, reason };
    let damaged = |offset| RecoverError::DamagedCheckpoint { file: file.clone(), offset };
    let header = CheckpointHeader::decode(&content).ok_or(damaged(0))?.map_err(|version| {
        unsupported(0, format!("it has checkpoint format {version}; this build reads {CHECKPOINT_VERSION}"))
    })?;
    if header.identity != identity || header.number != number {
        let LogIdentity { node, shard } = header.identity;
        return Err(RecoverError::Foreign { file, node, shard: shard.0 });
    }
    let mut starts = SlotStarts::default();
    let (mut end, mut records) = (None, 0);
    let visit = |header: RecordHeader, payload: &[u8]| {
        if end.is_some() {
            return Err("it follows the end".to_owned());
        }
        match header.kind {
            RecordKind::CheckpointEnd => {
                end = Some(CheckpointEnd::decode(payload).ok_or("malformed payload")?);
                return Ok(());
            }
            RecordKind::CheckpointSlot => {
                starts.set(header.slot, SlotStart::decode(payload).ok_or("malformed payload")?);
            }
            RecordKind::Start
            | RecordKind::CleanStop
            | RecordKind::WriteEnd
            | RecordKind::Begin
            | RecordKind::Commit
            | RecordKind::Settled => {
                return Err(format!("a {:?} has no place in a checkpoint", header.kind));
            }
            RecordKind::Effects
            | RecordKind::Barrier
            | RecordKind::Promise
            | RecordKind::Drop
            | RecordKind::InstallBegin
            | RecordKind::InstallPart
            | RecordKind::InstallDone
            | RecordKind::SetPosition => {}
        }
        records += 1;
        sink(header, payload)
    };
    let (offset, stop) = scan_records(&content, CHECKPOINT_HEADER_BYTES, visit);
    let bytes = content.len() as u64;
    match (stop, end) {
        (ScanStop::Unsupported(error), _) => Err(unsupported(offset as u64, error.to_string())),
        (ScanStop::Refused(reason), _) => {
            Err(RecoverError::Content { file: file.clone(), offset: offset as u64, reason })
        }
        (ScanStop::NoRecord, Some(end)) if offset == content.len() && end.extent.records == records => {
            Ok(Some(FoundCheckpoint { reach: Reach { header, end, file }, bytes, starts }))
        }
        (ScanStop::NoRecord, _) => Err(damaged(offset as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_ends_read_back_and_any_damage_to_a_header_is_seen() {
        for started in [None, Some(Incarnation(0)), Some(Incarnation(7))] {
            let identity = LogIdentity { node: NodeId([7; 20]), shard: ShardId(3) };
            let header = CheckpointHeader { identity, number: 12, salt: 0x1234_5678_9abc_def0, started };
            let bytes = header.encode();
            assert_eq!(CheckpointHeader::decode(&bytes), Some(Ok(header)));
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes;
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(CheckpointHeader::decode(&damaged), None, "bit {bit}");
            }
        }
        let extent =
            CheckpointExtent { replay_from: LogPosition(5), end: LogPosition(9), records: 3, keys: 2 };
        let end = CheckpointEnd { extent, segment: 4, tails_from: LogPosition(9) };
        assert_eq!(CheckpointEnd::decode(&end.encode()), Some(end));
        assert_eq!(CheckpointEnd::decode(&end.encode()[..39]), None);
    }

    #[test]
    fn names_and_numbers_match() {
        assert_eq!(checkpoint_name(7).to_str(), Some("0000000007.checkpoint"));
        for (name, number) in
            [("0000000007.checkpoint", Some(7)), ("7.checkpoint", None), ("0000000007.checkpoint.tmp", None)]
        {
            assert_eq!(checkpoint_number(name), number);
        }
    }
}
