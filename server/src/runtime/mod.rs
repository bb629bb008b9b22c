//! The only place that knows an asynchronous runtime.
//!
//! A shard is one thread, one event loop and futures that are `!Send`. Three libraries can drive it: compio on
//! io_uring ([`uring::Uring`]), tokio on epoll ([`epoll::Epoll`], where io_uring is blocked, as container
//! defaults do), and, with the cargo feature of its name, glommio. All stand behind [`Runtime`], chosen once at start ([`RuntimeChoice::select`]) and passed on
//! as a type parameter, so that nothing on the data path is a boxed trait object.
//!
//! # Order of tasks
//!
//! The shard's turn-end work (write the log, send to replicas) relies on the order in which tasks run, so it is part of
//! the contract, and tested for every runtime:
//!
//! * Ready tasks run first-in first-out. A task woken by a running task runs after every task that was ready before.
//! * So a task which waits on a [`LocalNotify`] that each connection task sets runs once after all connections that were
//!   ready in this turn. Where more than [`TASKS_PER_TURN`] tasks are ready (for glommio: where they take longer than a
//!   tenth of a second), the runtime looks for I/O in between; the order stays.
//! * The future given to [`Runtime::run`] itself has no such place: it may be polled between any two turns, even without
//!   having been woken. Work whose order matters belongs in a spawned task.

pub mod affinity;
pub mod background;
mod choice;
pub mod epoll;
#[cfg(feature = "glommio")]
pub mod glommio;
pub mod hang_up;
mod local_notify;
pub mod turns;
pub mod uring;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

pub use affinity::{CpuId, Pinning, default_shards};
pub use choice::{RuntimeChoice, RuntimeKind, SelectError, Selected};
pub use local_notify::LocalNotify;

/// Tasks run in one turn before the runtime looks for new I/O and due timers.
///
/// A turn usually ends earlier, when no task is ready. The bound keeps a crowd of busy tasks from holding up timers
/// and new input.
pub const TASKS_PER_TURN: u32 = 1024;

/// How [`Runtime::run`] sets up its thread.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The processor to bind the calling thread to; `None` leaves its affinity alone. Threads that it spawns later
    /// inherit the binding.
    pub cpu: Option<CpuId>,
}

/// A single-threaded event loop with timers and TCP streams.
///
/// Everything but [`Runtime::run`] and [`Runtime::name`] must be called inside a `run` of the same runtime on the same
/// thread, and panics elsewhere.
pub trait Runtime: Sized + 'static {
    /// A connected TCP stream of this runtime.
    type Stream: Stream;

    /// The name by which `--runtime` and `INFO` know it.
    fn name() -> &'static str;

    /// Runs `future` on this thread until it is done, together with all tasks it spawns; tasks still alive then are
    /// dropped.
    ///
    /// Errors: the event loop cannot be set up (for io_uring as in [`uring::probe`]), or the thread cannot be bound to
    /// the given processor.
    fn run<F: Future>(options: &RunOptions, future: F) -> io::Result<F::Output>;

    /// Starts a task on this thread. It runs until done or until [`Runtime::run`] returns; to stop it earlier, wrap
    /// its future in [`futures::future::abortable`]. A panic ends the task alone: it is reported by the panic hook.
    fn spawn(future: impl Future<Output = ()> + 'static);

    /// Completes once `duration` has passed, by at most a few milliseconds late on an idle thread, never early.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static;

    /// Lets every other ready task run first, and the runtime look for I/O: what a long piece of work calls between its
    /// steps. So a turn has one of them, even where nobody else is ready.
    /// (glommio looks for I/O when nobody is ready or its timer says so, whoever yields.)
    fn yield_now() -> impl Future<Output = ()> + 'static;

    /// Takes over a connected socket, in blocking mode or not, and sets `TCP_NODELAY`. A connected Unix socket may be
    /// given as well, by its descriptor.
    ///
    /// Errors: those of `setsockopt` and `fcntl`, and registering it with the event loop.
    fn adopt(stream: std::net::TcpStream) -> io::Result<Self::Stream>;

    /// Connects and sets `TCP_NODELAY`. Has no timeout of its own beyond the kernel's.
    ///
    /// Errors: those of `connect(2)`.
    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + 'static;
}

/// A connected TCP stream, used through its two halves. As a descriptor it is for socket options only.
pub trait Stream: AsFd + 'static {
    /// The receiving side.
    type Reader: Reader;
    /// The sending side.
    type Writer: Writer;

    /// The halves; each may live in its own task of this thread. The socket closes when both are dropped.
    fn split(self) -> (Self::Reader, Self::Writer);
}

/// Receives from a stream.
pub trait Reader: 'static {
    /// Appends what has arrived, at least one byte, to `buf` within its spare capacity, and returns the number of
    /// bytes; 0 is the end of the stream. The buffer never grows: with no spare capacity this is an
    /// [`io::ErrorKind::InvalidInput`] error.
    ///
    /// The buffer is the kernel's until the future is done. Dropping the future cancels the read and loses the buffer,
    /// perhaps with bytes already taken from the stream, so only drop it to give up the stream.
    ///
    /// Errors: those of `recv(2)`; a reset by the peer is [`io::ErrorKind::ConnectionReset`].
    fn read(&mut self, buf: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;
}

/// Sends on a stream.
pub trait Writer: 'static {
    /// Sends all of `buf` and gives it back unchanged. Waits while the peer does not read.
    ///
    /// Dropping the future leaves an unknown part of the buffer sent, so only drop it to give up the stream.
    ///
    /// Errors: those of `send(2)`, never `SIGPIPE`; an unknown part has been sent then.
    fn write_all(&mut self, buf: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)>;

    /// Ends our direction: the peer reads the end of the stream after what was sent. Reading goes on.
    ///
    /// Errors: those of `shutdown(2)`, but none when the connection is gone already.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>>;
}

/// The error of a read into a buffer without spare capacity: it could not tell "no room" from "end of stream".
fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "read into a buffer without spare capacity")
}

/// Sends at once what is written, where the protocol could wait for more.
fn set_nodelay(stream: &std::net::TcpStream) -> io::Result<()> {
    match stream.set_nodelay(true) {
        // A Unix socket never waits.
        Err(error) if rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::OPNOTSUPP) => {
            Ok(())
        }
        other => other,
    }
}

/// `shutdown(2)` on a connection that is gone already has nothing left to do.
fn ignore_not_connected(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        other => other,
    }
}
