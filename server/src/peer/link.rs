//! The two ends of a link between shards of different nodes, as tasks of their shards.
//!
//! The shard that leads dials ([`lead`]), the one that holds copies accepts ([`follow`]). Either way one half
//! reads into the state machine and one half writes what the turns leave; when one ends, so does the other.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use carousel_protocol::{NodeId, ShardId};
use futures::future::{Either, select};
use rustix::net::sockopt;

use super::CONNECT_TIMEOUT;
use super::hello::{Hello, ShardLinkHello};
use crate::limits::{PEER_OUT_BYTES_MAX, PEER_READ_BYTES};
use crate::metrics::ShardMetrics;
use crate::runtime::{LocalNotify, Reader, Runtime, Stream, Writer};
use crate::shard::Standing;
use crate::shard::drive::ShardHandle;
use crate::shard::slot::{LinkId, PeerIndex};

/// First pause after a failed dial, and after a lost link.
const REDIAL_FIRST: Duration = Duration::from_millis(20);
/// Longest pause between dials.
const REDIAL_MAX: Duration = Duration::from_millis(500);

/// A peer whose machine answers nothing for this long has vanished without a word: the link is closed, and the slots that
/// were in step on it are not any more.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// An idle link is silent for so long before the other machine is asked whether it is there, again every second.
const SILENCE_ASKED: Duration = Duration::from_secs(2);

/// Bytes that wait to be sent on a link.
#[derive(Default)]
pub struct LinkOut {
    queued: RefCell<Vec<u8>>,
    more: LocalNotify,
    /// Something that was to be sent is lost, or the link is not wanted any more: nothing later may be sent on it.
    is_dead: Cell<bool>,
    died: LocalNotify,
}

impl LinkOut {
    /// Queues bytes. A peer that takes nothing for so long that the queue overflows loses the link: its copies
    /// will be brought into step anew.
    pub(crate) fn send(&self, bytes: Vec<u8>) {
        if self.is_dead.get() {
            return;
        }
        let mut queued = self.queued.borrow_mut();
        // (A record, or the parts of a big collection, may be longer than the limit: what the queue has already counts.)
        if queued.len() > PEER_OUT_BYTES_MAX {
            drop(queued);
            self.close();
            return;
        }
        if queued.is_empty() {
            *queued = bytes;
        } else {
            queued.extend_from_slice(&bytes);
        }
        self.more.set();
    }

    /// Gives the link up: its tasks end, and what is still queued is not sent.
    pub(crate) fn close(&self) {
        self.is_dead.set(true);
        self.queued.take();
        self.died.set();
    }

    /// Writes what is queued until the link fails, or is given up.
    async fn write_to(&self, writer: &mut impl Writer, metrics: &ShardMetrics) {
        either(self.write_queued(writer, metrics), self.died.wait()).await;
    }

    async fn write_queued(&self, writer: &mut impl Writer, metrics: &ShardMetrics) {
        loop {
            let bytes = self.queued.take();
            if bytes.is_empty() {
                self.more.wait().await;
                continue;
            }
            metrics.peer_out_bytes.add(bytes.len() as u64);
            if writer.write_all(bytes).await.0.is_err() {
                return;
            }
        }
    }
}

/// A link that a remote primary has dialled.
pub struct LinkIn {
    /// Who dialled.
    dialler: ShardLinkHello,
    /// What it is told.
    pub(crate) out: LinkOut,
}

/// Has a shard that dials as `newer` given the link up that it dialled as `older`? A shard has one link to another.
fn replaces(newer: &ShardLinkHello, older: &ShardLinkHello) -> bool {
    (newer.from, newer.from_shard) == (older.from, older.from_shard) && newer.incarnation >= older.incarnation
}

/// Has the kernel notice within [`SILENCE_MAX`] that the other machine is gone, whether or not anything is being sent.
fn notice_silence(socket: &impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_user_timeout(socket, SILENCE_MAX.as_millis() as u32)?;
    sockopt::set_tcp_keepidle(socket, SILENCE_ASKED)?;
    sockopt::set_tcp_keepintvl(socket, Duration::from_secs(1))?;
    Ok(sockopt::set_socket_keepalive(socket, true)?)
}

/// Connects, within [`CONNECT_TIMEOUT`].
async fn connect<R: Runtime>(address: SocketAddr) -> io::Result<R::Stream> {
    let connected = std::pin::pin!(R::connect(address));
    let stream = match select(connected, std::pin::pin!(R::sleep(CONNECT_TIMEOUT))).await {
        Either::Left((stream, _)) => stream?,
        Either::Right(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    notice_silence(&stream)?;
    Ok(stream)
}

/// Reads until the link ends or `take` says that the bytes make no sense.
async fn read_from(reader: &mut impl Reader, metrics: &ShardMetrics, mut take: impl FnMut(Bytes) -> bool) {
    let mut size = PEER_READ_BYTES;
    loop {
        let (result, buffer) = reader.read(Vec::with_capacity(size)).await;
        match result {
            Ok(bytes @ 1..) => {
                metrics.peer_in_bytes.add(bytes as u64);
                // A full buffer says that more is waiting: read more at once.
                size =
                    if buffer.len() == size { (size * 2).min(16 * PEER_READ_BYTES) } else { PEER_READ_BYTES };
                if !take(Bytes::from(buffer)) {
                    return;
                }
            }
            Ok(0) | Err(_) => return,
        }
    }
}

/// Dials a shard that holds copies of slots led here, again and again until its node is no member any more.
pub async fn lead<R: Runtime>(handle: Rc<ShardHandle>, peer: PeerIndex, node: NodeId, shard: ShardId) {
    let mut pause = REDIAL_FIRST;
    let mut warned = false;
    loop {
        let dial = hello_to(&handle, node, shard).and_then(|(hello, host, port)| {
            let parsed = host.parse::<IpAddr>();
            if parsed.is_err() && !warned {
                tracing::warn!(%node, host, "cannot dial this peer: its host is not an IP address");
                warned = true;
            }
            Some((hello, SocketAddr::new(parsed.ok()?, port)))
        });
        let Some((hello, address)) = dial else {
            R::sleep(REDIAL_MAX).await;
            if is_gone(&handle, node) {
                return;
            }
            continue;
        };
        if let Ok(stream) = connect::<R>(address).await {
            let (mut reader, mut writer) = stream.split();
            if writer.write_all(Hello::ShardLink(hello).encode()).await.0.is_ok() {
                let out = Rc::new(LinkOut::default());
                handle.links_out.borrow_mut().insert(peer, out.clone());
                handle.core.borrow_mut().link_up(peer);
                handle.touch();
                let read = read_from(&mut reader, &handle.metrics, |bytes| {
                    pause = REDIAL_FIRST; // it is really there, and has this shard
                    let result = handle.core.borrow_mut().from_replica(peer, bytes);
                    handle.touch();
                    result
                        .inspect_err(|error| tracing::error!(%node, %shard, %error, "closing a peer link"))
                        .is_ok()
                });
                either(read, out.write_to(&mut writer, &handle.metrics)).await;
                handle.links_out.borrow_mut().remove(&peer);
                handle.core.borrow_mut().link_down(peer);
                handle.touch();
            }
        }
        R::sleep(pause).await;
        pause = (pause * 2).min(REDIAL_MAX);
    }
}

/// Serves a link that a remote primary has dialled, until it ends.
pub async fn follow<R: Runtime>(
    handle: Rc<ShardHandle>,
    link: LinkId,
    hello: ShardLinkHello,
    stream: std::net::TcpStream,
) {
    if !may_follow(&handle, &hello) {
        return;
    }
    let Ok(stream) = R::adopt(stream) else { return };
    if notice_silence(&stream).is_err() {
        return; // it is closed already
    }
    let (mut reader, mut writer) = stream.split();
    let from = hello.from;
    let inbound = Rc::new(LinkIn { dialler: hello, out: LinkOut::default() });
    for older in handle.links_in.borrow().values().filter(|older| replaces(&inbound.dialler, &older.dialler))
    {
        older.out.close();
    }
    handle.links_in.borrow_mut().insert(link, inbound.clone());
    if handle.core.borrow_mut().inbound_up(link, from) {
        let read = read_from(&mut reader, &handle.metrics, |bytes| {
            let result = handle.core.borrow_mut().from_primary(link, bytes);
            handle.touch();
            result.inspect_err(|error| tracing::error!(%from, %error, "closing a peer link")).is_ok()
        });
        either(read, inbound.out.write_to(&mut writer, &handle.metrics)).await;
        handle.core.borrow_mut().inbound_down(link);
        handle.touch();
    }
    handle.links_in.borrow_mut().remove(&link);
}

async fn either(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    match select(std::pin::pin!(a), std::pin::pin!(b)).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}

/// What to say to a peer and where to find it; `None` while this process is not registered, or the peer unknown.
fn hello_to(handle: &ShardHandle, node: NodeId, shard: ShardId) -> Option<(ShardLinkHello, String, u16)> {
    let core = handle.core.borrow();
    let Standing::Member { state, incarnation: Some(incarnation) } = &core.standing else { return None };
    let spec = &state.members.get(&node)?.spec;
    if shard.0 >= spec.shards {
        return None; // it has fewer shards now than when this link was made
    }
    let hello = ShardLinkHello {
        cluster_id: state.cluster_id?,
        from: core.options.me,
        incarnation: *incarnation,
        from_shard: handle.id,
        to: node,
        to_shard: shard,
    };
    Some((hello, spec.host.clone(), spec.peer_port))
}

fn is_gone(handle: &ShardHandle, node: NodeId) -> bool {
    handle.core.borrow().cluster().is_some_and(|state| !state.members.contains_key(&node))
}

/// Is the dialler a member of this cluster, no older process of it, and means this shard? And can this shard keep what it
/// would be sent? A copy that acknowledges nothing is better not in step at all: then its primary knows.
fn may_follow(handle: &ShardHandle, hello: &ShardLinkHello) -> bool {
    let core = handle.core.borrow();
    let Some(state) = core.cluster() else { return false };
    let superseded =
        |newer: &Rc<LinkIn>| replaces(&newer.dialler, hello) && newer.dialler.incarnation > hello.incarnation;
    state.cluster_id == Some(hello.cluster_id)
        && hello.to == core.options.me
        && hello.to_shard == handle.id
        && state.members.get(&hello.from).is_some_and(|member| member.incarnation <= hello.incarnation)
        && !handle.links_in.borrow().values().any(superseded)
        && !core.has_lost_log()
}

#[cfg(test)]
mod tests;
