//! What one generating thread does in each phase.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use carousel_client::{ClientError, ClusterClient};
use tokio::task::JoinSet;

use super::lanes::{Job, Lanes};
use super::ledger::{Ledger, Sound, Violation, WriteEnd};
use super::options::{LoadArgs, Timed};
use super::pacer::Pacer;
use super::stats::{Op, Recorder};
use super::value::{self, Dice};

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
    /// Keep a rate.
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
}

impl Worker {
    /// Runs the phase, which began at `start` for all threads.
    ///
    /// # Errors
    /// Only where the system refuses a timer.
    pub async fn run(self, phase: Phase, start: Instant) -> Result<()> {
        let worker = Arc::new(self);
        match phase {
            Phase::Fill => worker.sweep(Op::Set).await?,
            Phase::Verify => worker.sweep(Op::Get).await?,
            Phase::Timed(timed) => worker.open_loop(timed, start).await?,
        }
        Ok(())
    }

    /// Every key once; the threads share the keys.
    async fn sweep(self: Arc<Self>, op: Op) -> Result<()> {
        let mut lanes = JoinSet::new();
        for _ in 0..SWEEP_LANES {
            let worker = self.clone();
            lanes.spawn(async move {
                let mut buffers = Buffers::default();
                while !worker.shared.stop.load(Ordering::Relaxed) {
                    let key = worker.shared.next_key.fetch_add(1, Ordering::Relaxed);
                    if key >= worker.shared.ledger.len() {
                        return;
                    }
                    let expected = if op == Op::Get { Expected::There } else { Expected::Maybe };
                    worker.request(op, key, Instant::now(), expected, &mut buffers).await;
                }
            });
        }
        while let Some(ended) = lanes.join_next().await {
            ended.context("a request broke the generator")?;
        }
        Ok(())
    }

    /// Starts requests at their intended times whatever the server does.
    async fn open_loop(self: Arc<Self>, timed: Timed, start: Instant) -> Result<()> {
        let threads = u64::from(self.shared.args.threads);
        let most = (self.shared.args.max_outstanding / u32::from(self.shared.args.threads)).max(1);
        let mut lanes = Lanes::new(self.clone(), most as usize);
        let pacer = Pacer::new().context("cannot make a timer")?;
        let mut dice = Dice::new(self.shared.args.seed.wrapping_add(u64::from(self.index) << 32));
        let mut number = u64::from(self.index);
        let mut crowd = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            let due = intended(number, timed.rate);
            if due >= timed.duration {
                break;
            }
            let now = start.elapsed();
            if due > now {
                crowd = 0;
                pacer.sleep((due - now).max(WAKE_PAUSE)).await.context("cannot wait for the next request")?;
                continue;
            }
            let (op, key) = self.choose(&mut dice);
            let intended = start + due;
            lanes.start(Job { op, key, intended }).await;
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

    fn choose(&self, dice: &mut Dice) -> (Op, u32) {
        let keys = self.shared.ledger.len();
        let op = if dice.chance(self.shared.args.share_of_reads()) { Op::Get } else { Op::Set };
        (op, dice.below(keys))
    }

    /// One request from its choice to its judgement.
    pub async fn request(
        &self,
        op: Op,
        key: u32,
        intended: Instant,
        expected: Expected,
        buffers: &mut Buffers,
    ) {
        self.shared.outstanding.fetch_add(1, Ordering::Relaxed);
        match op {
            Op::Set => self.set(key, intended, buffers).await,
            Op::Get => self.get(key, intended, expected, buffers).await,
        }
        self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    async fn set(&self, key: u32, intended: Instant, buffers: &mut Buffers) {
        let ledger = &self.shared.ledger;
        let candidates = (0..FREE_KEY_TRIES).map(|i| (key.wrapping_add(i)) % ledger.len());
        let Some((key, stamp)) = candidates.into_iter().find_map(|key| Some((key, ledger.begin_write(key)?)))
        else {
            return self.get(key, intended, Expected::Maybe, buffers).await;
        };
        self.shared.args.key_name(&mut buffers.key, key);
        value::encode(&mut buffers.value, &buffers.key, stamp, self.shared.args.value_size);
        let result = self.client.set(&buffers.key, &buffers.value).await;
        ledger.end_write(key, stamp, write_end(&result));
        let latency = intended.elapsed();
        let mut stats = self.recorder.lock();
        match result {
            Ok(()) => stats.succeeded(Op::Set, latency),
            Err(error) => stats.failed(error.kind(), || format!("SET {}: {error}", buffers.key_text())),
        }
    }

    async fn get(&self, key: u32, intended: Instant, expected: Expected, buffers: &mut Buffers) {
        let ledger = &self.shared.ledger;
        self.shared.args.key_name(&mut buffers.key, key);
        let floor = ledger.floor(key);
        let result = self.client.get(&buffers.key).await;
        let latency = intended.elapsed();
        let judgement = result.as_ref().map(|value| ledger.judge(key, &buffers.key, floor, value.as_deref()));
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
}

/// Must a read find something?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Only what this process was acknowledged.
    Maybe,
    /// Yes.
    There,
}

/// Memory that a lane uses again for each request.
#[derive(Debug, Default)]
pub struct Buffers {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Buffers {
    fn key_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.key)
    }
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
