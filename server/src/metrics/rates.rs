//! Rates per second over the last samples.

use super::Totals;
use crate::Now;

/// Samples kept, as in Redis.
const SAMPLES: usize = 16;

/// Per second, over the samples kept.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Rates {
    /// Requests.
    pub commands: f64,
    /// Bytes from clients.
    pub net_in_bytes: f64,
    /// Bytes to clients.
    pub net_out_bytes: f64,
    /// Bytes from other nodes.
    pub peer_in_bytes: f64,
    /// Bytes to other nodes.
    pub peer_out_bytes: f64,
}

#[derive(Clone, Copy, Default)]
struct Sample {
    mono_ns: u64,
    values: [u64; 5],
}

/// Keeps the last samples of the totals.
#[derive(Default)]
pub(super) struct RateMeter {
    samples: [Sample; SAMPLES],
    taken: usize,
}

impl RateMeter {
    pub(super) fn sample(&mut self, now: Now, totals: &Totals) {
        let values = [
            totals.commands,
            totals.net_in_bytes,
            totals.net_out_bytes,
            totals.peer_in_bytes,
            totals.peer_out_bytes,
        ];
        self.samples[self.taken % SAMPLES] = Sample { mono_ns: now.mono_ns, values };
        self.taken += 1;
    }

    pub(super) fn rates(&self) -> Rates {
        if self.taken < 2 {
            return Rates::default();
        }
        let newest = self.samples[(self.taken - 1) % SAMPLES];
        let oldest = self.samples[if self.taken < SAMPLES { 0 } else { self.taken % SAMPLES }];
        let seconds = newest.mono_ns.saturating_sub(oldest.mono_ns).max(1) as f64 / 1e9;
        let [commands, net_in_bytes, net_out_bytes, peer_in_bytes, peer_out_bytes] =
            std::array::from_fn(|i| newest.values[i].wrapping_sub(oldest.values[i]) as f64 / seconds);
        Rates { commands, net_in_bytes, net_out_bytes, peer_in_bytes, peer_out_bytes }
    }
}
