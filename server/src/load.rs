//! Reading what is on disk into the shards, at start: on a thread per shard, while the node answers `LOADING`.
//!
//! A thread builds one shard whole, from the log of the same number or, where the number of shards has changed, from all
//! of them, passing over what is other shards'. So nothing is shared but the files. The shard then goes to the thread
//! that serves it; see [`ToShard::Loaded`](crate::shard::drive::ToShard::Loaded).

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use carousel_protocol::ShardId;

use crate::metrics::{Loading, NodeView};
use crate::persist::transactions::{Note, Verdict, decide};
use crate::persist::{
    DataDir, DataDirError, DiskStorage, Log, LogMarks, LogReport, RecordHeader, RecordKind, append_record,
    record_bytes,
};
use crate::shard::{Shard, ShardOptions};
use crate::store;

/// Bytes that a rewritten log gets in one write.
const REWRITE_BYTES: usize = 1024 * 1024;
/// How often a start says how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes between two looks at how far a thread has come.
const BYTES_PER_LOOK: u64 = 1024 * 1024;

/// A log to append to, and what was found in it.
pub type OpenLog = (Log<DiskStorage>, LogReport);

/// What a start has read.
pub struct Loaded {
    /// The shards with what was on disk.
    pub shards: Vec<Shard>,
    /// The logs to go on with and what is in them, by shard; none without `appendonly`.
    pub logs: Vec<Option<OpenLog>>,
    /// What all logs agree on.
    pub marks: LogMarks,
    /// The directory they are in.
    pub dir: DataDir<DiskStorage>,
}

/// One thread's part.
struct Part {
    shard: Shard,
    /// Opened, where the shard goes on with the log that it was read from.
    log: Option<Log<DiskStorage>>,
    reports: Vec<LogReport>,
}

/// Reads the logs in `dir` into shards of these options, one for each. Blocks for as long as that takes.
///
/// # Errors
/// One line for the operator. Nothing is lost: the next start finds the same.
pub fn load(
    mut dir: DataDir<DiskStorage>,
    options: Vec<ShardOptions>,
    view: &NodeView,
) -> anyhow::Result<Loaded> {
    let shard_count = options.len() as u16;
    let is_logged = view.settings().appendonly;
    let started = Instant::now();
    let layout = dir.layout();
    for log in 0..layout.shards {
        view.loading.expect(dir.shard_log(ShardId(log)).bytes()?);
    }
    let verdict = judge_transactions(&dir)?;
    let opens = is_logged && layout.shards == shard_count;
    let parts = read_all(&dir, options, &verdict, opens, &view.loading)?;
    let has_other_shards = layout.shards != shard_count;
    let (mut shards, mut logs, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    for (at, part) in parts.into_iter().enumerate() {
        // Where each thread has read all logs, each has found the same.
        if at == 0 || !has_other_shards {
            reports.extend(part.reports);
        }
        logs.push(part.log.map(|log| (log, reports.last().cloned().unwrap_or_default())));
        shards.push(part.shard);
    }
    let last = shards
        .iter()
        .flat_map(|shard| shard.tables.keys_by_database(&|_| true))
        .map(|keys| keys.database)
        .max();
    if let Some(last) = last.filter(|last| last.get() >= view.settings().databases) {
        return Err(anyhow!(
            "the log has keys of database {last}, and 'databases {}' ends before it: start with --databases {} or more",
            view.settings().databases,
            last.get() + 1
        ));
    }
    let marks = LogMarks::agreed(reports.iter().map(|report| report.marks));
    let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
    if bytes > 0 {
        let keys: usize = shards.iter().map(|shard| shard.tables.keys_total()).sum();
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(
            keys,
            bytes,
            "read the log in {seconds:.1} s, {:.0} MB/s",
            bytes as f64 / 1e6 / seconds.max(1e-3)
        );
    }
    for (shard, log) in logs.iter_mut().enumerate() {
        if let Some((log, _)) = log {
            settle(log, verdict.settle.get(&ShardId(shard as u16)))?;
        }
    }
    if is_logged && !opens {
        logs = rewrite(&mut dir, &mut shards, marks)?;
    }
    Ok(Loaded { shards, logs, marks, dir })
}

/// Reads all logs, on a thread per shard, and says every second how far that is.
fn read_all(
    dir: &DataDir<DiskStorage>,
    options: Vec<ShardOptions>,
    verdict: &Verdict,
    opens: bool,
    loading: &Loading,
) -> anyhow::Result<Vec<Part>> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let (done, ended) = channel();
        let threads: Vec<_> = options
            .into_iter()
            .map(|options| {
                let done = done.clone();
                let thread = std::thread::Builder::new().name(format!("load-{}", options.id));
                thread.spawn_scoped(scope, move || {
                    let part = read_shard(dir, options, verdict, opens, loading);
                    // The receiver lives as long as anybody is waited for.
                    let _ = done.send(());
                    part
                })
            })
            .collect::<Result<_, _>>()?;
        let mut left = threads.len();
        while left > 0 {
            match ended.recv_timeout(PROGRESS_INTERVAL) {
                Ok(()) => left -= 1,
                Err(RecvTimeoutError::Timeout) => {
                    let megabytes = loading.loaded_bytes() as f64 / 1e6;
                    tracing::info!(
                        keys = loading.loaded_keys(),
                        "reading the log: {:.0} %, {:.0} MB/s",
                        loading.percent(),
                        megabytes / started.elapsed().as_secs_f64()
                    );
                }
                Err(RecvTimeoutError::Disconnected) => unreachable!("one sender is held here"),
            }
        }
        let parts = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a thread that read the log panicked, see above")))
        });
        parts.collect()
    })
}

/// Finds out which transactions are complete, from the notes of all logs, which are read on a thread each.
fn judge_transactions(dir: &DataDir<DiskStorage>) -> anyhow::Result<Verdict> {
    let read = |shard| Ok((shard, dir.shard_log(shard).notes()?));
    let logs: anyhow::Result<Vec<_>> = std::thread::scope(|scope| {
        let read = &read;
        let threads: Vec<_> =
            (0..dir.layout().shards).map(|shard| scope.spawn(move || read(ShardId(shard)))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let verdict = decide(logs?);
    let incomplete = verdict.voids.values().map(Vec::len).sum::<usize>();
    if incomplete > 0 {
        tracing::warn!(incomplete, "passing over transactions that the last process did not complete");
    }
    Ok(verdict)
}

fn read_shard(
    dir: &DataDir<DiskStorage>,
    options: ShardOptions,
    verdict: &Verdict,
    opens: bool,
    loading: &Loading,
) -> anyhow::Result<Part> {
    let (id, shard_count) = (options.id, options.shard_count);
    let mut shard = Shard::new(options);
    let mut meter = Meter { loading, bytes: 0, keys: 0 };
    let mut sink = |header: RecordHeader, payload: &[u8]| {
        let is_ours = ShardId::of_slot(header.slot, shard_count) == id;
        // A promise is about many slots, of which the header names one.
        if !is_ours && header.kind != RecordKind::Promise {
            return Ok(());
        }
        shard.replay(header, payload).map_err(|error| error.to_string())?;
        // This thread has nobody else to do it: what the log itself deletes goes at once.
        while store::sweep(usize::MAX) {}
        meter.read(record_bytes(payload.len()), &shard)
    };
    let layout = dir.layout();
    let mut log = None;
    let mut reports = Vec::new();
    let voids = |log: ShardId| verdict.voids.get(&log).map_or(&[][..], Vec::as_slice);
    if opens {
        let (opened, report) = dir.shard_log(id).open(voids(id), &mut sink)?;
        log = Some(opened);
        reports.push(report);
    } else {
        // Where the number of shards is the same, no other log has anything of this one.
        let others = if layout.shards == shard_count { id.0..id.0 + 1 } else { 0..layout.shards };
        for other in others.map(ShardId) {
            reports.push(dir.shard_log(other).read(voids(other), &mut sink)?);
        }
    }
    meter.look(&shard);
    shard.replay_done();
    Ok(Part { shard, log, reports })
}

/// Writes into a log what was decided about its transactions: before anything else, because from now on their slots have
/// other records, and after all logs are synced, because what counts by this must count wherever it is.
fn settle(log: &mut Log<DiskStorage>, notes: Option<&Vec<Note>>) -> anyhow::Result<()> {
    let mut records = Vec::new();
    for note in notes.into_iter().flatten() {
        let mut payload = Vec::new();
        note.encode(&mut payload);
        append_record(&mut records, &note.header(), &payload);
    }
    if !records.is_empty() {
        log.append(&records)?;
        log.sync()?;
    }
    Ok(())
}

/// Tells [`Loading`] how far a thread has come.
struct Meter<'a> {
    loading: &'a Loading,
    /// Read since the last look.
    bytes: u64,
    keys: i64,
}

impl Meter<'_> {
    /// One more record. An error ends the reading: nobody waits for it any more.
    fn read(&mut self, bytes: usize, shard: &Shard) -> Result<(), String> {
        self.bytes += bytes as u64;
        if self.bytes >= BYTES_PER_LOOK {
            self.look(shard);
            if self.loading.is_abandoned() {
                return Err("the process was told to stop".into());
            }
        }
        Ok(())
    }

    fn look(&mut self, shard: &Shard) {
        let keys = shard.tables.keys_total() as i64;
        self.loading.advance(std::mem::take(&mut self.bytes), keys - self.keys);
        self.keys = keys;
    }
}

/// Writes new logs with nothing but the present state, each on a thread of its own.
fn rewrite(
    dir: &mut DataDir<DiskStorage>,
    shards: &mut [Shard],
    marks: LogMarks,
) -> Result<Vec<Option<OpenLog>>, DataDirError> {
    let mut rewrite = dir.begin_rewrite(shards.len() as u16, marks)?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = shards
            .iter_mut()
            .zip(&mut rewrite.logs)
            .map(|(shard, log)| scope.spawn(move || dump(shard, log)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().try_for_each(join)
    })?;
    let logs = rewrite.commit(dir)?.into_iter().map(|log| {
        let bytes = log.position().0;
        Some((log, LogReport { bytes, log_bytes: bytes, ..LogReport::default() }))
    });
    Ok(logs.collect())
}

fn dump(shard: &Shard, log: &mut Log<DiskStorage>) -> Result<(), DataDirError> {
    let mut buffer = Vec::new();
    let mut result = Ok(());
    shard.dump(&mut |header, payload| {
        append_record(&mut buffer, &header, payload);
        if buffer.len() >= REWRITE_BYTES && result.is_ok() {
            result = log.append(&buffer).map(|_| ());
            buffer.clear();
        }
    });
    result?;
    if !buffer.is_empty() {
        log.append(&buffer)?;
    }
    Ok(())
}
