//! Nodes of a playground must not outlive it, not even when it is killed with `kill -9`.

use tokio::process::Command;

/// Asks the kernel to send SIGTERM to the process that `command` starts when the thread that starts it ends.
///
/// The playground starts its nodes on the main thread, so that is when the playground ends.
pub fn ends_with_this_thread(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: the closure runs in the child between fork and exec, where only async-signal-safe calls are
    // allowed. It makes one system call (prctl) without allocating, locking or touching shared memory; turning
    // its error into an `io::Error` keeps the number and does not allocate either.
    unsafe {
        command.pre_exec(|| {
            use rustix::process::{Signal, set_parent_process_death_signal};
            set_parent_process_death_signal(Some(Signal::TERM)).map_err(Into::into)
        });
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}
