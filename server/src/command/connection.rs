//! PING, HELLO, AUTH, SELECT and RESET.

use carousel_protocol::Database;
use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, ReplyWriter, Version};

use super::exec::database_of;
use super::session::{Replies, Session, syntax_error};
use crate::metrics::REDIS_VERSION;
use crate::settings::Settings;

/// The only user there is.
const DEFAULT_USER: &[u8] = b"default";

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

pub(super) fn ping(argv: Argv<'_>, reply: &mut ReplyWriter<'_>) {
    match argv.len() {
        1 => reply.simple("PONG"),
        2 => reply.bulk(argv.get(1)),
        _ => reply.error("ERR wrong number of arguments for 'ping' command"),
    }
}

pub(super) fn select(
    argv: Argv<'_>,
    session: &mut Session,
    settings: &Settings,
    reply: &mut ReplyWriter<'_>,
) {
    match database_of(argv.get(1), settings.databases) {
        Ok(database) => {
            session.set_database(database);
            reply.ok();
        }
        Err(error) => reply.error(&error.to_string()),
    }
}

/// As if the client had just connected.
pub(super) fn reset(session: &mut Session, settings: &Settings, reply: &mut ReplyWriter<'_>) {
    session.set_version(Version::Resp2);
    session.set_database(Database::MAIN);
    session.client.set_readonly(false);
    session.authenticated = settings.password().is_none();
    session.set_no_touch(false);
    session.client.set_no_evict(false);
    session.client.set_monitors(false);
    session.monitor = None;
    session.replies = Replies::On;
    session.client.names().name.clear();
    reply.version = Version::Resp2;
    reply.simple("RESET");
}

pub(super) fn auth(argv: Argv<'_>, session: &mut Session, settings: &Settings, reply: &mut ReplyWriter<'_>) {
    let (user, password) = match argv.len() {
        2 if settings.password().is_none() => {
            return reply.error(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            );
        }
        2 => (DEFAULT_USER, argv.get(1)),
        3 => (argv.get(1), argv.get(2)),
        _ => return syntax_error(reply),
    };
    if may_log_in(settings, user, password) {
        session.authenticated = true;
        reply.ok();
    } else {
        reply.error(WRONG_PASSWORD);
    }
}

fn may_log_in(settings: &Settings, user: &[u8], password: &[u8]) -> bool {
    user == DEFAULT_USER
        && settings.password().is_none_or(|expected| same_secret(expected.as_bytes(), password))
}

/// Compares without telling by its time how much of the guess is right.
fn same_secret(expected: &[u8], given: &[u8]) -> bool {
    let mut difference = expected.len() ^ given.len();
    for (i, &byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ expected[i % expected.len()]);
    }
    difference == 0
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`: nothing of it is done unless all can be.
pub(super) fn hello(argv: Argv<'_>, session: &mut Session, settings: &Settings, reply: &mut ReplyWriter<'_>) {
    let mut version = session.version;
    if argv.len() > 1 {
        version = match parse_i64(argv.get(1)) {
            Some(2) => Version::Resp2,
            Some(3) => Version::Resp3,
            Some(_) => return reply.error("NOPROTO unsupported protocol version"),
            None => return reply.error("ERR Protocol version is not an integer or out of range"),
        };
    }
    let (mut login, mut name) = (None, None);
    let mut i = 2;
    while i < argv.len() {
        let left = argv.len() - i - 1;
        if argv.get(i).eq_ignore_ascii_case(b"AUTH") && left >= 2 {
            login = Some((argv.get(i + 1), argv.get(i + 2)));
            i += 3;
        } else if argv.get(i).eq_ignore_ascii_case(b"SETNAME") && left >= 1 {
            let Some(valid) = printable(argv.get(i + 1)) else {
                return reply.error(BAD_NAME);
            };
            name = Some(valid);
            i += 2;
        } else {
            let mut text = b"ERR Syntax error in HELLO option '".to_vec();
            text.extend_from_slice(argv.get(i));
            text.push(b'\'');
            return reply.error_bytes(&text);
        }
    }
    if let Some((user, password)) = login {
        if !may_log_in(settings, user, password) {
            return reply.error(WRONG_PASSWORD);
        }
        session.authenticated = true;
    }
    if !session.authenticated {
        return reply.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        );
    }
    if let Some(name) = name {
        session.client.names().name = name.into();
    }
    session.set_version(version);
    reply.version = version;
    describe(session, reply);
}

fn describe(session: &Session, reply: &mut ReplyWriter<'_>) {
    reply.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(session.version.number());
    reply.bulk(b"id");
    reply.integer(session.id as i64);
    for (name, value) in [("mode", "cluster"), ("role", "master")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

/// What is said of a name with other characters than [`printable`] takes.
pub(super) const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

/// The text, if all of it is visible ASCII, as names of clients have to be.
pub(super) fn printable(text: &[u8]) -> Option<&str> {
    if text.iter().all(u8::is_ascii_graphic) { std::str::from_utf8(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use crate::command::session::testing::{Tester, check};

    const DESCRIPTION: &str = "$6|server|$5|redis|$7|version|$5|7.2.4|$5|proto|:P|$2|id|:1|$4|mode|$7|cluster|$4|role|$6|master|$7|modules|*0|";

    fn set_password(tester: &Tester, password: &str) {
        tester
            .node
            .settings
            .update(|settings| {
                settings.requirepass = password.into();
                Ok::<_, ()>(())
            })
            .unwrap();
    }

    #[test]
    fn small_commands_answer_as_redis_does() {
        let mut tester = Tester::new();
        check(
            &mut tester,
            &[
                ("PING", "+PONG|"),
                ("PING a", "$1|a|"),
                ("PING a b", "-ERR wrong number of arguments for 'ping' command|"),
                ("ECHO hey", "$3|hey|"),
                ("SELECT 0", "+OK|"),
                ("SELECT 16", "-ERR DB index is out of range|"),
                ("SELECT -1", "-ERR DB index is out of range|"),
                ("SELECT abc", "-ERR value is not an integer or out of range|"),
                (
                    "SELECT 99999999999",
                    "-ERR value is out of range, value must between -2147483648 and 2147483647|",
                ),
            ],
        );
        assert!(!tester.session.closing);
        check(&mut tester, &[("QUIT", "+OK|")]);
        assert!(tester.session.closing);
    }

    #[test]
    fn hello_switches_the_protocol_and_describes_the_server() {
        let mut tester = Tester::new();
        let [two, three] = [2, 3].map(|proto| DESCRIPTION.replace(":P", &format!(":{proto}")));
        check(
            &mut tester,
            &[
                ("HELLO", &format!("*14|{two}")),
                ("HELLO 3", &format!("%7|{three}")),
                ("HELLO", &format!("%7|{three}")),
                ("HELLO 4", "-NOPROTO unsupported protocol version|"),
                ("HELLO abc", "-ERR Protocol version is not an integer or out of range|"),
                ("HELLO 3 auth", "-ERR Syntax error in HELLO option 'auth'|"),
                ("HELLO 3 foo", "-ERR Syntax error in HELLO option 'foo'|"),
                ("HELLO 2 auth a b", "-WRONGPASS invalid username-password pair or user is disabled.|"),
                ("CLIENT GETNAME", "_|"),
                ("HELLO 2 auth default any SETNAME me", &format!("*14|{two}")),
                ("CLIENT GETNAME", "$2|me|"),
            ],
        );
        assert_eq!(
            tester.args(&[b"HELLO", b"3", b"SETNAME", b"a b"]),
            "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
        );
    }

    #[test]
    fn a_password_is_asked_for() {
        let mut tester = Tester::new();
        check(
            &mut tester,
            &[
                (
                    "AUTH x",
                    "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                     configuration is correct?|",
                ),
                ("AUTH default x", "+OK|"),
                ("AUTH someone x", "-WRONGPASS invalid username-password pair or user is disabled.|"),
                ("AUTH a b c", "-ERR syntax error|"),
            ],
        );
        set_password(&tester, "secret");
        assert!(tester.session.authenticated, "who is in stays in");
        let mut late = Tester::of(tester.node.clone());
        assert!(!late.session.authenticated);
        assert!(
            late.run("HELLO 3")
                .starts_with("-NOAUTH HELLO must be called with the client already authenticated")
        );
        for wrong in ["AUTH secre", "AUTH secretsecret", "AUTH other secret", "HELLO 2 AUTH default no"] {
            assert!(late.run(wrong).starts_with("-WRONGPASS"), "{wrong}");
            assert!(!late.session.authenticated);
        }
        check(&mut late, &[("AUTH secret", "+OK|")]);
        assert!(late.session.authenticated);
        check(&mut late, &[("RESET", "+RESET|")]);
        assert!(!late.session.authenticated);
        assert!(late.run("HELLO 3 AUTH default secret").starts_with("%7"));
    }

    #[test]
    fn reset_forgets_everything() {
        let mut tester = Tester::new();
        for line in ["HELLO 3 SETNAME x", "SELECT 3", "READONLY", "ASKING", "CLIENT NO-TOUCH on"] {
            tester.run(line);
        }
        check(&mut tester, &[("RESET", "+RESET|"), ("CLIENT GETNAME", "$-1|")]);
        assert!(tester.session.authenticated);
        assert!(tester.run("CLIENT INFO").contains(" flags=N db=0 "));
    }
}
