//! The control thread's life.

use std::net::TcpListener;
use std::sync::Arc;

use carousel_protocol::NodeId;
use futures::channel::oneshot;
use tokio::sync::{Notify, mpsc};

use super::accept::accept_clients;
use super::changes::propose_changes;
use super::node_rpc::{NodeReply, NodeRequest, NodeStats, encode, seal_here};
use super::publish::publish;
use super::recover::recover_slots;
use super::register::register;
use super::request::ToControl;
use crate::config::MemberSpec;
use crate::metrics::NodeView;
use crate::raft::{ConfigGroup, GroupOptions};
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// What the control thread is given.
pub struct ControlSeat {
    /// This node.
    pub me: NodeId,
    /// Random number of this process.
    pub process: u64,
    /// What the node publishes.
    pub view: Arc<NodeView>,
    /// Mailboxes of the shards.
    pub shards: Vec<Sender<ToShard>>,
    /// Messages from connections and shards.
    pub mailbox: mpsc::UnboundedReceiver<ToControl>,
    /// Sockets for clients.
    pub clients: Vec<TcpListener>,
    /// Socket for other nodes.
    pub peers: TcpListener,
    /// Where the config group keeps its log.
    pub config_dir: std::path::PathBuf,
    /// Told when the node is ready for clients.
    pub ready: oneshot::Sender<()>,
}

/// What the control thread's tasks share.
pub(super) struct Control {
    pub(super) me: NodeId,
    process: u64,
    pub(super) view: Arc<NodeView>,
    pub(super) shards: Vec<Sender<ToShard>>,
    pub(super) group: ConfigGroup,
    pub(super) stop: Arc<Notify>,
}

impl Control {
    /// What this process says of itself.
    pub(super) fn spec(&self) -> MemberSpec {
        let settings = self.view.settings();
        let shards = self.shards.len() as u16;
        MemberSpec {
            id: self.me,
            host: settings.cluster_announce_ip.clone(),
            port: settings.announced_port(),
            peer_port: settings.peer_port(),
            shards,
            weight: if settings.weight == 0 { shards.into() } else { settings.weight },
            zone: settings.zone.clone(),
            process: self.process,
        }
    }

    /// A fresh random id.
    pub(super) fn new_id(&self) -> NodeId {
        NodeId(crate::boot::random_bytes())
    }

    /// Sums over this node's shards.
    pub(super) fn stats_here(&self) -> NodeStats {
        let totals = self.view.totals();
        NodeStats {
            keys: totals.keys,
            keys_led: totals.keys_led,
            bytes: totals.used_bytes,
            keys_sent: totals.plan_keys,
            bytes_sent: totals.plan_bytes,
        }
    }
}

/// Runs until a signal or SHUTDOWN asks the node to stop.
///
/// # Errors
/// The config group's log cannot be opened, or a socket not be used.
pub async fn run_control(seat: ControlSeat) -> anyhow::Result<()> {
    let ControlSeat { me, process, view, shards, mut mailbox, clients, peers, config_dir, ready } = seat;
    let stop = Arc::new(Notify::new());
    let group = open_group(me, &view, &shards, peers, &config_dir).await?;
    let control = Arc::new(Control { me, process, view: view.clone(), shards: shards.clone(), group: group.clone(), stop: stop.clone() });
    let (changes, ready_changes) = mpsc::unbounded_channel();
    tokio::spawn(publish(group.clone(), me, process, shards.clone(), view.clone()));
    tokio::spawn(register(group.clone(), me, control.spec()));
    tokio::spawn(recover_slots(group.clone(), me, shards.clone()));
    tokio::spawn(propose_changes(group.clone(), ready_changes, shards.clone()));
    for listener in clients {
        tokio::spawn(accept_clients(listener, shards.clone(), view.clone()));
    }
    let _ = ready.send(());

    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    loop {
        tokio::select! {
            message = mailbox.recv() => match message {
                Some(ToControl::Request { request, reply }) => {
                    let control = control.clone();
                    tokio::spawn(async move {
                        let _ = reply.send(control.answer(request).await);
                    });
                }
                Some(ToControl::Changes(ready)) => {
                    let _ = changes.send(ready);
                }
                None => break,
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = stop.notified() => break,
        }
    }
    tracing::info!("stopping");
    group.shutdown().await;
    Ok(())
}

async fn open_group(
    me: NodeId,
    view: &Arc<NodeView>,
    shards: &[Sender<ToShard>],
    peers: TcpListener,
    config_dir: &std::path::Path,
) -> anyhow::Result<ConfigGroup> {
    let links = shards.to_vec();
    let on_link = Arc::new(move |hello: crate::peer::hello::ShardLinkHello, stream: TcpListenerStream| {
        if let Some(shard) = links.get(hello.to_shard.index()) {
            shard.send(ToShard::Link { hello, stream });
        }
    });
    let (view, asked) = (view.clone(), shards.to_vec());
    let on_request = Arc::new(move |bytes: Vec<u8>| {
        let (view, shards) = (view.clone(), asked.clone());
        Box::pin(async move {
            let request: NodeRequest = postcard::from_bytes(&bytes).ok()?;
            let reply = match request {
                NodeRequest::Seal { epoch, slots } => NodeReply::Sealed(seal_here(&shards, epoch, &slots).await),
                NodeRequest::Stats => NodeReply::Stats(stats_of(&view)),
            };
            Some(encode(&reply))
        }) as futures::future::BoxFuture<'static, Option<Vec<u8>>>
    });
    Ok(ConfigGroup::open(GroupOptions { me, dir: config_dir.to_path_buf(), peers, on_link, on_request }).await?)
}
type TcpListenerStream = std::net::TcpStream;
fn stats_of(_view: &NodeView) -> NodeStats { NodeStats::default() }
