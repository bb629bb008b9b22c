//! CLIENT.

use std::sync::Arc;

use carousel_protocol::command_table::CommandSpec;
use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::connection::{BAD_NAME, printable};
use super::session::{Replies, Session, help, subcommand, syntax_error};
use crate::Now;
use crate::metrics::{Client, NodeView, PauseKind, Unblock};

pub(super) fn client(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    session: &mut Session,
    node: &NodeView,
    reply: &mut ReplyWriter<'_>,
    now: Now,
) {
    let Some(sub) = subcommand(spec, argv, reply) else { return };
    match sub.name {
        "ID" => reply.integer(session.id as i64),
        "INFO" => reply.verbatim("txt", format!("{}\n", session.client.line(now)).as_bytes()),
        "LIST" => list(argv, node, reply, now),
        "KILL" => kill(argv, session, node, reply),
        "GETNAME" => match session.client.names().name.as_str() {
            "" => reply.null(),
            name => reply.bulk(name.as_bytes()),
        },
        "SETNAME" => match printable(argv.get(2)) {
            Some(name) => {
                session.client.names().name = name.into();
                reply.ok();
            }
            None => reply.error(BAD_NAME),
        },
        "SETINFO" => set_info(argv, session, reply),
        "NO-EVICT" => switch(argv, reply, |on| session.client.set_no_evict(on)),
        "NO-TOUCH" => switch(argv, reply, |on| session.set_no_touch(on)),
        "REPLY" => match_word(argv.get(2), reply, &["ON", "OFF", "SKIP"], |reply, word| match word {
            "ON" => {
                session.replies = Replies::On;
                reply.ok();
            }
            "OFF" => session.replies = Replies::Off,
            // After OFF there is nothing left to skip.
            _ if session.replies == Replies::Off => {}
            _ => session.replies = Replies::SkipNext,
        }),
        "TRACKING" => match_word(argv.get(2), reply, &["ON", "OFF"], |reply, word| match word {
            _ if !are_tracking_options(argv.skip(3)) => syntax_error(reply),
            "OFF" => reply.ok(),
            _ => reply.error("ERR CLIENT TRACKING is not supported"),
        }),
        "TRACKINGINFO" => {
            reply.map(3);
            reply.bulk(b"flags");
            reply.set(1);
            reply.bulk(b"off");
            reply.bulk(b"redirect");
            reply.integer(-1);
            reply.bulk(b"prefixes");
            reply.array(0);
        }
        "GETREDIR" => reply.integer(-1),
        "CACHING" => reply.error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ),
        "PAUSE" => pause(argv, node, reply, now),
        "UNPAUSE" => {
            node.pause.end();
            reply.ok();
        }
        "UNBLOCK" => unblock(argv, node, reply),
        "HELP" => help(reply, HELP),
        other => unreachable!("CLIENT {other} is in the table and has no handler"),
    }
}

fn match_word(
    given: &[u8],
    reply: &mut ReplyWriter<'_>,
    words: &[&str],
    answer: impl FnOnce(&mut ReplyWriter<'_>, &str),
) {
    match words.iter().find(|word| word.as_bytes().eq_ignore_ascii_case(given)) {
        Some(word) => answer(reply, word),
        None => syntax_error(reply),
    }
}

fn switch(argv: Argv<'_>, reply: &mut ReplyWriter<'_>, set: impl FnOnce(bool)) {
    match_word(argv.get(2), reply, &["ON", "OFF"], |reply, word| {
        set(word == "ON");
        reply.ok();
    });
}

fn set_info(argv: Argv<'_>, session: &Session, reply: &mut ReplyWriter<'_>) {
    let option = argv.get(2);
    let is_name = option.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !option.eq_ignore_ascii_case(b"lib-ver") {
        let mut text = b"ERR Unrecognized option '".to_vec();
        text.extend_from_slice(option);
        text.push(b'\'');
        return reply.error_bytes(&text);
    }
    let Some(value) = printable(argv.get(3)) else {
        let mut text = b"ERR ".to_vec();
        text.extend_from_slice(option);
        text.extend_from_slice(b" cannot contain spaces, newlines or special characters.");
        return reply.error_bytes(&text);
    };
    let mut names = session.client.names();
    *if is_name { &mut names.lib_name } else { &mut names.lib_version } = value.into();
    reply.ok();
}

/// Kinds of clients that Redis tells apart; all of ours are normal.
fn is_type(word: &[u8]) -> Option<bool> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("normal") => Some(true),
        () if ["master", "replica", "slave", "pubsub"].into_iter().any(is) => Some(false),
        () => None,
    }
}

fn unknown_type(word: &[u8], reply: &mut ReplyWriter<'_>) {
    let mut text = b"ERR Unknown client type '".to_vec();
    text.extend_from_slice(word);
    text.push(b'\'');
    reply.error_bytes(&text);
}

fn list(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>, now: Now) {
    let mut clients = node.clients.all();
    if argv.len() == 4 && argv.get(2).eq_ignore_ascii_case(b"TYPE") {
        match is_type(argv.get(3)) {
            Some(true) => {}
            Some(false) => clients.clear(),
            None => return unknown_type(argv.get(3), reply),
        }
    } else if argv.len() >= 4 && argv.get(2).eq_ignore_ascii_case(b"ID") {
        let mut ids = Vec::new();
        for id in argv.skip(3) {
            match parse_i64(id) {
                Some(id) if id >= 0 => ids.push(id as u64),
                _ => return reply.error("ERR Invalid client ID"),
            }
        }
        clients.retain(|client| ids.contains(&client.id));
    } else if argv.len() > 2 {
        return syntax_error(reply);
    }
    let lines: String = clients.iter().map(|client| client.line(now) + "\n").collect();
    reply.verbatim("txt", lines.as_bytes());
}

fn pause(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>, now: Now) {
    let kind = match argv.len() {
        3 => PauseKind::All,
        4 if argv.get(3).eq_ignore_ascii_case(b"ALL") => PauseKind::All,
        4 if argv.get(3).eq_ignore_ascii_case(b"WRITE") => PauseKind::Writes,
        4 => return reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        _ => return subcommand_syntax_error(argv, reply),
    };
    let Some(ms) = parse_i64(argv.get(2)) else {
        return reply.error("ERR timeout is not an integer or out of range");
    };
    let Ok(ms) = u64::try_from(ms) else { return reply.error("ERR timeout is negative") };
    match now.unix_ms.checked_add(ms).filter(|until| *until <= i64::MAX as u64) {
        Some(until) => {
            node.pause.begin(now.unix_ms, until, kind);
            reply.ok();
        }
        None => reply.error("ERR timeout is out of range"),
    }
}

fn subcommand_syntax_error(argv: Argv<'_>, reply: &mut ReplyWriter<'_>) {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(&argv.get(1)[..argv.get(1).len().min(128)]);
    text.extend_from_slice(b"'. Try CLIENT HELP.");
    reply.error_bytes(&text);
}

fn unblock(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    let how = match argv.len() {
        3 => Unblock::Timeout,
        4 if argv.get(3).eq_ignore_ascii_case(b"TIMEOUT") => Unblock::Timeout,
        4 if argv.get(3).eq_ignore_ascii_case(b"ERROR") => Unblock::Error,
        4 => return reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        _ => return subcommand_syntax_error(argv, reply),
    };
    match parse_i64(argv.get(2)) {
        Some(id) => {
            let client = u64::try_from(id).ok().and_then(|id| node.clients.get(id));
            reply.integer(client.is_some_and(|client| client.unblock(how)).into());
        }
        None => reply.error("ERR value is not an integer or out of range"),
    }
}

/// What `CLIENT KILL` looks for; a client must match all that is given.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    normal: Option<bool>,
    /// Leave the client that asks alone.
    skip_me: bool,
}

impl Filter<'_> {
    fn matches(&self, client: &Client, me: u64) -> bool {
        self.id.is_none_or(|id| client.id == id)
            && self.addr.is_none_or(|addr| client.addr.to_string().as_bytes() == addr)
            && self.laddr.is_none_or(|laddr| client.laddr.to_string().as_bytes() == laddr)
            && self.normal.unwrap_or(true)
            && !(self.skip_me && client.id == me)
    }
}

fn kill(argv: Argv<'_>, session: &mut Session, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    let old_form = argv.len() == 3;
    let filter = if old_form {
        Filter { addr: Some(argv.get(2)), ..Filter::default() }
    } else {
        match kill_filter(argv) {
            Ok(filter) => filter,
            Err(text) => return reply.error_bytes(&text),
        }
    };
    let found: Vec<Arc<Client>> =
        node.clients.all().into_iter().filter(|client| filter.matches(client, session.id)).collect();
    for client in &found {
        if client.id == session.id {
            // Its reply leaves first.
            session.closing = true;
        } else {
            client.kill();
        }
    }
    match (old_form, found.len()) {
        (true, 0) => reply.error("ERR No such client"),
        (true, _) => reply.ok(),
        (false, count) => reply.integer(count as i64),
    }
}

fn kill_filter(argv: Argv<'_>) -> Result<Filter<'_>, Vec<u8>> {
    let mut filter = Filter { skip_me: true, ..Filter::default() };
    let quoted = |before: &str, word: &[u8]| [before.as_bytes(), b" '", word, b"'"].concat();
    for i in (2..argv.len()).step_by(2) {
        if i + 1 == argv.len() {
            return Err(b"ERR syntax error".to_vec());
        }
        let (option, value) = (argv.get(i).to_ascii_uppercase(), argv.get(i + 1));
        match option.as_slice() {
            b"ID" => match parse_i64(value) {
                Some(id) if id > 0 => filter.id = Some(id as u64),
                _ => return Err(b"ERR client-id should be greater than 0".to_vec()),
            },
            b"TYPE" => match is_type(value) {
                Some(normal) => filter.normal = Some(normal),
                None => return Err(quoted("ERR Unknown client type", value)),
            },
            b"ADDR" => filter.addr = Some(value),
            b"LADDR" => filter.laddr = Some(value),
            b"USER" if value == b"default" => {}
            b"USER" => return Err(quoted("ERR No such user", value)),
            b"SKIPME" if value.eq_ignore_ascii_case(b"yes") => filter.skip_me = true,
            b"SKIPME" if value.eq_ignore_ascii_case(b"no") => filter.skip_me = false,
            _ => return Err(b"ERR syntax error".to_vec()),
        }
    }
    Ok(filter)
}

const HELP: &str = "\
CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CACHING (YES|NO)
    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.
GETREDIR
    Return the client ID we are redirecting to when tracking is enabled.
GETNAME
    Return the name of the current connection.
ID
    Return the ID of the current connection.
INFO
    Return information about the current client connection.
KILL <ip:port>
    Kill connection made from <ip:port>.
KILL <option> <value> [<option> <value> [...]]
    Kill connections. Options are:
    * ADDR (<ip:port>|<unixsocket>:0)
      Kill connections made from the specified address
    * LADDR (<ip:port>|<unixsocket>:0)
      Kill connections made to specified local address
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Kill connections by type.
    * USER <username>
      Kill connections authenticated by <username>.
    * SKIPME (YES|NO)
      Skip killing current connection (default: yes).
    * ID <client-id>
      Kill connections by client id.
LIST [options ...]
    Return information about client connections. Options:
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Return clients of specified type.
    * ID <client-id> [<client-id> [...]]
      Return clients of specified ids.
UNPAUSE
    Stop the current client pause, resuming traffic.
PAUSE <timeout> [WRITE|ALL]
    Suspend all, or just write, clients for <timeout> milliseconds.
REPLY (ON|OFF|SKIP)
    Control the replies sent to the current connection.
SETNAME <name>
    Assign the name <name> to the current connection.
SETINFO <option> <value>
    Set client meta attr. Options are:
    * LIB-NAME: the client lib name.
    * LIB-VER: the client lib version.
TRACKING OFF
    Control server assisted client side caching.
TRACKINGINFO
    Report tracking status for the current connection.
UNBLOCK <clientid> [TIMEOUT|ERROR]
    Unblock the specified blocked client.
NO-EVICT (ON|OFF)
    Protect current client connection from eviction.
NO-TOUCH (ON|OFF)
    Will not touch LRU/LFU stats when this mode is on.
HELP
    Print this help.";

/// Whether these are options of CLIENT TRACKING.
fn are_tracking_options(argv: Argv<'_>) -> bool {
    const OPTIONS: [(&str, usize); 6] =
        [("REDIRECT", 1), ("BCAST", 0), ("OPTIN", 0), ("OPTOUT", 0), ("NOLOOP", 0), ("PREFIX", 1)];
    let mut at = 0;
    while at < argv.len() {
        let option = argv.get(at);
        let known = OPTIONS.iter().find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes()));
        let Some((_, arguments)) = known else { return false };
        at += 1 + arguments;
    }
    at == argv.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::session::testing::{Tester, check};

    #[test]
    fn a_client_learns_and_says_who_it_is() {
        let mut tester = Tester::new();
        check(
            &mut tester,
            &[
                ("CLIENT ID", ":1|"),
                ("CLIENT GETNAME", "$-1|"),
                ("CLIENT SETNAME me", "+OK|"),
                ("CLIENT GETNAME", "$2|me|"),
                ("CLIENT SETINFO lib-name lib", "+OK|"),
                ("CLIENT SETINFO LIB-VER 1.2", "+OK|"),
                ("CLIENT SETINFO color red", "-ERR Unrecognized option 'color'|"),
                ("CLIENT NO-EVICT on", "+OK|"),
                ("CLIENT NO-TOUCH maybe", "-ERR syntax error|"),
                ("CLIENT REPLY ON", "+OK|"),
                (
                    "CLIENT CACHING yes",
                    "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled|",
                ),
                ("CLIENT REPLY off2", "-ERR syntax error|"),
                ("CLIENT TRACKING off", "+OK|"),
                ("CLIENT TRACKING off BCAST PREFIX p", "+OK|"),
                ("CLIENT TRACKING off PREFIX", "-ERR syntax error|"),
                ("CLIENT TRACKING off WHAT", "-ERR syntax error|"),
                ("CLIENT TRACKING on", "-ERR CLIENT TRACKING is not supported|"),
                ("CLIENT TRACKINGINFO", "*6|$5|flags|*1|$3|off|$8|redirect|:-1|$8|prefixes|*0|"),
                ("CLIENT GETREDIR", ":-1|"),
                ("CLIENT UNPAUSE", "+OK|"),
            ],
        );
        for (args, error) in [
            (&[&b"CLIENT"[..], b"SETNAME", b"a b"][..], "-ERR Client names cannot contain spaces"),
            (&[b"CLIENT", b"SETINFO", b"lib-ver", b"a\n"], "-ERR lib-ver cannot contain spaces"),
        ] {
            assert!(tester.args(args).starts_with(error));
        }
        let line = tester.run("CLIENT INFO");
        let expected = "id=1 addr=10.9.8.7:5000 laddr=10.1.1.1:6379 fd=-1 name=me age=2 idle=0 flags=e ";
        assert!(line.split_once("\r\n").unwrap().1.starts_with(expected), "{line}");
        assert!(
            line.ends_with("cmd=client|info user=default redir=-1 resp=2 lib-name=lib lib-ver=1.2\n\r\n")
        );
    }

    #[test]
    fn replies_are_switched_off_for_all_or_for_one_request() {
        let mut tester = Tester::new();
        check(&mut tester, &[("CLIENT REPLY SKIP", "")]);
        assert_eq!(tester.session.replies, Replies::SkipNext);
        check(&mut tester, &[("CLIENT REPLY OFF", "")]);
        check(&mut tester, &[("CLIENT REPLY skip", "")]);
        assert_eq!(tester.session.replies, Replies::Off);
        check(&mut tester, &[("CLIENT REPLY ON", "+OK|")]);
        assert_eq!(tester.session.replies, Replies::On);
    }

    #[test]
    fn a_pause_is_for_all_or_for_writes_and_ends_early_or_by_itself() {
        let mut tester = Tester::new();
        let now_ms = tester.now.unix_ms;
        check(
            &mut tester,
            &[
                ("CLIENT PAUSE abc", "-ERR timeout is not an integer or out of range|"),
                ("CLIENT PAUSE -1", "-ERR timeout is negative|"),
                ("CLIENT PAUSE 9223372036854775807", "-ERR timeout is out of range|"),
                ("CLIENT PAUSE 10 some", "-ERR CLIENT PAUSE mode must be WRITE or ALL|"),
                ("CLIENT PAUSE 100 write", "+OK|"),
            ],
        );
        assert_eq!(tester.node.pause.kind(now_ms + 99), Some(PauseKind::Writes));
        assert_eq!(tester.node.pause.kind(now_ms + 100), None);
        check(&mut tester, &[("CLIENT PAUSE 5", "+OK|")]);
        assert_eq!(tester.node.pause.kind(now_ms + 99), Some(PauseKind::All));
        check(&mut tester, &[("CLIENT UNPAUSE", "+OK|")]);
        assert_eq!(tester.node.pause.kind(now_ms), None);
    }

    #[test]
    fn unblock_ends_the_wait_of_a_client_that_waits() {
        let mut tester = Tester::new();
        let other = Tester::of(tester.node.clone());
        check(
            &mut tester,
            &[
                ("CLIENT UNBLOCK 2", ":0|"),
                ("CLIENT UNBLOCK 77 ERROR", ":0|"),
                ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range|"),
                ("CLIENT UNBLOCK 2 soon", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR|"),
            ],
        );
        other.session.client.set_waiting(true);
        check(&mut tester, &[("CLIENT UNBLOCK 2 ERROR", ":1|"), ("CLIENT UNBLOCK 2", ":0|")]);
        assert_eq!(other.session.client.unblocked(), Some(Unblock::Error));
    }

    #[test]
    fn list_shows_whom_it_is_asked_for() {
        let mut tester = Tester::new();
        let other = Tester::of(tester.node.clone());
        let ids = |reply: String| {
            reply
                .lines()
                .filter_map(|line| line.strip_prefix("id=")?.split(' ').next()?.parse().ok())
                .collect::<Vec<u64>>()
        };
        assert_eq!(ids(tester.run("CLIENT LIST")), [1, 2]);
        assert_eq!(ids(tester.run("CLIENT LIST TYPE normal")), [1, 2]);
        assert_eq!(ids(tester.run("CLIENT LIST ID 2 77")), [2]);
        check(
            &mut tester,
            &[
                ("CLIENT LIST TYPE pubsub", "$0||"),
                ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'|"),
                ("CLIENT LIST ID 1 x", "-ERR Invalid client ID|"),
                ("CLIENT LIST ID", "-ERR syntax error|"),
                ("CLIENT LIST foo", "-ERR syntax error|"),
            ],
        );
        drop(other);
        assert_eq!(ids(tester.run("CLIENT LIST")), [1]);
    }

    #[test]
    fn kill_ends_the_clients_that_match() {
        let mut tester = Tester::new();
        let other = Tester::of(tester.node.clone());
        check(
            &mut tester,
            &[
                ("CLIENT KILL 1.2.3.4:5", "-ERR No such client|"),
                ("CLIENT KILL ID 99", ":0|"),
                ("CLIENT KILL ID abc", "-ERR client-id should be greater than 0|"),
                ("CLIENT KILL foo bar", "-ERR syntax error|"),
                ("CLIENT KILL ID 1 ADDR", "-ERR syntax error|"),
                ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'|"),
                ("CLIENT KILL TYPE pubsub", ":0|"),
                ("CLIENT KILL SKIPME foo", "-ERR syntax error|"),
                ("CLIENT KILL USER nobody", "-ERR No such user 'nobody'|"),
                ("CLIENT KILL ID 1", ":0|"),
            ],
        );
        assert!(!other.session.client.is_killed());
        check(&mut tester, &[("CLIENT KILL USER default LADDR 10.1.1.1:6379", ":1|")]);
        assert!(other.session.client.is_killed() && !tester.session.closing);
        check(&mut tester, &[("CLIENT KILL ID 1 SKIPME no", ":1|")]);
        assert!(tester.session.closing, "its own reply leaves before it is closed");
    }

    #[test]
    fn the_old_form_of_kill_takes_an_address() {
        let mut tester = Tester::new();
        check(&mut tester, &[("CLIENT KILL 10.9.8.7:5000", "+OK|")]);
        assert!(tester.session.closing);
    }
}
