//! Requests that shards of one node send each other, and their replies.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use carousel_protocol::ShardId;
use futures::future::{Either, select};
use hashbrown::HashMap;

use super::{ShardHandle, ToShard};
use crate::command::KeyAt;
use crate::conn::errand::{Errand, Progress};
use crate::limits;
use crate::runtime::{LocalNotify, Runtime};
use crate::shard::mailbox::Mailbox;

/// Errands whose memory is kept for the next ones.
const SPARE_MAX: usize = 64;

/// How long a shard looks for messages, while another one has an errand of it, before the thread may sleep. To sleep and be
/// woken takes about as long (in a virtual machine, 12 µs of processor time), while an answer of a shard that is awake comes
/// within a few. So at worst the wait costs twice what it would, and mostly a part of it.
const LOOKS_FOR: Duration = Duration::from_micros(20);

/// What this shard does for others, and others for it.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "errands travel in their boxes")]
pub(super) struct Errands {
    /// Those of other shards' connections that are not done.
    asked: RefCell<Vec<Box<Errand>>>,
    /// This shard's own that have come back, by connection.
    back: RefCell<HashMap<u64, Back>>,
    spare: RefCell<Vec<Box<Errand>>>,
    /// Memory for [`Errand::prefetch`].
    keys: RefCell<Vec<KeyAt>>,
    /// Shards that were sent something and are to be woken. To wake a thread costs as much as many requests, so it is done
    /// once for all connections that are ready.
    unwoken: RefCell<Vec<ShardId>>,
    /// There are any.
    sent: LocalNotify,
    /// Errands that other shards have.
    away: Cell<usize>,
}

#[derive(Default)]
struct Back {
    arrived: Vec<(ShardId, Box<Errand>)>,
    /// The connection's task, while it waits for more.
    waiter: Option<Waker>,
}

impl Errands {
    /// Another shard asks.
    pub(super) fn accept(&self, errand: Box<Errand>) {
        self.asked.borrow_mut().push(errand);
    }

    /// An errand comes back from a shard. Returns it where its connection is gone.
    pub(super) fn take_back(&self, shard: ShardId, errand: Box<Errand>) -> Option<Box<Errand>> {
        self.away.set(self.away.get() - 1);
        let mut back = self.back.borrow_mut();
        let Some(back) = back.get_mut(&errand.home().1) else { return Some(errand) };
        back.arrived.push((shard, errand));
        if let Some(waiter) = back.waiter.take() {
            waiter.wake();
        }
        None
    }

    /// The connection has ended: nobody waits for its errands.
    pub(super) fn forget(&self, connection: u64) {
        self.back.borrow_mut().remove(&connection);
    }
}

impl ShardHandle {
    /// An errand for a connection of this shard, without requests yet.
    pub(crate) fn new_errand(&self, connection: u64, counts_as_use: bool) -> Box<Errand> {
        let mut errand = self.errands.spare.borrow_mut().pop().unwrap_or_default();
        errand.begin(self.id, connection, counts_as_use);
        errand
    }

    /// Keeps the memory of an errand that is done.
    pub(crate) fn keep_errand(&self, errand: Box<Errand>) {
        let mut spare = self.errands.spare.borrow_mut();
        if spare.len() < SPARE_MAX && errand.kept_bytes() <= limits::CONNECTION_BUFFER_BYTES_KEPT {
            spare.push(errand);
        }
    }

    /// Sends an errand to another shard of this node.
    pub(crate) fn send_errand(&self, shard: ShardId, errand: Box<Errand>) {
        self.errands.back.borrow_mut().entry(errand.home().1).or_default();
        self.errands.away.set(self.errands.away.get() + 1);
        self.send_quietly(shard, ToShard::Errand(errand));
        self.errands.sent.set();
    }

    fn send_quietly(&self, shard: ShardId, message: ToShard) {
        self.mailboxes[shard.index()].send_quietly(message);
        let mut unwoken = self.errands.unwoken.borrow_mut();
        if !unwoken.contains(&shard) {
            unwoken.push(shard);
        }
    }

    fn wake_shards(&self) {
        for shard in self.errands.unwoken.borrow_mut().drain(..) {
            self.mailboxes[shard.index()].wake();
        }
    }

    /// Waits for messages from other threads, and puts them into `into`. Meanwhile the shards that were sent something are
    /// woken: when all tasks that are ready have run, and so once for all of them.
    pub(super) async fn next_messages<R: Runtime>(
        &self,
        mailbox: &mut Mailbox<ToShard>,
        into: &mut Vec<ToShard>,
    ) {
        let mut until = None;
        loop {
            self.wake_shards();
            if mailbox.try_drain(into) > 0 {
                return;
            }
            if self.errands.away.get() > 0
                && Instant::now() < *until.get_or_insert_with(|| Instant::now() + LOOKS_FOR)
            {
                // The core is for whoever else wants it, as the other shard may, and in this thread for all tasks.
                std::thread::yield_now();
                R::yield_now().await;
                continue;
            }
            let (message, sent) = (mailbox.drain(into), self.errands.sent.wait());
            if matches!(select(pin!(message), pin!(sent)).await, Either::Left(_)) {
                return;
            }
            mailbox.stay_awake();
            until = None;
        }
    }

    /// Waits until an errand of a connection that has sent one comes back; returns it, and whose answer it is.
    pub(crate) async fn errand_back(&self, connection: u64) -> (ShardId, Box<Errand>) {
        std::future::poll_fn(|context| {
            let mut back = self.errands.back.borrow_mut();
            let back = back.get_mut(&connection).expect("it has sent one");
            match back.arrived.pop() {
                Some(arrived) => Poll::Ready(arrived),
                None => {
                    back.waiter = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Goes on with other shards' requests.
    pub(super) fn advance_errands(&self) {
        let mut asked = self.errands.asked.take();
        if asked.is_empty() {
            return;
        }
        self.refresh_settings();
        let (now, mut waiting) = (self.now(), Vec::new());
        for mut errand in asked.drain(..) {
            let progress = {
                let mut core = self.core.borrow_mut();
                if errand.is_new() {
                    errand.prefetch(&core, &mut self.errands.keys.borrow_mut());
                }
                let room = |bytes| self.log_room(bytes);
                errand.advance(&mut core, now, self.park_ns(), self.hold_ns(), self, &room)
            };
            if progress == Progress::Waiting {
                waiting.push(errand);
                continue;
            }
            let (home, _) = errand.home();
            self.send_quietly(home, ToShard::Return { shard: self.id, errand });
        }
        self.wake_shards();
        let mut all = self.errands.asked.borrow_mut();
        debug_assert!(all.is_empty(), "errands arrive between two turns of the loop");
        *all = if waiting.is_empty() { asked } else { waiting };
    }
}
