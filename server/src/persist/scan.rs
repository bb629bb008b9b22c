//! Finding the end of a log.

use std::io;
use std::path::Path;
use std::sync::Arc;

use carousel_protocol::Incarnation;

use super::log::{LogOptions, Segment};
use super::record::{RecordHeader, RecordKind};
use super::recover::{LastEnd, LogMarks, LogReport, RecordSink, RecoverError, TornEnd};
use super::segment::{
    Evidence, LogIdentity, LogPosition, SEGMENT_HEADER_BYTES, ScanStop, SegmentHeader, SegmentHeaderError,
    scan_records, segment_name, segment_number,
};
use super::storage::{Storage, StorageFile};

/// A log as it was found.
pub(super) struct Scan {
    pub(super) report: LogReport,
    pub(super) salt: u64,
    /// Files there are, those that do not count included.
    files: u64,
    /// The end of each segment that counts, in order: at least of the first.
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

impl Scan {
    /// Reads a log up to its end, and decides whether that is one.
    pub(super) fn run<S: Storage>(
        storage: &S,
        dir: &Path,
        identity: LogIdentity,
        last_end: LastEnd,
        sink: &mut RecordSink<'_>,
    ) -> Result<Self, RecoverError> {
        let io_error = |error| RecoverError::Io { dir: dir.to_owned(), error };
        let mut scan = Self {
            report: LogReport::default(),
            salt: 0,
            files: count_segments(storage, dir)?,
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
        for number in 1..=scan.files {
            let file = dir.join(segment_name(number));
            let segment = storage.map(&file).map_err(io_error)?;
            if scan.ends.len() as u64 + 1 < number {
                scan.look_past_end(&segment);
                continue;
            }
            let header = scan.header(&segment, &file, identity, number)?;
            match header {
                Some(header) if header.base == scan.end() => {
                    scan.read_segment(&segment, header, &file, sink)?
                }
                // The first header was synced before the log existed: no crash damages it.
                _ if number == 1 => return Err(RecoverError::NoBeginning { file }),
                _ => {
                    scan.later_begins = header.is_some();
                    scan.look_past_end(&segment);
                }
            }
        }
        scan.decide(dir, last_end)?;
        Ok(scan)
    }

    fn end(&self) -> LogPosition {
        self.ends.last().copied().unwrap_or_default()
    }

    /// The header of a segment, or `None` where it is damaged.
    fn header(
        &self,
        segment: &[u8],
        file: &Path,
        identity: LogIdentity,
        number: u64,
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
            && (number == 1 || header.salt == self.salt);
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
        sink: &mut RecordSink<'_>,
    ) -> Result<(), RecoverError> {
        self.salt = header.salt;
        self.base = header.base;
        let (end, stop) =
            scan_records(segment, SEGMENT_HEADER_BYTES, |header, payload| self.take(header, payload, sink));
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
        header: RecordHeader,
        payload: &[u8],
        sink: &mut RecordSink<'_>,
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
                sink(header, payload)
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
        let file = dir.join(segment_name(self.ends.len() as u64));
        // What one write cut short leaves: a part of itself, either here or at the beginning of the next file.
        let is_one_write = beyond.write_ends == 0
            && !self.later_begins
            && u64::from(self.behind.written) + self.later_written <= 1;
        if beyond.synced > self.end() || last_end == LastEnd::SameBoot && !is_one_write {
            return Err(RecoverError::Damaged { file, offset: self.offset });
        }
        self.report.bytes = self.end().0;
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
    ) -> io::Result<Segment<S::File>> {
        let number = self.ends.len() as u64;
        for later in (number + 1..=self.files).rev() {
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
            let earlier = at as u64 + 1;
            if earlier != number && *end > self.synced {
                storage.open_file(&dir.join(segment_name(earlier)))?.sync_data()?;
            }
        }
        file.sync_data()?;
        storage.sync_dir(dir)?;
        Ok(Segment { file: Arc::new(file), number, base: self.base, offset: self.offset, capacity })
    }
}

/// How many segments there are; their numbers are 1, 2, 3 and so on.
pub(super) fn count_segments<S: Storage>(storage: &S, dir: &Path) -> Result<u64, RecoverError> {
    let no_file = |number| RecoverError::NoBeginning { file: dir.join(segment_name(number)) };
    let names = match storage.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_file(1)),
        Err(error) => return Err(RecoverError::Io { dir: dir.to_owned(), error }),
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    for (number, found) in (1..).zip(&numbers) {
        if *found != number {
            return Err(no_file(number));
        }
    }
    if numbers.is_empty() { Err(no_file(1)) } else { Ok(numbers.len() as u64) }
}
