//! A checkpoint of a shard, taken while it serves.
//!
//! The shard's thread walks its slots a little at a time and hands the records to a thread that lives as long as the
//! checkpoint: that one writes, syncs, renames and removes. It is handed no more than it can write: the walk waits for
//! it. When all of the walk is durable, the checkpoint is *prepared*, and whoever asked for it hears of
//! that. What follows is done in [stages](Stage), each by all shards before any begins the next: so that whatever any of the
//! checkpoints has of a transaction, each shard's log says that it counts, before any log is cut that says why.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::channel::oneshot;
use tokio::sync::mpsc;

use super::ShardHandle;
use crate::persist::segment::SEGMENT_BYTES;
use crate::persist::{
    CheckpointEnd, CheckpointHeader, CheckpointWriter, Cut, DiskStorage, LogPosition, LogSync,
};
use crate::runtime::Runtime;
use crate::runtime::background::{self, Share};
use crate::shard::checkpoint::CheckpointStep;

/// How long the walk takes of the shard's time at once: what it may add to the latency of a request.
const SLICE_NS: u64 = 250_000;
/// What it leaves to clients before it goes on.
const PAUSE: Duration = Duration::from_millis(1);
/// Buffers on their way to the thread that writes, of some 64 KiB each. Few, because what they take is memory that keys may
/// have to make room for.
const BUFFERS_WAITING_MAX: usize = 8;
/// How long a checkpoint waits for the transactions under way.
const TRANSACTIONS_END_NS: u64 = 10_000_000_000;
/// Bytes that writers may make wait for a disk that does not take them; above that the checkpoint is given up.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// What a checkpoint leaves of the disk to the log, which takes it a segment at a time.
const KEEP_FREE_BYTES: u64 = 2 * SEGMENT_BYTES;

/// Where a checkpoint goes.
#[derive(Debug)]
pub enum CheckpointPlace {
    /// Beside the shard's log, which is cut when it counts.
    Log {
        /// Bytes of the log to be kept nevertheless.
        retention: u64,
    },
    /// Into another directory: of a log that takes the place of what is on disk.
    Beside {
        /// The directory.
        dir: PathBuf,
        /// What the checkpoint begins with.
        header: CheckpointHeader,
    },
}

/// What a shard is asked for.
#[derive(Debug)]
pub struct CheckpointRequest {
    /// Where it goes.
    pub place: CheckpointPlace,
    /// Told when all of it is durable and nothing of it counts.
    pub prepared: oneshot::Sender<Result<Prepared, String>>,
    /// The stages, each asked for when all shards have done the one before. When no more can come before it is published, it
    /// comes to nothing.
    pub stages: mpsc::UnboundedReceiver<(Stage, oneshot::Sender<Result<(), String>>)>,
}

/// What is done with a prepared checkpoint, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Wait until the transactions that have begun here have ended. All of which a checkpoint has something are among them:
    /// they had their slots on all shards when that checkpoint was not prepared yet.
    Seal,
    /// Sync the log. Then each of them is on stable storage wherever it wrote.
    Sync,
    /// Note in the log, durably, that they count. Then each log says so by itself.
    Settle,
    /// Let the checkpoint count, and cut the log behind it.
    Publish,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Seal, Self::Sync, Self::Settle, Self::Publish];
}

/// A checkpoint that could count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// Its length.
    pub bytes: u64,
    /// Keys in it.
    pub keys: u64,
}

/// What the writing thread is told.
enum Order {
    Write(Vec<u8>),
    Finish { end: CheckpointEnd, reply: oneshot::Sender<Result<u64, String>> },
    Sync(oneshot::Sender<Result<LogPosition, String>>),
    Publish(oneshot::Sender<Result<(), String>>),
    Cut { cut: Cut<DiskStorage>, reply: oneshot::Sender<()> },
}

/// The thread that writes, as the shard sees it.
struct Writing {
    orders: mpsc::Sender<Order>,
    has_failed: Arc<AtomicBool>,
}

/// Takes the checkpoint.
pub(super) async fn take<R: Runtime>(handle: Rc<ShardHandle>, request: CheckpointRequest) {
    let CheckpointRequest { place, prepared, mut stages } = request;
    let retention = match &place {
        CheckpointPlace::Log { retention } => Some(*retention),
        CheckpointPlace::Beside { .. } => None,
    };
    let walked = walk::<R>(&handle, place).await;
    handle.core.borrow_mut().end_checkpoint();
    let (writing, end, bytes) = match walked {
        Ok(walked) => walked,
        Err(error) => {
            // Nobody who asked is no reason to keep it.
            let _ = prepared.send(Err(error));
            return;
        }
    };
    let _ = prepared.send(Ok(Prepared { bytes, keys: end.extent.keys }));
    let mut sealed = Sealed { handle, writing, end, bytes, retention, before: LogPosition(0) };
    // Where nobody wants it any more, the thread, which gets no more orders, removes it.
    while let Some((stage, done)) = stages.recv().await {
        let outcome = match stage {
            // Without a log there is nothing that could say anything else.
            Stage::Seal | Stage::Sync | Stage::Settle if sealed.retention.is_none() => Ok(()),
            Stage::Seal => sealed.seal::<R>().await,
            Stage::Sync => sealed.sync::<R>().await,
            Stage::Settle => sealed.settle::<R>().await,
            Stage::Publish => sealed.publish().await,
        };
        let _ = done.send(outcome);
    }
}

/// A checkpoint that is prepared, on its way to count.
struct Sealed {
    handle: Rc<ShardHandle>,
    writing: Writing,
    end: CheckpointEnd,
    bytes: u64,
    /// Bytes of the log to be kept; none where there is no log.
    retention: Option<u64>,
    /// The transactions that began before this have ended.
    before: LogPosition,
}

impl Sealed {
    async fn seal<R: Runtime>(&mut self) -> Result<(), String> {
        let (before, mut holders) = {
            let core = self.handle.core.borrow();
            (core.log_position(), core.lock_holders())
        };
        let deadline_ns = self.handle.now().mono_ns + TRANSACTIONS_END_NS;
        while !holders.is_empty() {
            if self.handle.core.borrow().has_doubts() || self.handle.now().mono_ns > deadline_ns {
                return Err("a transaction does not end".into());
            }
            R::sleep(PAUSE).await;
            holders.retain(|transaction| self.handle.core.borrow().holds_lock(transaction));
        }
        self.before = before;
        Ok(())
    }

    async fn sync<R: Runtime>(&self) -> Result<(), String> {
        let end = self.handle.core.borrow().log_position();
        self.handle.await_written::<R>(end).await?;
        let synced = self.writing.ask(Order::Sync).await??;
        assert!(synced >= self.end.extent.end, "what is in a checkpoint was written to the log");
        Ok(())
    }

    async fn settle<R: Runtime>(&self) -> Result<(), String> {
        self.handle.core.borrow_mut().settle_before(self.before);
        self.sync::<R>().await
    }

    async fn publish(&self) -> Result<(), String> {
        self.writing.ask(Order::Publish).await??;
        if let Some(retention) = self.retention {
            let cut =
                self.handle.log.borrow_mut().as_mut().map(|log| log.cut(self.end, self.bytes, retention));
            self.handle.publish_metrics();
            if let Some(cut) = cut {
                self.writing.ask(|reply| Order::Cut { cut, reply }).await?;
            }
        }
        Ok(())
    }
}

impl ShardHandle {
    /// Waits until the log is written up to there.
    async fn await_written<R: Runtime>(&self, position: LogPosition) -> Result<(), String> {
        loop {
            match self.log.borrow().as_ref() {
                None => return Err("the shard keeps no log".into()),
                Some(log) if log.has_written(position)? => return Ok(()),
                Some(_) => {}
            }
            self.touch();
            R::sleep(PAUSE).await;
        }
    }
}

/// Walks all slots and makes what that gives durable.
async fn walk<R: Runtime>(
    handle: &Rc<ShardHandle>,
    place: CheckpointPlace,
) -> Result<(Writing, CheckpointEnd, u64), String> {
    let (header, dir, log) = match place {
        CheckpointPlace::Beside { dir, header } => (header, dir, None),
        CheckpointPlace::Log { .. } => {
            if !handle.core.borrow().has_begun() {
                return Err("the node has not begun yet".into());
            }
            let started = Some(handle.incarnation.get());
            let mut log = handle.log.borrow_mut();
            let log = log.as_mut().ok_or("the shard keeps no log")?;
            let (header, dir) = log.begin_checkpoint(started);
            (header, dir, Some(log.log_sync()))
        }
    };
    let is_logged = log.is_some();
    let writing = Writing::start(dir, header, log).map_err(|error| error.to_string())?;
    handle.core.borrow_mut().begin_checkpoint();
    let extent = loop {
        if writing.has_failed.load(Ordering::Relaxed) {
            return Err(writing.failure().await);
        }
        let until_ns = handle.now().mono_ns + SLICE_NS;
        let mut last = None;
        let mut chunks = Vec::new();
        while last.is_none() && handle.now().mono_ns < until_ns {
            match handle.core.borrow_mut().step_checkpoint() {
                CheckpointStep::More(chunk) => chunks.push(chunk),
                CheckpointStep::Last(chunk, extent) => {
                    chunks.push(chunk);
                    last = Some(extent);
                }
            }
        }
        for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
            writing.send(Order::Write(chunk)).await?;
        }
        if let Some(extent) = last {
            break extent;
        }
        if handle.core.borrow().checkpoint_bytes() > WAITING_BYTES_MAX {
            return Err("the disk takes less than what is written meanwhile".into());
        }
        R::sleep(PAUSE).await;
    };
    let mut end = CheckpointEnd { extent, segment: 1, tails_from: LogPosition(0) };
    if is_logged {
        // What the checkpoint has must be in the log, too, before it can count.
        handle.await_written::<R>(extent.end).await?;
        end = handle.log.borrow().as_ref().ok_or("the shard keeps no log")?.end_checkpoint(extent);
    }
    let bytes = writing.ask(|reply| Order::Finish { end, reply }).await??;
    Ok((writing, end, bytes))
}

impl Writing {
    fn start(
        dir: PathBuf,
        header: CheckpointHeader,
        log: Option<LogSync<DiskStorage>>,
    ) -> std::io::Result<Self> {
        let (orders, ordered) = mpsc::channel(BUFFERS_WAITING_MAX);
        let has_failed = Arc::new(AtomicBool::new(false));
        let failed = has_failed.clone();
        let name = format!("checkpoint-{}", header.identity.shard);
        background::spawn(name, Share::GivesWay, move || write(ordered, &dir, header, log, &failed))?;
        Ok(Self { orders, has_failed })
    }

    async fn send(&self, order: Order) -> Result<(), String> {
        self.orders.send(order).await.map_err(|_| "the thread that writes it panicked".to_owned())
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        self.send(order(reply)).await?;
        answer.await.map_err(|_| "the thread that writes it panicked".to_owned())
    }

    /// Why it failed.
    async fn failure(&self) -> String {
        self.ask(Order::Publish).await.map_or_else(|error| error, |failure| failure.err().unwrap_or_default())
    }
}

/// The thread that writes.
fn write(
    mut orders: mpsc::Receiver<Order>,
    dir: &std::path::Path,
    header: CheckpointHeader,
    log: Option<LogSync<DiskStorage>>,
    has_failed: &AtomicBool,
) {
    let explain = |error: std::io::Error| format!("cannot write a checkpoint in {}: {error}", dir.display());
    let keep_free = if log.is_some() { KEEP_FREE_BYTES } else { 0 };
    let mut writer = CheckpointWriter::create(DiskStorage, dir, header, keep_free).map_err(explain);
    let mut is_finished = false;
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Write(records) => {
                if let Ok(open) = &mut writer
                    && let Err(error) = open.write(&records)
                {
                    writer = fail(writer, explain(error));
                }
            }
            Order::Finish { end, reply } => {
                let finish = |open: &mut CheckpointWriter<DiskStorage>| {
                    open.finish(end).map(|()| open.bytes()).map_err(explain)
                };
                let outcome = writer.as_mut().map_err(|error| error.clone()).and_then(finish);
                is_finished = outcome.is_ok();
                if let Err(error) = &outcome {
                    writer = fail(writer, error.clone());
                }
                let _ = reply.send(outcome);
            }
            Order::Sync(reply) => {
                let synced = log.as_ref().map_or(Ok(LogPosition(0)), LogSync::sync);
                let _ = reply.send(synced.map_err(|error| error.to_string()));
            }
            Order::Publish(reply) => {
                let gone = Err("it is published already".to_owned());
                let outcome = match std::mem::replace(&mut writer, gone) {
                    Ok(finished) if is_finished => finished.publish().map_err(explain),
                    Ok(unfinished) => {
                        writer = Ok(unfinished);
                        Err("it is not finished".into())
                    }
                    Err(error) => Err(error),
                };
                let _ = reply.send(outcome);
            }
            Order::Cut { cut, reply } => {
                if let Err(error) = cut.run() {
                    tracing::warn!(%error, dir = %dir.display(), "cannot remove a part of the log; the next start will");
                }
                let _ = reply.send(());
            }
        }
        has_failed.store(writer.is_err(), Ordering::Relaxed);
    }
    if let Ok(unwanted) = writer {
        unwanted.abandon();
    }
}

/// Gives its space back, and keeps why.
fn fail(
    writer: Result<CheckpointWriter<DiskStorage>, String>,
    error: String,
) -> Result<CheckpointWriter<DiskStorage>, String> {
    let before = writer.map(CheckpointWriter::abandon);
    Err(before.err().unwrap_or(error))
}
