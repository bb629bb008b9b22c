//! When this node stands for election, and the leader's heartbeats.
//!
//! The Raft library draws an election timeout once per process, so two voters may draw equal ones for good, and
//! it cannot know that a leader's process is gone. So its own timers are off. Here every voter waits its own
//! time by its rank among the voters, hence two never stand at once, and it waits less after the leader's port
//! refused a connection: then nobody is there who could still send a heartbeat. The library's rules on who gets
//! a vote are untouched.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carousel_protocol::NodeId;
use openraft::ServerState;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::types::{Metrics, Raft};

/// Milliseconds for which a voter that heard its leader refuses every candidate.
pub(super) const LEADER_LEASE_MS: u64 = 400;
/// Milliseconds between a leader's heartbeats.
const HEARTBEAT_MS: u64 = 100;
/// The timer looks this often.
const TICK_MS: u64 = 50;
/// Milliseconds of silence after which the first voter stands.
const SILENCE_MS: u64 = 800;
/// The same where the leader's port refuses connections. Above the lease, by the heartbeat that some voter may
/// have got later than this one.
const REFUSED_MS: u64 = LEADER_LEASE_MS + HEARTBEAT_MS + TICK_MS;
/// Milliseconds from the process' start, or from an election that it did not win, to the next.
const RETRY_MS: u64 = 400;
/// Each further voter waits this much longer: time for the one before it to win and be heard of.
const STEP_MS: u64 = 150;
/// A tick that comes this late says that this process stood still, so the leader may not have.
const STALL_MS: u64 = 250;

const _: () = assert!(STEP_MS > 2 * TICK_MS, "voters must not stand in the same tick");
const _: () = assert!(SILENCE_MS > REFUSED_MS && REFUSED_MS > LEADER_LEASE_MS);

/// When the leader was last heard, or a vote given; told by whoever serves the calls.
pub(super) struct Contact {
    start: Instant,
    heard_ms: AtomicU64,
}

impl Contact {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), heard_ms: AtomicU64::new(0) }
    }

    /// It was now.
    pub(super) fn heard(&self) {
        self.heard_ms.fetch_max(self.now_ms(), Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

/// Decides, without a clock of its own, when to stand.
#[derive(Debug)]
struct Timer {
    /// What the wait is counted from.
    since_ms: u64,
    /// The last contact seen.
    heard_ms: u64,
    /// Nothing was heard since the start, or since this node stood.
    retry: bool,
    /// This node stood once since the start.
    stood: bool,
    last_tick_ms: u64,
}

/// What the timer goes by.
struct View {
    /// Place among the voters but the present leader, by id; `None` where this node does not vote.
    rank: Option<u64>,
    /// No other node votes.
    alone: bool,
    /// The leader's port refuses connections.
    leader_refused: bool,
}

impl Timer {
    fn new(now_ms: u64) -> Self {
        Self { since_ms: now_ms, heard_ms: 0, retry: true, stood: false, last_tick_ms: now_ms }
    }

    /// Called every [`TICK_MS`]; true where this node stands now.
    fn tick(&mut self, now_ms: u64, heard_ms: u64, view: &View) -> bool {
        if now_ms - self.last_tick_ms > STALL_MS {
            self.since_ms = now_ms;
        }
        self.last_tick_ms = now_ms;
        if heard_ms > self.heard_ms {
            self.heard_ms = heard_ms;
            self.since_ms = self.since_ms.max(heard_ms);
            self.retry = false;
        }
        let Some(rank) = view.rank else { return false };
        let wait_ms = match (self.retry, view.leader_refused) {
            (true, _) => RETRY_MS,
            (false, true) => REFUSED_MS,
            (false, false) => SILENCE_MS,
        };
        // There is nobody to wait for.
        let at_once = view.alone && !self.stood;
        if !at_once && now_ms < self.since_ms + wait_ms + rank * STEP_MS {
            return false;
        }
        self.since_ms = now_ms;
        self.retry = true;
        self.stood = true;
        true
    }
}

fn view(me: NodeId, metrics: &Metrics, refused: &BTreeSet<NodeId>) -> View {
    let voters: BTreeSet<NodeId> = metrics.membership_config.membership().voter_ids().collect();
    let leader = metrics.current_leader.filter(|leader| *leader != me);
    let rank = voters.iter().filter(|id| Some(**id) != leader).position(|id| *id == me);
    View {
        rank: rank.map(|rank| rank as u64),
        alone: voters.len() == 1,
        leader_refused: leader.is_some_and(|leader| refused.contains(&leader)),
    }
}

/// Runs until aborted or the library stops.
pub(super) async fn run(
    raft: Raft,
    me: NodeId,
    contact: std::sync::Arc<Contact>,
    refused: watch::Receiver<BTreeSet<NodeId>>,
) {
    let metrics = raft.metrics();
    let mut timer = Timer::new(contact.now_ms());
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heartbeat_ms = 0;
    loop {
        ticks.tick().await;
        let now_ms = contact.now_ms();
        let leads = metrics.borrow().state == ServerState::Leader;
        let done = if leads {
            contact.heard();
            timer.last_tick_ms = now_ms;
            if now_ms < heartbeat_ms + HEARTBEAT_MS {
                continue;
            }
            heartbeat_ms = now_ms;
            raft.trigger().heartbeat().await
        } else {
            let view = view(me, &metrics.borrow(), &refused.borrow());
            if !timer.tick(now_ms, contact.heard_ms.load(Ordering::Relaxed), &view) {
                continue;
            }
            tracing::info!(node = %me, leader_refused = view.leader_refused, "no word of a config leader: standing for election");
            raft.trigger().elect().await
        };
        if done.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voter(rank: u64) -> View {
        View { rank: Some(rank), alone: false, leader_refused: false }
    }

    /// The first tick at which the timer stands, where nothing more is heard.
    fn stands_at(timer: &mut Timer, from_ms: u64, heard_ms: u64, view: &View) -> Option<u64> {
        (from_ms..from_ms + 5_000)
            .step_by(TICK_MS as usize)
            .find(|now_ms| timer.tick(*now_ms, heard_ms, view))
    }

    #[test]
    fn voters_stand_one_after_the_other() {
        let at: Vec<_> =
            (0..5).map(|rank| stands_at(&mut Timer::new(0), 0, 1, &voter(rank)).unwrap()).collect();
        assert!(at.windows(2).all(|w| w[1] >= w[0] + STEP_MS - TICK_MS), "{at:?}");
        assert_eq!(at[0], SILENCE_MS + TICK_MS);
    }

    #[test]
    fn a_leader_that_is_heard_is_left_alone() {
        let mut timer = Timer::new(0);
        for now_ms in (0..60_000).step_by(TICK_MS as usize) {
            assert!(!timer.tick(now_ms, now_ms - now_ms % HEARTBEAT_MS, &voter(0)), "at {now_ms}");
        }
    }

    #[test]
    fn a_refused_leader_is_succeeded_sooner_but_not_within_its_lease() {
        let refused = View { leader_refused: true, ..voter(0) };
        let at = stands_at(&mut Timer::new(0), 0, 1, &refused).unwrap();
        assert!(at > LEADER_LEASE_MS + HEARTBEAT_MS && at < SILENCE_MS, "{at}");
    }

    #[test]
    fn an_election_that_was_not_won_is_tried_again() {
        let mut timer = Timer::new(0);
        let first = stands_at(&mut timer, 0, 1, &voter(1)).unwrap();
        let second = stands_at(&mut timer, first + TICK_MS, 1, &voter(1)).unwrap();
        assert_eq!(second - first, 550);
    }

    #[test]
    fn a_process_that_stood_still_first_listens() {
        let mut timer = Timer::new(0);
        assert!(!timer.tick(TICK_MS, 1, &voter(0)));
        assert!(!timer.tick(60_000, 1, &voter(0)), "its own pause is no silence of the leader");
        assert_eq!(stands_at(&mut timer, 60_000, 1, &voter(0)), Some(60_000 + SILENCE_MS));
    }

    #[test]
    fn who_does_not_vote_never_stands_and_a_lone_voter_does_at_once() {
        let learner = View { rank: None, ..voter(0) };
        assert_eq!(stands_at(&mut Timer::new(0), 0, 1, &learner), None);
        let alone = View { alone: true, ..voter(0) };
        assert_eq!(stands_at(&mut Timer::new(0), 0, 0, &alone), Some(0));
    }
}
