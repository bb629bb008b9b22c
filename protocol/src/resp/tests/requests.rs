//! The request parser: any fragmentation gives what one piece gives, and nothing makes it panic.

use proptest::prelude::*;

use super::*;

fn encoded(request: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_request(&mut out, &request.iter().map(Vec::as_slice).collect::<Vec<_>>());
    out
}

/// Arguments with lengths on both sides of every number of digits.
fn argument() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..12usize, 2 => 97..103usize, 1 => 996..1004usize];
    length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length))
}

/// Bytes that look like requests more often than random ones do.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"*1\r\n$4\r\nPING\r\n".to_vec()),
        Just(b"$3\r\nabc\r\n".to_vec()),
        Just(b"\n".to_vec()),
        (0..14u16).prop_map(|n| format!("*{n}\r\n").into_bytes()),
        (0..30u16).prop_map(|n| format!("${n}\r\n").into_bytes()),
        proptest::collection::vec(
            proptest::sample::select(b"*$0123456789-\r\n \"'\\xaZ\0\x0b\xff".as_slice()),
            0..12
        ),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn sorted_cuts(stream: &[u8], cuts: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn encoded_requests_are_read_back_however_they_arrive(
        requests in proptest::collection::vec(proptest::collection::vec(argument(), 0..12), 0..5),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let stream: Vec<u8> = requests.iter().flat_map(|request| encoded(request)).collect();
        let expected = Outcome { consumed: stream.len(), requests, error: None };
        prop_assert_eq!(&feed(Limits::default(), &stream, &sorted_cuts(&stream, &cuts)), &expected);
        prop_assert_eq!(&feed(SMALL, &stream, &[]), &expected);
    }

    #[test]
    fn noise_means_the_same_however_it_arrives(
        stream in noise(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let expected = feed(SMALL, &stream, &[]);
        prop_assert_eq!(&feed(SMALL, &stream, &sorted_cuts(&stream, &cuts)), &expected);
        let every_byte: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(&feed(SMALL, &stream, &every_byte), &expected);
    }

    #[test]
    fn random_bytes_do_not_panic(stream in proptest::collection::vec(any::<u8>(), 0..300)) {
        feed(Limits::default(), &stream, &[stream.len() / 2]);
        let after_star: Vec<u8> = b"*3\r\n".iter().chain(&stream).copied().collect();
        feed(Limits::default(), &after_star, &[after_star.len() / 2]);
    }
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    let stream = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$5\r\nva\r\nl\r\nPING\r\n*0\r\n\r\n\
        SET \"a\\x41b\" 'c d'\n*-1\r\n*2\r\n$4\r\nECHO\r\n$104\r\n\
        0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ\
        0123456789abcdefghijklmnopqrstuvwxyz0123456789AB\r\n*1\r\n$4\r\nPI";
    let expected = feed(Limits::default(), stream, &[]);
    assert_eq!(expected.requests.len(), 7);
    assert_eq!(expected.requests[1], [b"PING"]);
    assert_eq!(expected.requests[4], [b"SET".as_slice(), b"aAb", b"c d"]);
    assert_eq!(expected.requests[6][1].len(), 104);
    assert_eq!(expected.consumed, stream.len() - 10);
    for first in 0..stream.len() {
        for second in [first, (first + 1).min(stream.len()), (first + stream.len()) / 2] {
            assert_eq!(
                feed(Limits::default(), stream, &[first, second]),
                expected,
                "cut at {first}, {second}"
            );
        }
    }
}

#[test]
fn a_large_request_in_single_bytes_is_not_read_again_and_again() {
    // Were each call to start over, this would take 10^11 steps and never end.
    let mut stream = b"*100000\r\n".to_vec();
    stream.extend_from_slice(&b"$0\r\n\r\n".repeat(100_000));
    let (mut parser, mut args) = (RequestParser::new(Limits::default()), Vec::new());
    for arrived in 0..stream.len() {
        assert!(matches!(parser.parse(&stream[..arrived], &mut args), Ok(Parsed::Incomplete { .. })));
    }
    assert_eq!(parser.parse(&stream, &mut args), Ok(Parsed::Complete { consumed: stream.len() }));
    assert_eq!(args.len(), 100_000);
}

#[test]
fn a_claim_of_many_arguments_costs_no_memory_before_they_come() {
    let (mut parser, mut args) = (RequestParser::new(Limits::default()), Vec::new());
    assert_eq!(parser.parse(b"*1048576\r\n", &mut args), Ok(Parsed::Incomplete { more: 1 }));
    assert!(args.capacity() < 64, "{}", args.capacity());
}

#[test]
fn more_tells_what_is_missing_of_an_argument() {
    let (mut parser, mut args) = (RequestParser::new(Limits::default()), Vec::new());
    let input = b"*2\r\n$3\r\nGET\r\n$100000\r\nabc";
    assert_eq!(parser.parse(input, &mut args), Ok(Parsed::Incomplete { more: 100_000 + 2 - 3 }));
    assert!(parser.in_request());
}

#[test]
fn quotes_and_escapes_of_inline_requests_are_those_of_redis() {
    // Each checked against redis-server 7.0.15.
    let cases: &[(&[u8], &[&[u8]])] = &[
        (b"PING\n", &[b"PING"]),
        (b"  PING \t \r\n", &[b"PING"]),
        (b"\r\n", &[]),
        (b" \t\n", &[]),
        (b"ECHO a\"b c\"\r\n", &[b"ECHO", b"ab c"]),
        (b"ECHO \"\\x41\\n\\q\\\"\"\r\n", &[b"ECHO", b"A\nq\""]),
        (b"ECHO \"\\xfF\\xg0\\r\\t\\b\\a\\\\\"\r\n", &[b"ECHO", b"\xffxg0\r\t\x08\x07\\"]),
        (b"ECHO '\\'\\n'\r\n", &[b"ECHO", b"'\\n"]),
        (b"ECHO 'a\"b' \"c'd\"\r\n", &[b"ECHO", b"a\"b", b"c'd"]),
        (b"ECHO a\x0bb\r\n", &[b"ECHO", b"a\x0bb"]),
        (b"ECHO \x0bb\r\n", &[b"ECHO", b"b"]),
        (b"ECHO \"a\"\x0b\x0cb\r\n", &[b"ECHO", b"a", b"b"]),
        (b"ECHO \"\"\r\n", &[b"ECHO", b""]),
        (b"ECHO ''\r\n", &[b"ECHO", b""]),
        (b"ECHO a\\n\r\n", &[b"ECHO", b"a\\n"]),
        (b"ECHO a\rb\r\n", &[b"ECHO", b"a", b"b"]),
    ];
    for (input, expected) in cases {
        assert_eq!(
            one_request(input),
            Ok(expected.iter().map(|arg| arg.to_vec()).collect()),
            "{:?}",
            input.escape_ascii().to_string()
        );
        assert_eq!(split_words(input).unwrap(), *expected, "a line that a person typed");
    }
}

#[test]
fn arguments_are_seen_through_argv() {
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n";
    let (mut parser, mut args) = (RequestParser::new(Limits::default()), Vec::new());
    parser.parse(input, &mut args).unwrap();
    let argv = parser.argv(input, &args);
    assert_eq!((argv.len(), argv.is_empty()), (3, false));
    assert_eq!(argv.get(2), b"vv");
    assert_eq!(argv.skip(1).iter().collect::<Vec<_>>(), [b"k".as_slice(), b"vv"]);
    assert_eq!(argv.skip(9).len(), 0);
    assert_eq!(argv.iter().len(), 3);
    assert_eq!(format!("{argv:?}"), r#"["SET", "k", "vv"]"#);
}
