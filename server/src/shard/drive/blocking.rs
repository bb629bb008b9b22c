//! The clients that wait on this shard's keys, and how they hear of it.

use std::cell::RefCell;

use futures::channel::mpsc::UnboundedSender;
use futures::channel::oneshot;
use hashbrown::HashMap;

use super::{Released, ShardHandle};
use crate::shard::blocking::{Served, Waiter};

/// What a waiting client hears.
pub(crate) enum Call {
    /// Its reply, and when it may leave.
    Reply(Vec<u8>, oneshot::Receiver<Released>),
    /// There is something for it: it has to execute its command. See [`Served::Called`].
    Execute,
}

/// By connection, where those who wait here listen.
#[derive(Default)]
pub(super) struct Callers(RefCell<HashMap<u64, UnboundedSender<Call>>>);

impl ShardHandle {
    /// Adds a client to those who wait.
    pub(crate) fn block(&self, core: &mut crate::shard::Shard, waiter: Waiter, call: UnboundedSender<Call>) {
        self.callers.0.borrow_mut().insert(waiter.connection, call);
        core.block(waiter);
    }

    /// Removes a client from those who wait.
    pub(crate) fn unblock(&self, connection: u64) {
        if self.callers.0.borrow_mut().remove(&connection).is_some() {
            self.core.borrow_mut().unblock(connection);
            self.serve_blocked();
        }
    }

    /// Serves those who wait for something that could not be given at once.
    pub(crate) fn serve_blocked(&self) {
        let mut core = self.core.borrow_mut();
        if core.has_to_serve() && core.may_serve_blocked() {
            core.serve_blocked(self.now(), &|bytes| self.log_room(bytes));
        }
    }

    /// Calls those whose waiting has ended.
    pub(super) fn call_served(&self) {
        let served = self.core.borrow_mut().take_served();
        for (connection, served) in served {
            let call = match served {
                Served::Reply(reply, holds) => Call::Reply(reply, self.hold_until_released(holds)),
                Served::Called => Call::Execute,
            };
            // One that is gone by now took its element with it, as in Redis.
            if let Some(caller) = self.callers.0.borrow().get(&connection) {
                let _ = caller.unbounded_send(call);
            }
        }
    }
}
