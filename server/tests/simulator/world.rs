//! The simulated world: its parts, its virtual time and its queue of events.

use std::cell::Cell as StdCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use carousel_protocol::{NodeId, ShardId, SlotId};
use carousel_server::Now;

use super::checks::Checks;
use super::client::Client;
use super::events::{Event, Life};
use super::faults::Ambush;
use super::group::Group;
use super::links::{Conn, ConnId};
use super::model::{Cell, Counter, Window};
use super::node::{Node, Process, Seat};
use super::plant::Plant;
use super::random::Rng;
use super::recovery::Round;
use super::scenario::{CLOCK_SKEW_MS, MS, Scenario, US};
use super::trace::Trace;

/// Unix time in milliseconds at which virtual time begins.
const EPOCH_MS: u64 = 1_700_000_000_000;

thread_local! {
    /// Steps and virtual nanoseconds of the present run, for the report of a panic in it.
    pub static PROGRESS: StdCell<(u64, u64)> = const { StdCell::new((0, 0)) };
}

struct Scheduled {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// See the module.
pub struct World {
    pub scenario: Scenario,
    pub plant: Plant,
    pub rng: Rng,
    pub trace: Trace,
    pub now: u64,
    pub nodes: Vec<Node>,
    pub conns: BTreeMap<ConnId, Conn>,
    /// Per direction between two nodes: nothing passes.
    pub blocked: Vec<Vec<bool>>,
    pub group: Group,
    pub rounds: BTreeMap<u64, Round>,
    pub clients: Vec<Client>,
    pub cells: Vec<Cell>,
    pub counters: Vec<Counter>,
    pub checks: Checks,
    /// No fault happens any more, and what was cut is joined again.
    pub healed: bool,
    /// A node that dies at some step of a move.
    pub ambush: Option<Ambush>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    last_life: Life,
    last_id: u64,
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(seed: u64, plant: Plant, print: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut scenario = Scenario::of(&mut rng);
        plant.shape(&mut scenario);
        let nodes_max = scenario.nodes_max;
        Self {
            plant,
            rng,
            trace: Trace::new(print),
            now: 0,
            nodes: Vec::new(),
            conns: BTreeMap::new(),
            blocked: vec![vec![false; nodes_max]; nodes_max],
            group: Group::default(),
            rounds: BTreeMap::new(),
            clients: Vec::new(),
            cells: Vec::new(),
            counters: Vec::new(),
            checks: Checks::new(&scenario),
            healed: false,
            ambush: None,
            queue: BinaryHeap::new(),
            scheduled: 0,
            last_life: 0,
            last_id: 0,
            scenario,
        }
    }

    /// Something will happen in `delay` nanoseconds.
    pub fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Something will happen at that time.
    pub fn at(&mut self, at: u64, event: Event) {
        self.push((at + 1) & !1, event);
    }

    /// What was meant for a process that stands still happens when it goes on, in the same order. Nothing else
    /// happens at an odd time.
    pub fn defer(&mut self, until: u64, event: Event) {
        self.push(until | 1, event);
    }

    fn push(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled { at, number: self.scheduled, event }));
    }

    /// The next event, with time moved on to it.
    pub fn next(&mut self) -> Option<Event> {
        let Reverse(next) = self.queue.pop()?;
        assert!(next.at >= self.now, "time only grows");
        self.now = next.at;
        let (steps, _) = PROGRESS.get();
        PROGRESS.set((steps + 1, self.now));
        self.trace.fold(&[next.at, next.number]);
        Some(next.event)
    }

    /// A number that no process had before.
    pub fn new_life(&mut self) -> Life {
        self.last_life += 1;
        self.last_life
    }

    /// A number that nothing had before.
    pub fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// How long a message travels.
    pub fn delay(&mut self) -> u64 {
        match self.rng.below(100) {
            0 if !self.healed => self.rng.between(5 * MS, 60 * MS),
            1..=4 => self.rng.between(MS, 5 * MS),
            _ => self.rng.between(50 * US, 600 * US),
        }
    }

    /// The time on a node's clocks.
    pub fn clock(&self, node: usize) -> Now {
        let skew = self.nodes[node].skew_ms;
        Now { mono_ns: self.now, unix_ms: EPOCH_MS + self.now / MS + skew }
    }

    /// When a request that began at `since` and has just ended may have executed, by any clock.
    pub fn window(&self, since: u64) -> Window {
        Window { low: EPOCH_MS + since / MS, high: EPOCH_MS + self.now / MS + CLOCK_SKEW_MS + 1 }
    }

    /// When a request that begins now may execute.
    pub fn window_ahead(&self) -> Window {
        Window { high: EPOCH_MS + self.now / MS + 600_000, ..self.window(self.now) }
    }

    /// Unix time in milliseconds, as virtual time has it.
    pub fn unix_ms(&self) -> u64 {
        EPOCH_MS + self.now / MS
    }

    /// The index of a node.
    pub fn node_of(&self, id: NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// The process on a node, if it is the one meant.
    pub fn process(&mut self, node: usize, life: Life) -> Option<&mut Process> {
        self.nodes[node].process.as_mut().filter(|process| process.life == life)
    }

    /// A seat of a process, if it is alive.
    pub fn seat(&mut self, node: usize, life: Life, seat: usize) -> Option<&mut Seat> {
        self.process(node, life).map(|process| &mut process.seats[seat])
    }

    /// A seat of the process that is alive on a node.
    pub fn live_seat(&mut self, node: usize, seat: usize) -> &mut Seat {
        &mut self.nodes[node].process.as_mut().expect("alive").seats[seat]
    }

    /// The seat that has a slot, on a process that is alive.
    pub fn seat_of(&self, node: usize, slot: SlotId) -> Option<usize> {
        let process = self.nodes[node].process.as_ref()?;
        let shard = ShardId::of_slot(slot, process.shards);
        process.seats.iter().position(|seat| seat.id == shard)
    }

    /// Slots that are simulated.
    pub fn slots(&self) -> Vec<SlotId> {
        self.scenario.slots.clone()
    }

    /// A line of the trace.
    pub fn say(&self, text: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, text);
    }
}
