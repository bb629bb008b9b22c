//! What happened, as a hash that two runs of a seed must share, and as lines when asked for.

use std::fmt::Arguments;

/// See the module.
pub struct Trace {
    hash: u64,
    print: bool,
}

impl Trace {
    /// An empty trace; `print` writes every line to stderr.
    pub fn new(print: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, print }
    }

    /// Adds numbers that the run must repeat.
    pub fn fold(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.hash = (self.hash ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    /// Adds bytes that the run must repeat.
    pub fn fold_bytes(&mut self, bytes: &[u8]) {
        self.fold(&[bytes.len() as u64]);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(&[u64::from_le_bytes(word)]);
        }
    }

    /// A line for people.
    pub fn line(&self, now_ns: u64, text: Arguments<'_>) {
        if self.print {
            eprintln!("{:>10.3} ms  {text}", now_ns as f64 / 1e6);
        }
    }

    /// Are lines printed?
    pub fn is_printed(&self) -> bool {
        self.print
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}
