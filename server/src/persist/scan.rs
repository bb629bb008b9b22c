//! Finding the end of a log.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use carousel_protocol::Incarnation;

use super::checkpoint::Reach;
use super::index::index_number;
use super::log::{LogOptions, SealedSegment, Segment};
use super::record::{RecordHeader, RecordKind, record_bytes};
use super::recover::{LastEnd, LogMarks, LogReport, RecoverError, TornEnd};
use super::segment::{
    Evidence, LogIdentity, LogPosition, SEGMENT_HEADER_BYTES, ScanStop, SegmentHeader, SegmentHeaderError,
    scan_records, segment_name, segment_number,
};
use super::storage::{Storage, StorageFile};

/// A log as it was found.
pub(super) struct Scan {
    pub(super) report: LogReport,
    pub(super) salt: u64,
    /// The segments that there are, those that do not count included.
    files: SegmentFiles,
    /// Where reading began.
    begin: LogPosition,
    /// The end of each segment that was read and counts, in order: at least of the first.
    ends: Vec<LogPosition>,
    /// The position at which the last of them begins.
    base: LogPosition,
    /// Bytes of the last of them that count.
    offset: u64,
    /// And that there are.
    file_bytes: u64,
    /// What is in the last of them behind `offset`.
    behind: Evidence,
    /// What is in the files after it.
    later: Evidence,
    /// Whether the first of those has an intact header, which then names another position than the end.
    later_begins: bool,
    /// Of those, how many hold anything.
    later_written: u64,
    /// The highest position that the log itself says was synced.
    synced: LogPosition,
}

/// Where the records of a log go, each with its position.
pub(super) type LogVisitor<'a> = dyn FnMut(LogPosition, RecordHeader, &[u8]) -> Result<(), String> + 'a;

/// The numbers of a log's segments.
#[derive(Clone, Debug)]
pub(super) struct SegmentFiles {
    /// The oldest of those that follow each other without a gap.
    pub(super) oldest: u64,
    /// The first that is to be read.
    pub(super) first: u64,
    /// The last of those that follow it without a gap.
    pub(super) last: u64,
    /// Those behind a gap: not all file systems keep names in the order in which they came, until they are synced.
    pub(super) behind_gap: Vec<u64>,
}

impl Scan {
    /// Reads a log up to its end, from where a checkpoint says, and decides whether that is one.
    pub(super) fn run<S: Storage>(
        storage: &S,
        dir: &Path,
        identity: LogIdentity,
        last_end: LastEnd,
        checkpoint: Option<&Reach>,
        sink: &mut LogVisitor<'_>,
    ) -> Result<Self, RecoverError> {
        let begin = checkpoint.map_or(LogPosition(0), |checkpoint| checkpoint.end.extent.replay_from);
        let first = checkpoint.map_or(1, |checkpoint| checkpoint.end.segment);
        let files = find_segments(storage, dir, first)?;
        let (first, last) = (files.first, files.last);
        if last_end == LastEnd::SameBoot && !files.behind_gap.is_empty() {
            return Err(RecoverError::NoBeginning { file: dir.join(segment_name(last + 1)) });
        }
        let io_error = |error| RecoverError::Io { dir: dir.to_owned(), error };
        let mut scan = Self {
            report: LogReport::default(),
            salt: checkpoint.map_or(0, |checkpoint| checkpoint.header.salt),
            files,
            begin,
            ends: Vec::new(),
            base: LogPosition(0),
            offset: 0,
            file_bytes: 0,
            behind: Evidence::default(),
            later: Evidence::default(),
            later_begins: false,
            later_written: 0,
            synced: LogPosition(0),
        };
        scan.report.marks.started = checkpoint.and_then(|checkpoint| checkpoint.header.started);
        let knows_salt = checkpoint.is_some();
        for number in first..=last {
            let file = dir.join(segment_name(number));
            let segment = storage.map(&file).map_err(io_error)?;
            let is_first = number == first;
            if first + (scan.ends.len() as u64) < number {
                scan.look_past_end(&segment);
                continue;
            }
            let header = scan.header(&segment, &file, identity, number, is_first && !knows_salt)?;
            match header {
                Some(header) if header.base == scan.end() || is_first && header.base <= begin => {
                    scan.read_segment(&segment, header, &file, sink)?
                }
                // The first header was synced before the log existed, or before the checkpoint did that begins here: no
                // crash damages it.
                _ if is_first => return Err(RecoverError::NoBeginning { file }),
                _ => {
                    scan.later_begins = header.is_some();
                    scan.look_past_end(&segment);
                }
            }
        }
        for number in scan.files.behind_gap.clone() {
            scan.look_past_end(&storage.map(&dir.join(segment_name(number))).map_err(io_error)?);
        }
        scan.decide(dir, last_end)?;
        if let Some(checkpoint) = checkpoint
            && scan.end() < checkpoint.end.extent.end
        {
            // All of the log up to there was synced before the checkpoint was one.
            return Err(RecoverError::ShorterThanCheckpoint {
                file: dir.join(segment_name(scan.last_number())),
                offset: scan.offset,
                checkpoint: checkpoint.file.clone(),
            });
        }
        Ok(scan)
    }

    fn end(&self) -> LogPosition {
        self.ends.last().copied().unwrap_or(self.begin)
    }

    /// The number of the last segment that counts.
    fn last_number(&self) -> u64 {
        self.files.first + self.ends.len() as u64 - 1
    }

    /// The header of a segment, or `None` where it is damaged.
    fn header(
        &self,
        segment: &[u8],
        file: &Path,
        identity: LogIdentity,
        number: u64,
        brings_salt: bool,
    ) -> Result<Option<SegmentHeader>, RecoverError> {
        let header = match SegmentHeader::decode(segment) {
            Ok(header) => header,
            Err(SegmentHeaderError::Damaged) => return Ok(None),
            Err(error @ SegmentHeaderError::Version(_)) => {
                return Err(RecoverError::Unsupported {
                    file: file.to_owned(),
                    offset: 0,
                    reason: error.to_string(),
                });
            }
        };
        let is_ours = header.identity == identity
            && header.number == number
            && (brings_salt || header.salt == self.salt);
        if !is_ours {
            let LogIdentity { node, shard } = header.identity;
            return Err(RecoverError::Foreign { file: file.to_owned(), node, shard: shard.0 });
        }
        Ok(Some(header))
    }

    /// Reads the segment that continues the log.
    fn read_segment(
        &mut self,
        segment: &[u8],
        header: SegmentHeader,
        file: &Path,
        sink: &mut LogVisitor<'_>,
    ) -> Result<(), RecoverError> {
        self.salt = header.salt;
        self.base = header.base;
        let mut position = self.end().max(header.base);
        let from = SEGMENT_HEADER_BYTES + (position.0 - header.base.0) as usize;
        if from > segment.len() {
            return Err(RecoverError::NoBeginning { file: file.to_owned() });
        }
        let (end, stop) = scan_records(segment, from, |header, payload| {
            let at = position;
            position.0 += record_bytes(payload.len()) as u64;
            self.take(at, header, payload, sink)
        });
        let (file, offset) = (file.to_owned(), end as u64);
        match stop {
            ScanStop::NoRecord => {}
            ScanStop::Unsupported(error) => {
                return Err(RecoverError::Unsupported { file, offset, reason: error.to_string() });
            }
            ScanStop::Refused(reason) => return Err(RecoverError::Content { file, offset, reason }),
        }
        self.offset = offset;
        self.file_bytes = segment.len() as u64;
        self.ends.push(LogPosition(self.base.0 + offset - SEGMENT_HEADER_BYTES as u64));
        // If a next segment begins at this end, then nothing is missing and this is forgotten.
        self.behind = Evidence::collect(segment, end, self.salt);
        Ok(())
    }

    fn take(
        &mut self,
        position: LogPosition,
        header: RecordHeader,
        payload: &[u8],
        sink: &mut LogVisitor<'_>,
    ) -> Result<(), String> {
        match header.kind {
            RecordKind::WriteEnd if header.epoch.0 == self.salt => {
                self.synced = self.synced.max(LogPosition(header.seq.0));
                Ok(())
            }
            RecordKind::WriteEnd => Err("it ends a write to another log".to_owned()),
            RecordKind::Start => {
                self.report.marks =
                    LogMarks { started: Some(Incarnation(header.epoch.0)), stopped_cleanly: None };
                Ok(())
            }
            RecordKind::CleanStop => {
                self.report.marks.stopped_cleanly = Some(Incarnation(header.epoch.0));
                Ok(())
            }
            RecordKind::Effects
            | RecordKind::Barrier
            | RecordKind::Promise
            | RecordKind::Drop
            | RecordKind::InstallBegin
            | RecordKind::InstallPart
            | RecordKind::InstallDone
            | RecordKind::SetPosition
            | RecordKind::Begin
            | RecordKind::Commit
            | RecordKind::Settled => {
                self.report.marks.stopped_cleanly = None;
                self.report.records += 1;
                sink(position, header, payload)
            }
            RecordKind::CheckpointSlot | RecordKind::CheckpointEnd => {
                Err(format!("a {:?} has no place in a log", header.kind))
            }
        }
    }

    /// Takes note of a file that does not continue the log.
    fn look_past_end(&mut self, segment: &[u8]) {
        let evidence = Evidence::collect(segment, 0, self.salt);
        self.later_written += u64::from(evidence.written);
        self.later = self.later.and(evidence);
    }

    /// Tells a torn end from damage; see [`super::segment`].
    fn decide(&mut self, dir: &Path, last_end: LastEnd) -> Result<(), RecoverError> {
        let beyond = self.behind.and(self.later);
        let file = dir.join(segment_name(self.last_number()));
        // What one write cut short leaves: a part of itself, either here or at the beginning of the next file.
        let is_one_write = beyond.write_ends == 0
            && !self.later_begins
            && u64::from(self.behind.written) + self.later_written <= 1;
        if beyond.synced > self.end() || last_end == LastEnd::SameBoot && !is_one_write {
            if !self.files.behind_gap.is_empty() {
                return Err(RecoverError::NoBeginning { file: dir.join(segment_name(self.files.last + 1)) });
            }
            return Err(RecoverError::Damaged { file, offset: self.offset });
        }
        self.report.bytes = self.end().0 - self.begin.0;
        self.report.torn = beyond.written.then_some(TornEnd { file, offset: self.offset });
        Ok(())
    }

    /// Removes what is beyond the end and makes the rest durable. Each step leaves a log that is found to end at the
    /// same place.
    pub(super) fn repair<S: Storage>(
        &self,
        storage: &S,
        dir: &Path,
        options: LogOptions,
    ) -> io::Result<(Segment<S::File>, VecDeque<SealedSegment>)> {
        let number = self.last_number();
        // An index is of a full segment: this one goes on, and what is behind it goes. First, for it would fit what is
        // then written under the same number.
        for name in storage.list(dir)? {
            if index_number(&name).is_some_and(|of| of >= number || of < self.files.oldest) {
                storage.remove_file(&dir.join(name))?;
            }
        }
        for later in self.files.behind_gap.iter().copied().rev().chain((number + 1..=self.files.last).rev()) {
            storage.remove_file(&dir.join(segment_name(later)))?;
        }
        let file = storage.open_file(&dir.join(segment_name(number)))?;
        let mut capacity = self.file_bytes;
        if self.behind.written {
            file.truncate(self.offset)?;
            capacity = self.offset;
        }
        let wanted = options.segment_bytes.max(capacity);
        match file.preallocate(wanted) {
            Ok(()) => capacity = wanted,
            // Reading goes on, and writing when there is room for a new segment.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(error) => return Err(error),
        }
        // What the last process wrote is about to be reported to others, as held by this node.
        for (at, end) in self.ends.iter().enumerate() {
            let earlier = self.files.first + at as u64;
            if earlier != number && *end > self.synced {
                storage.open_file(&dir.join(segment_name(earlier)))?.sync_data()?;
            }
        }
        file.sync_data()?;
        storage.sync_dir(dir)?;
        let sealed = self.sealed(storage, dir)?;
        let segment =
            Segment { file: Arc::new(file), number, base: self.base, offset: self.offset, capacity };
        Ok((segment, sealed))
    }

    /// The segments before the last; removes those that are left over from a cut that did not end.
    fn sealed<S: Storage>(&self, storage: &S, dir: &Path) -> io::Result<VecDeque<SealedSegment>> {
        for name in storage.list(dir)? {
            if segment_number(&name).is_some_and(|number| number < self.files.oldest) {
                storage.remove_file(&dir.join(name))?;
            }
        }
        let mut sealed = VecDeque::new();
        for number in self.files.oldest..self.last_number() {
            let segment = storage.map(&dir.join(segment_name(number)))?;
            match SegmentHeader::decode(&segment) {
                Ok(header) if header.number == number => {
                    sealed.push_back(SealedSegment { number, base: header.base })
                }
                // One that no start needs: nothing before it can be of use either.
                _ => sealed.clear(),
            }
        }
        Ok(sealed)
    }
}

/// The segments that there are, `first` being the first that is needed. Older ones may be there as well; those behind a gap
/// are left over from a cut that did not end.
pub(super) fn find_segments<S: Storage>(
    storage: &S,
    dir: &Path,
    first: u64,
) -> Result<SegmentFiles, RecoverError> {
    let no_file = |number| RecoverError::NoBeginning { file: dir.join(segment_name(number)) };
    let names = match storage.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_file(first)),
        Err(error) => return Err(RecoverError::Io { dir: dir.to_owned(), error }),
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let is_there = |number: &u64| numbers.binary_search(number).is_ok();
    let last = (first..).take_while(is_there).last().ok_or(no_file(first))?;
    let oldest = (1..first).rev().take_while(is_there).last().unwrap_or(first);
    let behind_gap = numbers.iter().copied().filter(|number| *number > last).collect();
    Ok(SegmentFiles { oldest, first, last, behind_gap })
}
