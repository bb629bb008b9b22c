//! MULTI, EXEC, DISCARD, WATCH and UNWATCH of a connection: queueing commands, and executing them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use carousel_protocol::SlotId;
use carousel_protocol::command_table::{CommandId, CommandSpec, Place};
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::coordinate::{Coordinator, Failure, Wants, is_write, wants, wants_all};
use super::multi::Queued;
use super::scatter;
use super::serve::{Connection, Pause};
use super::watch::tell_monitors;
use super::work::Work;
use crate::Now;
use crate::command::session::{Session, run_connection_command, wrong_subcommand};
use crate::command::{KeyPlace, Trip};
use crate::shard::Refusal;
use crate::shard::drive::{ShardHandle, Stopped};
use crate::shard::encoded::{Encoded, slots_of};

const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";

/// What EXEC answers when the reason is its own, not that of a command before.
fn aborted_because(text: &str) -> String {
    format!("EXECABORT Transaction discarded because of: {}", text.strip_prefix("ERR ").unwrap_or(text))
}

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
                return self.refuse(spec, scatter::CROSS_SLOT);
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
        let text = aborted_because(text);
        self.handle.metrics.command_rejected(spec.id, text.as_bytes());
        self.reply().error(&text);
        ControlFlow::Continue(())
    }

    /// An error of a command that was executed, as far as it can be.
    pub(super) fn fail(&mut self, spec: &CommandSpec, text: &str) -> ControlFlow<Pause> {
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
            return self.fail(spec, scatter::CROSS_SLOT);
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
            return self.fail(spec, scatter::CROSS_SLOT);
        }
        let wants = wants(slots.iter().copied(), commands.iter().any(wants_all), &self.handle);
        if wants.keys().all(|shard| *shard == self.handle.id) {
            return self.exec_here(now, spec, commands, &slots.into_iter().collect::<Vec<_>>());
        }
        ControlFlow::Break(Pause::Work(Work::Exec(commands, wants)))
    }

    /// EXEC where all keys are of this shard: nobody comes in between.
    fn exec_here(
        &mut self,
        now: Now,
        spec: &'static CommandSpec,
        mut commands: Vec<Encoded>,
        slots: &[SlotId],
    ) -> ControlFlow<Pause> {
        let handle = self.handle.clone();
        let write = commands.iter().any(|command| is_write(command.spec));
        let bytes = commands.iter().map(Encoded::len_bytes).sum::<usize>();
        let mut core = handle.core.borrow_mut();
        if write && let Err(text) = handle.log_room(core.turn_log_bytes() + bytes) {
            drop(core);
            self.multi.unwatch(&handle);
            return self.fail(spec, &aborted_because(text));
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
            for command in &mut commands {
                handle.metrics.command(command.spec.id);
                let at = out.len();
                match command.with_argv(|argv| command.spec.place_for(argv)) {
                    Place::Connection | Place::Transaction => run_queued(command, session, &handle, out, now),
                    _ => {
                        command.database = session.database;
                        if let Err(refusal) = command.execute(core, now, session.version, out, &room) {
                            ReplyWriter::new(out, session.version).error(&refusal.into_text());
                        }
                    }
                }
                handle.metrics.command_answered(command.spec.id, &out[at..]);
                show(&handle, session, command);
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

    pub(super) async fn watch_across(&mut self, new: Vec<KeyPlace>, trip: Trip) -> Result<Vec<u8>, Stopped> {
        for (shard, watched) in scatter::by_shard(&self.handle, new, |(slot, ..)| *slot) {
            let trip = trip.clone();
            let watch = self.handle.on_shard(shard, move |handle| {
                handle.core.borrow_mut().watch(handle.now(), &watched, &trip);
            });
            watch.await?;
        }
        Ok(b"+OK\r\n".to_vec())
    }

    /// EXEC over several shards, or on another one.
    pub(super) async fn exec_across(
        &mut self,
        mut commands: Vec<Encoded>,
        wants: Wants,
    ) -> Result<Vec<u8>, Failure> {
        let (handle, version) = (self.handle.clone(), self.session.version);
        let write = commands.iter().any(|command| is_write(command.spec));
        let bytes = write.then(|| commands.iter().map(Encoded::len_bytes).sum());
        let mut coordinator = match Coordinator::lock(&handle, version, wants, bytes).await {
            Err(Failure::Refused(Refusal::Answer(text))) if text.starts_with("MISCONF") => {
                return Err(Failure::Refused(Refusal::Answer(aborted_because(&text))));
            }
            other => other?,
        };
        let watches = self.multi.watches().iter().cloned();
        for (shard, watched) in scatter::by_shard(&handle, watches, |(slot, ..)| *slot) {
            let looked =
                coordinator.act(shard, move |handle, core| core.expire_watched(handle.now(), &watched));
            looked.await?;
        }
        let mut out = Vec::new();
        if self.multi.trip().is_set() {
            ReplyWriter::new(&mut out, version).null_array();
        } else {
            ReplyWriter::new(&mut out, version).array(commands.len());
            for command in &mut commands {
                handle.metrics.command(command.spec.id);
                let at = out.len();
                match command.with_argv(|argv| command.spec.place_for(argv)) {
                    Place::Connection | Place::Transaction => {
                        run_queued(command, &mut self.session, &handle, &mut out, handle.now());
                    }
                    _ => {
                        command.database = self.session.database;
                        out.extend(coordinator.execute(command).await?);
                    }
                }
                handle.metrics.command_answered(command.spec.id, &out[at..]);
                show(&handle, &self.session, command);
            }
        }
        show(&handle, &self.session, &Encoded::command(self.session.database, &[b"EXEC"]));
        Ok(coordinator.finish().await?.err().unwrap_or(out))
    }
}

/// Shows an executed command to those who have said MONITOR, and parses it for that only where there are any.
fn show(handle: &ShardHandle, session: &Session, command: &Encoded) {
    if !handle.node.monitors.is_empty() {
        command.with_argv(|argv| tell_monitors(handle, session, command.spec, argv, handle.now()));
    }
}

/// A queued command that needs no shard.
fn run_queued(command: &Encoded, session: &mut Session, handle: &ShardHandle, out: &mut Vec<u8>, now: Now) {
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
