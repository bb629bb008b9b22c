//! Transactions over several shards, as `conn::coordinate` runs them: lock, run, commit, and give back what was locked. Every
//! shard does its part when it likes.

use std::collections::BTreeMap;

use carousel_protocol::{ShardId, SlotId};
use carousel_server::Now;
use carousel_server::persist::transactions::TransactionId;
use carousel_server::shard::{Hold, HoldState, Wanted};

use crate::commands::{command_on, slots};
use crate::history::Known;
use crate::life::{Order, World};
use crate::seat::{Died, Seat};

/// How many there are at a time at most.
const MAX: usize = 3;

/// A transaction that has its locks.
pub struct Running {
    id: TransactionId,
    known: Known,
    slots: BTreeMap<usize, Vec<SlotId>>,
    /// Shards that have not done the present part.
    left: Vec<usize>,
    part: Part,
    holds: BTreeMap<usize, Hold>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Run,
    Commit,
    Unlock,
}

impl World {
    /// Begins one, or goes on with one.
    pub(crate) fn transaction(&mut self, seats: &mut [Seat]) -> Result<(), Died> {
        if self.running.is_empty() || self.running.len() < MAX && self.rng.one_in(6) {
            self.begin_transaction(seats);
            return Ok(());
        }
        let which = self.rng.index(self.running.len());
        let mut running = self.running.swap_remove(which);
        if running.left.is_empty() && !self.next_part(seats, &mut running) {
            self.running.push(running);
            return Ok(());
        }
        let shard = running.left.swap_remove(self.rng.index(running.left.len()));
        match running.part {
            Part::Run => self.run_part(seats, &mut running, shard),
            Part::Commit => {
                let wrote: Vec<_> = self
                    .history
                    .written_by(running.known)
                    .into_iter()
                    .map(|shard| ShardId(shard as u16))
                    .collect();
                let hold = seats[shard].core.commit(running.id, &wrote);
                running.holds.insert(shard, hold);
                self.history.commit(running.known, shard, &running.slots[&shard]);
            }
            Part::Unlock => {
                if self.order == Order::SettleAtUnlock {
                    let position = seats[shard].core.log_position();
                    seats[shard].core.settle_before(position);
                }
                seats[shard].core.unlock(running.id);
            }
        }
        if running.left.is_empty() && running.part == Part::Unlock {
            self.counts.transactions += 1;
            let id = running.id.number;
            self.say(format_args!("transaction {id} of shard {} is over", running.id.shard.0));
        } else {
            self.running.push(running);
        }
        if self.rng.one_in(2) { self.end_turn(seats, shard) } else { Ok(()) }
    }

    fn begin_transaction(&mut self, seats: &mut [Seat]) {
        let count = seats.len() as u16;
        let all = self.rng.one_in(12);
        let mut wanted = slots();
        self.rng.shuffle(&mut wanted);
        if !all {
            wanted.truncate(self.rng.between(2, 4) as usize);
        }
        let mut by_shard: BTreeMap<usize, Vec<SlotId>> = BTreeMap::new();
        for slot in wanted {
            by_shard.entry(ShardId::of_slot(slot, count).index()).or_default().push(slot);
        }
        if by_shard.len() == 1 && count > 1 {
            return;
        }
        let coordinator = self.rng.index(seats.len());
        let id = seats[coordinator].core.new_transaction();
        for (shard, slots) in &by_shard {
            let wants = if all { Wanted::All } else { Wanted::Slots(slots.clone()) };
            if seats[*shard].core.try_lock(id, &wants) != Ok(true) {
                seats.iter_mut().for_each(|seat| seat.core.unlock(id));
                return;
            }
        }
        let known = self.history.begin();
        let left = by_shard.keys().copied().collect();
        self.running.push(Running {
            id,
            known,
            slots: by_shard,
            left,
            part: Part::Run,
            holds: BTreeMap::new(),
        });
    }

    /// Goes on to the next part, unless that has to wait.
    fn next_part(&mut self, seats: &[Seat], running: &mut Running) -> bool {
        running.left = running.slots.keys().copied().collect();
        match running.part {
            Part::Run => running.part = Part::Commit,
            Part::Commit => {
                let is_released = |(shard, hold): (&usize, &Hold)| {
                    seats[*shard].core.hold_state(*hold) == HoldState::Released
                };
                if !running.holds.iter().all(is_released) && self.order != Order::UnlockEarly {
                    running.left.clear();
                    return false;
                }
                running.part = Part::Unlock;
            }
            Part::Unlock => unreachable!("it is over then"),
        }
        true
    }

    /// Some commands on a shard's keys.
    fn run_part(&mut self, seats: &mut [Seat], running: &mut Running, shard: usize) {
        let now = self.now();
        let seat = &mut seats[shard];
        for _ in 0..self.rng.between(0, 3) {
            let slot = self.rng.pick(&running.slots[&shard]);
            let command = command_on(&mut self.rng, self.unix_ms, slot);
            let room = std::cell::RefCell::new(&mut seat.log);
            let (_, wrote) = seat.core.act(running.id, |core| {
                let mut reply = Vec::new();
                let room = |bytes: usize| room.borrow_mut().reserve(bytes).map_err(|_| "MISCONF no room");
                let _ = core.execute(now, command.request(), &mut reply, room);
            });
            if wrote {
                self.history.wrote(running.known, shard);
            }
        }
        self.history.note(crate::state::states_of(&seat.core), Some(running.known));
        if self.rng.one_in(3) {
            running.left.push(shard);
        }
    }

    /// The present time.
    pub(crate) fn now(&self) -> Now {
        Now { mono_ns: self.unix_ms * 1_000_000, unix_ms: self.unix_ms }
    }
}
