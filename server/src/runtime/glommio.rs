//! glommio's executor, on io_uring; there with the cargo feature `glommio`.
//!
//! Where it differs from the other two within the contract: a turn ends by time ([`TURN_MAX`]) and not by a number of
//! tasks, and its tasks are dropped at the end of [`Runtime::run`] by us, as the executor leaves those that wait.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{AbortHandle, abortable};
use futures::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use hashbrown::HashMap;

use super::{RunOptions, Runtime, Stream, affinity};

/// Entries of each of the executor's three rings.
const RING_ENTRIES: usize = 1024;

/// Memory for files, which nothing here reads or writes through this executor. It is locked memory, so little is good.
const FILE_MEMORY_BYTES: usize = 64 * 1024;

/// How long tasks run at most before the executor looks for I/O and due timers. Usually it looks much sooner: when no task is ready.
///
/// Not shorter, because of a fault of glommio 0.9.0: where this time is over before the first task of a turn has begun (which
/// takes a thread that gets no processor for as long), the executor goes to sleep although tasks are ready, until the next event of the
/// kernel's. With a millisecond two threads that wake each other 20,000 times on busy cores stood still in one of five runs.
const TURN_MAX: Duration = Duration::from_millis(100);

/// Bytes that one read takes at most.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Locked memory that glommio asks for before it starts.
const LOCKED_BYTES_MIN: u64 = 512 * 1024;

/// glommio's runtime.
#[derive(Clone, Copy, Debug)]
pub struct Glommio;

/// Why glommio cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum GlommioUnavailable {
    /// The limit of locked memory.
    #[error(
        "it needs {LOCKED_BYTES_MIN} bytes of locked memory and may lock {limit}: raise the limit (ulimit -l, or LimitMEMLOCK= of a \
         systemd unit)"
    )]
    LockedMemory {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Anything else: usually io_uring is not there or not allowed.
    #[error("io_uring does not work here: {0}")]
    Uring(String),
}

/// Can an executor be made? Starts one on a thread of its own and stops it.
///
/// # Errors
/// What is missing.
pub fn probe() -> Result<(), GlommioUnavailable> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current.unwrap_or(u64::MAX);
    if limit < LOCKED_BYTES_MIN {
        return Err(GlommioUnavailable::LockedMemory { limit });
    }
    // A thread of its own, because glommio panics where a ring breaks after it was made.
    let tried = std::thread::spawn(|| build().map(|executor| executor.run(async {}))).join();
    match tried {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(GlommioUnavailable::Uring(error.to_string())),
        Err(_) => Err(GlommioUnavailable::Uring("its executor panicked".into())),
    }
}

fn build() -> io::Result<LocalExecutor> {
    let builder = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(FILE_MEMORY_BYTES)
        .ring_depth(RING_ENTRIES)
        .preempt_timer(TURN_MAX);
    Ok(builder.make()?)
}

thread_local! {
    /// Tasks that are not done, while an executor runs on this thread.
    static TASKS: RefCell<Tasks> = RefCell::default();
    /// What was read last, on its way to the buffer that it was read for.
    static ARRIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MAX].into());
}

#[derive(Default)]
struct Tasks {
    next: u64,
    handles: HashMap<u64, AbortHandle>,
}

impl Runtime for Glommio {
    type Stream = GlommioStream;

    fn name() -> &'static str {
        "glommio"
    }

    fn run<F: Future>(options: &RunOptions, future: F) -> io::Result<F::Output> {
        if let Some(cpu) = options.cpu {
            affinity::bind_thread(cpu)?;
        }
        Ok(build()?.run(async {
            let output = future.await;
            end_tasks().await;
            output
        }))
    }

    fn spawn(future: impl Future<Output = ()> + 'static) {
        let (future, handle) = abortable(future);
        let number = TASKS.with_borrow_mut(|tasks| {
            tasks.next += 1;
            tasks.handles.insert(tasks.next, handle);
            tasks.next
        });
        let task = async move {
            // The panic hook has reported it; further than that it would reach the executor and end every task.
            let _ = AssertUnwindSafe(future).catch_unwind().await;
            TASKS.with_borrow_mut(|tasks| tasks.handles.remove(&number));
        };
        glommio::spawn_local(task).detach();
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        glommio::timer::sleep(duration)
    }

    fn yield_now() -> impl Future<Output = ()> + 'static {
        let mut yielded = false;
        poll_fn(move |context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    fn adopt(stream: std::net::TcpStream) -> io::Result<GlommioStream> {
        super::set_nodelay(&stream)?;
        // SAFETY: the descriptor is open and from here on owned by nobody else.
        let stream = unsafe { TcpStream::from_raw_fd(stream.into_raw_fd()) };
        Ok(GlommioStream { shared: Rc::new(RefCell::new(stream)) })
    }

    async fn connect(addr: SocketAddr) -> io::Result<GlommioStream> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(GlommioStream { shared: Rc::new(RefCell::new(stream)) })
    }
}

/// Aborts the tasks that are left, those that they start meanwhile included, and waits until each has gone.
async fn end_tasks() {
    loop {
        let handles: Vec<_> = TASKS.with_borrow(|tasks| tasks.handles.values().cloned().collect());
        if handles.is_empty() {
            return;
        }
        handles.iter().for_each(AbortHandle::abort);
        Glommio::yield_now().await;
    }
}

/// A TCP stream of glommio's executor.
#[derive(Debug)]
pub struct GlommioStream {
    shared: Rc<RefCell<TcpStream>>,
}

impl AsFd for GlommioStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let descriptor = self.shared.borrow().as_raw_fd();
        // SAFETY: the stream keeps its descriptor open for as long as it lives, and it lives as long as `self`.
        unsafe { BorrowedFd::borrow_raw(descriptor) }
    }
}

impl Stream for GlommioStream {
    type Reader = GlommioReader;
    type Writer = GlommioWriter;

    fn split(self) -> (GlommioReader, GlommioWriter) {
        (GlommioReader { shared: Rc::clone(&self.shared) }, GlommioWriter { shared: self.shared })
    }
}

/// The receiving side of a [`GlommioStream`].
#[derive(Debug)]
pub struct GlommioReader {
    shared: Rc<RefCell<TcpStream>>,
}

impl super::Reader for GlommioReader {
    async fn read(&mut self, mut buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let spare = (buf.capacity() - buf.len()).min(READ_BYTES_MAX);
        if spare == 0 {
            return (Err(super::no_room()), buf);
        }
        let result = poll_fn(|context| {
            // glommio writes to initialised memory only: what has arrived is copied, rather than each buffer cleared.
            ARRIVED.with_borrow_mut(|arrived| {
                let polled = self.poll(context, &mut arrived[..spare]);
                if let Poll::Ready(Ok(count)) = &polled {
                    buf.extend_from_slice(&arrived[..*count]);
                }
                polled
            })
        })
        .await;
        (result, buf)
    }
}

impl GlommioReader {
    fn poll(&self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.shared.borrow_mut()).poll_read(context, into)
    }
}

/// The sending side of a [`GlommioStream`].
#[derive(Debug)]
pub struct GlommioWriter {
    shared: Rc<RefCell<TcpStream>>,
}

impl super::Writer for GlommioWriter {
    async fn write_all(&mut self, buf: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let mut sent = 0;
        let result = poll_fn(|context| {
            while sent < buf.len() {
                let mut stream = self.shared.borrow_mut();
                match pin!(&mut *stream).poll_write(context, &buf[sent..]) {
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await;
        (result, buf)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        let ended = self.shared.borrow().shutdown(std::net::Shutdown::Write).await;
        super::ignore_not_connected(ended.map_err(io::Error::from))
    }
}
