//! An interrupted test run leaves no server behind.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The process that `command` starts gets SIGKILL when the thread that starts it ends.
pub(crate) fn dies_with_this_thread(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: the closure runs in the child between fork and exec, where only async-signal-safe calls are allowed. It
    // makes one system call (prctl) without allocating, locking or touching shared memory; turning its error into an
    // `io::Error` keeps the number and does not allocate either.
    unsafe {
        command.pre_exec(|| {
            use rustix::process::{Signal, set_parent_process_death_signal};
            set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into)
        });
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}
