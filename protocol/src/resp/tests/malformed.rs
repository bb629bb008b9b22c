//! What is refused, and in which words. Each text was compared with redis-server 7.0.15.

use super::*;

/// The reply to `input`, or what became of it: requests complete, or waiting for more.
fn answer(limits: Limits, input: &[u8]) -> String {
    let outcome = feed(limits, input, &[]);
    let single_bytes: Vec<usize> = (0..input.len()).collect();
    assert_eq!(feed(limits, input, &single_bytes), outcome, "{:?}", input.escape_ascii().to_string());
    match outcome.error {
        Some(error) => {
            let mut out = Vec::new();
            ReplyWriter::new(&mut out, Version::Resp2).protocol_error(&error);
            out.escape_ascii().to_string()
        }
        None if outcome.consumed == input.len() => format!("{} requests", outcome.requests.len()),
        None => "waits".into(),
    }
}

#[test]
fn malformed_requests_are_refused_in_the_words_of_redis() {
    const COUNT: &str = r"-ERR Protocol error: invalid multibulk length\r\n";
    const BULK: &str = r"-ERR Protocol error: invalid bulk length\r\n";
    const QUOTES: &str = r"-ERR Protocol error: unbalanced quotes in request\r\n";
    let cases: &[(&[u8], &str)] = &[
        (b"*a\r\n", COUNT),
        (b"*\r\n", COUNT),
        (b"* 1\r\n", COUNT),
        (b"*1 \r\n", COUNT),
        (b"*+1\r\n", COUNT),
        (b"*01\r\n", COUNT),
        (b"*-0\r\n", COUNT),
        (b"*00\r\n", COUNT),
        (b"*9223372036854775808\r\n", COUNT),
        (b"*1048577\r\n", COUNT),
        (b"*1048576\r\n", "waits"),
        (b"*0\r\n", "1 requests"),
        (b"*-1\r\n", "1 requests"),
        (b"*-9223372036854775808\r\n", "1 requests"),
        (b"*1\r\nPING\r\n", r"-ERR Protocol error: expected \'$\', got \'P\'\r\n"),
        (b"*1\r\n:4\r\n", r"-ERR Protocol error: expected \'$\', got \':\'\r\n"),
        (b"*1\r\n\r\n", r"-ERR Protocol error: expected \'$\', got \' \'\r\n"),
        (b"*1\r\n\x80\r\n", r"-ERR Protocol error: expected \'$\', got \'\x80\'\r\n"),
        (b"*1\r\nPING", "waits"),
        (b"*1\r\n$\r\n", BULK),
        (b"*1\r\n$a\r\n", BULK),
        (b"*1\r\n$4x\r\nPING\r\n", BULK),
        (b"*1\r\n$-1\r\n", BULK),
        (b"*1\r\n$04\r\nPING\r\n", BULK),
        (b"*1\r\n$+4\r\n", BULK),
        (b"*1\r\n$536870913\r\n", BULK),
        (b"*1\r\n$536870912\r\n", "waits"),
        (b"*1\r\n$4\rxPING\r\n", "1 requests"),
        (b"*1\rx$4\r\nPING\r\n", "1 requests"),
        (b"*1\r\n$4\r\nPINGxxPING\r\n", "2 requests"),
        (b"ECHO 'a\r\n", QUOTES),
        (b"ECHO \"a\r\n", QUOTES),
        (b"ECHO \"a\"b\r\n", QUOTES),
        (b"ECHO 'a'b\r\n", QUOTES),
        (b"ECHO \"a\\\"\r\n", QUOTES),
    ];
    for (input, expected) in cases {
        assert_eq!(answer(Limits::default(), input), *expected, "{:?}", input.escape_ascii().to_string());
    }
}

#[test]
fn lines_without_an_end_are_refused_at_the_limit() {
    let longest = Limits::default().inline_bytes_max;
    for (head, line, text) in [
        ("", "x", r"-ERR Protocol error: too big inline request\r\n"),
        ("", "*", r"-ERR Protocol error: too big mbulk count string\r\n"),
        ("*1\r\n", "$", r"-ERR Protocol error: too big bulk count string\r\n"),
    ] {
        let mut input = format!("{head}{line}{}", "1".repeat(longest - 1)).into_bytes();
        assert_eq!(answer(Limits::default(), &input), "waits");
        assert_eq!(line == "x", answer(Limits::default(), &[&input[..], b"\n"].concat()) == "1 requests");
        input.push(b'1');
        assert_eq!(answer(Limits::default(), &input), text);
    }
}

#[test]
fn a_client_that_has_not_authenticated_may_send_little() {
    let parse = |input: &[u8]| {
        let mut parser = RequestParser::new(Limits::default());
        parser.set_authenticated(false);
        parser.parse(input, &mut Vec::new())
    };
    assert!(matches!(parse(b"*10\r\n$16384\r\n"), Ok(Parsed::Incomplete { .. })));
    assert_eq!(parse(b"*11\r\n$1\r\n"), Err(ProtocolError::UnauthenticatedMultibulkLength));
    assert_eq!(parse(b"*1\r\n$16385\r\n"), Err(ProtocolError::UnauthenticatedBulkLength));
    for (error, text) in [
        (ProtocolError::UnauthenticatedMultibulkLength, "Protocol error: unauthenticated multibulk length"),
        (ProtocolError::UnauthenticatedBulkLength, "Protocol error: unauthenticated bulk length"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn limits_can_change_between_requests() {
    let mut parser = RequestParser::new(Limits::default());
    parser.set_limits(Limits { args_max: 2, bulk_bytes_max: 5, inline_bytes_max: 64 });
    let mut parse = |input: &[u8]| parser.parse(input, &mut Vec::new());
    assert!(parse(b"*2\r\n$4\r\nECHO\r\n$5\r\nabcde\r\n").is_ok());
    assert_eq!(parse(b"*2\r\n$4\r\nECHO\r\n$6\r\nabcdef\r\n"), Err(ProtocolError::BulkLength));
    assert_eq!(parse(b"*3\r\n$4\r\nECHO\r\n"), Err(ProtocolError::MultibulkLength));
}

#[test]
fn a_request_beyond_what_a_range_can_name_is_refused() {
    let limits = Limits { bulk_bytes_max: usize::MAX, ..Limits::default() };
    let parse = |input: &[u8]| RequestParser::new(limits).parse(input, &mut Vec::new());
    // 17 bytes come before the argument's own, CR LF after them.
    let longest = u32::MAX as usize - 19;
    assert_eq!(
        parse(format!("*1\r\n${longest}\r\n").as_bytes()),
        Ok(Parsed::Incomplete { more: longest + 2 })
    );
    assert_eq!(parse(format!("*1\r\n${}\r\n", longest + 1).as_bytes()), Err(ProtocolError::RequestTooLong));
    assert_eq!(parse(format!("*1\r\n${}\r\n", i64::MAX).as_bytes()), Err(ProtocolError::RequestTooLong));
}
