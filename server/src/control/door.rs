//! Sockets that clients come by: TCP, and a Unix socket.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use crate::metrics::ClientAddr;
use crate::settings::Settings;

/// A listening socket.
pub enum Door {
    /// A port of an address.
    Tcp(std::net::TcpListener),
    /// A path.
    Unix(UnixDoor),
}

/// A Unix socket; its file goes when this is dropped.
pub struct UnixDoor {
    listener: UnixListener,
    path: Arc<str>,
}

impl UnixDoor {
    /// Opens the socket that the settings name, if they name one. What a process that is gone has left at the path is
    /// replaced.
    ///
    /// # Errors
    /// One line for the operator.
    pub fn open(settings: &Settings) -> Result<Option<Self>, String> {
        if settings.unixsocket.is_empty() {
            return Ok(None);
        }
        let path = settings.unixsocket.as_str();
        let fail = |error: io::Error| format!("cannot listen on {path}: {error}; see --unixsocket");
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(format!(
                    "cannot listen on {path}: there is a file that is no socket; see --unixsocket"
                ));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(format!(
                    "{path} is in use: stop what listens there, or choose another with --unixsocket"
                ));
            }
            std::fs::remove_file(path).map_err(fail)?;
        }
        let listener = UnixListener::bind(path).map_err(fail)?;
        let door = Self { listener, path: path.into() };
        door.listener.set_nonblocking(true).map_err(fail)?;
        if settings.unixsocketperm != 0 {
            let permissions = std::fs::Permissions::from_mode(settings.unixsocketperm);
            std::fs::set_permissions(path, permissions).map_err(fail)?;
        }
        Ok(Some(door))
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        // It may have been replaced or removed by somebody else: then there is nothing to be done about it.
        let _ = std::fs::remove_file(&*self.path);
    }
}

/// A client that came by a door: its socket, where it comes from, and what it has connected to.
pub(super) type Visitor = (std::net::TcpStream, ClientAddr, ClientAddr);

/// A door in the hands of the event loop.
pub(super) enum OpenDoor {
    Tcp(tokio::net::TcpListener),
    /// The door is kept for its file.
    Unix(tokio::net::UnixListener, UnixDoor),
}

impl OpenDoor {
    /// Must be called inside the control thread's runtime.
    ///
    /// # Errors
    /// The event loop does not take the socket.
    pub(super) fn new(door: Door) -> io::Result<Self> {
        match door {
            Door::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Self::Tcp),
            Door::Unix(door) => {
                let listener = tokio::net::UnixListener::from_std(door.listener.try_clone()?)?;
                Ok(Self::Unix(listener, door))
            }
        }
    }

    /// Waits for the next client.
    ///
    /// # Errors
    /// Those of `accept(2)`.
    pub(super) async fn accept(&self) -> io::Result<Visitor> {
        match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                let laddr = stream.local_addr()?;
                Ok((stream.into_std()?, addr.into(), laddr.into()))
            }
            Self::Unix(listener, door) => {
                let (stream, _) = listener.accept().await?;
                // The runtimes take any connected socket by its descriptor; see `Runtime::adopt`.
                let stream = std::net::TcpStream::from(OwnedFd::from(stream.into_std()?));
                let path = ClientAddr::Unix(door.path.clone());
                Ok((stream, path.clone(), path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(path: &std::path::Path) -> Settings {
        Settings { unixsocket: path.display().to_string(), unixsocketperm: 0o600, ..Settings::default() }
    }

    #[test]
    fn a_unix_socket_replaces_a_dead_one_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.sock");
        assert!(UnixDoor::open(&Settings::default()).unwrap().is_none());
        let door = UnixDoor::open(&settings(&path)).unwrap().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = UnixDoor::open(&settings(&path)).err().unwrap();
        assert!(error.contains("is in use") && error.contains("--unixsocket"), "{error}");
        drop(door);
        assert!(!path.exists(), "its file goes with it");
        // As a process that was killed leaves it.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists() && UnixDoor::open(&settings(&path)).unwrap().is_some());
        std::fs::write(&path, "precious").unwrap();
        assert!(UnixDoor::open(&settings(&path)).err().unwrap().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
