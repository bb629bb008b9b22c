//! The receiving side of a stream.
//!
//! A client that sends small requests is received from by one multishot operation, a `Flow`: it stays armed, and the
//! kernel takes a buffer from the shard's pool whenever something has arrived. That spares a submission and an armed
//! poll per request. For whoever sends much at once it would be a detour, as everything is copied out of the pool and
//! comes in many parts; such a stream is received from directly, one operation per read, until it calms down.
//!
//! What has arrived waits in pool buffers until it is read, at most the whole pool: while none is left, the kernel ends
//! the flows that ask for one, and their streams too are received from directly.

use std::io;

use compio::buf::{BufResult, IntoInner, IoBufMut};
use compio::driver::{BufferPool, BufferRef};
use compio::io::AsyncRead;
use compio::net::TcpStream;

use super::flow::{End, Flow, POOL_BUFFER_BYTES};
use crate::runtime::{Reader, no_room};

/// Reads made directly, after one of much or for want of pool buffers, before a flow is tried (again).
const DIRECT_READS: u32 = 64;

/// Reads from a `UringStream`.
#[derive(Debug)]
pub struct UringReader {
    stream: TcpStream,
    /// `None` where the kernel or a limit allows no pool.
    pool: Option<BufferPool>,
    flow: Option<Flow>,
    /// What the last part of the flow had more than the caller's buffer had room for, and how much of it is read.
    rest: Option<(BufferRef, usize)>,
    direct_reads_left: u32,
}

impl UringReader {
    /// Must be called inside the runtime.
    pub(super) fn new(stream: TcpStream) -> Self {
        let pool = compio::runtime::Runtime::with_current(|runtime| runtime.buffer_pool()).ok();
        Self { stream, pool, flow: None, rest: None, direct_reads_left: 0 }
    }

    async fn read_directly(&mut self, buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let BufResult(result, buf) = self.stream.read(buf.uninit()).await;
        let much = matches!(result, Ok(POOL_BUFFER_BYTES..));
        self.direct_reads_left = if much { DIRECT_READS } else { self.direct_reads_left.saturating_sub(1) };
        (result, buf.into_inner())
    }

    /// Moves what is left of the last part into `buf`, as far as there is room.
    fn read_rest(&mut self, buf: &mut Vec<u8>) -> usize {
        let Some((part, read)) = &mut self.rest else { return 0 };
        let bytes = (part.len() - *read).min(buf.capacity() - buf.len());
        buf.extend_from_slice(&part[*read..*read + bytes]);
        *read += bytes;
        if *read == part.len() {
            self.rest = None;
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
            if self.rest.is_some() {
                let bytes = self.read_rest(&mut buf);
                return (Ok(bytes), buf);
            }
            let flow = match (&mut self.flow, &self.pool) {
                (Some(flow), _) => flow,
                (None, Some(pool)) if self.direct_reads_left == 0 => match Flow::begin(&self.stream, pool) {
                    Ok(flow) => self.flow.insert(flow),
                    Err(error) => return (Err(error), buf),
                },
                (None, _) => return self.read_directly(buf).await,
            };
            match flow.next().await {
                Ok(part) => {
                    if part.len() == POOL_BUFFER_BYTES {
                        flow.stop();
                    }
                    self.rest = Some((part, 0));
                }
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::super::flow::POOL_BUFFERS;
    use super::*;

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

    /// `CAROUSEL_NO_URING=1` excuses a kernel that does not allow it.
    fn run(test: impl Future<Output = ()>) {
        if std::env::var_os("CAROUSEL_NO_URING").is_none_or(|value| value != "1") {
            super::super::build().unwrap().block_on(test);
        }
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
