//! What surrounds the execution of a request: who is told of it and of how long it took, whether it has to wait because
//! clients are paused, and whether its reply is wanted at all.

use std::ops::ControlFlow;

use carousel_protocol::command_table::{CommandId, CommandSpec, Flags};
use carousel_protocol::resp::{Argv, RequestParser};

use super::meter::TimingSettings;
use super::multi::is_never_queued;
use super::serve::{Connection, Pause};
use super::window::{Ahead, Window};
use super::work::Work;
use crate::Now;
use crate::command::session::{Replies, Session};
use crate::command::{debug_refusal, monitor_line};
use crate::metrics::{PauseKind, SlowEntry, shown_args};
use crate::shard::drive::ShardHandle;

impl Connection {
    /// The requests of the window before `end` that are not timed yet have been executed.
    #[inline]
    pub(super) fn time(&mut self, window: &Window, end: usize, parser: &RequestParser, input: &[u8]) {
        if self.meter.is_empty() {
            return;
        }
        let now = self.handle.now();
        if let Some((from, spent_ns)) = self.meter.stop(end, now.mono_ns, &self.handle.metrics) {
            self.note_long(self.meter.settings, window, from..end, parser, input, (now, spent_ns));
        }
    }

    /// The request `n` of the window is about to be executed; returns whether it is to be timed for itself.
    #[inline]
    pub(super) fn begin_request(
        &mut self,
        window: &Window,
        n: usize,
        parser: &RequestParser,
        input: &[u8],
    ) -> bool {
        let spec = window.ahead(n).spec;
        if self.meter.joins(spec) {
            return false;
        }
        self.time(window, n, parser, input);
        self.meter.start(spec.expect("what is no command joins"))
    }

    /// Notes what took long: of requests that were timed together the one with the most bytes.
    #[cold]
    fn note_long(
        &self,
        settings: TimingSettings,
        window: &Window,
        range: std::ops::Range<usize>,
        parser: &RequestParser,
        input: &[u8],
        (now, spent_ns): (Now, u64),
    ) {
        let known = range.filter(|n| window.ahead(*n).spec.is_some());
        let Some(n) = known.max_by_key(|n| window.ahead(*n).bytes()) else { return };
        let (request, argv) = window.get(parser, input, n);
        let spec = request.spec.expect("only known ones are looked at");
        note_slow(&self.handle, settings, spec, argv, (now, spent_ns), || {
            (self.session.client.addr.to_string(), self.session.client.names().name.clone())
        });
    }

    /// Looks whether requests are only to be executed and their replies sent. Once per window, and when the connection
    /// itself has changed what is asked here.
    #[inline]
    pub(super) fn look_around(&mut self, now: Now) {
        let node = &self.handle.node;
        self.is_plain = self.session.replies == Replies::On
            && self.session.monitor.is_none()
            && node.monitors.is_empty()
            && node.pause.kind(now.unix_ms).is_none();
    }

    /// A command has been executed on the connection itself, and may have changed what is to be done around the next ones.
    pub(super) fn after_own_command(&mut self, now: Now) {
        self.look_around(now);
        if let Some(duration) = self.session.standstill.take() {
            self.handle.stand_still(duration);
        }
    }

    /// Why the client may not have a command executed that no check of its row forbids.
    pub(super) fn refusal_of(&self, spec: &CommandSpec) -> Option<&'static str> {
        (spec.id == CommandId::Debug).then(|| debug_refusal(&self.session, &self.handle.node)).flatten()
    }

    /// Executes one request, with what is to be done around it.
    #[inline]
    pub(super) fn run_watched(&mut self, now: Now, request: Ahead, argv: Argv<'_>) -> ControlFlow<Pause> {
        if self.is_plain { self.run(now, request, argv) } else { self.run_specially(now, request, argv) }
    }

    #[cold]
    fn run_specially(&mut self, now: Now, request: Ahead, argv: Argv<'_>) -> ControlFlow<Pause> {
        let mut shown = None;
        if let Some(spec) = request.spec {
            if self.is_paused(spec, argv, now) {
                return ControlFlow::Break(Pause::Parked);
            }
            let is_served = spec.arity_ok(argv.len())
                && (self.session.authenticated || spec.flags.contains(Flags::NOAUTH));
            let is_data = spec.flags.contains(Flags::WRITE) || spec.flags.contains(Flags::READONLY);
            if is_served && is_data && self.session.monitor.is_some() {
                return self.refuse(spec, "ERR Replica can't interact with the keyspace");
            }
            // What is queued is shown when it is executed.
            let is_queued = self.multi.is_open() && !is_never_queued(spec);
            shown = (is_served && !is_queued).then_some(spec);
        }
        let (wanted, mark) = (self.session.replies, self.batch.mark());
        let flow = self.run(now, request, argv);
        if matches!(flow, ControlFlow::Break(Pause::Parked)) {
            return flow;
        }
        // As in Redis behind its execution: SELECT with the new database. (An EXEC over several shards shows itself.)
        let is_to_come = matches!(flow, ControlFlow::Break(Pause::Work(Work::Exec(..))));
        if let Some(spec) = shown.filter(|_| !is_to_come) {
            tell_monitors(&self.handle, &self.session, spec, argv, now);
        }
        match wanted {
            Replies::On => {}
            // CLIENT REPLY ON is answered.
            Replies::Off if self.session.replies == Replies::On => {}
            Replies::Off => self.batch.mute_since(mark),
            Replies::SkipNext => {
                self.batch.mute_since(mark);
                self.session.replies = Replies::On;
            }
        }
        flow
    }

    fn is_paused(&self, spec: &CommandSpec, argv: Argv<'_>, now: Now) -> bool {
        match self.handle.node.pause.kind(now.unix_ms) {
            None => false,
            Some(PauseKind::Writes) => {
                spec.flags.contains(Flags::WRITE) || spec.id == CommandId::Exec && self.multi.writes()
            }
            // Whoever paused all clients can change their mind.
            Some(PauseKind::All) => {
                spec.id != CommandId::Client
                    || argv.len() < 2
                    || !argv.get(1).eq_ignore_ascii_case(b"UNPAUSE")
                        && !argv.get(1).eq_ignore_ascii_case(b"PAUSE")
            }
        }
    }

    /// The reply to what the control thread has answered, unless it is not wanted.
    pub(super) fn wants_replies(&self) -> bool {
        self.session.replies == Replies::On
    }
}

/// Shows a command to those who have said MONITOR.
#[inline]
pub(super) fn tell_monitors(
    handle: &ShardHandle,
    session: &Session,
    spec: &CommandSpec,
    argv: Argv<'_>,
    now: Now,
) {
    let monitors = &handle.node.monitors;
    if !monitors.is_empty()
        && let Some(line) = monitor_line(spec, argv, session, now)
    {
        monitors.feed(&line);
    }
}

/// Notes a command in the slow log and as a spike, where it took that long.
#[cold]
pub(super) fn note_slow(
    handle: &ShardHandle,
    settings: TimingSettings,
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    (now, spent_ns): (Now, u64),
    client: impl FnOnce() -> (String, String),
) {
    let (micros, unix_s) = (spent_ns / 1000, now.unix_ms / 1000);
    if settings.slow_micros.is_some_and(|least| micros >= least) {
        let (addr, name) = client();
        let entry = SlowEntry { id: 0, unix_s, micros, args: shown_args(spec, argv), addr, name };
        handle.node.slowlog.push(entry, settings.slow_entries);
    }
    if settings.spike_ms.is_some_and(|least| micros / 1000 >= least) {
        let event = if spec.flags.contains(Flags::FAST) { "fast-command" } else { "command" };
        handle.node.latency.note(event, unix_s, micros / 1000);
    }
}
