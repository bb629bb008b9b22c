//! The tables of a shard: keys of 14 bytes, values of 64, in the 16,384 tables of one node.
//!
//! With 1,000 keys everything is in the processor's caches; with a million each step waits for memory, as it does for one request alone.
//! (Pipelined requests fetch the memory of several keys at once, which this leaves out.)
//!
//! Run with `cargo bench -p carousel-benches --bench table`.

use std::hint::black_box;

use carousel_protocol::key_slot;
use carousel_server::store::{KeyHasher, Table};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const VALUE: [u8; 64] = [b'v'; 64];

struct Tables {
    hasher: KeyHasher,
    tables: Vec<Table>,
}

impl Tables {
    fn new() -> Self {
        Self { hasher: KeyHasher::new(1), tables: (0..16_384).map(|_| Table::new()).collect() }
    }

    fn set(&mut self, key: &[u8]) -> bool {
        let Self { hasher, tables } = self;
        tables[key_slot(key).index()].set(hasher, hasher.hash(key), key, black_box(&VALUE), None)
    }

    fn get(&self, key: &[u8]) -> bool {
        self.tables[key_slot(key).index()].get(self.hasher.hash(key), key).is_some()
    }
}

fn keys(count: u32) -> Vec<[u8; 14]> {
    (0..count).map(|n| format!("key:{n:010}").into_bytes().try_into().expect("14 bytes")).collect()
}

fn tables(criterion: &mut Criterion) {
    for count in [1_000, 1_000_000] {
        let keys = keys(count);
        let mut full = Tables::new();
        for key in &keys {
            full.set(key);
        }
        // Neither the order of insertion nor that of memory.
        let mut next = 0;
        let mut draw = || {
            next = (next + 7_919) % keys.len();
            &keys[next]
        };
        let mut group = criterion.benchmark_group(format!("table of {count} keys"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("get", |bencher| bencher.iter(|| full.get(draw())));
        group.bench_function("get of an absent key", |bencher| {
            bencher.iter(|| full.get(black_box(b"absent:0000000")))
        });
        group.bench_function("set of a present key", |bencher| bencher.iter(|| full.set(draw())));
        group.finish();
    }
    let keys = keys(100_000);
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(keys.len() as u64)).sample_size(10);
    group.bench_function("100,000 keys from empty", |bencher| {
        bencher.iter_batched_ref(
            Tables::new,
            |tables| keys.iter().filter(|key| tables.set(*key)).count(),
            BatchSize::PerIteration,
        )
    });
    group.finish();
}

criterion_group!(benches, tables);
criterion_main!(benches);
