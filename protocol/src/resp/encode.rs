//! What goes out: replies of a server, requests of a client. Everything appends to a byte vector.

use super::error::ProtocolError;
use super::number::{I64_TEXT_BYTES_MAX, write_head, write_i64};

/// The protocol version that a connection speaks; `HELLO` switches it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    /// The version every connection starts with.
    #[default]
    Resp2,
    /// Has maps, sets, doubles, booleans, one null and out-of-band pushes.
    Resp3,
}

impl Version {
    /// 2 or 3, as `HELLO` names it.
    pub fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Appends replies. Types that RESP2 lacks are written as Redis maps them.
///
/// Aggregates are a head only: [`Self::array`] and the like are followed by as many replies as they announce.
pub struct ReplyWriter<'a> {
    /// Where the replies go; bytes already there are left alone.
    pub out: &'a mut Vec<u8>,
    /// What the client understands.
    pub version: Version,
}

impl<'a> ReplyWriter<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, version: Version) -> Self {
        Self { out, version }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string. CR and LF in it become spaces.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error. `text` begins with its code: `ERR no such key`. CR and LF in it become spaces.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text.as_bytes());
    }

    /// An error whose text holds bytes of the client's that need not be UTF-8. Otherwise as [`Self::error`].
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.line(b'-', text);
    }

    /// The answer to bytes that are no request; the connection is to be closed after it.
    pub fn protocol_error(&mut self, error: &ProtocolError) {
        let mut text = format!("ERR {error}").into_bytes();
        if let ProtocolError::ExpectedBulk { got } = *error {
            // Redis echoes the byte itself, which as text would be two bytes from 0x80 on.
            text = b"ERR Protocol error: expected '$', got '".to_vec();
            text.extend_from_slice(&[got, b'\'']);
        }
        self.line(b'-', &text);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        if (0..10).contains(&value) {
            self.out.extend_from_slice(&[b':', b'0' + value as u8, b'\r', b'\n']);
            return;
        }
        self.out.push(b':');
        write_i64(self.out, value);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A string of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 1 + I64_TEXT_BYTES_MAX + 4);
        write_head(self.out, b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer as a bulk string.
    pub fn bulk_integer(&mut self, value: i64) {
        let mut text = Vec::with_capacity(I64_TEXT_BYTES_MAX);
        write_i64(&mut text, value);
        self.bulk(&text);
    }

    /// No value: `$-1` in RESP2, `_` in RESP3.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// No value where otherwise an array is: `*-1` in RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.version {
            Version::Resp2 => b"*-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array of `len` replies.
    #[inline]
    pub fn array(&mut self, len: usize) {
        write_head(self.out, b'*', len);
    }

    /// The head of a map of `len` pairs: `2 * len` replies follow, in RESP2 as an array.
    pub fn map(&mut self, len: usize) {
        match self.version {
            Version::Resp2 => write_head(self.out, b'*', 2 * len),
            Version::Resp3 => write_head(self.out, b'%', len),
        }
    }

    /// The head of a set of `len` replies, in RESP2 an array.
    pub fn set(&mut self, len: usize) {
        self.resp3_head(b'~', len);
    }

    /// The head of an out-of-band message of `len` replies, in RESP2 an array.
    pub fn push(&mut self, len: usize) {
        self.resp3_head(b'>', len);
    }

    /// A double: its shortest text that reads back as the same number, in RESP2 as a bulk string.
    pub fn double(&mut self, value: f64) {
        let text = double_text(value);
        match self.version {
            Version::Resp2 => self.bulk(text.as_bytes()),
            Version::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// Text for people. `ext` is its format in exactly three bytes, such as `txt` or `mkd`; in RESP2 a bulk
    /// string without it.
    pub fn verbatim(&mut self, ext: &str, text: &[u8]) {
        assert!(ext.len() == 3, "the format of a verbatim string has three bytes");
        match self.version {
            Version::Resp2 => self.bulk(text),
            Version::Resp3 => {
                write_head(self.out, b'=', text.len() + 4);
                self.out.extend_from_slice(ext.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn resp3_head(&mut self, kind: u8, len: usize) {
        match self.version {
            Version::Resp2 => write_head(self.out, b'*', len),
            Version::Resp3 => write_head(self.out, kind, len),
        }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.reserve(text.len() + 3);
        self.out.push(kind);
        self.out.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.out.extend_from_slice(b"\r\n");
    }
}

/// The text of a double as Redis 7.2 writes it: whole numbers without a point, otherwise the shortest digits
/// that read back as the same number, with an exponent where that is shorter (`d2string`, `fpconv_dtoa`).
pub fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    // Whole numbers that a double holds exactly; -0 keeps its sign.
    if value.fract() == 0.0 && value.abs() < (1u64 << 52) as f64 {
        return format!("{value}");
    }
    // Shortest digits `d.ddd` and the exponent of the first one.
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("the exponent format has an exponent");
    let digits = mantissa.replace('.', "");
    let exponent: i32 = exponent.parse().expect("the exponent format has an integer exponent");
    let count = digits.len() as i32;
    // Power of ten of the last digit.
    let scale = exponent - (count - 1);
    let sign = if value < 0.0 { "-" } else { "" };
    if scale >= 0 && exponent.abs() < count + 7 {
        return format!("{sign}{digits}{}", "0".repeat(scale as usize));
    }
    if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        return if exponent < 0 {
            format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize))
        } else {
            let (whole, fraction) = digits.split_at(exponent as usize + 1);
            format!("{sign}{whole}.{fraction}")
        };
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}e{exponent:+}")
}

/// Appends a request: an array of bulk strings, the command name first.
pub fn encode_request(out: &mut Vec<u8>, args: &[&[u8]]) {
    out.reserve(args.iter().map(|arg| arg.len() + 8).sum::<usize>() + 8);
    write_head(out, b'*', args.len());
    for arg in args {
        write_head(out, b'$', arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}
