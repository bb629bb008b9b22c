//! Whole config groups over real sockets and files, all nodes in one thread. Every wait is for an event.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use carousel_protocol::{Epoch, Incarnation, NodeId, SlotId, SlotRun};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::config::{ClusterState, ConfigCommand, ConfigReply, MemberSpec};
use crate::peer::listener::{PeerListener, PeerListenerHandle};
use crate::peer::rpc::RpcError;

const PATIENCE: Duration = Duration::from_secs(20);

/// A place for a node: its directory and address outlive its process.
struct Place {
    id: NodeId,
    dir: TempDir,
    address: SocketAddr,
    snapshot_every: u64,
}

/// A running node.
struct Node {
    group: ConfigGroup,
    listener: PeerListenerHandle,
}

impl Place {
    /// Each place has a loopback address of its own: nothing can take its port while its node is down.
    fn new(n: u8) -> Self {
        static PLACES: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, high | 1, low, PLACES.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from((host, 16_379));
        Self { id: NodeId([n; 20]), dir: tempfile::tempdir().unwrap(), address, snapshot_every: 1_000 }
    }

    async fn start(&self) -> Node {
        let me = self.id;
        let handler: NodeHandler = Arc::new(move |from, request| {
            Box::pin(async move { [&me.0[..1], &from.0[..1], &request].concat() })
        });
        let mut options = GroupOptions::new(self.dir.path().join("config"), me);
        options.snapshot_every = self.snapshot_every;
        let group = ConfigGroup::open(options, handler).await.unwrap();
        let listener = PeerListener::bind(self.address).await.unwrap();
        let listener = listener.start(group.service(), Arc::new(|_, _| panic!("no shard connects here")));
        Node { group, listener }
    }

    fn spec(&self) -> MemberSpec {
        MemberSpec {
            id: self.id,
            host: self.address.ip().to_string(),
            port: 6_379,
            peer_port: self.address.port(),
            shards: 1,
            weight: 1,
            zone: String::new(),
            process: 1,
        }
    }
}

impl Node {
    /// As after `kill`: nothing is said to the others.
    async fn stop(self) {
        self.listener.stop().await;
        self.group.shutdown().await;
    }

    async fn state(&self, what: &str, holds: impl FnMut(&Arc<ClusterState>) -> bool) -> Arc<ClusterState> {
        let mut state = self.group.state();
        let waited = tokio::time::timeout(PATIENCE, state.wait_for(holds)).await;
        waited.unwrap_or_else(|_| panic!("never: {what}; {:?}", self.group.state().borrow())).unwrap().clone()
    }

    async fn propose(&self, command: ConfigCommand) -> ConfigReply {
        self.group.propose(command, PATIENCE).await.unwrap()
    }

    /// The epoch that the group gives out.
    async fn take_epoch(&self) -> u64 {
        match self.propose(ConfigCommand::TakeEpoch).await {
            ConfigReply::Epoch(epoch) => epoch.0,
            other => panic!("not an epoch: {other:?}"),
        }
    }
}

fn places(n: u8) -> Vec<Place> {
    (1..=n).map(Place::new).collect()
}

async fn start_all(places: &[Place]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for place in places {
        nodes.push(place.start().await);
    }
    nodes
}

fn create_command(places: &[Place]) -> ConfigCommand {
    let slots = SlotRun {
        first: SlotId::new(0).unwrap(),
        last: SlotId::new(SlotId::COUNT - 1).unwrap(),
        replicas: places.iter().map(|place| place.id).collect(),
        epoch: Epoch(0),
        recovering: false,
    };
    ConfigCommand::Create {
        cluster_id: NodeId([0xcc; 20]),
        members: places.iter().map(Place::spec).collect(),
        slots: vec![slots],
        replicas: 2,
        write_quorum: 1,
    }
}

/// A cluster of `n` nodes, made through the first.
async fn cluster(n: u8) -> (Vec<Place>, Vec<Node>) {
    let places = places(n);
    let nodes = start_all(&places).await;
    assert_eq!(nodes[0].group.create(create_command(&places), PATIENCE).await.unwrap(), ConfigReply::Done);
    (places, nodes)
}

/// The index of the node that leads.
async fn leader_among(places: &[Place], nodes: &[Node]) -> usize {
    let waits = nodes.iter().map(|node| {
        let mut leads = node.group.is_leader();
        Box::pin(async move { leads.wait_for(|leads| *leads).await.map(|_| ()) })
    });
    let waited = tokio::time::timeout(PATIENCE, futures::future::select_all(waits)).await;
    let (_, index, _) = waited.expect("somebody leads");
    assert_eq!(nodes[index].group.leader(), Some(places[index].id));
    index
}

#[tokio::test]
async fn a_lone_node_makes_a_cluster_and_has_it_after_a_restart() {
    let place = Place::new(1);
    let node = place.start().await;
    assert!(!node.group.is_initialized().await);
    node.group.create(create_command(std::slice::from_ref(&place)), PATIENCE).await.unwrap();
    assert!(node.group.is_initialized().await);
    let last = [node.take_epoch().await, node.take_epoch().await][1];
    let before = node.group.state().borrow().clone();
    assert_eq!((before.version, before.last_epoch), (3, Epoch(last)));
    node.stop().await;

    let node = place.start().await;
    assert!(node.group.is_initialized().await);
    assert_eq!(node.state("its state", |state| state.version == 3).await, before);
    assert_eq!(node.take_epoch().await, last + 1);
    assert!(node.group.confirm_leader().await);
    node.stop().await;
}

#[tokio::test]
async fn the_state_survives_restarts_through_snapshots_and_purged_logs() {
    let mut place = Place::new(1);
    place.snapshot_every = 20;
    let mut last = 1;
    for restart in 0..3 {
        let node = place.start().await;
        if restart == 0 {
            node.group.create(create_command(std::slice::from_ref(&place)), PATIENCE).await.unwrap();
        }
        for _ in 0..150 {
            last += 1;
            assert_eq!(node.take_epoch().await, last);
        }
        node.stop().await;
    }
    let node = place.start().await;
    let state = node.state("the last state", |state| state.last_epoch == Epoch(last)).await;
    assert_eq!(state.members.len(), 1);
    node.stop().await;
}

#[tokio::test]
async fn create_refuses_what_the_state_machine_would_and_leaves_the_node_free() {
    let places = places(2);
    let node = places[0].start().await;
    let without_me = create_command(&places[1..]);
    let bad_quorum = match create_command(&places[..1]) {
        ConfigCommand::Create { cluster_id, members, slots, .. } => {
            ConfigCommand::Create { cluster_id, members, slots, replicas: 1, write_quorum: 2 }
        }
        other => panic!("{other:?}"),
    };
    for command in [without_me, bad_quorum, ConfigCommand::TakeEpoch] {
        let error = node.group.create(command, PATIENCE).await.unwrap_err();
        assert!(matches!(error, CreateError::Refused(_)), "{error}");
        assert!(!node.group.is_initialized().await);
    }
    node.group.create(create_command(&places[..1]), PATIENCE).await.unwrap();
    let error = node.group.create(create_command(&places[..1]), PATIENCE).await.unwrap_err();
    assert!(matches!(error, CreateError::Exists(_)), "{error}");
    node.stop().await;
}

#[tokio::test]
async fn create_names_the_nodes_that_did_not_join() {
    let places = places(3);
    let node = places[0].start().await;
    let other = places[1].start().await;
    let error = node.group.create(create_command(&places), Duration::from_secs(1)).await.unwrap_err();
    let line = format!(
        "the cluster exists; not reached yet: {}. Open their peer ports; they join by themselves, see 'status'",
        places[2].address
    );
    assert_eq!(error.to_string(), line);

    // The third comes late and the group completes by itself.
    let third = places[2].start().await;
    third.state("the map", |state| state.members.len() == 3).await;
    let mut leads = node.group.is_leader();
    leads.wait_for(|leads| *leads).await.unwrap();
    assert!(matches!(third.propose(ConfigCommand::TakeEpoch).await, ConfigReply::Epoch(_)));
    for node in [node, other, third] {
        node.stop().await;
    }
}

#[tokio::test]
async fn any_node_proposes_and_finds_its_change_in_its_own_state() {
    let (places, nodes) = cluster(3).await;
    let voters: BTreeSet<_> = places.iter().map(|place| place.id).collect();
    assert_eq!(nodes[0].group.voters(), voters);
    for (i, node) in nodes.iter().enumerate() {
        let spec = MemberSpec { process: 2, ..places[i].spec() };
        assert_eq!(
            node.propose(ConfigCommand::Register { spec, expected: Incarnation(1) }).await,
            ConfigReply::Registered(Incarnation(2))
        );
        assert_eq!(node.group.state().borrow().members[&places[i].id].incarnation, Incarnation(2));
        let epoch = node.take_epoch().await;
        assert_eq!(node.group.state().borrow().last_epoch, Epoch(epoch));
    }
    let stranger = MemberSpec { id: NodeId([9; 20]), port: 1, peer_port: 2, ..places[0].spec() };
    let reply = nodes[2].propose(ConfigCommand::Register { spec: stranger, expected: Incarnation(1) }).await;
    assert!(matches!(reply, ConfigReply::Refused(_)), "{reply:?}");
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_proposal_that_comes_twice_is_applied_once() {
    let (_places, nodes) = cluster(1).await;
    let proposal = Proposal {
        id: ProposalId { node: NodeId([9; 20]), process: 7, number: 1 },
        command: ConfigCommand::TakeEpoch,
    };
    let request = message::encode(&message::Request::Propose(proposal));
    let mut replies = Vec::new();
    for _ in 0..2 {
        let answer = nodes[0].group.service().serve(NodeId([9; 20]), request.clone()).await;
        match message::decode(&answer).unwrap() {
            message::Answer::Proposed { reply, .. } => replies.push(reply),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(replies, [ConfigReply::Epoch(Epoch(2)), ConfigReply::Epoch(Epoch(2))]);
    assert_eq!(nodes[0].take_epoch().await, 3);
}

#[tokio::test]
async fn without_its_leader_the_group_elects_another_and_the_old_one_returns_as_a_follower() {
    let (mut places, mut nodes) = cluster(3).await;
    let old = leader_among(&places, &nodes).await;
    let old_place = places.remove(old);
    let before = nodes[old].take_epoch().await;
    nodes.remove(old).stop().await;

    // A proposal made while nobody leads is answered by the successor.
    assert_eq!(nodes[0].take_epoch().await, before + 1);
    let new = leader_among(&places, &nodes).await;
    assert!(nodes[new].group.confirm_leader().await);
    for node in &nodes {
        let mut unreachable = node.group.unreachable();
        let seen = unreachable.wait_for(|set| set.contains(&old_place.id));
        tokio::time::timeout(PATIENCE, seen).await.unwrap().unwrap();
    }

    let returned = old_place.start().await;
    returned.state("what it missed", |state| state.last_epoch >= Epoch(before + 1)).await;
    assert_eq!(returned.take_epoch().await, before + 2);
    assert!(!*returned.group.is_leader().borrow());
    for node in &nodes {
        let mut unreachable = node.group.unreachable();
        let seen = unreachable.wait_for(BTreeSet::is_empty);
        tokio::time::timeout(PATIENCE, seen).await.unwrap().unwrap();
    }
    for node in nodes.into_iter().chain([returned]) {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_leader_that_lost_its_majority_confirms_nothing_and_says_the_outcome_is_unknown() {
    let (places, mut nodes) = cluster(3).await;
    let leader = leader_among(&places, &nodes).await;
    let leader = nodes.remove(leader);
    for node in nodes {
        node.stop().await;
    }
    assert!(!leader.group.confirm_leader().await);
    let error = leader.group.propose(ConfigCommand::TakeEpoch, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, ProposeError::Unknown { .. }), "{error}");
    leader.stop().await;
}

#[tokio::test]
async fn a_node_of_no_group_says_that_nothing_was_proposed() {
    let place = Place::new(1);
    let node = place.start().await;
    let error = node.group.propose(ConfigCommand::TakeEpoch, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, ProposeError::NoLeader { .. }), "{error}");
    node.stop().await;
}

#[tokio::test]
async fn all_nodes_restarted_at_once_have_everything() {
    let (places, nodes) = cluster(4).await;
    assert_eq!(nodes[0].group.voters().len(), 3);
    let epoch = nodes[3].take_epoch().await;
    let before = nodes[3].group.state().borrow().clone();
    for node in nodes {
        node.stop().await;
    }
    let nodes = start_all(&places).await;
    for node in &nodes {
        assert_eq!(node.state("its state", |state| state.last_epoch == Epoch(epoch)).await, before);
    }
    assert_eq!(nodes[1].take_epoch().await, epoch + 1);
    for node in &nodes {
        node.state("the new entry", |state| state.last_epoch == Epoch(epoch + 1)).await;
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn members_join_as_learners_and_the_fifth_makes_five_voters() {
    let places = places(5);
    let nodes = start_all(&places).await;
    nodes[0].group.create(create_command(&places[..3]), PATIENCE).await.unwrap();

    assert_eq!(
        nodes[1].propose(ConfigCommand::AddMember(places[3].spec())).await,
        ConfigReply::Registered(Incarnation(1))
    );
    let map = nodes[3].state("the map", |state| state.members.contains_key(&places[3].id)).await;
    assert_eq!(map.slots, nodes[0].group.state().borrow().slots);
    assert!(nodes[3].group.is_initialized().await);
    assert_eq!(nodes[0].group.voters().len(), 3, "four members have three voters");
    assert!(matches!(nodes[3].propose(ConfigCommand::TakeEpoch).await, ConfigReply::Epoch(_)));

    nodes[3].propose(ConfigCommand::AddMember(places[4].spec())).await;
    nodes[4].state("the map", |state| state.members.contains_key(&places[4].id)).await;
    for node in &nodes {
        let mut metrics = node.group.metrics();
        let five =
            metrics.wait_for(|metrics| metrics.membership_config.membership().voter_ids().count() == 5);
        tokio::time::timeout(PATIENCE, five).await.unwrap().unwrap();
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_newcomer_is_brought_up_by_a_snapshot_where_the_log_is_purged() {
    let mut places = places(2);
    places.iter_mut().for_each(|place| place.snapshot_every = 10);
    let leader = places[0].start().await;
    leader.group.create(create_command(&places[..1]), PATIENCE).await.unwrap();
    for _ in 0..100 {
        leader.take_epoch().await;
    }
    let purged = leader.group.metrics().borrow().purged;
    assert!(purged.is_some_and(|id| id.index > 20), "only a snapshot has the first entries: {purged:?}");
    leader.propose(ConfigCommand::AddMember(places[1].spec())).await;
    let newcomer = places[1].start().await;
    let state = newcomer.state("the newest state", |state| state.members.len() == 2).await;
    assert_eq!(state, *leader.group.state().borrow());
    newcomer.stop().await;

    // What came by snapshot is on its disk.
    leader.stop().await;
    let newcomer = places[1].start().await;
    assert_eq!(newcomer.state("its state", |state| state.members.len() == 2).await, state);
    newcomer.stop().await;
}

#[tokio::test]
async fn a_node_that_moved_to_another_port_is_found_once_registered() {
    let (mut places, mut nodes) = cluster(3).await;
    let moved = (leader_among(&places, &nodes).await + 1) % 3;
    nodes.remove(moved).stop().await;
    places[moved].address = Place::new(9).address;
    let node = places[moved].start().await;
    let spec = MemberSpec { process: 2, ..places[moved].spec() };
    // Nobody can tell it who leads before its address is known, so another node speaks for it.
    let helper = &nodes[0];
    assert_eq!(
        helper.propose(ConfigCommand::Register { spec: spec.clone(), expected: Incarnation(1) }).await,
        ConfigReply::Registered(Incarnation(2))
    );
    let state =
        node.state("its own move", |state| state.members[&spec.id].incarnation == Incarnation(2)).await;
    assert_eq!(state.members[&spec.id].spec, spec);
    assert!(matches!(node.propose(ConfigCommand::TakeEpoch).await, ConfigReply::Epoch(_)));
    node.stop().await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn nodes_of_another_cluster_are_refused() {
    let (places, nodes) = cluster(1).await;
    let place = Place::new(2);
    let node = place.start().await;
    let command = match create_command(std::slice::from_ref(&place)) {
        ConfigCommand::Create { members, slots, replicas, write_quorum, .. } => {
            ConfigCommand::Create { cluster_id: NodeId([0xdd; 20]), members, slots, replicas, write_quorum }
        }
        other => panic!("{other:?}"),
    };
    node.group.create(command, PATIENCE).await.unwrap();
    let before = node.group.state().borrow().clone();

    // The first cluster is talked into adding the node of the second, and sends it its log.
    nodes[0].propose(ConfigCommand::AddMember(place.spec())).await;
    let cluster = nodes[0].group.state().borrow().cluster_id;
    let vote = openraft::Vote::new_committed(99, places[0].id);
    let append = openraft::raft::AppendEntriesRequest {
        vote,
        prev_log_id: None,
        entries: vec![],
        leader_commit: None,
    };
    let message = message::RaftMessage::Append(append);
    let request = message::encode(&message::Request::Raft { cluster, message });
    let answer = node.group.service().serve(places[0].id, request).await;
    match message::decode(&answer).unwrap() {
        message::Answer::Failed(why) => assert!(why.contains("belongs to cluster"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(node.group.leader(), Some(place.id));
    assert_eq!(*node.group.state().borrow(), before);
}

#[tokio::test]
async fn node_calls_reach_the_handler_by_id_and_by_address() {
    let (places, nodes) = cluster(3).await;
    let group = &nodes[0].group;
    let outsider = Place::new(8);
    let outsider_node = outsider.start().await;
    for (to, answer) in [
        (PeerTarget::Node(places[0].id), b"\x01\x01probe"),
        (PeerTarget::Node(places[1].id), b"\x02\x01probe"),
        (PeerTarget::Address(places[2].address.to_string()), b"\x03\x01probe"),
        (PeerTarget::Address(outsider.address.to_string()), b"\x08\x01probe"),
    ] {
        assert_eq!(group.peer_rpc(&to, b"probe".to_vec(), PATIENCE).await.unwrap(), answer);
    }
    let stranger = PeerTarget::Node(outsider.id);
    let error = group.peer_rpc(&stranger, vec![], PATIENCE).await.unwrap_err();
    assert!(matches!(error, PeerCallError::NotMember(_)), "{error}");
    outsider_node.stop().await;
    let gone = PeerTarget::Address(outsider.address.to_string());
    let error = group.peer_rpc(&gone, vec![], PATIENCE).await.unwrap_err();
    assert!(
        matches!(error, PeerCallError::Rpc(RpcError::Refused { .. } | RpcError::Closed { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn garbage_on_a_peer_port_disturbs_nothing() {
    let (places, nodes) = cluster(3).await;
    let leader = leader_among(&places, &nodes).await;
    let term = nodes[leader].group.term();
    for round in 0..20u8 {
        let mut stream = tokio::net::TcpStream::connect(places[leader].address).await.unwrap();
        // A good hello and a good frame around bytes that decode to nothing, then plain noise.
        let hello = crate::peer::hello::RpcHello { from: NodeId([round; 20]), to: None };
        let mut bytes = crate::peer::hello::Hello::Rpc(hello).encode();
        crate::peer::frame::put_frame(&mut bytes, 1, &[0xff; 40]);
        bytes.extend([round; 100]);
        stream.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_millis(5), stream.read_to_end(&mut rest)).await;
    }
    assert!(matches!(nodes[(leader + 1) % 3].propose(ConfigCommand::TakeEpoch).await, ConfigReply::Epoch(_)));
    assert_eq!((leader_among(&places, &nodes).await, nodes[leader].group.term()), (leader, term));
}

#[tokio::test]
async fn a_group_that_is_dropped_lets_its_directory_go() {
    let place = Place::new(1);
    let Node { group, listener } = place.start().await;
    let thread = group.disk_thread();
    drop(group);
    let ended = tokio::task::spawn_blocking(move || thread.join());
    tokio::time::timeout(PATIENCE, ended).await.expect("the disk thread ends").unwrap().unwrap();
    listener.stop().await;
    place.start().await.stop().await;
}

#[tokio::test]
async fn a_directory_is_used_by_one_group_and_its_damage_is_named() {
    let place = Place::new(1);
    let node = place.start().await;
    let handler: NodeHandler = Arc::new(|_, request| Box::pin(async move { request }));
    let options = GroupOptions::new(place.dir.path().join("config"), place.id);
    let error = ConfigGroup::open(options.clone(), handler.clone()).await.err().unwrap();
    assert!(matches!(error, OpenError::Database { .. }), "{error}");
    node.stop().await;

    std::fs::write(place.dir.path().join("config").join("raft.redb"), b"not a database").unwrap();
    let error = ConfigGroup::open(options, handler).await.err().unwrap();
    assert!(error.to_string().contains("raft.redb"), "{error}");
}
