//! The receiving side of a stream.
//!
//! A client that sends small requests is received from by one multishot operation, a `Flow`: it stays armed, and the
//! kernel takes a buffer from the shard's pool whenever something has arrived. That spares a submission and an armed
//! poll per request. For whoever sends much at once, or faster than it is read, it would be a detour, as what a direct
//! read gets at once comes in parts and is copied out of the pool; such a stream is received from directly, one
//! operation per read, until it calms down.
//!
//! What has arrived waits in pool buffers until it is read, at most the whole pool: while none is left, the kernel ends
//! the flows that ask for one, and their streams too are received from directly.

use std::io;

use compio::buf::{BufResult, IntoInner, IoBufMut};
use compio::driver::{BufferPool, BufferRef, ToSharedFd};
use compio::io::AsyncRead;
use compio::net::TcpStream;

use super::Uring;
use super::flow::{self, End, Flow, POOL_BUFFER_BYTES};
use crate::runtime::{Reader, Runtime, no_room};

/// Reads made directly, after one of much or for want of pool buffers, before a flow is tried (again).
const DIRECT_READS: u32 = 64;

/// Bytes that have arrived are given out one read after the other; after so many, others have their turn.
const BYTES_AT_ONCE_MAX: usize = 64 * 1024;

/// Reads from a `UringStream`.
#[derive(Debug)]
pub struct UringReader {
    stream: TcpStream,
    /// `None` where flows do not work.
    pool: Option<BufferPool>,
    flow: Option<Flow>,
    /// What the last part of the flow had more than the caller's buffer had room for, and how much of it is read.
    rest: Option<(BufferRef, usize)>,
    direct_reads_left: u32,
    /// A direct read is under way.
    is_reading: bool,
    /// Bytes given out since the task last had to wait.
    bytes_at_once: usize,
}

impl UringReader {
    /// Must be called inside the runtime.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            pool: flow::pool(),
            flow: None,
            rest: None,
            direct_reads_left: 0,
            is_reading: false,
            bytes_at_once: 0,
        }
    }

    async fn read_directly(&mut self, buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        self.is_reading = true;
        let BufResult(result, buf) = self.stream.read(buf.uninit()).await;
        self.is_reading = false;
        let much = matches!(result, Ok(POOL_BUFFER_BYTES..));
        self.direct_reads_left = if much { DIRECT_READS } else { self.direct_reads_left.saturating_sub(1) };
        (result, buf.into_inner())
    }

    /// Moves what has arrived into `buf`, as far as there is room.
    fn read_arrived(&mut self, buf: &mut Vec<u8>) -> usize {
        let (before, mut parts) = (buf.len(), 0);
        loop {
            let Some((part, read)) = &mut self.rest else {
                let Some(part) = self.flow.as_mut().and_then(Flow::arrived) else { break };
                parts += 1;
                self.rest = Some((part, 0));
                continue;
            };
            let bytes = (part.len() - *read).min(buf.capacity() - buf.len());
            buf.extend_from_slice(&part[*read..*read + bytes]);
            *read += bytes;
            if *read < part.len() {
                break;
            }
            self.rest = None;
        }
        let bytes = buf.len() - before;
        if (parts > 1 || bytes >= POOL_BUFFER_BYTES)
            && let Some(flow) = &mut self.flow
        {
            flow.stop();
        }
        bytes
    }
}

impl Reader for UringReader {
    async fn read(&mut self, mut buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        if buf.len() == buf.capacity() {
            return (Err(no_room()), buf);
        }
        loop {
            if self.bytes_at_once >= BYTES_AT_ONCE_MAX {
                self.bytes_at_once = 0;
                Uring::yield_now().await;
            }
            let bytes = self.read_arrived(&mut buf);
            if bytes > 0 {
                self.bytes_at_once += bytes;
                return (Ok(bytes), buf);
            }
            self.bytes_at_once = 0;
            let flow = match (&mut self.flow, &self.pool) {
                (Some(flow), _) => flow,
                (None, Some(pool)) if self.direct_reads_left == 0 => {
                    match Flow::begin(self.stream.to_shared_fd(), pool) {
                        Ok(flow) => self.flow.insert(flow),
                        Err(error) => return (Err(error), buf),
                    }
                }
                (None, _) => return self.read_directly(buf).await,
            };
            match flow.wait().await {
                Ok(()) => {}
                Err(end) => {
                    self.flow = None;
                    match end {
                        End::Stopped => self.direct_reads_left = DIRECT_READS,
                        End::OfStream => return (Ok(0), buf),
                        End::Failed(error) => return (Err(error), buf),
                    }
                }
            }
        }
    }
}

impl Drop for UringReader {
    /// An operation under way holds the socket open. Dropping it asks for its cancellation, which a full submission
    /// queue loses; the end of the stream ends it for certain.
    fn drop(&mut self) {
        if self.is_reading || self.flow.is_some() {
            let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Read);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::super::flow::POOL_BUFFERS;
    use super::*;
    use crate::runtime::RunOptions;

    /// Our end, and the peer's.
    fn connection() -> (UringReader, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ours = listener.accept().unwrap().0;
        (UringReader::new(TcpStream::from_std(ours).unwrap()), theirs)
    }

    async fn read_all(reader: &mut UringReader, len: usize) -> Vec<u8> {
        let mut all = Vec::with_capacity(len);
        while all.len() < len {
            let (result, filled) = reader.read(all).await;
            assert_ne!(result.unwrap(), 0);
            all = filled;
        }
        all
    }

    /// `CAROUSEL_NO_URING=1` excuses a kernel that does not allow io_uring; one that is not fit for flows says so.
    fn run(test: impl Future<Output = ()>) {
        if std::env::var_os("CAROUSEL_NO_URING").is_some_and(|value| value == "1") {
            return;
        }
        let tested = Uring::run(&RunOptions::default(), async {
            match flow::pool() {
                Some(_) => test.await,
                None => eprintln!("not run: this kernel is not fit for multishot receives"),
            }
        });
        tested.unwrap();
    }

    #[test]
    fn who_sends_much_is_read_directly_until_it_calms_down() {
        run(async {
            let (mut reader, mut theirs) = connection();
            for _ in 0..3 {
                theirs.write_all(b"small").unwrap();
                assert_eq!(read_all(&mut reader, 5).await, b"small");
                assert!(reader.flow.is_some());

                let much = vec![7; 4 * POOL_BUFFER_BYTES];
                theirs.write_all(&much).unwrap();
                assert!(read_all(&mut reader, much.len()).await == much);
                // Something small may arrive before the flow has stopped.
                while reader.flow.is_some() {
                    theirs.write_all(b"small").unwrap();
                    assert_eq!(read_all(&mut reader, 5).await, b"small");
                }
                while reader.direct_reads_left > 0 {
                    assert!(reader.flow.is_none());
                    theirs.write_all(b"small").unwrap();
                    assert_eq!(read_all(&mut reader, 5).await, b"small");
                }
            }
        });
    }

    #[test]
    fn without_pool_buffers_streams_are_read_directly() {
        run(async {
            let (mut unread, mut hoarder) = connection();
            let (mut reader, mut theirs) = connection();
            hoarder.write_all(b"?").unwrap();
            assert_eq!(read_all(&mut unread, 1).await, b"?");
            let len = 2 * usize::from(POOL_BUFFERS.get()) * POOL_BUFFER_BYTES;
            let peer = std::thread::spawn(move || hoarder.write_all(&vec![9; len]).map(|()| hoarder));

            let deadline = Instant::now() + Duration::from_secs(30);
            while reader.direct_reads_left == 0 {
                assert!(Instant::now() < deadline, "the pool is never empty");
                theirs.write_all(b"x").unwrap();
                assert_eq!(read_all(&mut reader, 1).await, b"x");
            }
            assert!(read_all(&mut unread, len).await == vec![9; len]);
            drop(peer.join().unwrap().unwrap());
            for _ in 0..=DIRECT_READS {
                theirs.write_all(b"x").unwrap();
                assert_eq!(read_all(&mut reader, 1).await, b"x");
            }
            assert!(reader.flow.is_some(), "with buffers in the pool again");
            assert_eq!(unread.read(Vec::with_capacity(1)).await.0.unwrap(), 0);
        });
    }

    #[test]
    fn the_end_and_a_drop_close_the_connection() {
        run(async {
            let (mut reader, mut theirs) = connection();
            theirs.write_all(b"last").unwrap();
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(read_all(&mut reader, 4).await, b"last");
            for _ in 0..2 {
                assert_eq!(reader.read(Vec::with_capacity(9)).await.0.unwrap(), 0);
            }

            let (mut reader, mut theirs) = connection();
            theirs.write_all(b"first").unwrap();
            assert_eq!(read_all(&mut reader, 5).await, b"first");
            assert!(reader.flow.is_some());
            drop(reader);
            let peer = std::thread::spawn(move || theirs.read(&mut [0]).unwrap());
            while !peer.is_finished() {
                compio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(peer.join().unwrap(), 0);
        });
    }
}
