//! MULTI, EXEC, DISCARD, WATCH and UNWATCH: what a connection remembers between them.

use std::rc::Rc;

use carousel_protocol::command_table::{CommandId, CommandSpec, Place};
use carousel_protocol::resp::Argv;
use carousel_protocol::{Database, key_slot};

use super::coordinate::is_write;
use crate::command::{KeyPlace, Trip};
use crate::limits;
use crate::shard::drive::ShardHandle;
use crate::shard::encoded::Encoded;

/// A connection's transaction, from the first WATCH to EXEC.
#[derive(Default)]
pub(super) struct Multi {
    queue: Option<Queue>,
    watches: Vec<KeyPlace>,
    trip: Trip,
}

#[derive(Default)]
struct Queue {
    commands: Vec<Encoded>,
    bytes: usize,
    /// A command was refused, so EXEC will be too.
    is_broken: bool,
}

/// What EXEC finds.
pub(super) enum Queued {
    /// No MULTI came before.
    Nothing,
    /// A command was refused.
    Broken,
    /// These are to be executed.
    Commands(Vec<Encoded>),
}

impl Multi {
    /// Whether commands are queued instead of executed.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// How many commands are queued; `None` without MULTI.
    pub(super) fn queued(&self) -> Option<usize> {
        self.queue.as_ref().map(|queue| queue.commands.len())
    }

    /// Whether EXEC would write.
    pub(super) fn writes(&self) -> bool {
        let mut commands = self.queue.iter().flat_map(|queue| &queue.commands);
        commands.any(|command| is_write(command.spec))
    }

    /// MULTI. False where it has been said before.
    pub(super) fn open(&mut self) -> bool {
        if self.queue.is_some() {
            return false;
        }
        self.queue = Some(Queue::default());
        true
    }

    /// A command was refused: EXEC will not execute the others either.
    #[inline]
    pub(super) fn refuse(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.is_broken = true;
        }
    }

    /// Queues a command.
    ///
    /// # Errors
    /// The text of an error; the transaction is void then.
    pub(super) fn push(
        &mut self,
        spec: &'static CommandSpec,
        database: Database,
        argv: Argv<'_>,
    ) -> Result<(), &'static str> {
        let queue = self.queue.as_mut().expect("only an open transaction queues");
        if matches!(spec.place_for(argv), Place::Control) {
            queue.is_broken = true;
            return Err("ERR Command not allowed inside a transaction");
        }
        let command = Encoded::of(spec, database, argv);
        queue.bytes += command.len_bytes();
        if queue.bytes > limits::TRANSACTION_BYTES_MAX {
            queue.is_broken = true;
            queue.commands.clear();
            return Err(
                "ERR the commands of this transaction are too long together: nothing of it will be executed",
            );
        }
        if !queue.is_broken {
            queue.commands.push(command);
        }
        Ok(())
    }

    /// EXEC: takes what is queued.
    pub(super) fn take(&mut self) -> Queued {
        match self.queue.take() {
            None => Queued::Nothing,
            Some(queue) if queue.is_broken => Queued::Broken,
            Some(queue) => Queued::Commands(queue.commands),
        }
    }

    /// EXEC has to wait: it will take the commands again.
    pub(super) fn reopen(&mut self, commands: Vec<Encoded>) {
        let bytes = commands.iter().map(Encoded::len_bytes).sum();
        self.queue = Some(Queue { commands, bytes, is_broken: false });
    }

    /// DISCARD, RESET. False where there is nothing to discard.
    pub(super) fn discard(&mut self) -> bool {
        self.queue.take().is_some()
    }

    /// What is to be watched of the arguments of a WATCH, and the flag that a change will set.
    pub(super) fn watch(&mut self, database: Database, argv: Argv<'_>) -> (Vec<KeyPlace>, Trip) {
        let mut new: Vec<KeyPlace> = Vec::new();
        for key in argv.iter().skip(1) {
            let watched: KeyPlace = (key_slot(key), database, key.into());
            if !self.watches.contains(&watched) && !new.contains(&watched) {
                new.push(watched);
            }
        }
        self.watches.extend(new.iter().cloned());
        (new, self.trip.clone())
    }

    /// The keys that are watched.
    pub(super) fn watches(&self) -> &[KeyPlace] {
        &self.watches
    }

    /// Set once a watched key has changed.
    pub(super) fn trip(&self) -> &Trip {
        &self.trip
    }

    /// UNWATCH, and the end of a transaction or of the connection.
    pub(super) fn unwatch(&mut self, handle: &Rc<ShardHandle>) {
        if self.watches.is_empty() {
            return;
        }
        let trip = std::mem::take(&mut self.trip);
        for place in self.watches.drain(..) {
            let trip = trip.clone();
            handle.post(handle.owner(place.0), move |handle| {
                let mut core = handle.core.borrow_mut();
                core.change_interest(|interest| interest.unwatch(&place, &trip));
            });
        }
    }
}

/// Whether a command is executed although MULTI came before.
#[inline]
pub(super) fn is_never_queued(spec: &CommandSpec) -> bool {
    matches!(spec.place, Place::Transaction) && spec.id != CommandId::Unwatch
        || matches!(spec.id, CommandId::Quit | CommandId::Reset)
}
