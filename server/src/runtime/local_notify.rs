//! A wake-up between tasks of one thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// A flag that many tasks of a thread set and one task of it waits for.
///
/// Setting it again before the waiting task has run costs one comparison, so each connection of a shard can ask for the
/// end-of-turn work without counting who else did. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct LocalNotify {
    inner: Rc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_set: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl LocalNotify {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and makes the waiting task ready, behind all tasks that are ready already.
    pub fn set(&self) {
        if !self.inner.is_set.replace(true)
            && let Some(waiter) = &*self.inner.waiter.borrow()
        {
            waiter.wake_by_ref();
        }
    }

    /// Waits until the flag is set, and clears it. Returns at once if it was set before.
    ///
    /// One task at a time may wait; dropping the future leaves the flag as it is.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.inner.is_set.take() {
                return Poll::Ready(());
            }
            let mut waiter = self.inner.waiter.borrow_mut();
            // The waker stays between waits: the task is the same, so this clones once in its life.
            if !waiter.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                *waiter = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}
