//! The next few requests of a connection, parsed ahead of their execution.
//!
//! A look-up in a big table waits for memory two or three times. Parsing a window of requests first tells which keys
//! are coming, so that all their memory is fetched at once instead of one after the other: with a pipeline of 16 that
//! is most of what a request costs.

use carousel_protocol::command_table::{self, CommandSpec, Place};
use carousel_protocol::resp::{ArgRange, Argv, Parsed, ProtocolError, RequestParser};
use carousel_protocol::{Database, SlotId};

use super::scatter::slot_of;
use crate::command::KeyAt;
use crate::shard::Shard;

/// Requests parsed ahead.
const REQUESTS_MAX: usize = 16;

/// See the module. Its memory is used again for each window.
#[derive(Default)]
pub(super) struct Window {
    requests: Vec<Ahead>,
    args: Vec<Vec<ArgRange>>,
    keys: Vec<KeyAt>,
    /// Whose arguments the parser has begun and will go on with.
    begun: usize,
}

/// One request of the window.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// Where in the input it starts.
    start: usize,
    /// Where the next one starts.
    pub(super) end: usize,
    /// Its row of the command table.
    pub(super) spec: Option<&'static CommandSpec>,
    /// The slot of its first key.
    pub(super) slot: Option<SlotId>,
    inline: bool,
}

impl Ahead {
    /// Its length.
    pub(super) fn bytes(&self) -> usize {
        self.end - self.start
    }
}

/// Why a window ends.
pub(super) enum WindowEnd {
    /// It is full: there may be more requests.
    Full,
    /// The next request is not all there; at least so many bytes are missing.
    NeedInput(usize),
    /// What follows is no request.
    Malformed(ProtocolError),
}

impl Window {
    /// Parses the requests that begin at `start` of `input`: one where `alone`, because it may change how the next is
    /// parsed.
    pub(super) fn parse(
        &mut self,
        parser: &mut RequestParser,
        input: &[u8],
        start: usize,
        alone: bool,
    ) -> WindowEnd {
        self.requests.clear();
        self.args.resize_with(REQUESTS_MAX, Vec::new);
        self.args.swap(0, std::mem::take(&mut self.begun));
        let mut at = start;
        let requests_max = if alone { 1 } else { REQUESTS_MAX };
        while self.requests.len() < requests_max {
            let n = self.requests.len();
            let rest = &input[at..];
            match parser.parse(rest, &mut self.args[n]) {
                Ok(Parsed::Complete { consumed }) => {
                    // The words of an inline request may be in the parser's own memory: it must be the last parsed.
                    let inline = rest[0] != b'*';
                    let argv = if inline {
                        parser.argv(rest, &self.args[n])
                    } else {
                        Argv::new(rest, &self.args[n])
                    };
                    let spec = if argv.is_empty() { None } else { command_table::lookup(argv.get(0)) };
                    let slot = spec.and_then(|spec| slot_of(spec, argv));
                    self.requests.push(Ahead { start: at, end: at + consumed, spec, slot, inline });
                    at += consumed;
                    if inline {
                        return WindowEnd::Full;
                    }
                }
                Ok(Parsed::Incomplete { more }) => {
                    self.begun = n;
                    return WindowEnd::NeedInput(more);
                }
                Err(error) => return WindowEnd::Malformed(error),
            }
        }
        WindowEnd::Full
    }

    /// Number of requests.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Request `n`.
    #[inline]
    pub(super) fn ahead(&self, n: usize) -> Ahead {
        self.requests[n]
    }

    /// Request `n` and its arguments.
    pub(super) fn get<'a>(
        &'a self,
        parser: &'a RequestParser,
        input: &'a [u8],
        n: usize,
    ) -> (Ahead, Argv<'a>) {
        let request = self.requests[n];
        let (bytes, args) = (&input[request.start..request.end], &self.args[n][..]);
        (request, if request.inline { parser.argv(bytes, args) } else { Argv::new(bytes, args) })
    }

    /// Fetches the memory that the look-ups of the window's keys will need, of those slots that are `mine`.
    pub(super) fn prefetch(
        &mut self,
        input: &[u8],
        shard: &Shard,
        database: Database,
        mine: impl Fn(SlotId) -> bool,
    ) {
        if self.requests.len() < 2 {
            return;
        }
        self.keys.clear();
        for (request, args) in self.requests.iter().zip(&self.args) {
            let (Some(spec), Some(slot)) = (request.spec, request.slot) else { continue };
            if spec.place == Place::Key && mine(slot) {
                let argv = Argv::new(&input[request.start..request.end], args);
                self.keys.push(shard.tables.key_at(slot, database, argv.get(spec.keys.first as usize)));
            }
        }
        shard.prefetch(&self.keys);
    }
}
