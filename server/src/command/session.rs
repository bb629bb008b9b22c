//! The state of one connection, and the commands that need no more than it and what the node publishes.

use carousel_protocol::Database;
use carousel_protocol::command_table::{CommandId, CommandSpec, SubcommandSpec};
use carousel_protocol::resp::{Argv, ReplyWriter, Version};

use super::alone::WaitAof;
use super::{
    alone, client, cluster, connection, debug, info, introspect, latency, memory, monitor, server, slowlog,
};
use crate::Now;
use crate::metrics::{ClientHandle, MonitorHandle, NodeView};
use crate::settings::Settings;

/// What a connection remembers between requests.
pub struct Session {
    /// The client's id, as `CLIENT ID` tells.
    pub id: u64,
    /// Its entry in the registry, with its names; it leaves with the session.
    pub client: ClientHandle,
    /// What the client understands.
    pub version: Version,
    /// The database that it has selected.
    pub database: Database,
    /// What it asks is a use of the keys it asks for: it has not said `CLIENT NO-TOUCH ON`.
    pub counts_as_use: bool,
    /// It may execute commands without the flag `no_auth`.
    pub authenticated: bool,
    /// It is to be closed once the replies so far have left.
    pub closing: bool,
    /// Which replies it wants.
    pub replies: Replies,
    /// What the connection is to wait for before it answers `WAITAOF`.
    pub wait_aof: Option<WaitAof>,
    /// All shards are to stand still for so long before the reply leaves: `DEBUG SLEEP`.
    pub standstill: Option<std::time::Duration>,
    /// Its place among those who watch all commands, after `MONITOR`.
    pub monitor: Option<MonitorHandle>,
}

/// Which replies a client wants: `CLIENT REPLY`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Replies {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but that of the next request.
    SkipNext,
}

impl Session {
    /// The session of a client that just connected.
    pub fn new(client: ClientHandle, settings: &Settings) -> Self {
        Self {
            id: client.id,
            client,
            version: Version::Resp2,
            database: Database::MAIN,
            counts_as_use: true,
            authenticated: settings.password().is_none(),
            closing: false,
            replies: Replies::On,
            monitor: None,
            wait_aof: None,
            standstill: None,
        }
    }

    pub(super) fn set_database(&mut self, database: Database) {
        self.database = database;
        self.client.set_database(database);
    }

    pub(super) fn set_no_touch(&mut self, on: bool) {
        self.counts_as_use = !on;
        self.client.set_no_touch(on);
    }

    pub(super) fn set_version(&mut self, version: Version) {
        self.version = version;
        self.client.set_resp3(version == Version::Resp3);
    }
}

/// Executes a command whose place is [`Place::Connection`](carousel_protocol::command_table::Place::Connection) and
/// appends its reply. Its arity, but not that of its subcommand, has been checked, and that the client may execute it.
///
/// `CONFIG SET` publishes new settings in `node`; `reply` is switched along when `HELLO` switches the protocol.
pub fn run_connection_command(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    session: &mut Session,
    node: &NodeView,
    reply: &mut ReplyWriter<'_>,
    now: Now,
) {
    note(spec, argv, session, now);
    match spec.id {
        CommandId::Ping => connection::ping(argv, reply),
        CommandId::Echo => reply.bulk(argv.get(1)),
        CommandId::Quit => {
            session.closing = true;
            reply.ok();
        }
        CommandId::Reset => connection::reset(session, &node.settings(), reply),
        CommandId::Monitor => monitor::monitor(session, node, reply),
        CommandId::SlowLog => slowlog::slowlog(spec, argv, node, reply),
        CommandId::Latency => latency::latency(spec, argv, node, reply, now),
        CommandId::Debug => debug::debug(argv, session, node, reply),
        CommandId::LolWut => alone::lolwut(reply),
        CommandId::Role => alone::role(reply),
        CommandId::ReplicaOf | CommandId::SlaveOf => alone::replica_of(argv, reply),
        CommandId::Failover => alone::failover(reply),
        CommandId::Wait => alone::wait(argv, node, reply),
        CommandId::WaitAof => match alone::wait_aof(argv, node) {
            Ok(wait) => session.wait_aof = Some(wait),
            Err(text) => reply.error(text),
        },
        CommandId::Acl => alone::acl(spec, argv, node, reply),
        CommandId::Hello => connection::hello(argv, session, &node.settings(), reply),
        CommandId::Auth => connection::auth(argv, session, &node.settings(), reply),
        CommandId::Select => connection::select(argv, session, &node.settings(), reply),
        CommandId::Client => client::client(spec, argv, session, node, reply, now),
        CommandId::Command => introspect::command(spec, argv, reply),
        CommandId::Config => server::config(spec, argv, node, reply),
        CommandId::Info => info::info(argv, node, reply, now),
        CommandId::Time => server::time(reply, now),
        CommandId::LastSave => reply.integer(node.persistence.last_unix_s() as i64),
        CommandId::ReadOnly | CommandId::ReadWrite => {
            session.client.set_readonly(spec.id == CommandId::ReadOnly);
            reply.ok();
        }
        // A slot that is being handed over to this node parks its requests, whether they came by ASK or not.
        CommandId::Asking => reply.ok(),
        CommandId::Cluster => cluster::cluster(spec, argv, session, node, reply),
        CommandId::Memory => memory::memory(spec, argv, node, reply),
        CommandId::Object => {
            let _ = subcommand(spec, argv, reply).map(|_| help(reply, OBJECT_HELP));
        }
        other => unreachable!("{other:?} does not execute on the connection"),
    }
}

fn note(spec: &'static CommandSpec, argv: Argv<'_>, session: &Session, now: Now) {
    let given = if argv.len() > 1 { argv.get(1) } else { b"" };
    match spec.subcommands.iter().position(|sub| sub.name.as_bytes().eq_ignore_ascii_case(given)) {
        Some(index) => session.client.note_subcommand(now, spec.id, index),
        None => session.client.note(now, spec.id),
    }
}

/// The subcommand that a request names; answers with an error where it is unknown or its arity is wrong.
pub(super) fn subcommand(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    reply: &mut ReplyWriter<'_>,
) -> Option<&'static SubcommandSpec> {
    let Some(sub) = spec.subcommand(argv.get(1)) else {
        let given = &argv.get(1)[..argv.get(1).len().min(128)];
        let mut text = b"ERR unknown subcommand '".to_vec();
        text.extend_from_slice(given);
        text.extend_from_slice(format!("'. Try {} HELP.", spec.name).as_bytes());
        reply.error_bytes(&text);
        return None;
    };
    if !sub.arity.fits(argv.len()) {
        let (name, sub) = (spec.name.to_ascii_lowercase(), sub.name.to_ascii_lowercase());
        reply.error(&format!("ERR wrong number of arguments for '{name}|{sub}' command"));
        return None;
    }
    Some(sub)
}

/// The error reply to a request whose subcommand is unknown or has another number of arguments, if it is such a one: what
/// MULTI does not queue.
pub fn wrong_subcommand(spec: &'static CommandSpec, argv: Argv<'_>) -> Option<Vec<u8>> {
    let names_one = !spec.subcommands.is_empty() && argv.len() > 1;
    let mut error = Vec::new();
    let is_wrong =
        names_one && subcommand(spec, argv, &mut ReplyWriter::new(&mut error, Version::Resp2)).is_none();
    is_wrong.then_some(error)
}

/// The lines of a HELP subcommand, as simple strings.
pub(super) fn help(reply: &mut ReplyWriter<'_>, lines: &str) {
    reply.array(lines.lines().count());
    lines.lines().for_each(|line| reply.simple(line));
}

/// `ERR syntax error`.
pub(super) fn syntax_error(reply: &mut ReplyWriter<'_>) {
    reply.error("ERR syntax error");
}

pub(super) const OBJECT_HELP: &str = "\
OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
ENCODING <key>
    Return the kind of internal representation used in order to store the value
    associated with a <key>.
FREQ <key>
    Return the access frequency index of the <key>. The returned integer is
    proportional to the logarithm of the recent access frequency of the key.
IDLETIME <key>
    Return the idle time of the <key>, that is the approximated number of
    seconds elapsed since the last access to the key.
REFCOUNT <key>
    Return the number of references of the value associated with the specified
    <key>.
HELP
    Print this help.";

#[cfg(test)]
pub(super) mod testing {
    //! A client to try commands with.

    use std::sync::Arc;

    use carousel_protocol::ShardId;
    use carousel_protocol::command_table::lookup;
    use carousel_protocol::resp::{Limits, Parsed, RequestParser, encode_request};

    use super::*;
    use crate::metrics::testing::node;

    /// Time of all commands unless a test moves it.
    pub(crate) const NOW: Now = Now { mono_ns: 0, unix_ms: 1_005_500 };

    /// A client of a node of its own.
    pub(crate) struct Tester {
        pub(crate) node: Arc<NodeView>,
        pub(crate) session: Session,
        pub(crate) now: Now,
    }

    impl Tester {
        pub(crate) fn new() -> Self {
            Self::of(Arc::new(node()))
        }

        /// Another client of the same node.
        pub(crate) fn of(node: Arc<NodeView>) -> Self {
            let [addr, laddr] =
                ["10.9.8.7:5000", "10.1.1.1:6379"].map(|text| text.parse::<std::net::SocketAddr>().unwrap());
            let now = Now { mono_ns: 0, unix_ms: 1_003_000 };
            let client = node.clients.register(addr, laddr, ShardId(0), now);
            let session = Session::new(client, &node.settings());
            Self { node, session, now: NOW }
        }

        /// The reply to a request of these words, as it goes over the wire.
        pub(crate) fn args(&mut self, args: &[&[u8]]) -> String {
            let (mut request, mut ranges, mut out) = (Vec::new(), Vec::new(), Vec::new());
            encode_request(&mut request, args);
            let mut parser = RequestParser::new(Limits::default());
            assert!(matches!(parser.parse(&request, &mut ranges), Ok(Parsed::Complete { .. })));
            let argv = parser.argv(&request, &ranges);
            let spec = lookup(args[0]).unwrap();
            assert!(spec.arity_ok(argv.len()), "the connection refuses it before");
            let mut reply = ReplyWriter::new(&mut out, self.session.version);
            run_connection_command(spec, argv, &mut self.session, &self.node, &mut reply, self.now);
            String::from_utf8(out).unwrap()
        }

        /// The same for words split at spaces.
        pub(crate) fn run(&mut self, line: &str) -> String {
            self.args(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
        }
    }

    /// Checks replies, written with `|` for CRLF.
    pub(crate) fn check(tester: &mut Tester, cases: &[(&str, &str)]) {
        for (line, reply) in cases {
            assert_eq!(tester.run(line).replace("\r\n", "|"), *reply, "{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Tester, check};

    #[test]
    fn unknown_subcommands_and_their_arity_are_refused_as_redis_does() {
        check(
            &mut Tester::new(),
            &[
                ("CLIENT foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.|"),
                ("client id x", "-ERR wrong number of arguments for 'client|id' command|"),
                ("CLUSTER nope", "-ERR unknown subcommand 'nope'. Try CLUSTER HELP.|"),
                ("COMMAND foo", "-ERR unknown subcommand 'foo'. Try COMMAND HELP.|"),
                ("config resetstat x", "-ERR wrong number of arguments for 'config|resetstat' command|"),
                ("OBJECT HELP x", "-ERR wrong number of arguments for 'object|help' command|"),
            ],
        );
    }

    #[test]
    fn readonly_is_remembered() {
        let mut tester = Tester::new();
        check(&mut tester, &[("READONLY", "+OK|"), ("ASKING", "+OK|")]);
        assert!(tester.run("CLIENT INFO").contains(" flags=r "));
        check(&mut tester, &[("READWRITE", "+OK|")]);
        assert!(tester.run("CLIENT INFO").contains(" flags=N "));
    }

    #[test]
    fn help_is_an_array_of_lines() {
        let mut tester = Tester::new();
        for name in ["CLIENT", "CLUSTER", "COMMAND", "CONFIG", "OBJECT"] {
            let reply = tester.run(&format!("{name} HELP"));
            let lines = reply.lines().count() - 1;
            assert!(reply.starts_with(&format!("*{lines}\r\n+{name} <subcommand> [<arg>")), "{reply}");
            assert!(reply.ends_with("+HELP\r\n+    Print this help.\r\n"), "{reply}");
        }
    }
}
