//! Threads beside those of the shards, for what blocks or takes long.

use std::io;
use std::thread::{Builder, JoinHandle};

use rustix::process::{getpid, setpriority_process};
use rustix::thread::{gettid, sched_getaffinity, sched_setaffinity};

/// How a thread shares a processor with a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// As an equal: clients wait for what it does.
    Equal,
    /// It gives way: hardly anybody waits for it.
    GivesWay,
}

/// The `nice` of threads that give way: a quarter of a processor where a shard wants all of it, and as much as there is where
/// none does. A higher one would have a checkpoint, and whoever waits for one (SAVE, a stop, a sync that it has begun), starve.
const GIVES_WAY_NICE: i32 = 5;

/// Starts a thread that may run wherever the main thread may. (It would inherit the one processor that a shard is bound to.)
///
/// # Errors
/// Those of starting a thread. Where it cannot be placed, it runs as it is.
pub fn spawn(name: String, share: Share, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name).spawn(move || {
        let _ = sched_getaffinity(Some(getpid())).and_then(|all| sched_setaffinity(None, &all));
        if share == Share::GivesWay {
            // On Linux a thread has a nice of its own.
            let _ = setpriority_process(Some(gettid()), GIVES_WAY_NICE);
        }
        work();
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;
    use crate::runtime::affinity::{allowed_cpus, bind_thread};

    #[test]
    fn a_thread_started_by_a_bound_one_is_not_bound_and_gives_way_if_it_is_to() {
        for (share, nice) in [(Share::Equal, None), (Share::GivesWay, Some(GIVES_WAY_NICE))] {
            std::thread::spawn(move || {
                let everywhere = allowed_cpus().unwrap();
                let nice = nice.unwrap_or_else(|| getpriority_process(Some(gettid())).unwrap());
                bind_thread(everywhere[0]).unwrap();
                let seen = spawn("background".into(), share, move || {
                    assert_eq!(allowed_cpus().unwrap(), everywhere);
                    assert_eq!(getpriority_process(Some(gettid())).unwrap(), nice);
                });
                seen.unwrap().join().unwrap();
            })
            .join()
            .unwrap();
        }
    }
}
