//! Disks that change what was written.

use std::path::PathBuf;

use super::*;

/// A log of three segments, 20 records, synced up to the 12th, with the positions' files.
fn sample() -> (MemoryStorage, Vec<PathBuf>) {
    let storage = MemoryStorage::new(5);
    let mut log = create(&storage);
    for first in (0..12).step_by(2) {
        log.append(&records(first..first + 2)).unwrap();
    }
    log.sync().unwrap();
    for first in (12..20).step_by(2) {
        log.append(&records(first..first + 2)).unwrap();
    }
    let files = storage.files();
    assert_eq!(files.len(), 3, "{files:?}");
    (storage, files)
}

const ALL: u64 = 20;
const SYNCED: u64 = 12;

fn assert_prefix(found: &[u64], trace: &str) {
    assert!(found.iter().copied().eq(0..found.len() as u64), "{trace}: {found:?}");
}

#[test]
fn a_flipped_bit_is_reported_or_costs_nothing_as_long_as_the_system_runs() {
    let (original, files) = sample();
    let mut reported = 0;
    for file in &files {
        for bit in 0..OPTIONS.segment_bytes as usize * 8 {
            let storage = original.duplicate(1);
            storage.damage(file, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            let trace = format!("bit {} of byte {} of {}", bit % 8, bit / 8, file.display());
            match read(&storage, LastEnd::SameBoot) {
                Ok((_, found)) => assert!(found.iter().copied().eq(0..ALL), "{trace}: {found:?}"),
                Err(RecoverError::Damaged { .. } | RecoverError::NoBeginning { .. }) => reported += 1,
                Err(other) => panic!("{trace}: {other}"),
            }
        }
    }
    assert!(reported > 1000, "{reported}");
}

#[test]
fn a_flipped_bit_after_a_power_loss_never_costs_what_was_synced() {
    let (original, files) = sample();
    let (mut reported, mut cut) = (0, 0);
    for file in &files {
        for byte in 0..OPTIONS.segment_bytes as usize {
            let storage = original.duplicate(1);
            storage.damage(file, |bytes| bytes[byte] ^= 0x10);
            let trace = format!("byte {byte} of {}", file.display());
            match read(&storage, LastEnd::OtherBoot) {
                Ok((report, found)) => {
                    assert_prefix(&found, &trace);
                    assert!(found.len() as u64 >= SYNCED, "{trace}: {found:?}");
                    assert!(found.len() as u64 == ALL || report.torn.is_some(), "{trace}: silently");
                    cut += u32::from((found.len() as u64) < ALL);
                }
                Err(RecoverError::Damaged { .. } | RecoverError::NoBeginning { .. }) => reported += 1,
                Err(other) => panic!("{trace}: {other}"),
            }
        }
    }
    assert!(reported > 500 && cut > 200, "{reported} {cut}");
}

#[test]
fn a_log_cut_at_any_byte_yields_a_prefix_or_is_reported() {
    let (original, files) = sample();
    for (index, file) in files.iter().enumerate() {
        for cut in 0..OPTIONS.segment_bytes as usize {
            for last_end in [LastEnd::SameBoot, LastEnd::OtherBoot] {
                let storage = original.duplicate(1);
                storage.damage(file, |bytes| bytes.truncate(cut));
                let trace = format!("{last_end:?}: {} cut at {cut}", file.display());
                match read(&storage, last_end) {
                    Ok((_, found)) => {
                        assert_prefix(&found, &trace);
                        let is_last = index == files.len() - 1;
                        let is_all = found.len() as u64 == ALL;
                        assert!(is_last || is_all || last_end == LastEnd::OtherBoot, "{trace}: {found:?}");
                        assert!(found.len() as u64 >= SYNCED, "{trace}: {found:?}");
                    }
                    Err(RecoverError::Damaged { .. } | RecoverError::NoBeginning { .. }) => {}
                    Err(other) => panic!("{trace}: {other}"),
                }
            }
        }
    }
}

#[test]
fn the_way_out_that_the_message_names_works() {
    let (storage, files) = sample();
    storage.damage(&files[1], |bytes| bytes[300] ^= 1);
    let Err(RecoverError::Damaged { file, offset }) = read(&storage, LastEnd::SameBoot) else {
        panic!("damage is found");
    };
    assert_eq!(file, files[1]);
    let message = RecoverError::Damaged { file: file.clone(), offset }.to_string();
    assert!(message.contains(&format!("truncate -s {offset} /data/log/0000000002.log")), "{message}");
    assert!(!message.contains('\n'));
    storage.remove_file(&files[2]).unwrap();
    storage.damage(&files[1], |bytes| bytes.truncate(offset as usize));
    let (mut log, report, found) = open(&storage, LastEnd::SameBoot).unwrap();
    assert_prefix(&found, "after the repair");
    assert_eq!(report.torn, None);
    log.append(&record(found.len() as u64)).unwrap();
    assert_eq!(read(&storage, LastEnd::SameBoot).unwrap().1.len(), found.len() + 1);
}

#[test]
fn records_that_vanished_before_an_unfinished_segment_are_missed() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let mut ends = vec![log.position()];
    while storage.files().len() < 2 {
        ends.push(log.append(&record(ends.len() as u64 - 1)).unwrap());
    }
    let files = storage.files();
    let offset = |end: LogPosition| end.0 as usize + segment::SEGMENT_HEADER_BYTES;
    // The last write of the first segment reads as zeros, and that of the second was torn.
    let from = offset(ends[ends.len() - 3]);
    storage.damage(&files[0], |bytes| bytes[from..].fill(0));
    storage.damage(&files[1], |bytes| bytes[segment::SEGMENT_HEADER_BYTES + 5..].fill(0));
    let error = read(&storage, LastEnd::SameBoot).unwrap_err();
    assert!(matches!(error, RecoverError::Damaged { offset, .. } if offset == from as u64), "{error}");
    // After a power loss both may be missing, for nothing says that they were synced.
    let (_, found) = read(&storage, LastEnd::OtherBoot).unwrap();
    assert_eq!(found.len(), ends.len() - 3);
}

#[test]
fn missing_and_foreign_files_are_named() {
    for missing in 0..2 {
        let (storage, files) = sample();
        storage.remove_file(&files[missing]).unwrap();
        match read(&storage, LastEnd::OtherBoot) {
            Err(RecoverError::NoBeginning { file }) => assert_eq!(file, files[missing]),
            other => panic!("{other:?}"),
        }
    }
    let (storage, files) = sample();
    let (other, _) = sample();
    let other = other.map(&files[0]).unwrap().to_vec();
    storage.damage(&files[1], |bytes| *bytes = other);
    match read(&storage, LastEnd::SameBoot) {
        Err(RecoverError::Foreign { file, .. }) => assert_eq!(file, files[1]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_intact_record_of_a_newer_version_stops_the_start_instead_of_being_cut() {
    let (storage, files) = sample();
    let at = segment::SEGMENT_HEADER_BYTES;
    storage.damage(&files[0], |bytes| {
        bytes[at + 8] = 2;
        let len = record::u32_at(bytes, at) as usize;
        let crc = crc_fast::crc32_iscsi(&bytes[at + 8..at + 8 + len]);
        bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
    });
    let error = read(&storage, LastEnd::SameBoot).unwrap_err();
    assert!(matches!(error, RecoverError::Unsupported { offset: 64, .. }), "{error}");
}

#[test]
fn a_record_that_the_sink_refuses_is_named() {
    let (storage, files) = sample();
    let mut sink = |header: RecordHeader, _: &[u8]| {
        if header.seq.0 == 1 { Err("no such thing".to_owned()) } else { Ok(()) }
    };
    let error = read_log(&storage, Path::new(DIR), IDENTITY, LastEnd::SameBoot, &[], &mut sink).unwrap_err();
    let expected = segment::SEGMENT_HEADER_BYTES as u64 + record(0).len() as u64;
    match error {
        RecoverError::Content { file, offset, reason } => {
            assert_eq!((file, offset, &*reason), (files[0].clone(), expected, "no such thing"));
        }
        other => panic!("{other}"),
    }
}
