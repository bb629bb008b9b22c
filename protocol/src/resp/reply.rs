//! Replies as a client reads them, owned.

use super::encode::double_text;
use super::error::ProtocolError;
use super::number::{parse_i64, write_head, write_i64};

/// Deepest nesting that is read; the deepest replies of Redis (COMMAND DOCS) nest about ten levels.
const DEPTH_MAX: usize = 64;

/// One reply of RESP2 or RESP3. RESP2's two nulls are both [`Self::Null`]; attributes are skipped.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+`: a short text such as `OK`.
    Simple(String),
    /// `-` or `!`: an error, its code first: `MOVED 3999 127.0.0.1:6381`.
    Error(String),
    /// `:`.
    Integer(i64),
    /// `$`: any bytes.
    Bulk(Vec<u8>),
    /// `_`, `$-1` or `*-1`.
    Null,
    /// `*`.
    Array(Vec<Reply>),
    /// `%`: pairs in the order sent.
    Map(Vec<(Reply, Reply)>),
    /// `~`.
    Set(Vec<Reply>),
    /// `>`: out of band, the answer to no request.
    Push(Vec<Reply>),
    /// `,`.
    Double(f64),
    /// `#`.
    Boolean(bool),
    /// `=`: text for people, and its format in three bytes.
    Verbatim {
        /// `txt`, `mkd`, ...
        format: String,
        /// The text.
        text: Vec<u8>,
    },
    /// `(`: decimal digits of an integer of any size.
    BigNumber(String),
}

impl Reply {
    /// The bytes of a simple, bulk or verbatim string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(text) => Some(text.as_bytes()),
            Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The text of a string as in [`Self::as_bytes`], where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// An integer, or a string or boolean that is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Boolean(value) => Some(i64::from(*value)),
            _ => self.as_bytes().and_then(parse_i64),
        }
    }

    /// The text of an error.
    pub fn as_error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn as_array(&self) -> Option<&[Reply]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }

    /// Appends the reply in RESP3. What is read back from it is the same reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Simple(text) => encode_line(out, b'+', text),
            Self::Error(text) => encode_line(out, b'-', text),
            Self::Integer(value) => {
                out.push(b':');
                write_i64(out, *value);
                out.extend_from_slice(b"\r\n");
            }
            Self::Bulk(bytes) => encode_blob(out, b'$', &[bytes]),
            Self::Null => out.extend_from_slice(b"_\r\n"),
            Self::Array(items) => encode_all(out, b'*', items),
            Self::Set(items) => encode_all(out, b'~', items),
            Self::Push(items) => encode_all(out, b'>', items),
            Self::Map(pairs) => {
                write_head(out, b'%', pairs.len());
                for (key, value) in pairs {
                    key.encode(out);
                    value.encode(out);
                }
            }
            Self::Double(value) => encode_line(out, b',', &double_text(*value)),
            Self::Boolean(value) => out.extend_from_slice(if *value { b"#t\r\n" } else { b"#f\r\n" }),
            Self::Verbatim { format, text } => encode_blob(out, b'=', &[format.as_bytes(), b":", text]),
            Self::BigNumber(digits) => encode_line(out, b'(', digits),
        }
    }
}

fn encode_line(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

fn encode_blob(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    write_head(out, kind, parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}

fn encode_all(out: &mut Vec<u8>, kind: u8, items: &[Reply]) {
    write_head(out, kind, items.len());
    items.iter().for_each(|item| item.encode(out));
}

/// Reads the reply at the start of `input`: it and the bytes it took, or `None` where it is not all there.
///
/// Starts over on each call: for replies that arrive in many pieces use [`ReplyParser`].
///
/// # Errors
/// Where the bytes are no reply.
pub fn parse_reply(input: &[u8]) -> Result<Option<(Reply, usize)>, ProtocolError> {
    ReplyParser::new().parse(input)
}

/// Reads replies from the bytes of a connection; N pieces of a reply cost O(N).
///
/// It first looks for the end of the whole reply and builds it only then, so it never holds a part.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// Everything before was seen to be whole replies and heads of aggregates.
    pos: usize,
    /// Replies that are still missing to the whole one at the start; 0 before the first byte was seen.
    missing: u64,
}

impl ReplyParser {
    /// A parser at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one reply: it and the bytes it took, or `None` where it is not all there.
    ///
    /// `input` begins with the reply's first byte on each call until it is complete, and may go on beyond.
    ///
    /// # Errors
    /// Where the bytes are no reply. The parser is of no further use then.
    pub fn parse(&mut self, input: &[u8]) -> Result<Option<(Reply, usize)>, ProtocolError> {
        let mut missing = if self.pos == 0 { 1 } else { self.missing };
        while missing > 0 {
            let Some(token) = read_token(input, self.pos)? else {
                self.missing = missing;
                return Ok(None);
            };
            let children = match token.value {
                Value::Leaf => 0,
                Value::Items(count) => count,
                Value::Pairs(count) => count.saturating_mul(2),
                // The reply it belongs to is still missing.
                Value::Attribute(pairs) => pairs.saturating_mul(2).saturating_add(1),
            };
            missing = (missing - 1).saturating_add(children);
            self.pos = token.next;
        }
        let end = std::mem::take(&mut self.pos);
        let mut reader = Builder { input, pos: 0 };
        let reply = reader.build(0)?;
        debug_assert_eq!(reader.pos, end, "both passes see the same reply");
        Ok(Some((reply, end)))
    }
}

enum Value {
    /// Whole in itself.
    Leaf,
    Items(u64),
    Pairs(u64),
    Attribute(u64),
}

/// A reply, or the head of an aggregate.
struct Token {
    value: Value,
    /// Of a string: where its bytes are; of any other: its line.
    start: usize,
    end: usize,
    /// A `-1` for a length.
    null: bool,
    next: usize,
}

/// The token at `pos`, or `None` where it is not all there.
fn read_token(input: &[u8], pos: usize) -> Result<Option<Token>, ProtocolError> {
    let Some(&kind) = input.get(pos) else { return Ok(None) };
    if !b"+-:$*_%~>,#=(!|".contains(&kind) {
        return Err(ProtocolError::ReplyType { got: kind });
    }
    let start = pos + 1;
    let Some(length) = input[start..].windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let end = start + length;
    let mut token = Token { value: Value::Leaf, start, end, null: false, next: end + 2 };
    let bad = ProtocolError::ReplyValue { kind };
    match kind {
        b'$' | b'*' | b'%' | b'~' | b'>' | b'=' | b'!' | b'|' => {
            let count = parse_i64(&input[start..end]).ok_or(bad)?;
            if count < 0 {
                // Only RESP2's nulls are negative.
                token.null = true;
                return if count == -1 && matches!(kind, b'$' | b'*') { Ok(Some(token)) } else { Err(bad) };
            }
            match kind {
                b'%' => token.value = Value::Pairs(count as u64),
                b'|' => token.value = Value::Attribute(count as u64),
                b'*' | b'~' | b'>' => token.value = Value::Items(count as u64),
                _ => {
                    let blob_end =
                        usize::try_from(count).ok().and_then(|count| token.next.checked_add(count));
                    let next = blob_end.and_then(|end| end.checked_add(2)).ok_or(bad)?;
                    if input.len() < next {
                        return Ok(None);
                    }
                    (token.start, token.end, token.next) = (token.next, next - 2, next);
                    if &input[token.end..next] != b"\r\n" {
                        return Err(ProtocolError::ReplyEnd);
                    }
                }
            }
        }
        _ => {}
    }
    Ok(Some(token))
}

/// Builds a reply from bytes that are known to hold all of it.
struct Builder<'a> {
    input: &'a [u8],
    pos: usize,
}

impl Builder<'_> {
    fn build(&mut self, depth: usize) -> Result<Reply, ProtocolError> {
        if depth > DEPTH_MAX {
            return Err(ProtocolError::ReplyTooDeep);
        }
        loop {
            let kind = self.input[self.pos];
            let token = read_token(self.input, self.pos)?.expect("the whole reply is there");
            self.pos = token.next;
            let bytes = &self.input[token.start..token.end];
            if token.null {
                return Ok(Reply::Null);
            }
            return match token.value {
                Value::Leaf => leaf(kind, bytes),
                Value::Items(count) => {
                    let items = (0..count).map(|_| self.build(depth + 1)).collect::<Result<_, _>>()?;
                    Ok(match kind {
                        b'~' => Reply::Set(items),
                        b'>' => Reply::Push(items),
                        _ => Reply::Array(items),
                    })
                }
                Value::Pairs(count) => {
                    let pair = |_| Ok((self.build(depth + 1)?, self.build(depth + 1)?));
                    (0..count).map(pair).collect::<Result<_, _>>().map(Reply::Map)
                }
                Value::Attribute(pairs) => {
                    for _ in 0..2 * pairs {
                        self.build(depth + 1)?;
                    }
                    continue;
                }
            };
        }
    }
}

fn leaf(kind: u8, bytes: &[u8]) -> Result<Reply, ProtocolError> {
    let bad = ProtocolError::ReplyValue { kind };
    let text = || String::from_utf8_lossy(bytes).into_owned();
    Ok(match kind {
        b'+' => Reply::Simple(text()),
        b'-' | b'!' => Reply::Error(text()),
        b':' => Reply::Integer(parse_i64(bytes.strip_prefix(b"+").unwrap_or(bytes)).ok_or(bad)?),
        b'$' => Reply::Bulk(bytes.to_vec()),
        b'_' if bytes.is_empty() => Reply::Null,
        b',' => Reply::Double(text().parse().map_err(|_| bad)?),
        b'#' if bytes == b"t" => Reply::Boolean(true),
        b'#' if bytes == b"f" => Reply::Boolean(false),
        b'=' => match bytes {
            [a, b, c, b':', rest @ ..] => {
                let format = String::from_utf8_lossy(&[*a, *b, *c]).into_owned();
                Reply::Verbatim { format, text: rest.to_vec() }
            }
            _ => return Err(bad),
        },
        b'(' => {
            let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(bad);
            }
            Reply::BigNumber(text())
        }
        _ => return Err(bad),
    })
}
