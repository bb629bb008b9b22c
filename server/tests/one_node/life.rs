//! A process of the node, from its start to its end, and what is known of its disk from one to the next.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use carousel_protocol::resp::{Argv, Version};
use carousel_protocol::{Incarnation, NodeId, Seq, ShardId, key_slot};
use carousel_server::Now;
use carousel_server::limits::ShardLimits;
use carousel_server::persist::storage::memory::{Faults, MemoryStorage};
use carousel_server::persist::{
    AppendError, CheckpointEnd, CheckpointWriter, DataDir, Log, LogMarks, LogOptions, RecordHeader,
    append_clean_stop, append_record, append_start, decode_record,
};
use carousel_server::shard::checkpoint::{CheckpointExtent, CheckpointStep};
use carousel_server::shard::{Request, Shard, ShardOptions};
use carousel_server::store;

use crate::commands::command;
use crate::random::Rng;
use crate::state::{State, state_of};

/// Small, so that logs have many segments.
const OPTIONS: LogOptions = LogOptions { segment_bytes: 1500 };
const DIR: &str = "/data";

/// In which order a checkpoint counts and the log is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    PublishFirst,
    /// Planted.
    CutFirst,
}

/// What happened in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub commands: u64,
    pub refused: u64,
    pub checkpoints: u64,
    pub failed_checkpoints: u64,
    pub cut: u64,
    pub crashes: u64,
    pub power_losses: u64,
    pub failed_syncs: u64,
    pub reshardings: u64,
    pub tails: u64,
}

/// What a shard's commands left, and what was promised of them.
struct History {
    /// First what the process found, then what each command, and each look for expired keys, left.
    states: Vec<State>,
    /// Everything up to here was written, and survives the process.
    written: usize,
    /// Everything up to here was synced, and survives the machine.
    synced: usize,
}

struct Seat {
    core: Shard,
    log: Log<MemoryStorage>,
    checkpoint: Option<Checkpoint>,
}

struct Checkpoint {
    writer: CheckpointWriter<MemoryStorage>,
    stage: Stage,
}

enum Stage {
    Walking,
    Walked(CheckpointExtent),
    Finished(CheckpointEnd),
}

/// The disk, and what is known of it.
pub struct World {
    rng: Rng,
    storage: MemoryStorage,
    order: Order,
    print: bool,
    unix_ms: u64,
    incarnation: u64,
    shards: u16,
    /// By shard of the last process; none before the first.
    histories: Vec<History>,
    /// The machine lost power since.
    lost_power: bool,
    pub hash: u64,
    pub counts: Counts,
}

/// The process is over.
struct Died;

impl World {
    pub fn new(seed: u64, order: Order, print: bool) -> Self {
        let mut rng = Rng::new(seed);
        let shards = rng.between(1, 3) as u16;
        Self {
            storage: MemoryStorage::new(rng.next()),
            rng,
            order,
            print,
            unix_ms: 1_000_000,
            incarnation: 0,
            shards,
            histories: Vec::new(),
            lost_power: false,
            hash: 0,
            counts: Counts::default(),
        }
    }

    fn say(&mut self, text: std::fmt::Arguments<'_>) {
        let line = text.to_string();
        if self.print {
            eprintln!("{line}");
        }
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    /// One process, from its start to its end. The start itself may be cut off, as often as it likes.
    pub fn live(&mut self) -> Result<(), String> {
        if self.rng.one_in(4) {
            let shards = self.rng.between(1, 3) as u16;
            self.counts.reshardings += u64::from(shards != self.shards);
            self.shards = shards;
        }
        let (mut dir, mut seats) = loop {
            if self.rng.one_in(3) {
                let left = self.rng.below(60);
                self.storage.set_faults(Faults { die_after_changes: Some(left), ..Faults::default() });
            }
            match self.start() {
                Ok(started) => break started,
                Err(_) if self.storage.is_dead() => self.end(),
                Err(error) => {
                    return Err(format!("a start fails: {error}; there are {:?}", self.storage.files()));
                }
            }
        };
        let steps = self.rng.between(20, 250);
        if self.rng.one_in(2) {
            let left = self.rng.below(500);
            self.storage.set_faults(Faults { die_after_changes: Some(left), ..Faults::default() });
        }
        for _ in 0..steps {
            if self.step(&mut seats).is_err() {
                break;
            }
        }
        if !self.storage.is_dead() && self.rng.one_in(5) {
            self.storage.set_faults(Faults::default());
            self.stop(&mut dir, seats);
        } else {
            drop(seats);
        }
        drop(dir);
        self.end();
        Ok(())
    }

    /// The end of a process, or of its machine.
    fn end(&mut self) {
        self.lost_power = self.rng.one_in(2);
        self.counts.crashes += 1;
        self.counts.power_losses += u64::from(self.lost_power);
        let lost_power = self.lost_power;
        self.say(format_args!("ends, power lost {lost_power}"));
        if lost_power {
            self.storage.lose_power();
            // Only what was synced is promised now, also to a start that is cut off by less.
            for history in &mut self.histories {
                history.written = history.synced;
            }
        } else {
            self.storage.restart_process();
        }
    }

    /// As `boot`, `load` and `control::activate`.
    fn start(&mut self) -> Result<(DataDir<MemoryStorage>, Vec<Seat>), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut dir =
            DataDir::open(self.storage.clone(), Path::new(DIR), OPTIONS).map_err(|error| text(&error))?;
        let layout = dir.layout();
        let shard_count = self.shards;
        let limits = ShardLimits { chunk_keys: 2, chunk_bytes: 40, ..ShardLimits::default() };
        let mut shards: Vec<_> = (0..shard_count)
            .map(|id| {
                Shard::new(ShardOptions {
                    id: ShardId(id),
                    shard_count,
                    me: NodeId([1; 20]),
                    hash_seed: 77,
                    databases: 16,
                    log: true,
                    limits,
                    packing: Default::default(),
                })
            })
            .collect();
        let (mut logs, mut marks) = (Vec::new(), Vec::new());
        for number in 0..layout.shards {
            let log = dir.shard_log(ShardId(number));
            let mut sink = |header: RecordHeader, payload: &[u8]| {
                shards
                    .iter_mut()
                    .try_for_each(|shard| shard.replay(header, payload))
                    .map_err(|e| e.to_string())
            };
            let report = if layout.shards == shard_count {
                let (log, report) = log.open(&[], &mut sink).map_err(|error| text(&error))?;
                logs.push(log);
                report
            } else {
                log.read(&[], &mut sink).map_err(|error| text(&error))?
            };
            marks.push(report.marks);
        }
        while store::sweep(usize::MAX) {}
        shards.iter_mut().for_each(Shard::replay_done);
        self.check(&shards)?;
        let marks = LogMarks::agreed(marks);
        if layout.shards != shard_count {
            let mut rewrite = dir.begin_rewrite(shard_count, marks).map_err(|error| text(&error))?;
            for (shard, log) in shards.iter().zip(&mut rewrite.logs) {
                let mut records = Vec::new();
                shard.dump(&mut |header, payload| append_record(&mut records, &header, payload));
                log.append(&records).map_err(|error| text(&error))?;
            }
            logs = rewrite.commit(&mut dir).map_err(|error| text(&error))?;
        }
        self.incarnation += 1;
        for log in &mut logs {
            let mut start = Vec::new();
            append_start(&mut start, Incarnation(self.incarnation));
            log.append(&start).map_err(|error| text(&error))?;
            log.sync().map_err(|error| text(&error))?;
        }
        dir.begin_run(Incarnation(self.incarnation), true, true).map_err(|error| text(&error))?;
        self.storage.set_faults(Faults::default());
        self.histories = shards
            .iter()
            .map(|shard| History { states: vec![state_of(shard)], written: 0, synced: 0 })
            .collect();
        let keys: usize = self.histories.iter().map(|history| history.states[0].len()).sum();
        self.say(format_args!("starts with {shard_count} shards and {keys} keys"));
        let seats = shards.into_iter().zip(logs).map(|(mut core, log)| {
            core.begin(true);
            core.set_log_position(log.position());
            Seat { core, log, checkpoint: None }
        });
        Ok((dir, seats.collect()))
    }

    /// Every shard of the last process must have been found as one of its turns left it.
    fn check(&self, shards: &[Shard]) -> Result<(), String> {
        let found: State = shards.iter().flat_map(state_of).collect();
        let known = self.histories.len() as u16;
        if known == 0 {
            return if found.is_empty() {
                Ok(())
            } else {
                Err("there are keys before any was written".into())
            };
        }
        for (number, history) in self.histories.iter().enumerate() {
            let is_here = |key: &[u8]| ShardId::of_slot(key_slot(key), known).index() == number;
            let here: State = found
                .iter()
                .filter(|(key, _)| is_here(&key.1))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let possible = &history.states[history.written..];
            // A write that was cut off has left its first records: between two states, some slots are as one left them,
            // and some as the other.
            let is_between = || possible.windows(2).any(|pair| by_slot(&here, &pair[0], &pair[1]));
            if !possible.contains(&here) && !is_between() {
                let (written, all) = (history.written, history.states.len());
                return Err(format!(
                    "shard {number} is as none of its commands {written}..{all} left it: {here:#?}\ninstead of {:#?}",
                    history.states[written]
                ));
            }
        }
        Ok(())
    }

    fn step(&mut self, seats: &mut [Seat]) -> Result<(), Died> {
        let at = self.rng.index(seats.len());
        match self.rng.below(100) {
            0..=59 => self.turn(seats, at),
            60..=66 => self.sync(&mut seats[at], at),
            67..=70 => {
                // The thread that indexes runs whenever it likes.
                if let Some(job) = seats[at].log.index_job()
                    && job.run().is_err()
                    && self.storage.is_dead()
                {
                    return Err(Died);
                }
                self.read_tail(&seats[at]);
                Ok(())
            }
            71..=96 => self.go_on_with_checkpoint(&mut seats[at], at),
            97 => {
                // Room for some segments, or all there is.
                let space_left = self.rng.one_in(2).then(|| self.rng.below(6000));
                self.storage.change_faults(|faults| faults.space_left = space_left);
                self.say(format_args!("room: {space_left:?}"));
                Ok(())
            }
            98 if self.rng.one_in(4) => {
                self.storage.change_faults(|faults| faults.fail_syncs = true);
                self.say(format_args!("syncs fail from now on"));
                Ok(())
            }
            _ => {
                self.unix_ms += self.rng.below(300);
                Ok(())
            }
        }
    }

    /// The tail of a slot that the full segments have must be what they have, with an index or without.
    fn read_tail(&mut self, seat: &Seat) {
        let reader = seat.log.tail_reader();
        let slot = key_slot(format!("{{{}}}", self.rng.pick(&["a", "b", "c", "d", "e", "f"])).as_bytes());
        let owner = ShardId::of_slot(slot, self.shards);
        if owner != seat.core.id() {
            return;
        }
        let last = seat.core.slot(slot).last_seq.0;
        let from = Seq(last.saturating_sub(self.rng.below(60)).max(1));
        let Ok(Some(tail)) = reader.read(slot, from) else { return };
        for (record, seq) in tail.records.iter().zip(from.0..) {
            let (header, _, _) = decode_record(record).unwrap().expect("whole");
            assert_eq!((header.slot, header.seq), (slot, Seq(seq)), "the tail has no gaps");
        }
        self.counts.tails += 1;
    }

    /// Some commands, and the end of their turn.
    fn turn(&mut self, seats: &mut [Seat], at: usize) -> Result<(), Died> {
        let now = Now { mono_ns: self.unix_ms * 1_000_000, unix_ms: self.unix_ms };
        for _ in 0..self.rng.between(1, 4) {
            let command = command(&mut self.rng, self.unix_ms);
            let argv = Argv::new(&command.buffer, &command.ranges);
            let owner = command
                .key
                .as_ref()
                .map_or(at, |key| ShardId::of_slot(key_slot(key), seats.len() as u16).index());
            if owner != at {
                continue;
            }
            let Seat { core, log, .. } = &mut seats[at];
            let log = RefCell::new(log);
            let room = |bytes: usize| log.borrow_mut().reserve(bytes).map_err(|_| "MISCONF no room");
            let slot =
                command.key.as_ref().map_or(carousel_protocol::SlotId::new(0).unwrap(), |key| key_slot(key));
            let request = Request {
                spec: command.spec,
                slot,
                argv,
                database: command.database,
                version: Version::Resp2,
                counts_as_use: true,
            };
            let mut reply = Vec::new();
            let done = match &command.key {
                Some(_) => core.execute(now, request, &mut reply, room).map(drop),
                None => core.execute_on_any(now, request, &mut reply, room).map(drop),
            };
            if self.print {
                let words: Vec<_> = argv.iter().map(String::from_utf8_lossy).collect();
                eprintln!(
                    "  {:?} {words:?}: {}",
                    command.database,
                    String::from_utf8_lossy(&reply).trim_end()
                );
            }
            self.counts.commands += 1;
            self.counts.refused += u64::from(done.is_err());
            let left = state_of(&seats[at].core);
            self.histories[at].states.push(left);
        }
        let seat = &mut seats[at];
        if self.rng.one_in(4) && seat.log.reserve(seat.core.turn_log_bytes() + 2000).is_ok() {
            seat.core.expire(now, 100);
        }
        while store::sweep(usize::MAX) {}
        let output = seat.core.end_turn(now);
        let records = output.log.concat();
        let history = &mut self.histories[at];
        history.states.push(state_of(&seat.core));
        if !records.is_empty() {
            match seat.log.append(&records) {
                Ok(_) => {}
                Err(AppendError::NoSpace { path }) => {
                    panic!("room was reserved in {}", path.display());
                }
                Err(_) => return Err(Died),
            }
        }
        history.written = history.states.len() - 1;
        seat.core.set_log_position(seat.log.position());
        seat.core.durable(output.turn);
        let (bytes, keys) = (records.len(), history.states[history.written].len());
        self.say(format_args!("shard {at} writes {bytes} bytes, has {keys} keys"));
        Ok(())
    }

    fn sync(&mut self, seat: &mut Seat, at: usize) -> Result<(), Died> {
        if seat.log.sync().is_err() {
            self.counts.failed_syncs += 1;
            return Err(Died);
        }
        self.histories[at].synced = self.histories[at].written;
        self.say(format_args!("shard {at} synced"));
        Ok(())
    }

    /// As `shard::drive::checkpoint` and the thread that it writes with, one operation at a time.
    fn go_on_with_checkpoint(&mut self, seat: &mut Seat, at: usize) -> Result<(), Died> {
        let Some(Checkpoint { mut writer, stage }) = seat.checkpoint.take() else {
            let header = seat.log.begin_checkpoint(Some(Incarnation(self.incarnation)));
            let storage = self.storage.clone();
            let Ok(writer) = CheckpointWriter::create(storage, seat.log.dir(), header) else {
                return self.checkpoint_failed(seat, at, None);
            };
            seat.core.begin_checkpoint();
            seat.checkpoint = Some(Checkpoint { writer, stage: Stage::Walking });
            return Ok(());
        };
        let stage = match stage {
            Stage::Walking => {
                let mut walked = None;
                for _ in 0..self.rng.between(1, 300) {
                    let (records, last) = match seat.core.step_checkpoint() {
                        CheckpointStep::More(records) => (records, None),
                        CheckpointStep::Last(records, extent) => (records, Some(extent)),
                    };
                    if writer.write(&records).is_err() {
                        return self.checkpoint_failed(seat, at, Some(writer));
                    }
                    if last.is_some() {
                        walked = last;
                        break;
                    }
                }
                walked.map_or(Stage::Walking, Stage::Walked)
            }
            // Turns end at once here.
            Stage::Walked(extent) => {
                assert!(seat.log.position() >= extent.end);
                let end = CheckpointEnd { extent, segment: seat.log.segment_of(extent.replay_from) };
                let written = self.histories[at].written;
                if writer.finish(end, Some(&seat.log.syncer())).is_err() {
                    let failed = seat.log.progress().has_failed();
                    self.counts.failed_syncs += u64::from(failed);
                    self.checkpoint_failed(seat, at, Some(writer))?;
                    return if failed { Err(Died) } else { Ok(()) };
                }
                if seat.log.progress().synced() == seat.log.position() {
                    self.histories[at].synced = written;
                }
                Stage::Finished(end)
            }
            Stage::Finished(end) => {
                let retention = self.rng.pick(&[0, 0, 3000]);
                if self.order == Order::CutFirst {
                    seat.log.cut(end, retention).run().map_err(|_| Died)?;
                }
                if writer.publish().is_err() {
                    self.counts.failed_checkpoints += 1;
                    return if self.storage.is_dead() { Err(Died) } else { Ok(()) };
                }
                let removed = seat.log.cut(end, retention).run().map_err(|_| Died)?;
                self.counts.cut += removed as u64;
                self.counts.checkpoints += 1;
                self.say(format_args!(
                    "shard {at} has a checkpoint of {} keys, cuts {removed}",
                    end.extent.keys
                ));
                return Ok(());
            }
        };
        seat.checkpoint = Some(Checkpoint { writer, stage });
        Ok(())
    }

    fn checkpoint_failed(
        &mut self,
        seat: &mut Seat,
        at: usize,
        writer: Option<CheckpointWriter<MemoryStorage>>,
    ) -> Result<(), Died> {
        seat.core.end_checkpoint();
        if let Some(writer) = writer {
            writer.abandon();
        }
        self.counts.failed_checkpoints += 1;
        self.say(format_args!("shard {at} has no checkpoint"));
        if self.storage.is_dead() { Err(Died) } else { Ok(()) }
    }

    fn stop(&mut self, dir: &mut DataDir<MemoryStorage>, seats: Vec<Seat>) {
        let mut clean = true;
        for (at, seat) in seats.into_iter().enumerate() {
            let mut last = Vec::new();
            append_clean_stop(&mut last, Incarnation(self.incarnation));
            let closed = seat.log.close(&last).is_ok();
            if closed {
                self.histories[at].synced = self.histories[at].written;
            }
            clean &= closed;
        }
        clean = clean && dir.end_run().is_ok();
        self.say(format_args!("stops, clean {clean}"));
    }
}

/// Is every slot of `found` as one of the two states has it?
fn by_slot(found: &State, before: &State, after: &State) -> bool {
    let slots: BTreeSet<_> = [found, before, after]
        .into_iter()
        .flat_map(|state| state.keys().map(|key| key_slot(&key.1)))
        .collect();
    slots.into_iter().all(|slot| {
        let of = |state: &State| -> State {
            let here = state.iter().filter(|(key, _)| key_slot(&key.1) == slot);
            here.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let found = of(found);
        found == of(before) || found == of(after)
    })
}
