//! SLOWLOG.

use carousel_protocol::command_table::CommandSpec;
use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::session::{help, subcommand};
use crate::metrics::NodeView;

/// Entries of `SLOWLOG GET` without a count, as in Redis.
const GET_DEFAULT: usize = 10;

pub(super) fn slowlog(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    node: &NodeView,
    reply: &mut ReplyWriter<'_>,
) {
    let Some(sub) = subcommand(spec, argv, reply) else { return };
    match sub.name {
        "GET" => get(argv, node, reply),
        "LEN" => reply.integer(node.slowlog.len() as i64),
        "RESET" => {
            node.slowlog.clear();
            reply.ok();
        }
        "HELP" => help(reply, HELP),
        other => unreachable!("SLOWLOG {other} is in the table and has no handler"),
    }
}

fn get(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    let count = match argv.len() {
        2 => GET_DEFAULT,
        3 => match parse_i64(argv.get(2)) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => count as usize,
            Some(_) | None => return reply.error("ERR count should be greater than or equal to -1"),
        },
        _ => {
            return reply
                .error("ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.");
        }
    };
    let entries = node.slowlog.newest(count);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.unix_s as i64);
        reply.integer(entry.micros as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(entry.name.as_bytes());
    }
}

const HELP: &str = "\
SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
GET [<count>]
    Return top <count> entries from the slowlog (default: 10, -1 mean all).
    Entries are made of:
    id, timestamp, time in microseconds, arguments array, client IP and port,
    client name
LEN
    Return the length of the slowlog.
RESET
    Reset the slowlog.
HELP
    Print this help.";

#[cfg(test)]
mod tests {
    use crate::command::session::testing::{Tester, check};
    use crate::metrics::SlowEntry;

    #[test]
    fn entries_are_shown_newest_first_and_forgotten_on_demand() {
        let mut tester = Tester::new();
        check(&mut tester, &[("SLOWLOG GET", "*0|"), ("SLOWLOG LEN", ":0|")]);
        for micros in [10, 20] {
            let entry = SlowEntry {
                id: 0,
                unix_s: 1005,
                micros,
                args: vec![b"KEYS".to_vec(), b"*".to_vec()],
                addr: "10.0.0.1:5".into(),
                name: "me".into(),
            };
            tester.node.slowlog.push(entry, 128);
        }
        check(
            &mut tester,
            &[
                ("SLOWLOG GET 1", "*1|*6|:1|:1005|:20|*2|$4|KEYS|$1|*|$10|10.0.0.1:5|$2|me|"),
                ("SLOWLOG LEN", ":2|"),
                ("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1|"),
                ("SLOWLOG GET x", "-ERR count should be greater than or equal to -1|"),
                ("SLOWLOG RESET", "+OK|"),
                ("SLOWLOG GET -1", "*0|"),
            ],
        );
    }
}
