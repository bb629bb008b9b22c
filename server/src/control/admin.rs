//! Operators' requests: create, add-node, rebalance, status. Each answers JSON (`carousel_protocol::admin`) or one
//! line that says what to do; everything is checked before anything is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::admin::{Added, Created, DownRange, NodeStatus, Plan, PlanNode, Progress, Status};
use carousel_protocol::{NodeId, SlotId};
use futures::future::join_all;
use serde::Serialize;

use super::node_rpc::{NodeReply, NodeRequest, NodeStats, ask};
use super::probe::{Probe, probe, release, reserve};
use super::register::incarnation_of;
use super::request::ControlRequest;
use super::run::Control;
use crate::config::{ClusterState, ConfigCommand, ConfigReply, MemberSpec};
use crate::metrics::CheckpointKind;
use crate::placement::{PlacementMember, initial_placement, plan};
use crate::raft::CreateError;
use crate::shard::Reservation;
use crate::shard::drive::ToShard;

/// N and W of a new cluster.
const REPLICAS: u8 = 3;
const WRITE_QUORUM: u8 = 2;
/// How long a node that is being joined keeps clients out; it is on its own again if the joining fails.
const RESERVATION: Duration = Duration::from_secs(20);
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a newcomer's peer port may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Between questions to a new member whether it knows.
const JOIN_POLL: Duration = Duration::from_millis(20);
/// How long the other members may take to say how much they hold.
const STATS_TIMEOUT: Duration = Duration::from_millis(500);

impl Control {
    /// Answers a request.
    pub(super) async fn answer(self: Arc<Self>, request: ControlRequest) -> Result<String, String> {
        match request {
            ControlRequest::Create(addresses) => self.create(addresses).await.and_then(json),
            ControlRequest::AddNode(address) => self.add_node(address).await.and_then(json),
            ControlRequest::Rebalance { dry_run } => self.rebalance(dry_run).await.and_then(json),
            ControlRequest::Status => json(self.status().await),
            ControlRequest::Probe => json(self.probe_here()),
            ControlRequest::Reserve { ms: 0, token } => json(self.release_here(token).await),
            ControlRequest::Reserve { ms, token } => {
                self.reserve_here(Duration::from_millis(ms), token).await.and_then(json)
            }
            ControlRequest::Save(request) => self.checkpoints.answer(request).await,
            ControlRequest::Shutdown { save, force } => {
                self.save_and_stop(save, force).await?;
                // The connection ends with the process, as with Redis.
                std::future::pending().await
            }
        }
    }

    /// Stops the node, after a checkpoint where one is asked for or, without a log, the setting `save` names any.
    async fn save_and_stop(&self, save: Option<bool>, force: bool) -> Result<(), String> {
        let settings = self.view.settings();
        if save.unwrap_or(!settings.appendonly && !settings.save.is_empty()) {
            let saved = self.checkpoints.take(CheckpointKind::Save).await;
            if saved.is_err() && !force {
                return Err("ERR Errors trying to SHUTDOWN. Check logs.".into());
            }
        }
        self.stop.notify_one();
        Ok(())
    }

    /// As SHUTDOWN does, in the background: for signals.
    pub(super) fn shut_down(self: &Arc<Self>) {
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.save_and_stop(None, false).await {
                tracing::error!("{error} The node goes on; SHUTDOWN NOSAVE stops it nevertheless");
            }
        });
    }

    fn probe_here(&self) -> Probe {
        let spec = self.spec();
        let state = self.group.state().borrow().clone();
        Probe {
            carousel_version: env!("CARGO_PKG_VERSION").into(),
            peer_protocol: crate::peer::hello::VERSION,
            id: self.me.to_string(),
            peer_port: spec.peer_port,
            shards: spec.shards,
            weight: spec.weight,
            zone: spec.zone,
            process: spec.process,
            cluster_id: state.cluster_id.map(|id| id.to_string()),
            joined: self.view.map().joined(),
            keys: self.view.totals().keys,
        }
    }

    async fn reserve_here(&self, duration: Duration, token: u64) -> Result<&'static str, String> {
        if self.group.state().borrow().cluster_id.is_some() {
            return Err("ERR this node is a member of a cluster already".into());
        }
        let duration = duration.min(RESERVATION);
        // All are told before any answers: of two who ask at once, all shards hear the same one first.
        let waits = self.shards.iter().map(|shard| {
            let (reply, outcome) = futures::channel::oneshot::channel();
            shard.send(ToShard::Reserve { duration, token, reply });
            outcome
        });
        let outcomes = join_all(waits).await;
        let came_to = |wanted| outcomes.contains(&Ok(wanted));
        let why = if came_to(Reservation::Taken) {
            format!("is just being joined by another node: try again in {} s", RESERVATION.as_secs())
        } else if came_to(Reservation::HoldsKeys) {
            "this node holds keys; only an empty node can join: FLUSHALL it first if they are not needed"
                .into()
        } else if outcomes.iter().all(|outcome| *outcome == Ok(Reservation::Made)) {
            return Ok("reserved");
        } else {
            "this node is stopping, or has just joined a cluster".into()
        };
        self.release_here(token).await;
        Err(format!("ERR {why}"))
    }

    /// Shards that were not reserved by `token` go on as they are.
    async fn release_here(&self, token: u64) -> &'static str {
        let waits = self.shards.iter().map(|shard| {
            let (reply, done) = futures::channel::oneshot::channel();
            shard.send(ToShard::Release { token, reply });
            done
        });
        join_all(waits).await;
        "released"
    }

    /// Who is at these addresses; each must be a node without a cluster. That it is empty, only its shards know for
    /// certain: see [`Self::reserve_newcomers`].
    async fn probe_newcomers(&self, addresses: &[String]) -> Result<Vec<MemberSpec>, String> {
        let settings = self.view.settings();
        let password = settings.password();
        for address in addresses {
            if address.parse::<SocketAddrV4>().is_err() {
                return Err(format!(
                    "ERR '{address}' is not an IPv4 address with a port, for example 127.0.0.1:7000"
                ));
            }
        }
        let probes = join_all(addresses.iter().map(|address| probe(address, password))).await;
        let mut specs: Vec<MemberSpec> = Vec::with_capacity(addresses.len());
        for (address, probed) in addresses.iter().zip(probes) {
            let probed = probed.map_err(|why| format!("ERR {why}"))?;
            if let Some(cluster) = probed.cluster_id {
                return Err(format!(
                    "ERR {address} is a member of cluster {cluster} already; a node joins only one: start it with an \
                     empty data directory"
                ));
            }
            if probed.peer_protocol != crate::peer::hello::VERSION {
                return Err(format!(
                    "ERR {address} speaks peer protocol {}, this node {}: use the same release on all nodes",
                    probed.peer_protocol,
                    crate::peer::hello::VERSION
                ));
            }
            let (host, port) = address.rsplit_once(':').expect("an address has a port");
            let id: NodeId = probed.id.parse().map_err(|_| format!("ERR {address} names no node id"))?;
            if let Some(twin) = specs.iter().find(|spec| spec.id == id) {
                return Err(format!("ERR {address} and {}:{} are the same node", twin.host, twin.port));
            }
            specs.push(MemberSpec {
                id,
                host: host.into(),
                port: port.parse().map_err(|_| format!("ERR '{address}' has no port"))?,
                peer_port: probed.peer_port,
                shards: probed.shards,
                weight: probed.weight,
                zone: probed.zone,
                process: probed.process,
            });
        }
        self.ping_newcomers(&specs).await?;
        Ok(specs)
    }

    /// Makes sure that the peer ports can be reached, and that the right nodes answer there: who joins and cannot be
    /// reached leaves the cluster half made.
    async fn ping_newcomers(&self, specs: &[MemberSpec]) -> Result<(), String> {
        let pings = specs.iter().map(|spec| async move {
            let peers = format!("{}:{}", spec.host, spec.peer_port);
            (spec, self.group.ping(&peers, spec.id, PING_TIMEOUT).await)
        });
        for (spec, answer) in join_all(pings).await {
            if let Err(error) = answer {
                tracing::warn!(node = %spec.id, %error, "no answer from a peer port");
                return Err(format!(
                    "ERR {}: its peer port {} cannot be reached from here: open it between all nodes, and see --bind",
                    address_of(spec),
                    spec.peer_port
                ));
            }
        }
        Ok(())
    }

    /// Keeps clients out of nodes that are about to join, which must be empty; all or none.
    async fn reserve_newcomers(&self, addresses: &[String]) -> Result<(), String> {
        reserve(addresses, self.view.settings().password(), RESERVATION, self.process)
            .await
            .map_err(|why| format!("ERR {why}"))
    }

    /// Gives them back to their clients.
    async fn release_newcomers(&self, addresses: &[String]) {
        release(addresses, self.view.settings().password(), self.process).await;
    }

    async fn create(&self, addresses: Vec<String>) -> Result<Created, String> {
        let _one_at_a_time = self.joining.lock().await;
        if let Some(cluster) = self.group.state().borrow().cluster_id {
            return Err(format!(
                "ERR this node is a member of cluster {cluster} already; use add-node to grow it"
            ));
        }
        let members = self.probe_newcomers(&addresses).await?;
        if !members.iter().any(|member| member.id == self.me) {
            return Err(
                "ERR the node that is asked to create a cluster must be one of its nodes: name it too".into(),
            );
        }
        self.reserve_newcomers(&addresses).await?;
        let cluster_id = NodeId(crate::boot::random_bytes());
        let placement: Vec<_> = members.iter().map(placement_member).collect();
        let command = ConfigCommand::Create {
            cluster_id,
            members: members.clone(),
            slots: initial_placement(&placement, REPLICAS),
            replicas: REPLICAS,
            write_quorum: WRITE_QUORUM,
        };
        if let Err(error) = self.group.create(command, PROPOSE_TIMEOUT).await {
            return Err(match error {
                CreateError::Refused(_) | CreateError::Exists(_) => {
                    self.release_newcomers(&addresses).await;
                    format!("ERR {error}")
                }
                // The cluster exists, or may yet: no client gets in before the time of the reservations is over.
                CreateError::Start(_)
                | CreateError::Propose(_)
                | CreateError::Incomplete { .. }
                | CreateError::Unsettled { .. } => format!("ERR {error}"),
            });
        }
        let state = self.group.state().borrow().clone();
        Ok(Created {
            cluster_id: cluster_id.to_string(),
            nodes: self.node_statuses(&state, &BTreeMap::new()),
            replicas: REPLICAS,
            write_quorum: WRITE_QUORUM,
            notes: notes(&state),
        })
    }

    async fn add_node(&self, address: String) -> Result<Added, String> {
        let _one_at_a_time = self.joining.lock().await;
        self.cluster()?;
        let specs = self.probe_newcomers(std::slice::from_ref(&address)).await?;
        let spec = specs.into_iter().next().expect("one address, one node");
        let id = spec.id;
        self.reserve_newcomers(std::slice::from_ref(&address)).await?;
        match self.propose(ConfigCommand::AddMember(spec)).await? {
            ConfigReply::Registered(_) => {}
            ConfigReply::Refused(why) => {
                self.release_newcomers(std::slice::from_ref(&address)).await;
                return Err(format!("ERR {why}"));
            }
            other => return Err(format!("ERR the config group answered {other:?}")),
        }
        let state = self.state_with(|state| state.members.contains_key(&id)).await?;
        self.wait_until_joined(&address).await?;
        let notes = notes(&state);
        let nodes = self.node_statuses(&state, &BTreeMap::new());
        let node = nodes.into_iter().find(|node| node.id == id.to_string()).expect("it is a member");
        Ok(Added { node, notes })
    }

    /// Waits until the node at `address` knows itself that it is a member: from then on it redirects clients.
    async fn wait_until_joined(&self, address: &str) -> Result<(), String> {
        let settings = self.view.settings();
        let deadline = tokio::time::Instant::now() + PROPOSE_TIMEOUT;
        loop {
            let joined = probe(address, settings.password()).await.is_ok_and(|probe| probe.joined);
            if joined {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(format!(
                    "ERR {address} is a member now but does not follow the config group yet; see 'status'"
                ));
            }
            tokio::time::sleep(JOIN_POLL).await;
        }
    }

    async fn rebalance(&self, dry_run: bool) -> Result<Plan, String> {
        let state = self.cluster()?;
        if let Some(current) = &state.plan {
            return Err(format!(
                "ERR a rebalance is in progress: {} of {} slots are left; `status` shows how far it is, `status --wait` \
                 follows it. Repeat this when it is done",
                with_commas(slots_in(current.targets.runs())),
                with_commas(current.slots_total)
            ));
        }
        let down = state.slots.runs().iter().filter(|run| run.recovering).map(|run| run.len()).sum::<usize>();
        if down > 0 {
            return Err(format!("ERR {down} slots are being recovered: rebalance when 'status' shows none"));
        }
        let members: Vec<_> = state.members.values().map(|member| placement_member(&member.spec)).collect();
        let planned = plan(&state.slots, &members, state.replicas);
        let stats = self.stats(&state).await;
        let (keys, bytes) = moved(&planned, &stats);
        let id = if dry_run || planned.targets.is_empty() {
            None
        } else {
            let command =
                ConfigCommand::SetPlan { expected_version: state.version, targets: planned.targets.clone() };
            match self.propose(command).await? {
                ConfigReply::Planned(id) => id,
                ConfigReply::Refused(why) => return Err(format!("ERR {why}")),
                other => return Err(format!("ERR the config group answered {other:?}")),
            }
        };
        let address =
            |id: &NodeId| state.members.get(id).map_or_else(String::new, |member| address_of(&member.spec));
        Ok(Plan {
            id,
            slots: planned.slots,
            primaries_moved: planned.primaries_moved,
            copies: planned.copies,
            keys,
            bytes,
            nodes: planned
                .nodes
                .iter()
                .map(|node| PlanNode {
                    id: node.id.to_string(),
                    address: address(&node.id),
                    primaries_before: node.primaries_before,
                    primaries_after: node.primaries_after,
                    slots_before: node.slots_before,
                    slots_after: node.slots_after,
                })
                .collect(),
        })
    }

    async fn status(&self) -> Status {
        let state = self.group.state().borrow().clone();
        let stats = self.stats(&state).await;
        let unreachable = self.group.unreachable().borrow().clone();
        let registered = incarnation_of(&state, self.me, self.process).is_some();
        let slots_down = slots_down(&state, &unreachable, (!registered).then_some(self.me));
        let down: u32 = slots_down.iter().map(|range| u32::from(range.last - range.first) + 1).sum();
        let rebalance = state.plan.as_ref().map(|plan| Progress {
            plan: plan.id,
            slots_total: plan.slots_total,
            slots_done: plan.slots_total - slots_in(plan.targets.runs()),
            keys_sent: stats.values().map(|stats| stats.keys_sent).sum(),
            bytes_sent: stats.values().map(|stats| stats.bytes_sent).sum(),
        });
        Status {
            cluster_id: state.cluster_id.map(|id| id.to_string()),
            answered_by: self.me.to_string(),
            config_version: state.version,
            config_leader: self.group.leader().map(|id| id.to_string()),
            replicas: state.replicas,
            write_quorum: state.write_quorum,
            nodes: self.node_statuses(&state, &stats),
            slots_served: u32::from(SlotId::COUNT) - down,
            slots_down,
            rebalance,
            notes: notes(&state),
        }
    }

    fn node_statuses(&self, state: &ClusterState, stats: &BTreeMap<NodeId, NodeStats>) -> Vec<NodeStatus> {
        let unreachable = self.group.unreachable().borrow().clone();
        let voters = self.group.voters();
        let count = |holds: &dyn Fn(&[NodeId]) -> bool| {
            state.slots.runs().iter().filter(|run| holds(&run.replicas)).map(|run| run.len() as u32).sum()
        };
        let mut nodes: Vec<_> = state
            .members
            .iter()
            .map(|(id, member)| NodeStatus {
                id: id.to_string(),
                address: address_of(&member.spec),
                voter: voters.contains(id),
                reachable: !unreachable.contains(id),
                shards: member.spec.shards,
                weight: member.spec.weight,
                incarnation: member.incarnation.0,
                primaries: count(&|set| set[0] == *id),
                slots: count(&|set| set.contains(id)),
                keys: stats.get(id).map_or(0, |stats| stats.keys_led),
                bytes: stats.get(id).map_or(0, |stats| stats.bytes),
            })
            .collect();
        nodes.sort_by(|a, b| a.address.cmp(&b.address));
        nodes
    }

    /// What every member that answers in time holds.
    async fn stats(&self, state: &ClusterState) -> BTreeMap<NodeId, NodeStats> {
        let asked = state.members.keys().map(|&node| async move {
            if node == self.me {
                return Some((node, self.stats_here()));
            }
            let answer =
                tokio::time::timeout(STATS_TIMEOUT, ask(&self.group, node, &NodeRequest::Stats)).await;
            match answer {
                Ok(Ok(NodeReply::Stats(stats))) => Some((node, stats)),
                Ok(Ok(NodeReply::Sealed(_) | NodeReply::NotUnderstood(_)) | Err(_)) | Err(_) => None,
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    fn cluster(&self) -> Result<Arc<ClusterState>, String> {
        let state = self.group.state().borrow().clone();
        match state.cluster_id {
            Some(_) => Ok(state),
            None => {
                Err("ERR this node is in no cluster: run 'create' first, or ask a member with --node".into())
            }
        }
    }

    async fn propose(&self, command: ConfigCommand) -> Result<ConfigReply, String> {
        self.group.propose(command, PROPOSE_TIMEOUT).await.map_err(|error| {
            format!("ERR the config group did not decide, outcome unknown: {error}; see 'status'")
        })
    }

    /// Waits until this node's own state satisfies `done`.
    async fn state_with(&self, done: impl Fn(&ClusterState) -> bool) -> Result<Arc<ClusterState>, String> {
        let mut states = self.group.state();
        let waited = tokio::time::timeout(PROPOSE_TIMEOUT, states.wait_for(|state| done(state))).await;
        match waited {
            Ok(Ok(state)) => Ok(state.clone()),
            Ok(Err(_)) | Err(_) => {
                Err("ERR done, but this node has not heard of it yet; see 'status'".into())
            }
        }
    }
}

fn json<T: Serialize>(value: T) -> Result<String, String> {
    serde_json::to_string(&value).map_err(|error| format!("ERR {error}"))
}

/// `12,288`.
fn with_commas(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are text"))
        .collect();
    groups.join(",")
}

fn address_of(spec: &MemberSpec) -> String {
    format!("{}:{}", spec.host, spec.port)
}

fn placement_member(spec: &MemberSpec) -> PlacementMember {
    PlacementMember { id: spec.id, weight: spec.weight, zone: spec.zone.clone() }
}

fn slots_in(runs: &[carousel_protocol::SlotRun]) -> u32 {
    runs.iter().map(|run| run.len() as u32).sum()
}

/// Keys and bytes that a plan copies, estimated from the mean over all copies.
fn moved(plan: &crate::placement::Plan, stats: &BTreeMap<NodeId, NodeStats>) -> (u64, u64) {
    let copies: u64 = plan.nodes.iter().map(|node| u64::from(node.slots_before)).sum();
    let share = |total: u64| total.saturating_mul(u64::from(plan.copies)).checked_div(copies).unwrap_or(0);
    (share(stats.values().map(|s| s.keys).sum()), share(stats.values().map(|s| s.bytes).sum()))
}

/// Slots that nobody serves; `starting` is this node while its process is not registered.
fn slots_down(
    state: &ClusterState,
    unreachable: &BTreeSet<NodeId>,
    starting: Option<NodeId>,
) -> Vec<DownRange> {
    let mut ranges: Vec<DownRange> = Vec::new();
    for run in state.slots.runs() {
        let spec = &state.members[&run.primary()].spec;
        let reason = if run.recovering {
            "being recovered after a restart of its primary; needs more of its copies if it stays so"
                .to_string()
        } else if unreachable.contains(&run.primary()) {
            format!("its primary {} is down: start it again", address_of(spec))
        } else if starting == Some(run.primary()) {
            format!(
                "its primary {} has started and is not registered yet: more than half of the voters must run",
                address_of(spec)
            )
        } else {
            continue;
        };
        let (first, last) = (run.first.get(), run.last.get());
        match ranges.last_mut() {
            Some(range) if range.last + 1 == first && range.reason == reason => range.last = last,
            _ => ranges.push(DownRange { first, last, reason }),
        }
    }
    ranges
}

/// What the operator should know of this cluster.
fn notes(state: &ClusterState) -> Vec<String> {
    let nodes = state.members.len();
    match nodes {
        0 => vec!["This node is on its own: create a cluster with 'create'.".into()],
        1 => vec!["One node: no copy of anything survives its loss. Add two more with 'add-node'.".into()],
        2 => vec![
            "Two nodes: data survives the loss of one, service does not, for every write needs both. Add a third."
                .into(),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_a_dead_primary_are_reported_as_few_ranges_with_what_to_do() {
        let node = |n: u8| NodeId([n; 20]);
        let spec = |n: u8| MemberSpec {
            id: node(n),
            host: "127.0.0.1".into(),
            port: 7000 + u16::from(n),
            peer_port: 17_000 + u16::from(n),
            shards: 1,
            weight: 1,
            zone: String::new(),
            process: 1,
        };
        let run = |first, last, replicas: &[u8]| carousel_protocol::SlotRun {
            first: SlotId::new(first).unwrap(),
            last: SlotId::new(last).unwrap(),
            replicas: replicas.iter().map(|n| node(*n)).collect(),
            epoch: carousel_protocol::Epoch(0),
            recovering: false,
        };
        let mut state = ClusterState::default();
        crate::config::apply(
            &mut state,
            &ConfigCommand::Create {
                cluster_id: node(9),
                members: vec![spec(1), spec(2)],
                slots: vec![run(0, 99, &[1, 2]), run(100, 199, &[1]), run(200, 16383, &[2, 1])],
                replicas: 2,
                write_quorum: 1,
            },
        );
        assert!(slots_down(&state, &BTreeSet::new(), None).is_empty());
        let down = slots_down(&state, &BTreeSet::from([node(1)]), None);
        assert_eq!((down[0].first, down[0].last, down.len()), (0, 199, 1));
        assert!(down[0].reason.contains("127.0.0.1:7001 is down"), "{}", down[0].reason);
        // A node that has just started leads nothing yet, whatever the state that it had on disk says.
        let down = slots_down(&state, &BTreeSet::new(), Some(node(2)));
        assert_eq!((down[0].first, down[0].last, down.len()), (200, 16383, 1));
        assert!(down[0].reason.contains("127.0.0.1:7002 has started"), "{}", down[0].reason);
    }
}
