//! Inline requests: one line of words, for people with telnet.
//!
//! Words are separated by white space. In double quotes the escapes `\n \r \t \b \a \xHH` and a backslash
//! before any other byte are decoded; in single quotes only `\'`. A closing quote must be followed by white
//! space or the end. Source: `sdssplitargs` of Redis' `sds.c`, quirks included: vertical tab and form feed
//! separate words only where a word has not begun, quotes may open in the middle of a word.
//!
//! Unlike in Redis a NUL is a byte like any other here (Redis takes it for the end of the data, and waits).

use super::argv::{ArgRange, Argv};
use super::error::ProtocolError;

/// Where the ranges that [`split`] pushed refer to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Words {
    /// To the line itself.
    Borrowed,
    /// To the decoded copy.
    Decoded,
}

/// The words of `line`, decoded as a server decodes an inline request: for programs that people type commands
/// into.
///
/// # Errors
/// [`ProtocolError::UnbalancedQuotes`].
pub fn split_words(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let (mut decoded, mut args) = (Vec::new(), Vec::new());
    let words = split(line, &mut decoded, &mut args)?;
    let buf = match words {
        Words::Borrowed => line,
        Words::Decoded => &decoded,
    };
    Ok(Argv::new(buf, &args).iter().map(<[u8]>::to_vec).collect())
}

/// Splits `line`, which has no line end, into words and pushes their ranges. `decoded` must be empty; it is
/// filled only if the line has quotes.
pub(super) fn split(
    line: &[u8],
    decoded: &mut Vec<u8>,
    args: &mut Vec<ArgRange>,
) -> Result<Words, ProtocolError> {
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        split_quoted(line, decoded, args)?;
        return Ok(Words::Decoded);
    }
    let mut at = 0;
    loop {
        at = skip_space(line, at);
        if at == line.len() {
            return Ok(Words::Borrowed);
        }
        let start = at;
        while at < line.len() && !ends_word(line[at]) {
            at += 1;
        }
        args.push(ArgRange::new(start, at));
    }
}

fn split_quoted(line: &[u8], decoded: &mut Vec<u8>, args: &mut Vec<ArgRange>) -> Result<(), ProtocolError> {
    let mut at = 0;
    loop {
        at = skip_space(line, at);
        if at == line.len() {
            return Ok(());
        }
        let start = decoded.len();
        // One word: bare bytes until a separator, or until a quote opens, which then ends the word.
        at = loop {
            match line.get(at) {
                Some(b'"') => break double_quoted(line, at + 1, decoded)?,
                Some(b'\'') => break single_quoted(line, at + 1, decoded)?,
                Some(&byte) if !ends_word(byte) => decoded.push(byte),
                Some(_) | None => break at,
            }
            at += 1;
        };
        args.push(ArgRange::new(start, decoded.len()));
    }
}

/// Decodes from after the opening quote; returns the position after the closing one.
fn double_quoted(line: &[u8], mut at: usize, decoded: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    loop {
        match *line.get(at..).unwrap_or(&[]) {
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex_digit(high) << 4 | hex_digit(low));
                at += 4;
            }
            [b'\\', escaped, ..] => {
                decoded.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => other,
                });
                at += 2;
            }
            [b'"', ..] => return closed(line, at + 1),
            [byte, ..] => {
                decoded.push(byte);
                at += 1;
            }
            [] => return Err(ProtocolError::UnbalancedQuotes),
        }
    }
}

/// Decodes from after the opening quote; returns the position after the closing one.
fn single_quoted(line: &[u8], mut at: usize, decoded: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    loop {
        match *line.get(at..).unwrap_or(&[]) {
            [b'\\', b'\'', ..] => {
                decoded.push(b'\'');
                at += 2;
            }
            [b'\'', ..] => return closed(line, at + 1),
            [byte, ..] => {
                decoded.push(byte);
                at += 1;
            }
            [] => return Err(ProtocolError::UnbalancedQuotes),
        }
    }
}

/// A closing quote ends its word: only white space or nothing may follow.
fn closed(line: &[u8], at: usize) -> Result<usize, ProtocolError> {
    match line.get(at) {
        Some(&byte) if !is_space(byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(at),
    }
}

fn skip_space(line: &[u8], mut at: usize) -> usize {
    while at < line.len() && is_space(line[at]) {
        at += 1;
    }
    at
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}
