//! Payloads for RESTORE: refused, or a value that DUMP and RESTORE keep as it is.

use carousel_protocol::command_table::lookup;
use carousel_protocol::resp::Reply;
use carousel_protocol::{Database, key_slot};
use carousel_server::rdb;

use super::shard::{Shard, content};

pub(super) const WORDS: &[&[u8]] = &[
    b"\xc0\x05",
    b"\xc3\x04\x09\x00a\xe0\x00\x00",
    b"\x0c\x0c\x00\x00\x00\x0a\x00\x00\x00\x01\x00",
    b"\x0a\x00\x00\x00\x01\x00\x01a\x02\xff",
    b"\x80\x00\x00\x00\x10",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x00\x00\x00\x00\x00\x00\xf0\x7f",
    b"\x00\x00\x00\x00\x00\x00\xf8\x7f",
    b"\xfe\x00\x01\x00\x00",
    b"inf",
];

/// The bytes as a payload, and as type and value of one whose version and checksum are right.
pub fn restore(data: &[u8]) {
    assert!(
        rdb::load(data, &mut |_| Ok(())).is_err() || data.len() > 10,
        "a checksum is never met by chance"
    );
    let mut payload = [data, &rdb::VERSION.to_le_bytes()].concat();
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Redis, &payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    let mut shard = Shard::new();
    let [restore, dump] = [&b"RESTORE"[..], b"DUMP"].map(|name| lookup(name).expect("a command"));
    let slot = key_slot(b"k");
    let Reply::Simple(_) = shard.run(restore, &[b"RESTORE", b"k", b"0", &payload]) else {
        assert!(content(&shard.tables, slot).is_empty(), "what is refused leaves nothing");
        return;
    };
    let Reply::Bulk(again) = shard.run(dump, &[b"DUMP", b"k"]) else { panic!("the key is there") };
    let first = content(&shard.tables, slot);
    let reply = shard.run(restore, &[b"RESTORE", b"k", b"0", again.as_ref(), b"REPLACE"]);
    assert!(matches!(reply, Reply::Simple(_)), "what was dumped is restored: {reply:?}");
    assert_eq!(content(&shard.tables, slot), first);
    let at = shard.tables.key_at(slot, Database::MAIN, b"k");
    let entry = shard.tables.peek(at, b"k", 0).expect("it is there");
    let parts = entry.value().content();
    if let carousel_server::store::Value::SortedSet(set) = entry.value() {
        let scores: Vec<f64> = set.iter_from(0).map(|(score, _)| score).collect();
        assert!(scores.is_sorted() && scores.iter().all(|score| !score.is_nan()), "{scores:?}");
    }
    assert!(!parts.is_empty(), "no key holds nothing");
}
