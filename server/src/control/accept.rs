//! Listening for clients and handing them to the shards, each to the one that has the fewest.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::door::{Door, OpenDoor, Visitor};
use crate::Now;
use crate::metrics::NodeView;
use crate::settings::{DENIED, Settings};
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// After a failed accept (usually: no file descriptor left) others may close theirs before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A failure that lasts is logged so often.
const WARN_PAUSE: Duration = Duration::from_secs(10);

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
    taken: Arc<Taken>,
    /// As many as there are descriptors for.
    possible: usize,
}

struct Taken {
    total: AtomicUsize,
    by_shard: Vec<AtomicUsize>,
}

/// A client's place among the `maxclients`, and among the clients of its shard; given back when dropped.
pub struct ClientPlace {
    taken: Arc<Taken>,
    shard: usize,
}

impl ClientPlaces {
    /// None taken of those `possible`, on so many shards.
    pub(super) fn new(possible: usize, shards: usize) -> Self {
        let by_shard = (0..shards).map(|_| AtomicUsize::new(0)).collect();
        Self { taken: Arc::new(Taken { total: AtomicUsize::new(0), by_shard }), possible }
    }

    /// A place on the shard that has the fewest clients, unless `most`, or all that are possible, are taken.
    fn take(&self, most: usize) -> Option<ClientPlace> {
        let counts = self.taken.by_shard.iter().map(|count| count.load(Ordering::Relaxed)).enumerate();
        let (shard, _) = counts.min_by_key(|(_, count)| *count).expect("a node has a shard");
        let total = self.taken.total.fetch_add(1, Ordering::Relaxed);
        self.taken.by_shard[shard].fetch_add(1, Ordering::Relaxed);
        // Gives the place back at once where there was none.
        let place = ClientPlace { taken: self.taken.clone(), shard };
        (total < most.min(self.possible)).then_some(place)
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        self.taken.total.fetch_sub(1, Ordering::Relaxed);
        self.taken.by_shard[self.shard].fetch_sub(1, Ordering::Relaxed);
    }
}

/// A descriptor that is kept, so that a client for which there is none can be told so.
fn spare_descriptor() -> Option<std::fs::File> {
    std::fs::File::open("/dev/null").ok()
}

/// Accepts clients until the listener fails for good.
pub(super) async fn accept_clients(
    door: Door,
    shards: Vec<Sender<ToShard>>,
    view: Arc<NodeView>,
    places: ClientPlaces,
) -> io::Result<()> {
    let door = OpenDoor::new(door)?;
    let mut spare = spare_descriptor();
    let mut warned: Option<Instant> = None;
    loop {
        match door.accept().await {
            Ok(visitor) => receive(visitor, &shards, &view, &places),
            Err(error) => {
                if warned.is_none_or(|at| at.elapsed() > WARN_PAUSE) {
                    tracing::warn!(%error, "a client could not be accepted");
                    warned = Some(Instant::now());
                }
                if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) {
                    // With one more descriptor, the client can be told.
                    drop(spare.take());
                    if let Ok(Ok((stream, ..))) = tokio::time::timeout(ACCEPT_PAUSE, door.accept()).await {
                        turn_away(&stream, NO_PLACE, &view);
                    }
                    spare = spare_descriptor();
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Hands a client to a shard, or turns it away.
fn receive(
    (stream, addr, laddr): Visitor,
    shards: &[Sender<ToShard>],
    view: &NodeView,
    places: &ClientPlaces,
) {
    let settings = view.settings();
    if addr.ip().is_some_and(|ip| settings.denies(ip)) {
        return turn_away(&stream, DENIED, view);
    }
    let Some(place) = places.take(settings.maxclients as usize) else {
        return turn_away(&stream, NO_PLACE, view);
    };
    if settings.tcp_keepalive_s > 0 && addr.ip().is_some() {
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(settings.tcp_keepalive_s.into()));
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    }
    shards[place.shard].send(ToShard::Client { stream, addr, laddr, place });
}

const NO_PLACE: &str = "ERR max number of clients reached";

fn turn_away(mut stream: &std::net::TcpStream, text: &str, view: &NodeView) {
    view.reject_client();
    // The socket's buffer is empty, so this cannot block; whether it arrives is the client's luck.
    let _ = io::Write::write(&mut stream, format!("-{text}\r\n").as_bytes());
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
        let places = ClientPlaces::new(3, 1);
        let taken: Vec<_> = (0..3).map(|_| places.clone().take(2)).collect();
        assert_eq!(taken.iter().filter(|place| place.is_some()).count(), 2);
        assert!(places.take(2).is_none() && places.take(3).is_some());
        let third = places.take(usize::MAX);
        assert!(third.is_some() && places.take(usize::MAX).is_none(), "no more than are possible");
        drop(third);
        drop(taken);
        assert!(places.take(1).is_some());
    }

    #[test]
    fn clients_are_spread_evenly_also_when_some_have_gone() {
        let places = ClientPlaces::new(1000, 3);
        let mut clients: Vec<_> = (0..300).map(|_| places.take(1000).unwrap()).collect();
        // All of one shard go, and as many come.
        clients.retain(|place| place.shard != 1);
        clients.extend((0..100).map(|_| places.take(1000).unwrap()));
        for shard in 0..3 {
            assert_eq!(clients.iter().filter(|place| place.shard == shard).count(), 100);
        }
    }
}
