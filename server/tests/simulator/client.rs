//! Clients: what they ask, how they follow redirects, and how a node serves them, as `conn` does.

use carousel_protocol::command_table::lookup;
use carousel_protocol::resp::{ArgRange, Argv, Reply, Version, parse_reply};
use carousel_protocol::{Database, ShardId, SlotId};
use carousel_server::shard::{Hold, HoldState, Refusal, Request};

use super::events::{At, Event};
use super::model::{Cell, CellOp, Counter, CounterKind};
use super::plant::Plant;
use super::scenario::{CLOCK_SKEW_MS, MS, tag_of};
use super::world::World;

/// How long a request is parked.
const PARK: u64 = 60 * MS;
/// How long a reply is held for its quorum.
const HOLD: u64 = 250 * MS;
/// How long a client waits for one reply.
const PATIENCE: u64 = 700 * MS;
/// How often a client sends one request before it gives up.
const ATTEMPTS_MAX: u32 = 40;
const UNKNOWN: &[u8] = b"-NOQUORUM outcome unknown\r\n";

/// A request that a shard keeps.
pub struct Waiting {
    client: usize,
    attempt: u64,
    deadline: u64,
    state: Kept,
}

enum Kept {
    Parked,
    Held(Hold, Vec<u8>),
}

impl Waiting {
    /// Whose it is.
    pub fn who(&self) -> (usize, u64) {
        (self.client, self.attempt)
    }

    /// It has been executed.
    pub fn executed(&self) -> bool {
        matches!(self.state, Kept::Held(..))
    }
}

/// What a request is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// A request of the cell's owner.
    Own(usize, CellOp),
    /// A GET of another client's key.
    Peek(usize, usize),
    /// Adds one to a counter, or reads it.
    Count(usize, bool),
    /// Changes a big collection of the slot.
    Stir(SlotId, Database, Vec<Vec<u8>>),
}

struct Current {
    task: Task,
    slot: SlotId,
    database: Database,
    args: Vec<Vec<u8>>,
    begun: u64,
    floor: i64,
    attempts: u32,
}

/// A client with one request on its way at most.
pub struct Client {
    cells: Vec<usize>,
    /// The latest attempt; a node executes nothing for an earlier one, whose connection is closed.
    attempt: u64,
    current: Option<Current>,
    /// Where it believes slots to be led, by index of the simulated slots.
    map: Vec<usize>,
    /// What is left to do at the end; `None` while it chooses at random.
    script: Option<Vec<Task>>,
}

impl Client {
    /// It has nothing on its way and nothing left to do.
    pub fn is_done(&self) -> bool {
        self.current.is_none() && self.script.as_ref().is_some_and(Vec::is_empty)
    }
}

enum Outcome {
    Answered(Reply),
    Unknown,
    Refused,
}

impl World {
    /// Makes clients with their keys.
    pub fn create_clients(&mut self) {
        for slot in self.scenario.hot_slots.clone() {
            if self.rng.one_in(2) {
                self.new_counter(slot);
            }
        }
        for client in 0..self.scenario.clients {
            let map = (0..self.slots().len()).map(|_| self.rng.index(self.nodes.len())).collect();
            self.clients.push(Client { cells: Vec::new(), attempt: 0, current: None, map, script: None });
            for _ in 0..self.rng.between(1, 3) {
                let slot = self.rng.pick(&self.scenario.hot_slots.clone());
                self.new_cell(client, slot);
            }
            let soon = self.rng.between(MS, 100 * MS);
            self.after(soon, Event::Issue { client });
        }
    }

    fn new_cell(&mut self, client: usize, slot: SlotId) {
        let index = self.cells.len();
        // Two of a slot may have keys of the same names, in different databases.
        let name = index - index % 2;
        let key = |k| format!("{{{}}}cell{name}.{k}", tag_of(slot)).into_bytes();
        let twin = (name < index).then(|| self.cells[name].database);
        let database = self.choose_database(twin);
        self.cells.push(Cell::new(slot, database, [key(0), key(1)]));
        self.clients[client].cells.push(index);
    }

    /// One of four databases, which is not that of a twin; every other time the one that is kept apart from the rest.
    fn choose_database(&mut self, twin: Option<Database>) -> Database {
        let number = match twin {
            Some(twin) => (u64::from(twin.get()) + self.rng.between(1, 3)) % 4,
            None if self.rng.one_in(2) => 0,
            None => self.rng.between(1, 3),
        };
        Database::new(number as u16).expect("one of four")
    }

    fn new_counter(&mut self, slot: SlotId) {
        let key = format!("{{{}}}counter{}", tag_of(slot), self.counters.len()).into_bytes();
        let kind = self.rng.pick(&CounterKind::ALL);
        let database = self.choose_database(None);
        self.counters.push(Counter::new(slot, database, key, kind));
    }

    /// The cluster has announced that these slots may have lost what was acknowledged: their keys prove nothing any
    /// more, and clients go on with others.
    pub fn lose(&mut self, slots: &[SlotId]) {
        if slots.is_empty() {
            return;
        }
        self.say(format_args!("a loss is announced for {slots:?}"));
        self.check_loss();
        self.checks.forget_commits(slots, &self.scenario.slots);
        for cell in 0..self.cells.len() {
            if self.cells[cell].retired || !slots.contains(&self.cells[cell].slot) {
                continue;
            }
            self.cells[cell].retired = true;
            let slot = self.cells[cell].slot;
            let owner = self.clients.iter().position(|client| client.cells.contains(&cell)).expect("owned");
            self.clients[owner].cells.retain(|other| *other != cell);
            self.new_cell(owner, slot);
        }
        for counter in 0..self.counters.len() {
            if !self.counters[counter].retired && slots.contains(&self.counters[counter].slot) {
                self.counters[counter].retired = true;
                self.new_counter(self.counters[counter].slot);
            }
        }
    }

    /// From now on clients only look whether everything is there and can be written.
    pub fn finish_clients(&mut self) {
        for client in 0..self.clients.len() {
            let mut script = Vec::new();
            for cell in self.clients[client].cells.clone() {
                script.extend([Task::Own(cell, CellOp::MSet), Task::Own(cell, CellOp::Get(1))]);
                script.push(Task::Own(cell, CellOp::Get(0)));
            }
            if client == 0 {
                let live = (0..self.counters.len()).filter(|counter| !self.counters[*counter].retired);
                script.extend(live.map(|counter| Task::Count(counter, true)));
            }
            self.clients[client].script = Some(script);
        }
    }

    /// A client begins its next request.
    pub fn issue(&mut self, client: usize) {
        if self.clients[client].current.is_some() {
            return;
        }
        let task = match &mut self.clients[client].script {
            Some(script) => match script.pop() {
                Some(task) => task,
                None => return self.after(20 * MS, Event::Issue { client }),
            },
            None => self.choose_task(client),
        };
        let ahead = self.window_ahead();
        let attempt = self.new_id();
        let (slot, database, args, floor) = match &task {
            Task::Own(cell, op) => {
                if self.cells[*cell].retired {
                    return self.after(MS, Event::Issue { client });
                }
                let args = self.cells[*cell].begin(op.clone(), ahead);
                (self.cells[*cell].slot, self.cells[*cell].database, args, 0)
            }
            Task::Peek(cell, key) => {
                self.cells[*cell].watch(client as u64);
                let get = vec![b"GET".to_vec(), self.cells[*cell].keys[*key].clone()];
                (self.cells[*cell].slot, self.cells[*cell].database, get, 0)
            }
            Task::Count(counter, incr) => {
                let counter = &mut self.counters[*counter];
                let request = counter.kind.request(&counter.key, *incr);
                (counter.slot, counter.database, request, counter.begin(*incr))
            }
            Task::Stir(slot, database, args) => (*slot, *database, args.clone(), 0),
        };
        self.say(format_args!("c{client} slot {slot}: {}", show(&args)));
        let begun = self.now;
        let me = &mut self.clients[client];
        me.current = Some(Current { task, slot, database, args, begun, floor, attempts: 0 });
        me.attempt = attempt;
        self.resend(client, attempt, None);
    }

    fn choose_task(&mut self, client: usize) -> Task {
        if self.rng.one_in(6) && !self.counters.is_empty() {
            let live: Vec<_> =
                (0..self.counters.len()).filter(|counter| !self.counters[*counter].retired).collect();
            let incr = self.scenario.phantoms || !self.rng.one_in(4);
            return Task::Count(self.rng.pick(&live), incr);
        }
        if self.rng.one_in(8) && !self.scenario.phantoms {
            let slot = self.rng.pick(&self.scenario.hot_slots.clone());
            let (database, now_ms) = (self.choose_database(None), self.unix_ms());
            return Task::Stir(slot, database, super::stir::request(&mut self.rng, slot, now_ms));
        }
        if self.rng.below(100) < self.scenario.peeks && !self.scenario.phantoms {
            let live: Vec<_> = (0..self.cells.len()).filter(|cell| !self.cells[*cell].retired).collect();
            return Task::Peek(self.rng.pick(&live), self.rng.index(2));
        }
        let cell = self.rng.pick(&self.clients[client].cells.clone());
        let key = self.rng.index(2);
        if self.scenario.phantoms {
            let op = if self.rng.one_in(2) { CellOp::MSet } else { CellOp::Set(key, None) };
            return Task::Own(cell, op);
        }
        if self.cells[cell].is_vague() {
            return Task::Own(cell, CellOp::Get(key));
        }
        let op = match self.rng.below(20) {
            0..=5 => CellOp::Get(key),
            6..=9 => CellOp::Set(key, None),
            10 | 11 => CellOp::Set(key, Some(self.unix_ms() + self.rng.between(CLOCK_SKEW_MS, 900))),
            12 | 13 => CellOp::Append(key),
            14 => CellOp::SetRange(key, self.rng.index(6)),
            15 => CellOp::Del(key),
            16 => CellOp::GetDel(key),
            17 => CellOp::Persist(key),
            _ => CellOp::MSet,
        };
        Task::Own(cell, op)
    }

    /// A client sends its request, again or for the first time.
    pub fn resend(&mut self, client: usize, attempt: u64, node: Option<usize>) {
        if self.clients[client].attempt != attempt {
            return;
        }
        let attempt = self.new_id();
        let Some(current) = self.clients[client].current.as_mut() else { return };
        current.attempts += 1;
        let slot = current.slot;
        self.clients[client].attempt = attempt;
        if current_attempts(&self.clients[client]) > ATTEMPTS_MAX {
            return self.end(client, Outcome::Refused);
        }
        let place = self.place_of(slot);
        let known = self.clients[client].map[place];
        let node = match node {
            Some(node) => node,
            None if self.rng.one_in(10) => self.rng.index(self.nodes.len()),
            None => known,
        };
        let delay = self.delay();
        self.after(delay, Event::Request { client, attempt, node });
        self.after(PATIENCE, Event::OutOfTime { client, attempt });
    }

    fn place_of(&self, slot: SlotId) -> usize {
        self.scenario.slots.iter().position(|other| *other == slot).expect("clients use simulated slots")
    }

    /// A request arrives at a node.
    pub fn request(&mut self, client: usize, attempt: u64, node: usize) {
        if self.clients[client].attempt != attempt {
            return;
        }
        let slot = self.clients[client].current.as_ref().expect("an attempt is of a request").slot;
        let Some(process) = self.nodes[node].process.as_ref() else {
            // Connection refused: try another node.
            let place = self.place_of(slot);
            let other = self.rng.index(self.nodes.len());
            self.clients[client].map[place] = other;
            let pause = self.rng.between(MS, 20 * MS);
            return self.after(pause, Event::Resend { client, attempt, node: None });
        };
        let (life, shard) = (process.life, ShardId::of_slot(slot, process.shards));
        let seat = process.seats.iter().position(|seat| seat.id == shard).expect("simulated");
        let at = At { node, life, seat };
        self.execute(at, client, attempt, self.now + PARK);
        if self.live_seat(node, seat).core.has_output() {
            self.touch(at);
        }
    }

    /// Executes a request: it is answered, held, or parked until that time at most.
    fn execute(&mut self, at: At, client: usize, attempt: u64, park_until: u64) {
        let now = self.clock(at.node);
        let current = self.clients[client].current.as_ref().expect("an attempt is of a request");
        let (mut buffer, mut ranges) = (Vec::new(), Vec::new());
        for arg in &current.args {
            let start = buffer.len() as u32;
            buffer.extend_from_slice(arg);
            ranges.push(ArgRange { start, end: buffer.len() as u32 });
        }
        let argv = Argv::new(&buffer, &ranges);
        let spec = lookup(argv.get(0)).expect("a known command");
        let request = Request {
            spec,
            slot: current.slot,
            argv,
            database: current.database,
            version: Version::Resp2,
            counts_as_use: true,
        };
        let reads =
            matches!(current.task, Task::Peek(..) | Task::Own(_, CellOp::Get(_)) | Task::Count(_, false));
        let plant = self.plant;
        let mut out = Vec::new();
        let deadline = self.now + HOLD;
        let seat = self.live_seat(at.node, at.seat);
        let result = seat.core.execute(now, request, &mut out, |_| Ok(()));
        if self.trace.is_printed() {
            let slot = current_slot(&self.clients[client]);
            let core = &self.live_seat(at.node, at.seat).core;
            let state = core.slot(slot);
            let (serve, epoch) = (core.serve(slot), state.lead().map(|lead| lead.epoch));
            let (last, commit) = (state.last_seq, state.commit);
            let text =
                format!("c{client} at n{}: {result:?}, {serve:?} in {epoch:?}, {commit}/{last}", at.node);
            self.say(format_args!("{text}"));
        }
        let seat = self.live_seat(at.node, at.seat);
        // Planted: reads do not wait for what they saw.
        let result = match result {
            Ok(_) if reads && plant == Plant::ReadsAreNotHeld => Ok(Hold::None),
            other => other,
        };
        match result {
            Ok(Hold::None) => self.reply(client, attempt, out),
            Ok(hold) => {
                seat.waiting.push(Waiting { client, attempt, deadline, state: Kept::Held(hold, out) });
                self.after(HOLD, Event::Deadline(at));
            }
            Err(Refusal::Answer(text)) => self.reply(client, attempt, error(&text)),
            Err(Refusal::Park(_)) if self.now < park_until => {
                let waiting = Waiting { client, attempt, deadline: park_until, state: Kept::Parked };
                self.live_seat(at.node, at.seat).waiting.push(waiting);
                if park_until == self.now + PARK {
                    self.at(park_until, Event::Deadline(at));
                }
            }
            Err(Refusal::Park(text)) => self.reply(client, attempt, error(&text)),
            Err(Refusal::Locked) => unreachable!("no transaction locks slots here"),
        }
    }

    /// Looks at requests that wait: executes those that now can be, lets replies go that now may.
    pub fn wake_waiting(&mut self, at: At) {
        let now = self.now;
        let Some(seat) = self.seat(at.node, at.life, at.seat) else { return };
        for waiting in std::mem::take(&mut seat.waiting) {
            let (client, attempt, deadline) = (waiting.client, waiting.attempt, waiting.deadline);
            if self.clients[client].attempt != attempt {
                continue; // its connection is closed
            }
            match waiting.state {
                Kept::Parked => self.execute(at, client, attempt, deadline),
                Kept::Held(hold, out) => {
                    let core = &mut self.live_seat(at.node, at.seat).core;
                    match core.hold_state(hold) {
                        HoldState::Released => self.reply(client, attempt, out),
                        HoldState::Held if now < deadline => {
                            let state = Kept::Held(hold, out);
                            let waiting = Waiting { client, attempt, deadline, state };
                            self.live_seat(at.node, at.seat).waiting.push(waiting);
                        }
                        HoldState::Held | HoldState::Lost => self.reply(client, attempt, UNKNOWN.to_vec()),
                    }
                }
            }
        }
        if self.live_seat(at.node, at.seat).core.has_output() {
            self.touch(at);
        }
    }

    /// A reply leaves a node.
    fn reply(&mut self, client: usize, attempt: u64, reply: Vec<u8>) {
        let delay = self.delay();
        self.after(delay, Event::Reply { client, attempt, reply });
    }

    /// A reply arrives at its client.
    pub fn replied(&mut self, client: usize, attempt: u64, reply: &[u8]) {
        if self.clients[client].attempt != attempt {
            return;
        }
        let (reply, _) = parse_reply(reply).expect("a reply").expect("a whole one");
        let slot = self.clients[client].current.as_ref().expect("an attempt is of a request").slot;
        let Reply::Error(text) = &reply else { return self.end(client, Outcome::Answered(reply)) };
        let node_named = text
            .rsplit(':')
            .next()
            .and_then(|port| port.parse::<u16>().ok())
            .and_then(|port| port.checked_sub(7000))
            .map(usize::from)
            .filter(|node| *node < self.nodes.len());
        let place = self.place_of(slot);
        let (pause, to) = match text.split(' ').next().expect("a text has a first word") {
            "MOVED" => {
                self.clients[client].map[place] = node_named.expect("MOVED names a simulated node");
                (0, node_named)
            }
            "ASK" => (0, Some(node_named.expect("ASK names a simulated node"))),
            "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS" => {
                let other = self.rng.index(self.nodes.len());
                (self.rng.between(2 * MS, 40 * MS), self.rng.one_in(3).then_some(other))
            }
            "NOQUORUM" => return self.end(client, Outcome::Unknown),
            _ => panic!("c{client} got {text}"),
        };
        self.after(pause, Event::Resend { client, attempt, node: to });
    }

    /// A client's connection is gone.
    pub fn broken(&mut self, client: usize, attempt: u64, executed: bool) {
        if self.clients[client].attempt != attempt {
            return;
        }
        if executed {
            self.end(client, Outcome::Unknown);
        } else {
            self.after(MS, Event::Resend { client, attempt, node: None });
        }
    }

    /// A client waits no longer.
    pub fn out_of_time(&mut self, client: usize, attempt: u64) {
        if self.clients[client].attempt == attempt {
            self.end(client, Outcome::Unknown);
        }
    }

    /// A request is over: the model hears of it, and after a pause the next one follows.
    fn end(&mut self, client: usize, outcome: Outcome) {
        let current = self.clients[client].current.take().expect("a request ends once");
        self.clients[client].attempt = 0;
        let window = self.window(current.begun);
        if self.trace.is_printed() {
            let text = match &outcome {
                Outcome::Answered(reply) => format!("{reply:?}"),
                Outcome::Unknown => "unknown".into(),
                Outcome::Refused => "refused".into(),
            };
            self.say(format_args!("c{client} slot {}: {} -> {text}", current.slot, show(&current.args)));
        }
        let done = matches!(outcome, Outcome::Answered(_));
        let wrote = match &current.task {
            Task::Own(_, op) => !matches!(op, CellOp::Get(_)),
            Task::Peek(..) => false,
            Task::Count(_, incr) => *incr,
            Task::Stir(..) => true,
        };
        self.checks.counts.requests += u64::from(done);
        self.checks.counts.writes += u64::from(done && wrote);
        let told = match &current.task {
            Task::Own(cell, _) if self.cells[*cell].retired => Ok(()),
            Task::Own(cell, _) => {
                let cell = &mut self.cells[*cell];
                match &outcome {
                    Outcome::Answered(reply) => cell.answered(reply, window),
                    Outcome::Unknown => {
                        cell.unknown(window);
                        Ok(())
                    }
                    Outcome::Refused => cell.refused(),
                }
            }
            Task::Peek(cell, _) if self.cells[*cell].retired => Ok(()),
            Task::Peek(cell, key) => {
                let cell = &mut self.cells[*cell];
                match &outcome {
                    Outcome::Answered(Reply::Bulk(value)) => {
                        cell.shown(client as u64, *key, Some(value), window)
                    }
                    Outcome::Answered(_) => cell.shown(client as u64, *key, None, window),
                    Outcome::Unknown | Outcome::Refused => {
                        cell.unwatch(client as u64);
                        Ok(())
                    }
                }
            }
            Task::Count(counter, incr) => {
                let counter = &mut self.counters[*counter];
                match &outcome {
                    Outcome::Answered(_) if counter.retired => Ok(()),
                    Outcome::Answered(reply) => counter.answered(*incr, current.floor, reply),
                    Outcome::Unknown if *incr => {
                        counter.unknown();
                        Ok(())
                    }
                    Outcome::Unknown | Outcome::Refused => Ok(()),
                }
            }
            Task::Stir(..) => Ok(()),
        };
        if let Err(why) = told {
            panic!("c{client}: {why}");
        }
        if !done && let Some(script) = &mut self.clients[client].script {
            script.push(current.task); // it must succeed in the end
        }
        let pause = match self.clients[client].script {
            Some(_) => MS,
            None => self.rng.between(0, 2 * self.scenario.think_ns),
        };
        self.after(pause, Event::Issue { client });
    }
}

fn current_attempts(client: &Client) -> u32 {
    client.current.as_ref().map_or(0, |current| current.attempts)
}

fn current_slot(client: &Client) -> SlotId {
    client.current.as_ref().expect("it has sent something").slot
}

fn error(text: &str) -> Vec<u8> {
    format!("-{text}\r\n").into_bytes()
}

fn show(args: &[Vec<u8>]) -> String {
    let args: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
    args.join(" ")
}
