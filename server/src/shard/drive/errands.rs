//! Requests that shards of one node send each other, and their answers.

use std::cell::RefCell;
use std::task::{Poll, Waker};

use carousel_protocol::ShardId;
use carousel_protocol::resp::Version;
use hashbrown::HashMap;

use super::{ShardHandle, ToShard};
use crate::conn::remote::{Progress, RemoteBatch, Replies};

/// What this shard does for others, and others for it.
#[derive(Default)]
pub(super) struct Errands {
    /// Batches of other shards' connections that are not done.
    asked: RefCell<Vec<RemoteBatch>>,
    /// Answers to this shard's connections that have sent for any.
    answers: RefCell<HashMap<u64, Answers>>,
}

#[derive(Default)]
struct Answers {
    arrived: Vec<(ShardId, Replies)>,
    /// The connection's task, while it waits for more.
    waiter: Option<Waker>,
}

impl Errands {
    /// Another shard asks.
    pub(super) fn accept(&self, batch: RemoteBatch) {
        self.asked.borrow_mut().push(batch);
    }

    /// Another shard has answered. The connection may be gone.
    pub(super) fn answer(&self, connection: u64, shard: ShardId, replies: Replies) {
        if let Some(answers) = self.answers.borrow_mut().get_mut(&connection) {
            answers.arrived.push((shard, replies));
            if let Some(waiter) = answers.waiter.take() {
                waiter.wake();
            }
        }
    }

    /// The connection has ended: nobody waits for its answers.
    pub(super) fn forget(&self, connection: u64) {
        self.answers.borrow_mut().remove(&connection);
    }
}

impl ShardHandle {
    /// Sends requests to another shard of this node.
    pub(crate) fn send_errand(
        &self,
        shard: ShardId,
        connection: u64,
        version: Version,
        counts_as_use: bool,
        requests: Vec<u8>,
    ) {
        self.errands.answers.borrow_mut().entry(connection).or_default();
        self.mailboxes[shard.index()].send(ToShard::Batch(RemoteBatch::new(
            self.id,
            connection,
            version,
            counts_as_use,
            requests,
        )));
    }

    /// Waits for answers of other shards to a connection that has sent for some: one or more that have arrived.
    pub(crate) async fn answers(&self, connection: u64) -> Vec<(ShardId, Replies)> {
        std::future::poll_fn(|context| {
            let mut answers = self.errands.answers.borrow_mut();
            let answers = answers.get_mut(&connection).expect("it has sent for some");
            if answers.arrived.is_empty() {
                answers.waiter = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut answers.arrived))
        })
        .await
    }

    /// Goes on with other shards' requests.
    pub(super) fn advance_errands(&self) {
        let mut batches = self.errands.asked.take();
        if batches.is_empty() {
            return;
        }
        self.refresh_settings();
        let now = self.now();
        batches.retain_mut(|batch| {
            let progress = {
                let mut core = self.core.borrow_mut();
                let room = |bytes| self.log_room(bytes);
                batch.advance(&mut core, now, self.park_ns(), self.hold_ns(), self, &room)
            };
            if progress == Progress::Waiting {
                return true;
            }
            let done =
                std::mem::replace(batch, RemoteBatch::new(self.id, 0, Version::Resp2, true, Vec::new()));
            let (to, connection, replies) = done.into_replies();
            self.mailboxes[to.index()].send(ToShard::Replies { shard: self.id, connection, replies });
            false
        });
        self.errands.asked.borrow_mut().append(&mut batches);
    }
}
