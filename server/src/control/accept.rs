//! Listening for clients and handing them to the shards in turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::Now;
use crate::metrics::NodeView;
use crate::settings::{DENIED, Settings};
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// After a failed accept (usually: no file descriptor left) others may close theirs before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Opens the sockets that the settings name, at `port`, which the setting `chosen_by` chooses.
///
/// # Errors
/// One line for the operator: the address, what is wrong with it, and what to do.
pub fn listen(settings: &Settings, port: u16, chosen_by: &str) -> Result<Vec<std::net::TcpListener>, String> {
    let mut listeners = Vec::new();
    for address in settings.listen_on() {
        let socket_address = SocketAddr::new(address.ip, port);
        match open(socket_address, settings.tcp_backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if address.optional && error.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(format!(
                    "port {port} is in use on {}: stop what listens there, or choose another with {chosen_by}",
                    address.ip
                ));
            }
            Err(error) => {
                return Err(format!(
                    "cannot listen on {socket_address}: {error}; see --bind and {chosen_by}"
                ));
            }
        }
    }
    if listeners.is_empty() {
        return Err("none of the addresses of --bind exists on this machine".into());
    }
    Ok(listeners)
}

fn open(address: SocketAddr, backlog: u32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// How many clients are connected or on their way to a shard; clones count the same ones.
#[derive(Clone)]
pub(super) struct ClientPlaces {
    taken: Arc<AtomicUsize>,
    /// As many as there are descriptors for.
    possible: usize,
}

/// A client's place among the `maxclients`; given back when dropped.
pub struct ClientPlace {
    taken: Arc<AtomicUsize>,
}

impl ClientPlaces {
    /// None taken of those `possible`.
    pub(super) fn new(possible: usize) -> Self {
        Self { taken: Arc::default(), possible }
    }

    /// A place, unless `most`, or all that are possible, are taken.
    fn take(&self, most: usize) -> Option<ClientPlace> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        // Gives the place back at once where there was none.
        let place = ClientPlace { taken: self.taken.clone() };
        (taken < most.min(self.possible)).then_some(place)
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts clients until the listener fails for good.
pub(super) async fn accept_clients(
    listener: std::net::TcpListener,
    shards: Vec<Sender<ToShard>>,
    view: Arc<NodeView>,
    places: ClientPlaces,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut next = 0;
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let settings = view.settings();
        let Ok(stream) = stream.into_std() else { continue };
        let place = if settings.denies(address.ip()) {
            Err(DENIED)
        } else {
            places.take(settings.maxclients as usize).ok_or("ERR max number of clients reached")
        };
        let place = match place {
            Ok(place) => place,
            Err(text) => {
                view.reject_client();
                // The socket's buffer is empty, so this cannot block; whether it arrives is the client's luck.
                let _ = io::Write::write(&mut &stream, format!("-{text}\r\n").as_bytes());
                continue;
            }
        };
        if settings.tcp_keepalive_s > 0 {
            let keepalive =
                TcpKeepalive::new().with_time(Duration::from_secs(settings.tcp_keepalive_s.into()));
            let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        }
        shards[next % shards.len()].send(ToShard::Client { stream, address, place });
        next += 1;
    }
}

/// Wall-clock time for what happens on the control thread.
pub fn wall_clock() -> Now {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Now { mono_ns: 0, unix_ms: unix.as_millis() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_from_the_moment_it_is_taken_until_it_is_dropped() {
        let places = ClientPlaces::new(3);
        let taken: Vec<_> = (0..3).map(|_| places.clone().take(2)).collect();
        assert_eq!(taken.iter().filter(|place| place.is_some()).count(), 2);
        assert!(places.take(2).is_none() && places.take(3).is_some());
        let third = places.take(usize::MAX);
        assert!(third.is_some() && places.take(usize::MAX).is_none(), "no more than are possible");
        drop(third);
        drop(taken);
        assert!(places.take(1).is_some());
    }
}
