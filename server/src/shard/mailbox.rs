//! Messages to a shard from other threads.
//!
//! Any thread sends, one task of the shard's thread receives. A send costs a push, and a wake-up of the shard's event
//! loop only when the receiver sleeps and nobody else has woken it yet; a receive takes everything at once. The number of
//! waiting messages is bounded by the senders: each batch of a connection has at most one message under way per shard.

use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures::task::AtomicWaker;

/// A new mailbox and its first sender.
pub fn mailbox<T>() -> (Sender<T>, Mailbox<T>) {
    let shared = Arc::new(Shared {
        messages: Mutex::new(Vec::new()),
        is_notified: AtomicBool::new(true),
        receiver: AtomicWaker::new(),
    });
    (Sender { shared: Arc::clone(&shared) }, Mailbox { shared })
}

struct Shared<T> {
    /// Held for one push or one swap; never across anything that can block or panic.
    messages: Mutex<Vec<T>>,
    /// False only while the receiver sleeps, or is about to, and no sender has woken it.
    is_notified: AtomicBool,
    receiver: AtomicWaker,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends to one shard. Cloning is cheap.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Sender<T> {
    /// Puts `message` behind those sent before it, and wakes the receiver if it sleeps. Never waits for the receiver.
    pub fn send(&self, message: T) {
        self.send_quietly(message);
        self.wake();
    }

    /// Puts `message` behind those sent before it. The receiver may sleep on until it is [woken](Self::wake): for a sender
    /// that has more to send.
    pub fn send_quietly(&self, message: T) {
        self.shared.lock().push(message);
    }

    /// Wakes the receiver if it sleeps.
    pub fn wake(&self) {
        // Pairs with the swap in `Mailbox::drain`: either this finds the receiver asleep and wakes it, or the receiver's
        // swap comes later, acquires this release, and so sees the message when it looks again.
        if !self.shared.is_notified.swap(true, Ordering::AcqRel) {
            self.shared.receiver.wake();
        }
    }
}

/// The receiving end, owned by one task.
pub struct Mailbox<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Mailbox<T> {
    /// A further sender to this mailbox.
    pub fn sender(&self) -> Sender<T> {
        Sender { shared: Arc::clone(&self.shared) }
    }

    /// Appends all waiting messages to `into` and returns how many; does not wait.
    pub fn try_drain(&mut self, into: &mut Vec<T>) -> usize {
        let before = into.len();
        let mut messages = self.shared.lock();
        if into.is_empty() {
            // The usual case: the two vectors change places, so neither side allocates in the long run.
            mem::swap(&mut *messages, into);
        } else {
            into.append(&mut messages);
        }
        into.len() - before
    }

    /// The receiver does not sleep after all, although it has begun to wait: spares the senders from waking it.
    pub fn stay_awake(&mut self) {
        self.shared.is_notified.store(true, Ordering::Relaxed);
    }

    /// Waits until there are messages, appends all of them to `into`, in order per sender, and returns how many.
    ///
    /// Dropping the future loses nothing.
    pub async fn drain(&mut self, into: &mut Vec<T>) -> usize {
        poll_fn(|context| {
            let mut count = self.try_drain(into);
            if count == 0 {
                self.shared.receiver.register(context.waker());
                self.shared.is_notified.swap(false, Ordering::AcqRel);
                count = self.try_drain(into);
                if count == 0 {
                    return Poll::Pending;
                }
                self.stay_awake();
            }
            Poll::Ready(count)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct CountWakes(AtomicUsize);

    impl Wake for CountWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_sleeping_receiver_is_woken_once_however_much_is_sent() {
        let wakes = Arc::new(CountWakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let (sender, mut mailbox) = mailbox();

        let mut batch = Vec::new();
        for round in 1..=2 {
            {
                let mut drain = pin!(mailbox.drain(&mut batch));
                assert!(drain.as_mut().poll(&mut context).is_pending());
                for message in 0..100 {
                    sender.send(message);
                }
                assert_eq!(wakes.0.load(Ordering::SeqCst), round);
                assert_eq!(drain.as_mut().poll(&mut context), Poll::Ready(100));
            }
            // Awake, so that this one needs no wake-up.
            sender.send(100);
            assert_eq!(wakes.0.load(Ordering::SeqCst), round);
            assert_eq!(pin!(mailbox.drain(&mut batch)).poll(&mut context), Poll::Ready(1));
            assert!(batch.drain(..).eq(0..=100));
        }
    }

    #[test]
    fn messages_are_appended_to_what_the_caller_has() {
        let (sender, mut mailbox) = mailbox();
        let mut batch = vec![1];
        assert_eq!(mailbox.try_drain(&mut batch), 0);
        sender.send(2);
        mailbox.sender().send(3);
        assert_eq!(mailbox.try_drain(&mut batch), 2);
        assert_eq!(batch, [1, 2, 3]);
    }

    #[test]
    fn a_dropped_drain_loses_nothing() {
        let (sender, mut mailbox) = mailbox();
        let mut context = Context::from_waker(Waker::noop());
        let mut batch = Vec::new();
        {
            let mut drain = pin!(mailbox.drain(&mut batch));
            assert!(drain.as_mut().poll(&mut context).is_pending());
            sender.send(1);
        }
        let mut drain = pin!(mailbox.drain(&mut batch));
        assert_eq!(drain.as_mut().poll(&mut context), Poll::Ready(1));
    }
}
