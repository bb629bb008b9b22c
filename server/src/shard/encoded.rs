//! Requests that travel between shards as RESP.

use carousel_protocol::command_table::{self, CommandSpec, Place};
use carousel_protocol::key_slot;
use carousel_protocol::resp::{ArgRange, Argv, Parsed, ReplyWriter, RequestParser, Version, encode_request};
use carousel_protocol::{Database, SlotId};

use super::{Hold, Refusal, Request, Shard};
use crate::{Now, limits};

/// Room in the log; see [`super::Room`].
pub type RoomOf<'a> = dyn Fn(usize) -> Result<(), &'static str> + 'a;

/// A request as one shard sends it to another.
#[derive(Clone)]
pub struct Encoded {
    /// Its row of the command table.
    pub(crate) spec: &'static CommandSpec,
    /// The database that its keys are in.
    pub(crate) database: Database,
    bytes: Vec<u8>,
}

/// What a request has from its connection.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The database that its keys are in.
    pub database: Database,
    /// What the client understands.
    pub version: Version,
    /// See [`Request::counts_as_use`].
    pub counts_as_use: bool,
}

impl Encoded {
    /// A request of these arguments, the name first.
    pub(crate) fn new(spec: &'static CommandSpec, database: Database, args: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        encode_request(&mut bytes, args);
        Self { spec, database, bytes }
    }

    /// A request as it came.
    pub(crate) fn of(spec: &'static CommandSpec, database: Database, argv: Argv<'_>) -> Self {
        Self::new(spec, database, &argv.iter().collect::<Vec<_>>())
    }

    /// Of a command named by `args`.
    pub(crate) fn command(database: Database, args: &[&[u8]]) -> Self {
        Self::new(command_table::lookup(args[0]).expect("a command of ours"), database, args)
    }

    /// Its length in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Gives its arguments to `run`.
    pub(crate) fn with_argv<T>(&self, run: impl FnOnce(Argv<'_>) -> T) -> T {
        let (args, _) = parse(&self.bytes);
        run(Argv::new(&self.bytes, &args))
    }

    /// The slots of its keys, in the order of the keys.
    pub(crate) fn slots(&self) -> Vec<SlotId> {
        self.with_argv(|argv| slots_of(self.spec, argv))
    }

    /// Executes it on a shard that owns all its keys, appending the reply.
    ///
    /// # Errors
    /// As [`Shard::execute`].
    pub(crate) fn execute(
        &self,
        shard: &mut Shard,
        now: Now,
        version: Version,
        out: &mut Vec<u8>,
        room: &RoomOf<'_>,
    ) -> Result<Vec<Hold>, Refusal> {
        let caller = Caller { database: self.database, version, counts_as_use: true };
        self.with_argv(|argv| execute_any(self.spec, argv, shard, now, caller, out, room))
    }

    /// As [`Self::execute`], where a refusal is the reply.
    pub(crate) fn reply(
        &self,
        shard: &mut Shard,
        now: Now,
        version: Version,
        room: &RoomOf<'_>,
    ) -> (Vec<u8>, Vec<Hold>) {
        let mut out = Vec::new();
        let holds = self.execute(shard, now, version, &mut out, room).unwrap_or_else(|refusal| {
            ReplyWriter::new(&mut out, version).error(&refusal.into_text());
            Vec::new()
        });
        (out, holds)
    }
}

/// The first request in `bytes`: its arguments, and how long it is.
///
/// # Panics
/// There is none: what shards send each other is whole.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<ArgRange>, usize) {
    let (mut parser, mut args) = (RequestParser::new(limits::BETWEEN_SHARDS), Vec::new());
    let Ok(Parsed::Complete { consumed }) = parser.parse(bytes, &mut args) else {
        unreachable!("the sending shard encodes whole requests");
    };
    (args, consumed)
}

/// The slots of a request's keys, in the order of the keys.
pub(crate) fn slots_of(spec: &CommandSpec, argv: Argv<'_>) -> Vec<SlotId> {
    spec.key_indices(argv).map(|index| key_slot(argv.get(index))).collect()
}

/// Executes a request on a shard that owns all its keys, or on all that the shard has where it has no keys.
///
/// # Errors
/// As [`Shard::execute`].
pub(crate) fn execute_any(
    spec: &'static CommandSpec,
    argv: Argv<'_>,
    shard: &mut Shard,
    now: Now,
    caller: Caller,
    out: &mut Vec<u8>,
    room: &RoomOf<'_>,
) -> Result<Vec<Hold>, Refusal> {
    let slots = slots_of(spec, argv);
    let slot = slots.first().copied().unwrap_or_else(|| shard.slot_at(0));
    let Caller { database, version, counts_as_use } = caller;
    let request = Request { spec, slot, argv, database, version, counts_as_use };
    if matches!(spec.place_for(argv), Place::AllShards | Place::Slot) {
        return shard.execute_on_any(now, request, out, room);
    }
    match slots.as_slice() {
        [] | [_] => shard.execute(now, request, out, room).map(|hold| vec![hold]),
        several => shard.execute_across(now, request, several, out, room),
    }
}
