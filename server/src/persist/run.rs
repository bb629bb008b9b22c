//! What the last process left behind, and what this one may therefore claim of its copies. Pure.
//!
//! A copy is *whole* if it holds everything its node ever acknowledged. Only whole copies count for a seal; the
//! others are *prefixes* until they have caught up. See "Incarnations" in `docs/replication.md`.

use carousel_protocol::Incarnation;

use super::facts::Facts;
use super::recover::{LastEnd, LogMarks};

/// How a process stands, kept in the file `run` of the data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunRecord {
    /// Its number from the config group; zero on a lone node.
    pub incarnation: Incarnation,
    /// The kernel it runs under; `None` where that cannot be known.
    pub boot_id: Option<String>,
    /// Whether it keeps a log.
    pub is_logged: bool,
    /// Whether all its copies hold all that the node acknowledged.
    pub is_whole: bool,
    /// How far it came.
    pub state: RunState,
}

/// Whether a process ended as it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// It runs, or died.
    Running,
    /// It synced its logs and stopped.
    Stopped,
    /// A sync failed: what it acknowledged may not be on disk, even though the system goes on.
    SyncFailed,
}

impl RunState {
    const ALL: [(RunState, &str); 3] =
        [(Self::Running, "running"), (Self::Stopped, "stopped"), (Self::SyncFailed, "sync-failed")];
}

impl RunRecord {
    pub(super) fn encode(&self) -> String {
        let (_, state) =
            RunState::ALL[RunState::ALL.iter().position(|(state, _)| *state == self.state).unwrap()];
        Facts::default()
            .with("incarnation", self.incarnation)
            .with("boot", self.boot_id.as_deref().unwrap_or_default())
            .with("logged", self.is_logged)
            .with("whole", self.is_whole)
            .with("state", state)
            .encode()
    }

    pub(super) fn decode(content: &[u8]) -> Option<Self> {
        let facts = Facts::decode(content)?;
        let state = facts.get("state")?;
        Some(Self {
            incarnation: Incarnation(facts.parse("incarnation")?),
            boot_id: Some(facts.get("boot")?.to_owned()).filter(|id| !id.is_empty()),
            is_logged: facts.parse("logged")?,
            is_whole: facts.parse("whole")?,
            state: RunState::ALL.iter().find(|(_, name)| *name == state)?.0,
        })
    }

    /// Whether the system that process ran under still runs, given the present boot id.
    pub fn last_end(&self, boot_id: Option<&str>) -> LastEnd {
        match (&self.boot_id, boot_id) {
            (Some(then), Some(now)) if then == now => LastEnd::SameBoot,
            _ => LastEnd::OtherBoot,
        }
    }
}

/// Why the copies of this start are prefixes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotWhole {
    /// There is no earlier run, or its record cannot be read.
    #[error("nothing is known of an earlier run")]
    Unknown,
    /// It kept no log.
    #[error("the last run kept no log (appendonly no)")]
    NotLogged,
    /// It was not whole itself when it ended.
    #[error("the last run had not caught up yet")]
    WasNotWhole,
    /// Its disk failed.
    #[error("the last run failed to sync its log")]
    SyncFailed,
    /// The power may have failed after writes that were not synced.
    #[error("the machine was restarted and the last run did not stop cleanly")]
    Rebooted,
    /// The logs are older than the run: a backup, or an old disk.
    #[error("the logs do not hold the last run's start: they were restored from an older state")]
    OldLogs,
    /// The whole directory is older than what the config group knows.
    #[error(
        "the last run here was incarnation {here}, but incarnation {group} ran since: an older state was restored"
    )]
    OldDirectory {
        /// The last that ran on this directory.
        here: Incarnation,
        /// The last that the config group gave out.
        group: Incarnation,
    },
}

/// Whether the copies recovered from the logs are whole.
///
/// `previous` is the run before, `last_end` how it may have ended, `logs` what [all logs agree
/// on](LogMarks::agreed), and `last_incarnation` the one that the config group gave this node before the present
/// start: zero where it never did; `last_registration` is the last one that a process on this directory has tried to get
/// before the present start.
pub fn wholeness(
    previous: Option<&RunRecord>,
    last_end: LastEnd,
    logs: LogMarks,
    last_incarnation: Incarnation,
    last_registration: Incarnation,
) -> Result<(), NotWhole> {
    let previous = previous.ok_or(NotWhole::Unknown)?;
    if previous.state == RunState::SyncFailed {
        return Err(NotWhole::SyncFailed);
    }
    if !previous.is_logged {
        return Err(NotWhole::NotLogged);
    }
    if !previous.is_whole {
        return Err(NotWhole::WasNotWhole);
    }
    // Whoever ran last has noted that here before it registered; else it ran on another copy of this directory.
    let here = previous.incarnation.max(last_registration);
    if here < last_incarnation {
        return Err(NotWhole::OldDirectory { here, group: last_incarnation });
    }
    // A process writes its start to the logs before it records its run, and acknowledges only after that. So the
    // logs are never behind, but may be ahead of a process that died in between.
    if logs.started < Some(previous.incarnation) {
        return Err(NotWhole::OldLogs);
    }
    if last_end == LastEnd::SameBoot {
        return Ok(());
    }
    if previous.state != RunState::Stopped {
        return Err(NotWhole::Rebooted);
    }
    if logs.stopped_cleanly != Some(previous.incarnation) {
        return Err(NotWhole::OldLogs);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Incarnation = Incarnation(5);

    fn record(state: RunState) -> RunRecord {
        RunRecord { incarnation: FIVE, boot_id: Some("b".into()), is_logged: true, is_whole: true, state }
    }

    fn marks(started: u64, stopped: Option<u64>) -> LogMarks {
        LogMarks { started: Some(Incarnation(started)), stopped_cleanly: stopped.map(Incarnation) }
    }

    #[test]
    fn a_run_record_reads_back() {
        for (state, _) in RunState::ALL {
            for boot_id in [None, Some("1b4e28ba-2fa1".to_owned())] {
                let record = RunRecord { boot_id, is_logged: false, ..record(state) };
                assert_eq!(RunRecord::decode(record.encode().as_bytes()), Some(record));
            }
        }
        assert_eq!(RunRecord::decode(b"state running\n"), None);
    }

    #[test]
    fn only_the_same_known_boot_id_is_the_same_boot() {
        let mut run = record(RunState::Running);
        assert_eq!(run.last_end(Some("b")), LastEnd::SameBoot);
        assert_eq!(run.last_end(Some("c")), LastEnd::OtherBoot);
        assert_eq!(run.last_end(None), LastEnd::OtherBoot);
        run.boot_id = None;
        assert_eq!(run.last_end(None), LastEnd::OtherBoot);
    }

    #[test]
    fn a_killed_process_leaves_whole_copies_as_long_as_the_system_runs() {
        let run = record(RunState::Running);
        let whole = |end, marks, group, tried| {
            wholeness(Some(&run), end, marks, Incarnation(group), Incarnation(tried))
        };
        assert_eq!(whole(LastEnd::SameBoot, marks(5, None), 5, 5), Ok(()));
        // It died after writing its start and before recording its run, or after registering and before either, or
        // before it was registered.
        assert_eq!(whole(LastEnd::SameBoot, marks(6, None), 6, 6), Ok(()));
        assert_eq!(whole(LastEnd::SameBoot, marks(5, None), 6, 6), Ok(()));
        assert_eq!(whole(LastEnd::SameBoot, marks(5, None), 5, 6), Ok(()));
        assert_eq!(whole(LastEnd::OtherBoot, marks(5, None), 5, 5), Err(NotWhole::Rebooted));
    }

    #[test]
    fn a_directory_restored_from_a_copy_is_known_even_if_the_system_never_stopped() {
        let run = record(RunState::Running);
        let group = Incarnation(6);
        let found = wholeness(Some(&run), LastEnd::SameBoot, marks(5, None), group, FIVE);
        assert_eq!(found, Err(NotWhole::OldDirectory { here: FIVE, group }));
    }

    #[test]
    fn a_clean_stop_leaves_whole_copies_if_directory_logs_and_group_agree() {
        let run = record(RunState::Stopped);
        let whole = |marks, group| wholeness(Some(&run), LastEnd::OtherBoot, marks, Incarnation(group), FIVE);
        assert_eq!(whole(marks(5, Some(5)), 5), Ok(()));
        assert_eq!(whole(marks(5, None), 5), Err(NotWhole::OldLogs));
        assert_eq!(whole(marks(4, Some(4)), 5), Err(NotWhole::OldLogs));
        assert_eq!(whole(marks(6, None), 5), Err(NotWhole::OldLogs));
        let group = Incarnation(9);
        assert_eq!(whole(marks(5, Some(5)), 9), Err(NotWhole::OldDirectory { here: FIVE, group }));
    }

    #[test]
    fn what_was_lost_before_is_not_found_again_by_a_restart() {
        let whole = |run: &RunRecord| wholeness(Some(run), LastEnd::SameBoot, marks(5, Some(5)), FIVE, FIVE);
        assert_eq!(wholeness(None, LastEnd::SameBoot, marks(5, None), FIVE, FIVE), Err(NotWhole::Unknown));
        assert_eq!(whole(&record(RunState::SyncFailed)), Err(NotWhole::SyncFailed));
        let run = record(RunState::Stopped);
        assert_eq!(whole(&RunRecord { is_whole: false, ..run.clone() }), Err(NotWhole::WasNotWhole));
        assert_eq!(whole(&RunRecord { is_logged: false, ..run.clone() }), Err(NotWhole::NotLogged));
        assert_eq!(
            wholeness(Some(&run), LastEnd::SameBoot, marks(4, None), FIVE, FIVE),
            Err(NotWhole::OldLogs)
        );
    }
}
