//! Where in a segment each slot's records are, so that the last records of one slot can be read without reading the log.
//!
//! A file beside each segment that is full, written when there is time; a segment whose index is missing or damaged is
//! read instead.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `CAROUIDX` |
//! | 8 | 4 | version, [`INDEX_VERSION`] |
//! | 12 | 4 | number of slots that have records |
//! | 16 | 8 | number of the segment |
//! | 24 | 8 | salt of the log |
//! | 32 | | per slot, ascending: slot (2 bytes), number of records, and the offset of each in the segment as its distance from the one before; numbers are LEB128 varints |
//! | end - 4 | 4 | CRC-32C of all before |

use std::io;
use std::path::{Path, PathBuf};

use carousel_protocol::{Seq, SlotId};

use super::record::{RecordHeader, RecordKind, decode_record, peek_record, u32_at, u64_at};
use super::segment::{LogPosition, SEGMENT_HEADER_BYTES, SegmentHeader, scan_records, segment_name};
use super::storage::{Storage, replace_file};
use crate::varint::{put_varint, take_varint, varint_bytes, write_varint};

/// The version of the index that this build writes, and the only one it uses.
pub const INDEX_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"CAROUIDX";
const HEADER_BYTES: usize = 32;

/// The name of a segment's index.
pub(super) fn index_name(number: u64) -> PathBuf {
    segment_name(number).with_extension("index")
}

/// The number in the name of an index.
pub(super) fn index_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".index")?.parse().ok()?;
    (index_name(number).to_str() == Some(name)).then_some(number)
}

/// Offsets of records in a segment, ascending.
type Offsets = Vec<usize>;

/// Which slots the records of a segment are of, in the order in which they were written: what its index is made of. Taken down
/// while they are written, three or four bytes a record, since reading a segment again costs a tenth of what writing it did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct IndexNotes {
    /// Per record of a slot: the slot (2 bytes), and how far behind the one before the record begins, as a varint.
    bytes: Vec<u8>,
    /// Where the last of these begins.
    last: usize,
}

impl IndexNotes {
    /// Those of a segment that is written.
    fn of(segment: &[u8]) -> Self {
        let mut notes = Self::default();
        let mut offset = SEGMENT_HEADER_BYTES;
        scan_records(segment, SEGMENT_HEADER_BYTES, |header, payload| -> Result<(), ()> {
            notes.note(header.kind, header.slot.get(), offset);
            offset += super::record::record_bytes(payload.len());
            Ok(())
        });
        notes
    }

    /// These records, whole ones, were written at `offset`.
    pub(super) fn note_all(&mut self, records: &[u8], offset: usize) {
        let mut at = 0;
        while let Some((kind, slot, bytes)) = peek_record(&records[at..]) {
            self.note(kind, slot, offset + at);
            at += bytes;
        }
        debug_assert_eq!(at, records.len(), "whole records");
    }

    #[inline]
    fn note(&mut self, kind: RecordKind, slot: u16, offset: usize) {
        if is_of_slot(kind) {
            self.bytes.extend_from_slice(&slot.to_le_bytes());
            put_varint(&mut self.bytes, (offset - self.last) as u64);
            self.last = offset;
        }
    }

    /// Slot and offset of each.
    fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        let (mut rest, mut offset) = (&self.bytes[..], 0);
        std::iter::from_fn(move || {
            let (slot, after) = rest.split_first_chunk()?;
            rest = after;
            offset += take_varint(&mut rest).expect("whole notes") as usize;
            Some((usize::from(u16::from_le_bytes(*slot)), offset))
        })
    }

    /// The index that they make: first it is seen how much each slot has, then each record goes to its place.
    fn index(&self, number: u64, salt: u64) -> Vec<u8> {
        let mut slots = vec![SlotRecords::default(); usize::from(SlotId::COUNT)];
        for (slot, offset) in self.iter() {
            let slot = &mut slots[slot];
            slot.records += 1;
            slot.bytes += varint_bytes((offset - slot.last) as u64);
            slot.last = offset;
        }
        let present = slots.iter().filter(|slot| slot.records > 0);
        let bytes = present.clone().map(|slot| 2 + varint_bytes(slot.records) + slot.bytes).sum::<usize>();
        let mut out = Vec::with_capacity(HEADER_BYTES + bytes + 4);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&INDEX_VERSION.to_le_bytes());
        out.extend_from_slice(&(present.count() as u32).to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&salt.to_le_bytes());
        for (id, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.records > 0) {
            out.extend_from_slice(&(id as u16).to_le_bytes());
            put_varint(&mut out, slot.records);
            (slot.last, slot.at) = (0, out.len());
            out.resize(out.len() + slot.bytes, 0);
        }
        for (slot, offset) in self.iter() {
            let slot = &mut slots[slot];
            slot.at += write_varint(&mut out[slot.at..], (offset - slot.last) as u64);
            slot.last = offset;
        }
        let crc = crc_fast::crc32_iscsi(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

/// One slot's part of an index that is made.
#[derive(Clone, Copy, Default)]
struct SlotRecords {
    records: u64,
    /// Bytes of their distances.
    bytes: usize,
    /// The offset of the last.
    last: usize,
    /// Where in the file the next distance goes.
    at: usize,
}

/// The offsets of one slot's records, or `None` where the file is not that segment's index as it was written.
fn offsets_of(file: &[u8], number: u64, salt: u64, slot: SlotId) -> Option<Offsets> {
    let end = file.len().checked_sub(4).filter(|end| *end >= HEADER_BYTES)?;
    let is_intact = file[..8] == *MAGIC
        && u32_at(file, end) == crc_fast::crc32_iscsi(&file[..end])
        && u32_at(file, 8) == INDEX_VERSION
        && u64_at(file, 16) == number
        && u64_at(file, 24) == salt;
    if !is_intact {
        return None;
    }
    let mut rest = &file[HEADER_BYTES..end];
    for _ in 0..u32_at(file, 12) {
        let (raw, after) = rest.split_first_chunk()?;
        rest = after;
        let count = take_varint(&mut rest).ok()?;
        let is_it = u16::from_le_bytes(*raw) == slot.get();
        let mut offsets = Vec::new();
        let mut at = 0;
        for _ in 0..count {
            at += take_varint(&mut rest).ok()? as usize;
            if is_it {
                offsets.push(at);
            }
        }
        if is_it {
            return Some(offsets);
        }
    }
    Some(Vec::new())
}

/// Kinds that belong to the history of their slot.
fn is_of_slot(kind: RecordKind) -> bool {
    match kind {
        RecordKind::Effects
        | RecordKind::Barrier
        | RecordKind::Drop
        | RecordKind::InstallBegin
        | RecordKind::InstallPart
        | RecordKind::InstallDone
        | RecordKind::SetPosition => true,
        RecordKind::Promise
        | RecordKind::Begin
        | RecordKind::Commit
        | RecordKind::Settled
        | RecordKind::Start
        | RecordKind::CleanStop
        | RecordKind::WriteEnd
        | RecordKind::CheckpointSlot
        | RecordKind::CheckpointEnd => false,
    }
}

/// Writes the index of a segment that is full. Blocks for some milliseconds; for some tens where the segment is read.
#[derive(Clone, Debug)]
pub struct IndexJob<S: Storage> {
    pub(super) storage: S,
    pub(super) dir: PathBuf,
    pub(super) number: u64,
    pub(super) salt: u64,
    /// `None`: the segment was not written by this process, or not all of it, and is read.
    pub(super) notes: Option<IndexNotes>,
}

impl<S: Storage> IndexJob<S> {
    /// Does it.
    pub fn run(self) -> io::Result<()> {
        let notes = match self.notes {
            Some(notes) => notes,
            None => IndexNotes::of(&self.storage.map(&self.dir.join(segment_name(self.number)))?),
        };
        let index = notes.index(self.number, self.salt);
        replace_file(&self.storage, &self.dir.join(index_name(self.number)), &index)
    }
}

/// Reads the last records of a slot from the segments of a log that are full.
#[derive(Clone, Debug)]
pub struct TailReader<S: Storage> {
    pub(super) storage: S,
    pub(super) dir: PathBuf,
    pub(super) salt: u64,
    /// Records before this may not count.
    pub(super) from: LogPosition,
    /// Numbers of the segments, ascending.
    pub(super) segments: Vec<u64>,
}

/// What a [`TailReader`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotTail {
    /// The records, as they are in the log, in their order: each has the seq after that of the one before.
    pub records: Vec<Vec<u8>>,
}

impl<S: Storage> TailReader<S> {
    /// The slot's records from the one with that seq on, as far as full segments have them. `None` where these do not go
    /// back so far, where the slot's copy was dropped or replaced since, or where a start since has passed over records: it
    /// reads on behind itself only. Blocks.
    ///
    /// Reads the segments from the last one back, of each what its index names.
    ///
    /// # Errors
    /// A segment that should be there cannot be read.
    pub fn read(&self, slot: SlotId, from: Seq) -> io::Result<Option<SlotTail>> {
        let mut records = Vec::new();
        for number in self.segments.iter().rev() {
            let segment = self.storage.map(&self.dir.join(segment_name(*number)))?;
            let Ok(SegmentHeader { base, .. }) = SegmentHeader::decode(&segment) else { return Ok(None) };
            for offset in self.offsets(*number, &segment, slot).into_iter().rev() {
                let Ok(Some((header, _, bytes))) = decode_record(&segment[offset..]) else {
                    return Ok(None);
                };
                let position = LogPosition(base.0 + (offset - SEGMENT_HEADER_BYTES) as u64);
                if position < self.from {
                    return Ok(None);
                }
                match Found::of(&header, from) {
                    Found::Wanted => records.push(segment[offset..offset + bytes].to_vec()),
                    Found::First => {
                        records.push(segment[offset..offset + bytes].to_vec());
                        records.reverse();
                        return Ok(Some(SlotTail { records }));
                    }
                    Found::Break => return Ok(None),
                }
            }
        }
        Ok(None)
    }

    /// The offsets of the slot's records in a segment: from its index, or by reading it.
    fn offsets(&self, number: u64, segment: &[u8], slot: SlotId) -> Offsets {
        let index = self.storage.map(&self.dir.join(index_name(number)));
        let known = index.ok().and_then(|index| offsets_of(&index, number, self.salt, slot));
        known.unwrap_or_else(|| {
            let notes = IndexNotes::of(segment);
            let own = notes.iter().filter(|(of, _)| *of == usize::from(slot.get()));
            own.map(|(_, offset)| offset).collect()
        })
    }
}

/// What a record is to a reader that goes back in a slot's history.
enum Found {
    Wanted,
    /// The one that was looked for.
    First,
    /// What is before it does not lead to what is behind it.
    Break,
}

impl Found {
    fn of(header: &RecordHeader, from: Seq) -> Self {
        match header.kind {
            RecordKind::Effects | RecordKind::Barrier if header.seq > from => Self::Wanted,
            RecordKind::Effects | RecordKind::Barrier if header.seq == from => Self::First,
            _ => Self::Break,
        }
    }
}

/// Has a segment no index that can be used? For those that a process left without when it died.
pub(super) fn lacks_index<S: Storage>(storage: &S, dir: &Path, number: u64, salt: u64) -> bool {
    let any = const { SlotId::new(0).unwrap() };
    let index = storage.map(&dir.join(index_name(number)));
    index.ok().and_then(|index| offsets_of(&index, number, salt, any)).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_reads_back_slot_by_slot_and_any_damage_to_it_is_seen() {
        let slot = |raw| SlotId::new(raw).unwrap();
        let mut notes = IndexNotes::default();
        for (of, offset) in [(3, 64), (3, 100), (16_383, 128), (3, 70_000)] {
            notes.note(RecordKind::Effects, of, offset);
        }
        let bytes = notes.index(9, 77);
        assert_eq!(offsets_of(&bytes, 9, 77, slot(3)), Some(vec![64, 100, 70_000]));
        assert_eq!(offsets_of(&bytes, 9, 77, slot(16_383)), Some(vec![128]));
        assert_eq!(offsets_of(&bytes, 9, 77, slot(4)), Some(vec![]));
        assert_eq!(offsets_of(&bytes, 8, 77, slot(3)), None, "of another segment");
        assert_eq!(offsets_of(&bytes, 9, 78, slot(3)), None, "of another log");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(offsets_of(&damaged, 9, 77, slot(3)), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(offsets_of(&bytes[..cut], 9, 77, slot(3)), None, "cut at {cut}");
        }
    }
}
