//! The parser of requests: the same requests, or the same error, however the bytes arrive.

use carousel_protocol::resp::{Limits, Parsed, RequestParser};

pub(super) const WORDS: &[&[u8]] = &[
    b"*1\r\n",
    b"*3\r\n",
    b"$3\r\nSET\r\n",
    b"$0\r\n\r\n",
    b"$-1\r\n",
    b"\r\n",
    b"\"",
    b"\\x41",
    b"'",
    b"PING",
    b"*-1\r\n",
];

const LIMITS: Limits = Limits { args_max: 1000, bulk_bytes_max: 100_000, inline_bytes_max: 300 };

/// What a connection gets out of its bytes.
#[derive(PartialEq, Debug)]
struct Read {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<String>,
}

/// The first byte says in how large pieces the others arrive, and whether the client has authenticated.
pub fn requests(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    let authenticated = how & 1 == 0;
    let at_once = read(bytes, bytes.len().max(1), authenticated);
    for piece in [1, 2 + usize::from(how >> 1)] {
        assert_eq!(read(bytes, piece, authenticated), at_once, "in pieces of {piece}");
    }
}

fn read(bytes: &[u8], piece: usize, authenticated: bool) -> Read {
    let mut parser = RequestParser::new(LIMITS);
    parser.set_authenticated(authenticated);
    let (mut args, mut read) = (Vec::new(), Read { requests: Vec::new(), error: None });
    let (mut start, mut end) = (0, 0);
    loop {
        let input = &bytes[start..end];
        match parser.parse(input, &mut args) {
            Ok(Parsed::Complete { consumed }) => {
                assert!((1..=input.len()).contains(&consumed), "{consumed} of {} bytes", input.len());
                read.requests.push(parser.argv(input, &args).iter().map(<[u8]>::to_vec).collect());
                start += consumed;
            }
            Ok(Parsed::Incomplete { more }) => {
                assert!(more > 0, "progress needs more bytes");
                if end == bytes.len() {
                    return read;
                }
                end = (end + piece).min(bytes.len());
            }
            Err(error) => {
                read.error = Some(error.to_string());
                return read;
            }
        }
    }
}
