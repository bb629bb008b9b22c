//! compio's single-threaded runtime, on io_uring.

mod flow;
mod reader;

use std::cell::RefCell;
use std::fs;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use compio::buf::{BufResult, IntoInner, IoBuf};
use compio::driver::ProactorBuilder;
use compio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use compio::net::{TcpStream, UnixStream};
use compio::runtime::RuntimeBuilder;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::{RunOptions, Runtime, Stream, affinity, turns};
pub use reader::UringReader;

/// Entries of the submission queue; a full one is submitted early. The completion queue has twice as many.
const RING_ENTRIES: u32 = 1024;

/// Tasks of one thread that other threads can wake at once before the waking thread has to wait.
const REMOTE_WAKES_MAX: usize = 1024;

/// The runtime that spends least per request, where the kernel (Linux 6.1) and its policy allow io_uring.
#[derive(Clone, Copy, Debug)]
pub struct Uring;

/// Measured to matter: without deferred task work each completion interrupts the thread, which costs half as much
/// again per request and leaves epoll ahead. The task-run flag belongs to it: without that, a turn that does not wait
/// in the kernel (because a task woke another one) would not collect completions at all.
fn proactor() -> ProactorBuilder {
    let mut builder = ProactorBuilder::new();
    builder
        .capacity(RING_ENTRIES)
        .single_issuer(true)
        .defer_taskrun(true)
        .coop_taskrun(true)
        .taskrun_flag(true)
        .buffer_pool_size(flow::POOL_BUFFERS)
        .buffer_pool_buffer_len(flow::POOL_BUFFER_BYTES);
    builder
}

fn build() -> io::Result<compio::runtime::Runtime> {
    RuntimeBuilder::new()
        .with_proactor(proactor())
        .event_interval(super::TASKS_PER_TURN as usize)
        .sync_queue_size(REMOTE_WAKES_MAX)
        .build()
}

thread_local! {
    /// Tasks that go on in the next turn.
    static YIELDED: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// The runtime's own `block_on`, which also says when a turn ends, and wakes those that have yielded only in the next:
/// compio runs a task that wakes itself again and again in one turn, up to [`super::TASKS_PER_TURN`] times.
fn run_loop<F: Future>(runtime: compio::runtime::Runtime, future: F) -> F::Output {
    turns::measure();
    let result = catch_unwind(AssertUnwindSafe(|| {
        runtime.enter(|| {
            let waker = runtime.waker();
            let mut context = Context::from_waker(&waker);
            let mut future = pin!(future);
            loop {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    runtime.run();
                    return output;
                }
                let has_more = runtime.run();
                turns::ended();
                let yielded = YIELDED.take();
                if has_more || !yielded.is_empty() {
                    runtime.poll_with(Some(Duration::ZERO));
                } else {
                    runtime.poll();
                }
                // Behind those whom the look for I/O has woken.
                yielded.into_iter().for_each(Waker::wake);
            }
        })
    }));
    YIELDED.take();
    // Dropping the runtime drops its tasks, which must not happen while a panic unwinds.
    drop(runtime);
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

impl Runtime for Uring {
    type Stream = UringStream;

    fn name() -> &'static str {
        "uring"
    }

    fn run<F: Future>(options: &RunOptions, future: F) -> io::Result<F::Output> {
        if let Some(cpu) = options.cpu {
            affinity::bind_thread(cpu)?;
        }
        Ok(run_loop(build()?, async {
            flow::prepare().await;
            future.await
        }))
    }

    fn spawn(future: impl Future<Output = ()> + 'static) {
        compio::runtime::spawn(future).detach();
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        compio::time::sleep(duration)
    }

    fn yield_now() -> impl Future<Output = ()> + 'static {
        let mut yielded = false;
        poll_fn(move |context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            YIELDED.with_borrow_mut(|all| all.push(context.waker().clone()));
            Poll::Pending
        })
    }

    fn adopt(stream: std::net::TcpStream) -> io::Result<UringStream> {
        // On a non-blocking socket io_uring answers EAGAIN instead of waiting.
        stream.set_nonblocking(false)?;
        super::set_nodelay(&stream)?;
        Ok(UringStream { stream: TcpStream::from_std(stream)? })
    }

    async fn connect(addr: SocketAddr) -> io::Result<UringStream> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(UringStream { stream })
    }
}

/// A TCP stream read and written through the ring.
#[derive(Debug)]
pub struct UringStream {
    stream: TcpStream,
}

impl AsFd for UringStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Stream for UringStream {
    type Reader = UringReader;
    type Writer = UringWriter;

    fn split(self) -> (UringReader, UringWriter) {
        (UringReader::new(self.stream.clone()), UringWriter { stream: self.stream })
    }
}

/// The sending side of a [`UringStream`].
#[derive(Debug)]
pub struct UringWriter {
    stream: TcpStream,
}

impl super::Writer for UringWriter {
    async fn write_all(&mut self, buf: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        // A send that fits the socket's buffer, as nearly all do, is done by a plain system call: through the ring it
        // would cost a second round of entering the kernel and running the task.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = match rustix::net::send(&self.stream, &buf, flags) {
            Ok(sent) if sent == buf.len() => return (Ok(()), buf),
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return (Err(error.into()), buf),
        };
        let BufResult(result, rest) = self.stream.write_all(buf.slice(sent..)).await;
        (result, rest.into_inner())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        super::ignore_not_connected(self.stream.shutdown().await)
    }
}

/// io_uring does not work here.
#[derive(Debug, thiserror::Error)]
#[error("no io_uring: {explanation} ({source})")]
pub struct UringUnavailable {
    /// What the error code usually means, in words that lead to a remedy.
    pub explanation: String,
    /// What the kernel said.
    pub source: io::Error,
}

/// Tries io_uring out: sets up a ring exactly as [`Uring`] does and receives a byte from a socket through it, as a
/// policy may allow the one and forbid the other.
///
/// Errors: what failed and the likely reason.
pub fn probe() -> Result<(), UringUnavailable> {
    try_out().map_err(|source| UringUnavailable { explanation: explain(&source), source })
}

fn try_out() -> io::Result<()> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    build()?.block_on(async {
        let (mut ours, mut theirs) = (UnixStream::from_std(ours)?, UnixStream::from_std(theirs)?);
        theirs.write_all(vec![b'?']).await.0?;
        let BufResult(result, _) = ours.read_exact(vec![0; 1]).await;
        result
    })
}

fn explain(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::PERM | Errno::ACCESS) => match read_number("/proc/sys/kernel/io_uring_disabled") {
            Some(level @ 1..) => format!("switched off by the sysctl kernel.io_uring_disabled={level}"),
            _ => {
                "forbidden, likely by the seccomp filter of a container runtime or service manager".to_owned()
            }
        },
        Some(Errno::NOSYS) => "this kernel, or a seccomp filter, does not have it".to_owned(),
        Some(Errno::INVAL) => {
            "this kernel lacks single-issuer rings with deferred task work (Linux 6.1)".to_owned()
        }
        Some(Errno::NOMEM) => match rustix::process::getrlimit(rustix::process::Resource::Memlock).current {
            Some(bytes) => {
                format!("no memory for the ring, perhaps by RLIMIT_MEMLOCK ({} KiB)", bytes / 1024)
            }
            None => "no memory for the ring".to_owned(),
        },
        Some(Errno::MFILE | Errno::NFILE) => "too many open files".to_owned(),
        _ => "it failed when tried out".to_owned(),
    }
}

fn read_number(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_explained() {
        let text = |errno: Errno| explain(&io::Error::from(errno));
        assert!(text(Errno::PERM).contains("seccomp") || text(Errno::PERM).contains("sysctl"));
        assert!(text(Errno::NOSYS).contains("kernel"));
        assert!(text(Errno::INVAL).contains("6.1"));
        assert!(text(Errno::NOMEM).contains("memory"));
        assert_eq!(explain(&io::Error::other("x")), "it failed when tried out");
    }
}
