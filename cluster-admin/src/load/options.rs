//! The options of `load` and what they mean together.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::value::bytes_min;

/// Digits that number a key.
const KEY_DIGITS: usize = 10;

/// `load`.
#[derive(Debug, Clone, Args)]
#[command(
    about = "Send requests at a fixed rate, measure latency and verify every value read",
    after_help = "\
Examples:
  cluster-admin load --fill --keys 1000000                          write a million keys
  cluster-admin load --rate 20000 --duration 1m --keys 1000000      then a minute of reads and writes
  cluster-admin load --verify --keys 1000000                        is every key there, and right?
  cluster-admin load --fill --rate 50000 --duration 30s --verify    all three
  cluster-admin load --rate 100000 --duration 10s --json > run.json

The rate is fixed: a server that falls behind does not slow the generator down, and latency is measured from
the time at which a request was meant to be sent, so waiting counts. Values carry their key, a version and a
checksum: one that is corrupt, of another key, or older than the last write acknowledged to this process is a
violation, and so is the absence of a key whose write was acknowledged. Let no two processes load the same
keys at the same time, or each finds the other's values wrong; give them different --key-prefix.

Exits with 3 on any violation, and on any failed request unless --allow-errors is given."
)]
pub struct LoadArgs {
    /// Requests per second, over all threads [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub rate: Option<u64>,

    /// How long to keep the rate: 30s, 5m, 1h [default: 10s; none with only --fill or --verify]
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

    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = parse_value_size)]
    pub value_size: usize,

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

/// Keeps the rate for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed {
    /// Requests per second, all threads together.
    pub rate: u64,
    /// For how long.
    pub duration: Duration,
}

impl LoadArgs {
    /// The timed part, if there is one: where its rate or duration is given, or nothing else is asked for.
    pub fn timed(&self) -> Option<Timed> {
        let asked = self.rate.is_some() || self.duration.is_some() || !(self.fill || self.verify);
        asked.then(|| Timed {
            rate: self.rate.unwrap_or(10_000),
            duration: self.duration.unwrap_or(Duration::from_secs(10)),
        })
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
        let key_bytes = self.key_prefix.len() + KEY_DIGITS;
        if key_bytes > 1024 {
            bail!("--key-prefix is {} bytes long; 1,000 are the most", self.key_prefix.len());
        }
        let least = bytes_min(key_bytes);
        if self.value_size < least {
            bail!(
                "--value-size {} is too small: a value carries its key, a version and a checksum, here {least} bytes",
                self.value_size
            );
        }
        Ok(())
    }

    /// Writes the name of key number `index` over `out`.
    pub fn key_name(&self, out: &mut Vec<u8>, index: u32) {
        out.clear();
        out.extend_from_slice(self.key_prefix.as_bytes());
        let start = out.len();
        out.resize(start + KEY_DIGITS, b'0');
        let mut rest = index;
        for digit in out[start..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
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

fn parse_value_size(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(size) if (1..=64 * 1024 * 1024).contains(&size) => Ok(size),
        _ => Err(format!("'{text}' is not a size in bytes between 1 and 67108864")),
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
            |line: &str| parse(line).unwrap().timed().map(|timed| (timed.rate, timed.duration.as_secs()));
        assert_eq!(timed(""), Some((10_000, 10)));
        assert_eq!(timed("--fill"), None);
        assert_eq!(timed("--verify"), None);
        assert_eq!(timed("--fill --duration 5s"), Some((10_000, 5)));
        assert_eq!(timed("--fill --verify --rate 7"), Some((7, 10)));
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
        assert!(parse("--rate 0").is_err() && parse("--keys 0").is_err() && parse("--value-size 0").is_err());
    }

    #[test]
    fn key_names_are_numbered_in_ten_digits() {
        let args = parse("--key-prefix k:").unwrap();
        let mut name = b"old".to_vec();
        args.key_name(&mut name, 1_234_567);
        assert_eq!(name, b"k:0001234567");
        args.key_name(&mut name, 0);
        assert_eq!(name, b"k:0000000000");
    }
}
