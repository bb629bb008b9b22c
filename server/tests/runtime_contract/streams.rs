//! TCP streams.

use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::thread;

use carousel_server::runtime::{Reader, Runtime, Stream, Writer};
use carousel_server::shard::mailbox::mailbox;
use futures::channel::oneshot;
use futures::future::{abortable, join, join_all};
use futures::poll;

use crate::{pattern, read_exactly, run, socket_pair, start, write_all};

async fn echo<S: Stream>(stream: S) {
    let (mut reader, mut writer) = stream.split();
    let mut buf = Vec::with_capacity(1000);
    loop {
        let (result, filled) = reader.read(buf).await;
        if result.unwrap() == 0 {
            return;
        }
        let (result, written) = writer.write_all(filled).await;
        result.unwrap();
        buf = written;
        buf.clear();
    }
}

/// Reads exactly `len` bytes.
async fn read_exact(reader: &mut impl Reader, len: usize) -> Vec<u8> {
    let mut buf = Vec::with_capacity(len);
    while buf.len() < len {
        let (result, filled) = reader.read(buf).await;
        assert_ne!(result.unwrap(), 0, "end of stream after {} of {len} bytes", filled.len());
        buf = filled;
    }
    buf
}

pub fn echo_gives_back_what_was_sent<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    let peer = thread::spawn(move || {
        for len in [1, 999, 1000, 1001, 65_536] {
            write_all(&mut theirs, &pattern(len));
            assert_eq!(read_exactly(&mut theirs, len), pattern(len));
        }
    });
    run::<R, _, _>(|| async { echo(R::adopt(ours).unwrap()).await });
    peer.join().unwrap();
}

pub fn read_appends_within_the_spare_capacity<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    write_all(&mut theirs, b"0123456789");
    run::<R, _, _>(|| async move {
        let (mut reader, _writer) = R::adopt(ours).unwrap().split();
        let mut buf = Vec::with_capacity(8);
        buf.extend_from_slice(b"abc");
        let place = buf.as_ptr();
        let (result, buf) = reader.read(buf).await;
        assert_eq!(result.unwrap(), buf.capacity() - 3);
        assert!(b"abc0123456789".starts_with(&buf), "{buf:?}");
        assert_eq!(buf.as_ptr(), place, "the buffer was moved");
    });
    drop(theirs);
}

pub fn read_without_spare_capacity_is_an_error<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    write_all(&mut theirs, b"x");
    run::<R, _, _>(|| async {
        let (mut reader, _writer) = R::adopt(ours).unwrap().split();
        for full in [Vec::new(), vec![1, 2, 3].into_boxed_slice().into_vec()] {
            let (result, buf) = reader.read(full.clone()).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(buf, full);
        }
        assert_eq!(read_exact(&mut reader, 1).await, b"x");
    });
}

pub fn reads_smaller_than_what_arrived_lose_nothing<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    write_all(&mut theirs, &pattern(1000));
    run::<R, _, _>(|| async {
        let (mut reader, _writer) = R::adopt(ours).unwrap().split();
        let mut all = Vec::new();
        while all.len() < 1000 {
            let (result, piece) = reader.read(Vec::with_capacity(7)).await;
            assert_eq!(result.unwrap(), piece.len());
            all.extend(piece);
        }
        assert_eq!(all, pattern(1000));
    });
}

pub fn end_of_stream_from_the_peer_leaves_writing_open<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    write_all(&mut theirs, b"last words");
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    run::<R, _, _>(|| async {
        let (mut reader, mut writer) = R::adopt(ours).unwrap().split();
        assert_eq!(read_exact(&mut reader, 10).await, b"last words");
        for _ in 0..2 {
            assert_eq!(reader.read(Vec::with_capacity(10)).await.0.unwrap(), 0, "the end stays the end");
        }
        writer.write_all(b"heard".to_vec()).await.0.unwrap();
    });
    assert_eq!(read_exactly(&mut theirs, 5), b"heard");
    assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0, "closed after the halves were dropped");
}

pub fn shutdown_ends_our_direction_only<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    let peer = thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        write_all(&mut theirs, b"and you");
        all
    });
    run::<R, _, _>(|| async {
        let (mut reader, mut writer) = R::adopt(ours).unwrap().split();
        writer.write_all(b"done".to_vec()).await.0.unwrap();
        writer.shutdown().await.unwrap();
        assert_eq!(read_exact(&mut reader, 7).await, b"and you");
    });
    assert_eq!(peer.join().unwrap(), b"done");
}

pub fn shutdown_after_a_reset_is_no_error<R: Runtime>() {
    let (ours, theirs) = socket_pair();
    reset(theirs);
    run::<R, _, _>(|| async {
        let (mut reader, mut writer) = R::adopt(ours).unwrap().split();
        assert!(reader.read(Vec::with_capacity(1)).await.0.is_err());
        writer.shutdown().await.unwrap();
    });
}

/// Runs what blocks on a thread of its own, while the runtime goes on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::spawn(move || drop(sender.send(work())));
    let result = receiver.await.expect("the work sends its result");
    thread.join().unwrap();
    result
}

/// Closes so that the other side gets RST.
fn reset(stream: std::net::TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

pub fn reset_by_the_peer_is_an_error_of_read_and_write<R: Runtime>() {
    let (ours, theirs) = socket_pair();
    run::<R, _, _>(|| async {
        let (mut reader, mut writer) = R::adopt(ours).unwrap().split();
        // The read is under way when the reset comes.
        let mut read = Box::pin(reader.read(Vec::with_capacity(1)));
        assert!(poll!(&mut read).is_pending());
        reset(theirs);
        assert_eq!(read.await.0.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let (result, buf) = writer.write_all(b"to nobody".to_vec()).await;
        assert!(matches!(result.unwrap_err().kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
        assert_eq!(buf, b"to nobody");
    });
}

pub fn a_write_waits_for_a_peer_that_does_not_read<R: Runtime>() {
    const LEN: usize = 32 << 20;
    let (ours, mut theirs) = socket_pair();
    run::<R, _, _>(move || async move {
        let (_reader, mut writer) = R::adopt(ours).unwrap().split();
        let bytes = pattern(LEN);
        let place = bytes.as_ptr();
        let mut write = Box::pin(writer.write_all(bytes));
        for _ in 0..100 {
            assert!(poll!(&mut write).is_pending(), "more than any socket buffer holds");
            R::yield_now().await;
        }
        let peer = thread::spawn(move || assert!(read_exactly(&mut theirs, LEN) == pattern(LEN)));
        let (result, bytes) = write.await;
        result.unwrap();
        assert_eq!((bytes.len(), bytes.as_ptr()), (LEN, place), "the same buffer comes back");
        peer.join().unwrap();
    });
}

pub fn small_and_large_messages_in_turn_lose_nothing<R: Runtime>() {
    // Long enough calms between the bursts for a runtime to change how it receives, and back.
    let calm = std::iter::repeat_n(100, 200);
    let lens: Vec<usize> = calm
        .clone()
        .chain([1 << 20])
        .chain(calm.clone())
        .chain([16_384, 300_000, 16_383])
        .chain(calm)
        .collect();
    let (ours, mut theirs) = socket_pair();
    let sent = lens.clone();
    let peer = thread::spawn(move || {
        for len in sent {
            write_all(&mut theirs, &pattern(len));
            read_exactly(&mut theirs, 1);
        }
    });
    run::<R, _, _>(move || async move {
        let (mut reader, mut writer) = R::adopt(ours).unwrap().split();
        for len in lens {
            assert!(read_exact(&mut reader, len).await == pattern(len), "{len} bytes");
            writer.write_all(b"!".to_vec()).await.0.unwrap();
        }
    });
    peer.join().unwrap();
}

pub fn input_that_is_not_read_holds_up_nobody_else<R: Runtime>() {
    const LEN: usize = 4 << 20;
    run::<R, _, _>(|| async {
        let mut unread = Vec::new();
        for _ in 0..4 {
            let (ours, mut theirs) = socket_pair();
            let (mut reader, writer) = R::adopt(ours).unwrap().split();
            write_all(&mut theirs, b"?");
            assert_eq!(read_exact(&mut reader, 1).await, b"?");
            let peer = thread::spawn(move || {
                write_all(&mut theirs, &pattern(LEN));
                theirs
            });
            unread.push((reader, writer, peer));
        }
        let others: Vec<_> = (0..20)
            .map(|_| {
                let (ours, mut theirs) = socket_pair();
                R::spawn(echo(R::adopt(ours).unwrap()));
                let peer = move || {
                    for len in 1..500 {
                        write_all(&mut theirs, &pattern(len));
                        assert_eq!(read_exactly(&mut theirs, len), pattern(len));
                    }
                };
                blocking(peer)
            })
            .collect();
        join_all(others).await;
        for (mut reader, _writer, peer) in unread {
            assert!(read_exact(&mut reader, LEN).await == pattern(LEN));
            peer.join().unwrap();
        }
    });
}

pub fn both_directions_flow_at_once<R: Runtime>() {
    const LEN: usize = 8 << 20;
    let (left, right) = socket_pair();
    run::<R, _, _>(|| async {
        // Neither side could end if a stream did one thing at a time: both write more than the kernel buffers.
        let sides = [left, right].map(|socket| {
            let (mut reader, mut writer) = R::adopt(socket).unwrap().split();
            let reading = start::<R, _>(async move { read_exact(&mut reader, LEN).await == pattern(LEN) });
            let writing = start::<R, _>(async move { writer.write_all(pattern(LEN)).await.0.unwrap() });
            join(reading, writing)
        });
        for (is_right, ()) in join_all(sides).await {
            assert!(is_right);
        }
    });
}

pub fn many_connections_share_one_thread<R: Runtime>() {
    const CONNECTIONS: usize = 200;
    const ROUNDS: usize = 50;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    run::<R, _, _>(move || async move {
        let clients = (0..CONNECTIONS).map(|number| {
            let message = pattern(number + 1);
            start::<R, _>(async move {
                let (mut reader, mut writer) = R::connect(addr).await.unwrap().split();
                for _ in 0..ROUNDS {
                    writer.write_all(message.clone()).await.0.unwrap();
                    assert_eq!(read_exact(&mut reader, message.len()).await, message);
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        let (sender, mut accepted) = mailbox();
        let accepting = thread::spawn(move || {
            for _ in 0..CONNECTIONS {
                sender.send(listener.accept().unwrap().0);
            }
        });
        let mut sockets = Vec::new();
        while sockets.len() < CONNECTIONS {
            let known = sockets.len();
            accepted.drain(&mut sockets).await;
            for socket in &sockets[known..] {
                R::spawn(echo(R::adopt(socket.try_clone().unwrap()).unwrap()));
            }
        }
        accepting.join().unwrap();
        join_all(clients).await;
    });
}

pub fn dropping_both_halves_closes_the_connection<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    run::<R, _, _>(|| async move {
        let (mut reader, writer) = R::adopt(ours).unwrap().split();
        let mut read = Box::pin(reader.read(Vec::with_capacity(100)));
        assert!(poll!(&mut read).is_pending());
        R::yield_now().await;
        // Given up in the middle of a read.
        drop(read);
        drop((reader, writer));
        assert_eq!(blocking(move || theirs.read(&mut [0; 1]).unwrap()).await, 0);
    });
}

pub fn an_aborted_task_closes_its_connection<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    run::<R, _, _>(|| async move {
        let (task, handle) = abortable(echo(R::adopt(ours).unwrap()));
        let ended = start::<R, _>(task);
        R::yield_now().await;
        handle.abort();
        assert!(ended.await.is_err());
        assert_eq!(blocking(move || theirs.read(&mut [0; 1]).unwrap()).await, 0);
    });
}

pub fn an_adopted_socket_may_be_non_blocking_and_gets_no_delay<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    ours.set_nonblocking(true).unwrap();
    let view = ours.try_clone().unwrap();
    assert!(!view.nodelay().unwrap());
    run::<R, _, _>(|| async move {
        let (mut reader, _writer) = R::adopt(ours).unwrap().split();
        assert!(view.nodelay().unwrap());
        let mut read = Box::pin(reader.read(Vec::with_capacity(5)));
        assert!(poll!(&mut read).is_pending(), "nothing has arrived: neither data nor an error");
        write_all(&mut theirs, b"hello");
        assert_eq!(read.await.0.unwrap(), 5);
    });
}

pub fn connect_reaches_a_listener<R: Runtime>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    run::<R, _, _>(move || async move {
        let (_reader, mut writer) = R::connect(addr).await.unwrap().split();
        let (mut reader, _writer) = R::adopt(listener.accept().unwrap().0).unwrap().split();
        writer.write_all(b"hello".to_vec()).await.0.unwrap();
        let (result, bytes) = reader.read(Vec::with_capacity(5)).await;
        assert_eq!((result.unwrap(), &bytes[..]), (5, &b"hello"[..]));
    });
}

pub fn connect_to_nobody_is_refused<R: Runtime>() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    run::<R, _, _>(move || async move {
        let Err(error) = R::connect(addr).await.map(|_| ()) else { panic!("connected to nobody") };
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}
