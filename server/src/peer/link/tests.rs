//! The life of a link: over real sockets, and for the follower's end with a shard behind it.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use carousel_protocol::{Epoch, Incarnation, SlotId, SlotRun};

use super::*;
use crate::config::{ClusterState, ConfigCommand, ConfigReply, MemberSpec, apply};
use crate::control::ToControl;
use crate::persist::SyncError;
use crate::runtime::RunOptions;
use crate::runtime::epoll::Epoll;
use crate::shard::drive::{ShardSeat, ToShard, run_shard};
use crate::shard::mailbox::{Sender, mailbox};
use crate::shard::testing::shard_of;

#[test]
fn nothing_is_sent_after_a_loss() {
    let out = LinkOut::default();
    out.send(b"first".to_vec());
    assert_eq!(*out.queued.borrow(), b"first");
    out.send(vec![0; PEER_OUT_BYTES_MAX]);
    out.send(b"third".to_vec());
    assert!(out.queued.borrow().is_empty(), "the third does not follow the first");
}

#[test]
fn a_link_that_is_given_up_ends_although_its_peer_takes_nothing() {
    let (ours, theirs) = socket_pair();
    Epoll::run(&RunOptions::default(), async {
        let (_reader, mut writer) = Epoll::adopt(ours).unwrap().split();
        let out = LinkOut::default();
        out.send(vec![0; 64 << 20]); // more than the sockets take
        let metrics = ShardMetrics::default();
        let close = async {
            Epoll::sleep(Duration::from_millis(20)).await;
            out.close();
        };
        futures::join!(out.write_to(&mut writer, &metrics), close);
    })
    .unwrap();
    drop(theirs);
}

#[test]
fn only_a_link_of_the_same_shard_and_no_newer_process_is_replaced() {
    let older = hello(1, 2, 5);
    assert!(replaces(&hello(1, 2, 5), &older) && replaces(&hello(1, 2, 6), &older));
    assert!(!replaces(&hello(1, 2, 4), &older), "a late one of the process before");
    assert!(!replaces(&hello(1, 3, 5), &older) && !replaces(&hello(3, 2, 5), &older));
}

#[test]
fn the_kernel_is_asked_to_notice_a_silent_peer() {
    let (socket, _other) = socket_pair();
    notice_silence(&socket).unwrap();
    assert_eq!(sockopt::tcp_user_timeout(&socket), Ok(5000));
    assert!(sockopt::socket_keepalive(&socket).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&socket), Ok(SILENCE_ASKED));
}

#[test]
fn a_connection_that_nobody_answers_times_out() {
    // A listen queue without room answers nothing at all.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let _fills_it = TcpStream::connect(address).unwrap();
    Epoll::run(&RunOptions::default(), async {
        let result = connect::<Epoll>(address).await;
        assert_eq!(result.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
    })
    .unwrap();
}

fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

#[test]
fn a_shard_that_dials_again_replaces_its_earlier_link() {
    let follower = Follower::start();
    let mut first = follower.dial(hello(1, 0, 1));
    assert!(is_open(&mut first));
    let mut of_other_shard = follower.dial(hello(1, 1, 1));
    let mut second = follower.dial(hello(1, 0, 2));
    assert!(ends(&mut first), "it is replaced");
    assert!(is_open(&mut second) && is_open(&mut of_other_shard));
    let mut late = follower.dial(hello(1, 0, 1));
    assert!(ends(&mut late), "it is of the process before");
    assert!(is_open(&mut second));
    follower.stop();
}

#[test]
fn a_shard_whose_log_fails_drops_its_primaries_and_takes_none() {
    let mut follower = Follower::start();
    let mut link = follower.dial(hello(1, 0, 1));
    assert!(is_open(&mut link));
    let error = SyncError { path: "log".into(), error: Arc::new(io::Error::other("broken")) };
    follower.shard.send(ToShard::Synced(Err(error)));
    assert!(ends(&mut link));
    assert!(ends(&mut follower.dial(hello(1, 0, 1))), "the primary must know that this copy does not count");
    assert!(matches!(follower.control.try_recv(), Ok(ToControl::LogFailed)));
    follower.stop();
}

/// Node 8 of a cluster of nodes 1 and 8: one shard on a thread.
struct Follower {
    shard: Sender<ToShard>,
    control: tokio::sync::mpsc::UnboundedReceiver<ToControl>,
    thread: JoinHandle<()>,
}

impl Follower {
    fn start() -> Self {
        let me = NodeId([8; 20]);
        let core = shard_of(me);
        let (shard, inbox) = mailbox();
        let (to_control, control) = tokio::sync::mpsc::unbounded_channel();
        let node = Arc::new(crate::metrics::testing::node());
        let mailboxes = vec![shard.clone()];
        let seat = ShardSeat { core, log: None, mailbox: inbox, mailboxes, control: to_control, node };
        let thread =
            std::thread::spawn(|| Epoll::run(&RunOptions::default(), run_shard::<Epoll>(seat)).unwrap());
        shard.send(ToShard::Map { state: cluster_of(&[1, 8]), incarnation: Some(Incarnation(1)) });
        Self { shard, control, thread }
    }

    fn dial(&self, hello: ShardLinkHello) -> TcpStream {
        let (ours, theirs) = socket_pair();
        self.shard.send(ToShard::Link { hello, stream: theirs });
        ours
    }

    fn stop(self) {
        let (done, stopped) = futures::channel::oneshot::channel();
        self.shard.send(ToShard::Stop(done));
        futures::executor::block_on(stopped).unwrap();
        self.thread.join().unwrap();
    }
}

fn hello(node: u8, shard: u16, incarnation: u64) -> ShardLinkHello {
    ShardLinkHello {
        cluster_id: NodeId([9; 20]),
        from: NodeId([node; 20]),
        incarnation: Incarnation(incarnation),
        from_shard: ShardId(shard),
        to: NodeId([8; 20]),
        to_shard: ShardId(0),
    }
}

/// The first node leads everything.
fn cluster_of(nodes: &[u8]) -> Arc<ClusterState> {
    let ids: Vec<_> = nodes.iter().map(|node| NodeId([*node; 20])).collect();
    let spec = |id: &NodeId| MemberSpec {
        id: *id,
        host: "127.0.0.1".into(),
        port: 7000 + u16::from(id.0[0]),
        peer_port: 17000 + u16::from(id.0[0]),
        shards: 1,
        weight: 1,
        zone: String::new(),
        process: 1,
    };
    let create = ConfigCommand::Create {
        cluster_id: NodeId([9; 20]),
        members: ids.iter().map(spec).collect(),
        slots: vec![SlotRun {
            first: SlotId::new(0).unwrap(),
            last: SlotId::new(SlotId::COUNT - 1).unwrap(),
            replicas: ids,
            epoch: Epoch(0),
            recovering: false,
        }],
        replicas: 2,
        write_quorum: 2,
    };
    let mut state = ClusterState::default();
    assert_eq!(apply(&mut state, &create), ConfigReply::Done);
    Arc::new(state)
}

/// Does the other side keep the connection? (As far as can be known: for a moment.)
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Does the other side close the connection?
fn ends(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    matches!(stream.read(&mut [0]), Ok(0))
}
