//! Replies as text, in redis-cli's two forms.
//!
//! The form for people names types, quotes strings and numbers elements; the raw form is the bare values, a line
//! each. Both were compared with redis-cli 7.0.15, reply by reply.

use carousel_protocol::resp::{Reply, double_text};

/// How replies are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For a terminal.
    People,
    /// For a pipe or a file.
    Raw,
}

impl Form {
    /// The text of the reply to `command`, which ends with a line end.
    pub fn show(self, command: &[Vec<u8>], reply: &Reply) -> Vec<u8> {
        let mut out = Vec::new();
        if is_report(command) && reply.as_bytes().is_some() {
            raw(&mut out, reply);
            // Most of them end with a line end of their own.
            if out.last() != Some(&b'\n') {
                out.push(b'\n');
            }
            return out;
        }
        match self {
            Self::People => people(&mut out, reply, ""),
            Self::Raw => {
                raw(&mut out, reply);
                out.push(b'\n');
            }
        }
        out
    }
}

/// Commands whose reply is a text of many lines, made to be read: shown to all as it is.
fn is_report(command: &[Vec<u8>]) -> bool {
    let is = |index: usize, name: &str| {
        command.get(index).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    let any = |names: &[&str]| names.iter().any(|name| is(1, name));
    is(0, "INFO")
        || is(0, "LOLWUT")
        || is(0, "CAROUSEL")
        || is(0, "CLUSTER") && any(&["INFO", "NODES"])
        || is(0, "CLIENT") && any(&["INFO", "LIST"])
        || is(0, "MEMORY") && any(&["DOCTOR", "MALLOC-STATS"])
        || is(0, "LATENCY") && any(&["DOCTOR", "GRAPH"])
}

fn raw(out: &mut Vec<u8>, reply: &Reply) {
    match reply {
        Reply::Simple(text) | Reply::BigNumber(text) => out.extend_from_slice(text.as_bytes()),
        Reply::Bulk(bytes) | Reply::Verbatim { text: bytes, .. } => out.extend_from_slice(bytes),
        Reply::Error(text) => {
            // With the line end of every reply this makes an empty line, as in redis-cli: scripts know it.
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        }
        Reply::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Reply::Double(value) => out.extend_from_slice(double_text(*value).as_bytes()),
        Reply::Boolean(value) => out.extend_from_slice(boolean(*value).as_bytes()),
        Reply::Null => {}
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b'\n');
                }
                raw(out, item);
            }
        }
        Reply::Map(pairs) => {
            for (i, (key, value)) in pairs.iter().enumerate() {
                if i > 0 {
                    out.push(b'\n');
                }
                raw(out, key);
                out.push(b' ');
                raw(out, value);
            }
        }
    }
}

/// `indent` goes before each line but the first, which the caller has begun.
fn people(out: &mut Vec<u8>, reply: &Reply, indent: &str) {
    match reply {
        Reply::Error(text) => line(out, &["(error) ", text]),
        Reply::Simple(text) => line(out, &[text]),
        Reply::Integer(value) => line(out, &["(integer) ", &value.to_string()]),
        Reply::Double(value) => line(out, &["(double) ", &double_text(*value)]),
        Reply::BigNumber(digits) => line(out, &["(big number) ", digits]),
        Reply::Boolean(value) => line(out, &[boolean(*value)]),
        Reply::Null => line(out, &["(nil)"]),
        Reply::Bulk(bytes) => line(out, &[&quoted(bytes)]),
        Reply::Verbatim { text, .. } => {
            out.extend_from_slice(text);
            out.push(b'\n');
        }
        Reply::Array(items) => people_items(out, items, Kind { sign: ')', empty: "(empty array)" }, indent),
        Reply::Set(items) => people_items(out, items, Kind { sign: '~', empty: "(empty set)" }, indent),
        Reply::Push(items) => people_items(out, items, Kind { sign: ')', empty: "(empty push)" }, indent),
        Reply::Map(pairs) => people_pairs(out, pairs, indent),
    }
}

/// How an aggregate is told from others.
struct Kind {
    /// Stands after each number.
    sign: char,
    /// Stands for all of it where it has no elements.
    empty: &'static str,
}

fn people_items(out: &mut Vec<u8>, items: &[Reply], kind: Kind, indent: &str) {
    if items.is_empty() {
        return line(out, &[kind.empty]);
    }
    let numbers = Numbers::new(items.len(), kind.sign, indent);
    for (i, item) in items.iter().enumerate() {
        numbers.begin(out, i);
        people(out, item, &numbers.inner);
    }
}

fn people_pairs(out: &mut Vec<u8>, pairs: &[(Reply, Reply)], indent: &str) {
    if pairs.is_empty() {
        return line(out, &["(empty hash)"]);
    }
    let numbers = Numbers::new(pairs.len(), '#', indent);
    for (i, (key, value)) in pairs.iter().enumerate() {
        numbers.begin(out, i);
        people(out, key, &numbers.inner);
        // The value goes on in the key's last line.
        out.pop();
        out.extend_from_slice(b" => ");
        let has_elements = match value {
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => !items.is_empty(),
            Reply::Map(pairs) => !pairs.is_empty(),
            _ => false,
        };
        if has_elements {
            out.push(b'\n');
            out.extend_from_slice(numbers.inner.as_bytes());
        }
        people(out, value, &numbers.inner);
    }
}

/// The numbers before the elements of an aggregate, all as wide as the last one.
struct Numbers<'a> {
    width: usize,
    sign: char,
    indent: &'a str,
    /// Indent of what is inside.
    inner: String,
}

impl<'a> Numbers<'a> {
    fn new(count: usize, sign: char, indent: &'a str) -> Self {
        let width = count.to_string().len();
        Self { width, sign, indent, inner: format!("{indent}{:width$}", "", width = width + 2) }
    }

    fn begin(&self, out: &mut Vec<u8>, index: usize) {
        let indent = if index == 0 { "" } else { self.indent };
        let number = format!("{indent}{:>width$}{} ", index + 1, self.sign, width = self.width);
        out.extend_from_slice(number.as_bytes());
    }
}

fn line(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    out.push(b'\n');
}

fn boolean(value: bool) -> &'static str {
    if value { "(true)" } else { "(false)" }
}

/// In double quotes, so that the prompt reads it back as the same bytes.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'"' => out.push_str("\\\""),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b' '..=b'~' => out.push(byte as char),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_protocol::resp::{parse_reply, split_words};

    fn shown(form: Form, wire: &str) -> String {
        let (reply, _) = parse_reply(wire.as_bytes()).unwrap().unwrap();
        String::from_utf8(form.show(&[b"GET".to_vec()], &reply)).unwrap()
    }

    /// Each as redis-cli 7.0.15 shows it, but for big numbers, which it does not know.
    #[test]
    fn each_kind_of_reply_is_shown_as_redis_cli_shows_it() {
        for (wire, people, raw) in [
            ("+OK\r\n", "OK\n", "OK\n"),
            ("-ERR no\r\n", "(error) ERR no\n", "ERR no\n\n"),
            (":-7\r\n", "(integer) -7\n", "-7\n"),
            ("$3\r\nabc\r\n", "\"abc\"\n", "abc\n"),
            ("$0\r\n\r\n", "\"\"\n", "\n"),
            ("$-1\r\n", "(nil)\n", "\n"),
            ("_\r\n", "(nil)\n", "\n"),
            ("*0\r\n", "(empty array)\n", "\n"),
            ("~0\r\n", "(empty set)\n", "\n"),
            ("%0\r\n", "(empty hash)\n", "\n"),
            (">0\r\n", "(empty push)\n", "\n"),
            (",3.141\r\n", "(double) 3.141\n", "3.141\n"),
            (",inf\r\n", "(double) inf\n", "inf\n"),
            ("#t\r\n", "(true)\n", "(true)\n"),
            ("#f\r\n", "(false)\n", "(false)\n"),
            ("=8\r\ntxt:a\nbc\r\n", "a\nbc\n", "a\nbc\n"),
            ("(12345678901234567890\r\n", "(big number) 12345678901234567890\n", "12345678901234567890\n"),
            ("*2\r\n:1\r\n$1\r\nx\r\n", "1) (integer) 1\n2) \"x\"\n", "1\nx\n"),
            ("~2\r\n:1\r\n:2\r\n", "1~ (integer) 1\n2~ (integer) 2\n", "1\n2\n"),
            (
                "%2\r\n:0\r\n#f\r\n:1\r\n_\r\n",
                "1# (integer) 0 => (false)\n2# (integer) 1 => (nil)\n",
                "0 (false)\n1 \n",
            ),
            (">1\r\n$1\r\nx\r\n", "1) \"x\"\n", "x\n"),
        ] {
            assert_eq!(shown(Form::People, wire), people, "{wire:?}");
            assert_eq!(shown(Form::Raw, wire), raw, "{wire:?}");
        }
    }

    #[test]
    fn elements_are_aligned_and_nested_ones_indented() {
        let nested = "*11\r\n:1\r\n*3\r\n:2\r\n$1\r\nx\r\n*0\r\n-bad\r\n$-1\r\n*2\r\n:3\r\n*2\r\n:4\r\n:5\r\n:6\r\n:7\r\n\
                      :8\r\n:9\r\n:10\r\n*1\r\n:11\r\n";
        let expected = r#" 1) (integer) 1
 2) 1) (integer) 2
    2) "x"
    3) (empty array)
 3) (error) bad
 4) (nil)
 5) 1) (integer) 3
    2) 1) (integer) 4
       2) (integer) 5
 6) (integer) 6
 7) (integer) 7
 8) (integer) 8
 9) (integer) 9
10) (integer) 10
11) 1) (integer) 11
"#;
        assert_eq!(shown(Form::People, nested), expected);
    }

    #[test]
    fn aggregates_inside_a_map_begin_on_a_line_of_their_own() {
        let nested = "*3\r\n:2\r\n%2\r\n$1\r\nc\r\n%2\r\n$1\r\ny\r\n%0\r\n$1\r\nx\r\n:1\r\n$1\r\nb\r\n*2\r\n:1\r\n:2\r\n~1\r\n$1\r\nq\r\n";
        // The blank after the arrow is redis-cli's.
        let expected = "1) (integer) 2\n\
            2) 1# \"c\" => \n      1# \"y\" => (empty hash)\n      2# \"x\" => (integer) 1\n   \
            2# \"b\" => \n      1) (integer) 1\n      2) (integer) 2\n\
            3) 1~ \"q\"\n";
        assert_eq!(shown(Form::People, nested), expected);
        assert_eq!(shown(Form::Raw, nested), "2\nc y \nx 1\nb 1\n2\nq\n");
    }

    #[test]
    fn what_cannot_be_printed_is_escaped_and_read_back_as_it_was() {
        assert_eq!(quoted(b"a b\n\r\t\x07\x08\\\"\x00\x7f\xff"), r#""a b\n\r\t\a\b\\\"\x00\x7f\xff""#);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(split_words(quoted(&all).as_bytes()).unwrap(), [all]);
    }

    #[test]
    fn reports_are_shown_as_they_are_and_their_errors_as_errors() {
        let command: Vec<Vec<u8>> = vec![b"cluster".to_vec(), b"info".to_vec()];
        let show = |reply| String::from_utf8(Form::People.show(&command, &reply)).unwrap();
        assert_eq!(show(Reply::Bulk(b"a:1\r\nb:2".to_vec())), "a:1\r\nb:2\n");
        assert_eq!(show(Reply::Bulk(b"a:1\n".to_vec())), "a:1\n");
        assert_eq!(show(Reply::Error("ERR no".into())), "(error) ERR no\n");
        assert_eq!(Form::Raw.show(&command, &Reply::Bulk(b"a:1\n".to_vec())), b"a:1\n");
    }
}
