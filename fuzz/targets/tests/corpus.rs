//! Plays the corpora of `fuzz/corpus`, and inputs made from them, on any toolchain.
//!
//! `FUZZ_SECONDS` says how long each target gets, `FUZZ_SEED` which inputs. An input depends on the seed and its number alone,
//! and a failure prints how to run it again.

mod memory;
mod mutate;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use carousel_fuzz_targets::{TARGETS, Target};
use mutate::Mutator;

/// Longest time that an input may take, on a slow machine and not optimised.
const INPUT_TIME_MAX: Duration = Duration::from_secs(20);

/// The most memory that an input may take: all of them are short.
const INPUT_BYTES_MAX: usize = 256 << 20;

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

/// Runs one input; `what` says how to run it again.
fn run(target: &Target, input: &[u8], what: &dyn Fn() -> String) {
    let started = Instant::now();
    let before = memory::begin();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let (took, bytes) = (started.elapsed(), memory::peak_above(before));
    let shown = || format!("{}: {}\ninput: {}", target.name, what(), input.escape_ascii());
    assert!(outcome.is_ok(), "{}", shown());
    assert!(took <= INPUT_TIME_MAX, "took {took:?}: {}", shown());
    assert!(bytes <= INPUT_BYTES_MAX, "took {bytes} bytes: {}", shown());
}

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).expect("a readable file")).collect();
    for (path, input) in files.iter().zip(&corpus) {
        run(target, input, &|| path.display().to_string());
    }
    let (seed, first) = (number("FUZZ_SEED", 1), number("FUZZ_FROM", 0));
    let time = Duration::from_secs(number("FUZZ_SECONDS", 1));
    println!("{name}: {} inputs of the corpus, then {time:?} of others with FUZZ_SEED={seed}", corpus.len());
    let (mutator, started) = (Mutator::new(&corpus, target.words), Instant::now());
    let mut number = first;
    while number == first || started.elapsed() < time {
        let input = mutator.input(seed, number);
        let again = || {
            format!(
                "FUZZ_SEED={seed} FUZZ_FROM={number} FUZZ_SECONDS=0 cargo test -p carousel-fuzz-targets {name}"
            )
        };
        run(target, &input, &again);
        number += 1;
    }
    println!("{name}: {} inputs", number - first);
}

#[test]
fn requests() {
    fuzz("requests");
}

#[test]
fn records() {
    fuzz("records");
}

#[test]
fn restore() {
    fuzz("restore");
}

#[test]
fn commands() {
    fuzz("commands");
}

#[test]
fn settings() {
    fuzz("settings");
}

#[test]
fn every_target_has_a_test_here() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, ["requests", "records", "restore", "commands", "settings"]);
}
