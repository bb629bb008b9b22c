//! Executing what MULTI has queued, and what else takes more than one shard.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use carousel_protocol::SlotId;
use carousel_protocol::command_table::{CommandId, CommandSpec, Place};
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::blocking::{Block, Wait, Waited, is_nothing};
use super::coordinate::{
    Coordinator, Failure, execute_alone, failure_reply, is_write, look_everywhere, wants_of,
};
use super::input::Input;
use super::multi::Queued;
use super::serve::{Connection, Pause};
use super::{blocking, scatter};
use crate::Now;
use crate::command::session::{run_connection_command, wrong_subcommand};
use crate::command::{KeyPlace, Trip, block_timeout_ms};
use crate::runtime::Runtime;
use crate::shard::Refusal;
use crate::shard::drive::Stopped;
use crate::shard::encoded::{Encoded, slots_of};

/// What a connection does between two batches: it takes several shards, or time.
pub(super) enum Work {
    /// A command on keys of several shards.
    Command(Encoded),
    /// A command that looks at all shards.
    Look(Encoded),
    /// EXEC of commands on keys of another shard, or of several.
    Exec(Vec<Encoded>),
    /// WATCH of keys, some of which are on other shards.
    Watch(Vec<KeyPlace>, Trip),
    /// A command that may wait.
    Block(Block),
}

const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";

impl Connection {
    /// Queues a command behind MULTI.
    #[cold]
    pub(super) fn queue(
        &mut self,
        spec: &'static CommandSpec,
        slot: Option<SlotId>,
        argv: Argv<'_>,
    ) -> ControlFlow<Pause> {
        if let Some(error) = wrong_subcommand(spec, argv) {
            self.multi.refuse();
            self.handle.metrics.command_rejected(spec.id, error.trim_ascii_end());
            self.batch.out.extend_from_slice(&error);
            return ControlFlow::Continue(());
        }
        if let Some(slot) = slot {
            if !self.handle.may_cross_slots() && !scatter::one_slot(spec, argv, slot) {
                return self.refuse(spec, CROSS_SLOT);
            }
            let redirect = self.handle.core.borrow().redirect(slot);
            if let Some(text) = redirect {
                return self.refuse(spec, &text);
            }
        }
        match self.multi.push(spec, self.session.database, argv) {
            Ok(()) => {
                self.session.client.set_queued(self.multi.queued());
                ReplyWriter::new(&mut self.batch.out, self.session.version).simple("QUEUED");
            }
            Err(text) => return self.refuse(spec, text),
        }
        ControlFlow::Continue(())
    }

    /// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
    #[cold]
    pub(super) fn run_transaction(
        &mut self,
        now: Now,
        spec: &'static CommandSpec,
        argv: Argv<'_>,
    ) -> ControlFlow<Pause> {
        match spec.id {
            CommandId::Multi if !self.multi.open() => {
                return self.fail(spec, "ERR MULTI calls can not be nested");
            }
            CommandId::Multi => {
                self.session.client.set_queued(Some(0));
                self.reply().ok();
            }
            CommandId::Exec => {
                self.session.client.set_queued(None);
                return self.exec(now, spec);
            }
            CommandId::Discard if !self.multi.discard() => {
                return self.fail(spec, "ERR DISCARD without MULTI");
            }
            CommandId::Discard | CommandId::Unwatch => {
                self.session.client.set_queued(None);
                self.multi.unwatch(&self.handle);
                self.reply().ok();
            }
            CommandId::Watch if self.multi.is_open() => {
                return self.fail(spec, "ERR WATCH inside MULTI is not allowed");
            }
            CommandId::Watch => return self.watch(now, spec, argv),
            other => unreachable!("{other:?} is not about transactions"),
        }
        ControlFlow::Continue(())
    }

    /// An EXEC that is refused ends the transaction.
    pub(super) fn abort(&mut self, spec: &CommandSpec, text: &str) -> ControlFlow<Pause> {
        self.multi.discard();
        self.multi.unwatch(&self.handle);
        self.session.client.set_queued(None);
        let reason = text.strip_prefix("ERR ").unwrap_or(text);
        let text = format!("EXECABORT Transaction discarded because of: {reason}");
        self.handle.metrics.command_rejected(spec.id, text.as_bytes());
        self.reply().error(&text);
        ControlFlow::Continue(())
    }

    /// An error of a command that was executed, as far as it can be.
    fn fail(&mut self, spec: &CommandSpec, text: &str) -> ControlFlow<Pause> {
        self.handle.metrics.command_failed(spec.id, format!("-{text}").as_bytes());
        self.reply().error(text);
        ControlFlow::Continue(())
    }

    fn reply(&mut self) -> ReplyWriter<'_> {
        ReplyWriter::new(&mut self.batch.out, self.session.version)
    }

    fn watch(&mut self, now: Now, spec: &'static CommandSpec, argv: Argv<'_>) -> ControlFlow<Pause> {
        let slots = slots_of(spec, argv);
        if !self.handle.may_cross_slots() && slots.iter().any(|slot| *slot != slots[0]) {
            return self.fail(spec, CROSS_SLOT);
        }
        for &slot in &slots {
            let redirect = self.handle.core.borrow().redirect(slot);
            if let Some(text) = redirect {
                return self.fail(spec, &text);
            }
        }
        if self.multi.trip().is_set() {
            // EXEC will fail in any case.
            self.reply().ok();
            return ControlFlow::Continue(());
        }
        let (new, trip) = self.multi.watch(self.session.database, argv);
        if new.iter().any(|(slot, ..)| self.handle.owner(*slot) != self.handle.id) {
            return ControlFlow::Break(Pause::Work(Work::Watch(new, trip)));
        }
        self.handle.core.borrow_mut().watch(now, &new, &trip);
        self.reply().ok();
        ControlFlow::Continue(())
    }

    fn exec(&mut self, now: Now, spec: &'static CommandSpec) -> ControlFlow<Pause> {
        let commands = match self.multi.take() {
            Queued::Nothing => return self.fail(spec, "ERR EXEC without MULTI"),
            Queued::Broken => {
                self.multi.unwatch(&self.handle);
                return self.fail(spec, ABORTED);
            }
            Queued::Commands(commands) => commands,
        };
        if self.multi.trip().is_set() {
            self.multi.unwatch(&self.handle);
            self.reply().null_array();
            return ControlFlow::Continue(());
        }
        let watched = self.multi.watches().iter().map(|(slot, ..)| *slot);
        let slots: BTreeSet<SlotId> = commands.iter().flat_map(Encoded::slots).chain(watched).collect();
        if slots.len() > 1 && !self.handle.may_cross_slots() {
            self.multi.unwatch(&self.handle);
            return self.fail(spec, CROSS_SLOT);
        }
        let wants = wants_of(&commands, slots.iter().copied(), &self.handle);
        if wants.keys().all(|shard| *shard == self.handle.id) {
            return self.exec_here(now, spec, commands, &slots.into_iter().collect::<Vec<_>>());
        }
        ControlFlow::Break(Pause::Work(Work::Exec(commands)))
    }

    /// EXEC where all keys are of this shard: nobody comes in between.
    fn exec_here(
        &mut self,
        now: Now,
        spec: &'static CommandSpec,
        commands: Vec<Encoded>,
        slots: &[SlotId],
    ) -> ControlFlow<Pause> {
        let handle = self.handle.clone();
        let write = commands.iter().any(|command| is_write(command.spec));
        let bytes = commands.iter().map(Encoded::len_bytes).sum::<usize>();
        let mut core = handle.core.borrow_mut();
        if write && let Err(text) = handle.log_room(core.turn_log_bytes() + bytes) {
            drop(core);
            self.multi.unwatch(&handle);
            return self.fail(spec, &format!("EXECABORT Transaction discarded because of: {text}"));
        }
        let start = self.batch.out.len();
        let (multi, session, out) = (&self.multi, &mut self.session, &mut self.batch.out);
        let room = |bytes| handle.log_room(bytes);
        let executed = core.transact(now, slots, write, room, |core| {
            core.expire_watched(now, multi.watches());
            if multi.trip().is_set() {
                return ReplyWriter::new(out, session.version).null_array();
            }
            ReplyWriter::new(out, session.version).array(commands.len());
            for command in &commands {
                handle.metrics.command(command.spec.id);
                let at = out.len();
                match command.with_argv(|argv| command.spec.place_for(argv)) {
                    Place::Connection | Place::Transaction => run_queued(command, session, &handle, out, now),
                    _ => {
                        let command = command.in_database(session.database);
                        if let Err(refusal) = command.execute(core, now, session.version, out, &room) {
                            ReplyWriter::new(out, session.version).error(&refusal.into_text());
                        }
                    }
                }
                if out.get(at) == Some(&b'-') {
                    handle.metrics.command_failed(command.spec.id, &out[at..]);
                }
            }
        });
        drop(core);
        match executed {
            Ok(((), holds)) => {
                holds.into_iter().for_each(|hold| self.batch.hold(hold, start));
                self.multi.unwatch(&handle);
                if self.session.closing {
                    ControlFlow::Break(Pause::Close)
                } else {
                    ControlFlow::Continue(())
                }
            }
            Err(refusal) => {
                let waits = self.refused(spec, refusal, now);
                if waits.is_break() {
                    self.multi.reopen(commands);
                } else {
                    self.multi.unwatch(&handle);
                }
                waits
            }
        }
    }

    /// A command that may have to wait.
    pub(super) fn run_blocking(
        &mut self,
        now: Now,
        spec: &'static CommandSpec,
        slot: SlotId,
        argv: Argv<'_>,
    ) -> ControlFlow<Pause> {
        let timeout_ms = match block_timeout_ms(spec, argv) {
            Ok(timeout_ms) => timeout_ms,
            Err(error) => return self.fail(spec, &error.to_string()),
        };
        if !scatter::one_slot(spec, argv, slot) && !self.handle.may_cross_slots() {
            return self.refuse(spec, CROSS_SLOT);
        }
        let command = Encoded::of(spec, self.session.database, argv);
        let mut waits_here = None;
        if slots_of(spec, argv).iter().all(|slot| self.handle.owner(*slot) == self.handle.id) {
            let handle = self.handle.clone();
            let (start, version) = (self.batch.out.len(), self.session.version);
            let room = |bytes| handle.log_room(bytes);
            let mut core = handle.core.borrow_mut();
            let result = command.execute(&mut core, now, version, &mut self.batch.out, &room);
            let is_done = match result {
                Ok(_) if is_nothing(&command, &self.batch.out[start..], version) => {
                    let mut wait = Wait::new();
                    wait.begin_here(&handle, &mut core, self.session.id, command.clone(), version);
                    waits_here = Some(wait);
                    self.batch.out.truncate(start);
                    None
                }
                Ok(holds) => {
                    holds.into_iter().for_each(|hold| self.batch.hold(hold, start));
                    Some(Ok(()))
                }
                Err(refusal) => Some(Err(refusal)),
            };
            drop(core);
            if let Some(result) = is_done {
                return self.answer(spec, result, now, start);
            }
            self.parked_since_ns = None;
        }
        ControlFlow::Break(Pause::Work(Work::Block(Block { command, timeout_ms, waits_here })))
    }

    /// Does what takes more than a batch, and appends its reply. Breaks where the connection is to end.
    pub(super) async fn do_work<R: Runtime>(&mut self, work: Work, input: &mut Input<R>) -> ControlFlow<()> {
        let (handle, version) = (self.handle.clone(), self.session.version);
        let result = match work {
            Work::Command(command) => {
                handle.metrics.command(command.spec.id);
                execute_alone(&handle, version, &command).await
            }
            Work::Look(command) => look_everywhere(&handle, version, &command).await,
            Work::Watch(new, trip) => self.watch_across(new, trip).await.map_err(Failure::from),
            Work::Exec(commands) => {
                let result = self.exec_across(&commands).await;
                self.multi.unwatch(&handle);
                result
            }
            Work::Block(block) => {
                match blocking::wait::<R>(&handle, &self.session.client, version, block, input).await {
                    Waited::Reply(reply) => Ok(reply),
                    Waited::Over => return ControlFlow::Break(()),
                }
            }
        };
        let Some(reply) = result.map_or_else(|failure| failure_reply(failure, version), Some) else {
            return ControlFlow::Break(());
        };
        let mark = self.batch.mark();
        self.batch.out.extend_from_slice(&reply);
        if !self.wants_replies() {
            self.batch.mute_since(mark);
        }
        if self.session.closing { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    async fn watch_across(&mut self, new: Vec<KeyPlace>, trip: Trip) -> Result<Vec<u8>, Stopped> {
        for (shard, watched) in self.by_shard(new) {
            let trip = trip.clone();
            let watch = self.handle.on_shard(shard, move |handle| {
                handle.core.borrow_mut().watch(handle.now(), &watched, &trip);
            });
            watch.await?;
        }
        Ok(b"+OK\r\n".to_vec())
    }

    fn by_shard(
        &self,
        watched: Vec<KeyPlace>,
    ) -> std::collections::BTreeMap<carousel_protocol::ShardId, Vec<KeyPlace>> {
        let mut by_shard = std::collections::BTreeMap::<_, Vec<_>>::new();
        for one in watched {
            by_shard.entry(self.handle.owner(one.0)).or_default().push(one);
        }
        by_shard
    }

    /// EXEC over several shards, or on another one.
    async fn exec_across(&mut self, commands: &[Encoded]) -> Result<Vec<u8>, Failure> {
        let (handle, version) = (self.handle.clone(), self.session.version);
        let watched = self.multi.watches().iter().map(|(slot, ..)| *slot).collect::<Vec<_>>();
        let wants = wants_of(commands, watched, &handle);
        let write = commands.iter().any(|command| is_write(command.spec));
        let bytes = write.then(|| commands.iter().map(Encoded::len_bytes).sum());
        let mut coordinator = match Coordinator::lock(&handle, version, wants, bytes).await {
            Err(Failure::Refused(Refusal::Answer(text))) if text.starts_with("MISCONF") => {
                let text = format!("EXECABORT Transaction discarded because of: {text}");
                return Err(Failure::Refused(Refusal::Answer(text)));
            }
            other => other?,
        };
        for (shard, watched) in self.by_shard(self.multi.watches().to_vec()) {
            let looked =
                coordinator.act(shard, move |handle, core| core.expire_watched(handle.now(), &watched));
            looked.await?;
        }
        let mut out = Vec::new();
        if self.multi.trip().is_set() {
            ReplyWriter::new(&mut out, version).null_array();
        } else {
            ReplyWriter::new(&mut out, version).array(commands.len());
            for command in commands {
                match command.with_argv(|argv| command.spec.place_for(argv)) {
                    Place::Connection | Place::Transaction => {
                        handle.metrics.command(command.spec.id);
                        run_queued(command, &mut self.session, &handle, &mut out, handle.now());
                    }
                    _ => {
                        let command = command.in_database(self.session.database);
                        out.extend(coordinator.execute(&command).await?);
                    }
                }
            }
        }
        Ok(coordinator.finish().await?.err().unwrap_or(out))
    }
}

/// A queued command that needs no shard.
fn run_queued(
    command: &Encoded,
    session: &mut crate::command::session::Session,
    handle: &crate::shard::drive::ShardHandle,
    out: &mut Vec<u8>,
    now: Now,
) {
    let mut reply = ReplyWriter::new(out, session.version);
    match command.spec.id {
        // EXEC is about to do that.
        CommandId::Unwatch => reply.ok(),
        _ => {
            command.with_argv(|argv| {
                run_connection_command(command.spec, argv, session, &handle.node, &mut reply, now)
            });
        }
    }
}
