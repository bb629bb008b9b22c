//! The peer port: reads each connection's hello and hands it to whom it is for.
//!
//! A connection that says anything else is closed, and none of the others notices.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::hello::{Hello, ShardLinkHello, read_hello};
use super::rpc::{RpcService, serve_calls};
use super::{HELLO_TIMEOUT, HELLOS_MAX};

/// Takes a connection between shards over: its hello has been read and not a byte more; the stream is
/// non-blocking and has `TCP_NODELAY`. Called on the control thread, so it must only hand on.
pub type OnShardLink = Arc<dyn Fn(ShardLinkHello, std::net::TcpStream) + Send + Sync>;

/// Pause after `accept` failed, as it does while the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound peer port that is not served yet.
pub struct PeerListener {
    listener: TcpListener,
}

/// Serves the port until dropped; then the port and all its connections for calls are closed.
pub struct PeerListenerHandle {
    task: JoinHandle<()>,
}

impl PeerListener {
    /// Binds `address`. Needs a tokio runtime; the error is that of `bind`.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Takes over a bound socket. Needs a tokio runtime; the error is that of registering it.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: TcpListener::from_std(listener)? })
    }

    /// The address bound, with the port that the system chose where 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Starts to serve: calls by `service`, connections between shards by `on_link`.
    pub fn start(self, service: Arc<dyn RpcService>, on_link: OnShardLink) -> PeerListenerHandle {
        PeerListenerHandle { task: tokio::spawn(accept(self.listener, service, on_link)) }
    }
}

impl PeerListenerHandle {
    /// Stops serving and returns once the port is free.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for PeerListenerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, service: Arc<dyn RpcService>, on_link: OnShardLink) {
    let mut connections = JoinSet::new();
    let hellos = Arc::new(Semaphore::new(HELLOS_MAX));
    loop {
        let hello_place = hellos.clone().acquire_owned().await.expect("never closed");
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer's connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (service, on_link) = (service.clone(), on_link.clone());
        connections.spawn(async move {
            let mut stream = stream;
            let hello = read_hello(&mut stream, HELLO_TIMEOUT).await;
            drop(hello_place);
            match hello {
                Ok(Hello::Rpc(hello)) => serve_calls(stream, hello, service).await,
                Ok(Hello::ShardLink(hello)) => {
                    if let Err(error) = hand_on(stream, hello, &on_link) {
                        tracing::warn!(%from, %error, "a connection between shards was lost at its start");
                    }
                }
                Err(error) => tracing::warn!(%from, %error, "closed a connection to the peer port"),
            }
        });
    }
}

fn hand_on(stream: TcpStream, hello: ShardLinkHello, on_link: &OnShardLink) -> io::Result<()> {
    stream.set_nodelay(true)?;
    on_link(hello, stream.into_std()?);
    Ok(())
}

#[cfg(test)]
mod tests;
