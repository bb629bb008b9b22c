//! Executing requests, and when their replies may leave.

use carousel_protocol::command_table::{CommandId, CommandSpec, Flags};
use carousel_protocol::resp::{Argv, ReplyWriter, Version};
use carousel_protocol::{Database, Seq, SlotId};

use super::slot::Serve;
use super::transaction::IN_DOUBT;
use super::{Refusal, Shard, Standing};
use crate::command::{Exec, KeyAt, LogRoom, execute};
use crate::persist::record::RecordKind;
use crate::store::prefetch;
use crate::{Now, limits};

/// One request, parsed, checked for arity and routed to this shard.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its row of the command table.
    pub spec: &'static CommandSpec,
    /// Slot of its first key, or the slot that it names.
    pub slot: SlotId,
    /// Its arguments, the name first.
    pub argv: Argv<'a>,
    /// The database that its connection has selected.
    pub database: Database,
    /// RESP version of its connection.
    pub version: Version,
    /// Whether it is a use of its keys, as opposed to a look of a client that has said `CLIENT NO-TOUCH`.
    pub counts_as_use: bool,
}

/// Takes room in the log for a turn that writes up to so many bytes; the text of the error reply where there is none.
pub trait Room: Fn(usize) -> Result<(), &'static str> {}

impl<F: Fn(usize) -> Result<(), &'static str>> Room for F {}

/// What a reply waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// Nothing.
    None,
    /// The log of this turn (a lone node).
    Turn(u64),
    /// W copies of everything that the slot had when the request executed: reads wait too, for what they saw
    /// may still be lost.
    Commit {
        /// The slot.
        slot: SlotId,
        /// Its last seq at execution.
        seq: Seq,
        /// The reign in which it executed.
        reign: u32,
    },
}

/// What has become of a [`Hold`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldState {
    /// Not yet.
    Held,
    /// The reply may leave.
    Released,
    /// This node stopped leading the slot before the write was committed: nobody knows the outcome.
    Lost,
}

impl Shard {
    /// Loads into the caches what requests on these keys, of slots of this shard, will look at. See [`Tables::prefetch`].
    ///
    /// [`Tables::prefetch`]: crate::command::Tables::prefetch
    #[inline]
    pub fn prefetch(&self, keys: &[KeyAt]) {
        if self.effects.is_recording() {
            // A record needs its slot's seq.
            keys.iter().for_each(|at| prefetch(self.slot(at.slot)));
        }
        self.tables.prefetch(keys);
    }

    /// Executes a request that this shard may answer now, appending the reply to `out`.
    ///
    /// # Errors
    /// A [`Refusal`], with nothing executed and nothing appended.
    #[inline]
    pub fn execute(
        &mut self,
        now: Now,
        request: Request<'_>,
        out: &mut Vec<u8>,
        room: impl Room,
    ) -> Result<Hold, Refusal> {
        let write = request.spec.flags.contains(Flags::WRITE);
        self.admit(request.slot, write)?;
        if write {
            self.make_room(now, request.spec, &room)?;
        }
        let taken = if write { self.take_room(request, 1, &room)? } else { 0 };
        let hold = self.execute_admitted(now, request, out, &|bytes| room(taken + bytes));
        self.after_command(now, &room);
        Ok(hold)
    }

    /// What a command has given to clients that wait for it is theirs before anything else is executed.
    #[inline]
    pub(crate) fn after_command(&mut self, now: Now, room: &impl Room) {
        if self.effects.interest().has_changed() && self.may_serve_blocked() {
            self.serve_blocked(now, room);
        }
    }

    /// Executes a request whose keys are of several slots of this shard, which a lone node and a cluster of one allow.
    ///
    /// # Errors
    /// A [`Refusal`] of one of the slots, with nothing executed and nothing appended.
    pub fn execute_across(
        &mut self,
        now: Now,
        request: Request<'_>,
        slots: &[SlotId],
        out: &mut Vec<u8>,
        room: impl Room,
    ) -> Result<Vec<Hold>, Refusal> {
        let write = request.spec.flags.contains(Flags::WRITE);
        slots.iter().try_for_each(|slot| self.admit(*slot, write))?;
        if write {
            self.make_room(now, request.spec, &room)?;
        }
        let taken = if write { self.take_room(request, slots.len(), &room)? } else { 0 };
        let hold = self.execute_admitted(now, request, out, &|bytes| room(taken + bytes));
        self.after_command(now, &room);
        Ok(match self.standing {
            Standing::Member { .. } => slots.iter().map(|slot| self.hold_of(*slot)).collect(),
            Standing::Lone | Standing::Reserved { .. } => vec![hold],
        })
    }

    /// Executes a request that is about no one slot: on those that are led here, as KEYS, DBSIZE, SCAN and FLUSHALL
    /// do, or on whatever the shard holds.
    ///
    /// # Errors
    /// A [`Refusal`], with nothing executed and nothing appended.
    pub fn execute_on_any(
        &mut self,
        now: Now,
        request: Request<'_>,
        out: &mut Vec<u8>,
        room: impl Room,
    ) -> Result<Vec<Hold>, Refusal> {
        if self.has_locks() && !self.is_acting() {
            return Err(if self.has_doubts() { Refusal::Answer(IN_DOUBT.into()) } else { Refusal::Locked });
        }
        let mut taken = 0;
        if request.spec.flags.contains(Flags::WRITE) {
            if let Some(text) = self.refuse_write_on_all() {
                return Err(Refusal::Answer(text.into()));
            }
            taken = self.take_room(request, self.slots.len(), &room)?;
        }
        let hold = self.execute_admitted(now, request, out, &|bytes| room(taken + bytes));
        self.after_command(now, &room);
        Ok(match self.standing {
            // One hold per slot that has anything uncommitted.
            Standing::Member { .. } => {
                let open: Vec<_> =
                    self.tables.slots().filter(|slot| self.leads(*slot) && self.is_open(*slot)).collect();
                open.into_iter().map(|slot| self.hold_of(slot)).collect()
            }
            Standing::Lone | Standing::Reserved { .. } => vec![hold],
        })
    }

    /// Takes room in the log for what a request writes to so many slots, on top of what the turn has written; returns the
    /// bytes that it takes with the whole turn.
    #[inline]
    fn take_room(&self, request: Request<'_>, slots: usize, room: &impl Room) -> Result<usize, Refusal> {
        let arguments: usize = request.argv.iter().map(<[u8]>::len).sum();
        if arguments > limits::WRITE_ARGUMENTS_BYTES_MAX {
            return Err(too_long_for_a_record());
        }
        let records = (request.argv.len() + slots) * limits::RECORD_OVERHEAD_BYTES;
        let bytes = self.turn_log_bytes() + arguments + records;
        room(bytes).map_err(|text| Refusal::Answer(text.into()))?;
        Ok(bytes)
    }

    /// A command that changes all slots of the node, as FLUSHALL, must not pass over those that are just being handed
    /// over, and must not be held for want of replicas.
    fn refuse_write_on_all(&self) -> Option<&'static str> {
        let led = self.slots.iter().zip(&self.serve).filter(|(slot, _)| slot.lead().is_some());
        // Slots that are locked are so for the one who asks.
        let serves = |serve: &Serve| matches!(serve, Serve::Leading | Serve::Locked);
        led.map(|(_, serve)| *serve).find(|serve| !serves(serve)).map(|serve| match serve {
            Serve::LeadingReadOnly => super::route::NO_REPLICAS,
            Serve::Leading
            | Serve::Locked
            | Serve::Waiting
            | Serve::Frozen
            | Serve::Deposed
            | Serve::Elsewhere => super::route::TRY_AGAIN,
        })
    }

    fn execute_admitted(
        &mut self,
        now: Now,
        request: Request<'_>,
        out: &mut Vec<u8>,
        room: &dyn Fn(usize) -> Result<(), &'static str>,
    ) -> Hold {
        self.tables.begin_command(now.unix_ms, request.counts_as_use && is_use(request.spec.id));
        let (serve, local) = (&self.serve, self.tables.local_slots());
        let owned = |slot: SlotId| {
            matches!(serve[local.index_of(slot)], Serve::Leading | Serve::LeadingReadOnly | Serve::Locked)
        };
        let is_alone = matches!(self.standing, Standing::Lone | Standing::Reserved { .. });
        let mut exec = Exec {
            now,
            tables: &mut self.tables,
            effects: &mut self.effects,
            reply: ReplyWriter::new(out, request.version),
            slot: request.slot,
            database: request.database,
            database_count: self.options.databases,
            owned: &owned,
            room: LogRoom::new(room),
            is_alone,
        };
        execute(request.spec, &mut exec, request.argv);
        if !self.effects.is_empty() {
            self.record_as_one();
        }
        match self.standing {
            Standing::Lone | Standing::Reserved { .. } => self.hold_of_turn(),
            Standing::Member { .. } => self.hold_of(request.slot),
        }
    }

    /// Turns effects into records, each of which counts by itself.
    pub(crate) fn record_effects(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for (slot, payload) in effects.groups() {
            self.make_record(slot, RecordKind::Effects, payload);
        }
        effects.clear();
        self.effects = effects;
    }

    fn leads(&self, slot: SlotId) -> bool {
        matches!(self.serve(slot), Serve::Leading | Serve::LeadingReadOnly | Serve::Locked)
    }

    fn is_open(&self, slot: SlotId) -> bool {
        let slot = self.slot(slot);
        slot.last_seq > slot.commit
    }

    pub(crate) fn hold_of(&self, slot: SlotId) -> Hold {
        let state = self.slot(slot);
        if state.last_seq <= state.commit {
            return Hold::None;
        }
        let reign = state.replication.as_ref().map_or(0, |replication| replication.reign);
        Hold::Commit { slot, seq: state.last_seq, reign }
    }

    /// What has become of a hold.
    pub fn hold_state(&self, hold: Hold) -> HoldState {
        match hold {
            Hold::None => HoldState::Released,
            Hold::Turn(turn) if turn < self.turn.durable => HoldState::Released,
            Hold::Turn(_) => HoldState::Held,
            Hold::Commit { slot, seq, reign } => {
                let slot = self.slot(slot);
                if slot.replication.as_ref().is_some_and(|replication| replication.reign != reign) {
                    HoldState::Lost
                } else if slot.commit >= seq {
                    HoldState::Released
                } else {
                    HoldState::Held
                }
            }
        }
    }

    /// Copies that hold everything up to `hold`, of how many needed: for NOQUORUM.
    pub fn copies_of(&self, hold: Hold) -> (usize, usize) {
        let Hold::Commit { slot, seq, .. } = hold else { return (0, 1) };
        let Some(lead) = self.slot(slot).lead() else { return (0, 1) };
        let followers =
            lead.followers.iter().filter(|follower| follower.member && follower.acked >= seq).count();
        let own = usize::from(lead.own_seq >= seq);
        (own + followers, self.write_quorum_of(lead.set.len()))
    }

    /// The log has no room, or has again. Without, a lone node hides keys whose time has come instead of removing them,
    /// so that a full disk does not keep it from answering reads. (In a cluster such a reply needs the other copies.)
    pub fn set_log_full(&mut self, full: bool) {
        let alone = matches!(self.standing, Standing::Lone | Standing::Reserved { .. });
        self.tables.keep_due(full && alone);
    }

    /// Removes keys whose time has come, for at most about `budget` of them; returns whether there may be more.
    pub fn expire(&mut self, now: Now, budget: usize) -> bool {
        if self.has_lost_log() {
            return false;
        }
        let (serve, local) = (&self.serve, self.tables.local_slots());
        let owned = |slot: SlotId| serve[local.index_of(slot)] == Serve::Leading;
        let removed =
            self.expire_cycle.step(&mut self.tables, &mut self.effects, &owned, now.unix_ms, budget);
        if !self.effects.is_empty() {
            self.record_effects();
        }
        removed >= budget
    }
}

/// Whether a command uses the keys that it looks at, rather than asking about them. As in Redis.
#[inline]
fn is_use(id: CommandId) -> bool {
    !matches!(
        id,
        CommandId::Object
            | CommandId::Type
            | CommandId::Exists
            | CommandId::Ttl
            | CommandId::PTtl
            | CommandId::ExpireTime
            | CommandId::PExpireTime
            | CommandId::Memory
            | CommandId::Debug
    )
}

#[cold]
fn too_long_for_a_record() -> Refusal {
    Refusal::Answer(format!(
        "ERR the arguments of this command are too long for one record: at most {} bytes together",
        limits::WRITE_ARGUMENTS_BYTES_MAX
    ))
}

#[cfg(test)]
mod tests {
    use carousel_protocol::command_table::lookup;
    use carousel_protocol::resp::ArgRange;

    use super::*;
    use crate::shard::testing::{NOW, lone_shard};

    const NO_ROOM: &str = "MISCONF no room";

    /// What `SET key v` answers where the log has no room, on a slot that is served so.
    fn set_without_room(serve: Serve) -> Result<Hold, Refusal> {
        let mut shard = lone_shard();
        let slot = carousel_protocol::key_slot(b"key");
        let index = shard.index(slot);
        shard.serve[index] = serve;
        let ranges = [(0, 3), (3, 6), (6, 7)].map(|(start, end)| ArgRange { start, end });
        let argv = Argv::new(b"SETkeyv", &ranges);
        let request = Request {
            spec: lookup(b"SET").unwrap(),
            slot,
            argv,
            database: Database::MAIN,
            version: Version::Resp2,
            counts_as_use: true,
        };
        let mut out = Vec::new();
        let result = shard.execute(NOW, request, &mut out, |bytes| {
            assert!(bytes > 7, "room for its arguments");
            Err(NO_ROOM)
        });
        assert!(out.is_empty() && shard.tables.keys_of(slot) == 0, "nothing was executed");
        result
    }

    #[test]
    fn a_write_finds_the_log_full_only_where_it_would_be_executed() {
        assert_eq!(set_without_room(Serve::Leading), Err(Refusal::Answer(NO_ROOM.into())));
        let redirected = set_without_room(Serve::Elsewhere).unwrap_err().into_text();
        assert!(redirected.starts_with("CLUSTERDOWN"), "{redirected}");
        assert!(matches!(set_without_room(Serve::LeadingReadOnly), Err(Refusal::Park(_))));
    }

    #[test]
    fn arguments_that_no_record_could_hold_are_refused() {
        let mut shard = lone_shard();
        // Many times the same 64 MiB: what counts is what a record would have to hold.
        const LONG: usize = 64 << 20;
        let buffer = [&b"MSETk"[..], &vec![0; LONG]].concat();
        let range = |start, end| ArgRange { start, end };
        let mut ranges = vec![range(0, 4)];
        for _ in 0..limits::WRITE_ARGUMENTS_BYTES_MAX / LONG + 1 {
            ranges.extend([range(4, 5), range(5, 5 + LONG as u32)]);
        }
        let (spec, slot) = (lookup(b"MSET").unwrap(), carousel_protocol::key_slot(b"k"));
        let request = Request {
            spec,
            slot,
            argv: Argv::new(&buffer, &ranges),
            database: Database::MAIN,
            version: Version::Resp2,
            counts_as_use: true,
        };
        let mut out = Vec::new();
        let refused = shard.execute(NOW, request, &mut out, |_| Ok(())).unwrap_err().into_text();
        assert!(refused.starts_with("ERR the arguments of this command are too long"), "{refused}");
        assert!(out.is_empty() && shard.tables.keys_of(slot) == 0, "nothing was executed");
    }
}
