//! The request parser of a server's connection.
//!
//! Requests are short arrays of short strings, so the common path recognises the heads `*N` and `$N` of up
//! to three digits by whole-head comparisons, without a state machine; anything longer, malformed or cut off
//! takes the general path of the same meaning. Progress is kept per argument: a request that arrives in N
//! pieces costs O(N).
//!
//! Two deviations from Redis: a line that is too long is refused however it arrives (Redis accepts it when
//! one read brings all of it), and a NUL does not end the data. Neither makes a well-behaved client fail.
//! As in Redis, the byte after a CR and the two bytes after a string are skipped unseen.

use super::argv::{ArgRange, Argv};
use super::error::ProtocolError;
use super::inline::{self, Words};
use super::number::parse_i64;

/// Shortest argument: `$0\r\n\r\n`.
const ARG_BYTES_MIN: usize = 6;
/// Most arguments of a request before authentication, as in Redis.
const UNAUTHENTICATED_ARGS_MAX: usize = 10;
/// Longest argument in bytes before authentication, as in Redis.
const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16_384;

/// What a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most arguments of one request, the command name included.
    pub args_max: usize,
    /// Longest argument in bytes (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// Longest line in bytes: an inline request, or the digits of a length.
    pub inline_bytes_max: usize,
}

impl Default for Limits {
    /// Redis' defaults: 1,048,576 arguments, 512 MiB each, lines of 64 KiB.
    fn default() -> Self {
        Self { args_max: 1024 * 1024, bulk_bytes_max: 512 * 1024 * 1024, inline_bytes_max: 64 * 1024 }
    }
}

/// Outcome of [`RequestParser::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// One request. Its ranges are filled; there are none for an empty one (`*0`, `*-1`, a blank line),
    /// which gets no reply.
    Complete {
        /// Bytes of the input that the request took.
        consumed: usize,
    },
    /// Not all of it is there.
    Incomplete {
        /// At least so many further bytes are needed; never 0. As large as the peer claims: cap it before
        /// reserving memory.
        more: usize,
    },
}

/// Reads requests one by one from the bytes of a connection.
#[derive(Debug)]
pub struct RequestParser {
    limits: Limits,
    authenticated: bool,
    /// Bound of one request in bytes, so that positions fit [`ArgRange`].
    request_bytes_max: usize,
    /// Start of the first argument that is not complete. Meaningless where `remaining` is 0.
    pos: usize,
    /// Arguments still to come; 0 at the start of a request.
    remaining: usize,
    /// No line ends between `pos` and here: where the search for one goes on.
    searched_to: usize,
    /// Decoded words of an inline request with quotes.
    inline: Vec<u8>,
    words: Words,
}

impl RequestParser {
    /// A parser at the start of a connection, for a client that may use all of `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            authenticated: true,
            request_bytes_max: u32::MAX as usize,
            pos: 0,
            remaining: 0,
            searched_to: 0,
            inline: Vec::new(),
            words: Words::Borrowed,
        }
    }

    /// From the next request on these limits hold.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether the client has authenticated, or need not. Until then it may send only short requests: 10
    /// arguments of 16 KiB. True in a new parser.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }

    /// Reads one request.
    ///
    /// `input` begins with the request's first byte, on each call until the request is complete, and may go
    /// on beyond the request. `args` receives the ranges; it is cleared when a request begins and must be
    /// left alone until it is complete. Read them through [`Self::argv`], before the next call.
    ///
    /// # Errors
    /// Where the bytes are no request. The parser is of no further use then.
    #[inline]
    pub fn parse(&mut self, input: &[u8], args: &mut Vec<ArgRange>) -> Result<Parsed, ProtocolError> {
        let (mut pos, mut remaining) = (self.pos, self.remaining);
        if remaining == 0 {
            args.clear();
            self.words = Words::Borrowed;
            let count = match short_head(input, 0, b'*') {
                Some(head) => {
                    pos = head.next;
                    self.check_count(head.value as i64)?
                }
                None if input.first() == Some(&b'*') => match self.long_count(input)? {
                    Some(head) => {
                        pos = head.next;
                        self.check_count(head.value)?
                    }
                    None => return self.incomplete(input, 1),
                },
                None => return self.parse_inline(input, args),
            };
            if count == 0 {
                return Ok(self.complete(pos));
            }
            remaining = count;
            // Bounded by what is there: a claim alone must not cost memory.
            args.reserve(count.min(input.len() / ARG_BYTES_MIN + 1));
        }

        while remaining > 0 {
            let (start, length) = match short_head(input, pos, b'$') {
                Some(head) => (head.next, head.value as usize),
                None => match self.long_bulk(input, pos)? {
                    Some(head) => (head.next, head.value as usize),
                    None => return self.suspend(input, pos, remaining, 1),
                },
            };
            if length > self.limits.bulk_bytes_max {
                return Err(ProtocolError::BulkLength);
            }
            // Cannot overflow: both are far below half of a usize.
            let end = start + length;
            if input.len() < end + 2 {
                return self.suspend(input, pos, remaining, end + 2 - input.len());
            }
            if end + 2 > self.request_bytes_max {
                return Err(ProtocolError::RequestTooLong);
            }
            args.push(ArgRange::new(start, end));
            pos = end + 2;
            remaining -= 1;
        }
        Ok(self.complete(pos))
    }

    /// The arguments of the request that [`Self::parse`] completed last, from the same `input` and `args`.
    #[inline]
    pub fn argv<'a>(&'a self, input: &'a [u8], args: &'a [ArgRange]) -> Argv<'a> {
        match self.words {
            Words::Borrowed => Argv::new(input, args),
            Words::Decoded => Argv::new(&self.inline, args),
        }
    }

    /// Whether part of a request was read already: the connection is not between two requests.
    #[cfg(test)]
    pub(crate) fn in_request(&self) -> bool {
        self.remaining > 0 || self.searched_to > 0
    }

    #[inline]
    fn complete(&mut self, consumed: usize) -> Parsed {
        self.remaining = 0;
        self.searched_to = 0;
        Parsed::Complete { consumed }
    }

    #[cold]
    fn suspend(
        &mut self,
        input: &[u8],
        pos: usize,
        remaining: usize,
        more: usize,
    ) -> Result<Parsed, ProtocolError> {
        self.pos = pos;
        self.remaining = remaining;
        self.incomplete(input, more)
    }

    fn incomplete(&self, input: &[u8], more: usize) -> Result<Parsed, ProtocolError> {
        if input.len() + more > self.request_bytes_max {
            return Err(ProtocolError::RequestTooLong);
        }
        Ok(Parsed::Incomplete { more })
    }

    #[inline]
    fn check_count(&self, count: i64) -> Result<usize, ProtocolError> {
        let count = count.max(0) as usize;
        if count > self.limits.args_max {
            return Err(ProtocolError::MultibulkLength);
        }
        if !self.authenticated && count > UNAUTHENTICATED_ARGS_MAX {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        Ok(count)
    }

    #[cold]
    fn long_count(&mut self, input: &[u8]) -> Result<Option<Head<i64>>, ProtocolError> {
        let Some(line_end) = self.find_line_end(input, 0, ProtocolError::MultibulkLineTooLong)? else {
            return Ok(None);
        };
        let value = parse_i64(&input[1..line_end]).ok_or(ProtocolError::MultibulkLength)?;
        Ok(Some(Head { value, next: line_end + 2 }))
    }

    #[cold]
    fn long_bulk(&mut self, input: &[u8], pos: usize) -> Result<Option<Head<i64>>, ProtocolError> {
        let Some(line_end) = self.find_line_end(input, pos, ProtocolError::BulkLineTooLong)? else {
            return Ok(None);
        };
        if input[pos] != b'$' {
            return Err(ProtocolError::ExpectedBulk { got: input[pos] });
        }
        let value = parse_i64(&input[pos + 1..line_end]).ok_or(ProtocolError::BulkLength)?;
        if value < 0 || value > i64::try_from(self.limits.bulk_bytes_max).unwrap_or(i64::MAX) {
            return Err(ProtocolError::BulkLength);
        }
        if !self.authenticated && value as usize > UNAUTHENTICATED_BULK_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        Ok(Some(Head { value, next: line_end + 2 }))
    }

    /// The position of the CR that ends the line at `pos`, or `None` until it and the byte after it came.
    fn find_line_end(
        &mut self,
        input: &[u8],
        pos: usize,
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let from = pos.max(self.searched_to);
        let until = input.len().min(pos + self.limits.inline_bytes_max + 1);
        let found = input[from.min(until)..until].iter().position(|&byte| byte == b'\r');
        match found {
            Some(offset) if from + offset + 1 < input.len() => Ok(Some(from + offset)),
            Some(offset) => {
                self.searched_to = from + offset;
                Ok(None)
            }
            None if input.len() - pos > self.limits.inline_bytes_max => Err(too_long),
            None => {
                self.searched_to = input.len();
                Ok(None)
            }
        }
    }

    #[cold]
    fn parse_inline(&mut self, input: &[u8], args: &mut Vec<ArgRange>) -> Result<Parsed, ProtocolError> {
        let until = input.len().min(self.limits.inline_bytes_max + 1);
        let Some(offset) = input[self.searched_to..until].iter().position(|&byte| byte == b'\n') else {
            if input.len() > self.limits.inline_bytes_max {
                return Err(ProtocolError::InlineTooLong);
            }
            self.searched_to = input.len();
            return Ok(Parsed::Incomplete { more: 1 });
        };
        let newline = self.searched_to + offset;
        let line = &input[..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.inline.clear();
        self.words = inline::split(line, &mut self.inline, args)?;
        Ok(self.complete(newline + 1))
    }
}

/// A parsed head: the number after the type byte, and the position after its line.
struct Head<T> {
    value: T,
    next: usize,
}

/// The head of type `kind` at `pos`, where it is well-formed and has one to three digits. `None` says
/// nothing: the general path decides.
///
/// It looks at six bytes at once. They are there in every complete request but the empty one, as the
/// shortest argument has six.
#[inline(always)]
fn short_head(input: &[u8], pos: usize, kind: u8) -> Option<Head<u32>> {
    let head: &[u8; 6] = input.get(pos..)?.first_chunk()?;
    let first = u32::from(head[1].wrapping_sub(b'0'));
    if head[0] != kind || first > 9 {
        return None;
    }
    if head[2] == b'\r' && head[3] == b'\n' {
        return Some(Head { value: first, next: pos + 4 });
    }
    // No leading zeros.
    let second = u32::from(head[2].wrapping_sub(b'0'));
    if first == 0 || second > 9 {
        return None;
    }
    if head[3] == b'\r' && head[4] == b'\n' {
        return Some(Head { value: first * 10 + second, next: pos + 5 });
    }
    let third = u32::from(head[3].wrapping_sub(b'0'));
    if third > 9 || head[4] != b'\r' || head[5] != b'\n' {
        return None;
    }
    Some(Head { value: first * 100 + second * 10 + third, next: pos + 6 })
}
