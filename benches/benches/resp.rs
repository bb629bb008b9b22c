//! The path that every request takes: parsing, looking the command up, writing the reply.
//!
//! Each case is a read buffer of 64 pipelined requests, as a connection has it; times are per buffer, throughput per request.
//!
//! Run with `cargo bench -p carousel-benches --bench resp`.

use std::hint::black_box;

use carousel_protocol::command_table::lookup;
use carousel_protocol::resp::{Limits, Parsed, ReplyWriter, RequestParser, Version, encode_request};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PIPELINE: usize = 64;

fn requests(criterion: &mut Criterion) {
    let key = b"key:000000001234".as_slice();
    let value = [b'v'; 64];
    for (name, request) in [
        ("PING", vec![b"PING".as_slice()]),
        ("GET", vec![b"GET", key]),
        ("set in small letters", vec![b"set", key, &value]),
        ("SET EX", vec![b"SET", key, &value, b"EX", b"1000"]),
        ("SET of 4096 bytes", vec![b"SET", key, &[b'v'; 4096]]),
        ("MGET of 10 keys", [vec![b"MGET".as_slice()], vec![key; 10]].concat()),
    ] {
        let mut buffer = Vec::new();
        (0..PIPELINE).for_each(|_| encode_request(&mut buffer, &request));
        let mut group = criterion.benchmark_group(format!("requests: {name}"));
        group.throughput(Throughput::Elements(PIPELINE as u64));
        group.bench_function("parse", |bencher| bencher.iter(|| parse_all(black_box(&buffer), |_| 0)));
        let found = |name: &[u8]| lookup(name).map_or(0, |spec| spec.id.index());
        group.bench_function("parse and look up", |bencher| {
            bencher.iter(|| parse_all(black_box(&buffer), found))
        });
        group.finish();
    }
}

fn replies(criterion: &mut Criterion) {
    let value = [b'v'; 64];
    let mut out = Vec::with_capacity(1 << 20);
    type Write<'a> = &'a dyn Fn(&mut ReplyWriter<'_>, usize);
    let replies: [(&str, Write<'_>); 4] = [
        ("OK", &|writer, _| writer.ok()),
        ("bulk of 64 bytes", &|writer, _| writer.bulk(black_box(&value))),
        ("null", &|writer, _| writer.null()),
        ("integer of 7 digits", &|writer, i| writer.integer(1_000_000 + i as i64)),
    ];
    let mut group = criterion.benchmark_group("replies");
    group.throughput(Throughput::Elements(PIPELINE as u64));
    for (name, write) in replies {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let mut writer = ReplyWriter::new(&mut out, Version::Resp2);
                (0..PIPELINE).for_each(|i| write(&mut writer, i));
                out.len()
            })
        });
    }
    group.finish();
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

criterion_group!(benches, requests, replies);
criterion_main!(benches);
