//! A connection that waits for elements.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use carousel_protocol::command_table::CommandSpec;
use carousel_protocol::resp::{Argv, Version};
use carousel_protocol::{ShardId, SlotId};
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::LocalBoxFuture;

use super::coordinate::{Coordinator, Failure, failure_reply, is_write, reply_of, wants_of};
use super::input::Input;
use super::scatter;
use super::serve::{Connection, Pause};
use super::work::Work;
use crate::Now;
use crate::command::{awaited_keys, block_timeout_ms, reply_nothing};
use crate::metrics::{Client, Unblock};
use crate::runtime::Runtime;
use crate::shard::Shard;
use crate::shard::blocking::{Claim, Waiter};
use crate::shard::drive::{Call, ShardHandle, Stopped};
use crate::shard::encoded::{Encoded, slots_of};

/// A blocking command that has found nothing, or has not looked yet.
pub(super) struct Block {
    pub(super) command: Encoded,
    /// `None` is for ever.
    pub(super) timeout_ms: Option<u64>,
    /// The client is among those who wait, on this shard.
    pub(super) waits_here: Option<Wait>,
}

/// How a waiting client hears of what it waits for.
pub(super) struct Wait {
    claim: Claim,
    call: UnboundedSender<Call>,
    calls: UnboundedReceiver<Call>,
    shards: Vec<ShardId>,
}

impl Wait {
    pub(super) fn new() -> Self {
        let (call, calls) = unbounded();
        Self { claim: Claim::default(), call, calls, shards: Vec::new() }
    }

    /// Adds the client to those who wait on this shard, whose part of the command's keys is in `request`.
    pub(super) fn begin_here(
        &mut self,
        handle: &ShardHandle,
        core: &mut Shard,
        connection: u64,
        request: Encoded,
        version: Version,
    ) {
        let waiter = Waiter { connection, claim: self.claim.clone(), request, version, is_called: false };
        handle.block(core, waiter, self.call.clone());
        self.shards.push(handle.id);
    }
}

impl Connection {
    /// A command that may have to wait.
    pub(super) fn run_blocking(
        &mut self,
        now: Now,
        spec: &'static CommandSpec,
        slot: SlotId,
        argv: Argv<'_>,
    ) -> ControlFlow<Pause> {
        let timeout_ms = match block_timeout_ms(spec, argv) {
            Ok(timeout_ms) => timeout_ms,
            Err(error) => return self.fail(spec, &error.to_string()),
        };
        if !scatter::one_slot(spec, argv, slot) && !self.handle.may_cross_slots() {
            return self.refuse(spec, scatter::CROSS_SLOT);
        }
        let command = Encoded::of(spec, self.session.database, argv);
        let mut waits_here = None;
        if slots_of(spec, argv).iter().all(|slot| self.handle.owner(*slot) == self.handle.id) {
            let handle = self.handle.clone();
            let (start, version) = (self.batch.out.len(), self.session.version);
            let room = |bytes| handle.log_room(bytes);
            let mut core = handle.core.borrow_mut();
            let result = command.execute(&mut core, now, version, &mut self.batch.out, &room);
            let is_done = match result {
                Ok(_) if is_nothing(&command, &self.batch.out[start..], version) => {
                    let mut wait = Wait::new();
                    wait.begin_here(&handle, &mut core, self.session.id, command.clone(), version);
                    waits_here = Some(wait);
                    self.batch.out.truncate(start);
                    None
                }
                Ok(holds) => {
                    holds.into_iter().for_each(|hold| self.batch.hold(hold, start));
                    Some(Ok(()))
                }
                Err(refusal) => Some(Err(refusal)),
            };
            drop(core);
            if let Some(result) = is_done {
                return self.answer(spec, result, now, start);
            }
            self.parked_since_ns = None;
        }
        ControlFlow::Break(Pause::Work(Work::Block(Block { command, timeout_ms, waits_here })))
    }
}

/// How waiting has ended.
pub(super) enum Waited {
    /// With this reply.
    Reply(Vec<u8>),
    /// The client has gone, or the process is about to end.
    Over,
}

impl From<Stopped> for Waited {
    fn from(_: Stopped) -> Self {
        Self::Over
    }
}

/// Whether a blocking command's reply says that there is nothing.
pub(super) fn is_nothing(command: &Encoded, reply: &[u8], version: Version) -> bool {
    reply == nothing(command, version)
}

fn nothing(command: &Encoded, version: Version) -> Vec<u8> {
    reply_of(version, |out| reply_nothing(command.spec, out))
}

/// Executes a blocking command: waits until there is something for it, its time is over, or the client goes.
pub(super) async fn wait<R: Runtime>(
    handle: &Rc<ShardHandle>,
    client: &Client,
    version: Version,
    block: Block,
    input: &mut Input<R>,
) -> Waited {
    let Block { command, timeout_ms, waits_here } = block;
    let mut waiting = Waiting {
        handle: handle.clone(),
        client,
        connection: client.id,
        version,
        command,
        timer: timeout_ms
            .map(|ms| Box::pin(R::sleep(Duration::from_millis(ms))) as LocalBoxFuture<'static, ()>),
        is_time_over: false,
        wait: Wait::new(),
    };
    let outcome = match waits_here {
        Some(wait) => {
            waiting.wait = wait;
            Ok(None)
        }
        None => waiting.begin().await,
    };
    let waited = match outcome {
        Ok(None) => waiting.wait_for_call(input).await,
        Ok(Some(reply)) => Ok(Waited::Reply(reply)),
        Err(failure) => Ok(failure_reply(failure, version).map_or(Waited::Over, Waited::Reply)),
    };
    waiting.end();
    waited.unwrap_or_else(Waited::from)
}

struct Waiting<'a> {
    handle: Rc<ShardHandle>,
    client: &'a Client,
    connection: u64,
    version: Version,
    command: Encoded,
    timer: Option<LocalBoxFuture<'static, ()>>,
    is_time_over: bool,
    wait: Wait,
}

/// What wakes a waiting client.
enum Event {
    Call(Call),
    TimeOver,
    /// `CLIENT UNBLOCK ... ERROR`
    Failed,
    Gone,
}

impl Waiting<'_> {
    /// Executes the command if it finds something, and puts the client among those who wait if not: both as one, so that
    /// nothing slips through in between.
    async fn begin(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let (handle, command, version) = (self.handle.clone(), self.command.clone(), self.version);
        let bytes = is_write(command.spec).then(|| command.len_bytes());
        let wants = wants_of(&command, &handle);
        let mut coordinator = Coordinator::lock(&handle, version, wants, bytes).await?;
        let reply = coordinator.execute(&command).await?;
        if is_nothing(&command, &reply, version) {
            for (shard, request, is_called) in self.parts() {
                let (connection, claim, call) =
                    (self.connection, self.wait.claim.clone(), self.wait.call.clone());
                self.wait.shards.push(shard);
                let began = coordinator.act(shard, move |handle, core| {
                    handle.block(core, Waiter { connection, claim, request, version, is_called }, call);
                });
                began.await?;
            }
            coordinator.finish().await?.map_err(|_| Failure::Stopped)?;
            return Ok(None);
        }
        Ok(Some(coordinator.finish().await?.err().unwrap_or(reply)))
    }

    /// The shards to wait on, what of the command each of them can execute, and whether it cannot.
    fn parts(&self) -> Vec<(ShardId, Encoded, bool)> {
        let command = &self.command;
        command.with_argv(|argv| {
            let spec = command.spec;
            let all: Vec<usize> = spec.key_indices(argv).collect();
            let awaited: Vec<usize> = awaited_keys(spec, argv).collect();
            let owner = |index: usize| self.handle.owner(carousel_protocol::key_slot(argv.get(index)));
            let mut shards: Vec<ShardId> = awaited.iter().map(|index| owner(*index)).collect();
            shards.sort_unstable();
            shards.dedup();
            if awaited.len() < all.len() {
                // A move: it needs its destination, wherever that is.
                let is_called = all.iter().any(|index| owner(*index) != shards[0]);
                return vec![(shards[0], command.clone(), is_called)];
            }
            let part = |shard: ShardId| {
                let own: Vec<usize> = all.iter().copied().filter(|index| owner(*index) == shard).collect();
                let count = own.len().to_string();
                let args: Vec<&[u8]> = (0..argv.len())
                    .filter(|index| !all.contains(index) || own.contains(index))
                    .map(|index| match spec.keys.count_at {
                        at if at > 0 && usize::from(at) == index => count.as_bytes(),
                        _ => argv.get(index),
                    })
                    .collect();
                (shard, Encoded::new(spec, command.database, &args), false)
            };
            shards.into_iter().map(part).collect()
        })
    }

    async fn wait_for_call<R: Runtime>(&mut self, input: &mut Input<R>) -> Result<Waited, Stopped> {
        self.handle.metrics.blocked_clients.add(1);
        self.client.set_waiting(true);
        let waited = self.wait_until_served(input).await;
        self.client.set_waiting(false);
        self.handle.metrics.blocked_clients.sub(1);
        waited
    }

    async fn wait_until_served<R: Runtime>(&mut self, input: &mut Input<R>) -> Result<Waited, Stopped> {
        loop {
            let call = match self.event(input).await {
                Event::Call(call) => call,
                Event::TimeOver if self.wait.claim.take() => {
                    // Also for a move, which has another nil where it need not wait.
                    return Ok(Waited::Reply(reply_of(self.version, |out| out.null_array())));
                }
                Event::Failed if self.wait.claim.take() => {
                    let text = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
                    return Ok(Waited::Reply(text.to_vec()));
                }
                Event::Gone if self.wait.claim.take() => return Ok(Waited::Over),
                // It has been served in this very moment.
                Event::TimeOver | Event::Failed | Event::Gone => {
                    self.wait.calls.next().await.ok_or(Stopped)?
                }
            };
            match call {
                Call::Reply(reply, released) => {
                    return Ok(Waited::Reply(released.await.map_err(Stopped::from)?.err().unwrap_or(reply)));
                }
                Call::Execute => {
                    if let Some(reply) = self.execute().await? {
                        return Ok(Waited::Reply(reply));
                    }
                }
            }
        }
    }

    /// Executes the command for which there was something; `None` where somebody else has got it.
    async fn execute(&mut self) -> Result<Option<Vec<u8>>, Stopped> {
        let (handle, version, connection) = (self.handle.clone(), self.version, self.connection);
        let wants = wants_of(&self.command, &handle);
        let mut coordinator =
            match Coordinator::lock(&handle, version, wants, Some(self.command.len_bytes())).await {
                Ok(coordinator) => coordinator,
                Err(failure) => return failure_reply(failure, version).map(Some).ok_or(Stopped),
            };
        let reply = coordinator.execute(&self.command).await?;
        let found = !is_nothing(&self.command, &reply, version);
        if !found {
            for &shard in &self.wait.shards {
                coordinator.act(shard, move |_, core| core.wait_on(connection)).await?;
            }
        }
        let released = coordinator.finish().await?;
        Ok(found.then(|| released.err().unwrap_or(reply)))
    }

    async fn event<R: Runtime>(&mut self, input: &mut Input<R>) -> Event {
        poll_fn(|context| {
            if let Poll::Ready(Some(call)) = self.wait.calls.poll_next_unpin(context) {
                return Poll::Ready(Event::Call(call));
            }
            if let Some(timer) = &mut self.timer
                && Pin::new(timer).poll(context).is_ready()
            {
                self.timer = None;
                self.is_time_over = true;
            }
            if self.is_time_over {
                return Poll::Ready(Event::TimeOver);
            }
            self.client.wake_when_unblocked(context.waker());
            match self.client.unblocked() {
                Some(Unblock::Timeout) => return Poll::Ready(Event::TimeOver),
                Some(Unblock::Error) => return Poll::Ready(Event::Failed),
                None => {}
            }
            match input.poll_gone(context) {
                Poll::Ready(()) => Poll::Ready(Event::Gone),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Leaves all queues.
    fn end(&mut self) {
        let connection = self.connection;
        for shard in self.wait.shards.drain(..) {
            self.handle.post(shard, move |handle| handle.unblock(connection));
        }
    }
}
