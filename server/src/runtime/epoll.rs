//! tokio's single-threaded runtime, on epoll.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{RunOptions, Runtime, Stream, affinity, turns};

/// The runtime that works on any Linux.
#[derive(Clone, Copy, Debug)]
pub struct Epoll;

impl Runtime for Epoll {
    type Stream = EpollStream;

    fn name() -> &'static str {
        "epoll"
    }

    fn run<F: Future>(options: &RunOptions, future: F) -> io::Result<F::Output> {
        if let Some(cpu) = options.cpu {
            affinity::bind_thread(cpu)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(super::TASKS_PER_TURN)
            .on_thread_park(turns::ended)
            .build_local(tokio::runtime::LocalOptions::default())?;
        turns::measure();
        Ok(runtime.block_on(future))
    }

    fn spawn(future: impl Future<Output = ()> + 'static) {
        // Dropping the handle detaches the task.
        drop(tokio::task::spawn_local(future));
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration)
    }

    fn yield_now() -> impl Future<Output = ()> + 'static {
        turns::ended();
        tokio::task::yield_now()
    }

    fn adopt(stream: std::net::TcpStream) -> io::Result<EpollStream> {
        stream.set_nonblocking(true)?;
        super::set_nodelay(&stream)?;
        Ok(EpollStream { stream: TcpStream::from_std(stream)? })
    }

    async fn connect(addr: SocketAddr) -> io::Result<EpollStream> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(EpollStream { stream })
    }
}

/// A TCP stream registered with epoll.
#[derive(Debug)]
pub struct EpollStream {
    stream: TcpStream,
}

impl AsFd for EpollStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Stream for EpollStream {
    type Reader = EpollReader;
    type Writer = EpollWriter;

    fn split(self) -> (EpollReader, EpollWriter) {
        let (half, other) = self.stream.into_split();
        (EpollReader { half }, EpollWriter { half: other })
    }
}

/// The receiving side of an [`EpollStream`].
#[derive(Debug)]
pub struct EpollReader {
    half: OwnedReadHalf,
}

impl super::Reader for EpollReader {
    async fn read(&mut self, mut buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        // tokio would grow a full buffer.
        if buf.len() == buf.capacity() {
            return (Err(super::no_room()), buf);
        }
        let result = self.half.read_buf(&mut buf).await;
        (result, buf)
    }
}

/// The sending side of an [`EpollStream`].
#[derive(Debug)]
pub struct EpollWriter {
    half: OwnedWriteHalf,
}

impl super::Writer for EpollWriter {
    async fn write_all(&mut self, buf: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let result = self.half.write_all(&buf).await;
        (result, buf)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        super::ignore_not_connected(self.half.shutdown().await)
    }
}
