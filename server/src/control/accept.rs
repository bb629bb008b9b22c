//! Listening for clients and handing them to the shards in turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::Now;
use crate::metrics::NodeView;
use crate::settings::{DENIED, Settings};
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// After a failed accept (usually: no file descriptor left) others may close theirs before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Opens the sockets that the settings name.
///
/// # Errors
/// One line for the operator: the address, what is wrong with it, and what to do.
pub fn listen(settings: &Settings) -> Result<Vec<std::net::TcpListener>, String> {
    let mut listeners = Vec::new();
    for address in settings.listen_on() {
        let socket_address = SocketAddr::new(address.ip, settings.port);
        match open(socket_address, settings.tcp_backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if address.optional && error.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(format!(
                    "port {} is in use on {}: stop what listens there, or choose another with --port",
                    settings.port, address.ip
                ));
            }
            Err(error) => {
                return Err(format!("cannot listen on {socket_address}: {error}; see --bind and --port"));
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

/// Accepts clients until the listener fails for good.
pub(super) async fn accept_clients(
    listener: std::net::TcpListener,
    shards: Vec<Sender<ToShard>>,
    view: Arc<NodeView>,
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
        let refusal = if settings.denies(address.ip()) {
            Some(DENIED)
        } else if view.clients().len() >= settings.maxclients as usize {
            Some("ERR max number of clients reached")
        } else {
            None
        };
        if let Some(text) = refusal {
            view.reject_client();
            // The socket's buffer is empty, so this cannot block; whether it arrives is the client's luck.
            let _ = io::Write::write(&mut &stream, format!("-{text}\r\n").as_bytes());
            continue;
        }
        if settings.tcp_keepalive_s > 0 {
            let keepalive =
                TcpKeepalive::new().with_time(Duration::from_secs(settings.tcp_keepalive_s.into()));
            let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        }
        shards[next % shards.len()].send(ToShard::Client { stream, address });
        next += 1;
    }
}

/// Wall-clock time for what happens on the control thread.
pub fn wall_clock() -> Now {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Now { mono_ns: 0, unix_ms: unix.as_millis() as u64 }
}
