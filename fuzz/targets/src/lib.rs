//! What is fuzzed: functions that take any bytes, and panic where something is not as it must be.
//!
//! `fuzz/fuzz_targets` hands them to libFuzzer, `tests/corpus.rs` plays the corpora, and mutates them, on a stable toolchain.

mod commands;
mod records;
mod requests;
mod restore;
mod settings;
mod shard;

pub use commands::commands;
pub use records::records;
pub use requests::requests;
pub use restore::restore;
pub use settings::settings;

/// One thing that is fuzzed.
#[derive(Clone, Copy)]
pub struct Target {
    /// Names it, and the folder of its corpus.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Pieces of input that mean something to it.
    pub words: &'static [&'static [u8]],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "requests", run: requests, words: requests::WORDS },
    Target { name: "records", run: records, words: records::WORDS },
    Target { name: "restore", run: restore, words: restore::WORDS },
    Target { name: "commands", run: commands, words: commands::WORDS },
    Target { name: "settings", run: settings, words: settings::WORDS },
];
