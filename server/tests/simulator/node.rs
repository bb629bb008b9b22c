//! A node: its process, which drives its shards as `shard::drive` does, and its end.

use std::collections::{BTreeMap, VecDeque};

use carousel_protocol::{Epoch, Incarnation, NodeId, ShardId, SlotId};
use carousel_server::replication::recovery::Report;
use carousel_server::shard::checkpoint::{CheckpointExtent, CheckpointStep};
use carousel_server::shard::slot::{LinkId, PeerIndex};
use carousel_server::shard::{ReadyChange, Reservation, Shard};
use carousel_server::store;

use super::client::Waiting;
use super::disk::{Checkpoint, Disk};
use super::events::{At, Event, Life};
use super::links::{ConnId, Side};
use super::plant::Plant;
use super::scenario::{Logging, MS, US};
use super::world::World;

/// A shard of a process.
pub struct Seat {
    /// Its number.
    pub id: ShardId,
    /// The state machine.
    pub core: Shard,
    /// Its turn is to be ended.
    pub touched: bool,
    /// Connections to shards that follow.
    pub links_out: BTreeMap<PeerIndex, ConnId>,
    /// Connections from shards that lead.
    pub links_in: BTreeMap<LinkId, ConnId>,
    /// The number of the next of those.
    pub next_link: u64,
    /// Requests that are parked or whose replies are held.
    pub waiting: Vec<Waiting>,
    /// Turns that are not durable enough: what may leave then.
    unsynced: VecDeque<Unsynced>,
    /// Promises of this turn.
    seals: Vec<Sealed>,
    /// Turns that wait until the log is synced up to there.
    sync_waits: VecDeque<(usize, u64)>,
    /// An fdatasync of the log up to there is under way.
    syncing: Option<usize>,
    /// The state that the shard was given last.
    pub map: u64,
    /// A checkpoint under way: what it has so far, and once all is walked, what of the log belongs to it.
    checkpoint: Option<(Vec<u8>, Option<CheckpointExtent>)>,
}

struct Unsynced {
    turn: u64,
    to_primaries: Vec<(LinkId, Vec<u8>)>,
    seals: Vec<Sealed>,
}

struct Sealed {
    round: u64,
    reports: Vec<(SlotId, Report)>,
}

/// A running node.
pub struct Process {
    /// Names it.
    pub life: Life,
    /// The random number that it registers with.
    pub number: u64,
    /// Its number of shards.
    pub shards: u16,
    /// Those simulated.
    pub seats: Vec<Seat>,
    /// Version of the cluster's state that its control thread has.
    pub view: u64,
    /// Its part has begun: what it may claim of its copies is settled.
    pub begun: bool,
    /// A registration is on its way.
    pub registering: bool,
    /// Changes of slots that wait to be proposed.
    pub changes: VecDeque<ReadyChange>,
    /// The changes that are being proposed.
    pub proposing: Option<Vec<carousel_server::config::SlotChange>>,
    /// A recovery is under way here.
    pub coordinates: Option<u64>,
    /// Answers to seals that not all shards have given: per round, shards missing and reports.
    pub seal_answers: BTreeMap<u64, (usize, Vec<(SlotId, Report)>)>,
}

impl Process {
    /// The incarnation by which a shard knows itself registered.
    pub fn incarnation_of(&self, seat: usize) -> Option<Incarnation> {
        let core = &self.seats[seat].core;
        let state = core.cluster()?;
        state
            .members
            .values()
            .find(|member| member.spec.process == self.number)
            .map(|member| member.incarnation)
    }
}

/// Where in a turn a process dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// Records were sent to replicas, none written.
    BeforeWrite,
    /// In the middle of the write.
    InWrite,
    /// Everything was written, nothing that waits for that has left.
    AfterWrite,
    /// Acks have left, proposals have not.
    BeforePropose,
}

/// A node.
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its number of shards.
    pub shards: u16,
    /// What its clock shows beyond virtual time, in milliseconds.
    pub skew_ms: u64,
    /// What survives its processes.
    pub disk: Disk,
    /// The running one.
    pub process: Option<Process>,
    /// Its process dies in a turn to come.
    pub crash_in_turn: Option<CrashPoint>,
    /// Its process stands still until then.
    pub paused_until: u64,
    /// It reaches the config group.
    pub reaches_group: bool,
    /// It believes that it leads the config group.
    pub believes_to_lead: bool,
}

impl World {
    /// Adds a machine, without a process.
    pub fn add_node(&mut self) -> usize {
        let index = self.nodes.len();
        let shards = if self.scenario.resharding { self.rng.pick(&[1024, 512]) } else { 1024 };
        let skew_ms = self.rng.below(super::scenario::CLOCK_SKEW_MS);
        self.nodes.push(Node {
            id: NodeId([index as u8 + 1; 20]),
            shards,
            skew_ms,
            disk: Disk { is_whole: true, shards, ..Disk::default() },
            process: None,
            crash_in_turn: None,
            paused_until: 0,
            reaches_group: true,
            believes_to_lead: false,
        });
        index
    }

    /// Starts a process on a node.
    pub fn start(&mut self, node: usize) {
        let life = self.new_life();
        self.nodes[node].paused_until = 0;
        let (hash_seed, rewrite) = (self.rng.next(), self.rng.one_in(4));
        if self.scenario.resharding && self.rng.one_in(3) {
            self.nodes[node].shards = self.rng.pick(&[1024, 512]);
        }
        let me = &self.nodes[node];
        let (id, shards, version) = (me.id, me.shards, me.disk.version);
        let mut seat_ids: Vec<_> =
            self.scenario.slots.iter().map(|slot| ShardId::of_slot(*slot, shards)).collect();
        seat_ids.dedup();
        let logged = self.scenario.logging != Logging::Off;
        let limits = self.scenario.limits;
        let cores = self.nodes[node].disk.load(id, &seat_ids, shards, hash_seed, logged, rewrite, limits);
        let logs = seat_ids.len();
        self.nodes[node].disk.logs.resize_with(logs, Default::default);
        let seat = |(id, core)| Seat {
            id,
            core,
            touched: false,
            links_out: BTreeMap::new(),
            links_in: BTreeMap::new(),
            next_link: 0,
            waiting: Vec::new(),
            unsynced: VecDeque::new(),
            seals: Vec::new(),
            sync_waits: VecDeque::new(),
            syncing: None,
            map: 0,
            checkpoint: None,
        };
        let was_member = self.group.state(version).members.contains_key(&id);
        // Planted: the process passes itself off as the one that died.
        let number = match self.group.latest().members.get(&id) {
            Some(member) if self.plant == Plant::RestartReusesEpoch => member.spec.process,
            _ => self.rng.next(),
        };
        self.say(format_args!("n{node} starts as process {life}, member {was_member}, {shards} shards"));
        self.nodes[node].process = Some(Process {
            life,
            number,
            shards,
            seats: seat_ids.into_iter().zip(cores).map(seat).collect(),
            view: version,
            begun: false,
            registering: false,
            changes: VecDeque::new(),
            proposing: None,
            coordinates: None,
            seal_answers: BTreeMap::new(),
        });
        if !was_member {
            let process = self.nodes[node].process.as_mut().expect("just started");
            // It is about to join, so it serves nobody before.
            for seat in &mut process.seats {
                assert_eq!(seat.core.reserve(u64::MAX, 1), Reservation::Made);
            }
            self.begin(node, true);
        }
        for seat in 0..logs {
            let at = At { node, life, seat };
            let tick = self.rng.between(MS, 50 * MS);
            self.after(tick, Event::Tick(at));
            if self.scenario.logging == Logging::EverySecond {
                self.after(tick * 2, Event::SyncTick(at));
            }
            if was_member {
                // Nobody is served, and nothing dropped, until the state names this process.
                self.map(at, version, false);
            }
        }
        let soon = self.rng.between(MS, 20 * MS);
        self.after(soon, Event::Register { node, life });
        let soon = self.rng.between(MS, 20 * MS);
        self.after(soon, Event::Lead { node, life });
        let latest = self.group.latest_version();
        let soon = self.delay();
        self.after(soon, Event::Learn { node, version: latest });
    }

    /// A process' part begins: what it may claim of its copies is settled, and noted on disk.
    pub fn begin(&mut self, node: usize, whole: bool) {
        let machine = &mut self.nodes[node];
        let process = machine.process.as_mut().expect("alive");
        process.begun = true;
        for (seat, log) in process.seats.iter_mut().zip(&mut machine.disk.logs) {
            seat.core.begin(whole);
            log.synced = log.bytes.len();
        }
        machine.disk.is_whole = whole;
    }

    /// A task has used a shard: if that left something to do, its turn will end.
    pub fn touch(&mut self, at: At) {
        let delay = self.rng.between(5 * US, 120 * US);
        let Some(seat) = self.seat(at.node, at.life, at.seat) else { return };
        if !std::mem::replace(&mut seat.touched, true) {
            self.after(delay, Event::Turn(at));
        }
        self.check_seat(at);
    }

    /// Ends a shard's turn.
    pub fn turn(&mut self, at: At) {
        let now = self.clock(at.node);
        let Some(seat) = self.seat(at.node, at.life, at.seat) else { return };
        seat.touched = false;
        let output = seat.core.end_turn(now);
        let seals = std::mem::take(&mut seat.seals);
        let links: Vec<_> = output
            .to_replicas
            .into_iter()
            .filter_map(|(peer, bytes)| seat.links_out.get(&peer).map(|conn| (*conn, bytes)))
            .collect();
        let crash = self.nodes[at.node].crash_in_turn.filter(|_| !output.log.is_empty());
        for (peer, to, shard) in output.dial {
            let soon = self.rng.between(10 * US, MS);
            self.after(soon, Event::Dial { at, peer, to, shard });
        }
        for (conn, bytes) in links {
            self.send(conn, Side::Acceptor, bytes);
        }
        let unsynced = Unsynced { turn: output.turn, to_primaries: output.to_primaries, seals };
        if crash == Some(CrashPoint::BeforeWrite) {
            if self.plant == Plant::AckBeforeWrite {
                self.live_seat(at.node, at.seat).unsynced.push_back(unsynced);
                self.synced(at, output.turn);
            }
            return self.kill(at.node, false);
        }
        let bytes = output.log.concat();
        let always = self.scenario.logging == Logging::Always;
        let promise = !unsynced.seals.is_empty() && self.scenario.logging != Logging::Off;
        let partly = self.rng.index(bytes.len() + 1);
        let log = &mut self.nodes[at.node].disk.logs[at.seat];
        if crash == Some(CrashPoint::InWrite) {
            let end = log.bytes.len() + partly;
            log.bytes.extend_from_slice(&bytes);
            log.truncate(end);
            return self.kill(at.node, false);
        }
        log.bytes.extend_from_slice(&bytes);
        let end = log.bytes.len();
        let position = log.end();
        self.live_seat(at.node, at.seat).core.set_log_position(position);
        if crash == Some(CrashPoint::AfterWrite) {
            return self.kill(at.node, false);
        }
        let seat = self.live_seat(at.node, at.seat);
        seat.unsynced.push_back(unsynced);
        // As `shard::journal`.
        let earlier = seat.sync_waits.back().map(|wait| wait.0);
        let until = if promise || (always && !bytes.is_empty()) { Some(end) } else { earlier };
        match until {
            Some(position) => {
                seat.sync_waits.push_back((position, output.turn));
                self.sync(at);
            }
            None => self.synced(at, output.turn),
        }
        if crash == Some(CrashPoint::BeforePropose) {
            return self.kill(at.node, false);
        }
        self.propose_changes(at.node, at.life, output.changes);
        if output.more {
            self.touch(at);
        }
        self.check_seat(at);
    }

    /// Begins an fdatasync, unless one is under way.
    fn sync(&mut self, at: At) {
        let end = self.nodes[at.node].disk.logs[at.seat].bytes.len();
        let seat = self.live_seat(at.node, at.seat);
        if seat.syncing.is_none() {
            seat.syncing = Some(end);
            let takes = self.rng.between(300 * US, 4 * MS);
            self.after(takes, Event::Synced(at));
        }
    }

    /// An fdatasync has ended.
    pub fn sync_ended(&mut self, at: At) {
        let Some(seat) = self.seat(at.node, at.life, at.seat) else { return };
        let position = seat.syncing.take().expect("one was under way");
        let mut last = None;
        while let Some((_, turn)) = seat.sync_waits.pop_front_if(|wait| wait.0 <= position) {
            last = Some(turn);
        }
        let more = !seat.sync_waits.is_empty();
        let log = &mut self.nodes[at.node].disk.logs[at.seat];
        log.synced = log.synced.max(position);
        if let Some(turn) = last {
            self.synced(at, turn);
        }
        if more {
            self.sync(at);
        }
    }

    /// `everysec`.
    pub fn sync_tick(&mut self, at: At) {
        if self.seat(at.node, at.life, at.seat).is_none() {
            return;
        }
        let log = &self.nodes[at.node].disk.logs[at.seat];
        if log.synced < log.bytes.len() {
            self.sync(at);
        }
        self.after(150 * MS, Event::SyncTick(at));
    }

    /// Everything of the turns up to `turn` is as durable as `appendfsync` says.
    fn synced(&mut self, at: At, turn: u64) {
        let seat = self.live_seat(at.node, at.seat);
        seat.core.durable(turn);
        while let Some(next) =
            self.live_seat(at.node, at.seat).unsynced.pop_front_if(|next| next.turn <= turn)
        {
            for (link, bytes) in next.to_primaries {
                if let Some(conn) = self.live_seat(at.node, at.seat).links_in.get(&link).copied() {
                    self.send(conn, Side::Dialler, bytes);
                }
            }
            for sealed in next.seals {
                self.seal_done(at.node, sealed.round, sealed.reports);
            }
        }
        let seat = self.live_seat(at.node, at.seat);
        let sends: Vec<_> = seat
            .core
            .take_sends()
            .into_iter()
            .filter_map(|(peer, bytes)| seat.links_out.get(&peer).map(|conn| (*conn, bytes)))
            .collect();
        let news = seat.core.take_news();
        for (conn, bytes) in sends {
            self.send(conn, Side::Acceptor, bytes);
        }
        if news {
            self.wake_waiting(at);
        }
        if self.live_seat(at.node, at.seat).core.has_output() {
            self.touch(at);
        }
    }

    /// Expiry and deadlines.
    pub fn tick(&mut self, at: At) {
        let now = self.clock(at.node);
        let Some(process) = self.process(at.node, at.life) else { return };
        let whole = process.begun && process.seats.iter().all(|seat| seat.core.copies_not_whole() == 0);
        let seat = &mut process.seats[at.seat];
        seat.core.expire(now, 100);
        store::sweep(100);
        let output = seat.core.has_output();
        let has_begun = process.begun;
        self.nodes[at.node].disk.is_whole |= whole;
        if has_begun && self.scenario.logging != Logging::Off {
            self.go_on_with_checkpoint(at);
        }
        self.wake_waiting(at);
        if output {
            self.touch(at);
        }
        self.after(50 * MS, Event::Tick(at));
    }

    /// Begins a checkpoint of a shard now and then, goes on with it, and makes it count when the log is synced so far.
    fn go_on_with_checkpoint(&mut self, at: At) {
        let (begins, steps) = (self.rng.one_in(3), self.rng.between(1, 12));
        let seat = self.live_seat(at.node, at.seat);
        if seat.checkpoint.is_none() {
            if !begins {
                return;
            }
            seat.core.begin_checkpoint();
            seat.checkpoint = Some((Vec::new(), None));
        }
        let (bytes, extent) = seat.checkpoint.as_mut().expect("begun");
        for _ in 0..steps {
            if extent.is_some() {
                break;
            }
            match seat.core.step_checkpoint() {
                CheckpointStep::More(chunk) => bytes.extend(chunk),
                CheckpointStep::Last(chunk, all) => {
                    bytes.extend(chunk);
                    *extent = Some(all);
                }
            }
        }
        let Some(extent) = *extent else { return };
        let log = &self.nodes[at.node].disk.logs[at.seat];
        if log.end() < extent.end {
            return; // its turn has not ended
        }
        if (log.synced as u64) < extent.end.0 {
            return self.sync(at);
        }
        let (bytes, _) = self.live_seat(at.node, at.seat).checkpoint.take().expect("looked at");
        self.nodes[at.node].disk.logs[at.seat].checkpoint = Some(Checkpoint { bytes, extent });
        self.checks.counts.checkpoints += 1;
        self.say(format_args!(
            "n{} s{} has a checkpoint, log from {}",
            at.node, at.seat, extent.replay_from.0
        ));
    }

    /// A member is asked to seal.
    pub fn seal(&mut self, node: usize, round: u64, epoch: Epoch, slots: &[SlotId]) {
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        let life = process.life;
        let me = self.nodes[node].id;
        let process = self.nodes[node].process.as_mut().expect("looked at");
        let seats = process.seats.len();
        process.seal_answers.insert(round, (seats, Vec::new()));
        for seat in 0..seats {
            let seat = &mut process.seats[seat];
            let reports = seat.core.seal(epoch, slots);
            let reports = reports
                .into_iter()
                .map(|(slot, copy, whole)| (slot, Report { node: me, copy, whole }))
                .collect();
            seat.seals.push(Sealed { round, reports });
        }
        for seat in 0..seats {
            self.touch(At { node, life, seat });
        }
    }

    /// A shard's promise is durable: when it is the last, the node answers.
    fn seal_done(&mut self, node: usize, round: u64, reports: Vec<(SlotId, Report)>) {
        let process = self.nodes[node].process.as_mut().expect("alive");
        let Some((missing, all)) = process.seal_answers.get_mut(&round) else { return };
        *missing -= 1;
        all.extend(reports);
        if *missing == 0 {
            let (_, reports) = process.seal_answers.remove(&round).expect("just used");
            self.answer_seal(round, node, reports);
        }
    }

    /// kill -9, or with `power_loss` the end of the machine's power: what was not synced is lost.
    pub fn kill(&mut self, node: usize, power_loss: bool) {
        let Some(process) = self.nodes[node].process.take() else { return };
        self.checks.counts.crashes += 1;
        self.checks.counts.power_losses += u64::from(power_loss);
        self.say(format_args!("n{node} dies{}", if power_loss { " with its machine" } else { "" }));
        self.nodes[node].crash_in_turn = None;
        self.nodes[node].paused_until = 0;
        self.nodes[node].disk.version = process.view;
        if power_loss {
            self.nodes[node].disk.is_whole = false;
            for seat in 0..process.seats.len() {
                let log = &self.nodes[node].disk.logs[seat];
                let (synced, len) = (log.synced, log.bytes.len());
                let left = self.rng.between(synced as u64, len as u64) as usize;
                self.nodes[node].disk.logs[seat].truncate(left);
            }
        }
        self.drop_links(node, process.life, power_loss);
        if let Some(round) = process.coordinates {
            self.rounds.remove(&round);
        }
        let waiting = process.seats.into_iter().flat_map(|seat| seat.waiting);
        for waiting in waiting {
            let delay = self.delay();
            let (client, attempt) = waiting.who();
            self.after(delay, Event::Broken { client, attempt, executed: waiting.executed() });
        }
        let (least, most) = if self.healed { (MS, 50 * MS) } else { self.scenario.down_ns };
        let delay = self.rng.between(least, most);
        self.after(delay, Event::Restart { node });
    }
}
