//! A node's part in the config group: the handle that everything else uses.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carousel_protocol::NodeId;
use futures::future::BoxFuture;
use openraft::{BasicNode, Config, ServerState, SnapshotPolicy};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::disk::{Disk, OpenError};
use super::election::{self, Contact, LEADER_LEASE_MS};
use super::log_store::LogStore;
use super::message::{Answer, Request, decode, encode};
use super::network::Network;
use super::propose::ProposeError;
use super::reach::{self, Reach};
use super::service::Service;
use super::state_machine::StateMachine;
use super::types::{Metrics, ProposalId, Raft, peer_address};
use super::voters::{self, voter_target};
use crate::config::{ClusterState, ConfigCommand, ConfigReply, apply};
use crate::peer::rpc::{RpcError, RpcPool, RpcService};

/// Answers the calls that the config group only carries: who asks, and what. The future may outlive the caller's
/// patience.
pub type NodeHandler = Arc<dyn Fn(NodeId, Vec<u8>) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

/// How to open a config group.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// Its directory, made if need be.
    pub dir: PathBuf,
    /// This node.
    pub me: NodeId,
    /// Entries between two snapshots; as many stay in the log behind one for learners that lag.
    pub snapshot_every: u64,
}

impl GroupOptions {
    /// The usual options.
    pub fn new(dir: impl Into<PathBuf>, me: NodeId) -> Self {
        Self { dir: dir.into(), me, snapshot_every: 1_000 }
    }
}

/// The cluster was not made, or not completely.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The command would be refused, and why; nothing happened.
    #[error("{0}")]
    Refused(String),
    /// This node belongs to a cluster.
    #[error("this node belongs to cluster {0} already")]
    Exists(NodeId),
    /// The group did not start.
    #[error("the config group does not start: {0}")]
    Start(String),
    /// The command did not get into the log.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// The cluster exists, but not all its nodes follow the config group yet; that goes on by itself.
    #[error(
        "the cluster exists; not reached yet: {missing}. Open their peer ports; they join by themselves, see 'status'"
    )]
    Incomplete {
        /// Peer addresses of the members that do not follow it.
        missing: String,
    },
    /// The cluster exists and all its nodes follow, but fewer vote yet than should; that goes on by itself.
    #[error("the cluster exists; {voters} of its {wanted} voters are agreed on so far, see 'status'")]
    Unsettled {
        /// Voters so far.
        voters: usize,
        /// Voters wanted.
        wanted: usize,
    },
}

/// Whom to call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerTarget {
    /// A member, at its agreed address.
    Node(NodeId),
    /// Whoever listens at this `host:port`.
    Address(String),
}

/// A call to a node failed.
#[derive(Debug, thiserror::Error)]
pub enum PeerCallError {
    /// No such member.
    #[error("node {0} is not a member")]
    NotMember(NodeId),
    /// The call itself failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// It answered, but not to this.
    #[error("unexpected answer: {0}")]
    Answer(String),
}

/// A node's part in the config group. Clones are handles on the same one; it stops with the last, or by
/// [`Self::shutdown`].
#[derive(Clone)]
pub struct ConfigGroup {
    core: Arc<Core>,
}

/// What the handle and the served calls share.
pub(super) struct Core {
    pub(super) me: NodeId,
    pub(super) raft: Raft,
    pub(super) pool: RpcPool,
    pub(super) state: watch::Receiver<Arc<ClusterState>>,
    pub(super) contact: Arc<Contact>,
    pub(super) handler: NodeHandler,
    is_leader: watch::Receiver<bool>,
    reach: Reach,
    process: u64,
    proposals: AtomicU64,
    /// Stopped when dropped; the library and its disk thread then end by themselves.
    tasks: Mutex<JoinSet<()>>,
    disk_thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl ConfigGroup {
    /// Opens the group's part in `options.dir`, restores the agreed state and starts taking part, where this node
    /// ever did. Must run on the tokio runtime that goes on to drive it.
    ///
    /// Calls come in only once a [`crate::peer::listener::PeerListener`] serves [`Self::service`].
    pub async fn open(options: GroupOptions, handler: NodeHandler) -> Result<Self, OpenError> {
        let me = options.me;
        let (disk, mut loaded) = Disk::open(&options.dir).await?;
        let disk_thread = Mutex::new(disk.take_thread());
        let log = LogStore::new(disk.clone(), &mut loaded);
        let machine = StateMachine::new(disk, loaded.snapshot)?;
        let state = machine.watch();
        let pool = RpcPool::new(me);
        let network = Network { pool: pool.clone(), state: state.clone() };
        let config = Arc::new(raft_config(&options));
        let raft = Box::pin(Raft::new(me, config, network, log, machine)).await;
        let raft = raft.map_err(|error| OpenError::Start(error.to_string()))?;

        let contact = Arc::new(Contact::new());
        let reach = Reach::new();
        let mut tasks = JoinSet::new();
        let refused = reach.refused.subscribe();
        tasks.spawn(election::run(raft.clone(), me, contact.clone(), refused));
        tasks.spawn(voters::run(raft.clone(), state.clone()));
        tasks.spawn(reach::run(pool.clone(), me, state.clone(), reach.clone()));
        let (leads, is_leader) = watch::channel(false);
        tasks.spawn(follow_leadership(raft.metrics(), leads));

        let core = Core {
            me,
            raft,
            pool,
            state,
            contact,
            handler,
            is_leader,
            reach,
            process: RandomState::new().hash_one(me),
            proposals: AtomicU64::new(0),
            tasks: Mutex::new(tasks),
            disk_thread,
        };
        Ok(Self { core: Arc::new(core) })
    }

    /// Serves the calls of other nodes' config groups, and hands on those for the node.
    pub fn service(&self) -> Arc<dyn RpcService> {
        Arc::new(Service { core: Arc::downgrade(&self.core), me: self.core.me })
    }

    /// This node takes part in a config group: it made one or was added to one.
    pub async fn is_initialized(&self) -> bool {
        self.core.raft.is_initialized().await.unwrap_or(true)
    }

    /// Whether this node is, or may be, part of a cluster: not where it only died while it was about to create one, before
    /// there was anything to create it from.
    pub async fn has_begun(&self) -> bool {
        let me = self.core.me;
        let alone = self
            .core
            .raft
            .with_raft_state(move |state| state.membership_state.effective().voter_ids().eq([me]));
        let alone = alone.await.unwrap_or(false);
        self.is_initialized().await && !(alone && self.state().borrow().cluster_id.is_none())
    }

    /// Makes a cluster of `command`, which must be a [`ConfigCommand::Create`] whose members include this node:
    /// starts the config group with this node alone, has it apply the command, and waits until all members follow
    /// the log and the right number of them votes.
    ///
    /// A command that would be refused changes nothing. After any other error the group may exist; calling
    /// again continues.
    pub async fn create(&self, command: ConfigCommand, after: Duration) -> Result<ConfigReply, CreateError> {
        let deadline = Instant::now() + after;
        if let Some(cluster) = self.state().borrow().cluster_id {
            return Err(CreateError::Exists(cluster));
        }
        let mut trial = ClusterState::default();
        if let ConfigReply::Refused(why) = apply(&mut trial, &command) {
            return Err(CreateError::Refused(why));
        }
        let Some(member) = trial.members.get(&self.core.me) else {
            return Err(CreateError::Refused(format!("node {} is not among the members", self.core.me)));
        };
        if !self.is_initialized().await {
            let me = BasicNode::new(peer_address(&member.spec));
            let nodes = std::collections::BTreeMap::from([(self.core.me, me)]);
            Box::pin(self.core.raft.initialize(nodes))
                .await
                .map_err(|e| CreateError::Start(e.to_string()))?;
        }
        let reply = self.propose(command, after).await?;
        if let ConfigReply::Refused(why) = &reply {
            return Err(CreateError::Refused(why.clone()));
        }
        self.wait_complete(deadline).await?;
        Ok(reply)
    }

    async fn wait_complete(&self, deadline: Instant) -> Result<(), CreateError> {
        let members: BTreeSet<NodeId> = self.core.state.borrow().members.keys().copied().collect();
        let wanted = voter_target(members.len());
        // The members that do not follow the log; the leader is not among those it sends it to.
        let missing = |metrics: &Metrics| -> Vec<NodeId> {
            let sent = metrics.replication.as_ref();
            let follows = |id: &NodeId| sent.is_some_and(|sent| sent.get(id).is_some_and(Option::is_some));
            members.iter().filter(|id| !follows(id)).copied().collect()
        };
        let voters = |metrics: &Metrics| metrics.membership_config.membership().voter_ids().count();
        let mut metrics = self.core.raft.metrics();
        let complete = metrics.wait_for(|metrics| {
            let uniform = metrics.membership_config.membership().get_joint_config().len() == 1;
            uniform && voters(metrics) == wanted && missing(metrics).is_empty()
        });
        if timeout_at(deadline, complete).await.is_ok() {
            return Ok(());
        }
        let metrics = self.core.raft.metrics();
        let metrics = metrics.borrow();
        let missing = missing(&metrics);
        if missing.is_empty() {
            return Err(CreateError::Unsettled { voters: voters(&metrics), wanted });
        }
        let address = |id: &NodeId| self.core.address_of(*id).unwrap_or_else(|| id.to_string());
        let missing: Vec<String> = missing.iter().map(address).collect();
        Err(CreateError::Incomplete { missing: missing.join(", ") })
    }

    /// Has the group apply `command` and returns its reply; works on every node that follows the group.
    ///
    /// Once it returns `Ok`, [`Self::state`] of this node includes the command, unless the node lags so far that
    /// `after` ran out meanwhile. Applied at most once, however often it had to be sent.
    pub async fn propose(
        &self,
        command: ConfigCommand,
        after: Duration,
    ) -> Result<ConfigReply, ProposeError> {
        self.core.propose(command, after).await
    }

    /// The agreed state as of what this node applied; every change of it wakes the receiver.
    pub fn state(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.core.state.clone()
    }

    /// The leader as far as this node knows; it may be cut off meanwhile.
    pub fn leader(&self) -> Option<NodeId> {
        self.core.raft.metrics().borrow().current_leader
    }

    /// Whether this node leads, as far as it knows; see [`Self::confirm_leader`].
    pub fn is_leader(&self) -> watch::Receiver<bool> {
        self.core.is_leader.clone()
    }

    /// Asks a majority of the voters whether this node still leads: `true` once they answered a heartbeat that
    /// was begun after this call. A lone voter is its own majority.
    pub async fn confirm_leader(&self) -> bool {
        Box::pin(self.core.raft.get_read_log_id()).await.is_ok()
    }

    #[cfg(test)]
    pub(super) fn metrics(&self) -> watch::Receiver<Metrics> {
        self.core.raft.metrics()
    }

    #[cfg(test)]
    pub(super) fn disk_thread(&self) -> std::thread::JoinHandle<()> {
        lock(&self.core.disk_thread).take().expect("taken once")
    }

    /// The term, which every election raises.
    pub fn term(&self) -> u64 {
        self.core.raft.metrics().borrow().current_term
    }

    /// The nodes that vote.
    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.core.raft.metrics().borrow().membership_config.membership().voter_ids().collect()
    }

    /// The members that this node does not reach, itself never among them: silent for 600 ms, or refusing
    /// connections.
    pub fn unreachable(&self) -> watch::Receiver<BTreeSet<NodeId>> {
        self.core.reach.unreachable.subscribe()
    }

    /// Makes sure that the node `id` answers at `address`, the `host:port` of its peer port.
    ///
    /// # Errors
    /// The call failed, or somebody else is there.
    pub async fn ping(&self, address: &str, id: NodeId, timeout: Duration) -> Result<(), PeerCallError> {
        let answer = self.core.pool.call(address, Some(id), encode(&Request::Ping), timeout).await?;
        match decode(&answer) {
            Ok(Answer::Pong) => Ok(()),
            Ok(other) => Err(PeerCallError::Answer(format!("{other:?}"))),
            Err(why) => Err(PeerCallError::Answer(why)),
        }
    }

    /// Calls a node's [`NodeHandler`], this node's own directly.
    pub async fn peer_rpc(
        &self,
        to: &PeerTarget,
        request: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, PeerCallError> {
        let (address, id) = match to {
            PeerTarget::Node(id) if *id == self.core.me => {
                return Ok((self.core.handler)(self.core.me, request).await);
            }
            PeerTarget::Node(id) => {
                (self.core.address_of(*id).ok_or(PeerCallError::NotMember(*id))?, Some(*id))
            }
            PeerTarget::Address(address) => (address.clone(), None),
        };
        let answer = self.core.pool.call(&address, id, encode(&Request::Node(request)), timeout).await?;
        match decode(&answer) {
            Ok(Answer::Node(answer)) => Ok(answer),
            Ok(Answer::Failed(why)) | Err(why) => Err(PeerCallError::Answer(why)),
            Ok(other) => Err(PeerCallError::Answer(format!("{other:?}"))),
        }
    }

    /// Completes when the group's part on this node stopped, with the reason: after [`Self::shutdown`], or because
    /// its disk failed.
    pub async fn stopped(&self) -> String {
        let mut metrics = self.core.raft.metrics();
        match metrics.wait_for(|metrics| metrics.running_state.is_err()).await {
            Ok(metrics) => {
                metrics.running_state.clone().err().map(|fatal| fatal.to_string()).unwrap_or_default()
            }
            Err(_) => "the config group has ended".into(),
        }
    }

    /// Stops taking part, and returns once everything is on disk and the directory can be opened again. A leader
    /// does not hand over: the others notice.
    pub async fn shutdown(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.core.tasks));
        tasks.shutdown().await;
        let _ = self.core.raft.shutdown().await;
        let thread = lock(&self.core.disk_thread).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Core {
    pub(super) fn next_proposal(&self) -> ProposalId {
        let number = self.proposals.fetch_add(1, Ordering::Relaxed);
        ProposalId { node: self.me, process: self.process, number }
    }

    /// `host:port` of a node's peer port, agreed or from the group's membership.
    pub(super) fn address_of(&self, id: NodeId) -> Option<String> {
        if let Some(member) = self.state.borrow().members.get(&id) {
            return Some(peer_address(&member.spec));
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().get_node(&id).map(|node| node.addr.clone())
    }
}

async fn follow_leadership(mut metrics: watch::Receiver<Metrics>, leads: watch::Sender<bool>) {
    loop {
        let now = {
            let metrics = metrics.borrow_and_update();
            metrics.running_state.is_ok() && metrics.state == ServerState::Leader
        };
        leads.send_if_modified(|leads| std::mem::replace(leads, now) != now);
        if metrics.changed().await.is_err() {
            leads.send_replace(false);
            return;
        }
    }
}

/// Not validated as the library would: its `heartbeat_interval` is really the patience with one message, and may
/// exceed its election timeouts since its own timers are off ([`election`] has them).
fn raft_config(options: &GroupOptions) -> Config {
    Config {
        cluster_name: "carousel".into(),
        heartbeat_interval: 1_000,
        // Patience with a candidate's request, and the lease; the library wants the first below the second.
        election_timeout_min: LEADER_LEASE_MS - 1,
        election_timeout_max: LEADER_LEASE_MS,
        install_snapshot_timeout: 5_000,
        max_payload_entries: 256,
        // Beyond the last snapshot, so that one always helps.
        replication_lag_threshold: 2 * options.snapshot_every + 1,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every),
        snapshot_max_chunk_size: 1024 * 1024,
        max_in_snapshot_log_to_keep: options.snapshot_every,
        purge_batch_size: 64.min(options.snapshot_every),
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        ..Config::default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
