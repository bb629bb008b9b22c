//! Drives a shard: the tasks of its thread and what they share.
//!
//! * one task per client ([`crate::conn`]);
//! * the *flush* task, which runs behind all tasks that were ready in a turn of the event loop and ends the turn: sends to
//!   replicas, writes the log, and lets acks and replies go;
//! * the *mailbox* task, for messages of other threads;
//! * the *tick* task: expiry, and the deadlines of those who wait;
//! * two tasks per link to a shard of another node ([`crate::peer::link`]).

mod blocking;
mod checkpoint;
mod clients;
mod errands;
mod message;
mod tick;
mod transactions;
mod turn_end;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use carousel_protocol::{Incarnation, ShardId, SlotId};
use futures::channel::oneshot;

pub(crate) use self::blocking::Call;
pub use self::checkpoint::{CheckpointPlace, CheckpointRequest, Prepared, Stage};
pub use self::message::{SealReports, ToShard};
pub(crate) use self::transactions::Released;
pub use self::transactions::Stopped;

use self::errands::Errands;
use self::transactions::Transactions;
use self::turn_end::TurnEnd;
use super::Shard;
use super::journal::Journal;
use super::mailbox::{Mailbox, Sender};
use super::slot::{LinkId, PeerIndex};
use crate::Now;
use crate::conn::TimingSettings;
use crate::control::{ControlRequest, ToControl};
use crate::load::OpenLog;
use crate::metrics::{NodeView, ShardMetrics};
use crate::peer::link::{LinkIn, LinkOut};
use crate::runtime::{Runtime, turns};
use crate::settings::CrossSlot;

/// What the tasks of a shard share.
pub struct ShardHandle {
    /// The shard's number.
    pub id: ShardId,
    /// Shards of the node.
    pub shard_count: u16,
    /// The state machine. Never borrowed across an await.
    pub core: RefCell<Shard>,
    /// What the node publishes.
    pub node: Arc<NodeView>,
    pub(crate) metrics: Arc<ShardMetrics>,
    pub(crate) log: RefCell<Option<Journal>>,
    turn_end: TurnEnd,
    errands: Errands,
    transactions: Transactions,
    callers: blocking::Callers,
    waiting: RefCell<Vec<Waker>>,
    mailboxes: Vec<Sender<ToShard>>,
    control: tokio::sync::mpsc::UnboundedSender<ToControl>,
    pub(crate) links_out: RefCell<BTreeMap<PeerIndex, Rc<LinkOut>>>,
    pub(crate) links_in: RefCell<BTreeMap<LinkId, Rc<LinkIn>>>,
    next_link: Cell<u64>,
    clock: std::time::Instant,
    /// What the wall clock showed when `clock` began, as of the last look at it; Unix time.
    unix_ns_at_start: Cell<u64>,
    park_ns: Cell<u64>,
    hold_ns: Cell<u64>,
    bulk_bytes_max: Cell<usize>,
    /// Version of the settings that were read last.
    settings_version: Cell<u64>,
    timing: Cell<TimingSettings>,
    is_cross_slot_strict: Cell<bool>,
    input_bytes_max: Cell<usize>,
    output_bytes_max: Cell<usize>,
    ticks_open: Cell<bool>,
    /// What is on disk is being read: only what Redis answers then is answered.
    is_loading: Cell<bool>,
    incarnation: Cell<Incarnation>,
}

/// What a shard's thread is given.
pub struct ShardSeat {
    /// The state machine. Where the node is loading, another takes its place when that is done.
    pub core: Shard,
    /// The log to append to, under `appendonly yes`, if it has been read.
    pub log: Option<Journal>,
    /// Messages to it.
    pub mailbox: Mailbox<ToShard>,
    /// Mailboxes of all shards of the node.
    pub mailboxes: Vec<Sender<ToShard>>,
    /// To the control thread.
    pub control: tokio::sync::mpsc::UnboundedSender<ToControl>,
    /// What the node publishes.
    pub node: Arc<NodeView>,
}

/// Runs a shard until it is told to stop.
pub async fn run_shard<R: Runtime>(seat: ShardSeat) {
    let ShardSeat { core, log, mut mailbox, mailboxes, control, node } = seat;
    let id = core.id();
    let metrics = node.shard_metrics(id);
    let is_loading = node.loading.is_active();
    let handle = Rc::new(ShardHandle {
        id,
        shard_count: core.options.shard_count,
        core: RefCell::new(core),
        metrics,
        node,
        log: RefCell::new(log),
        turn_end: TurnEnd::default(),
        errands: Errands::default(),
        transactions: Transactions::default(),
        callers: blocking::Callers::default(),
        waiting: RefCell::default(),
        mailboxes,
        control,
        links_out: RefCell::default(),
        links_in: RefCell::default(),
        next_link: Cell::new(0),
        clock: std::time::Instant::now(),
        unix_ns_at_start: Cell::new(0),
        park_ns: Cell::new(0),
        hold_ns: Cell::new(0),
        bulk_bytes_max: Cell::new(0),
        settings_version: Cell::new(0),
        timing: Cell::default(),
        is_cross_slot_strict: Cell::new(false),
        input_bytes_max: Cell::new(0),
        output_bytes_max: Cell::new(0),
        ticks_open: Cell::new(true),
        is_loading: Cell::new(is_loading),
        incarnation: Cell::default(),
    });
    handle.set_wall_clock();
    handle.refresh_settings();
    R::spawn(turn_end::flush_loop::<R>(handle.clone()));
    R::spawn(tick::tick_loop::<R>(handle.clone()));
    R::spawn(tick::free_loop::<R>(handle.clone()));
    R::spawn(transactions::grant_loop(handle.clone()));
    let mut messages = Vec::new();
    loop {
        handle.next_messages::<R>(&mut mailbox, &mut messages).await;
        handle.now(); // begins a turn, or goes on with one
        for message in messages.drain(..) {
            if let ToShard::Stop(done) = message {
                let _ = done.send(handle.stop());
                return;
            }
            handle.deliver::<R>(message);
        }
        handle.advance_errands();
        handle.end_batch();
    }
}

impl ShardHandle {
    /// The time: one look at a clock. The wall clock's is carried forward from the last tick, so that a step of it is
    /// seen within that time.
    #[inline]
    pub fn now(&self) -> Now {
        let now = std::time::Instant::now();
        turns::work_at(now);
        let mono_ns = now.duration_since(self.clock).as_nanos() as u64;
        Now { mono_ns, unix_ms: (self.unix_ns_at_start.get() + mono_ns) / 1_000_000 }
    }

    /// Looks at the wall clock.
    fn set_wall_clock(&self) {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mono_ns = self.clock.elapsed().as_nanos() as u64;
        self.unix_ns_at_start.set((unix.as_nanos() as u64).saturating_sub(mono_ns));
    }

    /// What is on disk is being read: commands that need it are refused.
    #[inline]
    pub(crate) fn is_loading(&self) -> bool {
        self.is_loading.get()
    }

    /// Goes on as the shard that was built from what is on disk.
    fn take_over(&self, core: Shard, log: Option<OpenLog>) -> std::io::Result<()> {
        let to_self = self.mailboxes[self.id.index()].clone();
        let policy = crate::boot::sync_policy(self.node.settings().appendfsync);
        let on_sync = move |synced| to_self.send(ToShard::Synced(synced));
        let journal = log.map(|(log, report)| Journal::new(log, &report, policy, on_sync));
        *self.log.borrow_mut() = journal.transpose()?;
        *self.core.borrow_mut() = core;
        self.note_log_position();
        self.publish_metrics();
        Ok(())
    }

    /// The shard is to know where in the log its next record will be.
    fn note_log_position(&self) {
        if let Some(log) = self.log.borrow().as_ref() {
            self.core.borrow_mut().set_log_position(log.next_position());
        }
    }

    /// Any slot of this shard.
    pub(crate) fn first_slot(&self) -> SlotId {
        self.core.borrow().slot_at(0)
    }

    /// The shard of this node that owns a slot.
    #[inline]
    pub(crate) fn owner(&self, slot: SlotId) -> ShardId {
        if self.shard_count == 1 { self.id } else { ShardId::of_slot(slot, self.shard_count) }
    }

    /// Several slots in one command: while there is at most one node, and the setting `cross-slot` does not forbid it.
    pub(crate) fn may_cross_slots(&self) -> bool {
        !self.is_cross_slot_strict.get()
            && self.core.borrow().cluster().is_none_or(|state| state.members.len() < 2)
    }

    /// Reserves room in the log for a turn that writes up to `bytes`.
    ///
    /// # Errors
    /// The text of the error reply, where there is none.
    #[inline]
    pub(crate) fn log_room(&self, bytes: usize) -> Result<(), &'static str> {
        self.log.borrow_mut().as_mut().map_or(Ok(()), |log| log.admit(bytes))
    }

    /// How long a request is parked.
    pub(crate) fn park_ns(&self) -> u64 {
        self.park_ns.get()
    }

    /// How long a reply is held for its quorum.
    pub(crate) fn hold_ns(&self) -> u64 {
        self.hold_ns.get()
    }

    /// Most bytes of an argument.
    pub(crate) fn bulk_bytes_max(&self) -> usize {
        self.bulk_bytes_max.get()
    }

    /// How requests are timed.
    #[inline]
    pub(crate) fn timing(&self) -> TimingSettings {
        self.timing.get()
    }

    /// Most bytes of a client's requests that are read and not executed.
    #[inline]
    pub(crate) fn input_bytes_max(&self) -> usize {
        self.input_bytes_max.get()
    }

    /// Most bytes of a client's replies that are made and not sent; 0 for any number.
    #[inline]
    pub(crate) fn output_bytes_max(&self) -> usize {
        self.output_bytes_max.get()
    }

    /// Reads the settings that are used all the time again, if they have changed.
    #[inline]
    pub(crate) fn refresh_settings(&self) {
        let version = self.node.settings.version();
        if self.settings_version.get() != version {
            self.settings_version.set(version);
            self.settings_changed();
        }
    }

    #[cold]
    fn settings_changed(&self) {
        let settings = self.node.settings();
        self.timing.set(TimingSettings::of(&settings));
        self.is_cross_slot_strict.set(settings.cross_slot == CrossSlot::Strict);
        self.input_bytes_max.set(settings.client_query_buffer_limit as usize);
        self.output_bytes_max.set(settings.client_output_buffer_limit.normal.hard_bytes as usize);
        self.park_ns.set(settings.handover_timeout_ms * 1_000_000);
        self.bulk_bytes_max.set(settings.proto_max_bulk_len as usize);
        self.hold_ns.set(settings.write_timeout_ms * 1_000_000);
        if let Some(log) = self.log.borrow_mut().as_mut() {
            log.set_policy(crate::boot::sync_policy(settings.appendfsync));
        }
        self.refresh_memory_rules();
    }

    /// A task has used the shard: if that left something to send or log, the turn is to be ended.
    #[inline]
    pub(crate) fn end_batch(&self) {
        if self.core.borrow().has_output() {
            self.touch();
        }
    }

    /// The turn is to be ended.
    pub(crate) fn touch(&self) {
        self.turn_end.asked.set();
    }

    /// Completes when something has happened that a waiting request should look at, or time has passed.
    pub(crate) fn news(&self) -> impl Future<Output = ()> {
        let mut asked = false;
        std::future::poll_fn(move |context| {
            if asked {
                return Poll::Ready(());
            }
            asked = true;
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
    }

    fn wake_waiting(&self) {
        self.advance_errands();
        for waker in self.waiting.take() {
            waker.wake();
        }
        self.serve_blocked();
        self.call_served();
        self.tell_released();
        self.locks_freed();
    }

    /// Has all shards of the node sync what they have written.
    pub(crate) fn sync_all(&self) -> Vec<oneshot::Receiver<()>> {
        let ask = |mailbox: &Sender<ToShard>| {
            let (reply, done) = oneshot::channel();
            mailbox.send(ToShard::Sync(reply));
            done
        };
        self.mailboxes.iter().map(ask).collect()
    }

    /// Asks the control thread; `None` when it stops before it answers.
    pub(crate) async fn ask_control(&self, request: ControlRequest) -> Option<Result<String, String>> {
        let (reply, answer) = oneshot::channel();
        self.control.send(ToControl::Request { request, reply }).ok()?;
        answer.await.ok()
    }

    fn deliver<R: Runtime>(self: &Rc<Self>, message: ToShard) {
        match message {
            ToShard::Loaded { core, log, reply } => {
                let _ = reply.send(self.take_over(*core, log.map(|log| *log)));
            }
            ToShard::Checkpoint(request) => {
                R::spawn(checkpoint::take::<R>(self.clone(), request));
            }
            ToShard::Open => {
                self.is_loading.set(false);
                self.wake_waiting();
            }
            ToShard::Client { stream, addr, laddr, place } => {
                if let Err(error) = self.welcome::<R>(stream, addr, laddr, place) {
                    tracing::warn!(%error, "a client's socket could not be used");
                }
            }
            ToShard::Link { hello, stream } => {
                let link = LinkId(self.next_link.get());
                self.next_link.set(link.0 + 1);
                R::spawn(crate::peer::link::follow::<R>(self.clone(), link, hello, stream));
            }
            ToShard::Map { state, incarnation } => self.core.borrow_mut().apply_map(state, incarnation),
            ToShard::Unreachable(nodes) => self.core.borrow_mut().set_unreachable(nodes),
            ToShard::Errand(errand) => self.errands.accept(errand),
            ToShard::Return { shard, errand } => {
                if let Some(nobodys) = self.errands.take_back(shard, errand) {
                    self.keep_errand(nobodys);
                }
            }
            ToShard::Work(work) => work(self),
            ToShard::Seal { epoch, slots, reply } => self.seal(epoch, slots, reply),
            ToShard::ChangeRefused { slot, epoch } => self.core.borrow_mut().change_refused(slot, epoch),
            ToShard::Reserve { duration, token, reply } => {
                let until_ns = self.now().mono_ns + duration.as_nanos() as u64;
                let _ = reply.send(self.core.borrow_mut().reserve(until_ns, token));
            }
            ToShard::Release { token, reply } => {
                self.core.borrow_mut().release(token);
                let _ = reply.send(());
            }
            ToShard::Synced(Ok(position)) => {
                let turn = self.log.borrow_mut().as_mut().and_then(|log| log.synced(position));
                if let Some(turn) = turn {
                    self.synced(turn);
                }
            }
            ToShard::Synced(Err(error)) => {
                if let Some(log) = self.log.borrow_mut().as_mut() {
                    log.fail(&error);
                }
                self.log_failed(&error);
            }
            ToShard::Begin { incarnation, whole, reply } => {
                self.incarnation.set(incarnation);
                self.core.borrow_mut().begin(whole);
                // Whether it is whole is read from what is published.
                self.publish_metrics();
                let noted = self.log.borrow_mut().as_mut().map_or(Ok(()), |log| log.begin(incarnation));
                self.note_log_position();
                let _ = reply.send(noted);
                self.seal_early_ones();
            }
            ToShard::Sync(reply) => {
                if let Some(log) = self.log.borrow_mut().as_mut() {
                    log.sync_soon(reply);
                }
            }
            ToShard::StandStill(duration) => std::thread::sleep(duration),
            ToShard::Stop(_) => unreachable!("handled by the mailbox loop"),
        }
    }
}
