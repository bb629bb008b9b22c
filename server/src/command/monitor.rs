//! MONITOR, and the lines that it shows.

use carousel_protocol::command_table::{CommandSpec, Flags};
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::session::Session;
use crate::Now;
use crate::metrics::{NodeView, revealed};

/// The client watches from now on.
pub(super) fn monitor(session: &mut Session, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    if session.monitor.is_none() {
        session.monitor = Some(node.monitors.join());
        session.client.set_monitors(true);
    }
    reply.ok();
}

/// The line that tells of a command, with its ending; `None` for what watchers are not shown.
///
/// Operators' commands may hold secrets, as Redis has it.
pub fn monitor_line(spec: &CommandSpec, argv: Argv<'_>, session: &Session, now: Now) -> Option<Vec<u8>> {
    if spec.flags_for(argv).contains(Flags::ADMIN) {
        return None;
    }
    let (seconds, micros) = (now.unix_ms / 1000, now.unix_ms % 1000 * 1000);
    let mut line =
        format!("+{seconds}.{micros:06} [{} {}]", session.database.get(), session.client.addr).into_bytes();
    for arg in revealed(spec, argv) {
        line.extend_from_slice(b" \"");
        match arg {
            Some(arg) => escape(arg, &mut line),
            None => line.extend_from_slice(b"(redacted)"),
        }
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    Some(line)
}

/// As Redis' `sdscatrepr`.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            0x20..=0x7E => out.push(byte),
            byte => out.extend(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use carousel_protocol::command_table::lookup;
    use carousel_protocol::resp::{Limits, Parsed, RequestParser, encode_request};

    use super::*;
    use crate::command::session::testing::{Tester, check};

    fn line(args: &[&[u8]]) -> Option<String> {
        let (mut request, mut ranges) = (Vec::new(), Vec::new());
        encode_request(&mut request, args);
        let mut parser = RequestParser::new(Limits::default());
        assert!(matches!(parser.parse(&request, &mut ranges), Ok(Parsed::Complete { .. })));
        let tester = Tester::new();
        let argv = parser.argv(&request, &ranges);
        monitor_line(lookup(args[0]).unwrap(), argv, &tester.session, tester.now)
            .map(|line| String::from_utf8(line).unwrap())
    }

    #[test]
    fn lines_are_those_of_redis() {
        assert_eq!(
            line(&[b"set", b"k\"\\", b"a\r\n\t\x07\x08\x00\xFF ~"]).unwrap(),
            "+1005.500000 [0 10.9.8.7:5000] \"set\" \"k\\\"\\\\\" \"a\\r\\n\\t\\a\\b\\x00\\xff ~\"\r\n"
        );
        assert_eq!(
            line(&[b"AUTH", b"pw"]).unwrap(),
            "+1005.500000 [0 10.9.8.7:5000] \"AUTH\" \"(redacted)\"\r\n"
        );
        assert!(line(&[b"CONFIG", b"SET", b"requirepass", b"x"]).is_none());
        assert!(line(&[b"SHUTDOWN"]).is_none() && line(&[b"CLIENT", b"LIST"]).is_none());
        assert!(line(&[b"CLIENT", b"ID"]).is_some());
    }

    #[test]
    fn a_client_watches_until_it_resets_or_goes() {
        let mut tester = Tester::new();
        check(&mut tester, &[("MONITOR", "+OK|"), ("MONITOR", "+OK|")]);
        assert!(!tester.node.monitors.is_empty() && tester.run("CLIENT INFO").contains(" flags=O "));
        check(&mut tester, &[("RESET", "+RESET|")]);
        assert!(tester.node.monitors.is_empty());
        check(&mut tester, &[("MONITOR", "+OK|")]);
        let node = tester.node.clone();
        drop(tester);
        assert!(node.monitors.is_empty());
    }
}
