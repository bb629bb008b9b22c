//! Runs a seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::checks::Counts;
use super::events::Event;
use super::plant::Plant;
use super::scenario::MS;
use super::world::{PROGRESS, World};

/// Virtual time from the last fault within which everything must be served, moved and equal.
const REST_WITHIN: u64 = 20_000 * MS;

/// What a run leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Hash of all that happened.
    pub hash: u64,
    /// Steps, those after the last fault included.
    pub steps: u64,
    /// Virtual milliseconds.
    pub ms: u64,
    /// How much happened.
    pub counts: Counts,
}

/// What a check or an assertion of the code under test said, and when.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What it said.
    pub what: String,
    /// In which step.
    pub step: u64,
    /// At which virtual millisecond.
    pub ms: u64,
}

/// Runs a seed with faults for that many steps, then without until everything is at rest.
pub fn run(seed: u64, steps: u64, plant: Plant, print: bool) -> Result<Outcome, Violation> {
    PROGRESS.set((0, 0));
    let core = match plant {
        Plant::Core(bug) => Some(bug),
        _ => None,
    };
    carousel_server::planted::plant(core);
    let result = catch_unwind(AssertUnwindSafe(|| run_world(seed, steps, plant, print)));
    carousel_server::planted::plant(None);
    result.map_err(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()))
            .unwrap_or_default();
        let (step, now) = PROGRESS.get();
        Violation { what, step, ms: now / MS }
    })
}

fn run_world(seed: u64, steps: u64, plant: Plant, print: bool) -> Outcome {
    let mut world = World::new(seed, plant, print);
    world.say(format_args!("{:?}", world.scenario));
    for _ in 0..world.scenario.nodes {
        let node = world.add_node();
        world.start(node);
    }
    world.nodes[0].believes_to_lead = true;
    world.create_cluster();
    world.create_clients();
    world.after(100 * MS, Event::Fault);
    let mut taken = 0;
    while taken < steps {
        let event = world.next().expect("ticks never end");
        world.happen(event);
        taken += 1;
    }
    world.heal();
    let deadline = world.now + REST_WITHIN;
    world.after(100 * MS, Event::CheckRest);
    let mut finishing = false;
    loop {
        let event = world.next().expect("ticks never end");
        taken += 1;
        if !matches!(event, Event::CheckRest) {
            world.happen(event);
            continue;
        }
        if !finishing {
            finishing = true;
            world.finish_clients();
        }
        match world.at_rest() {
            Ok(()) => break,
            Err(why) => assert!(world.now < deadline, "no rest after all faults have ended: {why}"),
        }
        world.after(50 * MS, Event::CheckRest);
    }
    world.check_content();
    let last = world.rng.next();
    world.trace.fold(&[last, world.checks.counts.requests]);
    Outcome { hash: world.trace.hash(), steps: taken, ms: world.now / MS, counts: world.checks.counts }
}

impl World {
    /// The node that must be running for an event to happen now.
    fn node_of_event(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Turn(at)
            | Event::Synced(at)
            | Event::Tick(at)
            | Event::SyncTick(at)
            | Event::Deadline(at)
            | Event::Dial { at, .. }
            | Event::Map { at, .. } => Some(at.node),
            Event::Open(conn) => self.node_at(*conn, super::links::Side::Acceptor),
            Event::Bytes { conn, to, .. } | Event::Unstall { conn, to } => self.node_at(*conn, *to),
            Event::Closed { conn, at } => self.node_at(*conn, *at),
            Event::Learn { node, .. }
            | Event::Register { node, .. }
            | Event::ProposeAgain { node, .. }
            | Event::Lead { node, .. }
            | Event::SealAsked { node, .. }
            | Event::Request { node, .. } => Some(*node),
            Event::SealAnswered { round, .. } | Event::SealOver { round } => {
                self.rounds.get(round).map(|round| round.node)
            }
            Event::Apply { .. }
            | Event::Answer { .. }
            | Event::GiveUp { .. }
            | Event::Issue { .. }
            | Event::Reply { .. }
            | Event::Broken { .. }
            | Event::Resend { .. }
            | Event::OutOfTime { .. }
            | Event::Fault
            | Event::Kill { .. }
            | Event::Restart { .. }
            | Event::Cut { .. }
            | Event::Join { .. }
            | Event::Rejoin { .. }
            | Event::CheckRest => None,
        }
    }

    fn happen(&mut self, event: Event) {
        if let Some(node) = self.node_of_event(&event)
            && self.nodes[node].paused_until > self.now
        {
            let until = self.nodes[node].paused_until;
            return self.defer(until, event);
        }
        match event {
            Event::Turn(at) => self.turn(at),
            Event::Synced(at) => self.sync_ended(at),
            Event::Tick(at) => self.tick(at),
            Event::SyncTick(at) => self.sync_tick(at),
            Event::Deadline(at) => self.wake_waiting(at),
            Event::Dial { at, peer, to, shard } => self.dial(at, peer, to, shard),
            Event::Open(conn) => self.open(conn),
            Event::Bytes { conn, to, bytes } => self.bytes(conn, to, bytes),
            Event::Unstall { conn, to } => self.unstall(conn, to),
            Event::Closed { conn, at } => self.closed(conn, at),
            Event::Apply { proposal, command } => self.apply(proposal, &command),
            Event::Answer { proposal, reply } => self.answer(proposal, reply),
            Event::GiveUp { proposal } => self.give_up(proposal),
            Event::Learn { node, version } => self.learn(node, version),
            Event::Map { at, version, registered } => self.map(at, version, registered),
            Event::Register { node, life } => self.register(node, life),
            Event::ProposeAgain { node, life } => self.propose_entry(node, life),
            Event::Lead { node, life } => self.lead(node, life),
            Event::SealAsked { round, node, epoch, slots } => self.seal(node, round, epoch, &slots),
            Event::SealAnswered { round, node, reports } => self.seal_answered(round, node, reports),
            Event::SealOver { round } => self.seal_over(round),
            Event::Issue { client } => self.issue(client),
            Event::Request { client, attempt, node } => self.request(client, attempt, node),
            Event::Reply { client, attempt, reply } => self.replied(client, attempt, &reply),
            Event::Broken { client, attempt, executed } => self.broken(client, attempt, executed),
            Event::Resend { client, attempt, node } => self.resend(client, attempt, node),
            Event::OutOfTime { client, attempt } => self.out_of_time(client, attempt),
            Event::Fault => self.fault(),
            Event::Kill { node } if self.healed => self.say(format_args!("n{node} is spared")),
            Event::Kill { node } => self.kill(node, false),
            Event::Restart { node } => {
                if self.nodes[node].process.is_none() {
                    self.start(node);
                }
            }
            Event::Cut { from, to } => self.cut(from, to),
            Event::Join { from, to } => self.join(from, to),
            Event::Rejoin { node } => self.rejoin(node),
            Event::CheckRest => unreachable!("looked at by the loop"),
        }
    }
}
