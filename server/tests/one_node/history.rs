//! What was done to each slot, and what of it must be there after the process, or its machine, has ended.

use std::collections::{BTreeMap, BTreeSet};

use carousel_protocol::{ShardId, SlotId};

use crate::state::SlotState;

/// A transaction, as the history numbers them.
pub type Known = usize;

/// What became of a log: how many appends there were, and up to which it was synced.
#[derive(Clone, Copy, Default)]
struct Reached {
    appends: u64,
    synced: u64,
}

/// A state of a slot, and what brought it there.
struct Entry {
    state: SlotState,
    transaction: Option<Known>,
    /// The append that has its record; none has yet.
    append: Option<u64>,
}

#[derive(Default)]
struct Transaction {
    /// The shards that it has written on.
    wrote: BTreeSet<usize>,
    /// Those that were told to commit, each with the append that has that.
    commits: BTreeMap<usize, Option<u64>>,
}

/// One process, from what it found to its end.
pub struct History {
    /// Replies wait for a sync.
    is_always: bool,
    slots: BTreeMap<SlotId, Vec<Entry>>,
    logs: Vec<Reached>,
    transactions: Vec<Transaction>,
    /// What was not synced may be gone.
    lost_power: bool,
}

impl History {
    /// A process that has found this.
    pub fn new(is_always: bool, shards: u16, found: BTreeMap<SlotId, SlotState>) -> Self {
        let found = found.into_iter().map(|(slot, state)| {
            let entry = Entry { state, transaction: None, append: Some(0) };
            (slot, vec![entry])
        });
        Self {
            is_always,
            slots: found.collect(),
            logs: vec![Reached::default(); shards.into()],
            transactions: Vec::new(),
            lost_power: false,
        }
    }

    /// Keys that there are now.
    pub fn keys(&self) -> usize {
        self.slots.values().filter_map(|entries| entries.last()).map(|entry| entry.state.len()).sum()
    }

    /// A transaction begins.
    pub fn begin(&mut self) -> Known {
        self.transactions.push(Transaction::default());
        self.transactions.len() - 1
    }

    /// These are the states of a shard's slots now; where one has changed, that is the transaction's doing.
    pub fn note(&mut self, states: BTreeMap<SlotId, SlotState>, transaction: Option<Known>) {
        for (slot, state) in states {
            let entries = self.slots.get_mut(&slot).expect("all slots are known");
            if entries.last().is_none_or(|last| last.state != state) {
                entries.push(Entry { state, transaction, append: None });
            }
        }
    }

    /// The transaction has written on that shard.
    pub fn wrote(&mut self, transaction: Known, shard: usize) {
        self.transactions[transaction].wrote.insert(shard);
    }

    /// The shards that it has written on.
    pub fn written_by(&self, transaction: Known) -> BTreeSet<usize> {
        self.transactions[transaction].wrote.clone()
    }

    /// A shard on which it holds these slots is told to commit it. It is gone from all of them, or from none.
    pub fn commit(&mut self, transaction: Known, shard: usize, slots: &[SlotId]) {
        if !self.transactions[transaction].wrote.contains(&shard) {
            return;
        }
        self.transactions[transaction].commits.insert(shard, None);
        for slot in slots {
            let entries = self.slots.get_mut(slot).expect("all slots are known");
            let state = entries.last().expect("one was found").state.clone();
            entries.push(Entry { state, transaction: Some(transaction), append: None });
        }
    }

    /// Everything that the shard has done is in its log.
    pub fn appended(&mut self, shard: usize) {
        let log = &mut self.logs[shard];
        log.appends += 1;
        let append = log.appends;
        let count = self.logs.len() as u16;
        let here = |slot: &SlotId| ShardId::of_slot(*slot, count).index() == shard;
        for (_, entries) in self.slots.iter_mut().filter(|(slot, _)| here(slot)) {
            entries
                .iter_mut()
                .rev()
                .take_while(|entry| entry.append.is_none())
                .for_each(|entry| entry.append = Some(append));
        }
        for transaction in &mut self.transactions {
            if let Some(commit) = transaction.commits.get_mut(&shard) {
                commit.get_or_insert(append);
            }
        }
    }

    /// And synced.
    pub fn synced(&mut self, shard: usize) {
        self.logs[shard].synced = self.logs[shard].appends;
    }

    /// The process has ended, or a start that came after it.
    pub fn ended(&mut self, lost_power: bool) {
        self.lost_power |= lost_power;
    }

    fn survives(&self, shard: usize, append: Option<u64>) -> bool {
        append.is_some_and(|append| !self.lost_power || append <= self.logs[shard].synced)
    }

    /// Has run, and every shard was told so: it may be there.
    fn is_issued(&self, transaction: Known) -> bool {
        let Transaction { wrote, commits } = &self.transactions[transaction];
        wrote.iter().all(|shard| commits.contains_key(shard))
    }

    /// Every shard has its end, for certain.
    fn is_complete(&self, transaction: Known) -> bool {
        let commits = &self.transactions[transaction].commits;
        self.is_issued(transaction) && commits.iter().all(|(shard, append)| self.survives(*shard, *append))
    }

    /// Transactions that may come to nothing, and what was built on them with them.
    fn doubtful(&self) -> BTreeSet<Known> {
        let mut doubtful: BTreeSet<Known> =
            (0..self.transactions.len()).filter(|known| !self.is_complete(*known)).collect();
        loop {
            let before = doubtful.len();
            for entries in self.slots.values() {
                let all = entries.iter().filter_map(|entry| entry.transaction);
                let built: Vec<_> = all.skip_while(|known| !doubtful.contains(known)).collect();
                doubtful.extend(built);
            }
            if doubtful.len() == before {
                return doubtful;
            }
        }
    }

    /// The oldest entry that the slot may be found at.
    fn floor(&self, slot: SlotId, doubtful: &BTreeSet<Known>) -> usize {
        let shard = ShardId::of_slot(slot, self.logs.len() as u16).index();
        let entries = &self.slots[&slot];
        let is_promised = |entry: &Entry| {
            self.survives(shard, entry.append)
                && entry.transaction.is_none_or(|known| self.is_complete(known))
        };
        if self.lost_power && !self.is_always {
            // What came after something that was not synced was not promised either.
            let taints = |entry: &Entry| entry.transaction.is_some_and(|known| doubtful.contains(&known));
            let kept = entries.iter().take_while(|entry| is_promised(entry) && !taints(entry)).count();
            return kept.saturating_sub(1);
        }
        entries.iter().rposition(is_promised).expect("what was found is promised")
    }

    /// Must every slot be as it was found?
    ///
    /// # Errors
    /// What is not as it could be.
    pub fn check(&self, found: &BTreeMap<SlotId, SlotState>) -> Result<(), String> {
        let doubtful = self.doubtful();
        let mut candidates: BTreeMap<SlotId, Vec<usize>> = BTreeMap::new();
        for (slot, entries) in &self.slots {
            let floor = self.floor(*slot, &doubtful);
            let possible: Vec<usize> =
                (floor..entries.len()).filter(|at| entries[*at].state == found[slot]).collect();
            if possible.is_empty() {
                let promised = &entries[floor].state;
                return Err(format!(
                    "slot {slot} is as nothing left it from entry {floor} of {} on: {:#?}\ninstead of {promised:#?}",
                    entries.len(),
                    found[slot]
                ));
            }
            candidates.insert(*slot, possible);
        }
        // The latest entry that each slot may be at, lowered until every transaction is there wholly or not at all.
        loop {
            let mut is_stable = true;
            for known in 0..self.transactions.len() {
                let places = self.places(known);
                let is_in = |slot: &SlotId, (first, _): &(usize, usize)| {
                    candidates[slot].last().is_some_and(|at| at >= first)
                };
                let is_whole = |slot: &SlotId, (_, last): &(usize, usize)| {
                    candidates[slot].last().is_some_and(|at| at >= last)
                };
                let may_be =
                    self.is_issued(known) && places.iter().all(|(slot, place)| is_whole(slot, place));
                if may_be || !places.iter().any(|(slot, place)| is_in(slot, place)) {
                    continue;
                }
                is_stable = false;
                for (slot, (first, _)) in &places {
                    let left = candidates.get_mut(slot).expect("every slot has some");
                    left.retain(|at| at < first);
                    if left.is_empty() {
                        return Err(format!(
                            "transaction {known} is there in part: slot {slot} has it, or lacks what came before it; it is at \
                             {places:?}, {:?}, and there is {found:#?}",
                            self.transactions[known].commits
                        ));
                    }
                }
            }
            if is_stable {
                return Ok(());
            }
        }
    }

    /// By slot, the first and the last entry of a transaction.
    fn places(&self, known: Known) -> BTreeMap<SlotId, (usize, usize)> {
        let place = |entries: &Vec<Entry>| {
            let is_its = |entry: &Entry| entry.transaction == Some(known);
            Some((entries.iter().position(is_its)?, entries.iter().rposition(is_its)?))
        };
        self.slots.iter().filter_map(|(slot, entries)| Some((*slot, place(entries)?))).collect()
    }
}
