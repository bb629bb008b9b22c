//! A cluster of shards in one thread: their state machines, a network that loses and delays, disks that forget,
//! a config group that answers late, processes that die at any point, and clients that remember what they were told.
//!
//! Everything follows from a seed. A failing one prints how to run it again:
//!
//! ```text
//! CAROUSEL_SIM_SEED=17 CAROUSEL_SIM_TRACE=1 cargo test -p carousel-server --test simulator one_seed -- --nocapture
//! ```
//!
//! `CAROUSEL_SIM_SEEDS=5000` runs that many seeds, `CAROUSEL_SIM_FIRST` says from which on, and `CAROUSEL_SIM_STEPS`
//! how many steps each takes.

mod checks;
mod client;
mod disk;
mod events;
mod faults;
mod group;
mod links;
mod model;
mod node;
mod plant;
mod random;
mod recovery;
mod run;
mod scenario;
mod stir;
mod trace;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use carousel_server::planted::Bug;
use checks::Counts;
use plant::Plant;
use run::{Violation, run};

const STEPS: u64 = 10_000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn report(seed: u64, violation: &Violation) -> String {
    format!(
        "seed {seed}, step {} at {} ms: {}\n  again: CAROUSEL_SIM_SEED={seed} CAROUSEL_SIM_TRACE=1 \
         cargo test -p carousel-server --test simulator one_seed -- --nocapture",
        violation.step, violation.ms, violation.what
    )
}

/// Runs seeds on all processors; returns what went wrong, by seed.
fn run_seeds(first: u64, count: u64, steps: u64, plant: Plant, enough: usize) -> Vec<(u64, Violation)> {
    let next = AtomicU64::new(first);
    let failed = std::sync::Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failed.lock().unwrap().len() >= enough {
                        return;
                    }
                    if let Err(violation) = run(seed, steps, plant, false) {
                        failed.lock().unwrap().push((seed, violation));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    failed
}

/// Panics are expected: they are how a run says that something is wrong.
fn silence_panics() {
    std::panic::set_hook(Box::new(|info| {
        if std::thread::current().name().is_some() {
            eprintln!("{info}");
        }
    }));
}

#[test]
fn no_seed_breaks_an_invariant() {
    silence_panics();
    let count = setting("CAROUSEL_SIM_SEEDS").unwrap_or(200);
    let first = setting("CAROUSEL_SIM_FIRST").unwrap_or(1);
    let steps = setting("CAROUSEL_SIM_STEPS").unwrap_or(STEPS);
    let failed = run_seeds(first, count, steps, Plant::Nothing, usize::MAX);
    let reports: Vec<_> = failed.iter().map(|(seed, violation)| report(*seed, violation)).collect();
    assert!(reports.is_empty(), "{} of {count} seeds failed\n{}", reports.len(), reports.join("\n"));
}

#[test]
fn one_seed() {
    let Some(seed) = setting("CAROUSEL_SIM_SEED") else { return };
    let steps = setting("CAROUSEL_SIM_STEPS").unwrap_or(STEPS);
    let print = std::env::var_os("CAROUSEL_SIM_TRACE").is_some();
    match run(seed, steps, Plant::Nothing, print) {
        Ok(outcome) => eprintln!("seed {seed}: {outcome:?}"),
        Err(violation) => panic!("{}", report(seed, &violation)),
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    silence_panics();
    for seed in 1..=6 {
        let runs = [(); 2].map(|()| run(seed, STEPS, Plant::Nothing, false).expect("holds"));
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
    assert_ne!(
        run(1, 500, Plant::Nothing, false).unwrap().hash,
        run(2, 500, Plant::Nothing, false).unwrap().hash
    );
}

/// A run in which nothing happens breaks no invariant either. The means are about a third of what is usual.
#[test]
fn seeds_are_busy() {
    const SEEDS: u64 = 40;
    silence_panics();
    let runs: Vec<_> =
        (1..=SEEDS).map(|seed| run(seed, STEPS, Plant::Nothing, false).expect("holds")).collect();
    for (outcome, seed) in runs.iter().zip(1..) {
        let counts = outcome.counts;
        assert!(counts.writes >= 20, "seed {seed} hardly writes: {counts:?}");
        assert!(counts.moves + counts.recoveries > 0, "seed {seed} neither moves nor recovers: {counts:?}");
    }
    let mean = |what: &str, count: fn(&Counts) -> u64, least: u64| {
        let sum: u64 = runs.iter().map(|outcome| count(&outcome.counts)).sum();
        eprintln!("{what}: {:.1} per seed", sum as f64 / SEEDS as f64);
        assert!(sum >= least * SEEDS, "{what}: {sum} in {SEEDS} seeds");
    };
    mean("acknowledged writes", |counts| counts.writes, 80);
    mean("crashes", |counts| counts.crashes, 4);
    mean("power losses", |counts| counts.power_losses, 1);
    mean("checkpoints", |counts| counts.checkpoints, 20);
    mean("partitions", |counts| counts.partitions, 5);
    mean("moves", |counts| counts.moves, 10);
    mean("hand-overs", |counts| counts.hand_overs, 6);
    mean("recoveries", |counts| counts.recoveries, 25);
}

/// Each planted bug is found within so many seeds.
const SEEDS_PLANTED: u64 = 400;

fn is_found(plant: Plant) {
    silence_panics();
    if let Some(count) = setting("CAROUSEL_SIM_SEEDS") {
        // How easily is it found?
        let failed = run_seeds(1, count, STEPS, plant, usize::MAX);
        eprintln!("{plant:?} is found by {} of {count} seeds", failed.len());
        failed.iter().take(8).for_each(|(seed, violation)| eprintln!("  {}", report(*seed, violation)));
        assert!(!failed.is_empty(), "{plant:?} is not found");
        return;
    }
    let failed = run_seeds(1, SEEDS_PLANTED, STEPS, plant, 1);
    let (seed, violation) = failed.first().unwrap_or_else(|| panic!("{plant:?} is not found"));
    eprintln!("{plant:?} found: {}", report(*seed, violation).lines().next().unwrap());
}

macro_rules! planted {
    ($($name:ident: $plant:expr;)*) => {
        $(#[test]
        fn $name() {
            is_found($plant);
        })*
    };
}

planted! {
    a_dropped_tail_record_is_found: Plant::Core(Bug::DroppedTail);
    an_uncut_splice_is_found: Plant::Core(Bug::UncutSplice);
    a_skipped_freeze_is_found: Plant::Core(Bug::SkippedFreeze);
    unfreezing_after_the_proposal_is_found: Plant::Core(Bug::UnfreezeAfterProposal);
    a_missing_epoch_check_is_found: Plant::Core(Bug::NoEpochCheck);
    a_missing_barrier_is_found: Plant::Core(Bug::NoBarrier);
    a_copy_dropped_before_the_commit_is_found: Plant::Core(Bug::DropBeforeCommit);
    an_ack_that_covers_a_refused_slot_is_found: Plant::Core(Bug::AckCoversRefused);
    a_swap_without_the_joint_quorum_is_found: Plant::Core(Bug::NoJointQuorum);
    a_write_that_a_checkpoint_misses_is_found: Plant::Core(Bug::CheckpointMissesTail);
    a_half_built_copy_that_a_checkpoint_forgets_is_found: Plant::Core(Bug::CheckpointForgetsBuilding);
    logged_records_that_a_checkpoint_forgets_are_found: Plant::Core(Bug::CheckpointForgetsPending);
    an_ack_before_the_write_is_found: Plant::AckBeforeWrite;
    a_restart_that_reuses_its_epoch_is_found: Plant::RestartReusesEpoch;
    a_recovery_without_quorum_is_found: Plant::RecoveryWithoutQuorum;
    reads_that_are_not_held_are_found: Plant::ReadsAreNotHeld;
}
