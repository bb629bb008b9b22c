//! Disks without space, and disks that fail.

use super::storage::memory::Faults;
use super::*;

#[test]
fn what_was_reserved_can_be_appended_on_a_full_disk() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let mut next = 0;
    let appended = loop {
        let turn = records(next..next + 3);
        storage
            .set_faults(Faults { space_left: Some(if next > 60 { 0 } else { 10_000 }), ..Faults::default() });
        if let Err(error) = log.reserve(turn.len()) {
            assert!(matches!(error, AppendError::NoSpace { .. }), "{error}");
            break next;
        }
        storage.set_faults(Faults { space_left: Some(0), ..Faults::default() });
        log.append(&turn).unwrap();
        next += 3;
    };
    assert!(appended > 60);
    let before = log.position();
    let error = log.append(&records(next..next + 3)).unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
    assert_eq!(log.position(), before);
    assert_eq!(read(&storage, LastEnd::SameBoot).unwrap().1.len() as u64, appended);

    // And when there is space again it goes on, as if nothing had been.
    storage.set_faults(Faults::default());
    log.reserve(500).unwrap();
    log.append(&records(next..next + 3)).unwrap();
    assert_eq!(read(&storage, LastEnd::SameBoot).unwrap().1.len() as u64, appended + 3);
}

#[test]
fn a_reservation_larger_than_a_segment_is_kept() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let turn = records(0..100);
    assert!(turn.len() as u64 > 4 * OPTIONS.segment_bytes);
    log.reserve(10).unwrap();
    log.append(&[]).unwrap();
    // A spare of the usual size is there already, and does not do.
    log.reserve(OPTIONS.segment_bytes as usize - 100).unwrap();
    log.reserve(turn.len()).unwrap();
    storage.set_faults(Faults { space_left: Some(0), ..Faults::default() });
    log.append(&turn).unwrap();
    storage.set_faults(Faults::default());
    log.append(&records(100..120)).unwrap();
    drop(log);
    assert!(open(&storage, LastEnd::SameBoot).unwrap().2.into_iter().eq(0..120));
}

#[test]
fn a_write_cut_short_by_a_full_disk_is_undone() {
    for space in 0..400 {
        let storage = MemoryStorage::new(1);
        storage.set_faults(Faults { sparse: true, ..Faults::default() });
        let mut log = create(&storage);
        log.append(&records(0..3)).unwrap();
        storage.set_faults(Faults { sparse: true, space_left: Some(space), ..Faults::default() });
        let mut next = 3;
        let error = loop {
            match log.append(&records(next..next + 2)) {
                Ok(_) => next += 2,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, AppendError::NoSpace { .. }), "{error}");
        let (report, found) = read(&storage, LastEnd::SameBoot).unwrap();
        assert_eq!((report.torn, found.len() as u64), (None, next), "with {space} bytes left");
        storage.set_faults(Faults { sparse: true, ..Faults::default() });
        log.append(&records(next..next + 2)).unwrap();
        let (_, _, found) = open(&storage, LastEnd::SameBoot).unwrap();
        assert!(found.into_iter().eq(0..next + 2), "with {space} bytes left");
    }
}

#[test]
fn a_log_whose_failed_write_cannot_be_undone_takes_nothing_more() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    log.append(&records(0..2)).unwrap();
    storage.set_faults(Faults { fail_changes: true, ..Faults::default() });
    let error = log.append(&record(2)).unwrap_err();
    assert!(matches!(error, AppendError::Write { .. }), "{error}");
    storage.set_faults(Faults::default());
    assert!(matches!(log.append(&record(2)), Err(AppendError::Failed { .. })));
    assert!(matches!(log.reserve(1), Err(AppendError::Failed { .. })));
    assert_eq!(read(&storage, LastEnd::SameBoot).unwrap().1, [0, 1]);
}

#[test]
fn a_failed_sync_is_final_also_when_the_disk_recovers() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    log.append(&records(0..2)).unwrap();
    let synced = log.sync().unwrap();
    log.append(&record(2)).unwrap();
    storage.set_faults(Faults { fail_syncs: true, ..Faults::default() });
    assert!(log.sync().is_err());
    storage.set_faults(Faults::default());
    let error = log.sync().unwrap_err();
    assert!(error.to_string().contains("final"), "{error}");
    assert!(matches!(log.append(&record(3)), Err(AppendError::Failed { .. })));
    assert_eq!(log.progress().synced(), synced);
    assert!(log.close(&[]).is_err());
}

#[test]
fn a_log_on_a_full_disk_is_opened_and_refuses_to_grow() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    log.append(&records(0..3)).unwrap();
    let end = log.position().0 as usize + segment::SEGMENT_HEADER_BYTES;
    drop(log);
    // Torn, so that the repair gives up the space behind the end and then does not get it back.
    storage.damage(&storage.files()[0].clone(), |bytes| bytes[end] = 1);
    storage.set_faults(Faults { space_left: Some(0), ..Faults::default() });
    let (mut log, report, found) = open(&storage, LastEnd::SameBoot).unwrap();
    assert!(report.torn.is_some());
    assert_eq!(found, [0, 1, 2]);
    assert!(matches!(log.reserve(100), Err(AppendError::NoSpace { .. })));
    storage.set_faults(Faults::default());
    log.append(&record(3)).unwrap();
    drop(log);
    assert_eq!(open(&storage, LastEnd::SameBoot).unwrap().2, [0, 1, 2, 3]);
}
