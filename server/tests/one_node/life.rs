//! A process of the node, from its start to its end, and what is known of its disk from one to the next.

use std::cell::RefCell;
use std::path::Path;

use carousel_protocol::{Incarnation, NodeId, Seq, ShardId, key_slot};
use carousel_server::limits::ShardLimits;
use carousel_server::persist::storage::memory::{Faults, MemoryStorage};
use carousel_server::persist::transactions::{Note, decide};
use carousel_server::persist::{
    DataDir, LogMarks, LogOptions, RecordHeader, append_clean_stop, append_record, append_start,
    decode_record,
};
use carousel_server::shard::{Shard, ShardOptions};
use carousel_server::store;

use crate::checkpoints::Checkpoint;
use crate::commands::{command, slots};
use crate::history::History;
use crate::random::Rng;
use crate::seat::{Died, Seat};
use crate::state::states_of;
use crate::transactions::Running;

/// Small, so that logs have many segments.
const OPTIONS: LogOptions = LogOptions { segment_bytes: 1500 };
const DIR: &str = "/data";

/// In which order things are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// As they should be; all others are planted.
    Right,
    /// A log is cut before its checkpoint counts.
    CutFirst,
    /// A checkpoint counts before its log is synced.
    LogUnsynced,
    /// Checkpoints count without a word about the transactions that they have something of.
    NotSettled,
    /// Or while some of those have not ended.
    NotSealed,
    /// Transactions are said to count when not every log that says so is synced.
    SettleUnsynced,
    /// And that at once when they end.
    SettleAtUnlock,
    /// Slots are given back when not every shard has written the transaction's end.
    UnlockEarly,
}

/// What happened in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub commands: u64,
    pub refused: u64,
    pub transactions: u64,
    pub taken_out: u64,
    pub checkpoints: u64,
    pub failed_checkpoints: u64,
    pub cut: u64,
    pub crashes: u64,
    pub power_losses: u64,
    pub failed_syncs: u64,
    pub reshardings: u64,
    pub tails: u64,
}

/// The disk, and what is known of it.
pub struct World {
    pub(crate) rng: Rng,
    pub(crate) storage: MemoryStorage,
    pub(crate) order: Order,
    print: bool,
    pub(crate) unix_ms: u64,
    pub(crate) incarnation: u64,
    shards: u16,
    /// Of the last process.
    pub(crate) history: History,
    /// Of this process.
    pub(crate) running: Vec<Running>,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Transactions end soon.
    is_hasty: bool,
    pub hash: u64,
    pub counts: Counts,
}

impl World {
    pub fn new(seed: u64, order: Order, print: bool) -> Self {
        let mut rng = Rng::new(seed);
        let shards = rng.between(1, 3) as u16;
        let nothing = slots().into_iter().map(|slot| (slot, Default::default())).collect();
        Self {
            storage: MemoryStorage::new(rng.next()),
            rng,
            order,
            print,
            unix_ms: 1_000_000,
            incarnation: 0,
            shards,
            history: History::new(true, shards, nothing),
            running: Vec::new(),
            checkpoint: None,
            is_hasty: true,
            hash: 0,
            counts: Counts::default(),
        }
    }

    pub(crate) fn say(&mut self, text: std::fmt::Arguments<'_>) {
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
        self.is_hasty = !self.rng.one_in(4);
        if self.rng.one_in(2) {
            let left = self.rng.below(500);
            self.storage.set_faults(Faults { die_after_changes: Some(left), ..Faults::default() });
        }
        for _ in 0..steps {
            if self.step(&mut seats).is_err() {
                break;
            }
        }
        self.running.clear();
        self.checkpoint = None;
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
        let lost_power = self.rng.one_in(2);
        self.counts.crashes += 1;
        self.counts.power_losses += u64::from(lost_power);
        self.say(format_args!("ends, power lost {lost_power}"));
        self.history.ended(lost_power);
        if lost_power {
            self.storage.lose_power();
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
        let (hash_seed, limits) =
            (self.rng.next(), ShardLimits { chunk_keys: 2, chunk_bytes: 40, ..ShardLimits::default() });
        let mut shards: Vec<_> = (0..shard_count)
            .map(|id| {
                Shard::new(ShardOptions {
                    id: ShardId(id),
                    shard_count,
                    me: NodeId([1; 20]),
                    hash_seed,
                    databases: 16,
                    log: true,
                    limits,
                    packing: Default::default(),
                })
            })
            .collect();
        let mut notes = Vec::new();
        for number in (0..layout.shards).map(ShardId) {
            notes.push((number, dir.shard_log(number).notes().map_err(|error| text(&error))?));
        }
        let verdict = decide(notes);
        let (mut logs, mut marks) = (Vec::new(), Vec::new());
        for number in (0..layout.shards).map(ShardId) {
            let log = dir.shard_log(number);
            let voids = verdict.voids.get(&number).map_or(&[][..], Vec::as_slice);
            let mut sink = |header: RecordHeader, payload: &[u8]| {
                shards
                    .iter_mut()
                    .try_for_each(|shard| shard.replay(header, payload))
                    .map_err(|e| e.to_string())
            };
            let report = if layout.shards == shard_count {
                let (log, report) = log.open(voids, &mut sink).map_err(|error| text(&error))?;
                logs.push(log);
                report
            } else {
                log.read(voids, &mut sink).map_err(|error| text(&error))?
            };
            marks.push(report.marks);
        }
        while store::sweep(usize::MAX) {}
        shards.iter_mut().for_each(Shard::replay_done);
        let found = || shards.iter().flat_map(states_of).collect();
        self.history.check(&found())?;
        self.counts.taken_out += verdict.voids.values().map(|voids| voids.len() as u64).sum::<u64>();
        for (log, number) in logs.iter_mut().zip((0..).map(ShardId)) {
            let records = verdict.settle.get(&number).map(|notes| encode(notes)).unwrap_or_default();
            if !records.is_empty() {
                log.append(&records).map_err(|error| text(&error))?;
                log.sync().map_err(|error| text(&error))?;
            }
        }
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
        let is_always = self.rng.one_in(2);
        self.history = History::new(is_always, shard_count, found());
        let keys = self.history.keys();
        self.say(format_args!("starts with {shard_count} shards and {keys} keys, always {is_always}"));
        let seats = shards.into_iter().zip(logs).map(|(core, log)| Seat::new(core, log, is_always));
        Ok((dir, seats.collect()))
    }

    fn step(&mut self, seats: &mut [Seat]) -> Result<(), Died> {
        let at = self.rng.index(seats.len());
        match self.rng.below(100) {
            0..=34 => self.turn(seats, at),
            // Some clients are slow.
            35..=59 if self.is_hasty || self.rng.one_in(8) => self.transaction(seats),
            35..=59 => Ok(()),
            60..=66 => self.sync(&mut seats[at], at).map(drop),
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
            71..=96 => self.go_on_with_checkpoint(seats),
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
        let now = self.now();
        let count = seats.len() as u16;
        for _ in 0..self.rng.between(1, 4) {
            let command = command(&mut self.rng, self.unix_ms);
            let owner = command.key.as_ref().map_or(at, |key| ShardId::of_slot(key_slot(key), count).index());
            if owner != at {
                continue;
            }
            let seat = RefCell::new(&mut seats[at]);
            // (What executes has the shard, and only what makes room has its log.)
            let mut has_room = seat.borrow().is_written();
            let mut reply = Vec::new();
            let done = {
                let Seat { core, log, .. } = &mut **seat.borrow_mut();
                let log = RefCell::new(log);
                let room = |bytes: usize| match has_room && log.borrow_mut().reserve(bytes).is_ok() {
                    true => Ok(()),
                    false => Err("MISCONF no room"),
                };
                match &command.key {
                    Some(_) => core.execute(now, command.request(), &mut reply, room).map(drop),
                    None => core.execute_on_any(now, command.request(), &mut reply, room).map(drop),
                }
            };
            has_room &= done.is_ok();
            if self.print {
                let words: Vec<_> = command.argv().iter().map(String::from_utf8_lossy).collect();
                let reply = String::from_utf8_lossy(&reply);
                eprintln!("  {:?} {words:?}: {} {done:?}", command.database, reply.trim_end());
            }
            self.counts.commands += 1;
            self.counts.refused += u64::from(!has_room);
            // What is about all keys is one, whatever slots it changes.
            let transaction = command.key.is_none().then(|| self.history.begin());
            let states = states_of(&seats[at].core);
            let slots: Vec<_> = states.keys().copied().collect();
            self.history.note(states, transaction);
            if let Some(transaction) = transaction.filter(|_| done.is_ok()) {
                self.history.wrote(transaction, at);
                self.history.commit(transaction, at, &slots);
            }
        }
        let seat = &mut seats[at];
        if self.rng.one_in(4) && seat.room(seat.core.turn_log_bytes() + 2000).is_ok() {
            seat.core.expire(now, 100);
            self.history.note(states_of(&seat.core), None);
        }
        self.end_turn(seats, at)
    }

    /// What the shard has done goes into its log.
    pub(crate) fn end_turn(&mut self, seats: &mut [Seat], at: usize) -> Result<(), Died> {
        while store::sweep(usize::MAX) {}
        // (Ending a turn may make a slot writable again, and what that makes is part of what the next turn ends.)
        let is_written = seats[at].end_turn(self.now())?;
        if is_written {
            self.history.appended(at);
        }
        let position = seats[at].log.position().0;
        self.say(format_args!("shard {at} has written up to {position}, all: {is_written}"));
        Ok(())
    }

    pub(crate) fn sync(&mut self, seat: &mut Seat, at: usize) -> Result<(), Died> {
        if seat.sync().is_err() {
            self.counts.failed_syncs += 1;
            return Err(Died);
        }
        self.history.synced(at);
        self.say(format_args!("shard {at} synced"));
        Ok(())
    }

    fn stop(&mut self, dir: &mut DataDir<MemoryStorage>, seats: Vec<Seat>) {
        let mut clean = true;
        for (at, seat) in seats.into_iter().enumerate() {
            let (log, mut last) = seat.into_rest(self.now());
            append_clean_stop(&mut last, Incarnation(self.incarnation));
            let closed = log.close(&last).is_ok();
            if closed {
                self.history.appended(at);
                self.history.synced(at);
            }
            clean &= closed;
        }
        clean = clean && dir.end_run().is_ok();
        self.say(format_args!("stops, clean {clean}"));
    }
}

/// The notes as records.
fn encode(notes: &[Note]) -> Vec<u8> {
    let mut records = Vec::new();
    for note in notes {
        let mut payload = Vec::new();
        note.encode(&mut payload);
        append_record(&mut records, &note.header(), &payload);
    }
    records
}
