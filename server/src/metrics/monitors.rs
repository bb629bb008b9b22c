//! Clients that watch what all others ask: `MONITOR`.
//!
//! Whoever executes a command writes one line into the queue of each watcher, whose connection takes it from there.
//! While nobody watches, that is one look at a counter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

/// Bytes of lines that may wait for a watcher that reads too slowly; then it is cut off.
pub const MONITOR_BYTES_MAX: usize = 64 * 1024 * 1024;

/// All watchers of a node.
#[derive(Default)]
pub struct Monitors {
    count: AtomicUsize,
    feeds: Mutex<Vec<Arc<Feed>>>,
}

/// What waits for one watcher.
#[derive(Default)]
pub struct Feed {
    lines: Mutex<Lines>,
    reader: AtomicWaker,
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    overflowed: bool,
}

/// A watcher's place among the others; it leaves when this is dropped.
pub struct MonitorHandle {
    monitors: Arc<Monitors>,
    feed: Arc<Feed>,
}

impl Monitors {
    /// Does nobody watch?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Enters a watcher, who gets every line from now on.
    pub fn join(self: &Arc<Self>) -> MonitorHandle {
        let feed = Arc::<Feed>::default();
        self.lock().push(feed.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        MonitorHandle { monitors: self.clone(), feed }
    }

    /// Gives a line, complete with its ending, to all.
    pub fn feed(&self, line: &[u8]) {
        for feed in self.lock().iter() {
            feed.push(line);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn push(&self, line: &[u8]) {
        {
            let mut lines = self.lock();
            if lines.bytes.len() + line.len() > MONITOR_BYTES_MAX {
                lines.overflowed = true;
            } else {
                lines.bytes.extend_from_slice(line);
            }
        }
        self.reader.wake();
    }

    /// Ready with all lines that wait, or `None` where too many were waiting. One task at a time may ask.
    pub fn poll_lines(&self, context: &Context<'_>) -> Poll<Option<Vec<u8>>> {
        self.reader.register(context.waker());
        let mut lines = self.lock();
        if lines.overflowed {
            return Poll::Ready(None);
        }
        if lines.bytes.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(Some(std::mem::take(&mut lines.bytes)))
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MonitorHandle {
    /// What waits for this watcher.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}

impl Drop for MonitorHandle {
    fn drop(&mut self) {
        self.monitors.lock().retain(|feed| !Arc::ptr_eq(feed, &self.feed));
        self.monitors.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn each_watcher_gets_every_line_until_it_leaves() {
        let monitors = Arc::<Monitors>::default();
        assert!(monitors.is_empty());
        let context = Context::from_waker(Waker::noop());
        let (first, second) = (monitors.join(), monitors.join());
        monitors.feed(b"+a\r\n");
        monitors.feed(b"+b\r\n");
        assert_eq!(first.feed().poll_lines(&context), Poll::Ready(Some(b"+a\r\n+b\r\n".to_vec())));
        assert_eq!(first.feed().poll_lines(&context), Poll::Pending);
        drop(first);
        monitors.feed(b"+c\r\n");
        assert_eq!(second.feed().poll_lines(&context), Poll::Ready(Some(b"+a\r\n+b\r\n+c\r\n".to_vec())));
        drop(second);
        assert!(monitors.is_empty());
    }

    #[test]
    fn a_watcher_that_does_not_read_is_given_up() {
        let monitors = Arc::<Monitors>::default();
        let watcher = monitors.join();
        let line = vec![b'x'; MONITOR_BYTES_MAX / 2 + 1];
        monitors.feed(&line);
        monitors.feed(&line);
        let context = Context::from_waker(Waker::noop());
        assert_eq!(watcher.feed().poll_lines(&context), Poll::Ready(None));
    }
}
