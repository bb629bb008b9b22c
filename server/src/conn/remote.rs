//! Requests that one shard executes for a connection of another.

use std::ops::Range;

use carousel_protocol::command_table::{self, CommandId, CommandSpec};
use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, ReplyWriter, Version};
use carousel_protocol::{Database, ShardId};

use super::batch::write_unknown;
use super::watch::note_slow;
use crate::Now;
use crate::shard::drive::ShardHandle;
use crate::shard::encoded::{Caller, RoomOf, execute_any, parse};
use crate::shard::{Hold, HoldState, Refusal, Shard};

/// What one batch of a connection asks of another shard.
pub struct RemoteBatch {
    /// Where the answers go.
    pub from: ShardId,
    /// The connection, as its shard numbers it.
    pub connection: u64,
    /// RESP version of the next reply; a HELLO, which has no reply here, changes it.
    pub version: Version,
    /// See [`Caller::counts_as_use`].
    pub counts_as_use: bool,
    /// The database of the next request; a SELECT, which has no reply here, changes it.
    database: Database,
    /// The requests, as RESP.
    pub requests: Vec<u8>,
    /// Progress, for a batch that was parked.
    at: usize,
    replies: Replies,
    held: Vec<(Hold, usize)>,
    deadline_ns: Option<u64>,
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

/// The answers, in request order.
#[derive(Default, Debug)]
pub struct Replies {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Replies {
    /// The bytes of reply `i`.
    pub fn get(&self, i: usize) -> &[u8] {
        &self.bytes[self.range(i)]
    }

    fn range(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        start..self.ends[i]
    }
}

/// How far a remote batch has come.
#[derive(PartialEq, Eq, Debug)]
pub enum Progress {
    /// All replies may leave.
    Done,
    /// Look again when the shard has news.
    Waiting,
}

impl RemoteBatch {
    /// A batch that has just arrived.
    pub fn new(
        from: ShardId,
        connection: u64,
        version: Version,
        counts_as_use: bool,
        requests: Vec<u8>,
    ) -> Self {
        Self {
            from,
            connection,
            version,
            counts_as_use,
            database: Database::MAIN,
            requests,
            at: 0,
            replies: Replies::default(),
            held: Vec::new(),
            deadline_ns: None,
        }
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
        let mut run = Run { at: self.at, spec: None, count: 0, since_ns: now.mono_ns };
        while self.at < self.requests.len() {
            if !self.execute_next(shard, now, park_ns, handle, &mut run, room) {
                self.note_time(&run, handle);
                return Progress::Waiting;
            }
        }
        self.note_time(&run, handle);
        if self.held.is_empty() {
            return Progress::Done;
        }
        let deadline = *self.deadline_ns.get_or_insert(now.mono_ns + hold_ns);
        let waits = self.held.iter().any(|(hold, _)| shard.hold_state(*hold) == HoldState::Held);
        if waits && now.mono_ns < deadline {
            return Progress::Waiting;
        }
        let failed: Vec<_> =
            self.held.drain(..).filter(|(hold, _)| shard.hold_state(*hold) != HoldState::Released).collect();
        if !failed.is_empty() {
            let mut rewritten = Replies::default();
            for i in 0..self.replies.ends.len() {
                match failed.iter().find(|(_, reply)| *reply == i) {
                    Some((hold, _)) => write_unknown(shard, *hold, &mut rewritten.bytes),
                    None => rewritten.bytes.extend_from_slice(self.replies.get(i)),
                }
                rewritten.ends.push(rewritten.bytes.len());
            }
            self.replies = rewritten;
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
            let input = &self.requests[run.at..];
            let (args, _) = parse(input);
            note_slow(handle, timing, spec, Argv::new(input, &args), (now, spent_ns), || {
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
        let input = &self.requests[self.at..];
        let (args, consumed) = parse(input);
        let argv = Argv::new(input, &args);
        let spec = command_table::lookup(argv.get(0)).expect("the sending shard looked it up");
        if spec.id == CommandId::Select {
            let number = parse_i64(argv.get(1)).and_then(|number| u16::try_from(number).ok());
            self.database = number.and_then(Database::new).expect("the sending shard selects what there is");
            self.at += consumed;
            return true;
        }
        if spec.id == CommandId::Hello {
            self.version = if argv.get(1) == b"3" { Version::Resp3 } else { Version::Resp2 };
            self.at += consumed;
            return true;
        }
        if !run.takes(spec, handle) {
            *run = Run { at: self.at, spec: None, count: 0, since_ns: self.note_time(run, handle) };
        }
        let (reply, metrics) = (self.replies.ends.len(), &handle.metrics);
        let out = &mut self.replies.bytes;
        let start = out.len();
        let caller =
            Caller { database: self.database, version: self.version, counts_as_use: self.counts_as_use };
        let executed = execute_any(spec, argv, shard, now, caller, out, room);
        match executed {
            Ok(holds) => {
                let holds = holds.into_iter().filter(|hold| *hold != Hold::None);
                self.held.extend(holds.map(|hold| (hold, reply)));
                if out.get(start) == Some(&b'-') {
                    metrics.command_failed(spec.id, &out[start..]);
                }
            }
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
                ReplyWriter::new(out, self.version).error(&text);
            }
        }
        self.deadline_ns = None;
        self.replies.ends.push(self.replies.bytes.len());
        (run.spec, run.count) = (Some(spec), run.count + 1);
        self.at += consumed;
        true
    }

    /// Where the answers go, and the answers.
    pub fn into_replies(self) -> (ShardId, u64, Replies) {
        (self.from, self.connection, self.replies)
    }
}
