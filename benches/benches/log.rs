//! Appending to a shard's log: making records, with their checksums, and the write call of a turn. No sync: that is the disk's.
//!
//! A turn's records go into one write, so its price is shared by all requests of the turn. The log is made in the directory for
//! temporary files (`TMPDIR`); say so where that is not the kind of file system you mean.
//!
//! Run with `cargo bench -p carousel-benches --bench log`.

use std::hint::black_box;
use std::path::Path;

use carousel_protocol::{Epoch, NodeId, Seq, ShardId, SlotId};
use carousel_server::persist::{
    DiskStorage, Log, LogIdentity, LogOptions, RecordHeader, RecordKind, append_record, record_bytes,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Bytes after which a log is made anew, so that the disk is not filled.
const LOG_BYTES_MAX: u64 = 512 * 1024 * 1024;

fn header(seq: u64) -> RecordHeader {
    RecordHeader {
        kind: RecordKind::Effects,
        slot: SlotId::new(1).expect("a slot"),
        epoch: Epoch(1),
        seq: Seq(seq),
    }
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log: make a record");
    for payload_bytes in [100, 1_000, 16_384] {
        let payload = vec![b'p'; payload_bytes];
        let mut out = Vec::with_capacity(record_bytes(payload_bytes));
        group.throughput(Throughput::Bytes(payload_bytes as u64));
        group.bench_function(format!("of {payload_bytes} bytes"), |bencher| {
            bencher.iter(|| {
                out.clear();
                append_record(&mut out, &header(1), black_box(&payload));
                out.len()
            })
        });
    }
    group.finish();
}

fn create(dir: &Path) -> Log<DiskStorage> {
    // One that is full is in the way of the next.
    let _ = std::fs::remove_dir_all(dir);
    let identity = LogIdentity { node: NodeId([1; 20]), shard: ShardId(0) };
    Log::create(DiskStorage, dir, identity, LogOptions::default()).expect("the directory can be written to")
}

fn appends(criterion: &mut Criterion) {
    let files = tempfile::tempdir().expect("files can be made");
    let dir = files.path().join("log");
    let mut group = criterion.benchmark_group("log: write a turn");
    for requests in [1, 16, 256] {
        let mut turn = Vec::new();
        (0..requests).for_each(|seq| append_record(&mut turn, &header(seq), &[b'p'; 100]));
        let mut log = create(&dir);
        group.throughput(Throughput::Elements(requests));
        group.bench_function(format!("of {requests} records of 100 bytes"), |bencher| {
            bencher.iter(|| {
                if log.position().0 > LOG_BYTES_MAX {
                    log = create(&dir);
                }
                log.reserve(turn.len()).expect("there is room");
                log.append(black_box(&turn)).expect("it can be written")
            })
        });
    }
    group.finish();
}

criterion_group!(benches, records, appends);
criterion_main!(benches);
