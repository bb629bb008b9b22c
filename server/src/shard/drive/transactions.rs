//! Work that one shard's connection has another shard do, and the waiting for locks and for durability that comes with it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use carousel_protocol::ShardId;
use futures::channel::oneshot;

use super::{ShardHandle, ToShard};
use crate::persist::transactions::TransactionId;
use crate::runtime::LocalNotify;
use crate::shard::{Hold, HoldState, Refusal, Wanted};

/// A piece of work for a shard's thread.
pub type Work = Box<dyn FnOnce(&Rc<ShardHandle>) + Send>;

/// A shard of this node has stopped: the process is about to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped;

impl From<oneshot::Canceled> for Stopped {
    fn from(_: oneshot::Canceled) -> Self {
        Self
    }
}

/// What has become of a wish for a lock.
pub(crate) type Granted = Result<(), Refusal>;

/// What has become of replies that were held: released, or the error that says why not.
pub(crate) type Released = Result<(), Vec<u8>>;

/// What waits at a shard.
#[derive(Default)]
pub(super) struct Transactions {
    /// Locks wanted, in the order in which they were.
    wishes: RefCell<VecDeque<Wish>>,
    /// Locks may have become free.
    freed: LocalNotify,
    held: RefCell<Vec<Held>>,
    /// Of this shard's connections, those that could not be completed yet.
    doubtful: RefCell<Vec<Doubtful>>,
}

/// A transaction that has run, and waits until every shard has written that.
struct Doubtful {
    transaction: TransactionId,
    shards: Vec<ShardId>,
    /// By shard, told when it has.
    waits: Vec<oneshot::Receiver<Released>>,
}

struct Wish {
    transaction: TransactionId,
    wanted: Wanted,
    since_ns: u64,
    granted: oneshot::Sender<Granted>,
}

struct Held {
    holds: Vec<Hold>,
    deadline_ns: u64,
    released: oneshot::Sender<Released>,
}

impl ShardHandle {
    /// Has another shard of this node, or this one, do something; returns what that returns.
    ///
    /// # Errors
    /// The shard has stopped.
    pub(crate) async fn on_shard<T: Send + 'static>(
        self: &Rc<Self>,
        shard: ShardId,
        work: impl FnOnce(&Rc<Self>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        if shard == self.id {
            let result = work(self);
            self.end_batch();
            return Ok(result);
        }
        let (done, result) = oneshot::channel();
        self.post(shard, move |handle| {
            let _ = done.send(work(handle));
        });
        Ok(result.await?)
    }

    /// Has a shard of this node do something, some time.
    pub(crate) fn post(self: &Rc<Self>, shard: ShardId, work: impl FnOnce(&Rc<Self>) + Send + 'static) {
        if shard == self.id {
            work(self);
            self.end_batch();
        } else {
            self.mailboxes[shard.index()].send(ToShard::Work(Box::new(work)));
        }
    }

    /// Tries to lock slots of this shard at once; not before those that asked earlier.
    pub(crate) fn try_lock(&self, transaction: TransactionId, wanted: &Wanted) -> Result<bool, Refusal> {
        if !self.transactions.wishes.borrow().is_empty() {
            return Ok(false);
        }
        match self.core.borrow_mut().try_lock(transaction, wanted) {
            Err(Refusal::Park(_)) => Ok(false),
            other => other,
        }
    }

    /// Locks slots of this shard when it is its turn.
    pub(crate) fn lock(&self, transaction: TransactionId, wanted: Wanted) -> oneshot::Receiver<Granted> {
        let (granted, outcome) = oneshot::channel();
        let since_ns = self.now().mono_ns;
        self.transactions.wishes.borrow_mut().push_back(Wish { transaction, wanted, since_ns, granted });
        self.transactions.freed.set();
        outcome
    }

    /// Gives back what a transaction holds on this shard.
    pub(crate) fn unlock(&self, transaction: TransactionId) {
        self.core.borrow_mut().unlock(transaction);
        self.serve_blocked();
        // Those that wait for one of the slots are woken by the news and go first; then the next lock is given.
        self.touch();
    }

    /// Tells when everything that `holds` wait for has happened.
    pub(crate) fn released(&self, holds: Vec<Hold>) -> oneshot::Receiver<Released> {
        let outcome = self.hold_until_released(holds);
        self.tell_released();
        self.end_batch();
        outcome
    }

    /// As [`Self::released`], to be told when somebody looks next.
    pub(super) fn hold_until_released(&self, holds: Vec<Hold>) -> oneshot::Receiver<Released> {
        self.hold_until(holds, self.now().mono_ns + self.hold_ns())
    }

    fn hold_until(&self, holds: Vec<Hold>, deadline_ns: u64) -> oneshot::Receiver<Released> {
        let (released, outcome) = oneshot::channel();
        self.transactions.held.borrow_mut().push(Held { holds, deadline_ns, released });
        outcome
    }

    /// A transaction of this shard's connection has run, and not every shard could write that in time. Its slots are given
    /// back when all have: what others would write to them before would go with it if it came to nothing.
    ///
    /// # Errors
    /// A shard has stopped.
    pub(crate) async fn leave_in_doubt(
        self: &Rc<Self>,
        transaction: TransactionId,
        shards: &[ShardId],
    ) -> Result<(), Stopped> {
        let mut waits = Vec::new();
        for &shard in shards {
            let wait = self.on_shard(shard, move |handle| {
                let hold = {
                    let mut core = handle.core.borrow_mut();
                    core.doubt(transaction);
                    core.hold_of_turn()
                };
                handle.touch();
                handle.hold_until(vec![hold], u64::MAX)
            });
            waits.push(wait.await?);
        }
        tracing::error!(
            "a transaction could not be written to the log of every shard: its keys answer MISCONF until it is"
        );
        self.transactions.doubtful.borrow_mut().push(Doubtful {
            transaction,
            shards: shards.to_vec(),
            waits,
        });
        Ok(())
    }

    /// Gives back the slots of transactions that were in doubt.
    pub(super) fn complete_doubtful(self: &Rc<Self>) {
        let mut all = self.transactions.doubtful.take();
        all.retain_mut(|doubtful| {
            doubtful.waits.retain_mut(|wait| !matches!(wait.try_recv(), Ok(Some(Ok(())))));
            if !doubtful.waits.is_empty() {
                return true;
            }
            let transaction = doubtful.transaction;
            for shard in &doubtful.shards {
                self.post(*shard, move |handle| handle.unlock(transaction));
            }
            false
        });
        self.transactions.doubtful.borrow_mut().append(&mut all);
    }

    /// Looks which held replies may go.
    pub(super) fn tell_released(&self) {
        let mut all = self.transactions.held.take();
        if all.is_empty() {
            return;
        }
        let (core, now_ns) = (self.core.borrow(), self.now().mono_ns);
        let mut i = 0;
        while i < all.len() {
            let states: Vec<_> = all[i].holds.iter().map(|hold| (*hold, core.hold_state(*hold))).collect();
            let waits = states.iter().any(|(_, state)| *state == HoldState::Held);
            if waits && now_ns < all[i].deadline_ns {
                i += 1;
                continue;
            }
            let failed = states.into_iter().find(|(_, state)| *state != HoldState::Released);
            let outcome = failed.map_or(Ok(()), |(hold, _)| {
                let mut text = Vec::new();
                crate::conn::write_unknown(&core, hold, &mut text);
                Err(text)
            });
            let _ = all.swap_remove(i).released.send(outcome);
        }
        drop(core);
        self.transactions.held.borrow_mut().append(&mut all);
    }

    /// Slots may have become free.
    pub(super) fn locks_freed(&self) {
        if !self.transactions.wishes.borrow().is_empty() {
            self.transactions.freed.set();
        }
    }

    /// Grants what can be granted, in order: nothing that an earlier wish waits for.
    fn grant_locks(&self) {
        let mut wishes = self.transactions.wishes.take();
        let now_ns = self.now().mono_ns;
        let mut waiting: VecDeque<Wish> = VecDeque::new();
        for wish in wishes.drain(..) {
            if wish.granted.is_canceled() {
                continue;
            }
            if waiting.iter().any(|earlier| earlier.wanted.overlaps(&wish.wanted)) {
                waiting.push_back(wish);
                continue;
            }
            let tried = self.core.borrow_mut().try_lock(wish.transaction, &wish.wanted);
            match tried {
                Ok(true) => {
                    if wish.granted.send(Ok(())).is_err() {
                        self.core.borrow_mut().unlock(wish.transaction);
                    }
                }
                Ok(false) => waiting.push_back(wish),
                Err(Refusal::Park(_)) if now_ns < wish.since_ns + self.park_ns() => waiting.push_back(wish),
                Err(refusal) => {
                    let _ = wish.granted.send(Err(refusal));
                }
            }
        }
        waiting.append(&mut self.transactions.wishes.borrow_mut());
        *self.transactions.wishes.borrow_mut() = waiting;
    }
}

/// Gives locks as they become free, until the shard stops. A task of its own, so that whoever was woken by an unlock has
/// its turn before: transactions in a row cannot keep single commands away.
pub(super) async fn grant_loop(handle: Rc<ShardHandle>) {
    loop {
        handle.transactions.freed.wait().await;
        handle.grant_locks();
        handle.end_batch();
    }
}
