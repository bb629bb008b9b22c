//! Both ends of the peer port over real sockets: calls, links, strangers and lost connections.

use std::io::{Read, Write};
use std::sync::mpsc;

use carousel_protocol::{Incarnation, NodeId, ShardId};
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;
use crate::peer::rpc::{RpcError, RpcPool};

const SERVER: NodeId = NodeId([1; 20]);
const CLIENT: NodeId = NodeId([2; 20]);
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers `wait` only when let go, everything else with the caller's first byte and the request itself.
#[derive(Default)]
struct Echo {
    let_go: Notify,
}

impl RpcService for Echo {
    fn node(&self) -> NodeId {
        SERVER
    }

    fn serve(self: Arc<Self>, from: NodeId, request: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        Box::pin(async move {
            if request == b"wait" {
                self.let_go.notified().await;
            }
            [&from.0[..1], &request].concat()
        })
    }
}

struct Server {
    address: SocketAddr,
    echo: Arc<Echo>,
    links: mpsc::Receiver<(ShardLinkHello, std::net::TcpStream)>,
    handle: PeerListenerHandle,
}

async fn server_at(address: &str) -> Server {
    let listener = PeerListener::bind(address.parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = Arc::new(Echo::default());
    let (sender, links) = mpsc::channel();
    let handle =
        listener.start(echo.clone(), Arc::new(move |hello, stream| sender.send((hello, stream)).unwrap()));
    Server { address, echo, links, handle }
}

async fn server() -> Server {
    server_at("127.0.0.1:0").await
}

async fn call(pool: &RpcPool, server: &Server, request: &[u8]) -> Result<Vec<u8>, RpcError> {
    pool.call(&server.address.to_string(), Some(SERVER), request.to_vec(), PATIENCE).await
}

#[tokio::test]
async fn calls_overtake_a_slow_one_on_the_same_connection() {
    let server = server().await;
    let pool = RpcPool::new(CLIENT);
    let slow = call(&pool, &server, b"wait");
    let fast = async {
        for _ in 0..100 {
            assert_eq!(call(&pool, &server, b"x").await.unwrap(), [2, b'x']);
        }
        server.echo.let_go.notify_one();
    };
    let (slow, ()) = tokio::join!(slow, fast);
    assert_eq!(slow.unwrap(), b"\x02wait");
}

#[tokio::test]
async fn long_requests_and_answers_survive() {
    let server = server().await;
    let request = (0..3_000_000u32).map(|i| i as u8).collect::<Vec<_>>();
    let answer = call(&RpcPool::new(CLIENT), &server, &request).await.unwrap();
    assert_eq!(answer[1..], request);
}

#[tokio::test]
async fn an_overlong_request_is_not_sent() {
    let server = server().await;
    let request = vec![0; crate::peer::FRAME_BYTES_MAX + 1];
    let error = call(&RpcPool::new(CLIENT), &server, &request).await.unwrap_err();
    assert!(matches!(error, RpcError::Busy { .. }), "{error}");
}

#[tokio::test]
async fn a_node_answers_only_for_itself() {
    let server = server().await;
    let pool = RpcPool::new(CLIENT);
    let address = server.address.to_string();
    let error = pool.call(&address, Some(NodeId([9; 20])), b"x".to_vec(), PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains(&format!("node {SERVER} answers there")), "{error}");
    assert_eq!(pool.call(&address, None, b"x".to_vec(), PATIENCE).await.unwrap(), [2, b'x']);
}

#[tokio::test]
async fn a_refused_connection_is_told_apart_and_the_peer_is_found_when_it_returns() {
    let first = server().await;
    let pool = RpcPool::new(CLIENT);
    call(&pool, &first, b"x").await.unwrap();

    let address = first.address.to_string();
    let waiting = call(&pool, &first, b"wait");
    let lost = pool.lost();
    let stop = async {
        // The call is on its way before the server goes.
        assert_eq!(call(&pool, &first, b"y").await.unwrap(), [2, b'y']);
        first.handle.task.abort();
    };
    let (waiting, ()) = tokio::join!(waiting, stop);
    assert!(matches!(waiting, Err(RpcError::Closed { .. })), "{waiting:?}");
    tokio::time::timeout(PATIENCE, lost).await.unwrap();
    first.handle.stop().await;

    let error = pool.call(&address, Some(SERVER), b"x".to_vec(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, RpcError::Refused { .. }), "{error}");
    let second = server_at(&address).await;
    assert_eq!(call(&pool, &second, b"x").await.unwrap(), [2, b'x']);
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_it_said() {
    let server = server().await;
    let pool = RpcPool::new(CLIENT);
    let limit = Duration::from_millis(20);
    let error = pool.call(&server.address.to_string(), None, b"wait".to_vec(), limit).await.unwrap_err();
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn garbage_closes_its_connection_and_disturbs_no_other() {
    let server = server().await;
    let pool = RpcPool::new(CLIENT);
    call(&pool, &server, b"x").await.unwrap();
    let mut torn = Hello::Rpc(crate::peer::hello::RpcHello { from: CLIENT, to: None }).encode();
    torn.extend([0xff; 12]);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &torn] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut rest = Vec::new();
        // Closed or reset, but ended.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
        assert_eq!(call(&pool, &server, b"y").await.unwrap(), [2, b'y']);
    }
}

#[tokio::test]
async fn connections_that_say_nothing_hold_no_other_up() {
    let server = server().await;
    let mut silent = Vec::new();
    for _ in 0..HELLOS_MAX - 1 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(call(&RpcPool::new(CLIENT), &server, b"x").await.unwrap(), [2, b'x']);
}

#[tokio::test]
async fn a_link_is_handed_on_with_every_byte_after_its_hello() {
    let server = server().await;
    let hello = ShardLinkHello {
        cluster_id: NodeId([3; 20]),
        from: CLIENT,
        incarnation: Incarnation(7),
        from_shard: ShardId(1),
        to_shard: ShardId(0),
        to: SERVER,
    };
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = Hello::ShardLink(hello.clone()).encode();
    bytes.extend(b"records");
    stream.write_all(&bytes).await.unwrap();
    let links = server.links;
    let talk = tokio::task::spawn_blocking(move || {
        let (got, mut stream) = links.recv_timeout(PATIENCE).unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut read = [0; 7];
        stream.read_exact(&mut read).unwrap();
        stream.write_all(b"ack").unwrap();
        (got, read)
    });
    let (got, read) = talk.await.unwrap();
    assert_eq!((got, &read), (hello, b"records"));
    let mut ack = [0; 3];
    stream.read_exact(&mut ack).await.unwrap();
    assert_eq!(&ack, b"ack");
}
