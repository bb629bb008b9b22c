//! The layout of one file of a log, and how to read one that may be damaged. Pure: works on bytes.
//!
//! A segment is preallocated in full and zero where nothing was written yet, so an append changes no length,
//! the end is where a length field is zero, and a failed write is undone by zeroing, which takes no space.
//!
//! Every write to a log ends with a `WriteEnd` record. It answers the one question that recovery has to answer about
//! bytes that are no record: *was this write torn, or was good data damaged afterwards?*
//!
//! - Intact ends of writes behind the bytes show that these were once whole. The kernel does not lose writes from the
//!   middle while it runs, so after the death of a process alone this is damage.
//! - After a power loss, unsynced writes may be missing in any order. There it is damage only if one of those ends says
//!   that an fdatasync had covered the bytes.
//!
//! Ends carry a salt that is random per log, because values are chosen by clients: a value that contains a
//! copy of a record, or of a whole log, must not be taken for part of this one.

use std::path::PathBuf;

use carousel_protocol::{NodeId, ShardId};

pub use super::record::LogPosition;
use super::record::{
    RECORD_HEADER_BYTES, RecordError, RecordHeader, RecordKind, decode_record, u32_at, u64_at,
};

/// The length of a segment, in bytes. A write that is longer gets a segment of its own size.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Bytes of a segment before its first record.
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// The version of the segment layout that this build writes, and the only one it reads.
pub const SEGMENT_VERSION: u32 = 1;
/// Bytes that every write to a log adds: its `WriteEnd`.
pub const WRITE_END_BYTES: usize = RECORD_HEADER_BYTES;

const MAGIC: &[u8; 8] = b"CAROULOG";

/// Whose log it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogIdentity {
    /// The node.
    pub node: NodeId,
    /// Its shard.
    pub shard: ShardId,
}

/// The beginning of every segment.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | `CAROULOG` |
/// | 8 | 4 | version, [`SEGMENT_VERSION`] |
/// | 12 | 2 | shard |
/// | 14 | 2 | zero |
/// | 16 | 20 | node id |
/// | 36 | 8 | number of the segment, from 1, also its file name |
/// | 44 | 8 | position in the log of its first record |
/// | 52 | 8 | salt of the log |
/// | 60 | 4 | CRC-32C of the 60 bytes before |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Whose log it belongs to.
    pub identity: LogIdentity,
    /// Its place among the segments, from 1.
    pub number: u64,
    /// Position of its first record.
    pub base: LogPosition,
    /// The same in all segments of a log.
    pub salt: u64,
}

/// Why a segment does not begin as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentHeaderError {
    /// Not the bytes that were written; or none were.
    #[error("its header is damaged")]
    Damaged,
    /// Intact, of another version.
    #[error("it has log format {0}; this build reads {SEGMENT_VERSION}")]
    Version(u32),
}

impl SegmentHeader {
    /// The bytes of the header.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.identity.shard.0.to_le_bytes());
        bytes[16..36].copy_from_slice(&self.identity.node.0);
        bytes[36..44].copy_from_slice(&self.number.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.base.0.to_le_bytes());
        bytes[52..60].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc_fast::crc32_iscsi(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the beginning of a segment.
    pub fn decode(segment: &[u8]) -> Result<Self, SegmentHeaderError> {
        let bytes = segment.get(..SEGMENT_HEADER_BYTES).ok_or(SegmentHeaderError::Damaged)?;
        if bytes[..8] != *MAGIC || u32_at(bytes, 60) != crc_fast::crc32_iscsi(&bytes[..60]) {
            return Err(SegmentHeaderError::Damaged);
        }
        let version = u32_at(bytes, 8);
        if version != SEGMENT_VERSION {
            return Err(SegmentHeaderError::Version(version));
        }
        Ok(Self {
            identity: LogIdentity {
                shard: ShardId(u16::from_le_bytes([bytes[12], bytes[13]])),
                node: NodeId(bytes[16..36].try_into().expect("20 bytes")),
            },
            number: u64_at(bytes, 36),
            base: LogPosition(u64_at(bytes, 44)),
            salt: u64_at(bytes, 52),
        })
    }
}

/// The file name of a segment.
pub fn segment_name(number: u64) -> PathBuf {
    format!("{number:010}.log").into()
}

/// The number in a segment's file name, or `None` for another file.
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let number = digits.parse().ok()?;
    (segment_name(number).to_str() == Some(name)).then_some(number)
}

/// What [`scan_records`] stopped at.
#[derive(Debug)]
pub enum ScanStop<E> {
    /// What follows is damaged, torn or was never written.
    NoRecord,
    /// An intact record that this build cannot use.
    Unsupported(RecordError),
    /// The visitor refused the record.
    Refused(E),
}

/// Calls `visit` with each record from `offset` on; returns where it stopped, and why.
pub fn scan_records<E>(
    segment: &[u8],
    mut offset: usize,
    mut visit: impl FnMut(RecordHeader, &[u8]) -> Result<(), E>,
) -> (usize, ScanStop<E>) {
    loop {
        match decode_record(&segment[offset..]) {
            Ok(Some((header, payload, bytes))) => {
                if let Err(refusal) = visit(header, payload) {
                    return (offset, ScanStop::Refused(refusal));
                }
                offset += bytes;
            }
            Err(error) if !error.is_damage() => return (offset, ScanStop::Unsupported(error)),
            Ok(None) | Err(_) => return (offset, ScanStop::NoRecord),
        }
    }
}

/// What is to be found behind bytes that are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// Whether anything but zeros is there.
    pub written: bool,
    /// Intact ends of writes of this log.
    pub write_ends: u64,
    /// The highest position that one of them says was synced.
    pub synced: LogPosition,
}

impl Evidence {
    /// Looks at every byte of `segment` from `offset` on, for writes of the log with that salt.
    pub fn collect(segment: &[u8], offset: usize, salt: u64) -> Self {
        let rest = segment.get(offset..).unwrap_or_default();
        let mut evidence = Self { written: rest.iter().any(|byte| *byte != 0), ..Self::default() };
        if !evidence.written {
            return evidence;
        }
        let pattern = salt.to_le_bytes();
        for (at, window) in rest.windows(RECORD_HEADER_BYTES).enumerate() {
            if window[12..20] != pattern {
                continue;
            }
            if let Ok(Some((header, ..))) = decode_record(&rest[at..])
                && header.kind == RecordKind::WriteEnd
            {
                evidence.write_ends += 1;
                evidence.synced = evidence.synced.max(LogPosition(header.seq.0));
            }
        }
        evidence
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            written: self.written || other.written,
            write_ends: self.write_ends + other.write_ends,
            synced: self.synced.max(other.synced),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{append_record, write_end_record};
    use super::*;
    use carousel_protocol::{Epoch, Seq, SlotId};

    fn header() -> SegmentHeader {
        SegmentHeader {
            identity: LogIdentity { node: NodeId([7; 20]), shard: ShardId(3) },
            number: 12,
            base: LogPosition(99_000),
            salt: 0x1234_5678_9abc_def0,
        }
    }

    #[test]
    fn a_header_reads_back_and_any_damage_to_it_is_seen() {
        let bytes = header().encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&damaged), Err(SegmentHeaderError::Damaged), "bit {bit}");
        }
        assert_eq!(SegmentHeader::decode(&bytes[..63]), Err(SegmentHeaderError::Damaged));
    }

    #[test]
    fn names_and_numbers_match() {
        assert_eq!(segment_name(7).to_str(), Some("0000000007.log"));
        for number in [1, 7, 9_999_999_999, 10_000_000_000] {
            assert_eq!(segment_number(segment_name(number).to_str().unwrap()), Some(number));
        }
        for other in ["7.log", "0000000007.log.old", "0000000007", "x.log", "+000000007.log"] {
            assert_eq!(segment_number(other), None, "{other}");
        }
    }

    #[test]
    fn only_this_logs_own_ends_of_writes_count_as_evidence() {
        let record = RecordHeader {
            kind: RecordKind::Effects,
            slot: SlotId::new(5).unwrap(),
            epoch: Epoch(1),
            seq: Seq(1),
        };
        let mut bytes = vec![0; 40];
        append_record(&mut bytes, &record, &write_end_record(1, 50));
        assert_eq!(
            Evidence::collect(&bytes, 0, 2),
            Evidence { written: true, write_ends: 0, synced: LogPosition(0) }
        );
        bytes.extend(write_end_record(2, 70));
        bytes.extend([0xff; 3]);
        bytes.extend(write_end_record(2, 60));
        assert_eq!(
            Evidence::collect(&bytes, 0, 2),
            Evidence { written: true, write_ends: 2, synced: LogPosition(70) }
        );
        assert_eq!(Evidence::collect(&[0; 100], 0, 2), Evidence::default());
        assert_eq!(Evidence::collect(&[1; 5], 5, 2), Evidence::default());
    }
}
