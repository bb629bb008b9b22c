//! Ending a connection from any thread.

use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::net::Shutdown;

/// Ends a connection, as long as it is open. (A second descriptor of its socket would do, but the limit of open files would be
/// enough for half as many clients.)
#[derive(Debug, Default)]
pub struct HangUp {
    socket: Mutex<Option<RawFd>>,
}

/// The connection is open as long as this is there.
#[derive(Debug)]
pub struct Open<'a>(&'a HangUp);

impl HangUp {
    /// The connection is open, with that descriptor.
    ///
    /// # Safety
    /// The descriptor stays open until what this returns is dropped.
    pub unsafe fn open(&self, socket: RawFd) -> Open<'_> {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
        Open(self)
    }

    /// Ends it: whoever reads finds its end, and whoever writes an error. Nothing where it is not open.
    pub fn hang_up(&self) {
        // Held meanwhile, so that the descriptor is not closed and given to another connection.
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = *socket {
            // SAFETY: it is open, as `open` was promised, until `Open` has had this lock.
            let socket = unsafe { BorrowedFd::borrow_raw(socket) };
            let _ = rustix::net::shutdown(socket.as_fd(), Shutdown::Both);
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        *self.0.socket.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_connection_is_ended_while_it_is_open_and_no_other_after_it() {
        let line = HangUp::default();
        line.hang_up();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (others, mut far) = UnixStream::pair().unwrap();
        // SAFETY: `ours` lives longer.
        let open = unsafe { line.open(ours.as_raw_fd()) };
        line.hang_up();
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "it has ended");
        drop(open);
        // SAFETY: `others` lives longer.
        drop(unsafe { line.open(others.as_raw_fd()) });
        line.hang_up();
        far.set_nonblocking(true).unwrap();
        assert_eq!(far.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it goes on");
    }
}
