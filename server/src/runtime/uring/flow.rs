//! Receiving by one multishot operation that stays armed.
//!
//! compio has such a stream of its own, but stopping it loses what has arrived and not been read. So the operation here
//! keeps what arrives, and how it ended, where they outlive it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, Write};
use std::num::NonZero;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use compio::buf::{BufResult, SetLen};
use compio::driver::op::{RecvFlags, RecvMulti};
use compio::driver::{BufferPool, BufferRef, Extra, OpCode, OpEntry, SharedFd, ToSharedFd};
use compio::net::UnixStream;
use compio::runtime::{Runtime, SubmitMulti, submit_multi};
use futures::StreamExt;
use rustix::io::Errno;

/// Buffers of a shard's pool.
pub(super) const POOL_BUFFERS: NonZero<u16> = NonZero::new(1024).unwrap();

/// Bytes of a pool buffer: a short pipeline of small requests.
pub(super) const POOL_BUFFER_BYTES: usize = 4 * 1024;

thread_local! {
    static POOL: RefCell<Option<BufferPool>> = const { RefCell::new(None) };
}

/// The pool of this thread's runtime, once [`prepare`] has found that flows work.
pub(super) fn pool() -> Option<BufferPool> {
    POOL.with_borrow(Clone::clone)
}

/// Makes the pool of this thread's runtime; to be called once, before it has streams. Where flows do not work there is
/// none, and streams are received from directly.
pub(super) async fn prepare() {
    let pool = match Runtime::with_current(Runtime::buffer_pool) {
        Ok(pool) => end_is_heard(&pool).await.map(|heard| heard.then_some(pool)),
        Err(error) => Err(error),
    };
    let pool = pool.unwrap_or_else(|error| {
        tracing::info!(%error, "no multishot receives; requests cost a little more");
        None
    });
    POOL.set(pool);
}

/// Whether the end of a stream is heard of if it comes together with the last bytes: some kernels since Linux 6.5 lose
/// the second of two wake-ups of an armed multishot operation (CVE-2026-23473), and the connection would stay for ever.
async fn end_is_heard(pool: &BufferPool) -> io::Result<bool> {
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
    let mut flow = Flow::begin(UnixStream::from_std(ours)?.to_shared_fd(), pool)?;
    // Until the kernel has been entered, it is not armed.
    compio::time::sleep(Duration::from_millis(1)).await;
    theirs.write_all(b"?")?;
    drop(theirs);
    let heard = async {
        loop {
            match flow.wait().await {
                Ok(()) => drop(flow.arrived()),
                Err(End::OfStream) => return Ok(true),
                Err(End::Stopped) => return Ok(false),
                Err(End::Failed(error)) => return Err(error),
            }
        }
    };
    compio::time::timeout(Duration::from_millis(100), heard).await.unwrap_or_else(|_| {
        tracing::info!(
            "this kernel can lose the end of a connection in multishot receives, so none are used"
        );
        Ok(false)
    })
}

/// What arrives on a stream, in parts of at most [`POOL_BUFFER_BYTES`].
pub(super) struct Flow {
    /// `None` once it is to stop.
    operation: Option<SubmitMulti<Receive>>,
    arrived: Rc<RefCell<Arrived>>,
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
    pub(super) fn begin(stream: SharedFd<socket2::Socket>, pool: &BufferPool) -> io::Result<Self> {
        let receive = RecvMulti::new(stream.clone(), pool, 0, RecvFlags::empty())?;
        let arrived = Rc::<RefCell<Arrived>>::default();
        let mut operation = submit_multi(Receive { receive, pool: pool.clone(), arrived: arrived.clone() });
        // The first poll submits it. It wakes nobody: who waits is known in `arrived`.
        let _ = operation.poll_next_unpin(&mut Context::from_waker(Waker::noop()));
        Ok(Self { operation: Some(operation), arrived })
    }

    /// The next part that has arrived; it is not empty.
    pub(super) fn arrived(&mut self) -> Option<BufferRef> {
        self.arrived.borrow_mut().parts.pop_front()
    }

    /// Asks the operation to end soon. What arrives until then are further parts.
    pub(super) fn stop(&mut self) {
        self.operation = None;
    }

    /// Waits until a part has arrived. Not to be asked again after an end.
    pub(super) async fn wait(&mut self) -> Result<(), End> {
        poll_fn(|context| {
            let mut arrived = self.arrived.borrow_mut();
            if !arrived.parts.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = arrived.end.take() {
                return Poll::Ready(Err(end));
            }
            arrived.waiting = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Receive {
    /// Keeps what a completion brought.
    fn keep(&self, result: &io::Result<usize>, extra: &Extra) {
        let bytes = *result.as_ref().unwrap_or(&0);
        let buffer = extra.buffer_id().ok().and_then(|id| self.pool.take(id).ok().flatten());
        if bytes > 0 {
            let mut part = buffer.expect("what was received is in a buffer of the pool");
            // SAFETY: the kernel has filled so many bytes of the buffer with that number.
            unsafe { part.set_len(bytes) };
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
