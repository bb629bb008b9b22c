//! Receiving by one multishot operation that stays armed.
//!
//! compio has such a stream of its own, but stopping it loses what has arrived and not been read. So the operation here
//! keeps what arrives, and how it ended, where they outlive it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::num::NonZero;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use compio::buf::{BufResult, SetLen};
use compio::driver::op::{RecvFlags, RecvMulti};
use compio::driver::{BufferPool, BufferRef, Extra, OpCode, OpEntry, SharedFd, ToSharedFd};
use compio::net::TcpStream;
use compio::runtime::{SubmitMulti, submit_multi};
use futures::StreamExt;
use rustix::io::Errno;

/// Buffers of a shard's pool.
pub(super) const POOL_BUFFERS: NonZero<u16> = NonZero::new(256).unwrap();

/// Bytes of a pool buffer: a pipeline of a hundred small requests.
pub(super) const POOL_BUFFER_BYTES: usize = 16 * 1024;

/// What arrives on a stream, in parts of at most [`POOL_BUFFER_BYTES`].
pub(super) struct Flow {
    /// `None` once it is to stop.
    operation: Option<SubmitMulti<Receive>>,
    arrived: Rc<RefCell<Arrived>>,
    stream: SharedFd<socket2::Socket>,
    /// Its end has been told.
    ended: bool,
}

/// Why there are no more parts.
pub(super) enum End {
    /// It was told to stop, or the pool had no buffer left. The stream goes on.
    Stopped,
    /// The peer sends no more.
    OfStream,
    /// The connection failed.
    Failed(io::Error),
}

/// What an operation leaves to its flow.
#[derive(Default)]
struct Arrived {
    parts: VecDeque<BufferRef>,
    end: Option<End>,
    waiting: Option<Waker>,
}

/// The operation; it lives until its last completion, perhaps longer than the flow.
struct Receive {
    receive: RecvMulti<SharedFd<socket2::Socket>>,
    pool: BufferPool,
    arrived: Rc<RefCell<Arrived>>,
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("stopping", &self.operation.is_none()).finish_non_exhaustive()
    }
}

impl Flow {
    /// Begins to receive. Must be called inside the runtime that `pool` belongs to.
    ///
    /// Errors: the pool's runtime is gone.
    pub(super) fn begin(stream: &TcpStream, pool: &BufferPool) -> io::Result<Self> {
        let stream = stream.to_shared_fd();
        let receive = RecvMulti::new(stream.clone(), pool, 0, RecvFlags::empty())?;
        let arrived = Rc::<RefCell<Arrived>>::default();
        let mut operation = submit_multi(Receive { receive, pool: pool.clone(), arrived: arrived.clone() });
        // The first poll submits it. It wakes nobody: who waits is known in `arrived`.
        let _ = operation.poll_next_unpin(&mut Context::from_waker(Waker::noop()));
        Ok(Self { operation: Some(operation), arrived, stream, ended: false })
    }

    /// The next part, which is not empty. Not to be asked again after an end.
    pub(super) async fn next(&mut self) -> Result<BufferRef, End> {
        poll_fn(|context| {
            let mut arrived = self.arrived.borrow_mut();
            if let Some(part) = arrived.parts.pop_front() {
                return Poll::Ready(Ok(part));
            }
            if let Some(end) = arrived.end.take() {
                self.ended = true;
                return Poll::Ready(Err(end));
            }
            arrived.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Asks the operation to end soon. What arrives until then are further parts.
    pub(super) fn stop(&mut self) {
        self.operation = None;
    }
}

impl Drop for Flow {
    /// An armed operation would hold the socket open. The cancellation that is asked for by dropping it can be lost, if
    /// the submission queue is full; the end of the stream ends it for certain.
    fn drop(&mut self) {
        if !self.ended && self.arrived.borrow().end.is_none() {
            let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Read);
        }
    }
}

impl Receive {
    /// Keeps what a completion brought.
    fn keep(&self, result: &io::Result<usize>, extra: &Extra) {
        let (Ok(bytes @ 1..), Ok(id)) = (result, extra.buffer_id()) else { return };
        if let Ok(Some(mut part)) = self.pool.take(id) {
            // SAFETY: the kernel has filled so many bytes of the buffer with that number.
            unsafe { part.set_len(*bytes) };
            self.arrived.borrow_mut().parts.push_back(part);
        }
    }

    fn wake(&self) {
        let waiting = self.arrived.borrow_mut().waiting.take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

// SAFETY: the entry is that of compio's own operation, and the control needs nothing: the memory that the kernel writes
// to is that of the pool, which the driver keeps for as long as its ring.
unsafe impl OpCode for Receive {
    type Control = ();

    fn create_entry(&mut self, control: &mut ()) -> OpEntry {
        self.receive.create_entry(control)
    }

    unsafe fn push_multishot(&mut self, (): &mut (), result: io::Result<usize>, extra: Extra) {
        self.keep(&result, &extra);
        self.wake();
    }

    fn pop_multishot(&mut self, (): &mut ()) -> Option<BufResult<usize, Extra>> {
        None
    }

    unsafe fn set_result(&mut self, (): &mut (), result: &io::Result<usize>, extra: &Extra) {
        self.keep(result, extra);
        let end = match result {
            Ok(0) => End::OfStream,
            Ok(_) => End::Stopped,
            // This is what compio makes of ENOBUFS.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => End::Stopped,
            Err(error) => match Errno::from_io_error(error) {
                Some(Errno::CANCELED) => End::Stopped,
                Some(errno) => End::Failed(errno.into()),
                None => End::Failed(io::Error::new(error.kind(), error.to_string())),
            },
        };
        self.arrived.borrow_mut().end = Some(end);
        self.wake();
    }
}
