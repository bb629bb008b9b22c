//! Checkpoints that are damaged, and what a log's index and its retention are for.

use carousel_protocol::Incarnation;

use super::storage::memory::Faults;
use super::*;
use crate::persist::index::index_name;
use crate::persist::transactions::Void;
use crate::shard::checkpoint::{CheckpointExtent, SlotStart};

/// A checkpoint of all records before `count`, each slot's taken to be at the log's end.
fn checkpoint(log: &mut Log<MemoryStorage>, count: u64, retention: u64) {
    let header = log.begin_checkpoint(Some(Incarnation(3)));
    let mut writer = CheckpointWriter::create(log.storage().clone(), log.dir(), header, 0).unwrap();
    let end = log.position();
    let mut records = records(0..count);
    for seq in 0..count {
        let header = RecordHeader {
            kind: RecordKind::CheckpointSlot,
            slot: slot_of(seq),
            epoch: Epoch(3),
            seq: Seq(seq),
        };
        append_record(&mut records, &header, &SlotStart { all: end, building: None }.encode());
    }
    writer.write(&records).unwrap();
    let extent = CheckpointExtent { replay_from: end, end, records: 2 * count, keys: count };
    let end = log.end_checkpoint(extent);
    writer.finish(end).unwrap();
    log.sync().unwrap();
    writer.publish().unwrap();
    log.cut(end, retention).run().unwrap();
}

fn slot_of(seq: u64) -> SlotId {
    SlotId::new((seq * 37 % 16384) as u16).unwrap()
}

/// What a start finds: the numbers of the records in order, without those that only end a slot.
fn found(storage: &MemoryStorage, last_end: LastEnd) -> Result<Vec<u64>, RecoverError> {
    let mut found = Vec::new();
    read_log(storage, Path::new(DIR), IDENTITY, last_end, &[], &mut |header, payload| {
        if header.kind != RecordKind::CheckpointSlot {
            let mut bytes = Vec::new();
            append_record(&mut bytes, &header, payload);
            assert_eq!(bytes, record(header.seq.0), "a record that was never written");
            found.push(header.seq.0);
        }
        Ok(())
    })?;
    Ok(found)
}

/// 30 records, of which a checkpoint has the first 20.
fn sample(retention: u64) -> (MemoryStorage, Log<MemoryStorage>) {
    let storage = MemoryStorage::new(5);
    let mut log = create(&storage);
    for first in (0..20).step_by(2) {
        log.append(&records(first..first + 2)).unwrap();
    }
    checkpoint(&mut log, 20, retention);
    for first in (20..30).step_by(2) {
        log.append(&records(first..first + 2)).unwrap();
    }
    log.sync().unwrap();
    (storage, log)
}

#[test]
fn a_start_reads_the_checkpoint_and_what_follows_it() {
    let (storage, log) = sample(0);
    drop(log);
    for _ in 0..2 {
        assert!(found(&storage, LastEnd::SameBoot).unwrap().into_iter().eq(0..30));
        storage.lose_power();
        let mut sink = |_: RecordHeader, _: &[u8]| Ok(());
        let opened =
            open_log(storage.clone(), Path::new(DIR), IDENTITY, OPTIONS, LastEnd::OtherBoot, &[], &mut sink);
        let (_, report) = opened.unwrap();
        assert_eq!(report.marks.started, Some(Incarnation(3)), "the checkpoint knows what was cut off");
        assert_eq!((report.torn, report.records), (None, 50));
    }
    // And the next checkpoint takes its place.
    let mut sink = |_: RecordHeader, _: &[u8]| Ok(());
    let (mut log, _) =
        open_log(storage.clone(), Path::new(DIR), IDENTITY, OPTIONS, LastEnd::SameBoot, &[], &mut sink)
            .unwrap();
    checkpoint(&mut log, 30, 0);
    assert!(found(&storage, LastEnd::SameBoot).unwrap().into_iter().eq(0..30));
    let names = storage.list(Path::new(DIR)).unwrap();
    assert_eq!(names.iter().filter(|name| name.ends_with(".checkpoint")).count(), 1, "{names:?}");
}

#[test]
fn a_checkpoint_with_any_bit_flipped_or_cut_at_any_byte_stops_the_start() {
    let (original, _log) = sample(0);
    let file = Path::new(DIR).join("0000000001.checkpoint");
    let bytes = original.map(&file).unwrap().len();
    for bit in 0..bytes * 8 {
        let storage = original.duplicate(1);
        storage.damage(&file, |content| content[bit / 8] ^= 1 << (bit % 8));
        for last_end in [LastEnd::SameBoot, LastEnd::OtherBoot] {
            match found(&storage, last_end) {
                Err(RecoverError::DamagedCheckpoint { file: named, .. }) => assert_eq!(named, file),
                other => panic!("bit {bit}: {other:?}"),
            }
        }
    }
    for cut in 0..bytes {
        let storage = original.duplicate(1);
        storage.damage(&file, |content| content.truncate(cut));
        let error = found(&storage, LastEnd::OtherBoot).unwrap_err();
        assert!(matches!(error, RecoverError::DamagedCheckpoint { .. }), "cut at {cut}: {error}");
    }
    let storage = original.duplicate(1);
    storage.damage(&file, |content| content.push(0));
    let error = found(&storage, LastEnd::SameBoot).unwrap_err();
    assert!(error.to_string().contains("0000000001.checkpoint is damaged at byte"), "{error}");
}

#[test]
fn a_log_behind_a_checkpoint_with_any_bit_flipped_is_reported_or_loses_nothing_that_was_synced() {
    let (original, _log) = sample(3000);
    let files: Vec<_> =
        original.files().into_iter().filter(|file| file.extension().is_some_and(|e| e == "log")).collect();
    let (mut reported, mut harmless) = (0, 0);
    for file in &files {
        for byte in 0..OPTIONS.segment_bytes as usize {
            let storage = original.duplicate(1);
            storage.damage(file, |content| content[byte] ^= 0x10);
            match found(&storage, LastEnd::SameBoot) {
                Ok(found) => {
                    assert!(found.into_iter().eq(0..30), "byte {byte} of {}", file.display());
                    harmless += 1;
                }
                Err(
                    RecoverError::Damaged { .. }
                    | RecoverError::NoBeginning { .. }
                    | RecoverError::ShorterThanCheckpoint { .. },
                ) => reported += 1,
                Err(other) => panic!("byte {byte} of {}: {other}", file.display()),
            }
        }
    }
    assert!(
        reported > 300 && harmless > 300,
        "{reported} {harmless}: what is only retained is not looked at"
    );
}

#[test]
fn a_log_that_ends_before_its_checkpoint_is_damaged() {
    let storage = MemoryStorage::new(5);
    let mut log = create(&storage);
    log.append(&records(0..4)).unwrap();
    checkpoint(&mut log, 4, 0);
    let (file, from) = (Path::new(DIR).join("0000000001.log"), segment::SEGMENT_HEADER_BYTES);
    // As if the log had never been synced.
    storage.damage(&file, |content| content[from..].fill(0));
    drop(log);
    for last_end in [LastEnd::SameBoot, LastEnd::OtherBoot] {
        // Reading begins at the checkpoint's end, and nothing is there; what is missing before it shows in nothing.
        assert!(found(&storage, last_end).unwrap().into_iter().eq(0..4));
    }
    storage.damage(&file, |content| content.truncate(from + 10));
    let error = found(&storage, LastEnd::OtherBoot).unwrap_err();
    assert!(matches!(error, RecoverError::NoBeginning { .. }), "{error}");
}

/// Then what follows begins a segment, and the one before ends where the checkpoint goes on.
#[test]
fn a_checkpoint_that_ends_with_its_segment_keeps_it() {
    let storage = MemoryStorage::new(5);
    let mut log = create(&storage);
    log.append(&records(0..4)).unwrap();
    let header = log.begin_checkpoint(None);
    let mut writer = CheckpointWriter::create(storage.clone(), log.dir(), header, 0).unwrap();
    let position = log.position();
    let extent = CheckpointExtent { replay_from: position, end: position, records: 0, keys: 0 };
    let end = log.end_checkpoint(extent);
    writer.finish(end).unwrap();
    log.sync().unwrap();
    while storage.files().iter().filter(|file| file.extension().is_some_and(|e| e == "log")).count() < 2 {
        log.append(&records(4..16)).unwrap();
    }
    writer.publish().unwrap();
    assert_eq!(log.cut(end, 0).run().unwrap(), 0);
    assert!(found(&storage, LastEnd::SameBoot).unwrap().into_iter().eq(4..16));
}

#[test]
fn void_records_are_passed_over() {
    let (storage, _log) = sample(0);
    let mut positions = Vec::new();
    recover::survey_log(&storage, Path::new(DIR), IDENTITY, LastEnd::SameBoot, &mut |position, header, _| {
        positions.push((header.slot, position.0));
        Ok(())
    })
    .unwrap();
    assert_eq!(positions.len(), 10, "those that the checkpoint lacks");
    let void = Void { slots: vec![positions[3].0], from: positions[3].1, to: positions[5].1 };
    let mut seen = Vec::new();
    read_log(&storage, Path::new(DIR), IDENTITY, LastEnd::SameBoot, &[void], &mut |header, _| {
        if header.kind == RecordKind::Effects {
            seen.push(header.seq.0);
        }
        Ok(())
    })
    .unwrap();
    assert!(seen.into_iter().eq((0..30).filter(|seq| *seq != 23)));
}

/// Records of two slots by turns.
fn of_slots(seqs: std::ops::Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    for seq in seqs {
        for slot in [5, 900] {
            let slot = SlotId::new(slot).unwrap();
            let header = RecordHeader { kind: RecordKind::Effects, slot, epoch: Epoch(1), seq: Seq(seq) };
            append_record(&mut out, &header, &[7; 20]);
        }
    }
    out
}

#[test]
fn the_tail_of_a_slot_is_read_by_the_index_and_the_same_without_one() {
    let storage = MemoryStorage::new(5);
    let mut log = create(&storage);
    for seq in 1..60 {
        log.append(&of_slots(seq..seq + 1)).unwrap();
    }
    let slot = SlotId::new(900).unwrap();
    let without = log.tail_reader().read(slot, Seq(20)).unwrap().expect("it goes back so far");
    while let Some(mut job) = log.index_job() {
        assert!(job.notes.is_some(), "all of it was written by this process");
        let index = job.dir.join(index_name(job.number));
        job.clone().run().unwrap();
        let as_written = storage.map(&index).unwrap().to_vec();
        job.notes = None;
        job.run().unwrap();
        assert!(
            storage.map(&index).unwrap()[..] == as_written[..],
            "it is the one that reading the segment gives"
        );
    }
    let indexes: Vec<_> =
        storage.files().into_iter().filter(|f| f.extension().is_some_and(|e| e == "index")).collect();
    assert!(indexes.len() >= 3, "{indexes:?}");
    let with = log.tail_reader().read(slot, Seq(20)).unwrap().unwrap();
    assert_eq!(with, without);
    let seqs: Vec<_> =
        with.records.iter().map(|record| decode_record(record).unwrap().unwrap().0.seq.0).collect();
    assert!(seqs.iter().copied().eq(20..20 + seqs.len() as u64) && seqs.len() > 25, "{seqs:?}");
    assert_eq!(log.tail_reader().read(SlotId::new(6).unwrap(), Seq(1)).unwrap(), None, "it has none");
    // A damaged index is none.
    storage.damage(&indexes[1], |content| content[40] ^= 1);
    assert_eq!(log.tail_reader().read(slot, Seq(20)).unwrap().unwrap(), without);
    // A start writes what is missing, and takes away what no longer fits.
    drop(log);
    storage.lose_power();
    let mut sink = |_: RecordHeader, _: &[u8]| Ok(());
    let (mut log, _) =
        open_log(storage.clone(), Path::new(DIR), IDENTITY, OPTIONS, LastEnd::OtherBoot, &[], &mut sink)
            .unwrap();
    let mut jobs = 0;
    while let Some(job) = log.index_job() {
        job.run().unwrap();
        jobs += 1;
    }
    let sealed = log.tail_reader().segments.len();
    assert!((1..=sealed).contains(&jobs) || sealed == 0, "{jobs} of {sealed}");
}

#[test]
fn retention_keeps_what_a_checkpoint_would_cut() {
    for (retention, goes_back) in [(0, false), (100_000, true)] {
        let storage = MemoryStorage::new(5);
        let mut log = create(&storage);
        for seq in 1..60 {
            log.append(&of_slots(seq..seq + 1)).unwrap();
        }
        checkpoint(&mut log, 0, retention);
        for seq in 60..90 {
            log.append(&of_slots(seq..seq + 1)).unwrap();
        }
        let tail = log.tail_reader().read(SlotId::new(5).unwrap(), Seq(2)).unwrap();
        assert_eq!(tail.is_some(), goes_back, "retention {retention}");
        assert_eq!(log.kept_bytes() > 5_000, goes_back);
        let kept = log.tail_reader().segments.len();
        // Also after a restart.
        drop(log);
        storage.restart_process();
        let mut sink = |_: RecordHeader, _: &[u8]| Ok(());
        let (log, _) =
            open_log(storage.clone(), Path::new(DIR), IDENTITY, OPTIONS, LastEnd::SameBoot, &[], &mut sink)
                .unwrap();
        assert_eq!(log.tail_reader().segments.len(), kept);
    }
}

/// Both are number 1, and each is written on a thread of its own.
#[test]
fn a_checkpoint_and_the_index_of_a_segment_do_not_get_in_each_others_way() {
    let storage = MemoryStorage::new(5);
    let mut log = create(&storage);
    for first in (0..40).step_by(2) {
        log.append(&records(first..first + 2)).unwrap();
    }
    let header = log.begin_checkpoint(None);
    let mut writer = CheckpointWriter::create(storage.clone(), log.dir(), header, 0).unwrap();
    while let Some(job) = log.index_job() {
        job.run().unwrap();
    }
    let end = log.position();
    let extent = CheckpointExtent { replay_from: end, end, records: 0, keys: 0 };
    let end = log.end_checkpoint(extent);
    writer.finish(end).unwrap();
    log.sync().unwrap();
    writer.publish().unwrap();
    let names = storage.list(Path::new(DIR)).unwrap();
    assert!(["0000000001.checkpoint", "0000000001.index"].iter().all(|name| names.contains(&(*name).into())));
    assert!(found(&storage, LastEnd::SameBoot).unwrap().is_empty());
}

#[test]
fn a_checkpoint_leaves_the_log_its_room_and_gives_back_what_it_took() {
    const KEPT: u64 = 10_000;
    let storage = MemoryStorage::new(5);
    let mut log = create(&storage);
    log.append(&records(0..4)).unwrap();
    for left in [KEPT / 2, KEPT + 1000] {
        storage.set_faults(Faults { space_left: Some(left), ..Faults::default() });
        let header = log.begin_checkpoint(None);
        let written =
            CheckpointWriter::create(storage.clone(), log.dir(), header, KEPT).and_then(|mut writer| {
                let written = (0..100).try_for_each(|seq| writer.write(&record(seq)));
                assert!(storage.room(log.dir()).unwrap() >= KEPT);
                writer.abandon();
                written
            });
        assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        assert_eq!(storage.room(log.dir()).unwrap(), left);
    }
    assert!(!storage.list(Path::new(DIR)).unwrap().iter().any(|name| name.ends_with(".tmp")));
}
