//! Replies: what is written is read back, byte for byte as Redis writes it.

use proptest::prelude::*;

use super::*;

fn written(version: Version, write: impl FnOnce(&mut ReplyWriter<'_>)) -> String {
    let mut out = b"before".to_vec();
    write(&mut ReplyWriter::new(&mut out, version));
    out.strip_prefix(b"before").expect("earlier bytes are left alone").escape_ascii().to_string()
}

#[test]
fn each_type_is_written_as_its_version_has_it() {
    type Write = fn(&mut ReplyWriter<'_>);
    let cases: &[(Write, &str, &str)] = &[
        (|w| w.ok(), r"+OK\r\n", r"+OK\r\n"),
        (|w| w.simple("PO\r\nNG"), r"+PO  NG\r\n", r"+PO  NG\r\n"),
        (|w| w.error("ERR a\nb"), r"-ERR a b\r\n", r"-ERR a b\r\n"),
        (|w| w.error_bytes(b"ERR \xff"), r"-ERR \xff\r\n", r"-ERR \xff\r\n"),
        (|w| w.integer(7), r":7\r\n", r":7\r\n"),
        (|w| w.integer(-1), r":-1\r\n", r":-1\r\n"),
        (|w| w.integer(10), r":10\r\n", r":10\r\n"),
        (|w| w.integer(i64::MIN), r":-9223372036854775808\r\n", r":-9223372036854775808\r\n"),
        (|w| w.bulk(b"a\r\nb"), r"$4\r\na\r\nb\r\n", r"$4\r\na\r\nb\r\n"),
        (|w| w.bulk(b""), r"$0\r\n\r\n", r"$0\r\n\r\n"),
        (|w| w.bulk_integer(-120), r"$4\r\n-120\r\n", r"$4\r\n-120\r\n"),
        (|w| w.null(), r"$-1\r\n", r"_\r\n"),
        (|w| w.null_array(), r"*-1\r\n", r"_\r\n"),
        (|w| w.array(3), r"*3\r\n", r"*3\r\n"),
        (|w| w.map(3), r"*6\r\n", r"%3\r\n"),
        (|w| w.set(12), r"*12\r\n", r"~12\r\n"),
        (|w| w.push(345), r"*345\r\n", r">345\r\n"),
        (|w| w.double(1.5), r"$3\r\n1.5\r\n", r",1.5\r\n"),
        (|w| w.verbatim("txt", b"a b"), r"$3\r\na b\r\n", r"=7\r\ntxt:a b\r\n"),
    ];
    for (i, (write, resp2, resp3)) in cases.iter().enumerate() {
        assert_eq!(written(Version::Resp2, write), *resp2, "case {i}");
        assert_eq!(written(Version::Resp3, write), *resp3, "case {i}");
    }
}

#[test]
fn doubles_are_laid_out_as_redis_does() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (3.0, "3"),
        (-17.0, "-17"),
        (3.25, "3.25"),
        (0.1, "0.1"),
        (0.001, "0.001"),
        (-0.001234, "-0.001234"),
        (-0.0001234, "-1.234e-4"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (4503599627370495.0, "4503599627370495"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(double_text(value), text);
    }
}

fn reply() -> impl Strategy<Value = Reply> {
    let line = "[ -~]{0,20}";
    let bytes = || proptest::collection::vec(any::<u8>(), 0..120);
    let leaf = prop_oneof![
        line.prop_map(Reply::Simple),
        line.prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Integer),
        bytes().prop_map(Reply::Bulk),
        Just(Reply::Null),
        any::<f64>().prop_filter("NaN equals nothing", |d| !d.is_nan()).prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        ("[a-z]{3}", bytes()).prop_map(|(format, text)| Reply::Verbatim { format, text }),
        "-?[0-9]{1,30}".prop_map(Reply::BigNumber),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let items = || proptest::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items().prop_map(Reply::Array),
            items().prop_map(Reply::Set),
            items().prop_map(Reply::Push),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Reply::Map),
        ]
    })
}

proptest! {
    #[test]
    fn replies_survive_their_bytes_however_they_arrive(
        replies in proptest::collection::vec(reply(), 1..4),
        step in 1..50usize,
    ) {
        let mut stream = Vec::new();
        replies.iter().for_each(|reply| reply.encode(&mut stream));
        let (mut parser, mut start, mut read) = (ReplyParser::new(), 0, Vec::new());
        for arrived in (0..stream.len()).step_by(step).chain([stream.len()]) {
            while let Some((reply, consumed)) = parser.parse(&stream[start..arrived]).unwrap() {
                read.push(reply);
                start += consumed;
            }
        }
        prop_assert_eq!(read, replies);
        prop_assert_eq!(start, stream.len());
    }

    #[test]
    fn doubles_read_back_as_the_same_number(value in any::<f64>()) {
        prop_assume!(!value.is_nan());
        prop_assert_eq!(double_text(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
    }

    #[test]
    fn random_bytes_are_no_trouble_for_a_client(
        bytes in proptest::collection::vec(proptest::sample::select(b"+-:$*_%~>,#=(!|0123456789\r\ntfx.e".as_slice()), 0..200),
    ) {
        // One piece and single bytes agree, errors included.
        let whole = parse_reply(&bytes);
        let mut parser = ReplyParser::new();
        let mut pieces = Ok(None);
        for arrived in 0..=bytes.len() {
            pieces = parser.parse(&bytes[..arrived]);
            if !matches!(pieces, Ok(None)) {
                break;
            }
        }
        // NaN differs from itself: compare the texts.
        prop_assert_eq!(format!("{pieces:?}"), format!("{whole:?}"));
    }
}

#[test]
fn replies_of_resp2_and_attributes_are_understood() {
    let read = |input: &[u8]| parse_reply(input).map(|parsed| parsed.expect("it is all there"));
    assert_eq!(read(b"$-1\r\n"), Ok((Reply::Null, 5)));
    assert_eq!(read(b"*-1\r\n+OK\r\n"), Ok((Reply::Null, 5)));
    assert_eq!(read(b"!5\r\nERR x\r\n"), Ok((Reply::Error("ERR x".into()), 11)));
    assert_eq!(read(b":+5\r\n"), Ok((Reply::Integer(5), 5)));
    let attributed = b"|1\r\n+ttl\r\n:3600\r\n*2\r\n:1\r\n|1\r\n+a\r\n_\r\n:2\r\n";
    let expected = Reply::Array(vec![Reply::Integer(1), Reply::Integer(2)]);
    assert_eq!(read(attributed), Ok((expected, attributed.len())));
}

#[test]
fn malformed_replies_are_refused() {
    let value = |kind| ProtocolError::ReplyValue { kind };
    for (input, error) in [
        (b"x\r\n".as_slice(), ProtocolError::ReplyType { got: b'x' }),
        (b"$-2\r\n", value(b'$')),
        (b"$x\r\n", value(b'$')),
        (b"%-1\r\n", value(b'%')),
        (b":1x\r\n", value(b':')),
        (b",1x\r\n", value(b',')),
        (b"#x\r\n", value(b'#')),
        (b"_x\r\n", value(b'_')),
        (b"(1x\r\n", value(b'(')),
        (b"=3\r\ntxt\r\n", value(b'=')),
        (b"$1\r\nabc", ProtocolError::ReplyEnd),
        (&b"*1\r\n".repeat(100_000), ProtocolError::ReplyTooDeep),
    ] {
        let mut input = input.to_vec();
        input.extend_from_slice(b"+OK\r\n");
        assert_eq!(
            parse_reply(&input),
            Err(error),
            "{:?}",
            input[..input.len().min(40)].escape_ascii().to_string()
        );
    }
}

#[test]
fn a_large_reply_in_many_pieces_is_not_read_again_and_again() {
    let mut stream = b"*200000\r\n".to_vec();
    stream.extend_from_slice(&b"$1\r\nx\r\n".repeat(200_000));
    let mut parser = ReplyParser::new();
    for arrived in (0..stream.len()).step_by(3) {
        assert_eq!(parser.parse(&stream[..arrived]), Ok(None));
    }
    let (reply, consumed) = parser.parse(&stream).unwrap().unwrap();
    assert_eq!((reply.as_array().unwrap().len(), consumed), (200_000, stream.len()));
}

#[test]
fn views_of_a_reply_fit_its_type() {
    assert_eq!(Reply::Bulk(b"12".to_vec()).as_integer(), Some(12));
    assert_eq!(Reply::Integer(-3).as_integer(), Some(-3));
    assert_eq!(Reply::Boolean(true).as_integer(), Some(1));
    assert_eq!(Reply::Simple("OK".into()).as_str(), Some("OK"));
    assert_eq!(Reply::Bulk(vec![0xFF]).as_str(), None);
    assert_eq!(Reply::Error("ERR x".into()).as_error(), Some("ERR x"));
    assert_eq!(Reply::Error("ERR x".into()).as_bytes(), None);
    assert_eq!(Reply::Set(vec![Reply::Null]).as_array(), Some([Reply::Null].as_slice()));
}
