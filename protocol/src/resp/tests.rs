//! Tests of the codecs as a whole.

use super::*;

/// Parses `input` given in one piece; the arguments and what they took, or `None` where it is incomplete.
fn whole(input: &[u8]) -> Result<Option<(Vec<Vec<u8>>, usize)>, ProtocolError> {
    let (mut parser, mut args) = (RequestParser::new(Limits::default()), Vec::new());
    Ok(match parser.parse(input, &mut args)? {
        Parsed::Complete { consumed } => {
            Some((parser.argv(input, &args).iter().map(<[u8]>::to_vec).collect(), consumed))
        }
        Parsed::Incomplete { .. } => None,
    })
}

#[test]
fn a_request_is_its_arguments() {
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nhello\r\nworld\r\nPING\r\n";
    let args = vec![b"SET".to_vec(), b"k".to_vec(), b"hello\r\nworld".to_vec()];
    assert_eq!(whole(input), Ok(Some((args, input.len() - 6))));
}
