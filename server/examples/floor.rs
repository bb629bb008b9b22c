//! The floor under a server's cost per request: sockets and event loop, and next to nothing else.
//!
//! One thread answers SET with `+OK` and GET with 64 bytes, without keeping anything, and takes every request for
//! well-formed. What a real shard spends above this is its own doing; what this spends is the runtime seam's.
//!
//! ```text
//! cargo run --release --example floor -- uring 6400
//! ```

use std::net::TcpListener;

use carousel_server::runtime::epoll::Epoll;
use carousel_server::runtime::uring::Uring;
use carousel_server::runtime::{Reader, RunOptions, Runtime, Stream, Writer};
use carousel_server::shard::mailbox::mailbox;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Room for a batch of requests; as `conn` has it.
const READ_BYTES: usize = 16 * 1024;

fn main() {
    let mut args = std::env::args().skip(1);
    let (runtime, port) = (args.next(), args.next().and_then(|port| port.parse().ok()));
    match (runtime.as_deref(), port) {
        (Some("uring"), Some(port)) => serve::<Uring>(port),
        (Some("epoll"), Some(port)) => serve::<Epoll>(port),
        #[cfg(feature = "glommio")]
        (Some("glommio"), Some(port)) => serve::<carousel_server::runtime::glommio::Glommio>(port),
        _ => eprintln!("usage: floor uring|epoll|glommio PORT (the last with --features glommio)"),
    }
}

fn serve<R: Runtime>(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let (sender, mut accepted) = mailbox();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            sender.send(stream.expect("a connection"));
        }
    });
    R::run(&RunOptions::default(), async {
        let mut streams = Vec::new();
        loop {
            accepted.drain(&mut streams).await;
            for stream in streams.drain(..) {
                R::spawn(converse(R::adopt(stream).expect("a socket")));
            }
        }
    })
    .expect("the runtime starts")
}

async fn converse<S: Stream>(stream: S) {
    let (mut reader, mut writer) = stream.split();
    let mut input = Vec::with_capacity(READ_BYTES);
    let mut output = Vec::with_capacity(READ_BYTES);
    loop {
        let (result, filled) = reader.read(input).await;
        input = filled;
        if !matches!(result, Ok(1..)) {
            return;
        }
        let mut rest = &input[..];
        while let Some(after) = answer(rest, &mut output) {
            rest = after;
        }
        let consumed = input.len() - rest.len();
        input.drain(..consumed);
        if output.is_empty() {
            continue;
        }
        let (result, written) = writer.write_all(output).await;
        output = written;
        output.clear();
        if result.is_err() {
            return;
        }
    }
}

/// Answers the first request of `input` and returns what follows it; `None` if it is not all there.
fn answer<'a>(input: &'a [u8], output: &mut Vec<u8>) -> Option<&'a [u8]> {
    if input.first() != Some(&b'*') {
        // An inline request, by which callers ask whether the server is up.
        let end = input.iter().position(|&byte| byte == b'\n')?;
        output.extend_from_slice(b"+PONG\r\n");
        return Some(&input[end + 1..]);
    }
    let (argc, mut rest) = number(input)?;
    let mut name = 0;
    for index in 0..argc {
        let (len, body) = number(rest)?;
        if index == 0 {
            name = *body.first()?;
        }
        rest = body.get(len + 2..)?;
    }
    match name {
        b'S' => output.extend_from_slice(b"+OK\r\n"),
        b'G' => {
            output.extend_from_slice(b"$64\r\n");
            output.extend_from_slice(&[b'x'; 64]);
            output.extend_from_slice(b"\r\n");
        }
        _ => output.extend_from_slice(b"*0\r\n"),
    }
    Some(rest)
}

/// The number of a line such as `*3` or `$64`, and what follows the line.
fn number(input: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, &byte) in input.iter().enumerate().skip(1) {
        match byte {
            b'\r' => return Some((value, input.get(index + 2..)?)),
            digit => value = value * 10 + usize::from(digit - b'0'),
        }
    }
    None
}
