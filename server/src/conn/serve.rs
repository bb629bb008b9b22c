//! The loop of one connection.

use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::rc::Rc;
use std::sync::Arc;

use carousel_protocol::command_table::{CommandId, CommandSpec, Flags, Place};
use carousel_protocol::resp::{Argv, Limits, ReplyWriter, RequestParser};
use carousel_protocol::{ShardId, SlotId};

use super::batch::{Batch, Settled};
use super::coordinate::is_write;
use super::input::Input;
use super::meter::Meter;
use super::multi::{Multi, is_never_queued};
use super::push;
use super::window::{Ahead, Window, WindowEnd};
use super::work::Work;
use super::{cross, scatter};
use crate::command::WaitAof;
use crate::command::session::{Session, run_connection_command};
use crate::control::ControlRequest;
use crate::runtime::hang_up::HangUp;
use crate::runtime::{Runtime, Stream, Writer};
use crate::shard::drive::ShardHandle;
use crate::shard::encoded::{Encoded, slots_of};
use crate::shard::{Refusal, Request};
use crate::{Now, limits};

/// Redis' words: clients know them.
pub(crate) const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// Why a batch ended before its input did.
pub(super) enum Pause {
    /// The rest of a request is missing; at least so many bytes.
    NeedInput(usize),
    /// The replies are many: the client should read before more are made for it.
    Full,
    /// The next request has to wait for its slot.
    Parked,
    /// The last request is answered by the control thread.
    Control(ControlRequest),
    /// The last request is answered when the logs are synced.
    Sync(WaitAof),
    /// The last request takes more than this shard, or time.
    Work(Work),
    /// Nothing more is read from this client.
    Close,
}

/// Serves a client until it goes, is told to go, or breaks the protocol.
pub async fn serve<R: Runtime>(handle: Rc<ShardHandle>, stream: R::Stream, session: Session) {
    let mut connection = Connection::new(handle.clone(), session);
    serve_requests::<R>(&mut connection, stream).await;
    connection.multi.unwatch(&handle);
}

async fn serve_requests<R: Runtime>(connection: &mut Connection, stream: R::Stream) {
    let (socket, line) = (stream.as_fd().as_raw_fd(), Arc::new(HangUp::default()));
    let (reader, mut writer) = stream.split();
    let mut input = Input::<R>::new(reader);
    // SAFETY: the socket is open until both halves are dropped, and what is declared last is dropped first.
    let _open = unsafe { line.open(socket) };
    // CLIENT KILL: this task wakes by itself when the connection ends.
    let killed = line.clone();
    connection.session.client.wake_with(move || killed.hang_up());
    loop {
        let pause = connection.run_batch();
        if !connection.batch.is_settled() {
            let asked = connection.batch.asked();
            connection.wait_until_settled().await;
            connection.fit_asking(asked);
        }
        if !connection.batch.out.is_empty() {
            if !connection.begin_output() {
                return;
            }
            let (result, buffer) = writer.write_all(std::mem::take(&mut connection.batch.out)).await;
            if result.is_err() {
                return;
            }
            connection.end_output();
            connection.recycle(buffer);
        }
        match pause {
            Pause::NeedInput(more) => {
                let buffer = connection.input_with_room(more);
                let (result, buffer) = match &connection.session.monitor {
                    None => input.read(buffer).await,
                    Some(monitor) => {
                        push::read_and_push(&mut input, &mut writer, buffer, monitor.feed()).await
                    }
                };
                connection.input = buffer;
                match result {
                    Ok(bytes @ 1..) => {
                        connection.fit_room(bytes);
                        connection.handle.metrics.reads.add(1);
                        connection.handle.metrics.net_in_bytes.add(bytes as u64);
                        if !connection.may_keep_input() {
                            return;
                        }
                    }
                    Ok(0) | Err(_) => return,
                }
            }
            Pause::Full => {}
            Pause::Parked => {
                connection.handle.metrics.blocked_clients.add(1);
                connection.handle.news().await;
                connection.handle.metrics.blocked_clients.sub(1);
                if connection.session.client.is_killed() {
                    return;
                }
            }
            Pause::Work(work) => {
                if Box::pin(connection.do_work(work, &mut input)).await.is_break() {
                    return;
                }
            }
            Pause::Control(request) => {
                if connection.ask_control(request).await.is_break() {
                    return;
                }
            }
            Pause::Sync(wait) => connection.wait_for_sync::<R>(wait).await,
            Pause::Close => {
                // The client may not have read its error yet; a close with unread input would reset it away.
                let _ = writer.shutdown().await;
                return;
            }
        }
    }
}

fn parser_limits(handle: &ShardHandle) -> Limits {
    Limits { bulk_bytes_max: handle.bulk_bytes_max(), ..Limits::default() }
}

pub(super) struct Connection {
    pub(super) handle: Rc<ShardHandle>,
    pub(super) session: Session,
    pub(super) multi: Multi,
    pub(super) input: Vec<u8>,
    /// Bytes of `input` that are done with.
    pub(super) done: usize,
    /// Room to make for the next read: more for a client that fills what it gets, so that it costs fewer rounds.
    room: usize,
    /// Taken out while a batch is run.
    parser: Option<RequestParser>,
    window: Window,
    pub(super) batch: Batch,
    /// Requests of a batch that other shards may be asked; see [`Self::fit_asking`].
    pub(super) asked_max: usize,
    pub(super) meter: Meter,
    /// Requests are to be executed, their replies sent, and nothing else; see [`Self::look_around`].
    pub(super) is_plain: bool,
    last_command: Option<CommandId>,
    /// Since when the next request waits, monotonic.
    pub(super) parked_since_ns: Option<u64>,
}

impl Connection {
    fn new(handle: Rc<ShardHandle>, session: Session) -> Self {
        let parser = RequestParser::new(parser_limits(&handle));
        Self {
            handle,
            session,
            multi: Multi::default(),
            input: Vec::new(),
            done: 0,
            room: limits::READ_BYTES_MIN,
            parser: Some(parser),
            window: Window::default(),
            batch: Batch::default(),
            asked_max: limits::ASKED_MIN,
            meter: Meter::default(),
            is_plain: true,
            last_command: None,
            parked_since_ns: None,
        }
    }

    /// The input buffer with room for at least `more` further bytes, or for a part of them: a request that
    /// announces hundreds of megabytes gets memory as it sends them.
    fn input_with_room(&mut self, more: usize) -> Vec<u8> {
        let mut input = std::mem::take(&mut self.input);
        if self.done == input.len() {
            input.clear();
            if input.capacity() > limits::CONNECTION_BUFFER_BYTES_KEPT {
                input = Vec::new();
            }
        } else if self.done > 0 {
            input.drain(..self.done);
        }
        self.done = 0;
        let room = more.clamp(self.room, limits::READ_BYTES_MAX.max(input.len()));
        if input.capacity() - input.len() < room.min(self.room) {
            input.reserve(room);
        }
        input
    }

    /// Fits the room for the next read to the last, of `bytes`.
    fn fit_room(&mut self, bytes: usize) {
        if self.input.len() == self.input.capacity() {
            self.room = (2 * self.room).min(limits::CONNECTION_BUFFER_BYTES_KEPT);
        } else if bytes < limits::READ_BYTES_MIN / 2 {
            self.room = limits::READ_BYTES_MIN;
        }
    }

    /// Keeps the output buffer for the next batch, unless it has grown.
    fn recycle(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= limits::CONNECTION_BUFFER_BYTES_KEPT {
            buffer.clear();
            self.batch.out = buffer;
        }
    }

    /// Executes requests until the input ends, one must wait, or the batch is full.
    fn run_batch(&mut self) -> Pause {
        self.handle.refresh_settings();
        let now = self.handle.now();
        // Taken out for the time of the batch, so that requests can borrow from them.
        let input = std::mem::take(&mut self.input);
        let (mut parser, mut window) =
            (self.parser.take().expect("put back after each batch"), std::mem::take(&mut self.window));
        let pause = self.run_windows(now, &input, &mut parser, &mut window);
        if matches!(pause, Pause::Parked | Pause::Control(_) | Pause::Sync(_) | Pause::Work(_) | Pause::Full)
        {
            // It has been ahead of where the next batch begins.
            parser = RequestParser::new(parser_limits(&self.handle));
        }
        parser.set_limits(parser_limits(&self.handle));
        (self.input, self.parser, self.window) = (input, Some(parser), window);
        if let Some(id) = self.last_command {
            self.session.client.note(now, id);
        }
        self.send_errands();
        self.handle.end_batch();
        pause
    }

    fn run_windows(
        &mut self,
        now: Now,
        input: &[u8],
        parser: &mut RequestParser,
        window: &mut Window,
    ) -> Pause {
        self.meter.begin(now.mono_ns, self.handle.timing());
        loop {
            parser.set_authenticated(self.session.authenticated);
            self.look_around(now);
            self.meter.next_window();
            let end = window.parse(parser, input, self.done, !self.session.authenticated);
            {
                let core = self.handle.core.borrow();
                window.prefetch(input, &core, self.session.database, |slot| {
                    self.handle.owner(slot) == self.handle.id
                });
            }
            for n in 0..window.len() {
                let (request, argv) = window.get(parser, input, n);
                let is_apart = self.begin_request(window, n, parser, input);
                if !argv.is_empty()
                    && let ControlFlow::Break(pause) = self.run_watched(now, request, argv)
                {
                    if matches!(pause, Pause::Parked) {
                        self.meter.is_not_here();
                    } else {
                        self.done = request.end;
                    }
                    self.time(window, n + 1, parser, input);
                    return pause;
                }
                self.done = request.end;
                if is_apart {
                    self.time(window, n + 1, parser, input);
                }
                if self.is_full() {
                    self.time(window, n + 1, parser, input);
                    return Pause::Full;
                }
            }
            self.time(window, window.len(), parser, input);
            match end {
                WindowEnd::NeedInput(more) => return Pause::NeedInput(more),
                WindowEnd::Malformed(error) => {
                    let start = self.batch.out.len();
                    ReplyWriter::new(&mut self.batch.out, self.session.version).protocol_error(&error);
                    self.handle.metrics.error(&self.batch.out[start..]);
                    return Pause::Close;
                }
                WindowEnd::Full => {}
            }
        }
    }

    /// Executes one request.
    #[inline]
    pub(super) fn run(&mut self, now: Now, request: Ahead, argv: Argv<'_>) -> ControlFlow<Pause> {
        let Some(spec) = request.spec else {
            return self.unknown_command(argv);
        };
        if !spec.arity_ok(argv.len()) {
            let name = spec.name.to_ascii_lowercase();
            return self.reject(spec, &format!("ERR wrong number of arguments for '{name}' command"));
        }
        if !self.session.authenticated && !spec.flags.contains(Flags::NOAUTH) {
            return self.reject(spec, "NOAUTH Authentication required.");
        }
        if self.handle.is_loading() && !spec.flags_for(argv).contains(Flags::LOADING) {
            return self.reject(spec, LOADING);
        }
        self.last_command = Some(spec.id);
        if self.multi.is_open() && !is_never_queued(spec) {
            return self.queue(spec, request.slot, argv);
        }
        self.handle.metrics.command(spec.id);
        match (spec.place_for(argv), request.slot) {
            // SORT_RO has one key, and looks at others by its patterns.
            (Place::Key, Some(slot)) if spec.keys.is_one() && spec.id != CommandId::SortRo => {
                self.run_on_slot(now, spec, slot, argv)
            }
            (Place::Key, Some(slot)) => self.run_on_keys(now, spec, slot, argv),
            // Without a key, as a malformed OBJECT, nothing routes it: any shard knows the answer.
            (Place::Key, None) => self.run_on_slot(now, spec, self.handle.first_slot(), argv),
            (Place::Slot, _) => self.run_on_shard(now, spec, argv),
            (Place::AllShards, _) if self.handle.shard_count == 1 => self.run_on_shard(now, spec, argv),
            (Place::AllShards, _) => {
                let command = Encoded::of(spec, self.session.database, argv);
                ControlFlow::Break(Pause::Work(match is_write(spec) {
                    true => Work::Command(command),
                    false => Work::Look(command),
                }))
            }
            (Place::Blocking, slot) => {
                self.run_blocking(now, spec, slot.unwrap_or_else(|| self.handle.first_slot()), argv)
            }
            (Place::Transaction, _) => self.run_transaction(now, spec, argv),
            (Place::Connection, _) => self.run_here(now, spec, argv),
            (Place::Control, _) => match ControlRequest::parse(spec, argv) {
                Ok(request) => ControlFlow::Break(Pause::Control(request)),
                Err(text) => self.refuse(spec, &text),
            },
        }
    }

    /// Answers an error for what the command is, whatever its keys: an EXEC ends its transaction by that.
    #[cold]
    fn reject(&mut self, spec: &CommandSpec, text: &str) -> ControlFlow<Pause> {
        if spec.id == CommandId::Exec {
            return self.abort(spec, text);
        }
        self.refuse(spec, text)
    }

    /// Answers an error without having executed anything.
    #[cold]
    pub(super) fn refuse(&mut self, spec: &CommandSpec, text: &str) -> ControlFlow<Pause> {
        self.multi.refuse();
        self.handle.metrics.command_rejected(spec.id, text.as_bytes());
        ReplyWriter::new(&mut self.batch.out, self.session.version).error(text);
        ControlFlow::Continue(())
    }

    /// A command with one key.
    #[inline]
    fn run_on_slot(
        &mut self,
        now: Now,
        spec: &'static CommandSpec,
        slot: SlotId,
        argv: Argv<'_>,
    ) -> ControlFlow<Pause> {
        let owner = self.handle.owner(slot);
        if owner != self.handle.id {
            self.send_whole(owner, spec, slot, argv);
            return ControlFlow::Continue(());
        }
        self.run_request(now, self.request(spec, slot, argv))
    }

    #[inline]
    fn request<'a>(&self, spec: &'static CommandSpec, slot: SlotId, argv: Argv<'a>) -> Request<'a> {
        Request {
            spec,
            slot,
            argv,
            database: self.session.database,
            version: self.session.version,
            counts_as_use: self.session.counts_as_use,
        }
    }

    /// A command with several keys: of one slot, or on a lone node of any.
    fn run_on_keys(
        &mut self,
        now: Now,
        spec: &'static CommandSpec,
        slot: SlotId,
        argv: Argv<'_>,
    ) -> ControlFlow<Pause> {
        let alone = self.handle.shard_count == 1;
        let command = |argv| {
            ControlFlow::Break(Pause::Work(Work::Command(Encoded::of(spec, self.session.database, argv))))
        };
        if scatter::one_slot(spec, argv, slot) {
            if !alone && self.handle.may_cross_slots() && cross::looks_everywhere(spec, argv) {
                return command(argv);
            }
            return self.run_on_slot(now, spec, slot, argv);
        }
        if !self.handle.may_cross_slots() {
            return self.refuse(spec, scatter::CROSS_SLOT);
        }
        let slots = slots_of(spec, argv);
        let owner = self.handle.owner(slot);
        if !alone
            && (slots.iter().any(|slot| self.handle.owner(*slot) != owner)
                || cross::looks_everywhere(spec, argv))
        {
            return command(argv);
        }
        if owner != self.handle.id {
            self.send_whole(owner, spec, slot, argv);
            return ControlFlow::Continue(());
        }
        self.run_across(now, self.request(spec, slot, argv), &slots)
    }

    #[inline]
    fn run_request(&mut self, now: Now, request: Request<'_>) -> ControlFlow<Pause> {
        let (start, out) = (self.batch.out.len(), &mut self.batch.out);
        let room = |bytes| self.handle.log_room(bytes);
        let result = self.handle.core.borrow_mut().execute(now, request, out, room);
        let held = result.map(|hold| self.batch.hold(hold, start));
        self.answer(request.spec, held, now, start)
    }

    /// A command with keys of several slots, all of this shard.
    fn run_across(&mut self, now: Now, request: Request<'_>, slots: &[SlotId]) -> ControlFlow<Pause> {
        let (start, out) = (self.batch.out.len(), &mut self.batch.out);
        let room = |bytes| self.handle.log_room(bytes);
        let result = self.handle.core.borrow_mut().execute_across(now, request, slots, out, room);
        let held = result.map(|holds| holds.into_iter().for_each(|hold| self.batch.hold(hold, start)));
        self.answer(request.spec, held, now, start)
    }

    /// A command on a shard's own state, whoever leads its slots: SCAN, COUNTKEYSINSLOT.
    fn run_on_shard(&mut self, now: Now, spec: &'static CommandSpec, argv: Argv<'_>) -> ControlFlow<Pause> {
        if let Some(text) = self.refusal_of(spec) {
            return self.refuse(spec, text);
        }
        let owner = scatter::shard_of(spec, argv, self.handle.shard_count);
        let slot = self.handle.first_slot();
        if owner != self.handle.id {
            self.send_whole(owner, spec, slot, argv);
            return ControlFlow::Continue(());
        }
        let request = self.request(spec, slot, argv);
        let (start, out) = (self.batch.out.len(), &mut self.batch.out);
        let room = |bytes| self.handle.log_room(bytes);
        let result = self.handle.core.borrow_mut().execute_on_any(now, request, out, room);
        let held = result.map(|holds| holds.into_iter().for_each(|hold| self.batch.hold(hold, start)));
        self.answer(spec, held, now, start)
    }

    /// What becomes of a request that was executed, with its reply from `start` on, or refused.
    #[inline]
    pub(super) fn answer(
        &mut self,
        spec: &'static CommandSpec,
        result: Result<(), Refusal>,
        now: Now,
        start: usize,
    ) -> ControlFlow<Pause> {
        match result {
            Ok(()) => self.handle.metrics.command_answered(spec.id, &self.batch.out[start..]),
            Err(refusal) => return self.refused(spec, refusal, now),
        }
        self.parked_since_ns = None;
        ControlFlow::Continue(())
    }

    /// A shard refused a request: it is parked, or gets its error.
    #[cold]
    pub(super) fn refused(&mut self, spec: &CommandSpec, refusal: Refusal, now: Now) -> ControlFlow<Pause> {
        let waits = match refusal {
            Refusal::Locked => true,
            Refusal::Park(_) => {
                let since = *self.parked_since_ns.get_or_insert(now.mono_ns);
                now.mono_ns < since + self.handle.park_ns()
            }
            _ => false,
        };
        if waits {
            // It is counted when it is its turn.
            self.handle.metrics.command_parked(spec.id);
            return ControlFlow::Break(Pause::Parked);
        }
        self.parked_since_ns = None;
        self.refuse(spec, &refusal.into_text())
    }

    /// A command of one other shard, whose first key is of `slot` if it has any.
    fn send_whole(&mut self, owner: ShardId, spec: &'static CommandSpec, slot: SlotId, argv: Argv<'_>) {
        let Self { handle, session, .. } = self;
        let (database, version) = (session.database, session.version);
        self.batch.send_along(
            owner,
            || handle.new_errand(session.id, session.counts_as_use),
            |errand| errand.add(spec, slot, database, version, argv),
        );
        // It is timed there.
        self.meter.is_not_here();
    }

    /// A command that needs only the connection and what the node publishes.
    fn run_here(&mut self, now: Now, spec: &'static CommandSpec, argv: Argv<'_>) -> ControlFlow<Pause> {
        let start = self.batch.out.len();
        let mut reply = ReplyWriter::new(&mut self.batch.out, self.session.version);
        run_connection_command(spec, argv, &mut self.session, &self.handle.node, &mut reply, now);
        self.handle.metrics.command_answered(spec.id, &self.batch.out[start..]);
        self.after_own_command(now);
        if let Some(wait) = self.session.wait_aof.take() {
            return ControlFlow::Break(Pause::Sync(wait));
        }
        if spec.id == CommandId::Reset {
            self.multi.discard();
            self.session.client.set_queued(None);
            self.multi.unwatch(&self.handle);
        }
        if self.session.closing { ControlFlow::Break(Pause::Close) } else { ControlFlow::Continue(()) }
    }

    fn unknown_command(&mut self, argv: Argv<'_>) -> ControlFlow<Pause> {
        // A browser made to talk to this port begins so: nothing that follows is meant for us. As Redis does.
        if argv.get(0).eq_ignore_ascii_case(b"POST") || argv.get(0).eq_ignore_ascii_case(b"Host:") {
            return ControlFlow::Break(Pause::Close);
        }
        // As Redis: at most 128 bytes of the name and of all arguments together.
        let text =
            |bytes: &[u8], room: usize| String::from_utf8_lossy(&bytes[..bytes.len().min(room)]).into_owned();
        let name = text(argv.get(0), 128);
        let mut rest = String::new();
        for arg in argv.iter().skip(1) {
            if rest.len() >= 128 {
                break;
            }
            let room = 128 - rest.len();
            rest.push_str(&format!("'{}' ", text(arg, room)));
        }
        self.multi.refuse();
        let text = format!("ERR unknown command '{name}', with args beginning with: {rest}");
        self.handle.metrics.error(text.as_bytes());
        ReplyWriter::new(&mut self.batch.out, self.session.version).error(&text);
        ControlFlow::Continue(())
    }

    fn send_errands(&mut self) {
        for sent in &mut self.batch.errands {
            let errand = sent.errand.take().expect("errands leave when the batch ends");
            self.handle.send_errand(sent.shard, errand);
        }
    }

    async fn wait_until_settled(&mut self) {
        // From when it is found to wait on: a batch may have taken longer than a hold may.
        let (mut deadline_ns, mut overdue) = (None, false);
        loop {
            let settled = self.batch.settle(&self.handle.core.borrow(), overdue);
            match settled {
                Settled::Yes => {
                    let done = self.batch.errands.drain(..).filter_map(|sent| sent.errand);
                    done.for_each(|errand| self.handle.keep_errand(errand));
                    return;
                }
                Settled::Held => {
                    let now_ns = self.handle.now().mono_ns;
                    overdue = now_ns >= *deadline_ns.get_or_insert(now_ns + self.handle.hold_ns());
                    if !overdue {
                        self.handle.news().await;
                    }
                }
                Settled::Unanswered => {
                    let (shard, errand) = self.handle.errand_back(self.session.id).await;
                    let sent = self.batch.errands.iter_mut().find(|sent| sent.shard == shard);
                    sent.expect("only asked shards answer").errand = Some(errand);
                }
            }
        }
    }

    /// Answers with what the control thread says; a node that is stopping ends the connection without a reply, as Redis
    /// does for SHUTDOWN.
    async fn ask_control(&mut self, request: ControlRequest) -> ControlFlow<()> {
        let is_status = request.answers_status();
        let Some(answer) = self.handle.ask_control(request).await else { return ControlFlow::Break(()) };
        let mark = self.batch.mark();
        let mut reply = ReplyWriter::new(&mut self.batch.out, self.session.version);
        match answer {
            Ok(status) if is_status => reply.simple(&status),
            Ok(json) => reply.bulk(json.as_bytes()),
            Err(text) => {
                self.handle.metrics.error(text.as_bytes());
                reply.error(&text);
            }
        }
        if !self.wants_replies() {
            self.batch.mute_since(mark);
        }
        ControlFlow::Continue(())
    }
}
