//! Commands and transactions over several shards, as one: lock, run, commit.
//!
//! See [`crate::shard::transaction`] for what a lock is and why nobody waits in a circle. Everything here is awaited by the
//! connection's own task, which is never dropped half way: not even a client that goes leaves a lock behind.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use carousel_protocol::command_table::{CommandSpec, Flags, Merge, Place};
use carousel_protocol::resp::{ReplyWriter, Version};
use carousel_protocol::{ShardId, SlotId};
use futures::channel::oneshot;
use futures::future::join_all;

use super::scatter::Share;
use super::{cross, scatter};
use crate::limits;
use crate::persist::transactions::TransactionId;
use crate::shard::drive::{Released, ShardHandle, Stopped};
use crate::shard::encoded::Encoded;
use crate::shard::{Refusal, Shard, Wanted};

/// What one transaction wants to itself, by shard.
pub(super) type Wants = BTreeMap<ShardId, Wanted>;

/// Why a transaction did not run.
#[derive(Debug)]
pub(super) enum Failure {
    /// The reply is this error.
    Refused(Refusal),
    /// The process is about to end.
    Stopped,
}

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// What one command wants.
pub(super) fn wants_of(command: &Encoded, handle: &ShardHandle) -> Wants {
    wants(command.slots(), wants_all(command), handle)
}

/// Whether a command is about more than the slots of its keys.
pub(super) fn wants_all(command: &Encoded) -> bool {
    command.with_argv(|argv| {
        matches!(command.spec.place_for(argv), Place::AllShards | Place::Slot)
            || cross::looks_everywhere(command.spec, argv)
    })
}

/// What a transaction on these slots wants, or on `all`.
pub(super) fn wants(slots: impl IntoIterator<Item = SlotId>, all: bool, handle: &ShardHandle) -> Wants {
    if all {
        return (0..handle.shard_count).map(|shard| (ShardId(shard), Wanted::All)).collect();
    }
    let slots: BTreeSet<SlotId> = slots.into_iter().collect();
    let by_shard = scatter::by_shard(handle, slots, |slot| *slot);
    by_shard.into_iter().map(|(shard, slots)| (shard, Wanted::Slots(slots))).collect()
}

/// A transaction that has its locks.
pub(super) struct Coordinator {
    pub(super) handle: Rc<ShardHandle>,
    pub(super) version: Version,
    id: TransactionId,
    shards: Vec<ShardId>,
    wrote: BTreeSet<ShardId>,
}

impl Coordinator {
    /// Locks what is wanted; for a transaction that writes `bytes` there is room in every log then.
    pub(super) async fn lock(
        handle: &Rc<ShardHandle>,
        version: Version,
        wants: Wants,
        bytes: Option<usize>,
    ) -> Result<Self, Failure> {
        let id = handle.core.borrow_mut().new_transaction();
        let shards: Vec<_> = wants.keys().copied().collect();
        let coordinator = Self { handle: handle.clone(), version, id, shards, wrote: BTreeSet::new() };
        if !coordinator.try_lock(&wants).await? {
            coordinator.lock_in_order(wants).await?;
        }
        if let Some(bytes) = bytes
            && let Err(refusal) = coordinator.take_room(bytes).await?
        {
            coordinator.unlock();
            return Err(Failure::Refused(refusal));
        }
        Ok(coordinator)
    }

    /// All shards at once. False where not every one gave its lock at once; then none is held.
    async fn try_lock(&self, wants: &Wants) -> Result<bool, Failure> {
        let id = self.id;
        let tries = wants.iter().map(|(shard, wanted)| {
            let wanted = wanted.clone();
            self.handle.on_shard(*shard, move |handle| handle.try_lock(id, &wanted))
        });
        let mut refusal = None;
        let mut all = true;
        for tried in join_all(tries).await {
            match tried? {
                Ok(got) => all &= got,
                Err(refused) => refusal = Some(refused),
            }
        }
        if refusal.is_some() || !all {
            self.unlock();
        }
        refusal.map_or(Ok(all), |refusal| Err(Failure::Refused(refusal)))
    }

    /// One shard after the other, in the order that everybody keeps.
    async fn lock_in_order(&self, wants: Wants) -> Result<(), Failure> {
        let id = self.id;
        for (shard, wanted) in wants {
            let granted = self.handle.on_shard(shard, move |handle| handle.lock(id, wanted)).await?;
            if let Err(refusal) = granted.await.map_err(Stopped::from)? {
                self.unlock();
                return Err(Failure::Refused(refusal));
            }
        }
        Ok(())
    }

    async fn take_room(&self, bytes: usize) -> Result<Result<(), Refusal>, Stopped> {
        if bytes > limits::WRITE_ARGUMENTS_BYTES_MAX {
            let text = "ERR the commands of this transaction are too long for the log together";
            return Ok(Err(Refusal::Answer(text.into())));
        }
        for &shard in &self.shards {
            let taken = self.handle.on_shard(shard, move |handle| {
                let turn = handle.core.borrow().turn_log_bytes();
                handle.log_room(turn + bytes).map_err(|text| Refusal::Answer(text.into()))
            });
            if let Err(refusal) = taken.await? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }

    /// Executes a request on the shard that has all its keys; returns its reply.
    pub(super) async fn run(&mut self, shard: ShardId, request: Encoded) -> Result<Vec<u8>, Stopped> {
        let version = self.version;
        self.act(shard, move |handle, core| reply_on(handle, core, &request, version)).await
    }

    /// Does something to the keys of a shard, for this transaction.
    pub(super) async fn act<T: Send + 'static>(
        &mut self,
        shard: ShardId,
        work: impl FnOnce(&Rc<ShardHandle>, &mut Shard) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (result, wrote) = acted(&self.handle, self.id, shard, work).await?;
        if wrote {
            self.wrote.insert(shard);
        }
        Ok(result)
    }

    /// Executes any command on keys, wherever they are; returns its reply.
    pub(super) async fn execute(&mut self, command: &Encoded) -> Result<Vec<u8>, Stopped> {
        let (spec, handle) = (command.spec, self.handle.clone());
        let (place, looks_everywhere) =
            command.with_argv(|argv| (spec.place_for(argv), cross::looks_everywhere(spec, argv)));
        let shards: BTreeSet<ShardId> = match place {
            Place::AllShards => return self.execute_parts(command).await,
            Place::Slot => {
                let shard = command.with_argv(|argv| scatter::shard_of(spec, argv, handle.shard_count));
                return self.run(shard, command.clone()).await;
            }
            _ => command.slots().into_iter().map(|slot| handle.owner(slot)).collect(),
        };
        match shards.first() {
            None => self.run(handle.id, command.clone()).await,
            Some(&shard) if shards.len() == 1 && !looks_everywhere => self.run(shard, command.clone()).await,
            Some(_) if spec.merge != Merge::None => self.execute_parts(command).await,
            Some(_) => cross::execute(self, command).await,
        }
    }

    /// Executes a command whose shards each do a part.
    async fn execute_parts(&mut self, command: &Encoded) -> Result<Vec<u8>, Stopped> {
        let shares = command
            .with_argv(|argv| scatter::split(command.spec, command.database, argv, self.handle.shard_count));
        let (handle, id, version) = (&self.handle, self.id, self.version);
        let parts = shares.into_iter().map(|Share { shard, request, keys }| async move {
            let ran = acted(handle, id, shard, move |handle, core| reply_on(handle, core, &request, version));
            Ok::<_, Stopped>((shard, ran.await?, keys))
        });
        let mut replies = Vec::new();
        for part in join_all(parts).await {
            let (shard, (reply, wrote), keys) = part?;
            if wrote {
                self.wrote.insert(shard);
            }
            replies.push((reply, keys));
        }
        Ok(scatter::merge(command.spec.merge, self.version, &replies))
    }

    /// Ends the transaction: once this returns, what it did is as durable as any reply says. An error takes the place of
    /// its reply: the outcome is unknown then.
    pub(super) async fn finish(self) -> Result<Released, Stopped> {
        let id = self.id;
        let wrote: Vec<_> = self.wrote.iter().copied().collect();
        let mut waits: Vec<oneshot::Receiver<Released>> = Vec::new();
        for &shard in &self.shards {
            let wrote = wrote.clone();
            let wait = self.handle.on_shard(shard, move |handle| {
                let hold = handle.core.borrow_mut().commit(id, &wrote);
                let wait = handle.released(vec![hold]);
                if wrote.is_empty() {
                    // It only read: what it saw is what counts, and nothing of it can be taken back.
                    handle.unlock(id);
                }
                wait
            });
            waits.push(wait.await?);
        }
        let mut outcome = Ok(());
        for wait in waits {
            outcome = outcome.and(wait.await.map_err(Stopped::from)?);
        }
        if wrote.is_empty() {
            return Ok(outcome);
        }
        match &outcome {
            Ok(()) => self.unlock(),
            Err(_) => self.handle.leave_in_doubt(id, &self.shards).await?,
        }
        Ok(outcome)
    }

    fn unlock(&self) {
        let id = self.id;
        self.shards.iter().for_each(|shard| self.handle.post(*shard, move |handle| handle.unlock(id)));
    }
}

/// Has a shard do something for a transaction; returns also whether it wrote by that.
async fn acted<T: Send + 'static>(
    handle: &Rc<ShardHandle>,
    id: TransactionId,
    shard: ShardId,
    work: impl FnOnce(&Rc<ShardHandle>, &mut Shard) -> T + Send + 'static,
) -> Result<(T, bool), Stopped> {
    handle.on_shard(shard, move |handle| handle.core.borrow_mut().act(id, |core| work(handle, core))).await
}

/// Executes a request on this shard, in the transaction that acts.
fn reply_on(handle: &Rc<ShardHandle>, core: &mut Shard, request: &Encoded, version: Version) -> Vec<u8> {
    request.reply(core, handle.now(), version, &|bytes| handle.log_room(bytes)).0
}

/// Executes one command over several shards, as one; returns its reply.
pub(super) async fn execute_alone(
    handle: &Rc<ShardHandle>,
    version: Version,
    command: &Encoded,
) -> Result<Vec<u8>, Failure> {
    let wants = wants_of(command, handle);
    let bytes = is_write(command.spec).then(|| command.len_bytes());
    let mut coordinator = Coordinator::lock(handle, version, wants, bytes).await?;
    let reply = coordinator.execute(command).await?;
    Ok(coordinator.finish().await?.err().unwrap_or(reply))
}

/// Executes a command that only looks at all shards, each for itself.
pub(super) async fn look_everywhere(
    handle: &Rc<ShardHandle>,
    version: Version,
    command: &Encoded,
) -> Result<Vec<u8>, Failure> {
    let shares =
        command.with_argv(|argv| scatter::split(command.spec, command.database, argv, handle.shard_count));
    let parts = shares.into_iter().map(|share| async move {
        loop {
            let request = share.request.clone();
            let looked = handle.on_shard(share.shard, move |handle| {
                let (now, room) = (handle.now(), |bytes| handle.log_room(bytes));
                let mut out = Vec::new();
                let result = request.execute(&mut handle.core.borrow_mut(), now, version, &mut out, &room);
                result.map(|holds| (out, handle.released(holds)))
            });
            match looked.await? {
                Ok((reply, released)) => {
                    let released = released.await.map_err(Stopped::from)?;
                    return Ok((released.err().unwrap_or(reply), share.keys));
                }
                // A transaction will be done with the shard in a moment: ask as one that waits for a lock does.
                Err(Refusal::Locked) => {
                    let id = handle.core.borrow_mut().new_transaction();
                    let wanted = handle.on_shard(share.shard, move |handle| handle.lock(id, Wanted::All));
                    let granted = wanted.await?.await.map_err(Stopped::from)?;
                    handle.post(share.shard, move |handle| handle.unlock(id));
                    granted.map_err(Failure::Refused)?;
                }
                Err(refusal) => return Err(Failure::Refused(refusal)),
            }
        }
    });
    let parts: Result<Vec<_>, Failure> = join_all(parts).await.into_iter().collect();
    Ok(scatter::merge(command.spec.merge, version, &parts?))
}

pub(super) fn is_write(spec: &CommandSpec) -> bool {
    spec.flags.contains(Flags::WRITE)
}

/// The reply that a failure is; `None` where there will be none, because the process ends.
pub(super) fn failure_reply(failure: Failure, version: Version) -> Option<Vec<u8>> {
    let Failure::Refused(refusal) = failure else { return None };
    Some(reply_of(version, |out| out.error(&refusal.into_text())))
}

/// What `write` writes.
pub(super) fn reply_of(version: Version, write: impl FnOnce(&mut ReplyWriter<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut ReplyWriter::new(&mut out, version));
    out
}
