//! How long commands take: counts in buckets that grow with the value.

use super::Counter;

/// Bits of a value that its bucket keeps: each power of two has so many buckets, so that a value is known to within 6 %.
const SUB_BITS: u32 = 4;
const SUB: usize = 1 << SUB_BITS;
/// Values below this, in ns, share the first buckets.
const LEAST_BITS: u32 = 6;
/// Values from 2^36 ns, about a minute, share the last bucket.
const MOST_BITS: u32 = 36;
const BUCKETS: usize = (MOST_BITS - LEAST_BITS) as usize * SUB + 1;

/// Counts of times, in ns; written by one thread, read by any.
pub struct Histogram {
    buckets: [Counter; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Counter::default()) }
    }
}

fn bucket_of(ns: u64) -> usize {
    let ns = ns.max(1 << LEAST_BITS);
    let bits = ns.ilog2();
    if bits >= MOST_BITS {
        return BUCKETS - 1;
    }
    let sub = (ns >> (bits - SUB_BITS)) as usize & (SUB - 1);
    (bits - LEAST_BITS) as usize * SUB + sub
}

/// The least value of the bucket after this one.
fn end_of(bucket: usize) -> u64 {
    let (bits, sub) = (LEAST_BITS + (bucket / SUB) as u32, bucket % SUB);
    ((SUB + sub + 1) as u64) << (bits - SUB_BITS)
}

impl Histogram {
    /// Counts a time so often. Only its one writer may call it.
    #[inline]
    pub fn record(&self, ns: u64, count: u64) {
        self.buckets[bucket_of(ns)].add(count);
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Times {
        Times { counts: self.buckets.iter().map(Counter::get).collect() }
    }
}

/// Counts as read from one or more [`Histogram`]s.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// By bucket; empty for none.
    counts: Vec<u64>,
}

impl Times {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |i: usize| earlier.counts.get(i).copied().unwrap_or(0);
        Self {
            counts: self.counts.iter().enumerate().map(|(i, count)| count.wrapping_sub(before(i))).collect(),
        }
    }

    /// How many times.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time in ns that so many per cent of the calls did not exceed; to within 6 %.
    pub fn percentile(&self, percent: f64) -> u64 {
        let rank = ((percent / 100.0 * self.total() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return end_of(bucket) - 1;
            }
        }
        0
    }

    /// The calls that took at most 1, 2, 4, ... µs, as far as each such bound adds any.
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let (mut rows, mut seen, mut bucket) = (Vec::new(), 0, 0);
        for exponent in 0..=26 {
            let before = seen;
            // Whole buckets: 1024 ns count as a µs.
            while bucket < self.counts.len() && end_of(bucket) <= 1 << (exponent + 10) {
                seen += self.counts[bucket];
                bucket += 1;
            }
            if exponent == 26 {
                seen += self.counts.iter().skip(bucket).sum::<u64>();
            }
            if seen > before {
                rows.push((1 << exponent, seen));
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_bucket_that_is_close_to_it() {
        for shift in 0..64 {
            for add in [0, 1, 3] {
                let ns = (1u64 << shift).saturating_add(add << shift >> 2);
                let bucket = bucket_of(ns);
                if (1 << LEAST_BITS..1 << MOST_BITS).contains(&ns) {
                    let end = end_of(bucket);
                    assert!(ns < end && end - ns <= (ns >> SUB_BITS) + 1, "{ns} ends at {end}");
                } else {
                    assert!(bucket == BUCKETS - 1 || bucket == 0, "{ns}");
                }
            }
        }
        assert!((1..BUCKETS - 1).all(|bucket| bucket_of(end_of(bucket) - 1) == bucket));
        assert!((0..BUCKETS - 1).all(|bucket| bucket_of(end_of(bucket)) == bucket + 1));
    }

    #[test]
    fn percentiles_and_sums_are_of_all_that_was_counted() {
        let histogram = Histogram::default();
        (1..=100).for_each(|us| histogram.record(us * 1000, 1));
        let mut times = histogram.counts();
        assert_eq!(times.total(), 100);
        for (percent, us) in [(50.0, 50.0), (99.0, 99.0), (100.0, 100.0), (0.0, 1.0)] {
            let found = times.percentile(percent) as f64 / 1000.0;
            assert!((found - us).abs() <= us * 0.07, "{percent} % is {found}, not {us}");
        }
        let rows = times.cumulative_us();
        assert_eq!((rows[0], *rows.last().unwrap()), ((1, 1), (128, 100)));
        times.add(&times.clone());
        assert_eq!(times.total(), 200);
        assert_eq!(times.since(&histogram.counts()).total(), 100);
        assert_eq!((Times::default().percentile(50.0), Times::default().cumulative_us()), (0, vec![]));
    }
}
