//! Beginning a process' part in the cluster: what it may claim of its copies is settled, and noted on disk, before
//! it acknowledges anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carousel_protocol::Incarnation;
use futures::channel::oneshot;

use crate::persist::{DataDir, DiskStorage, LogMarks, wholeness};
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// What the start found on disk.
pub struct FoundOnDisk {
    /// The data directory, locked against other processes.
    pub dir: Arc<Mutex<DataDir<DiskStorage>>>,
    /// What all logs agree on.
    pub marks: LogMarks,
    /// This process keeps a log.
    pub is_logged: bool,
    /// The logs had copies of a cluster's slots.
    pub holds_copies: bool,
}

impl FoundOnDisk {
    /// The data directory, for something short.
    pub fn dir(&self) -> MutexGuard<'_, DataDir<DiskStorage>> {
        self.dir.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins as `incarnation`. `was_member`: the process started as a member, so what its logs had matters; else its
    /// copies all begin with this process and lack nothing. Returns whether they are whole.
    ///
    /// # Errors
    /// One line for the operator: the disk does not take the marks.
    pub(super) async fn begin(
        &mut self,
        shards: &[Sender<ToShard>],
        incarnation: Incarnation,
        was_member: bool,
    ) -> Result<bool, String> {
        // A member whose memory of the cluster is gone did not start as one, but the group remembers that it ran before.
        let begins_empty = !was_member && incarnation <= Incarnation(1);
        let whole = begins_empty
            || {
                let last = Incarnation(incarnation.0.saturating_sub(1));
                let dir = self.dir();
                let found =
                    wholeness(dir.previous_run(), dir.last_end(), self.marks, last, dir.last_registration());
                if let Err(why) = &found {
                    tracing::warn!(%why, "the copies of this start may lack acknowledged writes until they have caught up");
                }
                found.is_ok()
            };
        let mut noted = Vec::with_capacity(shards.len());
        for shard in shards {
            let (reply, done) = oneshot::channel();
            shard.send(ToShard::Begin { incarnation, whole, reply });
            noted.push(done);
        }
        for done in noted {
            done.await.map_err(|_| "a shard has stopped".to_string())??;
        }
        self.dir().begin_run(incarnation, self.is_logged, whole).map_err(|error| error.to_string())?;
        Ok(whole)
    }

    /// Records that the disk does not keep what it is given, so that no later start believes it.
    pub(super) fn note_sync_failure(&mut self) {
        if let Err(error) = self.dir().note_sync_failure() {
            tracing::error!(%error, "not even the failure of a log could be noted on disk");
        }
    }

    /// Records that every copy has caught up.
    pub(super) fn note_whole(&mut self) {
        if let Err(error) = self.dir().note_whole() {
            tracing::warn!(%error, "the next start will have to catch up again");
        }
    }
}
