//! Tasks that make one request after the other and wait, idle, in between.
//!
//! A task per request would cost an allocation, and its entry in the runtime's list of tasks, each time. The lane
//! that became idle last is used first, as its memory is still in the processor's cache.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};

use super::kinds::Op;
use super::request::Extent;
use super::worker::{Expected, Worker};

/// A request to make.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// What to send.
    pub op: Op,
    /// Number of the key.
    pub key: u32,
    /// Which of its items.
    pub extent: Extent,
    /// When it is meant to be sent.
    pub intended: Instant,
}

/// All lanes of one thread. Dropping it ends them.
#[derive(Debug)]
pub struct Lanes {
    worker: Arc<Worker>,
    most: usize,
    tasks: JoinSet<()>,
    idle: Arc<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// A lane became idle. Only the one dispatcher waits for it.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Lane {
    job: Mutex<Option<Job>>,
    start: Notify,
}

impl Lanes {
    /// No lane yet; at most `most`, which is how many requests may be under way.
    pub fn new(worker: Arc<Worker>, most: usize) -> Self {
        Self { worker, most, tasks: JoinSet::new(), idle: Arc::default() }
    }

    /// Starts `job`; waits first where as many requests as allowed are under way.
    pub async fn start(&mut self, job: Job) {
        loop {
            if let Some(lane) = self.idle.lock().pop() {
                *lock(&lane.job) = Some(job);
                lane.start.notify_one();
                return;
            }
            if self.tasks.len() < self.most {
                self.open(job);
                return;
            }
            self.idle.freed.notified().await;
        }
    }

    fn open(&mut self, job: Job) {
        let lane = Arc::new(Lane { job: Mutex::new(Some(job)), start: Notify::new() });
        let (worker, idle) = (self.worker.clone(), self.idle.clone());
        self.tasks.spawn(async move {
            let mut buffers = worker.buffers();
            loop {
                let job = lock(&lane.job).take();
                if let Some(job) = job {
                    worker.request(job, Expected::Maybe, &mut buffers).await;
                    idle.lock().push(lane.clone());
                    idle.freed.notify_one();
                }
                lane.start.notified().await;
            }
        });
    }

    /// Waits until no request is under way.
    ///
    /// # Errors
    /// Where a lane ended, which only a panic does: its request would be waited for in vain.
    pub async fn finish(&mut self) -> Result<(), JoinError> {
        while self.idle.lock().len() < self.tasks.len() {
            tokio::select! {
                () = self.idle.freed.notified() => {}
                Some(ended) = self.tasks.join_next() => ended?,
            }
        }
        Ok(())
    }
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        lock(&self.lanes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
