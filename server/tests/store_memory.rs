//! What a key costs in resident memory, measured with the allocator of the real server.
//!
//! One test only: the figure is the whole process'.

use carousel_protocol::key_slot;
use carousel_server::store::{KeyHasher, Stamp, Table};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Freed pages go back at once: what one round freed must not flatter the next.
// SAFETY: jemalloc looks for this symbol and reads it as a pointer to a text that ends with a zero.
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8; 34] = b"dirty_decay_ms:0,muzzy_decay_ms:0\0";

/// Bytes of this process in memory, from the kernel.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("has a resident size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("in KiB") * 1024
}

fn overhead_per_key(keys: usize, value_bytes: usize, is_noted: bool) -> f64 {
    let hasher = KeyHasher::new(keys as u64);
    let before = resident_bytes();
    let mut tables: Vec<Table> = (0..16_384).map(|_| Table::new()).collect();
    let value = vec![b'v'; value_bytes];
    for i in 0..keys {
        let key = format!("key:{i:010}");
        let hash = hasher.hash(key.as_bytes());
        let table = &mut tables[key_slot(key.as_bytes()).index()];
        table.set(&hasher, hash, key.as_bytes(), &value, None);
        if is_noted {
            table.get_noting(hash, key.as_bytes(), |_| Stamp::new(1));
        }
    }
    let payload = keys * (14 + value_bytes);
    let resident = (resident_bytes() - before) as f64 - payload as f64;
    let counted = tables.iter().map(|table| table.used_bytes() + size_of::<Table>()).sum::<usize>();
    let resident = resident / keys as f64;
    let counted = (counted - payload) as f64 / keys as f64;
    println!(
        "{keys} keys of 14 bytes, values of {value_bytes}, uses noted: {is_noted}: {resident:.1} bytes per key, {counted:.1} by count"
    );
    resident
}

#[test]
fn a_small_key_costs_less_than_25_bytes_above_itself() {
    let setups = [
        (1_000_000, 8),
        (1_000_000, 32),
        (1_000_000, 100),
        (1_500_000, 8),
        (1_500_000, 32),
        (1_500_000, 100),
    ];
    // With a policy that counts uses and without.
    for (is_noted, limit) in [(false, 25.0), (true, 29.0)] {
        let total: f64 = setups.iter().map(|&(keys, bytes)| overhead_per_key(keys, bytes, is_noted)).sum();
        let mean = total / setups.len() as f64;
        println!("mean: {mean:.1}");
        assert!(mean < limit, "{mean:.1} bytes per key");
    }
}
