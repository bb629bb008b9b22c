//! DEBUG, as far as test suites of clients use it. Off unless `enable-debug-command` says otherwise.

use std::time::Duration;

use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, ReplyWriter, Version};

use super::exec::{Exec, Outcome};
use super::glob::{Case, glob_match};
use super::key;
use super::session::{Session, help};
use crate::metrics::NodeView;
use crate::settings::DebugCommand;

const NOT_ALLOWED: &str = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can \
                           run it from a local connection, otherwise you need to set this option in the configuration \
                           file, and then restart the server.";

/// The error for a client that may not use DEBUG.
pub fn debug_refusal(session: &Session, node: &NodeView) -> Option<&'static str> {
    let allowed = match node.settings().enable_debug_command {
        DebugCommand::No => false,
        DebugCommand::Yes => true,
        DebugCommand::Local => session.client.addr.is_local(),
    };
    (!allowed).then_some(NOT_ALLOWED)
}

/// All subcommands but OBJECT.
pub(super) fn debug(argv: Argv<'_>, session: &mut Session, node: &NodeView, reply: &mut ReplyWriter<'_>) {
    if let Some(text) = debug_refusal(session, node) {
        return reply.error(text);
    }
    let sub = argv.get(1).to_ascii_uppercase();
    match (sub.as_slice(), argv.len()) {
        (b"HELP", 2) => help(reply, HELP),
        (b"SLEEP", 3) => sleep(argv, session, reply),
        (b"SET-ACTIVE-EXPIRE", 3) => {
            let on = parse_i64(argv.get(2)).is_some_and(|value| value != 0);
            node.expires_actively.store(on, std::sync::atomic::Ordering::Relaxed);
            reply.ok();
        }
        (b"STRINGMATCH-LEN", 4) => match parse_i64(argv.get(2)).and_then(|len| usize::try_from(len).ok()) {
            Some(len) if len <= STRING_BYTES_MAX => {
                let matches = glob_match(argv.get(3), &vec![b'a'; len], Case::Sensitive);
                reply.integer(matches.into());
            }
            _ => reply.error("ERR value is not an integer or out of range"),
        },
        (b"ERROR", 3) => reply.error_bytes(argv.get(2)),
        (b"LOG", 3) => {
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(argv.get(2)));
            reply.ok();
        }
        (b"PROTOCOL", 3) => protocol(argv.get(2), reply),
        // What they tune does not exist here; suites set them before tests that hold without it.
        (b"QUICKLIST-PACKED-THRESHOLD" | b"REPLYBUFFER" | b"STRINGMATCH-TIMEOUT", 3..) => reply.ok(),
        (b"RELOAD" | b"LOADAOF" | b"RESTART" | b"CRASH-AND-RECOVER", _) => {
            reply.error("ERR not supported: restart the process, which reads its log");
        }
        (
            b"DIGEST" | b"DIGEST-VALUE" | b"LISTPACK" | b"ZIPLIST" | b"QUICKLIST" | b"HTSTATS"
            | b"HTSTATS-KEY",
            _,
        ) => {
            reply.error("ERR not supported: the data is kept in other structures than Redis'");
        }
        (
            b"CHANGE-REPL-ID" | b"SEGFAULT" | b"PANIC" | b"ASSERT" | b"OOM" | b"JMAP" | b"JEMALLOC"
            | b"MALLCTL",
            _,
        ) => {
            reply.error("ERR not supported");
        }
        _ => {
            let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
            text.extend_from_slice(&argv.get(1)[..argv.get(1).len().min(128)]);
            text.extend_from_slice(b"'. Try DEBUG HELP.");
            reply.error_bytes(&text);
        }
    }
}

/// Longest text of `STRINGMATCH-LEN`.
const STRING_BYTES_MAX: usize = 1 << 20;

/// Longest standstill that can be asked for: an hour.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

fn sleep(argv: Argv<'_>, session: &mut Session, reply: &mut ReplyWriter<'_>) {
    let seconds = std::str::from_utf8(argv.get(2)).ok().and_then(|text| text.parse::<f64>().ok());
    match seconds.filter(|seconds| (0.0..=SLEEP_SECONDS_MAX).contains(seconds)) {
        Some(seconds) => {
            session.standstill = Some(Duration::from_secs_f64(seconds));
            reply.ok();
        }
        None => reply.error("ERR value is not a valid float"),
    }
}

/// One reply of each type.
fn protocol(kind: &[u8], reply: &mut ReplyWriter<'_>) {
    let is_3 = reply.version == Version::Resp3;
    let mut raw = |resp3: &str, resp2: &str| {
        reply.out.extend_from_slice(if is_3 { resp3 } else { resp2 }.as_bytes());
    };
    match kind.to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        // In the text of Redis, which is near a number of another name.
        b"double" => reply.double(3141.0 / 1000.0),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|i| reply.integer(i));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|i| reply.integer(i));
        }
        b"map" => {
            reply.map(3);
            for i in 0..3 {
                reply.integer(i);
                raw_bool(reply, i == 1);
            }
        }
        b"attrib" => {
            if is_3 {
                reply.out.extend_from_slice(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if is_3 => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            // Not a reply: what follows is.
            reply.bulk(b"Some real reply following the push reply");
        }
        b"push" => reply.error("ERR RESP2 is not supported by this command"),
        b"bignum" => raw(
            "(1234567999999999999999999999999999999\r\n",
            "$37\r\n1234567999999999999999999999999999999\r\n",
        ),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => raw_bool(reply, true),
        b"false" => raw_bool(reply, false),
        _ => reply.error(
            "ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
        ),
    }
}

fn raw_bool(reply: &mut ReplyWriter<'_>, value: bool) {
    reply.out.extend_from_slice(match (reply.version, value) {
        (Version::Resp2, true) => b":1\r\n",
        (Version::Resp2, false) => b":0\r\n",
        (Version::Resp3, true) => b"#t\r\n",
        (Version::Resp3, false) => b"#f\r\n",
    });
}

/// `DEBUG OBJECT key`, in the form that clients parse.
pub(super) fn object(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.key_of_any_slot(argv, 2);
    let (encoding, bytes) = match exec.find(at, key) {
        Some(entry) => (key::encoding(entry.value()), entry.bytes().len()),
        None => {
            exec.reply.error("ERR no such key");
            return Ok(());
        }
    };
    // Addresses say nothing to anybody; idle times are not kept per key.
    let text = format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{bytes} lru:0 lru_seconds_idle:0"
    );
    exec.reply.simple(&text);
    Ok(())
}

const HELP: &str = "\
DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
ERROR <string>
    Return a Redis protocol error with <string> as message.
LOG <message>
    Write <message> to the server log.
OBJECT <key>
    Show low level info about `key` and associated value.
PROTOCOL <type>
    Reply with a test value of the specified type.
SLEEP <seconds>
    Stop all shards of the server for <seconds>. Decimals allowed.
SET-ACTIVE-EXPIRE <0|1>
    Setting it to 0 disables expiring keys in background when they are not
    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the
    default.
STRINGMATCH-LEN <len> <pattern>
    Match <pattern> against a string of <len> letters.
HELP
    Print this help.";
