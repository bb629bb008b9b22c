//! Records, and the effects in them: whatever decodes can be applied, and is the same when it is encoded again.

use carousel_protocol::{Epoch, Seq, ShardId, SlotId};
use carousel_server::command::{Effect, EffectIter, Tables};
use carousel_server::persist::RecordKind;
use carousel_server::persist::record::{RecordHeader, append_record, decode_record};
use carousel_server::store::KeyHasher;

use super::shard::content;

pub(super) const WORDS: &[&[u8]] = &[
    b"\x01\x01k\x01v",
    b"\x03\x01k",
    b"\x06\x05\x01k\x01v",
    b"\x07",
    b"\x08\x01k\x06\x01\x01\x00\x02ab",
    b"\x0a\x01k\x04\x01f\x01v",
    b"\x0c\x01k\x02\x01a",
    b"\x0e\x01k\x0b\x08\x00\x00\x00\x00\x00\x00\x00\x40\x01a",
    b"\x10\x00\x00\x01k\x02\x01a",
];

/// Patches that reach further into a value are left out: they are right, and take as much memory.
const PATCH_END_MAX: u64 = 1 << 20;

/// The bytes as records, and as the effects in one.
pub fn records(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((header, payload, size))) = decode_record(rest) {
        let mut again = Vec::new();
        append_record(&mut again, &header, payload);
        assert_eq!(again, rest[..size]);
        rest = &rest[size..];
    }
    let slot = SlotId::new(0).expect("slot 0");
    let header = RecordHeader { kind: RecordKind::Effects, slot, epoch: Epoch(1), seq: Seq(1) };
    let mut record = Vec::new();
    append_record(&mut record, &header, data);
    let (_, payload, _) = decode_record(&record).expect("just made").expect("all of it");
    apply(slot, payload);
}

fn apply(slot: SlotId, payload: &[u8]) {
    let tables = |seed| Tables::new(ShardId(0), 1024, KeyHasher::new(seed));
    let (mut ours, mut copy, mut again) = (tables(1), tables(2), Vec::new());
    for effect in EffectIter::new(payload) {
        let Ok((database, effect)) = effect else { break };
        if matches!(effect, Effect::Patch { offset, .. } if offset > PATCH_END_MAX) {
            break;
        }
        again.clear();
        effect.encode(&mut again);
        let (_, decoded) = EffectIter::new(&again).next().expect("one").expect("just encoded");
        assert_eq!(decoded, effect);
        ours.apply(slot, database, &effect);
        copy.apply(slot, database, &decoded);
        assert_eq!(content(&ours, slot), content(&copy, slot));
    }
}
