//! Nanoseconds per request of the path that every request takes: parsing, looking the command up, writing
//! the reply.
//!
//! Each case is a read buffer of 64 pipelined requests, as a connection has it. The best of many rounds is
//! printed: on a shared machine everything else is noise from outside.
//!
//! Run with `cargo bench -p carousel-benches --bench resp`.

use std::hint::black_box;
use std::time::Instant;

use carousel_protocol::command_table::lookup;
use carousel_protocol::resp::{Limits, Parsed, ReplyWriter, RequestParser, Version, encode_request};

const PIPELINE: usize = 64;
const ROUNDS: usize = 2_000;
const REPEATS: usize = 20;

fn main() {
    let key = b"key:000000001234".as_slice();
    let value = [b'v'; 64];
    println!("{:<44} {:>10} {:>14}", "64 requests in one buffer", "parse ns", "+ lookup ns");
    for (name, request) in [
        ("PING", vec![b"PING".as_slice()]),
        ("GET, key of 16 bytes", vec![b"GET", key]),
        ("set, key of 16 bytes, value of 64", vec![b"set", key, &value]),
        ("SET, value of 64, EX 1000", vec![b"SET", key, &value, b"EX", b"1000"]),
        ("SET, value of 4096", vec![b"SET", key, &[b'v'; 4096]]),
        ("MGET, 10 keys", [vec![b"MGET".as_slice()], vec![key; 10]].concat()),
        ("incrbyfloat", vec![b"incrbyfloat", key, b"1.5"]),
    ] {
        let mut buffer = Vec::new();
        (0..PIPELINE).for_each(|_| encode_request(&mut buffer, &request));
        let parse = best(|| parse_all(&buffer, |_| 0));
        let both = best(|| parse_all(&buffer, |name| lookup(name).map_or(0, |spec| spec.id.index())));
        println!("{name:<44} {parse:>10.1} {both:>14.1}");
    }

    println!("\n{:<44} {:>10}", "64 names", "lookup ns");
    for name in ["GET", "SET", "INCR", "EXPIRE", "PEXPIREAT", "INCRBYFLOAT", "NOSUCH"] {
        let names = [name.as_bytes(); PIPELINE];
        let nanos =
            best(|| black_box(&names).iter().filter_map(|name| lookup(name)).map(|s| s.id.index()).sum());
        println!("{name:<44} {nanos:>10.1}");
    }

    println!("\n{:<44} {:>10}", "64 replies", "write ns");
    let mut out = Vec::with_capacity(1 << 20);
    type Write<'a> = &'a dyn Fn(&mut ReplyWriter<'_>, usize);
    let replies: [(&str, Write<'_>); 5] = [
        ("+OK", &|w, _| w.ok()),
        ("bulk of 64 bytes", &|w, _| w.bulk(black_box(&value))),
        ("null", &|w, _| w.null()),
        ("integer of 1 digit", &|w, i| w.integer((i % 10) as i64)),
        ("integer of 7 digits", &|w, i| w.integer(1_000_000 + i as i64)),
    ];
    for (name, write) in replies {
        let nanos = best(|| {
            out.clear();
            let mut writer = ReplyWriter::new(&mut out, Version::Resp2);
            (0..PIPELINE).for_each(|i| write(&mut writer, i));
            out.len()
        });
        println!("{name:<44} {nanos:>10.1}");
    }
}

/// Parses the whole buffer as a connection does; `visit` sees each command's name.
fn parse_all(mut input: &[u8], mut visit: impl FnMut(&[u8]) -> usize) -> usize {
    let (mut parser, mut args) = (RequestParser::new(Limits::default()), Vec::with_capacity(16));
    let mut sum = 0;
    while let Ok(Parsed::Complete { consumed }) = parser.parse(input, &mut args) {
        let argv = parser.argv(input, &args);
        sum += visit(argv.get(0)) + argv.get(argv.len() - 1).len();
        input = &input[consumed..];
    }
    assert!(input.is_empty(), "the buffer holds whole requests");
    sum
}

/// Nanoseconds that one of the [`PIPELINE`] parts of `work` takes in the best of the repeats.
fn best(mut work: impl FnMut() -> usize) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(work());
        }
        fastest = fastest.min(start.elapsed().as_nanos() as f64 / (ROUNDS * PIPELINE) as f64);
    }
    fastest
}
