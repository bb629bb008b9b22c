//! The options of `load` and what they mean together.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::distribution::Distribution;
use super::kinds::{Kind, Types};
use super::report::Workload;
use super::value::bytes_min;

/// Digits that number a key.
pub const KEY_DIGITS: usize = 10;

/// The longest value.
const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// `load`.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Send requests at a fixed rate or as fast as they are answered, measure latency and verify values",
    after_help = "\
Examples:
  cluster-admin load --fill --keys 1000000                          write a million keys
  cluster-admin load --rate 20000 --duration 1m --keys 1000000      then a minute of reads and writes
  cluster-admin load --verify --keys 1000000                        is every key there, and right?
  cluster-admin load --fill --rate 50000 --duration 30s --verify    all three
  cluster-admin load --rate 100000 --duration 10s --json > run.json
  cluster-admin load --closed --pipeline 16 --connections 50        how many requests per second can it do?
  cluster-admin load --fill --types all --distribution zipf         all types, some keys far more often
  cluster-admin load --types string:8,zset:2 --distribution hot-slot --value-size 40-2000

With --rate a server that falls behind does not slow the generator down, and latency is measured from the time
at which a request was meant to be sent, so waiting counts. With --closed a connection sends a request when one
is answered, which shows what the server can do but not how long clients wait who do not.

Values carry their key and a checksum, those of strings also a version: one that is corrupt, of another key, or
older than the last write acknowledged to this process is a violation, and so is the absence of a string whose
write was acknowledged. Let no two processes load the same keys at the same time, or each finds the other's
values wrong; give them different --key-prefix. One process writes a string only once at a time: where some keys
are asked for far more often than others, writes go to the next free one (not so with --unchecked).

Each key has one type, by its number. What is sent for it, reads before writes:
  string  GET | SET                                  hash  HGET | HSET
  list    LRANGE 0 9 | RPUSH and LPOP in balance     set   SISMEMBER | SADD and SREM in balance
  zset    ZSCORE and ZRANGE 0 9 | ZADD

Exits with 3 on any violation, and on any failed request unless --allow-errors is given."
)]
pub struct LoadArgs {
    /// Requests per second, over all threads [default: 10000]
    #[arg(long, value_name = "N", conflicts_with = "closed", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub rate: Option<u64>,

    /// Keep no rate: each connection has as many requests under way as --pipeline says
    #[arg(long)]
    pub closed: bool,

    /// Requests that each connection has under way, on average
    #[arg(long, value_name = "N", default_value_t = 1, requires = "closed", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub pipeline: u16,

    /// How long to go on: 30s, 5m, 1h [default: 10s; none with only --fill or --verify]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub duration: Option<Duration>,

    /// Connections to each node, over all threads
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub connections: u16,

    /// Threads that generate; one makes well over 100,000 requests per second
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,

    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub keys: u32,

    /// What each key begins with; its number in ten digits follows
    #[arg(long, value_name = "TEXT", default_value = "load:")]
    pub key_prefix: String,

    /// Types of the keys, with weights where they are not alike: hash,zset or string:8,list:2 or all
    #[arg(long, value_name = "TYPE[:WEIGHT],...", default_value = "string")]
    pub types: Types,

    /// Fields, elements or members of each collection that is filled, and different ones asked for
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub items: u32,

    /// How often each key is asked for: uniform, zipf or zipf:THETA (zipf is zipf:0.99), or hot-slot: all keys
    /// alike and in one slot, by one hash tag
    #[arg(long, value_name = "NAME", default_value = "uniform")]
    pub distribution: Distribution,

    /// Bytes of each value, or the least and the most of them: 100 or 40-2000
    #[arg(long, value_name = "BYTES[-BYTES]", default_value = "100")]
    pub value_size: ValueSize,

    /// Values carry no proof and reads are not checked: values of any size, and any key written at any time
    #[arg(long, conflicts_with = "verify")]
    pub unchecked: bool,

    /// Share of reads among the requests, 0 to 1 [default: 0.8]
    #[arg(long, value_name = "SHARE", conflicts_with = "mix", value_parser = parse_share)]
    pub get_ratio: Option<f64>,

    /// The same as two weights of reads and writes, for example 80:20
    #[arg(long, value_name = "READS:WRITES")]
    pub mix: Option<Mix>,

    /// First write every key once, as fast as possible
    #[arg(long)]
    pub fill: bool,

    /// In the end read every key and check it
    #[arg(long)]
    pub verify: bool,

    /// How long one request may take, its retries included
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    pub timeout: Duration,

    /// Requests that may be outstanding at once; beyond, the generator waits (and the wait is measured)
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_outstanding: u32,

    /// Chooses the keys and the order of reads and writes; the same seed chooses the same
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Failed requests alone do not make the exit code non-zero, for tests that kill nodes
    #[arg(long)]
    pub allow_errors: bool,

    /// The final report as one JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Weights of reads and writes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// Share of reads, 0 to 1.
    pub get_ratio: f64,
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not READS:WRITES, for example 80:20");
        let (reads, writes) = text.split_once(':').ok_or_else(wrong)?;
        let weight = |text: &str| text.parse::<u32>().map(f64::from).map_err(|_| wrong());
        let (reads, writes) = (weight(reads)?, weight(writes)?);
        if reads + writes == 0.0 { Err(wrong()) } else { Ok(Self { get_ratio: reads / (reads + writes) }) }
    }
}

/// Bytes of values: all of one size, or of any size between two, each as often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueSize {
    /// The least.
    pub min: usize,
    /// The most.
    pub max: usize,
}

impl FromStr for ValueSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not a size in bytes between 1 and {VALUE_BYTES_MAX}, or two of them: 40-2000"
            )
        };
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        let size = |text: &str| {
            text.parse().ok().filter(|size| (1..=VALUE_BYTES_MAX).contains(size)).ok_or_else(wrong)
        };
        let (min, max) = (size(min)?, size(max)?);
        if min <= max { Ok(Self { min, max }) } else { Err(wrong()) }
    }
}

impl fmt::Display for ValueSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{}-{}", self.min, self.max) }
    }
}

/// How requests follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// So many per second, all threads together.
    Rate(u64),
    /// So many under way per connection.
    Pipeline(u16),
}

/// Goes on for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed {
    /// How.
    pub pace: Pace,
    /// For how long.
    pub duration: Duration,
}

impl LoadArgs {
    /// The timed part, if there is one: where its rate or duration is given, or nothing else is asked for.
    pub fn timed(&self) -> Option<Timed> {
        let asked =
            self.rate.is_some() || self.closed || self.duration.is_some() || !(self.fill || self.verify);
        asked.then(|| Timed { pace: self.pace(), duration: self.duration.unwrap_or(Duration::from_secs(10)) })
    }

    fn pace(&self) -> Pace {
        if self.closed { Pace::Pipeline(self.pipeline) } else { Pace::Rate(self.rate.unwrap_or(10_000)) }
    }

    /// Connections that each thread makes to each node.
    pub fn connections_per_thread(&self) -> u16 {
        self.connections.div_ceil(self.threads)
    }

    /// Are all keys in one slot?
    pub fn is_hot_slot(&self) -> bool {
        self.distribution == Distribution::HotSlot
    }

    /// For the report.
    pub fn workload(&self) -> Workload {
        Workload {
            keys: self.keys,
            types: self.types.to_string(),
            items: self.items,
            distribution: self.distribution.to_string(),
            value_size: self.value_size.to_string(),
            reads: self.share_of_reads(),
            connections: self.connections,
            threads: self.threads,
            pipeline: self.closed.then_some(self.pipeline),
        }
    }

    /// Share of reads.
    pub fn share_of_reads(&self) -> f64 {
        self.mix.map(|mix| mix.get_ratio).or(self.get_ratio).unwrap_or(0.8)
    }

    /// Checks what clap cannot.
    ///
    /// # Errors
    /// One line that names the option.
    pub fn check(&self) -> Result<()> {
        if self.key_prefix.len() > 1000 {
            bail!("--key-prefix is {} bytes long; 1,000 are the most", self.key_prefix.len());
        }
        if self.is_hot_slot() && (self.key_prefix.is_empty() || self.key_prefix.contains(['{', '}'])) {
            bail!("with --distribution hot-slot --key-prefix is the hash tag: not empty, and without braces");
        }
        let braces = if self.is_hot_slot() { 2 } else { 0 };
        let infix = self.types.kinds().map(Kind::infix).map(str::len).max().unwrap_or(0);
        let least = bytes_min(self.key_prefix.len() + braces + infix + KEY_DIGITS);
        if self.value_size.min < least && !self.unchecked {
            bail!(
                "--value-size {} is too small: a value carries its key, a version and a checksum, here {least} bytes; \
                 --unchecked leaves them out",
                self.value_size
            );
        }
        Ok(())
    }
}

/// `500ms`, `30s`, `5m`, `1h`; a bare number is seconds.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a time, for example 30s, 5m or 500ms");
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    // A year is more than anyone means, and keeps later sums far from overflow.
    if !(0.001..=31_536_000.0).contains(&seconds) {
        return Err(format!("'{text}' is out of range: 1ms to 8760h"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is not a share between 0 and 1")),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: LoadArgs,
    }

    /// The options of such a command line.
    pub fn parse(line: &str) -> Result<LoadArgs, String> {
        let words = std::iter::once("load").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_timed_part_is_there_when_asked_for_or_when_nothing_else_is() {
        let timed =
            |line: &str| parse(line).unwrap().timed().map(|timed| (timed.pace, timed.duration.as_secs()));
        assert_eq!(timed(""), Some((Pace::Rate(10_000), 10)));
        assert_eq!(timed("--fill"), None);
        assert_eq!(timed("--verify"), None);
        assert_eq!(timed("--fill --duration 5s"), Some((Pace::Rate(10_000), 5)));
        assert_eq!(timed("--fill --verify --rate 7"), Some((Pace::Rate(7), 10)));
        assert_eq!(timed("--fill --closed"), Some((Pace::Pipeline(1), 10)));
        assert_eq!(timed("--closed --pipeline 16 --duration 1m"), Some((Pace::Pipeline(16), 60)));
        for line in ["--closed --rate 5", "--pipeline 5", "--closed --pipeline 0", "--unchecked --verify"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, ms) in [("500ms", 500), ("2", 2000), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5x", "-1s", "0s", "1.2.3", "9999999h"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_mix_is_given_in_one_of_two_ways() {
        assert_eq!(parse("").unwrap().share_of_reads(), 0.8);
        assert_eq!(parse("--get-ratio 0.25").unwrap().share_of_reads(), 0.25);
        assert_eq!(parse("--mix 1:3").unwrap().share_of_reads(), 0.25);
        for line in
            ["--mix 1:3 --get-ratio 0.5", "--mix 0:0", "--mix 5", "--get-ratio 1.5", "--get-ratio NaN"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_value_must_have_room_for_its_proof() {
        assert!(parse("--value-size 35").unwrap().check().is_ok());
        let error = parse("--value-size 34").unwrap().check().unwrap_err().to_string();
        assert!(error.contains("here 35 bytes"), "{error}");
        let of_types = |line: &str| parse(line).unwrap().check().is_ok();
        assert!(of_types("--value-size 40-50 --types all") && !of_types("--value-size 39-50 --types all"));
        assert!(of_types("--value-size 1-50 --types all --unchecked"));
        assert!(parse("--rate 0").is_err() && parse("--keys 0").is_err() && parse("--value-size 0").is_err());
    }

    #[test]
    fn sizes_are_one_or_a_range() {
        for (text, min, max) in [("1", 1, 1), ("40-2000", 40, 2000), ("7-7", 7, 7)] {
            assert_eq!(text.parse(), Ok(ValueSize { min, max }));
        }
        for text in ["0", "", "-", "5-", "-5", "9-5", "67108865", "1-2-3"] {
            let error = text.parse::<ValueSize>().unwrap_err();
            assert!(error.contains("is not a size"), "{error}");
        }
    }

    #[test]
    fn a_hot_slot_needs_a_hash_tag() {
        let fault = |line: &str| parse(line).unwrap().check().unwrap_err().to_string();
        assert!(fault("--distribution hot-slot --key-prefix {a}").contains("without braces"));
        assert!(parse("--distribution hot-slot").unwrap().check().is_ok());
    }
}
