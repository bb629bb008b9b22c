//! Commands that took long: `SLOWLOG`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::Argv;

/// Arguments of an entry, and bytes of one, as in Redis.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

/// One command that took long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlowEntry {
    /// Never used twice by a process, starts with 0.
    pub id: u64,
    /// When it was noted, Unix time in seconds.
    pub unix_s: u64,
    /// How long it took.
    pub micros: u64,
    /// The command's name and arguments, cut where they are many or long; see [`shown_args`].
    pub args: Vec<Vec<u8>>,
    /// Who sent it.
    pub addr: String,
    /// The name that the client gave itself.
    pub name: String,
}

/// The entries of all shards, newest first. Touched only by commands that took long.
#[derive(Default)]
pub struct SlowLog(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    next_id: u64,
    kept: VecDeque<SlowEntry>,
}

impl SlowLog {
    /// Notes a command and forgets the oldest above `most`. The entry's id is given out here.
    pub fn push(&self, mut entry: SlowEntry, most: usize) {
        let mut entries = self.lock();
        entry.id = entries.next_id;
        entries.next_id += 1;
        entries.kept.push_front(entry);
        entries.kept.truncate(most);
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<SlowEntry> {
        self.lock().kept.iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().kept.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all; ids go on.
    pub fn clear(&self) {
        self.lock().kept.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The arguments as they may be shown to others: `None` for one that is a secret.
pub fn revealed<'a>(spec: &CommandSpec, argv: Argv<'a>) -> impl Iterator<Item = Option<&'a [u8]>> {
    let id = spec.id;
    // What follows AUTH in HELLO is a user and a password.
    let mut secrets = 0;
    let is_password = id == CommandId::Config
        && argv.len() > 3
        && argv.get(1).eq_ignore_ascii_case(b"SET")
        && argv.skip(2).iter().step_by(2).any(|name| name.eq_ignore_ascii_case(b"requirepass"));
    argv.iter().enumerate().map(move |(i, arg)| {
        let is_secret = match id {
            CommandId::Auth => i > 0,
            CommandId::Config => is_password && i > 2 && i % 2 == 1,
            CommandId::Hello if secrets > 0 => {
                secrets -= 1;
                true
            }
            CommandId::Hello => {
                secrets = if arg.eq_ignore_ascii_case(b"AUTH") { 2 } else { 0 };
                false
            }
            _ => false,
        };
        (!is_secret).then_some(arg)
    })
}

/// What an entry keeps of a request.
pub fn shown_args(spec: &CommandSpec, argv: Argv<'_>) -> Vec<Vec<u8>> {
    let count = argv.len();
    let shown = if count > ARGS_MAX { ARGS_MAX - 1 } else { count };
    let mut args: Vec<Vec<u8>> = revealed(spec, argv)
        .take(shown)
        .map(|arg| match arg {
            None => b"(redacted)".to_vec(),
            Some(arg) if arg.len() > ARG_BYTES_MAX => {
                let more = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
                [&arg[..ARG_BYTES_MAX], more.as_bytes()].concat()
            }
            Some(arg) => arg.to_vec(),
        })
        .collect();
    if count > shown {
        args.push(format!("... ({} more arguments)", count - shown).into_bytes());
    }
    args
}

#[cfg(test)]
mod tests {
    use carousel_protocol::command_table::lookup;
    use carousel_protocol::resp::{Limits, Parsed, RequestParser, encode_request};

    use super::*;

    fn shown(args: &[&[u8]]) -> Vec<String> {
        let (mut request, mut ranges) = (Vec::new(), Vec::new());
        encode_request(&mut request, args);
        let mut parser = RequestParser::new(Limits::default());
        assert!(matches!(parser.parse(&request, &mut ranges), Ok(Parsed::Complete { .. })));
        let args = shown_args(lookup(args[0]).unwrap(), parser.argv(&request, &ranges));
        args.into_iter().map(|arg| String::from_utf8(arg).unwrap()).collect()
    }

    #[test]
    fn long_requests_are_cut_as_in_redis() {
        let long = vec![b'v'; 130];
        let found = shown(&[b"SET", b"k", &long]);
        assert_eq!(found[2], format!("{}... (2 more bytes)", "v".repeat(128)));
        let many = [&b"DEL"[..]].into_iter().chain(std::iter::repeat_n(&b"k"[..], 39)).collect::<Vec<_>>();
        let found = shown(&many);
        assert_eq!(
            (found.len(), found[30].as_str(), found[31].as_str()),
            (32, "k", "... (9 more arguments)")
        );
        assert_eq!(shown(&many[..32]).len(), 32);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown(&[b"auth", b"me", b"pw"]), ["auth", "(redacted)", "(redacted)"]);
        assert_eq!(
            shown(&[b"HELLO", b"3", b"AUTH", b"me", b"pw", b"SETNAME", b"n"]),
            ["HELLO", "3", "AUTH", "(redacted)", "(redacted)", "SETNAME", "n"]
        );
        let set = [&b"CONFIG"[..], b"SET", b"timeout", b"1", b"requirepass", b"pw"];
        assert_eq!(shown(&set)[4..], ["requirepass", "(redacted)"]);
        assert_eq!(shown(&set[..4]), ["CONFIG", "SET", "timeout", "1"]);
    }

    #[test]
    fn the_newest_entries_are_kept_and_ids_go_on() {
        let log = SlowLog::default();
        let entry = |micros| SlowEntry {
            id: 0,
            unix_s: 1,
            micros,
            args: vec![],
            addr: String::new(),
            name: String::new(),
        };
        (0..5).for_each(|micros| log.push(entry(micros), 3));
        assert_eq!(
            log.newest(2).iter().map(|entry| (entry.id, entry.micros)).collect::<Vec<_>>(),
            [(4, 4), (3, 3)]
        );
        assert_eq!(log.len(), 3);
        log.clear();
        assert!(log.is_empty());
        log.push(entry(9), 3);
        assert_eq!(log.newest(9)[0].id, 5);
        log.push(entry(9), 0);
        assert!(log.is_empty());
    }
}
