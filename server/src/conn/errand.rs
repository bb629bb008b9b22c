//! Requests that one shard executes for a connection of another.

use std::ops::Range;

use carousel_protocol::command_table::{CommandSpec, Place};
use carousel_protocol::resp::{ArgRange, Argv, ReplyWriter, Version};
use carousel_protocol::{Database, ShardId, SlotId};

use super::batch::write_unknown;
use super::watch::note_slow;
use crate::Now;
use crate::command::KeyAt;
use crate::shard::drive::ShardHandle;
use crate::shard::encoded::{Caller, RoomOf, execute_any};
use crate::shard::{Hold, HoldState, Refusal, Request, Shard};

/// What one batch of a connection asks of another shard: it goes there with the requests, which are parsed already, and
/// comes back with the replies. Its memory is used again for other batches.
#[derive(Default)]
pub struct Errand {
    /// The shard of the connection.
    from: ShardId,
    /// The connection, as its shard numbers it.
    connection: u64,
    /// See [`Caller::counts_as_use`].
    counts_as_use: bool,
    requests: Vec<Asked>,
    /// Where in its request's bytes each argument is.
    args: Vec<ArgRange>,
    /// The arguments of all requests.
    bytes: Vec<u8>,
    /// The replies, in the order of the requests.
    replies: Vec<u8>,
    /// Where in `replies` each of them ends; as many as have been executed.
    ends: Vec<usize>,
    held: Vec<(Hold, usize)>,
    deadline_ns: Option<u64>,
}

/// One request of an errand.
struct Asked {
    spec: &'static CommandSpec,
    /// The slot of its first key; any, where it has none.
    slot: SlotId,
    database: Database,
    version: Version,
    /// Where its arguments end among all, and their bytes; they begin where those of the one before end.
    args_end: usize,
    bytes_end: usize,
}

/// Requests of one command that are timed together; see [`super::watch`].
struct Run {
    /// The first one.
    at: usize,
    /// Their command; `None` before there is any.
    spec: Option<&'static CommandSpec>,
    count: u64,
    since_ns: u64,
}

impl Run {
    /// May a request of this command join?
    fn takes(&self, spec: &'static CommandSpec, handle: &ShardHandle) -> bool {
        self.spec.is_none_or(|own| own.id == spec.id && handle.timing().is_together(spec))
    }
}

/// How far an errand has come.
#[derive(PartialEq, Eq, Debug)]
pub enum Progress {
    /// All replies may leave.
    Done,
    /// Look again when the shard has news.
    Waiting,
}

impl Errand {
    /// Begins anew, with the memory of an earlier one.
    pub fn begin(&mut self, from: ShardId, connection: u64, counts_as_use: bool) {
        self.requests.clear();
        self.args.clear();
        self.bytes.clear();
        self.replies.clear();
        self.ends.clear();
        self.held.clear();
        self.deadline_ns = None;
        (self.from, self.connection, self.counts_as_use) = (from, connection, counts_as_use);
    }

    /// The memory that it keeps, in bytes.
    pub fn kept_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.replies.capacity()
            + self.args.capacity() * size_of::<ArgRange>()
            + self.requests.capacity() * size_of::<Asked>()
            + self.ends.capacity() * size_of::<usize>()
    }

    /// The shard and the connection that it is for.
    pub fn home(&self) -> (ShardId, u64) {
        (self.from, self.connection)
    }

    /// Adds a request whose first key is of `slot`; returns which of the replies will be its own.
    pub(super) fn add(
        &mut self,
        spec: &'static CommandSpec,
        slot: SlotId,
        database: Database,
        version: Version,
        argv: Argv<'_>,
    ) -> usize {
        let begin = self.bytes.len();
        for arg in argv.iter() {
            let place = |at: usize| u32::try_from(at - begin).expect("no request is longer than 4 GiB");
            let start = place(self.bytes.len());
            self.bytes.extend_from_slice(arg);
            self.args.push(ArgRange { start, end: place(self.bytes.len()) });
        }
        let (args_end, bytes_end) = (self.args.len(), self.bytes.len());
        self.requests.push(Asked { spec, slot, database, version, args_end, bytes_end });
        self.requests.len() - 1
    }

    /// Nothing of it has been executed.
    pub fn is_new(&self) -> bool {
        self.ends.is_empty()
    }

    /// Reply `i`.
    pub(super) fn reply(&self, i: usize) -> &[u8] {
        &self.replies[self.range(i)]
    }

    fn range(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        start..self.ends[i]
    }

    fn argv(&self, i: usize) -> Argv<'_> {
        argv_of(&self.requests, &self.args, &self.bytes, i)
    }

    /// Fetches the memory that the requests will look at.
    pub fn prefetch(&self, shard: &Shard, keys: &mut Vec<KeyAt>) {
        keys.clear();
        for (i, asked) in self.requests.iter().enumerate() {
            if asked.spec.place == Place::Key {
                let key = self.argv(i).get(asked.spec.keys.first as usize);
                keys.push(shard.tables.key_at(asked.slot, asked.database, key));
            }
        }
        shard.prefetch(keys);
    }

    /// Executes what can be executed, and looks whether the replies may leave. `park_ns` bounds the waiting for
    /// a hand-over, `hold_ns` that for a quorum.
    pub fn advance(
        &mut self,
        shard: &mut Shard,
        now: Now,
        park_ns: u64,
        hold_ns: u64,
        handle: &ShardHandle,
        room: &RoomOf<'_>,
    ) -> Progress {
        let mut run = Run { at: self.ends.len(), spec: None, count: 0, since_ns: now.mono_ns };
        while self.ends.len() < self.requests.len() {
            if !self.execute_next(shard, now, park_ns, handle, &mut run, room) {
                self.note_time(&run, handle);
                return Progress::Waiting;
            }
        }
        // To execute it may have taken longer than a hold may.
        let now_ns = self.note_time(&run, handle);
        if self.held.is_empty() {
            return Progress::Done;
        }
        let deadline = *self.deadline_ns.get_or_insert(now_ns + hold_ns);
        let waits = self.held.iter().any(|(hold, _)| shard.hold_state(*hold) == HoldState::Held);
        if waits && now_ns < deadline {
            return Progress::Waiting;
        }
        let failed: Vec<_> =
            self.held.drain(..).filter(|(hold, _)| shard.hold_state(*hold) != HoldState::Released).collect();
        if !failed.is_empty() {
            let (mut replies, mut ends) = (Vec::new(), Vec::new());
            for i in 0..self.ends.len() {
                match failed.iter().find(|(_, reply)| *reply == i) {
                    Some((hold, _)) => write_unknown(shard, *hold, &mut replies),
                    None => replies.extend_from_slice(self.reply(i)),
                }
                ends.push(replies.len());
            }
            (self.replies, self.ends) = (replies, ends);
        }
        Progress::Done
    }

    /// The requests of the run have been executed, in the time since it began; returns when it ended.
    fn note_time(&self, run: &Run, handle: &ShardHandle) -> u64 {
        let Some(spec) = run.spec else { return run.since_ns };
        let (now, timing) = (handle.now(), handle.timing());
        let spent_ns = now.mono_ns.saturating_sub(run.since_ns);
        handle.metrics.took(spec.id, spent_ns / run.count, run.count, timing.distribution);
        if timing.is_long(spent_ns / 1000) {
            note_slow(handle, timing, spec, self.argv(run.at), (now, spent_ns), || {
                let client = handle.node.clients.get(self.connection);
                client
                    .map(|client| (client.addr.to_string(), client.names().name.clone()))
                    .unwrap_or_default()
            });
        }
        now.mono_ns
    }

    /// Executes the next request, as the next one of `run` or of a new one; false when it has to wait.
    fn execute_next(
        &mut self,
        shard: &mut Shard,
        now: Now,
        park_ns: u64,
        handle: &ShardHandle,
        run: &mut Run,
        room: &RoomOf<'_>,
    ) -> bool {
        let reply = self.ends.len();
        let &Asked { spec, slot, database, version, .. } = &self.requests[reply];
        if !run.takes(spec, handle) {
            *run = Run { at: reply, spec: None, count: 0, since_ns: self.note_time(run, handle) };
        }
        let metrics = &handle.metrics;
        let argv = argv_of(&self.requests, &self.args, &self.bytes, reply);
        let (start, out) = (self.replies.len(), &mut self.replies);
        let counts_as_use = self.counts_as_use;
        let executed = if spec.keys.is_one() && spec.place == Place::Key {
            let request = Request { spec, slot, argv, database, version, counts_as_use };
            shard.execute(now, request, out, room).map(|hold| {
                if hold != Hold::None {
                    self.held.push((hold, reply));
                }
            })
        } else {
            let caller = Caller { database, version, counts_as_use };
            execute_any(spec, argv, shard, now, caller, out, room).map(|holds| {
                let holds = holds.into_iter().filter(|hold| *hold != Hold::None);
                self.held.extend(holds.map(|hold| (hold, reply)));
            })
        };
        match executed {
            Ok(()) => metrics.command_answered(spec.id, &out[start..]),
            Err(Refusal::Locked) => return false,
            Err(refusal) => {
                if let Refusal::Park(_) = refusal {
                    let deadline = *self.deadline_ns.get_or_insert(now.mono_ns + park_ns);
                    if now.mono_ns < deadline {
                        return false;
                    }
                }
                let text = refusal.into_text();
                metrics.command_rejected(spec.id, text.as_bytes());
                ReplyWriter::new(out, version).error(&text);
            }
        }
        self.deadline_ns = None;
        self.ends.push(self.replies.len());
        (run.spec, run.count) = (Some(spec), run.count + 1);
        true
    }
}

/// The arguments of request `i`. (Apart from the errand, so that its replies can be written meanwhile.)
fn argv_of<'a>(requests: &[Asked], args: &'a [ArgRange], bytes: &'a [u8], i: usize) -> Argv<'a> {
    let (args_start, bytes_start) =
        i.checked_sub(1).map_or((0, 0), |before| (requests[before].args_end, requests[before].bytes_end));
    let Asked { args_end, bytes_end, .. } = requests[i];
    Argv::new(&bytes[bytes_start..bytes_end], &args[args_start..args_end])
}
