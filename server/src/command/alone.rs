//! What clients of a Redis with replicas and users ask: ROLE, REPLICAOF, FAILOVER, WAIT, ACL; and LOLWUT.

use carousel_protocol::command_table::{self, CommandSpec};
use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::error::CommandError;
use super::session::{help, subcommand};
use crate::metrics::{CAROUSEL_VERSION, NodeView, REDIS_VERSION};
use crate::replication::quorum::effective;

/// Every node is a primary of some slots or of none; clients must never take it for a replica.
pub(super) fn role(reply: &mut ReplyWriter<'_>) {
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(0);
    reply.array(0);
}

/// `REPLICAOF NO ONE` is what the node is anyway.
pub(super) fn replica_of(argv: Argv<'_>, reply: &mut ReplyWriter<'_>) {
    if argv.get(1).eq_ignore_ascii_case(b"NO") && argv.get(2).eq_ignore_ascii_case(b"ONE") {
        return reply.ok();
    }
    reply.error(
        "ERR REPLICAOF not allowed in cluster mode. The cluster places replicas itself: use cluster-admin.",
    );
}

pub(super) fn failover(reply: &mut ReplyWriter<'_>) {
    reply.error("ERR FAILOVER not allowed in cluster mode.");
}

/// Other nodes that hold whatever this node has acknowledged.
fn replicas_acknowledging(node: &NodeView) -> i64 {
    let map = node.map();
    if !map.joined() {
        return 0;
    }
    (effective(map.state.write_quorum, map.state.replicas.into()) as i64 - 1).max(0)
}

/// `WAIT numreplicas timeout`: a reply has left only when its replicas hold the write, so there is never anything to wait
/// for, and more will not come.
pub(super) fn wait(argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    if parse_i64(argv.get(1)).is_none() {
        return reply.error("ERR value is not an integer or out of range");
    }
    match parse_i64(argv.get(2)) {
        None => reply.error("ERR timeout is not an integer or out of range"),
        Some(..0) => reply.error("ERR timeout is negative"),
        Some(_) => reply.integer(replicas_acknowledging(node)),
    }
}

/// `WAITAOF numlocal numreplicas timeout`: the request as checked, or the text of an error.
pub(super) fn wait_aof(argv: Argv<'_>, node: &NodeView) -> Result<WaitAof, &'static str> {
    let local = parse_i64(argv.get(1)).ok_or("ERR value is not an integer or out of range")?;
    if !(0..=1).contains(&local) {
        return Err("ERR value is out of range, must be between 0 and 1");
    }
    let replicas = parse_i64(argv.get(2)).ok_or("ERR value is not an integer or out of range")?;
    if replicas < 0 {
        return Err("ERR value is out of range, must be positive");
    }
    let timeout_ms = match parse_i64(argv.get(3)) {
        None => return Err("ERR timeout is not an integer or out of range"),
        Some(..0) => return Err("ERR timeout is negative"),
        Some(ms) => ms as u64,
    };
    if local == 1 && !node.settings().appendonly {
        return Err("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
    }
    Ok(WaitAof { local: local == 1, timeout_ms })
}

/// What a client waits for by `WAITAOF`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitAof {
    /// Until this node's logs are synced.
    pub local: bool,
    /// For so long at most; 0 for as long as it takes.
    pub timeout_ms: u64,
}

/// The reply to `WAITAOF`: whether this node's logs are synced. Whether replicas have synced is not known.
pub fn wait_aof_reply(synced: bool, reply: &mut ReplyWriter<'_>) {
    reply.array(2);
    reply.integer(synced.into());
    reply.integer(0);
}

/// There is one user, `default`, who may do everything.
pub(super) fn acl(spec: &'static CommandSpec, argv: Argv<'_>, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    const ONE_USER: &str = "ERR users other than `default` are not supported: use requirepass";
    let Some(sub) = subcommand(spec, argv, reply) else { return };
    if matches!(sub.name, "CAT" | "LOG") && argv.len() > 3 {
        let name = String::from_utf8_lossy(argv.get(1));
        return reply.error(&format!(
            "ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL HELP."
        ));
    }
    let has_password = node.settings().password().is_some();
    match sub.name {
        "WHOAMI" => reply.bulk(b"default"),
        "USERS" => {
            reply.array(1);
            reply.bulk(b"default");
        }
        "LIST" => {
            reply.array(1);
            // The password is a secret here, also as a hash.
            let nopass = if has_password { "" } else { " nopass" };
            reply.bulk(format!("user default on{nopass} ~* &* +@all").as_bytes());
        }
        "GETUSER" if argv.get(2) != b"default" => reply.null(),
        "GETUSER" => {
            reply.map(6);
            reply.bulk(b"flags");
            let flags: &[&str] = if has_password { &["on"] } else { &["on", "nopass"] };
            reply.set(flags.len());
            flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
            reply.bulk(b"passwords");
            reply.array(0);
            for (name, rules) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
                reply.bulk(name.as_bytes());
                reply.bulk(rules.as_bytes());
            }
            reply.bulk(b"selectors");
            reply.array(0);
        }
        "CAT" => categories(argv, reply),
        "LOG" if argv.len() == 3 && argv.get(2).eq_ignore_ascii_case(b"RESET") => reply.ok(),
        "LOG" if argv.len() == 3 && parse_i64(argv.get(2)).is_none() => {
            reply.error(&CommandError::NotAnInteger.to_string());
        }
        "LOG" => reply.array(0),
        "SETUSER" | "DELUSER" | "LOAD" | "SAVE" => reply.error(ONE_USER),
        "HELP" => help(reply, ACL_HELP),
        other => unreachable!("ACL {other} is in the table and has no handler"),
    }
}

/// Without a category all of them, else its commands and subcommands.
fn categories(argv: Argv<'_>, reply: &mut ReplyWriter<'_>) {
    let mut names = std::collections::BTreeSet::new();
    let given = (argv.len() > 2).then(|| [b"@", argv.get(2).to_ascii_lowercase().as_slice()].concat());
    for spec in command_table::all() {
        let subs = spec.subcommands.iter().map(|sub| {
            (format!("{}|{}", spec.name, sub.name), sub.flags.acl_categories().collect::<Vec<_>>())
        });
        let entries = std::iter::once((spec.name.to_string(), spec.acl_categories().collect())).chain(subs);
        for (name, of_entry) in entries {
            match &given {
                None => names.extend(of_entry.into_iter().map(|category| category[1..].to_string())),
                Some(category) if of_entry.iter().any(|own| own.as_bytes() == category) => {
                    names.insert(name.to_ascii_lowercase());
                }
                Some(_) => {}
            }
        }
    }
    if names.is_empty() {
        let mut text = b"ERR Unknown category '".to_vec();
        text.extend_from_slice(argv.get(2));
        text.push(b'\'');
        return reply.error_bytes(&text);
    }
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
}

/// A carousel, and the versions.
pub(super) fn lolwut(reply: &mut ReplyWriter<'_>) {
    let text = format!("{LOLWUT}\nCarousel {CAROUSEL_VERSION}\nRedis ver. {REDIS_VERSION}\n");
    reply.verbatim("txt", text.as_bytes());
}

const LOLWUT: &str = r"
             .
          .-'|'-.
      .-'    |    '-.
    /_/\_/\__|__/\_/\_\
      |  ~n  |  n~  |
      | /|/\ | /\|\ |
      |  |   |   |  |
    __|______|______|__
   '-------------------'";

const ACL_HELP: &str = "\
ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CAT [<category>]
    List all commands that belong to <category>, or all command categories
    when no category is specified.
GETUSER <username>
    Get the user's details.
LIST
    Show users details in config file format.
LOG [<count> | RESET]
    Show the ACL log entries, of which there are none.
USERS
    List all the registered usernames.
WHOAMI
    Return the current connection username.
HELP
    Print this help.";

#[cfg(test)]
mod tests {
    use super::WaitAof;
    use crate::command::session::testing::{Tester, check};

    #[test]
    fn a_lone_node_says_what_it_is() {
        let mut tester = Tester::new();
        check(
            &mut tester,
            &[
                ("ROLE", "*3|$6|master|:0|*0|"),
                ("REPLICAOF no one", "+OK|"),
                ("SLAVEOF NO ONE", "+OK|"),
                ("FAILOVER", "-ERR FAILOVER not allowed in cluster mode.|"),
                ("WAIT 0 0", ":0|"),
                ("WAIT 1 10", ":0|"),
                ("WAIT x 10", "-ERR value is not an integer or out of range|"),
                ("WAIT 1 -1", "-ERR timeout is negative|"),
                ("WAIT 1 x", "-ERR timeout is not an integer or out of range|"),
            ],
        );
        assert!(
            tester.run("REPLICAOF 10.0.0.1 6379").starts_with("-ERR REPLICAOF not allowed in cluster mode.")
        );
        assert!(tester.run("LOLWUT VERSION 5 1 2").contains("Redis ver. 7.2.4\n"));
    }

    #[test]
    fn waitaof_checks_what_it_is_asked() {
        let mut tester = Tester::new();
        check(
            &mut tester,
            &[
                ("WAITAOF x 0 0", "-ERR value is not an integer or out of range|"),
                ("WAITAOF 2 0 0", "-ERR value is out of range, must be between 0 and 1|"),
                ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive|"),
                ("WAITAOF 0 0 -1", "-ERR timeout is negative|"),
            ],
        );
        assert_eq!(tester.run("WAITAOF 1 0 5"), "", "the connection answers when it is done");
        assert_eq!(tester.session.wait_aof, Some(WaitAof { local: true, timeout_ms: 5 }));
    }

    #[test]
    fn there_is_one_user() {
        let mut tester = Tester::new();
        check(
            &mut tester,
            &[
                ("ACL WHOAMI", "$7|default|"),
                ("ACL USERS", "*1|$7|default|"),
                ("ACL LIST", "*1|$34|user default on nopass ~* &* +@all|"),
                ("ACL GETUSER nobody", "$-1|"),
                ("ACL LOG", "*0|"),
                ("ACL CAT nope", "-ERR Unknown category 'nope'|"),
                ("ACL SETUSER a on", "-ERR users other than `default` are not supported: use requirepass|"),
            ],
        );
        let user = tester.run("ACL GETUSER default");
        assert!(user.starts_with("*12\r\n$5\r\nflags\r\n*2\r\n$2\r\non\r\n$6\r\nnopass\r\n"), "{user}");
        assert!(tester.run("ACL CAT").contains("\r\nsortedset\r\n"));
        let hash = tester.run("ACL CAT HASH");
        assert!(hash.contains("\r\nhget\r\n") && !hash.contains("\r\nget\r\n"), "{hash}");
        tester.run("CONFIG SET requirepass secret");
        assert!(!tester.run("ACL LIST").contains("nopass"));
    }
}
