//! Tests of logs and data directories as wholes, on storage that fails.

mod checkpoint;
mod crash;
mod damage;
mod directory;
mod full;
mod syncing;

use std::path::Path;

use carousel_protocol::{Epoch, NodeId, Seq, ShardId, SlotId};

use super::recover::{LastEnd, open_log, read_log};
use super::storage::memory::MemoryStorage;
use super::*;

const DIR: &str = "/data/log";
const IDENTITY: LogIdentity = LogIdentity { node: NodeId([9; 20]), shard: ShardId(2) };
/// Small, so that a few records fill a segment.
const OPTIONS: LogOptions = LogOptions { segment_bytes: 1024 };

/// The `seq`th record of a test: its length and content follow from its number.
fn record(seq: u64) -> Vec<u8> {
    let header = RecordHeader {
        kind: RecordKind::Effects,
        slot: SlotId::new((seq * 37 % 16384) as u16).unwrap(),
        epoch: Epoch(3),
        seq: Seq(seq),
    };
    let mut out = Vec::new();
    let payload: Vec<u8> = (0..seq * 31 % 120).map(|i| (seq * 7 + i) as u8).collect();
    append_record(&mut out, &header, &payload);
    out
}

fn records(seqs: impl IntoIterator<Item = u64>) -> Vec<u8> {
    seqs.into_iter().flat_map(record).collect()
}

/// Collects what a sink is given, as the numbers of the records, after checking that they are as [`record`] makes them.
#[derive(Default)]
struct Seen(Vec<u64>);

impl Seen {
    fn take(&mut self, header: RecordHeader, payload: &[u8]) -> Result<(), String> {
        let mut bytes = Vec::new();
        append_record(&mut bytes, &header, payload);
        assert_eq!(bytes, record(header.seq.0), "a record that was never written");
        self.0.push(header.seq.0);
        Ok(())
    }
}

fn create(storage: &MemoryStorage) -> Log<MemoryStorage> {
    storage.create_dir(Path::new("/data")).unwrap();
    let log = Log::create(storage.clone(), Path::new(DIR), IDENTITY, OPTIONS).unwrap();
    // As a rewrite does before it names them the current logs.
    for dir in ["/", "/data"] {
        storage.sync_dir(Path::new(dir)).unwrap();
    }
    log
}

fn open(
    storage: &MemoryStorage,
    last_end: LastEnd,
) -> Result<(Log<MemoryStorage>, LogReport, Vec<u64>), RecoverError> {
    let mut seen = Seen::default();
    let mut sink = |header, payload: &[u8]| seen.take(header, payload);
    let (log, report) =
        open_log(storage.clone(), Path::new(DIR), IDENTITY, OPTIONS, last_end, &[], &mut sink)?;
    assert_eq!(report.records, seen.0.len() as u64);
    Ok((log, report, seen.0))
}

fn read(storage: &MemoryStorage, last_end: LastEnd) -> Result<(LogReport, Vec<u64>), RecoverError> {
    let mut seen = Seen::default();
    let report = read_log(storage, Path::new(DIR), IDENTITY, last_end, &[], &mut |header, payload| {
        seen.take(header, payload)
    })?;
    Ok((report, seen.0))
}

use super::storage::Storage;
