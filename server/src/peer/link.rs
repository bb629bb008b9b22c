//! The two ends of a link between shards of different nodes, as tasks of their shards.
//!
//! The shard that leads dials ([`lead`]), the one that holds copies accepts ([`follow`]). Either way one half
//! reads into the state machine and one half writes what the turns leave; when one ends, so does the other.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use carousel_protocol::{NodeId, ShardId};
use futures::future::{Either, select};

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

/// Bytes that wait to be sent on a link.
#[derive(Default)]
pub struct LinkOut {
    queued: RefCell<Vec<u8>>,
    more: LocalNotify,
    overflowed: LocalNotify,
}

impl LinkOut {
    /// Queues bytes. A peer that takes nothing for so long that the queue overflows loses the link: its copies
    /// will be brought into step anew.
    pub(crate) fn send(&self, bytes: Vec<u8>) {
        let mut queued = self.queued.borrow_mut();
        // (One record may be longer than the limit, so an empty queue takes anything.)
        if !queued.is_empty() && queued.len() + bytes.len() > PEER_OUT_BYTES_MAX {
            self.overflowed.set();
        } else if queued.is_empty() {
            *queued = bytes;
        } else {
            queued.extend_from_slice(&bytes);
        }
        self.more.set();
    }

    /// Writes what is queued until the link fails, or has overflowed.
    async fn write_to(&self, writer: &mut impl Writer, metrics: &ShardMetrics) {
        either(self.write_queued(writer, metrics), self.overflowed.wait()).await;
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
        let dial = hello_to(&handle, node, shard).and_then(|(hello, address)| {
            let parsed = address.parse::<SocketAddr>();
            if parsed.is_err() && !warned {
                tracing::warn!(%node, address, "cannot dial this peer: its host is not an IP address");
                warned = true;
            }
            Some((hello, parsed.ok()?))
        });
        let Some((hello, address)) = dial else {
            R::sleep(REDIAL_MAX).await;
            if is_gone(&handle, node) {
                return;
            }
            continue;
        };
        if let Ok(stream) = R::connect(address).await {
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
    let (mut reader, mut writer) = stream.split();
    let out = Rc::new(LinkOut::default());
    handle.links_in.borrow_mut().insert(link, out.clone());
    if handle.core.borrow_mut().inbound_up(link, hello.from) {
        let read = read_from(&mut reader, &handle.metrics, |bytes| {
            let result = handle.core.borrow_mut().from_primary(link, bytes);
            handle.touch();
            result
                .inspect_err(|error| tracing::error!(from = %hello.from, %error, "closing a peer link"))
                .is_ok()
        });
        either(read, out.write_to(&mut writer, &handle.metrics)).await;
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
fn hello_to(handle: &ShardHandle, node: NodeId, shard: ShardId) -> Option<(ShardLinkHello, String)> {
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
    Some((hello, format!("{}:{}", spec.host, spec.peer_port)))
}

fn is_gone(handle: &ShardHandle, node: NodeId) -> bool {
    handle.core.borrow().cluster().is_some_and(|state| !state.members.contains_key(&node))
}

/// Is the dialler a member of this cluster, no older process of it, and means this shard?
fn may_follow(handle: &ShardHandle, hello: &ShardLinkHello) -> bool {
    let core = handle.core.borrow();
    let Some(state) = core.cluster() else { return false };
    state.cluster_id == Some(hello.cluster_id)
        && hello.to == core.options.me
        && hello.to_shard == handle.id
        && state.members.get(&hello.from).is_some_and(|member| member.incarnation <= hello.incarnation)
}
