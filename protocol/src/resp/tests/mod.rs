//! Tests of the codecs as a whole.

mod malformed;
mod replies;
mod requests;

use super::*;

/// What a stream of requests came to.
#[derive(Clone, PartialEq, Debug)]
struct Outcome {
    /// Arguments of each complete request, the empty ones included.
    requests: Vec<Vec<Vec<u8>>>,
    /// Bytes that the complete requests took.
    consumed: usize,
    /// What ended the stream, where it is not merely incomplete.
    error: Option<ProtocolError>,
}

/// Small limits, so that short inputs reach them.
const SMALL: Limits = Limits { args_max: 12, bulk_bytes_max: 1200, inline_bytes_max: 40 };

/// Feeds `stream` as a connection does, reading up to each of `cuts` and then to the end: the buffer grows
/// by what arrived and loses each complete request.
fn feed(limits: Limits, stream: &[u8], cuts: &[usize]) -> Outcome {
    let (mut parser, mut args) = (RequestParser::new(limits), Vec::new());
    let mut outcome = Outcome { requests: Vec::new(), consumed: 0, error: None };
    let mut needed = 0;
    for &arrived in cuts.iter().chain([&stream.len()]) {
        loop {
            let input = &stream[outcome.consumed..arrived.max(outcome.consumed)];
            match parser.parse(input, &mut args) {
                Ok(Parsed::Complete { consumed }) => {
                    assert!(consumed > 0 && consumed <= input.len(), "requests end within the input");
                    assert!(outcome.consumed + consumed >= needed, "`more` promised too much");
                    let argv = parser.argv(input, &args);
                    outcome.requests.push(argv.iter().map(<[u8]>::to_vec).collect());
                    outcome.consumed += consumed;
                    assert!(!parser.in_request());
                }
                Ok(Parsed::Incomplete { more }) => {
                    assert!(more > 0, "an incomplete request needs something");
                    needed = outcome.consumed + input.len() + more;
                    break;
                }
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// The arguments of the one request that `input` is.
fn one_request(input: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let outcome = feed(Limits::default(), input, &[]);
    match (outcome.error, <[_; 1]>::try_from(outcome.requests)) {
        (Some(error), _) => Err(error),
        (None, Ok([request])) => Ok(request),
        (None, Err(requests)) => panic!("one request expected: {requests:?}"),
    }
}
