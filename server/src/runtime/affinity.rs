//! Which processors this process may use, and binding threads to them.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A processor, by the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(usize);

impl CpuId {
    /// The processor with this number, if it is below the kernel interface's bound of [`CpuSet::MAX_CPU`].
    pub fn new(raw: usize) -> Option<Self> {
        (raw < CpuSet::MAX_CPU).then_some(Self(raw))
    }

    /// The kernel's number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Whether shard threads are bound to processors: `--pin yes|no`.
///
/// `No` is for several nodes on one machine, which would otherwise all crowd its first processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Shard `i` runs on the `i`-th allowed processor.
    #[default]
    Yes,
    /// The kernel places the threads.
    No,
}

impl Pinning {
    /// The processor of each of `shards` shards; `None` where the kernel places them. Call it on the main thread before
    /// any shard starts, as a thread that is bound already sees only its own processor.
    ///
    /// More shards than processors share them in turn. Errors: those of `sched_getaffinity(2)`.
    pub fn assign(self, shards: usize) -> io::Result<Vec<Option<CpuId>>> {
        match self {
            Self::No => Ok(vec![None; shards]),
            Self::Yes => {
                let cpus = allowed_cpus()?;
                assert!(!cpus.is_empty(), "a running thread is allowed on some processor");
                Ok((0..shards).map(|shard| Some(cpus[shard % cpus.len()])).collect())
            }
        }
    }
}

/// The processors that the calling thread may run on, ascending. Errors: those of `sched_getaffinity(2)`.
pub fn allowed_cpus() -> io::Result<Vec<CpuId>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).map(CpuId).collect())
}

/// Binds the calling thread to one processor. Errors: those of `sched_setaffinity(2)`, such as a processor outside the
/// control group's set.
pub fn bind_thread(cpu: CpuId) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu.0);
    sched_setaffinity(None, &set).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot bind a thread to processor {cpu}: {error}"))
    })
}

/// How many shards a node has unless told: one per processor that it really gets, judged by the affinity mask and the
/// control group's quota (a container limited to 2.5 processors of 64 gets 2), at least one.
pub fn default_shards() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_spread_over_the_allowed_processors_in_turn() {
        let cpus = allowed_cpus().unwrap();
        let assigned = Pinning::Yes.assign(cpus.len() + 1).unwrap();
        let expected: Vec<_> = cpus.iter().chain(&cpus[..1]).copied().map(Some).collect();
        assert_eq!(assigned, expected);
        assert_eq!(Pinning::No.assign(2).unwrap(), [None, None]);
    }

    #[test]
    fn a_bound_thread_is_allowed_on_its_processor_only() {
        let cpu = *allowed_cpus().unwrap().last().unwrap();
        let seen = std::thread::spawn(move || {
            bind_thread(cpu).unwrap();
            allowed_cpus().unwrap()
        });
        assert_eq!(seen.join().unwrap(), [cpu]);
    }

    #[test]
    fn the_default_number_of_shards_is_within_the_allowed_processors() {
        let shards = default_shards();
        assert!((1..=allowed_cpus().unwrap().len()).contains(&shards), "{shards}");
    }
}
