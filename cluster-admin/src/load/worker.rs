//! What one generating thread does in each phase.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use carousel_client::{ClientError, ClusterClient, Intent, Reply};
use carousel_protocol::key_slot;
use tokio::task::JoinSet;

use super::distribution::Keys;
use super::kinds::Op;
use super::lanes::{Job, Lanes};
use super::ledger::{Ledger, Sound, Violation, WriteEnd};
use super::options::{LoadArgs, Pace, Timed};
use super::pacer::Pacer;
use super::request::{Buffers, Extent, Fault, Found, judge, key_name, words};
use super::stats::Recorder;
use super::value::Dice;

/// Requests per thread under way while filling or verifying.
const SWEEP_LANES: u32 = 512;

/// Requests that are due are started in crowds of at most this, so that replies are read in between.
const CROWD_MAX: u32 = 256;

/// Least time between two wakes. What comes due within it starts together; that costs at most this much of
/// measured latency and saves most of the processor time of high rates.
const WAKE_PAUSE: Duration = Duration::from_micros(50);

/// Keys tried for a write before a read is made instead, where every key tried has a write under way.
const FREE_KEY_TRIES: u32 = 64;

/// A part of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// Write every key once, as fast as possible.
    Fill,
    /// Keep a rate, or a number of requests under way.
    Timed(Timed),
    /// Read every key once, as fast as possible; each must be there.
    Verify,
}

/// What all threads of a phase share.
#[derive(Debug)]
pub struct Shared {
    /// The options.
    pub args: LoadArgs,
    /// What was written.
    pub ledger: Arc<Ledger>,
    /// Set to end the phase early.
    pub stop: Arc<AtomicBool>,
    /// The next key of a fill or verification.
    pub next_key: AtomicU32,
    /// Requests under way.
    pub outstanding: AtomicU64,
}

/// One thread's part.
#[derive(Debug)]
pub struct Worker {
    /// Shared with the other threads.
    pub shared: Arc<Shared>,
    /// Which thread, from 0.
    pub index: u16,
    /// The thread's own client.
    pub client: ClusterClient,
    /// Where the thread records.
    pub recorder: Arc<Recorder>,
    /// Chooses keys.
    pub keys: Keys,
    /// Counts the lanes made, each of which gets dice of its own.
    pub lanes: AtomicU32,
}

impl Worker {
    /// Runs the phase, which began at `start` for all threads.
    ///
    /// # Errors
    /// Only where the system refuses a timer.
    pub async fn run(self, phase: Phase, start: Instant) -> Result<()> {
        let worker = Arc::new(self);
        match phase {
            Phase::Fill => worker.sweep(true).await?,
            Phase::Verify => worker.sweep(false).await?,
            Phase::Timed(Timed { pace: Pace::Rate(rate), duration }) => {
                worker.open_loop(rate, duration, start).await?;
            }
            Phase::Timed(Timed { pace: Pace::Pipeline(depth), duration }) => {
                worker.closed_loop(depth, start + duration).await?;
            }
        }
        Ok(())
    }

    /// Every key once; the threads share the keys.
    async fn sweep(self: Arc<Self>, fill: bool) -> Result<()> {
        let mut lanes = JoinSet::new();
        for _ in 0..SWEEP_LANES {
            let worker = self.clone();
            lanes.spawn(async move {
                let mut buffers = worker.buffers();
                while !worker.shared.stop.load(Ordering::Relaxed) {
                    let key = worker.shared.next_key.fetch_add(1, Ordering::Relaxed);
                    if key >= worker.shared.ledger.len() {
                        return;
                    }
                    let kind = worker.shared.args.types.of(key);
                    let op = if fill { kind.fill() } else { kind.read_all() };
                    let job = Job { op, key, extent: Extent::Whole, intended: Instant::now() };
                    let must = !fill && kind.lasts();
                    let expected = if must { Expected::There } else { Expected::Maybe };
                    worker.request(job, expected, &mut buffers).await;
                }
            });
        }
        while let Some(ended) = lanes.join_next().await {
            ended.context("a request broke the generator")?;
        }
        Ok(())
    }

    /// Each connection has `depth` requests under way, one sent for each that is answered.
    async fn closed_loop(self: Arc<Self>, depth: u16, end: Instant) -> Result<()> {
        let args = &self.shared.args;
        let connections = u32::from(args.connections_per_thread()) * self.client.nodes().len().max(1) as u32;
        let mut lanes = JoinSet::new();
        for lane in 0..connections * u32::from(depth) {
            let worker = self.clone();
            let seed = args.seed ^ (u64::from(self.index) << 48) ^ (u64::from(lane) << 16);
            lanes.spawn(async move {
                let mut buffers = worker.buffers();
                let mut dice = Dice::new(seed);
                while !worker.shared.stop.load(Ordering::Relaxed) {
                    let now = Instant::now();
                    if now >= end {
                        return;
                    }
                    let job = worker.choose(&mut dice, now);
                    worker.request(job, Expected::Maybe, &mut buffers).await;
                }
            });
        }
        while let Some(ended) = lanes.join_next().await {
            ended.context("a request broke the generator")?;
        }
        Ok(())
    }

    /// Starts requests at their intended times whatever the server does.
    async fn open_loop(self: Arc<Self>, rate: u64, duration: Duration, start: Instant) -> Result<()> {
        let threads = u64::from(self.shared.args.threads);
        let most = (self.shared.args.max_outstanding / u32::from(self.shared.args.threads)).max(1);
        let mut lanes = Lanes::new(self.clone(), most as usize);
        let pacer = Pacer::new().context("cannot make a timer")?;
        let mut dice = Dice::new(self.shared.args.seed.wrapping_add(u64::from(self.index) << 32));
        let mut number = u64::from(self.index);
        let mut crowd = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            let due = intended(number, rate);
            if due >= duration {
                break;
            }
            let now = start.elapsed();
            if due > now {
                crowd = 0;
                pacer.sleep((due - now).max(WAKE_PAUSE)).await.context("cannot wait for the next request")?;
                continue;
            }
            let intended = start + due;
            lanes.start(self.choose(&mut dice, intended)).await;
            // After the wait for a lane: that is where a generator without room falls behind.
            let lag = intended.elapsed();
            {
                let mut stats = self.recorder.lock();
                stats.lag_max = stats.lag_max.max(lag);
            }
            number += threads;
            crowd += 1;
            if crowd >= CROWD_MAX {
                crowd = 0;
                tokio::task::yield_now().await;
            }
        }
        // All replies came, or their requests gave up at their deadline.
        lanes.finish().await.context("a request broke the generator")?;
        Ok(())
    }

    /// Memory for one more lane.
    pub fn buffers(&self) -> Buffers {
        let lane = self.lanes.fetch_add(1, Ordering::Relaxed);
        Buffers::new(self.shared.ledger.run() ^ (u64::from(self.index) << 32) ^ u64::from(lane))
    }

    fn choose(&self, dice: &mut Dice, intended: Instant) -> Job {
        let args = &self.shared.args;
        let is_read = dice.chance(args.share_of_reads());
        let key = self.keys.draw(dice);
        let kind = args.types.of(key);
        let op = if is_read { kind.read(dice) } else { kind.write(dice) };
        Job { op, key, extent: Extent::Item(dice.below(args.items)), intended }
    }

    /// One request from its choice to its judgement.
    pub async fn request(&self, job: Job, expected: Expected, buffers: &mut Buffers) {
        self.shared.outstanding.fetch_add(1, Ordering::Relaxed);
        match job.op {
            Op::Set if self.shared.args.unchecked => self.set_unchecked(job, buffers).await,
            Op::Set => self.set(job, buffers).await,
            Op::Get if !self.shared.args.unchecked => self.get(job, expected, buffers).await,
            _ => self.other(job, expected, buffers).await,
        }
        self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    async fn set(&self, job: Job, buffers: &mut Buffers) {
        let (ledger, args) = (&self.shared.ledger, &self.shared.args);
        // The next free one of the same type.
        let candidates = (0..FREE_KEY_TRIES).map(|i| (job.key.wrapping_add(i)) % ledger.len());
        let mut candidates = candidates.filter(|key| args.types.of(*key) == args.types.of(job.key));
        let Some((key, stamp)) = candidates.find_map(|key| Some((key, ledger.begin_write(key)?))) else {
            return self.get(Job { op: Op::Get, ..job }, Expected::Maybe, buffers).await;
        };
        key_name(args, args.types.of(key), key, &mut buffers.key);
        buffers.make_value(args.value_size, Some(stamp));
        let result = self.client.set(&buffers.key, &buffers.value).await;
        ledger.end_write(key, stamp, write_end(&result));
        self.wrote(job, result, buffers);
    }

    async fn set_unchecked(&self, job: Job, buffers: &mut Buffers) {
        let args = &self.shared.args;
        key_name(args, args.types.of(job.key), job.key, &mut buffers.key);
        buffers.make_value(args.value_size, None);
        let result = self.client.set(&buffers.key, &buffers.value).await;
        self.wrote(job, result, buffers);
    }

    fn wrote(&self, job: Job, result: Result<(), ClientError>, buffers: &Buffers) {
        let latency = job.intended.elapsed();
        let mut stats = self.recorder.lock();
        match result {
            Ok(()) => stats.succeeded(Op::Set, latency),
            Err(error) => stats.failed(error.kind(), || format!("SET {}: {error}", buffers.key_text())),
        }
    }

    async fn get(&self, job: Job, expected: Expected, buffers: &mut Buffers) {
        let (ledger, args) = (&self.shared.ledger, &self.shared.args);
        key_name(args, args.types.of(job.key), job.key, &mut buffers.key);
        let floor = ledger.floor(job.key);
        let result = self.client.get(&buffers.key).await;
        let latency = job.intended.elapsed();
        let judgement =
            result.as_ref().map(|value| ledger.judge(job.key, &buffers.key, floor, value.as_deref()));
        let mut stats = self.recorder.lock();
        match judgement {
            Err(error) => stats.failed(error.kind(), || format!("GET {}: {error}", buffers.key_text())),
            Ok(judged) => {
                stats.succeeded(Op::Get, latency);
                match (judged, expected) {
                    (Err(violation), _) => stats.violated(&buffers.key, violation),
                    (Ok(Sound::Miss), Expected::There) => {
                        stats.violated(&buffers.key, Violation::Lost { acknowledged: 0 });
                    }
                    (Ok(Sound::Miss), Expected::Maybe) => stats.misses += 1,
                    (Ok(Sound::Value), _) => {}
                }
            }
        }
    }

    /// A request about a collection, or an unchecked read of a string.
    async fn other(&self, job: Job, expected: Expected, buffers: &mut Buffers) {
        let Job { op, key, extent, intended } = job;
        let args = &self.shared.args;
        key_name(args, args.types.of(key), key, &mut buffers.key);
        if op == Op::RPush && extent == Extent::Whole {
            // What an earlier fill pushed would stay in front of it.
            if let Err(error) = self.client.del(&buffers.key).await {
                let line = || format!("DEL {}: {error}", buffers.key_text());
                return self.recorder.lock().failed(error.kind(), line);
            }
        }
        buffers.make_items(op, extent, args, self.shared.ledger.run());
        let intent = if op.is_write() { Intent::Write } else { Intent::Read };
        let result = self.client.run(intent, Some(key_slot(&buffers.key)), &words(op, buffers)).await;
        let latency = intended.elapsed();
        let judged = result.as_ref().map(|(_, reply)| judge(op, &buffers.key, !args.unchecked, reply));
        let mut stats = self.recorder.lock();
        let line = |what: &dyn std::fmt::Display| format!("{} {}: {what}", op.name(), buffers.key_text());
        match judged {
            Err(error) => stats.failed(error.kind(), || line(error)),
            Ok(Err(Fault::Unexpected)) => {
                let said = result.as_ref().map(|(_, reply)| shortened(reply)).unwrap_or_default();
                stats.failed("unexpected-reply", || line(&format!("answered {said}")));
            }
            Ok(Err(Fault::Violation(violation))) => {
                stats.succeeded(op, latency);
                stats.violated(&buffers.key, violation);
            }
            Ok(Ok(found)) => {
                stats.succeeded(op, latency);
                match (found, expected) {
                    (Found::Nothing, Expected::There) => {
                        stats.violated(&buffers.key, Violation::Lost { acknowledged: 0 });
                    }
                    (Found::Nothing, Expected::Maybe) if !op.is_write() => stats.misses += 1,
                    (Found::Nothing | Found::Something, _) => {}
                }
            }
        }
    }
}

/// Some words of a reply.
fn shortened(reply: &Reply) -> String {
    let text = format!("{reply:?}");
    if text.len() > 80 { text.chars().take(77).collect::<String>() + "..." } else { text }
}

/// Must a read find something?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Only what this process was acknowledged.
    Maybe,
    /// Yes.
    There,
}

/// When request `number` is meant to be sent, since the start.
fn intended(number: u64, rate: u64) -> Duration {
    let whole = number / rate;
    let nanos = (number % rate) * 1_000_000_000 / rate;
    Duration::new(whole, nanos as u32)
}

fn write_end(result: &Result<(), ClientError>) -> WriteEnd {
    match result {
        Ok(()) => WriteEnd::Acknowledged,
        // A reply of the wrong kind says nothing about what was done.
        Err(ClientError::OutcomeUnknown { .. } | ClientError::UnexpectedReply { .. }) => WriteEnd::Unknown,
        Err(
            ClientError::Connect { .. }
            | ClientError::NoNode { .. }
            | ClientError::Deadline { .. }
            | ClientError::Refused { .. },
        ) => WriteEnd::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intended_times_are_evenly_spread_and_do_not_drift() {
        assert_eq!(intended(0, 3), Duration::ZERO);
        assert_eq!(intended(1, 4), Duration::from_millis(250));
        assert_eq!(intended(3 * 86_400, 3), Duration::from_secs(86_400));
        assert_eq!(intended(u64::MAX / 2, 100_000_000).as_secs(), u64::MAX / 2 / 100_000_000);
        let gaps = (0..1000).map(|n| intended(n + 1, 30_000) - intended(n, 30_000));
        assert!(gaps.into_iter().all(|gap| (33_333..=33_334).contains(&gap.as_nanos())));
    }
}
