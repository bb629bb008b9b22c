//! Drives a shard: the tasks of its thread and what they share.
//!
//! * one task per client ([`crate::conn`]);
//! * the *flush* task, which runs behind all tasks that were ready in a turn of the event loop and ends the turn: sends to
//!   replicas, writes the log, and lets acks and replies go;
//! * the *mailbox* task, for messages of other threads;
//! * the *tick* task: expiry, and the deadlines of those who wait;
//! * two tasks per link to a shard of another node ([`crate::peer::link`]).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use carousel_protocol::command_table::{CommandSpec, Flags};
use carousel_protocol::resp::{Argv, Version};
use carousel_protocol::{Epoch, Incarnation, NodeId, Position, ShardId, SlotId};
use futures::channel::oneshot;
use hashbrown::HashMap;

use super::journal::Journal;
use super::mailbox::{Mailbox, Sender};
use super::slot::{LinkId, PeerIndex};
use super::{ReadyChange, Shard};
use crate::command::session::Session;
use crate::config::ClusterState;
use crate::conn::remote::{Progress, RemoteBatch, Replies};
use crate::control::{ControlRequest, ToControl};
use crate::metrics::{NodeView, ShardMetrics};
use crate::peer::hello::ShardLinkHello;
use crate::peer::link::LinkOut;
use crate::persist::{LogPosition, SyncError};
use crate::runtime::{LocalNotify, Runtime};
use crate::{Now, limits};

/// A message from another thread.
pub enum ToShard {
    /// A client was accepted.
    Client {
        /// Its socket.
        stream: std::net::TcpStream,
        /// Where it comes from.
        address: SocketAddr,
    },
    /// Another node's shard has dialled this one.
    Link {
        /// What it said.
        hello: ShardLinkHello,
        /// Its socket.
        stream: std::net::TcpStream,
    },
    /// The agreed state has changed.
    Map {
        /// The state.
        state: Arc<ClusterState>,
        /// This process' registration, once there is one.
        incarnation: Option<Incarnation>,
    },
    /// Members that the node does not reach.
    Unreachable(Arc<BTreeSet<NodeId>>),
    /// Requests of another shard's connection.
    Batch(RemoteBatch),
    /// The answers to such requests.
    Replies {
        /// Who answers.
        shard: ShardId,
        /// Whose connection.
        connection: u64,
        /// The answers.
        replies: Replies,
    },
    /// Promise an epoch and report; see [`Shard::seal`].
    Seal {
        /// The epoch.
        epoch: Epoch,
        /// Slots; those of other shards are passed over.
        slots: Arc<Vec<SlotId>>,
        /// Gets the reports when the promise is durable.
        reply: oneshot::Sender<SealReports>,
    },
    /// See [`Shard::change_refused`].
    ChangeRefused {
        /// The slot.
        slot: SlotId,
        /// The epoch that the change was prepared in.
        epoch: Epoch,
    },
    /// See [`Shard::reserve`].
    Reserve {
        /// For how long.
        duration: Duration,
        /// Gets whether the shard holds no key.
        reply: oneshot::Sender<bool>,
    },
    /// The log is durable up to here, or never will be.
    Synced(Result<LogPosition, SyncError>),
    /// The process begins as this incarnation: note it in the log, durably, before anything is acknowledged.
    Begin {
        /// Its number.
        incarnation: Incarnation,
        /// What the log had is everything that the node ever acknowledged.
        whole: bool,
        /// Gets the outcome.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Finish what is written and stop. Replies whether the log was closed cleanly.
    Stop(oneshot::Sender<bool>),
}

/// Per slot, where the copy stands, and whether it is whole.
pub type SealReports = Vec<(SlotId, Option<Position>, bool)>;

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
    flush: LocalNotify,
    waiting: RefCell<Vec<Waker>>,
    /// Answers of other shards, by connection.
    replies: RefCell<HashMap<u64, Vec<(ShardId, Replies)>>>,
    remote: RefCell<Vec<RemoteBatch>>,
    mailboxes: Vec<Sender<ToShard>>,
    control: tokio::sync::mpsc::UnboundedSender<ToControl>,
    pub(crate) links_out: RefCell<BTreeMap<PeerIndex, Rc<LinkOut>>>,
    pub(crate) links_in: RefCell<BTreeMap<LinkId, Rc<LinkOut>>>,
    next_link: Cell<u64>,
    clock: std::time::Instant,
    /// Waits for fdatasync: per turn, what may leave then.
    unsynced: RefCell<VecDeque<Unsynced>>,
    seals: RefCell<Vec<(oneshot::Sender<SealReports>, SealReports)>>,
    /// Seals asked for before this process may say anything of its copies.
    early_seals: RefCell<Vec<EarlySeal>>,
    park_ns: Cell<u64>,
    hold_ns: Cell<u64>,
    ticks_open: Cell<bool>,
    log_failed: Cell<bool>,
    incarnation: Cell<Incarnation>,
}

/// A seal that waits for the process to begin: epoch, slots, and who gets the reports.
type EarlySeal = (Epoch, Arc<Vec<SlotId>>, oneshot::Sender<SealReports>);

struct Unsynced {
    turn: u64,
    to_primaries: Vec<(LinkId, Vec<u8>)>,
    seals: Vec<(oneshot::Sender<SealReports>, SealReports)>,
}

/// What a shard's thread is given.
pub struct ShardSeat {
    /// The state machine, with what its log had.
    pub core: Shard,
    /// The log to append to, under `appendonly yes`.
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
    let handle = Rc::new(ShardHandle {
        id,
        shard_count: core.options.shard_count,
        core: RefCell::new(core),
        metrics,
        node,
        log: RefCell::new(log),
        flush: LocalNotify::new(),
        waiting: RefCell::default(),
        replies: RefCell::default(),
        remote: RefCell::default(),
        mailboxes,
        control,
        links_out: RefCell::default(),
        links_in: RefCell::default(),
        next_link: Cell::new(0),
        clock: std::time::Instant::now(),
        unsynced: RefCell::default(),
        seals: RefCell::default(),
        early_seals: RefCell::default(),
        park_ns: Cell::new(0),
        hold_ns: Cell::new(0),
        ticks_open: Cell::new(true),
        log_failed: Cell::new(false),
        incarnation: Cell::default(),
    });
    handle.settings_changed();
    R::spawn(flush_loop::<R>(handle.clone()));
    R::spawn(tick_loop::<R>(handle.clone()));
    let mut messages = Vec::new();
    loop {
        mailbox.drain(&mut messages).await;
        for message in messages.drain(..) {
            if let ToShard::Stop(done) = message {
                let _ = done.send(handle.stop());
                return;
            }
            handle.deliver::<R>(message);
        }
        handle.advance_remote();
        handle.end_batch();
    }
}

impl ShardHandle {
    /// The time.
    #[inline]
    pub fn now(&self) -> Now {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Now { mono_ns: self.clock.elapsed().as_nanos() as u64, unix_ms: unix.as_millis() as u64 }
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

    /// Several slots in one command: while there is at most one node.
    pub(crate) fn may_cross_slots(&self) -> bool {
        self.core.borrow().cluster().is_none_or(|state| state.members.len() < 2)
    }

    /// Must a command be refused because the log cannot take what it would write?
    #[inline]
    pub(crate) fn refuse_write(
        &self,
        core: &Shard,
        spec: &CommandSpec,
        argv: Argv<'_>,
    ) -> Option<&'static str> {
        if !spec.flags.contains(Flags::WRITE) {
            return None;
        }
        let mut log = self.log.borrow_mut();
        let log = log.as_mut()?;
        let bytes: usize = argv.iter().map(|arg| arg.len() + limits::RECORD_OVERHEAD_BYTES).sum();
        log.admit(core.turn_log_bytes() + bytes).err()
    }

    /// How long a request is parked.
    pub(crate) fn park_ns(&self) -> u64 {
        self.park_ns.get()
    }

    /// How long a reply is held for its quorum.
    pub(crate) fn hold_ns(&self) -> u64 {
        self.hold_ns.get()
    }

    /// Reads settings that are used all the time again.
    pub(crate) fn settings_changed(&self) {
        let settings = self.node.settings();
        self.park_ns.set(settings.handover_timeout_ms * 1_000_000);
        self.hold_ns.set(settings.write_timeout_ms * 1_000_000);
        if let Some(log) = self.log.borrow_mut().as_mut() {
            log.set_policy(crate::boot::sync_policy(settings.appendfsync));
        }
    }

    /// A task has used the shard: if that left something to send or log, the turn is to be ended.
    #[inline]
    pub(crate) fn end_batch(&self) {
        if self.core.borrow().has_output() {
            self.flush.set();
        }
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
        self.advance_remote();
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Sends requests to another shard of this node.
    pub(crate) fn send_errand(&self, shard: ShardId, connection: u64, version: Version, requests: Vec<u8>) {
        self.mailboxes[shard.index()]
            .send(ToShard::Batch(RemoteBatch::new(self.id, connection, version, requests)));
    }

    /// Answers of other shards to a connection.
    pub(crate) fn take_replies(&self, connection: u64) -> Vec<(ShardId, Replies)> {
        self.replies.borrow_mut().remove(&connection).unwrap_or_default()
    }

    /// Asks the control thread.
    pub(crate) async fn ask_control(&self, request: ControlRequest) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "ERR The node is stopping".to_string();
        self.control.send(ToControl::Request { request, reply }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn deliver<R: Runtime>(self: &Rc<Self>, message: ToShard) {
        match message {
            ToShard::Client { stream, address } => {
                if let Err(error) = self.welcome::<R>(stream, address) {
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
            ToShard::Batch(batch) => self.remote.borrow_mut().push(batch),
            ToShard::Replies { shard, connection, replies } => {
                self.replies.borrow_mut().entry(connection).or_default().push((shard, replies));
                self.wake_waiting();
            }
            ToShard::Seal { epoch, slots, reply } => {
                if self.core.borrow().has_begun() {
                    self.seal(epoch, &slots, reply);
                } else {
                    // The node that restarted is most often the best successor of itself, and moments from being able
                    // to report: answered with nothing, the coordinator would choose among the others.
                    self.early_seals.borrow_mut().push((epoch, slots, reply));
                }
            }
            ToShard::ChangeRefused { slot, epoch } => self.core.borrow_mut().change_refused(slot, epoch),
            ToShard::Reserve { duration, reply } => {
                let until_ns = self.now().mono_ns + duration.as_nanos() as u64;
                let _ = reply.send(self.core.borrow_mut().reserve(until_ns));
            }
            ToShard::Synced(Ok(position)) => {
                let turn = self.log.borrow_mut().as_mut().and_then(|log| log.synced(position));
                if let Some(turn) = turn {
                    self.synced(turn);
                }
            }
            ToShard::Synced(Err(error)) => {
                tracing::error!(%error, "this shard acknowledges nothing more");
                if let Some(log) = self.log.borrow_mut().as_mut() {
                    log.fail(&error);
                }
                let _ = self.control.send(ToControl::LogFailed);
            }
            ToShard::Begin { incarnation, whole, reply } => {
                self.incarnation.set(incarnation);
                self.core.borrow_mut().begin(whole);
                // Whether it is whole is read from what is published.
                self.publish_metrics();
                let noted = self.log.borrow_mut().as_mut().map_or(Ok(()), |log| log.begin(incarnation));
                let _ = reply.send(noted);
                for (epoch, slots, reply) in self.early_seals.take() {
                    self.seal(epoch, &slots, reply);
                }
            }
            ToShard::Stop(_) => unreachable!("handled by the mailbox loop"),
        }
    }

    fn seal(&self, epoch: Epoch, slots: &[SlotId], reply: oneshot::Sender<SealReports>) {
        let reports = self.core.borrow_mut().seal(epoch, slots);
        self.seals.borrow_mut().push((reply, reports));
        self.flush.set();
    }

    /// Starts to serve a client.
    fn welcome<R: Runtime>(
        self: &Rc<Self>,
        stream: std::net::TcpStream,
        address: SocketAddr,
    ) -> std::io::Result<()> {
        let here = stream.local_addr()?;
        let client = self.node.clients().register(address, here, self.id, self.now());
        // CLIENT KILL ends the connection through a second handle on its socket: its task wakes by itself.
        let socket = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        client.wake_with(move || {
            let _ = socket.shutdown(Shutdown::Both);
        });
        let session = Session::new(client, &self.node.settings());
        let stream = R::adopt(stream)?;
        self.metrics.connections.add(1);
        self.metrics.connections_accepted.add(1);
        let handle = self.clone();
        R::spawn(async move {
            let id = session.id;
            crate::conn::serve::<R>(handle.clone(), stream, session).await;
            handle.replies.borrow_mut().remove(&id);
            handle.metrics.connections.sub(1);
        });
        Ok(())
    }

    /// Goes on with other shards' requests.
    fn advance_remote(&self) {
        let mut batches = self.remote.take();
        let now = self.now();
        batches.retain_mut(|batch| {
            let progress = {
                let mut core = self.core.borrow_mut();
                let refuse =
                    |core: &Shard, spec: &CommandSpec, argv: Argv<'_>| self.refuse_write(core, spec, argv);
                batch.advance(&mut core, now, self.park_ns(), self.hold_ns(), &refuse)
            };
            if progress == Progress::Waiting {
                return true;
            }
            let done = std::mem::replace(batch, RemoteBatch::new(self.id, 0, Version::Resp2, Vec::new()));
            let (to, connection, replies) = done.into_replies();
            self.mailboxes[to.index()].send(ToShard::Replies { shard: self.id, connection, replies });
            false
        });
        self.remote.borrow_mut().append(&mut batches);
    }

    /// Ends the turn. Returns whether there is more to do at once.
    fn end_turn<R: Runtime>(self: &Rc<Self>) -> bool {
        let output = self.core.borrow_mut().end_turn(self.now());
        for (peer, node, shard) in output.dial {
            R::spawn(crate::peer::link::lead::<R>(self.clone(), peer, node, shard));
        }
        self.send_to_replicas(output.to_replicas);
        let seals = self.seals.take();
        let mut syncs = false;
        if let Some(log) = self.log.borrow_mut().as_mut() {
            match log.append(&output.log, output.turn, !seals.is_empty()) {
                Ok(waits) => syncs = waits,
                Err(error) => {
                    // What could not be written is never acknowledged: neither here nor to a primary.
                    if !self.log_failed.replace(true) {
                        let _ = self.control.send(ToControl::LogFailed);
                        tracing::error!(%error, "this shard acknowledges nothing more");
                    }
                    return false;
                }
            }
        }
        let unsynced = Unsynced { turn: output.turn, to_primaries: output.to_primaries, seals };
        self.unsynced.borrow_mut().push_back(unsynced);
        if !syncs {
            self.synced(output.turn);
        }
        self.propose(output.changes);
        output.more
    }

    /// Everything of the turns up to `turn` is as durable as `appendfsync` says.
    fn synced(&self, turn: u64) {
        self.core.borrow_mut().durable(turn);
        loop {
            let mut unsynced = self.unsynced.borrow_mut();
            let Some(next) = unsynced.pop_front_if(|next| next.turn <= turn) else { break };
            drop(unsynced);
            for (link, bytes) in next.to_primaries {
                if let Some(out) = self.links_in.borrow().get(&link) {
                    out.send(bytes);
                }
            }
            for (reply, reports) in next.seals {
                let _ = reply.send(reports);
            }
        }
        let sends = self.core.borrow_mut().take_sends();
        self.send_to_replicas(sends);
        if self.core.borrow_mut().take_news() {
            self.wake_waiting();
        }
        self.end_batch();
    }

    fn send_to_replicas(&self, sends: Vec<(PeerIndex, Vec<u8>)>) {
        let links = self.links_out.borrow();
        for (peer, bytes) in sends {
            if let Some(out) = links.get(&peer) {
                out.send(bytes);
            }
        }
    }

    fn propose(&self, changes: Vec<ReadyChange>) {
        if !changes.is_empty() {
            let _ = self.control.send(ToControl::Changes(changes));
        }
    }

    /// Marks the turn for ending, after a link's bytes were handled.
    pub(crate) fn touch(&self) {
        self.flush.set();
    }

    fn stop(&self) -> bool {
        self.ticks_open.set(false);
        let Some(log) = self.log.take() else { return true };
        let rest = self.core.borrow_mut().end_turn(self.now());
        let closed = log.close(&rest.log, self.incarnation.get());
        closed.inspect_err(|error| tracing::error!(%error, "the log was not closed cleanly")).is_ok()
    }

    /// Tries again what found no room on the disk.
    fn retry_log(&self) {
        if let Some(log) = self.log.borrow_mut().as_mut()
            && let Err(error) = log.retry()
            && !self.log_failed.replace(true)
        {
            let _ = self.control.send(ToControl::LogFailed);
            tracing::error!(%error, "this shard acknowledges nothing more");
        }
    }

    /// Closes clients that have been silent for longer than the setting `timeout` allows.
    fn close_idle_clients(&self, now: Now) {
        let timeout_ms = u64::from(self.node.settings().timeout_s) * 1000;
        if timeout_ms == 0 {
            return;
        }
        for client in self.node.clients().all() {
            if client.shard == self.id && client.idle_ms(now) > timeout_ms {
                client.kill();
            }
        }
    }

    fn publish_metrics(&self) {
        let core = self.core.borrow();
        let keys = core.key_counts();
        let counted = core.tables.counters();
        self.metrics.keys.set(keys.held);
        self.metrics.keys_led.set(keys.led);
        self.metrics.volatile_keys.set(core.tables.volatile_total() as u64);
        self.metrics.keyspace_hits.set(counted.hits);
        self.metrics.keyspace_misses.set(counted.misses);
        self.metrics.copies_not_whole.set(core.copies_not_whole() as u64);
        self.metrics.plan_keys.set(core.counters.plan_keys_sent);
        self.metrics.plan_bytes.set(core.counters.plan_bytes_sent);
        self.metrics.used_bytes.set(core.tables.used_bytes() as u64);
        self.metrics.expired_keys.set(counted.expired);
        self.metrics.transfer_keys.set(core.counters.keys_sent);
        self.metrics.transfer_bytes.set(core.counters.bytes_sent);
    }
}

async fn flush_loop<R: Runtime>(handle: Rc<ShardHandle>) {
    loop {
        handle.flush.wait().await;
        if handle.end_turn::<R>() {
            handle.flush.set();
            R::yield_now().await;
        }
    }
}

async fn tick_loop<R: Runtime>(handle: Rc<ShardHandle>) {
    while handle.ticks_open.get() {
        R::sleep(limits::TICK).await;
        let now = handle.now();
        let mut more = true;
        while more {
            more = handle.core.borrow_mut().expire(now, limits::EXPIRE_KEYS_PER_STEP);
            handle.end_batch();
            R::yield_now().await;
        }
        handle.settings_changed();
        handle.close_idle_clients(now);
        handle.retry_log();
        handle.publish_metrics();
        if handle.core.borrow().is_reserved() {
            // A turn ends a reservation whose time has passed, and no client makes one here until then.
            handle.touch();
        }
        handle.wake_waiting();
        handle.end_batch();
    }
}
