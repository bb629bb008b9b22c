//! The control thread's life.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use carousel_protocol::{Incarnation, NodeId};
use tokio::sync::{Notify, mpsc};

use super::accept::{ClientPlaces, accept_clients};
use super::activate::FoundOnDisk;
use super::changes::propose_changes;
use super::checkpoint::Checkpoints;
use super::door::Door;
use super::loading::load_shards;
use super::node_rpc::{NodeReply, NodeRequest, NodeStats, encode, seal_here};
use super::publish::Publisher;
use super::recover::recover_slots;
use super::register::register;
use super::request::ToControl;
use super::service_manager::{Watchdog, tell_stopping};
use crate::config::MemberSpec;
use crate::metrics::NodeView;
use crate::peer::hello::ShardLinkHello;
use crate::peer::listener::PeerListener;
use crate::persist::{DataDir, DiskStorage};
use crate::raft::{ConfigGroup, GroupOptions};
use crate::settings::LogLevel;
use crate::shard::ShardOptions;
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// How often rates are sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

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
    pub clients: Vec<Door>,
    /// Clients that there are descriptors for.
    pub clients_possible: usize,
    /// Sockets for other nodes.
    pub peers: Vec<TcpListener>,
    /// The data directory.
    pub dir: DataDir<DiskStorage>,
    /// Of the shards to be built from it.
    pub options: Vec<ShardOptions>,
    /// Called when the node accepts clients.
    pub ready: Box<dyn FnOnce()>,
    /// Called when the setting `loglevel` changes.
    pub set_log_level: Box<dyn Fn(LogLevel)>,
}

/// What the control thread's tasks share.
pub(super) struct Control {
    pub(super) me: NodeId,
    pub(super) process: u64,
    pub(super) view: Arc<NodeView>,
    pub(super) shards: Vec<Sender<ToShard>>,
    pub(super) group: ConfigGroup,
    pub(super) stop: Arc<Notify>,
    pub(super) checkpoints: Arc<Checkpoints>,
    /// Held by whoever makes nodes members: one at a time, as they share the node's reservations.
    pub(super) joining: tokio::sync::Mutex<()>,
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

    /// Sums over this node's shards.
    pub(super) fn stats_here(&self) -> NodeStats {
        stats_of(&self.view)
    }
}

/// Runs until a signal or SHUTDOWN asks the node to stop; returns what is needed to close the data directory, unless that
/// was before it was read.
///
/// # Errors
/// The logs cannot be read, the config group's log cannot be opened, a socket not be used, or the start not be noted on
/// disk.
pub async fn run_control(seat: ControlSeat) -> anyhow::Result<Option<FoundOnDisk>> {
    let ControlSeat {
        me,
        process,
        view,
        shards,
        mut mailbox,
        clients,
        clients_possible,
        peers,
        dir,
        options,
        ready,
        set_log_level,
    } = seat;
    let mut log_level = LogLevelWatch { applied: view.settings().loglevel, apply: set_log_level };
    let places = ClientPlaces::new(clients_possible, shards.len());
    for door in clients {
        tokio::spawn(accept_clients(door, shards.clone(), view.clone(), places.clone()));
    }
    let loaded = load_shards(dir, options, &view, &shards, &mut mailbox).await?;
    let Some(mut found) = loaded else { return Ok(None) };
    let stop = Arc::new(Notify::new());
    let options = GroupOptions::new(found.dir().config_dir(), me);
    let group = ConfigGroup::open(options, node_handler(&view, &shards)).await?;
    // A member whose memory of the cluster is gone waits as well: its copies are not a lone node's to serve.
    let was_member = group.has_begun().await || found.holds_copies;
    if was_member {
        // Nobody is served, and nothing dropped, until the state names this process.
        let state = group.state().borrow().clone();
        for shard in &shards {
            shard.send(ToShard::Map { state: state.clone(), incarnation: None });
        }
    } else {
        found.begin(&shards, Incarnation(0), false).await.map_err(anyhow::Error::msg)?;
    }
    let links = shards.clone();
    let on_link: crate::peer::listener::OnShardLink = Arc::new(move |hello: ShardLinkHello, stream| {
        if let Some(shard) = links.get(hello.to_shard.index()) {
            shard.send(ToShard::Link { hello, stream });
        }
    });
    let mut listening = Vec::new();
    for listener in peers {
        listening.push(PeerListener::from_std(listener)?.start(group.service(), on_link.clone()));
    }
    let checkpoints = Checkpoints::new(view.clone(), shards.clone(), found.dir.clone(), found.is_logged);
    let control = Arc::new(Control {
        checkpoints: checkpoints.clone(),
        me,
        process,
        view: view.clone(),
        shards: shards.clone(),
        group: group.clone(),
        stop,
        joining: tokio::sync::Mutex::new(()),
    });
    let (changes, ready_changes) = mpsc::unbounded_channel();
    let spec = control.spec();
    tokio::spawn(register(group.clone(), me, spec, found.dir().registration_note()));
    tokio::spawn(recover_slots(group.clone(), me, shards.clone()));
    tokio::spawn(propose_changes(group.clone(), ready_changes, shards.clone()));
    view.loading.end();
    shards.iter().for_each(|shard| shard.send(ToShard::Open));
    ready();

    let log_failed = Arc::new(Notify::new());
    let publisher = Publisher {
        group: group.clone(),
        me,
        process,
        shards,
        view: view.clone(),
        was_member,
        log_failed: log_failed.clone(),
    };
    let publishing = publisher.run(&mut found);
    let serving = async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let mut sample = tokio::time::interval(SAMPLE_INTERVAL);
        let mut watchdog = Watchdog::from_environment();
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
                    Some(ToControl::LogFailed) => {
                        view.log_failed.store(true, Ordering::Relaxed);
                        log_failed.notify_one();
                    }
                    None => return anyhow::Ok(()),
                },
                _ = sample.tick() => {
                    view.sample(super::accept::wall_clock());
                    log_level.follow(&view);
                    watchdog.check(&view);
                    checkpoints.tick();
                }
                _ = terminate.recv() => control.shut_down(),
                _ = interrupt.recv() => control.shut_down(),
                () = control.stop.notified() => return Ok(()),
            }
        }
    };
    tokio::select! {
        served = serving => served?,
        published = publishing => published.map_err(anyhow::Error::msg)?,
        why = group.stopped() => anyhow::bail!("the config group stopped: {why}"),
    }
    log_level.follow(&view);
    tracing::info!("stopping");
    tell_stopping();
    for listener in listening {
        listener.stop().await;
    }
    group.shutdown().await;
    Ok(Some(found))
}

/// Makes a change of `loglevel` take effect.
struct LogLevelWatch {
    applied: LogLevel,
    apply: Box<dyn Fn(LogLevel)>,
}

impl LogLevelWatch {
    fn follow(&mut self, view: &NodeView) {
        let wanted = view.settings().loglevel;
        if wanted != self.applied {
            (self.apply)(wanted);
            self.applied = wanted;
        }
    }
}

fn node_handler(view: &Arc<NodeView>, shards: &[Sender<ToShard>]) -> crate::raft::NodeHandler {
    let (view, shards) = (view.clone(), shards.to_vec());
    Arc::new(move |_from, bytes| {
        let (view, shards) = (view.clone(), shards.clone());
        Box::pin(async move {
            let reply = match postcard::from_bytes(&bytes) {
                Ok(NodeRequest::Seal { epoch, slots }) => {
                    NodeReply::Sealed(seal_here(&shards, epoch, &slots).await)
                }
                Ok(NodeRequest::Stats) => NodeReply::Stats(stats_of(&view)),
                Err(error) => NodeReply::NotUnderstood(error.to_string()),
            };
            encode(&reply)
        })
    })
}

fn stats_of(view: &NodeView) -> NodeStats {
    let totals = view.totals();
    NodeStats {
        keys: totals.keys,
        keys_led: totals.keys_led,
        bytes: totals.used_bytes,
        keys_sent: totals.plan_keys,
        bytes_sent: totals.plan_bytes,
    }
}
