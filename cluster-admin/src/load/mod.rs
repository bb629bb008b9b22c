//! `load`: a generator that knows what it must read, in open loop (at a rate) or closed loop.
//!
//! Phases run one after the other: fill, timed load, verification. Each has its own threads with an event
//! loop, a client and connections of their own; this one prints.

mod distribution;
mod kinds;
mod lanes;
mod ledger;
mod options;
mod pacer;
mod report;
mod request;
mod stats;
mod value;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use carousel_client::{ClusterClient, Options, RetryOptions};
use tokio::sync::{mpsc, watch};

use crate::ask::Target;
use crate::{Verdict, note, say};
use distribution::Keys;
use ledger::Ledger;
pub use options::LoadArgs;
use options::{Pace, Timed};
use report::{PhaseReport, Report, live_line};
use stats::{Recorder, Stats};
use worker::{Phase, Shared, Worker};

/// Between two live lines.
const LIVE_PAUSE: Duration = Duration::from_secs(1);

/// Time that all threads have to reach the start line together.
const START_DELAY: Duration = Duration::from_millis(5);

/// `cluster-admin load`.
pub async fn run(target: &Target, args: LoadArgs) -> Result<Verdict> {
    args.check()?;
    // Says in words what is wrong before any thread starts.
    target.connect().await?;
    let stop = Arc::new(AtomicBool::new(false));
    let interrupted = stop.clone();
    tokio::spawn(async move {
        // Without the handler Ctrl-C just ends the process, without a report.
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.store(true, Ordering::Relaxed);
        }
    });
    let ledger = Arc::new(Ledger::new(run_id(), args.keys));
    let mut phases = Vec::new();
    let wanted = [
        args.fill.then_some(Phase::Fill),
        args.timed().map(Phase::Timed),
        args.verify.then_some(Phase::Verify),
    ];
    for phase in wanted.into_iter().flatten() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let shared = Arc::new(Shared {
            args: args.clone(),
            ledger: ledger.clone(),
            stop: stop.clone(),
            next_key: AtomicU32::new(0),
            outstanding: AtomicU64::new(0),
        });
        let report = run_phase(target, phase, shared).await?;
        if !args.json {
            say(report.show());
        }
        phases.push(report);
    }
    let report = Report::new(args.workload(), phases);
    if args.json {
        say(serde_json::to_string_pretty(&report)?);
    }
    Ok(report.verdict(args.allow_errors))
}

/// Names this process in the values it writes. Two runs that begin in the same nanosecond are the same process.
fn run_id() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64) ^ (u64::from(std::process::id()) << 48)
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Fill => "fill",
        Phase::Timed(_) => "load",
        Phase::Verify => "verify",
    }
}

/// What a thread tells.
enum Told {
    /// Connected, waiting for the start.
    Ready,
    /// Done, or failed.
    Ended(Result<()>),
}

async fn run_phase(target: &Target, phase: Phase, shared: Arc<Shared>) -> Result<PhaseReport> {
    let threads = shared.args.threads;
    let (tell, mut told) = mpsc::unbounded_channel();
    let (go, _) = watch::channel(None::<Instant>);
    let recorders: Vec<_> = (0..threads).map(|_| Arc::new(Recorder::new())).collect();
    for (index, recorder) in (0..threads).zip(&recorders) {
        let thread = Thread {
            target: target.clone(),
            phase,
            shared: shared.clone(),
            index,
            recorder: recorder.clone(),
            go: go.subscribe(),
        };
        let tell = tell.clone();
        std::thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || {
                let result = thread.run(&tell);
                // The receiver is gone only where another thread's failure ended the phase.
                let _ = tell.send(Told::Ended(result));
            })
            .context("cannot start a thread")?;
    }
    drop(tell);
    for _ in 0..threads {
        match told.recv().await {
            Some(Told::Ready) => {}
            Some(Told::Ended(result)) => {
                return Err(result.err().unwrap_or_else(|| anyhow!("a thread ended early")));
            }
            None => return Err(anyhow!("a generating thread died")),
        }
    }
    let start = Instant::now() + START_DELAY;
    go.send_replace(Some(start));
    let mut total = Stats::new();
    let mut running = threads;
    let mut ticks = tokio::time::interval_at((start + LIVE_PAUSE).into(), LIVE_PAUSE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut shown = Duration::ZERO;
    while running > 0 {
        tokio::select! {
            heard = told.recv() => match heard {
                Some(Told::Ended(result)) => {
                    result?;
                    running -= 1;
                }
                Some(Told::Ready) => {}
                None => return Err(anyhow!("a generating thread died")),
            },
            _ = ticks.tick() => {
                let at = start.elapsed();
                let mut second = Stats::new();
                recorders.iter().for_each(|recorder| recorder.collect(&mut second));
                total.add(&second);
                let outstanding = shared.outstanding.load(Ordering::Relaxed);
                note(live_line(name(phase), at, at - shown, &second, &total, outstanding));
                shown = at;
            }
        }
    }
    let took = start.elapsed();
    recorders.iter().for_each(|recorder| recorder.collect(&mut total));
    let rate = match phase {
        Phase::Timed(Timed { pace: Pace::Rate(rate), .. }) => Some(rate),
        Phase::Timed(_) | Phase::Fill | Phase::Verify => None,
    };
    Ok(PhaseReport::new(name(phase), took, rate, &total))
}

/// All that a generating thread needs.
struct Thread {
    target: Target,
    phase: Phase,
    shared: Arc<Shared>,
    index: u16,
    recorder: Arc<Recorder>,
    go: watch::Receiver<Option<Instant>>,
}

impl Thread {
    fn run(mut self, tell: &mpsc::UnboundedSender<Told>) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let options = client_options(&self.target, &self.shared.args);
            let client = ClusterClient::connect(vec![self.target.node.clone()], options).await?;
            if tell.send(Told::Ready).is_err() {
                return Ok(());
            }
            // An error means that another thread failed, and that the phase is over.
            let Ok(start) = self.go.wait_for(Option::is_some).await.map(|start| *start) else {
                return Ok(());
            };
            let start = start.unwrap_or_else(Instant::now);
            tokio::time::sleep_until(start.into()).await;
            let Self { phase, shared, index, recorder, .. } = self;
            let keys = Keys::new(shared.args.distribution, shared.args.keys);
            let lanes = AtomicU32::new(0);
            Worker { shared, index, client, recorder, keys, lanes }.run(phase, start).await
        })
    }
}

fn client_options(target: &Target, args: &LoadArgs) -> Options {
    let defaults = Options::default();
    Options {
        connect: target.connect_options(),
        retry: RetryOptions { deadline: args.timeout, ..defaults.retry.clone() },
        connections_per_node: usize::from(args.connections_per_thread()),
        ..defaults
    }
}

#[cfg(test)]
mod tests;
