//! Transactions: commands that several slots see as one.
//!
//! A transaction on slots of one shard runs in one go, so nobody sees half of it; its changes are recorded when it has
//! run, and those of several slots stand between two notes of the log ([`RecordKind::Begin`], [`RecordKind::Commit`]) that
//! make them one. A transaction over several shards first *locks* its slots on each of them: whoever else wants one of
//! these slots waits, and all other slots go on. Then its commands run where their keys are, and when every shard has
//! logged its `Commit` the locks go. (Two-phase locking, with the shards in ascending order, so that no two transactions
//! wait for each other: Gray and Reuter, *Transaction Processing*, 1993, chapter 7.)
//!
//! After a crash a transaction counts where each shard that it wrote on has its `Commit`; see
//! [`crate::persist::transactions`]. So a slot is given back only when every shard has written it (under `always`, synced it):
//! whoever comes next may be promised that what it writes survives, which it does not where the transaction comes to
//! nothing. Where a shard cannot write it, for want of room or because its log has failed, the transaction is *in doubt*,
//! and its slots answer an error until it is written or the process ends.

use std::collections::BTreeMap;

use carousel_protocol::{ShardId, SlotId};

use super::slot::Serve;
use super::{Hold, Refusal, Room, Shard, Standing};
use crate::Now;
use crate::command::{EffectIter, Interest, KeyPlace, Trip, join_payloads};
use crate::persist::record::{LogPosition, RecordKind};
use crate::persist::transactions::{Note, TransactionId};

/// What a transaction wants to itself on one shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// These slots, all of this shard.
    Slots(Vec<SlotId>),
    /// All slots that are led here.
    All,
}

impl Wanted {
    /// Whether two transactions could not have both at once.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Slots(own), Self::Slots(others)) => own.iter().any(|slot| others.contains(slot)),
            (Self::All, _) | (_, Self::All) => true,
        }
    }
}

/// What transactions hold on a shard.
#[derive(Default)]
pub(crate) struct Locks {
    /// By slot index.
    holders: BTreeMap<usize, TransactionId>,
    /// Transactions that hold slots.
    held: BTreeMap<TransactionId, HeldLock>,
    /// Whose request is being executed.
    acting: Option<TransactionId>,
    /// Changes are kept back until the whole of a transaction has run.
    collecting: bool,
    /// The last number given to a transaction of this shard.
    last_number: u64,
    /// Where in the log one began last that does not say yet that it counts.
    unsettled: Option<LogPosition>,
}

struct HeldLock {
    indices: Vec<usize>,
    is_all: bool,
    /// The transaction has changed something here, and the log says that it began.
    has_begun: bool,
    /// It has run, and a shard could not write that.
    is_in_doubt: bool,
}

/// What requests on the slots of a transaction in doubt are answered.
pub(crate) const IN_DOUBT: &str = "MISCONF A transaction that holds the slot could not be written to the log of every shard, \
                                   see the server's log. Nothing was executed.";

impl Shard {
    /// A name for a transaction that nobody has had.
    pub fn new_transaction(&mut self) -> TransactionId {
        self.locks.last_number += 1;
        TransactionId {
            process: self.tables.hasher().hash(b"process"),
            shard: self.options.id,
            number: self.locks.last_number,
        }
    }

    /// Gives a transaction all that it wants here, or nothing: false where another one holds part of it.
    ///
    /// # Errors
    /// A slot is not served here, or not yet.
    pub fn try_lock(&mut self, transaction: TransactionId, wanted: &Wanted) -> Result<bool, Refusal> {
        let indices: Vec<usize> = match wanted {
            Wanted::Slots(slots) => slots.iter().map(|slot| self.index(*slot)).collect(),
            Wanted::All => (0..self.slots.len()).filter(|i| self.serve[*i] != Serve::Elsewhere).collect(),
        };
        for &index in &indices {
            if let Err(refusal) = self.admit(self.slot_at(index), true) {
                return if refusal == Refusal::Locked { Ok(false) } else { Err(refusal) };
            }
        }
        for &index in &indices {
            self.serve[index] = Serve::Locked;
            self.locks.holders.insert(index, transaction);
        }
        let held = HeldLock { indices, is_all: *wanted == Wanted::All, has_begun: false, is_in_doubt: false };
        assert!(self.locks.held.insert(transaction, held).is_none(), "a transaction locks a shard once");
        Ok(true)
    }

    /// Gives back what a transaction holds here, if anything.
    pub fn unlock(&mut self, transaction: TransactionId) {
        let Some(held) = self.locks.held.remove(&transaction) else { return };
        for &index in &held.indices {
            self.locks.holders.remove(&index);
            if self.serve[index] == Serve::Locked {
                self.serve[index] = Serve::Leading;
                self.refresh_serve(index);
                self.advance_change(index);
            }
        }
        self.turn.news = true;
    }

    /// The transaction has run, and not every shard can write that: until it is given back, whoever wants a slot of it gets an
    /// error.
    pub fn doubt(&mut self, transaction: TransactionId) {
        if let Some(held) = self.locks.held.get_mut(&transaction) {
            held.is_in_doubt = true;
        }
        // Those that wait for it are to look again.
        self.turn.news = true;
    }

    /// Whether a transaction that is in doubt holds the slot.
    pub(crate) fn is_in_doubt(&self, slot: SlotId) -> bool {
        let holder = self.locks.holders.get(&self.index(slot));
        holder.and_then(|holder| self.locks.held.get(holder)).is_some_and(|held| held.is_in_doubt)
    }

    /// Whether a transaction that is in doubt holds any slot.
    pub fn has_doubts(&self) -> bool {
        self.locks.held.values().any(|held| held.is_in_doubt)
    }

    /// The transactions that hold slots here.
    pub fn lock_holders(&self) -> Vec<TransactionId> {
        self.locks.held.keys().copied().collect()
    }

    /// Whether a transaction holds slots here.
    pub fn holds_lock(&self, transaction: &TransactionId) -> bool {
        self.locks.held.contains_key(transaction)
    }

    /// Whether a transaction holds any slot.
    pub(crate) fn has_locks(&self) -> bool {
        !self.locks.held.is_empty()
    }

    /// Whether the transaction whose request is being executed holds the slot.
    pub(crate) fn is_acting_on(&self, slot: SlotId) -> bool {
        self.locks.acting.is_some() && self.locks.holders.get(&self.index(slot)) == self.locks.acting.as_ref()
    }

    /// Whether a request is being executed for a transaction that holds slots.
    pub(crate) fn is_acting(&self) -> bool {
        self.locks.acting.is_some()
    }

    /// Runs requests of a transaction that holds slots here; they see them as if nobody held them. Returns what `run`
    /// does, and whether the transaction has changed anything here, now or before.
    pub fn act<T>(&mut self, transaction: TransactionId, run: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        self.locks.acting = Some(transaction);
        let result = run(self);
        self.locks.acting = None;
        (result, self.locks.held.get(&transaction).is_some_and(|held| held.has_begun))
    }

    /// Runs the requests of a transaction whose slots are all of this shard, as one: their changes become records
    /// together. Returns what `run` does and what the replies wait for.
    ///
    /// # Errors
    /// A [`Refusal`] of one of the slots, with nothing executed.
    pub fn transact<T>(
        &mut self,
        now: Now,
        slots: &[SlotId],
        write: bool,
        room: impl Room,
        run: impl FnOnce(&mut Self) -> T,
    ) -> Result<(T, Vec<Hold>), Refusal> {
        slots.iter().try_for_each(|slot| self.admit(*slot, write))?;
        if write {
            // Not within, where it would be a part of the transaction.
            self.evict(now);
        }
        self.locks.collecting = true;
        let result = run(self);
        self.locks.collecting = false;
        self.record_as_one();
        let holds = self.holds_of(slots);
        self.after_command(now, &room);
        Ok((result, holds))
    }

    /// Whether this is a moment between two commands.
    pub(crate) fn may_serve_blocked(&self) -> bool {
        self.locks.acting.is_none() && !self.locks.collecting && !self.blocked.is_serving()
    }

    /// What a reply waits for that saw these slots.
    pub(crate) fn holds_of(&self, slots: &[SlotId]) -> Vec<Hold> {
        match self.standing {
            Standing::Member { .. } => slots.iter().map(|slot| self.hold_of(*slot)).collect(),
            Standing::Lone | Standing::Reserved { .. } => vec![self.hold_of_turn()],
        }
    }

    /// Turns the effects of a command or a transaction into records, as one where they are of several slots.
    #[inline]
    pub(crate) fn record_as_one(&mut self) {
        if self.effects.is_empty() || self.locks.collecting {
            return;
        }
        if let Some(transaction) = self.locks.acting {
            self.note_begin(transaction);
            return self.record_effects();
        }
        if self.effects.is_one_group() {
            return self.record_effects();
        }
        let mut effects = std::mem::take(&mut self.effects);
        let mut by_slot: BTreeMap<SlotId, Vec<&[u8]>> = BTreeMap::new();
        effects.groups().for_each(|(slot, payload)| by_slot.entry(slot).or_default().push(payload));
        let several = by_slot.len() > 1 && self.options.log;
        let transaction = several.then(|| self.new_transaction());
        if let Some(transaction) = transaction {
            let slots = by_slot.keys().copied().collect();
            self.log_transaction(&Note::Begin { transaction, slots });
        }
        for (slot, payloads) in by_slot {
            match payloads.as_slice() {
                [one] => self.make_record(slot, RecordKind::Effects, one),
                several => self.make_record(slot, RecordKind::Effects, &join_payloads(several)),
            }
        }
        if let Some(transaction) = transaction {
            let shards = vec![self.options.id];
            self.log_transaction(&Note::Commit { transaction, shards });
        }
        effects.clear();
        self.effects = effects;
    }

    /// Before a transaction's first record here: what follows counts only if the transaction is committed.
    fn note_begin(&mut self, transaction: TransactionId) {
        let Some(held) = self.locks.held.get_mut(&transaction) else { return };
        if std::mem::replace(&mut held.has_begun, true) {
            return;
        }
        let slots = if held.is_all { Vec::new() } else { held.indices.clone() };
        let slots = slots.into_iter().map(|index| self.slot_at(index)).collect();
        self.locks.unsettled = Some(self.log_position());
        self.log_transaction(&Note::Begin { transaction, slots });
    }

    /// Sets `trip` when one of these keys changes from now on.
    pub fn watch(&mut self, now: Now, keys: &[KeyPlace], trip: &Trip) {
        // One whose time has passed already is not there; that it goes is no change.
        self.expire_watched(now, keys);
        self.effects.change_interest(|interest| {
            keys.iter().for_each(|key| interest.watch(key, trip));
        });
    }

    /// Removes those of the keys whose time has passed, which those who watch them are told.
    pub fn expire_watched(&mut self, now: Now, keys: &[KeyPlace]) {
        for (slot, database, key) in keys {
            let at = self.tables.key_at(*slot, *database, key);
            self.tables.find(at, key, now.unix_ms, &mut self.effects);
        }
        self.record_as_one();
    }

    /// Changes whose changes are waited for.
    pub(crate) fn change_interest<T>(&mut self, change: impl FnOnce(&mut Interest) -> T) -> T {
        self.effects.change_interest(change)
    }

    /// Carries out effects, encoded, on a slot that the acting transaction holds.
    pub(crate) fn change(&mut self, slot: SlotId, payload: &[u8]) {
        for effect in EffectIter::new(payload) {
            let (database, effect) = effect.expect("own effects decode");
            let at = self.tables.key_at(slot, database, effect.key().unwrap_or_default());
            self.tables.change(at, &effect, &mut self.effects);
        }
        self.record_as_one();
    }

    /// Logs that the transaction has run here; `shards` are those that it has written on. Returns what has to become
    /// durable before it counts.
    pub fn commit(&mut self, transaction: TransactionId, shards: &[ShardId]) -> Hold {
        if self.locks.held.get(&transaction).is_some_and(|held| held.has_begun) {
            let note = Note::Commit { transaction, shards: shards.to_vec() };
            self.log_transaction(&note);
            // A note is no record of a slot, so nothing else says that this turn has something to wait for.
            return Hold::Turn(self.turn.number);
        }
        self.hold_of_turn()
    }

    /// Logs that all transactions that began here before that position count: every shard that they wrote on has their
    /// `Commit` on stable storage. Nothing, where no log would say otherwise.
    pub fn settle_before(&mut self, position: LogPosition) {
        let Some(last) = self.locks.unsettled else { return };
        if last < position {
            self.locks.unsettled = None;
        }
        self.log_transaction(&Note::SettledBefore { position: position.0 });
    }

    fn log_transaction(&mut self, note: &Note) {
        let mut payload = Vec::new();
        note.encode(&mut payload);
        self.log_note(note.header(), &payload);
    }

    /// What a lone node's reply waits for: the last turn that has anything to become durable.
    pub(crate) fn hold_of_turn(&self) -> Hold {
        if self.turn.is_empty() && self.turn.durable >= self.turn.number {
            Hold::None
        } else if self.turn.is_empty() {
            // Nothing in this turn, which may not even end, but an earlier one is not durable yet.
            Hold::Turn(self.turn.number - 1)
        } else {
            Hold::Turn(self.turn.number)
        }
    }
}

#[cfg(test)]
mod tests {
    use carousel_protocol::{Database, key_slot};

    use super::*;
    use crate::persist::record::decode_record;
    use crate::shard::testing::{NOW, lone_shard, room, run, try_run};

    fn slots(keys: &[&str]) -> Wanted {
        Wanted::Slots(keys.iter().map(|key| key_slot(key.as_bytes())).collect())
    }

    /// The kinds of the turn's records.
    fn logged(shard: &mut Shard) -> Vec<RecordKind> {
        let log = shard.end_turn(NOW).log.concat();
        let (mut kinds, mut rest) = (Vec::new(), &log[..]);
        while let Ok(Some((header, _, bytes))) = decode_record(rest) {
            kinds.push(header.kind);
            rest = &rest[bytes..];
        }
        assert!(rest.is_empty());
        kinds
    }

    #[test]
    fn a_locked_slot_is_its_transactions_alone_and_others_go_on() {
        let mut shard = lone_shard();
        let (first, second) = (shard.new_transaction(), shard.new_transaction());
        assert_eq!(shard.try_lock(first, &slots(&["a", "b"])), Ok(true));
        assert_eq!(shard.try_lock(second, &slots(&["b", "c"])), Ok(false), "all or nothing");
        assert_eq!(try_run(&mut shard, "GET a"), Err(Refusal::Locked));
        assert_eq!(try_run(&mut shard, "MSET c 1 a 1"), Err(Refusal::Locked));
        assert_eq!(try_run(&mut shard, "DBSIZE"), Err(Refusal::Locked), "it would see the half of it");
        assert_eq!(run(&mut shard, "SET c 1"), "+OK|");
        let (reply, wrote) = shard.act(first, |shard| run(shard, "SET a 2"));
        assert_eq!((reply.as_str(), wrote), ("+OK|", true));
        shard.unlock(first);
        assert_eq!(run(&mut shard, "GET a"), "$1|2|");
        assert_eq!(shard.try_lock(second, &slots(&["b", "c"])), Ok(true));
        shard.unlock(second);
        shard.unlock(second);
        assert!(!shard.has_locks());
    }

    #[test]
    fn the_slots_of_a_transaction_in_doubt_answer_an_error_until_it_is_over() {
        let mut shard = lone_shard();
        let (doubtful, other) = (shard.new_transaction(), shard.new_transaction());
        assert_eq!(shard.try_lock(doubtful, &slots(&["a", "b"])), Ok(true));
        assert_eq!(try_run(&mut shard, "GET a"), Err(Refusal::Locked), "it will be over soon");
        shard.doubt(doubtful);
        let in_doubt = || Refusal::Answer(IN_DOUBT.into());
        for line in ["GET a", "SET b 1", "DBSIZE", "FLUSHALL"] {
            assert_eq!(try_run(&mut shard, line), Err(in_doubt()), "{line}");
        }
        assert_eq!(shard.try_lock(other, &slots(&["b", "c"])), Err(in_doubt()));
        assert_eq!(run(&mut shard, "SET c 1"), "+OK|");
        shard.unlock(doubtful);
        assert_eq!(run(&mut shard, "DBSIZE"), ":1|");
    }

    #[test]
    fn all_slots_can_be_locked_and_are_then_seen_by_who_has_them() {
        let mut shard = lone_shard();
        run(&mut shard, "MSET a 1 b 2");
        let (all, one) = (shard.new_transaction(), shard.new_transaction());
        assert_eq!(shard.try_lock(all, &Wanted::All), Ok(true));
        assert_eq!(shard.try_lock(one, &slots(&["x"])), Ok(false));
        assert_eq!(shard.act(all, |shard| run(shard, "DBSIZE")).0, ":2|");
        assert_eq!(shard.act(all, |shard| run(shard, "FLUSHALL")).0, "+OK|");
        shard.unlock(all);
        assert_eq!(run(&mut shard, "DBSIZE"), ":0|");
    }

    #[test]
    fn records_of_several_slots_stand_between_notes() {
        use RecordKind::{Begin, Commit, Effects, Settled};
        let mut shard = lone_shard();
        run(&mut shard, "SET a 1");
        run(&mut shard, "MSET {a}1 1 {a}2 2");
        assert_eq!(logged(&mut shard), [Effects, Effects], "one slot needs none");
        run(&mut shard, "MSET a 1 b 2 c 3");
        assert_eq!(logged(&mut shard), [Begin, Effects, Effects, Effects, Commit]);
        let id = shard.new_transaction();
        shard.try_lock(id, &slots(&["a", "b"])).unwrap();
        assert!(!shard.act(id, |shard| run(shard, "GET a")).1);
        assert_eq!(logged(&mut shard), [], "it has only read");
        shard.act(id, |shard| ["INCR a", "INCR b"].map(|line| run(shard, line)));
        assert_eq!(shard.commit(id, &[ShardId(0), ShardId(1)]), Hold::Turn(shard.turn.number));
        shard.unlock(id);
        shard.settle_before(shard.log_position());
        assert_eq!(logged(&mut shard), [Begin, Effects, Effects, Commit, Settled]);
        shard.settle_before(shard.log_position());
        assert_eq!(logged(&mut shard), [], "the log says it already");
    }

    #[test]
    fn a_transaction_of_one_slot_is_one_record() {
        let mut shard = lone_shard();
        let slot = key_slot(b"a");
        let commands = ["INCR a", "APPEND a 0", "GET a", "EXPIRE a 100"];
        let (replies, holds) =
            shard.transact(NOW, &[slot], true, room, |shard| commands.map(|line| run(shard, line))).unwrap();
        assert_eq!(replies, [":1|", ":2|", "$2|10|", ":1|"]);
        assert_eq!(holds, [Hold::Turn(0)]);
        assert_eq!(logged(&mut shard), [RecordKind::Effects]);
    }

    #[test]
    fn a_watched_key_trips_once_it_changes_or_its_time_passes() {
        let mut shard = lone_shard();
        let key = |key: &str| (key_slot(key.as_bytes()), Database::MAIN, key.as_bytes().into());
        let watched = |shard: &mut Shard, name: &str| {
            let trip = Trip::default();
            shard.watch(NOW, &[key(name)], &trip);
            trip
        };
        run(&mut shard, "SET a 1");
        let (a, other) = (watched(&mut shard, "a"), watched(&mut shard, "other"));
        run(&mut shard, "GET a");
        run(&mut shard, "SET b 1");
        assert!(!a.is_set() && !other.is_set());
        run(&mut shard, "DEL a");
        assert!(a.is_set() && !other.is_set());

        run(&mut shard, "PSETEX due 10 v");
        let due = watched(&mut shard, "due");
        shard.expire_watched(NOW, &[key("due")]);
        assert!(!due.is_set());
        shard.expire_watched(Now { mono_ns: 0, unix_ms: NOW.unix_ms + 11 }, &[key("due")]);
        assert!(due.is_set());

        run(&mut shard, "SET flushed 1");
        let flushed = watched(&mut shard, "flushed");
        run(&mut shard, "FLUSHALL");
        assert!(flushed.is_set());
        for (name, trip) in [("a", &a), ("other", &other), ("due", &due), ("flushed", &flushed)] {
            shard.change_interest(|interest| interest.unwatch(&key(name), trip));
        }
        assert!(shard.effects.interest().is_empty(), "nothing is left behind");
    }
}
