//! The sync thread.

use std::sync::mpsc;
use std::time::Duration;

use super::storage::memory::Faults;
use super::*;

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(30);

type Results = mpsc::Receiver<Result<LogPosition, SyncError>>;

fn start(log: &Log<MemoryStorage>, interval: Duration, policy: SyncPolicy) -> (Syncer, Results) {
    let (sender, receiver) = mpsc::channel();
    let syncer =
        log.start_syncer_every(interval, policy, move |result| sender.send(result).unwrap()).unwrap();
    (syncer, receiver)
}

/// Waits until the log is synced up to `position`.
fn wait(log: &Log<MemoryStorage>, results: &Results, position: LogPosition) {
    while log.progress().synced() < position {
        results.recv_timeout(PATIENCE).expect("a sync").expect("a good one");
    }
}

#[test]
fn always_syncs_each_append_and_one_sync_covers_many() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let (_syncer, results) = start(&log, LONG, SyncPolicy::Always);
    for seq in 0..50 {
        let end = log.append(&record(seq)).unwrap();
        wait(&log, &results, end);
    }
    // Positions are reported as they are reached.
    let reported: Vec<_> = results.try_iter().map(Result::unwrap).collect();
    assert!(reported.is_sorted(), "{reported:?}");
    let before = storage.syncs();
    let mut end = LogPosition::default();
    for seq in 50..1000 {
        end = log.append(&record(seq)).unwrap();
    }
    wait(&log, &results, end);
    assert!(storage.syncs() - before <= 2 * 950);
    assert_eq!(log.progress().synced(), end);
    storage.lose_power();
    assert_eq!(open(&storage, LastEnd::OtherBoot).unwrap().2.len(), 1000);
}

#[test]
fn every_second_syncs_what_comes_after_a_quiet_time_at_once_and_then_waits() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let (_syncer, results) = start(&log, LONG, SyncPolicy::EverySecond);
    let first = log.append(&record(0)).unwrap();
    wait(&log, &results, first);
    // The next is due in an hour, unless somebody asks for it.
    let second = log.append(&record(1)).unwrap();
    assert_eq!(log.progress().synced(), first);
    log.progress().request(second);
    wait(&log, &results, second);
}

#[test]
fn every_second_comes_back_each_interval() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let (_syncer, results) = start(&log, SHORT, SyncPolicy::EverySecond);
    for seq in 0..20 {
        let end = log.append(&record(seq)).unwrap();
        wait(&log, &results, end);
    }
}

#[test]
fn without_a_policy_only_requests_and_finished_segments_are_synced() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let (_syncer, results) = start(&log, LONG, SyncPolicy::No);
    let first = log.append(&record(0)).unwrap();
    log.progress().request(first);
    wait(&log, &results, first);
    let mut end = first;
    for seq in 1..200 {
        end = log.append(&record(seq)).unwrap();
    }
    // A position in a later segment was reported although nobody asked for it.
    wait(&log, &results, LogPosition(2 * OPTIONS.segment_bytes));
    log.progress().set_policy(SyncPolicy::Always);
    wait(&log, &results, end);
}

#[test]
fn a_failed_sync_is_reported_once_and_stops_the_log() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let (syncer, results) = start(&log, LONG, SyncPolicy::Always);
    storage.set_faults(Faults { fail_syncs: true, ..Faults::default() });
    log.append(&record(0)).unwrap();
    assert!(results.recv_timeout(PATIENCE).unwrap().is_err());
    storage.set_faults(Faults::default());
    assert!(matches!(log.append(&record(1)), Err(AppendError::Failed { .. })));
    // The thread is gone, and its sender with it.
    assert!(results.recv_timeout(PATIENCE).is_err());
    drop(syncer);
}

/// As checkpoints do. Whoever waits for that position is told by the sync thread, which then has nothing to sync itself.
#[test]
fn what_another_thread_has_synced_or_failed_to_is_told_as_well() {
    let storage = MemoryStorage::new(1);
    let mut log = create(&storage);
    let (_syncer, results) = start(&log, LONG, SyncPolicy::No);
    let end = log.append(&record(0)).unwrap();
    assert_eq!(log.syncer().sync().unwrap(), end);
    assert_eq!(results.recv_timeout(PATIENCE).unwrap().unwrap(), end);
    log.append(&record(1)).unwrap();
    storage.set_faults(Faults { fail_syncs: true, ..Faults::default() });
    assert!(log.syncer().sync().is_err());
    storage.set_faults(Faults::default());
    assert!(results.recv_timeout(PATIENCE).unwrap().is_err());
}
