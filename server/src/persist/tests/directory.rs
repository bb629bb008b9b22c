//! Data directories: who may use them, and which logs are the current ones whatever happens.

use std::collections::BTreeMap;

use carousel_protocol::Incarnation;

use super::storage::disk::DiskStorage;
use super::storage::memory::Faults;
use super::*;

type MemoryDir = DataDir<MemoryStorage>;

fn open_dir(storage: &MemoryStorage) -> Result<MemoryDir, DataDirError> {
    DataDir::open(storage.clone(), Path::new("/data"), OPTIONS)
}

/// Makes logs for `shards` shards of the records that are in the directory now, and of `more`.
fn rewrite(dir: &mut MemoryDir, shards: u16, more: u64) -> Result<Vec<Log<MemoryStorage>>, DataDirError> {
    let mut content = read_all(dir);
    let next = content.values().map(Vec::len).sum::<usize>() as u64;
    for seq in next..next + more {
        let slot = decode_record(&record(seq)).unwrap().unwrap().0.slot;
        content.entry(slot).or_default().push(seq);
    }
    let mut rewrite = dir.begin_rewrite(shards, LogMarks::default())?;
    for (slot, seqs) in content {
        let log = &mut rewrite.logs[ShardId::of_slot(slot, shards).index()];
        log.append(&records(seqs))?;
    }
    rewrite.commit(dir)
}

/// The records of all logs by slot. Asserts that each is in the log of its shard.
fn read_all(dir: &MemoryDir) -> BTreeMap<SlotId, Vec<u64>> {
    let mut content: BTreeMap<SlotId, Vec<u64>> = BTreeMap::new();
    let shards = dir.layout().shards;
    for shard in (0..shards).map(ShardId) {
        let mut seen = Seen::default();
        let mut sink = |header: RecordHeader, payload: &[u8]| {
            assert_eq!(ShardId::of_slot(header.slot, shards), shard);
            content.entry(header.slot).or_default().push(header.seq.0);
            seen.take(header, payload)
        };
        dir.shard_log(shard).read(&[], &mut sink).unwrap();
    }
    content
}

fn count(dir: &MemoryDir) -> usize {
    read_all(dir).values().map(Vec::len).sum()
}

#[test]
fn a_new_directory_keeps_its_id_and_has_no_logs() {
    let storage = MemoryStorage::new(1);
    let dir = open_dir(&storage).unwrap();
    let node = dir.node_id();
    assert_ne!(node, NodeId::default());
    assert_eq!((dir.layout().generation, dir.layout().shards), (0, 0));
    assert_eq!(dir.previous_run(), None);
    drop(dir);
    storage.lose_power();
    assert_eq!(open_dir(&storage).unwrap().node_id(), node, "durable before anybody was told");
}

#[test]
fn a_directory_can_be_set_up_again_wherever_setting_it_up_ended() {
    for power in [false, true] {
        for step in 0.. {
            let storage = MemoryStorage::new(step);
            storage.set_faults(Faults { die_after_changes: Some(step), ..Faults::default() });
            let told = open_dir(&storage).map(|dir| dir.node_id());
            let died = storage.is_dead();
            if power {
                storage.lose_power()
            } else {
                storage.restart_process()
            }
            let dir =
                open_dir(&storage).unwrap_or_else(|error| panic!("step {step}, power {power}: {error}"));
            if !died {
                assert_eq!(told.unwrap(), dir.node_id());
                assert!(step > 8, "{step}");
                break;
            }
        }
    }
}

#[test]
fn a_rewrite_happens_as_a_whole_or_not_at_all() {
    for seed in 0..12 {
        for power in [false, true] {
            for step in 0.. {
                let trace = format!("seed {seed}, power {power}, dies after {step}");
                let storage = MemoryStorage::new(seed);
                let mut dir = open_dir(&storage).unwrap();
                drop(rewrite(&mut dir, 3, 30).unwrap());
                storage.set_faults(Faults { die_after_changes: Some(step), ..Faults::default() });
                let result = rewrite(&mut dir, 2, 5).map(drop);
                let died = storage.is_dead();
                drop(dir);
                if power {
                    storage.lose_power()
                } else {
                    storage.restart_process()
                }

                let mut dir = open_dir(&storage).unwrap();
                let shards = dir.layout().shards;
                assert_eq!(count(&dir), if shards == 3 { 30 } else { 35 }, "{trace}");
                assert!(result.is_err() || shards == 2, "{trace}: what was committed stays");
                let others = storage.list(dir.path()).unwrap();
                let others = others.iter().filter(|name| name.starts_with("log-")).count();
                assert_eq!(others, 1, "{trace}: the rest is removed");
                // What this start removed was not needed, also if the power fails now.
                drop(dir);
                storage.lose_power();
                dir = open_dir(&storage).unwrap();
                assert_eq!(count(&dir), if dir.layout().shards == 3 { 30 } else { 35 }, "{trace}");
                if !died {
                    assert!(step > 20, "{step}");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_rewrite_that_finds_no_space_leaves_the_logs_as_they_were() {
    let storage = MemoryStorage::new(1);
    let mut dir = open_dir(&storage).unwrap();
    drop(rewrite(&mut dir, 2, 30).unwrap());
    storage.set_faults(Faults { space_left: Some(3 * OPTIONS.segment_bytes), ..Faults::default() });
    assert!(rewrite(&mut dir, 4, 0).is_err());
    assert_eq!((dir.layout().shards, count(&dir)), (2, 30));
    storage.set_faults(Faults::default());
    drop(rewrite(&mut dir, 4, 0).unwrap());
    assert_eq!((dir.layout().shards, count(&dir)), (4, 30));
}

#[test]
fn a_rewritten_log_says_what_the_one_before_said_of_its_starts() {
    let storage = MemoryStorage::new(1);
    let mut dir = open_dir(&storage).unwrap();
    let marks = LogMarks { started: Some(Incarnation(6)), stopped_cleanly: Some(Incarnation(6)) };
    let mut rewrite = dir.begin_rewrite(1, marks).unwrap();
    rewrite.logs[0].append(&record(0)).unwrap();
    drop(rewrite.commit(&mut dir).unwrap());
    let report = dir.shard_log(ShardId(0)).read(&[], &mut |_, _| Ok(())).unwrap();
    assert_eq!((report.marks, report.records), (marks, 1));
}

#[test]
fn runs_are_remembered_across_kills_and_power_losses() {
    let storage = MemoryStorage::new(1);
    let mut dir = open_dir(&storage).unwrap();
    dir.begin_run(Incarnation(1), true, false).unwrap();
    drop(dir);
    storage.restart_process();
    let mut dir = open_dir(&storage).unwrap();
    let previous = dir.previous_run().unwrap().clone();
    assert_eq!((dir.last_end(), previous.incarnation), (LastEnd::SameBoot, Incarnation(1)));
    assert_eq!((previous.is_whole, previous.is_logged, previous.state), (false, true, RunState::Running));
    dir.begin_run(Incarnation(2), true, false).unwrap();
    dir.note_whole().unwrap();
    dir.end_run().unwrap();
    drop(dir);
    storage.lose_power();
    let mut dir = open_dir(&storage).unwrap();
    let previous = dir.previous_run().unwrap().clone();
    assert_eq!((dir.last_end(), previous.incarnation), (LastEnd::OtherBoot, Incarnation(2)));
    assert_eq!((previous.is_whole, previous.state), (true, RunState::Stopped));
    // A disk that failed is remembered even if the failure is noticed before the run begins, and at a clean stop.
    dir.note_sync_failure().unwrap();
    dir.end_run().unwrap();
    drop(dir);
    let dir = open_dir(&storage).unwrap();
    assert_eq!(dir.previous_run().unwrap().state, RunState::SyncFailed);
}

#[test]
fn directories_that_cannot_be_used_are_refused_in_one_line_that_says_what_to_do() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("node");
    let open = || DataDir::open(DiskStorage, &path, OPTIONS);
    let message = || {
        let text = open().unwrap_err().to_string();
        assert!(
            !text.contains('\n') && text.contains("--dir") && text.contains(path.to_str().unwrap()),
            "{text}"
        );
        text
    };

    let mut dir = open().unwrap();
    drop(dir.begin_rewrite(1, LogMarks::default()).unwrap().commit(&mut dir).unwrap());
    assert!(message().contains(&format!("in use by process {}", std::process::id())));
    drop(dir);
    open().unwrap();

    let replace = |name: &str, content: &str| {
        let before = std::fs::read(path.join(name)).unwrap();
        std::fs::write(path.join(name), content).unwrap();
        before
    };
    let version = replace("VERSION", "carousel 2\n");
    let text = message();
    assert!(text.contains("format 2") && text.contains("reads format 1"), "{text}");
    replace("VERSION", "caro");
    assert!(message().contains("VERSION is missing or damaged"));
    std::fs::remove_file(path.join("VERSION")).unwrap();
    assert!(message().contains("VERSION is missing or damaged"));
    std::fs::write(path.join("VERSION"), version).unwrap();

    for name in ["layout", "node-id"] {
        let before = replace(name, "generation 1\nshards 2\ncrc32c 00000000\n");
        assert!(message().contains(&format!("{name} is missing or damaged")));
        std::fs::write(path.join(name), before).unwrap();
    }
    open().unwrap();

    std::fs::remove_dir_all(&path).unwrap();
    std::fs::write(&path, "a file").unwrap();
    assert!(message().contains("not a directory"));
    let below = path.join("below");
    let error = DataDir::open(DiskStorage, &below, OPTIONS).unwrap_err();
    assert!(matches!(error, DataDirError::NotADirectory { .. }), "{error}");
}

#[test]
fn a_whole_life_works_on_a_real_disk() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("deep/er");
    let mut dir = DataDir::open(DiskStorage, &path, LogOptions::default()).unwrap();
    let mut logs = dir.begin_rewrite(2, LogMarks::default()).unwrap().commit(&mut dir).unwrap();
    logs[1].reserve(1 << 20).unwrap();
    logs[1].append(&records(0..1000)).unwrap();
    let big = {
        let mut out = Vec::new();
        let header = decode_record(&record(5)).unwrap().unwrap().0;
        append_record(&mut out, &header, &vec![7; segment::SEGMENT_BYTES as usize + 5]);
        out
    };
    logs[1].append(&big).unwrap();
    logs[1].sync().unwrap();
    logs[1].append(&records(1000..1010)).unwrap();
    drop(logs);
    drop(dir);

    let dir = DataDir::open(DiskStorage, &path, LogOptions::default()).unwrap();
    let (mut found, mut bytes) = (0, 0);
    let mut sink = |_: RecordHeader, payload: &[u8]| {
        found += 1;
        bytes += payload.len() as u64;
        Ok(())
    };
    let (log, report) = dir.shard_log(ShardId(1)).open(&[], &mut sink).unwrap();
    assert_eq!((found, report.records, report.torn), (1011, 1011, None));
    assert!(bytes > segment::SEGMENT_BYTES);
    log.close(&[]).unwrap();
    let report = dir.shard_log(ShardId(1)).read(&[], &mut |_, _| Ok(())).unwrap();
    assert_eq!(report.records, 1011);
}
