//! Processes that die and machines that lose power, at every step.

use super::*;

/// What the appender was told, which is what it would have told others.
#[derive(Default)]
struct Told {
    /// The next record to append.
    next: u64,
    /// All before this one were appended.
    appended: u64,
    /// All before this one were synced.
    synced: u64,
}

/// Appends and syncs by the dice until the storage dies or the steps are over.
fn write_some(log: &mut Log<MemoryStorage>, told: &mut Told, dice: &mut u64, steps: u32) {
    for _ in 0..steps {
        *dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let roll = *dice >> 33;
        match roll % 8 {
            0 => {
                if log.sync().is_err() {
                    return;
                }
                told.synced = told.appended;
            }
            1 if log.reserve(900).is_err() => return,
            _ => {
                let count = 1 + roll / 8 % 4;
                let bytes = records(told.next..told.next + count);
                told.next += count;
                if log.append(&bytes).is_err() {
                    return;
                }
                told.appended = told.next;
            }
        }
    }
}

/// The outcome of recovery is right: nothing that was told is missing, nothing is out of order or made up.
fn check(found: &[u64], told: &Told, last_end: LastEnd, trace: &str) {
    assert!(found.iter().copied().eq(0..found.len() as u64), "{trace}: {found:?}");
    let least = if last_end == LastEnd::SameBoot { told.appended } else { told.synced };
    let count = found.len() as u64;
    assert!((least..=told.next).contains(&count), "{trace}: {count} of {least}..={}", told.next);
}

/// One log through several crashes, `powers` telling which of them are power losses. Returns how many changes of the
/// storage the first life made.
fn lives(seed: u64, die_after: Option<u64>, powers: [bool; 3]) -> u64 {
    let storage = MemoryStorage::new(seed);
    let mut log = create(&storage);
    let before = storage.changes();
    let mut told = Told::default();
    let mut dice = seed;
    storage.set_faults(storage::memory::Faults { die_after_changes: die_after, ..Default::default() });
    write_some(&mut log, &mut told, &mut dice, 40);
    let changes = storage.changes() - before;

    for (life, power) in powers.into_iter().enumerate() {
        let trace = format!("seed {seed}, dies after {die_after:?}, power {power}, life {life}");
        drop(log);
        let last_end = if power {
            storage.lose_power();
            LastEnd::OtherBoot
        } else {
            storage.restart_process();
            LastEnd::SameBoot
        };
        // Recovery may be cut off as well, as often as it likes.
        for step in 0.. {
            let faults = storage::memory::Faults { die_after_changes: Some(step), ..Default::default() };
            storage.set_faults(faults);
            match open(&storage, last_end) {
                Err(error) if storage.is_dead() => drop(error),
                Err(error) => panic!("{trace}: {error}"),
                Ok((_, _, found)) => {
                    check(&found, &told, last_end, &trace);
                    break;
                }
            }
            if power { storage.lose_power() } else { storage.restart_process() }
        }
        storage.restart_process();
        let (reopened, report, found) = open(&storage, LastEnd::SameBoot).unwrap();
        assert_eq!(report.torn, None, "{trace}: repaired once");
        check(&found, &told, last_end, &trace);
        log = reopened;
        let count = found.len() as u64;
        // Opening made durable what it found.
        told = Told { next: count, appended: count, synced: count };
        storage.set_faults(storage::memory::Faults {
            die_after_changes: Some(dice >> 60),
            ..Default::default()
        });
        write_some(&mut log, &mut told, &mut dice, 40);
    }
    changes
}

#[test]
fn a_killed_process_loses_nothing_that_was_appended_wherever_it_dies() {
    for seed in 0..20 {
        let changes = lives(seed, None, [false; 3]);
        for die_after in 0..changes {
            lives(seed, Some(die_after), [false; 3]);
        }
    }
}

#[test]
fn a_power_loss_loses_nothing_that_was_synced_and_needs_no_operator() {
    for seed in 0..60 {
        let changes = lives(seed, None, [true; 3]);
        for die_after in 0..changes {
            lives(seed, Some(die_after), [true; 3]);
        }
    }
}

#[test]
fn what_a_restart_found_after_a_kill_survives_a_power_loss() {
    for seed in 100..130 {
        let changes = lives(seed, None, [false, true, false]);
        for die_after in 0..changes {
            lives(seed, Some(die_after), [false, true, false]);
        }
    }
}

#[test]
fn a_value_that_looks_like_a_log_is_not_taken_for_one_behind_a_torn_end() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    log.append(&records(0..3)).unwrap();
    let header = RecordHeader {
        kind: RecordKind::Effects,
        slot: SlotId::new(1).unwrap(),
        epoch: Epoch(1),
        seq: Seq(1),
    };
    let mut poisoned = Vec::new();
    let mut copy_of_a_log = records(3..6);
    copy_of_a_log.extend(record::write_end_record(77, u64::MAX));
    copy_of_a_log.push(1);
    append_record(&mut poisoned, &header, &copy_of_a_log);
    let end = log.position().0 + segment::SEGMENT_HEADER_BYTES as u64;
    log.append(&poisoned).unwrap();
    // The process died before the last byte of the record was written.
    let torn_at = end as usize + poisoned.len() - 1;
    storage.damage(&Path::new(DIR).join("0000000001.log"), |bytes| bytes[torn_at..].fill(0));
    let (_, report, found) = open(&storage, LastEnd::SameBoot).unwrap();
    assert_eq!(found, [0, 1, 2]);
    assert_eq!(report.torn.unwrap().offset, end);
}

#[test]
fn marks_of_starts_and_clean_stops_are_found_again() {
    use carousel_protocol::Incarnation;
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let (mut start, mut stop) = (Vec::new(), Vec::new());
    append_start(&mut start, Incarnation(4));
    append_clean_stop(&mut stop, Incarnation(4));
    log.append(&start).unwrap();
    log.append(&record(0)).unwrap();
    let started = LogMarks { started: Some(Incarnation(4)), stopped_cleanly: None };
    assert_eq!(read(&storage, LastEnd::SameBoot).unwrap().0.marks, started);
    log.close(&stop).unwrap();
    storage.lose_power();
    let (mut log, report, found) = open(&storage, LastEnd::OtherBoot).unwrap();
    let stopped = LogMarks { stopped_cleanly: Some(Incarnation(4)), ..started };
    assert_eq!((report.marks, report.torn, &found[..]), (stopped, None, &[0][..]));
    log.append(&record(1)).unwrap();
    assert_eq!(read(&storage, LastEnd::SameBoot).unwrap().0.marks, started, "no longer the last thing");
}
